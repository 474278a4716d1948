//! Who gets which caller. PURE and deterministic: time and events in, decisions out.
//!
//! ```text
//!  task:  Pending ─ offer ─▶ Offered ─ accepted ─▶ Assigned ─ ended ─▶ gone
//!            ▲                  │                    │  ▲
//!            └─ rejected, timeout, rescinded ┘       ▼  │ returned
//!            ▲                                     AgentLost
//!            └────────── not back in time, goes first ┘
//!  agent: Offline ─ Available ─ Reserved ─ OnContact ─ WrapUp ─ Available …      Reserved ─ timeout ─▶ Missed
//! ```
//!
//! Rules from the contact-centre reference: highest priority, then oldest; longest-idle agent first; the idle clock starts
//! at the end of the last wrap-up and is neither reset nor extended by breaks, declines or rescinded offers; a task that
//! comes back keeps its place; one winner; a lost socket while reserved is no miss; a next state the agent asked for is
//! applied after wrap-up and never overridden.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::wire::{AgentState, CallEnd, OfferResult};
use super::{AgentId, HandoffId, OfferId};

/// What the operator decided.
#[derive(Clone, Copy, Debug)]
pub struct DeskPolicy {
    /// How long an agent has to answer an offer.
    pub offer_timeout: Duration,
    /// How long an agent who declined is not asked again about the same caller.
    pub reoffer_after: Duration,
    /// How long an agent has to come back to a call.
    pub resume: Duration,
    /// How long wrap-up lasts at most.
    pub wrap_up: Duration,
    /// How long an idle agent's state is kept after the socket was lost.
    pub presence_grace: Duration,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum DeskInput {
    /// A caller wants a person. The same handoff again returns it to the queue.
    Requested(HandoffId),
    /// The caller left the queue: hung up, or chose something else.
    Withdrawn(HandoffId),
    /// The conversation is over.
    ConversationEnded(HandoffId, CallEnd),
    /// An agent's client connected. A newer session replaces the older one.
    Connected {
        /// Who.
        agent: AgentId,
        /// Counts up.
        session: u64,
    },
    /// A session is gone.
    Disconnected {
        /// Who.
        agent: AgentId,
        /// Which.
        session: u64,
    },
    /// The agent chose a state.
    StateChosen(AgentId, AgentState),
    /// The agent takes an offer.
    Accepted(AgentId, OfferId),
    /// The agent declines an offer.
    Rejected(AgentId, OfferId),
    /// The agent has finished wrap-up.
    WrapUpDone(AgentId),
    /// The agent has seen that an offer was missed.
    MissedAcknowledged(AgentId),
}

/// Do this.
#[derive(Clone, Debug, PartialEq)]
pub enum DeskAction {
    /// Hold the caller out to the agent.
    Offer {
        /// The offer.
        offer: OfferId,
        /// The caller.
        handoff: HandoffId,
        /// To whom.
        agent: AgentId,
        /// Until.
        until: Instant,
    },
    /// An offer is over.
    OfferEnded {
        /// The offer.
        offer: OfferId,
        /// The caller.
        handoff: HandoffId,
        /// To whom it was made.
        agent: AgentId,
        /// How.
        result: OfferResult,
    },
    /// The request named an offer that is not (or no longer) this agent's.
    OfferGone(AgentId, OfferId),
    /// Connect them.
    Assign {
        /// The caller.
        handoff: HandoffId,
        /// The agent.
        agent: AgentId,
    },
    /// The agent of this caller is gone for the moment.
    AgentLost(HandoffId),
    /// The agent of this caller is back.
    AgentReturned {
        /// The caller.
        handoff: HandoffId,
        /// The agent.
        agent: AgentId,
    },
    /// The agent did not come back: the caller is first in the queue.
    Requeued(HandoffId),
    /// The caller's place or the staffing changed.
    Place {
        /// The caller.
        handoff: HandoffId,
        /// 1 is next.
        position: u32,
        /// Agents signed in to take calls.
        staffed: u32,
    },
    /// Wrap-up begins, or the agent came back in the middle of it.
    WrapUp {
        /// Who.
        agent: AgentId,
        /// The caller.
        handoff: HandoffId,
        /// Why the conversation ended.
        reason: CallEnd,
        /// Until.
        until: Instant,
    },
    /// Tell the agent's client its state.
    State(AgentId),
    /// This session was replaced by a newer one.
    CloseSession(AgentId, u64),
}

#[derive(Clone, Debug)]
struct Agent {
    state: AgentState,
    since: Instant,
    /// Applied after the current contact.
    next: Option<AgentState>,
    /// Longest idle first; set at the first Available and at the end of each contact.
    idle_since: Option<Instant>,
    session: Option<u64>,
    lost_at: Option<Instant>,
    wrap_up: Option<WrapUp>,
}

#[derive(Clone, Copy, Debug)]
struct WrapUp {
    handoff: HandoffId,
    reason: CallEnd,
    until: Instant,
}

#[derive(Clone, Debug, PartialEq)]
enum TaskState {
    Pending,
    Offered { offer: OfferId, agent: AgentId, until: Instant },
    Assigned { agent: AgentId },
    AgentLost { agent: AgentId, until: Instant },
}

#[derive(Clone, Debug)]
struct Task {
    state: TaskState,
    /// Kept when the task comes back.
    queued_at: Instant,
    /// Breaks ties of `queued_at`.
    order: u64,
    /// Lost its agent: goes before all others.
    first: bool,
    /// Who declined or missed it, and until when they are not asked.
    excluded: BTreeMap<AgentId, Instant>,
    told: Option<(u32, u32)>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct DeskMachine {
    policy: DeskPolicy,
    agents: BTreeMap<AgentId, Agent>,
    tasks: BTreeMap<HandoffId, Task>,
    offers_made: u64,
    tasks_made: u64,
    offer_seed: u64,
}

impl DeskMachine {
    /// A desk without agents and callers. `offer_seed` makes offer ids unique across restarts.
    pub fn new(policy: DeskPolicy, offer_seed: u64) -> Self {
        Self { policy, agents: BTreeMap::new(), tasks: BTreeMap::new(), offers_made: 0, tasks_made: 0, offer_seed }
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Instant, input: DeskInput, actions: &mut Vec<DeskAction>) {
        match input {
            DeskInput::Requested(handoff) => self.requested(now, handoff),
            DeskInput::Withdrawn(handoff) => self.remove_task(now, handoff, CallEnd::CallerHungUp, actions),
            DeskInput::ConversationEnded(handoff, reason) => self.remove_task(now, handoff, reason, actions),
            DeskInput::Connected { agent, session } => self.connected(now, agent, session, actions),
            DeskInput::Disconnected { agent, session } => self.disconnected(now, &agent, session, actions),
            DeskInput::StateChosen(agent, state) => self.state_chosen(now, &agent, state, actions),
            DeskInput::Accepted(agent, offer) => self.accepted(now, agent, offer, actions),
            DeskInput::Rejected(agent, offer) => self.rejected(now, agent, offer, actions),
            DeskInput::WrapUpDone(agent) => self.wrap_up_done(now, &agent, actions),
            DeskInput::MissedAcknowledged(agent) => {
                if self.state_of(&agent) == Some(AgentState::Missed) {
                    self.set_state(now, &agent, AgentState::Available, actions);
                }
            }
        }
        self.route(now, actions);
    }

    /// When [`DeskMachine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tasks = self.tasks.values().flat_map(|task| {
            let own = match &task.state {
                TaskState::Offered { until, .. } | TaskState::AgentLost { until, .. } => Some(*until),
                TaskState::Pending => task.excluded.values().min().copied(),
                TaskState::Assigned { .. } => None,
            };
            own.into_iter()
        });
        let agents = self.agents.values().flat_map(|agent| {
            let grace = agent
                .lost_at
                .filter(|_| agent.state != AgentState::OnContact)
                .map(|at| at + self.policy.presence_grace);
            agent.wrap_up.map(|wrap_up| wrap_up.until).into_iter().chain(grace)
        });
        tasks.chain(agents).min()
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<DeskAction>) {
        let ids: Vec<HandoffId> = self.tasks.keys().copied().collect();
        for handoff in ids {
            let Some(task) = self.tasks.get_mut(&handoff) else { continue };
            task.excluded.retain(|_, until| *until > now);
            match task.state.clone() {
                TaskState::Offered { offer, agent, until } if now >= until => {
                    self.unoffer(now, handoff, OfferResult::Timeout, actions);
                    debug_assert!(!self.is_offered(offer), "an offer ends once");
                    self.set_state(now, &agent, AgentState::Missed, actions);
                }
                TaskState::AgentLost { agent, until } if now >= until => {
                    task.state = TaskState::Pending;
                    task.first = true;
                    task.told = None;
                    actions.push(DeskAction::Requeued(handoff));
                    self.leave_contact(now, &agent, AgentState::Offline, actions);
                }
                _ => {}
            }
        }
        let names: Vec<AgentId> = self.agents.keys().cloned().collect();
        for name in names {
            let agent = self.agents.get_mut(&name).expect("the names were just listed");
            if agent.wrap_up.is_some_and(|wrap_up| now >= wrap_up.until) {
                self.wrap_up_done(now, &name, actions);
            } else if agent.state != AgentState::OnContact
                && agent.lost_at.is_some_and(|at| now >= at + self.policy.presence_grace)
            {
                agent.lost_at = None;
                agent.next = None;
                agent.wrap_up = None;
                self.set_state(now, &name, AgentState::Offline, actions);
            }
        }
        self.route(now, actions);
    }

    /// An agent's state, how long they have been in it, and what follows.
    pub fn agent_state(&self, agent: &AgentId, now: Instant) -> Option<(AgentState, Duration, Option<AgentState>)> {
        let agent = self.agents.get(agent)?;
        Some((agent.state, now.saturating_duration_since(agent.since), agent.next))
    }

    /// The caller an agent speaks with, or wraps up.
    pub fn contact_of(&self, agent: &AgentId) -> Option<HandoffId> {
        self.tasks.iter().find_map(|(handoff, task)| match &task.state {
            TaskState::Assigned { agent: own } | TaskState::AgentLost { agent: own, .. } => {
                (own == agent).then_some(*handoff)
            }
            TaskState::Pending | TaskState::Offered { .. } => None,
        })
    }

    /// Callers waiting or offered, and how long the first has waited.
    pub fn queue(&self, now: Instant) -> (u32, Duration) {
        let waiting = self.tasks.values().filter(|task| task.is_waiting());
        let longest = waiting.clone().map(|task| now.saturating_duration_since(task.queued_at)).max();
        (waiting.count() as u32, longest.unwrap_or_default())
    }

    /// How many agents are in each state; those who signed out are not counted.
    pub fn census(&self) -> BTreeMap<&'static str, u32> {
        let mut census = BTreeMap::new();
        for agent in self.agents.values().filter(|agent| agent.state != AgentState::Offline) {
            *census.entry(agent.state.as_str()).or_default() += 1;
        }
        census
    }

    // --- tasks --------------------------------------------------------------------------------------------------

    fn requested(&mut self, now: Instant, handoff: HandoffId) {
        self.tasks_made += 1;
        let order = self.tasks_made;
        self.tasks.entry(handoff).or_insert_with(|| Task {
            state: TaskState::Pending,
            queued_at: now,
            order,
            first: false,
            excluded: BTreeMap::new(),
            told: None,
        });
    }

    fn remove_task(&mut self, now: Instant, handoff: HandoffId, reason: CallEnd, actions: &mut Vec<DeskAction>) {
        match self.tasks.get(&handoff).map(|task| task.state.clone()) {
            Some(TaskState::Offered { agent, .. }) => {
                self.unoffer(now, handoff, OfferResult::Canceled, actions);
                self.set_state(now, &agent, AgentState::Available, actions);
            }
            Some(TaskState::Assigned { agent } | TaskState::AgentLost { agent, .. }) => {
                let until = now + self.policy.wrap_up;
                if let Some(own) = self.agents.get_mut(&agent) {
                    own.wrap_up = Some(WrapUp { handoff, reason, until });
                }
                actions.push(DeskAction::WrapUp { agent: agent.clone(), handoff, reason, until });
                self.set_state(now, &agent, AgentState::WrapUp, actions);
            }
            Some(TaskState::Pending) | None => {}
        }
        self.tasks.remove(&handoff);
    }

    /// Ends the pending offer of a task; the task is pending again, in its old place.
    fn unoffer(&mut self, now: Instant, handoff: HandoffId, result: OfferResult, actions: &mut Vec<DeskAction>) {
        let Some(task) = self.tasks.get_mut(&handoff) else { return };
        let TaskState::Offered { offer, agent, .. } = task.state.clone() else { return };
        task.state = TaskState::Pending;
        if matches!(result, OfferResult::Rejected | OfferResult::Timeout) {
            task.excluded.insert(agent.clone(), now + self.policy.reoffer_after);
        }
        actions.push(DeskAction::OfferEnded { offer, handoff, agent, result });
    }

    fn is_offered(&self, wanted: OfferId) -> bool {
        self.tasks.values().any(|task| matches!(task.state, TaskState::Offered { offer, .. } if offer == wanted))
    }

    fn offer_of(&self, agent: &AgentId) -> Option<(HandoffId, OfferId)> {
        self.tasks.iter().find_map(|(handoff, task)| match &task.state {
            TaskState::Offered { offer, agent: own, .. } if own == agent => Some((*handoff, *offer)),
            _ => None,
        })
    }

    fn accepted(&mut self, now: Instant, agent: AgentId, offer: OfferId, actions: &mut Vec<DeskAction>) {
        let Some((handoff, _)) = self.offer_of(&agent).filter(|(_, pending)| *pending == offer) else {
            actions.push(DeskAction::OfferGone(agent, offer));
            return;
        };
        self.unoffer(now, handoff, OfferResult::Accepted, actions);
        if let Some(task) = self.tasks.get_mut(&handoff) {
            task.state = TaskState::Assigned { agent: agent.clone() };
        }
        self.set_state(now, &agent, AgentState::OnContact, actions);
        actions.push(DeskAction::Assign { handoff, agent });
    }

    fn rejected(&mut self, now: Instant, agent: AgentId, offer: OfferId, actions: &mut Vec<DeskAction>) {
        match self.offer_of(&agent).filter(|(_, pending)| *pending == offer) {
            Some((handoff, _)) => {
                self.unoffer(now, handoff, OfferResult::Rejected, actions);
                self.apply_next(now, &agent, actions);
            }
            None => actions.push(DeskAction::OfferGone(agent, offer)),
        }
    }

    // --- agents -------------------------------------------------------------------------------------------------

    fn state_of(&self, agent: &AgentId) -> Option<AgentState> {
        self.agents.get(agent).map(|agent| agent.state)
    }

    fn set_state(&mut self, now: Instant, name: &AgentId, state: AgentState, actions: &mut Vec<DeskAction>) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        if agent.state != state {
            agent.state = state;
            agent.since = now;
        }
        if state == AgentState::Available && agent.idle_since.is_none() {
            agent.idle_since = Some(now);
        }
        if state == AgentState::Offline {
            // Signing out ends the idle clock; a lost socket within the grace never comes here.
            agent.idle_since = None;
        }
        actions.push(DeskAction::State(name.clone()));
    }

    fn connected(&mut self, now: Instant, name: AgentId, session: u64, actions: &mut Vec<DeskAction>) {
        let agent = self.agents.entry(name.clone()).or_insert(Agent {
            state: AgentState::Offline,
            since: now,
            next: None,
            idle_since: None,
            session: None,
            lost_at: None,
            wrap_up: None,
        });
        let replaced = agent.session.replace(session);
        agent.lost_at = None;
        if let Some(old) = replaced {
            actions.push(DeskAction::CloseSession(name.clone(), old));
        }
        let wrap_up = agent.wrap_up;
        actions.push(DeskAction::State(name.clone()));
        if let Some(WrapUp { handoff, reason, until }) = wrap_up {
            actions.push(DeskAction::WrapUp { agent: name.clone(), handoff, reason, until });
        }
        let back = self.tasks.iter_mut().find_map(|(handoff, task)| match &task.state {
            TaskState::AgentLost { agent, .. } | TaskState::Assigned { agent } if *agent == name => {
                task.state = TaskState::Assigned { agent: name.clone() };
                Some(*handoff)
            }
            _ => None,
        });
        if let Some(handoff) = back {
            actions.push(DeskAction::AgentReturned { handoff, agent: name });
        } else if let Some((handoff, _)) = self.offer_of(&name) {
            // The offer was shown in the tab that is gone now.
            self.unoffer(now, handoff, OfferResult::Rescinded, actions);
            self.set_state(now, &name, AgentState::Available, actions);
        }
    }

    fn disconnected(&mut self, now: Instant, name: &AgentId, session: u64, actions: &mut Vec<DeskAction>) {
        let Some(agent) = self.agents.get_mut(name).filter(|agent| agent.session == Some(session)) else { return };
        agent.session = None;
        agent.lost_at = Some(now);
        if let Some((handoff, _)) = self.offer_of(name) {
            self.unoffer(now, handoff, OfferResult::Rescinded, actions);
            self.set_state(now, name, AgentState::Available, actions);
            return;
        }
        if let Some(handoff) = self.contact_of(name)
            && let Some(task) = self.tasks.get_mut(&handoff)
            && matches!(task.state, TaskState::Assigned { .. })
        {
            task.state = TaskState::AgentLost { agent: name.clone(), until: now + self.policy.resume };
            actions.push(DeskAction::AgentLost(handoff));
        }
    }

    fn state_chosen(&mut self, now: Instant, name: &AgentId, wanted: AgentState, actions: &mut Vec<DeskAction>) {
        if !matches!(wanted, AgentState::Available | AgentState::Break | AgentState::Offline) {
            return;
        }
        match self.state_of(name) {
            None => {}
            Some(AgentState::OnContact | AgentState::WrapUp) => {
                if let Some(agent) = self.agents.get_mut(name) {
                    agent.next = Some(wanted);
                }
                actions.push(DeskAction::State(name.clone()));
            }
            Some(AgentState::Reserved) => {
                // Leaving while an offer rings takes the offer back; staying changes nothing.
                if wanted != AgentState::Available
                    && let Some((handoff, _)) = self.offer_of(name)
                {
                    self.unoffer(now, handoff, OfferResult::Rescinded, actions);
                    self.set_state(now, name, wanted, actions);
                }
            }
            Some(_) => self.set_state(now, name, wanted, actions),
        }
    }

    fn wrap_up_done(&mut self, now: Instant, name: &AgentId, actions: &mut Vec<DeskAction>) {
        if self.state_of(name) != Some(AgentState::WrapUp) {
            return;
        }
        self.leave_contact(now, name, AgentState::Available, actions);
    }

    /// After a contact: the idle clock starts anew and the state the agent asked for applies.
    fn leave_contact(&mut self, now: Instant, name: &AgentId, otherwise: AgentState, actions: &mut Vec<DeskAction>) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        agent.wrap_up = None;
        agent.idle_since = Some(now);
        let state = agent.next.take().unwrap_or(otherwise);
        self.set_state(now, name, state, actions);
    }

    fn apply_next(&mut self, now: Instant, name: &AgentId, actions: &mut Vec<DeskAction>) {
        let next = self.agents.get_mut(name).and_then(|agent| agent.next.take());
        self.set_state(now, name, next.unwrap_or(AgentState::Available), actions);
    }

    // --- routing ------------------------------------------------------------------------------------------------

    fn route(&mut self, now: Instant, actions: &mut Vec<DeskAction>) {
        let mut waiting: Vec<(bool, Instant, u64, HandoffId)> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.is_waiting())
            .map(|(handoff, task)| (!task.first, task.queued_at, task.order, *handoff))
            .collect();
        waiting.sort_unstable();
        for (_, _, _, handoff) in &waiting {
            self.offer_to_someone(now, *handoff, actions);
        }
        let staffed = self.staffed();
        for (place, (_, _, _, handoff)) in (1u32..).zip(&waiting) {
            let Some(task) = self.tasks.get_mut(handoff) else { continue };
            if task.told != Some((place, staffed)) {
                task.told = Some((place, staffed));
                actions.push(DeskAction::Place { handoff: *handoff, position: place, staffed });
            }
        }
    }

    fn staffed(&self) -> u32 {
        let takes_calls = |agent: &&Agent| {
            agent.session.is_some()
                && matches!(
                    agent.state,
                    AgentState::Available | AgentState::Reserved | AgentState::OnContact | AgentState::WrapUp
                )
                && !matches!(agent.next, Some(AgentState::Break | AgentState::Offline))
        };
        self.agents.values().filter(takes_calls).count() as u32
    }

    fn offer_to_someone(&mut self, now: Instant, handoff: HandoffId, actions: &mut Vec<DeskAction>) {
        let Some(task) = self.tasks.get_mut(&handoff).filter(|task| task.state == TaskState::Pending) else { return };
        let free: BTreeSet<&AgentId> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.state == AgentState::Available && agent.session.is_some())
            .map(|(name, _)| name)
            .collect();
        // Everybody else has been tried: those who declined earlier may be asked again.
        if free.len() > 1 && free.iter().all(|name| task.excluded.contains_key(*name)) {
            task.excluded.clear();
        }
        let chosen = free
            .into_iter()
            .filter(|name| !task.excluded.contains_key(*name))
            .min_by_key(|name| (self.agents[*name].idle_since.unwrap_or(now), (*name).clone()))
            .cloned();
        let Some(agent) = chosen else { return };
        self.offers_made += 1;
        let offer = OfferId(Uuid::from_u64_pair(self.offer_seed, self.offers_made));
        let until = now + self.policy.offer_timeout;
        task.state = TaskState::Offered { offer, agent: agent.clone(), until };
        self.set_state(now, &agent, AgentState::Reserved, actions);
        actions.push(DeskAction::Offer { offer, handoff, agent, until });
    }
}

impl Task {
    fn is_waiting(&self) -> bool {
        matches!(self.state, TaskState::Pending | TaskState::Offered { .. })
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
