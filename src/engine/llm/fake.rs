//! A scripted language model: fixed pace, fixed words. For tests, and as `llm.engine = "stub"` to measure all the rest.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::openai::choices;
use super::{ChatRequest, ChatSummary, LanguageModel, LlmError};

/// What the stub says when nothing is scripted.
const STUB_REPLY: &str =
    "Thank you for asking. I have looked that up in our notes for you, and I can confirm it. Is there anything else?";

/// See the module's documentation.
pub struct FakeLlm {
    first_token: Duration,
    per_token: Duration,
    script: Mutex<VecDeque<Result<String, LlmError>>>,
}

impl FakeLlm {
    /// The stub of the latency benchmark: 150 ms to the first token, then 40 a second.
    pub fn stub() -> Self {
        Self::paced(Duration::from_millis(150), Duration::from_millis(25))
    }

    /// Another pace.
    pub fn paced(first_token: Duration, per_token: Duration) -> Self {
        Self { first_token, per_token, script: Mutex::new(VecDeque::new()) }
    }

    /// Answers these, in order, before the standard reply.
    #[must_use]
    pub fn scripted(self, replies: impl IntoIterator<Item = Result<String, LlmError>>) -> Self {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).extend(replies);
        self
    }
}

#[async_trait]
impl LanguageModel for FakeLlm {
    async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
        let began = Instant::now();
        let scripted = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let text = scripted.unwrap_or_else(|| Ok(STUB_REPLY.to_owned()))?;
        if self.first_token > request.first_token_deadline {
            sleep(request.first_token_deadline).await;
            return Err(LlmError::Stalled(request.first_token_deadline));
        }
        sleep(self.first_token).await;
        let mut summary = ChatSummary { first_token: began.elapsed(), ..ChatSummary::default() };
        for (n, token) in text.split_inclusive(' ').take(request.max_tokens as usize).enumerate() {
            if n > 0 {
                sleep(self.per_token).await;
            }
            summary.text.push_str(token);
            if pieces.send(token.to_owned()).await.is_err() {
                return Err(LlmError::Cancelled);
            }
        }
        summary.choices = choices(&request.choices, &summary.text);
        summary.total = began.elapsed();
        summary.finish = super::Finish::Stop;
        Ok(summary)
    }

    fn name(&self) -> &str {
        "stub"
    }
}
