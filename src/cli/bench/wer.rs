//! Word error rate, and how text is normalised before it is counted.
//!
//! Normalised: lower case; hyphens and slashes are spaces; other punctuation is dropped, apostrophes too; numbers are
//! words ("10" ten, "16th" sixteenth, "120" one hundred twenty, from four digits on and after a zero digit by digit);
//! Mr., Mrs., Dr. and OK are written out; "good bye", "voice mail" and "e mail" are one word.

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
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (index, word) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, heard) in hypothesis.iter().enumerate() {
            let changed = diagonal + usize::from(word != heard);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    Errors { wrong: row[hypothesis.len()], of: reference.len() }
}

/// The words of `text` as they are compared.
pub fn normalise(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.to_lowercase().split(|c: char| c.is_whitespace() || matches!(c, '-' | '/' | '–' | '—')) {
        let word: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
        match word.as_str() {
            "" => {}
            "mr" => words.push("mister".to_owned()),
            "mrs" => words.push("missus".to_owned()),
            "dr" => words.push("doctor".to_owned()),
            "ok" => words.push("okay".to_owned()),
            _ => words.extend(spelt(&word)),
        }
        join(&mut words, "good", "bye");
        join(&mut words, "voice", "mail");
        join(&mut words, "e", "mail");
    }
    words
}

fn join(words: &mut Vec<String>, first: &str, second: &str) {
    if words.len() >= 2 && words[words.len() - 2] == first && words[words.len() - 1] == second {
        words.pop();
        *words.last_mut().expect("there were two") += second;
    }
}

/// `word`, its digits as words: "h323" is h three hundred twenty three.
fn spelt(word: &str) -> Vec<String> {
    let Some(start) = word.find(|c: char| c.is_ascii_digit()) else { return vec![word.to_owned()] };
    let (before, rest) = word.split_at(start);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(digits);
    let mut words: Vec<String> = (!before.is_empty()).then(|| before.to_owned()).into_iter().collect();
    words.extend(cardinal(number));
    match after {
        "" => {}
        "st" | "nd" | "rd" | "th" => {
            let last = words.pop().expect("a number has words");
            words.push(ordinal(&last));
        }
        _ => words.extend(spelt(after)),
    }
    words
}

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

fn cardinal(digits: &str) -> Vec<String> {
    let small = match digits.parse::<usize>() {
        Ok(number) if digits == "0" || (number < 1_000 && !digits.starts_with('0')) => number,
        _ => return digits.bytes().map(|digit| UNITS[usize::from(digit - b'0')].to_owned()).collect(),
    };
    let mut words = Vec::new();
    if small >= 100 {
        words.extend([UNITS[small / 100], "hundred"]);
    }
    match small % 100 {
        0 if small > 0 => {}
        rest @ 0..20 => words.push(UNITS[rest]),
        rest => {
            words.push(TENS[rest / 10]);
            words.extend((rest % 10 > 0).then(|| UNITS[rest % 10]));
        }
    }
    words.into_iter().map(str::to_owned).collect()
}

fn ordinal(last: &str) -> String {
    match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => last.strip_suffix('y').map_or_else(|| format!("{last}th"), |stem| format!("{stem}ieth")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_as_it_sounds() {
        let cases = [
            ("And Mr. John's well-known!", "and mister johns well known"),
            ("Press 1, or 20; not 21.", "press one or twenty not twenty one"),
            ("The 16th, 1st, 20th and 22nd", "the sixteenth first twentieth and twenty second"),
            ("100 of 120 and 999", "one hundred of one hundred twenty and nine hundred ninety nine"),
            ("33-4692 or 007 or 0", "thirty three four six nine two or zero zero seven or zero"),
            ("H323", "h three hundred twenty three"),
            ("Good bye. Goodbye. Voice-mail, e-mail", "goodbye goodbye voicemail email"),
            ("OK…", "okay"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn errors_are_the_fewest_changes() {
        let cases = [
            ("", "", 0, 0),
            ("one two three", "one two three", 0, 3),
            ("one two three", "", 3, 3),
            ("", "one two", 2, 0),
            ("one two three", "one too three", 1, 3),
            ("one two three", "two three four", 2, 3),
            ("please enter your password", "please and your password", 1, 4),
        ];
        for (reference, hypothesis, wrong, of) in cases {
            assert_eq!(errors(reference, hypothesis), Errors { wrong, of }, "{reference} / {hypothesis}");
        }
        let all: Errors = [Errors { wrong: 1, of: 3 }, Errors { wrong: 2, of: 7 }].into_iter().sum();
        assert_eq!(all.rate(), 0.3);
    }
}
