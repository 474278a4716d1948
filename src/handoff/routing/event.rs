//! What goes into the router and what comes out of it.

use std::time::Duration;

use super::Moment;
use super::plan::Exit;
use super::task::Facts;
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, OfferId};

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A caller wants a person; or, known already and not in line, wants to wait again, in the old place.
    Requested(HandoffId, Facts),
    /// The caller is no longer in line.
    Left(HandoffId, Left),
    /// Somebody at another server that shares the records has taken the caller: nobody is asked any more here, unless no
    /// connection comes of it.
    TakenElsewhere(HandoffId),
    /// Agent and caller hear each other.
    MediaUp(HandoffId),
    /// They do not, after the agent accepted.
    FailedConnect(HandoffId, Cause),
    /// The conversation is over.
    Ended(HandoffId, CallEnd),
    /// The conversation is hard to bear: the agent gets a rest after it.
    Distressing(HandoffId),
    /// A person takes a caller over, wherever the caller is; a caller who is not known yet comes with these facts. Nothing
    /// happens while the person is with somebody else; see [`super::Router::can_take_over`].
    TakenOver {
        /// The caller.
        handoff: HandoffId,
        /// Of a caller who did not wait for a person.
        facts: Facts,
        /// Who.
        agent: AgentId,
    },
    /// The agent gives the caller to the queue of this name.
    Transferred(HandoffId, String),
    /// The agent gives the caller to this colleague; who does not take it leaves the caller to the queue.
    GivenTo(HandoffId, AgentId),
    /// The agent sends the caller to a telephone outside; the caller may come back.
    SentAway(HandoffId),
    /// The agent sets the caller aside until then, for colleagues to pick up.
    Parked(HandoffId, Moment),
    /// Somebody picks a parked caller up.
    PickedUp {
        /// The caller.
        handoff: HandoffId,
        /// Who.
        agent: AgentId,
    },
    /// A colleague is asked beside a conversation.
    Consulted {
        /// The consultation's own id.
        consult: HandoffId,
        /// Whom.
        target: Target,
        /// Who asks.
        by: AgentId,
        /// Given up then.
        until: Moment,
    },
    /// Whoever is consulted takes the caller over, the other being out of it for this reason.
    Succeeds {
        /// The caller.
        handoff: HandoffId,
        /// The consultation.
        consult: HandoffId,
        /// Why the other is out of it.
        reason: CallEnd,
    },
    /// A consultation is over, and whoever was consulted has nothing to finish.
    Released(HandoffId),
    /// A supervisor changed the priority.
    Reprioritised(HandoffId, i32),
    /// A supervisor moved the caller to the queue of this name.
    Moved(HandoffId, String),
    /// An agent's client connected. A newer session replaces the older one.
    Connected {
        /// Who.
        agent: AgentId,
        /// Under which name they are in the plan.
        name: String,
        /// Counts up.
        session: u64,
    },
    /// A session is gone.
    Disconnected {
        /// Who.
        agent: AgentId,
        /// Which.
        session: u64,
    },
    /// The agent chose a state, and for a break perhaps its name.
    StateChosen(AgentId, AgentState, Option<String>),
    /// The agent takes an offer.
    Accepted(AgentId, OfferId),
    /// The agent declines an offer.
    Rejected(AgentId, OfferId),
    /// The agent could not be asked in time: as a miss, and at once.
    Unanswered(AgentId, OfferId),
    /// Asking this agent takes longer, such as at a telephone: the offer runs so long from now.
    Extended(AgentId, OfferId, Duration),
    /// The agent wants offers to be answered by themselves where the queue allows it, or no longer.
    AutoAnswer(AgentId, bool),
    /// This offer is not answered by itself: the agent may be away from it.
    NotByItself(AgentId, OfferId),
    /// The agent has finished wrap-up.
    WrapUpDone(AgentId),
    /// The agent wants more time for wrap-up.
    WrapUpExtended(AgentId),
    /// The agent has seen that an offer was missed, or that no sound came.
    Acknowledged(AgentId),
}

/// Whom an agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Agent(AgentId),
    /// Somebody of this queue.
    Queue(String),
}

/// Why a caller is no longer in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Hung up.
    HungUp,
    /// Does something else and may come back to the old place.
    ForNow,
    /// Was helped otherwise: callback, message, the assistant.
    Helped,
}

/// Whose fault it was that no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Ours: the agent is not held to it.
    System,
    /// The agent's microphone, network or program.
    Agent,
}

/// Do this.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Hold the caller out to the agent.
    Offer {
        /// The offer.
        offer: OfferId,
        /// The caller.
        handoff: HandoffId,
        /// To whom.
        agent: AgentId,
        /// Until.
        until: Moment,
        /// Answered by itself then, if nothing happens before.
        answers: Option<Moment>,
    },
    /// The moment has come at which this offer answers itself, as queue and agent agreed: say [`Event::Accepted`].
    AnsweredByItself(AgentId, OfferId),
    /// An offer is over.
    OfferEnded {
        /// The offer.
        offer: OfferId,
        /// The caller.
        handoff: HandoffId,
        /// To whom it was made.
        agent: AgentId,
        /// How.
        result: OfferResult,
    },
    /// The request named an offer that is not (or no longer) this agent's.
    OfferGone(AgentId, OfferId),
    /// Connect them.
    Assign {
        /// The caller.
        handoff: HandoffId,
        /// The agent.
        agent: AgentId,
    },
    /// No connection came about: the caller is at the head of the line.
    ConnectFailed {
        /// The caller.
        handoff: HandoffId,
        /// The agent.
        agent: AgentId,
        /// Whose fault.
        cause: Cause,
    },
    /// The agent of this caller is gone for the moment.
    AgentLost(HandoffId),
    /// The agent of this caller is back.
    AgentReturned {
        /// The caller.
        handoff: HandoffId,
        /// The agent.
        agent: AgentId,
    },
    /// The one who was meant does not take it. A caller is in line from here on; a consultation is over.
    AimOver(HandoffId),
    /// Who was consulted has the caller now.
    Succeeded {
        /// The caller.
        handoff: HandoffId,
        /// The consultation, which is over.
        consult: HandoffId,
        /// Who.
        agent: AgentId,
    },
    /// A consultation is over for who was consulted.
    Released {
        /// The consultation.
        consult: HandoffId,
        /// Who.
        agent: AgentId,
    },
    /// The agent did not come back, or nobody picked up: the caller is first in line.
    Requeued(HandoffId),
    /// The caller's place or the staffing changed.
    Place {
        /// The caller.
        handoff: HandoffId,
        /// 1 is next.
        position: u32,
        /// Agents who take calls of this queue; 0 while it is closed.
        staffed: u32,
    },
    /// The last step is over: this is what the caller is offered. The caller may request to wait on.
    Exit(HandoffId, Exit),
    /// Wrap-up begins, was extended, or the agent came back in the middle of it.
    WrapUp {
        /// Who.
        agent: AgentId,
        /// The caller.
        handoff: HandoffId,
        /// Why the conversation ended.
        reason: CallEnd,
        /// Until.
        until: Moment,
    },
    /// Tell the agent's client its state.
    State(AgentId),
    /// This session was replaced by a newer one.
    CloseSession(AgentId, u64),
}
