//! SignalWire's, Telnyx' and Plivo's webhooks, asked as these do.

use axum::extract::Request as ApiRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::call::input::{Missed, TransferNews};
use crate::telephony::signature::{ed25519, plivo};
use crate::web::gate::unix_s;

/// The public half of the vectors' key.
pub(super) const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

fn telnyx_key() -> ed25519::SigningKey {
    ed25519::SigningKey::from_seed(&BASE64.encode((0..32).collect::<Vec<u8>>())).expect("a seed")
}

fn server_of(sections: &str) -> Server {
    server(&format!("[server]\npublic_url = \"{BASE}\"\ncalls_per_minute_per_caller = 3\n{sections}"))
}

async fn post(server: &Server, path: &str, headers: &[(&str, String)], body: String) -> (StatusCode, String) {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, value));
    server.ask(request.body(Body::from(body)).expect("a request")).await
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn tampered(body: &str) -> String {
    body.replace("15005550006", "15005550007")
}

fn attribute(document: &str, name: &str) -> String {
    let (_, rest) = document.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {document}"));
    rest.split_once('"').expect("quoted").0.to_owned()
}

#[tokio::test]
async fn signalwire_joins_a_stream_with_its_codec_and_a_bearer_token() {
    let server = server_of("[signalwire]\nsigning_key = \"key\"\ncodec = \"L16@16000h\"");
    let body = encoded(CALL);
    for header in ["x-signalwire-signature", TWILIO_HEADER] {
        let path = "/voice/signalwire/incoming";
        let signature = sign_twilio("key", &format!("{BASE}{path}"), &owned(CALL));
        let (status, document) = post(&server, path, &[(header, signature.clone())], body.clone()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(attribute(&document, "url"), "wss://voice.example.com/media/signalwire");
        assert_eq!(attribute(&document, "codec"), "L16@16000h");
        let token = Secret::new(attribute(&document, "authBearerToken"));
        assert!(server.gate.tokens.redeem(now(), "signalwire", "CA1", &token).is_ok(), "{document}");
        let refused = post(&server, path, &[(header, signature)], tampered(&body)).await;
        assert_eq!(refused.0, StatusCode::FORBIDDEN);
    }
    let path = "/voice/signalwire/after";
    let signature = sign_twilio("key", &format!("{BASE}{path}"), &owned(&[("CallSid", "CA9")]));
    let (_, document) = post(&server, path, &[(TWILIO_HEADER, signature)], encoded(&[("CallSid", "CA9")])).await;
    assert!(document.contains(APOLOGY_SENTENCE), "a call nobody knows: {document}");
}

#[tokio::test]
async fn plivo_joins_a_stream_once_for_each_nonce() {
    let server = server_of("[plivo]\nauth_token = \"MAXinventedtoken\"");
    let call = [("CallUUID", "12345678-0000-4000-8000-0000000cafe0"), ("From", "15005550006"), ("To", "15005550001")];
    let path = "/voice/plivo/incoming";
    let ask = async |nonce: &str, body: String| {
        let signature = plivo::sign("MAXinventedtoken", &format!("{BASE}{path}"), Some(&owned(&call)), nonce);
        let headers = [(plivo::SIGNATURE_HEADER, signature), (plivo::NONCE_HEADER, nonce.to_owned())];
        post(&server, path, &headers, body).await
    };
    let (status, document) = ask("1", encoded(&call)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(document.contains(">wss://voice.example.com/media/plivo</Stream>"), "the address is text: {document}");
    assert!(document.contains("<Redirect>https://voice.example.com/voice/plivo/after</Redirect>"), "{document}");
    assert_eq!(attribute(&document, "contentType"), "audio/x-mulaw;rate=8000");
    let headers = attribute(&document, "extraHeaders");
    let token = headers.strip_prefix("token=").expect("a token");
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "Plivo takes letters and digits only");
    let grant = server.gate.tokens.redeem(now(), "plivo", call[0].1, &Secret::new(token.to_owned()));
    assert_eq!(grant.expect("a good token").from, Some(Pii::new("15005550006".to_owned())));
    assert_eq!(ask("1", encoded(&call)).await.0, StatusCode::FORBIDDEN, "the same once more");
    assert_eq!(ask("2", tampered(&encoded(&call))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask("", encoded(&call)).await.0, StatusCode::FORBIDDEN);
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let (_, document) = ask("3", encoded(&call)).await;
    assert!(document.contains(&format!("<Speak>{BUSY_SENTENCE}</Speak><Hangup/>")), "{document}");
    *server.house.0.lock().expect("not poisoned") = Ok(());
    ask("4", encoded(&call)).await;
    let (_, document) = ask("5", encoded(&call)).await;
    assert!(document.contains("<Hangup reason=\"busy\"/>"), "too often: {document}");
}

#[tokio::test]
async fn plivos_vectors_are_taken_as_they_are() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/signatures.json")).expect("JSON");
    let vector = &vectors["plivo_post_with_query"];
    let text = |key: &str| vector[key].as_str().expect("text").to_owned();
    let config =
        format!("[server]\npublic_url = \"https://agent.example.com\"\n[plivo]\nauth_token = {}", vector["auth_token"]);
    let config = Config::parse(&config, std::iter::empty()).expect("valid");
    let gate = Arc::new(Gate::new(&config));
    let fields: Vec<(String, String)> = vector["params"]
        .as_object()
        .expect("parameters")
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
        .collect();
    let verified = plivo::verify(
        gate.providers.plivo.auth_token.expose(),
        &text("url"),
        Some(&fields),
        &text("value"),
        &text("nonce"),
        now(),
        &gate.replays,
    );
    assert_eq!(verified, Ok(()));
}

#[tokio::test]
async fn texml_asks_for_rtp_in_both_directions() {
    let server = server_of(&format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\ncodec = \"G722\""));
    let (path, body) = ("/voice/telnyx/texml/incoming", encoded(CALL));
    let signed = |stamp: i64, body: &str| {
        let signature = telnyx_key().sign(&stamp.to_string(), body.as_bytes());
        [(ed25519::TIMESTAMP_HEADER, stamp.to_string()), (ed25519::SIGNATURE_HEADER, signature)]
    };
    let (status, document) = post(&server, path, &signed(unix_s(), &body), body.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let expected = [
        ("url", "wss://voice.example.com/media/telnyx"),
        ("bidirectionalMode", "rtp"),
        ("codec", "G722"),
        ("bidirectionalCodec", "G722"),
        ("bidirectionalSamplingRate", "16000"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(&document, name), value, "{document}");
    }
    assert!(document.contains("<Parameter name=\"call_id\" value=\"CA1\"/>"), "{document}");
    assert!(!document.contains("\"account\""), "the form names none: {document}");
    let named = format!("{body}&AccountSid=acc-1");
    let (_, other) = post(&server, path, &signed(unix_s(), &named), named).await;
    assert!(other.contains("<Parameter name=\"account\" value=\"acc-1\"/>"), "{other}");
    assert!(server.gate.tokens.redeem(now(), "telnyx", "CA1", &token_of(&document)).is_ok());
    for (headers, body) in [
        (signed(unix_s(), &body), tampered(&body)),
        (signed(unix_s() - 400, &body), body.clone()),
        ([(ed25519::TIMESTAMP_HEADER, unix_s().to_string()), (ed25519::SIGNATURE_HEADER, String::new())], body),
    ] {
        assert_eq!(post(&server, path, &headers, body).await.0, StatusCode::FORBIDDEN);
    }
}

/// Telnyx' API: keeps what it was asked.
struct Api {
    base: String,
    asked: Arc<Mutex<Vec<(String, String, Value)>>>,
    _server: JoinSet<()>,
}

impl Api {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = asked.clone();
        let take = move |request: ApiRequest| {
            let seen = seen.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 100_000).await.expect("short");
                let key = parts.headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or_default();
                let line = format!("{} {}", parts.method, parts.uri.path());
                let body = serde_json::from_slice(&body).expect("JSON");
                seen.lock().expect("not poisoned").push((line, key.to_owned(), body));
                axum::Json(json!({"data": {"result": "ok", "call_control_id": "v3:person"}}))
            }
        };
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, Router::new().fallback(take)).await) });
        Self { base, asked, _server: server }
    }

    /// What was asked since the last time: line and body.
    fn lines(&self) -> Vec<(String, Value)> {
        let asked = std::mem::take(&mut *self.asked.lock().expect("not poisoned"));
        let one = |(line, key, body): (String, String, Value)| {
            assert_eq!(key, "Bearer KEY");
            (line, body)
        };
        asked.into_iter().map(one).collect()
    }

    /// What was asked since the last time: the line without the call's path, and the body.
    fn take(&self) -> Vec<(String, Value)> {
        let action = |line: &str| line.strip_prefix("POST /v2/calls/v3:call/actions/").expect("a command").to_owned();
        self.lines().into_iter().map(|(line, body)| (action(&line), body)).collect()
    }
}

/// As Telnyx posts an event.
async fn tell(server: &Server, event: &str, payload: Value) -> StatusCode {
    tell_of(server, "v3:call", event, payload).await
}

/// The same about any call.
pub(super) async fn tell_of(server: &Server, call_id: &str, event: &str, mut payload: Value) -> StatusCode {
    payload["call_control_id"] = call_id.into();
    let body = json!({"data": {"id": "e1", "event_type": event, "payload": payload}}).to_string();
    let stamp = unix_s().to_string();
    let signature = telnyx_key().sign(&stamp, body.as_bytes());
    let headers = [(ed25519::TIMESTAMP_HEADER, stamp), (ed25519::SIGNATURE_HEADER, signature)];
    post(server, "/voice/telnyx/incoming", &headers, body).await.0
}

#[tokio::test]
async fn call_control_is_answered_with_a_stream_and_hung_up_after_it() {
    let api = Api::open().await;
    let keys = format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\napi_key = \"KEY\"\napi_url = \"{}\"", api.base);
    let server = server_of(&keys);
    let call = json!({"direction": "incoming", "from": "+15005550006", "to": "+15005550001"});
    assert_eq!(tell(&server, "call.initiated", call.clone()).await, StatusCode::OK);
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!((action.as_str(), &body["command_id"]), ("answer", &json!("e1-answer")));
    tell(&server, "call.answered", json!({"client_state": body["client_state"]})).await;
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!((action.as_str(), &body["command_id"]), ("streaming_start", &json!("e1-streaming_start")));
    assert_eq!(body["stream_url"], "wss://voice.example.com/media/telnyx");
    assert_eq!(
        (&body["stream_bidirectional_mode"], &body["stream_bidirectional_codec"], &body["stream_codec"]),
        (&json!("rtp"), &json!("PCMU"), &json!("PCMU"))
    );
    let token = Secret::new(body["stream_auth_token"].as_str().expect("a token").to_owned());
    assert_eq!(body["custom_parameters"][0]["value"], json!(token.expose()));
    let grant = server.gate.tokens.redeem(now(), "telnyx", "v3:call", &token).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())));

    server.gate.outcomes.record(now(), "v3:call", StreamOutcome::Ended);
    tell(&server, "streaming.stopped", json!({})).await;
    assert_eq!(api.take(), [("hangup".to_owned(), json!({"command_id": "e1-hangup"}))]);
    let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
    server.gate.outcomes.record(now(), "v3:call", StreamOutcome::Transfer(transfer));
    tell(&server, "streaming.stopped", json!({})).await;
    let state = BASE64.encode("warmline:person:v3:call");
    let expected = json!({
        "to": "+15005550123",
        "timeout_secs": 25,
        "target_leg_client_state": state,
        "command_id": "e1-transfer",
    });
    assert_eq!(api.take(), [("transfer".to_owned(), expected)]);
    // Nobody answers, and the caller gets a stream again; then somebody does.
    let about = |more: Value| {
        let mut payload = json!({"client_state": state});
        more.as_object().expect("an object").iter().for_each(|(name, value)| payload[name] = value.clone());
        payload
    };
    tell(&server, "call.initiated", about(json!({"direction": "outgoing"}))).await;
    tell(&server, "call.hangup", about(json!({"hangup_cause": "user_busy"}))).await;
    assert_eq!(server.house.told(), [TransferNews::Missed(Missed::Busy)]);
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!((action.as_str(), &body["custom_parameters"][1]["value"]), ("streaming_start", &json!("v3:call")));
    let token = Secret::new(body["stream_auth_token"].as_str().expect("a token").to_owned());
    assert!(server.gate.tokens.redeem(now(), "telnyx", "v3:call", &token).is_ok());
    let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
    server.gate.outcomes.record(now(), "v3:call", StreamOutcome::Transfer(transfer));
    tell(&server, "call.answered", about(json!({}))).await;
    tell(&server, "call.bridged", about(json!({}))).await;
    assert_eq!(server.house.told(), [TransferNews::Taken]);
    assert_eq!(api.take(), []);
    tell(&server, "call.hangup", about(json!({"hangup_cause": "normal_clearing"}))).await;
    assert_eq!(api.take()[0].0, "hangup", "of the caller");

    // Something broke: a sentence first, and what was said comes back as our own state.
    tell(&server, "streaming.failed", json!({})).await;
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!((action.as_str(), &body["payload"]), ("speak", &json!(APOLOGY_SENTENCE)));
    tell(&server, "call.speak.ended", json!({"client_state": body["client_state"]})).await;
    assert_eq!(api.take()[0].0, "hangup");

    for (event, payload) in [
        ("call.hangup", json!({})),
        ("call.speak.ended", json!({})),
        ("call.initiated", json!({"direction": "outgoing"})),
        ("call.answered", json!({"client_state": "c29tZWJvZHkgZWxzZSdz"})),
        ("call.answered", json!({})),
    ] {
        assert_eq!(tell(&server, event, payload).await, StatusCode::OK);
        assert_eq!(api.take(), [], "{event}");
    }
}

/// A caller whose stream is over because a person is to be called: what Telnyx is asked, and what it says of the person.
struct Outside {
    api: Api,
    server: Server,
}

impl Outside {
    /// The person's telephone rings.
    async fn ring() -> Self {
        let api = Api::open().await;
        let keys = format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\napi_key = \"KEY\"\napi_url = \"{}\"", api.base);
        let server = server_of(&keys);
        let call = json!({"direction": "incoming", "from": "+15005550006", "to": "+15005550001"});
        tell(&server, "call.initiated", call).await;
        let state = api.take()[0].1["client_state"].clone();
        let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
        let transfer = Transfer { target: "+15005550123".to_owned().into(), variables };
        server.gate.outcomes.record(now(), "v3:call", StreamOutcome::Transfer(transfer));
        let stopped = json!({"client_state": state, "connection_id": "17"});
        tell(&server, "streaming.stopped", stopped).await;
        let asked = api.lines();
        let expected = json!({
            "connection_id": "17",
            "to": "+15005550123",
            "from": "+15005550001",
            "timeout_secs": 25,
            "link_to": "v3:call",
            "answering_machine_detection": "premium",
            "client_state": BASE64.encode("warmline:dialled:v3:call"),
            "command_id": "e1-dial",
        });
        assert_eq!(asked[0], ("POST /v2/calls".to_owned(), expected));
        let music = json!({
            "audio_url": "https://voice.example.com/voice/hold.wav",
            "loop": "infinity",
            "command_id": "e1-playback_start",
        });
        assert_eq!(asked[1..], [("POST /v2/calls/v3:call/actions/playback_start".to_owned(), music)]);
        Self { api, server }
    }

    /// Telnyx tells something of the person.
    async fn person(&self, event: &str, mut payload: Value) -> Vec<(String, Value)> {
        payload["client_state"] = BASE64.encode("warmline:dialled:v3:call").into();
        assert_eq!(tell_of(&self.server, "v3:person", event, payload).await, StatusCode::OK);
        let action = |(line, body): (String, Value)| {
            (line.strip_prefix("POST /v2/calls/v3:").expect("a command").replace("/actions/", " "), body)
        };
        self.api.lines().into_iter().map(action).collect()
    }

    /// The person answers and is asked.
    async fn answered(&self) {
        let asked = self.person("call.answered", json!({})).await;
        let [(line, body)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(line, "person gather_using_speak");
        assert_eq!(body["payload"], "A caller is waiting for you. Wants a refund. Press 1 to take the call.");
        assert_eq!((&body["maximum_digits"], &body["timeout_millis"]), (&json!(1), &json!(10_000)));
    }

    /// The caller gets a new stream of the same call.
    fn is_back(&self, asked: &[(String, Value)], missed: Missed) {
        let lines: Vec<_> = asked.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["call playback_stop", "call streaming_start"]);
        let token = Secret::new(asked[1].1["stream_auth_token"].as_str().expect("a token").to_owned());
        assert!(self.server.gate.tokens.redeem(now(), "telnyx", "v3:call", &token).is_ok());
        assert_eq!(self.server.house.told(), [TransferNews::Missed(missed)]);
    }
}

fn lines(asked: &[(String, Value)]) -> Vec<&str> {
    asked.iter().map(|(line, _)| line.as_str()).collect()
}

#[tokio::test]
async fn a_person_called_by_call_control_hears_the_brief_and_is_bridged_by_a_key() {
    let outside = Outside::ring().await;
    assert_eq!(outside.person("call.initiated", json!({"direction": "outgoing"})).await, []);
    outside.answered().await;
    let human = json!({"result": "human_business"});
    assert_eq!(outside.person("call.machine.premium.detection.ended", human).await, []);
    assert_eq!(outside.server.house.told(), [], "answered is not taken");
    let asked = outside.person("call.gather.ended", json!({"status": "valid", "digits": "1"})).await;
    assert_eq!(lines(&asked), ["call playback_stop", "call bridge"]);
    assert_eq!(asked[1].1, json!({"call_control_id": "v3:person", "command_id": "e1-bridge"}));
    assert_eq!(outside.server.house.told(), [TransferNews::Taken]);
    assert_eq!(outside.person("call.bridged", json!({})).await, []);
    let over = outside.person("call.hangup", json!({"hangup_cause": "normal_clearing"})).await;
    assert_eq!(lines(&over), ["call hangup"], "after the conversation both are released");
    assert_eq!(outside.server.house.told(), []);
}

#[tokio::test]
async fn who_does_not_answer_or_does_not_want_it_brings_the_caller_back() {
    for (cause, missed) in [
        ("user_busy", Missed::Busy),
        ("timeout", Missed::NoAnswer),
        ("call_rejected", Missed::Declined),
        ("unallocated_number", Missed::Failed),
    ] {
        let outside = Outside::ring().await;
        outside.is_back(&outside.person("call.hangup", json!({"hangup_cause": cause})).await, missed);
    }
    for (digits, missed) in [("2", Missed::Declined), ("", Missed::NoAnswer)] {
        let outside = Outside::ring().await;
        outside.answered().await;
        let status = if digits.is_empty() { "timeout" } else { "valid" };
        let asked = outside.person("call.gather.ended", json!({"status": status, "digits": digits})).await;
        assert_eq!(lines(&asked), ["person hangup"]);
        let over = outside.person("call.hangup", json!({"hangup_cause": "normal_clearing"})).await;
        outside.is_back(&over, missed);
    }
    // Hung up while the question was asked.
    let outside = Outside::ring().await;
    outside.answered().await;
    assert_eq!(outside.person("call.gather.ended", json!({"status": "call_hangup", "digits": ""})).await, []);
    let over = outside.person("call.hangup", json!({"hangup_cause": "normal_clearing"})).await;
    outside.is_back(&over, Missed::NoAnswer);
}

#[tokio::test]
async fn a_machine_is_hung_up_on_and_brings_the_caller_back() {
    for (event, result) in [
        ("call.machine.premium.detection.ended", "machine"),
        ("call.machine.premium.detection.ended", "fax_detected"),
        ("call.machine.premium.greeting.ended", "beep_detected"),
        ("call.machine.detection.ended", "machine"),
    ] {
        let outside = Outside::ring().await;
        outside.answered().await;
        let asked = outside.person(event, json!({"result": result})).await;
        assert_eq!(lines(&asked), ["person hangup"], "{event} {result}");
        let over = outside.person("call.hangup", json!({"hangup_cause": "normal_clearing"})).await;
        outside.is_back(&over, Missed::Voicemail);
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_call_to_the_person() {
    let outside = Outside::ring().await;
    tell(&outside.server, "call.hangup", json!({"hangup_cause": "normal_clearing"})).await;
    let asked = outside.api.lines();
    assert_eq!(asked[0].0, "POST /v2/calls/v3:person/actions/hangup");
    assert_eq!(outside.server.house.told(), [TransferNews::CallerLeft]);
    // It was answered in the same moment: there is nobody to be joined with any more.
    let asked = outside.person("call.answered", json!({})).await;
    assert_eq!(lines(&asked), ["person hangup"]);
    let asked = outside.person("call.gather.ended", json!({"status": "valid", "digits": "1"})).await;
    assert_eq!(lines(&asked), ["person hangup"]);
    assert_eq!(outside.server.house.told(), []);
}

#[tokio::test]
async fn a_person_who_cannot_be_called_brings_the_caller_back_at_once() {
    let gone = "http://127.0.0.1:1";
    let keys = format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\napi_key = \"KEY\"\napi_url = \"{gone}\"");
    let server = server_of(&keys);
    let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
    server.gate.outcomes.record(now(), "v3:call", StreamOutcome::Transfer(transfer));
    let state = BASE64.encode("warmline:talk:token +15005550001");
    tell(&server, "streaming.stopped", json!({"client_state": state, "connection_id": "17"})).await;
    assert_eq!(server.house.told(), [TransferNews::Missed(Missed::Failed)]);
}

#[tokio::test]
async fn the_music_for_callers_who_wait_is_a_file_telnyx_can_play() {
    let server = server_of(&format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\""));
    let request = Request::get("/voice/hold.wav").body(Body::empty()).expect("a request");
    let response = server.routes.clone().oneshot(request).await.expect("routes never fail");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "audio/wav");
    let file = to_bytes(response.into_body(), 1_000_000).await.expect("a file");
    let reader = hound::WavReader::new(std::io::Cursor::new(file)).expect("a WAV file");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8_000, 1));
    assert!(reader.duration() > 50_000, "{} samples", reader.duration());
}

#[tokio::test]
async fn call_control_says_that_all_lines_are_busy_and_rejects_a_flood() {
    let api = Api::open().await;
    let keys = format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\"\napi_key = \"KEY\"\napi_url = \"{}\"", api.base);
    let server = server_of(&keys);
    let call = json!({"direction": "incoming", "from": "+15005550006", "to": "+15005550001"});
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    tell(&server, "call.initiated", call.clone()).await;
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!(action, "answer");
    tell(&server, "call.answered", json!({"client_state": body["client_state"]})).await;
    let [(action, body)] = &api.take()[..] else { panic!("one command") };
    assert_eq!((action.as_str(), &body["payload"]), ("speak", &json!(BUSY_SENTENCE)));
    for _ in 0..2 {
        tell(&server, "call.initiated", call.clone()).await;
    }
    api.take();
    tell(&server, "call.initiated", call).await;
    assert_eq!(api.take()[0].0, "reject");
}

#[tokio::test]
async fn events_that_are_not_telnyxs_or_name_no_call_are_refused() {
    let server = server_of(&format!("[telnyx]\npublic_key = \"{PUBLIC_KEY}\""));
    let path = "/voice/telnyx/incoming";
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/signatures.json")).expect("JSON");
    let vector = &vectors["telnyx"];
    let header = |name: &'static str| (name, vector["headers"][name].as_str().expect("text").to_owned());
    let headers = [header(ed25519::TIMESTAMP_HEADER), header(ed25519::SIGNATURE_HEADER)];
    let body = vector["body"].as_str().expect("text").to_owned();
    assert_eq!(post(&server, path, &headers, body).await.0, StatusCode::FORBIDDEN, "well signed, long ago");
    let event = |id: &str| json!({"data": {"event_type": "call.initiated", "payload": {"call_control_id": id}}});
    for body in [event("").to_string(), event("../x").to_string(), event(&"v".repeat(300)).to_string(), "{".to_owned()]
    {
        let stamp = unix_s().to_string();
        let signature = telnyx_key().sign(&stamp, body.as_bytes());
        let headers = [(ed25519::TIMESTAMP_HEADER, stamp), (ed25519::SIGNATURE_HEADER, signature)];
        assert_eq!(post(&server, path, &headers, body).await.0, StatusCode::BAD_REQUEST);
    }
}
