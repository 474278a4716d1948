//! `[languages.de]` and so on: what callers in other languages than `stt.language` hear.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::dialog::language::Language;
use crate::dialog::phrases::is_shipped;
use crate::said::Said;

/// The languages spoken besides `stt.language`, by their two letters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LanguagesConfig(BTreeMap<String, LanguageConfig>);

/// One language. What is left empty comes with the program, where it has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageConfig {
    /// File of fixed sentences; those it leaves out are the program's own.
    pub sentences: PathBuf,
    /// First words of a call that begins in this language. `{company}` is replaced.
    pub greeting: String,
    /// The recording notice.
    pub notice: String,
    /// What `espeak-ng` calls the voice, such as `de+f2`; empty: `pico2wave`'s of that language if it is installed, or espeak-ng's.
    pub voice: String,
}

impl LanguagesConfig {
    /// Each language with its settings.
    pub fn iter(&self) -> impl Iterator<Item = (Language, &LanguageConfig)> {
        self.0.iter().filter_map(|(name, config)| Some((Language::parse(name)?, config)))
    }

    /// The settings of `language`, if there are any.
    pub fn get(&self, language: Language) -> Option<&LanguageConfig> {
        self.0.get(language.as_str())
    }

    /// True when only `stt.language` is spoken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Section for LanguagesConfig {
    const NAME: &'static str = "languages";
    const OPEN: bool = true;
    fn check(&self, problems: &mut Problems) {
        for (name, config) in &self.0 {
            let key = format!("languages.{name}");
            let Some(language) = Language::parse(name).filter(|language| language.as_str() == name) else {
                let said = Said::new("no_language", "is no language: two small letters such as de");
                problems.add(&key, "", said);
                continue;
            };
            let given = !config.sentences.as_os_str().is_empty();
            if given && !config.sentences.is_file() {
                problems.add(
                    &format!("{key}.sentences"),
                    &config.sentences.display().to_string(),
                    Said::new("no_file", "is no file"),
                );
            }
            if !given && !is_shipped(language) {
                let text = "must be a file: the program has sentences in de, en, es and fr only";
                let reason = Said::new("sentences_file", text);
                problems.add(&format!("{key}.sentences"), "\"\"", reason);
            }
            if config.voice.starts_with('-') || config.voice.contains(char::is_whitespace) {
                problems.add(
                    &format!("{key}.voice"),
                    &config.voice,
                    Said::new("espeak_voice", "must be a voice of espeak-ng, such as de+f2"),
                );
            }
        }
    }
}
