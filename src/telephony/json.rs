//! What dialects written in JSON have in common: reading leniently, writing strictly.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::protocol::{Digit, MarkId, Output, ProtocolError, WsMessage};
use crate::audio::units::Millis;

/// Larger messages are not looked at: the largest honest one, a start full of parameters, is far smaller.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// `text` as `event`, if it is not larger than any honest message.
pub fn parse<T: DeserializeOwned>(text: &str, event: &'static str) -> Result<T, ProtocolError> {
    if text.len() > MAX_MESSAGE {
        return Err(ProtocolError::Oversized { got: text.len(), limit: MAX_MESSAGE });
    }
    serde_json::from_str(text).map_err(|source| ProtocolError::Malformed { event, source })
}

/// A text message to send.
pub fn send<T: Serialize>(message: &T) -> Output {
    Output::Send(WsMessage::Text(serde_json::to_string(message).expect("plain text and numbers serialise")))
}

/// Audio in base64, as `media` messages carry it; empty audio is none.
pub fn payload(text: &str) -> Result<Vec<u8>, ProtocolError> {
    let bytes = BASE64.decode(text.as_bytes()).unwrap_or_default();
    if bytes.is_empty() { Err(ProtocolError::Field { event: "media", field: "payload" }) } else { Ok(bytes) }
}

/// Audio as base64.
pub fn base64(audio: &[u8]) -> String {
    BASE64.encode(audio)
}

/// The key of a `dtmf` message: exactly one.
pub fn one_key(text: &str) -> Result<Digit, ProtocolError> {
    let mut keys = text.chars();
    match (keys.next().and_then(Digit::new), keys.next()) {
        (Some(digit), None) => Ok(digit),
        _ => Err(ProtocolError::Field { event: "dtmf", field: "digit" }),
    }
}

/// A string, or a number or truth value where some providers write one.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(pub String);

impl Text {
    /// As a number. Nonsense in a number that only orders frames is no reason to lose what the caller says.
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// As a place in a stream.
    pub fn millis(&self) -> Option<Millis> {
        self.number().map(|at| Millis(u32::try_from(at).unwrap_or(u32::MAX)))
    }
}

/// What stands in an optional field, if anything does.
pub fn given(text: Option<Text>) -> Option<String> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText)
    }
}

/// Reads a [`Text`]: several stand in each frame, so that nothing is kept on the way.
struct AnyText;

impl Visitor<'_> for AnyText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
        Ok(Text(serde_json::Number::from_f64(number).map_or_else(String::new, |number| number.to_string())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Text, E> {
        Ok(Text(flag.to_string()))
    }
}

/// Custom parameters: an object, a list of `{name, value}`, or nothing at all in one of several spellings. Values that
/// are no text are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: serde_json::Value| serde_json::from_value::<Text>(value).ok().map(|text| text.0);
        let mut all = BTreeMap::new();
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Object(object) => {
                all.extend(object.into_iter().filter_map(|(name, value)| Some((name, text(value)?))));
            }
            serde_json::Value::Array(pairs) => {
                let field = |pair: &serde_json::Value, name| pair.get(name).cloned().and_then(text);
                all.extend(pairs.iter().filter_map(|pair| field(pair, "name").zip(field(pair, "value"))));
            }
            _ => {}
        }
        Ok(Self(all))
    }
}

/// `media` as Twilio's dialect and its relatives have it.
#[derive(Debug, Deserialize)]
pub struct MediaBody {
    #[serde(default)]
    track: Option<Text>,
    #[serde(default)]
    chunk: Option<Text>,
    #[serde(default)]
    timestamp: Option<Text>,
    payload: String,
}

impl MediaBody {
    /// Whether it is what the caller says, and not our own voice.
    pub fn is_callers(&self) -> bool {
        self.track.as_ref().is_none_or(|track| track.0.starts_with("inbound"))
    }

    /// Its number among the messages with audio.
    pub fn number(&self) -> Option<u64> {
        self.chunk.as_ref().and_then(Text::number)
    }

    /// Its place in the stream.
    pub fn at(&self) -> Option<Millis> {
        self.timestamp.as_ref().and_then(Text::millis)
    }

    /// The audio.
    pub fn bytes(&self) -> Result<Vec<u8>, ProtocolError> {
        payload(&self.payload)
    }
}

/// `dtmf` of the same dialects.
#[derive(Debug, Deserialize)]
pub struct DigitBody {
    digit: Text,
}

impl DigitBody {
    /// The key.
    pub fn key(&self) -> Result<Digit, ProtocolError> {
        one_key(&self.digit.0)
    }
}

/// `mark` of the same dialects, coming back.
#[derive(Debug, Deserialize)]
pub struct NameBody {
    /// The mark's name.
    pub name: Text,
}

/// What a `start` says about its audio.
#[derive(Debug, Default, Deserialize)]
pub struct FormatBody {
    /// The codec's name, in the provider's spelling.
    #[serde(default)]
    pub encoding: Option<Text>,
    /// Samples a second.
    #[serde(default, alias = "sampleRate")]
    pub sample_rate: Option<Text>,
    /// Voices in it.
    #[serde(default)]
    pub channels: Option<Text>,
}

impl FormatBody {
    /// Samples a second; 8,000 where nothing is said, nothing where nonsense is.
    pub fn rate(&self) -> Option<u64> {
        self.sample_rate.as_ref().map_or(Some(8_000), Text::number)
    }

    /// Whether there is one voice in it, as far as it says.
    pub fn is_mono(&self) -> bool {
        self.channels.as_ref().is_none_or(|channels| channels.0 == "1")
    }

    /// The error that names a format nobody here speaks.
    pub fn unsupported(&self) -> ProtocolError {
        let shown = |field: &Option<Text>| field.as_ref().map_or("?", |text| text.0.as_str()).to_owned();
        let format = format!("{} {} Hz {} ch", shown(&self.encoding), shown(&self.sample_rate), shown(&self.channels));
        ProtocolError::Unsupported { format: format.chars().take(80).collect() }
    }
}

/// Audio on its way out.
#[derive(Debug, Serialize)]
pub struct Payload {
    payload: String,
}

impl Payload {
    /// `audio` in base64.
    pub fn of(audio: &[u8]) -> Self {
        Self { payload: base64(audio) }
    }
}

/// A mark on its way out.
#[derive(Debug, Serialize)]
pub struct Name {
    name: String,
}

impl Name {
    /// Its number is its name.
    pub fn of(mark: MarkId) -> Self {
        Self { name: mark.0.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_many_spellings() {
        let read = |json: &str| serde_json::from_str::<Parameters>(json).expect("lenient").0;
        let expected = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(read(r#"{"a":"1","b":{"c":2}}"#), expected);
        assert_eq!(read(r#"[{"name":"a","value":1},{"name":"b"},7]"#), expected);
        for nothing in [r#""""#, "null", "[]", "{}", "3"] {
            assert_eq!(read(nothing), BTreeMap::new(), "{nothing}");
        }
    }

    #[test]
    fn a_text_may_be_a_number_or_a_truth_value_and_nothing_else() {
        let read = |json: &str| serde_json::from_str::<Text>(json).map(|text| text.0).ok();
        for (json, text) in [
            (r#""a\u00e9\n""#, "aé\n"),
            ("7", "7"),
            ("-7", "-7"),
            ("1.0", "1.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("true", "true"),
        ] {
            assert_eq!(read(json).as_deref(), Some(text), "{json}");
        }
        for wrong in ["null", "[]", "{}", r#"["a"]"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(serde_json::from_str::<Option<Text>>("null").expect("nothing"), None);
    }

    #[test]
    fn keys_are_one_character() {
        assert_eq!(one_key("5").ok(), Digit::new('5'));
        assert!(one_key("").is_err() && one_key("55").is_err() && one_key("x").is_err());
    }
}
