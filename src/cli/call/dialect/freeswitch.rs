//! FreeSWITCH: streams a channel through one of two modules, with an application beside it that plays and sends keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, pbx, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::freeswitch::FORK_SUBPROTOCOL;
use crate::telephony::protocol::Digit;

/// `mod_audio_stream` that plays binary frames; the older one, whose application plays files; `mod_audio_fork`.
pub(super) const VARIANTS: &[&str] = &["stream", "stream-json", "fork"];

/// Runs the dialplan of `docs/providers/freeswitch.md`.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let uuid = Uuid::new_v4().to_string();
    let token = pbx::token(&http, dial, &uuid).await?;
    let variant = dial.variant.as_deref().unwrap_or("stream");
    let query = if variant == "stream-json" { "?playback=json" } else { "" };
    let mut request = request(&format!("{}{query}", dial.media_url("freeswitch")))?;
    add_header(&mut request, "authorization", &pbx::basic(dial));
    if variant == "fork" {
        add_header(&mut request, "sec-websocket-protocol", FORK_SUBPROTOCOL);
    }
    let mut metadata = json!({"uuid": uuid, "from": dial.from, "to": dial.to});
    if let Some(token) = token {
        metadata["token"] = Value::from(token);
    }
    let dialect = Box::new(Freeswitch::new(variant, metadata)?);
    Ok(Announced { request, dialect, afterwards: pbx::afterwards(http, dial, uuid) })
}

/// A module and its application.
struct Freeswitch {
    /// The kind of text that plays audio, if binary does not.
    plays: Option<&'static str>,
    fork: bool,
    rate: SampleRate,
    metadata: Value,
    voice: Voice,
}

impl Freeswitch {
    fn new(variant: &str, metadata: Value) -> Result<Self, CallError> {
        let (plays, fork, rate) = match variant {
            "fork" => (Some("playAudio"), true, SampleRate::NARROWBAND),
            "stream-json" => (Some("streamAudio"), false, SampleRate::NARROWBAND),
            _ => (None, false, SampleRate::WIDEBAND),
        };
        let format = Format { codec: Codec::L16Le, rate };
        Ok(Self { plays, fork, rate, metadata, voice: Voice::new(format, format)? })
    }

    fn file(&mut self, data: Option<FileData>) -> Vec<Incoming> {
        let Some(FileData { kind, rate, audio }) = data else { return unknown("audio without data") };
        if kind != "raw" || rate != self.rate.0 {
            return unknown(format!("audio of kind `{kind}` at {rate} Hz, which is not played here"));
        }
        let pcm = BASE64.decode(audio).ok().and_then(|bytes| self.voice.decode(&bytes));
        pcm.map_or_else(|| unknown("payload that is no audio"), |pcm| vec![Incoming::Audio(pcm)])
    }
}

#[derive(Deserialize)]
struct FromServer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct FileData {
    #[serde(alias = "audioDataType", rename = "audioContentType")]
    kind: String,
    #[serde(rename = "sampleRate")]
    rate: u32,
    #[serde(alias = "audioData", rename = "audioContent")]
    audio: String,
}

impl Dialect for Freeswitch {
    fn hello(&mut self) -> Vec<Message> {
        vec![Message::text(self.metadata.to_string())]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        vec![Message::binary(self.voice.code(pcm))]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![Message::text(json!({"event": "dtmf", "digit": digit.get().to_string()}).to_string())]
    }

    fn mark(&mut self, _: &str, _: bool) -> Vec<Message> {
        Vec::new()
    }

    /// `mod_audio_fork` sends nothing at all, as a message; the other just closes.
    fn goodbye(&mut self) -> Vec<Message> {
        if self.fork { vec![Message::binary(Vec::new())] } else { Vec::new() }
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Binary(_) if self.plays.is_some() => return unknown("binary message, which is not played"),
            Message::Binary(bytes) => {
                let pcm = self.voice.decode(&bytes);
                return pcm.map_or_else(|| unknown("half a sample"), |pcm| vec![Incoming::Audio(pcm)]);
            }
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(FromServer { kind, data }) = serde_json::from_str(&text) else {
            return unknown("message that is no JSON with a type");
        };
        match kind.as_str() {
            kind if self.plays == Some(kind) => {
                let data = serde_json::from_value(data).ok();
                self.file(data)
            }
            "killAudio" | "clear" if self.fork == (kind == "killAudio") => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            "disconnect" => vec![Incoming::HangUp(String::new())],
            "transfer" => {
                let target = data["target"].as_str().unwrap_or_default();
                vec![Incoming::HangUp(format!("put through to {target}"))]
            }
            // Raised as an event for the application, whatever it is.
            "json" | "transcription" | "error" if self.fork => Vec::new(),
            _ => unknown(format!("message of type `{kind}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freeswitch(variant: &str) -> Freeswitch {
        Freeswitch::new(variant, json!({"uuid": "f5"})).expect("its formats are spoken here")
    }

    #[test]
    fn each_module_understands_its_own_way_of_playing() {
        let audio = BASE64.encode([0; 320]);
        let stream =
            json!({"type": "streamAudio", "data": {"audioDataType": "raw", "sampleRate": 8_000, "audioData": audio}});
        let fork = json!({"type": "playAudio", "data": {"audioContentType": "raw", "sampleRate": 8_000, "audioContent": audio}});
        let read = |variant: &str, message: &Value| freeswitch(variant).read(Message::text(message.to_string()));
        for (variant, own, other) in [("stream-json", &stream, &fork), ("fork", &fork, &stream)] {
            assert_eq!(read(variant, own), [Incoming::Audio(vec![0; 320])]);
            assert!(matches!(read(variant, other).as_slice(), [Incoming::Unknown(_)]));
            let binary = freeswitch(variant).read(Message::binary(vec![0; 320]));
            assert!(matches!(binary.as_slice(), [Incoming::Unknown(_)]));
        }
        assert_eq!(freeswitch("stream").read(Message::binary(vec![0; 640])), [Incoming::Audio(vec![0; 320])]);
        assert_eq!(read("fork", &json!({"type": "killAudio"})), [Incoming::Clear]);
        assert_eq!(read("stream", &json!({"type": "clear"})), [Incoming::Clear]);
        assert!(matches!(read("fork", &json!({"type": "clear"})).as_slice(), [Incoming::Unknown(_)]));
        assert_eq!(read("fork", &json!({"type": "disconnect"})), [Incoming::HangUp(String::new())]);
    }
}
