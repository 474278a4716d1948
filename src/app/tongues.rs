//! The languages of the configuration: the sentences and the voice of each.

use std::sync::Arc;

use crate::call::tongues::{Tongue, Tongues};
use crate::cli::CliError;
use crate::config::{Config, LanguageConfig};
use crate::dialog::language::Language;
use crate::dialog::phrases::{Phrases, PhrasesError};
use crate::engine::cpu::CpuBudget;
use crate::engine::tts::program::ProgramVoice;
use crate::engine::tts::voice::{Voice, VoiceOptions};

/// What is said, in each language; the default first.
pub struct Sentences(Vec<(Language, Arc<Phrases>)>);

impl Sentences {
    /// Reads all of them.
    pub fn load(config: &Config) -> Result<Self, CliError> {
        let unusable =
            |error: PhrasesError| CliError::usage(error.to_string(), "Check `dialog.prompts_dir` and `[languages]`.");
        let default = config.stt.default_language();
        let mut all = vec![(default, Arc::new(Phrases::load_default(config).map_err(unusable)?))];
        for (language, own) in others(config) {
            let phrases = Phrases::load_in(language, own, &config.dialog, &config.recording).map_err(unusable)?;
            all.push((language, Arc::new(phrases)));
        }
        Ok(Self(all))
    }

    /// With `voice` for the default language, and in the others their own; tests bring one voice for all.
    pub fn spoken_by(self, voice: &Voice, config: &Config, budget: &CpuBudget, own: bool) -> Result<Tongues, CliError> {
        let mut tongues = Vec::new();
        for (language, phrases) in self.0 {
            let foreign = (!own && !tongues.is_empty()).then(|| voice_of(language, config, budget)).transpose()?;
            let voice = foreign.unwrap_or_else(|| voice.clone());
            tongues.push(Tongue { language, phrases, voice });
        }
        let default = tongues.remove(0);
        Ok(Tongues::new(default, tongues, config.stt.detect))
    }
}

/// The languages besides the default.
fn others(config: &Config) -> impl Iterator<Item = (Language, &LanguageConfig)> {
    let default = config.stt.default_language();
    config.languages.iter().filter(move |(language, _)| *language != default)
}

/// Whether all there is to say in other languages can be said; `config check` asks.
pub fn check(config: &Config) -> Result<(), CliError> {
    Sentences::load(config)?;
    others(config).try_for_each(|(language, _)| engine(language, config).map(drop))
}

fn engine(language: Language, config: &Config) -> Result<ProgramVoice, CliError> {
    let chosen = config.languages.get(language).map_or("", |own| own.voice.as_str());
    let voice = if chosen.is_empty() { language.as_str() } else { chosen };
    ProgramVoice::speaking(voice).map_err(|error| {
        let remedy = format!("Install it, or leave out `[languages.{language}]`.");
        CliError::usage(error.to_string(), &remedy)
    })
}

fn voice_of(language: Language, config: &Config, budget: &CpuBudget) -> Result<Voice, CliError> {
    Ok(Voice::new(Arc::new(engine(language, config)?), budget.clone(), VoiceOptions::from(&config.tts)))
}
