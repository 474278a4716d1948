//! What happens at an agent's desk without a hand: an offer answers itself, after a beep and the assistant's announcement; and a
//! microphone or a socket that is dead is noticed, and the caller goes to somebody else. At real sockets.

use serde_json::json;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::store::UserRole;
use warmline::telephony::protocol::Digit;

use crate::support::front_desk::until;
use crate::support::office::{
    AGENT_HZ, BOSS_HZ, CALLER_HZ, Office, PATIENCE, goes_on_speaking, just_heard, loud, talk_until,
};

async fn calling(office: &Office) -> CallPlayer {
    let mut call = CallPlayer::connect(&Dial::new(&office.base, "browser")).await.expect("connects");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_answers_itself_after_a_beep_where_both_agree() {
    let office = Office::open("[[routing.queues]]\nname = \"main\"\nauto_answer_s = 6\n").await;
    let boss = office.token("boss", UserRole::Supervisor).await;
    let token = office.token("dana", UserRole::Agent).await;
    let mut dana = office.sit_down(&token).await;
    dana.say(json!({ "type": "auto_answer", "on": true })).await;
    assert_eq!(dana.expect("auto_answer").await["on"], true);
    dana.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = calling(&office).await;
    let offer = dana.expect("offer").await;
    assert!(offer["answers_in_ms"].as_u64().is_some_and(|ms| ms <= 6_000), "{offer}");
    dana.say(json!({ "type": "ping", "n": 1 })).await;
    assert_eq!(dana.expect("offer_ended").await["result"], "accepted");
    let call_id = dana.expect("connected").await["call_id"].clone();
    // The beep has the pitch of this caller, who has not said anything yet.
    until("the beep is heard", async || {
        dana.speak(&[0; 3_200]).await;
        loud(&dana.heard, CALLER_HZ)
    })
    .await;
    goes_on_speaking(&mut call).await;
    talk_until(&mut dana, AGENT_HZ, "they hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), AGENT_HZ)
    })
    .await;
    dana.say(json!({ "type": "end" })).await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    let detail = office.ended_call(&boss, &call_id).await;
    let offer = &detail["offers"][0];
    assert_eq!((&offer["result"], &offer["reason"]), (&json!("accepted"), &json!("auto_answer")), "{detail}");
    let turns = detail["turns"].as_array().into_iter().flatten();
    let announced = |turn: &serde_json::Value| turn["text"].as_str().is_some_and(|text| text.contains("dana"));
    assert!(turns.into_iter().any(announced), "the caller was told who comes: {detail}");
    let mut ledger = json!(null);
    until("the time with the caller is on the ledger", async || {
        ledger = office.get(&token, "ledger?since=2020-01-01T00:00:00Z").await;
        ledger["entries"].as_array().is_some_and(|entries| entries.len() >= 3)
    })
    .await;
    let entries = ledger["entries"].as_array().expect("a list").iter();
    let paid: Vec<_> = entries.map(|entry| (entry["state"].clone(), entry["class"].clone())).collect();
    let pay = |state: &str, class: &str| (json!(state), json!(class));
    let wanted = [pay("available", "standby"), pay("reserved", "standby"), pay("on_contact", "work")];
    assert_eq!(paid[..3], wanted, "paid as any other call");
    office.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_goes_from_a_dead_microphone_to_somebody_who_is_heard() {
    let office = Office::open("").await;
    let mut dana = office.sit_down(&office.token("dana", UserRole::Agent).await).await;
    dana.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = calling(&office).await;
    let offer = dana.expect("offer").await;
    dana.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    dana.expect("connected").await;
    let mut eli = office.sit_down(&office.token("eli", UserRole::Agent).await).await;
    eli.say(json!({ "type": "set_state", "state": "available" })).await;
    // Not one frame comes from dana.
    assert_eq!(dana.expect("call_ended").await["reason"], "no_sound");
    while dana.expect("state").await["state"] != "error" {}
    let again = eli.expect("offer").await;
    assert_eq!(again["call_id"], offer["call_id"], "the same caller, at once");
    eli.say(json!({ "type": "accept", "offer_id": again["offer_id"] })).await;
    eli.expect("connected").await;
    goes_on_speaking(&mut call).await;
    talk_until(&mut eli, BOSS_HZ, "they hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), BOSS_HZ)
    })
    .await;
    dana.say(json!({ "type": "acknowledge_missed" })).await;
    while dana.expect("state").await["state"] != "available" {}
    call.hangup().await;
    office.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whose_agent_stays_away_goes_to_the_next_one() {
    let office = Office::open("[handoff]\nresume_s = 2\n").await;
    let mut dana = office.sit_down(&office.token("dana", UserRole::Agent).await).await;
    dana.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = calling(&office).await;
    let offer = dana.expect("offer").await;
    dana.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    dana.expect("connected").await;
    goes_on_speaking(&mut call).await;
    talk_until(&mut dana, AGENT_HZ, "they hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), AGENT_HZ)
    })
    .await;
    let mut eli = office.sit_down(&office.token("eli", UserRole::Agent).await).await;
    eli.say(json!({ "type": "set_state", "state": "available" })).await;
    drop(dana);
    let again = eli.expect("offer").await;
    assert_eq!(again["call_id"], offer["call_id"]);
    eli.say(json!({ "type": "accept", "offer_id": again["offer_id"] })).await;
    eli.expect("connected").await;
    talk_until(&mut eli, BOSS_HZ, "they hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), BOSS_HZ)
    })
    .await;
    call.hangup().await;
    office.app.stop().await;
}
