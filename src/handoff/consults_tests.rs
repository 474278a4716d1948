//! Colleagues: each way through a consultation, and random desks against what must hold in all of them.

use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::handoff::OfferId;
use crate::handoff::routing::{Cause, Facts, Left, Plan};
use crate::handoff::wire::{AgentState, OfferResult};

const NAMES: [&str; 4] = ["ann", "ben", "cleo", "dan"];

struct Desk {
    router: Router,
    consults: Consults,
    now: Moment,
    sessions: u64,
    made: u64,
}

fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

fn handoff(n: u64) -> HandoffId {
    HandoffId(Uuid::from_u64_pair(7, n))
}

impl Desk {
    fn new() -> Self {
        let router = Router::new(Arc::new(Plan::default()), 1);
        Self { router, consults: Consults::default(), now: Moment::from_ms(1_000_000), sessions: 0, made: 0 }
    }

    /// All of them available.
    fn with(names: &[&str]) -> Self {
        let mut desk = Self::new();
        names.iter().for_each(|name| desk.sign_in(name));
        desk
    }

    fn step(&mut self, event: Event) -> Vec<Decision> {
        let mut out = Vec::new();
        self.consults.step(&mut self.router, self.now, event, &mut out);
        self.check();
        out
    }

    fn check(&self) {
        assert_eq!(self.router.broken_rule(self.now), None);
        assert_eq!(self.consults.broken_rule(&self.router), None);
    }

    fn pass(&mut self, span: Duration) -> Vec<Decision> {
        let end = self.now + span;
        let mut out = Vec::new();
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut decisions = Vec::new();
            self.router.handle_timeout(self.now, &mut decisions);
            self.consults.follow(&mut self.router, self.now, decisions, &mut out);
            self.check();
        }
        self.now = end;
        out
    }

    fn sign_in(&mut self, name: &str) {
        self.sessions += 1;
        self.step(Event::Connected { agent: agent(name), name: name.to_owned(), session: self.sessions });
        self.step(Event::StateChosen(agent(name), AgentState::Available, None));
        self.pass(Duration::from_millis(100));
    }

    fn disconnect(&mut self, name: &str) -> Vec<Decision> {
        // Whichever session it is: the last one that was given, or none.
        (1..=self.sessions).flat_map(|session| self.step(Event::Disconnected { agent: agent(name), session })).collect()
    }

    fn accept(&mut self, name: &str) -> Vec<Decision> {
        let offer = self.router.offer_of(&agent(name)).map_or(OfferId(Uuid::nil()), |(_, offer)| offer);
        self.step(Event::Accepted(agent(name), offer))
    }

    /// The caller speaks with this agent.
    fn joined(&mut self, n: u64, name: &str) -> HandoffId {
        self.step(Event::Requested(handoff(n), Facts::default()));
        self.accept(name);
        self.step(Event::MediaUp(handoff(n)));
        assert_eq!(self.router.contact_of(&agent(name)), Some(handoff(n)));
        handoff(n)
    }

    fn ask(&mut self, by: &str, target: Target) -> Result<HandoffId, NotNow> {
        self.made += 1;
        let id = handoff(1_000 + self.made);
        let mut out = Vec::new();
        let asked = self.consults.ask(&mut self.router, self.now, &agent(by), target, id, &mut out);
        self.check();
        asked.map(|()| id)
    }

    fn complete(&mut self, by: &str) -> Result<(), NotNow> {
        let done = self.consults.complete(&mut self.router, self.now, &agent(by), &mut Vec::new());
        self.check();
        done
    }

    fn end(&mut self, of: HandoffId, end: ConsultEnd) {
        self.consults.end(&mut self.router, self.now, of, end, &mut Vec::new());
        self.check();
    }

    fn state(&self, name: &str) -> AgentState {
        self.router.agent_state(&agent(name), self.now).map_or(AgentState::Offline, |(state, ..)| state)
    }

    /// Ann has the caller, and ben is consulted.
    fn consulting() -> (Self, HandoffId) {
        let mut desk = Self::with(&["ann", "ben"]);
        let call = desk.joined(1, "ann");
        desk.ask("ann", Target::Agent(agent("ben"))).expect("ben is free");
        desk.accept("ben");
        assert!(matches!(desk.consults.take_news()[..], [News::Here(_)]));
        (desk, call)
    }
}

#[test]
fn a_colleague_by_name_is_asked_and_gets_the_caller() {
    let (mut desk, call) = Desk::consulting();
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::OnContact, AgentState::OnContact));
    desk.complete("ann").expect("ben is there");
    assert_eq!(desk.router.contact_of(&agent("ben")), Some(call));
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::WrapUp, AgentState::OnContact));
    assert!(matches!(desk.consults.take_news()[..], [News::Succeeded(_)]));
    desk.step(Event::Ended(call, CallEnd::CallerHungUp));
    assert_eq!(desk.state("ben"), AgentState::WrapUp);
}

#[test]
fn a_consultation_given_up_leaves_no_wrap_up_unless_all_were_together() {
    let (mut desk, call) = Desk::consulting();
    desk.end(call, ConsultEnd::Canceled);
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::OnContact, AgentState::Available));
    desk.ask("ann", Target::Agent(agent("ben"))).expect("ben is free again");
    desk.accept("ben");
    desk.consults.set_mode(&agent("ann"), ConsultMode::Together).expect("ben is there");
    desk.end(call, ConsultEnd::Left);
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::OnContact, AgentState::WrapUp));
}

#[test]
fn who_is_not_free_is_not_asked_and_there_is_one_at_a_time() {
    let mut desk = Desk::with(&["ann", "ben", "cleo"]);
    assert_eq!(desk.ask("ann", Target::Agent(agent("ben"))), Err(NotNow::NoCall));
    desk.joined(1, "ann");
    desk.step(Event::StateChosen(agent("ben"), AgentState::Break, None));
    assert_eq!(desk.ask("ann", Target::Agent(agent("ben"))), Err(NotNow::Unavailable));
    assert_eq!(desk.ask("ann", Target::Agent(agent("ann"))), Err(NotNow::Unavailable));
    assert_eq!(desk.ask("ann", Target::Agent(agent("nobody"))), Err(NotNow::Unavailable));
    desk.ask("ann", Target::Agent(agent("cleo"))).expect("cleo is free");
    assert_eq!(desk.ask("ann", Target::Agent(agent("cleo"))), Err(NotNow::Consulting));
    assert_eq!(desk.complete("ann"), Err(NotNow::NotConsulting), "cleo has not answered");
    let together = desk.consults.set_mode(&agent("ann"), ConsultMode::Together);
    assert_eq!(together, Err(NotNow::NotConsulting));
}

#[test]
fn whoever_was_meant_and_declines_ends_a_consultation_and_a_queue_goes_on() {
    let mut desk = Desk::with(&["ann", "ben", "cleo"]);
    let call = desk.joined(1, "ann");
    desk.ask("ann", Target::Agent(agent("cleo"))).expect("cleo is free");
    let offer = desk.router.offer_of(&agent("cleo")).expect("asked, whoever has been idle longer").1;
    desk.step(Event::Rejected(agent("cleo"), offer));
    assert!(matches!(desk.consults.take_news()[..], [News::Over(_, ConsultEnd::NotTaken)]));
    assert_eq!((desk.state("ben"), desk.state("cleo")), (AgentState::Available, AgentState::Available));
    let queue = desk.router.plan().queues[0].name.clone();
    desk.ask("ann", Target::Queue(queue)).expect("asked");
    let offer = desk.router.offer_of(&agent("ben")).expect("idle for longest").1;
    desk.step(Event::Rejected(agent("ben"), offer));
    desk.accept("cleo");
    assert_eq!(desk.consults.about(call).and_then(|one| one.with.clone()), Some(agent("cleo")));
    assert_eq!(desk.router.contact_of(&agent("ann")), Some(call));
}

#[test]
fn nobody_is_looked_for_forever() {
    let mut desk = Desk::with(&["ann"]);
    desk.joined(1, "ann");
    let queue = desk.router.plan().queues[0].name.clone();
    desk.ask("ann", Target::Queue(queue)).expect("asked");
    desk.pass(LOOKED_FOR);
    assert!(matches!(desk.consults.take_news()[..], [News::Over(_, ConsultEnd::NotTaken)]));
    assert_eq!(desk.router.queue(desk.now).0, 0, "nothing is left in line");
}

#[test]
fn the_caller_s_leaving_ends_it_for_both() {
    let (mut desk, call) = Desk::consulting();
    desk.consults.set_mode(&agent("ann"), ConsultMode::Together).expect("ben is there");
    desk.step(Event::Left(call, Left::HungUp));
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::WrapUp, AgentState::WrapUp));
    assert!(matches!(desk.consults.take_news()[..], [News::Over(..)]));
}

#[test]
fn who_is_together_stays_together_when_an_agent_is_lost() {
    let (mut desk, call) = Desk::consulting();
    desk.consults.set_mode(&agent("ann"), ConsultMode::Together).expect("ben is there");
    let out = desk.disconnect("ann");
    assert!(!out.contains(&Decision::AgentLost(call)), "the caller is not alone: {out:?}");
    assert_eq!(desk.router.contact_of(&agent("ben")), Some(call));

    let (mut desk, call) = Desk::consulting();
    let out = desk.disconnect("ann");
    assert!(out.contains(&Decision::AgentLost(call)), "the caller waits on hold: {out:?}");
    assert_eq!(desk.state("ben"), AgentState::Available, "there is nothing to consult about");
    let out = desk.pass(Duration::from_secs(15));
    assert!(out.contains(&Decision::Requeued(call)), "{out:?}");
    assert_eq!(desk.router.offer_of(&agent("ben")).map(|(of, _)| of), Some(call), "and is first in line");

    let (mut desk, call) = Desk::consulting();
    desk.disconnect("ben");
    assert_eq!(desk.router.contact_of(&agent("ann")), Some(call));
    assert!(matches!(desk.consults.take_news()[..], [News::Over(_, ConsultEnd::Left)]));
}

#[test]
fn a_supervisor_who_takes_over_ends_it() {
    let (mut desk, call) = Desk::consulting();
    desk.sessions += 1;
    desk.step(Event::Connected { agent: agent("boss"), name: "boss".to_owned(), session: desk.sessions });
    desk.step(Event::TakenOver { handoff: call, facts: Facts::default(), agent: agent("boss") });
    assert_eq!(desk.router.contact_of(&agent("boss")), Some(call));
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::WrapUp, AgentState::Available));
}

#[test]
fn a_colleague_without_sound_is_no_colleague() {
    let (mut desk, call) = Desk::consulting();
    let id = desk.consults.about(call).expect("there is one").id;
    desk.sign_in("cleo");
    desk.step(Event::FailedConnect(id, Cause::Agent));
    assert_eq!(desk.state("ben"), AgentState::Error);
    assert_eq!(desk.router.offer_of(&agent("cleo")), None, "nobody else is asked");
    assert_eq!(desk.router.contact_of(&agent("ann")), Some(call));
}

#[test]
fn a_caller_given_to_somebody_goes_to_the_queue_if_they_do_not_take_it() {
    for declines in [true, false] {
        let mut desk = Desk::with(&["ann", "ben", "cleo"]);
        let call = desk.joined(1, "ann");
        desk.step(Event::GivenTo(call, agent("cleo")));
        assert_eq!(desk.state("ann"), AgentState::WrapUp);
        let offer = desk.router.offer_of(&agent("cleo")).expect("cleo first, though ben has been idle longer").1;
        let out = if declines {
            desk.step(Event::Rejected(agent("cleo"), offer))
        } else {
            desk.pass(Duration::from_secs(20))
        };
        assert!(out.contains(&Decision::AimOver(call)), "the caller is told: {out:?}");
        assert!(out.iter().any(|one| matches!(one, Decision::Offer { handoff, .. } if *handoff == call)), "{out:?}");
        assert_eq!(desk.router.offer_of(&agent("ben")).map(|(of, _)| of), Some(call));
        desk.accept("ben");
        assert_eq!(desk.router.contact_of(&agent("ben")), Some(call));
    }
}

#[test]
fn a_parked_caller_is_picked_up_or_goes_first_after_a_while() {
    let mut desk = Desk::with(&["ann", "ben"]);
    let call = desk.joined(1, "ann");
    desk.step(Event::Parked(call, desk.now + Duration::from_secs(120)));
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::WrapUp, AgentState::Available));
    assert!(!desk.router.may_pick_up(&agent("ann"), call) && desk.router.may_pick_up(&agent("ben"), call));
    let out = desk.step(Event::PickedUp { handoff: call, agent: agent("ben") });
    assert!(out.contains(&Decision::Assign { handoff: call, agent: agent("ben") }), "{out:?}");
    let again = desk.step(Event::PickedUp { handoff: call, agent: agent("ann") });
    assert_eq!(again, [], "one winner");
    desk.step(Event::WrapUpDone(agent("ann")));
    desk.step(Event::Parked(call, desk.now + Duration::from_secs(120)));
    desk.step(Event::StateChosen(agent("ann"), AgentState::Break, None));
    let out = desk.pass(Duration::from_secs(120));
    assert!(out.contains(&Decision::Requeued(call)), "{out:?}");
    assert_eq!(desk.router.place(call).map(|place| place.position), Some(1));
}

#[test]
fn a_caller_sent_to_a_telephone_may_come_back_to_the_line() {
    let mut desk = Desk::with(&["ann"]);
    let call = desk.joined(1, "ann");
    desk.step(Event::SentAway(call));
    assert_eq!(desk.state("ann"), AgentState::WrapUp);
    assert_eq!((desk.router.place(call), desk.router.knows(call)), (None, true));
    desk.step(Event::Requested(call, Facts::default()));
    assert!(desk.router.place(call).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]
    /// Whatever people do: one winner each, nobody in two conversations, every consultation ends exactly once, and no caller
    /// is lost.
    #[test]
    fn random_desks_keep_the_rules(script in prop::collection::vec((0u8..22, 0usize..4, 0usize..4, 0u64..9_000), 1..90)) {
        let mut desk = Desk::new();
        let (mut there, mut asked, mut over) = (Vec::<HandoffId>::new(), 0, 0);
        let mut next = 0;
        for (kind, one, other, wait) in script {
            let (name, colleague) = (NAMES[one], NAMES[other]);
            let id = agent(name);
            let contact = desk.router.contact_of(&id);
            let caller = there.get(other).copied();
            match kind {
                0 | 1 => desk.sign_in(name),
                2 | 3 => {
                    next += 1;
                    there.push(handoff(next));
                    desk.step(Event::Requested(handoff(next), Facts::default()));
                }
                4..=6 => drop(desk.accept(name)),
                7 => {
                    let offer = desk.router.offer_of(&id).map_or(OfferId(Uuid::nil()), |(_, offer)| offer);
                    desk.step(Event::Rejected(id, offer));
                }
                8 | 9 => asked += u32::from(desk.ask(name, Target::Agent(agent(colleague))).is_ok()),
                10 => {
                    let queue = desk.router.plan().queues[0].name.clone();
                    asked += u32::from(desk.ask(name, Target::Queue(queue)).is_ok());
                }
                11 => {
                    let mode = [ConsultMode::Private, ConsultMode::Caller, ConsultMode::Together][other % 3];
                    let _ = desk.consults.set_mode(&id, mode);
                }
                12 => drop(desk.complete(name)),
                13 => contact.into_iter().for_each(|of| desk.end(of, ConsultEnd::Canceled)),
                14 => drop(desk.disconnect(name)),
                15 => {
                    if let Some(caller) = caller {
                        there.retain(|one| *one != caller);
                        desk.step(Event::Left(caller, Left::HungUp));
                    }
                }
                16 => {
                    // A consultation is left with `end`; a caller's conversation ends like this.
                    if let Some(of) = contact.filter(|of| there.contains(of)) {
                        there.retain(|one| *one != of);
                        desk.step(Event::Ended(of, CallEnd::AgentEnded));
                    }
                }
                17 => {
                    if let Some(of) = contact.filter(|of| there.contains(of)) {
                        desk.step(Event::Parked(of, desk.now + Duration::from_secs(9)));
                    }
                }
                18 => {
                    if let Some(handoff) = caller {
                        desk.step(Event::PickedUp { handoff, agent: id });
                    }
                }
                19 => {
                    if let Some(of) = contact.filter(|of| there.contains(of)) {
                        desk.step(Event::GivenTo(of, agent(colleague)));
                    }
                }
                20 => {
                    desk.step(Event::WrapUpDone(id.clone()));
                    desk.step(Event::Acknowledged(id));
                }
                _ => {
                    if let Some(of) = contact {
                        desk.step(Event::FailedConnect(of, if other == 0 { Cause::Agent } else { Cause::System }));
                    }
                }
            }
            desk.pass(Duration::from_millis(wait));
            for caller in &there {
                prop_assert!(desk.router.knows(*caller), "{caller:?} is lost");
            }
            let ends = desk.consults.take_news().into_iter().filter(|news| !matches!(news, News::Here(_)));
            over += ends.count() as u32;
            prop_assert_eq!(asked, over + desk.consults.all.len() as u32, "each ends once");
        }
        for caller in there {
            desk.step(Event::Left(caller, Left::HungUp));
        }
        desk.pass(Duration::from_secs(600));
        prop_assert!(desk.consults.all.is_empty(), "no consultation without a caller");
        for name in NAMES {
            prop_assert!(desk.router.contact_of(&agent(name)).is_none(), "{name} is stuck");
            prop_assert!(desk.router.offer_of(&agent(name)).is_none(), "{name} is asked about nobody");
        }
    }
}

#[test]
fn an_offer_to_a_colleague_ends_like_any_other() {
    let mut desk = Desk::with(&["ann", "ben"]);
    let call = desk.joined(1, "ann");
    desk.ask("ann", Target::Agent(agent("ben"))).expect("ben is free");
    let out = desk.step(Event::Left(call, Left::HungUp));
    let canceled = |one: &Decision| matches!(one, Decision::OfferEnded { result: OfferResult::Canceled, .. });
    assert!(out.iter().any(canceled), "never charged to ben: {out:?}");
    assert_eq!(desk.state("ben"), AgentState::Available);
}
