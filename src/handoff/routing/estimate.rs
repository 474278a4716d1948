//! How long a caller may still have to wait: an honest band, not a single number.
//!
//! With `s` people at work who need `h` for a caller on average, the `k`-th in line is answered after `k` endings. Endings of
//! many conversations come at random, so the wait is a gamma variable of shape `k` and mean `k·h/s`. Its quantiles are
//! taken by Wilson and Hilferty's cube-root approximation, which is within 1 % for the 50th and 90th percentile from `k = 2`.

use std::time::Duration;

/// Half of all callers wait less than the first, nine of ten less than the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// 50th percentile.
    pub p50: Duration,
    /// 90th percentile.
    pub p90: Duration,
}

/// Mean handling time of a queue, kept as it goes: each new one counts a tenth once ten are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandlingTime {
    mean_s: f64,
    known: u32,
}

/// What is assumed until the first conversation has ended.
const ASSUMED: Duration = Duration::from_secs(240);

impl Default for HandlingTime {
    fn default() -> Self {
        Self { mean_s: ASSUMED.as_secs_f64(), known: 0 }
    }
}

impl HandlingTime {
    /// A conversation with its wrap-up took this long.
    pub fn add(&mut self, span: Duration) {
        self.known = (self.known + 1).min(10);
        self.mean_s += (span.as_secs_f64() - self.mean_s) / f64::from(self.known);
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.mean_s)
    }

    /// The mean, once there is one.
    pub fn known(&self) -> Option<Duration> {
        (self.known > 0).then(|| self.mean())
    }

    /// The wait of the caller at `position` (1 is next) with `serving` people at work. `None` while nobody is.
    pub fn estimate(&self, position: u32, serving: u32) -> Option<Estimate> {
        if serving == 0 {
            return None;
        }
        let shape = f64::from(position.max(1));
        let mean = shape * self.mean_s / f64::from(serving);
        let quantile = |normal: f64| {
            let root = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * shape.sqrt());
            Duration::from_secs_f64(mean * root.powi(3))
        };
        Some(Estimate { p50: quantile(0.0), p90: quantile(1.281_552) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_that_of_a_gamma_variable() {
        let mut handling = HandlingTime::default();
        assert_eq!(handling.known(), None, "what is assumed is told nobody");
        handling.add(Duration::from_secs(300));
        assert_eq!(handling.known(), Some(Duration::from_secs(300)));
        assert_eq!(handling.mean(), Duration::from_secs(300), "the assumption is forgotten");
        // Quantiles of gamma(k, 1) from tables: k = 2: 1.678 and 3.890; k = 10: 9.669 and 14.206.
        for (position, serving, p50, p90) in [(2, 3, 1.678, 3.890), (10, 3, 9.669, 14.206)] {
            let band = handling.estimate(position, serving).expect("people are at work");
            let near = |got: Duration, want: f64| (got.as_secs_f64() / (want * 100.0) - 1.0).abs() < 0.015;
            assert!(near(band.p50, p50) && near(band.p90, p90), "{band:?}");
        }
        assert_eq!(handling.estimate(1, 0), None, "nobody is there");
    }

    #[test]
    fn the_mean_follows_what_happens() {
        let mut handling = HandlingTime::default();
        for seconds in [100, 200, 300] {
            handling.add(Duration::from_secs(seconds));
        }
        assert_eq!(handling.mean(), Duration::from_secs(200));
        for _ in 0..100 {
            handling.add(Duration::from_secs(60));
        }
        assert!(handling.mean() < Duration::from_secs(61));
    }
}
