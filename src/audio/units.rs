//! Units as types: a rate, a span of time, a probability.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Samples per second of one channel, in Hz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SampleRate(pub u32);

impl SampleRate {
    /// The telephone: 8 kHz.
    pub const NARROWBAND: Self = Self(8_000);
    /// What Whisper wants and what every leg is inside Warmline: 16 kHz.
    pub const WIDEBAND: Self = Self(16_000);

    /// Samples in `span`; 20 ms at 8 kHz is 160.
    pub const fn samples_in(self, span: Millis) -> usize {
        (self.0 as u64 * span.0 as u64 / 1_000) as usize
    }

    /// The span `samples` fill, rounded down to whole milliseconds.
    pub const fn span_of(self, samples: usize) -> Millis {
        Millis((samples as u64 * 1_000 / self.0 as u64) as u32)
    }
}

/// A span of time, or a position in a stream, in milliseconds. A call is shorter than 49 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u32);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One frame: 20 ms.
    pub const FRAME: Self = Self(20);

    /// The same span for the standard library.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }

    /// A duration cut to whole milliseconds; longer than 49 days saturates.
    pub fn from_duration(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }

    /// `self - other`, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A number from 0 to 1; anything else, NaN included, is clamped into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Probability(f32);

impl Probability {
    /// Clamps `value` into 0..=1; NaN becomes 0.
    pub fn clamped(value: f32) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    /// `value` if it is within 0..=1.
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number itself.
    pub const fn get(self) -> f32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_milliseconds_of_telephone_are_160_samples() {
        assert_eq!(SampleRate::NARROWBAND.samples_in(Millis::FRAME), 160);
        assert_eq!(SampleRate::WIDEBAND.span_of(320), Millis::FRAME);
    }

    #[test]
    fn probabilities_stay_between_zero_and_one() {
        assert_eq!(Probability::clamped(f32::NAN).get(), 0.0);
        assert_eq!(Probability::clamped(7.0).get(), 1.0);
        assert_eq!(Probability::new(1.5), None);
    }
}
