//! What is remembered: calls, turns, triggers, handoffs, offers, messages, accounts. One trait, one conformance suite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::claims::Claims;
use crate::call::CallId;
use crate::handoff::callback::CallbackEnd;
use crate::handoff::routing::plan::PaidClass;
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::judgment::decision::Decision;
use crate::telemetry::{Pii, Secret};
use crate::telephony::protocol::Speaker;

pub mod claims;
#[cfg(test)]
pub(crate) mod conformance;
pub mod scribe;
pub mod sqlite;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be opened or migrated.
    #[error("database `{url}` could not be opened: {reason}")]
    Open {
        /// Where, without credentials.
        url: String,
        /// What the driver said.
        reason: String,
    },
    /// A query failed.
    #[error("database query failed")]
    Query(#[source] sqlx::Error),
    /// Something with this name is there already.
    #[error("{what} exists already")]
    Conflict {
        /// What.
        what: &'static str,
    },
    /// A record holds something this version can't read.
    #[error("stored {what} is unreadable: {reason}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What was wrong.
        reason: String,
    },
}

impl StoreError {
    /// The database refuses the record by a constraint, such as one that belongs to a call nobody knows (any more): it will
    /// refuse it the next time, too.
    pub fn is_refusal(&self) -> bool {
        let Self::Query(error) = self else { return false };
        error.as_database_error().is_some_and(|error| !matches!(error.kind(), sqlx::error::ErrorKind::Other))
    }
}

/// Durable records. Writes are idempotent by id, so that a retry after a lost answer does no harm.
#[async_trait]
pub trait Store: Claims + Send + Sync {
    /// Inserts a call, or replaces the record with the same id.
    async fn put_call(&self, call: &CallRecord) -> Result<(), StoreError>;
    /// Inserts a turn, or replaces the one with the same call and `seq`.
    async fn put_turn(&self, turn: &TurnRecord) -> Result<(), StoreError>;
    /// Appends a trigger; one with the same call, handoff, time and reason is there already.
    async fn put_trigger(&self, trigger: &TriggerRecord) -> Result<(), StoreError>;
    /// Inserts or replaces a handoff.
    async fn put_handoff(&self, handoff: &HandoffRecord) -> Result<(), StoreError>;
    /// Inserts or replaces an offer.
    async fn put_offer(&self, offer: &OfferRecord) -> Result<(), StoreError>;
    /// Inserts or replaces a voice message or a callback wish.
    async fn put_message(&self, message: &MessageRecord) -> Result<(), StoreError>;
    /// Marks a message as taken care of; false when it is not there or somebody was faster.
    async fn finish_message(&self, id: uuid::Uuid, by: &AgentId, at: Timestamp) -> Result<bool, StoreError>;
    /// Inserts or replaces a tool's run.
    async fn put_tool_run(&self, run: &ToolRunRecord) -> Result<(), StoreError>;
    /// Inserts or replaces an agent's note on a call.
    async fn put_wrap_up(&self, wrap_up: &WrapUpRecord) -> Result<(), StoreError>;

    /// Appends a comment; one with the same id is there already.
    async fn put_comment(&self, comment: &CommentRecord) -> Result<(), StoreError>;
    /// Inserts a reviewer's score of one part of a call, or replaces it.
    async fn put_score(&self, score: &ScoreRecord) -> Result<(), StoreError>;
    /// Means of the scores given in `[since, until)`, for the assistant and for people.
    async fn mean_scores(&self, since: Timestamp, until: Timestamp) -> Result<MeanScores, StoreError>;

    /// Inserts or replaces somebody's part in a call.
    async fn put_party(&self, party: &PartyRecord) -> Result<(), StoreError>;

    /// Appends what a supervisor did; one with the same id is there already.
    async fn put_audit(&self, audit: &AuditRecord) -> Result<(), StoreError>;

    /// Inserts or replaces a conversation of a caller with an agent.
    async fn put_contact(&self, contact: &ContactRecord) -> Result<(), StoreError>;
    /// What the numbers of `[since, until)` are made of.
    async fn period(&self, since: Timestamp, until: Timestamp) -> Result<Period, StoreError>;
    /// The same as far as gauges need it, which look every few seconds.
    async fn outline(&self, since: Timestamp, until: Timestamp) -> Result<Outline, StoreError>;

    /// Adds a shift; one with the same id is there already.
    async fn put_shift(&self, shift: &ShiftRecord) -> Result<(), StoreError>;
    /// Notes that a shift was called off, once; the shift as it is then.
    async fn release_shift(&self, id: uuid::Uuid, at: Timestamp) -> Result<Option<ShiftRecord>, StoreError>;
    /// Shifts that overlap a span, by their beginning; at most [`MAX_LEDGER`].
    async fn list_shifts(&self, since: Timestamp, until: Timestamp) -> Result<Vec<ShiftRecord>, StoreError>;
    /// Adds a shift that anybody may take; one with the same id is there already.
    async fn put_open_shift(&self, shift: &OpenShiftRecord) -> Result<(), StoreError>;
    /// Those that overlap a span, by their beginning; at most [`MAX_LEDGER`].
    async fn list_open_shifts(&self, since: Timestamp, until: Timestamp) -> Result<Vec<OpenShiftRecord>, StoreError>;
    /// Nobody may take it any more; false if it is not there.
    async fn delete_open_shift(&self, id: uuid::Uuid) -> Result<bool, StoreError>;
    /// It is this agent's from now on. Nothing when it is gone, has begun, or the agent has another one then.
    async fn take_open_shift(
        &self,
        id: uuid::Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<ShiftRecord>, StoreError>;
    /// Anybody may take it again. Nothing when it is not this agent's, has begun, or was called off.
    async fn give_back_shift(
        &self,
        id: uuid::Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<OpenShiftRecord>, StoreError>;

    /// Sets the telephone an agent chose, or forgets it.
    async fn put_telephone(
        &self,
        agent: &AgentId,
        number: Option<&Pii<String>>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// The telephone an agent chose.
    async fn telephone_of(&self, agent: &AgentId) -> Result<Option<Pii<String>>, StoreError>;

    /// All time of an agent that overlaps a span, in its order; at most [`MAX_LEDGER`].
    async fn ledger_within(
        &self,
        agent: &AgentId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LedgerRecord>, StoreError>;

    /// Appends a stretch of an agent's time; one with the same id is there already.
    async fn put_ledger(&self, entry: &LedgerRecord) -> Result<(), StoreError>;

    /// An agent's time that began in `[since, until)`, in its order; at most [`MAX_LEDGER`].
    async fn list_ledger(
        &self,
        agent: &AgentId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LedgerRecord>, StoreError>;
    /// Newest first; `limit` is at most [`MAX_LIMIT`].
    async fn list_audit(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;
    /// Newest first.
    async fn list_calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError>;
    /// What an agent did with offers made and conversations begun since `since`.
    async fn agent_day(&self, agent: &AgentId, since: Timestamp) -> Result<AgentDay, StoreError>;
    /// All there is about one call.
    async fn get_call(&self, id: CallId) -> Result<Option<CallDetail>, StoreError>;
    /// Newest first; only those still to be done when `open_only`; `limit` is at most [`MAX_LIMIT`].
    async fn list_messages(&self, open_only: bool, limit: u32) -> Result<Vec<MessageRecord>, StoreError>;
    /// One message.
    async fn get_message(&self, id: uuid::Uuid) -> Result<Option<MessageRecord>, StoreError>;
    /// Inserts or replaces a wish to be called back; its message must be there.
    async fn put_callback(&self, callback: &CallbackRecord) -> Result<(), StoreError>;
    /// Callbacks that are not over and whose message nobody took care of, with their numbers, the oldest first; at most
    /// [`MAX_LEDGER`].
    async fn open_callbacks(&self) -> Result<Vec<(CallbackRecord, Pii<String>)>, StoreError>;

    /// Calls without an end, and those a process closed for one that had died, at `since` or later, whose caller has not come
    /// back in another; with all there is about them; at most [`MAX_LEDGER`].
    async fn cut_off_calls(&self, since: Timestamp) -> Result<Vec<CallDetail>, StoreError>;
    /// Inserts or replaces what an agent does just now.
    async fn put_stand(&self, stand: &StandRecord) -> Result<(), StoreError>;
    /// What agents did when the process ended; forgets it.
    async fn take_stands(&self) -> Result<Vec<StandRecord>, StoreError>;
    /// Calls without an end, left by a process that died: ends them as interrupted with their handoffs and offers,
    /// gives how many.
    async fn close_orphans(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// A new account. [`StoreError::Conflict`] when the name is taken.
    async fn add_user(&self, user: &UserRecord) -> Result<(), StoreError>;
    /// Replaces an account's password hash, role or name.
    async fn update_user(&self, user: &UserRecord) -> Result<(), StoreError>;
    /// Removes an account with its sessions and tokens; false if there was none. What it did stays on record.
    async fn delete_user(&self, id: &AgentId) -> Result<bool, StoreError>;
    /// By sign-in name.
    async fn find_user(&self, name: &str) -> Result<Option<UserRecord>, StoreError>;
    /// All accounts by name.
    async fn list_users(&self) -> Result<Vec<UserRecord>, StoreError>;
    /// Remembers a session by the SHA-256 of its token; forgets those expired before `now`.
    async fn put_session(&self, session: &SessionRecord, now: Timestamp) -> Result<(), StoreError>;
    /// A session that has not expired, with its account.
    async fn find_session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<UserRecord>, StoreError>;
    /// Ends a session.
    async fn delete_session(&self, token_hash: &[u8; 32]) -> Result<(), StoreError>;
    /// Ends all sessions of one kind of an account.
    async fn delete_sessions(&self, user: &AgentId, kind: SessionKind) -> Result<(), StoreError>;
    /// Keeps priority and message of a queue, new or in place of its earlier ones.
    async fn put_queue(&self, queue: &QueueRecord) -> Result<(), StoreError>;
    /// Forgets what was kept of a queue; says whether anything was.
    async fn delete_queue(&self, name: &str) -> Result<bool, StoreError>;
    /// What is kept of queues, by name.
    async fn list_queues(&self) -> Result<Vec<QueueRecord>, StoreError>;

    /// Keeps opening hours, new or in place of those of the same name.
    async fn put_hours(&self, hours: &HoursRecord) -> Result<(), StoreError>;
    /// Forgets them; false if there were none.
    async fn delete_hours(&self, name: &str) -> Result<bool, StoreError>;
    /// All that are kept, by name.
    async fn list_hours(&self) -> Result<Vec<HoursRecord>, StoreError>;
    /// Remembers a key by the SHA-256 of its token; one with the same id is there already.
    async fn add_key(&self, key: &KeyRecord, token_hash: &[u8; 32]) -> Result<(), StoreError>;
    /// All keys, also those that are good no more, the newest first.
    async fn list_keys(&self) -> Result<Vec<KeyRecord>, StoreError>;
    /// A key that is good, with what it may do now; notes that it was used.
    async fn use_key(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<KeyRecord>, StoreError>;
    /// Ends a key, once; the key as it is then.
    async fn revoke_key(&self, id: uuid::Uuid, at: Timestamp) -> Result<Option<KeyRecord>, StoreError>;
    /// Fails when the database is not usable; for `/readyz`.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Writes everything out and lets go of the database. Later calls fail.
    async fn close(&self);
}

/// Most records one listing gives.
pub const MAX_LIMIT: u32 = 200;
/// Most records of one kind a [`Period`] holds; of more the oldest.
pub const MAX_PERIOD: u32 = 50_000;
/// Most entries of a ledger one listing gives.
pub const MAX_LEDGER: u32 = 10_000;

/// Which calls to list.
#[derive(Clone, Debug, Default)]
pub struct CallQuery {
    /// Only those this agent took.
    pub taken_by: Option<AgentId>,
    /// Only those older than this one: continues a listing.
    pub before: Option<CallId>,
    /// How many at most; [`MAX_LIMIT`] bounds it.
    pub limit: u32,
    /// What else holds for them.
    pub filter: CallFilter,
}

/// Which calls, by what they were. What is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Ended like this.
    pub outcome: Option<CallOutcome>,
    /// A person was wanted for this reason.
    pub reason: Option<HandoffReason>,
    /// Began then or later.
    pub since: Option<Timestamp>,
    /// Began before.
    pub until: Option<Timestamp>,
    /// Somebody said this; upper and lower case of ASCII letters are the same.
    pub said: Option<String>,
}

/// What an agent did since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentDay {
    /// Callers offered.
    pub offered: u32,
    /// Of these: taken.
    pub accepted: u32,
    /// Of these: declined.
    pub declined: u32,
    /// Of these: let ring until somebody else was asked.
    pub missed: u32,
    /// Time spoken with callers, in milliseconds, of conversations that are over.
    pub talk_ms: u64,
}

/// How a call ended, or how far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// Still going on.
    Live,
    /// The caller hung up while with the assistant.
    EndedWithAssistant,
    /// A person spoke with the caller.
    SpokeWithAgent,
    /// The caller was given to a person's telephone.
    Transferred,
    /// The caller left a message.
    LeftMessage,
    /// The caller asked to be called back.
    CallbackBooked,
    /// The caller hung up while waiting for a person.
    AbandonedInQueue,
    /// The server stopped or crashed during the call.
    Interrupted,
}

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallRecord {
    /// Its id.
    pub id: CallId,
    /// The provider's row name.
    pub provider: String,
    /// The provider's own id.
    pub provider_call_id: String,
    /// Caller's number.
    #[schema(value_type = Option<String>)]
    pub from: Option<Pii<String>>,
    /// Number called.
    #[schema(value_type = Option<String>)]
    pub to: Option<Pii<String>>,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ended_at: Option<Timestamp>,
    /// How.
    pub outcome: CallOutcome,
    /// File name under the recordings folder, once there is one.
    pub recording: Option<String>,
    /// When the recording notice had been spoken, milliseconds into the call.
    pub notice_at_ms: Option<u32>,
}

/// Where the time of one answered turn went, all in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnTimings {
    /// Last caller sample with voice to the decision that the turn is over.
    pub endpointing_ms: u32,
    /// From that decision to the final transcript (0 when it was ready before).
    pub stt_ms: u32,
    /// From the transcript to the first clause of the reply.
    pub llm_ms: u32,
    /// From the clause to its first audible frame.
    pub tts_ms: u32,
    /// Last caller sample with voice to the first audible frame of the reply.
    pub response_ms: u32,
    /// Time the decode itself took, mostly hidden inside endpointing.
    pub decode_ms: u32,
}

/// One knowledge entry that backed a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryUse {
    /// File name and heading.
    pub entry: String,
    /// Retrieval score.
    pub score: f32,
    /// The version of the knowledge base it was found in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// One thing somebody said.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TurnRecord {
    /// The call.
    pub call_id: CallId,
    /// Order within the call, from 0.
    pub seq: u32,
    /// Who spoke.
    pub who: Speaker,
    /// The words; of the assistant only those the caller heard.
    pub text: String,
    /// What the assistant had meant to say when it was cut off.
    pub planned: Option<String>,
    /// 0 to 1.
    pub confidence: f32,
    /// Milliseconds into the call.
    pub started_ms: u32,
    /// Milliseconds into the call.
    pub ended_ms: u32,
    /// For the assistant's answers.
    pub timings: Option<TurnTimings>,
    /// What backed the answer.
    pub entries: Vec<EntryUse>,
    /// The agent who spoke.
    pub agent_id: Option<AgentId>,
    /// Of the caller's turns: what was decided about the words, and from what.
    pub decision: Option<Decision>,
    /// From when to when each word of `text` was said, in milliseconds of the call, as recognition has it. Empty where nobody
    /// knows, as of what the assistant said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub word_times: Vec<[u32; 2]>,
}

/// Why the call was given to a person, with the numbers that decided it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TriggerRecord {
    /// The call.
    pub call_id: CallId,
    /// The handoff it made, or the running one it joined.
    pub handoff_id: HandoffId,
    /// Milliseconds into the call.
    pub at_ms: u32,
    /// Which rule.
    pub reason: HandoffReason,
    /// The measured signals by name.
    pub signals: serde_json::Value,
}

/// How a handoff ended. Exactly one of these (F2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandoffOutcome {
    /// Still waiting or talking.
    Open,
    /// Caller and agent spoke.
    Bridged,
    /// The caller was given to a person's telephone.
    Transferred,
    /// A callback is booked.
    CallbackBooked,
    /// A message was left.
    LeftMessage,
    /// The caller went back to the assistant.
    BackToAssistant,
    /// The caller hung up.
    CallerHungUp,
    /// The server stopped.
    Interrupted,
    /// Was called back and not reached; or not yet, when the server stopped.
    NotReached,
}

/// One wish for a person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HandoffRecord {
    /// Its id.
    pub id: HandoffId,
    /// The call.
    pub call_id: CallId,
    /// Why.
    pub reason: HandoffReason,
    /// Two lines for the agent.
    pub summary: Vec<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = "date-time")]
    pub requested_at: Timestamp,
    /// When agent and caller first heard each other.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub bridged_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ended_at: Option<Timestamp>,
    /// How.
    pub outcome: HandoffOutcome,
    /// Who took it.
    pub agent_id: Option<AgentId>,
    /// The queue the caller waited in last. None on records of before queues were noted.
    #[serde(default)]
    pub queue: Option<String>,
    /// The wish this one goes on with: the line broke, and the caller came back. Both are one caller in the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<HandoffId>,
}

/// A caller's conversation with one agent. A handoff has several when the caller was given on, or the agent was lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContactRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// The handoff.
    pub handoff_id: HandoffId,
    /// The call.
    pub call_id: CallId,
    /// Who.
    pub agent_id: AgentId,
    /// When they first heard each other.
    #[schema(value_type = String, format = "date-time")]
    pub began_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ended_at: Option<Timestamp>,
    /// What ended it.
    pub ended_by: Option<CallEnd>,
    /// Of it, on hold.
    pub hold_ms: u64,
    /// How often the caller was put on hold.
    pub holds: u32,
    /// The agent's work afterwards, once that is done.
    pub wrap_up_ms: Option<u64>,
}

/// What the numbers of a span of time are made of.
#[derive(Clone, Debug, Default)]
pub struct Period {
    /// Requested in it, and those in which these wishes went on, whenever that was.
    pub handoffs: Vec<HandoffRecord>,
    /// Of these handoffs, whenever they were.
    pub contacts: Vec<ContactRecord>,
    /// Made in it.
    pub offers: Vec<OfferRecord>,
    /// Time of all agents that overlaps it.
    pub ledger: Vec<LedgerRecord>,
    /// That overlap it.
    pub shifts: Vec<ShiftRecord>,
}

/// A [`Period`] in outline: what gauges are made of. It holds nothing that grows with what was said and done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// As [`Period::handoffs`].
    pub waits: Vec<WaitRecord>,
    /// The time of all agents within it, by state.
    pub time: Vec<(AgentState, Duration)>,
}

/// A handoff as far as its waiting goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitRecord {
    /// The handoff.
    pub id: HandoffId,
    /// The wish this one goes on with.
    pub continues: Option<HandoffId>,
    /// Why.
    pub reason: HandoffReason,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// As the handoff has it.
    pub bridged_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How.
    pub outcome: HandoffOutcome,
    /// When the first conversation began in which the agent was heard.
    pub talked_at: Option<Timestamp>,
    /// Whether there was any conversation, heard or not.
    pub has_talks: bool,
}

/// One offer to one agent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OfferRecord {
    /// Its id.
    pub id: OfferId,
    /// The handoff.
    pub handoff_id: HandoffId,
    /// The call.
    pub call_id: CallId,
    /// To whom.
    pub agent_id: AgentId,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub offered_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ended_at: Option<Timestamp>,
    /// How; none while pending.
    pub result: Option<OfferResult>,
    /// The agent's words on a rejection.
    pub reason: Option<String>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A recorded voice message.
    Voicemail,
    /// A wish to be called back.
    Callback,
}

/// A voice message or callback wish, a task for agents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessageRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// The call it came from.
    pub call_id: CallId,
    /// Which.
    pub kind: MessageKind,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// Number to call back.
    #[schema(value_type = Option<String>)]
    pub number: Option<Pii<String>>,
    /// File name under the recordings folder.
    pub recording: Option<String>,
    /// What it says, when recognition managed.
    pub text: Option<String>,
    /// Who took care of it.
    pub done_by: Option<AgentId>,
    /// When.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub done_at: Option<Timestamp>,
}

/// A wish to be called back, from the booking to its end. Its number stands in the message of the same id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallbackRecord {
    /// The message that stands for it.
    #[schema(value_type = String, format = "uuid")]
    pub message_id: uuid::Uuid,
    /// The call in which it was booked.
    pub call_id: CallId,
    /// The provider's row name, through which is called.
    pub provider: String,
    /// Two lines for the agent.
    pub summary: Vec<String>,
    /// When the caller began to wait: the place in line.
    #[schema(value_type = String, format = "date-time")]
    pub wanted_since: Timestamp,
    /// Tries so far.
    pub tries: u32,
    /// The next one not before this.
    #[schema(value_type = String, format = "date-time")]
    pub not_before: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ended_at: Option<Timestamp>,
    /// How.
    pub end: Option<CallbackEnd>,
}

/// What became of a tool's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// It runs; after a crash: nobody knows.
    Started,
    /// Carried out.
    Done,
    /// Not carried out.
    Failed,
    /// It may have been carried out.
    Unknown,
    /// Nobody waited for it any more; only for what changes nothing.
    Cancelled,
}

impl ToolOutcome {
    /// As a person is told.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Started => "still running",
            Self::Done => "done",
            Self::Failed => "not done",
            Self::Unknown => "may or may not have been done, please check",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One run of a tool in a call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToolRunRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// The call.
    pub call_id: CallId,
    /// The tool's name.
    pub tool: String,
    /// What it was given.
    pub arguments: serde_json::Value,
    /// It changes something.
    pub changes: bool,
    /// Milliseconds into the call.
    pub started_ms: u32,
    /// Milliseconds into the call.
    pub ended_ms: Option<u32>,
    /// What became of it.
    pub outcome: ToolOutcome,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Why it failed.
    pub detail: Option<String>,
}

/// An agent's closing note.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WrapUpRecord {
    /// The call.
    pub call_id: CallId,
    /// Who.
    pub agent_id: AgentId,
    /// What the next person should know.
    pub note: String,
    /// How it ended, in one of the configured words.
    pub disposition: String,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
}

/// A stretch of an agent's time in one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// Whose.
    pub agent_id: AgentId,
    /// In which state.
    pub state: AgentState,
    /// The name of a break.
    pub code: Option<String>,
    /// How it is paid.
    pub class: PaidClass,
    /// From.
    #[schema(value_type = String, format = "date-time")]
    pub began_at: Timestamp,
    /// To.
    #[schema(value_type = String, format = "date-time")]
    pub ended_at: Timestamp,
}

/// What an agent does just now: kept so that a crash costs nobody their paid time.
#[derive(Clone, Debug, PartialEq)]
pub struct StandRecord {
    /// Who.
    pub agent_id: AgentId,
    /// In which state.
    pub state: AgentState,
    /// The name of a break.
    pub code: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When that was last known.
    pub seen_at: Timestamp,
}

/// A block of time that was promised to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShiftRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// Whose.
    pub agent_id: AgentId,
    /// From.
    #[schema(value_type = String, format = "date-time")]
    pub began_at: Timestamp,
    /// To.
    #[schema(value_type = String, format = "date-time")]
    pub ended_at: Timestamp,
    /// By whom.
    pub scheduled_by: AgentId,
    /// When that was.
    #[schema(value_type = String, format = "date-time")]
    pub scheduled_at: Timestamp,
    /// When it was called off, or the agent sent home: the rest is paid as standby.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub released_at: Option<Timestamp>,
}

/// A block of time that any agent may take. Taken it is a shift of the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenShiftRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// From.
    #[schema(value_type = String, format = "date-time")]
    pub began_at: Timestamp,
    /// To.
    #[schema(value_type = String, format = "date-time")]
    pub ended_at: Timestamp,
    /// By whom.
    pub offered_by: AgentId,
    /// When that was, or when somebody gave it back.
    #[schema(value_type = String, format = "date-time")]
    pub offered_at: Timestamp,
}

impl LedgerRecord {
    /// How long it is, in milliseconds.
    pub fn length_ms(&self) -> u64 {
        u64::try_from(self.ended_at.as_millisecond() - self.began_at.as_millisecond()).unwrap_or(0)
    }
}

/// Something a supervisor did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// Who.
    pub user_id: AgentId,
    /// In live calls `listen`, `whisper`, `barge`, `stop`, `take_over`, `force_end`, `prioritise` or `move`; with records
    /// `reveal`, `download_redacted`, `make_scenario` or `save_scenario`; beside calls `save_knowledge`, `make_key`,
    /// `revoke_key`, `save_hours`, `reset_hours`, `save_queue`, `reset_queue`,
    /// `set_telephone`, `take_shift`, `give_back_shift`.
    pub action: String,
    /// In which call.
    pub call_id: Option<CallId>,
    /// The priority set, the queue moved to, what was revealed and why.
    pub detail: Option<String>,
}

/// What somebody said about a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommentRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// About which call.
    pub call_id: CallId,
    /// Who.
    pub author_id: AgentId,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// The moment of the call it is about, in milliseconds; none: all of it.
    pub at_ms: Option<u32>,
    /// The words.
    pub text: String,
}

/// What is judged about a conversation, by whomever it was led. Points are 1 (poor) to 5 (good); none: it does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rubric {
    /// The caller got what they called for.
    #[schema(minimum = 1, maximum = 5)]
    pub resolved: Option<u8>,
    /// What was said is right.
    #[schema(minimum = 1, maximum = 5)]
    pub correct: Option<u8>,
    /// It was easy for the caller.
    #[schema(minimum = 1, maximum = 5)]
    pub effort: Option<u8>,
    /// It was friendly and fitted the caller's mood.
    #[schema(minimum = 1, maximum = 5)]
    pub tone: Option<u8>,
}

impl Rubric {
    /// All points, in the order of the fields.
    pub const fn points(&self) -> [Option<u8>; 4] {
        [self.resolved, self.correct, self.effort, self.tone]
    }
}

/// One reviewer's points for one part of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScoreRecord {
    /// Of which call.
    pub call_id: CallId,
    /// Of this agent's part; none: of the assistant's.
    pub agent_id: Option<AgentId>,
    /// Who scored it.
    pub by: AgentId,
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// The points.
    #[serde(flatten)]
    pub points: Rubric,
}

/// Mean points over some scores; none where there are no points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeanRubric {
    /// How many scores there are.
    pub scores: u32,
    /// See [`Rubric::resolved`].
    pub resolved: Option<f64>,
    /// See [`Rubric::correct`].
    pub correct: Option<f64>,
    /// See [`Rubric::effort`].
    pub effort: Option<f64>,
    /// See [`Rubric::tone`].
    pub tone: Option<f64>,
}

/// The same rubric for the assistant and for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MeanScores {
    /// The assistant's parts of calls.
    pub assistant: MeanRubric,
    /// Agents' parts of calls.
    pub people: MeanRubric,
}

/// All there is about one call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallDetail {
    /// The call.
    pub call: CallRecord,
    /// By `seq`.
    pub turns: Vec<TurnRecord>,
    /// By time.
    pub triggers: Vec<TriggerRecord>,
    /// By time.
    pub handoffs: Vec<HandoffRecord>,
    /// By time.
    pub offers: Vec<OfferRecord>,
    /// Messages left in this call.
    pub messages: Vec<MessageRecord>,
    /// By time.
    pub tools: Vec<ToolRunRecord>,
    /// Notes.
    pub wrap_ups: Vec<WrapUpRecord>,
    /// What was said about it, by time.
    pub comments: Vec<CommentRecord>,
    /// How it was scored, by time.
    pub scores: Vec<ScoreRecord>,
    /// Who was in it, by time.
    pub parties: Vec<PartyRecord>,
    /// The caller's conversations with agents and what ended them, by time.
    pub contacts: Vec<ContactRecord>,
}

/// What somebody did in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Had the caller.
    Agent,
    /// Was consulted by who had the caller.
    Consulted,
}

/// Somebody's part in a call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartyRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// The call.
    pub call_id: CallId,
    /// Who.
    pub agent_id: AgentId,
    /// As what.
    pub part: Part,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    pub joined_at: Timestamp,
    /// Consulted: when caller, agent and colleague first heard each other, if they did.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub together_at: Option<Timestamp>,
    /// Until when.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub left_at: Option<Timestamp>,
}

/// What an account may do. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Takes calls, sees their own.
    Agent,
    /// Sees all calls and recordings.
    Supervisor,
    /// Manages accounts.
    Admin,
}

impl std::str::FromStr for UserRole {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Agent, Self::Supervisor, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| format!("`{word}` is no role; there are agent, supervisor, admin"))
    }
}

impl UserRole {
    /// The word used in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }
}

/// An account.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Its id.
    pub id: AgentId,
    /// Sign-in name, unique, lower case.
    pub name: String,
    /// argon2id, PHC string.
    pub password_hash: Secret<String>,
    /// What it may do.
    pub role: UserRole,
    /// The password was made up by the server and must be changed at first sign-in.
    pub must_change_password: bool,
}

/// What a token was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// A cookie from a sign-in. Ends when the password changes.
    Browser,
    /// A token for programs, from `warmline user token`.
    ApiToken,
}

/// A signed-in browser or a program with a token.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Whose.
    pub user_id: AgentId,
    /// Which kind.
    pub kind: SessionKind,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A key for programs. Of the key itself only a hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRecord {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: uuid::Uuid,
    /// What it is for.
    pub name: String,
    /// What it may do, as far as whoever made it may do that.
    pub role: UserRole,
    /// Its last characters, to tell keys apart.
    pub ending: String,
    /// By whom. It goes with that account.
    pub made_by: AgentId,
    /// When that was.
    #[schema(value_type = String, format = "date-time")]
    pub made_at: Timestamp,
    /// Until when it is good.
    #[schema(value_type = String, format = "date-time")]
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_used_at: Option<Timestamp>,
    /// When it was ended.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub revoked_at: Option<Timestamp>,
}

/// What holds of a queue instead of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecord {
    /// The queue's name.
    pub name: String,
    /// Priority of its callers.
    pub priority: i32,
    /// What its callers are told while they wait; empty: nothing.
    pub message: String,
    /// By whom.
    pub set_by: AgentId,
    /// When that was.
    pub set_at: Timestamp,
}

/// Opening hours that hold instead of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursRecord {
    /// The calendar's name.
    pub name: String,
    /// Name of its time zone.
    pub zone: String,
    /// Lines such as `mon-fri 08:00-18:00`.
    pub weekly: Vec<String>,
    /// Lines such as `2026-12-24 09:00-12:00`.
    pub days: Vec<String>,
    /// Queues that keep them besides those of the configuration.
    pub queues: Vec<String>,
    /// By whom.
    pub set_by: AgentId,
    /// When that was.
    pub set_at: Timestamp,
}
