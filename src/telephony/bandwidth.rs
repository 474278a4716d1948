//! Bandwidth's `<StartStream mode="bidirectional">`.
//!
//! JSON text both ways, µ-law 8 kHz in base64. There are no marks, so the clock tells when audio was played; keys do not
//! come on the socket but by a webhook. What Bandwidth sends is documented; what it takes (`playAudio`, `clear`) is known
//! from the adapters of others only. So reading is lenient, and only the plainest form is sent. Source: Bandwidth, "Start
//! Stream" and its SDKs.

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::handshake::{Arrival, LetIn, Opening, Refusal, check_basic};
use super::json::{Parameters, Text, base64, given, parse, payload, send};
use super::lifecycle::{Flow, Lifecycle, Started, Wire, stream_start};
use super::packer::Shape;
use super::protocol::{MarkId, MediaProtocol, Output, ProtocolError};
use super::stream::Stream;
use crate::audio::codec::{Codec, Format};

/// The key of the password.
pub const PASSWORD_KEY: &str = "bandwidth.password";

/// A new stream, waiting for its start.
pub fn open(opening: &Opening<'_>) -> Box<dyn MediaProtocol> {
    Box::new(Lifecycle::new(opening.now, Bandwidth))
}

/// Our BXML names user and password for the socket. They must be right where they are sent, but whether every account
/// sends them is not known; the token has to follow in any case.
pub fn check(arrival: &Arrival<'_>) -> Result<LetIn, Refusal> {
    let settings = &arrival.settings.bandwidth;
    match check_basic(arrival.handshake, &settings.username, &settings.password, PASSWORD_KEY) {
        Ok(()) | Err(Refusal::Missing) => Ok(LetIn::ByToken),
        Err(refusal) => Err(refusal),
    }
}

#[derive(Debug)]
struct Bandwidth;

impl Wire for Bandwidth {
    fn start(&mut self, text: &str) -> Result<Option<Started>, ProtocolError> {
        let Head { event_type } = parse(text, "text")?;
        match event_type.as_str() {
            "start" => {}
            "media" => return Err(ProtocolError::Order { event: "media" }),
            "stop" => return Err(ProtocolError::Order { event: "stop" }),
            _ => return Ok(None),
        }
        let Start { metadata, stream_params } = parse(text, "start")?;
        let call_id = given(metadata.call_id).unwrap_or_default();
        let stream_id = given(metadata.stream_id).unwrap_or_else(|| call_id.clone());
        let format = Format::PCMU_8K;
        if let Some(other) = metadata.tracks.iter().find(|track| track.is_heard() && !track.is_ulaw()) {
            return Err(ProtocolError::Unsupported { format: other.shown() });
        }
        let stream = Stream::new(stream_id.clone(), format, format, Shape::FRAMES)?;
        Ok(Some(Started { start: stream_start(stream_id, call_id, format, stream_params), stream }))
    }

    fn text(
        &mut self,
        now: Instant,
        text: &str,
        stream: &mut Stream,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Flow, ProtocolError> {
        let Head { event_type } = parse(text, "text")?;
        match event_type.as_str() {
            "media" => {
                let media: Media = parse(text, "media")?;
                // What Bandwidth itself says to the caller, our own words among it.
                if media.track.is_some_and(|track| track.0 != "inbound") {
                    return Ok(Flow::Open);
                }
                let number = media.sequence_number.and_then(|number| number.number());
                stream.receive(now, number, None, payload(&media.payload)?, outputs)?;
            }
            "stop" => return Ok(Flow::Ended),
            "start" => return Err(ProtocolError::Order { event: "start" }),
            _ => {}
        }
        Ok(Flow::Open)
    }

    fn audio(&self, _: &Stream, audio: Vec<u8>) -> Output {
        send(&Outgoing::PlayAudio { media: OutMedia { content_type: "audio/pcmu", payload: base64(&audio) } })
    }

    fn mark(&self, _: &Stream, _: MarkId) -> Option<Output> {
        None
    }

    fn clear(&self, _: &Stream) -> Output {
        send(&Outgoing::Clear)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    event_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    metadata: Metadata,
    #[serde(default)]
    stream_params: Parameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    call_id: Option<Text>,
    #[serde(default)]
    stream_id: Option<Text>,
    #[serde(default)]
    tracks: Vec<Track>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Track {
    #[serde(default)]
    name: Option<Text>,
    #[serde(default)]
    media_format: Option<MediaFormat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MediaFormat {
    #[serde(default)]
    encoding: Option<Text>,
    #[serde(default)]
    sample_rate: Option<Text>,
}

impl Track {
    fn is_heard(&self) -> bool {
        self.name.as_ref().is_none_or(|name| name.0 == "inbound")
    }

    /// What is not said is taken to be the default.
    fn is_ulaw(&self) -> bool {
        let Some(format) = &self.media_format else { return true };
        let codec = format.encoding.as_ref().map_or(Some(Codec::Pcmu), |name| Codec::named(&name.0, Codec::L16Le));
        codec == Some(Codec::Pcmu) && format.sample_rate.as_ref().is_none_or(|rate| rate.0 == "8000")
    }

    fn shown(&self) -> String {
        let shown = |field: Option<&Text>| field.map_or("?", |text| text.0.as_str()).to_owned();
        let format = self.media_format.as_ref();
        let encoding = shown(format.and_then(|format| format.encoding.as_ref()));
        let rate = shown(format.and_then(|format| format.sample_rate.as_ref()));
        format!("{encoding} {rate} Hz").chars().take(80).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Media {
    #[serde(default)]
    track: Option<Text>,
    #[serde(default)]
    sequence_number: Option<Text>,
    payload: String,
}

#[derive(Serialize)]
#[serde(tag = "eventType", rename_all = "camelCase")]
enum Outgoing {
    PlayAudio { media: OutMedia },
    Clear,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutMedia {
    content_type: &'static str,
    payload: String,
}
