//! `POST /api/v1/browser-call`: the landing page asks for a call and gets a token. `docs/browser-protocol.md` says how
//! it goes on.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use metrics::counter;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{OpenApi, ToSchema};

use super::limit::address_key;
use super::{WebhookState, now};
use crate::call::CallId;
use crate::call::handle::AdmitError;
use crate::telemetry::{Pii, metric};
use crate::web::error::Problem;
use crate::web::tokens::{StreamGrant, TOKEN_LIFETIME};

/// The description of this one operation, to be merged into the API's document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(browser_call))]
    struct Document;
    Document::openapi()
}

pub(super) fn routes() -> Router<WebhookState> {
    Router::new().route("/api/v1/browser-call", post(browser_call))
}

/// Where and with what to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrowserCall {
    /// Opens one call, once.
    pub token: String,
    /// The websocket to connect to.
    pub url: String,
    /// Seconds until the token is of no use.
    pub expires_in_s: u64,
}

/// Asks for a call from a browser tab.
#[utoipa::path(
    post,
    path = "/api/v1/browser-call",
    tag = "calls",
    extensions(("x-least-role" = json!("anyone"))),
    responses(
        (status = 200, description = "Connect to `url` and start with `token`", body = BrowserCall),
        (status = 403, description = "Asked by another site's page", body = Problem),
        (status = 404, description = "Browser calls are switched off"),
        (status = 429, description = "Too many calls from this address", body = Problem),
        (status = 503, description = "All lines are busy, or the server shuts down", body = Problem),
    )
)]
pub async fn browser_call(
    State(state): State<WebhookState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let inner = &*state.0;
    if !inner.browser_enabled {
        return StatusCode::NOT_FOUND.into_response();
    }
    // Another site could not read the answer, but use up its visitors' calls.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return no_call(StatusCode::FORBIDDEN, "cross_origin", "Calls are made from this server's own pages.");
    }
    if let Err(wait) = inner.gate.limit.check(&address_key(peer.ip())) {
        refused("rate");
        let message = "Too many calls from your address. Please try again in a minute.";
        let mut response = no_call(StatusCode::TOO_MANY_REQUESTS, "too_many_calls", message);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    if let Err(error) = inner.admission.admit() {
        refused(error.label());
        let message = match error {
            AdmitError::Busy => "All our lines are busy right now. Please try again in a few minutes.",
            AdmitError::Draining => "This server is about to restart. Please try again in a minute.",
        };
        return no_call(StatusCode::SERVICE_UNAVAILABLE, error.label(), message);
    }
    let grant = StreamGrant {
        provider: "browser",
        provider_call_id: CallId::generate().to_string(),
        from: Some(Pii::new(peer.ip().to_canonical().to_string())),
        to: None,
    };
    let token = inner.gate.tokens.issue(now(), grant);
    // Without a configured address the page's own is the best guess, and only that page sees the answer.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|_| !inner.has_public_url);
    let base = host.map_or_else(|| inner.gate.websocket_url.clone(), |host| format!("ws://{host}"));
    let call = BrowserCall {
        token: token.expose().clone(),
        url: format!("{base}/media/browser"),
        expires_in_s: TOKEN_LIFETIME.as_secs(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(call)).into_response()
}

fn refused(reason: &'static str) {
    counter!(metric::CALLS_REFUSED, "provider" => "browser", "reason" => reason).increment(1);
    info!(reason, "Call refused: {reason}");
}

fn no_call(status: StatusCode, code: &str, message: &str) -> Response {
    let body = Problem::new(code, message);
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
