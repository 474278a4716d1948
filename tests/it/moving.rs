//! Callers who are moved by their provider's API, from end to end: an API that takes its time, and a way back out of a dialplan.

use serde_json::json;
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::calling::{Api, dial};
use crate::support::front_desk::{FrontDesk, PATIENCE, SENTENCE, said, until};
use crate::support::house::twilio;
use crate::support::tones::{best_share, tone};
use crate::telephone::dialplan;

const TELEPHONE: &str = "[handoff]\ntelephone = \"+15005550123\"\n";

/// A caller who wants a person while no agent is there, and our name for the call.
async fn wants_a_person(desk: &FrontDesk, dial: &Dial) -> (CallPlayer, String) {
    let mut call = CallPlayer::connect(dial).await.expect("connects");
    call.wait_reply_start(PATIENCE).await.expect("a greeting");
    call.wait(3 * SENTENCE.duration()).await.expect("what must be heard is heard");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    until("the call is on record", async || desk.get("calls").await["calls"][0]["id"].is_string()).await;
    let calls = desk.get("calls").await;
    (call, calls["calls"][0]["id"].as_str().expect("an id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_the_api_is_slow_to_take_is_told_so() {
    const CALL: &str = "CA00000000000000000000000000000031";
    let api = Api::open_silent("twilio").await;
    let desk = FrontDesk::open_with_account("twilio", &api.account(), TELEPHONE).await;
    let (call, id) = wants_a_person(&desk, &dial(&desk, "twilio", CALL)).await;
    api.request(&format!("/Calls/{CALL}.json"), 0).await;
    until("the caller is told", async || said(&desk.call(&id).await, "assistant", "One moment")).await;
    api.answer();
    call.hangup().await;
    let document = twilio(&desk.http, &desk.base, "after", &[("CallSid", CALL), ("CallStatus", "in-progress")]).await;
    assert!(document.contains(">+15005550123</Number>"), "and goes on to the person: {document}");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_ari_sends_into_the_dialplan_comes_back_out_of_it_and_reaches_an_agent() {
    const UNIQUEID: &str = "1767607200.9";
    let api = Api::open("asterisk").await;
    let desk = FrontDesk::open_with_account("asterisk", &api.account(), TELEPHONE).await;
    let dial = dial(&desk, "asterisk", UNIQUEID);
    let (call, id) = wants_a_person(&desk, &dial).await;
    let went = format!("/ari/channels/{UNIQUEID}/continue?context=warmline-after&extension=s&priority=1");
    api.request(&went, 0).await;
    // The caller's channel leaves the application, which ends the stream's.
    call.hangup().await;
    let next = dialplan(&desk, "after", Some(&[("call", UNIQUEID)])).await;
    assert_eq!(String::from_utf8(next).expect("text"), "dial +15005550123");
    // It rings there, and nobody answers.
    let over = [("call", UNIQUEID), ("status", "NOANSWER")];
    let token = String::from_utf8(dialplan(&desk, "dialled", Some(&over)).await).expect("text");
    assert_ne!(token, "hangup", "the caller is still there");

    // The same caller on a new stream of the same call.
    let again = Dial { token: Some(Secret::new(token)), ..dial };
    let mut call = CallPlayer::connect(&again).await.expect("connects");
    until("the caller hears that nobody was reached", async || {
        said(&desk.call(&id).await, "assistant", "I could not reach anybody there.")
    })
    .await;
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    let offer = agent.expect("offer").await;
    assert_eq!(offer["call_id"], id.as_str());
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    agent.expect("connected").await;
    let before = call.captured_audio().reply.len();
    until("the caller hears the agent", async || {
        agent.speak(&tone(440.0, Millis(500))).await;
        best_share(&call.captured_audio().reply[before..], 440.0) > 0.8
    })
    .await;
    agent.say(json!({ "type": "end" })).await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    until("the record is complete", async || {
        let detail = desk.call(&id).await;
        let mut offers = detail["offers"].as_array().into_iter().flatten();
        let telephone = offers.find(|offer| offer["agent_id"] == "telephone");
        telephone.is_some_and(|offer| offer["result"] == "timeout" && offer["reason"] == "no_answer")
            && detail["call"]["outcome"] == "spoke_with_agent"
    })
    .await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whose_telephone_does_not_follow_aris_redirect_stays_with_us_and_reaches_an_agent() {
    const UNIQUEID: &str = "1767607200.11";
    let api = Api::open("asterisk").await;
    let account = format!("{}\nari_move = \"redirect\"\nredirect_patience_s = 2", api.account());
    let desk = FrontDesk::open_with_account("asterisk", &account, TELEPHONE).await;
    let (mut call, id) = wants_a_person(&desk, &dial(&desk, "asterisk", UNIQUEID)).await;
    api.request(&format!("/ari/channels/{UNIQUEID}/redirect?endpoint=PJSIP%2F%2B15005550123"), 0).await;
    // ARI said yes; their telephone says no to Asterisk, and Asterisk says nothing to anybody: the channel is still there.
    api.request(&format!("/ari/channels/{UNIQUEID}"), 0).await;
    until("the caller hears that nobody was reached", async || {
        said(&desk.call(&id).await, "assistant", "I could not reach anybody there.")
    })
    .await;
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    let offer = agent.expect("offer").await;
    assert_eq!(offer["call_id"], id.as_str(), "with the context of before");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    agent.expect("connected").await;
    let before = call.captured_audio().reply.len();
    until("the caller hears the agent on the stream they had", async || {
        agent.speak(&tone(440.0, Millis(500))).await;
        best_share(&call.captured_audio().reply[before..], 440.0) > 0.8
    })
    .await;
    agent.say(json!({ "type": "end" })).await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    until("the record is complete", async || {
        let detail = desk.call(&id).await;
        let mut offers = detail["offers"].as_array().into_iter().flatten();
        let telephone = offers.find(|offer| offer["agent_id"] == "telephone");
        telephone.is_some_and(|offer| offer["reason"] == "failed") && detail["call"]["outcome"] == "spoke_with_agent"
    })
    .await;
    desk.app.stop().await;
}
