//! Twilio's webhooks: a call comes in, a stream is over, something is reported. All signed, all forms.
//!
//! ```text
//! incoming ──▶ <Connect><Stream token> ── our socket closes ──▶ after ──▶ <Hangup/>, or an apology first
//!     └─▶ too many from this number: busy tone · all lines busy: a sentence, <Hangup/>
//! ```

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tracing::{debug, warn};

use super::incoming::{Announcement, BUSY_SENTENCE, Next, NotTaken};
use super::twiml::{Verb, answer};
use super::{Inner, WebhookState, now};
use crate::telephony::signature::{SignatureError, TWILIO_HEADER, verify_twilio};

pub(super) fn routes() -> Router<WebhookState> {
    Router::new()
        .route("/voice/twilio/incoming", post(incoming))
        .route("/voice/twilio/after", post(after))
        .route("/voice/twilio/status", post(status))
}

async fn incoming(
    State(state): State<WebhookState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let inner = &*state.0;
    let Some(form) = signed_form(inner, &uri, &headers, &body) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Some(call_sid) = form.get("CallSid").filter(|sid| !sid.is_empty()) else {
        return (StatusCode::BAD_REQUEST, "CallSid is missing").into_response();
    };
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let call = Announcement { provider: "twilio", call_id: call_sid, from: field("From"), to: field("To") };
    match inner.announce(now(), call) {
        Ok(token) => answer(&[
            Verb::Stream {
                url: &inner.media_url("twilio"),
                status_callback: &inner.url("/voice/twilio/status"),
                parameters: &[("token", token.expose())],
            },
            Verb::Redirect(&inner.url("/voice/twilio/after")),
        ]),
        Err(NotTaken::TooOften) => answer(&[Verb::RejectBusy]),
        Err(NotTaken::Busy) => answer(&[Verb::Say(BUSY_SENTENCE), Verb::Hangup]),
    }
}

/// Our socket is closed and the caller still there: Twilio asks what comes next.
async fn after(
    State(state): State<WebhookState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(form) = signed_form(&state.0, &uri, &headers, &body) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let call_sid = form.get("CallSid").map_or("", String::as_str);
    // The transfer has been tried: whoever was called spoke to the caller, or nobody answered.
    if form.contains_key("DialCallStatus") {
        return answer(&[Verb::Hangup]);
    }
    match state.0.next(call_sid) {
        Next::Hangup(None) => answer(&[Verb::Hangup]),
        Next::Hangup(Some(sentence)) => answer(&[Verb::Say(sentence), Verb::Hangup]),
        Next::Transfer(transfer) => {
            let action = state.0.url("/voice/twilio/after");
            answer(&[Verb::Dial { target: transfer.target.reveal(), action: &action }])
        }
    }
}

/// Reports about calls and streams: only failures are of interest, for the log.
async fn status(
    State(state): State<WebhookState>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(form) = signed_form(&state.0, &uri, &headers, &body) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    match form.get("StreamError") {
        Some(error) if !error.is_empty() => warn!("Twilio reports a stream error: {error:?}"),
        _ => debug!(event = form.get("StreamEvent"), "Twilio reports"),
    }
    StatusCode::NO_CONTENT.into_response()
}

/// The form, if Twilio signed it.
fn signed_form(inner: &Inner, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<HashMap<String, String>> {
    let secret = inner.gate.providers.twilio.auth_token.expose();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let signature = headers.get(TWILIO_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if verify_twilio(secret, &inner.url(path), &fields, signature) {
        return Some(fields.into_iter().collect());
    }
    let error = match (secret.is_empty(), signature.is_empty()) {
        (true, _) => SignatureError::Unconfigured,
        (false, true) => SignatureError::Missing,
        (false, false) => SignatureError::Wrong,
    };
    inner.not_signed("twilio", "twilio.auth_token", error);
    None
}
