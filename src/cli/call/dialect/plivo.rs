//! Plivo: asks its webhook, signed with a nonce, and speaks Audio Streaming. Checkpoints that a clear flushed are never
//! answered, and nothing but the end of the socket says that the call is over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::instructions::{self, Instructions};
use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, post_form, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::plivo::{NONCE_HEADER, SIGNATURE_HEADER, sign};

/// Asks the webhook as Plivo does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_id = dial.call_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let instructions = match &dial.token {
        Some(token) => Instructions {
            stream: Some(format!("{}/media/plivo", dial.base.replacen("http", "ws", 1))),
            attributes: vec![("extraHeaders".to_owned(), format!("token={}", token.expose()))],
            ..Instructions::default()
        },
        None => {
            let form = [
                ("CallUUID", call_id.as_str()),
                ("CallStatus", "ringing"),
                ("Direction", "inbound"),
                ("From", &dial.from),
                ("To", &dial.to),
            ];
            instructions::read(&post(&http, dial, "incoming", &form).await?)?
        }
    };
    let Some(url) = &instructions.stream else { return Err(CallError::Refused { said: instructions.said }) };
    let url = if dial.token.is_some() { url.clone() } else { dial.reachable(url) };
    let format = match instructions.attribute("contentType") {
        Some("audio/x-l16;rate=8000") => Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND },
        Some("audio/x-l16;rate=16000") => Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
        _ => Format::PCMU_8K,
    };
    let headers = instructions.attribute("extraHeaders").unwrap_or_default().split(',');
    let headers: serde_json::Map<_, _> = headers
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let dialect = Streaming {
        call_id: call_id.clone(),
        stream_id: Uuid::new_v4().to_string(),
        extra_headers: Value::Object(headers).to_string(),
        sequence: 0,
        chunk: 0,
        format,
        voice: Voice::new(format, format)?,
    };
    let afterwards = dial.token.is_none().then(|| ask(http, dial.clone(), call_id).boxed());
    Ok(Announced { request: request(&url)?, dialect: Box::new(dialect), afterwards })
}

/// Plivo's question after `<Stream>`.
async fn ask(http: reqwest::Client, dial: Dial, call_id: String) -> Result<String, CallError> {
    let form = [("CallUUID", call_id.as_str()), ("CallStatus", "in-progress")];
    Ok(instructions::read(&post(&http, &dial, "after", &form).await?)?.told())
}

/// Posts a form as Plivo does, signed.
async fn post(http: &reqwest::Client, dial: &Dial, what: &str, form: &[(&str, &str)]) -> Result<String, CallError> {
    let url = format!("{}/voice/plivo/{what}", dial.base);
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let nonce = Uuid::new_v4().simple().to_string();
    let signature = sign(dial.auth_token.expose(), &dial.as_signed(&url), Some(&owned), &nonce);
    post_form(http, url, &[(SIGNATURE_HEADER, signature), (NONCE_HEADER, nonce)], form).await
}

/// Audio Streaming, Plivo's side.
struct Streaming {
    call_id: String,
    stream_id: String,
    /// As Plivo hands them back: JSON in a string.
    extra_headers: String,
    sequence: u64,
    chunk: u64,
    format: Format,
    voice: Voice,
}

impl Streaming {
    fn content_type(&self) -> &'static str {
        if self.format.codec == Codec::Pcmu { "audio/x-mulaw" } else { "audio/x-l16" }
    }

    fn next(&mut self, mut message: Value) -> Message {
        self.sequence += 1;
        message["sequenceNumber"] = Value::from(self.sequence);
        message["streamId"] = Value::from(self.stream_id.as_str());
        message["extra_headers"] = Value::from(self.extra_headers.as_str());
        Message::text(message.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromServer {
    event: String,
    #[serde(default)]
    stream_id: Option<String>,
    #[serde(default)]
    media: Option<MediaBody>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    dtmf: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MediaBody {
    content_type: String,
    sample_rate: u32,
    payload: String,
}

impl Dialect for Streaming {
    fn hello(&mut self) -> Vec<Message> {
        let start = json!({
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "10000000",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self.content_type(), "sampleRate": self.format.rate.0},
        });
        vec![self.next(json!({"event": "start", "start": start}))]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        let coded = self.voice.code(pcm);
        self.chunk += 1;
        let media = json!({
            "track": "inbound",
            "timestamp": (1_767_607_200_000 + self.chunk * 20).to_string(),
            "chunk": self.chunk,
            "payload": BASE64.encode(coded),
        });
        vec![self.next(json!({"event": "media", "media": media}))]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        let dtmf = json!({"track": "inbound", "digit": digit.get().to_string(), "timestamp": "1767607201000"});
        vec![self.next(json!({"event": "dtmf", "dtmf": dtmf}))]
    }

    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message> {
        if cleared { Vec::new() } else { vec![self.next(json!({"event": "playedStream", "name": name}))] }
    }

    fn cleared(&mut self) -> Vec<Message> {
        vec![self.next(json!({"event": "clearedAudio"}))]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message, which Plivo does not take"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(mut message) = serde_json::from_str::<FromServer>(&text) else {
            return unknown("message that is no stream message");
        };
        if message.stream_id.as_ref().is_some_and(|id| *id != self.stream_id) {
            return unknown("message for another stream");
        }
        let event = std::mem::take(&mut message.event);
        match (event.as_str(), message) {
            ("playAudio", FromServer { media: Some(media), .. }) => {
                if (media.content_type.as_str(), media.sample_rate) != (self.content_type(), self.format.rate.0) {
                    return unknown(format!("{} at {} Hz", media.content_type, media.sample_rate));
                }
                let audio = BASE64.decode(media.payload).ok().and_then(|coded| self.voice.decode(&coded));
                audio.map_or_else(|| unknown("payload that is no audio"), |pcm| vec![Incoming::Audio(pcm)])
            }
            ("checkpoint", FromServer { name: Some(name), stream_id: Some(_), .. }) => vec![Incoming::Mark(name)],
            ("clearAudio", FromServer { stream_id: Some(_), .. }) => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            ("sendDTMF", FromServer { dtmf: Some(keys), .. }) => vec![Incoming::Dtmf(keys)],
            (event, _) => unknown(format!("event `{event}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_unless_they_were_flushed() {
        let mut plivo = Streaming {
            call_id: "c".to_owned(),
            stream_id: "s".to_owned(),
            extra_headers: r#"{"token":"t"}"#.to_owned(),
            sequence: 0,
            chunk: 0,
            format: Format::PCMU_8K,
            voice: Voice::new(Format::PCMU_8K, Format::PCMU_8K).expect("µ-law is known"),
        };
        assert_eq!((plivo.mark("1", true).len(), plivo.mark("1", false).len(), plivo.cleared().len()), (0, 1, 1));
        let mut read = |message: Value| plivo.read(Message::text(message.to_string())).pop();
        let audio = |kind: &str| {
            let media = json!({"contentType": kind, "sampleRate": 8000, "payload": BASE64.encode([0xff; 160])});
            json!({"event": "playAudio", "streamId": "s", "media": media})
        };
        assert_eq!(read(audio("audio/x-mulaw")), Some(Incoming::Audio(vec![0; 320])));
        assert!(matches!(read(audio("audio/x-l16")), Some(Incoming::Unknown(_))), "the codec may not change");
        assert_eq!(read(json!({"event": "clearAudio", "streamId": "s"})), Some(Incoming::Clear));
        for wrong in [json!({"event": "clearAudio"}), json!({"event": "clearAudio", "streamId": "x"}), json!({})] {
            assert!(matches!(read(wrong), Some(Incoming::Unknown(_))));
        }
    }
}
