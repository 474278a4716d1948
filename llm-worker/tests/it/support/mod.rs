//! A worker process and a client that speaks just enough HTTP to be rude with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// The smallest model's file: `WARMLINE_TEST_GGUF`, else where `warmline models fetch` puts SmolLM2.
fn model() -> Option<PathBuf> {
    let given = std::env::var_os("WARMLINE_TEST_GGUF").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let fetched = cache.map(|cache| cache.join("warmline/models/smollm2-135m-instruct-q4_1.gguf"));
    let found = given.or(fetched).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: no model; fetch SmolLM2 or set WARMLINE_TEST_GGUF");
    }
    found
}

/// A running worker; killed when dropped.
pub struct Worker {
    pub child: Child,
    pub address: SocketAddr,
    token: Option<String>,
    _output: BufReader<ChildStdout>,
    /// One model at a time: the tests are about behaviour, and two on two cores would only be slow.
    _turn: MutexGuard<'static, ()>,
}

impl Worker {
    /// Starts a worker and waits until it is healthy; `None` if there is no model.
    pub fn start(flags: &[&str]) -> Option<Self> {
        Self::start_with(flags, None)
    }

    pub fn start_with(flags: &[&str], token: Option<&str>) -> Option<Self> {
        let worker = Self::launch(flags, token)?;
        for _ in 0..2_400 {
            let health = worker.get("/health");
            match (health.status, health.json()["status"].as_str()) {
                (200, Some("ok")) => return Some(worker),
                (503, Some("loading")) => std::thread::sleep(Duration::from_millis(50)),
                other => panic!("a starting worker is ok or loading, not {other:?}"),
            }
        }
        panic!("the model did not load in two minutes");
    }

    /// Starts a worker that may still be loading.
    pub fn launch(flags: &[&str], token: Option<&str>) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let model = model()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = Command::new(env!("CARGO_BIN_EXE_warmline-llm-worker"));
        command.arg("--model").arg(model).args(flags).env_remove("WARMLINE_LLM_TOKEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).env("WARMLINE_LOG", "warn");
        if let Some(token) = token {
            command.env("WARMLINE_LLM_TOKEN", token);
        }
        let mut child = command.spawn().expect("the worker starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"));
        let address = line["listening"].as_str().and_then(|a| a.parse().ok()).expect("an address");
        Some(Self { child, address, token: token.map(str::to_owned), _output: output, _turn: turn })
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, "").finish()
    }

    /// A chat request, answered whole.
    pub fn chat(&self, body: &Value) -> Response {
        self.request("POST", "/v1/chat/completions", &body.to_string()).finish()
    }

    /// A chat request whose answer is read bit by bit.
    pub fn open(&self, body: &Value) -> Response {
        self.request("POST", "/v1/chat/completions", &body.to_string())
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a valid timeout");
        let authorization = self.token.as_ref().map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it reads");
        Response::read(stream)
    }

    /// Leaves the bearer token out from now on.
    pub fn forget_token(&mut self) {
        self.token = None;
    }

    /// Waits until `/health` is as wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut health = Value::Null;
        for _ in 0..24_000 {
            health = self.get("/health").json();
            if wanted(&health) {
                return health;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what} did not come in two minutes: {health}");
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is ours");
    }

    /// Waits for the process to end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        for _ in 0..12_000 {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the worker did not end in two minutes");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer; its body is read as far as wanted.
pub struct Response {
    pub status: u16,
    pub headers: Vec<String>,
    reader: BufReader<TcpStream>,
    pub body: String,
}

impl Response {
    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_ascii_lowercase());
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        Self { status: status.expect("a status line"), headers: lines, reader, body: String::new() }
    }

    /// The next line that holds SSE data, without its prefix; chunk sizes and comments are skipped.
    pub fn next_event(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("the stream goes on") == 0 {
                return None;
            }
            if let Some(data) = line.trim_end().strip_prefix("data: ") {
                return Some(data.to_owned());
            }
        }
    }

    /// All remaining events but `[DONE]`, which must be the last.
    #[track_caller]
    pub fn events(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(data) = self.next_event() {
            if data == "[DONE]" {
                return all;
            }
            all.push(serde_json::from_str(&data).expect("JSON"));
        }
        panic!("the stream ended without [DONE]: {all:?}");
    }

    fn finish(mut self) -> Self {
        let mut body = Vec::new();
        self.reader.read_to_end(&mut body).expect("the answer ends");
        self.body = String::from_utf8(body).expect("UTF-8");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }
}
