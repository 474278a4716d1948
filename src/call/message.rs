//! The voice message a caller leaves: collected, ended by silence or its longest length, put into words afterwards.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::units::{Millis, SampleRate};
use crate::dialog::language::Language;
use crate::engine::CancelFlag;
use crate::engine::stt::Utterance;
use crate::engine::stt::scheduler::{JobKind, SttScheduler};

/// Silence after speech that ends a message.
const SILENCE_AFTER: Millis = Millis(4_000);
/// Silence before any speech that ends it.
const SILENCE_BEFORE: Millis = Millis(8_000);
/// Whisper hears 30 s at once; a message is recognised in pieces of this length.
const PIECE: Millis = Millis(25_000);
/// Nobody waits for the words of a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message being left.
#[derive(Debug)]
pub struct Message {
    pcm: Vec<i16>,
    limit: Millis,
    speech: Millis,
    silence: Millis,
    ended: bool,
}

impl Message {
    /// At most `limit` long, so that it fits in memory: 32 kB a second.
    pub fn new(limit: Millis) -> Self {
        Self { pcm: Vec::new(), limit, speech: Millis::ZERO, silence: Millis::ZERO, ended: false }
    }

    /// Adds a frame, 16 kHz. True once, when the message is over.
    pub fn push(&mut self, pcm: &[i16], voiced: bool) -> bool {
        if std::mem::take(&mut self.ended) {
            return true;
        }
        let span = SampleRate::WIDEBAND.span_of(pcm.len());
        self.pcm.extend_from_slice(pcm);
        if voiced {
            self.speech = self.speech + span;
            self.silence = Millis::ZERO;
        } else {
            self.silence = self.silence + span;
        }
        let patience = if self.speech > Millis::ZERO { SILENCE_AFTER } else { SILENCE_BEFORE };
        self.silence >= patience || SampleRate::WIDEBAND.span_of(self.pcm.len()) >= self.limit
    }

    /// The caller says that it is over; the next frame reports it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Voice in it.
    pub fn speech(&self) -> Millis {
        self.speech
    }

    /// The samples, without the silence that ended it.
    pub fn into_pcm(mut self) -> Vec<i16> {
        let tail = SampleRate::WIDEBAND.samples_in(self.silence.saturating_sub(Millis(500)));
        self.pcm.truncate(self.pcm.len().saturating_sub(tail));
        self.pcm
    }
}

/// The message in words, as far as recognition manages.
pub async fn transcribe(stt: &SttScheduler, pcm: &[i16], hints: Arc<[String]>, language: Language) -> Option<String> {
    let mut words = Vec::new();
    for piece in pcm.chunks(SampleRate::WIDEBAND.samples_in(PIECE)) {
        let utterance =
            Utterance { pcm: piece.into(), at: Millis::ZERO, hints: hints.clone(), spoken: language.into() };
        match stt.transcribe(utterance, JobKind::Background, PATIENCE, &CancelFlag::new()).await {
            Ok(transcript) if !transcript.text.is_empty() => words.push(transcript.text),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "A message could not be put into words");
                return None;
            }
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(message: &mut Message, ms: u32, voiced: bool) -> bool {
        (0..ms / 20).any(|_| message.push(&[0; 320], voiced))
    }

    #[test]
    fn silence_ends_a_message_and_is_cut_off() {
        let mut message = Message::new(Millis(60_000));
        assert!(!feed(&mut message, 3_000, true));
        assert!(!feed(&mut message, 3_900, false));
        assert!(feed(&mut message, 200, false));
        assert_eq!(message.speech(), Millis(3_000));
        assert_eq!(SampleRate::WIDEBAND.span_of(message.into_pcm().len()), Millis(3_500));
    }

    #[test]
    fn length_and_the_hash_key_end_it_too() {
        let mut message = Message::new(Millis(2_000));
        assert!(feed(&mut message, 2_000, true));
        let mut message = Message::new(Millis(60_000));
        feed(&mut message, 1_000, true);
        message.end();
        assert!(message.push(&[0; 320], true));
    }
}
