//! What a caller may choose instead of waiting: a message, or to be called back. PURE.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{CallMachine, Handoff, MESSAGE_MIN, NUMBER_PATIENCE, State, signals};
use crate::audio::units::Millis;
use crate::call::input::{CallAction, Phrase};
use crate::handoff::HandoffReason;
use crate::store::{CallOutcome, HandoffOutcome};
use crate::telemetry::Pii;

/// How long the first words to somebody who was called back may take before they are joined with the agent anyway.
const GREETING_PATIENCE: Duration = Duration::from_secs(25);

impl CallMachine {
    pub(super) fn take_message(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        self.state = State::Message { recording: false };
        self.say(now, Phrase::MessagePrompt, false, actions);
    }

    pub(super) fn message_ended(&mut self, now: Instant, speech: Millis, actions: &mut Vec<CallAction>) {
        if self.state != (State::Message { recording: true }) {
            return;
        }
        if speech < MESSAGE_MIN {
            actions.push(CallAction::StopMessage { keep: false });
            return self.wait_again_saying(now, Phrase::MessageEmpty, actions);
        }
        actions.push(CallAction::StopMessage { keep: true });
        self.close_handoff(HandoffOutcome::LeftMessage, actions);
        self.end_with(now, Phrase::MessageSaved, CallOutcome::LeftMessage, actions);
    }

    pub(super) fn call_back(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        match self.policy.caller_number.clone() {
            Some(number) => self.confirm(now, None, number, actions),
            None if self.policy.caller_number_known => self.booked(now, None, actions),
            None => self.ask_number(now, actions),
        }
    }

    fn ask_number(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.clear(true, actions);
        self.state = State::Callback { digits: String::new(), until: now + NUMBER_PATIENCE };
        self.say(now, Phrase::CallbackNumber, true, actions);
    }

    /// Reads the number back: whoever mishears it calls somebody else.
    fn confirm(&mut self, now: Instant, keyed: Option<String>, number: Pii<String>, actions: &mut Vec<CallAction>) {
        self.clear(true, actions);
        self.state = State::Confirm { number: keyed, until: now + NUMBER_PATIENCE };
        self.say(now, Phrase::CallbackConfirm { number }, true, actions);
    }

    /// A key after the number was read back.
    pub(super) fn confirmed(&mut self, now: Instant, number: Option<String>, key: char, actions: &mut Vec<CallAction>) {
        match key {
            '1' => self.booked(now, number, actions),
            '2' => self.ask_number(now, actions),
            '*' | '0' => self.wait_again(now, actions),
            _ => {}
        }
    }

    /// Words after the number was read back.
    pub(super) fn heard_to_confirm(
        &mut self,
        now: Instant,
        text: &str,
        number: Option<String>,
        actions: &mut Vec<CallAction>,
    ) {
        match self.rules().yes_no(text) {
            Some(true) => self.booked(now, number, actions),
            Some(false) => self.ask_number(now, actions),
            None if self.rules().wants_person(text).is_some() => self.wait_again(now, actions),
            None => {}
        }
    }

    /// We have called somebody back, and they answered.
    pub(super) fn called_back(&mut self, now: Instant, name: Option<String>, actions: &mut Vec<CallAction>) {
        self.handoff = Handoff::Open;
        self.silence_since = None;
        self.say(now, Phrase::CallbackGreeting, false, actions);
        if self.policy.record {
            self.notice = Some(self.say(now, Phrase::Notice, false, actions));
        }
        match name {
            Some(name) => {
                let item = self.say(now, Phrase::Introduction { name }, false, actions);
                self.state = State::Introducing { item, until: now + GREETING_PATIENCE };
            }
            None => {
                let announce_at = now + self.policy.announce_every;
                self.state = State::Waiting { announce_at, position: 1, told_nobody: true };
                self.say(now, Phrase::Connecting, true, actions);
            }
        }
    }

    pub(super) fn keyed(
        &mut self,
        now: Instant,
        mut digits: String,
        until: Instant,
        key: char,
        actions: &mut Vec<CallAction>,
    ) {
        match key {
            '#' if (5..=15).contains(&digits.len()) => {
                self.confirm(now, Some(digits.clone()), Pii::new(digits), actions);
            }
            '#' => {
                self.state = State::Callback { digits: String::new(), until: now + NUMBER_PATIENCE };
                self.say(now, Phrase::CallbackInvalid, true, actions);
            }
            '*' => self.wait_again(now, actions),
            key => {
                if digits.len() < 16 {
                    digits.push(key);
                }
                self.state = State::Callback { digits, until: until.max(now + NUMBER_PATIENCE / 2) };
            }
        }
    }

    pub(super) fn booked(&mut self, now: Instant, number: Option<String>, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::BookCallback { number });
        self.close_handoff(HandoffOutcome::CallbackBooked, actions);
        self.end_with(now, Phrase::CallbackBooked, CallOutcome::CallbackBooked, actions);
    }

    /// The alternative came to nothing: the caller still wants a person.
    pub(super) fn wait_again(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if matches!(self.state, State::Message { .. }) {
            actions.push(CallAction::StopMessage { keep: false });
        }
        self.wait_again_saying(now, Phrase::Connecting, actions);
    }

    pub(super) fn wait_again_saying(&mut self, now: Instant, phrase: Phrase, actions: &mut Vec<CallAction>) {
        self.state = State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
        self.plan_telephone(now);
        actions.push(CallAction::RequestHandoff {
            reason: HandoffReason::CallerAsked,
            signals: signals([("again", json!(true))]),
        });
        self.clear(true, actions);
        self.say(now, phrase, false, actions);
    }
}
