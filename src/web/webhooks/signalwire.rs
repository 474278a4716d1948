//! SignalWire's webhooks: forms signed with HMAC-SHA1, answered with cXML, which is TwiML and a little more. `form.rs`
//! says how a call goes.

use super::form::{FormProvider, verify_hmac_sha1};
use super::twiml;
use crate::telephony::signature::TWILIO_HEADER;

/// SignalWire's own header; the compatible API has sent Twilio's.
pub(super) const SIGNALWIRE_HEADER: &str = "x-signalwire-signature";

pub(super) static SIGNALWIRE: FormProvider = FormProvider {
    provider: "signalwire",
    path: "/voice/signalwire",
    key: "signalwire.signing_key",
    call_id: "CallSid",
    dialled: "DialCallStatus",
    verify: |inner, signed| {
        let key = inner.gate.providers.signalwire.signing_key.expose();
        verify_hmac_sha1(key, signed, &[SIGNALWIRE_HEADER, TWILIO_HEADER])
    },
    stream: |inner, offer| {
        let codec = inner.gate.providers.signalwire.codec.as_str();
        // `realtime`: less buffering there, as the pacing is ours.
        let attributes = [("codec", codec), ("realtime", "true"), ("authBearerToken", offer.token)];
        twiml::stream(&inner.media_url("signalwire"), offer, &attributes)
    },
    say: "Say",
    reject: twiml::reject,
    dial: twiml::dial,
    whisper: twiml::whisper,
    joined: |_| false,
    machine: twiml::machine,
    failure: |form| form.get("StreamError").filter(|error| !error.is_empty()).cloned(),
};
