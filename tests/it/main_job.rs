//! The main job, end to end, in real time with real models and recorded human speech: heard, answered, handed to a person.
//!
//! Needs the fetched models and Debian's `pocketsphinx-testdata` (a person reading short commands); `scripts/test` has both.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use warmline::app::App;
use warmline::audio::units::Millis;
use warmline::cli::call::event::Event;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::whisper::Whisper;
use warmline::engine::stt::{SpeechToText, Utterance};
use warmline::models::{self, ModelKind};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::front_desk::{FrontDesk, PATIENCE, configuration, knowledge, they_hear_each_other, until};
use crate::support::recordings::go_forward;
use crate::support::tones::{best_share, tone, voiced_ms};

/// An entry that only this company has: the fact can't come from anywhere else.
const ENTRY: &str = r#"+++
title = "Robot"
keywords = ["forward", "meters", "metres"]
approved = "The robot needs forty five seconds to go ten meters, and then it waits for you at the gate of the garden."
also_asked = ["go forward ten meters", "go forward ten metres", "go forward 10 meters"]
+++
The robot needs forty five seconds to go ten meters, and then it waits for you at the gate of the garden.
"#;

/// The real server with the real ears and voice.
async fn open() -> FrontDesk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sections = format!(
        "[twilio]\nauth_token = \"hush\"\n[dialog]\nknowledge_dir = {:?}\n[stt]\ndeadline_ms = 40000\n",
        knowledge(&folder, ENTRY)
    );
    let app = App::start(configuration(&folder, &sections)).await.expect("starts: scripts/test fetches the models");
    FrontDesk::enter(app, folder).await
}

/// Whether Whisper hears the fact of the entry in it.
fn holds_the_fact(ears: &Whisper, pcm: &[i16]) -> bool {
    let utterance = Utterance {
        pcm: pcm.into(),
        at: Millis::ZERO,
        hints: Vec::new().into(),
        spoken: warmline::engine::stt::Spoken::default(),
    };
    let heard = ears.transcribe(&utterance, 1, &CancelFlag::new()).expect("transcribes").text.to_lowercase();
    println!("the reply was heard as: {heard}");
    heard.contains("45") || heard.contains("forty")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real models in real time: scripts/test"]
async fn a_caller_is_heard_answered_and_handed_to_a_person() {
    let site = open().await;
    let mut agent = site.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;

    // A Twilio call at real-time pace: greeted, understood, answered with the fact of the entry.
    let mut dial = Dial::new(&site.base, "twilio");
    dial.auth_token = Secret::new("hush".to_owned());
    dial.patience = PATIENCE;
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("a greeting");
    let speech = go_forward();
    let before = call.captured_audio().reply.len();
    call.play("go forward", &speech).await.expect("played");
    let reply = call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("an answer");
    println!("response_ms {}", reply.response_ms);
    // A stall of the machine may be taken for its end: more of it comes.
    let model = models::locate(&Config::default().models, "whisper-base", ModelKind::Stt).expect("fetched");
    let ears = Whisper::load(&model, "en", 1).expect("loads");
    until("the fact is heard", async || holds_the_fact(&ears, &call.captured_audio().reply[before..])).await;

    // The caller speaks over the next answer: it stops, and the provider's buffer is cleared. More must have been heard than
    // that the answer takes a moment, after which there is nothing to clear. On a machine that stalls the answer may be over
    // before the caller's voice is noticed: it is tried again.
    let mut cleared = false;
    for _ in 0..8 {
        let again = call.begin("again", &speech).await.expect("played");
        until("an answer is heard", async || {
            voiced_ms(call.captured_audio().reply.get(again.end..).unwrap_or_default()) >= 2_500
        })
        .await;
        let since = call.events(0).len();
        call.begin("over it", &speech).await.expect("played");
        cleared = call.wait_event(since, PATIENCE / 6, |event| matches!(event, Event::Cleared)).await.is_ok();
        if cleared {
            break;
        }
        call.wait_reply_end(Duration::from_millis(900), PATIENCE).await.expect("an answer");
    }
    assert!(cleared, "playback is cleared");

    // `0` brings the offer, whatever the assistant is doing.
    let pressed = Instant::now();
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let offer = agent.expect("offer").await;
    println!("offer_ms {}", pressed.elapsed().as_millis());
    assert_eq!(offer["reason"], "caller_pressed_zero");
    assert!(offer["summary"].as_array().is_some_and(|lines| lines.len() == 2), "{offer}");
    assert!(offer["transcript"].to_string().to_lowercase().contains("forward"), "{offer}");

    // Accepted: introduced, joined, and each hears the other.
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let connected = agent.expect("connected").await;
    let call_id = connected["call_id"].as_str().expect("an id").to_owned();
    they_hear_each_other(&mut call, &mut agent).await;
    // For the recording, too.
    call.begin("tone", &tone(1_000.0, Millis(4_000))).await.expect("played");
    agent.speak(&tone(440.0, Millis(4_000))).await;

    // Hang-up: wrap-up for the agent, a complete record, a playable recording of both sides.
    call.hangup().await;
    assert_eq!(agent.expect("call_ended").await["reason"], "caller_hung_up");
    agent
        .say(json!({ "type": "wrap_up", "call_id": call_id, "note": "robot asked for", "disposition": "resolved" }))
        .await;
    until("the note is on record", async || site.call(&call_id).await["wrap_ups"][0]["note"] == "robot asked for")
        .await;
    let detail = site.ended_call(&call_id).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    assert_eq!(detail["offers"][0]["result"], "accepted");
    assert_eq!(detail["handoffs"][0]["outcome"], "bridged");
    assert_eq!(detail["triggers"][0]["signals"]["digit"], "0");
    let turns = detail["turns"].as_array().expect("turns");
    let heard = |turn: &&Value| {
        turn["who"] == "caller" && turn["text"].as_str().is_some_and(|t| t.to_lowercase().contains("forward"))
    };
    assert!(turns.iter().any(|turn| heard(&turn)), "{turns:?}");
    let answered =
        |turn: &&Value| turn["entries"][0]["entry"] == "entry" && turn["timings"]["response_ms"].as_u64() > Some(0);
    assert!(turns.iter().any(|turn| answered(&turn)), "{turns:?}");
    check_recording(&site, &call_id).await;
    site.app.stop().await;
}

async fn check_recording(site: &FrontDesk, call_id: &str) {
    // The recorder closes the file on a thread of its own.
    let name = site.folder.path().join("recordings").join(format!("{call_id}.wav"));
    until("the recording is finished", async || name.exists()).await;
    let bytes = site.response(&format!("calls/{call_id}/recording")).await.bytes().await.expect("a file");
    let wav = hound::WavReader::new(std::io::Cursor::new(bytes)).expect("a WAV");
    assert_eq!(wav.spec().channels, 2);
    let samples: Vec<i16> = wav.into_samples().map(|sample| sample.expect("a sample")).collect();
    let side = |offset: usize| -> Vec<i16> { samples.iter().skip(offset).step_by(2).copied().collect() };
    assert!(best_share(&side(0), 1_000.0) > 0.8, "the caller is on the left");
    assert!(best_share(&side(1), 440.0) > 0.8, "the agent is on the right");
}
