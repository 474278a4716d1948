//! A scripted voice detector: tests and the model-free demo say when there is voice.

use std::sync::Arc;

use super::{VadError, VadFactory, VoiceActivity};
use crate::audio::units::{Millis, Probability};

/// Where the probabilities come from.
#[derive(Clone, Debug)]
enum Script {
    /// One value a frame; silence after the last.
    Values(Arc<[Probability]>),
    /// Voice wherever a frame's loudest sample reaches this.
    Loudness(u16),
    /// Fails on every frame.
    Broken,
}

/// Opens detectors that all follow one script.
#[derive(Clone, Debug)]
pub struct FakeVad(Script);

impl FakeVad {
    /// `values`, one for each 20 ms frame; silence after the last.
    pub fn scripted(values: impl IntoIterator<Item = f32>) -> Self {
        Self(Script::Values(values.into_iter().map(Probability::clamped).collect()))
    }

    /// Spans of `(length, is voice)`, one after the other; silence after the last.
    pub fn spans(spans: &[(Millis, bool)]) -> Self {
        Self::scripted(spans.iter().flat_map(|(span, voice)| {
            std::iter::repeat_n(if *voice { 1.0 } else { 0.0 }, (span.0 / Millis::FRAME.0) as usize)
        }))
    }

    /// Follows the sound itself: voice in every frame whose loudest sample is `peak` or more.
    pub fn loudness(peak: u16) -> Self {
        Self(Script::Loudness(peak))
    }

    /// Fails on every frame.
    pub fn broken() -> Self {
        Self(Script::Broken)
    }
}

impl VadFactory for FakeVad {
    fn open(&self) -> Result<Box<dyn VoiceActivity>, VadError> {
        Ok(Box::new(FakeDetector { script: self.0.clone(), frame: 0 }))
    }
}

struct FakeDetector {
    script: Script,
    frame: usize,
}

impl VoiceActivity for FakeDetector {
    fn push(&mut self, pcm: &[i16]) -> Result<Probability, VadError> {
        let frame = self.frame;
        self.frame += 1;
        match &self.script {
            Script::Values(values) => Ok(values.get(frame).copied().unwrap_or_default()),
            Script::Loudness(peak) => {
                let loud = pcm.iter().any(|sample| sample.unsigned_abs() >= *peak);
                Ok(Probability::clamped(if loud { 1.0 } else { 0.0 }))
            }
            Script::Broken => Err(VadError::Run("scripted failure".to_owned())),
        }
    }

    fn reset(&mut self) {
        self.frame = 0;
    }
}
