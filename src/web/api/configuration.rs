//! What is in force: the configuration without its secrets, prompts with their versions, the voice.
//!
//! All of it is read here and changed in files; opening hours, which can be changed here, are in [`super::hours`]. What has been written into the file since the start is checked, so that
//! a mistake is seen before the restart that would fail of it.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::audio::units::SampleRate;
use crate::audio::wav;
use crate::config::{Config, ConfigError};
use crate::dialog::prompt::{self, PromptFile};
use crate::dialog::speakable::speakable;
use crate::engine::CancelFlag;
use crate::engine::cpu::Priority;
use crate::said::{Phrase, Said};
use crate::web::auth::{Admin, Require, Supervisor};
use crate::web::error::{ApiError, Body, Problem};
use crate::web::router::AppState;

/// Longest sentence that is spoken to try the voice, in characters: about twenty seconds.
const LONGEST_SENTENCE: usize = 300;
/// Chunks of a spoken sentence on their way.
const CHUNKS: usize = 8;

/// The configuration, as it is and as the file would have it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Configuration {
    /// What is in force, as TOML; secrets are left out.
    toml: String,
    /// The file it was read from; none: only defaults and the environment.
    file: Option<String>,
    /// The file says something else now: it holds from the next start on.
    has_changed: bool,
    /// What is wrong with the file as it is now.
    problems: Vec<ConfigProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigProblem {
    /// `section.key`; empty: the file as a whole.
    key: String,
    /// What was given; secrets are replaced.
    value: String,
    /// What is wrong with it, with the allowed range.
    reason: String,
    /// The same for clients with words of their own.
    phrase: Option<Phrase>,
}

/// The configuration in force, and what is wrong with the file as it is now.
#[utoipa::path(
    get, path = "/api/v1/configuration", tag = "setup", operation_id = "configuration",
    responses((status = 200, description = "The configuration", body = Configuration), (status = 403, description = "Not an administrator", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn configuration(
    State(state): State<Arc<AppState>>,
    _: Require<Admin>,
) -> Result<Json<Configuration>, ApiError> {
    let config = state.config.clone();
    let read = tokio::task::spawn_blocking(move || {
        let toml = config.to_toml();
        let (has_changed, problems) = config.file.as_deref().map_or((false, Vec::new()), |file| compare(&toml, file));
        Configuration { toml, file: config.file.as_ref().map(|file| file.display().to_string()), has_changed, problems }
    });
    read.await.map(Json).map_err(|error| ApiError::File(std::io::Error::other(error)))
}

/// Whether the file would make another configuration than the one in force, and what is wrong with it.
fn compare(in_force: &str, file: &Path) -> (bool, Vec<ConfigProblem>) {
    let whole = |said: Said| {
        let (reason, phrase) = (said.to_string(), said.phrase());
        vec![ConfigProblem { key: String::new(), value: String::new(), reason, phrase }]
    };
    match Config::load(Some(file)) {
        Ok(config) => (config.to_toml() != in_force, Vec::new()),
        Err(ConfigError::Invalid { problems }) => {
            let told = problems.into_iter().map(|problem| ConfigProblem {
                reason: problem.reason.to_string(),
                phrase: problem.reason.phrase(),
                key: problem.key,
                value: problem.value,
            });
            (true, told.collect())
        }
        Err(ref error @ ConfigError::Unreadable { ref source, .. }) => {
            (true, whole(Said::new("file_unreadable", error.to_string()).with("error", source)))
        }
        Err(ref error @ ConfigError::Syntax { ref source }) => {
            (true, whole(Said::new("no_toml", error.to_string()).with("error", source)))
        }
    }
}

/// The prompts in force, with their versions.
#[utoipa::path(
    get, path = "/api/v1/prompts", tag = "setup", operation_id = "list_prompts",
    responses((status = 200, description = "The prompts", body = Vec<PromptFile>), (status = 403, description = "Not a supervisor", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn prompts(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
) -> Result<Json<Vec<PromptFile>>, ApiError> {
    let config = state.config.clone();
    let read = tokio::task::spawn_blocking(move || prompt::files(&config.dialog)).await;
    let read = read.map_err(|error| ApiError::File(std::io::Error::other(error)))?;
    read.map(Json).map_err(|error| ApiError::File(std::io::Error::other(error)))
}

/// A sentence to be heard.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Sentence {
    /// The words: 1 to 300 characters.
    text: String,
}

/// Hear a sentence as callers would.
#[utoipa::path(
    post, path = "/api/v1/voice", tag = "setup", operation_id = "hear_voice",
    request_body = Sentence,
    responses(
        (status = 200, description = "The sound", content_type = "audio/wav", body = [u8]),
        (status = 400, description = "Nothing to say, or too much", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 409, description = "The voice can't speak now", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn voice(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Body(Sentence { text }): Body<Sentence>,
) -> Result<Response, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_SENTENCE {
        return Err(ApiError::BadRequest(
            Said::new("sentence_length", format!("a sentence has 1 to {LONGEST_SENTENCE} characters"))
                .with("most", LONGEST_SENTENCE),
        ));
    }
    let (chunks, mut made) = mpsc::channel::<Arc<[i16]>>(CHUNKS);
    // Callers come first, whatever somebody wants to try.
    let speaking = state.voice.speak(speakable(text), Priority::Background, CancelFlag::new(), chunks);
    let collecting = async {
        let mut pcm = Vec::new();
        while let Some(chunk) = made.recv().await {
            pcm.extend_from_slice(&chunk);
        }
        pcm
    };
    let (spoken, pcm) = tokio::join!(speaking, collecting);
    spoken.map_err(|error| {
        tracing::warn!(%error, "A sentence to try the voice could not be spoken");
        ApiError::Conflict(Said::new("voice_silent", "the voice can't speak at the moment; the server's log says why"))
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("audio/wav")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, wav::bytes(SampleRate::WIDEBAND, &pcm)).into_response())
}
