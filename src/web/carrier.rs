//! Asking providers' APIs: one client for all, with time limits and careful retries.
//!
//! A request is repeated only when repeating it does no harm: it is idempotent by its method or carries an id by which the
//! provider tells repetitions apart. What is never repeated is a request that may have been carried out and would be
//! carried out twice. Secrets are in no error and no log line.

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
    /// An answer that is a no.
    #[error("the provider's API answers {status}{}{code}", if code.is_empty() { "" } else { ", code " })]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The provider's own code for it, if there is one.
        code: String,
    },
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

    /// Sends the request, again where that does no harm. The answer's JSON, or null when it has none.
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
        let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() { Ok(answer) } else { Err(CarrierError::Refused { status, code: code_of(&answer) }) }
    }

    /// The same for those who can do nothing about a failure but say so.
    pub async fn command(&self, what: &'static str, ask: Ask<'_>) -> bool {
        match self.ask(ask).await {
            Ok(_) => true,
            // Whoever hung up first was quicker than our command.
            Err(CarrierError::Refused { status: StatusCode::NOT_FOUND | StatusCode::GONE, .. }) => true,
            Err(CarrierError::Refused { code, .. }) if code == CALL_IS_OVER => true,
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

/// Telnyx: the call has ended already.
const CALL_IS_OVER: &str = "90018";

fn may_repeat(error: &CarrierError, repeatable: bool) -> bool {
    match error {
        // Nothing was sent yet.
        CarrierError::Unreachable { source } if source.is_connect() => true,
        CarrierError::Unreachable { .. } => repeatable,
        // The provider says that it did nothing.
        CarrierError::Refused { status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, .. } => true,
        CarrierError::Refused { status, .. } => repeatable && status.is_server_error(),
    }
}

/// The code in an error's body, where the providers put it.
fn code_of(answer: &Value) -> String {
    let places = [&answer["errors"][0]["code"], &answer["code"], &answer["error_code"]];
    let text = |value: &Value| value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()));
    places.into_iter().find_map(text).unwrap_or_default().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::{Request, State};
    use axum::http::HeaderMap;
    use axum::response::IntoResponse as _;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    type Seen = Arc<Mutex<Vec<(Method, String, HeaderMap, String)>>>;

    struct Api {
        base: String,
        seen: Seen,
        _server: JoinSet<()>,
    }

    /// An API that answers with each of `answers` in turn, then with 200.
    async fn api(answers: &'static [(u16, &'static str)]) -> Api {
        async fn take(
            State((seen, answers)): State<(Seen, &'static [(u16, &'static str)])>,
            request: Request,
        ) -> axum::response::Response {
            let (parts, body) = request.into_parts();
            let body: Bytes = axum::body::to_bytes(body, 100_000).await.expect("short");
            let body = String::from_utf8(body.to_vec()).expect("text");
            let mut seen = seen.lock().expect("not poisoned");
            seen.push((parts.method, parts.uri.to_string(), parts.headers, body));
            let (status, said) = answers.get(seen.len() - 1).copied().unwrap_or((200, r#"{"data":{"ok":true}}"#));
            (StatusCode::from_u16(status).expect("a status"), said).into_response()
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Seen::default();
        let app = Router::new().fallback(take).with_state((seen.clone(), answers));
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, app).await) });
        Api { base, seen, _server: server }
    }

    fn ask<'a>(api: &Api, credentials: Credentials<'a>, content: Content, repeatable: bool) -> Ask<'a> {
        Ask { method: Method::POST, url: format!("{}/v2/calls/x", api.base), credentials, content, repeatable }
    }

    #[tokio::test]
    async fn method_path_credentials_and_body_are_sent() {
        let (api, carrier) = (api(&[]).await, Carrier::new());
        let key = Secret::new("KEY".to_owned());
        let answer = carrier.ask(ask(&api, Credentials::Bearer(&key), Content::Json(json!({"a": 1})), true)).await;
        assert_eq!(answer.expect("200"), json!({"data": {"ok": true}}));
        let form = Content::Form(vec![("Twiml", "<a b=\"c&d\"/>".to_owned())]);
        carrier.ask(ask(&api, Credentials::Basic("AC1", &key), form, false)).await.expect("200");
        let seen = api.seen.lock().expect("not poisoned");
        let header =
            |n: usize, name: &str| seen[n].2.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((&seen[0].0, seen[0].1.as_str()), (&Method::POST, "/v2/calls/x"));
        assert_eq!((header(0, "authorization"), header(0, "content-type")), ("Bearer KEY", "application/json"));
        assert_eq!((seen[0].3.as_str(), seen[1].3.as_str()), (r#"{"a":1}"#, "Twiml=%3Ca+b%3D%22c%26d%22%2F%3E"));
        assert_eq!(header(1, "authorization"), "Basic QUMxOktFWQ==");
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
        ] {
            let (api, carrier) = (api(answers).await, Carrier::new());
            let result = carrier.ask(ask(&api, Credentials::Bearer(&key), Content::Empty, repeatable)).await;
            assert_eq!((result.is_ok(), api.seen.lock().expect("not poisoned").len()), (good, tries), "{answers:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_over_is_no_failure_and_secrets_stay_out_of_errors() {
        let key = Secret::new("KEY".to_owned());
        let carrier = Carrier::new();
        for (answers, good) in [
            (&[(404, "{}")][..], true),
            (&[(422, r#"{"errors":[{"code":"90018","title":"Call has already ended"}]}"#)], true),
            (&[(422, r#"{"errors":[{"code":"90015"}]}"#)], false),
        ] {
            let api = api(answers).await;
            let credentials = Credentials::Bearer(&key);
            assert_eq!(carrier.command("hang up", ask(&api, credentials, Content::Empty, true)).await, good);
        }
        let gone = Api { base: "http://127.0.0.1:1".to_owned(), seen: Seen::default(), _server: JoinSet::new() };
        let error = carrier.ask(ask(&gone, Credentials::Bearer(&key), Content::Empty, true)).await.expect_err("nobody");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("can't be reached") && !shown.contains("KEY") && !shown.contains("/v2"), "{shown}");
    }
}
