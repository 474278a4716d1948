//! Telephones agents chose for themselves.

use jiff::Timestamp;

use super::SqliteStore;
use super::rows::micros;
use crate::handoff::AgentId;
use crate::store::StoreError;
use crate::telemetry::Pii;

impl SqliteStore {
    pub(super) async fn set_telephone(
        &self,
        agent: &AgentId,
        number: Option<&Pii<String>>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const SET: &str = "INSERT INTO telephones (user_id, number, set_at) VALUES (?, ?, ?) \
             ON CONFLICT (user_id) DO UPDATE SET number = excluded.number, set_at = excluded.set_at";
        match number {
            Some(number) => {
                let query =
                    || sqlx::query(SET).bind(&agent.0).bind(number.reveal()).bind(micros(at)).execute(&self.pool);
                self.write(query).await.map(drop)
            }
            None => {
                let query =
                    || sqlx::query("DELETE FROM telephones WHERE user_id = ?").bind(&agent.0).execute(&self.pool);
                self.write(query).await.map(drop)
            }
        }
    }

    pub(super) async fn telephone(&self, agent: &AgentId) -> Result<Option<Pii<String>>, StoreError> {
        const SQL: &str = "SELECT number FROM telephones WHERE user_id = ?";
        let number: Option<String> =
            sqlx::query_scalar(SQL).bind(&agent.0).fetch_optional(&self.pool).await.map_err(StoreError::Query)?;
        Ok(number.map(Pii::new))
    }
}
