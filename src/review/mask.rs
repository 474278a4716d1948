//! Personal details in what was said: numbers, e-mail addresses, names, postal addresses.
//!
//! Recognised speech has no form to rely on, so that this errs on the safe side: three digits in a row are masked, spoken
//! or written, unless a currency follows. A name is known by what introduces it ("my name is", "Mr") or by being spelled,
//! and from then on wherever it is said in the call. A name that nothing introduces is not found; whoever passes the text
//! on reads it first.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::dialog::words::{TENS, UNITS};

/// Longest text looked at, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 16_000;
/// Digits in a row from which a number is masked.
const DIGITS: usize = 3;

/// What stands in for a detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `[number]`, `[name]`, for people who read.
    Placeholder,
    /// Something made up of the same form, for a caller who is played.
    StandIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Email,
    Address,
    Name,
    Number,
}

/// Masks the texts of one call.
#[derive(Clone, Debug)]
pub struct Mask {
    style: Style,
    /// Words of names said anywhere in the call, in lower case.
    names: BTreeSet<String>,
}

static WRITTEN_EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)[\p{L}\d._%+-]+@[\p{L}\d-]+(?:\.[\p{L}\d-]+)+"));
/// "kim dot miller at example dot com".
static SPOKEN_EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b[\p{L}\d]+(?:[\s,]+(?:dot|punkt|underscore|dash|hyphen|minus|plus)[\s,]+[\p{L}\d]+|[._-][\p{L}\d]+)*[\s,]+at[\s,]+[\p{L}\d-]+(?:[\s,]+(?:dot|punkt)[\s,]+[\p{L}\d-]+|\.[\p{L}\d-]+)+",
    )
});
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b\d{1,5}[a-z]?\s+(?:[\p{L}'’.-]+\s+){1,3}(?:(?i:street|road|lane|avenue|boulevard|terrace)|St|Rd|Ln|Ave|Blvd|Dr|Drive|Court|Way|Square)\b|(?i)\b[\p{L}-]+(?:straße|strasse|str\.|weg|allee|gasse|platz)\s+\d+[a-z]?\b",
    )
});
/// What surely introduces a name, in any case.
static STRONG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:my\s+(?:full\s+|first\s+|last\s+|given\s+|family\s+)?name(?:\s+is|'s|’s)|(?:the\s+)?name(?:'s|’s)|surname\s+is|i\s+am\s+called|i'm\s+called|call\s+me|mein\s+name\s+ist|ich\s+heiße|ich\s+heisse)[\s,:]+",
    )
});
/// What introduces a name if a capital letter follows.
static WEAK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:this\s+is|it\s+is|it's|it’s|i\s+am|i'm|i’m|speaking\s+(?:with|to)|mr|mrs|ms|miss|mister|dr|herr|frau|ich\s+bin)\b\.?[\s,]+",
    )
});
static NAME_WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\p{L}[\p{L}'’-]*)(?:[\s]+\p{L}[\p{L}'’-]*){0,2}"));
/// "M I L L E R", "M-I-L-L-E-R", "M. I. L.".
static SPELLED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b\p{L}(?:[\s.,-]+\p{L}\b){2,}"));
static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\p{L}\d][\p{L}\d'’]*"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// Words that end a name that recognition wrote without capitals.
const NO_NAMES: &[&str] = &[
    "a", "about", "again", "am", "an", "and", "as", "at", "but", "calling", "can", "could", "do", "for", "from",
    "have", "her", "his", "its", "our", "their", "hours", "here", "hi", "how", "i", "i'm", "if", "in", "is", "it",
    "like", "my", "not", "of", "on", "or", "please", "so", "speaking", "spelled", "that", "the", "then", "this", "to",
    "und", "wanted", "was", "what", "when", "where", "which", "who", "why", "with", "would", "you", "your",
];
/// Capital letters that begin no name after "I'm" or "it is".
const NOT_INTRODUCED: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march"];
/// What joins digits that are said.
const BETWEEN: &[&str] =
    &["and", "uh", "um", "er", "then", "dash", "hyphen", "minus", "slash", "space", "point", "und"];
const CURRENCIES: &[&str] = &[
    "dollar", "dollars", "euro", "euros", "pound", "pounds", "cent", "cents", "bucks", "percent", "usd", "eur", "gbp",
];
const GERMAN_DIGITS: &[&str] =
    &["null", "eins", "ein", "zwei", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"];

impl Mask {
    /// Knows the names in `texts`, all that was said in a call.
    pub fn new<'t>(style: Style, texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut names = BTreeSet::new();
        for text in texts {
            let text = clip(text);
            for range in introduced(text) {
                names.extend(WORD.find_iter(&text[range]).map(|word| word.as_str().to_lowercase()));
            }
        }
        // An initial would be found in half of all words' places.
        names.retain(|name| name.chars().count() > 2 && !NO_NAMES.contains(&name.as_str()));
        Self { style, names }
    }

    /// `text` with everything personal replaced.
    pub fn text(&self, text: &str) -> String {
        let text = clip(text);
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for (range, kind) in self.details(text) {
            masked.push_str(&text[at..range.start]);
            masked.push_str(&self.instead(kind, &text[range.clone()]));
            at = range.end;
        }
        masked.push_str(&text[at..]);
        masked
    }

    /// Whether there is anything personal in it.
    pub fn finds(&self, text: &str) -> bool {
        !self.details(clip(text)).is_empty()
    }

    /// Where the personal is in it, in bytes and in order; nothing is known of what lies beyond [`MAX_TEXT`].
    pub fn places(&self, text: &str) -> Vec<Range<usize>> {
        self.details(clip(text)).into_iter().map(|(range, _)| range).collect()
    }

    /// Where details are, in order, without overlaps; what is found first in this list of kinds wins.
    fn details(&self, text: &str) -> Vec<(Range<usize>, Kind)> {
        let mut found: Vec<(Range<usize>, Kind)> = Vec::new();
        let mut add = |range: Range<usize>, kind| {
            let free = found.iter().all(|(taken, _)| taken.end <= range.start || range.end <= taken.start);
            if free && !range.is_empty() {
                found.push((range, kind));
            }
        };
        for pattern in [&WRITTEN_EMAIL, &SPOKEN_EMAIL] {
            pattern.find_iter(text).for_each(|email| add(email.range(), Kind::Email));
        }
        let addresses = ADDRESS.find_iter(text).filter(|address| !holds_small_words(address.as_str()));
        addresses.for_each(|address| add(address.range(), Kind::Address));
        introduced(text).into_iter().for_each(|name| add(name, Kind::Name));
        SPELLED.find_iter(text).for_each(|name| add(name.range(), Kind::Name));
        let said = WORD.find_iter(text).filter(|word| self.names.contains(&bare(word.as_str())));
        said.for_each(|name| add(name.range(), Kind::Name));
        numbers(text).into_iter().for_each(|number| add(number, Kind::Number));
        found.sort_by_key(|(range, _)| range.start);
        found
    }

    fn instead(&self, kind: Kind, detail: &str) -> String {
        match (self.style, kind) {
            (Style::Placeholder, Kind::Email) => "[e-mail]".to_owned(),
            (Style::Placeholder, Kind::Address) => "[address]".to_owned(),
            (Style::Placeholder, Kind::Name) => "[name]".to_owned(),
            (Style::Placeholder, Kind::Number) => "[number]".to_owned(),
            (Style::StandIn, Kind::Email) => "someone@example.com".to_owned(),
            (Style::StandIn, Kind::Address) => "1 Example Street".to_owned(),
            (Style::StandIn, Kind::Name) => "Robin".to_owned(),
            (Style::StandIn, Kind::Number) => made_up(detail),
        }
    }
}

/// "12 hours on the road" is no address.
fn holds_small_words(text: &str) -> bool {
    WORD.find_iter(text).any(|word| NO_NAMES.contains(&word.as_str().to_lowercase().as_str()))
}

/// Possessives are the same name.
fn bare(word: &str) -> String {
    let word = word.to_lowercase();
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(&word).to_owned()
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Names that something introduces.
fn introduced(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (pattern, sure) in [(&STRONG, true), (&WEAK, false)] {
        for lead in pattern.find_iter(text) {
            let Some(words) = NAME_WORDS.find(&text[lead.end()..]) else { continue };
            let mut end = lead.end();
            for word in WORD.find_iter(words.as_str()) {
                let lower = word.as_str().to_lowercase();
                let capital = word.as_str().starts_with(char::is_uppercase);
                let ends = NO_NAMES.contains(&lower.as_str())
                    || !sure && (!capital || NOT_INTRODUCED.contains(&lower.as_str()));
                if ends {
                    break;
                }
                end = lead.end() + word.end();
            }
            found.push(lead.end()..end);
        }
    }
    found.retain(|range| !range.is_empty());
    found
}

/// How many digits are said, as words or written.
pub(super) fn counts_digits(text: &str) -> usize {
    WORD.find_iter(clip(text)).filter_map(|word| digits(word.as_str())).sum()
}

/// How many digits a word stands for; none: it is no number.
fn digits(word: &str) -> Option<usize> {
    let lower = word.to_lowercase();
    let written = lower.chars().filter(char::is_ascii_digit).count();
    if written > 0 {
        // "AB1234" and "2nd"; letters among digits belong to the number.
        return Some(written);
    }
    if lower.chars().count() == 1 && word.starts_with(char::is_uppercase) && !matches!(word, "I" | "A") {
        return Some(0); // the letter of "A B 1 2 3 4": counts for nothing, ends nothing
    }
    let spoken = UNITS.contains(&lower.as_str()) || GERMAN_DIGITS.contains(&lower.as_str());
    if spoken || ["oh", "nought", "naught", "double", "triple"].contains(&lower.as_str()) {
        return Some(1);
    }
    (TENS.contains(&lower.as_str()) || ["hundred", "thousand"].contains(&lower.as_str())).then_some(1)
}

/// Runs of digits, written or spoken, that are long enough to say something about a person.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let words: Vec<_> = WORD.find_iter(text).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if digits(words[at].as_str()).is_none_or(|count| count == 0) {
            at += 1;
            continue;
        }
        // A letter right before the digits belongs to them, and so do some that a dash joins: "K 4 1 7", "AB-1234".
        let belongs = |before: &usize| {
            let word = words[*before];
            digits(word.as_str()) == Some(0) || joined(text, word.range(), words[at].start())
        };
        let first = at.checked_sub(1).filter(belongs).unwrap_or(at);
        let (mut last, mut count, mut next) = (at, 0, at);
        while let Some(word) = words.get(next) {
            match digits(word.as_str()) {
                Some(more) => {
                    count += more;
                    last = next;
                }
                None if BETWEEN.contains(&word.as_str().to_lowercase().as_str()) => {}
                None => break,
            }
            next += 1;
        }
        let run = words[first].start()..words[last].end();
        if count >= DIGITS && !is_amount(text, &run) {
            found.push(with_plus(text, run));
        }
        at = last + 1;
    }
    found
}

/// A few capital letters with nothing but a dash or stroke before what follows.
fn joined(text: &str, word: Range<usize>, next: usize) -> bool {
    let letters = &text[word.clone()];
    letters.len() <= 4 && letters.chars().all(|c| c.is_ascii_uppercase()) && ["-", "/"].contains(&&text[word.end..next])
}

/// `+1 500 …` begins with its plus.
fn with_plus(text: &str, run: Range<usize>) -> Range<usize> {
    if text[..run.start].ends_with('+') { run.start - 1..run.end } else { run }
}

/// Prices say nothing about a person: "$4.90", "four hundred dollars", and "14.90" as it stands in an entry.
fn is_amount(text: &str, run: &Range<usize>) -> bool {
    let (before, after) = (text[..run.start].trim_end(), text[run.end..].trim_start());
    let unit = WORD.find(after).map(|word| word.as_str().to_lowercase()).unwrap_or_default();
    let said = &text[run.clone()];
    let decimal = said.len() <= 8
        && said.rsplit_once(['.', ',']).is_some_and(|(whole, part)| {
            part.len() == 2 && [whole, part].iter().all(|digits| digits.chars().all(|c| c.is_ascii_digit()))
        });
    // A run longer than any price is no price, whatever stands beside it.
    let short = said.chars().filter(char::is_ascii_digit).count() <= 6;
    short
        && (decimal
            || before.ends_with(['$', '€', '£'])
            || after.starts_with(['$', '€', '£', '%'])
            || CURRENCIES.contains(&unit.as_str()))
}

/// The same form with other digits.
fn made_up(number: &str) -> String {
    const SPOKEN: [&str; 9] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let mut next = (0..9usize).cycle();
    let mut turn = || next.next().unwrap_or_default();
    let mut made = String::with_capacity(number.len());
    let mut at = 0;
    for word in WORD.find_iter(number) {
        made.push_str(&number[at..word.start()]);
        at = word.end();
        match word.as_str() {
            written if written.contains(|c: char| c.is_ascii_digit()) => {
                for c in written.chars() {
                    match c {
                        '0'..='9' => made.push_str(&(turn() + 1).to_string()),
                        c if c.is_uppercase() => made.push('X'),
                        c if c.is_lowercase() => made.push('x'),
                        c => made.push(c),
                    }
                }
            }
            letter if letter.chars().count() == 1 => made.push('X'),
            joins if BETWEEN.contains(&joins.to_lowercase().as_str()) => made.push_str(joins),
            _ => made.push_str(SPOKEN[turn()]),
        }
    }
    made.push_str(&number[at..]);
    made
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> String {
        Mask::new(Style::Placeholder, [text]).text(text)
    }

    #[test]
    fn numbers_written_and_spoken() {
        for (said, wanted) in [
            ("My order is 45 17 23, from Monday.", "My order is [number], from Monday."),
            ("call me at +1 500 555-0006", "call me at [number]"),
            ("it's four four, uh, zero one seven please", "it's [number] please"),
            ("double seven five nine", "[number]"),
            ("the card ends in 4417", "the card ends in [number]"),
            ("order AB-1234 and K 4 1 7", "order [number]"),
            ("eins zwei drei vier", "[number]"),
            ("the code is 911.", "the code is [number]."),
        ] {
            assert_eq!(masked(said), wanted);
        }
    }

    #[test]
    fn what_says_nothing_about_a_person_stays() {
        for said in [
            "Standard delivery is 4.90, or free above 50 dollars.",
            "It costs $120 and 300 euros.",
            "We close at 8 pm, within 30 days.",
            "I bought two for my sister, one for me.",
            "That is one hundred twenty dollars.",
            "I'm calling about a return.",
            "It is Monday.",
            "Is it on its way? I was 12 hours on the road.",
        ] {
            assert_eq!(masked(said), said);
        }
    }

    #[test]
    fn addresses_of_both_kinds() {
        for (said, wanted) in [
            ("write to kim.miller@example.com please", "write to [e-mail] please"),
            ("it's kim dot miller at example dot com", "it's [e-mail]"),
            ("Send it to 12 Mill Lane in Fairview", "Send it to [address] in Fairview"),
            ("Ich wohne Lindenstraße 12", "Ich wohne [address]"),
        ] {
            assert_eq!(masked(said), wanted);
        }
    }

    #[test]
    fn names_that_something_introduces() {
        for (said, wanted) in [
            ("Hi, my name is Kim Miller and I want to return it.", "Hi, my name is [name] and I want to return it."),
            ("my name is kim miller and i want a refund", "my name is [name] and i want a refund"),
            ("This is Kim. Hello?", "This is [name]. Hello?"),
            ("Good evening, Mrs. Miller.", "Good evening, Mrs. [name]."),
            ("that is M I L L E R", "that is [name]"),
            ("Mein Name ist Anna Schmidt", "Mein Name ist [name]"),
        ] {
            assert_eq!(masked(said), wanted);
        }
    }

    #[test]
    fn a_name_is_known_in_the_whole_call() {
        let said = ["My name is Kim Miller.", "Thank you, Kim. Is this Kim's order?", "Yes, miller."];
        let mask = Mask::new(Style::Placeholder, said);
        assert_eq!(
            said.map(|text| mask.text(text)).concat(),
            "My name is [name].Thank you, [name]. Is this [name] order?Yes, [name]."
        );
        assert!(mask.finds("Kim again") && !mask.finds("nobody again"));
    }

    #[test]
    fn a_played_caller_says_something_of_the_same_form() {
        let said = "My name is Kim, order 45 17 23 or four four oh, mail kim@example.org";
        let made = Mask::new(Style::StandIn, [said]).text(said);
        assert_eq!(made, "My name is Robin, order 12 34 56 or one two three, mail someone@example.com");
    }

    proptest! {
        #[test]
        fn nothing_seeded_leaks(
            digits in "[0-9]{4,16}",
            mailbox in "[a-z]{2,10}\\.[a-z]{2,10}",
            name in "[A-Z][bcdfgjkpqvwxz]{5,9}",
            around in "[a-z ]{0,30}",
        ) {
            let said = format!(
                "{around}. my name is {name}, and the number is {digits}. {around} it is {mailbox}@example.com, {name} again"
            );
            for style in [Style::Placeholder, Style::StandIn] {
                let out = Mask::new(style, [said.as_str()]).text(&said);
                // Made-up digits may by chance be the same as few real ones; as many in this row are not.
                prop_assert!(style == Style::StandIn || !out.contains(&digits), "{out}");
                prop_assert!(!out.contains(&mailbox) && !out.contains(&name), "{out}");
            }
        }

        #[test]
        fn anything_can_be_masked(text in any::<String>()) {
            let mask = Mask::new(Style::Placeholder, [text.as_str()]);
            let _ = (mask.text(&text), mask.finds(&text));
        }
    }
}
