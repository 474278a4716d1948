//! Shifts that anybody may take, and that were given back.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::rows::{self, micros};
use super::{SqliteStore, all, one};
use crate::handoff::AgentId;
use crate::store::{MAX_LEDGER, OpenShiftRecord, ShiftRecord, StoreError};

impl SqliteStore {
    pub(super) async fn offer_shift(&self, shift: &OpenShiftRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO open_shifts (id, began_at, ended_at, offered_by, offered_at) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(shift.id.to_string())
                .bind(micros(shift.began_at))
                .bind(micros(shift.ended_at))
                .bind(&shift.offered_by.0)
                .bind(micros(shift.offered_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    pub(super) async fn open_shifts(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<OpenShiftRecord>, StoreError> {
        const SQL: &str = "SELECT * FROM open_shifts WHERE ended_at > ? AND began_at < ? ORDER BY began_at, id LIMIT ?";
        let rows =
            sqlx::query(SQL).bind(micros(since)).bind(micros(until)).bind(MAX_LEDGER).fetch_all(&self.pool).await;
        all(rows, rows::open_shift)
    }

    pub(super) async fn withdraw_shift(&self, id: Uuid) -> Result<bool, StoreError> {
        let query = || sqlx::query("DELETE FROM open_shifts WHERE id = ?").bind(id.to_string()).execute(&self.pool);
        Ok(self.write(query).await?.rows_affected() > 0)
    }

    pub(super) async fn take_shift(
        &self,
        id: Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<ShiftRecord>, StoreError> {
        // In one step, so that of two who take it one has it, and nobody is in two places.
        const TAKE: &str = "INSERT INTO shifts (id, agent_id, began_at, ended_at, scheduled_by, scheduled_at) \
             SELECT id, ?, began_at, ended_at, offered_by, ? FROM open_shifts AS free \
             WHERE id = ? AND began_at > ? AND NOT EXISTS (SELECT 1 FROM shifts WHERE agent_id = ? \
             AND released_at IS NULL AND shifts.ended_at > free.began_at AND shifts.began_at < free.ended_at)";
        let (now, shift) = (micros(now), id.to_string());
        let shift = shift.as_str();
        let take = || async move {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let taken = sqlx::query(TAKE)
                .bind(&agent.0)
                .bind(now)
                .bind(shift)
                .bind(now)
                .bind(&agent.0)
                .execute(&mut *transaction)
                .await?;
            if taken.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(None);
            }
            sqlx::query("DELETE FROM open_shifts WHERE id = ?").bind(shift).execute(&mut *transaction).await?;
            let row: Option<SqliteRow> =
                sqlx::query("SELECT * FROM shifts WHERE id = ?").bind(shift).fetch_optional(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(row)
        };
        one(Ok(self.write(take).await?), rows::shift)
    }

    pub(super) async fn return_shift(
        &self,
        id: Uuid,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<OpenShiftRecord>, StoreError> {
        const FREE: &str = "INSERT INTO open_shifts (id, began_at, ended_at, offered_by, offered_at) \
             SELECT id, began_at, ended_at, scheduled_by, ? FROM shifts \
             WHERE id = ? AND agent_id = ? AND began_at > ? AND released_at IS NULL";
        let (now, shift) = (micros(now), id.to_string());
        let shift = shift.as_str();
        let give = || async move {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let freed =
                sqlx::query(FREE).bind(now).bind(shift).bind(&agent.0).bind(now).execute(&mut *transaction).await?;
            if freed.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(None);
            }
            sqlx::query("DELETE FROM shifts WHERE id = ?").bind(shift).execute(&mut *transaction).await?;
            let row: Option<SqliteRow> = sqlx::query("SELECT * FROM open_shifts WHERE id = ?")
                .bind(shift)
                .fetch_optional(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(row)
        };
        one(Ok(self.write(give).await?), rows::open_shift)
    }
}
