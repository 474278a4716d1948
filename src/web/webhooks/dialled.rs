//! Calling a person outside for a caller who was given away: what the person hears, whether they take the call, and whether
//! the caller comes back to us. The same for all providers; what they call it is in their files.
//!
//! ```text
//! our socket closes, or the API moves the call ──▶ what next? call TARGET ──▶ answered: brief, "press 1" ──▶ 1: joined, and over when they are done
//!                        └─▶ busy, no answer, a machine, another key, nothing ──▶ a new stream: back with us
//! ```

use std::time::Instant;

use super::Inner;
use super::incoming::Announcement;
use super::outcomes::StreamOutcome;
use crate::call::input::{Missed, TransferNews};
use crate::telemetry::Secret;
use crate::telephony::protocol::Transfer;

/// Seconds the person may let it ring.
pub(super) const RING_S: u32 = 25;
/// Seconds the person may take to press the key.
pub(super) const ACCEPT_S: u32 = 10;
/// The key by which the person takes the call.
pub(super) const ACCEPT_KEY: &str = "1";
/// Longest brief that is read out, in characters.
const MAX_BRIEF: usize = 600;
/// The variable that notes that the person was asked for the key.
const ASKED: &str = "asked";
/// The variable that notes that the person did not want the call.
const DECLINED: &str = "declined";
/// The variable that notes that a machine answered.
const VOICEMAIL: &str = "voicemail";

/// How a call to a person ended, as the provider tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DialOver {
    /// Somebody or something answered.
    pub(super) answered: bool,
    /// Why nobody did; of an answered call, why nobody took it.
    pub(super) missed: Missed,
    /// The caller hung up.
    pub(super) caller_left: bool,
}

impl DialOver {
    /// From the provider's word for it: most use the same few.
    pub(super) fn of(status: &str) -> Self {
        let status = status.to_ascii_lowercase();
        let missed = match status.as_str() {
            "busy" => Missed::Busy,
            "rejected" => Missed::Declined,
            "no-answer" | "noanswer" | "timeout" | "unanswered" | "completed" | "answered" | "answer" => {
                Missed::NoAnswer
            }
            _ => Missed::Failed,
        };
        let answered = matches!(status.as_str(), "completed" | "answered" | "answer");
        Self { answered, missed, caller_left: matches!(status.as_str(), "cancel" | "canceled" | "cancelled") }
    }
}

/// What the person who is called hears.
fn brief(transfer: &Transfer) -> String {
    let brief = transfer.variables.get("summary").map_or("", |summary| summary.reveal().as_str());
    let brief: String = brief.chars().take(MAX_BRIEF).collect();
    format!("A caller is waiting for you. {brief}").trim_end().to_owned()
}

impl Inner {
    /// A token for the new stream of a caller who comes back: neither counted nor turned away.
    pub(super) fn take_back(&self, now: Instant, call: Announcement<'_>) -> Secret<String> {
        self.grant(now, call)
    }

    /// What the person who is called for this caller hears where they are joined without a question; `None` when nobody is
    /// called any more.
    pub(super) fn brief(&self, call_id: &str) -> Option<String> {
        match self.gate.outcomes.known(call_id) {
            Some(StreamOutcome::Transfer(transfer)) => Some(brief(&transfer)),
            _ => None,
        }
    }

    /// The same with the question for the key.
    pub(super) fn whisper(&self, call_id: &str) -> Option<String> {
        let brief = self.brief(call_id)?;
        self.note(call_id, ASKED);
        Some(format!("{brief} Press 1 to take the call."))
    }

    /// Notes something about the call to the person, until it is over.
    fn note(&self, call_id: &str, what: &str) {
        self.note_value(call_id, what, "true");
    }

    /// The same with more to it than a yes.
    pub(super) fn note_value(&self, call_id: &str, what: &str, value: &str) {
        self.gate.outcomes.note(call_id, what, value);
    }

    /// What was noted.
    pub(super) fn noted(&self, call_id: &str, what: &str) -> Option<String> {
        match self.gate.outcomes.known(call_id) {
            Some(StreamOutcome::Transfer(transfer)) => transfer.variables.get(what).map(|value| value.reveal().clone()),
            _ => None,
        }
    }

    /// A machine answered for the person.
    pub(super) fn voicemail(&self, call_id: &str) {
        self.note(call_id, VOICEMAIL);
    }

    /// Whether a person is being called for this caller, and nobody has taken the call yet.
    pub(super) fn is_given_away(&self, call_id: &str) -> bool {
        matches!(self.gate.outcomes.known(call_id), Some(StreamOutcome::Transfer(_)))
    }

    /// Whether nobody took this caller, whose next stream is awaited or has come.
    pub(super) fn is_on_the_way_back(&self, provider: &'static str, call_id: &str) -> bool {
        let is_awaited = self.admission.is_away(provider, call_id) || self.gate.live.is_open(call_id);
        self.gate.outcomes.known(call_id).is_none() && is_awaited
    }

    /// The person has pressed these keys, or none. Whether they have the caller now.
    pub(super) fn answered_with(&self, provider: &'static str, call_id: &str, keys: &str) -> bool {
        if keys.starts_with(ACCEPT_KEY) {
            return self.taken(provider, call_id);
        }
        if !keys.is_empty() {
            self.note(call_id, DECLINED);
        }
        false
    }

    /// The person has the caller; false when the caller is not given away any more.
    pub(super) fn taken(&self, provider: &'static str, call_id: &str) -> bool {
        if !self.is_given_away(call_id) {
            return false;
        }
        // There is nobody to come back.
        self.gate.outcomes.record(super::now(), call_id, StreamOutcome::Ended);
        self.admission.transferred(provider, call_id, TransferNews::Taken);
        true
    }

    /// The call to the person is over. True: the caller is to be given a new stream. Asked twice it says the same.
    pub(super) fn dial_over(&self, provider: &'static str, call_id: &str, over: DialOver) -> bool {
        match self.gate.outcomes.known(call_id) {
            Some(StreamOutcome::Transfer(_)) if over.caller_left => {
                self.gate.outcomes.record(super::now(), call_id, StreamOutcome::Ended);
                self.admission.transferred(provider, call_id, TransferNews::CallerLeft);
                false
            }
            // Not even asked for the key: such a provider joins whoever answers.
            Some(StreamOutcome::Transfer(transfer)) if over.answered && !transfer.variables.contains_key(ASKED) => {
                self.taken(provider, call_id);
                false
            }
            Some(StreamOutcome::Transfer(transfer)) => {
                let missed = match &transfer.variables {
                    noted if noted.contains_key(DECLINED) => Missed::Declined,
                    noted if noted.contains_key(VOICEMAIL) => Missed::Voicemail,
                    _ => over.missed,
                };
                self.gate.outcomes.forget(call_id);
                self.admission.transferred(provider, call_id, TransferNews::Missed(missed));
                true
            }
            // They have spoken.
            Some(_) => false,
            // The server was started anew, or they spoke for long.
            None => !over.answered && !over.caller_left,
        }
    }
}
