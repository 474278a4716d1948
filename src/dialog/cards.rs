//! Card numbers in what was said: they are heard and not kept. PURE.

use std::borrow::Cow;

/// Digits of a payment card's number (ISO/IEC 7812).
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// What stands in the place of a digit.
pub const MASK: char = '•';

/// A digit of a run.
struct Digit {
    at: usize,
    digit: u8,
    /// Something stands between it and the digit before.
    begins_group: bool,
}

/// `text` with the digits of every card number masked, but for the last two.
///
/// A card number is a run of 13 to 19 digits, with spaces, dots or hyphens between them, whose check digit is right; among
/// other groups of digits it is found too. Words between digits end a run. Cannot fail.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut hidden: Vec<usize> = Vec::new();
    let mut run: Vec<Digit> = Vec::new();
    let mut between = false;
    let mut close = |run: &mut Vec<Digit>| {
        hide(run, &mut hidden);
        run.clear();
    };
    for (at, c) in text.char_indices() {
        match c.to_digit(10) {
            Some(digit) => run.push(Digit { at, digit: digit as u8, begins_group: std::mem::take(&mut between) }),
            None if matches!(c, ' ' | '-' | '.' | ',' | '–' | '\u{a0}') => between = true,
            None => close(&mut run),
        }
    }
    close(&mut run);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.char_indices().map(|(at, c)| if hidden.contains(&at) { MASK } else { c }).collect())
}

/// From the first number that checks to the end of the run, since what follows may belong to it; but for the last two digits.
/// A number begins and ends where a group of digits does: within longer ones every tenth stretch would check by chance.
fn hide(run: &[Digit], hidden: &mut Vec<usize>) {
    let begins = |at: usize| at == 0 || at >= run.len() || run[at].begins_group;
    let is_card = |from: &usize| {
        let rest = &run[*from..];
        let whole = |length: &usize| *length <= rest.len() && begins(from + length);
        begins(*from) && DIGITS.filter(whole).any(|length| checks(&rest[..length]))
    };
    if let Some(from) = (0..run.len()).find(is_card) {
        hidden.extend(run[from..run.len() - 2].iter().map(|digit| digit.at));
    }
}

/// The check digit is right (Luhn), and they are not all zeros.
fn checks(digits: &[Digit]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, Digit { digit, .. })| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_masked_however_they_are_written() {
        for (text, kept) in [
            ("it is 4111 1111 1111 1111, until May", "it is •••• •••• •••• ••11, until May"),
            ("5555-5555-5555-4444.", "••••-••••-••••-••44."),
            ("378282246310005", "•••••••••••••05"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "• • • • • • • • • • • • • • 1 1"),
            ("order 12 4111111111111111", "order 12 ••••••••••••••11"),
        ] {
            assert_eq!(masked(text), kept);
        }
    }

    #[test]
    fn other_numbers_stand() {
        for text in [
            "my order is 45 17 23",
            "call +1 500 555 0006",
            "4111 1111 1111 1112 is mistyped",
            "4111 1111 and then 1111 1111",
            "0000 0000 0000 0000",
            "",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_number_that_checks_is_left(text in "[0-9 ]{0,60}|\\PC{0,60}") {
            let once = masked(&text).into_owned();
            prop_assert_eq!(once.chars().count(), text.chars().count());
            prop_assert_eq!(masked(&once), once.as_str());
        }
    }
}
