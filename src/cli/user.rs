//! `warmline user`: accounts and API tokens, straight in the database, with the server running or not.

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use super::{CliError, explain, say};
use crate::config::Config;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError, UserRole};
use crate::web::auth::{Accounts, AuthError, OneTimePassword};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Arguments of `warmline user`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an account and print its one-time password
    Add {
        /// Sign-in name: 2 to 64 characters out of a-z, 0-9, `.`, `-`, `_`, `@`
        name: String,
        /// What it may do: `agent` takes calls, `supervisor` sees all calls, `admin` manages accounts
        #[arg(long, default_value = "agent")]
        role: UserRole,
    },
    /// Give an account a new one-time password and end its sign-ins
    Reset {
        /// Sign-in name
        name: String,
    },
    /// Print a token for programs that act as this account
    Token {
        /// Sign-in name
        name: String,
        /// Days until it expires
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
        days: u32,
    },
}

/// Runs `warmline user`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let store = SqliteStore::open(&config.database.url, &config.server.data_dir).await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let result = change(args.command, &Accounts::new(store.clone())).await;
    store.close().await;
    result
}

async fn change(command: Command, accounts: &Accounts) -> Result<(), CliError> {
    match command {
        Command::Add { name, role } => {
            let (_, password) = accounts.add(&name, role).await.map_err(|error| named(&name, &error))?;
            show(&password)
        }
        Command::Reset { name } => {
            let password = accounts.reset(&name).await.map_err(|error| named(&name, &error))?;
            show(&password)
        }
        Command::Token { name, days } => {
            let token = accounts.api_token(&name, DAY * days).await.map_err(|error| named(&name, &error))?;
            eprintln!("Send it as `Authorization: Bearer …`. It is good for {days} days and can't be shown again.");
            say(token.expose())
        }
    }
}

fn show(password: &OneTimePassword) -> Result<(), CliError> {
    eprintln!("One-time password of {}, to be changed at first sign-in:", password.name);
    say(password.password.expose())
}

/// An error with the account's name and what to do.
fn named(name: &str, error: &AuthError) -> CliError {
    let what = format!("account `{name}`: {}", explain(error));
    match error {
        AuthError::BadName => CliError::usage(what, "Choose another name."),
        AuthError::NoSuchUser => CliError::failed(what, "`warmline user add NAME` makes one."),
        AuthError::Store(StoreError::Conflict { .. }) => {
            CliError::failed(what, "`warmline user reset NAME` gives it a new one-time password.")
        }
        _ => CliError::failed(what, ""),
    }
}
