//! Calling somebody back who did not want to wait. PURE: moments and inputs in, actions out.
//!
//! ```text
//!  booked ─▶ Resting ─ due, and within the hours ─▶ InLine ─ an agent took it, or it is first in line ─▶ Ringing
//!               ▲                                     ▲                                                 │  │
//!               │                                     └── the agent is gone, tries are left ────────────┘  │
//!               └────────────── not reached, tries are left ───────────────────────────────────────────────┤
//!  every state ─ done by hand, called again, expired ─▶ Over                           answered ─▶ Over ◀──┘
//! ```
//!
//! While it is in line it is a caller like any other, with the age of the first wish: the place is kept. It ends exactly
//! once, and an agent who waited for somebody who was not reached is let go, without wrap-up counting against anybody.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::routing::Moment;
use super::routing::hours::Calendar;

/// A provider that says nothing for so long has not reached anybody.
pub const RING_PATIENCE: Duration = Duration::from_secs(75);

/// Who is on the line first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum First {
    /// An agent is reserved, then the caller's telephone rings: nobody who is called has to wait.
    #[default]
    Agent,
    /// The caller's telephone rings when they are first in line: no agent waits for somebody who does not answer.
    Caller,
}

/// What the operator decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Who is on the line first.
    pub first: First,
    /// Tries at most.
    pub attempts: u32,
    /// Between tries.
    pub pause: Duration,
    /// After this nobody waits for the call any more.
    pub expires: Duration,
    /// When people may be called; `None`: always.
    pub hours: Option<Calendar>,
}

/// How it ended. Exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackEnd {
    /// The caller was reached.
    Reached,
    /// Tried often enough.
    NotReached,
    /// Too late to be of use.
    Expired,
    /// The caller called again by themselves, or booked another one.
    CalledAgain,
    /// Somebody took care of it.
    DoneByHand,
}

impl CallbackEnd {
    /// The word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotReached => "not_reached",
            Self::Expired => "expired",
            Self::CalledAgain => "called_again",
            Self::DoneByHand => "done_by_hand",
        }
    }
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The place in line, and how many people serve it.
    Place {
        /// 1 is next.
        position: u32,
        /// Agents signed in and not on break.
        staffed: u32,
    },
    /// An agent took it.
    Accepted,
    /// The agent was lost; it is first in line again.
    Requeued,
    /// The agent gave it up; it is in no line any more.
    AgentLeft,
    /// The caller has answered.
    Answered,
    /// Busy, no answer, a machine, or the provider could not call.
    NotReached,
    /// The caller called by themselves, or booked anew.
    CalledAgain,
    /// Somebody took care of it.
    DoneByHand,
}

/// Do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stand in line.
    Enter,
    /// Stand in line no more.
    Leave,
    /// The agent need not wait any longer.
    ReleaseAgent,
    /// Let the caller's telephone ring.
    Dial,
    /// Let it ring no more.
    HangUp,
    /// Put who answered together with the agent; without one they are next in line.
    Join,
    /// It is over. Comes once and last.
    Finish(CallbackEnd),
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not before this.
    Resting(Moment),
    /// Waits for its turn.
    InLine,
    /// The caller's telephone rings.
    Ringing {
        /// An agent waits with us.
        agent: bool,
        /// Given up then.
        until: Moment,
    },
    /// Over.
    Over(CallbackEnd),
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Callback {
    rules: Rules,
    state: State,
    tries: u32,
    expires: Moment,
}

impl Callback {
    /// One that was wished for at `since` and tried so often since; not to be tried before `not_before`.
    pub fn new(rules: Rules, since: Moment, tries: u32, not_before: Moment) -> Self {
        let expires = since + rules.expires;
        Self { rules, state: State::Resting(not_before), tries, expires }
    }

    /// People may be called at other hours from now on. What is due already keeps its moment and is looked at again then.
    pub fn keep_hours(&mut self, hours: Option<Calendar>) {
        self.rules.hours = hours;
    }

    /// Where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Tries so far.
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Action>) {
        match (self.state, input) {
            (State::Over(_), _) => {}
            (_, Input::CalledAgain) => self.stop(CallbackEnd::CalledAgain, out),
            (_, Input::DoneByHand) => self.stop(CallbackEnd::DoneByHand, out),
            (State::InLine, Input::Accepted) => self.ring(now, true, out),
            (State::InLine, Input::Place { position: 1, staffed })
                if staffed > 0 && self.rules.first == First::Caller =>
            {
                self.ring(now, false, out);
            }
            (State::Ringing { agent: false, until }, Input::Accepted) => {
                self.state = State::Ringing { agent: true, until };
            }
            (State::Ringing { until, .. }, Input::Requeued) => self.state = State::Ringing { agent: false, until },
            (State::Ringing { agent: true, .. }, Input::AgentLeft) => {
                out.push(Action::HangUp);
                if self.tries >= self.rules.attempts {
                    self.finish(CallbackEnd::NotReached, out);
                } else {
                    self.rest(now, now, out);
                }
            }
            (State::Ringing { .. }, Input::Answered) => {
                out.push(Action::Join);
                self.finish(CallbackEnd::Reached, out);
            }
            (State::Ringing { agent, .. }, Input::NotReached) => self.missed(now, agent, out),
            (State::Resting(_) | State::InLine | State::Ringing { .. }, _) => {}
        }
    }

    /// When [`Callback::handle_timeout`] wants to be called. Set until it is over.
    pub fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Resting(until) => Some(until.min(self.expires)),
            State::InLine => Some(self.expires),
            State::Ringing { until, .. } => Some(until),
            State::Over(_) => None,
        }
    }

    /// The moment of [`Callback::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Action>) {
        match self.state {
            State::Resting(_) | State::InLine if now >= self.expires => self.stop(CallbackEnd::Expired, out),
            State::Resting(until) if now >= until => self.rest(now, now, out),
            State::Ringing { agent, until } if now >= until => {
                out.push(Action::HangUp);
                self.missed(now, agent, out);
            }
            _ => {}
        }
    }

    fn ring(&mut self, now: Moment, agent: bool, out: &mut Vec<Action>) {
        self.tries += 1;
        self.state = State::Ringing { agent, until: now + RING_PATIENCE };
        out.push(Action::Dial);
    }

    fn missed(&mut self, now: Moment, agent: bool, out: &mut Vec<Action>) {
        out.push(if agent { Action::ReleaseAgent } else { Action::Leave });
        if self.tries >= self.rules.attempts {
            return self.finish(CallbackEnd::NotReached, out);
        }
        self.rest(now, now + self.rules.pause, out);
    }

    /// Until `due` and the next hour in which people may be called; in line at once when that is now.
    fn rest(&mut self, now: Moment, due: Moment, out: &mut Vec<Action>) {
        let due = match &self.rules.hours {
            Some(hours) if !hours.is_open(due) => hours.next_open(due).unwrap_or_else(|| Calendar::ask_again(due)),
            _ => due,
        };
        if due <= now {
            self.state = State::InLine;
            out.push(Action::Enter);
        } else {
            self.state = State::Resting(due);
        }
    }

    /// Whatever it is doing, it does no more.
    fn stop(&mut self, end: CallbackEnd, out: &mut Vec<Action>) {
        match self.state {
            State::InLine => out.push(Action::Leave),
            State::Ringing { agent, .. } => {
                out.push(Action::HangUp);
                out.push(if agent { Action::ReleaseAgent } else { Action::Leave });
            }
            State::Resting(_) | State::Over(_) => {}
        }
        self.finish(end, out);
    }

    fn finish(&mut self, end: CallbackEnd, out: &mut Vec<Action>) {
        self.state = State::Over(end);
        out.push(Action::Finish(end));
    }
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
