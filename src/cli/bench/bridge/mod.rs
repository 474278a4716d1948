//! `warmline bench bridge`: how many callers and people may talk with each other through us.
//!
//! A whole server in a process of its own (ears and mouth are stand-ins, voice is detected by loudness, nothing is
//! recognised) and, in another, callers at a provider's sockets and agents at sockets of `docs/agent-protocol.md`. Each
//! caller presses `0`, is offered, taken, introduced and bridged; then both talk, 20 ms at a time, while frames are counted.
//! A frame's lateness is how much later it came than the quickest frame of its party, so the delays of those who measure are
//! part of it. Calls are added until the 99th percentile passes 20 ms.
//!
//! - `bridged_calls`: the most that went well; `lateness_ms_p99` and `bridge_added_ms_*` at half of that.
//! - `bridge_added_ms`: from a frame's leaving one party to its first sample at the other, in both directions. A jitter
//!   buffer, and the 20 ms in which a frame is collected, are the client's and not in it.
//! - `mem_per_call_kb`: the server's growth from nobody to all, both sockets included; `core_ms_per_call_second`: its own time
//!   on cores, whoever else wants them.
//!
//! The server has the first two cores. With more than two, the others belong to those who measure; with two, all share them.

mod people;
mod probe;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, timeout};

pub(super) use self::serve::SECRET;
use super::Metric;
use super::process::{Search, cpu_ms, helper, resident_kb};
use crate::cli::{CliError, say_json};
use crate::config::Config;

/// Later than this is late.
const LATE_MS: f64 = 20.0;
/// What the first attempt asks.
const FIRST_CALLS: usize = 64;
/// More calls than this are not tried: sockets run out first.
const MOST_CALLS: usize = 4_096;
/// How long the server may take to come up, and a measurement to be done, beyond its own time.
const PATIENCE: Duration = Duration::from_secs(180);

/// Arguments of `warmline bench bridge`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Hold so many calls, instead of looking for the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_CALLS as u64))]
    calls: Option<u64>,
    /// Begin the search for the most calls here
    #[arg(long, default_value_t = FIRST_CALLS, value_name = "N")]
    from_calls: usize,
    /// Seconds each number of calls is held
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// Whose sockets callers come on
    #[arg(long, value_name = "NAME", default_value = "twilio", value_parser = ["twilio", "browser"])]
    provider: String,
    /// Record the calls, too
    #[arg(long)]
    record: bool,
    /// Cores of the server, as taskset lists them; the first two unless told
    #[arg(long, value_name = "LIST")]
    server_cores: Option<String>,
    /// Cores of callers and agents; those the server leaves, or the same ones
    #[arg(long, value_name = "LIST")]
    people_cores: Option<String>,
    /// Used by the benchmark itself for its two helper processes
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,
    /// The server's folder, for a helper
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Joins them.
    Serve,
    /// Callers and agents.
    People,
}

/// What the server tells callers and agents.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct People {
    pub(super) base: String,
    /// One an agent.
    pub(super) tokens: Vec<String>,
}

/// What callers and agents measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    /// Pairs that were joined in time.
    bridged: usize,
    lateness_ms_p99: f64,
    frames: usize,
    /// Frames that did not come.
    missing: usize,
    added_ms_p50: f64,
    added_ms_p95: f64,
    /// What these two are made of.
    bursts: usize,
}

impl Measured {
    /// Whether the server kept up. A hundredth of the frames may be on their way at the end.
    fn is_good(&self, calls: usize) -> bool {
        self.bridged == calls && self.lateness_ms_p99 <= LATE_MS && self.missing * 100 <= self.frames
    }
}

/// What a server took for each call.
#[derive(Clone, Copy, Debug, Default)]
struct Took {
    memory_kb: f64,
    core_ms_per_call_second: f64,
}

/// Runs the benchmark, or one of its helper processes.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let calls = args.calls.map(|calls| calls as usize);
    match args.role {
        Some(Role::Serve) => {
            let folder = args.folder.unwrap_or_default();
            serve::serve(config, &folder, calls.unwrap_or(1), args.record).await.map(|()| Vec::new())
        }
        Some(Role::People) => {
            let read = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await;
            let read = read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string()));
            let people = read.and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
            let people = people.map_err(|error| CliError::failed(format!("whom to call is not said: {error}"), ""))?;
            say_json(&people::run(people, &args.provider, Duration::from_secs(args.seconds)).await?)?;
            Ok(Vec::new())
        }
        None => measure(&args, calls).await,
    }
}

async fn measure(args: &Args, calls: Option<usize>) -> Result<Vec<Metric>, CliError> {
    if let Some(calls) = calls {
        let (measured, took) = attempt(args, calls).await?;
        let mut metrics = vec![metric("bridged_calls", measured.bridged as f64, "calls", calls)];
        metrics.extend(told(&measured));
        metrics.extend(taken(&took, calls));
        return Ok(metrics);
    }
    let (mut search, mut next) = (Search::up_to(MOST_CALLS), Some(args.from_calls.clamp(1, MOST_CALLS)));
    let mut took = Took::default();
    while let Some(calls) = next {
        let (measured, here) = attempt(args, calls).await?;
        tracing::info!(calls, lateness_ms_p99 = measured.lateness_ms_p99, "Held {calls} bridged calls");
        if measured.is_good(calls) {
            took = here;
        }
        next = search.tried(calls, measured.is_good(calls));
    }
    let Some(found) = search.found() else {
        return Ok(vec![metric("bridged_calls", 0.0, "calls", search.too_many().unwrap_or(0))]);
    };
    let (half, _) = attempt(args, (found / 2).max(1)).await?;
    let mut metrics = vec![metric("bridged_calls", found as f64, "calls", found)];
    metrics.extend(told(&half));
    metrics.extend(taken(&took, found));
    Ok(metrics)
}

fn metric(name: &str, value: f64, unit: &'static str, n: usize) -> Metric {
    Metric::new("bridge", name, value, unit, n)
}

fn told(measured: &Measured) -> [Metric; 4] {
    [
        metric("lateness_ms_p99", measured.lateness_ms_p99, "ms", measured.frames),
        metric("missing_frames", measured.missing as f64, "frames", measured.frames),
        metric("bridge_added_ms_p50", measured.added_ms_p50, "ms", measured.bursts),
        metric("bridge_added_ms_p95", measured.added_ms_p95, "ms", measured.bursts),
    ]
}

fn taken(took: &Took, calls: usize) -> [Metric; 2] {
    [
        metric("mem_per_call_kb", took.memory_kb, "kB", calls),
        metric("core_ms_per_call_second", took.core_ms_per_call_second, "ms", calls),
    ]
}

/// Which cores the server gets, and which the others; with how many threads.
fn cores(args: &Args, there_are: usize) -> ((String, usize), (String, usize)) {
    let (server, people) = match there_are {
        0 | 1 => ("0".to_owned(), "0".to_owned()),
        2 => ("0-1".to_owned(), "0-1".to_owned()),
        3 => ("0-1".to_owned(), "2".to_owned()),
        more => ("0-1".to_owned(), format!("2-{}", more - 1)),
    };
    let server = args.server_cores.clone().unwrap_or(server);
    let people = args.people_cores.clone().unwrap_or(people);
    let (of_server, of_people) = (listed(&server), listed(&people));
    ((server, of_server), (people, of_people))
}

/// How many cores a list such as `0-1,4` names; at least one.
fn listed(cores: &str) -> usize {
    let span = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
            Some((last + 1).saturating_sub(first))
        }
        None => part.trim().parse::<usize>().ok().map(|_| 1),
    };
    cores.split(',').filter_map(span).sum::<usize>().max(1)
}

/// One server, so many calls for so long. Gives what callers and agents measured and what each call took of the server.
async fn attempt(args: &Args, calls: usize) -> Result<(Measured, Took), CliError> {
    let failed =
        |what: &str| CliError::failed(format!("the benchmark's {what} failed"), "Run it with a log: RUST_LOG=info.");
    let folder = tempfile::tempdir().map_err(|error| CliError::failed(format!("no temporary folder: {error}"), ""))?;
    let there_are = std::thread::available_parallelism().map_or(1, usize::from);
    let ((server_cores, server_threads), (people_cores, people_threads)) = cores(args, there_are);
    let (count, seconds) = (calls.to_string(), args.seconds.to_string());
    let path = folder.path().to_string_lossy().into_owned();
    let mut serve = vec!["bridge", "--role", "serve", "--calls", &count, "--folder", &path];
    if args.record {
        serve.push("--record");
    }
    let mut server = helper(&server_cores, server_threads, &serve)?;
    let mut lines = BufReader::new(server.stdout.take().ok_or_else(|| failed("server"))?).lines();
    let said = timeout(PATIENCE, lines.next_line()).await.ok().and_then(Result::ok).flatten();
    let people = said.ok_or_else(|| failed("server"))?;
    let empty = resident_kb(&server);
    let arguments = ["bridge", "--role", "people", "--provider", &args.provider, "--seconds", &seconds];
    let mut driver = helper(&people_cores, people_threads, &arguments)?;
    let mut input = driver.stdin.take().ok_or_else(|| failed("callers"))?;
    input.write_all(people.as_bytes()).await.map_err(|_| failed("callers"))?;
    drop(input);
    let mut said = BufReader::new(driver.stdout.take().ok_or_else(|| failed("callers"))?).lines();
    let (mut measured, mut full, mut begun, mut core_ms) = (None, 0, None, 0.0);
    let limit = PATIENCE + Duration::from_secs(args.seconds) + Duration::from_millis(60 * calls as u64);
    let listen = async {
        while let Ok(Some(line)) = said.next_line().await {
            // `begin`: all are joined. `full`: they have been for the whole time.
            match serde_json::from_str::<Measured>(&line) {
                Ok(result) => measured = Some(result),
                Err(_) if line == "begin" => begun = Some((Instant::now(), cpu_ms(&server))),
                Err(_) => {
                    full = resident_kb(&server);
                    if let Some((at, before)) = begun {
                        let span = at.elapsed().as_secs_f64().max(0.001);
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
    fn too_few_late_or_lost_is_not_good() {
        let measured = |bridged, lateness_ms_p99, missing| Measured {
            bridged,
            lateness_ms_p99,
            frames: 10_000,
            missing,
            added_ms_p50: 1.0,
            added_ms_p95: 2.0,
            bursts: 10,
        };
        assert!(measured(8, 20.0, 100).is_good(8));
        assert!(!measured(8, 20.1, 0).is_good(8));
        assert!(!measured(8, 1.0, 101).is_good(8));
        assert!(!measured(7, 1.0, 0).is_good(8));
    }

    #[test]
    fn the_server_has_two_cores_and_shares_them_only_where_there_are_no_more() {
        let args = |server: Option<&str>| Args {
            calls: None,
            from_calls: 1,
            seconds: 2,
            provider: "twilio".to_owned(),
            record: false,
            server_cores: server.map(str::to_owned),
            people_cores: None,
            role: None,
            folder: None,
        };
        let named = |server: Option<&str>, there_are| {
            let ((server, threads), (people, others)) = cores(&args(server), there_are);
            format!("{server}/{threads} {people}/{others}")
        };
        assert_eq!(named(None, 1), "0/1 0/1");
        assert_eq!(named(None, 2), "0-1/2 0-1/2");
        assert_eq!(named(None, 3), "0-1/2 2/1");
        assert_eq!(named(None, 8), "0-1/2 2-7/6");
        assert_eq!(named(Some("1,4-5"), 8), "1,4-5/3 2-7/6");
        assert_eq!(listed("junk"), 1);
    }
}
