//! Is this utterance our own voice, wave for wave? PURE.
//!
//! Where the way back keeps the wave (a loudspeaker beside a microphone, G.711 or Opus between), one linear filter makes
//! what came in out of what was played, but for the noise. Nobody else's voice is made so, not even one that says the same
//! words at the same time. So this is sure where [`super::EchoGuard`] can only find a likeness, needs no time to learn, and
//! looks back: an utterance that is complete is looked at as a whole. Codecs that model a voice instead of keeping its wave
//! leave too little for it; there the likeness of bands is all there is.
//!
//! ```text
//! played ─▶ ring ─▶ the delay at which both run together ─▶ filter, by bins of 8 Hz, from all frames ─┐
//! heard  ─────────▶ frames of 128 ms, every 32 ms ─────────▶ what the filter leaves of each ◀──────────┘
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::units::{Millis, SampleRate};

const RATE: SampleRate = SampleRate::WIDEBAND;
/// A longer utterance is not looked at: it would cost too much, and an echo is found sooner.
const LONGEST: Millis = Millis(3_500);
/// Delays looked at: so much before and after what the clocks say.
const EARLY: Millis = Millis(100);
const LATE: Millis = Millis(1_200);
/// What was played is kept for so long: utterance, delay, and the time until somebody asks.
const KEPT: Millis = Millis(5_500);
/// Two frames this close follow one another: the clock counts whole milliseconds.
const JITTER: usize = RATE.samples_in(Millis(2));
/// The strongest way back may have quicker ones before it.
const BEFORE: usize = RATE.samples_in(Millis(10));
/// Frames that are compared, long enough for a room's first reflections, and from one to the next.
const FRAME: usize = RATE.samples_in(Millis(128));
const HOP: usize = FRAME / 4;
/// The telephone's band, in bins of a frame.
const BAND: Range<usize> = 300 * FRAME / 16_000..3_400 * FRAME / 16_000;
/// How much each frequency counts alike when the delay is looked for: 0 by its energy, 1 all the same.
const WHITE: f32 = 0.7;
/// A frame with this share of the mean energy is part of the utterance.
const ACTIVE: f32 = 0.1;
/// Frames there must be: a filter explains a few of anything.
const LEAST: usize = 10;
/// This share of the energy explained is our voice …
const EXPLAINED: f32 = 0.6;
/// … unless so many frames in a row are mostly something else: 0.3 s.
const OTHERS: (f32, usize) = (0.6, 6);

/// What was played lately, by sample of the call's clock.
#[derive(Debug, Default)]
pub(super) struct Played {
    first: usize,
    pcm: VecDeque<i16>,
}

/// How much of an utterance is ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ours {
    /// Share of its energy that what was played explains.
    pub(super) explained: f32,
    /// Frames in a row of which it explains little.
    pub(super) others: usize,
}

impl Ours {
    /// Nothing of it is the caller's.
    pub(super) fn is_all(self) -> bool {
        self.explained >= EXPLAINED && self.others < OTHERS.1
    }
}

impl Played {
    pub(super) fn put(&mut self, at: Millis, pcm: &[i16]) {
        let (from, end) = (RATE.samples_in(at), self.first + self.pcm.len());
        let kept = RATE.samples_in(KEPT);
        if self.pcm.is_empty() || from < self.first || from > end + kept {
            self.pcm.clear();
            self.first = from;
        } else if from.abs_diff(end) > JITTER {
            self.pcm.resize(from - self.first, 0);
        }
        self.pcm.extend(pcm);
        let surplus = self.pcm.len().saturating_sub(kept);
        self.pcm.drain(..surplus);
        self.first += surplus;
    }

    pub(super) fn cut(&mut self, at: Millis) {
        self.pcm.truncate(RATE.samples_in(at).saturating_sub(self.first));
    }

    /// Compares `pcm`, whose first sample came in at `at`. `None` if nothing was played that could be in it, or it is too
    /// short or too long to tell.
    pub(super) fn compare(&self, at: Millis, pcm: &[i16]) -> Option<Ours> {
        if pcm.len() > RATE.samples_in(LONGEST) || pcm.len() < FRAME + LEAST * HOP {
            return None;
        }
        let begin = RATE.samples_in(at) as isize - RATE.samples_in(LATE) as isize;
        let length = pcm.len() + RATE.samples_in(LATE) + RATE.samples_in(EARLY);
        let played: Vec<f32> = (begin..begin + length as isize).map(|place| self.at(place)).collect();
        if played.iter().all(|sample| *sample == 0.0) {
            return None;
        }
        let heard: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample)).collect();
        let shift = run_together(&played, &heard) + BEFORE;
        Spectra::new().compare(played.get(shift..)?, &heard)
    }

    fn at(&self, place: isize) -> f32 {
        let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(self.first));
        place.and_then(|place| self.pcm.get(place)).map_or(0.0, |sample| f32::from(*sample))
    }
}

/// From which sample of `played` on both are most alike, found at half the rate.
fn run_together(played: &[f32], heard: &[f32]) -> usize {
    let half = |pcm: &[f32]| pcm.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect::<Vec<f32>>();
    let (played, heard) = (half(played), half(heard));
    let last = played.len().saturating_sub(heard.len());
    let size = (played.len() + heard.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (there, back) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let spectrum = |mut pcm: Vec<f32>| {
        pcm.resize(size, 0.0);
        transformed(&there, &mut pcm)
    };
    let (mut both, heard) = (spectrum(played), spectrum(heard));
    let bin = |hertz: usize| hertz * size * 2 / 16_000;
    for (place, (both, heard)) in both.iter_mut().zip(&heard).enumerate() {
        let cross = *both * heard.conj();
        let inside = (bin(300)..bin(3_400)).contains(&place);
        *both = if inside { cross / cross.norm().max(f32::MIN_POSITIVE).powf(WHITE) } else { Complex::default() };
    }
    let mut likeness = back.make_output_vec();
    back.process(&mut both, &mut likeness).expect("the buffers were made by this very plan");
    // A way back may turn the wave over.
    let lags = likeness[..=last].iter().map(|value| value.abs()).enumerate();
    2 * lags.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(lag, _)| lag)
}

fn transformed(plan: &Arc<dyn RealToComplex<f32>>, pcm: &mut [f32]) -> Vec<Complex<f32>> {
    let mut spectrum = plan.make_output_vec();
    plan.process(pcm, &mut spectrum).expect("the buffers were made by this very plan");
    spectrum
}

/// Cuts sound into frames and those into frequencies.
struct Spectra {
    plan: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
}

impl Spectra {
    fn new() -> Self {
        let hann = |n: usize| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / FRAME as f32).cos();
        Self { plan: RealFftPlanner::new().plan_fft_forward(FRAME), window: (0..FRAME).map(hann).collect() }
    }

    fn of(&self, pcm: &[f32]) -> Vec<Vec<Complex<f32>>> {
        let frame = |pcm: &[f32]| {
            let mut weighted: Vec<f32> = pcm.iter().zip(&self.window).map(|(sample, weight)| sample * weight).collect();
            transformed(&self.plan, &mut weighted)[BAND].to_vec()
        };
        pcm.windows(FRAME).step_by(HOP).map(frame).collect()
    }

    /// `played` and `heard` run together.
    fn compare(&self, played: &[f32], heard: &[f32]) -> Option<Ours> {
        let (played, heard) = (self.of(played), self.of(heard));
        let energies: Vec<f32> = heard.iter().map(|frame| energy(frame)).collect();
        let mean = energies.iter().sum::<f32>() / energies.len().max(1) as f32;
        let active = |frame: usize| energies[frame] > ACTIVE * mean;
        let frames: Vec<usize> = (0..heard.len().min(played.len())).filter(|frame| active(*frame)).collect();
        if frames.len() < LEAST {
            return None;
        }
        let filter: Vec<Complex<f32>> = (0..BAND.len())
            .map(|bin| {
                let both: Complex<f32> = frames.iter().map(|&n| heard[n][bin] * played[n][bin].conj()).sum();
                let alone: f32 = frames.iter().map(|&n| played[n][bin].norm_sqr()).sum();
                both / alone.max(f32::MIN_POSITIVE)
            })
            .collect();
        let left = |n: usize| -> f32 {
            let bins = heard[n].iter().zip(&played[n]).zip(&filter);
            bins.map(|((heard, played), filter)| (heard - filter * played).norm_sqr()).sum()
        };
        let (mut all, mut rest, mut run, mut others) = (0.0, 0.0, 0, 0);
        for &n in &frames {
            let left = left(n);
            all += energies[n];
            rest += left;
            run = if left > OTHERS.0 * energies[n] { run + 1 } else { 0 };
            others = others.max(run);
        }
        Some(Ours { explained: 1.0 - rest / f32::max(all, f32::MIN_POSITIVE), others })
    }
}

fn energy(frame: &[Complex<f32>]) -> f32 {
    frame.iter().map(Complex::norm_sqr).sum()
}
