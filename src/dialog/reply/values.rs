//! Numbers of a text by value and unit, and the addresses in it.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::dialog::words::{TENS, UNITS};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Nothing said.
    Plain,
    Money,
    Percent,
    /// Minutes; hours, days and weeks are made of them.
    Span,
    /// Months; years are made of them.
    Months,
    /// A time of day, minutes after midnight.
    Clock,
    /// The same without morning or evening.
    HalfClock,
}

/// A number that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// Hundredths of what was said, for comparing with numbers without a unit.
    said: i64,
    unit: Unit,
    /// Hundredths of the unit.
    amount: i64,
}

impl Value {
    fn same(self, other: Self) -> bool {
        const HALF_DAY: i64 = 12 * 60 * 100;
        match (self.unit, other.unit) {
            (Unit::Clock | Unit::HalfClock, Unit::HalfClock) | (Unit::HalfClock, Unit::Clock) => {
                self.amount.rem_euclid(HALF_DAY) == other.amount.rem_euclid(HALF_DAY)
            }
            (a, b) if a == b => self.amount == other.amount,
            (Unit::Plain, _) | (_, Unit::Plain) => self.said == other.said,
            _ => false,
        }
    }
}

/// One number as it may be read: "four ninety" is 4.90, or 4 and 90.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// As written.
    pub text: String,
    /// Each of these sets alone explains it.
    ways: Vec<Vec<Value>>,
}

impl Reading {
    /// Every value it may mean.
    pub fn all(self) -> impl Iterator<Item = Value> {
        self.ways.into_iter().flatten()
    }

    pub fn backed_by(&self, known: &[Value]) -> bool {
        self.ways.iter().any(|way| way.iter().all(|value| known.iter().any(|other| value.same(*other))))
    }
}

/// E-mail addresses, links and telephone numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    addresses: HashSet<String>,
    /// Digits only.
    numbers: HashSet<String>,
}

static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)[\w.+-]+@[\w-]+(?:\.[\w-]+)+").expect("a constant pattern"));
/// "help at larkfield dot com".
static SPOKEN_EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b([\w+-]+(?: dot [\w-]+)*) at ([\w-]+(?: dot [\w-]+)+)\b").expect("a constant pattern")
});
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:https?://|www\.)\S+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|shop|store|example|co|us|uk|eu|info|biz)\b(?:/\S*)?")
        .expect("a constant pattern")
});
/// Seven digits or more, with what people put between them.
static PHONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\+?\(?\d(?:[ ().\-/]{0,2}\d){6,}").expect("a constant pattern"));

impl Contacts {
    /// Notes the contacts of `text` and gives the text without them.
    pub fn take(&mut self, text: &str) -> String {
        let spoken = SPOKEN_EMAIL.replace_all(text, |found: &regex::Captures<'_>| {
            format!("{}@{}", found[1].replace(" dot ", "."), found[2].replace(" dot ", "."))
        });
        let mut rest = digit_words(&spoken);
        for pattern in [&*EMAIL, &*LINK] {
            for found in pattern.find_iter(&rest) {
                let plain = found.as_str().to_lowercase();
                let plain =
                    plain.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
                self.addresses.insert(plain.trim_end_matches(['/', '.', ',', '!', '?', ')']).to_owned());
            }
            rest = pattern.replace_all(&rest, " ").into_owned();
        }
        for found in PHONE.find_iter(&rest) {
            self.numbers.insert(found.as_str().chars().filter(char::is_ascii_digit).collect());
        }
        PHONE.replace_all(&rest, " ").into_owned()
    }

    /// The first contact that is not among `known`. A local part of a known number is known.
    pub fn strange_to(&self, known: &Self) -> Option<String> {
        let address = self.addresses.iter().find(|address| {
            // The shop's domain alone is no news when its e-mail address is known.
            !known.addresses.contains(*address)
                && !known.addresses.iter().any(|one| one.ends_with(&format!("@{address}")))
        });
        let number =
            || self.numbers.iter().find(|number| !known.numbers.iter().any(|one| one.ends_with(number.as_str())));
        address.or_else(number).cloned()
    }
}

/// Five single digits or more in words, as a phone number is read out, written as digits.
fn digit_words(text: &str) -> String {
    const DIGITS: [(&str, char); 11] = [
        ("zero", '0'),
        ("oh", '0'),
        ("one", '1'),
        ("two", '2'),
        ("three", '3'),
        ("four", '4'),
        ("five", '5'),
        ("six", '6'),
        ("seven", '7'),
        ("eight", '8'),
        ("nine", '9'),
    ];
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let mut raw = String::new();
    let flush = |run: &mut String, raw: &mut String, out: &mut String| {
        out.push_str(if run.len() >= 5 { run } else { raw.trim_end() });
        if !run.is_empty() {
            out.push(' ');
        }
        run.clear();
        raw.clear();
    };
    for word in text.split_whitespace() {
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let digit = DIGITS.iter().find(|(name, _)| *name == plain).map(|(_, digit)| *digit);
        let digit = digit.or_else(|| plain.chars().next().filter(|c| plain.len() == 1 && c.is_ascii_digit()));
        if let Some(digit) = digit {
            run.push(digit);
            raw.push_str(word);
            raw.push(' ');
        }
        // A full stop or comma ends a run of digits unless more of them follow.
        if digit.is_none() {
            flush(&mut run, &mut raw, &mut out);
            out.push_str(word);
            out.push(' ');
        }
    }
    flush(&mut run, &mut raw, &mut out);
    out
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    number: Option<Number>,
}

#[derive(Clone, Copy, Debug)]
struct Number {
    /// Hundredths.
    value: i64,
    money: bool,
    percent: bool,
    /// `8:30`, in minutes after midnight.
    clock: Option<i64>,
    /// Written as a word: "one" alone counts nothing.
    word: bool,
}

/// The numbers of `text`, contacts taken out before.
pub(super) fn values(text: &str) -> Vec<Reading> {
    let tokens = join_words(&tokens(text));
    let mut readings: Vec<Reading> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let Some(number) = tokens[i].number else {
            readings.extend(noon(&tokens[i].text));
            i += 1;
            continue;
        };
        let (reading, next) = read(&tokens, i, number);
        readings.extend(reading);
        i = next.max(i + 1);
    }
    readings
}

fn noon(word: &str) -> Option<Reading> {
    let minutes = match word {
        "noon" | "midday" => 12 * 60,
        "midnight" => 0,
        _ => return None,
    };
    let value = Value { said: 1_200, unit: Unit::Clock, amount: minutes * 100 };
    Some(Reading { text: word.to_owned(), ways: vec![vec![value]] })
}

/// The number at `i` with its unit; none for a "one" that counts nothing; and where to go on.
fn read(tokens: &[Token], i: usize, number: Number) -> (Option<Reading>, usize) {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let text = |end: usize| {
        tokens[i..end.min(tokens.len())].iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
    };
    let one = |unit: Unit, amount: i64| vec![vec![Value { said: number.value, unit, amount }]];
    if let Some(minutes) = number.clock {
        let (half, end) = day_half(tokens, i + 1);
        let value = clock_value(number.value, minutes, half);
        return (Some(Reading { text: text(end), ways: vec![vec![value]] }), end);
    }
    if number.money {
        return (Some(Reading { text: text(i + 1), ways: one(Unit::Money, number.value) }), i + 1);
    }
    if number.percent || is_percent(word(i + 1)) {
        let end = i + 1 + usize::from(!number.percent);
        return (Some(Reading { text: text(end), ways: one(Unit::Percent, number.value) }), end);
    }
    if ["dollar", "dollars", "bucks", "euro", "euros", "pound", "pounds"].contains(&word(i + 1)) {
        return money(tokens, i, number);
    }
    if ["cent", "cents"].contains(&word(i + 1)) {
        return (Some(Reading { text: text(i + 2), ways: one(Unit::Money, number.value / 100) }), i + 2);
    }
    let hour = number.value / 100;
    if number.value % 100 == 0 && (0..=24).contains(&hour) {
        let (half, end) = day_half(tokens, i + 1);
        if half.is_some() || word(i + 1) == "o'clock" {
            let value = clock_value(number.value, hour * 60, half);
            return (Some(Reading { text: text(end.max(i + 2)), ways: vec![vec![value]] }), end.max(i + 2));
        }
    }
    if let Some((unit, factor, end)) = span_unit(tokens, i + 1) {
        let value = Value { said: number.value, unit, amount: number.value * factor };
        return (Some(Reading { text: text(end), ways: vec![vec![value]] }), end);
    }
    // "3 to 5 working days", "from 8 to 10 am": the first number has the second one's unit.
    if ["to", "or", "and", "until", "till", "through", "-"].contains(&word(i + 1))
        && let Some(other) = tokens.get(i + 2).and_then(|token| token.number)
    {
        if let Some((unit, factor, _)) = span_unit(tokens, i + 3) {
            let value = Value { said: number.value, unit, amount: number.value * factor };
            return (Some(Reading { text: text(i + 1), ways: vec![vec![value]] }), i + 1);
        }
        if other.money || ["dollars", "bucks"].contains(&word(i + 3)) {
            return (Some(Reading { text: text(i + 1), ways: one(Unit::Money, number.value) }), i + 1);
        }
        if other.percent || is_percent(word(i + 3)) {
            return (Some(Reading { text: text(i + 1), ways: one(Unit::Percent, number.value) }), i + 1);
        }
    }
    // "four ninety": a price said short, or two numbers.
    let plain = Value { said: number.value, unit: Unit::Plain, amount: number.value };
    if number.word
        && number.value < 10_000
        && let Some(next) = tokens.get(i + 1).and_then(|token| token.number)
        && next.word
        && (1_000..10_000).contains(&next.value)
    {
        let joined = number.value + next.value / 100;
        let price = Value { said: joined, unit: Unit::Money, amount: joined };
        let other = Value { said: next.value, unit: Unit::Plain, amount: next.value };
        return (Some(Reading { text: text(i + 2), ways: vec![vec![price], vec![plain, other]] }), i + 2);
    }
    if number.word && number.value == 100 {
        return (None, i + 1);
    }
    (Some(Reading { text: text(i + 1), ways: vec![vec![plain]] }), i + 1)
}

/// "4 dollars 90", "four dollars and ninety cents".
fn money(tokens: &[Token], i: usize, number: Number) -> (Option<Reading>, usize) {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut at = i + 2;
    if word(at) == "and" {
        at += 1;
    }
    let cents = tokens.get(at).and_then(|token| token.number).filter(|cents| {
        (100..10_000).contains(&cents.value) && (["cent", "cents"].contains(&word(at + 1)) || word(i + 2) != "and")
    });
    let (amount, end) = match cents {
        Some(cents) if span_unit(tokens, at + 1).is_none() => {
            (number.value + cents.value / 100, at + 1 + usize::from(word(at + 1).starts_with("cent")))
        }
        _ => (number.value, i + 2),
    };
    let text = tokens[i..end.min(tokens.len())].iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
    (Some(Reading { text, ways: vec![vec![Value { said: amount, unit: Unit::Money, amount }]] }), end)
}

fn is_percent(word: &str) -> bool {
    ["percent", "%", "per-cent"].contains(&word)
}

/// Morning or afternoon after a time: some(true) is afternoon; and where it ends.
fn day_half(tokens: &[Token], i: usize) -> (Option<bool>, usize) {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let i = i + usize::from(word(i) == "o'clock");
    match (word(i), word(i + 1), word(i + 2)) {
        ("am" | "a.m", ..) => (Some(false), i + 1),
        ("pm" | "p.m", ..) => (Some(true), i + 1),
        ("in", "the", "morning") => (Some(false), i + 3),
        ("in", "the", "afternoon" | "evening") => (Some(true), i + 3),
        ("at", "night", _) => (Some(true), i + 2),
        _ => (None, i),
    }
}

fn clock_value(said: i64, minutes: i64, half: Option<bool>) -> Value {
    const NOON: i64 = 12 * 60;
    let (unit, minutes) = match half {
        Some(true) if minutes < NOON => (Unit::Clock, minutes + NOON),
        Some(false) if (NOON..NOON + 60).contains(&minutes) => (Unit::Clock, minutes - NOON),
        Some(_) => (Unit::Clock, minutes),
        // 13:00 and later say which half they are in.
        None if minutes >= NOON + 60 => (Unit::Clock, minutes),
        None => (Unit::HalfClock, minutes),
    };
    Value { said, unit, amount: minutes * 100 }
}

/// A unit of time at `i`, words such as "working" skipped: its kind, how many of the kind's units it is, and its end.
fn span_unit(tokens: &[Token], i: usize) -> Option<(Unit, i64, usize)> {
    let mut at = i;
    while tokens.get(at).is_some_and(|token| {
        ["working", "business", "calendar", "full", "more", "whole", "further", "monthly"]
            .contains(&token.text.as_str())
    }) && at < i + 2
    {
        at += 1;
    }
    let (unit, factor) = match tokens.get(at)?.text.trim_end_matches('s') {
        "minute" | "min" => (Unit::Span, 1),
        "hour" => (Unit::Span, 60),
        "day" => (Unit::Span, 24 * 60),
        "week" => (Unit::Span, 7 * 24 * 60),
        "month" => (Unit::Months, 1),
        "year" => (Unit::Months, 12),
        _ => return None,
    };
    Some((unit, factor, at + 1))
}

/// Lower-case words and figures, hyphens between words undone.
fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    for raw in text.split(|c: char| c.is_whitespace() || matches!(c, '—' | '–' | '…' | '"' | '“' | '”')) {
        // "24-hour", "two-week", "3-5": parts of their own.
        for part in raw.split('-') {
            let word = part.to_lowercase().replace('’', "'");
            let word = word.trim_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '$' | '€' | '£' | '%')));
            if !word.is_empty() {
                out.extend(figure(word));
            }
        }
        if raw.contains(['—', '–']) {
            out.push(Token { text: "-".to_owned(), number: None });
        }
    }
    out
}

/// A word as one token, or two for `8am`.
fn figure(word: &str) -> Vec<Token> {
    let plain = |text: &str, number: Option<Number>| Token { text: text.to_owned(), number };
    if !word.contains(|c: char| c.is_ascii_digit()) {
        return vec![plain(word, None)];
    }
    for suffix in ["am", "pm", "a.m", "p.m"] {
        if let Some(number) = word.strip_suffix(suffix).and_then(digits) {
            return vec![plain(word, Some(number)), plain(suffix, None)];
        }
    }
    let ordinal = ["st", "nd", "rd", "th"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
    match digits(ordinal) {
        Some(number) => vec![plain(word, Some(number))],
        // 24/7, A4, 10x: each run of digits counts.
        None => word
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(digits)
            .map(|number| plain(word, Some(number)))
            .collect(),
    }
}

fn digits(word: &str) -> Option<Number> {
    let money = word.starts_with(['$', '€', '£']) || word.ends_with(['€', '£', '$']);
    let percent = word.ends_with('%');
    let bare = word.trim_matches(|c| matches!(c, '$' | '€' | '£' | '%'));
    if let Some((hours, minutes)) = bare.split_once(':') {
        let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
        let valid = (0..=24).contains(&hours) && (0..60).contains(&minutes);
        return valid.then_some(Number {
            value: hours * 100,
            money: false,
            percent: false,
            clock: Some(hours * 60 + minutes),
            word: false,
        });
    }
    if bare.is_empty() || bare.len() > 15 || !bare.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        return None;
    }
    let (whole, part) = match bare.rsplit_once('.') {
        Some((whole, part)) => (whole, part),
        None => (bare, ""),
    };
    let whole: i64 = whole.replace([',', '.'], "").parse().ok()?;
    let part: i64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    Some(Number { value: whole.checked_mul(100)?.checked_add(part)?, money, percent, clock: None, word: false })
}

/// "one hundred and twenty five" becomes one token.
fn join_words(tokens: &[Token]) -> Vec<Token> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        match cardinal(&tokens[i..]) {
            Some((value, len)) => {
                let text = tokens[i..i + len].iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
                let number = Number { value: value * 100, money: false, percent: false, clock: None, word: true };
                out.push(Token { text, number: Some(number) });
                i += len;
            }
            None => {
                out.push(tokens[i].clone());
                i += 1;
            }
        }
    }
    out
}

/// A number in words at the start of `tokens`, and how many of them it takes.
fn cardinal(tokens: &[Token]) -> Option<(i64, usize)> {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let (mut total, mut group, mut at) = (0i64, 0i64, 0);
    let mut last = Scale::None;
    // "a hundred", "a dozen".
    if word(0) == "a" && ["hundred", "thousand", "dozen"].contains(&word(1)) {
        group = 1;
        last = Scale::Unit;
        at = 1;
    }
    loop {
        let current = word(at);
        if let Some(unit) = unit(current) {
            if !matches!(last, Scale::None | Scale::Ten | Scale::Hundred | Scale::Thousand)
                || (last == Scale::Ten && unit > 9)
            {
                break;
            }
            group += unit;
            last = Scale::Unit;
        } else if let Some(ten) = ten(current) {
            if !matches!(last, Scale::None | Scale::Hundred | Scale::Thousand) {
                break;
            }
            group += ten;
            last = Scale::Ten;
        } else if current == "hundred" && last == Scale::Unit {
            group *= 100;
            last = Scale::Hundred;
        } else if current == "dozen" && matches!(last, Scale::Unit) {
            group *= 12;
            at += 1;
            break;
        } else if current == "thousand" && last != Scale::None && last != Scale::Thousand {
            total += group * 1_000;
            group = 0;
            last = Scale::Thousand;
        } else if current == "and"
            && matches!(last, Scale::Hundred | Scale::Thousand)
            && (unit(word(at + 1)).is_some() || ten(word(at + 1)).is_some())
        {
            // Joins, counts nothing itself.
        } else {
            break;
        }
        at += 1;
    }
    (last != Scale::None).then_some((total + group, at))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    None,
    Unit,
    Ten,
    Hundred,
    Thousand,
}

fn unit(word: &str) -> Option<i64> {
    UNITS.iter().position(|unit| *unit == word).map(|value| value as i64)
}

fn ten(word: &str) -> Option<i64> {
    TENS.iter().position(|ten| *ten == word).map(|value| (value as i64 + 2) * 10)
}
