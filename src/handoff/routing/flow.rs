//! A caller's way through the steps of a workflow, the line, and a change of plan.

use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::event::Decision;
use super::hours::Calendar;
use super::plan::{Exit, Plan, SkipIf};
use super::router::{QueueState, Router, Waiting};
use super::task::TaskState;
use crate::handoff::HandoffId;
use crate::handoff::wire::OfferResult;

impl Router {
    /// Enters a step, or the first after it whose queue is open; after the last step comes the exit.
    pub(super) fn enter_step(&mut self, now: Moment, slot: u32, step: usize, out: &mut Vec<Decision>) {
        let plan = self.plan.clone();
        let workflow = &plan.workflows[self.task(slot).workflow];
        let stays = self.task(slot).stays || workflow.exit == Exit::Wait;
        let is_open =
            |step: usize| plan.queues[workflow.steps[step].queue].hours.as_ref().is_none_or(|h| h.is_open(now));
        let last = workflow.steps.len() - 1;
        let open = (step..=last).find(|step| is_open(*step));
        let Some(step) = open.or(stays.then_some(last)) else {
            return self.exit(now, slot, workflow.exit, out);
        };
        let (chosen, queue) = (&workflow.steps[step], &plan.queues[workflow.steps[step].queue]);
        let ends = (step < last || !stays).then_some(chosen.timeout).flatten();
        let opens = |hours: &Calendar| hours.next_open(now).unwrap_or_else(|| Calendar::ask_again(now));
        let task = self.task_mut(slot);
        task.step = step;
        // Of the caller's whole age, not of the time in this step: a late beginning does not make a wait longer.
        task.step_ends = ends.map(|timeout| task.queued_at + task.spent + timeout);
        task.opens = if open.is_none() { queue.hours.as_ref().map(opens) } else { None };
        task.priority = task.priority_set.unwrap_or(chosen.priority.unwrap_or(queue.priority) + task.facts.priority);
        self.leave_line(slot);
        self.join_line(slot);
        self.touch_task(now, slot);
    }

    /// The time of the step is over.
    pub(super) fn step_over(&mut self, now: Moment, slot: u32, out: &mut Vec<Decision>) {
        let task = self.task(slot);
        let timeout = self.plan.workflows[task.workflow].steps[task.step].timeout;
        self.task_mut(slot).spent += timeout.unwrap_or(Duration::ZERO);
        self.next_step(now, slot, out);
    }

    pub(super) fn next_step(&mut self, now: Moment, slot: u32, out: &mut Vec<Decision>) {
        let task = self.task(slot);
        let workflow = &self.plan.workflows[task.workflow];
        let (next, exit) = (task.step + 1, workflow.exit);
        if next < workflow.steps.len() {
            self.enter_step(now, slot, next, out);
        } else if task.stays || exit == Exit::Wait {
            self.task_mut(slot).step_ends = None;
            self.touch_task(now, slot);
        } else {
            self.exit(now, slot, exit, out);
        }
    }

    fn exit(&mut self, now: Moment, slot: u32, exit: Exit, out: &mut Vec<Decision>) {
        self.task_mut(slot).aim = None;
        self.cancel_offers(now, slot, OfferResult::Rescinded, out);
        self.leave_line(slot);
        let task = self.task_mut(slot);
        task.enter(TaskState::Aside(Some(exit)));
        task.step_ends = None;
        out.push(Decision::Exit(task.handoff, exit));
        self.touch_task(now, slot);
    }

    /// Whether a caller whom nobody can take at once passes this step over.
    pub(super) fn is_skipped(&self, slot: u32) -> bool {
        let task = self.task(slot);
        let workflow = &self.plan.workflows[task.workflow];
        let step = &workflow.steps[task.step];
        let last = task.step + 1 == workflow.steps.len();
        if task.aim.is_some() || step.skip_if.is_empty() || last && (task.stays || workflow.exit == Exit::Wait) {
            return false;
        }
        let queue = &self.queues[step.queue];
        step.skip_if.iter().any(|reason| match *reason {
            SkipIf::NoneAvailable => !self
                .free
                .iter()
                .any(|agent| self.plan.entry(&self.agents[*agent as usize].traits, step.queue).is_some()),
            SkipIf::Unstaffed => queue.staffed == 0,
            // Without the caller.
            SkipIf::Waiting(limit) => queue.waiting > limit,
            SkipIf::Estimate(limit) => {
                queue.handling.estimate(queue.waiting, queue.staffed).is_none_or(|estimate| estimate.p50 >= limit)
            }
        })
    }

    // --- the line -------------------------------------------------------------------------------------------------

    pub(super) fn join_line(&mut self, slot: u32) {
        let (task, rules) = (self.task(slot), &self.plan.rules);
        let (key, queue) = (task.place(rules), self.queue_of(task));
        let at = self.waiting.partition_point(|one| one.key < key);
        self.waiting.insert(at, Waiting { key, slot, queue, told: None });
        self.queues[queue].waiting += 1;
        self.task_mut(slot).key = Some(key);
        self.places_changed = true;
    }

    pub(super) fn leave_line(&mut self, slot: u32) {
        let Some(key) = self.task_mut(slot).key.take() else { return };
        let at = self.waiting.partition_point(|one| one.key < key);
        let removed = self.waiting.remove(at);
        debug_assert_eq!(removed.slot, slot, "keys are unique");
        self.queues[removed.queue].waiting -= 1;
        self.changed_tasks.remove(&slot);
        self.places_changed = true;
    }

    /// A supervisor's wish: the caller waits in this queue, for as long as it takes.
    pub(super) fn moved(&mut self, now: Moment, handoff: HandoffId, queue: &str, out: &mut Vec<Decision>) {
        let Some(slot) = self.task_ids.get(&handoff).copied().filter(|slot| self.task(*slot).is_waiting()) else {
            return;
        };
        let found = self.plan.workflows.iter().enumerate().find_map(|(number, workflow)| {
            let step = workflow.steps.iter().position(|step| self.plan.queues[step.queue].name == queue)?;
            Some((number, step))
        });
        let Some((workflow, step)) = found else { return };
        self.cancel_offers(now, slot, OfferResult::Rescinded, out);
        let task = self.task_mut(slot);
        (task.workflow, task.stays) = (workflow, true);
        task.excluded.clear();
        self.enter_step(now, slot, step, out);
        self.task_mut(slot).step_ends = None;
        self.touch_task(now, slot);
    }

    // --- the plan -------------------------------------------------------------------------------------------------

    /// Takes a plan while nobody waits.
    pub(super) fn take_plan(&mut self, plan: Arc<Plan>) {
        self.priorities = plan.profile_priorities();
        let old = std::mem::replace(&mut self.plan, plan);
        let before = std::mem::take(&mut self.queues);
        let plan = self.plan.clone();
        self.queues = (0..plan.queues.len())
            .map(|number| {
                let name = &plan.queues[number].name;
                let known = old.queues.iter().position(|queue| queue.name == *name).and_then(|at| before.get(at));
                let mut delays: Vec<Duration> =
                    plan.profiles.iter().filter_map(|profile| Some(profile.entries.get(&number)?.delay)).collect();
                delays.retain(|delay| !delay.is_zero());
                delays.sort_unstable();
                delays.dedup();
                let (handling, last) = known.map(|queue| (queue.handling, queue.last)).unwrap_or_default();
                QueueState { handling, last, delays, ..QueueState::default() }
            })
            .collect();
    }

    pub(super) fn swap_plan(&mut self, now: Moment, plan: Arc<Plan>, out: &mut Vec<Decision>) {
        let old = self.plan.clone();
        let slots: Vec<u32> = self.task_ids.values().copied().collect();
        let mut ordered: Vec<u32> = self.waiting.iter().map(|one| one.slot).collect();
        for slot in &ordered {
            self.leave_line(*slot);
        }
        self.take_plan(plan);
        let plan = self.plan.clone();
        for number in 0..self.agents.len() {
            self.agents[number].traits = plan.traits(&self.agents[number].name);
            self.agents[number].contact = None;
            self.touch_agent(now, number as u32);
        }
        // Who does not wait is moved, too: a call that loses its agent comes back to a queue there is.
        let mut others: Vec<u32> = slots.into_iter().filter(|slot| !ordered.contains(slot)).collect();
        others.sort_unstable();
        ordered.extend(&others);
        for slot in ordered {
            let task = self.task(slot);
            let (was, queue) = (&old.workflows[task.workflow], old.workflows[task.workflow].steps[task.step].queue);
            let same = plan.workflows.iter().position(|workflow| workflow.name == was.name);
            let workflow = same.unwrap_or_else(|| plan.workflow_for(&task.facts));
            let steps = &plan.workflows[workflow].steps;
            let step =
                steps.iter().position(|step| plan.queues[step.queue].name == old.queues[queue].name).unwrap_or(0);
            let spent = steps[..step].iter().filter_map(|step| step.timeout).sum();
            let waits = task.is_waiting();
            let task = self.task_mut(slot);
            (task.workflow, task.step, task.spent) = (workflow, step, spent);
            if waits {
                self.enter_step(now, slot, step, out);
            }
        }
        self.changed_agents.extend(self.free.iter().copied());
        (self.staffing_changed, self.places_changed) = (true, true);
    }
}
