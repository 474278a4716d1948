//! Our own dialect for a caller in a browser tab: JSON text for control, binary for audio. `docs/browser-protocol.md`
//! is its reference for whoever writes a client.
//!
//! ```text
//! Waiting ──start──▶ Open ──stop, hang-up, socket gone──▶ Done
//!    └── no start within 10 s ─────────────────────────────▲
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::one_key;
use super::lifecycle::START_TIMEOUT;
use super::marks::Marks;
use super::protocol::{
    Caption, CloseReason, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, Speaker, StopReason,
    StreamStart, WsMessage,
};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::Secret;

/// The version of the dialect this server speaks.
pub const VERSION: u32 = 1;
/// Larger text messages are not looked at.
pub const MAX_TEXT: usize = 64 * 1024;
/// Longest audio message: 200 ms.
pub const MAX_AUDIO: usize = 6_400;

const RATE: SampleRate = SampleRate::WIDEBAND;

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Browser { state: State::Waiting { until: opening.now + START_TIMEOUT }, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Browser {
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    Open {
        marks: Marks,
        /// Samples received.
        position: u64,
    },
    Done,
}

/// Control messages from the page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Start {
        #[serde(default)]
        token: Option<String>,
        rate: u32,
        version: u32,
    },
    Dtmf {
        digit: String,
    },
    Mark {
        id: u64,
    },
    Stop,
    #[serde(other)]
    Unknown,
}

/// Control messages to the page.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    Started {
        rate: u32,
    },
    Mark {
        id: u64,
    },
    Clear,
    Caption {
        who: Speaker,
        text: &'a str,
        #[serde(rename = "final")]
        is_final: bool,
    },
    Ended {
        reason: &'static str,
    },
}

impl MediaProtocol for Browser {
    fn handle_message(&mut self, _: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        match message {
            WsMessage::Text(text) if text.len() > MAX_TEXT => {
                Err(ProtocolError::Oversized { got: text.len(), limit: MAX_TEXT })
            }
            WsMessage::Text(text) => self.handle_text(&text),
            WsMessage::Binary(audio) => self.handle_audio(&audio),
            WsMessage::Closed => {
                self.outputs.push_back(Output::Event(MediaEvent::Stopped(StopReason::SocketLost)));
                self.state = State::Done;
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, _: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let marks = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open { marks, .. } => marks,
        };
        match command {
            MediaCommand::Audio(frame) if frame.rate != RATE => {
                return Err(ProtocolError::Unsupported { format: format!("{} Hz", frame.rate.0) });
            }
            MediaCommand::Audio(frame) => {
                let bytes = frame.pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                self.outputs.push_back(Output::Send(WsMessage::Binary(bytes)));
            }
            MediaCommand::Mark(mark) => {
                let given_up = marks.sent(mark);
                self.outputs.push_back(send(&ToPage::Mark { id: mark.0 }));
                self.outputs.extend(given_up.map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
            }
            MediaCommand::Clear => {
                self.outputs.push_back(send(&ToPage::Clear));
                let discarded = marks.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark)));
                self.outputs.extend(discarded);
            }
            MediaCommand::Caption(Caption { who, text, is_final }) => {
                self.outputs.push_back(send(&ToPage::Caption { who, text: &text, is_final }));
            }
            // A tab has no keypad to press, and nobody to be given to.
            MediaCommand::Dtmf(_) => {}
            MediaCommand::Transfer(_) | MediaCommand::Hangup => {
                self.end(StopReason::Hangup, CloseReason::Normal, "hangup");
            }
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        let word = match reason {
            CloseReason::Busy => "busy",
            CloseReason::Unauthorized => "unauthorized",
            CloseReason::StartTimeout => "timeout",
            CloseReason::Protocol => "protocol",
            CloseReason::Normal => "hangup",
        };
        self.outputs.clear();
        self.outputs.push_back(send(&ToPage::Ended { reason: word }));
        self.outputs.push_back(Output::Close(reason));
        self.state = State::Done;
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let State::Waiting { until } = self.state
            && now >= until
        {
            self.end(StopReason::Protocol, CloseReason::StartTimeout, "timeout");
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Open { .. } | State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Browser {
    fn handle_text(&mut self, text: &str) -> Result<(), ProtocolError> {
        let message =
            serde_json::from_str(text).map_err(|source| ProtocolError::Malformed { event: "control", source })?;
        match (&mut self.state, message) {
            (State::Waiting { .. }, FromPage::Start { token, rate, version }) => self.start(token, rate, version),
            (State::Open { .. }, FromPage::Start { .. }) => Err(ProtocolError::Order { event: "start" }),
            (State::Open { .. }, FromPage::Dtmf { digit }) => {
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&digit)?)));
                Ok(())
            }
            (State::Open { marks, .. }, FromPage::Mark { id }) => {
                let played = marks.returned(MarkId(id)).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark)));
                self.outputs.extend(played);
                Ok(())
            }
            (State::Open { .. }, FromPage::Stop) => {
                self.end(StopReason::Provider, CloseReason::Normal, "stop");
                Ok(())
            }
            (State::Waiting { .. }, FromPage::Dtmf { .. }) => Err(ProtocolError::Order { event: "dtmf" }),
            (State::Waiting { .. }, FromPage::Mark { .. }) => Err(ProtocolError::Order { event: "mark" }),
            (State::Waiting { .. }, FromPage::Stop) => Err(ProtocolError::Order { event: "stop" }),
            (_, FromPage::Unknown) | (State::Done, _) => Ok(()),
        }
    }

    fn start(&mut self, token: Option<String>, rate: u32, version: u32) -> Result<(), ProtocolError> {
        if version != VERSION || rate != RATE.0 {
            return Err(ProtocolError::Unsupported { format: format!("version {version} at {rate} Hz") });
        }
        // A tab has no names of its own for stream and call: those of its token will do, they are looked up there.
        let start = StreamStart {
            stream_id: String::new(),
            provider_call_id: String::new(),
            rate: RATE,
            plays_at: RATE,
            token: token.map(Secret::new),
            from: None,
            to: None,
            parameters: BTreeMap::new(),
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.outputs.push_back(send(&ToPage::Started { rate: RATE.0 }));
        self.state = State::Open { marks: Marks::default(), position: 0 };
        Ok(())
    }

    fn handle_audio(&mut self, audio: &[u8]) -> Result<(), ProtocolError> {
        let State::Open { position, .. } = &mut self.state else {
            return Err(ProtocolError::Order { event: "audio" });
        };
        if audio.len() > MAX_AUDIO {
            return Err(ProtocolError::Oversized { got: audio.len(), limit: MAX_AUDIO });
        }
        if audio.is_empty() || !audio.len().is_multiple_of(2) {
            return Err(ProtocolError::FrameSize { got: audio.len(), unit: 2 });
        }
        let pcm: Vec<i16> = audio.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let at = Millis(u32::try_from(*position * 1_000 / u64::from(RATE.0)).unwrap_or(u32::MAX));
        *position += pcm.len() as u64;
        self.outputs.push_back(Output::Event(MediaEvent::Audio(AudioFrame::new(at, RATE, pcm))));
        Ok(())
    }

    fn end(&mut self, stop: StopReason, close: CloseReason, reason: &'static str) {
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(stop)));
        self.outputs.push_back(send(&ToPage::Ended { reason }));
        self.outputs.push_back(Output::Close(close));
        self.state = State::Done;
    }
}

fn send(message: &ToPage<'_>) -> Output {
    Output::Send(WsMessage::Text(serde_json::to_string(message).expect("plain text and numbers serialise")))
}
