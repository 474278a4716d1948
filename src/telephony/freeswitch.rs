//! FreeSWITCH, through `mod_audio_stream` or `mod_audio_fork`, which dial us for a channel that is up already.
//!
//! ```text
//! Waiting ──first audio, or metadata that names the rate──▶ Open ──hang-up, socket gone──▶ Done
//!    └── neither within 10 s ─────────────────────────────────────────────────────────────▲
//! ```
//!
//! There is no start message: a text with whatever the application gave as metadata may come first, then linear audio
//! in binary. Its rate stands nowhere; the query's or the metadata's `rate` says it, else the length of the first message:
//! 640 bytes are 20 ms at 16 kHz, 320 at 8 kHz. `mod_audio_fork` asks for a subprotocol of its own, by which the two are
//! told apart. What we play goes as binary frames to `mod_audio_stream` from 1.0.3 on, and as JSON to `mod_audio_fork` and,
//! with `playback=json` in the query, to the older one: there each message becomes a file that an application plays, so
//! messages are long. Neither has marks (the clock stands in), keys or a word for the end of a call; the application sends
//! keys as text.
//!
//! Source: README and sources of both modules. Unverified: the closed `mod_audio_stream` 1.0.3, of which only the README
//! is public.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::handshake::{Arrival, Handshake, LetIn, Opening, Refusal, check_basic};
use super::json::{MAX_MESSAGE, Parameters, Text, base64, given, one_key, parse, send};
use super::lifecycle::START_TIMEOUT;
use super::packer::{ClockedMarks, Shape};
use super::protocol::{
    CloseReason, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart, Transfer,
    WsMessage,
};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};
use crate::telemetry::{Pii, Secret};

/// The subprotocol of `mod_audio_fork`.
pub const FORK_SUBPROTOCOL: &str = "audio.drachtio.org";
/// Both modules buffer seconds at most.
const MAX_AUDIO: usize = 256 * 1024;
/// Where each message becomes a file of its own, a message is this long.
const FILE: Millis = Millis(500);

/// Lets in who has the name and password of `[freeswitch]`, or else brings a token in the query.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let (settings, handshake) = (&arrival.settings.freeswitch, arrival.handshake);
    if handshake.header("authorization").is_none() && handshake.parameter("token").is_some() {
        return Ok(LetIn::ByToken);
    }
    check_basic(handshake, &settings.username, &settings.password, "freeswitch.password")?;
    Ok(LetIn::ByHandshake)
}

/// A new stream, waiting for its metadata or its audio.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    let handshake = opening.handshake;
    let module = if handshake.subprotocols.iter().any(|offered| offered == FORK_SUBPROTOCOL) {
        Module::Fork
    } else {
        Module::Stream
    };
    let json = module == Module::Fork || handshake.parameter("playback") == Some("json");
    let until = opening.now + START_TIMEOUT;
    Box::new(Freeswitch {
        state: State::Waiting { until, told: Box::new(Told::of(handshake)) },
        module,
        json,
        outputs: VecDeque::new(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    Stream,
    Fork,
}

#[derive(Debug)]
struct Freeswitch {
    state: State,
    module: Module,
    /// Whether audio goes as JSON.
    json: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant, told: Box<Told> },
    Open(Box<Open>),
    Done,
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    rate: SampleRate,
    marks: ClockedMarks,
}

/// What query and metadata told.
#[derive(Debug, Default)]
struct Told {
    rate: Option<SampleRate>,
    token: Option<Secret<String>>,
    call: Option<String>,
    from: Option<Pii<String>>,
    to: Option<Pii<String>>,
    rest: BTreeMap<String, String>,
}

impl Told {
    fn of(handshake: &Handshake) -> Self {
        let mut told = Self::default();
        for (name, value) in &handshake.query {
            told.note(name, value.expose().clone());
        }
        told
    }

    /// One value, by any of the names applications give it.
    fn note(&mut self, name: &str, value: String) {
        if value.is_empty() {
            return;
        }
        match name.to_ascii_lowercase().replace(['_', '-'], "").as_str() {
            "token" => self.token = Some(Secret::new(value)),
            "uuid" | "call" | "callid" | "uid" => self.call = Some(value),
            "from" | "caller" | "calleridnumber" => self.from = Some(value.into()),
            "to" | "callee" | "destinationnumber" => self.to = Some(value.into()),
            "rate" | "samplerate" | "samplingrate" => self.rate = rate(&value).or(self.rate),
            "playback" => {}
            _ => drop(self.rest.insert(name.to_owned(), value)),
        }
    }

    /// Metadata: an object, as it stands or in base64, because spaces and quotes get lost in dialplans.
    fn metadata(&mut self, text: &str) -> Result<(), ProtocolError> {
        let decoded = BASE64.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Parameters(all) = parse(decoded.as_deref().unwrap_or(text), "metadata")?;
        for (name, value) in all {
            self.note(&name, value);
        }
        Ok(())
    }
}

fn rate(text: &str) -> Option<SampleRate> {
    match text {
        "8k" | "8000" => Some(SampleRate::NARROWBAND),
        "16k" | "16000" => Some(SampleRate::WIDEBAND),
        _ => None,
    }
}

/// What the length of a message says about its rate, if it is a whole number of frames at all.
const fn rate_of(bytes: usize) -> Option<SampleRate> {
    if bytes == 0 || !bytes.is_multiple_of(320) {
        None
    } else if bytes.is_multiple_of(640) {
        Some(SampleRate::WIDEBAND)
    } else {
        Some(SampleRate::NARROWBAND)
    }
}

impl MediaProtocol for Freeswitch {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        match (&self.state, message) {
            (State::Done, _) => Ok(()),
            (_, WsMessage::Text(text)) if text.len() > MAX_MESSAGE => {
                Err(ProtocolError::Oversized { got: text.len(), limit: MAX_MESSAGE })
            }
            (_, WsMessage::Binary(audio)) if audio.len() > MAX_AUDIO => {
                Err(ProtocolError::Oversized { got: audio.len(), limit: MAX_AUDIO })
            }
            (_, WsMessage::Text(text)) => self.handle_text(&text),
            (_, WsMessage::Binary(audio)) => self.handle_audio(now, audio),
            // The only word there is for a caller's hang-up.
            (_, WsMessage::Closed) => {
                self.end(StopReason::Provider, None);
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let open = match &mut self.state {
            State::Waiting { .. } => return Err(ProtocolError::Order { event: "command" }),
            State::Done => return Ok(()),
            State::Open(open) => open,
        };
        match command {
            MediaCommand::Audio(frame) => {
                let (rate, messages) = (open.rate, open.stream.play(now, &frame)?);
                self.play(rate, messages);
            }
            MediaCommand::Mark(mark) => {
                let (rate, rest) = (open.rate, open.stream.flush(now));
                open.marks.sent(open.stream.played_at(now), mark);
                self.play(rate, rest);
            }
            MediaCommand::Clear => {
                // `mod_audio_stream` has no such word: its application hears this one and breaks the playback.
                let kind = if self.module == Module::Fork { "killAudio" } else { "clear" };
                self.outputs.push_back(send(&Outgoing { kind, data: None::<()> }));
                open.stream.cleared(&mut self.outputs);
                let discarded = open.marks.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark)));
                self.outputs.extend(discarded);
            }
            MediaCommand::Caption(_) | MediaCommand::Dtmf(_) => {}
            MediaCommand::Transfer(transfer) => {
                self.outputs.push_back(send(&Outgoing { kind: "transfer", data: Some(Target::of(&transfer)) }));
                self.end(StopReason::Hangup, Some(CloseReason::Normal));
            }
            MediaCommand::Hangup => {
                self.outputs.push_back(send(&Outgoing { kind: "disconnect", data: None::<()> }));
                self.end(StopReason::Hangup, Some(CloseReason::Normal));
            }
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
            State::Waiting { until, .. } if now >= *until => {
                self.end(StopReason::Protocol, Some(CloseReason::StartTimeout));
            }
            State::Open(open) => {
                let played = open.marks.reached(now).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark)));
                self.outputs.extend(played);
                if open.stream.flush_at().is_some_and(|at| now >= at) {
                    let (rate, rest) = (open.rate, open.stream.flush(now));
                    self.play(rate, rest);
                }
            }
            State::Waiting { .. } | State::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Open(open) => [open.stream.flush_at(), open.marks.next_at()].into_iter().flatten().min(),
            State::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Freeswitch {
    fn handle_text(&mut self, text: &str) -> Result<(), ProtocolError> {
        if let State::Waiting { told, .. } = &mut self.state {
            told.metadata(text)?;
            return match told.rate {
                Some(rate) => self.start(rate),
                None => Ok(()),
            };
        }
        // What the application sends with `send_text`. Metadata of `stop` is anything at all.
        let message: FromApplication = parse(text, "text")?;
        match given(message.event).unwrap_or_default().as_str() {
            "dtmf" => {
                let key = given(message.digit).or(given(message.dtmf)).unwrap_or_default();
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&key)?)));
            }
            "hangup" | "stop" => self.end(StopReason::Provider, Some(CloseReason::Normal)),
            _ => {}
        }
        Ok(())
    }

    fn handle_audio(&mut self, now: Instant, audio: Vec<u8>) -> Result<(), ProtocolError> {
        if let State::Waiting { told, .. } = &self.state {
            let rate = told.rate.or(rate_of(audio.len()));
            self.start(rate.ok_or(ProtocolError::FrameSize { got: audio.len(), unit: 320 })?)?;
        }
        match &mut self.state {
            // `mod_audio_fork` stops so when told to.
            State::Open(_) if audio.is_empty() => {
                if self.module == Module::Fork {
                    self.end(StopReason::Provider, Some(CloseReason::Normal));
                }
                Ok(())
            }
            State::Open(open) => open.stream.receive(now, None, None, audio, &mut self.outputs),
            State::Waiting { .. } | State::Done => Ok(()),
        }
    }

    fn start(&mut self, rate: SampleRate) -> Result<(), ProtocolError> {
        let State::Waiting { told, .. } = &mut self.state else { return Ok(()) };
        let told = std::mem::take(&mut **told);
        let format = Format { codec: Codec::L16Le, rate };
        let frame = format.codec.frame_bytes(rate).unwrap_or(1);
        let shape = if self.json { Shape { message: FILE, least: 1, multiple: frame } } else { Shape::FRAMES };
        let call = told.call.unwrap_or_default();
        let stream = Stream::new(call.clone(), format, format, shape)?;
        self.outputs.push_back(Output::Event(MediaEvent::Started(StreamStart {
            stream_id: call.clone(),
            provider_call_id: call,
            rate,
            plays_at: rate,
            token: told.token,
            from: told.from,
            to: told.to,
            parameters: told.rest,
        })));
        self.state = State::Open(Box::new(Open { stream, rate, marks: ClockedMarks::default() }));
        Ok(())
    }

    /// Audio, in the module's own way.
    fn play(&mut self, rate: SampleRate, messages: impl IntoIterator<Item = Vec<u8>>) {
        let (json, module) = (self.json, self.module);
        self.outputs.extend(messages.into_iter().map(|audio| {
            if !json {
                return Output::Send(WsMessage::Binary(audio));
            }
            let (audio, sample_rate) = (base64(&audio), rate.0);
            match module {
                Module::Stream => send(&Outgoing {
                    kind: "streamAudio",
                    data: Some(StreamAudio { audio_data_type: "raw", sample_rate, audio_data: audio }),
                }),
                Module::Fork => send(&Outgoing {
                    kind: "playAudio",
                    data: Some(PlayAudio {
                        audio_content_type: "raw",
                        sample_rate,
                        audio_content: audio,
                        text_content: "",
                    }),
                }),
            }
        }));
    }

    fn end(&mut self, reason: StopReason, close: Option<CloseReason>) {
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
        self.outputs.extend(close.map(Output::Close));
        self.state = State::Done;
    }
}

#[derive(Deserialize)]
struct FromApplication {
    #[serde(default, alias = "type")]
    event: Option<Text>,
    #[serde(default)]
    digit: Option<Text>,
    #[serde(default)]
    dtmf: Option<Text>,
}

#[derive(Serialize)]
struct Outgoing<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamAudio {
    audio_data_type: &'static str,
    sample_rate: u32,
    audio_data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlayAudio {
    audio_content_type: &'static str,
    sample_rate: u32,
    audio_content: String,
    text_content: &'static str,
}

#[derive(Serialize)]
struct Target<'a> {
    target: &'a str,
    variables: BTreeMap<&'a str, &'a str>,
}

impl<'a> Target<'a> {
    fn of(transfer: &'a Transfer) -> Self {
        let variables = transfer.variables.iter().map(|(name, value)| (name.as_str(), value.reveal().as_str()));
        Self { target: transfer.target.reveal(), variables: variables.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_tell_the_rate_where_nothing_else_does() {
        assert_eq!([320, 640, 960, 1_280].map(rate_of), [8_000, 16_000, 8_000, 16_000].map(|hz| Some(SampleRate(hz))));
        assert_eq!([0, 1, 160, 321].map(rate_of), [None; 4]);
    }

    #[test]
    fn metadata_may_be_wrapped_and_named_in_many_ways() {
        let mut told = Told::default();
        told.metadata(&BASE64.encode(r#"{"Caller-ID-Number":"+1500","sample_rate":8000,"account":"7"}"#))
            .expect("an object");
        told.metadata(r#"{"uuid":"f5"}"#).expect("an object");
        assert_eq!((told.call.as_deref(), told.rate), (Some("f5"), Some(SampleRate::NARROWBAND)));
        assert_eq!(told.from, Some("+1500".to_owned().into()));
        assert_eq!(told.rest, BTreeMap::from([("account".to_owned(), "7".to_owned())]));
        assert!(told.metadata("hello").is_err());
    }
}
