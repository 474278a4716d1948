//! What is done to a caller's sound before anything listens to it: noise taken out, quiet voices made louder. Media path:
//! nothing waits.
//!
//! ```text
//! heard, without echo ─▶ noise suppressor (optional) ─▶ gain ─▶ voice detector, turns, recogniser
//! ```
//! People who are put through, recordings and the keypad get the sound as it came. So does [`super::overlap`], whose levels
//! are the line's.

use sonora_ns::config::{NS_FRAME_SIZE, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::gain::Gain;
use crate::audio::units::Probability;
use crate::config::{SoundConfig, Suppression};

/// Follows one caller's line.
pub struct Cleaner {
    suppressor: Option<Box<NoiseSuppressor>>,
    gain: Option<Gain>,
}

impl Cleaner {
    /// Does what `config` asks for.
    pub fn new(config: &SoundConfig) -> Self {
        let level = match config.noise_suppression {
            Suppression::Off => None,
            Suppression::Low => Some(SuppressionLevel::K6dB),
            Suppression::Moderate => Some(SuppressionLevel::K12dB),
            Suppression::High => Some(SuppressionLevel::K18dB),
        };
        Self {
            suppressor: level.map(|level| Box::new(NoiseSuppressor::with_level(level))),
            gain: config.gain.then(Gain::default),
        }
    }

    /// The next samples of the caller's line, 16 kHz, as they are to be listened to. None: as they are.
    pub fn clean(&mut self, pcm: &[i16]) -> Option<Vec<i16>> {
        let mut cleaned = self.suppressor.as_mut().map(|suppressor| without_noise(suppressor, pcm));
        if let Some(gain) = &mut self.gain
            && gain.raises(cleaned.as_deref().unwrap_or(pcm))
        {
            gain.apply(cleaned.get_or_insert_with(|| pcm.to_vec()));
        }
        cleaned
    }

    /// How probably that was the caller's voice.
    pub fn learn(&mut self, voice: Probability) {
        if let Some(gain) = &mut self.gain {
            gain.learn(voice);
        }
    }
}

/// 6 ms later, as the suppressor's windows overlap.
fn without_noise(suppressor: &mut NoiseSuppressor, pcm: &[i16]) -> Vec<i16> {
    let mut cleaned = pcm.to_vec();
    let (steps, _) = cleaned.as_chunks_mut::<NS_FRAME_SIZE>();
    for step in steps {
        let mut samples = step.map(f32::from);
        suppressor.analyze(&samples);
        suppressor.process(&mut samples);
        *step = samples.map(|sample| sample as i16); // `as` saturates
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::mix::level_dbfs;

    fn noise(ms: usize) -> Vec<i16> {
        let mut dice = 7_u32;
        (0..ms * 16)
            .map(|_| {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((dice >> 16) as i32 - 32_768) as i16 / 64
            })
            .collect()
    }

    fn through(config: &SoundConfig, pcm: &[i16]) -> Vec<i16> {
        let mut cleaner = Cleaner::new(config);
        pcm.chunks(320).flat_map(|frame| cleaner.clean(frame).unwrap_or_else(|| frame.to_vec())).collect()
    }

    #[test]
    fn what_is_off_changes_nothing() {
        let off = SoundConfig { gain: false, noise_suppression: Suppression::Off };
        assert_eq!(Cleaner::new(&off).clean(&noise(20)), None);
    }

    #[test]
    fn steady_noise_is_taken_out_as_far_as_is_asked_and_a_tone_in_it_stays() {
        let mut pcm = noise(4_000);
        for (n, sample) in pcm.iter_mut().enumerate().skip(48_000) {
            *sample += ((n as f32 * 0.2).sin() * 6_000.0) as i16;
        }
        let lost = |level, part: std::ops::Range<usize>| {
            let config = SoundConfig { gain: false, noise_suppression: level };
            level_dbfs(&pcm[part.clone()]) - level_dbfs(&through(&config, &pcm)[part])
        };
        for (level, least) in [(Suppression::Low, 4.0), (Suppression::Moderate, 8.0), (Suppression::High, 10.0)] {
            assert!(lost(level, 32_000..46_000) > least, "{level:?}: {} dB", lost(level, 32_000..46_000));
            assert!(lost(level, 48_400..52_000) < 3.0, "{level:?}: {} dB", lost(level, 48_400..52_000));
        }
    }

    #[test]
    fn a_frame_of_any_length_keeps_its_length() {
        let config = SoundConfig { gain: true, noise_suppression: Suppression::High };
        for length in [0, 1, 159, 160, 333] {
            let frame = &noise(100)[..length];
            assert_eq!(Cleaner::new(&config).clean(frame).map(|clean| clean.len()), Some(length));
        }
    }
}
