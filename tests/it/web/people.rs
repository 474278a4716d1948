//! Shifts that agents take and give back, and their telephones.

use axum::http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warmline::config::Config;
use warmline::store::UserRole;

use crate::support::site::Site;

/// A block of four hours that begins so many hours from now.
fn block(hours: i64) -> Value {
    let from = Timestamp::now() + SignedDuration::from_hours(hours);
    json!({ "began_at": from, "ended_at": from + SignedDuration::from_hours(4) })
}

#[tokio::test]
async fn an_open_shift_is_taken_worked_or_given_back() {
    let site = Site::new().await;
    let (ann, ben) = (site.user("ann", UserRole::Agent).await, site.user("ben", UserRole::Agent).await);
    let (ann, ben) = (site.signed_in(&ann).await, site.signed_in(&ben).await);
    let boss = site.role(UserRole::Supervisor).await;
    let mut two = block(24);
    two["people"] = json!(2);
    let offered = site.post("/api/v1/open-shifts", &boss, two).await;
    assert_eq!((offered.status, offered.json().as_array().map(Vec::len)), (StatusCode::CREATED, Some(2)));
    let offered = offered.json();
    let take = async |who: &str, n: usize| {
        site.post(&format!("/api/v1/open-shifts/{}/take", offered[n]["id"].as_str().expect("an id")), who, Value::Null)
            .await
    };
    let taken = take(&ann, 0).await;
    assert_eq!((taken.status, &taken.json()["agent_id"]), (StatusCode::OK, &json!("id-of-ann")));
    assert_eq!(take(&ben, 0).await.code(), "conflict", "it is Ann's");
    assert_eq!(take(&ann, 1).await.code(), "conflict", "Ann is there already then");
    let open = site.get("/api/v1/open-shifts", &ben).await.json();
    assert_eq!(open, json!([offered[1]]));
    assert_eq!(site.get("/api/v1/shifts", &ann).await.json()[0]["id"], offered[0]["id"]);
    assert_eq!(site.get("/api/v1/shifts", &ben).await.json(), json!([]), "one's own");

    let id = offered[0]["id"].as_str().expect("an id");
    let give = async |who: &str| site.post(&format!("/api/v1/shifts/{id}/give-back"), who, Value::Null).await;
    assert_eq!(give(&ben).await.code(), "conflict");
    assert_eq!(give(&ann).await.json()["id"], json!(id));
    assert_eq!(site.get("/api/v1/shifts", &ann).await.json(), json!([]));
    assert_eq!(take(&ben, 0).await.status, StatusCode::OK, "who comes next");
    let withdraw = async |n: usize| {
        let path = format!("/api/v1/open-shifts/{}", offered[n]["id"].as_str().expect("an id"));
        site.request(Method::DELETE, &path, &boss, Value::Null).await
    };
    assert_eq!(withdraw(0).await.code(), "not_found", "Ben has it");
    assert_eq!(withdraw(1).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get("/api/v1/open-shifts", &ann).await.json(), json!([]));
    let done: Vec<_> = site.store.list_audit(10).await.expect("listed").into_iter().map(|entry| entry.action).collect();
    assert_eq!(done, ["take_shift", "give_back_shift", "take_shift"]);
}

#[tokio::test]
async fn what_can_not_be_worked_is_not_offered() {
    let site = Site::new().await;
    let (boss, agent) = (site.role(UserRole::Supervisor).await, site.role(UserRole::Agent).await);
    let offer = async |body: Value| site.post("/api/v1/open-shifts", &boss, body).await;
    let from = Timestamp::now() + SignedDuration::from_hours(1);
    let too_long = json!({ "began_at": from, "ended_at": from + SignedDuration::from_hours(25) });
    let backwards = json!({ "began_at": from, "ended_at": from });
    let mut crowd = block(1);
    crowd["people"] = json!(51);
    for wrong in [too_long, backwards, block(-1), crowd] {
        assert_eq!(offer(wrong.clone()).await.code(), "bad_request", "{wrong}");
    }
    assert_eq!(site.post("/api/v1/open-shifts", &agent, block(1)).await.code(), "forbidden");
    let people = site.get("/api/v1/people", &boss).await.json();
    assert_eq!(people[0], json!({ "id": "id-of-some-agent", "name": "some-agent", "role": "agent" }));
    assert_eq!(site.get("/api/v1/people", &agent).await.code(), "forbidden");
}

#[tokio::test]
async fn a_telephone_is_chosen_among_those_the_operator_lets_ring() {
    let text = "[handoff]\ntelephones = { ann = \"+15005550001\" }\ntelephone_prefixes = [\"+1500\", \"2\"]\n";
    let site = Site::with(Config::parse(text, std::iter::empty()).expect("valid")).await;
    let (ann, ben) = (site.user("ann", UserRole::Agent).await, site.user("ben", UserRole::Agent).await);
    let (ann, ben) = (site.signed_in(&ann).await, site.signed_in(&ben).await);
    let look = async |who: &str| site.get("/api/v1/telephone", who).await.json();
    let choose = async |who: &str, number: &str| {
        site.request(Method::PUT, "/api/v1/telephone", who, json!({ "number": number })).await
    };
    let of = |number: Value, is_own: bool| json!({ "number": number, "is_own": is_own, "may_choose": true, "can_ring": false, "is_on": false });
    assert_eq!(look(&ann).await, of(json!("…01"), false), "the configuration's");
    assert_eq!(look(&ben).await, of(Value::Null, false));
    assert_eq!(choose(&ann, "+1 (500) 555-0042").await.json(), of(json!("…42"), true));
    assert_eq!(
        site.store.telephone_of(&warmline::handoff::AgentId("id-of-ann".to_owned())).await.expect("readable"),
        Some("+15005550042".to_owned().into())
    );
    assert_eq!(choose(&ben, "204").await.json()["is_own"], true, "an extension");
    for wrong in ["", "+", "+44 20 7946 0958", "sip:me@example.org", "900"] {
        assert_eq!(choose(&ben, wrong).await.code(), "bad_request", "{wrong}");
    }
    let forgot = site.request(Method::DELETE, "/api/v1/telephone", &ann, Value::Null).await.json();
    assert_eq!(forgot, of(json!("…01"), false));
    let audit = site.store.list_audit(10).await.expect("listed");
    let details: Vec<_> = audit.iter().map(|entry| entry.detail.as_deref()).collect();
    assert_eq!(details, [None, Some("…"), Some("…42")], "not the number itself");
    assert_eq!(site.post("/api/v1/telephone/on", &ann, Value::Null).await.code(), "conflict", "no provider calls out");
}

#[tokio::test]
async fn where_the_operator_named_no_prefixes_nobody_chooses() {
    let site = Site::new().await;
    let agent = site.role(UserRole::Agent).await;
    let choose = site.request(Method::PUT, "/api/v1/telephone", &agent, json!({ "number": "+15005550042" })).await;
    assert_eq!(choose.code(), "conflict");
    assert_eq!(site.get("/api/v1/telephone", &agent).await.json()["may_choose"], false);
    assert_eq!(site.post("/api/v1/telephone/on", &agent, Value::Null).await.code(), "not_found");
}
