//! The rules: a pattern at the start of a word, and how it is said. The first that fits is taken.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::numbers::{cardinal, cardinal_of, decimal, ordinal, year};
use super::readings::{
    Around, abbreviation, address, amount_words, clock, code, counted, currency, date, decade, fraction, full_stop,
    is_about_a_day, is_rate, money, month_date, named, number, phone, plain_number, saint_or_street, slash_date,
    starts_lower_or_digit_or_month, version,
};
use super::words::{DOMAINS, MONTHS, PER, SYMBOLS, UNITS, WEEKDAYS, full_name};

/// `None`: the pattern fits, but it is not this after all.
type Say = fn(&Captures<'_>, &Around<'_>) -> Option<String>;

struct Rule {
    pattern: Regex,
    say: Say,
}

const NUMBER: &str = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)";
const MONTH: &str = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)";
const DAY: &str =
    r"(?:Mon(?:day)?|Tue(?:s(?:day)?)?|Wed(?:nesday)?|Thu(?:r(?:s(?:day)?)?)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)";
const DASH: &str = r"\s?[-–—]\s?";
const MARK: &str = r"(?:US\$|CA\$|A\$|[$€£¥₹])";
const CODE: &str = r"(?:USD|EUR|GBP|PLN|CHF|CAD|AUD|JPY|INR|€|£|\$|zł)";
const SCALE: &str = r"(?:thousand|million|billion|trillion|bn|[kKMB])";

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let units: Vec<String> = UNITS.iter().map(|(symbol, ..)| regex::escape(symbol)).collect();
    let units = units.join("|");
    let patterns: Vec<(String, Say)> = vec![
        // Addresses.
        (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+".to_owned(), |m, _| Some(address(&m[0]))),
        (r#"(?i:https?://|www\.)[^\s<>"]+"#.to_owned(), |m, _| Some(address(&m[0]))),
        (format!(r"(?i:(?:[a-z0-9][a-z0-9-]*\.)+(?:{DOMAINS}))(?:/[^\s<>]*)?"), |m, _| Some(address(&m[0]))),
        // Dates.
        (r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?".to_owned(), |m, _| {
            let date = date(number(&m[2]), number(&m[3]), Some(number(&m[1])))?;
            Some(format!("{date}, {}", clock(number(&m[4]), number(&m[5]), None)?))
        }),
        (r"(\d{4})[-/.](\d{2})[-/.](\d{2})".to_owned(), |m, _| date(number(&m[2]), number(&m[3]), Some(number(&m[1])))),
        (r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})".to_owned(), |m, _| slash_date(&m[1], &m[2], &m[3])),
        (r"(\d{1,2})\.(\d{1,2})\.(\d{4})".to_owned(), |m, _| slash_date(&m[2], &m[1], &m[3])),
        (
            format!(
                r"({MONTH})\.?\s(\d{{1,2}})(?:st|nd|rd|th)?(?:{DASH}(\d{{1,2}})(?:st|nd|rd|th)?)?(?:,?\s(\d{{4}}))?"
            ),
            |m, _| month_date(&m[1], &m[2], m.get(3).map(|day| day.as_str()), m.get(4).map(|year| year.as_str())),
        ),
        (
            format!(
                r"(\d{{1,2}})(?:st|nd|rd|th)?(?:{DASH}(\d{{1,2}})(?:st|nd|rd|th)?)?\s(?:of\s)?({MONTH})\.?(?:,?\s(\d{{4}}))?"
            ),
            |m, _| month_date(&m[3], &m[1], m.get(2).map(|day| day.as_str()), m.get(4).map(|year| year.as_str())),
        ),
        (format!(r"({MONTH})\.?,?\s(\d{{4}})"), |m, _| {
            let month = full_name(&MONTHS, &m[1])?;
            (1_100..2_200).contains(&number(&m[2])).then(|| format!("{month} {}", year(number(&m[2]))))
        }),
        (format!(r"({DAY})\.?{DASH}({DAY})\.?"), |m, around| {
            let (from, to) = (full_name(&WEEKDAYS, &m[1])?, full_name(&WEEKDAYS, &m[2])?);
            Some(format!("{from} to {to}{}", full_stop(&m[0], around)))
        }),
        (format!(r"({DAY})(\.|,)"), |m, around| {
            let day = full_name(&WEEKDAYS, &m[1])?;
            // "Sat," and "Sun." are words too, but rarely with a comma or a stop that another word follows.
            (m[1].len() <= 5 && starts_lower_or_digit_or_month(around.after)).then(|| format!("{day},"))
        }),
        (format!(r"({MONTH})\."), |m, around| {
            let month = full_name(&MONTHS, &m[1])?;
            (m[1].len() <= 4 && month.len() > m[1].len()).then(|| format!("{month}{}", full_stop(&m[0], around)))
        }),
        // Times.
        (r"(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s?([AaPp])(?:\.[Mm]\.|[Mm])".to_owned(), |m, around| {
            let minutes = m.get(2).map_or(0, |minutes| number(minutes.as_str()));
            let said = clock(number(&m[1]), minutes, Some(m[3].eq_ignore_ascii_case("p")))?;
            Some(format!("{said}{}", full_stop(&m[0], around)))
        }),
        (r"([01]?\d|2[0-4]):([0-5]\d)(?::[0-5]\d)?".to_owned(), |m, _| clock(number(&m[1]), number(&m[2]), None)),
        (r"(\d+):(\d+)".to_owned(), |m, _| Some(format!("{} to {}", cardinal_of(&m[1]), cardinal_of(&m[2])))),
        ("24/7".to_owned(), |_, _| Some("twenty-four seven".to_owned())),
        // Telephone numbers.
        (r"\+\d{1,3}(?:[\s.-]?\(?\d{1,5}\)?){1,5}".to_owned(), |m, _| phone(&m[0])),
        (r"(?:1[\s.-])?\(\d{3,5}\)\s?\d{3,4}(?:[\s.-]?\d{3,4})?".to_owned(), |m, _| phone(&m[0])),
        (r"(?:1[\s.-])?\d{3}[\s.-]\d{3}[\s.-]\d{4}".to_owned(), |m, _| phone(&m[0])),
        (r"\d{3}-\d{4}".to_owned(), |m, _| phone(&m[0])),
        (r"0\d{2,4}[\s-]\d{2,4}(?:[\s-]\d{2,4}){0,3}".to_owned(), |m, _| phone(&m[0])),
        // Versions and addresses of machines.
        (r"([vV]\.?\s?)?(\d+(?:\.\d+){2,})".to_owned(), |m, _| Some(version(m.get(1).is_some(), &m[2]))),
        (r"[vV](\d+(?:\.\d+)?)".to_owned(), |m, _| Some(version(true, &m[1]))),
        // Money.
        (format!(r"({MARK})\s?({NUMBER}){DASH}{MARK}?\s?({NUMBER})(?:\s?({SCALE}))?"), |m, _| {
            let scale = m.get(4).map(|scale| scale.as_str());
            let (from, to) = (amount_words(&m[2]), money(currency(&m[1])?, &m[3], scale));
            Some(format!("{from} to {to}"))
        }),
        (format!(r"({MARK})\s?({NUMBER})(?:\s?({SCALE}))?"), |m, _| {
            Some(money(currency(&m[1])?, &m[2], m.get(3).map(|scale| scale.as_str())))
        }),
        (format!(r"({NUMBER})(?:\s?({SCALE}))?\s?({CODE})"), |m, _| {
            Some(money(currency(&m[3])?, &m[1], m.get(2).map(|scale| scale.as_str())))
        }),
        (format!(r"({MARK})\s?(\d+),(\d{{2}})|(\d+),(\d{{2}})\s?({CODE})"), |m, around| {
            let part = |nth: usize| m.get(nth).map(|part| part.as_str());
            let (mark, whole, cents) = match part(1) {
                Some(mark) => (mark, part(2)?, part(3)?),
                None => (part(6)?, part(4)?, part(5)?),
            };
            let is_thousands = around.after.starts_with(|c: char| c.is_ascii_digit());
            (!is_thousands).then_some(money(currency(mark)?, &format!("{whole}.{cents}"), None))
        }),
        (r"(\d+)\s?¢".to_owned(), |m, _| Some(counted(&m[1], "cent", "cents"))),
        // Shares, places, decades, fractions, sizes.
        (format!(r"({NUMBER})\s?%"), |m, _| Some(format!("{} percent", decimal(&m[1])))),
        (r"(\d{1,9})(?:st|nd|rd|th|ST|ND|RD|TH)".to_owned(), |m, _| Some(ordinal(number(&m[1])))),
        (r"'?(\d{2}|\d{4})'?s".to_owned(), |m, _| decade(&m[1])),
        (r"(\d+)\s(\d{1,2})/(\d{1,3})".to_owned(), |m, _| {
            Some(format!("{} and {}", cardinal_of(&m[1]), fraction(number(&m[2]), number(&m[3]), true)?))
        }),
        (r"(\d{1,4})/(\d{1,4})".to_owned(), |m, around| {
            let (first, second) = (number(&m[1]), number(&m[2]));
            let dated = if is_about_a_day(around.before) { date(first, second, None) } else { None };
            dated
                .or_else(|| fraction(first, second, false))
                .or_else(|| Some(format!("{} over {}", cardinal(first), cardinal(second))))
        }),
        (format!(r"({NUMBER})\s?[x×*]\s?({NUMBER})(?:\s?[x×*]\s?({NUMBER}))?"), |m, _| {
            let parts: Vec<String> = m.iter().skip(1).flatten().map(|part| decimal(part.as_str())).collect();
            let word = if m[0].contains('*') { " times " } else { " by " };
            Some(parts.join(word))
        }),
        // Counted things.
        (format!(r"({NUMBER})(\s|-)?({units})"), |m, _| {
            let (_, one, several) = UNITS.iter().find(|(symbol, ..)| *symbol == &m[3])?;
            // "5-km run" and "5 s" are fine, "2 l" too; a capital L, V or W apart from its number is a name.
            let apart = m.get(2).is_some();
            if apart && matches!(&m[3], "L" | "V" | "W") {
                return None;
            }
            let one_only = m.get(2).is_some_and(|between| between.as_str() == "-");
            Some(if one_only { format!("{} {one}", decimal(&m[1])) } else { counted(&m[1], one, several) })
        }),
        (r"(\d{1,3})k".to_owned(), |m, _| Some(format!("{} thousand", cardinal_of(&m[1])))),
        (r"(?:#|No\.\s?|no\.\s?|№\s?)(\d+)".to_owned(), |m, _| Some(format!("number {}", named(&m[1])))),
        (r"/\s?([A-Za-z]+)".to_owned(), |m, around| {
            let word = PER.iter().find(|(short, _)| *short == &m[1]).map_or(&m[1], |(_, word)| *word);
            is_rate(around.before).then(|| format!("per {word}"))
        }),
        // Codes.
        (r"[A-Za-z0-9]+(?:[-_/.][A-Za-z0-9]+)*".to_owned(), |m, _| code(&m[0])),
        // Plain numbers.
        (r"[-−](\d+(?:\.\d+)?)".to_owned(), |m, around| {
            let apart = around.before.is_empty() || around.before.ends_with([' ', '(', ':', '=']);
            apart.then(|| format!("minus {}", decimal(&m[1])))
        }),
        (format!(r"({NUMBER})\+"), |m, _| Some(format!("{} or more", plain_number(&m[1], "")))),
        (NUMBER.to_owned(), |m, around| Some(plain_number(&m[0], around.before))),
        // Words.
        (r"(St|Dr)\.".to_owned(), |m, around| Some(saint_or_street(&m[1], around))),
        (r"[A-Za-z](?:[A-Za-z.]*\.|/[oa]?)|vs".to_owned(), |m, around| abbreviation(&m[0], around)),
    ];
    let compile = |(pattern, say): (String, Say)| {
        let pattern = Regex::new(&format!("^(?:{pattern})")).expect("a constant pattern");
        Rule { pattern, say }
    };
    patterns.into_iter().map(compile).collect()
});

/// Rewrites everything a rule fits.
pub(super) fn apply(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let before = text[..at].chars().next_back();
        let begins = !(before.is_some_and(char::is_alphanumeric) && c.is_alphanumeric());
        if begins && let Some((length, said)) = reading(text, at) {
            out.push(' ');
            out.push_str(&said);
            out.push(' ');
            at += length;
            continue;
        }
        push_symbol(&mut out, text, at, c);
        at += c.len_utf8();
    }
    out
}

fn reading(text: &str, at: usize) -> Option<(usize, String)> {
    let rest = &text[at..];
    // Most words are plain, and no rule is about them.
    let word = rest.split(char::is_whitespace).next().unwrap_or("");
    if word.chars().all(|c| c.is_alphabetic() || ",!?;'\"".contains(c))
        && !MAY_BEGIN.iter().any(|start| word.starts_with(start))
    {
        return None;
    }
    RULES.iter().find_map(|rule| {
        let found = rule.pattern.captures(rest)?;
        let whole = found.get(0)?.as_str();
        let whole = &rest[..whole.len()];
        let after = &rest[whole.len()..];
        let cut_short = whole.ends_with(char::is_alphanumeric) && after.starts_with(char::is_alphanumeric);
        if cut_short || whole.is_empty() {
            return None;
        }
        let said = (rule.say)(&found, &Around { before: &text[..at], after })?;
        Some((whole.len(), said))
    })
}

/// Starts of plain words some rule is about all the same.
const MAY_BEGIN: [&str; 20] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon", "Tue", "Wed", "Thu",
    "Fri", "Sat", "Sun", "vs",
];

fn push_symbol(out: &mut String, text: &str, at: usize, c: char) {
    let (before, after) = (text[..at].chars().next_back(), text[at + c.len_utf8()..].chars().next());
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let item_before =
        text[..at].trim_end().chars().next_back().is_some_and(|c| c.is_alphanumeric() || "%°€£".contains(c));
    let item_after =
        text[at + c.len_utf8()..].trim_start().chars().next().is_some_and(|c| c.is_ascii_digit() || "$€£¥".contains(c));
    match c {
        // From here to there: 9am–5pm, 3-5 days.
        '-' | '–' | '—' if item_before && item_after && (c != '-' || before != Some(' ')) => out.push_str(" to "),
        '–' | '—' => out.push_str(", "),
        '-' if letter(before) && letter(after) => out.push('-'),
        '-' => out.push(' '),
        '/' if letter(before) && letter(after) => out.push_str(if text[..at].ends_with("and") { " " } else { " or " }),
        '/' => out.push(' '),
        '<' | '>' if before == Some(' ') || digit(after) => {
            out.push_str(if c == '<' { " less than " } else { " greater than " })
        }
        '#' if letter(after) => out.push_str(" hashtag "),
        '_' | '|' | '\\' | '^' | '*' | '`' | '#' | '<' | '>' | '{' | '}' | '[' | ']' | '©' | '®' | '™' => {
            out.push(' ')
        }
        '(' | ')' => out.push_str(if c == '(' { ", " } else { "," }),
        '"' => {}
        '…' => out.push_str("..."),
        _ => match SYMBOLS.iter().find(|(symbol, _)| text[at..].starts_with(symbol)) {
            Some((_, word)) => {
                out.push(' ');
                out.push_str(word);
                out.push(' ');
            }
            None => out.push(c),
        },
    }
}
