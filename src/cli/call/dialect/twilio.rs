//! Twilio: asks its webhook, signed, and speaks Media Streams. SignalWire does the same with a few words of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::instructions::{self, Instructions};
use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, post_form, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};

const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// Whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brand {
    Twilio,
    Signalwire,
}

impl Brand {
    const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Signalwire => "signalwire",
        }
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Twilio => TWILIO_HEADER,
            Self::Signalwire => "x-signalwire-signature",
        }
    }

    fn stream_id(self) -> String {
        match self {
            Self::Twilio => format!("MZ{}", Uuid::new_v4().simple()),
            Self::Signalwire => Uuid::new_v4().to_string(),
        }
    }

    fn call_id(self) -> String {
        match self {
            Self::Twilio => format!("CA{}", Uuid::new_v4().simple()),
            Self::Signalwire => Uuid::new_v4().to_string(),
        }
    }
}

/// Asks the webhook as the provider does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial, brand: Brand) -> Result<Announced, CallError> {
    let call_sid = dial.call_id.clone().unwrap_or_else(|| brand.call_id());
    let name = brand.name();
    let instructions = match &dial.token {
        Some(token) => Instructions {
            stream: Some(format!("{}/media/{name}", dial.base.replacen("http", "ws", 1))),
            parameters: vec![("token".to_owned(), token.expose().clone())],
            ..Instructions::default()
        },
        None => {
            let form = [
                ("AccountSid", ACCOUNT),
                ("CallSid", &call_sid),
                ("CallStatus", "ringing"),
                ("Direction", "inbound"),
                ("From", &dial.from),
                ("To", &dial.to),
            ];
            let document = post(&http, dial, brand, "incoming", &form).await?;
            instructions::read(&document)?
        }
    };
    let Some(url) = &instructions.stream else { return Err(CallError::Refused { said: instructions.said }) };
    let url = if dial.token.is_some() { url.clone() } else { dial.reachable(url) };
    let mut request = request(&url)?;
    match brand {
        Brand::Twilio => {
            let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &[]);
            add_header(&mut request, TWILIO_HEADER, &signature);
        }
        Brand::Signalwire => {
            if let Some(token) = instructions.attribute("authBearerToken") {
                add_header(&mut request, "authorization", &format!("Bearer {token}"));
            }
        }
    }
    let format = match instructions.attribute("codec") {
        Some("L16@16000h") => Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND },
        Some("L16@24000h") => Format { codec: Codec::L16Le, rate: SampleRate(24_000) },
        _ => Format::PCMU_8K,
    };
    let dialect = Box::new(MediaStreams::new(brand, call_sid.clone(), instructions.parameters, format)?);
    let afterwards = dial.token.is_none().then(|| ask(http, dial.clone(), brand, call_sid).boxed());
    Ok(Announced { request, dialect, afterwards })
}

/// The provider's question after `<Connect>`.
async fn ask(http: reqwest::Client, dial: Dial, brand: Brand, call_sid: String) -> Result<String, CallError> {
    let form = [("AccountSid", ACCOUNT), ("CallSid", &call_sid), ("CallStatus", "in-progress")];
    let document = post(&http, &dial, brand, "after", &form).await?;
    Ok(instructions::read(&document)?.told())
}

/// Posts a form as the provider does, signed.
async fn post(
    http: &reqwest::Client,
    dial: &Dial,
    brand: Brand,
    what: &str,
    form: &[(&str, &str)],
) -> Result<String, CallError> {
    let url = format!("{}/voice/{}/{what}", dial.base, brand.name());
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &owned);
    post_form(http, url, &[(brand.header(), signature)], form).await
}

/// Media Streams, the provider's side.
struct MediaStreams {
    brand: Brand,
    call_sid: String,
    stream_sid: String,
    parameters: Vec<(String, String)>,
    sequence: u64,
    chunk: u64,
    format: Format,
    voice: Voice,
}

impl MediaStreams {
    fn new(
        brand: Brand,
        call_sid: String,
        parameters: Vec<(String, String)>,
        format: Format,
    ) -> Result<Self, CallError> {
        let voice = Voice::new(format, format)?;
        Ok(Self { brand, call_sid, stream_sid: brand.stream_id(), parameters, sequence: 0, chunk: 0, format, voice })
    }

    fn next(&mut self, event: &str, key: &str, body: Value) -> Message {
        self.sequence += 1;
        let mut message = json!({"event": event, "sequenceNumber": self.sequence.to_string()});
        // SignalWire names the stream in its start only.
        if self.brand == Brand::Twilio {
            message["streamSid"] = Value::from(self.stream_sid.as_str());
        }
        message[key] = body;
        Message::text(message.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromServer {
    event: String,
    #[serde(default)]
    stream_sid: String,
    #[serde(default)]
    media: Option<MediaBody>,
    #[serde(default)]
    mark: Option<MarkBody>,
    #[serde(default)]
    dtmf: Option<DtmfBody>,
}

#[derive(Deserialize)]
struct MediaBody {
    payload: String,
}

#[derive(Deserialize)]
struct MarkBody {
    name: String,
}

#[derive(Deserialize)]
struct DtmfBody {
    digit: String,
}

impl Dialect for MediaStreams {
    fn hello(&mut self) -> Vec<Message> {
        let parameters: serde_json::Map<_, _> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let encoding = if self.format.codec == Codec::Pcmu { "audio/x-mulaw" } else { "audio/x-L16" };
        let start = json!({
            "accountSid": ACCOUNT,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": encoding, "sampleRate": self.format.rate.0, "channels": 1},
            "customParameters": parameters,
        });
        let version = if self.brand == Brand::Twilio { "1.0.0" } else { "0.2.0" };
        let connected = json!({"event": "connected", "protocol": "Call", "version": version});
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
        let digit = digit.get().to_string();
        let body = match self.brand {
            Brand::Twilio => json!({"track": "inbound_track", "digit": digit}),
            Brand::Signalwire => json!({"digit": digit, "duration": 120}),
        };
        vec![self.next("dtmf", "dtmf", body)]
    }

    fn mark(&mut self, name: &str, _: bool) -> Vec<Message> {
        vec![self.next("mark", "mark", json!({"name": name}))]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        let body = json!({"accountSid": ACCOUNT, "callSid": self.call_sid});
        vec![self.next("stop", "stop", body)]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message, which is not taken (Twilio's warning 31950)"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(mut message) = serde_json::from_str::<FromServer>(&text) else {
            return unknown("message that is no Media Streams message");
        };
        // Without the right streamSid a message is dropped.
        if message.stream_sid != self.stream_sid {
            return unknown("message without this stream's streamSid");
        }
        let event = std::mem::take(&mut message.event);
        match (event.as_str(), message) {
            ("media", FromServer { media: Some(media), .. }) => {
                let audio = BASE64.decode(media.payload).ok().and_then(|coded| self.voice.decode(&coded));
                audio.map_or_else(|| unknown("payload that is no audio"), |pcm| vec![Incoming::Audio(pcm)])
            }
            ("mark", FromServer { mark: Some(mark), .. }) => vec![Incoming::Mark(mark.name)],
            ("clear", _) => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            ("dtmf", FromServer { dtmf: Some(dtmf), .. }) if self.brand == Brand::Signalwire => {
                vec![Incoming::Dtmf(dtmf.digit)]
            }
            (event, _) => unknown(format!("event `{event}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(brand: Brand) -> MediaStreams {
        let parameters = vec![("token".to_owned(), "t".to_owned())];
        MediaStreams::new(brand, "CA1".to_owned(), parameters, Format::PCMU_8K).expect("µ-law is known")
    }

    fn json(message: &Message) -> Value {
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    #[test]
    fn twilio_counts_its_messages_and_is_strict_about_ours() {
        let mut twilio = streams(Brand::Twilio);
        let hello = twilio.hello();
        assert_eq!(json(&hello[1])["start"]["customParameters"]["token"], "t");
        let media = json(&twilio.audio(&[0; 320])[0]);
        assert_eq!((&media["sequenceNumber"], &media["media"]["chunk"]), (&Value::from("2"), &Value::from("1")));
        let sid = twilio.stream_sid.clone();
        let mut read = |message: Value| twilio.read(Message::text(message.to_string())).pop();
        assert_eq!(read(json!({"event": "clear", "streamSid": sid})), Some(Incoming::Clear));
        assert_eq!(
            read(json!({"event": "mark", "streamSid": sid, "mark": {"name": "7"}})),
            Some(Incoming::Mark("7".to_owned()))
        );
        let payload = BASE64.encode([0xff; 160]);
        let audio = read(json!({"event": "media", "streamSid": sid, "media": {"payload": payload}}));
        assert_eq!(audio, Some(Incoming::Audio(vec![0; 320])));
        let keys = json!({"event": "dtmf", "streamSid": sid, "dtmf": {"digit": "5"}});
        for wrong in [json!({"event": "clear"}), json!({"event": "hangup", "streamSid": sid}), json!([]), keys] {
            assert!(matches!(read(wrong), Some(Incoming::Unknown(_))));
        }
    }

    #[test]
    fn signalwire_names_its_stream_once_and_takes_keys() {
        let mut signalwire = streams(Brand::Signalwire);
        assert_eq!(json(&signalwire.hello()[1])["streamSid"], Value::Null);
        let sid = signalwire.stream_sid.clone();
        let keys = json!({"event": "dtmf", "streamSid": sid, "dtmf": {"digit": "5"}});
        assert_eq!(signalwire.read(Message::text(keys.to_string())), [Incoming::Dtmf("5".to_owned())]);
        assert_eq!(json(&signalwire.dtmf(Digit::new('5').expect("a key"))[0])["dtmf"]["duration"], 120);
    }
}
