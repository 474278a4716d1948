use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Method as HttpMethod, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::tools::Toolbox;
use crate::tools::spec::tests::{CANCEL, STATUS};

/// A real HTTP service of the loopback that answers as its script says, and remembers what it was asked.
struct Service {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Script = Arc<(Mutex<Vec<(u64, u16, String)>>, Arc<Mutex<Vec<String>>>)>;

async fn answer(State(script): State<Script>, method: HttpMethod, uri: Uri, headers: Headers, body: Bytes) -> Response {
    let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let line = format!("{method} {uri} {key} {}", String::from_utf8_lossy(&body));
    script.1.lock().expect("no panic").push(line.trim().to_owned());
    let (wait, status, body) = {
        let mut steps = script.0.lock().expect("no panic");
        if steps.len() > 1 { steps.remove(0) } else { steps[0].clone() }
    };
    sleep(Duration::from_millis(wait)).await;
    (StatusCode::from_u16(status).expect("a status"), [("location", "http://127.0.0.1:1/")], body).into_response()
}

async fn service(steps: &[(u64, u16, &str)]) -> Service {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let steps = steps.iter().map(|(wait, status, body)| (*wait, *status, (*body).to_owned())).collect();
    let script: Script = Arc::new((Mutex::new(steps), seen.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let app = Router::new().fallback(answer).with_state(script);
    #[expect(clippy::disallowed_methods, reason = "the service owns it")]
    let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves") });
    Service { port, seen, task }
}

impl Service {
    fn tools(&self, text: &str, more: &str) -> Toolbox {
        let text = text
            .replace("127.0.0.1:1/", &format!("127.0.0.1:{}/", self.port))
            .replace("[http]\n", &format!("[http]\n{more}\n"));
        let spec = ToolSpec::parse("tool", &text).expect("a tool");
        let runner = HttpTools::new(std::slice::from_ref(&spec), &local()).expect("allowed");
        Toolbox::new(vec![spec], Box::new(runner)).expect("a schema")
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn local() -> ToolsConfig {
    ToolsConfig {
        allow_hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        allow_private: true,
        ..ToolsConfig::default()
    }
}

fn order(number: &str) -> Arguments {
    Arguments::from_iter([("order_number".to_owned(), json!(number))])
}

#[tokio::test]
async fn a_tool_asks_with_its_secret_and_gives_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("key");
    std::fs::write(&secret, "hush\n").expect("written");
    let service = service(&[(0, 200, r#"{"state":"shipped"}"#)]).await;
    let more = format!("secret_headers.authorization = {{ file = {secret:?}, prefix = \"Bearer \" }}");
    let reply = service.tools(STATUS, &more).run("tool", &order("440017")).await.expect("an answer");
    assert_eq!(reply, ToolReply { status: 200, body: json!({ "state": "shipped" }) });
    assert_eq!(service.seen(), ["GET /orders/440017 Bearer hush"]);
}

#[tokio::test]
async fn what_breaks_the_schema_is_never_sent() {
    let service = service(&[(0, 200, "{}")]).await;
    let tools = service.tools(STATUS, "");
    for arguments in [order("44"), order("../../admin"), Arguments::new()] {
        let failed = tools.run("tool", &arguments).await.expect_err("refused");
        assert!(!failed.perhaps_done && failed.reason.contains("schema"), "{failed:?}");
    }
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn arguments_stay_in_their_place() {
    let service = service(&[(0, 200, "{}")]).await;
    let tools = service.tools(CANCEL, "");
    for (value, path) in [("../a?b#c", "..%2Fa%3Fb%23c"), ("..", "%2E%2E"), ("a b", "a%20b"), ("ü", "%C3%BC")] {
        let asked = tools.run("tool", &order(value)).await;
        assert!(asked.is_ok() || value == "..", "{value}: {asked:?}");
        if value != ".." {
            let line = service.seen().last().cloned().expect("asked");
            assert!(line.starts_with(&format!("POST /orders/{path}/cancel ")), "{line}");
        }
    }
    assert!(
        service.seen().iter().all(|line| line.contains("/orders/") || line.contains("/cancel")),
        "{:?}",
        service.seen()
    );
}

#[tokio::test]
async fn only_what_does_no_harm_is_sent_twice() {
    let service_ok = service(&[(0, 503, ""), (0, 200, "{}")]).await;
    let reply = service_ok.tools(STATUS, "").run("tool", &order("440017")).await.expect("an answer");
    assert_eq!((reply.status, service_ok.seen().len()), (200, 2));
    let busy = service(&[(0, 503, "")]).await;
    let reply = busy.tools(CANCEL, "").run("tool", &order("440017")).await.expect("an answer");
    assert_eq!((reply.status, busy.seen().len()), (503, 1), "a POST is sent once");
    let slow = service(&[(600_000, 200, "{}")]).await;
    let failed = slow.tools(CANCEL, "timeout_ms = 2000").run("tool", &order("440017")).await.expect_err("too slow");
    assert!(failed.perhaps_done, "it arrived: {failed:?}");
    assert_eq!(slow.seen().len(), 1);
    let gone = ToolSpec::parse("tool", CANCEL).expect("a tool");
    let runner = HttpTools::new(std::slice::from_ref(&gone), &local()).expect("allowed");
    let failed = runner.run(&gone, &order("440017")).await.expect_err("nobody listens");
    assert!(!failed.perhaps_done, "{failed:?}");
}

#[tokio::test]
async fn answers_are_bounded_and_are_json() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    let service_long = service(&[(0, 200, &long)]).await;
    let failed = service_long.tools(CANCEL, "max_bytes = 1000").run("tool", &order("1")).await.expect_err("too long");
    assert!(failed.reason.contains("1000 bytes") && failed.perhaps_done, "{failed:?}");
    let page = service(&[(0, 200, "<html>")]).await;
    assert!(page.tools(CANCEL, "").run("tool", &order("1")).await.is_err());
    let moved = service(&[(0, 302, "<html>")]).await;
    let reply = moved.tools(CANCEL, "").run("tool", &order("1")).await.expect("an answer");
    assert_eq!(reply.status, 302, "redirects are not followed");
}

#[tokio::test]
async fn hosts_and_private_addresses_must_be_allowed() {
    let with = |host: &str| {
        let spec = ToolSpec::parse("tool", &STATUS.replace("127.0.0.1:1", host)).expect("a tool");
        move |hosts: &[&str], private: bool| {
            let allow_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let config = ToolsConfig { allow_hosts, allow_private: private, ..ToolsConfig::default() };
            HttpTools::new(std::slice::from_ref(&spec), &config).map(|runner| (runner, spec.clone()))
        }
    };
    assert!(with("127.0.0.1:1")(&["127.0.0.1"], false).is_err(), "private");
    assert!(with("[::1]:1")(&["[::1]"], false).is_err(), "private");
    assert!(with("shop.example")(&["other.example"], true).is_err(), "not in the list");
    assert!(with("shop.example")(&["shop.example"], false).is_ok());
    // A name that leads inside is refused when it is looked up.
    let service = service(&[(0, 200, "{}")]).await;
    let host = format!("localhost:{}", service.port);
    let (runner, spec) = with(&host)(&["localhost"], false).expect("a name");
    let failed = runner.run(&spec, &order("440017")).await.expect_err("private");
    assert!(failed.reason.contains("private addresses"), "{failed:?}");
    assert!(service.seen().is_empty());
    let (runner, spec) = with(&host)(&["localhost"], true).expect("a name");
    assert!(runner.run(&spec, &order("440017")).await.is_ok());
}
