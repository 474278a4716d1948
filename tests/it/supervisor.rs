//! A supervisor at real sockets: hears a call of the assistant and takes it over; whispers to an agent, is heard by all, ends
//! the call; and nobody else may.

use serde_json::json;
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::store::UserRole;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::front_desk::until;
use crate::support::office::{
    AGENT_HZ, BOSS_HZ, CALLER_HZ, Office, PATIENCE, goes_on_speaking, just_heard, loud, talk_until,
};
use crate::support::tones::tone;

/// Supervisor and agent speak until what they hear meanwhile satisfies.
async fn both_speak(boss: &mut Agent, dana: &mut Agent, what: &str, holds: impl Fn(&[i16], &[i16]) -> bool) {
    let [boss_says, dana_says] = [BOSS_HZ, AGENT_HZ].map(|hertz| tone(hertz, Millis(600)));
    until(what, async || {
        (boss.heard, dana.heard) = (Vec::new(), Vec::new());
        tokio::join!(boss.speak(&boss_says), dana.speak(&dana_says));
        holds(&boss.heard, &dana.heard)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_assistant_is_heard_and_taken_over() {
    let site = Office::open("").await;
    let boss_token = site.token("boss", UserRole::Supervisor).await;
    let mut boss = site.sit_down(&boss_token).await;
    let mut other = site.sit_down(&site.token("dana", UserRole::Agent).await).await;
    let mut call = CallPlayer::connect(&Dial::new(&site.base, "browser")).await.expect("connects");
    let call_id = site.call_at(&boss_token, "assistant").await["call_id"].clone();

    for message in ["supervise", "take_over", "force_end"] {
        other.say(json!({ "type": message, "call_id": call_id, "mode": "listen" })).await;
        assert_eq!(other.expect("error").await["code"], "forbidden", "{message}");
    }
    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "whisper" })).await;
    assert_eq!(boss.expect("error").await["code"], "no_agent");
    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "listen" })).await;
    assert_eq!(boss.expect("supervising").await["mode"], "listen");
    goes_on_speaking(&mut call).await;
    talk_until(&mut boss, BOSS_HZ, "the caller is heard", |heard| loud(heard, CALLER_HZ)).await;
    assert!(!loud(&just_heard(&call), BOSS_HZ), "who listens is not heard");

    boss.say(json!({ "type": "take_over", "call_id": call_id })).await;
    boss.expect("supervising_ended").await;
    assert_eq!(boss.expect("connected").await["call_id"], call_id);
    talk_until(&mut boss, BOSS_HZ, "caller and boss hear each other", |heard| {
        loud(heard, CALLER_HZ) && loud(&just_heard(&call), BOSS_HZ)
    })
    .await;
    boss.say(json!({ "type": "end" })).await;
    assert_eq!(boss.expect("call_ended").await["reason"], "agent_ended");
    call.wait_end(PATIENCE).await.expect("the server ends it");
    // Written behind what the supervisor sees; newest first.
    until("what was done is on the list", async || {
        let audit = site.get(&boss_token, "audit").await;
        let actions: Vec<&str> =
            audit.as_array().expect("a list").iter().filter_map(|entry| entry["action"].as_str()).collect();
        assert!(["stop", "take_over", "listen"].ends_with(&actions), "{actions:?}");
        actions.len() == 3
    })
    .await;
    site.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_whispered_to_all_are_spoken_to_and_the_call_is_ended() {
    let site = Office::open("").await;
    let boss_token = site.token("boss", UserRole::Supervisor).await;
    let mut boss = site.sit_down(&boss_token).await;
    let mut dana = site.sit_down(&site.token("dana", UserRole::Agent).await).await;
    dana.say(json!({ "type": "set_state", "state": "available" })).await;
    let mut call = CallPlayer::connect(&Dial::new(&site.base, "browser")).await.expect("connects");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let offer = dana.expect("offer").await;
    dana.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    let call_id = dana.expect("connected").await["call_id"].clone();
    goes_on_speaking(&mut call).await;
    talk_until(&mut dana, AGENT_HZ, "dana hears the caller", |heard| loud(heard, CALLER_HZ)).await;

    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "whisper" })).await;
    boss.expect("supervising").await;
    let told = dana.expect("supervised").await;
    assert_eq!((&told["mode"], &told["by"]), (&json!("whisper"), &json!("boss")));
    both_speak(&mut boss, &mut dana, "dana hears the boss, who hears both", |boss, dana| {
        loud(dana, BOSS_HZ) && loud(boss, AGENT_HZ) && loud(boss, CALLER_HZ)
    })
    .await;
    assert!(!loud(&call.captured_audio().reply, BOSS_HZ), "the caller heard nothing of it");

    boss.say(json!({ "type": "supervise", "call_id": call_id, "mode": "barge" })).await;
    assert_eq!(dana.expect("supervised").await["mode"], "barge");
    both_speak(&mut boss, &mut dana, "the caller hears the boss", |_, _| loud(&just_heard(&call), BOSS_HZ)).await;

    boss.say(json!({ "type": "force_end", "call_id": call_id })).await;
    assert_eq!(dana.expect("call_ended").await["reason"], "supervisor_ended");
    boss.expect("supervising_ended").await;
    call.wait_end(PATIENCE).await.expect("the server ends it");
    site.app.stop().await;
}
