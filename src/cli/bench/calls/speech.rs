//! Callers who speak and are answered, more and more of them at once.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::latency::{free_address, speak};
use super::super::{Metric, percentile};
use super::Args;
use crate::app::App;
use crate::audio::units::SampleRate;
use crate::cli::CliError;
use crate::cli::call::player::{CallPlayer, Dial};
use crate::config::{Config, LlmMode};
use crate::telemetry::Secret;

/// Share of the time a caller speaks.
const SPEAKING: f64 = 0.35;
/// Questions of one caller in one measurement.
const QUESTIONS: usize = 6;
/// Silence after which a reply is over.
const PAUSE: Duration = Duration::from_millis(700);
/// Longest wait for an answer; longer is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// One caller more each time, until the bound breaks.
pub(super) async fn run(args: &Args, mut config: Config) -> Result<Vec<Metric>, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::failed(format!("no temporary folder: {error}"), ""))?;
    config.server.listen = free_address()?;
    config.server.public_url = String::new();
    // It is no answer.
    config.turn.filler_ms = 0;
    config.server.data_dir = folder.path().to_owned();
    config.server.max_calls = args.most + 1;
    config.server.calls_per_minute_per_caller = 10_000;
    config.providers.twilio.auth_token = Secret::new(super::echo::SECRET.to_owned());
    // What is measured is hearing: a stand-in answers, in a sentence that is spoken from the cache.
    config.llm.engine = LlmMode::Stub;
    config.dialog.verbatim_score = 1.01;
    let questions: Vec<Vec<i16>> = speak(&config, 20).await?.into_iter().map(|(_, pcm)| pcm).collect();
    let base = config.server.base_url();
    let mut app = App::start(config).await?;
    app.warmed_up().await;
    app.prepared().await;
    let mut metrics = Vec::new();
    let mut best = 0;
    for callers in 1..=args.most {
        let (answered, unanswered) = together(&base, callers, &questions).await?;
        let p95 = percentile(&answered, 0.95);
        tracing::info!(callers, response_ms_p95 = p95, unanswered, "Held {callers} callers");
        metrics.push(Metric::new("calls", format!("response_ms_p95_{callers}_calls"), p95, "ms", answered.len()));
        metrics.push(Metric::new(
            "calls",
            format!("unanswered_{callers}_calls"),
            unanswered as f64,
            "turns",
            answered.len() + unanswered,
        ));
        if p95 > args.bound_ms || unanswered > 0 {
            break;
        }
        best = callers;
    }
    app.stop().await;
    metrics.push(Metric::new("calls", "transcribing_calls", best as f64, "calls", best));
    Ok(metrics)
}

/// `callers` at once, each with its own questions in turn. Response times, and questions without an answer.
async fn together(base: &str, callers: usize, questions: &[Vec<i16>]) -> Result<(Vec<f64>, usize), CliError> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let mut dial = Dial::new(base, "twilio");
        dial.auth_token = Secret::new(super::echo::SECRET.to_owned());
        dial.from = format!("+1500555{:04}", 1_000 + caller);
        let mine: Vec<_> = (0..QUESTIONS).map(|n| questions[(caller * 7 + n) % questions.len()].clone()).collect();
        tasks.spawn(ask(dial, mine, Duration::from_millis(350 * caller as u64)));
    }
    let (mut answered, mut unanswered) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (times, missed) = done
            .map_err(|error| error.to_string())
            .and_then(|result| result)
            .map_err(|error| CliError::failed(format!("a test call failed: {error}"), ""))?;
        answered.extend(times);
        unanswered += missed;
    }
    Ok((answered, unanswered))
}

async fn ask(dial: Dial, questions: Vec<Vec<i16>>, after: Duration) -> Result<(Vec<f64>, usize), String> {
    sleep(after).await;
    let mut player = CallPlayer::connect(&dial).await.map_err(|error| error.to_string())?;
    player.wait_reply_end(PAUSE, PATIENCE).await.map_err(|error| error.to_string())?;
    let (mut answered, mut unanswered) = (Vec::new(), 0);
    for pcm in questions {
        let begun = Instant::now();
        let speech = SampleRate::WIDEBAND.span_of(pcm.len()).duration();
        player.play("question", &pcm).await.map_err(|error| error.to_string())?;
        match player.wait_reply_end(PAUSE, PATIENCE).await {
            Ok(reply) => answered.push(reply.response_ms as f64),
            Err(_) => unanswered += 1,
        }
        // The share of the time in which this caller speaks is kept by waiting.
        let whole = speech.div_f64(SPEAKING);
        player.wait(whole.saturating_sub(begun.elapsed())).await.map_err(|error| error.to_string())?;
    }
    player.hangup().await;
    Ok((answered, unanswered))
}
