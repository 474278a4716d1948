//! What agents do and how it is paid, written down as it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Desk;
use crate::handoff::AgentId;
use crate::handoff::routing::agent::paid_spans;
use crate::handoff::routing::plan::PaidClass;
use crate::handoff::wire::AgentState;
use crate::store::scribe::Record;
use crate::store::{LedgerRecord, StandRecord};

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
        self.keep_stand(agent, &Stand { state, code: code.clone(), since }, since);
        if let Some(before) = self.stands.insert(agent.clone(), Stand { state, code, since }) {
            self.write_down(agent, &before, since);
        }
    }

    /// So that a crash costs nobody their time: until now everybody did what they do.
    pub(super) fn keep_stands(&self) {
        let now = Timestamp::now();
        for (agent, stand) in self.stands.iter().filter(|(_, stand)| stand.state != AgentState::Offline) {
            self.keep_stand(agent, stand, now);
        }
    }

    fn keep_stand(&self, agent: &AgentId, stand: &Stand, seen_at: Timestamp) {
        let Stand { state, code, since } = stand.clone();
        self.scribe.put(Record::Stand(StandRecord { agent_id: agent.clone(), state, code, since, seen_at }));
    }

    /// The server stops: what everybody does is over.
    pub(super) fn close_ledger(&mut self) {
        let now = Timestamp::now();
        for (agent, stand) in std::mem::take(&mut self.stands) {
            self.write_down(&agent, &stand, now);
            self.keep_stand(&agent, &Stand { state: AgentState::Offline, code: None, since: now }, now);
        }
    }

    /// Time signed out is nobody's business.
    fn write_down(&self, agent: &AgentId, stand: &Stand, until: Timestamp) {
        for entry in entries(agent, stand, until, &self.machine.plan().break_codes) {
            self.scribe.put(Record::Ledger(entry));
        }
    }
}

/// A stretch in one state, cut where its pay changes.
fn entries(agent: &AgentId, stand: &Stand, until: Timestamp, codes: &BTreeMap<String, PaidClass>) -> Vec<LedgerRecord> {
    let length = Duration::try_from(until.duration_since(stand.since)).unwrap_or_default();
    if stand.state == AgentState::Offline || length.is_zero() {
        return Vec::new();
    }
    let mut began_at = stand.since;
    let mut entries = Vec::new();
    for (class, span) in paid_spans(stand.state, stand.code.as_deref(), length, codes) {
        let ended_at = began_at + SignedDuration::try_from(span).unwrap_or_default();
        entries.push(LedgerRecord {
            id: uuid::Uuid::now_v7(),
            agent_id: agent.clone(),
            state: stand.state,
            code: stand.code.clone(),
            class,
            began_at,
            ended_at,
        });
        began_at = ended_at;
    }
    entries
}

/// What agents did when a process died, as entries of the ledger up to when that was last known.
pub fn left_behind(stands: Vec<StandRecord>, codes: &BTreeMap<String, PaidClass>) -> Vec<LedgerRecord> {
    let one = |StandRecord { agent_id, state, code, since, seen_at }| {
        entries(&agent_id, &Stand { state, code, since }, seen_at, codes)
    };
    stands.into_iter().flat_map(one).collect()
}
