//! `warmline bench latency`: from the last caller sample to the first audible reply, stage by stage.
//!
//! A server of its own on a free port, with the configured engines; calls through the Twilio dialect in real time; the
//! questions are spoken by the configured voice (recordings of people asking about the demo company do not exist). What
//! the caller's side measures is `response_ms`; the stages come from the call's records.
//!
//! - With `--peer`: a call to us and a call to each peer in turn, with the same questions; `peer1.response_ms_…` is what the
//!   caller measures there, `peer1.our_share_p50|p95` ours as a share of it.
//! - With `--url`: calls to that server alone; without a `ws://` address its webhook is asked first, as its provider does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tokio::sync::mpsc;

use super::peer::Peer;
use super::{Metric, percentile};
use crate::app::App;
use crate::app::engines::load_voice;
use crate::cli::call::dialect::secret_of;
use crate::cli::call::event::{Event, TimedEvent};
use crate::cli::call::player::{CallPlayer, Dial};
use crate::cli::call::{CallError, provider_name};
use crate::cli::{CliError, explain};
use crate::config::{Config, LlmMode};
use crate::dialog::knowledge::Knowledge;
use crate::dialog::speakable::speakable;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, Priority};
use crate::store::sqlite::SqliteStore;
use crate::store::{CallQuery, Store, TurnRecord, TurnTimings};
use crate::telemetry::Secret;
use crate::telephony::protocol::Speaker;

/// Turns of one call; a real caller asks no more, and each call begins with an empty history.
const TURNS_A_CALL: usize = 5;
/// Longest wait for an answer; longer is no answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Silence after which the next question is asked.
const PAUSE: Duration = Duration::from_millis(900);
/// A score no entry reaches: every answer is generated.
const NEVER_VERBATIM: f32 = 1.01;

/// Questions of different shapes that the demo company's entries answer.
const QUESTIONS: [&str; 20] = [
    "What are your opening hours on Sunday?",
    "How long does delivery take?",
    "Can I return a lamp I bought two weeks ago?",
    "When will I get my refund?",
    "Do you deliver to Ireland?",
    "How can I pay?",
    "My parcel arrived broken, what should I do?",
    "Where is my order?",
    "Can I still change my order?",
    "How long is a gift card valid?",
    "What is the warranty on garden furniture?",
    "My plant died after a month, can you help?",
    "Can I pick up my order in the shop?",
    "What is your postal address?",
    "How do I get the newsletter discount?",
    "Do you match prices of other shops?",
    "I forgot my password.",
    "What does delivery cost for a big parcel?",
    "Who pays for the return shipping?",
    "Are you open on Saturday evening?",
];

/// Arguments of `warmline bench latency`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which language model answers
    #[arg(long, value_enum, default_value = "local")]
    llm: Model,
    /// Questions asked
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    turns: u32,
    /// Let the model answer everything, even where an approved sentence fits
    #[arg(long)]
    generated: bool,
    /// Write one JSON object a turn: what was said and where its time went; `scripts/plot` draws it
    #[arg(long, value_name = "F.jsonl")]
    turns_file: Option<PathBuf>,
    /// A program that answers calls in Twilio's dialect; may be given several times
    #[arg(long = "peer", value_name = "COMMAND")]
    peers: Vec<String>,
    /// Call this server instead of one of our own, such as ws://127.0.0.1:4100/ws or http://127.0.0.1:8080
    #[arg(long, value_name = "URL", value_parser = server_url, conflicts_with_all = ["peers", "turns_file", "llm", "generated"])]
    url: Option<String>,
    /// Whose dialect to speak with the server at URL
    #[arg(long, value_name = "NAME", value_parser = provider_name, default_value = "twilio", requires = "url")]
    provider: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Model {
    /// A stand-in: 150 ms to the first token, then 40 a second; answers everything
    Stub,
    /// The configured one
    Local,
}

/// Runs the benchmark.
pub async fn run(args: Args, mut config: Config) -> Result<Vec<Metric>, CliError> {
    if let Some(url) = &args.url {
        let questions = speak(&config, args.turns as usize).await?;
        let mut server = Answerer::new(url, &args.provider);
        server.dial.auth_token = secret_of(&args.provider, &config.providers);
        for call in questions.chunks(TURNS_A_CALL) {
            server.ask(call).await?;
        }
        return Ok(server.metrics(""));
    }
    let folder = tempfile::tempdir().map_err(|error| CliError::failed(format!("no temporary folder: {error}"), ""))?;
    let secret = Secret::new("bench".to_owned());
    config.server.listen = free_address()?;
    config.server.public_url = String::new();
    // It is no answer.
    config.turn.filler_ms = 0;
    config.server.data_dir = folder.path().to_owned();
    config.server.calls_per_minute_per_caller = 10_000;
    config.providers.twilio.auth_token = secret.clone();
    if args.llm == Model::Stub {
        config.llm.engine = LlmMode::Stub;
    }
    if args.llm == Model::Stub || args.generated {
        config.dialog.verbatim_score = NEVER_VERBATIM;
    }
    let questions = speak(&config, args.turns as usize).await?;
    let mut app = App::start(config.clone()).await?;
    app.warmed_up().await;
    // As on a server that has been up for some minutes.
    app.prepared().await;
    let mut us = Answerer::new(&config.server.base_url(), "twilio");
    us.dial.auth_token = secret;
    let programs = Peer::start_all(&args.peers).await?;
    let mut peers = programs.iter().map(called).collect::<Result<Vec<_>, _>>()?;
    for call in questions.chunks(TURNS_A_CALL) {
        us.ask(call).await?;
        for peer in &mut peers {
            peer.ask(call).await?;
        }
    }
    app.stop().await;
    let turns = measured(&config, &records(&config, folder.path()).await?);
    if let Some(path) = &args.turns_file {
        write_turns(path, &turns)?;
    }
    let mut metrics = us.metrics("");
    metrics.extend(stages(&turns));
    for (n, (peer, program)) in (1..).zip(peers.iter().zip(&programs)) {
        eprintln!("peer{n} is {}", program.name);
        metrics.extend(peer.metrics(&format!("peer{n}.")));
        metrics.extend(us.as_share_of(peer, n));
    }
    Ok(metrics)
}

/// Whoever answers the calls, and what the caller measured there.
struct Answerer {
    dial: Dial,
    responses: Vec<f64>,
    greetings: Vec<f64>,
    asked: usize,
    unanswered: usize,
}

impl Answerer {
    fn new(url: &str, provider: &str) -> Self {
        let is_socket = url.starts_with("ws");
        let mut dial = Dial::new(if is_socket { "" } else { url }, provider);
        dial.socket = is_socket.then(|| url.to_owned());
        Self { dial, responses: Vec::new(), greetings: Vec::new(), asked: 0, unanswered: 0 }
    }

    /// One call with these questions.
    async fn ask(&mut self, call: &[(&str, Vec<i16>)]) -> Result<(), CliError> {
        let failed = |error| CliError::failed(format!("a test call failed: {error}"), "");
        let mut player = CallPlayer::connect(&self.dial).await.map_err(failed)?;
        player.wait_reply_end(PAUSE, PATIENCE).await.map_err(failed)?;
        self.greetings.extend(greeting_ms(&player.events(0)));
        self.asked += call.len();
        for (n, (text, pcm)) in call.iter().enumerate() {
            let reply = match player.play(text, pcm).await {
                Ok(()) => player.wait_reply_end(PAUSE, PATIENCE).await,
                Err(error) => Err(error),
            };
            match reply {
                Ok(reply) => self.responses.push(reply.response_ms as f64),
                Err(CallError::NoReply { .. }) => self.unanswered += 1,
                Err(error) => {
                    eprintln!("a call broke off: {}", explain(&error));
                    self.unanswered += call.len() - n;
                    break;
                }
            }
        }
        player.hangup().await;
        Ok(())
    }

    fn metrics(&self, who: &str) -> Vec<Metric> {
        let mut metrics = both(&format!("{who}response_ms"), &self.responses);
        metrics.extend(both(&format!("{who}greeting_ms"), &self.greetings));
        let unanswered = self.unanswered as f64;
        metrics.push(Metric::new("latency", format!("{who}unanswered"), unanswered, "turns", self.asked));
        metrics
    }

    /// Our times as a share of a peer's. Turns that were never answered count for nobody.
    fn as_share_of(&self, peer: &Self, n: usize) -> Vec<Metric> {
        let share = |name: &str, p| {
            let share = percentile(&self.responses, p) / percentile(&peer.responses, p).max(1.0);
            Metric::new("latency", format!("peer{n}.our_share_{name}"), share, "ratio", peer.responses.len())
        };
        vec![share("p50", 0.5), share("p95", 0.95)]
    }
}

fn called(peer: &Peer) -> Result<Answerer, CliError> {
    let no_socket = || CliError::failed(format!("peer {}: it names no `url` to call", peer.name), "");
    peer.url.as_deref().map(|url| Answerer::new(url, "twilio")).ok_or_else(no_socket)
}

fn server_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("must begin with http://, https://, ws:// or wss://".to_owned())
    }
}

/// A free port on the loopback.
pub(in crate::cli) fn free_address() -> Result<std::net::SocketAddr, CliError> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| CliError::failed(format!("no free port on the loopback: {error}"), ""))
}

/// The questions as sound, 16 kHz.
pub(super) async fn speak(config: &Config, turns: usize) -> Result<Vec<(&'static str, Vec<i16>)>, CliError> {
    let voice = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || load_voice(&config, &CpuBudget::from_config(&config.cpu)))
            .await
            .map_err(|error| CliError::failed(format!("the voice could not be loaded: {error}"), ""))??
    };
    let mut spoken = Vec::new();
    for text in QUESTIONS.into_iter().cycle().take(turns) {
        let (chunks, mut sound) = mpsc::channel(1_024);
        let failed = |error| CliError::failed(format!("a question could not be spoken: {error}"), "");
        voice.speak(speakable(text), Priority::Background, CancelFlag::new(), chunks).await.map_err(failed)?;
        let mut pcm = Vec::new();
        while let Some(chunk) = sound.recv().await {
            pcm.extend_from_slice(&chunk);
        }
        spoken.push((text, pcm));
    }
    Ok(spoken)
}

async fn records(config: &Config, data: &Path) -> Result<Vec<TurnRecord>, CliError> {
    let failed = |error| CliError::failed(format!("the calls' records can't be read: {error}"), "");
    let store = SqliteStore::open(&config.database.url, data).await.map_err(failed)?;
    let query = CallQuery { limit: 200, ..CallQuery::default() };
    let mut turns = Vec::new();
    for call in store.list_calls(&query).await.map_err(failed)? {
        turns.extend(store.get_call(call.id).await.map_err(failed)?.into_iter().flat_map(|detail| detail.turns));
    }
    Ok(turns)
}

/// One answered turn, as its record has it.
#[derive(Debug, Serialize)]
struct MeasuredTurn {
    /// `approved`: word for word; `generated`: by the model; `fixed`: a sentence that answers nothing.
    kind: &'static str,
    text: String,
    #[serde(flatten)]
    timings: TurnTimings,
}

fn measured(config: &Config, turns: &[TurnRecord]) -> Vec<MeasuredTurn> {
    let approved: Vec<String> = Knowledge::load(&config.dialog.knowledge_dir)
        .map(|knowledge| {
            let answers = knowledge.entries().iter().flat_map(|entry| &entry.answers);
            answers.map(|answer| answer.approved.clone()).collect()
        })
        .unwrap_or_default();
    let said = turns.iter().filter(|turn| turn.who == Speaker::Assistant);
    said.filter_map(|turn| {
        let kind = if turn.entries.is_empty() {
            "fixed"
        } else if approved.contains(&turn.text) {
            "approved"
        } else {
            "generated"
        };
        turn.timings.map(|timings| MeasuredTurn { kind, text: turn.text.clone(), timings })
    })
    .collect()
}

fn write_turns(path: &Path, turns: &[MeasuredTurn]) -> Result<(), CliError> {
    let lines: String =
        turns.iter().map(|turn| serde_json::to_string(turn).expect("plain data serialises") + "\n").collect();
    std::fs::write(path, lines)
        .map_err(|error| CliError::failed(format!("{} can't be written: {error}", path.display()), ""))
}

/// From our start message to the first frame of the greeting.
fn greeting_ms(events: &[TimedEvent]) -> Option<f64> {
    let at = |wanted: Event| events.iter().find(|timed| timed.event == wanted).map(|timed| timed.at_ms);
    Some(at(Event::FirstAudio)?.saturating_sub(at(Event::Connected)?) as f64)
}

/// Median and 95th percentile.
fn both(name: &str, values: &[f64]) -> Vec<Metric> {
    let metric = |(suffix, share)| {
        Metric::new("latency", format!("{name}_{suffix}"), percentile(values, share), "ms", values.len())
    };
    [("p50", 0.5), ("p95", 0.95)].map(metric).to_vec()
}

/// Where the time of our turns went.
fn stages(turns: &[MeasuredTurn]) -> Vec<Metric> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for MeasuredTurn { kind, timings, .. } in turns {
        for (stage, ms) in [
            ("endpointing_ms".to_owned(), timings.endpointing_ms),
            ("stt_ms".to_owned(), timings.stt_ms),
            ("llm_ms".to_owned(), timings.llm_ms),
            ("tts_ms".to_owned(), timings.tts_ms),
            ("decode_ms".to_owned(), timings.decode_ms),
            (format!("{kind}_response_ms"), timings.response_ms),
        ] {
            samples.entry(stage).or_default().push(f64::from(ms));
        }
    }
    samples.iter().flat_map(|(name, values)| both(name, values)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(responses: &[f64], unanswered: usize) -> Answerer {
        let mut answerer = Answerer::new("ws://127.0.0.1:9/ws", "twilio");
        (answerer.responses, answerer.unanswered) = (responses.to_vec(), unanswered);
        answerer.asked = responses.len() + unanswered;
        answerer
    }

    fn value(metrics: &[Metric], name: &str) -> (f64, usize) {
        let metric = metrics.iter().find(|metric| metric.metric == name).expect("it is there");
        (metric.value, metric.n)
    }

    #[test]
    fn a_peer_stands_beside_us_with_what_it_never_answered() {
        let (us, peer) = (answered(&[600.0, 700.0, 900.0], 0), answered(&[2_000.0, 3_500.0], 1));
        let metrics = peer.metrics("peer1.");
        assert_eq!(value(&metrics, "peer1.response_ms_p95"), (3_500.0, 2));
        assert_eq!(value(&metrics, "peer1.unanswered"), (1.0, 3));
        let shares = us.as_share_of(&peer, 1);
        assert_eq!(value(&shares, "peer1.our_share_p50"), (0.35, 2));
        assert_eq!(value(&shares, "peer1.our_share_p95"), (0.257, 2));
    }

    #[test]
    fn a_socket_is_called_as_it_is_and_a_server_through_its_webhook() {
        assert_eq!(Answerer::new("ws://a.example/ws", "twilio").dial.socket.as_deref(), Some("ws://a.example/ws"));
        let server = Answerer::new("http://127.0.0.1:8080", "telnyx").dial;
        assert_eq!((server.socket, server.base.as_str()), (None, "http://127.0.0.1:8080"));
        assert!(server_url("ws://127.0.0.1:1/ws/").is_ok_and(|url| !url.ends_with('/')));
        assert!(server_url("ftp://a.example").is_err() && server_url("127.0.0.1").is_err());
    }
}
