//! Vonage's Voice API websocket endpoint: an NCCO's `connect` action, audio in binary messages, control in text.
//!
//! Both ways little-endian PCM, in messages of exactly 20 ms; what does not fill one is padded. The first message is text
//! and carries the headers of the NCCO, our token among them. There is no stop message: the socket closes. Whether marks
//! (`notify`) come back after a clear is not documented; both are understood. Source: Vonage, "WebSockets in the Vonage
//! Voice API". Not here: the token's signature (`signature/jwt.rs`) and what the NCCO says (`web/webhooks/vonage.rs`).

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::{Arrival, LetIn, Opening, Refusal};
use super::json::{Parameters, Text, one_key, parse, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, stream_start};
use super::packer::Shape;
use super::protocol::{MarkId, MediaEvent, MediaProtocol, Output, ProtocolError, WsMessage};
use super::signature::jwt::{self, Claims};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};
use crate::audio::units::{Millis, SampleRate};
use crate::config::VonageConfig;

/// What the NCCO asks for: what we hear in, and what Vonage takes if nothing is said.
pub const CONTENT_TYPE: &str = "audio/l16;rate=16000";
/// The key that signs.
pub const SECRET_KEY: &str = "vonage.signature_secret";

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Lifecycle::new(opening.now, Vonage))
}

/// The handshake brings a token signed as webhooks are (`authorization.type` of the NCCO's endpoint); our own token has
/// to follow all the same.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let settings = &arrival.settings.vonage;
    let secret = settings.signature_secret.expose();
    if secret.is_empty() {
        return Err(Refusal::Unconfigured(SECRET_KEY));
    }
    let token = arrival.handshake.bearer().ok_or(Refusal::Missing)?;
    let claims = jwt::verify(secret, token, None, arrival.now, arrival.unix_s, arrival.replays)
        .map_err(|error| Refusal::Wrong(error.label()))?;
    if is_for_us(&claims, settings) { Ok(LetIn::ByToken) } else { Err(Refusal::Wrong("application")) }
}

/// Whether Vonage made these claims, for the application that is configured.
pub fn is_for_us(claims: &Claims, settings: &VonageConfig) -> bool {
    let ours = &settings.application_id;
    claims.iss == "Vonage" && (ours.is_empty() || claims.application_id.as_ref() == Some(ours))
}

#[derive(Debug)]
struct Vonage;

impl Wire for Vonage {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event } = parse(text, "text")?;
        match event.as_str() {
            "websocket:connected" => {}
            "websocket:dtmf" => return Err(ProtocolError::Order { event: "dtmf" }),
            "websocket:notify" => return Err(ProtocolError::Order { event: "notify" }),
            _ => return Ok(None),
        }
        let mut parameters: Parameters = parse(text, "connected")?;
        let Parameters(all) = &mut parameters;
        all.remove("event");
        let format = format(all.remove("content-type").as_deref().unwrap_or(CONTENT_TYPE))?;
        let call_id = all.remove("call_uuid").unwrap_or_default();
        let frame = format.codec.frame_bytes(format.rate).unwrap_or(1);
        let shape = Shape { message: Millis::FRAME, least: frame, multiple: frame };
        let stream = Stream::new(call_id.clone(), format, format, shape)?;
        Ok(Some(Started { start: stream_start(call_id.clone(), call_id, format, parameters), stream }))
    }

    fn text(
        &mut self,
        _: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError> {
        let Head { event } = parse(text, "text")?;
        match event.as_str() {
            "websocket:dtmf" => {
                let message: Dtmf = parse(text, "dtmf")?;
                let missing = ProtocolError::Field { event: "dtmf", field: "digit" };
                let digit = message.digit.or(message.dtmf.map(Nested::digit)).ok_or(missing)?;
                outputs.push_back(Output::Event(MediaEvent::Dtmf(one_key(&digit.0)?)));
            }
            "websocket:notify" => {
                let message: Notify = parse(text, "notify")?;
                stream.mark_named(&message.payload.id.0, outputs)?;
            }
            "websocket:connected" => return Err(ProtocolError::Order { event: "start" }),
            // `websocket:cleared`, and whatever else there may be one day.
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn audio(&self, _: &Stream, audio: Vec<u8>) -> Output {
        Output::Send(WsMessage::Binary(audio))
    }

    fn mark(&self, _: &Stream, mark: MarkId) -> Option<Output> {
        Some(send(&Outgoing::Notify { payload: Payload { id: mark.0.to_string() } }))
    }

    fn clear(&self, _: &Stream) -> Output {
        send(&Outgoing::Clear)
    }
}

/// `audio/l16;rate=16000`: the MIME type says big-endian, the wire is little-endian.
fn format(content_type: &str) -> Result<Format, ProtocolError> {
    let mut parts = content_type.split(';').map(str::trim);
    let codec = parts.next().and_then(|name| Codec::named(name, Codec::L16Le));
    let rate = parts.find_map(|part| part.strip_prefix("rate=")).map_or(Ok(16_000), str::parse);
    match (codec, rate) {
        (Some(Codec::L16Le), Ok(rate @ (8_000 | 16_000 | 24_000))) => {
            Ok(Format { codec: Codec::L16Le, rate: SampleRate(rate) })
        }
        _ => Err(ProtocolError::Unsupported { format: content_type.chars().take(80).collect() }),
    }
}

#[derive(Deserialize)]
struct Head {
    event: String,
}

/// The digit at the top as documented, or one of the ways adapters met.
#[derive(Deserialize)]
struct Dtmf {
    #[serde(default)]
    digit: Option<Text>,
    #[serde(default)]
    dtmf: Option<Nested>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Nested {
    Object { digit: Text },
    Plain(Text),
}

impl Nested {
    fn digit(self) -> Text {
        let (Self::Object { digit } | Self::Plain(digit)) = self;
        digit
    }
}

#[derive(Deserialize)]
struct Notify {
    payload: Returned,
}

#[derive(Deserialize)]
struct Returned {
    id: Text,
}

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Outgoing {
    Clear,
    Notify { payload: Payload },
}

#[derive(Serialize)]
struct Payload {
    id: String,
}
