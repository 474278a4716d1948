//! Keys: what programs sign in with. A key has a name, a role and an end of its own, is shown once and kept as a hash.
//!
//! It goes with the account that made it and never does more than that account may: who leaves leaves no way in behind.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Auth, AuthError, Via, hash_token, random_token};
use crate::handoff::AgentId;
use crate::store::{KeyRecord, UserRecord, UserRole};
use crate::telemetry::Secret;

/// Characters of a key that stay readable in the list.
const SHOWN: usize = 4;

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// What is kept of it.
    pub record: KeyRecord,
    /// The key itself, for the one who asked.
    pub token: Secret<String>,
}

impl Auth {
    /// A new key with at most the maker's role.
    pub async fn make_key(
        &self,
        maker: &UserRecord,
        name: &str,
        role: UserRole,
        lasts: Duration,
    ) -> Result<MadeKey, AuthError> {
        let token = random_token();
        let made_at = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default();
        let lasts = SignedDuration::try_from(lasts).expect("keys last years at most");
        // 256 random bits in base64url: plain ASCII, and long enough.
        let ending = token.expose()[token.expose().len() - SHOWN..].to_owned();
        let record = KeyRecord {
            id: Uuid::now_v7(),
            name: name.to_owned(),
            role: role.min(maker.role),
            ending,
            made_by: maker.id.clone(),
            made_at,
            expires_at: made_at.saturating_add(lasts).expect("a plain duration"),
            last_used_at: None,
            revoked_at: None,
        };
        self.0.store.add_key(&record, &hash_token(token.expose())).await?;
        Ok(MadeKey { record, token })
    }

    /// Ends a key, if there is one of this id.
    pub async fn revoke_key(&self, id: Uuid) -> Result<Option<KeyRecord>, AuthError> {
        Ok(self.0.store.revoke_key(id, Timestamp::now()).await?)
    }

    /// Who is behind what a program sent: an account by its token, or a key.
    pub(super) async fn bearer(&self, token_hash: &[u8; 32]) -> Result<(UserRecord, Via), AuthError> {
        let now = Timestamp::now();
        if let Some(user) = self.0.store.find_session(token_hash, now).await? {
            return Ok((user, Via::Token));
        }
        let key = self.0.store.use_key(token_hash, now).await?.ok_or(AuthError::NotSignedIn)?;
        Ok((user_of(key), Via::Key))
    }
}

/// Who a key is in what it does. The id and name can't be those of an account.
fn user_of(key: KeyRecord) -> UserRecord {
    UserRecord {
        id: AgentId(format!("key-{}", key.id)),
        name: format!("key {}", key.name),
        password_hash: Secret::default(),
        role: key.role,
        must_change_password: false,
    }
}
