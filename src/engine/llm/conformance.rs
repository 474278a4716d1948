//! What every language model keeps, tried on the fake and on the client against recorded streams of several servers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::fake::FakeLlm;
use super::openai::{Endpoint, OpenAiClient};
use super::{ChatMessage, ChatRequest, ChatSummary, LanguageModel, LlmError, Role};
use crate::telemetry::Secret;

/// For what is to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what is not to come.
const HASTE: Duration = Duration::from_millis(200);
/// Longer than any test.
const NEVER_MS: u64 = 600_000;

fn request() -> ChatRequest {
    ChatRequest {
        messages: vec![ChatMessage { role: Role::User, content: "Hello?".to_owned() }],
        max_tokens: 20,
        temperature: 0.0,
        seed: None,
        choices: Vec::new(),
        tools: Vec::new(),
        first_token_deadline: PATIENCE,
        next_token_deadline: PATIENCE,
    }
}

async fn generate(llm: &dyn LanguageModel) -> (Vec<String>, Result<ChatSummary, LlmError>) {
    generate_within(llm, PATIENCE, PATIENCE).await
}

async fn generate_within(
    llm: &dyn LanguageModel,
    first_token_deadline: Duration,
    next_token_deadline: Duration,
) -> (Vec<String>, Result<ChatSummary, LlmError>) {
    let (sender, mut receiver) = mpsc::channel(64);
    let result = llm.generate(ChatRequest { first_token_deadline, next_token_deadline, ..request() }, sender).await;
    let mut pieces = Vec::new();
    while let Some(piece) = receiver.recv().await {
        pieces.push(piece);
    }
    (pieces, result)
}

/// A server that answers with these pieces of a body, each after its pause. Ends with the guard.
async fn server(status: u16, pieces: &'static [(u64, &'static str)]) -> (OpenAiClient, Guard) {
    let handler = move || async move {
        let body = futures::stream::iter(pieces).then(|(pause, text)| async move {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            Ok::<_, std::io::Error>(*text)
        });
        Response::builder()
            .status(StatusCode::from_u16(status).expect("a status"))
            .header("content-type", "text/event-stream")
            .body(Body::from_stream(body))
            .expect("a response")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let app = Router::new().route("/v1/chat/completions", post(handler));
    #[expect(clippy::disallowed_methods, reason = "the guard owns it")]
    let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
    let client = OpenAiClient::remote(Endpoint { url, key: Secret::new("k".to_owned()) }, "m".to_owned());
    (client.expect("a client"), Guard(task))
}

struct Guard(JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keeps_the_contract(llm: &dyn LanguageModel, text: &str) {
    let (pieces, result) = generate(llm).await;
    let summary = result.expect("a reply");
    assert_eq!(pieces.concat(), text);
    assert_eq!(summary.text, text);
    assert!(pieces.len() > 1, "it streams");
    assert!(summary.first_token <= summary.total);
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let fake = FakeLlm::paced(Duration::from_millis(5), Duration::from_millis(1))
        .scripted([Ok("We open at nine.".to_owned())]);
    keeps_the_contract(&fake, "We open at nine.").await;
    let slow = FakeLlm::paced(Duration::from_millis(NEVER_MS), Duration::ZERO);
    assert!(matches!(generate_within(&slow, HASTE, PATIENCE).await.1, Err(LlmError::Stalled(_))));
}

#[tokio::test]
async fn recorded_streams_of_several_servers_are_understood() {
    // The shapes of OpenAI, llama.cpp, vLLM and Ollama: a role-only chunk first, usage last, no space after `data:`,
    // comments as keep-alive, CRLF line ends, one event cut across two packets.
    for pieces in [
        &[
            (
                0,
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
            ),
            (
                1,
                "data: {\"choices\":[{\"delta\":{\"content\":\"We open\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\" at nine.\"}}]}\n\n",
            ),
            (
                1,
                "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\ndata: [DONE]\n\n",
            ),
        ][..],
        &[
            (
                0,
                ": keep-alive\r\n\r\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"We open\"},\"logprobs\":{\"content\":[{\"token\":\"We\",\"logprob\":-0.5}]}}],\"error\":null}\r\n\r\n",
            ),
            (1, "data:{\"choices\":[{\"delta\":{\"content\":\" at "),
            (5, "nine.\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata:[DONE]\r\n\r\n"),
        ][..],
        // Ends without [DONE].
        &[
            (0, "data: {\"choices\":[{\"delta\":{\"content\":\"We open\"}}]}\n\n"),
            (1, "data: {\"choices\":[{\"delta\":{\"content\":\" at nine.\"}}]}\n\n"),
        ][..],
    ] {
        let (client, _guard) = server(200, pieces).await;
        keeps_the_contract(&client, "We open at nine.").await;
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (client, _guard) = server(503, &[(0, "{\"error\":{\"message\":\"queue full\"}}")]).await;
    let error = generate(&client).await.1.expect_err("refused");
    assert!(matches!(&error, LlmError::Refused { status: 503, message, .. } if message == "queue full"), "{error}");

    let (client, _guard) = server(200, &[(0, "data: {\"error\":{\"message\":\"out of memory\"}}\n\n")]).await;
    assert!(matches!(generate(&client).await.1, Err(LlmError::Refused { .. })));

    let (client, _guard) = server(200, &[(0, "data: nonsense\n\n")]).await;
    assert!(matches!(generate(&client).await.1, Err(LlmError::Malformed(_))));

    let (client, _guard) = server(200, &[(NEVER_MS, "data: {}\n\n")]).await;
    assert!(matches!(generate_within(&client, HASTE, PATIENCE).await.1, Err(LlmError::Stalled(_))), "no first token");

    let (client, _guard) =
        server(200, &[(0, "data: {\"choices\":[{\"delta\":{\"content\":\"We\"}}]}\n\n"), (NEVER_MS, "x")]).await;
    let (pieces, result) = generate_within(&client, PATIENCE, HASTE).await;
    assert_eq!(pieces, ["We"]);
    assert!(matches!(result, Err(LlmError::Stalled(_))), "no next token");

    let nobody = Endpoint { url: "http://127.0.0.1:9/v1".to_owned(), key: Secret::default() };
    let client = OpenAiClient::remote(nobody, "m".to_owned()).expect("a client");
    let error = generate(&client).await.1.expect_err("nobody listens").to_string();
    assert!(error.contains("127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn a_reader_that_goes_away_cancels() {
    let (client, _guard) =
        server(200, &[(0, "data: {\"choices\":[{\"delta\":{\"content\":\"We\"}}]}\n\n"), (50, "data: [DONE]\n\n")])
            .await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(matches!(client.generate(request(), sender).await, Err(LlmError::Cancelled)));
}
