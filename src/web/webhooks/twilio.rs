//! Twilio's webhooks: forms signed with HMAC-SHA1, answered with TwiML. `form.rs` says how a call goes.

use super::form::{FormProvider, verify_hmac_sha1};
use super::twiml;
use crate::telephony::signature::TWILIO_HEADER;

pub(super) static TWILIO: FormProvider = FormProvider {
    provider: "twilio",
    path: "/voice/twilio",
    key: "twilio.auth_token",
    call_id: "CallSid",
    dialled: "DialCallStatus",
    verify: |inner, signed| verify_hmac_sha1(inner.gate.providers.twilio.auth_token.expose(), signed, &[TWILIO_HEADER]),
    stream: |inner, offer| twiml::stream(&inner.media_url("twilio"), offer, &[]),
    say: "Say",
    reject: twiml::reject,
    dial: twiml::dial,
    whisper: twiml::whisper,
    joined: |_| false,
    machine: twiml::machine,
    failure: |form| form.get("StreamError").filter(|error| !error.is_empty()).cloned(),
};
