//! RUNTIME: how calls and agents' sockets speak to the desk, and what it gives them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::routing::Plan;
use super::wire::{AgentState, Brief, CallEnd, FromAgent, Line, Suggestion, ToAgent};
use super::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::audio::frame::AudioFrame;
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::dialog::language::Language;
use crate::said::Phrase;
use crate::store::{HandoffOutcome, UserRole};
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
    /// The same at length.
    pub brief: Brief,
    /// Who spoke with the caller before.
    pub known_agent: Option<AgentId>,
    /// The provider's row name.
    pub provider: &'static str,
    /// What the caller speaks; none: the desk's own language.
    pub language: Option<Language>,
    /// The caller's number: who calls again soon regains the place.
    pub caller: Option<Pii<String>>,
    /// What was said so far.
    pub lines: Vec<Line>,
    /// Waiting since then, if it is not only now: a callback keeps its place.
    pub waiting_since: Option<Timestamp>,
    /// Goes before all others: we broke the line.
    pub first: bool,
    /// The wish of before the line broke.
    pub continues: Option<HandoffId>,
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
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are messages, which a box more would not make smaller"
)]
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
    Unanswered(AgentId, OfferId),
    Extend(AgentId, OfferId, Duration),
    Rewire { handoff: HandoffId, call: CallId, commands: mpsc::Sender<CallCommand> },
    Close(HandoffId, HandoffOutcome),
    Bridged(HandoffId),
    Sound(HandoffId),
    NoSound(HandoffId),
    Ended(HandoffId, CallEnd),
    Line(HandoffId, Line),
    Suggest { handoff: HandoffId, question: String, hits: Vec<Suggestion> },
    CallerKey(HandoffId, Digit),
    Connect { agent: AgentId, name: String, role: UserRole, out: mpsc::Sender<AgentOut>, session: oneshot::Sender<u64> },
    Disconnect { agent: AgentId, session: u64 },
    FromAgent { agent: AgentId, session: u64, message: FromAgent },
    CallOpened { call: CallId, provider: &'static str, from: Option<Pii<String>>, commands: mpsc::Sender<CallCommand> },
    CallOver(CallId),
    Supervising(CallId, Vec<Line>),
    SupervisedLine(CallId, Line),
    Live(oneshot::Sender<LiveDesk>),
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

/// Everything that goes on at the desk.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct LiveDesk {
    /// Calls, the oldest first.
    pub calls: Vec<LiveCall>,
    /// Agents who are connected, by name.
    pub agents: Vec<LiveAgent>,
    /// Callers in line.
    pub waiting: u32,
    /// How long the first has waited.
    pub longest_ms: u64,
    /// Names of the queues.
    pub queues: Vec<String>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// With the assistant.
    Assistant,
    /// Waits for a person, or does something else meanwhile.
    Waiting,
    /// Held out to a person.
    Offered,
    /// A person took it and is being announced.
    Connecting,
    /// With a person.
    Agent,
}

/// A call going on.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LiveCall {
    /// The call.
    pub call_id: CallId,
    /// How the caller reached us.
    pub provider: String,
    /// The caller's number, masked; `reveal` shows it for a reason.
    #[schema(value_type = Option<String>)]
    pub from: Option<Pii<String>>,
    /// Since it began.
    pub for_ms: u64,
    /// Where it is.
    pub stage: Stage,
    /// Why a person was asked for.
    pub reason: Option<HandoffReason>,
    /// Since then, until somebody speaks with the caller.
    pub waiting_ms: Option<u64>,
    /// The queue, while in line.
    pub queue: Option<String>,
    /// The place in it; 1 is next.
    pub position: Option<u32>,
    /// Higher goes first.
    pub priority: Option<i32>,
    /// Why the caller is where they are, in a sentence.
    pub why: Option<String>,
    /// The parts of that sentence, for clients with words of their own: the first says where the caller is, the others why;
    /// what has a value `n` counts agents whom something keeps from the caller.
    pub why_phrases: Vec<Phrase>,
    /// Who is asked, or has the caller.
    pub agent_id: Option<AgentId>,
    /// Who listens.
    pub supervised_by: Option<AgentId>,
}

/// An agent who is connected.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LiveAgent {
    /// Who.
    pub agent_id: AgentId,
    /// Sign-in name.
    pub name: String,
    /// State.
    pub state: AgentState,
    /// The name of the break.
    pub code: Option<String>,
    /// In this state.
    pub for_ms: u64,
    /// What follows the call.
    pub next: Option<AgentState>,
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

    /// The caller of this handoff is on this call from now on: somebody who was called back and answered.
    pub async fn rewire(&self, handoff: HandoffId, call: CallId, commands: mpsc::Sender<CallCommand>) {
        self.send(DeskMessage::Rewire { handoff, call, commands }).await;
    }

    /// The agent could not be asked in time: their telephone was not answered.
    pub async fn unanswered(&self, agent: AgentId, offer: OfferId) {
        self.send(DeskMessage::Unanswered(agent, offer)).await;
    }

    /// Asking the agent takes longer, such as at a telephone: the offer runs so long from now.
    pub async fn extend_offer(&self, agent: AgentId, offer: OfferId, by: Duration) {
        self.send(DeskMessage::Extend(agent, offer, by)).await;
    }

    /// The handoff is over. Frees an agent who is still on it.
    pub async fn close(&self, handoff: HandoffId, outcome: HandoffOutcome) {
        self.send(DeskMessage::Close(handoff, outcome)).await;
    }

    /// Caller and agent hear each other now.
    pub async fn bridged(&self, handoff: HandoffId) {
        self.send(DeskMessage::Bridged(handoff)).await;
    }

    /// Sound came from the agent: the connection stands.
    pub async fn sound(&self, handoff: HandoffId) {
        self.send(DeskMessage::Sound(handoff)).await;
    }

    /// No sound came from the agent: the connection has failed.
    pub async fn no_sound(&self, handoff: HandoffId) {
        self.send(DeskMessage::NoSound(handoff)).await;
    }

    /// The conversation ended.
    pub async fn ended(&self, handoff: HandoffId, reason: CallEnd) {
        self.send(DeskMessage::Ended(handoff, reason)).await;
    }

    /// Somebody said something in a call that waits for or speaks with an agent.
    pub async fn line(&self, handoff: HandoffId, line: Line) {
        self.send(DeskMessage::Line(handoff, line)).await;
    }

    /// What the knowledge base has for the caller's last words to an agent.
    pub async fn suggest(&self, handoff: HandoffId, question: String, hits: Vec<Suggestion>) {
        self.send(DeskMessage::Suggest { handoff, question, hits }).await;
    }

    /// The caller pressed a key while speaking with an agent.
    pub async fn caller_key(&self, handoff: HandoffId, key: Digit) {
        self.send(DeskMessage::CallerKey(handoff, key)).await;
    }

    /// An agent's client connected: gives its session number and the receiver of what it must be sent.
    pub async fn connect(
        &self,
        agent: AgentId,
        name: String,
        role: UserRole,
    ) -> Option<(u64, mpsc::Receiver<AgentOut>)> {
        let (out, receiver) = mpsc::channel(AGENT_OUTBOX);
        let (session, number) = oneshot::channel();
        self.send(DeskMessage::Connect { agent, name, role, out, session }).await;
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

    /// A call began, with the assistant.
    pub async fn call_opened(
        &self,
        call: CallId,
        provider: &'static str,
        from: Option<Pii<String>>,
        commands: mpsc::Sender<CallCommand>,
    ) {
        self.send(DeskMessage::CallOpened { call, provider, from, commands }).await;
    }

    /// A call is over.
    pub async fn call_over(&self, call: CallId) {
        self.send(DeskMessage::CallOver(call)).await;
    }

    /// A supervisor hears the call from now on; this was said so far.
    pub async fn supervising(&self, call: CallId, lines: Vec<Line>) {
        self.send(DeskMessage::Supervising(call, lines)).await;
    }

    /// Somebody said something in a call that a supervisor hears.
    pub async fn supervised_line(&self, call: CallId, line: Line) {
        self.send(DeskMessage::SupervisedLine(call, line)).await;
    }

    /// Everything that goes on now.
    pub async fn live(&self) -> LiveDesk {
        let (sender, receiver) = oneshot::channel();
        self.send(DeskMessage::Live(sender)).await;
        receiver.await.unwrap_or_default()
    }

    /// The desk in numbers.
    pub async fn census(&self) -> DeskCensus {
        let (sender, receiver) = oneshot::channel();
        self.send(DeskMessage::Census(sender)).await;
        receiver.await.unwrap_or_default()
    }
}
