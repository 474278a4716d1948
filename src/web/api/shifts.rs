//! Shifts: blocks of time that are promised to agents, and paid.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::handoff::AgentId;
use crate::said::Said;
use crate::store::{ShiftRecord, UserRole};
use crate::web::auth::{Require, SignedIn, Supervisor};
use crate::web::error::{ApiError, Body, Path, Problem, Query};
use crate::web::router::AppState;

/// A block is a day at most.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// Which shifts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Those that end after this moment (RFC 3339); now unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Those that begin before this moment; in four weeks unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl Which {
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let since = self.since.unwrap_or_else(Timestamp::now);
        let four_weeks = since.checked_add(SignedDuration::from_hours(24 * 28)).ok();
        (since, self.until.or(four_weeks).unwrap_or(Timestamp::MAX))
    }
}

/// A block to be scheduled.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewShift {
    /// Whose.
    agent_id: AgentId,
    /// From.
    #[schema(value_type = String, format = "date-time")]
    began_at: Timestamp,
    /// To.
    #[schema(value_type = String, format = "date-time")]
    ended_at: Timestamp,
}

/// Shifts by their beginning: one's own, and everybody's for supervisors.
#[utoipa::path(
    get, path = "/api/v1/shifts", tag = "shifts", operation_id = "list_shifts",
    params(Which),
    responses((status = 200, description = "The shifts", body = Vec<ShiftRecord>), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Query(which): Query<Which>,
) -> Result<Json<Vec<ShiftRecord>>, ApiError> {
    let (since, until) = which.span();
    let mut shifts = state.store.list_shifts(since, until).await?;
    shifts.retain(|shift| user.role >= UserRole::Supervisor || shift.agent_id == user.id);
    Ok(Json(shifts))
}

/// Schedule a block. It is paid from now on, whatever becomes of it: nobody is told to come and then not needed for nothing.
#[utoipa::path(
    post, path = "/api/v1/shifts", tag = "shifts", operation_id = "schedule_shift",
    request_body = NewShift,
    responses(
        (status = 200, description = "Scheduled", body = ShiftRecord),
        (status = 400, description = "No block, or longer than a day", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such agent", body = Problem),
        (status = 409, description = "The agent has another one then", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn schedule(
    State(state): State<Arc<AppState>>,
    Require { user, .. }: Require<Supervisor>,
    Body(new): Body<NewShift>,
) -> Result<Json<ShiftRecord>, ApiError> {
    let NewShift { agent_id, began_at, ended_at } = new;
    if ended_at <= began_at || ended_at.duration_since(began_at) > LONGEST {
        return Err(ApiError::BadRequest(Said::new("shift_span", "a shift has a beginning and, within a day, an end")));
    }
    if !state.store.list_users().await?.iter().any(|known| known.id == agent_id) {
        return Err(ApiError::NotFound { what: "agent" });
    }
    let others = state.store.list_shifts(began_at, ended_at).await?;
    if others.iter().any(|other| other.agent_id == agent_id && other.released_at.is_none()) {
        return Err(ApiError::Conflict(Said::new("shift_twice", "the agent has another shift then")));
    }
    let (id, scheduled_at) = (Uuid::now_v7(), Timestamp::now());
    let shift =
        ShiftRecord { id, agent_id, began_at, ended_at, scheduled_by: user.id, scheduled_at, released_at: None };
    state.store.put_shift(&shift).await?;
    Ok(Json(shift))
}

/// Call a shift off, or send somebody home early. What is left of the block is paid as standby; `GET /api/v1/ledger` has it.
#[utoipa::path(
    post, path = "/api/v1/shifts/{id}/release", tag = "shifts", operation_id = "release_shift",
    params(("id" = Uuid, Path, description = "The shift")),
    responses(
        (status = 200, description = "Released; the first time counts", body = ShiftRecord),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such shift", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn release(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Path(id): Path<Uuid>,
) -> Result<Json<ShiftRecord>, ApiError> {
    let released = state.store.release_shift(id, Timestamp::now()).await?;
    Ok(Json(released.ok_or(ApiError::NotFound { what: "shift" })?))
}
