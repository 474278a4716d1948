//! Patterns over the words of a clause: read from a lexicon's file, and matched.

use super::{Lexicon, fold};
use crate::dialog::words::near;

/// Words of `filler` and `modifier` that `~` passes over.
const MOST_FILLERS: usize = 5;
/// Modifiers before a word for a person.
const MOST_MODIFIERS: usize = 6;
/// A word for a person this long may have a letter wrong.
const FORGIVEN_FROM: usize = 7;

/// One word of a list or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spelling {
    text: String,
    /// Any word that begins so.
    stem: bool,
}

impl Spelling {
    fn parse(word: &str) -> Self {
        Self { text: fold(word.trim_end_matches('*')), stem: word.ends_with('*') }
    }

    fn is(&self, word: &str) -> bool {
        if self.stem { word.starts_with(&self.text) } else { self.text == word }
    }

    fn is_nearly(&self, word: &str) -> bool {
        let cut = if self.stem { self.text.len().min(word.len()) } else { word.len() };
        self.text.len() >= FORGIVEN_FROM && word.is_char_boundary(cut) && near(&self.text, &word[..cut], 1)
    }
}

/// A word, or words one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternatives(Vec<Spelling>);

impl Alternatives {
    pub fn phrase(text: &str) -> Self {
        Self(
            text.split(|c: char| !(c.is_alphanumeric() || c == '*'))
                .filter(|word| !word.is_empty())
                .map(Spelling::parse)
                .collect(),
        )
    }

    /// How many words fit at `at`.
    pub fn fits(&self, clause: &[String], at: usize) -> Option<usize> {
        let here = clause.get(at..at + self.0.len())?;
        self.0.iter().zip(here).all(|(spelling, word)| spelling.is(word)).then_some(self.0.len())
    }

    fn nearly_fits(&self, clause: &[String], at: usize) -> Option<usize> {
        let [spelling] = &self.0[..] else { return None };
        spelling.is_nearly(clause.get(at)?).then_some(1)
    }
}

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Word(Vec<Alternatives>),
    List(String),
    Person { someone: bool },
    Fillers,
    Gap(usize),
    Start,
    End,
}

pub(super) fn parse_pattern(text: &str) -> Vec<Item> {
    text.split_whitespace()
        .map(|item| match item {
            "^" => Item::Start,
            "$" => Item::End,
            "~" => Item::Fillers,
            "{person}" => Item::Person { someone: true },
            "{head}" => Item::Person { someone: false },
            _ => {
                if let Some(count) = item.strip_prefix("..").and_then(|count| count.parse().ok()) {
                    Item::Gap(count)
                } else if let Some(name) = item.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Item::List(name.to_owned())
                } else {
                    Item::Word(item.split('/').map(Alternatives::phrase).collect())
                }
            }
        })
        .collect()
}

/// One past the last word of `pattern` at `at`, if it fits.
pub(super) fn matches(lexicon: &Lexicon, pattern: &[Item], clause: &[String], at: usize) -> Option<usize> {
    let Some((item, rest)) = pattern.split_first() else { return Some(at) };
    let go_on = |at: usize| matches(lexicon, rest, clause, at);
    match item {
        Item::Start => (at == 0).then(|| go_on(at)).flatten(),
        Item::End => (at == clause.len()).then(|| go_on(at)).flatten(),
        Item::Word(words) => words.iter().find_map(|word| go_on(at + word.fits(clause, at)?)),
        Item::List(name) => lexicon.listed(name, clause, at).and_then(|len| go_on(at + len)),
        Item::Gap(most) => (at..=clause.len().min(at + most)).find_map(go_on),
        Item::Fillers => {
            let mut at = at;
            for _ in 0..=MOST_FILLERS {
                if let Some(end) = go_on(at) {
                    return Some(end);
                }
                let filler = lexicon.listed("filler", clause, at);
                at += filler.or_else(|| lexicon.listed("modifier", clause, at))?;
            }
            None
        }
        Item::Person { someone } => person(lexicon, clause, at, *someone).and_then(go_on),
    }
}

/// One past a person to talk to that begins at `at`. The caller's own people are none.
fn person(lexicon: &Lexicon, clause: &[String], at: usize, someone: bool) -> Option<usize> {
    if at > 0 && lexicon.is("mine", clause, at - 1) {
        return None;
    }
    let mut at = at;
    for _ in 0..=MOST_MODIFIERS {
        if let Some(len) = head(lexicon, clause, at, someone) {
            return Some(at + len);
        }
        at += lexicon.listed("modifier", clause, at)?;
    }
    None
}

fn head(lexicon: &Lexicon, clause: &[String], at: usize, someone: bool) -> Option<usize> {
    if lexicon.is("not_head", clause, at) {
        return None;
    }
    let listed = lexicon.listed("head", clause, at);
    let listed = listed.or_else(|| someone.then(|| lexicon.listed("someone", clause, at)).flatten());
    listed.or_else(|| lexicon.words.get("head")?.iter().find_map(|entry| entry.nearly_fits(clause, at)))
}
