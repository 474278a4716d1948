//! Bandwidth's Voice API. Source: Bandwidth "Create Call", "Update Call", "Machine detection".

use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::BandwidthConfig;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a>(&'a BandwidthConfig);

impl<'a> Account<'a> {
    /// The account, if it is configured for calls. Its callbacks are answered only with the application's credentials, so
    /// those are needed, too.
    pub fn of(settings: &'a BandwidthConfig) -> Option<Self> {
        let needed = [&settings.account_id, &settings.api_username, &settings.application_id, &settings.number];
        let whole = needed.into_iter().all(|text| !text.is_empty()) && !settings.password.expose().is_empty();
        whole.then_some(Self(settings))
    }

    /// Calls `to` and asks `answered` once it is known whether a machine has answered; `over` is told how the call ended.
    pub fn call(self, to: &str, ring_s: u32, answered: &str, over: &str) -> Ask<'a> {
        let settings = self.0;
        let body = json!({
            "from": settings.number,
            "to": to,
            "applicationId": settings.application_id,
            "answerUrl": answered,
            "answerMethod": "POST",
            "disconnectUrl": over,
            "disconnectMethod": "POST",
            "username": settings.username,
            "password": settings.password.expose(),
            "callTimeout": ring_s,
            "machineDetection": {"mode": "sync"},
        });
        // Whoever is called twice is called once too often.
        self.post("calls".to_owned(), body, false)
    }

    /// Ends a call.
    pub fn end(self, call_id: &str) -> Ask<'a> {
        self.post(format!("calls/{}", segment(call_id)), json!({"state": "completed"}), true)
    }

    fn post(self, path: String, body: Value, repeatable: bool) -> Ask<'a> {
        let settings = self.0;
        Ask {
            method: Method::POST,
            url: format!("{}/accounts/{}/{path}", settings.api_url, settings.account_id),
            credentials: Credentials::Basic(&settings.api_username, &settings.api_password),
            content: Content::Json(body),
            repeatable,
        }
    }
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["callId"].as_str()
}
