//! What the sockets of most providers go through, whatever their words: a start, audio both ways, an end.
//!
//! ```text
//! Waiting ──start──▶ Open ──stop, hang-up, socket gone──▶ Done
//!    └── no start within 10 s ─────────────────────────────▲
//! ```
//!
//! A dialect is a [`Wire`]: what its messages mean and how ours are written. Marks of providers that return none are
//! reached by the clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::json::{MAX_MESSAGE, Parameters};
use super::packer::ClockedMarks;
use super::protocol::{
    CloseReason, Digit, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason,
    StreamStart, WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::Format;
use crate::telemetry::Secret;

/// How long a socket may be open before its stream starts.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The words of one dialect.
pub trait Wire: Send {
    /// A text message before the stream has started; what it starts, if it is the start.
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError>;
    /// A text message on an open stream.
    fn text(
        &mut self,
        now: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError>;
    /// Whether audio comes in binary messages of its own.
    fn is_binary(&self) -> bool {
        false
    }
    /// Audio for the caller.
    fn audio(&self, stream: &Stream, audio: Vec<u8>) -> Output;
    /// A mark behind that audio; nothing if the provider has none.
    fn mark(&self, stream: &Stream, mark: MarkId) -> Option<Output>;
    /// Throws away what the provider has queued.
    fn clear(&self, stream: &Stream) -> Output;
    /// A key towards the caller; nothing where the dialect has none.
    fn key(&self, stream: &Stream, digit: Digit) -> Option<Output> {
        let _ = (stream, digit);
        None
    }
}

/// A stream that has started.
#[derive(Debug)]
pub struct Started {
    /// What the call is told.
    pub start: StreamStart,
    /// Its audio.
    pub stream: Stream,
}

/// Whether a stream goes on after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Open,
    /// The provider ended it.
    Ended,
}

/// What is told of a stream whose parameters may hold a token and the numbers.
pub fn stream_start(stream_id: String, call_id: String, format: Format, parameters: Parameters) -> StreamStart {
    let Parameters(mut parameters) = parameters;
    StreamStart {
        stream_id,
        provider_call_id: call_id,
        rate: format.rate,
        plays_at: format.rate,
        token: parameters.remove("token").filter(|token| !token.is_empty()).map(Secret::new),
        from: parameters.remove("from").map(Into::into),
        to: parameters.remove("to").map(Into::into),
        parameters,
    }
}

/// What a message called `event` means before the start, if it is not the start itself: an error for those that belong to
/// an open stream, nothing for the rest (`connected`, and whatever else there may be one day).
pub fn before_start(event: &str) -> Result<Option<Started>, ProtocolError> {
    let early = ["media", "dtmf", "mark", "playedStream", "stop"].into_iter().find(|known| *known == event);
    early.map_or(Ok(None), |event| Err(ProtocolError::Order { event }))
}

/// A socket of that dialect.
#[derive(Debug)]
pub struct Lifecycle<W> {
    wire: W,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    Open {
        stream: Box<Stream>,
        /// Marks the provider knows nothing of.
        clocked: ClockedMarks,
    },
    Done,
}

impl<W: Wire> Lifecycle<W> {
    /// A socket that has just opened.
    pub fn new(now: Instant, wire: W) -> Self {
        Self { wire, state: State::Waiting { until: now + START_TIMEOUT }, outputs: VecDeque::new() }
    }

    fn text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let flow = match &mut self.state {
            State::Open { stream, .. } => self.wire.text(now, text, stream, &mut self.outputs)?,
            State::Waiting { .. } | State::Done => {
                if let Some(Started { start, stream }) = self.wire.start(text)? {
                    self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
                    self.state = State::Open { stream: Box::new(stream), clocked: ClockedMarks::default() };
                }
                Flow::Open
            }
        };
        if flow == Flow::Ended {
            self.end(StopReason::Provider, Some(CloseReason::Normal));
        }
        Ok(())
    }

    fn binary(&mut self, now: Instant, bytes: Vec<u8>) -> Result<(), ProtocolError> {
        match &mut self.state {
            _ if !self.wire.is_binary() => Err(ProtocolError::Kind { kind: "binary" }),
            State::Open { .. } if bytes.len() > MAX_MESSAGE => {
                Err(ProtocolError::Oversized { got: bytes.len(), limit: MAX_MESSAGE })
            }
            State::Open { stream, .. } => stream.receive(now, None, None, bytes, &mut self.outputs),
            State::Waiting { .. } | State::Done => Err(ProtocolError::Order { event: "media" }),
        }
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        if let State::Open { stream, .. } = &mut self.state {
            stream.give_up(&mut self.outputs);
        }
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

impl<W: Wire> MediaProtocol for Lifecycle<W> {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        match message {
            WsMessage::Text(text) => self.text(now, &text),
            WsMessage::Binary(bytes) => self.binary(now, bytes),
            WsMessage::Closed => {
                self.end(StopReason::SocketLost, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (stream, clocked) = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open { stream, clocked } => (stream, clocked),
        };
        let (wire, outputs) = (&self.wire, &mut self.outputs);
        match command {
            MediaCommand::Audio(frame) => {
                for audio in stream.play(now, &frame)? {
                    outputs.push_back(wire.audio(stream, audio));
                }
            }
            MediaCommand::Mark(mark) => {
                outputs.extend(stream.flush(now).map(|audio| wire.audio(stream, audio)));
                match wire.mark(stream, mark) {
                    Some(message) => {
                        outputs.push_back(message);
                        stream.mark_sent(mark, outputs);
                    }
                    None => clocked.sent(stream.played_at(now), mark),
                }
            }
            MediaCommand::Clear => {
                outputs.push_back(wire.clear(stream));
                stream.cleared(outputs);
                outputs.extend(clocked.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
            }
            MediaCommand::Dtmf(digit) => outputs.extend(wire.key(stream, digit)),
            // No dialect here can show a line.
            MediaCommand::Caption(_) => {}
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
            State::Open { stream, clocked } => {
                let due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
                if due(stream.give_up_at()) {
                    stream.give_up(&mut self.outputs);
                }
                if due(stream.flush_at()) {
                    self.outputs.extend(stream.flush(now).map(|audio| self.wire.audio(stream, audio)));
                }
                let played = clocked.reached(now).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark)));
                self.outputs.extend(played);
            }
            State::Waiting { .. } | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open { stream, clocked } => {
                [stream.give_up_at(), stream.flush_at(), clocked.next_at()].into_iter().flatten().min()
            }
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
