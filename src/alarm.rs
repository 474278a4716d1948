//! A timer for deadlines that mostly move away, as those of silence do with every frame that comes.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings when it was last set to, and never later than it is asked to. A deadline that has moved away is noticed only then:
/// setting a timer anew with every frame costs more than looking at the clock once in a while.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// Set to `due`.
    pub fn at(due: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(due)) }
    }

    /// Rings at `due` or before. Whoever hears it looks whether it is time. Dropping the future loses nothing.
    pub async fn rings(&mut self, due: Instant) {
        if due < self.sleep.deadline() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(due);
        }
        self.sleep.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_no_later_than_asked_and_looks_again_after_it_has_rung() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut alarm = Alarm::at(at(100));
        alarm.rings(at(300)).await;
        assert_eq!(Instant::now(), at(100), "it was set to that");
        alarm.rings(at(300)).await;
        assert_eq!(Instant::now(), at(300));
        drop(tokio::time::timeout(Duration::from_millis(10), alarm.rings(at(900))).await);
        alarm.rings(at(400)).await;
        assert_eq!(Instant::now(), at(400), "sooner than it was set to");
        alarm.rings(at(200)).await;
        assert_eq!(Instant::now(), at(400), "over already");
    }
}
