//! Agents at the desk: their clients, what these say and are told, and the two ends of their voice.

use jiff::Timestamp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{AgentLeg, AgentOut, Client, Desk, DeskAction, DeskInput, PING};
use crate::call::CallId;
use crate::call::input::HandoffNews;
use crate::handoff::AgentId;
use crate::handoff::wire::{AgentState, CallEnd, FromAgent, MAX_KEYS, PROTOCOL_VERSION, ToAgent};
use crate::store::WrapUpRecord;
use crate::store::scribe::Record;
use crate::telemetry::metric;
use crate::telephony::protocol::Digit;

/// Media: 400 ms of voice each way between caller and agent. When full the newest frame is dropped and counted.
const LEG_FRAMES: usize = 20;

impl Desk {
    pub(super) fn connect(
        &mut self,
        agent: AgentId,
        client: Client,
        session: oneshot::Sender<u64>,
        actions: &mut Vec<DeskAction>,
    ) {
        self.sessions_made += 1;
        let number = self.sessions_made;
        if session.send(number).is_err() {
            return; // The socket went away while it waited.
        }
        if let Some(old) = self.agents.get(&agent) {
            let _ = old.out.try_send(AgentOut::Replaced); // A full outbox is dropped with the client below.
        }
        self.stop_supervising(&agent);
        let (name, role) = (client.name.clone(), client.role);
        self.agents.insert(agent.clone(), Client { session: number, ..client });
        let queues = self.machine.plan().queues.iter().map(|queue| queue.name.clone());
        let hello = ToAgent::Hello {
            version: PROTOCOL_VERSION,
            agent_id: agent.clone(),
            name: name.clone(),
            ping_ms: PING.as_millis() as u32,
            dispositions: self.dispositions.clone(),
            break_codes: self.machine.plan().break_codes.keys().cloned().collect(),
            role: Some(role),
            queues: queues.collect(),
            outside: self.outside.keys().cloned().collect(),
            auto_answer: self.machine.plan().queues.iter().any(|queue| queue.auto_answer.is_some()),
        };
        self.tell(&agent, hello);
        self.parked_changed |= !self.parked.is_empty();
        self.newcomers.push(agent.clone());
        self.step(DeskInput::Connected { agent, name, session: number }, actions);
    }

    /// Sends to an agent's client; one that does not read is dropped.
    pub(super) fn tell(&mut self, agent: &AgentId, message: ToAgent) {
        self.send_out(agent, AgentOut::Message(message));
    }

    pub(super) fn send_out(&mut self, agent: &AgentId, out: AgentOut) {
        let Some(client) = self.agents.get(agent) else { return };
        // Closed: it has gone, which it reports itself; what it said before that still counts.
        if let Err(TrySendError::Full(_)) = client.out.try_send(out) {
            warn!(agent.id = %agent, "An agent's client does not read; dropping its connection");
            // Dropping the sender ends the socket's task, which reports the disconnect.
            self.agents.remove(agent);
        }
    }

    pub(super) fn agent_says(&mut self, agent: AgentId, message: FromAgent, actions: &mut Vec<DeskAction>) {
        if self.colleague_says(&agent, &message, actions) {
            return;
        }
        match message {
            FromAgent::SetState { state, code } => {
                let code = code.filter(|code| self.machine.plan().break_codes.contains_key(code));
                self.step(DeskInput::StateChosen(agent, state, code), actions);
            }
            FromAgent::AutoAnswer { on } => {
                info!(agent.id = %agent, on, "An agent chose whether offers are answered by themselves");
                self.step(DeskInput::AutoAnswer(agent.clone(), on), actions);
                self.tell(&agent, ToAgent::AutoAnswer { on });
            }
            FromAgent::ExtendWrapUp => self.step(DeskInput::WrapUpExtended(agent), actions),
            FromAgent::Accept { offer_id } => self.accept(agent, offer_id, actions),
            FromAgent::Reject { offer_id, reason } => {
                if let Some(offer) = self.offers.get_mut(&offer_id) {
                    offer.reason = reason.map(|text| text.chars().take(500).collect());
                }
                self.step(DeskInput::Rejected(agent, offer_id), actions);
            }
            FromAgent::Hold { on } => {
                self.tell_contact(&agent, HandoffNews::Hold(on));
                self.contact_held(&agent, on);
                if let Some(call_id) = self.contact_call(&agent) {
                    self.tell(&agent, ToAgent::Hold { call_id, on });
                }
            }
            FromAgent::Dtmf { digit } => match Digit::all(&digit, MAX_KEYS) {
                Some(keys) => self.tell_contact(&agent, HandoffNews::Keys(keys)),
                None => self.refuse(&agent, "bad_digit", "That is no key of a telephone."),
            },
            FromAgent::End => {
                self.tell_contact(&agent, HandoffNews::Ended);
                if let Some(handoff) = self.machine.contact_of(&agent) {
                    self.step(DeskInput::Ended(handoff, CallEnd::AgentEnded), actions);
                }
            }
            FromAgent::HandBack => {
                self.tell_contact(&agent, HandoffNews::HandedBack);
                if let Some(handoff) = self.machine.contact_of(&agent) {
                    self.step(DeskInput::Ended(handoff, CallEnd::HandedBack), actions);
                }
            }
            FromAgent::Transfer { queue, agent_id, outside } => {
                self.transfer(&agent, (queue, agent_id, outside), actions);
            }
            FromAgent::WrapUp { call_id, note, disposition } => {
                self.scribe.put(Record::WrapUp(WrapUpRecord {
                    call_id,
                    agent_id: agent.clone(),
                    note: note.chars().take(10_000).collect(),
                    disposition: disposition.chars().take(100).collect(),
                    at: Timestamp::now(),
                }));
                self.step(DeskInput::WrapUpDone(agent), actions);
            }
            message @ (FromAgent::Supervise { .. }
            | FromAgent::StopSupervising
            | FromAgent::TakeOver { .. }
            | FromAgent::ForceEnd { .. }
            | FromAgent::Prioritise { .. }
            | FromAgent::Move { .. }) => self.supervisor_says(agent, message, actions),
            FromAgent::AcknowledgeMissed => self.step(DeskInput::Acknowledged(agent), actions),
            FromAgent::Colleagues
            | FromAgent::Consult { .. }
            | FromAgent::ConsultMode { .. }
            | FromAgent::Complete
            | FromAgent::CancelConsult
            | FromAgent::Park
            | FromAgent::PickUp { .. } => {} // Done already.
            FromAgent::Ping { n } => self.tell(&agent, ToAgent::Pong { n }),
        }
    }

    pub(super) fn refuse(&mut self, agent: &AgentId, code: &str, message: &str) {
        self.tell(agent, ToAgent::Error { code: code.to_owned(), message: message.to_owned() });
    }

    pub(super) fn contact_call(&self, agent: &AgentId) -> Option<CallId> {
        let handoff = self.machine.contact_of(agent)?;
        self.tasks.get(&handoff).map(|live| live.task.call)
    }

    pub(super) fn tell_contact(&mut self, agent: &AgentId, news: HandoffNews) {
        match self.machine.contact_of(agent) {
            Some(handoff) => self.tell_call(handoff, news, None),
            None => self.refuse(agent, "no_call", "You are on no call."),
        }
    }

    /// Two bounded pipes: one to the agent's socket, their other ends to the call.
    pub(super) fn open_leg(&mut self, agent: &AgentId) -> Option<AgentLeg> {
        let (to_agent, from_caller) = mpsc::channel(LEG_FRAMES);
        let (to_caller, from_agent) = mpsc::channel(LEG_FRAMES);
        self.send_out(agent, AgentOut::Leg { to_caller, from_caller });
        self.agents.contains_key(agent).then_some(AgentLeg { to_agent, from_agent })
    }

    /// How many wait, to whom it is news: see [`super::queue_news`].
    pub(super) fn tell_queue(&mut self) {
        let census = self.machine.census();
        for state in [
            AgentState::Available,
            AgentState::Reserved,
            AgentState::OnContact,
            AgentState::WrapUp,
            AgentState::Missed,
            AgentState::Break,
            AgentState::Error,
        ] {
            let count = census.get(state.as_str()).copied().unwrap_or(0);
            metrics::gauge!(metric::AGENTS, "state" => state.as_str()).set(f64::from(count));
        }
        let now = Instant::now();
        let (waiting, longest) = self.machine.queue(now.into_std());
        metrics::gauge!(metric::QUEUE_LENGTH).set(f64::from(waiting));
        let newcomers = std::mem::take(&mut self.newcomers);
        let everybody = self.queue_news.changed(now, waiting);
        let agents = if everybody { self.agents.keys().cloned().collect() } else { newcomers };
        for agent in agents {
            self.tell(&agent, ToAgent::Queue { waiting, longest_ms: longest.as_millis() as u64 });
        }
    }
}
