//! What happens on a caller's line, as it is printed and looked for.

use serde::Serialize;

use crate::telephony::protocol::Speaker;

/// Something that happened on the line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The socket is open and our start is sent.
    Connected,
    /// The server said that the call is open; only dialects that say so.
    Started,
    /// The first audio of the call arrived, voice or not.
    FirstAudio,
    /// A recording begins to be spoken.
    CallerStarted {
        /// Its name.
        name: String,
    },
    /// The recording's last voice was sent.
    CallerEnded {
        /// Its name.
        name: String,
    },
    /// A key was sent.
    Dtmf {
        /// Which.
        digit: char,
    },
    /// The caller begins to hear something after silence.
    ReplyStarted,
    /// The answer to something said has begun.
    Responded {
        /// What was said: the recording's name; `greeting` for the server's first words.
        name: String,
        /// From its last voice (or the opening of the line) to the first voice heard, in milliseconds of the line.
        response_ms: u64,
    },
    /// Silence for 700 ms.
    ReplyEnded,
    /// A mark was reached, or flushed, and returned.
    MarkReturned {
        /// Which.
        name: String,
        /// True when a clear flushed it.
        cleared: bool,
    },
    /// The server cleared what was queued.
    Cleared,
    /// Keys the server sent towards the caller.
    KeysHeard {
        /// Which.
        keys: String,
    },
    /// A line to read, from dialects with a screen.
    Caption {
        /// Who spoke.
        who: Speaker,
        /// What.
        text: String,
        /// False while it may still change.
        #[serde(rename = "final")]
        is_final: bool,
    },
    /// The server sent something its dialect does not have.
    Misunderstood {
        /// What.
        what: String,
    },
    /// The call is over.
    Ended {
        /// `caller`, `server` or `lost`.
        by: &'static str,
        /// The server's close code, if it sent one.
        code: Option<u16>,
        /// What the server said about it: in the dialect, or by voice after the stream.
        reason: String,
    },
}

/// An event and its time since the socket opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedEvent {
    /// In milliseconds.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
