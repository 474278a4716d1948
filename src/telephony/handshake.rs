//! What is known of a media socket before its first message, and who is let in by that alone.
//!
//! A row of the table names a check ([`Check`]). It says by what a stream is let in: by the single-use token it will
//! bring, or by what the handshake already proved; or it refuses, and the socket is never opened. Configuration, clock
//! and the memory of used nonces come in as arguments.

use std::collections::BTreeMap;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::signature::replay::ReplayCache;
use super::signature::same;
use crate::config::ProvidersConfig;
use crate::telemetry::Secret;

/// The request that asks for a websocket.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// Path and query as they were sent: signatures cover them.
    pub target: Secret<String>,
    /// What follows the row's path, without the slash between; empty for most.
    pub tail: Secret<String>,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, Secret<String>)>,
    /// Headers by lower-case name; repeated ones are joined with `, `.
    pub headers: BTreeMap<String, Secret<String>>,
    /// Subprotocols offered, in order.
    pub subprotocols: Vec<String>,
    /// The peer's address.
    pub remote: Option<core::net::IpAddr>,
}

impl Handshake {
    /// A handshake for `target` (path and query) on the row's `path`, without headers.
    pub fn to(path: &str, target: &str) -> Self {
        let (before, query) = target.split_once('?').unwrap_or((target, ""));
        let tail = before.strip_prefix(path).unwrap_or_default().trim_start_matches('/');
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self {
            target: Secret::new(target.to_owned()),
            tail: Secret::new(tail.to_owned()),
            query: pairs.map(|(name, value)| (name, Secret::new(value))).collect(),
            ..Self::default()
        }
    }

    /// Adds a header; one that is there already gets one more value.
    pub fn add_header(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if name == "sec-websocket-protocol" {
            self.subprotocols.extend(value.split(',').map(|one| one.trim().to_owned()));
        }
        let joined = match self.headers.get(&name) {
            Some(before) => format!("{}, {value}", before.expose()),
            None => value.to_owned(),
        };
        self.headers.insert(name, Secret::new(joined));
    }

    /// The header called `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.expose().as_str())
    }

    /// The first query parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.expose().as_str())
    }

    /// User and password of `Authorization: Basic`.
    pub fn basic(&self) -> Option<(String, String)> {
        let text = String::from_utf8(BASE64.decode(self.credentials("basic")?).ok()?).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.credentials("bearer")
    }

    fn credentials(&self, scheme: &str) -> Option<&str> {
        let (given, rest) = self.header("authorization")?.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// What a new protocol is told.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// When the socket opened.
    pub now: Instant,
    /// How it was asked for.
    pub handshake: &'a Handshake,
    /// The providers' sections of the configuration.
    pub settings: &'a ProvidersConfig,
}

/// A handshake at the door.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// How the socket is asked for.
    pub handshake: &'a Handshake,
    /// The providers' sections of the configuration.
    pub settings: &'a ProvidersConfig,
    /// The address the server is known by, for signatures that cover it: `https://…` without a slash at the end.
    pub base_url: &'a str,
    /// For nonces.
    pub now: Instant,
    /// Seconds since 1970, for timestamps.
    pub unix_s: i64,
    /// Nonces seen before.
    pub replays: &'a ReplayCache,
}

/// Decides about a handshake.
pub type Check = fn(&Arrival<'_>) -> Result<LetIn, Refusal>;

/// What lets a stream in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetIn {
    /// Only a single-use token, in the start message, as the query's `token` or at the end of the path.
    ByToken,
    /// The handshake has proved who it is. A token, if the start message or the query has one, must be good all the same.
    ByHandshake,
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are no credentials: 401.
    Missing,
    /// They are wrong, too old or used before: 403. A word for the counter.
    Wrong(&'static str),
    /// Nothing to check them against is configured: 403. The key that is missing.
    Unconfigured(&'static str),
}

impl Refusal {
    /// Label for the counter of refused calls.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "credentials_missing",
            Self::Wrong(word) => word,
            Self::Unconfigured(_) => "unconfigured",
        }
    }
}

/// The check of rows whose streams bring a token, and nothing before it.
pub fn by_token(_: &Arrival<'_>) -> Result<LetIn, Refusal> {
    Ok(LetIn::ByToken)
}

/// Holds `Authorization: Basic` against the configuration; `key` names the password there.
pub fn check_basic(
    handshake: &Handshake,
    username: &str,
    password: &Secret<String>,
    key: &'static str,
) -> Result<(), Refusal> {
    if password.expose().is_empty() {
        return Err(Refusal::Unconfigured(key));
    }
    let (user, given) = handshake.basic().ok_or(Refusal::Missing)?;
    let matches = same(user.as_bytes(), username.as_bytes()) & same(given.as_bytes(), password.expose().as_bytes());
    if matches { Ok(()) } else { Err(Refusal::Wrong("credentials")) }
}

/// Holds a secret the handshake carries (a bearer token, a key in a header) against the configuration; `key` names it
/// there.
pub fn check_secret(given: Option<&str>, secret: &Secret<String>, key: &'static str) -> Result<(), Refusal> {
    if secret.expose().is_empty() {
        return Err(Refusal::Unconfigured(key));
    }
    let given = given.ok_or(Refusal::Missing)?;
    if same(given.as_bytes(), secret.expose().as_bytes()) { Ok(()) } else { Err(Refusal::Wrong("credentials")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_taken_apart() {
        let mut handshake = Handshake::to("/media/x", "/media/x/abc?token=a%20b&token=c");
        handshake.add_header("Authorization", "basic dTpwOnc=");
        handshake.add_header("Sec-WebSocket-Protocol", "a, b");
        handshake.add_header("X-Two", "1");
        handshake.add_header("x-two", "2");
        assert_eq!((handshake.tail.expose().as_str(), handshake.parameter("token")), ("abc", Some("a b")));
        assert_eq!(handshake.basic(), Some(("u".to_owned(), "p:w".to_owned())));
        assert_eq!((handshake.bearer(), handshake.header("x-two")), (None, Some("1, 2")));
        assert_eq!(handshake.subprotocols, ["a", "b"]);
        assert!(!format!("{handshake:?}").contains("abc"), "targets may hold tokens");
        assert_eq!(Handshake::to("/media/x", "/media/x").tail.expose(), "");
    }

    #[test]
    fn credentials_must_be_there_right_and_configured() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let check = |header: &str, password: &str| {
            let mut handshake = Handshake::to("/x", "/x");
            if !header.is_empty() {
                handshake.add_header("authorization", header);
            }
            check_basic(&handshake, "u", &secret(password), "x.password")
        };
        assert_eq!(check("Basic dTpwOnc=", "p:w"), Ok(()));
        for wrong in ["Basic dTpwOng=", "Basic djpwOnc="] {
            assert_eq!(check(wrong, "p:w"), Err(Refusal::Wrong("credentials")));
        }
        for missing in ["", "Basic", "Basic %", "Bearer dTpwOnc="] {
            assert_eq!(check(missing, "p:w"), Err(Refusal::Missing), "{missing}");
        }
        assert_eq!(
            check("Basic dTo=", ""),
            Err(Refusal::Unconfigured("x.password")),
            "nobody's password lets nobody in"
        );
        assert_eq!(check_secret(Some("k"), &secret("k"), "x.key"), Ok(()));
        assert_eq!(check_secret(None, &secret("k"), "x.key"), Err(Refusal::Missing));
        assert_eq!(check_secret(Some(""), &secret(""), "x.key"), Err(Refusal::Unconfigured("x.key")));
    }
}
