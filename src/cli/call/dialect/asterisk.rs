//! Asterisk: dials out of its dialplan and queues what it is sent, as `chan_websocket` does.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use uuid::Uuid;

use super::voice::Voice;
use super::{Announced, CallError, Dial, Dialect, Incoming, add_header, pbx, request, unknown};
use crate::audio::codec::{Codec, Format};
use crate::audio::units::SampleRate;
use crate::telephony::asterisk::{MAX_CONTROL, SUBPROTOCOL, XOFF_FRAMES};
use crate::telephony::protocol::Digit;

/// Below this many frames it says `MEDIA_XON` again…
const XON_FRAMES: u32 = 800;
/// …and from this many on it takes nothing.
const FULL_FRAMES: u32 = 1_000;

/// `f(json)` with 16 kHz; `f(plain-text)` with µ-law; and plain as releases before 20.18 speak it, without marks.
pub(super) const VARIANTS: &[&str] = &["json", "plain", "plain-20.16"];

/// Runs the dialplan of `docs/providers/asterisk.md`.
pub(super) async fn announce(http: reqwest::Client, dial: &Dial) -> Result<Announced, CallError> {
    let made_up = || format!("{}.42", Uuid::new_v4().as_u64_pair().0 % 10_000_000_000);
    let uid = dial.call_id.clone().unwrap_or_else(made_up);
    let token = pbx::token(&http, dial, &uid).await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("from", &dial.from).append_pair("to", &dial.to).append_pair("uid", &uid);
    if let Some(token) = token {
        query.append_pair("token", &token);
    }
    let mut request = request(&format!("{}?{}", dial.media_url("asterisk"), query.finish()))?;
    add_header(&mut request, "authorization", &pbx::basic(dial));
    add_header(&mut request, "sec-websocket-protocol", SUBPROTOCOL);
    let variant = dial.variant.as_deref().unwrap_or("json");
    let dialect = Box::new(Asterisk::new(variant)?);
    Ok(Announced { request, dialect, afterwards: pbx::afterwards(http, dial, uid) })
}

/// The channel's side of the socket.
struct Asterisk {
    json: bool,
    /// Releases before 20.18 have neither marks nor channel ids.
    old: bool,
    format: &'static str,
    optimal: usize,
    channel_id: String,
    voice: Voice,
    /// Frames queued, which the line plays one a tick.
    queued: u32,
    full: bool,
    paused: bool,
    buffering: bool,
    leftover: Vec<u8>,
    report_drained: bool,
}

impl Asterisk {
    fn new(variant: &str) -> Result<Self, CallError> {
        let json = variant == "json";
        let wide = Format { codec: Codec::L16Le, rate: SampleRate::WIDEBAND };
        let (format, optimal, codec) = if json { ("slin16", 640, wide) } else { ("ulaw", 160, Format::PCMU_8K) };
        Ok(Self {
            json,
            old: variant == "plain-20.16",
            format,
            optimal,
            channel_id: format!("pbx1-{}.7", Uuid::new_v4().as_u64_pair().0 % 10_000_000_000),
            voice: Voice::new(codec, codec)?,
            queued: 0,
            full: false,
            paused: false,
            buffering: false,
            leftover: Vec::new(),
            report_drained: false,
        })
    }

    /// An event with an optional id, in the connection's form.
    fn event(&self, name: &str, correlation_id: Option<&str>) -> Message {
        if !self.json {
            return Message::text(correlation_id.map_or(name.to_owned(), |id| format!("{name} {id}")));
        }
        let mut event = json!({"event": name, "channel_id": self.channel_id});
        if let Some(id) = correlation_id {
            event["correlation_id"] = Value::from(id);
        }
        Message::text(event.to_string())
    }

    fn error(&self, text: &str) -> Incoming {
        let id = &self.channel_id;
        Incoming::Reply(Message::text(if self.json {
            json!({"event": "ERROR", "channel_id": id, "error_text": text}).to_string()
        } else {
            format!("ERROR channel_id:{id} error_text:{text}")
        }))
    }

    fn status(&self) -> Incoming {
        let (id, queued, full) = (&self.channel_id, self.queued, self.full);
        let (bulk, paused) = (self.buffering, self.paused);
        Incoming::Reply(Message::text(if self.json {
            json!({
                "event": "STATUS", "channel_id": id, "queue_length": queued, "xon_level": XON_FRAMES,
                "xoff_level": XOFF_FRAMES, "queue_full": full, "bulk_media": bulk, "media_paused": paused,
            })
            .to_string()
        } else {
            format!(
                "STATUS channel_id:{id} queue_length:{queued} xon_level:{XON_FRAMES} xoff_level:{XOFF_FRAMES} \
                 queue_full:{full} bulk_media:{bulk} media_paused:{paused}"
            )
        }))
    }

    /// Cuts a message into frames. A remainder is kept while buffering, else thrown away.
    fn media(&mut self, bytes: &[u8]) -> Vec<Incoming> {
        if self.queued >= FULL_FRAMES {
            return unknown(format!("{} bytes of audio while {FULL_FRAMES} frames are queued: dropped", bytes.len()));
        }
        let mut happened = Vec::new();
        if self.full {
            happened.push(Incoming::Unknown("audio after MEDIA_XOFF".to_owned()));
        }
        let mut audio = std::mem::take(&mut self.leftover);
        audio.extend_from_slice(bytes);
        let rest = audio.split_off(audio.len() - audio.len() % self.optimal);
        if self.buffering {
            self.leftover = rest;
        } else if !rest.is_empty() {
            let (got, frame) = (bytes.len(), self.optimal);
            let what = format!("audio of {got} bytes, no multiple of {frame}: the last {} are discarded", rest.len());
            happened.push(Incoming::Unknown(what));
        }
        happened.extend(self.queue(&audio));
        happened
    }

    /// Queues whole frames.
    fn queue(&mut self, audio: &[u8]) -> Vec<Incoming> {
        if audio.is_empty() {
            return Vec::new();
        }
        let Some(pcm) = self.voice.decode(audio) else { return unknown("audio that can't be decoded") };
        self.queued += u32::try_from(audio.len().div_ceil(self.optimal)).unwrap_or(u32::MAX);
        let mut happened = vec![Incoming::Audio(pcm)];
        if !self.full && self.queued >= XOFF_FRAMES {
            self.full = true;
            happened.push(Incoming::Reply(self.event("MEDIA_XOFF", None)));
        }
        happened
    }

    fn command(&mut self, name: &str, argument: &str) -> Vec<Incoming> {
        match name {
            "ANSWER" | "SET_MEDIA_DIRECTION" => Vec::new(),
            "HANGUP" => vec![Incoming::HangUp(String::new())],
            "START_MEDIA_BUFFERING" => {
                self.buffering = true;
                Vec::new()
            }
            "STOP_MEDIA_BUFFERING" => {
                self.buffering = false;
                let mut last = std::mem::take(&mut self.leftover);
                if !last.is_empty() {
                    let silence = if self.json { 0 } else { 0xff };
                    last.resize(self.optimal, silence);
                }
                let mut happened = self.queue(&last);
                happened.push(Incoming::Mark(format!("MEDIA_BUFFERING_COMPLETED {argument}")));
                happened
            }
            "MARK_MEDIA" if !self.old => vec![Incoming::Mark(format!("MEDIA_MARK_PROCESSED {argument}"))],
            "FLUSH_MEDIA" => {
                (self.queued, self.buffering) = (0, false);
                self.leftover.clear();
                self.voice.clear();
                vec![Incoming::Clear]
            }
            "PAUSE_MEDIA" | "CONTINUE_MEDIA" => {
                self.paused = name == "PAUSE_MEDIA";
                vec![Incoming::Pause(self.paused)]
            }
            "REPORT_QUEUE_DRAINED" => {
                self.report_drained = true;
                Vec::new()
            }
            "GET_STATUS" => vec![self.status()],
            _ => unknown(format!("command `{name}`")),
        }
    }
}

#[derive(Deserialize)]
struct Command {
    command: String,
    #[serde(default)]
    correlation_id: String,
}

impl Dialect for Asterisk {
    /// What `res_http_websocket` insists on; anything else and it hangs up.
    fn accepts(&self, response: &Response) -> Result<(), String> {
        for (name, wanted) in [("connection", "upgrade"), ("upgrade", "websocket")] {
            let all: Vec<_> = response.headers().get_all(name).iter().collect();
            if !matches!(all.as_slice(), [one] if one.as_bytes().eq_ignore_ascii_case(wanted.as_bytes())) {
                return Err(format!("`{name}: {wanted}` must stand there once and alone, but got {all:?}"));
            }
        }
        if response.headers().contains_key("sec-websocket-extensions") {
            return Err("an extension was accepted, which Asterisk never offers".to_owned());
        }
        match response.headers().get("sec-websocket-protocol") {
            Some(protocol) if protocol != SUBPROTOCOL => Err(format!("subprotocol {protocol:?} was not offered")),
            _ => Ok(()),
        }
    }

    fn hello(&mut self) -> Vec<Message> {
        let (format, frame, id) = (self.format, self.optimal, &self.channel_id);
        let channel = "WebSocket/voiceagent/0x7f0000001000";
        vec![Message::text(if self.json {
            json!({
                "event": "MEDIA_START", "connection_id": "voiceagent", "channel": channel, "channel_id": id,
                "format": format, "optimal_frame_size": frame, "ptime": 20,
                "channel_variables": {"MEDIA_WEBSOCKET_CONNECTION_ID": "voiceagent"},
            })
            .to_string()
        } else {
            let id = if self.old { String::new() } else { format!(" channel_id:{id}") };
            format!(
                "MEDIA_START connection_id:voiceagent channel:{channel}{id} format:{format} optimal_frame_size:{frame} \
                 ptime:20"
            )
        })]
    }

    fn audio(&mut self, pcm: &[i16]) -> Vec<Message> {
        let mut messages = vec![Message::binary(self.voice.code(pcm))];
        if self.paused {
            return messages;
        }
        if self.full && self.queued < XON_FRAMES {
            self.full = false;
            messages.push(self.event("MEDIA_XON", None));
        }
        if self.queued == 0 && std::mem::take(&mut self.report_drained) {
            messages.push(self.event("QUEUE_DRAINED", None));
        }
        self.queued = self.queued.saturating_sub(1);
        messages
    }

    fn dtmf(&mut self, digit: Digit) -> Vec<Message> {
        let (digit, id) = (digit.get().to_string(), &self.channel_id);
        vec![Message::text(if self.json {
            json!({"event": "DTMF_END", "channel_id": id, "digit": digit}).to_string()
        } else {
            let id = if self.old { String::new() } else { format!(" channel_id:{id}") };
            format!("DTMF_END digit:{digit}{id}")
        })]
    }

    /// Marks that are flushed are lost.
    fn mark(&mut self, name: &str, cleared: bool) -> Vec<Message> {
        match name.split_once(' ') {
            Some((event, id)) if !cleared => vec![self.event(event, Some(id))],
            _ => Vec::new(),
        }
    }

    /// A caller's hang-up is a close and nothing else.
    fn goodbye(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: Message) -> Vec<Incoming> {
        let text = match message {
            Message::Binary(bytes) => return self.media(&bytes),
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Vec::new(),
        };
        if text.len() > MAX_CONTROL {
            return unknown(format!("control message of {} bytes, of which Asterisk reads {MAX_CONTROL}", text.len()));
        }
        let text = text.trim();
        if !self.json {
            let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
            return self.command(name, argument);
        }
        match serde_json::from_str::<Command>(text) {
            Ok(Command { command, correlation_id }) => self.command(&command, &correlation_id),
            Err(_) => vec![
                self.error("Unable to parse JSON command"),
                Incoming::Unknown("control message that is no JSON command".to_owned()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asterisk(variant: &str) -> Asterisk {
        Asterisk::new(variant).expect("its formats are spoken here")
    }

    fn text(message: &Message) -> &str {
        message.to_text().expect("text")
    }

    #[test]
    fn messages_are_cut_into_frames_and_a_remainder_is_lost_or_kept() {
        let mut json = asterisk("json");
        assert!(matches!(json.read(Message::binary(vec![0; 639])).as_slice(), [Incoming::Unknown(_)]));
        let read = json.read(Message::binary(vec![0; 1_300]));
        let [Incoming::Unknown(what), Incoming::Audio(pcm)] = read.as_slice() else { panic!("{read:?}") };
        assert!(what.contains("the last 20 are discarded"), "{what}");
        assert_eq!(pcm.len(), 640);
        json.read(Message::text(r#"{"command":"START_MEDIA_BUFFERING"}"#));
        assert_eq!(json.read(Message::binary(vec![0; 700])).len(), 1, "the rest is kept");
        let read = json.read(Message::text(r#"{"command":"STOP_MEDIA_BUFFERING","correlation_id":"u"}"#));
        assert_eq!(read.len(), 2, "it is played, then the id comes back: {read:?}");
        assert_eq!(json.queued, 4);
    }

    #[test]
    fn a_full_queue_is_announced_and_so_is_room() {
        let mut plain = asterisk("plain");
        let read = plain.read(Message::binary(vec![0xff; 160 * 899]));
        assert_eq!(read.len(), 1);
        let read = plain.read(Message::binary(vec![0xff; 160]));
        assert_eq!(read[1], Incoming::Reply(Message::text("MEDIA_XOFF")));
        let read = plain.read(Message::binary(vec![0xff; 160 * 100]));
        assert!(matches!(&read[0], Incoming::Unknown(what) if what.contains("XOFF")), "{read:?}");
        assert!(matches!(plain.read(Message::binary(vec![0xff; 160])).as_slice(), [Incoming::Unknown(_)]), "full");
        let said: Vec<_> = (0..202).flat_map(|_| plain.audio(&[0; 320])).filter(Message::is_text).collect();
        assert_eq!(said, [Message::text("MEDIA_XON")]);
    }

    #[test]
    fn control_is_read_as_strictly_as_asterisk_does() {
        let mut json = asterisk("json");
        let mark = json.read(Message::text(r#"{"command":"MARK_MEDIA","correlation_id":"7"}"#));
        assert_eq!(mark, [Incoming::Mark("MEDIA_MARK_PROCESSED 7".to_owned())]);
        assert!(text(&json.mark("MEDIA_MARK_PROCESSED 7", false)[0]).contains(r#""correlation_id":"7""#));
        assert!(json.mark("MEDIA_MARK_PROCESSED 7", true).is_empty(), "lost in the flush");
        assert_eq!(json.read(Message::text(r#"{"command":"FLUSH_MEDIA"}"#)), [Incoming::Clear]);
        let long = format!(r#"{{"command":"MARK_MEDIA","correlation_id":"{}"}}"#, "x".repeat(100));
        assert!(matches!(json.read(Message::text(long)).as_slice(), [Incoming::Unknown(_)]));
        assert!(matches!(
            json.read(Message::text("FLUSH_MEDIA")).as_slice(),
            [Incoming::Reply(_), Incoming::Unknown(_)]
        ));
        assert_eq!(json.read(Message::text(r#"{"command":"HANGUP"}"#)), [Incoming::HangUp(String::new())]);

        let mut old = asterisk("plain-20.16");
        assert!(!text(&old.hello()[0]).contains("channel_id"));
        assert!(matches!(old.read(Message::text("MARK_MEDIA 7")).as_slice(), [Incoming::Unknown(_)]));
        let status = old.read(Message::text("GET_STATUS")).pop();
        let Some(Incoming::Reply(status)) = status else { panic!("{status:?}") };
        assert!(text(&status).contains("queue_length:0"));
    }
}
