//! The async front of a recogniser: one shared model, a fixed pool of threads, a bounded queue, deadlines.
//!
//! ```text
//! submit ─▶ load: worth it now? ─▶ queue (finals, speculations, partials; by deadline) ─▶ worker + one permit ─▶ outcome
//!   │                                  ▲ promote: a speculation the caller waits for becomes a final
//!   └ dropping or missing the deadline: taken out of the queue, or cancelled while it is decoded
//! ```
//! Under load work is left out in the order of [`super::load`]: partials, speculations, the large model, and last finals
//! that would be late anyway, which are refused at once so that the caller hears an honest sentence. A partial only starts
//! on an idle core, and is cancelled for a final that finds none.
//!
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
use metrics::{counter, gauge, histogram};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::load::{Load, LoadPolicy, Pace};
use super::{SpeechToText, SttError, Transcript, Utterance};
use crate::audio::units::Millis;
use crate::config::SttConfig;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, CpuPermit, Priority};
use crate::telemetry::metric;

/// How long decodes keep to one thread after more were slower than one.
const NARROW_FOR: Duration = Duration::from_secs(60);

/// What a transcript is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// The caller has finished and waits for an answer.
    Final,
    /// The caller may have finished.
    Speculative,
    /// Caller and agent speak with each other: for the record. Whoever asks tries again later.
    Talk,
    /// The caller is speaking: for captions.
    Partial,
    /// Nobody waits: a voice message. Never left out.
    Background,
}

impl JobKind {
    const fn priority(self) -> Priority {
        match self {
            Self::Final => Priority::FinalTranscript,
            Self::Speculative => Priority::Speculation,
            Self::Talk | Self::Partial | Self::Background => Priority::Background,
        }
    }

    /// Label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Speculative => "speculative",
            Self::Talk => "talk",
            Self::Partial => "partial",
            Self::Background => "background",
        }
    }
}

/// The recognisers of a scheduler.
pub struct Recognisers {
    /// Hears everything while there is time.
    pub main: Arc<dyn SpeechToText>,
    /// Faster and worse: hears finals under load.
    pub small: Option<Arc<dyn SpeechToText>>,
}

impl From<Arc<dyn SpeechToText>> for Recognisers {
    fn from(main: Arc<dyn SpeechToText>) -> Self {
        Self { main, small: None }
    }
}

impl<T: SpeechToText + 'static> From<Arc<T>> for Recognisers {
    fn from(main: Arc<T>) -> Self {
        Self { main, small: None }
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
    engines: Recognisers,
    budget: CpuBudget,
    capacity: usize,
    /// Decodes at once: workers, or permits where those are fewer.
    width: usize,
    /// Threads of one decode while cores are idle.
    max_threads: usize,
    born: Instant,
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
    running: HashMap<JobId, Running>,
    /// Workers in line for a permit.
    seeking: usize,
    policy: LoadPolicy,
    pace: Pace,
    small_pace: Pace,
    /// More threads made a decode slower: one each until then.
    narrow_until: Option<Instant>,
}

struct Running {
    kind: JobKind,
    cancel: CancelFlag,
    since: Instant,
    estimate: Duration,
}

type JobId = u64;
type Rank = (JobKind, Instant, JobId);
type Outcome = Result<Transcript, SttError>;

struct Job {
    utterance: Utterance,
    cancel: CancelFlag,
    reply: oneshot::Sender<Outcome>,
    since: Instant,
}

impl SttScheduler {
    /// Starts as many workers and queues as many jobs as `config` says.
    pub fn start(engines: impl Into<Recognisers>, budget: CpuBudget, config: &SttConfig) -> Result<Self, SttError> {
        let width = worker_count(config).min(budget.total());
        let mut shared = Shared::new(engines.into(), budget, width);
        (shared.capacity, shared.max_threads) = (config.queue, config.max_threads);
        let scheduler = Self { shared: Arc::new(shared), workers: Mutex::default(), inline: false };
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
        let shared = Shared::new(engine.into(), CpuBudget::new(1), 1);
        Self { shared: Arc::new(shared), workers: Mutex::default(), inline: true }
    }

    /// Queues `utterance`; its outcome is due within `deadline`. Setting `cancel`, or dropping the job, gives it up.
    ///
    /// Under load what matters less is refused ([`SttError::Shed`]), at last a final that would be late
    /// ([`SttError::Overloaded`]). With a full queue a final displaces the least urgent speculation.
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
        let now = Instant::now();
        if !self.inline {
            self.shared.admit(&mut queue, now, kind, utterance.span(), deadline)?;
        }
        if queue.waiting.len() >= self.shared.capacity && !(kind == JobKind::Final && queue.displace_speculation()) {
            counter!(metric::STT_SHED, "kind" => kind.label()).increment(1);
            return Err(SttError::Overloaded(queue.waiting.len()));
        }
        let id = queue.arrivals;
        queue.arrivals += 1;
        let due = now + deadline;
        queue.insert((kind, due, id), Job { utterance, cancel: cancel.clone(), reply, since: now });
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
        self.shared.engines.main.name()
    }

    /// What is being left out now.
    pub fn load(&self) -> Load {
        self.shared.queue().policy.load()
    }

    /// Gives up every job and waits for the workers, for as long as the step takes they are in. Blocks.
    pub fn shutdown(&self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.ranks.clear();
        for job in std::mem::take(&mut queue.waiting).into_values() {
            let _ = job.reply.send(Err(SttError::Cancelled)); // whoever asked may be gone
        }
        queue.running.values().for_each(|running| running.cancel.cancel());
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

impl std::fmt::Debug for SttTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SttTicket").field("id", &self.id).finish_non_exhaustive()
    }
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
        let transcript = decode(&*self.ticket.shared.engines.main, &job.utterance, 1, &job.cancel)?;
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
    fn new(engines: Recognisers, budget: CpuBudget, width: usize) -> Self {
        Self {
            engines,
            budget,
            capacity: usize::MAX,
            width,
            max_threads: 1,
            born: Instant::now(),
            queue: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges the load, and whether this job is worth its time now.
    fn admit(
        &self,
        queue: &mut Queue,
        now: Instant,
        kind: JobKind,
        sound: Millis,
        deadline: Duration,
    ) -> Result<(), SttError> {
        let busy = queue.running.len() >= self.width || self.budget.in_use() >= self.budget.total();
        let wait = queue.wait_of_a_final(now, self.width);
        let pace = if self.engines.small.is_some() { &queue.small_pace } else { &queue.pace };
        // An idle worker tries, whatever the estimate says.
        let late = kind == JobKind::Final && !wait.is_zero() && wait + pace.estimate(sound) > deadline;
        let load = queue.policy.observe(now - self.born, busy, wait, late);
        gauge!(metric::STT_LOAD).set(load.step());
        let refused = match kind {
            JobKind::Partial => load >= Load::NoPartials || busy || !queue.waiting.is_empty(),
            JobKind::Speculative | JobKind::Talk => load >= Load::NoSpeculation,
            JobKind::Final => late,
            JobKind::Background => false,
        };
        if refused {
            counter!(metric::STT_SHED, "kind" => kind.label()).increment(1);
            return Err(if kind == JobKind::Final {
                SttError::Overloaded(queue.waiting.len())
            } else {
                SttError::Shed(kind.label())
            });
        }
        if matches!(kind, JobKind::Final | JobKind::Speculative) && busy {
            queue
                .running
                .values()
                .filter(|running| running.kind == JobKind::Partial)
                .for_each(|running| running.cancel.cancel());
        }
        Ok(())
    }

    /// The recogniser for a job that begins now, and whether it is the small one.
    fn engine_for(&self, kind: JobKind, load: Load) -> (&dyn SpeechToText, bool) {
        match &self.engines.small {
            Some(small) if kind == JobKind::Final && load >= Load::SmallModel => (&**small, true),
            _ => (&*self.engines.main, false),
        }
    }

    /// Lets a decode the caller waits for have idle cores too, while nothing else is to be recognised.
    fn widen(&self, kind: JobKind, load: Load, permit: &mut CpuPermit) {
        let alone = {
            let queue = self.queue();
            queue.waiting.is_empty()
                && queue.running.len() == 1
                && queue.narrow_until.is_none_or(|end| end <= Instant::now())
        };
        if alone && load <= Load::NoPartials && matches!(kind, JobKind::Final | JobKind::Speculative) {
            while permit.permits() < self.max_threads && permit.grow() {}
        }
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

    fn take_best(&mut self) -> Option<Taken> {
        let ((kind, _, id), job) = self.waiting.pop_first()?;
        self.ranks.remove(&id);
        let since = Instant::now();
        let estimate = self.pace.estimate(job.utterance.span());
        self.running.insert(id, Running { kind, cancel: job.cancel.clone(), since, estimate });
        histogram!(metric::STT_WAIT_SECONDS, "kind" => kind.label()).record(since - job.since);
        Some(Taken { id, kind, load: self.policy.load(), job })
    }

    /// Takes in how long a decode took.
    fn learn(&mut self, sound: Millis, took: Duration, threads: usize, is_small: bool) {
        let pace = if is_small { &mut self.small_pace } else { &mut self.pace };
        // Threads that wait for each other on busy cores are slower than one alone, sometimes tens of times.
        if threads > 1 && took > pace.estimate(sound) * 3 / 2 {
            self.narrow_until = Some(Instant::now() + NARROW_FOR);
            return;
        }
        // At most: two threads are not twice as fast.
        pace.learn(sound, took * threads as u32);
    }

    /// How long a final asked for at `now` would wait for a worker: the work before it, shared among `width` of them.
    fn wait_of_a_final(&self, now: Instant, width: usize) -> Duration {
        let left = |running: &Running| running.estimate.saturating_sub(now - running.since);
        let running: Vec<Duration> =
            self.running.values().filter(|running| running.kind != JobKind::Partial).map(left).collect();
        let before = self.waiting.iter().take_while(|((kind, ..), _)| *kind == JobKind::Final);
        let waiting: Duration = before.map(|(_, job)| self.pace.estimate(job.utterance.span())).sum();
        if running.len() < width && waiting.is_zero() {
            return Duration::ZERO;
        }
        (running.iter().sum::<Duration>() + waiting) / width as u32
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
            Some(last) if last.key().0 != JobKind::Final => {
                let ((_, _, id), job) = last.remove_entry();
                self.ranks.remove(&id);
                let _ = job.reply.send(Err(SttError::Overloaded(waiting))); // whoever asked may be gone
                true
            }
            _ => false,
        }
    }
}

/// A job a worker has taken.
struct Taken {
    id: JobId,
    kind: JobKind,
    /// When it was taken.
    load: Load,
    job: Job,
}

/// One worker's life.
async fn work(shared: &Shared) {
    while let Some((Taken { id, kind, load, job }, mut permit)) = next(shared).await {
        let (engine, is_small) = shared.engine_for(kind, load);
        shared.widen(kind, load, &mut permit);
        let threads = permit.permits();
        let outcome = decode(engine, &job.utterance, threads, &job.cancel);
        let mut queue = shared.queue();
        queue.running.remove(&id);
        if let Ok(transcript) = &outcome {
            // A second decode because of a guard says nothing about the pace.
            if transcript.guard.is_none() {
                queue.learn(job.utterance.span(), transcript.decode, threads, is_small);
            }
            histogram!(metric::STT_DECODE_SECONDS, "model" => engine.name().to_owned()).record(transcript.decode);
        }
        drop(queue);
        drop(permit); // after it is known not to be running: the next may have the cores to itself
        let _ = job.reply.send(outcome); // whoever asked may be gone
    }
}

/// Waits for the best job and a permit for it; none when the scheduler closes.
async fn next(shared: &Shared) -> Option<(Taken, CpuPermit)> {
    loop {
        let mut changed = pin!(shared.changed.notified());
        changed.as_mut().enable(); // before looking, so that no change is missed
        let best = {
            let mut queue = shared.queue();
            if queue.closed {
                return None;
            }
            queue.give_up_cancelled();
            // One permit for each job: another would keep a core from the job that could use it.
            let best = queue.best().filter(|_| queue.seeking < queue.waiting.len());
            queue.seeking += usize::from(best.is_some());
            best
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
                    queue.seeking -= 1;
                    queue.give_up_cancelled();
                    // Another worker may have taken the job this permit was for; a lesser one has to queue for its own.
                    if queue.best().is_some_and(|best| best <= priority)
                        && let Some(taken) = queue.take_best()
                    {
                        gauge!(metric::STT_QUEUE).set(queue.waiting.len() as f64);
                        return Some((taken, permit));
                    }
                    break;
                }
                Either::Right(_) => {
                    changed.set(shared.changed.notified());
                    changed.as_mut().enable();
                    let mut queue = shared.queue();
                    if queue.closed || queue.best() != Some(priority) {
                        queue.seeking -= 1;
                        break; // to line up at the priority of what is best now
                    }
                }
            }
        }
    }
}

/// Runs the engine; its panic is an error like any other, and the worker lives on.
fn decode(engine: &dyn SpeechToText, utterance: &Utterance, threads: usize, cancel: &CancelFlag) -> Outcome {
    if cancel.is_cancelled() {
        return Err(SttError::Cancelled);
    }
    let outcome =
        catch_unwind(AssertUnwindSafe(|| engine.transcribe(utterance, threads, cancel))).unwrap_or_else(|panic| {
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
