//! Who gets which caller, by the desk's clock. PURE: [`Router`] decides; this gives it moments instead of instants.
//!
//! The states and rules are in [`crate::handoff::routing`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::routing::estimate::Estimate;
use super::routing::{Moment, Place, Plan, Router};
use super::wire::AgentState;
use super::{AgentId, HandoffId};

pub use super::routing::{Decision as DeskAction, Event as DeskInput};

/// See the module's documentation.
#[derive(Debug)]
pub struct DeskMachine {
    router: Router,
    /// The same point in time by both clocks. Opening hours follow the monotonic one from here on.
    began: Instant,
    origin: Moment,
}

impl DeskMachine {
    /// A desk without agents and callers. `now` and `wall` are the same point in time; `offer_seed` makes offer ids unique
    /// across restarts.
    pub fn new(plan: Arc<Plan>, now: Instant, wall: Timestamp, offer_seed: u64) -> Self {
        let origin = Moment::from_ms(u64::try_from(wall.as_millisecond()).unwrap_or(0));
        Self { router: Router::new(plan, offer_seed), began: now, origin }
    }

    fn moment(&self, now: Instant) -> Moment {
        self.origin + now.saturating_duration_since(self.began)
    }

    /// A deadline of an action by the driver's clock.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.began + moment.since(self.origin)
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Instant, input: DeskInput, actions: &mut Vec<DeskAction>) {
        self.router.step(self.moment(now), input, actions);
    }

    /// When [`DeskMachine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.router.poll_timeout().map(|at| self.instant(at))
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<DeskAction>) {
        self.router.handle_timeout(self.moment(now), actions);
    }

    /// A new plan takes effect.
    pub fn reload(&mut self, now: Instant, plan: Arc<Plan>, actions: &mut Vec<DeskAction>) {
        self.router.reload(self.moment(now), plan, actions);
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        self.router.plan()
    }

    /// Why a caller is where they are, in a sentence.
    pub fn why(&self, now: Instant, handoff: HandoffId) -> Option<String> {
        self.router.why(self.moment(now), handoff)
    }

    /// Where a caller stands; `None` for those not in line.
    pub fn place(&self, handoff: HandoffId) -> Option<Place> {
        self.router.place(handoff)
    }

    /// Whether somebody may take a caller over.
    pub fn can_take_over(&self, agent: &AgentId) -> bool {
        self.router.can_take_over(agent)
    }

    /// How long a caller in line may have to wait.
    pub fn estimate(&self, handoff: HandoffId) -> Option<Estimate> {
        self.router.estimate(handoff)
    }

    /// An agent's state, how long they have been in it, and what follows.
    pub fn agent_state(&self, agent: &AgentId, now: Instant) -> Option<(AgentState, Duration, Option<AgentState>)> {
        self.router.agent_state(agent, self.moment(now))
    }

    /// The name of the agent's break.
    pub fn break_code(&self, agent: &AgentId) -> Option<&str> {
        self.router.break_code(agent)
    }

    /// The caller an agent speaks with.
    pub fn contact_of(&self, agent: &AgentId) -> Option<HandoffId> {
        self.router.contact_of(agent)
    }

    /// Callers waiting or offered, and how long the first has waited.
    pub fn queue(&self, now: Instant) -> (u32, Duration) {
        self.router.queue(self.moment(now))
    }

    /// How many agents are in each state; those who signed out are not counted.
    pub fn census(&self) -> BTreeMap<&'static str, u32> {
        self.router.census()
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
