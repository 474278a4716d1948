//! The async front of a recogniser: one shared model, a fixed pool of threads, a bounded queue, deadlines.
//!
//! ```text
//! submit ─▶ queue (finals first, then by deadline) ─▶ worker thread + one CPU permit ─▶ SpeechToText ─▶ outcome
//!   │          ▲ promote: a speculation the caller waits for becomes a final
//!   └ dropping or missing the deadline: taken out of the queue, or cancelled while it is decoded
//! ```
//! A worker first gets a permit at the priority of the best job and then takes the best job, so that work that arrived
//! meanwhile and matters more goes first. Control path: a job is never lost, it ends with a transcript or an error.
//!
//! Not here: what the text means and which audio is worth a speculation.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::{Either, select};
use metrics::{counter, gauge};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::{SpeechToText, SttError, Transcript, Utterance};
use crate::config::SttConfig;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, CpuPermit, Priority};
use crate::telemetry::metric;

/// What a transcript is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// The caller has finished and waits for an answer.
    Final,
    /// The caller may have finished.
    Speculative,
}

impl JobKind {
    const fn priority(self) -> Priority {
        match self {
            Self::Final => Priority::FinalTranscript,
            Self::Speculative => Priority::Speculation,
        }
    }
}

/// Recognises for all calls. Dropping it stops the workers.
pub struct SttScheduler {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// No threads: the outcome decodes when it is awaited.
    inline: bool,
}

struct Shared {
    engine: Arc<dyn SpeechToText>,
    budget: CpuBudget,
    capacity: usize,
    queue: Mutex<Queue>,
    /// The queue has changed. Workers wait for it.
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    closed: bool,
    arrivals: u64,
    /// Best first.
    waiting: BTreeMap<Rank, Job>,
    /// Where in `waiting` a job is; promoting it moves it.
    ranks: HashMap<JobId, Rank>,
    running: HashMap<JobId, CancelFlag>,
}

type JobId = u64;
type Rank = (JobKind, Instant, JobId);
type Outcome = Result<Transcript, SttError>;

struct Job {
    utterance: Utterance,
    cancel: CancelFlag,
    reply: oneshot::Sender<Outcome>,
}

impl SttScheduler {
    /// Starts as many workers and queues as many jobs as `config` says.
    pub fn start(engine: Arc<dyn SpeechToText>, budget: CpuBudget, config: &SttConfig) -> Result<Self, SttError> {
        let scheduler = Self::new(engine, budget, config.queue, false);
        for number in 0..worker_count(config) {
            let shared = Arc::clone(&scheduler.shared);
            let worker = std::thread::Builder::new()
                .name(format!("stt-{number}"))
                .spawn(move || futures::executor::block_on(work(&shared)))
                .map_err(|error| SttError::Engine(format!("no thread for a worker: {error}")))?;
            scheduler.workers().push(worker);
        }
        Ok(scheduler)
    }

    /// A scheduler without threads, for tests under simulated time: a job is decoded by whoever awaits its outcome, and
    /// the time the decode says it took passes on tokio's clock.
    pub fn inline(engine: Arc<dyn SpeechToText>) -> Self {
        Self::new(engine, CpuBudget::new(1), usize::MAX, true)
    }

    fn new(engine: Arc<dyn SpeechToText>, budget: CpuBudget, capacity: usize, inline: bool) -> Self {
        let shared = Shared { engine, budget, capacity, queue: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared), workers: Mutex::default(), inline }
    }

    /// Queues `utterance`; its outcome is due within `deadline`. Setting `cancel`, or dropping the job, gives it up.
    ///
    /// With a full queue a final displaces the least urgent speculation; all else is [`SttError::Overloaded`].
    pub fn submit(
        &self,
        utterance: Utterance,
        kind: JobKind,
        deadline: Duration,
        cancel: &CancelFlag,
    ) -> Result<SttJob, SttError> {
        let cancel = cancel.child();
        let (reply, outcome) = oneshot::channel();
        let mut queue = self.shared.queue();
        if queue.closed {
            return Err(SttError::Cancelled);
        }
        queue.give_up_cancelled();
        if queue.waiting.len() >= self.shared.capacity && !(kind == JobKind::Final && queue.displace_speculation()) {
            return Err(SttError::Overloaded(queue.waiting.len()));
        }
        let id = queue.arrivals;
        queue.arrivals += 1;
        let due = Instant::now() + deadline;
        queue.insert((kind, due, id), Job { utterance, cancel: cancel.clone(), reply });
        drop(queue);
        self.shared.has_changed();
        let ticket = SttTicket { id, due: Arc::new(Mutex::new((due, deadline))), shared: Arc::clone(&self.shared) };
        Ok(SttJob { ticket, cancel, outcome, inline: self.inline })
    }

    /// [`SttScheduler::submit`] and wait.
    pub async fn transcribe(
        &self,
        utterance: Utterance,
        kind: JobKind,
        deadline: Duration,
        cancel: &CancelFlag,
    ) -> Result<Transcript, SttError> {
        self.submit(utterance, kind, deadline, cancel)?.outcome().await
    }

    /// Jobs waiting.
    pub fn waiting(&self) -> usize {
        self.shared.queue().waiting.len()
    }

    /// Name of the recogniser.
    pub fn engine(&self) -> &str {
        self.shared.engine.name()
    }

    /// Gives up every job and waits for the workers, for as long as the step takes they are in. Blocks.
    pub fn shutdown(&self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.ranks.clear();
        for job in std::mem::take(&mut queue.waiting).into_values() {
            let _ = job.reply.send(Err(SttError::Cancelled)); // whoever asked may be gone
        }
        queue.running.values().for_each(CancelFlag::cancel);
        drop(queue);
        self.shared.has_changed();
        for worker in std::mem::take(&mut *self.workers()) {
            // A worker catches the engine's panics; its own would be a bug, and there is nobody left to tell.
            let _ = worker.join();
        }
    }

    fn workers(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SttScheduler {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Decodes at once: as configured, else one for each core and at most four.
pub fn worker_count(config: &SttConfig) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if config.workers == 0 { cores().min(4) } else { config.workers }
}

/// A submitted job. Dropping it gives it up.
#[must_use = "a dropped job is given up"]
pub struct SttJob {
    ticket: SttTicket,
    cancel: CancelFlag,
    outcome: oneshot::Receiver<Outcome>,
    inline: bool,
}

/// The right to make a job more urgent, apart from the one who awaits it.
#[derive(Clone)]
pub struct SttTicket {
    id: JobId,
    /// When the job is due, and how long it was given.
    due: Arc<Mutex<(Instant, Duration)>>,
    shared: Arc<Shared>,
}

impl SttTicket {
    /// The caller waits for it now: it goes before all speculations and is due within `deadline` from now.
    ///
    /// Does nothing for a job that has ended.
    pub fn promote(&self, deadline: Duration) {
        let due = Instant::now() + deadline;
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = (due, deadline);
        let mut queue = self.shared.queue();
        if let Some(job) = queue.remove(self.id) {
            queue.insert((JobKind::Final, due, self.id), job);
        }
        drop(queue);
        self.shared.has_changed();
    }

    fn due(&self) -> (Instant, Duration) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SttJob {
    /// To promote it while another task awaits the outcome.
    pub fn ticket(&self) -> SttTicket {
        self.ticket.clone()
    }

    /// Waits for the transcript, until the job is due.
    pub async fn outcome(mut self) -> Result<Transcript, SttError> {
        if self.inline {
            return self.decode_inline().await;
        }
        loop {
            let (due, deadline) = self.ticket.due();
            match timeout_at(due, &mut self.outcome).await {
                Ok(Ok(outcome)) => return outcome,
                // A worker answers every job it takes, and so does who empties the queue.
                Ok(Err(_)) => return Err(SttError::Engine("the worker vanished".to_owned())),
                Err(_) if self.ticket.due().0 > due => {} // promoted meanwhile
                Err(_) => return Err(SttError::Deadline(deadline)),
            }
        }
    }

    async fn decode_inline(&mut self) -> Result<Transcript, SttError> {
        let job = self.ticket.shared.queue().remove(self.ticket.id).ok_or(SttError::Cancelled)?;
        let transcript = decode(&*self.ticket.shared.engine, &job.utterance, &job.cancel)?;
        let (due, deadline) = self.ticket.due();
        timeout_at(due, sleep(transcript.decode)).await.map_err(|_| SttError::Deadline(deadline))?;
        if self.cancel.is_cancelled() { Err(SttError::Cancelled) } else { Ok(transcript) }
    }
}

impl Drop for SttJob {
    fn drop(&mut self) {
        self.cancel.cancel();
        let gone = self.ticket.shared.queue().remove(self.ticket.id);
        if gone.is_some() {
            self.ticket.shared.has_changed();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_changed(&self) {
        gauge!(metric::STT_QUEUE).set(self.queue().waiting.len() as f64);
        self.changed.notify_waiters();
    }
}

impl Queue {
    fn insert(&mut self, rank: Rank, job: Job) {
        self.ranks.insert(rank.2, rank);
        self.waiting.insert(rank, job);
    }

    fn remove(&mut self, id: JobId) -> Option<Job> {
        let rank = self.ranks.remove(&id)?;
        self.waiting.remove(&rank)
    }

    fn best(&self) -> Option<Priority> {
        self.waiting.first_key_value().map(|((kind, ..), _)| kind.priority())
    }

    fn take_best(&mut self) -> Option<(JobId, Job)> {
        let ((_, _, id), job) = self.waiting.pop_first()?;
        self.ranks.remove(&id);
        self.running.insert(id, job.cancel.clone());
        Some((id, job))
    }

    /// Answers and removes the jobs nobody wants any more.
    fn give_up_cancelled(&mut self) {
        for (rank, job) in self.waiting.extract_if(.., |_, job| job.cancel.is_cancelled()) {
            self.ranks.remove(&rank.2);
            let _ = job.reply.send(Err(SttError::Cancelled)); // whoever asked may be gone
        }
    }

    /// Makes room by giving up the speculation that is due last.
    fn displace_speculation(&mut self) -> bool {
        let waiting = self.waiting.len();
        match self.waiting.last_entry() {
            Some(last) if last.key().0 == JobKind::Speculative => {
                let ((_, _, id), job) = last.remove_entry();
                self.ranks.remove(&id);
                let _ = job.reply.send(Err(SttError::Overloaded(waiting))); // whoever asked may be gone
                true
            }
            _ => false,
        }
    }
}

/// One worker's life.
async fn work(shared: &Shared) {
    while let Some((id, job, permit)) = next(shared).await {
        let outcome = decode(&*shared.engine, &job.utterance, &job.cancel);
        drop(permit);
        shared.queue().running.remove(&id);
        let _ = job.reply.send(outcome); // whoever asked may be gone
    }
}

/// Waits for the best job and a permit for it; none when the scheduler closes.
async fn next(shared: &Shared) -> Option<(JobId, Job, CpuPermit)> {
    loop {
        let mut changed = pin!(shared.changed.notified());
        changed.as_mut().enable(); // before looking, so that no change is missed
        let best = {
            let mut queue = shared.queue();
            if queue.closed {
                return None;
            }
            queue.give_up_cancelled();
            queue.best()
        };
        let Some(priority) = best else {
            changed.await;
            continue;
        };
        let mut permit = pin!(shared.budget.acquire_whenever(priority, 1));
        loop {
            match select(permit.as_mut(), changed.as_mut()).await {
                Either::Left((permit, _)) => {
                    let mut queue = shared.queue();
                    queue.give_up_cancelled();
                    // Another worker may have taken the job this permit was for; a lesser one has to queue for its own.
                    if queue.best().is_some_and(|best| best <= priority)
                        && let Some((id, job)) = queue.take_best()
                    {
                        gauge!(metric::STT_QUEUE).set(queue.waiting.len() as f64);
                        return Some((id, job, permit));
                    }
                    break;
                }
                Either::Right(_) => {
                    changed.set(shared.changed.notified());
                    changed.as_mut().enable();
                    let queue = shared.queue();
                    if queue.closed || queue.best() != Some(priority) {
                        break; // to line up at the priority of what is best now
                    }
                }
            }
        }
    }
}

/// Runs the engine; its panic is an error like any other, and the worker lives on.
fn decode(engine: &dyn SpeechToText, utterance: &Utterance, cancel: &CancelFlag) -> Outcome {
    if cancel.is_cancelled() {
        return Err(SttError::Cancelled);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| engine.transcribe(utterance, cancel))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        Err(SttError::Engine(format!("panicked: {}", words.unwrap_or("no message"))))
    });
    match &outcome {
        Ok(Transcript { guard: Some(guard), .. }) => counter!(metric::STT_GUARD, "guard" => guard.clone()).increment(1),
        Err(SttError::Engine(_)) => counter!(metric::ENGINE_FAILURES, "engine" => "stt").increment(1),
        _ => {}
    }
    outcome
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
