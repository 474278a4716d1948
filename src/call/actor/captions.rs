//! What a caller with a screen reads while speaking: partial transcripts at a low rate, on idle cores only.

use std::time::Duration;

use tokio::time::Instant;

use super::Actor;
use crate::call::input::TurnId;
use crate::call::speech::Decode;
use crate::engine::CancelFlag;
use crate::engine::stt::partial::Agreement;
use crate::engine::stt::{SttError, Transcript};
use crate::telemetry::metric;
use crate::telephony::protocol::Speaker;

/// Speech before the first caption, and from one to the next.
const EVERY: Duration = Duration::from_millis(900);
/// A caption later than this would tell what was said long ago.
const DEADLINE: Duration = Duration::from_millis(1_500);

/// The captions of one utterance.
#[derive(Debug, Default)]
pub(super) struct Captions {
    agreement: Agreement,
    /// Not before.
    due: Option<Instant>,
    /// The decode under way, and how many there were.
    running: Option<CancelFlag>,
    number: u32,
}

impl Captions {
    /// A new utterance begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.stop();
        *self = Self { due: Some(now + EVERY), number: self.number, ..Self::default() };
    }

    /// The caller paused: more sound will not come soon, and a better transcript will.
    pub(super) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.cancel();
        }
    }

    /// Counts a final transcript that takes back what stood.
    pub(super) fn end(&mut self, last: &Transcript) {
        self.stop();
        if !std::mem::take(&mut self.agreement).stands_in(last) {
            metrics::counter!(metric::STT_CORRECTED).increment(1);
        }
    }
}

impl Actor {
    /// Asks for the next caption when it is time. The media path: takes no time itself.
    pub(super) fn caption_so_far(&mut self, now: Instant) {
        let captions = &self.turns.captions;
        if !self.captioned || self.bridged || captions.running.is_some() || captions.due.is_none_or(|due| now < due) {
            return;
        }
        let (Some(stt), None) = (self.services.stt.clone(), &self.turns.early) else { return };
        let Some(audio) = self.detector.so_far() else { return };
        let cancel = CancelFlag::new();
        let work = Decode { deadline: DEADLINE, ..self.decode(&audio, &cancel) };
        let number = self.turns.captions.number.wrapping_add(1);
        self.turns.captions.number = number;
        if self.speech.hear_partial(&stt, work, number) {
            self.turns.captions.running = Some(cancel);
        }
        self.turns.captions.due = Some(now + EVERY);
    }

    pub(super) async fn partial(&mut self, turn: TurnId, number: u32, result: Result<Transcript, SttError>) {
        if turn.0 != self.turns.current || number != self.turns.captions.number {
            return;
        }
        if self.turns.captions.running.take().is_none() {
            return; // stopped meanwhile
        }
        // Refused or cancelled: the next will do.
        let Ok(transcript) = result else { return };
        self.turns.captions.agreement.push(&transcript);
        let text = self.turns.captions.agreement.text();
        self.caption(Speaker::Caller, text, false).await;
    }
}
