//! How the server is doing, in words anybody may hear.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::auth::AuthError;
use crate::web::error::{ApiError, Problem};
use crate::web::health::EngineHealth;
use crate::web::router::AppState;

static INSTANCE: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().to_string());

/// A name for this process, made up anew at each start.
pub(super) fn instance() -> &'static str {
    &INSTANCE
}

/// How the server is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// The company the assistant answers for.
    name: String,
    /// This process, and no other: how an address is known to lead here.
    instance: &'static str,
    /// The server's version.
    version: &'static str,
    /// Whether new calls are taken.
    taking_calls: bool,
    /// By name: `vad`, `stt`, `llm`, `tts`.
    engines: BTreeMap<&'static str, EngineHealth>,
    /// Calls going on now.
    live_calls: usize,
    /// Whether the landing page may call.
    browser_calls: bool,
}

/// Who is called.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Widget {
    /// The company the assistant answers for.
    name: String,
    /// Whether anybody may call now.
    taking_calls: bool,
}

/// Asked by the script on a web site, whether it may show the call button there: `browser.widget_origins` names the sites.
#[utoipa::path(
    get, path = "/api/v1/widget", tag = "status", operation_id = "widget",
    responses(
        (status = 200, description = "It may", body = Widget),
        (status = 403, description = "This site is not named in the configuration", body = Problem),
    ),
    extensions(("x-least-role" = json!("anyone"))),
)]
pub(super) async fn widget(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let browser = &state.config.browser;
    let origin = headers.get(header::ORIGIN).filter(|_| browser.enabled);
    let named =
        origin.filter(|origin| browser.widget_origins.iter().any(|named| named.as_bytes() == origin.as_bytes()));
    let Some(origin) = named else { return Err(AuthError::CrossOrigin.into()) };
    let taking_calls = state.readiness.borrow().reasons().is_empty();
    let answer = Json(Widget { name: state.config.dialog.company.clone(), taking_calls });
    let headers =
        [(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()), (header::VARY, HeaderValue::from_static("origin"))];
    Ok((headers, answer).into_response())
}

/// How the server is doing.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "status", operation_id = "status",
    responses((status = 200, description = "The status", body = Status)),
    extensions(("x-least-role" = json!("anyone"))),
)]
pub(super) async fn status(State(state): State<Arc<AppState>>) -> Json<Status> {
    let readiness = state.readiness.borrow();
    Json(Status {
        name: state.config.dialog.company.clone(),
        instance: instance(),
        version: env!("CARGO_PKG_VERSION"),
        taking_calls: readiness.reasons().is_empty(),
        engines: readiness.engines.iter().map(|(name, engine)| (*name, engine.health())).collect(),
        live_calls: (state.live_calls)(),
        browser_calls: state.config.browser.enabled,
    })
}
