//! A callback from end to end: booked by key with the number read back, kept in line, taken by an agent, rung through the
//! provider's API, answered or not, and over exactly once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::front_desk::{FrontDesk, PATIENCE, SENTENCE, said, until};
use crate::support::house::{secret_of, twilio};
use crate::support::tones::{best_share, tone};

const BOOKED_IN: &str = "CA00000000000000000000000000000001";
pub const CALLED: &str = "CA00000000000000000000000000000002";

type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// Twilio's API: makes every call it is asked for.
pub struct Api {
    pub base: String,
    /// Paths and forms.
    requests: Requests,
    _server: JoinSet<()>,
}

impl Api {
    pub async fn open() -> Self {
        async fn take(State(requests): State<Requests>, request: Request) -> axum::Json<Value> {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 100_000).await.expect("short");
            let form = String::from_utf8(body.to_vec()).expect("text");
            requests.lock().expect("not poisoned").push((path, form));
            axum::Json(json!({ "sid": CALLED }))
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Requests::default();
        let app = Router::new().fallback(take).with_state(requests.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { base, requests, _server: server }
    }

    /// The key under which the `nth` call was asked for.
    pub async fn key(&self, nth: usize) -> String {
        let form = async || {
            let requests = self.requests.lock().expect("not poisoned");
            let mut dials = requests.iter().filter(|(path, _)| path.ends_with("/Accounts/AC1/Calls.json"));
            dials.nth(nth).map(|(_, form)| form.clone())
        };
        until("a call is asked for", async || form().await.is_some()).await;
        let form = form().await.expect("just seen");
        assert!(form.contains("To=%2B15005550006") && form.contains("From=%2B15005550100"), "{form}");
        let url = form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "Url").expect("an address").1;
        url.split_once("answered?call=").expect("a key").1.to_owned()
    }
}

pub fn dial(desk: &FrontDesk, call: &str) -> Dial {
    let auth_token = Secret::new(secret_of("twilio").to_owned());
    Dial { auth_token, call_id: Some(call.to_owned()), patience: PATIENCE, ..Dial::new(desk.base.as_str(), "twilio") }
}

pub fn key(digit: char) -> Digit {
    Digit::new(digit).expect("a key")
}

async fn open(api: &Api, more: &str) -> FrontDesk {
    FrontDesk::open_calling_out(&api.base, more).await
}

/// A caller wants a person, and then to be called back: the number is read back and confirmed.
async fn booked(desk: &FrontDesk) -> String {
    let mut call = CallPlayer::connect(&dial(desk, BOOKED_IN)).await.expect("connects");
    call.wait_reply_start(PATIENCE).await.expect("a greeting");
    call.wait(3 * SENTENCE.duration()).await.expect("what must be heard is heard");
    call.dtmf(key('0')).await.expect("pressed");
    let calls = desk.get("calls").await;
    let id = calls["calls"][0]["id"].as_str().expect("an id").to_owned();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_booked_a_callback_is_rung_when_an_agent_is_free_and_joined() {
    let api = Api::open().await;
    let desk = open(&api, "").await;
    booked(&desk).await;
    assert_eq!(open_messages(&desk).await, 1, "agents see it meanwhile");
    let mut agent = available(&desk).await;
    taken(&mut agent).await;

    let name = api.key(0).await;
    let form = [("CallSid", CALLED), ("From", "+15005550100"), ("To", "+15005550006"), ("AnsweredBy", "human")];
    let answer = twilio(&desk.http, &desk.base, &format!("answered?call={name}"), &form).await;
    let token = answer.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
    let token = Secret::new(token.unwrap_or_else(|| panic!("no stream in {answer}")).0.to_owned());
    let mut call = CallPlayer::connect(&Dial { token: Some(token), ..dial(&desk, CALLED) }).await.expect("connects");
    let connected = agent.expect("connected").await;
    let id = connected["call_id"].as_str().expect("an id").to_owned();
    let before = call.captured_audio().reply.len();
    until("the caller hears the agent", async || {
        agent.speak(&tone(440.0, Millis(500))).await;
        best_share(&call.captured_audio().reply[before..], 440.0) > 0.8
    })
    .await;
    agent.heard.clear();
    call.begin("tone", &tone(1_000.0, Millis(1_500))).await.expect("played");
    until("the agent hears the caller", async || {
        agent.speak(&[0; 8_000]).await;
        best_share(&agent.heard, 1_000.0) > 0.8
    })
    .await;
    call.hangup().await;
    until("the record is complete", async || desk.call(&id).await["call"]["outcome"] == "spoke_with_agent").await;
    let detail = desk.call(&id).await;
    assert!(said(&detail, "assistant", "You asked us to call you back."), "{detail}");
    let handoffs = detail["handoffs"].as_array().expect("handoffs");
    assert_eq!(
        (handoffs.len(), &handoffs[0]["reason"], &handoffs[0]["outcome"]),
        (1, &json!("callback"), &json!("bridged"))
    );
    until("it is off the list", async || open_messages(&desk).await == 0).await;
    // Twilio asks once more: there is nobody to be called any more.
    let again = twilio(&desk.http, &desk.base, &format!("answered?call={name}"), &form).await;
    assert!(again.contains("<Hangup/>") && !again.contains("token"), "{again}");
    let dials = api.requests.lock().expect("not poisoned").len();
    assert_eq!(dials, 1, "rung once");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_lets_the_agent_go_and_stays_on_the_list() {
    let api = Api::open().await;
    let desk = open(&api, "[handoff]\ncallback_attempts = 1\nwrap_up_s = 60\n").await;
    booked(&desk).await;
    let mut agent = available(&desk).await;
    taken(&mut agent).await;
    let name = api.key(0).await;
    let form = [("CallSid", CALLED), ("CallStatus", "no-answer")];
    twilio(&desk.http, &desk.base, &format!("dialled?call={name}"), &form).await;
    assert_eq!(agent.expect("call_ended").await["reason"], "not_reached");
    let late = twilio(&desk.http, &desk.base, &format!("answered?call={name}"), &[("CallSid", CALLED)]).await;
    assert!(late.contains("<Hangup/>"), "{late}");
    assert_eq!(open_messages(&desk).await, 1, "an agent may still try");
    desk.app.stop().await;
}
