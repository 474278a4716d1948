//! Silero VAD v6 in its 8 kHz mode, through ONNX Runtime.
//!
//! ```text
//! 320 samples at 16 kHz ─▶ half-band ─▶ 160 at 8 kHz ─▶ windows of 256 (after 32 of context) ─▶ network ─▶ probability
//! ```
//! The telephone carries nothing above 4 kHz, and the 8 kHz mode was as good on calls at less cost. The network keeps
//! `state` from window to window. A window is 32 ms and a frame 20: between windows the last value is repeated.
//!
//! The model's signature: in `input` [1, 288] f32, `state` [2, 1, 128] f32, `sr` i64; out the probability [1, 1] and the
//! next state. Source: the `silero-vad` 6.2 package.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use ort::session::Session;
use ort::value::TensorRef;

use super::{VadError, VadFactory, VoiceActivity};
use crate::audio::units::Probability;
use crate::engine::onnx::Runtime;

const WINDOW: usize = 256;
const CONTEXT: usize = 32;
const STATE: usize = 2 * 128;
const RATE: [i64; 1] = [8_000];

/// The loaded model, shared by all calls.
#[derive(Debug)]
pub struct SileroVad {
    sessions: Arc<Sessions>,
}

/// A session runs one window at a time; a few of them keep calls on different threads out of each other's way. What a
/// call remembers lies in its detector, so any session will do.
#[derive(Debug)]
struct Sessions(Box<[Mutex<Session>]>);

impl SileroVad {
    /// Loads `model` and tries it once. `sessions`: how many threads push frames at the same time.
    pub fn load(runtime: &Runtime, model: &Path, sessions: usize) -> Result<Self, VadError> {
        let fail = |reason: String| VadError::Load { path: model.display().to_string(), reason };
        let sessions = (0..sessions.max(1))
            .map(|_| runtime.session(model, 1).map(Mutex::new).map_err(|error| fail(error.to_string())))
            .collect::<Result<_, _>>()?;
        let vad = Self { sessions: Arc::new(Sessions(sessions)) };
        // Another network in the file shows here, at start, and not in the first call; it also warms the session up.
        let mut state = [0.0; STATE];
        vad.sessions.run(&[0.0; CONTEXT + WINDOW], &mut state).map_err(fail)?;
        Ok(vad)
    }
}

impl VadFactory for SileroVad {
    fn open(&self) -> Result<Box<dyn VoiceActivity>, VadError> {
        Ok(Box::new(SileroDetector::new(Arc::clone(&self.sessions))))
    }
}

impl Sessions {
    /// One window through the network; `state` becomes the next state.
    fn run(&self, input: &[f32; CONTEXT + WINDOW], state: &mut [f32; STATE]) -> Result<f32, String> {
        let mut session = self.free();
        let no_shape: [usize; 0] = [];
        let inputs = ort::inputs![
            "input" => TensorRef::from_array_view(([1, input.len()], &input[..])).map_err(|e| e.to_string())?,
            "state" => TensorRef::from_array_view(([2, 1, 128], &state[..])).map_err(|e| e.to_string())?,
            "sr" => TensorRef::from_array_view((no_shape, &RATE[..])).map_err(|e| e.to_string())?,
        ];
        let outputs = session.run(inputs).map_err(|error| error.to_string())?;
        if outputs.len() < 2 {
            return Err(format!("the model has {} outputs, expected 2", outputs.len()));
        }
        let output = |index: usize| outputs[index].try_extract_tensor::<f32>().map_err(|error| error.to_string());
        let ((_, probability), (_, next)) = (output(0)?, output(1)?);
        if next.len() != STATE {
            return Err(format!("the model's state has {} numbers, expected {STATE}", next.len()));
        }
        state.copy_from_slice(next);
        probability.first().copied().ok_or_else(|| "the model gave no probability".to_owned())
    }

    /// A session nobody uses, else the first: a window takes a fifth of a millisecond.
    fn free(&self) -> std::sync::MutexGuard<'_, Session> {
        for session in &self.0 {
            match session.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.0[0].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's detector.
struct SileroDetector {
    sessions: Arc<Sessions>,
    halver: Halver,
    /// The last [`CONTEXT`] samples of the window before, then what there is of the next.
    input: [f32; CONTEXT + WINDOW],
    filled: usize,
    state: [f32; STATE],
    last: Probability,
}

impl SileroDetector {
    fn new(sessions: Arc<Sessions>) -> Self {
        Self {
            sessions,
            halver: Halver::default(),
            input: [0.0; CONTEXT + WINDOW],
            filled: 0,
            state: [0.0; STATE],
            last: Probability::default(),
        }
    }
}

impl VoiceActivity for SileroDetector {
    fn push(&mut self, pcm: &[i16]) -> Result<Probability, VadError> {
        for pair in pcm.chunks_exact(2) {
            let sample = self.halver.push(f32::from(pair[0]) / 32_768.0, f32::from(pair[1]) / 32_768.0);
            self.input[CONTEXT + self.filled] = sample;
            self.filled += 1;
            if self.filled == WINDOW {
                self.filled = 0;
                let probability = self.sessions.run(&self.input, &mut self.state).map_err(VadError::Run)?;
                self.last = Probability::clamped(probability);
                self.input.copy_within(WINDOW.., 0);
            }
        }
        Ok(self.last)
    }

    fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.sessions));
    }
}

/// Halves the sample rate: a half-band low-pass of 31 taps, of which every second is zero. Delay under 1 ms.
///
/// Flat to 3.4 kHz within half a decibel, 50 dB down from 4.6 kHz.
#[derive(Debug)]
struct Halver {
    taps: [f32; Self::SIDE],
    /// The newest [`Self::LENGTH`] input samples, newest last.
    history: [f32; Self::LENGTH],
}

impl Halver {
    /// Taps on each side of the centre that are not zero.
    const SIDE: usize = 8;
    const LENGTH: usize = 4 * Self::SIDE - 1;

    /// Two samples in, one out.
    fn push(&mut self, first: f32, second: f32) -> f32 {
        self.history.copy_within(2.., 0);
        self.history[Self::LENGTH - 2] = first;
        self.history[Self::LENGTH - 1] = second;
        let centre = Self::LENGTH / 2;
        let sides = self.taps.iter().enumerate().map(|(index, tap)| {
            let offset = 2 * index + 1;
            tap * (self.history[centre - offset] + self.history[centre + offset])
        });
        0.5 * self.history[centre] + sides.sum::<f32>()
    }
}

impl Default for Halver {
    fn default() -> Self {
        // sinc(n/2)/2 under a Hamming window; the two sides add up to one half, so that silence and DC pass unchanged.
        let mut taps: [f32; Self::SIDE] = std::array::from_fn(|index| {
            let offset = (2 * index + 1) as f32;
            let window = 0.54 + 0.46 * (std::f32::consts::PI * offset / (Self::LENGTH / 2 + 1) as f32).cos();
            (std::f32::consts::FRAC_PI_2 * offset).sin() / (std::f32::consts::PI * offset) * window
        });
        let sum: f32 = taps.iter().sum();
        for tap in &mut taps {
            *tap *= 0.25 / sum;
        }
        Self { taps, history: [0.0; Self::LENGTH] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vad::conformance::{self, recorded_speech, silero, tone};

    #[test]
    fn halving_keeps_the_telephone_band_and_removes_what_would_fold_into_it() {
        let gain = |hz: f32| {
            let mut halver = Halver::default();
            let pcm = tone(hz, -6.0, 500);
            let energy = |pcm: &mut dyn Iterator<Item = f32>| pcm.map(|sample| sample * sample).sum::<f32>();
            let input = energy(&mut pcm.iter().map(|sample| f32::from(*sample))) / 2.0;
            let output = energy(&mut pcm.chunks_exact(2).map(|pair| halver.push(pair[0].into(), pair[1].into())));
            10.0 * (output / input).log10()
        };
        for hz in [100.0, 1_000.0, 3_000.0, 3_400.0] {
            assert!(gain(hz).abs() < 0.6, "{hz} Hz: {} dB", gain(hz));
        }
        for hz in [4_800.0, 6_000.0, 7_500.0] {
            assert!(gain(hz) < -35.0, "{hz} Hz: {} dB", gain(hz));
        }
    }

    #[test]
    #[ignore = "needs the Silero model and ONNX Runtime (`warmline models fetch`)"]
    fn the_model_hears_recorded_speech_and_no_tones() {
        let vad = silero();
        conformance::hears(&vad, &recorded_speech(), 0.6..=1.0);
        for hz in [350.0, 440.0, 1_000.0, 1_477.0] {
            conformance::hears(&vad, &tone(hz, -20.0, 3_000), 0.0..=0.02);
        }
    }

    #[test]
    #[ignore = "needs ONNX Runtime (`warmline models fetch`)"]
    fn a_file_that_is_no_model_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = SileroVad::load(conformance::runtime(), file.path(), 1).expect_err("an empty file");
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
