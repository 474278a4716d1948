//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// One value that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`.
    pub key: String,
    /// What was given; secrets are replaced.
    pub value: String,
    /// What is wrong, with the allowed range.
    pub reason: String,
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
    pub fn add(&mut self, key: &str, value: &str, reason: &str) {
        self.0.push(Problem { key: key.to_owned(), value: value.to_owned(), reason: reason.to_owned() });
    }

    /// Notes a problem unless `value` lies in `range`.
    pub fn range<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let reason = format!("must be from {} to {}", range.start(), range.end());
            self.add(key, &value.to_string(), &reason);
        }
    }

    /// `config` if there was no problem.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.0.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { problems: self.0 }) }
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
