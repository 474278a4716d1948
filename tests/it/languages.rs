//! Calls in another language than the configuration's, through the whole server: ears of tones that tell a language, and the
//! real ones, which hear espeak-ng's German voice and what they are told in German.

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

#[cfg(feature = "whisper")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "real models in real time, and espeak-ng: scripts/test"]
async fn a_german_voice_is_understood_answered_in_german_and_gets_a_person() {
    use std::time::Duration;

    use warmline::app::App;
    use warmline::audio::wav;
    use warmline::config::Config;
    use warmline::engine::stt::Spoken;
    use warmline::engine::stt::whisper::Whisper;
    use warmline::models::{self, ModelKind};

    use crate::support::front_desk::{configuration, knowledge};
    use crate::support::house::sections;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let spoken = folder.path().join("request.wav");
    let file = spoken.to_str().expect("a plain path");
    let spoke = std::process::Command::new("espeak-ng").args(["-v", "de", "-s", "140", "-w", file, REQUEST]).status();
    assert!(spoke.expect("espeak-ng is installed").success());
    let request = wav::read(&spoken).expect("readable");
    let more = format!(
        "{}\n[dialog]\nknowledge_dir = {:?}\n[stt]\ndeadline_ms = 40000\n[languages.de]\n[languages.fr]\n\
         [recording]\nenabled = false\n[llm]\nengine = \"off\"\n",
        sections(),
        knowledge(&folder, ENTRY)
    );
    let app = App::start(configuration(&folder, &more)).await.expect("starts: scripts/test fetches the models");
    let desk = FrontDesk::enter(app, folder).await;
    let mut agent = available(&desk).await;
    let mut call = caller(&desk).await;
    call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("a greeting");
    let asked = call.begin("asks for a person", &request).await.expect("played");
    let offer = offered(&mut agent).await;
    assert!(offer["transcript"].to_string().to_lowercase().contains("mitarbeiter"), "{offer}");
    call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("an answer");

    let heard = call.captured_audio().reply.get(asked.end..).unwrap_or_default().to_vec();
    let model = models::locate(&Config::default().models, "whisper-base", ModelKind::Stt).expect("fetched");
    let hearing = move || {
        let ears = Whisper::load(&model, "de", 1).expect("loads");
        let spoken = Spoken::from(Language::GERMAN);
        let utterance = Utterance { pcm: heard.into(), at: Millis::ZERO, hints: Vec::new().into(), spoken };
        ears.transcribe(&utterance, 1, &CancelFlag::new()).expect("transcribes").text.to_lowercase()
    };
    let heard = tokio::task::spawn_blocking(hearing).await.expect("hears");
    println!("the caller hears: {heard}");
    assert!(heard.contains("menschen") || heard.contains("apparat"), "{heard}");
    call.hangup().await;
    desk.app.stop().await;
}
