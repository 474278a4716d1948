//! `warmline bench growth`: what many short calls leave behind in a server's memory.
//!
//! A whole server in a process of its own (ears and mouth are stand-ins, nobody is there to answer) is called again and
//! again over Twilio's dialect: webhook, socket, greeting; one caller in `--asking` asks for a person with `0`; all hang up.
//! Memory is what the process holds resident when no call is up. The first `--warm` calls fill caches and pools and are
//! reckoned apart.
//!
//! - `growth_kb`: from after the warm calls to after all. `growth_warm_kb`: from the start to after the warm ones.
//! - `failed_calls`: no greeting came.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Metric;
use super::bridge::{People, SECRET};
use super::process::{helper, resident_kb};
use crate::cli::call::player::{CallPlayer, Dial};
use crate::cli::{CliError, explain};
use crate::telemetry::Secret;
use crate::telephony::protocol::Digit;

/// How long the server may take to come up.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a caller waits for the greeting.
const GREETED: Duration = Duration::from_secs(20);
/// What a call leaves behind is written and let go in this time.
const REST: Duration = Duration::from_secs(5);
/// Both halves of the work share these.
const CORES: (&str, usize) = ("0-1", 2);

/// Arguments of `warmline bench growth`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Calls in all, after the warm ones
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    calls: u64,
    /// Calls before memory is first reckoned
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    warm: u64,
    /// Calls at the same time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=200))]
    at_once: u64,
    /// Of so many callers one asks for a person; 0: nobody does
    #[arg(long, default_value_t = 2, value_name = "N")]
    asking: u64,
}

/// Runs the benchmark.
pub async fn run(args: Args) -> Result<Vec<Metric>, CliError> {
    let failed = |what: String| CliError::failed(what, "Run it with a log: RUST_LOG=info.");
    let folder = tempfile::tempdir().map_err(|error| failed(format!("no temporary folder: {error}")))?;
    let path = folder.path().to_string_lossy().into_owned();
    let (cores, threads) = CORES;
    let at_once = args.at_once.to_string();
    let mut server = helper(cores, threads, &["bridge", "--role", "serve", "--calls", &at_once, "--folder", &path])?;
    let output = server.stdout.take().ok_or_else(|| failed("the server has no output".to_owned()))?;
    let mut lines = BufReader::new(output).lines();
    let said = timeout(PATIENCE, lines.next_line()).await.ok().and_then(Result::ok).flatten();
    let people: People = said
        .and_then(|line| serde_json::from_str(&line).ok())
        .ok_or_else(|| failed("the server did not come up".to_owned()))?;
    let mut dial = Dial::new(&people.base, "twilio");
    dial.auth_token = Secret::new(SECRET.to_owned());

    let start = resident_kb(&server);
    let mut failures = call_often(&dial, args.warm, &args).await;
    let warm = rested(&server).await;
    failures += call_often(&dial, args.calls, &args).await;
    let end = rested(&server).await;
    let _ = (server.start_kill(), server.wait().await); // it may be gone already
    if end == 0 {
        return Err(failed("the server ended while it was called".to_owned()));
    }
    let metric = |name: &str, value: f64, unit, n: u64| Metric::new("growth", name, value, unit, n as usize);
    Ok(vec![
        metric("growth_kb", end as f64 - warm as f64, "kB", args.calls),
        metric("growth_warm_kb", warm as f64 - start as f64, "kB", args.warm),
        metric("resident_kb", end as f64, "kB", 1),
        metric("failed_calls", failures as f64, "calls", args.calls + args.warm),
    ])
}

async fn rested(server: &Child) -> u64 {
    sleep(REST).await;
    resident_kb(server)
}

/// So many calls, some at a time. Gives how many failed.
async fn call_often(dial: &Dial, calls: u64, args: &Args) -> u64 {
    let (mut under_way, mut failures) = (JoinSet::new(), 0);
    let count = |ended: Option<Result<bool, tokio::task::JoinError>>| u64::from(!matches!(ended, Some(Ok(true))));
    for number in 0..calls {
        if under_way.len() as u64 >= args.at_once {
            failures += count(under_way.join_next().await);
        }
        let dial = dial.clone();
        let asks = number.checked_rem(args.asking) == Some(0);
        under_way.spawn(async move { call(&dial, asks).await });
    }
    while let Some(ended) = under_way.join_next().await {
        failures += count(Some(ended));
    }
    failures
}

/// One short call; false if nobody greeted.
async fn call(dial: &Dial, asks: bool) -> bool {
    let mut player = match CallPlayer::connect(dial).await {
        Ok(player) => player,
        Err(error) => {
            tracing::debug!("A call failed: {}", explain(&error));
            return false;
        }
    };
    let greeted = player.wait_reply_start(GREETED).await.is_ok();
    if let Some(zero) = Digit::new('0').filter(|_| asks && greeted) {
        // The next thing is hanging up, whether that was heard or not.
        let _ = player.dtmf(zero).await;
    }
    player.hangup().await;
    greeted
}
