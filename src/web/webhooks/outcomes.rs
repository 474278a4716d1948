//! How a call's stream ended, kept until the provider asks what to do with the caller next.
//!
//! A provider goes on with its own instructions once our socket is closed, and asks by call id. Time comes in as an
//! argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::telephony::protocol::Transfer;

/// How long an outcome is kept: providers ask within seconds.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept at most; one more drops the oldest.
const MAX_KEPT: usize = 4_096;

/// How a stream ended, as far as the caller still on the line must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamOutcome {
    /// The conversation was over.
    Ended,
    /// The caller goes to somebody else.
    Transfer(Transfer),
    /// All lines were busy when the stream came.
    Busy,
    /// Something broke, or nothing is known of such a call: its stream never came, or the server restarted.
    Failed,
}

/// The outcomes of the last minutes, by the provider's call id.
#[derive(Debug, Default)]
pub struct StreamOutcomes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    outcomes: HashMap<String, StreamOutcome>,
    order: VecDeque<(Instant, String)>,
}

impl StreamOutcomes {
    /// Notes how the stream of `provider_call_id` ended. A later note replaces an earlier one.
    pub fn record(&self, now: Instant, provider_call_id: &str, outcome: StreamOutcome) {
        if provider_call_id.is_empty() {
            return;
        }
        let mut inner = self.inner.lock().expect("nothing panics while holding the outcomes");
        while inner
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= KEPT || inner.order.len() >= MAX_KEPT)
        {
            if let Some((_, id)) = inner.order.pop_front() {
                inner.outcomes.remove(&id);
            }
        }
        if inner.outcomes.insert(provider_call_id.to_owned(), outcome).is_none() {
            inner.order.push_back((now, provider_call_id.to_owned()));
        }
    }

    /// How the stream of `provider_call_id` ended. Asking does not forget: providers repeat requests that time out.
    pub fn look_up(&self, provider_call_id: &str) -> StreamOutcome {
        self.known(provider_call_id).unwrap_or(StreamOutcome::Failed)
    }

    /// The same, and nothing if nothing is known.
    pub fn known(&self, provider_call_id: &str) -> Option<StreamOutcome> {
        let inner = self.inner.lock().expect("nothing panics while holding the outcomes");
        inner.outcomes.get(provider_call_id).cloned()
    }

    /// Notes something about a caller who goes to somebody else; nothing of others.
    pub fn note(&self, provider_call_id: &str, what: &str, value: &str) {
        let mut inner = self.inner.lock().expect("nothing panics while holding the outcomes");
        if let Some(StreamOutcome::Transfer(transfer)) = inner.outcomes.get_mut(provider_call_id) {
            transfer.variables.insert(what.to_owned(), value.to_owned().into());
        }
    }

    /// Whether the stream of `provider_call_id` has ended, lately.
    pub fn is_known(&self, provider_call_id: &str) -> bool {
        self.inner.lock().expect("nothing panics while holding the outcomes").outcomes.contains_key(provider_call_id)
    }

    /// Forgets how an earlier stream of `provider_call_id` ended: there is a new one.
    pub fn forget(&self, provider_call_id: &str) {
        // Its place in the order stays until its time is over.
        self.inner.lock().expect("nothing panics while holding the outcomes").outcomes.remove(provider_call_id);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_found_again_and_forgotten_in_time() {
        let (outcomes, now) = (StreamOutcomes::default(), Instant::now());
        assert_eq!(outcomes.look_up("CA1"), StreamOutcome::Failed, "a call nobody knows went wrong");
        outcomes.record(now, "CA1", StreamOutcome::Busy);
        outcomes.record(now, "CA1", StreamOutcome::Ended);
        assert_eq!(outcomes.look_up("CA1"), StreamOutcome::Ended);
        assert_eq!(outcomes.look_up("CA1"), StreamOutcome::Ended, "asking twice is fine");
        outcomes.record(now + KEPT, "CA2", StreamOutcome::Ended);
        assert_eq!(outcomes.look_up("CA1"), StreamOutcome::Failed);
    }

    #[test]
    fn their_number_is_bounded() {
        let (outcomes, now) = (StreamOutcomes::default(), Instant::now());
        for n in 0..=MAX_KEPT {
            outcomes.record(now, &n.to_string(), StreamOutcome::Ended);
        }
        assert_eq!(outcomes.look_up("0"), StreamOutcome::Failed);
        assert_eq!(outcomes.look_up("1"), StreamOutcome::Ended);
        assert_eq!(outcomes.inner.lock().expect("not poisoned").outcomes.len(), MAX_KEPT);
    }
}
