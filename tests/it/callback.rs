//! A callback from end to end, through each provider that can make calls: booked by key with the number read back, kept in line,
//! taken by an agent, rung through the provider's API, answered or not, and over exactly once.

use serde_json::json;
use warmline::cli::call::player::CallPlayer;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::calling::{Api, dial};
use crate::support::front_desk::{FrontDesk, PATIENCE, greeted, said, they_hear_each_other, until};

const BOOKED_IN: &str = "CA00000000000000000000000000000001";

pub fn key(digit: char) -> Digit {
    Digit::new(digit).expect("a key")
}

/// A caller wants a person, and then to be called back: the number is read back and confirmed.
async fn booked(desk: &FrontDesk, provider: &str) -> String {
    let mut call = CallPlayer::connect(&dial(desk, provider, BOOKED_IN)).await.expect("connects");
    greeted(&call).await;
    call.dtmf(key('0')).await.expect("pressed");
    let id = desk.only_call().await;
    until("the caller waits", async || desk.call(&id).await["handoffs"][0]["outcome"] == "open").await;
    call.dtmf(key('2')).await.expect("pressed");
    until("the number is read back", async || said(&desk.call(&id).await, "assistant", "at 1 5 0, 0 5 5, 5 0 0, 0 6."))
        .await;
    call.dtmf(key('1')).await.expect("pressed");
    call.wait_end(PATIENCE).await.expect("goodbye");
    until("it is on record", async || desk.call(&id).await["call"]["outcome"] == "callback_booked").await;
    id
}

async fn available(desk: &FrontDesk) -> Agent {
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    agent
}

/// The agent takes the callback.
async fn taken(agent: &mut Agent) {
    let offer = agent.expect("offer").await;
    assert_eq!(offer["reason"], "callback", "{offer}");
    assert!(!offer.to_string().contains("5550006"), "nobody needs the number: {offer}");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
}

async fn open_messages(desk: &FrontDesk) -> usize {
    desk.get("messages").await.as_array().map_or(0, Vec::len)
}

/// Who booked a callback is rung when an agent is free, and joined.
async fn rung_and_joined(provider: &'static str) {
    let api = Api::open(provider).await;
    let desk = FrontDesk::open_with_account(provider, &api.account(), "").await;
    booked(&desk, provider).await;
    assert_eq!(open_messages(&desk).await, 1, "agents see it meanwhile");
    let mut agent = available(&desk).await;
    taken(&mut agent).await;

    let name = api.key(0).await;
    let token = api.answered(&desk, &name).await.expect("they are joined");
    let mut call = CallPlayer::connect(&api.dial(&desk, token)).await.expect("connects");
    let connected = agent.expect("connected").await;
    let id = connected["call_id"].as_str().expect("an id").to_owned();
    they_hear_each_other(&mut call, &mut agent).await;
    call.hangup().await;
    let detail = desk.ended_call(&id).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    assert!(said(&detail, "assistant", "You asked us to call you back."), "{detail}");
    let handoffs = detail["handoffs"].as_array().expect("handoffs");
    assert_eq!(
        (handoffs.len(), &handoffs[0]["reason"], &handoffs[0]["outcome"]),
        (1, &json!("callback"), &json!("bridged"))
    );
    until("it is off the list", async || open_messages(&desk).await == 0).await;
    let before = api.count();
    // The provider asks once more: there is nobody to be called any more.
    assert!(api.answered(&desk, &name).await.is_none());
    // Nor is anybody rung; all that is said to a provider that takes commands is to hang up.
    assert!(api.count() - before <= 1, "rung once");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_twilio() {
    rung_and_joined("twilio").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_signalwire() {
    rung_and_joined("signalwire").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_telnyx() {
    rung_and_joined("telnyx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_plivo() {
    rung_and_joined("plivo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_vonage() {
    rung_and_joined("vonage").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_bandwidth() {
    rung_and_joined("bandwidth").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_jambonz() {
    rung_and_joined("jambonz").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_by_asterisk() {
    rung_and_joined("asterisk").await;
}

/// A caller whose own provider makes no calls for us is rung by the one that is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_called_through_exotel_is_called_back_through_twilio() {
    let api = Api::open("twilio").await;
    let desk = FrontDesk::open_with_account("twilio", &api.account(), "[outbound]\nprovider = \"twilio\"\n").await;
    booked(&desk, "exotel").await;
    let mut agent = available(&desk).await;
    taken(&mut agent).await;
    let token = api.answered(&desk, &api.key(0).await).await.expect("they are joined");
    let mut call = CallPlayer::connect(&api.dial(&desk, token)).await.expect("connects");
    agent.expect("connected").await;
    they_hear_each_other(&mut call, &mut agent).await;
    call.hangup().await;
    until("it is off the list", async || open_messages(&desk).await == 0).await;
    desk.app.stop().await;
}

/// Who does not answer, or whose machine does, lets the agent go and stays on the list.
async fn not_reached(provider: &'static str, by_machine: bool) {
    let api = Api::open(provider).await;
    let more = "[handoff]\ncallback_attempts = 1\nwrap_up_s = 60\n";
    let desk = FrontDesk::open_with_account(provider, &api.account(), more).await;
    booked(&desk, provider).await;
    let mut agent = available(&desk).await;
    taken(&mut agent).await;
    let name = api.key(0).await;
    if by_machine {
        api.machine(&desk, &name).await;
    } else {
        api.unanswered(&desk, &name).await;
    }
    assert_eq!(agent.expect("call_ended").await["reason"], "not_reached");
    assert!(api.answered(&desk, &name).await.is_none(), "too late");
    assert_eq!(open_messages(&desk).await, 1, "an agent may still try");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_twilio_lets_the_agent_go_and_stays_on_the_list() {
    not_reached("twilio", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_answers_signalwire_is_nobody() {
    not_reached("signalwire", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_answers_telnyx_is_nobody() {
    not_reached("telnyx", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_plivo_lets_the_agent_go() {
    not_reached("plivo", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_answers_vonage_is_nobody() {
    not_reached("vonage", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_answers_bandwidth_is_nobody() {
    not_reached("bandwidth", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_jambonz_lets_the_agent_go() {
    not_reached("jambonz", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_asterisk_lets_the_agent_go() {
    not_reached("asterisk", false).await;
}
