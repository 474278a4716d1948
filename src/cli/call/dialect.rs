//! The provider's and the page's side of the dialects: how a call is announced, and how messages are written and read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use uuid::Uuid;

use super::CallError;
use super::line::RATE;
use super::player::Dial;
use crate::audio::g711;
use crate::audio::resample::Resampler;
use crate::audio::units::SampleRate;
use crate::engine::llm::openai::install_crypto;
use crate::telephony::protocol::{Caption, Digit, Speaker};
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};
use crate::web::error::Problem;
use crate::web::webhooks::browser::BrowserCall;

/// Answers of webhooks are short.
const MAX_ANSWER: usize = 256 * 1024;

/// What the server said over the socket.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// The call is open.
    Started,
    /// 16 kHz mono.
    Audio(Vec<i16>),
    /// Return this when playback reaches it.
    Mark(String),
    /// Drop what is queued.
    Clear,
    /// A line to read.
    Caption(Caption),
    /// The server says goodbye.
    Ended(String),
    /// Not understood: a fault of the server.
    Unknown(String),
}

/// One dialect as its provider speaks it.
pub trait Dialect: Send {
    /// The first messages on the socket.
    fn hello(&mut self) -> Vec<Message>;
    /// 20 ms of caller audio, 16 kHz.
    fn audio(&mut self, pcm: &[i16]) -> Message;
    /// A key.
    fn dtmf(&mut self, digit: Digit) -> Message;
    /// Playback has reached a mark.
    fn mark(&mut self, name: &str) -> Message;
    /// The caller hangs up.
    fn goodbye(&mut self) -> Message;
    /// What a message means; `None` for those without meaning here.
    fn read(&mut self, message: Message) -> Option<Incoming>;
}

/// A call that may connect now.
pub struct Announced {
    /// The upgrade to send.
    pub request: Request,
    /// How to speak on the socket.
    pub dialect: Box<dyn Dialect>,
    /// What a provider asks once our server closed the socket.
    pub afterwards: Option<Afterwards>,
}

/// Twilio's question after `<Connect>`.
pub struct Afterwards {
    http: reqwest::Client,
    dial: Dial,
    call_sid: String,
}

/// Announces the call the way its provider does.
pub async fn announce(dial: &Dial) -> Result<Announced, CallError> {
    install_crypto();
    let http = reqwest::Client::builder().no_proxy().timeout(dial.patience).build();
    let http = http.map_err(|source| CallError::Http { url: dial.base.clone(), source })?;
    match dial.provider.as_str() {
        "twilio" => announce_twilio(http, dial).await,
        "browser" => announce_browser(http, dial).await,
        other => Err(CallError::Provider { name: other.to_owned() }),
    }
}

async fn announce_twilio(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
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
            let twiml = post_form(&http, dial, "/voice/twilio/incoming", &form).await?;
            match read_twiml(&twiml)? {
                Instructions { stream: Some(url), parameters, .. } => (dial.reachable(&url), parameters),
                Instructions { said, .. } => return Err(CallError::Refused { said }),
            }
        }
    };
    let mut request = request(&url)?;
    let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &[]);
    let value = signature.parse().expect("base64 is a header value");
    request.headers_mut().insert(TWILIO_HEADER, value);
    let dialect = Box::new(Twilio::new(call_sid.clone(), parameters)?);
    let afterwards = dial.token.is_none().then(|| Afterwards { http, dial: dial.clone(), call_sid });
    Ok(Announced { request, dialect, afterwards })
}

impl Afterwards {
    /// What the caller still on the line is told: the sentences, if any.
    pub async fn ask(&self) -> Result<String, CallError> {
        let form = [("AccountSid", ACCOUNT), ("CallSid", &self.call_sid), ("CallStatus", "in-progress")];
        let twiml = post_form(&self.http, &self.dial, "/voice/twilio/after", &form).await?;
        Ok(read_twiml(&twiml)?.said)
    }
}

async fn announce_browser(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let (url, token) = match &dial.token {
        Some(token) => (format!("{}/media/browser", dial.base.replacen("http", "ws", 1)), token.expose().clone()),
        None => {
            let url = format!("{}/api/v1/browser-call", dial.base);
            let (status, body) = answer(http.post(&url), &url).await?;
            if status != StatusCode::OK {
                let said = serde_json::from_str::<Problem>(&body).map_or(body, |no| no.message);
                return Err(match status {
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => CallError::Refused { said },
                    _ => CallError::Status { url, status: status.as_u16(), said },
                });
            }
            let call: BrowserCall = serde_json::from_str(&body).map_err(|source| CallError::Answer { url, source })?;
            (dial.reachable(&call.url), call.token)
        }
    };
    Ok(Announced { request: request(&url)?, dialect: Box::new(Browser { token }), afterwards: None })
}

fn request(url: &str) -> Result<Request, CallError> {
    url.into_client_request().map_err(|source| CallError::Socket { url: url.to_owned(), source: Box::new(source) })
}

/// Posts a form as Twilio does, signed.
async fn post_form(
    http: &reqwest::Client,
    dial: &Dial,
    path: &str,
    form: &[(&str, &str)],
) -> Result<String, CallError> {
    let url = format!("{}{path}", dial.base);
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let signature = sign_twilio(dial.auth_token.expose(), &dial.as_signed(&url), &owned);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http
        .post(&url)
        .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
        .header(TWILIO_HEADER, signature)
        .body(body);
    match answer(request, &url).await? {
        (StatusCode::OK, body) => Ok(body),
        (StatusCode::FORBIDDEN, _) => Err(CallError::Signature { url }),
        (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
    }
}

async fn answer(request: reqwest::RequestBuilder, url: &str) -> Result<(StatusCode, String), CallError> {
    let failed = |source| CallError::Http { url: url.to_owned(), source };
    let mut response = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok((response.status(), String::from_utf8_lossy(&body).into_owned()))
}

const ACCOUNT: &str = "AC00000000000000000000000000000000";

/// What a TwiML document asks for.
#[derive(Debug, Default, PartialEq)]
struct Instructions {
    stream: Option<String>,
    parameters: Vec<(String, String)>,
    /// Sentences to speak, and `busy tone` for a rejected call.
    said: String,
}

fn read_twiml(twiml: &str) -> Result<Instructions, CallError> {
    let mut reader = Reader::from_str(twiml);
    let (mut instructions, mut saying) = (Instructions::default(), false);
    loop {
        match reader.read_event().map_err(|source| CallError::Twiml { source })? {
            Event::Eof => return Ok(instructions),
            Event::Start(tag) | Event::Empty(tag) => {
                let attribute = |name: &str| {
                    let found = tag.try_get_attribute(name).ok().flatten()?;
                    found.normalized_value(XmlVersion::Explicit1_0).ok().map(|value| value.into_owned())
                };
                match tag.name().as_ref() {
                    "Stream" => instructions.stream = attribute("url"),
                    "Parameter" => instructions.parameters.extend(attribute("name").zip(attribute("value"))),
                    "Reject" => instructions.said.push_str("busy tone"),
                    "Say" => saying = true,
                    _ => {}
                }
            }
            Event::Text(text) if saying => {
                instructions.said.push_str(&text);
            }
            Event::GeneralRef(reference) if saying => {
                instructions.said.push_str(resolve_predefined_entity(&reference).unwrap_or("?"));
            }
            Event::End(tag) if tag.name().as_ref() == "Say" => saying = false,
            _ => {}
        }
    }
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
    fn new(call_sid: String, parameters: Vec<(String, String)>) -> Result<Self, CallError> {
        let resampler = |from, to| Resampler::new(from, to).expect("telephone and wideband are rates");
        Ok(Self {
            call_sid,
            stream_sid: format!("MZ{}", Uuid::new_v4().simple()),
            parameters,
            sequence: 0,
            chunk: 0,
            down: resampler(RATE, SampleRate::NARROWBAND),
            up: resampler(SampleRate::NARROWBAND, RATE),
        })
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

    fn audio(&mut self, pcm: &[i16]) -> Message {
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
        self.next("media", "media", body)
    }

    fn dtmf(&mut self, digit: Digit) -> Message {
        self.next("dtmf", "dtmf", json!({"track": "inbound_track", "digit": digit.get().to_string()}))
    }

    fn mark(&mut self, name: &str) -> Message {
        self.next("mark", "mark", json!({"name": name}))
    }

    fn goodbye(&mut self) -> Message {
        let body = json!({"accountSid": ACCOUNT, "callSid": self.call_sid});
        self.next("stop", "stop", body)
    }

    fn read(&mut self, message: Message) -> Option<Incoming> {
        let unknown = |what: &str| Some(Incoming::Unknown(what.to_owned()));
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message, which Twilio does not take (warning 31950)"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return None,
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
                Some(Incoming::Audio(pcm))
            }
            ("mark", _, Some(mark)) => Some(Incoming::Mark(mark.name)),
            ("clear", ..) => {
                self.up.flush(&mut Vec::new());
                Some(Incoming::Clear)
            }
            (event, ..) => Some(Incoming::Unknown(format!("event `{event}`"))),
        }
    }
}

/// The page's side of `docs/browser-protocol.md`.
struct Browser {
    token: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage {
    Started {},
    Mark {
        id: u64,
    },
    Clear {},
    Caption {
        who: Speaker,
        text: String,
        #[serde(rename = "final")]
        is_final: bool,
    },
    Ended {
        reason: String,
    },
}

impl Dialect for Browser {
    fn hello(&mut self) -> Vec<Message> {
        let start = json!({"type": "start", "token": self.token, "rate": RATE.0, "version": 1});
        vec![Message::text(start.to_string())]
    }

    fn audio(&mut self, pcm: &[i16]) -> Message {
        Message::binary(pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn dtmf(&mut self, digit: Digit) -> Message {
        Message::text(json!({"type": "dtmf", "digit": digit.get().to_string()}).to_string())
    }

    fn mark(&mut self, name: &str) -> Message {
        let id = name.parse::<u64>().map_or(Value::Null, Value::from);
        Message::text(json!({"type": "mark", "id": id}).to_string())
    }

    fn goodbye(&mut self) -> Message {
        Message::text(json!({"type": "stop"}).to_string())
    }

    fn read(&mut self, message: Message) -> Option<Incoming> {
        match message {
            Message::Binary(bytes) if bytes.len() % 2 == 1 => {
                Some(Incoming::Unknown(format!("{} bytes of audio", bytes.len())))
            }
            Message::Binary(bytes) => Some(Incoming::Audio(
                bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect(),
            )),
            Message::Text(text) => Some(match serde_json::from_str(&text) {
                Ok(ToPage::Started {}) => Incoming::Started,
                Ok(ToPage::Mark { id }) => Incoming::Mark(id.to_string()),
                Ok(ToPage::Clear {}) => Incoming::Clear,
                Ok(ToPage::Caption { who, text, is_final }) => Incoming::Caption(Caption { who, text, is_final }),
                Ok(ToPage::Ended { reason }) => Incoming::Ended(reason),
                Err(error) => Incoming::Unknown(format!("message: {error}")),
            }),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::webhooks::twiml::{Verb, document};

    #[test]
    fn twiml_is_read_as_it_is_written() {
        let verbs = [
            Verb::Stream { url: "wss://a.example/media/twilio", status_callback: "x", parameters: &[("token", "a&b")] },
            Verb::Redirect("https://a.example/after"),
        ];
        let read = read_twiml(&document(&verbs)).expect("well-formed");
        assert_eq!(read.stream.as_deref(), Some("wss://a.example/media/twilio"));
        assert_eq!(read.parameters, [("token".to_owned(), "a&b".to_owned())]);
        let busy =
            read_twiml(&document(&[Verb::Say("All lines & more are busy."), Verb::Hangup])).expect("well-formed");
        assert_eq!((busy.stream, busy.said.as_str()), (None, "All lines & more are busy."));
        assert_eq!(read_twiml(&document(&[Verb::RejectBusy])).expect("well-formed").said, "busy tone");
        assert!(read_twiml("<Response><Say></Response>").is_err());
    }

    #[test]
    fn twilio_counts_its_messages_and_is_strict_about_ours() {
        let mut twilio = Twilio::new("CA1".to_owned(), vec![("token".to_owned(), "t".to_owned())]).expect("made");
        let json =
            |message: &Message| -> Value { serde_json::from_str(message.to_text().expect("text")).expect("JSON") };
        let hello = twilio.hello();
        assert_eq!(json(&hello[1])["start"]["customParameters"]["token"], "t");
        let media = json(&twilio.audio(&[0; 320]));
        assert_eq!((&media["sequenceNumber"], &media["media"]["chunk"]), (&Value::from("2"), &Value::from("1")));
        let sid = twilio.stream_sid.clone();
        let mut read = |message: Value| twilio.read(Message::text(message.to_string()));
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

    #[test]
    fn a_page_understands_every_message_of_the_dialect() {
        let mut page = Browser { token: "t".to_owned() };
        let mut read = |text: &str| page.read(Message::text(text));
        assert_eq!(read(r#"{"type":"started","rate":16000}"#), Some(Incoming::Started));
        assert_eq!(read(r#"{"type":"mark","id":7}"#), Some(Incoming::Mark("7".to_owned())));
        assert_eq!(read(r#"{"type":"clear"}"#), Some(Incoming::Clear));
        assert_eq!(read(r#"{"type":"ended","reason":"busy"}"#), Some(Incoming::Ended("busy".to_owned())));
        let caption = read(r#"{"type":"caption","who":"agent","text":"hello","final":true}"#);
        assert!(matches!(caption, Some(Incoming::Caption(Caption { who: Speaker::Agent, is_final: true, .. }))));
        assert_eq!(page.read(Message::binary(vec![1, 0, 2, 0])), Some(Incoming::Audio(vec![1, 2])));
        assert!(matches!(page.read(Message::binary(vec![1])), Some(Incoming::Unknown(_))));
    }
}
