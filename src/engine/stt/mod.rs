//! Speech to text: one verb, blocking, on the engine's own threads. [`scheduler`] is the async front everybody uses.

pub mod fake;
pub mod guard;
pub mod load;
pub mod partial;
pub mod scheduler;
pub mod trim;
#[cfg(feature = "whisper")]
pub mod whisper;

#[cfg(test)]
mod conformance;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CancelFlag;
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::dialog::language::Language;

/// A recogniser. Blocking; called on a scheduler worker, never on a tokio worker.
pub trait SpeechToText: Send + Sync {
    /// Recognises one utterance with so many `threads`, at least one. Stops at its next step after `cancel` is set, which
    /// may take as long as the encoder needs, and then returns [`SttError::Cancelled`].
    fn transcribe(&self, utterance: &Utterance, threads: usize, cancel: &CancelFlag) -> Result<Transcript, SttError>;
    /// A name for records and metrics, such as `whisper-base`.
    fn name(&self) -> &str;
}

/// Caller speech between the start of voice and the end of turn, 16 kHz mono.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// Samples at [`SampleRate::WIDEBAND`].
    pub pcm: Arc<[i16]>,
    /// Where it lies in the caller's stream.
    pub at: Millis,
    /// Words that are likely here (names, products), most important first.
    pub hints: Arc<[String]>,
    /// What it is in.
    pub spoken: Spoken,
}

/// Which language an utterance is in, as far as that is known.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    /// This one; none: the recogniser's own.
    pub language: Option<Language>,
    /// Perhaps one of these instead: the recogniser is to tell.
    pub candidates: Arc<[Language]>,
}

impl From<Language> for Spoken {
    fn from(language: Language) -> Self {
        Self { language: Some(language), candidates: Arc::default() }
    }
}

/// The language an utterance turned out to be in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    /// The most probable of the candidates.
    pub language: Language,
    /// How probable, among them.
    pub probability: Probability,
    /// Enough to go by. The transcript is in `language` then, else in the language that was expected.
    pub sure: bool,
}

impl Utterance {
    /// How long it lasts.
    pub fn span(&self) -> Millis {
        SampleRate::WIDEBAND.span_of(self.pcm.len())
    }
}

/// One recognised word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// As written, without surrounding space.
    pub text: String,
    /// From the start of the utterance.
    pub start: Millis,
    /// From the start of the utterance.
    pub end: Millis,
    /// Least of the probabilities of its tokens.
    pub probability: Probability,
}

/// What was said, and how sure the recogniser is, as it measured it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The words, joined; empty when nothing was said.
    pub text: String,
    /// Each word with its time and probability.
    pub words: Vec<Word>,
    /// Mean natural logarithm of the token probabilities; 0 is certain, below -1 is doubtful.
    pub avg_logprob: f32,
    /// Probability that there is no speech here at all.
    pub no_speech: Probability,
    /// Length of the text over its compressed length; above 2.4 it repeats itself.
    pub compression_ratio: f32,
    /// Length of the audio.
    pub audio: Millis,
    /// Time the decode took, waiting excluded.
    #[serde(skip)]
    pub decode: Duration,
    /// What it is in, where that was to be told and there was enough speech to tell it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Detected>,
    /// Which guard threw text away or forced another decode, if one did.
    pub guard: Option<String>,
}

impl Transcript {
    /// `exp(avg_logprob)`, lowered by what the no-speech probability exceeds one half: 1 is certain. Zero for an empty
    /// transcript.
    ///
    /// Below one half it tells nothing: single words said clearly reach 0.64.
    pub fn confidence(&self) -> Probability {
        if self.text.is_empty() {
            return Probability::clamped(0.0);
        }
        let doubt = (self.no_speech.get() - 0.5).max(0.0) * 2.0;
        Probability::clamped(self.avg_logprob.exp() * (1.0 - doubt))
    }
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
pub enum SttError {
    /// The model could not be loaded.
    #[error("speech model `{path}` could not be loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the engine said.
        reason: String,
    },
    /// Nobody wants it any more.
    #[error("transcription was cancelled")]
    Cancelled,
    /// It was not done by its deadline.
    #[error("transcription missed its deadline after {0:?}")]
    Deadline(Duration),
    /// More work is waiting than can be done in time.
    #[error("speech queue is full ({0} waiting)")]
    Overloaded(usize),
    /// It matters too little to be done now.
    #[error("{0} transcripts are left out under load")]
    Shed(&'static str),
    /// The engine failed.
    #[error("speech engine failed: {0}")]
    Engine(String),
}
