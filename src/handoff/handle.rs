//! RUNTIME: how calls and agents' sockets speak to the desk, and what it gives them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::routing::Plan;
use super::wire::{CallEnd, FromAgent, Line, ToAgent};
use super::{AgentId, HandoffId, HandoffReason};
use crate::audio::frame::AudioFrame;
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::store::HandoffOutcome;
use crate::telemetry::Pii;
use crate::telephony::protocol::Digit;

/// Control: messages waiting for one agent's socket. A socket this far behind is dropped.
const AGENT_OUTBOX: usize = 256;

/// A caller who wants a person.
#[derive(Debug)]
pub struct HandoffTask {
    /// Its id; the same id again returns the caller to the queue.
    pub id: HandoffId,
    /// The call.
    pub call: CallId,
    /// Why.
    pub reason: HandoffReason,
    /// Two lines for the agent.
    pub summary: Vec<String>,
    /// The provider's row name.
    pub provider: &'static str,
    /// The caller's number: who calls again soon regains the place.
    pub caller: Option<Pii<String>>,
    /// What was said so far.
    pub lines: Vec<Line>,
    /// How to reach the call's actor.
    pub commands: mpsc::Sender<CallCommand>,
}

/// The agent's side of a bridge, for the call's actor.
#[derive(Debug)]
pub struct AgentLeg {
    /// Caller's voice to the agent.
    pub to_agent: mpsc::Sender<AudioFrame>,
    /// Agent's voice to the caller.
    pub from_agent: mpsc::Receiver<AudioFrame>,
}

/// To the task that owns an agent's socket.
#[derive(Debug)]
pub enum AgentOut {
    /// Send this.
    Message(ToAgent),
    /// Voice flows through these from now on.
    Leg {
        /// Agent's voice to the caller.
        to_caller: mpsc::Sender<AudioFrame>,
        /// Caller's voice to the agent.
        from_caller: mpsc::Receiver<AudioFrame>,
    },
    /// The conversation is over.
    LegClosed,
    /// Another tab took over: close.
    Replaced,
}

#[derive(Debug)]
pub(super) enum DeskMessage {
    Request(Box<HandoffTask>),
    Suspend(HandoffId),
    Close(HandoffId, HandoffOutcome),
    Bridged(HandoffId),
    Ended(HandoffId, CallEnd),
    Line(HandoffId, Line),
    CallerKey(HandoffId, Digit),
    Connect { agent: AgentId, name: String, out: mpsc::Sender<AgentOut>, session: oneshot::Sender<u64> },
    Disconnect { agent: AgentId, session: u64 },
    FromAgent { agent: AgentId, session: u64, message: FromAgent },
    Census(oneshot::Sender<DeskCensus>),
    Why(HandoffId, oneshot::Sender<Option<String>>),
    Reload(Arc<Plan>),
}

/// The desk in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeskCensus {
    /// Callers waiting.
    pub waiting: u32,
    /// How long the first has waited.
    pub longest: Duration,
    /// Agents by state, those signed out not counted.
    pub agents: BTreeMap<&'static str, u32>,
}

/// Speaks to the desk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeskHandle {
    pub(super) inbox: mpsc::Sender<DeskMessage>,
}

impl DeskHandle {
    async fn send(&self, message: DeskMessage) {
        if self.inbox.send(message).await.is_err() {
            warn!("The desk is gone; the server is stopping");
        }
    }

    /// A caller wants a person, or returns to the queue.
    pub async fn request(&self, task: HandoffTask) {
        self.send(DeskMessage::Request(Box::new(task))).await;
    }

    /// The caller leaves the queue for now; how it ends follows with [`DeskHandle::close`].
    pub async fn suspend(&self, handoff: HandoffId) {
        self.send(DeskMessage::Suspend(handoff)).await;
    }

    /// The handoff is over. Frees an agent who is still on it.
    pub async fn close(&self, handoff: HandoffId, outcome: HandoffOutcome) {
        self.send(DeskMessage::Close(handoff, outcome)).await;
    }

    /// Caller and agent hear each other now.
    pub async fn bridged(&self, handoff: HandoffId) {
        self.send(DeskMessage::Bridged(handoff)).await;
    }

    /// The conversation ended.
    pub async fn ended(&self, handoff: HandoffId, reason: CallEnd) {
        self.send(DeskMessage::Ended(handoff, reason)).await;
    }

    /// Somebody said something in a call that waits for or speaks with an agent.
    pub async fn line(&self, handoff: HandoffId, line: Line) {
        self.send(DeskMessage::Line(handoff, line)).await;
    }

    /// The caller pressed a key while speaking with an agent.
    pub async fn caller_key(&self, handoff: HandoffId, key: Digit) {
        self.send(DeskMessage::CallerKey(handoff, key)).await;
    }

    /// An agent's client connected: gives its session number and the receiver of what it must be sent.
    pub async fn connect(&self, agent: AgentId, name: String) -> Option<(u64, mpsc::Receiver<AgentOut>)> {
        let (out, receiver) = mpsc::channel(AGENT_OUTBOX);
        let (session, number) = oneshot::channel();
        self.send(DeskMessage::Connect { agent, name, out, session }).await;
        Some((number.await.ok()?, receiver))
    }

    /// An agent's client is gone.
    pub async fn disconnect(&self, agent: AgentId, session: u64) {
        self.send(DeskMessage::Disconnect { agent, session }).await;
    }

    /// An agent's client sent this.
    pub async fn from_agent(&self, agent: AgentId, session: u64, message: FromAgent) {
        self.send(DeskMessage::FromAgent { agent, session, message }).await;
    }

    /// Why a caller is where they are, in a sentence; `None` for a handoff that is over.
    pub async fn why(&self, handoff: HandoffId) -> Option<String> {
        let (sender, receiver) = oneshot::channel();
        self.send(DeskMessage::Why(handoff, sender)).await;
        receiver.await.ok().flatten()
    }

    /// A new plan takes effect; who waits keeps the place, and offers and calls go on.
    pub async fn reload(&self, plan: Plan) {
        self.send(DeskMessage::Reload(Arc::new(plan))).await;
    }

    /// The desk in numbers.
    pub async fn census(&self) -> DeskCensus {
        let (sender, receiver) = oneshot::channel();
        self.send(DeskMessage::Census(sender)).await;
        receiver.await.unwrap_or_default()
    }
}
