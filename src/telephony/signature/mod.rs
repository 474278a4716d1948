//! Signatures by which providers prove that a request is theirs: one file per scheme, each with its signer, which the
//! other side of a test needs. PURE: clock and used nonces come in as arguments.
//!
//! | scheme | who | replays |
//! |---|---|---|
//! | [`twilio`] HMAC-SHA1 over URL and form | Twilio, SignalWire | not covered: single-use tokens besides |
//! | [`plivo`] HMAC-SHA256 with a nonce | Plivo | nonces are remembered |
//! | [`ed25519`] over timestamp and body | Telnyx | 300 s |
//! | [`jwt`] HS256 with the body's hash | Vonage | 300 s, ids are remembered |
//! | [`http_message`] HTTP Message Signatures, HMAC-SHA256 | Genesys AudioHook | 13 s, nonces are remembered |
//! | [`stamped`] HMAC-SHA256 over timestamp and body | jambonz | 300 s |

pub mod ed25519;
pub mod http_message;
pub mod jwt;
pub mod plivo;
pub mod replay;
pub mod stamped;
pub mod twilio;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use twilio::{TWILIO_HEADER, sign_twilio, verify_twilio, verify_twilio_json, verify_twilio_websocket};

/// How far a timestamp may lie from our clock, in seconds, where a scheme names no tolerance of its own.
pub const TOLERANCE_S: i64 = 300;

/// Why a signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none, or a header that belongs to it is missing.
    #[error("there is no signature")]
    Missing,
    /// Not made with our secret, or for something else.
    #[error("the signature is wrong")]
    Wrong,
    /// Too old or from the future.
    #[error("the signature's time is not now")]
    Stale,
    /// Seen before.
    #[error("the signature was used before")]
    Replayed,
    /// There is nothing to check it with.
    #[error("no secret is configured")]
    Unconfigured,
}

impl SignatureError {
    /// Label for counters.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Wrong => "signature_wrong",
            Self::Stale => "signature_stale",
            Self::Replayed => "signature_replayed",
            Self::Unconfigured => "unconfigured",
        }
    }
}

/// Whether two secrets are the same, in a time that says nothing about them, their lengths included.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn within(tolerance_s: i64, unix_s: i64, stamp: i64) -> Result<(), SignatureError> {
    if unix_s.abs_diff(stamp) <= tolerance_s.unsigned_abs() { Ok(()) } else { Err(SignatureError::Stale) }
}

#[cfg(test)]
mod vectors {
    //! `tests/fixtures/signatures.json`.

    use serde_json::Value;

    pub fn of(name: &str) -> Value {
        let all: Value = serde_json::from_str(include_str!("../../../tests/fixtures/signatures.json"))
            .expect("the vectors are JSON");
        all[name].clone()
    }

    pub fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
        vector[key].as_str().expect("vectors hold text")
    }

    pub fn parameters(vector: &Value) -> Vec<(String, String)> {
        let object = vector["params"].as_object().expect("parameters are an object");
        object.iter().map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
    }
}
