//! What the signed-in agent did today, for themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::store::AgentDay;
use crate::web::auth::SignedIn;
use crate::web::error::{ApiError, Problem, Query};
use crate::web::router::AppState;

/// Since when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// The beginning of the day where the agent is (RFC 3339).
    #[param(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// What you did since a moment: offers, conversations.
#[utoipa::path(
    get, path = "/api/v1/day", tag = "session", operation_id = "my_day",
    params(Since),
    responses((status = 200, description = "Your counts", body = AgentDay), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn day(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Query(Since { since }): Query<Since>,
) -> Result<Json<AgentDay>, ApiError> {
    Ok(Json(state.store.agent_day(&user.id, since).await?))
}
