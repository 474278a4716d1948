//! What others do with the same sounds: each is a program of its own. `scripts/compare` installs and starts them.
//!
//! Its first line says who it is, `{"name": "faster-whisper, int8, beam 5"}`. What follows depends on what is measured:
//! - `bench stt`: the path of a WAV file a line, each answered with one, `{"text": "…", "decode_ms": 812.4, "cpu_ms": 1570.1}`
//!   (`tests/bench/faster_whisper_peer.py`).
//! - `bench turn`: the same, answered with when turns ended, in the file's time, and how long the model thought each time,
//!   `{"ends_ms": [2410, 5320], "model_ms": [61.2, 60.8]}` (`tests/bench/smart_turn_peer.py`).
//! - `bench latency`: nothing. The first line names a media socket besides, `"url": "ws://127.0.0.1:4100/ws"`, which is called
//!   (`tests/bench/pipecat_peer.py`). The peer ends when its input does.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::cli::CliError;

/// Loading a model may take this long, and so may a file.
const PATIENCE: Duration = Duration::from_secs(120);
/// Threads of a peer may spin for a while after their work; ours should not suffer from it.
const SETTLE: Duration = Duration::from_millis(300);

/// A peer that waits for files.
pub struct Peer {
    /// What it calls itself.
    pub name: String,
    /// Its media socket, if it has one.
    pub url: Option<String>,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// What a peer made of a file.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerTranscript {
    /// What was said.
    pub text: String,
    /// Time it took, reading the file excluded.
    pub decode_ms: f64,
    /// Time of all its threads.
    pub cpu_ms: f64,
}

/// When a peer took turns for ended.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerTurns {
    /// Since the file's begin, in order, the time its decisions took included.
    pub ends_ms: Vec<u32>,
    /// What each decision took.
    pub model_ms: Vec<f64>,
}

#[derive(Deserialize)]
struct Hello {
    name: String,
    url: Option<String>,
}

impl Peer {
    /// Starts `command` with the shell and waits until it is ready.
    pub async fn start(command: &str) -> Result<Self, CliError> {
        let fail = |reason: String| CliError::failed(format!("peer `{command}`: {reason}"), "");
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fail(error.to_string()))?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut peer = Self { name: command.to_owned(), url: None, input, output, _child: child };
        let hello: Hello = peer.answer().await.map_err(fail)?;
        (peer.name, peer.url) = (hello.name, hello.url);
        Ok(peer)
    }

    /// Starts them all.
    pub async fn start_all(commands: &[String]) -> Result<Vec<Self>, CliError> {
        let mut peers = Vec::new();
        for command in commands {
            peers.push(Self::start(command).await?);
        }
        Ok(peers)
    }

    /// Has it recognise `file`.
    pub async fn transcribe(&mut self, file: &Path) -> Result<PeerTranscript, CliError> {
        let heard = self.ask(file).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(heard)
    }

    /// Has it say when turns end in `file`.
    pub async fn turns(&mut self, file: &Path) -> Result<PeerTurns, CliError> {
        self.ask(file).await
    }

    async fn ask<T: DeserializeOwned>(&mut self, file: &Path) -> Result<T, CliError> {
        let line = format!("{}\n", file.display());
        let asked = async {
            self.input.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
            self.answer().await
        };
        asked.await.map_err(|reason| CliError::failed(format!("peer {}: {reason}", self.name), ""))
    }

    async fn answer<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        match timeout(PATIENCE, self.output.next_line()).await {
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(None)) => Err("it ended".to_owned()),
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| format!("{error} in `{line}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_answers_each_file_with_a_line() {
        let script = r#"sh -c 'echo "{\"name\":\"echo\"}"; while read -r file; do echo "{\"text\":\"$file\",\"decode_ms\":3,\"cpu_ms\":5}"; done'"#;
        let mut peer = Peer::start(script).await.expect("started");
        assert_eq!(peer.name, "echo");
        for file in ["one.wav", "two.wav"] {
            let heard = peer.transcribe(Path::new(file)).await.expect("answered");
            assert_eq!((heard.text.as_str(), heard.decode_ms, heard.cpu_ms), (file, 3.0, 5.0));
        }
    }

    #[tokio::test]
    async fn a_peer_says_when_turns_end_and_where_it_is_called() {
        let script = r#"sh -c 'echo "{\"name\":\"p\",\"url\":\"ws://127.0.0.1:9/ws\"}"; while read -r file; do echo "{\"ends_ms\":[900,2400],\"model_ms\":[61.5,60]}"; done'"#;
        let mut peer = Peer::start(script).await.expect("started");
        assert_eq!(peer.url.as_deref(), Some("ws://127.0.0.1:9/ws"));
        let turns = peer.turns(Path::new("one.wav")).await.expect("answered");
        assert_eq!((turns.ends_ms, turns.model_ms), (vec![900, 2_400], vec![61.5, 60.0]));
        let error = peer.transcribe(Path::new("one.wav")).await.expect_err("no transcript").to_string();
        assert!(error.contains("missing field `text`"), "{error}");
    }

    #[tokio::test]
    async fn a_peer_that_ends_or_babbles_is_named() {
        for (script, expected) in [("true", "it ended"), ("echo hello", "in `hello`")] {
            let error = Peer::start(script).await.err().expect("no peer").to_string();
            assert!(error.contains(script) && error.contains(expected), "{error}");
        }
    }
}
