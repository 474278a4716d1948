//! A whole call through each provider's dialect: the real server on a real socket, with engines made of tones. Greeted,
//! spoken over with a question, which is heard and answered, put through by a key, heard both ways, hung up, recorded.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use warmline::app::{App, OwnEngines};
use warmline::audio::mix::level_dbfs;
use warmline::audio::units::{Millis, Probability, SampleRate};
use warmline::cli::call::player::{CallPlayer, Dial, Event};
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::{SpeechToText, SttError, Transcript, Utterance, Word};
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::energy::EnergyVad;
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;
use warmline::telephony::providers::PROVIDERS;

use crate::support::agent::Agent;
use crate::support::house::{secret_of, sections};
use crate::support::tones::{best_share, tone};

/// Real time on a shared machine: generous, because nothing here is a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// What each sentence of the assistant sounds like, the answer excepted.
const VOICE_HZ: f32 = 700.0;
/// The answer.
const ANSWER_HZ: f32 = 900.0;
/// The caller asking the question.
const QUESTION_HZ: f32 = 300.0;
/// Sentences, as long as they must be heard.
const SENTENCE: Millis = Millis(1_200);
/// The one that is spoken over goes on until it is.
const OFFER_OF_HELP: Millis = Millis(30_000);
const QUESTION: &str = "Are you open on Sunday?";
const ANSWER: &str = "On Sunday we are open from noon until five.";
const ENTRY: &str = r#"+++
title = "Opening hours"
keywords = ["open", "sunday", "hours"]
approved = "On Sunday we are open from noon until five."
also_asked = ["are you open on sunday", "sunday hours"]
+++
On Sunday we are open from noon until five.
"#;

/// Hears the question in its tone, and nothing in anything else.
struct Ears;

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let text = if best_share(&utterance.pcm, QUESTION_HZ) > 0.5 { QUESTION } else { "" };
        let words = text.split_whitespace().map(|word| Word {
            text: word.to_owned(),
            start: Millis::ZERO,
            end: utterance.span(),
            probability: Probability::clamped(0.95),
        });
        Ok(Transcript {
            text: text.to_owned(),
            words: words.collect(),
            avg_logprob: -0.05,
            compression_ratio: 1.0,
            audio: utterance.span(),
            ..Transcript::default()
        })
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
struct Site {
    app: App,
    base: String,
    /// Of the person at the desk.
    cookie: String,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Site {
    async fn open() -> Self {
        warmline::engine::llm::openai::install_crypto();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let knowledge = folder.path().join("knowledge");
        std::fs::create_dir(&knowledge).expect("made");
        std::fs::write(knowledge.join("hours.md"), ENTRY).expect("written");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {:?}\ncalls_per_minute_per_caller = 1000\n\
             [llm]\nengine = \"off\"\n[stt]\ndeadline_ms = 40000\n\
             [dialog]\nknowledge_dir = {knowledge:?}\nembedding = \"\"\n\
             greeting = \"You are speaking with an automated assistant. How can I help you?\"\n{}",
            folder.path(),
            sections()
        );
        let config = Config::parse(&text, std::iter::empty()).expect("valid");
        let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: Arc::new(Mouth) };
        let mut app = App::start_with(config, engines).await.expect("starts");
        tokio::time::timeout(PATIENCE, app.warmed_up()).await.expect("warms up");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let first = app.first_admin.as_ref().expect("a new database");
        let (name, old) = (first.name.clone(), first.password.expose().clone());
        let mut site = Self { app, base: format!("http://127.0.0.1:{port}"), cookie: String::new(), http, folder };
        site.post("session", &json!({ "name": name, "password": old })).await;
        site.post("password", &json!({ "old": old, "new": "a long enough password" })).await;
        site
    }

    async fn post(&mut self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}/api/v1/{path}", self.base)).header("origin", &self.base);
        let response = request.header("cookie", &self.cookie).json(body).send().await.expect("answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        if let Some(cookie) = response.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            self.cookie = cookie.split(';').next().expect("a first part").to_owned();
        }
    }

    async fn agent(&self) -> Agent {
        let headers = [("cookie", self.cookie.clone()), ("origin", self.base.clone())];
        Agent::connect(&self.base, &headers, PATIENCE).await
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/api/v1/{path}", self.base)).header("cookie", &self.cookie);
        request.send().await.expect("answers").json().await.expect("JSON")
    }

    async fn call(&self, id: &str) -> Value {
        self.get(&format!("calls/{id}")).await
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How much of `pcm` is more than silence.
fn voiced_ms(pcm: &[i16]) -> u64 {
    10 * pcm.chunks(160).filter(|window| level_dbfs(window) > -45.0).count() as u64
}

/// Whether the record says that somebody said this.
fn said(detail: &Value, who: &str, text: &str) -> bool {
    let mut turns = detail["turns"].as_array().into_iter().flatten();
    turns.any(|turn| turn["who"] == who && turn["text"].as_str().is_some_and(|said| said.contains(text)))
}

/// All at once, each with a server of its own: they wait for real time, not for cores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_table_carries_a_whole_conversation() {
    let mut failed = Vec::new();
    let converse_with_all = async {
        let mut calls = JoinSet::new();
        let names: HashMap<_, _> =
            PROVIDERS.iter().map(|spec| (calls.spawn_local(converse(spec.name)).id(), spec.name)).collect();
        while let Some(call) = calls.join_next_with_id().await {
            failed.extend(call.err().map(|error| format!("{}: {error}", names[&error.id()])));
        }
    };
    LocalSet::new().run_until(converse_with_all).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

async fn converse(provider: &'static str) {
    let site = Site::open().await;
    let mut agent = site.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;

    // Greeted by voice. Who speaks and that it is recorded must be heard; what follows may be interrupted.
    let auth_token = Secret::new(secret_of(provider).to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(site.base.as_str(), provider) };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    let must_be_heard = 2 * u64::from(SENTENCE.0) + 500;
    until("the greeting is heard", async || voiced_ms(&call.captured_audio().reply) >= must_be_heard).await;
    assert!(best_share(&call.captured_audio().reply, VOICE_HZ) > 0.8);

    // Spoken over: what is queued at the provider is thrown away. What was said is heard, and answered.
    let asked = call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
    call.wait_event(0, PATIENCE, |event| *event == Event::Cleared).await.expect("playback is cleared");
    until("the answer is heard", async || best_share(&call.captured_audio().reply[asked.begin..], ANSWER_HZ) > 0.8)
        .await;
    let calls = site.get("calls").await;
    let call_id = calls["calls"][0]["id"].as_str().expect("a live call").to_owned();
    until("the answer is on record, heard to its end", async || {
        let detail = site.call(&call_id).await;
        said(&detail, "caller", QUESTION) && said(&detail, "assistant", ANSWER)
    })
    .await;

    // A key leads to a person. FreeSWITCH tells of none by itself: there it is heard.
    if provider == "freeswitch" {
        let (low, high) = (tone(941.0, Millis(150)), tone(1_336.0, Millis(150)));
        let key: Vec<i16> = low.iter().zip(high).map(|(low, high)| (low + high) / 2).collect();
        call.begin("key", &key).await.expect("played");
    } else {
        call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    }
    let offer = agent.expect("offer").await;
    assert_eq!((&offer["reason"], &offer["provider"]), (&"caller_pressed_zero".into(), &provider.into()), "{offer}");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let connected = agent.expect("connected").await;
    assert_eq!(connected["call_id"], call_id);

    // Each hears the other.
    let before = call.captured_audio().reply.len();
    until("the caller hears the agent", async || {
        agent.speak(&tone(440.0, Millis(500))).await;
        best_share(&call.captured_audio().reply[before..], 440.0) > 0.8
    })
    .await;
    agent.heard.clear();
    call.begin("tone", &tone(1_000.0, Millis(1_500))).await.expect("played");
    until("the agent hears the caller", async || {
        agent.speak(&[0; 8_000]).await;
        best_share(&agent.heard, 1_000.0) > 0.8
    })
    .await;

    // Hung up: the record is complete.
    let (events, _) = call.hangup().await;
    let odd: Vec<_> = events.iter().filter(|timed| matches!(timed.event, Event::Misunderstood { .. })).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(agent.expect("call_ended").await["reason"], "caller_hung_up");
    let note = json!({ "type": "wrap_up", "call_id": call_id, "note": "heard well", "disposition": "resolved" });
    agent.say(note).await;
    until("the record is complete", async || {
        let detail = site.call(&call_id).await;
        detail["call"]["outcome"] == "spoke_with_agent" && detail["wrap_ups"][0]["note"] == "heard well"
    })
    .await;
    let detail = site.call(&call_id).await;
    assert_eq!(detail["call"]["provider"], provider);
    assert_eq!(
        (&detail["offers"][0]["result"], &detail["handoffs"][0]["outcome"]),
        (&"accepted".into(), &"bridged".into())
    );
    assert_eq!(detail["triggers"][0]["signals"]["digit"], "0");
    let recording = site.folder.path().join("recordings").join(format!("{call_id}.wav"));
    until("the recording is finished", async || recording.exists()).await;
    site.app.stop().await;
}
