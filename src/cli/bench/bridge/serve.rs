//! The server that is measured: the whole one, with stand-ins for ears and mouth, and an account for each person.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::People;
use crate::app::App;
use crate::cli::bench::handoff::ground::{prepare, stand_ins};
use crate::cli::{CliError, say_json};
use crate::config::Config;
use crate::engine::vad::energy::EnergyVad;
use crate::handoff::AgentId;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, UserRecord, UserRole};
use crate::telemetry::Secret;
use crate::web::auth::Accounts;

/// What callers' webhooks are signed with.
pub(in crate::cli::bench) const SECRET: &str = "bench";

/// Serves until the process is ended. Prints where, and the tokens of `people` agents, before that.
pub(super) async fn serve(mut config: Config, folder: &Path, people: usize, record: bool) -> Result<(), CliError> {
    prepare(&mut config, folder, people)?;
    config.providers.twilio.auth_token = Secret::new(SECRET.to_owned());
    config.routing.resume_abandoned_s = 0;
    // What it ends is looked at, not how long it is.
    config.handoff.restart_patience_s = 5;
    config.recording.enabled = record;
    let failed =
        |error: &dyn std::fmt::Display| CliError::failed(format!("the agents' accounts can't be made: {error}"), "");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.database.url, folder).await?);
    let accounts = Accounts::new(store.clone());
    let mut tokens = Vec::with_capacity(people);
    for number in 0..people {
        let name = format!("agent{number:04}");
        // No password fits this, and making one that does would take longer than the measurement.
        let password_hash = Secret::new("none".to_owned());
        let id = AgentId(uuid::Uuid::now_v7().to_string());
        let user =
            UserRecord { id, name: name.clone(), password_hash, role: UserRole::Agent, must_change_password: false };
        // They are there already when it is started again on the same records.
        if store.find_user(&name).await?.is_none() {
            store.add_user(&user).await?;
        }
        let token = accounts.api_token(&name, Duration::from_secs(86_400)).await.map_err(|error| failed(&error))?;
        tokens.push(token.expose().clone());
    }
    store.close().await;
    let base = config.server.base_url();
    let mut app = App::start_with(config, stand_ins(Arc::new(EnergyVad))).await?;
    app.warmed_up().await;
    app.prepared().await;
    say_json(&People { base, tokens })?;
    std::future::pending().await
}
