//! An agent at a socket of `docs/agent-protocol.md`, who answers offers, talks in a tone of their own, and has accidents.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::ground::{Board, CALLER_HZ, Where, agent_hz, draw, share, tone, within};
use crate::handoff::wire::{AgentState, FromAgent, ToAgent};
use crate::telemetry::Secret;

/// How long somebody may take to be available again once all is quiet.
const QUIET: Duration = Duration::from_secs(20);
/// How long a tab stays closed: shorter and longer than the server waits.
const AWAY_MS: (u64, u64) = (300, 4_000);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Who.
pub(super) struct Agent {
    pub base: String,
    pub token: Secret<String>,
    /// Number, and tone.
    pub number: usize,
    pub seed: u64,
    pub board: Board,
    /// Accidents happen.
    pub faults: bool,
    /// True once no more callers come.
    pub over: watch::Receiver<bool>,
}

/// What befalls an agent with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The tab is closed while the offer rings.
    KilledWhileOffered,
    ReloadedWhileOffered,
    KilledAfterAccept,
    ReloadedAfterAccept,
    KilledOnTheCall,
    ReloadedOnTheCall,
    KilledInWrapUp,
    ReloadedInWrapUp,
    /// Accepts and never sends a frame.
    NoSound,
    AcceptsTwice,
    Declines,
    Ignores,
    Leaves,
    Ends,
    /// Does nothing but to be there: the offer answers itself, for those who agreed to that.
    LetsItAnswer,
}

impl Fault {
    /// Of a hundred offers, more than half go well.
    fn drawn(chance: f64) -> Self {
        match (chance * 100.0) as u32 {
            0..=1 => Self::KilledWhileOffered,
            2..=3 => Self::ReloadedWhileOffered,
            4..=6 => Self::KilledAfterAccept,
            7..=9 => Self::ReloadedAfterAccept,
            10..=13 => Self::KilledOnTheCall,
            14..=17 => Self::ReloadedOnTheCall,
            18..=19 => Self::KilledInWrapUp,
            20..=21 => Self::ReloadedInWrapUp,
            22..=23 => Self::NoSound,
            24..=29 => Self::AcceptsTwice,
            30..=32 => Self::Declines,
            33..=34 => Self::Ignores,
            35..=36 => Self::Leaves,
            37..=46 => Self::Ends,
            47..=54 => Self::LetsItAnswer,
            _ => Self::None,
        }
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::KilledWhileOffered => "agent_killed_while_offered",
            Self::ReloadedWhileOffered => "agent_reloaded_while_offered",
            Self::KilledAfterAccept => "agent_killed_after_accept",
            Self::ReloadedAfterAccept => "agent_reloaded_after_accept",
            Self::KilledOnTheCall => "agent_killed_on_the_call",
            Self::ReloadedOnTheCall => "agent_reloaded_on_the_call",
            Self::KilledInWrapUp => "agent_killed_in_wrap_up",
            Self::ReloadedInWrapUp => "agent_reloaded_in_wrap_up",
            Self::NoSound => "agent_without_sound",
            Self::AcceptsTwice => "agent_accepts_twice",
            Self::Declines => "agent_declines",
            Self::Ignores => "agent_ignores",
            Self::Leaves => "agent_leaves_while_offered",
            Self::Ends => "agent_ends",
            Self::LetsItAnswer => "agent_lets_it_answer",
        })
    }
}

/// Does this when its time comes.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    Send(Vec<FromAgent>),
    /// Drops the socket as a crash would; comes back at once, or later.
    Drop {
        away: Duration,
    },
}

/// Why a session ended.
enum Gone {
    /// Drops out for so long.
    For(Duration),
    /// All is quiet and the agent is available: done.
    Done,
    /// All is quiet and the agent is not available.
    Stuck(String),
}

impl Agent {
    /// Works until everything is over. What they were stuck in, if they were.
    pub async fn run(mut self) -> Result<Option<String>, String> {
        let mut life = Life { offers: 0, fault: Fault::None, speaks: true, state: AgentState::Offline, call: None };
        let mut began_well = false;
        loop {
            let socket = match self.connect().await {
                Ok(socket) => socket,
                Err(error) if !began_well => return Err(error),
                Err(_) => {
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            began_well = true;
            match self.session(socket, &mut life).await {
                Gone::For(away) => {
                    self.board.left(self.number, Instant::now());
                    sleep(away).await;
                }
                Gone::Done => return Ok(None),
                Gone::Stuck(why) => return Ok(Some(why)),
            }
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let url = format!("{}/agent/ws", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let token = format!("Bearer {}", self.token.expose());
        request.headers_mut().insert("authorization", token.parse().map_err(|_| "a token that is no header")?);
        let (socket, _) = connect_async_with_config(request, None, true).await.map_err(|error| error.to_string())?;
        Ok(socket)
    }

    fn draw(&self, what: u64, nth: u64) -> f64 {
        draw(self.seed, what, self.number as u64, nth)
    }

    async fn session(&mut self, mut socket: Socket, life: &mut Life) -> Gone {
        let frame =
            Message::binary(tone(agent_hz(self.number)).iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>());
        let mut pace = interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Half of them agree that offers answer themselves, each time they connect.
        let agrees = FromAgent::AutoAnswer { on: self.faults && self.number.is_multiple_of(2) };
        let available = FromAgent::SetState { state: AgentState::Available, code: None };
        let mut plans: Vec<(Instant, Plan)> = vec![(Instant::now(), Plan::Send(vec![agrees, available]))];
        let mut ping = interval(Duration::from_secs(5));
        let mut quiet_since = None;
        loop {
            let next = plans.iter().map(|(at, _)| *at).min();
            let over = *self.over.borrow();
            if over {
                let since = *quiet_since.get_or_insert_with(Instant::now);
                if life.state == AgentState::Available && plans.is_empty() && since.elapsed() > Duration::from_secs(2) {
                    return Gone::Done;
                }
                if since.elapsed() > QUIET {
                    return Gone::Stuck(format!("agent {} is still {}", self.number, life.state.as_str()));
                }
            }
            tokio::select! {
                biased;
                _ = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let at = plans.iter().position(|(at, _)| Some(*at) == next).unwrap_or(0);
                    match plans.remove(at).1 {
                        Plan::Drop { away } => return Gone::For(away),
                        Plan::Send(messages) => for message in messages {
                            if matches!(message, FromAgent::Accept { .. }) {
                                self.board.see().accepted.get_or_insert_with(Instant::now);
                            }
                            if self.send(&mut socket, &message).await.is_err() {
                                return Gone::For(Duration::from_millis(300));
                            }
                        }
                    }
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str::<ToAgent>(&text) {
                        Ok(message) => self.take(message, life, &mut plans),
                        Err(error) => return Gone::Stuck(format!("unreadable message: {error}")),
                    },
                    Some(Ok(Message::Binary(bytes))) => self.hear(&bytes),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Gone::For(Duration::from_millis(300)),
                },
                _ = pace.tick(), if life.call.is_some() && life.speaks => {
                    if socket.send(frame.clone()).await.is_err() {
                        return Gone::For(Duration::from_millis(300));
                    }
                }
                _ = ping.tick() => {
                    if self.send(&mut socket, &FromAgent::Ping { n: 1 }).await.is_err() {
                        return Gone::For(Duration::from_millis(300));
                    }
                }
                _ = sleep(Duration::from_millis(200)) => {}
            }
        }
    }

    async fn send(&self, socket: &mut Socket, message: &FromAgent) -> Result<(), ()> {
        let text = serde_json::to_string(message).map_err(|_| ())?;
        socket.send(Message::text(text)).await.map_err(|_| ())
    }

    fn hear(&self, bytes: &[u8]) {
        let pcm: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let mut seen = self.board.see();
        if seen.agent_heard.is_none() && share(&pcm, CALLER_HZ) > 0.3 {
            seen.agent_heard = Some(Instant::now());
        }
    }

    fn take(&mut self, message: ToAgent, life: &mut Life, plans: &mut Vec<(Instant, Plan)>) {
        let now = Instant::now();
        let mut plan = |after: Duration, plan: Plan| plans.push((now + after, plan));
        let nth = life.offers;
        let kill = |agent: &Self| Plan::Drop { away: within(AWAY_MS.0, AWAY_MS.1, agent.draw(3, nth)) };
        let reload = Plan::Drop { away: Duration::ZERO };
        let soon = within(0, 500, self.draw(4, nth));
        match message {
            ToAgent::Offer(offer) => {
                self.board.see().offered.get_or_insert(now);
                self.board.passes(Where::Offered);
                life.offers += 1;
                life.fault = Fault::None;
                let calm = *self.over.borrow() || !self.faults;
                if !calm {
                    life.fault = Fault::drawn(self.draw(1, life.offers));
                }
                if let Some(name) = life.fault.name() {
                    self.board.fault(name);
                }
                life.speaks = life.fault != Fault::NoSound;
                let after = if self.faults { within(20, 300, self.draw(2, life.offers)) } else { Duration::ZERO };
                let accept = FromAgent::Accept { offer_id: offer.offer_id };
                match life.fault {
                    Fault::KilledWhileOffered => plan(after, kill(self)),
                    Fault::ReloadedWhileOffered => plan(after, reload),
                    Fault::Ignores => {}
                    Fault::LetsItAnswer => plan(after, Plan::Send(vec![FromAgent::Ping { n: 0 }])),
                    Fault::Declines => {
                        plan(after, Plan::Send(vec![FromAgent::Reject { offer_id: offer.offer_id, reason: None }]));
                    }
                    Fault::Leaves => {
                        plan(after, Plan::Send(vec![FromAgent::SetState { state: AgentState::Break, code: None }]));
                        let back = FromAgent::SetState { state: AgentState::Available, code: None };
                        plan(after + Duration::from_secs(1), Plan::Send(vec![back]));
                    }
                    Fault::AcceptsTwice => plan(after, Plan::Send(vec![accept.clone(), accept])),
                    Fault::KilledAfterAccept | Fault::ReloadedAfterAccept => {
                        plan(after, Plan::Send(vec![accept]));
                        let drop = if life.fault == Fault::KilledAfterAccept { kill(self) } else { reload };
                        plan(after + within(0, 150, self.draw(5, nth)), drop);
                    }
                    _ => plan(after, Plan::Send(vec![accept])),
                }
            }
            ToAgent::Connected { call_id, .. } => {
                let call = call_id.to_string();
                self.board.joined(self.number, &call, now);
                self.board.passes(Where::Bridged);
                life.call = Some(call);
                match life.fault {
                    Fault::KilledOnTheCall => plan(soon, kill(self)),
                    Fault::ReloadedOnTheCall => plan(soon, reload),
                    Fault::Ends => plan(soon, Plan::Send(vec![FromAgent::End])),
                    _ => {}
                }
                if matches!(life.fault, Fault::KilledOnTheCall | Fault::ReloadedOnTheCall | Fault::Ends) {
                    life.fault = Fault::None; // Once.
                }
            }
            ToAgent::CallEnded { call_id, .. } => {
                life.call = None;
                self.board.left(self.number, now);
                let done = FromAgent::WrapUp { call_id, note: String::new(), disposition: "resolved".to_owned() };
                match life.fault {
                    Fault::KilledInWrapUp => plan(soon, kill(self)),
                    Fault::ReloadedInWrapUp => plan(soon, reload),
                    _ => plan(within(0, 200, self.draw(6, nth)), Plan::Send(vec![done])),
                }
                life.fault = Fault::None;
            }
            ToAgent::State { state, next, .. } => {
                life.state = state;
                if state != AgentState::OnContact && life.call.take().is_some() {
                    // The caller went to somebody else while this agent was silent or away.
                    self.board.left(self.number, now);
                }
                match state {
                    AgentState::Missed | AgentState::Error => {
                        plan(within(50, 400, self.draw(7, nth)), Plan::Send(vec![FromAgent::AcknowledgeMissed]));
                    }
                    AgentState::Offline if next.is_none() => {
                        let back = FromAgent::SetState { state: AgentState::Available, code: None };
                        plan(Duration::from_millis(100), Plan::Send(vec![back]));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

struct Life {
    offers: u64,
    fault: Fault,
    speaks: bool,
    state: AgentState,
    /// Connected with.
    call: Option<String>,
}
