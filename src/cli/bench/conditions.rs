//! What a line does to a voice: the conditions speech is measured under. Deterministic; 16 kHz mono in and out.

use clap::ValueEnum;

use super::noises::Random;
use crate::audio::resample::ResampleError;
use crate::audio::units::{Millis, SampleRate};
use crate::cli::ears::telephone;
use crate::engine::stt::trim::find_sound;

/// A condition. All but `clean` end with the telephone: 8 kHz, µ-law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Condition {
    /// As recorded
    Clean,
    /// 8 kHz, µ-law
    Ulaw,
    /// 300 to 3,400 Hz, then µ-law
    Band,
    /// Pink noise, speech 10 dB louder, then µ-law
    Pink10,
    /// Pink noise as loud as the speech, then µ-law
    Pink0,
    /// µ-law, and one in fifty 20 ms packets lost
    Loss2,
    /// Speech at -45 dBFS, then µ-law: who mumbles far from the telephone
    Quiet,
    /// Speech at -60 dBFS, then µ-law
    Faint,
    /// Speech at -50 dBFS in pink noise 20 dB below it, then µ-law
    Weak,
    /// Speech at -14 dBFS, its peaks cut, then µ-law: who shouts into the telephone
    Loud,
}

impl Condition {
    /// Name in metrics: `wer_…`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Ulaw => "telephony",
            Self::Band => "band",
            Self::Pink10 => "pink10",
            Self::Pink0 => "pink0",
            Self::Loss2 => "loss2",
            Self::Quiet => "quiet",
            Self::Faint => "faint",
            Self::Weak => "weak",
            Self::Loud => "loud",
        }
    }

    /// What is left of `pcm` on this line. `seed` picks the noise and the lost packets.
    pub fn apply(self, pcm: &[i16], seed: u32) -> Result<Vec<i16>, ResampleError> {
        match self {
            Self::Clean => Ok(pcm.to_vec()),
            Self::Ulaw => telephone(pcm),
            Self::Band => telephone(&band(pcm)),
            Self::Pink10 => telephone(&with_noise(pcm, 10.0, seed)),
            Self::Pink0 => telephone(&with_noise(pcm, 0.0, seed)),
            Self::Loss2 => telephone(pcm).map(|pcm| with_losses(pcm, 0.02, seed)),
            Self::Quiet => telephone(&at_level(pcm, -45.0)),
            Self::Faint => telephone(&at_level(pcm, -60.0)),
            Self::Weak => telephone(&with_noise(&at_level(pcm, -50.0), 20.0, seed)),
            Self::Loud => telephone(&at_level(pcm, -14.0)),
        }
    }
}

/// Root mean square of the parts with sound, as a share of full scale: pauses don't make a voice quieter.
pub(in crate::cli) fn speech_level(pcm: &[i16]) -> f32 {
    let Some(sound) = find_sound(pcm) else { return 0.0 };
    let block = SampleRate::WIDEBAND.samples_in(Millis(20));
    let floor = 10f32.powf((sound.dbfs - 25.0) / 20.0);
    let energies = pcm[sound.range].chunks(block).map(|block| {
        block.iter().map(|sample| (f32::from(*sample) / 32_768.0).powi(2)).sum::<f32>() / block.len() as f32
    });
    let loud: Vec<f32> = energies.filter(|energy| energy.sqrt() >= floor).collect();
    (loud.iter().sum::<f32>() / loud.len().max(1) as f32).sqrt()
}

fn with_noise(pcm: &[i16], snr_db: f32, seed: u32) -> Vec<i16> {
    let gain = speech_level(pcm) / 10f32.powf(snr_db / 20.0) * 32_768.0;
    let mut random = Random::new(seed);
    pcm.iter().map(|sample| (f32::from(*sample) + random.pink() * gain) as i16).collect()
}

fn at_level(pcm: &[i16], dbfs: f32) -> Vec<i16> {
    let gain = 10f32.powf(dbfs / 20.0) / speech_level(pcm).max(1e-5);
    pcm.iter().map(|sample| (f32::from(*sample) * gain) as i16).collect()
}

/// A lost packet is silence: what a provider that conceals nothing sends.
fn with_losses(mut pcm: Vec<i16>, share: f32, seed: u32) -> Vec<i16> {
    let mut random = Random::new(seed);
    for packet in pcm.chunks_mut(SampleRate::WIDEBAND.samples_in(Millis::FRAME)) {
        if random.uniform() < share {
            packet.fill(0);
        }
    }
    pcm
}

/// A band-pass of the second order at each end, run twice.
fn band(pcm: &[i16]) -> Vec<i16> {
    let mut filters =
        [Biquad::high_pass(300.0), Biquad::high_pass(300.0), Biquad::low_pass(3_400.0), Biquad::low_pass(3_400.0)];
    pcm.iter()
        .map(|sample| filters.iter_mut().fold(f32::from(*sample), |sample, filter| filter.push(sample)) as i16)
        .collect()
}

/// A filter of the second order (Butterworth), by the bilinear transform.
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    x: [f32; 2],
    y: [f32; 2],
}

impl Biquad {
    fn low_pass(hz: f32) -> Self {
        Self::new(hz, |cos| [(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0])
    }

    fn high_pass(hz: f32) -> Self {
        Self::new(hz, |cos| [f32::midpoint(1.0, cos), -(1.0 + cos), f32::midpoint(1.0, cos)])
    }

    fn new(hz: f32, zeros: impl Fn(f32) -> [f32; 3]) -> Self {
        let (sin, cos) = (std::f32::consts::TAU * hz / SampleRate::WIDEBAND.0 as f32).sin_cos();
        let alpha = sin * std::f32::consts::FRAC_1_SQRT_2;
        let scale = 1.0 + alpha;
        Self {
            b: zeros(cos).map(|b| b / scale),
            a: [-2.0 * cos / scale, (1.0 - alpha) / scale],
            x: [0.0; 2],
            y: [0.0; 2],
        }
    }

    fn push(&mut self, sample: f32) -> f32 {
        let out = self.b[0] * sample + self.b[1] * self.x[0] + self.b[2] * self.x[1]
            - self.a[0] * self.y[0]
            - self.a[1] * self.y[1];
        self.x = [sample, self.x[0]];
        self.y = [out, self.y[0]];
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::mix::level_dbfs;

    fn tone(hz: f32, ms: usize) -> Vec<i16> {
        (0..ms * 16).map(|n| ((n as f32 * hz / 16_000.0 * std::f32::consts::TAU).sin() * 9_000.0) as i16).collect()
    }

    #[test]
    fn the_band_keeps_the_voice_and_takes_the_rest() {
        let gain = |hz: f32| level_dbfs(&band(&tone(hz, 500))) - level_dbfs(&tone(hz, 500));
        assert!(gain(1_000.0).abs() < 0.5, "{}", gain(1_000.0));
        assert!(gain(60.0) < -40.0 && gain(7_000.0) < -25.0, "{} {}", gain(60.0), gain(7_000.0));
    }

    #[test]
    fn noise_is_as_loud_as_asked_whatever_pauses_there_are() {
        let pcm = [vec![0; 16_000], tone(400.0, 1_000), vec![0; 32_000]].concat();
        let noisy = with_noise(&pcm, 10.0, 1);
        let snr = level_dbfs(&tone(400.0, 1_000)) - level_dbfs(&noisy[..16_000]);
        assert!((snr - 10.0).abs() < 1.0, "{snr}");
        assert_eq!(noisy, with_noise(&pcm, 10.0, 1));
        assert_ne!(noisy, with_noise(&pcm, 10.0, 2));
    }

    #[test]
    fn one_packet_in_fifty_is_lost() {
        let lossy = with_losses(vec![1_000; 320 * 2_000], 0.02, 3);
        let lost = lossy.chunks(320).filter(|packet| packet.iter().all(|sample| *sample == 0)).count();
        assert!((25..60).contains(&lost), "{lost}");
    }

    #[test]
    fn a_quiet_voice_is_quiet() {
        let pcm = [vec![0; 16_000], tone(400.0, 1_000)].concat();
        let level = level_dbfs(&at_level(&pcm, -45.0)[16_000..]);
        assert!((level + 45.0).abs() < 1.0, "{level}");
    }
}
