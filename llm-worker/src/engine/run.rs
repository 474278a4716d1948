//! The engine loop: takes a job, reuses what the cache has, evaluates the rest, draws token after token.
//!
//! Evaluation goes in batches, and every batch asks between the model's operations whether to stop: because the client
//! left, because the worker shuts down, or because a foreground request waits behind a background one. So all three are
//! answered within milliseconds, whatever the batch size. Nothing a request does can end the process: a full cache
//! evicts, and if that does not help the request alone ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, info, warn};

use super::job::{EngineError, Event, Finish, Generation, Job, JobKind, Summary, TokenLogProb};
use super::queue::JobQueue;
use super::status::{Snapshot, Status};
use crate::cache::{Lease, Op, PrefixCache};
use crate::model::{Backend, DecodeError, Evaluation, Token};
use crate::sample::{LogProbs, Sampler};
use crate::text::{Assembler, ClauseDetector, Delta};

/// How many CPU threads a request gets, and when.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Prompt, and reply until its first clause ends: the caller hears nothing yet.
    pub threads: u32,
    /// The rest of the reply: the voice is speaking by then.
    pub threads_after_clause: u32,
    /// Prompt tokens per evaluation.
    pub batch: usize,
}

/// Prompt tokens per evaluation of a background request. What a foreground request interrupts is lost, so keep it small.
const BACKGROUND_BATCH: usize = 32;

/// See the module.
pub struct Engine<B: Backend> {
    backend: B,
    cache: PrefixCache,
    queue: Arc<JobQueue>,
    status: Arc<Status>,
    policy: Policy,
    served: u64,
    failed: u64,
    cancelled: u64,
}

/// Why a job ended without a summary.
enum Ended {
    Cancelled,
    Failed(EngineError),
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// A job under way. `tokens` is everything that is or will be in its sequence: the prompt, then what was drawn.
struct Run<'a> {
    job: &'a Job,
    tokens: Vec<Token>,
    lease: Option<Lease>,
    /// Prompt tokens found in the cache when it first began.
    cached: usize,
    /// Whether the scores after the last token are wanted.
    logits: bool,
    threads: u32,
}

impl<B: Backend> Engine<B> {
    pub fn new(backend: B, queue: Arc<JobQueue>, status: Arc<Status>, policy: Policy) -> Self {
        let cache = PrefixCache::new(backend.cells(), backend.sequences());
        let engine = Self { backend, cache, queue, status, policy, served: 0, failed: 0, cancelled: 0 };
        engine.publish();
        engine
    }

    /// Serves jobs until the queue closes.
    pub fn run(mut self) {
        while let Some(job) = self.queue.pop() {
            self.status.set_busy(true);
            self.serve(job);
            self.status.set_busy(false);
        }
    }

    fn serve(&mut self, mut job: Job) {
        let started = now();
        let _ = job.events.try_send(Event::Started);
        let ended = match std::mem::replace(&mut job.kind, JobKind::Warm { pin: None }) {
            JobKind::Warm { pin } => self.warm(&job, pin),
            JobKind::Generate(generation) => self.generate(&job, generation),
            JobKind::UnpinAll => {
                let unpinned = self.cache.unpin_all();
                info!(llm.unpinned = unpinned, "Unpinned all prefixes");
                Ok(Summary::new(&job))
            }
        };
        match ended {
            Ok(mut summary) => {
                summary.queued = started.saturating_duration_since(job.queued);
                self.served += 1;
                info!(
                    llm.prompt_tokens = summary.prompt_tokens,
                    llm.cached_tokens = summary.cached_tokens,
                    llm.completion_tokens = summary.completion_tokens,
                    llm.queued_ms = summary.queued.as_millis() as u64,
                    llm.prompt_ms = summary.prompt.as_millis() as u64,
                    llm.generation_ms = summary.generation.as_millis() as u64,
                    llm.background = job.background,
                    "Served a request"
                );
                self.publish();
                let _ = job.events.try_send(Event::Done(summary));
            }
            Err(Ended::Cancelled) => {
                self.cancelled += 1;
                debug!("The client left");
                self.publish();
            }
            Err(Ended::Failed(error)) => {
                self.failed += 1;
                warn!(%error, "A request failed");
                self.publish();
                let _ = job.events.try_send(Event::Failed(error));
            }
        }
    }

    fn warm(&mut self, job: &Job, pin: Option<bool>) -> Result<Summary, Ended> {
        let mut summary = Summary::new(job);
        summary.finish = Finish::Length;
        if pin == Some(false) {
            self.cache.unpin(&job.prompt);
        }
        if self.cache.is_pinned(&job.prompt) {
            summary.cached_tokens = job.prompt.len();
            summary.pinned = true;
            return Ok(summary);
        }
        if pin == Some(true) {
            self.cache.may_pin(&job.prompt).map_err(EngineError::PinBudget)?;
        }
        let mut run = Run::new(job, false, self.threads(job, false));
        let evaluated = self.evaluate(&mut run);
        summary.pinned = evaluated.is_ok() && pin == Some(true);
        self.leave(&run, summary.pinned);
        summary.prompt = evaluated?;
        summary.cached_tokens = run.cached;
        Ok(summary)
    }

    fn generate(&mut self, job: &Job, generation: Generation) -> Result<Summary, Ended> {
        let mut run = Run::new(job, true, self.threads(job, false));
        let summary = self.generate_in(&mut run, generation);
        self.leave(&run, false);
        summary
    }

    fn generate_in(&mut self, run: &mut Run<'_>, mut generation: Generation) -> Result<Summary, Ended> {
        let mut summary = Summary::new(run.job);
        let mut sampler = Sampler::new(generation.temperature, generation.top_p, generation.seed);
        let mut assembler = Assembler::new(std::mem::take(&mut generation.stop));
        let mut clause = ClauseDetector::default();
        summary.prompt = self.evaluate(run)?;
        summary.cached_tokens = run.cached;
        loop {
            let begun = now();
            let constraint = generation.constraint.as_deref_mut();
            let Some(token) = sampler.choose(self.backend.logits(), constraint) else {
                break; // the constraint allows nothing more
            };
            if self.backend.ends(token) {
                break;
            }
            if let Some(constraint) = generation.constraint.as_deref_mut()
                && !constraint.accept(token)
            {
                break;
            }
            summary.completion_tokens += 1;
            let tag = generation.logprobs.map(|top| self.log_prob(token, top));
            let mut piece = Vec::new();
            self.backend.piece(token, &mut piece);
            let delta = assembler.push(&piece, tag);
            clause.push(&delta.text);
            send(run.job, delta)?;
            if assembler.stopped() {
                summary.generation += begun.elapsed();
                break;
            }
            run.tokens.push(token);
            summary.generation += begun.elapsed();
            if summary.completion_tokens >= generation.max_tokens || run.tokens.len() >= self.backend.limit() {
                summary.finish = Finish::Length;
                break;
            }
            run.threads = self.threads(run.job, clause.ended());
            match self.evaluate(run) {
                Ok(took) => summary.generation += took,
                Err(Ended::Failed(EngineError::CacheFull(_))) => {
                    summary.finish = Finish::Length;
                    break;
                }
                Err(ended) => return Err(ended),
            }
        }
        send(run.job, assembler.finish())?;
        Ok(summary)
    }

    /// Evaluates what is not yet in the sequence, resuming after interruptions; returns the time it took, pauses excluded.
    fn evaluate(&mut self, run: &mut Run<'_>) -> Result<Duration, Ended> {
        let mut took = Duration::ZERO;
        loop {
            let begun = now();
            let progress = self.evaluate_batch(run);
            took += begun.elapsed();
            match progress {
                Ok(true) => return Ok(took),
                Ok(false) | Err(Ended::Failed(EngineError::Decode(DecodeError::Interrupted))) => {}
                Err(ended) => return Err(ended),
            }
            if run.job.cancel.raised() {
                return Err(Ended::Cancelled);
            }
            if self.queue.closed() {
                return Err(EngineError::ShuttingDown.into());
            }
            while run.job.background && self.queue.foreground_waiting() {
                let Some(urgent) = self.queue.pop_foreground() else { break };
                self.serve(urgent);
            }
        }
    }

    /// One batch; `true` when the whole sequence is evaluated.
    fn evaluate_batch(&mut self, run: &mut Run<'_>) -> Result<bool, Ended> {
        let lease = match run.lease.filter(|lease| self.cache.holds(*lease)) {
            Some(lease) => lease,
            None => {
                let begin = self.cache.begin(&run.tokens, run.logits).map_err(EngineError::CacheFull)?;
                self.apply(begin.ops);
                if run.lease.is_none() {
                    run.cached = begin.reused;
                }
                run.lease = Some(begin.lease);
                begin.lease
            }
        };
        let from = self.cache.len(lease);
        let left = &run.tokens[from..];
        if left.is_empty() {
            return Ok(true);
        }
        let most = if run.job.background { BACKGROUND_BATCH } else { self.policy.batch };
        let count = left.len().min(most.min(self.backend.max_batch()).max(1));
        let whole = count == left.len();
        let ops = self.cache.reserve(lease, count).map_err(EngineError::CacheFull)?;
        self.apply(ops);
        if self.cache.free() < count {
            let capacity = self.cache.capacity();
            return Err(EngineError::CacheFull(crate::cache::Full { pinned: self.cache.pinned(), capacity }).into());
        }
        let tokens = &run.tokens[from..from + count];
        let (job, queue) = (run.job, &self.queue);
        let interrupt = || job.cancel.raised() || queue.closed() || (job.background && queue.foreground_waiting());
        if interrupt() {
            return Err(EngineError::Decode(DecodeError::Interrupted).into());
        }
        let what = Evaluation { seq: lease.seq, from, tokens, logits: run.logits && whole, threads: run.threads };
        match self.backend.evaluate(what, &interrupt) {
            Ok(()) => {
                self.cache.append(lease, tokens);
                Ok(whole)
            }
            Err(DecodeError::Interrupted) => Err(EngineError::Decode(DecodeError::Interrupted).into()),
            Err(error) => {
                // What the model kept of it is unknown: start clean next time.
                let op = self.cache.forget(lease);
                self.apply(op);
                Err(EngineError::Decode(error).into())
            }
        }
    }

    fn leave(&mut self, run: &Run<'_>, pin: bool) {
        if let Some(lease) = run.lease {
            let op = self.cache.end(lease, pin);
            self.apply(op);
        }
    }

    fn apply(&mut self, ops: impl IntoIterator<Item = Op>) {
        for op in ops {
            match op {
                Op::Share { from, to, len } => self.backend.share(from, to, len),
                Op::Clear { seq } => self.backend.clear(seq),
            }
        }
    }

    fn threads(&self, job: &Job, clause_ended: bool) -> u32 {
        match (job.background, clause_ended) {
            (true, _) => 1,
            (false, false) => self.policy.threads,
            (false, true) => self.policy.threads_after_clause,
        }
    }

    fn log_prob(&self, token: Token, top: usize) -> TokenLogProb {
        let probs = LogProbs::new(self.backend.logits());
        let bytes = |token| {
            let mut piece = Vec::new();
            self.backend.piece(token, &mut piece);
            piece
        };
        let top = probs.top(top).into_iter().map(|(token, logprob)| (bytes(token), logprob)).collect();
        TokenLogProb { piece: bytes(token), logprob: probs.of(token), top }
    }

    fn publish(&self) {
        self.status.publish(Snapshot {
            capacity: self.cache.capacity(),
            used: self.cache.used(),
            pinned: self.cache.pinned(),
            prefixes: self.cache.prefixes(),
            served: self.served,
            failed: self.failed,
            cancelled: self.cancelled,
        });
    }
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, logits: bool, threads: u32) -> Self {
        Self { job, tokens: job.prompt.clone(), lease: None, cached: 0, logits, threads }
    }
}

impl Summary {
    fn new(job: &Job) -> Self {
        Self {
            finish: Finish::Stop,
            prompt_tokens: job.prompt.len(),
            cached_tokens: 0,
            completion_tokens: 0,
            pinned: false,
            queued: Duration::ZERO,
            prompt: Duration::ZERO,
            generation: Duration::ZERO,
        }
    }
}

fn send(job: &Job, delta: Delta<TokenLogProb>) -> Result<(), Ended> {
    if job.cancel.raised() {
        return Err(Ended::Cancelled);
    }
    if delta.is_empty() {
        return Ok(());
    }
    match job.events.try_send(Event::Text { text: delta.text, logprobs: delta.tags }) {
        Ok(()) => Ok(()),
        Err(TrySendError::Closed(_)) => Err(Ended::Cancelled),
        // The channel has room for every event of the job; a full one means its reader broke that promise.
        Err(TrySendError::Full(_)) => Err(Ended::Cancelled),
    }
}

#[expect(clippy::disallowed_methods, reason = "the engine measures its own work; nothing depends on the value")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
