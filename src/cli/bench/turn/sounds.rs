//! What the callers of `warmline bench turn` sound like, 16 kHz mono, the same for the same seed.
//!
//! - *Meant*: recordings of people (read sentences and prompts), and sentences of many synthetic voices, so that a judge
//!   can't get by on telling people from machines.
//! - *Not meant*: "mm-hm" and its kin, spoken by the same synthetic voices; generated coughs and clicks.
//! - *Dictated*: recorded digits in groups, with pauses between the groups.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::audio::mix::level_dbfs;
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::cli::bench::recordings::find;
use crate::cli::{CliError, explain};

/// Debian's `asterisk-core-sounds-en-wav`: prompts, one speaker, studio, 8 kHz; and its digits.
const PROMPTS: &str = "usr/share/asterisk/sounds/en_US_f_Allison";
/// Debian's `pocketsphinx-testdata`: several speakers, some noisy, 16 kHz.
const READ: [&str; 3] = [
    "usr/share/pocketsphinx/test/data/cards",
    "usr/share/pocketsphinx/test/data/librivox",
    "usr/share/pocketsphinx/test/data",
];
const REMEDY: &str = "Get them with scripts/fetch-recordings.";
/// Voices of espeak-ng that differ in pitch, timbre and accent.
const VOICES: [&str; 16] = [
    "en-us+m1",
    "en-us+m2",
    "en-us+m3",
    "en-us+m4",
    "en-us+m5",
    "en-us+m6",
    "en-us+m7",
    "en-us+m8",
    "en-us+f1",
    "en-us+f2",
    "en-us+f3",
    "en-us+f4",
    "en-us+f5",
    "en-us+klatt3",
    "en-gb-scotland",
    "en-gb-x-rp",
];
/// What they are called, and what espeak-ng is given: it spells "mm-hm" out, letter by letter, unless it gets the sounds.
const BACKCHANNELS: [(&str, &str); 10] = [
    ("mm-hm", "[[m-h'm-]]"),
    ("uh-huh", "uh-huh"),
    ("yeah", "yeah"),
    ("okay", "okay"),
    ("right", "right"),
    ("yes", "yes"),
    ("sure", "sure"),
    ("mmm", "[[m-:]]"),
    ("I see", "I see"),
    ("oh", "oh"),
];
const INTERRUPTIONS: [&str; 6] = [
    "Wait, I have another question.",
    "No, that is not what I meant.",
    "Sorry, can I ask something else?",
    "Actually, I want to return it.",
    "How much is it again?",
    "Stop, that is the wrong order.",
];
const STEP: usize = 160;

/// Numbers that look random and are the same each time.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// By `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// One of the whole numbers from `least` to below `most`.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        least + (self.unit() * (most - least) as f32) as u32
    }
}

/// One thing a caller may say or do while we speak.
#[derive(Clone, Debug)]
pub struct Sound {
    /// `people`, `voices`, `backchannel`, `cough`, `click`.
    pub kind: &'static str,
    /// What it is.
    pub name: String,
    /// From its onset on.
    pub pcm: Vec<i16>,
    /// Which half of the material it belongs to: rules are fitted on one and judged on the other.
    pub tuning: bool,
}

/// All of them.
pub fn all(dice: &mut Dice, prompts: usize) -> Result<Vec<Sound>, CliError> {
    let mut sounds = Vec::new();
    for (n, (name, pcm)) in people(prompts)?.into_iter().enumerate() {
        if pcm.len() > SampleRate::WIDEBAND.samples_in(Millis(700)) {
            sounds.push(Sound { kind: "people", name, pcm, tuning: n % 2 == 0 });
        }
    }
    for (n, voice) in VOICES.iter().enumerate() {
        let lines = BACKCHANNELS.iter().map(|(line, said)| ("backchannel", *line, *said));
        for (kind, line, said) in lines.chain(INTERRUPTIONS.iter().map(|line| ("voices", *line, *line))) {
            let speed = dice.between(140, 200);
            let pcm = trimmed(&spoken(voice, said, speed)?);
            sounds.push(Sound { kind, name: format!("{line} ({voice}, {speed})"), pcm, tuning: n % 2 == 0 });
        }
    }
    for n in 0..60 {
        let (kind, pcm) = if n % 3 < 2 { ("cough", cough(dice)) } else { ("click", click(dice)) };
        sounds.push(Sound { kind, name: format!("{kind} {n}"), pcm, tuning: n / 3 % 2 == 0 });
    }
    for sound in &mut sounds {
        // Nobody speaks at one level; the kinds do not differ in it, so that it tells nothing.
        set_level(&mut sound.pcm, -30.0 + 12.0 * dice.unit());
    }
    Ok(sounds)
}

/// A sentence with a pause spliced in at its quietest place, and how long each is.
pub struct Spliced {
    /// What is said.
    pub name: String,
    /// The sound.
    pub pcm: Vec<i16>,
    /// The longest pause in it.
    pub pause: Millis,
    /// Which half of the material.
    pub tuning: bool,
}

/// Recorded sentences, each with one pause.
pub fn sentences(dice: &mut Dice, prompts: usize) -> Result<Vec<Spliced>, CliError> {
    let mut spliced = Vec::new();
    for (n, (name, mut pcm)) in people(prompts)?.into_iter().enumerate() {
        if pcm.len() < SampleRate::WIDEBAND.samples_in(Millis(1_400)) {
            continue;
        }
        set_level(&mut pcm, -24.0);
        let pause = Millis([300, 500, 700, 900][n / 2 % 4]);
        let middle = pcm.len() * 3 / 10..pcm.len() * 7 / 10;
        let window = 4 * STEP;
        let Some(at) = middle
            .step_by(STEP)
            .min_by(|a, b| level_dbfs(&pcm[*a..*a + window]).total_cmp(&level_dbfs(&pcm[*b..*b + window])))
        else {
            continue;
        };
        // A place inside a word is no place for a pause.
        if level_dbfs(&pcm[at..at + window]) > level_dbfs(&pcm) - 15.0 {
            continue;
        }
        let mut sound = pcm[..at + window / 2].to_vec();
        sound.extend(noise(dice, pause));
        sound.extend_from_slice(&pcm[at + window / 2..]);
        spliced.push(Spliced { name, pcm: sound, pause, tuning: n % 2 == 0 });
    }
    Ok(spliced)
}

/// Numbers of 8 to 16 digits in groups of two to four, 300 to 900 ms between the groups.
pub fn numbers(dice: &mut Dice, count: usize) -> Result<Vec<Spliced>, CliError> {
    let digits: Vec<Vec<i16>> = (0..10)
        .map(|digit| read(&find(PROMPTS).join(format!("digits/{digit}.wav"))).map(|pcm| trimmed(&pcm)))
        .collect::<Result<_, _>>()?;
    let mut numbers = Vec::new();
    for n in 0..count {
        let groups = dice.between(3, 5);
        let (mut pcm, mut name, mut longest) = (Vec::new(), String::new(), Millis::ZERO);
        for group in 0..groups {
            if group > 0 {
                let pause = Millis(dice.between(300, 901));
                longest = longest.max(pause);
                pcm.extend(noise(dice, pause));
                name.push(' ');
            }
            for _ in 0..dice.between(2, 5) {
                let digit = dice.between(0, 10);
                name.push_str(&digit.to_string());
                pcm.extend_from_slice(&digits[digit as usize]);
                pcm.extend(noise(dice, Millis(40)));
            }
        }
        set_level(&mut pcm, -24.0);
        numbers.push(Spliced { name, pcm, pause: longest, tuning: n % 2 == 0 });
    }
    Ok(numbers)
}

/// All read sentences, and `prompts` prompts spread evenly over all there are: name and samples, silence cut off.
fn people(prompts: usize) -> Result<Vec<(String, Vec<i16>)>, CliError> {
    let mut found = Vec::new();
    for folder in READ {
        found.extend(files(&find(folder))?);
    }
    let all = files(&find(PROMPTS))?;
    let step = (all.len() / prompts.max(1)).max(1);
    found.extend(all.into_iter().step_by(step).take(prompts));
    let name = |path: &Path| path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    found.iter().map(|path| Ok((name(path), trimmed(&read(path)?)))).collect()
}

/// Recordings in a folder, by name. Names that say what is no speech are left out.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |error: std::io::Error| CliError::usage(format!("{}: {error}", folder.display()), REMEDY);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let speech = !["beep", "tone", "ring", "silence"].iter().any(|sound| name.contains(sound));
        let known = path.extension().is_some_and(|extension| extension == "wav" || extension == "raw");
        if speech && known {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A line on which nobody speaks, −66 dBFS.
pub fn noise(dice: &mut Dice, span: Millis) -> Vec<i16> {
    (0..SampleRate::WIDEBAND.samples_in(span)).map(|_| ((dice.unit() - 0.5) * 56.0) as i16).collect()
}

/// Samples of a recording.
pub fn read(path: &Path) -> Result<Vec<i16>, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed(format!("{}: {error}", path.display()), "");
    if path.extension().is_some_and(|extension| extension == "raw") {
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        return Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect());
    }
    wav::read(path).map_err(|error| failed(&explain(&error)))
}

fn spoken(voice: &str, line: &str, speed: u32) -> Result<Vec<i16>, CliError> {
    let remedy = "Install it: apt-get install espeak-ng";
    let failed = |what: String| CliError::usage(format!("espeak-ng can't speak: {what}"), remedy);
    let file = tempfile::Builder::new().suffix(".wav").tempfile().map_err(|error| failed(error.to_string()))?;
    let status = Command::new("espeak-ng")
        .args(["-v", voice, "-s", &speed.to_string(), "-w"])
        .arg(file.path())
        .arg(line)
        .status()
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    read(file.path())
}

/// From the first to the last 10 ms no more than 30 dB below the loudest.
fn trimmed(pcm: &[i16]) -> Vec<i16> {
    let levels: Vec<f32> = pcm.chunks(STEP).map(level_dbfs).collect();
    let loudest = levels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let loud = |level: &f32| *level > loudest - 30.0;
    let (first, last) = (levels.iter().position(loud), levels.iter().rposition(loud));
    match (first, last) {
        (Some(first), Some(last)) => pcm[first * STEP..((last + 1) * STEP).min(pcm.len())].to_vec(),
        _ => Vec::new(),
    }
}

/// Brings the loud part of `pcm` to `dbfs`.
fn set_level(pcm: &mut [i16], dbfs: f32) {
    let mut levels: Vec<f32> = pcm.chunks(STEP).map(level_dbfs).collect();
    levels.sort_by(f32::total_cmp);
    let Some(loud) = levels.get(levels.len() * 8 / 10) else { return };
    let gain = 10f32.powf((dbfs - loud) / 20.0);
    for sample in pcm {
        *sample = (f32::from(*sample) * gain) as i16;
    }
}

/// A burst of noise through a throat, once or twice, the second one weaker.
fn cough(dice: &mut Dice) -> Vec<i16> {
    let mut pcm = Vec::new();
    for burst in 0..dice.between(1, 3) {
        let span = dice.between(120, 280) as usize * 16;
        let (formant, voiced) = (500.0 + 900.0 * dice.unit(), 0.4 * dice.unit());
        let (mut a, mut b, radius) = (0.0f32, 0.0f32, 0.93f32);
        let turn = 2.0 * radius * (std::f32::consts::TAU * formant / 16_000.0).cos();
        for n in 0..span {
            let t = n as f32 / span as f32;
            let hum = (std::f32::consts::TAU * 140.0 * n as f32 / 16_000.0).sin() * voiced * t;
            let source = (dice.unit() - 0.5) * (1.0 - 0.5 * t) + hum;
            let out = source + turn * a - radius * radius * b;
            (b, a) = (a, out);
            let envelope = (t * 30.0).min(1.0) * (1.0 - t).powf(1.3) * if burst == 0 { 1.0 } else { 0.6 };
            pcm.push((out * envelope * 2_500.0) as i16);
        }
        pcm.extend(noise(dice, Millis(120)));
    }
    pcm
}

fn click(dice: &mut Dice) -> Vec<i16> {
    let mut pcm = Vec::new();
    for _ in 0..dice.between(1, 4) {
        let span = dice.between(2, 30) as usize * 16;
        pcm.extend((0..span).map(|n| {
            let t = n as f32 / span as f32;
            ((dice.unit() - 0.5) * (-6.0 * t).exp() * 40_000.0) as i16
        }));
        let gap = Millis(dice.between(60, 200));
        pcm.extend(noise(dice, gap));
    }
    pcm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_the_same_way_for_the_same_seed() {
        let thrown = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| dice.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(thrown(5), thrown(5));
        assert_ne!(thrown(5), thrown(6));
        assert!((3..9).all(|face| thrown(5).contains(&face)) && thrown(5).iter().all(|face| (3..9).contains(face)));
    }

    #[test]
    fn sounds_are_cut_to_what_is_heard_and_brought_to_a_level() {
        let mut dice = Dice::new(1);
        let mut pcm = noise(&mut dice, Millis(200));
        pcm.extend((0..8_000).map(|n| if n % 40 < 20 { 2_000 } else { -2_000 }));
        pcm.extend(noise(&mut dice, Millis(300)));
        let mut cut = trimmed(&pcm);
        assert_eq!(cut.len(), 8_000);
        set_level(&mut cut, -30.0);
        assert!((level_dbfs(&cut) + 30.0).abs() < 0.1);
        assert!(trimmed(&[]).is_empty());
        for _ in 0..20 {
            assert!(level_dbfs(&cough(&mut dice)) > -45.0 && level_dbfs(&click(&mut dice)) > -55.0);
        }
    }
}
