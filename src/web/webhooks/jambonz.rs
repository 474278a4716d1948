//! jambonz: calls announced by signed webhooks or by the application websocket, both answered with the same verbs.
//!
//! ```text
//! incoming ──▶ answer, listen with token ── our audio socket closes ──▶ after ──▶ hangup · sentence, hangup
//!                    ▲                                                    └─▶ dial ── a person answers ──▶ confirm
//!                    │                                                                   brief, "press 1" ──▶ accept
//!                    └──── nobody took the call: back with us ◀── dialled ◀── the dial is over ────────────────┘
//! ```
//!
//! Over the websocket the hooks come as messages. When jambonz was to leave the audio socket and does not ask what comes
//! next, it is told by `redirect`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, extract::Path};
use futures::{SinkExt as _, StreamExt as _};
use metrics::counter;
use serde_json::{Value, json};
use tokio::time::{sleep_until, timeout};
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::dialled::{ACCEPT_S, DialOver, RING_S};
use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::trusted::{Refused, Trusted, Untrusted, Webhook};
use super::{Inner, WebhookState, now};
use crate::call::input::TransferNews;
use crate::telemetry::metric;
use crate::telephony::handshake::{Arrival, Handshake, Refusal};
use crate::telephony::jambonz::app::{self, FromJambonz};
use crate::telephony::jambonz::check_app;
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::{SignatureError, stamped};
use crate::web::carrier::jambonz::KEY;
use crate::web::gate::unix_s;

/// The application websocket.
const APP: &str = "/voice/jambonz/app";
/// jambonz asks what comes next within milliseconds of our audio socket's end; later than this it was forgotten.
const ASKS_WITHIN: Duration = Duration::from_secs(2);
/// How often an audio socket's end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A peer silent for so long is pinged…
const PING_AFTER: Duration = Duration::from_secs(30);
/// …and for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(90);
/// A message that can't be written for so long means that the socket is lost.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Larger messages end the socket.
const MAX_MESSAGE: usize = 256 * 1024;

pub(super) fn routes() -> Router<WebhookState> {
    Router::new().route("/voice/jambonz/{what}", post(webhook)).route(APP, get(upgrade))
}

/// How hooks are named: whole addresses are asked by HTTP, paths over the socket that named them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hooks {
    Http,
    Socket,
}

impl Hooks {
    fn name(self, inner: &Inner, what: &str, call_sid: &str) -> String {
        let call: String = form_urlencoded::byte_serialize(call_sid.as_bytes()).collect();
        let path = format!("/voice/jambonz/{what}?call={call}");
        if self == Self::Http { inner.url(&path) } else { path }
    }
}

async fn webhook(
    State(state): State<WebhookState>,
    OriginalUri(uri): OriginalUri,
    Path(what): Path<String>,
    Trusted(Told(data)): Trusted<Told>,
) -> Response {
    let inner = &*state.0;
    if what == "status" {
        told(inner, &data);
        return StatusCode::NO_CONTENT.into_response();
    }
    if what == "incoming" && field(&data, "call_sid").is_empty() {
        return (StatusCode::BAD_REQUEST, "call_sid is missing").into_response();
    }
    match verbs(inner, Hooks::Http, &what, uri.query().unwrap_or_default(), &data) {
        Some(verbs) => Json(verbs).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What a signed hook tells.
struct Told(Value);

impl Webhook for Told {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let secret = inner.gate.providers.jambonz.webhook_secret.expose();
        let verdict = match request.headers.get(stamped::JAMBONZ_HEADER).and_then(|value| value.to_str().ok()) {
            None if !secret.is_empty() => Err(SignatureError::Missing),
            signature => stamped::verify(secret, signature.unwrap_or_default(), &request.body, unix_s()),
        };
        if let Err(error) = verdict {
            inner.not_signed("jambonz", "jambonz.webhook_secret", error);
            return Err(Refused::with(StatusCode::FORBIDDEN));
        }
        let senseless = |_| Refused::with((StatusCode::BAD_REQUEST, "the body is no JSON"));
        serde_json::from_slice(&request.body).map(Self).map_err(senseless)
    }
}

/// What jambonz is to do after that hook; `None` when there is no such hook.
fn verbs(inner: &Inner, hooks: Hooks, what: &str, query: &str, data: &Value) -> Option<Value> {
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "call");
    // A hook of the called person's leg has a call of its own in its data.
    let call_sid = named.map_or_else(|| field(data, "call_sid").to_owned(), |(_, value)| value.into_owned());
    Some(match what {
        "incoming" => take(inner, hooks, &call_sid, data),
        "after" => next(inner, hooks, &call_sid, data),
        "confirm" => confirm(inner, hooks, &call_sid),
        "accept" => accept(inner, &call_sid, data),
        "dialled" => dialled(inner, hooks, &call_sid, data),
        _ => return None,
    })
}

/// Joins a call to us, if it is taken.
fn take(inner: &Inner, hooks: Hooks, call_sid: &str, data: &Value) -> Value {
    let (from, to) = (field(data, "from"), field(data, "to"));
    if let Some(key) = key(data) {
        return answered(inner, hooks, call_sid, key, data);
    }
    match inner.announce(now(), Announcement { provider: "jambonz", call_id: call_sid, from, to }) {
        Ok(token) => join(inner, hooks, call_sid, token.expose()),
        Err(NotTaken::TooOften) => json!([{"verb": "sip:decline", "status": 486, "reason": "Busy here"}]),
        Err(NotTaken::Busy) => say_goodbye(BUSY_SENTENCE),
    }
}

/// Our key, where a hook is about a call of ours.
fn key(data: &Value) -> Option<&str> {
    data["customerData"][KEY].as_str().filter(|key| !key.is_empty())
}

/// Somebody whom we call has answered.
fn answered(inner: &Inner, hooks: Hooks, call_sid: &str, key: &str, data: &Value) -> Value {
    if call_sid.is_empty() || !inner.admission.answered("jambonz", key, call_sid) {
        // Whoever called them has given up.
        return json!([{"verb": "hangup"}]);
    }
    // They are the one we speak with, though it was us who called.
    let call =
        Announcement { provider: "jambonz", call_id: call_sid, from: field(data, "to"), to: field(data, "from") };
    join(inner, hooks, call_sid, inner.grant(now(), call).expose())
}

/// A call's state. Of interest only where it is ours and nobody has answered.
fn told(inner: &Inner, data: &Value) {
    let (Some(key), status) = (key(data), field(data, "call_status")) else { return };
    if matches!(status, "busy" | "no-answer" | "failed" | "completed") {
        inner.admission.transferred("jambonz", key, TransferNews::Missed(DialOver::of(status).missed));
    }
}

/// Lets a call's audio come to us.
fn join(inner: &Inner, hooks: Hooks, call_sid: &str, token: &str) -> Value {
    let config = &inner.gate.providers.jambonz;
    let mut listen = json!({
        "verb": "listen",
        "url": inner.media_url("jambonz"),
        "actionHook": hooks.name(inner, "after", call_sid),
        "mixType": "mono",
        "sampleRate": config.sample_rate,
        "passDtmf": true,
        "bidirectionalAudio": {"enabled": true, "streaming": true, "sampleRate": config.sample_rate},
        "metadata": {"token": token},
    });
    if !config.password.expose().is_empty() {
        listen["wsAuth"] = json!({"username": config.username, "password": config.password.expose()});
    }
    json!([{"verb": "answer"}, listen])
}

/// Our audio socket is closed and the caller still there.
fn next(inner: &Inner, hooks: Hooks, call_sid: &str, data: &Value) -> Value {
    match inner.next(call_sid) {
        Next::Hangup(None) => json!([{"verb": "hangup"}]),
        Next::Hangup(Some(sentence)) => say_goodbye(sentence),
        Next::Transfer(transfer) => dial(inner, hooks, call_sid, &transfer, field(data, "to")),
    }
}

fn dial(inner: &Inner, hooks: Hooks, call_sid: &str, transfer: &Transfer, called: &str) -> Value {
    let target = transfer.target.reveal();
    let target = match target.strip_prefix("tel:").unwrap_or(target) {
        sip if sip.starts_with("sip:") || sip.starts_with("sips:") => json!({"type": "sip", "sipUri": sip}),
        number => json!({"type": "phone", "number": number}),
    };
    let mut dial = json!({
        "verb": "dial",
        "answerOnBridge": true,
        "timeout": RING_S,
        "target": [target],
        "confirmHook": hooks.name(inner, "confirm", call_sid),
        "actionHook": hooks.name(inner, "dialled", call_sid),
    });
    if !called.is_empty() {
        dial["callerId"] = Value::from(called);
    }
    json!([dial])
}

/// The person has answered: they hear what it is about and press a key, before the caller is joined.
fn confirm(inner: &Inner, hooks: Hooks, call_sid: &str) -> Value {
    let Some(text) = inner.whisper(call_sid) else {
        return json!([{"verb": "hangup"}]);
    };
    json!([{
        "verb": "gather",
        "input": ["digits"],
        "numDigits": 1,
        "timeout": ACCEPT_S,
        "say": {"text": text},
        "actionHook": hooks.name(inner, "accept", call_sid),
    }])
}

/// The person has pressed a key, or none. An end of these verbs joins the caller; a hang-up doesn't.
fn accept(inner: &Inner, call_sid: &str, data: &Value) -> Value {
    if inner.answered_with("jambonz", call_sid, field(data, "digits")) {
        return json!([]);
    }
    json!([{"verb": "hangup"}])
}

/// The dial is over: the caller has spoken to the person, or is back with us.
fn dialled(inner: &Inner, hooks: Hooks, call_sid: &str, data: &Value) -> Value {
    let over = DialOver::of(field(data, "dial_call_status"));
    if !inner.dial_over("jambonz", call_sid, over) {
        return json!([{"verb": "hangup"}]);
    }
    let (from, to) = (field(data, "from"), field(data, "to"));
    let token = inner.take_back(now(), Announcement { provider: "jambonz", call_id: call_sid, from, to });
    join(inner, hooks, call_sid, token.expose())
}

fn say_goodbye(sentence: &str) -> Value {
    json!([{"verb": "say", "text": sentence}, {"verb": "hangup"}])
}

fn field<'a>(data: &'a Value, name: &str) -> &'a str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Opens the application websocket of a call.
async fn upgrade(
    State(state): State<WebhookState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(refusal) = check(&state.0, &uri, &headers) {
        counter!(metric::CALLS_REFUSED, "provider" => "jambonz", "reason" => refusal.label()).increment(1);
        if let Refusal::Unconfigured(key) = refusal
            && state.0.gate.first_warning(key)
        {
            warn!("jambonz' application websocket is refused: `{key}` is not set, so it can't be checked");
        }
        return match refusal {
            Refusal::Missing => {
                let challenge = HeaderValue::from_static("Basic realm=\"warmline\", charset=\"UTF-8\"");
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
            }
            Refusal::Wrong(_) | Refusal::Unconfigured(_) => StatusCode::FORBIDDEN.into_response(),
        };
    }
    let Ok(permit) = state.0.control_sockets.clone().try_acquire_owned() else {
        counter!(metric::CALLS_REFUSED, "provider" => "jambonz", "reason" => "sockets").increment(1);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(crate::web::media::READ_BUFFER);
    upgrade.protocols([app::SUBPROTOCOL]).on_upgrade(move |socket| {
        let tracker = state.0.tracker.clone();
        let span = info_span!("control", call.provider = "jambonz");
        let drive = async move {
            let _permit = permit;
            drive(&state.0, socket).await;
        };
        tracker.track_future(drive.instrument(span))
    })
}

fn check(inner: &Inner, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut handshake = Handshake::to(APP, uri.path_and_query().map_or(APP, |target| target.as_str()));
    for (name, value) in headers {
        handshake.add_header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    check_app(&Arrival {
        handshake: &handshake,
        settings: &inner.gate.providers,
        base_url: &inner.gate.base_url,
        now: now(),
        unix_s: unix_s(),
        replays: &inner.gate.replays,
    })
}

/// One call's control.
struct Control<'a> {
    inner: &'a Inner,
    /// Known since the first message.
    call: Option<Call>,
    outbox: VecDeque<String>,
}

struct Call {
    sid: String,
    data: Value,
    /// When our audio socket's end was noticed, until jambonz asks what comes next.
    ended: Option<Instant>,
    /// Whether what comes next was told.
    told: bool,
}

impl Control<'_> {
    fn hear(&mut self, text: &str) {
        match app::read(text) {
            Ok(FromJambonz::New { msgid, data }) => {
                let sid = field(&data, "call_sid").to_owned();
                if sid.is_empty() || self.call.is_some() {
                    debug!("jambonz announces a call without a name, or a second one");
                    return;
                }
                let verbs = take(self.inner, Hooks::Socket, &sid, &data);
                self.outbox.push_back(app::ack(&msgid, Some(verbs)));
                self.call = Some(Call { sid, data, ended: None, told: false });
            }
            Ok(FromJambonz::Continue { msgid, call_sid }) => {
                self.outbox.push_back(app::ack(&msgid, None));
                if self.call.is_none() && !call_sid.is_empty() {
                    // Another socket has asked for this call, or its server has.
                    self.call = Some(Call { sid: call_sid, data: Value::Null, ended: None, told: true });
                }
            }
            Ok(FromJambonz::Hook { msgid, hook, data }) => {
                let (path, query) = hook.split_once('?').unwrap_or((hook.as_str(), ""));
                let what = path.strip_prefix("/voice/jambonz/").unwrap_or_default();
                if let Some(call) = &mut self.call {
                    (call.told, call.ended) = (what != "incoming", None);
                }
                let verbs = verbs(self.inner, Hooks::Socket, what, query, &data);
                if let (Some(call), "dialled", Some(verbs)) = (&mut self.call, what, &verbs) {
                    // Back with us: the next audio socket's end is news again.
                    call.told = verbs.as_array().is_none_or(|verbs| verbs.iter().all(|verb| verb["verb"] != "listen"));
                }
                self.outbox.push_back(app::ack(&msgid, verbs));
            }
            Ok(FromJambonz::Status(data)) => told(self.inner, &data),
            Ok(FromJambonz::Error(error)) => warn!("jambonz reports an error: {error}"),
            Ok(FromJambonz::Told) => {}
            Err(error) => {
                counter!(metric::MESSAGES_SKIPPED, "provider" => "jambonz", "reason" => error.label()).increment(1);
                debug!(%error, "Control message skipped: {error}");
            }
        }
    }

    /// Looks whether our audio socket has ended and jambonz has not asked what comes next.
    fn look(&mut self, now: Instant) {
        let Some(call) = self.call.as_mut().filter(|call| !call.told) else { return };
        if !self.inner.gate.outcomes.is_known(&call.sid) {
            return;
        }
        let ended = *call.ended.get_or_insert(now);
        if now >= ended + ASKS_WITHIN {
            call.told = true;
            info!("jambonz did not ask what comes next and is told");
            let (sid, data) = (call.sid.clone(), call.data.clone());
            self.outbox.push_back(app::redirect(next(self.inner, Hooks::Socket, &sid, &data)));
        }
    }
}

/// Runs a call's control socket from upgrade to close.
async fn drive(inner: &Inner, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let mut control = Control { inner, call: None, outbox: VecDeque::new() };
    let (mut heard_at, mut pinged, mut look_at) = (now(), false, now() + LOOK_EVERY);
    loop {
        let silence = if pinged { LOST_AFTER } else { PING_AFTER };
        let deadline = look_at.min(heard_at + silence);
        tokio::select! {
            message = stream.next() => {
                (heard_at, pinged) = (now(), false);
                match message {
                    Some(Ok(Message::Text(text))) => control.hear(text.as_str()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                }
            }
            () = sleep_until(deadline.into()) => {
                if now() >= heard_at + LOST_AFTER {
                    break;
                }
                if now() >= heard_at + PING_AFTER && !pinged {
                    pinged = true;
                    if !write(&mut sink, Message::Ping(Bytes::new())).await {
                        break;
                    }
                }
                look_at = now() + LOOK_EVERY;
                control.look(now());
            }
            () = inner.cancel.cancelled() => {
                // Anything but 1000 makes jambonz come again, to whoever answers then.
                let restart = CloseFrame { code: 1012, reason: "".into() };
                write(&mut sink, Message::Close(Some(restart))).await;
                break;
            }
        }
        while let Some(text) = control.outbox.pop_front() {
            if text.len() > app::MAX_SENT {
                warn!("A message for jambonz of {} bytes is larger than it takes", text.len());
            }
            if !write(&mut sink, Message::Text(text.into())).await {
                return;
            }
        }
    }
    let _ = timeout(WRITE_PATIENCE, sink.close()).await;
}

async fn write<S>(sink: &mut S, message: Message) -> bool
where
    S: futures::Sink<Message> + Unpin,
{
    matches!(timeout(WRITE_PATIENCE, sink.send(message)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests;
