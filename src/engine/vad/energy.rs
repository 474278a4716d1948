//! Voice by loudness over an adaptive noise floor. The fallback when no model can be loaded: cheap, and easily fooled by
//! noise, tones and music.
//!
//! ```text
//! frame ─▶ high-pass ─▶ level dBFS ─▶ floor = least level of the last 2 s ─▶ logistic(level − floor)
//! ```

use super::{VadError, VadFactory, VoiceActivity};
use crate::audio::units::Probability;

/// Level at which the probability is one half, over the floor: speech on a line stands 15 dB and more above its noise.
const HALF_DB: f32 = 9.0;
/// One logistic unit: the probability goes from 0.27 to 0.73 within two of these.
const SLOPE_DB: f32 = 1.5;
/// The floor is never taken to be lower (a muted line would make a click into speech) …
const QUIETEST_DBFS: f32 = -62.0;
/// … nor higher (a caller who starts speaking at once would be taken for noise).
const LOUDEST_FLOOR_DBFS: f32 = -30.0;
/// Frames in one step of the floor's memory: 200 ms.
const STEP_FRAMES: u32 = 10;
/// Steps the floor remembers: 2 s, longer than anyone speaks without a dip between words.
const STEPS: usize = 10;

/// Opens energy detectors; there is nothing to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnergyVad;

impl EnergyVad {
    /// A fresh detector: what a call falls back to, because it needs nothing and can't fail to open.
    pub fn detector() -> Box<dyn VoiceActivity> {
        Box::new(EnergyDetector::default())
    }
}

impl VadFactory for EnergyVad {
    fn open(&self) -> Result<Box<dyn VoiceActivity>, VadError> {
        Ok(Self::detector())
    }
}

/// One caller's noise floor.
#[derive(Debug)]
pub struct EnergyDetector {
    /// Last input and output sample of the high-pass.
    last: (f32, f32),
    /// Least level of each step, oldest overwritten first.
    minima: [f32; STEPS],
    step: usize,
    frames_in_step: u32,
}

impl Default for EnergyDetector {
    fn default() -> Self {
        Self { last: (0.0, 0.0), minima: [f32::INFINITY; STEPS], step: 0, frames_in_step: 0 }
    }
}

impl EnergyDetector {
    /// Level in dB below full scale, without what lies under about 100 Hz (mains hum, handling noise).
    fn level(&mut self, pcm: &[i16]) -> f32 {
        const POLE: f32 = 0.961; // exp(-2π · 100 Hz / 16 kHz)
        const POLES: [f32; 4] = [POLE, POLE * POLE, POLE * POLE * POLE, POLE * POLE * POLE * POLE];
        let mut energy = 0.0;
        let mut steps = pcm.chunks_exact(4);
        // Four at a time: what is waited for is one product, and not four after each other.
        for step in &mut steps {
            let input: [f32; 4] = std::array::from_fn(|n| f32::from(step[n]) / 32_768.0);
            let rise = [input[0] - self.last.0, input[1] - input[0], input[2] - input[1], input[3] - input[2]];
            let own = [
                rise[0],
                rise[1] + POLES[0] * rise[0],
                rise[2] + POLES[0] * rise[1] + POLES[1] * rise[0],
                rise[3] + POLES[0] * rise[2] + POLES[1] * rise[1] + POLES[2] * rise[0],
            ];
            let output: [f32; 4] = std::array::from_fn(|n| own[n] + POLES[n] * self.last.1);
            self.last = (input[3], output[3]);
            energy += output.iter().map(|output| output * output).sum::<f32>();
        }
        for &sample in steps.remainder() {
            let input = f32::from(sample) / 32_768.0;
            let output = input - self.last.0 + POLE * self.last.1;
            self.last = (input, output);
            energy += output * output;
        }
        10.0 * (energy / pcm.len().max(1) as f32).max(1e-10).log10()
    }

    fn floor(&mut self, level: f32) -> f32 {
        if self.frames_in_step == STEP_FRAMES {
            self.frames_in_step = 0;
            self.step = (self.step + 1) % STEPS;
            self.minima[self.step] = f32::INFINITY;
        }
        self.frames_in_step += 1;
        self.minima[self.step] = self.minima[self.step].min(level);
        self.minima.iter().copied().fold(f32::INFINITY, f32::min).clamp(QUIETEST_DBFS, LOUDEST_FLOOR_DBFS)
    }
}

impl VoiceActivity for EnergyDetector {
    fn push(&mut self, pcm: &[i16]) -> Result<Probability, VadError> {
        let level = self.level(pcm);
        let over = level - self.floor(level);
        Ok(Probability::clamped(1.0 / (1.0 + (-(over - HALF_DB) / SLOPE_DB).exp())))
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vad::conformance::{noise, tone};

    fn share_of_voice(detector: &mut EnergyDetector, pcm: &[i16]) -> f32 {
        let frames: Vec<_> = pcm.chunks_exact(320).collect();
        let voiced = frames.iter().filter(|frame| detector.push(frame).expect("cannot fail").get() > 0.5).count();
        voiced as f32 / frames.len() as f32
    }

    #[test]
    fn a_sound_well_above_the_noise_is_voice_and_steady_noise_is_not() {
        let mut detector = EnergyDetector::default();
        let mut pcm = noise(-50.0, 3_000);
        share_of_voice(&mut detector, &pcm);
        assert_eq!(share_of_voice(&mut detector, &pcm), 0.0);
        for (sample, tone) in pcm.iter_mut().zip(tone(440.0, -26.0, 3_000)) {
            *sample += tone;
        }
        assert!(share_of_voice(&mut detector, &pcm[..16_000]) > 0.95);
    }

    #[test]
    fn four_samples_at_a_time_are_the_same_filter() {
        let pcm = noise(-20.0, 100);
        let (mut last, mut energy) = ((0.0, 0.0), 0.0);
        for &sample in &pcm {
            let input = f64::from(sample) / 32_768.0;
            let output = input - last.0 + 0.961 * last.1;
            last = (input, output);
            energy += output * output;
        }
        let wanted = 10.0 * (energy / pcm.len() as f64).log10();
        for cut in [4, 7, 320] {
            let mut detector = EnergyDetector::default();
            let levels = pcm.chunks(cut).map(|part| {
                let level = f64::from(detector.level(part));
                10.0_f64.powf(level / 10.0) * part.len() as f64
            });
            let got = 10.0 * (levels.sum::<f64>() / pcm.len() as f64).log10();
            assert!((got - wanted).abs() < 0.01, "{cut}: {got} dB, wanted {wanted} dB");
        }
    }

    #[test]
    fn the_floor_follows_noise_that_grows() {
        let mut detector = EnergyDetector::default();
        share_of_voice(&mut detector, &noise(-60.0, 2_000));
        let louder = noise(-40.0, 4_000);
        share_of_voice(&mut detector, &louder);
        assert_eq!(share_of_voice(&mut detector, &louder), 0.0);
    }

    #[test]
    fn hum_below_the_voice_band_counts_for_less() {
        let mut detector = EnergyDetector::default();
        let hum = detector.level(&tone(25.0, -20.0, 1_000));
        let voice = detector.level(&tone(300.0, -20.0, 1_000));
        assert!(voice - hum > 10.0, "hum {hum} dB, voice {voice} dB");
    }
}
