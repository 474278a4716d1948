//! A caption that does not flicker: while a caller speaks, what two decodes in a row agree on stands. PURE.
//!
//! Each partial transcript is of the utterance from its start, so the last two tell what more sound will not change
//! (LocalAgreement-2: Liu et al., "Low-latency sequence-to-sequence speech recognition", 2020). What stands is never taken
//! back by a partial; only the final transcript may, and [`Agreement::stands_in`] says whether it did.

use super::{Transcript, Word};
use crate::audio::units::Probability;

/// How far a word may have moved because another decode writes those before it as one or as two.
const SHIFT: usize = 2;

/// What is agreed on in one utterance so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreement {
    stable: Vec<Word>,
    /// Of the decode before, what comes after `stable`.
    open: Vec<Word>,
}

impl Agreement {
    /// Takes the next partial transcript in.
    pub fn push(&mut self, transcript: &Transcript) {
        let words = &transcript.words[self.after_stable(&transcript.words)..];
        let agreed = words.iter().zip(&self.open).take_while(|(new, old)| same(new, old)).count();
        for (new, old) in words[..agreed].iter().zip(&self.open) {
            self.stable.push(Word { probability: lower(new.probability, old.probability), ..new.clone() });
        }
        self.open = words[agreed..].to_vec();
    }

    /// Words that stand, each with the lower of its two probabilities.
    pub fn stable(&self) -> &[Word] {
        &self.stable
    }

    /// Words that may still change.
    pub fn open(&self) -> &[Word] {
        &self.open
    }

    /// All of it, to be shown.
    pub fn text(&self) -> String {
        self.stable.iter().chain(&self.open).map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// True if the final transcript begins with what stood; else somebody may have read or done something else.
    pub fn stands_in(&self, last: &Transcript) -> bool {
        let letters = |words: &[Word]| words.iter().map(bare).collect::<String>();
        letters(&last.words).starts_with(&letters(&self.stable))
    }

    /// Where `words` go on after what stands: behind its last word, which is looked for around where it was.
    fn after_stable(&self, words: &[Word]) -> usize {
        let Some(last) = self.stable.last() else { return 0 };
        let expected = self.stable.len();
        let near = expected.saturating_sub(SHIFT).max(1)..=expected + SHIFT;
        let found = near.filter(|end| words.get(end - 1).is_some_and(|word| same(word, last)));
        found.min_by_key(|end| end.abs_diff(expected)).unwrap_or(expected).min(words.len())
    }
}

fn lower(one: Probability, other: Probability) -> Probability {
    if one < other { one } else { other }
}

fn same(one: &Word, other: &Word) -> bool {
    bare(one) == bare(other)
}

/// Lower case, without punctuation: the full stop after the last word comes and goes.
fn bare(word: &Word) -> String {
    word.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::units::Millis;

    fn transcript(text: &str, probability: f32) -> Transcript {
        let word = |text: &str| Word {
            text: text.to_owned(),
            start: Millis::ZERO,
            end: Millis::ZERO,
            probability: Probability::clamped(probability),
        };
        Transcript { words: text.split_whitespace().map(word).collect(), ..Transcript::default() }
    }

    #[track_caller]
    fn check(partials: &[&str], stable: &str, open: &str) -> Agreement {
        let mut agreement = Agreement::default();
        for text in partials {
            agreement.push(&transcript(text, 0.9));
        }
        let text = |words: &[Word]| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!((text(agreement.stable()).as_str(), text(agreement.open()).as_str()), (stable, open));
        agreement
    }

    #[test]
    fn what_two_decodes_agree_on_stands() {
        check(&["I want"], "", "I want");
        check(&["I want.", "I want to"], "I want", "to");
        check(&["I want.", "I want to", "I want two of", "I want two of them"], "I want two of", "them");
        check(&["I want to", "he wanted", "I want to go"], "", "I want to go");
        check(&["I want to", "I want to", "he wants to go"], "I want to", "go");
        check(&["", "I", "", "I am"], "", "I am");
    }

    #[test]
    fn what_stands_is_not_taken_back() {
        let agreement = check(&["my name is", "my name is Ann", "mine ask", "mine ask an Anna"], "my name is", "Anna");
        assert_eq!(agreement.text(), "my name is Anna");
        assert!(agreement.stands_in(&transcript("My name is Anna.", 0.9)));
        assert!(!agreement.stands_in(&transcript("Mine is Anna.", 0.9)));
    }

    #[test]
    fn words_written_as_one_and_apart_do_not_lose_their_place() {
        check(
            &["I cannot log", "I cannot log in", "I can not log in today", "I can not log in today"],
            "I cannot log in today",
            "",
        );
        let agreement = check(&["a voicemail", "a voicemail"], "a voicemail", "");
        assert!(agreement.stands_in(&transcript("A voice mail, please.", 0.9)));
    }

    #[test]
    fn a_word_is_as_sure_as_the_less_sure_decode() {
        let mut agreement = Agreement::default();
        agreement.push(&transcript("yes", 0.4));
        agreement.push(&transcript("yes", 0.9));
        assert_eq!(agreement.stable()[0].probability, Probability::clamped(0.4));
    }
}
