//! The fixed sentences a caller may hear, read from `prompts/sentences.toml` and its like in other languages, each of them
//! known before the first call.

use std::path::Path;

use serde::Deserialize;

use super::language::Language;
use crate::call::input::Phrase;
use crate::config::{Config, DialogConfig, LanguageConfig, RecordingConfig};

/// Places of waiting callers whose announcement is synthesised before it is needed.
const PLACES_PREPARED: u32 = 5;

/// Longer than so many minutes is told without a number.
const LONGEST_WAIT: u32 = 60;

/// Why the sentences can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PhrasesError {
    /// The file can't be read.
    #[error("sentences file {path} can't be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A sentence is missing, unknown or empty.
    #[error("sentences file {path} can't be used: {reason}")]
    Invalid {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    repeat: String,
    /// Files from before there was this sentence stay good.
    #[serde(default = "default_filler")]
    filler: String,
    /// Left out of sentences of before it was there.
    #[serde(default = "offer_person")]
    offer_person: String,
    clarify: String,
    /// Files from before there was this sentence stay good.
    #[serde(default = "default_prompt")]
    prompt: String,
    silence_prompt: String,
    take_your_time: String,
    connecting: String,
    engine_apology: String,
    still_waiting_first: String,
    still_waiting: String,
    nobody_available: String,
    #[serde(default = "default_wait_short")]
    wait_short: String,
    #[serde(default = "default_wait_one")]
    wait_one: String,
    #[serde(default = "default_wait")]
    wait: String,
    #[serde(default = "default_wait_long")]
    wait_long: String,
    #[serde(default = "default_telephoning")]
    telephoning: String,
    #[serde(default = "default_leaving")]
    leaving: String,
    #[serde(default = "default_telephone_missed")]
    telephone_missed: String,
    introduction: String,
    introduction_unnamed: String,
    #[serde(default = "default_joining")]
    joining: String,
    #[serde(default = "default_joining_unnamed")]
    joining_unnamed: String,
    #[serde(default = "default_not_reached")]
    not_reached: String,
    #[serde(default = "default_parked")]
    parked: String,
    #[serde(default = "default_parked_too_long")]
    parked_too_long: String,
    agent_lost: String,
    requeued: String,
    message_prompt: String,
    message_saved: String,
    message_empty: String,
    #[serde(default = "default_callback_confirm")]
    callback_confirm: String,
    #[serde(default = "default_broke_off")]
    broke_off: String,
    callback_booked: String,
    #[serde(default = "default_callback_greeting")]
    callback_greeting: String,
    callback_number: String,
    callback_invalid: String,
    back_to_assistant: String,
    is_assistant: String,
    goodbye: String,
    stopping: String,
    #[serde(default = "default_switched")]
    switched: String,
    /// First words in another language than the configuration's.
    #[serde(default)]
    greeting: String,
    #[serde(default)]
    greeting_rest: String,
    #[serde(default)]
    notice: String,
}

/// The sentences that come with the program.
fn shipped(language: Language) -> Option<&'static str> {
    match language {
        Language::ENGLISH => Some(include_str!("../../prompts/sentences.toml")),
        Language::GERMAN => Some(include_str!("../../prompts/sentences.de.toml")),
        Language::SPANISH => Some(include_str!("../../prompts/sentences.es.toml")),
        Language::FRENCH => Some(include_str!("../../prompts/sentences.fr.toml")),
        _ => None,
    }
}

/// Whether sentences of `language` come with the program.
pub fn is_shipped(language: Language) -> bool {
    shipped(language).is_some()
}

fn default_switched() -> String {
    "I'm an automated assistant; press zero at any time to reach a person.".to_owned()
}

fn default_filler() -> String {
    "One moment, please.".to_owned()
}

fn default_prompt() -> String {
    "Yes, I'm listening. What can I help you with?".to_owned()
}

fn default_wait_short() -> String {
    "The wait is less than a minute.".to_owned()
}

fn default_wait_one() -> String {
    "The wait is about a minute, and less than {most} minutes for nine callers in ten.".to_owned()
}

fn default_wait() -> String {
    "The wait is about {about} minutes, and less than {most} for nine callers in ten.".to_owned()
}

fn default_wait_long() -> String {
    "The wait is more than an hour.".to_owned()
}

fn default_telephoning() -> String {
    "I'm calling one of our people for you now. If they can't take your call, you'll be back with me.".to_owned()
}

fn default_leaving() -> String {
    "I'm putting you through now. Please stay on the line.".to_owned()
}

fn default_telephone_missed() -> String {
    "I could not reach anybody there. You can stay on the line for the next person, press one to leave a message, or \
     press two to be called back."
        .to_owned()
}

fn default_joining() -> String {
    "{name} is joining us now.".to_owned()
}

fn default_joining_unnamed() -> String {
    "A colleague is joining us now.".to_owned()
}

fn default_not_reached() -> String {
    "They can't take your call just now. I'm finding somebody else for you. Please stay on the line.".to_owned()
}

fn default_parked() -> String {
    "Please stay on the line. A colleague will be with you in a moment.".to_owned()
}

fn default_parked_too_long() -> String {
    "I'm sorry that this takes so long. You are first in line for the next person. You can also press one to leave a \
     message, or two to be called back."
        .to_owned()
}

fn default_callback_confirm() -> String {
    "We will call you back at {number}. Is that right? Press one for yes, or two to key in another number.".to_owned()
}

fn default_broke_off() -> String {
    "I'm sorry, we had a fault, and the line broke off.".to_owned()
}

fn default_callback_greeting() -> String {
    "Hello, this is {company}. You asked us to call you back.".to_owned()
}

/// A number as it is read back: digit by digit, in groups.
fn read_back(number: &str) -> String {
    let digits: Vec<String> = number.chars().filter(char::is_ascii_digit).map(String::from).collect();
    // The last group may be of four: a single digit by itself sounds like a mistake.
    let mut groups: Vec<String> = digits.chunks(3).map(|group| group.join(" ")).collect();
    if digits.len() % 3 == 1
        && groups.len() > 1
        && let Some(last) = groups.pop()
        && let Some(before) = groups.last_mut()
    {
        before.push(' ');
        before.push_str(&last);
    }
    groups.join(", ")
}

/// The sentences of one configuration.
#[derive(Clone, Debug)]
pub struct Phrases {
    file: File,
    company: String,
    greeting: String,
    greeting_rest: String,
    notice: String,
}

impl Phrases {
    /// Those of `prompts_dir/sentences.toml`, or the ones built in.
    pub fn load(dialog: &DialogConfig, recording: &RecordingConfig) -> Result<Self, PhrasesError> {
        let built_in = include_str!("../../prompts/sentences.toml");
        let (path, text) = if dialog.prompts_dir.as_os_str().is_empty() {
            ("prompts/sentences.toml (built in)".to_owned(), built_in.to_owned())
        } else {
            let path = dialog.prompts_dir.join("sentences.toml");
            let shown = path.display().to_string();
            match read(&path) {
                Ok(text) => (shown, text),
                Err(source) => return Err(PhrasesError::Unreadable { path: shown, source }),
            }
        };
        let file: File = toml::from_str(&text)
            .map_err(|error| PhrasesError::Invalid { path: path.clone(), reason: error.message().to_owned() })?;
        if file.version != 1 {
            let reason = format!("version {} is not known, 1 is", file.version);
            return Err(PhrasesError::Invalid { path, reason });
        }
        let greeting = dialog.greeting.replace("{company}", &dialog.company);
        let (first, rest) = split_first_sentence(&greeting);
        let phrases = Self {
            file,
            company: dialog.company.clone(),
            greeting: first,
            greeting_rest: rest,
            notice: recording.notice.clone(),
        };
        phrases.checked(path)
    }

    /// Those of the language calls are in when nothing else is known: what the configuration says in words is in it. Where
    /// it still says what comes with the program, in English, and the language is another one, that one's own are taken.
    pub fn load_default(config: &Config) -> Result<Self, PhrasesError> {
        let language = config.stt.default_language();
        let own = config.languages.get(language).cloned();
        if own.is_none()
            && (language == Language::ENGLISH
                || !config.dialog.prompts_dir.as_os_str().is_empty()
                || !is_shipped(language))
        {
            return Self::load(&config.dialog, &config.recording);
        }
        let mut own = own.unwrap_or_default();
        let said = |own: &mut String, set: &str, built_in: &str| {
            if own.is_empty() && (set != built_in || language == Language::ENGLISH) {
                set.clone_into(own);
            }
        };
        said(&mut own.greeting, &config.dialog.greeting, &DialogConfig::default().greeting);
        said(&mut own.notice, &config.recording.notice, &RecordingConfig::default().notice);
        Self::load_in(language, &own, &config.dialog, &config.recording)
    }

    /// Those of another language: its file's over the shipped ones.
    pub fn load_in(
        language: Language,
        own: &LanguageConfig,
        dialog: &DialogConfig,
        recording: &RecordingConfig,
    ) -> Result<Self, PhrasesError> {
        let (path, text) = if own.sentences.as_os_str().is_empty() {
            (format!("prompts/sentences.{language}.toml (built in)"), String::new())
        } else {
            let path = own.sentences.display().to_string();
            match read(&own.sentences) {
                Ok(text) => (path, text),
                Err(source) => return Err(PhrasesError::Unreadable { path, source }),
            }
        };
        let invalid = |reason: String| PhrasesError::Invalid { path: path.clone(), reason };
        let table = |text: &str| text.parse::<toml::Table>().map_err(|error| invalid(error.message().to_owned()));
        let mut sentences = table(shipped(language).unwrap_or_default())?;
        sentences.extend(table(&text)?);
        // Nothing is said in English to a caller who does not speak it.
        let needed = table(shipped(Language::GERMAN).unwrap_or_default())?;
        let given = |key: &str| {
            (key == "greeting" && !own.greeting.is_empty())
                || (key == "notice" && (!own.notice.is_empty() || recording.notice.is_empty()))
        };
        let missing: Vec<&str> = needed
            .keys()
            .map(String::as_str)
            .filter(|key| {
                !sentences.contains_key(*key)
                    && !given(key)
                    && (language != Language::ENGLISH || !FIRST_WORDS.contains(key))
            })
            .collect();
        if !missing.is_empty() {
            return Err(invalid(format!("it has no {}", missing.join(", "))));
        }
        let file: File = toml::Value::Table(sentences)
            .try_into()
            .map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
        if file.version != 1 {
            return Err(invalid(format!("version {} is not known, 1 is", file.version)));
        }
        let or = |own: &String, file: &String| if own.is_empty() { file.clone() } else { own.clone() };
        let greeting = or(&own.greeting, &file.greeting).replace("{company}", &dialog.company);
        let (first, rest) = match greeting_parts(&greeting) {
            (first, "") => (first, file.greeting_rest.as_str()),
            parts => parts,
        };
        let rest = if rest.is_empty() { HOW_CAN_I_HELP } else { rest };
        let (greeting, greeting_rest) = (first.to_owned(), rest.to_owned());
        let notice = if recording.notice.is_empty() { String::new() } else { or(&own.notice, &file.notice) };
        let company = dialog.company.clone();
        Self { file, company, greeting, greeting_rest, notice }.checked(path)
    }

    /// Itself, unless one of its sentences is empty.
    fn checked(self, path: String) -> Result<Self, PhrasesError> {
        let phrases = self;
        match phrases.all().into_iter().find(|text| text.trim().is_empty()) {
            Some(_) => Err(PhrasesError::Invalid { path, reason: "a sentence is empty: silence is a bug".to_owned() }),
            None => Ok(phrases),
        }
    }

    /// What `phrase` says.
    pub fn text(&self, phrase: &Phrase) -> String {
        let file = &self.file;
        let text = match phrase {
            Phrase::Greeting => &self.greeting,
            Phrase::Notice => &self.notice,
            Phrase::GreetingRest => &self.greeting_rest,
            Phrase::Repeat => &file.repeat,
            Phrase::Filler => &file.filler,
            Phrase::OfferPerson => &file.offer_person,
            Phrase::Clarify => &file.clarify,
            Phrase::Prompt => &file.prompt,
            Phrase::SilencePrompt => &file.silence_prompt,
            Phrase::TakeYourTime => &file.take_your_time,
            Phrase::Connecting => &file.connecting,
            Phrase::EngineApology => &file.engine_apology,
            Phrase::StillWaiting { position: 0 | 1 } => &file.still_waiting_first,
            Phrase::StillWaiting { position } => {
                return file.still_waiting.replace("{position}", &position.to_string());
            }
            Phrase::Wait { most: 0 | 1, .. } => &file.wait_short,
            Phrase::Wait { about, .. } if *about > LONGEST_WAIT => &file.wait_long,
            Phrase::Wait { about, most } => {
                let text = if *about <= 1 { &file.wait_one } else { &file.wait };
                // "Less than" is more than "about", however short the band is.
                let most = (*most).max(about + 1).max(2);
                return text.replace("{about}", &about.to_string()).replace("{most}", &most.to_string());
            }
            Phrase::QueueMessage { text } => return text.clone(),
            Phrase::NobodyAvailable => &file.nobody_available,
            Phrase::Telephoning => &file.telephoning,
            Phrase::Leaving => &file.leaving,
            Phrase::TelephoneMissed => &file.telephone_missed,
            Phrase::Introduction { name } if name.trim().is_empty() => &file.introduction_unnamed,
            Phrase::Introduction { name } => return file.introduction.replace("{name}", name),
            Phrase::Joining { name } if name.trim().is_empty() => &file.joining_unnamed,
            Phrase::Joining { name } => return file.joining.replace("{name}", name),
            Phrase::NotReached => &file.not_reached,
            Phrase::Parked => &file.parked,
            Phrase::ParkedTooLong => &file.parked_too_long,
            Phrase::AgentLost => &file.agent_lost,
            Phrase::Requeued => &file.requeued,
            Phrase::MessagePrompt => &file.message_prompt,
            Phrase::MessageSaved => &file.message_saved,
            Phrase::MessageEmpty => &file.message_empty,
            Phrase::CallbackConfirm { number } => {
                return file.callback_confirm.replace("{number}", &read_back(number.reveal()));
            }
            Phrase::CallbackBooked => &file.callback_booked,
            Phrase::BrokeOff => &file.broke_off,
            Phrase::CallbackGreeting => &file.callback_greeting,
            Phrase::CallbackNumber => &file.callback_number,
            Phrase::CallbackInvalid => &file.callback_invalid,
            Phrase::BackToAssistant => &file.back_to_assistant,
            Phrase::IsAssistant => &file.is_assistant,
            Phrase::Goodbye => &file.goodbye,
            Phrase::Stopping => &file.stopping,
            Phrase::Switched => &file.switched,
        };
        text.replace("{company}", &self.company)
    }

    /// Every sentence that can be synthesised before it is needed, the greeting first.
    pub fn all(&self) -> Vec<String> {
        self.prepared().iter().map(|phrase| self.text(phrase)).collect()
    }

    /// The same as what they are.
    pub fn prepared(&self) -> Vec<Phrase> {
        let mut phrases = vec![
            Phrase::Greeting,
            Phrase::GreetingRest,
            Phrase::Connecting,
            Phrase::EngineApology,
            Phrase::NobodyAvailable,
            Phrase::Wait { about: 1, most: 1 },
            Phrase::Telephoning,
            Phrase::Leaving,
            Phrase::TelephoneMissed,
            Phrase::Repeat,
            Phrase::Filler,
            Phrase::OfferPerson,
            Phrase::Clarify,
            Phrase::Prompt,
            Phrase::SilencePrompt,
            Phrase::TakeYourTime,
            Phrase::IsAssistant,
            Phrase::NotReached,
            Phrase::Parked,
            Phrase::ParkedTooLong,
            Phrase::AgentLost,
            Phrase::Requeued,
            Phrase::MessagePrompt,
            Phrase::MessageSaved,
            Phrase::MessageEmpty,
            Phrase::CallbackBooked,
            Phrase::CallbackGreeting,
            Phrase::BrokeOff,
            Phrase::CallbackNumber,
            Phrase::CallbackInvalid,
            Phrase::BackToAssistant,
            Phrase::Goodbye,
            Phrase::Stopping,
            Phrase::Switched,
            Phrase::Introduction { name: String::new() },
        ];
        if !self.notice.is_empty() {
            phrases.insert(1, Phrase::Notice);
        }
        phrases.extend((1..=PLACES_PREPARED).map(|position| Phrase::StillWaiting { position }));
        phrases
    }
}

fn offer_person() -> String {
    "I'm not sure I understood. Would you like to speak with a person?".to_owned()
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// What a greeting of one sentence goes on with.
const HOW_CAN_I_HELP: &str = "How can I help you?";
/// Sentences that English takes from the configuration.
const FIRST_WORDS: &[&str] = &["greeting", "greeting_rest", "notice"];

/// The greeting's first sentence says who speaks and is not interrupted; the rest may be.
fn split_first_sentence(text: &str) -> (String, String) {
    match greeting_parts(text) {
        (first, "") => (first.to_owned(), HOW_CAN_I_HELP.to_owned()),
        (first, rest) => (first.to_owned(), rest.to_owned()),
    }
}

fn greeting_parts(text: &str) -> (&str, &str) {
    let end = text.find(['.', '!', '?']).map_or(text.len(), |at| at + 1);
    let (first, rest) = text.split_at(end);
    (first.trim(), rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_sentences_are_whole() {
        let phrases = Phrases::load(&DialogConfig::default(), &RecordingConfig::default()).expect("valid");
        for text in phrases.all() {
            assert!(!text.contains('{'), "{text}");
        }
        assert_eq!(
            phrases.text(&Phrase::Introduction { name: "Ann".to_owned() }),
            "I'm putting you through to Ann now."
        );
        assert!(phrases.text(&Phrase::Greeting).contains("automated assistant of Larkfield"));
        let confirm = phrases.text(&Phrase::CallbackConfirm { number: "+15005550123".to_owned().into() });
        assert!(confirm.contains("at 1 5 0, 0 5 5, 5 0 1, 2 3."), "{confirm}");
        assert_eq!(read_back("5551234"), "5 5 5, 1 2 3 4");
        assert_eq!((read_back(""), read_back("1")), (String::new(), "1".to_owned()));
    }

    #[test]
    fn a_wait_is_told_with_its_band() {
        let phrases = Phrases::load(&DialogConfig::default(), &RecordingConfig::default()).expect("valid");
        for (about, most, said) in [
            (1, 1, "less than a minute."),
            (1, 2, "about a minute, and less than 2 minutes for"),
            (2, 2, "about 2 minutes, and less than 3 for"),
            (4, 9, "about 4 minutes, and less than 9 for"),
            (61, 90, "more than an hour."),
        ] {
            let text = phrases.text(&Phrase::Wait { about, most });
            assert!(text.contains(said) && !text.contains('{'), "{about} {most}: {text}");
        }
    }

    #[test]
    fn a_missing_sentence_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("sentences.toml"), "version = 1\nrepeat = \"What?\"\n").expect("written");
        let dialog = DialogConfig { prompts_dir: folder.path().to_owned(), ..DialogConfig::default() };
        let error = Phrases::load(&dialog, &RecordingConfig::default()).expect_err("incomplete").to_string();
        assert!(error.contains("clarify") && error.contains("sentences.toml"), "{error}");
    }

    /// The names in braces of a sentence.
    fn placeholders(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_shipped_language_says_everything_with_the_same_placeholders() {
        let table = |language| shipped(language).expect("shipped").parse::<toml::Table>().expect("TOML");
        let english = table(Language::ENGLISH);
        let text = |table: &toml::Table, key: &str| table[key].as_str().unwrap_or_default().to_owned();
        for language in [Language::GERMAN, Language::SPANISH, Language::FRENCH] {
            let other = table(language);
            for key in english.keys() {
                assert!(other.contains_key(key), "{language} has no {key}");
                assert_eq!(placeholders(&text(&english, key)), placeholders(&text(&other, key)), "{language}: {key}");
                assert!(key == "version" || text(&english, key) != text(&other, key), "{language}: {key} is English");
            }
            for key in other.keys() {
                assert!(
                    english.contains_key(key) || FIRST_WORDS.contains(&key.as_str()),
                    "{language}: {key} is unknown"
                );
            }
            let (dialog, recording) = (DialogConfig::default(), RecordingConfig::default());
            let phrases = Phrases::load_in(language, &LanguageConfig::default(), &dialog, &recording).expect("valid");
            assert!(phrases.all().iter().all(|text| !text.contains('{') && !text.trim().is_empty()), "{language}");
            assert!(phrases.text(&Phrase::Greeting).contains("Larkfield"));
            assert_ne!(phrases.text(&Phrase::GreetingRest), HOW_CAN_I_HELP);
        }
    }

    #[test]
    fn a_language_without_shipped_sentences_must_have_them_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sentences = folder.path().join("it.toml");
        std::fs::write(&sentences, "version = 1\nrepeat = \"Come?\"\n").expect("written");
        let own = LanguageConfig { sentences: sentences.clone(), ..LanguageConfig::default() };
        let (dialog, recording) = (DialogConfig::default(), RecordingConfig::default());
        let italian = Language::parse("it").expect("a language");
        let error = Phrases::load_in(italian, &own, &dialog, &recording).expect_err("incomplete").to_string();
        assert!(error.contains("clarify") && error.contains("greeting") && !error.contains("repeat"), "{error}");
        let german = Phrases::load_in(Language::GERMAN, &own, &dialog, &recording).expect("the rest is shipped");
        assert_eq!(german.text(&Phrase::Repeat), "Come?");
        assert_eq!(german.text(&Phrase::Filler), "Einen Moment, bitte.");
    }

    #[test]
    fn the_default_language_may_be_another_one() {
        let config = |text: &str| Config::parse(text, std::iter::empty()).expect("valid");
        let said = |text: &str| Phrases::load_default(&config(text)).expect("valid").text(&Phrase::Greeting);
        assert!(said("").starts_with("Hello"));
        assert!(said("[stt]\nlanguage = \"de\"\n").starts_with("Guten Tag"));
        assert!(said("[stt]\nlanguage = \"de\"\n[dialog]\ngreeting = \"Moin. Was gibt es?\"\n").starts_with("Moin"));
    }
}
