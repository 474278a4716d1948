//! A provider's codec between the line's 16 kHz and the socket.

use crate::audio::codec::{Decoder, Encoder, Format};
use crate::audio::resample::Resampler;
use crate::cli::call::CallError;
use crate::cli::call::line::RATE;

/// Both directions of one stream's audio. Each has its own codec.
pub(super) struct Voice {
    down: Resampler,
    up: Resampler,
    encoder: Encoder,
    decoder: Decoder,
}

impl Voice {
    /// The caller's side goes out as `spoken`, the server's comes in as `heard`.
    pub(super) fn new(spoken: Format, heard: Format) -> Result<Self, CallError> {
        let unusable = |format: Format| CallError::Format { format: format.to_string() };
        Ok(Self {
            down: Resampler::new(RATE, spoken.rate).map_err(|_| unusable(spoken))?,
            up: Resampler::new(heard.rate, RATE).map_err(|_| unusable(heard))?,
            encoder: spoken.encoder().map_err(|_| unusable(spoken))?,
            decoder: heard.decoder().map_err(|_| unusable(heard))?,
        })
    }

    /// 20 ms of the line as the provider sends it.
    pub(super) fn code(&mut self, pcm: &[i16]) -> Vec<u8> {
        let (mut own, mut coded) = (Vec::new(), Vec::new());
        self.down.push(pcm, &mut own);
        // G.722 takes pairs; at 16 kHz nothing is resampled, so frames are even.
        let _ = self.encoder.encode(&own, &mut coded);
        coded
    }

    /// What the server sent, for the line; nothing when it can't be decoded.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Option<Vec<i16>> {
        let (mut own, mut pcm) = (Vec::new(), Vec::new());
        self.decoder.decode(bytes, &mut own).ok()?;
        self.up.push(&own, &mut pcm);
        Some(pcm)
    }

    /// Forgets what is left of audio that was thrown away.
    pub(super) fn clear(&mut self) {
        self.up.flush(&mut Vec::new());
    }
}
