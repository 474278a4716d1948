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
use warmline::audio::dtmf::key_sound;
use warmline::audio::units::{Millis, SampleRate};
use warmline::cli::call::player::CallPlayer;
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::transcript;
use warmline::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::energy::EnergyVad;
use warmline::telephony::protocol::Digit;

use super::agent::Agent;
use super::house::sections;
use super::tones::{best_share, tone, voiced_ms};

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
/// The answer, which is looked for in what was heard.
const ANSWER_SPAN: Millis = Millis(2_400);
/// The one that is spoken over goes on until it is.
const OFFER_OF_HELP: Millis = Millis(30_000);
/// What it is heard as.
pub const QUESTION: &str = "Are you open on Sunday?";
/// What the notes say to it.
pub const ANSWER: &str = "On Sunday we are open from noon until five.";
/// The notes.
pub const ENTRY: &str = r#"+++
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
pub struct Ears;

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
pub struct Mouth;

impl TextToSpeech for Mouth {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let (hertz, span) = match text {
            answer if answer.contains("noon") => (ANSWER_HZ, ANSWER_SPAN),
            offer if offer.contains("help you") => (VOICE_HZ, OFFER_OF_HELP),
            _ => (VOICE_HZ, SENTENCE),
        };
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
        let app = App::start_with(configuration(&folder, &text), engines).await.expect("starts");
        Self::enter(app, folder).await
    }

    /// Signs in as the first administrator of a server that has just been started.
    pub async fn enter(mut app: App, folder: TempDir) -> Self {
        let base = format!("http://{}", app.address);
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

    /// All that is known of a call by now.
    pub async fn call(&self, id: &str) -> Value {
        self.get(&format!("calls/{id}")).await
    }

    /// All that is known of a call once it is over.
    pub async fn ended_call(&self, id: &str) -> Value {
        ended(async || self.call(id).await).await
    }

    /// The one call there is, as soon as it is on record.
    pub async fn only_call(&self) -> String {
        let find = async || self.get("calls").await["calls"].as_array().cloned().unwrap_or_default();
        until("a call is on record", async || !find().await.is_empty()).await;
        let calls = find().await;
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0]["id"].as_str().expect("an id").to_owned()
    }
}

/// Looks at a call until it and all that belongs to it have ended on record. Call and desk write for themselves, behind what
/// the caller and the agents see, and nobody promises in which order.
pub async fn ended(look: impl AsyncFn() -> Value) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let detail = look().await;
        let all_ended = |list: &str| {
            let mut records = detail[list].as_array().into_iter().flatten();
            records.all(|record| record["ended_at"].is_string())
        };
        if detail["call"]["ended_at"].is_string() && ["handoffs", "offers", "contacts"].into_iter().all(all_ended) {
            return detail;
        }
        assert!(Instant::now() < end, "the call does not end: {detail}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until what must be heard of the greeting was: who speaks, and that it is recorded. What follows may be interrupted.
pub async fn greeted(call: &CallPlayer) {
    let must_be_heard = 2 * u64::from(SENTENCE.0) + 500;
    until("the greeting is heard", async || voiced_ms(&call.captured_audio().reply) >= must_be_heard).await;
}

/// The caller presses `0`. FreeSWITCH tells of no key by itself: there it is heard, if no stall of the machine tears its sound.
pub async fn wants_a_person(desk: &FrontDesk, call: &mut CallPlayer, provider: &str) {
    if provider != "freeswitch" {
        return call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    }
    until("the key is heard", async || {
        call.begin("key", &key_sound('0')).await.expect("played");
        call.wait(Duration::from_secs(3)).await.expect("goes on");
        let live = desk.get("live").await;
        let mut calls = live["calls"].as_array().into_iter().flatten();
        calls.any(|one| one["provider"] == provider && one["stage"] != "assistant")
    })
    .await;
}

/// Caller and agent speak until each hears the other, whom neither has heard before.
pub async fn they_hear_each_other(call: &mut CallPlayer, agent: &mut Agent) {
    let before = call.captured_audio().reply.len();
    until("the caller hears the agent", async || {
        agent.speak(&tone(440.0, Millis(500))).await;
        best_share(&call.captured_audio().reply[before..], 440.0) > 0.8
    })
    .await;
    agent.heard.clear();
    until("the agent hears the caller", async || {
        call.begin("tone", &tone(1_000.0, Millis(500))).await.expect("played");
        agent.speak(&[0; 8_000]).await;
        best_share(&agent.heard, 1_000.0) > 0.8
    })
    .await;
}

/// A folder of knowledge in `folder` with this one entry.
pub fn knowledge(folder: &TempDir, entry: &str) -> PathBuf {
    let knowledge = folder.path().join("knowledge");
    std::fs::create_dir(&knowledge).expect("made");
    std::fs::write(knowledge.join("entry.md"), entry).expect("written");
    knowledge
}

/// A configuration with `sections` for any free port, that keeps its data in `folder`, without a language model if they name none.
pub fn configuration(folder: &TempDir, sections: &str) -> Config {
    let llm = if sections.contains("[llm]") { "" } else { "[llm]\nengine = \"off\"\n" };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\nmax_calls = 64\ncalls_per_minute_per_caller = 1000\ndrain_grace_s = 2\n\
         {llm}{sections}",
        folder.path()
    );
    Config::parse(&text, std::iter::empty()).expect("valid")
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
