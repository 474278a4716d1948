//! Vonage: asks the answer webhook, signed, reads the NCCO, connects as its `connect` action says, and asks the event
//! webhook what comes next.

use futures::FutureExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, post_json, request, unknown};
use crate::audio::resample::Resampler;
use crate::audio::units::{Millis, SampleRate};
use crate::cli::call::line::RATE;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::jwt::{self, Claims};
use crate::telephony::vonage::CONTENT_TYPE;

/// What Vonage keeps, by its older and stricter documents: 1,024 messages.
const LONGEST_QUEUE: Millis = Millis(20_480);

/// Asks the webhook as Vonage does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call = dial.call_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let conversation = format!("CON-{}", Uuid::new_v4());
    let number = |number: &str| number.trim_start_matches('+').to_owned();
    let ncco = match &dial.token {
        Some(token) => Ncco {
            url: Some(format!("{}/media/vonage", dial.base.replacen("http", "ws", 1))),
            headers: [("token", Some(token.expose())), ("call_uuid", dial.call_id.as_ref())]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.as_str()))))
                .collect(),
            ..Ncco::default()
        },
        None => {
            let url = format!("{}/voice/vonage/incoming", dial.base);
            let body = json!({
                "from": number(&dial.from),
                "to": number(&dial.to),
                "uuid": call,
                "conversation_uuid": conversation,
                "region_url": "https://api-us-3.vonage.com",
            });
            post(&http, dial, url, &body).await?
        }
    };
    let Some(url) = &ncco.url else { return Err(CallError::Refused { said: ncco.said }) };
    let mut request = request(&if dial.token.is_some() { url.clone() } else { dial.reachable(url) })?;
    add_header(&mut request, "authorization", &authorization(dial, None));
    let dialect = Vonage::new(&ncco).ok_or(CallError::Refused { said: format!("`{}`", ncco.content_type) })?;
    let afterwards = ncco.event_url.map(|url| {
        let dial = dial.clone();
        let body = json!({
            "status": "disconnected",
            "uuid": Uuid::new_v4().to_string(),
            "conversation_uuid": conversation,
            "from": number(&dial.to),
            "to": ncco.url,
        });
        let url = dial.reachable(&url);
        async move { Ok(post(&http, &dial, url, &body).await?.said) }.boxed()
    });
    Ok(Announced { request, dialect: Box::new(dialect), afterwards })
}

/// What an NCCO asks for.
#[derive(Debug, Default)]
struct Ncco {
    url: Option<String>,
    content_type: String,
    headers: Map<String, Value>,
    event_url: Option<String>,
    said: String,
}

/// Posts JSON as Vonage does, signed, and reads the NCCO of the answer.
async fn post(http: &reqwest::Client, dial: &Dial, url: String, body: &Value) -> Result<Ncco, CallError> {
    let body = body.to_string();
    let answer = post_json(http, url.clone(), authorization(dial, Some(&body)), body).await?;
    if answer.trim().is_empty() {
        return Ok(Ncco::default());
    }
    let actions: Vec<Value> = serde_json::from_str(&answer).map_err(|source| CallError::Answer { url, source })?;
    Ok(read(&actions))
}

fn read(actions: &[Value]) -> Ncco {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut ncco = Ncco::default();
    for action in actions {
        let endpoint = &action["endpoint"][0];
        match (action["action"].as_str(), endpoint["type"].as_str()) {
            (Some("talk"), _) => ncco.said.push_str(action["text"].as_str().unwrap_or_default()),
            (Some("connect"), Some("websocket")) => {
                ncco.url = text(&endpoint["uri"]);
                ncco.content_type = text(&endpoint["content-type"]).unwrap_or_default();
                ncco.headers = endpoint["headers"].as_object().cloned().unwrap_or_default();
                let is_synchronous = action["eventType"] == "synchronous";
                ncco.event_url = text(&action["eventUrl"][0]).filter(|_| is_synchronous);
            }
            (Some("connect"), Some("phone")) => {
                ncco.said.push_str(&format!("put through to {}", endpoint["number"].as_str().unwrap_or_default()));
            }
            _ => {}
        }
    }
    ncco
}

/// The token of a request. Who signs is `SECRET`, or `APPLICATION:SECRET` where the server takes one application only.
fn authorization(dial: &Dial, body: Option<&str>) -> String {
    let given = dial.auth_token.expose().as_str();
    let split = given.split_once(':').filter(|(application, _)| Uuid::parse_str(application).is_ok());
    let (application, secret) = split.map_or((None, given), |(application, secret)| (Some(application), secret));
    let claims = Claims {
        iat: jiff::Timestamp::now().as_second(),
        jti: Uuid::new_v4().to_string(),
        iss: "Vonage".to_owned(),
        payload_hash: body.map(|body| jwt::payload_hash(body.as_bytes())),
        api_key: Some("00000000".to_owned()),
        application_id: application.map(str::to_owned),
    };
    format!("Bearer {}", jwt::sign(secret, &claims))
}

/// The websocket endpoint, Vonage's side.
struct Vonage {
    content_type: String,
    headers: Map<String, Value>,
    /// Samples of 20 ms at the stream's rate.
    frame: usize,
    down: Resampler,
    up: Resampler,
    /// What fills no message yet.
    rest: Vec<i16>,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum FromServer {
    Clear {},
    Notify { payload: Map<String, Value> },
}

impl Vonage {
    fn new(ncco: &Ncco) -> Option<Self> {
        let content_type = if ncco.content_type.is_empty() { CONTENT_TYPE } else { &ncco.content_type };
        let rate = content_type.strip_prefix("audio/l16;rate=")?.parse().ok()?;
        let rate = Some(SampleRate(rate)).filter(|rate| matches!(rate.0, 8_000 | 16_000 | 24_000))?;
        Some(Self {
            content_type: content_type.to_owned(),
            headers: ncco.headers.clone(),
            frame: rate.samples_in(Millis::FRAME),
            down: Resampler::new(RATE, rate).ok()?,
            up: Resampler::new(rate, RATE).ok()?,
            rest: Vec::new(),
        })
    }
}

impl Dialect for Vonage {
    fn hello(&mut self) -> Vec<Message> {
        let mut connected = self.headers.clone();
        connected.insert("event".to_owned(), Value::from("websocket:connected"));
        connected.insert("content-type".to_owned(), Value::from(self.content_type.as_str()));
        vec![Message::text(Value::Object(connected).to_string())]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        self.down.push(pcm, &mut self.rest);
        let whole = self.rest.len() / self.frame * self.frame;
        let frames: Vec<i16> = self.rest.drain(..whole).collect();
        let message =
            |frame: &[i16]| Message::binary(frame.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>());
        frames.chunks(self.frame).map(message).collect()
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        let key = json!({"event": "websocket:dtmf", "digit": digit.get().to_string(), "duration": 260});
        vec![Message::text(key.to_string())]
    }

    /// Nobody says what becomes of a mark that is cleared; here it is lost, which is harder on the server.
    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message> {
        if cleared {
            return Vec::new();
        }
        let payload: Value = serde_json::from_str(name).unwrap_or_default();
        vec![Message::text(json!({"event": "websocket:notify", "payload": payload}).to_string())]
    }

    fn cleared(&mut self) -> Vec<Message> {
        vec![Message::text(json!({"event": "websocket:cleared"}).to_string())]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        match message {
            Message::Binary(bytes) if bytes.len() != 2 * self.frame => {
                unknown(format!("audio message of {} bytes, not {}", bytes.len(), 2 * self.frame))
            }
            Message::Binary(bytes) => {
                let (pairs, _) = bytes.as_chunks::<2>();
                let own: Vec<i16> = pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
                let mut pcm = Vec::new();
                self.up.push(&own, &mut pcm);
                vec![Incoming::Audio(pcm)]
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(FromServer::Clear {}) => {
                    self.up.flush(&mut Vec::new());
                    vec![Incoming::Clear]
                }
                Ok(FromServer::Notify { payload }) => vec![Incoming::Mark(Value::Object(payload).to_string())],
                Err(error) => unknown(format!("message: {error}")),
            },
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Vec::new(),
        }
    }

    fn longest_queue(&self) -> Millis {
        LONGEST_QUEUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(content_type: &str) -> Vonage {
        let actions = json!([
            {"action": "connect", "eventType": "synchronous", "eventUrl": ["https://a.example/e"], "endpoint": [
                {"type": "websocket", "uri": "wss://a.example/x", "content-type": content_type, "headers": {"token": "t"}},
            ]},
            {"action": "talk", "text": "Goodbye."},
        ]);
        let ncco = read(actions.as_array().expect("a list"));
        assert_eq!((ncco.event_url.as_deref(), ncco.said.as_str()), (Some("https://a.example/e"), "Goodbye."));
        Vonage::new(&ncco).expect("a known format")
    }

    #[test]
    fn audio_is_exactly_20_ms_at_every_rate() {
        for (rate, bytes) in [(8_000, 320), (16_000, 640), (24_000, 960)] {
            let mut vonage = stream(&format!("audio/l16;rate={rate}"));
            let sent: Vec<Message> = (0..10).flat_map(|_| vonage.audio(&[0; 320])).collect();
            assert!(sent.len() >= 9 && sent.iter().all(|message| message.len() == bytes), "{rate}");
            assert!(matches!(vonage.read(Message::binary(vec![0; bytes])).as_slice(), [Incoming::Audio(_)]));
            assert!(matches!(vonage.read(Message::binary(vec![0; bytes - 2])).as_slice(), [Incoming::Unknown(_)]));
        }
    }

    #[test]
    fn headers_come_back_flat_and_marks_as_they_were() {
        let mut vonage = stream(CONTENT_TYPE);
        let hello: Value = serde_json::from_str(vonage.hello()[0].to_text().expect("text")).expect("JSON");
        assert_eq!((&hello["event"], &hello["token"]), (&"websocket:connected".into(), &"t".into()));
        let asked = r#"{"action":"notify","payload":{"id":"7"}}"#;
        let Some(Incoming::Mark(name)) = vonage.read(Message::text(asked)).pop() else { panic!("no mark") };
        let back = vonage.mark(&name, false).pop().expect("returned");
        assert_eq!(back, Message::text(r#"{"event":"websocket:notify","payload":{"id":"7"}}"#));
        assert_eq!(vonage.mark(&name, true), []);
        assert_eq!(vonage.read(Message::text(r#"{"action":"clear"}"#)), [Incoming::Clear]);
        assert!(matches!(vonage.read(Message::text(r#"{"event":"clear"}"#)).as_slice(), [Incoming::Unknown(_)]));
    }
}
