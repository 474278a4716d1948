//! Tests of the scheduler with a recogniser that waits for the test to let it go.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use futures::FutureExt;

use super::*;
use crate::audio::units::SampleRate;
use crate::engine::stt::conformance::utterance;
use crate::engine::stt::fake::{FakeStt, Step};

const LONG: Duration = Duration::from_secs(60);

/// Says `n` for an utterance of `n` samples, in the order it gets them, once the test lets it.
struct Gate {
    begun: SyncSender<usize>,
    go: Mutex<Receiver<()>>,
    /// Of each decode.
    threads: Mutex<Vec<usize>>,
}

impl Gate {
    fn new() -> (Self, Receiver<usize>, SyncSender<()>) {
        let ((begun, begins), (go, goes)) = (sync_channel(64), sync_channel(64));
        (Self { begun, go: Mutex::new(goes), threads: Mutex::default() }, begins, go)
    }
}

impl SpeechToText for Gate {
    fn transcribe(&self, utterance: &Utterance, threads: usize, cancel: &CancelFlag) -> Outcome {
        let number = utterance.pcm.len();
        self.threads.lock().expect("no panic").push(threads);
        self.begun.send(number).expect("the test listens");
        loop {
            match self.go.lock().expect("no panic").recv_timeout(Duration::from_millis(1)) {
                Ok(()) => return Ok(Transcript { text: number.to_string(), ..Transcript::default() }),
                Err(_) if cancel.is_cancelled() => return Err(SttError::Cancelled),
                Err(_) => {}
            }
        }
    }

    fn name(&self) -> &str {
        "gate"
    }
}

struct Bench {
    scheduler: SttScheduler,
    engine: Arc<Gate>,
    budget: CpuBudget,
    begun: Receiver<usize>,
    go: SyncSender<()>,
    cancel: CancelFlag,
}

impl Bench {
    fn new(workers: usize, capacity: usize) -> Self {
        let (gate, begins, go) = Gate::new();
        let engine = Arc::new(gate);
        let budget = CpuBudget::new(workers);
        let config = SttConfig { workers, queue: capacity, ..SttConfig::default() };
        let scheduler = SttScheduler::start(Arc::clone(&engine), budget.clone(), &config).expect("threads");
        Self { scheduler, engine, budget, begun: begins, go, cancel: CancelFlag::new() }
    }

    fn submit(&self, number: usize, kind: JobKind) -> SttJob {
        self.try_submit(number, kind, LONG).expect("there is room")
    }

    fn try_submit(&self, number: usize, kind: JobKind, deadline: Duration) -> Result<SttJob, SttError> {
        self.scheduler.submit(utterance(vec![1; number]), kind, deadline, &self.cancel)
    }

    /// Which job has begun. Blocks the test's thread, which no worker needs.
    fn begun(&self) -> usize {
        self.begun.recv_timeout(LONG).expect("a job begins")
    }

    fn let_one_go(&self) {
        self.go.send(()).expect("the engine listens");
    }
}

async fn text(job: SttJob) -> String {
    job.outcome().await.expect("a transcript").text
}

#[tokio::test]
async fn finals_go_before_speculations_and_the_earlier_deadline_first() {
    let bench = Bench::new(1, 16);
    let running = bench.submit(1, JobKind::Speculative);
    assert_eq!(bench.begun(), 1);
    let speculation = bench.submit(2, JobKind::Speculative);
    let late = bench.try_submit(3, JobKind::Final, LONG * 2).expect("room");
    let early = bench.submit(4, JobKind::Final);
    assert_eq!(bench.scheduler.waiting(), 3);
    for expected in [4, 3, 2] {
        bench.let_one_go();
        assert_eq!(bench.begun(), expected);
    }
    bench.let_one_go();
    let texts = [text(running).await, text(speculation).await, text(late).await, text(early).await];
    assert_eq!(texts, ["1", "2", "3", "4"]);
    assert_eq!(bench.budget.in_use(), 0);
}

#[tokio::test]
async fn a_promoted_speculation_goes_before_the_others() {
    let bench = Bench::new(1, 16);
    let running = bench.submit(1, JobKind::Final);
    assert_eq!(bench.begun(), 1);
    let (other, chosen) = (bench.submit(2, JobKind::Speculative), bench.submit(3, JobKind::Speculative));
    chosen.ticket().promote(LONG);
    bench.let_one_go();
    assert_eq!(bench.begun(), 3);
    bench.let_one_go();
    bench.let_one_go();
    assert_eq!((text(running).await, text(chosen).await, text(other).await), ("1".into(), "3".into(), "2".into()));
}

#[tokio::test]
async fn promotion_moves_the_deadline() {
    let bench = Bench::new(1, 16);
    let running = bench.submit(1, JobKind::Final);
    assert_eq!(bench.begun(), 1);
    let chosen = bench.try_submit(2, JobKind::Speculative, Duration::from_millis(30)).expect("room");
    chosen.ticket().promote(LONG);
    let outcome = tokio::join!(text(chosen), async {
        sleep(Duration::from_millis(60)).await;
        bench.let_one_go();
        bench.let_one_go();
    });
    assert_eq!(outcome.0, "2");
    assert_eq!(text(running).await, "1");
}

#[tokio::test]
async fn a_worker_waits_for_a_permit_at_the_priority_of_the_best_job() {
    let bench = Bench::new(1, 16);
    let busy = bench.budget.acquire(Priority::Reply, 1, LONG).await.expect("free");
    let speculation = bench.submit(1, JobKind::Speculative);
    while bench.budget.waiting(Priority::Speculation) == 0 {
        std::thread::yield_now();
    }
    let last = bench.submit(2, JobKind::Final);
    while bench.budget.waiting(Priority::FinalTranscript) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(bench.budget.waiting(Priority::Speculation), 0);
    drop(busy);
    assert_eq!(bench.begun(), 2);
    assert_eq!(bench.budget.in_use(), 1);
    bench.let_one_go();
    bench.let_one_go();
    assert_eq!((text(last).await, text(speculation).await), ("2".into(), "1".into()));
}

#[tokio::test]
async fn a_full_queue_refuses_but_a_final_displaces_a_speculation() {
    let bench = Bench::new(1, 2);
    let running = bench.submit(1, JobKind::Final);
    assert_eq!(bench.begun(), 1);
    let (first, second) = (bench.submit(2, JobKind::Speculative), bench.submit(3, JobKind::Speculative));
    assert!(matches!(bench.try_submit(4, JobKind::Speculative, LONG), Err(SttError::Overloaded(2))));
    let last = bench.submit(5, JobKind::Final);
    assert!(matches!(second.outcome().await, Err(SttError::Overloaded(2))), "it was due last");
    let more = bench.submit(6, JobKind::Final);
    assert!(matches!(first.outcome().await, Err(SttError::Overloaded(2))));
    assert!(matches!(bench.try_submit(7, JobKind::Final, LONG), Err(SttError::Overloaded(2))));
    (0..3).for_each(|_| bench.let_one_go());
    assert_eq!((text(running).await, text(last).await, text(more).await), ("1".into(), "5".into(), "6".into()));
}

#[tokio::test]
async fn a_missed_deadline_frees_the_worker_and_the_queue() {
    let bench = Bench::new(1, 16);
    let within = Duration::from_millis(400); // what two decodes are thought to take
    let running = bench.try_submit(1, JobKind::Final, within).expect("room");
    let waiting = bench.try_submit(2, JobKind::Final, within).expect("room");
    assert_eq!(bench.begun(), 1);
    assert!(matches!(waiting.outcome().await, Err(SttError::Deadline(deadline)) if deadline == within));
    assert_eq!(bench.scheduler.waiting(), 0);
    assert!(matches!(running.outcome().await, Err(SttError::Deadline(_))));
    let next = bench.submit(3, JobKind::Final);
    assert_eq!(bench.begun(), 3, "the first was cancelled while it ran");
    bench.let_one_go();
    assert_eq!(text(next).await, "3");
}

#[tokio::test]
async fn cancelled_and_dropped_jobs_are_given_up() {
    let bench = Bench::new(1, 16);
    let running = bench.submit(1, JobKind::Final);
    assert_eq!(bench.begun(), 1);
    let dropped = bench.submit(2, JobKind::Final);
    drop(dropped);
    assert_eq!(bench.scheduler.waiting(), 0);
    let cancel = CancelFlag::new();
    let cancelled = bench.scheduler.submit(utterance(vec![1; 3]), JobKind::Final, LONG, &cancel).expect("room");
    cancel.cancel();
    let other = bench.submit(4, JobKind::Final);
    assert!(matches!(cancelled.outcome().await, Err(SttError::Cancelled)));
    bench.cancel.cancel();
    assert!(matches!(running.outcome().await, Err(SttError::Cancelled)));
    assert!(matches!(other.outcome().await, Err(SttError::Cancelled)));
}

#[tokio::test]
async fn two_workers_decode_at_once_and_share_the_budget() {
    let bench = Bench::new(2, 16);
    // All are in line before the first can begin: alone it would have both cores.
    let busy = bench.budget.acquire(Priority::Reply, 2, LONG).await.expect("free");
    let jobs =
        [bench.submit(1, JobKind::Final), bench.submit(2, JobKind::Speculative), bench.submit(3, JobKind::Final)];
    drop(busy);
    let mut begun = [bench.begun(), bench.begun()];
    begun.sort_unstable();
    assert_eq!((begun, bench.budget.in_use()), ([1, 3], 2));
    (0..3).for_each(|_| bench.let_one_go());
    let mut texts: Vec<String> = futures::future::join_all(jobs.map(text)).await;
    texts.sort();
    assert_eq!(texts, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_partial_needs_an_idle_worker_and_gives_way_to_a_final() {
    let bench = Bench::new(2, 16);
    let partial = bench.submit(1, JobKind::Partial);
    assert_eq!(bench.begun(), 1);
    let speculation = bench.submit(2, JobKind::Speculative);
    assert_eq!(bench.begun(), 2);
    let refused = bench.try_submit(3, JobKind::Partial, LONG);
    assert!(matches!(refused, Err(SttError::Shed("partial"))), "no worker is free");
    assert_eq!(bench.scheduler.load(), Load::NoPartials);
    let last = bench.submit(4, JobKind::Final);
    assert!(matches!(partial.outcome().await, Err(SttError::Cancelled)));
    assert_eq!(bench.begun(), 4, "in place of the partial");
    (0..2).for_each(|_| bench.let_one_go());
    let mut texts = [text(speculation).await, text(last).await];
    texts.sort();
    assert_eq!(texts, ["2", "4"]);
    bench.submit(5, JobKind::Partial).outcome().now_or_never();
    assert_eq!(bench.scheduler.load(), Load::Calm);
}

#[tokio::test]
async fn speculations_are_left_out_before_finals_are_refused() {
    let bench = Bench::new(1, 64);
    let second = SampleRate::WIDEBAND.0 as usize;
    let running = bench.submit(second, JobKind::Final); // thought to take 0.3 s, as each of them
    assert_eq!(bench.begun(), second);
    let mut finals = vec![bench.submit(second, JobKind::Final)];
    assert_eq!(bench.scheduler.load(), Load::NoPartials);
    finals.push(bench.submit(second, JobKind::Final));
    assert!(matches!(bench.try_submit(1, JobKind::Speculative, LONG), Err(SttError::Shed("speculative"))));
    // Enough of them, however much of the running one is thought to be done by now.
    finals.extend((0..4).map(|_| bench.submit(second, JobKind::Final)));
    assert_eq!(bench.scheduler.load(), Load::SmallModel, "which there is none of");
    let late = bench.try_submit(second, JobKind::Final, Duration::from_secs(1));
    assert!(matches!(late, Err(SttError::Overloaded(6))), "at once, and not after a second");
    assert_eq!(bench.scheduler.load(), Load::Shedding);
    finals.push(bench.submit(second, JobKind::Final)); // with time enough it is taken
    (0..8).for_each(|_| bench.let_one_go());
    assert_eq!(text(running).await, second.to_string());
    for job in finals {
        assert_eq!(text(job).await, second.to_string());
    }
}

#[tokio::test]
async fn the_small_model_hears_finals_under_load() {
    let (gate, begins, go) = Gate::new();
    let main = Arc::new(gate);
    let small = Arc::new(FakeStt::saying(["small"; 8]));
    let config = SttConfig { workers: 1, ..SttConfig::default() };
    let engines = Recognisers { main, small: Some(small) };
    let scheduler = SttScheduler::start(engines, CpuBudget::new(1), &config).expect("threads");
    let cancel = CancelFlag::new();
    let submit = |kind| scheduler.submit(utterance(vec![1; 16_000]), kind, LONG, &cancel).expect("room");
    let speculation = submit(JobKind::Speculative);
    begins.recv_timeout(LONG).expect("it begins");
    let finals: Vec<SttJob> = (0..6).map(|_| submit(JobKind::Final)).collect();
    assert_eq!(scheduler.load(), Load::SmallModel);
    go.send(()).expect("the engine listens");
    assert_eq!(text(speculation).await, "16000");
    for job in finals {
        assert_eq!(text(job).await, "small");
    }
}

#[tokio::test]
async fn one_alone_has_the_idle_cores_too() {
    let bench = Bench::new(2, 16);
    let threads = || bench.engine.threads.lock().expect("no panic").clone();
    let alone = bench.submit(1, JobKind::Speculative);
    assert_eq!((bench.begun(), threads(), bench.budget.in_use()), (1, vec![2], 2));
    bench.let_one_go();
    assert_eq!(text(alone).await, "1");
    let second = bench.submit(2, JobKind::Final);
    assert_eq!((bench.begun(), threads()[1]), (2, 2));
    bench.let_one_go();
    assert_eq!((text(second).await.as_str(), bench.budget.in_use()), ("2", 0));
    let partial = bench.submit(3, JobKind::Partial);
    assert_eq!((bench.begun(), threads()[2], bench.budget.in_use()), (3, 1, 1), "nobody waits for it");
    bench.let_one_go();
    assert_eq!(text(partial).await, "3");
    let busy = bench.budget.acquire(Priority::Reply, 1, LONG).await.expect("free");
    let narrow = bench.submit(4, JobKind::Final);
    assert_eq!((bench.begun(), threads()[3]), (4, 1), "the other core is busy");
    bench.let_one_go();
    assert_eq!(text(narrow).await, "4");
    drop(busy);
}

#[test]
fn threads_that_make_it_slower_are_left_out_for_a_while() {
    let mut queue = Queue::default();
    let (sound, fast) = (Millis(3_000), Duration::from_millis(100));
    queue.learn(sound, fast, 2, false);
    assert!(queue.narrow_until.is_none());
    assert!(queue.pace.estimate(sound) < Pace::default().estimate(sound));
    let before = queue.pace.estimate(sound);
    queue.learn(sound, Duration::from_secs(15), 2, false);
    assert!(queue.narrow_until.is_some_and(|end| end > Instant::now()));
    assert_eq!(queue.pace.estimate(sound), before, "says nothing about one thread");
}

#[tokio::test]
async fn a_panic_in_the_engine_is_an_error_and_the_worker_goes_on() {
    let engine = Arc::new(FakeStt::new([Step::Panic, Step::Fail("no".to_owned()), Step::say("hello")]));
    let config = SttConfig { workers: 1, ..SttConfig::default() };
    let scheduler = SttScheduler::start(engine, CpuBudget::new(1), &config).expect("threads");
    let cancel = CancelFlag::new();
    let hear = || scheduler.transcribe(utterance(vec![1; 320]), JobKind::Final, LONG, &cancel);
    assert!(matches!(hear().await, Err(SttError::Engine(words)) if words == "panicked: scripted panic"));
    assert!(matches!(hear().await, Err(SttError::Engine(words)) if words == "no"));
    assert_eq!(hear().await.expect("a transcript").text, "hello");
}

#[tokio::test]
async fn shutting_down_answers_everybody_and_ends_the_threads() {
    let bench = Bench::new(1, 16);
    let running = bench.submit(1, JobKind::Final);
    assert_eq!(bench.begun(), 1);
    let waiting = bench.submit(2, JobKind::Final);
    bench.scheduler.shutdown();
    assert!(bench.scheduler.workers().is_empty());
    assert!(matches!(running.outcome().await, Err(SttError::Cancelled)));
    assert!(matches!(waiting.outcome().await, Err(SttError::Cancelled)));
    assert!(matches!(bench.try_submit(3, JobKind::Final, LONG), Err(SttError::Cancelled)));
    assert_eq!(bench.budget.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_threads_decodes_take_simulated_time() {
    let steps = [Step::say("one").after(Duration::from_secs(3)), Step::say("two").after(Duration::from_secs(9))];
    let scheduler = SttScheduler::inline(Arc::new(FakeStt::new(steps).without_sleeping()));
    let begun = Instant::now();
    let within = Duration::from_secs(8);
    let cancel = CancelFlag::new();
    let hear = || scheduler.transcribe(utterance(vec![1; 320]), JobKind::Final, within, &cancel);
    assert_eq!(hear().await.expect("a transcript").text, "one");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert!(matches!(hear().await, Err(SttError::Deadline(_))));
    assert_eq!(begun.elapsed().as_secs(), 11);
}
