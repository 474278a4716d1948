//! How many calls one caller may begin.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Callers not heard of for a while are forgotten each so many checks, so that memory follows the callers of a minute.
const FORGET_EVERY: u32 = 1_024;

/// New calls a minute for each caller, by number or address. Bursts up to a minute's worth are fine.
pub struct CallerLimit {
    limiter: DefaultKeyedRateLimiter<String>,
    checks: AtomicU32,
}

impl CallerLimit {
    /// At most `calls` a minute from one caller; 0 counts as 1.
    pub fn per_minute(calls: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::keyed(quota), checks: AtomicU32::new(0) }
    }

    /// Counts a call of `caller`; `Err` says after how long one would be let in.
    pub fn check(&self, caller: &str) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let verdict = self.limiter.check_key(&caller.to_owned());
        verdict.map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }
}

/// What counts as one address: an IPv6 subscriber has a whole /64.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_share() {
        let limit = CallerLimit::per_minute(2);
        assert!(limit.check("+15005550006").is_ok() && limit.check("+15005550006").is_ok());
        let wait = limit.check("+15005550006").expect_err("the third within a minute");
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        assert!(limit.check("+15005550007").is_ok());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_caller() {
        let key = |text: &str| address_key(text.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2:aaaa::1"), key("2001:db8:1:2:bbbb::2"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
