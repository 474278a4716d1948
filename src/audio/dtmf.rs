//! Keys by their sound: heard, and made. PURE.
//!
//! A key of a telephone is two sine tones at once, one of four low and one of four high frequencies (ITU-T Q.23). Where a
//! provider reports no keys they are still in the audio, and where it takes none they can be put there. What a receiver must take and leave is in ITU-T Q.24: tones of
//! 40 ms and longer whose frequencies are within 1.5 %; never speech. Speech is what makes it hard, so a key needs nearly all
//! of the sound to be in its two tones, three blocks in a row.

use std::f32::consts::TAU;

use super::units::{Millis, SampleRate};

const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// 12.8 ms: short enough for three in the shortest tones there are, long enough to tell neighbours apart.
const BLOCK: usize = 205;
/// Blocks with the same key that make it pressed: 38 ms, so that every tone of 52 ms holds them.
const PRESSED: u8 = 3;
/// Blocks without it that make it released: less is a drop-out.
const RELEASED: u8 = 2;
/// Mean square of the quietest block that is looked at: -40 dBFS.
const QUIETEST: f32 = 1e-4;
/// Share of a block's power that is in the two tones.
const SHARE: f32 = 0.72;
/// A tone's power over that of any other of its group: 8 dB.
const CLEAR: f32 = 6.3;
/// How much stronger either tone may be: 8 dB.
const TWIST: f32 = 6.3;

/// How long a key sounds, and the silence after it: more than the 40 ms of each that every receiver must take.
const SOUNDS: Millis = Millis(100);
const PAUSE: Millis = Millis(100);
/// Rise and fall of the tones, so that they begin and end without a click.
const EDGE: Millis = Millis(2);
/// Peaks of the low and the high tone: -10 and -8 dBm0. The line takes more from the high one.
const PEAKS: [f32; 2] = [7_165.0, 9_020.0];

/// The sound of a key and the pause behind it, 16 kHz; `key` as in [`crate::telephony::protocol::Digit`]. Nothing for
/// what is no key.
pub fn key_sound(key: char) -> Vec<i16> {
    let column = |row: &[char; 4]| row.iter().position(|other| *other == key);
    let Some((row, column)) = KEYS.iter().enumerate().find_map(|(n, row)| Some((n, column(row)?))) else {
        return Vec::new();
    };
    let rate = SampleRate::WIDEBAND;
    let (samples, edge) = (rate.samples_in(SOUNDS), rate.samples_in(EDGE) as f32);
    let wave = |hertz: f32, n: usize| (TAU * hertz * n as f32 / rate.0 as f32).sin();
    let mut pcm = Vec::with_capacity(samples + rate.samples_in(PAUSE));
    pcm.extend((0..samples).map(|n| {
        let gain = (n.min(samples - n) as f32 / edge).min(1.0);
        (gain * (PEAKS[0] * wave(LOW[row], n) + PEAKS[1] * wave(HIGH[column], n))) as i16
    }));
    pcm.resize(samples + rate.samples_in(PAUSE), 0);
    pcm
}

/// Listens to one stream of 16 kHz mono audio.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    block: Vec<f32>,
    /// What the last blocks hold, and how many of them in a row.
    run: (Option<char>, u8),
    /// The key that is down.
    down: Option<char>,
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self { block: Vec::with_capacity(BLOCK), run: (None, 0), down: None }
    }
}

impl DtmfDetector {
    /// Takes more audio. Returns a key when it is certain that it is down, once; a frame of 20 ms can't hold two.
    pub fn push(&mut self, pcm: &[i16]) -> Option<char> {
        let mut pressed = None;
        for sample in pcm {
            self.block.push(f32::from(*sample) / 32_768.0);
            if self.block.len() == BLOCK {
                pressed = self.judge(key_of(&self.block)).or(pressed);
                self.block.clear();
            }
        }
        pressed
    }

    /// Whether a key is down, as far as can be told.
    pub const fn is_down(&self) -> bool {
        self.down.is_some()
    }

    fn judge(&mut self, key: Option<char>) -> Option<char> {
        let (last, count) = self.run;
        let count = if last == key { count.saturating_add(1) } else { 1 };
        self.run = (key, count);
        if key != self.down && count >= RELEASED {
            self.down = None;
        }
        let key = key.filter(|key| count >= PRESSED && self.down != Some(*key))?;
        self.down = Some(key);
        Some(key)
    }
}

fn key_of(block: &[f32]) -> Option<char> {
    let energy: f32 = block.iter().map(|sample| sample * sample).sum();
    if energy < QUIETEST * block.len() as f32 {
        return None;
    }
    let (row, low) = strongest(block, &LOW)?;
    let (column, high) = strongest(block, &HIGH)?;
    let twisted = low > high * TWIST || high > low * TWIST;
    // A sine of power P has energy P n, and P n² / 2 at its own frequency.
    let share = (low + high) * 2.0 / (energy * block.len() as f32);
    (!twisted && share >= SHARE).then(|| KEYS[row][column])
}

/// The tone that stands out, and its power.
fn strongest(block: &[f32], tones: &[f32; 4]) -> Option<(usize, f32)> {
    let powers = tones.map(|tone| goertzel(block, tone));
    let (index, power) = powers.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let clear = powers.iter().enumerate().all(|(other, rival)| other == index || rival * CLEAR <= power);
    clear.then_some((index, power))
}

/// The squared magnitude of one frequency in a block: the Goertzel algorithm.
fn goertzel(block: &[f32], hertz: f32) -> f32 {
    let turn = 2.0 * (TAU * hertz / SampleRate::WIDEBAND.0 as f32).cos();
    let (last, before) = block.iter().fold((0.0, 0.0), |(last, before), sample| (sample + turn * last - before, last));
    last * last + before * before - turn * last * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::g711;
    use crate::audio::resample::Resampler;

    const RATE: f32 = SampleRate::WIDEBAND.0 as f32;

    struct Tone {
        low: f32,
        high: f32,
        millis: usize,
    }

    fn tones(key: char, millis: usize) -> Tone {
        let row = KEYS.iter().position(|row| row.contains(&key)).expect("a key");
        let column = KEYS[row].iter().position(|other| *other == key).expect("a key");
        Tone { low: LOW[row], high: HIGH[column], millis }
    }

    fn sound(tone: &Tone, low: f32, high: f32) -> Vec<f32> {
        let wave = |hertz: f32, n: usize| (TAU * hertz * n as f32 / RATE).sin();
        (0..16 * tone.millis).map(|n| low * wave(tone.low, n) + high * wave(tone.high, n)).collect()
    }

    fn heard(sound: &[f32]) -> String {
        let pcm: Vec<i16> = sound.iter().map(|sample| (sample * 32_767.0) as i16).collect();
        let mut detector = DtmfDetector::default();
        pcm.chunks(320).filter_map(|frame| detector.push(frame)).collect()
    }

    /// Noise that is the same every time.
    fn noise(length: usize, level: f32) -> Vec<f32> {
        let mut state = 1_u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                level * (state as f32 / u32::MAX as f32 * 2.0 - 1.0)
            })
            .collect()
    }

    #[test]
    fn every_key_is_heard_once_however_it_lies_in_the_frames() {
        let all = "123A456B789C*0#D";
        for offset in [0, 37, 101, 160, 199] {
            let mut line = vec![0.0; offset];
            for key in all.chars() {
                line.extend(sound(&tones(key, 60), 0.3, 0.3));
                line.extend(vec![0.0; 16 * 60]);
            }
            assert_eq!(heard(&line), all, "{offset}");
        }
    }

    #[test]
    fn every_key_we_make_is_heard_through_any_codec_and_at_its_level() {
        let all = "123A456B789C*0#D";
        let line: Vec<i16> = all.chars().flat_map(key_sound).collect();
        assert_eq!(line.len(), 16 * 200 * all.len());
        let heard = |pcm: &[i16]| -> String {
            let mut detector = DtmfDetector::default();
            pcm.chunks(320).filter_map(|frame| detector.push(frame)).collect()
        };
        assert_eq!(heard(&line), all);
        // As a telephone network carries it: 8 kHz, G.711, and back.
        let (mut narrow, mut wide) = (Vec::new(), Vec::new());
        Resampler::new(SampleRate::WIDEBAND, SampleRate::NARROWBAND).expect("rates").push(&line, &mut narrow);
        for law in [through_ulaw(&narrow), through_alaw(&narrow)] {
            wide.clear();
            Resampler::new(SampleRate::NARROWBAND, SampleRate::WIDEBAND).expect("rates").push(&law, &mut wide);
            wide.resize(wide.len() + 640, 0);
            assert_eq!(heard(&wide), all);
        }
        // Each tone by itself, against the peak of a sine of 0 dBm0.
        let five: Vec<f32> = key_sound('5')[160..1_440].iter().map(|sample| f32::from(*sample)).collect();
        for (hertz, dbm0) in [(770.0, -10.0), (1_336.0, -8.0)] {
            let peak = 2.0 * goertzel(&five, hertz).sqrt() / five.len() as f32;
            let level = 20.0 * (peak / 22_650.0).log10();
            assert!((level - dbm0).abs() < 0.5, "{hertz} Hz at {level} dBm0");
        }
        assert!(key_sound('x').is_empty());
    }

    fn through_ulaw(pcm: &[i16]) -> Vec<i16> {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        g711::encode_ulaw(pcm, &mut bytes);
        g711::decode_ulaw(&bytes, &mut back);
        back
    }

    fn through_alaw(pcm: &[i16]) -> Vec<i16> {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        g711::encode_alaw(pcm, &mut bytes);
        g711::decode_alaw(&bytes, &mut back);
        back
    }

    #[test]
    fn quiet_twisted_detuned_and_noisy_keys_are_heard() {
        let zero = tones('0', 80);
        for (low, high) in [(0.02, 0.02), (0.2, 0.09), (0.09, 0.2), (0.45, 0.45)] {
            assert_eq!(heard(&sound(&zero, low, high)), "0", "{low} {high}");
        }
        for detuned in [0.985, 1.015] {
            let off = Tone { low: zero.low * detuned, high: zero.high * detuned, millis: 80 };
            assert_eq!(heard(&sound(&off, 0.2, 0.2)), "0", "{detuned}");
        }
        let clean = sound(&zero, 0.2, 0.2);
        let noisy: Vec<f32> = clean.iter().zip(noise(clean.len(), 0.09)).map(|(a, b)| a + b).collect();
        assert_eq!(heard(&noisy), "0", "19 dB over noise");
    }

    #[test]
    fn a_key_pressed_twice_counts_twice_and_one_held_down_once() {
        let five = sound(&tones('5', 70), 0.2, 0.2);
        let pause = vec![0.0; 16 * 45];
        assert_eq!(heard(&[five.clone(), pause.clone(), five.clone()].concat()), "55");
        assert_eq!(heard(&sound(&tones('5', 3_000), 0.2, 0.2)), "5");
        // 10 ms of nothing is a drop-out of the line.
        assert_eq!(heard(&[five.clone(), vec![0.0; 160], five].concat()), "5");
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        let pair = |low, high| heard(&sound(&Tone { low, high, millis: 500 }, 0.25, 0.25));
        for (low, high) in
            [(350.0, 440.0), (440.0, 480.0), (480.0, 620.0), (425.0, 425.0), (941.0, 941.0), (1_336.0, 1_336.0)]
        {
            assert_eq!(pair(low, high), "", "{low} + {high}");
        }
        let zero = tones('0', 500);
        assert_eq!(pair(zero.low * 1.05, zero.high * 1.05), "", "5 % off");
        assert_eq!(heard(&sound(&tones('0', 22), 0.25, 0.25)), "", "Q.24: 23 ms may not be taken");
        assert_eq!(heard(&sound(&zero, 0.3, 0.04)), "", "17 dB of twist");
        assert_eq!(heard(&noise(16_000 * 20, 0.9)), "");
        // Vowels whose harmonics fall on the tones of a key.
        for pitch in [104.5_f32, 117.6, 133.6, 154.0, 170.4, 188.2] {
            let vowel: Vec<f32> = (0..16_000)
                .map(|n| (1..20).map(|k| (TAU * pitch * k as f32 * n as f32 / RATE).sin() / k as f32 * 0.3).sum())
                .collect();
            assert_eq!(heard(&vowel), "", "{pitch}");
        }
    }

    #[test]
    #[ignore = "needs asterisk-core-sounds-en-wav and pocketsphinx-testdata"]
    fn recorded_speech_holds_no_keys() {
        let mut folders = vec![
            std::path::PathBuf::from("/usr/share/asterisk/sounds/en_US_f_Allison"),
            "/usr/share/pocketsphinx/test/data".into(),
        ];
        let (mut seconds, mut keys) = (0.0, Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("asterisk-core-sounds-en-wav and pocketsphinx-testdata") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "wav") {
                    let pcm = crate::audio::wav::read(&path).expect("a recording");
                    seconds += pcm.len() as f32 / RATE;
                    let mut detector = DtmfDetector::default();
                    keys.extend(
                        pcm.chunks(320).filter_map(|frame| detector.push(frame)).map(|key| (key, path.clone())),
                    );
                }
            }
        }
        println!("{seconds:.0} s of speech");
        assert!(seconds > 600.0);
        // These are recordings of the tones themselves.
        keys.retain(|(_, path)| !path.to_string_lossy().contains("dtmf"));
        assert_eq!(keys, []);
    }
}
