//! Audio coding as streams: whatever a provider sends becomes linear PCM and back. PURE.
//!
//! G.711 and linear PCM have no memory; G.722 and Opus do, so each direction of a stream has one [`Decoder`] or
//! [`Encoder`] for its whole life. Opus needs the feature `opus`; without it [`Format::decoder`] says so.

use std::fmt;

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

use super::g711::{self, ALAW_SILENCE, ULAW_SILENCE};
#[cfg(feature = "opus")]
use super::units::Millis;
use super::units::SampleRate;

/// How samples are written down. Mono, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law: one byte a sample, 8 kHz.
    Pcmu,
    /// G.711 A-law: one byte a sample, 8 kHz.
    Pcma,
    /// Linear, 16 bit, little-endian.
    L16Le,
    /// Linear, 16 bit, big-endian, as RTP has it.
    L16Be,
    /// G.722 at 64 kbit/s: one byte for two samples of 16 kHz.
    G722,
    /// Opus: one packet a message.
    Opus,
}

/// A codec and the rate of the samples it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// How samples are coded.
    pub codec: Codec,
    /// Samples a second, decoded.
    pub rate: SampleRate,
}

/// Why audio could not be decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not a whole number of samples or frames.
    #[error("audio of {got} bytes or samples, expected a multiple of {unit}")]
    FrameSize {
        /// What came.
        got: usize,
        /// One sample or frame.
        unit: usize,
    },
    /// The packet is damaged.
    #[error("damaged audio packet")]
    Damaged,
    /// The codec does not know this rate, or is not part of this build.
    #[error("{0} is not available here")]
    Unavailable(Format),
}

impl Codec {
    /// The codec a provider means by `name`: a MIME type or a plain name, in any case, parameters after `;` aside.
    /// `linear` is the byte order its linear PCM has.
    pub fn named(name: &str, linear: Self) -> Option<Self> {
        let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let bare = name.rsplit('/').next().unwrap_or_default();
        Some(match bare.trim_start_matches("x-") {
            "mulaw" | "mu-law" | "ulaw" | "pcmu" | "basic" => Self::Pcmu,
            "alaw" | "a-law" | "pcma" => Self::Pcma,
            "l16" | "lpcm16" | "slin" | "slin16" | "slin24" | "raw" | "pcm" | "linear16" => linear,
            "g722" => Self::G722,
            "opus" => Self::Opus,
            _ => return None,
        })
    }

    /// Bytes of one 20 ms frame at `rate`; `None` where packets vary.
    pub const fn frame_bytes(self, rate: SampleRate) -> Option<usize> {
        let samples = rate.samples_in(super::units::Millis::FRAME);
        match self {
            Self::Pcmu | Self::Pcma => Some(samples),
            Self::L16Le | Self::L16Be => Some(2 * samples),
            Self::G722 => Some(samples / 2),
            Self::Opus => None,
        }
    }

    /// What fills a frame up: the code of silence. G.722 and Opus have none that holds by itself.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => ULAW_SILENCE,
            Self::Pcma => ALAW_SILENCE,
            Self::L16Le | Self::L16Be | Self::G722 | Self::Opus => 0,
        }
    }
}

impl Format {
    /// G.711 µ-law at 8 kHz, the telephone of most providers.
    pub const PCMU_8K: Self = Self { codec: Codec::Pcmu, rate: SampleRate::NARROWBAND };

    /// A decoder for one stream.
    pub fn decoder(self) -> Result<Decoder, CodecError> {
        Ok(Decoder(match self.codec {
            Codec::Pcmu | Codec::Pcma if self.rate != SampleRate::NARROWBAND => {
                return Err(CodecError::Unavailable(self));
            }
            Codec::Pcmu => Decoding::Pcmu,
            Codec::Pcma => Decoding::Pcma,
            Codec::L16Le => Decoding::L16(i16::from_le_bytes),
            Codec::L16Be => Decoding::L16(i16::from_be_bytes),
            Codec::G722 if self.rate == SampleRate::WIDEBAND => Decoding::G722(Box::default()),
            #[cfg(feature = "opus")]
            Codec::Opus => {
                let decoder = opus::Decoder::new(self.rate.0, opus::Channels::Mono);
                Decoding::Opus(decoder.map_err(|_| CodecError::Unavailable(self))?, self.rate)
            }
            #[cfg(not(feature = "opus"))]
            Codec::Opus => return Err(CodecError::Unavailable(self)),
            Codec::G722 => return Err(CodecError::Unavailable(self)),
        }))
    }

    /// An encoder for one stream.
    pub fn encoder(self) -> Result<Encoder, CodecError> {
        Ok(Encoder(match self.codec {
            Codec::Pcmu | Codec::Pcma if self.rate != SampleRate::NARROWBAND => {
                return Err(CodecError::Unavailable(self));
            }
            Codec::Pcmu => Encoding::Pcmu,
            Codec::Pcma => Encoding::Pcma,
            Codec::L16Le => Encoding::L16(i16::to_le_bytes),
            Codec::L16Be => Encoding::L16(i16::to_be_bytes),
            Codec::G722 if self.rate == SampleRate::WIDEBAND => Encoding::G722(Box::default()),
            #[cfg(feature = "opus")]
            Codec::Opus => {
                let encoder = opus::Encoder::new(self.rate.0, opus::Channels::Mono, opus::Application::Voip);
                Encoding::Opus(encoder.map_err(|_| CodecError::Unavailable(self))?, self.rate)
            }
            #[cfg(not(feature = "opus"))]
            Codec::Opus => return Err(CodecError::Unavailable(self)),
            Codec::G722 => return Err(CodecError::Unavailable(self)),
        }))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            Codec::Pcmu => "µ-law",
            Codec::Pcma => "A-law",
            Codec::L16Le => "PCM",
            Codec::L16Be => "PCM (big-endian)",
            Codec::G722 => "G.722",
            Codec::Opus => "Opus",
        };
        write!(f, "{codec} {} kHz", f64::from(self.rate.0) / 1_000.0)
    }
}

/// One direction of a stream, from bytes to samples.
pub struct Decoder(Decoding);

enum Decoding {
    Pcmu,
    Pcma,
    L16(fn([u8; 2]) -> i16),
    G722(Box<G722Decoder>),
    #[cfg(feature = "opus")]
    Opus(opus::Decoder, SampleRate),
}

impl Decoder {
    /// Appends the samples of `bytes` to `pcm`. Nothing is appended on an error.
    pub fn decode(&mut self, bytes: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        match &mut self.0 {
            Decoding::Pcmu => g711::decode_ulaw(bytes, pcm),
            Decoding::Pcma => g711::decode_alaw(bytes, pcm),
            Decoding::L16(from_bytes) => {
                let (pairs, rest) = bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(CodecError::FrameSize { got: bytes.len(), unit: 2 });
                }
                pcm.extend(pairs.iter().map(|pair| from_bytes(*pair)));
            }
            Decoding::G722(decoder) => pcm.extend(decoder.decode(bytes)),
            #[cfg(feature = "opus")]
            Decoding::Opus(decoder, rate) => {
                let before = pcm.len();
                pcm.resize(before + rate.samples_in(OPUS_LONGEST), 0);
                match decoder.decode(bytes, &mut pcm[before..], false) {
                    Ok(samples) => pcm.truncate(before + samples),
                    Err(_) => {
                        pcm.truncate(before);
                        return Err(CodecError::Damaged);
                    }
                }
            }
        }
        Ok(())
    }
}

/// One direction of a stream, from samples to bytes.
pub struct Encoder(Encoding);

enum Encoding {
    Pcmu,
    Pcma,
    L16(fn(i16) -> [u8; 2]),
    G722(Box<G722Encoder>),
    #[cfg(feature = "opus")]
    Opus(opus::Encoder, SampleRate),
}

impl Encoder {
    /// Appends the code of `pcm` to `bytes`. G.722 takes an even number of samples, Opus 20 ms at a time.
    pub fn encode(&mut self, pcm: &[i16], bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        match &mut self.0 {
            Encoding::Pcmu => g711::encode_ulaw(pcm, bytes),
            Encoding::Pcma => g711::encode_alaw(pcm, bytes),
            Encoding::L16(to_bytes) => bytes.extend(pcm.iter().flat_map(|&sample| to_bytes(sample))),
            Encoding::G722(_) if !pcm.len().is_multiple_of(2) => {
                return Err(CodecError::FrameSize { got: pcm.len(), unit: 2 });
            }
            Encoding::G722(encoder) => bytes.extend(encoder.encode(pcm)),
            #[cfg(feature = "opus")]
            Encoding::Opus(encoder, rate) => {
                let unit = rate.samples_in(Millis::FRAME);
                if pcm.len() != unit {
                    return Err(CodecError::FrameSize { got: pcm.len(), unit });
                }
                bytes.extend(encoder.encode_vec(pcm, OPUS_LARGEST).map_err(|_| CodecError::Damaged)?);
            }
        }
        Ok(())
    }
}

/// The longest packet Opus has.
#[cfg(feature = "opus")]
const OPUS_LONGEST: Millis = Millis(120);
/// The largest packet Opus recommends room for.
#[cfg(feature = "opus")]
const OPUS_LARGEST: usize = 4_000;

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const fn format(codec: Codec, rate: u32) -> Format {
        Format { codec, rate: SampleRate(rate) }
    }

    fn round_trip(format: Format, pcm: &[i16]) -> Vec<i16> {
        let (mut encoder, mut decoder) = (format.encoder().expect("available"), format.decoder().expect("available"));
        let mut back = Vec::new();
        for frame in pcm.chunks(format.rate.samples_in(crate::audio::units::Millis::FRAME)) {
            let mut bytes = Vec::new();
            encoder.encode(frame, &mut bytes).expect("whole frames");
            if let Some(size) = format.codec.frame_bytes(format.rate) {
                assert_eq!(bytes.len(), size, "{format}");
            }
            decoder.decode(&bytes, &mut back).expect("its own code");
        }
        back
    }

    /// Two tones within the telephone's band, one second.
    fn tones(rate: u32) -> Vec<i16> {
        let one = |n: f64, hz: f64| (n * hz * std::f64::consts::TAU / f64::from(rate)).sin();
        (0..rate).map(|n| (4_000.0 * (one(n.into(), 437.0) + one(n.into(), 1_313.0))) as i16).collect()
    }

    /// Signal to noise in dB, at the delay that fits best: filter banks answer late.
    fn snr_db(sent: &[i16], back: &[i16]) -> f64 {
        let at = |delay: usize| {
            let pairs =
                || sent.iter().zip(&back[delay..]).skip(sent.len() / 10).map(|(&a, &b)| (f64::from(a), f64::from(b)));
            let signal: f64 = pairs().map(|(a, _)| a * a).sum();
            let noise: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
            10.0 * (signal / noise.max(1.0)).log10()
        };
        (0..200).map(at).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Measured once and kept: a codec that gets worse by half a decibel fails.
    #[test]
    fn round_trips_keep_the_quality_they_had() {
        let measure = |codec, rate| {
            let format = format(codec, rate);
            let pcm = tones(rate);
            snr_db(&pcm, &round_trip(format, &pcm))
        };
        let measured = [(Codec::Pcmu, 8_000), (Codec::Pcma, 8_000), (Codec::G722, 16_000)]
            .map(|(codec, rate)| measure(codec, rate));
        let stored = [38.3, 38.2, 41.5];
        let close = measured.iter().zip(stored).all(|(measured, stored)| (measured - stored).abs() < 0.5);
        assert!(close, "µ-law, A-law, G.722: {measured:.2?} dB, stored {stored:?}");
        for codec in [Codec::L16Le, Codec::L16Be] {
            for rate in [8_000, 16_000, 24_000] {
                let pcm = tones(rate);
                assert_eq!(round_trip(format(codec, rate), &pcm), pcm);
            }
        }
    }

    /// The file is what libg722 makes of the first 100 ms of [`tones`]. It hears its own code at 39.6 dB, filters settling
    /// included, and we hear it at 30.9 dB: the decoders round differently.
    #[test]
    fn another_implementations_g722_is_understood() {
        let coded = include_bytes!("../../tests/fixtures/codec/g722-tones.bin");
        let mut back = Vec::new();
        format(Codec::G722, 16_000).decoder().expect("available").decode(coded, &mut back).expect("any bytes");
        back.resize(back.len() + 200, 0);
        let db = snr_db(&tones(16_000)[..1_500], &back);
        assert!((db - 30.9).abs() < 0.5, "{db:.2} dB, stored 30.9");
    }

    #[cfg(feature = "opus")]
    #[test]
    fn opus_keeps_speech_at_every_rate() {
        for rate in [8_000, 16_000, 24_000, 48_000] {
            let pcm = tones(rate);
            let back = round_trip(format(Codec::Opus, rate), &pcm);
            assert_eq!(back.len(), pcm.len());
            // Opus does not keep the waveform; loudness it must.
            let level = |pcm: &[i16]| crate::audio::mix::level_dbfs(&pcm[pcm.len() / 2..]);
            assert!((level(&pcm) - level(&back)).abs() < 1.0, "{rate}: {} and {}", level(&pcm), level(&back));
        }
        let mut decoder = format(Codec::Opus, 16_000).decoder().expect("available");
        assert_eq!(decoder.decode(&[0xff; 3], &mut Vec::new()), Err(CodecError::Damaged));
    }

    #[test]
    fn byte_orders_are_each_others_mirror() {
        let mut bytes = Vec::new();
        format(Codec::L16Be, 8_000).encoder().expect("available").encode(&[0x0102], &mut bytes).expect("fine");
        assert_eq!(bytes, [1, 2]);
        let mut pcm = vec![7];
        let mut decoder = format(Codec::L16Le, 8_000).decoder().expect("available");
        decoder.decode(&bytes, &mut pcm).expect("fine");
        assert_eq!(pcm, [7, 0x0201], "appended");
        assert_eq!(decoder.decode(&[1, 2, 3], &mut pcm), Err(CodecError::FrameSize { got: 3, unit: 2 }));
        assert_eq!(pcm.len(), 2, "nothing of a bad message");
    }

    #[test]
    fn what_is_not_there_says_so() {
        for unknown in [format(Codec::Pcmu, 16_000), format(Codec::G722, 8_000), format(Codec::Opus, 11_025)] {
            assert_eq!(unknown.decoder().err(), Some(CodecError::Unavailable(unknown)));
            assert_eq!(unknown.encoder().err(), Some(CodecError::Unavailable(unknown)));
        }
    }

    #[test]
    fn names_are_those_providers_use() {
        let named = |name| Codec::named(name, Codec::L16Be);
        for name in ["audio/x-mulaw", "PCMU", "audio/PCMU", "raw/mulaw", "ulaw", "audio/x-mulaw;rate=8000"] {
            assert_eq!(named(name), Some(Codec::Pcmu), "{name}");
        }
        for name in ["audio/x-L16", "audio/l16;rate=16000", "raw/slin", "L16", "raw/lpcm16", "audio/x-raw"] {
            assert_eq!(named(name), Some(Codec::L16Be), "{name}");
        }
        assert_eq!(
            (named("alaw"), named("G722"), named("OPUS")),
            (Some(Codec::Pcma), Some(Codec::G722), Some(Codec::Opus))
        );
        assert_eq!((named("AMR-WB"), named("")), (None, None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(messages in vec(vec(any::<u8>(), 0..700), 1..20)) {
            for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16Le, Codec::L16Be, Codec::G722, Codec::Opus] {
                let rate = if matches!(codec, Codec::Pcmu | Codec::Pcma) { 8_000 } else { 16_000 };
                let Ok(mut decoder) = format(codec, rate).decoder() else { continue };
                let mut pcm = Vec::new();
                for message in &messages {
                    let _ = decoder.decode(message, &mut pcm);
                }
            }
        }

        #[test]
        fn arbitrary_samples_never_panic(pcm in vec(any::<i16>(), 0..2_000)) {
            for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16Le, Codec::L16Be, Codec::G722] {
                let rate = if codec == Codec::G722 { 16_000 } else { 8_000 };
                let mut encoder = format(codec, rate).encoder().expect("available");
                let _ = encoder.encode(&pcm, &mut Vec::new());
            }
        }
    }
}
