//! Whether this process should get calls: `/healthz` (it runs), `/readyz` (send it calls), `/metrics`.
//!
//! A server whose recognition, model or voice has failed is still ready: its callers hear so and reach a person, which
//! is better than not being answered. Not ready is a server that is starting, draining, or can't keep records.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{ClientAddress, Require, Supervisor};
use super::error::ApiError;
use super::router::AppState;

/// How an engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// Loading or warming up.
    Starting,
    /// At work.
    Ready,
    /// Not usable for now; callers go to people.
    Failed {
        /// What happened, for the operator.
        reason: String,
    },
    /// Not wanted by the configuration.
    Off,
}

impl EngineState {
    /// The word without the reason, for everybody.
    pub const fn health(&self) -> EngineHealth {
        match self {
            Self::Starting => EngineHealth::Starting,
            Self::Ready => EngineHealth::Ready,
            Self::Failed { .. } => EngineHealth::Failed,
            Self::Off => EngineHealth::Off,
        }
    }
}

/// How an engine is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineHealth {
    /// Loading or warming up.
    Starting,
    /// At work.
    Ready,
    /// Not usable for now; callers go to people.
    Failed,
    /// Not wanted by the configuration.
    Off,
}

/// What the composition root tells about the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// No new calls are taken.
    pub draining: bool,
    /// By name: `vad`, `stt`, `llm`, `tts`.
    pub engines: BTreeMap<&'static str, EngineState>,
}

impl Readiness {
    /// Why no calls should be sent here; empty when they should.
    pub fn reasons(&self) -> Vec<String> {
        let starting = self.engines.iter().filter(|(_, state)| **state == EngineState::Starting);
        let draining = self.draining.then(|| "draining: no new calls are taken".to_owned());
        draining.into_iter().chain(starting.map(|(name, _)| format!("{name} is starting"))).collect()
    }

    /// What works worse than it should while calls are taken.
    pub fn degraded(&self) -> Vec<String> {
        let failed = self.engines.iter().filter_map(|(name, state)| match state {
            EngineState::Failed { reason } => Some(format!("{name} failed: {reason}")),
            EngineState::Starting | EngineState::Ready | EngineState::Off => None,
        });
        failed.collect()
    }
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
    degraded: Vec<String>,
}

/// The probes.
pub(super) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/healthz", routing::get(async || "ok"))
        .route("/readyz", routing::get(readyz))
        .route("/metrics", routing::get(metrics))
        .with_state(state)
}

async fn readyz(State(state): State<Arc<AppState>>) -> Response {
    let (mut reasons, degraded) = {
        let readiness = state.readiness.borrow();
        (readiness.reasons(), readiness.degraded())
    };
    if let Err(error) = state.store.ping().await {
        tracing::error!(error = &error as &dyn std::error::Error, "The database is not usable");
        reasons.push("the database is not usable".to_owned());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready: reasons.is_empty(), reasons, degraded })).into_response()
}

/// Free for programs on this machine; others, and everybody a proxy lets in, need a supervisor's token.
async fn metrics(
    State(state): State<Arc<AppState>>,
    client: ClientAddress,
    supervisor: Result<Require<Supervisor>, ApiError>,
) -> Result<Response, ApiError> {
    if client.proxied || !client.ip.to_canonical().is_loopback() {
        supervisor?;
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_engine_still_takes_calls_a_starting_one_does_not() {
        let failed = EngineState::Failed { reason: "no model".to_owned() };
        let mut readiness = Readiness::default();
        readiness.engines.insert("stt", failed);
        assert!(readiness.reasons().is_empty());
        assert_eq!(readiness.degraded(), ["stt failed: no model"]);
        readiness.engines.insert("tts", EngineState::Starting);
        readiness.draining = true;
        assert_eq!(readiness.reasons(), ["draining: no new calls are taken", "tts is starting"]);
    }
}
