//! What operators see and do: connecting a number, the knowledge base, what is in force.

use std::net::SocketAddr;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warmline::config::Config;
use warmline::store::UserRole;

use crate::support::site::Site;

fn config(text: &str) -> Config {
    Config::parse(text, std::iter::empty()).expect("valid")
}

#[tokio::test]
async fn a_provider_comes_with_instructions_for_this_server() {
    let site =
        Site::with(config("[server]\npublic_url = \"https://desk.test\"\n[twilio]\nauth_token = \"hush\"\n")).await;
    let admin = site.role(UserRole::Admin).await;
    let setup = site.get("/api/v1/setup", &admin).await;
    assert!(!String::from_utf8_lossy(&setup.body).contains("hush"));
    let setup = setup.json();
    assert_eq!((&setup["public_url"], &setup["had_calls"]), (&json!("https://desk.test"), &json!(false)));
    let twilio = &setup["providers"][0];
    assert_eq!((&twilio["name"], &twilio["is_configured"]), (&json!("twilio"), &json!(true)));
    assert_eq!(twilio["webhook_url"], "https://desk.test/voice/twilio/incoming");
    assert_eq!(twilio["media_url"], "wss://desk.test/media/twilio");
    assert!(twilio["instructions"].as_str().expect("text").contains("https://desk.test/voice/twilio/incoming"));
    assert_eq!(setup["providers"][2]["is_configured"], false);
    site.call(None).await;
    assert_eq!(site.get("/api/v1/setup", &admin).await.json()["had_calls"], true);
}

/// What the server finds at an address: `step` and whether it is right.
async fn found(site: &Site, admin: &str, url: &str) -> Vec<(String, bool)> {
    let findings = site.post("/api/v1/setup/check", admin, json!({ "url": url })).await.json();
    let findings = findings.as_array().expect("a list").iter();
    findings.map(|each| (each["step"].as_str().expect("a word").to_owned(), each["ok"] == true)).collect()
}

#[tokio::test]
async fn an_address_is_known_to_lead_here_or_not() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let mut tasks = JoinSet::new();
    let service = site.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move { axum::serve(listener, service).await });
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let elsewhere = format!("http://{}", other.local_addr().expect("bound"));
    let stranger = axum::Router::new().fallback(async || "hello");
    tasks.spawn(async move { axum::serve(other, stranger.into_make_service()).await });

    let ok = |step: &str| (step.to_owned(), true);
    let wrong = |step: &str| (step.to_owned(), false);
    let here = found(&site, &admin, &url).await;
    // This router has no media sockets, as behind a proxy that lets none through; nor is the address configured.
    assert_eq!(here, [ok("address"), ok("answers"), ok("itself"), wrong("websockets"), wrong("configured")]);
    assert_eq!(found(&site, &admin, &elsewhere).await, [ok("address"), ok("answers"), wrong("itself")]);
    assert_eq!(found(&site, &admin, "http://127.0.0.1:1").await, [ok("address"), wrong("answers")]);
    assert_eq!(found(&site, &admin, "http://voice.example.com").await, [wrong("address")]);
}

const ENTRY: &str = "+++\ntitle = \"Parking\"\nkeywords = [\"parking\", \"car park\"]\n\
    approved = \"You can park behind the shop for two hours.\"\nalso_asked = [\"where can I park my car\"]\n+++\n\
    There are forty places behind the shop. Parking is free for two hours.\n";

#[tokio::test]
async fn a_draft_is_tried_and_changes_nothing() {
    let site = Site::new().await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let preview = async |body: Value| site.post("/api/v1/knowledge/preview", &supervisor, body).await;
    let questions = ["where can I park my car", "are you open on Sunday", " "];
    let tried = preview(json!({ "id": "parking", "text": ENTRY, "questions": questions })).await.json();
    assert_eq!(tried["problem"], Value::Null);
    let answers = tried["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 2, "an empty question is none");
    assert_eq!(answers[0]["found"]["hits"][0]["entry_id"], "parking");
    assert_eq!(answers[0]["found"]["hits"][0]["approved"], "You can park behind the shop for two hours.");
    assert_eq!(answers[1]["found"]["hits"][0]["entry_id"], "opening-hours", "the other entries are there");
    let now = site.get("/api/v1/knowledge/search?q=where+can+I+park+my+car", &supervisor).await.json();
    assert!(now["hits"].as_array().expect("hits").iter().all(|hit| hit["entry_id"] != "parking"), "{now}");

    let wrong = preview(json!({ "id": "parking", "text": ENTRY.replace("Parking\"", "\""), "questions": questions }));
    let wrong = wrong.await.json();
    assert_eq!((&wrong["problem"]["line"], &wrong["answers"]), (&json!(2), &json!([])));
    for id in ["", "../secret", "A", "-a", "a.md"] {
        assert_eq!(preview(json!({ "id": id, "text": ENTRY })).await.code(), "bad_request", "{id}");
    }
}

#[tokio::test]
async fn an_entry_is_kept_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("parking.md"), ENTRY).expect("written");
    let mut config = Config::default();
    config.dialog.knowledge_dir = folder.path().to_owned();
    let site = Site::with(config).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let put = async |id: &str, text: &str| {
        site.request(Method::PUT, &format!("/api/v1/knowledge/{id}"), &supervisor, json!({ "text": text })).await
    };
    let read = site.get("/api/v1/knowledge/parking", &supervisor).await.json();
    assert_eq!(read, json!({ "id": "parking", "text": ENTRY, "may_keep": true }));
    let changed = ENTRY.replace("two hours", "three hours");
    assert_eq!(put("parking", &changed).await.status, StatusCode::OK);
    assert_eq!(std::fs::read_to_string(folder.path().join("parking.md")).expect("there"), changed);
    let wrong = put("parking", "no front matter").await;
    assert_eq!(wrong.code(), "bad_request");
    assert!(wrong.json()["message"].as_str().expect("text").contains("ine 1"), "{wrong:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("parking.md")).expect("there"), changed);
    assert_eq!(put("..%2fparking", ENTRY).await.code(), "bad_request");
    assert_eq!(put("bikes", ENTRY).await.status, StatusCode::OK);
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 2, "nothing half-written stays behind");
    assert_eq!(site.get("/api/v1/knowledge/boats", &supervisor).await.code(), "not_found");
    let list = site.store.list_audit(10).await.expect("readable");
    let kept: Vec<_> = list.iter().map(|entry| (entry.action.as_str(), entry.detail.as_deref())).collect();
    assert_eq!(kept, [("save_knowledge", Some("bikes")), ("save_knowledge", Some("parking"))]);
}

#[tokio::test]
async fn the_demo_company_is_read_but_not_changed() {
    let site = Site::new().await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let read = site.get("/api/v1/knowledge/warranty", &supervisor).await.json();
    assert!(read["text"].as_str().expect("text").starts_with("+++"));
    assert_eq!(read["may_keep"], false);
    let put = site.request(Method::PUT, "/api/v1/knowledge/warranty", &supervisor, json!({ "text": ENTRY })).await;
    assert_eq!(put.code(), "conflict");
}

#[tokio::test]
async fn a_mistake_in_the_file_is_seen_before_the_restart() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[twilio]\nauth_token = \"hush\"\n").expect("written");
    let site = Site::with(Config::load(Some(file.path())).expect("valid")).await;
    let admin = site.role(UserRole::Admin).await;
    let look = async || site.get("/api/v1/configuration", &admin).await.json();
    let before = look().await;
    assert_eq!((&before["has_changed"], &before["problems"]), (&json!(false), &json!([])));
    let toml = before["toml"].as_str().expect("text");
    assert!(toml.contains("[twilio]") && !toml.contains("hush"), "{toml}");

    std::fs::write(file.path(), "[turn]\nhangover_ms = 900\n").expect("written");
    assert_eq!((&look().await["has_changed"], &look().await["problems"]), (&json!(true), &json!([])));
    std::fs::write(file.path(), "[turn]\nhangover_ms = 1\n[colour]\n").expect("written");
    let problems = look().await["problems"].clone();
    let keys: Vec<_> = problems.as_array().expect("a list").iter().map(|problem| problem["key"].clone()).collect();
    assert_eq!(keys, ["turn.hangover_ms", "colour"]);
    std::fs::write(file.path(), "[turn").expect("written");
    assert!(look().await["problems"][0]["reason"].as_str().expect("text").contains("TOML"));
}

#[tokio::test]
async fn prompts_hours_and_the_voice() {
    let text = "[[routing.queues]]\nname = \"billing\"\nhours = \"office\"\n[[routing.calendars]]\nname = \"office\"\n\
        zone = \"Europe/Berlin\"\nweekly = [\"mon-sun 00:00-24:00\"]\ndays = [\"2020-12-25\"]\n";
    let site = Site::with(config(text)).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let prompts = site.get("/api/v1/prompts", &supervisor).await.json();
    let names: Vec<_> = prompts.as_array().expect("a list").iter().map(|prompt| prompt["name"].clone()).collect();
    assert_eq!(names, ["assistant.md", "choose.md", "tools.md", "sentences.toml"]);
    assert!(prompts.as_array().expect("a list").iter().all(|prompt| prompt["version"] == "1"), "{prompts}");
    let hours = site.get("/api/v1/hours", &supervisor).await.json();
    assert_eq!(
        hours,
        json!([{ "name": "office", "zone": "Europe/Berlin", "weekly": ["mon-sun 00:00-24:00"], "days": ["2020-12-25"],
            "queues": ["billing"], "callbacks": false, "is_changed": false, "is_configured": true, "is_open": true,
            "opens_at": null, "closes_at": null }])
    );
    let spoken = site.post("/api/v1/voice", &supervisor, json!({ "text": "Good morning." })).await;
    assert_eq!(
        (spoken.status, &spoken.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"audio/wav".parse().expect("a type"))
    );
    assert!(spoken.body.starts_with(b"RIFF") && spoken.body.len() > 1_000, "{} bytes", spoken.body.len());
    for wrong in [String::new(), "x".repeat(301)] {
        assert_eq!(site.post("/api/v1/voice", &supervisor, json!({ "text": wrong })).await.code(), "bad_request");
    }
}

const OFFICE: &str = "[[routing.queues]]\nname = \"billing\"\nhours = \"office\"\n[[routing.queues]]\nname = \"sales\"\n\
    [[routing.calendars]]\nname = \"office\"\nzone = \"Europe/Berlin\"\nweekly = [\"mon-sun 00:00-24:00\"]\n";

#[tokio::test]
async fn hours_are_kept_here_and_the_files_are_the_default() {
    let site = Site::with(config(OFFICE)).await;
    let (supervisor, agent) = (site.role(UserRole::Supervisor).await, site.role(UserRole::Agent).await);
    let put = async |name: &str, body: Value| {
        site.request(Method::PUT, &format!("/api/v1/hours/{name}"), &supervisor, body).await
    };
    // Open one minute of one day in the past: closed now, and not to open within two weeks.
    let closed = json!({ "zone": "Europe/Berlin", "weekly": ["mon 00:00-00:01"], "days": ["2020-12-25"] });
    let now = put("office", closed).await.json();
    assert_eq!((&now[0]["is_changed"], &now[0]["weekly"]), (&json!(true), &json!(["mon 00:00-00:01"])));
    assert_eq!(now[0]["queues"], json!(["billing"]), "its queues keep it");
    assert_eq!(site.get("/api/v1/hours", &agent).await.json(), now);
    let live = site.get("/api/v1/live", &supervisor).await.json();
    assert_eq!(live["queues"], json!(["billing", "sales"]), "the desk has the new plan");

    let both = json!({ "zone": "UTC", "weekly": ["mon-sun 00:00-24:00"], "queues": ["sales"] });
    let now = put("shop", both).await.json();
    assert_eq!((&now[1]["name"], &now[1]["queues"]), (&json!("shop"), &json!(["sales"])));
    assert_eq!((&now[1]["is_configured"], &now[1]["is_open"]), (&json!(false), &json!(true)));

    let reset = async |name: &str| {
        site.request(Method::DELETE, &format!("/api/v1/hours/{name}"), &supervisor, Value::Null).await
    };
    let now = reset("office").await.json();
    assert_eq!((&now[0]["is_changed"], &now[0]["weekly"]), (&json!(false), &json!(["mon-sun 00:00-24:00"])));
    assert_eq!(reset("office").await.code(), "not_found");
    assert_eq!(reset("shop").await.json().as_array().map(Vec::len), Some(1), "what is only here is gone");
    let audit = site.store.list_audit(10).await.expect("listed");
    let done: Vec<_> = audit.iter().rev().map(|entry| (entry.action.as_str(), entry.detail.as_deref())).collect();
    assert_eq!(
        done,
        [
            ("save_hours", Some("office")),
            ("save_hours", Some("shop")),
            ("reset_hours", Some("office")),
            ("reset_hours", Some("shop"))
        ]
    );
}

#[tokio::test]
async fn hours_that_can_not_be_kept_say_why_and_change_nothing() {
    let site = Site::with(config(OFFICE)).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let before = site.get("/api/v1/hours", &supervisor).await.json();
    let office = |weekly: &[&str], days: &[&str], queues: &[&str]| json!({ "zone": "Europe/Berlin", "weekly": weekly, "days": days, "queues": queues });
    let good = ["mon-fri 08:00-18:00"];
    for (name, body, word, reason) in [
        ("office", office(&["mon 8"], &[], &[]), "ine 1 of the week", "hours"),
        ("office", office(&good, &["2026-12-24", "tomorrow"], &[]), "ine 2 of the days", "hours"),
        ("office", office(&[], &[], &[]), "must say when it is open", "hours"),
        ("shop", office(&good, &[], &["returns"]), "no queue `returns`", "hours_no_queue"),
        ("shop", office(&good, &[], &["billing"]), "keeps the hours `office`", "hours_queue_has_others"),
        ("office", office(&["x".repeat(121).as_str()], &[], &[]), "120 characters", "hours_line_length"),
    ] {
        let answer = site.request(Method::PUT, &format!("/api/v1/hours/{name}"), &supervisor, body).await;
        assert_eq!(answer.code(), "bad_request", "{word}");
        let problem = answer.json();
        assert!(problem["message"].as_str().expect("text").contains(word), "{word} is not in {problem}");
        assert_eq!(problem["reason"], reason, "{problem}");
        if reason == "hours_queue_has_others" {
            assert_eq!(problem["values"], json!({ "queue": "billing", "hours": "office" }));
        }
    }
    assert_eq!(site.get("/api/v1/hours", &supervisor).await.json(), before);
    assert!(site.store.list_hours().await.expect("listed").is_empty());
    assert!(site.store.list_audit(10).await.expect("listed").is_empty());
}

#[tokio::test]
async fn priorities_and_messages_of_queues_are_changed_while_callers_wait() {
    let text = "[[routing.queues]]\nname = \"billing\"\npriority = 2\nmessage = \"Have your invoice ready.\"\n\
        [[routing.queues]]\nname = \"sales\"\n";
    let site = Site::with(config(text)).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let ask = async |method: Method, name: &str, body: Value| {
        site.request(method, &format!("/api/v1/queues/{name}"), &supervisor, body).await
    };
    let before = site.get("/api/v1/queues", &supervisor).await.json();
    assert_eq!((&before[0]["name"], &before[0]["priority"]), (&json!("billing"), &json!(2)));
    assert_eq!((&before[0]["message"], &before[0]["is_changed"]), (&json!("Have your invoice ready."), &json!(false)));
    for (name, body, code, reason) in [
        ("returns", json!({ "priority": 1 }), "not_found", json!(null)),
        ("sales", json!({ "priority": 101 }), "bad_request", json!("queue_priority")),
        ("sales", json!({ "priority": 1, "message": "x".repeat(301) }), "bad_request", json!("queue_message")),
        ("sales", json!({ "priority": 1, "message": "one\ntwo" }), "bad_request", json!("queue_message")),
    ] {
        let answer = ask(Method::PUT, name, body).await;
        assert_eq!((answer.code().as_str(), &answer.json()["reason"]), (code, &reason), "{answer:?}");
    }
    assert_eq!(ask(Method::DELETE, "billing", Value::Null).await.code(), "not_found", "nothing was changed");
    assert_eq!(site.get("/api/v1/queues", &supervisor).await.json(), before);

    let new = json!({ "priority": 20, "message": " Parcels are late today. " });
    let now = ask(Method::PUT, "sales", new).await.json();
    assert_eq!((&now[1]["priority"], &now[1]["message"]), (&json!(20), &json!("Parcels are late today.")));
    assert_eq!((&now[1]["is_changed"], &now[1]["configured_priority"]), (&json!(true), &json!(0)));
    assert!(now[1]["changed_by"].is_string() && now[1]["changed_at"].is_string(), "{now}");
    assert_eq!(ask(Method::DELETE, "sales", Value::Null).await.json(), before);
    let audit = site.store.list_audit(10).await.expect("listed");
    let done: Vec<_> = audit.iter().rev().map(|entry| (entry.action.as_str(), entry.detail.as_deref())).collect();
    let detail = "sales: priority 20, message: Parcels are late today.";
    assert_eq!(done, [("save_queue", Some(detail)), ("reset_queue", Some("sales"))]);
}

#[tokio::test]
async fn hours_are_tried_before_they_are_kept() {
    let site = Site::with(config(OFFICE)).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let preview = async |body: Value| site.post("/api/v1/hours/preview", &supervisor, body).await.json();
    let always = preview(json!({ "zone": "Europe/Berlin", "weekly": ["mon-sun 00:00-24:00"] })).await;
    assert_eq!(
        (&always["is_open"], &always["opens_at"], &always["closes_at"]),
        (&json!(true), &json!(null), &json!(null))
    );
    assert_eq!(always["days"].as_array().map(Vec::len), Some(14));
    assert_eq!(always["days"][13]["open"], json!([{ "from": 0, "to": 1_440 }]));
    // Every day's first minute but today's: tomorrow it opens.
    let today = always["days"][0]["date"].as_str().expect("a date").to_owned();
    let hours = json!({ "zone": "Europe/Berlin", "weekly": ["mon-sun 00:00-00:01"], "days": [today] });
    let tomorrow = preview(hours).await;
    assert_eq!((&tomorrow["is_open"], &tomorrow["days"][0]["open"]), (&json!(false), &json!([])));
    assert!(tomorrow["opens_at"].is_string(), "{tomorrow}");
    let wrong = preview(json!({ "zone": "Mars", "weekly": ["mon-fri 08:00-18:00", "sat"], "days": ["soon"] })).await;
    let problems = wrong["problems"].as_array().expect("a list").iter();
    let places: Vec<_> = problems
        .map(|problem| {
            (problem["part"].as_str().expect("a word").to_owned(), problem["line"].as_u64().expect("a line"))
        })
        .collect();
    assert_eq!(places, [("zone".to_owned(), 0), ("weekly".to_owned(), 1), ("days".to_owned(), 0)]);
    assert!(wrong["is_open"].is_null());
}
