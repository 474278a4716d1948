//! A frame: a short span of mono PCM and its place in the stream.

use std::sync::Arc;

use super::units::{Millis, SampleRate};

/// Mono linear PCM, normally 20 ms of it, shared cheaply by whoever listens.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrame {
    /// Where the first sample lies, since the start of this leg's stream. A gap between frames is visible here.
    pub at: Millis,
    /// Rate of `pcm`.
    pub rate: SampleRate,
    /// Samples, signed 16 bit, one channel.
    pub pcm: Arc<[i16]>,
}

impl AudioFrame {
    /// A frame at `at` holding `pcm` at `rate`.
    pub fn new(at: Millis, rate: SampleRate, pcm: impl Into<Arc<[i16]>>) -> Self {
        Self { at, rate, pcm: pcm.into() }
    }

    /// 20 ms of digital silence at `rate`.
    pub fn silence(at: Millis, rate: SampleRate) -> Self {
        Self::new(at, rate, vec![0; rate.samples_in(Millis::FRAME)])
    }

    /// How long the frame lasts.
    pub fn span(&self) -> Millis {
        self.rate.span_of(self.pcm.len())
    }
}
