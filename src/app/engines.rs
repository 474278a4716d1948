//! Loads the engines the configuration names, under one CPU budget, and warms them up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::report;
use super::tongues::Sentences;
use crate::call::mind::{LocalCost, Mind, MindSettings};
use crate::call::tongues::{Tongue, Tongues, speakable_in};
use crate::cli::CliError;
use crate::config::{Config, LlmMode, SttMode, TtsMode, VadMode};
use crate::dialog::knowledge::{Entry, Knowledge, KnowledgeError};
use crate::dialog::language::Language;
use crate::dialog::prompt::Prompts;
use crate::engine::cpu::{CpuBudget, Priority};
use crate::engine::embed::SentenceEmbedder;
use crate::engine::llm::chain::Chain;
use crate::engine::llm::fake::FakeLlm;
use crate::engine::llm::local::OnOurCores;
use crate::engine::llm::openai::{Endpoint, OpenAiClient};
use crate::engine::llm::worker::{self, WorkerSpec};
use crate::engine::llm::{ChatMessage, LanguageModel};
use crate::engine::stt::SpeechToText;
use crate::engine::stt::scheduler::{Recognisers, SttScheduler};
use crate::engine::tts::TextToSpeech;
use crate::engine::tts::program::ProgramVoice;
use crate::engine::tts::voice::{Voice, VoiceOptions};
use crate::engine::vad::VadFactory;
use crate::engine::vad::energy::EnergyVad;
use crate::library::{self, Library, Sources};
use crate::models::{self, ModelKind};
use crate::telemetry::Secret;
use crate::tools::Toolbox;
use crate::web::health::{EngineState, Readiness};

/// A core count beyond which more threads for one reply gain nothing.
const MOST_THREADS: usize = 4;

/// How long a language model may take to load when nothing can be done without it.
const MODEL_START: Duration = Duration::from_secs(180);

/// Engines somebody else made, to be used instead of those the configuration names: tests bring fakes.
pub struct OwnEngines {
    /// Detects voice.
    pub vad: Arc<dyn VadFactory>,
    /// Recognises speech.
    pub stt: Arc<dyn SpeechToText>,
    /// Speaks.
    pub tts: Arc<dyn TextToSpeech>,
}

impl OwnEngines {
    fn under(self, budget: &CpuBudget, config: &Config) -> Result<Loaded, CliError> {
        let stt = SttScheduler::start(self.stt, budget.clone(), &config.stt)
            .map_err(|error| unusable(error, "Check `stt.workers`."))?;
        let voice = Voice::new(self.tts, budget.clone(), VoiceOptions::from(&config.tts));
        Ok((self.vad, Some(Arc::new(stt)), voice))
    }
}

/// Ears and mouth.
type Loaded = (Arc<dyn VadFactory>, Option<Arc<SttScheduler>>, Voice);

/// What calls need.
pub struct Engines {
    pub vad: Arc<dyn VadFactory>,
    pub stt: Option<Arc<SttScheduler>>,
    pub voice: Voice,
    pub tongues: Tongues,
    pub mind: Arc<Mind>,
    /// Preparations still going on.
    pub preparing: watch::Receiver<usize>,
}

/// Loads all of them, or takes `own`. A missing file is an error that names it and the command that gets it.
pub async fn start(
    config: &Arc<Config>,
    own: Option<OwnEngines>,
    sentences: Sentences,
    ready: &Arc<watch::Sender<Readiness>>,
    tracker: &TaskTracker,
    cancel: &CancellationToken,
) -> Result<Engines, CliError> {
    let budget = CpuBudget::from_config(&config.cpu);
    let (left, preparing) = watch::channel(0);
    let left = Arc::new(left);
    for engine in ["vad", "stt", "tts", "llm"] {
        report(ready, engine, EngineState::Starting);
    }
    let is_own = own.is_some();
    let (vad, stt, voice) = {
        let (config, budget) = (config.clone(), budget.clone());
        // Loading reads hundreds of megabytes: not on a tokio worker.
        tokio::task::spawn_blocking(move || match own {
            Some(own) => own.under(&budget, &config),
            None => Ok((load_vad(&config)?, load_stt(&config, &budget)?, load_voice(&config, &budget)?)),
        })
        .await
        .map_err(|error| CliError::failed(format!("engines could not be loaded: {error}"), ""))??
    };
    report(ready, "vad", EngineState::Ready);
    report(ready, "stt", if stt.is_some() { EngineState::Ready } else { EngineState::Off });

    let tongues = sentences.spoken_by(&voice, config, &budget, is_own)?;
    let tools = load_tools(config)?;
    let (library, sources, prompts) = load_notes(config, &tools).await?;
    let (found, embedder) = watch::channel(None);
    tracker.spawn(attach_meaning(
        config.clone(),
        library.clone(),
        found,
        budget.clone(),
        Preparation::new(&left),
        cancel.clone(),
    ));
    let taken_up = speak_ahead(tongues.clone(), tracker.clone(), cancel.clone());
    tracker.spawn(library::keep(library.clone(), sources, embedder, taken_up, cancel.clone()));
    let knowledge = library.current();
    let readings: Vec<Reading> = tongues.iter().map(|tongue| Reading::of(tongue, &tongues, &knowledge)).collect();
    warm_voice(readings, ready.clone(), Preparation::new(&left), tracker, cancel.clone());
    let prefixes = prompts
        .prefixes(&library.current(), config.dialog.wording)
        .map_err(|error| unusable(error, "Check `dialog.prompts_dir`."))?;
    let (llm, cost) = start_llm(config, &budget, prefixes, &Around { ready, left: &left, tracker, cancel })?;
    let settings = MindSettings::new(&config.dialog, &config.llm, config.llm.engine != LlmMode::Stub);
    let mind = Arc::new(Mind { knowledge: library, prompts, llm, cost, tools, settings });
    Ok(Engines { vad, stt, voice, tongues, mind, preparing })
}

fn load_tools(config: &Config) -> Result<Arc<Toolbox>, CliError> {
    let toolbox = Toolbox::load(&config.tools).map_err(|error| unusable(error, "Check `[tools]`."))?;
    Ok(Arc::new(toolbox))
}

/// What one voice is to have spoken before it is needed.
struct Reading {
    voice: Voice,
    fixed: Vec<String>,
    approved: Vec<String>,
}

impl Reading {
    fn of(tongue: &Tongue, tongues: &Tongues, knowledge: &Knowledge) -> Self {
        Self {
            voice: tongue.voice.clone(),
            fixed: tongue.phrases.all().iter().map(|text| tongue.speakable(text)).collect(),
            approved: approved(knowledge, tongue, tongues.default_tongue().language),
        }
    }
}

/// The approved sentences of a language, as they are spoken. What does not say its language is in the default one.
fn approved(knowledge: &Knowledge, tongue: &Tongue, default: Language) -> Vec<String> {
    let language = |entry: &Entry| entry.language.as_deref().map_or(Some(default), Language::parse);
    let entries = knowledge.entries().iter().filter(|entry| language(entry) == Some(tongue.language));
    let answers = entries.flat_map(|entry| &entry.answers);
    answers.map(|answer| speakable_in(tongue.language, &answer.approved)).collect()
}

/// Speaks the approved sentences of new content once, unheard, so that they are spoken at once when they are wanted.
fn speak_ahead(tongues: Tongues, tracker: TaskTracker, cancel: CancellationToken) -> library::TakenUp {
    Box::new(move |knowledge| {
        let readings: Vec<Reading> = tongues.iter().map(|tongue| Reading::of(tongue, &tongues, knowledge)).collect();
        let cancel = cancel.clone();
        tracker.spawn(async move {
            let work = async {
                for reading in readings {
                    if let Err(error) = reading.voice.warm(&reading.approved).await {
                        warn!(%error, "Approved answers could not be prepared");
                    }
                }
            };
            tokio::select! {
                () = work => {}
                () = cancel.cancelled() => {}
            }
        });
    })
}

async fn load_notes(config: &Config, tools: &Toolbox) -> Result<(Library, Sources, Arc<Prompts>), CliError> {
    let wrong =
        |error: KnowledgeError| CliError::usage(error.to_string(), "Check `dialog.knowledge_dir` and `[knowledge]`.");
    let sources = Sources::new(config, tools.entries()).map_err(wrong)?;
    let library = sources.open(config).await.map_err(wrong)?;
    let prompts = Prompts::load(&config.dialog)
        .map_err(|error| CliError::usage(error.to_string(), "Check `dialog.prompts_dir`."))?;
    Ok((library, sources, Arc::new(prompts)))
}

/// Lets entries be found by meaning, once somebody can spare a core. Until then, and without the model, by words alone.
async fn attach_meaning(
    config: Arc<Config>,
    library: Library,
    found: watch::Sender<Option<Arc<dyn SentenceEmbedder>>>,
    budget: CpuBudget,
    preparation: Preparation,
    cancel: CancellationToken,
) {
    let _preparation = preparation;
    let work = async {
        let _permit = budget.acquire_whenever(Priority::Background, 1).await;
        load_meaning(config, library, &found).await;
    };
    tokio::select! {
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

async fn load_meaning(config: Arc<Config>, library: Library, found: &watch::Sender<Option<Arc<dyn SentenceEmbedder>>>) {
    if config.dialog.embedding.is_empty() {
        return;
    }
    let found = found.clone();
    let work = move || {
        let embedder = load_embedder(&config).map_err(|error| error.to_string())?;
        // What comes into force from now on has it; what is in force gets it here.
        found.send_replace(Some(embedder.clone()));
        loop {
            let knowledge = library.current();
            if !knowledge.is_semantic() {
                knowledge.attach(embedder.clone()).map_err(|error| error.to_string())?;
            }
            if Arc::ptr_eq(&knowledge, &library.current()) {
                return Ok::<(), String>(());
            }
        }
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => info!("Knowledge is found by meaning too"),
        Ok(Err(error)) => warn!(%error, "Knowledge is found by words alone"),
        Err(error) => warn!(%error, "Knowledge is found by words alone"),
    }
}

/// The embedding model.
#[cfg(feature = "onnx")]
pub fn load_embedder(config: &Config) -> Result<Arc<dyn SentenceEmbedder>, CliError> {
    let model = locate(config, &config.dialog.embedding, ModelKind::Embedding)?;
    let minilm = crate::engine::embed::minilm::MiniLm::load(onnx(config)?, &model)
        .map_err(|error| unusable(error, "Check `dialog.embedding`, or set it to \"\"."))?;
    Ok(Arc::new(minilm))
}

/// The embedding model.
#[cfg(not(feature = "onnx"))]
pub fn load_embedder(_: &Config) -> Result<Arc<dyn SentenceEmbedder>, CliError> {
    Err(unusable(WITHOUT_ONNX, "Build with it, or set `dialog.embedding = \"\"`."))
}

/// The mind alone, without ears and voice, once its model answers.
pub async fn start_mind(
    config: &Arc<Config>,
    tracker: &TaskTracker,
    cancel: &CancellationToken,
) -> Result<Arc<Mind>, CliError> {
    let budget = CpuBudget::from_config(&config.cpu);
    let tools = load_tools(config)?;
    let (library, _, prompts) = load_notes(config, &tools).await?;
    load_meaning(config.clone(), library.clone(), &watch::channel(None).0).await;
    let (ready, mut readiness) = watch::channel(Readiness::default());
    let (left, _) = watch::channel(0);
    // No prompt is prepared: a run that asks each entry once or twice would wait longer for that than for the answers.
    let around = Around { ready: &Arc::new(ready), left: &Arc::new(left), tracker, cancel };
    let (llm, cost) = start_llm(config, &budget, Vec::new(), &around)?;
    if llm.is_some() {
        let up = |readiness: &Readiness| readiness.engines.get("llm") == Some(&EngineState::Ready);
        tokio::time::timeout(MODEL_START, readiness.wait_for(up))
            .await
            .map_err(|_| CliError::failed(format!("the language model did not start within {MODEL_START:?}"), ""))?
            .map_err(|_| CliError::failed("the language model's supervisor ended", ""))?;
    }
    let settings = MindSettings::new(&config.dialog, &config.llm, config.llm.engine != LlmMode::Stub);
    Ok(Arc::new(Mind { knowledge: library, prompts, llm, cost, tools, settings }))
}

fn unusable(error: impl std::fmt::Display, remedy: &str) -> CliError {
    CliError::usage(error.to_string(), remedy)
}

fn locate(config: &Config, name: &str, kind: ModelKind) -> Result<PathBuf, CliError> {
    models::locate(&config.models, name, kind).map_err(|error| unusable(error, ""))
}

#[cfg(feature = "onnx")]
fn onnx(config: &Config) -> Result<&'static crate::engine::onnx::Runtime, CliError> {
    let path = if config.tts.runtime.as_os_str().is_empty() {
        locate(config, "onnxruntime", ModelKind::Runtime)?
    } else {
        config.tts.runtime.clone()
    };
    crate::engine::onnx::runtime(&path)
        .map_err(|error| unusable(error, "Set `tts.runtime`, or run `warmline models fetch onnxruntime`."))
}

#[cfg(not(feature = "onnx"))]
const WITHOUT_ONNX: &str = "this program was built without the `onnx` feature";

/// The voice detector.
pub fn load_vad(config: &Config) -> Result<Arc<dyn VadFactory>, CliError> {
    match config.vad.engine {
        VadMode::Energy => Ok(Arc::new(EnergyVad)),
        #[cfg(feature = "onnx")]
        VadMode::Silero => {
            let model = if config.vad.model.as_os_str().is_empty() {
                locate(config, "silero-vad", ModelKind::Vad)?
            } else {
                config.vad.model.clone()
            };
            let vad = crate::engine::vad::silero::SileroVad::load(onnx(config)?, &model, 2)
                .map_err(|error| unusable(error, "Set `vad.model`, or `vad.engine = \"energy\"`."))?;
            Ok(Arc::new(vad))
        }
        #[cfg(not(feature = "onnx"))]
        VadMode::Silero => Err(unusable(WITHOUT_ONNX, "Build with it, or set `vad.engine = \"energy\"`.")),
    }
}

/// The recogniser behind its scheduler; none when it is off.
pub fn load_stt(config: &Config, budget: &CpuBudget) -> Result<Option<Arc<SttScheduler>>, CliError> {
    let Some(recognisers) = load_recognisers(config)? else { return Ok(None) };
    let scheduler = SttScheduler::start(recognisers, budget.clone(), &config.stt)
        .map_err(|error| unusable(error, "Check `stt.workers`."))?;
    Ok(Some(Arc::new(scheduler)))
}

/// The main recogniser alone. Blocking.
pub fn load_recogniser(config: &Config) -> Result<Arc<dyn SpeechToText>, CliError> {
    let off = || CliError::usage("speech recognition is off", "Set `stt.engine` to `whisper`.");
    Ok(load_recognisers(config)?.ok_or_else(off)?.main)
}

fn load_recognisers(config: &Config) -> Result<Option<Recognisers>, CliError> {
    match config.stt.engine {
        SttMode::Off => Ok(None),
        #[cfg(feature = "whisper")]
        SttMode::Whisper => {
            use crate::engine::stt::scheduler::worker_count;
            use crate::engine::stt::whisper::Whisper;
            let workers = worker_count(&config.stt);
            let load = |name: &str| {
                let model = locate(config, name, ModelKind::Stt)?;
                Whisper::load(&model, &config.stt.language, workers)
                    .map(|whisper| Arc::new(whisper) as Arc<dyn SpeechToText>)
                    .map_err(|error| unusable(error, "Check `stt.model`, `stt.small_model` and `stt.language`."))
            };
            let small = &config.stt.small_model;
            let small = (!small.is_empty()).then(|| load(small)).transpose()?;
            Ok(Some(Recognisers { main: load(&config.stt.model)?, small }))
        }
        #[cfg(not(feature = "whisper"))]
        SttMode::Whisper => Err(unusable(
            "this program was built without the `whisper` feature, so it can't recognise speech",
            "Build with `cargo build --release --features whisper`, or use scripts/run, which does; \
             or set `stt.engine = \"off\"` to put every caller through to a person.",
        )),
    }
}

/// Loads the configured voice. Blocking.
pub fn load_voice(config: &Config, budget: &CpuBudget) -> Result<Voice, CliError> {
    Ok(Voice::new(load_mouth(config)?, budget.clone(), VoiceOptions::from(&config.tts)))
}

/// The voice's engine alone. Blocking.
pub fn load_mouth(config: &Config) -> Result<Arc<dyn TextToSpeech>, CliError> {
    match config.tts.engine {
        TtsMode::Program => {
            let voice = ProgramVoice::find().map_err(|error| unusable(error, "Install flite or espeak-ng."))?;
            Ok(Arc::new(voice))
        }
        #[cfg(feature = "onnx")]
        TtsMode::Piper => {
            use crate::engine::tts::piper::{Piper, PiperOptions};
            let model = locate(config, &config.tts.voice, ModelKind::Voice)?;
            let options = PiperOptions { model, workers: config.tts.workers, length_scale: config.tts.length_scale };
            let piper = Piper::load(onnx(config)?, &options)
                .map_err(|error| unusable(error, "Check `tts.voice`, or set `tts.engine = \"program\"`."))?;
            Ok(Arc::new(piper))
        }
        #[cfg(not(feature = "onnx"))]
        TtsMode::Piper => Err(unusable(WITHOUT_ONNX, "Build with it, or set `tts.engine = \"program\"`.")),
    }
}

/// Speaks every fixed sentence once, unheard, the greeting first; then the approved answers while nobody needs the cores.
fn warm_voice(
    readings: Vec<Reading>,
    ready: Arc<watch::Sender<Readiness>>,
    preparation: Preparation,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    tracker.spawn(async move {
        let _preparation = preparation;
        let work = async {
            let mut state = EngineState::Ready;
            for Reading { voice, fixed, .. } in &readings {
                match voice.warm(fixed).await {
                    Ok(phrases) => info!(phrases, voice = voice.name(), "The voice is ready"),
                    Err(error) => {
                        warn!(%error, voice = voice.name(), "The voice failed; callers hear tones and go to people");
                        state = EngineState::Failed { reason: error.to_string() };
                    }
                }
            }
            report(&ready, "tts", state);
            for Reading { voice, approved, .. } in &readings {
                match voice.warm(approved).await {
                    Ok(phrases) => info!(phrases, voice = voice.name(), "Approved answers are prepared"),
                    Err(error) => warn!(%error, "Approved answers could not be prepared"),
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = cancel.cancelled() => {}
        }
    });
}

/// Something being made before it is needed; over when dropped.
struct Preparation(Arc<watch::Sender<usize>>);

impl Preparation {
    fn new(left: &Arc<watch::Sender<usize>>) -> Self {
        left.send_modify(|left| *left += 1);
        Self(left.clone())
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.0.send_modify(|left| *left -= 1);
    }
}

/// Where an engine's tasks run and report.
struct Around<'a> {
    ready: &'a Arc<watch::Sender<Readiness>>,
    left: &'a Arc<watch::Sender<usize>>,
    tracker: &'a TaskTracker,
    cancel: &'a CancellationToken,
}

type Model = (Option<Arc<dyn LanguageModel>>, Option<LocalCost>);

fn start_llm(
    config: &Arc<Config>,
    budget: &CpuBudget,
    prefixes: Vec<Vec<ChatMessage>>,
    around: &Around<'_>,
) -> Result<Model, CliError> {
    let Around { ready, left, tracker, cancel } = *around;
    let llm = &config.llm;
    match llm.engine {
        LlmMode::Off => {
            report(ready, "llm", EngineState::Off);
            Ok((None, None))
        }
        LlmMode::Stub => {
            report(ready, "llm", EngineState::Ready);
            Ok((Some(Arc::new(FakeLlm::stub())), None))
        }
        LlmMode::Openai => {
            let client = |url: &str, key: &Secret<String>, model: &str| {
                OpenAiClient::remote(Endpoint { url: url.to_owned(), key: key.clone() }, model.to_owned())
                    .map(|client| Arc::new(client) as Arc<dyn LanguageModel>)
                    .map_err(|error| unusable(error, "Check `llm.url`."))
            };
            let mut models = vec![client(&llm.url, &llm.api_key, &llm.model)?];
            if !llm.fallback_url.is_empty() {
                let model = if llm.fallback_model.is_empty() { &llm.model } else { &llm.fallback_model };
                models.push(client(&llm.fallback_url, &llm.fallback_api_key, model)?);
            }
            if !llm.embedded_fallback.is_empty() {
                // Unprepared: it may never be asked, and its prompts would be evaluated beside live calls.
                let worker = start_worker(config, &llm.embedded_fallback, budget, around)?;
                models.push(Arc::new(OnOurCores::new(worker.client, budget.clone(), worker.threads)));
            }
            report(ready, "llm", EngineState::Ready);
            Ok((Some(Arc::new(Chain::new(models))), None))
        }
        LlmMode::Embedded => {
            let Worker { client, endpoint, threads } = start_worker(config, &llm.model, budget, around)?;
            tracker.spawn(watch_llm(
                endpoint,
                client.clone(),
                prefixes,
                ready.clone(),
                Preparation::new(left),
                cancel.clone(),
            ));
            let cost = LocalCost { budget: budget.clone(), threads: threads.min(budget.total()) };
            Ok((Some(client), Some(cost)))
        }
    }
}

/// The embedded model's process, on its way up.
struct Worker {
    client: Arc<OpenAiClient>,
    endpoint: watch::Receiver<Option<Endpoint>>,
    threads: usize,
}

fn start_worker(config: &Arc<Config>, name: &str, budget: &CpuBudget, around: &Around<'_>) -> Result<Worker, CliError> {
    let llm = &config.llm;
    let program = worker::find_program(&llm.worker).ok_or_else(|| {
        unusable(
            format!("the language model's worker program `{}` was not found", worker::PROGRAM),
            "Build it with scripts/run, set `llm.worker` to its path, or set `llm.engine` to `openai` or `off`.",
        )
    })?;
    let model = locate(config, name, ModelKind::Llm)?;
    let threads = match llm.threads {
        0 => budget.total().min(MOST_THREADS),
        threads => threads,
    };
    let spec = WorkerSpec { program, model, threads, threads_after_clause: (threads / 2).max(1), context: llm.context };
    let (endpoint, running) = worker::supervise(spec, around.cancel.clone());
    around.tracker.spawn(running);
    let client = OpenAiClient::embedded(endpoint.clone(), name.to_owned()).map_err(|error| unusable(error, ""))?;
    Ok(Worker { client: Arc::new(client), endpoint, threads })
}

/// Reports how the worker is doing, and each time it is up lets it evaluate the prompts' beginnings.
async fn watch_llm(
    mut endpoint: watch::Receiver<Option<Endpoint>>,
    client: Arc<OpenAiClient>,
    prefixes: Vec<Vec<ChatMessage>>,
    ready: Arc<watch::Sender<Readiness>>,
    preparation: Preparation,
    cancel: CancellationToken,
) {
    let work = async {
        let mut preparation = Some(preparation);
        loop {
            if endpoint.wait_for(Option::is_some).await.is_err() {
                return;
            }
            report(&ready, "llm", EngineState::Ready);
            tokio::select! {
                () = warm_llm(&client, &prefixes) => drop(preparation.take()),
                _ = endpoint.wait_for(Option::is_none) => {}
            }
            if endpoint.wait_for(Option::is_none).await.is_err() {
                return;
            }
            report(&ready, "llm", EngineState::Failed { reason: "the worker is being started again".to_owned() });
        }
    };
    tokio::select! {
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

async fn warm_llm(client: &OpenAiClient, prefixes: &[Vec<ChatMessage>]) {
    let mut warmed = 0;
    for prefix in prefixes {
        match client.warm(prefix).await {
            Ok(()) => warmed += 1,
            Err(error) => {
                warn!(%error, "A prompt could not be prepared; its first answer will take longer");
            }
        }
    }
    info!(prompts = warmed, "Prompts are prepared");
}
