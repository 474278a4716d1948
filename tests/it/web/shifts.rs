//! A block of time that was scheduled is paid, whatever becomes of it, and who comes late or leaves by themselves shows it.

use axum::http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;
use warmline::handoff::routing::plan::PaidClass;
use warmline::handoff::wire::AgentState;
use warmline::store::{LedgerRecord, ShiftRecord, UserRecord, UserRole};

use crate::support::site::Site;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

struct Desk {
    site: Site,
    ann: UserRecord,
    as_ann: String,
    as_ben: String,
    as_boss: String,
    now: Timestamp,
}

impl Desk {
    async fn open() -> Self {
        let site = Site::new().await;
        let (ann, ben) = (site.user("ann", UserRole::Agent).await, site.user("ben", UserRole::Agent).await);
        let (as_ann, as_ben) = (site.signed_in(&ann).await, site.signed_in(&ben).await);
        let as_boss = site.role(UserRole::Supervisor).await;
        Self { site, ann, as_ann, as_ben, as_boss, now: Timestamp::now() }
    }

    fn block(&self, from: SignedDuration, to: SignedDuration) -> Value {
        json!({ "agent_id": self.ann.id, "began_at": self.now + from, "ended_at": self.now + to })
    }

    async fn schedule(&self, who: &str, block: Value) -> (StatusCode, Value) {
        let answer = self.site.post("/api/v1/shifts", who, block).await;
        (answer.status, answer.json())
    }

    /// A shift of the past, called off when it was that old.
    async fn called_off(&self, from: SignedDuration, to: SignedDuration, released: SignedDuration) {
        let shift = ShiftRecord {
            id: Uuid::now_v7(),
            agent_id: self.ann.id.clone(),
            began_at: self.now + from,
            ended_at: self.now + to,
            scheduled_by: self.ann.id.clone(),
            scheduled_at: self.now - HOUR * 100,
            released_at: Some(self.now + released),
        };
        self.site.store.put_shift(&shift).await.expect("stored");
    }

    async fn worked(&self, from: SignedDuration, to: SignedDuration) {
        let entry = LedgerRecord {
            id: Uuid::now_v7(),
            agent_id: self.ann.id.clone(),
            state: AgentState::Available,
            code: None,
            class: PaidClass::Standby,
            began_at: self.now + from,
            ended_at: self.now + to,
        };
        self.site.store.put_ledger(&entry).await.expect("stored");
    }

    async fn ledger(&self) -> Value {
        let since = self.now - HOUR * 48;
        self.site.get(&format!("/api/v1/ledger?since={since}"), &self.as_ann).await.json()
    }
}

fn hours(ms: &Value) -> f64 {
    ms.as_f64().unwrap_or(0.0) / 3_600_000.0
}

#[tokio::test]
async fn supervisors_schedule_and_agents_see_their_own() {
    let desk = Desk::open().await;
    let block = desk.block(HOUR * 24, HOUR * 32);
    assert_eq!(desk.schedule(&desk.as_ann, block.clone()).await.0, StatusCode::FORBIDDEN);
    let (status, shift) = desk.schedule(&desk.as_boss, block).await;
    assert_eq!((status, &shift["released_at"]), (StatusCode::OK, &Value::Null));
    let list = async |who: &str| {
        let shifts = desk.site.get("/api/v1/shifts", who).await.json();
        shifts.as_array().expect("a list").iter().map(|shift| shift["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list(&desk.as_ann).await, [shift["id"].clone()]);
    assert_eq!(list(&desk.as_ben).await.len(), 0, "not somebody else's");
    assert_eq!(list(&desk.as_boss).await, [shift["id"].clone()]);
}

#[tokio::test]
async fn a_shift_has_an_agent_a_length_and_no_other_beside_it() {
    let desk = Desk::open().await;
    let schedule = async |block| desk.schedule(&desk.as_boss, block).await.0;
    assert_eq!(schedule(desk.block(HOUR * 2, HOUR * 2)).await, StatusCode::BAD_REQUEST);
    assert_eq!(schedule(desk.block(HOUR * 2, HOUR)).await, StatusCode::BAD_REQUEST, "backwards");
    assert_eq!(schedule(desk.block(HOUR, HOUR * 26)).await, StatusCode::BAD_REQUEST, "longer than a day");
    let mut nobodys = desk.block(HOUR, HOUR * 2);
    nobodys["agent_id"] = json!("nobody");
    assert_eq!(schedule(nobodys).await, StatusCode::NOT_FOUND);
    assert_eq!(schedule(desk.block(HOUR, HOUR * 5)).await, StatusCode::OK);
    assert_eq!(schedule(desk.block(HOUR * 4, HOUR * 6)).await, StatusCode::CONFLICT, "another one then");
    assert_eq!(schedule(desk.block(HOUR * 5, HOUR * 6)).await, StatusCode::OK, "right after it");
}

#[tokio::test]
async fn what_was_scheduled_is_not_taken_back_and_the_first_release_counts() {
    let desk = Desk::open().await;
    let (_, shift) = desk.schedule(&desk.as_boss, desk.block(HOUR * 24, HOUR * 30)).await;
    let path = format!("/api/v1/shifts/{}", shift["id"].as_str().expect("an id"));
    for method in [Method::DELETE, Method::PUT, Method::PATCH] {
        let answer = desk.site.request(method.clone(), &path, &desk.as_boss, Value::Null).await;
        assert!(answer.status.is_client_error(), "{method}: there is no such thing as unscheduling");
    }
    let release = format!("{path}/release");
    assert_eq!(desk.site.post(&release, &desk.as_ann, Value::Null).await.status, StatusCode::FORBIDDEN);
    let first = desk.site.post(&release, &desk.as_boss, Value::Null).await.json();
    assert!(first["released_at"].is_string(), "{first}");
    let second = desk.site.post(&release, &desk.as_boss, Value::Null).await.json();
    assert_eq!(first, second);
    // What is called off leaves room for another, and stays promised.
    assert_eq!(desk.schedule(&desk.as_boss, desk.block(HOUR * 24, HOUR * 30)).await.0, StatusCode::OK);
    let unknown = format!("/api/v1/shifts/{}/release", Uuid::now_v7());
    assert_eq!(desk.site.post(&unknown, &desk.as_boss, Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_rest_of_a_block_that_was_called_off_stands_in_the_ledger_once() {
    let desk = Desk::open().await;
    // Eight hours from ten to two hours ago: sent home after three, and back for one of the others.
    desk.called_off(-HOUR * 10, -HOUR * 2, -HOUR * 7).await;
    desk.worked(-HOUR * 10, -HOUR * 7).await;
    desk.worked(-HOUR * 5, -HOUR * 4).await;
    let ledger = desk.ledger().await;
    assert!((hours(&ledger["totals_ms"]["standby"]) - 8.0).abs() < 1e-6, "each hour of the block once: {ledger}");
    let entries = ledger["entries"].as_array().expect("entries");
    let promised: Vec<f64> = entries
        .iter()
        .filter(|entry| entry["code"] == "guaranteed")
        .map(|entry| {
            let at = |key: &str| entry[key].as_str().and_then(|at| at.parse::<Timestamp>().ok()).expect("a time");
            at("ended_at").duration_since(at("began_at")).as_secs_f64() / 3_600.0
        })
        .collect();
    assert!(promised.len() == 2 && promised.iter().all(|hours| (hours - 2.0).abs() < 1e-6), "{promised:?}");
    assert!(entries.iter().all(|entry| entry["class"] == "standby"), "{entries:?}");
}

#[tokio::test]
async fn a_block_called_off_before_it_began_is_paid_whole_and_one_not_called_off_only_as_worked() {
    let desk = Desk::open().await;
    desk.called_off(-HOUR * 6, -HOUR * 2, -HOUR * 30).await;
    assert!((hours(&desk.ledger().await["totals_ms"]["standby"]) - 4.0).abs() < 1e-6);

    let desk = Desk::open().await;
    let (status, _) = desk.schedule(&desk.as_boss, desk.block(-HOUR * 6, -HOUR * 2)).await;
    assert_eq!(status, StatusCode::OK);
    desk.worked(-HOUR * 5, -HOUR * 3).await;
    let ledger = desk.ledger().await;
    assert!((hours(&ledger["totals_ms"]["standby"]) - 2.0).abs() < 1e-6, "late and early: {ledger}");
    let (since, until) = (desk.now - HOUR * 6, desk.now - HOUR * 2);
    let agents = desk.site.get(&format!("/api/v1/metrics/agents?since={since}&until={until}"), &desk.as_boss).await;
    let adherence = agents.json()[0]["figures"]["adherence"].as_f64().expect("there was a shift");
    assert!((adherence - 0.5).abs() < 1e-6, "two of four hours: {adherence}");
}
