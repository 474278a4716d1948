//! What webhooks of all providers have in common: taking a call or not, and saying what comes after its stream.

use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use metrics::counter;
use tracing::{debug, info, warn};

use super::Inner;
use super::outcomes::StreamOutcome;
use super::trusted::Refused;
use crate::call::handle::AdmitError;
use crate::telemetry::{Pii, Secret, metric};
use crate::telephony::handshake::{Handshake, Refusal, check_basic};
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::SignatureError;
use crate::web::tokens::StreamGrant;

/// What a caller hears when all lines are busy. The provider's voice speaks it: ours have their hands full.
pub const BUSY_SENTENCE: &str = "All our lines are busy right now. Please call again in a few minutes. Goodbye.";
/// What a caller hears when the call broke.
pub const APOLOGY_SENTENCE: &str = "We are sorry, something went wrong on our side. Please call again. Goodbye.";

/// A call as its provider announces it. Empty numbers are none.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// Row name.
    pub provider: &'static str,
    /// The provider's name for the call.
    pub call_id: &'a str,
    /// Caller's number.
    pub from: &'a str,
    /// The number that was called.
    pub to: &'a str,
}

/// Why a call is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// This caller calls too often: the busy tone will do.
    TooOften,
    /// No line is free, or the server shuts down: [`BUSY_SENTENCE`].
    Busy,
}

/// What a provider does with a caller whose stream is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Hang up, after this sentence if there is one.
    Hangup(Option<&'static str>),
    /// Call somebody and join them.
    Transfer(Transfer),
}

impl Inner {
    /// Takes a call: a token for its stream.
    pub(super) fn announce(&self, now: Instant, call: Announcement<'_>) -> Result<Secret<String>, NotTaken> {
        let refused = |reason: &'static str| {
            counter!(metric::CALLS_REFUSED, "provider" => call.provider, "reason" => reason).increment(1);
            info!(reason, "Call refused: {reason}");
        };
        let knows = &self.admission;
        if knows.is_away(call.provider, call.call_id) || knows.is_returning(call.provider, call.call_id) {
            return Ok(self.grant(now, call));
        }
        if self.gate.limit.check(call.from).is_err() {
            refused("rate");
            return Err(NotTaken::TooOften);
        }
        self.admission.admit().map_err(|error: AdmitError| {
            refused(error.label());
            NotTaken::Busy
        })?;
        Ok(self.grant(now, call))
    }

    /// Lets a stream of that call in.
    pub(super) fn grant(&self, now: Instant, call: Announcement<'_>) -> Secret<String> {
        let number = |number: &str| Some(number.to_owned()).filter(|number| !number.is_empty()).map(Pii::new);
        let grant = StreamGrant {
            provider: call.provider,
            provider_call_id: call.call_id.to_owned(),
            from: number(call.from),
            to: number(call.to),
        };
        self.gate.tokens.issue(now, grant)
    }

    /// Our socket is closed and the caller still there: what comes next.
    pub(super) fn next(&self, call_id: &str) -> Next {
        match self.gate.outcomes.look_up(call_id) {
            StreamOutcome::Ended => Next::Hangup(None),
            StreamOutcome::Busy => Next::Hangup(Some(BUSY_SENTENCE)),
            StreamOutcome::Transfer(transfer) => Next::Transfer(transfer),
            StreamOutcome::Failed => {
                info!("A caller hears an apology: the stream broke or never came");
                Next::Hangup(Some(APOLOGY_SENTENCE))
            }
        }
    }

    /// Counts a request that is not its provider's; an operator who configured nothing hears of it once.
    pub(super) fn not_signed(&self, provider: &'static str, key: &'static str, error: SignatureError) {
        counter!(metric::SIGNATURE_REJECTED, "provider" => provider).increment(1);
        if error == SignatureError::Unconfigured {
            if self.gate.first_warning(key) {
                warn!("Webhooks of {provider} are refused: `{key}` is not set, so their signatures can't be checked");
            }
        } else {
            debug!(reason = error.label(), "Webhook of {provider} refused: {error}, for {}", self.gate.base_url);
        }
    }

    /// Holds `Authorization: Basic` of a webhook against the configuration; `Err` is the answer to those who fail. Some
    /// providers send credentials only when asked for them.
    pub(super) fn basic(
        &self,
        provider: &'static str,
        headers: &HeaderMap,
        (username, password): (&str, &Secret<String>),
        key: &'static str,
    ) -> Result<(), Refused> {
        let mut request = Handshake::default();
        for given in headers.get_all(header::AUTHORIZATION) {
            request.add_header("authorization", &String::from_utf8_lossy(given.as_bytes()));
        }
        let refusal = match check_basic(&request, username, password, key) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let (error, status) = match refusal {
            Refusal::Missing => (SignatureError::Missing, StatusCode::UNAUTHORIZED),
            Refusal::Wrong(_) => (SignatureError::Wrong, StatusCode::FORBIDDEN),
            Refusal::Unconfigured(_) => (SignatureError::Unconfigured, StatusCode::FORBIDDEN),
        };
        self.not_signed(provider, key, error);
        let challenge = HeaderValue::from_static("Basic realm=\"warmline\", charset=\"UTF-8\"");
        Err(match status {
            StatusCode::UNAUTHORIZED => Refused::with((status, [(header::WWW_AUTHENTICATE, challenge)])),
            status => Refused::with(status),
        })
    }

    /// The address of one of our paths.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gate.base_url)
    }

    /// The address of a media socket.
    pub(super) fn media_url(&self, provider: &str) -> String {
        format!("{}/media/{provider}", self.gate.websocket_url)
    }
}
