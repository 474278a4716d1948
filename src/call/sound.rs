//! A frame of sound in numbers: how loud, and how its energy lies over the telephone's band. PURE.
//!
//! [`super::overlap`] judges by them how loud a sound is that a caller makes over us.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::units::{Millis, SampleRate};

/// One block: the step of all numbers here.
pub const BLOCK: Millis = Millis(10);
/// Bands, from 200 Hz to 3500 Hz, wider towards the top as hearing is.
pub const BANDS: usize = 16;
const STEP: usize = SampleRate::WIDEBAND.samples_in(BLOCK);
/// Two blocks under one window: 20 ms, so that a bin is 50 Hz.
const WINDOW: usize = 2 * STEP;
const BIN_HZ: usize = 50;
const EDGES_HZ: [usize; BANDS + 1] =
    [200, 300, 400, 500, 600, 700, 800, 950, 1_100, 1_300, 1_500, 1_750, 2_000, 2_300, 2_650, 3_050, 3_500];
/// What stands for no sound at all; also the noise of 16-bit samples.
pub const SILENCE_DB: f32 = -90.0;

/// 10 ms of sound; the window reaches 10 ms further back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// Energy of all bands, dB relative to full scale.
    pub level: f32,
    /// Energy of each band, dB relative to full scale.
    pub bands: [f32; BANDS],
}

impl Block {
    /// No sound.
    pub const SILENCE: Self = Self { level: SILENCE_DB, bands: [SILENCE_DB; BANDS] };
}

/// Turns a stream of samples, 16 kHz, into blocks.
pub struct Analyser {
    fft: Arc<dyn RealToComplex<f32>>,
    window: [f32; WINDOW],
    /// The newest samples, those of the last block first.
    recent: [f32; WINDOW],
    input: Vec<f32>,
    output: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl fmt::Debug for Analyser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyser").finish_non_exhaustive()
    }
}

impl Default for Analyser {
    fn default() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        // Hann, scaled so that a full-scale sine has the energy of one.
        let window = std::array::from_fn(|n| {
            let phase = std::f32::consts::TAU * n as f32 / WINDOW as f32;
            (0.5 - 0.5 * phase.cos()) / (32_768.0 * WINDOW as f32 * (3.0_f32 / 32.0).sqrt())
        });
        Self {
            window,
            recent: [0.0; WINDOW],
            input: fft.make_input_vec(),
            output: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }
}

impl Analyser {
    /// The blocks of `pcm`, one for each whole 10 ms of it; a rest is left out.
    pub fn push(&mut self, pcm: &[i16], blocks: &mut Vec<Block>) {
        for step in pcm.chunks_exact(STEP) {
            self.recent.copy_within(STEP.., 0);
            for (recent, sample) in self.recent[STEP..].iter_mut().zip(step) {
                *recent = f32::from(*sample);
            }
            blocks.push(self.block());
        }
    }

    fn block(&mut self) -> Block {
        for ((input, sample), weight) in self.input.iter_mut().zip(&self.recent).zip(&self.window) {
            *input = sample * weight;
        }
        self.fft
            .process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch)
            .expect("the buffers were made by this very plan");
        let mut all = 0.0;
        let bands = std::array::from_fn(|band| {
            let bins = EDGES_HZ[band] / BIN_HZ..EDGES_HZ[band + 1] / BIN_HZ;
            let power: f32 = self.output[bins].iter().map(Complex::norm_sqr).sum();
            all += power;
            to_db(power)
        });
        Block { level: to_db(all), bands }
    }
}

/// Power as dB, no lower than [`SILENCE_DB`].
pub fn to_db(power: f32) -> f32 {
    (10.0 * power.max(1e-9).log10()).max(SILENCE_DB)
}

/// dB as power.
pub fn from_db(db: f32) -> f32 {
    10.0_f32.powf(db / 10.0)
}

/// The line's noise: the least level of the last two seconds.
#[derive(Debug)]
pub struct Floor {
    minima: [f32; Self::STEPS],
    step: usize,
    blocks: u32,
}

impl Floor {
    const STEPS: usize = 10;
    const BLOCKS_A_STEP: u32 = 20;

    /// Takes the next block's level, dB.
    pub fn learn(&mut self, level: f32) {
        if self.blocks == Self::BLOCKS_A_STEP {
            self.blocks = 0;
            self.step = (self.step + 1) % Self::STEPS;
            self.minima[self.step] = f32::INFINITY;
        }
        self.blocks += 1;
        self.minima[self.step] = self.minima[self.step].min(level);
    }

    /// The level of the noise, dB.
    pub fn level(&self) -> f32 {
        self.minima.iter().copied().fold(f32::INFINITY, f32::min).clamp(SILENCE_DB, -30.0)
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self { minima: [f32::INFINITY; Self::STEPS], step: 0, blocks: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(hz: f32, amplitude: f32, ms: u32) -> Vec<Block> {
        let pcm: Vec<i16> = (0..SampleRate::WIDEBAND.samples_in(Millis(ms)))
            .map(|n| (amplitude * (std::f32::consts::TAU * hz * n as f32 / 16_000.0).sin()) as i16)
            .collect();
        let mut blocks = Vec::new();
        Analyser::default().push(&pcm, &mut blocks);
        blocks
    }

    #[test]
    fn a_tone_lies_in_its_band_at_its_level() {
        for (hz, band) in [(250.0, 0), (650.0, 4), (1_000.0, 7), (1_600.0, 10), (3_200.0, 15)] {
            let block = blocks(hz, 3_276.8, 100)[5];
            assert!((block.level + 20.0).abs() < 1.0, "{hz} Hz: {} dB for a sine 20 dB below full scale", block.level);
            let loudest = (0..BANDS).max_by(|a, b| block.bands[*a].total_cmp(&block.bands[*b]));
            assert_eq!(loudest, Some(band), "{hz} Hz: {:?}", block.bands);
            assert!(from_db(block.bands[band]) > 0.6 * from_db(block.level), "{hz} Hz: {:?}", block.bands);
        }
    }

    #[test]
    fn silence_and_what_the_telephone_does_not_carry_are_silence() {
        assert_eq!(blocks(0.0, 0.0, 20), [Block::SILENCE; 2]);
        assert!(blocks(50.0, 10_000.0, 100)[5].level < -55.0, "mains hum");
        assert!(blocks(6_000.0, 10_000.0, 100)[5].level < -60.0, "treble");
    }
}
