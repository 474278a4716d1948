//! An agent's state, idle clock and pay.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Moment;
use super::plan::{PaidClass, Traits};
use crate::handoff::wire::{AgentState, CallEnd};
use crate::handoff::{AgentId, HandoffId, OfferId};

/// Paid standby ends when somebody who missed an offer has not been heard of for this long.
const UNREACHABLE: Duration = Duration::from_secs(60);

/// Time Available since the last call. Stands still while the agent is away, so that coming and going neither loses nor wins
/// time; only an answered call sets it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleClock {
    /// Stands, at this.
    Standing(Duration),
    /// Runs, as if it had begun then.
    Running(Moment),
}

impl Default for IdleClock {
    fn default() -> Self {
        Self::Standing(Duration::ZERO)
    }
}

impl IdleClock {
    /// Lets it run, or stand.
    pub fn run(&mut self, on: bool, now: Moment) {
        match *self {
            Self::Standing(so_far) if on => *self = Self::Running(now - so_far),
            Self::Running(from) if !on => *self = Self::Standing(now.since(from)),
            _ => {}
        }
    }

    /// What it shows.
    pub fn shows(self, now: Moment) -> Duration {
        match self {
            Self::Standing(so_far) => so_far,
            Self::Running(from) => now.since(from),
        }
    }
}

/// Finishing a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrapUp {
    pub handoff: HandoffId,
    pub reason: CallEnd,
    pub until: Moment,
    pub extended: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub id: AgentId,
    pub name: String,
    pub traits: Traits,
    /// The order of ids.
    pub place: u32,
    pub state: AgentState,
    /// The name of a break that is paid in its own way.
    pub code: Option<String>,
    pub since: Moment,
    /// Applied after the current contact, and never overridden.
    pub next: Option<(AgentState, Option<String>)>,
    pub idle: IdleClock,
    /// What the clock showed when the call was accepted: given back if the connection fails through no fault of theirs.
    pub idle_before: Duration,
    pub session: Option<u64>,
    /// Offers may be answered by themselves, as long as this session lasts.
    pub auto_answer: bool,
    pub lost_at: Option<Moment>,
    pub wrap_up: Option<WrapUp>,
    pub contacts: Vec<HandoffId>,
    pub offer: Option<(u32, OfferId)>,
    /// The current call was hard to bear: a rest follows.
    pub distressed: bool,
    pub rests_until: Option<Moment>,
    /// When the current contact began, and the number of its queue.
    pub contact: Option<(Moment, usize)>,
    pub last_call: Option<Moment>,
    pub answered: u32,
    /// What was told last to those who count staff.
    pub staffed: bool,
    pub alarm: Option<Moment>,
}

impl Agent {
    pub fn new(id: AgentId, name: String, traits: Traits, now: Moment) -> Self {
        Self {
            id,
            name,
            traits,
            place: 0,
            state: AgentState::Offline,
            code: None,
            since: now,
            next: None,
            idle: IdleClock::default(),
            idle_before: Duration::ZERO,
            session: None,
            auto_answer: false,
            lost_at: None,
            wrap_up: None,
            contacts: Vec::new(),
            offer: None,
            distressed: false,
            rests_until: None,
            contact: None,
            last_call: None,
            answered: 0,
            staffed: false,
            alarm: None,
        }
    }

    /// May be offered a caller now.
    pub fn is_free(&self) -> bool {
        let between = match self.state {
            AgentState::Available => true,
            AgentState::OnContact => self.next.is_none() && self.wrap_up.is_none(),
            _ => false,
        };
        between
            && self.session.is_some()
            && self.offer.is_none()
            && self.rests_until.is_none()
            && self.contacts.len() < self.traits.capacity
    }

    /// Takes calls, if not at this moment.
    pub fn is_staffed(&self) -> bool {
        self.session.is_some()
            && self.traits.capacity > 0
            && matches!(
                self.state,
                AgentState::Available | AgentState::Reserved | AgentState::OnContact | AgentState::WrapUp
            )
            && !matches!(self.next, Some((AgentState::Break | AgentState::Offline, _)))
    }

    pub fn speaks(&self, language: Option<&str>) -> bool {
        match (&self.traits.languages, language) {
            (Some(own), Some(wanted)) => own.iter().any(|one| one.eq_ignore_ascii_case(wanted)),
            _ => true,
        }
    }
}

/// How time in a state is paid. A fault of the system is paid; so is an offer that was missed, until the person has been
/// unreachable for a minute. `codes`: how breaks with a name are paid.
pub fn paid_class(
    state: AgentState,
    code: Option<&str>,
    in_it: Duration,
    codes: &BTreeMap<String, PaidClass>,
) -> PaidClass {
    match state {
        AgentState::Offline => PaidClass::None,
        AgentState::Available | AgentState::Reserved | AgentState::Error => PaidClass::Standby,
        AgentState::OnContact | AgentState::WrapUp => PaidClass::Work,
        AgentState::Missed if in_it > UNREACHABLE => PaidClass::None,
        AgentState::Missed => PaidClass::Standby,
        AgentState::Break => code.and_then(|code| codes.get(code)).copied().unwrap_or(PaidClass::None),
    }
}

/// A stretch of time in one state, cut where its pay changes.
pub fn paid_spans(
    state: AgentState,
    code: Option<&str>,
    length: Duration,
    codes: &BTreeMap<String, PaidClass>,
) -> Vec<(PaidClass, Duration)> {
    let first = paid_class(state, code, Duration::ZERO, codes);
    if state == AgentState::Missed && length > UNREACHABLE {
        return vec![(first, UNREACHABLE), (paid_class(state, code, length, codes), length - UNREACHABLE)];
    }
    vec![(first, length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_and_going_neither_loses_nor_wins_idle_time() {
        let at = |s: u64| Moment::from_ms(1_000_000 + s * 1_000);
        let mut clock = IdleClock::default();
        clock.run(true, at(0));
        for s in (10..100).step_by(10) {
            clock.run(s % 20 == 0, at(s)); // away from 10 to 20, 30 to 40 …
            clock.run(s % 20 == 0, at(s));
        }
        assert_eq!(clock.shows(at(100)), Duration::from_secs(50));
        clock = IdleClock::default();
        assert_eq!(clock.shows(at(100)), Duration::ZERO);
    }

    #[test]
    fn waiting_is_paid_and_so_are_faults_of_the_system() {
        let codes = BTreeMap::from([("training".to_owned(), PaidClass::Work)]);
        let class = |state, code, seconds| paid_class(state, code, Duration::from_secs(seconds), &codes);
        assert_eq!(class(AgentState::Available, None, 5), PaidClass::Standby);
        assert_eq!(class(AgentState::Error, None, 500), PaidClass::Standby);
        assert_eq!(class(AgentState::WrapUp, None, 5), PaidClass::Work);
        assert_eq!(class(AgentState::Missed, None, 60), PaidClass::Standby);
        assert_eq!(class(AgentState::Missed, None, 61), PaidClass::None);
        assert_eq!(class(AgentState::Break, None, 5), PaidClass::None);
        assert_eq!(class(AgentState::Break, Some("training"), 5), PaidClass::Work);
        assert_eq!(class(AgentState::Break, Some("lunch"), 5), PaidClass::None);
        assert_eq!(class(AgentState::Offline, Some("training"), 5), PaidClass::None);
    }

    #[test]
    fn a_missed_offer_is_paid_for_a_minute() {
        let spans = |seconds| paid_spans(AgentState::Missed, None, Duration::from_secs(seconds), &BTreeMap::new());
        assert_eq!(spans(60), [(PaidClass::Standby, Duration::from_secs(60))]);
        let long = [(PaidClass::Standby, Duration::from_secs(60)), (PaidClass::None, Duration::from_secs(30))];
        assert_eq!(spans(90), long);
        let work = paid_spans(AgentState::OnContact, None, Duration::from_secs(90), &BTreeMap::new());
        assert_eq!(work, [(PaidClass::Work, Duration::from_secs(90))]);
    }
}
