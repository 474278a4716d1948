//! Twilio Media Streams, bidirectional (`<Connect><Stream>`), and the base of those who speak
//! the same dialect (`signalwire.rs`).
//!
//! ```text
//! Waiting ──start──▶ Open ──stop, hang-up, socket gone──▶ Done
//!    └── no start within 10 s ─────────────────────────────▲
//! ```
//!
//! All messages are JSON text, audio is µ-law 8 kHz in base64. Reading is lenient: numbers may be strings, ids may be
//! missing where they repeat, unknown events are ignored. Sending is strict. Source: Twilio "Media Streams – WebSocket
//! Messages". Not here: signatures (`signature/twilio.rs`), tokens and resampling (`web/`).

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
use crate::telemetry::Secret;

/// How long a socket may be open before it says `start`.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);

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
    let state = State::Waiting { until: opening.now + START_TIMEOUT };
    Box::new(Twilio { flavour, token, state, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Twilio {
    flavour: Flavour,
    token: Option<Secret<String>>,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open(Box<Stream>),
    Done,
}

impl MediaProtocol for Twilio {
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
            MediaCommand::Audio(frame) => {
                let messages = stream.play(now, &frame)?;
                outputs.extend(messages.iter().map(|audio| media(&stream.id, audio)));
            }
            MediaCommand::Mark(mark) => {
                outputs.extend(stream.flush(now).map(|audio| media(&stream.id, &audio)));
                let out = OutMark { name: mark.0.to_string() };
                outputs.push_back(send(&Outgoing::Mark { stream_sid: &stream.id, mark: out }));
                stream.mark_sent(mark, outputs);
            }
            MediaCommand::Clear => {
                outputs.push_back(send(&Outgoing::Clear { stream_sid: &stream.id }));
                stream.cleared(outputs);
            }
            MediaCommand::Dtmf(digit) if self.flavour.keys_out => {
                let dtmf = OutDtmf { digit: digit.get() };
                outputs.push_back(send(&Outgoing::Dtmf { stream_sid: &stream.id, dtmf }));
            }
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
                    self.outputs.extend(stream.flush(now).map(|audio| media(&stream.id, &audio)));
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

impl Twilio {
    fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let Head { event } = parse(text, "text")?;
        let stream = match (&mut self.state, event.as_str()) {
            (State::Waiting { .. }, "start") => return self.start(parse(text, "start")?),
            (State::Open(stream), _) => stream,
            (_, "media") => return Err(ProtocolError::Order { event: "media" }),
            (_, "dtmf") => return Err(ProtocolError::Order { event: "dtmf" }),
            (_, "mark") => return Err(ProtocolError::Order { event: "mark" }),
            (_, "stop") => return Err(ProtocolError::Order { event: "stop" }),
            // `connected`, and whatever else there may be one day.
            (_, _) => return Ok(()),
        };
        match event.as_str() {
            "media" => {
                let Media { media, stream_sid } = parse(text, "media")?;
                check_id(stream, "media", stream_sid)?;
                if media.track.is_some_and(|track| !track.0.starts_with("inbound")) {
                    return Ok(());
                }
                let (number, at) = (media.chunk.and_then(|n| n.number()), media.timestamp.and_then(|at| at.millis()));
                stream.receive(now, number, at, payload(&media.payload)?, &mut self.outputs)
            }
            "dtmf" => {
                let message: Dtmf = parse(text, "dtmf")?;
                check_id(stream, "dtmf", message.stream_sid)?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&message.dtmf.digit.0)?)));
                Ok(())
            }
            "mark" => {
                let message: Mark = parse(text, "mark")?;
                check_id(stream, "mark", message.stream_sid)?;
                stream.mark_named(&message.mark.name.0, &mut self.outputs)
            }
            "stop" => {
                self.end(StopReason::Provider, Some(CloseReason::Normal));
                Ok(())
            }
            "start" => Err(ProtocolError::Order { event: "start" }),
            _ => Ok(()),
        }
    }

    fn start(&mut self, message: Start) -> Result<(), ProtocolError> {
        let Start { start, stream_sid } = message;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(start.stream_sid).or(given(stream_sid)).ok_or_else(missing("streamSid"))?;
        let provider_call_id = given(start.call_sid).ok_or_else(missing("callSid"))?;
        let format = start.media_format.unwrap_or_default().format(self.flavour)?;
        let mut stream = Stream::new(stream_id.clone(), format, format, Shape::FRAMES)?;
        if self.flavour.linear == Some(ByteOrder::Auto) {
            stream.guess_byte_order();
        }
        let mut parameters = start.custom_parameters.0;
        let start = StreamStart {
            stream_id,
            provider_call_id,
            rate: format.rate,
            plays_at: format.rate,
            token: parameters.remove("token").map(Secret::new).or(self.token.take()),
            from: parameters.remove("from").map(Into::into),
            to: parameters.remove("to").map(Into::into),
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

/// The id may be left out, but not be another stream's.
fn check_id(stream: &Stream, event: &'static str, id: Option<Text>) -> Result<(), ProtocolError> {
    match id {
        Some(id) if id.0 != stream.id => Err(ProtocolError::Field { event, field: "streamSid" }),
        _ => Ok(()),
    }
}

fn media(stream_sid: &str, audio: &[u8]) -> Output {
    send(&Outgoing::Media { stream_sid, media: OutMedia { payload: base64(audio) } })
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
    media_format: Option<MediaFormat>,
    #[serde(default, rename = "customParameters", alias = "custom_parameters")]
    custom_parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct MediaFormat {
    #[serde(default)]
    encoding: Option<Text>,
    #[serde(default, rename = "sampleRate", alias = "sample_rate")]
    sample_rate: Option<Text>,
    #[serde(default)]
    channels: Option<Text>,
}

impl MediaFormat {
    /// What is not said is taken to be the default.
    fn format(&self, flavour: Flavour) -> Result<Format, ProtocolError> {
        let linear = if flavour.linear == Some(ByteOrder::Big) { Codec::L16Be } else { Codec::L16Le };
        let codec = self.encoding.as_ref().map_or(Some(Codec::Pcmu), |name| Codec::named(&name.0, linear));
        let rate = self.sample_rate.as_ref().map_or(Some(8_000), Text::number);
        let mono = self.channels.as_ref().is_none_or(|channels| channels.0 == "1");
        match (codec, rate) {
            (Some(Codec::Pcmu), Some(8_000)) if mono => return Ok(Format::PCMU_8K),
            (Some(codec @ (Codec::L16Le | Codec::L16Be)), Some(rate @ (8_000 | 16_000 | 24_000)))
                if mono && flavour.linear.is_some() =>
            {
                return Ok(Format { codec, rate: SampleRate(rate as u32) });
            }
            _ => {}
        }
        let shown = |field: &Option<Text>| field.as_ref().map_or("?", |text| text.0.as_str()).to_owned();
        let format = format!("{} {} Hz {} ch", shown(&self.encoding), shown(&self.sample_rate), shown(&self.channels));
        Err(ProtocolError::Unsupported { format: format.chars().take(80).collect() })
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
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
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct DtmfBody {
    digit: Text,
}

#[derive(Deserialize)]
struct Mark {
    mark: MarkBody,
    #[serde(default, rename = "streamSid", alias = "stream_sid")]
    stream_sid: Option<Text>,
}

#[derive(Deserialize)]
struct MarkBody {
    name: Text,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Outgoing<'a> {
    Media { stream_sid: &'a str, media: OutMedia },
    Mark { stream_sid: &'a str, mark: OutMark },
    Clear { stream_sid: &'a str },
    Dtmf { stream_sid: &'a str, dtmf: OutDtmf },
}

#[derive(Serialize)]
struct OutDtmf {
    digit: char,
}

#[derive(Serialize)]
struct OutMedia {
    payload: String,
}

#[derive(Serialize)]
struct OutMark {
    name: String,
}
