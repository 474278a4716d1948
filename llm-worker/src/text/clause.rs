//! Finds the end of the first clause of a reply.
//!
//! Until then the caller hears nothing, so generation may use every core; from then on the voice is speaking and needs
//! one. A clause is at least `MIN_WORDS` words followed by a punctuation mark or a line end. It errs on the early side
//! ("about 3.5 kilos" ends at the point): that costs a little speed, never a gap in the voice.

/// Shorter openings ("Yes,") are not spoken on their own.
const MIN_WORDS: usize = 3;

/// Feed it the reply's text in order; see the module.
#[derive(Clone, Debug, Default)]
pub struct ClauseDetector {
    words: usize,
    in_word: bool,
    ended: bool,
}

impl ClauseDetector {
    /// Takes the next piece of the reply.
    pub fn push(&mut self, text: &str) {
        for c in text.chars() {
            if self.ended {
                return;
            }
            if c.is_alphanumeric() {
                self.words += usize::from(!self.in_word);
                self.in_word = true;
            } else {
                // An apostrophe does not split "don't" in two.
                self.in_word = self.in_word && matches!(c, '\'' | '’');
                self.ended = self.words >= MIN_WORDS && matches!(c, ',' | '.' | ';' | ':' | '!' | '?' | '\n');
            }
        }
    }

    /// Has the first clause ended?
    pub fn ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let mut whole = ClauseDetector::default();
        whole.push(text);
        assert_eq!(whole.ended(), expected, "{text:?} at once");
        let mut split = ClauseDetector::default();
        for c in text.chars() {
            split.push(c.encode_utf8(&mut [0; 4]));
        }
        assert_eq!(split.ended(), expected, "{text:?} char by char");
    }

    #[test]
    fn needs_three_words_and_a_mark() {
        check("", false);
        check("Yes, we do", false);
        check("Yes, we do.", true);
        check("Yes, we do deliver", false);
        check("You can return it\n", true);
        check("... , !", false);
        check("Don't you, sir", false);
        check("Don't you dare, sir", true);
        check("Größe über alles!", true);
    }

    #[test]
    fn stays_ended() {
        let mut clause = ClauseDetector::default();
        clause.push("one two three.");
        clause.push(" four");
        assert!(clause.ended());
    }
}
