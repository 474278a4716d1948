//! `t=<unix>,v1=<hex>`: HMAC-SHA256 over a timestamp, a dot and the body as it came. jambonz' webhooks.

use super::{SignatureError, TOLERANCE_S, hex, hmac_sha256, same, within};

/// The header of jambonz.
pub const JAMBONZ_HEADER: &str = "jambonz-signature";

/// Signs a request of that moment.
pub fn sign(secret: &str, unix_s: i64, body: &[u8]) -> String {
    format!("t={unix_s},v1={}", digest(secret, &unix_s.to_string(), body))
}

/// Whether `header` signs `body`, just now. Of several `v1` one must fit: secrets are changed that way.
pub fn verify(secret: &str, header: &str, body: &[u8], unix_s: i64) -> Result<(), SignatureError> {
    if secret.is_empty() {
        return Err(SignatureError::Unconfigured);
    }
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let stamp = parts().find(|(name, _)| *name == "t").map(|(_, value)| value).ok_or(SignatureError::Missing)?;
    let right = digest(secret, stamp, body);
    let versions = parts().filter(|(name, _)| *name == "v1");
    if !versions.map(|(_, given)| same(given.as_bytes(), right.as_bytes())).fold(false, |any, one| any | one) {
        return Err(SignatureError::Wrong);
    }
    within(TOLERANCE_S, unix_s, stamp.parse().map_err(|_| SignatureError::Stale)?)
}

fn digest(secret: &str, stamp: &str, body: &[u8]) -> String {
    hex(&hmac_sha256(secret.as_bytes(), &[stamp.as_bytes(), b".", body]))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{of, text};
    use super::*;

    #[test]
    fn the_vector_is_signed_and_verified_in_its_time() {
        let vector = of("jambonz_webhook");
        let (secret, value) = (text(&vector, "secret"), text(&vector, "value"));
        let (stamp, body) = text(&vector, "signed_string").split_once('.').expect("a dot between");
        let at = stamp.parse::<i64>().expect("seconds");
        assert_eq!(sign(secret, at, body.as_bytes()), value);
        let verify = |secret, value: &str, body: &str, now| verify(secret, value, body.as_bytes(), now);
        assert_eq!(verify(secret, value, body, at + 300), Ok(()));
        assert_eq!(verify(secret, value, body, at + 301), Err(SignatureError::Stale));
        assert_eq!(verify(secret, &value.replace(",v1=", ",v1=00,v1="), body, at), Ok(()));
        assert_eq!(verify(secret, value, "{}", at), Err(SignatureError::Wrong));
        assert_eq!(verify("other", value, body, at), Err(SignatureError::Wrong));
        assert_eq!(verify(secret, "v1=00", body, at), Err(SignatureError::Missing));
        assert_eq!(verify("", value, body, at), Err(SignatureError::Unconfigured));
    }
}
