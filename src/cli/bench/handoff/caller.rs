//! A caller in a browser tab who presses `0`, waits, talks in a tone, and hangs up when it was decided.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::connect_async_with_config;

use super::ground::{Board, CALLER_HZ, agent_hz, draw, share, tone, within};
use crate::cli::call::dialect::{Announced, Dialect, Incoming, announce};
use crate::cli::call::player::Dial;
use crate::telephony::protocol::{Caption, Digit, Speaker};

/// A caller who is with nobody after this long is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
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
    hang_up_at: Option<Instant>,
}

enum Queued {
    Sound(usize),
    Mark(String),
}

impl Caller {
    /// Calls.
    pub async fn run(self) -> Result<Ending, String> {
        let Announced { request, mut dialect, .. } = announce(&self.dial).await.map_err(|error| error.to_string())?;
        let (socket, _) = connect_async_with_config(request, None, true).await.map_err(|error| error.to_string())?;
        let (mut write, mut read) = socket.split();
        for message in dialect.hello() {
            write.send(message).await.map_err(|error| error.to_string())?;
        }
        let mut line = Line {
            dialect,
            queue: VecDeque::new(),
            heard_frames: 0,
            last: String::new(),
            joined: false,
            hang_up_at: None,
        };
        let began = Instant::now();
        let mut presses_at = (self.hangs_up != HangsUp::Greeting).then(|| began + self.presses_after);
        if self.hangs_up == HangsUp::Greeting {
            line.hang_up_at = Some(began + self.presses_after);
        }
        let frame = tone(CALLER_HZ);
        let mut pace = interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = began + PATIENCE;
        loop {
            let mut out = Vec::new();
            tokio::select! {
                biased;
                () = sleep_until(patience) => return Ok(Ending::Lost(format!("out of patience after: {}", line.last))),
                () = sleep_until(line.hang_up_at.unwrap_or(patience)), if line.hang_up_at.is_some() => {
                    for message in line.dialect.goodbye() {
                        let _ = write.send(message).await; // The server may have been quicker.
                    }
                    let _ = write.close().await;
                    let served = line.heard_frames >= CONVERSATION;
                    return Ok(if served { Ending::Served } else { Ending::HungUp });
                }
                () = sleep_until(presses_at.unwrap_or(patience)), if presses_at.is_some() => {
                    presses_at = None;
                    let now = Instant::now();
                    self.board.see().pressed = Some(now);
                    out = line.dialect.dtmf(Digit::new('0').ok_or("a key")?);
                    if let HangsUp::Waiting(after) = self.hangs_up {
                        line.hang_up_at = Some(now + after);
                    }
                }
                message = read.next() => match message {
                    Some(Ok(message)) => for incoming in line.dialect.read(message) {
                        self.take(incoming, &mut line, &mut out)?;
                    },
                    Some(Err(_)) | None => {
                        let served = line.heard_frames >= CONVERSATION || line.joined && line.heard_frames > 0;
                        let why = format!("the server hung up after: {}", line.last);
                        return Ok(if served { Ending::Served } else { Ending::Lost(why) });
                    }
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
                line.joined = true;
                if let HangsUp::Joined(after) = self.hangs_up {
                    line.hang_up_at.get_or_insert(now + after);
                }
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
