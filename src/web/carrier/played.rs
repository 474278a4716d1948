//! A provider's API on the loopback, for tests: keeps what it was asked, and answers as it is told to. What it should be asked
//! stands in `tests/official/requests.json`, which the providers' own libraries are held against, too.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The status of an answer that never comes.
pub(crate) const SILENCE: u16 = 0;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Asked {
    /// Panics unless this is how the provider's API is asked for `what`.
    #[track_caller]
    pub(crate) fn check(&self, provider: &str, what: &str) {
        let all: Value = serde_json::from_str(include_str!("../../../tests/official/requests.json")).expect("JSON");
        let wanted = &all[provider][what];
        let name = format!("{provider} {what}");
        assert_eq!(
            (self.method.as_str(), self.target.as_str()),
            (text(&wanted["method"]), text(&wanted["target"])),
            "{name}"
        );
        match text(&wanted["authorization"]) {
            // Made anew for each request; who signed it is looked at elsewhere.
            "Bearer JWT" => assert_eq!(self.authorization.matches('.').count(), 2, "{name}: {}", self.authorization),
            fixed => assert_eq!(self.authorization, fixed, "{name}"),
        }
        if let Some(form) = wanted["form"].as_object() {
            let fields = form_urlencoded::parse(self.body.as_bytes()).into_owned();
            let sent: serde_json::Map<_, _> = fields.map(|(field, value)| (field, Value::from(value))).collect();
            assert_eq!((&sent, self.content_type.as_str()), (form, "application/x-www-form-urlencoded"), "{name}");
        } else if wanted["json"].is_object() {
            assert_eq!((&self.json(), self.content_type.as_str()), (&wanted["json"], "application/json"), "{name}");
        } else {
            assert_eq!(self.body, "", "{name}");
        }
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

type Answers = dyn Fn(usize, &Asked) -> (u16, String) + Send + Sync;

#[derive(Clone)]
struct Desk {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Answers>,
}

/// The API. Dropping it closes it.
pub(crate) struct Api {
    /// `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

impl Api {
    /// Opens it. `answers` gets the number of a request, from 0, and the request; gives status and body.
    pub(crate) async fn open(answers: impl Fn(usize, &Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let desk = Desk { asked: asked.clone(), answers: Arc::new(answers) };
        let app = Router::new().fallback(take).with_state(desk);
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { base, asked, _server: server }
    }

    /// Answers with each of these in turn, then with an empty object.
    pub(crate) async fn answering(answers: &[(u16, &str)]) -> Self {
        let answers: Vec<_> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Self::open(move |n, _| answers.get(n).cloned().unwrap_or((200, "{}".to_owned()))).await
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn take(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 100_000).await.expect("a short body");
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let asked = Asked {
        target: parts.uri.to_string(),
        authorization: header(header::AUTHORIZATION),
        content_type: header(header::CONTENT_TYPE),
        method: parts.method.clone(),
        body: String::from_utf8(body.to_vec()).expect("text"),
    };
    let (status, said) = {
        let mut all = desk.asked.lock().expect("not poisoned");
        all.push(asked);
        let last = all.len() - 1;
        (desk.answers)(last, &all[last])
    };
    if status == SILENCE {
        std::future::pending::<()>().await;
    }
    (StatusCode::from_u16(status).expect("a status"), said).into_response()
}
