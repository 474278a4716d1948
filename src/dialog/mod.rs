//! What the assistant says and what it must never say: prompts, knowledge, history, speakable text, rules that need no model.

/// A list of words, packed: one word a line would be pages.
macro_rules! words {
    ($($word:tt)*) => { &[$(stringify!($word)),*] };
}
/// A list of phrases, packed.
macro_rules! phrases {
    ($($phrase:literal)*) => { &[$($phrase),*] };
}

pub mod brief;
pub mod cards;
pub mod chore;
pub mod collect;
pub mod history;
pub mod intent;
pub mod knowledge;
pub mod language;
pub mod minutes;
pub mod phrases;
pub mod prompt;
pub mod reply;
pub mod speakable;
pub mod words;
