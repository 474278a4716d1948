//! How many wait, as agents are told it: at once after a quiet time, then a few times a second, and always how it is in the end.
//! Without it each caller of a rush would be a message to every agent. PURE but for the clock it is given.

use std::time::Duration;

use tokio::time::Instant;

/// Between two such messages: nobody reads a number faster.
pub(super) const EVERY: Duration = Duration::from_millis(300);

/// What was told, and when something else may be.
#[derive(Debug, Default)]
pub(super) struct QueueNews {
    told: Option<(u32, Instant)>,
    due: Option<Instant>,
}

impl QueueNews {
    /// So many wait now. True: everybody is to be told.
    pub(super) fn changed(&mut self, now: Instant, waiting: u32) -> bool {
        self.due = match self.told {
            Some((told, _)) if told == waiting => None,
            Some((_, at)) if now < at + EVERY => Some(at + EVERY),
            _ => {
                self.told = Some((waiting, now));
                self.due = None;
                return true;
            }
        };
        false
    }

    /// When to ask again, although nothing may have happened until then.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_change_is_told_at_once_and_what_came_to_nothing_never() {
        let mut news = QueueNews::default();
        assert!(news.changed(Instant::now(), 0));
        tokio::time::advance(EVERY).await;
        assert!(news.changed(Instant::now(), 1), "after a quiet time at once");
        assert!(!news.changed(Instant::now(), 2));
        assert_eq!(news.due(), Some(Instant::now() + EVERY));
        assert!(!news.changed(Instant::now(), 1), "as before");
        assert_eq!(news.due(), None);
    }

    proptest! {
        /// However the line changes: no two messages are closer than that, and the last one is true.
        #[test]
        fn messages_keep_apart_and_the_last_one_is_true(
            changes in prop::collection::vec((0u64..400, 0u32..4), 1..60),
        ) {
            let began = Instant::now();
            let (mut news, mut now, mut told) = (QueueNews::default(), began, Vec::new());
            let mut waiting = 0;
            for (after, next) in changes {
                let at = now + Duration::from_millis(after);
                // Whoever drives it comes back in time.
                if let Some(due) = news.due().filter(|due| *due <= at) && news.changed(due, waiting) {
                    told.push((due, waiting));
                }
                (now, waiting) = (at, next);
                if news.changed(now, waiting) {
                    told.push((now, waiting));
                }
            }
            if let Some(due) = news.due() && news.changed(due, waiting) {
                told.push((due, waiting));
            }
            prop_assert_eq!(news.due(), None);
            prop_assert_eq!(told.last().map(|(_, told)| *told), Some(waiting));
            prop_assert!(told.windows(2).all(|two| two[1].0 >= two[0].0 + EVERY), "{:?}", told);
        }
    }
}
