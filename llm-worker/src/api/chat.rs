//! `POST /v1/chat/completions`: from a body to a job, and from the job's events to the answer.
//!
//! All that can be wrong with a request is found before it is queued, so a stream that starts with status 200 ends with
//! `[DONE]` unless the engine itself fails; then the last event is `{"error": …}`. When the client goes away the handler
//! or the stream is dropped, and its `Hold` tells the engine.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::ApiState;
use super::error::ApiError;
use super::request::ChatRequest;
use super::response::Head;
use crate::engine::job::Generation;
use crate::engine::{CancelFlag, Event, Job, JobKind, JobQueue};
use crate::model::{Frontend, PromptError, Purpose, Token};

/// A comment this often keeps the connection provably alive during a long prompt.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// See [`super`].
pub async fn completions(
    State(state): State<ApiState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| ApiError {
        status: rejection.status(),
        ..ApiError::invalid(None, rejection.body_text())
    })?;
    let request = ChatRequest::parse(&body)?;
    let model = Arc::clone(state.model()?);
    let (request, prepared) = prepare(Arc::clone(&model), request).await;
    let (prompt, kind) = prepared?;
    let (events, hold) = submit(&state, prompt, kind, request.background, request.max_tokens)?;
    let answer = Answer {
        head: head(model.id()),
        warm: request.max_tokens == 0,
        logprobs: request.logprobs.is_some(),
        include_usage: request.include_usage,
        events,
        _hold: hold,
    };
    if request.stream { Ok(answer.stream()) } else { answer.collect().await }
}

/// `DELETE /v1/prefixes`
pub async fn unpin_all(State(state): State<ApiState>) -> Result<Response, ApiError> {
    state.model()?;
    let (mut events, _hold) = submit(&state, Vec::new(), JobKind::UnpinAll, false, 0)?;
    while let Some(event) = events.recv().await {
        match event {
            Event::Done(_) => return Ok(Json(json!({"pinned": 0})).into_response()),
            Event::Failed(error) => return Err(error.into()),
            Event::Started | Event::Text { .. } => {}
        }
    }
    Err(crate::engine::EngineError::ShuttingDown.into())
}

/// Renders, tokenizes and compiles, off the async threads: long prompts and grammars take milliseconds.
async fn prepare(
    model: Arc<dyn Frontend>,
    request: ChatRequest,
) -> (ChatRequest, Result<(Vec<Token>, JobKind), ApiError>) {
    let fallback = request.clone();
    let work = tokio::task::spawn_blocking(move || {
        let prepared = job_of(&*model, &request);
        (request, prepared)
    });
    work.await.unwrap_or_else(|_| {
        // Only a panic in the model's own code gets here; it was logged by the panic hook.
        (fallback, Err(PromptError::Template.into()))
    })
}

fn job_of(model: &dyn Frontend, request: &ChatRequest) -> Result<(Vec<Token>, JobKind), ApiError> {
    let warm = request.max_tokens == 0;
    let prompt = model.prompt(&request.messages, if warm { Purpose::Warm } else { Purpose::Reply })?;
    // A reply needs room for at least one token.
    if prompt.len() + usize::from(!warm) > model.limit() {
        return Err(ApiError::too_long(prompt.len(), model.limit()));
    }
    if prompt.is_empty() {
        return Err(ApiError::invalid(Some("messages"), "the prompt is empty".into()));
    }
    if warm {
        return Ok((prompt, JobKind::Warm { pin: request.pin }));
    }
    let constraint = request.constraint.as_ref().map(|spec| model.constrain(spec)).transpose()?;
    let generation = Generation {
        max_tokens: request.max_tokens.min(model.limit() - prompt.len()),
        temperature: request.temperature,
        top_p: request.top_p,
        seed: request.seed.unwrap_or_else(random_seed),
        stop: request.stop.clone(),
        logprobs: request.logprobs,
        constraint,
    };
    Ok((prompt, JobKind::Generate(generation)))
}

fn submit(
    state: &ApiState,
    prompt: Vec<Token>,
    kind: JobKind,
    background: bool,
    max_tokens: usize,
) -> Result<(mpsc::Receiver<Event>, Hold), ApiError> {
    let tokens = match &kind {
        JobKind::Generate(generation) => generation.max_tokens,
        JobKind::Warm { .. } | JobKind::UnpinAll => max_tokens,
    };
    let (events, receiver) = mpsc::channel(Job::events_needed(tokens));
    let cancel = CancelFlag::default();
    let hold = Hold { cancel: cancel.clone(), queue: Arc::clone(&state.queue) };
    state.queue.push(Job { prompt, kind, background, cancel, events, queued: now() })?;
    Ok((receiver, hold))
}

/// While this lives somebody wants the answer.
struct Hold {
    cancel: CancelFlag,
    queue: Arc<JobQueue>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.cancel.raise();
        self.queue.prune();
    }
}

struct Answer {
    head: Head,
    warm: bool,
    logprobs: bool,
    include_usage: bool,
    events: mpsc::Receiver<Event>,
    /// Dropped with the answer, however that ends.
    _hold: Hold,
}

impl Answer {
    async fn collect(mut self) -> Result<Response, ApiError> {
        let mut all = String::new();
        let mut tokens = Vec::new();
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Started => {}
                Event::Text { text, logprobs } => {
                    all.push_str(&text);
                    tokens.extend(logprobs);
                }
                Event::Done(summary) => {
                    let logprobs = self.logprobs.then_some(tokens.as_slice());
                    return Ok(Json(self.head.completion(&all, logprobs, &summary, self.warm)).into_response());
                }
                Event::Failed(error) => return Err(error.into()),
            }
        }
        Err(crate::engine::EngineError::ShuttingDown.into())
    }

    fn stream(self) -> Response {
        let events = stream::unfold((self, VecDeque::new(), false), |(mut answer, mut ready, mut over)| async move {
            while ready.is_empty() && !over {
                match answer.events.recv().await {
                    Some(event) => over = answer.chunks(event, &mut ready),
                    None => {
                        ready.push_back(ApiError::from(crate::engine::EngineError::ShuttingDown).body().to_string());
                        over = true;
                    }
                }
            }
            let data = ready.pop_front()?;
            Some((Ok::<_, Infallible>(sse::Event::default().data(data)), (answer, ready, over)))
        });
        (StatusCode::OK, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
    }

    /// The wire's form of an event; `true` after the last.
    fn chunks(&self, event: Event, ready: &mut VecDeque<String>) -> bool {
        let mut add = |value: Value| ready.push_back(value.to_string());
        match event {
            Event::Started => add(self.head.role_chunk()),
            Event::Text { text, logprobs } => {
                add(self.head.text_chunk(&text, self.logprobs.then_some(logprobs.as_slice())));
            }
            Event::Done(summary) => {
                add(self.head.finish_chunk(&summary, self.warm));
                if self.include_usage {
                    add(self.head.usage_chunk(&summary));
                }
                ready.push_back("[DONE]".into());
                return true;
            }
            Event::Failed(error) => {
                add(ApiError::from(error).body());
                return true;
            }
        }
        false
    }
}

fn head(model: &str) -> Head {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let created = since_1970();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Head {
        id: format!("chatcmpl-{:x}-{count:x}", created.as_secs()),
        created: created.as_secs(),
        model: model.to_owned(),
    }
}

/// Good enough to make unseeded replies differ.
fn random_seed() -> u64 {
    since_1970().as_nanos() as u64
}

#[expect(clippy::disallowed_methods, reason = "OpenAI's answers carry the wall clock")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the edge stamps a request's arrival")]
fn now() -> Instant {
    Instant::now()
}
