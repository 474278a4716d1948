//! Agents at their own telephones. To the desk each is a client like a browser tab; offers come as calls: their telephone rings,
//! our voice tells what it is about, 1 takes the call and 2 declines it. Their voice and the caller's meet here, in our bridge.
//!
//! What is done when is in [`crate::handoff::phone`]; here are the clock, the desk, the provider, the voice and the frames.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Answer, DialError, Dialler, Ringing, ring};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::call::away::Away;
use crate::call::handle::LegIo;
use crate::dialog::speakable::speakable;
use crate::engine::cpu::Priority;
use crate::engine::tts::TtsError;
use crate::engine::tts::voice::Voice;
use crate::handoff::AgentId;
use crate::handoff::actor::{AgentOut, DeskHandle, PING};
use crate::handoff::phone::{Action, Input, PATIENCE, Phone, State};
use crate::handoff::routing::Moment;
use crate::handoff::wire::{AgentState, FromAgent, Offer, OfferResult, ToAgent};
use crate::store::UserRecord;
use crate::telemetry::{Pii, metric};
use crate::telephony::protocol::{MediaCommand, MediaEvent};

/// Control: wishes waiting. Senders wait when it is full.
const WISHES: usize = 64;
/// How long the last word to a telephone may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// Longest brief that is read out, in characters: about ten seconds.
const MAX_BRIEF: usize = 160;

#[derive(Debug)]
enum Wish {
    On(Box<UserRecord>, Pii<String>),
    Off(AgentId),
    IsOn(AgentId, oneshot::Sender<bool>),
}

/// Signs agents in and out at their telephones. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PhoneAgents {
    wishes: mpsc::Sender<Wish>,
}

/// See [`channel`].
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Wish>);

/// Where to send wishes, and where they arrive; [`run`] takes the latter.
pub fn channel() -> (PhoneAgents, Inbox) {
    let (wishes, inbox) = mpsc::channel(WISHES);
    (PhoneAgents { wishes }, Inbox(inbox))
}

impl PhoneAgents {
    /// They take calls at this number from now on. Again: they are back after an offer they missed.
    pub async fn on(&self, user: UserRecord, number: Pii<String>) {
        let _ = self.wishes.send(Wish::On(Box::new(user), number)).await; // Gone: the server stops.
    }

    /// Whether they take calls there.
    pub async fn is_on(&self, agent: AgentId) -> bool {
        let (answer, told) = oneshot::channel();
        let _ = self.wishes.send(Wish::IsOn(agent, answer)).await; // As above.
        told.await.unwrap_or(false)
    }

    /// They take no calls there any more.
    pub async fn off(&self, agent: AgentId) {
        let _ = self.wishes.send(Wish::Off(agent)).await; // As above.
    }
}

/// What agents at telephones need of the rest of the server.
pub struct Means {
    /// The desk.
    pub desk: DeskHandle,
    /// Makes calls.
    pub dialler: Arc<dyn Dialler>,
    /// Through this provider.
    pub provider: &'static str,
    /// Who is awaited.
    pub away: Arc<Away>,
    /// Tells what it is about.
    pub voice: Voice,
}

/// Runs everybody's session until `cancel`.
pub async fn run(means: Means, Inbox(mut wishes): Inbox, cancel: CancellationToken) {
    let means = Arc::new(means);
    let mut there: HashMap<AgentId, (CancellationToken, mpsc::Sender<()>)> = HashMap::new();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            wish = wishes.recv() => match wish {
                Some(Wish::On(user, number)) => {
                    if let Some((_, again)) = there.get(&user.id).filter(|(_, again)| !again.is_closed()) {
                        let _ = again.try_send(()); // Full: it has been said already.
                        continue;
                    }
                    let (again, back) = mpsc::channel(1);
                    let off = cancel.child_token();
                    there.insert(user.id.clone(), (off.clone(), again));
                    sessions.spawn(session(means.clone(), *user, number, back, off));
                }
                Some(Wish::Off(agent)) => if let Some((off, _)) = there.remove(&agent) {
                    off.cancel();
                },
                Some(Wish::IsOn(agent, answer)) => {
                    let is_on = there.get(&agent).is_some_and(|(_, again)| !again.is_closed());
                    let _ = answer.send(is_on); // The asker may have gone.
                }
                None => break,
            },
            Some(_) = sessions.join_next() => {}
        }
    }
    while sessions.join_next().await.is_some() {}
}

async fn session(
    means: Arc<Means>,
    user: UserRecord,
    number: Pii<String>,
    back: mpsc::Receiver<()>,
    off: CancellationToken,
) {
    let UserRecord { id: agent, name, role, .. } = user;
    let Some((session, outbox)) = means.desk.connect(agent.clone(), name, role).await else { return };
    info!(agent.id = %agent, session, "An agent takes calls at a telephone");
    let desk = means.desk.clone();
    let mut session_of = Session {
        means,
        agent: agent.clone(),
        session,
        number,
        phone: Phone::default(),
        brief: String::new(),
        dialling: None,
        ringing: None,
        line: None,
        events: None,
        frames: None,
        voice: None,
        speaking: None,
        queue: VecDeque::new(),
        cancel: off.clone(),
    };
    session_of.run(outbox, back, off).await;
    desk.disconnect(agent.clone(), session).await;
    info!(agent.id = %agent, session, "An agent takes no calls at a telephone any more");
}

/// The caller's side of the bridge.
struct Bridge {
    to_caller: mpsc::Sender<AudioFrame>,
    from_caller: mpsc::Receiver<AudioFrame>,
}

struct Session {
    means: Arc<Means>,
    agent: AgentId,
    session: u64,
    number: Pii<String>,
    phone: Phone,
    /// What is read out before the key is asked for.
    brief: String,
    dialling: Option<BoxFuture<'static, Result<Ringing, DialError>>>,
    ringing: Option<Ringing>,
    /// Their telephone: what is said to it, what it says, and their voice.
    line: Option<mpsc::Sender<MediaCommand>>,
    events: Option<mpsc::Receiver<MediaEvent>>,
    frames: Option<mpsc::Receiver<AudioFrame>>,
    voice: Option<Bridge>,
    speaking: Option<BoxFuture<'static, Result<Vec<i16>, TtsError>>>,
    /// Sound for them that is not spoken yet.
    queue: VecDeque<AudioFrame>,
    cancel: CancellationToken,
}

fn now() -> Moment {
    Moment::from_ms(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0))
}

impl Session {
    async fn run(
        &mut self,
        mut outbox: mpsc::Receiver<AgentOut>,
        mut back: mpsc::Receiver<()>,
        off: CancellationToken,
    ) {
        self.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
        let mut ping = interval(PING);
        let mut pace = interval(Millis::FRAME.duration());
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            let due = self.phone.poll_timeout().map(|due| Instant::now() + due.since(now()));
            tokio::select! {
                biased;
                () = off.cancelled() => {
                    self.step(Input::SignedOut).await;
                    return self.say(FromAgent::SetState { state: AgentState::Offline, code: None }).await;
                }
                Some(()) = back.recv() => {
                    self.say(FromAgent::AcknowledgeMissed).await;
                    self.say(FromAgent::SetState { state: AgentState::Available, code: None }).await;
                }
                out = outbox.recv() => match out {
                    None | Some(AgentOut::Replaced) => return self.step(Input::SignedOut).await,
                    Some(AgentOut::Leg { to_caller, from_caller }) => {
                        self.voice = Some(Bridge { to_caller, from_caller });
                        self.queue.clear();
                        self.step(Input::Joined).await;
                    }
                    Some(AgentOut::LegClosed) => {
                        self.voice = None;
                        self.step(Input::Over).await;
                    }
                    Some(AgentOut::Message(message)) => self.told(message).await,
                },
                dialled = super::callbacks::dialled(&mut self.dialling) => {
                    self.dialling = None;
                    match dialled {
                        Ok(ringing) => self.ringing = Some(ringing),
                        Err(error) => {
                            warn!(agent.id = %self.agent, %error, "An agent's telephone can't be called");
                            self.step(Input::Missed).await;
                        }
                    }
                }
                answer = super::callbacks::answered(&mut self.ringing) => {
                    match answer {
                        Answer::Leg(leg) => {
                            let LegIo { frames, events, commands } = *leg;
                            (self.line, self.events, self.frames) = (Some(commands), Some(events), Some(frames));
                            self.ringing = None;
                            self.step(Input::Answered).await;
                        }
                        Answer::Missed(why) => {
                            info!(agent.id = %self.agent, why = why.as_str(), "An agent's telephone was not answered");
                            self.ringing = None;
                            self.step(Input::Missed).await;
                        }
                    }
                }
                event = next_event(&mut self.events) => match event {
                    Some(MediaEvent::Dtmf(digit)) => self.step(Input::Key(digit.get())).await,
                    Some(MediaEvent::Stopped(_)) | None => {
                        self.close_line();
                        self.step(Input::HungUp).await;
                    }
                    Some(_) => {}
                },
                spoken = spoken(&mut self.speaking) => {
                    self.speaking = None;
                    match spoken {
                        Ok(pcm) => self.enqueue(&pcm),
                        // They are asked by silence then, and may still press the key.
                        Err(error) => warn!(%error, "An agent could not be told what a call is about"),
                    }
                }
                frame = next_frame(&mut self.frames) => self.to_caller(frame),
                frame = next_of_caller(&mut self.voice) => self.to_agent(frame),
                _ = pace.tick(), if !self.queue.is_empty() => {
                    if let Some(frame) = self.queue.pop_front() {
                        self.to_agent(frame);
                    }
                }
                _ = ping.tick() => self.say(FromAgent::Ping { n: 0 }).await,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let mut actions = Vec::new();
                    self.phone.handle_timeout(now(), &mut actions);
                    self.perform(actions).await;
                }
            }
        }
    }

    /// Not by reference: what this holds is sent between threads, and not shared by them.
    fn say(&self, message: FromAgent) -> impl Future<Output = ()> + use<> {
        let (desk, agent, session) = (self.means.desk.clone(), self.agent.clone(), self.session);
        async move { desk.from_agent(agent, session, message).await }
    }

    async fn told(&mut self, message: ToAgent) {
        match message {
            ToAgent::Offer(offer) => {
                self.brief = brief(&offer);
                self.step(Input::Offered(offer.offer_id)).await;
            }
            ToAgent::OfferEnded { offer_id, result } => {
                self.step(Input::OfferEnded(offer_id, result == OfferResult::Accepted)).await;
            }
            ToAgent::CallEnded { .. } => self.step(Input::Over).await,
            _ => {}
        }
    }

    async fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.phone.step(now(), input, &mut actions);
        self.perform(actions).await;
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let (desk, agent) = (self.means.desk.clone(), self.agent.clone());
        for action in actions {
            match action {
                Action::Dial(offer) => {
                    desk.extend_offer(agent.clone(), offer, PATIENCE + PING).await;
                    let (means, number, cancel) = (self.means.clone(), self.number.clone(), self.cancel.child_token());
                    self.dialling = Some(Box::pin(async move {
                        ring(means.dialler.as_ref(), &means.away, means.provider, &number, cancel).await
                    }));
                }
                Action::Ask => {
                    let text = speakable(&format!("{} Press 1 to take the call, or 2 to decline.", self.brief));
                    let voice = self.means.voice.clone();
                    self.speaking = Some(Box::pin(async move { voice.whole(text, Priority::FirstAudio).await }));
                }
                Action::Accept(offer_id) => {
                    (self.speaking, self.queue) = (None, VecDeque::new());
                    self.say(FromAgent::Accept { offer_id }).await;
                }
                Action::Reject(offer_id) => self.say(FromAgent::Reject { offer_id, reason: None }).await,
                Action::Unanswered(offer) => desk.unanswered(agent.clone(), offer).await,
                Action::End => self.say(FromAgent::End).await,
                Action::HangUp => self.hang_up().await,
            }
        }
        if self.phone.state() == State::Idle {
            self.close_line();
        }
    }

    async fn hang_up(&mut self) {
        self.dialling = None;
        if let Some(line) = self.line.take() {
            // A line that takes nothing is gone already.
            let _ = timeout(GOODBYE, line.send(MediaCommand::Hangup)).await;
        } else if let Some(ringing) = self.ringing.take() {
            self.means.dialler.hang_up(self.means.provider, &ringing.call_id).await;
        }
        self.close_line();
    }

    fn close_line(&mut self) {
        (self.line, self.events, self.frames) = (None, None, None);
        (self.ringing, self.speaking) = (None, None);
        self.queue.clear();
    }

    fn enqueue(&mut self, pcm: &[i16]) {
        let frame = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
        let mut at = Millis::ZERO;
        for part in pcm.chunks(frame) {
            let mut samples = part.to_vec();
            samples.resize(frame, 0);
            self.queue.push_back(AudioFrame::new(at, SampleRate::WIDEBAND, samples));
            at = at + Millis::FRAME;
        }
    }

    /// Media: late is worthless, so a full pipe drops the newest.
    fn to_caller(&self, frame: AudioFrame) {
        if let Some(bridge) = &self.voice
            && let Err(mpsc::error::TrySendError::Full(_)) = bridge.to_caller.try_send(frame)
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "agent", "reason" => "full").increment(1);
        }
    }

    fn to_agent(&self, frame: AudioFrame) {
        if let Some(line) = &self.line
            && line.try_send(MediaCommand::Audio(frame)).is_err()
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "to_agent", "reason" => "slow_socket").increment(1);
        }
    }
}

/// What an agent hears first. Short: the caller waits.
fn brief(offer: &Offer) -> String {
    let words = offer.summary.first().map_or(offer.brief.why.as_str(), String::as_str);
    let words: String = words.chars().take(MAX_BRIEF).collect();
    format!("A caller for you. {words}").trim_end().to_owned()
}

async fn next_event(events: &mut Option<mpsc::Receiver<MediaEvent>>) -> Option<MediaEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_frame(frames: &mut Option<mpsc::Receiver<AudioFrame>>) -> AudioFrame {
    let frame = match frames {
        Some(frames) => frames.recv().await,
        None => None,
    };
    match frame {
        Some(frame) => frame,
        // The line's events say that it is over.
        None => std::future::pending().await,
    }
}

async fn next_of_caller(voice: &mut Option<Bridge>) -> AudioFrame {
    let frame = match voice {
        Some(bridge) => bridge.from_caller.recv().await,
        None => None,
    };
    match frame {
        Some(frame) => frame,
        None => std::future::pending().await,
    }
}

async fn spoken(speaking: &mut Option<BoxFuture<'static, Result<Vec<i16>, TtsError>>>) -> Result<Vec<i16>, TtsError> {
    match speaking {
        Some(speaking) => speaking.await,
        None => std::future::pending().await,
    }
}
