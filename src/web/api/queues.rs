//! Queues: what comes first, and what callers are told while they wait; kept instead of the configuration's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::review::audit;
use crate::config::{QUEUE_PRIORITIES, check_queue_message};
use crate::handoff::AgentId;
use crate::said::Said;
use crate::store::QueueRecord;
use crate::web::auth::{Require, Supervisor};
use crate::web::error::{ApiError, Body, Path, Problem};
use crate::web::router::AppState;

/// A queue as it is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueInForce {
    /// Its name.
    name: String,
    /// Priority of its callers, -100 to 100; higher goes first.
    priority: i32,
    /// What callers are told when they enter it and with each announcement of their place; empty: nothing.
    message: String,
    /// Whether it was changed here, and holds instead of the configuration's.
    is_changed: bool,
    /// By whom.
    changed_by: Option<AgentId>,
    /// When that was.
    #[schema(value_type = Option<String>, format = "date-time")]
    changed_at: Option<Timestamp>,
    /// The configuration's priority.
    configured_priority: i32,
    /// The configuration's message.
    configured_message: String,
}

/// What is to hold of a queue.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(super) struct NewQueue {
    /// Priority of its callers, -100 to 100; higher goes first.
    priority: i32,
    /// What callers are told, at most 300 characters; empty: nothing.
    #[serde(default)]
    message: String,
}

/// Priority and message of every queue, in the configuration's order.
#[utoipa::path(
    get, path = "/api/v1/queues", tag = "live", operation_id = "list_queues",
    responses((status = 200, description = "The queues", body = Vec<QueueInForce>), (status = 403, description = "Not a supervisor", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn list(State(state): State<Arc<AppState>>, _: Require<Supervisor>) -> Json<Vec<QueueInForce>> {
    Json(in_force(&state))
}

/// Change priority and message of a queue. Both hold at once: who waits in it is sorted anew, keeps the time they have
/// waited, and hears the new message.
#[utoipa::path(
    put, path = "/api/v1/queues/{name}", tag = "live", operation_id = "put_queue",
    params(("name" = String, Path, description = "The queue")),
    request_body = NewQueue,
    responses(
        (status = 200, description = "As they are in force", body = Vec<QueueInForce>),
        (status = 400, description = "No such priority, or a message of more than a line or 300 characters", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such queue", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn put(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(name): Path<String>,
    Body(NewQueue { priority, message }): Body<NewQueue>,
) -> Result<Json<Vec<QueueInForce>>, ApiError> {
    if !state.live_plan.configured().queues.iter().any(|queue| queue.name == name) {
        return Err(ApiError::NotFound { what: "queue" });
    }
    if !QUEUE_PRIORITIES.contains(&priority) {
        let (least, most) = (QUEUE_PRIORITIES.start(), QUEUE_PRIORITIES.end());
        let said = Said::new("queue_priority", format!("a priority is {least} to {most}"));
        return Err(ApiError::BadRequest(said.with("least", least).with("most", most)));
    }
    let message = message.trim().to_owned();
    if let Err(said) = check_queue_message(&message) {
        return Err(ApiError::BadRequest(Said::new("queue_message", format!("a message {said}"))));
    }
    let detail = format!("{name}: priority {priority}, message: {message}");
    audit(&state, &supervisor.user, "save_queue", None, Some(detail)).await?;
    let record = QueueRecord { name, priority, message, set_by: supervisor.user.id, set_at: Timestamp::now() };
    state.live_plan.keep_queue(record, &state.desk).await?;
    Ok(Json(in_force(&state)))
}

/// Go back to the configuration's priority and message.
#[utoipa::path(
    delete, path = "/api/v1/queues/{name}", tag = "live", operation_id = "reset_queue",
    params(("name" = String, Path, description = "The queue")),
    responses(
        (status = 200, description = "As they are in force", body = Vec<QueueInForce>),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "It was not changed here", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn reset(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(name): Path<String>,
) -> Result<Json<Vec<QueueInForce>>, ApiError> {
    if !state.live_plan.queues().contains_key(&name) {
        return Err(ApiError::NotFound { what: "change of this queue" });
    }
    audit(&state, &supervisor.user, "reset_queue", None, Some(name.clone())).await?;
    state.live_plan.forget_queue(&name, &state.desk).await?;
    Ok(Json(in_force(&state)))
}

fn in_force(state: &AppState) -> Vec<QueueInForce> {
    let (mut kept, configured) = (state.live_plan.queues(), state.live_plan.configured());
    let queues = state.live_plan.plan().queues.into_iter().zip(configured.queues);
    queues
        .map(|(queue, before)| {
            let change = kept.remove(&queue.name);
            QueueInForce {
                name: queue.name,
                priority: queue.priority,
                message: queue.message,
                is_changed: change.is_some(),
                changed_at: change.as_ref().map(|change| change.set_at),
                changed_by: change.map(|change| change.set_by),
                configured_priority: before.priority,
                configured_message: before.message,
            }
        })
        .collect()
}
