//! JSON Web Tokens signed with HS256 that may hold the hash of the body they came with: Vonage's webhooks and sockets.
//! Source: Vonage "Signed webhooks"; RFC 7515 for the form. Any other algorithm is refused, `none` first of all.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::replay::ReplayCache;
use super::{SignatureError, TOLERANCE_S, hex, hmac_sha256, same, within};

/// Longer tokens are not looked at.
const MAX_TOKEN: usize = 8 * 1024;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// Its id; used once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// Lower-case hex of the body's SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_hash: Option<String>,
    /// Account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Makes a token.
pub fn sign(secret: &str, claims: &Claims) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).expect("text and numbers serialise"));
    let signed = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]));
    format!("{signed}.{signature}")
}

/// The hash of a body as tokens hold it.
pub fn payload_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// The claims of `token`, if it was made with `secret`, just now, for `body` (if there is one), and never used before.
///
/// A token that comes with a body must hold its hash. Who made it and for which application is for the caller to judge.
pub fn verify(
    secret: &str,
    token: &str,
    body: Option<&[u8]>,
    now: Instant,
    unix_s: i64,
    replays: &ReplayCache,
) -> Result<Claims, SignatureError> {
    if secret.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    if token.is_empty() {
        return Err(SignatureError::Missing);
    }
    if token.len() > MAX_TOKEN {
        return Err(SignatureError::Wrong);
    }
    let wrong = SignatureError::Wrong;
    let (signed, signature) = token.rsplit_once('.').ok_or(wrong)?;
    let (header, payload) = signed.split_once('.').ok_or(wrong)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| wrong);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| wrong)?;
    let right = hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]);
    if !same(&decode(signature)?, &right) || header.alg != "HS256" {
        return Err(wrong);
    }
    let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| wrong)?;
    if let Some(body) = body {
        let claimed = claims.payload_hash.as_deref().ok_or(wrong)?.to_ascii_lowercase();
        if !same(claimed.as_bytes(), payload_hash(body).as_bytes()) {
            return Err(wrong);
        }
    }
    within(TOLERANCE_S, unix_s, claims.iat)?;
    if !claims.jti.is_empty() && !replays.first_time(now, "jwt", &claims.jti) {
        return Err(SignatureError::Replayed);
    }
    Ok(claims)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::super::vectors::{of, text};
    use super::*;

    #[test]
    fn the_vector_is_verified_once_in_its_time_with_its_body() {
        let vector = of("vonage_webhook");
        let (secret, body) = (text(&vector, "signature_secret"), text(&vector, "body").as_bytes());
        let token = text(&vector, "authorization").strip_prefix("Bearer ").expect("a bearer token");
        let claims: Claims = serde_json::from_value(vector["claims"].clone()).expect("claims");
        let at = claims.iat;
        let now = Instant::now();
        let fresh =
            |secret: &str, token: &str, body, unix_s| verify(secret, token, body, now, unix_s, &ReplayCache::default());
        assert_eq!(fresh(secret, token, Some(body), at + 300), Ok(claims.clone()));
        assert_eq!(fresh(secret, token, None, at), Ok(claims.clone()), "a handshake has no body");
        assert_eq!(fresh(secret, token, Some(body), at + 301), Err(SignatureError::Stale));
        assert_eq!(fresh(secret, token, Some(b"{}"), at), Err(SignatureError::Wrong));
        assert_eq!(fresh("other", token, Some(body), at), Err(SignatureError::Wrong));
        assert_eq!(fresh("", token, Some(body), at), Err(SignatureError::Unconfigured));
        assert_eq!(fresh(secret, "", Some(body), at), Err(SignatureError::Missing));
        assert_eq!(fresh(secret, &sign(secret, &claims), Some(body), at), Ok(claims.clone()), "our own signer");
        let no_hash = Claims { payload_hash: None, ..claims };
        assert_eq!(fresh(secret, &sign(secret, &no_hash), Some(body), at), Err(SignatureError::Wrong));
        let cache = ReplayCache::default();
        assert!(verify(secret, token, Some(body), now, at, &cache).is_ok());
        assert_eq!(verify(secret, token, Some(body), now, at, &cache), Err(SignatureError::Replayed));
    }

    #[test]
    fn other_algorithms_and_nonsense_are_refused() {
        let (secret, now, cache) = ("s", Instant::now(), ReplayCache::default());
        let payload = URL_SAFE_NO_PAD.encode(br#"{"iat":7}"#);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, "{}", "[]"] {
            let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
            let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]));
            for token in [format!("{signed}.{signature}"), format!("{signed}.")] {
                assert_eq!(verify(secret, &token, None, now, 7, &cache), Err(SignatureError::Wrong), "{header}");
            }
        }
        for token in ["a", "a.b", "a.b.c", "..", "é.é.é"] {
            assert_eq!(verify(secret, token, None, now, 7, &cache), Err(SignatureError::Wrong));
        }
    }
}
