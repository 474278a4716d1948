//! Twilio's REST API, and SignalWire's Compatibility API, which is its like. Source: Twilio "Call resource", SignalWire
//! "Create a Call", "Update a Call".

use reqwest::Method;
use serde_json::Value;

use super::{Ask, Content, Credentials, segment};
use crate::config::ProvidersConfig;
use crate::telemetry::Secret;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    /// Where its calls are.
    calls: String,
    user: &'a str,
    password: &'a Secret<String>,
    number: &'a str,
}

impl<'a> Account<'a> {
    /// The account of one of the two, if it is configured.
    pub fn of(provider: &str, providers: &'a ProvidersConfig) -> Option<Self> {
        let (base, user, password, number) = match provider {
            "twilio" => {
                let own = &providers.twilio;
                (own.api_url.clone(), &own.account_sid, &own.auth_token, &own.number)
            }
            "signalwire" => {
                let own = &providers.signalwire;
                let base = if own.api_url.is_empty() { String::new() } else { format!("{}/api/laml", own.api_url) };
                (base, &own.project_id, &own.api_token, &own.number)
            }
            _ => return None,
        };
        let whole = !(base.is_empty() || user.is_empty() || password.expose().is_empty());
        let calls = format!("{base}/2010-04-01/Accounts/{user}/Calls");
        whole.then_some(Self { calls, user, password, number })
    }

    /// Whether calls can be made.
    pub fn can_call(&self) -> bool {
        !self.number.is_empty()
    }

    /// The provider asks `url` what becomes of a call, instead of going on with what it was told before.
    pub fn redirect(&self, call_id: &str, url: String) -> Ask<'_> {
        let content = Content::Form(vec![("Url", url), ("Method", "POST".to_owned())]);
        // Whoever rings already would ring anew.
        self.post(format!("{}/{}.json", self.calls, segment(call_id)), content, false)
    }

    /// Calls `to` and asks `answered` when somebody has answered; `over` is told when nobody has.
    pub fn call(&self, to: &str, ring_s: u32, answered: String, over: String) -> Ask<'_> {
        let content = Content::Form(vec![
            ("To", to.to_owned()),
            ("From", self.number.to_owned()),
            ("Url", answered),
            ("StatusCallback", over),
            ("Timeout", ring_s.to_string()),
            ("MachineDetection", "Enable".to_owned()),
        ]);
        // Whoever is called twice is called once too often.
        self.post(format!("{}.json", self.calls), content, false)
    }

    /// Ends a call.
    pub fn end(&self, call_id: &str) -> Ask<'_> {
        let content = Content::Form(vec![("Status", "completed".to_owned())]);
        self.post(format!("{}/{}.json", self.calls, segment(call_id)), content, true)
    }

    fn post(&self, url: String, content: Content, repeatable: bool) -> Ask<'_> {
        let credentials = Credentials::Basic(self.user, self.password);
        Ask { method: Method::POST, url, credentials, content, repeatable }
    }
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["sid"].as_str()
}
