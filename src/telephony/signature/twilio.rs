//! `X-Twilio-Signature` is base64 of HMAC-SHA1, keyed with the account's Auth Token, over the URL as Twilio
//! requested it, followed for a form by every parameter sorted by name, name and value joined without separators. There
//! is no timestamp in it, so a signed request can be replayed: streams are let in by single-use tokens besides.
//! Source: Twilio "Security"; vectors in `tests/fixtures/signatures.json`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The header that carries the signature; names of HTTP headers know no case.
pub const TWILIO_HEADER: &str = "x-twilio-signature";

/// Signs a form POST of `parameters` to `url`, or with no parameters a GET, a websocket upgrade or a JSON POST.
pub fn sign_twilio(auth_token: &str, url: &str, parameters: &[(String, String)]) -> String {
    BASE64.encode(twilio_digest(auth_token, url, parameters))
}

/// Whether `signature` belongs to a form POST of `parameters` to `url`, or with no parameters to a GET.
///
/// `url` is the address Twilio knows this server by, from configuration and not from `Host`, with path and query. The
/// spellings Twilio's own libraries accept are accepted here: port named or not, query encoded again. Constant time.
pub fn verify_twilio(auth_token: &str, url: &str, parameters: &[(String, String)], signature: &str) -> bool {
    any_matches(auth_token, spellings(url), parameters, signature)
}

/// Whether `signature` belongs to a JSON POST: the URL is signed, and its `bodySHA256` is the body's SHA-256 in hex.
pub fn verify_twilio_json(auth_token: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let claimed = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
    let Some((_, claimed)) = claimed else { return false };
    let digest = super::hex(&Sha256::digest(body));
    let body_matches = digest.as_bytes().ct_eq(claimed.to_ascii_lowercase().as_bytes());
    bool::from(body_matches) & verify_twilio(auth_token, url, &[], signature)
}

/// Whether `signature` belongs to the upgrade of a websocket at `url` (`wss://host/path`).
///
/// Which spelling is signed has varied: with `wss` or `https`, port or none, slash or none at the end. Each is keyed by
/// the same secret, so accepting all costs nothing.
pub fn verify_twilio_websocket(auth_token: &str, url: &str, signature: &str) -> bool {
    let secure = url.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
    let mut all = Vec::new();
    for base in [url, secure.as_str()] {
        let base = base.trim_end_matches('/');
        for spelling in spellings(base) {
            all.push(format!("{spelling}/"));
            all.push(spelling);
        }
    }
    any_matches(auth_token, all, &[], signature)
}

fn any_matches(auth_token: &str, urls: Vec<String>, parameters: &[(String, String)], signature: &str) -> bool {
    // An empty key is one that was never configured: everybody knows it.
    if auth_token.is_empty() {
        return false;
    }
    let given = BASE64.decode(signature).unwrap_or_default();
    let matches = urls.iter().map(|url| twilio_digest(auth_token, url, parameters).as_slice().ct_eq(&given));
    matches.fold(subtle::Choice::from(0), |any, one| any | one).into()
}

fn twilio_digest(auth_token: &str, url: &str, parameters: &[(String, String)]) -> [u8; 20] {
    let mut sorted: Vec<_> = parameters.iter().collect();
    // A repeated parameter counts once for each distinct value.
    sorted.sort_unstable();
    sorted.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// `url` as it may have been signed: as it is, with its default port named or removed, each with its query as it is or
/// encoded anew.
fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // An IPv6 address has colons of its own, within brackets.
        let port_at = authority.rfind(':').filter(|&at| !authority[at..].contains(']'));
        match port_at {
            Some(at) => all.push(format!("{scheme}://{}{tail}", &authority[..at])),
            // Twilio's library names 443 for https alone: for wss it names 80.
            None => all.extend([443, 80].map(|port| format!("{scheme}://{authority}:{port}{tail}"))),
        }
    }
    let encoded: Vec<_> = all.iter().filter_map(|url| with_encoded_query(url)).collect();
    all.extend(encoded);
    all
}

/// `url` with its query decoded and encoded as JavaScript's `querystring` does; `None` when that changes nothing.
fn with_encoded_query(url: &str) -> Option<String> {
    let (base, query) = url.split_once('?')?;
    let encode = |text: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte);
        let one = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(one).collect()
    };
    let pairs =
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| format!("{}={}", encode(&name), encode(&value)));
    let encoded = pairs.collect::<Vec<_>>().join("&");
    (encoded != query).then(|| format!("{base}?{encoded}"))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{of, parameters, text};
    use super::*;

    #[test]
    fn form_vector_is_signed_and_verified() {
        let vector = &of("twilio_post");
        let (token, url, value) = (text(vector, "auth_token"), text(vector, "url"), text(vector, "value"));
        let mut parameters = parameters(vector);
        assert_eq!(sign_twilio(token, url, &parameters), value);
        assert!(verify_twilio(token, url, &parameters, value));
        parameters.reverse();
        assert!(verify_twilio(token, url, &parameters, value), "the order on the wire does not matter");
        parameters.push(parameters[0].clone());
        assert!(verify_twilio(token, url, &parameters, value), "a repeated value counts once");
        assert!(!verify_twilio("12346", url, &parameters, value));
        assert!(!verify_twilio(token, &url.replace('7', "8"), &parameters, value));
        parameters[0].1.push('0');
        assert!(!verify_twilio(token, url, &parameters, value));
    }

    #[test]
    fn websocket_vector_is_verified_in_every_spelling() {
        let vector = &of("twilio_ws");
        let (token, url, value) = (text(vector, "auth_token"), text(vector, "signed_string"), text(vector, "value"));
        assert!(verify_twilio_websocket(token, url, value));
        assert!(!verify_twilio_websocket(token, "wss://agent.example.com/twilio/other", value));
        for signed in [
            "wss://agent.example.com:443/twilio/media",
            "wss://agent.example.com:80/twilio/media",
            "wss://agent.example.com/twilio/media/",
            "https://agent.example.com/twilio/media",
            "https://agent.example.com/twilio/media/",
        ] {
            let signature = sign_twilio(token, signed, &[]);
            assert!(verify_twilio_websocket(token, url, &signature), "{signed}");
        }
    }

    #[test]
    fn ports_and_encoded_queries_are_tried_for_webhooks_too() {
        let sign = |url| sign_twilio("12345", url, &[]);
        let verify = |url, signature: &str| verify_twilio("12345", url, &[], signature);
        assert!(verify("https://a.example/x", &sign("https://a.example:443/x")));
        assert!(verify("https://a.example:8443/x", &sign("https://a.example/x")));
        assert!(verify("http://[::1]/x?y=1", &sign("http://[::1]:80/x?y=1")));
        assert!(verify("https://a.example/x?y=a+b%27", &sign("https://a.example/x?y=a%20b'")));
        assert!(!verify("https://a.example/x", &sign("https://b.example/x")));
    }

    #[test]
    fn json_bodies_are_held_against_the_hash_in_the_url() {
        let url = "https://a.example/x?bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let signature = sign_twilio("12345", url, &[]);
        assert!(verify_twilio_json("12345", url, b"{}", &signature));
        assert!(!verify_twilio_json("12345", url, b"{ }", &signature));
        let bare = "https://a.example/x";
        assert!(!verify_twilio_json("12345", bare, b"{}", &sign_twilio("12345", bare, &[])));
    }

    #[test]
    fn nonsense_never_verifies() {
        for signature in ["", "=", "not base64 at all", "AAAA", "\u{0}"] {
            assert!(!verify_twilio("12345", "https://a.example/x", &[], signature));
        }
        let url = "https://a.example/x";
        assert!(!verify_twilio("", url, &[], &sign_twilio("", url, &[])), "an Auth Token nobody set lets nobody in");
    }
}
