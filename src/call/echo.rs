//! Is this sound our own voice coming back? PURE.
//!
//! A caller on a loudspeaker sends us what we say, some hundred milliseconds later, quieter, with another timbre, through
//! codecs that keep no wave intact. What survives is the *pattern*: which bands rise and fall when. So blocks of 10 ms are
//! compared band by band.
//!
//! ```text
//! played ─▶ blocks ─▶ ring of 2 s ──┐  for each delay up to 600 ms: how alike were the last 400 ms? the last second?
//! heard  ─▶ blocks ─────────────────┴─▶ a delay that stays alike is the echo's path; its gain in each band is learnt
//!                                       and what is louder than the path explains is the caller
//! ```
//! Before a path is known the last 400 ms alone decide, and only a close likeness counts.

use std::collections::VecDeque;

use super::sound::{Analyser, BANDS, BLOCK, Block, SILENCE_DB, from_db};
use crate::audio::units::Millis;

/// Delays looked at: 600 ms.
const LAGS: usize = 60;
/// What was played is kept for so many blocks: the longest delay, the lead of playback, and a margin.
const KEPT: usize = 200;
/// Blocks over which likeness is judged: to learn from, while no path is known, and for a path that stays.
const FAST: f32 = 15.0;
const MIDDLE: f32 = 40.0;
const SLOW: f32 = 100.0;
/// Blocks with sound until a path may be known. Two voices are alike by chance for a syllable or two.
const LEAST_SOUND: u32 = 60;
/// A delay this alike over a second is the echo's path; one that is known is given up below the second value.
const PATH: (f32, f32) = (0.6, 0.3);
/// The last 400 ms this alike are an echo, even if no path is known yet.
const ALIKE: f32 = 0.75;
/// Alike enough to learn the path's gain from.
const LEARN: f32 = 0.6;
/// Blocks after which a path's gain is known: what is louder from then on is not the echo's.
const LEARNT: u32 = 80;
/// A band louder than the path explains by this much is the caller's.
const MARGIN_DB: f32 = 9.0;
/// How fast a room swallows sound, in dB a block, and for how many blocks its tail is reckoned with.
const DECAY_DB: f32 = 2.5;
const TAIL: usize = 10;
/// Share of the energy no echo explains: above the first the caller speaks, below the second it is an echo again.
const NOVEL: (f32, f32) = (0.5, 0.3);
/// A sound is one from this level on, and this far above the line's noise.
const QUIET_DB: f32 = -62.0;
const ABOVE_NOISE_DB: f32 = 10.0;
/// A band's deviation from its mean counts up to here.
const SPREAD_DB: f32 = 15.0;

/// What the newest frame was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EchoView {
    /// There was a sound, above the line's noise.
    pub sound: bool,
    /// It is our own voice coming back, and nothing else.
    pub is_echo: bool,
    /// How alike the last 400 ms and what was played are, at the best delay: −1 to 1.
    pub likeness: f32,
    /// Share of the energy that the known path does not explain; 1 while no path is known.
    pub novelty: f32,
    /// The path's delay, once known.
    pub delay: Option<Millis>,
}

/// Compares one caller's line with what was played to it.
#[derive(Debug)]
pub struct EchoGuard {
    far: Analyser,
    near: Analyser,
    played: Ring,
    far_mean: BandMean,
    near_mean: BandMean,
    floor: Floor,
    fast: Vec<Likeness>,
    middle: Vec<Likeness>,
    slow: Vec<Likeness>,
    /// Blocks with sound heard while something was played.
    sounds: u32,
    /// Those since anything of ours could come back.
    recent: u32,
    path: Option<Path>,
    novelty: f32,
    is_echo: bool,
    blocks: Vec<Block>,
}

impl Default for EchoGuard {
    fn default() -> Self {
        Self {
            far: Analyser::default(),
            near: Analyser::default(),
            played: Ring::default(),
            far_mean: BandMean::default(),
            near_mean: BandMean::default(),
            floor: Floor::default(),
            fast: vec![Likeness::default(); LAGS],
            middle: vec![Likeness::default(); LAGS],
            slow: vec![Likeness::default(); LAGS],
            sounds: 0,
            recent: 0,
            path: None,
            novelty: 1.0,
            is_echo: false,
            blocks: Vec::new(),
        }
    }
}

impl EchoGuard {
    /// These samples, 16 kHz, will be heard by the caller at `at`.
    pub fn played(&mut self, at: Millis, pcm: &[i16]) {
        self.blocks.clear();
        self.far.push(pcm, &mut self.blocks);
        let first = at.0 / BLOCK.0;
        for (block, index) in self.blocks.iter().zip(first..) {
            if block.level > QUIET_DB {
                self.far_mean.learn(block);
            }
            self.played.put(index, Far { block: *block, deviation: self.far_mean.deviation(block) });
        }
    }

    /// What was to be heard from `at` on was taken back.
    pub fn taken_back(&mut self, at: Millis) {
        self.played.cut(at.0 / BLOCK.0);
    }

    /// Takes the caller's next samples, 16 kHz, that came in at `at`, on the clock of [`EchoGuard::played`]; appends
    /// their blocks.
    pub fn heard(&mut self, at: Millis, pcm: &[i16], blocks: &mut Vec<Block>) -> EchoView {
        let before = blocks.len();
        self.near.push(pcm, blocks);
        let mut view = EchoView { sound: false, is_echo: false, likeness: 0.0, novelty: 1.0, delay: None };
        for (block, index) in blocks[before..].iter().zip(at.0 / BLOCK.0..) {
            self.floor.learn(block.level);
            if block.level > QUIET_DB && block.level > self.floor.level() + ABOVE_NOISE_DB {
                view.sound = true;
                self.compare(index, block);
            }
        }
        view.is_echo = self.is_echo && view.sound;
        view.likeness = self.best(&self.middle).1;
        view.novelty = self.novelty;
        view.delay = self.path.as_ref().map(|path| Millis(path.lag as u32 * BLOCK.0));
        view
    }

    /// The level of the line's noise, dB.
    pub fn noise(&self) -> f32 {
        self.floor.level()
    }

    fn compare(&mut self, index: u32, block: &Block) {
        self.near_mean.learn(block);
        if !self.played.sounds_within(index, LAGS + TAIL) {
            // Nothing of ours can come back now.
            for likeness in self.fast.iter_mut().chain(&mut self.middle) {
                *likeness = Likeness::default();
            }
            self.recent = 0;
            (self.is_echo, self.novelty) = (false, 1.0);
            return;
        }
        self.sounds += 1;
        self.recent += 1;
        let near = self.near_mean.deviation(block);
        for lag in 0..LAGS {
            let far = self.played.get(index.wrapping_sub(lag as u32)).map_or([-1.0; BANDS], |far| far.deviation);
            self.fast[lag].add(&near, &far, FAST);
            self.middle[lag].add(&near, &far, MIDDLE);
            self.slow[lag].add(&near, &far, SLOW);
        }
        self.find_path();
        self.judge(index, block);
    }

    /// The delay of the greatest likeness, and that likeness.
    fn best(&self, likenesses: &[Likeness]) -> (usize, f32) {
        let all = likenesses.iter().map(Likeness::get).enumerate();
        all.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    }

    fn find_path(&mut self) {
        if self.sounds < LEAST_SOUND {
            return;
        }
        let (lag, likeness) = self.best(&self.slow);
        let known = self.path.as_ref().map(|path| self.slow[path.lag].get());
        match known {
            Some(still) if still < PATH.1 && likeness < PATH.0 => self.path = None,
            Some(still) if likeness < still + 0.1 => {}
            _ if likeness >= PATH.0 => self.path = Some(Path::new(lag)),
            _ => {}
        }
    }

    fn judge(&mut self, index: u32, block: &Block) {
        let Some(path) = &mut self.path else {
            let (_, likeness) = self.best(&self.middle);
            self.is_echo = likeness >= ALIKE && self.recent >= MIDDLE as u32 * 3 / 4;
            self.novelty = 1.0;
            return;
        };
        let reach = self.played.reach(index, path.lag);
        if self.fast[path.lag].get() >= LEARN {
            path.learn(block, &reach);
        }
        let novelty = path.novelty(block, &reach);
        self.novelty += (novelty - self.novelty) / 3.0;
        self.is_echo = match self.is_echo {
            true => self.novelty < NOVEL.0,
            false => self.novelty < NOVEL.1,
        };
    }
}

/// What was played, by block of the call's clock.
#[derive(Debug, Default)]
struct Ring {
    /// Index of the first one kept.
    first: u32,
    blocks: VecDeque<Option<Far>>,
}

#[derive(Clone, Copy, Debug)]
struct Far {
    block: Block,
    deviation: [f32; BANDS],
}

impl Ring {
    fn put(&mut self, index: u32, far: Far) {
        let end = self.first.saturating_add(self.blocks.len() as u32);
        if self.blocks.is_empty() || index > end + KEPT as u32 || index < self.first {
            self.blocks.clear();
            self.first = index;
        }
        while self.first + (self.blocks.len() as u32) < index {
            self.blocks.push_back(None);
        }
        match self.blocks.get_mut((index - self.first) as usize) {
            Some(block) => *block = Some(far),
            None => self.blocks.push_back(Some(far)),
        }
        while self.blocks.len() > KEPT {
            self.blocks.pop_front();
            self.first += 1;
        }
    }

    fn cut(&mut self, index: u32) {
        self.blocks.truncate(index.saturating_sub(self.first) as usize);
    }

    fn get(&self, index: u32) -> Option<&Far> {
        let place = index.checked_sub(self.first)?;
        self.blocks.get(place as usize)?.as_ref()
    }

    /// True if something audible was played within the last `blocks` before `index`.
    fn sounds_within(&self, index: u32, blocks: usize) -> bool {
        (0..blocks as u32).any(|back| self.get(index.wrapping_sub(back)).is_some_and(|far| far.block.level > QUIET_DB))
    }

    /// The loudest each band can still be at `index`, `lag` blocks later, in a room that swallows sound slowly.
    fn reach(&self, index: u32, lag: usize) -> [f32; BANDS] {
        let mut reach = [SILENCE_DB; BANDS];
        let now = index.wrapping_sub(lag as u32);
        for back in -1..=TAIL as i32 {
            let Some(far) = self.get(now.wrapping_add_signed(-back)) else { continue };
            let lost = DECAY_DB * (back - 1).max(0) as f32;
            for (reach, band) in reach.iter_mut().zip(far.block.bands) {
                *reach = reach.max(band - lost);
            }
        }
        reach
    }
}

/// The way from our voice to the caller's microphone.
#[derive(Debug)]
struct Path {
    lag: usize,
    /// Blocks the gain was learnt from.
    learnt: u32,
    /// Gain of each band, dB; unknown until something was learnt.
    gains: Option<[f32; BANDS]>,
}

impl Path {
    const fn new(lag: usize) -> Self {
        Self { lag, learnt: 0, gains: None }
    }

    fn learn(&mut self, near: &Block, reach: &[f32; BANDS]) {
        let gain = |band: usize| near.bands[band] - reach[band];
        self.learnt = self.learnt.saturating_add(1);
        let known = self.learnt > LEARNT;
        match &mut self.gains {
            None => {
                // One block knows little of each band: its mean over all is the start.
                let heard: Vec<f32> = (0..BANDS).filter(|band| reach[*band] > QUIET_DB).map(gain).collect();
                if !heard.is_empty() {
                    self.gains = Some([heard.iter().sum::<f32>() / heard.len() as f32; BANDS]);
                }
            }
            Some(gains) => {
                for (band, value) in gains.iter_mut().enumerate().filter(|(band, _)| reach[*band] > QUIET_DB) {
                    // Up quickly, down slowly: the gain is what an echo can reach, not what it mostly has.
                    let change = gain(band).clamp(-60.0, 20.0) - *value;
                    *value += change
                        * match change {
                            ..0.0 => 0.02,
                            _ if !known => 0.15,
                            ..MARGIN_DB => 0.04,
                            _ => 0.002,
                        };
                }
            }
        }
    }

    /// Share of the energy of `near` that lies above what comes back.
    fn novelty(&self, near: &Block, reach: &[f32; BANDS]) -> f32 {
        let Some(gains) = &self.gains else { return 1.0 };
        let (mut novel, mut all) = (0.0, f32::MIN_POSITIVE);
        for band in 0..BANDS {
            let power = from_db(near.bands[band]);
            all += power;
            if near.bands[band] > reach[band] + gains[band] + MARGIN_DB {
                novel += power;
            }
        }
        novel / all
    }
}

/// The mean level of each band while there is sound.
#[derive(Debug, Default)]
struct BandMean {
    count: f32,
    bands: [f32; BANDS],
}

impl BandMean {
    fn learn(&mut self, block: &Block) {
        self.count = (self.count + 1.0).min(300.0);
        for (mean, band) in self.bands.iter_mut().zip(block.bands) {
            *mean += (band - *mean) / self.count;
        }
    }

    fn deviation(&self, block: &Block) -> [f32; BANDS] {
        std::array::from_fn(|band| (block.bands[band] - self.bands[band]).clamp(-SPREAD_DB, SPREAD_DB) / SPREAD_DB)
    }
}

/// A running correlation of two sets of bands.
#[derive(Clone, Debug, Default)]
struct Likeness {
    both: f32,
    near: f32,
    far: f32,
}

impl Likeness {
    fn add(&mut self, near: &[f32; BANDS], far: &[f32; BANDS], over: f32) {
        let dot = |a: &[f32; BANDS], b: &[f32; BANDS]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        self.both += (dot(near, far) - self.both) / over;
        self.near += (dot(near, near) - self.near) / over;
        self.far += (dot(far, far) - self.far) / over;
    }

    fn get(&self) -> f32 {
        self.both / (self.near * self.far).sqrt().max(1e-3)
    }
}

/// The line's noise: the least level of the last two seconds.
#[derive(Debug)]
struct Floor {
    minima: [f32; Self::STEPS],
    step: usize,
    blocks: u32,
}

impl Floor {
    const STEPS: usize = 10;
    const BLOCKS_A_STEP: u32 = 20;

    fn learn(&mut self, level: f32) {
        if self.blocks == Self::BLOCKS_A_STEP {
            self.blocks = 0;
            self.step = (self.step + 1) % Self::STEPS;
            self.minima[self.step] = f32::INFINITY;
        }
        self.blocks += 1;
        self.minima[self.step] = self.minima[self.step].min(level);
    }

    fn level(&self) -> f32 {
        self.minima.iter().copied().fold(f32::INFINITY, f32::min).clamp(SILENCE_DB, -30.0)
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self { minima: [f32::INFINITY; Self::STEPS], step: 0, blocks: 0 }
    }
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
