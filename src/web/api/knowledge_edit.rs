//! Changing the knowledge base: an entry's text, what it would make of questions, and keeping it.
//!
//! A preview goes the way of a call: the same search and judgment over all entries, with the one that is edited in its
//! place. Only a text that is an entry is kept, whole or not at all.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::knowledge::{HITS, KnowledgeHits, LONGEST_QUESTION, hits_of};
use super::review::{self, write_whole};
use crate::dialog::knowledge::{self, Entry, KnowledgeError};
use crate::said::Said;
use crate::web::auth::{Require, Supervisor};
use crate::web::error::{ApiError, Body, Path, Problem};
use crate::web::router::AppState;

/// Longest text of an entry, in bytes.
const LONGEST_TEXT: usize = 40_000;
/// Most questions of one preview.
const QUESTIONS: usize = 10;
/// Previews index all entries anew: one at a time, so that calls keep their cores.
static PREVIEWS: Semaphore = Semaphore::const_new(1);

/// An entry as it is written.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryText {
    /// Which.
    id: String,
    /// Front matter and body.
    text: String,
    /// Whether it can be kept: the configuration names a folder.
    may_keep: bool,
}

/// An entry's text, to be edited.
#[utoipa::path(
    get, path = "/api/v1/knowledge/{id}", tag = "knowledge", operation_id = "get_knowledge",
    params(("id" = String, Path, description = "The entry")),
    responses(
        (status = 200, description = "The text", body = EntryText),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such entry", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Path(id): Path<String>,
) -> Result<Json<EntryText>, ApiError> {
    let folder = state.config.dialog.knowledge_dir.clone();
    let may_keep = !folder.as_os_str().is_empty();
    check_id(&id).map_err(|_| ApiError::NotFound { what: "entry" })?;
    let wanted = id.clone();
    let text = blocking(move || knowledge::source(&folder, &wanted)).await?.map_err(ApiError::File)?;
    let text = text.ok_or(ApiError::NotFound { what: "entry" })?;
    Ok(Json(EntryText { id, text, may_keep }))
}

/// A text, and questions to try it with.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Draft {
    /// The entry's id: letters, digits and `-`.
    id: String,
    /// Front matter and body.
    text: String,
    /// Up to ten questions in callers' words.
    #[serde(default)]
    questions: Vec<String>,
}

/// What is wrong with a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextProblem {
    /// In which line, from 1.
    line: usize,
    /// What.
    reason: String,
}

/// What would be found for a question.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TriedQuestion {
    /// The question.
    question: String,
    /// What would be found.
    found: KnowledgeHits,
}

/// What a draft would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Preview {
    /// What is wrong with the text; nothing was tried then.
    problem: Option<TextProblem>,
    /// By question.
    answers: Vec<TriedQuestion>,
}

/// Try a draft: what would be answered if it were in force. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/knowledge/preview", tag = "knowledge", operation_id = "preview_knowledge",
    request_body = Draft,
    responses(
        (status = 200, description = "What would be answered", body = Preview),
        (status = 400, description = "Too long, or an id that can't be a file's name", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn preview(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Body(draft): Body<Draft>,
) -> Result<Json<Preview>, ApiError> {
    let entry = match parse(&draft.id, &draft.text)? {
        Ok(entry) => entry,
        Err(problem) => return Ok(Json(Preview { problem: Some(problem), answers: Vec::new() })),
    };
    let _turn = PREVIEWS.acquire().await.expect("the semaphore is never closed");
    let (knowledge, dialog) = (state.knowledge.current(), state.config.dialog.clone());
    let tried = blocking(move || {
        let trial = knowledge.trial(entry)?;
        let asked = draft.questions.iter().map(|question| question.trim()).filter(|question| !question.is_empty());
        let answers = asked.take(QUESTIONS).map(|question| {
            let question: String = question.chars().take(LONGEST_QUESTION).collect();
            TriedQuestion { found: hits_of(trial.search(&question, HITS), &dialog), question }
        });
        Ok::<_, KnowledgeError>(answers.collect())
    });
    let answers = tried.await?.map_err(|error| ApiError::BadRequest(Said::new("entry", error.to_string())))?;
    Ok(Json(Preview { problem: None, answers }))
}

/// A text to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewText {
    /// Front matter and body.
    text: String,
}

/// Keep an entry in the folder `dialog.knowledge_dir`, new or in place of what it was.
#[utoipa::path(
    put, path = "/api/v1/knowledge/{id}", tag = "knowledge", operation_id = "put_knowledge",
    params(("id" = String, Path, description = "The entry: letters, digits and `-`")),
    request_body = NewText,
    responses(
        (status = 200, description = "The text as it is kept", body = EntryText),
        (status = 400, description = "Not an entry; the message says in which line", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 409, description = "The configuration names no folder", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn put(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<String>,
    Body(NewText { text }): Body<NewText>,
) -> Result<Json<EntryText>, ApiError> {
    parse(&id, &text)?.map_err(|TextProblem { line, reason }| {
        ApiError::BadRequest(
            Said::new("entry_line", format!("line {line}: {reason}")).with("line", line).with("reason", reason),
        )
    })?;
    let folder: PathBuf = state.config.dialog.knowledge_dir.clone();
    if folder.as_os_str().is_empty() {
        return Err(ApiError::Conflict(Said::new(
            "no_knowledge_folder",
            "no folder is configured for entries (`dialog.knowledge_dir`)",
        )));
    }
    review::audit(&state, &supervisor.user, "save_knowledge", None, Some(id.clone())).await?;
    let (name, bytes) = (format!("{id}.md"), text.clone().into_bytes());
    blocking(move || write_whole(FilePath::new(&folder), &name, &bytes)).await?.map_err(ApiError::File)?;
    Ok(Json(EntryText { id, text, may_keep: true }))
}

/// The entry of a text, or what is wrong with it.
fn parse(id: &str, text: &str) -> Result<Result<Entry, TextProblem>, ApiError> {
    check_id(id)?;
    if text.len() > LONGEST_TEXT {
        return Err(ApiError::TooLarge(
            Said::new("entry_length", format!("an entry has at most {LONGEST_TEXT} bytes")).with("most", LONGEST_TEXT),
        ));
    }
    match knowledge::parse(&format!("{id}.md"), id, text) {
        Ok(entry) => Ok(Ok(entry)),
        Err(KnowledgeError::Invalid { line, reason, .. }) => Ok(Err(TextProblem { line, reason })),
        Err(error) => Err(ApiError::BadRequest(Said::new("entry", error.to_string()))),
    }
}

/// A file's name in every file system, and no path.
fn check_id(id: &str) -> Result<(), ApiError> {
    let plain = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if id.is_empty() || id.len() > 64 || !plain || id.starts_with('-') {
        return Err(ApiError::BadRequest(Said::new(
            "entry_id",
            "an entry's id has 1 to 64 characters out of a-z, 0-9 and `-`",
        )));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::File(std::io::Error::other(error)))
}
