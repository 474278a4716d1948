//! Our own voice, coming back from a caller's loudspeaker, is taken out of what we hear. Media path: nothing waits.
//!
//! ```text
//! played ─▶ ring of 1 s, by time ──┐
//! heard  ──────────────────────────┴─▶ canceller ─▶ without our voice ─▶ believed only where there is an echo
//! ```
//! The canceller is WebRTC's (AEC3, as the crate `sonora` has it). It must be told what was played when; and it may not be
//! believed blindly: before it knows the line it takes any sound over our voice for an echo, and on a line without one it
//! swallows the first second or two of whoever interrupts us. So what counts is what it has *shown*: how much quieter its
//! filter makes the line. A line without echo never gets there (`tests`), one with an echo does after two to four seconds
//! of our voice. Until then only the delay it has found speaks for an echo, and the line's silence against one.

use std::collections::VecDeque;
use std::fmt;

use sonora::config::EchoCanceller;
use sonora::{AudioProcessing, Config, StreamConfig};

use super::sound::{Floor, SILENCE_DB};
use crate::audio::mix::level_dbfs;
use crate::audio::units::{Millis, SampleRate};

const RATE: SampleRate = SampleRate::WIDEBAND;
/// The canceller's step.
const STEP_MS: Millis = Millis(10);
const STEP: usize = RATE.samples_in(STEP_MS);
/// What was played is kept for so long: playback's lead and a margin.
const KEPT: usize = RATE.samples_in(Millis(1_000));
/// So long after the last of our voice its echo may still come.
const TAIL: Millis = Millis(800);
/// The caller's stream may be off by so much before it gets a new place on our clock.
const SLIP: u64 = RATE.samples_in(Millis(40)) as u64;
/// Louder than this, ours can come back.
const AUDIBLE_DBFS: f32 = -50.0;
/// A sound stands this far above the line's noise.
const ABOVE_NOISE_DB: f32 = 10.0;
/// By so much quieter an echo leaves the canceller.
const SUPPRESSED_DB: f32 = 12.0;
/// The filter makes the line this much quieter: it has an echo. Below the second value for so long it has none any more;
/// the canceller begins to count anew at times.
const PROVEN_DB: (f64, f64) = (3.0, 1.0);
const UNPROVEN: Millis = Millis(3_000);
/// Levels this alike, over at least so many steps and about the last so many, make an echo of a delay.
const ALIKE: (f32, u32, u32) = (0.6, 15, 60);
/// Quieter is as quiet.
const QUIET_DBFS: f32 = -65.0;
/// So much of a sound must have been an echo before all of it is taken for one.
const SURE: Millis = Millis(100);
/// A sound is over after so much silence.
const OVER: Millis = Millis(300);
/// So long after a voice a voice detector may still hear it.
const SETTLING: Millis = Millis(300);
/// A line without an echo is looked at until so long after its last sound.
const AT_REST: Millis = Millis(1_000);
/// Silence on the line, while our echo would be heard, after which a delay alone proves nothing.
const CLEAR: Millis = Millis(1_000);

/// What came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EchoView {
    /// The samples without our voice, if it was in them.
    pub without: Option<Vec<i16>>,
    /// What came in was our own voice, and nothing else.
    pub is_echo: bool,
    /// What came in until now was our echo, and only now is known to be.
    pub found: bool,
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Unknown,
    /// Nothing came back while something would have.
    Clear,
    /// Our voice comes back.
    Echoing,
}

/// Follows one caller's line.
#[derive(Default)]
pub struct EchoRemover {
    canceller: Option<Box<AudioProcessing>>,
    played: Played,
    /// Sample of the call's clock that the next one heard belongs to.
    next: u64,
    line: Line,
    floor: Floor,
    /// Of the last 64 steps, the newest lowest: something of ours was audible.
    audible: u64,
    /// While an echo would be heard: silence, and sound.
    silence: Millis,
    sound: Millis,
    /// The delay the canceller has found, and how alike the levels are of what was played and what came back after it.
    delay: Millis,
    alike: Alike,
    /// Since the filter last did anything for an echoing line.
    unproven: Millis,
    /// Of the sound that is going on: an echo, and not.
    echo: Millis,
    other: Millis,
    /// Since its last loud step.
    over: Millis,
    was_echo: bool,
    /// From here on it is taken out; for so long a voice detector still remembers it.
    settling: Millis,
    /// An echo was found before.
    suspected: bool,
}

impl fmt::Debug for EchoRemover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoRemover").field("line", &self.line).finish_non_exhaustive()
    }
}

impl EchoRemover {
    /// These samples, 16 kHz, will be heard by the caller at `at`.
    pub fn played(&mut self, at: Millis, pcm: &[i16]) {
        self.played.put(place(at), pcm);
    }

    /// What was to be heard from `at` on was taken back.
    pub fn taken_back(&mut self, at: Millis) {
        self.played.cut(place(at));
    }

    /// Whether something of ours may come in at `at`.
    pub fn may_return(&self, at: Millis) -> bool {
        self.played.may_return(place(at))
    }

    /// There is nothing to do for a while: only what is known of an echo is kept. A canceller takes 370 kB, and 0.1 ms to make.
    pub fn rest(&mut self) {
        if self.line != Line::Echoing {
            self.canceller = None;
        }
    }

    /// Takes our voice out of the caller's next samples, 16 kHz, that came in at `at`, on the clock of
    /// [`EchoRemover::played`].
    pub fn heard(&mut self, at: Millis, pcm: &[i16]) -> EchoView {
        let here = place(at);
        if here.abs_diff(self.next) > SLIP {
            self.next = here;
        }
        let mut view = EchoView::default();
        for (n, step) in pcm.chunks(STEP).enumerate() {
            let begin = self.next;
            self.next += step.len() as u64;
            match step.try_into() {
                Ok(step) if self.played.may_return(begin) => {
                    if let Some(without) = self.step(begin, step, &mut view) {
                        let all = view.without.get_or_insert_with(|| pcm.to_vec());
                        all[n * STEP..][..STEP].copy_from_slice(&without);
                    }
                }
                // Nothing of ours can come back.
                _ => self.forget_sound(),
            }
        }
        view
    }

    /// These samples without our voice, if it is in them.
    fn step(&mut self, begin: u64, pcm: &[i16; STEP], view: &mut EchoView) -> Option<[i16; STEP]> {
        let ours = self.played.get(begin);
        let level = level_dbfs(pcm).max(SILENCE_DB);
        self.floor.learn(level);
        let loud = level > self.floor.level() + ABOVE_NOISE_DB;
        self.over = if loud { Millis::ZERO } else { self.over + STEP_MS };
        if self.line == Line::Clear && self.over >= AT_REST {
            // A silent caller on a good line costs nothing.
            self.forget_sound();
            self.rest();
            return None;
        }
        let without = self.cancel(&ours, pcm)?;
        self.audible = self.audible << 1 | u64::from(level_dbfs(&ours) > AUDIBLE_DBFS);
        self.watch(loud);
        let left = level_dbfs(&without).max(SILENCE_DB);
        self.weigh(loud, level - left >= SUPPRESSED_DB);
        let before = self.line;
        self.learn();
        let alike = self.compare(begin, level);
        // Where there was an echo before, the next sound is one from its first moment on.
        let sure = if self.suspected { STEP_MS } else { SURE };
        let mostly = self.echo >= sure && self.echo > self.other;
        self.settling = self.settling.saturating_sub(STEP_MS);
        if self.line == Line::Echoing {
            if before != Line::Echoing && mostly {
                view.found |= !self.was_echo;
                self.settling = SETTLING;
            }
            self.was_echo = true;
            view.is_echo |= self.settling > Millis::ZERO;
            return Some(without);
        }
        let is_echo = mostly && alike && self.line == Line::Unknown;
        view.found |= is_echo && !self.was_echo;
        view.is_echo |= is_echo;
        self.was_echo |= is_echo;
        self.suspected |= is_echo;
        None
    }

    /// A line on which nothing comes back while we speak has no echo.
    fn watch(&mut self, loud: bool) {
        // Half of the last 640 ms, its beginning among them.
        if self.line != Line::Unknown || self.audible.count_ones() < 32 || self.audible >> 48 == 0 {
            return;
        }
        match loud {
            true => self.sound = self.sound + STEP_MS,
            false => self.silence = self.silence + STEP_MS,
        }
        if self.silence >= CLEAR && self.silence.0 >= 9 * self.sound.0 {
            self.line = Line::Clear;
        }
    }

    /// Asks the canceller what it has found out.
    fn learn(&mut self) {
        let Some(canceller) = &self.canceller else { return };
        let found = canceller.statistics();
        let quieter = found.echo_return_loss_enhancement.unwrap_or(0.0);
        self.unproven = if quieter < PROVEN_DB.1 { self.unproven + STEP_MS } else { Millis::ZERO };
        match self.line {
            Line::Echoing if self.unproven >= UNPROVEN => {
                (self.line, self.sound, self.silence) = (Line::Unknown, Millis::ZERO, Millis::ZERO);
            }
            Line::Unknown | Line::Clear if quieter >= PROVEN_DB.0 => self.line = Line::Echoing,
            _ => {}
        }
        let delay = Millis(found.delay_ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or(0));
        if delay != self.delay {
            (self.delay, self.alike) = (delay, Alike::default());
        }
    }

    /// True if what comes in rises and falls as what was played did.
    fn compare(&mut self, begin: u64, level: f32) -> bool {
        if self.delay == Millis::ZERO {
            return false;
        }
        let played = self.played.get(begin.saturating_sub(place(self.delay)));
        self.alike.add(level_dbfs(&played).max(QUIET_DBFS), level.max(QUIET_DBFS));
        self.alike.steps >= ALIKE.1 && self.alike.get() >= ALIKE.0
    }

    /// `pcm` without what the canceller takes for `ours`.
    fn cancel(&mut self, ours: &[i16; STEP], pcm: &[i16; STEP]) -> Option<[i16; STEP]> {
        let canceller = self.canceller.get_or_insert_with(|| Box::new(canceller()));
        let (mut without, mut unused) = ([0; STEP], [0; STEP]);
        // Both streams have the same clock, so that nothing is to be added to the delay it finds itself.
        canceller.set_stream_delay_ms(0).ok()?;
        canceller.process_render_i16(ours, &mut unused).ok()?;
        canceller.process_capture_i16(pcm, &mut without).ok()?;
        Some(without)
    }

    /// How much of the sound that is going on is an echo.
    fn weigh(&mut self, loud: bool, suppressed: bool) {
        match (loud, suppressed) {
            (true, true) => self.echo = self.echo + STEP_MS,
            (true, false) => self.other = self.other + STEP_MS,
            (false, _) if self.over >= OVER => self.forget_sound(),
            (false, _) => {}
        }
    }

    const fn forget_sound(&mut self) {
        (self.echo, self.other, self.was_echo) = (Millis::ZERO, Millis::ZERO, false);
    }
}

fn canceller() -> AudioProcessing {
    let config = Config { echo_canceller: Some(EchoCanceller::default()), ..Config::default() };
    let stream = StreamConfig::new(RATE.0, 1);
    AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build()
}

fn place(at: Millis) -> u64 {
    u64::from(at.0) * RATE.samples_in(Millis(1)) as u64
}

/// A running correlation of two levels.
#[derive(Debug, Default)]
struct Alike {
    steps: u32,
    means: (f32, f32),
    variances: (f32, f32),
    both: f32,
}

impl Alike {
    fn add(&mut self, a: f32, b: f32) {
        self.steps += 1;
        let share = 1.0 / self.steps.min(ALIKE.2) as f32;
        let (da, db) = (a - self.means.0, b - self.means.1);
        self.means = (self.means.0 + da * share, self.means.1 + db * share);
        let mix = |old: f32, new: f32| old + (new - old) * share;
        self.variances = (mix(self.variances.0, da * da), mix(self.variances.1, db * db));
        self.both = mix(self.both, da * db);
    }

    fn get(&self) -> f32 {
        self.both / (self.variances.0 * self.variances.1).sqrt().max(1.0)
    }
}

/// What was played, by sample of the call's clock.
#[derive(Debug, Default)]
struct Played {
    /// Place of the first one kept.
    first: u64,
    samples: VecDeque<i16>,
    /// Up to here something of ours may come back.
    audible_until: u64,
}

impl Played {
    fn put(&mut self, place: u64, pcm: &[i16]) {
        let end = self.first + self.samples.len() as u64;
        if place < self.first || place > end + KEPT as u64 {
            self.samples.clear();
        }
        if self.samples.is_empty() {
            self.first = place;
        }
        let offset = (place - self.first) as usize;
        self.samples.resize(self.samples.len().max(offset + pcm.len()), 0);
        for (kept, sample) in self.samples.range_mut(offset..).zip(pcm) {
            *kept = *sample;
        }
        let over = self.samples.len().saturating_sub(KEPT);
        self.samples.drain(..over);
        self.first += over as u64;
        if level_dbfs(pcm) > AUDIBLE_DBFS {
            self.audible_until = place + (pcm.len() + RATE.samples_in(TAIL)) as u64;
        }
    }

    fn cut(&mut self, place: u64) {
        self.samples.truncate(place.saturating_sub(self.first) as usize);
        self.audible_until = self.audible_until.min(place + RATE.samples_in(TAIL) as u64);
    }

    fn get(&self, place: u64) -> [i16; STEP] {
        std::array::from_fn(|n| {
            let offset = (place + n as u64).checked_sub(self.first);
            offset.and_then(|offset| self.samples.get(offset as usize)).copied().unwrap_or(0)
        })
    }

    const fn may_return(&self, place: u64) -> bool {
        place < self.audible_until
    }
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
