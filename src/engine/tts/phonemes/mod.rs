//! From words to the symbols a Piper voice was trained on: espeak's IPA for American English.
//!
//! ```text
//! text ─▶ misaki (dictionary of 180 000 words, part of speech decides between readings)
//!              └ a word it doesn't know ─▶ compound of known words ─▶ letter-to-sound rules ─▶ letter by letter
//!       ─▶ misaki's symbols, one for each sound ─▶ espeak's
//! ```
//! misaki silently drops words it doesn't know; here nothing that has a letter or a digit is ever dropped.

mod espeak;
mod letters;

use std::sync::{Arc, OnceLock};

use misaki_rs::{G2P, Language, Lexicon, MToken};

/// Words to symbols. Called on engine threads.
pub trait Phonemizer: Send + Sync {
    /// The symbols of `text` in espeak's IPA, stress marks, spaces and punctuation (`,` `.` `;` `:` `!` `?`) included.
    ///
    /// `text` is already made speakable: numbers and the like are words.
    fn phonemes(&self, text: &str) -> String;
}

/// American English from misaki's dictionary and our own rules for what it lacks.
pub struct Misaki {
    g2p: G2P,
}

impl Misaki {
    /// The one dictionary of this process: about 95 MB, loaded in some 300 ms by the first who asks.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Misaki>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(Self { g2p: G2P::new(Language::EnglishUS) })))
    }

    fn lexicon(&self) -> &Lexicon {
        &self.g2p.lexicon
    }

    /// Misaki's symbols for a token it has none for.
    fn unknown(&self, token: &str) -> String {
        if let Some(stem) =
            token.strip_suffix("'s").or_else(|| token.strip_suffix("’s")).filter(|stem| !stem.is_empty())
        {
            let stem = self.unknown(stem);
            let ending = if stem.ends_with(['s', 'z', 'ʃ', 'ʒ', 'ʧ', 'ʤ']) {
                "ᵻz"
            } else if stem.ends_with(['p', 't', 'k', 'f', 'θ']) {
                "s"
            } else {
                "z"
            };
            return stem + ending;
        }
        let said: Vec<String> =
            pieces(token).map(|piece| self.unknown_piece(piece)).filter(|said| !said.is_empty()).collect();
        said.join(" ")
    }

    fn unknown_piece(&self, piece: &str) -> String {
        let is_capitals = piece.chars().all(char::is_uppercase);
        if !is_capitals || piece.chars().count() > 5 {
            let lower = piece.to_lowercase();
            if let Some(known) = self.known(piece).or_else(|| self.known(&lower)) {
                return known;
            }
            if let Some(compound) = self.compound(&lower) {
                return compound;
            }
            return letters::pronounce(piece);
        }
        letters::spell(piece)
    }

    fn known(&self, word: &str) -> Option<String> {
        let (sounds, _) = self.lexicon().get_word(word, "NN", None, None)?;
        (!sounds.is_empty() && !sounds.contains(&self.g2p.unk)).then_some(sounds)
    }

    /// Two known words in one, such as Lark and field: the first keeps the stress, the second gets the lesser one.
    fn compound(&self, word: &str) -> Option<String> {
        const SHORTEST: usize = 4;
        let is_part = |part: &str| part.len() >= SHORTEST && self.lexicon().in_gold(part);
        let cut = (SHORTEST..=word.len().saturating_sub(SHORTEST))
            .filter(|&at| word.is_char_boundary(at) && is_part(&word[..at]) && is_part(&word[at..]))
            // Several readings: the one whose shorter part is longest is the least likely to be chance.
            .max_by_key(|&at| at.min(word.len() - at))?;
        let (first, second) = (self.known(&word[..cut])?, self.known(&word[cut..])?);
        Some(first + &second.replace('ˈ', "ˌ"))
    }

    /// Misaki's symbols for a token with a letter or digit in it.
    fn token(&self, tokens: &[MToken], at: usize) -> String {
        let token = &tokens[at];
        if token.text == "A" && stands_among_letters(tokens, at) {
            return letters::spell("A");
        }
        match &token.phonemes {
            Some(sounds) if !sounds.is_empty() && !sounds.contains(&self.g2p.unk) => sounds.clone(),
            _ => self.unknown(&token.text),
        }
    }
}

impl Phonemizer for Misaki {
    fn phonemes(&self, text: &str) -> String {
        let text = prepared(text);
        let mut said = String::new();
        // misaki fails only when a fallback of its own does, and it has none here.
        let Ok((_, tokens)) = self.g2p.g2p(&text) else {
            for word in text.split_whitespace() {
                said.push_str(&espeak::respell(&self.unknown(word), word));
                said.push(' ');
            }
            return said.trim_end().to_owned();
        };
        for (at, token) in tokens.iter().enumerate() {
            if token.text.chars().any(char::is_alphanumeric) {
                said.push_str(&espeak::respell(&self.token(&tokens, at), &token.text));
                // "P.M." at the end of a sentence swallows its stop.
                if at + 1 == tokens.len() {
                    token.text.chars().last().into_iter().for_each(|mark| push_mark(&mut said, mark));
                }
            } else {
                token.text.chars().for_each(|mark| push_mark(&mut said, mark));
            }
            if !token.whitespace.is_empty() && !said.ends_with(' ') {
                said.push(' ');
            }
        }
        said
    }
}

/// Without square brackets, which are misaki's own markup, and with the parts of `forty-two` apart, because misaki says
/// what a hyphen joins as one word and swallows half of the second part.
fn prepared(text: &str) -> String {
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let word = || out.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_lowercase();
        out.push(match c {
            '[' | ']' => ' ',
            '-' if TENS.contains(&word().as_str()) => ' ',
            _ => c,
        });
    }
    out
}

/// An `A` next to another single letter or a digit's name is a letter's name and not an article.
fn stands_among_letters(tokens: &[MToken], at: usize) -> bool {
    const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let is_spelled = |token: &MToken| {
        let mut chars = token.text.chars();
        let single = matches!((chars.next(), chars.next()), (Some(letter), None) if letter.is_ascii_uppercase());
        single && token.text != "I" || DIGITS.contains(&token.text.as_str())
    };
    at.checked_sub(1).and_then(|before| tokens.get(before)).is_some_and(is_spelled)
        || tokens.get(at + 1).is_some_and(is_spelled)
}

/// The parts of a token that are said apart: at anything that is no letter or digit, between letters and digits, and
/// where a capital follows a small letter.
fn pieces(token: &str) -> impl Iterator<Item = &str> {
    #[derive(PartialEq, Clone, Copy)]
    enum Kind {
        Small,
        Capital,
        Digit,
        Other,
    }
    let kind = |c: char| match c {
        '\'' | '’' => Kind::Small,
        _ if c.is_numeric() => Kind::Digit,
        _ if c.is_uppercase() => Kind::Capital,
        _ if c.is_alphabetic() => Kind::Small,
        _ => Kind::Other,
    };
    let mut cuts = vec![0];
    let mut before = None;
    for (at, c) in token.char_indices() {
        let now = kind(c);
        let goes_on = match before {
            None | Some(Kind::Capital) => now == Kind::Small || now == Kind::Capital,
            Some(kind) => kind == now,
        };
        if before.is_some() && !goes_on {
            cuts.push(at);
        }
        before = Some(now);
    }
    cuts.push(token.len());
    let spans: Vec<(usize, usize)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    spans.into_iter().map(|(from, to)| &token[from..to]).filter(|piece| piece.chars().any(char::is_alphanumeric))
}

/// What a voice can do with a punctuation mark: the marks it was trained on, and a comma for what asks for a pause.
fn punctuation(mark: char) -> Option<char> {
    match mark {
        ',' | '.' | ';' | ':' | '!' | '?' => Some(mark),
        '—' | '–' | '…' | '(' | ')' | '/' => Some(','),
        '。' => Some('.'),
        '、' | '，' => Some(','),
        '？' => Some('?'),
        '！' => Some('!'),
        _ => None,
    }
}

/// A mark follows its word without space, and of several in a row the first counts.
fn push_mark(out: &mut String, mark: char) {
    let Some(mark) = punctuation(mark) else { return };
    let spaces = out.len() - out.trim_end_matches(' ').len();
    let said = out.trim_end_matches(' ');
    if said.is_empty() || said.ends_with([',', '.', ';', ':', '!', '?']) {
        return;
    }
    out.insert(out.len() - spaces, mark);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Misaki::shared().phonemes(text), expected, "{text}");
    }

    /// What `espeak-ng --ipa -v en-us` says, give or take the stress of small words.
    #[test]
    fn known_words_come_out_as_espeak_writes_them() {
        check("forty-two of twenty-third", "fˈɔːɹɾi tˈuː ʌv twˈɛnti θˈɜːd");
        check("north world nurse hurry letter", "nˈɔːɹθ wˈɜːld nˈɜːs hˈɜːɹi lˈɛɾɚ");
        check("The camera operator, please.", "ðə kˈæmɚɹə ˈɑːpɚɹˌeɪɾɚ, plˈiːz.");
        check("going idea happy city", "ɡˈoʊɪŋ aɪdˈiə hˈæpi sˈɪɾi");
        check("Judge the church!", "dʒˈʌdʒ ðə tʃˈɜːtʃ!");
    }

    #[test]
    fn part_of_speech_decides_between_readings() {
        let (past, now) = ("I have read it.", "I will read it.");
        assert!(Misaki::shared().phonemes(past).contains("ɹˈɛd"));
        assert!(Misaki::shared().phonemes(now).contains("ɹˈiːd"));
    }

    #[test]
    fn unknown_names_are_built_from_words_or_by_rule() {
        check("Northwind", "nˈɔːɹθwɪnd");
        check("Larkfield's", "lˈɑːɹkfiːldz");
        check("Wiesława", "vjɛswˈɑːvə");
        check("Larkfield", "lˈɑːɹkfiːld");
    }

    #[test]
    fn letters_are_named() {
        check("L F two zero", "ˈɛl ˈɛf tˈuː zˈiəɹoʊ");
        check("from nine A M to five P M.", "fɹʌm nˈaɪn ˈeɪ ˈɛm tə fˈaɪv pˈiː ˈɛm.");
        check("A B seven", "ˈeɪ bˈiː sˈɛvən");
        check("A delivery", "ɐ dᵻlˈɪvɚɹi");
        check("XQZ", "ˌɛkskjuːzˈiː");
    }

    #[test]
    fn punctuation_becomes_what_the_voice_knows() {
        check("Well — \"yes\" (now)…", "wˈɛl, jˈɛs, nˈaʊ,");
        check("[hello](/x/)", "həlˈoʊ, ˈɛks,");
    }

    #[test]
    fn pieces_are_cut_at_case_digits_and_marks() {
        let check = |token: &str, parts: &[&str]| assert_eq!(pieces(token).collect::<Vec<_>>(), parts, "{token}");
        check("LF-20418", &["LF", "20418"]);
        check("iPhoneX", &["i", "Phone", "X"]);
        check("don't", &["don't"]);
        check("--", &[]);
        check("ÄÖ3ü", &["ÄÖ", "3", "ü"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_word_is_heard_and_nothing_panics(words in prop::collection::vec("[a-zA-Z]{1,10}|[0-9]{1,4}|\\PC{1,6}", 1..5)) {
            let text = words.join(" ");
            let said = Misaki::shared().phonemes(&text);
            for word in words.iter().filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric())) {
                let alone = Misaki::shared().phonemes(word);
                prop_assert!(alone.chars().any(char::is_alphabetic), "{word} is silent");
            }
            if text.chars().any(|c| c.is_ascii_alphanumeric()) {
                prop_assert!(said.chars().any(char::is_alphabetic), "{text} is silent");
            }
        }
    }
}
