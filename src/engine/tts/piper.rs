//! A Piper voice through ONNX Runtime, streamed: the first sound leaves while the sentence is still being made.
//!
//! ```text
//! text ─▶ phonemes ─▶ encoder (once a sentence) ─▶ latent ─▶ decoder, 16 frames first, then 48 ─▶ shape ─▶ sink
//! ```
//! A decoder run sees [`OVERLAP`] frames more on either side than it gives out, which makes the seams exact. A model that
//! cannot be cut (`onnx_split`) runs in one piece, a sentence at a time.

use std::ops::{ControlFlow, Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use sha2::{Digest, Sha256};

use super::onnx_split::{self, SplitError};
use super::phonemes::{Misaki, Phonemizer};
use super::piper_config::PiperConfig;
use super::shape::{Shaper, gain_for};
use super::{TextToSpeech, TtsError};
use crate::audio::units::Millis;
use crate::engine::CancelFlag;
use crate::engine::onnx::{OnnxError, Runtime};

/// Frames decoded before the first sound leaves: 186 ms of it at 256 samples a frame and 22.05 kHz.
const FIRST_CHUNK: usize = 16;
/// Frames decoded at a time after that: 557 ms.
const NEXT_CHUNK: usize = 48;
/// Frames of context on both sides of a chunk. With 8 the seams are 63 dB down, with 10 they are exact.
const OVERLAP: usize = 10;
/// Symbols spoken in one go. A sentence longer than this, about 25 s, is cut at a comma or a space.
const MAX_SYMBOLS: usize = 400;
/// Silence after a sentence, and after a clause the reply goes on from.
const SENTENCE_PAUSE: Millis = Millis(180);
const CLAUSE_PAUSE: Millis = Millis(90);
/// Spoken, unheard, when a voice is loaded. Has most sounds of English.
const WARM_UP: &str = "Hello, and thank you very much for calling us today; which other choice would you measure?";

/// What a voice is made of.
#[derive(Clone, Debug)]
pub struct PiperOptions {
    /// The voice, an ONNX file; its description is the file of the same name with `.json` behind.
    pub model: PathBuf,
    /// Syntheses at once, each with sessions of its own.
    pub workers: usize,
    /// Pace on top of the voice's own; larger is slower.
    pub length_scale: f32,
}

/// A loaded and warmed voice.
pub struct Piper {
    name: String,
    config: PiperConfig,
    length_scale: f32,
    phonemizer: Arc<dyn Phonemizer>,
    model: Model,
    gain: f32,
}

enum Model {
    Split { encoders: Pool, decoders: Pool },
    Whole(Pool),
}

impl Piper {
    /// Loads the voice, cuts it, opens a session for each worker and speaks once, unheard, to warm up and to measure its
    /// loudness. Takes about two seconds; blocking.
    pub fn load(runtime: &Runtime, options: &PiperOptions) -> Result<Self, TtsError> {
        Self::load_with(runtime, options, Misaki::shared())
    }

    /// The same with other phonemes.
    pub fn load_with(
        runtime: &Runtime,
        options: &PiperOptions,
        phonemizer: Arc<dyn Phonemizer>,
    ) -> Result<Self, TtsError> {
        let path = options.model.as_path();
        let fail = |reason: String| TtsError::Load { path: path.display().to_string(), reason };
        let config = PiperConfig::read(&description(path))?;
        if !config.language.starts_with("en") {
            return Err(fail(format!("the voice speaks `{}`, only English can be read aloud", config.language)));
        }
        let greeting = phonemizer.phonemes(WARM_UP);
        if let Some(unknown) = greeting.chars().find(|symbol| !config.knows(*symbol)) {
            return Err(fail(format!("the voice has no symbol for `{unknown}`, so it can't say what English needs")));
        }
        let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
        let opened = |result: Result<Pool, OnnxError>| result.map_err(|error| fail(error.to_string()));
        let model = match onnx_split::split(&bytes) {
            Ok(halves) => {
                tracing::debug!(voice = %path.display(), latent = halves.latent, "Voice cut for streaming");
                Model::Split {
                    encoders: opened(Pool::open(runtime, &halves.encoder, options.workers))?,
                    decoders: opened(Pool::open(runtime, &halves.decoder, options.workers))?,
                }
            }
            Err(error @ SplitError::NoCut(_)) => {
                tracing::warn!(voice = %path.display(), %error, "Voice is synthesised a whole sentence at a time");
                Model::Whole(opened(Pool::open(runtime, &bytes, options.workers))?)
            }
            Err(error @ SplitError::Malformed(_)) => return Err(fail(error.to_string())),
        };
        let stem = path.file_stem().map_or_else(|| "voice".into(), |stem| stem.to_string_lossy());
        let digest = Sha256::digest(&bytes);
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let mut voice = Self {
            name: format!("{stem}-{hash}-{:.2}", options.length_scale),
            length_scale: config.length_scale * options.length_scale,
            config,
            phonemizer,
            model,
            gain: 1.0,
        };
        voice.gain = voice.warm_up(&greeting)?;
        Ok(voice)
    }

    /// Speaks once with every session. The gain that makes this voice as loud as callers expect.
    fn warm_up(&self, greeting: &str) -> Result<f32, TtsError> {
        let ids = self.config.ids(greeting);
        let mut samples = Vec::new();
        let mut collect = |piece: &[f32]| {
            samples.extend_from_slice(piece);
            ControlFlow::Continue(())
        };
        let cancel = CancelFlag::new();
        // Idle sessions are handed out in turn, so as many readings use each once.
        for _ in 0..self.workers() {
            let _ = self.synthesise(&ids, &cancel, &mut collect)?;
        }
        Ok(gain_for(&samples))
    }

    fn workers(&self) -> usize {
        match &self.model {
            Model::Split { encoders, .. } => encoders.size,
            Model::Whole(pool) => pool.size,
        }
    }

    /// Runs the model over one sentence; `sink` gets samples in about ±1 at the voice's rate.
    fn synthesise(
        &self,
        ids: &[i64],
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TtsError> {
        match &self.model {
            Model::Whole(pool) => {
                let (_, samples) = self.run_sentence(&mut pool.take(), ids)?;
                Ok(sink(&samples))
            }
            Model::Split { encoders, decoders } => {
                let (shape, latent) = self.run_sentence(&mut encoders.take(), ids)?;
                let latent = Latent::new(&shape, &latent)?;
                let mut start = 0;
                while start < latent.frames {
                    if cancel.is_cancelled() {
                        return Err(TtsError::Cancelled);
                    }
                    let end = (start + if start == 0 { FIRST_CHUNK } else { NEXT_CHUNK }).min(latent.frames);
                    let chunk = latent.decode(&mut decoders.take(), start, end)?;
                    if sink(&chunk).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    start = end;
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// One run of a model that takes phonemes. Shape and values of its first output.
    fn run_sentence(&self, session: &mut Session, ids: &[i64]) -> Result<(Vec<i64>, Vec<f32>), TtsError> {
        let length = [ids.len() as i64];
        let scales = [self.config.noise_scale, self.length_scale, self.config.noise_w];
        let speaker = [0i64];
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(4);
        inputs.push(("input", TensorRef::from_array_view(([1, ids.len()], ids)).map_err(engine)?.into()));
        inputs.push(("input_lengths", TensorRef::from_array_view(([1usize], &length[..])).map_err(engine)?.into()));
        inputs.push(("scales", TensorRef::from_array_view(([3usize], &scales[..])).map_err(engine)?.into()));
        if self.config.speakers > 1 {
            inputs.push(("sid", TensorRef::from_array_view(([1usize], &speaker[..])).map_err(engine)?.into()));
        }
        let outputs = session.run(inputs).map_err(engine)?;
        let first = outputs.values().next().ok_or_else(|| TtsError::Engine("the model has no output".to_owned()))?;
        let (shape, values) = first.try_extract_tensor::<f32>().map_err(engine)?;
        Ok((shape.to_vec(), values.to_vec()))
    }
}

impl TextToSpeech for Piper {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let phonemes = self.phonemizer.phonemes(text);
        let mut out = Vec::new();
        for sentence in sentences(&phonemes, MAX_SYMBOLS) {
            if cancel.is_cancelled() {
                return Err(TtsError::Cancelled);
            }
            let mut shaper = Shaper::new(self.config.rate, self.gain).map_err(engine)?;
            let mut deliver = |samples: &[f32]| {
                shaper.push(samples, &mut out);
                deliver_all(&mut out, sink)
            };
            if self.synthesise(&self.config.ids(sentence), cancel, &mut deliver)?.is_break() {
                return Ok(());
            }
            let ends = sentence.trim_end().ends_with(['.', '!', '?']);
            shaper.finish(if ends { SENTENCE_PAUSE } else { CLAUSE_PAUSE }, &mut out);
            if deliver_all(&mut out, sink).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn deliver_all(out: &mut Vec<i16>, sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>) -> ControlFlow<()> {
    if out.is_empty() {
        return ControlFlow::Continue(());
    }
    let flow = sink(out);
    out.clear();
    flow
}

fn engine(error: impl std::fmt::Display) -> TtsError {
    TtsError::Engine(error.to_string())
}

/// `voice.onnx` is described in `voice.onnx.json`.
fn description(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Cuts after each `.`, `!` or `?`, and where a sentence is longer than `longest` symbols at its last comma, else space.
fn sentences(phonemes: &str, longest: usize) -> Vec<&str> {
    let mut found = Vec::new();
    for sentence in phonemes.split_inclusive(['.', '!', '?']) {
        let mut rest = sentence.trim();
        while let Some((limit, _)) = rest.char_indices().nth(longest) {
            let head = &rest[..limit];
            let cut = head
                .rfind([',', ';', ':'])
                .or_else(|| head.rfind(' '))
                .filter(|cut| *cut > 0)
                .map_or(limit, |cut| cut + 1);
            found.push(rest[..cut].trim());
            rest = rest[cut..].trim();
        }
        if rest.chars().any(char::is_alphabetic) {
            found.push(rest);
        }
    }
    found
}

/// What the encoder says about a sentence: `channels` rows of `frames` values.
struct Latent<'a> {
    channels: usize,
    frames: usize,
    values: &'a [f32],
}

impl<'a> Latent<'a> {
    fn new(shape: &[i64], values: &'a [f32]) -> Result<Self, TtsError> {
        let size = |n: i64| usize::try_from(n).ok();
        match shape {
            [1, channels, frames] => match (size(*channels), size(*frames)) {
                (Some(channels), Some(frames)) if channels * frames == values.len() => {
                    Ok(Self { channels, frames, values })
                }
                _ => Err(engine(format!("latent of shape {shape:?}"))),
            },
            _ => Err(engine(format!("latent of shape {shape:?}"))),
        }
    }

    /// The sound of frames `start..end`.
    fn decode(&self, session: &mut Session, start: usize, end: usize) -> Result<Vec<f32>, TtsError> {
        let from = start.saturating_sub(OVERLAP);
        let to = (end + OVERLAP).min(self.frames);
        let width = to - from;
        let window: Vec<f32> = self.values.chunks_exact(self.frames).flat_map(|row| &row[from..to]).copied().collect();
        let input = TensorRef::from_array_view(([1, self.channels, width], &window[..])).map_err(engine)?;
        let outputs = session.run(ort::inputs![input]).map_err(engine)?;
        let first = outputs.values().next().ok_or_else(|| engine("the decoder has no output"))?;
        let (_, samples) = first.try_extract_tensor::<f32>().map_err(engine)?;
        if samples.is_empty() || samples.len() % width != 0 {
            return Err(engine(format!("{} samples from {width} frames", samples.len())));
        }
        let hop = samples.len() / width;
        Ok(samples[(start - from) * hop..(end - from) * hop].to_vec())
    }
}

/// Sessions of one model. `run` needs a session to itself; whoever finds none idle waits for a run to end.
struct Pool {
    idle: Mutex<std::collections::VecDeque<Session>>,
    returned: Condvar,
    size: usize,
}

impl Pool {
    fn open(runtime: &Runtime, model: &[u8], size: usize) -> Result<Self, OnnxError> {
        let size = size.max(1);
        let sessions = (0..size).map(|_| runtime.session(model, 1)).collect::<Result<_, _>>()?;
        Ok(Self { idle: Mutex::new(sessions), returned: Condvar::new(), size })
    }

    fn take(&self) -> Lease<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match idle.pop_front() {
                Some(session) => return Lease { pool: self, session: Some(session) },
                None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Deref for Lease<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        self.session.as_ref().expect("only drop takes the session out")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("only drop takes the session out")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let session = self.session.take();
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(session);
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{ModelsConfig, TtsConfig};
    use crate::engine::onnx;
    use crate::models::{self, ModelKind};

    /// The fetched voice, if it is on this machine.
    pub(crate) fn fetched_voice(workers: usize) -> Option<Piper> {
        let (models, tts) = (ModelsConfig::default(), TtsConfig::default());
        let located = (
            models::locate(&models, "onnxruntime", ModelKind::Runtime),
            models::locate(&models, &tts.voice, ModelKind::Voice),
        );
        let (library, model) = match located {
            (Ok(library), Ok(model)) => (library, model),
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("skipped: {error}");
                return None;
            }
        };
        let runtime = onnx::runtime(&library).expect("a runtime");
        Some(Piper::load(runtime, &PiperOptions { model, workers, length_scale: 1.0 }).expect("a voice"))
    }

    /// The same without the chance by which the model says a sentence otherwise each time.
    pub(crate) fn steady_voice(workers: usize) -> Option<Piper> {
        let mut voice = fetched_voice(workers)?;
        (voice.config.noise_scale, voice.config.noise_w) = (0.0, 0.0);
        voice.gain = voice.warm_up(&voice.phonemizer.phonemes(WARM_UP)).expect("speech");
        Some(voice)
    }

    #[test]
    fn sentences_are_cut_at_their_ends_and_long_ones_where_there_is_a_pause() {
        assert_eq!(sentences("ab cd. ef? ", 100), ["ab cd.", "ef?"]);
        assert_eq!(sentences("abc, def ghi", 9), ["abc,", "def ghi"]);
        assert_eq!(sentences("abcdef ghijkl", 8), ["abcdef", "ghijkl"]);
        assert_eq!(sentences("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
        assert_eq!(sentences(" . ! ,", 5), Vec::<&str>::new());
        assert_eq!(sentences("ɑːɑːɑːɑː", 3), ["ɑːɑ", "ːɑː", "ɑː"]);
    }

    #[test]
    fn a_voice_that_is_not_there_is_named() {
        let error = PiperConfig::read(&description(Path::new("no/voice.onnx"))).expect_err("no file");
        assert!(error.to_string().contains("voice `no/voice.onnx.json` could not be loaded"), "{error}");
    }

    /// Cutting the model changes nothing: the chunks, joined, are the sound of the latent decoded in one run.
    #[test]
    fn chunks_join_without_a_seam() {
        let Some(voice) = fetched_voice(1) else { return };
        let Model::Split { encoders, decoders } = &voice.model else { panic!("this voice can be cut") };
        let ids = voice
            .config
            .ids(&voice.phonemizer.phonemes("Your order was shipped yesterday, and should arrive tomorrow."));
        let (shape, values) = voice.run_sentence(&mut encoders.take(), &ids).expect("a latent");
        let latent = Latent::new(&shape, &values).expect("a latent");
        let whole = latent.decode(&mut decoders.take(), 0, latent.frames).expect("sound");
        let mut joined = Vec::new();
        let mut start = 0;
        while start < latent.frames {
            let end = (start + if start == 0 { FIRST_CHUNK } else { NEXT_CHUNK }).min(latent.frames);
            joined.extend(latent.decode(&mut decoders.take(), start, end).expect("sound"));
            start = end;
        }
        assert_eq!(joined.len(), whole.len());
        let power =
            |samples: &mut dyn Iterator<Item = f32>| samples.map(|sample| f64::from(sample * sample)).sum::<f64>();
        let noise = power(&mut joined.iter().zip(&whole).map(|(a, b)| a - b));
        let signal = power(&mut whole.iter().copied());
        assert!(signal > 1.0 && noise < signal * 1e-9, "signal {signal}, difference {noise}");
    }

    #[test]
    fn the_voice_is_as_loud_as_asked_and_has_no_dead_air() {
        let Some(voice) = steady_voice(1) else { return };
        let mut pcm = Vec::new();
        let mut first = 0;
        voice
            .speak("Your refund of twelve dollars is on its way.", &CancelFlag::new(), &mut |chunk| {
                if pcm.is_empty() {
                    first = chunk.len();
                }
                pcm.extend_from_slice(chunk);
                ControlFlow::Continue(())
            })
            .expect("speech");
        let seconds = pcm.len() as f32 / 16_000.0;
        assert!((1.8..5.0).contains(&seconds), "{seconds} s");
        assert!(first < 16_000 / 4, "the first chunk is short: {first} samples");
        let samples: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        let off = 20.0 * gain_for(&samples).log10();
        assert!(off.abs() < 2.5, "{off} dB from the wanted loudness");
        let onset = pcm.iter().position(|sample| sample.abs() > 600).expect("sound");
        assert!(onset < 16_000 / 8, "sound begins after {onset} samples");
    }
}
