//! What reviewers do with calls that are over: comments, scores, scenarios, what may be passed on, and masked numbers
//! shown for a reason.
//!
//! Whatever takes personal data out of the records is on the audit list before it is given.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::calls::{sees_all, was_taken_by};
use crate::call::CallId;
use crate::cli::eval::scenario::check_text;
use crate::handoff::AgentId;
use crate::review::{scenario, transcript};
use crate::said::Said;
use crate::store::{AuditRecord, CallDetail, CommentRecord, MeanScores, Rubric, ScoreRecord, UserRecord};
use crate::telemetry::Pii;
use crate::telephony::protocol::Speaker;
use crate::web::auth::{Require, SignedIn, Supervisor};
use crate::web::error::{ApiError, Body, Path, Problem, Query};
use crate::web::router::AppState;

/// Longest comment, in characters.
const LONGEST_COMMENT: usize = 4_000;
/// Longest and shortest reason for seeing something masked, in characters.
const REASON: std::ops::RangeInclusive<usize> = 3..=200;
/// Longest scenario, in bytes.
const LONGEST_SCENARIO: usize = 50_000;

/// A comment to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewComment {
    /// The words: 1 to 4,000 characters.
    text: String,
    /// The moment of the call it is about, in milliseconds; none: all of it.
    at_ms: Option<u32>,
}

/// Comment on a call. Agents may on the calls they took.
#[utoipa::path(
    post, path = "/api/v1/calls/{id}/comments", tag = "review", operation_id = "add_comment",
    params(("id" = CallId, Path, description = "The call")),
    request_body = NewComment,
    responses(
        (status = 201, description = "The comment", body = CommentRecord),
        (status = 400, description = "Empty or too long", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such call, or an agent who did not take it", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn add_comment(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<CallId>,
    Body(comment): Body<NewComment>,
) -> Result<(StatusCode, Json<CommentRecord>), ApiError> {
    let text = comment.text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_COMMENT {
        return Err(ApiError::BadRequest(
            Said::new("comment_length", format!("a comment has 1 to {LONGEST_COMMENT} characters"))
                .with("most", LONGEST_COMMENT),
        ));
    }
    seen_by(&state, &user, id).await?;
    let comment = CommentRecord {
        id: Uuid::now_v7(),
        call_id: id,
        author_id: user.id,
        at: now(),
        at_ms: comment.at_ms,
        text: text.to_owned(),
    };
    state.store.put_comment(&comment).await?;
    Ok((StatusCode::CREATED, Json(comment)))
}

/// Points for one part of a call.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewScore {
    /// The agent whose part it is; none: the assistant's.
    agent_id: Option<AgentId>,
    /// The points.
    #[serde(flatten)]
    points: Rubric,
}

/// Score a part of a call: the assistant's or an agent's, on the same rubric. Again replaces one's own points.
#[utoipa::path(
    put, path = "/api/v1/calls/{id}/scores", tag = "review", operation_id = "put_score",
    params(("id" = CallId, Path, description = "The call")),
    request_body = NewScore,
    responses(
        (status = 200, description = "The score", body = ScoreRecord),
        (status = 400, description = "Points outside 1 to 5, or none at all", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call, or nobody of this id spoke in it", body = Problem),
        (status = 409, description = "Nobody scores a conversation of their own", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn put_score(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
    Body(score): Body<NewScore>,
) -> Result<Json<ScoreRecord>, ApiError> {
    let points = score.points.points();
    if points.iter().all(Option::is_none) || points.iter().flatten().any(|points| !(1..=5).contains(points)) {
        return Err(ApiError::BadRequest(Said::new("points", "points are 1 to 5, and at least one is given")));
    }
    let detail = find(&state, id).await?;
    if !spoke(&detail, score.agent_id.as_ref()) {
        return Err(ApiError::NotFound { what: "this part of the call" });
    }
    if score.agent_id.as_ref() == Some(&supervisor.user.id) {
        return Err(ApiError::Conflict(Said::new("own_conversation", "nobody scores a conversation of their own")));
    }
    let score =
        ScoreRecord { call_id: id, agent_id: score.agent_id, by: supervisor.user.id, at: now(), points: score.points };
    state.store.put_score(&score).await?;
    Ok(Json(score))
}

/// From when to when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// Scores given then or later (RFC 3339); all unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Scores given before (RFC 3339); all unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// The assistant beside people, on the same rubric: means of all scores.
#[utoipa::path(
    get, path = "/api/v1/scores", tag = "review", operation_id = "mean_scores",
    params(Span),
    responses((status = 200, description = "The means", body = MeanScores), (status = 403, description = "Not a supervisor", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn mean_scores(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(span): Query<Span>,
) -> Result<Json<MeanScores>, ApiError> {
    let since = span.since.unwrap_or(Timestamp::UNIX_EPOCH);
    let until = span.until.unwrap_or(Timestamp::MAX);
    Ok(Json(state.store.mean_scores(since, until).await?))
}

/// What was said in a call as a text without numbers, names and addresses, to pass on. The recording is not part of it.
#[utoipa::path(
    get, path = "/api/v1/calls/{id}/redacted", tag = "review", operation_id = "get_redacted",
    params(("id" = CallId, Path, description = "The call")),
    responses(
        (status = 200, description = "The text", content_type = "text/plain", body = String),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn redacted(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
) -> Result<Response, ApiError> {
    let detail = find(&state, id).await?;
    audit(&state, &supervisor.user, "download_redacted", Some(id), None).await?;
    Ok(file("text/plain; charset=utf-8", &format!("call-{id}-redacted.txt"), transcript::redacted(&detail)))
}

/// A call as a scenario for `warmline eval`, personal details made up anew. Where it can be kept, `x-kept-in` says.
#[utoipa::path(
    get, path = "/api/v1/calls/{id}/scenario", tag = "review", operation_id = "get_scenario",
    params(("id" = CallId, Path, description = "The call")),
    responses(
        (status = 200, description = "The file", content_type = "application/yaml", body = String),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call", body = Problem),
        (status = 409, description = "The caller did nothing before a person took over", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn get_scenario(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
) -> Result<Response, ApiError> {
    let detail = find(&state, id).await?;
    let text = scenario::scenario(&detail).ok_or(ApiError::Conflict(Said::new(
        "nothing_to_play",
        "the caller did nothing before a person took over: there is nothing to play",
    )))?;
    audit(&state, &supervisor.user, "make_scenario", Some(id), None).await?;
    Ok(file("application/yaml", &scenario_file(id), text))
}

/// A scenario to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ScenarioText {
    /// The YAML, as it was made or changed.
    yaml: String,
}

/// Where something was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Kept {
    /// The file's name in the folder.
    file: String,
    /// How many scenarios it has.
    scenarios: usize,
}

/// Keep a call's scenario in the folder `review.scenarios_dir` of the configuration. Again replaces it.
#[utoipa::path(
    put, path = "/api/v1/calls/{id}/scenario", tag = "review", operation_id = "keep_scenario",
    params(("id" = CallId, Path, description = "The call")),
    request_body = ScenarioText,
    responses(
        (status = 200, description = "Where it is", body = Kept),
        (status = 400, description = "It can't be played; the message says why", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call", body = Problem),
        (status = 409, description = "The configuration names no folder", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn keep_scenario(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
    Body(ScenarioText { yaml }): Body<ScenarioText>,
) -> Result<Json<Kept>, ApiError> {
    let scenarios = if yaml.len() > LONGEST_SCENARIO {
        Err(format!("it is longer than {LONGEST_SCENARIO} bytes"))
    } else {
        check_text(&yaml)
    };
    let scenarios = scenarios.map_err(|reason| {
        ApiError::BadRequest(
            Said::new("scenario", format!("this scenario can't be played: {reason}")).with("reason", reason),
        )
    })?;
    find(&state, id).await?;
    let folder = state.config.review.scenarios_dir.clone();
    if folder.as_os_str().is_empty() {
        return Err(ApiError::Conflict(Said::new(
            "no_scenarios_folder",
            "no folder is configured for scenarios (`review.scenarios_dir`)",
        )));
    }
    let name = scenario_file(id);
    audit(&state, &supervisor.user, "save_scenario", Some(id), Some(name.clone())).await?;
    let written = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || write_whole(&folder, &name, yaml.as_bytes())).await
    };
    written.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(ApiError::File)?;
    Ok(Json(Kept { file: name, scenarios }))
}

/// What to show, and why.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Reveal {
    /// Which detail.
    field: Field,
    /// Why it is needed: 3 to 200 characters, kept on the audit list.
    reason: String,
}

/// A masked detail of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// The caller's number.
    From,
    /// The number called.
    To,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// A detail as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revealed {
    /// The detail; none where the provider gave none.
    #[schema(value_type = Option<String>)]
    value: Option<Pii<String>>,
}

/// Show a masked number, for a reason that goes on the audit list. Agents may in the calls they take or took, live ones
/// too. Ten at once, then one every three minutes.
#[utoipa::path(
    post, path = "/api/v1/calls/{id}/reveal", tag = "review", operation_id = "reveal",
    params(("id" = CallId, Path, description = "The call")),
    request_body = Reveal,
    responses(
        (status = 200, description = "The detail", body = Revealed),
        (status = 400, description = "No reason was given", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such call, or an agent who did not take it", body = Problem),
        (status = 429, description = "Too many in a short time", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn reveal(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<CallId>,
    Body(Reveal { field, reason }): Body<Reveal>,
) -> Result<Json<Revealed>, ApiError> {
    let reason = reason.trim();
    if !REASON.contains(&reason.chars().count()) {
        return Err(ApiError::BadRequest(Said::new("reveal_reason", "please say in a few words why you need it")));
    }
    let detail = seen_by(&state, &user, id).await?;
    state.auth.admit_reveal(&user)?;
    audit(&state, &user, "reveal", Some(id), Some(format!("{}: {reason}", field.name()))).await?;
    let value = match field {
        Field::From => detail.call.from,
        Field::To => detail.call.to,
    };
    Ok(Json(Revealed { value }))
}

async fn find(state: &AppState, id: CallId) -> Result<CallDetail, ApiError> {
    state.store.get_call(id).await?.ok_or(ApiError::NotFound { what: "call" })
}

/// The call, if this account may see it.
async fn seen_by(state: &AppState, user: &UserRecord, id: CallId) -> Result<CallDetail, ApiError> {
    let detail = find(state, id).await?;
    if sees_all(user) || was_taken_by(&detail, &user.id) {
        Ok(detail)
    } else {
        Err(ApiError::NotFound { what: "call" })
    }
}

/// Whether this agent, or the assistant, spoke in the call.
fn spoke(detail: &CallDetail, agent: Option<&AgentId>) -> bool {
    match agent {
        None => detail.turns.iter().any(|turn| turn.who == Speaker::Assistant),
        Some(agent) => {
            let turns = detail.turns.iter().filter_map(|turn| turn.agent_id.as_ref());
            let handoffs = detail.handoffs.iter().filter_map(|handoff| handoff.agent_id.as_ref());
            turns.chain(handoffs).collect::<HashSet<_>>().contains(agent)
        }
    }
}

/// Written at once, not by the scribe: what is not on the list is not given.
pub(super) async fn audit(
    state: &AppState,
    user: &UserRecord,
    action: &'static str,
    call: Option<CallId>,
    detail: Option<String>,
) -> Result<(), ApiError> {
    tracing::info!(user.id = %user.id, action, "On the audit list");
    let audit = AuditRecord {
        id: Uuid::now_v7(),
        at: now(),
        user_id: user.id.clone(),
        action: action.to_owned(),
        call_id: call,
        detail,
    };
    Ok(state.store.put_audit(&audit).await?)
}

/// Whole microseconds, as the store keeps them, so that an answer and the record are the same.
fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default()
}

fn scenario_file(id: CallId) -> String {
    format!("call-{id}.yaml")
}

fn file(media_type: &'static str, name: &str, body: String) -> Response {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).expect("ids are plain letters");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, body).into_response()
}

/// All of it or nothing, also when the process dies meanwhile.
pub(super) fn write_whole(folder: &FilePath, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    Ok(())
}
