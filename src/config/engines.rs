//! `[models]`, `[cpu]`, `[vad]`, `[turn]`, `[stt]`, `[llm]`, `[tts]`: what hears, thinks and speaks.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::dialog::intent::HINT;
use crate::dialog::language::Language;
use crate::said::Said;
use crate::telemetry::Secret;

/// Where models are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// Folder of fetched models; empty: `warmline/models` in the user's cache folder.
    pub dir: PathBuf,
    /// Base URL of a server of your own with the files by name, tried before all other sources; empty: none.
    pub mirror: String,
}

impl Section for ModelsConfig {
    const NAME: &'static str = "models";
    fn check(&self, problems: &mut Problems) {
        if !self.mirror.is_empty() && !self.mirror.starts_with("http://") && !self.mirror.starts_with("https://") {
            problems.add("models.mirror", &self.mirror, Said::new("base_url", "must be an http(s) base URL"));
        }
    }
}

/// The one CPU budget all engines share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuConfig {
    /// Busy engine threads at once; 0: as many as the machine has cores.
    pub permits: usize,
}

impl Section for CpuConfig {
    const NAME: &'static str = "cpu";
    fn check(&self, problems: &mut Problems) {
        problems.range("cpu.permits", self.permits, 0..=1_024);
    }
}

/// Which voice detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VadMode {
    /// Silero, a small neural network.
    Silero,
    /// Loudness over the noise floor; needs no model.
    Energy,
}

/// Voice activity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadConfig {
    /// `silero` or `energy`.
    pub engine: VadMode,
    /// An ONNX file of your own; empty: the fetched one.
    pub model: PathBuf,
    /// Probability from which a frame counts as voice.
    pub threshold: f32,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self { engine: VadMode::Silero, model: PathBuf::new(), threshold: 0.5 }
    }
}

impl Section for VadConfig {
    const NAME: &'static str = "vad";
    fn check(&self, problems: &mut Problems) {
        problems.range("vad.threshold", self.threshold, 0.05..=0.95);
    }
}

/// Who has the floor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnConfig {
    /// Silence after which the caller's turn is over, until the caller's own pace is known.
    pub hangover_ms: u32,
    /// The same once the transcript looks finished.
    pub finished_hangover_ms: u32,
    /// Silence after which the utterance is decoded on speculation.
    pub speculate_ms: u32,
    /// Voice shorter than this is no utterance.
    pub min_speech_ms: u32,
    /// Voice this long over playback pauses it; words make that final, "mm-hm" and noises let it go on.
    pub barge_in_ms: u32,
    /// An utterance is cut here at the latest.
    pub max_utterance_s: u32,
    /// Silence of the caller after which the assistant asks.
    pub silence_prompt_s: u32,
    /// Wait for an answer after which the caller hears that it is being looked for; 0: never.
    pub filler_ms: u32,
    /// Keys are heard in the audio too, until the provider reports one.
    pub keys_by_sound: bool,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            hangover_ms: 700,
            finished_hangover_ms: 450,
            speculate_ms: 80,
            min_speech_ms: 120,
            barge_in_ms: 200,
            max_utterance_s: 25,
            silence_prompt_s: 8,
            filler_ms: 2_500,
            keys_by_sound: true,
        }
    }
}

impl Section for TurnConfig {
    const NAME: &'static str = "turn";
    fn check(&self, problems: &mut Problems) {
        problems.range("turn.hangover_ms", self.hangover_ms, 200..=5_000);
        problems.range("turn.finished_hangover_ms", self.finished_hangover_ms, 100..=5_000);
        problems.range("turn.speculate_ms", self.speculate_ms, 60..=2_000);
        problems.range("turn.min_speech_ms", self.min_speech_ms, 20..=2_000);
        problems.range("turn.barge_in_ms", self.barge_in_ms, 60..=2_000);
        problems.range("turn.max_utterance_s", self.max_utterance_s, 5..=28);
        problems.range("turn.silence_prompt_s", self.silence_prompt_s, 2..=120);
        problems.range("turn.filler_ms", self.filler_ms, 0..=20_000);
    }
}

/// Which recogniser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SttMode {
    /// Whisper in this process.
    Whisper,
    /// None: every caller goes to a person.
    Off,
}

/// Speech to text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SttConfig {
    /// `whisper` or `off`.
    pub engine: SttMode,
    /// A model's name in `warmline models list`, or the path of a ggml file of your own.
    pub model: String,
    /// A smaller model that hears finals when callers would wait too long for `model`; empty: none. Named as `model` is.
    pub small_model: String,
    /// Decodes at once, one thread each under load; 0: one for each core, at most 4.
    pub workers: usize,
    /// Threads of one decode while the other cores have nothing to do; 1: never more than one.
    pub max_threads: usize,
    /// Language spoken, as Whisper's two letters.
    pub language: String,
    /// Whether the language of a caller's first words decides, where `[languages]` has others.
    pub detect: bool,
    /// Decodes waiting at most.
    pub queue: usize,
    /// A transcript later than this is given up, and the caller hears an honest sentence.
    pub deadline_ms: u32,
    /// Words callers are likely to say: names, products.
    pub hints: Vec<String>,
}

impl Default for SttConfig {
    fn default() -> Self {
        Self {
            engine: SttMode::Whisper,
            model: "whisper-base".to_owned(),
            small_model: String::new(),
            workers: 0,
            max_threads: 2,
            language: "en".to_owned(),
            detect: true,
            queue: 32,
            deadline_ms: 8_000,
            hints: vec!["Larkfield".to_owned()],
        }
    }
}

impl SttConfig {
    /// The language of calls of which nothing else is known.
    pub fn default_language(&self) -> Language {
        Language::parse(&self.language).unwrap_or_default()
    }

    /// What recognition is told to expect: requests for a person, then the operator's names.
    pub fn all_hints(&self) -> Arc<[String]> {
        let person = (self.language == "en").then(|| HINT.to_owned());
        person.into_iter().chain(self.hints.iter().cloned()).collect()
    }
}

impl Section for SttConfig {
    const NAME: &'static str = "stt";
    fn check(&self, problems: &mut Problems) {
        problems.range("stt.workers", self.workers, 0..=64);
        problems.range("stt.max_threads", self.max_threads, 1..=16);
        problems.range("stt.queue", self.queue, 1..=10_000);
        problems.range("stt.deadline_ms", self.deadline_ms, 500..=60_000);
        if self.default_language().as_str() != self.language {
            problems.add("stt.language", &self.language, Said::new("two_letters", "must be two letters such as en"));
        }
    }
}

/// Which language model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LlmMode {
    /// Our own worker process with a local model.
    Embedded,
    /// Any OpenAI-compatible server at `llm.url`.
    Openai,
    /// A scripted stand-in with a fixed pace, for measuring the rest.
    Stub,
    /// None: answers come word for word from the knowledge base, all else goes to a person.
    Off,
}

/// Language model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmConfig {
    /// `embedded`, `openai`, `stub` or `off`.
    pub engine: LlmMode,
    /// Base URL for `openai`, such as `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// Bearer key for `openai`.
    pub api_key: Secret<String>,
    /// Another server for `openai`, asked when the first one fails; empty: none.
    pub fallback_url: String,
    /// Bearer key there.
    pub fallback_api_key: Secret<String>,
    /// The model's name there; empty: `model`.
    pub fallback_model: String,
    /// A local model for `openai`, asked when no server answers: a name in `warmline models list` or a gguf file's path;
    /// empty: none, and the caller gets a person.
    pub embedded_fallback: String,
    /// Embedded: a model's name in `warmline models list` or a gguf file's path. Openai: the model's name there.
    pub model: String,
    /// The worker program; empty: `warmline-llm-worker` beside this program or on the path.
    pub worker: PathBuf,
    /// Threads of the worker until the first clause is out; 0: as many as there are cores, at most 4.
    pub threads: usize,
    /// Tokens of prompts and replies the worker keeps.
    pub context: u32,
    /// Longest reply, in tokens.
    pub max_tokens: u32,
    /// Without a first token by then the caller hears an honest sentence and is put through.
    pub first_token_ms: u32,
    /// The same between two tokens.
    pub next_token_ms: u32,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            engine: LlmMode::Embedded,
            url: String::new(),
            api_key: Secret::new(String::new()),
            fallback_url: String::new(),
            fallback_api_key: Secret::new(String::new()),
            fallback_model: String::new(),
            embedded_fallback: String::new(),
            model: "qwen2.5-coder-1.5b".to_owned(),
            worker: PathBuf::new(),
            threads: 0,
            context: 8_192,
            max_tokens: 80,
            first_token_ms: 8_000,
            next_token_ms: 4_000,
        }
    }
}

impl Section for LlmConfig {
    const NAME: &'static str = "llm";
    const SECRETS: &'static [&'static str] = &["api_key", "fallback_api_key"];
    fn check(&self, problems: &mut Problems) {
        if !self.fallback_url.is_empty() && (self.engine != LlmMode::Openai || !self.fallback_url.starts_with("http")) {
            let expected =
                Said::new("fallback_url", "is for `llm.engine = \"openai\"` and must be an http(s) base URL, or empty");
            problems.add("llm.fallback_url", &self.fallback_url, expected);
        }
        if !self.embedded_fallback.is_empty() && self.engine != LlmMode::Openai {
            let expected = Said::new("for_openai", "is for `llm.engine = \"openai\"`, or empty");
            problems.add("llm.embedded_fallback", &self.embedded_fallback, expected);
        }
        if self.engine == LlmMode::Openai && !self.url.starts_with("http") {
            problems.add(
                "llm.url",
                &self.url,
                Said::new("openai_url", "must be the http(s) base URL of an OpenAI-compatible server"),
            );
        }
        problems.range("llm.threads", self.threads, 0..=256);
        problems.range("llm.context", self.context, 1_024..=1_048_576);
        problems.range("llm.max_tokens", self.max_tokens, 8..=2_048);
        problems.range("llm.first_token_ms", self.first_token_ms, 200..=120_000);
        problems.range("llm.next_token_ms", self.next_token_ms, 100..=60_000);
    }
}

/// Which voice engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TtsMode {
    /// A Piper voice through ONNX Runtime.
    Piper,
    /// The `flite` or `espeak-ng` program, if installed: a poor voice that needs no model.
    Program,
}

/// Voice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtsConfig {
    /// `piper` or `program`.
    pub engine: TtsMode,
    /// A voice's name in `warmline models list`, or the path of a Piper ONNX file with its `.json` beside it.
    pub voice: String,
    /// ONNX Runtime library; empty: the fetched one.
    pub runtime: PathBuf,
    /// Syntheses at once.
    pub workers: usize,
    /// Megabytes of phrases kept.
    pub cache_mb: usize,
    /// 1.0 is the voice's own pace; smaller is faster.
    pub length_scale: f32,
}

impl Default for TtsConfig {
    fn default() -> Self {
        Self {
            engine: TtsMode::Piper,
            voice: "piper-joe".to_owned(),
            runtime: PathBuf::new(),
            workers: 2,
            cache_mb: 64,
            length_scale: 1.0,
        }
    }
}

impl Section for TtsConfig {
    const NAME: &'static str = "tts";
    fn check(&self, problems: &mut Problems) {
        problems.range("tts.workers", self.workers, 1..=16);
        problems.range("tts.cache_mb", self.cache_mb, 1..=4_096);
        problems.range("tts.length_scale", self.length_scale, 0.5..=2.0);
    }
}
