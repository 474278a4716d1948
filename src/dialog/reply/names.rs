//! Names in a sentence: capitalised words that no sentence begins with, and places, days and brands however written.

/// Words that are names in any case, because recognition and models write them both ways.
const KNOWN: &[&str] = words![
    monday tuesday wednesday thursday friday saturday sunday january february april june july august september october
    november december christmas easter thanksgiving halloween canada mexico alaska hawaii ireland england scotland
    britain germany france spain italy europe australia china japan india brazil austria switzerland netherlands
    belgium poland sweden norway denmark portugal london paris berlin dublin toronto visa mastercard paypal klarna
    amex venmo zelle dhl ups fedex usps amazon ebay walmart ikea google facebook instagram whatsapp twitter california
    texas florida york oregon washington chicago boston afterpay affirm bitcoin puerto
];

/// Capitalised for other reasons.
const NO_NAMES: &[&str] = phrases![
    "i" "us" "usa" "i'm" "i'll" "i'd" "i've" "ok" "okay" "am" "pm" "a.m" "p.m" "yes" "no" "thanks" "please" "hello" "hi" "sorry"
    "dear" "welcome" "good" "morning" "sure" "great"
];

/// The names of `text`, in order. The first word of a sentence counts only if it is written all in capitals, followed by
/// another name, or known.
pub(super) fn names(text: &str) -> Vec<String> {
    let words: Vec<Word> = split(text);
    let mut out: Vec<String> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let lower = word.text.to_lowercase();
        let possessive = lower.strip_suffix("'s").unwrap_or(&lower).to_owned();
        // Single letters are initials or "P M".
        if NO_NAMES.contains(&lower.as_str()) || word.text.chars().filter(|c| c.is_alphabetic()).count() < 2 {
            continue;
        }
        let capital = word.text.chars().next().is_some_and(char::is_uppercase);
        let acronym = word.text.chars().filter(|c| c.is_uppercase()).count() > 1 && word.text.len() <= 6;
        let pair = words.get(i + 1).is_some_and(|next| !next.begins && is_name_like(&next.text))
            && capital
            && !ordinary(&lower);
        let name = KNOWN.contains(&possessive.as_str()) || (capital && (!word.begins || acronym || pair));
        if name {
            out.push(possessive);
        }
    }
    out
}

/// A second capitalised word after the first makes a name of both, unless the first is an everyday beginning.
fn ordinary(lower: &str) -> bool {
    const EVERYDAY: &[&str] = words![
        the a an our your you we it this that there these those if in on at for to from with by and or but as of is
        are do does can could will would please choose enter use go click under all any each every most some both only
        also just see visit contact call email select press when where while after before until once since because so
        then what how who which why my new open pay send find check look write take bring returns orders delivery
        standard express shipping parcels yes no
    ];
    EVERYDAY.contains(&lower)
}

fn is_name_like(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase) && !NO_NAMES.contains(&word.to_lowercase().as_str())
}

struct Word {
    text: String,
    /// Where a capital says nothing: the start of the text, of a sentence, of a quotation.
    begins: bool,
}

fn split(text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut begins = true;
    for raw in text.split_whitespace() {
        let quoted = raw.starts_with(['"', '“', '(', '‘']);
        let word = raw.replace('’', "'");
        let word = word.trim_matches(|c: char| !(c.is_alphanumeric() || c == '\''));
        let word = word.trim_matches('\'');
        for (n, part) in word.split(['-', '/']).enumerate() {
            if !part.is_empty() {
                out.push(Word { text: part.to_owned(), begins: (begins || quoted) && n == 0 });
            }
        }
        if !word.is_empty() || raw.ends_with(['.', '!', '?', ':']) {
            begins = raw.trim_end_matches(['"', '”', ')']).ends_with(['.', '!', '?', ':']) && !abbreviated(word);
        }
    }
    out
}

fn abbreviated(word: &str) -> bool {
    phrases!["mr" "mrs" "ms" "dr" "st" "no" "a.m" "p.m"].contains(&word.to_lowercase().as_str())
}
