//! Opening hours kept in the console.

use super::rows::{self, json, micros};
use super::{SqliteStore, all};
use crate::store::{HoursRecord, StoreError};

impl SqliteStore {
    pub(super) async fn keep_hours(&self, hours: &HoursRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO hours (name, zone, weekly, days, queues, set_by, set_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET zone = excluded.zone, \
             weekly = excluded.weekly, days = excluded.days, queues = excluded.queues, set_by = excluded.set_by, \
             set_at = excluded.set_at";
        let query = || {
            sqlx::query(SQL)
                .bind(&hours.name)
                .bind(&hours.zone)
                .bind(json(&hours.weekly))
                .bind(json(&hours.days))
                .bind(json(&hours.queues))
                .bind(&hours.set_by.0)
                .bind(micros(hours.set_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    pub(super) async fn forget_hours(&self, name: &str) -> Result<bool, StoreError> {
        let query = || sqlx::query("DELETE FROM hours WHERE name = ?").bind(name).execute(&self.pool);
        Ok(self.write(query).await?.rows_affected() > 0)
    }

    pub(super) async fn hours(&self) -> Result<Vec<HoursRecord>, StoreError> {
        all(sqlx::query("SELECT * FROM hours ORDER BY name").fetch_all(&self.pool).await, rows::hours)
    }
}
