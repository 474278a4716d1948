//! The HTTP surface, all routes in one place.
//!
//! | route | |
//! |---|---|
//! | `GET /health` | 200 when the model is loaded, 503 while it loads; needs no token |
//! | `GET /v1/models` | the one model |
//! | `POST /v1/chat/completions` | OpenAI's chat, streaming or not: [`request`] lists the fields |
//! | `DELETE /v1/prefixes` | unpins all pinned prefixes |

pub mod chat;
pub mod error;
pub mod request;
pub mod response;

use std::sync::{Arc, OnceLock};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::engine::{JobQueue, Status};
use crate::model::Frontend;
use error::ApiError;

/// Largest request body: far above any prompt that fits a context.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Shared by all handlers.
#[derive(Clone)]
pub struct ApiState {
    /// Empty while the model loads.
    pub model: Arc<OnceLock<Arc<dyn Frontend>>>,
    pub queue: Arc<JobQueue>,
    pub status: Arc<Status>,
    /// Bearer token every route but `/health` needs, if set.
    pub token: Option<Token>,
}

/// The bearer token; its `Debug` does not show it.
#[derive(Clone)]
pub struct Token(pub Arc<str>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Compares in a time that does not depend on where the first difference is.
    fn matches(&self, given: &str) -> bool {
        let (own, given) = (self.0.as_bytes(), given.as_bytes());
        own.len() == given.len() && own.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

impl ApiState {
    fn model(&self) -> Result<&Arc<dyn Frontend>, ApiError> {
        self.model.get().ok_or_else(ApiError::loading)
    }
}

/// The worker's routes.
pub fn router(state: ApiState) -> Router {
    let guarded = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/prefixes", delete(chat::unpin_all))
        .route_layer(middleware::from_fn_with_state(state.clone(), authorize));
    Router::new()
        .route("/health", get(health))
        .merge(guarded)
        .fallback(async || ApiError::not_found())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(state)
}

async fn authorize(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if let Some(token) = &state.token {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|given| token.matches(given)) {
            return ApiError::unauthorized().into_response();
        }
    }
    next.run(request).await
}

async fn health(State(state): State<ApiState>) -> Response {
    if state.queue.closed() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "shutting_down"}))).into_response();
    }
    let Some(model) = state.model.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "loading"}))).into_response();
    };
    let (snapshot, busy) = (state.status.snapshot(), state.status.busy());
    let (waiting, room) = (state.queue.waiting(), state.queue.capacity());
    Json(response::health(model.id(), model.limit(), &snapshot, waiting, room, busy)).into_response()
}

async fn models(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let model = state.model()?;
    let entry = json!({"id": model.id(), "object": "model", "owned_by": "warmline", "max_model_len": model.limit()});
    Ok(Json(json!({"object": "list", "data": [entry]})).into_response())
}

#[cfg(test)]
mod tests;
