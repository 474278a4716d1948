//! Requests that announce calls: providers' webhooks, and the landing page asking for one.
//!
//! Each is checked (signature, rate, room), then answered with a single-use token that lets the media stream in.

pub mod browser;
pub mod limit;
pub mod outcomes;
pub mod twilio;
pub mod twiml;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use self::limit::CallerLimit;
use self::outcomes::StreamOutcomes;
use super::tokens::StreamTokens;
use crate::call::handle::AdmitError;
use crate::config::Config;
use crate::telemetry::Secret;

/// Larger bodies are refused: a webhook's form has a few dozen short fields.
const MAX_BODY: usize = 64 * 1024;

/// Whether there is room for one more call. Asked before a caller is put through to a stream; the stream asks again.
pub trait Admission: Send + Sync {
    /// `Ok` when a call could be opened now.
    fn admit(&self) -> Result<(), AdmitError>;
}

/// What webhooks need of the rest of the server.
#[derive(Clone)]
pub struct WebhookState(Arc<Inner>);

struct Inner {
    twilio_auth_token: Secret<String>,
    /// Said once that there is none.
    twilio_warned: AtomicBool,
    browser_enabled: bool,
    base_url: String,
    websocket_url: String,
    /// Whether the operator named the address people reach this server by.
    has_public_url: bool,
    tokens: Arc<StreamTokens>,
    outcomes: Arc<StreamOutcomes>,
    admission: Arc<dyn Admission>,
    limit: CallerLimit,
}

impl WebhookState {
    /// `tokens` and `outcomes` are those of [`super::media::MediaState`].
    pub fn new(
        config: &Config,
        tokens: Arc<StreamTokens>,
        outcomes: Arc<StreamOutcomes>,
        admission: Arc<dyn Admission>,
    ) -> Self {
        Self(Arc::new(Inner {
            twilio_auth_token: config.twilio.auth_token.clone(),
            twilio_warned: AtomicBool::new(false),
            browser_enabled: config.browser.enabled,
            base_url: config.server.base_url(),
            websocket_url: config.server.websocket_url(),
            has_public_url: !config.server.public_url.is_empty(),
            tokens,
            outcomes,
            admission,
            limit: CallerLimit::per_minute(config.server.calls_per_minute_per_caller),
        }))
    }
}

/// All of them. The browser's needs the peer's address: serve with `into_make_service_with_connect_info::<SocketAddr>`.
pub fn routes(state: WebhookState) -> Router {
    Router::new()
        .merge(twilio::routes())
        .merge(browser::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

/// tokio's clock, so that tests can stop it.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
