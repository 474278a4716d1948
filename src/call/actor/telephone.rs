//! A telephone outside: the caller is given to the provider, and perhaps comes back on another leg.

use tokio::time::Instant;
use tracing::info;

use super::Actor;
use super::hearing::Turns;
use crate::audio::units::Millis;
use crate::call::cleaner::Cleaner;
use crate::call::echo::EchoRemover;
use crate::call::handle::LegIo;
use crate::call::input::{CallInput, TransferEnd, TransferNews};
use crate::call::keys::Keypad;
use crate::call::overlap::{Overlap, OverlapRules};
use crate::call::turn::TurnDetector;
use crate::handoff::HandoffReason;
use crate::telephony::protocol::{MediaCommand, Transfer};

impl Actor {
    pub(super) async fn give_away(&mut self) {
        let reason = self.reason.unwrap_or(HandoffReason::CallerAsked);
        let summary = self.journal.summary(reason).join(" ");
        let variables =
            [("summary", summary), ("reason", reason.as_str().to_owned()), ("call_id", self.id.to_string())];
        let transfer = Transfer {
            target: self.target.take().unwrap_or_else(|| self.services.settings.handoff.telephone.clone()).into(),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect(),
        };
        info!(call.id = %self.id, "The caller is given to the telephone");
        let away = &self.services.away;
        self.away = Some(away.enter(self.provider, &self.provider_call_id, self.handle.clone(), self.commands.clone()));
        if let Some(handoff) = self.handoff {
            self.journal.telephoned(handoff);
        }
        self.send(MediaCommand::Transfer(transfer)).await;
    }

    pub(super) fn end_transfer(&mut self, end: TransferEnd) {
        info!(call.id = %self.id, ?end, "The telephone: {end:?}");
        self.away = None;
        self.journal.telephone_ended(end);
    }

    /// Gives the caller's new leg, if they are back.
    pub(super) async fn transfer_news(&mut self, news: TransferNews, leg: Option<Box<LegIo>>) -> Option<LegIo> {
        let mut leg = leg.map(|leg| *leg);
        if let Some(leg) = &mut leg {
            self.out = leg.commands.clone();
            let began = self.at(Instant::now());
            self.line = super::Line { is_up: true, began };
            let (turn, threshold) = (&self.services.settings.turn, self.services.settings.vad_threshold);
            self.detector = TurnDetector::new(turn, threshold);
            self.echo = EchoRemover::default();
            self.cleaner = Cleaner::new(&self.services.settings.sound);
            self.overlap = Overlap::new(OverlapRules::new(threshold, Millis(turn.barge_in_ms)));
            self.keypad = Keypad::new(turn.keys_by_sound);
            self.stream_clock = None;
            self.vad.reset();
            // Turns keep their numbers: those of before are on record.
            self.drop_early();
            self.turns = Turns { current: self.turns.current, ..Turns::default() };
        }
        self.step(CallInput::Transfer(news)).await;
        leg
    }
}
