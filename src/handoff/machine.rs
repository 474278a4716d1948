//! Who gets which caller, by the desk's clock. PURE: [`Router`] decides, [`Consults`] joins what agents do together; this gives
//! them moments instead of instants.
//!
//! The states and rules are in [`crate::handoff::routing`] and [`crate::handoff::consults`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::consults::{Consult, ConsultEnd, Consults, News, NotNow};
use super::routing::estimate::Estimate;
use super::routing::why::Why;
use super::routing::{Moment, Place, Plan, Router, Target};
use super::wire::{AgentState, ConsultMode};
use super::{AgentId, HandoffId};

pub use super::routing::{Decision as DeskAction, Event as DeskInput};

/// See the module's documentation.
#[derive(Debug)]
pub struct DeskMachine {
    router: Router,
    consults: Consults,
    /// The same point in time by both clocks. Opening hours follow the monotonic one from here on.
    began: Instant,
    origin: Moment,
}

impl DeskMachine {
    /// A desk without agents and callers. `now` and `wall` are the same point in time; `offer_seed` makes offer ids unique
    /// across restarts.
    pub fn new(plan: Arc<Plan>, now: Instant, wall: Timestamp, offer_seed: u64) -> Self {
        let origin = Moment::from_ms(u64::try_from(wall.as_millisecond()).unwrap_or(0));
        Self { router: Router::new(plan, offer_seed), consults: Consults::default(), began: now, origin }
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
        let now = self.moment(now);
        self.consults.step(&mut self.router, now, input, actions);
    }

    /// When [`DeskMachine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.router.poll_timeout().map(|at| self.instant(at))
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<DeskAction>) {
        let (now, mut decisions) = (self.moment(now), Vec::new());
        self.router.handle_timeout(now, &mut decisions);
        self.consults.follow(&mut self.router, now, decisions, actions);
    }

    /// A new plan takes effect.
    pub fn reload(&mut self, now: Instant, plan: Arc<Plan>, actions: &mut Vec<DeskAction>) {
        let (now, mut decisions) = (self.moment(now), Vec::new());
        self.router.reload(now, plan, &mut decisions);
        self.consults.follow(&mut self.router, now, decisions, actions);
    }

    // --- colleagues -----------------------------------------------------------------------------------------------

    /// An agent asks a colleague while the caller waits. `consult` is new.
    pub fn ask(
        &mut self,
        now: Instant,
        by: &AgentId,
        target: Target,
        consult: HandoffId,
        actions: &mut Vec<DeskAction>,
    ) -> Result<(), NotNow> {
        let now = self.moment(now);
        self.consults.ask(&mut self.router, now, by, target, consult, actions)
    }

    /// The asker decides who hears whom.
    pub fn set_mode(&mut self, by: &AgentId, mode: ConsultMode) -> Result<Consult, NotNow> {
        self.consults.set_mode(by, mode)
    }

    /// The asker gives the caller to the colleague.
    pub fn complete(&mut self, now: Instant, by: &AgentId, actions: &mut Vec<DeskAction>) -> Result<(), NotNow> {
        let now = self.moment(now);
        self.consults.complete(&mut self.router, now, by, actions)
    }

    /// The asker gives a consultation up, or the colleague leaves it.
    pub fn end_consult(&mut self, now: Instant, of: HandoffId, end: ConsultEnd, actions: &mut Vec<DeskAction>) {
        let now = self.moment(now);
        self.consults.end(&mut self.router, now, of, end, actions);
    }

    /// All consultations there are.
    pub fn consults(&self) -> &Consults {
        &self.consults
    }

    /// What became of consultations since it was last asked.
    pub fn consult_news(&mut self) -> Vec<News> {
        self.consults.take_news()
    }

    /// Whether somebody can be asked at this moment.
    pub fn is_free(&self, agent: &AgentId) -> bool {
        self.router.is_free(agent)
    }

    /// Whether somebody may pick up this parked caller.
    pub fn may_pick_up(&self, agent: &AgentId, handoff: HandoffId) -> bool {
        self.router.may_pick_up(agent, handoff)
    }

    /// Whether somebody serves the queue this caller came through.
    pub fn serves_queue_of(&self, agent: &AgentId, handoff: HandoffId) -> bool {
        self.router.serves_queue_of(agent, handoff)
    }

    /// The moment that is `after` from now, for events that carry one.
    pub fn moment_after(&self, now: Instant, after: Duration) -> Moment {
        self.moment(now) + after
    }

    /// Names the first rule that does not hold; for tests.
    pub fn broken_rule(&self, now: Instant) -> Option<String> {
        self.router.broken_rule(self.moment(now)).or_else(|| self.consults.broken_rule(&self.router))
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        self.router.plan()
    }

    /// Why a caller is where they are, in a sentence.
    pub fn why(&self, now: Instant, handoff: HandoffId) -> Option<Why> {
        self.router.why(self.moment(now), handoff)
    }

    /// What callers are told in the queue this one waits in; `None` for those not in line.
    pub fn queue_message(&self, handoff: HandoffId) -> Option<String> {
        self.router.queue_message(handoff).map(str::to_owned)
    }

    /// Where a caller stands; `None` for those not in line.
    pub fn place(&self, handoff: HandoffId) -> Option<Place> {
        self.router.place(handoff)
    }

    /// The wish of before, if this caller hung up while waiting and has the place of then.
    pub fn resumes(&self, handoff: HandoffId) -> Option<HandoffId> {
        self.router.resumes(handoff)
    }

    /// Whether somebody may take a caller over.
    pub fn can_take_over(&self, agent: &AgentId) -> bool {
        self.router.can_take_over(agent)
    }

    /// How long a caller in line may have to wait, as far as anybody knows.
    pub fn estimate(&self, handoff: HandoffId) -> Option<Estimate> {
        self.router.estimate(handoff)
    }

    /// What a caller in line will probably take.
    pub fn usual_length(&self, handoff: HandoffId) -> Option<Duration> {
        self.router.usual_length(handoff)
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
