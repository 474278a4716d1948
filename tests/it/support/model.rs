//! A language model that is played: an OpenAI-compatible endpoint that picks none of the sentences it is shown, asks for the
//! tool a test names, in pieces as servers stream them, and keeps what it was asked.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The endpoint.
pub struct PlayedModel {
    /// Its address, ending in `/v1`.
    pub url: String,
    part: Arc<Part>,
    _task: JoinSet<()>,
}

struct Part {
    /// The tool it asks for whenever some are offered, and its arguments. An answer may be begun more than once.
    call: (&'static str, Value),
    asked: Mutex<Vec<Value>>,
    /// Calls that may be said to their end.
    lets_go: Semaphore,
    /// Answers whose reader went away before their end.
    broken_off: AtomicUsize,
}

impl PlayedModel {
    /// Asks for this tool, and stops after the first piece of that until [`PlayedModel::lets_go`].
    pub async fn holding(tool: &'static str, arguments: Value) -> Self {
        let part = Arc::new(Part {
            call: (tool, arguments),
            asked: Mutex::default(),
            lets_go: Semaphore::new(0),
            broken_off: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let routes = Router::new().route("/v1/chat/completions", post(complete)).with_state(part.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.expect("serves") });
        Self { url, part, _task: task }
    }

    /// The same, which says all at once.
    pub async fn asking(tool: &'static str, arguments: Value) -> Self {
        let model = Self::holding(tool, arguments).await;
        model.lets_go();
        model
    }

    /// From now on calls are said to their end.
    pub fn lets_go(&self) {
        self.part.lets_go.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// The requests that offered tools.
    pub fn offered(&self) -> Vec<Value> {
        let asked = self.part.asked.lock().expect("no panic");
        asked.iter().filter(|body| body["tools"].is_array()).cloned().collect()
    }

    /// How many answers nobody read to their end.
    pub fn broken_off(&self) -> usize {
        self.part.broken_off.load(Ordering::SeqCst)
    }
}

/// Notices when an answer is dropped before its end.
struct Reading {
    part: Arc<Part>,
    to_the_end: bool,
}

impl Reading {
    fn ends(&mut self) {
        self.to_the_end = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.part.broken_off.fetch_add(usize::from(!self.to_the_end), Ordering::SeqCst);
    }
}

async fn complete(State(part): State<Arc<Part>>, Json(body): Json<Value>) -> Response {
    part.asked.lock().expect("no panic").push(body.clone());
    let (name, arguments) = &part.call;
    let pieces = match body["tools"].is_array() {
        true => called(name, arguments),
        false => spoken("{\"answer\":\"N\"}"),
    };
    let reading = Reading { part, to_the_end: false };
    let stream = futures::stream::unfold((pieces, 0, reading), |(pieces, at, mut reading)| async move {
        let Some(piece) = pieces.get(at).cloned() else {
            reading.ends();
            return None;
        };
        if at > 0 {
            let part = reading.part.clone();
            part.lets_go.acquire().await.expect("never closed").forget();
        }
        Some((piece, (pieces, at + 1, reading)))
    });
    let body = Body::from_stream(stream.map(|piece| Ok::<_, Infallible>(Bytes::from(piece))));
    Response::builder().header("content-type", "text/event-stream").body(body).expect("a response")
}

fn event(delta: &Value, finish: Option<&str>) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }))
}

/// Words. Said whatever is held.
fn spoken(text: &str) -> Vec<String> {
    vec![format!("{}{}data: [DONE]\n\n", event(&json!({ "content": text }), None), event(&json!({}), Some("stop")))]
}

/// A call as servers stream it: who is called, then the arguments letter by letter, then the end.
fn called(name: &str, arguments: &Value) -> Vec<String> {
    let delta = |call: Value| json!({ "tool_calls": [call] });
    let begin =
        json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": "" } });
    let mut pieces = vec![event(&delta(begin), None)];
    let arguments = arguments.to_string();
    pieces.extend(
        arguments
            .chars()
            .map(|letter| event(&delta(json!({ "index": 0, "function": { "arguments": letter.to_string() } })), None)),
    );
    pieces.push(format!("{}data: [DONE]\n\n", event(&json!({}), Some("tool_calls"))));
    pieces
}
