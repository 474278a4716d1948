//! Conversations of callers with agents, written down as they begin, end, and once the work afterwards is done.

use jiff::Timestamp;

use super::Desk;
use crate::call::CallId;
use crate::handoff::wire::{AgentState, CallEnd};
use crate::handoff::{AgentId, HandoffId};
use crate::store::ContactRecord;
use crate::store::scribe::Record;
use crate::telemetry::metric;

/// A conversation, until its wrap-up is over.
#[derive(Debug)]
pub(super) struct Contact {
    record: ContactRecord,
    held_since: Option<Timestamp>,
}

fn ms_between(from: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

impl Contact {
    fn end(&mut self, by: CallEnd, now: Timestamp) {
        if self.record.ended_at.is_some() {
            return;
        }
        self.hold(false, now);
        (self.record.ended_at, self.record.ended_by) = (Some(now), Some(by));
        let all = ms_between(self.record.began_at, now);
        metrics::histogram!(metric::TALK_SECONDS).record(all.saturating_sub(self.record.hold_ms) as f64 / 1_000.0);
    }

    fn hold(&mut self, on: bool, now: Timestamp) {
        match (on, self.held_since) {
            (true, None) => {
                self.held_since = Some(now);
                self.record.holds += 1;
            }
            (false, Some(since)) => {
                self.record.hold_ms += ms_between(since, now);
                self.held_since = None;
            }
            _ => {}
        }
    }
}

impl Desk {
    /// Caller and agent hear each other. Again, after a lost connection: it is the same conversation.
    pub(super) fn contact_began(&mut self, agent: &AgentId, handoff: HandoffId, call: CallId) {
        if self.contacts.get(&handoff).is_some_and(|one| one.record.agent_id == *agent && one.record.ended_at.is_none())
        {
            return;
        }
        self.contact_over(handoff, CallEnd::TakenOver);
        let record = ContactRecord {
            id: uuid::Uuid::now_v7(),
            handoff_id: handoff,
            call_id: call,
            agent_id: agent.clone(),
            began_at: Timestamp::now(),
            ended_at: None,
            ended_by: None,
            hold_ms: 0,
            holds: 0,
            wrap_up_ms: None,
        };
        self.scribe.put(Record::Contact(record.clone()));
        self.contacts.insert(handoff, Contact { record, held_since: None });
    }

    pub(super) fn contact_held(&mut self, agent: &AgentId, on: bool) {
        if let Some(contact) = self.machine.contact_of(agent).and_then(|handoff| self.contacts.get_mut(&handoff)) {
            contact.hold(on, Timestamp::now());
        }
    }

    /// The conversation is over; the agent's wrap-up begins.
    pub(super) fn contact_ended(&mut self, handoff: HandoffId, by: CallEnd) {
        if let Some(contact) = self.contacts.get_mut(&handoff) {
            contact.end(by, Timestamp::now());
            self.scribe.put(Record::Contact(contact.record.clone()));
        }
    }

    /// The conversation is over and nothing comes after it.
    pub(super) fn contact_over(&mut self, handoff: HandoffId, by: CallEnd) {
        let Some(mut contact) = self.contacts.remove(&handoff) else { return };
        let now = Timestamp::now();
        let was_over = contact.record.ended_at;
        contact.end(by, now);
        if let Some(ended) = was_over {
            let spent = ms_between(ended, now);
            contact.record.wrap_up_ms = Some(spent);
            metrics::histogram!(metric::WRAP_UP_SECONDS).record(spent as f64 / 1_000.0);
        }
        self.scribe.put(Record::Contact(contact.record));
    }

    /// The agent does something else now.
    pub(super) fn contacts_left(&mut self, agent: &AgentId, state: AgentState) {
        if matches!(state, AgentState::OnContact | AgentState::WrapUp) {
            return;
        }
        let theirs = |one: &&Contact| one.record.agent_id == *agent;
        let left: Vec<HandoffId> = self.contacts.values().filter(theirs).map(|one| one.record.handoff_id).collect();
        for handoff in left {
            self.contact_over(handoff, CallEnd::AgentLost);
        }
    }

    /// The server stops.
    pub(super) fn close_contacts(&mut self) {
        let all: Vec<HandoffId> = self.contacts.keys().copied().collect();
        for handoff in all {
            self.contact_over(handoff, CallEnd::ServerStopped);
        }
    }
}
