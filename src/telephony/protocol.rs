//! What every provider's dialect looks like to the rest of Warmline: messages in, outputs out.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::audio::codec::CodecError;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::{Pii, Secret};

/// One websocket message, without the library that carries it.
#[derive(Clone, Debug, PartialEq)]
pub enum WsMessage {
    /// A text frame, whole.
    Text(String),
    /// A binary frame, whole.
    Binary(Vec<u8>),
    /// The peer closed the socket, or it broke.
    Closed,
}

/// A provider's dialect as a state machine: no socket, no clock, no tasks.
///
/// The driver feeds one input, then drains [`MediaProtocol::poll_output`] to `None` before the next one.
pub trait MediaProtocol: Send {
    /// A message from the provider. An error names what was wrong; [`ProtocolError::verdict`] says whether to go on.
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError>;
    /// A command for the provider. Commands before `Started` are errors, commands after `Stopped` are ignored.
    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError>;
    /// The stream may not come in: forgets what it wanted to send and closes, in the dialect's own words.
    fn handle_refusal(&mut self, reason: CloseReason);
    /// The deadline of [`MediaProtocol::poll_timeout`] passed.
    fn handle_timeout(&mut self, now: Instant);
    /// When `handle_timeout` wants to be called, if ever.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next output; callers drain this to `None` after every `handle_*`.
    fn poll_output(&mut self) -> Option<Output>;
}

/// What a protocol wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this on the socket.
    Send(WsMessage),
    /// Something happened that the call should know.
    Event(MediaEvent),
    /// Close the socket. Nothing follows.
    Close(CloseReason),
}

/// What happened on the caller's leg. Past tense.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The stream is open; comes once and first.
    Started(StreamStart),
    /// Caller audio at the provider's rate, 20 ms or a whole number of them.
    Audio(AudioFrame),
    /// A key was pressed.
    Dtmf(Digit),
    /// Everything sent before this mark was played to the caller.
    MarkPlayed(MarkId),
    /// This mark's audio was flushed by a clear: it was not heard to its end. Each mark is played or discarded, once.
    MarkDiscarded(MarkId),
    /// Caller audio is missing before the frame that follows: how many 20 ms frames.
    Gap(u32),
    /// The stream ended; comes once and last.
    Stopped(StopReason),
}

/// What the call wants of the caller's leg. Imperative.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// Play this to the caller. At the rate the protocol announced as [`StreamStart::plays_at`].
    Audio(AudioFrame),
    /// Say when everything before this has been heard.
    Mark(MarkId),
    /// Throw away what was sent and not yet heard.
    Clear,
    /// Press a key towards the caller's side. Only for rows with [`super::providers::KeysOut::Message`]; the others ignore it,
    /// and are sent its sound instead.
    Dtmf(Digit),
    /// Show a line of text where the caller can read it. Dialects without a screen ignore it.
    Caption(Caption),
    /// Give the caller to somebody else and end the stream: in the dialect's own words where it has some, else by closing,
    /// after which the provider asks what comes next.
    Transfer(Transfer),
    /// End the call.
    Hangup,
}

/// Where a caller goes, and what goes with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// A number, an address or a queue, as the provider names it.
    pub target: Pii<String>,
    /// What whoever takes the call should know: summary, reason, whatever the provider carries along.
    pub variables: BTreeMap<String, Pii<String>>,
}

/// A line for a caller who has a screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caption {
    /// Who spoke: `caller`, `assistant` or `agent`.
    pub who: Speaker,
    /// What was said.
    pub text: String,
    /// False while it may still change.
    pub is_final: bool,
}

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The person who called.
    Caller,
    /// The language model's persona.
    Assistant,
    /// A human at the console.
    Agent,
}

impl Speaker {
    /// The word used in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Assistant => "assistant",
            Self::Agent => "agent",
        }
    }
}

/// What a provider tells when a stream opens.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStart {
    /// The provider's name for this media stream.
    pub stream_id: String,
    /// The provider's name for the call.
    pub provider_call_id: String,
    /// Rate of the audio the protocol emits.
    pub rate: SampleRate,
    /// Rate of the audio it takes: the same, but where the two directions have codecs of their own.
    pub plays_at: SampleRate,
    /// The single-use token that lets this stream in, if the dialect carried one.
    pub token: Option<Secret<String>>,
    /// Caller's number or address.
    pub from: Option<Pii<String>>,
    /// The number that was called.
    pub to: Option<Pii<String>>,
    /// Everything else the dialect's custom parameters held.
    pub parameters: BTreeMap<String, String>,
}

/// A key of a telephone keypad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digit(char);

impl Digit {
    /// `0`–`9`, `*`, `#`, `A`–`D` (either case); anything else is not a key.
    pub fn new(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some(Self(key))
    }

    /// All of `keys`, if each is a key and there is at least one and at most `most`.
    pub fn all(keys: &str, most: usize) -> Option<Vec<Self>> {
        let within = !keys.is_empty() && keys.len() <= most;
        within.then(|| keys.chars().map(Self::new).collect()).flatten()
    }

    /// The key, upper case.
    pub const fn get(self) -> char {
        self.0
    }
}

/// Names one mark within one call; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarkId(pub u64);

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The provider said so: the caller hung up or the call was moved.
    Provider,
    /// We asked for it.
    Hangup,
    /// The socket went away without a word.
    SocketLost,
    /// The dialect was violated beyond use, or never started in time.
    Protocol,
}

/// Why we close a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The call is over.
    Normal,
    /// No valid start message in time.
    StartTimeout,
    /// The dialect was violated beyond use.
    Protocol,
    /// The stream token was missing, unknown, used or too old.
    Unauthorized,
    /// The server is at its cap or drains.
    Busy,
}

impl CloseReason {
    /// RFC 6455 close code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::StartTimeout | Self::Unauthorized => 1008,
            Self::Busy => 1013,
        }
    }
}

/// What was wrong with one message.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Not JSON, or a field of the wrong shape.
    #[error("malformed `{event}` message")]
    Malformed {
        /// Which message, as far as it could be told.
        event: &'static str,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A field that must be there is not, or holds nonsense.
    #[error("`{event}` message has no usable `{field}`")]
    Field {
        /// Which message.
        event: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// Audio that is no whole number of samples.
    #[error("audio frame of {got} bytes, expected a multiple of {unit}")]
    FrameSize {
        /// Bytes received.
        got: usize,
        /// Bytes of one sample or frame.
        unit: usize,
    },
    /// Larger than any honest message.
    #[error("message of {got} bytes, at most {limit} are taken")]
    Oversized {
        /// Bytes received.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// Text where binary belongs, or the other way round.
    #[error("unexpected {kind} message")]
    Kind {
        /// `text` or `binary`.
        kind: &'static str,
    },
    /// A message that makes no sense now: media before start, a second start.
    #[error("`{event}` in the wrong order")]
    Order {
        /// Which message.
        event: &'static str,
    },
    /// More audio than a provider should have queued; this frame was left out.
    #[error("{queued} of audio are queued at the provider already")]
    Overrun {
        /// How much.
        queued: Millis,
    },
    /// The provider complains about us.
    #[error("the provider reports {code}: {text}")]
    Reported {
        /// Its code for it.
        code: String,
        /// Its words.
        text: String,
    },
    /// A format this server does not speak.
    #[error("unsupported media format `{format}`")]
    Unsupported {
        /// What the provider announced.
        format: String,
    },
}

/// What to do about a [`ProtocolError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Count it and go on: one bad message never ends a call.
    Skip,
    /// The stream can't be used.
    Close,
}

impl ProtocolError {
    /// Whether the stream can go on after this.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Malformed { .. }
            | Self::Field { .. }
            | Self::FrameSize { .. }
            | Self::Oversized { .. }
            | Self::Kind { .. }
            | Self::Order { .. }
            | Self::Overrun { .. }
            | Self::Reported { .. } => Verdict::Skip,
            Self::Unsupported { .. } => Verdict::Close,
        }
    }

    /// A short label for the counter of skipped messages.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Field { .. } => "field",
            Self::FrameSize { .. } => "frame_size",
            Self::Oversized { .. } => "oversized",
            Self::Kind { .. } => "kind",
            Self::Order { .. } => "order",
            Self::Overrun { .. } => "overrun",
            Self::Reported { .. } => "reported",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}

impl From<CodecError> for ProtocolError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::FrameSize { got, unit } => Self::FrameSize { got, unit },
            CodecError::Damaged => Self::Field { event: "media", field: "payload" },
            CodecError::Unavailable(format) => Self::Unsupported { format: format.to_string() },
        }
    }
}
