//! Telnyx media streaming, bidirectional in `rtp` mode, for Call Control and TeXML.
//!
//! All messages are JSON text. Each direction has its codec: what we hear stands in `start`, what we send is what the
//! webhook asked for, 20 ms at least. Messages may come out of order, which Telnyx says itself. Source: Telnyx "Media Streaming over
//! WebSockets". Not here: answering the call and asking for the stream (`web/webhooks/telnyx.rs`).

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::{DigitBody, FormatBody, MediaBody, Name, NameBody, Parameters, Payload, Text, given, parse, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, before_start, stream_start};
use super::packer::Shape;
use super::protocol::{MarkId, MediaEvent, MediaProtocol, Output, ProtocolError};
use super::stream::Stream;
use crate::audio::byte_order::ByteOrder;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::config::TelnyxCodec;
use crate::telemetry::Secret;

/// Carries the stream's token in the handshake; the first message repeats it under the same name.
pub const TOKEN_HEADER: &str = "x-telnyx-streaming-auth-token";

/// What we ask Telnyx to take, by the configuration. Linear samples of unknown order begin in RTP's.
pub const fn played(codec: TelnyxCodec, order: ByteOrder) -> Format {
    match codec {
        TelnyxCodec::Pcmu => Format::PCMU_8K,
        TelnyxCodec::Pcma => Format { codec: Codec::Pcma, rate: SampleRate::NARROWBAND },
        TelnyxCodec::G722 => Format { codec: Codec::G722, rate: SampleRate::WIDEBAND },
        TelnyxCodec::L16 => Format { codec: linear(order), rate: SampleRate::WIDEBAND },
    }
}

const fn linear(order: ByteOrder) -> Codec {
    match order {
        ByteOrder::Little => Codec::L16Le,
        ByteOrder::Auto | ByteOrder::Big => Codec::L16Be,
    }
}

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    let settings = &opening.settings.telnyx;
    let wire = Telnyx {
        order: settings.l16_byte_order,
        played: played(settings.codec, settings.l16_byte_order),
        token: opening.handshake.header(TOKEN_HEADER).map(|token| Secret::new(token.to_owned())),
    };
    Box::new(Lifecycle::new(opening.now, wire))
}

#[derive(Debug)]
struct Telnyx {
    order: ByteOrder,
    played: Format,
    /// From the handshake or the first message; the start's own comes before it.
    token: Option<Secret<String>>,
}

impl Wire for Telnyx {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event, token, .. } = parse(text, "text")?;
        match event.as_str() {
            "start" => {}
            "connected" => {
                self.token = given(token).map(Secret::new).or(self.token.take());
                return Ok(None);
            }
            "error" => return Err(reported(text)),
            _ => return before_start(&event),
        }
        let Start { start, stream_id } = parse(text, "start")?;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(stream_id).or(given(start.stream_id)).ok_or_else(missing("stream_id"))?;
        let mut parameters = start.custom_parameters;
        // Our webhook gives the call's name along: a TeXML call has another one than its stream.
        let named = parameters.0.remove("call_id").filter(|id| !id.is_empty());
        let call_id = named.or(given(start.call_control_id)).ok_or_else(missing("call_control_id"))?;
        let heard = format(&start.media_format, linear(self.order))?;
        let mut stream = Stream::new(stream_id.clone(), heard, self.played, Shape::whole_frames(self.played))?;
        if self.order == ByteOrder::Auto {
            stream.guess_byte_order();
        }
        let mut told = stream_start(stream_id, call_id, heard, parameters);
        told.plays_at = self.played.rate;
        told.token = told.token.or(self.token.take());
        told.from = told.from.or(given(start.from).map(Into::into));
        told.to = told.to.or(given(start.to).map(Into::into));
        Ok(Some(Started { start: told, stream }))
    }

    fn text(
        &mut self,
        now: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError> {
        let Head { event, stream_id, .. } = parse(text, "text")?;
        let foreign = |stream: &Stream, event| stream.check_id(event, "stream_id", stream_id.as_ref());
        match event.as_str() {
            "media" => {
                foreign(stream, "media")?;
                let Media { media } = parse(text, "media")?;
                if media.is_callers() {
                    stream.receive(now, media.number(), media.at(), media.bytes()?, outputs)?;
                }
            }
            "dtmf" => {
                foreign(stream, "dtmf")?;
                let Dtmf { dtmf } = parse(text, "dtmf")?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(dtmf.key()?)));
            }
            "mark" => {
                foreign(stream, "mark")?;
                let Mark { mark } = parse(text, "mark")?;
                stream.mark_named(&mark.name.0, outputs)?;
            }
            "stop" => return Ok(Flow::Ended),
            "error" => return Err(reported(text)),
            "start" => return Err(ProtocolError::Order { event: "start" }),
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn audio(&self, _: &Stream, audio: Vec<u8>) -> Output {
        send(&Outgoing::Media { media: Payload::of(&audio) })
    }

    fn mark(&self, _: &Stream, mark: MarkId) -> Option<Output> {
        Some(send(&Outgoing::Mark { mark: Name::of(mark) }))
    }

    fn clear(&self, _: &Stream) -> Output {
        send(&Outgoing::Clear)
    }
}

/// What Telnyx did not like about a message of ours.
fn reported(text: &str) -> ProtocolError {
    match parse::<Failure>(text, "error") {
        Ok(Failure { payload }) => {
            let short = |text: Option<Text>| given(text).unwrap_or_default().chars().take(200).collect();
            ProtocolError::Reported { code: short(payload.code), text: short(payload.title.or(payload.detail)) }
        }
        Err(error) => error,
    }
}

#[derive(Deserialize)]
struct Head {
    event: String,
    #[serde(default)]
    stream_id: Option<Text>,
    #[serde(default, rename = "x-telnyx-streaming-auth-token")]
    token: Option<Text>,
}

#[derive(Deserialize)]
struct Start {
    start: StartBody,
    #[serde(default)]
    stream_id: Option<Text>,
}

#[derive(Deserialize)]
struct StartBody {
    #[serde(default)]
    stream_id: Option<Text>,
    #[serde(default)]
    call_control_id: Option<Text>,
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    to: Option<Text>,
    #[serde(default)]
    media_format: FormatBody,
    #[serde(default)]
    custom_parameters: Parameters,
}

/// The codec the call came in; `linear` is L16 as configured.
fn format(told: &FormatBody, linear: Codec) -> Result<Format, ProtocolError> {
    let codec = told.encoding.as_ref().map_or(Some(Codec::Pcmu), |name| Codec::named(&name.0, linear));
    let codec = codec.filter(|_| told.is_mono()).ok_or_else(|| told.unsupported())?;
    let rate = match (codec, told.rate()) {
        // RTP names G.722's clock 8000, and it carries 16 kHz.
        (Codec::G722, Some(8_000 | 16_000)) => SampleRate::WIDEBAND,
        (_, Some(rate @ (8_000 | 16_000 | 22_050 | 24_000 | 48_000))) => SampleRate(rate as u32),
        _ => return Err(told.unsupported()),
    };
    Ok(Format { codec, rate })
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DigitBody,
}

#[derive(Deserialize)]
struct Mark {
    mark: NameBody,
}

#[derive(Deserialize)]
struct Failure {
    payload: FailureBody,
}

#[derive(Deserialize)]
struct FailureBody {
    #[serde(default)]
    code: Option<Text>,
    #[serde(default)]
    title: Option<Text>,
    #[serde(default)]
    detail: Option<Text>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Outgoing {
    Media { media: Payload },
    Mark { mark: Name },
    Clear,
}
