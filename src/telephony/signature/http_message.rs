//! HTTP Message Signatures with HMAC-SHA256 over a handshake, in the draft form Genesys AudioHook uses. Source: the
//! reference implementation's verifier; the vector follows its own test.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::replay::ReplayCache;
use super::{SignatureError, hmac_sha256, same};
use crate::telephony::handshake::Handshake;

/// What a signature has to cover at least.
const COVERED: [&str; 6] = [
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
];
/// A signature is good for so long, in seconds…
const LIFETIME_S: i64 = 10;
/// …and clocks may differ by this.
const SKEW_S: i64 = 3;
/// Shorter nonces are none.
const MIN_NONCE: usize = 22;

/// Whether `handshake` was signed with `secret` (base64) in the name of its own API key, just now and once.
///
/// `authority` is the host this server is known by, for a proxy in between may have changed the header; the header's own
/// is tried as well.
pub fn verify(
    secret: &str,
    handshake: &Handshake,
    authority: &str,
    now: Instant,
    unix_s: i64,
    replays: &ReplayCache,
) -> Result<(), SignatureError> {
    let wrong = SignatureError::Wrong;
    let key = BASE64.decode(secret.trim()).unwrap_or_default();
    if key.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    let input = handshake.header("signature-input").ok_or(SignatureError::Missing)?;
    let given = handshake.header("signature").ok_or(SignatureError::Missing)?;
    let (label, parameters) = input.trim().split_once('=').ok_or(wrong)?;
    let given = given.trim().strip_prefix(label).and_then(|rest| rest.strip_prefix("=:")).ok_or(wrong)?;
    let given = BASE64.decode(given.strip_suffix(':').ok_or(wrong)?).map_err(|_| wrong)?;
    let input = Input::parse(parameters).ok_or(wrong)?;
    if !COVERED.iter().all(|name| input.components.contains(name)) {
        return Err(wrong);
    }
    let host = handshake.header("host").unwrap_or_default();
    let mut matches = false;
    for authority in [authority, host] {
        let base = input.base(handshake, &canonical(authority), parameters).ok_or(wrong)?;
        matches |= same(&given, &hmac_sha256(&key, &[base.as_bytes()]));
    }
    let nonce = input.text("nonce").unwrap_or_default();
    if !matches
        || input.text("keyid") != handshake.header("x-api-key")
        || input.text("alg") != Some("hmac-sha256")
        || nonce.len() < MIN_NONCE
    {
        return Err(wrong);
    }
    let created = input.number("created").ok_or(wrong)?;
    let expires = input.number("expires").unwrap_or_else(|| created.saturating_add(LIFETIME_S));
    let fresh = created <= unix_s.saturating_add(SKEW_S)
        && created >= unix_s.saturating_sub(LIFETIME_S + SKEW_S)
        && expires >= unix_s.saturating_sub(SKEW_S);
    if !fresh {
        return Err(SignatureError::Stale);
    }
    if replays.first_time(now, "http-message", nonce) { Ok(()) } else { Err(SignatureError::Replayed) }
}

/// Signs a handshake: adds the two headers. The other headers are there already.
pub fn sign(secret: &[u8], handshake: &mut Handshake, authority: &str, nonce: &str, unix_s: i64) {
    let components = COVERED.map(|name| format!("\"{name}\"")).join(" ");
    let key_id = handshake.header("x-api-key").unwrap_or_default();
    let parameters = format!(
        "({components});keyid=\"{key_id}\";nonce=\"{nonce}\";alg=\"hmac-sha256\";created={unix_s};expires={}",
        unix_s + LIFETIME_S
    );
    let input = Input::parse(&parameters).expect("well-formed");
    let base = input.base(handshake, &canonical(authority), &parameters).expect("the headers are there");
    let signature = BASE64.encode(hmac_sha256(secret, &[base.as_bytes()]));
    handshake.add_header("signature-input", &format!("sig1={parameters}"));
    handshake.add_header("signature", &format!("sig1=:{signature}:"));
}

/// A host in lower case without a default port.
fn canonical(authority: &str) -> String {
    let authority = authority.trim().to_ascii_lowercase();
    authority.strip_suffix(":443").or(authority.strip_suffix(":80")).unwrap_or(&authority).to_owned()
}

/// `("a" "b");name="text";name=7`.
struct Input<'a> {
    components: Vec<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Input<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (components, mut rest) = text.strip_prefix('(')?.split_once(')')?;
        let quoted = |text: &'a str| text.strip_prefix('"')?.strip_suffix('"');
        let components = components.split_ascii_whitespace().map(quoted).collect::<Option<Vec<_>>>()?;
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            let (name, value) = rest.strip_prefix(';')?.split_once('=')?;
            // A quoted value may hold semicolons.
            let end = match value.strip_prefix('"') {
                Some(inner) => inner.find('"')? + 2,
                None => value.find(';').unwrap_or(value.len()),
            };
            parameters.push((name.trim(), &value[..end]));
            rest = &value[end..];
        }
        Some(Self { components, parameters })
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.raw(name)?.strip_prefix('"')?.strip_suffix('"')
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.raw(name)?.parse().ok()
    }

    /// What is signed; `None` when a covered header is missing.
    fn base(&self, handshake: &Handshake, authority: &str, parameters: &str) -> Option<String> {
        let mut base = String::new();
        for name in &self.components {
            let value = match *name {
                "@request-target" => handshake.target.expose().as_str(),
                "@authority" => authority,
                header => handshake.header(header)?.trim(),
            };
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {parameters}"));
        Some(base)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use proptest::prelude::*;

    use super::super::vectors::{of, text};
    use super::*;

    const AT: i64 = 1_767_607_200;

    fn signed() -> (String, Handshake) {
        let vector = of("audiohook");
        let mut handshake = Handshake::to("/genesys/audiohook", text(&vector, "request_target"));
        for (name, value) in vector["headers"].as_object().expect("headers") {
            handshake.add_header(name, value.as_str().expect("text"));
        }
        (text(&vector, "client_secret_b64").to_owned(), handshake)
    }

    fn check(secret: &str, handshake: &Handshake, unix_s: i64) -> Result<(), SignatureError> {
        verify(secret, handshake, "agent.example.com", Instant::now(), unix_s, &ReplayCache::default())
    }

    fn set(handshake: &mut Handshake, name: &str, value: &str) {
        handshake.headers.remove(name);
        handshake.add_header(name, value);
    }

    #[test]
    fn the_vector_is_verified_in_its_time_and_once() {
        let (secret, handshake) = signed();
        for now in [AT - 3, AT, AT + 13] {
            assert_eq!(check(&secret, &handshake, now), Ok(()), "{now}");
        }
        for now in [AT - 4, AT + 14, i64::MIN, i64::MAX] {
            assert_eq!(check(&secret, &handshake, now), Err(SignatureError::Stale), "{now}");
        }
        let (cache, now) = (ReplayCache::default(), Instant::now());
        let once = || verify(&secret, &handshake, "agent.example.com", now, AT, &cache);
        assert_eq!((once(), once()), (Ok(()), Err(SignatureError::Replayed)));
    }

    #[test]
    fn whatever_is_covered_can_not_be_changed() {
        let (secret, honest) = signed();
        for name in ["audiohook-organization-id", "audiohook-session-id", "audiohook-correlation-id", "x-api-key"] {
            let mut changed = honest.clone();
            set(&mut changed, name, "other");
            assert_eq!(check(&secret, &changed, AT), Err(SignatureError::Wrong), "{name}");
            changed.headers.remove(name);
            assert_eq!(check(&secret, &changed, AT), Err(SignatureError::Wrong), "{name}");
        }
        let mut changed = honest.clone();
        changed.target = crate::telemetry::Secret::new("/genesys/audiohook?bot=other".to_owned());
        assert_eq!(check(&secret, &changed, AT), Err(SignatureError::Wrong));
        let mut proxied = honest.clone();
        set(&mut proxied, "host", "10.0.0.7:8080");
        assert_eq!(check(&secret, &proxied, AT), Ok(()), "the configured host counts");
        let uncovered = honest.header("signature-input").expect("there").replace(" \"x-api-key\"", "");
        let mut changed = honest.clone();
        set(&mut changed, "signature-input", &uncovered);
        assert_eq!(check(&secret, &changed, AT), Err(SignatureError::Wrong));
        for name in ["signature", "signature-input"] {
            let mut changed = honest.clone();
            changed.headers.remove(name);
            assert_eq!(check(&secret, &changed, AT), Err(SignatureError::Missing), "{name}");
        }
        assert_eq!(check("", &honest, AT), Err(SignatureError::Unconfigured));
        assert_eq!(check("b3RoZXI=", &honest, AT), Err(SignatureError::Wrong));
    }

    #[test]
    fn our_signer_is_taken_and_a_short_nonce_is_not() {
        let (_, honest) = signed();
        for (nonce, expected) in
            [("0123456789012345678901", Ok(())), ("012345678901234567890", Err(SignatureError::Wrong))]
        {
            let mut handshake = honest.clone();
            handshake.headers.retain(|name, _| !name.starts_with("signature"));
            sign(b"secret", &mut handshake, "Agent.example.com:443", nonce, AT);
            assert_eq!(check(&BASE64.encode("secret"), &handshake, AT), expected);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(input in any::<String>(), signature in any::<String>()) {
            let (secret, mut handshake) = signed();
            set(&mut handshake, "signature-input", &input);
            set(&mut handshake, "signature", &signature);
            prop_assert!(check(&secret, &handshake, AT).is_err());
            set(&mut handshake, "signature-input", &format!("sig1=({input}"));
            prop_assert!(check(&secret, &handshake, AT).is_err());
        }
    }
}
