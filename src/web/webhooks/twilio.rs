//! Twilio's webhooks: a call comes in, a stream is over, something is reported. All signed, all forms.
//!
//! ```text
//! incoming ──▶ <Connect><Stream token> ── our socket closes ──▶ after ──▶ <Hangup/>, or an apology first
//!     └─▶ too many from this number: busy tone · all lines busy: a sentence, <Hangup/>
//! ```

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use metrics::counter;
use tracing::{debug, info, warn};

use super::outcomes::StreamOutcome;
use super::twiml::{Verb, answer};
use super::{Inner, WebhookState, now};
use crate::telemetry::{Pii, metric};
use crate::telephony::signature::{TWILIO_HEADER, verify_twilio};
use crate::web::tokens::StreamGrant;

/// What a caller hears when all lines are busy. Twilio's voice speaks it: ours have their hands full.
pub const BUSY_SENTENCE: &str = "All our lines are busy right now. Please call again in a few minutes. Goodbye.";
/// What a caller hears when the call broke.
pub const APOLOGY_SENTENCE: &str = "We are sorry, something went wrong on our side. Please call again. Goodbye.";

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
    let from = form.get("From").map_or("", String::as_str);
    if inner.limit.check(from).is_err() {
        refused("rate");
        return answer(&[Verb::RejectBusy]);
    }
    if let Err(error) = inner.admission.admit() {
        refused(error.label());
        return answer(&[Verb::Say(BUSY_SENTENCE), Verb::Hangup]);
    }
    let number = |name: &str| form.get(name).filter(|number| !number.is_empty()).cloned().map(Pii::new);
    let grant =
        StreamGrant { provider: "twilio", provider_call_id: call_sid.clone(), from: number("From"), to: number("To") };
    let token = inner.tokens.issue(now(), grant);
    answer(&[
        Verb::Stream {
            url: &format!("{}/media/twilio", inner.websocket_url),
            status_callback: &format!("{}/voice/twilio/status", inner.base_url),
            parameters: &[("token", token.expose())],
        },
        Verb::Redirect(&format!("{}/voice/twilio/after", inner.base_url)),
    ])
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
    match state.0.outcomes.look_up(call_sid) {
        StreamOutcome::Ended => answer(&[Verb::Hangup]),
        StreamOutcome::Busy => answer(&[Verb::Say(BUSY_SENTENCE), Verb::Hangup]),
        StreamOutcome::Failed => {
            info!("A caller hears an apology: the stream broke or never came");
            answer(&[Verb::Say(APOLOGY_SENTENCE), Verb::Hangup])
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

fn refused(reason: &'static str) {
    counter!(metric::CALLS_REFUSED, "provider" => "twilio", "reason" => reason).increment(1);
    info!(reason, "Call refused: {reason}");
}

/// The form, if Twilio signed it.
fn signed_form(inner: &Inner, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<HashMap<String, String>> {
    let secret = inner.twilio_auth_token.expose();
    if secret.is_empty() && !inner.twilio_warned.swap(true, Ordering::Relaxed) {
        warn!("Twilio's webhooks are refused: `twilio.auth_token` is not set, so their signatures can't be checked");
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let signature = headers.get(TWILIO_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if verify_twilio(secret, &format!("{}{path}", inner.base_url), &fields, signature) {
        return Some(fields.into_iter().collect());
    }
    counter!(metric::SIGNATURE_REJECTED, "provider" => "twilio").increment(1);
    debug!("Webhook refused: its signature is not that of {} with our `twilio.auth_token`", inner.base_url);
    None
}
