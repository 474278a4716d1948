//! Tones to say, and how much of one is in what was heard.

use std::f32::consts::TAU;

use warmline::audio::mix::level_dbfs;
use warmline::audio::units::{Millis, SampleRate};

/// Half a second, over which a tone is looked for.
const WINDOW: usize = 8_000;

/// A sine at 16 kHz.
pub fn tone(hertz: f32, span: Millis) -> Vec<i16> {
    let samples = SampleRate::WIDEBAND.samples_in(span);
    (0..samples).map(|n| ((TAU * hertz * n as f32 / 16_000.0).sin() * 9_000.0) as i16).collect()
}

/// Share of the energy of `pcm` that lies at `hertz` (Goertzel).
fn share(pcm: &[i16], hertz: f32) -> f32 {
    let coefficient = 2.0 * (TAU * hertz / 16_000.0).cos();
    let (mut a, mut b, mut energy) = (0.0f32, 0.0f32, 1.0f32);
    for sample in pcm {
        let x = f32::from(*sample);
        let next = x + coefficient * a - b;
        (b, a) = (a, next);
        energy += x * x;
    }
    2.0 * (a * a + b * b - coefficient * a * b) / (energy * pcm.len().max(1) as f32)
}

/// The loudest share of any half second, wherever it begins: a stall of the machine tears a tone at one place only.
pub fn best_share(pcm: &[i16], hertz: f32) -> f32 {
    let last = pcm.len().saturating_sub(WINDOW);
    let windows = (0..last).step_by(WINDOW / 4).chain([last]);
    windows.map(|from| share(&pcm[from..pcm.len().min(from + WINDOW)], hertz)).fold(0.0, f32::max)
}

/// How much of `pcm` is more than silence.
pub fn voiced_ms(pcm: &[i16]) -> u64 {
    10 * pcm.chunks(160).filter(|window| level_dbfs(window) > -45.0).count() as u64
}
