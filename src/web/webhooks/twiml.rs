//! TwiML, the XML by which a webhook tells Twilio what to do with a caller.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

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
    /// Ask there what comes next.
    Redirect(&'a str),
}

/// The document. Text and attributes are escaped; control characters, which XML can't carry at all, are left out.
pub fn document(verbs: &[Verb<'_>]) -> String {
    let mut writer = Writer::new(Vec::new());
    let written = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).and_then(|()| {
        writer
            .create_element("Response")
            .write_inner_content(|response| verbs.iter().try_for_each(|verb| write_verb(response, verb)))?;
        Ok(())
    });
    written.expect("a Vec takes all that is written");
    String::from_utf8(writer.into_inner()).expect("text in, text out")
}

fn write_verb(writer: &mut Writer<Vec<u8>>, verb: &Verb<'_>) -> std::io::Result<()> {
    match verb {
        Verb::Say(text) => writer.create_element("Say").write_text_content(BytesText::new(&clean(text))).map(drop),
        Verb::Hangup => writer.create_element("Hangup").write_empty().map(drop),
        Verb::RejectBusy => writer.create_element("Reject").with_attribute(("reason", "busy")).write_empty().map(drop),
        Verb::Redirect(url) => {
            writer.create_element("Redirect").write_text_content(BytesText::new(&clean(url))).map(drop)
        }
        Verb::Stream { url, status_callback, parameters } => writer
            .create_element("Connect")
            .write_inner_content(|connect| {
                connect
                    .create_element("Stream")
                    .with_attribute(("url", clean(url).as_str()))
                    .with_attribute(("statusCallback", clean(status_callback).as_str()))
                    .write_inner_content(|stream| {
                        parameters.iter().try_for_each(|(name, value)| {
                            stream
                                .create_element("Parameter")
                                .with_attribute(("name", clean(name).as_str()))
                                .with_attribute(("value", clean(value).as_str()))
                                .write_empty()
                                .map(drop)
                        })
                    })
                    .map(drop)
            })
            .map(drop),
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

/// The document as an answer.
pub fn answer(verbs: &[Verb<'_>]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, document(verbs)).into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::{Reader, XmlVersion};

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
    fn text_can_not_break_out() {
        let document = document(&[Verb::Say("</Say><Dial>\"&'\u{0}</Dial>"), Verb::RejectBusy, Verb::Hangup]);
        assert!(!document.contains("<Dial>") && !document.contains('\u{0}'), "{document}");
        assert!(document.ends_with("</Say><Reject reason=\"busy\"/><Hangup/></Response>"), "{document}");
    }

    proptest! {
        #[test]
        fn any_text_makes_a_well_formed_document_with_that_text(text in any::<String>()) {
            let document = document(&[Verb::Stream { url: &text, status_callback: &text, parameters: &[(&text, &text)] }]);
            let mut reader = Reader::from_str(&document);
            let mut seen = 0;
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Eof => break,
                    Event::Start(tag) | Event::Empty(tag) => {
                        for attribute in tag.attributes() {
                            let value = attribute.expect("well-formed").normalized_value(XmlVersion::Explicit1_0).expect("escaped").into_owned();
                            prop_assert_eq!(value, clean(&text));
                            seen += 1;
                        }
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(seen, 4);
        }
    }
}
