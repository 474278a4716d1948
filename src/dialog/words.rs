//! PURE. Spoken text as words: clauses, contractions undone, stems, and how far apart two words are.
//!
//! Recognised speech has no reliable punctuation, case or apostrophes, so everything here is lower case, contractions
//! are written out (`don't` and `dont` are both `do not`) and punctuation only ends clauses.

use std::cell::RefCell;

use tantivy::tokenizer::{Language, LowerCaser, SimpleTokenizer, Stemmer, TextAnalyzer};

/// Longest text looked at, in bytes; a caller's turn is far shorter.
pub const MAX_TEXT: usize = 4_000;

/// Zero to nineteen.
pub const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

/// Twenty to ninety.
pub const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The words of one clause, lower case, contractions written out, `'s` as a word `s` of its own.
pub type Clause = Vec<String>;

/// Sounds that carry nothing; a clause of only these is dropped and its neighbours are joined.
const HESITATIONS: &[&str] =
    &["um", "uh", "er", "erm", "uhm", "umm", "hm", "hmm", "mm", "mmm", "ah", "eh", "well", "like"];

/// Words after which a clause can't end: the comma there was a pause.
const DANGLING: &[&str] =
    &["a", "an", "the", "to", "with", "want", "need", "get", "me", "your", "real", "actual", "live"];

/// All words of `text`, clause ends ignored.
pub fn words(text: &str) -> Vec<String> {
    clauses(text).into_iter().flatten().collect()
}

/// `text` cut into clauses at punctuation; pauses and hesitations inside a clause are closed again.
pub fn clauses(text: &str) -> Vec<Clause> {
    let mut out: Vec<Clause> = Vec::new();
    // After "No." a hesitation begins something new, after "I want," it does not.
    let (mut join, mut finished) = (false, true);
    for piece in pieces(clip(text)) {
        let clause = expand(&piece.words);
        if clause.is_empty() {
            continue;
        }
        if clause.iter().all(|word| HESITATIONS.contains(&word.as_str())) && !out.is_empty() {
            join = !finished;
            continue;
        }
        let dangling = out.last().and_then(|last| last.last()).is_some_and(|word| DANGLING.contains(&word.as_str()));
        match out.last_mut() {
            Some(last) if join || dangling => last.extend(clause),
            _ => out.push(clause),
        }
        (join, finished) = (false, piece.finished);
    }
    out
}

/// The first [`MAX_TEXT`] bytes, cut at a character.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT.min(text.len()))]
}

/// Raw words between two punctuation marks, apostrophes kept.
#[derive(Default)]
struct Piece {
    words: Vec<String>,
    /// Ended by a full stop, a question or an exclamation mark.
    finished: bool,
}

impl Piece {
    fn take_word(&mut self, word: &mut String) {
        let trimmed = word.trim_matches('\'');
        if !trimmed.is_empty() {
            self.words.push(trimmed.to_owned());
        }
        word.clear();
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut piece, mut word) = (Vec::new(), Piece::default(), String::new());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let in_number = before.is_ascii_digit() && characters.peek().is_some_and(char::is_ascii_digit);
        match c {
            '\'' | '’' | '‘' | '`' => word.push('\''),
            // 4.90 and 1,000 are one word each.
            '.' | ',' | ':' if in_number => word.push(c),
            '.' | ',' | '?' | '!' | ';' | ':' | '—' | '–' | '…' | '\n' => {
                piece.take_word(&mut word);
                piece.finished = matches!(c, '.' | '?' | '!');
                pieces.push(std::mem::take(&mut piece));
            }
            c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            _ => piece.take_word(&mut word),
        }
        before = c;
    }
    piece.take_word(&mut word);
    pieces.push(piece);
    pieces
}

/// Contractions and slurred forms written out.
fn expand(raw: &[String]) -> Clause {
    let mut out: Clause = Vec::with_capacity(raw.len() + 4);
    for (i, word) in raw.iter().enumerate() {
        let next = raw.get(i + 1).map_or("", String::as_str);
        match whole(word, next) {
            Some(expanded) => out.extend(expanded.split(' ').map(str::to_owned)),
            None => split_suffix(word, &mut out),
        }
    }
    out
}

/// Contractions that need a table, with or without their apostrophe.
fn whole(word: &str, next: &str) -> Option<&'static str> {
    const WISH: &[&str] = &["like", "rather", "love", "prefer", "want", "much", "really", "just", "appreciate"];
    const ACT: &[&str] =
        &["wait", "hold", "stay", "leave", "call", "take", "keep", "just", "be", "have", "do", "need", "try"];
    Some(match word {
        "can't" | "cant" | "cannot" => "can not",
        "won't" | "wont" => "will not",
        "don't" | "dont" => "do not",
        "didn't" | "didnt" => "did not",
        "doesn't" | "doesnt" => "does not",
        "isn't" | "isnt" | "ain't" | "aint" => "is not",
        "aren't" | "arent" => "are not",
        "wasn't" | "wasnt" => "was not",
        "weren't" | "werent" => "were not",
        "wouldn't" | "wouldnt" => "would not",
        "couldn't" | "couldnt" => "could not",
        "shouldn't" | "shouldnt" => "should not",
        "haven't" | "havent" => "have not",
        "hasn't" | "hasnt" => "has not",
        "needn't" | "neednt" => "need not",
        "i'm" | "im" => "i am",
        "ive" => "i have",
        "youre" => "you are",
        "theyre" => "they are",
        "thats" => "that s",
        "whats" => "what s",
        "theres" => "there s",
        "wheres" => "where s",
        "hows" => "how s",
        "whos" => "who s",
        "lets" => "let s",
        "id" if WISH.contains(&next) => "i would",
        "ill" if ACT.contains(&next) => "i will",
        "wanna" => "want to",
        "gonna" => "going to",
        "gotta" => "have to",
        "lemme" => "let me",
        "gimme" => "give me",
        "pls" | "plz" => "please",
        "anymore" => "any more",
        _ => return None,
    })
}

fn split_suffix(word: &str, out: &mut Clause) {
    const SUFFIXES: &[(&str, &str)] =
        &[("n't", "not"), ("'d", "would"), ("'ll", "will"), ("'ve", "have"), ("'re", "are"), ("'s", "s"), ("'m", "am")];
    for (suffix, expanded) in SUFFIXES {
        if let Some(stem) = word.strip_suffix(suffix).filter(|stem| !stem.is_empty()) {
            out.push(stem.replace('\'', ""));
            out.push((*expanded).to_owned());
            return;
        }
    }
    let plain = word.replace('\'', "");
    if !plain.is_empty() {
        out.push(plain);
    }
}

/// True when `words[at..]` begins with the words of `phrase`.
pub fn starts_phrase(words: &[String], at: usize, phrase: &str) -> bool {
    let mut rest = words.get(at..).unwrap_or_default().iter();
    phrase.split(' ').all(|word| rest.next().is_some_and(|have| have == word))
}

/// True when the words of `phrase` stand anywhere in `words`, in order and together.
pub fn holds_phrase(words: &[String], phrase: &str) -> bool {
    (0..words.len()).any(|at| starts_phrase(words, at, phrase))
}

/// True when the words differ by at most `limit` letters put in, left out, replaced or swapped with a neighbour.
pub fn near(a: &str, b: &str, limit: usize) -> bool {
    a == b || (a.len().abs_diff(b.len()) <= limit * 2 && strsim::osa_distance(a, b) <= limit)
}

thread_local! {
    // An analyzer needs `&mut` to run, and building one for each word would cost more than the stemming.
    static STEMMER: RefCell<TextAnalyzer> = RefCell::new(
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(LowerCaser)
            .filter(Stemmer::new(Language::English))
            .build(),
    );
}

/// English stems of the words of `text`, in order: `delivered` and `deliveries` both become `deliv`-something alike.
pub fn stems(text: &str) -> Vec<String> {
    STEMMER.with_borrow_mut(|analyzer| {
        let mut stream = analyzer.token_stream(clip(text));
        let mut out = Vec::new();
        while let Some(token) = stream.next() {
            out.push(token.text.clone());
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contractions_read_the_same_with_and_without_apostrophe() {
        assert_eq!(words("I don’t"), words("i dont"));
        assert_eq!(words("I'd like"), words("Id like"));
        assert_eq!(words("someone's"), ["someone", "s"]);
        assert_eq!(words("order ID"), ["order", "id"]);
    }

    #[test]
    fn hesitations_and_pauses_do_not_end_a_clause() {
        assert_eq!(clauses("I don't want, um, an agent"), [words("i do not want an agent")]);
        assert_eq!(clauses("can I talk to a, person"), [words("can i talk to a person")]);
        assert_eq!(clauses("No. Agent!").len(), 2);
    }

    #[test]
    fn prices_stay_whole() {
        assert_eq!(words("$4.90, or 1,000"), ["4.90", "or", "1,000"]);
    }

    #[test]
    fn a_swapped_letter_is_one_step() {
        assert!(near("agent", "agnet", 1) && near("agent", "agend", 1) && !near("agent", "agenda", 1));
    }

    #[test]
    fn stems_join_forms_of_a_word() {
        assert_eq!(stems("delivered"), stems("Delivering"));
    }
}
