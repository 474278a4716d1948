//! An agent's side of `docs/agent-protocol.md`, as far as tests need it.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// As often as a console does: a client that says nothing is dropped, however long a test looks elsewhere.
const PING: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Writing = Arc<Mutex<SplitSink<Socket, Message>>>;

/// A person at the desk.
pub struct Agent {
    read: SplitStream<Socket>,
    write: Writing,
    _pings: JoinSet<()>,
    patience: Duration,
    /// What the caller said, 16 kHz.
    pub heard: Vec<i16>,
    /// Messages that came while speaking.
    meanwhile: std::collections::VecDeque<Value>,
}

impl Agent {
    /// Sits down at the server at `base`, identified by these headers.
    pub async fn connect(base: &str, headers: &[(&'static str, String)], patience: Duration) -> Self {
        let mut request = format!("{}/agent/ws", base.replace("http", "ws")).into_client_request().expect("a URL");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("the desk answers");
        let (write, read) = socket.split();
        let write = Arc::new(Mutex::new(write));
        let mut pings = JoinSet::new();
        pings.spawn(ping(write.clone()));
        Self { read, write, _pings: pings, patience, heard: Vec::new(), meanwhile: std::collections::VecDeque::new() }
    }

    /// Sends a message.
    pub async fn say(&mut self, message: Value) {
        self.send(Message::Text(message.to_string().into())).await;
    }

    async fn send(&self, message: Message) {
        self.write.lock().await.send(message).await.expect("sent");
    }

    /// The next message of this type; voice is kept meanwhile.
    pub async fn expect(&mut self, wanted: &str) -> Value {
        let patience = self.patience;
        let next = async {
            loop {
                match self.read.next().await.expect("open").expect("readable") {
                    Message::Text(text) => {
                        let message: Value = serde_json::from_str(&text).expect("JSON");
                        if message["type"] == wanted {
                            return message;
                        }
                    }
                    Message::Binary(bytes) => self.hear(&bytes),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(patience, next).await.unwrap_or_else(|_| panic!("no `{wanted}` came"))
    }

    /// The next message of this type, those that came while speaking included.
    pub async fn expect_any(&mut self, wanted: &str) -> Value {
        while let Some(message) = self.meanwhile.pop_front() {
            if message["type"] == wanted {
                return message;
            }
        }
        self.expect(wanted).await
    }

    /// The first message of this type that came while speaking; the others stay.
    #[cfg(feature = "whisper")]
    pub fn came_meanwhile(&mut self, wanted: &str) -> Option<Value> {
        let at = self.meanwhile.iter().position(|message| message["type"] == wanted)?;
        self.meanwhile.remove(at)
    }

    /// Speaks in 20 ms frames at their pace, listening meanwhile.
    pub async fn speak(&mut self, pcm: &[i16]) {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for frame in pcm.chunks(320) {
            pace.tick().await;
            let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            self.send(Message::Binary(bytes.into())).await;
            while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::ZERO, self.read.next()).await {
                match message {
                    Message::Binary(bytes) => self.hear(&bytes),
                    Message::Text(text) => self.meanwhile.push_back(serde_json::from_str(&text).expect("JSON")),
                    _ => {}
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    }
}

/// Until the socket is closed.
async fn ping(write: Writing) {
    let mut pace = interval_at(Instant::now() + PING, PING);
    loop {
        pace.tick().await;
        let message = json!({ "type": "ping", "n": 0 });
        if write.lock().await.send(Message::Text(message.to_string().into())).await.is_err() {
            return;
        }
    }
}
