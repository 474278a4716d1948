//! Who has the floor: from a probability of voice for each 20 ms to "the caller began", "the caller may have finished",
//! "the caller has finished". PURE.
//!
//! ```text
//!            voice ≥ min_speech            silence ≥ speculate             silence ≥ hangover
//!  Quiet ──▶ Candidate ──▶ SpeechStarted ──▶ Speaking ──▶ Speculate ──▶ … ──▶ TurnEnded ──▶ Quiet
//!    ▲           │ fell silent before           ▲             │ voice again
//!    └───────────┘                              └─ SpeechResumed
//! ```
//! The detector keeps the utterance's audio: some lead-in from before the voice was noticed, a short tail after it. What
//! `TurnEnded` carries is the very audio of the last `Speculate` that still stands, so its transcript can be used as is.
//!
//! Time is the media's: a frame that never came is silence, and [`TurnDetector::advance`] says that time passed when no
//! frame comes at all. Two clocks end a turn: the silence that policy asks for ([`Patience`]), and, while a speculation is
//! being recognised, its words: without them nothing could be answered anyhow, and they may ask for more patience. Then
//! `WordsAwaited` says that somebody waits. Not here: what the
//! caller said ([`super::completeness`] judges the words), and sounds over playback ([`super::overlap`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::completeness::Completeness;
use super::patience::Patience;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::config::TurnConfig;

/// Audio kept from before the first frame of voice: detectors notice an onset up to 200 ms late.
const LEAD_IN: Millis = Millis(300);
/// Audio kept after the last frame of voice: detectors cut the tail in noise.
const TAIL: Millis = Millis(200);
/// A sound that stops this long before it was long enough to be speech is forgotten.
const CANDIDATE_GAP: Millis = Millis(100);
/// Voice after a speculation counts from this length on, so that a click does not void it.
const RESUME: Millis = Millis(60);
/// A voice that goes on may be this much less probable than one that begins.
const HYSTERESIS: f32 = 0.15;
/// From this share of the longest utterance on, any short pause ends it, so that it is not cut within a word: (times, by).
const NEARLY_TOO_LONG: (u32, u32) = (4, 5);
/// That short pause.
const SHORT_PAUSE: Millis = Millis(180);
/// What has gone on for longer than this is a caller's, whatever else is heard besides.
const DISCARDED: Millis = Millis(1_500);
/// A frame this far in the past means that the stream's clock began anew.
const CLOCK_RESTART: Millis = Millis(1_000);
const RATE: SampleRate = SampleRate::WIDEBAND;

/// What the caller said in one go, 16 kHz mono.
#[derive(Clone, PartialEq)]
pub struct UtteranceAudio {
    /// Where the first sample lies in the caller's stream.
    pub at: Millis,
    /// The samples.
    pub pcm: Arc<[i16]>,
    /// Start of the first frame with voice.
    pub first_voice_at: Millis,
    /// End of the last frame with voice.
    pub last_voice_at: Millis,
}

impl fmt::Debug for UtteranceAudio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.at + RATE.span_of(self.pcm.len());
        write!(f, "{}..{} (voice {}..{})", self.at.0, end.0, self.first_voice_at.0, self.last_voice_at.0)
    }
}

/// Names one speculation of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpeculationId(pub u32);

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// The caller fell silent.
    Silence,
    /// The utterance reached its greatest length; the caller may be going on.
    TooLong,
    /// The stream ended, or its clock began anew.
    StreamEnded,
}

/// What the detector noticed. Between a `SpeechStarted` and the next there is exactly one `TurnEnded` or `Discarded`.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnEvent {
    /// The caller speaks, since `at`.
    SpeechStarted {
        /// Start of the voice.
        at: Millis,
    },
    /// The caller may have finished: worth a transcript already.
    Speculate {
        /// To match the transcript with.
        id: SpeculationId,
        /// All that was said so far.
        audio: UtteranceAudio,
    },
    /// The silence would do, but the words of the speculation are not there yet.
    WordsAwaited {
        /// Which.
        id: SpeculationId,
    },
    /// The caller had not finished: the speculation is void.
    SpeechResumed {
        /// Which.
        id: SpeculationId,
        /// When the voice came back.
        at: Millis,
    },
    /// The caller has finished.
    TurnEnded {
        /// When this was decided; `at - audio.last_voice_at` is what endpointing cost.
        at: Millis,
        /// All that was said.
        audio: UtteranceAudio,
        /// The speculation over exactly this audio, if there was one.
        speculation: Option<SpeculationId>,
        /// Why.
        end: TurnEnd,
    },
    /// What had begun was no caller: the utterance is dropped.
    Discarded,
}

/// Follows one caller.
#[derive(Debug)]
pub struct TurnDetector {
    rules: Rules,
    patience: Patience,
    /// Where the next frame belongs; none before the first.
    expected: Option<Millis>,
    /// The last [`LEAD_IN`] of audio while nobody speaks.
    lead_in: VecDeque<i16>,
    open: Option<Open>,
    speculations: u32,
}

#[derive(Debug)]
struct Rules {
    begins: f32,
    goes_on: f32,
    speculate: Millis,
    min_speech: Millis,
    max_utterance: Millis,
    nearly_too_long: Millis,
}

/// A sound that is, or may become, an utterance.
#[derive(Debug)]
struct Open {
    at: Millis,
    pcm: Vec<i16>,
    first_voice_at: Millis,
    last_voice_at: Millis,
    /// Voice in all, until it is speech.
    voiced: Millis,
    started: bool,
    /// Voice without a pause up to now.
    run: Millis,
    speculation: Option<Speculation>,
}

#[derive(Debug)]
struct Speculation {
    id: SpeculationId,
    audio: UtteranceAudio,
    /// Once its transcript is there.
    looks: Option<Completeness>,
    hurried: bool,
}

impl TurnDetector {
    /// A detector that hears voice from `threshold` on.
    pub fn new(config: &TurnConfig, threshold: Probability) -> Self {
        let max_utterance = Millis(config.max_utterance_s * 1_000);
        Self {
            rules: Rules {
                begins: threshold.get(),
                goes_on: threshold.get() - HYSTERESIS,
                speculate: Millis(config.speculate_ms.min(config.hangover_ms)),
                min_speech: Millis(config.min_speech_ms),
                max_utterance,
                nearly_too_long: Millis(max_utterance.0 * NEARLY_TOO_LONG.0 / NEARLY_TOO_LONG.1),
            },
            patience: Patience::new(config),
            expected: None,
            lead_in: VecDeque::new(),
            open: None,
            speculations: 0,
        }
    }

    /// From now on this much silence is waited for.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// What is going on is no caller: what began no more than [`DISCARDED`] ago is dropped.
    pub fn discard(&mut self, events: &mut Vec<TurnEvent>) {
        let now = self.expected.unwrap_or_default();
        if self
            .open
            .take_if(|open| now.saturating_sub(open.first_voice_at) <= DISCARDED)
            .is_some_and(|open| open.started)
        {
            events.push(TurnEvent::Discarded);
        }
    }

    /// Takes the next frame (16 kHz) and how probably it is the caller's voice.
    ///
    /// Frames missing before it count as silence; a frame from the past is dropped.
    pub fn push(&mut self, frame: &AudioFrame, voice: Probability, events: &mut Vec<TurnEvent>) {
        let expected = self.expected.unwrap_or(frame.at);
        if frame.at + CLOCK_RESTART < expected {
            self.finish(events);
        } else if frame.at + Millis(10) < expected {
            return; // late or a repetition
        }
        self.advance(frame.at, events);
        // Less than a frame off is jitter of the stamp and not a hole: the samples follow one another.
        let at = self.expected.unwrap_or(frame.at);
        self.expected = Some(at + frame.span());
        self.step(at, &frame.pcm, frame.span(), voice.get(), events);
    }

    /// The stream has reached `at`: where no frame came there was silence.
    pub fn advance(&mut self, at: Millis, events: &mut Vec<TurnEvent>) {
        while let Some(expected) = self.expected
            && expected + Millis::FRAME <= at
        {
            if self.open.is_none() {
                self.lead_in.clear(); // it is not what came right before the next voice
                self.expected = Some(at);
                return;
            }
            self.expected = Some(expected + Millis::FRAME);
            self.step(expected, &[0; RATE.samples_in(Millis::FRAME)], Millis::FRAME, 0.0, events);
        }
    }

    /// What the transcript of speculation `id` looks like: a finished sentence ends the turn sooner, an unfinished one
    /// later. A void or older speculation is ignored.
    pub fn transcript_looks(&mut self, id: SpeculationId, looks: Completeness, events: &mut Vec<TurnEvent>) {
        if let Some(open) = &mut self.open
            && let Some(speculation) = &mut open.speculation
            && speculation.id == id
        {
            speculation.looks = Some(looks);
            self.maybe_end(events);
        }
    }

    /// The stream ends: what was said until now is the last utterance.
    pub fn finish(&mut self, events: &mut Vec<TurnEvent>) {
        self.end(TurnEnd::StreamEnded, events);
        self.expected = None;
        self.lead_in.clear();
    }

    /// True from `SpeechStarted` to `TurnEnded`.
    pub fn caller_speaks(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.started)
    }

    /// What the caller has said of an utterance that goes on.
    pub fn so_far(&self) -> Option<UtteranceAudio> {
        self.open.as_ref().filter(|open| open.started).map(Open::audio)
    }

    fn step(&mut self, at: Millis, pcm: &[i16], span: Millis, voice: f32, events: &mut Vec<TurnEvent>) {
        let goes_on = self.open.as_ref().is_some_and(|open| open.run > Millis::ZERO);
        let voiced = voice >= if goes_on { self.rules.goes_on } else { self.rules.begins };
        if self.open.is_none() {
            if !voiced {
                self.remember(pcm);
                return;
            }
            self.open = Some(Open::new(at, &mut self.lead_in));
        }
        let Some(open) = &mut self.open else { return };
        open.pcm.extend_from_slice(pcm);
        open.hear(&self.rules, at, span, voiced, events);
        if !open.started && open.silence(at + span) >= CANDIDATE_GAP {
            let pcm = std::mem::take(&mut open.pcm);
            self.open = None;
            self.remember(&pcm);
            return;
        }
        self.maybe_speculate(at + span, events);
        self.maybe_end(events);
    }

    fn remember(&mut self, pcm: &[i16]) {
        self.lead_in.extend(pcm);
        let surplus = self.lead_in.len().saturating_sub(RATE.samples_in(LEAD_IN));
        self.lead_in.drain(..surplus);
    }

    fn maybe_speculate(&mut self, now: Millis, events: &mut Vec<TurnEvent>) {
        let Some(open) = &mut self.open else { return };
        let due = open.started && open.run == Millis::ZERO && open.silence(now) >= self.rules.speculate;
        if due && open.speculation.is_none() {
            let id = SpeculationId(self.speculations);
            self.speculations += 1;
            let audio = open.audio();
            events.push(TurnEvent::Speculate { id, audio: audio.clone() });
            open.speculation = Some(Speculation { id, audio, looks: None, hurried: false });
        }
    }

    fn maybe_end(&mut self, events: &mut Vec<TurnEvent>) {
        let (Some(open), Some(now)) = (&self.open, self.expected) else { return };
        if !open.started {
            return;
        }
        let (length, silence) = (now.saturating_sub(open.at), open.silence(now));
        if length >= self.rules.max_utterance {
            return self.end(TurnEnd::TooLong, events);
        }
        if open.run > Millis::ZERO {
            return;
        }
        if silence >= self.wait(open, length) {
            self.end(TurnEnd::Silence, events);
        } else if silence >= self.patience.hangover
            && let Some(speculation) = self.open.as_mut().and_then(|open| open.speculation.as_mut())
            && speculation.looks.is_none()
            && !std::mem::replace(&mut speculation.hurried, true)
        {
            events.push(TurnEvent::WordsAwaited { id: speculation.id });
        }
    }

    /// Silence that ends this utterance.
    fn wait(&self, open: &Open, length: Millis) -> Millis {
        if length >= self.rules.nearly_too_long {
            return SHORT_PAUSE.max(self.rules.speculate);
        }
        match &open.speculation {
            Some(Speculation { looks: Some(looks), .. }) => self.patience.after(*looks),
            // Its words will be there soon; until then nothing could be answered.
            Some(_) => self.patience.hangover.max(self.rules.speculate + self.patience.tail),
            None => self.patience.hangover,
        }
    }

    fn end(&mut self, end: TurnEnd, events: &mut Vec<TurnEvent>) {
        let Some(open) = self.open.take().filter(|open| open.started) else { return };
        let at = open.at + RATE.span_of(open.pcm.len());
        let (audio, speculation) = match open.speculation {
            Some(speculation) => (speculation.audio, Some(speculation.id)),
            None => (open.audio(), None),
        };
        events.push(TurnEvent::TurnEnded { at, audio, speculation, end });
    }
}

impl Open {
    fn new(at: Millis, lead_in: &mut VecDeque<i16>) -> Self {
        Self {
            at: at.saturating_sub(RATE.span_of(lead_in.len())),
            pcm: lead_in.drain(..).collect(),
            first_voice_at: at,
            last_voice_at: at,
            voiced: Millis::ZERO,
            started: false,
            run: Millis::ZERO,
            speculation: None,
        }
    }

    fn silence(&self, now: Millis) -> Millis {
        now.saturating_sub(self.last_voice_at)
    }

    fn hear(&mut self, rules: &Rules, at: Millis, span: Millis, voiced: bool, events: &mut Vec<TurnEvent>) {
        let now = at + span;
        self.run = if voiced { self.run + span } else { Millis::ZERO };
        if !voiced {
            return;
        }
        match &self.speculation {
            None => self.last_voice_at = now,
            Some(speculation) if self.run >= RESUME => {
                events.push(TurnEvent::SpeechResumed { id: speculation.id, at: now.saturating_sub(self.run) });
                self.speculation = None;
                self.last_voice_at = now;
            }
            Some(_) => {}
        }
        self.voiced = self.voiced + span;
        if !self.started && self.voiced >= rules.min_speech {
            self.started = true;
            events.push(TurnEvent::SpeechStarted { at: self.first_voice_at });
        }
    }

    /// The audio up to a short tail after the last voice.
    fn audio(&self) -> UtteranceAudio {
        let end = RATE.samples_in(self.last_voice_at + TAIL - self.at).min(self.pcm.len());
        UtteranceAudio {
            at: self.at,
            pcm: self.pcm[..end].into(),
            first_voice_at: self.first_voice_at,
            last_voice_at: self.last_voice_at,
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
