//! RUNTIME of the desk: one task owns [`DeskMachine`], knows each agent's socket and each waiting call, and keeps records.
//!
//! Control path. Nobody waits for a slow agent: a socket whose queue is full is dropped, which the machine sees as a lost
//! connection. Calls are told with `try_send`, so that desk and call can never wait for each other in a circle.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::machine::{DeskAction, DeskInput, DeskMachine, DeskPolicy};
use super::wire::{AgentState, CallEnd, FromAgent, Line, Offer, OfferResult, PROTOCOL_VERSION, ToAgent};
use super::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::audio::frame::AudioFrame;
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::store::scribe::{Record, Scribe};
use crate::store::{HandoffOutcome, HandoffRecord, OfferRecord, WrapUpRecord};
use crate::telemetry::metric;
use crate::telephony::protocol::Digit;

/// Control: requests waiting for the desk. Senders wait when it is full.
const DESK_INBOX: usize = 1_024;
/// Control: messages waiting for one agent's socket. A socket this far behind is dropped.
const AGENT_OUTBOX: usize = 256;
/// Media: 400 ms of voice each way between caller and agent. When full the newest frame is dropped and counted.
const LEG_FRAMES: usize = 20;
/// Lines of a transcript kept for whoever is offered the call.
const LINES_KEPT: usize = 200;
/// Between pings of an agent's client.
pub const PING: Duration = Duration::from_secs(10);

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
enum DeskMessage {
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
    inbox: mpsc::Sender<DeskMessage>,
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

    /// The desk in numbers.
    pub async fn census(&self) -> DeskCensus {
        let (sender, receiver) = oneshot::channel();
        self.send(DeskMessage::Census(sender)).await;
        receiver.await.unwrap_or_default()
    }
}

/// A desk and the future that runs it; the caller owns the task. `dispositions`: what agents may choose at wrap-up.
pub fn open(
    policy: DeskPolicy,
    dispositions: Vec<String>,
    scribe: Scribe,
    cancel: CancellationToken,
) -> (DeskHandle, impl Future<Output = ()>) {
    let (sender, inbox) = mpsc::channel(DESK_INBOX);
    let desk = Desk {
        machine: DeskMachine::new(policy, rand::random()),
        scribe,
        sessions_made: 0,
        agents: HashMap::new(),
        tasks: HashMap::new(),
        offers: HashMap::new(),
        finished: HashMap::new(),
        dispositions,
        told_queue: None,
    };
    (DeskHandle { inbox: sender }, desk.run(inbox, cancel))
}

struct Client {
    name: String,
    session: u64,
    out: mpsc::Sender<AgentOut>,
}

struct LiveTask {
    task: HandoffTask,
    record: HandoffRecord,
    requested: Instant,
    agent: Option<AgentId>,
    bridged: bool,
}

/// What an agent in wrap-up is still told about the call, should their page be loaded anew.
struct Finished {
    handoff: HandoffId,
    call: CallId,
    lines: Vec<Line>,
}

struct Desk {
    machine: DeskMachine,
    scribe: Scribe,
    sessions_made: u64,
    agents: HashMap<AgentId, Client>,
    tasks: HashMap<HandoffId, LiveTask>,
    offers: HashMap<OfferId, OfferRecord>,
    /// At most one an agent, gone with wrap-up.
    finished: HashMap<AgentId, Finished>,
    dispositions: Vec<String>,
    told_queue: Option<u32>,
}

impl Desk {
    async fn run(mut self, mut inbox: mpsc::Receiver<DeskMessage>, cancel: CancellationToken) {
        loop {
            let deadline = self.machine.poll_timeout().map(Instant::from_std);
            let mut actions = Vec::new();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                message = inbox.recv() => match message {
                    Some(message) => self.take(message, &mut actions),
                    None => break,
                },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.machine.handle_timeout(Instant::now().into_std(), &mut actions);
                }
            }
            self.perform(actions);
            self.tell_queue();
        }
    }

    fn step(&mut self, input: DeskInput, actions: &mut Vec<DeskAction>) {
        self.machine.step(Instant::now().into_std(), input, actions);
    }

    fn take(&mut self, message: DeskMessage, actions: &mut Vec<DeskAction>) {
        match message {
            DeskMessage::Request(task) => self.request(*task, actions),
            DeskMessage::Suspend(handoff) => self.step(DeskInput::Withdrawn(handoff), actions),
            DeskMessage::Close(handoff, outcome) => self.close(handoff, outcome, actions),
            DeskMessage::Bridged(handoff) => self.bridged(handoff),
            DeskMessage::Ended(handoff, reason) => self.step(DeskInput::ConversationEnded(handoff, reason), actions),
            DeskMessage::Line(handoff, line) => self.line(handoff, line),
            DeskMessage::CallerKey(handoff, key) => self.caller_key(handoff, key),
            DeskMessage::Connect { agent, name, out, session } => self.connect(agent, name, out, session, actions),
            DeskMessage::Disconnect { agent, session } => {
                if self.agents.get(&agent).is_some_and(|client| client.session == session) {
                    self.agents.remove(&agent);
                }
                self.step(DeskInput::Disconnected { agent, session }, actions);
            }
            DeskMessage::FromAgent { agent, session, message } => {
                if self.agents.get(&agent).is_some_and(|client| client.session == session) {
                    self.agent_says(agent, message, actions);
                }
            }
            DeskMessage::Census(sender) => {
                let (waiting, longest) = self.machine.queue(Instant::now().into_std());
                // The asker may have gone; then nobody needs the answer.
                let _ = sender.send(DeskCensus { waiting, longest, agents: self.machine.census() });
            }
        }
    }

    // --- calls --------------------------------------------------------------------------------------------------

    fn request(&mut self, task: HandoffTask, actions: &mut Vec<DeskAction>) {
        let id = task.id;
        metrics::counter!(metric::HANDOFFS, "reason" => task.reason.as_str()).increment(1);
        info!(handoff.id = %id.0, reason = task.reason.as_str(), "A caller wants a person");
        let record = match self.tasks.remove(&id) {
            Some(known) => known.record,
            None => HandoffRecord {
                id,
                call_id: task.call,
                reason: task.reason,
                summary: task.summary.clone(),
                requested_at: Timestamp::now(),
                bridged_at: None,
                ended_at: None,
                outcome: HandoffOutcome::Open,
                agent_id: None,
            },
        };
        self.scribe.put(Record::Handoff(record.clone()));
        self.tasks.insert(id, LiveTask { task, record, requested: Instant::now(), agent: None, bridged: false });
        self.step(DeskInput::Requested(id), actions);
    }

    fn close(&mut self, handoff: HandoffId, outcome: HandoffOutcome, actions: &mut Vec<DeskAction>) {
        self.step(DeskInput::Withdrawn(handoff), actions);
        // The actions need the task once more: whom to tell that it ended.
        self.perform(std::mem::take(actions));
        if let Some(mut live) = self.tasks.remove(&handoff) {
            live.record.outcome = if live.record.bridged_at.is_some() { HandoffOutcome::Bridged } else { outcome };
            live.record.ended_at = Some(Timestamp::now());
            metrics::counter!(metric::HANDOFF_OUTCOMES, "outcome" => format!("{:?}", live.record.outcome)).increment(1);
            self.scribe.put(Record::Handoff(live.record));
        }
    }

    fn bridged(&mut self, handoff: HandoffId) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return };
        let resumed = live.bridged;
        live.bridged = true;
        live.record.bridged_at.get_or_insert_with(Timestamp::now);
        live.record.agent_id.clone_from(&live.agent);
        self.scribe.put(Record::Handoff(live.record.clone()));
        let message = ToAgent::Connected {
            call_id: live.task.call,
            handoff_id: handoff,
            resumed,
            transcript: live.task.lines.clone(),
        };
        if let Some(agent) = live.agent.clone() {
            self.tell(&agent, message);
        }
    }

    fn line(&mut self, handoff: HandoffId, line: Line) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return };
        let lines = &mut live.task.lines;
        match lines.iter_mut().rev().find(|known| known.seq == line.seq) {
            Some(known) => *known = line.clone(),
            None => lines.push(line.clone()),
        }
        if lines.len() > LINES_KEPT {
            lines.remove(0);
        }
        let call_id = live.task.call;
        if let Some(agent) = live.agent.clone() {
            self.tell(&agent, ToAgent::Transcript { call_id, line });
        }
    }

    fn caller_key(&mut self, handoff: HandoffId, key: Digit) {
        let Some(live) = self.tasks.get(&handoff) else { return };
        let call_id = live.task.call;
        if let Some(agent) = live.agent.clone() {
            self.tell(&agent, ToAgent::Dtmf { call_id, digit: key.get().to_string() });
        }
    }

    fn tell_call(&self, handoff: HandoffId, news: HandoffNews, leg: Option<AgentLeg>) {
        let Some(live) = self.tasks.get(&handoff) else { return };
        if let Err(error) = live.task.commands.try_send(CallCommand::Handoff { news, leg }) {
            // Closed: the call has just ended and its close is on the way. Full: its actor is stuck.
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                error!(call.id = %live.task.call, "A call does not take its handoff news");
            }
        }
    }

    // --- agents -------------------------------------------------------------------------------------------------

    fn connect(
        &mut self,
        agent: AgentId,
        name: String,
        out: mpsc::Sender<AgentOut>,
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
        self.agents.insert(agent.clone(), Client { name: name.clone(), session: number, out });
        let hello = ToAgent::Hello {
            version: PROTOCOL_VERSION,
            agent_id: agent.clone(),
            name,
            ping_ms: PING.as_millis() as u32,
            dispositions: self.dispositions.clone(),
        };
        self.tell(&agent, hello);
        self.told_queue = None;
        self.step(DeskInput::Connected { agent, session: number }, actions);
    }

    /// Sends to an agent's client; one that does not read is dropped.
    fn tell(&mut self, agent: &AgentId, message: ToAgent) {
        self.send_out(agent, AgentOut::Message(message));
    }

    fn send_out(&mut self, agent: &AgentId, out: AgentOut) {
        let Some(client) = self.agents.get(agent) else { return };
        if client.out.try_send(out).is_err() {
            warn!(agent.id = %agent, "An agent's client does not read; dropping its connection");
            // Dropping the sender ends the socket's task, which reports the disconnect.
            self.agents.remove(agent);
        }
    }

    fn agent_says(&mut self, agent: AgentId, message: FromAgent, actions: &mut Vec<DeskAction>) {
        match message {
            FromAgent::SetState { state } => self.step(DeskInput::StateChosen(agent, state), actions),
            FromAgent::Accept { offer_id } => self.step(DeskInput::Accepted(agent, offer_id), actions),
            FromAgent::Reject { offer_id, reason } => {
                if let Some(offer) = self.offers.get_mut(&offer_id) {
                    offer.reason = reason.map(|text| text.chars().take(500).collect());
                }
                self.step(DeskInput::Rejected(agent, offer_id), actions);
            }
            FromAgent::Hold { on } => {
                self.tell_contact(&agent, HandoffNews::Hold(on));
                if let Some(call_id) = self.contact_call(&agent) {
                    self.tell(&agent, ToAgent::Hold { call_id, on });
                }
            }
            FromAgent::Dtmf { digit } => match digit.chars().next().and_then(Digit::new) {
                Some(digit) => self.tell_contact(&agent, HandoffNews::Key(digit)),
                None => self.refuse(&agent, "bad_digit", "That is no key of a telephone."),
            },
            FromAgent::End => {
                self.tell_contact(&agent, HandoffNews::Ended);
                if let Some(handoff) = self.machine.contact_of(&agent) {
                    self.step(DeskInput::ConversationEnded(handoff, CallEnd::AgentEnded), actions);
                }
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
            FromAgent::AcknowledgeMissed => self.step(DeskInput::MissedAcknowledged(agent), actions),
            FromAgent::Ping { n } => self.tell(&agent, ToAgent::Pong { n }),
        }
    }

    fn refuse(&mut self, agent: &AgentId, code: &str, message: &str) {
        self.tell(agent, ToAgent::Error { code: code.to_owned(), message: message.to_owned() });
    }

    fn contact_call(&self, agent: &AgentId) -> Option<CallId> {
        let handoff = self.machine.contact_of(agent)?;
        self.tasks.get(&handoff).map(|live| live.task.call)
    }

    fn tell_contact(&mut self, agent: &AgentId, news: HandoffNews) {
        match self.machine.contact_of(agent) {
            Some(handoff) => self.tell_call(handoff, news, None),
            None => self.refuse(agent, "no_call", "You are on no call."),
        }
    }

    // --- actions ------------------------------------------------------------------------------------------------

    fn perform(&mut self, actions: Vec<DeskAction>) {
        for action in actions {
            match action {
                DeskAction::Offer { offer, handoff, agent, until } => self.offer(offer, handoff, agent, until.into()),
                DeskAction::OfferEnded { offer, handoff, agent, result } => {
                    self.offer_ended(offer, handoff, agent, result)
                }
                DeskAction::OfferGone(agent, _) => {
                    self.refuse(&agent, "offer_gone", "This caller is no longer waiting for you.")
                }
                DeskAction::Assign { handoff, agent } => {
                    if let Some(live) = self.tasks.get_mut(&handoff) {
                        live.agent = Some(agent.clone());
                    }
                    let leg = self.open_leg(&agent);
                    let name = self.agents.get(&agent).map_or_else(String::new, |client| client.name.clone());
                    self.tell_call(handoff, HandoffNews::Accepted { agent, name }, leg);
                }
                DeskAction::AgentLost(handoff) => self.tell_call(handoff, HandoffNews::AgentLost, None),
                DeskAction::AgentReturned { handoff, agent } => {
                    let leg = self.open_leg(&agent);
                    self.tell_call(handoff, HandoffNews::AgentReturned, leg);
                }
                DeskAction::Requeued(handoff) => {
                    if let Some(live) = self.tasks.get_mut(&handoff) {
                        live.agent = None;
                        live.requested = Instant::now();
                    }
                    self.tell_call(handoff, HandoffNews::Requeued, None);
                }
                DeskAction::Place { handoff, position, staffed } => {
                    self.tell_call(handoff, HandoffNews::Queued { position, staffed }, None);
                }
                DeskAction::WrapUp { agent, handoff, reason, until } => {
                    self.wrap_up(agent, handoff, reason, until.into());
                }
                DeskAction::State(agent) => {
                    if let Some((state, span, next)) = self.machine.agent_state(&agent, Instant::now().into_std()) {
                        if state != AgentState::WrapUp {
                            self.finished.remove(&agent);
                        }
                        self.tell(&agent, ToAgent::State { state, for_ms: span.as_millis() as u64, next });
                    }
                }
                DeskAction::CloseSession(..) => {} // The newer client has replaced the older one in `connect` already.
            }
        }
    }

    /// Two bounded pipes: one to the agent's socket, their other ends to the call.
    fn open_leg(&mut self, agent: &AgentId) -> Option<AgentLeg> {
        let (to_agent, from_caller) = mpsc::channel(LEG_FRAMES);
        let (to_caller, from_agent) = mpsc::channel(LEG_FRAMES);
        self.send_out(agent, AgentOut::Leg { to_caller, from_caller });
        self.agents.contains_key(agent).then_some(AgentLeg { to_agent, from_agent })
    }

    fn offer(&mut self, offer: OfferId, handoff: HandoffId, agent: AgentId, until: Instant) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return };
        live.agent = Some(agent.clone());
        let waiting = live.requested.elapsed();
        metrics::histogram!(metric::OFFER_SECONDS).record(waiting.as_secs_f64());
        let message = ToAgent::Offer(Offer {
            offer_id: offer,
            handoff_id: handoff,
            call_id: live.task.call,
            reason: live.task.reason,
            summary: live.task.summary.clone(),
            transcript: live.task.lines.clone(),
            waiting_ms: waiting.as_millis() as u64,
            expires_in_ms: until.saturating_duration_since(Instant::now()).as_millis() as u64,
            provider: live.task.provider.to_owned(),
        });
        let record = OfferRecord {
            id: offer,
            handoff_id: handoff,
            call_id: live.task.call,
            agent_id: agent.clone(),
            offered_at: Timestamp::now(),
            ended_at: None,
            result: None,
            reason: None,
        };
        self.scribe.put(Record::Offer(record.clone()));
        self.offers.insert(offer, record);
        self.tell(&agent, message);
    }

    /// Wrap-up begins; or the agent's page was loaded anew and knows nothing of it.
    fn wrap_up(&mut self, agent: AgentId, handoff: HandoffId, reason: CallEnd, until: Instant) {
        let wrap_up_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let again = self.finished.get(&agent).filter(|finished| finished.handoff == handoff);
        if let Some(Finished { call, lines, .. }) = again {
            let message = ToAgent::CallEnded { call_id: *call, reason, wrap_up_ms, transcript: lines.clone() };
            self.tell(&agent, message);
            return;
        }
        self.send_out(&agent, AgentOut::LegClosed);
        if let Some(live) = self.tasks.get(&handoff) {
            let (call, lines) = (live.task.call, live.task.lines.clone());
            self.finished.insert(agent.clone(), Finished { handoff, call, lines });
            self.tell(&agent, ToAgent::CallEnded { call_id: call, reason, wrap_up_ms, transcript: Vec::new() });
        }
    }

    fn offer_ended(&mut self, offer: OfferId, handoff: HandoffId, agent: AgentId, result: OfferResult) {
        if let Some(mut record) = self.offers.remove(&offer) {
            record.ended_at = Some(Timestamp::now());
            record.result = Some(result);
            self.scribe.put(Record::Offer(record));
        }
        if let Some(live) = self.tasks.get_mut(&handoff)
            && result != OfferResult::Accepted
        {
            live.agent = None;
        }
        self.tell(&agent, ToAgent::OfferEnded { offer_id: offer, result });
    }

    fn tell_queue(&mut self) {
        let census = self.machine.census();
        for state in [
            AgentState::Available,
            AgentState::Reserved,
            AgentState::OnContact,
            AgentState::WrapUp,
            AgentState::Missed,
            AgentState::Break,
        ] {
            let count = census.get(state.as_str()).copied().unwrap_or(0);
            metrics::gauge!(metric::AGENTS, "state" => state.as_str()).set(f64::from(count));
        }
        let (waiting, longest) = self.machine.queue(Instant::now().into_std());
        if self.told_queue == Some(waiting) {
            return;
        }
        self.told_queue = Some(waiting);
        metrics::gauge!(metric::QUEUE_LENGTH).set(f64::from(waiting));
        let agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        for agent in agents {
            self.tell(&agent, ToAgent::Queue { waiting, longest_ms: longest.as_millis() as u64 });
        }
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
