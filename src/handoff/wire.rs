//! The agent protocol: JSON text messages of `/agent/ws`, in both directions. `docs/agent-protocol.md` explains it.
//!
//! Binary messages carry the voice: 16 kHz mono signed 16-bit little-endian PCM, 640 bytes (20 ms) each, caller's voice
//! to the agent and agent's voice to the caller, only between `connected` and `call_ended`.

use serde::{Deserialize, Serialize};

use super::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::call::CallId;
use crate::said::{Phrase, Said};
use crate::store::UserRole;
use crate::telephony::protocol::Speaker;

/// The version both sides speak; sent in `hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Keys that one message may press.
pub const MAX_KEYS: usize = 32;

/// From the server to an agent's client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToAgent {
    /// First message on a new socket.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// Who signed in.
        agent_id: AgentId,
        /// Their display name.
        name: String,
        /// Between pings, in milliseconds; a socket silent for three times as long is dropped.
        ping_ms: u32,
        /// What an agent may choose at wrap-up. Empty from a server that does not say.
        #[serde(default)]
        dispositions: Vec<String>,
        /// Names a break may have; see `set_state`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        break_codes: Vec<String>,
        /// What the account may do: supervisors have more messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<UserRole>,
        /// Names of the queues callers can be given to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        queues: Vec<String>,
        /// Names of the telephones outside that callers can be given to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        outside: Vec<String>,
        /// Some queue answers offers by themselves for agents who agree to it; see `auto_answer`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        auto_answer: bool,
    },
    /// Whether this client's offers are answered by themselves, where the queue does that; answers `auto_answer`.
    AutoAnswer {
        /// It.
        on: bool,
    },
    /// The agent's state as the server sees it; after every change and after `hello`.
    State {
        /// The state.
        state: AgentState,
        /// Milliseconds in it.
        for_ms: u64,
        /// What follows the current call, if the agent chose that already.
        next: Option<AgentState>,
        /// The name of the break.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Callers waiting, after every change.
    Queue {
        /// How many.
        waiting: u32,
        /// How long the first has waited.
        longest_ms: u64,
    },
    /// A caller for this agent, until the deadline.
    Offer(Box<Offer>),
    /// An offer is over, whoever ended it.
    OfferEnded {
        /// Which.
        offer_id: OfferId,
        /// How.
        result: OfferResult,
    },
    /// Agent and caller hear each other from now on.
    Connected {
        /// The call.
        call_id: CallId,
        /// The handoff that led here.
        handoff_id: HandoffId,
        /// True when the agent came back to a call after losing the socket.
        resumed: bool,
        /// What to know; who took a call over had no offer.
        #[serde(default)]
        brief: Brief,
        /// What was said so far.
        transcript: Vec<Line>,
        /// You are consulted by this colleague: you hear them, and not the caller yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consulted_by: Option<String>,
    },
    /// A consultation began, changed, or is over; to both agents.
    Consult {
        /// The call.
        call_id: CallId,
        /// How far it is.
        state: ConsultState,
        /// Who hears whom.
        mode: ConsultMode,
        /// The colleague's name, once they are there.
        with: Option<String>,
    },
    /// The answer to `colleagues`: who is signed in besides you.
    Colleagues {
        /// By name.
        colleagues: Vec<Colleague>,
    },
    /// Callers you may pick up, after every change.
    Parked {
        /// The longest parked first.
        callers: Vec<ParkedCaller>,
    },
    /// One line of a live transcript: of the offered or connected call. Same `seq` replaces the line.
    Transcript {
        /// The call.
        call_id: CallId,
        /// The line.
        line: Line,
    },
    /// Hold went on or off.
    Hold {
        /// The call.
        call_id: CallId,
        /// True while the caller hears hold.
        on: bool,
    },
    /// The caller pressed a key during the call.
    Dtmf {
        /// The call.
        call_id: CallId,
        /// The key.
        digit: String,
    },
    /// The conversation is over; wrap-up begins. Comes again after `hello` while wrap-up lasts.
    CallEnded {
        /// The call.
        call_id: CallId,
        /// Who or what ended it.
        reason: CallEnd,
        /// Milliseconds for wrap-up, or what is left of them.
        wrap_up_ms: u64,
        /// What was said; only when it comes again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        transcript: Vec<Line>,
        /// What may be filled in for you.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<WrapUpDraft>,
    },
    /// What the knowledge base has for the caller's last words; replaces what it had before.
    Suggestions {
        /// The call.
        call_id: CallId,
        /// The caller's words.
        question: String,
        /// The best first; none: nothing fits.
        hits: Vec<Suggestion>,
    },
    /// A better draft for the wrap-up that is going on.
    Draft {
        /// The call.
        call_id: CallId,
        /// It.
        draft: WrapUpDraft,
    },
    /// You hear a call that is not yours, or what you may do in it changed.
    Supervising {
        /// The call.
        call_id: CallId,
        /// How.
        mode: Supervision,
        /// What was said so far; `transcript` messages follow.
        transcript: Vec<Line>,
    },
    /// You hear the call no more: you stopped, took it over, or it is over.
    SupervisingEnded {
        /// The call.
        call_id: CallId,
    },
    /// Somebody listens to your call, or stopped.
    Supervised {
        /// The call.
        call_id: CallId,
        /// Their name.
        by: String,
        /// How; none: no longer.
        mode: Option<Supervision>,
    },
    /// A request could not be done. The connection stays.
    Error {
        /// Stable code, such as `offer_gone`.
        code: String,
        /// A sentence for the agent.
        message: String,
    },
    /// Answer to `ping`.
    Pong {
        /// The number from the ping.
        n: u64,
    },
}

/// From an agent's client to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAgent {
    /// Wants to be in this state: now, or after the current call.
    SetState {
        /// `available`, `break` or `offline`; the others are the server's to set.
        state: AgentState,
        /// The name of the break, one of `hello`'s `break_codes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Agrees that offers are answered by themselves where the queue does that, or no longer; as long as the connection lasts.
    AutoAnswer {
        /// True: agrees.
        on: bool,
    },
    /// Takes an offer.
    Accept {
        /// Which.
        offer_id: OfferId,
    },
    /// Declines an offer. It costs the agent nothing.
    Reject {
        /// Which.
        offer_id: OfferId,
        /// Why, in the agent's words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Puts the caller on hold, or takes them back.
    Hold {
        /// True for hold.
        on: bool,
    },
    /// Presses keys towards the caller.
    Dtmf {
        /// One of `0`–`9`, `*`, `#`, `A`–`D`, or up to 32 of them, one after the other.
        digit: String,
    },
    /// Ends the call.
    End,
    /// Gives the caller back to the assistant.
    HandBack,
    /// Gives the caller to others, with the whole wait counted. Name one of the three.
    Transfer {
        /// To the people of this queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
        /// To this colleague; if they don't take it, to the queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<AgentId>,
        /// To this telephone outside, one of `hello`'s `outside`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outside: Option<String>,
    },
    /// Asks who is signed in.
    Colleagues,
    /// Asks a colleague while the caller hears music. Name one of the two.
    Consult {
        /// This one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<AgentId>,
        /// Whoever of this queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<String>,
    },
    /// Who hears whom from now on.
    ConsultMode {
        /// It.
        mode: ConsultMode,
    },
    /// Gives the caller to the colleague who is consulted.
    Complete,
    /// Gives the consultation up; the caller is back.
    CancelConsult,
    /// Sets the caller aside, with music, for colleagues of the queue to pick up.
    Park,
    /// Picks a parked caller up.
    PickUp {
        /// The call.
        call_id: CallId,
    },
    /// Closes wrap-up.
    WrapUp {
        /// The call.
        call_id: CallId,
        /// What the next person should know.
        note: String,
        /// How it ended, in one of the configured words.
        disposition: String,
    },
    /// Wants more time for wrap-up; once.
    ExtendWrapUp,
    /// Acknowledges a missed offer or a call without sound, which makes the agent available again.
    AcknowledgeMissed,
    /// Supervisors: hear a call, or change what you do in it.
    Supervise {
        /// The call.
        call_id: CallId,
        /// How.
        mode: Supervision,
    },
    /// Supervisors: hear the call no more.
    StopSupervising,
    /// Supervisors: be the one who speaks with the caller, whoever has them now, the assistant included.
    TakeOver {
        /// The call.
        call_id: CallId,
    },
    /// Supervisors: end a call. The caller hears a goodbye.
    ForceEnd {
        /// The call.
        call_id: CallId,
    },
    /// Supervisors: let a waiting caller go before others, or after them.
    Prioritise {
        /// The call.
        call_id: CallId,
        /// -100 to 100; higher goes first.
        priority: i32,
    },
    /// Supervisors: let a waiting caller wait in another queue.
    Move {
        /// The call.
        call_id: CallId,
        /// The queue's name.
        queue: String,
    },
    /// Keeps the connection alive.
    Ping {
        /// Comes back in `pong`.
        n: u64,
    },
}

/// What whoever takes a call should know, made without any model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Brief {
    /// Why the caller is given to a person, in a sentence.
    pub why: String,
    /// What the caller wants, in their own words: the sentence that says most.
    pub words: Option<String>,
    /// What is known, and how well.
    pub facts: Vec<Fact>,
    /// What was tried.
    pub tried: Vec<String>,
    /// What to begin with.
    pub next_step: String,
    /// `why` for clients with words of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_phrase: Option<Phrase>,
    /// `tried` for them, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried_phrases: Vec<Phrase>,
    /// `next_step` for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step_phrase: Option<Phrase>,
}

impl Brief {
    /// One that says no more than why.
    pub fn because(why: &Said) -> Self {
        Self { why: why.to_string(), why_phrase: why.phrase(), ..Self::default() }
    }

    /// One more thing that was tried.
    pub fn add_tried(&mut self, tried: &Said) {
        self.tried.push(tried.to_string());
        self.tried_phrases.extend(tried.phrase());
    }
}

/// Something known about a call, and from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fact {
    /// What.
    pub fact: String,
    /// From where, and how sure that is.
    pub source: String,
    /// The same for clients with words of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_phrase: Option<Phrase>,
}

impl Fact {
    /// A fact with its source.
    pub fn new(fact: String, source: &Said) -> Self {
        Self { fact, source: source.to_string(), source_phrase: source.phrase() }
    }
}

/// An entry of the knowledge base that may answer the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Suggestion {
    /// The source: file name and heading.
    pub entry: String,
    /// Its title.
    pub title: String,
    /// The approved sentence nearest to the words, if one is.
    pub approved: Option<String>,
    /// The probability that the entry has the answer, 0 to 1.
    pub score: f32,
}

/// What may be filled in at wrap-up. The agent's own word counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WrapUpDraft {
    /// What the call was about.
    pub summary: String,
    /// One of `hello`'s `dispositions`, where the words of the call suggest one.
    pub disposition: Option<String>,
    /// Made by what.
    pub by: DraftedBy,
}

/// What made a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftedBy {
    /// Rules, from what was said.
    Template,
    /// The language model.
    Model,
}

/// Who hears whom while a colleague is consulted. The asker decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsultMode {
    /// The agents hear each other; the caller hears music.
    Private,
    /// Asker and caller hear each other; the colleague hears music.
    Caller,
    /// All three hear each other.
    Together,
}

/// What a supervisor does in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// Hears everybody and is heard by nobody.
    Listen,
    /// Is heard by the agent alone.
    Whisper,
    /// Is heard by all.
    Barge,
}

impl Supervision {
    /// The word used in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Whisper => "whisper",
            Self::Barge => "barge",
        }
    }
}

/// A caller held out to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Offer {
    /// Names it in `accept` and `reject`.
    pub offer_id: OfferId,
    /// The handoff it belongs to.
    pub handoff_id: HandoffId,
    /// The call.
    pub call_id: CallId,
    /// Why the caller is given to a person.
    pub reason: HandoffReason,
    /// Two lines: what the caller wants, what was tried.
    pub summary: Vec<String>,
    /// The same at length.
    #[serde(default)]
    pub brief: Brief,
    /// What was said so far; more comes as `transcript` messages.
    pub transcript: Vec<Line>,
    /// How long the caller has waited since the handoff was requested.
    pub waiting_ms: u64,
    /// How long the agent has to answer.
    pub expires_in_ms: u64,
    /// Answered by itself then, unless the agent declines it before or the client says nothing at all since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_in_ms: Option<u64>,
    /// Which provider the call came through.
    pub provider: String,
    /// The language the caller speaks with us, such as `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What callers of this queue take on average, wrap-up included. Missing until one has, and where a colleague asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// A colleague who has the caller asks for advice; nothing yet for you to say to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consulted_by: Option<String>,
}

/// How far a consultation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsultState {
    /// A colleague is being asked.
    Asking,
    /// The colleague is there.
    Here,
    /// Over: the asker has the caller.
    Over,
    /// Over: nobody took it, and the asker has the caller.
    NotTaken,
}

/// A colleague who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Colleague {
    /// Names them in `consult` and `transfer`.
    pub agent_id: AgentId,
    /// Their name.
    pub name: String,
    /// What they do.
    pub state: AgentState,
    /// Can be asked now.
    pub free: bool,
}

/// A caller whom an agent has set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParkedCaller {
    /// The call.
    pub call_id: CallId,
    /// Who parked them.
    pub by: String,
    /// Since then.
    pub parked_ms: u64,
    /// Until the caller is first in line.
    pub left_ms: u64,
    /// What the caller wants, what was tried.
    pub summary: Vec<String>,
}

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// Grows by one a line; a line sent again with the same number replaces the old one.
    pub seq: u32,
    /// Who spoke.
    pub who: Speaker,
    /// What they said.
    pub text: String,
    /// Milliseconds since the call began.
    pub at_ms: u32,
    /// How sure recognition was, 0 to 1; 1 for the assistant's own words.
    pub confidence: f32,
    /// False while the line may still change.
    pub is_final: bool,
}

/// Presence of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Not signed in.
    Offline,
    /// Waiting for calls; paid standby.
    Available,
    /// An offer is pending.
    Reserved,
    /// On a call.
    OnContact,
    /// Finishing the last call.
    WrapUp,
    /// Let an offer expire; not routed until acknowledged.
    Missed,
    /// Away.
    Break,
    /// Accepted a call and no sound came; not routed until acknowledged. Paid.
    Error,
}

impl AgentState {
    /// The word used in metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Available => "available",
            Self::Reserved => "reserved",
            Self::OnContact => "on_contact",
            Self::WrapUp => "wrap_up",
            Self::Missed => "missed",
            Self::Break => "break",
            Self::Error => "error",
        }
    }
}

/// How an offer ended (CONTACT_CENTRE §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferResult {
    /// The agent took it.
    Accepted,
    /// The agent declined.
    Rejected,
    /// Nobody answered in time (RONA).
    Timeout,
    /// Taken back by the server: another agent won, or this agent's socket was lost.
    Rescinded,
    /// The caller left or was helped otherwise.
    Canceled,
}

impl OfferResult {
    /// The word used in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Rescinded => "rescinded",
            Self::Canceled => "canceled",
        }
    }
}

/// Who ended a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// The caller hung up.
    CallerHungUp,
    /// The agent ended it.
    AgentEnded,
    /// The agent's connection was lost and did not come back in time; the caller was queued again.
    AgentLost,
    /// You gave the caller back to the assistant.
    HandedBack,
    /// You gave the caller to another queue.
    Transferred,
    /// You parked the caller.
    Parked,
    /// You were consulted, and it is over.
    ConsultOver,
    /// A supervisor has the caller now.
    TakenOver,
    /// A supervisor ended the call.
    SupervisorEnded,
    /// No sound came from the agent; the caller is first in the queue again.
    NoSound,
    /// Whoever was called back did not answer.
    NotReached,
    /// The server shut down.
    ServerStopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_tagged_snake_case_json() {
        let text = serde_json::to_string(&FromAgent::SetState { state: AgentState::Available, code: None })
            .expect("plain data");
        assert_eq!(text, r#"{"type":"set_state","state":"available"}"#);
        let parsed: FromAgent = serde_json::from_str(r#"{"type":"end"}"#).expect("valid");
        assert_eq!(parsed, FromAgent::End);
    }
}
