//! A voice for tests: a tone, 60 ms for every character, the same every time; failures and slowness on request.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{TextToSpeech, TtsError};
use crate::audio::units::{Millis, SampleRate};
use crate::engine::CancelFlag;

/// Sound for each character of the text.
pub const PER_CHARACTER: Millis = Millis(60);
/// Length of a chunk.
pub const CHUNK: Millis = Millis(200);

/// What the next reading does other than speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FakeStep {
    /// Nothing: it speaks.
    Speak,
    /// Fails before the first sound.
    Fail(String),
    /// Fails after this many chunks.
    FailAfter(usize, String),
    /// Waits before the first sound and before each chunk; real time, in steps of a millisecond, cancellable.
    Slow(Duration),
}

/// The voice.
#[derive(Debug, Default)]
pub struct FakeVoice {
    steps: Mutex<VecDeque<FakeStep>>,
    spoken: Mutex<Vec<String>>,
}

impl FakeVoice {
    /// A voice that always speaks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A voice whose readings take these steps in turn, and speak after the last.
    pub fn scripted(steps: impl IntoIterator<Item = FakeStep>) -> Self {
        Self { steps: Mutex::new(steps.into_iter().collect()), spoken: Mutex::default() }
    }

    /// Every text it was asked to read, in order.
    pub fn spoken(&self) -> Vec<String> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exactly what it says for `text`: a tone whose pitch depends on the text, at the usual loudness of speech.
    pub fn sound_of(text: &str) -> Vec<i16> {
        if !text.chars().any(char::is_alphanumeric) {
            return Vec::new();
        }
        let span = Millis(PER_CHARACTER.0 * u32::try_from(text.chars().count()).unwrap_or(u32::MAX / PER_CHARACTER.0));
        let pitch = 300 + text.bytes().fold(0u32, |sum, byte| (sum * 31 + u32::from(byte)) % 700);
        let step = TAU * pitch as f32 / SampleRate::WIDEBAND.0 as f32;
        let samples = SampleRate::WIDEBAND.samples_in(span);
        (0..samples).map(|n| (4_600.0 * (step * n as f32).sin()) as i16).collect()
    }
}

impl TextToSpeech for FakeVoice {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        let step = self.steps.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (fails_after, delay) = match step.unwrap_or(FakeStep::Speak) {
            FakeStep::Speak => (None, Duration::ZERO),
            FakeStep::Fail(reason) => (Some((0, reason)), Duration::ZERO),
            FakeStep::FailAfter(chunks, reason) => (Some((chunks, reason)), Duration::ZERO),
            FakeStep::Slow(delay) => (None, delay),
        };
        let sound = Self::sound_of(text);
        let mut chunks = sound.chunks(SampleRate::WIDEBAND.samples_in(CHUNK));
        let mut given = 0;
        loop {
            for _ in 0..delay.as_millis() {
                if cancel.is_cancelled() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if cancel.is_cancelled() {
                return Err(TtsError::Cancelled);
            }
            if let Some((after, reason)) = &fails_after
                && given >= *after
            {
                return Err(TtsError::Engine(reason.clone()));
            }
            match chunks.next() {
                Some(chunk) if sink(chunk).is_continue() => given += 1,
                _ => return Ok(()),
            }
        }
    }

    fn name(&self) -> &str {
        "fake"
    }
}
