//! How the server is doing, in words anybody may hear.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::health::EngineHealth;
use crate::web::router::AppState;

/// How the server is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// The company the assistant answers for.
    name: String,
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
        version: env!("CARGO_PKG_VERSION"),
        taking_calls: readiness.reasons().is_empty(),
        engines: readiness.engines.iter().map(|(name, engine)| (*name, engine.health())).collect(),
        live_calls: (state.live_calls)(),
        browser_calls: state.config.browser.enabled,
    })
}
