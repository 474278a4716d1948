//! Twilio Media Streams, bidirectional (`<Connect><Stream>`), and those who speak the same dialect (SignalWire's cXML).
//!
//! ```text
//! Waiting ──start──▶ Open ──stop, hang-up, socket gone──▶ Done
//!    └── no start within 10 s ─────────────────────────────▲
//! ```
//!
//! All messages are JSON text, audio is µ-law 8 kHz in base64. Reading is lenient: numbers may be strings, ids may be
//! missing where they repeat, unknown events are ignored. Sending is strict. Source: Twilio "Media Streams – WebSocket
//! Messages". Not here: signatures (`signature.rs`), tokens and resampling (`web/`).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::marks::Marks;
use super::protocol::{
    CloseReason, Digit, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason,
    StreamStart, WsMessage,
};
use crate::audio::frame::AudioFrame;
use crate::audio::g711;
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::Secret;

/// How long a socket may be open before it says `start`.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger messages are not looked at: the largest honest one, a start full of parameters, is far smaller.
pub const MAX_MESSAGE: usize = 64 * 1024;

const RATE: SampleRate = SampleRate::NARROWBAND;
/// Frames kept back while an earlier one is missing…
const REORDER_FRAMES: usize = 3;
/// …and for how long. One websocket keeps its order: this is for gateways that fan out and in.
const REORDER_WAIT: Duration = Duration::from_millis(60);
/// So many frames in a row from before what was expected mean that the provider's counter began anew.
const RESTART_AFTER: u8 = 5;

/// A new stream, waiting for its start.
pub fn open(now: Instant) -> Box<dyn MediaProtocol> {
    Box::new(Twilio { state: State::Waiting { until: now + START_TIMEOUT }, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Twilio {
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open(Stream),
    Done,
}

#[derive(Debug)]
struct Stream {
    id: String,
    marks: Marks,
    reorder: Reorder,
    /// Where the next frame should lie, once the first has come.
    expected_at: Option<Millis>,
}

impl MediaProtocol for Twilio {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        match message {
            WsMessage::Text(text) if text.len() > MAX_MESSAGE => {
                Err(ProtocolError::Oversized { got: text.len(), limit: MAX_MESSAGE })
            }
            WsMessage::Text(text) => self.handle_text(now, &text),
            WsMessage::Binary(_) => Err(ProtocolError::Kind { kind: "binary" }),
            WsMessage::Closed => {
                self.end(StopReason::SocketLost, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, _: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let stream = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open(stream) => stream,
        };
        let stream_sid = &stream.id;
        match command {
            MediaCommand::Audio(frame) if frame.rate != RATE => {
                return Err(ProtocolError::Unsupported { format: format!("{} Hz", frame.rate.0) });
            }
            MediaCommand::Audio(frame) => {
                let mut ulaw = Vec::with_capacity(frame.pcm.len());
                g711::encode_ulaw(&frame.pcm, &mut ulaw);
                let media = OutMedia { payload: BASE64.encode(ulaw) };
                self.outputs.push_back(send(&Outgoing::Media { stream_sid, media }));
            }
            MediaCommand::Mark(mark) => {
                let mark_out = OutMark { name: mark.0.to_string() };
                self.outputs.push_back(send(&Outgoing::Mark { stream_sid, mark: mark_out }));
                let given_up = stream.marks.sent(mark);
                self.outputs.extend(given_up.map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
            }
            MediaCommand::Clear => {
                self.outputs.push_back(send(&Outgoing::Clear { stream_sid }));
                let discarded = stream.marks.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark)));
                self.outputs.extend(discarded);
            }
            MediaCommand::Caption(_) => {}
            MediaCommand::Hangup => self.end(StopReason::Hangup, Some(CloseReason::Normal)),
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
            State::Open(stream) if stream.reorder.give_up_at.is_some_and(|at| now >= at) => {
                stream.reorder.give_up();
                stream.release(&mut self.outputs);
            }
            State::Waiting { .. } | State::Open(_) | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open(stream) => stream.reorder.give_up_at,
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
                let message: Media = parse(text, "media")?;
                stream.check_id("media", message.stream_sid)?;
                stream.media(now, message.media, &mut self.outputs)
            }
            "dtmf" => {
                let message: Dtmf = parse(text, "dtmf")?;
                stream.check_id("dtmf", message.stream_sid)?;
                let mut keys = message.dtmf.digit.0.chars();
                let digit = match (keys.next().and_then(Digit::new), keys.next()) {
                    (Some(digit), None) => digit,
                    _ => return Err(ProtocolError::Field { event: "dtmf", field: "digit" }),
                };
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(digit)));
                Ok(())
            }
            "mark" => {
                let message: Mark = parse(text, "mark")?;
                stream.check_id("mark", message.stream_sid)?;
                let id =
                    message.mark.name.0.parse().map_err(|_| ProtocolError::Field { event: "mark", field: "name" })?;
                let played = stream.marks.returned(MarkId(id)).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark)));
                self.outputs.extend(played);
                Ok(())
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
        let given = |text: Option<Text>| text.map(|text| text.0).filter(|text| !text.is_empty());
        let stream_id = given(start.stream_sid).or(given(stream_sid)).ok_or_else(missing("streamSid"))?;
        let provider_call_id = given(start.call_sid).ok_or_else(missing("callSid"))?;
        if let Some(format) = start.media_format {
            format.check()?;
        }
        let mut parameters: BTreeMap<String, String> =
            start.custom_parameters.unwrap_or_default().into_iter().map(|(name, value)| (name, value.0)).collect();
        let stream = StreamStart {
            stream_id: stream_id.clone(),
            provider_call_id,
            rate: RATE,
            token: parameters.remove("token").map(Secret::new),
            from: parameters.remove("from").map(Into::into),
            to: parameters.remove("to").map(Into::into),
            parameters,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(stream)));
        let (marks, reorder) = (Marks::default(), Reorder::default());
        self.state = State::Open(Stream { id: stream_id, marks, reorder, expected_at: None });
        Ok(())
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        if let State::Open(stream) = &mut self.state {
            stream.reorder.give_up();
            stream.release(&mut self.outputs);
        }
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

impl Stream {
    /// The id may be left out, but not be another stream's.
    fn check_id(&self, event: &'static str, id: Option<Text>) -> Result<(), ProtocolError> {
        match id {
            Some(id) if id.0 != self.id => Err(ProtocolError::Field { event, field: "streamSid" }),
            _ => Ok(()),
        }
    }

    fn media(&mut self, now: Instant, media: MediaBody, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        if media.track.is_some_and(|track| !track.0.starts_with("inbound")) {
            return Ok(());
        }
        let unusable = |field| ProtocolError::Field { event: "media", field };
        let ulaw = BASE64.decode(media.payload.as_bytes()).map_err(|_| unusable("payload"))?;
        if ulaw.is_empty() {
            return Err(unusable("payload"));
        }
        // Nonsense in a number that only orders frames is no reason to lose what the caller says.
        let number = |text: Option<Text>| text.and_then(|text| text.0.parse::<u64>().ok());
        let at = number(media.timestamp).map(|at| Millis(u32::try_from(at).unwrap_or(u32::MAX)));
        let mut pcm = Vec::with_capacity(ulaw.len());
        g711::decode_ulaw(&ulaw, &mut pcm);
        self.reorder.push(now, number(media.chunk), Held { at, pcm })?;
        self.release(outputs);
        Ok(())
    }

    /// Hands out what is in order, with gaps where audio is missing.
    fn release(&mut self, outputs: &mut VecDeque<Output>) {
        while let Some((Held { at, pcm }, lost)) = self.reorder.pop() {
            let expected = self.expected_at.unwrap_or(at.unwrap_or_default());
            // The provider's clock knows best how much is missing; without it, each lost message is taken for 20 ms.
            let at = at.unwrap_or(expected + Millis(lost.saturating_mul(Millis::FRAME.0)));
            let missing = at.saturating_sub(expected).0 / Millis::FRAME.0;
            if missing > 0 {
                outputs.push_back(Output::Event(MediaEvent::Gap(missing)));
            }
            self.expected_at = Some(at + RATE.span_of(pcm.len()));
            outputs.push_back(Output::Event(MediaEvent::Audio(AudioFrame::new(at, RATE, pcm))));
        }
    }
}

#[derive(Debug)]
struct Held {
    at: Option<Millis>,
    pcm: Vec<i16>,
}

/// Puts frames back in order by their number, waiting a moment for one that is late.
#[derive(Debug, Default)]
struct Reorder {
    /// Number of the next frame, once the first has come.
    next: Option<u64>,
    /// In order, with the number of messages lost before each.
    ready: VecDeque<(Held, u32)>,
    held: BTreeMap<u64, Held>,
    give_up_at: Option<Instant>,
    late: u8,
}

impl Reorder {
    /// Takes a frame. One that comes after its place was given up is an error, as is one that comes twice.
    fn push(&mut self, now: Instant, number: Option<u64>, frame: Held) -> Result<(), ProtocolError> {
        let Some(number) = number else {
            self.ready.push_back((frame, 0));
            return Ok(());
        };
        let next = *self.next.get_or_insert(number);
        if number < next {
            self.late += 1;
            if self.late < RESTART_AFTER {
                return Err(ProtocolError::Order { event: "media" });
            }
            self.give_up();
            self.next = Some(number);
        }
        self.late = 0;
        if self.held.insert(number, frame).is_some() {
            return Err(ProtocolError::Order { event: "media" });
        }
        self.take_held();
        if self.held.len() > REORDER_FRAMES {
            self.give_up();
        }
        self.give_up_at = (!self.held.is_empty()).then(|| self.give_up_at.unwrap_or(now + REORDER_WAIT));
        Ok(())
    }

    /// Moves what follows without a gap to `ready`.
    fn take_held(&mut self) {
        while let Some(frame) = self.next.and_then(|next| self.held.remove(&next)) {
            self.ready.push_back((frame, 0));
            self.next = self.next.map(|next| next.saturating_add(1));
        }
    }

    /// Waits no longer for what is missing.
    fn give_up(&mut self) {
        while let Some((number, frame)) = self.held.pop_first() {
            let lost = number.saturating_sub(self.next.unwrap_or(number));
            self.ready.push_back((frame, u32::try_from(lost).unwrap_or(u32::MAX)));
            self.next = Some(number.saturating_add(1));
        }
        self.give_up_at = None;
    }

    fn pop(&mut self) -> Option<(Held, u32)> {
        self.ready.pop_front()
    }
}

fn parse<T: DeserializeOwned>(text: &str, event: &'static str) -> Result<T, ProtocolError> {
    serde_json::from_str(text).map_err(|source| ProtocolError::Malformed { event, source })
}

fn send(message: &Outgoing<'_>) -> Output {
    Output::Send(WsMessage::Text(serde_json::to_string(message).expect("plain text and numbers serialise")))
}

/// A string, or a number where some providers write one.
#[derive(Debug)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a string or a number")]
        enum Any {
            Text(String),
            Number(serde_json::Number),
            Bool(bool),
        }
        Ok(Self(match Any::deserialize(deserializer)? {
            Any::Text(text) => text,
            Any::Number(number) => number.to_string(),
            Any::Bool(flag) => flag.to_string(),
        }))
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
    media_format: Option<MediaFormat>,
    #[serde(default, rename = "customParameters", alias = "custom_parameters")]
    custom_parameters: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize)]
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
    fn check(&self) -> Result<(), ProtocolError> {
        let is = |field: &Option<Text>, wanted: &[&str]| {
            field.as_ref().is_none_or(|text| wanted.iter().any(|wanted| text.0.eq_ignore_ascii_case(wanted)))
        };
        if is(&self.encoding, &["audio/x-mulaw", "audio/mulaw", "PCMU"])
            && is(&self.sample_rate, &["8000"])
            && is(&self.channels, &["1"])
        {
            return Ok(());
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
}

#[derive(Serialize)]
struct OutMedia {
    payload: String,
}

#[derive(Serialize)]
struct OutMark {
    name: String,
}
