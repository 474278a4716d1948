//! Genesys Cloud: signs the handshake, speaks AudioHook as Audio Connector does, counts what we send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, request, unknown};
use crate::audio::codec::Format;
use crate::telephony::handshake::Handshake;
use crate::telephony::protocol::Digit;
use crate::telephony::providers::find;
use crate::telephony::signature::http_message;
use crate::web::gate::unix_s;

/// Ticks of 20 ms in one message.
const TICKS: usize = 5;
/// Ticks between pings.
const PING_EVERY: u64 = 250;
/// Binary messages taken at once…
const BURST: f64 = 25.0;
/// …and in a second.
const PER_SECOND: f64 = 5.0;
/// The largest binary message taken.
const LARGEST: usize = 64_000;

/// The handshake, with the key and the secret of `KEY:SECRET`.
pub(super) fn announce(dial: &Dial) -> Result<Announced, CallError> {
    let path = find("audiohook").map_or("", |spec| spec.path);
    let url = format!("{}{path}", dial.base.replacen("http", "ws", 1));
    let mut request = request(&url)?;
    let (key, secret) = dial.auth_token.expose().split_once(':').unwrap_or((dial.auth_token.expose(), ""));
    let (organization, session) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let mut handshake = Handshake::to(path, path);
    handshake.add_header("audiohook-organization-id", &organization);
    handshake.add_header("audiohook-session-id", &session);
    handshake.add_header("audiohook-correlation-id", &Uuid::new_v4().to_string());
    handshake.add_header("x-api-key", key);
    let secret = BASE64.decode(secret).unwrap_or_default();
    if !secret.is_empty() {
        let signed = dial.as_signed(&url);
        let authority = signed.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        http_message::sign(&secret, &mut handshake, authority, &Uuid::new_v4().simple().to_string(), unix_s());
    }
    for name in [
        "audiohook-organization-id",
        "audiohook-session-id",
        "audiohook-correlation-id",
        "x-api-key",
        "signature-input",
        "signature",
    ] {
        if let Some(value) = handshake.header(name) {
            add_header(&mut request, name, value);
        }
    }
    let dialect = AudioHook::new(organization, session, &dial.from, &dial.to)?;
    Ok(Announced { request, dialect: Box::new(dialect), afterwards: None })
}

/// The client of an Audio Connector.
struct AudioHook {
    organization: String,
    session: String,
    from: String,
    to: String,
    voice: Voice,
    seq: u64,
    server_seq: u64,
    ticks: u64,
    collected: Vec<u8>,
    is_open: bool,
    /// We said `close`.
    closing: bool,
    /// The server said `closed`.
    closed: bool,
    /// What the server said about it.
    farewell: String,
    unanswered_pings: u32,
    bucket: f64,
    filled: Instant,
}

#[derive(Deserialize)]
struct FromServer {
    #[serde(default)]
    version: String,
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    clientseq: u64,
    #[serde(default)]
    parameters: Value,
}

impl AudioHook {
    fn new(organization: String, session: String, from: &str, to: &str) -> Result<Self, CallError> {
        Ok(Self {
            organization,
            session,
            from: from.to_owned(),
            to: to.to_owned(),
            voice: Voice::new(Format::PCMU_8K, Format::PCMU_8K)?,
            seq: 0,
            server_seq: 0,
            ticks: 0,
            collected: Vec::new(),
            is_open: false,
            closing: false,
            closed: false,
            farewell: String::new(),
            unanswered_pings: 0,
            bucket: BURST,
            filled: Instant::now(),
        })
    }

    fn say(&mut self, kind: &str, parameters: Value) -> Message {
        self.seq += 1;
        let message = json!({
            "version": "2",
            "id": self.session,
            "type": kind,
            "seq": self.seq,
            "serverseq": self.server_seq,
            "position": format!("PT{}S", self.ticks as f64 * 0.02),
            "parameters": parameters,
        });
        Message::text(message.to_string())
    }

    fn error(&mut self, code: u16, message: &str, retry_after: Option<&str>) -> Incoming {
        let mut parameters = json!({"code": code, "message": message});
        if let Some(wait) = retry_after {
            parameters["retryAfter"] = Value::from(wait);
        }
        Incoming::Reply(self.say("error", parameters))
    }

    fn play(&mut self, audio: &[u8]) -> Vec<Incoming> {
        let now = Instant::now();
        self.bucket = (self.bucket + (now - self.filled).as_secs_f64() * PER_SECOND).min(BURST);
        self.filled = now;
        if audio.len() > LARGEST {
            let error = self.error(413, "binary message too large", None);
            return vec![error, Incoming::Unknown(format!("{} bytes of audio in one message", audio.len()))];
        }
        if self.bucket < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - self.bucket) / PER_SECOND);
            let error = self.error(429, "too many binary messages", Some(&format!("PT{:.2}S", wait.as_secs_f64())));
            return vec![error, Incoming::Unknown("more than 5 binary messages a second".to_owned())];
        }
        self.bucket -= 1.0;
        match self.voice.decode(audio) {
            Some(pcm) if self.is_open && !self.closing => vec![Incoming::Audio(pcm)],
            _ => unknown("audio outside an open session"),
        }
    }

    fn hear(&mut self, message: &FromServer) -> Vec<Incoming> {
        if message.version != "2" || message.id != self.session {
            return unknown("message of another version or session");
        }
        let in_order = message.seq == self.server_seq + 1 && message.clientseq <= self.seq;
        self.server_seq = message.seq;
        let mut all = if in_order { Vec::new() } else { unknown("message out of order") };
        match message.kind.as_str() {
            "opened" => {
                self.is_open = message.parameters["media"].as_array().is_some_and(|media| media.len() == 1);
                all.push(if self.is_open {
                    Incoming::Started
                } else {
                    Incoming::Unknown("`opened` without exactly one medium".to_owned())
                });
            }
            "pong" => self.unanswered_pings = 0,
            "updated" => {}
            "event" => {
                let entities = message.parameters["entities"].as_array().map_or(&[][..], Vec::as_slice);
                if entities.iter().any(|entity| entity["type"] == "barge_in") {
                    self.voice.clear();
                    all.push(Incoming::Clear);
                }
            }
            "disconnect" => {
                let reason = message.parameters["reason"].as_str().unwrap_or_default();
                let info = message.parameters["info"].as_str().unwrap_or_default();
                let outcome = message.parameters["outputVariables"]["outcome"].as_str().unwrap_or_default();
                let said = match (reason, outcome) {
                    ("completed", "transfer") => {
                        let target = message.parameters["outputVariables"]["target"].as_str().unwrap_or_default();
                        format!("put through to {target}")
                    }
                    ("completed", _) => info.to_owned(),
                    (reason, _) if info.is_empty() => reason.to_owned(),
                    (_, _) => info.to_owned(),
                };
                if !std::mem::replace(&mut self.closing, true) {
                    let close = self.say("close", json!({"reason": "disconnect"}));
                    // The socket is ours to close, once the server has said `closed`.
                    self.farewell.clone_from(&said);
                    all.extend([Incoming::Ended(said), Incoming::Reply(close)]);
                }
            }
            "closed" if self.closing => {
                self.closed = true;
                all.push(Incoming::HangUp(std::mem::take(&mut self.farewell)));
            }
            kind => all.push(Incoming::Unknown(format!("`{kind}`"))),
        }
        all
    }
}

impl Dialect for AudioHook {
    fn hello(&mut self) -> Vec<Message> {
        let media = [json!(["external"]), json!(["external", "internal"])];
        let media =
            media.map(|channels| json!({"type": "audio", "format": "PCMU", "channels": channels, "rate": 8_000}));
        let open = json!({
            "organizationId": self.organization,
            "conversationId": Uuid::new_v4().to_string(),
            "participant": {
                "id": Uuid::new_v4().to_string(),
                "ani": self.from,
                "aniName": "",
                "dnis": self.to,
            },
            "media": media,
            "language": "en-US",
        });
        vec![self.say("open", open)]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        if !self.is_open || self.closing {
            return Vec::new();
        }
        self.ticks += 1;
        let coded = self.voice.code(pcm);
        self.collected.extend(coded);
        let mut messages = Vec::new();
        if self.ticks.is_multiple_of(TICKS as u64) {
            messages.push(Message::binary(std::mem::take(&mut self.collected)));
        }
        if self.ticks.is_multiple_of(PING_EVERY) {
            self.unanswered_pings += 1;
            messages.push(self.say("ping", json!({})));
        }
        messages
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![self.say("dtmf", json!({"digit": digit.get().to_string()}))]
    }

    fn mark(&mut self, _: &str, _: bool) -> Vec<Message> {
        Vec::new()
    }

    fn playing(&mut self, playing: bool) -> Vec<Message> {
        if self.closing {
            return Vec::new();
        }
        vec![self.say(if playing { "playback_started" } else { "playback_completed" }, json!({}))]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        if std::mem::replace(&mut self.closing, true) {
            return Vec::new();
        }
        vec![self.say("close", json!({"reason": "end"}))]
    }

    fn is_over(&self) -> bool {
        self.closed
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let mut all = match message {
            Message::Binary(audio) => self.play(&audio),
            Message::Text(text) => match serde_json::from_str::<FromServer>(&text) {
                Ok(message) => self.hear(&message),
                Err(error) => unknown(format!("message: {error}")),
            },
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Vec::new(),
        };
        if self.unanswered_pings > 1 {
            self.unanswered_pings = 0;
            all.push(Incoming::Unknown("no pong for two pings".to_owned()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> AudioHook {
        AudioHook::new("o".to_owned(), "s".to_owned(), "+1", "+2").expect("a voice")
    }

    fn server(kind: &str, seq: u64, parameters: Value) -> Message {
        let message =
            json!({"version": "2", "id": "s", "type": kind, "seq": seq, "clientseq": 1, "parameters": parameters});
        Message::text(message.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn genesys_counts_messages_and_complains() {
        let mut client = client();
        assert_eq!(client.hello().len(), 1);
        assert_eq!(client.read(server("opened", 1, json!({"media": [{}]}))), [Incoming::Started]);
        for _ in 0..25 {
            assert!(matches!(client.read(Message::binary(vec![0xff; 160])).as_slice(), [Incoming::Audio(_)]));
        }
        let too_many = client.read(Message::binary(vec![0xff; 160]));
        let [Incoming::Reply(Message::Text(error)), Incoming::Unknown(_)] = too_many.as_slice() else {
            panic!("{too_many:?}")
        };
        assert!(error.contains("429") && error.contains("\"retryAfter\":\"PT0.20S\""), "{error}");
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(matches!(client.read(Message::binary(vec![0xff; 160])).as_slice(), [Incoming::Audio(_)]));
        let large = client.read(Message::binary(vec![0xff; LARGEST + 1]));
        assert!(matches!(large.as_slice(), [Incoming::Reply(_), Incoming::Unknown(_)]));
        assert!(matches!(client.read(server("pong", 3, json!({}))).as_slice(), [Incoming::Unknown(_)]), "2 is missing");
    }

    #[tokio::test(start_paused = true)]
    async fn genesys_closes_when_the_server_has_said_closed() {
        let mut client = client();
        client.hello();
        client.read(server("opened", 1, json!({"media": [{}]})));
        let variables = json!({"outcome": "transfer", "target": "support"});
        let asked = client.read(server("disconnect", 2, json!({"reason": "completed", "outputVariables": variables})));
        let [Incoming::Ended(said), Incoming::Reply(_)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(said, "put through to support");
        assert!(!client.is_over() && client.goodbye().is_empty());
        assert!(matches!(client.read(server("closed", 3, json!({}))).as_slice(), [Incoming::HangUp(_)]));
        assert!(client.is_over());
    }
}
