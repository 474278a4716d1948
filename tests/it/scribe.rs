//! The assistant as scribe through a whole call, with the real ears and recorded people on both sides: caller and agent are put
//! into words as they speak, the knowledge base's suggestions come with their source, and wrap-up is filled in.
//!
//! Needs the fetched models and the recordings of `scripts/fetch-recordings`.

use serde_json::{Value, json};
use warmline::app::App;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::front_desk::{FrontDesk, PATIENCE, configuration, knowledge, until};
use crate::support::recordings::{go_forward, thanks};

const ENTRY: &str = r#"+++
title = "Robot"
keywords = ["forward", "meters", "metres"]
approved = "The robot needs forty five seconds to go ten meters."
also_asked = ["go forward ten meters", "go forward ten metres", "go forward 10 meters"]
+++
The robot needs forty five seconds to go ten meters.
"#;

/// What the recorded people say, as far as it must be understood: the caller's words, the agent's words.
const CALLER_SAYS: &str = "forward";
const AGENT_SAYS: &str = "thank you";

/// The real server with the real ears.
async fn open() -> FrontDesk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sections = format!(
        "[twilio]\nauth_token = \"hush\"\n[dialog]\nknowledge_dir = {:?}\n[stt]\ndeadline_ms = 40000\n",
        knowledge(&folder, ENTRY)
    );
    let app = App::start(configuration(&folder, &sections)).await.expect("starts: scripts/test fetches the models");
    FrontDesk::enter(app, folder).await
}

/// The next line of this speaker that holds these words. Before it comes, the agent's microphone is open and quiet.
async fn line_of(agent: &mut Agent, who: &str, words: &str) -> Value {
    loop {
        agent.speak(&[0; 3_200]).await;
        while let Some(message) = agent.came_meanwhile("transcript") {
            let line = &message["line"];
            let text = line["text"].as_str().unwrap_or_default().to_lowercase();
            if line["who"] == who && line["is_final"] == true && text.contains(words) {
                return line.clone();
            }
        }
    }
}

/// Says it, and waits for the line. Where a stall of the machine has torn the words it is said again, as people do.
async fn understood(agent: &mut Agent, who: &str, words: &str, mut say: impl AsyncFnMut(&mut Agent)) -> Option<Value> {
    for _ in 0..3 {
        say(agent).await;
        if let Ok(line) = tokio::time::timeout(PATIENCE, line_of(agent, who, words)).await {
            return Some(line);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real models in real time: scripts/test"]
async fn both_sides_are_written_down_through_a_whole_call_of_recorded_people() {
    let desk = open().await;
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    let auth_token = Secret::new("hush".to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(desk.base.as_str(), "twilio") };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    call.wait_reply_start(PATIENCE).await.expect("a greeting");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let offer = agent.expect("offer").await;
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let id = agent.expect("connected").await["call_id"].as_str().expect("an id").to_owned();

    // Twice, as in a conversation: the second time everything is there once more, in the order it was spoken.
    let mut spoken: Vec<u64> = Vec::new();
    for round in 0..2 {
        let line = understood(&mut agent, "caller", CALLER_SAYS, async |_| {
            call.begin("go forward", &go_forward()).await.expect("played");
        })
        .await
        .unwrap_or_else(|| panic!("round {round}: the caller's words"));
        spoken.extend(line["seq"].as_u64());
        assert!(line["confidence"].as_f64() > Some(0.2), "with how sure it was: {line}");
        let mut suggested = None;
        until("suggestions come", async || {
            agent.speak(&[0; 3_200]).await;
            suggested = agent.came_meanwhile("suggestions");
            suggested.is_some()
        })
        .await;
        let suggested = suggested.expect("just came");
        let hit = &suggested["hits"][0];
        assert!(hit["entry"].as_str().is_some_and(|entry| entry.starts_with("entry")), "with its source: {suggested}");
        assert!(hit["approved"].as_str().is_some_and(|text| text.contains("forty five")), "{suggested}");

        let line = understood(&mut agent, "agent", AGENT_SAYS, async |agent| agent.speak(&thanks()).await)
            .await
            .unwrap_or_else(|| panic!("round {round}: the agent's words"));
        spoken.extend(line["seq"].as_u64());
    }
    assert!(spoken.len() == 4 && spoken.is_sorted(), "in the order it was spoken: {spoken:?}");

    agent.say(json!({ "type": "end" })).await;
    let ended = agent.expect_any("call_ended").await;
    let draft = &ended["draft"];
    assert_eq!((&draft["disposition"], &draft["by"]), (&json!("resolved"), &json!("template")), "{ended}");
    let summary = draft["summary"].as_str().expect("text").to_lowercase();
    assert!(summary.contains(CALLER_SAYS) && summary.contains(AGENT_SAYS), "both sides: {summary}");
    let disposition = draft["disposition"].clone();
    agent.say(json!({ "type": "wrap_up", "call_id": id, "note": summary, "disposition": disposition })).await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    until("the note is on record", async || desk.call(&id).await["wrap_ups"][0]["disposition"] == "resolved").await;
    let detail = desk.ended_call(&id).await;
    for (who, words) in [("caller", CALLER_SAYS), ("agent", AGENT_SAYS)] {
        let turns = detail["turns"].as_array().into_iter().flatten();
        let own = turns.filter(|turn| {
            turn["who"] == who && turn["text"].as_str().is_some_and(|text| text.to_lowercase().contains(words))
        });
        assert!(own.count() >= 2, "{who}: {detail}");
    }
    desk.app.stop().await;
}
