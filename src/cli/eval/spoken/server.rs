//! The whole server in this process, with a port, a data folder, an account at a provider and people of its own: nothing of
//! a scripted call gets into the records of another server, and nothing leaves this machine because of one.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::super::scenario::{Acoustics, Results};
use super::people::People;
use super::service::Service;
use crate::app::{App, OwnEngines};
use crate::cli::bench::latency::free_address;
use crate::cli::call::network::Conditions;
use crate::cli::call::player::Dial;
use crate::cli::{CliError, explain};
use crate::config::{Config, DatabaseConfig, ProvidersConfig};
use crate::store::sqlite::SqliteStore;
use crate::store::{CallDetail, CallQuery, Store, UserRecord, UserRole};
use crate::telemetry::Secret;
use crate::web::auth::{Accounts, AuthError};

/// Whose dialect the callers speak: a telephone's sound, 8 kHz µ-law.
const PROVIDER: &str = "twilio";
/// What this provider signs with.
const SECRET: &str = "of scripted calls alone";
/// How long a call's record may take to be complete.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Longest a token of a person's account is good.
const TOKEN_LASTS: Duration = Duration::from_secs(7 * 86_400);
/// A call's record is among the latest.
const LATEST: u32 = 20;

/// The running server.
///
/// What the configured tools would ask is asked of a [`Service`] in this process, which gives what the scenario says.
pub struct Server {
    app: App,
    base: String,
    store: Arc<SqliteStore>,
    people: People,
    names: Vec<String>,
    service: Service,
    /// Its data; goes with it.
    _folder: TempDir,
}

impl Server {
    /// Starts it, with so many people, and waits until all is prepared. `own`: engines instead of the configured ones.
    pub async fn start(config: Config, own: Option<OwnEngines>, people: usize) -> Result<Self, CliError> {
        let folder =
            tempfile::tempdir().map_err(|error| CliError::failed(format!("no temporary folder: {error}"), ""))?;
        let mut config = apart(config, &folder)?;
        let service = Service::open(&config.tools).await?;
        config.tools = service.tools();
        let store = Arc::new(SqliteStore::open(&config.database.url, folder.path()).await?);
        let (names, tokens) = accounts(store.clone(), people).await?;
        let base = config.server.base_url();
        let mut app = match own {
            Some(own) => App::start_with(config, own).await?,
            None => App::start(config).await?,
        };
        app.warmed_up().await;
        // As on a server that has been up for some minutes.
        app.prepared().await;
        let people = People::connect(&base, &tokens).await?;
        Ok(Self { app, base, store, people, names, service, _folder: folder })
    }

    /// The people's names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// So many people are on duty and free, the others are off.
    pub async fn staff(&mut self, count: usize) -> Result<(), CliError> {
        self.people.staff(count).await
    }

    /// From here on this is what tools give.
    pub fn tools_give(&self, results: &Results) {
        self.service.give(results);
    }

    /// Somebody is on the way to the caller, or with them.
    pub fn is_taken(&self) -> bool {
        self.people.is_taken()
    }

    /// A call over a line like this.
    pub fn dial(&self, line: &Acoustics) -> Dial {
        Dial {
            call_id: Some(format!("CA{}", uuid::Uuid::new_v4().simple())),
            auth_token: Secret::new(SECRET.to_owned()),
            conditions: Conditions { loss: line.loss, jitter: Duration::from_millis(line.jitter_ms.into()) },
            patience: PATIENCE,
            ..Dial::new(self.base.as_str(), PROVIDER)
        }
    }

    /// All that is on record about a call that is over, once it is complete. `call_id`: the provider's.
    pub async fn record(&self, call_id: &str) -> Result<CallDetail, CliError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let query = CallQuery { limit: LATEST, ..CallQuery::default() };
            let calls = self.store.list_calls(&query).await?;
            if let Some(call) = calls.iter().find(|call| call.provider_call_id == call_id)
                && let Some(detail) = self.store.get_call(call.id).await?
                && is_complete(&detail)
            {
                return Ok(detail);
            }
            if Instant::now() >= end {
                let after = PATIENCE.as_secs();
                return Err(CliError::failed(format!("a call's record was not complete {after} s after its end"), ""));
            }
            sleep(LOOK).await;
        }
    }

    /// Sends the people home and stops.
    pub async fn stop(self) {
        self.people.leave().await;
        self.app.stop().await;
        self.store.close().await;
    }
}

/// Nothing of it goes on any more.
fn is_complete(detail: &CallDetail) -> bool {
    detail.call.ended_at.is_some()
        && detail.handoffs.iter().all(|handoff| handoff.ended_at.is_some())
        && detail.offers.iter().all(|offer| offer.ended_at.is_some())
}

/// `config` without anything that reaches others: their records, accounts at providers, telephones.
fn apart(mut config: Config, folder: &TempDir) -> Result<Config, CliError> {
    config.server.listen = free_address()?;
    config.server.public_url = String::new();
    config.server.data_dir = folder.path().to_owned();
    config.server.calls_per_minute_per_caller = 10_000;
    config.server.drain_grace_s = 1;
    config.database = DatabaseConfig::default();
    config.providers = ProvidersConfig::default();
    config.providers.twilio.auth_token = Secret::new(SECRET.to_owned());
    config.handoff.telephone = String::new();
    config.handoff.telephones.clear();
    // A scripted caller takes what is said first for the answer.
    config.turn.filler_ms = 0;
    Ok(config)
}

/// Accounts for so many agents: their names and tokens.
async fn accounts(store: Arc<SqliteStore>, people: usize) -> Result<(Vec<String>, Vec<Secret<String>>), CliError> {
    let failed = |error: AuthError| CliError::failed(format!("accounts can't be made: {}", explain(&error)), "");
    let accounts = Accounts::new(store.clone());
    let (mut names, mut tokens) = (Vec::new(), Vec::new());
    for number in 1..=people {
        let (user, _) = accounts.add(&format!("agent{number}"), UserRole::Agent).await.map_err(failed)?;
        store.update_user(&UserRecord { must_change_password: false, ..user.clone() }).await?;
        tokens.push(accounts.api_token(&user.name, TOKEN_LASTS).await.map_err(failed)?);
        names.push(user.name);
    }
    Ok((names, tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_operators_is_touched() {
        let text = "[database]\nurl = \"sqlite:/srv/warmline/calls.db\"\n[handoff]\ntelephone = \"+15005550123\"\n\
                    [twilio]\nauth_token = \"real\"\naccount_sid = \"AC1\"\n";
        let config = Config::parse(text, std::iter::empty()).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let apart = apart(config, &folder).expect("a free port");
        assert_eq!(apart.database.url, DatabaseConfig::default().url);
        assert_eq!(apart.server.data_dir, folder.path());
        assert_eq!(apart.handoff.telephone, "");
        assert_eq!(apart.providers.twilio.account_sid, "");
        assert_eq!(apart.providers.twilio.auth_token.expose(), SECRET);
        assert!(apart.server.listen.ip().is_loopback());
    }
}
