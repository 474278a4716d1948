//! As the applets of an Exotel flow ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::*;
use crate::call::input::{Missed, TransferNews};

fn house() -> Server {
    let section = "[exotel]\nusername = \"warmline\"\npassword = \"hush\"";
    let own = "[server]\npublic_url = \"https://voice.example.com\"\ncalls_per_minute_per_caller = 3\n";
    server(&format!("{own}{section}"))
}

async fn get(server: &Server, target: &str, credentials: &str) -> (StatusCode, String) {
    let request = Request::get(target).header(header::AUTHORIZATION, format!("Basic {}", BASE64.encode(credentials)));
    server.ask(request.body(Body::empty()).expect("a request")).await
}

const CALL: &str = "?CallSid=c1&CallFrom=%2B919000000001&CallTo=%2B918000000002&Direction=incoming";

#[tokio::test]
async fn a_flow_is_told_where_to_stream_to() {
    let server = house();
    let (status, body) = get(&server, &format!("/voice/exotel/incoming{CALL}"), "warmline:hush").await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let url = answer["url"].as_str().expect("an address");
    let (address, token) = url.split_once("&token=").expect("a token");
    assert_eq!(address, "wss://voice.example.com/media/exotel?sample-rate=16000");
    let (_, query) = url.split_once('?').expect("a query");
    assert!(query.len() <= 256, "Exotel cuts longer ones: {query}");
    let grant = server.gate.tokens.redeem(now(), "exotel", "c1", &Secret::new(token.to_owned())).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("+919000000001".to_owned())));
    assert_eq!(get(&server, "/voice/exotel/incoming", "warmline:hush").await.0, StatusCode::BAD_REQUEST);
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let (status, _) = get(&server, &format!("/voice/exotel/incoming{CALL}"), "warmline:hush").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn strangers_get_nothing_and_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = house();
    for path in [
        "/voice/exotel/incoming",
        "/voice/exotel/next",
        "/voice/exotel/connect",
        "/voice/exotel/dial",
        "/voice/exotel/missed",
    ] {
        let target = format!("{path}{CALL}");
        for credentials in ["warmline:guess", "guess:hush", "warmline", ":"] {
            let (status, _) = get(&server, &target, credentials).await;
            assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED), "{credentials}");
        }
        let bare = Request::get(&target).body(Body::empty()).expect("a request");
        let response = server.routes.clone().oneshot(bare).await.expect("routes never fail");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE), "some send credentials only when asked");
        assert_eq!(get(&self::server(""), &target, ":").await.0, StatusCode::FORBIDDEN, "nobody's password");
    }
    assert!(recorder.handle().render().contains("warmline_signature_rejected_total{provider=\"exotel\"} 30"));
}

#[tokio::test]
async fn after_the_stream_a_branch_and_a_number() {
    let server = house();
    server.gate.outcomes.record(now(), "c1", StreamOutcome::Ended);
    let transfer = Transfer { target: "+918000000003".to_owned().into(), ..Transfer::default() };
    server.gate.outcomes.record(now(), "c2", StreamOutcome::Transfer(transfer));
    let ask = async |path: &str, call: &str, rest: &str| {
        get(&server, &format!("/voice/exotel/{path}?CallSid={call}{rest}"), "warmline:hush").await
    };
    let flat = "&Stream%5BStatus%5D=completed&Stream%5BDisconnectedBy%5D=bot";
    let json = "&Stream=%7B%22Status%22%3A%22failed%22%2C%22Error%22%3A%223009%22%7D";
    for (call, status) in [("c1", StatusCode::FOUND), ("c2", StatusCode::OK), ("c3", StatusCode::FOUND)] {
        for rest in ["", flat, json, "&Stream=nonsense"] {
            assert_eq!(ask("next", call, rest).await.0, status, "{call} {rest}");
        }
    }
    assert_eq!(ask("dial", "c2", "").await, (StatusCode::OK, "+918000000003".to_owned()));
    assert_eq!(ask("dial", "c1", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_connect_applet_learns_whom_to_call_and_what_they_hear() {
    let server = house();
    let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
    let transfer = Transfer { target: "+918000000003".to_owned().into(), variables };
    server.gate.outcomes.record(now(), "c2", StreamOutcome::Transfer(transfer));
    let (status, body) = get(&server, "/voice/exotel/connect?CallSid=c2", "warmline:hush").await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let expected = serde_json::json!({
        "fetch_after_attempt": false,
        "destination": {"numbers": ["+918000000003"]},
        "max_ringing_duration": 25,
        "music_on_hold": {"type": "default_tone"},
        "start_call_playback": {
            "playback_to": "callee",
            "type": "text",
            "value": "A caller is waiting for you. Wants a refund.",
        },
    });
    assert_eq!((status, answer), (StatusCode::OK, expected));
    let nobody = get(&server, "/voice/exotel/connect?CallSid=c9", "warmline:hush").await;
    assert_eq!(nobody.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_caller_nobody_answered_goes_back_to_the_voicebot() {
    let server = house();
    let transfer = Transfer { target: "+918000000003".to_owned().into(), ..Transfer::default() };
    let missed =
        async |rest: &str| get(&server, &format!("/voice/exotel/missed?CallSid=c2{rest}"), "warmline:hush").await.0;
    for (rest, why) in [("", Missed::NoAnswer), ("&DialCallStatus=busy", Missed::Busy)] {
        server.gate.outcomes.record(now(), "c2", StreamOutcome::Transfer(transfer.clone()));
        assert_eq!(missed(rest).await, StatusCode::OK);
        assert_eq!(server.house.told(), [TransferNews::Missed(why)]);
        assert_eq!(missed(rest).await, StatusCode::OK, "asked again");
    }
    server.gate.outcomes.record(now(), "c2", StreamOutcome::Ended);
    assert_eq!(missed("").await, StatusCode::FOUND, "not given away at all");
}
