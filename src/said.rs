//! What is said to people: in English, and as a word with values, for clients that say it in other languages. PURE.
//!
//! A [`Said`] is whole: its English text goes wherever no client is in between, such as into logs. A [`Phrase`] is what of
//! it travels beside the text. The console has a sentence for every word in its message files (`mistake.…` for errors,
//! `phrase.…` for the rest); a word it does not know is shown in English.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wrong, or why something is as it is: a sentence, and for clients with words of their own which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    message: Cow<'static, str>,
    reason: Option<&'static str>,
    values: BTreeMap<String, String>,
}

/// A sentence, or a part of one, for clients with words of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Phrase {
    /// Stable word for which it is, such as `on_contact`.
    #[schema(value_type = String)]
    pub reason: Cow<'static, str>,
    /// What it speaks of, by name. A name that ends in `_s` is a span in whole seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl Said {
    /// A sentence of which there is a word.
    pub fn new(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), reason: Some(reason), values: BTreeMap::new() }
    }

    /// A sentence without a word of its own, such as one about what only programs send.
    pub fn plain(message: String) -> Self {
        Self { message: message.into(), reason: None, values: BTreeMap::new() }
    }

    /// With something the sentence speaks of.
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// The sentence's fragment.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Which one it is, if there is a word for it.
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// What the sentence speaks of, by name.
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The same without the text, if there is a word for it.
    pub fn phrase(&self) -> Option<Phrase> {
        Some(Phrase { reason: self.reason?.into(), values: self.values.clone() })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
