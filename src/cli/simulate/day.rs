//! A working day of callers. PURE.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// From eight in the morning to eight in the evening.
pub(super) const LENGTH: Duration = Duration::from_secs(12 * 3_600);
/// How the callers spread over its hours: most before and after lunch.
const HOURS: [f64; 12] = [3.0, 6.0, 9.0, 10.0, 8.0, 5.0, 6.0, 8.0, 9.0, 7.0, 5.0, 3.0];
/// How long a caller waits for a person before giving up, on average.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a conversation with a person is, at the median, and how much that varies (of the logarithm).
const TALK: (Duration, f64) = (Duration::from_secs(210), 0.5);

/// The time of the day against the time of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(pub u32);

impl Scale {
    /// How long a span of the day really is.
    pub fn real(self, span: Duration) -> Duration {
        span / self.0
    }
}

/// When callers come, since its beginning, in order.
#[derive(Debug)]
pub(super) struct Day {
    pub arrivals: Vec<Duration>,
}

impl Day {
    /// A day with about this many callers.
    pub fn draw(callers: u32, chance: &mut impl Rng) -> Self {
        let all: f64 = HOURS.iter().sum();
        let hour = LENGTH.as_secs_f64() / HOURS.len() as f64;
        let mut arrivals = Vec::new();
        for (index, weight) in HOURS.iter().enumerate() {
            let mean = hour / (f64::from(callers) * weight / all);
            let mut at = exponential(mean, chance);
            while at < hour {
                arrivals.push(Duration::from_secs_f64(index as f64 * hour + at));
                at += exponential(mean, chance);
            }
        }
        Self { arrivals }
    }
}

/// How long a caller waits for a person.
pub(super) fn patience(chance: &mut impl Rng) -> Duration {
    Duration::from_secs_f64(exponential(PATIENCE.as_secs_f64(), chance))
}

/// How long a conversation with a person is.
pub(super) fn talk(chance: &mut impl Rng) -> Duration {
    // A sum of uniform numbers is near enough to a normal one.
    let normal = (0..12).map(|_| chance.random::<f64>()).sum::<f64>() - 6.0;
    TALK.0.mul_f64((TALK.1 * normal).exp())
}

fn exponential(mean: f64, chance: &mut impl Rng) -> f64 {
    -mean * (1.0 - chance.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_day_has_its_callers_most_of_them_before_lunch_and_in_order() {
        let day = Day::draw(5_000, &mut StdRng::seed_from_u64(3));
        assert!((4_500..5_500).contains(&day.arrivals.len()), "{}", day.arrivals.len());
        assert!(day.arrivals.is_sorted() && day.arrivals.iter().all(|at| *at < LENGTH));
        let in_hour = |hour: u64| day.arrivals.iter().filter(|at| at.as_secs() / 3_600 == hour).count();
        assert!(in_hour(3) > 2 * in_hour(0) && in_hour(3) > in_hour(5));
        assert_eq!(
            Day::draw(40, &mut StdRng::seed_from_u64(9)).arrivals,
            Day::draw(40, &mut StdRng::seed_from_u64(9)).arrivals
        );
    }

    #[test]
    fn people_wait_and_talk_for_plausible_times() {
        let mut chance = StdRng::seed_from_u64(1);
        let mean = |times: Vec<Duration>| times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64;
        let waits = mean((0..4_000).map(|_| patience(&mut chance)).collect());
        let talks = mean((0..4_000).map(|_| talk(&mut chance)).collect());
        assert!((220.0..260.0).contains(&waits), "{waits}");
        assert!((220.0..260.0).contains(&talks), "{talks}");
        assert_eq!(Scale(60).real(Duration::from_secs(90)), Duration::from_millis(1_500));
    }
}
