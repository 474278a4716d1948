//! AudioCodes VoiceAI Connect: opens a session with a bot and plays its streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::protocol::Digit;
use crate::telephony::providers::find;

/// Ticks of 20 ms in one message.
const TICKS: u64 = 2;
const LPCM16: Format = Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND };

/// The handshake, with the bot connection's token.
pub(super) fn announce(dial: &Dial) -> Result<Announced, CallError> {
    let path = find("audiocodes").map_or("", |spec| spec.path);
    let mut request = request(&format!("{}{path}", dial.base.replacen("http", "ws", 1)))?;
    add_header(&mut request, "authorization", &format!("Bearer {}", dial.auth_token.expose()));
    let dialect = AudioCodes::new(&dial.from, &dial.to)?;
    Ok(Announced { request, dialect: Box::new(dialect), afterwards: None })
}

/// VoiceAI Connect's side of the Bot API.
struct AudioCodes {
    conversation: String,
    from: String,
    to: String,
    voice: Voice,
    ticks: u64,
    collected: Vec<u8>,
    accepted: bool,
    /// The bot takes what the caller says.
    listens: bool,
    /// The open `playStream` and the number of the last one.
    playing: Option<String>,
    last_stream: String,
    ended: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromBot {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    media_format: String,
    #[serde(default)]
    stream_id: String,
    #[serde(default)]
    audio_chunk: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    activities: Vec<Value>,
}

impl AudioCodes {
    fn new(from: &str, to: &str) -> Result<Self, CallError> {
        Ok(Self {
            conversation: Uuid::new_v4().to_string(),
            from: from.to_owned(),
            to: to.to_owned(),
            voice: Voice::new(LPCM16, LPCM16)?,
            ticks: 0,
            collected: Vec::new(),
            accepted: false,
            listens: false,
            playing: None,
            last_stream: String::new(),
            ended: false,
        })
    }

    fn say(&self, kind: &str, more: Value) -> Message {
        let mut message = json!({"type": kind, "conversationId": self.conversation});
        if let Value::Object(more) = more {
            more.into_iter().for_each(|(name, value)| message[name] = value);
        }
        Message::text(message.to_string())
    }

    fn activity(&self, name: &str, more: Value) -> Message {
        let mut activity = json!({"id": Uuid::new_v4().to_string(), "timestamp": "2026-01-05T10:00:00.000Z"});
        (activity["type"], activity["name"]) = (Value::from("event"), Value::from(name));
        if let Value::Object(more) = more {
            more.into_iter().for_each(|(name, value)| activity[name] = value);
        }
        self.say("activities", json!({"activities": [activity]}))
    }

    fn act(&mut self, activity: &Value) -> Vec<Incoming> {
        let parameter = |name: &str| activity["activityParams"][name].as_str().unwrap_or_default();
        match activity["name"].as_str().unwrap_or_default() {
            "hangup" => self.end(String::new()),
            "transfer" => {
                let target = parameter("transferTarget").to_owned();
                if !(target.starts_with("tel:") || target.starts_with("sip:")) {
                    return unknown(format!("transfer to `{target}`"));
                }
                self.end(format!("put through to {target}"))
            }
            "sendDtmf" => vec![Incoming::Dtmf(parameter("dtmf").to_owned())],
            name => unknown(format!("activity `{name}`")),
        }
    }

    fn end(&mut self, said: String) -> Vec<Incoming> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let end = self.say("session.end", json!({"reasonCode": "client-side", "reason": "Client Side"}));
        vec![Incoming::Ended(said), Incoming::Reply(end)]
    }
}

impl Dialect for AudioCodes {
    fn hello(&mut self) -> Vec<Message> {
        let initiate = json!({
            "botName": "warmline",
            "caller": self.from,
            "callee": self.to,
            "expectAudioMessages": true,
            "supportedMediaFormats": ["wav/lpcm16", "raw/lpcm16"],
        });
        vec![self.say("session.initiate", initiate)]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        if !self.listens || self.ended {
            return Vec::new();
        }
        self.ticks += 1;
        let coded = self.voice.code(pcm);
        self.collected.extend(coded);
        if !self.ticks.is_multiple_of(TICKS) {
            return Vec::new();
        }
        let chunk = BASE64.encode(std::mem::take(&mut self.collected));
        vec![self.say("userStream.chunk", json!({"audioChunk": chunk}))]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![self.activity("DTMF", json!({"value": digit.get().to_string()}))]
    }

    fn mark(&mut self, _: &str, _: bool) -> Vec<Message> {
        Vec::new()
    }

    fn playing(&mut self, playing: bool) -> Vec<Message> {
        if playing || self.ended { Vec::new() } else { vec![self.activity("playFinished", json!({}))] }
    }

    fn goodbye(&mut self) -> Vec<Message> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let end =
            self.say("session.end", json!({"reasonCode": "client-disconnected", "reason": "Client Disconnected"}));
        vec![self.activity("hangup", json!({})), self.say("userStream.stop", json!({})), end]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message, which VoiceAI Connect does not take"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let message: FromBot = match serde_json::from_str(&text) {
            Ok(message) => message,
            Err(error) => return unknown(format!("message: {error}")),
        };
        if !self.accepted && !matches!(message.kind.as_str(), "session.accepted" | "session.error") {
            return unknown("message before the session was accepted");
        }
        match message.kind.as_str() {
            "session.accepted" if message.media_format == "raw/lpcm16" => {
                self.accepted = true;
                let parameters = json!({"caller": self.from, "callee": self.to});
                let start = self.activity("start", json!({"parameters": parameters}));
                vec![
                    Incoming::Started,
                    Incoming::Reply(start),
                    Incoming::Reply(self.say("userStream.start", json!({}))),
                ]
            }
            "session.accepted" => unknown(format!("format `{}`, which was not offered", message.media_format)),
            "session.error" => vec![Incoming::Ended(message.reason)],
            "userStream.started" => {
                self.listens = true;
                Vec::new()
            }
            "userStream.stopped" => Vec::new(),
            // Barge-in is switched on: we stop by ourselves.
            "userStream.speech.started" => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            "userStream.speech.stopped" => Vec::new(),
            "playStream.start" => {
                let is_new = message.stream_id != self.last_stream && !message.stream_id.is_empty();
                let is_only = self.playing.is_none();
                self.last_stream.clone_from(&message.stream_id);
                self.playing = Some(message.stream_id);
                if is_new && is_only {
                    Vec::new()
                } else {
                    unknown("`playStream.start` while one is open, or a second time")
                }
            }
            "playStream.chunk" if self.playing.as_ref() == Some(&message.stream_id) => {
                let audio = BASE64.decode(message.audio_chunk).ok().and_then(|audio| self.voice.decode(&audio));
                audio.map_or_else(|| unknown("audio that is none"), |pcm| vec![Incoming::Audio(pcm)])
            }
            "playStream.chunk" => unknown("audio of a `playStream` that is not open"),
            "playStream.stop" if self.playing.take().as_ref() == Some(&message.stream_id) => Vec::new(),
            "playStream.stop" => unknown("stop of a `playStream` that is not open"),
            "activities" => message.activities.iter().flat_map(|activity| self.act(activity)).collect(),
            kind => unknown(format!("`{kind}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiocodes_plays_one_stream_at_a_time() {
        let mut provider = AudioCodes::new("+1", "+2").expect("a voice");
        let mut read = |message: Value| provider.read(Message::text(message.to_string()));
        assert!(matches!(
            read(json!({"type": "playStream.start", "streamId": "1"})).as_slice(),
            [Incoming::Unknown(_)]
        ));
        let accepted = read(json!({"type": "session.accepted", "mediaFormat": "raw/lpcm16"}));
        assert!(matches!(accepted.as_slice(), [Incoming::Started, Incoming::Reply(_), Incoming::Reply(_)]));
        assert_eq!(read(json!({"type": "playStream.start", "streamId": "1"})), []);
        let chunk = json!({"type": "playStream.chunk", "streamId": "1", "audioChunk": BASE64.encode([1, 0])});
        assert_eq!(read(chunk.clone()), [Incoming::Audio(vec![1])]);
        assert!(matches!(
            read(json!({"type": "playStream.start", "streamId": "2"})).as_slice(),
            [Incoming::Unknown(_)]
        ));
        assert!(matches!(read(chunk).as_slice(), [Incoming::Unknown(_)]));
        assert_eq!(read(json!({"type": "playStream.stop", "streamId": "2"})), []);
        assert!(matches!(
            read(json!({"type": "playStream.start", "streamId": "2"})).as_slice(),
            [Incoming::Unknown(_)]
        ));
        let hangup = json!({"type": "activities", "activities": [{"type": "event", "name": "hangup"}]});
        let said = read(hangup);
        assert!(matches!(said.as_slice(), [Incoming::Ended(_), Incoming::Reply(_)]), "{said:?}");
    }
}
