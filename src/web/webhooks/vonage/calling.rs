//! Calls we make by the application, which belong to no caller: `outbound/` has asked for them.
//!
//! ```text
//! POST /v1/calls ──▶ answered: a person ──▶ [connect websocket] ──▶ a call like any other
//!       └── event `busy`, `timeout` …, or `machine`, which Vonage hangs up on
//! ```

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tracing::debug;

use super::{Event, join, ncco, person};
use crate::call::input::{Missed, TransferNews};
use crate::web::webhooks::dialled::DialOver;
use crate::web::webhooks::incoming::Announcement;
use crate::web::webhooks::trusted::Trusted;
use crate::web::webhooks::{Inner, WebhookState, now};

pub(super) fn routes() -> Router<WebhookState> {
    Router::new().route("/voice/vonage/answered", get(answered).post(answered))
}

/// Somebody whom we call has answered.
async fn answered(State(state): State<WebhookState>, Trusted(event): Trusted<Event>) -> Response {
    let inner = &*state.0;
    let (call_id, number) = (event.field("uuid"), event.field("from"));
    if call_id.is_empty() || !inner.admission.answered("vonage", event.of("call"), call_id) {
        // Whoever called them has given up.
        return ncco(json!([]));
    }
    // They are the one we speak with, though it was us who called.
    let call = Announcement { provider: "vonage", call_id, from: event.field("to"), to: number };
    ncco(join(inner, call_id, number, inner.grant(now(), call).expose()))
}

/// Something happened to whoever is called under `key`, in Vonage's call `call_id`.
pub(super) async fn event(inner: &Inner, key: &str, status: &str, call_id: &str) {
    // They are known by Vonage's name once it has asked what to do, which may be before it knows of a machine.
    let missed = |why| {
        for name in [key, call_id].into_iter().filter(|name| !name.is_empty()) {
            inner.admission.transferred("vonage", name, TransferNews::Missed(why));
        }
    };
    match status {
        "machine" => missed(Missed::Voicemail),
        "busy" | "cancelled" | "completed" | "failed" | "rejected" | "timeout" | "unanswered" => {
            person::caller_left(inner, call_id).await;
            missed(DialOver::of(status).missed);
        }
        _ => debug!(status, "Vonage reports about a call of ours"),
    }
}
