//! Which way round 16-bit samples are written, where a provider does not say. PURE.
//!
//! Speech and line noise move little from one sample to the next; read the wrong way round, they jump all over. So both
//! readings are measured until a second of sound was heard, and the calmer one is right.

use serde::{Deserialize, Serialize};

/// Byte order of linear PCM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByteOrder {
    /// As the audio tells.
    #[default]
    Auto,
    /// Network order, as RTP has it.
    Big,
    /// As most machines have it.
    Little,
}

/// Listens to a stream until its byte order is clear.
#[derive(Clone, Debug)]
pub struct OrderGuess {
    best: ByteOrder,
    big: u64,
    little: u64,
    samples: usize,
    enough: usize,
}

impl OrderGuess {
    /// Begins with `first` for a stream of `rate` samples a second.
    pub const fn new(first: ByteOrder, rate: super::units::SampleRate) -> Self {
        Self { best: first, big: 0, little: 0, samples: 0, enough: rate.0 as usize }
    }

    /// Takes more of the stream and says which order it is in, as far as can be told.
    pub fn listen(&mut self, bytes: &[u8]) -> ByteOrder {
        let (pairs, _) = bytes.as_chunks::<2>();
        // Digital silence reads the same both ways.
        if self.samples >= self.enough || pairs.iter().all(|pair| *pair == [0, 0]) {
            return self.best;
        }
        let jumps = |read: fn([u8; 2]) -> i16| -> u64 {
            pairs.windows(2).map(|two| u64::from(read(two[1]).abs_diff(read(two[0])))).sum()
        };
        self.big += jumps(i16::from_be_bytes);
        self.little += jumps(i16::from_le_bytes);
        self.samples += pairs.len();
        match self.big.cmp(&self.little) {
            std::cmp::Ordering::Less => self.best = ByteOrder::Big,
            std::cmp::Ordering::Greater => self.best = ByteOrder::Little,
            std::cmp::Ordering::Equal => {}
        }
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::units::SampleRate;

    fn speech(amplitude: f64) -> Vec<i16> {
        (0..160).map(|n| (amplitude * (f64::from(n) * 0.21).sin()) as i16).collect()
    }

    #[test]
    fn the_first_frame_of_sound_tells() {
        for (write, order) in
            [(i16::to_be_bytes as fn(i16) -> [u8; 2], ByteOrder::Big), (i16::to_le_bytes, ByteOrder::Little)]
        {
            for amplitude in [8.0, 300.0, 20_000.0] {
                let bytes: Vec<u8> = speech(amplitude).into_iter().flat_map(write).collect();
                for first in [ByteOrder::Big, ByteOrder::Little] {
                    let mut guess = OrderGuess::new(first, SampleRate::NARROWBAND);
                    assert_eq!(guess.listen(&[0; 320]), first, "silence says nothing");
                    assert_eq!(guess.listen(&bytes), order, "{order:?} at {amplitude}");
                }
            }
        }
    }

    #[test]
    fn after_a_second_the_matter_is_settled() {
        let mut guess = OrderGuess::new(ByteOrder::Little, SampleRate::NARROWBAND);
        let big: Vec<u8> = speech(3_000.0).into_iter().flat_map(i16::to_be_bytes).collect();
        let little: Vec<u8> = speech(30_000.0).into_iter().flat_map(i16::to_le_bytes).collect();
        let heard = |guess: &mut OrderGuess, bytes: &[u8], times| (0..times).map(|_| guess.listen(bytes)).last();
        assert_eq!(heard(&mut guess, &big, 50), Some(ByteOrder::Big));
        assert_eq!(heard(&mut guess, &little, 500), Some(ByteOrder::Big));
    }
}
