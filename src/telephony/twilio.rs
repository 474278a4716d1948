//! Twilio Media Streams, bidirectional (`<Connect><Stream>`), and the base of those who speak
//! the same dialect (`signalwire.rs`).
//!
//! All messages are JSON text, audio is µ-law 8 kHz in base64. Reading is lenient: numbers may be strings, ids may be
//! missing where they repeat, unknown events are ignored. Sending is strict. Source: Twilio "Media Streams – WebSocket
//! Messages". Not here: signatures (`signature/twilio.rs`), tokens and resampling (`web/`).

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::{DigitBody, FormatBody, MediaBody, Name, NameBody, Parameters, Payload, Text, given, parse, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, before_start, stream_start};
use super::packer::Shape;
use super::protocol::{Digit, MarkId, MediaEvent, MediaProtocol, Output, ProtocolError};
use super::stream::Stream;
use crate::audio::byte_order::ByteOrder;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telemetry::Secret;

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    open_as(opening, Flavour::default(), None)
}

/// What those who speak Twilio's dialect add to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flavour {
    /// Linear samples may come and go, in this byte order.
    pub linear: Option<ByteOrder>,
    /// Keys can be sent towards the caller.
    pub keys_out: bool,
}

/// A new stream of a relative; `token` is what its handshake brought.
pub fn open_as(opening: &Opening<'_>, flavour: Flavour, token: Option<Secret<String>>) -> Box<dyn MediaProtocol> {
    Box::new(Lifecycle::new(opening.now, Twilio { flavour, token }))
}

#[derive(Debug)]
struct Twilio {
    flavour: Flavour,
    token: Option<Secret<String>>,
}

impl Wire for Twilio {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event } = parse(text, "text")?;
        if event != "start" {
            return before_start(&event);
        }
        let Start { start, stream_sid } = parse(text, "start")?;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(start.stream_sid).or(given(stream_sid)).ok_or_else(missing("streamSid"))?;
        let call_id = given(start.call_sid).ok_or_else(missing("callSid"))?;
        let format = self.flavour.format(&start.media_format.unwrap_or_default())?;
        let mut stream = Stream::new(stream_id.clone(), format, format, Shape::FRAMES)?;
        if self.flavour.linear == Some(ByteOrder::Auto) {
            stream.guess_byte_order();
        }
        let mut start = stream_start(stream_id, call_id, format, start.custom_parameters);
        start.token = start.token.or(self.token.take());
        Ok(Some(Started { start, stream }))
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
                stream.check_id("media", "streamSid", stream_sid.as_ref())?;
                if media.is_callers() {
                    stream.receive(now, media.number(), media.at(), media.bytes()?, outputs)?;
                }
            }
            "dtmf" => {
                let Dtmf { dtmf, stream_sid } = parse(text, "dtmf")?;
                stream.check_id("dtmf", "streamSid", stream_sid.as_ref())?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(dtmf.key()?)));
            }
            "mark" => {
                let Mark { mark, stream_sid } = parse(text, "mark")?;
                stream.check_id("mark", "streamSid", stream_sid.as_ref())?;
                stream.mark_named(&mark.name.0, outputs)?;
            }
            "stop" => return Ok(Flow::Ended),
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

    fn key(&self, stream: &Stream, digit: Digit) -> Option<Output> {
        let dtmf = OutDtmf { digit: digit.get() };
        self.flavour.keys_out.then(|| send(&Outgoing::Dtmf { stream_sid: &stream.id, dtmf }))
    }
}

impl Flavour {
    /// What is not said is taken to be the default.
    fn format(self, told: &FormatBody) -> Result<Format, ProtocolError> {
        let linear = if self.linear == Some(ByteOrder::Big) { Codec::L16Be } else { Codec::L16Le };
        let codec = told.encoding.as_ref().map_or(Some(Codec::Pcmu), |name| Codec::named(&name.0, linear));
        match (codec, told.rate()) {
            (Some(Codec::Pcmu), Some(8_000)) if told.is_mono() => Ok(Format::PCMU_8K),
            (Some(codec @ (Codec::L16Le | Codec::L16Be)), Some(rate @ (8_000 | 16_000 | 24_000)))
                if told.is_mono() && self.linear.is_some() =>
            {
                Ok(Format { codec, rate: SampleRate(rate as u32) })
            }
            _ => Err(told.unsupported()),
        }
    }
}

#[derive(Deserialize)]
struct Head {
    event: String,
}

#[derive(Deserialize)]
struct Start {
    start: StartBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct StartBody {
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
    #[serde(default, rename = "callSid", alias = "call_sid")]
    call_sid: Option<Text>,
    #[serde(default, rename = "mediaFormat", alias = "media_format")]
    media_format: Option<FormatBody>,
    #[serde(default, rename = "customParameters", alias = "custom_parameters")]
    custom_parameters: Parameters,
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DigitBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct Mark {
    mark: NameBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Outgoing<'a> {
    Media { stream_sid: &'a str, media: Payload },
    Mark { stream_sid: &'a str, mark: Name },
    Clear { stream_sid: &'a str },
    Dtmf { stream_sid: &'a str, dtmf: OutDtmf },
}

#[derive(Serialize)]
struct OutDtmf {
    digit: char,
}
