//! The ladder of language models with the real worker: the server at `llm.url` is down, `llm.embedded_fallback` answers; the
//! worker is killed, a person does. Ears and voice are made of tones.
//!
//! What the model picks is not looked at: only that it was asked and answered, and what follows when nobody does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use warmline::app::{App, OwnEngines};
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::engine::llm::worker::find_program;
use warmline::engine::vad::energy::EnergyVad;
use warmline::telemetry::Secret;

use crate::support::front_desk::{
    ENTRY, Ears, FrontDesk, Mouth, PATIENCE, QUESTION_HZ, configuration, greeted, knowledge, until,
};
use crate::support::tones::tone;

/// Loading a model and reading a prompt beside other work takes its time.
const TRIES: usize = 20;

/// The worker as `scripts/test` names it, under a name that can be taken away.
fn borrowed_worker(folder: &Path) -> PathBuf {
    let program = std::env::var_os("WARMLINE_LLM__WORKER").map(PathBuf::from).unwrap_or_default();
    let program = find_program(&program).expect("scripts/test builds the worker");
    let borrowed = folder.join("worker");
    // A copy: of a link the process would show where it leads to.
    std::fs::copy(program, &borrowed).expect("copied");
    borrowed
}

/// Ends the workers that this process has started under this name.
fn kill(worker: &Path) -> usize {
    let own = std::process::id().to_string();
    let listed = Command::new("ps").args(["--ppid", &own, "-o", "pid=,args="]).output().expect("ps").stdout;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let ours = listed.lines().filter(|line| line.contains(&*worker.to_string_lossy()));
    let pids: Vec<&str> = ours.filter_map(|line| line.split_whitespace().next()).collect();
    for pid in &pids {
        assert!(Command::new("kill").args(["-KILL", pid]).status().expect("kill").success());
    }
    pids.len()
}

/// What was decided about the caller's words, in order.
fn decisions(detail: &Value) -> Vec<Value> {
    let turns = detail["turns"].as_array().into_iter().flatten();
    turns.map(|turn| turn["decision"].clone()).filter(Value::is_object).collect()
}

async fn ids(desk: &FrontDesk) -> Vec<String> {
    let calls = desk.get("calls").await;
    let calls = calls["calls"].as_array().into_iter().flatten();
    calls.filter_map(|call| call["id"].as_str().map(str::to_owned)).collect()
}

/// A caller who asks the question; what was decided about it.
async fn decided(desk: &FrontDesk) -> Value {
    let mut dial = Dial::new(&desk.base, "twilio");
    dial.auth_token = Secret::new("hush".to_owned());
    dial.patience = PATIENCE;
    let known = ids(desk).await;
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    greeted(&call).await;
    until("the call is on record", async || ids(desk).await.len() > known.len()).await;
    let id = ids(desk).await.into_iter().find(|id| !known.contains(id)).expect("a new one");
    call.play("question", &tone(QUESTION_HZ, Millis(1_200))).await.expect("played");
    until("it is decided", async || !decisions(&desk.call(&id).await).is_empty()).await;
    call.hangup().await;
    decisions(&desk.ended_call(&id).await).remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the real worker and a real model: scripts/test"]
async fn the_embedded_model_answers_for_a_server_that_is_down_and_a_person_for_the_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let worker = borrowed_worker(folder.path());
    // Nobody listens on the discard port. Nothing is spoken on search's word alone: the model is asked about every question.
    let sections = format!(
        "[llm]\nengine = \"openai\"\nurl = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\nfirst_token_ms = 60000\n\
         next_token_ms = 60000\nembedded_fallback = \"qwen2.5-coder-0.5b\"\nworker = {worker:?}\n\
         [twilio]\nauth_token = \"hush\"\n[recording]\nenabled = false\n[stt]\ndeadline_ms = 40000\n\
         [dialog]\nknowledge_dir = {:?}\nembedding = \"\"\nverbatim_score = 1.0\n",
        knowledge(&folder, ENTRY)
    );
    let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: Arc::new(Mouth) };
    let app = App::start_with(configuration(&folder, &sections), engines).await.expect("starts");
    let desk = FrontDesk::enter(app, folder).await;

    // The worker loads its model while the first callers get a person.
    let mut answered = Value::Null;
    for _ in 0..TRIES {
        answered = decided(&desk).await;
        if answered["inputs"]["failed"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert!(answered["inputs"]["failed"].is_null(), "{answered}");
    assert_eq!(answered["inputs"]["picks"].as_array().map(Vec::len), Some(1), "it was asked and answered: {answered}");

    std::fs::remove_file(&worker).expect("taken away");
    assert_eq!(kill(&worker), 1, "one worker ran");
    let refused = decided(&desk).await;
    assert_eq!(refused["inputs"]["failed"], "llm", "{refused}");
    assert_eq!(refused["outcome"]["person"], "engine_failed", "{refused}");
    desk.app.stop().await;
}
