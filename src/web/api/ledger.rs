//! How an agent's time was spent and how it is paid: their own to take away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::handoff::AgentId;
use crate::handoff::shifts::guaranteed;
use crate::store::{LedgerRecord, MAX_LEDGER, UserRole};
use crate::web::auth::{AuthError, SignedIn};
use crate::web::error::{ApiError, Problem, Query};
use crate::web::router::AppState;

/// As what it is sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// One object.
    #[default]
    Json,
    /// A table with a header, for spreadsheets.
    Csv,
}

/// Whose time, and which.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Entries that begin at this moment or later (RFC 3339). Continue a long listing with the `ended_at` of its last entry.
    #[param(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Entries that begin before this moment; now unless told.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Somebody else's, for supervisors.
    agent: Option<AgentId>,
    /// `json` unless told.
    #[param(inline)]
    format: Option<Format>,
}

/// Time of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledger {
    /// Milliseconds by class of the entries below.
    totals_ms: BTreeMap<&'static str, u64>,
    /// In the order of time; at most 10,000. Those with the code `guaranteed` were promised by a shift that was called off.
    entries: Vec<LedgerRecord>,
}

/// How an agent's time was spent and how it is paid. Signed-out time has no entries, and the state somebody is in now none yet.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "session", operation_id = "ledger",
    params(Which),
    responses(
        (status = 200, description = "The entries", content((Ledger = "application/json"), (String = "text/csv"))),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Somebody else's, asked by an agent", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("agent"))),
)]
pub(super) async fn ledger(
    State(state): State<Arc<AppState>>,
    SignedIn { user, .. }: SignedIn,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let agent = which.agent.unwrap_or_else(|| user.id.clone());
    if agent != user.id && user.role < UserRole::Supervisor {
        return Err(AuthError::Forbidden { needs: UserRole::Supervisor }.into());
    }
    let until = which.until.unwrap_or_else(Timestamp::now);
    let mut entries = state.store.list_ledger(&agent, which.since, until).await?;
    // After a page that is full the rest comes with the next one.
    if entries.len() < MAX_LEDGER as usize {
        entries.extend(promised(&state, &agent, which.since, until).await?);
        entries.sort_by_key(|entry| (entry.began_at, entry.id));
    }
    Ok(match which.format.unwrap_or_default() {
        Format::Json => Json(Ledger { totals_ms: totals(&entries), entries }).into_response(),
        Format::Csv => ([(CONTENT_TYPE, "text/csv; charset=utf-8")], table(&entries)).into_response(),
    })
}

/// What is paid because a shift had promised it, of what begins in `[since, until)`.
async fn promised(
    state: &AppState,
    agent: &AgentId,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<LedgerRecord>, ApiError> {
    let mut shifts = state.store.list_shifts(since, until).await?;
    shifts.retain(|shift| shift.agent_id == *agent && shift.released_at.is_some());
    let (Some(from), Some(to)) =
        (shifts.iter().map(|shift| shift.began_at).min(), shifts.iter().map(|shift| shift.ended_at).max())
    else {
        return Ok(Vec::new());
    };
    let worked = state.store.ledger_within(agent, from, to).await?;
    let mut due = guaranteed(&shifts, &worked, Timestamp::now());
    due.retain(|entry| entry.began_at >= since && entry.began_at < until);
    Ok(due)
}

fn totals(entries: &[LedgerRecord]) -> BTreeMap<&'static str, u64> {
    let mut totals = BTreeMap::new();
    for entry in entries {
        *totals.entry(entry.class.as_str()).or_default() += entry.length_ms();
    }
    totals
}

/// One line an entry. A break's name may hold anything, so it is quoted.
fn table(entries: &[LedgerRecord]) -> String {
    let mut table = "began_at,ended_at,state,code,class,milliseconds\r\n".to_owned();
    for entry in entries {
        let code = entry.code.as_deref().unwrap_or_default().replace('"', "\"\"");
        let LedgerRecord { began_at, ended_at, state, class, .. } = entry;
        let (state, class, length) = (state.as_str(), class.as_str(), entry.length_ms());
        // Writing to a string can't fail.
        let _ = write!(table, "{began_at},{ended_at},{state},\"{code}\",{class},{length}\r\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::routing::plan::PaidClass;
    use crate::handoff::wire::AgentState;
    use crate::store::conformance::at;

    #[test]
    fn totals_and_table_are_of_the_same_entries() {
        let entry = |from, to, state, class, code: Option<&str>| LedgerRecord {
            id: uuid::Uuid::now_v7(),
            agent_id: AgentId("ann".to_owned()),
            state,
            code: code.map(str::to_owned),
            class,
            began_at: at(from),
            ended_at: at(to),
        };
        let entries = [
            entry(0, 60, AgentState::Available, PaidClass::Standby, None),
            entry(60, 100, AgentState::OnContact, PaidClass::Work, None),
            entry(100, 110, AgentState::WrapUp, PaidClass::Work, None),
            entry(110, 120, AgentState::Break, PaidClass::None, Some("so \"called\", lunch")),
        ];
        assert_eq!(totals(&entries), BTreeMap::from([("none", 10_000), ("standby", 60_000), ("work", 50_000)]));
        let table = table(&entries);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[4].ends_with(",break,\"so \"\"called\"\", lunch\",none,10000"), "{table}");
    }
}
