//! A quiet caller is made louder. PURE. Media path.
//!
//! The level of a voice is learnt from its loud parts, while the voice detector hears it, and before it has heard any, from
//! whatever stands out of the line's noise: too quiet a voice would else never be heard at all. The gain rises within a
//! moment, falls at once, never makes a sample clip, nor the noise of a line loud. Who is loud enough is left as they are.

use super::sound::{Floor, SILENCE_DB, from_db, to_db};
use crate::audio::mix::{Ramp, level_dbfs};
use crate::audio::units::{Millis, Probability, SampleRate};

/// The loud parts of a voice are brought to this level.
const WANTED_DBFS: f32 = -28.0;
/// By this much at most.
const MOST_DB: f32 = 36.0;
/// The line's noise is not made louder than this.
const NOISE_DBFS: f32 = -52.0;
/// A sound stands this far above the line's noise, and is no quieter than the second: below, µ-law has hardly a step.
const ABOVE_NOISE_DB: f32 = 12.0;
const LEAST_DBFS: f32 = -70.0;
/// How far a frame moves what is known of the level: of the difference when it is louder, and by how much when it is not.
const LOUDER: f32 = 0.3;
const QUIETER_DB: f32 = 0.1;
/// The gain rises by no more in a frame.
const RISE_DB: f32 = 2.0;
/// Nothing becomes louder than this.
const PEAK: f32 = 28_000.0;
/// A frame is voice from this probability on.
const VOICE: f32 = 0.5;
const STEP: usize = SampleRate::WIDEBAND.samples_in(Millis(10));

/// Follows one caller's level.
#[derive(Debug)]
pub struct Gain {
    floor: Floor,
    /// Of the loud parts of the voice, dBFS, once any was heard.
    voice: Option<f32>,
    /// The detector has heard it: from here on nothing else counts.
    heard: bool,
    /// The level of the frame that is being looked at.
    level: f32,
    gain_db: f32,
    ramp: Ramp,
}

impl Default for Gain {
    fn default() -> Self {
        let ramp = Ramp::new(1.0);
        Self { floor: Floor::default(), voice: None, heard: false, level: SILENCE_DB, gain_db: 0.0, ramp }
    }
}

impl Gain {
    /// Looks at the next frame, 16 kHz. True: it is to be made louder, see [`Gain::apply`].
    pub fn raises(&mut self, pcm: &[i16]) -> bool {
        let (mut power, mut steps) = (0.0, 0.0);
        for step in pcm.chunks(STEP) {
            let level = level_dbfs(step).max(SILENCE_DB);
            self.floor.learn(level);
            (power, steps) = (power + from_db(level), steps + 1.0);
        }
        self.level = to_db(power / f32::max(steps, 1.0));
        if !self.heard && self.stands_out() {
            self.take();
        }
        let wanted = self.wanted();
        self.gain_db = if wanted > self.gain_db && self.stands_out() {
            wanted.min(self.gain_db + RISE_DB)
        } else {
            wanted.min(self.gain_db)
        };
        if self.gain_db == 0.0 && self.ramp.is_settled() && self.ramp.gain() == 1.0 {
            return false;
        }
        let peak = pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        let most = (PEAK / f32::from(peak.max(1))).max(1.0);
        if self.ramp.gain() > most {
            self.ramp = Ramp::new(most);
        }
        self.ramp.move_to(10.0_f32.powf(self.gain_db / 20.0).min(most), pcm.len());
        true
    }

    /// Makes the frame that [`Gain::raises`] looked at louder.
    pub fn apply(&mut self, pcm: &mut [i16]) {
        self.ramp.apply(pcm);
    }

    /// How probably that frame was voice.
    pub fn learn(&mut self, voice: Probability) {
        if voice.get() >= VOICE && self.stands_out() {
            if !std::mem::replace(&mut self.heard, true) {
                self.voice = None;
            }
            self.take();
        }
    }

    fn stands_out(&self) -> bool {
        self.level > LEAST_DBFS && self.level > self.floor.level() + ABOVE_NOISE_DB
    }

    /// The frame's level is one of the voice's.
    fn take(&mut self) {
        let known = self.voice.unwrap_or(self.level);
        let louder = self.level - known;
        self.voice = Some(known + if louder > 0.0 { louder * LOUDER } else { -QUIETER_DB });
    }

    fn wanted(&self) -> f32 {
        let Some(voice) = self.voice else { return 0.0 };
        let noise = (NOISE_DBFS - self.floor.level()).max(0.0);
        (WANTED_DBFS - voice).min(noise).clamp(0.0, MOST_DB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syllables of a fifth of a second with pauses of a tenth, over `noise`, as one would speak; levels in dBFS.
    fn speech(dbfs: f32, noise: f32, ms: usize) -> Vec<i16> {
        let amplitude = |dbfs: f32| 32_768.0 * 2.0_f32.sqrt() * 10.0_f32.powf(dbfs / 20.0);
        let mut dice = 1_u32;
        (0..ms * 16)
            .map(|n| {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = (dice >> 8) as f32 / (1 << 24) as f32 - 0.5;
                let voice = if n / 1_600 % 3 < 2 { (n as f32 * 0.12).sin() } else { 0.0 };
                (voice * amplitude(dbfs) + hiss * amplitude(noise) * 6.0_f32.sqrt()) as i16
            })
            .collect()
    }

    /// What a gain makes of it, frame by frame; `heard`: the detector hears the voice.
    fn through(gain: &mut Gain, pcm: &[i16], heard: bool) -> Vec<i16> {
        let mut out = Vec::new();
        for frame in pcm.chunks_exact(320) {
            let mut frame = frame.to_vec();
            if gain.raises(&frame) {
                gain.apply(&mut frame);
            }
            let loud = level_dbfs(&frame) > -60.0;
            gain.learn(Probability::clamped(if heard && loud { 0.9 } else { 0.0 }));
            out.extend(frame);
        }
        out
    }

    /// Level of the syllables in the last second.
    fn loudness(pcm: &[i16]) -> f32 {
        let mut levels: Vec<f32> = pcm[pcm.len() - 16_000..].chunks(320).map(level_dbfs).collect();
        levels.sort_by(f32::total_cmp);
        levels[levels.len() / 2]
    }

    #[test]
    fn who_is_loud_enough_is_left_as_they_are() {
        for dbfs in [-27.0, -20.0, -10.0] {
            let pcm = speech(dbfs, -70.0, 3_000);
            assert_eq!(through(&mut Gain::default(), &pcm, true), pcm, "{dbfs} dBFS");
        }
    }

    #[test]
    fn a_quiet_caller_is_made_louder_within_a_second_whether_or_not_they_are_heard_before() {
        for dbfs in [-45.0, -55.0, -60.0] {
            for heard in [true, false] {
                let out = through(&mut Gain::default(), &speech(dbfs, -85.0, 2_000), heard);
                assert!((loudness(&out) - WANTED_DBFS).abs() < 3.0, "{dbfs} dBFS: {}, heard {heard}", loudness(&out));
            }
        }
    }

    #[test]
    fn the_noise_of_a_line_stays_quiet() {
        let noise = speech(-120.0, -60.0, 3_000);
        assert_eq!(through(&mut Gain::default(), &noise, true), noise);
        let out = through(&mut Gain::default(), &speech(-45.0, -62.0, 3_000), true);
        let by = loudness(&out) + 45.0;
        assert!((5.0..13.0).contains(&by), "{by} dB louder");
    }

    #[test]
    fn nothing_clips_when_a_quiet_caller_shouts() {
        let mut gain = Gain::default();
        through(&mut gain, &speech(-55.0, -85.0, 3_000), true);
        let out = through(&mut gain, &speech(-12.0, -85.0, 1_000), true);
        let peak = out.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak <= Some(PEAK as u16 + 1), "{peak:?}");
        let shout = speech(-12.0, -85.0, 2_000);
        assert_eq!(through(&mut gain, &shout, true)[8_000..], shout[8_000..], "and then it is as it came");
    }

    #[test]
    fn a_knock_does_not_make_a_quiet_caller_quieter_for_long() {
        let mut gain = Gain::default();
        let knock: Vec<i16> = (0..3_200).map(|n| if n % 40 < 20 { 12_000 } else { -12_000 }).collect();
        through(&mut gain, &[vec![0; 8_000], knock, vec![0; 8_000]].concat(), false);
        let out = through(&mut gain, &speech(-50.0, -85.0, 2_000), true);
        assert!(loudness(&out) > -33.0, "{}", loudness(&out));
    }
}
