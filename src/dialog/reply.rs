//! PURE. What the language model may not say: the guard between its sentences and the caller's ear.
//!
//! A small model makes up phone numbers, prices and countries in a confident voice. So every number, price, percentage,
//! span, time, phone number, e-mail address, link and name in a sentence must stand in what backs the reply: the entries
//! it was given, the caller's own words, the company's name. Numbers are compared by value and unit, however they are
//! written: `$4.90` is "four dollars and ninety cents", "two weeks" are 14 days, "30 minutes" are not 30 days.
//! Also refused: acts the assistant can't do ("I've cancelled your order"), promises, denying the caller a person,
//! passing for one, and talk about models and prompts.
//!
//! What it can't see: a wrong "not" ("we deliver to Canada" for "we don't"), or facts without number or name.

mod manners;
mod names;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashSet;
use std::fmt;

use values::{Contacts, Value};

use super::words::stems;

/// The sentence only says that the speaker does not know: nothing in it can be wrong.
pub fn admits_ignorance(sentence: &str) -> bool {
    manners::admits_ignorance(&super::words::words(sentence))
}

/// What a reply may draw on.
#[derive(Clone, Debug, Default)]
pub struct GroundingGuard {
    values: Vec<Value>,
    contacts: Contacts,
    /// Stems of every word.
    words: HashSet<String>,
    /// The sources' words, for claims that are approved as they stand.
    text: String,
}

/// A sentence that may not be spoken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Which rule.
    pub kind: BlockedKind,
    /// The words that broke it.
    pub what: String,
}

/// Why a sentence may not be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockedKind {
    /// A number, price, percentage, span or time that nothing backs.
    Number,
    /// A phone number, e-mail address or link that nothing backs.
    Contact,
    /// A name, place, day or month that nothing backs.
    Name,
    /// A promise, or an act the assistant can't do.
    Promise,
    /// Says that the caller can't have a person.
    RefusesPerson,
    /// Talks of models or prompts, passes for a person, or is not in the caller's language.
    Slip,
}

impl Blocked {
    /// Label for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            BlockedKind::Number => "number",
            BlockedKind::Contact => "contact",
            BlockedKind::Name => "name",
            BlockedKind::Promise => "promise",
            BlockedKind::RefusesPerson => "refuses_person",
            BlockedKind::Slip => "slip",
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.what)
    }
}

impl GroundingGuard {
    /// A guard for one reply. `sources`: the entries used, the caller's words, the company's name.
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a str>) -> Self {
        let mut guard = Self::default();
        for source in sources {
            let rest = guard.contacts.take(source);
            guard.values.extend(values::values(&rest).into_iter().flat_map(|reading| reading.all()));
            guard.words.extend(stems(source));
            guard.text.push_str(&super::words::words(source).join(" "));
            guard.text.push_str(" | ");
        }
        guard
    }

    /// `Ok` if `sentence` may be spoken.
    pub fn check(&self, sentence: &str) -> Result<(), Blocked> {
        manners::check(sentence, &self.text)?;
        let mut contacts = Contacts::default();
        let rest = contacts.take(sentence);
        if let Some(what) = contacts.strange_to(&self.contacts) {
            return Err(Blocked { kind: BlockedKind::Contact, what });
        }
        for reading in values::values(&rest) {
            if !reading.backed_by(&self.values) {
                return Err(Blocked { kind: BlockedKind::Number, what: reading.text });
            }
        }
        match names::names(&rest).into_iter().find(|name| !self.has_name(name)) {
            Some(what) => Err(Blocked { kind: BlockedKind::Name, what }),
            None => Ok(()),
        }
    }

    fn has_name(&self, name: &str) -> bool {
        stems(name).iter().all(|stem| self.words.contains(stem))
    }
}
