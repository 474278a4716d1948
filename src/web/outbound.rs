//! Calls we make: each provider's request that lets a telephone ring. What becomes of it comes by its webhooks: `answered` and
//! `dialled` in `webhooks/form.rs`, `bandwidth.rs` and `pbx.rs`, `calling` of Telnyx and Vonage, jambonz' `incoming` and `status`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tracing::warn;

use super::carrier::{Ask, Carrier, ari, bandwidth, jambonz, laml, plivo, telnyx, vonage};
use super::gate::Gate;
use super::webhooks::dialable;
use crate::outbound::{DialError, Dialler};
use crate::telemetry::Pii;
use crate::telephony::providers::{self, PROVIDERS};

/// Seconds a telephone may ring: less than what voicemail usually waits.
const RING_S: u32 = 25;

/// Makes calls through the providers that are configured for it.
pub struct Outbound {
    gate: Arc<Gate>,
    carrier: Carrier,
    /// The provider that makes all calls, if one is named.
    named: Option<&'static str>,
}

/// A provider's API, with a number to call from.
enum Line<'a> {
    Laml(laml::Account<'a>),
    Telnyx(telnyx::Account<'a>),
    Plivo(plivo::Account<'a>),
    Vonage(vonage::Application<'a>),
    Bandwidth(bandwidth::Account<'a>),
    Jambonz(jambonz::Account<'a>),
    Asterisk(ari::Ari<'a>),
}

/// Where the provider's name for the call stands in the answer.
type Name = fn(&Value) -> Option<&str>;

impl Outbound {
    /// By the configuration `gate` has. `named`: the provider that makes all calls; empty: see [`Dialler::through`].
    pub fn new(gate: Arc<Gate>, named: &str) -> Self {
        Self { gate, carrier: Carrier::new(), named: providers::find(named).map(|row| row.name) }
    }

    fn line(&self, provider: &str) -> Option<Line<'_>> {
        let providers = &self.gate.providers;
        match provider {
            "twilio" | "signalwire" => {
                laml::Account::of(provider, providers).filter(laml::Account::can_call).map(Line::Laml)
            }
            "telnyx" => telnyx::Account::of(&providers.telnyx).filter(telnyx::Account::can_call).map(Line::Telnyx),
            "plivo" => plivo::Account::of(&providers.plivo).filter(plivo::Account::can_call).map(Line::Plivo),
            "vonage" if vonage::can_call(&providers.vonage) => {
                vonage::Application::of(&providers.vonage).map(Line::Vonage)
            }
            "bandwidth" => bandwidth::Account::of(&providers.bandwidth).map(Line::Bandwidth),
            "jambonz" => jambonz::Account::of(&providers.jambonz).map(Line::Jambonz),
            "asterisk" => ari::Ari::of(&providers.asterisk).filter(|ari| ari.can_call()).map(Line::Asterisk),
            _ => None,
        }
    }
}

impl Line<'_> {
    fn call(&self, to: &str, key: &str, url: impl Fn(&str) -> String) -> (Ask<'_>, Name) {
        let about = |name: &str| url(&format!("{name}?call={key}"));
        match self {
            Self::Laml(account) => (account.call(to, RING_S, about("answered"), about("dialled")), laml::call_id),
            Self::Telnyx(account) => (account.call_out(to, RING_S, key, &url("incoming")), telnyx::call_id),
            Self::Plivo(account) => {
                (account.call(to, RING_S, &about("answered"), &about("dialled")), plivo::request_id)
            }
            Self::Vonage(application) => {
                let events = format!("{}&leg=out", about("event"));
                (application.call_out(to, RING_S, &about("answered"), &events), vonage::call_id)
            }
            Self::Bandwidth(account) => {
                (account.call(to, RING_S, &about("answered"), &about("unanswered")), bandwidth::call_id)
            }
            Self::Jambonz(account) => (account.call(to, RING_S, key), jambonz::call_id),
            Self::Asterisk(ari) => (ari.call(&dialable(to), RING_S, key), ari::call_id),
        }
    }

    fn end(&self, call_id: &str) -> Ask<'_> {
        match self {
            Self::Laml(account) => account.end(call_id),
            Self::Telnyx(account) => account.end(call_id),
            Self::Plivo(account) => account.cancel(call_id),
            Self::Vonage(application) => application.end(call_id),
            Self::Bandwidth(account) => account.end(call_id),
            Self::Jambonz(account) => account.end(call_id),
            Self::Asterisk(ari) => ari.end(call_id),
        }
    }
}

#[async_trait]
impl Dialler for Outbound {
    fn can_dial(&self, provider: &'static str) -> bool {
        self.line(provider).is_some()
    }

    fn through(&self, own: Option<&'static str>) -> Option<&'static str> {
        let any = || PROVIDERS.iter().map(|row| row.name).find(|name| self.can_dial(name));
        match self.named {
            Some(named) => Some(named).filter(|name| self.can_dial(name)),
            None => own.filter(|name| self.can_dial(name)).or_else(any),
        }
    }

    async fn dial(&self, provider: &'static str, key: &str, to: &Pii<String>) -> Result<String, DialError> {
        let line = self.line(provider).ok_or(DialError::Unconfigured)?;
        let (ask, name) = line.call(to.reveal(), key, |path| format!("{}/voice/{provider}/{path}", self.gate.base_url));
        let answer = self.carrier.ask(ask).await.map_err(|error| {
            warn!("A provider did not make a call: {error}");
            DialError::Refused
        })?;
        name(&answer).filter(|id| !id.is_empty()).map(str::to_owned).ok_or(DialError::Refused)
    }

    async fn hang_up(&self, provider: &'static str, call_id: &str) {
        if let Some(line) = self.line(provider) {
            self.carrier.command("end a call", line.end(call_id)).await;
        }
    }
}

#[cfg(test)]
mod tests;
