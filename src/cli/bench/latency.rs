//! `warmline bench latency`: from the last caller sample to the first audible reply, stage by stage.
//!
//! A server of its own on a free port, with the configured engines; calls through the Twilio dialect in real time; the
//! questions are spoken by the configured voice (recordings of people asking about the demo company do not exist). What
//! the caller's side measures is `response_ms`; the stages come from the call's records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Metric, percentile};
use crate::app::App;
use crate::app::engines::load_voice;
use crate::cli::CliError;
use crate::cli::call::event::{Event, TimedEvent};
use crate::cli::call::player::{CallPlayer, Dial};
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
    let base = config.server.base_url();
    let questions = speak(&config, args.turns as usize).await?;
    let mut app = App::start(config.clone()).await?;
    app.warmed_up().await;
    // As on a server that has been up for some minutes.
    app.prepared().await;
    let (mut responses, mut greetings) = (Vec::new(), Vec::new());
    let mut unanswered = 0;
    for call in questions.chunks(TURNS_A_CALL) {
        let mut dial = Dial::new(&base, "twilio");
        dial.auth_token = secret.clone();
        let failed = |error| CliError::failed(format!("a test call failed: {error}"), "");
        let mut player = CallPlayer::connect(&dial).await.map_err(failed)?;
        player.wait_reply_end(PAUSE, PATIENCE).await.map_err(failed)?;
        greetings.extend(greeting_ms(&player.events(0)));
        for (text, pcm) in call {
            player.play(text, pcm).await.map_err(failed)?;
            match player.wait_reply_end(PAUSE, PATIENCE).await {
                Ok(reply) => responses.push(reply.response_ms as f64),
                Err(_) => unanswered += 1,
            }
        }
        player.hangup().await;
    }
    app.stop().await;
    let turns = measured(&config, &records(&config, folder.path()).await?);
    if let Some(path) = &args.turns_file {
        write_turns(path, &turns)?;
    }
    Ok(metrics(responses, greetings, unanswered, &turns))
}

/// A free port on the loopback.
pub(super) fn free_address() -> Result<std::net::SocketAddr, CliError> {
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

fn metrics(responses: Vec<f64>, greetings: Vec<f64>, unanswered: usize, turns: &[MeasuredTurn]) -> Vec<Metric> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    samples.insert("response_ms".to_owned(), responses);
    samples.insert("greeting_ms".to_owned(), greetings);
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
    let mut metrics = Vec::new();
    for (name, values) in samples {
        let n = values.len();
        for (suffix, share) in [("p50", 0.5), ("p95", 0.95)] {
            metrics.push(Metric::new("latency", format!("{name}_{suffix}"), percentile(&values, share), "ms", n));
        }
    }
    metrics.push(Metric::new("latency", "unanswered", unanswered as f64, "turns", turns.len()));
    metrics
}
