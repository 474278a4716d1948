//! What lets calls in and remembers how they ended, shared by webhooks and media sockets: they are two halves of one
//! door. Time comes in as an argument.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::live::LiveStreams;
use super::tokens::StreamTokens;
use super::webhooks::limit::CallerLimit;
use super::webhooks::outcomes::StreamOutcomes;
use crate::config::{Config, ProvidersConfig};
use crate::telephony::signature::replay::ReplayCache;

/// The door.
pub struct Gate {
    /// Single-use tokens of streams.
    pub tokens: StreamTokens,
    /// How streams ended.
    pub outcomes: StreamOutcomes,
    /// Streams open now.
    pub live: Arc<LiveStreams>,
    /// New calls of one caller.
    pub limit: CallerLimit,
    /// Nonces of signatures.
    pub replays: ReplayCache,
    /// The providers' sections of the configuration.
    pub providers: ProvidersConfig,
    /// The address the server is known by, without a slash at the end.
    pub base_url: String,
    /// The same for websockets.
    pub websocket_url: String,
    warned: Mutex<BTreeSet<&'static str>>,
}

impl Gate {
    /// A door as configured.
    pub fn new(config: &Config) -> Self {
        Self {
            tokens: StreamTokens::default(),
            outcomes: StreamOutcomes::default(),
            live: Arc::default(),
            limit: CallerLimit::per_minute(config.server.calls_per_minute_per_caller),
            replays: ReplayCache::default(),
            providers: config.providers.clone(),
            base_url: config.server.base_url(),
            websocket_url: config.server.websocket_url(),
            warned: Mutex::default(),
        }
    }

    /// Whether this is the first time to say `what`: things an operator must hear once, and not with every request.
    pub fn first_warning(&self, what: &'static str) -> bool {
        self.warned.lock().expect("nothing panics while holding the warnings").insert(what)
    }
}

/// Seconds since 1970, for signatures with a time in them.
pub fn unix_s() -> i64 {
    jiff::Timestamp::now().as_second()
}
