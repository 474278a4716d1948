//! "No, seven, not eleven": what a caller puts right in a value that was read back.

use jiff::civil::Date;

use super::{Kind, name, parse};
use crate::dialog::intent::yes_no;
use crate::dialog::words::{UNITS, clauses, holds_phrase, words};

/// The value with the caller's correction in it; none when there is none, or when it fits in no one place.
pub fn corrected(kind: &Kind, value: &str, text: &str, today: Date) -> Option<String> {
    let better = match kind {
        Kind::Digits { .. } => of_digits(kind, value, text),
        Kind::Date { .. } => of_day(value, text).or_else(|| kind.parse(text, today)),
        Kind::Amount { .. } => of_amount(kind, value, text, today),
        Kind::Email { .. } => kind.parse(text, today),
        Kind::Name { .. } => of_name(value, text),
    };
    better.filter(|better| better != value && kind.accepts(better))
}

fn of_digits(kind: &Kind, value: &str, text: &str) -> Option<String> {
    if let Some((right, wrong)) = instead(text, |words| join(parse::digit_runs(words))) {
        return replaced(kind, value, &wrong, &right);
    }
    if let Some((place, digit)) = at_place(text, value.len()) {
        let mut digits: Vec<char> = value.chars().collect();
        *digits.get_mut(place)? = digit;
        return Some(digits.into_iter().collect());
    }
    // Said again as a whole; the last that is valid counts.
    parse::digit_runs(text).into_iter().rev().find(|run| kind.accepts(run))
}

/// "With a C, not a K", or the whole once more.
fn of_name(value: &str, text: &str) -> Option<String> {
    if let Some((right, wrong)) = instead(text, name::letters) {
        return name::replaced(value, &wrong, &right);
    }
    if yes_no(text) == Some(true) {
        return None;
    }
    let said = name::name(text)?;
    // A last name spelled again keeps the first one.
    match (said.contains(' '), value.rsplit_once(' ')) {
        (false, Some((first, _))) => Some(format!("{first} {said}")),
        _ => Some(said),
    }
}

/// The right and the wrong part of "seven, not eleven" and "not eleven but seven", read by `read`.
fn instead(text: &str, read: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let all = words(text);
    let begin = usize::from(all.first().is_some_and(|word| word == "no"));
    let all = &all[begin..];
    let not = all.iter().position(|word| word == "not")?;
    let before = read(&all[..not].join(" "));
    let after = &all[not + 1..];
    match before {
        Some(right) => Some((right, read(&after.join(" "))?)),
        None => {
            let clauses: Vec<Vec<String>> = clauses(text).into_iter().filter(|clause| !clause.is_empty()).collect();
            let but = after.iter().position(|word| ["but", "it", "rather"].contains(&word.as_str()));
            let (wrong, right) = match but {
                Some(but) => (after[..but].join(" "), after[but + 1..].join(" ")),
                None => {
                    let at = clauses.iter().position(|clause| clause.iter().any(|word| word == "not"))?;
                    let wrong = clauses[at].join(" ");
                    (wrong, clauses[at + 1..].concat().join(" "))
                }
            };
            Some((read(&right)?, read(&wrong)?))
        }
    }
}

fn join(runs: Vec<String>) -> Option<String> {
    let [only] = &runs[..] else { return None };
    Some(only.clone())
}

/// `wrong` becomes `right` in the one place where that gives a valid value.
fn replaced(kind: &Kind, value: &str, wrong: &str, right: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for (at, _) in value.match_indices(wrong.get(..1)?).filter(|(at, _)| value[*at..].starts_with(wrong)) {
        let better = format!("{}{right}{}", &value[..at], &value[at + wrong.len()..]);
        if kind.accepts(&better) {
            if found.is_some() {
                // Two places: which one is for the caller to say.
                return None;
            }
            found = Some(better);
        }
    }
    found
}

/// "The last digit is nine", "the second one is four".
fn at_place(text: &str, length: usize) -> Option<(usize, char)> {
    const PLACES: [&str; 8] = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];
    let all = words(text);
    let one = ["digit", "number", "one", "figure"];
    let at = all.iter().position(|word| PLACES.contains(&word.as_str()) || word == "last")?;
    if !all.get(at + 1).is_some_and(|word| one.contains(&word.as_str())) {
        return None;
    }
    let place = match all[at].as_str() {
        "last" => length.checked_sub(1)?,
        word => PLACES.iter().position(|place| *place == word)?,
    };
    let said = parse::digit_runs(&all[at + 2..].join(" "));
    let digit = said.first().filter(|run| run.len() == 1)?.chars().next()?;
    (place < length).then_some((place, digit))
}

/// "The seventh, not the eleventh": the day alone.
fn of_day(value: &str, text: &str) -> Option<String> {
    let date: Date = value.parse().ok()?;
    let day = |words: &str| {
        let all: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if all.iter().any(|word| parse::month(word).is_some()) {
            return None;
        }
        (0..all.len()).find_map(|at| parse::day_at(&all, at)).map(|(day, _)| day.to_string())
    };
    let (right, wrong) = instead(text, day)?;
    (wrong == date.day().to_string()).then_some(())?;
    Date::new(date.year(), date.month(), right.parse().ok()?).ok().map(|date| date.to_string())
}

fn of_amount(kind: &Kind, value: &str, text: &str, today: Date) -> Option<String> {
    let said = words(text);
    let read = |words: &str| parse::amount(words);
    if let Some((right, wrong)) = instead(text, read) {
        if wrong == value {
            return Some(right);
        }
        // "Seven, not eleven" of "eleven dollars and ninety cents": the dollars, or the cents.
        let ((dollars, cents), (wrong, _), (right, _)) =
            (value.split_once('.')?, wrong.split_once('.')?, right.split_once('.')?);
        let part = |part: &str| format!("{part:0>2}");
        if dollars == wrong {
            return Some(format!("{right}.{cents}"));
        }
        return (cents == part(wrong)).then(|| format!("{dollars}.{}", part(right)));
    }
    // A bare "one" in a sentence is no amount.
    let bare = said.len() > 3 && !said.iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let counted = said.iter().filter(|word| UNITS.contains(&word.as_str())).count();
    if bare && counted <= 1 && !holds_phrase(&said, "dollars") && !holds_phrase(&said, "cents") {
        return None;
    }
    kind.parse(text, today)
}
