//! How what a rule found is said: dates, money, telephone numbers, codes, addresses.

use super::numbers::{cardinal, cardinal_of, decimal, digits, grouped_digits, ordinal, year};
use super::words::{ABBREVIATIONS, CURRENCIES, Currency, MONTHS, NAMES_A_NUMBER, UNITS, WEEKDAYS, full_name};

/// Where a match stands: the text on both sides of it.
pub(super) struct Around<'a> {
    pub before: &'a str,
    pub after: &'a str,
}

pub(super) fn number(digits: &str) -> u64 {
    digits.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(u64::MAX)
}

pub(super) fn counted(number: &str, one: &str, several: &str) -> String {
    format!("{} {}", decimal(number), if number == "1" { one } else { several })
}

/// The stop an abbreviation had in common with its sentence.
pub(super) fn full_stop(matched: &str, around: &Around<'_>) -> &'static str {
    let ends = around.after.trim_start().chars().next().is_none_or(char::is_uppercase);
    if matched.ends_with('.') && ends { "." } else { "" }
}

pub(super) fn starts_lower_or_digit_or_month(after: &str) -> bool {
    let after = after.trim_start();
    after.starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit()) || full_name(&MONTHS, after).is_some()
}

// Dates and times.

pub(super) fn date(month: u64, day: u64, of_year: Option<u64>) -> Option<String> {
    let name = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if !(1..=31).contains(&day) {
        return None;
    }
    let said = format!("{name} {}", ordinal(day));
    Some(match of_year {
        Some(number) => format!("{said}, {}", year(number)),
        None => said,
    })
}

/// Month first, as Americans write it, unless only the other order is a date.
pub(super) fn slash_date(first: &str, second: &str, of_year: &str) -> Option<String> {
    let full = match of_year.len() {
        2 => 2_000 + number(of_year),
        _ => number(of_year),
    };
    let (first, second) = (number(first), number(second));
    date(first, second, Some(full)).or_else(|| date(second, first, Some(full)))
}

pub(super) fn month_date(month: &str, day: &str, last_day: Option<&str>, of_year: Option<&str>) -> Option<String> {
    let month = full_name(&MONTHS, month)?;
    let is_day = |day: &str| (1..=31).contains(&number(day));
    if !is_day(day) || last_day.is_some_and(|day| !is_day(day)) {
        return None;
    }
    let mut said = format!("{month} {}", ordinal(number(day)));
    if let Some(last) = last_day {
        said = format!("{said} to {}", ordinal(number(last)));
    }
    Some(match of_year {
        Some(number_) if (1_100..2_200).contains(&number(number_)) => format!("{said}, {}", year(number(number_))),
        Some(_) => return None,
        None => said,
    })
}

/// Whether the words before `3/4` make a day of it.
pub(super) fn is_about_a_day(before: &str) -> bool {
    let last = before.trim_end().rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_lowercase();
    ["on", "by", "until", "since", "before", "after", "from", "due", "till", "date", "through"].contains(&last.as_str())
        || full_name(&WEEKDAYS, &last).is_some_and(|day| day.to_lowercase().starts_with(&last))
}

pub(super) fn decade(digits: &str) -> Option<String> {
    let number = number(digits);
    if !number.is_multiple_of(10) || number < 10 {
        return None;
    }
    let said = if digits.len() == 4 { year(number) } else { cardinal(number) };
    Some(match said.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{said}s"),
    })
}

pub(super) fn clock(hour: u64, minute: u64, afternoon: Option<bool>) -> Option<String> {
    if hour > 24 || minute > 59 || afternoon.is_some() && !(1..=12).contains(&hour) && hour > 23 {
        return None;
    }
    let half = match afternoon {
        Some(pm) => Some(pm || hour > 12),
        None if hour == 0 || hour == 24 => Some(false),
        None if hour > 12 => Some(true),
        None => None,
    };
    let shown = match hour % 12 {
        0 => 12,
        hour => hour,
    };
    let minutes = match minute {
        0 => String::new(),
        1..10 => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    };
    Some(match half {
        Some(pm) => format!("{}{minutes} {}", cardinal(shown), if pm { "P M" } else { "A M" }),
        None if minute == 0 => format!("{} o'clock", cardinal(shown)),
        None => format!("{}{minutes}", cardinal(shown)),
    })
}

// Money and amounts.

pub(super) fn currency(mark: &str) -> Option<&'static Currency> {
    CURRENCIES.iter().find(|currency| currency.marks.contains(&mark))
}

pub(super) fn amount_words(amount: &str) -> String {
    decimal(amount.strip_suffix(".00").unwrap_or(amount))
}

pub(super) fn money(currency: &Currency, amount: &str, scale: Option<&str>) -> String {
    if let Some(scale) = scale {
        let scale = match scale {
            "k" | "K" => "thousand",
            "M" => "million",
            "B" | "bn" => "billion",
            word => word,
        };
        return format!("{} {scale} {}", decimal(amount), currency.several);
    }
    let (whole, part) = match amount.split_once('.') {
        Some((whole, part)) if part.len() == 2 => (whole, number(part)),
        Some(_) => return format!("{} {}", decimal(amount), currency.several),
        None => (amount, 0),
    };
    let main = counted_money(whole, currency);
    match (currency.part, part) {
        (_, 0) => main,
        (None, _) => format!("{} {}", decimal(amount), currency.several),
        (Some((one, several)), _) => {
            let part = format!("{} {}", cardinal(part), if part == 1 { one } else { several });
            if number(whole) == 0 { part } else { format!("{main} and {part}") }
        }
    }
}

fn counted_money(whole: &str, currency: &Currency) -> String {
    let whole = if whole.is_empty() { "0" } else { whole };
    format!("{} {}", cardinal_of(whole), if number(whole) == 1 { currency.one } else { currency.several })
}

/// Whether what stands before a slash is a price or an amount, so that the slash is `per`.
pub(super) fn is_rate(before: &str) -> bool {
    let last = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or("");
    let unit = last.trim_start_matches(|c: char| c.is_ascii_digit() || ".,-".contains(c));
    last.starts_with(['$', '€', '£', '¥', '₹'])
        || last.ends_with(['€', '£'])
        || (unit.len() < last.len() && UNITS.iter().any(|(symbol, ..)| *symbol == unit))
        || UNITS.iter().any(|(symbol, ..)| *symbol == last)
            && before
                .trim_end()
                .rsplit(char::is_whitespace)
                .nth(1)
                .is_some_and(|word| word.ends_with(|c: char| c.is_ascii_digit()))
        || currency(last).is_some()
}

/// Beside a whole number 1/2 is `a half`, alone `one half`.
pub(super) fn fraction(top: u64, bottom: u64, beside_whole: bool) -> Option<String> {
    if top == 0 || bottom < 2 || top >= bottom || bottom > 100 {
        return None;
    }
    let part = match bottom {
        2 => "half".to_owned(),
        4 => "quarter".to_owned(),
        _ => ordinal(bottom),
    };
    Some(match top {
        1 if beside_whole => format!("a {part}"),
        1 => format!("one {part}"),
        _ => format!("{} {part}s", cardinal(top)),
    })
}

// Names made of numbers.

pub(super) fn phone(text: &str) -> Option<String> {
    let count = text.chars().filter(char::is_ascii_digit).count();
    if !(7..=15).contains(&count) {
        return None;
    }
    let groups: Vec<String> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).map(grouped_digits).collect();
    let plus = if text.starts_with('+') { "plus " } else { "" };
    Some(format!("{plus}{}", groups.join(", ")))
}

pub(super) fn version(named: bool, numbers: &str) -> String {
    let parts: Vec<String> = numbers.split('.').map(cardinal_of).collect();
    format!("{}{}", if named { "version " } else { "" }, parts.join(" point "))
}

/// Digits that name something: short ones as a number, others digit by digit.
pub(super) fn named(digits_: &str) -> String {
    if digits_.len() < 4 && !digits_.starts_with('0') { cardinal_of(digits_) } else { grouped_digits(digits_) }
}

pub(super) fn plain_number(number_: &str, before: &str) -> String {
    let plain = number_.chars().all(|c| c.is_ascii_digit());
    if !plain {
        return decimal(number_);
    }
    let names = || {
        let words = before.trim_end_matches(|c: char| !c.is_alphabetic()).rsplit(|c: char| !c.is_alphabetic());
        words
            .take(2)
            .map(str::to_lowercase)
            .find(|word| !matches!(word.as_str(), "is" | "no" | "was" | "your" | "the"))
            .is_some_and(|word| NAMES_A_NUMBER.contains(&word.as_str()))
    };
    let value = number(number_);
    let after_year_word = || {
        let last = before.trim_end().rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or("").to_lowercase();
        ["in", "since", "from", "until", "year", "of", "by", "before", "after"].contains(&last.as_str())
    };
    match number_.len() {
        len if len > 1 && number_.starts_with('0') => grouped_digits(number_),
        len if len >= 10 => grouped_digits(number_),
        4.. if names() => grouped_digits(number_),
        4 if (1_900..2_100).contains(&value) || (1_100..1_900).contains(&value) && after_year_word() => year(value),
        _ => cardinal_of(number_),
    }
}

/// Letters and digits mixed, as in order numbers and product names. `None` for words and for plain numbers.
pub(super) fn code(text: &str) -> Option<String> {
    let has_digit = text.chars().any(|c| c.is_ascii_digit());
    let has_letter = text.chars().any(|c| c.is_ascii_alphabetic());
    if !has_digit || !has_letter {
        return None;
    }
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let has_word = parts.iter().any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_lowercase()));
    let said: Vec<String> = parts
        .iter()
        .flat_map(|part| runs(part).into_iter().map(|run| (part.len(), run)))
        .map(|(part, run)| match run.parse::<u64>() {
            // mid-2026
            Ok(number) if has_word && run.len() == 4 && (1_900..2_100).contains(&number) => year(number),
            Ok(_) if run.len() > 2 || run.starts_with('0') => grouped_digits(run),
            Ok(number) => cardinal(number),
            Err(_) => code_letters(run, part == run.len()),
        })
        .collect();
    Some(said.join(" "))
}

/// Digits and letters of `part`, which has nothing else, run by run.
fn runs(part: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = part;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        runs.push(run);
        rest = behind;
    }
    runs
}

/// Small letters are a word when they stand alone or are many; capitals are spelled.
fn code_letters(run: &str, alone: bool) -> String {
    let small = run.chars().skip(1).all(|c| c.is_ascii_lowercase());
    let all_small = small && run.chars().all(|c| c.is_ascii_lowercase());
    if run.len() >= 3 && small || alone && run.len() == 2 && all_small || run == "COVID" {
        return run.to_owned();
    }
    spelled(run)
}

fn spelled(letters: &str) -> String {
    let names: Vec<String> = letters.chars().map(|c| c.to_ascii_uppercase().to_string()).collect();
    names.join(" ")
}

/// E-mail and web addresses, part by part.
pub(super) fn address(text: &str) -> String {
    let trimmed = text.trim_end_matches(|c: char| ".,;:!?)'\"".contains(c));
    let stop: String = text[trimmed.len()..].chars().filter(|c| ".,;:!?".contains(*c)).take(1).collect();
    let lower = trimmed.to_lowercase();
    let bare = ["https://", "http://", "www."]
        .iter()
        .fold(lower.as_str(), |rest, start| rest.strip_prefix(start).unwrap_or(rest));
    let bare = bare.split(['?', '#']).next().unwrap_or(bare).trim_end_matches('/');
    let mut said = String::new();
    let mut part = String::new();
    let flush = |part: &mut String, said: &mut String| {
        if !part.is_empty() {
            said.push(' ');
            said.push_str(&address_part(part));
            part.clear();
        }
    };
    for c in bare.chars() {
        let word = match c {
            '.' => "dot",
            '@' => "at",
            '/' => "slash",
            '-' => "dash",
            '_' => "underscore",
            '+' => "plus",
            ':' => "colon",
            '~' => "tilde",
            '%' => "percent",
            '=' => "equals",
            '&' => "and",
            _ if c.is_alphanumeric() => {
                part.push(c);
                continue;
            }
            _ => "",
        };
        flush(&mut part, &mut said);
        said.push(' ');
        said.push_str(word);
    }
    flush(&mut part, &mut said);
    said + &stop
}

fn address_part(part: &str) -> String {
    match part {
        "io" | "uk" | "us" | "eu" | "tv" | "ai" | "de" | "fr" | "pl" | "nl" => spelled(part),
        _ => {
            let said: Vec<String> = runs(part)
                .into_iter()
                .map(|run| if run.starts_with(|c: char| c.is_ascii_digit()) { digits(run) } else { run.to_owned() })
                .collect();
            said.join(" ")
        }
    }
}

// Abbreviations.

pub(super) fn abbreviation(text: &str, around: &Around<'_>) -> Option<String> {
    let (short, long, may_end) = ABBREVIATIONS.iter().find(|(short, ..)| *short == text)?;
    if *short == "w/"
        && !around.after.starts_with([' ', 'a', 'e', 'i', 'o', 'u'])
        && around.after.starts_with(char::is_alphanumeric)
    {
        return Some(format!("{long} "));
    }
    let stop = if *may_end || around.after.trim().is_empty() { full_stop(text, around) } else { "" };
    Some(format!("{long}{stop}"))
}

/// "St." and "Dr." before a name or after one.
pub(super) fn saint_or_street(short: &str, around: &Around<'_>) -> String {
    let begins_upper = |word: Option<&str>| word.is_some_and(|word| word.starts_with(char::is_uppercase));
    let mut words_before = around.before.split_whitespace().rev();
    let (previous, earlier) = (words_before.next(), words_before.next());
    let after_name = begins_upper(previous)
        && earlier.is_some()
        && !previous.is_some_and(|word| word.ends_with([',', '.', '!', '?']));
    let before_name = begins_upper(around.after.split_whitespace().next());
    let is_road = match short {
        "St" => after_name,
        _ => after_name && !before_name,
    };
    let word = match (short, is_road) {
        ("St", true) => "Street",
        ("St", false) => "Saint",
        (_, true) => "Drive",
        (_, false) => "Doctor",
    };
    let ends = is_road && (before_name || around.after.trim().is_empty());
    format!("{word}{}", if ends { "." } else { "" })
}
