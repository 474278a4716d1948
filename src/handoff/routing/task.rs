//! A waiting caller: facts, place in line, pending offers, version.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{Exit, Rules};
use super::strategy::Strategy;
use super::{Cause, Moment};
use crate::handoff::{AgentId, HandoffId, OfferId};
use crate::telemetry::Pii;

/// What is known about a caller when the request comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Named values for the conditions of workflows: `reason`, `intent`, `provider` …
    pub known: BTreeMap<String, String>,
    /// The language spoken.
    pub language: Option<String>,
    /// Added to the priority of queue or step.
    pub priority: i32,
    /// Recognises the caller who calls again; never shown.
    pub caller: Option<Pii<String>>,
    /// Who spoke with the caller before.
    pub known_agent: Option<AgentId>,
    /// Waiting since then, if it is not only now: a callback keeps its place.
    pub waiting_since: Option<Moment>,
    /// Goes before all others: we broke the line.
    pub first: bool,
}

impl Facts {
    /// A named value.
    pub fn get(&self, key: &str) -> Option<&str> {
        if key == "language" {
            return self.language.as_deref();
        }
        self.known.get(key).map(String::as_str)
    }
}

/// The place in line: smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// False for who lost their agent: before all others.
    usual: bool,
    level: i64,
    at: i64,
    order: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TaskState {
    /// Waits for somebody.
    Pending,
    /// Offers are pending.
    Reserved,
    /// An agent took it.
    Assigned { agent: u32, at: Moment, connected: bool },
    /// The agent's connection is lost.
    AgentLost { agent: u32, until: Moment, connected: bool },
    /// Set aside by an agent, for colleagues to pick up until then.
    Parked { by: u32, until: Moment },
    /// Somebody at another server that shares the records took the caller, and connects until then.
    Elsewhere { until: Moment },
    /// Not in line at the moment: the last step is over, or the caller does something else.
    Aside(Option<Exit>),
}

/// Who is meant, whatever the queue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    /// This one; none: whoever serves the queue.
    pub agent: Option<u32>,
    /// Never this one.
    pub not: Option<u32>,
    pub until: Moment,
    /// Nobody else after it.
    pub only: bool,
}

/// One agent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub offer: OfferId,
    pub agent: u32,
    pub until: Moment,
    /// Answered by itself then.
    pub answers: Option<Moment>,
    /// The version of the task that was offered: accepting compares and sets it.
    pub version: u64,
}

/// Why an agent was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reason {
    pub strategy: Strategy,
    pub agent: u32,
    pub idle: Duration,
    /// How many might have been.
    pub of: usize,
    /// Number of the ask of the queue that counted.
    pub ask: usize,
    /// The caller was kept for this agent.
    pub known: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub handoff: HandoffId,
    pub facts: Facts,
    pub state: TaskState,
    /// Grows with every change of state; see [`Task::claim`].
    pub version: u64,
    pub queued_at: Moment,
    pub order: u64,
    pub first: bool,
    /// The wish of before, if the place is that one's.
    pub resumes: Option<HandoffId>,
    pub priority: i32,
    /// Set by a supervisor; counts instead of the plan's.
    pub priority_set: Option<i32>,
    pub workflow: usize,
    pub step: usize,
    /// Timeouts of the steps that ran out; not of those passed over.
    pub spent: Duration,
    pub step_ends: Option<Moment>,
    /// The queue is closed until then.
    pub opens: Option<Moment>,
    /// Once the last step is over, the caller may still choose to wait: without an end.
    pub stays: bool,
    pub kept_until: Option<Moment>,
    pub aim: Option<Aim>,
    /// A consultation, beside a caller's own task.
    pub beside: bool,
    /// Who declined or missed it, and until when they are not asked.
    pub excluded: BTreeMap<u32, Moment>,
    pub offers: Vec<Pending>,
    pub reason: Option<Reason>,
    pub failed: Option<Cause>,
    /// Where it stands in line, while it does.
    pub key: Option<Key>,
    pub alarm: Option<Moment>,
}

impl Task {
    pub fn new(handoff: HandoffId, facts: Facts, queued_at: Moment, order: u64) -> Self {
        Self {
            handoff,
            facts,
            state: TaskState::Pending,
            version: 0,
            queued_at,
            order,
            first: false,
            resumes: None,
            priority: 0,
            priority_set: None,
            workflow: 0,
            step: 0,
            spent: Duration::ZERO,
            step_ends: None,
            opens: None,
            stays: false,
            kept_until: None,
            aim: None,
            beside: false,
            excluded: BTreeMap::new(),
            offers: Vec::new(),
            reason: None,
            failed: None,
            key: None,
            alarm: None,
        }
    }

    /// One winner: takes the task for `agent` if it is still the version that was offered.
    pub fn claim(&mut self, version: u64, agent: u32, now: Moment) -> bool {
        if self.version != version || self.state != TaskState::Reserved {
            return false;
        }
        self.enter(TaskState::Assigned { agent, at: now, connected: false });
        true
    }

    pub fn enter(&mut self, state: TaskState) {
        self.version += 1;
        self.state = state;
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.state, TaskState::Pending | TaskState::Reserved)
    }

    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.queued_at)
    }

    /// The place in line. With a priority step, waiting makes up for priority: whoever has waited that much longer than
    /// somebody one priority higher goes first. All wait at the same speed, so a place never changes by itself, and nobody
    /// can be overtaken for ever.
    pub fn place(&self, rules: &Rules) -> Key {
        let ms = |n: u128| i64::try_from(n).unwrap_or(i64::MAX);
        let (at, step) = (ms(self.queued_at.ms().into()), ms(rules.priority_step.as_millis()));
        let priority = i64::from(self.priority);
        let (level, at) =
            if step == 0 { (-priority, at) } else { (0, at.saturating_sub(priority.saturating_mul(step))) };
        Key { usual: !self.first, level, at, order: self.order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(order: u64, queued_s: u64, priority: i32) -> Task {
        let queued = Moment::from_ms(queued_s * 1_000);
        Task { priority, ..Task::new(HandoffId::generate(), Facts::default(), queued, order) }
    }

    #[test]
    fn priority_wins_then_age_then_order() {
        let rules = Rules::default();
        let (old, new, urgent) = (task(1, 100, 0), task(2, 200, 0), task(3, 300, 1));
        assert!(old.place(&rules) < new.place(&rules));
        assert!(urgent.place(&rules) < old.place(&rules));
        assert!(task(1, 100, 0).place(&rules) < task(2, 100, 0).place(&rules));
        let lost = Task { first: true, ..task(9, 900, -5) };
        assert!(lost.place(&rules) < urgent.place(&rules));
    }

    #[test]
    fn with_ageing_nobody_is_overtaken_for_ever() {
        let rules = Rules { priority_step: Duration::from_secs(60), ..Rules::default() };
        let old = task(1, 0, 0);
        assert!(task(2, 59, 1).place(&rules) < old.place(&rules), "one priority is worth a minute");
        assert!(old.place(&rules) < task(3, 61, 1).place(&rules));
        assert!(task(4, 119, 2).place(&rules) < old.place(&rules));
    }

    #[test]
    fn a_version_is_taken_once() {
        let mut task = task(1, 0, 0);
        task.enter(TaskState::Reserved);
        let offered = task.version;
        assert!(task.claim(offered, 7, Moment::from_ms(5)));
        assert!(!task.claim(offered, 8, Moment::from_ms(5)), "the second is too late");
        assert!(!task.claim(task.version, 8, Moment::from_ms(5)), "even with the new version");
        assert!(matches!(task.state, TaskState::Assigned { agent: 7, .. }));
    }
}
