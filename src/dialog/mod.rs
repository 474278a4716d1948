//! What the assistant says and what it must never say: prompts, knowledge, history, speakable text, rules that need no model.

pub mod brief;
pub mod history;
pub mod intent;
pub mod knowledge;
pub mod phrases;
pub mod prompt;
pub mod reply;
pub mod speakable;
pub mod words;
