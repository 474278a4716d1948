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
use super::json::{DigitBody, FormatBody, MediaBody, Name, NameBody, Parameters, Payload, Text, given, parse, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, before_start, stream_start};
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
        if event != "start" {
            return before_start(&event);
        }
        let Start { start, stream_sid } = parse(text, "start")?;
        let missing = ProtocolError::Field { event: "start", field: "stream_sid" };
        let stream_id = given(start.stream_sid).or(given(stream_sid)).ok_or(missing)?;
        let call_id = given(start.call_sid).unwrap_or_default();
        let format = format(&start.media_format.unwrap_or_default())?;
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
                stream.check_id("media", "stream_sid", stream_sid.as_ref())?;
                stream.receive(now, media.number(), media.at(), media.bytes()?, outputs)?;
            }
            "dtmf" => {
                let Dtmf { dtmf, stream_sid } = parse(text, "dtmf")?;
                stream.check_id("dtmf", "stream_sid", stream_sid.as_ref())?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(dtmf.key()?)));
            }
            "mark" => {
                let Mark { mark, stream_sid } = parse(text, "mark")?;
                stream.check_id("mark", "stream_sid", stream_sid.as_ref())?;
                stream.mark_named(&mark.name.0, outputs)?;
            }
            "stop" | "closed" => return Ok(Flow::Ended),
            "start" => return Err(ProtocolError::Order { event: "start" }),
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn audio(&self, stream: &Stream, audio: Vec<u8>) -> Output {
        send(&Outgoing::Media { stream_sid: &stream.id, media: Payload::of(&audio) })
    }

    fn mark(&self, stream: &Stream, mark: MarkId) -> Option<Output> {
        Some(send(&Outgoing::Mark { stream_sid: &stream.id, mark: Name::of(mark) }))
    }

    fn clear(&self, stream: &Stream) -> Output {
        send(&Outgoing::Clear { stream_sid: &stream.id })
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
    media_format: Option<FormatBody>,
}

/// What is not said is the default of the applet: PCM at 8 kHz.
fn format(told: &FormatBody) -> Result<Format, ProtocolError> {
    let codec = told.encoding.as_ref().map_or(Some(Codec::L16Le), |name| Codec::named(&name.0, Codec::L16Le));
    match (codec, told.rate()) {
        (Some(codec @ Codec::L16Le), Some(rate @ (8_000 | 16_000 | 24_000))) => {
            Ok(Format { codec, rate: SampleRate(rate as u32) })
        }
        (Some(Codec::Pcmu), Some(8_000)) => Ok(Format::PCMU_8K),
        _ => Err(told.unsupported()),
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DigitBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct Mark {
    mark: NameBody,
    #[serde(default, alias = "streamSid")]
    stream_sid: Option<Text>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Outgoing<'a> {
    Media { stream_sid: &'a str, media: Payload },
    Mark { stream_sid: &'a str, mark: Name },
    Clear { stream_sid: &'a str },
}
