//! An agent of the simulated desk, at a socket of `docs/agent-protocol.md`: takes offers, talks, writes a note, has breaks, and
//! now and then declines or is not there.

use std::f32::consts::TAU;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::day::{self, Scale};
use crate::audio::units::{Millis, SampleRate};
use crate::handoff::wire::{AgentState, FromAgent, ToAgent};
use crate::telemetry::Secret;

/// An agent's voice: high, so that a caller knows it from the assistant's and from hold music.
const VOICE_HZ: f32 = 2_800.0;
/// Between breaks, and how long one is.
const WORK: Duration = Duration::from_secs(2 * 3_600);
const BREAK: Duration = Duration::from_secs(20 * 60);
/// Between an offer and its answer.
const THINKS: (u64, u64) = (5, 45);
/// How long a note takes.
const WRITES: Duration = Duration::from_secs(60);
/// A second of the clock is the least that a caller may be talked with.
const SHORTEST: Duration = Duration::from_millis(1_200);
const NOTES: [&str; 5] = [
    "Answered from the order.",
    "Refund started.",
    "Sent the form by e-mail.",
    "Explained the delivery.",
    "Complaint taken.",
];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One person.
pub(super) struct Agent {
    base: String,
    token: Secret<String>,
    scale: Scale,
    over: watch::Receiver<bool>,
    chance: StdRng,
    /// When the next break begins.
    tired_at: Instant,
    plans: Vec<(Instant, FromAgent)>,
    dispositions: Vec<String>,
    talking: bool,
}

impl Agent {
    pub fn new(
        base: String,
        token: Secret<String>,
        number: u32,
        seed: u64,
        scale: Scale,
        over: watch::Receiver<bool>,
    ) -> Self {
        let mut chance = StdRng::seed_from_u64(seed ^ (u64::from(number) << 32));
        let tired_at = Instant::now() + scale.real(WORK.mul_f64(0.3 + chance.random::<f64>()));
        Self { base, token, scale, over, chance, tired_at, plans: Vec::new(), dispositions: Vec::new(), talking: false }
    }

    /// Works until the desk closes.
    pub async fn run(mut self) {
        while !*self.over.borrow() {
            if let Err(error) = self.shift().await {
                tracing::debug!(%error, "A simulated agent lost the connection");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }

    async fn shift(&mut self) -> Result<(), tungstenite::Error> {
        let mut request = format!("{}/agent/ws", self.base.replacen("http", "ws", 1)).into_client_request()?;
        let token = format!("Bearer {}", self.token.expose());
        request.headers_mut().insert("authorization", token.parse().map_err(tungstenite::http::Error::from)?);
        let (mut socket, _) = connect_async_with_config(request, None, true).await?;
        let voice = Message::binary(voice().iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>());
        let mut frames = interval(Millis::FRAME.duration());
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pings = interval(Duration::from_secs(5));
        self.plans = vec![(Instant::now(), FromAgent::SetState { state: AgentState::Available, code: None })];
        self.talking = false;
        loop {
            let next = self.plans.iter().map(|(at, _)| *at).min();
            tokio::select! {
                biased;
                _ = self.over.changed() => return socket.close(None).await,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let due = self.plans.iter().position(|(at, _)| Some(*at) == next).unwrap_or(0);
                    let (_, message) = self.plans.swap_remove(due);
                    send(&mut socket, &message).await?;
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                        Ok(message) => self.take(message),
                        Err(error) => tracing::debug!(%error, "A message the simulated agent does not know"),
                    },
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Err(tungstenite::Error::ConnectionClosed),
                },
                _ = frames.tick(), if self.talking => socket.send(voice.clone()).await?,
                _ = pings.tick() => send(&mut socket, &FromAgent::Ping { n: 1 }).await?,
            }
        }
    }

    fn plan(&mut self, after: Duration, message: FromAgent) {
        self.plans.push((Instant::now() + after, message));
    }

    fn take(&mut self, message: ToAgent) {
        match message {
            ToAgent::Hello { dispositions, .. } => self.dispositions = dispositions,
            ToAgent::Offer(offer) => {
                let thinks = Duration::from_secs(self.chance.random_range(THINKS.0..=THINKS.1));
                let after = self.scale.real(thinks).max(Duration::from_millis(300));
                match self.chance.random_range(0..100) {
                    0..3 => {} // Away from the desk.
                    3..7 => self.plan(after, FromAgent::Reject { offer_id: offer.offer_id, reason: None }),
                    _ => self.plan(after, FromAgent::Accept { offer_id: offer.offer_id }),
                }
            }
            ToAgent::Connected { .. } => {
                self.talking = true;
                let talk = self.scale.real(day::talk(&mut self.chance)).max(SHORTEST);
                self.plan(talk, FromAgent::End);
            }
            ToAgent::CallEnded { call_id, .. } => {
                self.talking = false;
                self.plans.retain(|(_, message)| *message != FromAgent::End);
                let note = NOTES[self.chance.random_range(0..NOTES.len())].to_owned();
                // Most are resolved, which is the first of the list.
                let choices = self.dispositions.len();
                let which = if choices > 1 && self.chance.random_range(0..4) == 0 {
                    self.chance.random_range(1..choices)
                } else {
                    0
                };
                let disposition = self.dispositions.get(which).cloned().unwrap_or_default();
                let writes = self.scale.real(WRITES.mul_f64(0.5 + self.chance.random::<f64>()));
                self.plan(writes, FromAgent::WrapUp { call_id, note, disposition });
                if Instant::now() >= self.tired_at {
                    self.plan(Duration::ZERO, FromAgent::SetState { state: AgentState::Break, code: None });
                }
            }
            ToAgent::State { state: AgentState::Missed | AgentState::Error, .. } => {
                self.plan(self.scale.real(Duration::from_secs(90)), FromAgent::AcknowledgeMissed);
            }
            ToAgent::State { state: AgentState::Break, .. } => {
                let rest = self.scale.real(BREAK.mul_f64(0.5 + self.chance.random::<f64>()));
                self.tired_at =
                    Instant::now() + rest + self.scale.real(WORK.mul_f64(0.7 + 0.6 * self.chance.random::<f64>()));
                self.plan(rest, FromAgent::SetState { state: AgentState::Available, code: None });
            }
            ToAgent::State { state: AgentState::Offline, next: None, .. } => {
                self.plan(Duration::from_millis(200), FromAgent::SetState { state: AgentState::Available, code: None });
            }
            _ => {}
        }
    }
}

async fn send(socket: &mut Socket, message: &FromAgent) -> Result<(), tungstenite::Error> {
    let text = serde_json::to_string(message).unwrap_or_default();
    socket.send(Message::text(text)).await
}

/// 20 ms of an agent's voice.
fn voice() -> Vec<i16> {
    let step = TAU * VOICE_HZ / SampleRate::WIDEBAND.0 as f32;
    (0..SampleRate::WIDEBAND.samples_in(Millis::FRAME)).map(|n| (5_000.0 * (step * n as f32).sin()) as i16).collect()
}

/// Whether an agent speaks in what was heard lately.
pub(super) fn is_heard(pcm: &[i16]) -> bool {
    super::town::share(pcm, VOICE_HZ) > 0.3
}
