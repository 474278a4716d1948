//! The numbers of the contact centre: as they are now, by interval, and by agent. `handoff/intervals.rs` has what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::handoff::AgentId;
use crate::handoff::actor::{DeskHandle, LiveAgent, LiveDesk};
use crate::handoff::fairness::{SkillFairness, by_skill};
use crate::handoff::intervals::{AgentFigures, Figures, Limits, Span, by_agent, figures};
use crate::handoff::routing::plan::PaidClass;
use crate::handoff::wire::AgentState;
use crate::store::{LedgerRecord, Period, Store, StoreError};
use crate::web::auth::{Require, Supervisor};
use crate::web::error::{ApiError, Problem, Query};
use crate::web::router::AppState;

/// What "now" looks back on, unless told.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(30);
/// Intervals one answer has at most.
const MAX_INTERVALS: i64 = 400;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Within this a caller should be answered, where no queue says otherwise.
pub(crate) const SERVICE_LEVEL: Duration = Duration::from_secs(20);

/// How far back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Back {
    /// Seconds that count as now: 60 to 86,400, half an hour unless told.
    window_s: Option<i64>,
    /// Seconds within which callers should be answered; 20 unless told.
    #[param(minimum = 1)]
    service_level_s: Option<u32>,
}

/// Which intervals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// From this moment (RFC 3339); 24 hours ago unless told. Begin at a full hour for intervals of the clock.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Until before this moment; now unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Length of an interval in seconds, 60 or more; 900, a quarter of an hour, unless told. Longer when there would be more
    /// than 400 of them.
    every_s: Option<i64>,
    /// Of callers who waited in this queue only.
    queue: Option<String>,
    /// Seconds within which callers should be answered; 20 unless told.
    #[param(minimum = 1)]
    service_level_s: Option<u32>,
}

/// The desk now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Live {
    /// When that was.
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// Callers in line.
    waiting: u32,
    /// How long the first has waited.
    longest_ms: u64,
    /// Agents by state, those signed out not counted.
    agents: BTreeMap<&'static str, u32>,
    /// Seconds the figures look back.
    window_s: i64,
    /// Of everybody who asked for a person within the window.
    figures: Figures,
    /// By queue.
    queues: BTreeMap<String, Figures>,
}

/// An interval with its numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Interval {
    /// From.
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    /// Until before.
    #[schema(value_type = String, format = "date-time")]
    until: Timestamp,
    /// The numbers.
    figures: Figures,
}

/// A span with how fair it was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FairSpan {
    /// From.
    #[schema(value_type = String, format = "date-time")]
    from: Timestamp,
    /// Until before.
    #[schema(value_type = String, format = "date-time")]
    until: Timestamp,
    /// By skill.
    skills: Vec<SkillFairness>,
}

/// An agent with their numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfAgent {
    /// Who.
    agent_id: AgentId,
    /// The numbers.
    figures: AgentFigures,
}

/// The numbers of the contact centre now: the line, the agents, and the last half-hour's service level, speed of answer,
/// abandonment, handling time, occupancy and offers. Shares with nothing to divide by are null.
#[utoipa::path(
    get, path = "/api/v1/metrics/live", tag = "metrics", operation_id = "metrics_live",
    params(Back),
    responses(
        (status = 200, description = "The numbers now", body = Live),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn live(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(back): Query<Back>,
) -> Result<Json<Live>, ApiError> {
    let at = Timestamp::now();
    let window_s = back.window_s.unwrap_or(WINDOW.as_secs()).clamp(60, 86_400);
    let span = Span { from: at - SignedDuration::from_secs(window_s), until: at };
    let desk = state.desk.live().await;
    let period = with_open_spans(state.store.period(span.from, span.until).await?, &desk, at);
    let limits = limits(back.service_level_s, at);
    let queues = desk.queues.iter().map(|name| (name.clone(), figures(&period, span, &limits, Some(name)))).collect();
    let mut agents: BTreeMap<&'static str, u32> = BTreeMap::new();
    for agent in desk.agents.iter().filter(|agent| agent.state != AgentState::Offline) {
        *agents.entry(agent.state.as_str()).or_default() += 1;
    }
    Ok(Json(Live {
        at,
        waiting: desk.waiting,
        longest_ms: desk.longest_ms,
        agents,
        window_s,
        figures: figures(&period, span, &limits, None),
        queues,
    }))
}

/// The numbers by interval, from the records. A caller belongs to the interval in which they asked for a person, agents' time is
/// cut at its ends: counts of intervals add up.
#[utoipa::path(
    get, path = "/api/v1/metrics/intervals", tag = "metrics", operation_id = "metrics_intervals",
    params(Which),
    responses(
        (status = 200, description = "The intervals, the oldest first", body = Vec<Interval>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn intervals(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Interval>>, ApiError> {
    let now = Timestamp::now();
    let span = which.span(now);
    let period = so_far(state.store.as_ref(), &state.desk, span, now).await?;
    let limits = limits(which.service_level_s, now);
    let pieces = span.pieces(which.every(span));
    let queue = which.queue.as_deref();
    let interval = |piece: Span| Interval {
        from: piece.from,
        until: piece.until,
        figures: figures(&period, piece, &limits, queue),
    };
    Ok(Json(pieces.into_iter().map(interval).collect()))
}

/// Each agent's conversations, offers and time in a span.
#[utoipa::path(
    get, path = "/api/v1/metrics/agents", tag = "metrics", operation_id = "metrics_agents",
    params(Which),
    responses(
        (status = 200, description = "Agents who were there", body = Vec<OfAgent>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn agents(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<OfAgent>>, ApiError> {
    let now = Timestamp::now();
    let span = which.span(now);
    let period = so_far(state.store.as_ref(), &state.desk, span, now).await?;
    let all = by_agent(&period, span, &limits(which.service_level_s, now));
    Ok(Json(all.into_iter().map(|(agent_id, figures)| OfAgent { agent_id, figures }).collect()))
}

/// How evenly offers, hard calls and waiting fell on those who can do the same work: by skill, and by day unless told otherwise.
/// Skills and queues are those of the plan in force; `queue` and `service_level_s` do not matter.
#[utoipa::path(
    get, path = "/api/v1/metrics/fairness", tag = "metrics", operation_id = "metrics_fairness",
    params(Which),
    responses(
        (status = 200, description = "The spans, the oldest first", body = Vec<FairSpan>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn fairness(
    State(state): State<Arc<AppState>>,
    _: Require<Supervisor>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<FairSpan>>, ApiError> {
    let now = Timestamp::now();
    let span = which.span(now);
    let period = so_far(state.store.as_ref(), &state.desk, span, now).await?;
    let names = state.store.list_users().await?.into_iter().map(|user| (user.id, user.name)).collect();
    let plan = state.live_plan.plan();
    let every = which.every(span).max(if which.every_s.is_some() { SignedDuration::ZERO } else { DAY });
    let fair = |piece: Span| FairSpan {
        from: piece.from,
        until: piece.until,
        skills: by_skill(&period, piece, &plan, &names),
    };
    Ok(Json(span.pieces(every).into_iter().map(fair).collect()))
}

impl Which {
    fn span(&self, now: Timestamp) -> Span {
        let until = self.until.unwrap_or(now);
        let day_before = until.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        Span { from: self.since.unwrap_or(day_before), until }
    }

    fn every(&self, span: Span) -> SignedDuration {
        let whole = span.until.duration_since(span.from).as_secs();
        SignedDuration::from_secs(self.every_s.unwrap_or(900).max(60).max(whole / MAX_INTERVALS + 1))
    }
}

pub(crate) fn limits(service_level_s: Option<u32>, now: Timestamp) -> Limits {
    let service_level = service_level_s.map_or(SERVICE_LEVEL, |seconds| Duration::from_secs(u64::from(seconds.max(1))));
    Limits { service_level, now }
}

/// What is on record of a span, with what agents do just now if the span reaches to now.
async fn so_far(store: &dyn Store, desk: &DeskHandle, span: Span, now: Timestamp) -> Result<Period, StoreError> {
    let period = store.period(span.from, span.until).await?;
    if span.until < now - SignedDuration::from_hours(24) {
        return Ok(period);
    }
    Ok(with_open_spans(period, &desk.live().await, now))
}

/// The state somebody is in is in the ledger only once it is over.
fn with_open_spans(mut period: Period, desk: &LiveDesk, now: Timestamp) -> Period {
    period.ledger.extend(open_spans(desk, now));
    period
}

/// The state each agent is in, as the ledger will have it.
pub(crate) fn open_spans(desk: &LiveDesk, now: Timestamp) -> Vec<LedgerRecord> {
    let span = |agent: &LiveAgent| {
        let since = SignedDuration::from_millis(i64::try_from(agent.for_ms).unwrap_or(0));
        LedgerRecord {
            id: uuid::Uuid::nil(),
            agent_id: agent.agent_id.clone(),
            state: agent.state,
            code: agent.code.clone(),
            class: PaidClass::None,
            began_at: now.checked_sub(since).unwrap_or(now),
            ended_at: now,
        }
    };
    desk.agents.iter().map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_too_many_intervals() {
        let which = |every_s| Which { since: None, until: None, every_s, queue: None, service_level_s: None };
        let day = which(None).span(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(48));
        assert_eq!(day.from, Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24));
        assert_eq!(day.pieces(which(None).every(day)).len(), 96);
        let year =
            Span { from: Timestamp::UNIX_EPOCH, until: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(8_760) };
        assert!(year.pieces(which(Some(1)).every(year)).len() <= MAX_INTERVALS as usize);
        let backwards = Span { from: year.until, until: year.from };
        assert!(backwards.pieces(which(Some(60)).every(backwards)).is_empty());
    }
}
