//! Span, field and metric names in one dictionary, logging set-up, and [`Pii`], the wrapper that keeps people out of logs.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::config::TelemetryConfig;

/// Sends logs to stderr, as text or as one JSON object a line. Once a process; later calls change nothing.
pub fn init(config: &TelemetryConfig) {
    let filter: EnvFilter = config.log.parse().expect("the configuration's check accepted the filter");
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means somebody set up logging already, such as a test: then theirs stays.
    let _ = if config.json {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        logs.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
}

/// Something about a person: speech, text, a phone number, a name. Prints as `<pii>`; get at it on purpose.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Marks `value` as personal.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for a sink that may have it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value, owned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<pii>")
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// A password, key or token. Prints as `<secret>`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Marks `value` as secret.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Metric names. Labels in brackets; every one is registered with its help text in [`describe`].
pub mod metric {
    /// Calls started [provider].
    pub const CALLS_STARTED: &str = "warmline_calls_started_total";
    /// Calls going on now.
    pub const CALLS_LIVE: &str = "warmline_calls_live";
    /// Calls refused before they began [provider, reason].
    pub const CALLS_REFUSED: &str = "warmline_calls_refused_total";
    /// Webhooks refused for a bad signature [provider].
    pub const SIGNATURE_REJECTED: &str = "warmline_signature_rejected_total";
    /// Provider messages skipped [provider, reason].
    pub const MESSAGES_SKIPPED: &str = "warmline_messages_skipped_total";
    /// 20 ms frames dropped [leg, reason].
    pub const FRAMES_DROPPED: &str = "warmline_frames_dropped_total";
    /// Last caller sample to first audible reply frame, seconds.
    pub const RESPONSE_SECONDS: &str = "warmline_response_seconds";
    /// One stage of a turn, seconds [stage: endpointing, stt, llm, tts].
    pub const STAGE_SECONDS: &str = "warmline_stage_seconds";
    /// Speech-to-text jobs waiting.
    pub const STT_QUEUE: &str = "warmline_stt_queue";
    /// Transcripts refused by a guard [guard].
    pub const STT_GUARD: &str = "warmline_stt_guard_total";
    /// Handoffs created [reason].
    pub const HANDOFFS: &str = "warmline_handoffs_total";
    /// How handoffs ended [outcome].
    pub const HANDOFF_OUTCOMES: &str = "warmline_handoff_outcomes_total";
    /// Request for a person to offer on an agent's socket, seconds.
    pub const OFFER_SECONDS: &str = "warmline_offer_seconds";
    /// Callers waiting for a person.
    pub const QUEUE_LENGTH: &str = "warmline_queue_length";
    /// Agents by state [state].
    pub const AGENTS: &str = "warmline_agents";
    /// Engine failures [engine].
    pub const ENGINE_FAILURES: &str = "warmline_engine_failures_total";
    /// Restarts of the embedded language model.
    pub const LLM_RESTARTS: &str = "warmline_llm_restarts_total";
    /// Times the caller spoke over playback and stopped it.
    pub const BARGE_INS: &str = "warmline_barge_ins_total";
}
