//! The languages calls are held in: for each its sentences and its voice.

use std::sync::Arc;

use crate::dialog::language::Language;
use crate::dialog::phrases::Phrases;
use crate::dialog::speakable::{clean, speakable};
use crate::engine::tts::voice::Voice;

/// How we speak in one language.
#[derive(Clone)]
pub struct Tongue {
    /// Which.
    pub language: Language,
    /// The fixed sentences.
    pub phrases: Arc<Phrases>,
    /// Who speaks.
    pub voice: Voice,
}

impl Tongue {
    /// `text` as the voice gets it: numbers are written out in English only, other voices read them in their language.
    pub fn speakable(&self, text: &str) -> String {
        speakable_in(self.language, text)
    }
}

/// `text` as a voice of `language` gets it.
pub fn speakable_in(language: Language, text: &str) -> String {
    if language == Language::ENGLISH { speakable(text) } else { clean(text) }
}

/// All of them, the default first.
#[derive(Clone)]
pub struct Tongues {
    all: Arc<[Arc<Tongue>]>,
    /// The language of the first utterance decides.
    pub detects: bool,
}

impl Tongues {
    /// `default` and the `others`.
    pub fn new(default: Tongue, others: Vec<Tongue>, detects: bool) -> Self {
        let detects = detects && !others.is_empty();
        Self { all: std::iter::once(default).chain(others).map(Arc::new).collect(), detects }
    }

    /// What a call is in until something else is known.
    pub fn default_tongue(&self) -> &Arc<Tongue> {
        &self.all[0]
    }

    /// The one of `language`.
    pub fn get(&self, language: Language) -> Option<&Arc<Tongue>> {
        self.all.iter().find(|tongue| tongue.language == language)
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tongue>> {
        self.all.iter()
    }

    /// Their names.
    pub fn languages(&self) -> Arc<[Language]> {
        self.all.iter().map(|tongue| tongue.language).collect()
    }
}
