//! Asking providers' APIs: one client for all, with time limits and careful retries. Below: each API's requests.
//!
//! A request is repeated only when repeating it does no harm: it is idempotent by its method or carries an id by which the
//! provider tells repetitions apart. What is never repeated is a request that may have been carried out and would be
//! carried out twice. Secrets are in no error and no log line.

pub mod ari;
pub mod bandwidth;
pub mod jambonz;
pub mod laml;
#[cfg(test)]
pub(crate) mod played;
pub mod plivo;
pub mod telnyx;
pub mod vonage;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::engine::llm::openai::install_crypto;
use crate::telemetry::Secret;

/// For a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// For one attempt, answer included.
const PATIENCE: Duration = Duration::from_secs(4);
/// Attempts at most, with pauses between.
const ATTEMPTS: u32 = 3;
/// The first pause; the next is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// Answers are short.
const MAX_ANSWER: usize = 256 * 1024;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// `Authorization: Bearer`.
    Bearer(&'a Secret<String>),
    /// `Authorization: Basic`.
    Basic(&'a str, &'a Secret<String>),
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// A form.
    Form(Vec<(&'static str, String)>),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// How.
    pub method: Method,
    /// Where, whole.
    pub url: String,
    /// As whom.
    pub credentials: Credentials<'a>,
    /// With what.
    pub content: Content,
    /// Whether it may be sent again when nobody knows whether it arrived.
    pub repeatable: bool,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// No answer, however often it was tried.
    #[error("the provider's API can't be reached")]
    Unreachable {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// A yes that can't be read: nobody knows what was done.
    #[error("the provider's API answers {status} with something that is no JSON")]
    Unreadable {
        /// HTTP status.
        status: StatusCode,
    },
    /// An answer that is a no.
    #[error("the provider's API answers {status}{}{code}", if code.is_empty() { "" } else { ", code " })]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The provider's own code for it, if there is one.
        code: String,
    },
}

impl CarrierError {
    /// Whether the provider says that there is no such call, or none any more.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Refused { status: StatusCode::NOT_FOUND | StatusCode::GONE, .. } => true,
            Self::Refused { code, .. } => CALL_IS_OVER.contains(&code.as_str()),
            Self::Unreachable { .. } | Self::Unreadable { .. } => false,
        }
    }
}

/// An id as one segment of a path, where colons may stand as they are.
fn segment(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20").replace("%3A", ":")
}

/// The client.
#[derive(Clone, Debug)]
pub struct Carrier {
    http: reqwest::Client,
}

impl Carrier {
    /// A client. It follows no redirects: nobody but the configured address gets our credentials.
    pub fn new() -> Self {
        install_crypto();
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        Self { http: builder.build().expect("a client of fixed settings can be built") }
    }

    /// Sends the request, again where that does no harm. The answer's JSON, or null when it has no body.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Value, CarrierError> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let error = match self.once(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt >= ATTEMPTS || !may_repeat(&error, ask.repeatable) {
                return Err(error);
            }
            debug!(attempt, "Asking a provider's API again: {error}");
            sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Value, CarrierError> {
        let request = self.http.request(ask.method.clone(), &ask.url);
        let request = match ask.credentials {
            Credentials::Bearer(token) => request.bearer_auth(token.expose()),
            Credentials::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
        };
        let request = match &ask.content {
            Content::Empty => request,
            Content::Json(value) => request.json(value),
            Content::Form(fields) => {
                let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                request.header("content-type", "application/x-www-form-urlencoded").body(body)
            }
        };
        // Addresses hold account and call ids, which are nobody's business in a log.
        let failed = |source: reqwest::Error| CarrierError::Unreachable { source: source.without_url() };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                break;
            }
        }
        let answer = serde_json::from_slice(&body);
        match answer {
            Ok(answer) if status.is_success() => Ok(answer),
            Err(_) if status.is_success() && body.is_empty() => Ok(Value::Null),
            Err(_) if status.is_success() => Err(CarrierError::Unreadable { status }),
            answer => Err(CarrierError::Refused { status, code: code_of(&answer.unwrap_or_default()) }),
        }
    }

    /// The same for those who can do nothing about a failure but say so.
    pub async fn command(&self, what: &'static str, ask: Ask<'_>) -> bool {
        match self.ask(ask).await {
            Ok(_) => true,
            // Whoever hung up first was quicker than our command.
            Err(error) if error.is_gone() => true,
            Err(error) => {
                warn!("A provider did not {what}: {error}");
                false
            }
        }
    }
}

impl Default for Carrier {
    fn default() -> Self {
        Self::new()
    }
}

/// Telnyx: the call has ended already. Twilio: the call is not in progress.
const CALL_IS_OVER: [&str; 2] = ["90018", "21220"];

fn may_repeat(error: &CarrierError, repeatable: bool) -> bool {
    match error {
        // Nothing was sent yet.
        CarrierError::Unreachable { source } if source.is_connect() => true,
        CarrierError::Unreachable { .. } | CarrierError::Unreadable { .. } => repeatable,
        // The provider says that it did nothing.
        CarrierError::Refused { status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, .. } => true,
        CarrierError::Refused { status, .. } => repeatable && status.is_server_error(),
    }
}

/// The code in an error's body, where the providers put it; Vonage's is the end of an address.
fn code_of(answer: &Value) -> String {
    let places = [&answer["errors"][0]["code"], &answer["code"], &answer["error_code"], &answer["type"]];
    let text = |value: &Value| value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()));
    let code = places.into_iter().find_map(text).unwrap_or_default();
    let word = code.rsplit(['#', '/']).next().unwrap_or_default();
    word.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::played::{Api, SILENCE};
    use super::*;

    fn ask<'a>(base: &str, credentials: Credentials<'a>, content: Content, repeatable: bool) -> Ask<'a> {
        Ask { method: Method::POST, url: format!("{base}/v2/calls/x"), credentials, content, repeatable }
    }

    #[tokio::test]
    async fn method_path_credentials_and_body_are_sent() {
        let api = Api::answering(&[(200, r#"{"data":{"ok":true}}"#)]).await;
        let (carrier, key) = (Carrier::new(), Secret::new("KEY".to_owned()));
        let json = Content::Json(json!({"a": 1}));
        let answer = carrier.ask(ask(&api.base, Credentials::Bearer(&key), json, true)).await;
        assert_eq!(answer.expect("200"), json!({"data": {"ok": true}}));
        let form = Content::Form(vec![("Twiml", "<a b=\"c&d\"/>".to_owned())]);
        carrier.ask(ask(&api.base, Credentials::Basic("AC1", &key), form, false)).await.expect("200");
        let [first, second] = api.asked().try_into().expect("two requests");
        assert_eq!((first.method, first.target.as_str()), (Method::POST, "/v2/calls/x"));
        assert_eq!((first.authorization.as_str(), first.content_type.as_str()), ("Bearer KEY", "application/json"));
        assert_eq!((first.body.as_str(), second.body.as_str()), (r#"{"a":1}"#, "Twiml=%3Ca+b%3D%22c%26d%22%2F%3E"));
        assert_eq!(second.authorization, "Basic QUMxOktFWQ==");
        assert_eq!(second.content_type, "application/x-www-form-urlencoded");
    }

    #[tokio::test]
    async fn what_may_have_happened_is_repeated_only_if_that_does_no_harm() {
        let key = Secret::new("KEY".to_owned());
        for (answers, repeatable, tries, good) in [
            (&[(500, "{}")][..], true, 2, true),
            (&[(500, "{}")], false, 1, false),
            (&[(503, "{}"), (429, "{}")], false, 3, true),
            (&[(500, "{}"), (502, "{}"), (504, "{}"), (200, "{}")], true, 3, false),
            (&[(401, "{}")], true, 1, false),
            (&[(302, "")], true, 1, false),
            (&[(200, "<html>")], true, 2, true),
            (&[(200, "<html>")], false, 1, false),
            (&[(SILENCE, "")], false, 1, false),
            (&[(204, "")], false, 1, true),
        ] {
            let (api, carrier) = (Api::answering(answers).await, Carrier::new());
            let result = carrier.ask(ask(&api.base, Credentials::Bearer(&key), Content::Empty, repeatable)).await;
            assert_eq!((result.is_ok(), api.asked().len()), (good, tries), "{answers:?}");
        }
    }

    #[test]
    fn codes_are_found_where_each_provider_puts_them() {
        for (body, code) in [
            (json!({"errors": [{"code": "10009", "title": "Authentication failed"}]}), "10009"),
            (json!({"code": 20003, "message": "Authenticate", "status": 401}), "20003"),
            (json!({"type": "https://developer.vonage.com/api-errors#jwt-expired", "title": "x"}), "jwt-expired"),
            (json!({"type": "UNAUTHORIZED", "error_title": "Unauthorized"}), "UNAUTHORIZED"),
            (json!({"error": "not found"}), ""),
            (json!(["+1500 5550006"]), ""),
        ] {
            assert_eq!(code_of(&body), code);
        }
    }

    #[tokio::test]
    async fn a_call_that_is_over_is_no_failure_and_secrets_stay_out_of_errors() {
        let key = Secret::new("KEY".to_owned());
        let carrier = Carrier::new();
        for (answers, good) in [
            (&[(404, "{}")][..], true),
            (&[(422, r#"{"errors":[{"code":"90018","title":"Call has already ended"}]}"#)], true),
            (&[(400, r#"{"code":21220,"message":"Call is not in-progress"}"#)], true),
            (&[(422, r#"{"errors":[{"code":"90015"}]}"#)], false),
        ] {
            let api = Api::answering(answers).await;
            let credentials = Credentials::Bearer(&key);
            assert_eq!(carrier.command("hang up", ask(&api.base, credentials, Content::Empty, true)).await, good);
        }
        let nobody = ask("http://127.0.0.1:1", Credentials::Bearer(&key), Content::Empty, true);
        let error = carrier.ask(nobody).await.expect_err("nobody");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("can't be reached") && !shown.contains("KEY") && !shown.contains("/v2"), "{shown}");
    }
}
