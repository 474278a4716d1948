//! Calls and their recordings. An agent sees the calls they took, supervisors all of them; numbers are masked for everybody
//! until there is a reason to see one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{mask, recordings};
use crate::call::CallId;
use crate::handoff::wire::OfferResult;
use crate::handoff::{AgentId, HandoffReason};
use crate::said::Said;
use crate::store::{CallDetail, CallFilter, CallOutcome, CallQuery, CallRecord, MAX_LIMIT, UserRecord, UserRole};
use crate::web::auth::{Require, SignedIn, Supervisor};
use crate::web::error::{ApiError, Path, Problem, Query};
use crate::web::router::AppState;

const DEFAULT_LIMIT: u32 = 50;

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Only calls older than this one: the `next` of the page before.
    before: Option<CallId>,
    /// How many at most: 1 to 200, 50 unless told.
    limit: Option<u32>,
    /// Only those that ended like this.
    outcome: Option<CallOutcome>,
    /// Only those in which a person was wanted for this reason.
    reason: Option<HandoffReason>,
    /// Only those that began then or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those that began before (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only those in which somebody said this.
    said: Option<String>,
}

/// Calls, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallPage {
    /// The calls.
    calls: Vec<CallRecord>,
    /// `before` for the next page; none on the last one.
    next: Option<CallId>,
}

/// Calls, newest first.
#[utoipa::path(
    get, path = "/api/v1/calls", tag = "calls", operation_id = "list_calls",
    params(Paging),
    responses((status = 200, description = "The calls", body = CallPage), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Query(paging): Query<Paging>,
) -> Result<Json<CallPage>, ApiError> {
    let limit = paging.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    // One more than asked for tells whether there is a next page; at the bound, a page may be followed by an empty one.
    let Paging { before, outcome, reason, since, until, said, .. } = paging;
    let query = CallQuery {
        taken_by: (!sees_all(&user)).then(|| user.id.clone()),
        before,
        limit: limit + 1,
        filter: CallFilter { outcome, reason, since, until, said },
    };
    let mut calls = state.store.list_calls(&query).await?;
    let next = (calls.len() > limit as usize || limit == MAX_LIMIT && calls.len() == MAX_LIMIT as usize).then(|| {
        calls.truncate(limit as usize);
        calls.last().expect("a page that goes on is not empty").id
    });
    calls.iter_mut().for_each(mask_call);
    Ok(Json(CallPage { calls, next }))
}

/// All there is about one call.
#[utoipa::path(
    get, path = "/api/v1/calls/{id}", tag = "calls", operation_id = "get_call",
    params(("id" = CallId, Path, description = "The call")),
    responses(
        (status = 200, description = "The call", body = CallDetail),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such call, or an agent who did not take it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<CallId>,
) -> Result<Json<CallDetail>, ApiError> {
    let mut detail = state.store.get_call(id).await?.ok_or(ApiError::NotFound { what: "call" })?;
    // As if it were not there: that a call exists is nobody else's business.
    if !sees_all(&user) && !was_taken_by(&detail, &user.id) {
        return Err(ApiError::NotFound { what: "call" });
    }
    mask_call(&mut detail.call);
    for message in &mut detail.messages {
        message.number = message.number.as_ref().map(mask);
    }
    Ok(Json(detail))
}

/// The recording of a call: stereo, the caller left, our side right. Ranges work.
#[utoipa::path(
    get, path = "/api/v1/calls/{id}/recording", tag = "calls", operation_id = "get_recording",
    params(("id" = CallId, Path, description = "The call")),
    responses(
        (status = 200, description = "The recording", content_type = "audio/wav", body = [u8]),
        (status = 206, description = "The range asked for", content_type = "audio/wav", body = [u8]),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call, or it was not recorded", body = Problem),
        (status = 409, description = "The call is still going on", body = Problem),
        (status = 416, description = "The range lies outside the recording"),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn recording(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
    request: Request,
) -> Result<Response, ApiError> {
    let call = state.store.get_call(id).await?.ok_or(ApiError::NotFound { what: "call" })?.call;
    if call.ended_at.is_none() {
        return Err(ApiError::Conflict(Said::new("call_going_on", "the call is still going on")));
    }
    let file = call.recording.ok_or(ApiError::NotFound { what: "recording" })?;
    tracing::info!(user.id = %supervisor.user.id, call.id = %id, "Sent a recording");
    recordings::send(&state.recordings, &file, &format!("call-{id}.wav"), request).await
}

pub(super) fn sees_all(user: &UserRecord) -> bool {
    user.role >= UserRole::Supervisor
}

pub(super) fn was_taken_by(detail: &CallDetail, agent: &AgentId) -> bool {
    let accepted = |result| result == Some(OfferResult::Accepted);
    detail.handoffs.iter().any(|handoff| handoff.agent_id.as_ref() == Some(agent))
        || detail.offers.iter().any(|offer| offer.agent_id == *agent && accepted(offer.result))
}

fn mask_call(call: &mut CallRecord) {
    call.from = call.from.as_ref().map(mask);
    call.to = call.to.as_ref().map(mask);
}
