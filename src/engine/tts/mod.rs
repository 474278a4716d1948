//! Text to speech: one verb, blocking, in chunks, so that the first sound leaves before the sentence is made.
//!
//! ```text
//! Voice (cache, threads, CPU budget) ─▶ dyn TextToSpeech ── Piper (feature `onnx`) │ ProgramVoice │ FakeVoice
//! ```
//! [`voice::Voice`] is the async front everybody uses. What it is given is already speakable text; see
//! `dialog::speakable`.

pub mod cache;
#[cfg(test)]
mod conformance;
pub mod fake;
#[cfg(all(test, feature = "onnx"))]
mod measure;
#[cfg(feature = "onnx")]
mod onnx_split;
#[cfg(feature = "onnx")]
pub mod phonemes;
#[cfg(feature = "onnx")]
pub mod piper;
#[cfg(feature = "onnx")]
mod piper_config;
pub mod program;
mod shape;
pub mod voice;

use std::ops::ControlFlow;

use super::CancelFlag;

/// A voice. Blocking; called on an engine thread, never on a tokio worker.
pub trait TextToSpeech: Send + Sync {
    /// Speaks `text` (one sentence or clause, already made speakable) into `sink`, 16 kHz mono, in chunks of any size.
    ///
    /// Stops when `sink` breaks or `cancel` is set.
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError>;
    /// A name for records and cache keys: it changes whenever the sound does.
    fn name(&self) -> &str;
}

/// Why there is no voice.
#[derive(Debug, thiserror::Error)]
pub enum TtsError {
    /// The voice could not be loaded.
    #[error("voice `{path}` could not be loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the engine said.
        reason: String,
    },
    /// Nobody wants it any more.
    #[error("speech synthesis was cancelled")]
    Cancelled,
    /// No worker could begin in time.
    #[error("speech synthesis is overloaded")]
    Overloaded,
    /// The engine failed.
    #[error("voice engine failed: {0}")]
    Engine(String),
}
