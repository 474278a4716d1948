//! Sounds of a line on which nobody speaks: half an hour, generated, the same each time.
//!
//! Silence and comfort noise, what telephones do, music, what hands and machines do, coughs and animals, the street. All
//! of it is made up of tones, filtered noise and short events at random times; nothing is recorded, so nothing needs a
//! licence. Recorded hold music and screaming monkeys come on top where the packages are installed
//! ([`super::recordings::noises`]).

use std::f32::consts::TAU;

/// A sound without words, 16 kHz mono.
pub struct Noise {
    /// What it is.
    pub name: String,
    /// How long it is.
    pub seconds: f32,
    make: Make,
}

enum Make {
    Generated(Box<dyn Fn(f32) -> Vec<f32> + Send + Sync>),
    Recorded(Vec<i16>),
}

const RATE: f32 = 16_000.0;

impl Noise {
    /// A sound from a file.
    pub fn recorded(name: impl Into<String>, pcm: Vec<i16>) -> Self {
        Self { name: name.into(), seconds: pcm.len() as f32 / RATE, make: Make::Recorded(pcm) }
    }

    /// The samples.
    pub fn pcm(&self) -> Vec<i16> {
        match &self.make {
            Make::Generated(make) => make(self.seconds).into_iter().map(|sample| (sample * 32_767.0) as i16).collect(),
            Make::Recorded(pcm) => pcm.clone(),
        }
    }
}

/// All of them: half an hour.
pub fn all() -> Vec<Noise> {
    [lines(), signals(), music(), hands(), bodies(), outside()].into_iter().flatten().collect()
}

/// Silence, comfort noise, hum.
fn lines() -> Vec<Noise> {
    let mut noises = vec![steady("silence", 40.0, |_, _| 0.0)];
    for dbfs in [-60, -50, -40, -31, -20] {
        let gain = 10f32.powf(dbfs as f32 / 20.0);
        noises.push(steady(format!("white noise {dbfs} dBFS"), 20.0, move |_, random| random.white() * gain));
        noises.push(steady(format!("pink noise {dbfs} dBFS"), 20.0, move |_, random| random.pink() * gain));
        noises.push(steady(format!("brown noise {dbfs} dBFS"), 20.0, move |_, random| random.brown() * gain));
    }
    noises.extend([
        steady("comfort noise that comes and goes", 60.0, |t, random| on(t, 3.0, 1.4) * 0.004 * random.pink()),
        steady("mains hum", 30.0, |t, _| 0.06 * tone(t, 100.0) + 0.03 * tone(t, 200.0) + 0.02 * tone(t, 300.0)),
        steady("mobile telephone near a cable", 30.0, |t, _| on(t, 1.2, 0.7) * 0.2 * on(t, 1.0 / 217.0, 0.000_6)),
        events("crackle", 30.0, (0.01, 0.4), |random| {
            let gain = 0.5 * random.uniform();
            burst(0.002, random, move |_, random| gain * random.white())
        }),
    ]);
    noises
}

/// What telephones and their exchanges do.
fn signals() -> Vec<Noise> {
    let pair = |t: f32, low: f32, high: f32| 0.12 * (tone(t, low) + tone(t, high));
    vec![
        steady("dial tone", 20.0, move |t, _| pair(t, 350.0, 440.0)),
        steady("ringback, American", 36.0, move |t, _| on(t, 6.0, 2.0) * pair(t, 440.0, 480.0)),
        steady("ringback, British", 30.0, move |t, _| {
            (on(t, 3.0, 0.4) + on(t + 2.4, 3.0, 0.4)) * pair(t, 400.0, 450.0)
        }),
        steady("ringback, European", 35.0, |t, _| on(t, 5.0, 1.0) * 0.2 * tone(t, 425.0)),
        steady("busy, American", 30.0, move |t, _| on(t, 1.0, 0.5) * pair(t, 480.0, 620.0)),
        steady("busy, European", 30.0, |t, _| on(t, 1.0, 0.5) * 0.2 * tone(t, 425.0)),
        steady("congestion", 20.0, move |t, _| on(t, 0.5, 0.25) * pair(t, 480.0, 620.0)),
        steady("intercept", 20.0, |t, _| {
            let hz = [950.0, 1_400.0, 1_800.0][((t % 2.0) / 0.33).min(2.0) as usize];
            on(t, 2.0, 1.0) * 0.15 * tone(t, hz)
        }),
        steady("call waiting", 30.0, |t, _| on(t, 10.0, 0.3) * 0.2 * tone(t, 440.0)),
        steady("fax calling", 30.0, |t, _| on(t, 3.5, 0.5) * 0.15 * tone(t, 1_100.0)),
        steady("modem", 30.0, |t, random| {
            0.15 * tone(t, if random.held((t * 300.0) as u32) < 0.5 { 1_200.0 } else { 2_200.0 })
        }),
        steady("beeps", 20.0, |t, _| on(t, 2.0, 0.4) * 0.2 * tone(t, 1_000.0)),
        steady("sweeps", 20.0, |t, _| {
            let t = t % 4.0;
            0.15 * (TAU * (200.0 * t + 350.0 * t * t)).sin()
        }),
        events("dtmf", 60.0, (0.05, 0.6), move |random| {
            let (low, high) = ([697.0, 770.0, 852.0, 941.0], [1_209.0, 1_336.0, 1_477.0, 1_633.0]);
            let (low, high) = (low[random.below(4)], high[random.below(4)]);
            let seconds = random.between(0.06, 0.4);
            burst(seconds, random, move |t, _| pair(t, low, high))
        }),
    ]
}

/// Hold music of three kinds, and chimes.
fn music() -> Vec<Noise> {
    const SCALE: [f32; 8] = [261.6, 293.7, 329.6, 392.0, 440.0, 523.3, 587.3, 659.3];
    vec![
        events("music: plucked", 60.0, (0.0, 0.3), |random| {
            let hz = SCALE[random.below(8)];
            burst(0.9, random, move |t, _| {
                let harmonics = (1..6).map(|n| tone(t, hz * n as f32) / n as f32);
                0.12 * harmonics.sum::<f32>() * (-t * 5.0).exp()
            })
        }),
        steady("music: organ chords", 60.0, |t, random| {
            let root = SCALE[(random.held((t / 2.0) as u32) * 5.0) as usize] / 2.0;
            let chord = [1.0, 1.25, 1.5, 2.0].map(|ratio| tone(t, root * ratio) + 0.3 * tone(t, 2.0 * root * ratio));
            0.05 * chord.iter().sum::<f32>() * (1.0 + 0.2 * tone(t, 5.5))
        }),
        steady("music: drums and bass", 60.0, |t, random| {
            let beat = t % 0.5;
            let drum = 0.5 * tone(beat, 90.0 - 60.0 * beat) * (-beat * 14.0).exp();
            let hat = 0.12 * random.white() * (-(t % 0.25) * 60.0).exp();
            let bass = 0.15 * tone(t, SCALE[(random.held((t / 1.0) as u32) * 8.0) as usize] / 4.0);
            drum + hat + bass
        }),
        events("chimes", 30.0, (0.5, 2.5), |random| {
            let hz = SCALE[random.below(8)] * 2.0;
            burst(1.5, random, move |t, _| 0.25 * (tone(t, hz) + 0.4 * tone(t, hz * 2.76)) * (-t * 4.0).exp())
        }),
        events("whistling", 30.0, (0.2, 1.0), |random| {
            let (from, to) = (random.between(800.0, 1_600.0), random.between(800.0, 1_600.0));
            burst(0.6, random, move |t, _| 0.15 * (TAU * (from * t + (to - from) * t * t / 1.2)).sin() * hump(t / 0.6))
        }),
    ]
}

/// What hands and machines do.
fn hands() -> Vec<Noise> {
    vec![
        events("keyboard", 90.0, (0.04, 0.35), |random| {
            let gain = random.between(0.1, 0.4);
            let mut body = Resonator::new(random.between(1_500.0, 3_500.0), 0.96);
            burst(0.05, random, move |t, random| gain * body.push(random.white() * (-t * 180.0).exp()))
        }),
        events("mouse clicks", 30.0, (0.2, 2.0), |random| {
            let mut body = Resonator::new(2_800.0, 0.97);
            burst(0.03, random, move |t, random| 0.3 * body.push(random.white() * (-t * 300.0).exp()))
        }),
        events("knocking and footsteps", 40.0, (0.25, 0.7), |random| {
            let (hz, gain) = (random.between(80.0, 200.0), random.between(0.2, 0.6));
            burst(0.2, random, move |t, random| gain * (tone(t, hz) + 0.3 * random.brown()) * (-t * 30.0).exp())
        }),
        events("handset being moved", 40.0, (0.1, 1.0), |random| {
            let (seconds, gain) = (random.between(0.05, 0.4), random.between(0.1, 0.7));
            burst(seconds, random, move |t, random| gain * random.brown() * hump(t / seconds))
        }),
        events("paper", 30.0, (0.05, 0.5), |random| {
            let (seconds, gain) = (random.between(0.05, 0.3), random.between(0.02, 0.15));
            burst(seconds, random, move |t, random| {
                let grain = if random.uniform() < 0.15 { 1.0 } else { 0.2 };
                gain * grain * random.white() * hump(t / seconds)
            })
        }),
        events("dishes", 30.0, (0.2, 1.5), |random| {
            let hz = random.between(1_800.0, 3_200.0);
            burst(0.5, random, move |t, _| 0.25 * (tone(t, hz) + 0.6 * tone(t, hz * 1.52)) * (-t * 14.0).exp())
        }),
        steady("clock", 30.0, |t, random| 0.2 * random.white() * (-(t % 1.0) * 400.0).exp()),
        steady("fan", 30.0, |t, random| 0.06 * random.pink() * (1.0 + 0.2 * tone(t, 23.0)) + 0.02 * tone(t, 184.0)),
        steady("vacuum cleaner", 30.0, |t, random| {
            0.12 * random.white() + 0.1 * tone(t, 240.0) + 0.05 * tone(t, 480.0)
        }),
        events("printer", 30.0, (0.1, 0.8), |random| {
            let hz = random.between(300.0, 900.0);
            burst(0.5, random, move |t, random| 0.12 * tone(t, hz).signum() * on(t, 0.05, 0.03) + 0.03 * random.white())
        }),
    ]
}

/// Coughs, breath, animals: closest to a voice.
fn bodies() -> Vec<Noise> {
    vec![
        events("coughs", 90.0, (0.3, 3.0), |random| {
            let (first, second) = (random.between(500.0, 900.0), random.between(1_200.0, 2_000.0));
            let mut mouth = [Resonator::new(first, 0.97), Resonator::new(second, 0.96)];
            let (seconds, gain) = (random.between(0.2, 0.45), random.between(0.3, 0.8));
            burst(seconds, random, move |t, random| {
                let air = random.white() * (-t * 12.0).exp() * (t * 200.0).min(1.0);
                gain * mouth.iter_mut().map(|tube| tube.push(air)).sum::<f32>()
            })
        }),
        events("throat being cleared", 60.0, (0.8, 3.0), |random| {
            let (hz, seconds) = (random.between(70.0, 120.0), random.between(0.3, 0.7));
            let mut mouth = [Resonator::new(450.0, 0.97), Resonator::new(1_100.0, 0.96)];
            burst(seconds, random, move |t, random| {
                let rough = (t * hz).fract() * 2.0 - 1.0 + 0.8 * random.white();
                0.3 * hump(t / seconds) * mouth.iter_mut().map(|tube| tube.push(rough)).sum::<f32>()
            })
        }),
        events("sneezes and sniffs", 40.0, (0.5, 3.0), |random| {
            let mut nose = Resonator::new(random.between(1_800.0, 3_000.0), 0.9);
            let (seconds, gain) = (random.between(0.15, 0.5), random.between(0.2, 0.6));
            burst(seconds, random, move |t, random| gain * nose.push(random.white()) * hump(t / seconds))
        }),
        steady("breath", 60.0, |t, random| 0.12 * (TAU * t / 4.0).sin().powi(4) * random.pink()),
        events("breath into the handset", 30.0, (0.6, 2.0), |random| {
            burst(0.8, random, move |t, random| 0.5 * random.brown() * hump(t / 0.8))
        }),
        events("dog", 40.0, (0.2, 2.0), |random| {
            let hz = random.between(250.0, 450.0);
            let mut mouth = [Resonator::new(700.0, 0.97), Resonator::new(1_400.0, 0.96)];
            burst(0.22, random, move |t, random| {
                let voice = (t * hz * (1.0 - t)).fract() * 2.0 - 1.0 + 0.5 * random.white();
                0.4 * hump(t / 0.22) * mouth.iter_mut().map(|tube| tube.push(voice)).sum::<f32>()
            })
        }),
        events("birds", 30.0, (0.05, 0.8), |random| {
            let (hz, turn) = (random.between(2_000.0, 3_300.0), random.between(-2_000.0, 2_000.0));
            burst(0.12, random, move |t, _| 0.1 * (TAU * (hz * t + turn * t * t)).sin() * hump(t / 0.12))
        }),
        events("baby", 40.0, (0.4, 1.5), |random| {
            let (hz, seconds) = (random.between(380.0, 520.0), random.between(0.6, 1.2));
            let mut mouth =
                [Resonator::new(1_000.0, 0.97), Resonator::new(1_700.0, 0.96), Resonator::new(3_000.0, 0.95)];
            burst(seconds, random, move |t, random| {
                let pitch = hz * (1.0 + 0.15 * hump(t / seconds)) * t;
                let cry = pitch.fract() * 2.0 - 1.0 + 0.2 * random.white();
                0.15 * hump(t / seconds) * mouth.iter_mut().map(|tube| tube.push(cry)).sum::<f32>()
            })
        }),
    ]
}

/// Street and weather.
fn outside() -> Vec<Noise> {
    vec![
        steady("street", 120.0, |t, random| {
            let passing = (TAU * t / 11.0).sin().powi(6) + 0.6 * (TAU * t / 7.3).sin().powi(8);
            let horn = on(t, 23.0, 0.7) * 0.12 * (tone(t, 420.0) + tone(t, 530.0));
            0.05 * random.brown() + passing * (0.2 * random.brown() + 0.05 * random.pink()) + horn
        }),
        steady("siren", 30.0, |t, _| 0.15 * (TAU * (900.0 * t - 180.0 * (TAU * t / 3.0).cos())).sin()),
        steady("engine", 30.0, |t, random| {
            let rumble = (1..8).map(|n| tone(t, 27.0 * n as f32) / n as f32).sum::<f32>();
            0.15 * rumble * (1.0 + 0.1 * random.held((t * 30.0) as u32)) + 0.04 * random.brown()
        }),
        steady("train", 30.0, |t, random| {
            let wheels = (-(t % 0.7) * 25.0).exp() + (-((t + 0.55) % 0.7) * 25.0).exp();
            0.1 * random.brown() + 0.3 * wheels * random.pink()
        }),
        steady(
            "rain",
            30.0,
            |_, random| if random.uniform() < 0.02 { 0.3 * random.white() } else { 0.03 * random.white() },
        ),
        steady("wind", 30.0, |t, random| 0.25 * (0.6 + 0.4 * tone(t, 0.7)) * random.brown()),
        steady(
            "applause",
            20.0,
            |_, random| if random.uniform() < 0.05 { 0.5 * random.white() } else { 0.05 * random.white() },
        ),
        events("doors", 30.0, (0.8, 3.0), |random| {
            burst(0.6, random, |t, random| 0.7 * (random.brown() + 0.5 * tone(t, 65.0)) * (-t * 12.0).exp())
        }),
    ]
}

/// A sound made sample by sample.
fn steady(
    name: impl Into<String>,
    seconds: f32,
    sample: impl Fn(f32, &mut Random) -> f32 + Send + Sync + 'static,
) -> Noise {
    let name = name.into();
    let seed = seed_of(&name);
    let make = move |seconds: f32| {
        let mut random = Random::new(seed);
        (0..(seconds * RATE) as usize).map(|n| sample(n as f32 / RATE, &mut random)).collect()
    };
    Noise { name, seconds, make: Make::Generated(Box::new(make)) }
}

/// Short sounds one after the other, with pauses of `gap` seconds.
fn events(
    name: impl Into<String>,
    seconds: f32,
    gap: (f32, f32),
    event: impl Fn(&mut Random) -> Vec<f32> + Send + Sync + 'static,
) -> Noise {
    let name = name.into();
    let seed = seed_of(&name);
    let make = move |seconds: f32| {
        let mut random = Random::new(seed);
        let mut pcm = Vec::new();
        while pcm.len() < (seconds * RATE) as usize {
            let pause = random.between(gap.0, gap.1);
            pcm.extend(std::iter::repeat_n(0.0, (pause * RATE) as usize));
            pcm.extend(event(&mut random));
        }
        pcm.truncate((seconds * RATE) as usize);
        pcm
    };
    Noise { name, seconds, make: Make::Generated(Box::new(make)) }
}

fn burst(seconds: f32, random: &mut Random, mut sample: impl FnMut(f32, &mut Random) -> f32) -> Vec<f32> {
    (0..(seconds * RATE) as usize).map(|n| sample(n as f32 / RATE, random)).collect()
}

fn tone(t: f32, hz: f32) -> f32 {
    // Twice the precision: after a minute the phase of a high tone would be made of noise.
    ((f64::from(t) * f64::from(hz)).fract() * std::f64::consts::TAU).sin() as f32
}

/// 1 for `length` seconds in each `period`, else 0.
fn on(t: f32, period: f32, length: f32) -> f32 {
    if t % period < length { 1.0 } else { 0.0 }
}

/// Rises from 0 to 1 and falls back as `share` goes from 0 to 1.
fn hump(share: f32) -> f32 {
    (std::f32::consts::PI * share.clamp(0.0, 1.0)).sin()
}

fn seed_of(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A tube that rings at one frequency.
struct Resonator {
    feedback: [f32; 2],
    gain: f32,
    last: [f32; 2],
}

impl Resonator {
    fn new(hz: f32, radius: f32) -> Self {
        let cos = (TAU * hz / RATE).cos();
        Self { feedback: [2.0 * radius * cos, -radius * radius], gain: 1.0 - radius, last: [0.0; 2] }
    }

    fn push(&mut self, sample: f32) -> f32 {
        let out = self.gain * sample + self.feedback[0] * self.last[0] + self.feedback[1] * self.last[1];
        self.last = [out, self.last[0]];
        out
    }
}

/// Noise of a level of about one (root mean square), by a generator of numbers that is the same everywhere.
pub struct Random {
    state: u32,
    pink: [f32; 3],
    brown: f32,
    held: (u32, f32),
}

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u32) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9) ^ 0x2545_f491;
        Self { state: state.max(1), pink: [0.0; 3], brown: 0.0, held: (u32::MAX, 0.0) }
    }

    /// 0 to 1.
    pub fn uniform(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state as f32 / u32::MAX as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f32) as usize).min(count - 1)
    }

    /// A number below 1 that stays the same while `step` does.
    fn held(&mut self, step: u32) -> f32 {
        if self.held.0 != step {
            self.held = (step, self.uniform().min(0.999));
        }
        self.held.1
    }

    fn white(&mut self) -> f32 {
        (self.uniform() * 2.0 - 1.0) * 3f32.sqrt()
    }

    /// Three poles that fall 3 dB an octave, within half a decibel (Paul Kellet's economy filter).
    pub fn pink(&mut self) -> f32 {
        let white = self.white();
        self.pink[0] = 0.997_65 * self.pink[0] + white * 0.099_046;
        self.pink[1] = 0.963 * self.pink[1] + white * 0.296_516_4;
        self.pink[2] = 0.57 * self.pink[2] + white * 1.052_691_3;
        (self.pink.iter().sum::<f32>() + white * 0.184_8) / 3.03
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
    fn it_is_half_an_hour_of_sounds_that_do_not_clip() {
        let noises = all();
        let seconds: f32 = noises.iter().map(|noise| noise.seconds).sum();
        assert!(seconds >= 1_800.0, "{seconds}");
        let names: std::collections::HashSet<_> = noises.iter().map(|noise| &noise.name).collect();
        assert_eq!(names.len(), noises.len());
        for noise in noises {
            let pcm = noise.pcm();
            assert_eq!(pcm.len(), (noise.seconds * RATE) as usize, "{}", noise.name);
            let clipped = pcm.iter().filter(|sample| sample.unsigned_abs() >= 32_767).count();
            assert!(clipped * 100 < pcm.len(), "{} clips {clipped} times", noise.name);
            let level = level_dbfs(&pcm);
            assert!(noise.name == "silence" || level > -70.0, "{} is inaudible: {level}", noise.name);
            if let Some(said) = noise.name.strip_suffix(" dBFS").and_then(|name| name.rsplit(' ').next()) {
                let said: f32 = said.parse().expect("a level");
                assert!((level - said).abs() < 2.5, "{}: {level}", noise.name);
            }
        }
    }

    #[test]
    fn sounds_are_the_same_each_time() {
        let (one, other) = (all(), all());
        for index in [1, 20, 40, 50] {
            assert!(one[index].pcm() == other[index].pcm(), "{}", one[index].name);
        }
    }
}
