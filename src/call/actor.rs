//! RUNTIME of a call: one task turns everything that happens into inputs of [`CallMachine`] and performs its actions.
//!
//! Media path: caller frames come in, playback frames go out every 20 ms, a bridge copies frames both ways. Nothing on it
//! waits: a full pipe drops the newest frame and counts it. Control path: events, findings, news; never dropped.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::CallId;
use super::completeness::completeness;
use super::handle::{CallCommand, LEG_COMMANDS_RESERVED, LegIo};
use super::input::{CallAction, CallInput, EngineFailed, HandoffNews, ItemId, TurnId, Words};
use super::journal::Journal;
use super::machine::{CallMachine, CallPolicy, State};
use super::message::Message;
use super::mind::{Mind, Thought};
use super::playback::{Playback, PlaybackOutput};
use super::recorder::{Recorder, Side};
use super::speech::{Decode, Finding, Speech, stt_failed};
use super::turn::{SpeculationId, TurnDetector, TurnEvent, UtteranceAudio};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::call::hold;
use crate::config::{HandoffConfig, TurnConfig};
use crate::dialog::phrases::Phrases;
use crate::engine::CancelFlag;
use crate::engine::stt::scheduler::SttScheduler;
use crate::engine::stt::{Transcript, Utterance};
use crate::engine::tts::voice::Voice;
use crate::engine::vad::energy::EnergyVad;
use crate::engine::vad::{VadFactory, VoiceActivity};
use crate::handoff::actor::{AgentLeg, DeskHandle, HandoffTask};
use crate::handoff::wire::CallEnd;
use crate::handoff::{HandoffId, HandoffReason};
use crate::store::HandoffOutcome;
use crate::store::scribe::Scribe;
use crate::telemetry::metric;
use crate::telephony::protocol::{Caption, MediaCommand, MediaEvent, Speaker, StopReason, StreamStart};

/// What every call needs, shared by all.
pub struct CallServices {
    /// Makes each call's voice detector.
    pub vad: Arc<dyn VadFactory>,
    /// Recognises speech; without it every caller goes to a person.
    pub stt: Option<Arc<SttScheduler>>,
    /// Speaks.
    pub voice: Voice,
    /// Answers.
    pub mind: Arc<Mind>,
    /// The fixed sentences.
    pub phrases: Arc<Phrases>,
    /// People.
    pub desk: DeskHandle,
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
}

/// Runs a call to its end.
pub async fn run(call: NewCall, services: Arc<CallServices>) {
    let NewCall { id, provider, start, leg, inbox, commands, cancel } = call;
    metrics::counter!(metric::CALLS_STARTED, "provider" => provider).increment(1);
    metrics::gauge!(metric::CALLS_LIVE).increment(1.0);
    info!(call.id = %id, provider, "Call started");
    let (speech, findings) = Speech::start(services.voice.clone());
    let now = Instant::now();
    let settings = &services.settings;
    let policy = CallPolicy {
        record: settings.record,
        silence_prompt: Duration::from_secs(settings.turn.silence_prompt_s.into()),
        announce_every: Duration::from_secs(settings.handoff.announce_every_s.into()),
        min_confidence: Probability::clamped(settings.handoff.min_confidence),
        forbidden_topics: settings.handoff.forbidden_topics.clone(),
        caller_number_known: start.from.is_some(),
    };
    let journal = Journal::open(id, provider, &start, services.scribe.clone());
    let vad = services.vad.open().unwrap_or_else(|error| {
        warn!(%error, "Falling back to voice detection by loudness");
        EnergyVad::detector()
    });
    let actor = Actor {
        id,
        provider,
        epoch: now,
        machine: CallMachine::new(now.into_std(), policy),
        playback: Playback::default(),
        marks_sent: 0,
        detector: TurnDetector::new(&settings.turn, settings.vad_threshold),
        vad,
        speech,
        journal,
        out: leg.commands,
        agent: None,
        bridged: false,
        held: false,
        recorder: None,
        message: None,
        handoff: None,
        turns: Turns::default(),
        response: None,
        items: HashMap::new(),
        ended: false,
        said_ended: false,
        commands,
        services: services.clone(),
    };
    actor.run(leg.frames, leg.events, inbox, findings, cancel).await;
    metrics::gauge!(metric::CALLS_LIVE).decrement(1.0);
    info!(call.id = %id, "Call ended");
}

/// Utterances and their transcripts.
#[derive(Default)]
struct Turns {
    /// The one being spoken, or the last.
    current: TurnId2,
    /// Barge-in stopped playback for it.
    interrupted: bool,
    /// Its speculation.
    early: Option<Early>,
}

/// `TurnId` with a default.
type TurnId2 = u32;

struct Early {
    id: SpeculationId,
    cancel: CancelFlag,
    result: Option<Transcript>,
    /// The turn ended while this was being recognised: what comes is final.
    is_final: bool,
}

/// Where the time of the answer to the last utterance goes.
struct Response {
    turn: TurnId,
    last_voice: Instant,
    decided: Instant,
    heard: Option<Instant>,
    decode: Duration,
    clause: Option<Instant>,
}

struct Actor {
    id: CallId,
    provider: &'static str,
    epoch: Instant,
    machine: CallMachine,
    playback: Playback,
    marks_sent: u64,
    detector: TurnDetector,
    vad: Box<dyn VoiceActivity>,
    speech: Speech,
    journal: Journal,
    out: mpsc::Sender<MediaCommand>,
    agent: Option<AgentLeg>,
    bridged: bool,
    held: bool,
    recorder: Option<Recorder>,
    message: Option<Message>,
    handoff: Option<HandoffId>,
    turns: Turns,
    response: Option<Response>,
    /// Texts of items on their way.
    items: HashMap<ItemId, (String, Option<TurnId>)>,
    ended: bool,
    /// The desk knows that the conversation with the agent is over.
    said_ended: bool,
    commands: mpsc::Sender<CallCommand>,
    services: Arc<CallServices>,
}

impl Actor {
    async fn run(
        mut self,
        mut frames: mpsc::Receiver<AudioFrame>,
        mut events: mpsc::Receiver<MediaEvent>,
        mut inbox: mpsc::Receiver<CallCommand>,
        mut findings: mpsc::Receiver<Finding>,
        cancel: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(Millis::FRAME.duration());
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.step(CallInput::Began).await;
        while !self.ended {
            tokio::select! {
                biased;
                () = cancel.cancelled() => self.stop(StopReason::Hangup).await,
                event = events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => self.stop(StopReason::SocketLost).await,
                },
                Some(command) = inbox.recv() => self.command(command).await,
                _ = tick.tick() => self.tick().await,
                Some(frame) = frames.recv() => self.caller_frame(frame).await,
                Some(frame) = agent_frame(&mut self.agent) => self.agent_frame(&frame),
                Some(finding) = findings.recv() => self.finding(finding).await,
            }
        }
        self.finish_message().await;
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

    // --- media path ---------------------------------------------------------------------------------------------

    async fn caller_frame(&mut self, frame: AudioFrame) {
        let now = Instant::now();
        if let Some(recorder) = &self.recorder {
            recorder.push(Side::Caller, self.at(now), frame.pcm.clone());
        }
        let voice = self.vad.push(&frame.pcm).unwrap_or_else(|error| {
            warn!(call.id = %self.id, %error, "Voice detection failed; going on by loudness");
            metrics::counter!(metric::ENGINE_FAILURES, "engine" => "vad").increment(1);
            self.vad = EnergyVad::detector();
            Probability::clamped(0.0)
        });
        if self.bridged && !self.held {
            self.forward_to_agent(&frame);
        }
        if let Some(message) = &mut self.message
            && message.push(&frame.pcm, voice >= self.services.settings.vad_threshold)
        {
            let speech = message.speech();
            self.step(CallInput::MessageEnded { speech }).await;
        }
        let playing = self.playback.is_active() && self.playback.is_audible(now.into_std()) && !self.bridged;
        let mut noticed = Vec::new();
        self.detector.push(&frame, voice, playing, &mut noticed);
        for event in noticed {
            self.turn_event(now, frame.at, event).await;
        }
    }

    fn forward_to_agent(&self, frame: &AudioFrame) {
        if let Some(agent) = &self.agent
            && let Err(TrySendError::Full(_)) = agent.to_agent.try_send(frame.clone())
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "to_agent", "reason" => "full").increment(1);
        }
    }

    fn agent_frame(&mut self, frame: &AudioFrame) {
        // Until they are joined, and while a tone or announcement plays, only we speak.
        if self.bridged && !self.held && !self.playback.is_active() {
            let now = Instant::now();
            if let Some(recorder) = &self.recorder {
                recorder.push(Side::Ours, self.at(now), frame.pcm.clone());
            }
            self.send_audio(frame.clone());
        }
    }

    /// Audio leaves the slots for commands free and is dropped when the leg does not take it.
    fn send_audio(&self, frame: AudioFrame) {
        if self.out.capacity() <= LEG_COMMANDS_RESERVED || self.out.try_send(MediaCommand::Audio(frame)).is_err() {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "caller", "reason" => "slow_socket").increment(1);
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.machine.poll_timeout().is_some_and(|at| at <= now.into_std()) {
            let mut actions = Vec::new();
            self.machine.handle_timeout(now.into_std(), &mut actions);
            self.perform(actions).await;
        }
        let mut outputs = Vec::new();
        self.playback.tick(now.into_std(), &mut outputs);
        self.playback.take_marks(&mut self.marks_sent, &mut outputs);
        self.played(outputs).await;
    }

    /// Carries out what playback wants and tells the machine what it noticed.
    async fn played(&mut self, outputs: Vec<PlaybackOutput>) {
        for output in outputs {
            match output {
                PlaybackOutput::Frame { pcm, plays_at } => {
                    let at = self.at(plays_at.into());
                    if let Some(recorder) = &self.recorder {
                        recorder.push(Side::Ours, at, pcm.clone());
                    }
                    self.send_audio(AudioFrame::new(at, SampleRate::WIDEBAND, pcm));
                }
                PlaybackOutput::Mark(mark) => self.send(MediaCommand::Mark(mark)).await,
                PlaybackOutput::Clear => self.send(MediaCommand::Clear).await,
                PlaybackOutput::Started(item) => self.item_started(item).await,
                PlaybackOutput::Heard(item) => {
                    self.speech.forget(item);
                    Box::pin(self.step(CallInput::ItemHeard(item))).await;
                }
                PlaybackOutput::Cut { item, heard } => {
                    self.speech.forget(item);
                    Box::pin(self.step(CallInput::ItemCut { item, heard })).await;
                }
            }
        }
    }

    async fn item_started(&mut self, item: ItemId) {
        let now = Instant::now();
        let Some((text, _)) = self.items.get(&item).cloned() else { return };
        if let Some(response) = self.response.take() {
            self.journal.responded(response.turn, response.timings(now));
        }
        self.journal.item_started(item, self.at(now));
        self.send(MediaCommand::Caption(Caption { who: Speaker::Assistant, text, is_final: true })).await;
    }

    /// Control: waits for the leg, which drains steadily or is dropped by its driver.
    async fn send(&mut self, command: MediaCommand) {
        if self.out.send(command).await.is_err() {
            debug!(call.id = %self.id, "The leg is gone");
        }
    }

    // --- hearing ------------------------------------------------------------------------------------------------

    async fn turn_event(&mut self, now: Instant, frame_at: Millis, event: TurnEvent) {
        match event {
            TurnEvent::SpeechStarted { .. } => {
                self.turns.current += 1;
                self.turns.interrupted = false;
                self.drop_early();
                self.step(CallInput::SpeechStarted).await;
            }
            TurnEvent::Speculate { id, audio } => self.speculate(id, &audio),
            TurnEvent::SpeechResumed { .. } => {
                self.drop_early();
                self.step(CallInput::SpokeOn(TurnId(self.turns.current))).await;
            }
            TurnEvent::BargeIn { .. } => {
                if self.playback.can_be_interrupted() {
                    metrics::counter!(metric::BARGE_INS).increment(1);
                    self.turns.interrupted = true;
                    self.step(CallInput::BargeIn).await;
                }
            }
            TurnEvent::TurnEnded { audio, speculation, .. } => {
                let turn = TurnId(self.turns.current);
                let last_voice = now - frame_at.saturating_sub(audio.last_voice_at).duration();
                self.journal.caller_spoke(
                    turn,
                    self.at(last_voice).saturating_sub(audio.last_voice_at.saturating_sub(audio.first_voice_at)),
                    self.at(last_voice),
                );
                self.response = Some(Response {
                    turn,
                    last_voice,
                    decided: now,
                    heard: None,
                    decode: Duration::ZERO,
                    clause: None,
                });
                self.step(CallInput::TurnEnded(turn)).await;
                self.transcribe(turn, &audio, speculation).await;
            }
        }
    }

    fn drop_early(&mut self) {
        if let Some(early) = self.turns.early.take() {
            early.cancel.cancel();
        }
    }

    fn decode(&self, audio: &UtteranceAudio, cancel: &CancelFlag) -> Decode {
        let settings = &self.services.settings;
        Decode {
            turn: TurnId(self.turns.current),
            utterance: Utterance { pcm: audio.pcm.clone(), at: audio.at, hints: settings.hints.clone() },
            deadline: settings.stt_deadline,
            cancel: cancel.clone(),
        }
    }

    fn speculate(&mut self, id: SpeculationId, audio: &UtteranceAudio) {
        self.drop_early();
        let Some(stt) = self.services.stt.clone() else { return };
        let cancel = CancelFlag::new();
        let work = self.decode(audio, &cancel);
        self.speech.hear_early(stt, work, id);
        self.turns.early = Some(Early { id, cancel, result: None, is_final: false });
    }

    async fn transcribe(&mut self, turn: TurnId, audio: &UtteranceAudio, speculation: Option<SpeculationId>) {
        let Some(stt) = self.services.stt.clone() else {
            let failure = EngineFailed { engine: "stt", reason: "recognition is switched off".to_owned() };
            return self.heard(turn, Err(failure)).await;
        };
        match &mut self.turns.early {
            Some(early) if speculation == Some(early.id) => match early.result.take() {
                Some(transcript) => {
                    self.turns.early = None;
                    self.heard(turn, Ok(transcript)).await;
                }
                None => early.is_final = true,
            },
            _ => {
                self.drop_early();
                let work = self.decode(audio, &CancelFlag::new());
                self.speech.hear(stt, work);
            }
        }
    }

    async fn early_transcript(&mut self, turn: TurnId, id: SpeculationId, transcript: Transcript) {
        let Some(early) = self.turns.early.as_mut().filter(|early| early.id == id) else { return };
        if early.is_final {
            self.turns.early = None;
            return self.heard(turn, Ok(transcript)).await;
        }
        let looks = completeness(&transcript.text);
        early.result = Some(transcript.clone());
        self.caption(Speaker::Caller, transcript.text.clone(), false).await;
        self.step(CallInput::HeardEarly { turn, transcript }).await;
        let mut noticed = Vec::new();
        self.detector.transcript_looks(id, looks, &mut noticed);
        let now = Instant::now();
        for event in noticed {
            // The detector's clock is the stream's; its newest frame came just now.
            let at = match &event {
                TurnEvent::TurnEnded { at, .. } => *at,
                _ => Millis::ZERO,
            };
            Box::pin(self.turn_event(now, at, event)).await;
        }
    }

    async fn heard(&mut self, turn: TurnId, result: Result<Transcript, EngineFailed>) {
        let interrupted = self.turns.interrupted && turn.0 == self.turns.current;
        if let Ok(transcript) = &result {
            if let Some(response) = self.response.as_mut().filter(|response| response.turn == turn) {
                response.heard = Some(Instant::now());
                response.decode = transcript.decode;
            }
            self.caption(Speaker::Caller, transcript.text.clone(), true).await;
        }
        self.step(CallInput::Heard { turn, result, interrupted }).await;
    }

    async fn caption(&mut self, who: Speaker, text: String, is_final: bool) {
        if !text.is_empty() {
            self.send(MediaCommand::Caption(Caption { who, text, is_final })).await;
        }
    }

    // --- control path -------------------------------------------------------------------------------------------

    async fn event(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Dtmf(digit) => {
                if self.bridged
                    && let Some(handoff) = self.handoff
                {
                    self.services.desk.caller_key(handoff, digit).await;
                }
                self.step(CallInput::Dtmf(digit)).await;
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

    /// The leg is gone.
    async fn stop(&mut self, reason: StopReason) {
        if let Some(message) = &self.message {
            // Whoever speaks and hangs up has left a message.
            let speech = message.speech();
            self.step(CallInput::MessageEnded { speech }).await;
        }
        self.step(CallInput::ProviderStopped(reason)).await;
        self.ended = true;
    }

    async fn command(&mut self, command: CallCommand) {
        match command {
            CallCommand::Handoff { news, leg } => {
                if let Some(leg) = leg {
                    self.agent = Some(leg);
                }
                match &news {
                    HandoffNews::Ended => self.said_ended = true,
                    HandoffNews::Accepted { agent, .. } => self.journal.agent_joined(agent.clone()),
                    HandoffNews::AgentLost | HandoffNews::Requeued => self.agent = None,
                    _ => {}
                }
                self.step(CallInput::Handoff(news)).await;
            }
            CallCommand::Stop => self.step(CallInput::ServerStopping).await,
        }
    }

    async fn finding(&mut self, finding: Finding) {
        match finding {
            Finding::Early(turn, id, Ok(transcript)) => self.early_transcript(turn, id, transcript).await,
            Finding::Early(turn, id, Err(error)) => {
                let Some(early) = self.turns.early.take_if(|early| early.id == id) else { return };
                // A speculation that failed costs nothing unless the turn has ended meanwhile.
                if early.is_final {
                    self.heard(turn, Err(stt_failed(&error))).await;
                }
            }
            Finding::Final(turn, Ok(transcript)) => self.heard(turn, Ok(transcript)).await,
            Finding::Final(turn, Err(error)) => self.heard(turn, Err(stt_failed(&error))).await,
            Finding::Sound(item, pcm) => self.playback.append(item, &pcm),
            Finding::Spoken(item) => self.playback.complete(item),
            Finding::Unspoken(item, error) => {
                warn!(call.id = %self.id, %error, "A sentence could not be spoken");
                self.unspoken(item).await;
            }
            Finding::Thought(turn, thought) => self.thought(turn, thought).await,
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
            Thought::Done { blocked } => CallInput::AnswerDone { turn, blocked },
            Thought::Failed(failure) => {
                metrics::counter!(metric::ENGINE_FAILURES, "engine" => failure.engine).increment(1);
                CallInput::AnswerFailed { turn, failure }
            }
        };
        self.step(input).await;
    }

    // --- actions ------------------------------------------------------------------------------------------------

    async fn perform(&mut self, actions: Vec<CallAction>) {
        for action in actions {
            match action {
                CallAction::Say { item, words, interruptible } => self.say(item, words, interruptible).await,
                CallAction::ClearPlayback { everything } => {
                    let mut outputs = Vec::new();
                    self.playback.clear(Instant::now().into_std(), everything, &mut outputs);
                    self.played(outputs).await;
                }
                CallAction::Answer { turn, query } => {
                    let (mind, history, findings) =
                        (self.services.mind.clone(), self.journal.history().clone(), self.speech.findings());
                    let cancel = self.journal.begin_answer(turn);
                    self.speech.spawn(async move {
                        tokio::select! {
                            () = cancel.cancelled() => {}
                            () = mind.answer(turn, query, history, findings) => {}
                        }
                    });
                }
                CallAction::CancelAnswer(turn) => self.journal.cancel_answer(turn),
                CallAction::RememberCaller { turn, transcript } => {
                    let line = self.journal.caller_said(turn, &transcript);
                    self.tell_desk(line).await;
                }
                CallAction::RememberAssistant { item, heard, cut } => {
                    let Some((text, turn)) = self.items.remove(&item) else { continue };
                    let now = self.at(Instant::now());
                    if let Some(line) = self.journal.assistant_said(item, turn, &text, cut.then_some(heard), now) {
                        self.tell_desk(line).await;
                    }
                }
                CallAction::RequestHandoff { reason, signals } => self.request_handoff(reason, signals).await,
                CallAction::NoteTrigger { reason, signals } => {
                    if let Some(handoff) = self.handoff {
                        let at = self.at(Instant::now());
                        self.journal.triggered(handoff, reason, signals, at);
                    }
                }
                CallAction::SuspendHandoff => {
                    if let Some(handoff) = self.handoff {
                        self.services.desk.suspend(handoff).await;
                    }
                }
                CallAction::CloseHandoff(outcome) => self.close_handoff(outcome).await,
                CallAction::Bridge => self.bridge().await,
                CallAction::Unbridge => self.bridged = false,
                CallAction::Hold(on) => {
                    self.held = on;
                    self.playback.set_hold(on);
                }
                CallAction::PlayTone(digit) => self.playback.enqueue_sound(hold::key_tone(digit.get())),
                CallAction::StartRecording => self.start_recording(),
                CallAction::StartMessage => {
                    self.playback.enqueue_sound(hold::beep());
                    let limit = Millis(self.services.settings.handoff.message_max_s.saturating_mul(1_000));
                    self.message = Some(Message::new(limit));
                }
                CallAction::EndMessage => {
                    if let Some(message) = &mut self.message {
                        message.end();
                    }
                }
                CallAction::StopMessage { keep } => {
                    if let Some(message) = self.message.take()
                        && keep
                    {
                        self.journal.keep_message(message);
                    }
                }
                CallAction::BookCallback { number } => self.journal.callback(number),
                CallAction::Hangup => {
                    self.send(MediaCommand::Hangup).await;
                }
                CallAction::Finish(outcome) => {
                    self.recorder = None;
                    self.journal.finished(outcome);
                    self.ended = true;
                }
            }
        }
    }

    async fn say(&mut self, item: ItemId, words: Words, interruptible: bool) {
        let (text, turn) = match words {
            Words::Fixed(phrase) => (self.services.phrases.text(&phrase), None),
            Words::Answer(turn, text) => (text, Some(turn)),
        };
        self.playback.enqueue(item, text.clone(), interruptible);
        self.items.insert(item, (text.clone(), turn));
        let spoken = crate::dialog::speakable::speakable(&text);
        // What is in the cache starts with the next frame.
        if let Some(pcm) = self.services.voice.cached(&spoken) {
            self.playback.append(item, &pcm);
            self.playback.complete(item);
        } else if self.speech.say(item, spoken).is_err() {
            Box::pin(self.unspoken(item)).await;
        }
    }

    async fn tell_desk(&mut self, line: crate::handoff::wire::Line) {
        if let Some(handoff) = self.handoff {
            self.services.desk.line(handoff, line).await;
        }
    }

    async fn request_handoff(&mut self, reason: HandoffReason, signals: super::input::Signals) {
        let id = *self.handoff.get_or_insert_with(HandoffId::generate);
        self.said_ended = false;
        let task = HandoffTask {
            id,
            call: self.id,
            reason,
            summary: self.journal.summary(reason),
            provider: self.provider,
            lines: self.journal.lines().to_vec(),
            commands: self.commands.clone(),
        };
        self.services.desk.request(task).await;
        let at = self.at(Instant::now());
        self.journal.triggered(id, reason, signals, at);
    }

    async fn close_handoff(&mut self, outcome: HandoffOutcome) {
        let Some(handoff) = self.handoff.take() else { return };
        self.bridged = false;
        self.agent = None;
        if outcome == HandoffOutcome::Bridged && !self.said_ended {
            let reason = match self.machine.state() {
                State::Ended => CallEnd::CallerHungUp,
                _ => CallEnd::ServerStopped,
            };
            self.services.desk.ended(handoff, reason).await;
        }
        self.services.desk.close(handoff, outcome).await;
    }

    async fn bridge(&mut self) {
        // What the agent said before they were joined is not for the caller, and old by now.
        if let Some(agent) = &mut self.agent {
            while agent.from_agent.try_recv().is_ok() {}
        }
        self.bridged = true;
        self.held = false;
        self.playback.set_hold(false);
        // No words: tells a caller with a screen that a person is on the line now.
        self.send(MediaCommand::Caption(Caption { who: Speaker::Agent, text: String::new(), is_final: true })).await;
        if let Some(handoff) = self.handoff {
            self.services.desk.bridged(handoff).await;
        }
    }

    fn start_recording(&mut self) {
        let now = self.at(Instant::now());
        let name = format!("{}.wav", self.id);
        match Recorder::start(self.services.settings.recordings.join(&name), now) {
            Ok(recorder) => {
                self.recorder = Some(recorder);
                self.journal.recording_started(name, now);
            }
            Err(error) => warn!(call.id = %self.id, %error, "The call can't be recorded"),
        }
    }

    /// After the call: the caller's message is written and put into words.
    async fn finish_message(&mut self) {
        let Some(message) = self.journal.take_message() else { return };
        let name = format!("{}-message.wav", self.id);
        let path = self.services.settings.recordings.join(&name);
        let pcm = message.into_pcm();
        let written = tokio::task::spawn_blocking({
            let pcm = pcm.clone();
            move || crate::audio::wav::write(&path, SampleRate::WIDEBAND, &pcm)
        });
        match written.await {
            Ok(Ok(())) => self.journal.message_recorded(name.clone(), None),
            Ok(Err(error)) => return warn!(call.id = %self.id, %error, "A message could not be written"),
            Err(error) => return warn!(call.id = %self.id, %error, "A message could not be written"),
        }
        let Some(stt) = self.services.stt.clone() else { return };
        if let Some(text) = super::message::transcribe(&stt, &pcm, &self.services.settings).await {
            self.journal.message_recorded(name, Some(text));
        }
    }
}

impl Response {
    fn timings(&self, audible: Instant) -> crate::store::TurnTimings {
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_millis() as u32;
        let heard = self.heard.unwrap_or(audible).max(self.decided);
        let clause = self.clause.unwrap_or(heard).max(heard);
        crate::store::TurnTimings {
            endpointing_ms: ms(self.last_voice, self.decided),
            stt_ms: ms(self.decided, heard),
            llm_ms: ms(heard, clause),
            tts_ms: ms(clause, audible),
            response_ms: ms(self.last_voice, audible),
            decode_ms: self.decode.as_millis() as u32,
        }
    }
}

/// The agent's next frame; never, while there is no agent.
async fn agent_frame(agent: &mut Option<AgentLeg>) -> Option<AudioFrame> {
    match agent {
        Some(leg) => match leg.from_agent.recv().await {
            Some(frame) => Some(frame),
            // The socket is gone; the desk will say so. Until then there is nothing to wait for.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
