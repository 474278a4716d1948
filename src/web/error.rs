//! The one place that maps errors to HTTP: a status and `{"code", "message"}`, the code stable, the message for people.
//! Where a code covers several mistakes, `reason` and `values` say which, for clients with words of their own.
//!
//! What the server did wrong is logged here, once, and not told to the client.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::AuthError;
use crate::said::Said;
use crate::store::StoreError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Body, path or query can't be read, or says what can't be done.
    #[error("{0}")]
    BadRequest(Said),
    /// Body, path or query is larger than allowed.
    #[error("{0}")]
    TooLarge(Said),
    /// There is no such thing, or this account may not know of it.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for.
        what: &'static str,
    },
    /// The thing is not in the state for this.
    #[error("{0}")]
    Conflict(Said),
    /// Sign-in, roles, accounts.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recording could not be read.
    #[error("a recording could not be read")]
    Recording(#[source] std::io::Error),
    /// A file could not be read or written.
    #[error("a file could not be read or written")]
    File(#[source] std::io::Error),
}

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable word for programs, such as `not_signed_in`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Stable word for which mistake it was, where the code covers several, such as `shift_taken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the sentence speaks of, by name, such as a limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl Problem {
    /// One whose code says all.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), reason: None, values: BTreeMap::new() }
    }
}

impl ApiError {
    /// Status and code. No `_` arm: a new error must decide.
    fn verdict(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Store(StoreError::Conflict { .. }) => (StatusCode::CONFLICT, "conflict"),
            Self::Store(StoreError::Open { .. } | StoreError::Query(_) | StoreError::Corrupt { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            Self::Recording(_) | Self::File(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Auth(error) => match error {
                AuthError::NotSignedIn => (StatusCode::UNAUTHORIZED, "not_signed_in"),
                AuthError::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
                AuthError::PasswordChangeRequired => (StatusCode::FORBIDDEN, "password_change_required"),
                AuthError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
                AuthError::NotForKeys => (StatusCode::FORBIDDEN, "not_for_keys"),
                AuthError::CrossOrigin => (StatusCode::FORBIDDEN, "cross_origin"),
                AuthError::TooManyAttempts { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
                AuthError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                AuthError::WeakPassword(_) => (StatusCode::UNPROCESSABLE_ENTITY, "weak_password"),
                AuthError::BadName => (StatusCode::UNPROCESSABLE_ENTITY, "bad_name"),
                AuthError::NoSuchUser => (StatusCode::NOT_FOUND, "not_found"),
                AuthError::LastAdmin => (StatusCode::CONFLICT, "last_admin"),
                AuthError::Hash(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
                AuthError::Store(StoreError::Conflict { .. }) => (StatusCode::CONFLICT, "conflict"),
                AuthError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            },
        }
    }

    /// Which mistake it was, and what its sentence speaks of.
    fn reason(&self) -> (Option<String>, BTreeMap<String, String>) {
        match self {
            Self::BadRequest(said) | Self::TooLarge(said) | Self::Conflict(said) => {
                (said.reason().map(str::to_owned), said.values().clone())
            }
            _ => (None, BTreeMap::new()),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Auth(AuthError::TooManyAttempts { retry_after }) => Some(*retry_after),
            Self::Auth(AuthError::Busy) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.verdict();
        let message = if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(error = &self as &dyn std::error::Error, "A request failed");
            "Something went wrong on the server; its log says what.".to_owned()
        } else {
            sentence(&self.to_string())
        };
        let (reason, values) = self.reason();
        let problem = Problem { code: code.to_owned(), message, reason, values };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after() {
            // Whole seconds, rounded up: never sooner than it may work.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"warmline\""));
        }
        response
    }
}

/// Errors are fragments; people get a sentence.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if fragment.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// A JSON body whose rejection is an [`ApiError`].
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub struct Body<T>(pub T);

/// Path parameters whose rejection is an [`ApiError`].
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

/// Query parameters whose rejection is an [`ApiError`].
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(Said::plain(rejection.body_text())),
            _ => Self::BadRequest(Said::plain(rejection.body_text())),
        }
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::BadRequest(Said::plain(rejection.body_text()))
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::BadRequest(Said::plain(rejection.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_sentences() {
        assert_eq!(sentence("call not found"), "Call not found.");
        assert_eq!(sentence("Really?"), "Really?");
    }

    #[tokio::test]
    async fn inner_failures_are_not_told() {
        let error = ApiError::Store(StoreError::Corrupt { what: "outcome", reason: "the secret".to_owned() });
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("short");
        let problem: Problem = serde_json::from_slice(&body).expect("a problem");
        assert_eq!(problem.code, "internal");
        assert!(!problem.message.contains("secret"));
    }
}
