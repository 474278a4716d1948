//! How much recognition there is to do, and what is left out first when it is too much. PURE.
//!
//! ```text
//! Calm ──▶ NoPartials ──▶ NoSpeculation ──▶ SmallModel ──▶ Shedding
//!          all workers     a final would     it would wait   it would miss
//!          are busy        wait 0.4 s        1.2 s           its deadline
//! ```
//! The measure is the time a final transcript asked for now would wait: what is running and the finals in line, by the pace
//! measured so far. A step is taken at once and given back one at a time, each after [`HOLD`] without need for it, so that
//! the policy does not flutter. Without a small model the step `SmallModel` changes nothing.

use std::time::Duration;

use crate::audio::units::Millis;

/// How long a step is kept after it was last needed.
pub const HOLD: Duration = Duration::from_secs(2);
/// A final that waits longer than this is worth more than other callers' speculations.
const WITHOUT_SPECULATION: Duration = Duration::from_millis(400);
/// A final that waits longer than this is better heard worse.
const WITH_SMALL_MODEL: Duration = Duration::from_millis(1_200);
/// Share of a new measurement in the pace.
const WEIGHT: f64 = 0.15;
/// Pace until something was measured: whisper-base on one core.
const FIRST_PACE: f64 = 0.15;
/// A decode costs as much as this much more sound: the least context and the first tokens.
const FIXED: f64 = 1.0;

/// What is left out, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Load {
    /// Nothing.
    #[default]
    Calm,
    /// Captions while the caller speaks.
    NoPartials,
    /// Transcripts on the chance that the caller has finished, and of conversations with agents.
    NoSpeculation,
    /// Finals are heard by the small model.
    SmallModel,
    /// Finals that would miss their deadline are refused at once.
    Shedding,
}

impl Load {
    /// Number for metrics, 0 is calm.
    pub const fn step(self) -> u8 {
        self as u8
    }

    const fn below(self) -> Self {
        match self {
            Self::Calm | Self::NoPartials => Self::Calm,
            Self::NoSpeculation => Self::NoPartials,
            Self::SmallModel => Self::NoSpeculation,
            Self::Shedding => Self::SmallModel,
        }
    }
}

/// Seconds of work a second of sound takes, as measured.
#[derive(Clone, Copy, Debug)]
pub struct Pace(f64);

impl Default for Pace {
    fn default() -> Self {
        Self(FIRST_PACE)
    }
}

impl Pace {
    /// Learns from one decode.
    pub fn learn(&mut self, sound: Millis, took: Duration) {
        let measured = took.as_secs_f64() / (seconds(sound) + FIXED);
        self.0 += WEIGHT * (measured - self.0);
    }

    /// How long a decode of this much sound will take.
    pub fn estimate(&self, sound: Millis) -> Duration {
        Duration::from_secs_f64(self.0 * (seconds(sound) + FIXED))
    }
}

fn seconds(sound: Millis) -> f64 {
    f64::from(sound.0) / 1_000.0
}

/// Holds the step that is taken.
#[derive(Debug, Default)]
pub struct LoadPolicy {
    load: Load,
    /// Needed until then; `None` before anything was.
    hold_until: Option<Duration>,
}

impl LoadPolicy {
    /// The step in force.
    pub const fn load(&self) -> Load {
        self.load
    }

    /// Takes in how things are at `now` (any clock that only goes forward).
    ///
    /// `busy`: no worker is free. `wait`: of a final asked for now. `late`: one such would miss its deadline.
    pub fn observe(&mut self, now: Duration, busy: bool, wait: Duration, late: bool) -> Load {
        let needed = match () {
            () if late => Load::Shedding,
            () if wait > WITH_SMALL_MODEL => Load::SmallModel,
            () if wait > WITHOUT_SPECULATION => Load::NoSpeculation,
            () if busy => Load::NoPartials,
            () => Load::Calm,
        };
        let held = self.hold_until.is_some_and(|until| now < until);
        if needed >= self.load {
            self.load = needed;
            self.hold_until = Some(now + HOLD);
        } else if !held {
            // Down one step; the next takes as long again.
            self.load = self.load.below();
            self.hold_until = (self.load > Load::Calm).then_some(now + HOLD);
        }
        // Captions are refused by the instant and not by the memory: nobody waits for them.
        if self.load == Load::NoPartials && needed == Load::Calm {
            self.load = Load::Calm;
        }
        self.load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn steps_are_taken_at_once_and_given_back_one_by_one() {
        let mut policy = LoadPolicy::default();
        assert_eq!(policy.observe(ms(0), false, ms(0), false), Load::Calm);
        assert_eq!(policy.observe(ms(10), true, ms(0), false), Load::NoPartials);
        assert_eq!(policy.observe(ms(20), false, ms(0), false), Load::Calm, "captions come back at once");
        assert_eq!(policy.observe(ms(30), true, ms(500), false), Load::NoSpeculation);
        assert_eq!(policy.observe(ms(40), true, ms(9_000), true), Load::Shedding);
        assert_eq!(policy.observe(ms(1_900), false, ms(0), false), Load::Shedding, "held");
        assert_eq!(policy.observe(ms(2_100), true, ms(1_300), false), Load::SmallModel);
        assert_eq!(policy.observe(ms(3_000), false, ms(0), false), Load::SmallModel);
        assert_eq!(policy.observe(ms(4_200), false, ms(0), false), Load::NoSpeculation);
        assert_eq!(policy.observe(ms(6_300), false, ms(0), false), Load::Calm);
        assert_eq!(policy.observe(ms(6_400), true, ms(1_300), false), Load::SmallModel, "and at once again");
    }

    #[test]
    fn the_pace_is_learnt() {
        let mut pace = Pace::default();
        assert_eq!(pace.estimate(Millis(3_000)), ms(600));
        for _ in 0..60 {
            pace.learn(Millis(2_000), ms(150));
        }
        let estimate = pace.estimate(Millis(5_000)).as_millis();
        assert!((295..=310).contains(&estimate), "{estimate}");
    }
}
