//! Who gets which caller, and why. PURE and deterministic: moments and events in, decisions out.
//!
//! ```text
//!  task:   Pending ─ offers ─▶ Reserved ─ accepted ─▶ Assigned ─ ended ─▶ gone
//!             ▲  │                 │                    │  ▲  │
//!             │  │                 │                    ▼  │  └ failed connect: back to the head
//!             │  │                 │                  AgentLost ─ not back in time, goes first ─▶ Pending
//!             │  │                                  ├─ parked ─▶ Parked ─ picked up ─▶ Assigned, or over ─▶ first in line
//!             │  └─ last step over ─▶ Exited (callback, voicemail, assistant)
//!             └─ all offers rejected, timed out or rescinded: the old place
//!  offer:  pending ─▶ accepted │ rejected │ timeout │ rescinded │ canceled      one winner, by compare-and-set on a version
//!  agent:  Offline ─ Available ─ Reserved ─ OnContact ─ WrapUp ─ Available …    Reserved ─ timeout ─▶ Missed
//!                                              └─ no sound from the agent ─▶ Error
//! ```
//!
//! [`plan`] is what the operator decided, as data; it is swapped whole while calls wait ([`Router::reload`]). A caller
//! enters the first workflow whose conditions fit and walks its steps: each names a queue, may ask for more, and ends when
//! the caller is so and so old. Within a queue what is asked of agents ([`needs`]) may be relaxed with the caller's age.
//! Among the waiting the highest priority goes first, then the longest wait; among the free agents the queue's
//! [`strategy`] decides. [`hours`] knows when a queue is open, [`estimate`] how long it may take, [`why`] says any of it in a
//! sentence.
//!
//! Only pairs that may have changed are looked at: an event marks tasks and agents, and a match is sought among those.
//! Everything that changes with time alone (offers, exclusions, relaxation, steps, delays, wrap-up) is an alarm.
//!
//! Not here: sockets, records, what is said to the caller.

pub mod agent;
mod colleagues;
pub mod estimate;
mod event;
mod flow;
pub mod hours;
mod matching;
pub mod needs;
pub mod plan;
mod presence;
pub mod router;
pub mod strategy;
mod takeover;
pub mod task;
pub mod why;

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use event::{Cause, Decision, Event, Left, Target};
pub use plan::Plan;
pub use router::{Place, Router};
pub use task::Facts;

/// Milliseconds since 1970 (UTC), by a clock that never goes back; the driver makes it of a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// From milliseconds since 1970.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}
