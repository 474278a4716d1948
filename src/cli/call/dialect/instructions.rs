//! The documents by which webhooks answer: TwiML and its relatives, as their providers read them.

use std::time::Duration;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::CallError;

/// What a TwiML document, or one of its relatives, asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Instructions {
    /// Where to connect.
    pub stream: Option<String>,
    /// All attributes of the stream's element.
    pub attributes: Vec<(String, String)>,
    /// Parameters to hand over.
    pub parameters: Vec<(String, String)>,
    /// Sentences to speak, and `busy tone` for a rejected call.
    pub said: String,
    /// Where keys are asked for, and how long the first may take.
    pub gather: Option<(String, Duration)>,
    /// Whom to call.
    pub dialled: Option<String>,
}

impl Instructions {
    /// An attribute of the stream's element.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// What happens to a caller still on the line: sentences, and who is called.
    pub fn told(self) -> String {
        self.dialled.map_or(self.said, |whom| format!("put through to {whom}"))
    }
}

/// Reads a document: `<Stream>` with its address as an attribute or as its text.
pub fn read(document: &str) -> Result<Instructions, CallError> {
    let mut reader = Reader::from_str(document);
    let mut instructions = Instructions::default();
    let mut within = Vec::new();
    let add = |instructions: &mut Instructions, within: &[String], text: &str| match within.last().map(String::as_str) {
        Some("Say" | "Speak" | "SpeakSentence") => instructions.said.push_str(text),
        Some("Number" | "Sip" | "User" | "PhoneNumber" | "SipUri") => {
            instructions.dialled.get_or_insert_default().push_str(text)
        }
        Some("Stream") if !text.trim().is_empty() => instructions.stream.get_or_insert_default().push_str(text.trim()),
        _ => {}
    };
    loop {
        let event = reader.read_event().map_err(|source| CallError::Twiml { source })?;
        match &event {
            Event::Eof => return Ok(instructions),
            Event::Start(tag) | Event::Empty(tag) => {
                let all = tag.attributes().flatten().filter_map(|attribute| {
                    let value = attribute.normalized_value(XmlVersion::Explicit1_0).ok()?.into_owned();
                    Some((attribute.key.as_ref().to_owned(), value))
                });
                let attributes: Vec<(String, String)> = all.collect();
                let one =
                    |name: &str| attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
                match tag.name().as_ref() {
                    "Stream" | "StartStream" => {
                        instructions.stream = one("url").or(one("destination"));
                        instructions.attributes = attributes;
                    }
                    "Parameter" | "StreamParam" => instructions.parameters.extend(one("name").zip(one("value"))),
                    "Gather" => {
                        let patience = one("firstDigitTimeout").and_then(|text| text.parse().ok()).unwrap_or(5);
                        instructions.gather = one("gatherUrl").map(|url| (url, Duration::from_secs(patience)));
                    }
                    "Reject" => instructions.said.push_str("busy tone"),
                    "Hangup" if one("reason").is_some() => instructions.said.push_str("busy tone"),
                    _ => {}
                }
                if matches!(event, Event::Start(_)) {
                    within.push(tag.name().as_ref().to_owned());
                }
            }
            Event::Text(text) => add(&mut instructions, &within, text),
            Event::GeneralRef(reference) => {
                add(&mut instructions, &within, resolve_predefined_entity(reference).unwrap_or("?"));
            }
            Event::End(_) => drop(within.pop()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::webhooks::xml::Element;

    fn document(verbs: impl IntoIterator<Item = Element>) -> String {
        Element::new("Response").children(verbs).document()
    }

    #[test]
    fn documents_are_read_as_they_are_written() {
        let parameter = Element::new("Parameter").with("name", "token").with("value", "a&b");
        let stream = Element::new("Stream").with("url", "wss://a.example/media/twilio").child(parameter);
        let redirect = Element::new("Redirect").text("https://a.example/after");
        let stream = read(&document([Element::new("Connect").child(stream), redirect])).expect("well-formed");
        assert_eq!(stream.stream.as_deref(), Some("wss://a.example/media/twilio"));
        assert_eq!(stream.parameters, [("token".to_owned(), "a&b".to_owned())]);
        let busy = [Element::new("Say").text("All lines & more are busy."), Element::new("Hangup")];
        let busy = read(&document(busy)).expect("well-formed");
        assert_eq!((busy.stream, busy.said.as_str()), (None, "All lines & more are busy."));
        for reject in [Element::new("Reject").with("reason", "busy"), Element::new("Hangup").with("reason", "busy")] {
            assert_eq!(read(&document([reject])).expect("well-formed").said, "busy tone");
        }
        let dial = Element::new("Dial").child(Element::new("Number").text("+15005550123"));
        assert_eq!(read(&document([dial])).expect("well-formed").dialled.as_deref(), Some("+15005550123"));
        let text = Element::new("Stream").with("a", "1").text("wss://a.example/x?a=1&b=2");
        let text = read(&document([text])).expect("well-formed");
        assert_eq!(text.stream.as_deref(), Some("wss://a.example/x?a=1&b=2"));
        assert_eq!(text.attributes, [("a".to_owned(), "1".to_owned())]);
        assert!(read("<Response><Say></Response>").is_err());
    }
}
