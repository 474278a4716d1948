//! One CPU budget for speech-to-text, language model and voice on a small machine.
//!
//! Engines whose threads outnumber the cores slow each other down far more than waiting does (ggml's threads spin), so
//! every busy engine thread holds a permit of one pool. Who waits stands in one line, ordered by [`Priority`] and within
//! it by arrival. Permits go to the head of the line only: a request for two is never overtaken by later requests for
//! one, and a higher priority never waits for more than the work already running.
//!
//! Not here: what a thread does with its permit. The budget can't stop work that has begun.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// What the work is for; earlier goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The caller stopped speaking and waits for an answer to these words.
    FinalTranscript,
    /// The first sound of a reply.
    FirstAudio,
    /// The words of a reply.
    Reply,
    /// A transcript on the chance that the caller has finished.
    Speculation,
    /// Sound after the first, needed before the earlier sound has been played.
    LaterAudio,
    /// Nobody waits: warming up, summaries, phrases to cache.
    Background,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 6] =
        [Self::FinalTranscript, Self::FirstAudio, Self::Reply, Self::Speculation, Self::LaterAudio, Self::Background];

    /// Label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FinalTranscript => "final_transcript",
            Self::FirstAudio => "first_audio",
            Self::Reply => "reply",
            Self::Speculation => "speculation",
            Self::LaterAudio => "later_audio",
            Self::Background => "background",
        }
    }
}

/// Why no permit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The cores were busy with more urgent or earlier work.
    #[error("no processor was free within {0:?}")]
    Deadline(Duration),
}

/// The pool. Clones share it.
#[derive(Clone, Debug)]
pub struct CpuBudget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    arrivals: u64,
    /// Keyed by priority, then order of arrival.
    line: BTreeMap<(Priority, u64), Waiter>,
}

#[derive(Debug)]
struct Waiter {
    permits: usize,
    wake: Wake,
}

/// How to tell whoever waits. Either send can fail only when the receiver is being dropped, which gives the permits back.
#[derive(Debug)]
enum Wake {
    Task(oneshot::Sender<()>),
    Thread(SyncSender<()>),
}

impl CpuBudget {
    /// A pool of `permits` busy threads, at least one.
    pub fn new(permits: usize) -> Self {
        let total = permits.max(1);
        Self(Arc::new(Pool { total, state: Mutex::new(State { free: total, arrivals: 0, line: BTreeMap::new() }) }))
    }

    /// A pool as large as the configuration says; 0 means one permit for each core.
    pub fn from_config(config: &crate::config::CpuConfig) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(if config.permits == 0 { cores() } else { config.permits })
    }

    /// Waits at most `deadline` for `permits` (cut to the pool's size, at least one). Needs a tokio timer.
    ///
    /// Dropping the future leaves the line and loses nothing.
    pub async fn acquire(&self, priority: Priority, permits: usize, deadline: Duration) -> Result<CpuPermit, CpuError> {
        timeout(deadline, self.acquire_whenever(priority, permits)).await.map_err(|_| CpuError::Deadline(deadline))
    }

    /// Waits for `permits` as long as it takes, under any executor; for callers who keep the time themselves.
    pub async fn acquire_whenever(&self, priority: Priority, permits: usize) -> CpuPermit {
        let (wake, woken) = oneshot::channel();
        let mut place = self.line_up(priority, permits, Wake::Task(wake));
        // The sender leaves the line only by being used or with `place` itself.
        let _ = woken.await;
        place.take()
    }

    /// The same as [`CpuBudget::acquire`] for engine threads: blocks this thread. Not for tokio workers.
    pub fn acquire_blocking(
        &self,
        priority: Priority,
        permits: usize,
        deadline: Duration,
    ) -> Result<CpuPermit, CpuError> {
        let (wake, woken) = sync_channel(1);
        let mut place = self.line_up(priority, permits, Wake::Thread(wake));
        match woken.recv_timeout(deadline) {
            Ok(()) => Ok(place.take()),
            Err(_) => Err(CpuError::Deadline(deadline)),
        }
    }

    /// Size of the pool.
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// Permits given out now.
    pub fn in_use(&self) -> usize {
        self.0.total - self.0.lock().free
    }

    /// Requests waiting at `priority`.
    pub fn waiting(&self, priority: Priority) -> usize {
        self.0.lock().line.range((priority, 0)..=(priority, u64::MAX)).count()
    }

    fn line_up(&self, priority: Priority, permits: usize, wake: Wake) -> Place {
        let permits = permits.clamp(1, self.0.total);
        let mut state = self.0.lock();
        let key = (priority, state.arrivals);
        state.arrivals += 1;
        state.line.insert(key, Waiter { permits, wake });
        state.serve();
        Place { pool: Arc::clone(&self.0), key, permits, taken: false }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, permits: usize) {
        let mut state = self.lock();
        state.free += permits;
        state.serve();
    }
}

impl State {
    /// Serves the head of the line while there is enough for it.
    fn serve(&mut self) {
        while let Some(head) = self.line.first_entry()
            && head.get().permits <= self.free
        {
            let waiter = head.remove();
            self.free -= waiter.permits;
            // A receiver that is gone belongs to a `Place` whose drop waits for this lock and gives the permits back.
            match waiter.wake {
                Wake::Task(wake) => drop(wake.send(())),
                Wake::Thread(wake) => drop(wake.try_send(())),
            }
        }
    }
}

/// A place in the line; leaving early gives it, or the permits already granted, to the next.
struct Place {
    pool: Arc<Pool>,
    key: (Priority, u64),
    permits: usize,
    taken: bool,
}

impl Place {
    fn take(&mut self) -> CpuPermit {
        self.taken = true;
        CpuPermit { pool: Arc::clone(&self.pool), permits: self.permits }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut state = self.pool.lock();
        if state.line.remove(&self.key).is_none() {
            state.free += self.permits; // granted, but nobody came for it
        }
        state.serve(); // it may have been the head that kept others waiting
    }
}

/// The right to keep some threads busy. Dropping it gives all of it back.
#[derive(Debug)]
#[must_use = "the permit is given back when it is dropped"]
pub struct CpuPermit {
    pool: Arc<Pool>,
    permits: usize,
}

impl CpuPermit {
    /// Permits held.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Takes one permit more if one is free and nobody waits; true if it did.
    pub fn grow(&mut self) -> bool {
        let mut state = self.pool.lock();
        let grows = state.free > 0 && state.line.is_empty();
        if grows {
            state.free -= 1;
            self.permits += 1;
        }
        grows
    }

    /// Gives back `permits` of them, or all there are; the work goes on with fewer threads.
    pub fn release(&mut self, permits: usize) {
        let released = permits.min(self.permits);
        if released > 0 {
            self.permits -= released;
            self.pool.give_back(released);
        }
    }
}

impl Drop for CpuPermit {
    fn drop(&mut self) {
        self.release(self.permits);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures::FutureExt;
    use proptest::prelude::*;

    use super::Priority::*;
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    type Pending = Pin<Box<dyn Future<Output = Result<CpuPermit, CpuError>>>>;

    fn ask(budget: &CpuBudget, priority: Priority, permits: usize) -> Pending {
        let budget = budget.clone();
        let mut pending = Box::pin(async move { budget.acquire(priority, permits, LONG).await }) as Pending;
        // The place in the line is taken at the first poll.
        if let Some(granted) = (&mut pending).now_or_never() {
            return Box::pin(async move { granted });
        }
        pending
    }

    fn granted(pending: &mut Pending) -> Option<CpuPermit> {
        pending.now_or_never().map(|result| result.expect("the deadline is far"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_urgent_goes_first_and_equals_in_order_of_arrival() {
        let budget = CpuBudget::new(1);
        let running = granted(&mut ask(&budget, Reply, 1)).expect("free");
        let (mut late, mut speculative) = (ask(&budget, LaterAudio, 1), ask(&budget, Speculation, 1));
        let (mut first, mut second) = (ask(&budget, FinalTranscript, 1), ask(&budget, FinalTranscript, 1));
        assert_eq!((budget.waiting(FinalTranscript), budget.waiting(Speculation)), (2, 1));
        drop(running);
        assert!(granted(&mut second).is_none());
        drop(granted(&mut first).expect("most urgent and first"));
        assert!(granted(&mut speculative).is_none());
        drop(granted(&mut second).expect("most urgent"));
        assert!(granted(&mut late).is_none());
        drop(granted(&mut speculative).expect("next"));
        assert_eq!(granted(&mut late).expect("last").permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_is_not_overtaken_by_later_small_ones() {
        let budget = CpuBudget::new(2);
        let running = granted(&mut ask(&budget, Reply, 1)).expect("free");
        let mut two = ask(&budget, Reply, 2);
        let mut one = ask(&budget, Reply, 1);
        assert!(granted(&mut one).is_none(), "a core is idle, but the request for two came first");
        drop(running);
        assert_eq!(granted(&mut two).expect("both").permits(), 2);
        assert_eq!(granted(&mut one).map(|permit| permit.permits()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn part_of_a_permit_can_be_given_back() {
        let budget = CpuBudget::new(2);
        let mut both = granted(&mut ask(&budget, Reply, 2)).expect("free");
        let mut waiting = ask(&budget, FirstAudio, 1);
        assert!(granted(&mut waiting).is_none());
        both.release(1);
        let audio = granted(&mut waiting).expect("the half given back");
        assert_eq!((both.permits(), budget.in_use()), (1, 2));
        both.release(9);
        drop((both, audio));
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_grows_only_into_idle_cores() {
        let budget = CpuBudget::new(2);
        let mut one = granted(&mut ask(&budget, FinalTranscript, 1)).expect("free");
        assert!(one.grow());
        assert_eq!((one.permits(), budget.in_use()), (2, 2));
        assert!(!one.grow(), "there is no third");
        let mut waiting = ask(&budget, Background, 2);
        assert!(granted(&mut waiting).is_none());
        one.release(1);
        assert!(!one.grow(), "somebody waits for it");
        drop(one);
        assert_eq!(granted(&mut waiting).expect("both").permits(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_leaves_the_line() {
        let budget = CpuBudget::new(1);
        let running = granted(&mut ask(&budget, Reply, 1)).expect("free");
        let within = Duration::from_millis(300);
        assert_eq!(budget.acquire(FinalTranscript, 1, within).await.err(), Some(CpuError::Deadline(within)));
        assert_eq!(budget.waiting(FinalTranscript), 0);
        drop(running);
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_the_head_of_the_line_serves_those_behind_it() {
        let budget = CpuBudget::new(2);
        let running = granted(&mut ask(&budget, Reply, 1)).expect("free");
        let two = ask(&budget, Reply, 2);
        let mut one = ask(&budget, Reply, 1);
        drop(two);
        let one = granted(&mut one).expect("nobody stands before it");
        drop((one, running));
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_nobody_came_for_is_given_on() {
        let budget = CpuBudget::new(1);
        let running = granted(&mut ask(&budget, Reply, 1)).expect("free");
        let (abandoned, mut next) = (ask(&budget, Reply, 1), ask(&budget, Reply, 1));
        drop(running); // grants the first
        drop(abandoned);
        assert!(granted(&mut next).is_some());
    }

    #[test]
    fn threads_wait_in_the_same_line() {
        let budget = CpuBudget::new(1);
        let running = budget.acquire_blocking(Reply, 1, Duration::ZERO).expect("free");
        let missed = Duration::from_millis(1);
        assert_eq!(budget.acquire_blocking(Reply, 1, missed).err(), Some(CpuError::Deadline(missed)));
        let other = budget.clone();
        let thread = std::thread::spawn(move || other.acquire_blocking(Reply, 1, LONG).map(|permit| permit.permits()));
        while budget.waiting(Reply) == 0 {
            std::thread::yield_now();
        }
        drop(running);
        assert_eq!(thread.join().expect("no panic"), Ok(1));
        assert_eq!(budget.in_use(), 0);
    }

    #[test]
    fn more_than_there_is_means_all_there_is() {
        let budget = CpuBudget::new(0);
        assert_eq!(budget.total(), 1);
        assert_eq!(budget.acquire_blocking(Reply, 8, Duration::ZERO).map(|permit| permit.permits()), Ok(1));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Ask(usize, usize),
        Drop(usize),
        Release(usize, usize),
        Cancel(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0usize..6, 1usize..5).prop_map(|(priority, permits)| Op::Ask(priority, permits)),
            2 => any::<usize>().prop_map(Op::Drop),
            1 => (any::<usize>(), 1usize..3).prop_map(|(which, permits)| Op::Release(which, permits)),
            1 => any::<usize>().prop_map(Op::Cancel),
        ]
    }

    fn remove<T>(from: &mut Vec<T>, which: usize) -> Option<T> {
        (!from.is_empty()).then(|| from.remove(which % from.len()))
    }

    proptest! {
        /// Whatever is asked, dropped, released and cancelled: never more out than there are, the head of the line is
        /// served as soon as there is enough, and nobody is forgotten.
        #[test]
        fn never_too_many_and_never_a_lost_wake_up(total in 1usize..5, ops in prop::collection::vec(op(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            let _entered = runtime.enter();
            let budget = CpuBudget::new(total);
            let mut held: Vec<CpuPermit> = Vec::new();
            let mut line: Vec<((Priority, usize), usize, Pending)> = Vec::new();
            for (arrival, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Ask(priority, permits) => {
                        let priority = Priority::ALL[priority];
                        line.push(((priority, arrival), permits.min(total), ask(&budget, priority, permits)));
                    }
                    Op::Drop(which) => drop(remove(&mut held, which)),
                    Op::Cancel(which) => drop(remove(&mut line, which)),
                    Op::Release(which, permits) => if !held.is_empty() {
                        let which = which % held.len();
                        held[which].release(permits);
                    },
                }
                line.sort_by_key(|(key, ..)| *key);
                // The model: the head of the line, as long as it fits.
                while let Some((_, permits, _)) = line.first()
                    && held.iter().map(CpuPermit::permits).sum::<usize>() + permits <= total
                {
                    let (_, _, mut pending) = line.remove(0);
                    held.push(granted(&mut pending).expect("it fits and is first"));
                }
                for (_, _, pending) in &mut line {
                    prop_assert!(granted(pending).is_none());
                }
                prop_assert_eq!(budget.in_use(), held.iter().map(CpuPermit::permits).sum::<usize>());
                prop_assert!(budget.in_use() <= total);
            }
            drop((held, line));
            prop_assert_eq!(budget.in_use(), 0);
            prop_assert!(Priority::ALL.iter().all(|priority| budget.waiting(*priority) == 0));
        }
    }
}
