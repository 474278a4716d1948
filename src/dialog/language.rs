//! PURE. Which language a call is in: two letters, and which of them a caller asks for by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::clauses;

/// A language by its two letters (ISO 639-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language([u8; 2]);

/// Text that names no language.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no language: two letters such as de")]
pub struct NoLanguage(String);

impl Language {
    /// English, whose rules and sentences all others are measured by.
    pub const ENGLISH: Self = Self(*b"en");
    /// German.
    pub const GERMAN: Self = Self(*b"de");
    /// Spanish.
    pub const SPANISH: Self = Self(*b"es");
    /// French.
    pub const FRENCH: Self = Self(*b"fr");

    /// Reads `de`, `DE`, `de-AT`, `de_AT`; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(['-', '_']).unwrap_or(text.len());
        match text.as_bytes().get(..end)? {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_lowercase(), b.to_ascii_lowercase()]))
            }
            _ => None,
        }
    }

    /// Its two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("en")
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::ENGLISH
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Language {
    type Error = NoLanguage;
    fn try_from(text: String) -> Result<Self, NoLanguage> {
        Self::parse(&text).ok_or(NoLanguage(text))
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.as_str().to_owned()
    }
}

/// What languages are called, in English and in each of the others.
const NAMES: &[(&str, &[&str])] = &[
    ("en", &["English", "englisch", "englischen", "inglés", "ingles", "anglais", "inglese", "inglês"]),
    ("de", &["German", "deutsch", "deutschen", "alemán", "aleman", "allemand", "tedesco", "alemão"]),
    ("es", &["Spanish", "spanisch", "español", "espanol", "castellano", "espagnol", "spagnolo", "espanhol"]),
    (
        "fr",
        &["French", "französisch", "franzosisch", "francés", "frances", "français", "francais", "francese", "francês"],
    ),
    ("it", &["Italian", "italienisch", "italiano", "italien"]),
    ("pt", &["Portuguese", "portugiesisch", "portugués", "português", "portugais"]),
    ("nl", &["Dutch", "niederländisch", "holländisch", "nederlands", "holandés", "néerlandais"]),
    ("pl", &["Polish", "polnisch", "polaco", "polonais", "polski"]),
    ("tr", &["Turkish", "türkisch", "turco", "turc", "türkçe"]),
];

/// Said around a language by those who want it spoken.
const SPEAK: &[&str] = &[
    "speak", "speaks", "speaking", "talk", "continue", "switch", "change", "prefer", "sprechen", "sprichst", "spricht",
    "sprecht", "reden", "weiter", "habla", "hablar", "hablan", "hablas", "hablen", "hablo", "parler", "parlez",
    "parle", "parles",
];
const PLEASE: &[&str] = &["please", "bitte", "favor", "plaît", "plait", "svp"];
const NOT: &[&str] = &["not", "no", "nicht", "kein", "keine", "pas", "never"];
/// Words a wish for a language has at most when it says that it is spoken, when it only asks, and alone.
const LONGEST: (usize, usize, usize) = (9, 6, 3);

/// The language of `offered` that the caller asks to go on in: "auf Deutsch bitte", "English please", "¿habla español?".
pub fn wanted_language(text: &str, offered: &[Language]) -> Option<Language> {
    clauses(text).iter().find_map(|clause| {
        let any = |list: &[&str]| clause.iter().any(|word| list.contains(&word.as_str()));
        let long = clause.len();
        let asks = (any(SPEAK) && long <= LONGEST.0) || (any(PLEASE) && long <= LONGEST.1) || long <= LONGEST.2;
        if !asks || any(NOT) {
            return None;
        }
        let (letters, _) = NAMES
            .iter()
            .find(|(_, names)| clause.iter().any(|word| names.iter().any(|name| name.to_lowercase() == *word)))?;
        offered.iter().copied().find(|language| language.as_str() == *letters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read_as_providers_write_them() {
        for (text, language) in [
            ("de", Some(Language::GERMAN)),
            ("DE", Some(Language::GERMAN)),
            ("de-AT", Some(Language::GERMAN)),
            ("es_MX", Some(Language::SPANISH)),
            (" fr ", Some(Language::FRENCH)),
            ("english", None),
            ("d", None),
            ("d3", None),
            ("ä", None),
            ("", None),
        ] {
            assert_eq!(Language::parse(text), language, "{text}");
        }
    }

    #[test]
    fn a_wish_for_a_language_is_told_from_goods_and_refusals() {
        let offered = [Language::ENGLISH, Language::GERMAN, Language::SPANISH, Language::FRENCH];
        for (text, language) in [
            ("English please", Some(Language::ENGLISH)),
            ("Auf Deutsch, bitte.", Some(Language::GERMAN)),
            ("Deutsch", Some(Language::GERMAN)),
            ("Sprechen Sie Deutsch?", Some(Language::GERMAN)),
            ("Do you speak German?", Some(Language::GERMAN)),
            ("Can I talk to somebody who speaks Spanish?", Some(Language::SPANISH)),
            ("¿Habla español?", Some(Language::SPANISH)),
            ("En español por favor", Some(Language::SPANISH)),
            ("Parlez-vous français ?", Some(Language::FRENCH)),
            ("en français s'il vous plaît", Some(Language::FRENCH)),
            ("I don't speak German", None),
            ("Is the German manual in the box or do I have to load it", None),
            ("How much is the English ivy in the large pot", None),
            ("Italiano per favore", None),
            ("", None),
        ] {
            assert_eq!(wanted_language(text, &offered), language, "{text}");
        }
    }
}
