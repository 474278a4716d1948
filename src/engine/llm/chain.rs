//! Several models in a row: when one fails before a word of its reply came, the next is asked; one that keeps failing is left
//! out for a while. Whoever has others after it gets half of the time for its first word, so that a server that hangs leaves
//! them some. When none answers, the caller gets a person.
//!
//! ```text
//!  Closed ─ three failures in a row ─▶ Open ─ pause over ─▶ one request tries ─ it answers ─▶ Closed
//!                                        ▲                        │ it fails: a longer pause
//!                                        └────────────────────────┘
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use super::{ChatRequest, ChatSummary, LanguageModel, LlmError};

/// Failures in a row after which a model is left out.
const FAILURES: u32 = 3;
/// For how long, the first time; twice as long each time it fails again.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(80);
/// Pieces on their way through.
const PIECES: usize = 8;

/// See the module's documentation.
pub struct Chain {
    links: Vec<Link>,
    name: String,
}

struct Link {
    model: Arc<dyn LanguageModel>,
    breaker: Mutex<Breaker>,
}

/// Whether a model is asked.
#[derive(Clone, Copy, Debug, Default)]
struct Breaker {
    failures: u32,
    /// Left out until then.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask. Past the pause it lets one request in; the others wait for what becomes of that.
    fn allows(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + self.pause());
                true
            }
        }
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(FAILURES).min(8);
        (PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE)
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_until = Some(now + self.pause());
        }
    }
}

impl Chain {
    /// `models`, the preferred one first.
    pub fn new(models: Vec<Arc<dyn LanguageModel>>) -> Self {
        let name = models.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ");
        let links = models.into_iter().map(|model| Link { model, breaker: Mutex::default() }).collect();
        Self { links, name }
    }
}

impl Link {
    fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One try; the flag says that words of it are out.
    async fn attempt(
        &self,
        request: ChatRequest,
        pieces: &mpsc::Sender<String>,
    ) -> (Result<ChatSummary, LlmError>, bool) {
        let (inner, mut receiver) = mpsc::channel(PIECES);
        // Owns the receiver: when nobody takes the pieces any more it closes, and the model stops.
        let forward = async move {
            let mut out = false;
            while let Some(piece) = receiver.recv().await {
                if pieces.send(piece).await.is_err() {
                    break;
                }
                out = true;
            }
            out
        };
        tokio::join!(self.model.generate(request, inner), forward)
    }
}

#[async_trait]
impl LanguageModel for Chain {
    async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
        let mut last = None;
        for (at, link) in self.links.iter().enumerate() {
            let can = request.tools.is_empty() || link.model.takes_tools();
            if !can || !link.breaker(|breaker| breaker.allows(Instant::now())) {
                continue;
            }
            let mut request = request.clone();
            if at + 1 < self.links.len() {
                request.first_token_deadline /= 2;
            }
            let (result, out) = link.attempt(request, &pieces).await;
            match result {
                Ok(summary) => {
                    link.breaker(|breaker| *breaker = Breaker::default());
                    return Ok(summary);
                }
                // The caller spoke or hung up: no failure of the model.
                Err(LlmError::Cancelled) => return Err(LlmError::Cancelled),
                Err(error) => {
                    link.breaker(|breaker| breaker.failed(Instant::now()));
                    if out {
                        // Another model would begin another sentence.
                        return Err(error);
                    }
                    warn!(%error, llm.model = link.model.name(), "A language model failed; the next one is asked");
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| LlmError::Unreachable {
            url: self.name.clone(),
            reason: "each failed several times and is left out for a while, or can't do this".to_owned(),
        }))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn takes_tools(&self) -> bool {
        self.links.iter().any(|link| link.model.takes_tools())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::engine::llm::{ChatMessage, Role, ToolOffer};

    /// Says these words, then fails while it is broken; counts how often it was asked.
    #[derive(Default)]
    struct Model {
        words: Vec<&'static str>,
        broken: AtomicBool,
        asked: AtomicU32,
    }

    #[async_trait]
    impl LanguageModel for Model {
        async fn generate(&self, _: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            for word in &self.words {
                pieces.send((*word).to_owned()).await.map_err(|_| LlmError::Cancelled)?;
            }
            if self.broken.load(Ordering::SeqCst) {
                return Err(LlmError::Stalled(Duration::from_secs(1)));
            }
            Ok(ChatSummary { text: self.words.concat(), ..ChatSummary::default() })
        }

        fn name(&self) -> &str {
            "scripted"
        }
    }

    fn model(words: &[&'static str], broken: bool) -> Arc<Model> {
        Arc::new(Model { words: words.to_vec(), broken: AtomicBool::new(broken), asked: AtomicU32::new(0) })
    }

    fn asked(model: &Model) -> u32 {
        model.asked.load(Ordering::SeqCst)
    }

    fn request() -> ChatRequest {
        ChatRequest {
            messages: vec![ChatMessage { role: Role::User, content: "Hello?".to_owned() }],
            max_tokens: 20,
            temperature: 0.0,
            seed: None,
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: Duration::from_secs(1),
            next_token_deadline: Duration::from_secs(1),
        }
    }

    async fn ask(chain: &Chain) -> (Vec<String>, Result<ChatSummary, LlmError>) {
        let (sender, mut receiver) = mpsc::channel(64);
        let result = chain.generate(request(), sender).await;
        let mut pieces = Vec::new();
        while let Some(piece) = receiver.recv().await {
            pieces.push(piece);
        }
        (pieces, result)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_tools_is_not_asked_for_any() {
        let only = model(&["At nine."], false);
        let chain = Chain::new(vec![only.clone()]);
        assert!(!chain.takes_tools());
        let offer = ToolOffer { name: "x".to_owned(), description: "x".to_owned(), parameters: serde_json::json!({}) };
        let (sender, _receiver) = mpsc::channel(64);
        let result = chain.generate(ChatRequest { tools: vec![offer], ..request() }, sender).await;
        assert!(result.is_err_and(|error| error.to_string().contains("can't do this")));
        assert_eq!(asked(&only), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_answers_when_one_fails_and_a_failing_one_is_left_out() {
        let (first, second) = (model(&[], true), model(&["At ", "nine."], false));
        let chain = Chain::new(vec![first.clone(), second.clone()]);
        for _ in 0..5 {
            let (pieces, result) = ask(&chain).await;
            assert_eq!((pieces.concat(), result.expect("an answer").text), ("At nine.".into(), "At nine.".into()));
        }
        assert_eq!((asked(&first), asked(&second)), (3, 5), "after three failures it is left out");
        // Past the pause one request tries; it fails, and the next pause is longer.
        tokio::time::advance(PAUSE).await;
        ask(&chain).await.1.expect("an answer");
        ask(&chain).await.1.expect("an answer");
        assert_eq!(asked(&first), 4);
        tokio::time::advance(PAUSE).await;
        ask(&chain).await.1.expect("an answer");
        assert_eq!(asked(&first), 4, "twice as long");
        // It is well again: it is asked each time.
        first.broken.store(false, Ordering::SeqCst);
        tokio::time::advance(PAUSE).await;
        for _ in 0..3 {
            ask(&chain).await.1.expect("an answer");
        }
        assert_eq!((asked(&first), asked(&second)), (7, 8));
    }

    /// Never says a word.
    struct Hangs;

    #[async_trait]
    impl LanguageModel for Hangs {
        async fn generate(&self, request: ChatRequest, _: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
            tokio::time::sleep(request.first_token_deadline).await;
            Err(LlmError::Stalled(request.first_token_deadline))
        }

        fn name(&self) -> &str {
            "hangs"
        }
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_hang_leave_time_for_the_last_one() {
        let last = model(&["At nine."], false);
        let chain = Chain::new(vec![Arc::new(Hangs), Arc::new(Hangs), last.clone()]);
        let began = Instant::now();
        assert_eq!(ask(&chain).await.1.expect("an answer").text, "At nine.");
        assert_eq!(began.elapsed(), Duration::from_secs(1), "half of the second each");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_breaks_off_is_not_begun_anew() {
        let (first, second) = (model(&["At "], true), model(&["At nine."], false));
        let (pieces, result) = ask(&Chain::new(vec![first, second.clone()])).await;
        assert_eq!((pieces.concat().as_str(), asked(&second)), ("At ", 0));
        assert!(matches!(result, Err(LlmError::Stalled(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn when_none_answers_it_is_said_at_once() {
        let (first, second) = (model(&[], true), model(&[], true));
        let chain = Chain::new(vec![first.clone(), second.clone()]);
        for _ in 0..3 {
            assert!(matches!(ask(&chain).await.1, Err(LlmError::Stalled(_))));
        }
        assert!(matches!(ask(&chain).await.1, Err(LlmError::Unreachable { .. })), "nobody is asked, nobody waits");
        assert_eq!((asked(&first), asked(&second)), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_away_is_no_failure() {
        let first = model(&["a"; 20], false);
        let chain = Chain::new(vec![first.clone()]);
        for _ in 0..5 {
            let request = ChatRequest {
                messages: Vec::new(),
                max_tokens: 20,
                temperature: 0.0,
                seed: None,
                choices: Vec::new(),
                tools: Vec::new(),
                first_token_deadline: Duration::from_secs(1),
                next_token_deadline: Duration::from_secs(1),
            };
            let (sender, receiver) = mpsc::channel(1);
            drop(receiver);
            assert!(matches!(chain.generate(request, sender).await, Err(LlmError::Cancelled)));
        }
        ask(&chain).await.1.expect("an answer");
        assert_eq!(asked(&first), 6);
    }
}
