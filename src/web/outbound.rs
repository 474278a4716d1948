//! Calls we make: each provider's request that lets a telephone ring. What becomes of it comes by its webhooks, `answered` and
//! `dialled` in `webhooks/form.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use tracing::warn;

use super::carrier::{Ask, Carrier, Content, Credentials};
use super::gate::Gate;
use crate::config::TwilioConfig;
use crate::outbound::{DialError, Dialler};
use crate::telemetry::Pii;

/// Seconds a telephone may ring: less than what voicemail usually waits.
const RING_S: u32 = 25;

/// Makes calls through the providers that are configured for it.
pub struct Outbound {
    gate: Arc<Gate>,
    carrier: Carrier,
}

impl Outbound {
    /// By the configuration `gate` has.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate, carrier: Carrier::new() }
    }

    fn twilio(&self, provider: &str) -> Option<&TwilioConfig> {
        let twilio = &self.gate.providers.twilio;
        let whole =
            !(twilio.account_sid.is_empty() || twilio.number.is_empty() || twilio.auth_token.expose().is_empty());
        (provider == "twilio" && whole).then_some(twilio)
    }
}

fn calls(twilio: &TwilioConfig) -> String {
    format!("{}/2010-04-01/Accounts/{}/Calls", twilio.api_url.trim_end_matches('/'), twilio.account_sid)
}

#[async_trait]
impl Dialler for Outbound {
    fn can_dial(&self, provider: &'static str) -> bool {
        self.twilio(provider).is_some()
    }

    async fn dial(&self, provider: &'static str, key: &str, to: &Pii<String>) -> Result<String, DialError> {
        let twilio = self.twilio(provider).ok_or(DialError::Unconfigured)?;
        let url = |name: &str| format!("{}/voice/twilio/{name}?call={key}", self.gate.base_url);
        let ask = Ask {
            method: Method::POST,
            url: format!("{}.json", calls(twilio)),
            credentials: Credentials::Basic(&twilio.account_sid, &twilio.auth_token),
            content: Content::Form(vec![
                ("To", to.reveal().clone()),
                ("From", twilio.number.clone()),
                ("Url", url("answered")),
                ("StatusCallback", url("dialled")),
                ("Timeout", RING_S.to_string()),
                ("MachineDetection", "Enable".to_owned()),
            ]),
            // Whoever is called twice is called once too often.
            repeatable: false,
        };
        let answer = self.carrier.ask(ask).await.map_err(|error| {
            warn!("A provider did not make a call: {error}");
            DialError::Refused
        })?;
        answer["sid"].as_str().filter(|sid| !sid.is_empty()).map(str::to_owned).ok_or(DialError::Refused)
    }

    async fn hang_up(&self, provider: &'static str, call_id: &str) {
        let Some(twilio) = self.twilio(provider) else { return };
        let call: String = form_urlencoded::byte_serialize(call_id.as_bytes()).collect();
        let ask = Ask {
            method: Method::POST,
            url: format!("{}/{call}.json", calls(twilio)),
            credentials: Credentials::Basic(&twilio.account_sid, &twilio.auth_token),
            content: Content::Form(vec![("Status", "completed".to_owned())]),
            repeatable: true,
        };
        self.carrier.command("end a call", ask).await;
    }
}
