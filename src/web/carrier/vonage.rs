//! Vonage's Voice API, asked by an application: each request brings a token of its own, signed with the application's private
//! key. Source: Vonage "Voice API reference", "Authentication" (JWT, RS256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::{VonageConfig, rsa_key};
use crate::telemetry::Secret;
use crate::web::gate::unix_s;

/// How long a token is good, in seconds. It is used at once.
const LIFETIME_S: i64 = 300;

/// Who asks. Made anew for each request.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    settings: &'a VonageConfig,
    token: Secret<String>,
}

impl<'a> Application<'a> {
    /// The application, if it and its key are configured.
    pub fn of(settings: &'a VonageConfig) -> Option<Self> {
        if !is_configured(settings) {
            return None;
        }
        let token = token(settings.private_key.expose(), &settings.application_id, unix_s())?;
        Some(Self { settings, token: Secret::new(token) })
    }

    /// A call goes on by this NCCO, instead of the one it had.
    pub fn transfer(&self, call_id: &str, ncco: &Value) -> Ask<'_> {
        let body = json!({"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}});
        // An NCCO may hold a token that is good once, or ring somebody.
        self.ask(Method::PUT, &format!("/{}", segment(call_id)), body, false)
    }

    /// Ends a call.
    pub fn end(&self, call_id: &str) -> Ask<'_> {
        self.ask(Method::PUT, &format!("/{}", segment(call_id)), json!({"action": "hangup"}), true)
    }

    /// A call, as Vonage's reference describes its body.
    pub fn call(&self, body: Value) -> Ask<'_> {
        // Whoever is called twice is called once too often.
        self.ask(Method::POST, "", body, false)
    }

    /// Calls `to`, as our number: `answered` is asked for an NCCO, `events` told what happens. Vonage waits until it knows
    /// whether a machine has answered, and hangs up on machines.
    pub fn call_out(&self, to: &str, ring_s: u32, answered: &str, events: &str) -> Ask<'_> {
        self.call(json!({
            "to": [endpoint(to)],
            "from": endpoint(&self.settings.number),
            "answer_url": [answered],
            "answer_method": "POST",
            "event_url": [events],
            "event_method": "POST",
            "ringing_timer": ring_s,
            "machine_detection": "hangup",
        }))
    }

    fn ask(&self, method: Method, path: &str, body: Value, repeatable: bool) -> Ask<'_> {
        let url = format!("{}/v1/calls{path}", self.settings.api_url);
        Ask { method, url, credentials: Credentials::Bearer(&self.token), content: Content::Json(body), repeatable }
    }
}

/// Whether the API can be asked.
pub fn is_configured(settings: &VonageConfig) -> bool {
    !(settings.application_id.is_empty() || settings.private_key.expose().is_empty())
}

/// Whether calls can be made.
pub fn can_call(settings: &VonageConfig) -> bool {
    is_configured(settings) && !settings.number.is_empty()
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["uuid"].as_str()
}

/// Whom to call, or as whom: a number without its plus, or a `sip:` address.
pub fn endpoint(target: &str) -> Value {
    if target.starts_with("sip:") {
        json!({"type": "sip", "uri": target})
    } else {
        json!({"type": "phone", "number": target.trim_start_matches('+')})
    }
}

/// A token of the application, good from now on.
fn token(private_key: &str, application_id: &str, unix_s: i64) -> Option<String> {
    let key = rsa_key(private_key)?;
    let claims = json!({
        "application_id": application_id,
        "iat": unix_s,
        "exp": unix_s + LIFETIME_S,
        "jti": uuid::Uuid::new_v4().to_string(),
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "RS256", "typ": "JWT"})), encode(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    const KEY: &str = include_str!("../../../tests/fixtures/vonage/application.pem");

    #[test]
    fn tokens_are_the_applications_and_for_now() {
        let token = token(KEY, "app-1", 1_767_607_200).expect("a good key");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
        let part =
            |n: usize| serde_json::from_slice::<Value>(&decode(signed.split('.').nth(n).expect("two"))).expect("JSON");
        assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT"}));
        let claims = part(1);
        assert_eq!(
            (&claims["application_id"], &claims["iat"], &claims["exp"]),
            (&json!("app-1"), &json!(1_767_607_200), &json!(1_767_607_500))
        );
        assert!(claims["jti"].as_str().is_some_and(|id| id.len() == 36));
        let public = rsa_key(KEY).expect("a good key").public().as_ref().to_vec();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        public.verify(signed.as_bytes(), &decode(signature)).expect("signed by the key");
        public.verify(b"another", &decode(signature)).expect_err("and nothing else");
    }

    #[test]
    fn keys_come_with_line_ends_or_without_and_nonsense_is_no_key() {
        assert!(rsa_key(&KEY.trim_end().replace('\n', "\\n")).is_some());
        for wrong in ["", "hush", &KEY[..200], "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(rsa_key(wrong).is_none(), "{wrong}");
            assert!(super::token(wrong, "app-1", 0).is_none());
        }
    }
}
