//! Accounts, for administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::handoff::AgentId;
use crate::store::UserRole;
use crate::web::auth::{Admin, OneTimePassword, Require};
use crate::web::error::{ApiError, Body, Path, Problem};
use crate::web::router::AppState;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    /// Its id; the same as the agent's.
    id: AgentId,
    /// Sign-in name.
    name: String,
    /// What it may do.
    role: UserRole,
    /// The one-time password has not been replaced yet.
    must_change_password: bool,
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewUser {
    /// Sign-in name: 2 to 64 characters out of a-z, 0-9, `.`, `-`, `_`, `@`.
    name: String,
    /// What it may do.
    role: UserRole,
}

/// A password that works until it is replaced at the next sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Password {
    /// The account.
    name: String,
    /// The password. It is not kept and can't be shown again.
    one_time_password: String,
}

impl From<OneTimePassword> for Password {
    fn from(password: OneTimePassword) -> Self {
        Self { name: password.name, one_time_password: password.password.expose().clone() }
    }
}

/// All accounts, by name.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", operation_id = "list_users",
    responses((status = 200, description = "The accounts", body = Vec<User>), (status = 403, body = Problem, description = "Not an administrator")),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn list(State(state): State<Arc<AppState>>, _: Require<Admin>) -> Result<Json<Vec<User>>, ApiError> {
    let users = state.store.list_users().await?.into_iter().map(|user| User {
        id: user.id,
        name: user.name,
        role: user.role,
        must_change_password: user.must_change_password,
    });
    Ok(Json(users.collect()))
}

/// Make an account.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", operation_id = "add_user",
    request_body = NewUser,
    responses(
        (status = 201, description = "Made; the password is in no other answer", body = Password),
        (status = 403, body = Problem, description = "Not an administrator"),
        (status = 409, body = Problem, description = "The name is taken"),
        (status = 422, body = Problem, description = "The name can't be used"),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn add(
    State(state): State<Arc<AppState>>,
    admin: Require<Admin>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Password>), ApiError> {
    let (user, password) = state.auth.accounts().add(&new.name, new.role).await?;
    tracing::info!(user.id = %user.id, by = %admin.user.id, "Made an account");
    Ok((StatusCode::CREATED, Json(password.into())))
}

/// Remove an account with its sessions and tokens. What the person did stays on record.
#[utoipa::path(
    delete, path = "/api/v1/users/{name}", tag = "users", operation_id = "remove_user",
    params(("name" = String, Path, description = "Sign-in name")),
    responses(
        (status = 204, description = "Removed"),
        (status = 403, body = Problem, description = "Not an administrator"),
        (status = 404, body = Problem, description = "There is no such account"),
        (status = 409, body = Problem, description = "It is the last administrator"),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    admin: Require<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let removed = state.auth.accounts().remove(&name).await?;
    tracing::info!(user.id = %removed.id, by = %admin.user.id, "Removed an account");
    Ok(StatusCode::NO_CONTENT)
}

/// Give an account a new one-time password. Ends its sign-ins.
#[utoipa::path(
    post, path = "/api/v1/users/{name}/password", tag = "users", operation_id = "reset_password",
    params(("name" = String, Path, description = "Sign-in name")),
    responses(
        (status = 200, body = Password, description = "The password is in no other answer"),
        (status = 403, body = Problem, description = "Not an administrator"),
        (status = 404, body = Problem, description = "There is no such account"),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn reset_password(
    State(state): State<Arc<AppState>>,
    admin: Require<Admin>,
    Path(name): Path<String>,
) -> Result<Json<Password>, ApiError> {
    let password = state.auth.accounts().reset(&name).await?;
    tracing::info!(by = %admin.user.id, "Reset a password");
    Ok(Json(password.into()))
}
