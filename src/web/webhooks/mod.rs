//! Requests that announce calls: providers' webhooks, and the landing page asking for one.
//!
//! Each is checked (signature, rate, room), then answered with a single-use token that lets the media stream in.

mod bandwidth;
pub mod browser;
mod dialled;
mod exotel;
mod form;
mod hold;
pub mod incoming;
pub mod jambonz;
pub mod limit;
mod moving;
pub mod outcomes;
mod pbx;
mod plivo;
mod signalwire;
mod telnyx;
mod trusted;
mod twilio;
mod twiml;
mod vonage;
pub mod xml;

pub(super) use pbx::dialable;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::carrier::Carrier;
use super::gate::Gate;
use crate::call::handle::AdmitError;
use crate::call::input::TransferNews;
use crate::config::Config;
use crate::engine::tts::voice::Voice;

/// Larger bodies are refused: a webhook's form has a few dozen short fields.
const MAX_BODY: usize = 64 * 1024;

/// Control sockets of calls, one a call. One more is turned away.
const MAX_CONTROL_SOCKETS: usize = 2_048;

/// What webhooks ask and tell the calls.
pub trait Admission: Send + Sync {
    /// `Ok` when a call could be opened now. Asked before a caller is put through to a stream; the stream asks again.
    fn admit(&self) -> Result<(), AdmitError>;

    /// Whether a caller is at a telephone outside, or on the way back from there.
    fn is_away(&self, _provider: &'static str, _call_id: &str) -> bool {
        false
    }

    /// Whether this caller's call was cut off when the process ended, and is awaited again.
    fn is_returning(&self, _provider: &'static str, _call_id: &str) -> bool {
        false
    }

    /// Somebody whom we call, under `key`, has answered: their stream is awaited under the provider's name. False when nobody
    /// waits for them any more.
    fn answered(&self, _provider: &'static str, _key: &str, _call_id: &str) -> bool {
        false
    }

    /// What became of a caller who was given to a telephone. Of no interest where nobody is given away.
    fn transferred(&self, _provider: &'static str, _call_id: &str, _news: TransferNews) {}
}

/// What webhooks need of the rest of the server.
#[derive(Clone)]
pub struct WebhookState(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    browser_enabled: bool,
    /// Whether the operator named the address people reach this server by.
    has_public_url: bool,
    admission: Arc<dyn Admission>,
    /// What control sockets run under.
    tracker: TaskTracker,
    cancel: CancellationToken,
    control_sockets: Arc<Semaphore>,
    carrier: Carrier,
    /// Speaks for providers that have no voice of their own.
    voice: Option<Voice>,
}

impl WebhookState {
    /// `gate` is that of [`super::media::MediaState`].
    pub fn new(config: &Config, gate: Arc<Gate>, admission: Arc<dyn Admission>) -> Self {
        Self(Arc::new(Inner {
            gate,
            browser_enabled: config.browser.enabled,
            has_public_url: !config.server.public_url.is_empty(),
            admission,
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
            control_sockets: Arc::new(Semaphore::new(MAX_CONTROL_SOCKETS)),
            carrier: Carrier::new(),
            voice: None,
        }))
    }

    /// Speaks with `voice` where the provider has none. Before the state is shared.
    pub fn with_voice(mut self, voice: Voice) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.voice = Some(voice);
        }
        self
    }

    /// Control sockets run under `tracker` and end with `cancel`, as media sockets do. Before the state is shared.
    pub fn with_sockets(mut self, tracker: TaskTracker, cancel: CancellationToken) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            (inner.tracker, inner.cancel) = (tracker, cancel);
        }
        self
    }
}

/// All of them. The browser's needs the peer's address: serve with `into_make_service_with_connect_info::<SocketAddr>`.
pub fn routes(state: WebhookState) -> Router {
    Router::new()
        .merge(browser::routes())
        .merge(jambonz::routes())
        .merge(vonage::routes())
        .merge(exotel::routes())
        .merge(bandwidth::routes())
        .merge(pbx::routes())
        .merge(form::routes(&twilio::TWILIO))
        .merge(form::routes(&signalwire::SIGNALWIRE))
        .merge(form::routes(&plivo::PLIVO))
        .merge(telnyx::routes())
        .merge(hold::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

/// tokio's clock, so that tests can stop it.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
