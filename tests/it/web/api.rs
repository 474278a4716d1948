//! Calls, recordings, messages, accounts: who sees what.

use axum::http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use warmline::call::CallId;
use warmline::store::{CallRecord, UserRole};

use crate::support::site::{Answer, Site, request};

fn ids(page: &Value) -> Vec<String> {
    let calls = page["calls"].as_array().expect("a page has calls");
    calls.iter().map(|call| call["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn agents_see_the_calls_they_took_without_the_number() {
    let site = Site::new().await;
    let (mine, other) = (site.user("mine", UserRole::Agent).await, site.user("other", UserRole::Agent).await);
    let (taken, not_taken) = (site.call(Some(&mine)).await, site.call(Some(&other)).await);
    site.message(taken.id).await;
    let (agent, supervisor) = (site.signed_in(&mine).await, site.role(UserRole::Supervisor).await);

    let page = site.get("/api/v1/calls", &agent).await.json();
    assert_eq!(ids(&page), [taken.id.to_string()]);
    assert_eq!((&page["calls"][0]["from"], &page["calls"][0]["to"]), (&json!("…34"), &json!("…76")));
    let detail = site.get(&format!("/api/v1/calls/{}", taken.id), &agent).await;
    assert!(!String::from_utf8_lossy(&detail.body).contains("555"), "{detail:?}");
    assert_eq!(detail.json()["messages"][0]["number"], "…34");
    assert_eq!(detail.json()["handoffs"][0]["agent_id"], "id-of-mine");
    let hidden = site.get(&format!("/api/v1/calls/{}", not_taken.id), &agent).await;
    let nowhere = site.get(&format!("/api/v1/calls/{}", CallId::generate()), &agent).await;
    assert_eq!((hidden.status, &hidden.body), (StatusCode::NOT_FOUND, &nowhere.body), "not even that it exists");

    let page = site.get("/api/v1/calls", &supervisor).await.json();
    assert_eq!(ids(&page), [not_taken.id.to_string(), taken.id.to_string()]);
    assert_eq!(page["calls"][0]["from"], "…34", "supervisors need a reason like everybody");
    let detail = site.get(&format!("/api/v1/calls/{}", not_taken.id), &supervisor).await;
    assert_eq!((detail.status, &detail.json()["call"]["to"]), (StatusCode::OK, &json!("…76")));
}

#[tokio::test]
async fn listings_continue_where_the_page_ended() {
    let site = Site::new().await;
    let mut newest = Vec::new();
    for _ in 0..5 {
        newest.insert(0, site.call(None).await.id.to_string());
    }
    let supervisor = site.role(UserRole::Supervisor).await;
    let mut path = "/api/v1/calls?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = site.get(&path, &supervisor).await.json();
        pages.push(ids(&page));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/calls?limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [&newest[..2], &newest[2..4], &newest[4..]]);
    let all = site.get("/api/v1/calls?limit=5", &supervisor).await.json();
    assert_eq!((ids(&all), &all["next"]), (newest, &Value::Null), "a full last page is the last");
    assert_eq!(site.get("/api/v1/calls?limit=none", &supervisor).await.code(), "bad_request");
    assert_eq!(site.get("/api/v1/calls?before=1", &supervisor).await.code(), "bad_request");
    assert_eq!(ids(&site.get("/api/v1/calls?limit=4000000000", &supervisor).await.json()).len(), 5);
}

async fn recorded(site: &Site, file: &str) -> CallRecord {
    let call = CallRecord { recording: Some(file.to_owned()), ..site.call(None).await };
    site.store.put_call(&call).await.expect("stored");
    call
}

#[tokio::test]
async fn recordings_come_whole_or_in_ranges() {
    let site = Site::new().await;
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
    site.record("call.wav", &bytes);
    let call = recorded(&site, "call.wav").await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let path = format!("/api/v1/calls/{}/recording", call.id);
    let range = async |range: &str| -> Answer {
        let mut request = request(Method::GET, &path, &supervisor, Value::Null);
        request.headers_mut().insert(header::RANGE, range.parse().expect("text"));
        site.send(request).await
    };

    let whole = site.get(&path, &supervisor).await;
    assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &bytes[..]));
    assert_eq!(whole.headers[header::CONTENT_TYPE], "audio/wav");
    assert_eq!(whole.headers[header::ACCEPT_RANGES], "bytes");
    assert_eq!(whole.headers[header::CACHE_CONTROL], "private, no-store");
    let part = range("bytes=100-199").await;
    assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &bytes[100..200]));
    assert_eq!(part.headers[header::CONTENT_RANGE], "bytes 100-199/10000");
    assert_eq!(range("bytes=9990-").await.body[..], bytes[9_990..]);
    assert_eq!(range("bytes=-10").await.body[..], bytes[9_990..]);
    assert_eq!(range("bytes=20000-").await.status, StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn recordings_are_for_supervisors_and_only_from_their_folder() {
    let site = Site::new().await;
    site.record("call.wav", b"RIFF");
    std::fs::write(site.data.path().join("secret.wav"), b"secret").expect("written");
    #[cfg(unix)]
    std::os::unix::fs::symlink(site.data.path().join("secret.wav"), site.data.path().join("recordings/link.wav"))
        .expect("linked");
    let mine = site.user("mine", UserRole::Agent).await;
    let taken = CallRecord { recording: Some("call.wav".to_owned()), ..site.call(Some(&mine)).await };
    site.store.put_call(&taken).await.expect("stored");
    let (agent, supervisor) = (site.signed_in(&mine).await, site.role(UserRole::Supervisor).await);
    let path = |call: &CallRecord| format!("/api/v1/calls/{}/recording", call.id);

    assert_eq!(site.get(&path(&taken), &agent).await.code(), "forbidden", "not even of their own calls");
    assert_eq!(site.get(&path(&taken), &supervisor).await.status, StatusCode::OK);
    let secret = site.data.path().join("secret.wav").display().to_string();
    for file in ["../secret.wav", secret.as_str(), "link.wav", "gone.wav", "..", ""] {
        let call = recorded(&site, file).await;
        assert_eq!(site.get(&path(&call), &supervisor).await.code(), "not_found", "{file}");
    }
    assert_eq!(site.get(&path(&site.call(None).await), &supervisor).await.code(), "not_found", "not recorded");
    let live = CallRecord { ended_at: None, ..recorded(&site, "call.wav").await };
    site.store.put_call(&live).await.expect("stored");
    assert_eq!(site.get(&path(&live), &supervisor).await.code(), "conflict");
    assert_eq!(site.get("/api/v1/calls/..%2f..%2fsecret/recording", &supervisor).await.code(), "bad_request");
}

#[tokio::test]
async fn a_message_is_done_once_and_its_number_is_masked_then() {
    let site = Site::new().await;
    let (first, second) = (site.user("first", UserRole::Agent).await, site.user("second", UserRole::Agent).await);
    let (first, second) = (site.signed_in(&first).await, site.signed_in(&second).await);
    let message = site.message(site.call(None).await.id).await;
    site.record("message.wav", b"RIFFmessage");
    let done = format!("/api/v1/messages/{}/done", message.id);

    let open = site.get("/api/v1/messages", &first).await.json();
    assert_eq!(open[0]["number"], "+15550001234", "calling back is the task");
    let audio = site.get(&format!("/api/v1/messages/{}/audio", message.id), &second).await;
    assert_eq!((audio.status, &audio.body[..]), (StatusCode::OK, &b"RIFFmessage"[..]));

    let before = Timestamp::now();
    let answer = site.post(&done, &first, Value::Null).await.json();
    assert_eq!((&answer["done_by"], &answer["number"]), (&json!("id-of-first"), &json!("…34")));
    let at: Timestamp = answer["done_at"].as_str().expect("a time").parse().expect("a time");
    assert!((before.as_millisecond()..=Timestamp::now().as_millisecond()).contains(&at.as_millisecond()), "{at}");
    assert_eq!(site.post(&done, &first, Value::Null).await.json()["done_at"], answer["done_at"], "asked twice");
    assert_eq!(site.post(&done, &second, Value::Null).await.code(), "conflict");
    assert_eq!(site.get("/api/v1/messages", &first).await.json(), json!([]));
    assert_eq!(site.get("/api/v1/messages?open=false", &first).await.json()[0]["number"], "…34");
    let supervisor = site.role(UserRole::Supervisor).await;
    assert_eq!(site.get("/api/v1/messages?open=false", &supervisor).await.json()[0]["number"], "…34");
    let nowhere = format!("/api/v1/messages/{}/done", uuid::Uuid::now_v7());
    assert_eq!(site.post(&nowhere, &first, Value::Null).await.code(), "not_found");
}

#[tokio::test]
async fn calls_are_found_by_what_they_were() {
    let site = Site::new().await;
    let call = site.call(None).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let found = async |query: &str| ids(&site.get(&format!("/api/v1/calls?{query}"), &supervisor).await.json());
    let outcome = serde_json::to_value(call.outcome).expect("plain");
    let outcome = outcome.as_str().expect("a word");
    assert_eq!(found(&format!("outcome={outcome}")).await, [call.id.to_string()]);
    assert!(found("outcome=interrupted&said=nothing").await.is_empty());
    assert_eq!(found("since=1960-01-01T00:00:00Z").await, [call.id.to_string()]);
    assert!(found("until=1960-01-01T00:00:00%2B02:00").await.is_empty());
    let wrong = site.get("/api/v1/calls?outcome=unheard-of", &supervisor).await;
    assert_eq!((wrong.status, wrong.code()), (StatusCode::BAD_REQUEST, "bad_request".to_owned()));
}

#[tokio::test]
async fn agents_see_their_own_day() {
    let site = Site::new().await;
    let agent = site.role(UserRole::Agent).await;
    let day = site.get("/api/v1/day?since=2020-01-01T00:00:00Z", &agent).await.json();
    assert_eq!(day, json!({ "offered": 0, "accepted": 0, "declined": 0, "missed": 0, "talk_ms": 0 }));
    assert_eq!(site.get("/api/v1/day", &agent).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn knowledge_can_be_read_and_asked() {
    let site = Site::new().await;
    let agent = site.role(UserRole::Agent).await;
    let entries = site.get("/api/v1/knowledge", &agent).await.json();
    let entries = entries.as_array().expect("entries");
    assert!(entries.iter().all(|entry| entry["answers"][0]["approved"].is_string()), "{entries:?}");
    let question = entries[0]["answers"][0]["also_asked"][0].as_str().expect("a question");
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", question).finish();
    let found = site.get(&format!("/api/v1/knowledge/search?{query}"), &agent).await.json();
    assert_eq!(found["hits"][0]["entry_id"], entries[0]["id"], "{question}: {found}");
    assert!(found["verbatim_score"].is_number());
    let nothing = site.get("/api/v1/knowledge/search?q=", &agent).await.json();
    assert_eq!(nothing["hits"], json!([]));
}

#[tokio::test]
async fn administrators_manage_accounts() {
    let site = Site::new().await;
    let admin = site.role(UserRole::Admin).await;
    let add = async |name: &str| site.post("/api/v1/users", &admin, json!({ "name": name, "role": "agent" })).await;
    let sign_in =
        async |password: &Value| site.post("/api/v1/session", "", json!({ "name": "kim", "password": password })).await;

    let added = add("Kim").await;
    assert_eq!((added.status, &added.json()["name"]), (StatusCode::CREATED, &json!("kim")));
    assert_eq!(add("kim").await.code(), "conflict");
    assert_eq!(add("not a name").await.code(), "bad_name");
    let first = sign_in(&added.json()["one_time_password"]).await;
    assert_eq!(first.status, StatusCode::OK);

    let reset = site.post("/api/v1/users/kim/password", &admin, Value::Null).await.json();
    assert_eq!(site.get("/api/v1/session", &first.cookie()).await.code(), "not_signed_in", "a reset signs out");
    assert_eq!(sign_in(&added.json()["one_time_password"]).await.code(), "wrong_credentials");
    let second = sign_in(&reset["one_time_password"]).await;
    assert_eq!(second.status, StatusCode::OK);

    let users = site.get("/api/v1/users", &admin).await;
    assert!(!String::from_utf8_lossy(&users.body).contains("argon2"), "hashes stay inside");
    let names: Vec<_> = users.json().as_array().expect("a list").iter().map(|user| user["name"].clone()).collect();
    assert_eq!(names, ["kim", "some-admin"]);

    let remove =
        async |name: &str| site.request(Method::DELETE, &format!("/api/v1/users/{name}"), &admin, Value::Null).await;
    assert_eq!(remove("kim").await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get("/api/v1/session", &second.cookie()).await.code(), "not_signed_in");
    assert_eq!(remove("kim").await.code(), "not_found");
    assert_eq!(remove("some-admin").await.code(), "last_admin");
}

#[tokio::test]
async fn numbers_come_by_interval_and_by_agent() {
    use warmline::handoff::wire::CallEnd;
    use warmline::store::{ContactRecord, HandoffOutcome, HandoffRecord};

    let site = Site::new().await;
    let ann = site.user("ann", UserRole::Agent).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let call = site.call(None).await;
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("in range");
    // Two in the first quarter of an hour, one of them answered after 12 s; nobody in the second.
    for (second, outcome, ended) in [(10, HandoffOutcome::Bridged, 112), (20, HandoffOutcome::CallerHungUp, 80)] {
        let handoff = HandoffRecord {
            id: warmline::handoff::HandoffId::generate(),
            call_id: call.id,
            reason: warmline::handoff::HandoffReason::CallerPressedZero,
            summary: vec![],
            requested_at: at(second),
            bridged_at: (outcome == HandoffOutcome::Bridged).then(|| at(second + 12)),
            ended_at: Some(at(ended)),
            outcome,
            agent_id: None,
            queue: Some("main".to_owned()),
            continues: None,
        };
        site.store.put_handoff(&handoff).await.expect("stored");
        if outcome == HandoffOutcome::Bridged {
            let contact = ContactRecord {
                id: uuid::Uuid::now_v7(),
                handoff_id: handoff.id,
                call_id: call.id,
                agent_id: ann.id.clone(),
                began_at: at(22),
                ended_at: Some(at(112)),
                ended_by: Some(CallEnd::CallerHungUp),
                hold_ms: 30_000,
                holds: 1,
                wrap_up_ms: Some(10_000),
            };
            site.store.put_contact(&contact).await.expect("stored");
        }
    }
    let (since, until) = (at(0), at(1_800));
    let intervals =
        site.get(&format!("/api/v1/metrics/intervals?since={since}&until={until}"), &supervisor).await.json();
    assert_eq!(intervals.as_array().expect("a list").len(), 2);
    let first = &intervals[0]["figures"];
    assert_eq!((&first["queued"], &first["handled"], &first["abandoned"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(
        (&first["service_level"], &first["asa_ms"], &first["aht_ms"]),
        (&json!(0.5), &json!(12_000), &json!(100_000))
    );
    assert_eq!((&first["talk_ms"], &first["hold_ms"]), (&json!(60_000), &json!(30_000)));
    assert_eq!(
        (&intervals[1]["figures"]["queued"], &intervals[1]["figures"]["service_level"]),
        (&json!(0), &Value::Null)
    );
    let strict =
        format!("/api/v1/metrics/intervals?since={since}&until={until}&service_level_s=10&every_s=1800&queue=main");
    let strict = site.get(&strict, &supervisor).await.json();
    assert_eq!((strict.as_array().map(Vec::len), &strict[0]["figures"]["service_level"]), (Some(1), &json!(0.0)));

    let agents = site.get(&format!("/api/v1/metrics/agents?since={since}&until={until}"), &supervisor).await.json();
    assert_eq!((&agents[0]["agent_id"], &agents[0]["figures"]["handled"]), (&json!(ann.id.0), &json!(1)));
    let live = site.get("/api/v1/metrics/live", &supervisor).await.json();
    assert_eq!(
        (&live["waiting"], &live["figures"]["queued"], &live["window_s"]),
        (&json!(0), &json!(0), &json!(1_800))
    );
    assert_eq!(live["queues"]["main"]["queued"], 0);
}
