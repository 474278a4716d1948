//! Bandwidth's webhooks: a call is answered with BXML that starts a stream and then gathers keys, one at a time, for as
//! long as the stream goes on. Bandwidth does not wait for a stream, so this loop keeps the call alive; it brings the keys,
//! which do not come on the socket; and when our socket is closed it is the question what comes next.
//!
//! ```text
//! incoming ──▶ <StartStream> <Gather> ──key, or 2 s──▶ keys ──▶ <Gather> … ── stream over ──▶ hang up, a sentence, <Transfer>
//!     │             ▲                                                       somebody answers ──▶ whisper ──▶ accept ──▶ joined
//!     │             └──────────── nobody took the call: back with us ◀── dialled ◀────────────────────┘
//!     └─▶ too many from this number: <Hangup> · all lines busy: a sentence
//! ```

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use tracing::{debug, warn};

use super::dialled::{ACCEPT_S, DialOver, RING_S};
use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::outcomes::StreamOutcome;
use super::trusted::{Refused, Trusted, Untrusted, Webhook, parameter};
use super::xml::Element;
use super::{Inner, WebhookState, now};
use crate::call::input::{Missed, TransferNews};
use crate::telephony::bandwidth::PASSWORD_KEY;
use crate::telephony::protocol::Digit;

/// How long a caller whose stream is over may wait for what comes next.
const GATHER_S: u32 = 2;
/// How many such times a stream may take to come before it counts as lost.
const ROUNDS_FOR_START: u32 = 6;

pub(super) fn routes() -> Router<WebhookState> {
    Router::new()
        .route("/voice/bandwidth/incoming", post(incoming))
        .route("/voice/bandwidth/keys", post(keys))
        .route("/voice/bandwidth/status", post(status))
        .route("/voice/bandwidth/whisper", post(whisper))
        .route("/voice/bandwidth/accept", post(accept))
        .route("/voice/bandwidth/dialled", post(dialled))
        .route("/voice/bandwidth/answered", post(answered))
        .route("/voice/bandwidth/unanswered", post(unanswered))
}

/// What a webhook says, as far as it matters. Fields are left out where they don't apply.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Said {
    event_type: String,
    call_id: String,
    from: String,
    to: String,
    digits: String,
    cause: String,
    error_message: String,
    machine_detection_result: Detected,
    /// What we had put into the address.
    #[serde(skip)]
    ours: Vec<(String, String)>,
}

/// Who has answered a call of ours.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Detected {
    value: String,
}

impl Detected {
    /// `silence`, `timeout` and `error` tell nothing: a person gets the benefit.
    fn is_machine(&self) -> bool {
        matches!(self.value.as_str(), "answering-machine" | "tone-detected")
    }
}

impl Said {
    /// A parameter of our own, or nothing.
    fn of(&self, name: &str) -> &str {
        parameter(&self.ours, name)
    }
}

impl Webhook for Said {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let settings = &inner.gate.providers.bandwidth;
        inner.basic("bandwidth", &request.headers, (&settings.username, &settings.password), PASSWORD_KEY)?;
        let senseless = |_| Refused::with(StatusCode::BAD_REQUEST);
        let said: Self = serde_json::from_slice(&request.body).map_err(senseless)?;
        Ok(Self { ours: request.query(), ..said })
    }
}

async fn incoming(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    if said.call_id.is_empty() {
        return (StatusCode::BAD_REQUEST, "callId is missing").into_response();
    }
    let call = Announcement { provider: "bandwidth", call_id: &said.call_id, from: &said.from, to: &said.to };
    let verbs = match inner.announce(now(), call) {
        Ok(token) => join(inner, token.expose()),
        Err(NotTaken::TooOften) => goodbye(None),
        Err(NotTaken::Busy) => goodbye(Some(BUSY_SENTENCE)),
    };
    Element::new("Response").children(verbs).answer()
}

/// Joins a call to a stream.
fn join(inner: &Inner, token: &str) -> Vec<Element> {
    let settings = &inner.gate.providers.bandwidth;
    let parameter = Element::new("StreamParam").with("name", "token").with("value", token);
    let stream = Element::new("StartStream")
        .with("name", "warmline")
        .with("mode", "bidirectional")
        .with("tracks", "inbound")
        .with("destination", &inner.media_url("bandwidth"))
        .with("destinationUsername", &settings.username)
        .with("destinationPassword", settings.password.expose())
        .with("streamEventUrl", &inner.url("/voice/bandwidth/status"))
        .with("streamEventMethod", "POST");
    vec![with_credentials(inner, stream).child(parameter), gather(inner, 0)]
}

/// A key was pressed, or none for a while.
async fn keys(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    for digit in said.digits.chars().filter_map(Digit::new) {
        if !inner.gate.live.press(&said.call_id, digit).await {
            debug!("A key came for a call that takes none");
        }
    }
    let waited = said.of("round").parse().unwrap_or(0);
    let is_open = inner.gate.live.is_open(&said.call_id);
    let is_coming = inner.gate.outcomes.known(&said.call_id).is_none() && waited < ROUNDS_FOR_START;
    let verbs = if is_open || is_coming {
        vec![gather(inner, if is_open { 0 } else { waited + 1 })]
    } else {
        match inner.next(&said.call_id) {
            Next::Hangup(sentence) => goodbye(sentence),
            Next::Transfer(transfer) => {
                let target = transfer.target.reveal();
                let to = if target.starts_with("sip:") { "SipUri" } else { "PhoneNumber" };
                let to =
                    Element::new(to).with("transferAnswerUrl", &about(inner, "whisper", &said.call_id)).text(target);
                let transfer = Element::new("Transfer")
                    .with("transferCompleteUrl", &about(inner, "dialled", &said.call_id))
                    .with("callTimeout", &RING_S.to_string());
                vec![with_credentials(inner, transfer).child(with_credentials(inner, to)), Element::new("Hangup")]
            }
        }
    };
    Element::new("Response").children(verbs).answer()
}

/// The address of a request about the caller's call, whichever leg it comes from.
fn about(inner: &Inner, what: &str, call_id: &str) -> String {
    let call: String = form_urlencoded::byte_serialize(call_id.as_bytes()).collect();
    inner.url(&format!("/voice/bandwidth/{what}?call={call}"))
}

/// Somebody who was called has answered, and hears what it is about.
async fn whisper(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    let call_id = said.of("call");
    let verbs = match inner.whisper(call_id) {
        Some(text) => {
            let gather = Element::new("Gather")
                .with("gatherUrl", &about(inner, "accept", call_id))
                .with("gatherMethod", "POST")
                .with("maxDigits", "1")
                .with("firstDigitTimeout", &ACCEPT_S.to_string());
            vec![with_credentials(inner, gather).child(Element::new("SpeakSentence").text(&text))]
        }
        None => goodbye(None),
    };
    Element::new("Response").children(verbs).answer()
}

/// They have pressed a key, or none: when there is nothing more to do, they are joined.
async fn accept(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    let call_id = said.of("call");
    let has_taken = inner.answered_with("bandwidth", call_id, &said.digits);
    Element::new("Response").children(if has_taken { Vec::new() } else { goodbye(None) }).answer()
}

/// The call to them is over.
async fn dialled(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    let call_id = said.of("call");
    // `hangup` is the end of a call that was answered.
    let over = DialOver::of(if said.cause == "hangup" { "completed" } else { &said.cause });
    let verbs = if inner.dial_over("bandwidth", call_id, over) {
        let call = Announcement { provider: "bandwidth", call_id, from: &said.from, to: &said.to };
        join(inner, inner.take_back(now(), call).expose())
    } else {
        goodbye(None)
    };
    Element::new("Response").children(verbs).answer()
}

/// Somebody whom we call has answered, or a machine has.
async fn answered(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    let (key, call_id) = (said.of("call"), said.call_id.as_str());
    let verbs = if said.machine_detection_result.is_machine() {
        inner.admission.transferred("bandwidth", key, TransferNews::Missed(Missed::Voicemail));
        goodbye(None)
    } else if call_id.is_empty() || !inner.admission.answered("bandwidth", key, call_id) {
        // Whoever called them has given up.
        goodbye(None)
    } else {
        // They are the one we speak with, though it was us who called.
        let call = Announcement { provider: "bandwidth", call_id, from: &said.to, to: &said.from };
        join(inner, inner.grant(now(), call).expose())
    };
    Element::new("Response").children(verbs).answer()
}

/// A call of ours is over. Of interest only while nobody has answered.
async fn unanswered(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let over = DialOver::of(if said.cause == "hangup" { "completed" } else { &said.cause });
    state.0.admission.transferred("bandwidth", said.of("call"), TransferNews::Missed(over.missed));
    StatusCode::NO_CONTENT.into_response()
}

/// Reports about streams; BXML in the answer would be ignored.
async fn status(State(state): State<WebhookState>, Trusted(said): Trusted<Said>) -> Response {
    let inner = &*state.0;
    if said.event_type == "mediaStreamRejected" || !said.cause.is_empty() {
        warn!("Bandwidth could not open the stream: {:?} {:?}", said.cause, said.error_message);
        if !inner.gate.live.is_open(&said.call_id) && inner.gate.outcomes.known(&said.call_id).is_none() {
            inner.gate.outcomes.record(now(), &said.call_id, StreamOutcome::Failed);
        }
    } else {
        debug!(event = said.event_type, "Bandwidth reports");
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Waits for one key. `round` counts how often a stream that has not come was waited for.
fn gather(inner: &Inner, round: u32) -> Element {
    let gather = Element::new("Gather")
        .with("gatherUrl", &inner.url(&format!("/voice/bandwidth/keys?round={round}")))
        .with("gatherMethod", "POST")
        .with("maxDigits", "1")
        .with("firstDigitTimeout", &GATHER_S.to_string());
    with_credentials(inner, gather)
}

fn goodbye(sentence: Option<&str>) -> Vec<Element> {
    let said = sentence.map(|sentence| Element::new("SpeakSentence").text(sentence));
    said.into_iter().chain([Element::new("Hangup")]).collect()
}

/// The credentials of the application hold for its own callbacks only; each verb has to name them again.
fn with_credentials(inner: &Inner, verb: Element) -> Element {
    let settings = &inner.gate.providers.bandwidth;
    verb.with("username", &settings.username).with("password", settings.password.expose())
}
