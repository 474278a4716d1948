//! RUNTIME of the desk: one task owns [`DeskMachine`], knows each agent's socket and each waiting call, and keeps records.
//!
//! Control path. Nobody waits for a slow agent: a socket whose queue is full is dropped, which the machine sees as a lost
//! connection. Calls are told with `try_send`, so that desk and call can never wait for each other in a circle.

mod consulting;
mod contacts;
mod drafts;
pub mod ledger;
mod supervising;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::drafts::NoteWriter;
pub use super::handle::{AgentLeg, AgentOut, DeskCensus, DeskHandle, HandoffTask, LiveDesk};

use self::consulting::Parked;
use self::contacts::Contact;
use self::drafts::Summary;
use self::ledger::Stand;
use self::supervising::KnownCall;
use super::handle::DeskMessage;
use super::machine::{DeskAction, DeskInput, DeskMachine};
use super::routing::{Cause, Facts, Left, Moment, Plan};
use super::wire::{
    AgentState, CallEnd, FromAgent, Line, MAX_KEYS, Offer, OfferResult, PROTOCOL_VERSION, ToAgent, WrapUpDraft,
};
use super::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::store::scribe::{Record, Scribe};
use crate::store::{HandoffOutcome, HandoffRecord, OfferRecord, Part, PartyRecord, UserRole, WrapUpRecord};
use crate::telemetry::metric;
use crate::telephony::protocol::Digit;

/// Control: requests waiting for the desk. Senders wait when it is full.
const DESK_INBOX: usize = 1_024;
/// Media: 400 ms of voice each way between caller and agent. When full the newest frame is dropped and counted.
const LEG_FRAMES: usize = 20;
/// Lines of a transcript kept for whoever is offered the call.
const LINES_KEPT: usize = 200;
/// How much of agents' time a crash may cost at most.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// Between pings of an agent's client.
pub const PING: Duration = Duration::from_secs(10);
/// Longer than between two pings: who has said nothing for so long since an offer was made has not seen it.
const DEAD_LINE: Duration = Duration::from_secs(15);

/// What the desk is told once.
#[derive(Clone, Default)]
pub struct DeskSettings {
    /// Who gets which caller.
    pub plan: Plan,
    /// What agents may choose at wrap-up.
    pub dispositions: Vec<String>,
    /// The language callers are understood in.
    pub language: String,
    /// Agents are told who listens to their calls.
    pub tells_supervised: bool,
    /// Puts conversations into a few sentences, better than rules can.
    pub writer: Option<Arc<dyn NoteWriter>>,
    /// Telephones outside that agents may give callers to, by the name agents see.
    pub outside: BTreeMap<String, String>,
    /// How long a parked caller waits to be picked up.
    pub park_limit: Duration,
}

/// A desk and the future that runs it; the caller owns the task.
pub fn open(
    settings: DeskSettings,
    scribe: Scribe,
    cancel: CancellationToken,
) -> (DeskHandle, impl Future<Output = ()>) {
    let (sender, inbox) = mpsc::channel(DESK_INBOX);
    let DeskSettings { plan, dispositions, language, tells_supervised, writer, outside, park_limit } = settings;
    let now = Instant::now().into_std();
    let desk = Desk {
        machine: DeskMachine::new(Arc::new(plan), now, Timestamp::now(), rand::random()),
        scribe,
        sessions_made: 0,
        agents: HashMap::new(),
        tasks: HashMap::new(),
        offers: HashMap::new(),
        made: HashMap::new(),
        finished: HashMap::new(),
        dispositions,
        language,
        calls: HashMap::new(),
        stands: HashMap::new(),
        contacts: HashMap::new(),
        tells_supervised,
        writer,
        summaries: JoinSet::new(),
        beside: HashMap::new(),
        parked: HashMap::new(),
        parked_changed: false,
        parties: HashMap::new(),
        outside,
        park_limit,
        told_queue: None,
    };
    (DeskHandle { inbox: sender }, desk.run(inbox, cancel))
}

struct Client {
    name: String,
    role: UserRole,
    session: u64,
    out: mpsc::Sender<AgentOut>,
    /// When the client last said something. It pings, so a long silence is a dead line.
    heard: Instant,
}

struct LiveTask {
    task: HandoffTask,
    record: HandoffRecord,
    requested: Instant,
    agent: Option<AgentId>,
    bridged: bool,
    /// Does something else for now: leaves a message, or was given to a telephone.
    suspended: bool,
}

/// What an agent in wrap-up is still told about the call, should their page be loaded anew.
struct Finished {
    handoff: HandoffId,
    call: CallId,
    lines: Vec<Line>,
    draft: Option<WrapUpDraft>,
}

struct Desk {
    machine: DeskMachine,
    scribe: Scribe,
    sessions_made: u64,
    agents: HashMap<AgentId, Client>,
    tasks: HashMap<HandoffId, LiveTask>,
    offers: HashMap<OfferId, OfferRecord>,
    /// When each of them was made.
    made: HashMap<OfferId, Instant>,
    /// At most one an agent, gone with wrap-up.
    finished: HashMap<AgentId, Finished>,
    dispositions: Vec<String>,
    language: String,
    calls: HashMap<CallId, KnownCall>,
    /// What each agent does now, and since when.
    stands: HashMap<AgentId, Stand>,
    /// Conversations, until their wrap-up is over.
    contacts: HashMap<HandoffId, Contact>,
    tells_supervised: bool,
    writer: Option<Arc<dyn NoteWriter>>,
    /// Given up when a caller needs the model.
    summaries: JoinSet<Summary>,
    /// Consultations, by what they are about.
    beside: HashMap<HandoffId, HandoffId>,
    parked: HashMap<HandoffId, Parked>,
    parked_changed: bool,
    /// Who is in which conversation, or is consulted.
    parties: HashMap<(AgentId, HandoffId), PartyRecord>,
    outside: BTreeMap<String, String>,
    park_limit: Duration,
    told_queue: Option<u32>,
}

impl Desk {
    async fn run(mut self, mut inbox: mpsc::Receiver<DeskMessage>, cancel: CancellationToken) {
        let mut keep = tokio::time::interval(KEEP_EVERY);
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
                Some(summary) = self.summaries.join_next() => {
                    // Given up, or broken: the rules' draft stands.
                    if let Ok(summary) = summary {
                        self.summarised(summary);
                    }
                }
                _ = keep.tick() => self.keep_stands(),
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.lost_unnoticed(&mut actions);
                    self.machine.handle_timeout(Instant::now().into_std(), &mut actions);
                }
            }
            self.perform(actions);
            self.tell_parked();
            self.tell_queue();
        }
        self.close_contacts();
        self.close_ledger();
    }

    fn step(&mut self, input: DeskInput, actions: &mut Vec<DeskAction>) {
        self.machine.step(Instant::now().into_std(), input, actions);
    }

    fn take(&mut self, message: DeskMessage, actions: &mut Vec<DeskAction>) {
        match message {
            DeskMessage::Request(task) => self.request(*task, actions),
            DeskMessage::Suspend(handoff) => {
                if let Some(live) = self.tasks.get_mut(&handoff) {
                    live.suspended = true;
                }
                self.step(DeskInput::Left(handoff, Left::ForNow), actions);
            }
            DeskMessage::Unanswered(agent, offer) => self.step(DeskInput::Unanswered(agent, offer), actions),
            DeskMessage::Extend(agent, offer, by) => self.step(DeskInput::Extended(agent, offer, by), actions),
            DeskMessage::Rewire { handoff, call, commands } => self.rewire(handoff, call, commands),
            DeskMessage::Close(handoff, outcome) => self.close(handoff, outcome, actions),
            DeskMessage::Bridged(handoff) => self.bridged(handoff),
            DeskMessage::Sound(handoff) => self.step(DeskInput::MediaUp(handoff), actions),
            DeskMessage::NoSound(handoff) => self.step(DeskInput::FailedConnect(handoff, Cause::Agent), actions),
            DeskMessage::Ended(handoff, reason) => self.step(DeskInput::Ended(handoff, reason), actions),
            DeskMessage::Line(handoff, line) => self.line(handoff, line),
            DeskMessage::Suggest { handoff, question, hits } => {
                let live = self.tasks.get(&handoff).filter(|live| live.bridged);
                if let Some((call_id, agent)) = live.and_then(|live| Some((live.task.call, live.agent.clone()?))) {
                    self.tell(&agent, ToAgent::Suggestions { call_id, question, hits });
                }
            }
            DeskMessage::CallerKey(handoff, key) => self.caller_key(handoff, key),
            DeskMessage::Connect { agent, name, role, out, session } => {
                self.connect(agent, Client { name, role, session: 0, out, heard: Instant::now() }, session, actions);
            }
            DeskMessage::Disconnect { agent, session } => {
                if self.agents.get(&agent).is_some_and(|client| client.session == session) {
                    self.agents.remove(&agent);
                    self.stop_supervising(&agent);
                }
                self.step(DeskInput::Disconnected { agent, session }, actions);
            }
            DeskMessage::FromAgent { agent, session, message } => {
                if let Some(client) = self.agents.get_mut(&agent).filter(|client| client.session == session) {
                    client.heard = Instant::now();
                    self.agent_says(agent, message, actions);
                }
            }
            DeskMessage::Census(sender) => {
                let (waiting, longest) = self.machine.queue(Instant::now().into_std());
                // The asker may have gone; then nobody needs the answer.
                let _ = sender.send(DeskCensus { waiting, longest, agents: self.machine.census() });
            }
            DeskMessage::CallOpened { call, provider, from, commands } => {
                self.call_opened(call, provider, from, commands);
            }
            DeskMessage::CallOver(call) => self.call_over(call),
            DeskMessage::Supervising(call, lines) => self.supervising(call, lines),
            DeskMessage::SupervisedLine(call, line) => self.supervised_line(call, line),
            DeskMessage::Live(sender) => {
                let _ = sender.send(self.live()); // As above.
            }
            DeskMessage::Why(handoff, sender) => {
                let _ = sender.send(self.machine.why(Instant::now().into_std(), handoff)); // As above.
            }
            DeskMessage::Reload(plan) => self.machine.reload(Instant::now().into_std(), plan, actions),
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
                queue: None,
            },
        };
        self.scribe.put(Record::Handoff(record.clone()));
        let known = [("reason", task.reason.as_str()), ("provider", task.provider)];
        let facts = Facts {
            known: known.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            language: Some(self.language.clone()),
            caller: task.caller.clone(),
            known_agent: task.known_agent.clone(),
            waiting_since: task
                .waiting_since
                .and_then(|since| u64::try_from(since.as_millisecond()).ok())
                .map(Moment::from_ms),
            first: task.first,
            ..Facts::default()
        };
        let call = task.call;
        self.tasks.insert(
            id,
            LiveTask { task, record, requested: Instant::now(), agent: None, bridged: false, suspended: false },
        );
        let taker = self.calls.get_mut(&call).and_then(|known| known.taker.take());
        match taker.filter(|agent| self.machine.can_take_over(agent)) {
            Some(agent) => self.step(DeskInput::TakenOver { handoff: id, facts, agent }, actions),
            None => self.step(DeskInput::Requested(id, facts), actions),
        }
        self.note_queue(id);
    }

    /// Who was called back has answered. What was said in the call before has been offered with it.
    fn rewire(&mut self, handoff: HandoffId, call: CallId, commands: mpsc::Sender<CallCommand>) {
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.task.call, live.task.commands, live.record.call_id) = (call, commands, call);
            live.task.lines.clear();
            self.scribe.put(Record::Handoff(live.record.clone()));
        }
    }

    /// In which queue the caller waits, for the records.
    fn note_queue(&mut self, handoff: HandoffId) {
        let Some(place) = self.machine.place(handoff) else { return };
        if let Some(live) = self.tasks.get_mut(&handoff)
            && live.record.queue.as_deref() != Some(place.queue.as_str())
        {
            live.record.queue = Some(place.queue);
            self.scribe.put(Record::Handoff(live.record.clone()));
        }
    }

    fn close(&mut self, handoff: HandoffId, outcome: HandoffOutcome, actions: &mut Vec<DeskAction>) {
        let how = if outcome == HandoffOutcome::CallerHungUp { Left::HungUp } else { Left::Helped };
        self.step(DeskInput::Left(handoff, how), actions);
        // The actions need the task once more: whom to tell that it ended.
        self.perform(std::mem::take(actions));
        self.unparked(handoff);
        self.parties_left(handoff);
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
        if live.record.bridged_at.is_none() {
            let now = Timestamp::now();
            live.record.bridged_at = Some(now);
            let waited = now.duration_since(live.record.requested_at).as_secs_f64();
            metrics::histogram!(metric::WAIT_SECONDS).record(waited.max(0.0));
        }
        live.record.agent_id.clone_from(&live.agent);
        self.scribe.put(Record::Handoff(live.record.clone()));
        let message = ToAgent::Connected {
            call_id: live.task.call,
            handoff_id: handoff,
            resumed,
            brief: live.task.brief.clone(),
            transcript: live.task.lines.clone(),
            consulted_by: None,
        };
        let (call, reason) = (live.task.call, live.task.reason);
        if let Some(agent) = live.agent.clone() {
            self.contact_began(&agent, handoff, call);
            self.party_joined(&agent, handoff, call, Part::Agent);
            self.tell(&agent, message);
        }
        if reason == HandoffReason::Distress {
            // A rest follows; the router says when.
            let mut actions = Vec::new();
            self.step(DeskInput::Distressing(handoff), &mut actions);
            self.perform(actions);
        }
    }

    fn line(&mut self, handoff: HandoffId, line: Line) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return self.late_line(handoff, line) };
        keep_line(&mut live.task.lines, &line);
        let call_id = live.task.call;
        let colleague = self.machine.consults().about(handoff).and_then(|consult| consult.with.clone());
        for agent in [live.agent.clone(), colleague].into_iter().flatten() {
            self.tell(&agent, ToAgent::Transcript { call_id, line: line.clone() });
        }
    }

    /// Words that were known only after the end: for those who are writing their note.
    fn late_line(&mut self, handoff: HandoffId, line: Line) {
        let writing: Vec<AgentId> =
            self.finished.iter().filter(|(_, one)| one.handoff == handoff).map(|(agent, _)| agent.clone()).collect();
        for agent in writing {
            let Some(finished) = self.finished.get_mut(&agent) else { continue };
            keep_line(&mut finished.lines, &line);
            let message = ToAgent::Transcript { call_id: finished.call, line: line.clone() };
            self.tell(&agent, message);
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
        };
        self.tell(&agent, hello);
        self.parked_changed |= !self.parked.is_empty();
        self.told_queue = None;
        self.step(DeskInput::Connected { agent, name, session: number }, actions);
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
        if self.colleague_says(&agent, &message, actions) {
            return;
        }
        match message {
            FromAgent::SetState { state, code } => {
                let code = code.filter(|code| self.machine.plan().break_codes.contains_key(code));
                self.step(DeskInput::StateChosen(agent, state, code), actions);
            }
            FromAgent::ExtendWrapUp => self.step(DeskInput::WrapUpExtended(agent), actions),
            FromAgent::Accept { offer_id } => self.step(DeskInput::Accepted(agent, offer_id), actions),
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
                DeskAction::Offer { offer, handoff, agent, until } => {
                    self.offer(offer, handoff, agent, self.machine.instant(until).into())
                }
                DeskAction::OfferEnded { offer, handoff, agent, result } => {
                    self.offer_ended(offer, handoff, agent, result)
                }
                DeskAction::OfferGone(agent, _) => {
                    self.refuse(&agent, "offer_gone", "This caller is no longer waiting for you.")
                }
                // A consultation's: the news of it follows.
                DeskAction::Assign { handoff, .. } if self.beside.contains_key(&handoff) => {}
                DeskAction::Assign { handoff, agent } => {
                    self.unparked(handoff);
                    self.stop_supervising(&agent);
                    if let Some(live) = self.tasks.get_mut(&handoff) {
                        live.agent = Some(agent.clone());
                        live.bridged = false;
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
                    self.unparked(handoff);
                    self.parties_left(handoff);
                    self.requeued(handoff);
                }
                DeskAction::AimOver(handoff) => self.tell_call(handoff, HandoffNews::AimMissed, None),
                DeskAction::Succeeded { handoff, consult, agent } => self.succeeded(handoff, consult, agent),
                DeskAction::Released { consult, agent } => self.released(consult, &agent),
                DeskAction::ConnectFailed { handoff, agent, .. } => {
                    self.party_left(&agent, handoff);
                    self.connect_failed(handoff, &agent);
                    self.requeued(handoff);
                }
                DeskAction::Place { handoff, position, staffed } => {
                    self.note_queue(handoff);
                    self.tell_call(handoff, HandoffNews::Queued { position, staffed }, None);
                }
                DeskAction::Exit(handoff, exit) => {
                    // The call tells the ways out there are, once, and the caller keeps the place until one is chosen:
                    // nobody is sent away.
                    info!(handoff.id = %handoff.0, exit = exit.as_str(), "The last step is over");
                    self.tell_call(handoff, HandoffNews::Queued { position: 1, staffed: 0 }, None);
                    let mut more = Vec::new();
                    self.step(DeskInput::Requested(handoff, Facts::default()), &mut more);
                    self.perform(more);
                }
                DeskAction::WrapUp { agent, handoff, reason, until } => {
                    self.wrap_up(agent, handoff, reason, self.machine.instant(until).into());
                }
                DeskAction::State(agent) => {
                    self.note_state(&agent);
                    if let Some((state, span, next)) = self.machine.agent_state(&agent, Instant::now().into_std()) {
                        let code = self.machine.break_code(&agent).map(str::to_owned);
                        if state != AgentState::WrapUp {
                            self.finished.remove(&agent);
                        }
                        self.contacts_left(&agent, state);
                        self.tell(&agent, ToAgent::State { state, for_ms: span.as_millis() as u64, next, code });
                    }
                }
                DeskAction::CloseSession(..) => {} // The newer client has replaced the older one in `connect` already.
            }
        }
        self.consult_news();
    }

    /// An offer runs out and its client has said nothing at all since it was made, though it should have pinged: the line
    /// was dead. That is no miss of the agent's, who never saw the offer.
    fn lost_unnoticed(&mut self, actions: &mut Vec<DeskAction>) {
        let now = Instant::now();
        let dead: Vec<(AgentId, u64)> = self
            .made
            .iter()
            .filter(|(_, made)| now.saturating_duration_since(**made) >= DEAD_LINE)
            .filter_map(|(offer, made)| {
                let agent = &self.offers.get(offer)?.agent_id;
                let client = self.agents.get(agent).filter(|client| client.heard < *made)?;
                Some((agent.clone(), client.session))
            })
            .collect();
        for (agent, session) in dead {
            warn!(agent.id = %agent, "An agent's line is dead; the offer is taken back");
            // Dropping the sender ends the socket's task.
            self.agents.remove(&agent);
            self.stop_supervising(&agent);
            self.step(DeskInput::Disconnected { agent, session }, actions);
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
        let about = self.beside.get(&handoff).copied();
        let Some(live) = self.tasks.get_mut(&about.unwrap_or(handoff)) else { return };
        let waiting = live.requested.elapsed();
        if about.is_none() {
            live.agent = Some(agent.clone());
            metrics::histogram!(metric::OFFER_SECONDS).record(waiting.as_secs_f64());
        }
        let message = Offer {
            offer_id: offer,
            handoff_id: handoff,
            call_id: live.task.call,
            reason: live.task.reason,
            summary: live.task.summary.clone(),
            brief: live.task.brief.clone(),
            transcript: live.task.lines.clone(),
            waiting_ms: waiting.as_millis() as u64,
            expires_in_ms: until.saturating_duration_since(Instant::now()).as_millis() as u64,
            provider: live.task.provider.to_owned(),
            consulted_by: None,
        };
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
        let message = if about.is_some() { self.consult_offer(handoff, message) } else { message };
        self.made.insert(offer, Instant::now());
        self.tell(&agent, ToAgent::Offer(Box::new(message)));
    }

    /// Wrap-up begins; or the agent's page was loaded anew and knows nothing of it.
    fn wrap_up(&mut self, agent: AgentId, handoff: HandoffId, reason: CallEnd, until: Instant) {
        let wrap_up_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let again = self.finished.get(&agent).filter(|finished| finished.handoff == handoff);
        if let Some(Finished { call: call_id, lines, draft, .. }) = again {
            let (transcript, draft) = (lines.clone(), draft.clone());
            let message = ToAgent::CallEnded { call_id: *call_id, reason, wrap_up_ms, transcript, draft };
            self.tell(&agent, message);
            return;
        }
        self.party_left(&agent, handoff);
        self.send_out(&agent, AgentOut::LegClosed);
        self.contact_ended(handoff, reason);
        if let Some(live) = self.tasks.get(self.beside.get(&handoff).unwrap_or(&handoff)) {
            let (call_id, lines, draft) = (live.task.call, live.task.lines.clone(), self.draft(live, reason));
            let finished = Finished { handoff, call: call_id, lines, draft: draft.clone() };
            self.finished.insert(agent.clone(), finished);
            self.tell(&agent, ToAgent::CallEnded { call_id, reason, wrap_up_ms, transcript: Vec::new(), draft });
            self.summarise(&agent, handoff);
        }
    }

    fn requeued(&mut self, handoff: HandoffId) {
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.agent, live.bridged) = (None, false);
            live.requested = Instant::now();
        }
        self.tell_call(handoff, HandoffNews::Requeued, None);
    }

    /// The agent's client shows a call that is somebody else's from now on.
    fn connect_failed(&mut self, handoff: HandoffId, agent: &AgentId) {
        self.send_out(agent, AgentOut::LegClosed);
        self.contact_over(handoff, CallEnd::NoSound);
        if let Some(call_id) = self.tasks.get(self.beside.get(&handoff).unwrap_or(&handoff)).map(|live| live.task.call)
        {
            let reason = CallEnd::NoSound;
            let transcript = Vec::new();
            self.tell(agent, ToAgent::CallEnded { call_id, reason, wrap_up_ms: 0, transcript, draft: None });
        }
    }

    fn offer_ended(&mut self, offer: OfferId, handoff: HandoffId, agent: AgentId, result: OfferResult) {
        metrics::counter!(metric::OFFERS, "result" => result.as_str()).increment(1);
        self.made.remove(&offer);
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
            AgentState::Error,
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

/// In its place, or instead of what it was before.
fn keep_line(lines: &mut Vec<Line>, line: &Line) {
    match lines.iter_mut().rev().find(|known| known.seq == line.seq) {
        Some(known) => known.clone_from(line),
        None => {
            let at = lines.partition_point(|known| known.seq < line.seq);
            lines.insert(at, line.clone());
        }
    }
    if lines.len() > LINES_KEPT {
        lines.remove(0);
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
