//! A person for the caller: the request, the news of it, and being joined. PURE.

use std::time::Instant;

use serde_json::json;

use super::{CallMachine, Handoff, INTRODUCTION_PATIENCE, State, signals};
use crate::call::input::{CallAction, HandoffNews, Phrase, Signals};
use crate::handoff::HandoffReason;
use crate::handoff::wire::ConsultMode;
use crate::store::{CallOutcome, HandoffOutcome};
use crate::telephony::protocol::Digit;

impl CallMachine {
    pub(super) fn hand_off(
        &mut self,
        now: Instant,
        reason: HandoffReason,
        signals: Signals,
        words: Option<Phrase>,
        actions: &mut Vec<CallAction>,
    ) {
        debug_assert_eq!(self.state, State::Assisting, "only the assistant hands off");
        // The request goes first: nothing below may delay it.
        actions.push(CallAction::RequestHandoff { reason, signals });
        self.drop_chore(actions);
        self.handoff = Handoff::Open;
        self.unsure = 0;
        self.decoding = None;
        self.silence_since = None;
        self.stop_speaking(actions);
        self.state = State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
        self.queue_message.clear();
        self.plan_telephone(now);
        match words {
            Some(phrase) => {
                self.say(now, phrase, false, actions);
            }
            None => actions.push(CallAction::Hold(true)),
        }
    }

    pub(super) fn dtmf(&mut self, now: Instant, digit: Digit, actions: &mut Vec<CallAction>) {
        self.silence_since = None;
        if self.chore_key(now, digit.get(), actions) {
            return;
        }
        match (self.state.clone(), digit.get()) {
            (State::Assisting, '0') => {
                self.drop_answer(actions);
                let signals = signals([("digit", json!("0"))]);
                self.hand_off(now, HandoffReason::CallerPressedZero, signals, Some(Phrase::Connecting), actions);
            }
            (State::Assisting, _) if self.outstanding.is_empty() && self.thinking.is_none() => {
                self.silence_since = Some(now);
            }
            (State::Ending { outcome, .. }, '0') if outcome != CallOutcome::Interrupted => {
                self.reopen(actions);
                let signals = signals([("digit", json!("0"))]);
                self.hand_off(now, HandoffReason::CallerPressedZero, signals, Some(Phrase::Connecting), actions);
            }
            (State::Waiting { .. }, '1') => self.take_message(now, actions),
            (State::Waiting { .. }, '2') => self.call_back(now, actions),
            (State::Waiting { .. }, '*') => self.back_to_assistant(now, actions),
            (State::Waiting { position, .. }, '0') => {
                actions.push(CallAction::NoteTrigger {
                    reason: HandoffReason::CallerPressedZero,
                    signals: signals([("digit", json!("0"))]),
                });
                self.say_place(now, position, actions);
            }
            (State::Message { recording: true }, '#') => {
                // Answered with MessageEnded, which knows how much voice there was.
                actions.push(CallAction::EndMessage);
            }
            (State::Parked { .. }, '0') => self.wait_again_saying(now, Phrase::ParkedTooLong, actions),
            (State::Message { .. } | State::Callback { .. }, '0') if !self.is_keying_number() => {
                self.wait_again(now, actions);
            }
            (State::Callback { digits, until }, key) => self.keyed(now, digits, until, key, actions),
            (State::Confirm { number, .. }, key) => self.confirmed(now, number, key, actions),
            _ => {}
        }
    }

    /// What those who run the queue have to say, behind what is being said.
    pub(super) fn say_queue_message(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if !self.queue_message.is_empty() {
            self.say(now, Phrase::QueueMessage { text: self.queue_message.clone() }, true, actions);
        }
    }

    /// The caller changed their mind during the last words.
    pub(super) fn reopen(&mut self, actions: &mut Vec<CallAction>) {
        if self.handoff == Handoff::Bridged {
            self.close_handoff(HandoffOutcome::Bridged, actions);
        }
        self.clear(true, actions);
        self.state = State::Assisting;
    }

    pub(super) fn is_keying_number(&self) -> bool {
        matches!(&self.state, State::Callback { .. })
    }

    pub(super) fn news(&mut self, now: Instant, news: HandoffNews, actions: &mut Vec<CallAction>) {
        match (self.state.clone(), news) {
            (State::Waiting { announce_at, told_nobody, .. }, HandoffNews::Queued { position, staffed, wait }) => {
                self.wait = wait;
                if staffed == 0 && self.telephone_at.is_some() {
                    return self.leave(now, actions);
                }
                let tell = staffed == 0 && !told_nobody;
                self.state = State::Waiting { announce_at, position, told_nobody: staffed == 0 };
                if tell {
                    actions.push(CallAction::Hold(false));
                    self.say(now, Phrase::NobodyAvailable, true, actions);
                }
            }
            (state, HandoffNews::QueueMessage(message)) => {
                self.queue_message = message;
                if matches!(state, State::Waiting { .. }) && !self.queue_message.is_empty() {
                    actions.push(CallAction::Hold(false));
                    self.say_queue_message(now, actions);
                }
            }
            (State::Waiting { .. } | State::Parked { .. }, HandoffNews::Accepted { name, .. }) => {
                self.introduce(now, name, actions);
            }
            (
                state,
                news @ (HandoffNews::Consult(_)
                | HandoffNews::ColleagueJoined { .. }
                | HandoffNews::ConsultOver
                | HandoffNews::Succeeded { .. }
                | HandoffNews::AimMissed
                | HandoffNews::SentOutside
                | HandoffNews::Parked),
            ) => self.party_news(now, state, news, actions),
            (State::Parked { .. }, HandoffNews::Requeued) => self.parked_too_long(now, actions),
            (
                State::Bridged { .. } | State::Introducing { .. } | State::AgentLost,
                HandoffNews::Accepted { name, .. },
            ) => {
                // Somebody takes over from somebody.
                actions.push(CallAction::Unbridge);
                self.introduce(now, name, actions);
            }
            (
                state @ (State::Message { .. } | State::Callback { .. } | State::Confirm { .. }),
                HandoffNews::Accepted { name, .. },
            ) => {
                if (state == State::Message { recording: true }) {
                    actions.push(CallAction::StopMessage { keep: false });
                }
                self.introduce(now, name, actions);
            }
            (State::Bridged { .. }, HandoffNews::HandedBack) => {
                actions.push(CallAction::Unbridge);
                self.close_handoff(HandoffOutcome::Bridged, actions);
                actions.push(CallAction::Hold(false));
                self.clear(true, actions);
                self.state = State::Assisting;
                self.say(now, Phrase::BackToAssistant, true, actions);
            }
            (State::Introducing { .. }, HandoffNews::HandedBack) => {
                self.wait_again_saying(now, Phrase::Requeued, actions);
            }
            (State::Bridged { .. } | State::Introducing { .. }, HandoffNews::Transferred) => {
                actions.push(CallAction::Unbridge);
                self.state =
                    State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
                actions.push(CallAction::Hold(false));
                self.clear(true, actions);
                self.say(now, Phrase::Connecting, true, actions);
            }
            (State::Assisting, HandoffNews::TakeOver) => {
                self.drop_answer(actions);
                self.hand_off(now, HandoffReason::TakenOver, Signals::default(), None, actions);
            }
            (state, HandoffNews::ForceEnded)
                if !matches!(state, State::Away { .. } | State::Ending { .. } | State::Ended) =>
            {
                self.force_end(now, &state, actions);
            }
            (State::Introducing { .. } | State::Bridged { .. }, HandoffNews::AgentLost) => {
                actions.push(CallAction::Unbridge);
                self.clear(true, actions);
                self.state = State::AgentLost;
                self.say(now, Phrase::AgentLost, false, actions);
            }
            (State::AgentLost, HandoffNews::AgentReturned) => {
                actions.push(CallAction::Hold(false));
                self.clear(true, actions);
                self.bridge(actions);
            }
            (State::AgentLost | State::Introducing { .. } | State::Bridged { .. }, HandoffNews::Requeued) => {
                actions.push(CallAction::Unbridge);
                self.state =
                    State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
                self.plan_telephone(now);
                actions.push(CallAction::Hold(false));
                self.say(now, Phrase::Requeued, true, actions);
            }
            (State::Bridged { party, .. }, HandoffNews::Hold(on)) => {
                self.state = State::Bridged { hold: on, party };
                actions.push(CallAction::Hold(on || party == Some(ConsultMode::Private)));
            }
            (State::Bridged { .. }, HandoffNews::Keys(keys)) => actions.push(CallAction::PressKeys(keys)),
            (State::Introducing { .. }, HandoffNews::Ended) => self.wait_again_saying(now, Phrase::Requeued, actions),
            (State::Bridged { .. } | State::AgentLost, HandoffNews::Ended) => {
                actions.push(CallAction::Unbridge);
                actions.push(CallAction::Hold(false));
                self.handoff = Handoff::Bridged;
                self.end_with(now, Phrase::Goodbye, CallOutcome::SpokeWithAgent, actions);
            }
            _ => {}
        }
    }

    /// The assistant says who it is, and is silent after that.
    pub(super) fn introduce(&mut self, now: Instant, name: String, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        if self.policy.record && !self.recording {
            // The notice was cut or not reached yet; nothing is recorded until it was heard.
            self.notice = Some(self.say(now, Phrase::Notice, false, actions));
        }
        let item = self.say(now, Phrase::Introduction { name }, false, actions);
        self.state = State::Introducing { item, until: now + INTRODUCTION_PATIENCE };
    }

    fn force_end(&mut self, now: Instant, state: &State, actions: &mut Vec<CallAction>) {
        self.drop_answer(actions);
        self.decoding = None;
        match state {
            State::Bridged { .. } | State::AgentLost => actions.push(CallAction::Unbridge),
            State::Message { recording: true } => actions.push(CallAction::StopMessage { keep: false }),
            _ => {}
        }
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        self.end_with(now, Phrase::Goodbye, CallOutcome::Interrupted, actions);
    }

    pub(super) fn bridge(&mut self, actions: &mut Vec<CallAction>) {
        self.handoff = Handoff::Bridged;
        self.state = State::Bridged { hold: false, party: None };
        actions.push(CallAction::Bridge);
    }

    pub(super) fn back_to_assistant(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        self.close_handoff(HandoffOutcome::BackToAssistant, actions);
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        self.state = State::Assisting;
        self.say(now, Phrase::BackToAssistant, true, actions);
    }
}
