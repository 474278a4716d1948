//! Nonces and ids that were used, so that a signed request counts once.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// How long a nonce is remembered: longer than any scheme takes a request for fresh.
pub const REMEMBERED: Duration = Duration::from_secs(900);
/// How many at most; one more forgets the oldest. Only well-signed requests get here, so a stranger can't crowd it out.
const MAX_REMEMBERED: usize = 16_384;

/// The nonces of the last minutes. Remembers hashes, so that a long nonce costs no more than a short one.
#[derive(Debug, Default)]
pub struct ReplayCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: HashSet<[u8; 32]>,
    order: VecDeque<(Instant, [u8; 32])>,
}

impl ReplayCache {
    /// Notes `nonce` of `scheme`; false when it was noted within [`REMEMBERED`]. Ask after the signature was checked.
    pub fn first_time(&self, now: Instant, scheme: &str, nonce: &str) -> bool {
        let key: [u8; 32] = Sha256::new().chain_update(scheme).chain_update([0]).chain_update(nonce).finalize().into();
        let mut inner = self.inner.lock().expect("nothing panics while holding the nonces");
        while inner.order.front().is_some_and(|(at, _)| {
            now.saturating_duration_since(*at) >= REMEMBERED || inner.order.len() >= MAX_REMEMBERED
        }) {
            if let Some((_, old)) = inner.order.pop_front() {
                inner.seen.remove(&old);
            }
        }
        let first = inner.seen.insert(key);
        if first {
            inner.order.push_back((now, key));
        }
        first
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_counts_once_for_its_scheme_and_time() {
        let (cache, now) = (ReplayCache::default(), Instant::now());
        assert!(cache.first_time(now, "a", "1") && cache.first_time(now, "b", "1"));
        assert!(!cache.first_time(now + REMEMBERED - Duration::from_secs(1), "a", "1"));
        assert!(cache.first_time(now + REMEMBERED, "a", "1"), "forgotten");
    }

    #[test]
    fn memory_is_bounded() {
        let (cache, now) = (ReplayCache::default(), Instant::now());
        for n in 0..=MAX_REMEMBERED {
            assert!(cache.first_time(now, "a", &n.to_string()));
        }
        let inner = cache.inner.lock().expect("not poisoned");
        assert_eq!((inner.seen.len(), inner.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
    }
}
