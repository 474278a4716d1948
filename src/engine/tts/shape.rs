//! From what a voice model gives to what a telephone wants: 16 kHz, an even loudness, no dead air around the words.
//!
//! ```text
//! f32 at the voice's rate ─▶ gain ─▶ soft limit ─▶ i16 ─▶ resample ─▶ trim ─▶ 16 kHz
//! ```
//! Streaming: what comes out does not depend on how the input was cut into pieces. PURE.

use crate::audio::resample::{ResampleError, Resampler};
use crate::audio::units::{Millis, SampleRate};

/// Root mean square of speech (its silences left out) that callers should hear: -20 dB of full scale.
pub const TARGET_RMS: f32 = 0.1;

/// Quieter than this is silence: -46 dB of full scale. An `f` or an `h` is above it, a voice model's hiss below.
const SILENCE: u16 = 164;
/// Silence left before the first sound.
const LEAD_IN: Millis = Millis(20);
/// Sound is judged silent or not in spans of this many samples: 5 ms.
const SPAN: usize = 80;
/// From here on peaks are bent rather than let through: -3 dB of full scale. They end at [`CEILING`].
const KNEE: f32 = 0.7;
const CEILING: f32 = 0.89;

/// Turns one clip into telephone sound.
pub struct Shaper {
    gain: f32,
    resampler: Resampler,
    trimmer: Trimmer,
    limited: Vec<i16>,
    resampled: Vec<i16>,
}

impl Shaper {
    /// For a voice of `rate`, whose samples are multiplied by `gain`.
    pub fn new(rate: SampleRate, gain: f32) -> Result<Self, ResampleError> {
        let resampler = Resampler::new(rate, SampleRate::WIDEBAND)?;
        Ok(Self { gain, resampler, trimmer: Trimmer::default(), limited: Vec::new(), resampled: Vec::new() })
    }

    /// Takes samples in ±1 at the voice's rate, appends what is ready to `out`: 16 kHz.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<i16>) {
        self.limited.clear();
        self.limited.extend(samples.iter().map(|sample| limit(sample * self.gain)));
        self.resampled.clear();
        self.resampler.push(&self.limited, &mut self.resampled);
        self.trimmer.push(&self.resampled, out);
    }

    /// The rest of the clip, and silence so that it ends with `pause` of it. The next push begins another clip.
    pub fn finish(&mut self, pause: Millis, out: &mut Vec<i16>) {
        self.resampled.clear();
        self.resampler.flush(&mut self.resampled);
        self.trimmer.push(&self.resampled, out);
        std::mem::take(&mut self.trimmer).finish(pause, out);
    }
}

/// The gain that brings `samples` (±1, any rate) to [`TARGET_RMS`], silences left out; within 0.25 to 8.
pub fn gain_for(samples: &[f32]) -> f32 {
    let power = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
    let blocks: Vec<f32> = samples.chunks_exact(400).map(power).collect();
    let loudest = blocks.iter().copied().fold(0.0, f32::max);
    // -30 dB under the loudest block: the gate of a level meter for speech.
    let active: Vec<f32> = blocks.into_iter().filter(|power| *power > loudest * 0.001).collect();
    if active.is_empty() || !loudest.is_finite() {
        return 1.0;
    }
    let rms = (active.iter().sum::<f32>() / active.len() as f32).sqrt();
    (TARGET_RMS / rms).clamp(0.25, 8.0)
}

/// Cuts dead air before the first and after the last sound; silence between sounds is held until a sound follows.
#[derive(Default)]
struct Trimmer {
    started: bool,
    /// Not yet a whole span.
    pending: Vec<i16>,
    held: Vec<i16>,
}

impl Trimmer {
    fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.pending.extend_from_slice(samples);
        let pending = std::mem::take(&mut self.pending);
        let whole = pending.len() / SPAN * SPAN;
        for span in pending[..whole].chunks_exact(SPAN) {
            self.take_span(span, out);
        }
        self.pending.extend_from_slice(&pending[whole..]);
    }

    fn take_span(&mut self, span: &[i16], out: &mut Vec<i16>) {
        if span.iter().all(|sample| sample.unsigned_abs() < SILENCE) {
            self.held.extend_from_slice(span);
            return;
        }
        let lead_in = SampleRate::WIDEBAND.samples_in(LEAD_IN);
        let skip = if self.started { 0 } else { self.held.len().saturating_sub(lead_in) };
        self.started = true;
        out.extend_from_slice(&self.held[skip..]);
        out.extend_from_slice(span);
        self.held.clear();
    }

    fn finish(mut self, pause: Millis, out: &mut Vec<i16>) {
        let tail = std::mem::take(&mut self.pending);
        if !tail.is_empty() {
            self.take_span(&tail, out);
        }
        if !self.started {
            return; // nothing but silence: nothing was said
        }
        let pause = SampleRate::WIDEBAND.samples_in(pause);
        out.extend(self.held.iter().take(pause));
        out.extend(std::iter::repeat_n(0, pause.saturating_sub(self.held.len())));
    }
}

/// Full scale is 1.0; what is louder than the knee is bent so that it never clips. NaN, from a model that diverged, is
/// silence.
fn limit(sample: f32) -> i16 {
    let size = sample.abs();
    let bent = if size <= KNEE { size } else { KNEE + (CEILING - KNEE) * ((size - KNEE) / (CEILING - KNEE)).tanh() };
    (bent.copysign(sample) * f32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    const VOICE: SampleRate = SampleRate(22_050);

    fn tone(rate: SampleRate, hertz: f32, amplitude: f32, span: Millis) -> Vec<f32> {
        let step = TAU * hertz / rate.0 as f32;
        (0..rate.samples_in(span)).map(|n| amplitude * (step * n as f32).sin()).collect()
    }

    fn shape(samples: &[f32], cuts: &[usize], gain: f32, pause: Millis) -> Vec<i16> {
        let mut shaper = Shaper::new(VOICE, gain).expect("a resampler");
        let (mut out, mut rest) = (Vec::new(), samples);
        for cut in cuts.iter().copied().cycle() {
            let (piece, behind) = rest.split_at(cut.clamp(1, rest.len().max(1)).min(rest.len()));
            shaper.push(piece, &mut out);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        shaper.finish(pause, &mut out);
        out
    }

    fn rms(pcm: &[i16]) -> f32 {
        let power: f32 = pcm.iter().map(|sample| (f32::from(*sample) / 32_768.0).powi(2)).sum();
        (power / pcm.len() as f32).sqrt()
    }

    #[test]
    fn a_tone_keeps_its_length_pitch_and_level() {
        let out = shape(&tone(VOICE, 440.0, 0.5, Millis(1_000)), &[4_096], 1.0, Millis::ZERO);
        assert!((16_000..=16_100).contains(&out.len()), "{}", out.len());
        let crossings = out[1_600..14_400].windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!((351..=353).contains(&crossings), "{crossings}");
        assert!((rms(&out[1_600..14_400]) - 0.3535).abs() < 0.004, "{}", rms(&out[1_600..14_400]));
    }

    #[test]
    fn what_the_telephone_cannot_carry_is_filtered_out_rather_than_folded_back() {
        let out = shape(&tone(VOICE, 9_500.0, 0.5, Millis(500)), &[1_000], 1.0, Millis::ZERO);
        assert!(out.len() < 1_600 || rms(&out[1_600..out.len() - 1_600]) < 0.001, "{}", rms(&out));
    }

    #[test]
    fn dead_air_goes_and_a_pause_of_the_asked_length_stays() {
        let mut samples = vec![0.0001; VOICE.samples_in(Millis(300))];
        samples.extend(tone(VOICE, 300.0, 0.4, Millis(200)));
        samples.extend(vec![0.0; VOICE.samples_in(Millis(150))]);
        samples.extend(tone(VOICE, 300.0, 0.4, Millis(200)));
        samples.extend(vec![0.0; VOICE.samples_in(Millis(700))]);
        let out = shape(&samples, &[777], 1.0, Millis(160));
        let first = out.iter().position(|sample| sample.abs() > 1_000).expect("sound");
        let last = out.iter().rposition(|sample| sample.abs() > 1_000).expect("sound");
        assert!((200..=420).contains(&first), "lead-in of {first} samples");
        let tail = out.len() - last;
        assert!((2_480..=2_720).contains(&tail), "pause of {tail} samples");
        let inside = SampleRate::WIDEBAND.samples_in(Millis(550));
        assert!(((last - first) as i64 - inside as i64).abs() < 160, "the silence inside stays: {}", last - first);
    }

    #[test]
    fn silence_alone_is_nothing() {
        assert!(shape(&[0.0; 20_000], &[5_000], 1.0, Millis(160)).is_empty());
        assert!(shape(&[], &[1], 1.0, Millis(160)).is_empty());
    }

    #[test]
    fn loud_and_broken_samples_stay_in_range() {
        let full = f32::from(i16::MAX);
        assert_eq!((limit(0.5), limit(-0.25), limit(f32::NAN)), ((0.5 * full) as i16, (-0.25 * full) as i16, 0));
        assert!(limit(0.8) > limit(0.75), "bent, not cut");
        for loud in [1.0, 50.0, f32::INFINITY] {
            assert!((f32::from(limit(loud)) / full) <= CEILING && limit(loud) == -limit(-loud));
        }
        let out = shape(&tone(VOICE, 300.0, 5.0, Millis(300)), &[900], 1.0, Millis::ZERO);
        let steepest = out.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
        assert!(steepest < Some(45_000), "overdriven sound does not wrap around: {steepest:?}");
    }

    #[test]
    fn the_gain_brings_speech_to_the_target_and_ignores_its_silences() {
        let mut samples = tone(VOICE, 200.0, 0.02, Millis(500));
        samples.extend(vec![0.0; 22_050]);
        let gain = gain_for(&samples);
        assert!((gain - TARGET_RMS / 0.01414).abs() < 0.2, "{gain}");
        assert_eq!(gain_for(&[0.0; 1_000]), 1.0);
        assert_eq!(gain_for(&[f32::NAN; 1_000]), 1.0);
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_sound(cuts in prop::collection::vec(1usize..3_000, 1..12), span in 1u32..400) {
            let samples = tone(VOICE, 350.0, 0.3, Millis(span));
            prop_assert_eq!(
                shape(&samples, &cuts, 1.5, Millis(100)),
                shape(&samples, &[samples.len()], 1.5, Millis(100))
            );
        }
    }
}
