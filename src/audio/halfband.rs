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
/// Taps that differ: the other half is the same from the other end.
const HALF: usize = TAPS / 2;
/// Sums made side by side, for neighbouring samples.
const LANES: usize = 16;
/// What those need of the stream.
const REACH: usize = LANES + TAPS - 1;

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
    /// From the outermost inwards.
    taps: [f32; HALF],
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
        let all = taps();
        let taps = std::array::from_fn(|index| (all[index] * gain) as f32);
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
        let copied = &self.summed[TAPS - 1 - MIDDLE..];
        for (at, count) in blocks(pcm.len()) {
            let sums = self.sums(at);
            let mut pairs = [0; 2 * LANES];
            for ((pair, sum), copy) in pairs.chunks_exact_mut(2).zip(sums).zip(&copied[at..at + count]) {
                pair[0] = rounded(sum);
                pair[1] = rounded(*copy);
            }
            out.extend_from_slice(&pairs[..2 * count]);
        }
        self.summed.drain(..pcm.len());
    }

    fn halve(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        let before = self.copied.len();
        let mut rest = pcm;
        if let (Some(first), [second, more @ ..]) = (self.first, pcm) {
            self.take(first, *second);
            (self.first, rest) = (None, more);
        }
        let pairs = rest.chunks_exact(2);
        if let [first] = pairs.remainder() {
            self.first = Some(f32::from(*first));
        }
        for pair in pairs {
            self.take(f32::from(pair[0]), pair[1]);
        }
        let pairs = self.copied.len() - before;
        for (at, count) in blocks(pairs) {
            let sums = self.sums(at);
            let mut halves = [0; LANES];
            for ((half, sum), copy) in halves.iter_mut().zip(sums).zip(&self.copied[at..at + count]) {
                *half = rounded(sum + 0.5 * copy);
            }
            out.extend_from_slice(&halves[..count]);
        }
        self.summed.drain(..pairs);
        self.copied.drain(..pairs);
    }

    fn take(&mut self, first: f32, second: i16) {
        self.copied.push(first);
        self.summed.push(f32::from(second));
    }

    /// The sums for [`LANES`] neighbouring samples from `at` on. Each lane is summed in the same order wherever it lies, so
    /// that the stream is the same however it is cut.
    fn sums(&self, at: usize) -> [f32; LANES] {
        let mut tail = [0.0; REACH];
        let window: &[f32; REACH] = match self.summed[at..].first_chunk() {
            Some(whole) => whole,
            None => {
                let rest = &self.summed[at..];
                tail[..rest.len()].copy_from_slice(rest);
                &tail
            }
        };
        let mut sums = [0.0_f32; LANES];
        for (index, tap) in self.taps.iter().enumerate() {
            let (early, late) = (&window[index..index + LANES], &window[TAPS - 1 - index..TAPS - 1 - index + LANES]);
            for lane in 0..LANES {
                sums[lane] += tap * (early[lane] + late[lane]);
            }
        }
        sums
    }
}

/// Where blocks of [`LANES`] begin within `count` samples, and how many of each are wanted.
fn blocks(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).step_by(LANES).map(move |at| (at, LANES.min(count - at)))
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

/// To the nearest whole number, as far as 16 bits go: added to this, a number of that size has its whole part in its lowest
/// bits.
fn rounded(sample: f32) -> i16 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2^23
    (sample.clamp(-32_768.0, 32_767.0) + SHIFT).to_bits() as i16
}
