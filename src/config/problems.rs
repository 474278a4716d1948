//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::said::Said;

/// One value that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`.
    pub key: String,
    /// What was given; secrets are replaced.
    pub value: String,
    /// What is wrong, with the allowed range.
    pub reason: Said,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.key, self.reason)
        } else {
            write!(f, "{} = {}: {}", self.key, self.value, self.reason)
        }
    }
}

/// Collects problems while sections are read.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, key: &str, value: &str, reason: Said) {
        self.0.push(Problem { key: key.to_owned(), value: value.to_owned(), reason });
    }

    /// Notes a problem unless `value` lies in `range`.
    pub fn range<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let (from, to) = (range.start(), range.end());
            let said = Said::new("range", format!("must be from {from} to {to}")).with("from", from).with("to", to);
            self.add(key, &value.to_string(), said);
        }
    }

    /// `config` if there was no problem.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.0.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { problems: self.0 }) }
    }
}

/// What the parser says of a value it can't take.
pub(super) fn of_type(message: &str) -> Said {
    let text = message.trim().to_owned();
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest.replace('`', ""));
    let names = |names: String| names.trim_start_matches("one of ").replace(" or ", ", ");
    match (after("unknown variant").and_then(|_| after(", expected ")), after(", expected ")) {
        (Some(allowed), _) => Said::new("one_of", text).with("allowed", names(allowed)),
        (None, Some(expected)) => Said::new("type", text).with("expected", expected),
        (None, None) => Said::plain(text),
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration file {} can't be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration is not valid TOML: {source}")]
    Syntax {
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Values that can't be used.
    #[error("{} problem(s) in the configuration:\n{}", problems.len(), problems.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &Said, reason: &str, values: &[(&str, &str)]) {
        let named: Vec<_> = said.values().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((said.reason(), named.as_slice()), (Some(reason), values), "{said}");
    }

    #[test]
    fn a_range_is_told_with_its_ends() {
        let mut problems = Problems::default();
        problems.range("turn.hangover_ms", 1, 200..=5_000);
        assert_eq!(problems.0[0].to_string(), "turn.hangover_ms = 1: must be from 200 to 5000");
        check(&problems.0[0].reason, "range", &[("from", "200"), ("to", "5000")]);
    }

    #[test]
    fn what_the_parser_says_has_a_word_where_we_know_its_form() {
        let of = of_type;
        check(&of("invalid type: string \"x\", expected u32"), "type", &[("expected", "u32")]);
        check(&of("unknown variant `x`, expected one of `a`, `b`"), "one_of", &[("allowed", "a, b")]);
        check(&of("unknown variant `x`, expected `a` or `b`"), "one_of", &[("allowed", "a, b")]);
        assert_eq!(of("something else").reason(), None);
    }
}
