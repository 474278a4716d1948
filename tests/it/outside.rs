//! An agent gives the caller to somebody outside, from end to end through a played Twilio: signed webhooks, media sockets, its
//! API, and what it dials. The person there takes the call, declines it, or does not answer; then the caller is back in the
//! same call, and with the agent, who knows all that was said.

use serde_json::{Value, json};
use warmline::audio::units::Millis;
use warmline::cli::call::player::{CallPlayer, Dial};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;

use crate::support::agent::Agent;
use crate::support::calling::{Api, dial};
use crate::support::front_desk::{
    ANSWER_HZ, FrontDesk, PATIENCE, QUESTION, QUESTION_HZ, greeted, said, they_hear_each_other, until,
};
use crate::support::house::twilio;
use crate::support::tones::{best_share, tone};

const HEAD_OFFICE: &str = "[handoff]\noutside = { \"Head office\" = \"+15005550124\" }\n\
     wrap_up_s = 1\nreoffer_after_s = 1\noffer_timeout_s = 120\n";
const CALL: &str = "CA00000000000000000000000000000021";
/// The leg of whoever is called.
const LEG: &str = "CA00000000000000000000000000000022";

struct Scene {
    desk: FrontDesk,
    agent: Agent,
    /// The call, as we name it.
    id: String,
    _api: Api,
}

impl Scene {
    /// A caller who has asked something is with the agent, who gives them to the head office.
    async fn sent_outside() -> Self {
        let api = Api::open("twilio").await;
        let desk = FrontDesk::open_with_account("twilio", &api.account(), HEAD_OFFICE).await;
        let mut agent = desk.agent().await;
        assert_eq!(agent.expect("hello").await["outside"], json!(["Head office"]));
        agent.say(json!({ "type": "set_state", "state": "available" })).await;
        let mut call = CallPlayer::connect(&dial(&desk, "twilio", CALL)).await.expect("connects");
        greeted(&call).await;
        let asked = call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
        until("the answer is heard", async || best_share(&call.captured_audio().reply[asked.begin..], ANSWER_HZ) > 0.8)
            .await;
        call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
        let offer = agent.expect("offer").await;
        agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
        let id = agent.expect("connected").await["call_id"].as_str().expect("an id").to_owned();
        they_hear_each_other(&mut call, &mut agent).await;

        agent.say(json!({ "type": "transfer", "outside": "Head office" })).await;
        assert_eq!(agent.expect("call_ended").await["reason"], "transferred");
        api.moved_by_twilio(&desk, CALL).await;
        // Twilio does as it is told: the stream ends, and it asks what comes next.
        call.hangup().await;
        let scene = Self { desk, agent, id, _api: api };
        until("the caller has heard what is done", async || {
            said(&scene.desk.call(&scene.id).await, "assistant", "calling one of our people")
        })
        .await;
        let document = scene.ask("after", &[("CallSid", CALL), ("CallStatus", "in-progress")]).await;
        assert!(document.contains(">+15005550124</Number>"), "{document}");
        assert!(document.contains(&format!("/voice/twilio/whisper?call={CALL}")), "{document}");
        scene
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> String {
        twilio(&self.desk.http, &self.desk.base, path, form).await
    }

    /// Whoever is called hears what it is about, and presses this.
    async fn answered(&self, key: &str) -> String {
        let whisper = self.ask(&format!("whisper?call={CALL}"), &[("CallSid", LEG)]).await;
        assert!(whisper.contains(QUESTION) && whisper.contains("Press 1 to take the call."), "{whisper}");
        self.ask(&format!("accept?call={CALL}"), &[("CallSid", LEG), ("Digits", key)]).await
    }

    /// Twilio has dialled, and asks what becomes of the caller.
    async fn dialled(&self, status: &str) -> String {
        self.ask("after", &[("CallSid", CALL), ("DialCallStatus", status), ("CallStatus", "in-progress")]).await
    }

    /// Until the record says this of the telephone outside, and that an agent has spoken with the caller.
    async fn recorded(&self, result: &str, reason: &Value, outcome: &str) {
        until("the record is complete", async || {
            let detail = self.desk.call(&self.id).await;
            let mut offers = detail["offers"].as_array().into_iter().flatten();
            let telephone = offers.find(|offer| offer["agent_id"] == "telephone");
            telephone.is_some_and(|offer| offer["result"] == result && offer["reason"] == *reason)
                && detail["call"]["outcome"] == outcome
                && detail["handoffs"][0]["outcome"] == "bridged"
                && detail["handoffs"][1] == Value::Null
        })
        .await;
    }

    /// The caller comes back on another stream of the same call, and the agent has them again, with all that was said.
    async fn back_with_the_agent(mut self, document: &str, result: &str, reason: &str) {
        let token = document.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        let token = Secret::new(token.unwrap_or_else(|| panic!("no stream in {document}")).0.to_owned());
        let again = Dial { token: Some(token), ..dial(&self.desk, "twilio", CALL) };
        let mut call = CallPlayer::connect(&again).await.expect("connects");
        let offer = self.agent.expect("offer").await;
        assert_eq!(offer["call_id"], self.id.as_str());
        assert!(offer["transcript"].to_string().contains(QUESTION), "with what was said: {offer}");
        assert!(offer["summary"].to_string().contains(QUESTION), "and what it is about: {offer}");
        until("the caller hears that nobody was reached", async || {
            said(&self.desk.call(&self.id).await, "assistant", "I could not reach anybody there.")
        })
        .await;
        self.agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
        assert_eq!(self.agent.expect("connected").await["call_id"], self.id.as_str());
        they_hear_each_other(&mut call, &mut self.agent).await;
        self.agent.say(json!({ "type": "end" })).await;
        call.wait_end(PATIENCE).await.expect("the server ends it");
        self.recorded(result, &json!(reason), "spoke_with_agent").await;
        self.desk.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_outside_takes_the_caller_an_agent_gave_away() {
    let scene = Scene::sent_outside().await;
    let joined = scene.answered("1").await;
    assert!(joined.ends_with("<Response/>"), "nothing more to do: Twilio joins caller and person: {joined}");
    let over = scene.dialled("completed").await;
    assert!(over.ends_with("<Response><Hangup/></Response>"), "they have spoken: {over}");
    scene.recorded("accepted", &Value::Null, "transferred").await;
    scene.desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_somebody_outside_declines_is_back_with_the_agent() {
    let scene = Scene::sent_outside().await;
    let refused = scene.answered("2").await;
    assert!(refused.ends_with("<Response><Hangup/></Response>"), "their leg ends: {refused}");
    let document = scene.dialled("completed").await;
    scene.back_with_the_agent(&document, "rejected", "declined").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_nobody_outside_answers_is_back_with_the_agent() {
    let scene = Scene::sent_outside().await;
    let document = scene.dialled("no-answer").await;
    scene.back_with_the_agent(&document, "timeout", "no_answer").await;
}
