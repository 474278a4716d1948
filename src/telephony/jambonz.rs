//! jambonz: the audio socket of its verb `listen` (in newer words `stream`), binary linear PCM both ways, JSON beside it.
//!
//! ```text
//! Waiting ──first text──▶ Open ──disconnect (ours), empty binary, socket gone──▶ Done
//! ```
//!
//! Source: jambonz' feature server and audio module; what could not be verified stands in `docs/providers/jambonz.md`. The
//! application websocket, by which calls are announced and moved, is in [`app`]; webhooks are in `web/webhooks/jambonz.rs`.

pub mod app;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::handshake::{Arrival, LetIn, Opening, Refusal, check_basic};
use super::json::{Parameters, Text, given, one_key, parse, send};
use super::lifecycle::START_TIMEOUT;
use super::packer::Shape;
use super::protocol::{
    CloseReason, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart, WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::Secret;

/// The largest binary message: half a second at the highest rate.
const MAX_AUDIO: usize = 64 * 1024;
/// Playback waits for so much audio before it begins, and holds a part of it back: silence that pushes the rest out.
const PUSH: Millis = Millis(80);
/// It is sent when nothing followed for so long.
const IDLE: Duration = Duration::from_millis(60);

/// With a password configured, the socket must bring it, and that is enough; without, its token has to do.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let config = &arrival.settings.jambonz;
    if config.password.expose().is_empty() {
        return Ok(LetIn::ByToken);
    }
    check_basic(arrival.handshake, &config.username, &config.password, "jambonz.password")?;
    Ok(LetIn::ByHandshake)
}

/// The application's websocket must bring the password.
pub fn check_app(arrival: &Arrival<'_>) -> Result<(), Refusal> {
    let config = &arrival.settings.jambonz;
    check_basic(arrival.handshake, &config.username, &config.password, "jambonz.password")
}

/// A new stream, waiting for its first text.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Jambonz { state: State::Waiting { until: opening.now + START_TIMEOUT }, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Jambonz {
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open(Box<Open>),
    Done,
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    rate: SampleRate,
    /// Interleaved in what is heard; the caller's is the first.
    channels: usize,
    /// Bytes of a sample that is not complete yet.
    rest: Vec<u8>,
    /// When playback is pushed, after audio.
    push_at: Option<Instant>,
}

impl MediaProtocol for Jambonz {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        match (&mut self.state, message) {
            (State::Done, _) => Ok(()),
            (_, WsMessage::Text(text)) => self.handle_text(&text),
            (State::Waiting { .. }, WsMessage::Binary(_)) => Err(ProtocolError::Order { event: "audio" }),
            // An empty message is jambonz' goodbye.
            (State::Open(_), WsMessage::Binary(audio)) if audio.is_empty() => {
                self.end(StopReason::Provider, Some(CloseReason::Normal));
                Ok(())
            }
            (State::Open(open), WsMessage::Binary(audio)) => open.hear(now, audio, &mut self.outputs),
            (_, WsMessage::Closed) => {
                self.end(StopReason::SocketLost, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (open, outputs) = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open(open) => (open, &mut self.outputs),
        };
        match command {
            MediaCommand::Audio(frame) => {
                open.play(now, frame, outputs)?;
                open.push_at = Some(now + IDLE);
            }
            MediaCommand::Mark(mark) => {
                let name = mark.0.to_string();
                outputs.push_back(send(&ToJambonz::Mark { data: Name { name: &name } }));
                open.stream.mark_sent(mark, outputs);
            }
            MediaCommand::Clear => {
                outputs.push_back(send(&ToJambonz::KillAudio));
                open.stream.cleared(outputs);
                open.push_at = None;
            }
            MediaCommand::Caption(_) | MediaCommand::Dtmf(_) => {}
            MediaCommand::Transfer(_) | MediaCommand::Hangup => {
                outputs.push_back(send(&ToJambonz::Disconnect));
                self.end(StopReason::Hangup, Some(CloseReason::Normal));
            }
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        self.outputs.clear();
        self.outputs.push_back(send(&ToJambonz::Disconnect));
        self.outputs.push_back(Output::Close(reason));
        self.state = State::Done;
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting { until } if now >= *until => {
                self.end(StopReason::Protocol, Some(CloseReason::StartTimeout));
            }
            State::Open(open) if open.push_at.is_some_and(|at| now >= at) => {
                open.push_at = None;
                let silence = AudioFrame::new(Millis::ZERO, open.rate, vec![0; open.rate.samples_in(PUSH)]);
                // No room means that enough is queued to push everything out.
                let _ = open.play(now, silence, &mut self.outputs);
            }
            State::Waiting { .. } | State::Open(_) | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open(open) => open.push_at,
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Jambonz {
    fn handle_text(&mut self, text: &str) -> Result<(), ProtocolError> {
        let Head { event, kind, data } = parse(text, "text")?;
        let event = event.or(kind).map_or(String::new(), |event| event.0);
        match (&mut self.state, event.as_str()) {
            (State::Waiting { .. }, "") => self.start(parse(text, "start")?),
            (State::Waiting { .. }, "dtmf") => Err(ProtocolError::Order { event: "dtmf" }),
            (State::Waiting { .. }, "mark") => Err(ProtocolError::Order { event: "mark" }),
            (State::Open(_), "dtmf") => {
                let Dtmf { dtmf } = parse(text, "dtmf")?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&dtmf.0)?)));
                Ok(())
            }
            (State::Open(open), "mark") => {
                let data = data.ok_or(ProtocolError::Field { event: "mark", field: "data" })?;
                match data.event.as_ref().map(|event| event.0.as_str()) {
                    // Thrown away when we asked for it.
                    Some("cleared") => Ok(()),
                    _ => open.stream.mark_named(&given(data.name).unwrap_or_default(), &mut self.outputs),
                }
            }
            (State::Open(_), "") => Err(ProtocolError::Order { event: "start" }),
            (_, _) => Ok(()),
        }
    }

    fn start(&mut self, message: Start) -> Result<(), ProtocolError> {
        let call_sid = given(message.call_sid).ok_or(ProtocolError::Field { event: "start", field: "callSid" })?;
        let shown = |text: &Text| ProtocolError::Unsupported { format: text.0.chars().take(80).collect() };
        let rate = match &message.sample_rate {
            None => SampleRate::NARROWBAND,
            Some(text) => {
                let rate = text.number().and_then(|rate| u32::try_from(rate).ok());
                rate.filter(|rate| (8_000..=64_000).contains(rate)).map(SampleRate).ok_or_else(|| shown(text))?
            }
        };
        let channels = match &message.mix_type {
            None => 1,
            Some(mix) => match mix.0.as_str() {
                "mono" | "mixed" => 1,
                "stereo" => 2,
                _ => return Err(shown(mix)),
            },
        };
        let format = Format { codec: Codec::L16Le, rate };
        let stream = Stream::new(call_sid.clone(), format, format, Shape::FRAMES)?;
        // Metadata stands among the attributes, or in an object of its own.
        let mut parameters: BTreeMap<String, String> = message.metadata.0;
        parameters.extend(
            message
                .rest
                .into_iter()
                .filter_map(|(name, value)| Some((name, serde_json::from_value::<Text>(value).ok()?.0))),
        );
        let start = StreamStart {
            stream_id: call_sid.clone(),
            provider_call_id: call_sid,
            rate,
            plays_at: rate,
            token: parameters.remove("token").map(Secret::new),
            from: given(message.from).map(Into::into),
            to: given(message.to).map(Into::into),
            parameters,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.state = State::Open(Box::new(Open { stream, rate, channels, rest: Vec::new(), push_at: None }));
        Ok(())
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        // What was said in the dialect's words comes after the event and before the close.
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

impl Open {
    fn hear(&mut self, now: Instant, audio: Vec<u8>, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        if audio.len() > MAX_AUDIO {
            return Err(ProtocolError::Oversized { got: audio.len(), limit: MAX_AUDIO });
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(audio);
        let unit = 2 * self.channels;
        self.rest = bytes.split_off(bytes.len() - bytes.len() % unit);
        if self.channels > 1 {
            bytes = bytes.chunks_exact(unit).flat_map(|samples| [samples[0], samples[1]]).collect();
        }
        self.stream.receive(now, None, None, bytes, outputs)
    }

    fn play(&mut self, now: Instant, frame: AudioFrame, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        // −1 in the audio is how jambonz marks a mark.
        let pcm: Vec<i16> = frame.pcm.iter().map(|&sample| if sample == -1 { -2 } else { sample }).collect();
        let messages = self.stream.play(now, &AudioFrame::new(frame.at, frame.rate, pcm))?;
        outputs.extend(messages.into_iter().map(|audio| Output::Send(WsMessage::Binary(audio))));
        Ok(())
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    event: Option<Text>,
    #[serde(default, rename = "type")]
    kind: Option<Text>,
    #[serde(default)]
    data: Option<MarkData>,
}

#[derive(Deserialize)]
struct MarkData {
    #[serde(default)]
    name: Option<Text>,
    #[serde(default)]
    event: Option<Text>,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    #[serde(default)]
    call_sid: Option<Text>,
    #[serde(default)]
    sample_rate: Option<Text>,
    #[serde(default)]
    mix_type: Option<Text>,
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    to: Option<Text>,
    #[serde(default)]
    metadata: Parameters,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum ToJambonz<'a> {
    Mark { data: Name<'a> },
    KillAudio,
    Disconnect,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}
