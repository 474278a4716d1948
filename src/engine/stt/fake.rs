//! A scripted recogniser: tests and the model-free demo say what was said.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{SpeechToText, SttError, Transcript, Utterance, Word};
use crate::audio::units::{Millis, Probability};
use crate::engine::CancelFlag;

/// What the fake does with one utterance.
#[derive(Clone, Debug)]
pub enum Step {
    /// Recognises this; an empty text means that nothing was said.
    Say(String),
    /// Recognises this, as sure of it as the mean log-probability says.
    Unsure(String, f32),
    /// Takes this long first.
    After(Duration, Box<Step>),
    /// Fails.
    Fail(String),
    /// Panics, as a broken engine might.
    Panic,
}

impl Step {
    /// Recognises `text`.
    pub fn say(text: impl Into<String>) -> Self {
        Self::Say(text.into())
    }

    /// The same, `delay` later.
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// Follows its script, a step for each utterance; digital silence is heard as such and takes no step. After the last step
/// it hears nothing.
#[derive(Debug)]
pub struct FakeStt {
    steps: Mutex<VecDeque<Step>>,
    heard: Mutex<Vec<Millis>>,
    sleeps: bool,
}

impl FakeStt {
    /// A recogniser that takes `steps` in order.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: Mutex::new(steps.into_iter().collect()), heard: Mutex::default(), sleeps: true }
    }

    /// A recogniser that hears these sentences, one for each utterance.
    pub fn saying<T: Into<String>>(sentences: impl IntoIterator<Item = T>) -> Self {
        Self::new(sentences.into_iter().map(Step::say))
    }

    /// Delays are only stated in [`Transcript::decode`] and not slept: for simulated time.
    pub fn without_sleeping(self) -> Self {
        Self { sleeps: false, ..self }
    }

    /// Adds a step to the end of the script.
    pub fn push(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
    }

    /// How long each utterance was that took a step, in order.
    pub fn heard(&self) -> Vec<Millis> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn act(&self, step: Step, utterance: &Utterance, cancel: &CancelFlag) -> Result<Transcript, SttError> {
        match step {
            Step::Say(text) => Ok(transcript(&text, -0.1, utterance.span())),
            Step::Unsure(text, avg_logprob) => Ok(transcript(&text, avg_logprob, utterance.span())),
            Step::Fail(reason) => Err(SttError::Engine(reason)),
            Step::Panic => panic!("scripted panic"),
            Step::After(delay, step) => {
                let tick = Duration::from_millis(1);
                let mut left = if self.sleeps { delay } else { Duration::ZERO };
                while !left.is_zero() && !cancel.is_cancelled() {
                    std::thread::sleep(tick.min(left));
                    left = left.saturating_sub(tick);
                }
                if cancel.is_cancelled() {
                    return Err(SttError::Cancelled);
                }
                let transcript = self.act(*step, utterance, cancel)?;
                Ok(Transcript { decode: transcript.decode + delay, ..transcript })
            }
        }
    }
}

impl SpeechToText for FakeStt {
    fn transcribe(&self, utterance: &Utterance, _: usize, cancel: &CancelFlag) -> Result<Transcript, SttError> {
        if cancel.is_cancelled() {
            return Err(SttError::Cancelled);
        }
        if utterance.pcm.iter().all(|sample| *sample == 0) {
            return Ok(transcript("", 0.0, utterance.span()));
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(utterance.span());
        let step = self.steps.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.act(step.unwrap_or_else(|| Step::say("")), utterance, cancel)
    }

    fn name(&self) -> &str {
        "fake"
    }
}

/// What a recogniser gives that heard `text`, its words spread evenly over `audio`, as sure as `avg_logprob` says.
pub fn transcript(text: &str, avg_logprob: f32, audio: Millis) -> Transcript {
    let count = text.split_whitespace().count().max(1) as u32;
    let at = |index: u32| Millis((u64::from(audio.0) * u64::from(index) / u64::from(count)) as u32);
    let words = text.split_whitespace().zip(0..).map(|(word, index)| Word {
        text: word.to_owned(),
        start: at(index),
        end: at(index + 1),
        probability: Probability::clamped(avg_logprob.exp()),
    });
    Transcript {
        words: words.collect(),
        avg_logprob,
        no_speech: Probability::clamped(if text.is_empty() { 1.0 } else { 0.0 }),
        compression_ratio: super::guard::compression_ratio(text),
        audio,
        text: text.to_owned(),
        ..Transcript::default()
    }
}
