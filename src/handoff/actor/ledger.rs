//! What agents do and how it is paid, written down as it changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Desk;
use crate::handoff::AgentId;
use crate::handoff::routing::agent::paid_spans;
use crate::handoff::wire::AgentState;
use crate::store::LedgerRecord;
use crate::store::scribe::Record;

/// A state somebody is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stand {
    state: AgentState,
    code: Option<String>,
    since: Timestamp,
}

impl Desk {
    /// The agent's state may have changed: what they did until now is written down.
    pub(super) fn note_state(&mut self, agent: &AgentId) {
        let Some((state, ..)) = self.machine.agent_state(agent, Instant::now().into_std()) else { return };
        let code = self.machine.break_code(agent).map(str::to_owned);
        if self.stands.get(agent).is_some_and(|known| known.state == state && known.code == code) {
            return;
        }
        let since = Timestamp::now();
        if let Some(before) = self.stands.insert(agent.clone(), Stand { state, code, since }) {
            self.write_down(agent, &before, since);
        }
    }

    /// The server stops: what everybody does is over.
    pub(super) fn close_ledger(&mut self) {
        let now = Timestamp::now();
        for (agent, stand) in std::mem::take(&mut self.stands) {
            self.write_down(&agent, &stand, now);
        }
    }

    /// Time signed out is nobody's business.
    fn write_down(&self, agent: &AgentId, stand: &Stand, until: Timestamp) {
        let length = Duration::try_from(until.duration_since(stand.since)).unwrap_or_default();
        if stand.state == AgentState::Offline || length.is_zero() {
            return;
        }
        let mut began_at = stand.since;
        let codes = &self.machine.plan().break_codes;
        for (class, span) in paid_spans(stand.state, stand.code.as_deref(), length, codes) {
            let ended_at = began_at + SignedDuration::try_from(span).unwrap_or_default();
            self.scribe.put(Record::Ledger(LedgerRecord {
                id: uuid::Uuid::now_v7(),
                agent_id: agent.clone(),
                state: stand.state,
                code: stand.code.clone(),
                class,
                began_at,
                ended_at,
            }));
            began_at = ended_at;
        }
    }
}
