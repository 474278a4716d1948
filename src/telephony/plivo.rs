//! Plivo's bidirectional `<Stream>`.
//!
//! ```text
//! Waiting ──start──▶ Open ──hang-up, socket gone──▶ Done
//!    └── no start within 10 s ───────────────────────▲
//! ```
//!
//! All messages are JSON text. A checkpoint comes back only when everything before it was played; after `clearAudio` none
//! of the outstanding does, so they are given up at once. The end of a stream is the end of its socket: there is no stop
//! message, though one would be understood. Source: Plivo "Audio Streaming", and its `plivo-stream-sdk`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::handshake::Opening;
use super::json::{Text, base64, given, one_key, parse, payload, send};
use super::packer::Shape;
use super::protocol::{
    CloseReason, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart, WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telemetry::Secret;

/// How long a socket may be open before it says `start`.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Plivo { state: State::Waiting { until: opening.now + START_TIMEOUT }, outputs: VecDeque::new() })
}

#[derive(Debug)]
struct Plivo {
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Open { stream: Box<Stream>, format: Format },
    Done,
}

impl MediaProtocol for Plivo {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        match message {
            WsMessage::Text(text) => self.handle_text(now, &text),
            WsMessage::Binary(_) => Err(ProtocolError::Kind { kind: "binary" }),
            WsMessage::Closed => {
                // So every stream ends that we did not end, hung up or lost. Whoever is still there and asks what comes
                // next did not hang up.
                self.end(StopReason::SocketLost, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let (stream, format, outputs) = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open { stream, format } => (stream, *format, &mut self.outputs),
        };
        match command {
            MediaCommand::Audio(frame) => {
                let messages = stream.play(now, &frame)?;
                outputs.extend(messages.iter().map(|audio| play(&stream.id, format, audio)));
            }
            MediaCommand::Mark(mark) => {
                outputs.extend(stream.flush(now).map(|audio| play(&stream.id, format, &audio)));
                outputs.push_back(send(&Outgoing::Checkpoint { stream_id: &stream.id, name: mark.0.to_string() }));
                stream.mark_sent(mark, outputs);
            }
            MediaCommand::Clear => {
                outputs.push_back(send(&Outgoing::ClearAudio { stream_id: &stream.id }));
                stream.cleared(outputs);
            }
            MediaCommand::Dtmf(digit) => outputs.push_back(send(&Outgoing::SendDtmf { dtmf: digit.get() })),
            MediaCommand::Caption(_) => {}
            MediaCommand::Transfer(_) | MediaCommand::Hangup => self.end(StopReason::Hangup, Some(CloseReason::Normal)),
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        self.outputs.clear();
        self.outputs.push_back(Output::Close(reason));
        self.state = State::Done;
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting { until } if now >= *until => {
                self.end(StopReason::Protocol, Some(CloseReason::StartTimeout));
            }
            State::Open { stream, format } => {
                if stream.give_up_at().is_some_and(|at| now >= at) {
                    stream.give_up(&mut self.outputs);
                }
                if stream.flush_at().is_some_and(|at| now >= at) {
                    self.outputs.extend(stream.flush(now).map(|audio| play(&stream.id, *format, &audio)));
                }
            }
            State::Waiting { .. } | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open { stream, .. } => [stream.give_up_at(), stream.flush_at()].into_iter().flatten().min(),
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Plivo {
    fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let Head { event, stream_id } = parse(text, "text")?;
        let stream = match (&mut self.state, event.as_str()) {
            (State::Waiting { .. }, "start") => return self.start(parse(text, "start")?),
            (State::Open { stream, .. }, _) => stream,
            (_, "media") => return Err(ProtocolError::Order { event: "media" }),
            (_, "dtmf") => return Err(ProtocolError::Order { event: "dtmf" }),
            (_, "playedStream" | "played") => return Err(ProtocolError::Order { event: "playedStream" }),
            (_, "stop") => return Err(ProtocolError::Order { event: "stop" }),
            (_, _) => return Ok(()),
        };
        // The id may be left out, but not be another stream's.
        let foreign = |event| match &stream_id {
            Some(id) if id.0 != stream.id => Err(ProtocolError::Field { event, field: "streamId" }),
            _ => Ok(()),
        };
        match event.as_str() {
            "media" => {
                foreign("media")?;
                let Media { media } = parse(text, "media")?;
                if media.track.is_some_and(|track| !track.0.starts_with("inbound")) {
                    return Ok(());
                }
                // The timestamp is one page's time of day and another's time since the start: it places nothing.
                let number = media.chunk.and_then(|number| number.number());
                stream.receive(now, number, None, payload(&media.payload)?, &mut self.outputs)
            }
            "dtmf" => {
                foreign("dtmf")?;
                let message: Dtmf = parse(text, "dtmf")?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&message.dtmf.digit.0)?)));
                Ok(())
            }
            "playedStream" | "played" => {
                foreign("playedStream")?;
                let message: Played = parse(text, "playedStream")?;
                stream.mark_named(&message.name.0, &mut self.outputs)
            }
            "stop" => {
                self.end(StopReason::Provider, Some(CloseReason::Normal));
                Ok(())
            }
            "start" => Err(ProtocolError::Order { event: "start" }),
            // `clearedAudio`: what was outstanding was given up when we asked for it.
            _ => Ok(()),
        }
    }

    fn start(&mut self, message: Start) -> Result<(), ProtocolError> {
        let Start { start, stream_id, extra_headers } = message;
        let missing = |field| move || ProtocolError::Field { event: "start", field };
        let stream_id = given(start.stream_id).or(given(stream_id)).ok_or_else(missing("streamId"))?;
        let provider_call_id = given(start.call_id).ok_or_else(missing("callId"))?;
        let format = start.media_format.format()?;
        let stream = Stream::new(stream_id.clone(), format, format, Shape::FRAMES)?;
        let mut parameters = extra_headers.map(headers).unwrap_or_default();
        let start = StreamStart {
            stream_id,
            provider_call_id,
            rate: format.rate,
            plays_at: format.rate,
            token: parameters.remove("token").map(Secret::new),
            from: parameters.remove("from").map(Into::into),
            to: parameters.remove("to").map(Into::into),
            parameters,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.state = State::Open { stream: Box::new(stream), format };
        Ok(())
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        if let State::Open { stream, .. } = &mut self.state {
            stream.give_up(&mut self.outputs);
        }
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

fn play(stream_id: &str, format: Format, audio: &[u8]) -> Output {
    let content_type = if format.codec == Codec::Pcmu { "audio/x-mulaw" } else { "audio/x-l16" };
    let media = OutMedia { content_type, sample_rate: format.rate.0, payload: base64(audio) };
    send(&Outgoing::PlayAudio { stream_id, media })
}

/// The headers our XML asked for. They come as text: JSON in one description, `a=b;c=d` in another; some write an object.
fn headers(value: serde_json::Value) -> BTreeMap<String, String> {
    if let serde_json::Value::String(text) = &value {
        if let Ok(object @ serde_json::Value::Object(_)) = serde_json::from_str(text) {
            return headers(object);
        }
        let pairs = text.split([';', ',']).filter_map(|pair| pair.split_once('='));
        return pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    }
    serde_json::from_value(value).map(|super::json::Parameters(all)| all).unwrap_or_default()
}

#[derive(Deserialize)]
struct Head {
    event: String,
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
}

#[derive(Deserialize)]
struct Start {
    start: StartBody,
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
    #[serde(default, alias = "extraHeaders")]
    extra_headers: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct StartBody {
    #[serde(default, rename = "streamId", alias = "stream_id")]
    stream_id: Option<Text>,
    #[serde(default, rename = "callId", alias = "call_id")]
    call_id: Option<Text>,
    #[serde(default, rename = "mediaFormat", alias = "media_format")]
    media_format: MediaFormat,
}

#[derive(Default, Deserialize)]
struct MediaFormat {
    #[serde(default)]
    encoding: Option<Text>,
    #[serde(default, rename = "sampleRate", alias = "sample_rate")]
    sample_rate: Option<Text>,
}

impl MediaFormat {
    /// What is not said is taken to be the telephone's.
    fn format(&self) -> Result<Format, ProtocolError> {
        let name = self.encoding.as_ref().map_or("audio/x-mulaw", |name| name.0.as_str());
        let rate = self.sample_rate.as_ref().map_or(Some(8_000), Text::number);
        match (Codec::named(name, Codec::L16Le), rate) {
            (Some(Codec::Pcmu), Some(8_000)) => Ok(Format::PCMU_8K),
            (Some(codec @ Codec::L16Le), Some(rate @ (8_000 | 16_000))) => {
                Ok(Format { codec, rate: SampleRate(rate as u32) })
            }
            _ => {
                let name: String = name.chars().take(40).collect();
                Err(ProtocolError::Unsupported { format: format!("{name} at {rate:?} Hz") })
            }
        }
    }
}

#[derive(Deserialize)]
struct Media {
    media: MediaBody,
}

#[derive(Deserialize)]
struct MediaBody {
    #[serde(default)]
    track: Option<Text>,
    #[serde(default)]
    chunk: Option<Text>,
    payload: String,
}

#[derive(Deserialize)]
struct Dtmf {
    dtmf: DtmfBody,
}

#[derive(Deserialize)]
struct DtmfBody {
    digit: Text,
}

#[derive(Deserialize)]
struct Played {
    name: Text,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Outgoing<'a> {
    PlayAudio {
        stream_id: &'a str,
        media: OutMedia,
    },
    Checkpoint {
        stream_id: &'a str,
        name: String,
    },
    ClearAudio {
        stream_id: &'a str,
    },
    #[serde(rename = "sendDTMF")]
    SendDtmf {
        dtmf: char,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutMedia {
    content_type: &'static str,
    sample_rate: u32,
    payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_headers_come_in_three_spellings() {
        let expected = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("token".to_owned(), "t".to_owned())]);
        for spelling in
            [r#""{\"token\":\"t\",\"a\":1}""#, r#""token=t;a=1""#, r#""a=1, token=t""#, r#"{"token":"t","a":"1"}"#]
        {
            assert_eq!(headers(serde_json::from_str(spelling).expect("JSON")), expected, "{spelling}");
        }
        for nothing in ["null", "7", "\"\"", "\"x\"", "[]"] {
            assert!(headers(serde_json::from_str(nothing).expect("JSON")).is_empty(), "{nothing}");
        }
    }
}
