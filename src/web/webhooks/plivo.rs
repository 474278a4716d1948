//! Plivo's webhooks: forms signed with HMAC-SHA256 and a nonce, answered with Plivo XML. `form.rs` says how a call goes.

use super::dialled::{ACCEPT_KEY, ACCEPT_S, RING_S};
use super::form::{DialUrls, FormProvider, Offer, Signed, response};
use super::xml::Element;
use super::{Inner, now};
use crate::telephony::protocol::Transfer;
use crate::telephony::signature::SignatureError;
use crate::telephony::signature::plivo::{MAIN_SIGNATURE_HEADER, NONCE_HEADER, SIGNATURE_HEADER, verify};

pub(super) static PLIVO: FormProvider = FormProvider {
    provider: "plivo",
    path: "/voice/plivo",
    key: "plivo.auth_token",
    call_id: "CallUUID",
    dialled: "DialStatus",
    verify: verify_v3,
    stream,
    say: "Speak",
    reject: || Element::new("Hangup").with("reason", "busy"),
    dial,
    whisper: |text, _| response().child(Element::new("Speak").text(text)),
    joined: |form| form.get("DialAction").is_some_and(|action| action == "connected"),
    machine: |form| form.get("Machine").is_some_and(|is_machine| is_machine.eq_ignore_ascii_case("true")),
    failure: |form| form.get("Event").filter(|event| *event == "DroppedStream").cloned(),
};

fn verify_v3(inner: &Inner, signed: &Signed<'_>) -> Result<(), SignatureError> {
    let token = inner.gate.providers.plivo.auth_token.expose();
    // A subaccount's call is signed with its own token and with the main account's.
    let all = [SIGNATURE_HEADER, MAIN_SIGNATURE_HEADER].map(|name| signed.header(name));
    let all: Vec<&str> = all.into_iter().filter(|value| !value.is_empty()).collect();
    let nonce = signed.header(NONCE_HEADER);
    verify(token, &signed.url, Some(signed.fields), &all.join(","), nonce, now(), &inner.gate.replays)
}

/// The address is the element's text. Headers take letters and digits only, which our tokens are.
fn stream(inner: &Inner, offer: &Offer<'_>) -> Element {
    let stream = Element::new("Stream")
        .with("bidirectional", "true")
        .with("keepCallAlive", "true")
        .with("audioTrack", "inbound")
        .with("contentType", inner.gate.providers.plivo.content_type.as_str())
        .with("streamTimeout", "86400")
        .with("statusCallbackUrl", &offer.status_url)
        .with("statusCallbackMethod", "POST")
        .with("extraHeaders", &format!("token={}", offer.token))
        .text(&inner.media_url("plivo"));
    response().child(stream).child(Element::new("Redirect").text(&offer.after_url))
}

/// Plivo itself asks for the key. It does not say which way such a call ended, but reports when both are joined.
fn dial(transfer: &Transfer, urls: &DialUrls) -> Element {
    let target = transfer.target.reveal();
    let noun = if target.starts_with("sip:") { "User" } else { "Number" };
    let dial = Element::new("Dial")
        .with("action", &urls.over)
        .with("method", "POST")
        .with("timeout", &RING_S.to_string())
        .with("confirmSound", &urls.whisper)
        .with("confirmKey", ACCEPT_KEY)
        // From the answer on: the brief is read within it.
        .with("confirmTimeout", &(RING_S + ACCEPT_S).to_string())
        .with("callbackUrl", &urls.status)
        .with("callbackMethod", "POST");
    dial.child(Element::new(noun).text(target))
}
