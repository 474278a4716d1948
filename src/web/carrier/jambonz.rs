//! jambonz' REST API. Source: jambonz "REST API", and `validateCreateCall`, `validateUpdateCall` of its API server: with an
//! application a call has that application's webhooks, and its `tag` comes back with each of them as `customerData`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::JambonzConfig;

/// What our key for a call is called in its tag.
pub const KEY: &str = "warmline";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a>(&'a JambonzConfig);

impl<'a> Account<'a> {
    /// The account, if it is configured for calls.
    pub fn of(settings: &'a JambonzConfig) -> Option<Self> {
        let needed = [&settings.api_url, &settings.account_sid, &settings.application_sid, &settings.number];
        let whole = needed.into_iter().all(|text| !text.is_empty()) && !settings.api_key.expose().is_empty();
        whole.then_some(Self(settings))
    }

    /// Calls `to`. The application is asked when somebody answers, and told what became of the call, each time with `key`.
    pub fn call(self, to: &str, ring_s: u32, key: &str) -> Ask<'a> {
        let settings = self.0;
        let to = match to.strip_prefix("tel:").unwrap_or(to) {
            sip if sip.starts_with("sip:") || sip.starts_with("sips:") => json!({"type": "sip", "sipUri": sip}),
            number => json!({"type": "phone", "number": number}),
        };
        let body = json!({
            "application_sid": settings.application_sid,
            "from": settings.number,
            "to": to,
            "timeout": ring_s,
            "tag": {KEY: key},
        });
        // Whoever is called twice is called once too often.
        self.ask(Method::POST, "Calls", body, false)
    }

    /// Ends a call; one that nobody has answered rings no more.
    pub fn end(self, call_sid: &str) -> Ask<'a> {
        self.ask(Method::PUT, &format!("Calls/{}", segment(call_sid)), json!({"call_status": "completed"}), true)
    }

    fn ask(self, method: Method, path: &str, body: Value, repeatable: bool) -> Ask<'a> {
        let settings = self.0;
        Ask {
            method,
            url: format!("{}/v1/Accounts/{}/{path}", settings.api_url, settings.account_sid),
            credentials: Credentials::Bearer(&settings.api_key),
            content: Content::Json(body),
            repeatable,
        }
    }
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["sid"].as_str()
}
