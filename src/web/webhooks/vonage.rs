//! Vonage's webhooks: a call is answered with an NCCO that joins it to a stream; events of that stream are asked
//! synchronously, so that their answer is what happens next. All signed with a token that holds the body's hash.
//!
//! ```text
//! incoming ──▶ [connect websocket] ── our socket closes ──▶ event `disconnected` ──▶ nothing more, a sentence, or a call
//!     │               ▲                                                    somebody answers ──▶ whisper ──▶ joined
//!     │               └── event `busy`, `timeout` …: nobody took it, back with us ◀──┘
//!     └─▶ too many from this number: [] · all lines busy: [talk]
//! ```
//!
//! That is how a person is called without the application's key; with it they are asked first (`person`).

mod calling;
pub(super) mod person;

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::dialled::{DialOver, RING_S};
use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::trusted::{Refused, Trusted, Untrusted, Webhook, parameter};
use super::{Inner, WebhookState, now};
use crate::telephony::signature::{SignatureError, jwt};
use crate::telephony::vonage::{CONTENT_TYPE, SECRET_KEY, is_for_us};
use crate::web::carrier::vonage::endpoint;
use crate::web::gate::unix_s;

pub(super) fn routes() -> Router<WebhookState> {
    Router::new()
        .route("/voice/vonage/incoming", get(incoming).post(incoming))
        .route("/voice/vonage/event", get(happened).post(happened))
        .route("/voice/vonage/whisper", get(whisper).post(whisper))
        .merge(person::routes())
        .merge(calling::routes())
}

async fn incoming(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let call_id = event.field("uuid");
    if call_id.is_empty() {
        return (StatusCode::BAD_REQUEST, "uuid is missing").into_response();
    }
    let call = Announcement { provider: "vonage", call_id, from: event.field("from"), to: event.field("to") };
    match inner.announce(now(), call) {
        Ok(token) => ncco(join(inner, call_id, call.to, token.expose())),
        Err(NotTaken::TooOften) => ncco(json!([])),
        Err(NotTaken::Busy) => ncco(talk(BUSY_SENTENCE)),
    }
}

/// Joins a call to a stream.
fn join(inner: &Inner, call_id: &str, number: &str, token: &str) -> Value {
    json!([{
        "action": "connect",
        "eventType": "synchronous",
        "eventUrl": [event_url(inner, call_id, number, "stream")],
        "from": number,
        "endpoint": [{
            "type": "websocket",
            "uri": inner.media_url("vonage"),
            "content-type": CONTENT_TYPE,
            "headers": {"call_uuid": call_id, "token": token},
            "authorization": {"type": "vonage"},
        }],
    }])
}

/// What whoever is called hears before they are joined.
async fn whisper(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    ncco(inner.brief(event.of("call")).map_or_else(|| json!([]), |brief| talk(&brief)))
}

/// Something happened to whoever a caller was given to. When nobody takes the call, the answer brings the caller back.
fn dialled(inner: &Inner, call_id: &str, number: &str, status: &str) -> Response {
    match status {
        "answered" => {
            inner.taken("vonage", call_id);
        }
        "busy" | "cancelled" | "failed" | "rejected" | "timeout" | "unanswered"
            if inner.dial_over("vonage", call_id, DialOver::of(status)) =>
        {
            let call = Announcement { provider: "vonage", call_id, from: "", to: number };
            return ncco(join(inner, call_id, number, inner.take_back(now(), call).expose()));
        }
        _ => debug!(status, "Vonage reports"),
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Something happened to the call, its stream, or whoever it was given to. Only the end of a stream wants an answer.
async fn happened(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let of = |name: &str| event.of(name);
    let (status, reason) = (event.field("status"), event.field("reason"));
    match of("leg") {
        "dialled" => return dialled(inner, of("call"), of("as"), status),
        "person" => {
            person::event(inner, of("call"), of("as"), status).await;
            return StatusCode::NO_CONTENT.into_response();
        }
        "out" => {
            calling::event(inner, of("call"), status, event.field("uuid")).await;
            return StatusCode::NO_CONTENT.into_response();
        }
        "" if status == "completed" => {
            person::caller_left(inner, event.field("uuid")).await;
            return StatusCode::NO_CONTENT.into_response();
        }
        _ => {}
    }
    let ended = matches!(status, "disconnected" | "failed" | "unanswered" | "rejected" | "timeout" | "busy");
    if of("leg") != "stream" || !ended {
        debug!(status, "Vonage reports");
        return StatusCode::NO_CONTENT.into_response();
    }
    if status != "disconnected" {
        warn!("Vonage could not open the stream: {status:?} {reason:?}");
    }
    if inner.is_on_the_way_back("vonage", of("call")) {
        // The stream before the one that is about to come, or has come.
        return StatusCode::NO_CONTENT.into_response();
    }
    match inner.next(of("call")) {
        // No action is left in the NCCO, so the call ends.
        Next::Hangup(None) => StatusCode::NO_CONTENT.into_response(),
        Next::Hangup(Some(sentence)) => ncco(talk(sentence)),
        Next::Transfer(transfer) if person::call(inner, of("call"), of("as"), &transfer).await => {
            if inner.is_given_away(of("call")) {
                ncco(person::waiting(inner, of("call"), of("as")))
            } else {
                // The caller has left, or is on the way back.
                StatusCode::NO_CONTENT.into_response()
            }
        }
        Next::Transfer(transfer) => {
            let mut endpoint = endpoint(transfer.target.reveal());
            if endpoint["type"] == "phone" {
                let whisper: String = form_urlencoded::byte_serialize(of("call").as_bytes()).collect();
                endpoint["onAnswer"] = json!({"url": inner.url(&format!("/voice/vonage/whisper?call={whisper}"))});
            }
            ncco(json!([{
                "action": "connect",
                "eventType": "synchronous",
                "eventUrl": [event_url(inner, of("call"), of("as"), "dialled")],
                "from": of("as"),
                "timeout": RING_S,
                "endpoint": [endpoint],
            }]))
        }
    }
}

/// Where events go, with what the events themselves don't say: the stream is a leg with an id of its own. `number` is
/// ours, as which others are called.
fn event_url(inner: &Inner, call_id: &str, number: &str, leg: &str) -> String {
    format!("{}&leg={leg}", leg_url(inner, "event", call_id, number))
}

/// The address of a request that concerns the caller and comes from another leg.
fn leg_url(inner: &Inner, name: &str, call_id: &str, number: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("call", call_id).append_pair("as", number);
    inner.url(&format!("/voice/vonage/{name}?{}", query.finish()))
}

fn talk(sentence: &str) -> Value {
    json!([{"action": "talk", "text": sentence}])
}

fn ncco(actions: Value) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(actions)).into_response()
}

/// A request that Vonage has signed.
struct Event {
    /// The fields of the body, or of a GET's query. Anything but an object has none, and so names no call.
    fields: HashMap<String, String>,
    /// What we had put into the address.
    ours: Vec<(String, String)>,
}

impl Event {
    /// A field, or nothing.
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A parameter of our own, or nothing.
    fn of(&self, name: &str) -> &str {
        parameter(&self.ours, name)
    }
}

impl Webhook for Event {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let settings = &inner.gate.providers.vonage;
        let (ours, is_get) = (request.query(), request.method == Method::GET);
        let covered = if is_get { as_object(&ours).into_bytes() } else { request.body.to_vec() };
        let token = request.header("authorization").split_once(' ');
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.map_or("", |(_, token)| token.trim());
        let secret = settings.signature_secret.expose();
        let verdict = jwt::verify(secret, token, Some(&covered), now(), unix_s(), &inner.gate.replays)
            .and_then(|claims| if is_for_us(&claims, settings) { Ok(()) } else { Err(SignatureError::Wrong) });
        if let Err(error) = verdict {
            inner.not_signed("vonage", SECRET_KEY, error);
            return Err(Refused::with(StatusCode::FORBIDDEN));
        }
        let fields = if is_get { ours.iter().cloned().collect() } else { members(&request.body) };
        Ok(Self { fields, ours })
    }
}

/// The members of an object, as text.
fn members(body: &[u8]) -> HashMap<String, String> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return HashMap::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// A GET's parameters as the object whose hash is signed: in order, without spaces.
fn as_object(pairs: &[(String, String)]) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let members: Vec<_> = pairs.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_an_object_in_their_order() {
        let pairs: Vec<_> = form_urlencoded::parse(b"to=1500&from=a%22b&uuid=1").into_owned().collect();
        assert_eq!(as_object(&pairs), r#"{"to":"1500","from":"a\"b","uuid":"1"}"#);
        assert_eq!(as_object(&[]), "{}");
    }
}
