//! What every voice detector must do, tried on all of them; and the sounds the tests use.

use std::ops::RangeInclusive;

use super::energy::EnergyVad;
use super::fake::FakeVad;
use super::{VadError, VadFactory};
use crate::audio::units::Probability;

/// A sine of `hz` at `dbfs` (root mean square), `ms` long, 16 kHz.
pub fn tone(hz: f32, dbfs: f32, ms: usize) -> Vec<i16> {
    let peak = 10f32.powf(dbfs / 20.0) * std::f32::consts::SQRT_2 * 32_767.0;
    let angle = |n: usize| (n as f32 / 16_000.0 * hz).fract() * std::f32::consts::TAU;
    (0..ms * 16).map(|n| (angle(n).sin() * peak) as i16).collect()
}

/// White noise at `dbfs`, `ms` long, 16 kHz, the same each time.
pub fn noise(dbfs: f32, ms: usize) -> Vec<i16> {
    let peak = 10f32.powf(dbfs / 20.0) * 3f32.sqrt() * 32_767.0;
    let mut seed = 0x2545_f491_u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..ms * 16).map(|_| (next() * peak) as i16).collect()
}

#[cfg(feature = "onnx")]
mod real {
    use std::path::PathBuf;

    use crate::engine::onnx;
    use crate::engine::vad::silero::SileroVad;

    /// The folder `warmline models fetch` fills.
    fn models() -> PathBuf {
        let home = std::env::var_os("HOME").expect("a home folder");
        PathBuf::from(home).join(".cache/warmline/models")
    }

    pub fn runtime() -> &'static onnx::Runtime {
        onnx::runtime(&models().join("libonnxruntime.so.1.32.0")).expect("ONNX Runtime is fetched")
    }

    pub fn silero() -> SileroVad {
        SileroVad::load(runtime(), &models().join("silero-vad.onnx"), 1).expect("Silero is fetched")
    }

    /// Read speech at 16 kHz, from Debian's pocketsphinx-testdata.
    pub fn recorded_speech() -> Vec<i16> {
        let path = "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0870.wav";
        let mut reader = hound::WavReader::open(path).expect("pocketsphinx-testdata is installed");
        reader.samples::<i16>().collect::<Result<_, _>>().expect("16 bit")
    }
}
#[cfg(feature = "onnx")]
pub use real::*;

fn listen(vad: &dyn VadFactory, pcm: &[i16]) -> Vec<Probability> {
    let mut detector = vad.open().expect("it opens");
    pcm.chunks_exact(320).map(|frame| detector.push(frame).expect("it listens")).collect()
}

/// The share of frames taken for voice lies within `expected`.
#[track_caller]
pub fn hears(vad: &dyn VadFactory, pcm: &[i16], expected: RangeInclusive<f32>) {
    let heard = listen(vad, pcm);
    let share = heard.iter().filter(|voice| voice.get() > 0.5).count() as f32 / heard.len() as f32;
    assert!(expected.contains(&share), "{share} of the frames are voice, expected {expected:?}");
}

/// The contract of [`VadFactory`] and [`super::VoiceActivity`]. `voice` is a sound this detector takes for speech.
fn conforms(vad: &dyn VadFactory, voice: &[i16]) {
    hears(vad, &[0; 32_000], 0.0..=0.0);
    let mut mixed = vec![0; 9_600];
    mixed.extend_from_slice(voice);
    mixed.extend_from_slice(&[0; 16_000]);
    hears(vad, &mixed, 0.1..=0.95);
    let fresh = listen(vad, &mixed);
    assert!(fresh.last().expect("frames").get() < 0.5, "silence ends the voice");

    // Two callers do not hear each other, and a reset detector is a new one.
    let (mut one, mut other) = (vad.open().expect("it opens"), vad.open().expect("it opens"));
    for round in 0..2 {
        for (index, frame) in mixed.chunks_exact(320).enumerate() {
            assert_eq!(one.push(frame).expect("it listens"), fresh[index], "round {round}, frame {index}");
            other.push(&[0; 320]).expect("it listens");
        }
        one.reset();
    }

    // The last frame of a stream may be short.
    one.push(&[]).expect("no samples");
    one.push(&[7; 33]).expect("a few samples");
}

#[test]
fn energy_conforms() {
    conforms(&EnergyVad, &tone(300.0, -20.0, 1_000));
}

#[test]
fn the_fake_conforms() {
    conforms(&FakeVad::loudness(500), &tone(300.0, -20.0, 1_000));
}

#[test]
fn the_fake_follows_its_script() {
    let vad = FakeVad::scripted([0.25, 0.75, 7.0]);
    let heard: Vec<_> = listen(&vad, &[0; 320 * 4]).iter().map(|voice| voice.get()).collect();
    assert_eq!(heard, [0.25, 0.75, 1.0, 0.0]);
    let broken = FakeVad::broken().open().expect("it opens").push(&[0; 320]);
    assert!(matches!(broken, Err(VadError::Run(_))));
}

#[cfg(feature = "onnx")]
#[test]
#[ignore = "needs the Silero model and ONNX Runtime (`warmline models fetch`)"]
fn silero_conforms() {
    conforms(&silero(), &recorded_speech());
}
