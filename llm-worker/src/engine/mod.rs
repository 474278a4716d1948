//! The one thread that computes, and the bounded queue in front of it.
//!
//! One request is served at a time: two would each get half of two cores and both be late. A foreground request (a caller
//! is waiting) goes before background ones and pauses a running one; a paused request resumes where it was.

pub mod job;
pub mod queue;
pub mod run;
pub mod status;

#[cfg(test)]
pub(crate) mod fake;

pub use job::{CancelFlag, EngineError, Event, Finish, Job, JobKind, Summary};
pub use queue::{JobQueue, PushError};
pub use run::{Engine, Policy};
pub use status::{Snapshot, Status};
