//! What an Exotel flow asks: where to stream to, if the Voicebot applet has no fixed address; after the stream, which
//! branch to take (Passthru applet); and whom to call (Connect applet: `connect` where its parameters come from a URL, so
//! that the person hears the brief, else `dial`, a number and no more). All with Basic credentials in the applet's URL.
//!
//! ```text
//! Voicebot ──▶ incoming: {"url": "wss://…?token=…"} ── our socket closes ──▶ Passthru ──▶ next: 200 to the Connect
//!     ▲                                                                                    applet (▶ dial), else 302
//!     └── 200 ◀── missed ◀── Passthru ◀── nobody answered ◀───────────────────────────────────┘
//! ```

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::dialled::{DialOver, RING_S};
use super::incoming::{Announcement, Next};
use super::trusted::{Refused, Trusted, Untrusted, Webhook};
use super::{Inner, WebhookState, now};
use crate::telephony::exotel::PASSWORD_KEY;

/// The least that sounds like more than a telephone; the flow's applet may name another in its own URL.
const SAMPLE_RATE: &str = "16000";

pub(super) fn routes() -> Router<WebhookState> {
    Router::new()
        .route("/voice/exotel/incoming", get(incoming).post(incoming))
        .route("/voice/exotel/next", get(next))
        .route("/voice/exotel/connect", get(connect))
        .route("/voice/exotel/dial", get(dial))
        .route("/voice/exotel/missed", get(missed))
}

async fn incoming(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let call_id = asked.field(&["CallSid", "call_sid"]);
    if call_id.is_empty() {
        return (StatusCode::BAD_REQUEST, "CallSid is missing").into_response();
    }
    let (from, to) = (asked.field(&["CallFrom", "From", "from"]), asked.field(&["CallTo", "To", "to"]));
    let call = Announcement { provider: "exotel", call_id, from, to };
    match inner.announce(now(), call) {
        Ok(token) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("sample-rate", SAMPLE_RATE).append_pair("token", token.expose());
            let url = format!("{}?{}", inner.media_url("exotel"), query.finish());
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(json!({"url": url}))).into_response()
        }
        // The flow goes on with its next applet, and asks `next`.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The Passthru applet behind the Voicebot: 200 is the branch with the Connect applet, 302 the other.
async fn next(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    report(&asked);
    match inner.next(asked.field(&["CallSid"])) {
        Next::Transfer(_) => StatusCode::OK.into_response(),
        Next::Hangup(_) => StatusCode::FOUND.into_response(),
    }
}

/// The Connect applet's question for all its parameters: whom to call for how long, and what they hear before they are
/// joined. It knows no key by which they could decline.
async fn connect(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let call_id = asked.field(&["CallSid"]);
    match inner.next(call_id) {
        Next::Transfer(transfer) => {
            let mut answer = json!({
                "fetch_after_attempt": false,
                "destination": {"numbers": [transfer.target.reveal()]},
                "max_ringing_duration": RING_S,
                "music_on_hold": {"type": "default_tone"},
            });
            if let Some(brief) = inner.brief(call_id) {
                answer["start_call_playback"] = json!({"playback_to": "callee", "type": "text", "value": brief});
            }
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response()
        }
        Next::Hangup(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The Connect applet's question whom to call: a number as plain text.
async fn dial(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    match inner.next(asked.field(&["CallSid"])) {
        Next::Transfer(transfer) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, transfer.target.reveal().clone()).into_response()
        }
        Next::Hangup(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The Passthru applet behind a Connect applet that nobody answered: 200 is the branch back to the Voicebot applet.
async fn missed(State(state): State<WebhookState>, Trusted(asked): Trusted<Asked>) -> Response {
    let inner = &*state.0;
    let over = DialOver::of(match asked.field(&["DialCallStatus"]) {
        // This applet would not run after a conversation.
        "" | "completed" => "no-answer",
        status => status,
    });
    if inner.dial_over("exotel", asked.field(&["CallSid"]), over) {
        StatusCode::OK.into_response()
    } else {
        StatusCode::FOUND.into_response()
    }
}

/// Query and form together: applets send either.
struct Asked(Vec<(String, String)>);

impl Asked {
    /// The first of these that is there.
    fn field(&self, names: &[&str]) -> &str {
        let one = |name: &&str| self.0.iter().find(|(other, value)| other == *name && !value.is_empty());
        names.iter().find_map(one).map_or("", |(_, value)| value.as_str())
    }
}

impl Webhook for Asked {
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused> {
        let settings = &inner.gate.providers.exotel;
        inner.basic("exotel", &request.headers, (&settings.username, &settings.password), PASSWORD_KEY)?;
        let mut fields = request.query();
        fields.extend(form_urlencoded::parse(&request.body).into_owned());
        Ok(Self(fields))
    }
}

/// How the stream ended, for the log: parameters with brackets, or all of them as JSON in one.
fn report(asked: &Asked) {
    let all: Value = serde_json::from_str(asked.field(&["Stream"])).unwrap_or_default();
    let of = |name: &str| {
        let flat = asked.field(&[&format!("Stream[{name}]")]).to_owned();
        if flat.is_empty() { all[name].as_str().unwrap_or_default().to_owned() } else { flat }
    };
    let (status, error, detail) = (of("Status"), of("Error"), of("DetailedStatus"));
    if status == "failed" {
        warn!("Exotel's stream failed: {error:?} {detail:?}");
    } else {
        debug!(status, by = of("DisconnectedBy"), "Exotel reports");
    }
}
