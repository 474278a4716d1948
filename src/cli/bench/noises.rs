//! Sounds of a line on which nobody speaks: generated, the same each time.

use std::f32::consts::TAU;

/// A sound without words, 16 kHz mono.
pub struct Noise {
    /// What it is.
    pub name: String,
    /// The samples.
    pub pcm: Vec<i16>,
}

const RATE: f32 = 16_000.0;

/// All of them: silence, noises at four levels, and what telephones do. About 100 s.
pub fn all() -> Vec<Noise> {
    let mut noises = vec![noise("silence", 3.0, |_, _| 0.0)];
    for dbfs in [-60, -45, -31, -20] {
        let gain = 10f32.powf(dbfs as f32 / 20.0);
        for (seconds, length) in [(1.0, "short"), (4.0, "long")] {
            let name = |colour: &str| format!("{colour} noise {dbfs} dBFS {length}");
            noises.push(noise(name("white"), seconds, move |_, random| random.white() * gain));
            noises.push(noise(name("pink"), seconds, move |_, random| random.pink() * gain));
            noises.push(noise(name("brown"), seconds, move |_, random| random.brown() * gain));
        }
    }
    let on = |t: f32, period: f32, on: f32| if t % period < on { 1.0 } else { 0.0 };
    noises.extend([
        noise("mains hum", 3.0, |t, _| 0.06 * tone(t, 100.0) + 0.03 * tone(t, 200.0) + 0.02 * tone(t, 300.0)),
        noise("dial tone", 4.0, |t, _| 0.1 * (tone(t, 350.0) + tone(t, 440.0))),
        noise("ringback", 8.0, move |t, _| on(t, 6.0, 2.0) * 0.1 * (tone(t, 440.0) + tone(t, 480.0))),
        noise("busy", 4.0, move |t, _| on(t, 1.0, 0.5) * 0.1 * (tone(t, 480.0) + tone(t, 620.0))),
        noise("intercept", 3.0, |t, _| 0.15 * tone(t, [950.0, 1_400.0, 1_800.0, 0.0][(t / 0.33) as usize % 4])),
        noise("fax", 3.0, move |t, _| on(t, 3.5, 0.5) * 0.15 * tone(t, 1_100.0)),
        noise("beep", 1.0, move |t, _| on(t, 1.0, 0.4) * 0.2 * tone(t, 1_000.0)),
        noise("sweep", 3.0, |t, _| 0.15 * (TAU * (200.0 * t + 450.0 * t * t)).sin()),
        noise("clicks", 4.0, move |t, random| on(t, 0.6, 0.02) * 0.5 * random.white()),
        noise("breath", 4.0, |t, random| 0.15 * (TAU * t / 4.0).sin().powi(4) * random.pink()),
        noise("wind", 5.0, |t, random| 0.25 * (0.6 + 0.4 * (TAU * 0.7 * t).sin()) * random.brown()),
        noise("knocking", 3.0, |t, _| 0.6 * tone(t, 130.0) * (-(t % 0.5) * 40.0).exp()),
        noise("chime", 4.0, |t, _| {
            let note = [523.0, 659.0, 784.0, 1_047.0][(t as usize).min(3)];
            0.3 * tone(t, note) * (-(t % 1.0) * 4.0).exp()
        }),
    ]);
    noises.push(dtmf());
    noises
}

/// All sixteen keys, 120 ms each with 120 ms between.
fn dtmf() -> Noise {
    let (low, high) = ([697.0, 770.0, 852.0, 941.0], [1_209.0, 1_336.0, 1_477.0, 1_633.0]);
    noise("dtmf", 4.0, move |t, _| {
        let key = (t / 0.24) as usize % 16;
        if t % 0.24 < 0.12 { 0.15 * (tone(t, low[key / 4]) + tone(t, high[key % 4])) } else { 0.0 }
    })
}

fn noise(name: impl Into<String>, seconds: f32, mut sample: impl FnMut(f32, &mut Random) -> f32) -> Noise {
    let mut random = Random::default();
    let samples = (0..(seconds * RATE) as usize).map(|n| sample(n as f32 / RATE, &mut random) * 32_767.0);
    Noise { name: name.into(), pcm: samples.map(|sample| sample as i16).collect() }
}

fn tone(t: f32, hz: f32) -> f32 {
    (TAU * (t * hz).fract()).sin()
}

/// Noise of a level of about one (root mean square), by a generator of numbers that is the same everywhere.
struct Random {
    seed: u32,
    pink: [f32; 3],
    brown: f32,
}

impl Default for Random {
    fn default() -> Self {
        Self { seed: 0x2545_f491, pink: [0.0; 3], brown: 0.0 }
    }
}

impl Random {
    fn white(&mut self) -> f32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        (self.seed as f32 / u32::MAX as f32 * 2.0 - 1.0) * 3f32.sqrt()
    }

    /// Three poles that fall 3 dB an octave, within half a decibel (Paul Kellet's economy filter).
    fn pink(&mut self) -> f32 {
        let white = self.white();
        self.pink[0] = 0.997_65 * self.pink[0] + white * 0.099_046;
        self.pink[1] = 0.963 * self.pink[1] + white * 0.296_516_4;
        self.pink[2] = 0.57 * self.pink[2] + white * 1.052_691_3;
        (self.pink.iter().sum::<f32>() + white * 0.184_8) / 2.5
    }

    fn brown(&mut self) -> f32 {
        self.brown = 0.98 * self.brown + 0.199 * self.white();
        self.brown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::mix::level_dbfs;

    #[test]
    fn noises_are_as_loud_as_they_say_and_do_not_clip() {
        for noise in all() {
            let clipped = noise.pcm.iter().filter(|sample| sample.unsigned_abs() >= 32_767).count();
            assert!(clipped * 200 < noise.pcm.len(), "{} clips", noise.name);
            if let Some(said) = noise.name.strip_suffix(" dBFS long").and_then(|name| name.rsplit(' ').next()) {
                let said: f32 = said.parse().expect("a level");
                let level = level_dbfs(&noise.pcm);
                assert!((level - said).abs() < 2.5, "{}: {level}", noise.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_sounds_the_same_each_time() {
        let (one, other) = (all(), all());
        let names: std::collections::HashSet<_> = one.iter().map(|noise| &noise.name).collect();
        assert_eq!(names.len(), one.len());
        assert!(one.iter().zip(&other).all(|(a, b)| a.pcm == b.pcm));
    }
}
