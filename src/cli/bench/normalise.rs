//! Text as it sounds: how both sides of a comparison are written before words are counted. PURE.
//!
//! The rules, in this order, the same for reference, our transcript and a peer's:
//! 1. Lower case. `[noise]`, `(noise)` and `<noise>` are dropped. `#` is pound, `*` star, `&` and, `%` percent, `@` at,
//!    `$5` 5 dollars. Hyphens, slashes, colons and dashes are spaces; a point between letters is dropped (`p.m.`, `H.323`),
//!    between digits it is the word point. All other punctuation is dropped.
//! 2. Hesitations (uh, um, er, hm, mm) are dropped.
//! 3. Contractions are written out: `n't` not, `'re` are, `'ve` have, `'ll` will, `'d` would, `'m` am, `'s` is after a
//!    pronoun or question word, `let's` let us. Any other apostrophe is dropped.
//! 4. Mr., Mrs., Dr. and ok are written out; British spellings become American ones.
//! 5. Numbers, in words or digits, are their decimal digits, each a word: "120", "one hundred and twenty" and "one twenty"
//!    are 1 2 0; so are dictated digits. An ordinal has `th` after its digits ("first", "1st": 1 th). "oh" within digits
//!    is 0. "hundred" without a number before it stays a word.
//!
//! How words are aligned says [`super::wer`]; there, words written as one and apart are equal.

use crate::dialog::words::{TENS, UNITS};

/// The words of `text` as they are compared.
pub fn normalise(text: &str) -> Vec<String> {
    words(text, false)
}

/// The same, but a number is one word: for looking for a fact, where 3 is not found in 30.
pub fn with_whole_numbers(text: &str) -> Vec<String> {
    words(text, true)
}

fn words(text: &str, whole: bool) -> Vec<String> {
    let mut words = Vec::new();
    for token in without_asides(&text.to_lowercase().replace(['’', '‘', '`'], "'")).split_whitespace() {
        for word in token.split(['-', '/', ':', '–', '—', '…', '_', '=']) {
            tokens(word, &mut words);
        }
    }
    Numbers { whole, ..Numbers::default() }.read(words)
}

/// Leaves out what stands in brackets, and writes symbols as words.
fn without_asides(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut closing = None;
    for c in text.chars() {
        match (closing, c) {
            (Some(wanted), _) if c == wanted => closing = None,
            (Some(_), _) => {}
            (None, '[') => closing = Some(']'),
            (None, '(') => closing = Some(')'),
            (None, '<') => closing = Some('>'),
            (None, '#') => kept.push_str(" pound "),
            (None, '*') => kept.push_str(" star "),
            (None, '&') => kept.push_str(" and "),
            (None, '%') => kept.push_str(" percent "),
            (None, '@') => kept.push_str(" at "),
            (None, c) => kept.push(c),
        }
    }
    kept
}

/// One word between spaces, as one or more words without punctuation.
fn tokens(word: &str, words: &mut Vec<String>) {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '$' && c != '\'');
    if let Some(amount) = word.strip_prefix('$') {
        tokens(amount, words);
        words.push("dollars".to_owned());
        return;
    }
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    if let Some((stem, rest)) = contraction(word) {
        words.extend([stem, rest].into_iter().filter(|part| !part.is_empty()).map(str::to_owned));
        return;
    }
    for (index, part) in point(word).into_iter().enumerate() {
        if index > 0 {
            words.push("point".to_owned());
        }
        let bare: String = part.chars().filter(|c| c.is_alphanumeric()).collect();
        for run in runs(&bare) {
            match run {
                "uh" | "um" | "uhm" | "er" | "erm" | "hm" | "hmm" | "mm" | "mmm" | "mhm" => {}
                run => words.push(spelling(run)),
            }
        }
    }
}

/// Splits at a point between digits: "1.5".
fn point(word: &str) -> Vec<&str> {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    match word.split_once('.') {
        Some((before, after)) if digit(before.chars().last()) && digit(after.chars().next()) => vec![before, after],
        _ => vec![word],
    }
}

/// Runs of digits and of letters, an ordinal's ending with its digits: "h323" is h and 323, "21st" one.
fn runs(word: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let mut end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        if digits && matches!(&rest[end..], "st" | "nd" | "rd" | "th") {
            end = rest.len();
        }
        runs.push(&rest[..end]);
        rest = &rest[end..];
    }
    runs
}

fn contraction(word: &str) -> Option<(&str, &str)> {
    let special = match word {
        "can't" => ("can", "not"),
        "won't" => ("will", "not"),
        "let's" => ("let", "us"),
        "o'clock" => ("oclock", ""),
        "y'all" => ("you", "all"),
        _ => ("", ""),
    };
    if !special.0.is_empty() {
        return Some(special);
    }
    let endings = [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'d", "would"), ("'m", "am")];
    for (ending, written) in endings {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            return Some((stem, written));
        }
    }
    let stem = word.strip_suffix("'s")?;
    let of_is = ["it", "that", "this", "there", "here", "he", "she", "who", "what", "where", "when", "how", "why"];
    of_is.contains(&stem).then_some((stem, "is"))
}

fn spelling(word: &str) -> String {
    let written = match word {
        "mr" => "mister",
        "mrs" => "missus",
        "dr" => "doctor",
        "ok" => "okay",
        "alright" => "all right",
        "grey" => "gray",
        "centre" => "center",
        "theatre" => "theater",
        "metre" => "meter",
        "metres" => "meters",
        "litre" => "liter",
        "litres" => "liters",
        "cheque" => "check",
        "catalogue" => "catalog",
        "programme" => "program",
        "licence" => "license",
        "defence" => "defense",
        "judgement" => "judgment",
        "travelled" => "traveled",
        "cancelled" => "canceled",
        "cancelling" => "canceling",
        "dialled" => "dialed",
        "dialling" => "dialing",
        "storey" => "story",
        "whisky" => "whiskey",
        _ => "",
    };
    if !written.is_empty() {
        return written.to_owned();
    }
    for stem in ["colo", "favo", "hono", "labo", "neighbo", "behavio", "harbo", "humo", "rumo", "flavo"] {
        if let Some(ending) = word.strip_prefix(stem).and_then(|rest| rest.strip_prefix("ur")) {
            return format!("{stem}r{ending}");
        }
    }
    for stem in ["organ", "real", "recogn", "apolog", "author", "custom", "summar", "categor", "minim", "maxim"] {
        if let Some(ending) = word.strip_prefix(stem).and_then(|rest| rest.strip_prefix("is"))
            && ["e", "ed", "es", "ing", "ation"].contains(&ending)
        {
            return format!("{stem}iz{ending}");
        }
    }
    word.to_owned()
}

/// What a number's last word was: it decides what may follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Nothing,
    Unit,
    Tens,
    Hundred,
    Scale,
    Digits,
}

/// Turns number words and digits into single digits.
#[derive(Default)]
struct Numbers {
    words: Vec<String>,
    /// Numbers stay whole.
    whole: bool,
    /// Thousands and above.
    above: u64,
    below: u64,
    last: Last,
    /// Digits as written: "007".
    literal: Option<String>,
}

impl Numbers {
    fn read(mut self, words: Vec<String>) -> Vec<String> {
        for (index, word) in words.iter().enumerate() {
            let next = words.get(index + 1);
            match word.as_str() {
                "and" if matches!(self.last, Last::Hundred | Last::Scale) && next.is_some_and(|next| small(next)) => {}
                "oh" | "o" if self.last != Last::Nothing && next.is_some_and(|next| starts_number(next)) => {
                    self.literal("0");
                }
                word => self.word(word),
            }
        }
        self.flush();
        self.words
    }

    fn word(&mut self, word: &str) {
        if let Some((digits, is_ordinal)) = written_digits(word) {
            self.literal(digits);
            if is_ordinal {
                self.ordinal_ends();
            }
            return;
        }
        if word == "hundred" && matches!(self.last, Last::Unit | Last::Tens | Last::Digits) && self.below < 100 {
            self.take_literal();
            self.below *= 100;
            self.last = Last::Hundred;
            return;
        }
        let scale = ["thousand", "million", "billion"].iter().position(|scale| *scale == word);
        if let Some(scale) = scale.filter(|_| self.last != Last::Nothing && self.last != Last::Scale) {
            self.take_literal();
            self.above += self.below.saturating_mul(1_000u64.pow(scale as u32 + 1));
            self.below = 0;
            self.last = Last::Scale;
            return;
        }
        if let Some(value) = cardinal(word) {
            return self.add(value);
        }
        if let Some(value) = ordinal(word) {
            self.add(value);
            return self.ordinal_ends();
        }
        self.flush();
        self.words.push(word.to_owned());
    }

    /// Adds a word below one hundred, to the number under way if it can follow there.
    fn add(&mut self, value: u64) {
        let follows = match self.last {
            Last::Tens => (1..10).contains(&value),
            Last::Hundred | Last::Scale => value > 0,
            _ => false,
        };
        if !follows {
            self.flush();
        }
        self.below += value;
        self.last = if value >= 20 && value.is_multiple_of(10) { Last::Tens } else { Last::Unit };
    }

    fn literal(&mut self, digits: &str) {
        if self.last != Last::Scale {
            self.flush();
        }
        self.literal = Some(digits.to_owned());
        self.below = digits.parse().unwrap_or(0);
        self.last = Last::Digits;
    }

    /// Further words make another number of it than the digits as written.
    fn take_literal(&mut self) {
        self.literal = None;
    }

    fn value(&self) -> u64 {
        self.above.saturating_add(self.below)
    }

    fn ordinal_ends(&mut self) {
        self.flush();
        self.words.push("th".to_owned());
    }

    fn flush(&mut self) {
        if self.last == Last::Nothing {
            return;
        }
        let digits = match self.literal.take().filter(|_| self.above == 0) {
            Some(digits) => digits,
            None => self.value().to_string(),
        };
        if self.whole {
            self.words.push(digits);
        } else {
            self.words.extend(digits.chars().map(String::from));
        }
        (self.above, self.below, self.last) = (0, 0, Last::Nothing);
    }
}

/// "10" or "16th".
fn written_digits(word: &str) -> Option<(&str, bool)> {
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    (end > 0).then(|| (&word[..end], end < word.len()))
}

fn starts_number(word: &str) -> bool {
    cardinal(word).is_some() || word.starts_with(|c: char| c.is_ascii_digit()) || matches!(word, "oh" | "o")
}

/// What may follow "hundred and".
fn small(word: &str) -> bool {
    cardinal(word).is_some_and(|value| value > 0)
        || ordinal(word).is_some()
        || word.starts_with(|c: char| c.is_ascii_digit())
}

fn cardinal(word: &str) -> Option<u64> {
    let at = |words: &[&str]| words.iter().position(|known| *known == word).map(|index| index as u64);
    at(&UNITS).or_else(|| at(&TENS).map(|index| (index + 2) * 10))
}

fn ordinal(word: &str) -> Option<u64> {
    match word {
        "first" => Some(1),
        "second" => Some(2),
        "third" => Some(3),
        "fifth" => Some(5),
        "eighth" => Some(8),
        "ninth" => Some(9),
        "twelfth" => Some(12),
        "fourtieth" => Some(40), // so it stands in a text that is read out
        _ => {
            let stem = word.strip_suffix("th")?;
            match stem.strip_suffix("ie") {
                Some(stem) => cardinal(&format!("{stem}y")),
                None => cardinal(stem),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_as_it_sounds() {
        let cases = [
            ("And Mr. John's well-known!", "and mister johns well known"),
            ("It's on; that’s what I'd say, we'll see. Let's!", "it is on that is what i would say we will see let us"),
            ("I can't, won't, don't", "i can not will not do not"),
            ("Um, well... uh-huh", "well huh"),
            ("[beep] Please (now) wait", "please wait"),
            ("press # or *", "press pound or star"),
            ("OK, the colour was realised, cancelled", "okay the color was realized canceled"),
            ("www.asterisk.org at 5 p.m.", "wwwasteriskorg at 5 pm"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_number_is_its_digits_however_it_is_written() {
        let cases = [
            ("Press 1, or 20; not twenty one.", "press 1 or 2 0 not 2 1"),
            ("one hundred of 120 and nine hundred and ninety-nine", "1 0 0 of 1 2 0 and 9 9 9"),
            ("one two three, 123, one twenty three", "1 2 3 1 2 3 1 2 3"),
            ("33-4692 or 007 or two oh four", "3 3 4 6 9 2 or 0 0 7 or 2 0 4"),
            ("two thousand and five, 2005, 2,005, five thousand", "2 0 0 5 2 0 0 5 2 0 0 5 5 0 0 0"),
            ("12 thousand 3 hundred, a hundred", "1 2 3 0 0 a hundred"),
            ("one million two hundred thousand", "1 2 0 0 0 0 0"),
            ("The 16th, sixteenth, first, 21st and twenty-first", "the 1 6 th 1 6 th 1 th 2 1 th and 2 1 th"),
            ("fortieth ninetieth", "4 0 th 9 0 th"),
            ("H.323, 3D, IAX2", "h 3 2 3 3 d iax 2"),
            ("1.5 and $20 at 10:30", "1 point 5 and 2 0 dollars at 1 0 3 0"),
            ("oh no, one or zero", "oh no 1 or 0"),
            ("seven eight nine ten eleven", "7 8 9 1 0 1 1"),
            ("hundred thousand", "hundred thousand"),
            ("one hundred one, one hundred and go", "1 0 1 1 0 0 and go"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_fact_has_whole_numbers() {
        assert_eq!(with_whole_numbers("Thirty days, or the 21st").join(" "), "30 days or the 21 th");
    }

    #[test]
    fn any_text_is_taken() {
        for text in ["", "'", "$", "$$ '", "1.", ".5", "99999999999999999999999 thousand", "’s", "[", "th 0th", "… —"]
        {
            normalise(text);
        }
    }
}
