//! Errors as OpenAI's clients expect them: `{"error":{"message","type","param","code"}}` with a fitting status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::{EngineError, PushError};
use crate::model::PromptError;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub status: StatusCode,
    /// `type` on the wire.
    pub kind: &'static str,
    pub code: Option<&'static str>,
    pub param: Option<&'static str>,
    pub message: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// The request is wrong; trying again won't help.
    pub fn invalid(param: Option<&'static str>, message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code: None,
            param,
            message,
            retry_after: None,
        }
    }

    /// The prompt alone needs more tokens than a request may have.
    pub fn too_long(tokens: usize, limit: usize) -> Self {
        let message = format!("the prompt has {tokens} tokens, the context holds {limit} with the reply");
        Self { code: Some("context_length_exceeded"), ..Self::invalid(Some("messages"), message) }
    }

    /// Not now; later perhaps.
    pub fn unavailable(code: &'static str, message: String, retry_after: u32) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            code: Some(code),
            param: None,
            message,
            retry_after: Some(retry_after),
        }
    }

    /// The model is not loaded yet.
    pub fn loading() -> Self {
        Self::unavailable("model_loading", "the model is still loading".into(), 2)
    }

    pub fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            kind: "authentication_error",
            code: Some("invalid_api_key"),
            param: None,
            message: "a valid bearer token is needed".into(),
            retry_after: None,
        }
    }

    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid(None, "there is nothing at this address".into()) }
    }

    fn internal(message: String) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, kind: "server_error", code: Some("internal"), param: None, message, retry_after: None }
    }

    /// The body on the wire.
    pub fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

impl From<PromptError> for ApiError {
    fn from(error: PromptError) -> Self {
        let param = match &error {
            PromptError::Template | PromptError::Dropped { .. } => "messages",
            PromptError::Grammar(_) => "grammar",
            PromptError::Schema(_) => "response_format",
        };
        Self::invalid(Some(param), error.to_string())
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full(_) => Self::unavailable("queue_full", error.to_string(), 1),
            PushError::Closed => EngineError::ShuttingDown.into(),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::CacheFull(_) => {
                Self { code: Some("context_length_exceeded"), ..Self::invalid(Some("messages"), message) }
            }
            EngineError::PinBudget(_) => {
                Self { code: Some("pin_budget_exceeded"), ..Self::invalid(Some("warmline.pin"), message) }
            }
            EngineError::Decode(_) => Self::internal(message),
            EngineError::ShuttingDown => Self::unavailable("shutting_down", message, 5),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
