//! AudioHook's text messages, as they are read and written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audio::units::Millis;
use crate::telephony::json::{Parameters, Text};

/// Any message of the client.
#[derive(Debug, Deserialize)]
pub struct FromClient {
    /// The session.
    #[serde(default)]
    pub id: Option<Text>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its number, counted from 1.
    #[serde(default)]
    pub seq: Option<Text>,
    /// The number of our last message it has seen.
    #[serde(default)]
    pub serverseq: Option<Text>,
    /// What there is to say.
    #[serde(default)]
    pub parameters: Value,
}

impl FromClient {
    /// A parameter that is text or a number.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_value::<Text>(self.parameters.get(name)?.clone()).ok().map(|text| text.0)
    }

    /// A parameter that is a duration.
    pub fn span(&self, name: &str) -> Option<Millis> {
        duration(&self.text(name)?)
    }
}

/// What `open` tells.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenParameters {
    /// Whose call.
    pub organization_id: Option<Text>,
    /// Which call.
    pub conversation_id: Option<Text>,
    /// Who calls.
    pub participant: Participant,
    /// What it can send, the best first.
    pub media: Vec<Value>,
    /// The flow's language.
    pub language: Option<Text>,
    /// The flow's variables for us.
    pub input_variables: Parameters,
}

/// The caller.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Participant {
    /// A name for them.
    pub id: Option<Text>,
    /// Their number.
    pub ani: Option<Text>,
    /// The number they called.
    pub dnis: Option<Text>,
}

/// An entry of `media`.
#[derive(Debug, Deserialize)]
pub struct Media {
    /// `audio`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// `PCMU` or `L16`.
    #[serde(default)]
    pub format: String,
    /// `external` (the caller), `internal` (the agent).
    #[serde(default)]
    pub channels: Vec<String>,
    /// Hz.
    #[serde(default)]
    pub rate: u32,
}

/// Any message of ours.
#[derive(Debug, Serialize)]
pub struct ToClient<'a> {
    /// Of the protocol.
    pub version: &'static str,
    /// The session.
    pub id: &'a str,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Its number.
    pub seq: u64,
    /// The number of the client's last message we have seen.
    pub clientseq: u64,
    /// What there is to say.
    pub parameters: Value,
}

/// ISO 8601, hours, minutes and seconds: `PT1.24S`.
pub fn duration(text: &str) -> Option<Millis> {
    let mut rest = text.strip_prefix("PT")?;
    let mut millis = 0.0;
    while let Some(end) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        let number: f64 = rest[..end].parse().ok()?;
        millis += number
            * match &rest[end..=end] {
                "H" => 3_600_000.0,
                "M" => 60_000.0,
                "S" => 1_000.0,
                _ => return None,
            };
        rest = &rest[end + 1..];
    }
    // A cast of anything too large, or of nothing at all, is the nearest number there is.
    (rest.is_empty() && millis >= 0.0).then_some(Millis(millis.round() as u32))
}

/// A number without the scheme some have: `tel:+1…`.
pub fn number(text: Option<Text>) -> Option<String> {
    let text = text?.0;
    let bare = text.strip_prefix("tel:").unwrap_or(&text).trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Whether an id is all zeros: the client only tries the connection.
pub fn is_nobody(id: Option<&Text>) -> bool {
    id.is_some_and(|id| id.0.contains('0') && id.0.bytes().all(|byte| matches!(byte, b'0' | b'-')))
}

/// Variables for the flow: text all of them.
pub fn variables<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let all: BTreeMap<&str, &str> = pairs.into_iter().collect();
    serde_json::to_value(all).expect("text is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [("PT0S", 0), ("PT1.24S", 1_240), ("PT2M1.5S", 121_500), ("PT1H", 3_600_000), ("PT", 0)] {
            assert_eq!(duration(text), Some(Millis(millis)), "{text}");
        }
        for wrong in ["", "1S", "PT-1S", "PTS", "PT1", "PT1D", "PTNaNS", "PT1.S2"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(duration("PT1e30S"), None);
        assert_eq!(duration("PT99999999999999S"), Some(Millis(u32::MAX)));
    }

    #[test]
    fn nobody_is_all_zeros() {
        let id = |text: &str| Some(Text(text.to_owned()));
        assert!(is_nobody(id("00000000-0000-0000-0000-000000000000").as_ref()));
        for somebody in [id("00000000-0000-0000-0000-000000000001"), id(""), id("-"), None] {
            assert!(!is_nobody(somebody.as_ref()));
        }
        assert_eq!(number(id("tel:+15005550006")).as_deref(), Some("+15005550006"));
        assert_eq!(number(id("tel:")), None);
    }
}
