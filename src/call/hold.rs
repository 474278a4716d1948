//! What a waiting caller hears, made here so that no licence comes with it: a soft figure of four notes. PURE.

use std::f32::consts::TAU;

use crate::audio::units::{Millis, SampleRate};

/// Hertz of the figure's notes: a pentatonic rise and fall, quiet and without an end that sounds like one.
const NOTES: [f32; 8] = [261.63, 329.63, 392.0, 440.0, 523.25, 440.0, 392.0, 329.63];
const NOTE: Millis = Millis(900);
/// Peak of one note; two overlap at most.
const LOUDNESS: f32 = 2_600.0;
const BEEP_HZ: f32 = 1_000.0;
const BEEP: Millis = Millis(250);

/// Endless hold music, 16 kHz.
#[derive(Debug, Default)]
pub struct HoldMusic {
    position: u64,
}

impl HoldMusic {
    /// Appends `samples` more.
    pub fn fill(&mut self, samples: usize, pcm: &mut Vec<i16>) {
        let rate = SampleRate::WIDEBAND.0 as f32;
        let length = SampleRate::WIDEBAND.samples_in(NOTE) as u64;
        pcm.extend((0..samples as u64).map(|offset| {
            let at = self.position + offset;
            let (note, inside) = ((at / length) as usize, at % length);
            let before =
                note.checked_sub(1).map_or(0.0, |n| tone(NOTES[n % NOTES.len()], inside + length, length, rate));
            (tone(NOTES[note % NOTES.len()], inside, length, rate) + before) as i16
        }));
        self.position += samples as u64;
    }
}

/// A plucked note: rises in 30 ms, fades over two note lengths.
fn tone(hertz: f32, inside: u64, length: u64, rate: f32) -> f32 {
    let seconds = inside as f32 / rate;
    let attack = (seconds / 0.03).min(1.0);
    let fade = 1.0 - inside as f32 / (2 * length) as f32;
    let phase = TAU * hertz * seconds;
    LOUDNESS * attack * fade * fade * (0.8 * phase.sin() + 0.2 * (2.0 * phase).sin()) * 0.6
}

/// The tone that tells a caller to speak now, 16 kHz.
pub fn beep() -> Vec<i16> {
    sines(&[BEEP_HZ], BEEP)
}

/// What is heard when the voice itself is broken: three short tones, so that the line is not dead.
pub fn trouble_tones() -> Vec<i16> {
    let gap = vec![0; SampleRate::WIDEBAND.samples_in(Millis(120))];
    [950.0, 1_400.0, 1_800.0].iter().flat_map(|hertz| [sines(&[*hertz], Millis(220)), gap.clone()].concat()).collect()
}

fn sines(hertz: &[f32], span: Millis) -> Vec<i16> {
    let samples = SampleRate::WIDEBAND.samples_in(span);
    let rate = SampleRate::WIDEBAND.0 as f32;
    let ramp = SampleRate::WIDEBAND.samples_in(Millis(8)) as f32;
    (0..samples)
        .map(|n| {
            let edge = (n.min(samples - n) as f32 / ramp).min(1.0);
            let sum: f32 = hertz.iter().map(|hertz| (TAU * hertz * n as f32 / rate).sin()).sum();
            (sum * edge * 6_000.0 / hertz.len() as f32) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_music_is_audible_and_never_clips_or_clicks() {
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        HoldMusic::default().fill(160_000, &mut whole);
        let mut music = HoldMusic::default();
        (0..500).for_each(|_| music.fill(320, &mut pieces));
        assert_eq!(whole, pieces, "frames join without a seam");
        for second in whole.chunks(16_000) {
            let rms = (second.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / second.len() as f64).sqrt();
            assert!((150.0..4_000.0).contains(&rms), "rms {rms}");
        }
        let step = whole.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
        assert!(step.is_some_and(|step| step < 1_500), "largest step {step:?}");
    }
}
