//! What goes on now, and what supervisors did about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::mask;
use crate::handoff::actor::LiveDesk;
use crate::store::{AuditRecord, MAX_LIMIT};
use crate::web::auth::{Require, Supervisor};
use crate::web::error::{ApiError, Problem, Query};
use crate::web::router::AppState;

/// How many entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Most {
    /// How many at most: 1 to 200, 50 unless told.
    limit: Option<u32>,
}

/// Calls going on, connected agents, callers in line. What can be done about them goes over the agent's socket.
#[utoipa::path(
    get, path = "/api/v1/live", tag = "live", operation_id = "live",
    responses(
        (status = 200, description = "What goes on now", body = LiveDesk),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn live(State(state): State<Arc<AppState>>, _: Require<Supervisor>) -> Json<LiveDesk> {
    let mut desk = state.desk.live().await;
    for call in &mut desk.calls {
        call.from = call.from.as_ref().map(mask);
    }
    Json(desk)
}

/// What supervisors did in calls, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "live", operation_id = "audit",
    params(Most),
    responses(
        (status = 200, description = "What was done", body = Vec<AuditRecord>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn audit(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(most): Query<Most>,
) -> Result<Json<Vec<AuditRecord>>, ApiError> {
    Ok(Json(state.store.list_audit(most.limit.unwrap_or(50).clamp(1, MAX_LIMIT)).await?))
}
