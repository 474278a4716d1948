//! Words a recogniser got wrong, made what they were meant to be: "re fond" is refund, "gif card" gift card, "ex pie or"
//! expire. PURE.
//!
//! Only words that no entry has are touched. A word, or up to three in a row, may become a known word when it is one letter
//! away from it, or sounds alike: the same consonants in the same order, those counted as one that a narrow band does not
//! tell apart.

use std::collections::HashMap;

use crate::dialog::words::near;

/// Letters from which a word may be a wrong one away from another.
pub(super) const FUZZY_FROM: usize = 5;
/// Consonants from which a sound says enough.
const SOUND_FROM: usize = 3;
/// Words that may be pieces of one.
const PIECES: usize = 3;
/// Longest word looked at, in letters.
const LONGEST: usize = 24;

/// Known words by how they are written and by how they sound.
#[derive(Debug, Default)]
pub(super) struct Mender {
    /// Each known word; compounds ("giftcard") with what they stand for.
    known: HashMap<String, Option<String>>,
    by_first: HashMap<char, Vec<String>>,
    by_sound: HashMap<String, Vec<String>>,
}

/// A text with its words mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mended {
    /// What was meant, as far as can be told.
    pub text: String,
    /// The words that were put in.
    pub put_in: Vec<String>,
}

impl Mender {
    /// Learns a word of the entries.
    pub fn learn(&mut self, word: &str) {
        self.add(word, None);
    }

    /// Learns words that stand together, such as the keyword "gift card".
    pub fn learn_compound(&mut self, words: &[String]) {
        if (2..=PIECES).contains(&words.len()) {
            self.add(&words.concat(), Some(words.join(" ")));
        }
    }

    fn add(&mut self, word: &str, meaning: Option<String>) {
        let letters = word.chars().count();
        if self.known.contains_key(word) || word.is_empty() || letters > LONGEST {
            return;
        }
        self.known.insert(word.to_owned(), meaning);
        if letters >= FUZZY_FROM && word.chars().all(char::is_alphabetic) {
            let first = word.chars().next().expect("it has letters");
            self.by_first.entry(first).or_default().push(word.to_owned());
            let sound = sound(word);
            if sound.len() >= SOUND_FROM {
                self.by_sound.entry(sound).or_default().push(word.to_owned());
            }
        }
    }

    /// `words` with those mended that `ignored` does not hold and no entry has.
    pub fn mend(&self, words: &[String], ignored: impl Fn(&str) -> bool) -> Mended {
        let strange = |word: &String| !self.known.contains_key(word) && !ignored(word);
        let mut out = Mended { text: String::new(), put_in: Vec::new() };
        let push = |text: &mut String, word: &str| {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        };
        let mut i = 0;
        while i < words.len() {
            let span = (1..=PIECES.min(words.len() - i)).rev().find_map(|len| {
                let pieces = &words[i..i + len];
                // A word that makes sense stays; of several, one at least must make none.
                if !pieces.iter().any(strange) || (len == 1 && !strange(&pieces[0])) {
                    return None;
                }
                self.meant(&pieces.concat(), len > 1).map(|meant| (len, meant))
            });
            match span {
                Some((len, meant)) => {
                    push(&mut out.text, &meant);
                    out.put_in.extend(meant.split(' ').map(str::to_owned));
                    i += len;
                }
                None => {
                    push(&mut out.text, &words[i]);
                    i += 1;
                }
            }
        }
        out
    }

    /// The known word that `word` was meant to be.
    fn meant(&self, word: &str, joined: bool) -> Option<String> {
        let letters = word.chars().count();
        if letters > LONGEST || !word.chars().all(char::is_alphabetic) {
            return None;
        }
        if joined && let Some(meaning) = self.known.get(word) {
            return Some(meaning.clone().unwrap_or_else(|| word.to_owned()));
        }
        if letters < FUZZY_FROM {
            return None;
        }
        let first = word.chars().next()?;
        let alike = self.by_first.get(&first).into_iter().flatten().filter(|known| near(word, known, 1));
        let written = alike.min_by_key(|known| (strsim::osa_distance(word, known), (*known).clone()));
        let found = written.or_else(|| {
            let sound = sound(word);
            let heard = self.by_sound.get(&sound).into_iter().flatten();
            heard
                .filter(|known| known.chars().count().abs_diff(letters) <= 2)
                .min_by_key(|known| (strsim::osa_distance(word, known), (*known).clone()))
        })?;
        Some(self.known[found].clone().unwrap_or_else(|| found.clone()))
    }
}

/// The consonants of a word, those as one that sound alike; a vowel at the beginning counts.
fn sound(word: &str) -> String {
    let mut out = String::new();
    let letters: Vec<char> = word.chars().collect();
    let mut i = 0;
    while i < letters.len() {
        let next = letters.get(i + 1).copied();
        let (class, taken) = match (letters[i], next) {
            ('t', Some('h')) => ("t", 2),
            ('p', Some('h')) => ("f", 2),
            ('c', Some('h')) | ('s', Some('h')) => ("s", 2),
            ('c', Some('k')) => ("k", 2),
            ('c', Some('e' | 'i' | 'y')) => ("s", 1),
            ('b' | 'p', _) => ("p", 1),
            ('d' | 't', _) => ("t", 1),
            ('c' | 'k' | 'g' | 'q', _) => ("k", 1),
            ('s' | 'z', _) => ("s", 1),
            ('v' | 'f', _) => ("f", 1),
            ('m' | 'n', _) => ("n", 1),
            ('x', _) => ("ks", 1),
            ('j', _) => ("s", 1),
            ('l', _) => ("l", 1),
            ('r', _) => ("r", 1),
            ('a' | 'e' | 'i' | 'o' | 'u', _) if i == 0 => ("a", 1),
            _ => ("", 1),
        };
        if !out.ends_with(class) || class.is_empty() {
            out.push_str(class);
        }
        i += taken;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialog::words::words;

    fn mender() -> Mender {
        let mut mender = Mender::default();
        for word in words("refund expire delivery warranty account discount password express cancel order card gift") {
            mender.learn(&word);
        }
        mender.learn_compound(&words("gift card"));
        mender
    }

    #[test]
    fn garbled_words_become_what_was_meant() {
        let mender = mender();
        for (heard, meant) in [
            ("when do i get my re fond", "when do i get my refund"),
            ("where is my reef and", "where is my refund"),
            ("does the gif card ex pie or", "does the gift card expire"),
            ("is there a warren tea", "is there a warranty"),
            ("my a count", "my account"),
            ("a this count", "a discount"),
            ("forgot my pass word", "forgot my password"),
            ("ex press delivary", "express delivery"),
            ("council my order", "cancel my order"),
        ] {
            let ignored = |word: &str| {
                ["when", "do", "i", "get", "my", "is", "there", "a", "the", "where", "does", "this", "and", "or"]
                    .contains(&word)
            };
            assert_eq!(mender.mend(&words(heard), ignored).text, meant);
        }
    }

    #[test]
    fn what_makes_sense_or_is_like_nothing_stays() {
        let mender = mender();
        for text in ["gift card order", "hello friend", "x", "", "4.90 dollars", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            let mended = mender.mend(&words(text), |_| false);
            assert_eq!((mended.text.as_str(), mended.put_in.len()), (words(text).join(" ").as_str(), 0));
        }
    }
}
