//! Keys for programs, for administrators.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::review::audit;
use crate::said::Said;
use crate::store::{KeyRecord, UserRole};
use crate::web::auth::{Admin, AuthError, Require, Via};
use crate::web::error::{ApiError, Body, Path, Problem};
use crate::web::router::AppState;

/// Longest name, in characters.
const LONGEST_NAME: usize = 60;
/// Days a key may be good for.
const DAYS: std::ops::RangeInclusive<u32> = 1..=730;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewKey {
    /// What it is for: 1 to 60 characters.
    name: String,
    /// What it may do.
    role: UserRole,
    /// Days it is good for: 1 to 730.
    #[schema(minimum = 1, maximum = 730)]
    days: u32,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    /// What is kept of it.
    key: KeyRecord,
    /// The key. It is not kept and can't be shown again.
    token: String,
}

/// All keys, the newest first, also those that are good no more.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys",
    responses(
        (status = 200, description = "The keys", body = Vec<KeyRecord>),
        (status = 403, description = "Not an administrator", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    _: Require<Admin>,
) -> Result<Json<Vec<KeyRecord>>, ApiError> {
    Ok(Json(state.store.list_keys().await?))
}

/// Make a key for a program, sent as `Authorization: Bearer …`. It goes with your account. Only people make keys.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys", operation_id = "make_key",
    request_body = NewKey,
    responses(
        (status = 201, description = "Made; the key is in no other answer", body = Made),
        (status = 400, description = "No name, or not 1 to 730 days", body = Problem),
        (status = 403, description = "Not an administrator, or a key itself", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn make(
    State(state): State<Arc<AppState>>,
    admin: Require<Admin>,
    Body(NewKey { name, role, days }): Body<NewKey>,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    // Who has got hold of a key must not be able to outlive its end.
    if admin.via == Via::Key {
        return Err(AuthError::NotForKeys.into());
    }
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(ApiError::BadRequest(
            Said::new("key_name", format!("a key has a name of 1 to {LONGEST_NAME} characters"))
                .with("most", LONGEST_NAME),
        ));
    }
    if !DAYS.contains(&days) {
        return Err(ApiError::BadRequest(
            Said::new("key_days", format!("a key is good for {} to {} days", DAYS.start(), DAYS.end()))
                .with("least", DAYS.start())
                .with("most", DAYS.end()),
        ));
    }
    let detail = format!("{name} ({}, {days} days)", role.as_str());
    audit(&state, &admin.user, "make_key", None, Some(detail)).await?;
    let made = state.auth.make_key(&admin.user, name, role, DAY * days).await?;
    Ok((StatusCode::CREATED, Json(Made { key: made.record, token: made.token.expose().clone() })))
}

/// End a key at once.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = Uuid, Path, description = "The key")),
    responses(
        (status = 200, description = "Ended; the first time counts", body = KeyRecord),
        (status = 403, description = "Not an administrator", body = Problem),
        (status = 404, description = "No such key", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn revoke(
    State(state): State<Arc<AppState>>,
    admin: Require<Admin>,
    Path(id): Path<Uuid>,
) -> Result<Json<KeyRecord>, ApiError> {
    let key = state.auth.revoke_key(id).await?.ok_or(ApiError::NotFound { what: "key" })?;
    audit(&state, &admin.user, "revoke_key", None, Some(format!("{} (…{})", key.name, key.ending))).await?;
    Ok(Json(key))
}
