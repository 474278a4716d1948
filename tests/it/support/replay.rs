//! Plays fixtures into a provider's protocol, and watches that the protocol keeps the promises of its trait.
//!
//! The fuzz target includes this file too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use warmline::audio::frame::AudioFrame;
use warmline::audio::mix::level_dbfs;
use warmline::audio::units::{Millis, SampleRate};
use warmline::config::Config;
use warmline::telephony::handshake::{Arrival, Handshake, Opening};
use warmline::telephony::protocol::{
    Caption, CloseReason, Digit, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, Transfer,
    Verdict, WsMessage,
};
use warmline::telephony::providers::{PROVIDERS, ProviderSpec};
use warmline::telephony::signature::replay::ReplayCache;

/// One line of a fixture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Milliseconds since the socket opened.
    pub at_ms: u64,
    /// `handshake` (only as the first line), `in`, `command` or `end`.
    pub dir: String,
    /// `text`, `binary` or `closed`.
    #[serde(default)]
    pub kind: String,
    /// The message or command.
    #[serde(default)]
    pub data: Value,
    /// Spaces to add at the end of a text.
    #[serde(default)]
    pub pad: usize,
}

/// A command as fixtures write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    AudioMs(u32),
    Mark(u64),
    Clear {},
    Caption(Caption),
    Dtmf(String),
    Transfer { target: String, variables: BTreeMap<String, String> },
    Hangup {},
    Refuse(String),
}

/// The request behind a socket, as fixtures write it. All of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// What follows the row's path: `/tail?query`.
    pub rest: String,
    /// By name.
    pub headers: BTreeMap<String, String>,
    /// The configuration, as TOML.
    pub config: String,
    /// Our clock, in seconds since 1970.
    pub unix_s: i64,
}

impl Request {
    fn handshake(&self, spec: &ProviderSpec) -> Handshake {
        let mut handshake = Handshake::to(spec.path, &format!("{}{}", spec.path, self.rest));
        self.headers.iter().for_each(|(name, value)| handshake.add_header(name, value));
        handshake
    }

    fn config(&self) -> Config {
        Config::parse(&self.config, std::iter::empty()).expect("a fixture's configuration is valid")
    }

    /// What the row's check says about it.
    #[expect(clippy::disallowed_methods, reason = "nonces are remembered from an arbitrary start")]
    fn verdict(&self, spec: &ProviderSpec) -> String {
        let (handshake, config) = (self.handshake(spec), self.config());
        let arrival = Arrival {
            handshake: &handshake,
            settings: &config.providers,
            base_url: "https://voice.example.com",
            now: Instant::now(),
            unix_s: self.unix_s,
            replays: &ReplayCache::default(),
        };
        format!("{:?}", (spec.check)(&arrival))
    }
}

/// Where a provider's fixtures are; the fuzz target's package lies deeper than this one.
pub fn folder(spec: &ProviderSpec) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = here.ancestors().map(|folder| folder.join("tests/fixtures"));
    roots.into_iter().find(|root| root.is_dir()).unwrap_or_default().join(spec.name)
}

/// Names of a provider's fixtures, sorted, without `.jsonl`.
pub fn fixtures(spec: &ProviderSpec) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(spec)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned)).collect()
}

/// The lines of one fixture.
pub fn load(spec: &ProviderSpec, fixture: &str) -> Vec<Line> {
    let path = folder(spec).join(format!("{fixture}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parse =
        |(n, line)| serde_json::from_str(line).unwrap_or_else(|error| panic!("{fixture} line {}: {error}", n + 1));
    text.lines().enumerate().map(parse).collect()
}

impl Line {
    /// The message of an `in` line.
    pub fn message(&self) -> WsMessage {
        match self.kind.as_str() {
            "text" => {
                let text = self.data.as_str().map_or_else(|| self.data.to_string(), str::to_owned);
                WsMessage::Text(text + &" ".repeat(self.pad))
            }
            "binary" => {
                let data = self.data.as_str().expect("binary data is base64 text");
                WsMessage::Binary(BASE64.decode(data).expect("binary data is base64"))
            }
            "closed" => WsMessage::Closed,
            other => panic!("kind `{other}`"),
        }
    }
}

/// A protocol under watch: everything goes through here, and every output is held against the trait's promises.
pub struct Watched {
    protocol: Box<dyn MediaProtocol>,
    opened: Instant,
    /// Of what it emits, and of what it takes.
    rates: (SampleRate, SampleRate),
    sent: BTreeSet<MarkId>,
    settled: BTreeSet<MarkId>,
    started: bool,
    stopped: bool,
    refused: bool,
    /// Something was sent though nothing has started: somebody only tries the connection.
    probed: bool,
    closed: Option<CloseReason>,
}

impl Watched {
    /// A new stream of that provider.
    pub fn open(spec: &ProviderSpec) -> Self {
        Self::open_with(spec, &Request::default())
    }

    /// A new stream behind that request.
    #[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the script")]
    pub fn open_with(spec: &ProviderSpec, request: &Request) -> Self {
        let opened = Instant::now();
        let (handshake, config) = (request.handshake(spec), request.config());
        let opening = Opening { now: opened, handshake: &handshake, settings: &config.providers };
        Self {
            protocol: (spec.open)(&opening),
            opened,
            rates: (spec.formats[0].rate, spec.formats[0].rate),
            sent: BTreeSet::new(),
            settled: BTreeSet::new(),
            started: false,
            stopped: false,
            refused: false,
            probed: false,
            closed: None,
        }
    }

    /// Lets the time come to `at_ms`, deadlines on the way included.
    pub fn advance(&mut self, at_ms: u64) -> Vec<(u64, Vec<Output>)> {
        let mut happened = Vec::new();
        while let Some(deadline) = self.protocol.poll_timeout().filter(|at| *at <= self.opened + ms(at_ms)) {
            self.protocol.handle_timeout(deadline);
            happened.push(((deadline - self.opened).as_millis() as u64, self.drain()));
            assert_ne!(self.protocol.poll_timeout(), Some(deadline), "a deadline that was handled stays");
            assert!(happened.len() < 1_000, "deadlines without end");
        }
        happened
    }

    /// A message comes in.
    pub fn message(&mut self, at_ms: u64, message: WsMessage) -> (Result<(), ProtocolError>, Vec<Output>) {
        let result = self.protocol.handle_message(self.opened + ms(at_ms), message);
        (result, self.drain())
    }

    /// The call wants something.
    pub fn command(&mut self, at_ms: u64, command: MediaCommand) -> (Result<(), ProtocolError>, Vec<Output>) {
        if let MediaCommand::Mark(mark) = command {
            self.sent.insert(mark);
        }
        let result = self.protocol.handle_command(self.opened + ms(at_ms), command);
        (result, self.drain())
    }

    /// The stream may not come in.
    pub fn refuse(&mut self, reason: CloseReason) -> Vec<Output> {
        self.refused = true;
        self.protocol.handle_refusal(reason);
        self.drain()
    }

    /// A frame of a tone as the driver would hand it over.
    pub fn tone(&self, span: Millis) -> AudioFrame {
        let rate = self.rates.1;
        let pcm: Vec<i16> = (0..rate.samples_in(span)).map(|n| if n % 16 < 8 { 4_000 } else { -4_000 }).collect();
        AudioFrame::new(Millis(0), rate, pcm)
    }

    fn drain(&mut self) -> Vec<Output> {
        let outputs: Vec<_> = std::iter::from_fn(|| self.protocol.poll_output()).take(10_000).collect();
        assert!(outputs.len() < 10_000, "outputs without end");
        for output in &outputs {
            assert_eq!(self.closed, None, "nothing follows a close: {output:?}");
            match output {
                Output::Close(reason) => self.closed = Some(*reason),
                Output::Send(message) => {
                    self.probed |= !(self.started || self.refused || self.stopped);
                    assert!(!matches!(message, WsMessage::Closed), "a close is an output of its own");
                }
                Output::Event(event) => self.watch(event),
            }
        }
        outputs
    }

    fn watch(&mut self, event: &MediaEvent) {
        assert!(!self.stopped, "`Stopped` is the last event, then came {event:?}");
        match event {
            MediaEvent::Started(start) => {
                assert!(!self.started, "a second start");
                assert!(!self.probed, "nothing is sent before a start");
                self.rates = (start.rate, start.plays_at);
                self.started = true;
            }
            MediaEvent::Stopped(_) => self.stopped = true,
            MediaEvent::Audio(frame) => assert!(self.started && !frame.pcm.is_empty() && frame.rate == self.rates.0),
            MediaEvent::Dtmf(_) | MediaEvent::Gap(_) => assert!(self.started),
            MediaEvent::MarkPlayed(mark) | MediaEvent::MarkDiscarded(mark) => {
                assert!(self.sent.contains(mark), "{mark:?} was never sent");
                assert!(self.settled.insert(*mark), "{mark:?} is played or discarded once");
            }
        }
    }
}

/// What happens when a fixture is played, as text.
pub fn replay(spec: &ProviderSpec, fixture: &str) -> String {
    let mut lines = load(spec, fixture);
    let mut story = String::new();
    let request = match lines.first() {
        Some(line) if line.dir == "handshake" => {
            let request: Request = serde_json::from_value(lines.remove(0).data).expect("a handshake");
            writeln!(story, "handshake {:?} → {}", request.rest, request.verdict(spec)).expect("a string takes text");
            request
        }
        _ => Request::default(),
    };
    let mut watched = Watched::open_with(spec, &request);
    for line in lines {
        for (at, outputs) in watched.advance(line.at_ms) {
            tell(&mut story, at, "time passes", &Ok(()), &outputs);
        }
        let (what, (result, outputs)) = match line.dir.as_str() {
            "in" => {
                let message = line.message();
                (shown(&message), watched.message(line.at_ms, message))
            }
            "command" => {
                let text = line.data.to_string();
                let outcome = match serde_json::from_value(line.data).expect("a command") {
                    Command::AudioMs(span) => {
                        let frame = watched.tone(Millis(span));
                        watched.command(line.at_ms, MediaCommand::Audio(frame))
                    }
                    Command::Mark(id) => watched.command(line.at_ms, MediaCommand::Mark(MarkId(id))),
                    Command::Clear {} => watched.command(line.at_ms, MediaCommand::Clear),
                    Command::Caption(caption) => watched.command(line.at_ms, MediaCommand::Caption(caption)),
                    Command::Dtmf(key) => {
                        let digit = key.chars().next().and_then(Digit::new).expect("a key");
                        watched.command(line.at_ms, MediaCommand::Dtmf(digit))
                    }
                    Command::Transfer { target, variables } => {
                        let variables = variables.into_iter().map(|(name, value)| (name, value.into())).collect();
                        watched
                            .command(line.at_ms, MediaCommand::Transfer(Transfer { target: target.into(), variables }))
                    }
                    Command::Hangup {} => watched.command(line.at_ms, MediaCommand::Hangup),
                    Command::Refuse(reason) => {
                        let reason = if reason == "busy" { CloseReason::Busy } else { CloseReason::Unauthorized };
                        (Ok(()), watched.refuse(reason))
                    }
                };
                (format!("command {text}"), outcome)
            }
            "end" => continue,
            other => panic!("dir `{other}`"),
        };
        tell(&mut story, line.at_ms, &what, &result, &outputs);
    }
    story
}

fn tell(story: &mut String, at: u64, what: &str, result: &Result<(), ProtocolError>, outputs: &[Output]) {
    let mut told: Vec<_> = outputs.iter().map(output).collect();
    if let Err(error) = result {
        let verdict = match error.verdict() {
            Verdict::Skip => "skipped",
            Verdict::Close => "unusable",
        };
        told.insert(0, format!("{verdict} ({}): {error}", error.label()));
    }
    if told.is_empty() {
        told.push("nothing".to_owned());
    }
    writeln!(story, "+{at}ms {what}").expect("a string takes text");
    for line in told {
        writeln!(story, "      → {line}").expect("a string takes text");
    }
}

fn output(output: &Output) -> String {
    match output {
        Output::Send(message) => format!("send {}", shown(message)),
        Output::Event(MediaEvent::Audio(frame)) => {
            let (at, samples, rate) = (frame.at, frame.pcm.len(), frame.rate.0);
            format!("Audio at {at}: {samples}@{rate}, {:.0} dBFS", level_dbfs(&frame.pcm))
        }
        Output::Event(event) => format!("{event:?}"),
        Output::Close(reason) => format!("close {} {reason:?}", reason.code()),
    }
}

/// A message, audio and padding shortened.
fn shown(message: &WsMessage) -> String {
    match message {
        WsMessage::Binary(bytes) => format!("binary, {} bytes", bytes.len()),
        WsMessage::Closed => "socket gone".to_owned(),
        WsMessage::Text(text) => match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                for place in ["/media/payload", "/audioChunk", "/payload", "/data/audioContent", "/data/audioData"] {
                    if let Some(payload) = value.pointer_mut(place)
                        && let Some(audio) = payload.as_str().filter(|text| text.len() > 20)
                    {
                        let bytes = BASE64.decode(audio).map_or(0, |bytes| bytes.len());
                        *payload = Value::from(format!("{bytes} bytes"));
                    }
                }
                let padding = text.len() - text.trim_end().len();
                let padding = if padding > 0 { format!(" and {padding} spaces") } else { String::new() };
                format!("{value}{padding}")
            }
            Err(_) => format!("text {text:?}"),
        },
    }
}

/// Deadlines and messages lie this far from the opening.
pub fn ms(at: u64) -> Duration {
    Duration::from_millis(at)
}

/// Every text of every fixture of every provider: seeds for mutation.
pub fn seeds() -> Vec<WsMessage> {
    let all = PROVIDERS.iter().flat_map(|spec| fixtures(spec).into_iter().flat_map(move |name| load(spec, &name)));
    all.filter(|line| line.dir == "in" && line.pad == 0).map(|line| line.message()).collect()
}
