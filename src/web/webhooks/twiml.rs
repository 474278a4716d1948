//! TwiML and its dialects, the XML by which a webhook tells a provider what to do with a caller. The parts that Twilio,
//! SignalWire and Telnyx have in common.

use std::collections::HashMap;

use super::dialled::{ACCEPT_S, RING_S};
use super::form::{DialUrls, Offer, response};
use super::xml::Element;
use crate::telephony::protocol::Transfer;

/// `<Connect><Stream>` to `url` with more attributes, followed by the question what comes next. `url` has no query: Twilio
/// refuses one.
pub(super) fn stream(url: &str, offer: &Offer<'_>, attributes: &[(&'static str, &str)]) -> Element {
    stream_with(url, offer, attributes, None)
}

/// The same with one more parameter, which comes back with the stream.
pub(super) fn stream_with(
    url: &str,
    offer: &Offer<'_>,
    attributes: &[(&'static str, &str)],
    more: Option<(&str, &str)>,
) -> Element {
    let stream = Element::new("Stream").with("url", url).with("statusCallback", &offer.status_url);
    let stream = attributes.iter().fold(stream, |stream, (name, value)| stream.with(name, value));
    let parameter = |name: &str, value: &str| Element::new("Parameter").with("name", name).with("value", value);
    let stream = stream.child(parameter("token", offer.token)).child(parameter("call_id", offer.call_id));
    let stream = stream.children(more.map(|(name, value)| parameter(name, value)));
    response().child(Element::new("Connect").child(stream)).child(Element::new("Redirect").text(&offer.after_url))
}

/// Calls a number or `sip:` address, asks whoever answers, and joins them to the caller; then asks what comes next.
pub(super) fn dial(transfer: &Transfer, urls: &DialUrls) -> Element {
    let target = transfer.target.reveal();
    let noun = if target.starts_with("sip:") { "Sip" } else { "Number" };
    let dial = Element::new("Dial").with("answerOnBridge", "true").with("timeout", &RING_S.to_string());
    dial.with("action", &urls.over).child(Element::new(noun).with("url", &urls.whisper).text(target))
}

/// Reads `text` to whoever answered and asks for a key; without one the call to them ends.
pub(super) fn whisper(text: &str, accept: &str) -> Element {
    let gather = Element::new("Gather").with("numDigits", "1").with("timeout", &ACCEPT_S.to_string());
    let gather = gather.with("action", accept).child(Element::new("Say").text(text));
    response().child(gather).child(Element::new("Hangup"))
}

/// Whether a form says that a machine has answered.
pub(super) fn machine(form: &HashMap<String, String>) -> bool {
    form.get("AnsweredBy").is_some_and(|by| by.starts_with("machine") || by == "fax")
}

/// Turns the call away with the network's busy tone, unanswered and free of charge.
pub(super) fn reject() -> Element {
    Element::new("Reject").with("reason", "busy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_joined_and_followed_by_a_question() {
        let offer = Offer {
            call_id: "CA1",
            account: "",
            token: "abc",
            status_url: "https://voice.example.com/voice/twilio/status".to_owned(),
            after_url: "https://voice.example.com/voice/twilio/after".to_owned(),
        };
        assert_eq!(
            stream("wss://voice.example.com/media/twilio", &offer, &[("codec", "x")]).document(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect>\
             <Stream url=\"wss://voice.example.com/media/twilio\" \
             statusCallback=\"https://voice.example.com/voice/twilio/status\" codec=\"x\">\
             <Parameter name=\"token\" value=\"abc\"/><Parameter name=\"call_id\" value=\"CA1\"/></Stream></Connect>\
             <Redirect>https://voice.example.com/voice/twilio/after</Redirect></Response>"
        );
    }

    #[test]
    fn numbers_and_addresses_are_dialled_as_such() {
        let to = |target: &str| Transfer { target: target.to_owned().into(), ..Transfer::default() };
        let urls =
            DialUrls { over: "https://a.example/x".to_owned(), whisper: "w?a=1&b=2".to_owned(), status: String::new() };
        let number = dial(&to("+15005550123"), &urls).document();
        assert!(number.ends_with(
            "<Dial answerOnBridge=\"true\" timeout=\"25\" action=\"https://a.example/x\">\
             <Number url=\"w?a=1&amp;b=2\">+15005550123</Number></Dial>"
        ));
        assert!(dial(&to("sip:desk@example.com"), &urls).document().contains(">sip:desk@example.com</Sip>"));
    }
}
