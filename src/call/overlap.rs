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

use super::sound::{Analyser, BLOCK, Block, Floor, SILENCE_DB};
use crate::audio::units::{Millis, Probability};

/// A frame this probably voice makes us duck, and a sound that ducked us goes on with it.
const DUCK_VOICE: f32 = 0.3;
/// So does a sound this far above the line's noise …
const DUCK_ABOVE_NOISE_DB: f32 = 15.0;
/// … and no quieter than this.
const DUCK_LEVEL_DB: f32 = -52.0;
/// Silence that ends a sound.
const GAP: Millis = Millis(200);
/// A sound goes on over less: the lips close for a "p".
const DIP: Millis = Millis(60);
/// Without any voice in it a sound ends sooner.
const GAP_VOICELESS: Millis = Millis(100);
/// A sound of that length pauses us as well, once this share of it was voice, by the detector: it is late, and takes an "s" for
/// noise.
const SOUNDING: u32 = 2;
/// So many times the voice that pauses us is meant, whatever its words: a slow "mm-hm" is as long as four.
const MEANT: u32 = 6;

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
    line: Analyser,
    floor: Floor,
    sound: Option<Sound>,
}

/// A sound over playback.
#[derive(Debug, Default)]
struct Sound {
    /// Since the last voice, and since anything as loud as one.
    silent: Millis,
    quiet: Millis,
    voiced: Millis,
    /// Voice, and what was as loud, without a pause up to now.
    sounding: Millis,
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
    /// Nothing was heard yet.
    pub fn new(rules: OverlapRules) -> Self {
        Self { rules, line: Analyser::default(), floor: Floor::default(), sound: None }
    }

    /// No sound over us goes on.
    pub const fn is_idle(&self) -> bool {
        self.sound.is_none()
    }

    /// We go on, or say something else: what comes from here on is a sound of its own.
    pub fn settled(&mut self) {
        self.sound = None;
    }

    /// Takes the caller's next frame, our echo taken out, and how probably it is voice; `is_echo`: nothing in it is the
    /// caller's. `open`: the caller hears something that may be interrupted, or would if it were not paused.
    pub fn heard(
        &mut self,
        pcm: &[i16],
        voice: Probability,
        is_echo: bool,
        open: bool,
        events: &mut Vec<OverlapEvent>,
    ) {
        let mut blocks = Vec::with_capacity(2);
        self.line.push(pcm, &mut blocks);
        blocks.iter().for_each(|block| self.floor.learn(block.level));
        if open {
            self.judge(&blocks, voice.get(), is_echo, events);
        } else if self.sound.take().is_some_and(|sound| sound.step == Step::Ducked) {
            events.push(OverlapEvent::Resume);
        }
    }

    fn judge(&mut self, blocks: &[Block], voice: f32, is_echo: bool, events: &mut Vec<OverlapEvent>) {
        let level = blocks.iter().map(|block| block.level).fold(SILENCE_DB, f32::max);
        let loud = !is_echo && level > DUCK_LEVEL_DB && level > self.floor.level() + DUCK_ABOVE_NOISE_DB;
        if self.sound.is_none() {
            if is_echo || !(voice >= DUCK_VOICE || loud) {
                return;
            }
            self.sound = Some(Sound::default());
            events.push(OverlapEvent::Duck);
        }
        let Some(sound) = &mut self.sound else { return };
        // A voice that goes on may be weaker than one that begins.
        let goes_on = sound.voiced > Millis::ZERO && sound.silent == Millis::ZERO;
        let voiced = voice >= if goes_on { DUCK_VOICE.min(self.rules.voice) } else { self.rules.voice };
        sound.add(Millis(blocks.len() as u32 * BLOCK.0), voiced, loud);
        match sound.step {
            Step::Ducked if sound.is_over() => {
                self.sound = None;
                events.push(OverlapEvent::Resume);
            }
            Step::Ducked if sound.pauses(self.rules.pause) => {
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
    fn add(&mut self, span: Millis, voice: bool, loud: bool) {
        if voice || loud {
            self.quiet = Millis::ZERO;
            self.sounding = self.sounding + span;
        } else {
            self.quiet = self.quiet + span;
            if self.quiet > DIP {
                self.sounding = Millis::ZERO;
            }
        }
        if voice {
            self.silent = Millis::ZERO;
            self.voiced = self.voiced + span;
        } else {
            self.silent = self.silent + span;
        }
    }

    /// So much voice, or so much sound of which enough was voice, and it goes on.
    fn pauses(&self, span: Millis) -> bool {
        let enough = self.voiced >= span || self.sounding >= span && self.voiced.0 >= span.0 / SOUNDING;
        enough && self.silent == Millis::ZERO
    }

    fn is_over(&self) -> bool {
        self.quiet >= if self.voiced == Millis::ZERO { GAP_VOICELESS } else { GAP }
    }
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
