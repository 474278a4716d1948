//! Plivo's bidirectional `<Stream>`.
//!
//! All messages are JSON text. A checkpoint comes back only when everything before it was played; after `clearAudio` none
//! of the outstanding does, so they are given up at once. The end of a stream is the end of its socket: there is no stop
//! message, though one would be understood. Source: Plivo "Audio Streaming", and its `plivo-stream-sdk`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::{DigitBody, FormatBody, MediaBody, NameBody, Parameters, Text, base64, given, parse, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, before_start, stream_start};
use super::packer::Shape;
use super::protocol::{Digit, MarkId, MediaEvent, MediaProtocol, Output, ProtocolError};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Lifecycle::new(opening.now, Plivo { format: Format::PCMU_8K }))
}

#[derive(Debug)]
struct Plivo {
    /// Both ways, from the start on.
    format: Format,
}

impl Wire for Plivo {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event, .. } = parse(text, "text")?;
        match event.as_str() {
            "start" => {}
            "played" => return before_start("playedStream"),
            _ => return before_start(&event),
        }
        let Start { start, stream_id, extra_headers } = parse(text, "start")?;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(start.stream_id).or(given(stream_id)).ok_or_else(missing("streamId"))?;
        let call_id = given(start.call_id).ok_or_else(missing("callId"))?;
        self.format = format(&start.media_format)?;
        let stream = Stream::new(stream_id.clone(), self.format, self.format, Shape::FRAMES)?;
        let parameters = Parameters(extra_headers.map(headers).unwrap_or_default());
        Ok(Some(Started { start: stream_start(stream_id, call_id, self.format, parameters), stream }))
    }

    fn text(
        &mut self,
        now: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError> {
        let Head { event, stream_id } = parse(text, "text")?;
        let foreign = |stream: &Stream, event| stream.check_id(event, "streamId", stream_id.as_ref());
        match event.as_str() {
            "media" => {
                foreign(stream, "media")?;
                let Media { media } = parse(text, "media")?;
                if media.is_callers() {
                    // The timestamp is one page's time of day and another's time since the start: it places nothing.
                    stream.receive(now, media.number(), None, media.bytes()?, outputs)?;
                }
            }
            "dtmf" => {
                foreign(stream, "dtmf")?;
                let Dtmf { dtmf } = parse(text, "dtmf")?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(dtmf.key()?)));
            }
            "playedStream" | "played" => {
                foreign(stream, "playedStream")?;
                let NameBody { name } = parse(text, "playedStream")?;
                stream.mark_named(&name.0, outputs)?;
            }
            "stop" => return Ok(Flow::Ended),
            "start" => return Err(ProtocolError::Order { event: "start" }),
            // `clearedAudio`: what was outstanding was given up when we asked for it.
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn audio(&self, stream: &Stream, audio: Vec<u8>) -> Output {
        let content_type = if self.format.codec == Codec::Pcmu { "audio/x-mulaw" } else { "audio/x-l16" };
        let media = OutMedia { content_type, sample_rate: self.format.rate.0, payload: base64(&audio) };
        send(&Outgoing::PlayAudio { stream_id: &stream.id, media })
    }

    fn mark(&self, stream: &Stream, mark: MarkId) -> Option<Output> {
        Some(send(&Outgoing::Checkpoint { stream_id: &stream.id, name: mark.0.to_string() }))
    }

    fn clear(&self, stream: &Stream) -> Output {
        send(&Outgoing::ClearAudio { stream_id: &stream.id })
    }

    fn key(&self, _: &Stream, digit: Digit) -> Option<Output> {
        Some(send(&Outgoing::SendDtmf { dtmf: digit.get() }))
    }
}

/// The headers our XML asked for. They come as text: JSON in one description, `a=b;c=d` in another; some write an object.
fn headers(value: serde_json::Value) -> BTreeMap<String, String> {
    if let serde_json::Value::String(text) = &value {
        if let Ok(object @ serde_json::Value::Object(_)) = serde_json::from_str(text) {
            return headers(object);
        }
        let pairs = text.split([';', ',']).filter_map(|pair| pair.split_once('='));
        return pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    }
    serde_json::from_value(value).map(|Parameters(all)| all).unwrap_or_default()
}

#[derive(Deserialize)]
struct Head {
    event: String,
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
}

#[derive(Deserialize)]
struct Start {
    start: StartBody,
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
    #[serde(default, alias = "extraHeaders")]
    extra_headers: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct StartBody {
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
    #[serde(default, rename = "callId", alias = "call_id")]
    call_id: Option<Text>,
    #[serde(default, rename = "mediaFormat", alias = "media_format")]
    media_format: FormatBody,
}

/// What is not said is taken to be the telephone's.
fn format(told: &FormatBody) -> Result<Format, ProtocolError> {
    let codec = told.encoding.as_ref().map_or(Some(Codec::Pcmu), |name| Codec::named(&name.0, Codec::L16Le));
    match (codec, told.rate()) {
        (Some(Codec::Pcmu), Some(8_000)) => Ok(Format::PCMU_8K),
        (Some(codec @ Codec::L16Le), Some(rate @ (8_000 | 16_000))) => {
            Ok(Format { codec, rate: SampleRate(rate as u32) })
        }
        _ => Err(told.unsupported()),
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DigitBody,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Outgoing<'a> {
    PlayAudio {
        stream_id: &'a str,
        media: OutMedia,
    },
    Checkpoint {
        stream_id: &'a str,
        name: String,
    },
    ClearAudio {
        stream_id: &'a str,
    },
    #[serde(rename = "sendDTMF")]
    SendDtmf {
        dtmf: char,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutMedia {
    content_type: &'static str,
    sample_rate: u32,
    payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_headers_come_in_three_spellings() {
        let expected = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("token".to_owned(), "t".to_owned())]);
        for spelling in
            [r#""{\"token\":\"t\",\"a\":1}""#, r#""token=t;a=1""#, r#""a=1, token=t""#, r#"{"token":"t","a":"1"}"#]
        {
            assert_eq!(headers(serde_json::from_str(spelling).expect("JSON")), expected, "{spelling}");
        }
        for nothing in ["null", "7", "\"\"", "\"x\"", "[]"] {
            assert!(headers(serde_json::from_str(nothing).expect("JSON")).is_empty(), "{nothing}");
        }
    }
}
