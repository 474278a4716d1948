//! A telephone outside, for callers whom no agent takes: the way there, and back if nobody takes the call. PURE.
//!
//! The caller hears what is done before it is done, then the provider has the call. An API may take seconds to say so, and the
//! caller is on our line meanwhile: they are told that it takes a moment, and hear music. It is tried once a call: whoever
//! comes back waits for agents, or chooses an alternative.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{CallMachine, State, signals};
use crate::call::input::{CallAction, Missed, Phrase, TransferEnd, TransferNews};
use crate::handoff::HandoffReason;
use crate::store::{CallOutcome, HandoffOutcome};

/// How long the farewell may take before the caller goes anyway.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(12);
/// How long the line may be silent while the provider is asked to take the caller.
const SILENT_PARTING: Duration = Duration::from_millis(1_500);
/// How long the provider may ring and ask before nothing more is expected of it.
const AWAY_PATIENCE: Duration = Duration::from_secs(90);
/// How long a caller whom nobody answered may take to come back.
const RETURN_PATIENCE: Duration = Duration::from_secs(20);

/// What a caller who was given to the provider hears of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// Nothing: the line is gone, or nobody is leaving.
    Over,
    /// Nothing yet: their line is open, and most providers take them within a moment.
    Silent {
        /// So long.
        until: Instant,
    },
    /// That it takes a moment, and then music.
    Told,
}

impl Parting {
    /// When the caller is to be told.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Silent { until } => Some(until),
            Self::Over | Self::Told => None,
        }
    }
}

impl CallMachine {
    /// The caller begins to wait for a person.
    pub(super) fn plan_telephone(&mut self, now: Instant) {
        let telephone = self.policy.telephone.filter(|_| !self.telephoned);
        self.telephone_at = telephone.map(|telephone| now + telephone.after);
    }

    /// Says that a person is called.
    pub(super) fn leave(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.telephoned = true;
        self.leave_for(now, actions);
    }

    /// The same for a telephone an agent has chosen.
    pub(super) fn leave_for(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.telephone_at = None;
        // No agent may be offered a caller who is about to go.
        actions.push(CallAction::SuspendHandoff);
        actions.push(CallAction::Hold(false));
        let item =
            self.say(now, if self.policy.returns { Phrase::Telephoning } else { Phrase::Leaving }, false, actions);
        self.state = State::Leaving { item, until: now + FAREWELL_PATIENCE };
    }

    /// Gives the caller to the provider.
    pub(super) fn go(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.state = State::Away { until: now + AWAY_PATIENCE, missed: None };
        if !self.outstanding.is_empty() {
            actions.push(CallAction::ClearPlayback { everything: true });
        }
        actions.push(CallAction::Transfer);
        if self.policy.returns {
            self.parting = Parting::Silent { until: now + SILENT_PARTING };
        } else {
            self.gone(now, TransferEnd::Unknown, actions);
        }
    }

    /// The provider has not taken the caller yet, and the line was silent for long enough.
    pub(super) fn not_gone_yet(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.parting = Parting::Told;
        self.say(now, Phrase::Filler, false, actions);
    }

    /// The caller hears nothing of us any more.
    pub(super) fn line_gone(&mut self, actions: &mut Vec<CallAction>) {
        if std::mem::replace(&mut self.parting, Parting::Over) != Parting::Told {
            return;
        }
        actions.push(CallAction::Hold(false));
        if !self.outstanding.is_empty() {
            self.clear(true, actions);
        }
    }

    pub(super) fn transfer_news(&mut self, now: Instant, news: TransferNews, actions: &mut Vec<CallAction>) {
        let State::Away { missed, .. } = self.state else { return };
        match news {
            TransferNews::Taken => self.gone(now, TransferEnd::Taken, actions),
            TransferNews::Missed(why) => {
                self.state = State::Away { until: now + RETURN_PATIENCE, missed: Some(why) };
            }
            TransferNews::CallerLeft => self.finish(actions, true),
            TransferNews::Back => {
                let why = missed.unwrap_or(Missed::Failed);
                // The line of before may still be open: what was said there is not heard here.
                self.line_gone(actions);
                actions.push(CallAction::EndTransfer(TransferEnd::Missed(why)));
                // What can be chosen is said below: it need not be said again when nobody is there.
                self.state =
                    State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: true };
                actions.push(CallAction::RequestHandoff {
                    reason: HandoffReason::CallerAsked,
                    signals: signals([("again", json!(true)), ("telephone", json!(why.as_str()))]),
                });
                self.say(now, Phrase::TelephoneMissed, true, actions);
            }
        }
    }

    /// No more news of a caller who is away.
    pub(super) fn stayed_away(&mut self, now: Instant, missed: Option<Missed>, actions: &mut Vec<CallAction>) {
        match missed {
            // Whoever does not come back has hung up.
            Some(_) => self.finish(actions, true),
            None => self.gone(now, TransferEnd::Unknown, actions),
        }
    }

    /// The caller is somebody else's.
    fn gone(&mut self, now: Instant, end: TransferEnd, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::EndTransfer(end));
        self.close_handoff(HandoffOutcome::Transferred, actions);
        self.state = State::Ending { until: now, outcome: CallOutcome::Transferred };
        self.finish(actions, false);
    }
}
