//! Ed25519 over a timestamp, `|` and the body as it came: Telnyx. Source: Telnyx "Webhook signing".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{SignatureError, TOLERANCE_S, within};

/// Carries the signature, in base64.
pub const SIGNATURE_HEADER: &str = "telnyx-signature-ed25519";
/// Carries the time, seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "telnyx-timestamp";

/// Whether `signature` over `timestamp` and `body` was made with the private half of `public_key` (base64), just now.
pub fn verify(
    public_key: &str,
    timestamp: &str,
    body: &[u8],
    signature: &str,
    unix_s: i64,
) -> Result<(), SignatureError> {
    if public_key.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    if timestamp.is_empty() || signature.is_empty() {
        return Err(SignatureError::Missing);
    }
    let decode = |text: &str| BASE64.decode(text.trim()).map_err(|_| SignatureError::Wrong);
    let message = [timestamp.as_bytes(), b"|", body].concat();
    let key = UnparsedPublicKey::new(&ED25519, decode(public_key)?);
    key.verify(&message, &decode(signature)?).map_err(|_| SignatureError::Wrong)?;
    within(TOLERANCE_S, unix_s, timestamp.parse().map_err(|_| SignatureError::Stale)?)
}

/// Whether `key` is base64 of 32 bytes.
pub fn is_public_key(key: &str) -> bool {
    BASE64.decode(key.trim()).is_ok_and(|bytes| bytes.len() == 32)
}

/// The provider's half, for the other side of a test.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// From a seed of 32 bytes, in base64.
    pub fn from_seed(seed: &str) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(&BASE64.decode(seed.trim()).ok()?).ok().map(Self)
    }

    /// The public half, in base64, as it is configured.
    pub fn public_key(&self) -> String {
        BASE64.encode(self.0.public_key())
    }

    /// Signs a request of that moment.
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        BASE64.encode(self.0.sign(&[timestamp.as_bytes(), b"|", body].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{of, text};
    use super::*;

    #[test]
    fn the_vector_is_signed_and_verified_in_its_time() {
        let vector = of("telnyx");
        let (key, stamp, body) = (text(&vector, "public_key_b64"), text(&vector, "timestamp"), text(&vector, "body"));
        let signature = text(&vector["headers"], SIGNATURE_HEADER);
        let seed: Vec<u8> = (0..32).collect();
        let signing = SigningKey::from_seed(&BASE64.encode(seed)).expect("a seed");
        assert_eq!(signing.public_key(), key);
        assert_eq!(signing.sign(stamp, body.as_bytes()), signature);
        let at = stamp.parse::<i64>().expect("seconds");
        let verify = |key: &str, stamp: &str, body: &str, now| verify(key, stamp, body.as_bytes(), signature, now);
        for now in [at - 300, at, at + 300] {
            assert_eq!(verify(key, stamp, body, now), Ok(()));
        }
        for now in [at - 301, at + 301, i64::MIN, i64::MAX] {
            assert_eq!(verify(key, stamp, body, now), Err(SignatureError::Stale));
        }
        assert_eq!(verify(key, stamp, &body.replace("v3", "v4"), at), Err(SignatureError::Wrong));
        assert_eq!(verify(key, "1767607201", body, at), Err(SignatureError::Wrong));
        assert_eq!(verify(&BASE64.encode([7; 32]), stamp, body, at), Err(SignatureError::Wrong));
        assert_eq!(verify("nonsense", stamp, body, at), Err(SignatureError::Wrong));
        assert_eq!(verify("", stamp, body, at), Err(SignatureError::Unconfigured));
        assert_eq!(verify(key, "", body, at), Err(SignatureError::Missing));
        assert!(is_public_key(key) && !is_public_key("c2hvcnQ="));
    }
}
