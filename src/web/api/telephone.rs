//! Agents who take calls at their own telephones.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::telemetry::Pii;
use crate::web::auth::SignedIn;
use crate::web::error::{ApiError, Problem};
use crate::web::router::AppState;

/// Take calls at your telephone from now on, the one `handoff.telephones` has for you. Again after an offer you missed: you are
/// back. A console of yours that connects later takes over.
#[utoipa::path(
    post, path = "/api/v1/telephone/on", tag = "session", operation_id = "telephone_on",
    responses(
        (status = 204, description = "You are available there"),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "There is no telephone for you", body = Problem),
        (status = 409, description = "No calls can be made: no provider is configured for it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn on(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
) -> Result<StatusCode, ApiError> {
    let number = state.config.handoff.telephones.get(&user.name).ok_or(ApiError::NotFound { what: "telephone" })?;
    let number = Pii::new(number.clone());
    let phones = state.phones.as_ref().ok_or(ApiError::Conflict("no calls can be made through any provider"))?;
    phones.on(user, number).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Take no calls at your telephone any more. A call you are on ends.
#[utoipa::path(
    post, path = "/api/v1/telephone/off", tag = "session", operation_id = "telephone_off",
    responses((status = 204, description = "You are signed out there"), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn off(State(state): State<Arc<AppState>>, SignedIn { user, .. }: SignedIn) -> StatusCode {
    if let Some(phones) = &state.phones {
        phones.off(user.id).await;
    }
    StatusCode::NO_CONTENT
}
