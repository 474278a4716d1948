//! The one client for language models: the OpenAI-compatible chat dialect, streamed, with a deadline on every token.
//!
//! Tolerant in what it reads ([`super::dialect`] has the differences between servers). Bounded: a reply longer than
//! [`MAX_REPLY_BYTES`] is cut off with an error.

use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use eventsource_stream::Eventsource;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::dialect::{Reply, TopLogprob};
use super::{ChatMessage, ChatRequest, ChatSummary, LanguageModel, LlmError, Role};
use crate::telemetry::Secret;

/// Longest answer of a server, in bytes on the wire.
const MAX_REPLY_BYTES: usize = 4 * 1_024 * 1_024;
/// Longest error text kept.
const ERROR_LENGTH: usize = 300;
const CONNECT: Duration = Duration::from_secs(3);
/// What the model goes on after when it is to pick a letter.
const SKELETON: &str = "{\"answer\":\"";
/// Letters and what else might have come, with their probabilities.
const TOP_LOGPROBS: u32 = 20;

/// Where a model listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Base URL ending in `/v1`.
    pub url: String,
    /// Bearer key, or empty.
    pub key: Secret<String>,
}

/// A model behind an OpenAI-compatible server.
pub struct OpenAiClient {
    http: reqwest::Client,
    /// None while the embedded worker starts.
    endpoint: watch::Receiver<Option<Endpoint>>,
    model: String,
    /// Our own worker understands a few fields more.
    embedded: bool,
}

impl OpenAiClient {
    /// A client for a server that is not ours.
    pub fn remote(endpoint: Endpoint, model: String) -> Result<Self, LlmError> {
        // The receiver keeps the value after the sender is gone.
        let (_, endpoint) = watch::channel(Some(endpoint));
        Self::new(endpoint, model, false)
    }

    /// A client for the embedded worker, whose address changes when it is restarted.
    pub fn embedded(endpoint: watch::Receiver<Option<Endpoint>>, model: String) -> Result<Self, LlmError> {
        Self::new(endpoint, model, true)
    }

    fn new(endpoint: watch::Receiver<Option<Endpoint>>, model: String, embedded: bool) -> Result<Self, LlmError> {
        install_crypto();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| LlmError::Unreachable { url: "(client)".to_owned(), reason: error.to_string() })?;
        Ok(Self { http, endpoint, model, embedded })
    }

    fn endpoint(&self) -> Result<Endpoint, LlmError> {
        self.endpoint.borrow().clone().ok_or_else(|| LlmError::Unreachable {
            url: "the embedded worker".to_owned(),
            reason: "it is starting".to_owned(),
        })
    }

    /// Lets the embedded worker evaluate a prompt's beginning before it is needed, and keep it.
    pub async fn warm(&self, messages: &[ChatMessage]) -> Result<(), LlmError> {
        let endpoint = self.endpoint()?;
        let body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": 0,
            "warmline": { "pin": true, "background": true },
        });
        let response = self.post(&endpoint, &body).send().await.map_err(|error| unreachable(&endpoint, &error))?;
        refused(&endpoint, response).await.map(drop)
    }

    fn post(&self, endpoint: &Endpoint, body: &Value) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}/chat/completions", endpoint.url.trim_end_matches('/'))).json(body);
        if endpoint.key.expose().is_empty() { request } else { request.bearer_auth(endpoint.key.expose()) }
    }

    fn body(&self, request: &ChatRequest) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": true,
        });
        if let Some(seed) = request.seed {
            body["seed"] = json!(seed);
        }
        if !request.choices.is_empty() {
            self.constrain(request, &mut body);
        }
        if !request.tools.is_empty() {
            let function = |tool: &super::ToolOffer| json!({"type": "function", "function": tool});
            body["tools"] = request.tools.iter().map(function).collect();
        }
        if self.embedded {
            // Hosted dialects differ in whether they take these; a log-probability is a weak signal worth no refusal.
            body["logprobs"] = Value::Bool(true);
        }
        body
    }
}

impl OpenAiClient {
    /// One letter in a skeleton of JSON. Our worker goes on after a beginning of ours and samples the letter alone; others
    /// are given a schema.
    fn constrain(&self, request: &ChatRequest, body: &mut Value) {
        let letters: Vec<String> = request.choices.iter().map(char::to_string).collect();
        if self.embedded {
            let mut messages = request.messages.clone();
            messages.push(ChatMessage { role: Role::Assistant, content: SKELETON.to_owned() });
            let quoted: Vec<String> = letters.iter().map(|letter| format!("\"{letter}\"")).collect();
            body["messages"] = json!(messages);
            body["grammar"] = json!(format!("root ::= {}", quoted.join(" | ")));
            body["top_logprobs"] = json!(TOP_LOGPROBS);
            body["max_tokens"] = json!(1);
        } else {
            body["response_format"] = json!({"type": "json_schema", "json_schema": {
                "name": "choice",
                "strict": true,
                "schema": {
                    "type": "object",
                    "properties": {"answer": {"type": "string", "enum": letters}},
                    "required": ["answer"],
                    "additionalProperties": false,
                },
            }});
        }
    }
}

/// The letter a reply names, with probability 1: in our skeleton, in JSON of its own, or alone.
pub(super) fn choices(asked: &[char], text: &str) -> Vec<(char, f32)> {
    let rest = text.rsplit_once("\"answer\"").map_or(text, |(_, rest)| rest);
    let letter = rest.trim_start_matches(|c: char| !c.is_alphanumeric()).chars().next();
    letter.filter(|letter| asked.contains(letter)).map(|letter| vec![(letter, 1.0)]).unwrap_or_default()
}

#[async_trait]
impl LanguageModel for OpenAiClient {
    async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
        let endpoint = self.endpoint()?;
        let began = Instant::now();
        let first_by = began + request.first_token_deadline;
        let sent = self.post(&endpoint, &self.body(&request)).send();
        let response = tokio::time::timeout_at(first_by, sent)
            .await
            .map_err(|_| LlmError::Stalled(request.first_token_deadline))?
            .map_err(|error| unreachable(&endpoint, &error))?;
        let response = refused(&endpoint, response).await?;
        let is_whole = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut bytes = 0;
        let bounded = response.bytes_stream().map(move |chunk| {
            let chunk = chunk.map_err(|error| LlmError::Malformed(error.to_string()))?;
            bytes += chunk.len();
            if bytes > MAX_REPLY_BYTES {
                return Err(LlmError::Malformed(format!("an answer of more than {MAX_REPLY_BYTES} bytes")));
            }
            Ok(chunk)
        });
        // A server that does not stream sends the whole as one.
        let mut events = if is_whole {
            let whole = bounded.try_fold(Vec::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            });
            whole.map_ok(|all| String::from_utf8_lossy(&all).into_owned()).into_stream().boxed()
        } else {
            let events = bounded.eventsource();
            events
                .map(|event| event.map(|event| event.data).map_err(|error| LlmError::Malformed(error.to_string())))
                .boxed()
        };
        let mut reply = Reply::new(&endpoint.url, &request.choices);
        let mut first_token = None;
        loop {
            // Thoughts and comments are no words: who waits for the first one does not hear them.
            let patience = match first_token {
                None => first_by.saturating_duration_since(Instant::now()),
                Some(_) => request.next_token_deadline,
            };
            let data = match timeout(patience, events.next()).await {
                Err(_) if first_token.is_none() => return Err(LlmError::Stalled(request.first_token_deadline)),
                Err(_) => return Err(LlmError::Stalled(request.next_token_deadline)),
                Ok(None) => break,
                Ok(Some(data)) => data?,
            };
            if data.trim() == "[DONE]" {
                break;
            }
            let Some(piece) = reply.take(&data)? else { continue };
            first_token.get_or_insert_with(|| began.elapsed());
            if pieces.send(piece).await.is_err() {
                return Err(LlmError::Cancelled);
            }
        }
        let (mut summary, rest) = reply.finish()?;
        if let Some(rest) = rest
            && pieces.send(rest).await.is_err()
        {
            return Err(LlmError::Cancelled);
        }
        if !request.choices.is_empty() && summary.choices.is_empty() {
            summary.choices = choices(&request.choices, &summary.text);
        }
        summary.total = began.elapsed();
        summary.first_token = first_token.unwrap_or(summary.total);
        Ok(summary)
    }

    fn name(&self) -> &str {
        &self.model
    }

    fn takes_tools(&self) -> bool {
        !self.embedded
    }
}

/// The probabilities of the letters that were asked for, which together are 1.
pub(super) fn shares(asked: &[char], top: &[TopLogprob]) -> Vec<(char, f32)> {
    let mut shares: Vec<(char, f32)> = Vec::new();
    for one in top {
        let mut letters = one.token.trim().chars();
        if let (Some(letter), None) = (letters.next(), letters.next())
            && asked.contains(&letter)
            && one.logprob.is_finite()
        {
            match shares.iter_mut().find(|(known, _)| *known == letter) {
                Some((_, share)) => *share += one.logprob.exp(),
                None => shares.push((letter, one.logprob.exp())),
            }
        }
    }
    let sum: f32 = shares.iter().map(|(_, share)| share).sum();
    if sum <= 0.0 {
        return Vec::new();
    }
    shares.iter_mut().for_each(|(_, share)| *share /= sum);
    shares
}

async fn refused(endpoint: &Endpoint, response: reqwest::Response) -> Result<reqwest::Response, LlmError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let mut text = String::new();
    let mut body = response.bytes_stream();
    while let Ok(Some(Ok(chunk))) = timeout(CONNECT, body.next()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
        if text.len() > 16 * 1_024 {
            break;
        }
    }
    let message = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|body| body.pointer("/error/message").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or(text);
    Err(LlmError::Refused { url: endpoint.url.clone(), status, message: shorten(&message) })
}

fn unreachable(endpoint: &Endpoint, error: &reqwest::Error) -> LlmError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    LlmError::Unreachable { url: endpoint.url.clone(), reason }
}

pub(super) fn shorten(text: &str) -> String {
    text.trim().chars().take(ERROR_LENGTH).collect()
}

/// TLS by ring: it builds with a C compiler alone.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    // A provider installed by somebody else in this process is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
