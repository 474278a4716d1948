//! How the rest of the process holds a call: a caller's leg coming in, a handle going out.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::CallId;
use super::input::{HandoffNews, TransferNews};
use crate::audio::frame::AudioFrame;
use crate::handoff::actor::AgentLeg;
use crate::handoff::wire::Supervision;
use crate::handoff::{AgentId, HandoffId};
use crate::telephony::protocol::{MediaCommand, MediaEvent, StreamStart};

/// Media: 400 ms of caller frames. When full the newest frame is dropped and counted.
pub const INBOUND_FRAMES: usize = 20;
/// Control: events of the leg that may not be lost; the socket's reader waits when it is full.
pub const LEG_EVENTS: usize = 64;
/// Commands to the leg, audio among them because a clear must stay behind the audio it clears.
pub const LEG_COMMANDS: usize = 64;
/// Slots of [`LEG_COMMANDS`] that audio leaves free for marks, clears and hang-ups.
pub const LEG_COMMANDS_RESERVED: usize = 16;

/// One party's side of a call as the call's actor sees it, whichever socket is behind it.
#[derive(Debug)]
pub struct LegIo {
    /// Caller audio, 16 kHz mono, 20 ms each.
    pub frames: mpsc::Receiver<AudioFrame>,
    /// Everything else the leg says, [`MediaEvent::Audio`] and [`MediaEvent::Started`] excepted.
    pub events: mpsc::Receiver<MediaEvent>,
    /// To the leg. Audio is 16 kHz mono, 20 ms each, paced by the actor.
    pub commands: mpsc::Sender<MediaCommand>,
}

/// Opens calls. The one thing the media driver knows of the rest of the server.
pub trait CallOpener: Send + Sync {
    /// Starts the call's actor. The token of `start` has been redeemed already.
    fn open(&self, provider: &'static str, start: StreamStart, leg: LegIo) -> Result<CallHandle, AdmitError>;
}

/// Why a call can't be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The configured number of calls is going on already.
    #[error("all lines are busy")]
    Busy,
    /// The server is shutting down.
    #[error("the server takes no new calls")]
    Draining,
}

impl AdmitError {
    /// Label for the counter of refused calls.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }
}

/// Control: commands for a call's actor. Whoever sends does not wait: an actor this far behind is stuck.
pub const CALL_COMMANDS: usize = 64;

/// To a call's actor.
#[derive(Debug)]
pub enum CallCommand {
    /// News of the handoff, with the agent's leg when one opens.
    Handoff {
        /// What happened.
        news: HandoffNews,
        /// Voice to and from the agent, with `Accepted` and `AgentReturned`.
        leg: Option<AgentLeg>,
    },
    /// A colleague of the agent is there, who is consulted.
    Colleague {
        /// Who.
        agent: AgentId,
        /// The name the caller may hear.
        name: String,
        /// The consultation, as the desk knows it.
        consult: HandoffId,
        /// Voice to and from the colleague.
        leg: AgentLeg,
    },
    /// The agent sends the caller to this telephone outside.
    SendOutside(String),
    /// News of a caller who was given to a telephone, with their new leg when they are back.
    Transfer {
        /// What happened.
        news: TransferNews,
        /// With `Back`.
        leg: Option<Box<LegIo>>,
    },
    /// A supervisor hears the call, or does something else in it from now on.
    Supervise {
        /// How.
        mode: Supervision,
        /// Voice to and from the supervisor, at the beginning.
        leg: Option<AgentLeg>,
    },
    /// The supervisor is gone.
    StopSupervising,
    /// The server stops now: say so and end.
    Stop,
}

/// A running call.
#[derive(Clone, Debug)]
pub struct CallHandle {
    /// Whose.
    pub id: CallId,
    /// Ends the call when cancelled.
    pub cancel: CancellationToken,
}
