//! PURE. The rules of the language a call is in. English has its own functions; German, Spanish and French have lexicons.
//!
//! A language without rules is heard by the English ones, so that "agent" and "operator" do what they do everywhere, and the
//! key 0 needs no words.

use super::lexicons::{FRENCH, GERMAN, Lexicon, SPANISH};
use super::{PersonRequest, mood, small, suspect};
use crate::dialog::language::Language;

/// Longer than this, words are about something, and what they are about was heard.
const MOST_WORDS: usize = 18;
/// A clause in which a single word may be all that is left of a request.
const SHORT_CLAUSE: usize = 6;
/// With a "please", so few words ask for something that nobody would have to look up.
const PLEA: usize = 4;

/// The rules of one language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules(Language);

impl Rules {
    /// Those of `language`.
    pub const fn of(language: Language) -> Self {
        Self(language)
    }

    fn lexicon(self) -> Option<&'static Lexicon> {
        match self.0 {
            Language::GERMAN => Some(&GERMAN),
            Language::SPANISH => Some(&SPANISH),
            Language::FRENCH => Some(&FRENCH),
            _ => None,
        }
    }

    /// What the lexicon says to `name`, else the English rule.
    fn says(self, name: &str, text: &str, english: fn(&str) -> bool) -> bool {
        self.lexicon().map_or_else(|| english(text), |lexicon| lexicon.says(name, text))
    }

    /// A choice of a waiting caller, unless they refuse it.
    fn chooses(self, name: &str, text: &str, english: fn(&str) -> bool) -> bool {
        self.lexicon().map_or_else(
            || english(text),
            |lexicon| lexicon.says(name, text) && !lexicon.says("refuses_alternative", text),
        )
    }

    /// See [`super::wants_person`].
    pub fn wants_person(self, text: &str) -> Option<PersonRequest> {
        self.lexicon().map_or_else(|| super::wants_person(text), |lexicon| lexicon.wants_person(text))
    }

    /// See [`super::wants_person_so_far`].
    pub fn wants_person_so_far(self, text: &str) -> Option<PersonRequest> {
        self.lexicon().map_or_else(|| super::wants_person_so_far(text), |lexicon| lexicon.wants_person_so_far(text))
    }

    /// See [`super::may_want_person`].
    pub fn may_want_person(self, text: &str) -> bool {
        let Some(lexicon) = self.lexicon() else { return suspect::may_want_person(text) };
        let clauses = lexicon.clauses(text);
        let count: usize = clauses.iter().map(Vec::len).sum();
        if count == 0 || count > MOST_WORDS || self.says_goodbye(text) || self.rules_person_out(text) {
            return false;
        }
        lexicon.pleads(&clauses) && count <= PLEA || clauses.iter().any(|clause| lexicon.hints_at(clause, SHORT_CLAUSE))
    }

    /// See [`super::rules_person_out`].
    pub fn rules_person_out(self, text: &str) -> bool {
        let Some(lexicon) = self.lexicon() else { return suspect::rules_person_out(text) };
        self.asks_if_human(text) || lexicon.clauses(text).iter().any(|clause| lexicon.refuses_person(clause))
    }

    /// See [`super::asks_if_human`].
    pub fn asks_if_human(self, text: &str) -> bool {
        self.says("asks_human", text, small::asks_if_human)
    }

    /// See [`super::asks_to_repeat`].
    pub fn asks_to_repeat(self, text: &str) -> bool {
        self.says("says_repeat", text, small::asks_to_repeat)
    }

    /// See [`super::says_goodbye`].
    pub fn says_goodbye(self, text: &str) -> bool {
        self.says("says_goodbye", text, small::says_goodbye)
    }

    /// See [`super::is_danger`].
    pub fn is_danger(self, text: &str) -> bool {
        self.says("danger", text, mood::is_danger)
    }

    /// See [`super::is_angry`].
    pub fn is_angry(self, text: &str) -> bool {
        self.says("angry", text, mood::is_angry)
    }

    /// See [`super::is_unhelped`].
    pub fn is_unhelped(self, text: &str) -> bool {
        self.says("unhelped", text, mood::is_unhelped)
    }

    /// See [`super::is_opening`].
    pub fn is_opening(self, text: &str) -> bool {
        let Some(lexicon) = self.lexicon() else { return mood::is_opening(text) };
        // What follows the greeting in a clause of its own is a question.
        let clauses = lexicon.clauses(text);
        !clauses.is_empty() && clauses.iter().all(|clause| lexicon.says("opening", &clause.join(" ")))
    }

    /// The caller asks for a moment; none: there is no such rule in this language.
    pub fn asks_for_time(self, text: &str) -> Option<bool> {
        let lexicon = self.lexicon()?;
        Some(!text.contains('?') && text.split_whitespace().count() <= SHORT_CLAUSE && lexicon.says("takes_time", text))
    }

    /// See [`super::backchannel`].
    pub fn backchannel(self, text: &str) -> bool {
        self.lexicon().map_or_else(|| small::backchannel(text), |lexicon| lexicon.is_noise(text))
    }

    /// See [`super::yes_no`].
    pub fn yes_no(self, text: &str) -> Option<bool> {
        self.lexicon().map_or_else(|| small::yes_no(text), |lexicon| lexicon.yes_no(text))
    }

    /// See [`super::wants_message`].
    pub fn wants_message(self, text: &str) -> bool {
        self.chooses("wants_message", text, small::wants_message)
    }

    /// See [`super::wants_callback`].
    pub fn wants_callback(self, text: &str) -> bool {
        self.chooses("wants_callback", text, small::wants_callback)
    }

    /// See [`super::wants_assistant`].
    pub fn wants_assistant(self, text: &str) -> bool {
        self.says("wants_assistant", text, small::wants_assistant)
    }
}
