//! The machine: takes events, keeps tasks and agents, gives decisions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Moment;
use super::agent::Agent;
use super::estimate::{Estimate, HandlingTime};
use super::event::{Cause, Decision, Event, Left};
use super::plan::Plan;
use super::task::{Facts, Key, Task, TaskState};
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, OfferId};
use crate::telemetry::Pii;

/// Callers who hung up whose place is remembered.
const ABANDONED_KEPT: usize = 1_000;
/// How long whoever took a caller at another server may need to connect, where the plan has no limit.
const CONNECT_ELSEWHERE: Duration = Duration::from_secs(15);

/// In line: what routing and telling places go through, from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub key: Key,
    pub slot: u32,
    pub queue: usize,
    pub told: Option<(u32, u32)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct QueueState {
    pub handling: HandlingTime,
    /// Who was asked last.
    pub last: Option<u32>,
    pub staffed: u32,
    pub waiting: u32,
    /// Ages at which profiles begin to see callers.
    pub delays: Vec<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Task(u32),
    Agent(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Abandoned {
    pub handoff: HandoffId,
    pub caller: Pii<String>,
    pub queued_at: Moment,
    pub order: u64,
    pub first: bool,
    pub until: Moment,
}

/// Where a caller stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which queue.
    pub queue: String,
    /// 1 is next.
    pub position: u32,
    /// Higher goes first.
    pub priority: i32,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Router {
    pub(super) plan: Arc<Plan>,
    pub(super) priorities: Vec<u8>,
    pub(super) agents: Vec<Agent>,
    pub(super) agent_ids: BTreeMap<AgentId, u32>,
    pub(super) tasks: Vec<Option<Task>>,
    pub(super) unused: Vec<u32>,
    pub(super) task_ids: HashMap<HandoffId, u32>,
    /// Sorted by key.
    pub(super) waiting: Vec<Waiting>,
    pub(super) queues: Vec<QueueState>,
    pub(super) alarms: BTreeSet<(Moment, Who)>,
    pub(super) changed_tasks: BTreeSet<u32>,
    pub(super) changed_agents: BTreeSet<u32>,
    pub(super) free: BTreeSet<u32>,
    pub(super) staffing_changed: bool,
    pub(super) places_changed: bool,
    pub(super) abandoned: Vec<Abandoned>,
    pub(super) offers_made: u64,
    pub(super) tasks_made: u64,
    /// Makes ids of offers unique across restarts, and draws lots.
    pub(super) seed: u64,
}

impl Router {
    /// Without agents and callers. `seed` makes offer ids unique across restarts.
    pub fn new(plan: Arc<Plan>, seed: u64) -> Self {
        let mut router = Self {
            plan: plan.clone(),
            priorities: Vec::new(),
            agents: Vec::new(),
            agent_ids: BTreeMap::new(),
            tasks: Vec::new(),
            unused: Vec::new(),
            task_ids: HashMap::new(),
            waiting: Vec::new(),
            queues: Vec::new(),
            alarms: BTreeSet::new(),
            changed_tasks: BTreeSet::new(),
            changed_agents: BTreeSet::new(),
            free: BTreeSet::new(),
            staffing_changed: true,
            places_changed: true,
            abandoned: Vec::new(),
            offers_made: 0,
            tasks_made: 0,
            seed,
        };
        router.take_plan(plan);
        router
    }

    /// Takes one event and appends what is to be done.
    pub fn step(&mut self, now: Moment, event: Event, out: &mut Vec<Decision>) {
        match event {
            Event::Requested(handoff, facts) => self.requested(now, handoff, facts, out),
            Event::Left(handoff, how) => self.left(now, handoff, how, out),
            Event::TakenElsewhere(handoff) => self.taken_elsewhere(now, handoff, out),
            Event::MediaUp(handoff) => self.media_up(now, handoff),
            Event::FailedConnect(handoff, cause) => self.failed_connect(now, handoff, cause, out),
            Event::Ended(handoff, reason) => self.ended(now, handoff, reason, out),
            Event::Distressing(handoff) => self.distressing(handoff),
            Event::TakenOver { handoff, facts, agent } => self.taken_over(now, handoff, facts, agent, out),
            Event::Transferred(handoff, queue) => self.transferred(now, handoff, &queue, out),
            Event::GivenTo(handoff, to) => self.given_to(now, handoff, &to, out),
            Event::SentAway(handoff) => self.sent_away(now, handoff, out),
            Event::Parked(handoff, until) => self.parked(now, handoff, until, out),
            Event::PickedUp { handoff, agent } => self.picked_up(now, handoff, agent, out),
            Event::Consulted { consult, target, by, until } => self.consulted(now, consult, &target, &by, until, out),
            Event::Succeeds { handoff, consult, reason } => self.succeeds(now, handoff, consult, reason, out),
            Event::Released(consult) => self.released(now, consult, out),
            Event::Reprioritised(handoff, priority) => self.reprioritised(now, handoff, priority),
            Event::Moved(handoff, queue) => self.moved(now, handoff, &queue, out),
            Event::Connected { agent, name, session } => self.connected(now, agent, name, session, out),
            Event::Disconnected { agent, session } => self.disconnected(now, &agent, session, out),
            Event::StateChosen(agent, state, code) => self.state_chosen(now, &agent, state, code, out),
            Event::Accepted(agent, offer) => self.accepted(now, agent, offer, out),
            Event::Rejected(agent, offer) => self.rejected(now, agent, offer, out),
            Event::Unanswered(agent, offer) => self.unanswered(now, &agent, offer, out),
            Event::Extended(agent, offer, by) => self.extended(now, &agent, offer, by),
            Event::AutoAnswer(agent, on) => self.auto_answer(now, &agent, on),
            Event::NotByItself(agent, offer) => self.not_by_itself(now, &agent, offer),
            Event::WrapUpDone(agent) => self.wrap_up_done(now, &agent, out),
            Event::WrapUpExtended(agent) => self.wrap_up_extended(now, &agent, out),
            Event::Acknowledged(agent) => self.acknowledged(now, &agent, out),
        }
        self.settle(now, out);
    }

    /// When [`Router::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// The moment of [`Router::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Decision>) {
        while let Some(&(at, who)) = self.alarms.first() {
            if at > now {
                break;
            }
            self.alarms.pop_first();
            match who {
                Who::Task(slot) => self.task_alarm(now, slot, out),
                Who::Agent(agent) => self.agent_alarm(now, agent, out),
            }
        }
        self.settle(now, out);
    }

    /// A new plan takes effect: who waits keeps place and age, and offers and calls go on.
    pub fn reload(&mut self, now: Moment, plan: Arc<Plan>, out: &mut Vec<Decision>) {
        self.swap_plan(now, plan, out);
        self.settle(now, out);
    }

    // --- what it knows --------------------------------------------------------------------------------------------

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What ids of offers begin with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An agent's state, how long they have been in it, and what follows.
    pub fn agent_state(&self, agent: &AgentId, now: Moment) -> Option<(AgentState, Duration, Option<AgentState>)> {
        let agent = self.agent(agent)?;
        Some((agent.state, now.since(agent.since), agent.next.as_ref().map(|(state, _)| *state)))
    }

    /// The name of the agent's break.
    pub fn break_code(&self, agent: &AgentId) -> Option<&str> {
        self.agent(agent)?.code.as_deref()
    }

    /// How long an agent has been idle; the clock by which the longest idle is found.
    pub fn idle(&self, agent: &AgentId, now: Moment) -> Option<Duration> {
        Some(self.agent(agent)?.idle.shows(now))
    }

    /// The caller an agent speaks with.
    pub fn contact_of(&self, agent: &AgentId) -> Option<HandoffId> {
        self.agent(agent)?.contacts.first().copied()
    }

    /// The offer an agent has.
    pub fn offer_of(&self, agent: &AgentId) -> Option<(HandoffId, OfferId)> {
        let (slot, offer) = self.agent(agent)?.offer?;
        Some((self.task(slot).handoff, offer))
    }

    /// Callers in line, and how long the first has waited.
    pub fn queue(&self, now: Moment) -> (u32, Duration) {
        let longest = self.waiting.iter().map(|one| self.task(one.slot).age(now)).max();
        (self.waiting.len() as u32, longest.unwrap_or_default())
    }

    /// What callers are told in the queue this one waits in; `None` for those not in line.
    pub fn queue_message(&self, handoff: HandoffId) -> Option<&str> {
        let slot = *self.task_ids.get(&handoff)?;
        let waiting = self.waiting.iter().find(|one| one.slot == slot)?;
        Some(&self.plan.queues[waiting.queue].message)
    }

    /// Where a caller stands; `None` for those not in line.
    pub fn place(&self, handoff: HandoffId) -> Option<Place> {
        let slot = *self.task_ids.get(&handoff)?;
        let place = self.waiting.iter().position(|one| one.slot == slot)?;
        let queue = self.waiting[place].queue;
        let position = self.waiting[..=place].iter().filter(|one| one.queue == queue).count() as u32;
        Some(Place { queue: self.plan.queues[queue].name.clone(), position, priority: self.task(slot).priority })
    }

    /// The wish of before, if this caller hung up while waiting and has the place of then.
    pub fn resumes(&self, handoff: HandoffId) -> Option<HandoffId> {
        self.task(*self.task_ids.get(&handoff)?).resumes
    }

    /// How long a caller in line may have to wait; `None` while nobody serves the queue, or no conversation of it has ended yet:
    /// callers are told what is known, not what is assumed.
    pub fn estimate(&self, handoff: HandoffId) -> Option<Estimate> {
        let slot = *self.task_ids.get(&handoff)?;
        let place = self.waiting.iter().position(|one| one.slot == slot)?;
        let queue = self.waiting[place].queue;
        let position = self.waiting[..=place].iter().filter(|one| one.queue == queue).count() as u32;
        let QueueState { handling, staffed, .. } = &self.queues[queue];
        handling.known().and_then(|_| handling.estimate(position, *staffed))
    }

    /// What a caller in line will probably take, wrap-up included: the queue's mean, once a conversation of it has ended.
    pub fn usual_length(&self, handoff: HandoffId) -> Option<Duration> {
        let slot = *self.task_ids.get(&handoff)?;
        let place = self.waiting.iter().find(|one| one.slot == slot)?;
        self.queues[place.queue].handling.known()
    }

    /// How many agents are in each state; those who signed out are not counted.
    pub fn census(&self) -> BTreeMap<&'static str, u32> {
        let mut census = BTreeMap::new();
        for agent in self.agents.iter().filter(|agent| agent.state != AgentState::Offline) {
            *census.entry(agent.state.as_str()).or_default() += 1;
        }
        census
    }

    // --- tasks ----------------------------------------------------------------------------------------------------

    pub(super) fn task(&self, slot: u32) -> &Task {
        self.tasks[slot as usize].as_ref().expect("slots in use hold a task")
    }

    pub(super) fn task_mut(&mut self, slot: u32) -> &mut Task {
        self.tasks[slot as usize].as_mut().expect("slots in use hold a task")
    }

    fn slot(&self, handoff: HandoffId) -> Option<u32> {
        self.task_ids.get(&handoff).copied()
    }

    fn requested(&mut self, now: Moment, handoff: HandoffId, facts: Facts, out: &mut Vec<Decision>) {
        if let Some(slot) = self.slot(handoff) {
            if let TaskState::Parked { .. } = self.task(slot).state {
                return self.back_to_the_head(now, slot);
            }
            if let TaskState::Aside(exit) = self.task(slot).state {
                let task = self.task_mut(slot);
                task.stays |= exit.is_some();
                task.enter(TaskState::Pending);
                self.enter_step(now, slot, self.task(slot).step, out);
            }
            return;
        }
        let slot = self.new_task(now, handoff, facts);
        self.enter_step(now, slot, 0, out);
    }

    /// A task that is not in line yet.
    pub(super) fn new_task(&mut self, now: Moment, handoff: HandoffId, facts: Facts) -> u32 {
        self.tasks_made += 1;
        let order = self.tasks_made;
        let same = |place: &Abandoned| facts.caller.as_ref() == Some(&place.caller);
        let again = self.abandoned.iter().position(same).map(|place| self.abandoned.swap_remove(place));
        let workflow = self.plan.workflow_for(&facts);
        let mut task = Task::new(handoff, facts, now, order);
        task.queued_at = task.facts.waiting_since.map_or(now, |since| since.min(now));
        if let Some(place) = again.filter(|place| now < place.until) {
            (task.queued_at, task.order, task.first) = (place.queued_at, place.order, place.first);
            task.resumes = Some(place.handoff);
        }
        task.first |= task.facts.first;
        task.workflow = workflow;
        task.kept_until = task.facts.known_agent.as_ref().map(|_| now + self.plan.rules.known_agent);
        let slot = self.unused.pop().unwrap_or_else(|| {
            self.tasks.push(None);
            self.tasks.len() as u32 - 1
        });
        self.tasks[slot as usize] = Some(task);
        self.task_ids.insert(handoff, slot);
        slot
    }

    fn left(&mut self, now: Moment, handoff: HandoffId, how: Left, out: &mut Vec<Decision>) {
        let Some(slot) = self.slot(handoff) else { return };
        self.task_mut(slot).aim = None;
        match self.task(slot).state {
            TaskState::Assigned { .. } | TaskState::AgentLost { .. } => {
                return self.ended(now, handoff, CallEnd::CallerHungUp, out);
            }
            TaskState::Pending | TaskState::Reserved => {
                self.cancel_offers(now, slot, OfferResult::Canceled, out);
                if how == Left::HungUp {
                    self.remember_place(now, slot);
                }
            }
            TaskState::Aside(_) | TaskState::Parked { .. } | TaskState::Elsewhere { .. } => {}
        }
        self.leave_line(slot);
        if how == Left::ForNow {
            self.task_mut(slot).enter(TaskState::Aside(None));
            self.touch_task(now, slot);
        } else {
            self.forget(slot);
        }
    }

    fn taken_elsewhere(&mut self, now: Moment, handoff: HandoffId, out: &mut Vec<Decision>) {
        let Some(slot) = self.slot(handoff).filter(|slot| self.task(*slot).is_waiting()) else { return };
        self.cancel_offers(now, slot, OfferResult::Rescinded, out);
        self.leave_line(slot);
        let until = now + self.plan.rules.connect.unwrap_or(CONNECT_ELSEWHERE);
        self.task_mut(slot).enter(TaskState::Elsewhere { until });
        self.touch_task(now, slot);
    }

    fn remember_place(&mut self, now: Moment, slot: u32) {
        let window = self.plan.rules.resume_abandoned;
        let task = self.task(slot);
        let (Some(caller), false) = (task.facts.caller.clone(), window.is_zero()) else { return };
        let place = Abandoned {
            handoff: task.handoff,
            caller,
            queued_at: task.queued_at,
            order: task.order,
            first: task.first,
            until: now + window,
        };
        self.abandoned.retain(|other| now < other.until && other.caller != place.caller);
        if self.abandoned.len() < ABANDONED_KEPT {
            self.abandoned.push(place);
        }
    }

    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(task) = self.tasks[slot as usize].take() {
            if let Some(at) = task.alarm {
                self.alarms.remove(&(at, Who::Task(slot)));
            }
            self.task_ids.remove(&task.handoff);
            self.changed_tasks.remove(&slot);
            self.unused.push(slot);
        }
    }

    fn ended(&mut self, now: Moment, handoff: HandoffId, reason: CallEnd, out: &mut Vec<Decision>) {
        let Some(slot) = self.slot(handoff) else { return };
        match self.task(slot).state {
            TaskState::Assigned { agent, .. } | TaskState::AgentLost { agent, .. } => {
                self.contact_ended(now, agent, handoff, reason, out);
                self.forget(slot);
            }
            _ => self.left(now, handoff, Left::Helped, out),
        }
    }

    fn media_up(&mut self, now: Moment, handoff: HandoffId) {
        let Some(slot) = self.slot(handoff) else { return };
        if let TaskState::Assigned { connected, .. } | TaskState::AgentLost { connected, .. } =
            &mut self.task_mut(slot).state
        {
            *connected = true;
            self.touch_task(now, slot);
        }
    }

    fn failed_connect(&mut self, now: Moment, handoff: HandoffId, cause: Cause, out: &mut Vec<Decision>) {
        let Some(slot) = self.slot(handoff) else { return };
        let (TaskState::Assigned { agent, connected: false, .. }
        | TaskState::AgentLost { agent, connected: false, .. }) = self.task(slot).state
        else {
            return;
        };
        let until = now + self.plan.rules.reoffer_after;
        let task = self.task_mut(slot);
        task.failed = Some(cause);
        task.excluded.insert(agent, until);
        self.back_to_the_head(now, slot);
        let id = self.agents[agent as usize].id.clone();
        out.push(Decision::ConnectFailed { handoff, agent: id, cause });
        self.contact_failed(now, agent, handoff, cause, out);
    }

    /// Before all others, whatever the priority: the caller had somebody already.
    fn back_to_the_head(&mut self, now: Moment, slot: u32) {
        let task = self.task_mut(slot);
        task.first = true;
        if task.beside {
            // Nobody else is consulted instead.
            task.enter(TaskState::Aside(None));
        } else {
            task.enter(TaskState::Pending);
            self.join_line(slot);
        }
        self.touch_task(now, slot);
    }

    fn distressing(&mut self, handoff: HandoffId) {
        let Some(slot) = self.slot(handoff) else { return };
        if let TaskState::Assigned { agent, .. } = self.task(slot).state {
            self.agents[agent as usize].distressed = true;
        }
    }

    fn reprioritised(&mut self, now: Moment, handoff: HandoffId, priority: i32) {
        let Some(slot) = self.slot(handoff) else { return };
        let task = self.task_mut(slot);
        task.priority_set = Some(priority);
        task.priority = priority;
        if task.is_waiting() {
            self.leave_line(slot);
            self.join_line(slot);
            self.touch_task(now, slot);
        }
    }

    fn task_alarm(&mut self, now: Moment, slot: u32, out: &mut Vec<Decision>) {
        let task = self.task_mut(slot);
        task.alarm = None;
        match task.state.clone() {
            TaskState::Reserved => {
                let by_itself = |pending: &&super::task::Pending| pending.answers.is_some_and(|at| now >= at);
                let answering: Vec<_> = task.offers.iter().filter(by_itself).copied().collect();
                task.offers.iter_mut().for_each(|one| one.answers = one.answers.filter(|at| now < *at));
                let over: Vec<_> = task.offers.iter().filter(|pending| now >= pending.until).copied().collect();
                for pending in over {
                    self.offer_over(now, slot, pending, OfferResult::Timeout, out);
                }
                for pending in answering {
                    let agent = self.agents[pending.agent as usize].id.clone();
                    out.push(Decision::AnsweredByItself(agent, pending.offer));
                }
            }
            TaskState::Assigned { connected: false, .. } => {
                let handoff = task.handoff;
                self.failed_connect(now, handoff, Cause::System, out);
            }
            TaskState::Parked { until, .. } | TaskState::Elsewhere { until } if now >= until => {
                let handoff = task.handoff;
                self.back_to_the_head(now, slot);
                out.push(Decision::Requeued(handoff));
            }
            TaskState::AgentLost { agent, until, .. } if now >= until => {
                let handoff = task.handoff;
                self.back_to_the_head(now, slot);
                out.push(Decision::Requeued(handoff));
                self.contact_lost(now, agent, handoff, out);
            }
            TaskState::Pending => {
                task.excluded.retain(|_, until| *until > now);
                task.kept_until = task.kept_until.filter(|until| *until > now);
                let (opens, ends, step) = (task.opens, task.step_ends, task.step);
                let aim_ends = task.aim.map(|aim| aim.until);
                self.changed_tasks.insert(slot);
                if aim_ends.is_some_and(|ends| now >= ends) {
                    self.aim_over(now, slot, out);
                } else if ends.is_some_and(|ends| now >= ends) {
                    self.step_over(now, slot, out);
                } else if opens.is_some_and(|opens| now >= opens) {
                    self.enter_step(now, slot, step, out);
                }
            }
            _ => {}
        }
        if self.tasks[slot as usize].is_some() {
            self.touch_task(now, slot);
        }
    }

    /// After any change of a task: looks for a match anew, and sets its alarm.
    pub(super) fn touch_task(&mut self, now: Moment, slot: u32) {
        if self.task(slot).state == TaskState::Pending {
            self.changed_tasks.insert(slot);
        }
        // What is over already, such as an exclusion from before a call that was lost, is heard at once.
        let alarm = self.task_deadline(now, slot).map(|at| at.max(now));
        let task = self.task_mut(slot);
        let before = std::mem::replace(&mut task.alarm, alarm);
        if before != alarm {
            if let Some(at) = before {
                self.alarms.remove(&(at, Who::Task(slot)));
            }
            if let Some(at) = alarm {
                self.alarms.insert((at, Who::Task(slot)));
            }
        }
    }

    fn task_deadline(&self, now: Moment, slot: u32) -> Option<Moment> {
        let task = self.task(slot);
        match task.state {
            TaskState::Pending => {
                let queue = self.queue_of(task);
                let (asks, delays) = (&self.plan.queues[queue].asks, &self.queues[queue].delays);
                let ages = asks.iter().map(|ask| ask.from).chain(delays.iter().copied());
                let by_age = ages.map(|age| task.queued_at + age).filter(|at| *at > now).min();
                let excluded = task.excluded.values().min().copied();
                let aim = task.aim.map(|aim| aim.until);
                [task.step_ends, task.opens, task.kept_until, by_age, excluded, aim].into_iter().flatten().min()
            }
            TaskState::Reserved => {
                task.offers.iter().map(|one| one.answers.map_or(one.until, |answers| answers.min(one.until))).min()
            }
            TaskState::Assigned { at, connected: false, .. } => self.plan.rules.connect.map(|limit| at + limit),
            TaskState::AgentLost { until, .. } | TaskState::Parked { until, .. } | TaskState::Elsewhere { until } => {
                Some(until)
            }
            TaskState::Assigned { .. } | TaskState::Aside(_) => None,
        }
    }

    pub(super) fn queue_of(&self, task: &Task) -> usize {
        self.plan.workflows[task.workflow].steps[task.step].queue
    }

    // --- offers ---------------------------------------------------------------------------------------------------

    pub(super) fn make_offer(&mut self, now: Moment, slot: u32, agent: u32, version: u64, out: &mut Vec<Decision>) {
        self.offers_made += 1;
        let offer = OfferId(Uuid::from_u64_pair(self.seed, self.offers_made));
        let queue = &self.plan.queues[self.queue_of(self.task(slot))];
        let until = now + queue.offer_timeout;
        // A colleague's question is not a caller, and whoever speaks with one is not given a second unasked.
        let own = &self.agents[agent as usize];
        let agreed = own.auto_answer && own.contacts.is_empty() && !self.task(slot).beside;
        let answers = queue.auto_answer.filter(|_| agreed).map(|after| now + after).filter(|at| *at < until);
        let task = self.task_mut(slot);
        task.offers.push(super::task::Pending { offer, agent, until, answers, version });
        let handoff = task.handoff;
        self.agents[agent as usize].offer = Some((slot, offer));
        self.show_offer(now, agent, out);
        out.push(Decision::Offer { offer, handoff, agent: self.agents[agent as usize].id.clone(), until, answers });
    }

    /// Ends one offer. With the last one the task is pending again, in its old place.
    pub(super) fn offer_over(
        &mut self,
        now: Moment,
        slot: u32,
        pending: super::task::Pending,
        result: OfferResult,
        out: &mut Vec<Decision>,
    ) {
        let until = now + self.plan.rules.reoffer_after;
        let task = self.task_mut(slot);
        task.offers.retain(|one| one.offer != pending.offer);
        if matches!(result, OfferResult::Rejected | OfferResult::Timeout) {
            task.excluded.insert(pending.agent, until);
        }
        if task.offers.is_empty() && task.state == TaskState::Reserved {
            task.enter(TaskState::Pending);
        }
        let handoff = task.handoff;
        self.touch_task(now, slot);
        let agent = self.agents[pending.agent as usize].id.clone();
        self.agents[pending.agent as usize].offer = None;
        out.push(Decision::OfferEnded { offer: pending.offer, handoff, agent, result });
        if result == OfferResult::Accepted {
            self.task_mut(slot).aim = None;
            return;
        }
        self.after_offer(now, pending.agent, result, out);
        let aimed = self.task(slot).aim.and_then(|aim| aim.agent) == Some(pending.agent);
        if aimed && self.task(slot).state == TaskState::Pending {
            // Whoever was meant does not take it.
            self.aim_over(now, slot, out);
        }
    }

    pub(super) fn cancel_offers(&mut self, now: Moment, slot: u32, result: OfferResult, out: &mut Vec<Decision>) {
        for pending in self.task(slot).offers.clone() {
            self.offer_over(now, slot, pending, result, out);
        }
    }

    /// The pending offer of this id, if it is this agent's.
    pub(super) fn pending(&self, agent: &AgentId, offer: OfferId) -> Option<(u32, super::task::Pending)> {
        let (slot, own) = self.agent(agent)?.offer.filter(|(_, own)| *own == offer)?;
        self.task(slot).offers.iter().find(|pending| pending.offer == own).map(|pending| (slot, *pending))
    }

    fn accepted(&mut self, now: Moment, agent: AgentId, offer: OfferId, out: &mut Vec<Decision>) {
        let claimed = self
            .pending(&agent, offer)
            .filter(|(slot, pending)| self.task_mut(*slot).claim(pending.version, pending.agent, now));
        let Some((slot, pending)) = claimed else {
            out.push(Decision::OfferGone(agent, offer));
            return;
        };
        self.leave_line(slot);
        self.offer_over(now, slot, pending, OfferResult::Accepted, out);
        self.cancel_offers(now, slot, OfferResult::Rescinded, out);
        let (handoff, queue) = (self.task(slot).handoff, self.queue_of(self.task(slot)));
        self.begin_contact(now, pending.agent, handoff, queue, out);
        out.push(Decision::Assign { handoff, agent });
    }

    fn unanswered(&mut self, now: Moment, agent: &AgentId, offer: OfferId, out: &mut Vec<Decision>) {
        if let Some((slot, pending)) = self.pending(agent, offer) {
            self.offer_over(now, slot, pending, OfferResult::Timeout, out);
        }
    }

    fn extended(&mut self, now: Moment, agent: &AgentId, offer: OfferId, by: Duration) {
        let Some((slot, _)) = self.pending(agent, offer) else { return };
        if let Some(pending) = self.task_mut(slot).offers.iter_mut().find(|pending| pending.offer == offer) {
            pending.until = pending.until.max(now + by);
        }
        self.touch_task(now, slot);
    }

    fn rejected(&mut self, now: Moment, agent: AgentId, offer: OfferId, out: &mut Vec<Decision>) {
        match self.pending(&agent, offer) {
            Some((slot, pending)) => self.offer_over(now, slot, pending, OfferResult::Rejected, out),
            None => out.push(Decision::OfferGone(agent, offer)),
        }
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
