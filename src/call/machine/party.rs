//! More than one person for a caller: a colleague who is consulted, joins or takes over; being parked, or sent on. PURE.
//!
//! Who may do what is the desk's business ([`crate::handoff::consults`]); here is what the caller hears of it.

use std::time::Instant;

use super::{CallMachine, State};
use crate::call::input::{CallAction, HandoffNews, Phrase};
use crate::handoff::wire::ConsultMode;

impl CallMachine {
    pub(super) fn party_news(&mut self, now: Instant, state: State, news: HandoffNews, actions: &mut Vec<CallAction>) {
        match (state, news) {
            (State::Bridged { hold, party }, HandoffNews::Consult(mode)) => {
                self.state = State::Bridged { hold, party: Some(mode) };
                actions.push(CallAction::Hold(hold || mode == ConsultMode::Private));
                actions.push(CallAction::Party(Some(mode)));
                if mode == ConsultMode::Together && party != Some(mode) {
                    self.announce_colleague(now, actions);
                }
            }
            (State::Bridged { .. }, HandoffNews::ColleagueJoined { name, .. }) => self.colleague = Some(name),
            (State::Bridged { hold, .. }, HandoffNews::ConsultOver) => {
                self.colleague = None;
                self.state = State::Bridged { hold, party: None };
                actions.push(CallAction::Party(None));
                actions.push(CallAction::Hold(hold));
            }
            (State::Bridged { party, .. }, HandoffNews::Succeeded { name, .. }) => {
                self.colleague = None;
                actions.push(CallAction::Unbridge);
                actions.push(CallAction::Promote);
                if party == Some(ConsultMode::Together) {
                    // They have been introduced, and speak with each other already.
                    actions.push(CallAction::Hold(false));
                    self.bridge(actions);
                } else {
                    self.introduce(now, name, actions);
                }
            }
            (
                State::Waiting { .. } | State::Introducing { .. } | State::AgentLost | State::Parked { .. },
                HandoffNews::Succeeded { name, .. },
            ) => {
                actions.push(CallAction::Unbridge);
                actions.push(CallAction::Promote);
                self.introduce(now, name, actions);
            }
            (State::Waiting { .. }, HandoffNews::AimMissed) => {
                actions.push(CallAction::Hold(false));
                self.clear(true, actions);
                self.say(now, Phrase::NotReached, true, actions);
            }
            (State::Bridged { .. } | State::Introducing { .. }, HandoffNews::SentOutside) => {
                actions.push(CallAction::Unbridge);
                self.clear(true, actions);
                self.leave_for(now, actions);
            }
            (State::Bridged { .. } | State::Introducing { .. }, HandoffNews::Parked) => {
                actions.push(CallAction::Unbridge);
                self.clear(true, actions);
                self.still_parked(now, actions);
            }
            _ => {}
        }
    }

    /// All three hear who joins.
    fn announce_colleague(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if let Some(name) = self.colleague.clone() {
            self.say(now, Phrase::Joining { name }, false, actions);
        }
    }

    pub(super) fn still_parked(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.state = State::Parked { announce_at: now + self.policy.announce_every };
        if self.outstanding.is_empty() {
            actions.push(CallAction::Hold(false));
            self.say(now, Phrase::Parked, true, actions);
        }
    }

    /// Nobody picked up: the caller goes first, and may choose otherwise.
    pub(super) fn parked_too_long(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.state = State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
        self.plan_telephone(now);
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        self.say(now, Phrase::ParkedTooLong, true, actions);
    }
}
