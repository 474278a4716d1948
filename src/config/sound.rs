//! `[sound]`: what is done to a caller's sound before anything listens to it.

use serde::{Deserialize, Serialize};

use super::{Problems, Section};

/// How much of a line's noise is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suppression {
    /// Nothing.
    #[default]
    Off,
    /// 6 dB at most.
    Low,
    /// 12 dB at most.
    Moderate,
    /// 18 dB at most.
    High,
}

/// The caller's sound.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundConfig {
    /// Quiet callers are made louder before they are listened to; others stay as they are.
    pub gain: bool,
    /// Noise is taken out before the sound is listened to: `off`, `low`, `moderate` or `high`.
    pub noise_suppression: Suppression,
}

impl Default for SoundConfig {
    fn default() -> Self {
        Self { gain: true, noise_suppression: Suppression::Off }
    }
}

impl Section for SoundConfig {
    const NAME: &'static str = "sound";
    fn check(&self, _: &mut Problems) {}
}
