//! Accounts: made by an administrator or on the command line, always with a one-time password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::passwords::{Passwords, one_time_password};
use super::{Auth, AuthError, random_token, remember};
use crate::handoff::AgentId;
use crate::store::{SessionKind, Store, UserRecord, UserRole};
use crate::telemetry::Secret;

/// Name of the account made at the first start.
const FIRST_ADMIN: &str = "admin";

/// A password the server made up. It is shown once and must be changed at first sign-in.
#[derive(Clone, Debug)]
pub struct OneTimePassword {
    /// The account.
    pub name: String,
    /// The password.
    pub password: Secret<String>,
}

/// Makes and changes accounts.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn Store>,
    passwords: Passwords,
}

impl Accounts {
    /// Those in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, passwords: Passwords::new() }
    }

    /// Makes `admin` if there is no account at all. Its password is to be shown to whoever started the server.
    pub async fn ensure_first_admin(&self) -> Result<Option<OneTimePassword>, AuthError> {
        if self.store.list_users().await?.is_empty() {
            return self.add(FIRST_ADMIN, UserRole::Admin).await.map(|(_, password)| Some(password));
        }
        Ok(None)
    }

    /// A new account with a one-time password.
    pub async fn add(&self, name: &str, role: UserRole) -> Result<(UserRecord, OneTimePassword), AuthError> {
        let name = valid_name(name)?;
        let password = one_time_password();
        let user = UserRecord {
            id: AgentId(Uuid::now_v7().to_string()),
            name: name.clone(),
            password_hash: self.passwords.hash(password.clone()).await?,
            role,
            must_change_password: true,
        };
        self.store.add_user(&user).await?;
        Ok((user, OneTimePassword { name, password }))
    }

    /// A new one-time password for an account; its browsers are signed out.
    pub async fn reset(&self, name: &str) -> Result<OneTimePassword, AuthError> {
        let user = self.find(name).await?;
        let password = one_time_password();
        let password_hash = self.passwords.hash(password.clone()).await?;
        let user = UserRecord { password_hash, must_change_password: true, ..user };
        self.store.update_user(&user).await?;
        self.store.delete_sessions(&user.id, SessionKind::Browser).await?;
        Ok(OneTimePassword { name: user.name, password })
    }

    /// Removes an account with its sessions and tokens. The last administrator stays.
    pub async fn remove(&self, name: &str) -> Result<UserRecord, AuthError> {
        let user = self.find(name).await?;
        let users = self.store.list_users().await?;
        if user.role == UserRole::Admin && users.iter().filter(|user| user.role == UserRole::Admin).count() == 1 {
            return Err(AuthError::LastAdmin);
        }
        self.store.delete_user(&user.id).await?;
        Ok(user)
    }

    /// A token for programs that act as this account, sent as `Authorization: Bearer …`. It is shown once.
    pub async fn api_token(&self, name: &str, lasts: Duration) -> Result<Secret<String>, AuthError> {
        let user = self.find(name).await?;
        let token = random_token();
        remember(&*self.store, &user, &token, SessionKind::ApiToken, lasts).await?;
        Ok(token)
    }

    async fn find(&self, name: &str) -> Result<UserRecord, AuthError> {
        self.store.find_user(&name.trim().to_lowercase()).await?.ok_or(AuthError::NoSuchUser)
    }
}

impl Auth {
    /// The accounts it lets in.
    pub fn accounts(&self) -> Accounts {
        Accounts { store: self.0.store.clone(), passwords: self.0.passwords.clone() }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// The name in lower case, if it can be one.
fn valid_name(name: &str) -> Result<String, AuthError> {
    let name = name.trim().to_lowercase();
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-_@".contains(letter);
    if (2..=64).contains(&name.len()) && name.chars().all(allowed) { Ok(name) } else { Err(AuthError::BadName) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    async fn accounts() -> Accounts {
        Accounts::new(Arc::new(SqliteStore::in_memory().await.expect("opens")))
    }

    #[tokio::test]
    async fn the_first_administrator_is_made_once() {
        let accounts = accounts().await;
        let first = accounts.ensure_first_admin().await.expect("made").expect("there was nobody");
        assert_eq!(first.name, "admin");
        assert!(accounts.ensure_first_admin().await.expect("asked").is_none());
        assert!(!format!("{first:?}").contains(first.password.expose()));
    }

    #[tokio::test]
    async fn the_last_administrator_stays() {
        let accounts = accounts().await;
        accounts.ensure_first_admin().await.expect("made");
        assert!(matches!(accounts.remove("admin").await, Err(AuthError::LastAdmin)));
        accounts.add("second", UserRole::Admin).await.expect("made");
        accounts.remove("ADMIN").await.expect("removed");
        assert!(matches!(accounts.remove("admin").await, Err(AuthError::NoSuchUser)));
        assert!(matches!(accounts.reset("admin").await, Err(AuthError::NoSuchUser)));
    }

    #[test]
    fn names_are_plain_and_lower_case() {
        assert_eq!(valid_name(" Kim@Example.com ").expect("valid"), "kim@example.com");
        for bad in ["", "a", "two words", "ümlaut", "x/y", &"n".repeat(65)] {
            assert!(matches!(valid_name(bad), Err(AuthError::BadName)), "{bad}");
        }
    }
}
