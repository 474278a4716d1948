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
    /// In the middle of a sentence, or of a number or name that is being dictated.
    Unfinished,
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
/// A number with this many digits is probably whole: telephone and card numbers.
const WHOLE_NUMBER: usize = 10;
/// From this many digits on, more may follow: a house number or a time is shorter.
const DICTATION: usize = 3;

/// Judges `text`, as a recogniser wrote it.
pub fn completeness(text: &str) -> Completeness {
    let text = text.trim().trim_end_matches(['"', '\'', ')', '”', '’']);
    let words: Vec<String> = text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return Completeness::Unclear };
    if text.ends_with("...") || text.ends_with(['…', '-', '–', '—', ',', ':', ';']) {
        return Completeness::Unfinished;
    }
    match dictated(&words) {
        WHOLE_NUMBER.. => return Completeness::Unclear,
        DICTATION.. => return Completeness::Unfinished,
        _ => {}
    }
    if spelt(&words) || HESITATES.contains(&last.as_str()) {
        return Completeness::Unfinished;
    }
    let question = text.ends_with('?') || ASKS.contains(&words[0].as_str());
    if LEADS_ON.contains(&last.as_str()) && !(question && words.len() > 2) {
        return Completeness::Unfinished;
    }
    if text.ends_with(['.', '?', '!', '。', '？', '！']) { Completeness::Finished } else { Completeness::Unclear }
}

/// `completeness(text)` is [`Completeness::Finished`].
pub fn looks_finished(text: &str) -> bool {
    completeness(text) == Completeness::Finished
}

/// A word in lower case without the punctuation around it. Signs of money and per cent stay: they end a number.
fn bare(word: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '$' | '£' | '€' | '%');
    word.trim_matches(|c| !keep(c)).to_lowercase()
}

/// Digits in the run of plain numbers at the end, written or spelt out.
fn dictated(words: &[String]) -> usize {
    let digits = |word: &String| {
        if NUMBER_WORDS.contains(&word.as_str()) {
            return Some(1);
        }
        let plain = word.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '/' | '+'));
        plain.then(|| word.chars().filter(char::is_ascii_digit).count()).filter(|digits| *digits > 0)
    };
    words.iter().rev().map_while(digits).sum()
}

/// Two letters or more in a row at the end, as in "L A R", or joined as in "L-A-R".
fn spelt(words: &[String]) -> bool {
    let letter = |word: &str| word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let letters = |word: &String| {
        let parts: Vec<_> = word.split(['-', '.']).collect();
        parts.iter().all(|part| letter(part)).then_some(parts.len())
    };
    words.iter().rev().map_while(letters).sum::<usize>() >= 2
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
            ("My order number is 4 5 1.", Unfinished),
            ("It's 555-01.", Unfinished),
            ("four five one", Unfinished),
            ("double seven three", Unfinished),
            ("My number is 020 7946 0991.", Unclear),
            ("It is L-A-R", Unfinished),
            ("That's L A R K.", Unfinished),
            // Not dictation.
            ("I bought two.", Finished),
            ("At 5.", Finished),
            ("It cost $129.", Finished),
            ("At 10:30.", Finished),
            ("I have 1 kettle.", Finished),
        ];
        for (text, expected) in cases {
            assert_eq!(completeness(text), *expected, "{text:?}");
            assert_eq!(looks_finished(text), *expected == Finished);
        }
    }
}
