//! Agents and each other: a colleague is asked, takes a caller over, or picks up one who was parked.
//!
//! A consultation is a task of its own, beside the caller's: its offers, its winner and its agent follow the same rules. What
//! both have to do with each other is in [`crate::handoff::consults`].

use std::time::Duration;

use super::Moment;
use super::event::{Decision, Target};
use super::router::Router;
use super::task::{Aim, Facts, TaskState};
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId};

/// What an aim outlasts the offer it waits for.
const MARGIN: Duration = Duration::from_secs(2);

impl Router {
    /// Whether somebody can be asked at this moment.
    pub fn is_free(&self, agent: &AgentId) -> bool {
        self.number(agent).is_some_and(|number| self.free.contains(&number))
    }

    /// Whether somebody may pick up this parked caller: they are free and serve the queue.
    pub fn may_pick_up(&self, agent: &AgentId, handoff: HandoffId) -> bool {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return false };
        let task = self.task(slot);
        matches!(task.state, TaskState::Parked { .. }) && self.is_free(agent) && self.serves(agent, self.queue_of(task))
    }

    /// Whether somebody serves the queue this caller came through.
    pub fn serves_queue_of(&self, agent: &AgentId, handoff: HandoffId) -> bool {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return false };
        self.serves(agent, self.queue_of(self.task(slot)))
    }

    /// Who has this caller, or is in this consultation; lost for the moment counts.
    pub fn contact_of_handoff(&self, handoff: HandoffId) -> Option<AgentId> {
        let task = self.task(*self.task_ids.get(&handoff)?);
        match task.state {
            TaskState::Assigned { agent, .. } | TaskState::AgentLost { agent, .. } => {
                Some(self.agents[agent as usize].id.clone())
            }
            _ => None,
        }
    }

    /// Whether there is such a task.
    pub fn knows(&self, handoff: HandoffId) -> bool {
        self.task_ids.contains_key(&handoff)
    }

    fn serves(&self, agent: &AgentId, queue: usize) -> bool {
        self.agent(agent).is_some_and(|agent| self.plan.entry(&agent.traits, queue).is_some())
    }

    /// A colleague is asked beside a conversation that goes on. Before all callers: one of them waits on hold for it.
    pub(super) fn consulted(
        &mut self,
        now: Moment,
        consult: HandoffId,
        target: &Target,
        by: &AgentId,
        until: Moment,
        out: &mut Vec<Decision>,
    ) {
        let (Some(asker), false) = (self.number(by), self.task_ids.contains_key(&consult)) else { return };
        let agent = match target {
            Target::Agent(id) => match self.number(id) {
                Some(number) => Some(number),
                None => return out.push(Decision::AimOver(consult)),
            },
            Target::Queue(_) => None,
        };
        let slot = self.new_task(now, consult, Facts::default());
        let task = self.task_mut(slot);
        (task.first, task.beside) = (true, true);
        task.aim = Some(Aim { agent, not: Some(asker), until, only: true });
        self.join_line(slot);
        if let Target::Queue(queue) = target {
            self.moved(now, consult, queue, out);
        }
        self.touch_task(now, slot);
    }

    /// The agent gives the caller to this colleague, or, if they don't take it, to whoever the queue says.
    pub(super) fn given_to(&mut self, now: Moment, handoff: HandoffId, to: &AgentId, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return };
        let (TaskState::Assigned { agent, .. }, Some(number)) = (self.task(slot).state.clone(), self.number(to)) else {
            return;
        };
        let offer = self.plan.queues[self.queue_of(self.task(slot))].offer_timeout;
        let until = now + self.plan.rules.reoffer_after;
        self.contact_ended(now, agent, handoff, CallEnd::Transferred, out);
        let task = self.task_mut(slot);
        task.enter(TaskState::Pending);
        task.first = true;
        task.excluded.insert(agent, until);
        task.aim = Some(Aim { agent: Some(number), not: Some(agent), until: now + offer + MARGIN, only: false });
        self.join_line(slot);
        self.touch_task(now, slot);
    }

    /// Whoever was meant does not take it.
    pub(super) fn aim_over(&mut self, now: Moment, slot: u32, out: &mut Vec<Decision>) {
        let Some(aim) = self.task_mut(slot).aim.take() else { return };
        self.cancel_offers(now, slot, OfferResult::Rescinded, out);
        let handoff = self.task(slot).handoff;
        out.push(Decision::AimOver(handoff));
        if aim.only {
            self.leave_line(slot);
            self.task_mut(slot).enter(TaskState::Aside(None));
            self.touch_task(now, slot);
        } else {
            self.task_mut(slot).stays = true;
            let step = self.task(slot).step;
            self.enter_step(now, slot, step, out);
        }
    }

    /// Who was consulted has the caller from now on; the consultation is over, and whoever had them is out of it.
    pub(super) fn succeeds(
        &mut self,
        now: Moment,
        handoff: HandoffId,
        consult: HandoffId,
        reason: CallEnd,
        out: &mut Vec<Decision>,
    ) {
        let slots = (self.task_ids.get(&handoff).copied(), self.task_ids.get(&consult).copied());
        let (Some(slot), Some(beside)) = slots else { return };
        let TaskState::Assigned { agent: heir, .. } = self.task(beside).state else { return };
        match self.task(slot).state {
            TaskState::Assigned { agent, .. } | TaskState::AgentLost { agent, .. } => {
                self.contact_ended(now, agent, handoff, reason, out);
            }
            _ => {
                self.task_mut(slot).aim = None;
                self.cancel_offers(now, slot, OfferResult::Rescinded, out);
                self.leave_line(slot);
            }
        }
        self.forget(beside);
        let contacts = &mut self.agents[heir as usize].contacts;
        contacts.iter_mut().filter(|one| **one == consult).for_each(|one| *one = handoff);
        let task = self.task_mut(slot);
        task.reason = None;
        task.enter(TaskState::Assigned { agent: heir, at: now, connected: true });
        self.touch_task(now, slot);
        let agent = self.agents[heir as usize].id.clone();
        out.push(Decision::Succeeded { handoff, consult, agent });
    }

    /// A consultation is over before the colleague had anything to do with the caller: no wrap-up.
    pub(super) fn released(&mut self, now: Moment, consult: HandoffId, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&consult).copied() else { return };
        let (TaskState::Assigned { agent, .. } | TaskState::AgentLost { agent, .. }) = self.task(slot).state else {
            return;
        };
        self.forget(slot);
        let own = &mut self.agents[agent as usize];
        own.contacts.retain(|one| *one != consult);
        let (id, gone, last) = (own.id.clone(), own.session.is_none(), own.contacts.is_empty());
        out.push(Decision::Released { consult, agent: id });
        if last {
            let otherwise = if gone { AgentState::Offline } else { AgentState::Available };
            self.leave_contact(now, agent, otherwise, out);
        } else {
            self.touch_agent(now, agent);
        }
    }

    /// The agent sets the caller aside for colleagues to pick up; after `until` the caller is first in line.
    pub(super) fn parked(&mut self, now: Moment, handoff: HandoffId, until: Moment, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return };
        let TaskState::Assigned { agent, .. } = self.task(slot).state else { return };
        self.contact_ended(now, agent, handoff, CallEnd::Parked, out);
        self.task_mut(slot).enter(TaskState::Parked { by: agent, until });
        self.touch_task(now, slot);
    }

    /// Somebody picks a parked caller up.
    pub(super) fn picked_up(&mut self, now: Moment, handoff: HandoffId, agent: AgentId, out: &mut Vec<Decision>) {
        if self.may_pick_up(&agent, handoff) {
            self.taken_over(now, handoff, Facts::default(), agent, out);
        }
    }

    /// The agent sends the caller to a telephone outside: out of line, with the place kept.
    pub(super) fn sent_away(&mut self, now: Moment, handoff: HandoffId, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&handoff).copied() else { return };
        let TaskState::Assigned { agent, .. } = self.task(slot).state else { return };
        self.contact_ended(now, agent, handoff, CallEnd::Transferred, out);
        self.task_mut(slot).enter(TaskState::Aside(None));
        self.touch_task(now, slot);
    }
}
