//! `warmline bench handoff`: callers given to people over real sockets, with everything going wrong that can.
//!
//! A whole server in this process, on a port of the loopback; ears and mouth are stand-ins, all else is real. First one
//! caller after another with one agent who accepts at once: `offer_ms` is the time from the caller's key to the offer on
//! the agent's socket, `bridge_ms` that from accepting until each has heard the other, the assistant's introduction of
//! 100 ms included. Then many callers and agents at once, and faults by chance (`ground.rs`, `agent.rs`, `caller.rs`): tabs are
//! closed or loaded anew in each state, microphones stay silent, offers are accepted twice, declined, ignored, or answer themselves,
//! and callers hang up in each state. Everybody has a tone of their own, so that who hears whom is heard and not believed.
//!
//! - `lost_callers`: wanted a person, did not hang up, and had none within a minute.
//! - `double_bridges`: two agents with one caller or two callers with one agent, by messages or by ear.
//! - `stuck_agents`: not available again 20 s after the last caller had gone.
//! - `restart_lost`: the server's process was killed while the caller waited, was offered or spoke with a person, and the caller
//!   came back and reached nobody, or did not come back and is on no list (`restart.rs`).
//! - `server_killed_waiting`, `…_offered`, `…_bridged`: how often the server's process was killed among all of it, when somebody was
//!   there, and started again (`house.rs`). Half of the callers are at telephones then, whose provider brings them back; a
//!   browser's caller calls again. None of these may be lost either.
//! - `unclosed_records`: calls, handoffs and offers without an end in the database afterwards.
//!
//! What is decided by chance follows from the seed; what happens at the same time does not, because time is real.

mod agent;
mod caller;
pub(super) mod ground;
mod house;
mod restart;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::agent::Agent;
use self::caller::{Caller, Ending, HangsUp};
use self::ground::{Board, Ground, MOST_AGENTS, Where, draw, within};
use self::house::House;
use super::{Metric, percentile};
use crate::cli::CliError;
use crate::cli::bench::bridge::SECRET;
use crate::cli::call::player::Dial;
use crate::config::Config;
use crate::telemetry::Secret;

/// Arguments of `warmline bench handoff`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Callers among faults
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Callers at once
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=200))]
    callers: u64,
    /// Agents
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=MOST_AGENTS as u64))]
    agents: u64,
    /// Callers one after another whose waits are measured
    #[arg(long, default_value_t = 50)]
    measured: usize,
    /// Times the server's process is killed among them and started again; one in forty unless told
    #[arg(long)]
    kills: Option<usize>,
    /// Times the server's process is killed under a single caller, who comes back or does not
    #[arg(long, default_value_t = 6)]
    restarts: usize,
    /// Used by the benchmark itself: be the server that is killed, at this address
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
    /// The server's folder
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

/// Runs the benchmark.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    if let Some(listen) = args.serve {
        let folder = args.folder.unwrap_or_default();
        return house::serve(config, listen, &folder, args.callers as usize).await.map(|()| Vec::new());
    }
    let mut metrics = Vec::new();
    let mut unclosed = 0;
    let mut push = |name: String, value: f64, unit: &'static str, n: usize| {
        metrics.push(Metric::new("handoff", name, value, unit, n));
    };
    if args.measured > 0 {
        let (offers, bridges) = calm(&args, config.clone()).await?;
        for (name, values) in [("offer_ms", &offers), ("bridge_ms", &bridges)] {
            for (suffix, p) in [("p50", 0.5), ("p95", 0.95)] {
                push(format!("{name}_{suffix}"), percentile(values, p), "ms", values.len());
            }
        }
    }
    if args.runs > 0 {
        let Stormy { lost, double, stuck, books, faults, served } = stormy(&args, config).await?;
        unclosed += books.unclosed;
        let names = [("lost_callers", &lost), ("double_bridges", &double), ("stuck_agents", &stuck)];
        for (name, all) in names {
            for one in all.iter().take(20) {
                tracing::error!(seed = args.seed, "{name}: {one}");
            }
        }
        push("lost_callers".to_owned(), lost.len() as f64, "", args.runs);
        push("double_bridges".to_owned(), double.len() as f64, "", args.runs);
        push("stuck_agents".to_owned(), stuck.len() as f64, "", args.agents as usize);
        push("unclosed_records".to_owned(), unclosed as f64, "", books.calls);
        push("served".to_owned(), served as f64, "calls", args.runs);
        for (name, count) in faults {
            push(name.to_owned(), count as f64, "", args.runs);
        }
    }
    if args.restarts > 0 {
        let restart::Restarts { served, lost, on_the_list, unclosed } = restart::run(args.restarts).await?;
        for one in &lost {
            tracing::error!("lost with a restart: {one}");
        }
        push("restart_lost".to_owned(), lost.len() as f64, "", args.restarts);
        push("restart_served".to_owned(), served as f64, "calls", args.restarts);
        push("restart_on_the_list".to_owned(), on_the_list as f64, "calls", args.restarts);
        push("restart_unclosed_records".to_owned(), unclosed as f64, "", args.restarts);
    }
    Ok(metrics)
}

/// Short deadlines: what they end is looked at here, not how long they are.
fn with_short_deadlines(mut config: Config) -> Config {
    config.handoff.offer_timeout_s = 2;
    config.handoff.reoffer_after_s = 1;
    config.handoff.resume_s = 2;
    config.handoff.wrap_up_s = 1;
    config.routing.resume_abandoned_s = 0;
    // Two are asked at once, so that two may accept; and an offer may answer itself.
    let keys = [("name", toml::Value::from("everybody")), ("parallel", 2.into()), ("auto_answer_s", 1.into())];
    config.routing.queues = vec![keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()];
    config
}

/// One caller after another. Times to the offer and to hearing each other.
async fn calm(args: &Args, config: Config) -> Result<(Vec<f64>, Vec<f64>), CliError> {
    let failed = |error: String| CliError::failed(format!("a measured call failed: {error}"), "");
    let mut config = with_short_deadlines(config);
    config.routing.queues.clear();
    let ground = Ground::open(config, 1, 1).await?;
    let board = Board::default();
    let (end, over) = watch::channel(false);
    let mut agents = JoinSet::new();
    agents.spawn(person(args, (ground.base.clone(), ground.tokens[0].clone()), 0, &board, &over, false).run());
    let (mut offers, mut bridges) = (Vec::new(), Vec::new());
    for run in 0..args.measured as u64 {
        sleep(Duration::from_millis(400)).await;
        *board.see() = ground::Seen::default();
        let presses_after = within(200, 700, draw(args.seed, 30, run, 0));
        let caller = Caller {
            dial: Dial::new(&ground.base, "browser"),
            hangs_up: HangsUp::Served,
            agents: 1,
            board: board.clone(),
            presses_after,
        };
        match caller.run().await.map_err(failed)? {
            Ending::Served => {}
            other => return Err(failed(format!("{other:?}"))),
        }
        let seen = board.see();
        let (Some(pressed), Some(offered), Some(accepted), Some(agent_heard), Some(caller_heard)) =
            (seen.pressed, seen.offered, seen.accepted, seen.agent_heard, seen.caller_heard)
        else {
            return Err(failed(format!("something was not heard: {seen:?}")));
        };
        offers.push((offered - pressed).as_secs_f64() * 1_000.0);
        bridges.push((agent_heard.max(caller_heard) - accepted).as_secs_f64() * 1_000.0);
    }
    let _ = end.send(true);
    drain(agents).await.map_err(failed)?;
    ground.close().await?;
    Ok((offers, bridges))
}

struct Stormy {
    lost: Vec<String>,
    double: Vec<String>,
    stuck: Vec<String>,
    books: ground::Books,
    faults: BTreeMap<&'static str, usize>,
    served: usize,
}

/// Everybody at once.
async fn stormy(args: &Args, config: Config) -> Result<Stormy, CliError> {
    let failed = |error: String| CliError::failed(format!("the measurement broke off: {error}"), "");
    let callers = args.callers as usize;
    let config = with_short_deadlines(config);
    let kills = args.kills.unwrap_or(args.runs / 40);
    let server = match kills {
        0 => Server::Here(Ground::open(config, args.agents as usize, callers).await?),
        _ => Server::Apart(House::open(config, args.agents as usize, callers).await?),
    };
    let (base, tokens) = server.reached();
    let board = Board::default();
    let (end, over) = watch::channel(false);
    let (last, no_more) = watch::channel(false);
    let mut agents = JoinSet::new();
    for (number, token) in tokens.into_iter().enumerate() {
        agents.spawn(person(args, (base.clone(), token), number, &board, &over, true).run());
    }
    let mut standing = JoinSet::new();
    standing.spawn(server.stand(board.clone(), args.seed, no_more));
    sleep(Duration::from_millis(500)).await;
    let (mut lost, mut served, mut running) = (Vec::new(), 0, JoinSet::new());
    for run in 0..args.runs {
        if running.len() >= callers {
            note(running.join_next().await, &mut lost, &mut served).map_err(failed)?;
        }
        if let Some(kill) = (0..kills).find(|kill| (kill + 1) * args.runs / (kills + 1) == run) {
            board.see().armed = Some(Where::ALL[kill % Where::ALL.len()]);
        }
        let at_a_telephone = kills > 0 && run % 2 == 1;
        let run = run as u64;
        let mut hangs_up = HangsUp::drawn(args.seed, run);
        let mut dial = Dial::new(&base, "browser");
        if at_a_telephone {
            hangs_up = hangs_up.at_a_telephone();
            dial = Dial::new(&base, "twilio");
            dial.auth_token = Secret::new(SECRET.to_owned());
            (dial.call_id, dial.from) = (Some(format!("CA{run:032}")), format!("+1500556{run:04}"));
        }
        if let Some(name) = hangs_up.name() {
            board.fault(name);
        }
        let caller = Caller {
            dial,
            hangs_up,
            agents: args.agents as usize,
            board: board.clone(),
            presses_after: within(50, 600, draw(args.seed, 31, run, 0)),
        };
        running.spawn(async move { (run, caller.run().await) });
    }
    while !running.is_empty() {
        note(running.join_next().await, &mut lost, &mut served).map_err(failed)?;
    }
    let _ = last.send(true);
    let server = standing.join_next().await.and_then(Result::ok).ok_or_else(|| failed("nobody kills".to_owned()))??;
    let _ = end.send(true);
    let stuck = drain(agents).await.map_err(failed)?;
    let books = server.close().await?;
    let (double, faults) = (board.double_bridges(), std::mem::take(&mut board.see().faults));
    Ok(Stormy { lost, double, stuck, books, faults, served })
}

/// Where callers and agents go.
enum Server {
    /// In this process.
    Here(Ground),
    /// In one of its own, which is killed.
    Apart(House),
}

impl Server {
    /// Where, and with which token each agent.
    fn reached(&self) -> (String, Vec<Secret<String>>) {
        match self {
            Self::Here(ground) => (ground.base.clone(), ground.tokens.clone()),
            Self::Apart(house) => (house.base.clone(), house.tokens.clone()),
        }
    }

    /// Lives through it.
    async fn stand(self, board: Board, seed: u64, over: watch::Receiver<bool>) -> Result<Self, CliError> {
        match self {
            Self::Here(ground) => Ok(Self::Here(ground)),
            Self::Apart(house) => house.stand(board, seed, over).await.map(Self::Apart),
        }
    }

    async fn close(self) -> Result<ground::Books, CliError> {
        match self {
            Self::Here(ground) => ground.close().await,
            Self::Apart(house) => house.close().await,
        }
    }
}

fn person(
    args: &Args,
    (base, token): (String, Secret<String>),
    number: usize,
    board: &Board,
    over: &watch::Receiver<bool>,
    faults: bool,
) -> Agent {
    Agent { base, token, number, seed: args.seed, board: board.clone(), faults, over: over.clone() }
}

type Done = Option<Result<(u64, Result<Ending, String>), tokio::task::JoinError>>;

fn note(done: Done, lost: &mut Vec<String>, served: &mut usize) -> Result<(), String> {
    let Some(done) = done else { return Ok(()) };
    match done.map_err(|error| error.to_string())? {
        (_, Ok(Ending::Served)) => *served += 1,
        (_, Ok(Ending::HungUp)) => {}
        (run, Ok(Ending::Lost(why))) => lost.push(format!("run {run}: {why}")),
        (run, Err(error)) => return Err(format!("run {run}: {error}")),
    }
    Ok(())
}

/// Waits for the agents; those who were stuck.
async fn drain(mut agents: JoinSet<Result<Option<String>, String>>) -> Result<Vec<String>, String> {
    let mut stuck = Vec::new();
    while let Some(done) = agents.join_next().await {
        stuck.extend(done.map_err(|error| error.to_string())??);
    }
    Ok(stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn among_faults_nobody_is_lost_doubled_or_stuck() {
        let (kills, serve, folder) = (Some(0), None, None);
        let args = Args { runs: 24, seed: 7, callers: 6, agents: 4, measured: 3, kills, restarts: 0, serve, folder };
        let metrics = run(args, Config::default()).await.expect("runs");
        let value = |name: &str| metrics.iter().find(|metric| metric.metric == name).expect(name).value;
        for name in ["lost_callers", "double_bridges", "stuck_agents", "unclosed_records"] {
            assert_eq!(value(name), 0.0, "{name}: {metrics:?}");
        }
        assert!(value("served") > 0.0 && value("offer_ms_p50") > 0.0 && value("bridge_ms_p50") > 0.0, "{metrics:?}");
    }
}
