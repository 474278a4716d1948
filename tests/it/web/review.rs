//! What reviewers do with calls, and that whatever shows personal data is on the audit list.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use warmline::call::CallId;
use warmline::config::Config;
use warmline::store::{CallRecord, TurnRecord, UserRole};
use warmline::telephony::protocol::Speaker;

use crate::support::site::Site;

/// What is said in a call, one turn a second.
async fn say(site: &Site, call: &CallRecord, said: &[(Speaker, &str)]) {
    for (seq, (who, text)) in (0..).zip(said) {
        let turn = TurnRecord {
            call_id: call.id,
            seq,
            who: *who,
            text: (*text).to_owned(),
            planned: None,
            confidence: 0.9,
            started_ms: seq * 1_000,
            ended_ms: seq * 1_000 + 900,
            timings: None,
            entries: Vec::new(),
            agent_id: None,
            decision: None,
            word_times: Vec::new(),
        };
        site.store.put_turn(&turn).await.expect("stored");
    }
}

/// The newest entries of the audit list: what was done, and its detail.
async fn audited(site: &Site) -> Vec<(String, Option<String>)> {
    let list = site.store.list_audit(20).await.expect("readable");
    list.into_iter().map(|entry| (entry.action, entry.detail)).collect()
}

#[tokio::test]
async fn comments_are_made_by_those_who_see_the_call() {
    let site = Site::new().await;
    let (mine, other) = (site.user("mine", UserRole::Agent).await, site.user("other", UserRole::Agent).await);
    let call = site.call(Some(&mine)).await;
    let (mine, other) = (site.signed_in(&mine).await, site.signed_in(&other).await);
    let supervisor = site.role(UserRole::Supervisor).await;
    let path = format!("/api/v1/calls/{}/comments", call.id);

    let made = site.post(&path, &supervisor, json!({ "text": " Well asked. ", "at_ms": 4_000 })).await;
    assert_eq!((made.status, &made.json()["text"]), (StatusCode::CREATED, &json!("Well asked.")));
    assert_eq!(site.post(&path, &mine, json!({ "text": "Thank you." })).await.status, StatusCode::CREATED);
    assert_eq!(site.post(&path, &other, json!({ "text": "And I?" })).await.code(), "not_found");
    assert_eq!(site.post(&path, &supervisor, json!({ "text": "  " })).await.code(), "bad_request");
    assert_eq!(site.post(&path, &supervisor, json!({ "text": "x".repeat(4_001) })).await.code(), "bad_request");
    let nowhere = format!("/api/v1/calls/{}/comments", CallId::generate());
    assert_eq!(site.post(&nowhere, &supervisor, json!({ "text": "Lost." })).await.code(), "not_found");

    let seen = site.get(&format!("/api/v1/calls/{}", call.id), &mine).await.json();
    assert_eq!(seen["comments"][0], made.json());
    assert_eq!(seen["comments"][1]["author_id"], "id-of-mine");
}

#[tokio::test]
async fn assistant_and_people_are_scored_on_one_rubric() {
    let site = Site::new().await;
    let agent = site.user("mine", UserRole::Supervisor).await;
    let call = site.call(Some(&agent)).await;
    say(&site, &call, &[(Speaker::Assistant, "Hello"), (Speaker::Caller, "Hi")]).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let path = format!("/api/v1/calls/{}/scores", call.id);
    let put = async |cookie: &str, body: Value| site.request(Method::PUT, &path, cookie, body).await;

    let assistant = put(&supervisor, json!({ "resolved": 2, "tone": 5 })).await;
    assert_eq!((assistant.status, &assistant.json()["agent_id"]), (StatusCode::OK, &Value::Null));
    let person = put(&supervisor, json!({ "agent_id": "id-of-mine", "resolved": 5 })).await;
    assert_eq!(person.status, StatusCode::OK, "{person:?}");
    assert_eq!(put(&supervisor, json!({ "resolved": 3 })).await.json()["tone"], Value::Null, "replaced as a whole");

    for wrong in [json!({}), json!({ "resolved": 0 }), json!({ "tone": 6 }), json!({ "tone": "good" })] {
        assert_eq!(put(&supervisor, wrong.clone()).await.code(), "bad_request", "{wrong}");
    }
    assert_eq!(put(&supervisor, json!({ "agent_id": "nobody", "tone": 1 })).await.code(), "not_found");
    let own = site.signed_in(&agent).await;
    assert_eq!(put(&own, json!({ "agent_id": "id-of-mine", "tone": 5 })).await.code(), "conflict");

    let means = site.get("/api/v1/scores", &supervisor).await.json();
    assert_eq!(
        means["assistant"],
        json!({ "scores": 1, "resolved": 3.0, "correct": null, "effort": null, "tone": null })
    );
    assert_eq!(means["people"]["resolved"], 5.0);
    assert_eq!(site.get("/api/v1/scores?until=2020-01-01T00:00:00Z", &supervisor).await.json()["people"]["scores"], 0);
}

#[tokio::test]
async fn what_is_passed_on_is_masked_and_on_the_audit_list() {
    let site = Site::new().await;
    let call = site.call(None).await;
    let said = [
        (Speaker::Assistant, "How can I help you?"),
        (Speaker::Caller, "My name is Kim Miller, call me at 500 555 0006 or kim@example.org"),
        (Speaker::Assistant, "Thank you, Kim."),
    ];
    say(&site, &call, &said).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let text = site.get(&format!("/api/v1/calls/{}/redacted", call.id), &supervisor).await;
    assert_eq!(text.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(text.headers[header::CACHE_CONTROL], "private, no-store");
    let text = String::from_utf8(text.body.to_vec()).expect("text");
    for secret in ["Kim", "Miller", "555", "kim@", "+1"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    assert!(text.contains("My name is [name], call me at [number] or [e-mail]"), "{text}");
    assert_eq!(audited(&site).await, [("download_redacted".to_owned(), None)]);
}

#[tokio::test]
async fn a_call_becomes_a_scenario_that_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.review.scenarios_dir = folder.path().join("evals/calls");
    let site = Site::with(config).await;
    let call = site.call(None).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let path = format!("/api/v1/calls/{}/scenario", call.id);
    assert_eq!(site.get(&path, &supervisor).await.code(), "conflict", "nothing was said");

    say(&site, &call, &[(Speaker::Caller, "Is my order 440017 on its way?"), (Speaker::Assistant, "Let me look.")])
        .await;
    let made = site.get(&path, &supervisor).await;
    let yaml = String::from_utf8(made.body.to_vec()).expect("text");
    assert!(yaml.contains("say: \"Is my order 123456 on its way?\"") && !yaml.contains("440017"), "{yaml}");
    let keep = async |yaml: &str| site.request(Method::PUT, &path, &supervisor, json!({ "yaml": yaml })).await;
    let changed = yaml.replace("answerable", "unanswerable");
    let kept = keep(&changed).await.json();
    let file = format!("call-{}.yaml", call.id);
    assert_eq!(kept, json!({ "file": file, "scenarios": 1 }));
    let written = std::fs::read_to_string(folder.path().join("evals/calls").join(&file)).expect("written");
    assert_eq!(written, changed);
    let names: Vec<_> = std::fs::read_dir(folder.path().join("evals/calls")).expect("there").collect();
    assert_eq!(names.len(), 1, "nothing half-written stays behind");

    let wrong = keep("kind: bored\nscenarios: [{ turns: [{ say: hello }] }]").await;
    assert_eq!(wrong.code(), "bad_request");
    assert!(wrong.json()["message"].as_str().expect("text").contains("bored"), "{wrong:?}");
    assert_eq!(keep(&format!("# {}", "x".repeat(50_000))).await.code(), "bad_request");
    let done: Vec<_> = audited(&site).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(done, ["save_scenario", "make_scenario"]);
}

#[tokio::test]
async fn without_a_folder_scenarios_are_only_downloaded() {
    let site = Site::new().await;
    let call = site.call(None).await;
    let supervisor = site.role(UserRole::Supervisor).await;
    let yaml = "kind: stuck\nscenarios: [{ turns: [{ say: hello }] }]";
    let path = format!("/api/v1/calls/{}/scenario", call.id);
    let answer = site.request(Method::PUT, &path, &supervisor, json!({ "yaml": yaml })).await;
    assert_eq!(answer.code(), "conflict");
    assert!(audited(&site).await.is_empty());
}

#[tokio::test]
async fn a_masked_number_is_shown_for_a_reason_on_record() {
    let site = Site::new().await;
    let (mine, other) = (site.user("mine", UserRole::Agent).await, site.user("other", UserRole::Agent).await);
    let call = site.call(Some(&mine)).await;
    let (mine, other) = (site.signed_in(&mine).await, site.signed_in(&other).await);
    let path = format!("/api/v1/calls/{}/reveal", call.id);
    let ask = |field: &str, reason: &str| json!({ "field": field, "reason": reason });

    assert_eq!(site.post(&path, &mine, ask("from", "  ")).await.code(), "bad_request");
    assert_eq!(site.post(&path, &mine, ask("name", "curious")).await.code(), "bad_request");
    assert_eq!(site.post(&path, &other, ask("from", "not my call")).await.code(), "not_found");
    assert!(audited(&site).await.is_empty(), "nothing was shown");
    let shown = site.post(&path, &mine, ask("from", "the line broke, calling back")).await;
    assert_eq!(shown.json(), json!({ "value": "+15550001234" }));
    let supervisor = site.role(UserRole::Supervisor).await;
    assert_eq!(site.post(&path, &supervisor, ask("to", "which line was it")).await.json()["value"], "+15550009876");
    let list = site.store.list_audit(10).await.expect("readable");
    let listed: Vec<_> = list.iter().map(|entry| (entry.user_id.0.as_str(), entry.detail.as_deref())).collect();
    assert_eq!(
        listed,
        [
            ("id-of-some-supervisor", Some("to: which line was it")),
            ("id-of-mine", Some("from: the line broke, calling back")),
        ]
    );
    for _ in 0..9 {
        assert_eq!(site.post(&path, &mine, ask("from", "again")).await.status, StatusCode::OK);
    }
    assert_eq!(site.post(&path, &mine, ask("from", "again")).await.code(), "too_many_attempts");
}

/// A recording of ten seconds in which both sides hum all the time, and the caller presses a key between seven and eight.
fn hum(path: &std::path::Path) {
    let rate = warmline::audio::units::SampleRate::WIDEBAND;
    let mut writer = warmline::audio::wav::StereoWriter::create(path, rate).expect("created");
    let mut caller = vec![1_000; 160_000];
    let key = warmline::audio::dtmf::key_sound('5');
    caller[112_000..112_000 + key.len()].copy_from_slice(&key);
    writer.write(&caller, &vec![-1_000; 160_000]).expect("written");
    writer.finish().expect("finished");
}

#[tokio::test]
async fn a_recording_to_pass_on_is_silent_where_something_was_masked() {
    let site = Site::new().await;
    hum(&site.data.path().join("recordings/hum.wav"));
    // The recording begins two seconds into the call.
    let call = site.call(None).await;
    let call = CallRecord { recording: Some("hum.wav".to_owned()), notice_at_ms: Some(2_000), ..call };
    site.store.put_call(&call).await.expect("stored");
    let turn = async |seq: u32, who: Speaker, text: &str, from_ms: u32, to_ms: u32| {
        let turn = TurnRecord {
            call_id: call.id,
            seq,
            who,
            text: text.to_owned(),
            planned: None,
            confidence: 0.9,
            started_ms: from_ms,
            ended_ms: to_ms,
            timings: None,
            entries: Vec::new(),
            agent_id: None,
            decision: None,
            word_times: Vec::new(),
        };
        site.store.put_turn(&turn).await.expect("stored");
    };
    turn(0, Speaker::Assistant, "How can I help you?", 2_000, 3_000).await;
    turn(1, Speaker::Caller, "My card is 4417 1234 5678 9113", 4_000, 6_000).await;
    turn(2, Speaker::Caller, "Can you see it?", 8_000, 11_000).await;

    let supervisor = site.role(UserRole::Supervisor).await;
    let path = format!("/api/v1/calls/{}/redacted-recording", call.id);
    let answer = site.get(&path, &supervisor).await;
    assert_eq!(
        (answer.status, &answer.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"audio/wav".parse().expect("a type"))
    );
    assert_eq!(answer.headers[header::CONTENT_LENGTH], answer.body.len().to_string());
    let mut wav = hound::WavReader::new(std::io::Cursor::new(answer.body)).expect("a WAV file");
    let samples: Vec<i16> = wav.samples().map(|sample| sample.expect("complete")).collect();
    assert_eq!(samples.len(), 320_000, "as long as it was");
    // By tenths of a second of the recording: whether each side is heard all through, or not at all.
    let heard = |side: usize, tenth: usize| {
        let of = |n: usize| samples[2 * n + side] != 0;
        let all = (1_600 * tenth..1_600 * (tenth + 1)).map(of);
        (all.clone().all(|heard| heard), all.clone().any(|heard| heard))
    };
    let (yes, no) = ((true, true), (false, false));
    assert_eq!(
        (heard(1, 2), heard(1, 11), heard(1, 30), heard(1, 70)),
        (yes, yes, no, no),
        "only the assistant's turn"
    );
    for tenth in 16..=44 {
        assert_eq!((heard(0, tenth), heard(1, tenth)), (no, no), "the card's number, at {tenth}");
    }
    assert_eq!((heard(0, 10), heard(0, 59), heard(0, 66), heard(0, 80)), (no, yes, yes, yes));
    assert_eq!((heard(0, 70), heard(0, 71), heard(0, 95)), (no, no, no), "a key is pressed; nobody speaks any more");
    assert_eq!(audited(&site).await, [("download_redacted".to_owned(), Some("recording".to_owned()))]);

    assert_eq!(site.get(&path, &site.role(UserRole::Agent).await).await.code(), "forbidden");
    let silent = site.call(None).await;
    assert_eq!(
        site.get(&format!("/api/v1/calls/{}/redacted-recording", silent.id), &supervisor).await.code(),
        "not_found"
    );
    let broken = CallRecord { recording: Some("broken.wav".to_owned()), ..site.call(None).await };
    site.store.put_call(&broken).await.expect("stored");
    site.record("broken.wav", b"RIFFnothing");
    let answer = site.get(&format!("/api/v1/calls/{}/redacted-recording", broken.id), &supervisor).await;
    assert_eq!(answer.code(), "internal", "no recording is better than one that was not understood");
}
