//! AudioCodes VoiceAI Connect and Live Hub, the Bot API over a websocket with voice: JSON text, audio in base64.
//!
//! ```text
//! Waiting ──session.initiate──▶ Open ──hang-up, transfer (ours)──▶ Leaving ──session.end──▶ Done
//!    │                            └───────session.end, socket gone──────────────────────────▲
//!    └──connection.validate──▶ Probe ──socket gone──────────────────────────────────────────┘
//! ```
//!
//! Source: AudioCodes' own SDK for bots; what could not be verified stands in `docs/providers/audiocodes.md`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::handshake::{Arrival, LetIn, Opening, Refusal, check_secret};
use super::json::{Parameters, Text, base64, given, parse, payload, send};
use super::lifecycle::START_TIMEOUT;
use super::packer::Shape;
use super::playout::Playout;
use super::protocol::{
    CloseReason, Digit, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason,
    StreamStart, Transfer, WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};

/// How long the provider may take to end a session we are done with, and a probe to go away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A `playStream` without audio for so long is over.
const PAUSE: Duration = Duration::from_millis(300);
/// Messages of audio.
const SHAPE: Shape = Shape { message: Millis(60), least: 1, multiple: 1 };
/// Longest value of a SIP header.
const MAX_HEADER: usize = 400;

/// What there is to choose from, the best first.
const FORMATS: &[(&str, Format)] = &[
    ("raw/lpcm16", Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND }),
    ("raw/lpcm16_24", Format { codec: Codec::L16Le, rate: SampleRate(24_000) }),
    ("raw/lpcm16_8", Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND }),
    ("raw/mulaw", Format::PCMU_8K),
];

/// The bot connection's token must be right.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    check_secret(arrival.handshake.bearer(), &arrival.settings.audiocodes.token, "audiocodes.token")?;
    Ok(LetIn::ByHandshake)
}

/// A new stream, waiting for its session.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Audiocodes { phase: Phase::Waiting { until: opening.now + START_TIMEOUT }, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Audiocodes {
    phase: Phase,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        until: Instant,
    },
    /// Somebody tries the connection from the settings; there is no call.
    Probe {
        until: Instant,
    },
    Open(Box<Session>),
    /// The session is over for us; the provider ends it.
    Leaving {
        until: Instant,
    },
    Done,
}

#[derive(Debug)]
struct Session {
    stream: Stream,
    format: &'static str,
    playout: Playout,
    /// Number of the last `playStream`.
    play: u64,
    /// While a `playStream` is open: when it is closed if nothing follows.
    playing: Option<Instant>,
    /// Whether we said that the caller speaks, and not yet that they stopped.
    interrupted: bool,
}

impl MediaProtocol for Audiocodes {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        match (&self.phase, message) {
            (Phase::Done, _) => Ok(()),
            (_, WsMessage::Text(text)) => self.handle_text(now, &text),
            (_, WsMessage::Binary(_)) => Err(ProtocolError::Kind { kind: "binary" }),
            (Phase::Open(_) | Phase::Waiting { .. }, WsMessage::Closed) => {
                self.stop(StopReason::SocketLost);
                self.phase = Phase::Done;
                Ok(())
            }
            (Phase::Probe { .. } | Phase::Leaving { .. }, WsMessage::Closed) => {
                self.phase = Phase::Done;
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (session, outputs) = match &mut self.phase {
            Phase::Waiting { .. } | Phase::Probe { .. } => return Err(ProtocolError::Order { event: "command" }),
            Phase::Leaving { .. } | Phase::Done => return Ok(()),
            Phase::Open(session) => (session, &mut self.outputs),
        };
        match command {
            MediaCommand::Audio(frame) => {
                for audio in session.stream.play(now, &frame)? {
                    session.talk(now, &audio, outputs);
                }
            }
            MediaCommand::Mark(mark) => {
                session.flush(now, outputs);
                session.playout.mark_sent(now, session.stream.played_at(now), mark);
            }
            MediaCommand::Clear => session.clear(outputs),
            MediaCommand::Dtmf(digit) => {
                // Two spellings are known; each reader finds its own.
                let keys = digit.get().to_string();
                outputs.push_back(activity("sendDtmf", json!({"dtmf": keys}), Some(&keys)));
            }
            MediaCommand::Caption(_) => {}
            MediaCommand::Transfer(transfer) => self.leave(now, activity("transfer", handover(&transfer), None)),
            MediaCommand::Hangup => {
                self.leave(now, activity("hangup", json!({"hangupReason": "conversation completed"}), None));
            }
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        let word = match reason {
            CloseReason::Busy => "all lines are busy",
            CloseReason::Unauthorized => "unauthorized",
            CloseReason::StartTimeout => "no session in time",
            CloseReason::Protocol => "no common media format",
            CloseReason::Normal => "over",
        };
        self.outputs.clear();
        self.outputs.push_back(send(&json!({"type": "session.error", "reason": word})));
        self.close(reason);
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Waiting { until } if now >= *until => {
                self.stop(StopReason::Protocol);
                self.close(CloseReason::StartTimeout);
            }
            Phase::Probe { until } | Phase::Leaving { until } if now >= *until => self.close(CloseReason::Normal),
            Phase::Open(session) => session.pass_time(now, &mut self.outputs),
            Phase::Waiting { .. } | Phase::Probe { .. } | Phase::Leaving { .. } | Phase::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until } | Phase::Probe { until } | Phase::Leaving { until } => Some(*until),
            Phase::Open(session) => {
                [session.stream.flush_at(), session.playout.next_at(), session.playing].into_iter().flatten().min()
            }
            Phase::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Audiocodes {
    fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let message: FromProvider = parse(text, "text")?;
        match (&mut self.phase, message.kind.as_str()) {
            (Phase::Waiting { .. }, "session.initiate") => self.start(message),
            (Phase::Waiting { until } | Phase::Probe { until }, "connection.validate") => {
                let until = *until;
                self.outputs.push_back(send(&json!({"type": "connection.validated", "success": true})));
                self.phase = Phase::Probe { until };
                Ok(())
            }
            (Phase::Waiting { .. } | Phase::Probe { .. }, "session.resume") => {
                // A socket that was lost has ended its call.
                self.stop(StopReason::Protocol);
                self.outputs.push_back(send(&json!({"type": "session.error", "reason": "no such session"})));
                self.close(CloseReason::Protocol);
                Ok(())
            }
            (Phase::Leaving { .. }, "session.end") => {
                self.close(CloseReason::Normal);
                Ok(())
            }
            (Phase::Leaving { .. } | Phase::Done, _) => Ok(()),
            (Phase::Open(session), kind) => {
                if message.conversation_id.as_ref().is_some_and(|id| id.0 != session.stream.id) {
                    return Err(ProtocolError::Field { event: "text", field: "conversationId" });
                }
                match kind {
                    "session.end" => {
                        self.stop(StopReason::Provider);
                        self.close(CloseReason::Normal);
                        Ok(())
                    }
                    "activities" => self.activities(now, message.activities),
                    _ => session.act(now, message, &mut self.outputs),
                }
            }
            (Phase::Waiting { .. } | Phase::Probe { .. }, kind) => match event(kind) {
                Some(event) => Err(ProtocolError::Order { event }),
                None => Ok(()),
            },
        }
    }

    fn start(&mut self, message: FromProvider) -> Result<(), ProtocolError> {
        let field = |field| ProtocolError::Field { event: "session.initiate", field };
        let id = given(message.conversation_id).ok_or(field("conversationId"))?;
        let offered = message.supported_media_formats;
        let chosen = FORMATS.iter().find(|(name, _)| offered.iter().any(|other| other.0.eq_ignore_ascii_case(name)));
        let Some((name, format)) = chosen.filter(|_| message.expect_audio_messages) else {
            let names = offered.iter().map(|name| name.0.as_str()).collect::<Vec<_>>().join(" ");
            let names = if message.expect_audio_messages { names } else { "text".to_owned() };
            return Err(ProtocolError::Unsupported { format: names.chars().take(80).collect() });
        };
        let stream = Stream::new(id.clone(), *format, *format, SHAPE)?;
        let mut parameters = message.parameters.0;
        parameters.extend(given(message.bot_name).map(|name| ("botName".to_owned(), name)));
        let start = StreamStart {
            stream_id: id.clone(),
            provider_call_id: id,
            rate: format.rate,
            plays_at: format.rate,
            token: None,
            from: given(message.caller).map(Into::into),
            to: given(message.callee).map(Into::into),
            parameters,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.outputs.push_back(send(&json!({"type": "session.accepted", "mediaFormat": name})));
        self.phase = Phase::Open(Box::new(Session {
            stream,
            format: name,
            playout: Playout::default(),
            play: 0,
            playing: None,
            interrupted: false,
        }));
        Ok(())
    }

    fn activities(&mut self, now: Instant, activities: Vec<Activity>) -> Result<(), ProtocolError> {
        let mut result = Ok(());
        for activity in activities {
            let Phase::Open(session) = &mut self.phase else { return result };
            match activity.name.to_ascii_lowercase().as_str() {
                // Several keys may come at once.
                "dtmf" => {
                    let keys = activity.value.map_or(String::new(), |value| value.0);
                    let digits: Vec<_> = keys.chars().map(Digit::new).collect();
                    if digits.is_empty() || digits.contains(&None) {
                        result = Err(ProtocolError::Field { event: "dtmf", field: "value" });
                    }
                    let pressed = digits.into_iter().flatten().map(|digit| Output::Event(MediaEvent::Dtmf(digit)));
                    self.outputs.extend(pressed);
                }
                "playfinished" => self.outputs.extend(session.playout.reported_end(now).map(played)),
                "hangup" => {
                    self.stop(StopReason::Provider);
                    self.phase = Phase::Leaving { until: now + PATIENCE };
                }
                // `start`, reports of silence, and whatever else there is.
                _ => {}
            }
        }
        result
    }

    /// Says goodbye; the provider ends the session.
    fn leave(&mut self, now: Instant, goodbye: Output) {
        if let Phase::Open(session) = &mut self.phase {
            session.stop_playing(&mut self.outputs);
        }
        self.stop(StopReason::Hangup);
        self.outputs.push_back(goodbye);
        self.phase = Phase::Leaving { until: now + PATIENCE };
    }

    fn stop(&mut self, reason: StopReason) {
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
    }

    fn close(&mut self, reason: CloseReason) {
        self.outputs.push_back(Output::Close(reason));
        self.phase = Phase::Done;
    }
}

impl Session {
    fn act(
        &mut self,
        now: Instant,
        message: FromProvider,
        outputs: &mut VecDeque<Output>,
    ) -> Result<(), ProtocolError> {
        let answer = |kind: &str| {
            let mut answer = json!({"type": kind});
            if let Some(participant) = &message.participant {
                answer["participant"] = Value::from(participant.0.as_str());
            }
            send(&answer)
        };
        match message.kind.as_str() {
            "userStream.start" => outputs.push_back(answer("userStream.started")),
            "userStream.stop" => outputs.push_back(answer("userStream.stopped")),
            "userStream.chunk" => {
                // Sessions of several participants name them; ours is the caller.
                if message.participant.is_some_and(|participant| participant.0 != "caller") {
                    return Ok(());
                }
                let audio = payload(&message.audio_chunk.map_or(String::new(), |chunk| chunk.0))?;
                return self.stream.receive(now, None, None, audio, outputs);
            }
            "session.initiate" => return Err(ProtocolError::Order { event: "session.initiate" }),
            "session.resume" => {
                outputs.push_back(send(&json!({"type": "session.accepted", "mediaFormat": self.format})));
            }
            _ => {}
        }
        Ok(())
    }

    fn talk(&mut self, now: Instant, audio: &[u8], outputs: &mut VecDeque<Output>) {
        if self.playing.is_none() {
            if std::mem::take(&mut self.interrupted) {
                outputs.push_back(send(&json!({"type": "userStream.speech.stopped"})));
            }
            self.play += 1;
            let start = json!({"type": "playStream.start", "streamId": self.id(), "mediaFormat": self.format});
            outputs.push_back(send(&start));
        }
        self.playing = Some(now + PAUSE);
        let chunk = json!({"type": "playStream.chunk", "streamId": self.id(), "audioChunk": base64(audio)});
        outputs.push_back(send(&chunk));
    }

    fn flush(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        if let Some(audio) = self.stream.flush(now) {
            self.talk(now, &audio, outputs);
        }
    }

    fn stop_playing(&mut self, outputs: &mut VecDeque<Output>) {
        if self.playing.take().is_some() {
            outputs.push_back(send(&json!({"type": "playStream.stop", "streamId": self.id()})));
        }
    }

    fn clear(&mut self, outputs: &mut VecDeque<Output>) {
        self.stream.cleared(outputs);
        outputs.extend(self.playout.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
        if !std::mem::replace(&mut self.interrupted, true) {
            outputs.push_back(send(&json!({"type": "userStream.speech.started"})));
        }
        self.stop_playing(outputs);
    }

    fn pass_time(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        if self.stream.flush_at().is_some_and(|at| now >= at) {
            self.flush(now, outputs);
        }
        if self.playing.is_some_and(|until| now >= until) {
            self.stop_playing(outputs);
        }
        outputs.extend(self.playout.reached(now).map(played));
    }

    fn id(&self) -> String {
        self.play.to_string()
    }
}

/// The parameters of a transfer: what goes along travels in SIP headers.
fn handover(transfer: &Transfer) -> Value {
    let target = transfer.target.reveal();
    let is_number = target.starts_with('+') || target.starts_with(|first: char| first.is_ascii_digit());
    let target = if is_number { format!("tel:{target}") } else { target.clone() };
    let header = |(name, value): (&String, &crate::telemetry::Pii<String>)| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        // One line: a header ends where its line does.
        let value: String = value.reveal().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let value: String = value.chars().take(MAX_HEADER).collect();
        json!({"name": format!("X-{name}"), "value": value})
    };
    let headers: Vec<_> = transfer.variables.iter().map(header).collect();
    let reason =
        transfer.variables.get("reason").map_or("caller asked for a person", |reason| reason.reveal().as_str());
    json!({"transferTarget": target, "handoverReason": reason, "transferSipHeaders": headers})
}

fn activity(name: &str, parameters: Value, value: Option<&str>) -> Output {
    let mut activity = json!({"type": "event", "name": name, "activityParams": parameters});
    if let Some(value) = value {
        activity["value"] = Value::from(value);
    }
    send(&json!({"type": "activities", "activities": [activity]}))
}

/// The messages that make no sense without a session.
fn event(kind: &str) -> Option<&'static str> {
    const EVENTS: &[&str] = &["activities", "userStream.start", "userStream.chunk", "userStream.stop", "session.end"];
    EVENTS.iter().find(|event| **event == kind).copied()
}

fn played(mark: MarkId) -> Output {
    Output::Event(MediaEvent::MarkPlayed(mark))
}

/// Any message of the provider.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromProvider {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    conversation_id: Option<Text>,
    #[serde(default)]
    bot_name: Option<Text>,
    #[serde(default)]
    caller: Option<Text>,
    #[serde(default)]
    callee: Option<Text>,
    #[serde(default = "yes")]
    expect_audio_messages: bool,
    #[serde(default)]
    supported_media_formats: Vec<Text>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    participant: Option<Text>,
    #[serde(default)]
    audio_chunk: Option<Text>,
    #[serde(default)]
    activities: Vec<Activity>,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
struct Activity {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: Option<Text>,
}
