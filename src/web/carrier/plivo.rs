//! Plivo's REST API. Source: Plivo "Make a call", "Transfer a call", "Cancel a call"; the paths end with a slash.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::PlivoConfig;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    base: String,
    settings: &'a PlivoConfig,
}

impl<'a> Account<'a> {
    /// The account, if it is configured.
    pub fn of(settings: &'a PlivoConfig) -> Option<Self> {
        let whole = !(settings.auth_id.is_empty() || settings.auth_token.expose().is_empty());
        let base = format!("{}/v1/Account/{}", settings.api_url, settings.auth_id);
        whole.then_some(Self { base, settings })
    }

    /// Whether calls can be made.
    pub fn can_call(&self) -> bool {
        !self.settings.number.is_empty()
    }

    /// Plivo asks `url` what becomes of a caller, instead of going on with what it was told before.
    pub fn redirect(&self, call_id: &str, url: &str) -> Ask<'_> {
        let body = json!({"legs": "aleg", "aleg_url": url, "aleg_method": "POST"});
        // Whoever rings already would ring anew.
        self.ask(Method::POST, &format!("Call/{}", segment(call_id)), Content::Json(body), false)
    }

    /// Calls `to` and asks `answered` when a person has answered; `over` is told how the call ended. Machines are hung up on.
    pub fn call(&self, to: &str, ring_s: u32, answered: &str, over: &str) -> Ask<'_> {
        let body = json!({
            "from": plain(&self.settings.number),
            "to": plain(to),
            "answer_url": answered,
            "answer_method": "POST",
            "hangup_url": over,
            "hangup_method": "POST",
            "ring_timeout": ring_s,
            "machine_detection": "hangup",
        });
        // Whoever is called twice is called once too often.
        self.ask(Method::POST, "Call", Content::Json(body), false)
    }

    /// Ends a call that was asked for and that nobody has answered.
    pub fn cancel(&self, request: &str) -> Ask<'_> {
        self.ask(Method::DELETE, &format!("Request/{}", segment(request)), Content::Empty, true)
    }

    fn ask(&self, method: Method, path: &str, content: Content, repeatable: bool) -> Ask<'_> {
        let credentials = Credentials::Basic(&self.settings.auth_id, &self.settings.auth_token);
        Ask { method, url: format!("{}/{path}/", self.base), credentials, content, repeatable }
    }
}

/// Plivo's numbers have no plus; addresses stay as they are.
fn plain(number: &str) -> &str {
    number.trim_start_matches('+')
}

/// The name of what an answer says was asked for.
pub fn request_id(answer: &Value) -> Option<&str> {
    answer["request_uuid"].as_str()
}
