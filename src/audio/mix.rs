//! Adding and scaling PCM: the sum of two voices, a fade without a click, how loud a frame is.

/// Adds `other` to `frame` sample by sample; sums beyond 16 bit saturate. Samples of `other` past the end are ignored.
pub fn mix_into(frame: &mut [i16], other: &[i16]) {
    for (sample, add) in frame.iter_mut().zip(other) {
        *sample = sample.saturating_add(*add);
    }
}

/// A gain that moves to its target in a straight line, so that ducking and fading make no click.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    gain: f32,
    target: f32,
    /// Change per sample, towards the target.
    step: f32,
}

impl Ramp {
    /// A constant gain; 1 leaves samples as they are, 0 is silence.
    pub const fn new(gain: f32) -> Self {
        Self { gain, target: gain, step: 0.0 }
    }

    /// Moves to `target` over the next `samples`; 0 jumps.
    pub fn move_to(&mut self, target: f32, samples: usize) {
        self.target = target;
        if samples == 0 {
            self.gain = target;
        }
        self.step = (target - self.gain) / samples.max(1) as f32;
    }

    /// Scales `pcm` in place. Results beyond 16 bit saturate.
    pub fn apply(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            *sample = (f32::from(*sample) * self.gain).round() as i16; // `as` saturates
            if self.gain != self.target {
                let next = self.gain + self.step;
                // The last step lands on the target itself: steps of f32 don't add up exactly.
                let arrived = if self.step >= 0.0 { next >= self.target } else { next <= self.target };
                self.gain = if arrived { self.target } else { next };
            }
        }
    }

    /// The gain of the next sample.
    pub const fn gain(&self) -> f32 {
        self.gain
    }

    /// True once the target is reached.
    pub fn is_settled(&self) -> bool {
        self.gain == self.target
    }
}

/// Root mean square level in dB relative to full scale; digital silence and no samples are −∞.
pub fn level_dbfs(pcm: &[i16]) -> f32 {
    let energy: f64 = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let mean = energy / pcm.len().max(1) as f64;
    (10.0 * (mean / 32_768.0_f64.powi(2)).log10()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_voices_saturate_instead_of_wrapping() {
        let mut frame = [30_000, -30_000, 5, 7];
        mix_into(&mut frame, &[10_000, -10_000, 6]);
        assert_eq!(frame, [i16::MAX, i16::MIN, 11, 7]);
    }

    #[test]
    fn a_ramp_moves_in_small_steps_and_arrives_exactly() {
        let mut ramp = Ramp::new(1.0);
        ramp.move_to(0.25, 320);
        let mut pcm = [16_000i16; 700];
        ramp.apply(&mut pcm);
        assert_eq!((pcm[0], pcm[699]), (16_000, 4_000));
        assert!(pcm.windows(2).all(|pair| (0..=40).contains(&(pair[0] - pair[1]))), "no step is audible");
        assert!(ramp.is_settled() && ramp.gain() == 0.25);
        assert!(pcm[321..].iter().all(|&sample| sample == 4_000));
    }

    #[test]
    fn a_ramp_of_no_samples_jumps_and_gain_saturates() {
        let mut ramp = Ramp::new(0.0);
        ramp.move_to(4.0, 0);
        let mut pcm = [20_000, -20_000];
        ramp.apply(&mut pcm);
        assert_eq!(pcm, [i16::MAX, i16::MIN]);
    }

    #[test]
    fn levels_are_relative_to_full_scale() {
        assert_eq!(level_dbfs(&[0; 160]), f32::NEG_INFINITY);
        assert_eq!(level_dbfs(&[]), f32::NEG_INFINITY);
        assert!((level_dbfs(&[16_384; 160]) + 6.02).abs() < 0.01);
    }
}
