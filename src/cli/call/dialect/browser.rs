//! The landing page: asks for a call, then speaks the dialect of `docs/browser-protocol.md`.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Announced, CallError, Dial, Dialect, Incoming, answer, request, unknown};
use crate::cli::call::line::RATE;
use crate::telephony::protocol::{Caption, Digit, Speaker};
use crate::web::error::Problem;
use crate::web::webhooks::browser::BrowserCall;

/// Asks for a call as the landing page does.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
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

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        vec![Message::binary(pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())]
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        vec![Message::text(json!({"type": "dtmf", "digit": digit.get().to_string()}).to_string())]
    }

    fn mark(&mut self, name: &str, _: bool) -> Vec<Message> {
        let id = name.parse::<u64>().map_or(Value::Null, Value::from);
        vec![Message::text(json!({"type": "mark", "id": id}).to_string())]
    }

    fn goodbye(&mut self) -> Vec<Message> {
        vec![Message::text(json!({"type": "stop"}).to_string())]
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        match message {
            Message::Binary(bytes) if bytes.len() % 2 == 1 => unknown(format!("{} bytes of audio", bytes.len())),
            Message::Binary(bytes) => {
                vec![Incoming::Audio(
                    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect(),
                )]
            }
            Message::Text(text) => vec![match serde_json::from_str(&text) {
                Ok(ToPage::Started {}) => Incoming::Started,
                Ok(ToPage::Mark { id }) => Incoming::Mark(id.to_string()),
                Ok(ToPage::Clear {}) => Incoming::Clear,
                Ok(ToPage::Caption { who, text, is_final }) => Incoming::Caption(Caption { who, text, is_final }),
                Ok(ToPage::Ended { reason }) => Incoming::Ended(reason),
                Err(error) => Incoming::Unknown(format!("message: {error}")),
            }],
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_understands_every_message_of_the_dialect() {
        let mut page = Browser { token: "t".to_owned() };
        let mut read = |text: &str| page.read(Message::text(text)).pop();
        assert_eq!(read(r#"{"type":"started","rate":16000}"#), Some(Incoming::Started));
        assert_eq!(read(r#"{"type":"mark","id":7}"#), Some(Incoming::Mark("7".to_owned())));
        assert_eq!(read(r#"{"type":"clear"}"#), Some(Incoming::Clear));
        assert_eq!(read(r#"{"type":"ended","reason":"busy"}"#), Some(Incoming::Ended("busy".to_owned())));
        let caption = read(r#"{"type":"caption","who":"agent","text":"hello","final":true}"#);
        assert!(matches!(caption, Some(Incoming::Caption(Caption { who: Speaker::Agent, is_final: true, .. }))));
        assert_eq!(page.read(Message::binary(vec![1, 0, 2, 0])), [Incoming::Audio(vec![1, 2])]);
        assert!(matches!(page.read(Message::binary(vec![1])).as_slice(), [Incoming::Unknown(_)]));
    }
}
