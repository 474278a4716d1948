//! An agent at a telephone, from end to end: the offer rings it through the provider's API, 1 takes the caller, and both hear
//! each other through our own bridge; whoever does not answer has missed the offer.

use serde_json::json;
use warmline::audio::units::Millis;
use warmline::cli::call::player::CallPlayer;
use warmline::telephony::protocol::Digit;

use crate::callback::key;
use crate::support::calling::{Api, dial};
use crate::support::front_desk::{FrontDesk, PATIENCE, greeted, until};
use crate::support::tones::{best_share, tone};

const TELEPHONES: &str = "[handoff]\ntelephones = { admin = \"+15005550006\" }\nwrap_up_s = 1\nreoffer_after_s = 1\n";
const CALLER: &str = "CA00000000000000000000000000000007";

async fn at_the_telephone(provider: &str, api: &Api) -> FrontDesk {
    let mut desk = FrontDesk::open_with_account(provider, &api.account(), TELEPHONES).await;
    desk.post("telephone/on", &json!(null)).await;
    until("the agent is there", async || desk.get("live").await["agents"][0]["state"] == "available").await;
    let telephone = desk.get("telephone").await;
    assert_eq!((&telephone["is_on"], &telephone["number"]), (&json!(true), &json!("…06")));
    desk
}

/// A caller who wants a person.
async fn calling(desk: &FrontDesk, provider: &str) -> CallPlayer {
    let mut call = CallPlayer::connect(&dial(desk, provider, CALLER)).await.expect("connects");
    greeted(&call).await;
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    call
}

async fn takes_a_caller(provider: &'static str) {
    let api = Api::open(provider).await;
    let desk = at_the_telephone(provider, &api).await;
    let mut caller = calling(&desk, provider).await;
    let name = api.key(0).await;
    let token = api.answered(&desk, &name).await.expect("they are joined");
    let mut agent = CallPlayer::connect(&api.dial(&desk, token)).await.expect("connects");
    agent.wait_reply_start(PATIENCE).await.expect("what it is about");
    agent.dtmf(key('1')).await.expect("pressed");
    until("they are joined", async || desk.get("live").await["calls"][0]["stage"] == "agent").await;
    let (from_caller, from_agent) = (agent.captured_audio().reply.len(), caller.captured_audio().reply.len());
    until("each hears the other", async || {
        agent.begin("tone", &tone(440.0, Millis(800))).await.expect("played");
        caller.begin("tone", &tone(1_000.0, Millis(800))).await.expect("played");
        agent.wait(std::time::Duration::from_millis(900)).await.expect("goes on");
        caller.wait(std::time::Duration::from_millis(900)).await.expect("goes on");
        best_share(&agent.captured_audio().reply[from_caller..], 1_000.0) > 0.8
            && best_share(&caller.captured_audio().reply[from_agent..], 440.0) > 0.8
    })
    .await;
    agent.hangup().await;
    caller.wait_end(PATIENCE).await.expect("goodbye");
    // The only one: the agent's own line is no call.
    let detail = desk.ended_call(&desk.only_call().await).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    until("available again", async || desk.get("live").await["agents"][0]["state"] == "available").await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_takes_a_caller_at_the_telephone() {
    takes_a_caller("twilio").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whom_telnyx_calls_takes_a_caller() {
    takes_a_caller("telnyx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whom_vonage_calls_takes_a_caller() {
    takes_a_caller("vonage").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_at_the_agents_telephone_is_a_miss() {
    let api = Api::open("plivo").await;
    let mut desk = at_the_telephone("plivo", &api).await;
    let caller = calling(&desk, "plivo").await;
    let name = api.key(0).await;
    api.machine(&desk, &name).await;
    until("it is missed", async || desk.get("live").await["agents"][0]["state"] == "missed").await;
    desk.post("telephone/on", &json!(null)).await;
    // Back, and asked again, since nobody else is there.
    api.key(1).await;
    desk.post("telephone/off", &json!(null)).await;
    until("signed out", async || {
        desk.get("live").await["agents"]
            .as_array()
            .is_none_or(|agents| agents.iter().all(|agent| agent["state"] == "offline"))
    })
    .await;
    until("the telephone is off", async || desk.get("telephone").await["is_on"] == false).await;
    caller.hangup().await;
    desk.app.stop().await;
}
