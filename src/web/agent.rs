//! `/agent/ws`: one task per agent's socket. JSON both ways, voice as binary messages; the desk decides everything.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::alarm::Alarm;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::handoff::AgentId;
use crate::handoff::actor::{AgentOut, DeskHandle};
use crate::handoff::wire::{FromAgent, ToAgent};
use crate::store::UserRecord;
use crate::telemetry::metric;

/// Largest message an agent's client may send; 200 ms of voice are 6 400 bytes.
pub const MAX_MESSAGE: usize = 64 * 1_024;
/// A write that takes longer means that nobody reads.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Silence after which a client is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Bad messages after which a client is closed.
const BAD_MESSAGES: u32 = 50;

/// The messages of this socket as schemas, for the API's document: clients get their types from one place.
pub(super) fn schemas() -> utoipa::openapi::OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(ToAgent, FromAgent)))]
    struct Document;
    <Document as utoipa::OpenApi>::openapi()
}

/// Runs one agent's socket until it closes, is replaced, falls silent, or the server stops.
pub async fn run(socket: WebSocket, user: UserRecord, desk: DeskHandle, cancel: CancellationToken) {
    let UserRecord { id: agent, name, role, .. } = user;
    let Some((session, outbox)) = desk.connect(agent.clone(), name, role).await else { return };
    info!(agent.id = %agent, session, "Agent connected");
    let reason = Session { agent: &agent, session, desk: &desk, bad: 0 }.run(socket, outbox, cancel).await;
    desk.disconnect(agent.clone(), session).await;
    info!(agent.id = %agent, session, reason, "Agent disconnected");
}

struct Session<'a> {
    agent: &'a AgentId,
    session: u64,
    desk: &'a DeskHandle,
    bad: u32,
}

struct Leg {
    to_caller: mpsc::Sender<AudioFrame>,
    from_caller: mpsc::Receiver<AudioFrame>,
    at: Millis,
}

impl Session<'_> {
    async fn run(
        mut self,
        socket: WebSocket,
        mut outbox: mpsc::Receiver<AgentOut>,
        cancel: CancellationToken,
    ) -> &'static str {
        let (mut write, mut read) = socket.split();
        let mut leg: Option<Leg> = None;
        let mut last_heard = Instant::now();
        let mut alarm = Alarm::at(last_heard + SILENCE);
        let cancelled = cancel.cancelled();
        tokio::pin!(cancelled);
        loop {
            let silent_at = last_heard + SILENCE;
            let message = tokio::select! {
                biased;
                () = &mut cancelled => break "server stopping",
                () = alarm.rings(silent_at) => {
                    if Instant::now() >= silent_at {
                        break "silent";
                    }
                    continue;
                }
                out = outbox.recv() => match out {
                    None => break "did not read",
                    Some(AgentOut::Replaced) => {
                        let close = CloseFrame { code: 4000, reason: "another tab took over".into() };
                        // Best effort: the peer may be gone already.
                        let _ = tokio::time::timeout(WRITE_PATIENCE, write.send(Message::Close(Some(close)))).await;
                        break "replaced";
                    }
                    Some(AgentOut::Leg { to_caller, from_caller }) => {
                        leg = Some(Leg { to_caller, from_caller, at: Millis::ZERO });
                        continue;
                    }
                    Some(AgentOut::LegClosed) => {
                        leg = None;
                        continue;
                    }
                    Some(AgentOut::Message(message)) => encode(&message),
                },
                frame = next_frame(&mut leg) => match frame {
                    Some(frame) => Message::Binary(bytes_of(&frame.pcm)),
                    None => {
                        leg = None;
                        continue;
                    }
                },
                incoming = read.next() => {
                    match incoming {
                        None | Some(Err(_)) => break "socket lost",
                        Some(Ok(Message::Close(_))) => break "closed",
                        Some(Ok(Message::Text(text))) => {
                            last_heard = Instant::now();
                            match self.text(&text).await {
                                Some(answer) => encode(&answer),
                                None if self.bad > BAD_MESSAGES => break "too many bad messages",
                                None => continue,
                            }
                        }
                        Some(Ok(Message::Binary(bytes))) => {
                            last_heard = Instant::now();
                            voice(&bytes, leg.as_mut());
                            continue;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                            last_heard = Instant::now();
                            continue;
                        }
                    }
                }
            };
            match tokio::time::timeout(WRITE_PATIENCE, write.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break "socket lost",
                Err(_) => break "does not read",
            }
        }
    }

    /// One JSON message. An answer only for what can't be read; the desk answers the rest.
    async fn text(&mut self, text: &str) -> Option<ToAgent> {
        match serde_json::from_str::<FromAgent>(text) {
            Ok(message) => {
                self.desk.from_agent(self.agent.clone(), self.session, message).await;
                None
            }
            Err(error) => {
                self.bad += 1;
                debug!(agent.id = %self.agent, %error, "Unreadable message from an agent's client");
                (self.bad <= BAD_MESSAGES).then(|| ToAgent::Error {
                    code: "malformed".to_owned(),
                    message: format!("This message could not be read: {error}."),
                })
            }
        }
    }
}

/// The next frame of the caller; never, while there is no leg.
async fn next_frame(leg: &mut Option<Leg>) -> Option<AudioFrame> {
    match leg {
        Some(leg) => leg.from_caller.recv().await,
        None => std::future::pending().await,
    }
}

/// Media: the agent's voice to the caller. Late is worthless, so a full pipe drops the newest.
fn voice(bytes: &Bytes, leg: Option<&mut Leg>) {
    let Some(leg) = leg else { return };
    if !bytes.len().is_multiple_of(2) || bytes.len() > 6_400 {
        metrics::counter!(metric::MESSAGES_SKIPPED, "provider" => "agent", "reason" => "frame_size").increment(1);
        return;
    }
    let pcm: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let frame = AudioFrame::new(leg.at, SampleRate::WIDEBAND, pcm);
    leg.at = leg.at + frame.span();
    if let Err(mpsc::error::TrySendError::Full(_)) = leg.to_caller.try_send(frame) {
        metrics::counter!(metric::FRAMES_DROPPED, "leg" => "agent", "reason" => "full").increment(1);
    }
}

fn encode(message: &ToAgent) -> Message {
    match serde_json::to_string(message) {
        Ok(text) => Message::Text(text.into()),
        Err(error) => {
            // Plain data always serialises; if it ever does not, the agent loses one message and not the call.
            warn!(%error, "A message to an agent could not be written");
            Message::Ping(Bytes::new())
        }
    }
}

fn bytes_of(pcm: &[i16]) -> Bytes {
    let mut bytes = vec![0; 2 * pcm.len()];
    for (pair, sample) in bytes.chunks_exact_mut(2).zip(pcm) {
        pair.copy_from_slice(&sample.to_le_bytes());
    }
    bytes.into()
}
