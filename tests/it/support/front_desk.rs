//! The whole server in this process, on a real socket, with engines made of tones: what is said is a tone, and one tone is
//! heard as a question.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use warmline::app::{App, OwnEngines};
use warmline::audio::units::{Millis, SampleRate};
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::transcript;
use warmline::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::energy::EnergyVad;

use super::agent::Agent;
use super::house::sections;
use super::tones::{best_share, tone};

/// Real time on a shared machine: generous, because nothing here is a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What each sentence of the assistant sounds like, the answer excepted.
pub const VOICE_HZ: f32 = 700.0;
/// The answer.
pub const ANSWER_HZ: f32 = 900.0;
/// The caller asking the question.
pub const QUESTION_HZ: f32 = 300.0;
/// Sentences, as long as they must be heard.
pub const SENTENCE: Millis = Millis(1_200);
/// The one that is spoken over goes on until it is.
const OFFER_OF_HELP: Millis = Millis(30_000);
/// What it is heard as.
pub const QUESTION: &str = "Are you open on Sunday?";
/// What the notes say to it.
pub const ANSWER: &str = "On Sunday we are open from noon until five.";
const ENTRY: &str = r#"+++
title = "Opening hours"
keywords = ["open", "sunday", "hours"]
approved = "On Sunday we are open from noon until five."
also_asked = ["are you open on sunday", "sunday hours"]
+++
On Sunday we are open from noon until five.
"#;

/// The agent making a promise.
pub const PROMISE_HZ: f32 = 500.0;
/// What it is heard as.
pub const PROMISE: &str = "I will call you back tomorrow.";

/// Mean log-probability of words that are heard well.
pub const SURE: f32 = -0.05;

/// Hears question and promise in their tones, and nothing in anything else.
struct Ears;

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let known = [(QUESTION_HZ, QUESTION), (PROMISE_HZ, PROMISE)];
        let text =
            known.iter().find(|(hertz, _)| best_share(&utterance.pcm, *hertz) > 0.5).map_or("", |(_, text)| text);
        Ok(transcript(text, SURE, utterance.span()))
    }

    fn name(&self) -> &str {
        "tones"
    }
}

/// Says everything with a tone.
struct Mouth;

impl TextToSpeech for Mouth {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let hertz = if text.contains("noon") { ANSWER_HZ } else { VOICE_HZ };
        let span = if text.contains("help you") { OFFER_OF_HELP } else { SENTENCE };
        for chunk in tone(hertz, span).chunks(SampleRate::WIDEBAND.samples_in(Millis(200))) {
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
        "tones"
    }
}

/// The server, with a data folder of its own.
pub struct FrontDesk {
    pub app: App,
    pub base: String,
    /// Of the person at the desk.
    cookie: String,
    pub http: reqwest::Client,
    pub folder: TempDir,
}

impl FrontDesk {
    /// Opens it, with these sections of the configuration besides.
    pub async fn open(more: &str) -> Self {
        let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: Arc::new(Mouth) };
        Self::open_with(tempfile::tempdir().expect("a temporary folder"), ENTRY, engines, more).await
    }

    /// The same, with an account at a provider: more lines of its section.
    pub async fn open_with_account(provider: &str, account: &str, more: &str) -> Self {
        let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: Arc::new(Mouth) };
        let sections = sections()
            .replace(&format!("[{provider}]\n"), &format!("[{provider}]\n{account}\n"))
            // Who is called gets a stream that nobody has told of anything but the default.
            .replace("codec = \"G722\"", "codec = \"PCMU\"")
            .replace("content_type = \"audio/x-l16;rate=16000\"", "content_type = \"audio/x-mulaw;rate=8000\"");
        Self::open_in(tempfile::tempdir().expect("a temporary folder"), ENTRY, engines, &sections, more).await
    }

    /// The same with other engines and one other entry; the folder may hold files that `more` names.
    pub async fn open_with(folder: TempDir, entry: &str, engines: OwnEngines, more: &str) -> Self {
        Self::open_in(folder, entry, engines, &sections(), more).await
    }

    async fn open_in(folder: TempDir, entry: &str, engines: OwnEngines, providers: &str, more: &str) -> Self {
        let text = format!(
            "[stt]\ndeadline_ms = 40000\n\
             [dialog]\nknowledge_dir = {:?}\nembedding = \"\"\n\
             greeting = \"You are speaking with an automated assistant. How can I help you?\"\n{}\n{more}",
            knowledge(&folder, entry),
            providers
        );
        let (config, base) = configuration(&folder, &text);
        let app = App::start_with(config, engines).await.expect("starts");
        Self::enter(app, base, folder).await
    }

    /// Signs in as the first administrator of a server that has just been started.
    pub async fn enter(mut app: App, base: String, folder: TempDir) -> Self {
        warmline::engine::llm::openai::install_crypto();
        tokio::time::timeout(PATIENCE * 3, app.warmed_up()).await.expect("warms up");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let first = app.first_admin.as_ref().expect("a new database");
        let (name, old) = (first.name.clone(), first.password.expose().clone());
        let mut desk = Self { app, base, cookie: String::new(), http, folder };
        desk.post("session", &json!({ "name": name, "password": old })).await;
        desk.post("password", &json!({ "old": old, "new": "a long enough password" })).await;
        desk
    }

    pub async fn post(&mut self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}/api/v1/{path}", self.base)).header("origin", &self.base);
        let response = request.header("cookie", &self.cookie).json(body).send().await.expect("answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        if let Some(cookie) = response.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            self.cookie = cookie.split(';').next().expect("a first part").to_owned();
        }
    }

    /// Puts something into its place; what is answered.
    pub async fn put(&self, path: &str, body: &Value) -> Value {
        let request = self.http.put(format!("{}/api/v1/{path}", self.base)).header("origin", &self.base);
        let response = request.header("cookie", &self.cookie).json(body).send().await.expect("answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.json().await.expect("JSON")
    }

    /// A person at a console.
    pub async fn agent(&self) -> Agent {
        let headers = [("cookie", self.cookie.clone()), ("origin", self.base.clone())];
        Agent::connect(&self.base, &headers, PATIENCE).await
    }

    /// What the API answers.
    pub async fn response(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).header("cookie", &self.cookie);
        let response = request.send().await.expect("answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response
    }

    /// The same as JSON.
    pub async fn get(&self, path: &str) -> Value {
        self.response(path).await.json().await.expect("JSON")
    }

    /// All that is known of a call.
    pub async fn call(&self, id: &str) -> Value {
        self.get(&format!("calls/{id}")).await
    }
}

/// A folder of knowledge in `folder` with this one entry.
pub fn knowledge(folder: &TempDir, entry: &str) -> PathBuf {
    let knowledge = folder.path().join("knowledge");
    std::fs::create_dir(&knowledge).expect("made");
    std::fs::write(knowledge.join("entry.md"), entry).expect("written");
    knowledge
}

/// A configuration with `sections` that keeps its data in `folder`, without a language model, and the address to call.
pub fn configuration(folder: &TempDir, sections: &str) -> (Config, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {:?}\nmax_calls = 64\ncalls_per_minute_per_caller = 1000\ndrain_grace_s = 2\n\
         [llm]\nengine = \"off\"\n{sections}",
        folder.path()
    );
    (Config::parse(&text, std::iter::empty()).expect("valid"), format!("http://127.0.0.1:{port}"))
}

/// Looks until it holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the record says that somebody said this.
pub fn said(detail: &Value, who: &str, text: &str) -> bool {
    let mut turns = detail["turns"].as_array().into_iter().flatten();
    turns.any(|turn| turn["who"] == who && turn["text"].as_str().is_some_and(|said| said.contains(text)))
}
