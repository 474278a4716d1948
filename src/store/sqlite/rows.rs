//! Records to and from rows. A word or a JSON text this version does not know is [`StoreError::Corrupt`], not a panic.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::call::CallId;
use crate::handoff::wire::AgentState;
use crate::handoff::{AgentId, HandoffId, OfferId};
use crate::store::{
    AgentDay, AuditRecord, CallRecord, CallbackRecord, CommentRecord, ContactRecord, HandoffRecord, HoursRecord,
    KeyRecord, LedgerRecord, MeanRubric, MessageRecord, OfferRecord, OpenShiftRecord, PartyRecord, QueueRecord, Rubric,
    ScoreRecord, ShiftRecord, StandRecord, StoreError, ToolRunRecord, TriggerRecord, TurnRecord, UserRecord,
    WaitRecord, WrapUpRecord,
};
use crate::telemetry::{Pii, Secret};

/// Counts of an agent's offers.
pub(super) fn agent_day(row: &SqliteRow) -> Result<AgentDay, StoreError> {
    let talked: i64 = get(row, "talked")?;
    Ok(AgentDay {
        offered: get(row, "offered")?,
        accepted: get(row, "accepted")?,
        declined: get(row, "declined")?,
        missed: get(row, "missed")?,
        talk_ms: u64::try_from(talked / 1_000).map_err(|error| corrupt("talked", error))?,
    })
}

/// The snake_case word of a plain enum.
pub(super) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a plain enum is written as its name, not as {other:?}"),
    }
}

/// JSON text of a plain value.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records are plain data")
}

/// Microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn corrupt(what: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Corrupt { what, reason: reason.to_string() }
}

/// One column by name. A wrong type or a number out of range is a corrupt record.
fn get<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
    row: &'r SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| corrupt(column, error))
}

fn get_word<T: for<'de> Deserialize<'de>>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    parse_word(column, get::<&str>(row, column)?)
}

fn parse_word<T: for<'de> Deserialize<'de>>(column: &'static str, word: &str) -> Result<T, StoreError> {
    let words: StrDeserializer<'_, WordError> = word.into_deserializer();
    T::deserialize(words).map_err(|error| corrupt(column, error))
}

fn get_json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(get(row, column)?).map_err(|error| corrupt(column, error))
}

fn get_time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(get(row, column)?).map_err(|error| corrupt(column, error))
}

fn get_time_if_any(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?
        .map(|at| Timestamp::from_microsecond(at).map_err(|error| corrupt(column, error)))
        .transpose()
}

fn get_id(row: &SqliteRow, column: &'static str) -> Result<Uuid, StoreError> {
    get::<&str>(row, column)?.parse().map_err(|error| corrupt(column, error))
}

fn get_pii(row: &SqliteRow, column: &'static str) -> Result<Option<Pii<String>>, StoreError> {
    Ok(get::<Option<String>>(row, column)?.map(Pii::new))
}

fn get_agent(row: &SqliteRow, column: &'static str) -> Result<Option<AgentId>, StoreError> {
    Ok(get::<Option<String>>(row, column)?.map(AgentId))
}

pub(super) fn call(row: &SqliteRow) -> Result<CallRecord, StoreError> {
    Ok(CallRecord {
        id: CallId(get_id(row, "id")?),
        provider: get(row, "provider")?,
        provider_call_id: get(row, "provider_call_id")?,
        from: get_pii(row, "caller_number")?,
        to: get_pii(row, "called_number")?,
        started_at: get_time(row, "started_at")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        outcome: get_word(row, "outcome")?,
        recording: get(row, "recording")?,
        notice_at_ms: get(row, "notice_at_ms")?,
    })
}

pub(super) fn turn(row: &SqliteRow) -> Result<TurnRecord, StoreError> {
    Ok(TurnRecord {
        call_id: CallId(get_id(row, "call_id")?),
        seq: get(row, "seq")?,
        who: get_word(row, "who")?,
        text: get(row, "text")?,
        planned: get(row, "planned")?,
        confidence: get(row, "confidence")?,
        started_ms: get(row, "started_ms")?,
        ended_ms: get(row, "ended_ms")?,
        timings: get::<Option<&str>>(row, "timings")?
            .map(|text| serde_json::from_str(text).map_err(|error| corrupt("timings", error)))
            .transpose()?,
        entries: get_json(row, "entries")?,
        agent_id: get_agent(row, "agent_id")?,
        decision: get::<Option<&str>>(row, "decision")?
            .map(|text| serde_json::from_str(text).map_err(|error| corrupt("decision", error)))
            .transpose()?,
        word_times: get::<Option<&str>>(row, "word_times")?
            .map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|error| corrupt("word_times", error)))?,
    })
}

pub(super) fn trigger(row: &SqliteRow) -> Result<TriggerRecord, StoreError> {
    Ok(TriggerRecord {
        call_id: CallId(get_id(row, "call_id")?),
        handoff_id: HandoffId(get_id(row, "handoff_id")?),
        at_ms: get(row, "at_ms")?,
        reason: get_word(row, "reason")?,
        signals: get_json(row, "signals")?,
    })
}

pub(super) fn handoff(row: &SqliteRow) -> Result<HandoffRecord, StoreError> {
    Ok(HandoffRecord {
        id: HandoffId(get_id(row, "id")?),
        call_id: CallId(get_id(row, "call_id")?),
        reason: get_word(row, "reason")?,
        summary: get_json(row, "summary")?,
        requested_at: get_time(row, "requested_at")?,
        bridged_at: get_time_if_any(row, "bridged_at")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        outcome: get_word(row, "outcome")?,
        agent_id: get_agent(row, "agent_id")?,
        queue: get(row, "queue")?,
        continues: continued(row)?,
    })
}

pub(super) fn wait(row: &SqliteRow) -> Result<WaitRecord, StoreError> {
    Ok(WaitRecord {
        id: HandoffId(get_id(row, "id")?),
        continues: continued(row)?,
        reason: get_word(row, "reason")?,
        requested_at: get_time(row, "requested_at")?,
        bridged_at: get_time_if_any(row, "bridged_at")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        outcome: get_word(row, "outcome")?,
        talked_at: get_time_if_any(row, "talked_at")?,
        has_talks: get(row, "has_talks")?,
    })
}

pub(super) fn state_time(row: &SqliteRow) -> Result<(AgentState, Duration), StoreError> {
    let spent = u64::try_from(get::<i64>(row, "spent")?).map_err(|error| corrupt("spent", error))?;
    Ok((get_word(row, "state")?, Duration::from_micros(spent)))
}

fn continued(row: &SqliteRow) -> Result<Option<HandoffId>, StoreError> {
    let id = get::<Option<&str>>(row, "continues")?;
    id.map(|id| id.parse().map(HandoffId).map_err(|error: uuid::Error| corrupt("continues", error))).transpose()
}

pub(super) fn contact(row: &SqliteRow) -> Result<ContactRecord, StoreError> {
    let whole = |column| u64::try_from(get::<i64>(row, column)?).map_err(|error| corrupt(column, error));
    Ok(ContactRecord {
        id: get_id(row, "id")?,
        handoff_id: HandoffId(get_id(row, "handoff_id")?),
        call_id: CallId(get_id(row, "call_id")?),
        agent_id: AgentId(get(row, "agent_id")?),
        began_at: get_time(row, "began_at")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        ended_by: get::<Option<&str>>(row, "ended_by")?.map(|word| parse_word("ended_by", word)).transpose()?,
        hold_ms: whole("hold_ms")?,
        holds: get(row, "holds")?,
        wrap_up_ms: get::<Option<i64>>(row, "wrap_up_ms")?
            .map(|ms| u64::try_from(ms).map_err(|error| corrupt("wrap_up_ms", error)))
            .transpose()?,
    })
}

pub(super) fn offer(row: &SqliteRow) -> Result<OfferRecord, StoreError> {
    Ok(OfferRecord {
        id: OfferId(get_id(row, "id")?),
        handoff_id: HandoffId(get_id(row, "handoff_id")?),
        call_id: CallId(get_id(row, "call_id")?),
        agent_id: AgentId(get(row, "agent_id")?),
        offered_at: get_time(row, "offered_at")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        result: get::<Option<&str>>(row, "result")?.map(|word| parse_word("result", word)).transpose()?,
        reason: get(row, "reason")?,
    })
}

pub(super) fn message(row: &SqliteRow) -> Result<MessageRecord, StoreError> {
    Ok(MessageRecord {
        id: get_id(row, "id")?,
        call_id: CallId(get_id(row, "call_id")?),
        kind: get_word(row, "kind")?,
        created_at: get_time(row, "created_at")?,
        number: get_pii(row, "number")?,
        recording: get(row, "recording")?,
        text: get(row, "text")?,
        done_by: get_agent(row, "done_by")?,
        done_at: get_time_if_any(row, "done_at")?,
    })
}

/// With the number of its message.
pub(super) fn callback(row: &SqliteRow) -> Result<(CallbackRecord, Pii<String>), StoreError> {
    let end: Option<&str> = get(row, "ended_how")?;
    let record = CallbackRecord {
        message_id: get_id(row, "message_id")?,
        call_id: CallId(get_id(row, "call_id")?),
        provider: get(row, "provider")?,
        summary: get_json(row, "summary")?,
        wanted_since: get_time(row, "wanted_since")?,
        tries: get(row, "tries")?,
        not_before: get_time(row, "not_before")?,
        ended_at: get_time_if_any(row, "ended_at")?,
        end: end.map(|word| parse_word("ended_how", word)).transpose()?,
    };
    Ok((record, get_pii(row, "number")?.unwrap_or_default()))
}

pub(super) fn tool_run(row: &SqliteRow) -> Result<ToolRunRecord, StoreError> {
    Ok(ToolRunRecord {
        id: get_id(row, "id")?,
        call_id: CallId(get_id(row, "call_id")?),
        tool: get(row, "tool")?,
        arguments: get_json(row, "arguments")?,
        changes: get(row, "changes")?,
        started_ms: get(row, "started_ms")?,
        ended_ms: get(row, "ended_ms")?,
        outcome: get_word(row, "outcome")?,
        status: get(row, "status")?,
        detail: get(row, "detail")?,
    })
}

pub(super) fn party(row: &SqliteRow) -> Result<PartyRecord, StoreError> {
    Ok(PartyRecord {
        id: get_id(row, "id")?,
        call_id: CallId(get_id(row, "call_id")?),
        agent_id: AgentId(get(row, "agent_id")?),
        part: get_word(row, "part")?,
        joined_at: get_time(row, "joined_at")?,
        together_at: get_time_if_any(row, "together_at")?,
        left_at: get_time_if_any(row, "left_at")?,
    })
}

pub(super) fn ledger(row: &SqliteRow) -> Result<LedgerRecord, StoreError> {
    Ok(LedgerRecord {
        id: get_id(row, "id")?,
        agent_id: AgentId(get(row, "agent_id")?),
        state: get_word(row, "state")?,
        code: get(row, "code")?,
        class: get_word(row, "class")?,
        began_at: get_time(row, "began_at")?,
        ended_at: get_time(row, "ended_at")?,
    })
}

pub(super) fn stand(row: &SqliteRow) -> Result<StandRecord, StoreError> {
    Ok(StandRecord {
        agent_id: AgentId(get(row, "agent_id")?),
        state: get_word(row, "state")?,
        code: get(row, "code")?,
        since: get_time(row, "since")?,
        seen_at: get_time(row, "seen_at")?,
    })
}

pub(super) fn shift(row: &SqliteRow) -> Result<ShiftRecord, StoreError> {
    Ok(ShiftRecord {
        id: get_id(row, "id")?,
        agent_id: AgentId(get(row, "agent_id")?),
        began_at: get_time(row, "began_at")?,
        ended_at: get_time(row, "ended_at")?,
        scheduled_by: AgentId(get(row, "scheduled_by")?),
        scheduled_at: get_time(row, "scheduled_at")?,
        released_at: get_time_if_any(row, "released_at")?,
    })
}

pub(super) fn open_shift(row: &SqliteRow) -> Result<OpenShiftRecord, StoreError> {
    Ok(OpenShiftRecord {
        id: get_id(row, "id")?,
        began_at: get_time(row, "began_at")?,
        ended_at: get_time(row, "ended_at")?,
        offered_by: AgentId(get(row, "offered_by")?),
        offered_at: get_time(row, "offered_at")?,
    })
}

pub(super) fn audit(row: &SqliteRow) -> Result<AuditRecord, StoreError> {
    let call: Option<&str> = get(row, "call_id")?;
    let call = call.map(|id| id.parse().map_err(|error| corrupt("call_id", error))).transpose()?;
    Ok(AuditRecord {
        id: get_id(row, "id")?,
        at: get_time(row, "at")?,
        user_id: AgentId(get(row, "user_id")?),
        action: get(row, "action")?,
        call_id: call.map(CallId),
        detail: get(row, "detail")?,
    })
}

pub(super) fn comment(row: &SqliteRow) -> Result<CommentRecord, StoreError> {
    Ok(CommentRecord {
        id: get_id(row, "id")?,
        call_id: CallId(get_id(row, "call_id")?),
        author_id: AgentId(get(row, "author_id")?),
        at: get_time(row, "at")?,
        at_ms: get(row, "at_ms")?,
        text: get(row, "text")?,
    })
}

pub(super) fn score(row: &SqliteRow) -> Result<ScoreRecord, StoreError> {
    Ok(ScoreRecord {
        call_id: CallId(get_id(row, "call_id")?),
        agent_id: get_agent(row, "agent_id")?.filter(|agent| !agent.0.is_empty()),
        by: AgentId(get(row, "by_id")?),
        at: get_time(row, "at")?,
        points: Rubric {
            resolved: get(row, "resolved")?,
            correct: get(row, "correct")?,
            effort: get(row, "effort")?,
            tone: get(row, "tone")?,
        },
    })
}

/// Whether they are the assistant's, and the means.
pub(super) fn mean_scores(row: &SqliteRow) -> Result<(bool, MeanRubric), StoreError> {
    let means = MeanRubric {
        scores: get(row, "scores")?,
        resolved: get(row, "resolved")?,
        correct: get(row, "correct")?,
        effort: get(row, "effort")?,
        tone: get(row, "tone")?,
    };
    Ok((get(row, "assistant")?, means))
}

pub(super) fn wrap_up(row: &SqliteRow) -> Result<WrapUpRecord, StoreError> {
    Ok(WrapUpRecord {
        call_id: CallId(get_id(row, "call_id")?),
        agent_id: AgentId(get(row, "agent_id")?),
        note: get(row, "note")?,
        disposition: get(row, "disposition")?,
        at: get_time(row, "at")?,
    })
}

pub(super) fn key(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: get_id(row, "id")?,
        name: get(row, "name")?,
        role: get_word(row, "role")?,
        ending: get(row, "ending")?,
        made_by: AgentId(get(row, "made_by")?),
        made_at: get_time(row, "made_at")?,
        expires_at: get_time(row, "expires_at")?,
        last_used_at: get_time_if_any(row, "last_used_at")?,
        revoked_at: get_time_if_any(row, "revoked_at")?,
    })
}

pub(super) fn queue(row: &SqliteRow) -> Result<QueueRecord, StoreError> {
    Ok(QueueRecord {
        name: get(row, "name")?,
        priority: get(row, "priority")?,
        message: get(row, "message")?,
        set_by: AgentId(get(row, "set_by")?),
        set_at: get_time(row, "set_at")?,
    })
}

pub(super) fn hours(row: &SqliteRow) -> Result<HoursRecord, StoreError> {
    Ok(HoursRecord {
        name: get(row, "name")?,
        zone: get(row, "zone")?,
        weekly: get_json(row, "weekly")?,
        days: get_json(row, "days")?,
        queues: get_json(row, "queues")?,
        set_by: AgentId(get(row, "set_by")?),
        set_at: get_time(row, "set_at")?,
    })
}

/// With what it may do now: never more than whoever made it.
pub(super) fn key_of_maker(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    let key = key(row)?;
    Ok(KeyRecord { role: key.role.min(get_word(row, "maker_role")?), ..key })
}

pub(super) fn user(row: &SqliteRow) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        id: AgentId(get(row, "id")?),
        name: get(row, "name")?,
        password_hash: Secret::new(get(row, "password_hash")?),
        role: get_word(row, "role")?,
        must_change_password: get(row, "must_change_password")?,
    })
}
