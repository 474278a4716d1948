//! RUNTIME of the desk: one task owns [`DeskMachine`], knows each agent's socket and each waiting call, and keeps records.
//!
//! Control path. Nobody waits for a slow agent: a socket whose queue is full is dropped, which the machine sees as a lost
//! connection. Calls are told with `try_send`, so that desk and call can never wait for each other in a circle.

mod agents;
mod calls;
mod claims;
mod consulting;
mod contacts;
mod drafts;
pub mod ledger;
mod offers;
mod queue_news;
mod supervising;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::drafts::NoteWriter;
pub use super::handle::{AgentLeg, AgentOut, DeskCensus, DeskHandle, HandoffTask, LiveAgent, LiveDesk};

use self::claims::Claiming;
use self::consulting::Parked;
use self::contacts::Contact;
use self::drafts::Summary;
use self::ledger::Stand;
use self::queue_news::QueueNews;
use self::supervising::KnownCall;
use super::handle::DeskMessage;
use super::machine::{DeskAction, DeskInput, DeskMachine};
use super::routing::{Cause, Facts, Left, Plan};
use super::wire::{AgentState, Line, ToAgent, WrapUpDraft};
use super::{AgentId, HandoffId, OfferId};
use crate::call::CallId;
use crate::call::input::HandoffNews;
use crate::store::claims::Claims;
use crate::store::scribe::Scribe;
use crate::store::{HandoffRecord, OfferRecord, PartyRecord, UserRole};

/// Control: requests waiting for the desk. Senders wait when it is full.
const DESK_INBOX: usize = 1_024;
/// How much of agents' time a crash may cost at most.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// Between pings of an agent's client.
pub const PING: Duration = Duration::from_secs(10);

/// Until then; for ever, where nothing is due.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

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
    /// Where it is decided who has a caller when several servers share the records; none: here alone.
    pub claims: Option<Arc<dyn Claims>>,
}

/// A desk and the future that runs it; the caller owns the task.
pub fn open(
    settings: DeskSettings,
    scribe: Scribe,
    cancel: CancellationToken,
) -> (DeskHandle, impl Future<Output = ()>) {
    let (sender, inbox) = mpsc::channel(DESK_INBOX);
    let DeskSettings { plan, dispositions, language, tells_supervised, writer, outside, park_limit, claims } = settings;
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
        queue_news: QueueNews::default(),
        newcomers: Vec::new(),
        answers: HashMap::new(),
        beeps: HashSet::new(),
        claiming: Claiming::new(claims),
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
    /// What the caller was told of the queue last.
    told: String,
    /// How often somebody took the caller, as far as this desk knows.
    taken: u32,
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
    queue_news: QueueNews,
    /// When offers are answered by themselves.
    answers: HashMap<OfferId, Instant>,
    /// Whose offer is being answered by itself.
    beeps: HashSet<AgentId>,
    claiming: Claiming,
    /// Their clients have not been told yet how many wait.
    newcomers: Vec<AgentId>,
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
                Some(answer) = self.claiming.next() => self.claimed(answer, &mut actions),
                _ = keep.tick() => self.keep_stands(),
                () = until(self.queue_news.due()) => {}
                () = until(deadline) => {
                    self.lost_unnoticed(&mut actions);
                    self.unheard_are_not_answered_for(&mut actions);
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
                let why = self.machine.why(Instant::now().into_std(), handoff);
                let _ = sender.send(why.map(|why| why.text)); // As above.
            }
            DeskMessage::Reload(plan) => self.machine.reload(Instant::now().into_std(), plan, actions),
        }
    }

    // --- actions ------------------------------------------------------------------------------------------------

    fn perform(&mut self, actions: Vec<DeskAction>) {
        for action in actions {
            match action {
                DeskAction::Offer { offer, handoff, agent, until, answers } => {
                    let until = self.machine.instant(until).into();
                    let answers = answers.map(|at| self.machine.instant(at).into());
                    self.offer(offer, handoff, agent, until, answers);
                }
                DeskAction::AnsweredByItself(agent, offer) => {
                    self.answered_by_itself(&agent, offer);
                    let mut more = Vec::new();
                    self.accept(agent, offer, &mut more);
                    self.perform(more);
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
                    self.beep_first(&agent, leg.as_ref());
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
                    self.tell_queue_message(handoff);
                    self.tell_call(
                        handoff,
                        HandoffNews::Queued { position, staffed, wait: self.machine.estimate(handoff) },
                        None,
                    );
                }
                DeskAction::Exit(handoff, exit) => {
                    // The call tells the ways out there are, once, and the caller keeps the place until one is chosen:
                    // nobody is sent away.
                    info!(handoff.id = %handoff.0, exit = exit.as_str(), "The last step is over");
                    self.tell_call(handoff, HandoffNews::Queued { position: 1, staffed: 0, wait: None }, None);
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
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
