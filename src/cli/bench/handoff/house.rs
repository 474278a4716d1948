//! The server of a storm in a process of its own, which is killed and started again on the same records and at the same address.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::ground::{Board, Books, accounts, draw, prepare, stand_ins, within};
use super::with_short_deadlines;
use crate::app::App;
use crate::cli::bench::bridge::SECRET;
use crate::cli::bench::process::helper;
use crate::cli::{CliError, say};
use crate::config::Config;
use crate::engine::vad::fake::FakeVad;
use crate::telemetry::Secret;

/// For a process to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server says when it listens.
const READY: &str = "ready";
/// How long after the start callers may come back: what it ends is not looked at here.
const COMES_BACK_S: u32 = 30;

/// A server that can be killed.
pub(super) struct House {
    folder: TempDir,
    database: String,
    listen: SocketAddr,
    callers: usize,
    process: Child,
    pub base: String,
    /// One an agent.
    pub tokens: Vec<Secret<String>>,
}

impl House {
    /// With so many agents, and lines for so many callers.
    pub async fn open(mut config: Config, agents: usize, callers: usize) -> Result<Self, CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::failed(format!("the server can't be made: {error}"), "");
        let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
        prepare(&mut config, folder.path(), callers)?;
        let tokens = accounts(&config, agents).await.map_err(|error| failed(&error))?;
        let (listen, base, database) = (config.server.listen, config.server.base_url(), config.database.url.clone());
        let process = start(folder.path(), listen, callers).await?;
        Ok(Self { folder, database, listen, callers, process, base, tokens })
    }

    /// Whenever the board says so: nothing is said, nothing written, and then it is there again. Until nobody is told any more.
    pub async fn stand(
        mut self,
        board: Board,
        seed: u64,
        mut over: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Self, CliError> {
        for kill in 0u64.. {
            tokio::select! {
                () = board.fires() => {}
                _ = over.wait_for(|over| *over) => break,
            }
            tokio::time::sleep(within(0, 250, draw(seed, 40, kill, 0))).await;
            self.kill(&board).await?;
            // One in three dies again before all of its callers are back.
            if draw(seed, 41, kill, 0) < 0.33 {
                tokio::time::sleep(within(0, 600, draw(seed, 42, kill, 0))).await;
                board.fault("server_killed_again");
                self.kill(&board).await?;
            }
        }
        Ok(self)
    }

    async fn kill(&mut self, board: &Board) -> Result<(), CliError> {
        // Told before and after: whoever connects to a process that dies just then is not hung up on.
        board.see().kills += 1;
        let _ = self.process.start_kill();
        let _ = self.process.wait().await;
        board.see().kills += 1;
        self.process = start(self.folder.path(), self.listen, self.callers).await?;
        Ok(())
    }

    /// Lets the server stop and looks into its records.
    pub async fn close(mut self) -> Result<Books, CliError> {
        drop(self.process.stdin.take());
        let stopped = timeout(PATIENCE, self.process.wait()).await;
        if !stopped.is_ok_and(|status| status.is_ok_and(|status| status.success())) {
            return Err(CliError::failed("the server did not stop as it should", "Run it with a log: RUST_LOG=info."));
        }
        Books::read(&self.database, self.folder.path()).await
    }
}

async fn start(folder: &Path, listen: SocketAddr, callers: usize) -> Result<Child, CliError> {
    let (folder, listen, callers) = (folder.to_string_lossy(), listen.to_string(), callers.to_string());
    let arguments = ["handoff", "--serve", &listen, "--folder", &folder, "--callers", &callers];
    let mut process = helper("0-1", 2, &arguments)?;
    let failed = || CliError::failed("the server does not start", "Run it with a log: RUST_LOG=info.");
    let mut said = BufReader::new(process.stdout.take().ok_or_else(failed)?).lines();
    match timeout(PATIENCE, said.next_line()).await {
        Ok(Ok(Some(line))) if line == READY => Ok(process),
        _ => Err(failed()),
    }
}

/// The process itself: serves until its input ends, or it is killed.
pub(super) async fn serve(config: Config, listen: SocketAddr, folder: &Path, callers: usize) -> Result<(), CliError> {
    let mut config = with_short_deadlines(config);
    prepare(&mut config, folder, callers)?;
    config.server.listen = listen;
    config.providers.twilio.auth_token = Secret::new(SECRET.to_owned());
    config.handoff.restart_patience_s = COMES_BACK_S;
    // Tones are not speech: nobody barges in.
    let mut app = App::start_with(config, stand_ins(Arc::new(FakeVad::loudness(30_000)))).await?;
    app.warmed_up().await;
    app.prepared().await;
    say(READY)?;
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = input.await; // However it ended, nobody needs us any more.
    app.stop().await;
    Ok(())
}
