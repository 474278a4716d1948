//! XML documents by which webhooks tell a provider what to do with a caller: TwiML and its relatives.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

/// One element with its attributes, and text or elements in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// An empty element.
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// With one more attribute.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.push((name, value.to_owned()));
        self
    }

    /// With this text.
    pub fn text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// With one more element in it.
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// With more elements in it.
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The document with this as its root. Text and attributes are escaped; control characters, which XML can't carry at
    /// all, are left out.
    pub fn document(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        let declared = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        declared.and_then(|()| self.write(&mut writer)).expect("a Vec takes all that is written");
        String::from_utf8(writer.into_inner()).expect("text in, text out")
    }

    /// The document as an answer.
    pub fn answer(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (headers, self.document()).into_response()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut element = writer.create_element(self.name);
        for (name, value) in &self.attributes {
            element = element.with_attribute((*name, clean(value).as_str()));
        }
        if self.text.is_empty() && self.children.is_empty() {
            return element.write_empty().map(drop);
        }
        let inner = element.write_inner_content(|inner| {
            if !self.text.is_empty() {
                inner.write_event(Event::Text(BytesText::new(&clean(&self.text))))?;
            }
            self.children.iter().try_for_each(|child| child.write(inner))
        });
        inner.map(drop)
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::{Reader, XmlVersion};

    use super::*;

    #[test]
    fn elements_nest_and_text_can_not_break_out() {
        let document = Element::new("Response")
            .child(Element::new("Say").text("</Say><Dial>\"&'\u{0}</Dial>"))
            .children([Element::new("Reject").with("reason", "busy"), Element::new("Hangup")])
            .document();
        assert!(!document.contains("<Dial>") && !document.contains('\u{0}'), "{document}");
        assert!(document.ends_with("</Say><Reject reason=\"busy\"/><Hangup/></Response>"), "{document}");
    }

    proptest! {
        #[test]
        fn any_text_makes_a_well_formed_document_with_that_text(text in any::<String>()) {
            let document = Element::new("A").child(Element::new("B").with("x", &text).with("y", &text)).document();
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
            prop_assert_eq!(seen, 2);
        }
    }
}
