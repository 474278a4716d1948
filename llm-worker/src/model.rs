//! What the rest of the worker needs from a model, as two narrow traits.
//!
//! [`Frontend`] turns a request into tokens and is shared by all HTTP handlers; [`Backend`] evaluates tokens and belongs
//! to the engine thread alone. `llama/` implements both; tests implement them with a script.

use crate::api::request::Message;
use crate::cache::SeqId;

/// A vocabulary index, as llama.cpp numbers them.
pub type Token = i32;

/// Which prompt a request wants rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens the assistant's turn; if the last message is already the assistant's, its text is left open and continued.
    Reply,
    /// Closes every message and opens none: the longest prefix that any follow-up shares.
    Warm,
}

/// Restricts what may be generated.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstraintSpec {
    /// GBNF text with a rule named `root`.
    Grammar(String),
    /// A JSON schema, as JSON text.
    JsonSchema(String),
}

/// A running constraint: one per request, advanced token by token.
pub trait Constraint: Send {
    /// May `token` come next? End-of-generation tokens are asked about like any other.
    fn allows(&mut self, token: Token) -> bool;
    /// Sets the logit of every token that may not come next to negative infinity.
    fn mask(&mut self, logits: &mut [f32]);
    /// Advances past `token`, which [`Constraint::allows`] accepted; never called for an end-of-generation token.
    ///
    /// Returns `false` if the constraint broke; the generation then ends.
    fn accept(&mut self, token: Token) -> bool;
}

/// Why a request can't be turned into a prompt; always the request's fault.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("the model's chat template cannot render these messages")]
    Template,
    #[error("the model's chat template has no place for message {index} (role `{role}`)")]
    Dropped { index: usize, role: &'static str },
    #[error("invalid grammar: {0}")]
    Grammar(String),
    #[error("the JSON schema cannot be turned into a grammar: {0}")]
    Schema(String),
}

/// The shared, immutable half of a model.
pub trait Frontend: Send + Sync {
    /// The model's public name.
    fn id(&self) -> &str;
    /// Most tokens one request may hold, prompt and reply together.
    fn limit(&self) -> usize;
    /// Renders the chat template and tokenizes; message texts never become control tokens.
    fn prompt(&self, messages: &[Message], purpose: Purpose) -> Result<Vec<Token>, PromptError>;
    /// Compiles a constraint.
    fn constrain(&self, spec: &ConstraintSpec) -> Result<Box<dyn Constraint>, PromptError>;
}

/// Why an evaluation produced nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the evaluation was interrupted")]
    Interrupted,
    #[error("the key-value cache has no free cell")]
    NoCell,
    #[error("the model failed with code {0}")]
    Failed(i32),
}

/// One evaluation: `tokens` at the end of sequence `seq`, which already holds `from` tokens.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    pub seq: SeqId,
    pub from: usize,
    pub tokens: &'a [Token],
    /// Whether [`Backend::logits`] is wanted for the last token.
    pub logits: bool,
    /// CPU threads to use.
    pub threads: u32,
}

/// The computing half of a model: one key-value cache with numbered sequences. Blocking; used by one thread.
pub trait Backend {
    /// Cells in the key-value cache; a cell holds one token and may belong to several sequences.
    fn cells(&self) -> usize;
    /// Number of sequences.
    fn sequences(&self) -> u32;
    /// Most tokens one [`Evaluation`] may hold.
    fn max_batch(&self) -> usize;
    /// Most tokens one sequence may hold.
    fn limit(&self) -> usize;
    /// Appends tokens to a sequence, asking `interrupt` often. On an error the sequence is as before.
    fn evaluate(&mut self, what: Evaluation<'_>, interrupt: &dyn Fn() -> bool) -> Result<(), DecodeError>;
    /// Raw scores of the vocabulary for the token after the last evaluated one.
    fn logits(&self) -> &[f32];
    /// Makes the first `len` tokens of `from` also the tokens of the empty sequence `to`; costs no cells.
    fn share(&mut self, from: SeqId, to: SeqId, len: usize);
    /// Empties a sequence; its cells become free if no other sequence has them.
    fn clear(&mut self, seq: SeqId);
    /// Appends the token's bytes (perhaps part of a character, nothing for control tokens) to `out`.
    fn piece(&self, token: Token, out: &mut Vec<u8>);
    /// Does this token end a generation?
    fn ends(&self, token: Token) -> bool;
}
