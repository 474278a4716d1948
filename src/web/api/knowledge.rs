//! The knowledge base: what the assistant may say, and what it would find for a question.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::config::DialogConfig;
use crate::dialog::knowledge::{Answer, Entry, Hit};
use crate::library::LibraryState;
use crate::web::auth::SignedIn;
use crate::web::error::{ApiError, Problem, Query};
use crate::web::router::AppState;

/// Longest question that is searched for; nobody says more in a breath.
pub(super) const LONGEST_QUESTION: usize = 500;
pub(super) const HITS: usize = 5;

/// One entry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnowledgeEntry {
    /// Names it in records.
    id: String,
    /// What it is about.
    title: String,
    /// The approved sentences, the main one first.
    answers: Vec<ApprovedAnswer>,
    /// All the facts.
    body: String,
    /// Its language; none: any.
    language: Option<String>,
    /// Whom it is for; none: everybody. What is not for callers is never spoken.
    audience: Option<String>,
}

/// Approved words and the questions they answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApprovedAnswer {
    /// Spoken word for word.
    approved: String,
    /// How callers ask for them.
    also_asked: Vec<String>,
}

impl From<&Entry> for KnowledgeEntry {
    fn from(entry: &Entry) -> Self {
        let answers = entry.answers.iter().map(|Answer { approved, also_asked }| ApprovedAnswer {
            approved: approved.clone(),
            also_asked: also_asked.clone(),
        });
        Self {
            id: entry.id.clone(),
            title: entry.title.clone(),
            answers: answers.collect(),
            body: entry.body.clone(),
            language: entry.language.clone(),
            audience: entry.audience.clone(),
        }
    }
}

/// An entry found for a question.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnowledgeHit {
    /// Which.
    entry_id: String,
    /// What it is about.
    title: String,
    /// The probability that it has the answer.
    score: f32,
    /// The approved sentence nearest to the question.
    approved: Option<String>,
    /// The probability that this sentence, spoken as it stands, is right.
    approved_score: f32,
}

/// What was found, and from where on it is spoken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KnowledgeHits {
    /// Best first.
    hits: Vec<KnowledgeHit>,
    /// An approved sentence at least this probable is spoken word for word.
    verbatim_score: f32,
    /// Below this an entry is no answer.
    min_score: f32,
}

/// A question in the caller's words.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The words; 500 characters count.
    q: String,
}

/// All entries.
#[utoipa::path(
    get, path = "/api/v1/knowledge", tag = "knowledge", operation_id = "list_knowledge",
    responses((status = 200, description = "The entries", body = Vec<KnowledgeEntry>), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(State(state): State<Arc<AppState>>, _: SignedIn) -> Json<Vec<KnowledgeEntry>> {
    Json(state.knowledge.current().entries().iter().map(KnowledgeEntry::from).collect())
}

/// What is in force, and why newer content is not.
#[utoipa::path(
    get, path = "/api/v1/knowledge/state", tag = "knowledge", operation_id = "knowledge_state",
    responses((status = 200, description = "The version in force", body = LibraryState), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn state(State(state): State<Arc<AppState>>, _: SignedIn) -> Json<LibraryState> {
    Json(state.knowledge.state())
}

/// What fits a question.
#[utoipa::path(
    get, path = "/api/v1/knowledge/search", tag = "knowledge", operation_id = "search_knowledge",
    params(Question),
    responses((status = 200, description = "What was found", body = KnowledgeHits), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn search(
    State(state): State<Arc<AppState>>,
    _: SignedIn,
    Query(Question { q }): Query<Question>,
) -> Result<Json<KnowledgeHits>, ApiError> {
    let question: String = q.chars().take(LONGEST_QUESTION).collect();
    // People find what is for them too.
    let knowledge = state.knowledge.current();
    // With an embedding model it is some milliseconds of work, which calls must not wait for.
    let hits = tokio::task::spawn_blocking(move || knowledge.search(&question, HITS)).await.unwrap_or_default();
    Ok(Json(hits_of(hits, &state.config.dialog)))
}

/// As people read it.
pub(super) fn hits_of(hits: Vec<Hit>, dialog: &DialogConfig) -> KnowledgeHits {
    let hits = hits.into_iter().map(|Hit { entry_id, title, score, approved, approved_score, .. }| KnowledgeHit {
        entry_id,
        title,
        score,
        approved,
        approved_score,
    });
    KnowledgeHits { hits: hits.collect(), verbatim_score: dialog.verbatim_score, min_score: dialog.min_score }
}
