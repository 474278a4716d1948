//! Genesys Cloud AudioHook, version 2, as Audio Connector speaks it: text JSON for control, binary µ-law both ways.
//!
//! ```text
//! Waiting ──open──▶ Open ──disconnect (ours)──▶ Leaving ──close──▶ Left ──socket gone──▶ Done
//!    │                └──────close, `closed` follows─────────────────▲
//!    └──open for nobody──▶ Probe ──close─────────────────────────────┘
//! ```
//!
//! The client closes, never we: we ask it to, keep answering, and give up after [`PATIENCE`] only. All text messages are
//! counted on both sides. Source: Genesys' reference implementation; what could not be verified stands in
//! `docs/providers/audiohook.md`. Not here: the handshake's signature (`signature/http_message.rs`).

mod message;
mod outgoing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::message::{FromClient, Media, OpenParameters, ToClient, is_nobody, number, variables};
pub use self::outgoing::FIRST_MESSAGE as COLLECTS;
use self::outgoing::Outgoing;
use super::handshake::{Arrival, LetIn, Opening, Refusal, check_secret};
use super::json::{Text, given, one_key, parse, send};
use super::lifecycle::START_TIMEOUT;
use super::packer::Shape;
use super::playout::Playout;
use super::protocol::{
    CloseReason, MarkId, MediaCommand, MediaEvent, MediaProtocol, Output, ProtocolError, StopReason, StreamStart,
    Transfer, WsMessage,
};
use super::signature::{SignatureError, http_message};
use super::stream::Stream;
use crate::audio::codec::Format;
use crate::audio::units::{Millis, SampleRate};

/// How long the client may take to close, and a probe to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest binary message the reference takes.
const MAX_AUDIO: usize = 64_000;
/// A message's number further ahead than this is not believed.
const MAX_AHEAD: u64 = 1_000;
/// How long we keep quiet after a 429 that does not say.
const HOLD: Duration = Duration::from_secs(1);

/// The API key must be right, and the handshake signed if a client secret is configured.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let (config, handshake) = (&arrival.settings.audiohook, arrival.handshake);
    check_secret(handshake.header("x-api-key"), &config.api_key, "audiohook.api_key")?;
    let secret = config.client_secret.expose();
    if !secret.is_empty() {
        let authority = arrival.base_url.split_once("://").map_or(arrival.base_url, |(_, authority)| authority);
        http_message::verify(secret, handshake, authority, arrival.now, arrival.unix_s, arrival.replays).map_err(
            |error| match error {
                SignatureError::Missing => Refusal::Missing,
                SignatureError::Unconfigured => Refusal::Unconfigured("audiohook.client_secret"),
                SignatureError::Wrong | SignatureError::Stale | SignatureError::Replayed => {
                    Refusal::Wrong(error.label())
                }
            },
        )?;
    }
    Ok(LetIn::ByHandshake)
}

/// A new stream, waiting for its `open`.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    let header = |name| opening.handshake.header(name).map(str::to_owned);
    Box::new(Audiohook {
        phase: Phase::Waiting { until: opening.now + START_TIMEOUT },
        id: header("audiohook-session-id").unwrap_or_default(),
        organization: header("audiohook-organization-id"),
        seq: 0,
        client_seq: 0,
        outputs: VecDeque::new(),
    })
}

#[derive(Debug)]
struct Audiohook {
    phase: Phase,
    /// The session: as the handshake names it, else as `open` does.
    id: String,
    /// As the handshake names it.
    organization: Option<String>,
    /// Number of our last message.
    seq: u64,
    /// Number of the client's last message.
    client_seq: u64,
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
    /// We asked for the end.
    Leaving {
        until: Instant,
    },
    /// We said `closed`.
    Left {
        until: Instant,
    },
    Done,
}

#[derive(Debug)]
struct Session {
    stream: Stream,
    /// Interleaved in what is heard; the caller's is the first.
    channels: usize,
    outgoing: Outgoing,
    playout: Playout,
    /// Where the next audio lies, if the client left some out.
    resumes_at: Option<Millis>,
}

impl MediaProtocol for Audiohook {
    fn handle_message(&mut self, now: Instant, message: WsMessage) -> Result<(), ProtocolError> {
        match (&mut self.phase, message) {
            (Phase::Done, _) => Ok(()),
            (_, WsMessage::Text(text)) => self.handle_text(now, &text),
            (Phase::Open(session), WsMessage::Binary(audio)) => session.hear(now, audio, &mut self.outputs),
            // What was on its way when the end was agreed on.
            (Phase::Leaving { .. } | Phase::Left { .. }, WsMessage::Binary(_)) => Ok(()),
            (Phase::Waiting { .. } | Phase::Probe { .. }, WsMessage::Binary(_)) => {
                Err(ProtocolError::Order { event: "audio" })
            }
            (Phase::Open(_) | Phase::Waiting { .. }, WsMessage::Closed) => {
                self.stop(StopReason::SocketLost);
                self.phase = Phase::Done;
                Ok(())
            }
            (_, WsMessage::Closed) => {
                self.phase = Phase::Done;
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand) -> Result<(), ProtocolError> {
        let session = match &mut self.phase {
            Phase::Waiting { .. } | Phase::Probe { .. } => return Err(ProtocolError::Order { event: "command" }),
            Phase::Leaving { .. } | Phase::Left { .. } | Phase::Done => return Ok(()),
            Phase::Open(session) => session,
        };
        match command {
            MediaCommand::Audio(frame) => {
                for coded in session.stream.play(now, &frame)? {
                    session.outgoing.push(now, &coded)?;
                }
                session.talk(now, &mut self.outputs);
            }
            MediaCommand::Mark(mark) => session.playout.mark_sent(now, session.outgoing.played_at(now), mark),
            MediaCommand::Clear => {
                session.stream.cleared(&mut self.outputs);
                session.outgoing.clear();
                self.outputs.extend(session.playout.cleared().map(discarded));
                self.say("event", json!({"entities": [{"type": "barge_in", "data": {}}]}));
            }
            MediaCommand::Caption(_) | MediaCommand::Dtmf(_) => {}
            MediaCommand::Transfer(transfer) => self.leave(now, Some(&transfer)),
            MediaCommand::Hangup => self.leave(now, None),
        }
        Ok(())
    }

    fn handle_refusal(&mut self, reason: CloseReason) {
        self.outputs.clear();
        let (word, info) = match reason {
            CloseReason::Unauthorized => ("unauthorized", ""),
            CloseReason::Busy => ("error", "busy"),
            CloseReason::StartTimeout => ("error", "timeout"),
            CloseReason::Protocol => ("error", "protocol"),
            CloseReason::Normal => ("completed", ""),
        };
        let until = match &self.phase {
            Phase::Waiting { until } | Phase::Probe { until } | Phase::Leaving { until } | Phase::Left { until } => {
                *until
            }
            // Refused with its first message: this is the time it was opened at.
            Phase::Open(session) => session.outgoing.opened() + PATIENCE,
            Phase::Done => return,
        };
        self.say("disconnect", json!({"reason": word, "info": info}));
        self.phase = Phase::Leaving { until };
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Waiting { until } if now >= *until => {
                self.stop(StopReason::Protocol);
                self.close(CloseReason::StartTimeout);
            }
            Phase::Probe { until } | Phase::Leaving { until } | Phase::Left { until } if now >= *until => {
                self.close(CloseReason::Normal);
            }
            Phase::Open(session) => {
                session.talk(now, &mut self.outputs);
                self.outputs.extend(session.playout.reached(now).map(played));
            }
            Phase::Waiting { .. } | Phase::Probe { .. } | Phase::Leaving { .. } | Phase::Left { .. } | Phase::Done => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until } | Phase::Probe { until } | Phase::Leaving { until } | Phase::Left { until } => {
                Some(*until)
            }
            Phase::Open(session) => [session.outgoing.next_at(), session.playout.next_at()].into_iter().flatten().min(),
            Phase::Done => None,
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl Audiohook {
    fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), ProtocolError> {
        let message: FromClient = parse(text, "control")?;
        let known = event(&message.kind);
        if matches!(self.phase, Phase::Waiting { .. }) {
            return match known {
                Some("open") => self.start(now, message),
                Some(event) => Err(ProtocolError::Order { event }),
                None => Ok(()),
            };
        }
        let event = known.unwrap_or("control");
        if message.id.as_ref().is_some_and(|id| id.0 != self.id) {
            return Err(ProtocolError::Field { event, field: "id" });
        }
        let in_order = self.count(event, &message)?;
        self.act(now, event, &message)?;
        if in_order { Ok(()) } else { Err(ProtocolError::Order { event }) }
    }

    /// Whether a message comes in its turn. One that was seen before is an error, but for those that do no harm twice; one
    /// that comes early is used: what is between may have been damaged.
    fn count(&mut self, event: &'static str, message: &FromClient) -> Result<bool, ProtocolError> {
        let seen = message.serverseq.as_ref().and_then(Text::number).unwrap_or_default();
        let Some(seq) = message.seq.as_ref().and_then(Text::number) else { return Ok(false) };
        if seq > self.client_seq.saturating_add(MAX_AHEAD) {
            return Err(ProtocolError::Field { event, field: "seq" });
        }
        let expected = self.client_seq + 1;
        if seq < expected && !matches!(event, "ping" | "close") {
            return Err(ProtocolError::Order { event });
        }
        self.client_seq = self.client_seq.max(seq);
        Ok(seq == expected && seen <= self.seq)
    }

    fn act(&mut self, now: Instant, event: &'static str, message: &FromClient) -> Result<(), ProtocolError> {
        match event {
            "ping" => self.say("pong", json!({})),
            "close" if !matches!(self.phase, Phase::Left { .. }) => {
                if matches!(self.phase, Phase::Open(_)) {
                    self.stop(StopReason::Provider);
                }
                self.say("closed", json!({}));
                self.phase = Phase::Left { until: now + PATIENCE };
            }
            "error" => {
                let code = message.text("code").unwrap_or_default();
                if let (Phase::Open(session), "429") = (&mut self.phase, code.as_str()) {
                    let wait = message.span("retryAfter").map_or(HOLD, Millis::duration);
                    session.outgoing.hold(now + wait.min(PATIENCE));
                }
                let text = message.text("message").unwrap_or_default();
                let shorten = |text: String| text.chars().take(80).collect();
                return Err(ProtocolError::Reported { code: shorten(code), text: shorten(text) });
            }
            "open" => return Err(ProtocolError::Order { event }),
            _ => return self.act_in_call(now, event, message),
        }
        Ok(())
    }

    fn act_in_call(&mut self, now: Instant, event: &'static str, message: &FromClient) -> Result<(), ProtocolError> {
        let Phase::Open(session) = &mut self.phase else { return Ok(()) };
        match event {
            "dtmf" => {
                let digit = one_key(&message.text("digit").unwrap_or_default())?;
                self.outputs.push_back(Output::Event(MediaEvent::Dtmf(digit)));
            }
            "playback_started" => session.playout.reported_start(now),
            "playback_completed" => self.outputs.extend(session.playout.reported_end(now).map(played)),
            // Audio the client left out: it says where and how much.
            "discarded" | "resumed" => {
                let field = |field| message.span(field).ok_or(ProtocolError::Field { event, field });
                session.resumes_at = Some(field("start")? + field("discarded")?);
            }
            "update" => self.say("updated", json!({})),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, now: Instant, message: FromClient) -> Result<(), ProtocolError> {
        let missing = |field| ProtocolError::Field { event: "open", field };
        let id = given(message.id.clone()).ok_or(missing("id"))?;
        let parameters: OpenParameters = serde_json::from_value(message.parameters)
            .map_err(|source| ProtocolError::Malformed { event: "open", source })?;
        let other = |told: &Option<Text>, known: &Option<String>| {
            known.as_ref().is_some_and(|known| told.as_ref().is_none_or(|told| told.0 != *known))
        };
        if !self.id.is_empty() && self.id != id {
            return Err(missing("id"));
        }
        if other(&parameters.organization_id, &self.organization) {
            return Err(missing("organizationId"));
        }
        let conversation = given(parameters.conversation_id.clone()).ok_or(missing("conversationId"))?;
        self.id = id;
        self.client_seq = message.seq.as_ref().and_then(Text::number).filter(|seq| *seq <= MAX_AHEAD).unwrap_or(1);
        let (media, channels) = choose(&parameters.media)?;
        let opened = json!({"startPaused": false, "media": [media]});
        if is_nobody(parameters.conversation_id.as_ref()) && is_nobody(parameters.participant.id.as_ref()) {
            self.say("opened", opened);
            self.phase = Phase::Probe { until: now + PATIENCE };
            return Ok(());
        }
        let stream = Stream::new(self.id.clone(), Format::PCMU_8K, Format::PCMU_8K, Shape::FRAMES)?;
        let mut variables = parameters.input_variables.0;
        variables.extend(given(parameters.language).map(|language| ("language".to_owned(), language)));
        let start = StreamStart {
            stream_id: self.id.clone(),
            provider_call_id: conversation,
            rate: SampleRate::NARROWBAND,
            plays_at: SampleRate::NARROWBAND,
            // Whatever the flow calls a token is none of ours.
            token: None,
            from: number(parameters.participant.ani).map(Into::into),
            to: number(parameters.participant.dnis).map(Into::into),
            parameters: variables,
        };
        self.outputs.push_back(Output::Event(MediaEvent::Started(start)));
        self.say("opened", opened);
        let (outgoing, playout) = (Outgoing::new(now), Playout::default());
        self.phase = Phase::Open(Box::new(Session { stream, channels, outgoing, playout, resumes_at: None }));
        Ok(())
    }

    /// Asks the client to close, with what the flow should know.
    fn leave(&mut self, now: Instant, transfer: Option<&Transfer>) {
        self.stop(StopReason::Hangup);
        let mut told = vec![("outcome", if transfer.is_some() { "transfer" } else { "completed" })];
        if let Some(transfer) = transfer {
            told.extend(transfer.variables.iter().map(|(name, value)| (name.as_str(), value.reveal().as_str())));
            told.push(("target", transfer.target.reveal()));
        }
        self.say("disconnect", json!({"reason": "completed", "info": "", "outputVariables": variables(told)}));
        self.phase = Phase::Leaving { until: now + PATIENCE };
    }

    fn stop(&mut self, reason: StopReason) {
        self.outputs.push_back(Output::Event(MediaEvent::Stopped(reason)));
    }

    fn close(&mut self, reason: CloseReason) {
        self.outputs.push_back(Output::Close(reason));
        self.phase = Phase::Done;
    }

    fn say(&mut self, kind: &str, parameters: Value) {
        self.seq += 1;
        let (seq, clientseq) = (self.seq, self.client_seq);
        self.outputs.push_back(send(&ToClient { version: "2", id: &self.id, kind, seq, clientseq, parameters }));
    }
}

impl Session {
    fn hear(&mut self, now: Instant, mut audio: Vec<u8>, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        if audio.len() > MAX_AUDIO {
            return Err(ProtocolError::Oversized { got: audio.len(), limit: MAX_AUDIO });
        }
        if !audio.len().is_multiple_of(self.channels) {
            return Err(ProtocolError::FrameSize { got: audio.len(), unit: self.channels });
        }
        if self.channels > 1 {
            audio = audio.into_iter().step_by(self.channels).collect();
        }
        self.stream.receive(now, None, self.resumes_at.take(), audio, outputs)
    }

    fn talk(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        while let Some((audio, begins)) = self.outgoing.due(now) {
            if begins {
                self.playout.begun(now);
            }
            outputs.push_back(Output::Send(WsMessage::Binary(audio)));
        }
    }
}

/// The offer that is taken, as it was made, and its channels: µ-law with the caller alone, or with the caller first.
fn choose(offers: &[Value]) -> Result<(Value, usize), ProtocolError> {
    let usable = |offer: &&Value| {
        let media: Media = serde_json::from_value((*offer).clone()).ok()?;
        let is_usable = media.kind == "audio"
            && media.format.eq_ignore_ascii_case("PCMU")
            && media.rate == SampleRate::NARROWBAND.0
            && media.channels.first().is_some_and(|first| first == "external");
        is_usable.then(|| ((*offer).clone(), media.channels.len()))
    };
    let all: Vec<_> = offers.iter().filter_map(|offer| usable(&offer)).collect();
    let unsupported = || {
        let format = Value::from(offers).to_string();
        ProtocolError::Unsupported { format: format.chars().take(80).collect() }
    };
    all.into_iter().min_by_key(|(_, channels)| *channels).ok_or_else(unsupported)
}

/// The messages that mean something; of others there may be more one day.
fn event(kind: &str) -> Option<&'static str> {
    const EVENTS: &[&str] = &[
        "open",
        "ping",
        "close",
        "error",
        "dtmf",
        "playback_started",
        "playback_completed",
        "paused",
        "resumed",
        "discarded",
        "update",
    ];
    EVENTS.iter().find(|event| **event == kind).copied()
}

fn played(mark: MarkId) -> Output {
    Output::Event(MediaEvent::MarkPlayed(mark))
}

fn discarded(mark: MarkId) -> Output {
    Output::Event(MediaEvent::MarkDiscarded(mark))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;
    use crate::config::ProvidersConfig;
    use crate::telemetry::Secret;
    use crate::telephony::handshake::Handshake;
    use crate::telephony::signature::replay::ReplayCache;

    #[test]
    fn a_handshake_lets_in_once() {
        let mut settings = ProvidersConfig::default();
        settings.audiohook.api_key = Secret::new("key".to_owned());
        settings.audiohook.client_secret = Secret::new(BASE64.encode("client secret"));
        let mut handshake = Handshake::to("/media/audiohook", "/media/audiohook/desk?x=1");
        for name in ["audiohook-organization-id", "audiohook-session-id", "audiohook-correlation-id"] {
            handshake.add_header(name, "a");
        }
        handshake.add_header("x-api-key", "key");
        http_message::sign(b"client secret", &mut handshake, "voice.example.com", "0123456789012345678901", 1_000);
        let (replays, now) = (ReplayCache::default(), Instant::now());
        let at = |unix_s, base_url| {
            check(&Arrival { handshake: &handshake, settings: &settings, base_url, now, unix_s, replays: &replays })
        };
        assert_eq!(at(1_000, "https://other.example.com"), Err(Refusal::Wrong("signature_wrong")));
        assert_eq!(at(1_014, "https://voice.example.com"), Err(Refusal::Wrong("signature_stale")));
        assert_eq!(at(1_000, "https://voice.example.com"), Ok(LetIn::ByHandshake), "a refused one is not used up");
        assert_eq!(at(1_001, "https://voice.example.com"), Err(Refusal::Wrong("signature_replayed")));
    }
}
