//! Telnyx: asks the TeXML webhook, signed with Ed25519, and speaks its media streaming in `rtp` mode.
//!
//! Call Control is not played: it would take Telnyx' API beside the webhook. The media socket is the same.

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
use crate::telephony::signature::ed25519::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};
use crate::web::gate::unix_s;

const ACCOUNT: &str = "00000000-0000-4000-8000-000000000000";

/// Asks the webhook as Telnyx does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_sid = dial.call_id.clone().unwrap_or_else(|| format!("v3:{}", Uuid::new_v4().simple()));
    let instructions = match &dial.token {
        Some(token) => Instructions {
            stream: Some(format!("{}/media/telnyx", dial.base.replacen("http", "ws", 1))),
            parameters: [("token".to_owned(), token.expose().clone())]
                .into_iter()
                .chain(dial.call_id.clone().map(|call_id| ("call_id".to_owned(), call_id)))
                .collect(),
            ..Instructions::default()
        },
        None => {
            let form = [
                ("AccountSid", ACCOUNT),
                ("CallSid", call_sid.as_str()),
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
    let spoken = format(instructions.attribute("codec"), None);
    // Without this mode the server's audio would be taken for MP3.
    let takes_audio = dial.token.is_some() || instructions.attribute("bidirectionalMode") == Some("rtp");
    let heard =
        format(instructions.attribute("bidirectionalCodec"), instructions.attribute("bidirectionalSamplingRate"));
    let dialect = Streaming {
        call_sid: call_sid.clone(),
        stream_id: Uuid::new_v4().to_string(),
        parameters: instructions.parameters,
        sequence: 0,
        chunk: 0,
        spoken,
        takes_audio,
        voice: Voice::new(spoken, heard)?,
    };
    let afterwards = dial.token.is_none().then(|| ask(http, dial.clone(), call_sid).boxed());
    Ok(Announced { request: request(&url)?, dialect: Box::new(dialect), afterwards })
}

fn format(codec: Option<&str>, rate: Option<&str>) -> Format {
    let wide = rate.and_then(|rate| rate.parse().ok()).map_or(SampleRate::WIDEBAND, SampleRate);
    match codec {
        Some("PCMA") => Format { codec: Codec::Pcma, rate: SampleRate::NARROWBAND },
        Some("G722") => Format { codec: Codec::G722, rate: SampleRate::WIDEBAND },
        Some("L16") => Format { codec: Codec::L16Be, rate: wide },
        _ => Format::PCMU_8K,
    }
}

/// Telnyx' question after `<Connect>`.
async fn ask(http: reqwest::Client, dial: Dial, call_sid: String) -> Result<String, CallError> {
    let form = [("AccountSid", ACCOUNT), ("CallSid", call_sid.as_str()), ("CallStatus", "in-progress")];
    Ok(instructions::read(&post(&http, &dial, "after", &form).await?)?.told())
}

/// Posts a form as Telnyx does, signed: `--auth-token` is the seed of the private key, in base64.
async fn post(http: &reqwest::Client, dial: &Dial, what: &str, form: &[(&str, &str)]) -> Result<String, CallError> {
    let url = format!("{}/voice/telnyx/texml/{what}", dial.base);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let stamp = unix_s().to_string();
    let key = SigningKey::from_seed(dial.auth_token.expose());
    let signature = key.map(|key| key.sign(&stamp, body.as_bytes())).unwrap_or_default();
    post_form(http, url, &[(TIMESTAMP_HEADER, stamp), (SIGNATURE_HEADER, signature)], form).await
}

/// Media streaming, Telnyx' side.
struct Streaming {
    call_sid: String,
    stream_id: String,
    parameters: Vec<(String, String)>,
    sequence: u64,
    chunk: u64,
    spoken: Format,
    takes_audio: bool,
    voice: Voice,
}

impl Streaming {
    fn next(&mut self, event: &str, key: &str, body: Value) -> Message {
        self.sequence += 1;
        let mut message = json!({"event": event, "sequence_number": self.sequence.to_string()});
        message["stream_id"] = Value::from(self.stream_id.as_str());
        message[key] = body;
        Message::text(message.to_string())
    }
}

#[derive(Deserialize)]
struct FromServer {
    event: String,
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

impl Dialect for Streaming {
    fn hello(&mut self) -> Vec<Message> {
        let parameters: serde_json::Map<_, _> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let encoding = match self.spoken.codec {
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::L16Be | Codec::L16Le => "L16",
            Codec::Pcmu | Codec::Opus => "PCMU",
        };
        // RTP's clock for G.722.
        let rate = if self.spoken.codec == Codec::G722 { 8_000 } else { self.spoken.rate.0 };
        let start = json!({
            "user_id": "3e6f995f-0000-4000-8000-000000000001",
            "call_control_id": format!("v3:leg-of-{}", self.call_sid.trim_start_matches("v3:")),
            "media_format": {"encoding": encoding, "sample_rate": rate, "channels": 1},
            "custom_parameters": parameters,
        });
        let connected = json!({"event": "connected", "version": "1.0.0"});
        vec![Message::text(connected.to_string()), self.next("start", "start", start)]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        let coded = self.voice.code(pcm);
        self.chunk += 1;
        let body = json!({
            "track": "inbound",
            "chunk": self.chunk.to_string(),
            "timestamp": (self.chunk * 20).to_string(),
            "payload": BASE64.encode(coded),
        });
        vec![self.next("media", "media", body)]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![self.next("dtmf", "dtmf", json!({"digit": digit.get().to_string()}))]
    }

    fn mark(&mut self, name: &str, _: bool) -> Vec<Message> {
        vec![self.next("mark", "mark", json!({"name": name}))]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        let body = json!({"user_id": "3e6f995f-0000-4000-8000-000000000001", "call_control_id": self.call_sid});
        vec![self.next("stop", "stop", body)]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message, which Telnyx does not promise to take"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(mut message) = serde_json::from_str::<FromServer>(&text) else {
            return vec![self.complain("100003", "malformed_frame"), Incoming::Unknown("malformed frame".to_owned())];
        };
        let event = std::mem::take(&mut message.event);
        match (event.as_str(), message) {
            ("media", _) if !self.takes_audio => unknown("audio, though nobody asked for `rtp` mode"),
            ("media", FromServer { media: Some(media), .. }) => {
                let audio = BASE64.decode(media.payload).ok().and_then(|coded| self.voice.decode(&coded));
                match audio {
                    Some(pcm) => vec![Incoming::Audio(pcm)],
                    None => {
                        let what = "payload that is no audio".to_owned();
                        vec![self.complain("100004", "invalid_media"), Incoming::Unknown(what)]
                    }
                }
            }
            ("mark", FromServer { mark: Some(mark), .. }) => vec![Incoming::Mark(mark.name)],
            ("clear", _) => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            (event, _) => unknown(format!("event `{event}`")),
        }
    }
}

impl Streaming {
    fn complain(&self, code: &str, title: &str) -> Incoming {
        let payload = json!({"code": code, "title": title, "detail": title});
        let error = json!({"event": "error", "stream_id": self.stream_id, "payload": payload});
        Incoming::Reply(Message::text(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_has_its_codec_and_faults_are_reported() {
        let heard = format(Some("L16"), Some("16000"));
        let mut telnyx = Streaming {
            call_sid: "v3:1".to_owned(),
            stream_id: "s".to_owned(),
            parameters: vec![("call_id".to_owned(), "v3:1".to_owned())],
            sequence: 0,
            chunk: 0,
            spoken: format(Some("G722"), None),
            takes_audio: true,
            voice: Voice::new(format(Some("G722"), None), heard).expect("known codecs"),
        };
        let json =
            |message: &Message| -> Value { serde_json::from_str(message.to_text().expect("text")).expect("JSON") };
        let start = json(&telnyx.hello()[1]);
        assert_eq!(start["start"]["media_format"], json!({"encoding": "G722", "sample_rate": 8000, "channels": 1}));
        assert_eq!(start["start"]["custom_parameters"]["call_id"], "v3:1");
        let media = json(&telnyx.audio(&[0; 320])[0]);
        assert_eq!(BASE64.decode(media["media"]["payload"].as_str().expect("text")).map(|coded| coded.len()), Ok(160));
        let audio = json!({"event": "media", "media": {"payload": BASE64.encode([1, 2].repeat(320))}});
        assert_eq!(telnyx.read(Message::text(audio.to_string())), [Incoming::Audio(vec![0x0102; 320])]);
        let odd = json!({"event": "media", "media": {"payload": BASE64.encode([1; 3])}});
        let told = telnyx.read(Message::text(odd.to_string()));
        assert!(matches!(told.as_slice(), [Incoming::Reply(_), Incoming::Unknown(_)]), "{told:?}");
    }
}
