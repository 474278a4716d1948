//! When audio has been heard, for providers that return no marks: by its length and the clock, corrected by what they
//! report of their playback.
//!
//! ```text
//! sent ──── lag ────▶ begins to be heard ──── its length ────▶ heard to its end
//!   └ measured where the provider reports that playback began
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::protocol::MarkId;

/// From sending to hearing, until it was measured.
const USUAL_LAG: Duration = Duration::from_millis(150);
/// A longer one is not believed: a report that got lost or belongs to something else.
const LONGEST_LAG: Duration = Duration::from_secs(1);

/// Marks that wait to be heard.
#[derive(Debug)]
pub struct Playout {
    waiting: VecDeque<Waiting>,
    lag: Duration,
    /// When playback was begun by us, until the provider says so too.
    began: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    sent: Instant,
    /// When it would be heard if nothing took time on its way.
    due: Instant,
    mark: MarkId,
}

impl Default for Playout {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), lag: USUAL_LAG, began: None }
    }
}

impl Playout {
    /// Audio was sent while nothing was being played.
    pub fn begun(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// The provider reports that it plays.
    pub fn reported_start(&mut self, now: Instant) {
        let lag = self.began.take().map(|began| now.saturating_duration_since(began));
        self.lag = lag.filter(|lag| *lag <= LONGEST_LAG).unwrap_or(self.lag);
    }

    /// The provider reports that it has played all it had: what was sent after it can have had that is not meant.
    pub fn reported_end(&mut self, now: Instant) -> impl Iterator<Item = MarkId> + '_ {
        let count = self.waiting.iter().take_while(|waiting| waiting.sent + self.lag <= now).count();
        self.waiting.drain(..count).map(|waiting| waiting.mark)
    }

    /// A mark behind audio that ends at `due`.
    pub fn mark_sent(&mut self, now: Instant, due: Instant, mark: MarkId) {
        self.waiting.push_back(Waiting { sent: now, due, mark });
    }

    /// When the next mark is reached by the clock.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.due + self.lag)
    }

    /// The marks reached by `now`.
    pub fn reached(&mut self, now: Instant) -> impl Iterator<Item = MarkId> + '_ {
        let count = self.waiting.iter().take_while(|waiting| waiting.due + self.lag <= now).count();
        self.waiting.drain(..count).map(|waiting| waiting.mark)
    }

    /// The provider's queue was thrown away: what was not reached.
    pub fn cleared(&mut self) -> impl Iterator<Item = MarkId> + '_ {
        self.began = None;
        self.waiting.drain(..).map(|waiting| waiting.mark)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_clock_tells_with_the_lag_that_was_measured() {
        let (mut playout, now) = (Playout::default(), Instant::now());
        playout.begun(now);
        playout.mark_sent(now, now + 200 * MS, MarkId(1));
        assert_eq!(playout.next_at(), Some(now + 350 * MS));
        playout.reported_start(now + 60 * MS);
        assert_eq!(playout.next_at(), Some(now + 260 * MS));
        assert!(playout.reached(now + 259 * MS).eq([]));
        assert!(playout.reached(now + 260 * MS).eq([MarkId(1)]));
        playout.begun(now);
        playout.reported_start(now + 5_000 * MS);
        playout.reported_start(now + 9_000 * MS);
        playout.mark_sent(now, now, MarkId(2));
        assert_eq!(playout.next_at(), Some(now + 60 * MS), "a start that late is no measure");
    }

    #[test]
    fn a_reported_end_means_what_the_provider_can_have_had() {
        let (mut playout, now) = (Playout::default(), Instant::now());
        playout.mark_sent(now, now + 900 * MS, MarkId(1));
        playout.mark_sent(now + 700 * MS, now + 950 * MS, MarkId(2));
        assert!(playout.reported_end(now + 800 * MS).eq([MarkId(1)]), "the second is still on its way");
        assert!(playout.cleared().eq([MarkId(2)]) && playout.next_at().is_none());
    }
}
