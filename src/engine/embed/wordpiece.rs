//! WordPiece, as BERT models without case use it: lower case without accents, cut at spaces and punctuation, each word
//! then into the longest pieces the vocabulary has. PURE. Source: the paper of BERT (2018), section 3, and the model's own
//! `tokenizer.json`.

use std::collections::HashMap;

use serde::Deserialize;

use super::EmbedError;

/// Tokens of one text at most, the two around it included. A caller's turn has about twelve.
const MOST_TOKENS: usize = 96;
/// A longer word is unknown.
const LONGEST_WORD: usize = 100;

/// A vocabulary.
#[derive(Debug)]
pub struct WordPiece {
    ids: HashMap<String, i64>,
    begin: i64,
    end: i64,
    unknown: i64,
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, i64>,
}

impl WordPiece {
    /// Reads a `tokenizer.json`.
    pub fn parse(json: &str) -> Result<Self, EmbedError> {
        let fail = |reason: String| EmbedError::Load { path: "tokenizer.json".to_owned(), reason };
        let file: File = serde_json::from_str(json).map_err(|error| fail(error.to_string()))?;
        let ids = file.model.vocab;
        let id = |token: &str| ids.get(token).copied().ok_or_else(|| fail(format!("its vocabulary has no {token}")));
        let (begin, end, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
        Ok(Self { ids, begin, end, unknown })
    }

    /// The tokens of `text`, between the marks of a text's beginning and end.
    pub fn tokens(&self, text: &str) -> Vec<i64> {
        let mut out = vec![self.begin];
        for word in words(text) {
            self.pieces(&word, &mut out);
        }
        out.truncate(MOST_TOKENS - 1);
        out.push(self.end);
        out
    }

    fn pieces(&self, word: &str, out: &mut Vec<i64>) {
        let from = out.len();
        let mut start = 0;
        if word.chars().count() > LONGEST_WORD {
            return out.push(self.unknown);
        }
        while start < word.len() {
            let piece = (start + 1..=word.len()).rev().filter(|end| word.is_char_boundary(*end)).find_map(|end| {
                let piece = &word[start..end];
                let id = if start == 0 { self.ids.get(piece) } else { self.ids.get(&format!("##{piece}")) };
                id.map(|id| (*id, end))
            });
            match piece {
                Some((id, end)) => {
                    out.push(id);
                    start = end;
                }
                None => {
                    out.truncate(from);
                    return out.push(self.unknown);
                }
            }
        }
    }
}

/// Lower case, without accents; each punctuation mark is a word of its own.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        // Letters with accents lose them; other scripts stay, and are unknown words.
        let plain = if c.is_ascii() { None } else { deunicode::deunicode_char(c).filter(|_| c < '\u{250}') };
        if c.is_whitespace() || c.is_control() || c == '\u{fffd}' {
            take(&mut word, &mut out);
        } else if c.is_ascii_punctuation() || "’‘“”–—…".contains(c) {
            take(&mut word, &mut out);
            out.push(c.to_string());
        } else if let Some(plain) = plain {
            word.push_str(&plain.to_lowercase());
        } else {
            word.push(c);
        }
    }
    take(&mut word, &mut out);
    out
}

fn take(word: &mut String, out: &mut Vec<String>) {
    if !word.is_empty() {
        out.push(std::mem::take(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> WordPiece {
        let words = ["[CLS]", "[SEP]", "[UNK]", "gift", "card", "##s", "ex", "##pire", "?", "cafe", "'", "don", "t"];
        let vocab: HashMap<_, _> = words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id as i64)).collect();
        WordPiece::parse(&serde_json::json!({ "model": { "vocab": vocab } }).to_string()).expect("valid")
    }

    #[test]
    fn words_fall_into_the_longest_pieces() {
        let pieces = vocabulary();
        assert_eq!(pieces.tokens("Gift cards expire?"), [0, 3, 4, 5, 6, 7, 8, 1]);
        assert_eq!(pieces.tokens("don't"), [0, 11, 10, 12, 1]);
        assert_eq!(pieces.tokens("Café"), [0, 9, 1]);
        assert_eq!(pieces.tokens("giftx"), [0, 2, 1], "a word that does not fall apart is unknown as a whole");
        assert_eq!(pieces.tokens(""), [0, 1]);
        assert_eq!(pieces.tokens("漢字"), [0, 2, 1]);
    }

    #[test]
    fn a_long_text_is_cut() {
        let tokens = vocabulary().tokens(&"gift ".repeat(1_000));
        assert_eq!((tokens.len(), tokens.last()), (MOST_TOKENS, Some(&1)));
        assert_eq!(vocabulary().tokens(&"x".repeat(5_000)), [0, 2, 1]);
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        for text in ["", "{}", r#"{"model":{"vocab":{"[CLS]":0,"[UNK]":1}}}"#] {
            assert!(WordPiece::parse(text).is_err(), "{text}");
        }
    }
}
