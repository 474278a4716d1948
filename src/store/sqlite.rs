//! The store in one SQLite file: WAL, foreign keys, migrations built in. In memory it is the fake for tests.
//!
//! Writers of the same file wait for each other (`warmline user add` beside a running server). A wait that SQLite gives
//! up is repeated here, so that a busy moment costs no record.

mod claims;
mod hours;
mod keys;
mod queues;
mod rows;
mod shifts;
mod telephones;
#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use uuid::Uuid;

use super::{
    AgentDay, AuditRecord, CallDetail, CallFilter, CallOutcome, CallQuery, CallRecord, CallbackRecord, CommentRecord,
    ContactRecord, HandoffOutcome, HandoffRecord, HoursRecord, KeyRecord, LedgerRecord, MAX_LEDGER, MAX_LIMIT,
    MAX_PERIOD, MeanScores, MessageRecord, OfferRecord, OpenShiftRecord, Outline, PartyRecord, Period, QueueRecord,
    ScoreRecord, SessionKind, SessionRecord, ShiftRecord, StandRecord, Store, StoreError, ToolOutcome, ToolRunRecord,
    TriggerRecord, TurnRecord, UserRecord, WrapUpRecord,
};
use crate::call::CallId;
use crate::handoff::AgentId;
use crate::handoff::wire::{CallEnd, OfferResult};
use crate::telemetry::Pii;
use rows::{json, micros, word};

/// Readers beside the one writer SQLite allows.
const CONNECTIONS: u32 = 4;
/// How long SQLite itself waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long another server may take to make the tables.
const MIGRATED_ELSEWHERE: Duration = Duration::from_secs(1);
/// Times a write is tried when the database stays busy.
const ATTEMPTS: u32 = 4;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// A [`Store`] in SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens `url` (`sqlite:FILE`, relative to `data_dir`; `sqlite::memory:` keeps nothing), creates the file and its
    /// folder if they are not there and brings the tables up to date.
    pub async fn open(url: &str, data_dir: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Open { url: url.to_owned(), reason };
        let file = url.strip_prefix("sqlite:").ok_or_else(|| failed("must be sqlite:FILE".to_owned()))?;
        if file == ":memory:" {
            return Self::in_memory().await;
        }
        let file = data_dir.join(file);
        if let Some(folder) = file.parent() {
            create_private(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
        }
        let pool =
            open_file(&file, BUSY_TIMEOUT).await.map_err(|error| failed(format!("{}: {error}", file.display())))?;
        let store = Self { pool };
        if store.migrate().await.is_err() {
            // Another server that starts just now makes the same tables; SQLite has no lock for that.
            tokio::time::sleep(MIGRATED_ELSEWHERE).await;
            store.migrate().await.map_err(|error| failed(format!("{}: {error}", file.display())))?;
        }
        Ok(store)
    }

    /// A database that lives as long as this store.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Open { url: "sqlite::memory:".to_owned(), reason };
        // Each connection to :memory: is a database of its own, so there is exactly one, for ever.
        let pool = SqlitePoolOptions::new().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        let pool = pool.connect_with(options).await.map_err(|error| failed(error.to_string()))?;
        let store = Self { pool };
        store.migrate().await.map_err(|error| failed(error.to_string()))?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), MigrateError> {
        let mut migrations = Migrator::with_migrations(MIGRATIONS.migrations.to_vec());
        // The previous release may still be running, or be started again: migrations only add.
        migrations.set_ignore_missing(true);
        migrations.run(&self.pool).await
    }

    /// Runs a write; again if another writer held the database longer than SQLite waits.
    async fn write<T, F>(&self, write: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        let mut attempt = 1;
        loop {
            match write().await {
                Err(error) if attempt < ATTEMPTS && is_busy(&error) => {
                    tracing::warn!(attempt, "The database is busy, trying again");
                    tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                    attempt += 1;
                }
                result => return result.map_err(StoreError::Query),
            }
        }
    }
}

async fn open_file(file: &Path, busy_timeout: Duration) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL this survives a crash of the process whole; a power cut may cost the last moments.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(busy_timeout);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    pool.connect_with(options).await
}

/// Makes a folder for personal data: nobody but us may look into it. One that is there already stays as it is.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// SQLITE_BUSY (5) or SQLITE_LOCKED (6) in the low byte of the extended code.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xff), Some(5 | 6))
}

fn all<T>(
    rows: Result<Vec<SqliteRow>, sqlx::Error>,
    read: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.map_err(StoreError::Query)?.iter().map(read).collect()
}

/// The same of many rows, read as they come: one of the library's takes several times the room of what is made of it.
async fn each<T>(
    mut rows: impl Stream<Item = Result<SqliteRow, sqlx::Error>> + Unpin,
    read: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(StoreError::Query)? {
        all.push(read(&row)?);
    }
    Ok(all)
}

fn one<T>(
    row: Result<Option<SqliteRow>, sqlx::Error>,
    read: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    row.map_err(StoreError::Query)?.as_ref().map(read).transpose()
}

fn agent(id: &Option<AgentId>) -> Option<&str> {
    id.as_ref().map(|id| id.0.as_str())
}

fn number(number: &Option<Pii<String>>) -> Option<&str> {
    number.as_ref().map(|number| number.reveal().as_str())
}

#[async_trait]
impl Store for SqliteStore {
    // REPLACE would delete the old row and with it, by cascade, all turns of the call; hence ON CONFLICT throughout.
    async fn put_call(&self, call: &CallRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO calls (id, provider, provider_call_id, caller_number, called_number, started_at, \
             ended_at, outcome, recording, notice_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, \
             provider_call_id = excluded.provider_call_id, caller_number = excluded.caller_number, \
             called_number = excluded.called_number, started_at = excluded.started_at, ended_at = excluded.ended_at, \
             outcome = excluded.outcome, recording = excluded.recording, notice_at_ms = excluded.notice_at_ms";
        let query = || {
            sqlx::query(SQL)
                .bind(call.id.to_string())
                .bind(&call.provider)
                .bind(&call.provider_call_id)
                .bind(number(&call.from))
                .bind(number(&call.to))
                .bind(micros(call.started_at))
                .bind(call.ended_at.map(micros))
                .bind(word(call.outcome))
                .bind(&call.recording)
                .bind(call.notice_at_ms)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_turn(&self, turn: &TurnRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO turns (call_id, seq, who, text, planned, confidence, started_ms, ended_ms, \
             timings, entries, agent_id, decision, word_times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (call_id, seq) DO UPDATE SET who = excluded.who, text = excluded.text, \
             planned = excluded.planned, confidence = excluded.confidence, started_ms = excluded.started_ms, \
             ended_ms = excluded.ended_ms, timings = excluded.timings, entries = excluded.entries, \
             agent_id = excluded.agent_id, decision = excluded.decision, word_times = excluded.word_times";
        let query = || {
            sqlx::query(SQL)
                .bind(turn.call_id.to_string())
                .bind(turn.seq)
                .bind(word(turn.who))
                .bind(&turn.text)
                .bind(&turn.planned)
                .bind(turn.confidence)
                .bind(turn.started_ms)
                .bind(turn.ended_ms)
                .bind(turn.timings.as_ref().map(json))
                .bind(json(&turn.entries))
                .bind(agent(&turn.agent_id))
                .bind(turn.decision.as_ref().map(json))
                .bind(Some(&turn.word_times).filter(|times| !times.is_empty()).map(json))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_trigger(&self, trigger: &TriggerRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO triggers (call_id, handoff_id, at_ms, reason, signals) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(trigger.call_id.to_string())
                .bind(trigger.handoff_id.0.to_string())
                .bind(trigger.at_ms)
                .bind(word(trigger.reason))
                .bind(json(&trigger.signals))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_handoff(&self, handoff: &HandoffRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO handoffs (id, call_id, reason, summary, requested_at, bridged_at, ended_at, \
             outcome, agent_id, queue, continues) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET call_id = excluded.call_id, reason = excluded.reason, summary = excluded.summary, \
             requested_at = excluded.requested_at, bridged_at = excluded.bridged_at, ended_at = excluded.ended_at, \
             outcome = excluded.outcome, agent_id = excluded.agent_id, queue = excluded.queue, \
             continues = excluded.continues";
        let query = || {
            sqlx::query(SQL)
                .bind(handoff.id.0.to_string())
                .bind(handoff.call_id.to_string())
                .bind(word(handoff.reason))
                .bind(json(&handoff.summary))
                .bind(micros(handoff.requested_at))
                .bind(handoff.bridged_at.map(micros))
                .bind(handoff.ended_at.map(micros))
                .bind(word(handoff.outcome))
                .bind(agent(&handoff.agent_id))
                .bind(&handoff.queue)
                .bind(handoff.continues.map(|id| id.0.to_string()))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_offer(&self, offer: &OfferRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO offers (id, handoff_id, call_id, agent_id, offered_at, ended_at, result, \
             reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET offered_at = excluded.offered_at, ended_at = excluded.ended_at, \
             result = excluded.result, reason = excluded.reason";
        let query = || {
            sqlx::query(SQL)
                .bind(offer.id.0.to_string())
                .bind(offer.handoff_id.0.to_string())
                .bind(offer.call_id.to_string())
                .bind(&offer.agent_id.0)
                .bind(micros(offer.offered_at))
                .bind(offer.ended_at.map(micros))
                .bind(offer.result.map(OfferResult::as_str))
                .bind(&offer.reason)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_message(&self, message: &MessageRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO messages (id, call_id, kind, created_at, number, recording, text, done_by, \
             done_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, created_at = excluded.created_at, \
             number = excluded.number, recording = excluded.recording, text = excluded.text, \
             done_by = excluded.done_by, done_at = excluded.done_at";
        let query = || {
            sqlx::query(SQL)
                .bind(message.id.to_string())
                .bind(message.call_id.to_string())
                .bind(word(message.kind))
                .bind(micros(message.created_at))
                .bind(number(&message.number))
                .bind(&message.recording)
                .bind(&message.text)
                .bind(agent(&message.done_by))
                .bind(message.done_at.map(micros))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_callback(&self, callback: &CallbackRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO callbacks (message_id, call_id, provider, summary, wanted_since, tries, \
             not_before, ended_at, ended_how) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (message_id) DO UPDATE SET tries = excluded.tries, not_before = excluded.not_before, \
             ended_at = excluded.ended_at, ended_how = excluded.ended_how";
        let query = || {
            sqlx::query(SQL)
                .bind(callback.message_id.to_string())
                .bind(callback.call_id.to_string())
                .bind(&callback.provider)
                .bind(json(&callback.summary))
                .bind(micros(callback.wanted_since))
                .bind(callback.tries)
                .bind(micros(callback.not_before))
                .bind(callback.ended_at.map(micros))
                .bind(callback.end.map(word))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn open_callbacks(&self) -> Result<Vec<(CallbackRecord, Pii<String>)>, StoreError> {
        const SQL: &str = "SELECT callbacks.*, messages.number FROM callbacks \
             JOIN messages ON messages.id = callbacks.message_id \
             WHERE callbacks.ended_at IS NULL AND messages.done_at IS NULL AND messages.number IS NOT NULL \
             ORDER BY callbacks.wanted_since, callbacks.message_id LIMIT ?";
        all(sqlx::query(SQL).bind(MAX_LEDGER).fetch_all(&self.pool).await, rows::callback)
    }

    async fn finish_message(&self, id: Uuid, by: &AgentId, at: Timestamp) -> Result<bool, StoreError> {
        let query = || {
            sqlx::query("UPDATE messages SET done_by = ?, done_at = ? WHERE id = ? AND done_at IS NULL")
                .bind(&by.0)
                .bind(micros(at))
                .bind(id.to_string())
                .execute(&self.pool)
        };
        Ok(self.write(query).await?.rows_affected() > 0)
    }

    async fn put_tool_run(&self, run: &ToolRunRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO tool_runs (id, call_id, tool, arguments, changes, started_ms, ended_ms, outcome, \
             status, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET ended_ms = excluded.ended_ms, outcome = excluded.outcome, \
             status = excluded.status, detail = excluded.detail";
        let query = || {
            sqlx::query(SQL)
                .bind(run.id.to_string())
                .bind(run.call_id.to_string())
                .bind(&run.tool)
                .bind(run.arguments.to_string())
                .bind(run.changes)
                .bind(run.started_ms)
                .bind(run.ended_ms)
                .bind(word(run.outcome))
                .bind(run.status)
                .bind(&run.detail)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_wrap_up(&self, wrap_up: &WrapUpRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO wrap_ups (call_id, agent_id, note, disposition, at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (call_id, agent_id) DO UPDATE SET note = excluded.note, \
             disposition = excluded.disposition, at = excluded.at";
        let query = || {
            sqlx::query(SQL)
                .bind(wrap_up.call_id.to_string())
                .bind(&wrap_up.agent_id.0)
                .bind(&wrap_up.note)
                .bind(&wrap_up.disposition)
                .bind(micros(wrap_up.at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_comment(&self, comment: &CommentRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO comments (id, call_id, author_id, at, at_ms, text) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(comment.id.to_string())
                .bind(comment.call_id.to_string())
                .bind(&comment.author_id.0)
                .bind(micros(comment.at))
                .bind(comment.at_ms)
                .bind(&comment.text)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_score(&self, score: &ScoreRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO scores (call_id, agent_id, by_id, at, resolved, correct, effort, tone) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (call_id, agent_id, by_id) DO UPDATE SET at = excluded.at, \
             resolved = excluded.resolved, correct = excluded.correct, effort = excluded.effort, tone = excluded.tone";
        let query = || {
            // A NULL would be another key each time.
            let mut query = sqlx::query(SQL)
                .bind(score.call_id.to_string())
                .bind(agent(&score.agent_id).unwrap_or_default())
                .bind(&score.by.0)
                .bind(micros(score.at));
            for points in score.points.points() {
                query = query.bind(points);
            }
            query.execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn mean_scores(&self, since: Timestamp, until: Timestamp) -> Result<MeanScores, StoreError> {
        const SQL: &str = "SELECT agent_id = '' AS assistant, COUNT(*) AS scores, AVG(resolved) AS resolved, \
             AVG(correct) AS correct, AVG(effort) AS effort, AVG(tone) AS tone FROM scores \
             WHERE at >= ? AND at < ? GROUP BY 1";
        let rows = sqlx::query(SQL).bind(micros(since)).bind(micros(until)).fetch_all(&self.pool).await;
        let mut means = MeanScores::default();
        for (is_assistant, mean) in all(rows, rows::mean_scores)? {
            *(if is_assistant { &mut means.assistant } else { &mut means.people }) = mean;
        }
        Ok(means)
    }

    async fn put_party(&self, party: &PartyRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO parties (id, call_id, agent_id, part, joined_at, together_at, left_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET together_at = excluded.together_at, \
             left_at = excluded.left_at";
        let query = || {
            sqlx::query(SQL)
                .bind(party.id.to_string())
                .bind(party.call_id.to_string())
                .bind(&party.agent_id.0)
                .bind(word(party.part))
                .bind(micros(party.joined_at))
                .bind(party.together_at.map(micros))
                .bind(party.left_at.map(micros))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_audit(&self, audit: &AuditRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO audit (id, at, user_id, action, call_id, detail) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(audit.id.to_string())
                .bind(micros(audit.at))
                .bind(&audit.user_id.0)
                .bind(&audit.action)
                .bind(audit.call_id.map(|id| id.to_string()))
                .bind(&audit.detail)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_contact(&self, contact: &ContactRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO contacts (id, handoff_id, call_id, agent_id, began_at, ended_at, ended_by, hold_ms, \
             holds, wrap_up_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, ended_by = excluded.ended_by, \
             hold_ms = excluded.hold_ms, holds = excluded.holds, wrap_up_ms = excluded.wrap_up_ms";
        let whole = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let query = || {
            sqlx::query(SQL)
                .bind(contact.id.to_string())
                .bind(contact.handoff_id.0.to_string())
                .bind(contact.call_id.to_string())
                .bind(&contact.agent_id.0)
                .bind(micros(contact.began_at))
                .bind(contact.ended_at.map(micros))
                .bind(contact.ended_by.map(word))
                .bind(whole(contact.hold_ms))
                .bind(contact.holds)
                .bind(contact.wrap_up_ms.map(whole))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn period(&self, since: Timestamp, until: Timestamp) -> Result<Period, StoreError> {
        let between = |sql: &'static str| {
            sqlx::query(sql).bind(micros(since)).bind(micros(until)).bind(MAX_PERIOD).fetch(&self.pool)
        };
        const HANDOFFS: &str = "WITH RECURSIVE own (id) AS (\
             SELECT id FROM handoffs WHERE requested_at >= ? AND requested_at < ? \
             UNION SELECT later.id FROM handoffs later JOIN own ON later.continues = own.id) \
             SELECT handoffs.* FROM handoffs JOIN own ON own.id = handoffs.id ORDER BY requested_at, handoffs.id LIMIT ?";
        const CONTACTS: &str = "WITH RECURSIVE own (id) AS (\
             SELECT id FROM handoffs WHERE requested_at >= ? AND requested_at < ? \
             UNION SELECT later.id FROM handoffs later JOIN own ON later.continues = own.id) \
             SELECT contacts.* FROM contacts JOIN own ON own.id = contacts.handoff_id \
             ORDER BY contacts.began_at, contacts.id LIMIT ?";
        const OFFERS: &str =
            "SELECT * FROM offers WHERE offered_at >= ? AND offered_at < ? ORDER BY offered_at, id LIMIT ?";
        const LEDGER: &str = "SELECT * FROM ledger WHERE ended_at > ? AND began_at < ? ORDER BY began_at, id LIMIT ?";
        Ok(Period {
            handoffs: each(between(HANDOFFS), rows::handoff).await?,
            contacts: each(between(CONTACTS), rows::contact).await?,
            offers: each(between(OFFERS), rows::offer).await?,
            ledger: each(between(LEDGER), rows::ledger).await?,
            shifts: self.list_shifts(since, until).await?,
        })
    }

    async fn outline(&self, since: Timestamp, until: Timestamp) -> Result<Outline, StoreError> {
        const WAITS: &str = "WITH RECURSIVE own (id) AS (\
             SELECT id FROM handoffs WHERE requested_at >= ? AND requested_at < ? \
             UNION SELECT later.id FROM handoffs later JOIN own ON later.continues = own.id) \
             SELECT handoffs.id, continues, reason, requested_at, bridged_at, ended_at, outcome, \
             (SELECT MIN(began_at) FROM contacts WHERE handoff_id = handoffs.id \
             AND (ended_by IS NULL OR ended_by <> ?)) AS talked_at, \
             EXISTS (SELECT 1 FROM contacts WHERE handoff_id = handoffs.id) AS has_talks \
             FROM handoffs JOIN own ON own.id = handoffs.id ORDER BY requested_at, handoffs.id LIMIT ?";
        const TIME: &str = "SELECT state, SUM(MAX(0, MIN(ended_at, ?) - MAX(began_at, ?))) AS spent FROM ledger \
             WHERE ended_at > ? AND began_at < ? GROUP BY state ORDER BY state";
        let (since, until) = (micros(since), micros(until));
        let waits = sqlx::query(WAITS).bind(since).bind(until).bind(word(CallEnd::NoSound)).bind(MAX_PERIOD);
        let time = sqlx::query(TIME).bind(until).bind(since).bind(since).bind(until);
        Ok(Outline {
            waits: each(waits.fetch(&self.pool), rows::wait).await?,
            time: each(time.fetch(&self.pool), rows::state_time).await?,
        })
    }

    async fn put_shift(&self, shift: &ShiftRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO shifts (id, agent_id, began_at, ended_at, scheduled_by, scheduled_at, released_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(shift.id.to_string())
                .bind(&shift.agent_id.0)
                .bind(micros(shift.began_at))
                .bind(micros(shift.ended_at))
                .bind(&shift.scheduled_by.0)
                .bind(micros(shift.scheduled_at))
                .bind(shift.released_at.map(micros))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn release_shift(&self, id: Uuid, at: Timestamp) -> Result<Option<ShiftRecord>, StoreError> {
        let query = || {
            sqlx::query("UPDATE shifts SET released_at = ? WHERE id = ? AND released_at IS NULL")
                .bind(micros(at))
                .bind(id.to_string())
                .execute(&self.pool)
        };
        self.write(query).await?;
        one(
            sqlx::query("SELECT * FROM shifts WHERE id = ?").bind(id.to_string()).fetch_optional(&self.pool).await,
            rows::shift,
        )
    }

    async fn list_shifts(&self, since: Timestamp, until: Timestamp) -> Result<Vec<ShiftRecord>, StoreError> {
        const SQL: &str = "SELECT * FROM shifts WHERE ended_at > ? AND began_at < ? ORDER BY began_at, id LIMIT ?";
        let rows =
            sqlx::query(SQL).bind(micros(since)).bind(micros(until)).bind(MAX_LEDGER).fetch_all(&self.pool).await;
        all(rows, rows::shift)
    }

    async fn ledger_within(
        &self,
        agent: &AgentId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LedgerRecord>, StoreError> {
        const SQL: &str = "SELECT * FROM ledger WHERE agent_id = ? AND ended_at > ? AND began_at < ? \
             ORDER BY began_at, id LIMIT ?";
        let rows = sqlx::query(SQL)
            .bind(&agent.0)
            .bind(micros(since))
            .bind(micros(until))
            .bind(MAX_LEDGER)
            .fetch_all(&self.pool)
            .await;
        all(rows, rows::ledger)
    }

    async fn put_ledger(&self, entry: &LedgerRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO ledger (id, agent_id, state, code, class, began_at, ended_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(entry.id.to_string())
                .bind(&entry.agent_id.0)
                .bind(word(entry.state))
                .bind(&entry.code)
                .bind(word(entry.class))
                .bind(micros(entry.began_at))
                .bind(micros(entry.ended_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn list_ledger(
        &self,
        agent: &AgentId,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LedgerRecord>, StoreError> {
        const SQL: &str = "SELECT * FROM ledger WHERE agent_id = ? AND began_at >= ? AND began_at < ? \
             ORDER BY began_at, id LIMIT ?";
        let rows = sqlx::query(SQL)
            .bind(&agent.0)
            .bind(micros(since))
            .bind(micros(until))
            .bind(MAX_LEDGER)
            .fetch_all(&self.pool)
            .await;
        all(rows, rows::ledger)
    }

    async fn list_audit(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        const SQL: &str = "SELECT * FROM audit ORDER BY at DESC, id DESC LIMIT ?";
        let rows = sqlx::query(SQL).bind(limit.min(MAX_LIMIT)).fetch_all(&self.pool).await;
        all(rows, rows::audit)
    }

    async fn list_calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        // Ids are UUIDs of version 7: as text they sort by time.
        const SQL: &str = "SELECT * FROM calls WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL \
             OR EXISTS (SELECT 1 FROM handoffs h WHERE h.call_id = calls.id AND h.agent_id = ?2) \
             OR EXISTS (SELECT 1 FROM offers o WHERE o.call_id = calls.id AND o.agent_id = ?2 \
             AND o.result = 'accepted')) \
             AND (?4 IS NULL OR outcome = ?4) \
             AND (?5 IS NULL OR EXISTS (SELECT 1 FROM triggers t WHERE t.call_id = calls.id AND t.reason = ?5)) \
             AND (?6 IS NULL OR started_at >= ?6) AND (?7 IS NULL OR started_at < ?7) \
             AND (?8 IS NULL OR EXISTS (SELECT 1 FROM turns t WHERE t.call_id = calls.id AND instr(lower(t.text), ?8))) \
             ORDER BY id DESC LIMIT ?3";
        let CallFilter { outcome, reason, since, until, said } = &query.filter;
        let rows = sqlx::query(SQL)
            .bind(query.before.map(|id| id.to_string()))
            .bind(agent(&query.taken_by))
            .bind(query.limit.min(MAX_LIMIT))
            .bind(outcome.map(word))
            .bind(reason.map(word))
            .bind(since.map(micros))
            .bind(until.map(micros))
            .bind(said.as_ref().map(|said| said.to_ascii_lowercase()))
            .fetch_all(&self.pool)
            .await;
        all(rows, rows::call)
    }

    async fn agent_day(&self, agent: &AgentId, since: Timestamp) -> Result<AgentDay, StoreError> {
        const SQL: &str = "SELECT COUNT(*) AS offered, COUNT(*) FILTER (WHERE result = 'accepted') AS accepted, \
             COUNT(*) FILTER (WHERE result = 'rejected') AS declined, \
             COUNT(*) FILTER (WHERE result = 'timeout') AS missed, \
             (SELECT COALESCE(SUM(ended_at - bridged_at), 0) FROM handoffs \
              WHERE agent_id = ?1 AND bridged_at >= ?2 AND ended_at > bridged_at) AS talked \
             FROM offers WHERE agent_id = ?1 AND offered_at >= ?2";
        let row = sqlx::query(SQL).bind(&agent.0).bind(micros(since)).fetch_optional(&self.pool).await;
        Ok(one(row, rows::agent_day)?.unwrap_or_default())
    }

    async fn get_call(&self, id: CallId) -> Result<Option<CallDetail>, StoreError> {
        let id = id.to_string();
        let row = sqlx::query("SELECT * FROM calls WHERE id = ?").bind(&id).fetch_optional(&self.pool).await;
        let Some(call) = one(row, rows::call)? else { return Ok(None) };
        let of_call = |sql: &'static str| sqlx::query(sql).bind(&id).fetch_all(&self.pool);
        Ok(Some(CallDetail {
            call,
            turns: all(of_call("SELECT * FROM turns WHERE call_id = ? ORDER BY seq").await, rows::turn)?,
            triggers: all(
                of_call("SELECT * FROM triggers WHERE call_id = ? ORDER BY at_ms, rowid").await,
                rows::trigger,
            )?,
            handoffs: all(
                of_call("SELECT * FROM handoffs WHERE call_id = ? ORDER BY requested_at, id").await,
                rows::handoff,
            )?,
            offers: all(of_call("SELECT * FROM offers WHERE call_id = ? ORDER BY offered_at, id").await, rows::offer)?,
            messages: all(
                of_call("SELECT * FROM messages WHERE call_id = ? ORDER BY created_at, id").await,
                rows::message,
            )?,
            tools: all(
                of_call("SELECT * FROM tool_runs WHERE call_id = ? ORDER BY started_ms, id").await,
                rows::tool_run,
            )?,
            wrap_ups: all(of_call("SELECT * FROM wrap_ups WHERE call_id = ? ORDER BY at").await, rows::wrap_up)?,
            comments: all(of_call("SELECT * FROM comments WHERE call_id = ? ORDER BY at, id").await, rows::comment)?,
            scores: all(of_call("SELECT * FROM scores WHERE call_id = ? ORDER BY at, by_id").await, rows::score)?,
            parties: all(of_call("SELECT * FROM parties WHERE call_id = ? ORDER BY joined_at, id").await, rows::party)?,
            contacts: all(
                of_call("SELECT * FROM contacts WHERE call_id = ? ORDER BY began_at, id").await,
                rows::contact,
            )?,
        }))
    }

    async fn list_messages(&self, open_only: bool, limit: u32) -> Result<Vec<MessageRecord>, StoreError> {
        const SQL: &str =
            "SELECT * FROM messages WHERE NOT ? OR done_at IS NULL ORDER BY created_at DESC, id DESC LIMIT ?";
        let rows = sqlx::query(SQL).bind(open_only).bind(limit.min(MAX_LIMIT)).fetch_all(&self.pool).await;
        all(rows, rows::message)
    }

    async fn get_message(&self, id: Uuid) -> Result<Option<MessageRecord>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM messages WHERE id = ?").bind(id.to_string()).fetch_optional(&self.pool).await;
        one(row, rows::message)
    }

    async fn cut_off_calls(&self, since: Timestamp) -> Result<Vec<CallDetail>, StoreError> {
        const SQL: &str = "SELECT * FROM calls WHERE ended_at IS NULL OR (outcome = 'interrupted' AND ended_at >= ? \
             AND NOT EXISTS (SELECT 1 FROM calls later WHERE later.provider = calls.provider \
             AND later.provider_call_id = calls.provider_call_id AND later.id > calls.id)) ORDER BY id LIMIT ?";
        let query = sqlx::query(SQL).bind(micros(since)).bind(MAX_LEDGER);
        let calls = all(query.fetch_all(&self.pool).await, rows::call)?;
        let mut details = Vec::with_capacity(calls.len());
        for call in calls {
            details.extend(self.get_call(call.id).await?);
        }
        Ok(details)
    }

    async fn put_stand(&self, stand: &StandRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO stands (agent_id, state, code, since, seen_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (agent_id) DO UPDATE SET state = excluded.state, code = excluded.code, \
             since = excluded.since, seen_at = excluded.seen_at";
        let query = || {
            sqlx::query(SQL)
                .bind(&stand.agent_id.0)
                .bind(word(stand.state))
                .bind(&stand.code)
                .bind(micros(stand.since))
                .bind(micros(stand.seen_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn take_stands(&self) -> Result<Vec<StandRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM stands ORDER BY agent_id").fetch_all(&self.pool).await;
        let stands = all(rows, rows::stand)?;
        self.write(|| sqlx::query("DELETE FROM stands").execute(&self.pool)).await?;
        Ok(stands)
    }

    async fn close_orphans(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.forget_claims(now).await?;
        let now = micros(now);
        let close = || async move {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("UPDATE offers SET ended_at = ?, result = ? WHERE result IS NULL")
                .bind(now)
                .bind(OfferResult::Canceled.as_str())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE handoffs SET ended_at = ?, outcome = ? WHERE ended_at IS NULL")
                .bind(now)
                .bind(word(HandoffOutcome::Interrupted))
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE contacts SET ended_at = ?, ended_by = ? WHERE ended_at IS NULL")
                .bind(now)
                .bind(word(CallEnd::ServerStopped))
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE parties SET left_at = ? WHERE left_at IS NULL")
                .bind(now)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE tool_runs SET outcome = ? WHERE outcome = ?")
                .bind(word(ToolOutcome::Unknown))
                .bind(word(ToolOutcome::Started))
                .execute(&mut *transaction)
                .await?;
            let calls = sqlx::query("UPDATE calls SET ended_at = ?, outcome = ? WHERE ended_at IS NULL")
                .bind(now)
                .bind(word(CallOutcome::Interrupted))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(calls.rows_affected())
        };
        self.write(close).await
    }

    async fn add_user(&self, user: &UserRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO users (id, name, password_hash, role, must_change_password) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(&user.id.0)
                .bind(&user.name)
                .bind(user.password_hash.expose())
                .bind(user.role.as_str())
                .bind(user.must_change_password)
                .execute(&self.pool)
        };
        match self.write(query).await?.rows_affected() {
            0 => Err(StoreError::Conflict { what: "an account of this name" }),
            _ => Ok(()),
        }
    }

    async fn update_user(&self, user: &UserRecord) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE users SET name = ?, password_hash = ?, role = ?, must_change_password = ? WHERE id = ?";
        let query = || {
            sqlx::query(SQL)
                .bind(&user.name)
                .bind(user.password_hash.expose())
                .bind(user.role.as_str())
                .bind(user.must_change_password)
                .bind(&user.id.0)
                .execute(&self.pool)
        };
        self.write(query).await.map(drop).map_err(|error| match error {
            StoreError::Query(source)
                if source.as_database_error().is_some_and(|error| error.is_unique_violation()) =>
            {
                StoreError::Conflict { what: "an account of this name" }
            }
            other => other,
        })
    }

    async fn delete_user(&self, id: &AgentId) -> Result<bool, StoreError> {
        let query = || sqlx::query("DELETE FROM users WHERE id = ?").bind(&id.0).execute(&self.pool);
        Ok(self.write(query).await?.rows_affected() > 0)
    }

    async fn find_user(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        one(sqlx::query("SELECT * FROM users WHERE name = ?").bind(name).fetch_optional(&self.pool).await, rows::user)
    }

    async fn list_users(&self) -> Result<Vec<UserRecord>, StoreError> {
        all(sqlx::query("SELECT * FROM users ORDER BY name").fetch_all(&self.pool).await, rows::user)
    }

    async fn put_session(&self, session: &SessionRecord, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO sessions (token_hash, user_id, kind, expires_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (token_hash) DO UPDATE SET expires_at = excluded.expires_at";
        let now = micros(now);
        let put = || async move {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("DELETE FROM sessions WHERE expires_at <= ?").bind(now).execute(&mut *transaction).await?;
            sqlx::query(SQL)
                .bind(&session.token_hash[..])
                .bind(&session.user_id.0)
                .bind(word(session.kind))
                .bind(micros(session.expires_at))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        self.write(put).await
    }

    async fn find_session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<UserRecord>, StoreError> {
        const SQL: &str = "SELECT users.* FROM sessions JOIN users ON users.id = sessions.user_id \
             WHERE sessions.token_hash = ? AND sessions.expires_at > ?";
        let row = sqlx::query(SQL).bind(&token_hash[..]).bind(micros(now)).fetch_optional(&self.pool).await;
        one(row, rows::user)
    }

    async fn delete_session(&self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        let query =
            || sqlx::query("DELETE FROM sessions WHERE token_hash = ?").bind(&token_hash[..]).execute(&self.pool);
        self.write(query).await.map(drop)
    }

    async fn delete_sessions(&self, user: &AgentId, kind: SessionKind) -> Result<(), StoreError> {
        let query = || {
            sqlx::query("DELETE FROM sessions WHERE user_id = ? AND kind = ?")
                .bind(&user.0)
                .bind(word(kind))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    async fn put_open_shift(&self, shift: &OpenShiftRecord) -> Result<(), StoreError> {
        self.offer_shift(shift).await
    }

    async fn list_open_shifts(&self, since: Timestamp, until: Timestamp) -> Result<Vec<OpenShiftRecord>, StoreError> {
        self.open_shifts(since, until).await
    }

    async fn delete_open_shift(&self, id: Uuid) -> Result<bool, StoreError> {
        self.withdraw_shift(id).await
    }

    async fn take_open_shift(
        &self,
        id: Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<ShiftRecord>, StoreError> {
        self.take_shift(id, agent, now).await
    }

    async fn give_back_shift(
        &self,
        id: Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<OpenShiftRecord>, StoreError> {
        self.return_shift(id, agent, now).await
    }

    async fn put_telephone(
        &self,
        agent: &AgentId,
        number: Option<&Pii<String>>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.set_telephone(agent, number, at).await
    }

    async fn telephone_of(&self, agent: &AgentId) -> Result<Option<Pii<String>>, StoreError> {
        self.telephone(agent).await
    }

    async fn put_queue(&self, queue: &QueueRecord) -> Result<(), StoreError> {
        self.keep_queue(queue).await
    }

    async fn delete_queue(&self, name: &str) -> Result<bool, StoreError> {
        self.forget_queue(name).await
    }

    async fn list_queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        self.queues().await
    }

    async fn put_hours(&self, hours: &HoursRecord) -> Result<(), StoreError> {
        self.keep_hours(hours).await
    }

    async fn delete_hours(&self, name: &str) -> Result<bool, StoreError> {
        self.forget_hours(name).await
    }

    async fn list_hours(&self) -> Result<Vec<HoursRecord>, StoreError> {
        self.hours().await
    }

    async fn add_key(&self, key: &KeyRecord, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        self.insert_key(key, token_hash).await
    }

    async fn list_keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys().await
    }

    async fn use_key(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        self.key_in_use(token_hash, now).await
    }

    async fn revoke_key(&self, id: Uuid, at: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        self.end_key(id, at).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop).map_err(StoreError::Query)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
