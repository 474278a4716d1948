//! As Vonage asks, with a signer of our own and the vendor's vector.

use axum::http::Method;
use serde_json::{Value, json};

use super::*;
use crate::call::input::{Missed, TransferNews};
use crate::telephony::signature::jwt::{Claims, payload_hash, sign};
use crate::web::gate::unix_s;

pub(super) const APPLICATION: &str = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab";
const UUID: &str = "63f61863-0000-4000-8000-000000000001";

fn house() -> Server {
    let section = format!("[vonage]\nsignature_secret = \"hush\"\napplication_id = \"{APPLICATION}\"");
    let own = "[server]\npublic_url = \"https://voice.example.com\"\ncalls_per_minute_per_caller = 3\n";
    server(&format!("{own}{section}"))
}

fn claims(jti: &str, body: &str) -> Claims {
    Claims {
        iat: unix_s(),
        jti: jti.to_owned(),
        iss: "Vonage".to_owned(),
        payload_hash: Some(payload_hash(body.as_bytes())),
        api_key: Some("a1b2c3d".to_owned()),
        application_id: Some(APPLICATION.to_owned()),
    }
}

async fn ask(server: &Server, method: Method, target: &str, body: &str, token: &str) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(target).header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.ask(request.body(Body::from(body.to_owned())).expect("a request")).await
}

/// A signed POST; each has an id of its own.
pub(super) async fn post(server: &Server, target: &str, body: &Value) -> (StatusCode, String) {
    let body = body.to_string();
    let token = sign("hush", &claims(&uuid::Uuid::new_v4().to_string(), &body));
    ask(server, Method::POST, target, &body, &token).await
}

fn call() -> Value {
    json!({"from": "15005550006", "to": "15005550001", "uuid": UUID, "conversation_uuid": "CON-1"})
}

pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("an NCCO is JSON")
}

#[tokio::test]
async fn a_signed_call_is_joined_to_a_stream_by_an_ncco() {
    let server = house();
    let (status, body) = post(&server, "/voice/vonage/incoming", &call()).await;
    assert_eq!(status, StatusCode::OK);
    let ncco = parsed(&body);
    let (action, endpoint) = (&ncco[0], &ncco[0]["endpoint"][0]);
    assert_eq!((&action["action"], &action["eventType"]), (&"connect".into(), &"synchronous".into()));
    assert_eq!(endpoint["uri"], "wss://voice.example.com/media/vonage");
    assert_eq!(
        (&endpoint["content-type"], &endpoint["authorization"]["type"]),
        (&"audio/l16;rate=16000".into(), &"vonage".into())
    );
    assert!(endpoint["headers"].to_string().len() <= 512, "Vonage cuts longer ones: {endpoint}");
    assert!(!endpoint["uri"].to_string().contains("token") && ncco.as_array().is_some_and(|all| all.len() == 1));
    let event = action["eventUrl"][0].as_str().expect("an address");
    assert!(event.starts_with("https://voice.example.com/voice/vonage/event?call=63f61863"), "{event}");
    let token = Secret::new(endpoint["headers"]["token"].as_str().expect("a token").to_owned());
    let grant = server.gate.tokens.redeem(now(), "vonage", UUID, &token).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("15005550006".to_owned())));
}

#[tokio::test]
async fn a_get_is_signed_over_its_parameters() {
    let server = house();
    let target = format!("/voice/vonage/incoming?to=15005550001&from=15005550006&uuid={UUID}");
    let covered = format!("{{\"to\":\"15005550001\",\"from\":\"15005550006\",\"uuid\":\"{UUID}\"}}");
    let token = sign("hush", &claims("j1", &covered));
    let (status, body) = ask(&server, Method::GET, &target, "", &token).await;
    assert_eq!((status, &parsed(&body)[0]["action"]), (StatusCode::OK, &"connect".into()));
    let other = target.replace("15005550006", "15005550007");
    let token = sign("hush", &claims("j2", &covered));
    assert_eq!(ask(&server, Method::GET, &other, "", &token).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_not_vonages_is_refused_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = house();
    let body = call().to_string();
    let right = claims("once", &body);
    let other = |change: fn(&mut Claims)| {
        let mut claims = claims("x", &body);
        change(&mut claims);
        sign("hush", &claims)
    };
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/signatures.json")).expect("JSON");
    let vector = vectors["vonage_webhook"]["authorization"].as_str().expect("text").trim_start_matches("Bearer ");
    let wrong = [
        String::new(),
        "nonsense".to_owned(),
        sign("guess", &right),
        sign("hush", &right).replace('.', ".."),
        other(|claims| claims.payload_hash = None),
        other(|claims| claims.payload_hash = Some(payload_hash(b"{}"))),
        other(|claims| claims.iss = "Vonnage".to_owned()),
        other(|claims| claims.application_id = None),
        other(|claims| claims.application_id = Some("other".to_owned())),
        other(|claims| claims.iat -= 400),
        vector.to_owned(),
    ];
    for path in ["/voice/vonage/incoming", "/voice/vonage/event"] {
        for token in &wrong {
            assert_eq!(ask(&server, Method::POST, path, &body, token).await.0, StatusCode::FORBIDDEN, "{token}");
        }
    }
    let token = sign("hush", &right);
    assert_eq!(ask(&server, Method::POST, "/voice/vonage/incoming", &body, &token).await.0, StatusCode::OK);
    assert_eq!(ask(&server, Method::POST, "/voice/vonage/incoming", &body, &token).await.0, StatusCode::FORBIDDEN);
    let rendered = recorder.handle().render();
    let line = format!("warmline_signature_rejected_total{{provider=\"vonage\"}} {}", 2 * wrong.len() + 1);
    assert!(rendered.contains(&line), "{rendered}");
    let open = self::server("");
    let token = sign("", &claims("y", &body));
    assert_eq!(ask(&open, Method::POST, "/voice/vonage/incoming", &body, &token).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_vendors_vector_is_good_for_a_handshake_at_its_time() {
    // `tests/fixtures/vonage/connect.jsonl` plays it; here: that the webhook and the handshake agree on who is who.
    use crate::telephony::vonage::is_for_us;
    let mut settings = house().gate.providers.vonage.clone();
    assert!(is_for_us(&claims("j", ""), &settings));
    settings.application_id.clear();
    assert!(is_for_us(&claims("j", ""), &settings), "any application of the account");
    assert!(!is_for_us(&Claims { iss: String::new(), ..claims("j", "") }, &settings));
}

#[tokio::test]
async fn a_full_house_and_a_flood_are_told_by_ncco() {
    let server = house();
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let (_, body) = post(&server, "/voice/vonage/incoming", &call()).await;
    assert_eq!(parsed(&body), json!([{"action": "talk", "text": BUSY_SENTENCE}]));
    *server.house.0.lock().expect("not poisoned") = Ok(());
    for _ in 0..2 {
        assert!(post(&server, "/voice/vonage/incoming", &call()).await.1.contains("connect"));
    }
    assert_eq!(parsed(&post(&server, "/voice/vonage/incoming", &call()).await.1), json!([]));
    assert_eq!(post(&server, "/voice/vonage/incoming", &json!({"from": "1"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(&server, "/voice/vonage/incoming", &json!([1])).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_answer_to_the_end_of_a_stream_is_what_comes_next() {
    let server = house();
    server.gate.outcomes.record(now(), "c1", StreamOutcome::Ended);
    server.gate.outcomes.record(now(), "c2", StreamOutcome::Busy);
    for (call, target) in [("c3", "+15005550123"), ("c4", "sip:desk@example.com")] {
        let transfer = Transfer { target: target.to_owned().into(), ..Transfer::default() };
        server.gate.outcomes.record(now(), call, StreamOutcome::Transfer(transfer));
    }
    let next = async |call: &str, status: &str| {
        let target = format!("/voice/vonage/event?call={call}&as=15005550001&leg=stream");
        post(&server, &target, &json!({"status": status, "uuid": "of the stream's own leg"})).await
    };
    assert_eq!(next("c1", "disconnected").await, (StatusCode::NO_CONTENT, String::new()));
    assert!(next("c2", "disconnected").await.1.contains(BUSY_SENTENCE));
    for status in ["failed", "unanswered", "timeout"] {
        assert!(next("unheard-of", status).await.1.contains(APOLOGY_SENTENCE), "{status}");
    }
    let ncco = parsed(&next("c3", "disconnected").await.1);
    assert_eq!((&ncco[0]["action"], &ncco[0]["from"]), (&"connect".into(), &"15005550001".into()));
    let whisper = format!("{BASE}/voice/vonage/whisper?call=c3");
    assert_eq!(ncco[0]["endpoint"], json!([{"type": "phone", "number": "15005550123", "onAnswer": {"url": whisper}}]));
    assert_eq!(ncco[0]["eventType"], "synchronous", "or its events could not bring the caller back");
    let ncco = parsed(&next("c4", "disconnected").await.1);
    assert_eq!(ncco[0]["endpoint"], json!([{"type": "sip", "uri": "sip:desk@example.com"}]));
    for status in ["started", "answered", "completed"] {
        assert_eq!(next("c2", status).await.0, StatusCode::NO_CONTENT, "{status}");
    }
    let of_the_call = json!({"status": "disconnected", "uuid": UUID});
    assert_eq!(post(&server, "/voice/vonage/event", &of_the_call).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn whoever_is_called_hears_the_brief_and_a_caller_nobody_answers_is_back() {
    for (status, told) in [
        ("answered", TransferNews::Taken),
        ("busy", TransferNews::Missed(Missed::Busy)),
        ("timeout", TransferNews::Missed(Missed::NoAnswer)),
        ("unanswered", TransferNews::Missed(Missed::NoAnswer)),
        ("rejected", TransferNews::Missed(Missed::Declined)),
        ("failed", TransferNews::Missed(Missed::Failed)),
        ("cancelled", TransferNews::CallerLeft),
    ] {
        let server = house();
        let transfer = Transfer {
            target: "+15005550123".to_owned().into(),
            variables: [("summary".to_owned(), "Wants a refund.".to_owned().into())].into(),
        };
        server.gate.outcomes.record(now(), "c3", StreamOutcome::Transfer(transfer));
        let heard = post(&server, "/voice/vonage/whisper?call=c3", &json!({"uuid": "theirs"})).await.1;
        assert_eq!(parsed(&heard), json!([{"action": "talk", "text": "A caller is waiting for you. Wants a refund."}]));
        let event = "/voice/vonage/event?call=c3&as=15005550001&leg=dialled";
        for unremarkable in ["started", "ringing"] {
            assert_eq!(post(&server, event, &json!({"status": unremarkable})).await.0, StatusCode::NO_CONTENT);
        }
        let (_, answer) = post(&server, event, &json!({"status": status})).await;
        assert_eq!(server.house.told(), [told], "{status}");
        match told {
            TransferNews::Missed(_) => {
                let endpoint = &parsed(&answer)[0]["endpoint"][0];
                assert_eq!(endpoint["type"], "websocket", "{status}");
                let token = Secret::new(endpoint["headers"]["token"].as_str().expect("a token").to_owned());
                assert!(server.gate.tokens.redeem(now(), "vonage", "c3", &token).is_ok());
            }
            _ => assert_eq!(answer, ""),
        }
        assert_eq!(post(&server, event, &json!({"status": "completed"})).await.0, StatusCode::NO_CONTENT);
    }
}
