//! A person takes a caller over without waiting to be asked, or gives one to other people.

use super::Moment;
use super::event::Decision;
use super::router::Router;
use super::task::{Facts, TaskState};
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId};

impl Router {
    /// Whether somebody is there and with no caller.
    pub fn can_take_over(&self, agent: &AgentId) -> bool {
        self.agent(agent)
            .is_some_and(|agent| agent.session.is_some() && agent.contacts.is_empty() && agent.wrap_up.is_none())
    }

    /// Wherever the caller is: in line, offered, with somebody else, aside, or with the assistant. Whoever has the caller is
    /// in wrap-up after it; whoever is asked about them is no longer asked.
    pub(super) fn taken_over(
        &mut self,
        now: Moment,
        handoff: HandoffId,
        facts: Facts,
        id: AgentId,
        out: &mut Vec<Decision>,
    ) {
        let Some(number) = self.number(&id).filter(|_| self.can_take_over(&id)) else { return };
        if let Some((slot, offer)) = self.agents[number as usize].offer
            && let Some(pending) = self.task(slot).offers.iter().find(|one| one.offer == offer).copied()
        {
            // They were being asked about somebody, who is free again.
            self.offer_over(now, slot, pending, OfferResult::Rescinded, out);
        }
        let agent = &mut self.agents[number as usize];
        if agent.next.is_none() && matches!(agent.state, AgentState::Break | AgentState::Offline) {
            // Afterwards they are where they were.
            agent.next = Some((agent.state, agent.code.clone()));
        }
        let slot = match self.task_ids.get(&handoff) {
            Some(slot) => *slot,
            None => self.new_task(now, handoff, facts),
        };
        self.task_mut(slot).aim = None;
        match self.task(slot).state {
            TaskState::Pending | TaskState::Reserved => self.cancel_offers(now, slot, OfferResult::Rescinded, out),
            TaskState::Assigned { agent: other, .. } | TaskState::AgentLost { agent: other, .. } => {
                self.contact_ended(now, other, handoff, CallEnd::TakenOver, out);
            }
            TaskState::Aside(_) | TaskState::Parked { .. } | TaskState::Elsewhere { .. } => {}
        }
        self.leave_line(slot);
        self.task_mut(slot).enter(TaskState::Assigned { agent: number, at: now, connected: false });
        self.touch_task(now, slot);
        let queue = self.queue_of(self.task(slot));
        self.begin_contact(now, number, handoff, queue, out);
        out.push(Decision::Assign { handoff, agent: id });
    }

    /// The agent is in wrap-up, and the caller in line elsewhere, with the whole wait counted. The agent is not asked again
    /// at once.
    pub(super) fn transferred(&mut self, now: Moment, handoff: HandoffId, queue: &str, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return };
        let TaskState::Assigned { agent, .. } = self.task(slot).state else { return };
        let known = self.plan.queues.iter().any(|own| own.name == queue);
        if !known {
            return;
        }
        self.contact_ended(now, agent, handoff, CallEnd::Transferred, out);
        let until = now + self.plan.rules.reoffer_after;
        let task = self.task_mut(slot);
        task.enter(TaskState::Pending);
        task.first = false;
        self.join_line(slot);
        self.moved(now, handoff, queue, out);
        self.task_mut(slot).excluded.insert(agent, until);
        self.touch_task(now, slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::handoff::routing::{Event, Plan};

    struct Desk {
        router: Router,
        now: Moment,
    }

    impl Desk {
        fn with(agents: &[&str]) -> Self {
            let mut desk = Self { router: Router::new(Arc::new(Plan::default()), 3), now: Moment::from_ms(1_000_000) };
            for (session, agent) in (1..).zip(agents) {
                desk.step(Event::Connected { agent: id(agent), name: (*agent).to_owned(), session });
            }
            desk
        }

        fn step(&mut self, event: Event) -> Vec<Decision> {
            let mut out = Vec::new();
            self.now = self.now + std::time::Duration::from_millis(100);
            self.router.step(self.now, event, &mut out);
            assert_eq!(self.router.broken_rule(self.now), None);
            out
        }

        fn state(&self, agent: &str) -> AgentState {
            self.router.agent_state(&id(agent), self.now).expect("known").0
        }

        fn available(&mut self, agent: &str) -> Vec<Decision> {
            self.step(Event::StateChosen(id(agent), AgentState::Available, None))
        }
    }

    fn id(name: &str) -> AgentId {
        AgentId(name.to_owned())
    }

    fn takes(handoff: HandoffId, agent: &str) -> Event {
        Event::TakenOver { handoff, facts: Facts::default(), agent: id(agent) }
    }

    #[test]
    fn a_caller_of_the_assistant_is_taken_by_somebody_who_takes_no_calls() {
        let mut desk = Desk::with(&["ann", "boss"]);
        desk.available("ann");
        let call = HandoffId::generate();
        let out = desk.step(takes(call, "boss"));
        assert!(out.contains(&Decision::Assign { handoff: call, agent: id("boss") }), "{out:?}");
        assert!(!out.iter().any(|one| matches!(one, Decision::Offer { .. })), "nobody else is asked: {out:?}");
        assert_eq!(desk.state("boss"), AgentState::OnContact);
        desk.step(Event::Ended(call, CallEnd::CallerHungUp));
        assert_eq!(desk.state("boss"), AgentState::WrapUp);
        desk.step(Event::WrapUpDone(id("boss")));
        assert_eq!(desk.state("boss"), AgentState::Offline, "back where they were");
    }

    #[test]
    fn whoever_has_the_caller_goes_to_wrap_up() {
        let mut desk = Desk::with(&["ann", "boss"]);
        desk.available("ann");
        let call = HandoffId::generate();
        let out = desk.step(Event::Requested(call, Facts::default()));
        let Some(Decision::Offer { offer, .. }) = out.iter().find(|one| matches!(one, Decision::Offer { .. })) else {
            panic!("{out:?}")
        };
        desk.step(Event::Accepted(id("ann"), *offer));
        desk.step(Event::MediaUp(call));
        let out = desk.step(takes(call, "boss"));
        assert!(
            out.iter().any(
                |one| matches!(one, Decision::WrapUp { agent, reason: CallEnd::TakenOver, .. } if *agent == id("ann"))
            ),
            "{out:?}"
        );
        assert_eq!((desk.state("ann"), desk.state("boss")), (AgentState::WrapUp, AgentState::OnContact));
    }

    #[test]
    fn offers_about_the_caller_and_to_the_taker_are_rescinded() {
        let mut desk = Desk::with(&["ann", "boss"]);
        desk.available("ann");
        desk.available("boss");
        let (first, second) = (HandoffId::generate(), HandoffId::generate());
        desk.step(Event::Requested(first, Facts::default()));
        desk.step(Event::Requested(second, Facts::default()));
        assert_eq!((desk.state("ann"), desk.state("boss")), (AgentState::Reserved, AgentState::Reserved));
        let out = desk.step(takes(first, "boss"));
        let rescinded =
            out.iter().filter(|one| matches!(one, Decision::OfferEnded { result: OfferResult::Rescinded, .. })).count();
        assert_eq!(rescinded, 2, "{out:?}");
        assert_eq!(desk.state("boss"), AgentState::OnContact);
        assert_eq!(desk.state("ann"), AgentState::Reserved, "is asked about the other one now");
    }

    #[test]
    fn nobody_takes_two_and_nobody_absent_takes_any() {
        let mut desk = Desk::with(&["boss"]);
        let (first, second) = (HandoffId::generate(), HandoffId::generate());
        desk.step(takes(first, "boss"));
        assert_eq!(desk.step(takes(second, "boss")), []);
        assert_eq!(desk.step(takes(second, "nobody")), []);
        assert_eq!(desk.router.contact_of(&id("boss")), Some(first));
    }

    #[test]
    fn who_is_given_to_another_queue_waits_there_and_not_for_the_same_person() {
        let text = "[[routing.queues]]\nname = \"main\"\n[[routing.queues]]\nname = \"cards\"\n[[routing.workflows]]\n\
                    name = \"cards\"\nwhen = [\"reason = cards\"]\nsteps = [{ queue = \"cards\" }]\n";
        let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
        let mut desk = Desk::with(&["ann", "ben"]);
        desk.router = Router::new(Arc::new(config.routing.plan(&config.handoff)), 3);
        for (session, agent) in [(1, "ann"), (2, "ben")] {
            desk.step(Event::Connected { agent: id(agent), name: agent.to_owned(), session });
        }
        let call = HandoffId::generate();
        desk.step(takes(call, "ann"));
        desk.step(Event::MediaUp(call));
        desk.step(Event::Transferred(call, "nowhere".to_owned()));
        assert_eq!(desk.state("ann"), AgentState::OnContact, "an unknown queue changes nothing");
        desk.step(Event::Transferred(call, "cards".to_owned()));
        assert_eq!(desk.state("ann"), AgentState::WrapUp);
        assert_eq!(desk.router.place(call).expect("in line").queue, "cards");
        desk.step(Event::WrapUpDone(id("ann")));
        let out = desk.available("ann");
        assert!(!out.iter().any(|one| matches!(one, Decision::Offer { .. })), "not at once: {out:?}");
        let out = desk.available("ben");
        assert!(out.iter().any(|one| matches!(one, Decision::Offer { handoff, .. } if *handoff == call)), "{out:?}");
    }
}
