//! The provider's side of calls we make: an API that makes every call it is asked for, and the webhooks that tell what became
//! of them, each in its provider's words.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use warmline::cli::call::player::Dial;
use warmline::telemetry::Secret;

use super::front_desk::{FrontDesk, PATIENCE, until};
use super::house::{jambonz_json, secret_of, signed_form, telnyx_event, vonage_json, with_password};

/// The provider's name for every call we make.
pub const CALLED: &str = "CA00000000000000000000000000000002";
/// Who is called, and from where.
const CALLEE: &str = "+15005550006";
const OURS: &str = "+15005550100";
const KEY: &str = include_str!("../../fixtures/vonage/application.pem");

type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// A provider's API.
pub struct Api {
    pub base: String,
    provider: &'static str,
    /// Paths with their queries, and bodies.
    requests: Requests,
    /// Whether it answers yet.
    answers: watch::Sender<bool>,
    _server: JoinSet<()>,
}

impl Api {
    pub async fn open(provider: &'static str) -> Self {
        let api = Self::open_silent(provider).await;
        api.answer();
        api
    }

    /// One that takes requests and answers none before it is told to.
    pub async fn open_silent(provider: &'static str) -> Self {
        type Desk = (Requests, watch::Receiver<bool>);
        async fn take(State((requests, mut answers)): State<Desk>, request: Request) -> axum::Json<Value> {
            let path = request.uri().to_string();
            let body = axum::body::to_bytes(request.into_body(), 100_000).await.expect("short");
            let body = String::from_utf8(body.to_vec()).expect("text");
            requests.lock().expect("not poisoned").push((path, body));
            drop(answers.wait_for(|yes| *yes).await);
            // Each looks for its own.
            axum::Json(json!({
                "sid": CALLED,
                "request_uuid": CALLED,
                "uuid": CALLED,
                "callId": CALLED,
                "id": CALLED,
                "data": {"call_control_id": CALLED, "result": "ok"},
            }))
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Requests::default();
        let (answers, told) = watch::channel(false);
        let app = Router::new().fallback(take).with_state((requests.clone(), told));
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { base, provider, requests, answers, _server: server }
    }

    /// Answers from now on, those who wait as well.
    pub fn answer(&self) {
        self.answers.send_replace(true);
    }

    /// What stands in the provider's section for this API to be asked.
    pub fn account(&self) -> String {
        if self.provider == "asterisk" {
            let user = "ari_username = \"desk\"\nari_password = \"ari-word\"\nari_context = \"warmline-after\"";
            let dial = format!("dial = \"PJSIP/NUMBER@trunk\"\nnumber = \"{OURS}\"");
            return format!("{user}\n{dial}\nari_url = \"{}/ari\"", self.base);
        }
        let own = match self.provider {
            "twilio" => "account_sid = \"AC1\"".to_owned(),
            "signalwire" => "project_id = \"p-1\"\napi_token = \"PT1\"".to_owned(),
            "telnyx" => "api_key = \"KEY\"\nconnection_id = \"177\"".to_owned(),
            "plivo" => "auth_id = \"MA1\"".to_owned(),
            "bandwidth" => {
                "account_id = \"5500\"\napi_username = \"user-1\"\napi_password = \"API\"\napplication_id = \"app-1\""
                    .to_owned()
            }
            "jambonz" => "account_sid = \"acc-1\"\napi_key = \"KEY\"\napplication_sid = \"app-1\"".to_owned(),
            "vonage" => format!("private_key = \"\"\"\n{KEY}\"\"\""),
            other => panic!("{other} makes no calls"),
        };
        format!("{own}\nnumber = \"{OURS}\"\napi_url = \"{}\"", self.base)
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.requests.lock().expect("not poisoned").len()
    }

    /// Path and body of the `nth` request whose path ends so.
    pub async fn request(&self, path: &str, nth: usize) -> (String, String) {
        let find = || {
            let requests = self.requests.lock().expect("not poisoned");
            requests.iter().filter(|(asked, _)| asked.ends_with(path)).nth(nth).cloned()
        };
        until("the API is asked", async || find().is_some()).await;
        find().expect("just seen")
    }

    /// Twilio's API is asked to let a call ask us what becomes of it, and in no other words.
    pub async fn moved_by_twilio(&self, desk: &FrontDesk, call: &str) {
        let (path, form) = self.request(&format!("/Calls/{call}.json"), 0).await;
        assert_eq!(path, format!("/2010-04-01/Accounts/AC1/Calls/{call}.json"));
        let fields: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let after = format!("{}/voice/twilio/after", desk.base);
        assert_eq!(fields, [("Url".to_owned(), after), ("Method".to_owned(), "POST".to_owned())]);
    }

    /// The key under which the `nth` call was asked for.
    pub async fn key(&self, nth: usize) -> String {
        let path = match self.provider {
            "twilio" => "/2010-04-01/Accounts/AC1/Calls.json",
            "signalwire" => "/api/laml/2010-04-01/Accounts/p-1/Calls.json",
            "telnyx" => "/v2/calls",
            "plivo" => "/v1/Account/MA1/Call/",
            "bandwidth" => "/accounts/5500/calls",
            "jambonz" => "/v1/Accounts/acc-1/Calls",
            // Its names for channels are ours, so the key is in it.
            "asterisk" => "",
            _ => "/v1/calls",
        };
        let (_, body) = self.request(path, nth).await;
        let plain = |number: &str| number.trim_start_matches('+').to_owned();
        let (to, from, key) = match self.provider {
            "twilio" | "signalwire" => {
                let field = |wanted: &str| {
                    let value = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == wanted);
                    value.unwrap_or_else(|| panic!("no {wanted} in {body}")).1.into_owned()
                };
                (field("To"), field("From"), after(&field("Url"), "answered?call="))
            }
            provider => {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
                match provider {
                    "telnyx" => {
                        let state = BASE64.decode(text(&body["client_state"])).expect("base64");
                        let state = String::from_utf8(state).expect("text");
                        (text(&body["to"]), text(&body["from"]), after(&state, "warmline:out:"))
                    }
                    "plivo" => {
                        (text(&body["to"]), text(&body["from"]), after(&text(&body["answer_url"]), "answered?call="))
                    }
                    "bandwidth" => {
                        (text(&body["to"]), text(&body["from"]), after(&text(&body["answerUrl"]), "answered?call="))
                    }
                    "jambonz" => (text(&body["to"]["number"]), text(&body["from"]), text(&body["tag"]["warmline"])),
                    "asterisk" => {
                        let variable = |name: &str| text(&body["variables"][name]);
                        assert_eq!(variable("WARMLINE_DIAL"), format!("PJSIP/{CALLEE}@trunk"));
                        (variable("WARMLINE_TO"), variable("WARMLINE_FROM"), variable("WARMLINE_KEY"))
                    }
                    _ => (
                        text(&body["to"][0]["number"]),
                        text(&body["from"]["number"]),
                        after(&text(&body["answer_url"][0]), "answered?call="),
                    ),
                }
            }
        };
        assert_eq!((plain(&to), plain(&from)), (plain(CALLEE), plain(OURS)), "{body}");
        key
    }

    /// They have answered: the token of their stream, or nothing when they are not to be joined.
    pub async fn answered(&self, desk: &FrontDesk, key: &str) -> Option<Secret<String>> {
        let token = match self.provider {
            "telnyx" => {
                let more = json!({"result": "human_residence"});
                self.telnyx(desk, key, "call.answered", json!({})).await;
                self.telnyx(desk, key, "call.machine.premium.detection.ended", more).await;
                let last = self.requests.lock().expect("not poisoned").last().cloned().expect("commanded");
                let body: Value = serde_json::from_str(&last.1).expect("JSON");
                last.0.ends_with("/actions/streaming_start").then(|| body["stream_auth_token"].clone())?
            }
            "vonage" => {
                let body = json!({"uuid": CALLED, "from": &OURS[1..], "to": &CALLEE[1..]});
                let answer = vonage_json(&desk.http, &desk.base, &format!("answered?call={key}"), &body).await;
                let ncco: Value = serde_json::from_str(&answer).expect("JSON");
                ncco.pointer("/0/endpoint/0/headers/token")?.clone()
            }
            "bandwidth" => {
                let human = json!({"machineDetectionResult": {"value": "human"}});
                let document = self.bandwidth(desk, &format!("answered?call={key}"), human).await;
                document.split_once("name=\"token\" value=\"")?.1.split_once('"').expect("quoted").0.into()
            }
            "jambonz" => {
                let answer = self.jambonz(desk, "incoming", key, "in-progress").await;
                let verbs: Value = serde_json::from_str(&answer).expect("JSON");
                verbs.pointer("/1/metadata/token")?.clone()
            }
            "asterisk" => {
                let form = [("key", key), ("call", CALLED), ("from", OURS), ("to", CALLEE)];
                match self.asterisk(desk, "answered", &form).await.as_str() {
                    "hangup" => return None,
                    token => token.into(),
                }
            }
            _ => {
                let document = self.form(desk, &format!("answered?call={key}"), &[("AnsweredBy", "human")]).await;
                let token = match document.split_once("token=") {
                    Some((_, token)) => token,
                    None => document.split_once("name=\"token\" value=\"")?.1,
                };
                token.split_once('"').expect("quoted").0.into()
            }
        };
        Some(Secret::new(token.as_str().expect("text").to_owned()))
    }

    /// They have not answered.
    pub async fn unanswered(&self, desk: &FrontDesk, key: &str) {
        match self.provider {
            "telnyx" => self.telnyx(desk, key, "call.hangup", json!({"hangup_cause": "timeout"})).await,
            "vonage" => self.vonage(desk, key, "timeout").await,
            "bandwidth" => {
                self.bandwidth(desk, &format!("unanswered?call={key}"), json!({"cause": "timeout"})).await;
            }
            "jambonz" => drop(self.jambonz(desk, "status", key, "no-answer").await),
            "asterisk" => drop(self.asterisk(desk, "unanswered", &[("key", key), ("status", "NOANSWER")]).await),
            _ => drop(self.form(desk, &format!("dialled?call={key}"), &[("CallStatus", "no-answer")]).await),
        }
    }

    /// A machine has answered.
    pub async fn machine(&self, desk: &FrontDesk, key: &str) {
        match self.provider {
            "telnyx" => {
                self.telnyx(desk, key, "call.machine.premium.detection.ended", json!({"result": "machine"})).await;
            }
            "vonage" => self.vonage(desk, key, "machine").await,
            "bandwidth" => {
                let machine = json!({"machineDetectionResult": {"value": "answering-machine"}});
                let document = self.bandwidth(desk, &format!("answered?call={key}"), machine).await;
                assert!(document.contains("<Hangup/>") && !document.contains("token"), "{document}");
            }
            // Plivo hangs up by itself, and says why.
            "plivo" => {
                let over = [("CallStatus", "completed"), ("Machine", "true")];
                self.form(desk, &format!("dialled?call={key}"), &over).await;
            }
            _ => {
                let document =
                    self.form(desk, &format!("answered?call={key}"), &[("AnsweredBy", "machine_start")]).await;
                assert!(document.contains("<Hangup/>") && !document.contains("token"), "{document}");
            }
        }
    }

    /// A player for their line.
    pub fn dial(&self, desk: &FrontDesk, token: Secret<String>) -> Dial {
        let mut dial = Dial { token: Some(token), ..dial(desk, self.provider, CALLED) };
        if self.provider == "jambonz" {
            // Its audio socket brings the name and password that the verb told it.
            dial.auth_token = Secret::new("desk:secret".to_owned());
        }
        dial
    }

    async fn form(&self, desk: &FrontDesk, path: &str, more: &[(&str, &str)]) -> String {
        let name = if self.provider == "plivo" { "CallUUID" } else { "CallSid" };
        let fields: Vec<_> =
            [(name, CALLED), ("From", OURS), ("To", CALLEE)].into_iter().chain(more.iter().copied()).collect();
        signed_form(&desk.http, &desk.base, self.provider, path, &fields).await
    }

    async fn telnyx(&self, desk: &FrontDesk, key: &str, event: &str, mut payload: Value) {
        payload["client_state"] = BASE64.encode(format!("warmline:out:{key}")).into();
        payload["call_control_id"] = CALLED.into();
        (payload["from"], payload["to"]) = (OURS.into(), CALLEE.into());
        telnyx_event(&desk.http, &desk.base, event, payload).await;
    }

    async fn bandwidth(&self, desk: &FrontDesk, path: &str, mut body: Value) -> String {
        (body["callId"], body["from"], body["to"]) = (CALLED.into(), OURS.into(), CALLEE.into());
        with_password(&desk.http, &desk.base, "bandwidth", path, body.to_string()).await
    }

    async fn jambonz(&self, desk: &FrontDesk, path: &str, key: &str, status: &str) -> String {
        let body = json!({"call_sid": CALLED, "from": OURS, "to": CALLEE, "direction": "outbound",
            "call_status": status, "customerData": {"warmline": key}});
        jambonz_json(&desk.http, &desk.base, path, &body).await
    }

    async fn asterisk(&self, desk: &FrontDesk, path: &str, form: &[(&str, &str)]) -> String {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        with_password(&desk.http, &desk.base, "asterisk", path, body).await
    }

    async fn vonage(&self, desk: &FrontDesk, key: &str, status: &str) {
        let body = json!({"status": status, "uuid": CALLED});
        vonage_json(&desk.http, &desk.base, &format!("event?call={key}&leg=out"), &body).await;
    }
}

/// A player for a call through this provider.
pub fn dial(desk: &FrontDesk, provider: &str, call: &str) -> Dial {
    let auth_token = Secret::new(secret_of(provider).to_owned());
    Dial { auth_token, call_id: Some(call.to_owned()), patience: PATIENCE, ..Dial::new(desk.base.as_str(), provider) }
}

fn after(text: &str, word: &str) -> String {
    text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}")).1.to_owned()
}
