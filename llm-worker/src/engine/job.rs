//! A request as the engine sees it, and what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cache::Full;
use crate::model::{Constraint, DecodeError, Token};

/// Raised once by the side that no longer wants the answer.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What to do with a prompt.
pub enum JobKind {
    /// Evaluate it so that later requests reuse it. `pin`: keep it for good (`true`), let it go (`false`).
    Warm { pin: Option<bool> },
    /// Let all pinned prompts go; has no prompt itself.
    UnpinAll,
    /// Generate a reply.
    Generate(Generation),
}

/// How to generate.
pub struct Generation {
    pub max_tokens: usize,
    pub temperature: f32,
    pub top_p: f32,
    pub seed: u64,
    pub stop: Vec<String>,
    /// `Some(n)`: report each token's log-probability and the `n` best alternatives.
    pub logprobs: Option<usize>,
    pub constraint: Option<Box<dyn Constraint>>,
}

/// One request, tokenized and valid.
pub struct Job {
    /// At least one token (but for [`JobKind::UnpinAll`]), at most the model's limit.
    pub prompt: Vec<Token>,
    pub kind: JobKind,
    /// One thread, and paused while a foreground request is served.
    pub background: bool,
    pub cancel: CancelFlag,
    /// Must have room for [`Job::events_needed`]: the engine never waits for a slow reader.
    pub events: mpsc::Sender<Event>,
    pub queued: Instant,
}

impl Job {
    /// Most events a job of `max_tokens` sends: one a token, the start, the held-back rest and the end.
    pub fn events_needed(max_tokens: usize) -> usize {
        max_tokens + 3
    }
}

/// One token's log-probability.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogProb {
    /// The token's bytes; not always whole characters.
    pub piece: Vec<u8>,
    /// Natural logarithm, before temperature and constraint.
    pub logprob: f32,
    pub top: Vec<(Vec<u8>, f32)>,
}

/// Answers of the engine, in order: `Started`, any number of `Text`, then `Done` or `Failed`. A cancelled job gets no end.
#[derive(Debug)]
pub enum Event {
    Started,
    Text { text: String, logprobs: Vec<TokenLogProb> },
    Done(Summary),
    Failed(EngineError),
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended its turn, or a stop string came, or the constraint is satisfied.
    Stop,
    /// `max_tokens`, the model's limit or the cache is used up.
    Length,
}

/// Counts and times of a finished request.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub finish: Finish,
    /// Prompt tokens, reused ones included.
    pub prompt_tokens: usize,
    /// Prompt tokens that were not evaluated because the cache had them.
    pub cached_tokens: usize,
    pub completion_tokens: usize,
    /// Is the prompt pinned now? Only meaningful for [`JobKind::Warm`].
    pub pinned: bool,
    /// From the queue's door to the engine.
    pub queued: Duration,
    /// Evaluating the prompt, pauses excluded.
    pub prompt: Duration,
    /// Generating, pauses excluded.
    pub generation: Duration,
}

/// Why a request failed after it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("the prompt does not fit: {0}")]
    CacheFull(Full),
    #[error("the prompt cannot be pinned: {0}, and a quarter is kept for requests")]
    PinBudget(Full),
    #[error("evaluation failed: {0}")]
    Decode(DecodeError),
    #[error("the worker is shutting down")]
    ShuttingDown,
}
