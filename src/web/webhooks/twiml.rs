//! TwiML, the XML by which a webhook tells Twilio what to do with a caller.

use axum::response::Response;

use super::xml::Element;

/// What Twilio is to do, one after another.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb<'a> {
    /// Speak.
    Say(&'a str),
    /// End the call.
    Hangup,
    /// Turn the call away with the network's busy tone, unanswered and free of charge.
    RejectBusy,
    /// Join the caller to a media stream until we close it.
    Stream {
        /// `wss://…`, without a query: Twilio refuses one.
        url: &'a str,
        /// Where Twilio reports that the stream began, ended or failed.
        status_callback: &'a str,
        /// Handed over in the stream's start message. Names and values under 500 characters.
        parameters: &'a [(&'a str, &'a str)],
    },
    /// Call somebody and join them to the caller; then ask at `action` what comes next.
    Dial {
        /// A number or `sip:` address.
        target: &'a str,
        /// Where the result is told.
        action: &'a str,
    },
    /// Ask there what comes next.
    Redirect(&'a str),
}

impl Verb<'_> {
    fn element(&self) -> Element {
        match self {
            Self::Say(text) => Element::new("Say").text(text),
            Self::Hangup => Element::new("Hangup"),
            Self::RejectBusy => Element::new("Reject").with("reason", "busy"),
            Self::Redirect(url) => Element::new("Redirect").text(url),
            Self::Dial { target, action } => {
                let noun = if target.starts_with("sip:") { "Sip" } else { "Number" };
                let dial = Element::new("Dial").with("answerOnBridge", "true").with("action", action);
                dial.child(Element::new(noun).text(target))
            }
            Self::Stream { url, status_callback, parameters } => {
                let parameter =
                    |(name, value): &(&str, &str)| Element::new("Parameter").with("name", name).with("value", value);
                let stream = Element::new("Stream").with("url", url).with("statusCallback", status_callback);
                Element::new("Connect").child(stream.children(parameters.iter().map(parameter)))
            }
        }
    }
}

/// The document.
pub fn document(verbs: &[Verb<'_>]) -> String {
    response(verbs).document()
}

/// The document as an answer.
pub fn answer(verbs: &[Verb<'_>]) -> Response {
    response(verbs).answer()
}

fn response(verbs: &[Verb<'_>]) -> Element {
    Element::new("Response").children(verbs.iter().map(Verb::element))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_joined_and_followed_by_a_question() {
        let verbs = [
            Verb::Stream {
                url: "wss://voice.example.com/media/twilio",
                status_callback: "https://voice.example.com/voice/twilio/status",
                parameters: &[("token", "abc-_")],
            },
            Verb::Redirect("https://voice.example.com/voice/twilio/after"),
        ];
        assert_eq!(
            document(&verbs),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect>\
             <Stream url=\"wss://voice.example.com/media/twilio\" \
             statusCallback=\"https://voice.example.com/voice/twilio/status\">\
             <Parameter name=\"token\" value=\"abc-_\"/></Stream></Connect>\
             <Redirect>https://voice.example.com/voice/twilio/after</Redirect></Response>"
        );
    }

    #[test]
    fn numbers_and_addresses_are_dialled_as_such() {
        let dial = |target| document(&[Verb::Dial { target, action: "https://a.example/x" }]);
        assert!(dial("+15005550123").ends_with(
            "<Dial answerOnBridge=\"true\" action=\"https://a.example/x\"><Number>+15005550123</Number></Dial></Response>"
        ));
        assert!(dial("sip:desk@example.com").contains("<Sip>sip:desk@example.com</Sip>"));
    }
}
