//! Calling a person for a caller by Call Control: both calls are ours to join, so the person hears what it is about and is
//! asked for a key first. The caller hears music meanwhile.
//!
//! ```text
//! our socket closes ──▶ dial, playback_start ──▶ call.answered ──▶ gather_using_speak ──▶ call.gather.ended: 1 ──▶ bridge
//!                            │                        └── call.machine.premium.detection.ended: machine ──▶ hangup ──┐
//!                            └── busy, no answer, another key, no key: call.hangup of the person ◀───────────────────┘
//!                                        the caller: playback_stop, streaming_start ◀──┘
//! ```

use serde_json::json;
use tracing::{debug, warn};

use super::{DIALLED, Data, command_about, encoded, is_call_id, is_machine, missed, start_stream};
use crate::call::input::Missed;
use crate::telephony::protocol::Transfer;
use crate::web::carrier::telnyx::{Account, call_id};
use crate::web::webhooks::dialled::{ACCEPT_KEY, ACCEPT_S, DialOver, RING_S};
use crate::web::webhooks::hold;
use crate::web::webhooks::incoming::Announcement;
use crate::web::webhooks::{Inner, now};

/// The variable with the person's call.
const PERSON: &str = "person";

/// Calls somebody for the caller of this event, as `from`. False when that can't be asked for: the application's id is
/// missing, or the number that was called.
pub(super) async fn dial(inner: &Inner, data: &Data, transfer: &Transfer, from: &str) -> bool {
    let payload = &data.payload;
    let Some(account) = Account::of(&inner.gate.providers.telnyx) else { return false };
    if payload.connection_id.is_empty() || from.is_empty() {
        return false;
    }
    let caller = payload.call_control_id.as_str();
    let body = json!({
        "connection_id": payload.connection_id,
        "to": transfer.target.reveal(),
        "from": from,
        "timeout_secs": RING_S,
        "link_to": caller,
        "answering_machine_detection": "premium",
        "client_state": encoded(DIALLED, caller),
        "command_id": format!("{}-dial", data.id),
    });
    match inner.carrier.ask(account.call(body)).await {
        Ok(answer) => {
            let person = call_id(&answer).filter(|person| is_call_id(person));
            inner.note_value(caller, PERSON, person.unwrap_or_default());
            let music = json!({"audio_url": inner.url(hold::PATH), "loop": "infinity"});
            command_about(inner, data, caller, "playback_start", music).await;
        }
        Err(error) => {
            warn!("Telnyx did not call the person: {error}");
            over(inner, data, caller, Missed::Failed).await;
        }
    }
    true
}

/// Something happened to whoever was called for `caller`.
pub(super) async fn event(inner: &Inner, data: &Data, caller: &str) {
    let (payload, person) = (&data.payload, data.payload.call_control_id.as_str());
    match data.event_type.as_str() {
        "call.answered" => asked(inner, data, caller).await,
        "call.gather.ended" if payload.status != "call_hangup" => gathered(inner, data, caller).await,
        "call.hangup" => over(inner, data, caller, missed(&payload.hangup_cause)).await,
        _ if is_machine(data) => {
            inner.voicemail(caller);
            command_about(inner, data, person, "hangup", json!({})).await;
        }
        event => debug!(event, "Telnyx reports about the person called"),
    }
}

/// The person hears what it is about, and is asked for the key.
async fn asked(inner: &Inner, data: &Data, caller: &str) {
    let person = data.payload.call_control_id.as_str();
    let heard = match inner.whisper(caller) {
        Some(brief) => {
            let gather = json!({
                "payload": brief,
                "voice": "female",
                "language": "en-US",
                "minimum_digits": 1,
                "maximum_digits": 1,
                "maximum_tries": 1,
                "timeout_millis": ACCEPT_S * 1_000,
                "valid_digits": "0123456789*#",
            });
            command_about(inner, data, person, "gather_using_speak", gather).await
        }
        // The caller is not to be had any more.
        None => false,
    };
    if !heard {
        command_about(inner, data, person, "hangup", json!({})).await;
    }
}

/// The person has pressed a key, or none.
async fn gathered(inner: &Inner, data: &Data, caller: &str) {
    let (person, keys) = (data.payload.call_control_id.as_str(), data.payload.digits.as_str());
    let wanted = keys.starts_with(ACCEPT_KEY) && inner.is_given_away(caller);
    if wanted {
        command_about(inner, data, caller, "playback_stop", json!({})).await;
        let joined = command_about(inner, data, caller, "bridge", json!({"call_control_id": person})).await;
        if joined && inner.answered_with("telnyx", caller, keys) {
            return;
        }
    } else {
        inner.answered_with("telnyx", caller, keys);
    }
    // Their hang-up brings the caller back.
    command_about(inner, data, person, "hangup", json!({})).await;
}

/// The call to the person is over: the caller comes back to us, or hangs up after a conversation.
async fn over(inner: &Inner, data: &Data, caller: &str, missed: Missed) {
    let over = DialOver { answered: false, missed, caller_left: false };
    if inner.dial_over("telnyx", caller, over) {
        command_about(inner, data, caller, "playback_stop", json!({})).await;
        let call = Announcement { provider: "telnyx", call_id: caller, from: "", to: "" };
        start_stream(inner, data, caller, inner.take_back(now(), call).expose(), None).await;
    } else {
        command_about(inner, data, caller, "hangup", json!({})).await;
    }
}

/// A caller hung up. Whoever is being called for them need not go on ringing.
pub(super) async fn caller_left(inner: &Inner, data: &Data) {
    let caller = data.payload.call_control_id.as_str();
    let person = inner.noted(caller, PERSON);
    inner.dial_over("telnyx", caller, DialOver { answered: false, missed: Missed::NoAnswer, caller_left: true });
    if let Some(person) = person.filter(|person| is_call_id(person)) {
        command_about(inner, data, &person, "hangup", json!({})).await;
    }
}
