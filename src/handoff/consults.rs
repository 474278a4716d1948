//! Consultations: an agent asks a colleague while the caller waits, and they go on in twos or all three. PURE.
//!
//! ```text
//!  ask ─▶ Asking ─ nobody takes it, given up ─▶ over
//!            └─ taken ─▶ Private ⇄ Caller ⇄ Together       who hears whom: the asker decides, as often as they like
//!                           │ completed: the colleague has the caller, the asker is in wrap-up
//!                           └ given up, colleague leaves, somebody is lost: over, and the caller is back with the asker
//!  Together: whoever leaves, the others stay together; the caller's leaving ends it.
//! ```
//! A consultation has a task of its own in the router, which finds the colleague. Here is what the two tasks have to do with
//! each other: every end of one has its consequence for the other, so that no colleague is left in a conversation that is
//! over, and no caller without anybody.

use std::time::Duration;

use super::routing::{Decision, Event, Moment, Router, Target};
use super::wire::{CallEnd, ConsultMode};
use super::{AgentId, HandoffId};

/// How long a colleague is looked for.
pub const LOOKED_FOR: Duration = Duration::from_secs(45);

/// A consultation.
#[derive(Clone, Debug, PartialEq)]
pub struct Consult {
    /// The caller it is about.
    pub of: HandoffId,
    /// Its own id.
    pub id: HandoffId,
    /// Who asked.
    pub by: AgentId,
    /// The colleague, once they are there.
    pub with: Option<AgentId>,
    /// Who hears whom.
    pub mode: ConsultMode,
    /// All three have been together: the colleague has something to finish.
    pub joined: bool,
}

/// What became of a consultation.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The colleague is there.
    Here(Consult),
    /// It is over, and the caller is back with the asker, if they have them still.
    Over(Consult, ConsultEnd),
    /// The colleague has the caller.
    Succeeded(Consult),
}

/// Why a consultation is over without the colleague having the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsultEnd {
    /// The asker gave it up, or has no caller any more.
    Canceled,
    /// Nobody took it.
    NotTaken,
    /// The colleague left, or their connection broke.
    Left,
}

/// Why something can't be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// On no call, or not yet joined.
    NoCall,
    /// There is a consultation already.
    Consulting,
    /// There is none, or the colleague is not there yet.
    NotConsulting,
    /// This colleague can't be asked now.
    Unavailable,
}

/// All consultations. As many as there are conversations, at most.
#[derive(Clone, Debug, Default)]
pub struct Consults {
    all: Vec<Consult>,
    news: Vec<News>,
}

impl Consults {
    /// The consultation about this caller, or with this id.
    pub fn about(&self, handoff: HandoffId) -> Option<&Consult> {
        self.all.iter().find(|one| one.of == handoff || one.id == handoff)
    }

    /// The one this agent asked for.
    pub fn asked_by(&self, agent: &AgentId) -> Option<&Consult> {
        self.all.iter().find(|one| one.by == *agent)
    }

    /// The one this agent was asked into.
    pub fn joined_by(&self, agent: &AgentId) -> Option<&Consult> {
        self.all.iter().find(|one| one.with.as_ref() == Some(agent))
    }

    /// What has happened since it was last taken.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Asks. `id`: new.
    pub fn ask(
        &mut self,
        router: &mut Router,
        now: Moment,
        by: &AgentId,
        target: Target,
        id: HandoffId,
        out: &mut Vec<Decision>,
    ) -> Result<(), NotNow> {
        let of = router.contact_of(by).ok_or(NotNow::NoCall)?;
        if self.about(of).is_some() {
            return Err(NotNow::Consulting);
        }
        if let Target::Agent(colleague) = &target
            && (colleague == by || !router.is_free(colleague))
        {
            return Err(NotNow::Unavailable);
        }
        self.all.push(Consult { of, id, by: by.clone(), with: None, mode: ConsultMode::Private, joined: false });
        let event = Event::Consulted { consult: id, target, by: by.clone(), until: now + LOOKED_FOR };
        self.step(router, now, event, out);
        Ok(())
    }

    /// The asker decides who hears whom.
    pub fn set_mode(&mut self, by: &AgentId, mode: ConsultMode) -> Result<Consult, NotNow> {
        let consult = self.all.iter_mut().find(|one| one.by == *by).ok_or(NotNow::NotConsulting)?;
        if consult.with.is_none() && mode == ConsultMode::Together {
            return Err(NotNow::NotConsulting);
        }
        consult.mode = mode;
        consult.joined |= mode == ConsultMode::Together;
        Ok(consult.clone())
    }

    /// The asker gives the caller to the colleague.
    pub fn complete(
        &mut self,
        router: &mut Router,
        now: Moment,
        by: &AgentId,
        out: &mut Vec<Decision>,
    ) -> Result<(), NotNow> {
        let consult = self.asked_by(by).filter(|one| one.with.is_some()).ok_or(NotNow::NotConsulting)?;
        let event = Event::Succeeds { handoff: consult.of, consult: consult.id, reason: CallEnd::Transferred };
        self.step(router, now, event, out);
        Ok(())
    }

    /// The asker gives it up, or the colleague leaves.
    pub fn end(&mut self, router: &mut Router, now: Moment, of: HandoffId, end: ConsultEnd, out: &mut Vec<Decision>) {
        self.over(router, now, of, end, CallEnd::ConsultOver, out);
        self.settle(router, now, out);
    }

    /// Gives an event to the router and draws the consequences.
    pub fn step(&mut self, router: &mut Router, now: Moment, event: Event, out: &mut Vec<Decision>) {
        let mut decisions = Vec::new();
        router.step(now, event, &mut decisions);
        self.follow(router, now, decisions, out);
    }

    /// Draws the consequences of what the router decided.
    pub fn follow(&mut self, router: &mut Router, now: Moment, decisions: Vec<Decision>, out: &mut Vec<Decision>) {
        for decision in decisions {
            if self.consequence(router, now, &decision, out) {
                out.push(decision);
            }
        }
        self.settle(router, now, out);
    }

    /// False: the decision has been overtaken, and is nobody's business any more.
    fn consequence(&mut self, router: &mut Router, now: Moment, decision: &Decision, out: &mut Vec<Decision>) -> bool {
        match decision {
            Decision::Assign { handoff, agent } => self.taken(*handoff, agent),
            Decision::Exit(handoff, _) if self.is_consult(*handoff) => {
                self.over(router, now, *handoff, ConsultEnd::NotTaken, CallEnd::ConsultOver, out);
                return false; // there is no caller to be offered anything
            }
            Decision::AimOver(handoff) | Decision::Requeued(handoff) | Decision::ConnectFailed { handoff, .. }
                if self.is_consult(*handoff) =>
            {
                self.over(router, now, *handoff, ConsultEnd::NotTaken, CallEnd::ConsultOver, out);
            }
            Decision::AgentLost(handoff) => return self.lost(router, now, *handoff, out),
            Decision::Succeeded { consult, .. } => self.succeeded(*consult),
            _ => {}
        }
        true
    }

    fn is_consult(&self, handoff: HandoffId) -> bool {
        self.all.iter().any(|one| one.id == handoff)
    }

    fn taken(&mut self, handoff: HandoffId, agent: &AgentId) {
        if let Some(consult) = self.all.iter_mut().find(|one| one.id == handoff) {
            consult.with = Some(agent.clone());
            self.news.push(News::Here(consult.clone()));
        }
    }

    fn succeeded(&mut self, id: HandoffId) {
        if let Some(at) = self.all.iter().position(|one| one.id == id) {
            self.news.push(News::Succeeded(self.all.remove(at)));
        }
    }

    /// The connection of one of the agents broke.
    fn lost(&mut self, router: &mut Router, now: Moment, handoff: HandoffId, out: &mut Vec<Decision>) -> bool {
        let Some(consult) = self.about(handoff).cloned() else { return true };
        if consult.id == handoff {
            self.over(router, now, handoff, ConsultEnd::Left, CallEnd::AgentLost, out);
            return false;
        }
        if consult.mode == ConsultMode::Together && consult.with.is_some() {
            let event = Event::Succeeds { handoff, consult: consult.id, reason: CallEnd::AgentLost };
            self.step(router, now, event, out);
            return false;
        }
        self.over(router, now, handoff, ConsultEnd::Canceled, CallEnd::ConsultOver, out);
        true
    }

    /// Takes the consultation out and frees the colleague.
    fn over(
        &mut self,
        router: &mut Router,
        now: Moment,
        handoff: HandoffId,
        end: ConsultEnd,
        reason: CallEnd,
        out: &mut Vec<Decision>,
    ) {
        let Some(at) = self.all.iter().position(|one| one.of == handoff || one.id == handoff) else { return };
        let consult = self.all.remove(at);
        let event = match (&consult.with, consult.joined) {
            (Some(_), true) => Event::Ended(consult.id, reason),
            (Some(_), false) => Event::Released(consult.id),
            (None, _) => Event::Left(consult.id, super::routing::Left::Helped),
        };
        let mut decisions = Vec::new();
        router.step(now, event, &mut decisions);
        if consult.with.is_some() {
            // Lost or without sound it is no conversation any more; then nothing is left but to forget it.
            router.step(now, Event::Left(consult.id, super::routing::Left::Helped), &mut decisions);
        }
        self.news.push(News::Over(consult, end));
        self.follow(router, now, decisions, out);
    }

    /// A consultation whose asker has the caller no more is over.
    fn settle(&mut self, router: &mut Router, now: Moment, out: &mut Vec<Decision>) {
        while let Some(stale) = self.all.iter().find(|one| router.contact_of_handoff(one.of).as_ref() != Some(&one.by))
        {
            let of = stale.of;
            let end = if router.knows(of) { ConsultEnd::Canceled } else { ConsultEnd::Left };
            self.over(router, now, of, end, CallEnd::CallerHungUp, out);
        }
    }

    /// Names the first rule that does not hold; for tests.
    pub fn broken_rule(&self, router: &Router) -> Option<String> {
        self.all.iter().find_map(|one| {
            let asker = router.contact_of_handoff(one.of);
            let colleague = router.contact_of_handoff(one.id);
            if asker.as_ref() != Some(&one.by) {
                return Some(format!("{:?} is about a caller whom {asker:?} has", one.id));
            }
            if colleague != one.with {
                return Some(format!("{:?} is with {:?} and not {colleague:?}", one.id, one.with));
            }
            if !router.knows(one.id) {
                return Some(format!("nobody looks for a colleague for {:?}", one.id));
            }
            (one.with.as_ref() == Some(&one.by)).then(|| format!("{} consults themselves", one.by))
        })
    }
}

#[cfg(test)]
#[path = "consults_tests.rs"]
mod tests;
