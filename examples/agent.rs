//! An agent without a browser: signs in, goes available, accepts offers, sends a tone, keeps what it hears.
//!
//! ```text
//! cargo run --example agent -- --url http://127.0.0.1:8080 --name dana --password … --tone 440 --save heard.wav
//! ```
//!
//! Written from `docs/agent-protocol.md` alone, and uses nothing of Warmline's library, so that it can be copied. Prints
//! a JSON object a line: `at_ms` since the start, `event`, and what belongs to it; messages of the server come as they
//! are. Ends after `--calls` calls, or with exit code 1 when it is refused.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use futures::{SinkExt, StreamExt};
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Samples a second, both ways.
const RATE: u32 = 16_000;
/// Samples in 20 ms.
const FRAME: usize = 320;
/// The only version of the protocol this client knows.
const VERSION: u64 = 1;
/// Close code: the account signed in somewhere else.
const REPLACED: u16 = 4_000;
/// How often a lost connection is tried again before giving up.
const TRIES: u32 = 6;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An agent without a browser
#[derive(Debug, Parser)]
struct Args {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Sign-in name
    #[arg(long)]
    name: String,
    /// Password
    #[arg(long, env = "WARMLINE_PASSWORD", hide_env_values = true)]
    password: String,
    /// Chosen when the password was a one-time one
    #[arg(long)]
    new_password: Option<String>,
    /// Frequency of the tone the caller hears, in Hz; without it the agent is silent
    #[arg(long, value_name = "HZ")]
    tone: Option<f64>,
    /// Where to write what the caller says, 16 kHz mono
    #[arg(long, value_name = "F.wav")]
    save: Option<PathBuf>,
    /// Milliseconds between an offer and its acceptance
    #[arg(long, value_name = "MS", default_value_t = 500)]
    accept_after: u64,
    /// Ends each call after this many milliseconds; without it the caller ends it
    #[arg(long, value_name = "MS")]
    end_after: Option<u64>,
    /// Calls to take before signing out
    #[arg(long, default_value_t = 1)]
    calls: u32,
    /// Asks this colleague a second into each call, if they are free
    #[arg(long, value_name = "NAME")]
    consult: Option<String>,
    /// What is done once the colleague is there
    #[arg(long, value_enum, default_value = "complete")]
    then: Then,
    /// Parks each caller after this many milliseconds
    #[arg(long, value_name = "MS")]
    park_after: Option<u64>,
    /// Picks up callers whom colleagues have parked
    #[arg(long)]
    pick_up: bool,
    /// How each call ended, for wrap-up
    #[arg(long, default_value = "resolved")]
    disposition: String,
}

/// What becomes of a consultation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Then {
    /// The colleague gets the caller
    Complete,
    /// All three speak for three seconds, then the colleague gets the caller
    Together,
    /// The caller comes back
    Cancel,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    // TLS needs one provider for the process; a second call would fail, and there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cookie = sign_in(&args).await?;
    let mut agent = Agent::new(args)?;
    let mut failures = 0;
    loop {
        match agent.session(&cookie).await {
            Ok(End::Done) => return agent.finish(),
            Ok(End::Refused(reason)) => bail!("refused: {reason}"),
            Ok(End::Lost) => failures = 0,
            Err(error) if failures + 1 < TRIES => {
                failures += 1;
                agent.print("connection_failed", json!({ "error": format!("{error:#}") }))?;
            }
            Err(error) => return Err(error),
        }
        // A call waits 15 seconds for its agent, so the first tries come quickly.
        sleep(Duration::from_millis(250 << failures.min(5))).await;
    }
}

/// How one connection ended.
enum End {
    /// All calls were taken.
    Done,
    /// Broken; worth another try.
    Lost,
    /// The server does not want this client.
    Refused(String),
}

/// Signs in, replaces a one-time password if it must, and gives the cookie.
async fn sign_in(args: &Args) -> Result<String> {
    let client = reqwest::Client::new();
    let base = args.url.trim_end_matches('/');
    let body = json!({ "name": args.name, "password": args.password });
    let answer = client.post(format!("{base}/api/v1/session")).json(&body).send().await?;
    let (mut cookie, me) = session(answer).await.context("signing in")?;
    if me["must_change_password"] == true {
        let new = args.new_password.as_ref().context("the password is a one-time one: give --new-password")?;
        let body = json!({ "old": args.password, "new": new });
        let request = client.post(format!("{base}/api/v1/password")).header(COOKIE, &cookie).json(&body);
        (cookie, _) = session(request.send().await?).await.context("choosing a password")?;
    }
    Ok(cookie)
}

/// The cookie and the account out of an answer, or the server's reason.
async fn session(answer: reqwest::Response) -> Result<(String, Value)> {
    let status = answer.status();
    let cookie = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
    let cookie = cookie.and_then(|value| value.split(';').next()).map(str::to_owned);
    let body: Value = answer.json().await.unwrap_or_default();
    if !status.is_success() {
        bail!("{status}: {}", body["message"].as_str().unwrap_or("no reason given"));
    }
    Ok((cookie.context("the server set no cookie")?, body))
}

struct Agent {
    args: Args,
    began: Instant,
    /// The call, its wrap-up included.
    call: Option<Call>,
    taken: u32,
    tone: Tone,
    recording: Option<hound::WavWriter<BufWriter<File>>>,
}

struct Call {
    /// Its id on the wire.
    id: Value,
    /// Voice flows: between `connected` and `call_ended`.
    talking: bool,
    hold: bool,
    frames: u64,
    energy: f64,
}

impl Agent {
    fn new(args: Args) -> Result<Self> {
        let recording = args.save.as_deref().map(create_wav).transpose()?;
        let tone = Tone { step: args.tone.map(|hz| hz / f64::from(RATE)), phase: 0.0 };
        Ok(Self { args, began: Instant::now(), call: None, taken: 0, tone, recording })
    }

    /// One connection, from its hello to its end.
    async fn session(&mut self, cookie: &str) -> Result<End> {
        let url = format!("{}/agent/ws", self.args.url.trim_end_matches('/').replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("Cookie", cookie.parse()?);
        let mut socket = match connect_async(request).await {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(answer)) => return Ok(End::Refused(answer.status().to_string())),
            Err(error) => return Err(error.into()),
        };
        let mut frames = interval(Duration::from_millis(20));
        let mut pings = interval(Duration::from_secs(10));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = 0u64;
        // What to send, and when: acceptances and hang-ups come later than what causes them.
        let mut planned: VecDeque<(Instant, Value)> = VecDeque::new();
        loop {
            let due = planned.front().map(|(at, _)| *at);
            tokio::select! {
                incoming = socket.next() => match incoming {
                    None | Some(Err(_)) => return self.lost("broken"),
                    Some(Ok(Message::Close(frame))) => return self.closed(frame),
                    Some(Ok(Message::Binary(pcm))) => self.hear(&pcm)?,
                    Some(Ok(Message::Text(text))) => {
                        let message: Value = serde_json::from_str(&text).context("the server sent what is not JSON")?;
                        if message["type"] == "hello" {
                            if message["version"] != VERSION {
                                return Ok(End::Refused(format!("protocol version {}", message["version"])));
                            }
                            let every = Duration::from_millis(message["ping_ms"].as_u64().unwrap_or(10_000));
                            pings = interval(every.max(Duration::from_millis(100)));
                        }
                        if self.take(&message, &mut planned, &mut socket).await? {
                            return Ok(End::Done);
                        }
                    }
                    Some(Ok(_)) => {}
                },
                _ = frames.tick() => self.speak(&mut socket).await?,
                _ = pings.tick() => {
                    pinged += 1;
                    send(&mut socket, json!({ "type": "ping", "n": pinged })).await?;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some((_, message)) = planned.pop_front() {
                        self.print("sent", message.clone())?;
                        send(&mut socket, message).await?;
                    }
                }
            }
        }
    }

    /// Acts on one message; true when nothing is left to be done.
    async fn take(
        &mut self,
        message: &Value,
        planned: &mut VecDeque<(Instant, Value)>,
        socket: &mut Socket,
    ) -> Result<bool> {
        let kind = message["type"].as_str().unwrap_or_default();
        if kind != "pong" {
            self.print("received", message.clone())?;
        }
        match kind {
            "state" if (message["state"] == "offline" || message["state"] == "break") && self.call.is_none() => {
                if self.taken >= self.args.calls {
                    return Ok(true);
                }
                send(socket, json!({ "type": "set_state", "state": "available" })).await?;
            }
            // Closed wrap-up, or came back to find the call gone.
            "state" if message["state"] == "available" && self.taken >= self.args.calls => {
                send(socket, json!({ "type": "set_state", "state": "offline" })).await?;
                self.call = None;
            }
            "state" if message["state"] == "missed" => {
                send(socket, json!({ "type": "acknowledge_missed" })).await?;
            }
            "offer" => {
                let at = Instant::now() + Duration::from_millis(self.args.accept_after);
                planned.push_back((at, json!({ "type": "accept", "offer_id": message["offer_id"] })));
            }
            "offer_ended" if message["result"] != "accepted" => planned.clear(),
            "connected" => {
                let before = self.call.take();
                let (frames, energy) = before.map_or((0, 0.0), |call| (call.frames, call.energy));
                let id = message["call_id"].clone();
                self.call = Some(Call { id, talking: true, hold: false, frames, energy });
                // Who is only asked for advice has no caller to do anything with.
                if message["consulted_by"].is_null() {
                    self.plan(planned);
                }
            }
            "colleagues" => {
                let all = message["colleagues"].as_array().map(Vec::as_slice).unwrap_or_default();
                let wanted =
                    all.iter().find(|one| Some(one["name"].as_str().unwrap_or("")) == self.args.consult.as_deref());
                if let Some(one) = wanted.filter(|one| one["free"] == true) {
                    send(socket, json!({ "type": "consult", "agent_id": one["agent_id"] })).await?;
                }
            }
            "consult" if message["state"] == "here" && self.args.consult.is_some() => {
                let now = Instant::now();
                match self.args.then {
                    Then::Cancel => planned.push_back((now, json!({ "type": "cancel_consult" }))),
                    Then::Complete => planned.push_back((now, json!({ "type": "complete" }))),
                    Then::Together if message["mode"] == "together" => {
                        planned.push_back((now + Duration::from_secs(3), json!({ "type": "complete" })));
                    }
                    Then::Together => planned.push_back((now, json!({ "type": "consult_mode", "mode": "together" }))),
                }
            }
            "parked" if self.args.pick_up && self.call.is_none() => {
                if let Some(caller) = message["callers"].get(0) {
                    send(socket, json!({ "type": "pick_up", "call_id": caller["call_id"] })).await?;
                }
            }
            "hold" => {
                if let Some(call) = &mut self.call {
                    call.hold = message["on"] == true;
                }
            }
            "call_ended" => {
                planned.clear();
                self.taken += 1;
                if let Some(call) = self.call.take() {
                    let rms = (call.energy / (call.frames.max(1) * FRAME as u64) as f64).sqrt();
                    self.print("heard", json!({ "call_id": call.id, "frames": call.frames, "rms": rms }))?;
                }
                if message["wrap_up_ms"] == 0 {
                    return Ok(false); // advice was given, or no sound came: nothing to finish
                }
                // What the server proposes, or a sentence of our own.
                let note = message["draft"]["summary"].as_str().unwrap_or("Taken by the example client.");
                let (id, disposition) = (&message["call_id"], &self.args.disposition);
                let wrap_up = json!({ "type": "wrap_up", "call_id": id, "note": note, "disposition": disposition });
                send(socket, wrap_up).await?;
            }
            _ => {}
        }
        Ok(false)
    }

    /// What is to be done in a call, and when.
    fn plan(&self, planned: &mut VecDeque<(Instant, Value)>) {
        let now = Instant::now();
        if self.args.consult.is_some() {
            planned.push_back((now + Duration::from_secs(1), json!({ "type": "colleagues" })));
        }
        if let Some(after) = self.args.park_after {
            planned.push_back((now + Duration::from_millis(after), json!({ "type": "park" })));
        }
        if let Some(after) = self.args.end_after {
            planned.push_back((now + Duration::from_millis(after), json!({ "type": "end" })));
        }
    }

    /// One frame of our voice, if anybody listens.
    async fn speak(&mut self, socket: &mut Socket) -> Result<()> {
        match &self.call {
            Some(call) if call.talking && !call.hold => {}
            _ => return Ok(()),
        }
        let bytes: Vec<u8> = self.tone.frame().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        socket.send(Message::Binary(bytes.into())).await.context("sending voice")
    }

    /// A frame of the caller's voice.
    fn hear(&mut self, pcm: &[u8]) -> Result<()> {
        let Some(call) = self.call.as_mut().filter(|call| call.talking) else { return Ok(()) };
        call.frames += 1;
        for pair in pcm.chunks_exact(2) {
            let sample = i16::from_le_bytes([pair[0], pair[1]]);
            call.energy += (f64::from(sample) / 32_768.0).powi(2);
            if let Some(recording) = &mut self.recording {
                recording.write_sample(sample).context("writing the recording")?;
            }
        }
        Ok(())
    }

    fn closed(&mut self, frame: Option<CloseFrame>) -> Result<End> {
        match frame {
            Some(frame) if u16::from(frame.code) == REPLACED => Ok(End::Refused(frame.reason.to_string())),
            _ => self.lost("closed by the server"),
        }
    }

    fn lost(&mut self, how: &str) -> Result<End> {
        if let Some(call) = &mut self.call {
            call.talking = false; // until `connected` comes again
        }
        self.print("connection_lost", json!({ "how": how }))?;
        Ok(End::Lost)
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(recording) = self.recording.take() {
            recording.finalize().context("finishing the recording")?;
        }
        self.print("done", json!({ "calls": self.taken }))
    }

    fn print(&self, event: &str, body: Value) -> Result<()> {
        let line = json!({ "at_ms": self.began.elapsed().as_millis() as u64, "event": event, "body": body });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| anyhow!("printing: {error}"))
    }
}

/// A sine, or silence.
struct Tone {
    /// Turns a sample.
    step: Option<f64>,
    phase: f64,
}

impl Tone {
    fn frame(&mut self) -> [i16; FRAME] {
        let mut frame = [0; FRAME];
        let Some(step) = self.step else { return frame };
        for sample in &mut frame {
            *sample = (8_000.0 * (self.phase * std::f64::consts::TAU).sin()) as i16;
            self.phase = (self.phase + step).fract();
        }
        frame
    }
}

async fn send(socket: &mut Socket, message: Value) -> Result<()> {
    socket.send(Message::Text(message.to_string().into())).await.context("sending a message")
}

fn create_wav(path: &Path) -> Result<hound::WavWriter<BufWriter<File>>> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    hound::WavWriter::create(path, spec).with_context(|| format!("creating {}", path.display()))
}
