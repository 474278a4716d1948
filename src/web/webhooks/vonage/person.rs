//! Calling a person for a caller with the application's key: the person hears what it is about and is asked for a key first,
//! while the caller hears music.
//!
//! ```text
//! our socket closes, or we move the caller ──▶ POST /v1/calls ──▶ person: brief, input ──▶ accept: 1 ──▶ both in one conversation
//!                  │                                 └─ `busy`, `timeout`, `machine` …, another key, none: `completed` ──┐
//!                  └─▶ caller: music ── nobody told us in time: waited ──▶ a new stream: back with us ◀── transfer ◀─────┘
//! ```

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{Event, event_url, join, leg_url, ncco, talk};
use crate::call::input::Missed;
use crate::telephony::protocol::Transfer;
use crate::web::carrier::vonage::{Application, call_id, endpoint};
use crate::web::moving::{Departing, Moved};
use crate::web::webhooks::dialled::{ACCEPT_KEY, ACCEPT_S, DialOver, RING_S};
use crate::web::webhooks::incoming::Announcement;
use crate::web::webhooks::trusted::Trusted;
use crate::web::webhooks::{Inner, WebhookState, hold, now};

/// The variable with the person's call.
const PERSON: &str = "person";
/// The variable that notes that the API did not call anybody: it is not asked twice.
const UNCALLED: &str = "uncalled";
/// How long Vonage waits for an answer of ours, less a little: so long the API may take.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// How often the music is played: longer than ringing, brief and key take together.
const MUSIC_TURNS: u32 = 10;
// The longest brief is read in less than 30 s.
const _: () = assert!(MUSIC_TURNS * hold::SPAN.0 / 1_000 > RING_S + ACCEPT_S + 30);

pub(super) fn routes() -> Router<WebhookState> {
    Router::new()
        .route("/voice/vonage/person", get(answered).post(answered))
        .route("/voice/vonage/accept", get(accept).post(accept))
        .route("/voice/vonage/waited", get(waited).post(waited))
}

/// Calls the person. False when that can't be asked for, or was refused.
pub(super) async fn call(inner: &Inner, caller: &str, number: &str, transfer: &Transfer) -> bool {
    if inner.noted(caller, PERSON).is_some() {
        return true;
    }
    let settings = &inner.gate.providers.vonage;
    let from = if number.is_empty() { settings.number.as_str() } else { number };
    if from.is_empty() || inner.noted(caller, UNCALLED).is_some() {
        return false;
    }
    let Some(application) = Application::of(settings) else { return false };
    let body = json!({
        "to": [endpoint(transfer.target.reveal())],
        "from": endpoint(from),
        "answer_url": [leg_url(inner, "person", caller, number)],
        "answer_method": "POST",
        "event_url": [event_url(inner, caller, number, "person")],
        "event_method": "POST",
        "ringing_timer": RING_S,
        // Tells of machines while the brief is read already.
        "advanced_machine_detection": {"behavior": "hangup", "mode": "default"},
    });
    let person = match timeout(PATIENCE, inner.carrier.ask(application.call(body))).await {
        Ok(Ok(answer)) => call_id(&answer).map(str::to_owned),
        Ok(Err(error)) => {
            warn!("Vonage did not call the person: {error}");
            None
        }
        Err(_) => {
            warn!("Vonage did not say in time whether the person is called");
            None
        }
    };
    let is_called = person.is_some();
    if is_called && !inner.is_given_away(caller) {
        // Meanwhile the caller has left, or the person was quicker than Vonage's answer.
        hang_up(inner, person).await;
    } else {
        let (what, value) = person.as_deref().map_or((UNCALLED, "true"), |person| (PERSON, person));
        inner.note_value(caller, what, value);
    }
    is_called
}

/// What the caller hears until the person has decided; longer than that takes, and then we are asked.
pub(super) fn waiting(inner: &Inner, caller: &str, number: &str) -> Value {
    json!([
        {"action": "stream", "streamUrl": [inner.url(hold::PATH)], "loop": MUSIC_TURNS},
        {
            "action": "notify",
            "payload": {"call": caller},
            "eventUrl": [leg_url(inner, "waited", caller, number)],
            "eventMethod": "POST",
        },
    ])
}

/// Moves a caller whose stream is open: the person is called, and the caller hears music.
pub(in crate::web::webhooks) async fn move_call(inner: &Inner, caller: &Departing) -> Moved {
    let (id, number) = (caller.call_id.as_str(), caller.number.trim_start_matches('+'));
    if !call(inner, id, number, &caller.transfer).await {
        return Moved::No;
    }
    if !inner.is_given_away(id) {
        // The caller has left, or is on the way back.
        return Moved::Yes;
    }
    let Some(application) = Application::of(&inner.gate.providers.vonage) else { return Moved::No };
    inner.moved(application.transfer(id, &waiting(inner, id, number))).await
}

/// The person has answered.
async fn answered(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let (caller, number) = (event.of("call"), event.of("as"));
    let Some(brief) = inner.whisper(caller) else {
        // The caller is not to be had any more.
        return ncco(json!([]));
    };
    let mut said = talk(&brief);
    said[0]["bargeIn"] = true.into();
    ncco(json!([
        said[0],
        {
            "action": "input",
            "type": ["dtmf"],
            "dtmf": {"maxDigits": 1, "timeOut": ACCEPT_S},
            "eventUrl": [leg_url(inner, "accept", caller, number)],
            "eventMethod": "POST",
        },
    ]))
}

/// The person has pressed a key, or none.
async fn accept(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let (caller, keys) = (event.of("call"), keys(event.field("dtmf")));
    if !(keys.starts_with(ACCEPT_KEY) && inner.is_given_away(caller)) {
        inner.answered_with("vonage", caller, &keys);
        // Their call ends, which brings the caller back.
        return ncco(json!([]));
    }
    // Over for both as soon as one of them hangs up.
    let together = json!([{"action": "conversation", "name": format!("warmline-{caller}"), "endOnExit": true}]);
    let Some(application) = Application::of(&inner.gate.providers.vonage) else { return ncco(json!([])) };
    match inner.carrier.ask(application.transfer(caller, &together)).await {
        Ok(_) if inner.answered_with("vonage", caller, &keys) => ncco(together),
        Ok(_) => ncco(json!([])),
        Err(error) => {
            warn!("Vonage did not join a caller and the person: {error}");
            ncco(json!([]))
        }
    }
}

/// The music is over: neither the person nor Vonage has told us anything.
async fn waited(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let (caller, number) = (event.of("call"), event.of("as"));
    let person = inner.noted(caller, PERSON);
    if !inner.dial_over("vonage", caller, not_taken(Missed::NoAnswer)) {
        return StatusCode::NO_CONTENT.into_response();
    }
    hang_up(inner, person).await;
    ncco(back(inner, caller, number))
}

/// Something happened to whoever was called for `caller`.
pub(super) async fn event(inner: &Inner, caller: &str, number: &str, status: &str) {
    match status {
        "machine" => inner.voicemail(caller),
        "busy" | "cancelled" | "completed" | "failed" | "rejected" | "timeout" | "unanswered" => {
            if !inner.dial_over("vonage", caller, not_taken(DialOver::of(status).missed)) {
                return;
            }
            if let Some(application) = Application::of(&inner.gate.providers.vonage) {
                let back = back(inner, caller, number);
                // If it fails the caller goes on hearing music, and is back when that is over.
                inner.carrier.command("bring a caller back", application.transfer(caller, &back)).await;
            }
        }
        _ => debug!(status, "Vonage reports about the person called"),
    }
}

/// A caller hung up. Whoever is being called for them need not go on ringing.
pub(super) async fn caller_left(inner: &Inner, caller: &str) {
    let person = inner.noted(caller, PERSON);
    inner.dial_over("vonage", caller, DialOver { caller_left: true, ..not_taken(Missed::NoAnswer) });
    hang_up(inner, person).await;
}

async fn hang_up(inner: &Inner, person: Option<String>) {
    let application = Application::of(&inner.gate.providers.vonage);
    if let (Some(person), Some(application)) = (person, application) {
        inner.carrier.command("end a call", application.end(&person)).await;
    }
}

/// The caller's new stream.
fn back(inner: &Inner, caller: &str, number: &str) -> Value {
    let call = Announcement { provider: "vonage", call_id: caller, from: "", to: number };
    join(inner, caller, number, inner.take_back(now(), call).expose())
}

/// Nobody is joined who was not asked, so an answered call was not taken either.
fn not_taken(missed: Missed) -> DialOver {
    DialOver { answered: false, missed, caller_left: false }
}

/// The keys of an `input`, in its present form or the older one, which is the keys alone.
fn keys(dtmf: &str) -> String {
    match serde_json::from_str::<Value>(dtmf) {
        Ok(Value::Object(input)) => input.get("digits").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => dtmf.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_two_forms_or_not_at_all() {
        for (dtmf, expected) in [
            (r#"{"digits":"1","timed_out":false}"#, "1"),
            (r#"{"digits":null,"timed_out":true}"#, ""),
            ("1", "1"),
            ("", ""),
            ("[]", "[]"),
        ] {
            assert_eq!(keys(dtmf), expected, "{dtmf}");
        }
    }
}
