//! Telnyx' webhooks, both signed with Ed25519: Call Control, events in JSON that we answer with commands to Telnyx' API, and
//! TeXML, forms that we answer with XML.
//!
//! ```text
//! call.initiated ──▶ answer ──▶ call.answered ──▶ streaming_start ── our socket closes ──▶ streaming.stopped
//!     │                                    ▲                    hangup, dial, or speak first ◀──────┘
//!     │                                    └── nobody took the call (`person`): ◀─────┘
//!     ├─▶ too many from this number: reject
//!     └─▶ all lines busy: answer ──▶ call.answered ──▶ speak ──▶ call.speak.ended ──▶ hangup
//! ```
//!
//! Call Control keeps our state for us: what a call is about to hear, or the token of its stream, goes along as
//! `client_state`. The command `answer` could open the stream itself, but takes neither token nor rate. Commands carry an id
//! made from the event's, so a redelivered webhook does nothing twice.

mod calling;
mod person;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::dialled::{DialOver, RING_S};
use super::form::{self, FormProvider};
use super::incoming::{APOLOGY_SENTENCE, Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::trusted::{Refused, Trusted, Untrusted, Webhook};
use super::{Inner, WebhookState, now, twiml};
use crate::call::input::Missed;
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::SignatureError;
use crate::telephony::signature::ed25519::{SIGNATURE_HEADER, TIMESTAMP_HEADER, verify};
use crate::telephony::telnyx::played;
use crate::web::carrier::telnyx::{Account, OUT};
use crate::web::gate::unix_s;
use crate::web::moving::ACCOUNT;

/// Call ids longer than this are no call ids.
const MAX_CALL_ID: usize = 256;

pub(super) static TEXML: FormProvider = FormProvider {
    provider: "telnyx",
    path: "/voice/telnyx/texml",
    key: "telnyx.public_key",
    call_id: "CallSid",
    dialled: "DialCallStatus",
    verify: |inner, signed| {
        verify_request(inner, signed.header(TIMESTAMP_HEADER), signed.header(SIGNATURE_HEADER), signed.body)
    },
    stream: |inner, offer| {
        let settings = &inner.gate.providers.telnyx;
        let rate = played(settings.codec, settings.l16_byte_order).rate.0.to_string();
        let codec = settings.codec.as_str();
        let attributes = [
            ("track", "inbound_track"),
            ("codec", codec),
            ("bidirectionalMode", "rtp"),
            ("bidirectionalCodec", codec),
            ("bidirectionalSamplingRate", rate.as_str()),
        ];
        // By which the API knows the call, if it is to be moved.
        let account = Some((ACCOUNT, offer.account)).filter(|(_, account)| !account.is_empty());
        twiml::stream_with(&inner.media_url("telnyx"), offer, &attributes, account)
    },
    say: "Say",
    reject: twiml::reject,
    dial: twiml::dial,
    whisper: twiml::whisper,
    joined: |_| false,
    machine: twiml::machine,
    failure: |form| {
        let failed = form.get("StreamEvent").is_some_and(|event| event == "stream-failed" || event == "stream-error");
        failed.then(|| form.get("StreamError").cloned().unwrap_or_default())
    },
};

/// Both ways.
pub(super) fn routes() -> Router<WebhookState> {
    form::routes(&TEXML).route("/voice/telnyx/incoming", post(event))
}

fn verify_request(inner: &Inner, timestamp: &str, signature: &str, body: &[u8]) -> Result<(), SignatureError> {
    verify(&inner.gate.providers.telnyx.public_key, timestamp, body, signature, unix_s())
}

/// What a webhook holds, as far as it concerns us.
#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    id: String,
    event_type: String,
    #[serde(default)]
    payload: Payload,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    call_control_id: String,
    direction: String,
    from: String,
    to: String,
    client_state: Option<String>,
    hangup_cause: String,
    connection_id: String,
    digits: String,
    status: String,
    result: String,
}

/// What a caller who will hear a sentence and nothing else is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Busy,
    Sorry,
}

impl Farewell {
    const fn word(self) -> &'static str {
        match self {
            Self::Busy => "warmline:busy",
            Self::Sorry => "warmline:sorry",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Busy => BUSY_SENTENCE,
            Self::Sorry => APOLOGY_SENTENCE,
        }
    }

    /// As it came back with an event.
    fn of(client_state: Option<&str>) -> Option<Self> {
        let word = BASE64.decode(client_state?).ok()?;
        [Self::Busy, Self::Sorry].into_iter().find(|one| one.word().as_bytes() == word)
    }

    /// As it goes along with a command.
    fn client_state(self) -> String {
        BASE64.encode(self.word())
    }
}

/// Before the token of a call that is about to get its stream, and behind a space the number that was called.
const TALK: &str = "warmline:talk:";
/// Before the caller's call, in the state of a call to somebody who is joined when they answer.
const PERSON: &str = "warmline:person:";
/// The same for somebody who is asked first.
const DIALLED: &str = "warmline:dialled:";

/// As it goes along with a command.
fn encoded(word: &str, rest: &str) -> String {
    BASE64.encode(format!("{word}{rest}"))
}

/// What followed this word in the state that came back with an event.
fn decoded(word: &str, client_state: Option<&str>) -> Option<String> {
    let text = String::from_utf8(BASE64.decode(client_state?).ok()?).ok()?;
    text.strip_prefix(word).map(str::to_owned)
}

/// The caller for whom a call was made.
fn caller_of(word: &str, client_state: Option<&str>) -> Option<String> {
    decoded(word, client_state).filter(|call_id| is_call_id(call_id))
}

/// Why nobody has taken a call that ended so.
fn missed(hangup_cause: &str) -> Missed {
    match hangup_cause {
        "user_busy" => Missed::Busy,
        "call_rejected" => Missed::Declined,
        // Who answered and hung up has not taken the call either.
        "timeout" | "no_answer" | "normal_clearing" => Missed::NoAnswer,
        _ => Missed::Failed,
    }
}

/// Whether an event says that a machine has answered.
fn is_machine(data: &Data) -> bool {
    match data.event_type.as_str() {
        "call.machine.premium.detection.ended" | "call.machine.detection.ended" => {
            matches!(data.payload.result.as_str(), "machine" | "fax_detected")
        }
        "call.machine.premium.greeting.ended" => data.payload.result == "beep_detected",
        _ => false,
    }
}

/// It becomes part of a path.
fn is_call_id(call_id: &str) -> bool {
    let in_a_path = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
    !call_id.is_empty() && call_id.len() <= MAX_CALL_ID && call_id.chars().all(in_a_path)
}

impl Webhook for Data {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let (timestamp, signature) = (request.header(TIMESTAMP_HEADER), request.header(SIGNATURE_HEADER));
        if let Err(error) = verify_request(inner, timestamp, signature, &request.body) {
            inner.not_signed("telnyx", "telnyx.public_key", error);
            return Err(Refused::with(StatusCode::FORBIDDEN));
        }
        let senseless = |what: &'static str| Refused::with((StatusCode::BAD_REQUEST, what));
        let Envelope { data } = serde_json::from_slice(&request.body).map_err(|_| senseless("no event"))?;
        if is_call_id(&data.payload.call_control_id) { Ok(data) } else { Err(senseless("call_control_id is missing")) }
    }
}

async fn event(State(state): State<WebhookState>, Trusted(data): Trusted<Data>) -> StatusCode {
    handle(&state.0, &data).await;
    StatusCode::OK
}

async fn handle(inner: &Inner, data: &Data) {
    let payload = &data.payload;
    let state = payload.client_state.as_deref();
    if let Some(caller) = caller_of(DIALLED, state) {
        return person::event(inner, data, &caller).await;
    }
    if let Some(caller) = caller_of(PERSON, state) {
        return joined(inner, data, &caller).await;
    }
    if let Some(key) = decoded(OUT, state) {
        return calling::event(inner, data, &key).await;
    }
    let farewell = Farewell::of(state);
    let talk = decoded(TALK, state).unwrap_or_default();
    let (token, called) = talk.split_once(' ').unwrap_or((&talk, ""));
    match (data.event_type.as_str(), farewell) {
        // Calls we make have no business here.
        ("call.initiated", _) if payload.direction == "incoming" => initiated(inner, data).await,
        ("call.answered", Some(farewell)) => speak(inner, data, farewell).await,
        ("call.answered", None) if !token.is_empty() => {
            start_stream(inner, data, &payload.call_control_id, token, None).await;
        }
        ("call.speak.ended", Some(_)) => command(inner, data, "hangup", json!({})).await,
        ("call.hangup", _) => person::caller_left(inner, data).await,
        ("streaming.stopped", None) => match inner.next(&payload.call_control_id) {
            Next::Hangup(None) => command(inner, data, "hangup", json!({})).await,
            Next::Hangup(Some(BUSY_SENTENCE)) => speak(inner, data, Farewell::Busy).await,
            Next::Hangup(Some(_)) => speak(inner, data, Farewell::Sorry).await,
            Next::Transfer(transfer) => {
                if !person::dial(inner, data, &transfer, called).await {
                    give_away(inner, data, &transfer).await;
                }
            }
        },
        ("streaming.failed", None) => {
            warn!("Telnyx could not open a call's media stream");
            speak(inner, data, Farewell::Sorry).await;
        }
        (event, _) => debug!(event, "Telnyx reports"),
    }
}

/// Lets Telnyx call somebody and join whoever answers: where too little is known to call them ourselves.
async fn give_away(inner: &Inner, data: &Data, transfer: &Transfer) {
    let caller = data.payload.call_control_id.as_str();
    let to = json!({
        "to": transfer.target.reveal(),
        "timeout_secs": RING_S,
        "target_leg_client_state": encoded(PERSON, caller),
    });
    command(inner, data, "transfer", to).await;
}

/// Something happened to whoever a caller was given to. Telnyx joins whoever answers.
async fn joined(inner: &Inner, data: &Data, caller: &str) {
    match data.event_type.as_str() {
        "call.answered" | "call.bridged" => {
            inner.taken("telnyx", caller);
        }
        "call.hangup" => {
            let over = DialOver::of(match data.payload.hangup_cause.as_str() {
                "user_busy" => "busy",
                "timeout" | "no_answer" => "no-answer",
                "call_rejected" => "rejected",
                "originator_cancel" => "cancel",
                _ => "failed",
            });
            if inner.dial_over("telnyx", caller, over) {
                let call = Announcement { provider: "telnyx", call_id: caller, from: "", to: "" };
                start_stream(inner, data, caller, inner.take_back(now(), call).expose(), None).await;
            } else {
                // Telnyx hangs up the other one too, as far as we know.
                command_about(inner, data, caller, "hangup", json!({})).await;
            }
        }
        event => debug!(event, "Telnyx reports about the person called"),
    }
}

async fn initiated(inner: &Inner, data: &Data) {
    let Payload { call_control_id, from, to, .. } = &data.payload;
    let call = Announcement { provider: "telnyx", call_id: call_control_id, from, to };
    match inner.announce(now(), call) {
        Ok(token) => {
            // The number goes along: it is who calls when somebody is called for this caller.
            let state = encoded(TALK, &format!("{} {to}", token.expose()));
            command(inner, data, "answer", json!({"client_state": state})).await;
        }
        Err(NotTaken::TooOften) => command(inner, data, "reject", json!({"cause": "USER_BUSY"})).await,
        Err(NotTaken::Busy) => {
            command(inner, data, "answer", json!({"client_state": Farewell::Busy.client_state()})).await;
        }
    }
}

/// Joins an answered call to its stream. `state` comes back with all later events, instead of the one before.
async fn start_stream(inner: &Inner, data: &Data, call_id: &str, token: &str, state: Option<String>) {
    let settings = &inner.gate.providers.telnyx;
    let codec = settings.codec.as_str();
    let mut start = json!({
        "stream_url": inner.media_url("telnyx"),
        "stream_track": "inbound_track",
        "stream_codec": codec,
        // Without this our audio is ignored.
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": codec,
        "stream_bidirectional_sampling_rate": played(settings.codec, settings.l16_byte_order).rate.0,
        "stream_bidirectional_target_legs": "self",
        "stream_auth_token": token,
        "custom_parameters": [
            {"name": "token", "value": token},
            {"name": "call_id", "value": call_id},
        ],
    });
    if let Some(state) = state {
        start["client_state"] = state.into();
    }
    command_about(inner, data, call_id, "streaming_start", start).await;
}

/// Says a sentence; the call is hung up when it was heard.
async fn speak(inner: &Inner, data: &Data, farewell: Farewell) {
    let said = json!({
        "payload": farewell.sentence(),
        "voice": "female",
        "language": "en-US",
        "client_state": farewell.client_state(),
    });
    command(inner, data, "speak", said).await;
}

/// Sends one command about the event's call.
async fn command(inner: &Inner, data: &Data, action: &'static str, body: Value) {
    command_about(inner, data, &data.payload.call_control_id, action, body).await;
}

/// Sends one command about a call, because of an event. Whether it was carried out, or the call is over.
async fn command_about(inner: &Inner, data: &Data, call_id: &str, action: &'static str, mut body: Value) -> bool {
    let Some(account) = Account::of(&inner.gate.providers.telnyx) else {
        if inner.gate.first_warning("telnyx.api_key") {
            warn!("Telnyx' calls can't be answered: `telnyx.api_key` is not set");
        }
        return false;
    };
    body["command_id"] = Value::from(format!("{}-{action}", data.id));
    inner.carrier.command(action, account.command(call_id, action, body)).await
}
