//! Webhooks, asked as a provider and as a page would.

use std::net::SocketAddr;
use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt as _;

use super::browser::BrowserCall;
use super::incoming::{APOLOGY_SENTENCE, BUSY_SENTENCE};
use super::outcomes::StreamOutcome;
use super::*;
use crate::telemetry::{Pii, Secret};
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};
use crate::web::error::Problem;

const BASE: &str = "https://voice.example.com";
/// The key of the only call of ours that is awaited.
const AWAITED: &str = "k1";

struct House(Mutex<Result<(), AdmitError>>, Mutex<Vec<TransferNews>>);

impl House {
    fn open() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Ok(())), Mutex::default()))
    }

    /// What became of callers who were given away, since it was asked last.
    fn told(&self) -> Vec<TransferNews> {
        std::mem::take(&mut *self.1.lock().expect("not poisoned"))
    }
}

impl Admission for House {
    fn admit(&self) -> Result<(), AdmitError> {
        *self.0.lock().expect("not poisoned")
    }

    fn answered(&self, _: &'static str, key: &str, call_id: &str) -> bool {
        key == AWAITED && !call_id.is_empty()
    }

    fn transferred(&self, _: &'static str, call_id: &str, news: TransferNews) {
        assert!(!call_id.is_empty());
        self.1.lock().expect("not poisoned").push(news);
    }
}

struct Server {
    routes: Router,
    house: Arc<House>,
    gate: Arc<Gate>,
}

fn server(configuration: &str) -> Server {
    server_and_state(configuration).0
}

/// The same, and what its webhooks share with the rest of the server.
fn server_and_state(configuration: &str) -> (Server, WebhookState) {
    let text = format!("[twilio]\nauth_token = \"12345\"\n{configuration}");
    let config = Config::parse(&text, std::iter::empty()).expect("valid");
    let house = House::open();
    let gate = Arc::new(Gate::new(&config));
    let state = WebhookState::new(&config, gate.clone(), house.clone());
    let peer = SocketAddr::from(([192, 0, 2, 7], 4_711));
    (Server { routes: routes(state.clone()).layer(MockConnectInfo(peer)), house, gate }, state)
}

fn public() -> Server {
    server("[server]\npublic_url = \"https://voice.example.com\"\ncalls_per_minute_per_caller = 3")
}

impl Server {
    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let response: Response = self.routes.clone().oneshot(request).await.expect("routes never fail");
        let status = response.status();
        let body = to_bytes(response.into_body(), 100_000).await.expect("a short body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    /// As Twilio posts it, signed with `secret`.
    async fn twilio(&self, path: &str, fields: &[(&str, &str)], secret: &str) -> (StatusCode, String) {
        let owned: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let signature = sign_twilio(secret, &format!("{BASE}{path}"), &owned);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::HOST, "10.0.0.7:8080")
            .header(TWILIO_HEADER, signature);
        self.ask(request.body(Body::from(body)).expect("a request")).await
    }

    async fn page(&self, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let request = Request::post("/api/v1/browser-call");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.ask(request.body(Body::empty()).expect("a request")).await
    }
}

const CALL: &[(&str, &str)] =
    &[("CallSid", "CA1"), ("From", "+15005550006"), ("To", "+15005550001"), ("CallStatus", "ringing")];

fn token_of(twiml: &str) -> Secret<String> {
    let (_, rest) = twiml.split_once("name=\"token\" value=\"").expect("a token parameter");
    Secret::new(rest.split_once('"').expect("quoted").0.to_owned())
}

#[tokio::test]
async fn a_signed_call_is_joined_to_a_stream_by_a_token_bound_to_it() {
    let server = public();
    let (status, twiml) = server.twilio("/voice/twilio/incoming", CALL, "12345").await;
    assert_eq!(status, StatusCode::OK);
    assert!(twiml.contains("<Connect><Stream url=\"wss://voice.example.com/media/twilio\""), "{twiml}");
    assert!(twiml.contains("<Redirect>https://voice.example.com/voice/twilio/after</Redirect>"), "{twiml}");
    assert!(!twiml.contains("15005550006"), "a number has no business in the stream's parameters");
    let grant = server.gate.tokens.redeem(now(), "twilio", "CA1", &token_of(&twiml)).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("+15005550006".to_owned())));
    assert_eq!(grant.to, Some(Pii::new("+15005550001".to_owned())));
}

#[tokio::test]
async fn what_is_not_signed_is_refused_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = public();
    for path in ["/voice/twilio/incoming", "/voice/twilio/after", "/voice/twilio/status"] {
        assert_eq!(server.twilio(path, CALL, "wrong").await.0, StatusCode::FORBIDDEN);
        let unsigned = Request::post(path).body(Body::from("CallSid=CA1")).expect("a request");
        assert_eq!(server.ask(unsigned).await.0, StatusCode::FORBIDDEN);
    }
    let rendered = recorder.handle().render();
    assert!(rendered.contains("warmline_signature_rejected_total{provider=\"twilio\"} 6"), "{rendered}");
    // Nobody's signature is good while no Auth Token is set, not even one made with the empty token.
    let open = server_without_secret();
    assert_eq!(open.twilio("/voice/twilio/incoming", CALL, "").await.0, StatusCode::FORBIDDEN);
}

fn server_without_secret() -> Server {
    let config = Config::parse("[server]\npublic_url = \"https://voice.example.com\"", std::iter::empty());
    let config = config.expect("valid");
    let house = House::open();
    let gate = Arc::new(Gate::new(&config));
    let state = WebhookState::new(&config, gate.clone(), house.clone());
    Server { routes: routes(state), house, gate }
}

#[tokio::test]
async fn a_full_house_answers_with_a_sentence_and_a_flood_with_the_busy_tone() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = public();
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Busy);
    let (status, twiml) = server.twilio("/voice/twilio/incoming", CALL, "12345").await;
    assert_eq!(status, StatusCode::OK);
    assert!(twiml.contains(&format!("<Say>{BUSY_SENTENCE}</Say><Hangup/>")), "{twiml}");
    *server.house.0.lock().expect("not poisoned") = Ok(());
    for _ in 0..2 {
        assert!(server.twilio("/voice/twilio/incoming", CALL, "12345").await.1.contains("<Stream"));
    }
    let (_, twiml) = server.twilio("/voice/twilio/incoming", CALL, "12345").await;
    assert!(twiml.contains("<Reject reason=\"busy\"/>"), "{twiml}");
    let other = [("CallSid", "CA2"), ("From", "+15005550009")];
    assert!(server.twilio("/voice/twilio/incoming", &other, "12345").await.1.contains("<Stream"));
    let rendered = recorder.handle().render();
    for reason in ["busy", "rate"] {
        let line = format!("warmline_calls_refused_total{{provider=\"twilio\",reason=\"{reason}\"}} 1");
        assert!(rendered.contains(&line), "{rendered}");
    }
}

#[tokio::test]
async fn after_the_stream_the_caller_is_released_or_hears_why() {
    let server = public();
    server.gate.outcomes.record(now(), "CA1", StreamOutcome::Ended);
    server.gate.outcomes.record(now(), "CA2", StreamOutcome::Busy);
    let transfer = Transfer { target: "+15005550123".to_owned().into(), ..Transfer::default() };
    server.gate.outcomes.record(now(), "CA4", StreamOutcome::Transfer(transfer));
    let (_, twiml) = server.twilio("/voice/twilio/after", &[("CallSid", "CA4")], "12345").await;
    assert!(twiml.contains("whisper?call=CA4\">+15005550123</Number>"), "{twiml}");
    for (call, said) in [("CA1", None), ("CA2", Some(BUSY_SENTENCE)), ("CA3", Some(APOLOGY_SENTENCE))] {
        let (status, twiml) = server.twilio("/voice/twilio/after", &[("CallSid", call)], "12345").await;
        assert_eq!(status, StatusCode::OK);
        let said = said.map(|text| format!("<Say>{text}</Say>")).unwrap_or_default();
        assert!(twiml.ends_with(&format!("<Response>{said}<Hangup/></Response>")), "{twiml}");
    }
}

#[tokio::test]
async fn reports_are_taken_and_oddities_refused() {
    let server = public();
    let error = [("CallSid", "CA1"), ("StreamEvent", "stream-error"), ("StreamError", "no\nline")];
    assert_eq!(server.twilio("/voice/twilio/status", &error, "12345").await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.twilio("/voice/twilio/incoming", &[("From", "x")], "12345").await.0, StatusCode::BAD_REQUEST);
    let huge = "x".repeat(MAX_BODY + 1);
    let status = server.twilio("/voice/twilio/incoming", &[("CallSid", huge.as_str())], "12345").await.0;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_page_gets_a_token_and_the_address_it_came_by() {
    let server = public();
    let (status, body) = server.page(&[("host", "elsewhere.example")]).await;
    assert_eq!(status, StatusCode::OK);
    let call: BrowserCall = serde_json::from_str(&body).expect("JSON");
    assert_eq!((call.url.as_str(), call.expires_in_s), ("wss://voice.example.com/media/browser", 60));
    let grant = server.gate.tokens.redeem(now(), "browser", "", &Secret::new(call.token)).expect("a good token");
    assert_eq!(grant.from, Some(Pii::new("192.0.2.7".to_owned())));

    let local = self::server("");
    let (_, body) = local.page(&[("host", "localhost:8080")]).await;
    let call: BrowserCall = serde_json::from_str(&body).expect("JSON");
    assert_eq!(call.url, "ws://localhost:8080/media/browser", "no address is configured: the page's own will do");
}

#[tokio::test]
async fn a_page_is_told_why_there_is_no_call() {
    let server = public();
    let code = |body: &str| serde_json::from_str::<Problem>(body).expect("JSON").code;
    *server.house.0.lock().expect("not poisoned") = Err(AdmitError::Draining);
    let (status, body) = server.page(&[]).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "draining"));
    *server.house.0.lock().expect("not poisoned") = Ok(());
    assert_eq!(server.page(&[("sec-fetch-site", "cross-site")]).await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.page(&[("sec-fetch-site", "same-origin")]).await.0, StatusCode::OK);
    assert_eq!(server.page(&[]).await.0, StatusCode::OK);
    let (status, body) = server.page(&[]).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_calls"));
    assert_eq!(self::server("[browser]\nenabled = false").page(&[]).await.0, StatusCode::NOT_FOUND);
}

mod bandwidth;
mod calling;
mod dialled;
mod exotel;
mod moving;
mod providers;
mod strangers;
mod vonage;
mod vonage_person;
