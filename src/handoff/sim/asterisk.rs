//! Asterisk's `app_queue`, as `apps/app_queue.c` and the sample configuration have it.
//!
//! A queue for each skill, its members those who have it, with penalty 5 minus level; the penalty may be at most 2 for the
//! first 30 s (`queuerules.conf`). `autofill = yes`, `ringinuse = no`, `timeout = 15`, `retry = 5`, `autopause = no`,
//! `wrapuptime` as long as wrap-up takes. What makes it differ from a router:
//! - Each caller looks once a second, by a clock of its own, whether it is its turn: with `n` members available, the first
//!   `n` callers that are not ringing have their turn.
//! - Ringing is one member after another: a busy (declining) phone moves on to the next best at once, within the same 15 s;
//!   whoever does not answer ends the try, and the caller sleeps `retry` seconds before the next.
//! - A miss is remembered by nobody: with `leastrecent` and `fewestcalls` the same silent phone is the best again, and
//!   `rrmemory` moves on. Members are best by a metric that is worked out anew at each try.

use std::time::Duration;

use super::world::World;
use super::{Dispatcher, Input, Output};
use crate::handoff::routing::Moment;

const RING: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(5);
const RECHECK_MS: u64 = 1_000;
const RULE_AFTER: Duration = Duration::from_secs(30);
const RULE_PENALTY: u64 = 2;

/// Strategies that are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppQueueStrategy {
    /// Round robin that remembers where it was.
    RrMemory,
    /// Whose last call ended first.
    LeastRecent,
    /// Fewest calls answered.
    FewestCalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Idle,
    InUse,
}

#[derive(Clone, Debug)]
struct Member {
    levels: Vec<u8>,
    paused: bool,
    device: Device,
    last_call: Option<Moment>,
    calls: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    /// Looks whether it is its turn once a second.
    Waits {
        after: Moment,
    },
    Rings {
        agent: usize,
        offer: u64,
        until: Moment,
        tried: Vec<usize>,
    },
}

#[derive(Clone, Debug)]
struct Caller {
    skill: usize,
    priority: i32,
    joined: Moment,
    entry: Option<Entry>,
}

/// See the module's documentation.
pub struct AppQueue {
    strategy: AppQueueStrategy,
    wrap_up: Duration,
    members: Vec<Member>,
    callers: Vec<Caller>,
    /// By skill: callers in line.
    lines: Vec<Vec<usize>>,
    /// By skill: where `rrmemory` is.
    positions: Vec<usize>,
    in_wrap_up: Vec<Option<Moment>>,
    talks: Vec<Option<usize>>,
    offers: u64,
    now: Moment,
}

impl AppQueue {
    /// The queues for a world.
    pub fn new(world: &World, strategy: AppQueueStrategy) -> Self {
        let member = |levels: &Vec<u8>| Member {
            levels: levels.clone(),
            paused: true,
            device: Device::Idle,
            last_call: None,
            calls: 0,
        };
        let caller = |caller: &super::world::Caller| Caller {
            skill: caller.skill,
            priority: caller.priority,
            joined: Moment::default(),
            entry: None,
        };
        let kinds = world.scenario.skills.max(1);
        Self {
            strategy,
            wrap_up: world.scenario.wrap_up,
            members: world.agents.iter().map(|agent| member(&agent.levels)).collect(),
            callers: world.callers.iter().map(caller).collect(),
            lines: vec![Vec::new(); kinds],
            positions: vec![0; kinds],
            in_wrap_up: vec![None; world.agents.len()],
            talks: vec![None; world.agents.len()],
            offers: 0,
            now: Moment::default(),
        }
    }

    fn is_available(&self, agent: usize, skill: usize) -> bool {
        let member = &self.members[agent];
        member.levels[skill] > 0
            && !member.paused
            && member.device == Device::Idle
            && self.in_wrap_up[agent].is_none_or(|until| self.now >= until)
    }

    fn available(&self, skill: usize) -> usize {
        (0..self.members.len()).filter(|agent| self.is_available(*agent, skill)).count()
    }

    /// The callers who have their turn: the first so many that do not ring.
    fn turns(&self, skill: usize) -> impl Iterator<Item = (usize, Moment)> {
        let available = if self.lines[skill].is_empty() { 0 } else { self.available(skill) };
        let waits = |caller: &usize| match self.callers[*caller].entry {
            Some(Entry::Waits { after }) => Some((*caller, after)),
            _ => None,
        };
        self.lines[skill].iter().filter_map(waits).take(available)
    }

    /// The caller's next look: whole seconds after it joined, not before `after`.
    fn next_look(&self, caller: usize, after: Moment) -> Moment {
        let joined = self.callers[caller].joined.ms();
        let from = after.max(self.now).ms().saturating_sub(joined);
        Moment::from_ms(joined + from.div_ceil(RECHECK_MS) * RECHECK_MS)
    }

    fn metric(&self, skill: usize, agent: usize) -> u64 {
        let member = &self.members[agent];
        let own = match self.strategy {
            AppQueueStrategy::FewestCalls => member.calls,
            AppQueueStrategy::LeastRecent => {
                member.last_call.map_or(0, |at| 1_000_000u64.saturating_sub(self.now.since(at).as_secs()))
            }
            AppQueueStrategy::RrMemory if agent < self.positions[skill] => 1_000 + agent as u64,
            AppQueueStrategy::RrMemory => agent as u64,
        };
        own + self.penalty(skill, agent) * 1_000_000
    }

    fn penalty(&self, skill: usize, agent: usize) -> u64 {
        u64::from(5 - self.members[agent].levels[skill].min(5))
    }

    /// Rings the best member who was not tried in this try.
    fn ring_one(&mut self, caller: usize, until: Moment, tried: Vec<usize>, out: &mut Vec<Output>) {
        let Caller { skill, joined, .. } = self.callers[caller];
        let strict = self.now.since(joined) < RULE_AFTER;
        let best = (0..self.members.len())
            .filter(|agent| self.is_available(*agent, skill) && !tried.contains(agent))
            .filter(|agent| !strict || self.penalty(skill, *agent) <= RULE_PENALTY)
            .min_by_key(|agent| (self.metric(skill, *agent), *agent));
        let Some(agent) = best else {
            self.callers[caller].entry = Some(Entry::Waits { after: self.now + RETRY });
            return;
        };
        self.offers += 1;
        self.positions[skill] = agent + 1;
        self.members[agent].device = Device::InUse;
        self.callers[caller].entry = Some(Entry::Rings { agent, offer: self.offers, until, tried });
        out.push(Output::Rings { agent, caller, offer: self.offers });
    }

    fn ringing(&self, agent: usize, named: u64) -> Option<usize> {
        let rings = |caller: &&usize| matches!(&self.callers[**caller].entry, Some(Entry::Rings { agent: own, offer, .. }) if *own == agent && *offer == named);
        self.lines.iter().flatten().find(rings).copied()
    }

    fn leave(&mut self, caller: usize) {
        let skill = self.callers[caller].skill;
        self.lines[skill].retain(|one| *one != caller);
        self.callers[caller].entry = None;
    }
}

impl Dispatcher for AppQueue {
    fn name(&self) -> String {
        match self.strategy {
            AppQueueStrategy::RrMemory => "app_queue_rrmemory",
            AppQueueStrategy::LeastRecent => "app_queue_leastrecent",
            AppQueueStrategy::FewestCalls => "app_queue_fewestcalls",
        }
        .to_owned()
    }

    fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        self.now = now;
        match input {
            Input::Ready(agent) => self.members[agent].paused = false,
            Input::Leaves(agent) => self.members[agent].paused = true,
            Input::Arrives(caller) => {
                let Caller { skill, priority, .. } = self.callers[caller];
                self.callers[caller].joined = now;
                self.callers[caller].entry = Some(Entry::Waits { after: now });
                let line = &self.lines[skill];
                let place = line.iter().position(|one| self.callers[*one].priority < priority).unwrap_or(line.len());
                self.lines[skill].insert(place, caller);
            }
            Input::Abandons(caller) => {
                if let Some(Entry::Rings { agent, .. }) = self.callers[caller].entry {
                    self.members[agent].device = Device::Idle;
                }
                self.leave(caller);
            }
            Input::Accepts(agent, offer) => {
                if let Some(caller) = self.ringing(agent, offer) {
                    self.leave(caller);
                    self.members[agent].calls += 1;
                    self.talks[agent] = Some(caller);
                    out.push(Output::Joins { agent, caller });
                }
            }
            Input::Declines(agent, offer) => {
                if let Some(caller) = self.ringing(agent, offer)
                    && let Some(Entry::Rings { until, mut tried, .. }) = self.callers[caller].entry.take()
                {
                    self.members[agent].device = Device::Idle;
                    tried.push(agent);
                    self.ring_one(caller, until, tried, out);
                }
            }
            Input::Ends(caller) => {
                if let Some(agent) = self.talks.iter().position(|own| *own == Some(caller)) {
                    self.talks[agent] = None;
                    self.members[agent].device = Device::Idle;
                    self.members[agent].last_call = Some(now);
                    self.in_wrap_up[agent] = Some(now + self.wrap_up);
                }
            }
            Input::Done(agent) => self.in_wrap_up[agent] = None,
            _ => {}
        }
    }

    fn poll_timeout(&self) -> Option<Moment> {
        let rings = self.lines.iter().flatten().filter_map(|caller| match &self.callers[*caller].entry {
            Some(Entry::Rings { until, .. }) => Some(*until),
            _ => None,
        });
        let looks = (0..self.lines.len())
            .flat_map(|skill| self.turns(skill).map(|(caller, after)| self.next_look(caller, after)));
        rings.chain(looks).min()
    }

    fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.now = now;
        let over: Vec<(usize, usize)> = self
            .lines
            .iter()
            .flatten()
            .filter_map(|caller| match self.callers[*caller].entry {
                Some(Entry::Rings { agent, until, .. }) if now >= until => Some((*caller, agent)),
                _ => None,
            })
            .collect();
        for (caller, agent) in over {
            self.members[agent].device = Device::Idle;
            self.callers[caller].entry = Some(Entry::Waits { after: now + RETRY });
        }
        for skill in 0..self.lines.len() {
            let due: Vec<usize> = self
                .turns(skill)
                .filter(|(caller, after)| *after <= now && self.next_look(*caller, *after) == now)
                .map(|(caller, _)| caller)
                .collect();
            for caller in due {
                self.ring_one(caller, now + RING, Vec::new(), out);
            }
        }
    }
}
