//! Keys for programs.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::rows::{self, micros};
use super::{SqliteStore, all, one};
use crate::store::{KeyRecord, StoreError};

/// A key in use is noted so often, not with every request.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(1);

impl SqliteStore {
    pub(super) async fn insert_key(&self, key: &KeyRecord, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO keys (id, token_hash, name, role, ending, made_by, made_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let query = || {
            sqlx::query(SQL)
                .bind(key.id.to_string())
                .bind(&token_hash[..])
                .bind(&key.name)
                .bind(key.role.as_str())
                .bind(&key.ending)
                .bind(&key.made_by.0)
                .bind(micros(key.made_at))
                .bind(micros(key.expires_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    pub(super) async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        all(sqlx::query("SELECT * FROM keys ORDER BY made_at DESC, id DESC").fetch_all(&self.pool).await, rows::key)
    }

    pub(super) async fn key_in_use(
        &self,
        token_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, StoreError> {
        const SQL: &str = "SELECT keys.*, users.role AS maker_role FROM keys JOIN users ON users.id = keys.made_by \
             WHERE keys.token_hash = ? AND keys.expires_at > ? AND keys.revoked_at IS NULL";
        let row = sqlx::query(SQL).bind(&token_hash[..]).bind(micros(now)).fetch_optional(&self.pool).await;
        let Some(key) = one(row, rows::key_of_maker)? else { return Ok(None) };
        if key.last_used_at.is_none_or(|last| now.duration_since(last) >= NOTED_EVERY) {
            self.note_use(key.id, now).await;
        }
        Ok(Some(key))
    }

    /// A use that can't be noted is still one.
    async fn note_use(&self, id: Uuid, now: Timestamp) {
        let query = || {
            sqlx::query("UPDATE keys SET last_used_at = ? WHERE id = ?")
                .bind(micros(now))
                .bind(id.to_string())
                .execute(&self.pool)
        };
        if let Err(error) = self.write(query).await {
            tracing::warn!(%error, "The use of a key could not be noted");
        }
    }

    pub(super) async fn end_key(&self, id: Uuid, at: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        let query = || {
            sqlx::query("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
                .bind(micros(at))
                .bind(id.to_string())
                .execute(&self.pool)
        };
        self.write(query).await?;
        let row = sqlx::query("SELECT * FROM keys WHERE id = ?").bind(id.to_string()).fetch_optional(&self.pool).await;
        one(row, rows::key)
    }
}
