//! A model on our own cores that is asked only when others fail: it takes its share of the CPU budget when it is, and nothing
//! before. (A model that is always asked has its share taken by [`crate::call::mind`], which gives it back word by word.)

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{ChatRequest, ChatSummary, LanguageModel, LlmError};
use crate::engine::cpu::{CpuBudget, Priority};

/// See the module's documentation.
pub struct OnOurCores {
    model: Arc<dyn LanguageModel>,
    budget: CpuBudget,
    threads: usize,
}

impl OnOurCores {
    /// `model` works with `threads` threads.
    pub fn new(model: Arc<dyn LanguageModel>, budget: CpuBudget, threads: usize) -> Self {
        Self { threads: threads.min(budget.total()), model, budget }
    }
}

#[async_trait]
impl LanguageModel for OnOurCores {
    async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
        let patience = request.first_token_deadline;
        let permit = self.budget.acquire(Priority::Reply, self.threads, patience).await;
        let _permit = permit.map_err(|_| LlmError::Stalled(patience))?;
        self.model.generate(request, pieces).await
    }

    fn name(&self) -> &str {
        self.model.name()
    }

    fn takes_tools(&self) -> bool {
        self.model.takes_tools()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::llm::chain::Chain;
    use crate::engine::llm::fake::FakeLlm;
    use crate::engine::llm::openai::{Endpoint, OpenAiClient};
    use crate::telemetry::Secret;

    fn request() -> ChatRequest {
        ChatRequest {
            messages: Vec::new(),
            max_tokens: 20,
            temperature: 0.0,
            seed: None,
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: Duration::from_secs(60),
            next_token_deadline: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn it_answers_when_no_server_does_and_takes_cores_only_then() {
        // Nobody listens on the discard port.
        let nobody = || {
            let endpoint = Endpoint { url: "http://127.0.0.1:9/v1".to_owned(), key: Secret::default() };
            Arc::new(OpenAiClient::remote(endpoint, "m".to_owned()).expect("a client")) as Arc<dyn LanguageModel>
        };
        let budget = CpuBudget::new(2);
        let own = FakeLlm::paced(Duration::ZERO, Duration::ZERO).scripted([Ok("At nine.".to_owned())]);
        let own = Arc::new(OnOurCores::new(Arc::new(own), budget.clone(), 4));
        let chain = Chain::new(vec![nobody(), nobody(), own]);
        let (sender, mut receiver) = mpsc::channel(16);
        assert_eq!(chain.generate(request(), sender).await.expect("an answer").text, "At nine.");
        let mut said = String::new();
        while let Some(piece) = receiver.recv().await {
            said.push_str(&piece);
        }
        assert_eq!((said.as_str(), budget.in_use()), ("At nine.", 0));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_core_in_time_it_is_a_stall() {
        let budget = CpuBudget::new(1);
        let _busy = budget.acquire_whenever(Priority::Reply, 1).await;
        let own = FakeLlm::paced(Duration::ZERO, Duration::ZERO).scripted([Ok("At nine.".to_owned())]);
        let own = OnOurCores::new(Arc::new(own), budget.clone(), 1);
        let (sender, _receiver) = mpsc::channel(16);
        assert!(matches!(own.generate(request(), sender).await, Err(LlmError::Stalled(_))));
    }
}
