//! The desk without any configuration of routing: one line, everybody takes everything, longest idle first.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::handoff::OfferId;
use crate::handoff::routing::{Facts, Left};
use crate::handoff::wire::{CallEnd, OfferResult};

struct Desk {
    machine: DeskMachine,
    start: Instant,
    now: Instant,
    sessions: u64,
}

fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

fn handoff(n: u64) -> HandoffId {
    HandoffId(Uuid::from_u64_pair(7, n))
}

impl Desk {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    fn new() -> Self {
        let now = Instant::now();
        Self {
            machine: DeskMachine::new(Arc::new(Plan::default()), now, Timestamp::UNIX_EPOCH, 1),
            start: now,
            now,
            sessions: 0,
        }
    }

    fn step(&mut self, input: DeskInput) -> Vec<DeskAction> {
        let mut actions = Vec::new();
        self.machine.step(self.now, input, &mut actions);
        actions
    }

    /// Lets time pass, firing every deadline at its moment.
    fn pass(&mut self, span: Duration) -> Vec<DeskAction> {
        let end = self.now + span;
        let mut actions = Vec::new();
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now, &mut actions);
            assert!(self.machine.poll_timeout() != Some(at), "a deadline that fired is gone");
        }
        self.now = end;
        actions
    }

    fn sign_in(&mut self, name: &str) {
        self.sessions += 1;
        self.step(DeskInput::Connected { agent: agent(name), name: name.to_owned(), session: self.sessions });
        self.step(DeskInput::StateChosen(agent(name), AgentState::Available, None));
    }

    fn offer_to(&self, name: &str) -> OfferId {
        self.machine.router.offer_of(&agent(name)).expect("an offer is pending").1
    }

    fn state(&self, name: &str) -> AgentState {
        self.machine.agent_state(&agent(name), self.now).expect("known").0
    }
}

#[test]
fn the_longest_idle_agent_is_offered_first_and_accepts() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.pass(Duration::from_secs(5));
    desk.sign_in("ben");
    let actions = desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    assert!(actions.iter().any(|a| matches!(a, DeskAction::Offer { agent, .. } if agent.0 == "ann")));
    let offer = desk.offer_to("ann");
    let actions = desk.step(DeskInput::Accepted(agent("ann"), offer));
    assert!(actions.contains(&DeskAction::Assign { handoff: handoff(1), agent: agent("ann") }));
    assert_eq!(desk.state("ann"), AgentState::OnContact);
    assert_eq!(desk.step(DeskInput::Accepted(agent("ben"), offer)), [DeskAction::OfferGone(agent("ben"), offer)]);
}

#[test]
fn a_break_neither_resets_nor_extends_the_idle_clock() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.pass(Duration::from_secs(5));
    desk.sign_in("ben");
    desk.step(DeskInput::StateChosen(agent("ann"), AgentState::Break, None));
    desk.pass(Duration::from_secs(5));
    desk.step(DeskInput::StateChosen(agent("ann"), AgentState::Available, None));
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    assert_eq!(desk.state("ann"), AgentState::Reserved);
}

#[test]
fn an_expired_offer_is_missed_and_the_next_agent_is_asked_in_the_same_place() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.pass(Duration::from_secs(1));
    desk.sign_in("ben");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let actions = desk.pass(Duration::from_secs(20));
    assert!(actions.iter().any(|a| matches!(a, DeskAction::OfferEnded { result: OfferResult::Timeout, .. })));
    assert_eq!(desk.state("ann"), AgentState::Missed);
    assert_eq!(desk.state("ben"), AgentState::Reserved);
    desk.pass(Duration::from_secs(120));
    assert_eq!(desk.state("ann"), AgentState::Missed, "only the person ends Missed");
    desk.step(DeskInput::Acknowledged(agent("ann")));
    assert_eq!(desk.state("ann"), AgentState::Reserved, "the caller still waits");
}

#[test]
fn a_lone_agent_who_declines_is_asked_again_after_a_while() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let offer = desk.offer_to("ann");
    desk.step(DeskInput::Rejected(agent("ann"), offer));
    assert_eq!(desk.state("ann"), AgentState::Available);
    desk.pass(Duration::from_secs(29));
    assert_eq!(desk.state("ann"), AgentState::Available);
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.state("ann"), AgentState::Reserved);
}

#[test]
fn older_callers_go_first_and_places_are_told() {
    let mut desk = Desk::new();
    let actions = desk.step(DeskInput::Requested(handoff(2), Facts::default()));
    assert_eq!(actions, [DeskAction::Place { handoff: handoff(2), position: 1, staffed: 0 }]);
    desk.pass(Duration::from_secs(1));
    let actions = desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    assert_eq!(actions, [DeskAction::Place { handoff: handoff(1), position: 2, staffed: 0 }]);
    desk.sign_in("ann");
    assert!(matches!(desk.machine.router.offer_of(&agent("ann")), Some((first, _)) if first == handoff(2)));
    let actions = desk.step(DeskInput::Left(handoff(2), Left::HungUp));
    assert!(actions.contains(&DeskAction::Place { handoff: handoff(1), position: 1, staffed: 1 }));
}

#[test]
fn a_lost_agent_may_return_and_otherwise_the_caller_goes_first() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let offer = desk.offer_to("ann");
    desk.step(DeskInput::Accepted(agent("ann"), offer));
    desk.step(DeskInput::Requested(handoff(2), Facts::default()));
    let actions = desk.step(DeskInput::Disconnected { agent: agent("ann"), session: 1 });
    assert!(actions.contains(&DeskAction::AgentLost(handoff(1))));
    desk.pass(Duration::from_secs(10));
    let actions = desk.step(DeskInput::Connected { agent: agent("ann"), name: "ann".to_owned(), session: 9 });
    assert!(actions.contains(&DeskAction::AgentReturned { handoff: handoff(1), agent: agent("ann") }));
    desk.step(DeskInput::Disconnected { agent: agent("ann"), session: 9 });
    let actions = desk.pass(Duration::from_secs(15));
    assert!(actions.contains(&DeskAction::Requeued(handoff(1))));
    assert!(actions.contains(&DeskAction::Place { handoff: handoff(1), position: 1, staffed: 0 }));
    assert_eq!(desk.state("ann"), AgentState::Offline);
}

#[test]
fn the_state_an_agent_asked_for_follows_wrap_up() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let offer = desk.offer_to("ann");
    desk.step(DeskInput::Accepted(agent("ann"), offer));
    desk.step(DeskInput::StateChosen(agent("ann"), AgentState::Break, None));
    desk.step(DeskInput::Ended(handoff(1), CallEnd::CallerHungUp));
    assert_eq!(desk.state("ann"), AgentState::WrapUp);
    desk.step(DeskInput::Requested(handoff(2), Facts::default()));
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.state("ann"), AgentState::Break);
}

#[test]
fn who_comes_back_during_wrap_up_hears_of_it_again() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let offer = desk.offer_to("ann");
    desk.step(DeskInput::Accepted(agent("ann"), offer));
    let ended = desk.step(DeskInput::Ended(handoff(1), CallEnd::AgentEnded));
    let wrap_up = ended.iter().find(|action| matches!(action, DeskAction::WrapUp { .. })).expect("wrap-up begins");
    desk.step(DeskInput::Disconnected { agent: agent("ann"), session: 1 });
    desk.pass(Duration::from_secs(5));
    let back = desk.step(DeskInput::Connected { agent: agent("ann"), name: "ann".to_owned(), session: 2 });
    assert_eq!(back, [DeskAction::State(agent("ann")), wrap_up.clone()], "with the deadline it had");
    desk.step(DeskInput::WrapUpDone(agent("ann")));
    let again = desk.step(DeskInput::Connected { agent: agent("ann"), name: "ann".to_owned(), session: 3 });
    assert!(!again.iter().any(|action| matches!(action, DeskAction::WrapUp { .. })));
}

#[test]
fn a_socket_lost_while_reserved_is_no_miss() {
    let mut desk = Desk::new();
    desk.sign_in("ann");
    desk.step(DeskInput::Requested(handoff(1), Facts::default()));
    let actions = desk.step(DeskInput::Disconnected { agent: agent("ann"), session: 1 });
    assert!(actions.iter().any(|a| matches!(a, DeskAction::OfferEnded { result: OfferResult::Rescinded, .. })));
    desk.pass(Duration::from_secs(29));
    let actions = desk.step(DeskInput::Connected { agent: agent("ann"), name: "ann".to_owned(), session: 2 });
    assert!(actions.iter().any(|a| matches!(a, DeskAction::Offer { .. })), "back within the grace: still Available");
    desk.step(DeskInput::Disconnected { agent: agent("ann"), session: 2 });
    desk.pass(Duration::from_secs(31));
    assert_eq!(desk.state("ann"), AgentState::Offline, "nobody stays Available as a ghost");
}

fn inputs() -> impl Strategy<Value = Vec<(u8, u8, u8, u16)>> {
    prop::collection::vec((0u8..11, 0u8..4, 0u8..5, 0u16..12_000), 1..120)
}

proptest! {
    #[test]
    fn one_winner_and_nobody_forgotten(script in inputs()) {
        let mut desk = Desk::new();
        let mut assigned: BTreeMap<HandoffId, AgentId> = BTreeMap::new();
        let mut sessions: BTreeMap<AgentId, u64> = BTreeMap::new();
        for (kind, who, task, wait) in script {
            let name = agent(&format!("agent-{who}"));
            let task = handoff(u64::from(task));
            let session = *sessions.get(&name).unwrap_or(&0);
            let offer = desk.machine.router.offer_of(&name).map(|(_, offer)| offer);
            let mut actions = match (kind, offer) {
                (0 | 1, _) => desk.step(DeskInput::Requested(task, Facts::default())),
                (2, _) => desk.step(DeskInput::Left(task, Left::HungUp)),
                (3, _) => desk.step(DeskInput::Ended(task, CallEnd::CallerHungUp)),
                (4, _) => { desk.sessions += 1; let session = desk.sessions; sessions.insert(name.clone(), session); desk.step(DeskInput::Connected { agent: name, name: String::new(), session }) }
                (5, _) => desk.step(DeskInput::Disconnected { agent: name, session }),
                (6, _) => desk.step(DeskInput::StateChosen(name, AgentState::Available, None)),
                (7, Some(offer)) => desk.step(DeskInput::Rejected(name, offer)),
                (8 | 9, Some(offer)) => desk.step(DeskInput::Accepted(name, offer)),
                (10, _) => desk.step(DeskInput::WrapUpDone(name)),
                _ => desk.step(DeskInput::Acknowledged(name)),
            };
            actions.extend(desk.pass(Duration::from_millis(u64::from(wait))));
            for action in &actions {
                match action {
                    DeskAction::Assign { handoff, agent } => {
                        prop_assert!(assigned.insert(*handoff, agent.clone()).is_none(), "two winners");
                    }
                    DeskAction::Requeued(handoff) | DeskAction::WrapUp { handoff, .. } => { assigned.remove(handoff); }
                    _ => {}
                }
            }
            prop_assert_eq!(desk.machine.router.broken_rule(desk.machine.moment(desk.now)), None);
            prop_assert!(desk.now >= desk.start);
        }
    }
}
