//! Word error rate: the fewest words replaced, left out or added, over the words of the reference. PURE.
//!
//! Text is normalised first ([`super::normalise`]). Words that one side writes as one and the other apart ("key pad",
//! "voice mail", letters spelt out) are equal.

use super::normalise::normalise;

/// Words written apart at most.
const LONGEST_JOIN: usize = 6;

/// Errors of a hypothesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Words replaced, left out or added.
    pub wrong: usize,
    /// Words of the reference.
    pub of: usize,
}

impl Errors {
    /// Wrong words for each word of the reference; can exceed 1.
    pub fn rate(self) -> f64 {
        self.wrong as f64 / self.of.max(1) as f64
    }
}

impl std::iter::Sum for Errors {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { wrong: a.wrong + b.wrong, of: a.of + b.of })
    }
}

/// The fewest changes that turn `reference` into `hypothesis`, both normalised.
pub fn errors(reference: &str, hypothesis: &str) -> Errors {
    let (reference, hypothesis) = (normalise(reference), normalise(hypothesis));
    let (rows, columns) = (reference.len(), hypothesis.len());
    let mut costs = vec![vec![0; columns + 1]; rows + 1];
    for row in 0..=rows {
        for column in 0..=columns {
            costs[row][column] = match (row, column) {
                (0, _) => column,
                (_, 0) => row,
                _ => {
                    let (said, heard) = (&reference[..row], &hypothesis[..column]);
                    let changed = costs[row - 1][column - 1] + usize::from(said[row - 1] != heard[column - 1]);
                    let plain = changed.min(costs[row - 1][column] + 1).min(costs[row][column - 1] + 1);
                    let joined = joins(said, &heard[column - 1]).map(|count| costs[row - count][column - 1]);
                    let apart = joins(heard, &said[row - 1]).map(|count| costs[row - 1][column - count]);
                    joined.into_iter().chain(apart).fold(plain, usize::min)
                }
            };
        }
    }
    Errors { wrong: costs[rows][columns], of: rows }
}

/// How many of the last `words` make up `one`, if several do.
fn joins(words: &[String], one: &str) -> Option<usize> {
    let mut rest = one;
    for (count, word) in (1..=LONGEST_JOIN).zip(words.iter().rev()) {
        rest = rest.strip_suffix(word.as_str())?;
        if rest.is_empty() {
            return (count > 1).then_some(count);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_the_fewest_changes() {
        let cases = [
            ("", "", 0, 0),
            ("one two three", "1 2 3", 0, 3),
            ("one two three", "", 3, 3),
            ("", "one two", 2, 0),
            ("ten of clubs", "10 of clubs", 0, 4),
            ("call me now please", "call now please", 1, 4),
            ("call me now please", "call me now then please", 1, 4),
            ("please enter your password", "please and your password", 1, 4),
        ];
        for (reference, hypothesis, wrong, of) in cases {
            assert_eq!(errors(reference, hypothesis), Errors { wrong, of }, "{reference} / {hypothesis}");
        }
        let all: Errors = [Errors { wrong: 1, of: 3 }, Errors { wrong: 2, of: 7 }].into_iter().sum();
        assert_eq!(all.rate(), 0.3);
    }

    #[test]
    fn words_written_as_one_and_apart_are_equal() {
        let cases = [
            ("leave a voice mail, good bye", "Leave a voicemail. Goodbye.", 0),
            ("Use the keypad", "Use the key pad.", 0),
            ("M I S D N", "MISDN", 0),
            ("a touch tone phone", "a touchstone phone", 2),
        ];
        for (reference, hypothesis, wrong) in cases {
            assert_eq!(errors(reference, hypothesis).wrong, wrong, "{reference} / {hypothesis}");
        }
    }
}
