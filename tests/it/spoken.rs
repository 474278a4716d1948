//! A whole call through each provider's dialect with the real ears and the real voice: a person's recorded words are
//! recognised by Whisper, the answer is heard by it too, spoken over with more recorded words, and the caller is put
//! through, heard both ways and hung up. `conversations.rs` does the same with engines made of tones, everywhere.
//!
//! Needs the fetched models and Debian's `pocketsphinx-testdata`; `scripts/test` has both.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use warmline::app::App;
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial, Event};
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::whisper::Whisper;
use warmline::engine::stt::{SpeechToText, Utterance};
use warmline::models::{self, ModelKind};
use warmline::telemetry::Secret;
use warmline::telephony::providers::PROVIDERS;

use crate::support::agent::Agent;
use crate::support::front_desk::{
    FrontDesk, PATIENCE, configuration, knowledge, they_hear_each_other, until, wants_a_person,
};
use crate::support::house::{secret_of, sections};
use crate::support::recordings::go_forward;
use crate::support::tones::voiced_ms;

/// Calls at once: what two cores recognise and speak without anybody waiting for long.
const AT_ONCE: usize = 2;
/// What must have been heard of the answer before it is spoken over: its first half.
const HEARD_MS: u64 = 3_400;
/// An entry that only this company has. Its answer is long enough to be spoken over.
const ENTRY: &str = r#"+++
title = "Robot"
keywords = ["forward", "meters", "metres"]
approved = "The robot needs forty five seconds to go ten meters. After that it waits for you at the gate of the garden, and somebody brings you a cup of tea and the newspaper of the day."
also_asked = ["go forward ten meters", "go forward ten metres", "go forward 10 meters"]
+++
The robot needs forty five seconds to go ten meters. After that it waits for you at the gate of the garden, and somebody
brings you a cup of tea and the newspaper of the day.
"#;

/// What all rows share: one server, one person at the desk, one pair of ears for what the caller hears.
struct Town {
    desk: FrontDesk,
    agent: Mutex<Agent>,
    ears: Arc<Whisper>,
    places: Semaphore,
}

impl Town {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sections = format!(
            "{}\n[dialog]\nknowledge_dir = {:?}\n\
             greeting = \"You are speaking with an automated assistant. How can I help you?\"\n\
             [stt]\ndeadline_ms = 40000\n",
            sections(),
            knowledge(&folder, ENTRY)
        );
        let app = App::start(configuration(&folder, &sections)).await.expect("starts: scripts/test fetches the models");
        let desk = FrontDesk::enter(app, folder).await;
        let mut agent = desk.agent().await;
        agent.expect("hello").await;
        agent.say(json!({ "type": "set_state", "state": "available" })).await;
        let model = models::locate(&Config::default().models, "whisper-base", ModelKind::Stt).expect("fetched");
        let ears = Arc::new(Whisper::load(&model, "en", 1).expect("loads"));
        Self { desk, agent: Mutex::new(agent), ears, places: Semaphore::new(AT_ONCE) }
    }

    /// What Whisper hears in `pcm`.
    async fn transcribed(&self, pcm: Vec<i16>) -> String {
        let ears = self.ears.clone();
        let hearing = move || {
            let utterance = Utterance {
                pcm: pcm.into(),
                at: Millis::ZERO,
                hints: Vec::new().into(),
                spoken: warmline::engine::stt::Spoken::default(),
            };
            ears.transcribe(&utterance, 1, &CancelFlag::new()).expect("transcribes").text.to_lowercase()
        };
        tokio::task::spawn_blocking(hearing).await.expect("hears")
    }
}

/// What the caller heard from there on, if it is that far yet.
fn heard_since(call: &CallPlayer, at: usize) -> Vec<i16> {
    call.captured_audio().reply.get(at..).unwrap_or_default().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "real models in real time: scripts/test"]
async fn every_row_of_the_table_carries_a_conversation_of_real_speech() {
    let began = Instant::now();
    let town = std::rc::Rc::new(Town::open().await);
    println!("ready after {:.1} s", began.elapsed().as_secs_f32());
    let mut failed = Vec::new();
    let converse_with_all = async {
        let mut calls = JoinSet::new();
        let names: HashMap<_, _> = PROVIDERS
            .iter()
            .map(|spec| {
                let town = town.clone();
                let call = async move {
                    let _place = town.places.acquire().await.expect("never closed");
                    converse(&town, spec.name).await;
                };
                (calls.spawn_local(call).id(), spec.name)
            })
            .collect();
        while let Some(call) = calls.join_next_with_id().await {
            failed.extend(call.err().map(|error| format!("{}: {error}", names[&error.id()])));
        }
    };
    LocalSet::new().run_until(converse_with_all).await;
    assert!(failed.is_empty(), "{failed:#?}");
    println!("{} rows after {:.1} s", PROVIDERS.len(), began.elapsed().as_secs_f32());
    let town = std::rc::Rc::into_inner(town).expect("all tasks are over");
    town.desk.app.stop().await;
}

async fn converse(town: &Town, provider: &'static str) {
    let began = Instant::now();
    let auth_token = Secret::new(secret_of(provider).to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(town.desk.base.as_str(), provider) };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("a greeting");

    // A person's words are understood, the answer reaches the caller, and spoken over what is queued at the provider is thrown
    // away. Where the machine stalled, holes are in the answer, or it is over before that: it is asked for again.
    let words = go_forward();
    let (mut answer, mut is_understood, mut is_cleared) = (String::new(), false, false);
    for _ in 0..8 {
        let asked = call.begin("go forward", &words).await.expect("played");
        until("the answer is heard", async || voiced_ms(&heard_since(&call, asked.end)) >= HEARD_MS).await;
        let (since, heard) = (call.events(0).len(), heard_since(&call, asked.end));
        call.begin("over it", &words).await.expect("played");
        is_cleared |= call.wait_event(since, Duration::from_secs(8), |event| *event == Event::Cleared).await.is_ok();
        answer = town.transcribed(heard).await;
        is_understood |= answer.contains("45") || answer.contains("forty");
        if is_cleared && is_understood {
            break;
        }
        call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("an answer");
    }
    assert!(is_cleared, "playback is cleared");
    assert!(is_understood, "the answer was heard as: {answer}");

    // A key leads to a person.
    let mut agent = town.agent.lock().await;
    wants_a_person(&town.desk, &mut call, provider).await;
    let offer = agent.expect("offer").await;
    assert_eq!((&offer["reason"], &offer["provider"]), (&"caller_pressed_zero".into(), &provider.into()), "{offer}");
    assert!(offer["transcript"].to_string().to_lowercase().contains("forward"), "{offer}");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let connected = agent.expect("connected").await;
    let call_id = connected["call_id"].as_str().expect("an id").to_owned();

    they_hear_each_other(&mut call, &mut agent).await;

    // Hung up: the record is complete, with the person's words as Whisper heard them.
    let (events, _) = call.hangup().await;
    let odd: Vec<_> = events.iter().filter(|timed| matches!(timed.event, Event::Misunderstood { .. })).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(agent.expect("call_ended").await["reason"], "caller_hung_up");
    let note = json!({ "type": "wrap_up", "call_id": call_id, "note": "robot asked for", "disposition": "resolved" });
    agent.say(note).await;
    drop(agent);
    until("the note is on record", async || town.desk.call(&call_id).await["wrap_ups"][0]["note"] == "robot asked for")
        .await;
    let detail = town.desk.ended_call(&call_id).await;
    assert_eq!(
        (&detail["call"]["provider"], &detail["call"]["outcome"]),
        (&provider.into(), &"spoke_with_agent".into())
    );
    assert_eq!(
        (&detail["offers"][0]["result"], &detail["handoffs"][0]["outcome"]),
        (&"accepted".into(), &"bridged".into())
    );
    assert_eq!(detail["triggers"][0]["signals"]["digit"], "0");
    let turns = detail["turns"].as_array().expect("turns");
    let heard = turns.iter().filter_map(|turn| turn["text"].as_str().filter(|_| turn["who"] == "caller"));
    assert!(heard.into_iter().any(|text| text.to_lowercase().contains("forward")), "{turns:?}");
    let answered = |turn: &&serde_json::Value| turn["entries"][0]["entry"] == "entry";
    assert!(turns.iter().any(|turn| answered(&turn)), "{turns:?}");
    let recording = town.desk.folder.path().join("recordings").join(format!("{call_id}.wav"));
    until("the recording is finished", async || recording.exists()).await;
    println!("{provider}: {:.1} s, the answer was heard as: {answer}", began.elapsed().as_secs_f32());
}
