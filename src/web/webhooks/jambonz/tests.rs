//! jambonz' hooks, asked by HTTP and over its application websocket.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt as _;

use super::super::Admission;
use super::super::outcomes::StreamOutcome;
use super::*;
use crate::call::handle::AdmitError;
use crate::call::input::{Missed, TransferNews};
use crate::config::Config;
use crate::telemetry::Secret;
use crate::web::gate::Gate;

const SECRET: &str = "wh_secret_invented";

struct Lines(Mutex<Result<(), AdmitError>>, Mutex<Vec<TransferNews>>);

impl Lines {
    fn told(&self) -> Vec<TransferNews> {
        self.1.lock().expect("not poisoned").clone()
    }
}

impl Admission for Lines {
    fn admit(&self) -> Result<(), AdmitError> {
        *self.0.lock().expect("not poisoned")
    }

    fn answered(&self, provider: &'static str, key: &str, call_id: &str) -> bool {
        (provider, key, call_id) == ("jambonz", "k1", "c-1")
    }

    fn transferred(&self, provider: &'static str, call_id: &str, news: TransferNews) {
        assert!(provider == "jambonz" && ["c-1", "k1"].contains(&call_id), "{call_id}");
        self.1.lock().expect("not poisoned").push(news);
    }
}

struct Server {
    state: WebhookState,
    lines: Arc<Lines>,
}

fn server(jambonz: &str) -> Server {
    let text = format!("[server]\npublic_url = \"https://voice.example.com\"\n[jambonz]\n{jambonz}");
    let config = Config::parse(&text, std::iter::empty()).expect("valid");
    let lines = Arc::new(Lines(Mutex::new(Ok(())), Mutex::default()));
    Server { state: WebhookState::new(&config, Arc::new(Gate::new(&config)), lines.clone()), lines }
}

fn signed() -> Server {
    server(&format!("webhook_secret = \"{SECRET}\""))
}

fn call() -> Value {
    json!({"call_sid": "c-1", "from": "+15005550006", "to": "+15005550001", "direction": "inbound"})
}

impl Server {
    async fn post(&self, path: &str, data: &Value, header: Option<String>) -> (StatusCode, Value) {
        let body = data.to_string();
        let request = Request::post(path).header("content-type", "application/json");
        let request = header.into_iter().fold(request, |request, value| request.header("jambonz-signature", value));
        let routes: Router = routes().with_state(self.state.clone());
        let response = routes.oneshot(request.body(Body::from(body)).expect("a request")).await.expect("answers");
        let status = response.status();
        let body = to_bytes(response.into_body(), 100_000).await.expect("a short body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn ask(&self, path: &str, data: &Value) -> Value {
        let header = stamped::sign(SECRET, unix_s(), data.to_string().as_bytes());
        let (status, verbs) = self.post(path, data, Some(header)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        verbs
    }

    fn to_a_person(&self) {
        let variables = [("summary".to_owned(), "Wants a refund.".to_owned().into())].into();
        let transfer = Transfer { target: "+15005550123".to_owned().into(), variables };
        self.state.0.gate.outcomes.record(now(), "c-1", StreamOutcome::Transfer(transfer));
    }

    fn redeem(&self, listen: &Value) {
        let token = Secret::new(listen["metadata"]["token"].as_str().expect("a token").to_owned());
        self.state.0.gate.tokens.redeem(now(), "jambonz", "c-1", &token).expect("good for this call");
    }
}

/// The path of an address of ours.
fn path(url: &Value) -> String {
    url.as_str().and_then(|url| url.strip_prefix("https://voice.example.com")).expect("ours").to_owned()
}

#[tokio::test]
async fn a_signed_call_is_joined_to_a_stream() {
    let server =
        server(&format!("webhook_secret = \"{SECRET}\"\nusername = \"u\"\npassword = \"p\"\nsample_rate = 16000"));
    let verbs = server.ask("/voice/jambonz/incoming", &call()).await;
    assert_eq!(verbs[0]["verb"], "answer");
    let listen = &verbs[1];
    assert_eq!((&listen["verb"], &listen["url"]), (&json!("listen"), &json!("wss://voice.example.com/media/jambonz")));
    assert_eq!(listen["wsAuth"], json!({"username": "u", "password": "p"}));
    assert_eq!(listen["bidirectionalAudio"], json!({"enabled": true, "streaming": true, "sampleRate": 16_000}));
    assert_eq!(path(&listen["actionHook"]), "/voice/jambonz/after?call=c-1");
    server.redeem(listen);
}

#[tokio::test]
async fn what_is_not_signed_now_is_refused() {
    let server = signed();
    let body = call().to_string();
    let at = |unix_s| Some(stamped::sign(SECRET, unix_s, body.as_bytes()));
    let other = Some(stamped::sign("other", unix_s(), body.as_bytes()));
    let elsewhere = Some(stamped::sign(SECRET, unix_s(), b"{}"));
    for header in [None, Some(String::new()), other, elsewhere, at(unix_s() - 400), at(unix_s() + 400)] {
        for what in ["incoming", "after", "confirm", "accept", "dialled", "status", "other"] {
            let (status, _) = server.post(&format!("/voice/jambonz/{what}"), &call(), header.clone()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{what} with {header:?}");
        }
    }
    let open = self::server("");
    let (status, _) = open.post("/voice/jambonz/incoming", &call(), Some(stamped::sign("", unix_s(), b"{}"))).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "no secret lets nobody in");
    let (status, _) = server.post("/voice/jambonz/other", &call(), at(unix_s())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn busy_lines_and_floods_are_told() {
    let server = signed();
    *server.lines.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let verbs = server.ask("/voice/jambonz/incoming", &call()).await;
    assert_eq!(verbs, json!([{"verb": "say", "text": BUSY_SENTENCE}, {"verb": "hangup"}]));
    *server.lines.0.lock().expect("not poisoned") = Ok(());
    let mut last = Value::Null;
    for _ in 0..60 {
        last = server.ask("/voice/jambonz/incoming", &call()).await;
    }
    assert_eq!(last[0]["verb"], "sip:decline");
}

#[tokio::test]
async fn a_person_takes_the_call_after_hearing_what_it_is_about() {
    let server = signed();
    assert_eq!(server.ask("/voice/jambonz/after?call=c-2", &call()).await[1]["verb"], "hangup", "after an apology");
    server.to_a_person();
    let dial = server.ask("/voice/jambonz/after?call=c-1", &call()).await[0].clone();
    assert_eq!((&dial["verb"], &dial["callerId"]), (&json!("dial"), &json!("+15005550001")));
    assert_eq!(dial["target"], json!([{"type": "phone", "number": "+15005550123"}]));
    // The called person's leg has a call of its own.
    let leg = json!({"call_sid": "c-9", "parent_call_sid": "c-1"});
    let gather = server.ask(&path(&dial["confirmHook"]), &leg).await[0].clone();
    assert!(gather["say"]["text"].as_str().expect("text").contains("Wants a refund. Press 1"), "{gather}");
    let pressed = json!({"call_sid": "c-9", "digits": "1", "reason": "dtmfDetected"});
    assert_eq!(server.ask(&path(&gather["actionHook"]), &pressed).await, json!([]));
    let done = json!({"call_sid": "c-1", "dial_call_status": "completed"});
    assert_eq!(server.ask(&path(&dial["actionHook"]), &done).await, json!([{"verb": "hangup"}]));
    assert_eq!(server.lines.told(), [TransferNews::Taken]);
}

#[tokio::test]
async fn a_caller_nobody_took_is_back_with_what_is_known() {
    for (status, pressed, missed) in [
        ("no-answer", None, Missed::NoAnswer),
        ("busy", None, Missed::Busy),
        ("completed", Some("2"), Missed::Declined),
        ("completed", Some(""), Missed::NoAnswer),
    ] {
        let server = signed();
        server.to_a_person();
        let dial = server.ask("/voice/jambonz/after?call=c-1", &call()).await[0].clone();
        if let Some(digits) = pressed {
            server.ask("/voice/jambonz/confirm?call=c-1", &json!({"call_sid": "c-9"})).await;
            let data = json!({"call_sid": "c-9", "digits": digits});
            let refused = server.ask("/voice/jambonz/accept?call=c-1", &data).await;
            assert_eq!(refused, json!([{"verb": "hangup"}]), "the person's leg ends");
        }
        let mut data = call();
        data["dial_call_status"] = Value::from(status);
        let verbs = server.ask(&path(&dial["actionHook"]), &data).await;
        let listen = &verbs[1];
        assert_eq!(server.lines.told(), [TransferNews::Missed(missed)]);
        server.redeem(listen);
        assert!(!server.state.0.gate.outcomes.is_known("c-1"), "the next end is news");
    }
}

fn control(server: &Server) -> Control<'_> {
    Control { inner: &server.state.0, call: None, outbox: VecDeque::new() }
}

fn said(control: &mut Control<'_>) -> Option<Value> {
    control.outbox.pop_front().map(|text| serde_json::from_str(&text).expect("JSON"))
}

fn message(kind: &str, more: Value) -> String {
    let mut message = json!({"type": kind, "msgid": "m", "call_sid": "c-1", "data": call()});
    more.as_object().expect("an object").iter().for_each(|(name, value)| message[name] = value.clone());
    message.to_string()
}

#[tokio::test]
async fn the_socket_is_told_the_same_verbs_with_paths_for_hooks() {
    let server = server("username = \"u\"\npassword = \"p\"");
    let mut control = control(&server);
    control.hear(&message("session:new", json!({})));
    let ack = said(&mut control).expect("an answer");
    assert_eq!((&ack["type"], &ack["msgid"]), (&json!("ack"), &json!("m")));
    assert_eq!(ack["data"][1]["actionHook"], "/voice/jambonz/after?call=c-1");
    server.redeem(&ack["data"][1]);
    control.hear(&message("session:new", json!({})));
    control.hear(&message("call:status", json!({})));
    control.hear(&message("jambonz:error", json!({"data": {"error": "x"}})));
    control.hear("{");
    assert_eq!(said(&mut control), None, "none of these wants an answer");
    control.hear(&message("session:reconnect", json!({})));
    assert_eq!(said(&mut control), Some(json!({"type": "ack", "msgid": "m"})), "go on");

    server.to_a_person();
    control.hear(&message("verb:hook", json!({"hook": "/voice/jambonz/after?call=c-1"})));
    let dial = said(&mut control).expect("an answer")["data"][0].clone();
    assert_eq!((&dial["verb"], &dial["confirmHook"]), (&json!("dial"), &json!("/voice/jambonz/confirm?call=c-1")));
    control.hear(&message("dial:confirm", json!({"hook": "/voice/jambonz/confirm?call=c-1"})));
    assert_eq!(said(&mut control).expect("an answer")["data"][0]["verb"], "gather");
    control.hear(&message("verb:hook", json!({"hook": "/elsewhere"})));
    assert_eq!(said(&mut control), Some(json!({"type": "ack", "msgid": "m"})));
    let later = now() + 10 * ASKS_WITHIN;
    control.look(later);
    control.look(later + ASKS_WITHIN);
    assert_eq!(said(&mut control), None, "it has asked");
}

#[tokio::test]
async fn a_call_that_does_not_ask_is_redirected() {
    let server = server("username = \"u\"\npassword = \"p\"");
    let mut control = control(&server);
    control.hear(&message("session:new", json!({})));
    said(&mut control).expect("an answer");
    let start = now();
    control.look(start);
    server.to_a_person();
    control.look(start);
    control.look(start + ASKS_WITHIN - Duration::from_millis(1));
    assert_eq!(said(&mut control), None, "it may still ask");
    control.look(start + ASKS_WITHIN);
    let command = said(&mut control).expect("a command");
    assert_eq!((&command["command"], &command["queueCommand"]), (&json!("redirect"), &json!(false)));
    assert_eq!(command["data"][0]["target"][0]["number"], "+15005550123");
    control.look(start + 2 * ASKS_WITHIN);
    assert_eq!(said(&mut control), None, "once");
}

/// A call of ours, known by its tag.
fn ours(key: &str, more: &Value) -> Value {
    let mut data = json!({"call_sid": "c-1", "from": "+15005550100", "to": "+15005550006", "direction": "outbound",
        "customerData": {"warmline": key}});
    more.as_object().expect("an object").iter().for_each(|(name, value)| data[name] = value.clone());
    data
}

#[tokio::test]
async fn who_is_called_by_us_streams_when_they_answer_and_is_given_up_when_they_do_not() {
    let server = signed();
    let verbs = server.ask("/voice/jambonz/incoming", &ours("k1", &json!({}))).await;
    let token = Secret::new(verbs[1]["metadata"]["token"].as_str().expect("a token").to_owned());
    let grant = server.state.0.gate.tokens.redeem(now(), "jambonz", "c-1", &token).expect("a good token");
    assert_eq!(grant.from.expect("a number").reveal(), "+15005550006", "they are the caller now");
    let late = server.ask("/voice/jambonz/incoming", &ours("given-up", &json!({}))).await;
    assert_eq!(late, json!([{"verb": "hangup"}]));
    for (status, missed) in [
        ("busy", Some(Missed::Busy)),
        ("no-answer", Some(Missed::NoAnswer)),
        ("failed", Some(Missed::Failed)),
        ("ringing", None),
        ("in-progress", None),
    ] {
        let data = ours("k1", &json!({"call_status": status}));
        let header = stamped::sign(SECRET, unix_s(), data.to_string().as_bytes());
        assert_eq!(server.post("/voice/jambonz/status", &data, Some(header)).await.0, StatusCode::NO_CONTENT);
        let told = std::mem::take(&mut *server.lines.1.lock().expect("not poisoned"));
        assert_eq!(told, missed.map(TransferNews::Missed).into_iter().collect::<Vec<_>>(), "{status}");
    }
    // The same over the application's socket.
    let mut control = Control { inner: &server.state.0, call: None, outbox: VecDeque::new() };
    let status = json!({"type": "call:status", "data": ours("k1", &json!({"call_status": "busy"}))});
    control.hear(&status.to_string());
    assert_eq!(server.lines.told(), [TransferNews::Missed(Missed::Busy)]);
}
