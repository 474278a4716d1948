//! Shifts that any agent may take, and shifts that are given back: nobody has to ask anybody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::review::audit;
use super::shifts::{LONGEST, Which};
use crate::handoff::AgentId;
use crate::said::Said;
use crate::store::{OpenShiftRecord, ShiftRecord, UserRole};
use crate::web::auth::{AuthError, Require, SignedIn, Supervisor, Via};
use crate::web::error::{ApiError, Body, Path, Problem, Query};
use crate::web::router::AppState;

/// So many people at most are wanted for one block.
const MOST: u32 = 50;

/// Somebody who can be given a shift.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Person {
    /// Their account's id; the same as the agent's.
    id: AgentId,
    /// Sign-in name.
    name: String,
    /// What they may do.
    role: UserRole,
}

/// Who there is, by name: whom shifts can be given to, and who is meant by an id in the records.
#[utoipa::path(
    get, path = "/api/v1/people", tag = "shifts", operation_id = "list_people",
    responses((status = 200, description = "The people", body = Vec<Person>), (status = 403, description = "Not a supervisor", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn people(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
) -> Result<Json<Vec<Person>>, ApiError> {
    let users = state.store.list_users().await?.into_iter();
    Ok(Json(users.map(|user| Person { id: user.id, name: user.name, role: user.role }).collect()))
}

/// A block for which people are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewOpenShift {
    /// From.
    #[schema(value_type = String, format = "date-time")]
    began_at: Timestamp,
    /// To.
    #[schema(value_type = String, format = "date-time")]
    ended_at: Timestamp,
    /// How many people: 1 to 50, one unless told.
    people: Option<u32>,
}

/// Shifts anybody may take, by their beginning.
#[utoipa::path(
    get, path = "/api/v1/open-shifts", tag = "shifts", operation_id = "list_open_shifts",
    params(Which),
    responses((status = 200, description = "The shifts", body = Vec<OpenShiftRecord>), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    _: SignedIn,
    Query(which): Query<Which>,
) -> Result<Json<Vec<OpenShiftRecord>>, ApiError> {
    let (since, until) = which.span();
    Ok(Json(state.store.list_open_shifts(since, until).await?))
}

/// Offer a block to everybody: one shift for each person that is wanted.
#[utoipa::path(
    post, path = "/api/v1/open-shifts", tag = "shifts", operation_id = "offer_shifts",
    request_body = NewOpenShift,
    responses(
        (status = 201, description = "Offered", body = Vec<OpenShiftRecord>),
        (status = 400, description = "No block, longer than a day, over already, or not 1 to 50 people", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn offer(
    State(state): State<Arc<AppState>>,
    Require { user, .. }: Require<Supervisor>,
    Body(NewOpenShift { began_at, ended_at, people }): Body<NewOpenShift>,
) -> Result<(StatusCode, Json<Vec<OpenShiftRecord>>), ApiError> {
    // Whole microseconds, as the store keeps them, so that the answer and the record are the same.
    let whole = |at: Timestamp| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or_default();
    let (people, offered_at) = (people.unwrap_or(1), whole(Timestamp::now()));
    let (began_at, ended_at) = (whole(began_at), whole(ended_at));
    if ended_at <= began_at || ended_at.duration_since(began_at) > LONGEST {
        return Err(ApiError::BadRequest(Said::new("shift_span", "a shift has a beginning and, within a day, an end")));
    }
    if began_at <= offered_at {
        return Err(ApiError::BadRequest(Said::new(
            "shift_too_late",
            "a shift that can be taken begins later than now",
        )));
    }
    if !(1..=MOST).contains(&people) {
        return Err(ApiError::BadRequest(
            Said::new("shift_people", format!("1 to {MOST} people can be wanted at once")).with("most", MOST),
        ));
    }
    let mut offered = Vec::with_capacity(people as usize);
    for _ in 0..people {
        let offered_by = user.id.clone();
        let shift = OpenShiftRecord { id: Uuid::now_v7(), began_at, ended_at, offered_by, offered_at };
        state.store.put_open_shift(&shift).await?;
        offered.push(shift);
    }
    Ok((StatusCode::CREATED, Json(offered)))
}

/// Nobody may take it any more.
#[utoipa::path(
    delete, path = "/api/v1/open-shifts/{id}", tag = "shifts", operation_id = "withdraw_shift",
    params(("id" = Uuid, Path, description = "The shift")),
    responses(
        (status = 204, description = "Withdrawn"),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such shift, or somebody took it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn withdraw(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    if state.store.delete_open_shift(id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::NotFound { what: "open shift" })
}

/// Take a shift that is open. It is promised and paid from now on, like every shift.
#[utoipa::path(
    post, path = "/api/v1/open-shifts/{id}/take", tag = "shifts", operation_id = "take_shift",
    params(("id" = Uuid, Path, description = "The shift")),
    responses(
        (status = 200, description = "Yours", body = ShiftRecord),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "A key works no shifts", body = Problem),
        (status = 409, description = "Somebody took it, it has begun, or you have another one then", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn take(
    State(state): State<Arc<AppState>>,
    SignedIn { user, via }: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<Json<ShiftRecord>, ApiError> {
    if via == Via::Key {
        return Err(AuthError::NotForKeys.into());
    }
    let taken = state.store.take_open_shift(id, &user.id, Timestamp::now()).await?;
    let shift = taken.ok_or(ApiError::Conflict(Said::new(
        "shift_gone",
        "somebody took this shift, it has begun, or you have another one then",
    )))?;
    audit(&state, &user, "take_shift", None, Some(span_of(shift.began_at, shift.ended_at))).await?;
    Ok(Json(shift))
}

/// Give a shift of yours back before it begins: it is open to everybody again, and you are not paid for it.
#[utoipa::path(
    post, path = "/api/v1/shifts/{id}/give-back", tag = "shifts", operation_id = "give_back_shift",
    params(("id" = Uuid, Path, description = "The shift")),
    responses(
        (status = 200, description = "Open again", body = OpenShiftRecord),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 409, description = "It is not yours, has begun, or was called off", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn give_back(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<Json<OpenShiftRecord>, ApiError> {
    let given = state.store.give_back_shift(id, &user.id, Timestamp::now()).await?;
    let shift = given.ok_or(ApiError::Conflict(Said::new(
        "shift_not_yours",
        "this shift is not yours, has begun, or was called off",
    )))?;
    audit(&state, &user, "give_back_shift", None, Some(span_of(shift.began_at, shift.ended_at))).await?;
    Ok(Json(shift))
}

fn span_of(from: Timestamp, to: Timestamp) -> String {
    format!("{from:.0} to {to:.0}")
}
