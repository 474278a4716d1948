//! Signing in and out, and one's own password.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::CookieJar;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::handoff::AgentId;
use crate::store::{UserRecord, UserRole};
use crate::telemetry::Secret;
use crate::web::auth::{AuthError, ClientAddress, NewSession, SignedInAnyway, Via};
use crate::web::error::{ApiError, Body, Problem};
use crate::web::router::AppState;

/// Name and password.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Credentials {
    /// The account's name; case does not matter.
    name: String,
    /// The password.
    #[schema(value_type = String, format = "password")]
    password: Secret<String>,
}

/// The old and the new password.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PasswordChange {
    /// The password so far.
    #[schema(value_type = String, format = "password")]
    old: Secret<String>,
    /// The new one: at least 10 characters, not the account's name.
    #[schema(value_type = String, format = "password")]
    new: Secret<String>,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// The account's id; the same as the agent's.
    id: AgentId,
    /// The account's name.
    name: String,
    /// What it may do.
    role: UserRole,
    /// True until a one-time password has been replaced: nothing else works before.
    must_change_password: bool,
}

impl From<UserRecord> for Me {
    fn from(user: UserRecord) -> Self {
        Self { id: user.id, name: user.name, role: user.role, must_change_password: user.must_change_password }
    }
}

/// Sign in. Sets the session cookie, good for 12 hours.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", operation_id = "sign_in",
    request_body = Credentials,
    responses(
        (status = 200, description = "Signed in", body = Me),
        (status = 401, description = "Name or password is wrong", body = Problem),
        (status = 429, description = "Too many attempts; `Retry-After` says when to try again", body = Problem),
    ),
    extensions(("x-least-role" = json!("anyone"))),
)]
pub(super) async fn sign_in(
    State(state): State<Arc<AppState>>,
    client: ClientAddress,
    Body(credentials): Body<Credentials>,
) -> Result<(CookieJar, Json<Me>), ApiError> {
    let session = state.auth.sign_in(&credentials.name, credentials.password, client.ip).await?;
    tracing::info!(user.id = %session.user.id, "Signed in");
    Ok(answer(session))
}

/// Sign out. The cookie or token sent stops working.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session", operation_id = "sign_out",
    responses((status = 204, description = "Signed out"), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn sign_out(
    State(state): State<Arc<AppState>>,
    session: SignedInAnyway,
) -> Result<(CookieJar, StatusCode), ApiError> {
    let forget = state.auth.sign_out(&session).await?;
    Ok((CookieJar::new().add(forget), StatusCode::NO_CONTENT))
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session", operation_id = "who_am_i",
    responses((status = 200, description = "You", body = Me), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn who_am_i(session: SignedInAnyway) -> Json<Me> {
    Json(session.user.into())
}

/// Change one's own password. Ends all other sign-ins of the account and sets a new cookie.
#[utoipa::path(
    post, path = "/api/v1/password", tag = "session", operation_id = "change_password",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Changed", body = Me),
        (status = 401, description = "Not signed in, or the old password is wrong", body = Problem),
        (status = 403, description = "A key has no password", body = Problem),
        (status = 422, description = "The new password is too weak", body = Problem),
        (status = 429, description = "Too many attempts", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn change_password(
    State(state): State<Arc<AppState>>,
    session: SignedInAnyway,
    Body(change): Body<PasswordChange>,
) -> Result<(CookieJar, Json<Me>), ApiError> {
    if session.via == Via::Key {
        return Err(AuthError::NotForKeys.into());
    }
    let session = state.auth.change_password(&session.user, change.old, change.new).await?;
    tracing::info!(user.id = %session.user.id, "Changed a password");
    Ok(answer(session))
}

fn answer(session: NewSession) -> (CookieJar, Json<Me>) {
    (CookieJar::new().add(session.cookie), Json(session.user.into()))
}
