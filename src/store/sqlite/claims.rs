//! Who takes what: see [`crate::store::claims`].

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;
use uuid::Uuid;

use super::SqliteStore;
use super::rows::micros;
use crate::store::StoreError;
use crate::store::claims::{Claim, Claims};

/// What was taken longer ago is forgotten: no caller waits for a week.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

#[async_trait]
impl Claims for SqliteStore {
    async fn claim(&self, what: Uuid, taken: u32, by: Uuid) -> Result<Claim, StoreError> {
        const TAKE: &str = "INSERT INTO claims (what, taken, taken_by, taken_at) VALUES (?, ?, ?, ?) ON CONFLICT (what) \
             DO UPDATE SET taken = excluded.taken, taken_by = excluded.taken_by, taken_at = excluded.taken_at";
        let (now, what, by) = (micros(Timestamp::now()), what.to_string(), by.to_string());
        let (what, by) = (what.as_str(), by.as_str());
        let claim = || async move {
            // Immediate: nobody else writes between the question and the answer.
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let known = sqlx::query("SELECT taken, taken_by FROM claims WHERE what = ?")
                .bind(what)
                .fetch_optional(&mut *transaction)
                .await?;
            if let Some(row) = known {
                let (times, owner): (u32, String) = (row.try_get("taken")?, row.try_get("taken_by")?);
                if owner == by {
                    return Ok(Claim::Won(times));
                }
                if times > taken {
                    return Ok(Claim::Lost(times));
                }
            }
            let taken = taken.saturating_add(1);
            sqlx::query(TAKE).bind(what).bind(taken).bind(by).bind(now).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(Claim::Won(taken))
        };
        self.write(claim).await
    }
}

impl SqliteStore {
    pub(super) async fn forget_claims(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.checked_sub(KEPT).map_or(i64::MIN, micros);
        let query = || sqlx::query("DELETE FROM claims WHERE taken_at < ?").bind(before).execute(&self.pool);
        self.write(query).await.map(drop)
    }
}
