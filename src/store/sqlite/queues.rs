//! What was changed of queues in the console.

use super::rows::{self, micros};
use super::{SqliteStore, all};
use crate::store::{QueueRecord, StoreError};

impl SqliteStore {
    pub(super) async fn keep_queue(&self, queue: &QueueRecord) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO queues (name, priority, message, set_by, set_at) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET priority = excluded.priority, message = excluded.message, \
             set_by = excluded.set_by, set_at = excluded.set_at";
        let query = || {
            sqlx::query(SQL)
                .bind(&queue.name)
                .bind(queue.priority)
                .bind(&queue.message)
                .bind(&queue.set_by.0)
                .bind(micros(queue.set_at))
                .execute(&self.pool)
        };
        self.write(query).await.map(drop)
    }

    pub(super) async fn forget_queue(&self, name: &str) -> Result<bool, StoreError> {
        let query = || sqlx::query("DELETE FROM queues WHERE name = ?").bind(name).execute(&self.pool);
        Ok(self.write(query).await?.rows_affected() > 0)
    }

    pub(super) async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        all(sqlx::query("SELECT * FROM queues ORDER BY name").fetch_all(&self.pool).await, rows::queue)
    }
}
