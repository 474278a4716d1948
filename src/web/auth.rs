//! Who may do what: sign-in with a password, sessions in a cookie, API tokens and keys, roles.
//!
//! Passwords are kept as argon2id, tokens and keys as SHA-256; neither can be read back. Sign-ins are limited per address and per
//! name, and a name that does not exist takes as long as a wrong password. Handlers ask for [`SignedIn`] or
//! [`Require`]; requests that change something must come from our own pages (`cross_origin_guard`) or carry a token.

mod accounts;
mod extract;
mod keys;
mod passwords;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::config::ServerConfig;
use crate::store::{SessionKind, SessionRecord, Store, StoreError, UserRecord, UserRole};
use crate::telemetry::Secret;
use passwords::{Passwords, check_strength};

pub use accounts::{Accounts, OneTimePassword};
pub(super) use extract::cross_origin_guard;
pub use extract::{Admin, ClientAddress, Require, Role, SignedIn, SignedInAnyway, Supervisor, Via};
pub use keys::MadeKey;

/// Name of the session cookie.
pub const COOKIE: &str = "warmline_session";
/// How long a sign-in lasts.
const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// Sign-ins from one address: this many at once, then one every six seconds.
const PER_ADDRESS: (u32, Duration) = (20, Duration::from_secs(6));
/// Sign-ins to one name: this many at once, then one every ten seconds. Guessing 10 000 passwords takes a day.
const PER_NAME: (u32, Duration) = (8, Duration::from_secs(10));
/// Masked details shown to one account: this many at once, then one every three minutes.
const REVEALS: (u32, Duration) = (10, Duration::from_secs(180));
/// Names and addresses remembered before those that are full again are forgotten.
const REMEMBERED: usize = 10_000;

/// Why somebody was not let in, or an account not changed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No cookie or token, or one that has expired.
    #[error("please sign in")]
    NotSignedIn,
    /// Name or password is wrong; it is not told which.
    #[error("name or password is wrong")]
    WrongCredentials,
    /// The one-time password must be replaced first.
    #[error("please choose a password of your own first")]
    PasswordChangeRequired,
    /// The account's role is not enough.
    #[error("this needs the role {}", needs.as_str())]
    Forbidden {
        /// The least role that may.
        needs: UserRole,
    },
    /// A key may do what its role may, but not this.
    #[error("a key can't do this; please sign in as a person")]
    NotForKeys,
    /// The request came from a page of another site.
    #[error("requests from other sites are refused")]
    CrossOrigin,
    /// Too many sign-ins from this address or to this name.
    #[error("too many attempts, please try again in {} seconds", retry_after.as_secs() + 1)]
    TooManyAttempts {
        /// When the next may be tried.
        retry_after: Duration,
    },
    /// Too many passwords to check at once.
    #[error("too many sign-ins at once, please try again")]
    Busy,
    /// The new password is not good enough.
    #[error("{0}")]
    WeakPassword(&'static str),
    /// The new account's name can't be used.
    #[error("a name has 2 to 64 characters out of a-z, 0-9, `.`, `-`, `_`, `@`")]
    BadName,
    /// There is no account of this name.
    #[error("there is no account of this name")]
    NoSuchUser,
    /// Somebody must remain who can manage accounts.
    #[error("this is the last administrator")]
    LastAdmin,
    /// A password could not be hashed, or a stored hash not be read.
    #[error("password hashing failed")]
    Hash(#[source] argon2::password_hash::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets people in. Cheap to clone; extractors find it in any router state `S` with `Auth: FromRef<S>`.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    passwords: Passwords,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    by_name: DefaultKeyedRateLimiter<String>,
    reveals: DefaultKeyedRateLimiter<String>,
    /// Scheme and authority people reach us by, as browsers write it in `Origin`.
    origin: String,
}

/// A sign-in that worked.
#[derive(Debug)]
pub struct NewSession {
    /// Whose.
    pub user: UserRecord,
    /// To be set in the browser.
    pub cookie: Cookie<'static>,
}

impl Auth {
    /// Lets the store's accounts in, at the address people reach `server` by.
    pub fn new(store: Arc<dyn Store>, server: &ServerConfig) -> Self {
        Self(Arc::new(Inner {
            store,
            passwords: Passwords::new(),
            by_address: limiter(PER_ADDRESS),
            by_name: limiter(PER_NAME),
            reveals: limiter(REVEALS),
            origin: origin_of(&server.base_url()),
        }))
    }

    /// Checks name and password and begins a session. `address` is the client's, for the rate limit.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Secret<String>,
        address: IpAddr,
    ) -> Result<NewSession, AuthError> {
        let name = name.trim().to_lowercase();
        // A key must not be as long as a client likes. No account has a longer name.
        let key: String = name.chars().take(64).collect();
        admit(&self.0.by_address, &network(address))?;
        admit(&self.0.by_name, &key)?;
        let user = self.0.store.find_user(&name).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let matches = self.0.passwords.verify(password, hash).await?;
        match user {
            Some(user) if matches => self.begin_session(user).await,
            _ => {
                tracing::warn!(client.address = %address, "Refused a sign-in");
                Err(AuthError::WrongCredentials)
            }
        }
    }

    /// Whether an account may see one more masked detail now.
    pub fn admit_reveal(&self, user: &UserRecord) -> Result<(), AuthError> {
        admit(&self.0.reveals, &user.name)
    }

    /// Begins a session for an account that has proved itself.
    pub async fn begin_session(&self, user: UserRecord) -> Result<NewSession, AuthError> {
        let token = random_token();
        let cookie = self.cookie(token.expose().clone(), SESSION);
        remember(&*self.0.store, &user, &token, SessionKind::Browser, SESSION).await?;
        Ok(NewSession { user, cookie })
    }

    /// Ends the session behind a token. Gives the cookie that makes the browser forget it.
    pub async fn sign_out(&self, session: &SignedInAnyway) -> Result<Cookie<'static>, AuthError> {
        self.0.store.delete_session(session.token_hash()).await?;
        Ok(self.cookie(String::new(), Duration::ZERO))
    }

    /// Replaces a password by one of the person's own choice. All their browsers are signed out; this one gets a new
    /// session.
    pub async fn change_password(
        &self,
        user: &UserRecord,
        old: Secret<String>,
        new: Secret<String>,
    ) -> Result<NewSession, AuthError> {
        admit(&self.0.by_name, &user.name)?;
        check_strength(&user.name, &new)?;
        if old == new {
            return Err(AuthError::WeakPassword("the new password must differ from the old one"));
        }
        if !self.0.passwords.verify(old, Some(user.password_hash.clone())).await? {
            return Err(AuthError::WrongCredentials);
        }
        let password_hash = self.0.passwords.hash(new).await?;
        let user = UserRecord { password_hash, must_change_password: false, ..user.clone() };
        self.0.store.update_user(&user).await?;
        self.0.store.delete_sessions(&user.id, SessionKind::Browser).await?;
        self.begin_session(user).await
    }

    /// The account behind a cookie or a token, if it is still good.
    async fn account(&self, token_hash: &[u8; 32]) -> Result<UserRecord, AuthError> {
        let user = self.0.store.find_session(token_hash, Timestamp::now()).await?;
        user.ok_or(AuthError::NotSignedIn)
    }

    fn cookie(&self, value: String, lasts: Duration) -> Cookie<'static> {
        let seconds = i64::try_from(lasts.as_secs()).expect("sessions last hours");
        Cookie::build((COOKIE, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.0.origin.starts_with("https:"))
            .max_age(cookie::time::Duration::seconds(seconds))
            .build()
    }

    /// False when a browser says that a page of another site made the request. The rule of Go's
    /// `CrossOriginProtection` (tower-http's `CsrfLayer` has it too, but lets websockets through): a page at our public
    /// URL, else what `Sec-Fetch-Site` says, else `Origin` against `Host`; programs send none of these.
    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let origin = text("origin");
        match (origin, text("sec-fetch-site")) {
            (Some(origin), _) if origin == self.0.origin => true,
            (_, Some(site)) => matches!(site, "same-origin" | "none"),
            (None, None) => true,
            (Some(origin), None) => {
                origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == text("host"))
            }
        }
    }
}

async fn remember(
    store: &dyn Store,
    user: &UserRecord,
    token: &Secret<String>,
    kind: SessionKind,
    lasts: Duration,
) -> Result<(), AuthError> {
    let now = Timestamp::now();
    let lasts = SignedDuration::try_from(lasts).expect("sessions last hours, tokens years");
    let expires_at = now.saturating_add(lasts).expect("a plain duration");
    let session = SessionRecord { token_hash: hash_token(token.expose()), user_id: user.id.clone(), kind, expires_at };
    store.put_session(&session, now).await.map_err(AuthError::Store)
}

/// 256 random bits, recognisable as ours for scanners that look for leaked secrets.
fn random_token() -> Secret<String> {
    let bits: [u8; 32] = rand::random();
    Secret::new(format!("warmline_{}", BASE64_URL_SAFE_NO_PAD.encode(bits)))
}

/// What is kept of a token. It has 256 random bits, so that nothing slower than SHA-256 is needed.
fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn limiter<K: std::hash::Hash + Eq + Clone>((burst, every): (u32, Duration)) -> DefaultKeyedRateLimiter<K> {
    let burst = NonZeroU32::new(burst).expect("constants above");
    RateLimiter::keyed(Quota::with_period(every).expect("constants above").allow_burst(burst))
}

fn admit<K: std::hash::Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), AuthError> {
    if limiter.len() > REMEMBERED {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|refused| {
        tracing::warn!("Refused: too many attempts");
        AuthError::TooManyAttempts { retry_after: refused.wait_time_from(DefaultClock::default().now()) }
    })
}

/// What one household or host can't change at will: all of an IPv4 address, the first 64 bits of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// `scheme://authority` of a base URL that may have a path.
fn origin_of(base_url: &str) -> String {
    let url = reqwest::Url::parse(base_url);
    url.map(|url| url.origin().ascii_serialization()).unwrap_or_else(|_| base_url.to_owned())
}
