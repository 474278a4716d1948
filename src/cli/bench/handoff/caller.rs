//! A caller who presses `0`, waits, talks in a tone, and hangs up when it was decided: in a browser tab, which shows what is said,
//! or at a telephone, whose provider brings the call back when the server was killed under it.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::ground::{Board, CALLER_HZ, Where, agent_hz, draw, share, tone, within};
use super::restart::http;
use crate::cli::call::dialect::{Announced, Dialect, Incoming, announce};
use crate::cli::call::player::Dial;
use crate::telemetry::Secret;
use crate::telephony::protocol::{Caption, Digit, Speaker};
use crate::telephony::signature::{TWILIO_HEADER, sign_twilio};

/// A caller who is with nobody after this long is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Older than this a wish is on record, also on a busy machine.
const WRITTEN: Duration = Duration::from_millis(1_500);
/// Between tries to reach a server that is being started.
const RETRIES: Duration = Duration::from_millis(200);
/// How long a socket is tried for before the server is asked again.
const ASKS_AGAIN: Duration = Duration::from_secs(4);
/// Whoever would have hung up within this after the line went dead is not brought back.
const GOES_AWAY: Duration = Duration::from_millis(500);
/// After which somebody whose line broke presses `0` once more.
const PRESSES_AGAIN: Duration = Duration::from_millis(1_500);
/// Frames of an agent's voice that make a conversation.
const CONVERSATION: usize = 15;

/// When a caller hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HangsUp {
    /// After the conversation.
    Served,
    /// Before pressing `0`.
    Greeting,
    /// So long after pressing `0`: in the queue, or while it rings.
    Waiting(Duration),
    /// As soon as the agent is announced.
    Introduced,
    /// So long after they are joined.
    Joined(Duration),
    /// When the agent is lost.
    AgentLost,
}

impl HangsUp {
    /// Half of the callers are served; the others hang up in every state there is.
    pub fn drawn(seed: u64, run: u64) -> Self {
        let after = |high| within(0, high, draw(seed, 21, run, 1));
        match (draw(seed, 20, run, 0) * 100.0) as u32 {
            0..=3 => Self::Greeting,
            4..=17 => Self::Waiting(after(700)),
            18..=27 => Self::Introduced,
            28..=39 => Self::Joined(after(400)),
            40..=44 => Self::AgentLost,
            _ => Self::Served,
        }
    }

    /// As far as a telephone shows anything: nobody there reads who is announced or lost.
    pub fn at_a_telephone(self) -> Self {
        match self {
            Self::Introduced => Self::Waiting(Duration::from_millis(300)),
            Self::AgentLost => Self::Served,
            other => other,
        }
    }

    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Served => return None,
            Self::Greeting => "caller_leaves_greeting",
            Self::Waiting(_) => "caller_leaves_waiting",
            Self::Introduced => "caller_leaves_introduction",
            Self::Joined(_) => "caller_leaves_joined",
            Self::AgentLost => "caller_leaves_agent_lost",
        })
    }
}

/// How it ended for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Talked with a person.
    Served,
    /// Hung up as decided.
    HungUp,
    /// Neither: what the caller last heard.
    Lost(String),
}

/// Who.
pub(super) struct Caller {
    pub dial: Dial,
    pub hangs_up: HangsUp,
    pub agents: usize,
    pub board: Board,
    /// Waits so long before pressing `0`.
    pub presses_after: Duration,
}

struct Line {
    dialect: Box<dyn Dialect>,
    /// Sound to be played, and marks in it.
    queue: VecDeque<Queued>,
    heard_frames: usize,
    last: String,
    joined: bool,
    presses_at: Option<Instant>,
    pressed_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    patience: Instant,
}

enum Queued {
    Sound(usize),
    Mark(String),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Caller {
    /// Calls; and again, or is brought back, when the server was killed meanwhile.
    pub async fn run(mut self) -> Result<Ending, String> {
        let began = Instant::now();
        let greeting = self.hangs_up == HangsUp::Greeting;
        let first = began + self.presses_after;
        let (mut socket, dialect, mut kills) = self.connect(began + PATIENCE).await?;
        let mut line = Line {
            dialect,
            queue: VecDeque::new(),
            heard_frames: 0,
            last: String::new(),
            joined: false,
            presses_at: (!greeting).then_some(first),
            pressed_at: None,
            hang_up_at: greeting.then_some(first),
            patience: began + PATIENCE,
        };
        let mut refused = false;
        loop {
            if let Some(ending) = self.visit(socket, &mut line).await? {
                return Ok(ending);
            }
            // The line is dead, and nobody said goodbye.
            let broke_at = Instant::now();
            let hung_up = kills.is_multiple_of(2) && self.board.see().kills == kills;
            if line.heard_frames >= CONVERSATION || hung_up && line.joined && line.heard_frames > 0 {
                return Ok(Ending::Served);
            }
            // A provider asks what comes next whoever ended the stream: a server that was killed twice knows the call, and not
            // the token of the one between. Once: else it was a server that lives.
            if hung_up && (self.dial.provider != "twilio" || std::mem::replace(&mut refused, true)) {
                return Ok(Ending::Lost(format!("the server hung up after: {}", line.last)));
            }
            line.patience = broke_at + PATIENCE;
            if line.hang_up_at.is_some_and(|at| at <= broke_at + GOES_AWAY) {
                return Ok(Ending::HungUp); // Before the line was up again.
            }
            let on_record = hung_up || line.pressed_at.is_some_and(|at| at + WRITTEN < broke_at);
            (socket, line.dialect, kills) = loop {
                match self.is_brought_back(line.patience).await? {
                    Some(token) => self.dial.token = Some(token),
                    None if on_record && self.dial.provider == "twilio" => {
                        return Ok(Ending::Lost("not let back in after the server was killed".to_owned()));
                    }
                    // A browser has nobody who brings it back; or the call was too young to be known.
                    None => {
                        let again = self.dial.call_id.take().map(|id| format!("{id}0"));
                        (self.dial.token, self.dial.call_id) = (None, again);
                    }
                }
                // Killed once more meanwhile, the server knows nothing of the token: it is asked again.
                match self.connect(line.patience.min(Instant::now() + ASKS_AGAIN)).await {
                    Err(_) if Instant::now() < line.patience => {}
                    connected => break connected?,
                }
            };
            let how = if self.dial.token.is_some() { "caller_brought_back" } else { "caller_called_again" };
            self.board.fault(how);
            line.queue.clear();
            (line.heard_frames, line.joined) = (0, false);
            // Whoever had pressed already presses again: they can't know whether anybody noticed.
            let again = Instant::now() + PRESSES_AGAIN;
            line.presses_at = Some(line.presses_at.map_or(again, |at| at.max(again))).filter(|_| !greeting);
        }
    }

    /// A socket of a call, new or brought back; the server may be on its way up. With what was known of its deaths before.
    async fn connect(&self, by: Instant) -> Result<(Socket, Box<dyn Dialect>, usize), String> {
        loop {
            let kills = self.board.see().kills;
            match self.try_to_connect().await {
                Err(_) if Instant::now() < by && self.board.see().kills > 0 => sleep(RETRIES).await,
                result => return result.map(|(socket, dialect)| (socket, dialect, kills)),
            }
        }
    }

    async fn try_to_connect(&self) -> Result<(Socket, Box<dyn Dialect>), String> {
        let Announced { request, mut dialect, .. } = announce(&self.dial).await.map_err(|error| error.to_string())?;
        let (mut socket, _) =
            connect_async_with_config(request, None, true).await.map_err(|error| error.to_string())?;
        for message in dialect.hello() {
            socket.send(message).await.map_err(|error| error.to_string())?;
        }
        Ok((socket, dialect))
    }

    /// The provider asks what comes next, until there is somebody to ask. A token: bring them back.
    async fn is_brought_back(&self, by: Instant) -> Result<Option<Secret<String>>, String> {
        if self.dial.provider != "twilio" {
            return Ok(None);
        }
        let call = self.dial.call_id.clone().unwrap_or_default();
        loop {
            match after(&self.dial, &call).await {
                Err(_) if Instant::now() < by => sleep(RETRIES).await,
                result => return result,
            }
        }
    }

    /// Until it is over; `None`: the line is dead.
    async fn visit(&self, socket: Socket, line: &mut Line) -> Result<Option<Ending>, String> {
        let (mut write, mut read) = socket.split();
        let frame = tone(CALLER_HZ);
        let mut pace = interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut out = Vec::new();
            let (patience, presses_at, hang_up_at) = (line.patience, line.presses_at, line.hang_up_at);
            tokio::select! {
                biased;
                () = sleep_until(patience) => {
                    return Ok(Some(Ending::Lost(format!("out of patience after: {}", line.last))));
                }
                () = sleep_until(hang_up_at.unwrap_or(patience)), if hang_up_at.is_some() => {
                    for message in line.dialect.goodbye() {
                        let _ = write.send(message).await; // The server may have been quicker.
                    }
                    let _ = write.close().await;
                    let served = line.heard_frames >= CONVERSATION;
                    return Ok(Some(if served { Ending::Served } else { Ending::HungUp }));
                }
                () = sleep_until(presses_at.unwrap_or(patience)), if presses_at.is_some() => {
                    line.presses_at = None;
                    let now = Instant::now();
                    line.pressed_at.get_or_insert(now);
                    self.board.see().pressed = Some(now);
                    self.board.passes(Where::Waiting);
                    out = line.dialect.dtmf(Digit::new('0').ok_or("a key")?);
                    if let HangsUp::Waiting(after) = self.hangs_up {
                        line.hang_up_at = Some(now + after);
                    }
                }
                message = read.next() => match message {
                    Some(Ok(message)) => for incoming in line.dialect.read(message) {
                        self.take(incoming, line, &mut out)?;
                    },
                    Some(Err(_)) | None => return Ok(None),
                },
                _ = pace.tick() => {
                    line.play(&mut out);
                    out.extend(line.dialect.audio(&frame));
                }
            }
            for message in out {
                if write.send(message).await.is_err() {
                    break; // Reading says how it ended.
                }
            }
        }
    }

    fn joined(&self, line: &mut Line, now: Instant) {
        line.joined = true;
        if let HangsUp::Joined(after) = self.hangs_up {
            line.hang_up_at.get_or_insert(now + after);
        }
    }

    fn take(
        &self,
        incoming: Incoming,
        line: &mut Line,
        out: &mut Vec<tokio_tungstenite::tungstenite::Message>,
    ) -> Result<(), String> {
        let now = Instant::now();
        match incoming {
            Incoming::Audio(pcm) => {
                let heard: Vec<usize> = (0..self.agents).filter(|agent| share(&pcm, agent_hz(*agent)) > 0.3).collect();
                if heard.len() > 1 {
                    self.board.see().double_bridges.push(format!("a caller hears {heard:?} at once"));
                }
                if !heard.is_empty() {
                    line.heard_frames += 1;
                    self.joined(line, now);
                    self.board.see().caller_heard.get_or_insert(now);
                    if line.heard_frames >= CONVERSATION && self.hangs_up == HangsUp::Served {
                        line.hang_up_at.get_or_insert(now + Duration::from_millis(100));
                    }
                }
                line.queue.push_back(Queued::Sound(pcm.len()));
            }
            Incoming::Mark(name) => line.queue.push_back(Queued::Mark(name)),
            Incoming::Clear => {
                for one in std::mem::take(&mut line.queue) {
                    if let Queued::Mark(name) = one {
                        out.extend(line.dialect.mark(&name, true));
                    }
                }
                out.extend(line.dialect.cleared());
            }
            Incoming::Caption(Caption { who: Speaker::Agent, .. }) => {
                self.joined(line, now);
            }
            Incoming::Caption(Caption { who: Speaker::Assistant, text, .. }) => {
                if text.contains("putting you through") && self.hangs_up == HangsUp::Introduced {
                    line.hang_up_at.get_or_insert(now);
                }
                if text.contains("broke off") {
                    line.joined = false;
                    if self.hangs_up == HangsUp::AgentLost {
                        line.hang_up_at.get_or_insert(now);
                    }
                }
                line.last = text;
            }
            Incoming::Reply(message) => out.push(message),
            Incoming::Unknown(what) => return Err(format!("a message that is none: {what}")),
            _ => {}
        }
        // Who would hang up when the agent is lost and does not lose one, talks and goes.
        if self.hangs_up == HangsUp::AgentLost && line.heard_frames >= CONVERSATION * 4 {
            line.hang_up_at.get_or_insert(now);
        }
        Ok(())
    }
}

/// What the provider is told when it asks how a call goes on: a token for another stream, or nothing.
async fn after(dial: &Dial, call: &str) -> Result<Option<Secret<String>>, String> {
    let url = format!("{}/voice/twilio/after", dial.base);
    let form = [("CallSid", call), ("CallStatus", "in-progress"), ("From", &dial.from), ("To", &dial.to)];
    let owned: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http()?.post(&url).header("content-type", "application/x-www-form-urlencoded").body(body);
    let signature = sign_twilio(dial.auth_token.expose(), &url, &owned);
    let response = request.header(TWILIO_HEADER, signature).send().await.map_err(|error| error.to_string())?;
    let document = response.text().await.map_err(|error| error.to_string())?;
    let token = document.split_once("name=\"token\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
    Ok(token.map(|(token, _)| Secret::new(token.to_owned())))
}

impl Line {
    /// 20 ms are heard, with the marks that are reached.
    fn play(&mut self, out: &mut Vec<tokio_tungstenite::tungstenite::Message>) {
        let mut left = 320;
        while let Some(front) = self.queue.front_mut() {
            match front {
                Queued::Mark(name) => {
                    out.extend(self.dialect.mark(name, false));
                    self.queue.pop_front();
                }
                Queued::Sound(samples) if *samples <= left => {
                    left -= *samples;
                    self.queue.pop_front();
                }
                Queued::Sound(samples) => {
                    *samples -= left;
                    break;
                }
            }
        }
    }
}
