//! Caller and agent speak with each other, and the assistant writes along: both sides on the agent's screen and on record,
//! suggestions with their source, and a draft for wrap-up.

use serde_json::{Value, json};
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::front_desk::{ANSWER, FrontDesk, PATIENCE, PROMISE, PROMISE_HZ, QUESTION, QUESTION_HZ, until};
use crate::support::tones::tone;

/// A caller who is joined with the agent, and the id of the call.
async fn joined(desk: &FrontDesk) -> (CallPlayer, Agent, String) {
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = CallPlayer::connect(&Dial::new(&desk.base, "browser")).await.expect("connects");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let offer = agent.expect("offer").await;
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let connected = agent.expect("connected").await;
    let id = connected["call_id"].as_str().expect("an id").to_owned();
    (call, agent, id)
}

/// Both say what they have to say, one after the other.
async fn converse(call: &mut CallPlayer, agent: &mut Agent) {
    call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
    agent.speak(&vec![0; 16_000 * 4]).await;
    agent.speak(&tone(PROMISE_HZ, Millis(1_500))).await;
    agent.speak(&vec![0; 16_000 * 2]).await;
}

fn lines_of<'a>(detail: &'a Value, who: &str) -> Vec<&'a Value> {
    detail["turns"].as_array().into_iter().flatten().filter(|turn| turn["who"] == who).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_are_put_into_words_and_wrap_up_is_filled_in() {
    let desk = FrontDesk::open("").await;
    let (mut call, mut agent, id) = joined(&desk).await;
    call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
    agent.speak(&vec![0; 16_000]).await;
    let heard = async |agent: &mut Agent, who: &str| loop {
        let message = agent.expect_any("transcript").await;
        if message["line"]["who"] == who {
            return message["line"].clone();
        }
    };
    let line = heard(&mut agent, "caller").await;
    assert_eq!((&line["text"], &line["is_final"]), (&json!(QUESTION), &json!(true)));
    let suggested = agent.expect_any("suggestions").await;
    assert_eq!((&suggested["question"], &suggested["hits"][0]["approved"]), (&json!(QUESTION), &json!(ANSWER)));
    assert!(suggested["hits"][0]["entry"].as_str().is_some_and(|entry| entry.starts_with("entry")), "{suggested}");
    agent.speak(&tone(PROMISE_HZ, Millis(1_500))).await;
    agent.speak(&vec![0; 16_000]).await;
    let line = heard(&mut agent, "agent").await;
    assert_eq!(line["text"], PROMISE);
    agent.say(json!({ "type": "end" })).await;
    let ended = agent.expect("call_ended").await;
    let draft = &ended["draft"];
    assert_eq!((&draft["disposition"], &draft["by"]), (&json!("follow_up"), &json!("template")));
    let summary = draft["summary"].as_str().expect("text");
    assert!(summary.contains(QUESTION) && summary.contains(PROMISE), "{summary}");
    call.wait_end(PATIENCE).await.expect("the server ends it");
    let detail = desk.ended_call(&id).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    let own = lines_of(&detail, "agent");
    assert_eq!((own.len(), &own[0]["text"]), (1, &json!(PROMISE)));
    assert_eq!(own[0]["agent_id"], detail["handoffs"][0]["agent_id"]);
    let caller = lines_of(&detail, "caller");
    assert!(caller[0]["seq"].as_u64() < own[0]["seq"].as_u64(), "in the order they spoke");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_down_where_it_is_switched_off() {
    let desk = FrontDesk::open("[handoff]\ntranscribe = false\n").await;
    let (mut call, mut agent, id) = joined(&desk).await;
    converse(&mut call, &mut agent).await;
    call.hangup().await;
    agent.expect("call_ended").await;
    let detail = desk.ended_call(&id).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    assert_eq!((lines_of(&detail, "caller").len(), lines_of(&detail, "agent").len()), (0, 0), "{detail}");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_are_on_record_though_the_caller_has_hung_up() {
    let desk = FrontDesk::open("").await;
    let (call, mut agent, id) = joined(&desk).await;
    agent.speak(&vec![0; 16_000]).await;
    agent.speak(&tone(PROMISE_HZ, Millis(1_500))).await;
    call.hangup().await;
    let ended = agent.expect("call_ended").await;
    assert_eq!(ended["reason"], "caller_hung_up");
    until("the promise is on record", async || {
        lines_of(&desk.call(&id).await, "agent").first().is_some_and(|turn| turn["text"] == PROMISE)
    })
    .await;
    desk.app.stop().await;
}
