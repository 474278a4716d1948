//! Telnyx media streaming, bidirectional in `rtp` mode, for Call Control and TeXML.
//!
//! ```text
//! Waiting ──(connected) start──▶ Open ──stop, hang-up, socket gone──▶ Done
//!    └── no start within 10 s ────────────────────────────────────────▲
//! ```
//!
//! All messages are JSON text. Each direction has its codec: what we hear stands in `start`, what we send is what the
//! webhook asked for, 20 ms at least. Messages may come out of order, which Telnyx says itself. Source: Telnyx "Media Streaming over
//! WebSockets". Not here: answering the call and asking for the stream (`web/webhooks/telnyx.rs`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::{Parameters, Text, base64, given, one_key, parse, payload, send};
use super::packer::Shape;
use super::protocol::{
    CloseReason, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart, WsMessage,
};
use super::stream::Stream;
use crate::audio::byte_order::ByteOrder;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::config::TelnyxCodec;
use crate::telemetry::Secret;

/// How long a socket may be open before it says `start`.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);
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
    Box::new(Telnyx {
        state: State::Waiting { until: opening.now + START_TIMEOUT },
        outputs: VecDeque::new(),
        order: settings.l16_byte_order,
        played: played(settings.codec, settings.l16_byte_order),
        token: opening.handshake.header(TOKEN_HEADER).map(|token| Secret::new(token.to_owned())),
    })
}

#[derive(Debug)]
struct Telnyx {
    state: State,
    outputs: VecDeque<Output>,
    order: ByteOrder,
    played: Format,
    /// From the handshake or the first message; the start's own comes before it.
    token: Option<Secret<String>>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open(Box<Stream>),
    Done,
}

impl MediaProtocol for Telnyx {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        match message {
            WsMessage::Text(text) => self.handle_text(now, &text),
            WsMessage::Binary(_) => Err(ProtocolError::Kind { kind: "binary" }),
            WsMessage::Closed => {
                self.end(StopReason::SocketLost, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (stream, outputs) = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open(stream) => (stream, &mut self.outputs),
        };
        match command {
            MediaCommand::Audio(frame) => outputs.extend(stream.play(now, &frame)?.iter().map(|audio| media(audio))),
            MediaCommand::Mark(mark) => {
                outputs.extend(stream.flush(now).map(|audio| media(&audio)));
                outputs.push_back(send(&Outgoing::Mark { mark: OutMark { name: mark.0.to_string() } }));
                stream.mark_sent(mark, outputs);
            }
            MediaCommand::Clear => {
                outputs.push_back(send(&Outgoing::Clear));
                stream.cleared(outputs);
            }
            // Keys out are a command of Telnyx' API.
            MediaCommand::Caption(_) | MediaCommand::Dtmf(_) => {}
            MediaCommand::Transfer(_) | MediaCommand::Hangup => self.end(StopReason::Hangup, Some(CloseReason::Normal)),
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        self.outputs.clear();
        self.outputs.push_back(Output::Close(reason));
        self.state = State::Done;
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting { until } if now >= *until => {
                self.end(StopReason::Protocol, Some(CloseReason::StartTimeout));
            }
            State::Open(stream) => {
                if stream.give_up_at().is_some_and(|at| now >= at) {
                    stream.give_up(&mut self.outputs);
                }
                if stream.flush_at().is_some_and(|at| now >= at) {
                    self.outputs.extend(stream.flush(now).map(|audio| media(&audio)));
                }
            }
            State::Waiting { .. } | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open(stream) => [stream.give_up_at(), stream.flush_at()].into_iter().flatten().min(),
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Telnyx {
    fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let Head { event, token, stream_id } = parse(text, "text")?;
        let stream = match (&mut self.state, event.as_str()) {
            (State::Waiting { .. }, "start") => return self.start(parse(text, "start")?),
            (State::Waiting { .. }, "connected") => {
                self.token = given(token).map(Secret::new).or(self.token.take());
                return Ok(());
            }
            (State::Open(stream), _) => stream,
            (_, "media") => return Err(ProtocolError::Order { event: "media" }),
            (_, "dtmf") => return Err(ProtocolError::Order { event: "dtmf" }),
            (_, "mark") => return Err(ProtocolError::Order { event: "mark" }),
            (_, "stop") => return Err(ProtocolError::Order { event: "stop" }),
            (_, "error") => return Err(reported(text)),
            (_, _) => return Ok(()),
        };
        // The id may be left out, but not be another stream's.
        let foreign = |event| match &stream_id {
            Some(id) if id.0 != stream.id => Err(ProtocolError::Field { event, field: "stream_id" }),
            _ => Ok(()),
        };
        match event.as_str() {
            "media" => {
                foreign("media")?;
                let Media { media } = parse(text, "media")?;
                if media.track.is_some_and(|track| !track.0.starts_with("inbound")) {
                    return Ok(());
                }
                let (number, at) = (media.chunk.and_then(|n| n.number()), media.timestamp.and_then(|at| at.millis()));
                stream.receive(now, number, at, payload(&media.payload)?, &mut self.outputs)
            }
            "dtmf" => {
                foreign("dtmf")?;
                let message: Dtmf = parse(text, "dtmf")?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&message.dtmf.digit.0)?)));
                Ok(())
            }
            "mark" => {
                foreign("mark")?;
                let message: Mark = parse(text, "mark")?;
                stream.mark_named(&message.mark.name.0, &mut self.outputs)
            }
            "stop" => {
                self.end(StopReason::Provider, Some(CloseReason::Normal));
                Ok(())
            }
            "error" => Err(reported(text)),
            "start" => Err(ProtocolError::Order { event: "start" }),
            _ => Ok(()),
        }
    }

    fn start(&mut self, message: Start) -> Result<(), ProtocolError> {
        let Start { start, stream_id } = message;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(stream_id).or(given(start.stream_id)).ok_or_else(missing("stream_id"))?;
        let mut parameters = start.custom_parameters.0;
        // Our webhook gives the call's name along: a TeXML call has another one than its stream.
        let named = parameters.remove("call_id").filter(|id| !id.is_empty());
        let call_id = named.or(given(start.call_control_id)).ok_or_else(missing("call_control_id"))?;
        let heard = start.media_format.format(linear(self.order))?;
        let mut stream = Stream::new(stream_id.clone(), heard, self.played, Shape::whole_frames(self.played))?;
        if self.order == ByteOrder::Auto {
            stream.guess_byte_order();
        }
        let number = |custom: Option<String>, own: Option<Text>| custom.or(given(own)).map(Into::into);
        let start = StreamStart {
            stream_id,
            provider_call_id: call_id,
            rate: heard.rate,
            plays_at: self.played.rate,
            token: parameters.remove("token").map(Secret::new).or(self.token.take()),
            from: number(parameters.remove("from"), start.from),
            to: number(parameters.remove("to"), start.to),
            parameters,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.state = State::Open(Box::new(stream));
        Ok(())
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        if let State::Open(stream) = &mut self.state {
            stream.give_up(&mut self.outputs);
        }
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

fn media(audio: &[u8]) -> Output {
    send(&Outgoing::Media { media: OutMedia { payload: base64(audio) } })
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
    media_format: MediaFormat,
    #[serde(default)]
    custom_parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct MediaFormat {
    #[serde(default)]
    encoding: Option<Text>,
    #[serde(default)]
    sample_rate: Option<Text>,
    #[serde(default)]
    channels: Option<Text>,
}

impl MediaFormat {
    /// What is not said is taken to be the telephone's.
    fn format(&self, linear: Codec) -> Result<Format, ProtocolError> {
        let name = self.encoding.as_ref().map_or("PCMU", |name| name.0.as_str());
        let rate = self.sample_rate.as_ref().map_or(Some(8_000), Text::number);
        let mono = self.channels.as_ref().is_none_or(|channels| channels.0 == "1");
        let unsupported = || ProtocolError::Unsupported {
            format: format!("{} at {rate:?} Hz", name.chars().take(40).collect::<String>()),
        };
        let codec = Codec::named(name, linear).filter(|_| mono).ok_or_else(unsupported)?;
        let rate = match (codec, rate) {
            // RTP names G.722's clock 8000, and it carries 16 kHz.
            (Codec::G722, Some(8_000 | 16_000)) => SampleRate::WIDEBAND,
            (_, Some(rate @ (8_000 | 16_000 | 22_050 | 24_000 | 48_000))) => SampleRate(rate as u32),
            _ => return Err(unsupported()),
        };
        Ok(Format { codec, rate })
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
}

#[derive(Deserialize)]
struct MediaBody {
    #[serde(default)]
    track: Option<Text>,
    #[serde(default)]
    chunk: Option<Text>,
    #[serde(default)]
    timestamp: Option<Text>,
    payload: String,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DtmfBody,
}

#[derive(Deserialize)]
struct DtmfBody {
    digit: Text,
}

#[derive(Deserialize)]
struct Mark {
    mark: MarkBody,
}

#[derive(Deserialize)]
struct MarkBody {
    name: Text,
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
    Media { media: OutMedia },
    Mark { mark: OutMark },
    Clear,
}

#[derive(Serialize)]
struct OutMedia {
    payload: String,
}

#[derive(Serialize)]
struct OutMark {
    name: String,
}
