//! Who calls and who answers.

use std::time::Duration;

use crate::handoff::routing::Moment;
use crate::handoff::routing::strategy::mix;

/// When it all begins: Wednesday, 25 November 2026, 09:00 UTC.
pub const BEGINS: Moment = Moment::from_ms(1_795_597_200_000);

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Agents.
    pub agents: usize,
    /// Callers.
    pub callers: usize,
    /// How many of them are there from the start.
    pub waiting_at_first: usize,
    /// Work that comes in, as a share of what the agents can do.
    pub load: f64,
    /// Kinds of skill; 0: everybody can do everything.
    pub skills: usize,
    /// Mean talking time.
    pub talk: Duration,
    /// Wrap-up, the same for all.
    pub wrap_up: Duration,
    /// Mean patience.
    pub patience: Duration,
    /// Of a hundred offers so many are declined, and as many not answered.
    pub unwilling_percent: u64,
    /// Breaks, lost sockets and failed connections.
    pub faults: bool,
    /// Of everything that is left to chance.
    pub seed: u64,
}

/// A person who takes calls.
#[derive(Clone, Debug)]
pub struct Person {
    /// Begins to take calls.
    pub begins: Moment,
    /// Level by skill; 0: none.
    pub levels: Vec<u8>,
    /// On a break from, to.
    pub breaks: Vec<(Moment, Moment)>,
    /// Without a connection from, to.
    pub outages: Vec<(Moment, Moment)>,
}

/// A person who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Wants an agent at.
    pub arrives: Moment,
    /// Needs this skill, at a level of 3 for the first half minute and any after it.
    pub skill: usize,
    /// Hangs up after so long a wait.
    pub patience: Duration,
    /// Talks for.
    pub talk: Duration,
    /// Work afterwards.
    pub wrap_up: Duration,
    /// 0 or more.
    pub priority: i32,
}

/// What an agent does with an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Takes it.
    Accepts(Duration),
    /// Declines.
    Declines(Duration),
    /// Does not notice.
    Ignores,
}

/// Everybody.
#[derive(Clone, Debug)]
pub struct World {
    /// Its recipe.
    pub scenario: Scenario,
    /// By number.
    pub agents: Vec<Person>,
    /// By number, in the order they arrive.
    pub callers: Vec<Caller>,
}

impl Scenario {
    /// A number from 0 to 1 that belongs to these.
    fn draw(&self, what: u64, a: usize, b: u64) -> f64 {
        let bits = mix(mix(mix(self.seed ^ what.wrapping_mul(0x9e37)) ^ a as u64) ^ b);
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&self, mean: Duration, what: u64, a: usize, b: u64) -> Duration {
        mean.mul_f64(-(1.0 - self.draw(what, a, b)).ln())
    }

    /// Makes the world.
    pub fn world(self) -> World {
        let length = self.length();
        let moment = |share: f64| BEGINS + length.mul_f64(share);
        let agents = (0..self.agents)
            .map(|agent| {
                let levels = (0..self.skills.max(1) as u64).map(|skill| {
                    let has = self.skills == 0
                        || skill == agent as u64 % self.skills as u64
                        || self.draw(1, agent, skill) < 0.3;
                    if self.skills == 0 { 5 } else { u8::from(has) * (1 + (self.draw(2, agent, skill) * 5.0) as u8) }
                });
                let spans = |what: u64, seconds: f64, often: u64| -> Vec<(Moment, Moment)> {
                    let at = |n: u64| self.draw(what, agent, n);
                    let span = |n: u64| Duration::from_secs_f64(1.0 + seconds * at(n + 100));
                    (0..if self.faults { often } else { 0 }).map(|n| (moment(at(n)), moment(at(n)) + span(n))).collect()
                };
                Person {
                    begins: BEGINS + Duration::from_secs_f64(60.0 * self.draw(3, agent, 0)),
                    levels: levels.collect(),
                    breaks: spans(4, 300.0, 1),
                    outages: spans(5, 40.0, 2),
                }
            })
            .collect();
        let mut arrives = BEGINS;
        let gap = self.work().div_f64(self.load * self.agents as f64);
        let callers = (0..self.callers).map(|caller| {
            if caller >= self.waiting_at_first {
                arrives = arrives + self.exponential(gap, 6, caller, 0);
            }
            Caller {
                arrives,
                skill: (self.draw(7, caller, 0) * self.skills.max(1) as f64) as usize,
                patience: Duration::from_secs(5) + self.exponential(self.patience, 8, caller, 0),
                talk: Duration::from_secs(10) + self.exponential(self.talk - Duration::from_secs(10), 9, caller, 0),
                wrap_up: self.wrap_up,
                priority: i32::from(self.draw(10, caller, 0) < 0.1),
            }
        });
        let callers = callers.collect();
        World { scenario: self, agents, callers }
    }

    /// What one caller takes of an agent's time, answering the offer included.
    fn work(&self) -> Duration {
        self.talk + self.wrap_up + Duration::from_secs(4)
    }

    fn length(&self) -> Duration {
        self.work().mul_f64(self.callers as f64 / (self.load * self.agents as f64))
    }
}

impl World {
    /// How an agent reacts to a caller at the `n`-th offer.
    pub fn reaction(&self, agent: usize, caller: usize, n: u32) -> Reaction {
        let about = caller as u64 * 1_000 + u64::from(n);
        let chance = self.scenario.draw(11, agent, about) * 100.0;
        let after = Duration::from_secs_f64(1.0 + 6.0 * self.scenario.draw(12, agent, about));
        let unwilling = self.scenario.unwilling_percent as f64;
        if chance < unwilling {
            Reaction::Declines(after)
        } else if chance < unwilling * 2.0 {
            Reaction::Ignores
        } else {
            Reaction::Accepts(after)
        }
    }

    /// Whether the connection fails; `true`: through the agent's fault.
    pub fn fails(&self, caller: usize, agent: usize, epoch: u64) -> Option<bool> {
        let chance = self.scenario.draw(13, agent, caller as u64 * 100 + epoch);
        (self.scenario.faults && chance < 0.03).then_some(chance < 0.01)
    }

    /// How long an agent is away after a miss.
    pub fn away_after_miss(&self, agent: usize) -> Duration {
        Duration::from_secs_f64(30.0 + 90.0 * self.scenario.draw(14, agent, 0))
    }

    /// Whether the caller takes what is offered instead of waiting.
    pub fn takes_the_exit(&self, caller: usize) -> bool {
        self.scenario.draw(15, caller, 0) < 0.7
    }
}
