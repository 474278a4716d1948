//! The language of a call: told by the caller's first words, or asked for by name. PURE.

use std::time::Instant;

use super::{CallMachine, State};
use crate::call::input::{CallAction, Phrase};
use crate::call::patience;
use crate::dialog::intent::{PersonRequest, Rules};
use crate::dialog::language::{Language, wanted_language};
use crate::engine::stt::Transcript;

/// So many utterances are listened to for their language, if the first leaves it in doubt.
pub(super) const DETECTED_TURNS: u8 = 2;

impl CallMachine {
    /// The rules of the language that is spoken.
    pub(super) const fn rules(&self) -> Rules {
        Rules::of(self.language)
    }

    /// Whether the language of the next utterance is still to be told.
    pub fn detects(&self) -> bool {
        self.detecting > 0
    }

    /// What caller and assistant speak.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The caller asks for a moment.
    pub(super) fn asks_for_time(&self, text: &str) -> bool {
        self.rules().asks_for_time(text).unwrap_or_else(|| patience::asks_for_time(text))
    }

    /// Takes in which language the words are in. True when it is another one than before.
    pub(super) fn hear_language(&mut self, transcript: &Transcript, actions: &mut Vec<CallAction>) -> bool {
        let Some(detected) = transcript.language.as_ref().filter(|_| self.detecting > 0) else { return false };
        self.detecting = if detected.sure { 0 } else { self.detecting - 1 };
        detected.sure && self.speak(detected.language, actions)
    }

    /// The language of a speculation, if it is for sure another one than ours.
    pub(super) fn foreign(&self, transcript: &Transcript) -> Option<Language> {
        let detected = transcript.language.as_ref().filter(|_| self.detecting > 0)?;
        (detected.sure && detected.language != self.language).then_some(detected.language)
    }

    /// A language the caller asks for by name, other than the one spoken.
    pub(super) fn asked_language(&self, text: &str) -> Option<Language> {
        wanted_language(text, &self.policy.languages).filter(|language| *language != self.language)
    }

    /// Goes on in `language`. False when it is spoken already, or not here.
    pub(super) fn speak(&mut self, language: Language, actions: &mut Vec<CallAction>) -> bool {
        if language == self.language || !self.policy.languages.contains(&language) {
            return false;
        }
        self.detecting = 0;
        self.language = language;
        // What was said before was in another language: there is nothing to be said again.
        self.last_answer.clear();
        actions.push(CallAction::SpeakLanguage(language));
        true
    }

    /// A request for a person, in the language spoken or in the one the caller just asked for.
    pub(super) fn asks_for_person(&self, text: &str, before: Language) -> Option<PersonRequest> {
        self.rules().wants_person(text).or_else(|| Rules::of(before).wants_person(text))
    }

    /// Who speaks and that it is recorded, in the caller's language: the first time they may not have understood it.
    pub(super) fn say_switched(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if self.state == State::Assisting {
            self.say(now, Phrase::Switched, false, actions);
        }
        if self.policy.record {
            let item = self.say(now, Phrase::Notice, false, actions);
            if !self.recording {
                self.notice = Some(item);
            }
        }
    }
}
