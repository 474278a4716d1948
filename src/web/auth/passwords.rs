//! Passwords as argon2id, never more than one at work: a flood of sign-ins must not take a core from the calls.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::seq::IndexedRandom;
use tokio::sync::Semaphore;

use super::AuthError;
use crate::telemetry::Secret;

/// Passwords hashed at once; each is one busy thread for some tens of milliseconds, and 19 MiB.
const AT_ONCE: usize = 1;
/// How long a request waits for its turn before it is told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const MIN_LENGTH: usize = 10;
/// Longer ones only cost time; argon2 itself would take them.
const MAX_LENGTH: usize = 256;
/// No `0 O 1 I L U`: read aloud and typed without mistakes. 30 symbols.
const LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstvwxyz";

/// Hashes and verifies passwords off the async threads.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    slots: Arc<Semaphore>,
    /// Verified in place of the hash of an account that is not there, so that both take the same time.
    decoy: Arc<tokio::sync::OnceCell<Secret<String>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), decoy: Arc::default() }
    }

    /// The PHC string of `password` with a fresh salt.
    pub(super) async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, AuthError> {
        self.work(move || {
            let hash: PasswordHash = Argon2::default().hash_password(password.expose().as_bytes())?;
            Ok(Secret::new(hash.to_string()))
        })
        .await
    }

    /// Whether `password` is the one behind `hash`. Without a hash it takes as long and is false.
    pub(super) async fn verify(
        &self,
        password: Secret<String>,
        hash: Option<Secret<String>>,
    ) -> Result<bool, AuthError> {
        let there = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.decoy.get_or_try_init(|| self.hash(one_time_password())).await?.clone(),
        };
        self.work(move || {
            let hash = PasswordHash::new(hash.expose()).map_err(argon2::password_hash::Error::from)?;
            // Computed in any case: the time taken must not tell which names exist.
            let matches = Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok();
            Ok(matches && there)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, AuthError> {
        let slot = tokio::time::timeout(LONGEST_WAIT, self.slots.clone().acquire_owned());
        let slot = slot.await.map_err(|_| AuthError::Busy)?.expect("the semaphore is never closed");
        let job = move || {
            // The slot goes with the work, not with the request: a client that hangs up frees nothing early.
            let _slot = slot;
            work()
        };
        match tokio::task::spawn_blocking(job).await {
            Ok(result) => result.map_err(AuthError::Hash),
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            Err(_) => Err(AuthError::Busy),
        }
    }
}

/// Four groups of four, 78 bits.
pub(super) fn one_time_password() -> Secret<String> {
    let mut rng = rand::rng();
    let mut group =
        || (0..4).map(|_| char::from(*LETTERS.choose(&mut rng).expect("letters are not empty"))).collect::<String>();
    Secret::new([group(), group(), group(), group()].join("-"))
}

/// Refuses a new password that is too short, too long, or the account's name.
pub(super) fn check_strength(name: &str, password: &Secret<String>) -> Result<(), AuthError> {
    let password = password.expose();
    if password.chars().count() < MIN_LENGTH {
        return Err(AuthError::WeakPassword("the password must have at least 10 characters"));
    }
    if password.len() > MAX_LENGTH {
        return Err(AuthError::WeakPassword("the password must have at most 256 bytes"));
    }
    if password.to_lowercase().contains(name) && password.chars().count() < name.chars().count() + MIN_LENGTH {
        return Err(AuthError::WeakPassword("the password must not be built on the account's name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.expect("hashed");
        assert!(hash.expose().starts_with("$argon2id$"));
        assert!(passwords.verify(secret("correct horse"), Some(hash.clone())).await.expect("verified"));
        assert!(!passwords.verify(secret("battery staple"), Some(hash)).await.expect("verified"));
        assert!(!passwords.verify(secret("correct horse"), None).await.expect("verified"));
        assert!(matches!(passwords.verify(secret("x"), Some(secret("no hash"))).await, Err(AuthError::Hash(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_waits_its_turn_or_is_sent_away() {
        let passwords = Passwords::new();
        let slot = passwords.slots.clone().acquire_owned().await.expect("free");
        assert!(matches!(passwords.hash(secret("correct horse")).await, Err(AuthError::Busy)));
        drop(slot);
        assert_eq!(passwords.slots.available_permits(), AT_ONCE);
    }

    #[test]
    fn one_time_passwords_are_unlike_each_other_and_strong_enough() {
        let [one, two] = [one_time_password(), one_time_password()];
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 19);
        check_strength("admin", &one).expect("strong");
    }

    #[test]
    fn weak_passwords_are_refused() {
        for weak in ["short", "ninechars", "agent.smith1", &"x".repeat(257)] {
            assert!(matches!(check_strength("agent.smith", &secret(weak)), Err(AuthError::WeakPassword(_))), "{weak}");
        }
        check_strength("agent.smith", &secret("a long enough sentence")).expect("strong");
    }
}
