//! The embedded language model: a worker process of ours, started, watched, restarted and stopped by this server.
//!
//! ```text
//!  Starting ─ healthy ─▶ Ready ─ exited, hung ─▶ Waiting (backoff) ─▶ Starting        any ─ stop ─▶ Stopped
//! ```
//!
//! llama.cpp can't share a binary with whisper.cpp, and a crash of it costs no call: while the worker is away answers
//! come word for word from the knowledge base or from a person.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::openai::{Endpoint, install_crypto};
use crate::telemetry::{Secret, metric};

/// Reading a model from a cold disk takes long.
const LOADING: Duration = Duration::from_secs(180);
const HEALTH_EVERY: Duration = Duration::from_secs(5);
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);
/// Failed health checks in a row before the worker is replaced.
const HEALTH_STRIKES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A worker that ran this long starts over with the first backoff.
const PROVEN: Duration = Duration::from_secs(60);
const STOPPING: Duration = Duration::from_secs(3);
/// Longest line of the worker that is read.
const LINE: u64 = 8 * 1_024;
/// The worker program's name.
pub const PROGRAM: &str = "warmline-llm-worker";

/// How to start the worker.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    /// The program.
    pub program: PathBuf,
    /// The gguf file.
    pub model: PathBuf,
    /// Threads until the first clause of a reply is out.
    pub threads: usize,
    /// Threads for the rest of it, while the voice speaks.
    pub threads_after_clause: usize,
    /// Tokens kept in all.
    pub context: u32,
}

impl WorkerSpec {
    fn command(&self, token: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--model")
            .arg(&self.model)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--threads", &self.threads.to_string()])
            .args(["--threads-after-clause", &self.threads_after_clause.to_string()])
            .args(["--context", &self.context.to_string()])
            .args(["--parent-pid", &std::process::id().to_string()])
            .env("WARMLINE_LLM_TOKEN", token)
            // Closing its standard input tells the worker that we are gone, however we went.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// The worker program beside this one, or on the path; `configured` wins.
pub fn find_program(configured: &Path) -> Option<PathBuf> {
    if !configured.as_os_str().is_empty() {
        return configured.exists().then(|| configured.to_owned());
    }
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(PROGRAM)));
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).collect::<Vec<_>>())
        .unwrap_or_default();
    beside.into_iter().chain(on_path).find(|program| program.is_file())
}

/// The worker's address while it is healthy, and the future that keeps it so; the caller owns the task.
pub fn supervise(
    spec: WorkerSpec,
    cancel: CancellationToken,
) -> (watch::Receiver<Option<Endpoint>>, impl Future<Output = ()>) {
    let (status, receiver) = watch::channel(None);
    let run = async move {
        install_crypto();
        let mut backoff = FIRST_BACKOFF;
        while !cancel.is_cancelled() {
            let began = tokio::time::Instant::now();
            let reason = tokio::select! {
                reason = run_once(&spec, &status) => reason,
                () = cancel.cancelled() => break,
            };
            status.send_replace(None);
            if began.elapsed() > PROVEN {
                backoff = FIRST_BACKOFF;
            }
            error!(reason, "The embedded language model is gone; starting it again in {backoff:?}");
            metrics::counter!(metric::LLM_RESTARTS).increment(1);
            tokio::select! {
                () = sleep(backoff) => {}
                () = cancel.cancelled() => break,
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
        status.send_replace(None);
    };
    (receiver, run)
}

#[derive(Deserialize)]
struct Listening {
    listening: String,
}

/// Starts the worker and watches it; gives the reason why it is gone. Dropping this future stops the worker.
async fn run_once(spec: &WorkerSpec, status: &watch::Sender<Option<Endpoint>>) -> String {
    let token: String = uuid::Uuid::new_v4().simple().to_string() + &uuid::Uuid::new_v4().simple().to_string();
    let mut child = match spec.command(&token).spawn() {
        Ok(child) => child,
        Err(error) => return format!("{} could not be started: {error}", spec.program.display()),
    };
    // Waiting for a child closes its input, which tells the worker to stop: keep it apart.
    let stdin = child.stdin.take();
    let Some(stdout) = child.stdout.take() else { return "the worker has no output".to_owned() };
    let Some(stderr) = child.stderr.take() else { return "the worker has no error output".to_owned() };
    let mut stdout = BufReader::new(stdout);
    let log = forward(stderr);
    let watch = async {
        let mut line = String::new();
        let read = (&mut stdout).take(LINE);
        match timeout(LOADING, BufReader::new(read).read_line(&mut line)).await {
            Ok(Ok(1..)) => {}
            _ => return "it did not say where it listens".to_owned(),
        }
        let Ok(Listening { listening }) = serde_json::from_str(line.trim()) else {
            return "it said something other than where it listens".to_owned();
        };
        watch_health(&listening, &token, status).await
    };
    let reason = tokio::select! {
        reason = watch => reason,
        exit = child.wait() => match exit {
            Ok(exit) => format!("it ended with {exit}"),
            Err(error) => format!("it can't be waited for: {error}"),
        },
        () = log => "its error output closed".to_owned(),
    };
    status.send_replace(None);
    drop(stdin);
    stop(child).await;
    reason
}

async fn watch_health(address: &str, token: &str, status: &watch::Sender<Option<Endpoint>>) -> String {
    let Ok(http) = reqwest::Client::builder().timeout(HEALTH_PATIENCE).build() else {
        return "no HTTP client could be made".to_owned();
    };
    let url = format!("http://{address}/health");
    let loading = tokio::time::Instant::now();
    let mut strikes = 0;
    loop {
        let healthy =
            http.get(&url).bearer_auth(token).send().await.is_ok_and(|response| response.status().is_success());
        let ready = status.borrow().is_some();
        match (healthy, ready) {
            (true, false) => {
                info!(took_ms = loading.elapsed().as_millis() as u64, "The embedded language model is ready");
                let key = Secret::new(token.to_owned());
                status.send_replace(Some(Endpoint { url: format!("http://{address}/v1"), key }));
            }
            (true, true) => strikes = 0,
            (false, true) => {
                strikes += 1;
                warn!(strikes, "The embedded language model does not answer its health check");
                if strikes >= HEALTH_STRIKES {
                    return "it hangs".to_owned();
                }
            }
            (false, false) if loading.elapsed() > LOADING => return "its model did not load".to_owned(),
            (false, false) => {}
        }
        sleep(if status.borrow().is_some() { HEALTH_EVERY } else { Duration::from_millis(200) }).await;
    }
}

/// The worker's error output, line by line into our log.
async fn forward(stderr: tokio::process::ChildStderr) {
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => {
                // Some workers close it early; that alone is no reason to restart.
                std::future::pending::<()>().await;
            }
            Ok(_) => tracing::debug!(target: "warmline::llm_worker", "{}", String::from_utf8_lossy(&line).trim_end()),
        }
    }
}

/// Gives the worker, whose input is closed, a moment to stop; then ends it.
async fn stop(mut child: Child) {
    if timeout(STOPPING, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        warn!(%error, "The embedded language model could not be ended");
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
