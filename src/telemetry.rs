//! Span, field and metric names in one dictionary, logging set-up, and [`Pii`], the wrapper that keeps people out of logs.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
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

/// Dotted fields of spans and log lines, the same wherever they appear. Undotted ones are local to their line.
///
/// A request has a span `request`, a media websocket one `media`, a call one `call`; what happens inside carries their
/// fields. Text, numbers and tokens are never fields.
pub const FIELDS: &[(&str, &str)] = &[
    ("agent.id", "the account of the person who took the call"),
    ("call.id", "the call, from first to last byte"),
    ("call.provider", "row name of the provider the call came through"),
    ("client.address", "address of a client whose sign-in was refused"),
    ("handoff.id", "one wish for a person"),
    ("http.method", "method of a request"),
    ("http.route", "pattern of the route a request matched; never the path or query as sent"),
    ("llm.avg_logprob", "mean log-probability of a reply's tokens"),
    ("llm.choice", "letter the model picked, with its certainty"),
    ("llm.duration_ms", "transcript to the first clause of the reply"),
    ("llm.first_token_ms", "request to the first token of a reply"),
    ("llm.model", "which model of the chain is asked"),
    ("llm.total_ms", "request to the last token of a reply"),
    ("message.id", "a voice message or callback wish"),
    ("offer.id", "one offer to one agent"),
    ("stream.id", "one media websocket, as its provider names it"),
    ("stt.duration_ms", "time a decode took"),
    ("tts.duration_ms", "clause to its first audible frame"),
    ("user.id", "an account; the same as the agent's"),
];

/// Upper bounds of all histograms, in seconds. Dense where a caller begins to wonder, open to what is broken.
pub const BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0];

/// How often [`keep_metrics`] tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts collecting metrics; `/metrics` renders the handle. A process collects once: later calls get the same handle.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = metrics_builder().install_recorder()?;
    describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Until `stop`: folds what was measured into the buckets, so that memory stays bounded if nobody reads `/metrics`.
pub async fn keep_metrics(handle: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

fn metrics_builder() -> PrometheusBuilder {
    PrometheusBuilder::new().set_buckets(BUCKETS).expect("there are buckets")
}

/// Registers every metric's help text.
fn describe() {
    for &(name, kind, help) in metric::ALL {
        match kind {
            metric::Kind::Counter => metrics::describe_counter!(name, help),
            metric::Kind::Gauge => metrics::describe_gauge!(name, help),
            metric::Kind::Histogram => metrics::describe_histogram!(name, metrics::Unit::Seconds, help),
        }
    }
}

/// Metric names, labels in braces. A new one goes into [`metric::ALL`] too, which gives it its help text.
pub mod metric {
    /// Calls started {provider}.
    pub const CALLS_STARTED: &str = "warmline_calls_started_total";
    /// Calls going on now.
    pub const CALLS_LIVE: &str = "warmline_calls_live";
    /// Calls refused before they began {provider, reason}.
    pub const CALLS_REFUSED: &str = "warmline_calls_refused_total";
    /// Webhooks refused for a bad signature {provider}.
    pub const SIGNATURE_REJECTED: &str = "warmline_signature_rejected_total";
    /// Provider messages skipped {provider, reason}.
    pub const MESSAGES_SKIPPED: &str = "warmline_messages_skipped_total";
    /// 20 ms frames dropped {leg, reason}.
    pub const FRAMES_DROPPED: &str = "warmline_frames_dropped_total";
    /// Last caller sample to first audible reply frame, seconds.
    pub const RESPONSE_SECONDS: &str = "warmline_response_seconds";
    /// One stage of a turn, seconds {stage: endpointing, stt, llm, tts}.
    pub const STAGE_SECONDS: &str = "warmline_stage_seconds";
    /// Speech-to-text jobs waiting.
    pub const STT_QUEUE: &str = "warmline_stt_queue";
    /// What speech to text leaves out: 0 nothing, 1 partials, 2 speculations, 3 the large model, 4 finals.
    pub const STT_LOAD: &str = "warmline_stt_load";
    /// Decodes refused under load {kind: final, speculative, talk, partial, background}.
    pub const STT_SHED: &str = "warmline_stt_shed_total";
    /// Submission of a decode to its begin, seconds {kind: final, speculative, talk, partial, background}.
    pub const STT_WAIT_SECONDS: &str = "warmline_stt_wait_seconds";
    /// One decode, seconds {model}.
    pub const STT_DECODE_SECONDS: &str = "warmline_stt_decode_seconds";
    /// Final transcripts that took back words shown before as standing.
    pub const STT_CORRECTED: &str = "warmline_stt_corrected_total";
    /// Transcripts refused by a guard {guard}.
    pub const STT_GUARD: &str = "warmline_stt_guard_total";
    /// Handoffs created {reason}.
    pub const HANDOFFS: &str = "warmline_handoffs_total";
    /// How handoffs ended {outcome}.
    pub const HANDOFF_OUTCOMES: &str = "warmline_handoff_outcomes_total";
    /// Request for a person to offer on an agent's socket, seconds.
    pub const OFFER_SECONDS: &str = "warmline_offer_seconds";
    /// Offers that ended {result}.
    pub const OFFERS: &str = "warmline_offers_total";
    /// Claims of callers whose offer was accepted {result}.
    pub const CLAIMS: &str = "warmline_claims_total";
    /// Request for a person to caller and person hearing each other, seconds.
    pub const WAIT_SECONDS: &str = "warmline_wait_seconds";
    /// Conversations of callers with people, hold excluded, seconds.
    pub const TALK_SECONDS: &str = "warmline_talk_seconds";
    /// Agents' work after a conversation, seconds.
    pub const WRAP_UP_SECONDS: &str = "warmline_wrap_up_seconds";
    /// Share of the last half-hour's callers answered in time.
    pub const SERVICE_LEVEL: &str = "warmline_service_level";
    /// Share of the last half-hour's callers who left while queued.
    pub const ABANDONED_RATIO: &str = "warmline_abandoned_ratio";
    /// Share of the last half-hour's agent time spent on contacts.
    pub const OCCUPANCY: &str = "warmline_occupancy";
    /// How long the first in line has waited, seconds.
    pub const LONGEST_WAIT: &str = "warmline_longest_wait";
    /// Callbacks that are over {end}.
    pub const CALLBACKS: &str = "warmline_callbacks_total";
    /// Callers waiting for a person.
    pub const QUEUE_LENGTH: &str = "warmline_queue_length";
    /// Agents by state {state}.
    pub const AGENTS: &str = "warmline_agents";
    /// Engine failures {engine}.
    pub const ENGINE_FAILURES: &str = "warmline_engine_failures_total";
    /// Restarts of the embedded language model.
    pub const LLM_RESTARTS: &str = "warmline_llm_restarts_total";
    /// Times the caller spoke over playback and stopped it.
    pub const BARGE_INS: &str = "warmline_barge_ins_total";
    /// Records given up because the database failed for too long.
    pub const RECORDS_LOST: &str = "warmline_records_lost_total";

    /// What a metric counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Kind {
        /// Only grows.
        Counter,
        /// Goes up and down.
        Gauge,
        /// A distribution in [`BUCKETS`](super::BUCKETS).
        Histogram,
    }

    /// Every metric with its help text. Labels in braces.
    pub const ALL: &[(&str, Kind, &str)] = &[
        (CALLS_STARTED, Kind::Counter, "Calls started {provider}."),
        (CALLS_LIVE, Kind::Gauge, "Calls going on now."),
        (CALLS_REFUSED, Kind::Counter, "Calls refused before they began {provider, reason}."),
        (SIGNATURE_REJECTED, Kind::Counter, "Webhooks refused for a bad signature {provider}."),
        (MESSAGES_SKIPPED, Kind::Counter, "Provider messages skipped {provider, reason}."),
        (FRAMES_DROPPED, Kind::Counter, "20 ms frames dropped {leg, reason}."),
        (RESPONSE_SECONDS, Kind::Histogram, "Last caller sample to first audible reply frame, seconds."),
        (STAGE_SECONDS, Kind::Histogram, "One stage of a turn, seconds {stage: endpointing, stt, llm, tts}."),
        (STT_QUEUE, Kind::Gauge, "Speech-to-text jobs waiting."),
        (
            STT_LOAD,
            Kind::Gauge,
            "What is left out: 0 nothing, 1 partials, 2 speculations, 3 the large model, 4 finals.",
        ),
        (STT_SHED, Kind::Counter, "Decodes refused under load {kind: final, speculative, talk, partial, background}."),
        (
            STT_WAIT_SECONDS,
            Kind::Histogram,
            "Submission of a decode to its begin {kind: final, speculative, talk, partial, background}.",
        ),
        (STT_DECODE_SECONDS, Kind::Histogram, "One decode {model}."),
        (STT_CORRECTED, Kind::Counter, "Final transcripts that took back words shown before as standing."),
        (STT_GUARD, Kind::Counter, "Transcripts refused by a guard {guard}."),
        (HANDOFFS, Kind::Counter, "Handoffs created {reason}."),
        (HANDOFF_OUTCOMES, Kind::Counter, "How handoffs ended {outcome}."),
        (OFFER_SECONDS, Kind::Histogram, "Request for a person to offer on an agent's socket, seconds."),
        (OFFERS, Kind::Counter, "Offers that ended {result}."),
        (CLAIMS, Kind::Counter, "Claims of callers whose offer was accepted {result: won, lost, alone}."),
        (WAIT_SECONDS, Kind::Histogram, "Request for a person to caller and person hearing each other, seconds."),
        (TALK_SECONDS, Kind::Histogram, "Conversations of callers with people, hold excluded, seconds."),
        (WRAP_UP_SECONDS, Kind::Histogram, "Agents' work after a conversation, seconds."),
        (
            SERVICE_LEVEL,
            Kind::Gauge,
            "Share of the last half-hour's callers answered in time; NaN when there were none.",
        ),
        (
            ABANDONED_RATIO,
            Kind::Gauge,
            "Share of the last half-hour's callers who left while queued; NaN when there were none.",
        ),
        (
            OCCUPANCY,
            Kind::Gauge,
            "Share of the last half-hour's agent time spent on contacts; NaN when nobody was there.",
        ),
        (LONGEST_WAIT, Kind::Gauge, "How long the first in line has waited, seconds."),
        (CALLBACKS, Kind::Counter, "Callbacks that are over {end}."),
        (QUEUE_LENGTH, Kind::Gauge, "Callers waiting for a person."),
        (AGENTS, Kind::Gauge, "Agents by state {state}."),
        (ENGINE_FAILURES, Kind::Counter, "Engine failures {engine}."),
        (LLM_RESTARTS, Kind::Counter, "Restarts of the embedded language model."),
        (BARGE_INS, Kind::Counter, "Times the caller spoke over playback and stopped it."),
        (RECORDS_LOST, Kind::Counter, "Records given up because the database failed for too long."),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_listed_with_its_kind() {
        let named = include_str!("telemetry.rs").lines().filter(|line| line.contains(": &str = \"warmline_")).count();
        assert_eq!(named, metric::ALL.len(), "a metric is missing in metric::ALL, or listed twice");
        for (name, kind, help) in metric::ALL {
            let expected = match () {
                () if name.ends_with("_total") => metric::Kind::Counter,
                () if name.ends_with("_seconds") => metric::Kind::Histogram,
                () => metric::Kind::Gauge,
            };
            assert_eq!(*kind, expected, "{name}");
            assert!(!help.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_dotted_field_is_in_the_dictionary() {
        fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("sources are there") {
                let path = entry.expect("readable").path();
                match path.extension() {
                    None => sources(&path, found),
                    Some(extension) if extension == "rs" => found.push(path),
                    Some(_) => {}
                }
            }
        }
        let macros =
            regex::Regex::new(r"(?s)\b(?:trace|debug|info|warn|error)(?:_span)?!\((.*?)\)[;,\n]").expect("valid");
        let fields = regex::Regex::new(r"([a-z_]+(?:\.[a-z_]+)+) = ").expect("valid");
        let mut files = Vec::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let mut seen = 0;
        for file in files {
            let source = std::fs::read_to_string(&file).expect("readable");
            for line in macros.captures_iter(&source) {
                for field in fields.captures_iter(&line[1]) {
                    let listed = FIELDS.iter().any(|(name, _)| *name == &field[1]);
                    assert!(listed, "{} in {} is not in telemetry::FIELDS", &field[1], file.display());
                    seen += 1;
                }
            }
        }
        assert!(seen > 10, "only {seen} fields found: is the search broken?");
        assert!(FIELDS.is_sorted(), "sorted, so that nothing is listed twice");
    }

    #[test]
    fn metrics_come_with_help_and_buckets() {
        let recorder = metrics_builder().build_recorder();
        let page = metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(metric::CALLS_STARTED, "provider" => "twilio").increment(1);
            metrics::histogram!(metric::RESPONSE_SECONDS).record(0.8);
            recorder.handle().render()
        });
        assert!(page.contains("# HELP warmline_calls_started_total Calls started"), "{page}");
        assert!(page.contains("warmline_calls_started_total{provider=\"twilio\"} 1"), "{page}");
        assert!(page.contains("warmline_response_seconds_bucket{le=\"0.75\"} 0"), "{page}");
        assert!(page.contains("warmline_response_seconds_bucket{le=\"1\"} 1"), "{page}");
    }

    #[test]
    fn people_and_secrets_stay_out_of_debug_output() {
        assert_eq!(format!("{:?} {:?}", Pii::new("Kim"), Secret::new("key")), "<pii> <secret>");
    }
}
