//! PURE. What a caller wants, as far as rules can tell without any model: a person, a repetition, an end, a topic that
//! belongs to people. It reads recognised speech: no case, no reliable punctuation, words a letter wrong.
//!
//! English is here; [`Rules`] has the same questions for the language of a call.
//!
//! Nothing here waits, fails or panics, whatever the text.

mod lexicon;
mod lexicons;
mod mood;
mod person;
mod rules;
mod scope;
mod small;
mod suspect;
#[cfg(test)]
mod tests;

use super::words::clauses;

pub use mood::{is_angry, is_danger, is_opening, is_unhelped};
pub use rules::Rules;
pub use small::{
    asks_if_human, asks_to_repeat, backchannel, forbidden_topic, keep_waiting, says_goodbye, wants_assistant,
    wants_callback, wants_message, yes_no,
};
pub use suspect::{may_want_person, rules_person_out};

/// What recognition is told to expect on every English line, before any names: on a noisy one "human" is else heard as
/// "team". One hint and not six, so that the guard against echoed hints leaves alone a caller who says one of them.
pub const HINT: &str =
    "let me talk to a human being, an agent please, the operator, a representative, a real person, your manager please";

/// The caller asked for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRequest {
    /// Which kind of phrasing it was.
    pub rule: Rule,
    /// The words that said so, lower case, contractions written out.
    pub phrase: String,
}

/// How a person was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Hardly more than the word: "agent", "human please". It can still turn into something else while the caller speaks.
    Bare,
    /// "Speak to a person".
    Contact,
    /// "Put me through".
    Transfer,
    /// "Get me a human".
    Give,
    /// "I need somebody".
    Want,
    /// "Is there anyone there".
    Anyone,
    /// "A real person would be better".
    RealOne,
    /// "I don't want to talk to a robot".
    NoMachine,
}

impl Rule {
    /// The word used in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Contact => "contact",
            Self::Transfer => "transfer",
            Self::Give => "give",
            Self::Want => "want",
            Self::Anyone => "anyone",
            Self::RealOne => "real_one",
            Self::NoMachine => "no_machine",
        }
    }
}

/// A request for a person anywhere in `text`, a finished utterance.
///
/// Questions about us ("are you human?"), other people ("my insurance agent"), the past ("the agent I spoke with") and
/// refusals ("I don't want an agent") are none. In doubt it is one: an unheard request is the worse mistake.
pub fn wants_person(text: &str) -> Option<PersonRequest> {
    joined(text).iter().find_map(person::find)
}

/// The same while the caller is still speaking: a bare word counts only once it can't become the start of something
/// else ("someone" may go on to "stole my parcel", "agent agent" and "human please" do not).
pub fn wants_person_so_far(text: &str) -> Option<PersonRequest> {
    let firm = |request: &PersonRequest| {
        request.rule != Rule::Bare
            || ["please", "now"].iter().any(|word| request.phrase.ends_with(word))
            || request
                .phrase
                .split(' ')
                .filter(|word| ["agent", "human", "operator", "representative"].contains(word))
                .count()
                > 1
    };
    joined(text).iter().filter_map(person::find).find(firm)
}

/// The clauses, a "please" that stands alone put back: "the operator, please", "please, the operator".
fn joined(text: &str) -> Vec<super::words::Clause> {
    let alone = |clause: &super::words::Clause| clause.len() == 1 && clause[0] == "please";
    let mut out: Vec<super::words::Clause> = Vec::new();
    for clause in clauses(text) {
        match out.last_mut() {
            Some(last) if alone(&clause) || alone(last) => last.extend(clause),
            _ => out.push(clause),
        }
    }
    out
}
