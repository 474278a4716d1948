//! Voice activity: is the caller making speech in this frame?

pub mod energy;
pub mod fake;
#[cfg(feature = "onnx")]
pub mod silero;

#[cfg(test)]
pub(crate) mod conformance;

use crate::audio::units::Probability;

/// One caller's voice detector: it carries state from frame to frame, so each call has its own.
pub trait VoiceActivity: Send {
    /// Takes the next 20 ms (320 samples, 16 kHz) and gives the newest probability that the caller speaks.
    ///
    /// Detectors work on windows of their own size; between windows the last value is repeated.
    fn push(&mut self, pcm: &[i16]) -> Result<Probability, VadError>;
    /// Forgets all it heard.
    fn reset(&mut self);
}

/// Makes a detector for each call from one loaded model.
pub trait VadFactory: Send + Sync {
    /// A fresh detector.
    fn open(&self) -> Result<Box<dyn VoiceActivity>, VadError>;
}

/// Why voice activity could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum VadError {
    /// The model could not be loaded.
    #[error("voice activity model `{path}` could not be loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the runtime said.
        reason: String,
    },
    /// The model failed on a frame.
    #[error("voice activity model failed: {0}")]
    Run(String),
}
