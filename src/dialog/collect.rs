//! PURE. Getting one thing from a caller by speech or keypad: an order number, an amount, a date, an e-mail address, a name.
//!
//! ```text
//! asked ─▶ heard ─ understood ─▶ read back ─ "yes" ─▶ done
//!            │                     │ "no, seven, not eleven" ─▶ corrected, read back
//!            │ not understood      │ "no"
//!            ▼                     ▼
//!      asked once more ──────── a second time ─▶ a person
//! digits keyed in, right by length and checksum ─▶ done, without reading back
//! ```
//! What each kind understands is in [`parse`]; here is the conversation around it.

mod correct;
mod name;
mod parse;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use serde::Deserialize;

use super::intent::yes_no;
use super::words::{UNITS, holds_phrase, words};

/// Tries at one thing before a person takes over.
const TRIES: u32 = 2;
/// Most keys of one entry.
const MOST_KEYS: usize = 24;

/// What may be collected.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kind {
    /// Digits, as in an order number. Also keyed in.
    Digits {
        /// Fewest and most digits.
        length: (usize, usize),
        /// What the last digit proves.
        #[serde(default)]
        checksum: Checksum,
        /// Sentence that asks for it.
        ask: String,
    },
    /// An amount of money, kept as `49.90`. Keyed in with `*` for the point and `#` at the end.
    Amount {
        /// Sentence that asks for it.
        ask: String,
    },
    /// A day, kept as `2026-11-25`. Keyed in as month and day, four digits, or with the year, eight, and `#`.
    Date {
        /// Sentence that asks for it.
        ask: String,
    },
    /// An e-mail address.
    Email {
        /// Sentence that asks for it.
        ask: String,
    },
    /// A person's name, said or spelled.
    Name {
        /// Sentence that asks for it.
        ask: String,
    },
}

/// How digits prove themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// They don't.
    #[default]
    None,
    /// By the last digit, as on cards (ISO/IEC 7812).
    Luhn,
    /// By the last digit, as on goods (GS1, modulo 10 with weights 3 and 1).
    Gs1,
}

impl Kind {
    /// The sentence that asks for it.
    pub fn ask(&self) -> &str {
        match self {
            Self::Digits { ask, .. }
            | Self::Amount { ask }
            | Self::Date { ask }
            | Self::Email { ask }
            | Self::Name { ask } => ask,
        }
    }

    /// Whether keys are part of it.
    pub const fn takes_keys(&self) -> bool {
        matches!(self, Self::Digits { .. } | Self::Amount { .. } | Self::Date { .. })
    }

    /// What was keyed in, in the form it is kept in.
    fn keyed(&self, keys: &str, today: Date) -> Option<String> {
        let value = match self {
            Self::Digits { .. } => keys.to_owned(),
            Self::Amount { .. } => {
                let (whole, part) = keys.split_once('*').unwrap_or((keys, "00"));
                format!("{}.{part:0<2}", if whole.is_empty() { "0" } else { whole })
            }
            Self::Date { .. } => parse::keyed_date(keys, today)?,
            Self::Email { .. } | Self::Name { .. } => return None,
        };
        self.accepts(&value).then_some(value)
    }

    /// Whether `value`, in the form it is kept in, can be one.
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Digits { length: (least, most), checksum, .. } => {
                value.bytes().all(|byte| byte.is_ascii_digit())
                    && (*least..=*most).contains(&value.len())
                    && checksum.holds(value)
            }
            Self::Amount { .. } => value.split_once('.').is_some_and(|(whole, part)| {
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits(whole) && whole.len() <= 9 && digits(part) && part.len() == 2
            }),
            Self::Date { .. } => value.parse::<Date>().is_ok(),
            Self::Email { .. } => parse::is_email(value),
            Self::Name { .. } => name::is_name(value),
        }
    }

    /// What `text` says, if it is one and a valid one. `today` completes a date without a year.
    pub fn parse(&self, text: &str, today: Date) -> Option<String> {
        let found = match self {
            Self::Digits { .. } => return parse::digit_runs(text).into_iter().rev().find(|run| self.accepts(run)),
            Self::Amount { .. } => parse::amount(text),
            Self::Date { .. } => parse::date(text, today),
            Self::Email { .. } => parse::email(text),
            Self::Name { .. } => name::name(text),
        };
        found.filter(|value| self.accepts(value))
    }

    /// `value` as it is read back.
    pub fn spoken(&self, value: &str) -> String {
        match self {
            Self::Digits { .. } => digits(value),
            Self::Amount { .. } => format!("${value}"),
            Self::Date { .. } => value
                .parse::<Date>()
                .map_or_else(|_| value.to_owned(), |date| format!("{}, {}", date.strftime("%B %-d"), date.year())),
            Self::Email { .. } => spell(value),
            Self::Name { .. } => name::spoken(value),
        }
    }
}

impl Checksum {
    fn holds(self, digits: &str) -> bool {
        let weighed = |odd: fn(u32) -> u32, even: fn(u32) -> u32| -> u32 {
            let from_the_end = digits.bytes().rev().enumerate();
            from_the_end
                .map(|(at, byte)| {
                    let digit = u32::from(byte.saturating_sub(b'0'));
                    if at % 2 == 0 { even(digit) } else { odd(digit) }
                })
                .sum()
        };
        let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
        match self {
            Self::None => true,
            Self::Luhn => weighed(doubled, |digit| digit).is_multiple_of(10),
            Self::Gs1 => weighed(|digit| digit * 3, |digit| digit).is_multiple_of(10),
        }
    }
}

/// `440017` as `four, four, zero, zero, one, seven`: one after the other, in groups of three with a longer pause.
pub fn digits(value: &str) -> String {
    let word = |digit: char| digit.to_digit(10).map_or("", |digit| UNITS[digit as usize]);
    let all: Vec<char> = value.chars().collect();
    let size = if all.len() > 4 { 3 } else { 4 };
    let groups = all.chunks(size).map(|group| group.iter().map(|digit| word(*digit)).collect::<Vec<_>>().join(" "));
    groups.collect::<Vec<_>>().join(", ")
}

/// `2026-11-25` as `November 25`.
pub fn day(value: &str) -> String {
    value.parse::<Date>().map_or_else(|_| value.to_owned(), |date| date.strftime("%B %-d").to_string())
}

/// An address letter by letter before the @, in words after it.
fn spell(address: &str) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    let letter = |c: char| match c {
        '.' => "dot".to_owned(),
        '-' => "dash".to_owned(),
        '_' => "underscore".to_owned(),
        '+' => "plus".to_owned(),
        c => c.to_uppercase().collect(),
    };
    let local: Vec<String> = local.chars().map(letter).collect();
    format!("{}, at {}", local.join(" "), domain.replace('.', " dot "))
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Say this and listen.
    Say(String),
    /// The caller agreed to this value, or keyed it in.
    Done(String),
    /// The caller wants it no more.
    Dropped,
    /// `0` and nothing else: the key for a person.
    Zero,
    /// It does not work out, or the caller has none: a person.
    GiveUp,
    /// Nothing yet: more keys may follow.
    Wait,
}

/// One thing being collected.
#[derive(Clone, Debug, PartialEq)]
pub struct Collecting {
    kind: Kind,
    /// Understood, and read back.
    value: Option<String>,
    keys: String,
    failed: u32,
    today: Date,
}

impl Collecting {
    /// Nothing is known yet. The question is `kind.ask()`, unless `said` has the answer already.
    pub fn begin(kind: Kind, said: &str, today: Date) -> (Self, Next) {
        let value = kind.parse(said, today);
        let collecting = Self { kind, value, keys: String::new(), failed: 0, today };
        let next = match &collecting.value {
            Some(_) => collecting.read_back(),
            None => Next::Say(collecting.kind.ask().to_owned()),
        };
        (collecting, next)
    }

    /// What the caller said.
    pub fn heard(&mut self, text: &str, today: Date) -> Next {
        self.keys.clear();
        if wants_out(text) {
            return Next::Dropped;
        }
        if has_none(text) {
            return Next::GiveUp;
        }
        let Some(value) = self.value.take() else {
            return match self.kind.parse(text, today) {
                Some(value) => self.take(value),
                None => self.again(),
            };
        };
        // Whatever else is in it: "no, four four one seven", "yes, but the last one is nine".
        if let Some(better) = correct::corrected(&self.kind, &value, text, today) {
            return self.take(better);
        }
        match yes_no(text) {
            Some(true) => Next::Done(value),
            Some(false) => self.again(),
            None => {
                self.failed += 1;
                if self.failed >= TRIES {
                    return Next::GiveUp;
                }
                self.take(value)
            }
        }
    }

    /// A key was pressed. A `0` alone is a wish for a person, which [`Collecting::keys_over`] tells.
    pub fn key(&mut self, key: char) -> Next {
        if !self.kind.takes_keys() {
            return Next::Wait;
        }
        // A number of known length needs no #.
        let full = match self.kind {
            Kind::Digits { length: (least, most), .. } if least == most => most,
            _ => MOST_KEYS,
        };
        match key {
            '#' => self.keys_over(),
            // The point of an amount, once; elsewhere it begins anew.
            '*' if matches!(self.kind, Kind::Amount { .. }) && !self.keys.contains('*') && !self.keys.is_empty() => {
                self.keys.push('*');
                Next::Wait
            }
            '*' => {
                self.keys.clear();
                Next::Say(self.kind.ask().to_owned())
            }
            digit => {
                if self.keys.len() < MOST_KEYS {
                    self.keys.push(digit);
                }
                if self.keys.len() >= full { self.keys_over() } else { Next::Wait }
            }
        }
    }

    /// True while keys are being pressed.
    pub fn is_keying(&self) -> bool {
        !self.keys.is_empty()
    }

    /// No more keys come.
    pub fn keys_over(&mut self) -> Next {
        let keys = std::mem::take(&mut self.keys);
        match keys.as_str() {
            "" => Next::Wait,
            "0" => Next::Zero,
            _ => match self.kind.keyed(&keys, self.today) {
                // Digits are what was meant; of the other kinds the form may have been another.
                Some(value) if matches!(self.kind, Kind::Digits { .. }) => Next::Done(value),
                Some(value) => self.take(value),
                None => self.again(),
            },
        }
    }

    fn take(&mut self, value: String) -> Next {
        self.value = Some(value);
        self.read_back()
    }

    fn read_back(&self) -> Next {
        let value = self.value.as_deref().unwrap_or_default();
        Next::Say(format!("That is {}. Is that right?", self.kind.spoken(value)))
    }

    fn again(&mut self) -> Next {
        self.value = None;
        self.failed += 1;
        if self.failed >= TRIES {
            return Next::GiveUp;
        }
        Next::Say(format!("I'm sorry, I didn't get that. {}", self.kind.ask()))
    }
}

/// The caller changed their mind.
pub fn wants_out(text: &str) -> bool {
    let said = words(text);
    let out = ["never mind", "nevermind", "forget it", "forget about it", "cancel that", "stop that", "leave it"];
    said.len() <= 8 && out.iter().any(|phrase| holds_phrase(&said, phrase))
}

/// "I don't have it with me."
fn has_none(text: &str) -> bool {
    let said = words(text);
    const NONE: &[&str] = &[
        "do not have it",
        "do not have one",
        "do not have that",
        "do not have my",
        "do not have the",
        "do not know it",
        "do not know my",
        "do not know the",
        "do not know what",
        "can not find it",
        "can not find my",
        "can not find the",
        "can not remember",
        "do not remember",
        "lost it",
        "no idea",
    ];
    NONE.iter().any(|phrase| holds_phrase(&said, phrase))
}
