//! The voice everybody uses: from the cache at once, else synthesised on engine threads under the CPU budget.
//!
//! ```text
//! speak ─▶ cached? ──────────────────────────────────────────────▶ out
//!        └▶ a job (engine thread): permit ─▶ chunk ─▶ permit back ─▶ … ─▶ channel ─▶ out (awaits) ─▶ cache
//! ```
//! A permit is held for one chunk at a time. The first chunk asks with the caller's priority, later ones with
//! [`Priority::LaterAudio`], so a caller who has heard nothing yet goes before one whose next seconds are already made. A
//! sentence once begun is finished: when its sound is about to run dry it goes on without a permit, because silence in the
//! middle of a word is worse than a busy core. A consumer slower than the engine holds up no thread and no permit.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::cache::PhraseCache;
use super::{TextToSpeech, TtsError};
use crate::audio::units::{Millis, SampleRate};
use crate::config::TtsConfig;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, Priority};

/// Longest phrase kept in the cache.
const LONGEST_CACHED: Millis = Millis(15_000);
/// Sentences begun and not finished, for each synthesis at once: those between two chunks need a thread, but no core.
const JOBS_PER_WORKER: usize = 8;
/// Chunks between job and consumer: 70 s of a neural voice. Only a text longer than that makes a job wait.
const CHUNKS: usize = 128;
/// How long before its sound runs dry a sentence goes on without a permit: the time one chunk takes on a busy core.
const DRY_MARGIN: Duration = Duration::from_millis(150);
/// How soon a cancelled sentence is given up when nothing else happens.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How a voice is run.
#[derive(Clone, Debug)]
pub struct VoiceOptions {
    /// Syntheses at once; sentences begun at once are several times as many.
    pub workers: usize,
    /// Bytes of phrases kept.
    pub cache_bytes: usize,
    /// Longest wait for the first chunk to begin; after that [`TtsError::Overloaded`].
    pub patience: Duration,
}

impl VoiceOptions {
    /// The longest wait that still makes sense on the telephone: after this an honest sentence from the cache is better.
    pub const PATIENCE: Duration = Duration::from_secs(4);
}

impl From<&TtsConfig> for VoiceOptions {
    fn from(config: &TtsConfig) -> Self {
        Self { workers: config.workers, cache_bytes: config.cache_mb << 20, patience: Self::PATIENCE }
    }
}

/// A voice with its cache and its threads. Clones share it.
#[derive(Clone)]
pub struct Voice(Arc<Inner>);

struct Inner {
    engine: Arc<dyn TextToSpeech>,
    budget: CpuBudget,
    jobs: Arc<Semaphore>,
    cache: Mutex<PhraseCache>,
    options: VoiceOptions,
}

/// What was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpokenClip {
    /// How long it lasts.
    pub span: Millis,
    /// From the request until its first sound was there; zero from the cache.
    pub first_audio: Duration,
    /// Whether it came from the cache.
    pub cached: bool,
}

impl Voice {
    /// `engine` under `budget`.
    pub fn new(engine: Arc<dyn TextToSpeech>, budget: CpuBudget, options: VoiceOptions) -> Self {
        Self(Arc::new(Inner {
            engine,
            budget,
            jobs: Arc::new(Semaphore::new(options.workers.max(1) * JOBS_PER_WORKER)),
            cache: Mutex::new(PhraseCache::new(options.cache_bytes)),
            options,
        }))
    }

    /// The engine's name.
    pub fn name(&self) -> &str {
        self.0.engine.name()
    }

    /// The sound of `text`, 16 kHz, if it has been spoken before.
    pub fn cached(&self, text: &str) -> Option<Arc<[i16]>> {
        self.0.cached(&PhraseCache::key(text))
    }

    /// Speaks `text` (one or a few sentences, made speakable) into `out`, 16 kHz, in chunks as they are made.
    ///
    /// Awaits when `out` is full. Ends with [`TtsError::Cancelled`] soon after `cancel` is set or `out` is closed; dropping
    /// the future does the same. A text without letters or digits is no sound and no error. Needs a tokio runtime.
    pub async fn speak(
        &self,
        text: String,
        priority: Priority,
        cancel: CancelFlag,
        out: mpsc::Sender<Arc<[i16]>>,
    ) -> Result<SpokenClip, TtsError> {
        let asked = Instant::now();
        let key = PhraseCache::key(&text);
        if let Some(pcm) = self.0.cached(&key) {
            let span = SampleRate::WIDEBAND.span_of(pcm.len());
            out.send(pcm).await.map_err(|_| TtsError::Cancelled)?;
            return Ok(SpokenClip { span, first_audio: Duration::ZERO, cached: true });
        }
        tokio::select! {
            // A job that runs on sees that its channel is gone, and ends before its next chunk.
            () = set(&cancel) => Err(TtsError::Cancelled),
            result = self.synthesise(key, asked, priority, cancel.clone(), out) => result,
        }
    }

    async fn synthesise(
        &self,
        key: String,
        asked: Instant,
        priority: Priority,
        cancel: CancelFlag,
        out: mpsc::Sender<Arc<[i16]>>,
    ) -> Result<SpokenClip, TtsError> {
        let (chunks, mut made) = mpsc::channel(CHUNKS);
        let inner = Arc::clone(&self.0);
        let begin_by = asked + self.0.patience(priority);
        let place = timeout_at(begin_by, Arc::clone(&self.0.jobs).acquire_owned())
            .await
            .map_err(|_| TtsError::Overloaded)?
            .expect("the semaphore is never closed");
        let job = Job { key: key.clone(), priority, cancel, begin_by, chunks };
        let running = tokio::task::spawn_blocking(move || {
            let _place = place;
            inner.run(job)
        });
        let mut first_audio = None;
        let mut whole = Vec::new();
        let mut samples = 0;
        while let Some(chunk) = made.recv().await {
            first_audio.get_or_insert_with(|| asked.elapsed());
            samples += chunk.len();
            if SampleRate::WIDEBAND.span_of(samples) <= LONGEST_CACHED {
                whole.extend_from_slice(&chunk);
            }
            out.send(chunk).await.map_err(|_| TtsError::Cancelled)?;
        }
        running.await.map_err(|error| TtsError::Engine(format!("the engine panicked: {error}")))??;
        if samples > 0 && whole.len() == samples {
            self.0.cache().insert(&key, whole.into());
        }
        let span = SampleRate::WIDEBAND.span_of(samples);
        Ok(SpokenClip { span, first_audio: first_audio.unwrap_or_default(), cached: false })
    }

    /// Speaks `text` whole, 16 kHz.
    pub async fn whole(&self, text: String, priority: Priority) -> Result<Vec<i16>, TtsError> {
        let (out, mut heard) = mpsc::channel::<Arc<[i16]>>(CHUNKS);
        let mut pcm = Vec::new();
        let listening = async {
            while let Some(chunk) = heard.recv().await {
                pcm.extend_from_slice(&chunk);
            }
        };
        let (spoken, ()) = tokio::join!(self.speak(text, priority, CancelFlag::new(), out), listening);
        spoken.map(|_| pcm)
    }

    /// Speaks `phrases` into the cache, those that are not there yet, a few at a time and behind all other work.
    ///
    /// Stops at the first failure. How many were spoken.
    pub async fn warm(&self, phrases: &[String]) -> Result<usize, TtsError> {
        let missing: Vec<_> = phrases
            .iter()
            .filter(|phrase| self.cached(phrase).is_none())
            .map(|phrase| self.clone().speak_unheard(phrase.clone()))
            .collect();
        let mut readings = stream::iter(missing).buffer_unordered(self.0.options.workers.max(1));
        let mut spoken = 0;
        while let Some(reading) = readings.next().await {
            reading?;
            spoken += 1;
        }
        Ok(spoken)
    }

    async fn speak_unheard(self, phrase: String) -> Result<SpokenClip, TtsError> {
        let (out, mut heard) = mpsc::channel(CHUNKS);
        let speaking = self.speak(phrase, Priority::Background, CancelFlag::new(), out);
        let listening = async { while heard.recv().await.is_some() {} };
        tokio::join!(speaking, listening).0
    }
}

/// Until `cancel` is set.
async fn set(cancel: &CancelFlag) {
    while !cancel.is_cancelled() {
        sleep(CANCEL_POLL).await;
    }
}

struct Job {
    key: String,
    priority: Priority,
    cancel: CancelFlag,
    begin_by: Instant,
    chunks: mpsc::Sender<Arc<[i16]>>,
}

impl Inner {
    fn cache(&self) -> std::sync::MutexGuard<'_, PhraseCache> {
        // Nothing panics while it holds the lock.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, key: &str) -> Option<Arc<[i16]>> {
        self.cache().get(key)
    }

    /// Nobody waits for background work: it may take as long as the machine is busy.
    fn patience(&self, priority: Priority) -> Duration {
        if priority == Priority::Background { Duration::from_secs(600) } else { self.options.patience }
    }

    /// On an engine thread: speaks, a permit for each chunk.
    fn run(&self, job: Job) -> Result<(), TtsError> {
        let Job { key, priority, cancel, begin_by, chunks } = job;
        let wait = begin_by.saturating_duration_since(Instant::now());
        let mut permit = Some(self.budget.acquire_blocking(priority, 1, wait).map_err(|_| TtsError::Overloaded)?);
        if cancel.is_cancelled() || chunks.is_closed() {
            return Err(TtsError::Cancelled); // nobody waited so long
        }
        let mut dry_at = None;
        self.engine.speak(&key, &cancel, &mut |chunk| {
            permit = None;
            if cancel.is_cancelled() || chunks.blocking_send(chunk.into()).is_err() {
                return ControlFlow::Break(());
            }
            let now = Instant::now();
            let sound = SampleRate::WIDEBAND.span_of(chunk.len()).duration();
            let dry = dry_at.unwrap_or(now).max(now) + sound;
            dry_at = Some(dry);
            permit = if priority == Priority::Background {
                self.budget.acquire_blocking(priority, 1, self.patience(priority)).ok()
            } else {
                let wait = dry.saturating_duration_since(now).saturating_sub(DRY_MARGIN);
                self.budget.acquire_blocking(Priority::LaterAudio, 1, wait).ok()
            };
            ControlFlow::Continue(())
        })?;
        if cancel.is_cancelled() { Err(TtsError::Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::super::fake::{CHUNK, FakeStep, FakeVoice};
    use super::*;

    const OPTIONS: VoiceOptions = VoiceOptions { workers: 2, cache_bytes: 4 << 20, patience: Duration::from_secs(60) };

    fn voice(engine: impl TextToSpeech + 'static, permits: usize) -> (Voice, CpuBudget) {
        let budget = CpuBudget::new(permits);
        (Voice::new(Arc::new(engine), budget.clone(), OPTIONS), budget)
    }

    /// Speaks and collects the chunks.
    async fn speak(voice: &Voice, text: &str) -> (Result<SpokenClip, TtsError>, Vec<Arc<[i16]>>) {
        let (out, mut heard) = mpsc::channel(2);
        let speaking = voice.speak(text.to_owned(), Priority::FirstAudio, CancelFlag::new(), out);
        let listening = async {
            let mut chunks = Vec::new();
            while let Some(chunk) = heard.recv().await {
                chunks.push(chunk);
            }
            chunks
        };
        tokio::join!(speaking, listening)
    }

    #[tokio::test]
    async fn what_was_spoken_once_comes_from_the_cache_at_once() {
        let engine = Arc::new(FakeVoice::new());
        let voice = Voice::new(engine.clone(), CpuBudget::new(1), OPTIONS);
        let text = "One moment, please.";
        assert!(voice.cached(text).is_none());
        let (clip, chunks) = speak(&voice, text).await;
        let clip = clip.expect("spoken");
        assert_eq!(chunks.concat(), FakeVoice::sound_of(text));
        assert!(chunks.len() > 1 && chunks[0].len() == SampleRate::WIDEBAND.samples_in(CHUNK), "streamed");
        assert_eq!((clip.span, clip.cached), (Millis(60 * 19), false));

        assert_eq!(voice.cached(" One  moment, please.").as_deref(), Some(&FakeVoice::sound_of(text)[..]));
        let (clip, chunks) = speak(&voice, "One moment,\nplease.").await;
        assert_eq!(chunks.len(), 1, "in one piece");
        assert_eq!(clip.expect("spoken").first_audio, Duration::ZERO);
        assert_eq!(engine.spoken().len(), 1, "the engine was asked once");
    }

    #[tokio::test]
    async fn only_whole_phrases_of_a_sensible_length_are_kept() {
        let steps = [FakeStep::Fail("no".to_owned()), FakeStep::FailAfter(2, "broken".to_owned())];
        let (voice, _) = voice(FakeVoice::scripted(steps), 1);
        let (result, chunks) = speak(&voice, "It breaks before it begins.").await;
        assert!(matches!(result, Err(TtsError::Engine(reason)) if reason == "no") && chunks.is_empty());
        let (result, chunks) = speak(&voice, "It breaks in the middle.").await;
        assert!(matches!(result, Err(TtsError::Engine(reason)) if reason == "broken"));
        assert_eq!(chunks.len(), 2, "what was there was heard");
        assert!(voice.cached("It breaks in the middle.").is_none());
        let long = "word ".repeat(51);
        let (result, _) = speak(&voice, &long).await;
        assert!(result.expect("spoken").span > LONGEST_CACHED && voice.cached(&long).is_none());
        let (result, chunks) = speak(&voice, " … ").await;
        assert!(result.expect("nothing to say is no error").span == Millis::ZERO && chunks.is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_the_engine_is_an_error_of_this_sentence_only() {
        struct Panics(FakeVoice);
        impl TextToSpeech for Panics {
            fn speak(
                &self,
                text: &str,
                cancel: &CancelFlag,
                sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
            ) -> Result<(), TtsError> {
                assert!(text != "Boom.", "as asked");
                self.0.speak(text, cancel, sink)
            }
            fn name(&self) -> &str {
                "panics"
            }
        }
        let (voice, budget) = voice(Panics(FakeVoice::new()), 1);
        let (result, _) = speak(&voice, "Boom.").await;
        assert!(matches!(result, Err(TtsError::Engine(_))), "{result:?}");
        assert_eq!(budget.in_use(), 0, "the permit came back");
        assert!(speak(&voice, "Still here.").await.0.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_patience() {
        let budget = CpuBudget::new(1);
        let options = VoiceOptions { patience: Duration::from_millis(40), ..OPTIONS };
        let voice = Voice::new(Arc::new(FakeVoice::new()), budget.clone(), options);
        let busy = budget.acquire_whenever(Priority::FinalTranscript, 1).await;
        let (result, _) = speak(&voice, "Too late.").await;
        assert!(matches!(result, Err(TtsError::Overloaded)), "{result:?}");
        drop(busy);
        // Without haste, which a busy machine might not meet: nothing is left of the one who went.
        assert!(!voice.whole("In time.".to_owned(), Priority::Background).await.expect("spoken").is_empty());
    }

    #[tokio::test]
    async fn cancelling_or_not_listening_ends_it() {
        let slow = || FakeStep::Slow(Duration::from_millis(500));
        let (voice, budget) = voice(FakeVoice::scripted([slow(), slow()]), 1);
        let text = "A rather long sentence that nobody will hear to its end.";
        let cancel = CancelFlag::new();
        let (out, mut heard) = mpsc::channel(1);
        let speaking = voice.speak(text.to_owned(), Priority::FirstAudio, cancel.clone(), out);
        let stopping = async {
            let first = heard.recv().await;
            cancel.cancel();
            let rest = async { while heard.recv().await.is_some() {} };
            rest.await;
            first
        };
        let (result, first) = tokio::join!(speaking, stopping);
        assert!(first.is_some() && matches!(result, Err(TtsError::Cancelled)), "{result:?}");

        let (out, heard) = mpsc::channel(1);
        drop(heard);
        let result = voice.speak(text.to_owned(), Priority::FirstAudio, CancelFlag::new(), out).await;
        assert!(matches!(result, Err(TtsError::Cancelled)), "{result:?}");
        // The job ends by itself: the whole pool can be had again.
        drop(budget.acquire(Priority::Background, 1, OPTIONS.patience).await.expect("the permit came back"));
        assert!(voice.cached(text).is_none());
    }

    #[tokio::test]
    async fn a_cancelled_sentence_does_not_wait_for_its_turn() {
        let (voice, budget) = voice(FakeVoice::new(), 1);
        let busy = budget.acquire_whenever(Priority::FinalTranscript, 1).await;
        let cancel = CancelFlag::new();
        let (out, _heard) = mpsc::channel(1);
        let speaking = voice.speak("Never begun.".to_owned(), Priority::FirstAudio, cancel.clone(), out);
        let cancelling = async {
            while budget.waiting(Priority::FirstAudio) == 0 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        };
        let (result, ()) =
            timeout_at(Instant::now() + OPTIONS.patience / 2, async { tokio::join!(speaking, cancelling) })
                .await
                .expect("it ends although the core stays busy");
        assert!(matches!(result, Err(TtsError::Cancelled)), "{result:?}");
        drop(busy);
    }

    #[tokio::test]
    async fn a_slow_listener_holds_no_permit() {
        let (voice, budget) = voice(FakeVoice::new(), 1);
        let (out, heard) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let text = "This takes a while to play, and no time at all to make.".to_owned();
        let speaker = voice.clone();
        tasks.spawn(async move { speaker.speak(text, Priority::FirstAudio, CancelFlag::new(), out).await });
        // Nobody reads from `heard`, yet others get their turn.
        let (other, _) = speak(&voice, "Me too.").await;
        assert!(other.is_ok());
        drop(budget.acquire(Priority::Background, 1, OPTIONS.patience).await.expect("the core is free"));
        drop(heard);
        let result = tasks.join_next().await.expect("a task").expect("no panic");
        assert!(matches!(result, Err(TtsError::Cancelled)));
    }

    /// Three chunks of a minute for each text, so that none runs dry while others have their turn; the first of "a" waits
    /// until somebody else waits for a first chunk.
    struct Recorder {
        order: Arc<Mutex<Vec<String>>>,
        budget: CpuBudget,
    }

    impl TextToSpeech for Recorder {
        fn speak(
            &self,
            text: &str,
            _: &CancelFlag,
            sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
        ) -> Result<(), TtsError> {
            for chunk in 0..3 {
                self.order.lock().expect("no panic").push(format!("{text}{chunk}"));
                while text == "a" && chunk == 0 && self.budget.waiting(Priority::FirstAudio) == 0 {
                    std::thread::yield_now();
                }
                if sink(&vec![1; SampleRate::WIDEBAND.samples_in(Millis(60_000))]).is_break() {
                    break;
                }
            }
            Ok(())
        }
        fn name(&self) -> &str {
            "recorder"
        }
    }

    #[tokio::test]
    async fn first_chunks_go_before_later_chunks_of_others() {
        let budget = CpuBudget::new(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let engine = Recorder { order: order.clone(), budget: budget.clone() };
        let voice = Voice::new(Arc::new(engine), budget.clone(), OPTIONS);
        let second = async {
            while budget.in_use() == 0 {
                tokio::task::yield_now().await;
            }
            speak(&voice, "b").await
        };
        let (first, second) = tokio::join!(speak(&voice, "a"), second);
        assert!(first.0.is_ok() && second.0.is_ok());
        let order = order.lock().expect("no panic").clone();
        assert_eq!(order[..2], ["a0", "b0"], "{order:?}");
    }

    #[tokio::test]
    async fn a_sentence_once_begun_does_not_run_dry() {
        let (voice, budget) = voice(FakeVoice::new(), 1);
        let (out, mut heard) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let speaker = voice.clone();
        let text = "All of this is heard although another engine has the core.".to_owned();
        let whole = FakeVoice::sound_of(&text).len();
        // Stands in line for the moment the first chunk is done, and then keeps the core.
        let running = budget.acquire_whenever(Priority::Reply, 1).await;
        tasks.spawn(async move { speaker.speak(text, Priority::FirstAudio, CancelFlag::new(), out).await });
        while budget.waiting(Priority::FirstAudio) == 0 {
            tokio::task::yield_now().await;
        }
        let mut greedy = Box::pin(budget.acquire_whenever(Priority::Reply, 1));
        assert!(futures::poll!(&mut greedy).is_pending());
        drop(running);
        let kept = greedy.await;
        let mut samples = 0;
        while let Some(chunk) = heard.recv().await {
            samples += chunk.len();
        }
        assert_eq!(samples, whole);
        assert!(tasks.join_next().await.expect("a task").expect("no panic").is_ok());
        assert_eq!(kept.permits(), 1);
    }

    #[tokio::test]
    async fn warming_speaks_what_is_missing_behind_other_work() {
        let engine = Arc::new(FakeVoice::new());
        let voice = Voice::new(engine.clone(), CpuBudget::new(2), OPTIONS);
        let phrases = ["Hello.", "Goodbye.", "One moment."].map(str::to_owned);
        let mut tasks = JoinSet::new();
        let warmed = (voice.clone(), phrases.clone());
        tasks.spawn(async move { warmed.0.warm(&warmed.1).await });
        let spoken = tasks.join_next().await.expect("a task").expect("no panic");
        assert_eq!(spoken.expect("warmed"), 3);
        assert!(phrases.iter().all(|phrase| voice.cached(phrase).is_some()));
        assert_eq!(voice.warm(&phrases).await.expect("warmed"), 0);
        let failing = Voice::new(
            Arc::new(FakeVoice::scripted([FakeStep::Fail("no voice".to_owned())])),
            CpuBudget::new(1),
            OPTIONS,
        );
        assert!(failing.warm(&phrases).await.is_err());
    }
}
