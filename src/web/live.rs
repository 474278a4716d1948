//! Streams that are open now, by the provider's call id: for providers that ask what comes next while the stream goes on,
//! and bring the caller's keys with that question instead of on the socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::telephony::protocol::{Digit, MediaEvent};

/// How long a key waits for room among a call's events.
const KEY_PATIENCE: Duration = Duration::from_secs(2);

/// All of them. As many as there are calls.
#[derive(Debug, Default)]
pub struct LiveStreams {
    events: Mutex<HashMap<String, mpsc::Sender<MediaEvent>>>,
}

impl LiveStreams {
    /// Notes a stream for as long as the answer is kept.
    pub fn enter(self: &Arc<Self>, call_id: &str, events: mpsc::Sender<MediaEvent>) -> LiveStream {
        self.lock().insert(call_id.to_owned(), events.clone());
        LiveStream { all: self.clone(), call_id: call_id.to_owned(), events }
    }

    /// Whether the call has an open stream.
    pub fn is_open(&self, call_id: &str) -> bool {
        self.lock().contains_key(call_id)
    }

    /// Hands a key to the call; false when there is no such call, or it takes no more.
    pub async fn press(&self, call_id: &str, digit: Digit) -> bool {
        let events = self.lock().get(call_id).cloned();
        match events {
            Some(events) => events.send_timeout(MediaEvent::Dtmf(digit), KEY_PATIENCE).await.is_ok(),
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<MediaEvent>>> {
        self.events.lock().expect("nothing panics while holding the streams")
    }
}

/// A stream's entry; dropping it takes it out.
#[derive(Debug)]
pub struct LiveStream {
    all: Arc<LiveStreams>,
    call_id: String,
    events: mpsc::Sender<MediaEvent>,
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // A later stream of the same call may have taken the place.
        if all.get(&self.call_id).is_some_and(|events| events.same_channel(&self.events)) {
            all.remove(&self.call_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_reach_the_stream_that_is_open() {
        let live = Arc::new(LiveStreams::default());
        let five = Digit::new('5').expect("a key");
        assert!(!live.is_open("c1") && !live.press("c1", five).await);
        let (old_events, mut old) = mpsc::channel(1);
        let (new_events, mut new) = mpsc::channel(1);
        let first = live.enter("c1", old_events);
        assert!(live.press("c1", five).await);
        assert_eq!(old.recv().await, Some(MediaEvent::Dtmf(five)));
        let second = live.enter("c1", new_events);
        drop(first);
        assert!(live.is_open("c1") && live.press("c1", five).await, "the later stream stays");
        assert_eq!(new.recv().await, Some(MediaEvent::Dtmf(five)));
        drop(second);
        assert!(!live.is_open("c1"));
        assert_eq!((old.recv().await, new.recv().await), (None, None), "nothing keeps a call's events open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_nothing_holds_nobody_up_for_long() {
        let live = Arc::new(LiveStreams::default());
        let (events, _taker) = mpsc::channel(1);
        let _entry = live.enter("c1", events);
        let five = Digit::new('5').expect("a key");
        assert!(live.press("c1", five).await && !live.press("c1", five).await);
    }
}
