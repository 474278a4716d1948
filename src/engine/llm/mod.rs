//! Language models, all through one OpenAI-compatible dialect: the embedded worker process and remote servers alike.

pub mod chain;
#[cfg(test)]
mod conformance;
mod dialect;
pub mod fake;
pub mod local;
pub mod openai;
#[cfg(test)]
mod recorded;
pub mod worker;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// A chat model that streams.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Generates a reply to `request`, sending each piece into `pieces` as it comes.
    ///
    /// Dropping the receiver (or the future) cancels the generation at the engine.
    async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError>;
    /// A name for records and metrics.
    fn name(&self) -> &str;
    /// Whether it can be offered [`ChatRequest::tools`].
    fn takes_tools(&self) -> bool {
        false
    }
}

/// Who says a message of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The caller.
    User,
    /// The assistant.
    Assistant,
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What they say.
    pub content: String,
}

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The prompt, the most stable messages first so that an engine can reuse its cache.
    pub messages: Vec<ChatMessage>,
    /// At most this many tokens.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
    /// Makes what chance decides repeatable, where the engine can.
    pub seed: Option<u64>,
    /// When there are any, the reply is one of these letters, in JSON the program writes around it; no other text comes.
    pub choices: Vec<char>,
    /// What the model may ask for instead of words. The embedded worker takes none.
    pub tools: Vec<ToolOffer>,
    /// Until the first piece.
    pub first_token_deadline: Duration,
    /// Between two pieces.
    pub next_token_deadline: Duration,
}

/// What a finished generation measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatSummary {
    /// The whole text.
    pub text: String,
    /// Until the first piece.
    pub first_token: Duration,
    /// Until the last.
    pub total: Duration,
    /// Mean log-probability of the tokens where the engine tells: a weak signal.
    pub avg_logprob: Option<f32>,
    /// The letters of [`ChatRequest::choices`] with their probabilities, where one was asked for. An engine that does not
    /// tell probabilities gives its letter 1.
    pub choices: Vec<(char, f32)>,
    /// How it ended.
    pub finish: Finish,
    /// What the model asked for.
    pub tool_calls: Vec<ToolCall>,
}

/// A tool a model may ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolOffer {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A tool a model asked for. Its arguments are what the model made of the words: nothing has checked them.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The server's name for this call; empty where it gives none.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// With what.
    pub arguments: Map<String, Value>,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// The stream ended and did not say.
    #[default]
    Unsaid,
    /// The model was done.
    Stop,
    /// It had said as much as it may.
    Length,
    /// It asked for tools.
    Tools,
    /// The server kept it back.
    Withheld,
    /// For some other reason.
    Other,
}

impl Finish {
    /// By the word servers use.
    pub fn of(word: &str) -> Self {
        match word {
            "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" => Self::Stop,
            "length" | "max_tokens" => Self::Length,
            "tool_calls" | "function_call" | "tool_use" => Self::Tools,
            "content_filter" => Self::Withheld,
            _ => Self::Other,
        }
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// Nobody answers at the address.
    #[error("language model at {url} can't be reached: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the client said.
        reason: String,
    },
    /// It answered with an error.
    #[error("language model at {url} answered {status}: {message}")]
    Refused {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its own words, shortened.
        message: String,
    },
    /// The first or the next token did not come in time.
    #[error("language model gave no token for {0:?}")]
    Stalled(Duration),
    /// What came was not the dialect.
    #[error("language model sent something unreadable: {0}")]
    Malformed(String),
    /// The server's filter kept the reply back.
    #[error("the filter of the language model at {url} kept its reply back")]
    Withheld {
        /// Where.
        url: String,
    },
    /// The reader went away.
    #[error("generation was cancelled")]
    Cancelled,
}
