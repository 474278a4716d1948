//! The server of the simulated desk, and what stands in for speech: every sentence a caller knows is a tone of its own, which
//! the ears know; every sentence of the assistant is a short hum.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::day::Scale;
use crate::app::{App, OwnEngines};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::cli::CliError;
use crate::cli::call::player::Dial;
use crate::config::{Config, LlmMode};
use crate::dialog::knowledge::Knowledge;
use crate::engine::CancelFlag;
use crate::engine::stt::fake::transcript;
use crate::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use crate::engine::tts::{TextToSpeech, TtsError};
use crate::engine::vad::energy::EnergyVad;
use crate::store::sqlite::SqliteStore;
use crate::store::{CallQuery, MAX_LIMIT, Store, UserRecord, UserRole};
use crate::telemetry::Secret;
use crate::web::auth::Accounts;

/// Callers come through these.
pub(super) const PROVIDERS: [&str; 3] = ["twilio", "plivo", "browser"];
/// What the providers sign with.
const SECRET: &str = "of the simulation alone";
/// The supervisor's account.
const SUPERVISOR: &str = "supervisor";
/// The lowest of the callers' tones, and how far they are apart.
const TONES_HZ: (f32, f32) = (500.0, 20.0);
/// How long a caller's sentence is.
const SENTENCE: Millis = Millis(600);
/// How long one of the assistant's is, at least and at most.
const HUM: (Millis, Millis) = (Millis(300), Millis(1_500));
const HUM_HZ: f32 = 220.0;
/// How loud all of it is.
const LOUD: f32 = 6_000.0;
/// More sentences would need tones beyond what a telephone carries.
const MOST: usize = 120;

/// What callers say.
#[derive(Debug)]
pub(super) struct Speech {
    /// What the knowledge base answers.
    pub questions: Vec<usize>,
    /// What it does not.
    pub unknown: Vec<usize>,
    /// Asking for a person.
    pub requests: Vec<usize>,
    sentences: Vec<String>,
}

impl Speech {
    /// Questions as the knowledge base has them, and a few of our own.
    fn of(knowledge: &Knowledge) -> Self {
        let answers = knowledge.entries().iter().flat_map(|entry| &entry.answers);
        let asked = answers.filter_map(|answer| answer.also_asked.first()).take(MOST - 12);
        let mut sentences: Vec<String> = asked.map(|question| format!("{question}?")).collect();
        let questions = (0..sentences.len()).collect();
        let mut add = |own: &[&str]| {
            let from = sentences.len();
            sentences.extend(own.iter().map(|&sentence| sentence.to_owned()));
            (from..sentences.len()).collect()
        };
        let unknown = add(&[
            "my neighbour's cat sleeps in the tulips",
            "can you repair my lawn mower?",
            "the invoice has the wrong company on it",
            "your driver left the box in the rain",
        ]);
        let requests = add(&["can I talk to a person, please?", "I want to speak to somebody", "human please"]);
        Self { questions, unknown, requests, sentences }
    }

    /// A sentence as sound.
    pub fn sound(&self, sentence: usize) -> Vec<i16> {
        tone(TONES_HZ.0 + TONES_HZ.1 * sentence as f32, SENTENCE)
    }

    /// What a caller says who leaves a message: long enough to be one.
    pub fn message(&self) -> Vec<i16> {
        tone(TONES_HZ.0, Millis(3_000))
    }

    fn heard(&self, pcm: &[i16]) -> Option<&str> {
        let score = |index: usize| share(pcm, TONES_HZ.0 + TONES_HZ.1 * index as f32);
        let best = (0..self.sentences.len()).max_by(|a, b| score(*a).total_cmp(&score(*b)))?;
        (score(best) > 0.2).then(|| self.sentences[best].as_str())
    }
}

/// Hears which tone it is.
struct Ears(Arc<Speech>);

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let text = self.0.heard(&utterance.pcm).unwrap_or_default();
        let mut heard = transcript(text, -0.15, utterance.span());
        for word in &mut heard.words {
            // Some words are heard worse than others.
            word.probability = Probability::clamped(0.99 - 0.07 * (word.text.len() % 5) as f32);
        }
        Ok(heard)
    }

    fn name(&self) -> &str {
        "tones"
    }
}

/// Hums.
struct Mouth;

impl TextToSpeech for Mouth {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let letters = u32::try_from(text.chars().filter(|letter| letter.is_alphanumeric()).count()).unwrap_or(u32::MAX);
        if letters == 0 {
            return Ok(());
        }
        let span = Millis(letters.saturating_mul(12).clamp(HUM.0.0, HUM.1.0));
        for chunk in tone(HUM_HZ, span).chunks(SampleRate::WIDEBAND.samples_in(Millis(200))) {
            if cancel.is_cancelled() {
                return Err(TtsError::Cancelled);
            }
            if sink(chunk).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn name(&self) -> &str {
        "hum"
    }
}

fn tone(hertz: f32, span: Millis) -> Vec<i16> {
    let step = TAU * hertz / SampleRate::WIDEBAND.0 as f32;
    (0..SampleRate::WIDEBAND.samples_in(span)).map(|n| (LOUD * (step * n as f32).sin()) as i16).collect()
}

/// How much of the sound a tone is, 0 to 1.
pub(super) fn share(pcm: &[i16], hertz: f32) -> f32 {
    let step = TAU * hertz / SampleRate::WIDEBAND.0 as f32;
    let (mut re, mut im, mut energy) = (0.0f32, 0.0f32, 1.0f32);
    for (n, sample) in pcm.iter().enumerate() {
        let (value, angle) = (f32::from(*sample), step * n as f32);
        re += value * angle.cos();
        im += value * angle.sin();
        energy += value * value;
    }
    2.0 * (re * re + im * im) / (energy * pcm.len().max(1) as f32)
}

/// The running server.
pub(super) struct Town {
    app: App,
    pub base: String,
    pub speech: Arc<Speech>,
    /// The supervisor's name and password.
    pub supervisor: &'static str,
    pub password: Secret<String>,
    /// One an agent.
    pub tokens: Vec<Secret<String>>,
    database: String,
    folder: TempDir,
}

impl Town {
    /// With so many agents, and lines for so many callers. The port is the configured one.
    pub async fn open(mut config: Config, agents: usize, lines: usize, scale: Scale) -> Result<Self, CliError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| CliError::failed(format!("{what}: {error}"), "");
        let folder = tempfile::tempdir().map_err(|error| failed("no temporary folder", &error))?;
        config.server.public_url = String::new();
        config.server.data_dir = folder.path().to_owned();
        config.server.calls_per_minute_per_caller = 100_000;
        config.server.max_calls = lines + 8;
        config.server.drain_grace_s = 1;
        config.browser.enabled = true;
        config.providers.twilio.auth_token = Secret::new(SECRET.to_owned());
        config.providers.plivo.auth_token = Secret::new(SECRET.to_owned());
        config.llm.engine = LlmMode::Off;
        config.dialog.embedding = String::new();
        // Tones need no time to be thought over.
        config.turn.hangover_ms = 300;
        config.turn.finished_hangover_ms = 200;
        let seconds = |span: u64| scale.real(Duration::from_secs(span)).as_secs().max(1) as u32;
        config.handoff.wrap_up_s = seconds(180).max(5);
        config.handoff.offer_timeout_s = seconds(300).max(5);
        let base = config.server.base_url();
        let database = config.database.url.clone();
        let knowledge = Knowledge::load(&config.dialog.knowledge_dir)
            .map_err(|error| CliError::usage(error.to_string(), "Check `dialog.knowledge_dir`."))?;
        let speech = Arc::new(Speech::of(&knowledge));
        let (tokens, password) =
            accounts(&config, agents).await.map_err(|error| failed("the accounts could not be made", &error))?;
        let ears = Arc::new(Ears(speech.clone()));
        let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: ears, tts: Arc::new(Mouth) };
        let mut app = App::start_with(config, engines).await?;
        app.warmed_up().await;
        app.prepared().await;
        Ok(Self { app, base, speech, supervisor: SUPERVISOR, password, tokens, database, folder })
    }

    /// Stops the server and says what its records hold.
    pub async fn close(self) -> Result<String, CliError> {
        self.app.stop().await;
        let failed =
            |error: &dyn std::fmt::Display| CliError::failed(format!("the records can't be read: {error}"), "");
        let store = SqliteStore::open(&self.database, self.folder.path()).await.map_err(|error| failed(&error))?;
        let mut outcomes = BTreeMap::<String, usize>::new();
        let mut before = None;
        loop {
            let query = CallQuery { before, limit: MAX_LIMIT, ..CallQuery::default() };
            let page = store.list_calls(&query).await.map_err(|error| failed(&error))?;
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            for call in &page {
                let outcome = serde_json::to_value(call.outcome).ok().and_then(|word| word.as_str().map(str::to_owned));
                *outcomes.entry(outcome.unwrap_or_default()).or_default() += 1;
            }
        }
        store.close().await;
        let mut report = format!("{} calls", outcomes.values().sum::<usize>());
        for (outcome, count) in outcomes {
            let _ = write!(report, "\n  {count:>5}  {}", outcome.replace('_', " "));
        }
        Ok(report)
    }
}

/// How a caller reaches the town.
pub(super) fn dial(base: &str, provider: &str, from: &str) -> Dial {
    let secret = if provider == "browser" { "" } else { SECRET };
    Dial { from: from.to_owned(), auth_token: Secret::new(secret.to_owned()), ..Dial::new(base, provider) }
}

async fn accounts(
    config: &Config,
    agents: usize,
) -> Result<(Vec<Secret<String>>, Secret<String>), Box<dyn std::error::Error + Send + Sync>> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.database.url, &config.server.data_dir).await?);
    let accounts = Accounts::new(store.clone());
    let mut tokens = Vec::new();
    for agent in 1..=agents {
        let (user, _) = accounts.add(&format!("agent{agent}"), UserRole::Agent).await?;
        store.update_user(&UserRecord { must_change_password: false, ..user.clone() }).await?;
        tokens.push(accounts.api_token(&user.name, Duration::from_secs(7 * 86_400)).await?);
    }
    let (user, password) = accounts.add(SUPERVISOR, UserRole::Admin).await?;
    store.update_user(&UserRecord { must_change_password: false, ..user }).await?;
    store.close().await;
    Ok((tokens, password.password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_told_from_every_other() {
        let speech = Speech::of(&Knowledge::load(std::path::Path::new("")).expect("the demo company"));
        assert!(speech.questions.len() > 20 && !speech.unknown.is_empty() && !speech.requests.is_empty());
        for (index, sentence) in speech.sentences.iter().enumerate() {
            assert_eq!(speech.heard(&speech.sound(index)), Some(sentence.as_str()));
        }
        assert_eq!(speech.heard(&tone(HUM_HZ, SENTENCE)), None);
    }
}
