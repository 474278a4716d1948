//! The caller makes a sound while we speak: is it an interruption, or "mm-hm", a cough, a click, our own echo? PURE.
//!
//! ```text
//!              a sound that is no echo                 it is meant
//!  Listening ───────────────────────────▶ Ducked ───────────────────▶ Stopped
//!      ▲           (we grow quiet)          │ it fell silent              │ nothing of ours is audible any more
//!      └────────────────────────────────────┴─────────────────────────────┘
//! ```
//! Ducking is cheap and taken back without a trace, so it is quick. Stopping is decided every 20 ms by a small logistic
//! model over what the sound has been so far (how long, how strong, how much it changes), whose weights
//! `warmline bench turn --fit` fits; at present only the length has weight. What stops us wrongly is repaired once the words
//! are known: playback was paused, not dropped.

use super::echo::{EchoGuard, EchoView};
use super::sound::{BANDS, BLOCK, Block, SILENCE_DB, from_db};
use crate::audio::units::{Millis, Probability};

/// A frame this probably voice makes us duck.
const DUCK_VOICE: f32 = 0.3;
/// So does a sound this far above the line's noise …
const DUCK_ABOVE_NOISE_DB: f32 = 20.0;
/// … and no quieter than this.
const DUCK_LEVEL_DB: f32 = -45.0;
/// Silence that ends a sound.
const GAP: Millis = Millis(200);
/// Without any voice in it a sound ends sooner.
const GAP_VOICELESS: Millis = Millis(100);
/// Before this much voice nothing is an interruption.
const LEAST_VOICE: Millis = Millis(120);
/// Blocks within this of the loudest one are its voice, others its gaps.
const STRONG_DB: f32 = 12.0;
/// What is weaker than this says nothing of the timbre.
const WEAK_DB: f32 = 25.0;
/// While no echo's path is known and the sound is this like what we play, a decision waits.
const SUSPICIOUS: f32 = 0.55;
/// Blocks kept of one sound.
const KEPT: usize = 128;
/// Blocks from before the sound was noticed: its onset lies there.
const BEFORE: usize = 8;
/// How many numbers the model looks at.
pub const FEATURES: usize = 10;

/// When a sound is meant.
#[derive(Clone, Copy, Debug)]
pub struct OverlapRules {
    /// A frame counts as voice from this probability on.
    pub voice: f32,
    /// Length from which a sound is more probably meant than not.
    pub likely: Millis,
    /// Length from which it is meant in any case.
    pub latest: Millis,
    /// How sure the model must be, as a probability; above 1 it never is.
    pub sure: f32,
}

impl OverlapRules {
    /// From the configured length of an ordinary interruption.
    pub fn new(voice: Probability, barge_in: Millis) -> Self {
        Self { voice: voice.get(), likely: barge_in, latest: Millis(barge_in.0.saturating_mul(2)), sure: 0.5 }
    }
}

/// What follows from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapEvent {
    /// Grow quiet: it may be an interruption.
    Duck,
    /// Stop: it is one.
    Stop,
    /// Be as loud as before: it was none.
    Resume,
}

/// Follows one caller's sounds over our playback.
#[derive(Debug)]
pub struct Overlap {
    rules: OverlapRules,
    echo: EchoGuard,
    /// The newest blocks while there is no sound.
    before: Vec<Block>,
    sound: Option<Sound>,
    stopped: bool,
    was_echo: bool,
    path_known: bool,
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
#[derive(Debug)]
struct Sound {
    blocks: Vec<Block>,
    /// Share of each block's energy that lies below 600 Hz, and above 2 kHz.
    shares: Vec<(f32, f32)>,
    /// Blocks since its onset, those no longer kept included.
    length: u32,
    /// Blocks since the last voice.
    silent: u32,
    voiced: Millis,
    voice_sum: f32,
    frames: f32,
    peak: f32,
}

impl Overlap {
    /// Nothing was heard or played yet.
    pub fn new(rules: OverlapRules) -> Self {
        Self {
            rules,
            echo: EchoGuard::default(),
            before: Vec::new(),
            sound: None,
            stopped: false,
            was_echo: false,
            path_known: false,
        }
    }

    /// These samples, 16 kHz, will be heard by the caller at `at`.
    pub fn played(&mut self, at: Millis, pcm: &[i16]) {
        self.echo.played(at, pcm);
    }

    /// What was to be heard from `at` on was taken back.
    pub fn taken_back(&mut self, at: Millis) {
        self.echo.taken_back(at);
    }

    /// Takes the caller's next frame, that came in at `at`, and how probably it is voice. `open`: the caller hears
    /// something that may be interrupted.
    ///
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
        if open && !self.stopped {
            self.judge(&blocks, voice.get(), view, events);
        } else if !open {
            self.stopped = false;
            if self.sound.take().is_some() {
                events.push(OverlapEvent::Resume);
            }
        }
        if self.sound.is_none() {
            self.before.extend(&blocks);
            let surplus = self.before.len().saturating_sub(BEFORE);
            self.before.drain(..surplus);
        }
        Heard { voice, echo_found }
    }

    /// True from [`OverlapEvent::Stop`] until nothing of ours is audible any more.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// What the model sees of the sound that is going on; none while there is nothing to decide.
    pub fn features(&self) -> Option<[f32; FEATURES]> {
        self.sound.as_ref().filter(|sound| sound.may_be_meant()).map(Sound::features)
    }

    fn judge(&mut self, blocks: &[Block], voice: f32, view: EchoView, events: &mut Vec<OverlapEvent>) {
        let noise = self.echo.noise();
        if self.sound.is_none() {
            let level = blocks.iter().map(|block| block.level).fold(SILENCE_DB, f32::max);
            let loud = level > DUCK_LEVEL_DB && level > noise + DUCK_ABOVE_NOISE_DB;
            if view.is_echo || !(voice >= DUCK_VOICE || loud && view.delay.is_none_or(|_| view.novelty > 0.5)) {
                return;
            }
            self.sound = Some(Sound::new(&self.before, noise));
            self.before.clear();
            events.push(OverlapEvent::Duck);
        }
        let Some(sound) = &mut self.sound else { return };
        sound.add(blocks, voice, self.rules.voice);
        let gap = if sound.voiced == Millis::ZERO { GAP_VOICELESS } else { GAP };
        if sound.silent * BLOCK.0 >= gap.0 {
            self.sound = None;
            events.push(OverlapEvent::Resume);
            return;
        }
        let waits = view.delay.is_none() && view.likeness > SUSPICIOUS && sound.length * BLOCK.0 < self.rules.latest.0;
        if !waits && sound.is_meant(&self.rules) {
            self.sound = None;
            self.stopped = true;
            events.push(OverlapEvent::Stop);
        }
    }
}

impl Sound {
    /// The sound began where the blocks before it rose above the noise.
    fn new(before: &[Block], noise: f32) -> Self {
        let onset = before.iter().rposition(|block| block.level < noise + 10.0).map_or(0, |at| at + 1);
        let mut sound = Self {
            blocks: Vec::with_capacity(KEPT),
            shares: Vec::with_capacity(KEPT),
            length: 0,
            silent: 0,
            voiced: Millis::ZERO,
            voice_sum: 0.0,
            frames: 0.0,
            peak: SILENCE_DB,
        };
        for block in &before[onset..] {
            sound.push(*block);
        }
        sound
    }

    fn push(&mut self, block: Block) {
        self.length += 1;
        self.peak = self.peak.max(block.level);
        if self.blocks.len() < KEPT {
            self.blocks.push(block);
            self.shares.push((block.share(0..4), block.share(12..BANDS)));
        }
    }

    fn add(&mut self, blocks: &[Block], voice: f32, threshold: f32) {
        for block in blocks {
            self.push(*block);
        }
        self.voice_sum += voice;
        self.frames += 1.0;
        if voice >= threshold {
            self.silent = 0;
            self.voiced = self.voiced + Millis(blocks.len() as u32 * BLOCK.0);
        } else {
            self.silent += blocks.len() as u32;
        }
    }

    /// There is enough voice in it, and it has not just fallen silent.
    fn may_be_meant(&self) -> bool {
        self.voiced >= LEAST_VOICE && self.silent <= 4
    }

    fn is_meant(&self, rules: &OverlapRules) -> bool {
        if !self.may_be_meant() {
            return false;
        }
        if self.voiced >= rules.latest {
            return true;
        }
        // The configured length moves the model's clock: whoever wants it slower gets it slower.
        let pace = 320.0 / rules.likely.0.max(1) as f32;
        probability(&self.features(), pace) >= rules.sure
    }

    fn features(&self) -> [f32; FEATURES] {
        let count = self.blocks.len().max(1) as f32;
        let (mut strong, mut low, mut high) = (0.0_f32, 0.0, 0.0_f32);
        for (block, shares) in self.blocks.iter().zip(&self.shares) {
            if block.level > self.peak - STRONG_DB {
                strong += 1.0;
                low += shares.0;
            }
            if block.level > self.peak - WEAK_DB {
                high = high.max(shares.1);
            }
        }
        let newest = &self.blocks[self.blocks.len().saturating_sub(4)..];
        let now = newest.iter().map(|block| block.level).sum::<f32>() / newest.len().max(1) as f32;
        [
            self.length as f32 * BLOCK.0 as f32 / 100.0,
            self.voiced.0 as f32 / 100.0,
            strong / 10.0,
            self.voice_sum / self.frames.max(1.0),
            ((now - self.peak) / 10.0).max(-4.0),
            low / strong.max(1.0),
            high,
            self.change(),
            self.syllables(),
            strong / count,
        ]
    }

    /// How much the timbre changes within 30 ms, in units of 10 dB a band.
    fn change(&self) -> f32 {
        let heard = |block: &Block| block.level > self.peak - WEAK_DB;
        let pairs = self.blocks.iter().zip(self.blocks.iter().skip(3)).filter(|(a, b)| heard(a) && heard(b));
        let (mut sum, mut count) = (0.0, 0.0_f32);
        for (a, b) in pairs {
            let moved = |band: usize| ((a.bands[band] - a.level) - (b.bands[band] - b.level)).abs().min(20.0);
            sum += (0..BANDS).map(moved).sum::<f32>() / BANDS as f32 / 10.0;
            count += 1.0;
        }
        sum / count.max(1.0)
    }

    /// Rises of the level after a dip.
    fn syllables(&self) -> f32 {
        let (mut count, mut low, mut high) = (0.0, f32::INFINITY, f32::NEG_INFINITY);
        for pair in self.blocks.windows(2) {
            let level = (from_db(pair[0].level) + from_db(pair[1].level)) / 2.0;
            let level = 10.0 * level.max(1e-9).log10();
            if level < high - 6.0 {
                (high, low) = (f32::NEG_INFINITY, low.min(level));
            }
            low = low.min(level);
            if level > low + 6.0 && high == f32::NEG_INFINITY && level > self.peak - 18.0 {
                count += 1.0;
                (low, high) = (f32::INFINITY, level);
            }
            if high > f32::NEG_INFINITY {
                high = high.max(level);
            }
        }
        count
    }
}

/// Weights of [`Sound::features`], then the constant: one half at 320 ms of voice. Weights fitted to all features told
/// "mm-hm" from the beginning of a sentence too late to be worth it, so length alone decides.
const WEIGHTS: [f32; FEATURES + 1] = [0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -32.0];

/// How probably a sound with these features is meant; `pace` above 1 decides sooner.
fn probability(features: &[f32; FEATURES], pace: f32) -> f32 {
    let mut sum = WEIGHTS[FEATURES];
    for (index, (feature, weight)) in features.iter().zip(WEIGHTS).enumerate() {
        sum += weight * if index < 3 { feature * pace } else { *feature };
    }
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
