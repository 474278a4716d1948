//! RUNTIME of a call: one task turns everything that happens into inputs of [`CallMachine`] and performs its actions. The
//! control path is here; frames are in `media`, turns and transcripts in `hearing`, the actions in `performing`.
//!
//! Media path: caller frames come in, playback frames go out every 20 ms, a bridge copies frames both ways. Nothing on it
//! waits: a full pipe drops the newest frame and counts it. Control path: events, findings, news; never dropped.

mod captions;
mod hearing;
mod media;
mod party;
mod performing;
mod supervising;
mod talk;
mod telephone;
mod tools;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::hearing::{Response, Turns};
use self::party::{Colleague, Party};
use self::supervising::Supervisor;
use self::talk::Talk;
use self::tools::Running;
use super::CallId;
use super::away::{Away, AwayEntry};
use super::cleaner::Cleaner;
use super::completeness::Completeness;
use super::echo::EchoRemover;
use super::handle::{CallCommand, CallHandle, LegIo};
use super::hold;
use super::input::{CallInput, HandoffNews, ItemId, RunId, TurnId};
use super::journal::Journal;
use super::keys::Keypad;
use super::machine::{CallMachine, CallPolicy, Telephone};
use super::message::Message;
use super::mind::{Mind, Thought};
use super::overlap::{Overlap, OverlapRules};
use super::patience::Pace;
use super::playback::Playback;
use super::recorder::Recorder;
use super::returning::{CutOff, Returning};
use super::speech::{Finding, Speech, stt_failed};
use super::tongues::{Tongue, Tongues};
use super::turn::TurnDetector;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, Probability};
use crate::config::{HandoffConfig, SoundConfig, TurnConfig};
use crate::dialog::language::Language;
use crate::engine::stt::scheduler::SttScheduler;
use crate::engine::vad::energy::EnergyVad;
use crate::engine::vad::{VadFactory, VoiceActivity};
use crate::handoff::actor::{AgentLeg, DeskHandle};
use crate::handoff::{AgentId, HandoffId, HandoffReason};
use crate::outbound::callbacks::Callbacks;
use crate::store::scribe::Scribe;
use crate::telemetry::metric;
use crate::telephony::protocol::{Digit, MediaCommand, MediaEvent, StopReason, StreamStart};
use crate::telephony::providers::{self, KeysOut, TransferBy};

/// An agent of whom no frame came this long after they were joined has no microphone.
const NO_SOUND: Duration = Duration::from_secs(5);

/// What every call needs, shared by all.
pub struct CallServices {
    /// Makes each call's voice detector.
    pub vad: Arc<dyn VadFactory>,
    /// Recognises speech; without it every caller goes to a person.
    pub stt: Option<Arc<SttScheduler>>,
    /// Speaks, in each language.
    pub tongues: Tongues,
    /// Answers.
    pub mind: Arc<Mind>,
    /// People.
    pub desk: DeskHandle,
    /// Callers at telephones outside.
    pub away: Arc<Away>,
    /// Callers who are called back.
    pub callbacks: Callbacks,
    /// Callers whom a restart cut off.
    pub returning: Arc<Returning>,
    /// Records.
    pub scribe: Scribe,
    /// How each call behaves.
    pub settings: CallSettings,
}

/// How each call behaves.
#[derive(Clone, Debug)]
pub struct CallSettings {
    /// `[turn]`
    pub turn: TurnConfig,
    /// `[sound]`
    pub sound: SoundConfig,
    /// `[handoff]`
    pub handoff: HandoffConfig,
    /// Voice from this probability on.
    pub vad_threshold: Probability,
    /// Recording and messages go here.
    pub recordings: PathBuf,
    /// Record calls, after the notice.
    pub record: bool,
    /// Words that bias recognition.
    pub hints: Arc<[String]>,
    /// Those of them that are names, which are the same in every language.
    pub names: Arc<[String]>,
    /// A transcript later than this is given up.
    pub stt_deadline: Duration,
}

/// One call to be run.
pub struct NewCall {
    /// Its id.
    pub id: CallId,
    /// The provider's row name.
    pub provider: &'static str,
    /// What the provider told.
    pub start: StreamStart,
    /// The caller's leg.
    pub leg: LegIo,
    /// Commands to this call.
    pub inbox: mpsc::Receiver<CallCommand>,
    /// The other end of `inbox`, for the desk.
    pub commands: mpsc::Sender<CallCommand>,
    /// Ends the call at once.
    pub cancel: CancellationToken,
    /// Of somebody whom we called back.
    pub called_back: Option<CalledBack>,
    /// Of somebody whose call was cut off when the process ended.
    pub cut_off: Option<CutOff>,
}

/// What goes on for somebody whom we called back.
#[derive(Debug)]
pub struct CalledBack {
    /// The wish that brought them in line.
    pub handoff: HandoffId,
    /// Who waits for them: id, name, and voice, unless the agent's connection is lost at this moment.
    pub agent: Option<(AgentId, String, Option<AgentLeg>)>,
}

/// Runs a call to its end.
pub async fn run(call: NewCall, services: Arc<CallServices>) {
    let NewCall { id, provider, start, leg, inbox, commands, cancel, called_back, cut_off } = call;
    metrics::counter!(metric::CALLS_STARTED, "provider" => provider).increment(1);
    metrics::gauge!(metric::CALLS_LIVE).increment(1.0);
    info!(call.id = %id, provider, "Call started");
    let (speech, findings) = Speech::start();
    let tongue = services.tongue_of(&start);
    let now = Instant::now();
    let settings = &services.settings;
    let policy = CallPolicy {
        record: settings.record,
        silence_prompt: Duration::from_secs(settings.turn.silence_prompt_s.into()),
        filler: Some(settings.turn.filler_ms).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms.into())),
        announce_every: Duration::from_secs(settings.handoff.announce_every_s.into()),
        min_confidence: Probability::clamped(settings.handoff.min_confidence),
        verbatim_score: services.mind.settings.verbatim_score,
        min_score: services.mind.settings.min_score,
        language: tongue.language,
        languages: services.tongues.languages(),
        // A provider that says the language knows it.
        detects: services.tongues.detects && told_language(&start).is_none(),
        forbidden_topics: settings.handoff.forbidden_topics.clone(),
        caller_number_known: start.from.is_some(),
        caller_number: start.from.clone().filter(|number| is_dialable(number.reveal())),
        telephone: telephone(&settings.handoff, provider),
        returns: providers::find(provider).is_some_and(|row| row.transfer == TransferBy::Webhook),
        today: jiff::Zoned::now().date(),
    };
    let journal = Journal::open(id, provider, &start, services.scribe.clone());
    let vad = services.vad.open().unwrap_or_else(|error| {
        warn!(%error, "Falling back to voice detection by loudness");
        EnergyVad::detector()
    });
    let row = providers::find(provider);
    let mut actor = Actor {
        id,
        provider,
        captioned: row.is_some_and(|spec| spec.captions),
        keys_out: row.map_or(KeysOut::Sound, |spec| spec.keys_out),
        epoch: now,
        machine: CallMachine::new(now.into_std(), policy),
        playback: Playback::ahead(row.map_or(Millis::ZERO, |spec| spec.collects)),
        marks_sent: 0,
        detector: TurnDetector::new(&settings.turn, settings.vad_threshold),
        pace: Pace::new(&settings.turn),
        echo: EchoRemover::default(),
        cleaner: Cleaner::new(&settings.sound),
        overlap: Overlap::new(OverlapRules::new(settings.vad_threshold, Millis(settings.turn.barge_in_ms))),
        stream_clock: None,
        keypad: Keypad::new(settings.turn.keys_by_sound),
        vad,
        speech,
        journal,
        out: leg.commands,
        agent: None,
        agent_sound: AgentSound::default(),
        agent_side: None,
        talk: Talk::default(),
        colleague: None,
        party: Party::default(),
        target: None,
        bridged: false,
        held: false,
        supervisor: None,
        recorder: None,
        message: None,
        handoff: None,
        reason: None,
        wanted_since: None,
        first: false,
        continues: None,
        turns: Turns::default(),
        response: None,
        items: HashMap::new(),
        tools: HashMap::new(),
        filler: None,
        ended: false,
        said_ended: false,
        commands,
        line: Line { is_up: true, began: Millis::ZERO },
        handle: CallHandle { id, cancel: cancel.clone() },
        provider_call_id: start.provider_call_id,
        away: None,
        mind: services.mind_in(tongue.language),
        tongue,
        services: services.clone(),
    };
    services.desk.call_opened(id, provider, start.from, actor.commands.clone()).await;
    let begins = match (called_back, cut_off) {
        (Some(back), _) => actor.take_up(back).await,
        (None, Some(cut_off)) => actor.go_on(cut_off),
        (None, None) => CallInput::Began,
    };
    actor.run(begins, leg.frames, leg.events, inbox, findings, cancel).await;
    services.desk.call_over(id).await;
    metrics::gauge!(metric::CALLS_LIVE).decrement(1.0);
    info!(call.id = %id, "Call ended");
}

/// Whether an agent who took the call can be heard at all.
#[derive(Clone, Copy, Debug, Default)]
struct AgentSound {
    /// A frame came, silent or not.
    came: bool,
    /// They are joined; without a frame until then the connection has failed.
    due: Option<Instant>,
}

/// Between two looks at the clock while other people talk.
const RESTING_TICK: Duration = Duration::from_millis(100);

struct Actor {
    id: CallId,
    provider: &'static str,
    /// The caller can read captions.
    captioned: bool,
    keys_out: KeysOut,
    epoch: Instant,
    machine: CallMachine,
    playback: Playback,
    marks_sent: u64,
    detector: TurnDetector,
    pace: Pace,
    echo: EchoRemover,
    cleaner: Cleaner,
    overlap: Overlap,
    keypad: Keypad,
    /// Where the caller's stream lies on the call's clock: what to add to the place of a frame, in milliseconds.
    stream_clock: Option<i64>,
    vad: Box<dyn VoiceActivity>,
    speech: Speech,
    journal: Journal,
    out: mpsc::Sender<MediaCommand>,
    agent: Option<AgentLeg>,
    /// Sound of the agent: whether any came since the leg opened, and until when the first is awaited.
    agent_sound: AgentSound,
    /// Where their voice is put into words.
    agent_side: Option<u32>,
    talk: Talk,
    /// A colleague of the agent, who is consulted.
    colleague: Option<Colleague>,
    party: Party,
    /// The telephone outside an agent has chosen; else the configured one.
    target: Option<String>,
    bridged: bool,
    held: bool,
    /// Somebody who hears the call and is not in it.
    supervisor: Option<Supervisor>,
    recorder: Option<Recorder>,
    message: Option<Message>,
    handoff: Option<HandoffId>,
    /// Why the caller wants a person.
    reason: Option<HandoffReason>,
    /// Since when.
    wanted_since: Option<Timestamp>,
    /// Goes before all others: we broke the line.
    first: bool,
    /// The wish of before that is gone on with.
    continues: Option<HandoffId>,
    turns: Turns,
    response: Option<Response>,
    /// Tools that run.
    tools: HashMap<RunId, Running>,
    /// Texts of items on their way.
    items: HashMap<ItemId, (String, Option<TurnId>)>,
    /// The last item that only said that the answer takes a while.
    filler: Option<ItemId>,
    ended: bool,
    /// The desk knows that the conversation with the agent is over.
    said_ended: bool,
    commands: mpsc::Sender<CallCommand>,
    line: Line,
    handle: CallHandle,
    provider_call_id: String,
    /// While the caller is at a telephone outside.
    away: Option<AwayEntry>,
    /// How we speak with the caller.
    tongue: Arc<Tongue>,
    /// Answers in their language.
    mind: Arc<Mind>,
    services: Arc<CallServices>,
}

impl CallServices {
    /// How we begin to speak with a caller: in the language the provider tells, if it is spoken here.
    fn tongue_of(&self, start: &StreamStart) -> Arc<Tongue> {
        let told = told_language(start).and_then(|language| self.tongues.get(language));
        told.unwrap_or_else(|| self.tongues.default_tongue()).clone()
    }

    /// What answers in `language`.
    fn mind_in(&self, language: Language) -> Arc<Mind> {
        if language == self.tongues.default_tongue().language {
            self.mind.clone()
        } else {
            self.mind.speaking(language)
        }
    }
}

/// The language a provider tells with the call: AudioHook's, or a parameter of that name.
fn told_language(start: &StreamStart) -> Option<Language> {
    start.parameters.get("language").and_then(|language| Language::parse(language))
}

/// The caller's leg as time goes on: a caller who was away comes back on another one.
struct Line {
    /// False while there is none.
    is_up: bool,
    /// When it began: its frames count from zero.
    began: Millis,
}

/// A number somebody could be called at: a browser has none, and a name is none.
fn is_dialable(number: &str) -> bool {
    let digits = number.chars().filter(char::is_ascii_digit).count();
    (5..=15).contains(&digits) && number.chars().all(|c| c.is_ascii_digit() || "+ -()".contains(c))
}

/// The telephone outside, if there is one and the provider can call it.
fn telephone(config: &HandoffConfig, provider: &str) -> Option<Telephone> {
    if providers::find(provider)?.transfer == TransferBy::Nothing {
        return None;
    }
    let after = Duration::from_secs(config.telephone_after_s.into());
    (!config.telephone.is_empty()).then_some(Telephone { after })
}

impl Actor {
    async fn run(
        mut self,
        begins: CallInput,
        mut frames: mpsc::Receiver<AudioFrame>,
        mut events: mpsc::Receiver<MediaEvent>,
        mut inbox: mpsc::Receiver<CallCommand>,
        mut findings: mpsc::Receiver<Finding>,
        cancel: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(Millis::FRAME.duration());
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let cancelled = cancel.cancelled();
        tokio::pin!(cancelled);
        let mut rests = false;
        self.step(begins).await;
        while !self.ended {
            tokio::select! {
                biased;
                () = &mut cancelled => self.stop(StopReason::Hangup).await,
                event = events.recv(), if self.line.is_up => match event {
                    Some(event) => self.event(event).await,
                    None => self.stop(StopReason::SocketLost).await,
                },
                Some(command) = inbox.recv() => if let Some(leg) = self.command(command).await {
                    (frames, events) = (leg.frames, leg.events);
                },
                _ = tick.tick() => {
                    self.tick().await;
                    rests = self.rests();
                    if rests {
                        tick.reset_after(RESTING_TICK);
                    }
                }
                Some(frame) = frames.recv() => self.caller_frame(frame).await,
                Some(frame) = media::agent_frame(&mut self.agent) => self.agent_frame(&frame).await,
                Some(frame) = party::colleague_frame(&mut self.colleague) => self.colleague_says(frame).await,
                Some(frame) = supervising::supervisor_frame(&mut self.supervisor) => self.supervisor_frame(frame),
                Some(finding) = findings.recv() => self.finding(finding).await,
            }
            if rests && !self.rests() {
                // Something is to be played, or somebody joined: every frame counts again.
                rests = false;
                tick.reset_immediately();
            }
        }
        self.finish_tools(&mut findings).await;
        self.finish_talk(&mut findings).await;
        self.finish_message().await;
    }

    /// Two people talk and nothing of ours is played or mixed: all that ticks are limits, of seconds and minutes.
    fn rests(&self) -> bool {
        let nobody_else = self.supervisor.is_none() && self.colleague.is_none() && !self.party.is_together();
        self.bridged && nobody_else && self.playback.is_idle() && self.agent_sound.due.is_none()
    }

    /// Somebody whom we called back has answered: the agent who waits for them, or their place in line, is theirs.
    async fn take_up(&mut self, back: CalledBack) -> CallInput {
        (self.handoff, self.reason) = (Some(back.handoff), Some(HandoffReason::Callback));
        self.services.desk.rewire(back.handoff, self.id, self.commands.clone()).await;
        let name = back.agent.map(|(agent, name, leg)| {
            self.journal.agent_joined(agent);
            self.agent = leg;
            name
        });
        CallInput::CalledBack { name }
    }

    /// The caller was cut off by us and is back: what was said is known, and the wait counts.
    fn go_on(&mut self, cut_off: CutOff) -> CallInput {
        info!(call.id = %self.id, before = %cut_off.call, "The caller is back after a restart");
        self.journal.go_on(cut_off.lines);
        let wanted = cut_off.wish.map(|wish| {
            (self.wanted_since, self.first, self.continues) = (Some(wish.since), true, Some(wish.handoff));
            if let Some(agent) = wish.agent {
                self.journal.spoke_before(agent);
            }
            wish.reason
        });
        CallInput::BrokeOff { wanted }
    }

    fn at(&self, now: Instant) -> Millis {
        Millis::from_duration(now.saturating_duration_since(self.epoch))
    }

    /// Feeds the machine and does what it wants.
    async fn step(&mut self, input: CallInput) {
        let mut actions = Vec::new();
        self.machine.step(Instant::now().into_std(), input, &mut actions);
        self.perform(actions).await;
    }

    // --- control path -------------------------------------------------------------------------------------------

    async fn event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Dtmf(digit) => {
                if self.keypad.reported(self.at(Instant::now()), digit) {
                    self.pressed(digit).await;
                }
            }
            MediaEvent::MarkPlayed(mark) => {
                let mut outputs = Vec::new();
                self.playback.mark_played(mark, &mut outputs);
                self.played(outputs).await;
            }
            MediaEvent::Stopped(reason) => self.stop(reason).await,
            // A discarded mark belongs to an item that was reported as cut when it was cleared.
            MediaEvent::MarkDiscarded(_) | MediaEvent::Gap(_) | MediaEvent::Started(_) | MediaEvent::Audio(_) => {}
        }
    }

    async fn pressed(&mut self, digit: Digit) {
        if self.bridged
            && let Some(handoff) = self.handoff
        {
            self.services.desk.caller_key(handoff, digit).await;
        }
        self.step(CallInput::Dtmf(digit)).await;
    }

    /// The leg is gone.
    async fn stop(&mut self, reason: StopReason) {
        if self.away.is_some() && reason == StopReason::Hangup && !self.handle.cancel.is_cancelled() {
            // We gave the caller away: the call goes on.
            self.line.is_up = false;
            return self.step(CallInput::LineGone).await;
        }
        if let Some(message) = &self.message {
            // Whoever speaks and hangs up has left a message.
            let speech = message.speech();
            self.step(CallInput::MessageEnded { speech }).await;
        }
        self.step(CallInput::ProviderStopped(reason)).await;
        self.ended = true;
    }

    /// Gives the caller's new leg, if the command brought one.
    async fn command(&mut self, command: CallCommand) -> Option<LegIo> {
        match command {
            CallCommand::Colleague { agent, name, consult, leg } => {
                self.colleague_joined(agent.clone(), consult, leg);
                self.step(CallInput::Handoff(HandoffNews::ColleagueJoined { agent, name })).await;
            }
            CallCommand::SendOutside(target) => {
                self.target = Some(target);
                self.agent = None;
                self.colleague_left();
                self.step(CallInput::Handoff(HandoffNews::SentOutside)).await;
            }
            CallCommand::Handoff { news, leg } => {
                if let Some(leg) = leg {
                    self.agent = Some(leg);
                    let side = self.agent_side.take();
                    self.stop_listening(side);
                    self.agent_sound = AgentSound::default();
                }
                match &news {
                    HandoffNews::Ended | HandoffNews::ForceEnded | HandoffNews::HandedBack => self.said_ended = true,
                    HandoffNews::Accepted { agent, .. } => self.journal.agent_joined(agent.clone()),
                    HandoffNews::AgentLost | HandoffNews::Requeued | HandoffNews::Transferred | HandoffNews::Parked => {
                        self.agent = None
                    }
                    _ => {}
                }
                if !matches!(
                    news,
                    HandoffNews::Consult(_)
                        | HandoffNews::Succeeded { .. }
                        | HandoffNews::Hold(_)
                        | HandoffNews::Keys(_)
                ) {
                    // Every other turn of the handoff is the end of a consultation; the desk has told the colleague.
                    self.colleague_left();
                }
                self.step(CallInput::Handoff(news)).await;
            }
            CallCommand::Transfer { news, leg } => return self.transfer_news(news, leg).await,
            CallCommand::Supervise { mode, leg } => self.supervise(mode, leg).await,
            CallCommand::StopSupervising => self.supervisor = None,
            CallCommand::Stop => self.step(CallInput::ServerStopping).await,
        }
        None
    }

    async fn finding(&mut self, finding: Finding) {
        match finding {
            Finding::Early(turn, id, Ok(transcript)) => self.early_transcript(turn, id, transcript).await,
            Finding::Early(turn, id, Err(error)) => {
                let Some(early) = self.turns.early.take_if(|early| early.id == id) else { return };
                // A speculation that failed costs nothing unless the turn has ended meanwhile.
                if early.is_final {
                    self.heard(turn, Err(stt_failed(&error))).await;
                } else {
                    self.looks(id, Completeness::Unclear).await;
                }
            }
            Finding::Partial(turn, number, result) => self.partial(turn, number, result).await,
            Finding::Final(turn, Ok(transcript)) => self.heard(turn, Ok(transcript)).await,
            Finding::Final(turn, Err(error)) => self.heard(turn, Err(stt_failed(&error))).await,
            Finding::Sound(item, pcm) => self.playback.append(item, &pcm),
            Finding::Spoken(item) => self.playback.complete(item),
            Finding::Unspoken(item, error) => {
                warn!(call.id = %self.id, %error, "A sentence could not be spoken");
                self.unspoken(item).await;
            }
            Finding::Thought(turn, thought) => self.thought(turn, thought).await,
            Finding::AgentSpoke(side, audio) => self.agent_talked(side, audio),
            Finding::TalkHeard(place, result) => self.talk_heard(&place, result).await,
            Finding::Suggested(question, hits) => self.suggested(question, hits).await,
            Finding::Tool(run, result) => {
                self.tool_ended(run, &result).await;
                self.step(CallInput::ToolDone { run, result }).await;
            }
        }
    }

    async fn unspoken(&mut self, item: ItemId) {
        metrics::counter!(metric::ENGINE_FAILURES, "engine" => "tts").increment(1);
        self.playback.remove(item);
        self.items.remove(&item);
        // The line is not dead: tones say that something is wrong, and a person comes.
        self.playback.enqueue_sound(hold::trouble_tones());
        self.step(CallInput::ItemFailed(item)).await;
    }

    async fn thought(&mut self, turn: TurnId, thought: Thought) {
        let input = match thought {
            Thought::Planned(evidence) => {
                self.journal.planned(turn, &evidence);
                CallInput::AnswerPlanned { turn, evidence }
            }
            Thought::Sentence(text) => {
                if let Some(response) = self.response.as_mut().filter(|response| response.turn == turn) {
                    response.clause.get_or_insert_with(Instant::now);
                }
                CallInput::AnswerSentence { turn, text }
            }
            Thought::Chore { tool, arguments } => CallInput::ChoreFound { turn, tool, arguments },
            Thought::Done { blocked } => CallInput::AnswerDone { turn, blocked },
            Thought::Failed(failure) => {
                metrics::counter!(metric::ENGINE_FAILURES, "engine" => failure.engine).increment(1);
                CallInput::AnswerFailed { turn, failure }
            }
        };
        self.step(input).await;
    }
}
