//! Telnyx' Call Control: commands about a call, and calls. Each carries an id of its own, by which Telnyx knows a command that
//! comes again. And TeXML's own way to move a call. Source: Telnyx "Call Control commands", "Dial", "Update call" (TeXML).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Content, Credentials, segment};
use crate::config::TelnyxConfig;

/// Before our name for a call that belongs to no caller, in the state that comes back with its events.
pub const OUT: &str = "warmline:out:";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a>(&'a TelnyxConfig);

impl<'a> Account<'a> {
    /// The account, if its key is configured.
    pub fn of(settings: &'a TelnyxConfig) -> Option<Self> {
        (!settings.api_key.expose().is_empty()).then_some(Self(settings))
    }

    /// Whether people can be called who don't belong to a caller.
    pub fn can_call(&self) -> bool {
        !(self.0.connection_id.is_empty() || self.0.number.is_empty())
    }

    /// A command about a call, whose id is one that may stand in a path. The body holds its `command_id`.
    pub fn command(self, call_id: &str, action: &str, body: Value) -> Ask<'a> {
        self.post(format!("calls/{call_id}/actions/{action}"), body)
    }

    /// A TeXML call asks `url` what becomes of it, instead of going on with what it was told before.
    pub fn redirect(self, account: &str, call_id: &str, url: String) -> Ask<'a> {
        let path = format!("texml/Accounts/{}/Calls/{}", segment(account), segment(call_id));
        Ask {
            content: Content::Form(vec![("Url", url), ("Method", "POST".to_owned())]),
            // Whoever rings already would ring anew.
            repeatable: false,
            ..self.post(path, Value::Null)
        }
    }

    /// A call. The body holds its `command_id`.
    pub fn call(self, body: Value) -> Ask<'a> {
        self.post("calls".to_owned(), body)
    }

    /// Calls `to`, as our number. Events of the call go to `events`, with `key` in their state; they tell of machines, too.
    pub fn call_out(self, to: &str, ring_s: u32, key: &str, events: &str) -> Ask<'a> {
        self.call(json!({
            "connection_id": self.0.connection_id,
            "to": to,
            "from": self.0.number,
            "timeout_secs": ring_s,
            "answering_machine_detection": "premium",
            "webhook_url": events,
            "webhook_url_method": "POST",
            "client_state": BASE64.encode(format!("{OUT}{key}")),
            "command_id": key,
        }))
    }

    /// Ends a call.
    pub fn end(self, call_id: &str) -> Ask<'a> {
        self.command(call_id, "hangup", json!({"command_id": format!("{call_id}-end")}))
    }

    fn post(self, path: String, body: Value) -> Ask<'a> {
        Ask {
            method: Method::POST,
            url: format!("{}/v2/{path}", self.0.api_url),
            credentials: Credentials::Bearer(&self.0.api_key),
            content: Content::Json(body),
            repeatable: true,
        }
    }
}

/// The name of the call an answer is about.
pub fn call_id(answer: &Value) -> Option<&str> {
    answer["data"]["call_control_id"].as_str()
}
