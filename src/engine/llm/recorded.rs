//! The client against streams of several families of servers, `tests/fixtures/llm/`: what is read from each, however the
//! network cuts it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::openai::{Endpoint, OpenAiClient};
use super::{ChatMessage, ChatRequest, ChatSummary, Finish, LanguageModel, LlmError, Role};
use crate::telemetry::Secret;

/// What must be read from a stream.
enum Want {
    /// These words, and this end.
    Says(&'static str, Finish),
    /// These tools with these arguments.
    Calls(&'static [(&'static str, &'static str)]),
    /// An error whose text has this.
    Fails(&'static str),
}

use Want::{Calls, Fails, Says};

const HOURS: &str = "We open at nine.";
const ORDER: (&str, &str) = ("order_status", r#"{"order_number":"482913"}"#);

const STREAMS: &[(&str, Want)] = &[
    ("llamacpp-text.sse", Says(HOURS, Finish::Stop)),
    ("llamacpp-usage.sse", Says(HOURS, Finish::Stop)),
    ("llamacpp-logprobs.sse", Says(HOURS, Finish::Stop)),
    ("llamacpp-length.sse", Says("1, 2", Finish::Length)),
    ("llamacpp-schema.sse", Says("{\n  \"answer\": \"A\"\n}", Finish::Stop)),
    ("llamacpp-refused.json", Fails("Expected 'messages' to be an array")),
    ("llamacpp-tool-deltas.sse", Calls(&[ORDER])),
    ("llamacpp-keep-alive.sse", Says(HOURS, Finish::Stop)),
    ("llamacpp-error.sse", Fails("Context size has been exceeded.")),
    ("llamacpp-old-error.sse", Fails("broke off")),
    ("openai-text.sse", Says(HOURS, Finish::Stop)),
    ("openai-tool.sse", Calls(&[ORDER])),
    ("openai-two-tools.sse", Calls(&[ORDER, ("opening_hours", "{}")])),
    ("openai-filtered.sse", Fails("kept its reply back")),
    ("openai-refusal.sse", Says("I'm sorry, I can't help with that.", Finish::Stop)),
    ("openai-error.sse", Fails("The server had an error")),
    ("vllm-text.sse", Says(HOURS, Finish::Stop)),
    ("vllm-tool.sse", Calls(&[ORDER])),
    ("vllm-reasoning.sse", Says("\n\nWe open at nine.", Finish::Stop)),
    ("vllm-error.sse", Fails("EngineCore encountered an issue.")),
    ("vllm-abort.sse", Says("We open", Finish::Other)),
    ("ollama-text.sse", Says(HOURS, Finish::Stop)),
    ("ollama-tool.sse", Calls(&[ORDER])),
    ("ollama-reasoning.sse", Says(HOURS, Finish::Stop)),
    ("ollama-error.sse", Fails("unexpected EOF")),
    ("proxy-keep-alive-crlf.sse", Says(HOURS, Finish::Stop)),
    ("proxy-think-tags.sse", Says(HOURS, Finish::Stop)),
    ("proxy-parts.sse", Says(HOURS, Finish::Stop)),
    ("proxy-whole.json", Says(HOURS, Finish::Stop)),
    ("proxy-empty.sse", Fails("without a word")),
];
/// The model wrote the call as words; only how it begins is of interest.
const CALL_AS_WORDS: &str = "llamacpp-tool.sse";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llm")
}

/// What the client makes of `bytes` that come in pieces of `size`.
async fn read(bytes: &Bytes, size: usize, kind: &'static str) -> (Vec<String>, Result<ChatSummary, LlmError>) {
    let pieces: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    let handler = move || async move {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let body = Body::from_stream(futures::stream::iter(pieces));
        Response::builder().header("content-type", kind).body(body).expect("a response")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let app = Router::new().route("/v1/chat/completions", post(handler));
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await });
    let endpoint = Endpoint { url, key: Secret::default() };
    let client = OpenAiClient::remote(endpoint, "m".to_owned()).expect("a client");
    let request = ChatRequest {
        messages: vec![ChatMessage { role: Role::User, content: "Hello?".to_owned() }],
        max_tokens: 20,
        temperature: 0.0,
        seed: None,
        choices: Vec::new(),
        tools: Vec::new(),
        first_token_deadline: Duration::from_secs(60),
        next_token_deadline: Duration::from_secs(60),
    };
    let (sender, mut receiver) = mpsc::channel(4_096);
    let result = client.generate(request, sender).await;
    let mut said = Vec::new();
    while let Some(piece) = receiver.recv().await {
        said.push(piece);
    }
    (said, result)
}

#[tokio::test]
async fn every_recorded_stream_is_read_as_it_must_be() {
    let mut files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("fixtures")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".sse") || name.ends_with(".json"))
        .collect();
    assert!(files.remove(CALL_AS_WORDS));
    for (name, want) in STREAMS {
        assert!(files.remove(*name), "{name} is not there");
        let bytes = Bytes::from(std::fs::read(folder().join(name)).expect("readable"));
        let kind = if name.ends_with(".json") { "application/json" } else { "text/event-stream" };
        for size in [usize::MAX, 61, 7] {
            let (said, result) = read(&bytes, size.min(bytes.len().max(1)), kind).await;
            match (want, result) {
                (Says(text, finish), Ok(summary)) => {
                    assert_eq!((said.concat().as_str(), summary.text.as_str()), (*text, *text), "{name} by {size}");
                    assert_eq!(summary.finish, *finish, "{name} by {size}");
                }
                (Calls(calls), Ok(summary)) => {
                    assert!(said.is_empty(), "{name} by {size}: {said:?}");
                    let got: Vec<_> = summary
                        .tool_calls
                        .iter()
                        .map(|call| (call.name.clone(), serde_json::Value::Object(call.arguments.clone()).to_string()))
                        .collect();
                    let wanted: Vec<_> =
                        calls.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
                    assert_eq!(got, wanted, "{name} by {size}");
                }
                (Fails(part), Err(error)) => {
                    assert!(error.to_string().contains(part), "{name} by {size}: {error}");
                }
                (_, got) => panic!("{name} by {size}: {got:?}"),
            }
        }
    }
    assert!(files.is_empty(), "not in the table: {files:?}");
}

#[tokio::test]
async fn a_call_that_a_model_writes_as_words_is_words() {
    let bytes = Bytes::from(std::fs::read(folder().join(CALL_AS_WORDS)).expect("readable"));
    let (_, result) = read(&bytes, bytes.len(), "text/event-stream").await;
    let summary = result.expect("words");
    assert!(summary.tool_calls.is_empty() && summary.text.starts_with(r#"{"name": "order_status""#));
}

#[tokio::test]
async fn log_probabilities_are_read() {
    let bytes = Bytes::from(std::fs::read(folder().join("llamacpp-logprobs.sse")).expect("readable"));
    let (_, result) = read(&bytes, 50, "text/event-stream").await;
    let mean = result.expect("words").avg_logprob.expect("the server told");
    assert!((-1.0..0.0).contains(&mean), "{mean}");
}
