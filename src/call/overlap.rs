//! The caller makes a sound while we speak: is it an interruption, or "mm-hm", a cough, a click, our own echo? PURE.
//!
//! ```text
//!             a sound that is no echo            voice ≥ pause               voice ≥ meant
//!  Listening ────────────────────────▶ Ducked ─────────────────▶ Paused ──────────────────────▶ Stopped
//!      ▲          (we grow quiet)        │     (we are silent)      │  (what we were saying is dropped)
//!      │                                 │ it fell silent           │ words decide; until then it may go on
//!      └─────────────────────────────────┴──────────────────────────┘
//! ```
//! Sound alone does not tell "mm-hm" from the first syllables of a sentence. So what the caller hears is quick, quieter at
//! the onset and silent after a fifth of a second of voice, and both are taken back without a trace; what can't be taken
//! back waits for words ([`super::machine`] judges them) or for so much voice that no "mm-hm" is as long.

use super::echo::{EchoGuard, EchoView};
use super::sound::{BLOCK, Block, SILENCE_DB};
use crate::audio::units::{Millis, Probability, SampleRate};

/// A frame this probably voice makes us duck, and a sound that ducked us goes on with it.
const DUCK_VOICE: f32 = 0.3;
/// So does a sound this far above the line's noise …
const DUCK_ABOVE_NOISE_DB: f32 = 15.0;
/// … and no quieter than this.
const DUCK_LEVEL_DB: f32 = -52.0;
/// Silence that ends a sound.
const GAP: Millis = Millis(200);
/// Without any voice in it a sound ends sooner.
const GAP_VOICELESS: Millis = Millis(100);
/// So many times the voice that pauses us is meant, whatever its words: a slow "mm-hm" is as long as four.
const MEANT: u32 = 6;
/// What was played longer ago comes back no more.
const COMES_BACK: Millis = Millis(2_000);
/// While no echo's path is known and the sound is this like what we play, a pause waits, up to twice its time.
const SUSPICIOUS: f32 = 0.55;

/// When a sound is meant.
#[derive(Clone, Copy, Debug)]
pub struct OverlapRules {
    /// A frame counts as voice from this probability on.
    pub voice: f32,
    /// Voice from which we are silent until its words are known.
    pub pause: Millis,
    /// Voice from which it is an interruption in any case.
    pub meant: Millis,
}

impl OverlapRules {
    /// From the configured length of an ordinary interruption.
    pub fn new(voice: Probability, barge_in: Millis) -> Self {
        Self { voice: voice.get(), pause: barge_in, meant: Millis(barge_in.0.saturating_mul(MEANT)) }
    }
}

/// What follows from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapEvent {
    /// Grow quiet: it may be an interruption.
    Duck,
    /// Be as loud as before: it was none.
    Resume,
    /// Be silent, ready to go on: it probably is one.
    Pause,
    /// Drop what was being said: it is one.
    Stop,
}

/// Follows one caller's sounds over our playback.
#[derive(Debug)]
pub struct Overlap {
    rules: OverlapRules,
    echo: EchoGuard,
    sound: Option<Sound>,
    was_echo: bool,
    path_known: bool,
    /// Until when the caller hears us, as far as is known.
    ours_until: Millis,
}

/// A frame without our echo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// How probably it is the *caller's* voice.
    pub voice: Probability,
    /// What came in until now was our echo, and only now is known to be.
    pub echo_found: bool,
}

/// A sound over playback.
#[derive(Debug, Default)]
struct Sound {
    /// Since its onset.
    length: Millis,
    /// Since the last voice.
    silent: Millis,
    voiced: Millis,
    step: Step,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Ducked,
    Paused,
    Stopped,
}

impl Overlap {
    /// Nothing was heard or played yet.
    pub fn new(rules: OverlapRules) -> Self {
        Self {
            rules,
            echo: EchoGuard::default(),
            sound: None,
            was_echo: false,
            path_known: false,
            ours_until: Millis::ZERO,
        }
    }

    /// These samples, 16 kHz, will be heard by the caller at `at`.
    pub fn played(&mut self, at: Millis, pcm: &[i16]) {
        self.echo.played(at, pcm);
        self.ours_until = self.ours_until.max(at + SampleRate::WIDEBAND.span_of(pcm.len()));
    }

    /// Whether a frame at `at` can be neither our echo nor a sound over us: a conversation of other people needs no look.
    pub fn is_out_of_it(&self, at: Millis) -> bool {
        self.sound.is_none() && at.saturating_sub(self.ours_until) > COMES_BACK
    }

    /// What was to be heard from `at` on was taken back.
    pub fn taken_back(&mut self, at: Millis) {
        self.echo.taken_back(at);
    }

    /// We go on, or say something else: what comes from here on is a sound of its own.
    pub fn settled(&mut self) {
        self.sound = None;
    }

    /// Takes the caller's next frame, that came in at `at`, and how probably it is voice. `open`: the caller hears
    /// something that may be interrupted, or would if it were not paused.
    pub fn heard(
        &mut self,
        at: Millis,
        pcm: &[i16],
        voice: Probability,
        open: bool,
        events: &mut Vec<OverlapEvent>,
    ) -> Heard {
        let mut blocks = Vec::with_capacity(2);
        let view = self.echo.heard(at, pcm, &mut blocks);
        let echo_found = view.is_echo && !self.was_echo && !self.path_known;
        (self.was_echo, self.path_known) = (view.is_echo, view.delay.is_some());
        let voice = if view.is_echo { Probability::default() } else { voice };
        if open {
            self.judge(&blocks, voice.get(), view, events);
        } else if self.sound.take().is_some_and(|sound| sound.step == Step::Ducked) {
            events.push(OverlapEvent::Resume);
        }
        Heard { voice, echo_found }
    }

    fn judge(&mut self, blocks: &[Block], voice: f32, view: EchoView, events: &mut Vec<OverlapEvent>) {
        if self.sound.is_none() {
            let level = blocks.iter().map(|block| block.level).fold(SILENCE_DB, f32::max);
            let loud = level > DUCK_LEVEL_DB && level > self.echo.noise() + DUCK_ABOVE_NOISE_DB;
            if view.is_echo || !(voice >= DUCK_VOICE || loud && view.delay.is_none_or(|_| view.novelty > 0.5)) {
                return;
            }
            self.sound = Some(Sound::default());
            events.push(OverlapEvent::Duck);
        }
        let Some(sound) = &mut self.sound else { return };
        // A voice that goes on may be weaker than one that begins.
        let goes_on = sound.voiced > Millis::ZERO && sound.silent == Millis::ZERO;
        let voiced = voice >= if goes_on { DUCK_VOICE.min(self.rules.voice) } else { self.rules.voice };
        sound.add(Millis(blocks.len() as u32 * BLOCK.0), voiced);
        let suspicious =
            view.delay.is_none() && view.likeness > SUSPICIOUS && sound.length < self.rules.pause + self.rules.pause;
        match sound.step {
            Step::Ducked if sound.is_over() => {
                self.sound = None;
                events.push(OverlapEvent::Resume);
            }
            Step::Ducked if sound.voiced >= self.rules.pause && sound.silent == Millis::ZERO && !suspicious => {
                sound.step = Step::Paused;
                events.push(OverlapEvent::Pause);
            }
            Step::Paused if sound.voiced >= self.rules.meant => {
                sound.step = Step::Stopped;
                events.push(OverlapEvent::Stop);
            }
            _ => {}
        }
    }
}

impl Sound {
    fn add(&mut self, span: Millis, voice: bool) {
        self.length = self.length + span;
        if voice {
            self.silent = Millis::ZERO;
            self.voiced = self.voiced + span;
        } else {
            self.silent = self.silent + span;
        }
    }

    fn is_over(&self) -> bool {
        self.silent >= if self.voiced == Millis::ZERO { GAP_VOICELESS } else { GAP }
    }
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
