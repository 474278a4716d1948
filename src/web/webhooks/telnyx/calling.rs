//! Calls we make by Call Control, which belong to no caller: `outbound/` has asked for them.
//!
//! ```text
//! dial ──▶ call.answered ── a machine? ──▶ call.machine.…detection.ended: no ──▶ streaming_start ──▶ a call like any other
//!   └── busy, no answer: call.hangup            └── yes: hangup
//! ```

use serde_json::json;
use tracing::debug;

use super::{Data, TALK, command, encoded, is_machine, missed, start_stream};
use crate::call::input::{Missed, TransferNews};
use crate::web::webhooks::incoming::Announcement;
use crate::web::webhooks::{Inner, now};

/// Something happened to whoever is called under `key`.
pub(super) async fn event(inner: &Inner, data: &Data, key: &str) {
    let gone = |missed| inner.admission.transferred("telnyx", key, TransferNews::Missed(missed));
    match data.event_type.as_str() {
        "call.hangup" => gone(missed(&data.payload.hangup_cause)),
        _ if is_machine(data) => {
            gone(Missed::Voicemail);
            command(inner, data, "hangup", json!({})).await;
        }
        "call.machine.premium.detection.ended" | "call.machine.detection.ended" => answered(inner, data, key).await,
        // Who has answered is known a few seconds later.
        event => debug!(event, "Telnyx reports about a call of ours"),
    }
}

/// A person has answered, or nobody can tell that it was a machine.
async fn answered(inner: &Inner, data: &Data, key: &str) {
    let payload = &data.payload;
    if !inner.admission.answered("telnyx", key, &payload.call_control_id) {
        // Whoever called them has given up.
        return command(inner, data, "hangup", json!({})).await;
    }
    // They are the one we speak with, though it was us who called.
    let call =
        Announcement { provider: "telnyx", call_id: &payload.call_control_id, from: &payload.to, to: &payload.from };
    let token = inner.grant(now(), call);
    let state = encoded(TALK, &format!("{} {}", token.expose(), payload.from));
    start_stream(inner, data, &payload.call_control_id, token.expose(), Some(state)).await;
}
