//! The routes with a scripted model, in process.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures_util::StreamExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::api::request::Message;
use crate::engine::fake::{FakeBackend, Record};
use crate::engine::{Engine, Policy};
use crate::model::{Constraint, ConstraintSpec, PromptError, Purpose};

/// One byte, one token; a reply is asked for with `>`.
struct FakeFrontend;

impl Frontend for FakeFrontend {
    fn id(&self) -> &str {
        "fake"
    }
    fn limit(&self) -> usize {
        500
    }
    fn prompt(&self, messages: &[Message], purpose: Purpose) -> Result<Vec<i32>, PromptError> {
        let mut text: String = messages.iter().map(|message| message.text.as_str()).collect();
        text.extend((purpose == Purpose::Reply).then_some('>'));
        Ok(text.bytes().map(i32::from).collect())
    }
    fn constrain(&self, _: &ConstraintSpec) -> Result<Box<dyn Constraint>, PromptError> {
        Err(PromptError::Grammar("none here".into()))
    }
}

fn state(loaded: bool, token: Option<&str>) -> ApiState {
    let model = Arc::new(OnceLock::new());
    if loaded {
        let _ = model.set(Arc::new(FakeFrontend) as Arc<dyn Frontend>);
    }
    let token = token.map(|token| Token(token.into()));
    ApiState { model, queue: Arc::new(JobQueue::new(2)), status: Arc::default(), token }
}

fn start_engine(state: &ApiState, configure: impl FnOnce(&mut FakeBackend)) {
    let mut backend = FakeBackend::new("Hello there, caller.");
    configure(&mut backend);
    let policy = Policy { threads: 2, threads_after_clause: 1, batch: 8 };
    let engine = Engine::new(backend, Arc::clone(&state.queue), Arc::clone(&state.status), policy);
    std::thread::spawn(move || engine.run());
}

async fn send(state: &ApiState, request: Request) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = router(state.clone()).oneshot(request).await.expect("routes do not fail");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

fn get_request(path: &str) -> Request {
    Request::get(path).body(Body::empty()).expect("valid")
}

fn chat_request(fields: Value) -> Request {
    let mut body = json!({"messages": [{"role": "user", "content": "When?"}]});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    Request::post("/v1/chat/completions").body(Body::from(body.to_string())).expect("valid")
}

fn header_text(headers: &axum::http::HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test]
async fn health_follows_the_model() {
    let loading = state(false, None);
    let (status, _, body) = send(&loading, get_request("/health")).await;
    assert_eq!((status, parsed(&body)["status"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("loading")));
    let (status, headers, body) = send(&loading, chat_request(json!({}))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(parsed(&body)["error"]["code"], "model_loading");
    assert!(headers.contains_key(header::RETRY_AFTER));

    let ready = state(true, None);
    start_engine(&ready, |_| {});
    while ready.status.snapshot().capacity == 0 {
        tokio::task::yield_now().await;
    }
    let (status, _, body) = send(&ready, get_request("/health")).await;
    assert_eq!((status, &parsed(&body)["context"]["tokens"]), (StatusCode::OK, &json!(1_000)));
    ready.queue.close();
    let (status, ..) = send(&ready, get_request("/health")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_token_guards_all_but_health() {
    let state = state(true, Some("secret"));
    for path in ["/v1/models", "/v1/chat/completions"] {
        let (status, _, body) = send(&state, get_request(path)).await;
        assert_eq!(
            (status, parsed(&body)["error"]["code"].as_str()),
            (StatusCode::UNAUTHORIZED, Some("invalid_api_key"))
        );
    }
    for (given, expected) in [
        ("Bearer secret", StatusCode::OK),
        ("Bearer secret1", StatusCode::UNAUTHORIZED),
        ("secret", StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::get("/v1/models").header(header::AUTHORIZATION, given).body(Body::empty());
        let (status, ..) = send(&state, request.expect("valid")).await;
        assert_eq!(status, expected, "{given}");
    }
    let (status, ..) = send(&state, get_request("/health")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!format!("{:?}", state.token).contains("secret"));
}

#[tokio::test]
async fn a_whole_answer() {
    let state = state(true, None);
    start_engine(&state, |_| {});
    let (status, _, body) = send(&state, chat_request(json!({"logprobs": true, "max_tokens": 5}))).await;
    let body = parsed(&body);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["choices"][0]["message"]["content"], "Hello");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["choices"][0]["logprobs"]["content"].as_array().map(Vec::len), Some(5));
    assert_eq!(body["usage"]["prompt_tokens"], 6);
}

#[tokio::test]
async fn a_streamed_answer() {
    let state = state(true, None);
    start_engine(&state, |_| {});
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}, "stop": ["caller"]});
    let (status, headers, body) = send(&state, chat_request(fields)).await;
    assert_eq!((status, header_text(&headers, header::CONTENT_TYPE)), (StatusCode::OK, "text/event-stream"));
    let events: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|event| parsed(event)).collect();
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Hello there, ");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let [.., end, usage] = &chunks[..] else { panic!("at least two chunks") };
    assert_eq!(end["choices"][0]["finish_reason"], "stop");
    assert!(end["timings"]["prompt_ms"].is_number());
    assert_eq!(usage["usage"]["completion_tokens"], 19, "the stop string was generated");
}

#[tokio::test]
async fn prefixes_are_warmed_pinned_and_released() {
    let state = state(true, None);
    start_engine(&state, |_| {});
    let (_, _, body) = send(&state, chat_request(json!({"max_tokens": 0, "warmline": {"pin": true}}))).await;
    let body = parsed(&body);
    assert_eq!((&body["warmline"]["pinned"], &body["choices"][0]["message"]["content"]), (&json!(true), &json!("")));
    let (_, _, body) = send(&state, get_request("/health")).await;
    assert_eq!(parsed(&body)["prefixes"], json!([{"tokens": 5, "pinned": true, "hits": 0}]));
    let (_, _, body) = send(&state, chat_request(json!({}))).await;
    assert_eq!(parsed(&body)["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    let request = Request::delete("/v1/prefixes").body(Body::empty()).expect("valid");
    let (status, ..) = send(&state, request).await;
    assert_eq!((status, state.status.snapshot().pinned), (StatusCode::OK, 0));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_openai_s_words() {
    let state = state(true, None);
    let long = json!({"messages": [{"role": "user", "content": "x".repeat(500)}]});
    for (fields, code) in [
        (long, Some("context_length_exceeded")),
        (json!({"temperature": 9}), None),
        (json!({"messages": []}), None),
        (json!({"grammar": "root ::= x"}), None),
        (json!({"messages": [{"role": "user", "content": ""}], "max_tokens": 0}), None),
    ] {
        let (status, _, body) = send(&state, chat_request(fields)).await;
        let error = &parsed(&body)["error"];
        assert_eq!((status, error["code"].as_str()), (StatusCode::BAD_REQUEST, code), "{body}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let huge = Request::post("/v1/chat/completions").body(Body::from(vec![b' '; MAX_BODY_BYTES + 1])).expect("valid");
    let (status, _, body) = send(&state, huge).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert!(parsed(&body)["error"]["message"].is_string());
    let (status, ..) = send(&state, get_request("/nothing")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let state = state(true, None); // no engine: nothing leaves the queue
    let router = router(state.clone());
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        waiting.spawn(router.clone().oneshot(chat_request(json!({}))));
    }
    while state.queue.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    let (status, headers, body) = send(&state, chat_request(json!({}))).await;
    assert_eq!((status, header_text(&headers, header::RETRY_AFTER)), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(parsed(&body)["error"]["code"], "queue_full");
    waiting.shutdown().await;
    assert_eq!(state.queue.waiting(), 0, "clients that left make room");
}

#[tokio::test]
async fn a_dropped_stream_stops_the_generation() {
    let state = state(true, None);
    start_engine(&state, |backend| {
        backend.script = vec![b'a'; 400];
        let slow = |_: &Record| std::thread::sleep(Duration::from_millis(2));
        backend.hook = Some(Box::new(slow));
    });
    let response = router(state.clone()).oneshot(chat_request(json!({"stream": true, "max_tokens": 400}))).await;
    let mut body = response.expect("routes do not fail").into_body().into_data_stream();
    body.next().await.expect("the engine began").expect("a chunk");
    drop(body);
    while state.status.snapshot().cancelled == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(state.status.snapshot().used < 100, "far from the end");
}
