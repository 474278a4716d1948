//! Messages to tokens.
//!
//! The chat template is rendered with a placeholder for each message text, cut there, and the pieces are tokenized one by
//! one: template text with its control tokens, message texts as plain text. So nothing a caller says can end a turn or
//! start a system message, and equal beginnings of a conversation are equal beginnings of its tokens, which is what the
//! prefix cache needs.

use llama_cpp_2::model::LlamaChatMessage;
use llama_cpp_2::token::LlamaToken;

use super::Model;
use super::grammar::Grammar;
use crate::api::request::{Message, Role};
use crate::model::{Constraint, ConstraintSpec, Frontend, PromptError, Purpose, Token};

impl Frontend for Model {
    fn id(&self) -> &str {
        &self.id
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn prompt(&self, messages: &[Message], purpose: Purpose) -> Result<Vec<Token>, PromptError> {
        let (closed, open) = match (purpose, messages.split_last()) {
            (Purpose::Reply, Some((last, rest))) if last.role == Role::Assistant => (rest, Some(last)),
            _ => (messages, None),
        };
        let vocab = self.model.vocab();
        let mut tokens: Vec<LlamaToken> = Vec::new();
        if vocab.should_add_bos() {
            tokens.push(vocab.bos());
        }
        let rendered = self.render(closed, purpose == Purpose::Reply)?;
        let mut rest = rendered.as_str();
        for (index, message) in closed.iter().enumerate() {
            let dropped = PromptError::Dropped { index, role: message.role.name() };
            let (before, after) = rest.split_once(&placeholder(index)).ok_or(dropped)?;
            tokens.extend(vocab.tokenize(before.as_bytes(), false, true));
            tokens.extend(vocab.tokenize(message.text.as_bytes(), false, false));
            rest = after;
        }
        tokens.extend(vocab.tokenize(rest.as_bytes(), false, true));
        if let Some(open) = open {
            tokens.extend(vocab.tokenize(open.text.as_bytes(), false, false));
        }
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    fn constrain(&self, spec: &ConstraintSpec) -> Result<Box<dyn Constraint>, PromptError> {
        Ok(Box::new(Grammar::compile(&self.model, spec)?))
    }
}

impl Model {
    fn render(&self, messages: &[Message], open_reply: bool) -> Result<String, PromptError> {
        let chat: Result<Vec<_>, _> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| LlamaChatMessage::new(message.role.name().to_owned(), placeholder(index)))
            .collect();
        let chat = chat.map_err(|_| PromptError::Template)?;
        self.model.apply_chat_template(&self.template, &chat, open_reply).map_err(|_| PromptError::Template)
    }
}

/// Stands for a message's text; contains nothing a template would trim or change.
fn placeholder(index: usize) -> String {
    format!("<<warmline:{index}>>")
}
