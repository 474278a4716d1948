//! Single-use tokens that let a media stream in: made by a webhook, spent by the socket that follows it.
//!
//! A token is 256 random bits, so it can't be guessed, and it is looked up by hash, so the time that takes says nothing
//! about the tokens that exist. Time comes in as an argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::telemetry::{Pii, Secret};

/// How long a token lets a stream in.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// Tokens waiting at once. One more drops the oldest: better a forged flood's than the memory of the server.
pub const MAX_TOKENS: usize = 4_096;

/// What a token lets in.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamGrant {
    /// Through which provider's socket.
    pub provider: &'static str,
    /// The provider's name for the call; a stream that names another call is not let in.
    pub provider_call_id: String,
    /// Caller's number or address, as the signed webhook told it.
    pub from: Option<Pii<String>>,
    /// The number that was called.
    pub to: Option<Pii<String>>,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Never issued, spent already, or dropped in a flood.
    #[error("unknown or used stream token")]
    Unknown,
    /// Older than [`TOKEN_LIFETIME`].
    #[error("expired stream token")]
    Expired,
    /// Issued for another provider or another call. It is spent all the same.
    #[error("stream token of another call")]
    Mismatch,
}

impl TokenError {
    /// Label for the counter of refused calls.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "token_unknown",
            Self::Expired => "token_expired",
            Self::Mismatch => "token_mismatch",
        }
    }
}

/// The tokens not yet spent.
#[derive(Debug, Default)]
pub struct StreamTokens {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    grants: HashMap<String, (Instant, StreamGrant)>,
    /// Oldest first. A spent token's entry stays until it would have expired.
    order: VecDeque<(Instant, String)>,
}

impl StreamTokens {
    /// Makes a token for `grant`, good until [`TOKEN_LIFETIME`] after `now`. 64 hex digits: some providers carry letters and
    /// digits only.
    pub fn issue(&self, now: Instant, grant: StreamGrant) -> Secret<String> {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut inner = self.lock();
        inner.forget_old(now);
        inner.order.push_back((now, token.clone()));
        inner.grants.insert(token.clone(), (now, grant));
        Secret::new(token)
    }

    /// Spends `token` on a stream of `provider`, for the call `provider_call_id` if the dialect names one.
    pub fn redeem(
        &self,
        now: Instant,
        provider: &str,
        provider_call_id: &str,
        token: &Secret<String>,
    ) -> Result<StreamGrant, TokenError> {
        let (issued, grant) = self.lock().grants.remove(token.expose().as_str()).ok_or(TokenError::Unknown)?;
        if now.saturating_duration_since(issued) >= TOKEN_LIFETIME {
            return Err(TokenError::Expired);
        }
        let same_call = provider_call_id.is_empty() || provider_call_id == grant.provider_call_id;
        if grant.provider != provider || !same_call {
            return Err(TokenError::Mismatch);
        }
        Ok(grant)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding the tokens")
    }
}

impl Inner {
    /// Makes room for one more: drops what expired long ago and, when still full, the oldest.
    fn forget_old(&mut self, now: Instant) {
        while let Some((issued, _)) = self.order.front() {
            // Twice the lifetime, so that a token a little too late is told apart from one that never was.
            let stale = now.saturating_duration_since(*issued) >= 2 * TOKEN_LIFETIME;
            if !stale && self.order.len() < MAX_TOKENS {
                break;
            }
            if let Some((_, token)) = self.order.pop_front() {
                self.grants.remove(&token);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn grant(call: &str) -> StreamGrant {
        let number = |text: &str| Some(Pii::new(text.to_owned()));
        StreamGrant {
            provider: "twilio",
            provider_call_id: call.to_owned(),
            from: number("+15005550006"),
            to: number("+15005550001"),
        }
    }

    #[test]
    fn a_token_opens_its_own_call_once() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let token = tokens.issue(now, grant("CA1"));
        assert_eq!(tokens.redeem(now, "twilio", "CA1", &token), Ok(grant("CA1")));
        assert_eq!(tokens.redeem(now, "twilio", "CA1", &token), Err(TokenError::Unknown));
    }

    #[test]
    fn a_token_is_of_no_use_late_or_elsewhere() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let late = now + TOKEN_LIFETIME;
        let token = tokens.issue(now, grant("CA1"));
        assert_eq!(tokens.redeem(late, "twilio", "CA1", &token), Err(TokenError::Expired));
        for (provider, call) in [("browser", "CA1"), ("twilio", "CA2")] {
            let token = tokens.issue(now, grant("CA1"));
            assert_eq!(tokens.redeem(now, provider, call, &token), Err(TokenError::Mismatch));
            assert_eq!(tokens.redeem(now, "twilio", "CA1", &token), Err(TokenError::Unknown), "spent by the attempt");
        }
        let token = tokens.issue(now, grant("CA1"));
        assert_eq!(tokens.redeem(now, "twilio", "", &token), Ok(grant("CA1")), "a dialect without call ids");
    }

    #[test]
    fn tokens_are_long_unique_and_safe_everywhere() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let all: HashSet<String> = (0..1_000).map(|_| tokens.issue(now, grant("CA1")).expose().clone()).collect();
        assert_eq!(all.len(), 1_000);
        let safe = |token: &String| token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(all.iter().all(|token| token.len() == 64 && safe(token)));
    }

    #[test]
    fn a_flood_drops_the_oldest_and_time_drops_the_rest() {
        let (tokens, now) = (StreamTokens::default(), Instant::now());
        let first = tokens.issue(now, grant("CA1"));
        let second = tokens.issue(now, grant("CA2"));
        for _ in 0..MAX_TOKENS - 1 {
            tokens.issue(now, grant("CA3"));
        }
        assert_eq!(tokens.redeem(now, "twilio", "CA1", &first), Err(TokenError::Unknown));
        assert_eq!(tokens.redeem(now, "twilio", "CA2", &second), Ok(grant("CA2")));
        tokens.issue(now + 3 * TOKEN_LIFETIME, grant("CA4"));
        assert_eq!(tokens.lock().grants.len(), 1);
        assert_eq!(tokens.lock().order.len(), 1);
    }
}
