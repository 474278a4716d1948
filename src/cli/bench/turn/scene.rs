//! One caller over our playback, in the recording's time, through the call's own parts: playback, echo guard, voice
//! detector, judge, turn detector, recognition and the machine that decides. Only the glue between them is ours, and
//! recognition takes as much of the recording's time as it takes of the clock's.
//!
//! What we play is what the caller hears, so a caller on a loudspeaker sends it back; that echo is made from the very
//! frames that were sent, ducked ones included.

use std::time::{Duration, Instant};

use super::sounds::{Dice, noise};
use crate::audio::frame::AudioFrame;
use crate::audio::g711;
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::call::cleaner::Cleaner;
use crate::call::echo::{EchoRemover, EchoView};
use crate::call::input::{CallAction, CallInput, ItemId, TurnId};
use crate::call::machine::{CallMachine, CallPolicy};
use crate::call::overlap::{Overlap, OverlapEvent, OverlapRules};
use crate::call::patience::Pace;
use crate::call::playback::{Playback, PlaybackOutput};
use crate::call::turn::{SpeculationId, TurnDetector, TurnEvent};
use crate::cli::ears::Ears;
use crate::cli::{CliError, explain};
use crate::config::{SoundConfig, TurnConfig};
use crate::engine::stt::Transcript;
use crate::engine::stt::scheduler::JobKind;
use crate::engine::vad::VadFactory;

const RATE: SampleRate = SampleRate::WIDEBAND;
const FRAME: usize = RATE.samples_in(Millis::FRAME);
/// After its sound a scene goes on for so long: every decision has been made by then.
const AFTER: Millis = Millis(6_000);

/// A loudspeaker, a room and a line.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// From our sending to its coming back.
    pub delay: Millis,
    /// How loud it comes back.
    pub gain: f32,
}

/// What happened, all times since the onset of the caller's sound.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The caller heard us grow quiet.
    pub ducked: Option<Millis>,
    /// They heard no more of us, for the first time.
    pub silent: Option<Millis>,
    /// What we were saying was dropped.
    pub dropped: Option<Millis>,
    /// How long we were silent in all, when what we were saying went on.
    pub gap: Millis,
    /// We were silent to the end, and yet nothing had been dropped.
    pub stuck: bool,
    /// What was recognised, in turn.
    pub words: Vec<(String, Probability)>,
    /// Processor time of detectors and judge.
    pub spent: Duration,
    /// Time of the recording.
    pub lasted: Millis,
}

impl Seen {
    /// What we were saying was not said to its end.
    pub const fn ended(&self) -> bool {
        self.dropped.is_some() || self.stuck
    }
}

/// Everything that stays the same from scene to scene.
pub struct Stage<'a> {
    /// Opens voice detectors.
    pub vad: &'a dyn VadFactory,
    /// Recognises.
    pub ears: &'a Ears,
    /// From what probability on a frame is voice.
    pub threshold: Probability,
    /// When turns end and voices interrupt.
    pub turn: &'a TurnConfig,
    /// What is done to the caller's sound.
    pub sound: &'a SoundConfig,
    /// What the operator decided.
    pub policy: &'a CallPolicy,
    /// What we say, over and over.
    pub ours: &'a [i16],
}

/// A scene that is being played.
struct Scene<'a> {
    stage: &'a Stage<'a>,
    start: Instant,
    onset: Millis,
    now: Millis,
    machine: CallMachine,
    playback: Playback,
    echo: EchoRemover,
    cleaner: Cleaner,
    overlap: Overlap,
    detector: TurnDetector,
    pace: Pace,
    turn: TurnId,
    interrupted: bool,
    /// A transcript on its way, and when it is there.
    pending: Option<Pending>,
    duck_due: bool,
    paused_at: Option<Millis>,
    /// From here on what was sent was flushed.
    flushed: Option<Millis>,
    seen: Seen,
}

/// A frame of the caller's.
struct Heard {
    at: Millis,
    pcm: Vec<i16>,
    /// What is listened to, where it differs.
    clean: Option<Vec<i16>>,
    voice: Probability,
}

struct Pending {
    id: SpeculationId,
    ready_at: Millis,
    transcript: Transcript,
    told: bool,
    is_final: bool,
}

impl Stage<'_> {
    /// Plays one scene: after `quiet` the caller makes this sound.
    pub async fn play(
        &self,
        dice: &mut Dice,
        quiet: Millis,
        sound: &[i16],
        room: Option<Room>,
    ) -> Result<Seen, CliError> {
        let onset = RATE.samples_in(quiet) + dice.between(0, FRAME as u32) as usize;
        let total = onset + sound.len() + RATE.samples_in(AFTER);
        let mut caller = noise(dice, RATE.span_of(total) + Millis(40));
        for (sample, add) in caller[onset..].iter_mut().zip(sound) {
            *sample = sample.saturating_add(*add);
        }
        let mut vad = self.vad.open().map_err(|error| CliError::failed(explain(&error), ""))?;
        let mut scene = Scene::begin(self, RATE.span_of(onset));
        let begin = dice.between(0, (self.ours.len() / 2) as u32) as usize;
        let ours: Vec<i16> = self.ours.iter().cycle().skip(begin).take(total + 32_000).copied().collect();
        let item = scene.speak()?;
        scene.playback.append(item, &ours);
        let mut line = Line { heard: vec![0; total + 64_000], band: (0.0, 0.0, 0.0) };
        for (n, frame) in caller.chunks_exact(FRAME).enumerate().take(total / FRAME) {
            scene.tick(RATE.span_of(n * FRAME), &mut line);
            let mut pcm = frame.to_vec();
            line.mix_echo(&mut pcm, n * FRAME, room);
            let may_stop = room.is_none() || RATE.span_of(n * FRAME) + Millis(500) >= quiet;
            scene.now = RATE.span_of((n + 1) * FRAME);
            let begun = tokio::time::Instant::now();
            let mut echo = scene.echo.heard(RATE.span_of(n * FRAME), &pcm);
            pcm = echo.without.take().unwrap_or(pcm);
            let clean = scene.cleaner.clean(&pcm);
            let voice =
                vad.push(clean.as_deref().unwrap_or(&pcm)).map_err(|error| CliError::failed(explain(&error), ""))?;
            let voice = if echo.is_echo { Probability::default() } else { voice };
            scene.cleaner.learn(voice);
            let spent = begun.elapsed();
            scene.seen.spent += spent;
            let heard = Heard { at: RATE.span_of(n * FRAME), pcm, clean, voice };
            scene.hear(heard, &echo, may_stop).await?;
            if scene.seen.dropped.is_some() {
                break;
            }
        }
        Ok(scene.end())
    }
}

impl<'a> Scene<'a> {
    fn begin(stage: &'a Stage<'a>, onset: Millis) -> Self {
        let start = tokio::time::Instant::now().into_std();
        let rules = OverlapRules::new(stage.threshold, Millis(stage.turn.barge_in_ms));
        Self {
            stage,
            start,
            onset,
            now: Millis::ZERO,
            machine: CallMachine::new(start, stage.policy.clone()),
            playback: Playback::default(),
            echo: EchoRemover::default(),
            cleaner: Cleaner::new(stage.sound),
            overlap: Overlap::new(rules),
            detector: TurnDetector::new(stage.turn, stage.threshold),
            pace: Pace::new(stage.turn),
            turn: TurnId(0),
            interrupted: false,
            pending: None,
            duck_due: false,
            paused_at: None,
            flushed: None,
            seen: Seen::default(),
        }
    }

    /// The greeting was heard, a question asked, and its answer is being spoken.
    fn speak(&mut self) -> Result<ItemId, CliError> {
        let mut actions = Vec::new();
        let mut step = |input| {
            actions.clear();
            self.machine.step(self.start, input, &mut actions);
            actions
                .iter()
                .filter_map(|action| match action {
                    CallAction::Say { item, .. } => Some(*item),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        for item in step(CallInput::Began) {
            step(CallInput::ItemHeard(item));
        }
        let turn = self.turn;
        let question = Transcript { text: "How long does delivery take?".to_owned(), ..Transcript::default() };
        step(CallInput::TurnEnded(turn));
        step(CallInput::Heard { turn, result: Ok(question), interrupted: false });
        let said = step(CallInput::AnswerSentence { turn, text: "Two to four days.".to_owned() });
        step(CallInput::AnswerDone { turn, blocked: None });
        let nothing = || CliError::failed("the machine did not answer", "This is a bug of the benchmark.");
        let item = *said.first().ok_or_else(nothing)?;
        self.playback.enqueue(item, "words ".repeat(400), true);
        Ok(item)
    }

    fn clock(&self) -> Instant {
        self.start + self.now.duration()
    }

    fn since_onset(&self, at: Millis) -> Millis {
        at.saturating_sub(self.onset)
    }

    /// Sends what is due at `at`.
    fn tick(&mut self, at: Millis, line: &mut Line) {
        if let Some(from) = self.flushed.take() {
            line.heard[RATE.samples_in(from)..].fill(0);
        }
        let mut outputs = Vec::new();
        self.playback.tick(self.start + at.duration(), &mut outputs);
        for output in outputs {
            let PlaybackOutput::Frame { pcm, plays_at } = output else { continue };
            let place = RATE.samples_in(Millis::from_duration(plays_at - self.start));
            line.heard[place..place + FRAME].copy_from_slice(&pcm);
            let begun = tokio::time::Instant::now();
            self.echo.played(RATE.span_of(place), &pcm);
            self.seen.spent += begun.elapsed();
            if self.duck_due && RATE.span_of(place) >= self.onset {
                self.duck_due = false;
                // In the middle of its first, fading frame.
                let heard = self.since_onset(RATE.span_of(place + FRAME / 2));
                self.seen.ducked.get_or_insert(heard);
            }
        }
    }

    async fn hear(
        &mut self,
        Heard { at, pcm, clean, voice }: Heard,
        echo: &EchoView,
        may_stop: bool,
    ) -> Result<(), CliError> {
        let open = may_stop
            && self.playback.can_be_interrupted()
            && (self.playback.is_audible(self.clock()) || self.playback.is_paused());
        let begun = tokio::time::Instant::now();
        let mut judged = Vec::new();
        self.overlap.heard(&pcm, voice, echo.is_echo, open, &mut judged);
        let mut noticed = Vec::new();
        if echo.found {
            self.detector.discard(&mut noticed);
        }
        let frame = AudioFrame::new(at, RATE, clean.unwrap_or(pcm));
        let mut spent = begun.elapsed();
        for event in judged {
            self.judged(event);
        }
        let begun = tokio::time::Instant::now();
        self.detector.push(&frame, voice, &mut noticed);
        spent += begun.elapsed();
        self.seen.spent += spent;
        self.follow(noticed).await?;
        let ready = self.pending.as_mut().filter(|pending| pending.ready_at <= self.now && !pending.told);
        if let Some(pending) = ready {
            pending.told = true;
            let (id, transcript) = (pending.id, pending.transcript.clone());
            self.seen.words.push((transcript.text.clone(), transcript.confidence()));
            if pending.is_final {
                self.pending = None;
                self.heard_words(transcript);
            } else {
                let looks = self.pace.looks(&transcript.text, transcript.confidence());
                self.step(CallInput::HeardEarly { turn: self.turn, transcript });
                let mut noticed = Vec::new();
                self.detector.set_patience(self.pace.patience());
                self.detector.transcript_looks(id, looks, &mut noticed);
                self.follow(noticed).await?;
            }
        }
        if self.machine.poll_timeout().is_some_and(|due| due <= self.clock()) {
            let mut actions = Vec::new();
            self.machine.handle_timeout(self.clock(), &mut actions);
            self.perform(actions);
        }
        Ok(())
    }

    fn judged(&mut self, event: OverlapEvent) {
        match event {
            OverlapEvent::Duck => {
                self.playback.duck(true);
                self.duck_due = true;
            }
            OverlapEvent::Resume => self.playback.duck(false),
            OverlapEvent::Pause => {
                self.interrupted = true;
                self.step(CallInput::BargeIn);
            }
            OverlapEvent::Stop => self.step(CallInput::TookTheFloor),
        }
    }

    async fn follow(&mut self, events: Vec<TurnEvent>) -> Result<(), CliError> {
        for event in events {
            match event {
                TurnEvent::SpeechStarted { at } => {
                    self.turn.0 += 1;
                    self.interrupted = self.playback.is_paused();
                    self.pace.began(at, true);
                    self.pending = None;
                    self.step(CallInput::SpeechStarted);
                }
                TurnEvent::Speculate { id, audio } => {
                    let transcript = self.stage.ears.decode(&audio.pcm, audio.at, JobKind::Speculative).await?;
                    let ready_at = self.now + Millis::from_duration(transcript.decode);
                    self.pending = Some(Pending { id, ready_at, transcript, told: false, is_final: false });
                }
                TurnEvent::SpeechResumed { .. } => {
                    self.pending = None;
                    self.step(CallInput::SpokeOn(self.turn));
                }
                TurnEvent::WordsAwaited { .. } => {}
                TurnEvent::Discarded => {
                    self.pending = None;
                    self.step(CallInput::SpeechDiscarded);
                }
                TurnEvent::TurnEnded { audio, .. } => {
                    self.pace.ended(audio.last_voice_at);
                    self.step(CallInput::TurnEnded(self.turn));
                    match self.pending.as_mut() {
                        Some(pending) if !pending.told => pending.is_final = true,
                        _ => {
                            let transcript = match self.pending.take() {
                                Some(pending) => pending.transcript,
                                None => self.stage.ears.decode(&audio.pcm, audio.at, JobKind::Final).await?,
                            };
                            self.heard_words(transcript);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn heard_words(&mut self, transcript: Transcript) {
        self.step(CallInput::Heard { turn: self.turn, result: Ok(transcript), interrupted: self.interrupted });
    }

    fn step(&mut self, input: CallInput) {
        let mut actions = Vec::new();
        self.machine.step(self.clock(), input, &mut actions);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<CallAction>) {
        let mut outputs = Vec::new();
        for action in actions {
            match action {
                CallAction::PausePlayback => {
                    self.playback.pause(self.clock(), &mut outputs);
                    self.paused_at = Some(self.now);
                    let silent = self.since_onset(self.now);
                    self.seen.silent.get_or_insert(silent);
                }
                CallAction::ResumePlayback => {
                    self.playback.resume();
                    self.overlap.settled();
                    if let Some(since) = self.paused_at.take() {
                        self.seen.gap = self.seen.gap + self.now.saturating_sub(since);
                    }
                }
                CallAction::ClearPlayback { everything } => {
                    self.playback.clear(self.clock(), everything, &mut outputs);
                    self.overlap.settled();
                    let dropped = self.since_onset(self.now);
                    self.seen.silent.get_or_insert(dropped);
                    self.seen.dropped.get_or_insert(dropped);
                }
                // What we would say next is not part of the scene.
                _ => {}
            }
        }
        if outputs.contains(&PlaybackOutput::Clear) {
            self.echo.taken_back(self.now);
            self.flushed = Some(self.now);
        }
    }

    fn end(mut self) -> Seen {
        self.seen.stuck = self.seen.dropped.is_none() && self.playback.is_paused();
        self.seen.lasted = self.now;
        self.seen
    }
}

/// What the caller's loudspeaker plays, and how it sounds through room, microphone and line.
struct Line {
    heard: Vec<i16>,
    band: (f32, f32, f32),
}

impl Line {
    /// Adds the echo of what was heard before `at`, and codes the sum as µ-law.
    fn mix_echo(&mut self, pcm: &mut [i16], at: usize, room: Option<Room>) {
        if let Some(room) = room {
            let delay = RATE.samples_in(room.delay);
            for (n, sample) in pcm.iter_mut().enumerate() {
                let tap = |later: usize| {
                    let place = (at + n).checked_sub(delay + later);
                    place.map_or(0.0, |place| f32::from(self.heard[place]))
                };
                let dry = tap(0) + 0.5 * tap(173) - 0.35 * tap(431) + 0.2 * tap(977) - 0.12 * tap(1_901);
                // A small loudspeaker: nothing below 450 Hz, little above 3 kHz.
                let (last, high, low) = self.band;
                let high = 0.84 * (high + dry - last);
                let low = low + 0.65 * (high - low);
                self.band = (dry, high, low);
                *sample = sample.saturating_add((low * room.gain) as i16);
            }
        }
        let mut coded = Vec::with_capacity(pcm.len());
        g711::encode_ulaw(pcm, &mut coded);
        let mut decoded = Vec::with_capacity(pcm.len());
        g711::decode_ulaw(&coded, &mut decoded);
        pcm.copy_from_slice(&decoded);
    }
}
