//! What a caller's words say: digits, an amount, a day, an address.

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use crate::dialog::words::{TENS, UNITS, words};

/// Words between digits that end nothing: "four four, uh, one".
const BETWEEN: &[&str] =
    &["and", "uh", "um", "er", "then", "dash", "hyphen", "space", "point", "it", "is", "s", "number", "digit"];
/// Digits that recognition writes as other words, where digits stand before and after.
const SOUND_ALIKE: &[(&str, &str)] =
    &[("to", "2"), ("too", "2"), ("for", "4"), ("fore", "4"), ("ate", "8"), ("won", "1"), ("sex", "6"), ("sicks", "6")];

/// A number word below a hundred: its value, and whether it is one of the tens.
fn small(word: &str) -> Option<u32> {
    UNITS
        .iter()
        .position(|unit| *unit == word)
        .or_else(|| TENS.iter().position(|ten| *ten == word).map(|at| (at + 2) * 10))
        .map(|value| value as u32)
}

/// All runs of digits that are said, in order; a run is what is said without other words between.
pub fn digit_runs(text: &str) -> Vec<String> {
    let all = words(text);
    let mut runs: Vec<String> = Vec::new();
    let (mut run, mut at) = (String::new(), 0);
    while at < all.len() {
        match digits_at(&all, at, !run.is_empty()) {
            Some((digits, next)) => {
                run.push_str(&digits);
                at = next;
            }
            None => {
                let between = BETWEEN.contains(&all[at].as_str()) && digits_at(&all, at + 1, true).is_some();
                if !between && !run.is_empty() {
                    runs.push(std::mem::take(&mut run));
                }
                at += 1;
            }
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// The digits of the word or words at `at`, and one past them.
fn digits_at(all: &[String], at: usize, inside: bool) -> Option<(String, usize)> {
    let word = all.get(at)?.as_str();
    let next = all.get(at + 1).map_or("", String::as_str);
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        let plain = word.chars().all(|c| c.is_ascii_digit() || ",.:".contains(c));
        return plain.then_some((digits, at + 1));
    }
    if let Some(times) = ["double", "triple"].iter().position(|known| *known == word) {
        let (digits, end) = digits_at(all, at + 1, true)?;
        return (digits.len() == 1).then(|| (digits.repeat(times + 2), end));
    }
    if ["oh", "o", "nought", "naught"].contains(&word) {
        // "Oh, four" begins with a sigh.
        return inside.then(|| ("0".to_owned(), at + 1));
    }
    if let Some((_, digit)) = SOUND_ALIKE.iter().find(|(alike, _)| *alike == word) {
        let between = inside && digits_at(all, at + 1, false).is_some();
        return between.then(|| ((*digit).to_owned(), at + 1));
    }
    let value = small(word)?;
    // "Four thousand two hundred seventeen" is a number, not a row of digits.
    if ["hundred", "thousand"].contains(&next) || (value >= 20 && all.get(at + 2).is_some_and(|w| w == "thousand")) {
        let (number, end) = cardinal(all, at)?;
        return Some((number.to_string(), end));
    }
    if value >= 20
        && value % 10 == 0
        && let Some(unit) = small(next).filter(|unit| (1..10).contains(unit))
    {
        return Some(((value + unit).to_string(), at + 2));
    }
    Some((value.to_string(), at + 1))
}

/// A whole number in words or digits at `at`, below a billion, and one past it.
fn cardinal(all: &[String], mut at: usize) -> Option<(u64, usize)> {
    let (mut total, mut part, mut any) = (0u64, 0u64, false);
    while let Some(word) = all.get(at) {
        if let Some(value) = small(word) {
            // "Four seventeen" is two numbers.
            if any && part % 10 != 0 || (any && part % 100 != 0 && value >= 10) {
                break;
            }
            part += u64::from(value);
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            if any && part != 0 {
                break;
            }
            let plain = word.replace(',', "");
            part += plain.parse::<u64>().ok().filter(|value| *value < 1_000_000_000)?;
        } else if word == "hundred" && any {
            part = part.max(1).checked_mul(100)?;
        } else if word == "thousand" && any {
            total = part.max(1).checked_mul(1_000)?;
            part = 0;
        } else if !(word == "and" && any && all.get(at + 1).is_some_and(|next| small(next).is_some())) {
            break;
        }
        any = true;
        at += 1;
    }
    let sum = total.checked_add(part)?;
    any.then_some((sum, at)).filter(|(value, _)| *value < 1_000_000_000)
}

/// An amount of money as `49.90`.
pub fn amount(text: &str) -> Option<String> {
    let all = words(text);
    let mut found = None;
    let mut at = 0;
    while at < all.len() {
        match amount_at(&all, at) {
            Some((cents, end)) => {
                // The last one counts: "fifty, no, sixty dollars".
                found = Some(cents);
                at = end.max(at + 1);
            }
            None => at += 1,
        }
    }
    found.map(|cents| format!("{}.{:02}", cents / 100, cents % 100))
}

fn amount_at(all: &[String], at: usize) -> Option<(u64, usize)> {
    let word = all.get(at)?;
    if let Some((whole, part)) = word.replace(',', "").split_once('.')
        && let (Ok(whole), true, Ok(part)) =
            (whole.parse::<u64>(), part.len() <= 2, format!("{part:0<2}").parse::<u64>())
    {
        let unit = all.get(at + 1).is_some_and(|word| is_currency(word));
        return Some((whole.checked_mul(100)? + part, at + 1 + usize::from(unit)));
    }
    let (whole, mut end) = cardinal(all, at)?;
    let said = |at: usize, is: fn(&str) -> bool| all.get(at).is_some_and(|word| is(word));
    if said(end, is_cents) {
        return Some((whole, end + 1));
    }
    let mut cents = whole.checked_mul(100)?;
    let unit = said(end, is_currency);
    let point = all.get(end).is_some_and(|word| word == "point");
    if unit || point {
        end += 1;
        let skip = usize::from(unit && all.get(end).is_some_and(|word| word == "and"));
        // "Forty nine dollars ninety", "forty nine point nine oh".
        if let Some((part, after)) = cardinal(all, end + skip).filter(|(part, _)| *part < 100) {
            let zero = all.get(after).is_some_and(|word| word == "oh" || word == "zero");
            let part = if point && part < 10 { part * 10 } else { part };
            cents += part;
            end = after + usize::from(said(after, is_cents) || (point && zero));
        }
    }
    Some((cents, end))
}

fn is_currency(word: &str) -> bool {
    ["dollar", "dollars", "bucks", "euro", "euros", "pound", "pounds"].contains(&word)
}

fn is_cents(word: &str) -> bool {
    ["cent", "cents", "pence", "pennies"].contains(&word)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const ORDINALS: [&str; 19] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];

/// A day as `2026-11-25`. Without a year the one nearest to `today`.
pub fn date(text: &str, today: Date) -> Option<String> {
    let all = words(text);
    let found = written(text).or_else(|| relative(&all, today)).or_else(|| {
        let at = all.iter().rposition(|word| month(word).is_some())?;
        let month = month(&all[at])?;
        let after = at + 1 + usize::from(all.get(at + 1).is_some_and(|word| word == "the"));
        let behind = day_at(&all, after);
        // "The third of March".
        let before = (0..at).rev().take(4).find_map(|start| {
            let (day, end) = day_at(&all, start)?;
            (end == at || (end + 1 == at && all[end] == "of")).then_some(day)
        });
        let (day, end) = match (behind, before) {
            (_, Some(day)) => (day, at + 1),
            (Some((day, end)), None) => (day, end),
            (None, None) => return None,
        };
        match year_at(&all, end) {
            Some(year) => Date::new(year, month, day).ok(),
            None => nearest(month, day, today),
        }
    })?;
    Some(found.to_string())
}

/// The month a word names.
pub fn month(word: &str) -> Option<i8> {
    let full = MONTHS.iter().position(|month| *month == word);
    let short = || MONTHS.iter().position(|month| word.len() >= 3 && word.len() <= 4 && month.starts_with(word));
    full.or_else(short).map(|at| at as i8 + 1)
}

/// A day of a month at `at`, and one past it: "third", "3rd", "twenty first", "21".
pub fn day_at(all: &[String], at: usize) -> Option<(i8, usize)> {
    let word = all.get(at)?.as_str();
    let ordinal = |word: &str| ORDINALS.iter().position(|known| *known == word).map(|at| at as u32 + 1);
    let (day, end) = if word.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        (digits.parse().ok()?, at + 1)
    } else if let Some(day) = ordinal(word) {
        (day, at + 1)
    } else if word == "twentieth" {
        (20, at + 1)
    } else if word == "thirtieth" {
        (30, at + 1)
    } else {
        let value = small(word)?;
        let next = all.get(at + 1).map_or("", String::as_str);
        let unit = if value >= 20 { ordinal(next).or_else(|| small(next)).filter(|unit| *unit < 10) } else { None };
        (value + unit.unwrap_or(0), at + 1 + usize::from(unit.is_some()))
    };
    i8::try_from(day).ok().filter(|day| (1..=31).contains(day)).map(|day| (day, end))
}

fn year_at(all: &[String], at: usize) -> Option<i16> {
    let at = at + usize::from(all.get(at).is_some_and(|word| word == "of" || word == "in"));
    if let Some(year) = all.get(at).and_then(|word| word.parse::<i16>().ok()) {
        return (1900..=2100).contains(&year).then_some(year);
    }
    // "Twenty twenty six", "two thousand twenty six".
    let (first, end) = cardinal(all, at)?;
    if (2_000..2_100).contains(&first) {
        return i16::try_from(first).ok();
    }
    let (second, _) = cardinal(all, end)?;
    ((19..=20).contains(&first) && second < 100).then(|| (first * 100 + second) as i16)
}

/// A day as it is keyed in: `1125`, or `11252026`.
pub fn keyed_date(keys: &str, today: Date) -> Option<String> {
    let part = |from: usize, to: usize| keys.get(from..to)?.parse::<i16>().ok();
    let (month, day) = (i8::try_from(part(0, 2)?).ok()?, i8::try_from(part(2, 4)?).ok()?);
    let date = match keys.len() {
        4 => nearest(month, day, today)?,
        8 => Date::new(part(4, 8)?, month, day).ok()?,
        _ => return None,
    };
    Some(date.to_string())
}

/// `2026-11-25`, `11/25/2026`, `11/25`: the month first, as in the voice's country.
fn written(text: &str) -> Option<Date> {
    let piece = text
        .split_whitespace()
        .rev()
        .find(|piece| piece.starts_with(|c: char| c.is_ascii_digit()) && piece.matches(['/', '-']).count() == 2)?;
    let parts: Vec<i16> = piece
        .trim_matches(|c: char| !c.is_ascii_digit())
        .split(['/', '-'])
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [a, b, c] = parts[..] else { return None };
    let (year, month, day) = if a > 31 { (a, b, c) } else { (if c < 100 { c + 2_000 } else { c }, a, b) };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn relative(all: &[String], today: Date) -> Option<Date> {
    let has = |word: &str| all.iter().any(|said| said == word);
    let shifted = |span: Span| today.checked_add(span).ok();
    if has("today") {
        return Some(today);
    }
    if has("yesterday") {
        return shifted(if has("before") { -2.days() } else { -1.days() });
    }
    if has("tomorrow") {
        return shifted(if has("after") { 2.days() } else { 1.days() });
    }
    let at = WEEKDAYS.iter().position(|day| has(day))? as i8;
    let now = today.weekday().to_monday_zero_offset();
    let ahead = i64::from((at - now).rem_euclid(7));
    // "Last Monday" is behind us, any other Monday ahead.
    let days = if has("last") { if ahead == 0 { -7 } else { ahead - 7 } } else { ahead };
    shifted(days.days())
}

/// The day of this or a neighbouring year that is nearest to `today`.
fn nearest(month: i8, day: i8, today: Date) -> Option<Date> {
    let years = [today.year() - 1, today.year(), today.year() + 1];
    let days = years.into_iter().filter_map(|year| Date::new(year, month, day).ok());
    days.min_by_key(|date| today.until(*date).map_or(i32::MAX, |span| span.get_days().abs()))
}

/// An e-mail address, letters spelled or in words: "jo dot smith at example dot com".
pub fn email(text: &str) -> Option<String> {
    let written = text
        .split_whitespace()
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .find(|piece| is_email(piece));
    if written.is_some() {
        return written;
    }
    const BEFORE: &[&str] = &[
        "my", "email", "e-mail", "mail", "address", "is", "it", "it's", "its", "that's", "the", "yes", "no", "sure",
        "um", "uh", "okay", "so", "sorry", "i", "said", "spelled",
    ];
    // Apostrophes and dashes inside a word are kept; the rest of punctuation is pauses.
    let spoken: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '@').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let at = spoken.iter().rposition(|word| word == "at" || word == "@")?;
    let begin = spoken[..at].iter().take_while(|word| BEFORE.contains(&word.as_str())).count();
    let piece = |word: &String| match word.as_str() {
        "dot" | "point" | "period" => ".".to_owned(),
        "dash" | "hyphen" | "minus" => "-".to_owned(),
        "underscore" => "_".to_owned(),
        "plus" => "+".to_owned(),
        word => small(word).filter(|value| *value < 10).map_or_else(|| word.to_owned(), |value| value.to_string()),
    };
    let join = |words: &[String]| words.iter().map(piece).collect::<String>();
    let local = join(&spoken[begin..at]).replace("--", "-");
    // Letters spelled with dashes: "j-o".
    let spelled = local.split('-').all(|part| part.chars().count() == 1);
    let local = if spelled { local.replace('-', "") } else { local };
    // The address ends with the first word behind its last dot.
    let rest = &spoken[at + 1..];
    let last_dot = rest.iter().rposition(|word| word == "dot" || word == "point" || word.contains('.'))?;
    let end = if rest[last_dot].contains('.') { last_dot + 1 } else { (last_dot + 2).min(rest.len()) };
    let address = format!("{local}@{}", join(&rest[..end]));
    is_email(&address).then_some(address)
}

/// The shape of an address: no proof that it exists.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 120
        && !local.is_empty()
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(label)
        && domain.rsplit('.').next().is_some_and(|top| top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic()))
}
