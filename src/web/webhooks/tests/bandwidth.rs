//! As Bandwidth asks, round by round.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::call::input::{Missed, TransferNews};
use crate::telephony::protocol::{Digit, MediaEvent};

fn house() -> Server {
    let section = "[bandwidth]\nusername = \"warmline\"\npassword = \"hush\"";
    let own = "[server]\npublic_url = \"https://voice.example.com\"\ncalls_per_minute_per_caller = 3\n";
    server(&format!("{own}{section}"))
}

async fn post(server: &Server, target: &str, body: &Value, credentials: &str) -> (StatusCode, String) {
    let request = Request::post(target).header(header::AUTHORIZATION, format!("Basic {}", BASE64.encode(credentials)));
    server.ask(request.body(Body::from(body.to_string())).expect("a request")).await
}

async fn said(server: &Server, target: &str, body: &Value) -> String {
    let (status, document) = post(server, &format!("/voice/bandwidth/{target}"), body, "warmline:hush").await;
    assert_eq!(status, StatusCode::OK, "{document}");
    let (_, verbs) = document.split_once("<Response>").expect("BXML");
    verbs.trim_end_matches("</Response>").to_owned()
}

fn call() -> Value {
    json!({"eventType": "initiate", "callId": "c1", "from": "+15005550006", "to": "+15005550001", "direction": "inbound"})
}

const GATHER: &str = "<Gather gatherUrl=\"https://voice.example.com/voice/bandwidth/keys?round=";

#[tokio::test]
async fn a_call_gets_a_stream_and_is_kept_alive() {
    let server = house();
    let bxml = said(&server, "incoming", &call()).await;
    for part in [
        "<StartStream name=\"warmline\" mode=\"bidirectional\" tracks=\"inbound\" destination=\"wss://voice.example.com/media/bandwidth\"",
        "destinationUsername=\"warmline\" destinationPassword=\"hush\"",
        "streamEventUrl=\"https://voice.example.com/voice/bandwidth/status\"",
        "</StartStream><Gather",
        "maxDigits=\"1\" firstDigitTimeout=\"2\" username=\"warmline\" password=\"hush\"/>",
    ] {
        assert!(bxml.contains(part), "{part} in {bxml}");
    }
    let (_, rest) = bxml.split_once("<StreamParam name=\"token\" value=\"").expect("a token");
    let token = Secret::new(rest.split_once('"').expect("quoted").0.to_owned());
    let grant = server.gate.tokens.redeem(now(), "bandwidth", "c1", &token).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())));
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let busy = format!("<SpeakSentence>{BUSY_SENTENCE}</SpeakSentence><Hangup/>");
    assert_eq!(said(&server, "incoming", &call()).await, busy);
    *server.house.0.lock().expect("not poisoned") = Ok(());
    said(&server, "incoming", &call()).await;
    assert_eq!(said(&server, "incoming", &call()).await, "<Hangup/>", "too often");
}

#[tokio::test]
async fn keys_reach_the_call_and_the_loop_goes_on_with_the_stream() {
    let server = house();
    let (events, mut heard) = mpsc::channel(4);
    let stream = server.gate.live.enter("c1", events);
    let gather = |digits: &str| json!({"eventType": "gather", "callId": "c1", "digits": digits});
    assert!(said(&server, "keys?round=5", &gather("0")).await.starts_with(&format!("{GATHER}0\"")));
    assert_eq!(heard.recv().await, Digit::new('0').map(MediaEvent::Dtmf));
    assert!(said(&server, "keys?round=0", &gather("")).await.starts_with(GATHER));
    assert!(heard.try_recv().is_err(), "no key was pressed");
    server.gate.outcomes.record(now(), "c1", StreamOutcome::Ended);
    drop(stream);
    assert_eq!(said(&server, "keys?round=0", &gather("")).await, "<Hangup/>");
}

#[tokio::test]
async fn a_stream_is_waited_for_but_not_for_ever() {
    let server = house();
    let ask = async |round: u32| said(&server, &format!("keys?round={round}"), &json!({"callId": "c9"})).await;
    for round in 0..6 {
        assert!(ask(round).await.starts_with(&format!("{GATHER}{}\"", round + 1)), "{round}");
    }
    let apology = format!("<SpeakSentence>{APOLOGY_SENTENCE}</SpeakSentence><Hangup/>");
    assert_eq!(ask(6).await, apology);
    let rejected = json!({"eventType": "mediaStreamRejected", "callId": "c8", "cause": "connection-error"});
    assert_eq!(post(&server, "/voice/bandwidth/status", &rejected, "warmline:hush").await.0, StatusCode::NO_CONTENT);
    assert_eq!(said(&server, "keys?round=0", &json!({"callId": "c8"})).await, apology, "Bandwidth has told us");
}

#[tokio::test]
async fn a_caller_is_given_to_a_number_or_an_address() {
    let server = house();
    for (call, target, verb) in [("c2", "+15005550123", "PhoneNumber"), ("c3", "sip:desk@example.com", "SipUri")] {
        let transfer = Transfer { target: target.to_owned().into(), ..Transfer::default() };
        server.gate.outcomes.record(now(), call, StreamOutcome::Transfer(transfer));
        let bxml = said(&server, "keys", &json!({"callId": call})).await;
        let over =
            format!("<Transfer transferCompleteUrl=\"{BASE}/voice/bandwidth/dialled?call={call}\" callTimeout=\"25\"");
        assert!(bxml.starts_with(&over), "{bxml}");
        let whisper = format!("<{verb} transferAnswerUrl=\"{BASE}/voice/bandwidth/whisper?call={call}\"");
        assert!(
            bxml.contains(&whisper) && bxml.ends_with(&format!(">{target}</{verb}></Transfer><Hangup/>")),
            "{bxml}"
        );
        assert_eq!(bxml.matches("password=\"hush\"").count(), 2, "each callback has to prove itself: {bxml}");
    }
}

#[tokio::test]
async fn whoever_is_called_takes_the_call_with_a_key_or_the_caller_is_back() {
    for (digits, cause, told) in [
        (Some("1"), "hangup", TransferNews::Taken),
        (Some("2"), "hangup", TransferNews::Missed(Missed::Declined)),
        (Some(""), "hangup", TransferNews::Missed(Missed::NoAnswer)),
        (None, "busy", TransferNews::Missed(Missed::Busy)),
        (None, "timeout", TransferNews::Missed(Missed::NoAnswer)),
        (None, "rejected", TransferNews::Missed(Missed::Declined)),
        (None, "error", TransferNews::Missed(Missed::Failed)),
        (None, "cancel", TransferNews::CallerLeft),
    ] {
        let server = house();
        let transfer = Transfer {
            target: "+15005550123".to_owned().into(),
            variables: [("summary".to_owned(), "Wants a refund.".to_owned().into())].into(),
        };
        server.gate.outcomes.record(now(), "c2", StreamOutcome::Transfer(transfer));
        if let Some(digits) = digits {
            let heard = said(&server, "whisper?call=c2", &json!({"eventType": "transferAnswer", "callId": "c9"})).await;
            assert!(heard.contains("Wants a refund. Press 1 to take the call.</SpeakSentence></Gather>"), "{heard}");
            let pressed = json!({"callId": "c9", "digits": digits});
            let (_, bxml) = post(&server, "/voice/bandwidth/accept?call=c2", &pressed, "warmline:hush").await;
            let expected = if digits == "1" { "<Response/>" } else { "<Response><Hangup/></Response>" };
            assert!(bxml.ends_with(expected), "{bxml}");
        }
        let over = json!({"eventType": "transferComplete", "callId": "c2", "from": "+1500", "cause": cause});
        let bxml = said(&server, "dialled?call=c2", &over).await;
        let is_back = matches!(told, TransferNews::Missed(_));
        assert_eq!(bxml.starts_with("<StartStream"), is_back, "{cause}: {bxml}");
        assert_eq!(server.house.told(), [told], "{cause}");
    }
}

#[tokio::test]
async fn strangers_get_nothing() {
    let server = house();
    for path in ["incoming", "keys", "status", "whisper", "accept", "dialled"] {
        let path = &format!("/voice/bandwidth/{path}");
        assert_eq!(post(&server, path, &call(), "warmline:guess").await.0, StatusCode::FORBIDDEN);
        let bare = Request::post(path).body(Body::from(call().to_string())).expect("a request");
        assert_eq!(server.ask(bare).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(post(&self::server(""), path, &call(), ":").await.0, StatusCode::FORBIDDEN, "nobody's password");
        assert_eq!(post(&server, path, &json!(7), "warmline:hush").await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(
        post(&server, "/voice/bandwidth/incoming", &json!({"eventType": "initiate"}), "warmline:hush").await.0,
        StatusCode::BAD_REQUEST
    );
}
