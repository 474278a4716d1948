//! Changes of sample rate as a stream: any rate in, any rate out, a few milliseconds of delay.
//!
//! Twice and half the rate, telephone and wideband, are [`super::halfband`]'s. For all else rubato's sinc resampler is used
//! with one stored filter for each phase of the ratio, which makes it an exact polyphase filter: a 22.05 kHz voice to
//! 16 kHz has 320. Its delay is half the filter, 4 ms. The same library's FFT resampler needs fixed blocks and twice the
//! delay for the same pass band.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, Resizable as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use super::halfband::{HalfBand, Way};
use super::units::SampleRate;

/// Filter length in samples of the lower rate: 64 at 8 kHz are 8 ms, half of which is the delay.
const FILTER_LEN: usize = 64;
/// Ratios with more phases than this interpolate between stored filters instead of storing each.
const MAX_PHASES: u32 = 640;
/// Samples fed at once; longer input is cut.
const CHUNK: usize = 1_024;
/// Converts mono PCM from one rate to another, piece by piece, with no seam between pieces.
///
/// Equal rates pass through untouched and without delay.
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    filter: Option<Filter>,
    /// Samples in and out since the last flush.
    taken: u64,
    given: u64,
}

struct Filter {
    kernel: Kernel,
    /// Converted and not yet given out: a sample or two, because the library counts in floating point and may be one
    /// short at times, while the stream promises an exact count.
    ready: Vec<i16>,
    /// In output samples.
    delay: usize,
}

enum Kernel {
    HalfBand(Box<HalfBand>),
    Sinc(Box<Sinc>),
}

/// Any ratio, by the library.
struct Sinc {
    inner: Async<f32>,
    input: Vec<f32>,
    output: Vec<f32>,
    /// Zeros fed before the stream, which make for the sample or two in `ready`.
    primer: usize,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Resampler {
    /// A resampler from `from` to `to`, both 1 kHz to 384 kHz; other rates are an error that names them.
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Self, ResampleError> {
        for rate in [from, to] {
            if !(1_000..=384_000).contains(&rate.0) {
                return Err(ResampleError::Rate { rate: rate.0 });
            }
        }
        let filter = (from != to).then(|| Filter::new(from, to));
        Ok(Self { from, to, filter, taken: 0, given: 0 })
    }

    /// Converts `pcm` and appends the result to `out`.
    ///
    /// After `n` samples in, all in all exactly `n · to / from` (rounded down) have come out: 20 ms give 20 ms.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        self.taken += pcm.len() as u64;
        let due = self.taken * u64::from(self.to.0) / u64::from(self.from.0);
        match &mut self.filter {
            None => out.extend_from_slice(pcm),
            // It gives what is due by itself.
            Some(Filter { kernel: Kernel::HalfBand(filter), .. }) => filter.run(pcm, out),
            Some(filter) => {
                pcm.chunks(CHUNK).for_each(|chunk| filter.run(chunk));
                filter.give((due - self.given) as usize, out);
            }
        }
        self.given = due;
    }

    /// Appends the tail still inside the filter and starts afresh: the next push begins a new stream.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let due = (self.taken * u64::from(self.to.0)).div_ceil(u64::from(self.from.0)) + self.delay() as u64;
        if let Some(filter) = &mut self.filter {
            filter.give((due - self.given) as usize, out);
            filter.reset();
        }
        (self.taken, self.given) = (0, 0);
    }

    /// How many samples, at the rate of the output, sound comes out later than it went in.
    pub fn delay(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.delay)
    }
}

impl Filter {
    fn new(from: SampleRate, to: SampleRate) -> Self {
        let way = match (from.0, to.0) {
            _ if from.0.checked_mul(2) == Some(to.0) => Some(Way::Double),
            _ if to.0.checked_mul(2) == Some(from.0) => Some(Way::Halve),
            _ => None,
        };
        let (kernel, delay) = match way.map(HalfBand::new) {
            Some(filter) => {
                let delay = filter.delay();
                (Kernel::HalfBand(Box::new(filter)), delay)
            }
            None => {
                let (sinc, delay) = Sinc::new(from, to);
                (Kernel::Sinc(Box::new(sinc)), delay)
            }
        };
        let mut filter = Self { kernel, ready: Vec::new(), delay };
        filter.prime();
        filter
    }

    fn prime(&mut self) {
        if let Kernel::Sinc(sinc) = &mut self.kernel {
            sinc.run(&vec![0; sinc.primer], &mut self.ready);
        }
    }

    fn reset(&mut self) {
        match &mut self.kernel {
            Kernel::HalfBand(filter) => filter.reset(),
            Kernel::Sinc(sinc) => sinc.inner.reset(),
        }
        self.ready.clear();
        self.prime();
    }

    /// Moves `count` samples to `out`, feeding silence when there are not as many yet.
    fn give(&mut self, count: usize, out: &mut Vec<i16>) {
        while self.ready.len() < count {
            self.run(&[0; 64]);
        }
        out.extend(self.ready.drain(..count));
    }

    /// Feeds at most [`CHUNK`] samples.
    fn run(&mut self, pcm: &[i16]) {
        match &mut self.kernel {
            Kernel::HalfBand(filter) => filter.run(pcm, &mut self.ready),
            Kernel::Sinc(sinc) => sinc.run(pcm, &mut self.ready),
        }
    }
}

impl Sinc {
    /// And its delay in output samples.
    fn new(from: SampleRate, to: SampleRate) -> (Self, usize) {
        let ratio = f64::from(to.0) / f64::from(from.0);
        let phases = to.0 / gcd(from.0, to.0);
        let (oversampling_factor, interpolation) = if phases <= MAX_PHASES {
            (phases as usize, SincInterpolationType::Nearest)
        } else {
            (256, SincInterpolationType::Cubic)
        };
        // The filter spans input samples: going down, it must grow to span as many output samples.
        let sinc_len = ((FILTER_LEN as f64 / ratio.min(1.0)).ceil() as usize).next_multiple_of(8);
        let parameters = SincInterpolationParameters {
            sinc_len,
            f_cutoff: None,
            oversampling_factor,
            interpolation,
            window: WindowFunction::Blackman,
        };
        let inner = Async::new_sinc(ratio, 1.0, &parameters, CHUNK, 1, FixedAsync::Input)
            .expect("rates were checked, chunk and channels are constants");
        let output = vec![0.0; inner.output_frames_max()];
        let primer = 1 + (1.0 / ratio).ceil() as usize;
        // Half the filter and the primer; the library begins one output sample and one stored filter into the stream.
        let delay = (sinc_len / 2 + primer) as f64 * ratio - 1.0 - ratio / oversampling_factor as f64;
        (Self { inner, input: Vec::with_capacity(CHUNK), output, primer }, delay.round() as usize)
    }

    fn run(&mut self, pcm: &[i16], ready: &mut Vec<i16>) {
        if pcm.is_empty() {
            return;
        }
        self.input.clear();
        self.input.extend(pcm.iter().map(|&sample| f32::from(sample)));
        self.inner.set_chunk_size(pcm.len()).expect("between one and the chunk it was made for");
        let room = self.output.len();
        let input = InterleavedSlice::new(&self.input, 1, pcm.len()).expect("one channel of that length");
        let mut output = InterleavedSlice::new_mut(&mut self.output, 1, room).expect("one channel of that length");
        let (_, written) =
            self.inner.process_into_buffer(&input, &mut output, None).expect("buffers have the announced lengths");
        ready.extend(self.output[..written].iter().map(|sample| sample.round() as i16)); // `as` saturates
    }
}

/// Converts a whole recording: no delay, exactly `pcm.len() · to / from` samples, rounded up.
pub fn resample_all(pcm: &[i16], from: SampleRate, to: SampleRate) -> Result<Vec<i16>, ResampleError> {
    let mut resampler = Resampler::new(from, to)?;
    let mut out = Vec::new();
    resampler.push(pcm, &mut out);
    resampler.flush(&mut out);
    out.drain(..resampler.delay());
    Ok(out)
}

/// Why a resampler can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    /// A rate no audio has.
    #[error("sample rate of {rate} Hz, expected 1000 to 384000")]
    Rate {
        /// In Hz.
        rate: u32,
    },
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::mix::level_dbfs;

    const RATES: [u32; 8] = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    fn tone(hz: f64, rate: u32, samples: usize, amplitude: f64) -> Vec<i16> {
        (0..samples)
            .map(|n| (amplitude * (n as f64 * hz * std::f64::consts::TAU / f64::from(rate)).sin()).round() as i16)
            .collect()
    }

    fn push_in_frames(pcm: &[i16], from: u32, to: u32, frame: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(SampleRate(from), SampleRate(to)).expect("valid rates");
        let mut out = Vec::new();
        pcm.chunks(frame).for_each(|chunk| resampler.push(chunk, &mut out));
        resampler.flush(&mut out);
        out
    }

    /// Level of the tone at `hz` within `pcm`, and of all the rest, in dBFS.
    fn tone_and_rest(pcm: &[i16], hz: f64, rate: u32) -> (f32, f32) {
        let angle = |n: usize| n as f64 * hz * std::f64::consts::TAU / f64::from(rate);
        let project = |of: fn(f64) -> f64| {
            pcm.iter().enumerate().map(|(n, &s)| f64::from(s) * of(angle(n))).sum::<f64>() * 2.0 / pcm.len() as f64
        };
        let (sin, cos) = (project(f64::sin), project(f64::cos));
        let fit: Vec<i16> =
            (0..pcm.len()).map(|n| (sin * angle(n).sin() + cos * angle(n).cos()).round() as i16).collect();
        let rest: Vec<i16> = pcm.iter().zip(&fit).map(|(a, b)| a - b).collect();
        (level_dbfs(&fit), level_dbfs(&rest))
    }

    #[test]
    fn a_telephone_band_tone_keeps_its_level_and_shape_at_every_pair_of_rates() {
        for from in RATES {
            for to in RATES {
                for hz in [300.0, 1_000.0, 3_000.0] {
                    let pcm = tone(hz, from, from as usize, 10_000.0);
                    let out = resample_all(&pcm, SampleRate(from), SampleRate(to)).expect("valid rates");
                    assert_eq!(out.len(), to as usize, "{from}→{to}");
                    // Ends aside, where the filter sees the silence around the recording.
                    let inner = &out[to as usize / 10..to as usize * 9 / 10];
                    let (level, rest) = tone_and_rest(inner, hz, to);
                    assert!((level - level_dbfs(&pcm)).abs() < 0.1, "{from}→{to} at {hz} Hz: {level} dBFS");
                    assert!(level - rest > 60.0, "{from}→{to} at {hz} Hz: {} dB", level - rest);
                }
            }
        }
    }

    #[test]
    fn sound_comes_out_when_the_delay_says() {
        for from in RATES {
            for to in RATES {
                let mut pcm = vec![0; from as usize / 10];
                pcm[from as usize / 20] = 30_000;
                let out = resample_all(&pcm, SampleRate(from), SampleRate(to)).expect("valid rates");
                let peak = (0..out.len()).max_by_key(|&n| out[n]).expect("not empty");
                let ideal = (from as usize / 20) as f64 * f64::from(to) / f64::from(from);
                // Between its samples the peak lies where the neighbours balance.
                let (before, top, after) = (f64::from(out[peak - 1]), f64::from(out[peak]), f64::from(out[peak + 1]));
                let at = peak as f64 + (after - before) / (2.0 * (2.0 * top - before - after));
                assert!((at - ideal).abs() <= 0.6, "{from}→{to}: {at} for {ideal}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_removed() {
        for from in [16_000, 22_050, 24_000, 48_000] {
            let pcm = tone(5_000.0, from, from as usize, 10_000.0);
            let out = resample_all(&pcm, SampleRate(from), SampleRate::NARROWBAND).expect("valid rates");
            let inner = &out[400..7_600];
            assert!(level_dbfs(inner) < level_dbfs(&pcm) - 55.0, "{from}: {} dBFS", level_dbfs(inner));
        }
    }

    #[test]
    fn twenty_milliseconds_in_are_twenty_milliseconds_out() {
        for (from, to) in [(8_000, 16_000), (16_000, 8_000), (24_000, 16_000), (48_000, 16_000), (16_000, 48_000)] {
            let mut resampler = Resampler::new(SampleRate(from), SampleRate(to)).expect("valid rates");
            assert!(resampler.delay() as u32 * 1_000 <= 5 * to, "{from}→{to}: delay beyond 5 ms");
            for frame in 0..200 {
                let mut out = Vec::new();
                resampler.push(&vec![0; from as usize / 50], &mut out);
                assert_eq!(out.len(), to as usize / 50, "{from}→{to}, frame {frame}");
            }
        }
    }

    #[test]
    fn ten_minutes_do_not_drift() {
        let mut resampler = Resampler::new(SampleRate(22_050), SampleRate::WIDEBAND).expect("valid rates");
        let (silence, mut out, mut total) = ([0; 441], Vec::new(), 0);
        for _ in 0..50 * 600 {
            resampler.push(&silence, &mut out);
            total += out.len();
            out.clear();
        }
        assert!(total.abs_diff(16_000 * 600) <= 1, "{total}");
    }

    #[test]
    fn full_scale_saturates_and_a_stream_can_be_reused() {
        let square: Vec<i16> = (0..8_000).map(|n| if n / 8 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let mut resampler = Resampler::new(SampleRate::NARROWBAND, SampleRate::WIDEBAND).expect("valid rates");
        let (mut first, mut second) = (Vec::new(), Vec::new());
        resampler.push(&square, &mut first);
        resampler.flush(&mut first);
        resampler.push(&square, &mut second);
        resampler.flush(&mut second);
        assert_eq!(first, second);
        assert!(first.contains(&i16::MAX) && first.contains(&i16::MIN));
    }

    #[test]
    fn rates_that_are_none_are_named() {
        let error = Resampler::new(SampleRate(0), SampleRate::WIDEBAND).expect_err("no rate");
        assert_eq!(error.to_string(), "sample rate of 0 Hz, expected 1000 to 384000");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_chunking_gives_the_same_stream(
            pcm in proptest::collection::vec(any::<i16>(), 1..3_000),
            frame in 1usize..1_500,
            pair in proptest::sample::select(vec![(8_000, 16_000), (16_000, 8_000), (22_050, 16_000), (44_100, 16_000)]),
        ) {
            let whole = push_in_frames(&pcm, pair.0, pair.1, pcm.len());
            let pieces = push_in_frames(&pcm, pair.0, pair.1, frame);
            prop_assert_eq!(whole, pieces);
        }
    }
}
