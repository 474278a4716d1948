//! Numbers as words, American style: no `and` before the last part, years in pairs, long strings digit by digit.

use crate::dialog::words::{TENS, UNITS};

const SCALES: [(u64, &str); 4] =
    [(1_000_000_000_000, "trillion"), (1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")];
/// Numbers of more digits are read digit by digit.
const LONGEST_CARDINAL: usize = 15;

/// `20418` is `twenty thousand four hundred eighteen`. Up to 15 digits; see [`cardinal_of`] for any string.
pub fn cardinal(number: u64) -> String {
    let mut words = String::new();
    let mut rest = number;
    for (scale, name) in SCALES {
        if rest >= scale {
            add(&mut words, &cardinal(rest / scale));
            add(&mut words, name);
            rest %= scale;
        }
    }
    if rest >= 100 {
        add(&mut words, UNITS[(rest / 100) as usize]);
        add(&mut words, "hundred");
        rest %= 100;
    }
    match rest {
        0 if words.is_empty() => add(&mut words, UNITS[0]),
        0 => {}
        1..20 => add(&mut words, UNITS[rest as usize]),
        _ => {
            add(&mut words, TENS[(rest / 10) as usize - 2]);
            if !rest.is_multiple_of(10) {
                words.push('-');
                words.push_str(UNITS[(rest % 10) as usize]);
            }
        }
    }
    words
}

fn add(words: &mut String, word: &str) {
    if !words.is_empty() {
        words.push(' ');
    }
    words.push_str(word);
}

/// A string of digits, commas allowed, as one number; digit by digit when it is too long for that.
pub fn cardinal_of(digits: &str) -> String {
    let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
    match plain.parse() {
        Ok(number) if plain.len() <= LONGEST_CARDINAL => cardinal(number),
        _ => grouped_digits(&plain),
    }
}

/// `3.05` is `three point zero five`; commas group thousands; whole numbers have no point.
pub fn decimal(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, part)) => {
            let whole = if whole.is_empty() { "zero".to_owned() } else { cardinal_of(whole) };
            format!("{whole} point {}", digits(part))
        }
        None => cardinal_of(number),
    }
}

/// `21` is `twenty-first`.
pub fn ordinal(number: u64) -> String {
    let cardinal = cardinal(number);
    let last = cardinal.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, tail) = cardinal.split_at(last);
    let tail = match tail {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => match tail.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{tail}th"),
        },
    };
    format!("{head}{tail}")
}

/// `2026` is `twenty twenty-six`, `1905` `nineteen oh five`, `2000` `two thousand`.
pub fn year(year: u64) -> String {
    let (century, rest) = (year / 100, year % 100);
    match (century, rest) {
        (0..10, _) | (100.., _) => cardinal(year),
        (_, 0) if century.is_multiple_of(10) => cardinal(year),
        (_, 0) => format!("{} hundred", cardinal(century)),
        (20, 1..10) => cardinal(year),
        (_, 1..10) => format!("{} oh {}", cardinal(century), cardinal(rest)),
        _ => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// Each digit by name, other characters left out. Zero is `zero`: `oh` would be a letter in an order number.
pub fn digits(text: &str) -> String {
    let names: Vec<&str> = text.chars().filter_map(|c| c.to_digit(10)).map(|digit| UNITS[digit as usize]).collect();
    names.join(" ")
}

/// Digits by name in groups a listener can write down, a comma between groups; up to five stay together.
pub fn grouped_digits(text: &str) -> String {
    let plain: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    let sizes: &[usize] = match plain.len() {
        0..6 => &[5],
        7 => &[3, 4],
        8 => &[4, 4],
        10 => &[3, 3, 4],
        6 | 9 => &[3],
        _ => &[4],
    };
    let mut groups = Vec::new();
    let mut rest = plain.as_slice();
    for size in sizes.iter().cycle() {
        let (group, behind) = rest.split_at((*size).min(rest.len()));
        if !group.is_empty() {
            groups.push(digits(&group.iter().collect::<String>()));
        }
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    groups.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_in_words() {
        let table = [
            (0, "zero"),
            (13, "thirteen"),
            (20, "twenty"),
            (42, "forty-two"),
            (100, "one hundred"),
            (115, "one hundred fifteen"),
            (1_000, "one thousand"),
            (20_418, "twenty thousand four hundred eighteen"),
            (3_000_001, "three million one"),
            (7_000_000_000, "seven billion"),
        ];
        for (number, words) in table {
            assert_eq!(cardinal(number), words);
        }
    }

    #[test]
    fn places_in_a_row_end_in_th_but_for_some() {
        let table = [
            (1, "first"),
            (2, "second"),
            (3, "third"),
            (5, "fifth"),
            (8, "eighth"),
            (9, "ninth"),
            (12, "twelfth"),
            (20, "twentieth"),
            (21, "twenty-first"),
            (100, "one hundredth"),
            (113, "one hundred thirteenth"),
        ];
        for (number, words) in table {
            assert_eq!(ordinal(number), words);
        }
    }

    #[test]
    fn years_are_read_in_pairs() {
        let table = [
            (1905, "nineteen oh five"),
            (1984, "nineteen eighty-four"),
            (1900, "nineteen hundred"),
            (2000, "two thousand"),
            (2007, "two thousand seven"),
            (2026, "twenty twenty-six"),
            (999, "nine hundred ninety-nine"),
        ];
        for (number, words) in table {
            assert_eq!(year(number), words);
        }
    }

    #[test]
    fn long_strings_are_grouped_to_be_written_down() {
        assert_eq!(grouped_digits("20418"), "two zero four one eight");
        assert_eq!(grouped_digits("123456"), "one two three, four five six");
        assert_eq!(grouped_digits("5550199"), "five five five, zero one nine nine");
        assert_eq!(cardinal_of("1234567890123456"), grouped_digits("1234567890123456"));
        assert_eq!(decimal("1,234.50"), "one thousand two hundred thirty-four point five zero");
        assert_eq!(decimal(".5"), "zero point five");
    }

    proptest! {
        #[test]
        fn any_number_is_words(number in any::<u64>(), text in "[0-9]{0,40}") {
            for words in [cardinal(number), ordinal(number), year(number), cardinal_of(&text), decimal(&text), grouped_digits(&text)] {
                prop_assert!(words.chars().all(|c| c.is_ascii_lowercase() || " -,".contains(c)), "{words}");
            }
            prop_assert!(!cardinal(number).is_empty());
        }
    }
}
