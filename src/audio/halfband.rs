//! Twice the rate and half the rate: telephone to wideband and back, which every frame of most calls goes through. PURE.
//!
//! A half-band filter has a centre of one half and zeros at every other tap beside it, so that one of the two phases is a
//! copy and the other a single sum of contiguous samples. Its delay is 47 samples of the higher rate: 3 ms at 16 kHz, where
//! the filter for any ratio has 4. What it spares stands in docs/benchmarks.md.

/// Taps on both sides that are not zero.
const TAPS: usize = 48;
/// The middle of those: so many samples of the lower rate are the delay of the copied phase.
const MIDDLE: usize = TAPS / 2 - 1;
/// Shape of the Kaiser window: 80 dB between pass band and stop band, 3.5 to 4.5 kHz at 16 kHz.
const BETA: f64 = 8.0;
/// Sums kept apart, so that they may be made at the same time.
const LANES: usize = 8;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To twice the rate.
    Double,
    /// To half the rate.
    Halve,
}

/// One stream's filter.
pub(super) struct HalfBand {
    way: Way,
    taps: [f32; TAPS],
    /// The phase that is summed: the last `TAPS - 1` samples before the next ones, oldest first.
    summed: Vec<f32>,
    /// The phase that is copied, when halving.
    copied: Vec<f32>,
    /// The first of a pair whose second has not come, when halving.
    first: Option<f32>,
}

impl HalfBand {
    pub(super) fn new(way: Way) -> Self {
        let gain = match way {
            Way::Double => 1.0,
            Way::Halve => 0.5,
        };
        let taps = taps().map(|tap| (tap * gain) as f32);
        let mut filter = Self { way, taps, summed: Vec::new(), copied: Vec::new(), first: None };
        filter.reset();
        filter
    }

    /// In output samples, exactly.
    pub(super) const fn delay(&self) -> usize {
        match self.way {
            Way::Double => 2 * MIDDLE + 1,
            Way::Halve => MIDDLE,
        }
    }

    pub(super) fn reset(&mut self) {
        self.summed.clear();
        self.summed.resize(TAPS - 1, 0.0);
        self.copied.clear();
        self.copied.resize(MIDDLE, 0.0);
        self.first = None;
    }

    /// Appends two samples for each, or one for every second.
    pub(super) fn run(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        match self.way {
            Way::Double => self.double(pcm, out),
            Way::Halve => self.halve(pcm, out),
        }
    }

    fn double(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.summed.extend(pcm.iter().map(|&sample| f32::from(sample)));
        for window in self.summed.windows(TAPS) {
            out.push(rounded(dot(&self.taps, window)));
            out.push(rounded(window[TAPS - 1 - MIDDLE]));
        }
        self.summed.drain(..pcm.len());
    }

    fn halve(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        let before = self.copied.len();
        for &sample in pcm {
            match self.first.take() {
                None => self.first = Some(f32::from(sample)),
                Some(first) => {
                    self.copied.push(first);
                    self.summed.push(f32::from(sample));
                }
            }
        }
        let pairs = self.copied.len() - before;
        for (window, copy) in self.summed.windows(TAPS).zip(&self.copied) {
            out.push(rounded(dot(&self.taps, window) + 0.5 * copy));
        }
        self.summed.drain(..pairs);
        self.copied.drain(..pairs);
    }
}

/// The taps that are not zero beside the centre, for a gain of one in each phase.
fn taps() -> [f64; TAPS] {
    let half = TAPS as f64;
    let mut taps: [f64; TAPS] = std::array::from_fn(|index| {
        let offset = 2.0 * index as f64 - (half - 1.0);
        let angle = std::f64::consts::FRAC_PI_2 * offset;
        angle.sin() / angle * bessel(BETA * (1.0 - (offset / half).powi(2)).sqrt())
    });
    // Silence and a constant pass unchanged in both phases.
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    taps
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..40 {
        term *= (x / (2.0 * f64::from(n))).powi(2);
        sum += term;
    }
    sum
}

/// The taps are the same from both ends, so that the order of the window does not matter.
fn dot(taps: &[f32; TAPS], window: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (taps, samples) in taps.chunks_exact(LANES).zip(window.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += taps[lane] * samples[lane];
        }
    }
    sums.iter().sum()
}

fn rounded(sample: f32) -> i16 {
    (sample + 0.5_f32.copysign(sample)) as i16 // saturates
}
