//! A contact centre that never was: callers, agents and their habits, played event by event against any dispatcher. PURE.
//!
//! ```text
//!  World (who calls when, how patient, how long; who answers how fast, declines, misses, takes breaks)
//!     │ inputs                                     outputs │
//!     ▼                                                    ▲
//!  Dispatcher: [`ours::Ours`] │ [`asterisk::AppQueue`] │ [`taskrouter::TaskRouter`]
//! ```
//!
//! Everything by chance is drawn from the seed and from who is concerned, not from the order of events: the same caller
//! brings the same patience and talks as long, and the same agent reacts the same to the same caller, whoever dispatches.
//! What differs between dispatchers is their doing.

pub mod asterisk;
pub mod ours;
pub mod report;
pub mod taskrouter;
pub mod world;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::routing::Moment;
use super::routing::plan::Exit;
use world::{Reaction, World};

/// What happens to a dispatcher. Agents and callers are numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// An agent is there and takes calls: at the start, after a break, after a miss.
    Ready(usize),
    /// An agent goes on a break.
    Leaves(usize),
    /// A caller wants a person.
    Arrives(usize),
    /// A caller hangs up while waiting.
    Abandons(usize),
    /// A caller takes what is offered instead of waiting.
    Helped(usize),
    /// A caller would rather wait on.
    WaitsOn(usize),
    /// The agent takes the offer.
    Accepts(usize, u64),
    /// The agent declines it.
    Declines(usize, u64),
    /// Both hear each other.
    MediaUp(usize),
    /// They don't; true: through the agent's fault.
    Fails(usize, bool),
    /// The conversation is over.
    Ends(usize),
    /// The agent has finished wrap-up.
    Done(usize),
    /// The agent's socket is lost.
    Lost(usize),
    /// The agent's socket is back.
    Back(usize),
}

/// What a dispatcher does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Asks an agent.
    Rings {
        /// Whom.
        agent: usize,
        /// About whom.
        caller: usize,
        /// The name of the offer.
        offer: u64,
    },
    /// The agent did not answer and takes no calls until back.
    Missed(usize),
    /// Joins them.
    Joins {
        /// The agent.
        agent: usize,
        /// The caller.
        caller: usize,
    },
    /// The caller waits again, the agent being lost or silent.
    Requeued(usize),
    /// The last step is over.
    Exits(usize, Exit),
}

/// Something that gives callers to agents.
pub trait Dispatcher {
    /// Its name.
    fn name(&self) -> String;
    /// Takes an input.
    fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>);
    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Moment>;
    /// That moment has come.
    fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Output>);
}

/// How a caller's wish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Spoke with an agent.
    Bridged,
    /// Hung up.
    HungUp,
    /// Took what was offered.
    Took(Exit),
}

/// One caller's story.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// When the wish came.
    pub arrived: Moment,
    /// When an agent took it, the first time.
    pub answered: Option<Moment>,
    /// When it was over, and how; more than one is a fault.
    pub ends: Vec<(Moment, End)>,
    /// Who spoke with the caller last.
    pub agent: Option<usize>,
}

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// By caller.
    pub stories: Vec<Story>,
    /// Calls answered, by agent.
    pub answered: Vec<u32>,
    /// Offers, by agent.
    pub offers: Vec<u32>,
    /// Inputs and wake-ups.
    pub events: usize,
    /// Most callers waiting at once.
    pub most_waiting: usize,
    /// The first thing that must not happen.
    pub fault: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Input(Kind, usize, u64),
    React(usize, u64, bool),
}

/// Inputs that are planned, by what they need to be still true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ready,
    Leaves,
    Arrives,
    Abandons,
    MediaUp,
    Fails,
    Ends,
    Done,
    Lost,
    Back,
    Chooses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    NotYet,
    Waiting,
    Talking(usize),
    Gone,
}

struct Play<'a> {
    world: &'a World,
    heap: BinaryHeap<Reverse<(Moment, u64, Happening)>>,
    planned: u64,
    status: Vec<Status>,
    /// Grows with each conversation begun or broken off: what was planned for an earlier one is void.
    epoch: Vec<u64>,
    talking: Vec<Option<usize>>,
    waiting: usize,
    outcome: Outcome,
}

/// Plays a world against a dispatcher until nothing is planned any more.
pub fn play(world: &World, dispatcher: &mut dyn Dispatcher) -> Outcome {
    let (callers, agents) = (world.callers.len(), world.agents.len());
    let mut play = Play {
        world,
        heap: BinaryHeap::new(),
        planned: 0,
        status: vec![Status::NotYet; callers],
        epoch: vec![0; callers],
        talking: vec![None; agents],
        waiting: 0,
        outcome: Outcome {
            stories: vec![Story::default(); callers],
            answered: vec![0; agents],
            offers: vec![0; agents],
            ..Outcome::default()
        },
    };
    for (agent, who) in world.agents.iter().enumerate() {
        play.plan(who.begins, Kind::Ready, agent, 0);
        for (from, to) in &who.breaks {
            play.plan(*from, Kind::Leaves, agent, 0);
            play.plan(*to, Kind::Ready, agent, 0);
        }
        for (from, to) in &who.outages {
            play.plan(*from, Kind::Lost, agent, 0);
            play.plan(*to, Kind::Back, agent, 0);
        }
    }
    for (caller, who) in world.callers.iter().enumerate() {
        play.plan(who.arrives, Kind::Arrives, caller, 0);
        play.plan(who.arrives + who.patience, Kind::Abandons, caller, 0);
    }
    let mut out = Vec::new();
    loop {
        let next = play.heap.peek().map(|Reverse((at, ..))| *at);
        let wake = dispatcher.poll_timeout();
        let now = match (next, wake) {
            (None, None) => break,
            // Agents who wait for callers that no longer come need no waking.
            (None, Some(_)) if play.status.iter().all(|status| *status == Status::Gone) => break,
            (Some(next), Some(wake)) if wake > next => play.next_input(next, dispatcher, &mut out),
            (Some(next), None) => play.next_input(next, dispatcher, &mut out),
            (_, Some(wake)) => {
                dispatcher.handle_timeout(wake, &mut out);
                play.outcome.events += 1;
                wake
            }
        };
        for output in std::mem::take(&mut out) {
            play.take(now, output);
        }
        play.outcome.most_waiting = play.outcome.most_waiting.max(play.waiting);
        if play.outcome.fault.is_some() || play.outcome.events > world.callers.len() * 1_000 + 100_000 {
            play.outcome.fault.get_or_insert_with(|| "it does not end".to_owned());
            break;
        }
    }
    play.outcome
}

impl Play<'_> {
    fn plan(&mut self, at: Moment, kind: Kind, who: usize, epoch: u64) {
        self.push(at, Happening::Input(kind, who, epoch));
    }

    fn push(&mut self, at: Moment, happening: Happening) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, happening)));
    }

    fn next_input(&mut self, now: Moment, dispatcher: &mut dyn Dispatcher, out: &mut Vec<Output>) -> Moment {
        let Some(Reverse((_, _, happening))) = self.heap.pop() else { return now };
        let input = match happening {
            Happening::React(agent, offer, true) => Some(Input::Accepts(agent, offer)),
            Happening::React(agent, offer, false) => Some(Input::Declines(agent, offer)),
            Happening::Input(kind, who, epoch) => self.input(now, kind, who, epoch),
        };
        if let Some(input) = input {
            self.outcome.events += 1;
            dispatcher.step(now, input, out);
        }
        now
    }

    /// What a planned happening comes to, if it is still true.
    fn input(&mut self, now: Moment, kind: Kind, who: usize, epoch: u64) -> Option<Input> {
        let waits = |play: &Self| play.status[who] == Status::Waiting;
        let talks = |play: &Self| match play.status[who] {
            Status::Talking(agent) if play.epoch[who] == epoch => Some(agent),
            _ => None,
        };
        match kind {
            Kind::Ready => Some(Input::Ready(who)),
            Kind::Leaves => Some(Input::Leaves(who)),
            Kind::Lost => Some(Input::Lost(who)),
            Kind::Back => Some(Input::Back(who)),
            Kind::Done => Some(Input::Done(who)),
            Kind::Arrives => {
                self.outcome.stories[who].arrived = now;
                self.waits(who);
                Some(Input::Arrives(who))
            }
            Kind::Abandons => {
                if !waits(self) {
                    return None;
                }
                self.gone(now, who, End::HungUp);
                Some(Input::Abandons(who))
            }
            Kind::Chooses => {
                if !waits(self) {
                    return None;
                }
                if !self.world.takes_the_exit(who) {
                    return Some(Input::WaitsOn(who));
                }
                let exit = [Exit::Callback, Exit::Voicemail, Exit::Assistant][epoch as usize % 3];
                self.gone(now, who, End::Took(exit));
                Some(Input::Helped(who))
            }
            Kind::MediaUp => talks(self).map(|_| Input::MediaUp(who)),
            Kind::Fails => {
                let agent = talks(self)?;
                Some(Input::Fails(who, self.world.fails(who, agent, epoch) == Some(true)))
            }
            Kind::Ends => {
                let agent = talks(self)?;
                self.talking[agent] = None;
                self.gone(now, who, End::Bridged);
                self.plan(now + self.world.callers[who].wrap_up, Kind::Done, agent, 0);
                Some(Input::Ends(who))
            }
        }
    }

    fn waits(&mut self, caller: usize) {
        self.status[caller] = Status::Waiting;
        self.waiting += 1;
    }

    fn gone(&mut self, now: Moment, caller: usize, end: End) {
        if self.status[caller] == Status::Waiting {
            self.waiting -= 1;
        }
        self.status[caller] = Status::Gone;
        self.outcome.stories[caller].ends.push((now, end));
    }

    fn fault(&mut self, text: String) {
        self.outcome.fault.get_or_insert(text);
    }

    fn take(&mut self, now: Moment, output: Output) {
        match output {
            Output::Rings { agent, caller, offer } => {
                if self.talking[agent].is_some() {
                    self.fault(format!("agent {agent} is asked while talking"));
                }
                if self.status[caller] != Status::Waiting {
                    self.fault(format!("caller {caller} is offered but does not wait"));
                }
                self.outcome.offers[agent] += 1;
                match self.world.reaction(agent, caller, self.outcome.offers[agent]) {
                    Reaction::Accepts(after) => self.push(now + after, Happening::React(agent, offer, true)),
                    Reaction::Declines(after) => self.push(now + after, Happening::React(agent, offer, false)),
                    Reaction::Ignores => {}
                }
            }
            Output::Missed(agent) => self.plan(now + self.world.away_after_miss(agent), Kind::Ready, agent, 0),
            Output::Joins { agent, caller } => self.join(now, agent, caller),
            Output::Requeued(caller) => {
                if let Status::Talking(agent) = self.status[caller] {
                    self.talking[agent] = None;
                }
                self.epoch[caller] += 1;
                self.waits(caller);
                self.plan(now + Duration::from_secs(60), Kind::Abandons, caller, 0);
            }
            Output::Exits(caller, exit) => {
                let which = [Exit::Callback, Exit::Voicemail, Exit::Assistant].iter().position(|one| *one == exit);
                self.plan(now + Duration::from_secs(8), Kind::Chooses, caller, which.unwrap_or(0) as u64);
            }
        }
    }

    fn join(&mut self, now: Moment, agent: usize, caller: usize) {
        if self.status[caller] != Status::Waiting {
            self.fault(format!("caller {caller} has two winners"));
        }
        if let Some(other) = self.talking[agent] {
            self.fault(format!("agent {agent} talks with {other} and {caller}"));
        }
        self.status[caller] = Status::Talking(agent);
        self.waiting -= 1;
        self.epoch[caller] += 1;
        self.talking[agent] = Some(caller);
        self.outcome.answered[agent] += 1;
        let story = &mut self.outcome.stories[caller];
        story.answered.get_or_insert(now);
        story.agent = Some(agent);
        let epoch = self.epoch[caller];
        match self.world.fails(caller, agent, epoch) {
            Some(_) => self.plan(now + Duration::from_secs(3), Kind::Fails, caller, epoch),
            None => {
                self.plan(now + Duration::from_secs(1), Kind::MediaUp, caller, epoch);
                self.plan(now + self.world.callers[caller].talk, Kind::Ends, caller, epoch);
            }
        }
    }
}

#[cfg(test)]
mod tests;
