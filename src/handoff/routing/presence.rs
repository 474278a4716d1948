//! Agents: who is there, in which state, and what follows.

use std::time::Duration;

use super::Moment;
use super::agent::{Agent, IdleClock, WrapUp};
use super::event::{Cause, Decision};
use super::router::{Router, Who};
use super::task::TaskState;
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, OfferId};

impl Router {
    pub(super) fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agent_ids.get(id).map(|place| &self.agents[*place as usize])
    }

    pub(super) fn number(&self, id: &AgentId) -> Option<u32> {
        self.agent_ids.get(id).copied()
    }

    /// Changes the state, runs or stops the idle clock, and tells.
    pub(super) fn set_state(
        &mut self,
        now: Moment,
        number: u32,
        state: AgentState,
        code: Option<String>,
        out: &mut Vec<Decision>,
    ) {
        let agent = &mut self.agents[number as usize];
        let code = code.filter(|_| state == AgentState::Break);
        if agent.state != state || agent.code != code {
            agent.state = state;
            agent.code = code;
            agent.since = now;
        }
        agent.idle.run(matches!(state, AgentState::Available | AgentState::Reserved), now);
        if state == AgentState::Offline {
            // Signing out ends the idle clock; a lost socket within the grace never comes here.
            agent.idle = IdleClock::default();
            agent.rests_until = None;
        }
        out.push(Decision::State(agent.id.clone()));
        self.touch_agent(now, number);
    }

    /// After any change of an agent: is it free, does it count as staff, when is its next alarm.
    pub(super) fn touch_agent(&mut self, now: Moment, number: u32) {
        let rules = self.plan.rules;
        let agent = &mut self.agents[number as usize];
        let free = agent.is_free();
        if free && self.free.insert(number) {
            self.changed_agents.insert(number);
        }
        if !free {
            self.free.remove(&number);
        }
        let staffed = agent.is_staffed();
        if agent.staffed != staffed {
            agent.staffed = staffed;
            self.staffing_changed = true;
            if !rules.known_agent.is_zero() {
                let id = &self.agents[number as usize].id;
                let kept = |one: &&super::router::Waiting| {
                    let task = self.tasks[one.slot as usize].as_ref();
                    task.is_some_and(|task| task.facts.known_agent.as_ref() == Some(id))
                };
                self.changed_tasks.extend(self.waiting.iter().filter(kept).map(|one| one.slot));
            }
        }
        let agent = &mut self.agents[number as usize];
        let grace = agent.lost_at.filter(|_| agent.contacts.is_empty()).map(|at| at + rules.presence_grace);
        let wrap_up = agent.wrap_up.map(|wrap_up| wrap_up.until);
        let alarm = [grace, wrap_up, agent.rests_until].into_iter().flatten().min().map(|at| at.max(now));
        let before = std::mem::replace(&mut agent.alarm, alarm);
        if before != alarm {
            if let Some(at) = before {
                self.alarms.remove(&(at, Who::Agent(number)));
            }
            if let Some(at) = alarm {
                self.alarms.insert((at, Who::Agent(number)));
            }
        }
    }

    pub(super) fn agent_alarm(&mut self, now: Moment, number: u32, out: &mut Vec<Decision>) {
        let grace = self.plan.rules.presence_grace;
        let agent = &mut self.agents[number as usize];
        agent.alarm = None;
        agent.rests_until = agent.rests_until.filter(|until| *until > now);
        if agent.wrap_up.is_some_and(|wrap_up| now >= wrap_up.until) {
            self.leave_contact(now, number, AgentState::Available, out);
        }
        let agent = &mut self.agents[number as usize];
        if agent.contacts.is_empty() && agent.lost_at.is_some_and(|at| now >= at + grace) {
            agent.lost_at = None;
            agent.next = None;
            agent.wrap_up = None;
            self.set_state(now, number, AgentState::Offline, None, out);
        }
        self.touch_agent(now, number);
    }

    // --- sessions -------------------------------------------------------------------------------------------------

    pub(super) fn connected(&mut self, now: Moment, id: AgentId, name: String, session: u64, out: &mut Vec<Decision>) {
        let number = self.number(&id).unwrap_or_else(|| {
            let number = self.agents.len() as u32;
            self.agents.push(Agent::new(id.clone(), name.clone(), self.plan.traits(&name), now));
            self.agent_ids.insert(id.clone(), number);
            for (place, number) in (0..).zip(self.agent_ids.values()) {
                self.agents[*number as usize].place = place;
            }
            number
        });
        let traits = self.plan.traits(&name);
        let agent = &mut self.agents[number as usize];
        (agent.name, agent.traits) = (name, traits);
        let replaced = agent.session.replace(session);
        agent.lost_at = None;
        // Whoever is there now has not agreed to anything yet.
        agent.auto_answer = false;
        let (wrap_up, contacts, offer) = (agent.wrap_up, agent.contacts.clone(), agent.offer);
        if let Some(old) = replaced {
            out.push(Decision::CloseSession(id.clone(), old));
        }
        out.push(Decision::State(id.clone()));
        if let Some(WrapUp { handoff, reason, until, .. }) = wrap_up {
            out.push(Decision::WrapUp { agent: id.clone(), handoff, reason, until });
        }
        for handoff in contacts {
            let Some(slot) = self.task_ids.get(&handoff).copied() else { continue };
            if let TaskState::AgentLost { agent, connected, .. } = self.task(slot).state {
                // Whoever was not connected yet has the whole time for it again.
                self.task_mut(slot).enter(TaskState::Assigned { agent, at: now, connected });
                self.touch_task(now, slot);
            }
            out.push(Decision::AgentReturned { handoff, agent: id.clone() });
        }
        if let Some((slot, offer)) = offer
            && let Some(pending) = self.task(slot).offers.iter().find(|one| one.offer == offer).copied()
        {
            // The offer was shown in the tab that is gone now.
            self.offer_over(now, slot, pending, OfferResult::Rescinded, out);
        }
        self.touch_agent(now, number);
    }

    pub(super) fn disconnected(&mut self, now: Moment, id: &AgentId, session: u64, out: &mut Vec<Decision>) {
        let Some(number) = self.number(id) else { return };
        let agent = &mut self.agents[number as usize];
        if agent.session != Some(session) {
            return;
        }
        agent.session = None;
        agent.lost_at = Some(now);
        let (contacts, offer) = (agent.contacts.clone(), agent.offer);
        self.touch_agent(now, number);
        if let Some((slot, offer)) = offer
            && let Some(pending) = self.task(slot).offers.iter().find(|one| one.offer == offer).copied()
        {
            self.offer_over(now, slot, pending, OfferResult::Rescinded, out);
        }
        for handoff in contacts {
            let Some(slot) = self.task_ids.get(&handoff).copied() else { continue };
            if let TaskState::Assigned { agent, connected, .. } = self.task(slot).state {
                let until = now + self.plan.rules.resume;
                self.task_mut(slot).enter(TaskState::AgentLost { agent, until, connected });
                self.touch_task(now, slot);
                out.push(Decision::AgentLost(handoff));
            }
        }
    }

    // --- what agents choose ---------------------------------------------------------------------------------------

    /// Agreeing counts for the offers to come; taking it back also for the one that rings.
    pub(super) fn auto_answer(&mut self, now: Moment, id: &AgentId, on: bool) {
        let Some(number) = self.number(id) else { return };
        let agent = &mut self.agents[number as usize];
        agent.auto_answer = on;
        if let Some((_, offer)) = agent.offer.filter(|_| !on) {
            self.not_by_itself(now, id, offer);
        }
    }

    pub(super) fn not_by_itself(&mut self, now: Moment, id: &AgentId, offer: OfferId) {
        let Some((slot, _)) = self.pending(id, offer) else { return };
        if let Some(pending) = self.task_mut(slot).offers.iter_mut().find(|pending| pending.offer == offer) {
            pending.answers = None;
        }
        self.touch_task(now, slot);
    }

    pub(super) fn state_chosen(
        &mut self,
        now: Moment,
        id: &AgentId,
        wanted: AgentState,
        code: Option<String>,
        out: &mut Vec<Decision>,
    ) {
        if !matches!(wanted, AgentState::Available | AgentState::Break | AgentState::Offline) {
            return;
        }
        let Some(number) = self.number(id) else { return };
        let agent = &mut self.agents[number as usize];
        match agent.state {
            AgentState::OnContact | AgentState::WrapUp => {
                agent.next = Some((wanted, code));
                out.push(Decision::State(id.clone()));
                self.touch_agent(now, number);
            }
            AgentState::Reserved => {
                // Leaving while an offer rings takes the offer back; staying changes nothing.
                if wanted == AgentState::Available {
                    return;
                }
                agent.next = Some((wanted, code));
                if let Some((slot, offer)) = agent.offer
                    && let Some(pending) = self.task(slot).offers.iter().find(|one| one.offer == offer).copied()
                {
                    self.offer_over(now, slot, pending, OfferResult::Rescinded, out);
                }
            }
            _ => self.set_state(now, number, wanted, code, out),
        }
    }

    pub(super) fn acknowledged(&mut self, now: Moment, id: &AgentId, out: &mut Vec<Decision>) {
        let Some(number) = self.number(id) else { return };
        if matches!(self.agents[number as usize].state, AgentState::Missed | AgentState::Error) {
            self.set_state(now, number, AgentState::Available, None, out);
        }
    }

    pub(super) fn wrap_up_done(&mut self, now: Moment, id: &AgentId, out: &mut Vec<Decision>) {
        if let Some(number) = self.number(id)
            && self.agents[number as usize].state == AgentState::WrapUp
        {
            self.leave_contact(now, number, AgentState::Available, out);
        }
    }

    /// Once.
    pub(super) fn wrap_up_extended(&mut self, now: Moment, id: &AgentId, out: &mut Vec<Decision>) {
        let extension = self.plan.rules.wrap_up_extension;
        let Some(number) = self.number(id) else { return };
        if let Some(wrap_up) = self.agents[number as usize].wrap_up.as_mut().filter(|wrap_up| !wrap_up.extended) {
            wrap_up.extended = true;
            wrap_up.until = wrap_up.until + extension;
            let WrapUp { handoff, reason, until, .. } = *wrap_up;
            out.push(Decision::WrapUp { agent: id.clone(), handoff, reason, until });
            self.touch_agent(now, number);
        }
    }

    // --- offers and contacts --------------------------------------------------------------------------------------

    pub(super) fn show_offer(&mut self, now: Moment, number: u32, out: &mut Vec<Decision>) {
        if self.agents[number as usize].state == AgentState::OnContact {
            self.touch_agent(now, number);
        } else {
            self.set_state(now, number, AgentState::Reserved, None, out);
        }
    }

    pub(super) fn after_offer(&mut self, now: Moment, number: u32, result: OfferResult, out: &mut Vec<Decision>) {
        let agent = &mut self.agents[number as usize];
        if agent.state != AgentState::Reserved {
            return self.touch_agent(now, number); // With another caller, by capacity.
        }
        let (state, code) = match result {
            OfferResult::Timeout => (AgentState::Missed, None),
            _ => agent.next.take().unwrap_or((AgentState::Available, None)),
        };
        self.set_state(now, number, state, code, out);
    }

    pub(super) fn begin_contact(
        &mut self,
        now: Moment,
        number: u32,
        handoff: HandoffId,
        queue: usize,
        out: &mut Vec<Decision>,
    ) {
        let agent = &mut self.agents[number as usize];
        agent.answered += 1;
        agent.contact.get_or_insert((now, queue));
        if agent.contacts.is_empty() {
            agent.idle_before = agent.idle.shows(now);
            agent.idle = IdleClock::default();
        }
        agent.contacts.push(handoff);
        self.set_state(now, number, AgentState::OnContact, None, out);
    }

    pub(super) fn contact_ended(
        &mut self,
        now: Moment,
        number: u32,
        handoff: HandoffId,
        reason: CallEnd,
        out: &mut Vec<Decision>,
    ) {
        let agent = &mut self.agents[number as usize];
        agent.contacts.retain(|one| *one != handoff);
        agent.last_call = Some(now);
        let last = agent.contacts.is_empty();
        // Whoever has another caller has no time for wrap-up.
        let until = if last { now + self.plan.rules.wrap_up } else { now };
        if last {
            agent.wrap_up = Some(WrapUp { handoff, reason, until, extended: false });
        }
        out.push(Decision::WrapUp { agent: agent.id.clone(), handoff, reason, until });
        if last {
            self.set_state(now, number, AgentState::WrapUp, None, out);
        } else {
            self.touch_agent(now, number);
        }
    }

    /// No connection came about. Whoever is not to blame gets the idle time back.
    pub(super) fn contact_failed(
        &mut self,
        now: Moment,
        number: u32,
        handoff: HandoffId,
        cause: Cause,
        out: &mut Vec<Decision>,
    ) {
        let agent = &mut self.agents[number as usize];
        agent.contacts.retain(|one| *one != handoff);
        agent.answered -= 1;
        if !agent.contacts.is_empty() {
            return self.touch_agent(now, number);
        }
        agent.contact = None;
        agent.idle = IdleClock::Standing(agent.idle_before);
        let (state, code) = match cause {
            Cause::Agent => (AgentState::Error, None),
            Cause::System => agent.next.take().unwrap_or((AgentState::Available, None)),
        };
        self.set_state(now, number, state, code, out);
    }

    /// The agent did not come back to the caller.
    pub(super) fn contact_lost(&mut self, now: Moment, number: u32, handoff: HandoffId, out: &mut Vec<Decision>) {
        let agent = &mut self.agents[number as usize];
        agent.contacts.retain(|one| *one != handoff);
        agent.last_call = Some(now);
        if agent.contacts.is_empty() {
            self.leave_contact(now, number, AgentState::Offline, out);
        } else {
            self.touch_agent(now, number);
        }
    }

    /// After the last contact: the idle clock starts anew and the state the agent asked for applies.
    pub(super) fn leave_contact(&mut self, now: Moment, number: u32, otherwise: AgentState, out: &mut Vec<Decision>) {
        let cool_down = self.plan.rules.cool_down;
        let agent = &mut self.agents[number as usize];
        agent.wrap_up = None;
        agent.idle = IdleClock::Standing(Duration::ZERO);
        let contact = agent.contact.take();
        if std::mem::take(&mut agent.distressed) && !cool_down.is_zero() {
            agent.rests_until = Some(now + cool_down);
        }
        let (state, code) = agent.next.take().unwrap_or((otherwise, None));
        if let Some((began, queue)) = contact.filter(|_| otherwise != AgentState::Offline)
            && let Some(queue) = self.queues.get_mut(queue)
        {
            queue.handling.add(now.since(began));
        }
        self.set_state(now, number, state, code, out);
    }
}
