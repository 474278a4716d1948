//! Opening hours: as they are in force, tried, and kept instead of the configuration's.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::review::audit;
use crate::handoff::routing::Moment;
use crate::handoff::routing::hours::{Calendar, HoursPart, HoursProblem};
use crate::said::Said;
use crate::store::HoursRecord;
use crate::web::auth::{Require, SignedIn, Supervisor};
use crate::web::error::{ApiError, Body, Path, Problem};
use crate::web::router::AppState;

/// Days a preview looks at.
const LOOKED_AT: i64 = 14;
/// Lines one calendar has at most.
const MOST_LINES: usize = 500;
/// Longest line and longest name, in characters.
const LONGEST_LINE: usize = 120;

/// When queues are open.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hours {
    /// The calendar's name.
    name: String,
    /// Its time zone, such as `Europe/Berlin`.
    zone: String,
    /// Lines such as `mon-fri 08:00-18:00`.
    weekly: Vec<String>,
    /// Days that differ: `2026-12-25` is closed, `2026-12-24 09:00-12:00` has other hours.
    days: Vec<String>,
    /// The queues that keep these hours.
    queues: Vec<String>,
    /// Whether people are called back in these hours.
    callbacks: bool,
    /// Whether they were changed here, and hold instead of the configuration's.
    is_changed: bool,
    /// Whether the configuration has hours of this name.
    is_configured: bool,
    /// Whether it is open now.
    is_open: bool,
    /// When it opens next, while it is closed; none: not within two weeks.
    #[schema(value_type = Option<String>, format = "date-time")]
    opens_at: Option<Timestamp>,
    /// When it closes next, while it is open; none: not within two weeks.
    #[schema(value_type = Option<String>, format = "date-time")]
    closes_at: Option<Timestamp>,
}

/// Hours to be tried or kept.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(super) struct NewHours {
    /// The time zone, such as `Europe/Berlin`.
    zone: String,
    /// Lines such as `mon-fri 08:00-18:00`.
    weekly: Vec<String>,
    /// Days that differ.
    #[serde(default)]
    days: Vec<String>,
    /// Queues that keep them besides those the configuration names.
    #[serde(default)]
    queues: Vec<String>,
}

/// What hours would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HoursPreview {
    /// What is wrong with them; all else is empty then.
    problems: Vec<HoursProblem>,
    /// Whether it would be open now.
    is_open: Option<bool>,
    /// When it would open next, while it is closed.
    #[schema(value_type = Option<String>, format = "date-time")]
    opens_at: Option<Timestamp>,
    /// When it would close next, while it is open.
    #[schema(value_type = Option<String>, format = "date-time")]
    closes_at: Option<Timestamp>,
    /// The next two weeks, today first.
    days: Vec<OpenDay>,
}

/// A day of a calendar.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenDay {
    /// Which, in the calendar's zone.
    #[schema(format = "date")]
    date: String,
    /// When it is open.
    open: Vec<OpenSpan>,
}

/// A time in which it is open, in minutes since the day's beginning.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenSpan {
    /// From; 480 is eight o'clock.
    from: u16,
    /// To; 1440 is the day's end.
    to: u16,
}

/// Opening hours in force. Queues without any are always open.
#[utoipa::path(
    get, path = "/api/v1/hours", tag = "setup", operation_id = "list_hours",
    responses((status = 200, description = "The calendars", body = Vec<Hours>), (status = 401, description = "Not signed in", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn list(State(state): State<Arc<AppState>>, _: SignedIn) -> Json<Vec<Hours>> {
    Json(in_force(&state))
}

/// Keep hours instead of the configuration's, or new ones. They are in force at once; who waits keeps the place.
#[utoipa::path(
    put, path = "/api/v1/hours/{name}", tag = "setup", operation_id = "put_hours",
    params(("name" = String, Path, description = "The calendar")),
    request_body = NewHours,
    responses(
        (status = 200, description = "As they are in force", body = Vec<Hours>),
        (status = 400, description = "Something is wrong with them; the preview says what, line by line", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn put(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(name): Path<String>,
    Body(hours): Body<NewHours>,
) -> Result<Json<Vec<Hours>>, ApiError> {
    check_size(&name, &hours)?;
    check_queues(&state, &name, &hours)?;
    let NewHours { zone, weekly, days, queues } = hours;
    if let Err(problems) = Calendar::check(&name, &zone, &weekly, &days) {
        return Err(ApiError::BadRequest(Said::new("hours", in_words(&problems))));
    }
    audit(&state, &supervisor.user, "save_hours", None, Some(name.clone())).await?;
    let zone = zone.trim().to_owned();
    let set_by = supervisor.user.id;
    let record = HoursRecord { name, zone, weekly, days, queues, set_by, set_at: Timestamp::now() };
    let kept = state.live_plan.keep_hours(record, &state.desk).await?;
    kept.map_err(|problems| ApiError::BadRequest(Said::new("hours", in_words(&problems))))?;
    Ok(Json(in_force(&state)))
}

/// Go back to the configuration's hours.
#[utoipa::path(
    delete, path = "/api/v1/hours/{name}", tag = "setup", operation_id = "reset_hours",
    params(("name" = String, Path, description = "The calendar")),
    responses(
        (status = 200, description = "As they are in force", body = Vec<Hours>),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "They were not changed here", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn reset(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(name): Path<String>,
) -> Result<Json<Vec<Hours>>, ApiError> {
    if !state.live_plan.hours().iter().any(|record| record.name == name) {
        return Err(ApiError::NotFound { what: "change of these hours" });
    }
    audit(&state, &supervisor.user, "reset_hours", None, Some(name.clone())).await?;
    state.live_plan.forget_hours(&name, &state.desk).await?;
    Ok(Json(in_force(&state)))
}

/// Try hours: what is wrong with them, and when it would be open. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/hours/preview", tag = "setup", operation_id = "preview_hours",
    request_body = NewHours,
    responses(
        (status = 200, description = "What they would do", body = HoursPreview),
        (status = 400, description = "Too long", body = Problem),
        (status = 403, description = "Not a supervisor", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn preview(
    _: Require<Supervisor>,
    Body(hours): Body<NewHours>,
) -> Result<Json<HoursPreview>, ApiError> {
    check_size("preview", &hours)?;
    let nothing = HoursPreview { problems: vec![], is_open: None, opens_at: None, closes_at: None, days: vec![] };
    Ok(Json(match Calendar::check("preview", &hours.zone, &hours.weekly, &hours.days) {
        Err(problems) => HoursPreview { problems, ..nothing },
        Ok(calendar) => {
            let now = now();
            let (is_open, opens_at, closes_at) = stand(&calendar, now);
            HoursPreview { is_open: Some(is_open), opens_at, closes_at, days: next_days(&calendar, now), ..nothing }
        }
    }))
}

fn now() -> Moment {
    Moment::from_ms(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default())
}

fn timestamp(moment: Moment) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(moment.ms()).unwrap_or(i64::MAX)).ok()
}

/// Open now, opens next, closes next.
fn stand(calendar: &Calendar, now: Moment) -> (bool, Option<Timestamp>, Option<Timestamp>) {
    let is_open = calendar.is_open(now);
    let opens = calendar.next_open(now).filter(|_| !is_open).and_then(timestamp);
    (is_open, opens, calendar.next_close(now).and_then(timestamp))
}

fn next_days(calendar: &Calendar, now: Moment) -> Vec<OpenDay> {
    let today = calendar.date(now);
    let dates = (0..LOOKED_AT).filter_map(|offset| today.checked_add(offset.days()).ok());
    dates
        .map(|date| OpenDay {
            date: date.to_string(),
            open: calendar.minutes_of(date).into_iter().map(|(from, to)| OpenSpan { from, to }).collect(),
        })
        .collect()
}

/// The configuration's calendars and those kept here. One that nobody keeps opens and closes nothing.
fn in_force(state: &AppState) -> Vec<Hours> {
    let now = now();
    let plan = state.live_plan.plan();
    let (written, kept) = (state.live_plan.routing().written_hours(), state.live_plan.hours());
    let names: BTreeSet<&str> =
        written.iter().map(|one| one.name.as_str()).chain(kept.iter().map(|one| one.name.as_str())).collect();
    let hours = names.into_iter().filter_map(|name| {
        let (own, configured) = (kept.iter().find(|one| one.name == name), written.iter().find(|one| one.name == name));
        let (zone, weekly, days) = match (own, configured) {
            (Some(own), _) => (&own.zone, &own.weekly, &own.days),
            (None, Some(configured)) => (&configured.zone, &configured.weekly, &configured.days),
            (None, None) => return None,
        };
        let keeps = plan.queues.iter().filter(|queue| queue.hours.as_ref().is_some_and(|hours| hours.name() == name));
        let queues: Vec<String> = keeps.map(|queue| queue.name.clone()).collect();
        let callbacks = state.config.handoff.callback_hours == name;
        if queues.is_empty() && !callbacks {
            return None;
        }
        let (is_open, opens_at, closes_at) = stand(&state.live_plan.calendar(name)?, now);
        Some(Hours {
            name: name.to_owned(),
            zone: zone.clone(),
            weekly: weekly.clone(),
            days: days.clone(),
            queues,
            callbacks,
            is_changed: own.is_some(),
            is_configured: configured.is_some(),
            is_open,
            opens_at,
            closes_at,
        })
    });
    hours.collect()
}

fn check_size(name: &str, hours: &NewHours) -> Result<(), ApiError> {
    let NewHours { zone, weekly, days, queues } = hours;
    let all = weekly.iter().chain(days).chain(queues).map(String::as_str).chain([name, zone.as_str()]);
    if name.trim().is_empty() || weekly.len() + days.len() + queues.len() > MOST_LINES {
        return Err(ApiError::BadRequest(
            Said::new("hours_lines", format!("hours have a name and at most {MOST_LINES} lines"))
                .with("most", MOST_LINES),
        ));
    }
    if all.clone().any(|line| line.chars().count() > LONGEST_LINE || line.chars().any(char::is_control)) {
        return Err(ApiError::BadRequest(
            Said::new("hours_line_length", format!("a line has at most {LONGEST_LINE} characters"))
                .with("most", LONGEST_LINE),
        ));
    }
    Ok(())
}

/// Nobody's hours are taken away by somebody else's.
fn check_queues(state: &AppState, name: &str, hours: &NewHours) -> Result<(), ApiError> {
    let plan = state.live_plan.plan();
    for wanted in &hours.queues {
        let Some(queue) = plan.queues.iter().find(|queue| queue.name == *wanted) else {
            return Err(ApiError::BadRequest(
                Said::new("hours_no_queue", format!("there is no queue `{wanted}`")).with("queue", wanted),
            ));
        };
        if let Some(other) = queue.hours.as_ref().filter(|hours| hours.name() != name) {
            return Err(ApiError::BadRequest(
                Said::new("hours_queue_has_others", format!("`{wanted}` keeps the hours `{}` already", other.name()))
                    .with("queue", wanted)
                    .with("hours", other.name()),
            ));
        }
    }
    Ok(())
}

/// All problems as one sentence.
fn in_words(problems: &[HoursProblem]) -> String {
    let words = problems.iter().map(|problem| {
        let part = match problem.part {
            HoursPart::Zone => "time zone".to_owned(),
            HoursPart::Weekly => format!("line {} of the week", problem.line + 1),
            HoursPart::Days => format!("line {} of the days that differ", problem.line + 1),
        };
        format!("{part}: {}", problem.reason)
    });
    words.collect::<Vec<_>>().join("; ")
}
