//! Names as callers say and spell them: "Dana Whitlock, that's W H I T L O C K", "W as in Walter", "double T".
//!
//! What is spelled wins over what recognition made of the sound of it; a first name said before it stays.

/// Longest name, in characters.
const LONGEST: usize = 60;
/// Fewest letters in a row that are a spelling: "A" and "I" alone are words.
const SPELLED: usize = 3;

/// Words before and around a name.
const AROUND: &[&str] = &[
    "my", "name", "is", "it", "it's", "its", "that's", "thats", "this", "i'm", "im", "am", "i", "the", "yes", "yeah",
    "no", "sure", "um", "uh", "okay", "ok", "so", "sorry", "spelled", "spelt", "spelling", "last", "first", "full",
    "surname", "and", "under", "on", "order", "mr", "mrs", "ms", "miss", "please", "speaking", "here", "that", "would",
    "be", "call", "me", "with", "capital", "name's", "said", "not", "to", "for",
];
/// Words of sentences that are no names.
const NEVER: &[&str] = &[
    "like", "know", "where", "what", "when", "how", "why", "who", "which", "want", "need", "have", "has", "do", "does",
    "don't", "can", "can't", "could", "you", "your", "parcel", "number", "help", "right", "wrong", "correct",
    "exactly", "perfect", "thanks", "thank", "good", "great", "fine", "well", "maybe", "wait", "moment", "nothing",
    "none", "letter", "letters",
];
/// The alphabet of the radio, which many callers know.
const RADIO: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray",
    "yankee", "zulu",
];

/// The name `text` says, each word with a capital.
pub fn name(text: &str) -> Option<String> {
    let pieces = pieces(text);
    let (spelled, begin) = spelled(&pieces);
    let said: Vec<&str> = pieces[..begin]
        .iter()
        .map(String::as_str)
        .filter(|word| !AROUND.contains(word) && word.chars().count() > 1 && is_word(word))
        .collect();
    if spelled.is_none() && said.iter().any(|word| NEVER.contains(word)) {
        return None;
    }
    let found = match spelled {
        // The last word before a spelling is what is being spelled, if it begins alike or there is one before it.
        Some(letters) => {
            let kept = match said.last() {
                Some(last) if said.len() > 1 || last.chars().next() == letters.chars().next() => {
                    &said[..said.len() - 1]
                }
                _ => &said[..],
            };
            // More than one name before it is a sentence, not a name.
            let first = kept.last().filter(|_| kept.len() <= 2).map(|first| format!("{first} "));
            format!("{}{letters}", first.unwrap_or_default())
        }
        None if (1..=4).contains(&said.len()) => said.join(" "),
        None => return None,
    };
    Some(title(&found)).filter(|name| is_name(name))
}

/// Whether `value` can be one.
pub fn is_name(value: &str) -> bool {
    let letters = value.chars().filter(|c| c.is_alphabetic()).count();
    letters >= 2
        && value.chars().count() <= LONGEST
        && value.chars().all(|c| c.is_alphabetic() || " '-".contains(c))
        && !value.starts_with([' ', '-'])
        && !value.ends_with([' ', '-'])
}

/// As it is read back: the name, and its last word letter by letter.
pub fn spoken(value: &str) -> String {
    let last = value.rsplit(' ').next().unwrap_or(value);
    let letters: Vec<String> = last.chars().filter(|c| c.is_alphabetic()).map(|c| c.to_uppercase().collect()).collect();
    format!("{value}, spelled {}", letters.join(" "))
}

/// The letters `text` spells, alone: for "with a C, not a K".
pub fn letters(text: &str) -> Option<String> {
    let pieces = pieces(text);
    let words: Vec<&str> =
        pieces.iter().map(String::as_str).filter(|word| !["with", "an", "it", "is"].contains(word)).collect();
    let mut letters = String::new();
    let mut at = 0;
    while at < words.len() {
        // "A C" is the letter C; "an A" and a last "A" are the letter A.
        let article = words[at] == "a" && words.get(at + 1).is_some_and(|next| letter(next).is_some());
        if !article {
            let (more, end) = letters_at(&words, at)?;
            letters.push_str(&more);
            at = end;
            continue;
        }
        at += 1;
    }
    (!letters.is_empty()).then_some(letters)
}

/// `value` with the one place where `wrong` stands made `right`.
pub fn replaced(value: &str, wrong: &str, right: &str) -> Option<String> {
    let lower = value.to_lowercase();
    let mut places = lower.match_indices(wrong);
    let (at, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    Some(title(&format!("{}{right}{}", &lower[..at], &lower[at + wrong.len()..])))
}

/// Lower case words without punctuation; "W-H-I" and "W.H.I." become letters, "Anne-Marie" and "O'Neill" stay.
fn pieces(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for piece in text.split(|c: char| c.is_whitespace() || c == ',') {
        let word = piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let parts: Vec<&str> = word.split(['-', '.']).filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 && parts.iter().all(|part| part.chars().count() == 1) {
            out.extend(parts.into_iter().map(str::to_owned));
        } else if !word.is_empty() {
            out.push(word.replace('.', ""));
        }
    }
    out
}

fn is_word(word: &str) -> bool {
    word.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '-')
}

/// The last run of letters, and where it begins.
fn spelled(pieces: &[String]) -> (Option<String>, usize) {
    let words: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let (mut found, mut begin, mut at) = (None, words.len(), 0);
    while at < words.len() {
        let (start, mut run) = (at, String::new());
        while let Some((more, end)) = letters_at(&words, at) {
            run.push_str(&more);
            at = end;
        }
        if run.chars().count() >= SPELLED {
            (found, begin) = (Some(run), start);
        }
        at = at.max(start + 1);
    }
    (found, begin)
}

/// One spelled letter at `at`, or two that are doubled, and one past it.
fn letters_at(words: &[&str], at: usize) -> Option<(String, usize)> {
    let word = *words.get(at)?;
    if word == "double" {
        let (one, end) = letters_at(words, at + 1)?;
        return (one.chars().count() == 1).then(|| (format!("{one}{one}"), end));
    }
    let letter = letter(word)?;
    // "W as in Walter", "W for Walter", "W like Walter".
    let end = match (words.get(at + 1), words.get(at + 2), words.get(at + 3)) {
        (Some(&"as"), Some(&"in"), Some(example)) if example.starts_with(letter) => at + 4,
        (Some(&"for" | &"like"), Some(example), _) if example.starts_with(letter) => at + 3,
        _ => at + 1,
    };
    Some((letter.to_string(), end))
}

fn letter(word: &str) -> Option<char> {
    let mut chars = word.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) if only.is_alphabetic() => Some(only),
        _ => RADIO.iter().position(|radio| *radio == word).map(|at| (b'a' + at as u8) as char),
    }
}

/// `o'neill anne-marie` as `O'Neill Anne-Marie`.
fn title(text: &str) -> String {
    let mut capital = true;
    text.chars()
        .flat_map(|c| {
            let upper = std::mem::replace(&mut capital, " '-".contains(c));
            if upper { c.to_uppercase().collect::<Vec<_>>() } else { c.to_lowercase().collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_heard_said_and_spelled() {
        for (text, wanted) in [
            ("Dana Whitlock", "Dana Whitlock"),
            ("My name is Dana Whitlock.", "Dana Whitlock"),
            ("it's whitlock", "Whitlock"),
            ("W H I T L O C K", "Whitlock"),
            ("W-H-I-T-L-O-C-K", "Whitlock"),
            ("w.h.i.t.l.o.c.k.", "Whitlock"),
            ("Dana Whitlog, that's W H I T L O C K", "Dana Whitlock"),
            ("Whitlog, W H I T L O C K.", "Whitlock"),
            ("Dana, W H I T L O C K", "Dana Whitlock"),
            ("My last name is Bennet, B E double N E double T", "Bennett"),
            ("W as in Walter, E as in Emma, S for Sam, T", "West"),
            ("Whiskey Echo Sierra Tango", "West"),
            ("this is anne-marie o'neill speaking", "Anne-Marie O'Neill"),
            ("Müller", "Müller"),
        ] {
            assert_eq!(name(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "um", "yes please", "4417", "I would like to know where my parcel is please", "a"] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn letters_are_put_right_where_there_is_one_place() {
        assert_eq!(letters("with a C").as_deref(), Some("c"));
        assert_eq!(letters("an A").as_deref(), Some("a"));
        assert_eq!(letters("a K").as_deref(), Some("k"));
        assert_eq!(letters("double t").as_deref(), Some("tt"));
        assert_eq!(letters("with your help"), None);
        assert_eq!(replaced("Dana Whitlok", "k", "ck").as_deref(), Some("Dana Whitlock"));
        assert_eq!(replaced("Dana Anna", "n", "m"), None, "which one?");
    }

    #[test]
    fn it_is_read_back_letter_by_letter() {
        assert_eq!(spoken("Dana Whitlock"), "Dana Whitlock, spelled W H I T L O C K");
        assert_eq!(spoken("O'Neill"), "O'Neill, spelled O N E I L L");
    }

    proptest::proptest! {
        #[test]
        fn what_is_heard_is_a_name(text in "[a-zA-Z' .,-]{0,60}") {
            if let Some(name) = name(&text) {
                proptest::prop_assert!(is_name(&name), "{}", name);
            }
            let _ = letters(&text);
        }
    }
}
