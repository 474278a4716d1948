//! Voice messages and callback wishes: tasks for whoever is there.
//!
//! The number of an open message is shown, since calling back is the task; that of one taken care of is not.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{mask, recordings};
use crate::said::Said;
use crate::store::{MAX_LIMIT, MessageRecord};
use crate::web::auth::SignedIn;
use crate::web::error::{ApiError, Path, Problem, Query};
use crate::web::router::AppState;

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only those still to be done; true unless told.
    open: Option<bool>,
    /// How many at most: 1 to 200, 200 unless told.
    limit: Option<u32>,
}

/// Messages, newest first.
#[utoipa::path(
    get, path = "/api/v1/messages", tag = "messages", operation_id = "list_messages",
    params(Filter),
    responses((status = 200, description = "The messages", body = Vec<MessageRecord>), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    _: SignedIn,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<MessageRecord>>, ApiError> {
    let limit = filter.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    let messages = state.store.list_messages(filter.open.unwrap_or(true), limit).await?;
    Ok(Json(messages.into_iter().map(shown).collect()))
}

/// Say that a message has been taken care of. The first one to say so is recorded.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/done", tag = "messages", operation_id = "finish_message",
    params(("id" = Uuid, Path, description = "The message")),
    responses(
        (status = 200, description = "Done, by you", body = MessageRecord),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such message", body = Problem),
        (status = 409, description = "Somebody else has taken care of it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn done(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<Json<MessageRecord>, ApiError> {
    state.store.finish_message(id, &user.id, Timestamp::now()).await?;
    state.callbacks.done(id).await;
    let message = find(&state, id).await?;
    if message.done_by.as_ref() != Some(&user.id) {
        return Err(ApiError::Conflict(Said::new("message_taken", "somebody else has taken care of this message")));
    }
    Ok(Json(shown(message)))
}

/// The recording of a voice message. Ranges work.
#[utoipa::path(
    get, path = "/api/v1/messages/{id}/audio", tag = "messages", operation_id = "get_message_audio",
    params(("id" = Uuid, Path, description = "The message")),
    responses(
        (status = 200, description = "The recording", content_type = "audio/wav", body = [u8]),
        (status = 206, description = "The range asked for", content_type = "audio/wav", body = [u8]),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such message, or it has no recording", body = Problem),
        (status = 416, description = "The range lies outside the recording"),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn audio(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<Uuid>,
    request: Request,
) -> Result<Response, ApiError> {
    let file = find(&state, id).await?.recording.ok_or(ApiError::NotFound { what: "recording" })?;
    tracing::info!(user.id = %user.id, message.id = %id, "Sent a message's recording");
    recordings::send(&state.recordings, &file, &format!("message-{id}.wav"), request).await
}

async fn find(state: &AppState, id: Uuid) -> Result<MessageRecord, ApiError> {
    state.store.get_message(id).await?.ok_or(ApiError::NotFound { what: "message" })
}

fn shown(mut message: MessageRecord) -> MessageRecord {
    if message.done_at.is_some() {
        message.number = message.number.as_ref().map(mask);
    }
    message
}
