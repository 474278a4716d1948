//! Chores in whole calls: the real server on a real socket, the tools of `examples/tools` against a real HTTP service, with
//! ears and a voice made of tones.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use warmline::app::OwnEngines;
use warmline::audio::units::{Millis, SampleRate};
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::transcript;
use warmline::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::energy::EnergyVad;
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::front_desk::{FrontDesk, PATIENCE, SURE, said, until};
use crate::support::house::secret_of;
use crate::support::model::PlayedModel;
use crate::support::tones::{best_share, tone};

const PAUSE: Duration = Duration::from_millis(1_200);
/// What the caller's tones mean.
const WORDS: &[(f32, &str)] = &[
    (300.0, "Where is my order?"),
    (400.0, "four four zero zero one eight"),
    (500.0, "no, seven, not eight"),
    (600.0, "Yes."),
    (800.0, "I want to cancel my order."),
    (1_000.0, "Could you find out what became of my parcel?"),
    (1_150.0, "The order four four zero zero one seven was a mistake."),
    (1_300.0, "Get me a human."),
];

struct Ears;

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let heard = WORDS.iter().find(|(hertz, _)| best_share(&utterance.pcm, *hertz) > 0.5);
        Ok(transcript(heard.map_or("", |(_, text)| text), SURE, utterance.span()))
    }

    fn name(&self) -> &str {
        "tones"
    }
}

/// Says everything with a tone, and remembers the words.
#[derive(Default)]
struct Mouth(Mutex<Vec<String>>);

impl TextToSpeech for Mouth {
    fn speak(
        &self,
        text: &str,
        _: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        self.0.lock().expect("no panic").push(text.to_owned());
        for chunk in tone(1_700.0, Millis(700)).chunks(SampleRate::WIDEBAND.samples_in(Millis(100))) {
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

/// The shop's service.
struct Shop {
    asked: Mutex<Vec<String>>,
    /// Cancellations and slow looks that may be answered.
    lets_go: Semaphore,
}

async fn status(State(shop): State<Arc<Shop>>, Path(number): Path<String>) -> (StatusCode, Json<Value>) {
    shop.asked.lock().expect("no panic").push(format!("status {number}"));
    match number.as_str() {
        "440017" => (StatusCode::OK, Json(json!({ "state": "shipped", "due": "2026-12-01" }))),
        "440019" => {
            // Time for a filler.
            shop.lets_go.acquire().await.expect("never closed").forget();
            (StatusCode::OK, Json(json!({ "state": "packed" })))
        }
        _ => (StatusCode::NOT_FOUND, Json(Value::Null)),
    }
}

async fn cancel(State(shop): State<Arc<Shop>>, Path(number): Path<String>) -> Json<Value> {
    shop.asked.lock().expect("no panic").push(format!("cancel {number}"));
    // Time for a caller to hang up meanwhile.
    shop.lets_go.acquire().await.expect("never closed").forget();
    Json(json!({ "state": "cancelled" }))
}

struct Site {
    desk: FrontDesk,
    shop: Arc<Shop>,
    mouth: Arc<Mouth>,
    _tasks: JoinSet<()>,
}

const ENTRY: &str = r#"+++
title = "Opening hours"
approved = "We open at nine."
also_asked = ["when do you open"]
+++
We open at nine.
"#;

impl Site {
    async fn open() -> Self {
        Self::open_with("").await
    }

    /// With a language model that is played.
    async fn open_beside(model: &PlayedModel) -> Self {
        let url = &model.url;
        Self::open_with(&format!(
            "[llm]\nengine = \"openai\"\nurl = {url:?}\nmodel = \"m\"\nfirst_token_ms = 60000\n\
                                  next_token_ms = 60000\n"
        ))
        .await
    }

    async fn open_with(llm: &str) -> Self {
        let shop = Arc::new(Shop { asked: Mutex::default(), lets_go: Semaphore::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shop_port = listener.local_addr().expect("bound").port();
        let routes = Router::new()
            .route("/api/orders/{number}", get(status))
            .route("/api/orders/{number}/cancel", post(cancel))
            .with_state(shop.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.expect("serves") });

        let folder = tempfile::tempdir().expect("a temporary folder");
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).expect("made");
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tools")).expect("there") {
            let path = file.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("readable");
            let text = text.replace("https://shop.example", &format!("http://127.0.0.1:{shop_port}"));
            // Nothing here is about what a slow service does.
            let text = text.replace("timeout_ms = 3000", "timeout_ms = 20000");
            std::fs::write(tools.join(path.file_name().expect("a name")), text).expect("written");
        }
        let more = format!(
            "{llm}[recording]\nenabled = false\n\
             [tools]\ndir = {tools:?}\nallow_hosts = [\"127.0.0.1\"]\nallow_private = true\n"
        );
        let mouth = Arc::new(Mouth::default());
        let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: mouth.clone() };
        let desk = FrontDesk::open_with(folder, ENTRY, engines, &more).await;
        Self { desk, shop, mouth, _tasks: tasks }
    }

    /// The one call there is.
    async fn detail(&self) -> Value {
        self.desk.call(&self.desk.only_call().await).await
    }

    async fn dial(&self) -> CallPlayer {
        let auth_token = Secret::new(secret_of("twilio").to_owned());
        let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(self.desk.base.as_str(), "twilio") };
        let mut call = CallPlayer::connect(&dial).await.expect("connects");
        self.hears(&mut call, "How can I help you?").await;
        call
    }

    fn said(&self, part: &str) -> bool {
        self.mouth.0.lock().expect("no panic").iter().any(|text| text.contains(part))
    }

    /// The caller says it, and hears what follows, which holds `part`.
    async fn say(&self, call: &mut CallPlayer, hertz: f32, part: &str) {
        call.play("words", &tone(hertz, Millis(1_200))).await.expect("played");
        until(part, async || self.said(part)).await;
        // What was heard is on record behind the caller's words.
        until("it is heard", async || {
            let detail = self.detail().await;
            detail["turns"].as_array().and_then(|turns| turns.last()).is_some_and(|last| last["who"] == "assistant")
        })
        .await;
        call.wait_reply_end(PAUSE, PATIENCE).await.expect("answered");
    }

    /// The caller has heard this to its end, and what follows it.
    async fn hears(&self, call: &mut CallPlayer, part: &str) {
        until(part, async || said(&self.detail().await, "assistant", part)).await;
        call.wait_reply_end(PAUSE, PATIENCE).await.expect("heard");
    }

    fn asked(&self) -> Vec<String> {
        self.shop.asked.lock().expect("no panic").clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_looked_up_by_voice() {
    let site = Site::open().await;
    let mut call = site.dial().await;
    site.say(&mut call, 300.0, "What is your order number").await;
    site.say(&mut call, 400.0, "zero one eight").await;
    site.say(&mut call, 500.0, "zero one seven").await;
    assert_eq!(site.asked(), [""; 0], "nothing is asked before the caller agreed to the number");
    site.say(&mut call, 600.0, "should arrive on December").await;
    assert_eq!(site.asked(), ["status 440017"]);
    call.hangup().await;
    let detail = site.desk.ended_call(&site.desk.only_call().await).await;
    assert_eq!(detail["call"]["outcome"], "ended_with_assistant", "{detail}");
    let run = detail["tools"][0].clone();
    assert_eq!(run["outcome"], "done");
    assert_eq!(
        (&run["tool"], &run["arguments"], &run["status"], &run["changes"]),
        (&json!("order_status"), &json!({ "order_number": "440017" }), &json!(200), &json!(false))
    );
    site.desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_on_record_though_the_caller_hung_up() {
    let site = Site::open().await;
    let mut call = site.dial().await;
    site.say(&mut call, 800.0, "What is the number of the order").await;
    for key in "440017".chars() {
        call.dtmf(Digit::new(key).expect("a key")).await.expect("pressed");
    }
    site.hears(&mut call, "Shall I cancel order").await;
    assert_eq!(site.asked(), [""; 0], "nothing is changed before the caller agreed");
    call.play("yes", &tone(600.0, Millis(1_200))).await.expect("played");
    until("it is sent", async || !site.asked().is_empty()).await;
    call.hangup().await;
    site.desk.ended_call(&site.desk.only_call().await).await;
    site.shop.lets_go.add_permits(1);
    until("its end is on record", async || site.detail().await["tools"][0]["outcome"] == "done").await;
    let detail = site.detail().await;
    assert_eq!((&detail["tools"][0]["status"], site.asked()), (&json!(200), vec!["cancel 440017".to_owned()]));
    assert!(!site.said("is cancelled"), "nobody was there to hear it");
    site.desk.app.stop().await;
}

/// The tool whose call by the model was decided on, in the order of the caller's turns.
fn called(detail: &Value) -> Vec<&str> {
    let turns = detail["turns"].as_array().into_iter().flatten();
    turns.filter_map(|turn| turn["decision"]["inputs"]["called"].as_str()).collect()
}

async fn keys(call: &mut CallPlayer, keys: &str) {
    for key in keys.chars() {
        call.dtmf(Digit::new(key).expect("a key")).await.expect("pressed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_the_model_asks_for_is_run_with_what_the_caller_said_and_a_word_meanwhile() {
    // A number that the caller never said.
    let model = PlayedModel::asking("order_status", json!({ "order_number": "999999" })).await;
    let site = Site::open_beside(&model).await;
    let mut call = site.dial().await;
    site.say(&mut call, 1_000.0, "What is your order number").await;
    let offered = model.offered();
    let function = &offered[0]["tools"][0]["function"];
    assert_eq!((&function["name"], &function["parameters"]["required"]), (&json!("order_status"), &Value::Null));
    keys(&mut call, "440019").await;
    until("it is asked", async || !site.asked().is_empty()).await;
    until("a word meanwhile", async || {
        site.said("One moment, please") && said(&site.detail().await, "assistant", "One moment")
    })
    .await;
    site.shop.lets_go.add_permits(1);
    site.hears(&mut call, "has not left us yet").await;
    call.hangup().await;
    let detail = site.desk.ended_call(&site.desk.only_call().await).await;
    assert_eq!((site.asked(), called(&detail)), (vec!["status 440019".to_owned()], vec!["order_status"]), "{detail}");
    assert_eq!(detail["tools"][0]["outcome"], "done", "{detail}");
    site.desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_model_wants_changed_is_agreed_to_first_and_its_end_is_on_record() {
    let model = PlayedModel::asking("cancel_order", json!({ "order_number": "440017" })).await;
    let site = Site::open_beside(&model).await;
    let mut call = site.dial().await;
    // Said, so it is read back.
    site.say(&mut call, 1_150.0, "zero one seven").await;
    site.say(&mut call, 600.0, "Shall I cancel order").await;
    assert_eq!(site.asked(), [""; 0], "nothing is changed before the caller agreed");
    call.play("yes", &tone(600.0, Millis(1_200))).await.expect("played");
    until("it is sent", async || !site.asked().is_empty()).await;
    call.hangup().await;
    site.desk.ended_call(&site.desk.only_call().await).await;
    site.shop.lets_go.add_permits(1);
    until("its end is on record", async || site.detail().await["tools"][0]["outcome"] == "done").await;
    let detail = site.detail().await;
    assert_eq!((site.asked(), called(&detail)), (vec!["cancel 440017".to_owned()], vec!["cancel_order"]), "{detail}");
    site.desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_tool_that_the_caller_speaks_over_is_dropped() {
    let model = PlayedModel::holding("order_status", json!({})).await;
    let site = Site::open_beside(&model).await;
    let mut call = site.dial().await;
    call.play("words", &tone(1_000.0, Millis(1_200))).await.expect("played");
    until("the model is asked", async || !model.offered().is_empty()).await;
    call.play("over it", &tone(1_300.0, Millis(1_200))).await.expect("played");
    until("a person is asked for", async || {
        site.detail().await["handoffs"].as_array().is_some_and(|handoffs| !handoffs.is_empty())
    })
    .await;
    until("nobody reads what the model says", async || model.broken_off() > 0).await;
    model.lets_go();
    call.hangup().await;
    let detail = site.desk.ended_call(&site.desk.only_call().await).await;
    assert_eq!((site.asked(), called(&detail), &detail["tools"]), (vec![], vec![], &json!([])), "{detail}");
    site.desk.app.stop().await;
}
