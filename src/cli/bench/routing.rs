//! `warmline bench routing`: how long a decision takes with a full house, and what callers and agents get of it, beside
//! models of Asterisk's `app_queue` and of Twilio's TaskRouter on the same callers.
//!
//! Nothing here waits: a day of a contact centre is played event by event (`handoff::sim`). Only deciding is timed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Metric, percentile};
use crate::cli::CliError;
use crate::config::Config;
use crate::handoff::routing::Moment;
use crate::handoff::sim::asterisk::{AppQueue, AppQueueStrategy};
use crate::handoff::sim::ours::{Ours, plan_for};
use crate::handoff::sim::report::{Report, report};
use crate::handoff::sim::taskrouter::TaskRouter;
use crate::handoff::sim::world::Scenario;
use crate::handoff::sim::{Dispatcher, Input, Output, play};

/// Arguments of `warmline bench routing`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Worlds that are played for each comparison
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Full houses in which every rule is looked at while they are played; one takes some seconds
    #[arg(long, default_value_t = 0)]
    checked: u64,
}

/// 200 agents, 1,000 callers waiting from the start and more coming than are served, faults of all kinds.
fn full_house(seed: u64) -> Scenario {
    Scenario {
        agents: 200,
        callers: 3_000,
        waiting_at_first: 1_000,
        load: 1.1,
        skills: 6,
        talk: Duration::from_secs(240),
        wrap_up: Duration::from_secs(30),
        patience: Duration::from_secs(3_600),
        unwilling_percent: 3,
        faults: true,
        seed,
    }
}

/// A support desk at 85 % load. Without `skills` all agents are alike.
fn desk(skills: usize, seed: u64) -> Scenario {
    Scenario {
        agents: 60,
        callers: 4_000,
        waiting_at_first: 0,
        load: 0.85,
        skills,
        patience: Duration::from_secs(180),
        faults: false,
        ..full_house(seed)
    }
}

/// Times what another dispatcher does.
struct Timed<D> {
    inner: D,
    spent_ms: Vec<f64>,
}

impl<D: Dispatcher> Timed<D> {
    fn time<T>(&mut self, work: impl FnOnce(&mut D) -> T) -> T {
        let began = Instant::now();
        let done = work(&mut self.inner);
        self.spent_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        done
    }
}

impl<D: Dispatcher> Dispatcher for Timed<D> {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        self.time(|inner| inner.step(now, input, out));
    }

    fn poll_timeout(&self) -> Option<Moment> {
        self.inner.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.time(|inner| inner.handle_timeout(now, out));
    }
}

/// Measures.
pub async fn run(args: Args, _: Config) -> Result<Vec<Metric>, CliError> {
    tokio::task::spawn_blocking(move || measure(&args))
        .await
        .map_err(|error| CliError::failed(format!("the measurement broke off: {error}"), ""))?
}

fn measure(args: &Args) -> Result<Vec<Metric>, CliError> {
    let mut metrics = Vec::new();
    let mut push = |name: String, value: f64, unit: &'static str, n: usize| {
        metrics.push(Metric::new("routing", name, value, unit, n));
    };
    let mut spent = Vec::new();
    for seed in 0..args.seeds.max(1) {
        let world = full_house(seed).world();
        let mut timed = Timed { inner: Ours::new(&world, plan_for(&world, false)), spent_ms: Vec::new() };
        let outcome = play(&world, &mut timed);
        sound(seed, outcome.fault)?;
        spent.extend(timed.spent_ms);
    }
    for (name, p) in [("decision_ms_p50", 0.5), ("decision_ms_p99", 0.99), ("decision_ms_max", 1.0)] {
        push(name.to_owned(), percentile(&spent, p), "ms", spent.len());
    }
    for seed in 0..args.checked {
        let world = full_house(seed).world();
        let mut ours = Ours::new(&world, plan_for(&world, seed % 2 == 1));
        ours.check_every = 50;
        let outcome = play(&world, &mut ours);
        let unended = outcome.stories.iter().position(|story| story.ends.len() != 1);
        let unended = unended.map(|caller| format!("caller {caller} did not end exactly once"));
        sound(seed, outcome.fault.or(ours.broken).or(unended))?;
    }
    push("broken_rules".to_owned(), 0.0, "", args.checked as usize);

    let (equal, skilled) = (compare(args, 0)?, compare(args, 6)?);
    for ((name, equal), (_, skilled)) in equal.iter().zip(&skilled) {
        let of = |metric: &str| if name == "warmline" { metric.to_owned() } else { format!("{metric}_{name}") };
        let mean = |all: &[Report], of: fn(&Report) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        let callers = |all: &[Report]| all.iter().map(|report| report.callers).sum();
        push(of("jain"), mean(equal, |report| report.jain), "ratio", callers(equal));
        push(of("jain_offers"), mean(equal, |report| report.jain_offers), "ratio", callers(equal));
        push(of("service_level"), mean(skilled, |report| report.service_level), "ratio", callers(skilled));
        push(of("asa_s"), mean(skilled, |report| report.asa.as_secs_f64()), "s", callers(skilled));
        push(of("wait_p90_s"), mean(skilled, |report| report.wait_p90.as_secs_f64()), "s", callers(skilled));
        push(of("abandoned"), mean(skilled, |report| report.abandoned), "ratio", callers(skilled));
    }
    Ok(metrics)
}

type Compared = Vec<(String, Vec<Report>)>;

/// The same worlds for each dispatcher.
fn compare(args: &Args, skills: usize) -> Result<Compared, CliError> {
    let mut all: Compared = Vec::new();
    for seed in 0..args.seeds.max(1) {
        let world = desk(skills, seed).world();
        let dispatchers: [Box<dyn Dispatcher>; 5] = [
            Box::new(Ours::new(&world, plan_for(&world, false))),
            Box::new(AppQueue::new(&world, AppQueueStrategy::RrMemory)),
            Box::new(AppQueue::new(&world, AppQueueStrategy::LeastRecent)),
            Box::new(AppQueue::new(&world, AppQueueStrategy::FewestCalls)),
            Box::new(TaskRouter::new(&world)),
        ];
        for mut dispatcher in dispatchers {
            let outcome = play(&world, dispatcher.as_mut());
            let (name, result) = (dispatcher.name(), report(&outcome));
            sound(seed, outcome.fault.map(|fault| format!("{name}: {fault}")))?;
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, reports)) => reports.push(result),
                None => all.push((name, vec![result])),
            }
        }
    }
    Ok(all)
}

fn sound(seed: u64, fault: Option<String>) -> Result<(), CliError> {
    match fault {
        None => Ok(()),
        Some(fault) => {
            Err(CliError::failed(format!("seed {seed}: {fault}"), "This is a bug in routing; please report it."))
        }
    }
}
