//! Calls in another language than the configuration's, through the whole server, with ears of tones that tell a language.

use std::sync::Arc;

use serde_json::{Value, json};
use warmline::app::OwnEngines;
use warmline::audio::units::{Millis, Probability};
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::dialog::language::Language;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::transcript;
use warmline::engine::stt::{Detected, SpeechToText, SttError, Transcript, Utterance};
use warmline::engine::vad::energy::EnergyVad;
use warmline::telemetry::Secret;

use crate::support::agent::Agent;
use crate::support::front_desk::{ENTRY, FrontDesk, Mouth, PATIENCE, QUESTION_HZ, SURE, greeted, said, until};
use crate::support::house::secret_of;
use crate::support::tones::{best_share, tone};

const REQUEST: &str = "Ich möchte bitte mit einem Mitarbeiter sprechen.";
/// Of the sentence that follows.
const GERMAN: &str = "Ich hole einen Menschen für Sie";

/// Hears a request in one tone, in German where that may be.
struct Ears;

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let is_request = best_share(&utterance.pcm, QUESTION_HZ) > 0.5;
        let heard = transcript(if is_request { REQUEST } else { "" }, SURE, utterance.span());
        let told = utterance.spoken.candidates.contains(&Language::GERMAN) && is_request;
        let detected = Detected { language: Language::GERMAN, probability: Probability::clamped(0.98), sure: true };
        Ok(Transcript { language: told.then_some(detected), ..heard })
    }

    fn name(&self) -> &str {
        "tones"
    }
}

async fn available(desk: &FrontDesk) -> Agent {
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    agent
}

async fn caller(desk: &FrontDesk) -> CallPlayer {
    let auth_token = Secret::new(secret_of("twilio").to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(desk.base.as_str(), "twilio") };
    CallPlayer::connect(&dial).await.expect("connects")
}

/// The offer of a German caller.
async fn offered(agent: &mut Agent) -> Value {
    let offer = agent.expect("offer").await;
    assert_eq!((&offer["language"], &offer["reason"]), (&"de".into(), &"caller_asked".into()), "{offer}");
    offer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_german_caller_is_offered_as_one_and_told_so_in_german() {
    let engines = OwnEngines { vad: Arc::new(EnergyVad), stt: Arc::new(Ears), tts: Arc::new(Mouth) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let desk = FrontDesk::open_with(folder, ENTRY, engines, "[languages.de]\n[recording]\nenabled = false\n").await;
    let mut agent = available(&desk).await;
    let mut call = caller(&desk).await;
    greeted(&call).await;
    call.play("asks for a person", &tone(QUESTION_HZ, Millis(1_200))).await.expect("played");
    offered(&mut agent).await;
    let id = desk.only_call().await;
    until("they are told in German", async || said(&desk.call(&id).await, "assistant", GERMAN)).await;
    call.hangup().await;
    desk.app.stop().await;
}
