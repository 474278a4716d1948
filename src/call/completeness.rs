//! Do these words look like all the caller wanted to say? PURE.
//!
//! A guess from the end of the transcript, used only to wait a little less or a little more for the caller to go on. The
//! word lists are English; other languages are judged by punctuation and digits.

/// How a transcript ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Completeness {
    /// Like a finished sentence.
    Finished,
    /// Nothing speaks for one or the other.
    #[default]
    Unclear,
    /// In the middle of a sentence.
    Unfinished,
    /// In the middle of a number, a name or an address that is being dictated: its groups have long pauses between them.
    Dictating,
}

/// Words nobody ends with: what follows them is still to come.
const LEADS_ON: &[&str] = &[
    "a", "about", "an", "and", "are", "as", "at", "because", "but", "by", "called", "for", "from", "i", "i'd", "i'll",
    "i'm", "i've", "if", "in", "into", "is", "it's", "like", "my", "of", "on", "or", "our", "since", "so", "than",
    "that's", "the", "their", "then", "to", "was", "were", "when", "where", "which", "while", "who", "whose", "with",
    "would", "your",
];
/// Sounds that hold the floor.
const HESITATES: &[&str] = &["ah", "eh", "em", "er", "erm", "hm", "hmm", "uh", "uhm", "um", "umm", "well"];
/// Ends of questions and sentences that look like the beginning of more but are not: "Where is it from?" is whole.
const ASKS: &[&str] = &["what", "where", "who", "which", "how"];
const NUMBER_WORDS: &[&str] = &[
    "zero", "oh", "nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "double", "triple",
];
/// A number with this many digits is probably whole: a telephone's …
const TELEPHONE: std::ops::RangeInclusive<usize> = 10..=11;
/// … or a card's. In between it is a card's whose last group is missing.
const CARD: usize = 15;
/// From this many digits on, more may follow: a house number or a time is shorter.
const DICTATION: usize = 3;
/// Of single digits, one after the other, or where nothing else is said, fewer are enough.
const SINGLE_DIGITS: usize = 2;
/// What a digit of its own is written as when nothing around it tells.
const SOUNDS_LIKE_DIGITS: &[&str] = &["to", "too", "for", "ate", "won", "o"];
/// A number that is announced by one of these is dictated.
const ANNOUNCES: &[&str] = &["number", "code", "postcode", "zip", "pin", "reference", "account", "phone", "telephone"];

/// Judges `text`, as a recogniser wrote it. `dictated`: a number, a name to be spelt or an address was asked for.
pub fn completeness(text: &str, dictated: bool) -> Completeness {
    let text = text.trim().trim_end_matches(['"', '\'', ')', '”', '’']);
    let words: Vec<String> = text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return Completeness::Unclear };
    let trails_off = text.ends_with("...") || text.ends_with(['…', '-', '–', '—', ',', ':', ';']);
    let number = number_at_end(&words);
    if trails_off && number.digits == 0 {
        return Completeness::Unfinished;
    }
    match number.digits {
        0 => {}
        // Asked for, every wait is long already.
        digits if digits >= CARD => return Completeness::Unclear,
        digits if TELEPHONE.contains(&digits) && dictated => return Completeness::Unclear,
        digits if TELEPHONE.contains(&digits) => return Completeness::Unfinished,
        digits if dictated || digits >= DICTATION || number.is_dictated(&words) => return Completeness::Dictating,
        _ => {}
    }
    if spelt(&words, if dictated { 1 } else { 2 }) || address_goes_on(&words) {
        return Completeness::Dictating;
    }
    if HESITATES.contains(&last.as_str()) {
        return Completeness::Unfinished;
    }
    let question = text.ends_with('?') || ASKS.contains(&words[0].as_str());
    if LEADS_ON.contains(&last.as_str()) && !(question && words.len() > 2) {
        return Completeness::Unfinished;
    }
    if text.ends_with(['.', '?', '!', '。', '？', '！']) { Completeness::Finished } else { Completeness::Unclear }
}

/// A word in lower case without the punctuation around it. Signs of money and per cent stay: they end a number.
fn bare(word: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '$' | '£' | '€' | '%');
    word.trim_matches(|c| !keep(c)).to_lowercase()
}

/// The run of plain numbers at the end of a text.
struct Number {
    /// Written or spelt out.
    digits: usize,
    /// Those that stand alone.
    singles: usize,
    /// Words it is made of.
    words: usize,
}

impl Number {
    /// Nobody says two digits one by one, or a number and nothing else, for a price or a time.
    fn is_dictated(&self, words: &[String]) -> bool {
        let before = &words[..words.len() - self.words];
        let alone = before.iter().all(|word| SOUNDS_LIKE_DIGITS.contains(&word.as_str()));
        let digits = self.digits + before.len();
        self.singles >= SINGLE_DIGITS
            || alone && digits >= SINGLE_DIGITS
            || before.iter().any(|word| ANNOUNCES.contains(&word.as_str()))
    }
}

fn number_at_end(words: &[String]) -> Number {
    // Digits of a word, and how many of them stand alone, as both do in "9-3".
    let digits = |word: &String| {
        if NUMBER_WORDS.contains(&word.as_str()) {
            return Some((1, 1));
        }
        let plain = word.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | ',' | '/' | '+'));
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let singles = word.split('-').filter(|part| part.len() == 1).count();
        (plain && digits > 0).then_some((digits, singles))
    };
    let run = words.iter().rev().map_while(digits);
    run.fold(Number { digits: 0, singles: 0, words: 0 }, |number, (digits, singles)| Number {
        digits: number.digits + digits,
        singles: number.singles + singles,
        words: number.words + 1,
    })
}

/// An e-mail address without its end: "jane at", "jane dot", "jane at example".
fn address_goes_on(words: &[String]) -> bool {
    let said = |word: &&str| words.iter().rev().take(6).any(|known| known == word);
    let Some(last) = words.last() else { return false };
    let ends = ["com", "org", "net", "uk", "de", "edu", "gov", "co.uk"];
    let joint = matches!(last.as_str(), "dot" | "underscore" | "dash" | "hyphen");
    let written = last.contains('@') && !ends.iter().any(|end| last.ends_with(&format!(".{end}")));
    let spoken = said(&"at") && said(&"dot") && !ends.contains(&last.as_str()) && last == "at";
    joint || written || spoken
}

/// So many letters in a row at the end, as in "L A R", or joined as in "L-A-R".
fn spelt(words: &[String], least: usize) -> bool {
    let letter = |word: &str| word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let letters = |word: &String| {
        let parts: Vec<_> = word.split(['-', '.']).collect();
        parts.iter().all(|part| letter(part)).then_some(parts.len())
    };
    words.iter().rev().map_while(letters).sum::<usize>() >= least
}

#[cfg(test)]
mod tests {
    use super::Completeness::*;
    use super::*;

    #[test]
    fn sentences_are_judged_by_how_they_end() {
        let cases: &[(&str, Completeness)] = &[
            ("", Unclear),
            ("   ", Unclear),
            ("?!", Unclear),
            ("Yes.", Finished),
            ("No, thank you.", Finished),
            ("I want to return my kettle.", Finished),
            ("When do you open?", Finished),
            ("“I'd like a refund.”", Finished),
            ("Where does it come from?", Finished),
            ("What is it for?", Finished),
            ("I want to return my kettle", Unclear),
            ("kettle", Unclear),
            ("I want to return the", Unfinished),
            ("I ordered a kettle and.", Unfinished),
            ("My name is", Unfinished),
            ("My name is.", Unfinished),
            ("My number is...", Unfinished),
            ("I was wondering if, um", Unfinished),
            ("Uh.", Unfinished),
            ("Well,", Unfinished),
            ("I'd like to", Unfinished),
            ("Because I", Unfinished),
            ("It is from –", Unfinished),
            // Dictation: numbers and names come in groups with pauses between them.
            ("My order number is 4 5 1.", Dictating),
            ("It's 555-01.", Dictating),
            ("four five one", Dictating),
            ("four five one,", Dictating),
            ("double seven three", Dictating),
            ("My number is 020 7946 0991.", Unfinished),
            ("3, 8.", Dictating),
            ("Six, two.", Dictating),
            ("4929 1234 5678", Dictating),
            ("16.", Dictating),
            ("9-3.", Dictating),
            ("To 8.", Dictating),
            ("My number is 16.", Dictating),
            ("4929 1234 5678 9010", Unclear),
            ("It is L-A-R", Dictating),
            ("That's L A R K.", Dictating),
            ("It's jane dot", Dictating),
            ("It's jane dot smith at", Dictating),
            ("jane@example", Dictating),
            ("It's jane@example.com.", Finished),
            // Not dictation.
            ("I bought two.", Finished),
            ("At 5.", Finished),
            ("5.", Finished),
            ("It's 24.", Finished),
            ("Are you open from 9 to 5?", Finished),
            ("It cost $129.", Finished),
            ("At 10:30.", Finished),
            ("I have 1 kettle.", Finished),
        ];
        for (text, expected) in cases {
            assert_eq!(completeness(text, false), *expected, "{text:?}");
        }
    }

    #[test]
    fn what_was_asked_for_makes_digits_and_letters_the_beginning_of_more() {
        let cases: &[(&str, Completeness)] = &[
            ("4.", Dictating),
            ("It's 24.", Dictating),
            ("777-470.", Dictating),
            ("It is L", Dictating),
            ("L-A-R-K", Dictating),
            ("020 7946 0991", Unclear),
            ("I don't have it.", Finished),
            ("It's jane@example.com.", Finished),
        ];
        for (text, expected) in cases {
            assert_eq!(completeness(text, true), *expected, "{text:?}");
        }
    }
}
