//! Live events of this process that others may watch: transcripts, call states. In-process broadcast; slow watchers lose.
//!
//! Nothing depends on an event to be seen: what must be kept is in the store, what must be done is a command. A watcher
//! that falls behind is told how much it missed and reads the state anew.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::call::CallId;
use crate::handoff::wire::{AgentState, Line, OfferResult};
use crate::handoff::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::store::{CallOutcome, HandoffOutcome};

/// Events kept for a watcher that is behind: some seconds of a busy server, whose partial transcripts are most of it.
const DEPTH: usize = 1_024;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When it was published.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened. Past tense.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happening {
    /// A call began.
    CallStarted {
        /// Which.
        call_id: CallId,
        /// Through whom.
        provider: String,
    },
    /// A call ended.
    CallEnded {
        /// Which.
        call_id: CallId,
        /// How.
        outcome: CallOutcome,
    },
    /// Somebody said something. The same `seq` replaces the line.
    LineSaid {
        /// In which call.
        call_id: CallId,
        /// What.
        line: Line,
    },
    /// A person was asked for.
    HandoffRequested {
        /// In which call.
        call_id: CallId,
        /// Which.
        handoff_id: HandoffId,
        /// Why.
        reason: HandoffReason,
    },
    /// An agent was offered a call.
    OfferMade {
        /// Which.
        offer_id: OfferId,
        /// Of which handoff.
        handoff_id: HandoffId,
        /// To whom.
        agent_id: AgentId,
    },
    /// An offer ended.
    OfferEnded {
        /// Which.
        offer_id: OfferId,
        /// How.
        result: OfferResult,
    },
    /// Agent and caller hear each other.
    Bridged {
        /// Which call.
        call_id: CallId,
        /// Which handoff.
        handoff_id: HandoffId,
        /// With whom.
        agent_id: AgentId,
    },
    /// A handoff ended.
    HandoffEnded {
        /// Which.
        handoff_id: HandoffId,
        /// How.
        outcome: HandoffOutcome,
    },
    /// An agent's presence changed.
    AgentChanged {
        /// Who.
        agent_id: AgentId,
        /// To what.
        state: AgentState,
    },
}

impl Happening {
    /// The call it belongs to, where it names one.
    pub const fn call_id(&self) -> Option<CallId> {
        match self {
            Self::CallStarted { call_id, .. }
            | Self::CallEnded { call_id, .. }
            | Self::LineSaid { call_id, .. }
            | Self::HandoffRequested { call_id, .. }
            | Self::Bridged { call_id, .. } => Some(*call_id),
            Self::OfferMade { .. }
            | Self::OfferEnded { .. }
            | Self::HandoffEnded { .. }
            | Self::AgentChanged { .. } => None,
        }
    }
}

/// Where events are published. Clones share it.
#[derive(Clone, Debug)]
pub struct Bus {
    events: broadcast::Sender<Event>,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus {
    /// A bus nobody watches yet.
    pub fn new() -> Self {
        Self { events: broadcast::Sender::new(DEPTH) }
    }

    /// Tells all watchers. Never waits, never fails; without watchers it costs nothing.
    pub fn publish(&self, at: Timestamp, what: Happening) {
        // An error only says that nobody watches.
        let _ = self.events.send(Event { at, what });
    }

    /// Watches from now on.
    pub fn watch(&self) -> Watcher {
        Watcher { events: self.events.subscribe() }
    }
}

/// What a watcher sees next.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// An event.
    Event(Event),
    /// The watcher was too slow: this many events are gone. What follows is whole again.
    Missed(u64),
}

/// Reads events in order. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    events: broadcast::Receiver<Event>,
}

impl Watcher {
    /// The next event; none once the bus is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<Seen> {
        match self.events.recv().await {
            Ok(event) => Some(Seen::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Seen::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(n: usize) -> Happening {
        Happening::AgentChanged { agent_id: AgentId(n.to_string()), state: AgentState::Available }
    }

    #[tokio::test]
    async fn watchers_see_what_comes_after_them_in_order() {
        let bus = Bus::new();
        bus.publish(Timestamp::UNIX_EPOCH, changed(0));
        let mut watcher = bus.watch();
        bus.publish(Timestamp::UNIX_EPOCH, changed(1));
        bus.clone().publish(Timestamp::UNIX_EPOCH, changed(2));
        drop(bus);
        for n in [1, 2] {
            let event = Event { at: Timestamp::UNIX_EPOCH, what: changed(n) };
            assert_eq!(watcher.next().await, Some(Seen::Event(event)));
        }
        assert_eq!(watcher.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_watcher_is_told_what_it_missed_and_holds_up_nobody() {
        let bus = Bus::new();
        let mut watcher = bus.watch();
        for n in 0..DEPTH + 3 {
            bus.publish(Timestamp::UNIX_EPOCH, changed(n));
        }
        assert_eq!(watcher.next().await, Some(Seen::Missed(3)));
        let event = Event { at: Timestamp::UNIX_EPOCH, what: changed(3) };
        assert_eq!(watcher.next().await, Some(Seen::Event(event)));
    }

    #[test]
    fn events_are_flat_json() {
        let event = Event { at: Timestamp::UNIX_EPOCH, what: changed(7) };
        let json = serde_json::to_string(&event).expect("plain data");
        assert_eq!(json, r#"{"at":"1970-01-01T00:00:00Z","type":"agent_changed","agent_id":"7","state":"available"}"#);
    }
}
