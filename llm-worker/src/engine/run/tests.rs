use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::*;
use crate::engine::fake::{FakeBackend, Record, generation, job};
use crate::model::Constraint;

const POLICY: Policy = Policy { threads: 2, threads_after_clause: 1, batch: 8 };

fn tokens(text: &str) -> Vec<Token> {
    text.bytes().map(Token::from).collect()
}

struct Bench {
    queue: Arc<JobQueue>,
    status: Arc<Status>,
    log: Arc<Mutex<Vec<Record>>>,
    engine: Engine<FakeBackend>,
}

#[derive(Debug, Default)]
struct Answer {
    text: String,
    pieces: Vec<String>,
    logprobs: Vec<TokenLogProb>,
    summary: Option<Summary>,
    error: Option<EngineError>,
}

impl Bench {
    fn new(configure: impl FnOnce(&mut FakeBackend, &Arc<JobQueue>)) -> Self {
        let queue = Arc::new(JobQueue::new(8));
        let mut backend = FakeBackend::new("We deliver on Monday, and on Friday too.");
        configure(&mut backend, &queue);
        let status = Arc::new(Status::default());
        let log = Arc::clone(&backend.log);
        let engine = Engine::new(backend, Arc::clone(&queue), Arc::clone(&status), POLICY);
        Self { queue, status, log, engine }
    }

    fn serve(&mut self, prompt: &str, change: impl FnOnce(&mut Job)) -> Answer {
        let (mut job, mut events) = job(&tokens(prompt), false);
        change(&mut job);
        self.engine.serve(job);
        read(&mut events)
    }

    fn evaluated(&self) -> Vec<String> {
        let mut log = self.log.lock().expect("no test panics in here");
        log.drain(..).filter(|record| record.done).map(|record| record.text).collect()
    }
}

fn read(events: &mut mpsc::Receiver<Event>) -> Answer {
    let mut answer = Answer::default();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::Started => {}
            Event::Text { text, logprobs } => {
                answer.text.push_str(&text);
                answer.pieces.push(text);
                answer.logprobs.extend(logprobs);
            }
            Event::Done(summary) => answer.summary = Some(summary),
            Event::Failed(error) => answer.error = Some(error),
        }
    }
    answer
}

fn with(change: impl FnOnce(&mut Generation)) -> impl FnOnce(&mut Job) {
    |job| {
        let mut changed = generation();
        change(&mut changed);
        job.kind = JobKind::Generate(changed);
    }
}

fn warm(pin: Option<bool>) -> impl FnOnce(&mut Job) {
    move |job| job.kind = JobKind::Warm { pin }
}

#[test]
fn a_reply_comes_in_pieces_and_is_counted() {
    let mut bench = Bench::new(|_, _| {});
    let answer = bench.serve("When?>", |_| {});
    assert_eq!(answer.text, "We deliver on Monday, and on Friday too.");
    assert!(answer.pieces.len() > 10, "it is streamed");
    let summary = answer.summary.expect("it ended");
    assert_eq!(summary.finish, Finish::Stop);
    assert_eq!((summary.prompt_tokens, summary.cached_tokens, summary.completion_tokens), (6, 0, 40));
    assert_eq!(bench.status.snapshot().served, 1);
    assert_eq!(bench.status.snapshot().used, 46);
}

#[test]
fn threads_drop_when_the_first_clause_is_out() {
    let mut bench = Bench::new(|_, _| {});
    bench.serve("When?>", |_| {});
    let log = bench.log.lock().expect("no test panics in here");
    let first_slow = log.iter().find(|record| record.threads == 1).expect("the rest uses fewer threads");
    assert_eq!(first_slow.text, ",", "the token that ended the clause is the first evaluated with fewer");
    assert!(log.iter().filter(|record| record.from < first_slow.from).all(|record| record.threads == 2));
}

#[test]
fn only_the_tail_of_a_known_beginning_is_evaluated() {
    let mut bench = Bench::new(|_, _| {});
    let warmed = bench.serve("system note.", warm(Some(true))).summary.expect("it ended");
    assert!(warmed.pinned);
    assert_eq!(bench.evaluated(), ["system n", "ote."], "batches of eight");
    let summary = bench.serve("system note.Q?>", with(|g| g.max_tokens = 1)).summary.expect("it ended");
    assert_eq!(summary.cached_tokens, 12);
    assert_eq!(bench.evaluated(), ["Q?>"]);
    let again = bench.serve("system note.", warm(Some(true))).summary.expect("it ended");
    assert_eq!((again.cached_tokens, again.pinned), (12, true));
    assert!(bench.evaluated().is_empty());
    assert!(bench.status.snapshot().prefixes.iter().any(|prefix| prefix.pinned && prefix.hits == 1));
}

#[test]
fn pins_are_released_on_request() {
    let mut bench = Bench::new(|_, _| {});
    bench.serve("one", warm(Some(true)));
    bench.serve("two", warm(Some(true)));
    assert_eq!(bench.status.snapshot().pinned, 6);
    assert!(!bench.serve("one", warm(Some(false))).summary.expect("it ended").pinned);
    assert_eq!(bench.status.snapshot().pinned, 3);
    bench.serve("", |job| job.kind = JobKind::UnpinAll);
    assert_eq!(bench.status.snapshot().pinned, 0);
    assert_eq!(bench.status.snapshot().used, 6, "what was pinned stays until the room is needed");
}

#[test]
fn too_many_pins_are_refused() {
    let mut bench = Bench::new(|backend, _| backend.cells = 100);
    let refused = bench.serve(&"x".repeat(76), warm(Some(true)));
    assert!(matches!(refused.error, Some(EngineError::PinBudget(_))), "{refused:?}");
    assert!(bench.serve(&"x".repeat(75), warm(Some(true))).summary.expect("it ended").pinned);
}

#[test]
fn max_tokens_the_limit_and_stop_strings_end_a_reply() {
    let mut bench = Bench::new(|backend, _| backend.limit = 30);
    let short = bench.serve("When?>", with(|g| g.max_tokens = 2));
    assert_eq!(short.text, "We");
    assert_eq!(short.summary.expect("it ended").finish, Finish::Length);
    let limited = bench.serve("When?>", |_| {});
    assert_eq!(limited.text.len(), 24, "30 less the prompt");
    assert_eq!(limited.summary.expect("it ended").finish, Finish::Length);
    let stopped = bench.serve("When?>", with(|g| g.stop = vec![" on".into()]));
    assert_eq!(stopped.text, "We deliver");
    assert_eq!(stopped.summary.expect("it ended").finish, Finish::Stop);
}

#[test]
fn log_probabilities_come_with_their_text() {
    let mut bench = Bench::new(|_, _| {});
    let answer = bench.serve(
        "When?>",
        with(|g| {
            g.logprobs = Some(2);
            g.stop = vec!["deliver".into()];
        }),
    );
    assert_eq!(answer.text, "We ");
    assert_eq!(answer.logprobs.len(), 3, "tokens of the stop string are not reported");
    let first = &answer.logprobs[0];
    assert_eq!(first.piece, b"W");
    let expected = 5.0 - (255.0 + 5.0f32.exp()).ln();
    assert!((first.logprob - expected).abs() < 1e-4);
    assert_eq!(first.top[0], (b"W".to_vec(), first.logprob));
    assert_eq!(first.top.len(), 2);
}

#[test]
fn a_constraint_chooses_and_ends() {
    struct Spells(Vec<u8>);
    impl Constraint for Spells {
        fn allows(&mut self, token: Token) -> bool {
            self.0.first().map_or(token == 0, |byte| token == Token::from(*byte))
        }
        fn mask(&mut self, logits: &mut [f32]) {
            for (token, logit) in logits.iter_mut().enumerate() {
                if !self.allows(token as Token) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        fn accept(&mut self, token: Token) -> bool {
            self.allows(token) && !self.0.is_empty() && self.0.remove(0) > 0
        }
    }
    let mut bench = Bench::new(|_, _| {});
    let answer = bench.serve("When?>", with(|g| g.constraint = Some(Box::new(Spells(b"Wed".to_vec())))));
    assert_eq!(answer.text, "Wed");
    assert_eq!(answer.summary.expect("it ended").finish, Finish::Stop);
}

#[test]
fn a_full_cache_ends_the_reply_not_the_process() {
    let mut bench = Bench::new(|backend, _| backend.cells = 40);
    bench.serve("pinned pinned pinned", warm(Some(true)));
    let answer = bench.serve("When?>", |_| {});
    assert_eq!(answer.text.len(), 15, "20 cells are left: 6 for the prompt, 14 evaluated, one more drawn");
    assert_eq!(answer.summary.expect("it ended").finish, Finish::Length);
    let refused = bench.serve(&format!("{}>", "y".repeat(20)), |_| {});
    assert!(matches!(refused.error, Some(EngineError::CacheFull(_))), "{refused:?}");
    assert_eq!(bench.serve("Hi>", |_| {}).text.len(), 18, "the next request is fine");
}

#[test]
fn a_failed_evaluation_ends_its_request_only() {
    let mut bench = Bench::new(|backend, _| backend.fails_on = Some(b'#'));
    let failed = bench.serve("a#>", |_| {});
    assert_eq!(failed.error, Some(EngineError::Decode(DecodeError::Failed(-3))));
    assert_eq!(bench.serve("b>", |_| {}).text.len(), 40);
    assert_eq!(bench.status.snapshot().failed, 1);
}

#[test]
fn a_client_that_leaves_stops_the_evaluation_at_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let cancel = crate::engine::CancelFlag::default();
    let mut bench = Bench::new(|backend, _| {
        let (calls, cancel) = (Arc::clone(&calls), cancel.clone());
        backend.hook = Some(Box::new(move |_| {
            if calls.fetch_add(1, Ordering::Relaxed) == 10 {
                cancel.raise();
            }
        }));
    });
    let answer = bench.serve(&format!("{}>", "z".repeat(100)), |job| job.cancel = cancel.clone());
    assert!(answer.summary.is_none() && answer.error.is_none() && answer.text.is_empty());
    assert_eq!(calls.load(Ordering::Relaxed), 11, "not one more token");
    assert_eq!(bench.status.snapshot().cancelled, 1);
    assert_eq!(bench.status.snapshot().used, 8, "the finished batch is kept for the next try");
}

#[test]
fn a_dropped_receiver_stops_the_generation() {
    let mut bench = Bench::new(|_, _| {});
    let (job, events) = job(&tokens("When?>"), false);
    drop(events);
    bench.engine.serve(job);
    assert_eq!(bench.evaluated().concat(), "When?>");
}

#[test]
fn shutting_down_ends_a_running_request_with_an_error() {
    let mut bench = Bench::new(|backend, queue| {
        let queue = Arc::clone(queue);
        backend.hook = Some(Box::new(move |record| {
            if record.text == "M" {
                queue.close();
            }
        }));
    });
    let answer = bench.serve("When?>", |_| {});
    assert_eq!(answer.error, Some(EngineError::ShuttingDown));
    assert_eq!(answer.text, "We deliver on M");
}

/// A caller's request arrives while a background one evaluates `at`; both must end with the whole reply.
#[track_caller]
fn check_pause(at: &'static str, cells: usize, urgent: &str) -> (Vec<Record>, Answer) {
    let sent = Arc::new(Mutex::new(None));
    let mut bench = Bench::new(|backend, queue| {
        backend.cells = cells;
        let (queue, sent) = (Arc::clone(queue), Arc::clone(&sent));
        let prompt = tokens(urgent);
        backend.hook = Some(Box::new(move |record| {
            let mut sent = sent.lock().expect("no test panics in here");
            if sent.is_none() && record.text.contains(at) {
                let (job, events) = job(&prompt, false);
                queue.push(job).expect("room");
                *sent = Some(events);
            }
        }));
    });
    let slow = bench.serve("A long background summary of the call.>", |job| job.background = true);
    let mut events = sent.lock().expect("no test panics in here").take().expect("the caller came");
    let fast = read(&mut events);
    assert_eq!(fast.text, "We deliver on Monday, and on Friday too.");
    assert_eq!(slow.text, fast.text, "the pause left no trace");
    assert!(bench.queue.waiting() == 0);
    let log = bench.log.lock().expect("no test panics in here").clone();
    assert!(log.iter().any(|record| !record.done), "the background evaluation was interrupted");
    (log, slow)
}

#[test]
fn a_caller_pauses_a_background_prompt() {
    let (log, _) = check_pause("long", 1_000, "When?>");
    let first_done = log.iter().find(|record| record.done).expect("something was evaluated");
    assert_eq!((first_done.text.as_str(), first_done.threads), ("When?>", 2), "the caller goes first");
    assert!(log.iter().filter(|r| r.done && r.text.contains("background")).all(|r| r.threads == 1));
}

#[test]
fn a_caller_pauses_a_background_reply() {
    let (_, slow) = check_pause("M", 1_000, "When?>");
    assert_eq!(slow.summary.expect("it ended").completion_tokens, 40);
}

#[test]
fn a_paused_request_that_lost_its_cells_starts_over_unnoticed() {
    let (log, slow) = check_pause("M", 90, "When do you deliver to the islands?>");
    let summary = slow.summary.expect("it ended");
    assert_eq!((summary.prompt_tokens, summary.completion_tokens), (39, 40));
    let evaluations = log.iter().filter(|record| record.done && record.text.starts_with("A long")).count();
    assert_eq!(evaluations, 2, "its prompt had to be evaluated again");
}

#[test]
fn the_loop_serves_what_is_queued_and_ends_with_the_queue() {
    let Bench { queue, engine, .. } = Bench::new(|_, _| {});
    let (job, mut events) = job(&tokens("When?>"), false);
    queue.push(job).expect("room");
    let thread = std::thread::spawn(move || engine.run());
    while !matches!(events.blocking_recv().expect("the engine answers"), Event::Done(_)) {}
    assert!(queue.close().is_empty());
    thread.join().expect("the engine ended well");
}
