//! What was said in a call, as the language model is shown it: the caller's words, and of ours only those that were heard. PURE.

use std::collections::VecDeque;

use crate::engine::llm::{ChatMessage, Role};

/// Exchanges kept. A small model gains nothing from more, and each costs its tokens before the first word of the reply.
const TURNS_KEPT: usize = 8;
/// Characters kept of one turn.
const TURN_LENGTH: usize = 600;

/// A call's memory. Cheap to clone: a few kilobytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    turns: VecDeque<ChatMessage>,
}

impl History {
    /// The caller said this.
    pub fn caller(&mut self, text: &str) {
        self.add(Role::User, text);
    }

    /// The caller heard this of what the assistant said.
    pub fn assistant_heard(&mut self, text: &str) {
        self.add(Role::Assistant, text);
    }

    fn add(&mut self, role: Role, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match self.turns.back_mut() {
            // Sentences of one reply, or pieces of one question, are one message: models expect roles to alternate.
            Some(last) if last.role == role => {
                last.content.push(' ');
                last.content.push_str(text);
                shorten(&mut last.content);
            }
            _ => {
                let mut content = text.to_owned();
                shorten(&mut content);
                self.turns.push_back(ChatMessage { role, content });
            }
        }
        while self.turns.len() > TURNS_KEPT {
            self.turns.pop_front();
        }
    }

    /// Oldest first; begins with the caller.
    pub fn messages(&self) -> impl Iterator<Item = &ChatMessage> {
        self.turns.iter().skip_while(|turn| turn.role == Role::Assistant)
    }

    /// The caller's own words, oldest first.
    pub fn caller_words(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().filter(|turn| turn.role == Role::User).map(|turn| turn.content.as_str())
    }
}

/// Keeps the end: the newest words matter most.
fn shorten(text: &mut String) {
    if text.len() > TURN_LENGTH {
        let mut cut = text.len() - TURN_LENGTH;
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_alternate_and_begin_with_the_caller() {
        let mut history = History::default();
        history.assistant_heard("Hello.");
        history.caller("My order");
        history.caller("is late.");
        history.assistant_heard("I am sorry.");
        history.assistant_heard("");
        history.assistant_heard("It comes tomorrow.");
        let turns: Vec<_> = history.messages().map(|turn| (turn.role, turn.content.as_str())).collect();
        assert_eq!(turns, [(Role::User, "My order is late."), (Role::Assistant, "I am sorry. It comes tomorrow.")]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for n in 0..100 {
            history.caller(&format!("question {n} {}", "ä".repeat(1_000)));
            history.assistant_heard("answer");
        }
        assert_eq!(history.turns.len(), TURNS_KEPT);
        assert!(history.messages().all(|turn| turn.content.len() <= TURN_LENGTH));
    }
}
