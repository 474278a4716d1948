//! Rules of languages other than English, as data: one file a language, read here and matched by [`pattern`].
//!
//! A file is lines of `name: item | item`, a name as often as it likes. Names of words are lists of words and phrases;
//! all others are lists of patterns:
//!
//! ```text
//! word  a/b  stem*     this word, one of these, one that begins so
//! {name}               a word or phrase of the list `name`
//! {person}             a person to talk to: modifiers, then a word of `head` or `someone`; {head} without `someone`
//! ~                    up to five words of `filler` and `modifier`
//! ..3                  up to three words, whichever
//! ^  $                 the clause begins, ends here
//! ```
//! Case, accents and umlauts make no difference, nor whether an umlaut is written with an `e`.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{PersonRequest, Rule};
use pattern::{Alternatives, Item, parse_pattern};

pub(super) static GERMAN: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(include_str!("de.txt")));
pub(super) static SPANISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(include_str!("es.txt")));
pub(super) static FRENCH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(include_str!("fr.txt")));

/// Longest text looked at, in bytes.
const MAX_TEXT: usize = 4_000;
/// A negation so many words before a wish is about it.
const NEGATION_REACH: usize = 4;
/// A negation behind a wish, in languages that put it there.
const NEGATION_BEHIND: usize = 2;
/// An answer longer than this is more than a yes or a no.
const LONGEST_ANSWER: usize = 14;
/// A yes or a no is among the first words.
const FIRST_WORDS: usize = 4;

/// Words of one clause, lower case, without accents.
pub(super) type Clause = Vec<String>;

/// Names that are lists of words; every other name has patterns.
const WORD_LISTS: &[&str] = &[
    "head",
    "someone",
    "modifier",
    "filler",
    "machine",
    "not",
    "not_behind",
    "spent",
    "mine",
    "moves",
    "wish",
    "wants",
    "contact",
    "give",
    "helps",
    "dangling",
    "joins",
    "please",
    "hesitation",
    "yes",
    "no",
    "noise",
    "not_head",
    "zero",
];

/// The patterns of requests, each with its rule.
const REQUESTS: &[(&str, Rule)] = &[
    ("ask_contact", Rule::Contact),
    ("ask_transfer", Rule::Transfer),
    ("ask_give", Rule::Give),
    ("ask_want", Rule::Want),
    ("ask_anyone", Rule::Anyone),
];

/// The words and patterns of one language.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    words: HashMap<String, Vec<Alternatives>>,
    patterns: HashMap<String, Vec<Vec<Item>>>,
}

impl Lexicon {
    fn parse(text: &str) -> Self {
        let mut lexicon = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (name, items) = line.split_once(':').expect("a line of a lexicon is `name: items`");
            for item in items.split('|').map(str::trim).filter(|item| !item.is_empty()) {
                if WORD_LISTS.contains(&name) {
                    lexicon.words.entry(name.to_owned()).or_default().extend(entries(item));
                } else {
                    lexicon.patterns.entry(name.to_owned()).or_default().push(parse_pattern(item));
                }
            }
        }
        lexicon
    }

    /// How many words of the list `name` begin at `at`: the longest fit.
    fn listed(&self, name: &str, clause: &[String], at: usize) -> Option<usize> {
        self.words.get(name)?.iter().filter_map(|entry| entry.fits(clause, at)).max()
    }

    fn is(&self, name: &str, clause: &[String], at: usize) -> bool {
        self.listed(name, clause, at).is_some()
    }

    /// The end of the first pattern of `name` that fits at `at`.
    fn fits(&self, name: &str, clause: &[String], at: usize) -> Option<usize> {
        let patterns = self.patterns.get(name)?;
        patterns.iter().find_map(|pattern| pattern::matches(self, pattern, clause, at))
    }

    /// Whether a pattern of `name` fits anywhere in a clause of `text`.
    pub fn says(&self, name: &str, text: &str) -> bool {
        self.clauses(text).iter().any(|clause| (0..clause.len()).any(|at| self.fits(name, clause, at).is_some()))
    }

    /// `text` cut into clauses at punctuation; pauses inside a clause are closed again.
    pub fn clauses(&self, text: &str) -> Vec<Clause> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT.min(text.len()))];
        let mut out: Vec<Clause> = Vec::new();
        let mut join = false;
        for (words, finished) in pieces(text) {
            if words.is_empty() {
                continue;
            }
            if (0..words.len()).all(|at| self.is("hesitation", &words, at)) && !out.is_empty() {
                join = !finished;
                continue;
            }
            let alone = |clause: &Clause| self.listed("please", clause, 0) == Some(clause.len());
            let glued = self.is("joins", &words, 0) || alone(&words);
            match out.last_mut() {
                Some(last)
                    if join || glued || alone(last) || self.is("dangling", last, last.len().saturating_sub(1)) =>
                {
                    last.extend(words);
                }
                _ => out.push(words),
            }
            join = false;
        }
        out
    }

    fn all_words(&self, text: &str) -> Clause {
        self.clauses(text).into_iter().flatten().collect()
    }

    /// A request for a person anywhere in `text`.
    pub fn wants_person(&self, text: &str) -> Option<PersonRequest> {
        self.clauses(text).iter().find_map(|clause| self.request(clause))
    }

    /// The same before the caller has finished: a bare word only with a "please", or said twice.
    pub fn wants_person_so_far(&self, text: &str) -> Option<PersonRequest> {
        let firm = |clause: &Clause, request: &PersonRequest| {
            let heads = (0..clause.len()).filter(|at| self.is("head", clause, *at)).count();
            let please = (0..clause.len()).any(|at| self.is("please", clause, at));
            request.rule != Rule::Bare || heads > 1 || heads == 1 && please
        };
        let clauses = self.clauses(text);
        clauses.iter().find_map(|clause| self.request(clause).filter(|request| firm(clause, request)))
    }

    fn request(&self, clause: &Clause) -> Option<PersonRequest> {
        let request = |rule, from: usize, to: usize| PersonRequest { rule, phrase: clause[from..to].join(" ") };
        if self.is_bare(clause) {
            return Some(request(Rule::Bare, 0, clause.len()));
        }
        let about_us = (0..clause.len()).any(|at| self.fits("asks_human", clause, at).is_some());
        (0..clause.len()).find_map(|at| {
            let refused = self.fits("refuses_machine", clause, at).filter(|_| !about_us);
            if let Some(end) = refused {
                return Some(request(Rule::NoMachine, at, end));
            }
            REQUESTS.iter().find_map(|(name, rule)| {
                let patterns = self.patterns.get(*name)?;
                let end = patterns.iter().find_map(|pattern| {
                    pattern::matches(self, pattern, clause, at).filter(|end| !self.taken_back(clause, at, *end))
                })?;
                Some(request(*rule, at, end))
            })
        })
    }

    /// Nothing but a word for a person, or for putting somebody through, and words that do not change it.
    fn is_bare(&self, clause: &Clause) -> bool {
        let (mut at, mut named) = (0, false);
        while at < clause.len() {
            let head =
                ["head", "someone", "moves", "zero"].iter().filter_map(|name| self.listed(name, clause, at)).max();
            let around = ["filler", "modifier", "please"].iter().filter_map(|name| self.listed(name, clause, at)).max();
            match (head, around) {
                (Some(len), _) => {
                    named |= !self.is("zero", clause, at) || clause.len() <= 2;
                    at += len;
                }
                (None, Some(len)) => at += len,
                (None, None) => return false,
            }
        }
        named
    }

    /// A wish that is negated, past or somebody else's.
    fn taken_back(&self, clause: &Clause, from: usize, to: usize) -> bool {
        if (0..to).any(|at| self.fits("elsewhere", clause, at).is_some()) {
            return true;
        }
        if (0..to).any(|at| self.fits("asks_why_not", clause, at).is_some()) {
            return false;
        }
        let machine = |range: std::ops::Range<usize>| range.into_iter().any(|at| self.is("machine", clause, at));
        let before = (from.saturating_sub(NEGATION_REACH)..to).filter(|at| self.is("not", clause, *at)).any(|not| {
            let spent = (not + 1..=from).any(|at| self.is("spent", clause, at));
            !spent && !machine(not..to)
        });
        let behind = (to..clause.len().min(to + NEGATION_BEHIND)).any(|not| {
            self.is("not_behind", clause, not) && !machine(not..clause.len()) && !self.is("modifier", clause, not + 1)
        });
        before || behind
    }

    /// Yes, no, or neither of them.
    pub fn yes_no(&self, text: &str) -> Option<bool> {
        let said = self.all_words(text);
        let place = |name: &str| (0..said.len()).find(|at| self.fits(name, &said, *at).is_some());
        if said.is_empty() || said.len() > LONGEST_ANSWER || place("answers_unsure").is_some() {
            return None;
        }
        let any = |name: &str| (0..said.len()).find(|at| self.is(name, &said, *at));
        let (yes, no) = (any("yes"), any("no"));
        match (place("answers_yes"), place("answers_no")) {
            // "Of course not" begins like a yes.
            (agrees, Some(refuses)) => {
                agrees.into_iter().chain(yes).min().is_none_or(|at| refuses <= at).then_some(false)
            }
            (Some(_), None) => Some(true),
            (None, None) => match (yes, no) {
                (Some(_), Some(_)) => None,
                (Some(at), None) => (at < FIRST_WORDS).then_some(true),
                (None, Some(at)) => (at < FIRST_WORDS).then_some(false),
                (None, None) => None,
            },
        }
    }

    /// A listener's noise.
    pub fn is_noise(&self, text: &str) -> bool {
        let said = self.all_words(text);
        !said.is_empty() && said.len() <= 5 && (0..said.len()).all(|at| self.is("noise", &said, at))
    }

    /// Whether a "please" is among the words.
    pub fn pleads(&self, clauses: &[Clause]) -> bool {
        clauses.iter().any(|clause| (0..clause.len()).any(|at| self.is("please", clause, at)))
    }

    /// A word for a person, or in a short clause one of speaking and putting through, that is not taken back.
    pub fn hints_at(&self, clause: &Clause, short: usize) -> bool {
        (0..clause.len()).any(|at| {
            let theirs = at > 0 && self.is("mine", clause, at - 1) || self.is("not_head", clause, at);
            let named = self.is("head", clause, at);
            let few = ["someone", "contact", "moves", "machine"].iter().any(|name| self.is(name, clause, at));
            (named || few && clause.len() <= short) && !theirs && !self.taken_back(clause, at, at + 1)
        })
    }

    /// "I don't want an agent".
    pub fn refuses_person(&self, clause: &Clause) -> bool {
        (0..clause.len()).any(|at| {
            let wish = ["head", "someone", "moves"].iter().any(|name| self.is(name, clause, at));
            wish && self.taken_back(clause, at, at + 1)
        })
    }
}

/// Words, and phrases between quotation marks.
fn entries(item: &str) -> impl Iterator<Item = Alternatives> {
    let parts = item.split('"').enumerate();
    parts.flat_map(|(number, part)| {
        let phrase = (number % 2 == 1).then(|| Alternatives::phrase(part));
        let words = if number % 2 == 0 { part } else { "" };
        phrase.into_iter().chain(words.split_whitespace().map(Alternatives::phrase))
    })
}

/// Words between two punctuation marks, and whether the second one ends a sentence.
fn pieces(text: &str) -> Vec<(Clause, bool)> {
    let mut out = vec![(Vec::new(), false)];
    let mut word = String::new();
    let close = |word: &mut String, out: &mut Vec<(Clause, bool)>| {
        if !word.is_empty()
            && let Some((words, _)) = out.last_mut()
        {
            words.push(fold(word));
            word.clear();
        }
    };
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() => word.push(c),
            '.' | ',' | '?' | '!' | ';' | ':' | '—' | '–' | '…' | '\n' | '¿' | '¡' => {
                close(&mut word, &mut out);
                if let Some(last) = out.last_mut() {
                    last.1 = matches!(c, '.' | '?' | '!');
                }
                out.push((Vec::new(), false));
            }
            _ => close(&mut word, &mut out),
        }
    }
    close(&mut word, &mut out);
    out
}

/// Lower case without accents; an umlaut is its plain letter, whether it is written as one letter or as two.
pub(super) fn fold(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase) {
        let plain = match c {
            'ä' | 'à' | 'á' | 'â' | 'ã' => 'a',
            'ö' | 'ò' | 'ó' | 'ô' | 'õ' => 'o',
            'ü' | 'ù' | 'ú' | 'û' => 'u',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'í' | 'ì' | 'î' | 'ï' => 'i',
            'ñ' => 'n',
            'ç' => 'c',
            'ß' => {
                out.push('s');
                's'
            }
            'œ' => {
                out.push('o');
                'e'
            }
            // A letter put on its own, after the plain one.
            '\u{300}'..='\u{36f}' => continue,
            c => c,
        };
        out.push(plain);
    }
    for (two, one) in [("ae", "a"), ("oe", "o"), ("ue", "u")] {
        out = out.replace(two, one);
    }
    out
}
