//! A telephone outside, from end to end: the caller is given to the provider, which calls a person. Nobody takes the call,
//! and the caller is back in the same call; or somebody does, and it is over for us.

use serde_json::{Value, json};
use warmline::audio::resample::resample_all;
use warmline::audio::units::{Millis, SampleRate};
use warmline::cli::call::player::{CallPlayer, Dial, Event};
use warmline::telemetry::Secret;
use warmline::telephony::protocol::Digit;
use warmline::telephony::providers::{PROVIDERS, ProviderSpec, TransferBy};

use crate::support::calling::{self, Api, CALLED};
use crate::support::front_desk::{
    ANSWER_HZ, FrontDesk, PATIENCE, QUESTION, QUESTION_HZ, VOICE_HZ, greeted, said, they_hear_each_other, until,
};
use crate::support::house::{secret_of, vonage_json};
use crate::support::tones::{best_share, tone};

const TELEPHONE: &str = "[handoff]\ntelephone = \"+15005550123\"\n";
const CALL: &str = "CA00000000000000000000000000000001";

/// Asks as Twilio does, signed.
async fn twilio(desk: &FrontDesk, path: &str, form: &[(&str, &str)]) -> String {
    crate::support::house::twilio(&desk.http, &desk.base, path, form).await
}

fn dial(desk: &FrontDesk) -> Dial {
    let auth_token = Secret::new(secret_of("twilio").to_owned());
    let call_id = Some(CALL.to_owned());
    Dial { auth_token, call_id, patience: PATIENCE, ..Dial::new(desk.base.as_str(), "twilio") }
}

/// A caller who has asked something and wants a person, given to the provider because no agent is there.
async fn given_away(desk: &FrontDesk) -> String {
    let mut call = CallPlayer::connect(&dial(desk)).await.expect("connects");
    greeted(&call).await;
    let asked = call.begin("question", &tone(QUESTION_HZ, Millis(1_500))).await.expect("played");
    until("the answer is heard", async || best_share(&call.captured_audio().reply[asked.begin..], ANSWER_HZ) > 0.8)
        .await;
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let ended = call.wait_end(PATIENCE).await.expect("our socket is closed");
    // Twilio has asked what comes next.
    let Event::Ended { reason, .. } = ended.event else { panic!("{ended:?}") };
    assert_eq!(reason, "put through to +15005550123");
    desk.only_call().await
}

/// Twilio calls the person, who hears what it is about.
async fn answered(desk: &FrontDesk) {
    let whisper = twilio(desk, &format!("whisper?call={CALL}"), &[("CallSid", "CA9")]).await;
    assert!(whisper.contains(QUESTION) && whisper.contains("Press 1 to take the call."), "{whisper}");
    assert!(whisper.contains(&format!("action=\"{}/voice/twilio/accept?call={CALL}\"", desk.base)), "{whisper}");
}

/// Through this provider's dialect: whoever wants a person is given away, and the stream is over.
async fn gives_away(desk: &FrontDesk, spec: &ProviderSpec) {
    let auth_token = Secret::new(secret_of(spec.name).to_owned());
    let dial = Dial { auth_token, patience: PATIENCE, ..Dial::new(desk.base.as_str(), spec.name) };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    // The key counts from the first word on; what must be heard is heard before the caller goes.
    call.wait_reply_start(PATIENCE).await.expect("a greeting");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    call.wait_end(PATIENCE).await.unwrap_or_else(|error| panic!("{}: {error}", spec.name));
    let odd: Vec<_> =
        call.events(0).into_iter().filter(|timed| matches!(timed.event, Event::Misunderstood { .. })).collect();
    assert!(odd.is_empty(), "{}: {odd:?}", spec.name);
    // By a message the caller is gone for good; else the call waits for what the provider says.
    let expected = if spec.transfer == TransferBy::Message { "transferred" } else { "live" };
    until(spec.name, async || {
        let calls = desk.get("calls").await;
        let mut calls = calls["calls"].as_array().expect("calls").iter();
        let Some(call) = calls.find(|call| call["provider"] == spec.name) else { return false };
        let detail = desk.call(call["id"].as_str().expect("an id")).await;
        detail["call"]["outcome"] == expected && detail["offers"][0]["agent_id"] == "telephone"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_that_can_is_given_the_caller() {
    let desk = FrontDesk::open(TELEPHONE).await;
    let able = PROVIDERS.iter().filter(|spec| spec.transfer != TransferBy::Nothing);
    futures::future::join_all(able.map(|spec| gives_away(&desk, spec))).await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_takes_the_call_has_the_caller() {
    let desk = FrontDesk::open(TELEPHONE).await;
    let id = given_away(&desk).await;
    answered(&desk).await;
    let joined = twilio(&desk, &format!("accept?call={CALL}"), &[("CallSid", "CA9"), ("Digits", "1")]).await;
    assert!(joined.ends_with("<Response/>"), "nothing more to do before they are joined: {joined}");
    until("the call is over", async || desk.call(&id).await["call"]["outcome"] == "transferred").await;
    let form = [("CallSid", CALL), ("DialCallStatus", "completed"), ("CallStatus", "in-progress")];
    let over = twilio(&desk, "after", &form).await;
    assert!(over.ends_with("<Response><Hangup/></Response>"), "{over}");
    let detail = desk.ended_call(&id).await;
    assert_eq!(detail["handoffs"][0]["outcome"], "transferred", "{detail}");
    assert_eq!(
        (&detail["offers"][0]["agent_id"], &detail["offers"][0]["result"]),
        (&"telephone".into(), &"accepted".into())
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_nobody_took_is_back_in_the_same_call_and_reaches_an_agent() {
    let desk = FrontDesk::open(TELEPHONE).await;
    let id = given_away(&desk).await;
    answered(&desk).await;
    let refused = twilio(&desk, &format!("accept?call={CALL}"), &[("CallSid", "CA9"), ("Digits", "2")]).await;
    assert!(refused.ends_with("<Response><Hangup/></Response>"), "their leg ends: {refused}");
    let form = [("CallSid", CALL), ("DialCallStatus", "completed"), ("CallStatus", "in-progress")];
    let again = twilio(&desk, "after", &form).await;
    let token = again.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
    let token = Secret::new(token.unwrap_or_else(|| panic!("no stream in {again}")).0.to_owned());

    // The same caller on a new stream: told, and waiting.
    let mut call = CallPlayer::connect(&Dial { token: Some(token), ..dial(&desk) }).await.expect("connects");
    until("the caller hears that nobody was reached", async || {
        said(&desk.call(&id).await, "assistant", "I could not reach anybody there.")
            && best_share(&call.captured_audio().reply, VOICE_HZ) > 0.8
    })
    .await;
    let mut agent = desk.agent().await;
    agent.expect("hello").await;
    agent.say(json!({ "type": "set_state", "state": "available" })).await;
    let offer = agent.expect("offer").await;
    assert!(offer["summary"].to_string().contains(QUESTION), "what was said before is known: {offer}");
    agent.say(json!({ "type": "accept", "offer_id": offer["offer_id"] })).await;
    assert_eq!(agent.expect("connected").await["call_id"], id.as_str());
    they_hear_each_other(&mut call, &mut agent).await;
    call.hangup().await;
    let detail = desk.ended_call(&id).await;
    assert_eq!(detail["call"]["outcome"], "spoke_with_agent", "{detail}");
    let offers: Vec<_> =
        detail["offers"].as_array().expect("offers").iter().map(|offer| (&offer["result"], &offer["reason"])).collect();
    assert!(offers.contains(&(&"rejected".into(), &"declined".into())), "{offers:?}");
    assert!(offers.contains(&(&"accepted".into(), &Value::Null)), "{offers:?}");
    assert_eq!((&detail["handoffs"][0]["outcome"], &detail["handoffs"][1]), (&"bridged".into(), &Value::Null));
    desk.app.stop().await;
}

/// Until the caller is to go: the question was asked, and `0` pressed.
async fn wants_a_person(desk: &FrontDesk) -> CallPlayer {
    let mut call = CallPlayer::connect(&dial(desk)).await.expect("connects");
    greeted(&call).await;
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_moved_by_twilios_api_while_the_stream_is_open() {
    let api = Api::open("twilio").await;
    let desk = FrontDesk::open_with_account("twilio", &api.account(), TELEPHONE).await;
    let call = wants_a_person(&desk).await;
    api.moved_by_twilio(&desk, CALL).await;
    // Twilio does as it is told: the stream ends, and it asks what comes next.
    call.hangup().await;
    let document = twilio(&desk, "after", &[("CallSid", CALL), ("CallStatus", "in-progress")]).await;
    assert!(document.contains(">+15005550123</Number>"), "{document}");
    let id = desk.only_call().await;
    assert_eq!(desk.call(&id).await["call"]["outcome"], "live", "the call waits for what becomes of it");
    let heard = twilio(&desk, &format!("whisper?call={CALL}"), &[("CallSid", "CA9")]).await;
    assert!(heard.contains("Press 1 to take the call."), "{heard}");
    let joined = twilio(&desk, &format!("accept?call={CALL}"), &[("CallSid", "CA9"), ("Digits", "1")]).await;
    assert!(joined.ends_with("<Response/>"), "{joined}");
    until("the call is over", async || desk.call(&id).await["call"]["outcome"] == "transferred").await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_the_api_does_not_move_goes_by_the_closed_stream() {
    let account = "account_sid = \"AC1\"\napi_url = \"http://127.0.0.1:1\"";
    let desk = FrontDesk::open_with_account("twilio", account, TELEPHONE).await;
    let mut call = wants_a_person(&desk).await;
    let ended = call.wait_end(PATIENCE).await.expect("our socket is closed");
    let Event::Ended { reason, .. } = ended.event else { panic!("{ended:?}") };
    assert_eq!(reason, "put through to +15005550123");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_called_by_vonage_is_asked_first_and_a_key_brings_the_caller_back() {
    const UUID: &str = "63f61863-0000-4000-8000-000000000007";
    let api = Api::open("vonage").await;
    let desk = FrontDesk::open_with_account("vonage", &api.account(), TELEPHONE).await;
    let dial = calling::dial(&desk, "vonage", UUID);
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    greeted(&call).await;
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let (_, person) = api.request("/v1/calls", 0).await;
    assert!(person.contains("15005550123") && person.contains("leg=person"), "{person}");
    let (_, moved) = api.request(&format!("/v1/calls/{UUID}"), 0).await;
    assert!(moved.contains("/voice/hold.wav"), "the caller hears music: {moved}");
    // Vonage leaves the socket open, so it is ours to close.
    call.wait_end(PATIENCE).await.expect("closed");
    let id = desk.only_call().await;

    let tell = async |path: &str, body: Value| {
        vonage_json(&desk.http, &desk.base, &format!("{path}?call={UUID}&as=15005550001&leg=person"), &body).await
    };
    let heard = tell("person", json!({ "uuid": CALLED })).await;
    assert!(heard.contains("Press 1 to take the call."), "{heard}");
    let refused = tell("accept", json!({ "dtmf": { "digits": "2", "timed_out": false } })).await;
    assert_eq!(refused, "[]", "their call ends");
    tell("event", json!({ "status": "completed", "uuid": CALLED })).await;

    // The same caller on a new stream of the same call.
    let (_, back) = api.request(&format!("/v1/calls/{UUID}"), 1).await;
    let back: Value = serde_json::from_str(&back).expect("JSON");
    let token = back.pointer("/destination/ncco/0/endpoint/0/headers/token").and_then(Value::as_str);
    let token = Secret::new(token.unwrap_or_else(|| panic!("no stream in {back}")).to_owned());
    let call = CallPlayer::connect(&Dial { token: Some(token), ..dial }).await.expect("connects");
    until("the caller hears that nobody was reached", async || {
        said(&desk.call(&id).await, "assistant", "I could not reach anybody there.")
            && best_share(&call.captured_audio().reply, VOICE_HZ) > 0.8
    })
    .await;
    call.hangup().await;
    let detail = desk.ended_call(&id).await;
    let offer = &detail["offers"][0];
    assert_eq!((&offer["result"], &offer["reason"]), (&"rejected".into(), &"declined".into()), "{offer}");
    desk.app.stop().await;
}

/// Asks as the dialplan of docs/providers/asterisk.md does.
pub async fn dialplan(desk: &FrontDesk, what: &str, form: Option<&[(&str, &str)]>) -> Vec<u8> {
    let url = format!("{}/voice/asterisk/{what}", desk.base);
    let (user, password) = secret_of("asterisk").split_once(':').expect("a name and a password");
    let request = match form {
        Some(form) => {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            desk.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        None => desk.http.get(url),
    };
    let response = request.basic_auth(user, Some(password)).send().await.expect("answers");
    assert!(response.status().is_success(), "{what}: {}", response.status());
    response.bytes().await.expect("a body").to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_called_by_asterisk_hears_our_voice_and_a_key_brings_the_caller_back() {
    const UNIQUEID: &str = "1767607200.7";
    let desk = FrontDesk::open(TELEPHONE).await;
    let auth_token = Secret::new(secret_of("asterisk").to_owned());
    let call_id = Some(UNIQUEID.to_owned());
    let dial = Dial { auth_token, call_id, patience: PATIENCE, ..Dial::new(desk.base.as_str(), "asterisk") };
    let mut call = CallPlayer::connect(&dial).await.expect("connects");
    call.wait_reply_start(PATIENCE).await.expect("a greeting");
    call.dtmf(Digit::new('0').expect("a key")).await.expect("pressed");
    let ended = call.wait_end(PATIENCE).await.expect("our socket is closed");
    let Event::Ended { reason, .. } = ended.event else { panic!("{ended:?}") };
    assert_eq!(reason, "put through to +15005550123");
    let id = desk.only_call().await;

    // The person hears our voice, and does not want to.
    let wav = dialplan(&desk, &format!("brief/{UNIQUEID}"), None).await;
    let reader = hound::WavReader::new(std::io::Cursor::new(wav)).expect("a WAV file");
    let narrow: Vec<i16> = reader.into_samples().map(|sample| sample.expect("a sample")).collect();
    let heard = resample_all(&narrow, SampleRate::NARROWBAND, SampleRate::WIDEBAND).expect("rates");
    assert!(best_share(&heard, VOICE_HZ) > 0.8);
    let word = dialplan(&desk, "accept", Some(&[("call", UNIQUEID), ("keys", "2")])).await;
    assert_eq!(word, b"release");
    let over = [("call", UNIQUEID), ("status", "ANSWER")];
    let token = String::from_utf8(dialplan(&desk, "dialled", Some(&over)).await).expect("text");

    // The same caller on a new stream of the same call.
    let dial = Dial { token: Some(Secret::new(token)), ..dial };
    let call = CallPlayer::connect(&dial).await.expect("connects");
    until("the caller hears that nobody was reached", async || {
        said(&desk.call(&id).await, "assistant", "I could not reach anybody there.")
            && best_share(&call.captured_audio().reply, VOICE_HZ) > 0.8
    })
    .await;
    call.hangup().await;
    let detail = desk.ended_call(&id).await;
    let offer = &detail["offers"][0];
    assert_eq!((&offer["result"], &offer["reason"]), (&"rejected".into(), &"declined".into()), "{detail}");
    desk.app.stop().await;
}
