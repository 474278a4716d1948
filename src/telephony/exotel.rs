//! Exotel's AgentStream: the Voicebot applet of a flow, or a call made with Connect Voice AI.
//!
//! JSON text both ways, audio in base64: little-endian PCM at the rate of the stream's URL (some pages say µ-law: what
//! `start` announces counts). Our messages have at least 3,200 bytes and a multiple of 320, as the vendor asks. Numbers
//! come as strings, names in two spellings. Closing the socket ends the applet and the flow goes on with the next one. It
//! is not documented whether marks come back after a clear; both are understood. Source: Exotel, "WebSocket protocol" and
//! "Working with the Stream and Voicebot Applet".

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::{Arrival, LetIn, Opening, Refusal, check_basic};
use super::json::{Parameters, Text, base64, given, one_key, parse, payload, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, stream_start};
use super::packer::Shape;
use super::protocol::{MarkId, MediaEvent, MediaProtocol, Output, ProtocolError};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};

/// The key of the password.
pub const PASSWORD_KEY: &str = "exotel.password";
/// At most 100 KB, says the vendor; these are far smaller.
const SHAPE: Shape = Shape { message: Millis(100), least: 3_200, multiple: 320 };

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Lifecycle::new(opening.now, Exotel))
}

/// `wss://USER:PASSWORD@…` in the applet, or a URL with a token that our webhook made.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let settings = &arrival.settings.exotel;
    let by_token = arrival.handshake.parameter("token").is_some_and(|token| !token.is_empty());
    match check_basic(arrival.handshake, &settings.username, &settings.password, PASSWORD_KEY) {
        Ok(()) => Ok(LetIn::ByHandshake),
        Err(Refusal::Missing | Refusal::Unconfigured(_)) if by_token => Ok(LetIn::ByToken),
        Err(refusal) => Err(refusal),
    }
}

#[derive(Debug)]
struct Exotel;

impl Wire for Exotel {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event } = parse(text, "text")?;
        match event.as_str() {
            "start" => {}
            "media" => return Err(ProtocolError::Order { event: "media" }),
            "dtmf" => return Err(ProtocolError::Order { event: "dtmf" }),
            "mark" => return Err(ProtocolError::Order { event: "mark" }),
            "stop" => return Err(ProtocolError::Order { event: "stop" }),
            // `connected`, and whatever else there may be one day.
            _ => return Ok(None),
        }
        let Start { start, stream_sid } = parse(text, "start")?;
        let missing = ProtocolError::Field { event: "start", field: "stream_sid" };
        let stream_id = given(start.stream_sid).or(given(stream_sid)).ok_or(missing)?;
        let call_id = given(start.call_sid).unwrap_or_default();
        let format = start.media_format.unwrap_or_default().format()?;
        let stream = Stream::new(stream_id.clone(), format, format, SHAPE)?;
        let mut told = stream_start(stream_id, call_id, format, start.custom_parameters);
        told.from = given(start.from).map(Into::into).or(told.from);
        told.to = given(start.to).map(Into::into).or(told.to);
        Ok(Some(Started { start: told, stream }))
    }

    fn text(
        &mut self,
        now: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError> {
        let Head { event } = parse(text, "text")?;
        match event.as_str() {
            "media" => {
                let Media { media, stream_sid } = parse(text, "media")?;
                check_id(stream, "media", stream_sid)?;
                let (number, at) = (media.chunk.and_then(|n| n.number()), media.timestamp.and_then(|at| at.millis()));
                stream.receive(now, number, at, payload(&media.payload)?, outputs)?;
            }
            "dtmf" => {
                let Dtmf { dtmf, stream_sid } = parse(text, "dtmf")?;
                check_id(stream, "dtmf", stream_sid)?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&dtmf.digit.0)?)));
            }
            "mark" => {
                let Mark { mark, stream_sid } = parse(text, "mark")?;
                check_id(stream, "mark", stream_sid)?;
                stream.mark_named(&mark.name.0, outputs)?;
            }
            "stop" | "closed" => return Ok(Flow::Ended),
            "start" => return Err(ProtocolError::Order { event: "start" }),
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn audio(&self, stream: &Stream, audio: Vec<u8>) -> Output {
        send(&Outgoing::Media { stream_sid: &stream.id, media: OutMedia { payload: base64(&audio) } })
    }

    fn mark(&self, stream: &Stream, mark: MarkId) -> Option<Output> {
        Some(send(&Outgoing::Mark { stream_sid: &stream.id, mark: OutMark { name: mark.0.to_string() } }))
    }

    fn clear(&self, stream: &Stream) -> Output {
        send(&Outgoing::Clear { stream_sid: &stream.id })
    }
}

/// The id may be left out, but not be another stream's.
fn check_id(stream: &Stream, event: &'static str, id: Option<Text>) -> Result<(), ProtocolError> {
    match id {
        Some(id) if id.0 != stream.id => Err(ProtocolError::Field { event, field: "stream_sid" }),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Head {
    event: String,
}

#[derive(Deserialize)]
struct Start {
    start: StartBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct StartBody {
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
    #[serde(default, alias = "callSid")]
    call_sid: Option<Text>,
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    to: Option<Text>,
    #[serde(default, alias = "customParameters")]
    custom_parameters: Parameters,
    #[serde(default, alias = "mediaFormat")]
    media_format: Option<MediaFormat>,
}

#[derive(Default, Deserialize)]
struct MediaFormat {
    #[serde(default)]
    encoding: Option<Text>,
    #[serde(default, alias = "sampleRate")]
    sample_rate: Option<Text>,
}

impl MediaFormat {
    /// What is not said is the default of the applet: PCM at 8 kHz.
    fn format(&self) -> Result<Format, ProtocolError> {
        let codec = self.encoding.as_ref().map_or(Some(Codec::L16Le), |name| Codec::named(&name.0, Codec::L16Le));
        let rate = self.sample_rate.as_ref().map_or(Some(8_000), Text::number);
        match (codec, rate) {
            (Some(codec @ Codec::L16Le), Some(rate @ (8_000 | 16_000 | 24_000))) => {
                Ok(Format { codec, rate: SampleRate(rate as u32) })
            }
            (Some(Codec::Pcmu), Some(8_000)) => Ok(Format::PCMU_8K),
            _ => {
                let shown = |field: &Option<Text>| field.as_ref().map_or("?", |text| text.0.as_str()).to_owned();
                let format = format!("{} {} Hz", shown(&self.encoding), shown(&self.sample_rate));
                Err(ProtocolError::Unsupported { format: format.chars().take(80).collect() })
            }
        }
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct MediaBody {
    #[serde(default)]
    chunk: Option<Text>,
    #[serde(default)]
    timestamp: Option<Text>,
    payload: String,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DtmfBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct DtmfBody {
    digit: Text,
}

#[derive(Deserialize)]
struct Mark {
    mark: MarkBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct MarkBody {
    name: Text,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Outgoing<'a> {
    Media { stream_sid: &'a str, media: OutMedia },
    Mark { stream_sid: &'a str, mark: OutMark },
    Clear { stream_sid: &'a str },
}

#[derive(Serialize)]
struct OutMedia {
    payload: String,
}

#[derive(Serialize)]
struct OutMark {
    name: String,
}
