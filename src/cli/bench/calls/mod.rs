//! `warmline bench calls`: how many calls at once.
//!
//! - Media alone (`--media-only`): a server of its own on the first core takes calls through the real webhooks, driver and
//!   dialect and sends every frame back; the callers run on the second core. Calls are added until the 99th percentile of
//!   lateness passes 20 ms. A frame's lateness is how much later it came back than the quickest frame of its call, so the
//!   callers' own delays are part of it. `media_calls_per_core`, then `lateness_ms_p99` at half of that and
//!   `mem_per_call_kb`, the server's growth from no call to all. With `--calls` so many are held instead, for busy machines:
//!   `core_ms_per_call_second` is the server's own time on its core, whoever else wants it.
//! - With speech: a whole server in this process; callers who speak 35 % of the time. Callers are added until the 95th
//!   percentile of `response_ms` passes the bound or a question stays unanswered. `transcribing_calls`.

mod drive;
mod echo;
mod speech;

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{Instant, timeout};

use super::Metric;
use super::process::{Search, cpu_ms, helper, resident_kb};
use crate::cli::CliError;
use crate::config::Config;

/// Later than this is late.
const LATE_MS: f64 = 20.0;
/// What the first attempt asks of a core.
const FIRST_CALLS: usize = 64;
/// More calls than this are not tried: sockets run out first.
const MOST_CALLS: usize = 8_192;
/// How long a helper process may take to come up, and a measurement to be done, beyond its own time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `warmline bench calls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Frames only, sent back as they come: no speech is recognised
    #[arg(long)]
    media_only: bool,
    /// Whose dialects to measure with `--media-only`
    #[arg(long, value_name = "NAME", default_values = ["twilio", "browser"], value_delimiter = ',')]
    provider: Vec<String>,
    /// Seconds each number of calls is held
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// Begin the search for the most calls here
    #[arg(long, default_value_t = FIRST_CALLS, value_name = "N")]
    from_calls: usize,
    /// With speech: the 95th percentile of `response_ms` that is still good
    #[arg(long, default_value_t = 2_500.0, value_name = "MS")]
    bound_ms: f64,
    /// With speech: the most callers to try
    #[arg(long, default_value_t = 12, value_name = "N")]
    most: usize,
    /// Used by the benchmark itself for its two helper processes
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,
    /// The server to call, for a helper
    #[arg(long, hide = true)]
    url: Option<String>,
    /// With `--media-only`: hold so many calls, instead of looking for the most
    #[arg(long, value_name = "N")]
    calls: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Sends frames back.
    Echo,
    /// Makes the calls.
    Drive,
}

/// What a driving process measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    lateness_ms_p99: f64,
    frames: usize,
    /// Frames that did not come back.
    missing: usize,
}

impl Measured {
    /// Whether the server kept up. A hundredth of the frames may be on their way at the end.
    fn is_good(&self) -> bool {
        self.lateness_ms_p99 <= LATE_MS && self.missing * 100 <= self.frames
    }
}

/// Runs the benchmark, or one of its helper processes.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    match args.role {
        Some(Role::Echo) => echo::serve(config).await.map(|()| Vec::new()),
        Some(Role::Drive) => {
            let url = args.url.as_deref().unwrap_or_default();
            drive::run(url, &args.provider[0], args.calls.unwrap_or(1), Duration::from_secs(args.seconds)).await
        }
        None if args.media_only => media(&args).await,
        None => speech::run(&args, config).await,
    }
}

async fn media(args: &Args) -> Result<Vec<Metric>, CliError> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(CliError::failed("this needs two cores: one for the server, one for its callers".to_owned(), ""));
    }
    let mut metrics = Vec::new();
    for provider in &args.provider {
        if let Some(calls) = args.calls {
            metrics.extend(held(args, provider, calls.max(1)).await?);
            continue;
        }
        let (best, missed) = most_calls(args, provider).await?;
        let Some((calls, memory_kb)) = best else {
            metrics.push(Metric::new("calls", format!("media_calls_per_core_{provider}"), 0.0, "calls", missed));
            continue;
        };
        let (half, _) = attempt(args, provider, (calls / 2).max(1)).await?;
        let named = |name: &str| format!("{name}_{provider}");
        metrics.extend([
            Metric::new("calls", named("media_calls_per_core"), calls as f64, "calls", calls),
            Metric::new("calls", named("lateness_ms_p99"), half.lateness_ms_p99, "ms", half.frames),
            Metric::new("calls", named("mem_per_call_kb"), memory_kb, "kB", calls),
        ]);
    }
    Ok(metrics)
}

/// So many calls, and what they took.
async fn held(args: &Args, provider: &str, calls: usize) -> Result<[Metric; 4], CliError> {
    let (measured, server) = attempt(args, provider, calls).await?;
    let named = |name: &str| format!("{name}_{provider}");
    Ok([
        Metric::new("calls", named("core_ms_per_call_second"), server.core_ms_per_call_second, "ms", calls),
        Metric::new("calls", named("mem_per_call_kb"), server.memory_kb, "kB", calls),
        Metric::new("calls", named("lateness_ms_p99"), measured.lateness_ms_p99, "ms", measured.frames),
        Metric::new("calls", named("missing_frames"), measured.missing as f64, "frames", measured.frames),
    ])
}

/// What a server took for each call.
#[derive(Clone, Copy, Debug, Default)]
struct Took {
    memory_kb: f64,
    core_ms_per_call_second: f64,
}

/// The most calls that went well with the memory each took, and the fewest that did not.
async fn most_calls(args: &Args, provider: &str) -> Result<(Option<(usize, f64)>, usize), CliError> {
    let (mut search, mut next) = (Search::up_to(MOST_CALLS), Some(args.from_calls.clamp(1, MOST_CALLS)));
    let mut memory = 0.0;
    while let Some(calls) = next {
        let (measured, Took { memory_kb, .. }) = attempt(args, provider, calls).await?;
        tracing::info!(provider, calls, lateness_ms_p99 = measured.lateness_ms_p99, "Held {calls} calls");
        if measured.is_good() {
            memory = memory_kb;
        }
        next = search.tried(calls, measured.is_good());
    }
    Ok((search.found().map(|calls| (calls, memory)), search.too_many().unwrap_or(0)))
}

/// One server, so many calls for so long. Gives what the callers measured and what each call took of the server.
async fn attempt(args: &Args, provider: &str, calls: usize) -> Result<(Measured, Took), CliError> {
    let failed =
        |what: &str| CliError::failed(format!("the benchmark's {what} failed"), "Run it with a log: RUST_LOG=info.");
    let mut server = helper("0", 1, &["calls", "--role", "echo"])?;
    let mut lines = BufReader::new(server.stdout.take().ok_or_else(|| failed("server"))?).lines();
    let url = timeout(PATIENCE, lines.next_line())
        .await
        .ok()
        .and_then(Result::ok)
        .flatten()
        .ok_or_else(|| failed("server"))?;
    let empty = resident_kb(&server);
    let (count, seconds) = (calls.to_string(), args.seconds.to_string());
    let mut driver = helper(
        "1",
        1,
        &["calls", "--role", "drive", "--url", &url, "--provider", provider, "--calls", &count, "--seconds", &seconds],
    )?;
    let mut said = BufReader::new(driver.stdout.take().ok_or_else(|| failed("callers"))?).lines();
    let (mut measured, mut full, mut begun) = (None, 0, None);
    let mut core_ms = 0.0;
    let limit = PATIENCE + Duration::from_secs(args.seconds) + Duration::from_millis(20 * calls as u64);
    let listen = async {
        while let Ok(Some(line)) = said.next_line().await {
            // `begin`: all calls are up. `full`: they have been for the whole time.
            match serde_json::from_str::<Measured>(&line) {
                Ok(result) => measured = Some(result),
                Err(_) if line == "begin" => begun = Some((Instant::now(), cpu_ms(&server))),
                Err(_) => {
                    full = resident_kb(&server);
                    if let Some((at, before)) = begun {
                        let span = at.elapsed().as_secs_f64();
                        core_ms = cpu_ms(&server).saturating_sub(before) as f64 / span;
                    }
                }
            }
        }
    };
    let in_time = timeout(limit, listen).await.is_ok();
    let _ = driver.start_kill();
    let _ = (driver.wait().await, server.start_kill(), server.wait().await);
    match measured {
        Some(measured) if in_time => {
            let each = |all: f64| all / calls as f64;
            let memory_kb = each(full.saturating_sub(empty) as f64);
            Ok((measured, Took { memory_kb, core_ms_per_call_second: each(core_ms) }))
        }
        _ => Err(failed("callers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_or_lost_frames_are_not_good() {
        let measured = |lateness_ms_p99, missing| Measured { lateness_ms_p99, frames: 10_000, missing };
        assert!(measured(20.0, 100).is_good());
        assert!(!measured(20.1, 0).is_good());
        assert!(!measured(1.0, 101).is_good());
    }
}
