//! `warmline bench NAME`: numbers about this machine, with how many there were and how loaded it was.
//!
//! Each name is a file with `pub struct Args` (clap) and `pub async fn run(args, config) -> Result<Vec<Metric>, CliError>`.

mod bridge;
mod calls;
pub(super) mod conditions;
mod growth;
mod handoff;
pub(super) mod latency;
pub(super) mod noises;
pub(super) mod normalise;
mod peer;
mod process;
mod recordings;
mod retrieval;
mod routing;
mod stt;
mod turn;
pub(super) mod wer;

use clap::Subcommand;
use serde::Serialize;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{CliError, say, say_json};
use crate::config::Config;
use crate::web::media::READ_BUFFER;

/// Arguments of `warmline bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object a metric
    #[arg(long, global = true)]
    json: bool,
    /// What to measure.
    #[command(subcommand)]
    name: Name,
}

#[derive(Debug, Subcommand)]
enum Name {
    /// Callers and people bridged through the server, at once: how many, how late, how much memory
    Bridge(bridge::Args),
    /// Calls at once: with speech, or frames alone
    Calls(calls::Args),
    /// What many short calls leave behind in memory
    Growth(growth::Args),
    /// Callers given to people over real sockets, with faults: waits, and callers lost, doubled, agents stuck
    Handoff(handoff::Args),
    /// From the last caller sample to the first audible reply, stage by stage
    Latency(latency::Args),
    /// Finding an entry among many
    Retrieval(retrieval::Args),
    /// Giving callers to agents: decision time with a full house, fairness and waits beside models of other routers
    Routing(routing::Args),
    /// Speech to text: word error rate, time to the final transcript, words invented for noise
    Stt(stt::Args),
    /// Turn-taking: callers cut off, time to grow quiet and to stop, what stops us and should not
    Turn(turn::Args),
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    bench: &'static str,
    metric: String,
    value: f64,
    unit: &'static str,
    /// How many measurements it is made of.
    n: usize,
    /// The machine's load average over the last minute, ours included, when it was made.
    load: f64,
}

impl Metric {
    fn new(bench: &'static str, metric: impl Into<String>, value: f64, unit: &'static str, n: usize) -> Self {
        let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
        Self { bench, metric: metric.into(), value: round(value), unit, n, load: round(load()) }
    }
}

/// Runs `warmline bench`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let metrics = match args.name {
        Name::Bridge(bridge) => bridge::run(bridge, config).await?,
        Name::Calls(calls) => calls::run(calls, config).await?,
        Name::Growth(growth) => growth::run(growth).await?,
        Name::Handoff(handoff) => handoff::run(handoff, config).await?,
        Name::Latency(latency) => latency::run(latency, config).await?,
        Name::Retrieval(retrieval) => retrieval::run(retrieval, config).await?,
        Name::Routing(routing) => routing::run(routing, config).await?,
        Name::Stt(stt) => stt::run(stt, config).await?,
        Name::Turn(turn) => turn::run(turn, config).await?,
    };
    for metric in &metrics {
        if args.json {
            say_json(metric)?;
        } else {
            let Metric { metric, value, unit, n, load, .. } = metric;
            say(format!("{metric:<34} {value:>9} {unit:<5} n={n:<4} load={load}"))?;
        }
    }
    Ok(())
}

/// The value that a share of `p` (0 to 1) of `values` does not exceed; 0 for none.
pub(super) fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * p).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// For the sockets of those who call: the library's read buffer is zeroed for each read, which took 30 % of the callers' time
/// and so of the two cores they share with the server.
fn small_reads() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER)
}

/// Load average over the last minute; 0 where there is no `/proc`.
pub(super) fn load() -> f64 {
    let read = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    read.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.95), percentile(&values, 1.0)), (10.0, 19.0, 20.0));
        assert_eq!((percentile(&[7.0], 0.5), percentile(&[], 0.5)), (7.0, 0.0));
    }

    #[test]
    fn a_metric_is_one_flat_object() {
        let metric = Metric { load: 1.2, ..Metric::new("stt", "rtf", 0.123_456, "ratio", 40) };
        let json = serde_json::to_string(&metric).expect("plain data");
        assert_eq!(json, r#"{"bench":"stt","metric":"rtf","value":0.123,"unit":"ratio","n":40,"load":1.2}"#);
    }
}
