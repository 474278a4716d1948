//! Plivo's V3 signature: base64 of HMAC-SHA256, keyed with the Auth Token, over the URL with its parameters in order, a
//! dot and a nonce. There is no time in it, so nonces are remembered. Source: the `plivo` package's `signature_v3`,
//! whose code made the vectors.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::replay::ReplayCache;
use super::{SignatureError, hmac_sha256, same};

/// Carries one signature or several, parted by commas.
pub const SIGNATURE_HEADER: &str = "x-plivo-signature-v3";
/// Carries the same made with the main account's token when a subaccount is used.
pub const MAIN_SIGNATURE_HEADER: &str = "x-plivo-signature-ma-v3";
/// Carries the nonce.
pub const NONCE_HEADER: &str = "x-plivo-signature-v3-nonce";

/// Signs a request. `form` holds a POST's parameters and is `None` for a GET.
pub fn sign(auth_token: &str, url: &str, form: Option<&[(String, String)]>, nonce: &str) -> String {
    BASE64.encode(hmac_sha256(auth_token.as_bytes(), &[signed(url, form).as_bytes(), b".", nonce.as_bytes()]))
}

/// Whether one of `signatures` belongs to a request for `url`, and its nonce is new.
pub fn verify(
    auth_token: &str,
    url: &str,
    form: Option<&[(String, String)]>,
    signatures: &str,
    nonce: &str,
    now: Instant,
    replays: &ReplayCache,
) -> Result<(), SignatureError> {
    if auth_token.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    if signatures.is_empty() || nonce.is_empty() {
        return Err(SignatureError::Missing);
    }
    let right = sign(auth_token, url, form, nonce);
    let matches = signatures.split(',').map(|one| same(one.trim().as_bytes(), right.as_bytes()));
    if !matches.fold(false, |any, one| any | one) {
        return Err(SignatureError::Wrong);
    }
    if replays.first_time(now, "plivo", nonce) { Ok(()) } else { Err(SignatureError::Replayed) }
}

/// What is signed, without the nonce.
fn signed(url: &str, form: Option<&[(String, String)]>) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    pairs.sort();
    let query = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let form = form.filter(|form| !form.is_empty());
    let mut text = base.to_owned();
    if form.is_some() || !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    if let Some(form) = form {
        if !query.is_empty() {
            text.push('.');
        }
        let mut sorted: Vec<_> = form.iter().collect();
        sorted.sort();
        sorted.iter().for_each(|(name, value)| text.extend([name.as_str(), value.as_str()]));
    }
    text
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::super::vectors::{of, parameters, text};
    use super::*;

    #[test]
    fn vectors_are_signed_and_verified_once() {
        for name in ["plivo_post_with_query", "plivo_post_no_query", "plivo_get"] {
            let vector = of(name);
            let (token, url, nonce) = (text(&vector, "auth_token"), text(&vector, "url"), text(&vector, "nonce"));
            let parameters = parameters(&vector);
            let form = (text(&vector, "method") == "POST").then_some(parameters.as_slice());
            assert_eq!(format!("{}.{nonce}", signed(url, form)), text(&vector, "signed_string"), "{name}");
            let value = text(&vector, "value");
            assert_eq!(sign(token, url, form, nonce), value, "{name}");
            let (cache, now) = (ReplayCache::default(), Instant::now());
            let verify = |token: &str, url: &str, value: &str| verify(token, url, form, value, nonce, now, &cache);
            assert_eq!(verify("other", url, value), Err(SignatureError::Wrong));
            assert_eq!(verify(token, &url.replace("agent.", "agents."), value), Err(SignatureError::Wrong));
            assert_eq!(verify(token, url, &format!("bm9uc2Vuc2U=, {value}")), Ok(()), "one of several is enough");
            assert_eq!(verify(token, url, value), Err(SignatureError::Replayed));
            assert_eq!(verify("", url, value), Err(SignatureError::Unconfigured));
            assert_eq!(verify(token, url, ""), Err(SignatureError::Missing));
        }
    }
}
