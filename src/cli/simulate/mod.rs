//! `warmline simulate`: a small support desk at work, to look at, to try a console on, and to show to others.
//!
//! A whole server in this process, with a real port, real sockets, real records; ears and mouth are stand-ins, so that one
//! machine carries many calls. A day from eight to eight passes in twelve minutes (`--speed 60`): callers come as they do
//! on a working day (`day.rs`), ask what the knowledge base answers and what it does not (`caller.rs`), and agents on shifts
//! take those who need a person (`agent.rs`). What is said goes at the speed of speech, in short tones; what lies between is
//! shortened.
//!
//! Nothing of it is in the records of another server: it has a data folder of its own.

mod agent;
mod caller;
mod day;
mod town;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::agent::Agent;
use self::caller::{Caller, Errand};
use self::day::{Day, Scale};
use self::town::Town;
use super::{CliError, say};
use crate::config::Config;

/// Arguments of `warmline simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How much faster than a clock the day passes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=120))]
    speed: u32,
    /// Callers in a day
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    callers: u32,
    /// People at the desk
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=50))]
    agents: u32,
    /// Days; without it one follows the other until Ctrl-C
    #[arg(long)]
    days: Option<u32>,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// More calls than this at once are not begun: the day is busier than the machine.
const LINES: usize = 48;

/// Runs the desk.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let fails = |error: std::io::Error| CliError::failed(format!("signals can't be handled: {error}"), "");
    let mut terminate = signal(SignalKind::terminate()).map_err(fails)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fails)?;
    let scale = Scale(args.speed);
    let town = Arc::new(Town::open(config, args.agents as usize, LINES, scale).await?);
    say(format!(
        "A support desk at {} times the speed.\n  Console      {}/agent\n  Supervisor   {}, password {}\n  Caller       {}/\nCtrl-C ends it.",
        args.speed,
        town.base,
        town.supervisor,
        town.password.expose(),
        town.base,
    ))?;
    let (close, over) = watch::channel(false);
    let mut people = JoinSet::new();
    for number in 0..args.agents {
        let token = town.tokens[number as usize].clone();
        let agent = Agent::new(town.base.clone(), token, number, args.seed, scale, over.clone());
        people.spawn(agent.run());
    }
    let stopped = tokio::select! {
        () = days(&args, &town, scale) => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if !stopped {
        say("The last day is over.")?;
    }
    let _ = close.send(true); // Nobody at the desk: nobody to tell.
    while people.join_next().await.is_some() {}
    let town = Arc::try_unwrap(town).map_err(|_| CliError::failed("a caller is still there", ""))?;
    say(&town.close().await?)
}

async fn days(args: &Args, town: &Arc<Town>, scale: Scale) {
    let lines = Arc::new(Semaphore::new(LINES));
    for number in 0..args.days.unwrap_or(u32::MAX) {
        let mut chance = StdRng::seed_from_u64(args.seed.wrapping_add(u64::from(number)));
        let day = Day::draw(args.callers, &mut chance);
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for at in day.arrivals {
            sleep_until(began + scale.real(at)).await;
            while callers.try_join_next().is_some() {}
            let Ok(line) = lines.clone().try_acquire_owned() else { continue };
            let caller = Caller {
                provider: town::PROVIDERS[chance.random_range(0..town::PROVIDERS.len())],
                from: format!("+1500555{:04}", chance.random_range(0..10_000)),
                errand: Errand::draw(&mut chance, &town.speech),
                patience: scale.real(day::patience(&mut chance)),
            };
            let (base, speech) = (town.base.clone(), town.speech.clone());
            callers.spawn(async move {
                if let Err(error) = caller.run(&base, &speech).await {
                    tracing::debug!(%error, "A simulated call went wrong");
                }
                drop(line);
            });
        }
        sleep_until(began + scale.real(day::LENGTH)).await;
        // Whoever is still on the line may finish.
        let end = Instant::now() + Duration::from_secs(30);
        while let Ok(Some(_)) = tokio::time::timeout_at(end, callers.join_next()).await {}
    }
}
