//! What holds for every route: headers, limits, the shape of errors; and the probes.

use std::sync::{Arc, Mutex};

use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use warmline::config::Config;
use warmline::store::UserRole;
use warmline::web::health::EngineState;

use crate::support::site::{Answer, Site, address, request};

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::new().await;
    let cases = [
        (Method::GET, "/", StatusCode::OK),
        (Method::GET, "/no-such-page", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/status", StatusCode::OK),
        (Method::GET, "/api/v1/calls", StatusCode::UNAUTHORIZED),
        (Method::GET, "/api/v1/no-such-thing", StatusCode::NOT_FOUND),
        (Method::PUT, "/api/v1/status", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/healthz", StatusCode::OK),
    ];
    for (method, path, status) in cases {
        let answer = site.request(method, path, "", Value::Null).await;
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path} {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer", "{path}");
    }
    assert_eq!(site.get("/", "").await.body, "the console");
    assert_eq!(site.get("/api/v1/no-such-thing", "").await.code(), "not_found");
    assert_eq!(site.get("/api/v1/status", "").await.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn only_named_sites_are_told_that_they_may_show_the_call_button() {
    let mut config = Config::default();
    config.browser.widget_origins = vec!["https://www.example.com".to_owned()];
    let site = Site::with(config).await;
    let ask = async |site: &Site, origin: &str| {
        let mut request = request(Method::GET, "/api/v1/widget", "", Value::Null);
        if !origin.is_empty() {
            request.headers_mut().insert(header::ORIGIN, origin.parse().expect("text"));
        }
        site.send(request).await
    };
    let named = ask(&site, "https://www.example.com").await;
    assert_eq!((named.status, &named.json()["name"]), (StatusCode::OK, &json!("Larkfield")));
    assert_eq!(named.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://www.example.com");
    assert_eq!(named.headers[header::VARY], "origin");
    for other in ["https://example.com", "http://www.example.com", "https://www.example.com.evil.test", "null", ""] {
        let answer = ask(&site, other).await;
        assert_eq!(answer.code(), "cross_origin", "{other}");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{other}");
    }
    assert_eq!(ask(&Site::new().await, "https://www.example.com").await.code(), "cross_origin");
}

#[tokio::test]
async fn bad_bodies_are_answered_with_a_problem() {
    let site = Site::new().await;
    let post = async |kind: &str, body: String| {
        let mut request = request(Method::POST, "/api/v1/session", "", Value::Null);
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().expect("text"));
        *request.body_mut() = body.into();
        site.send(request).await
    };
    for (kind, body) in [
        ("application/json", "{".to_owned()),
        ("application/json", "{}".to_owned()),
        ("application/json", json!({ "name": 1, "password": "x" }).to_string()),
        ("text/plain", json!({ "name": "kim", "password": "x" }).to_string()),
    ] {
        let answer = post(kind, body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_request"), "{body}");
    }
    let long = json!({ "name": "kim", "password": "x".repeat(100_000) }).to_string();
    let answer = post("application/json", long).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}

/// Paths and queries may hold tokens and numbers; the log gets the route's pattern.
#[tokio::test]
async fn requests_are_logged_without_path_query_and_body() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // With a single subscriber alive, what other tests' threads log first is switched off for this thread too.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let site = Site::new().await;
    let supervisor = site.role(UserRole::Supervisor).await;
    site.get("/api/v1/calls/hush-path?before=hush-query", &supervisor).await;
    site.post("/api/v1/session", "", json!({ "name": "hush-name", "password": "hush-password" })).await;
    let text = log.text();
    assert!(text.contains("http.route=\"/api/v1/calls/{id}\""), "{text}");
    assert!(text.contains("Refused a sign-in"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text")
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn readiness_follows_engines_draining_and_the_database() {
    let site = Site::new().await;
    assert_eq!(site.get("/healthz", "").await.body, "ok");
    let ready = site.get("/readyz", "").await;
    assert_eq!((ready.status, ready.json()), (StatusCode::OK, json!({ "ready": true, "reasons": [], "degraded": [] })));

    site.readiness.send_modify(|readiness| {
        readiness.engines.insert("tts", EngineState::Starting);
    });
    let answer = site.get("/readyz", "").await;
    assert_eq!(
        (answer.status, &answer.json()["reasons"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(["tts is starting"]))
    );
    assert_eq!(site.get("/api/v1/status", "").await.json()["taking_calls"], false);

    site.readiness.send_modify(|readiness| {
        readiness.engines.insert("tts", EngineState::Failed { reason: "/models/joe.onnx is missing".to_owned() });
    });
    let answer = site.get("/readyz", "").await;
    assert_eq!(answer.status, StatusCode::OK, "callers still reach a person");
    assert_eq!(answer.json()["degraded"], json!(["tts failed: /models/joe.onnx is missing"]));

    site.readiness.send_modify(|readiness| readiness.draining = true);
    assert_eq!(site.get("/readyz", "").await.status, StatusCode::SERVICE_UNAVAILABLE);
    site.readiness.send_modify(|readiness| readiness.draining = false);
    site.store.close().await;
    let answer = site.get("/readyz", "").await;
    assert_eq!(answer.json()["reasons"], json!(["the database is not usable"]));
}

#[tokio::test]
async fn the_status_tells_strangers_no_reasons() {
    let site = Site::new().await;
    site.readiness.send_modify(|readiness| {
        readiness.engines.insert("tts", EngineState::Failed { reason: "/models/joe.onnx is missing".to_owned() });
    });
    let mut status = site.get("/api/v1/status", "").await.json();
    assert!(status["instance"].take().is_string(), "made up at each start");
    let expected = json!({
        "instance": null,
        "name": "Larkfield",
        "version": env!("CARGO_PKG_VERSION"),
        "taking_calls": true,
        "engines": { "llm": "off", "stt": "ready", "tts": "failed" },
        "live_calls": 3,
        "browser_calls": true,
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn metrics_are_free_on_this_machine_and_for_supervisors_elsewhere() {
    let site = Site::new().await;
    let from = async |client: &str, forwarded: &str, cookie: &str| -> Answer {
        let mut request = request(Method::GET, "/metrics", cookie, Value::Null);
        request.extensions_mut().insert(ConnectInfo(address(client)));
        if !forwarded.is_empty() {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("text"));
        }
        site.send(request).await
    };
    let (agent, supervisor) = (site.role(UserRole::Agent).await, site.role(UserRole::Supervisor).await);
    assert_eq!(from("127.0.0.1", "", "").await.status, StatusCode::OK);
    assert_eq!(from("::1", "", "").await.status, StatusCode::OK);
    assert_eq!(from("192.0.2.1", "", "").await.code(), "not_signed_in");
    assert_eq!(from("127.0.0.1", "192.0.2.1", "").await.code(), "not_signed_in");
    assert_eq!(from("127.0.0.1", "127.0.0.1", "").await.code(), "not_signed_in", "a proxy's guest");
    assert_eq!(from("192.0.2.1", "", &agent).await.code(), "forbidden");
    assert_eq!(from("192.0.2.1", "", &supervisor).await.status, StatusCode::OK);
}
