//! jambonz: asks the signed webhook or opens the application websocket, and runs the verb `listen`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, answer, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::protocol::Digit;
use crate::telephony::signature::stamped;
use crate::web::gate::unix_s;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long an acknowledgement may take.
const ACK_PATIENCE: Duration = Duration::from_secs(5);
const ACCOUNT: &str = "00000000-0000-4000-8000-000000000001";

/// With `USER:PASSWORD` over the application websocket, with a webhook secret by HTTP.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let call_sid = dial.call_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut listen = Listen::default();
    let mut hooks = None;
    match &dial.token {
        Some(token) => {
            listen.url = format!("{}/media/jambonz", dial.base.replacen("http", "ws", 1));
            listen.metadata = json!({"token": token.expose()});
            if let Some((username, password)) = dial.auth_token.expose().split_once(':') {
                listen.ws_auth = Some(Auth { username: username.to_owned(), password: password.to_owned() });
            }
        }
        None => {
            let mut control = match dial.auth_token.expose().split_once(':') {
                Some((username, password)) => Hooks::open_socket(dial, username, password).await?,
                None => Hooks::Http(http),
            };
            let call = call(dial, &call_sid, json!({"call_status": "trying", "sip_status": 100}));
            let verbs = control.ask(dial, "/voice/jambonz/incoming", "session:new", &call).await?;
            listen = match read_verbs(&verbs) {
                Told { listen: Some(listen), .. } => listen,
                Told { said, .. } => return Err(CallError::Refused { said }),
            };
            listen.url = dial.reachable(&listen.url);
            hooks = Some(control);
        }
    }
    let mut request = request(&listen.url)?;
    add_header(&mut request, "sec-websocket-protocol", "audio.drachtio.org");
    if let Some(auth) = &listen.ws_auth {
        add_header(&mut request, "authorization", &basic(&auth.username, &auth.password));
    }
    let afterwards =
        hooks.map(|hooks| after(hooks, dial.clone(), call_sid.clone(), listen.action_hook.clone()).boxed());
    let dialect = Box::new(Jambonz::new(call_sid, dial, listen)?);
    Ok(Announced { request, dialect, afterwards })
}

/// The verb's end: what comes next?
async fn after(mut hooks: Hooks, dial: Dial, call_sid: String, hook: String) -> Result<String, CallError> {
    let call = call(&dial, &call_sid, json!({"call_status": "in-progress", "sip_status": 200}));
    let verbs = hooks.ask(&dial, &hook, "verb:hook", &call).await?;
    hooks.close().await;
    let told = read_verbs(&verbs);
    Ok(told.dialled.map_or(told.said, |whom| format!("put through to {whom}")))
}

fn call(dial: &Dial, call_sid: &str, more: Value) -> Value {
    let mut call = json!({
        "call_sid": call_sid,
        "account_sid": ACCOUNT,
        "application_sid": ACCOUNT,
        "call_id": Uuid::new_v4().to_string(),
        "direction": "inbound",
        "from": dial.from,
        "to": dial.to,
    });
    if let Value::Object(more) = more {
        more.into_iter().for_each(|(name, value)| call[name] = value);
    }
    call
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{username}:{password}")))
}

/// How verbs are asked for.
enum Hooks {
    Http(reqwest::Client),
    Socket(Box<Socket>),
}

impl Hooks {
    async fn open_socket(dial: &Dial, username: &str, password: &str) -> Result<Self, CallError> {
        let url = format!("{}/voice/jambonz/app", dial.base.replacen("http", "ws", 1));
        let mut request = request(&url)?;
        add_header(&mut request, "sec-websocket-protocol", "ws.jambonz.org");
        add_header(&mut request, "authorization", &basic(username, password));
        match timeout(dial.patience, connect_async(request)).await {
            Ok(Ok((socket, _))) => Ok(Self::Socket(Box::new(socket))),
            Ok(Err(source)) => Err(CallError::Socket { url, source: Box::new(source) }),
            Err(_) => Err(CallError::Timeout { what: "the control socket to open", after: dial.patience }),
        }
    }

    async fn ask(&mut self, dial: &Dial, hook: &str, kind: &str, call: &Value) -> Result<Value, CallError> {
        match self {
            Self::Http(http) => {
                let url = if hook.starts_with("http") { dial.reachable(hook) } else { format!("{}{hook}", dial.base) };
                let body = call.to_string();
                let signature = stamped::sign(dial.auth_token.expose(), unix_s(), body.as_bytes());
                let request = http.post(&url).header(stamped::JAMBONZ_HEADER, signature);
                match answer(request.header("content-type", "application/json").body(body), &url).await? {
                    (StatusCode::OK, body) => {
                        serde_json::from_str(&body).map_err(|source| CallError::Answer { url, source })
                    }
                    (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => Err(CallError::Signature { url }),
                    (status, said) => Err(CallError::Status { url, status: status.as_u16(), said }),
                }
            }
            Self::Socket(socket) => {
                let msgid = Uuid::new_v4().simple().to_string();
                let mut message = json!({"type": kind, "msgid": msgid, "call_sid": call["call_sid"], "data": call});
                if kind == "verb:hook" {
                    message["hook"] = Value::from(hook);
                }
                let lost = |source| CallError::Socket { url: hook.to_owned(), source: Box::new(source) };
                socket.send(Message::text(message.to_string())).await.map_err(lost)?;
                let acknowledged = async {
                    loop {
                        let text = match socket.next().await {
                            Some(Ok(Message::Text(text))) => text,
                            Some(Ok(Message::Close(_))) | None => return Ok(None),
                            Some(Ok(_)) => continue,
                            Some(Err(source)) => return Err(lost(source)),
                        };
                        let ack: Value = serde_json::from_str(&text)
                            .map_err(|source| CallError::Answer { url: hook.to_owned(), source })?;
                        if ack["type"] == "ack" && ack["msgid"] == msgid.as_str() {
                            return Ok(Some(ack["data"].clone()));
                        }
                    }
                };
                let missing = CallError::Timeout { what: "an acknowledgement", after: ACK_PATIENCE };
                match timeout(ACK_PATIENCE, acknowledged).await {
                    Ok(Ok(Some(verbs))) => Ok(verbs),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(None)) | Err(_) => Err(missing),
                }
            }
        }
    }

    async fn close(&mut self) {
        if let Self::Socket(socket) = self {
            let _ = socket.as_mut().close(None).await;
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    listen: Option<Listen>,
    said: String,
    dialled: Option<String>,
}

/// The verb `listen`, as far as we run it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Listen {
    url: String,
    action_hook: String,
    sample_rate: Option<u32>,
    ws_auth: Option<Auth>,
    metadata: Value,
    bidirectional_audio: Bidirectional,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bidirectional {
    enabled: bool,
    streaming: bool,
    sample_rate: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
struct Auth {
    username: String,
    password: String,
}

fn read_verbs(verbs: &Value) -> Told {
    let mut told = Told::default();
    for verb in verbs.as_array().map_or(&[][..], Vec::as_slice) {
        match verb["verb"].as_str().unwrap_or_default() {
            "listen" | "stream" => told.listen = serde_json::from_value(verb.clone()).ok(),
            "say" => told.said.push_str(verb["text"].as_str().unwrap_or_default()),
            "sip:decline" => told.said.push_str("busy tone"),
            "dial" => {
                let target = &verb["target"][0];
                let whom = target["number"].as_str().or(target["sipUri"].as_str());
                told.dialled = whom.map(str::to_owned);
            }
            _ => {}
        }
    }
    told
}

/// The audio socket of `listen`.
struct Jambonz {
    start: Value,
    voice: Voice,
    streaming: bool,
    said_goodbye: bool,
    ended: bool,
}

impl Jambonz {
    fn new(call_sid: String, dial: &Dial, listen: Listen) -> Result<Self, CallError> {
        let rate = listen.sample_rate.unwrap_or(8_000);
        let back = listen.bidirectional_audio.sample_rate.unwrap_or(rate);
        let format = |rate| Format { codec: Codec::L16Le, rate: SampleRate(rate) };
        let mut start = json!({
            "sampleRate": rate,
            "mixType": "mono",
            "callSid": call_sid,
            "direction": "inbound",
            "from": dial.from,
            "to": dial.to,
            "callId": Uuid::new_v4().to_string(),
            "sipStatus": 200,
            "sipReason": "OK",
            "callStatus": "in-progress",
            "accountSid": ACCOUNT,
            "applicationSid": ACCOUNT,
        });
        if let Value::Object(metadata) = listen.metadata {
            metadata.into_iter().for_each(|(name, value)| start[name] = value);
        }
        // A stream token instead of verbs: audio comes back all the same.
        let streaming = listen.action_hook.is_empty()
            || (listen.bidirectional_audio.enabled && listen.bidirectional_audio.streaming);
        let voice = Voice::new(format(rate), format(back))?;
        Ok(Self { start, voice, streaming, said_goodbye: false, ended: false })
    }
}

#[derive(Deserialize)]
struct FromServer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

impl Dialect for Jambonz {
    fn hello(&mut self) -> Vec<Message> {
        vec![Message::text(self.start.to_string())]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        vec![Message::binary(self.voice.code(pcm))]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        let pressed = json!({"event": "dtmf", "dtmf": digit.get().to_string(), "duration": "1600"});
        vec![Message::text(pressed.to_string())]
    }

    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message> {
        let event = if cleared { "cleared" } else { "playout" };
        vec![Message::text(json!({"type": "mark", "data": {"name": name, "event": event}}).to_string())]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        if std::mem::replace(&mut self.said_goodbye, true) || self.ended {
            return Vec::new();
        }
        vec![Message::binary(Vec::new())]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Binary(_) if !self.streaming => return unknown("audio, though the verb does not stream it"),
            Message::Binary(audio) => {
                // What marks a mark would be taken for one.
                let has_marker = audio.chunks_exact(2).any(|sample| sample == [0xff, 0xff]);
                let heard = self.voice.decode(&audio).map(Incoming::Audio);
                let marker = has_marker.then(|| Incoming::Unknown("a sample of -1, which marks a mark".to_owned()));
                return heard.map_or_else(
                    || unknown("audio of half a sample"),
                    |heard| std::iter::once(heard).chain(marker).collect(),
                );
            }
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        let Ok(message) = serde_json::from_str::<FromServer>(&text) else {
            return unknown("message that is no command");
        };
        match message.kind.as_str() {
            "mark" => match message.data["name"].as_str() {
                Some(name) => vec![Incoming::Mark(name.to_owned())],
                None => unknown("mark without a name"),
            },
            "killAudio" => {
                self.voice.clear();
                vec![Incoming::Clear]
            }
            "clearMarks" => Vec::new(),
            "disconnect" => {
                self.ended = true;
                Vec::new()
            }
            kind => unknown(format!("`{kind}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jambonz_reads_verbs_and_is_strict_about_audio() {
        let verbs = json!([{"verb": "answer"}, {
            "verb": "listen", "url": "wss://a.example/media/jambonz", "actionHook": "/after", "sampleRate": 8_000,
            "wsAuth": {"username": "u", "password": "p"}, "metadata": {"token": "t"},
            "bidirectionalAudio": {"enabled": true, "streaming": true, "sampleRate": 8_000},
        }]);
        let listen = read_verbs(&verbs).listen.expect("a stream");
        assert_eq!((listen.action_hook.as_str(), listen.ws_auth.is_some()), ("/after", true));
        let dial = Dial::new("http://127.0.0.1:1", "jambonz");
        let mut jambonz = Jambonz::new("c".to_owned(), &dial, listen).expect("a voice");
        let start: Value = serde_json::from_str(jambonz.hello()[0].to_text().expect("text")).expect("JSON");
        assert_eq!((&start["token"], &start["callSid"]), (&json!("t"), &json!("c")));
        assert!(matches!(jambonz.read(Message::binary(vec![1, 0])).as_slice(), [Incoming::Audio(_)]));
        let marked = jambonz.read(Message::binary(vec![0xff, 0xff]));
        assert!(matches!(marked.as_slice(), [Incoming::Audio(_), Incoming::Unknown(_)]));
        assert_eq!(jambonz.read(Message::text(r#"{"type":"killAudio"}"#)), [Incoming::Clear]);
        let mark = jambonz.mark("7", true);
        assert!(mark[0].to_text().expect("text").contains("cleared"));
        let busy = read_verbs(&json!([{"verb": "say", "text": "busy"}, {"verb": "hangup"}]));
        assert_eq!((busy.said.as_str(), busy.listen.is_none()), ("busy", true));
        let told = read_verbs(&json!([{"verb": "dial", "target": [{"type": "sip", "sipUri": "sip:a@b"}]}]));
        assert_eq!(told.dialled.as_deref(), Some("sip:a@b"));
    }
}
