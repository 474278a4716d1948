//! A whole call through each provider's dialect: the real server on a real socket, with engines made of tones. Greeted,
//! spoken over with a question, which is heard and answered, put through by a key, heard both ways, hung up, recorded.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use warmline::audio::dtmf::DtmfDetector;
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial, Event, TimedEvent};
use warmline::telemetry::Secret;
use warmline::telephony::providers::{KeysOut, PROVIDERS, find};

use crate::support::front_desk::{
    ANSWER, ANSWER_HZ, FrontDesk, PATIENCE, QUESTION, QUESTION_HZ, VOICE_HZ, greeted, said, they_hear_each_other,
    until, wants_a_person,
};
use crate::support::house::secret_of;
use crate::support::tones::{best_share, tone};

/// Keys that came as messages.
fn keys_told(events: &[TimedEvent]) -> String {
    let told = |timed: &TimedEvent| match &timed.event {
        Event::KeysHeard { keys } => Some(keys.clone()),
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

/// Keys whose tones are in `pcm`.
fn keys_heard(pcm: &[i16]) -> String {
    let mut ears = DtmfDetector::default();
    pcm.chunks(320).filter_map(|frame| ears.push(frame)).collect()
}

/// Conversations at once: they wait for real time more than for cores, but not for nothing.
const AT_ONCE: usize = 7;

/// Each with a server of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_table_carries_a_whole_conversation() {
    let mut failed = Vec::new();
    let converse_with_all = async {
        let (mut calls, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        let mut begin = |name: &'static str| {
            let places = places.clone();
            calls.spawn_local(async move {
                let _place = places.acquire().await.expect("open");
                converse(name).await;
            })
        };
        let names: HashMap<_, _> = PROVIDERS.iter().map(|spec| (begin(spec.name).id(), spec.name)).collect();
        while let Some(call) = calls.join_next_with_id().await {
            failed.extend(call.err().map(|error| format!("{}: {error}", names[&error.id()])));
        }
    };
    LocalSet::new().run_until(converse_with_all).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

async fn converse(provider: &'static str) {
    let site = FrontDesk::open("").await;
    let mut agent = site.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;

    // Greeted by voice.
    let auth_token = Secret::new(secret_of(provider).to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(site.base.as_str(), provider) };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    greeted(&call).await;
    until("it is our voice", async || best_share(&call.captured_audio().reply, VOICE_HZ) > 0.8).await;

    // Spoken over: what is queued at the provider is thrown away. What was said is heard, and answered.
    let asked = call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
    call.wait_event(0, PATIENCE, |event| *event == Event::Cleared).await.expect("playback is cleared");
    until("the answer is heard", async || best_share(&call.captured_audio().reply[asked.begin..], ANSWER_HZ) > 0.8)
        .await;
    let call_id = site.only_call().await;
    until("the answer is on record, heard to its end", async || {
        let detail = site.call(&call_id).await;
        said(&detail, "caller", QUESTION) && said(&detail, "assistant", ANSWER)
    })
    .await;

    // A key leads to a person.
    wants_a_person(&site, &mut call, provider).await;
    let offer = agent.expect("offer").await;
    assert_eq!((&offer["reason"], &offer["provider"]), (&"caller_pressed_zero".into(), &provider.into()), "{offer}");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let connected = agent.expect("connected").await;
    assert_eq!(connected["call_id"], call_id);

    they_hear_each_other(&mut call, &mut agent).await;
    // The agent presses keys: by the dialect's own message, or they are in what the caller's line plays. Once more where a
    // stall of the machine has torn one in two.
    let row = find(provider).expect("a row");
    until("the keys reach the caller", async || {
        let (since, before) = (call.events(0).len(), call.captured_audio().reply.len());
        agent.say(json!({ "type": "dtmf", "digit": "59#" })).await;
        for _ in 0..30 {
            agent.speak(&[0; 3_200]).await;
            let keys = match row.keys_out {
                KeysOut::Message => keys_told(&call.events(since)),
                KeysOut::Sound => keys_heard(&call.captured_audio().reply[before..]),
            };
            if keys == "59#" {
                return true;
            }
        }
        false
    })
    .await;

    // Hung up: the record is complete.
    let (events, _) = call.hangup().await;
    let odd: Vec<_> = events.iter().filter(|timed| matches!(timed.event, Event::Misunderstood { .. })).collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert_eq!(agent.expect("call_ended").await["reason"], "caller_hung_up");
    let note = json!({ "type": "wrap_up", "call_id": call_id, "note": "heard well", "disposition": "resolved" });
    agent.say(note).await;
    until("the note is on record", async || site.call(&call_id).await["wrap_ups"][0]["note"] == "heard well").await;
    let detail = site.ended_call(&call_id).await;
    assert_eq!(
        (&detail["call"]["provider"], &detail["call"]["outcome"]),
        (&provider.into(), &"spoke_with_agent".into())
    );
    assert_eq!(
        (&detail["offers"][0]["result"], &detail["handoffs"][0]["outcome"]),
        (&"accepted".into(), &"bridged".into())
    );
    assert_eq!(detail["triggers"][0]["signals"]["digit"], "0");
    let recording = site.folder.path().join("recordings").join(format!("{call_id}.wav"));
    until("the recording is finished", async || recording.exists()).await;
    site.app.stop().await;
}
