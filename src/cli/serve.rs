//! `warmline serve`: the server, until SIGTERM or Ctrl-C.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, say};
use crate::app::App;
use crate::config::Config;

/// `warmline serve`
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the server. A first signal drains; a second one ends at once.
pub async fn run(_: Args, config: Config) -> Result<(), CliError> {
    let base_url = config.server.base_url();
    let fails = |error: std::io::Error| CliError::failed(format!("signals can't be handled: {error}"), "");
    let mut terminate = signal(SignalKind::terminate()).map_err(fails)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fails)?;
    let mut app = App::start(config).await?;
    let url = if base_url.contains(":0") { format!("http://{}", app.address) } else { base_url };
    let mut welcome = format!("Warmline is up.\n  Call from a browser   {url}/\n  Console for agents    {url}/agent\n");
    if let Some(first) = &app.first_admin {
        welcome += &format!("  First administrator   {}, one-time password {}\n", first.name, first.password.expose());
    }
    welcome += &format!("  Make a test call      {}\n", test_call(&url));
    say(&welcome)?;
    let stopped_early = tokio::select! {
        () = app.warmed_up() => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if !stopped_early {
        say("Ready for calls.")?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tokio::select! {
        () = app.stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A command that calls this server: to be copied as it stands where the program and the sample question are found.
fn test_call(url: &str) -> String {
    const QUESTION: &str = "examples/question.wav";
    let program = std::env::current_exe().map_or_else(|_| "warmline".to_owned(), |path| path.display().to_string());
    let question = if Path::new(QUESTION).exists() { QUESTION } else { "QUESTION.wav" };
    format!("{program} call {url} --provider browser --audio {question}")
}
