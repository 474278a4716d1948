//! All routes in one place, and what holds for every one of them: headers, body limit, tracing, the cross-origin guard.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, MatchedPath, Request};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::{Router, middleware, routing};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::Level;

use super::auth::{Auth, cross_origin_guard};
use super::error::ApiError;
use super::health::Readiness;
use super::{api, health};
use crate::config::Config;
use crate::engine::tts::voice::Voice;
use crate::handoff::actor::DeskHandle;
use crate::library::Library;
use crate::live_plan::LivePlan;
use crate::outbound::callbacks::Callbacks;
use crate::outbound::phone_agents::PhoneAgents;
use crate::store::Store;

/// No request we know of has a longer body.
const MAX_BODY: usize = 64 * 1_024;

/// On every response. Scripts, worklets and styles come from files of ours only; a microphone is ours alone; nobody
/// frames us.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
         connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What handlers of [`api`] and [`health`] share.
pub struct AppState {
    /// The records.
    pub store: Arc<dyn Store>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Sign-in and roles.
    pub auth: Auth,
    /// Rendered at `/metrics`.
    pub metrics: PrometheusHandle,
    /// How the process is doing; the composition root writes it.
    pub readiness: watch::Receiver<Readiness>,
    /// Calls going on now.
    pub live_calls: Arc<dyn Fn() -> usize + Send + Sync>,
    /// What the assistant may say.
    pub knowledge: Library,
    /// People.
    pub desk: DeskHandle,
    /// When they are there, and who gets which caller.
    pub live_plan: LivePlan,
    /// How callers are spoken to.
    pub voice: Voice,
    /// Agents at telephones, where calls can be made.
    pub phones: Option<PhoneAgents>,
    /// Callers who are called back.
    pub callbacks: Callbacks,
    /// Folder of recordings; records hold file names in it.
    pub recordings: PathBuf,
}

impl FromRef<Arc<AppState>> for Auth {
    fn from_ref(state: &Arc<AppState>) -> Self {
        state.auth.clone()
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("recordings", &self.recordings).finish_non_exhaustive()
    }
}

/// Routers of the other parts of the surface, each with its state.
#[derive(Debug, Default)]
pub struct Parts {
    /// `/media/{provider}` and the tokens that open it from a browser.
    pub media: Router,
    /// `/voice/{provider}/…`.
    pub webhooks: Router,
    /// `/agent/ws`.
    pub agent: Router,
    /// `/` and whatever nothing else answers.
    pub console: Router,
}

/// The whole HTTP surface. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: sign-in limits and
/// `/metrics` need the client's address.
pub fn router(state: Arc<AppState>, parts: Parts) -> Router {
    let auth = state.auth.clone();
    let is_https = state.config.server.base_url().starts_with("https:");
    // Probes and scrapes come every few seconds and say nothing about callers: they are not traced.
    let probes = health::router(state.clone());
    let traced = Router::new()
        .merge(api::router(state))
        .merge(parts.media)
        .merge(parts.webhooks)
        .merge(parts.agent)
        .route("/api/{*rest}", routing::any(async || ApiError::NotFound { what: "endpoint" }))
        .fallback_service(parts.console)
        .layer(middleware::from_fn_with_state(auth, cross_origin_guard))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(request_span)
                .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                // A failure is logged where it is turned into a response, with its cause.
                .on_failure(()),
        );
    let mut router = traced.merge(probes);
    for (name, value) in HEADERS {
        router = router.layer(SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value)));
    }
    if is_https {
        let value = HeaderValue::from_static("max-age=31536000");
        router = router.layer(SetResponseHeaderLayer::if_not_present(header::STRICT_TRANSPORT_SECURITY, value));
    }
    router
}

/// The route's pattern, never the path or the query as sent: those may hold tokens and numbers.
fn request_span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    tracing::info_span!("request", http.method = %request.method(), http.route = route)
}
