//! Callers and agents, each at a socket of their own, who are joined by the server and talk until the time is over.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::probe::{Ear, PROBES, Sent, Voice};
use super::serve::SECRET;
use super::{Measured, People};
use crate::audio::units::Millis;
use crate::cli::bench::{percentile, small_reads};
use crate::cli::call::dialect::{Announced, Dialect, Incoming, announce};
use crate::cli::call::player::Dial;
use crate::cli::{CliError, say};
use crate::handoff::wire::{AgentState, FromAgent, ToAgent};
use crate::telemetry::Secret;
use crate::telephony::protocol::Digit;

/// Between two callers, and between two agents who sign in.
const RAMP: Duration = Duration::from_millis(15);
/// After the last pair is joined, before frames count.
const SETTLE: Duration = Duration::from_secs(1);
/// How long signing in, and being joined, may take beyond the ramp.
const PATIENCE: Duration = Duration::from_secs(45);
/// A caller presses `0` after so many frames.
const PRESSES_AT: u64 = 10;
/// Between an idle agent's pings.
const PING: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What all of them share.
#[derive(Debug, Default)]
struct Shared {
    /// From when until when frames count; set once everybody is joined, or nobody waits for it any more.
    counted: OnceLock<(Instant, Instant)>,
    by_callers: Sent,
    by_agents: Sent,
    added_ms: Mutex<Vec<f64>>,
}

impl Shared {
    fn heard(&self, sent: &Sent, pair: usize, now: Instant, into: Duration) {
        let counts = self.counted.get().is_some_and(|(from, until)| now >= *from && now < *until);
        if let Some(took) = sent.since(pair, now).filter(|_| counts) {
            let mut all = self.added_ms.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((took + into).as_secs_f64() * 1_000.0);
        }
    }
}

/// When one party's frames came.
#[derive(Clone, Debug, Default)]
struct Came {
    first: Option<Instant>,
    offsets: Vec<f32>,
}

impl Came {
    /// A frame came. Where it stands against its schedule: the quickest of this party is the measure.
    fn note(&mut self, now: Instant, counted: (Instant, Instant)) {
        if now < counted.0 || now >= counted.1 {
            return;
        }
        let first = *self.first.get_or_insert(now);
        let due = Millis::FRAME.duration() * self.offsets.len() as u32;
        self.offsets.push(((now - first).as_secs_f64() - due.as_secs_f64()) as f32 * 1_000.0);
    }

    fn lateness_ms(self) -> impl Iterator<Item = f64> {
        let quickest = self.offsets.iter().copied().fold(f32::INFINITY, f32::min);
        self.offsets.into_iter().map(move |offset| f64::from(offset - quickest))
    }
}

/// Joins `people.tokens.len()` callers with as many agents and lets them talk for `span`. Prints `begin` and `full` around
/// that.
pub(super) async fn run(people: People, provider: &str, span: Duration) -> Result<Measured, CliError> {
    let pairs = people.tokens.len();
    let shared = Arc::new(Shared::default());
    let (signed_in, mut ready) = mpsc::channel(pairs.max(1));
    let (bridged, mut joined) = mpsc::channel(pairs.max(1));
    let begin = Instant::now();
    let mut parties: JoinSet<Result<Came, String>> = JoinSet::new();
    for (number, token) in people.tokens.into_iter().enumerate() {
        let agent = Agent {
            base: people.base.clone(),
            token: Secret::new(token),
            shared: shared.clone(),
            signed_in: signed_in.clone(),
            bridged: bridged.clone(),
        };
        let at = begin + RAMP * number as u32;
        parties.spawn(async move {
            sleep_until(at).await;
            agent.run().await
        });
    }
    drop((signed_in, bridged));
    wait_for(&mut ready, pairs, begin + RAMP * pairs as u32 + PATIENCE).await;
    let begin = Instant::now();
    for number in 0..pairs {
        let mut dial = Dial::new(&people.base, provider);
        dial.auth_token = Secret::new(SECRET.to_owned());
        let probe = (number < PROBES).then_some(number);
        parties.spawn(call(dial, begin + RAMP * number as u32, probe, shared.clone()));
    }
    let together = wait_for(&mut joined, pairs, begin + RAMP * pairs as u32 + PATIENCE).await;
    let counted_from = Instant::now() + SETTLE;
    let until = if together == pairs { counted_from + span } else { counted_from };
    let _ = shared.counted.set((counted_from, until)); // It is set here alone.
    sleep_until(counted_from).await;
    say("begin")?;
    sleep_until(until).await;
    say("full")?;
    let (mut late, mut missing) = (Vec::new(), 0);
    let expected = (until - counted_from).as_millis() as usize / Millis::FRAME.0 as usize;
    while let Some(done) = parties.join_next().await {
        let Ok(came) = done.map_err(|error| error.to_string()).and_then(|result| result) else {
            missing += expected;
            continue;
        };
        // One frame may be on its way, and one in the resamplers.
        missing += expected.saturating_sub(came.offsets.len() + 2);
        late.extend(came.lateness_ms());
    }
    let added = std::mem::take(&mut *shared.added_ms.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Measured {
        bridged: together,
        lateness_ms_p99: percentile(&late, 0.99),
        frames: late.len() + missing,
        missing,
        added_ms_p50: percentile(&added, 0.5),
        added_ms_p95: percentile(&added, 0.95),
        bursts: added.len(),
    })
}

async fn wait_for(came: &mut mpsc::Receiver<()>, wanted: usize, until: Instant) -> usize {
    for count in 0..wanted {
        match timeout_at(until, came.recv()).await {
            Ok(Some(())) => {}
            _ => return count,
        }
    }
    wanted
}

struct Agent {
    base: String,
    token: Secret<String>,
    shared: Arc<Shared>,
    signed_in: mpsc::Sender<()>,
    bridged: mpsc::Sender<()>,
}

impl Agent {
    /// Takes the one call there is for them.
    async fn run(self) -> Result<Came, String> {
        let mut socket = self.connect().await?;
        send(&mut socket, &FromAgent::SetState { state: AgentState::Available, code: None }).await?;
        let (mut voice, mut ear, mut came) = (Voice::faint(), Ear::default(), Came::default());
        let (mut available, mut connected, mut pair) = (false, false, None);
        let mut pace = interval(Millis::FRAME.duration());
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut ping = interval(PING);
        while self.shared.counted.get().is_none_or(|(_, until)| Instant::now() < *until) {
            tokio::select! {
                _ = pace.tick(), if connected => {
                    let (frame, begins) = voice.next();
                    if let Some(pair) = pair.filter(|_| begins) {
                        self.shared.by_agents.note(pair, Instant::now());
                    }
                    let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                    socket.send(Message::binary(bytes)).await.map_err(|error| error.to_string())?;
                }
                _ = ping.tick(), if !connected => send(&mut socket, &FromAgent::Ping { n: 1 }).await?,
                message = socket.next() => match message.ok_or("the server hung up")?.map_err(|error| error.to_string())? {
                    Message::Binary(bytes) => {
                        let now = Instant::now();
                        if let Some(counted) = self.shared.counted.get() {
                            came.note(now, *counted);
                        }
                        let pcm: Vec<i16> = bytes.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
                        let onset = ear.onset(&pcm);
                        if let (Some(pair), Some(into)) = (pair, onset) {
                            self.shared.heard(&self.shared.by_callers, pair, now, into);
                        }
                        if pair.is_none() && ear.hears_a_burst() {
                            pair = Ear::pair(&pcm);
                            if let Some(pair) = pair {
                                voice.bursts(pair);
                            }
                        }
                    }
                    Message::Text(text) => match serde_json::from_str::<ToAgent>(&text).map_err(|error| error.to_string())? {
                        ToAgent::Offer(offer) => send(&mut socket, &FromAgent::Accept { offer_id: offer.offer_id }).await?,
                        ToAgent::State { state: AgentState::Available, .. } if !available => {
                            available = true;
                            let _ = self.signed_in.send(()).await; // Nobody waits any more: as well.
                        }
                        ToAgent::Connected { .. } if !connected => {
                            connected = true;
                            pace.reset();
                            let _ = self.bridged.send(()).await; // As above.
                        }
                        _ => {}
                    },
                    _ => {}
                },
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
        let _ = socket.close(None).await;
        Ok(came)
    }

    async fn connect(&self) -> Result<Socket, String> {
        let url = format!("{}/agent/ws", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let token = format!("Bearer {}", self.token.expose());
        request.headers_mut().insert("authorization", token.parse().map_err(|_| "a token that is no header")?);
        let (socket, _) =
            connect_async_with_config(request, Some(small_reads()), true).await.map_err(|error| error.to_string())?;
        Ok(socket)
    }
}

async fn send(socket: &mut Socket, message: &FromAgent) -> Result<(), String> {
    let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
    socket.send(Message::text(text)).await.map_err(|error| error.to_string())
}

/// Calls, presses `0` and talks. `probe`: sends bursts of this pair's tone, and listens for the agent's.
async fn call(dial: Dial, begin: Instant, probe: Option<usize>, shared: Arc<Shared>) -> Result<Came, String> {
    sleep_until(begin).await;
    let Announced { request, mut dialect, .. } = announce(&dial).await.map_err(|error| error.to_string())?;
    let (mut socket, _) =
        connect_async_with_config(request, Some(small_reads()), true).await.map_err(|error| error.to_string())?;
    for message in dialect.hello() {
        socket.send(message).await.map_err(|error| error.to_string())?;
    }
    let (mut voice, mut ear, mut came, mut sent) = (Voice::faint(), Ear::default(), Came::default(), 0u64);
    let mut pace = interval_at(Instant::now(), Millis::FRAME.duration());
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let counted = shared.counted.get().copied();
        if counted.is_some_and(|(_, until)| Instant::now() >= until) {
            break;
        }
        let mut out = Vec::new();
        tokio::select! {
            _ = pace.tick() => {
                let (frame, begins) = voice.next();
                out = dialect.audio(frame);
                if let Some(pair) = probe.filter(|_| begins) {
                    shared.by_callers.note(pair, Instant::now());
                }
                sent += 1;
                if sent == PRESSES_AT {
                    out.extend(dialect.dtmf(Digit::new('0').ok_or("a key")?));
                }
            }
            message = socket.next() => {
                let message = message.ok_or("the server hung up")?.map_err(|error| error.to_string())?;
                let now = Instant::now();
                match counted {
                    Some(counted) if carries_audio(&message) => {
                        came.note(now, counted);
                        if let Some(pair) = probe {
                            for pcm in sound(dialect.as_mut(), message, &mut out) {
                                if let Some(into) = ear.onset(&pcm) {
                                    shared.heard(&shared.by_agents, pair, now, into);
                                }
                            }
                        }
                    }
                    Some((from, _)) if now >= from => {}
                    // Marks are reached at once: nobody listens to the assistant here.
                    _ => drop(sound(dialect.as_mut(), message, &mut out)),
                }
            }
        }
        // Bursts begin once all are joined: before, they could come into the assistant's words.
        if let (Some(pair), Some(_), false) = (probe, counted, voice.is_bursting()) {
            voice.bursts(pair);
        }
        for message in out {
            socket.send(message).await.map_err(|error| error.to_string())?;
        }
    }
    for message in dialect.goodbye() {
        let _ = socket.send(message).await; // It is over.
    }
    let _ = socket.close(None).await;
    Ok(came)
}

/// The sound in a message. What has to be answered goes to `out`.
fn sound(dialect: &mut dyn Dialect, message: Message, out: &mut Vec<Message>) -> Vec<Vec<i16>> {
    let mut heard = Vec::new();
    for incoming in dialect.read(message) {
        match incoming {
            Incoming::Audio(pcm) => heard.push(pcm),
            Incoming::Mark(name) => out.extend(dialect.mark(&name, false)),
            Incoming::Clear => out.extend(dialect.cleared()),
            Incoming::Reply(message) => out.push(message),
            _ => {}
        }
    }
    heard
}

/// Told cheaply: what is in it costs the callers' core, which is not what is measured.
fn carries_audio(message: &Message) -> bool {
    match message {
        Message::Binary(_) => true,
        Message::Text(text) => text.len() > 160 && text.contains("\"payload\""),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_late_against_the_quickest_of_its_party() {
        let begin = Instant::now();
        let counted = (begin, begin + Duration::from_millis(100));
        let mut came = Came::default();
        for ms in [5u64, 25, 60, 65, 100] {
            came.note(begin + Duration::from_millis(ms), counted);
        }
        let late: Vec<i64> = came.lateness_ms().map(|ms| ms.round() as i64).collect();
        assert_eq!(late, [0, 0, 15, 0], "the last one came when it no longer counted");
    }
}
