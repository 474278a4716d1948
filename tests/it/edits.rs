//! What is changed at a running server is in force without a restart.

use serde_json::json;

use crate::support::front_desk::{ANSWER, FrontDesk, until};

const PARKING: &str = "+++\ntitle = \"Parking\"\nkeywords = [\"parking\"]\napproved = \"You can park behind the shop.\"\n\
    also_asked = [\"where can I park my car\"]\n+++\nThere are forty places.\n";

/// The best entry for a question, and its sentence.
async fn found(desk: &FrontDesk, question: &str) -> (String, String) {
    let question: String = form_urlencoded::byte_serialize(question.as_bytes()).collect();
    let found = desk.get(&format!("knowledge/search?q={question}")).await;
    let text = |key: &str| found["hits"][0][key].as_str().unwrap_or_default().to_owned();
    (text("entry_id"), text("approved"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_kept_answers_soon_and_a_changed_one_anew() {
    let desk = FrontDesk::open("[knowledge]\nreload_s = 1\n").await;
    let first = desk.get("knowledge/state").await["version"].clone();
    assert_eq!(found(&desk, "are you open on sunday").await.1, ANSWER);
    assert_ne!(found(&desk, "where can I park my car").await.0, "parking");

    desk.put("knowledge/parking", &json!({ "text": PARKING })).await;
    let answer =
        async |wanted: &str| found(&desk, "where can I park my car").await == ("parking".to_owned(), wanted.to_owned());
    until("the new entry answers", async || answer("You can park behind the shop.").await).await;
    let second = desk.get("knowledge/state").await;
    assert_eq!(second["entries"], 2);
    assert_ne!(second["version"], first, "records tell which one answered");

    desk.put("knowledge/parking", &json!({ "text": PARKING.replace("behind the shop", "in the street") })).await;
    until("the changed entry answers", async || answer("You can park in the street.").await).await;
    assert_eq!(found(&desk, "are you open on sunday").await.1, ANSWER, "the others stay");
    assert_eq!(desk.get("knowledge/state").await["problem"], json!(null));
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_are_in_force_at_once() {
    let calendar = "[[routing.queues]]\nname = \"main\"\nhours = \"office\"\n[[routing.calendars]]\nname = \"office\"\nweekly = [\"mon-sun 00:00-24:00\"]\n";
    let desk = FrontDesk::open(calendar).await;
    assert_eq!(desk.get("hours").await[0]["is_open"], true);
    // Closed today, whenever that is, and yesterday and tomorrow, should the day change meanwhile.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = [today.yesterday(), Ok(today), today.tomorrow()].map(|day| day.expect("in range").to_string());
    let kept =
        desk.put("hours/office", &json!({ "zone": "UTC", "weekly": ["mon-sun 00:00-24:00"], "days": days })).await;
    assert_eq!((&kept[0]["is_open"], &kept[0]["is_changed"]), (&json!(false), &json!(true)));
    assert_eq!(desk.get("live").await["queues"], json!(["main"]));
    desk.app.stop().await;
}
