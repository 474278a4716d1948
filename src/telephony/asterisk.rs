//! Asterisk's `chan_websocket`, which dials us out of the dialplan: control in text, plain or JSON, audio in binary.
//!
//! ```text
//! Waiting ──MEDIA_START──▶ Open ──hang-up, socket gone──▶ Done
//!    └── no start within 10 s ─────────────────────────────▲
//! ```
//!
//! The first text tells which of the two forms a connection speaks; we answer in the same. Audio is whatever codec the
//! dialplan chose, raw. Asterisk cuts what we send into frames of `optimal_frame_size` and throws a remainder away, so
//! messages are whole frames. It queues up to 18 s before it says `MEDIA_XOFF`; from then on nothing is sent until
//! `MEDIA_XON`. Marks come back when playback reaches them and are lost with a flush. Releases without `MARK_MEDIA`
//! (plain, no `channel_id`) and streams in passthrough have no marks: the clock stands in. There is no message for a
//! hang-up, the socket just closes.
//!
//! What the dialplan wants to say comes in the query, where `v(…)` puts it: `token`, `from`, `to`, and `uid`, the
//! caller's channel. Source: `channels/chan_websocket.c` of Asterisk 20.16 to 23. Not here: Basic authentication's
//! secrets (`[asterisk]`), the dialplan's questions (`web/webhooks/pbx.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::Deserialize;

use super::handshake::{Arrival, LetIn, Opening, Refusal, check_basic};
use super::json::{MAX_MESSAGE, Parameters, Text, given, one_key, parse};
use super::lifecycle::START_TIMEOUT;
use super::packer::{ClockedMarks, Shape};
use super::protocol::{
    CloseReason, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart,
    WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::{Pii, Secret};

/// The subprotocol media connections ask for.
pub const SUBPROTOCOL: &str = "media";
/// Frames queued in Asterisk when it says `MEDIA_XOFF`: 18 s.
pub const XOFF_FRAMES: u32 = 900;
/// Larger control messages are ignored by Asterisk, with a line in its log.
pub const MAX_CONTROL: usize = 128;
/// Asterisk's largest frame, header included.
const MAX_FRAME: usize = 65_535;
/// We send frames far below that.
const MAX_OPTIMAL: usize = 16_384;
/// Asterisk's complaints are kept short in the log.
const MAX_COMPLAINT: usize = 200;

/// Lets in who has the name and password of `[asterisk]`.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let settings = &arrival.settings.asterisk;
    check_basic(arrival.handshake, &settings.username, &settings.password, "asterisk.password")?;
    Ok(LetIn::ByHandshake)
}

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Asterisk {
        state: State::Waiting { until: opening.now + START_TIMEOUT },
        dialplan: Dialplan::of(opening.handshake.query.iter().map(|(name, value)| (name.as_str(), value))),
        outputs: VecDeque::new(),
    })
}

#[derive(Debug)]
struct Asterisk {
    state: State,
    dialplan: Dialplan,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open(Box<Open>),
    Done,
}

/// What `v(…)` of the dial string told.
#[derive(Debug, Default)]
struct Dialplan {
    token: Option<Secret<String>>,
    uid: Option<String>,
    from: Option<Pii<String>>,
    to: Option<Pii<String>>,
    rest: BTreeMap<String, String>,
}

impl Dialplan {
    fn of<'a>(query: impl Iterator<Item = (&'a str, &'a Secret<String>)>) -> Self {
        let mut dialplan = Self::default();
        for (name, value) in query.filter(|(_, value)| !value.expose().is_empty()) {
            let text = || value.expose().clone();
            match name {
                "token" => dialplan.token = Some(value.clone()),
                "uid" => dialplan.uid = Some(text()),
                "from" => dialplan.from = Some(text().into()),
                "to" => dialplan.to = Some(text().into()),
                _ => drop(dialplan.rest.insert(name.to_owned(), text())),
            }
        }
        dialplan
    }
}

/// Form of the control messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Plain,
    Json,
}

impl Wire {
    /// A command, with the id that comes back with it if it has one.
    fn command(self, name: &str, id: Option<MarkId>) -> Output {
        let text = match (self, id) {
            (Self::Plain, None) => name.to_owned(),
            (Self::Plain, Some(MarkId(id))) => format!("{name} {id}"),
            (Self::Json, None) => format!(r#"{{"command":"{name}"}}"#),
            (Self::Json, Some(MarkId(id))) => format!(r#"{{"command":"{name}","correlation_id":"{id}"}}"#),
        };
        Output::Send(WsMessage::Text(text))
    }
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    wire: Wire,
    /// Asterisk neither queues nor cuts, and knows no commands for its queue.
    passthrough: bool,
    /// Where Asterisk has no marks.
    clocked: Option<ClockedMarks>,
    /// Asterisk's queue is full.
    xoff: bool,
}

impl MediaProtocol for Asterisk {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        match (&mut self.state, message) {
            (State::Done, _) => Ok(()),
            (_, WsMessage::Text(text)) => self.handle_text(&text),
            (State::Waiting { .. }, WsMessage::Binary(_)) => Err(ProtocolError::Order { event: "media" }),
            (State::Open(_), WsMessage::Binary(audio)) if audio.len() > MAX_FRAME => {
                Err(ProtocolError::Oversized { got: audio.len(), limit: MAX_FRAME })
            }
            (State::Open(open), WsMessage::Binary(audio)) => {
                open.stream.receive(now, None, None, audio, &mut self.outputs)
            }
            // The only word there is for a caller's hang-up.
            (_, WsMessage::Closed) => {
                self.end(StopReason::Provider, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (open, outputs) = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open(open) => (open, &mut self.outputs),
        };
        match command {
            MediaCommand::Audio(_) if open.xoff => {
                return Err(ProtocolError::Overrun { queued: Millis(XOFF_FRAMES * Millis::FRAME.0) });
            }
            MediaCommand::Audio(frame) => {
                let messages = open.stream.play(now, &frame)?;
                outputs.extend(messages.into_iter().map(|audio| Output::Send(WsMessage::Binary(audio))));
            }
            MediaCommand::Mark(mark) => {
                open.flush(now, outputs);
                match &mut open.clocked {
                    Some(clocked) => clocked.sent(open.stream.played_at(now), mark),
                    None => {
                        outputs.push_back(open.wire.command("MARK_MEDIA", Some(mark)));
                        open.stream.mark_sent(mark, outputs);
                    }
                }
            }
            MediaCommand::Clear => {
                if !open.passthrough {
                    outputs.push_back(open.wire.command("FLUSH_MEDIA", None));
                }
                open.discard(outputs);
            }
            // Keys and text have no place on this socket.
            MediaCommand::Caption(_) | MediaCommand::Dtmf(_) => {}
            // The dialplan goes on behind `Dial(…,,g)` and asks what comes next.
            MediaCommand::Transfer(_) | MediaCommand::Hangup => {
                outputs.push_back(open.wire.command("HANGUP", None));
                self.end(StopReason::Hangup, Some(CloseReason::Normal));
            }
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
            State::Open(open) => {
                if let Some(clocked) = &mut open.clocked {
                    let reached = clocked.reached(now).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark)));
                    self.outputs.extend(reached);
                }
                if open.stream.flush_at().is_some_and(|at| now >= at) {
                    open.flush(now, &mut self.outputs);
                }
            }
            State::Waiting { .. } | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open(open) => {
                let marks = open.clocked.as_ref().and_then(ClockedMarks::next_at);
                [open.stream.flush_at(), marks].into_iter().flatten().min()
            }
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Open {
    /// What fills no frame, padded; thrown away where nothing may be sent.
    fn flush(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        let rest = self.stream.flush(now).filter(|_| !self.xoff);
        outputs.extend(rest.map(|audio| Output::Send(WsMessage::Binary(audio))));
    }

    /// Nothing that was sent and not heard will be.
    fn discard(&mut self, outputs: &mut VecDeque<Output>) {
        self.stream.cleared(outputs);
        if let Some(clocked) = &mut self.clocked {
            outputs.extend(clocked.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
        }
    }
}

impl Asterisk {
    fn handle_text(&mut self, text: &str) -> Result<(), ProtocolError> {
        if text.len() > MAX_MESSAGE {
            return Err(ProtocolError::Oversized { got: text.len(), limit: MAX_MESSAGE });
        }
        let wire = if text.trim_start().starts_with('{') { Wire::Json } else { Wire::Plain };
        let message = match wire {
            Wire::Json => parse(text, "text")?,
            Wire::Plain => FromAsterisk::plain(text)?,
        };
        let open = match (&mut self.state, message.event.as_str()) {
            (State::Waiting { .. }, "MEDIA_START") => return self.start(wire, message),
            (_, "ERROR") => return Err(message.complaint()),
            (State::Open(open), _) => open,
            (_, "DTMF_END") => return Err(ProtocolError::Order { event: "dtmf" }),
            (_, "MEDIA_MARK_PROCESSED") => return Err(ProtocolError::Order { event: "mark" }),
            (_, _) => return Ok(()),
        };
        match message.event.as_str() {
            "MEDIA_START" => Err(ProtocolError::Order { event: "start" }),
            "DTMF_END" => {
                let key = one_key(&given(message.digit).unwrap_or_default())?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(key)));
                Ok(())
            }
            "MEDIA_MARK_PROCESSED" => {
                open.stream.mark_named(&given(message.correlation_id).unwrap_or_default(), &mut self.outputs)
            }
            "MEDIA_XOFF" => {
                open.xoff = true;
                Ok(())
            }
            "MEDIA_XON" => {
                open.xoff = false;
                Ok(())
            }
            // Status reports, and whatever else there may be one day.
            _ => Ok(()),
        }
    }

    fn start(&mut self, wire: Wire, message: FromAsterisk) -> Result<(), ProtocolError> {
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let name = given(message.format).ok_or_else(missing("format"))?;
        let unknown = || ProtocolError::Unsupported { format: name.chars().take(40).collect() };
        let format = format(&name).ok_or_else(unknown)?;
        let frame = format.codec.frame_bytes(format.rate).ok_or_else(unknown)?;
        let optimal = match message.optimal_frame_size {
            None => frame,
            Some(size) => size.number().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX),
        };
        let sample = if matches!(format.codec, Codec::L16Le | Codec::L16Be) { 2 } else { 1 };
        if optimal > MAX_OPTIMAL || !optimal.is_multiple_of(sample) {
            return Err(missing("optimal_frame_size")());
        }
        let passthrough = optimal == 0;
        let shape = if passthrough {
            Shape::FRAMES
        } else {
            Shape { message: Millis::FRAME, least: optimal, multiple: optimal }
        };
        let channel_id = given(message.channel_id);
        let has_marks = !passthrough && (wire == Wire::Json || channel_id.is_some());
        let stream_id = channel_id.or(given(message.channel)).or(given(message.connection_id)).unwrap_or_default();
        let dialplan = std::mem::take(&mut self.dialplan);
        // A token knows its call, and the webhook that made it knows the caller's channel, not this one.
        let named = dialplan.uid.or_else(|| dialplan.token.is_none().then(|| stream_id.clone()));
        let mut parameters = dialplan.rest;
        let own = |name: &String| name.starts_with("MEDIA_WEBSOCKET_");
        parameters.extend(message.channel_variables.0.into_iter().filter(|(name, _)| !own(name)));
        let stream = Stream::new(stream_id.clone(), format, format, shape)?;
        self.outputs.push_back(Output::Event(MediaEvent::Started(StreamStart {
            stream_id,
            provider_call_id: named.unwrap_or_default(),
            rate: format.rate,
            plays_at: format.rate,
            token: dialplan.token,
            from: dialplan.from,
            to: dialplan.to,
            parameters,
        })));
        let clocked = (!has_marks).then(ClockedMarks::default);
        self.state = State::Open(Box::new(Open { stream, wire, passthrough, clocked, xoff: false }));
        Ok(())
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

/// The format Asterisk means by `name`. Linear samples are in the host's order, which is little-endian on everything
/// Asterisk is sold for.
fn format(name: &str) -> Option<Format> {
    let (codec, rate) = match name {
        "ulaw" => (Codec::Pcmu, SampleRate::NARROWBAND),
        "alaw" => (Codec::Pcma, SampleRate::NARROWBAND),
        "g722" => (Codec::G722, SampleRate::WIDEBAND),
        "slin" => (Codec::L16Le, SampleRate::NARROWBAND),
        "slin12" => (Codec::L16Le, SampleRate(12_000)),
        "slin16" => (Codec::L16Le, SampleRate::WIDEBAND),
        "slin24" => (Codec::L16Le, SampleRate(24_000)),
        "slin32" => (Codec::L16Le, SampleRate(32_000)),
        "slin44" => (Codec::L16Le, SampleRate(44_100)),
        "slin48" => (Codec::L16Le, SampleRate(48_000)),
        _ => return None,
    };
    Some(Format { codec, rate })
}

/// Any event, in either form. All fields but the name may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FromAsterisk {
    event: String,
    channel_id: Option<Text>,
    channel: Option<Text>,
    connection_id: Option<Text>,
    format: Option<Text>,
    optimal_frame_size: Option<Text>,
    digit: Option<Text>,
    correlation_id: Option<Text>,
    error_text: Option<Text>,
    channel_variables: Parameters,
}

impl FromAsterisk {
    /// `NAME key:value key:value`, or `NAME id`. Values may hold colons; `error_text` runs to the end.
    fn plain(text: &str) -> Result<Self, ProtocolError> {
        let text = text.trim();
        let (event, rest) = text.split_once(' ').unwrap_or((text, ""));
        if event.is_empty() || !event.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            return Err(ProtocolError::Field { event: "text", field: "event" });
        }
        let mut message = Self { event: event.to_owned(), ..Self::default() };
        let (rest, error) = match rest.split_once("error_text:") {
            Some((before, error)) => (before, Some(Text(error.to_owned()))),
            None => (rest, None),
        };
        message.error_text = error;
        for token in rest.split_ascii_whitespace() {
            let (key, value) = token.split_once(':').unwrap_or(("correlation_id", token));
            let field = match key {
                "channel_id" => &mut message.channel_id,
                "channel" => &mut message.channel,
                "connection_id" => &mut message.connection_id,
                "format" => &mut message.format,
                "optimal_frame_size" => &mut message.optimal_frame_size,
                "digit" => &mut message.digit,
                "correlation_id" => &mut message.correlation_id,
                _ => continue,
            };
            *field = Some(Text(value.to_owned()));
        }
        Ok(message)
    }

    fn complaint(self) -> ProtocolError {
        let text = given(self.error_text).unwrap_or_default();
        ProtocolError::Reported { code: "ERROR".to_owned(), text: text.chars().take(MAX_COMPLAINT).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_split_once_and_then_by_colons() {
        let start = FromAsterisk::plain(
            "MEDIA_START connection_id:voiceagent channel:WebSocket/voiceagent/0x7f:1 channel_id:pbx1-17.42 format:ulaw \
             optimal_frame_size:160 ptime:20",
        )
        .expect("a start");
        assert_eq!(
            (start.event.as_str(), start.channel),
            ("MEDIA_START", Some(Text("WebSocket/voiceagent/0x7f:1".into())))
        );
        assert_eq!(start.optimal_frame_size.and_then(|size| size.number()), Some(160));
        let mark = FromAsterisk::plain("MEDIA_MARK_PROCESSED 7\n").expect("a mark");
        assert_eq!(mark.correlation_id, Some(Text("7".into())));
        let error =
            FromAsterisk::plain("ERROR channel_id:x error_text:FLUSH_MEDIA not supported: no").expect("an error");
        assert_eq!(
            (error.channel_id, error.error_text),
            (Some(Text("x".into())), Some(Text("FLUSH_MEDIA not supported: no".into())))
        );
        assert!(FromAsterisk::plain("").is_err() && FromAsterisk::plain("hello there").is_err());
    }

    #[test]
    fn formats_have_the_frame_sizes_asterisk_announces() {
        let size = |name| format(name).and_then(|format| format.codec.frame_bytes(format.rate));
        let sizes =
            ["ulaw", "alaw", "g722", "slin", "slin12", "slin16", "slin24", "slin32", "slin44", "slin48"].map(size);
        assert_eq!(sizes, [160, 160, 160, 320, 480, 640, 960, 1_280, 1_764, 1_920].map(Some));
        assert_eq!((size("opus"), size("g729")), (None, None));
    }

    #[test]
    fn no_command_is_longer_than_asterisk_reads() {
        for wire in [Wire::Plain, Wire::Json] {
            for name in ["MARK_MEDIA", "FLUSH_MEDIA", "HANGUP"] {
                let Output::Send(WsMessage::Text(text)) = wire.command(name, Some(MarkId(u64::MAX))) else {
                    unreachable!()
                };
                assert!(text.len() <= MAX_CONTROL, "{text}");
            }
        }
    }
}
