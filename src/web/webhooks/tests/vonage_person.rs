//! A person called with the application's key: asked first, and the caller back when nobody takes the call.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::vonage::{APPLICATION, parsed, post};
use super::*;
use crate::call::input::Missed;
use crate::config::rsa_key;
use crate::web::carrier::played::{Api, Asked, SILENCE};
use crate::web::moving::{Departing, Moved, Mover as _};

const KEY: &str = include_str!("../../../../tests/fixtures/vonage/application.pem");
const NUMBER: &str = "15005550001";

/// What Vonage's API answers: the first request is for a call.
async fn api(others: (u16, &'static str)) -> Api {
    Api::open(move |n, _| if n == 0 { (201, r#"{"uuid":"p-1"}"#.to_owned()) } else { (others.0, others.1.to_owned()) })
        .await
}

fn house(api: &Api) -> (Server, WebhookState) {
    let vonage = format!(
        "[vonage]\nsignature_secret = \"hush\"\napplication_id = \"{APPLICATION}\"\napi_url = \"{}\"\n\
         private_key = \"\"\"\n{KEY}\"\"\"\n",
        api.base
    );
    server_and_state(&format!("[server]\npublic_url = \"{BASE}\"\n{vonage}"))
}

fn give_away(server: &Server) -> Transfer {
    let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
    let transfer = Transfer { target: "+15005550123".to_owned().into(), variables };
    server.gate.outcomes.record(now(), "c3", StreamOutcome::Transfer(transfer.clone()));
    transfer
}

/// The caller's stream is over.
async fn disconnected(server: &Server) -> (StatusCode, String) {
    let target = format!("/voice/vonage/event?call=c3&as={NUMBER}&leg=stream");
    post(server, &target, &json!({"status": "disconnected"})).await
}

async fn of_the_person(server: &Server, status: &str) {
    let target = format!("/voice/vonage/event?call=c3&as={NUMBER}&leg=person");
    let (status, body) = post(server, &target, &json!({"status": status, "uuid": "p-1"})).await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
}

async fn keys(server: &Server, keys: &str) -> Value {
    let target = format!("/voice/vonage/accept?call=c3&as={NUMBER}");
    parsed(&post(server, &target, &json!({"dtmf": {"digits": keys, "timed_out": keys.is_empty()}})).await.1)
}

/// Whether the request brings a token of the application.
fn is_ours(asked: &Asked) -> bool {
    let token = asked.authorization.strip_prefix("Bearer ").expect("a bearer token");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let public = rsa_key(KEY).expect("a key").public().as_ref().to_vec();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    let claims: Value = serde_json::from_slice(&decode(signed.split_once('.').expect("two").1)).expect("JSON");
    key.verify(signed.as_bytes(), &decode(signature)).is_ok() && claims["application_id"] == APPLICATION
}

/// The request that gives a call another NCCO.
fn transferred(asked: &Asked, call: &str) -> Value {
    assert_eq!((&asked.method, asked.target.as_str()), (&Method::PUT, format!("/v1/calls/{call}").as_str()));
    assert!(is_ours(asked));
    let body = asked.json();
    assert_eq!((&body["action"], &body["destination"]["type"]), (&json!("transfer"), &json!("ncco")));
    body["destination"]["ncco"].clone()
}

/// The caller is back by this NCCO.
fn check_back(server: &Server, ncco: &Value) {
    let endpoint = &ncco[0]["endpoint"][0];
    assert_eq!((&ncco[0]["action"], &endpoint["type"]), (&json!("connect"), &json!("websocket")));
    let token = Secret::new(endpoint["headers"]["token"].as_str().expect("a token").to_owned());
    assert!(server.gate.tokens.redeem(now(), "vonage", "c3", &token).is_ok());
}

fn waiting() -> Value {
    let waited = format!("{BASE}/voice/vonage/waited?call=c3&as={NUMBER}");
    json!([
        {"action": "stream", "streamUrl": [format!("{BASE}/voice/hold.wav")], "loop": 10},
        {"action": "notify", "payload": {"call": "c3"}, "eventUrl": [waited], "eventMethod": "POST"},
    ])
}

#[tokio::test]
async fn the_person_is_asked_first_and_both_meet_in_a_conversation() {
    let api = api((204, "")).await;
    let (server, _) = house(&api);
    give_away(&server);
    let (_, music) = disconnected(&server).await;
    assert_eq!(parsed(&music), waiting());
    let [call] = api.asked().try_into().expect("one request");
    call.check("vonage", "person");
    assert!(is_ours(&call));
    let about = |name: &str| format!("{BASE}/voice/vonage/{name}?call=c3&as={NUMBER}");
    for unremarkable in ["started", "ringing", "answered", "human"] {
        of_the_person(&server, unremarkable).await;
    }
    let (_, heard) = post(&server, &format!("/voice/vonage/person?call=c3&as={NUMBER}"), &json!({"uuid": "p-1"})).await;
    let brief = "A caller is waiting for you. Wants a refund. Press 1 to take the call.";
    assert_eq!(
        parsed(&heard),
        json!([
            {"action": "talk", "text": brief, "bargeIn": true},
            {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1, "timeOut": 10},
             "eventUrl": [about("accept")], "eventMethod": "POST"},
        ])
    );
    let together = json!([{"action": "conversation", "name": "warmline-c3", "endOnExit": true}]);
    assert_eq!(keys(&server, "1").await, together);
    api.asked()[1].check("vonage", "join");
    assert_eq!(server.house.told(), [TransferNews::Taken]);
    // Both hang up in the end, and Vonage asks what comes after the music it has left long ago.
    of_the_person(&server, "completed").await;
    let waited = post(&server, &format!("/voice/vonage/waited?call=c3&as={NUMBER}"), &json!({})).await;
    assert_eq!(waited, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!((server.house.told(), api.asked().len()), (vec![], 2));
}

#[tokio::test]
async fn nobody_who_takes_the_call_brings_the_caller_back() {
    for (said, pressed, missed) in [
        (&["busy"][..], None, Missed::Busy),
        (&["timeout"], None, Missed::NoAnswer),
        (&["unanswered"], None, Missed::NoAnswer),
        (&["rejected"], None, Missed::Declined),
        (&["failed"], None, Missed::Failed),
        (&["answered", "machine", "completed"], None, Missed::Voicemail),
        (&["answered", "completed"], Some("2"), Missed::Declined),
        (&["answered", "completed"], Some(""), Missed::NoAnswer),
        (&["answered", "completed"], None, Missed::NoAnswer),
    ] {
        let api = api((204, "")).await;
        let (server, _) = house(&api);
        give_away(&server);
        disconnected(&server).await;
        if let Some(pressed) = pressed {
            post(&server, &format!("/voice/vonage/person?call=c3&as={NUMBER}"), &json!({})).await;
            assert_eq!(keys(&server, pressed).await, json!([]), "their call ends");
        }
        for status in said {
            of_the_person(&server, status).await;
        }
        assert_eq!(server.house.told(), [TransferNews::Missed(missed)], "{said:?} {pressed:?}");
        let asked = api.asked();
        assert_eq!(asked.len(), 2, "{said:?} {pressed:?}");
        check_back(&server, &transferred(&asked[1], "c3"));
        // The stream before may end late: the next one is there.
        let (events, _keep) = mpsc::channel(1);
        let _live = server.gate.live.enter("c3", events);
        assert_eq!(disconnected(&server).await, (StatusCode::NO_CONTENT, String::new()));
        let late = post(&server, &format!("/voice/vonage/person?call=c3&as={NUMBER}"), &json!({})).await.1;
        assert_eq!(parsed(&late), json!([]), "the caller is not to be had any more");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_lets_the_telephone_ring_no_more() {
    let api = api((204, "")).await;
    let (server, _) = house(&api);
    give_away(&server);
    disconnected(&server).await;
    post(&server, "/voice/vonage/event", &json!({"status": "completed", "uuid": "c3"})).await;
    assert_eq!(server.house.told(), [TransferNews::CallerLeft]);
    let asked = &api.asked()[1];
    assert_eq!((&asked.method, asked.target.as_str()), (&Method::PUT, "/v1/calls/p-1"));
    assert_eq!((asked.json(), is_ours(asked)), (json!({"action": "hangup"}), true));
    of_the_person(&server, "cancelled").await;
    assert_eq!((server.house.told(), api.asked().len()), (vec![], 2));
}

#[tokio::test]
async fn where_the_api_calls_nobody_vonage_is_told_to_join_whoever_answers() {
    for (answer, tries) in [
        ((401, "{}"), 1),
        ((404, "{}"), 1),
        ((429, "{}"), 3),
        ((500, "{}"), 1),
        ((201, "<html>"), 1),
        ((SILENCE, ""), 1),
    ] {
        let api = Api::open(move |_, _| (answer.0, answer.1.to_owned())).await;
        let (server, _) = house(&api);
        give_away(&server);
        for _ in 0..2 {
            let ncco = parsed(&disconnected(&server).await.1);
            let whisper = format!("{BASE}/voice/vonage/whisper?call=c3");
            let endpoint = json!([{"type": "phone", "number": "15005550123", "onAnswer": {"url": whisper}}]);
            assert_eq!((&ncco[0]["action"], &ncco[0]["endpoint"]), (&json!("connect"), &endpoint), "{answer:?}");
        }
        assert_eq!(api.asked().len(), tries, "{answer:?}: not asked twice");
    }
}

#[tokio::test]
async fn a_caller_whose_stream_is_open_is_moved_to_the_music() {
    for (answer, moved, tries) in [
        ((204, ""), Moved::Yes, 2),
        ((404, "{}"), Moved::Gone, 2),
        ((401, "{}"), Moved::No, 2),
        ((429, "{}"), Moved::No, 4),
        ((500, "{}"), Moved::No, 2),
        ((200, "<html>"), Moved::No, 2),
        ((SILENCE, ""), Moved::No, 2),
    ] {
        let api = api(answer).await;
        let (server, state) = house(&api);
        assert!(state.can_move("vonage"));
        let transfer = give_away(&server);
        let (call_id, number) = ("c3".to_owned(), format!("+{NUMBER}"));
        let caller = Departing { provider: "vonage", call_id, number, account: String::new(), transfer };
        assert_eq!(state.move_call(&caller).await, moved, "{answer:?}");
        let asked = api.asked();
        assert_eq!(asked.len(), tries, "{answer:?}");
        asked[1].check("vonage", "move");
        // However it went, the closed stream leads to the same, and the person is called once.
        assert_eq!(parsed(&disconnected(&server).await.1), waiting(), "{answer:?}");
        assert_eq!(api.asked().len(), tries, "{answer:?}");
    }
}

#[tokio::test]
async fn a_join_that_fails_and_a_word_that_never_comes_end_with_the_caller_back() {
    let api = api((500, "{}")).await;
    let (server, _) = house(&api);
    give_away(&server);
    disconnected(&server).await;
    post(&server, &format!("/voice/vonage/person?call=c3&as={NUMBER}"), &json!({})).await;
    assert_eq!(keys(&server, "1").await, json!([]), "the person can't have the caller");
    assert_eq!(server.house.told(), []);
    // The music ends, and nobody has told us anything.
    let (_, ncco) = post(&server, &format!("/voice/vonage/waited?call=c3&as={NUMBER}"), &json!({})).await;
    check_back(&server, &parsed(&ncco));
    assert_eq!(server.house.told(), [TransferNews::Missed(Missed::NoAnswer)]);
    let last = api.asked().pop().expect("asked");
    assert_eq!((last.target.as_str(), last.json()), ("/v1/calls/p-1", json!({"action": "hangup"})));
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let api = api((204, "")).await;
    let (server, _) = house(&api);
    give_away(&server);
    for path in ["person", "accept", "waited", "event"] {
        let request = Request::post(format!("/voice/vonage/{path}?call=c3&leg=person"));
        let request = request.body(Body::from(r#"{"dtmf":{"digits":"1"},"status":"busy"}"#)).expect("a request");
        assert_eq!(server.ask(request).await, (StatusCode::FORBIDDEN, String::new()), "{path}");
    }
    assert_eq!((server.house.told(), api.asked().len()), (vec![], 0));
}
