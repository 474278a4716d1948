//! Callers who are called back: all open ones, each in a task of its own. What is decided when is in
//! [`crate::handoff::callback`]; here are the clock, the desk, the provider and the records.
//!
//! They are on record before anything is done, and taken up again after a restart. Where no provider can make the call, a wish
//! stays among the messages, for an agent to dial.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};
use uuid::Uuid;

use super::{Answer, DialError, Dialler, Ringing, ring};
use crate::call::CallId;
use crate::call::away::Away;
use crate::call::directory::{Answered, CalledBack, Directory};
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::call::returning::{OpenWish, Returning};
use crate::dialog::brief::{brief, why};
use crate::dialog::language::Language;
use crate::handoff::actor::{AgentLeg, DeskHandle, HandoffTask};
use crate::handoff::callback::{Action, Callback, CallbackEnd, Input, Rules, State};
use crate::handoff::routing::Moment;
use crate::handoff::routing::hours::Calendar;
use crate::handoff::wire::{Brief, CallEnd};
use crate::handoff::{AgentId, HandoffId, HandoffReason};
use crate::said::Said;
use crate::store::scribe::{Record, Scribe};
use crate::store::{CallbackRecord, HandoffOutcome, MessageKind, MessageRecord, Store};
use crate::telemetry::{Pii, metric};
use crate::telephony::protocol::Speaker;
use crate::telephony::providers;

/// Control: wishes waiting. One more stays among the messages, for an agent.
const WISHES: usize = 256;
/// Control: what one callback is told. Senders wait when it is full.
const INPUTS: usize = 16;
/// Who took care of a message, where it was the callback itself.
const CALLED_BACK: &str = "called_back";
/// Who took care of a second wish of the same caller.
const SAME_CALLER: &str = "same_caller";

/// A wish to be called back, with what an agent needs to know.
#[derive(Clone, Debug)]
pub struct Booking {
    /// On record.
    pub record: CallbackRecord,
    /// Where.
    pub number: Pii<String>,
    /// Two lines for the agent.
    pub summary: Vec<String>,
    /// The same at length.
    pub brief: Brief,
    /// Who spoke with the caller before.
    pub known_agent: Option<AgentId>,
    /// What they speak, if it is not the configuration's language.
    pub language: Option<Language>,
}

#[derive(Debug)]
enum Wish {
    Book(Box<Booking>),
    DoneByHand(Uuid),
    Spoke(Pii<String>),
}

/// Takes wishes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Callbacks {
    wishes: mpsc::Sender<Wish>,
}

impl Callbacks {
    /// Whoever sends these is heard by nobody: for tests of other things.
    pub fn nowhere() -> Self {
        Self { wishes: mpsc::channel(1).0 }
    }

    /// Somebody wants to be called back. It is among the messages already, so nothing is lost when this is full.
    pub fn book(&self, booking: Booking) {
        if self.wishes.try_send(Wish::Book(Box::new(booking))).is_err() {
            warn!("Nobody takes callbacks: this one waits among the messages");
        }
    }

    /// Somebody took care of this message.
    pub async fn done(&self, message: Uuid) {
        // Gone: the server stops, and the message is done on record.
        let _ = self.wishes.send(Wish::DoneByHand(message)).await;
    }

    /// This caller speaks with a person.
    pub fn spoke(&self, number: Pii<String>) {
        // Full: they are called back once too often, which they can say.
        let _ = self.wishes.try_send(Wish::Spoke(number));
    }
}

/// What callbacks need of the rest of the server.
pub struct Means {
    /// People.
    pub desk: DeskHandle,
    /// Makes calls.
    pub dialler: Arc<dyn Dialler>,
    /// Who is awaited.
    pub away: Arc<Away>,
    /// Opens calls.
    pub directory: Arc<Directory>,
    /// Where wishes are.
    pub store: Arc<dyn Store>,
    /// Records.
    pub scribe: Scribe,
    /// What the operator decided.
    pub rules: Rules,
    /// When people may be called now; `None`: always.
    pub hours: Box<dyn Fn() -> Option<Calendar> + Send + Sync>,
}

/// Where to send wishes, and where they arrive; [`run`] takes the latter.
pub fn channel() -> (Callbacks, Inbox) {
    let (wishes, inbox) = mpsc::channel(WISHES);
    (Callbacks { wishes }, Inbox(inbox))
}

/// See [`channel`].
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Wish>);

/// Runs all callbacks until `cancel`; those that are open then are taken up at the next start.
pub async fn run(means: Means, Inbox(mut wishes): Inbox, cancel: CancellationToken) {
    let means = Arc::new(means);
    let mut open =
        Open { means: means.clone(), by_message: HashMap::new(), tasks: JoinSet::new(), cancel: cancel.clone() };
    match means.store.open_callbacks().await {
        Ok(records) => {
            for (record, number) in records {
                let summary = record.summary.clone();
                let brief = Brief::because(&why(HandoffReason::Callback));
                open.book(Booking { record, number, summary, brief, known_agent: None, language: None });
            }
        }
        Err(error) => warn!(%error, "Callbacks of before the start can't be read; they wait among the messages"),
    }
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            wish = wishes.recv() => match wish {
                Some(Wish::Book(booking)) => open.book(*booking),
                Some(Wish::DoneByHand(message)) => open.tell(message, Input::DoneByHand).await,
                Some(Wish::Spoke(number)) => {
                    let theirs = |one: &(&Uuid, &Entry)| one.1.number == number;
                    if let Some(message) = open.by_message.iter().find(theirs).map(|(message, _)| *message) {
                        open.tell(message, Input::CalledAgain).await;
                    }
                }
                None => break,
            },
            Some(over) = open.tasks.join_next() => if let Ok(message) = over {
                open.by_message.remove(&message);
            },
        }
    }
    while open.tasks.join_next().await.is_some() {}
}

struct Entry {
    number: Pii<String>,
    inputs: mpsc::Sender<Input>,
}

struct Open {
    means: Arc<Means>,
    by_message: HashMap<Uuid, Entry>,
    tasks: JoinSet<Uuid>,
    cancel: CancellationToken,
}

impl Open {
    fn book(&mut self, booking: Booking) {
        let message = booking.record.message_id;
        let own = providers::find(&booking.record.provider).map(|row| row.name);
        let through = self.means.dialler.through(own).filter(|_| self.means.rules.attempts > 0);
        let Some(provider) = through else {
            info!(message.id = %message, "A callback waits for an agent to dial");
            return;
        };
        if self.by_message.contains_key(&message) {
            return;
        }
        if self.by_message.values().any(|other| other.number == booking.number) {
            // The first wish has the better place.
            info!(message.id = %message, "This caller is called back already");
            let (store, by) = (self.means.store.clone(), AgentId(SAME_CALLER.to_owned()));
            self.tasks.spawn(async move {
                if let Err(error) = store.finish_message(message, &by, Timestamp::now()).await {
                    warn!(%error, message.id = %message, "A second wish could not be noted as done");
                }
                message
            });
            return;
        }
        self.means.scribe.put(Record::Callback(booking.record.clone()));
        let (inputs, told) = mpsc::channel(INPUTS);
        self.by_message.insert(message, Entry { number: booking.number.clone(), inputs });
        let span = info_span!("callback", message.id = %message);
        let runner = Runner::new(self.means.clone(), booking, provider, self.cancel.clone());
        self.tasks.spawn(runner.run(told).instrument(span));
    }

    async fn tell(&self, message: Uuid, input: Input) {
        if let Some(entry) = self.by_message.get(&message) {
            let _ = entry.inputs.send(input).await; // Over already: as well.
        }
    }
}

/// One callback.
struct Runner {
    means: Arc<Means>,
    booking: Booking,
    provider: &'static str,
    machine: Callback,
    cancel: CancellationToken,
    /// From the desk.
    commands: mpsc::Sender<CallCommand>,
    /// While it is in line, or an agent waits with us.
    handoff: Option<HandoffId>,
    agent: Option<(AgentId, String)>,
    leg: Option<AgentLeg>,
    dialling: Option<BoxFuture<'static, Result<Ringing, DialError>>>,
    ringing: Option<Ringing>,
    over: bool,
}

fn moment(at: Timestamp) -> Moment {
    Moment::from_ms(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

fn now() -> Moment {
    moment(Timestamp::now())
}

impl Runner {
    fn new(means: Arc<Means>, booking: Booking, provider: &'static str, cancel: CancellationToken) -> Self {
        let CallbackRecord { wanted_since, tries, not_before, .. } = booking.record;
        let rules = Rules { hours: (means.hours)(), ..means.rules.clone() };
        let machine = Callback::new(rules, moment(wanted_since), tries, moment(not_before));
        Self {
            means,
            booking,
            provider,
            machine,
            cancel,
            commands: mpsc::channel(1).0,
            handoff: None,
            agent: None,
            leg: None,
            dialling: None,
            ringing: None,
            over: false,
        }
    }

    async fn run(mut self, mut told: mpsc::Receiver<Input>) -> Uuid {
        let (commands, mut desk) = mpsc::channel(crate::call::handle::CALL_COMMANDS);
        self.commands = commands;
        while !self.over {
            let due = self.machine.poll_timeout().map(|due| Instant::now() + due.since(now()));
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    self.stopping().await;
                    break;
                }
                Some(command) = desk.recv() => self.desk_says(command).await,
                Some(input) = told.recv() => self.step(input).await,
                dialled = dialled(&mut self.dialling) => {
                    self.dialling = None;
                    match dialled {
                        Ok(ringing) => self.ringing = Some(ringing),
                        Err(error) => {
                            warn!(%error, "A caller could not be called back");
                            self.step(Input::NotReached).await;
                        }
                    }
                }
                answer = answered(&mut self.ringing) => match answer {
                    Answer::Leg(leg) => self.join(*leg).await,
                    Answer::Missed(why) => {
                        info!(why = why.as_str(), "The caller was not reached");
                        self.ringing = None;
                        self.step(Input::NotReached).await;
                    }
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let mut actions = Vec::new();
                    self.machine.keep_hours((self.means.hours)());
                    self.machine.handle_timeout(now(), &mut actions);
                    self.perform(actions).await;
                }
            }
        }
        self.booking.record.message_id
    }

    async fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.machine.keep_hours((self.means.hours)());
        self.machine.step(now(), input, &mut actions);
        self.perform(actions).await;
    }

    async fn desk_says(&mut self, command: CallCommand) {
        let CallCommand::Handoff { news, leg } = command else { return };
        match news {
            HandoffNews::Queued { position, staffed, .. } => self.step(Input::Place { position, staffed }).await,
            // Nobody is on a line to hear it.
            HandoffNews::QueueMessage(_) => {}
            HandoffNews::Accepted { agent, name } => {
                (self.agent, self.leg) = (Some((agent, name)), leg);
                self.step(Input::Accepted).await;
            }
            HandoffNews::AgentReturned => self.leg = leg,
            HandoffNews::AgentLost => self.leg = None,
            HandoffNews::Requeued | HandoffNews::Transferred | HandoffNews::AimMissed | HandoffNews::Parked => {
                (self.agent, self.leg) = (None, None);
                self.step(Input::Requeued).await;
            }
            HandoffNews::Ended | HandoffNews::HandedBack | HandoffNews::SentOutside => {
                (self.agent, self.leg) = (None, None);
                self.close(HandoffOutcome::NotReached).await;
                self.step(Input::AgentLeft).await;
            }
            HandoffNews::ForceEnded => self.step(Input::DoneByHand).await,
            HandoffNews::Succeeded { agent, name } => {
                self.agent = Some((agent, name));
                self.leg = leg.or(self.leg.take());
            }
            // Between agents; the caller is not on the line yet.
            HandoffNews::Consult(_) | HandoffNews::ColleagueJoined { .. } | HandoffNews::ConsultOver => {}
            HandoffNews::Hold(_) | HandoffNews::Keys(_) | HandoffNews::TakeOver => {}
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Enter => self.enter().await,
                Action::Leave => self.close(HandoffOutcome::NotReached).await,
                Action::ReleaseAgent => {
                    (self.agent, self.leg) = (None, None);
                    if let Some(handoff) = self.handoff {
                        self.means.desk.ended(handoff, CallEnd::NotReached).await;
                    }
                    self.close(HandoffOutcome::NotReached).await;
                }
                Action::Dial => self.dial(),
                Action::HangUp => {
                    self.dialling = None;
                    if let Some(ringing) = self.ringing.take() {
                        self.means.dialler.hang_up(self.provider, &ringing.call_id).await;
                    }
                }
                // Where the line is at hand: in `join`.
                Action::Join => {}
                Action::Finish(end) => self.finish(end).await,
            }
        }
        if !self.over {
            self.note();
        }
    }

    /// In line, as old as the wish.
    async fn enter(&mut self) {
        let handoff = HandoffId::generate();
        self.handoff = Some(handoff);
        let task = HandoffTask {
            id: handoff,
            call: self.booking.record.call_id,
            reason: HandoffReason::Callback,
            summary: self.booking.summary.clone(),
            brief: self.booking.brief.clone(),
            known_agent: self.booking.known_agent.clone(),
            provider: self.provider,
            language: self.booking.language,
            caller: None,
            lines: Vec::new(),
            waiting_since: Some(self.booking.record.wanted_since),
            first: false,
            continues: None,
            commands: self.commands.clone(),
        };
        self.means.desk.request(task).await;
    }

    async fn close(&mut self, outcome: HandoffOutcome) {
        if let Some(handoff) = self.handoff.take() {
            self.means.desk.close(handoff, outcome).await;
        }
    }

    fn dial(&mut self) {
        let (means, provider, number) = (self.means.clone(), self.provider, self.booking.number.clone());
        let cancel = self.means.directory.child_token();
        info!(tries = self.machine.tries(), "Calling back");
        self.dialling =
            Some(Box::pin(async move { ring(means.dialler.as_ref(), &means.away, provider, &number, cancel).await }));
    }

    /// The caller has answered: from here on it is a call like any other, with this agent or first in line.
    async fn join(&mut self, leg: crate::call::handle::LegIo) {
        let (Some(ringing), Some(handoff)) = (self.ringing.take(), self.handoff.take()) else { return };
        let agent = self.agent.take().map(|(id, name)| (id, name, self.leg.take()));
        let answered = Answered {
            call: ringing.call,
            provider: self.provider,
            provider_call_id: ringing.name().to_owned(),
            number: self.booking.number.clone(),
            cancel: ringing.cancel.clone(),
        };
        self.means.directory.called_back(answered, leg, CalledBack { handoff, agent });
        self.step(Input::Answered).await;
    }

    /// How it stands, on record.
    fn note(&mut self) {
        let record = &mut self.booking.record;
        let not_before = match self.machine.state() {
            State::Resting(until) => until,
            // A telephone that rang when the server stopped is tried again, and the try counts.
            State::InLine | State::Ringing { .. } | State::Over(_) => now(),
        };
        let not_before = i64::try_from(not_before.ms()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        (record.tries, record.not_before) = (self.machine.tries(), not_before.unwrap_or(record.not_before));
        self.means.scribe.put(Record::Callback(record.clone()));
    }

    async fn finish(&mut self, end: CallbackEnd) {
        self.over = true;
        let now = Timestamp::now();
        let record = &mut self.booking.record;
        (record.tries, record.ended_at, record.end) = (self.machine.tries(), Some(now), Some(end));
        self.means.scribe.put(Record::Callback(record.clone()));
        info!(?end, tries = record.tries, "A callback is over");
        metrics::counter!(metric::CALLBACKS, "end" => end.as_str()).increment(1);
        if matches!(end, CallbackEnd::Reached | CallbackEnd::CalledAgain) {
            let by = AgentId(CALLED_BACK.to_owned());
            if let Err(error) = self.means.store.finish_message(record.message_id, &by, now).await {
                warn!(%error, "A callback's message could not be noted as done");
            }
        }
    }

    /// The server stops: whoever rings rings no more, and the agent is let go. It goes on after the next start.
    async fn stopping(&mut self) {
        if let Some(ringing) = self.ringing.take() {
            self.means.dialler.hang_up(self.provider, &ringing.call_id).await;
        }
        self.note();
        self.close(HandoffOutcome::Interrupted).await;
    }
}

/// Who was cut off while they waited for a person or spoke with one, and does not come back in time, is called back.
pub async fn for_those_cut_off(
    returning: Arc<Returning>,
    callbacks: Callbacks,
    scribe: Scribe,
    patience: Duration,
    cancel: CancellationToken,
) {
    if cancel.run_until_cancelled(tokio::time::sleep(patience)).await.is_none() {
        return;
    }
    for lost in returning.give_up() {
        let (Some(wish), Some(number)) = (lost.wish, lost.number) else { continue };
        let OpenWish { reason, since, agent: known_agent, .. } = wish;
        info!(call.id = %lost.call, "A caller was lost with a restart and is called back");
        let said: Vec<&str> =
            lost.lines.iter().filter(|line| line.who == Speaker::Caller).map(|line| line.text.as_str()).collect();
        let summary = brief(&said, reason, &[]);
        let message = MessageRecord {
            id: Uuid::now_v7(),
            call_id: lost.call,
            kind: MessageKind::Callback,
            created_at: Timestamp::now(),
            number: Some(number.clone()),
            recording: None,
            text: Some("Cut off when the server was started anew.".to_owned()),
            done_by: None,
            done_at: None,
        };
        scribe.put(Record::Message(message.clone()));
        callbacks.book(Booking {
            language: None,
            record: record(message.id, lost.call, lost.provider, since, summary.clone()),
            number,
            summary,
            brief: Brief::because(&Said::new("brief_cut_off", "Was cut off by a fault of ours.")),
            known_agent,
        });
    }
}

pub(super) async fn dialled(
    dialling: &mut Option<BoxFuture<'static, Result<Ringing, DialError>>>,
) -> Result<Ringing, DialError> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn answered(ringing: &mut Option<Ringing>) -> Answer {
    match ringing {
        Some(ringing) => ringing.answer().await,
        None => std::future::pending().await,
    }
}

/// A record of a wish that begins now.
pub fn record(
    message_id: Uuid,
    call_id: CallId,
    provider: &str,
    wanted_since: Timestamp,
    summary: Vec<String>,
) -> CallbackRecord {
    CallbackRecord {
        message_id,
        call_id,
        provider: provider.to_owned(),
        summary,
        wanted_since,
        tries: 0,
        not_before: Timestamp::now(),
        ended_at: None,
        end: None,
    }
}
