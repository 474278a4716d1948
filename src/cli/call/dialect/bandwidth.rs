//! Bandwidth: asks the webhook, then does two things at once as the platform does: streams, and goes on with the BXML, in
//! which `<Gather>` brings the caller's keys to a webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::instructions::{self, Instructions};
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, post_json, request, unknown};
use crate::audio::g711;
use crate::audio::resample::Resampler;
use crate::audio::units::SampleRate;
use crate::cli::call::line::RATE;
use crate::telephony::protocol::Digit;

const ACCOUNT: &str = "9900000";
/// Keys pressed faster than webhooks answer; one more is lost, as at a busy platform.
const KEYS: usize = 32;

/// Asks the webhook as Bandwidth does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_id = dial.call_id.clone().unwrap_or_else(|| format!("c-{}", Uuid::new_v4()));
    let instructions = match &dial.token {
        Some(token) => Instructions {
            stream: Some(format!("{}/media/bandwidth", dial.base.replacen("http", "ws", 1))),
            parameters: vec![("token".to_owned(), token.expose().clone())],
            ..Instructions::default()
        },
        None => {
            let url = format!("{}/voice/bandwidth/incoming", dial.base);
            post(&http, dial, url, event("initiate", &call_id, dial)).await?
        }
    };
    let Some(url) = instructions.stream.clone() else { return Err(CallError::Refused { said: instructions.said }) };
    let mut request = request(&if dial.token.is_some() { url } else { dial.reachable(&url) })?;
    let named = |name: &str| instructions.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    if let Some((user, password)) = named("destinationUsername").zip(named("destinationPassword")) {
        let credentials = BASE64.encode(format!("{user}:{password}"));
        add_header(&mut request, "authorization", &format!("Basic {credentials}"));
    }
    let (pressed, keys) = mpsc::channel(KEYS);
    let (done, over) = oneshot::channel();
    let parameters = instructions.parameters.clone();
    let mut tasks = JoinSet::new();
    let has_webhook = dial.token.is_none();
    if has_webhook {
        let script = Script { http, dial: dial.clone(), call_id: call_id.clone(), instructions, keys };
        tasks.spawn(async move {
            // An error means that nobody wants to know any more.
            let _ = done.send(script.run().await);
        });
    }
    let dialect = Box::new(Bandwidth::new(call_id, parameters, pressed, tasks));
    let told = async { over.await.unwrap_or_else(|_| Ok(String::new())) };
    Ok(Announced { request, dialect, afterwards: has_webhook.then(|| told.boxed()) })
}

/// A webhook's body.
fn event(kind: &str, call_id: &str, dial: &Dial) -> Value {
    json!({
        "eventType": kind,
        "accountId": ACCOUNT,
        "applicationId": "00000000-0000-4000-8000-000000000000",
        "callId": call_id,
        "direction": "inbound",
        "from": dial.from,
        "to": dial.to,
    })
}

/// Posts JSON with the application's credentials; the BXML of the answer.
async fn post(http: &reqwest::Client, dial: &Dial, url: String, body: Value) -> Result<Instructions, CallError> {
    let credentials = format!("Basic {}", BASE64.encode(dial.auth_token.expose()));
    instructions::read(&post_json(http, url, credentials, body.to_string()).await?)
}

/// The BXML behind `<StartStream>`, verb by verb.
struct Script {
    http: reqwest::Client,
    dial: Dial,
    call_id: String,
    instructions: Instructions,
    keys: mpsc::Receiver<Digit>,
}

impl Script {
    /// Gathers keys until told something else; what the caller is told then.
    async fn run(mut self) -> Result<String, CallError> {
        while let Some((url, patience)) = self.instructions.gather.take() {
            let digits = match timeout(patience, self.keys.recv()).await {
                Ok(Some(digit)) => digit.get().to_string(),
                Ok(None) => return Ok(String::new()), // the telephone is gone
                Err(_) => String::new(),
            };
            let mut body = event("gather", &self.call_id, &self.dial);
            body["digits"] = Value::from(digits);
            self.instructions = post(&self.http, &self.dial, self.dial.reachable(&url), body).await?;
        }
        let Instructions { said, dialled, .. } = self.instructions;
        Ok(dialled.map_or(said, |whom| format!("put through to {whom}")))
    }
}

/// A bidirectional stream, Bandwidth's side.
struct Bandwidth {
    call_id: String,
    stream_id: String,
    parameters: Vec<(String, String)>,
    sequence: u64,
    down: Resampler,
    up: Resampler,
    pressed: mpsc::Sender<Digit>,
    /// The script; over with the stream.
    _tasks: JoinSet<()>,
}

#[derive(Deserialize)]
#[serde(tag = "eventType", rename_all = "camelCase")]
enum FromServer {
    PlayAudio { media: MediaBody },
    Clear {},
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MediaBody {
    content_type: String,
    payload: String,
}

impl Bandwidth {
    fn new(
        call_id: String,
        parameters: Vec<(String, String)>,
        pressed: mpsc::Sender<Digit>,
        tasks: JoinSet<()>,
    ) -> Self {
        let resampler = |from, to| Resampler::new(from, to).expect("telephone and wideband are rates");
        Self {
            call_id,
            stream_id: format!("s-{}", Uuid::new_v4()),
            parameters,
            sequence: 0,
            down: resampler(RATE, SampleRate::NARROWBAND),
            up: resampler(SampleRate::NARROWBAND, RATE),
            pressed,
            _tasks: tasks,
        }
    }

    fn metadata(&self) -> Value {
        json!({
            "accountId": ACCOUNT,
            "callId": self.call_id,
            "streamId": self.stream_id,
            "streamName": "warmline",
            "tracks": [{"name": "inbound", "mediaFormat": {"encoding": "audio/PCMU", "sampleRate": 8_000}}],
        })
    }
}

impl Dialect for Bandwidth {
    fn hello(&mut self) -> Vec<Message> {
        let parameters: serde_json::Map<_, _> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let start = json!({"eventType": "start", "metadata": self.metadata(), "streamParams": parameters});
        vec![Message::text(start.to_string())]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        let (mut narrow, mut ulaw) = (Vec::new(), Vec::new());
        self.down.push(pcm, &mut narrow);
        g711::encode_ulaw(&narrow, &mut ulaw);
        self.sequence += 1;
        let media = json!({
            "eventType": "media",
            "track": "inbound",
            "sequenceNumber": self.sequence.to_string(),
            "payload": BASE64.encode(ulaw),
        });
        vec![Message::text(media.to_string())]
    }

    /// Keys take the other way.
    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        // A full queue loses the key, a closed one has nobody to tell.
        let _ = self.pressed.try_send(digit);
        Vec::new()
    }

    fn mark(&mut self, _: &str, _: bool) -> Vec<Message> {
        Vec::new()
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(json!({"eventType": "stop", "metadata": self.metadata()}).to_string())]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return unknown("binary message"),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        match serde_json::from_str(&text) {
            Ok(FromServer::PlayAudio { media }) if media.content_type != "audio/pcmu" => {
                unknown(format!("content type `{}`", media.content_type))
            }
            Ok(FromServer::PlayAudio { media }) => {
                let Ok(ulaw) = BASE64.decode(media.payload) else { return unknown("payload that is no base64") };
                let (mut narrow, mut pcm) = (Vec::new(), Vec::new());
                g711::decode_ulaw(&ulaw, &mut narrow);
                self.up.push(&narrow, &mut pcm);
                vec![Incoming::Audio(pcm)]
            }
            Ok(FromServer::Clear {}) => {
                self.up.flush(&mut Vec::new());
                vec![Incoming::Clear]
            }
            Err(error) => unknown(format!("message: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_the_other_way_and_audio_has_one_form() {
        let (pressed, mut keys) = mpsc::channel(1);
        let parameters = vec![("token".to_owned(), "t".to_owned())];
        let mut bandwidth = Bandwidth::new("c-1".to_owned(), parameters, pressed, JoinSet::new());
        let hello: Value = serde_json::from_str(bandwidth.hello()[0].to_text().expect("text")).expect("JSON");
        assert_eq!((&hello["streamParams"]["token"], &hello["metadata"]["callId"]), (&"t".into(), &"c-1".into()));
        let five = Digit::new('5').expect("a key");
        assert_eq!(bandwidth.dtmf(five), []);
        assert_eq!(keys.try_recv(), Ok(five));
        let mut read = |message: Value| bandwidth.read(Message::text(message.to_string())).pop();
        let audio = |kind: &str| json!({"eventType": "playAudio", "media": {"contentType": kind, "payload": BASE64.encode([0xff; 160])}});
        assert_eq!(read(audio("audio/pcmu")), Some(Incoming::Audio(vec![0; 320])));
        assert_eq!(read(json!({"eventType": "clear"})), Some(Incoming::Clear));
        for wrong in [audio("audio/wav"), json!({"event": "clear"}), json!({"eventType": "mark"})] {
            assert!(matches!(read(wrong), Some(Incoming::Unknown(_))));
        }
    }
}
