//! Exotel: streams to the fixed address of a Voicebot applet, with the credentials in it, and asks the Passthru applet's
//! address which branch comes next.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, answer, request, unknown};
use crate::audio::resample::Resampler;
use crate::audio::units::SampleRate;
use crate::cli::call::line::RATE;
use crate::telephony::protocol::Digit;

const ACCOUNT: &str = "exampleaccount1";
/// The applet's default.
const STREAM_RATE: SampleRate = SampleRate::NARROWBAND;
/// Caller audio comes in messages of 100 ms.
const CHUNK: usize = 800;
/// What the vendor asks of our messages, in bytes.
const LEAST: usize = 3_200;
const MOST: usize = 100_000;
const UNIT: usize = 320;

/// Connects as the applet does. Nothing is announced: the address is fixed.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_sid = Uuid::new_v4().simple().to_string();
    let mut url = format!("{}/media/exotel?sample-rate={}", dial.base.replacen("http", "ws", 1), STREAM_RATE.0);
    let credentials = format!("Basic {}", BASE64.encode(dial.auth_token.expose()));
    let afterwards = match &dial.token {
        Some(token) => {
            url.push_str(&format!("&token={}", token.expose()));
            None
        }
        None => Some(ask(http, dial.clone(), call_sid.clone(), credentials.clone()).boxed()),
    };
    let mut request = request(&url)?;
    if dial.token.is_none() {
        add_header(&mut request, "authorization", &credentials);
    }
    let dialect = Box::new(Exotel::new(call_sid, dial.from.clone(), dial.to.clone()));
    Ok(Announced { request, dialect, afterwards })
}

/// The applets behind the Voicebot: Passthru, and Connect if that says so.
async fn ask(http: reqwest::Client, dial: Dial, call_sid: String, credentials: String) -> Result<String, CallError> {
    let get = |path: &str| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("CallSid", &call_sid)
            .append_pair("Direction", "inbound")
            .append_pair("From", &dial.from)
            .append_pair("To", &dial.to)
            .append_pair("Stream[Status]", "completed")
            .append_pair("Stream[DisconnectedBy]", "bot")
            .finish();
        let url = format!("{}/voice/exotel/{path}?{query}", dial.base);
        (http.get(&url).header("authorization", credentials.as_str()), url)
    };
    let (request, url) = get("next");
    match answer(request, &url).await? {
        (StatusCode::FOUND, _) => Ok(String::new()),
        (StatusCode::OK, _) => {
            let (request, url) = get("dial");
            match answer(request, &url).await? {
                (StatusCode::OK, number) => Ok(format!("put through to {number}")),
                (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
            }
        }
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => Err(CallError::Signature { url }),
        (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
    }
}

/// AgentStream, Exotel's side.
struct Exotel {
    call_sid: String,
    stream_sid: String,
    from: String,
    to: String,
    sequence: u64,
    chunk: u64,
    /// What fills no message yet.
    rest: Vec<i16>,
    down: Resampler,
    up: Resampler,
}

#[derive(Deserialize)]
struct FromServer {
    event: String,
    #[serde(default)]
    stream_sid: String,
    #[serde(default)]
    media: Option<MediaBody>,
    #[serde(default)]
    mark: Option<MarkBody>,
}

#[derive(Deserialize)]
struct MediaBody {
    payload: String,
}

#[derive(Deserialize)]
struct MarkBody {
    name: String,
}

impl Exotel {
    fn new(call_sid: String, from: String, to: String) -> Self {
        let resampler = |from, to| Resampler::new(from, to).expect("telephone and wideband are rates");
        Self {
            call_sid,
            stream_sid: Uuid::new_v4().simple().to_string(),
            from,
            to,
            sequence: 0,
            chunk: 0,
            rest: Vec::new(),
            down: resampler(RATE, STREAM_RATE),
            up: resampler(STREAM_RATE, RATE),
        }
    }

    fn next(&mut self, event: &str, body: Value) -> Message {
        self.sequence += 1;
        let mut message = json!({"event": event, "sequence_number": self.sequence.to_string()});
        message["stream_sid"] = Value::from(self.stream_sid.as_str());
        message[event] = body;
        Message::text(message.to_string())
    }

    fn media(&mut self, payload: &str) -> Vec<Incoming> {
        let Ok(bytes) = BASE64.decode(payload) else { return unknown("payload that is no base64") };
        if !(LEAST..=MOST).contains(&bytes.len()) || !bytes.len().is_multiple_of(UNIT) {
            return unknown(format!("audio message of {} bytes", bytes.len()));
        }
        let (pairs, _) = bytes.as_chunks::<2>();
        let narrow: Vec<i16> = pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
        let mut pcm = Vec::new();
        self.up.push(&narrow, &mut pcm);
        vec![Incoming::Audio(pcm)]
    }
}

impl Dialect for Exotel {
    fn hello(&mut self) -> Vec<Message> {
        let start = json!({
            "stream_sid": self.stream_sid,
            "call_sid": self.call_sid,
            "account_sid": ACCOUNT,
            "from": self.from,
            "to": self.to,
            "custom_parameters": "",
            "media_format": {
                "encoding": "audio/x-raw",
                "sample_rate": STREAM_RATE.0.to_string(),
                "bit_rate": "16",
            },
        });
        vec![Message::text(json!({"event": "connected"}).to_string()), self.next("start", start)]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        self.down.push(pcm, &mut self.rest);
        if self.rest.len() < CHUNK {
            return Vec::new();
        }
        let bytes: Vec<u8> = self.rest.drain(..CHUNK).flat_map(i16::to_le_bytes).collect();
        self.chunk += 1;
        let body = json!({
            "chunk": self.chunk.to_string(),
            "timestamp": (self.chunk * 100).to_string(),
            "payload": BASE64.encode(bytes),
        });
        vec![self.next("media", body)]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![self.next("dtmf", json!({"digit": digit.get().to_string(), "duration": "100"}))]
    }

    /// Nobody says what becomes of a mark that is cleared; here it is lost, which is harder on the server.
    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message> {
        if cleared { Vec::new() } else { vec![self.next("mark", json!({"name": name}))] }
    }

    fn goodbye(&mut self) -> Vec<Message> {
        let body = json!({"call_sid": self.call_sid, "account_sid": ACCOUNT, "reason": "callended"});
        vec![self.next("stop", body)]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(message) = serde_json::from_str::<FromServer>(&text) else {
            return unknown("message that is none of the dialect");
        };
        if message.stream_sid != self.stream_sid {
            return unknown("message without this stream's stream_sid");
        }
        match (message.event.as_str(), message.media, message.mark) {
            ("media", Some(media), _) => self.media(&media.payload),
            ("mark", _, Some(mark)) => vec![Incoming::Mark(mark.name)],
            ("clear", ..) => {
                self.up.flush(&mut Vec::new());
                vec![Incoming::Clear]
            }
            (event, ..) => unknown(format!("event `{event}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exotel_sends_100_ms_and_wants_messages_of_its_sizes() {
        let mut exotel = Exotel::new("c".to_owned(), "+91".to_owned(), "+91".to_owned());
        let sent: Vec<Message> = (0..51).flat_map(|_| exotel.audio(&[0; 320])).collect();
        assert_eq!(sent.len(), 10, "of one second and a frame for the filter's delay");
        let first: Value = serde_json::from_str(sent[0].to_text().expect("text")).expect("JSON");
        assert_eq!((&first["media"]["chunk"], &first["media"]["timestamp"]), (&"1".into(), &"100".into()));
        let sid = exotel.stream_sid.clone();
        let mut media = |bytes: usize| {
            let payload = BASE64.encode(vec![0; bytes]);
            let message = json!({"event": "media", "stream_sid": sid, "media": {"payload": payload}});
            exotel.read(Message::text(message.to_string())).pop()
        };
        for good in [3_200, 3_520, 99_840] {
            assert!(matches!(media(good), Some(Incoming::Audio(_))), "{good}");
        }
        for wrong in [320, 3_199, 3_300, 100_160] {
            assert!(matches!(media(wrong), Some(Incoming::Unknown(_))), "{wrong}");
        }
        assert!(matches!(exotel.read(Message::text(r#"{"event":"clear"}"#)).as_slice(), [Incoming::Unknown(_)]));
    }
}
