//! Twilio: asks its webhook, signed, and speaks Media Streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::instructions::{self, Instructions};
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, post_form, request, unknown};
use crate::audio::g711;
use crate::audio::resample::Resampler;
use crate::audio::units::SampleRate;
use crate::cli::call::line::RATE;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};

const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// Asks the webhook as Twilio does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_sid = format!("CA{}", Uuid::new_v4().simple());
    let (url, parameters) = match &dial.token {
        Some(token) => {
            let socket = dial.base.replacen("http", "ws", 1);
            (format!("{socket}/media/twilio"), vec![("token".to_owned(), token.expose().clone())])
        }
        None => {
            let form = [
                ("AccountSid", ACCOUNT),
                ("CallSid", &call_sid),
                ("CallStatus", "ringing"),
                ("Direction", "inbound"),
                ("From", &dial.from),
                ("To", &dial.to),
            ];
            let twiml = post(&http, dial, "/voice/twilio/incoming", &form).await?;
            match instructions::read(&twiml)? {
                Instructions { stream: Some(url), parameters, .. } => (dial.reachable(&url), parameters),
                Instructions { said, .. } => return Err(CallError::Refused { said }),
            }
        }
    };
    let mut request = request(&url)?;
    let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &[]);
    add_header(&mut request, TWILIO_HEADER, &signature);
    let dialect = Box::new(Twilio::new(call_sid.clone(), parameters));
    let afterwards = dial.token.is_none().then(|| ask(http, dial.clone(), call_sid).boxed());
    Ok(Announced { request, dialect, afterwards })
}

/// Twilio's question after `<Connect>`.
async fn ask(http: reqwest::Client, dial: Dial, call_sid: String) -> Result<String, CallError> {
    let form = [("AccountSid", ACCOUNT), ("CallSid", &call_sid), ("CallStatus", "in-progress")];
    let twiml = post(&http, &dial, "/voice/twilio/after", &form).await?;
    Ok(instructions::read(&twiml)?.said)
}

/// Posts a form as Twilio does, signed.
async fn post(http: &reqwest::Client, dial: &Dial, path: &str, form: &[(&str, &str)]) -> Result<String, CallError> {
    let url = format!("{}{path}", dial.base);
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &owned);
    post_form(http, url, &[(TWILIO_HEADER, signature)], form).await
}

/// Media Streams, Twilio's side.
struct Twilio {
    call_sid: String,
    stream_sid: String,
    parameters: Vec<(String, String)>,
    sequence: u64,
    chunk: u64,
    down: Resampler,
    up: Resampler,
}

impl Twilio {
    fn new(call_sid: String, parameters: Vec<(String, String)>) -> Self {
        let resampler = |from, to| Resampler::new(from, to).expect("telephone and wideband are rates");
        Self {
            call_sid,
            stream_sid: format!("MZ{}", Uuid::new_v4().simple()),
            parameters,
            sequence: 0,
            chunk: 0,
            down: resampler(RATE, SampleRate::NARROWBAND),
            up: resampler(SampleRate::NARROWBAND, RATE),
        }
    }

    fn next(&mut self, event: &str, key: &str, body: Value) -> Message {
        self.sequence += 1;
        let mut message = json!({"event": event, "sequenceNumber": self.sequence.to_string()});
        message["streamSid"] = Value::from(self.stream_sid.as_str());
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
}

#[derive(Deserialize)]
struct MediaBody {
    payload: String,
}

#[derive(Deserialize)]
struct MarkBody {
    name: String,
}

impl Dialect for Twilio {
    fn hello(&mut self) -> Vec<Message> {
        let parameters: serde_json::Map<_, _> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let start = json!({
            "accountSid": ACCOUNT,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1},
            "customParameters": parameters,
        });
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        vec![Message::text(connected.to_string()), self.next("start", "start", start)]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        let (mut narrow, mut ulaw) = (Vec::new(), Vec::new());
        self.down.push(pcm, &mut narrow);
        g711::encode_ulaw(&narrow, &mut ulaw);
        self.chunk += 1;
        let body = json!({
            "track": "inbound",
            "chunk": self.chunk.to_string(),
            "timestamp": (self.chunk * 20).to_string(),
            "payload": BASE64.encode(ulaw),
        });
        vec![self.next("media", "media", body)]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![self.next("dtmf", "dtmf", json!({"track": "inbound_track", "digit": digit.get().to_string()}))]
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
            Message::Binary(_) => return unknown("binary message, which Twilio does not take (warning 31950)"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(message) = serde_json::from_str::<FromServer>(&text) else {
            return unknown("message that is no Media Streams message");
        };
        // Twilio is strict: without the right streamSid a message is dropped.
        if message.stream_sid != self.stream_sid {
            return unknown("message without this stream's streamSid");
        }
        match (message.event.as_str(), message.media, message.mark) {
            ("media", Some(media), _) => {
                let Ok(ulaw) = BASE64.decode(media.payload) else { return unknown("payload that is no base64") };
                let (mut narrow, mut pcm) = (Vec::new(), Vec::new());
                g711::decode_ulaw(&ulaw, &mut narrow);
                self.up.push(&narrow, &mut pcm);
                vec![Incoming::Audio(pcm)]
            }
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
    fn twilio_counts_its_messages_and_is_strict_about_ours() {
        let mut twilio = Twilio::new("CA1".to_owned(), vec![("token".to_owned(), "t".to_owned())]);
        let json =
            |message: &Message| -> Value { serde_json::from_str(message.to_text().expect("text")).expect("JSON") };
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
        for wrong in [json!({"event": "clear"}), json!({"event": "hangup", "streamSid": sid}), json!([])] {
            assert!(matches!(read(wrong), Some(Incoming::Unknown(_))));
        }
    }
}
