//! Calling a person for a caller by Call Control: both calls are ours to join, so the person hears what it is about and is
//! asked for a key first. The caller hears music meanwhile.
//!
//! ```text
//! our socket closes ──▶ dial, playback_start ──▶ call.answered ──▶ gather_using_speak ──▶ call.gather.ended: 1 ──▶ bridge
//!                            │                        └── call.machine.premium.detection.ended: machine ──▶ hangup ──┐
//!                            └── busy, no answer, another key, no key: call.hangup of the person ◀───────────────────┘
//!                                        the caller: playback_stop, streaming_start ◀──┘
//! ```

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tracing::{debug, warn};

use super::{DIALLED, Data, command_about, encoded, is_call_id, start_stream};
use crate::audio::resample::resample_all;
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::call::hold::HoldMusic;
use crate::call::input::Missed;
use crate::telephony::protocol::Transfer;
use crate::web::carrier::{Ask, Content, Credentials};
use crate::web::webhooks::dialled::{ACCEPT_KEY, ACCEPT_S, DialOver, RING_S};
use crate::web::webhooks::incoming::Announcement;
use crate::web::webhooks::{Inner, now};

/// Where the music is for callers who wait.
pub(super) const MUSIC: &str = "/voice/telnyx/hold.wav";
/// One turn of its figure; Telnyx repeats it.
const MUSIC_SPAN: Millis = Millis(7_200);
/// The variable with the person's call.
const PERSON: &str = "person";

/// The music.
pub(super) async fn music() -> Response {
    static FILE: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| {
        let mut pcm = Vec::new();
        HoldMusic::default().fill(SampleRate::WIDEBAND.samples_in(MUSIC_SPAN), &mut pcm);
        let narrow = resample_all(&pcm, SampleRate::WIDEBAND, SampleRate::NARROWBAND).unwrap_or_default();
        wav::bytes(SampleRate::NARROWBAND, &narrow).into()
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("audio/wav")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, file.clone()).into_response()
}

/// Calls somebody for the caller of this event, as `from`. False when that can't be asked for: the application's id is
/// missing, or the number that was called.
pub(super) async fn dial(inner: &Inner, data: &Data, transfer: &Transfer, from: &str) -> bool {
    let (settings, payload) = (&inner.gate.providers.telnyx, &data.payload);
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
    let ask = Ask {
        method: Method::POST,
        url: format!("{}/v2/calls", settings.api_url),
        credentials: Credentials::Bearer(&settings.api_key),
        content: Content::Json(body),
        // Telnyx knows a repeated command by its id.
        repeatable: true,
    };
    match inner.carrier.ask(ask).await {
        Ok(answer) => {
            let person = answer["data"]["call_control_id"].as_str().filter(|person| is_call_id(person));
            inner.note_value(caller, PERSON, person.unwrap_or_default());
            let music = json!({"audio_url": inner.url(MUSIC), "loop": "infinity"});
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
        "call.machine.premium.detection.ended" | "call.machine.detection.ended"
            if matches!(payload.result.as_str(), "machine" | "fax_detected") =>
        {
            inner.voicemail(caller);
            command_about(inner, data, person, "hangup", json!({})).await;
        }
        "call.machine.premium.greeting.ended" if payload.result == "beep_detected" => {
            inner.voicemail(caller);
            command_about(inner, data, person, "hangup", json!({})).await;
        }
        "call.hangup" => {
            let missed = match payload.hangup_cause.as_str() {
                "user_busy" => Missed::Busy,
                "call_rejected" => Missed::Declined,
                // Who answered and hung up instead of pressing a key has not taken the call either.
                "timeout" | "no_answer" | "normal_clearing" => Missed::NoAnswer,
                _ => Missed::Failed,
            };
            over(inner, data, caller, missed).await;
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
        start_stream(inner, data, caller, inner.take_back(now(), call).expose()).await;
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
