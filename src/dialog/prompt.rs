//! Prompts are files: front matter says version, inputs and output contract, the rest is a template. Rendered strictly: a
//! variable that is not there is an error at start-up, not a hole in a prompt.
//!
//! Messages go from stable to new, so that a model evaluates only what changed: instructions and the best entry's notes
//! first (byte-identical for every call that asks about it), then the conversation, then the question.

use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::history::History;
use super::knowledge::{Entry, Knowledge};
use crate::config::{DialogConfig, Wording};
use crate::engine::llm::{ChatMessage, Role};

const ASSISTANT: &str = "assistant.md";
const CHOOSE: &str = "choose.md";
const MINUTES: &str = "minutes.md";
const TOOLS: &str = "tools.md";
/// The letter that stands for none of the answers.
pub const NONE_FITS: char = 'N';
/// A question before this one is shown when the caller's words are no longer than this.
const SHORT_QUESTION: usize = 60;
/// What the assistant prompt tells the model to say when the notes do not answer.
pub const NOT_IN_NOTES: &str = "not in notes";

/// Why a prompt can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The file can't be read.
    #[error("prompt {path} can't be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The front matter or the template is wrong.
    #[error("prompt {path} can't be used: {reason}")]
    Invalid {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The prompts of one configuration.
#[derive(Debug)]
pub struct Prompts {
    environment: Environment<'static>,
    company: String,
    /// The assistant prompt's version, for records.
    pub version: String,
}

impl Prompts {
    /// Those of `dialog.prompts_dir`, or the ones built in; each is rendered once to see that it can be.
    pub fn load(config: &DialogConfig) -> Result<Self, PromptError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut versions = Vec::new();
        for (name, built_in) in [
            (ASSISTANT, include_str!("../../prompts/assistant.md")),
            (CHOOSE, include_str!("../../prompts/choose.md")),
            (MINUTES, include_str!("../../prompts/minutes.md")),
            (TOOLS, include_str!("../../prompts/tools.md")),
        ] {
            let (path, text) = source(config, name, built_in)?;
            let invalid = |reason: String| PromptError::Invalid { path: path.clone(), reason };
            let (version, template) = front_matter(&text).map_err(invalid)?;
            environment.add_template_owned(name, template).map_err(|error| invalid(error.to_string()))?;
            versions.push(version);
        }
        let prompts = Self { environment, company: config.company.clone(), version: versions.join(".") };
        let invalid = |name: &str, error: minijinja::Error| PromptError::Invalid {
            path: if config.prompts_dir.as_os_str().is_empty() {
                format!("prompts/{name} (built in)")
            } else {
                config.prompts_dir.join(name).display().to_string()
            },
            reason: error.to_string(),
        };
        prompts.system(&[]).map_err(|error| invalid(ASSISTANT, error))?;
        prompts.options("x", &["y".to_owned()]).map_err(|error| invalid(CHOOSE, error))?;
        prompts.minutes_system().map_err(|error| invalid(MINUTES, error))?;
        prompts.tools_system().map_err(|error| invalid(TOOLS, error))?;
        Ok(prompts)
    }

    fn options(&self, title: &str, options: &[String]) -> Result<String, minijinja::Error> {
        let options: Vec<Value> = Self::letters(options.len())
            .into_iter()
            .zip(options)
            .map(|(letter, text)| Value::from_pairs([("letter", letter.to_string()), ("text", text.clone())]))
            .collect();
        let company = self.company.as_str();
        self.environment.get_template(CHOOSE)?.render(context! { company, title, options })
    }

    /// The letters of `count` answers: `A`, `B` …, without [`NONE_FITS`].
    pub fn letters(count: usize) -> Vec<char> {
        ('A'..='Z').filter(|letter| *letter != NONE_FITS).take(count).collect()
    }

    /// Asks which of an entry's sentences answers `question`. The beginning is the same for every question.
    pub fn choose(&self, entry: &Entry, history: &History, question: &str) -> Result<Vec<ChatMessage>, PromptError> {
        let before = history.caller_words().filter(|words| *words != question).last();
        // As quoted text: what a caller says is no instruction.
        let content = match before.filter(|_| question.len() <= SHORT_QUESTION) {
            Some(before) => format!("Earlier: {before:?}\nNow: {question:?}"),
            None => format!("{question:?}"),
        };
        Ok(vec![self.choose_system(entry)?, ChatMessage { role: Role::User, content }])
    }

    fn choose_system(&self, entry: &Entry) -> Result<ChatMessage, PromptError> {
        let content = self
            .options(&entry.title, &entry.options())
            .map_err(|error| PromptError::Invalid { path: CHOOSE.to_owned(), reason: error.to_string() })?;
        Ok(ChatMessage { role: Role::System, content })
    }

    fn system(&self, notes: &[&Entry]) -> Result<String, minijinja::Error> {
        let note = |entry: &&Entry| Value::from_pairs([("title", entry.title.as_str()), ("body", entry.body.trim())]);
        let notes: Vec<Value> = notes.iter().map(note).collect();
        self.environment.get_template(ASSISTANT)?.render(context! { company => self.company.as_str(), notes => notes })
    }

    /// The prompt for `question`, backed by `notes`, best first.
    pub fn chat(&self, notes: &[&Entry], history: &History, question: &str) -> Result<Vec<ChatMessage>, PromptError> {
        Ok(conversation(self.system_message(notes)?, history, question))
    }

    fn tools_system(&self) -> Result<String, minijinja::Error> {
        self.environment.get_template(TOOLS)?.render(context! { company => self.company.as_str() })
    }

    /// Asks whether one of the tools offered beside it is what the caller wants.
    pub fn tools(&self, history: &History, question: &str) -> Result<Vec<ChatMessage>, PromptError> {
        let content = self
            .tools_system()
            .map_err(|error| PromptError::Invalid { path: TOOLS.to_owned(), reason: error.to_string() })?;
        Ok(conversation(ChatMessage { role: Role::System, content }, history, question))
    }

    fn minutes_system(&self) -> Result<String, minijinja::Error> {
        self.environment.get_template(MINUTES)?.render(context! { company => self.company.as_str() })
    }

    /// Asks for the note about a conversation.
    pub fn minutes(&self, said: &str) -> Result<Vec<ChatMessage>, PromptError> {
        let system = self
            .minutes_system()
            .map_err(|error| PromptError::Invalid { path: MINUTES.to_owned(), reason: error.to_string() })?;
        // As quoted text: what people say is no instruction.
        Ok(vec![
            ChatMessage { role: Role::System, content: system },
            ChatMessage { role: Role::User, content: format!("{said:?}") },
        ])
    }

    fn system_message(&self, notes: &[&Entry]) -> Result<ChatMessage, PromptError> {
        let content = self
            .system(notes)
            .map_err(|error| PromptError::Invalid { path: ASSISTANT.to_owned(), reason: error.to_string() })?;
        Ok(ChatMessage { role: Role::System, content })
    }

    /// The beginnings of all prompts there can be with one entry, to be evaluated before they are needed: those that pick,
    /// and, when the model words its answers, those too.
    pub fn prefixes(&self, knowledge: &Knowledge, wording: Wording) -> Result<Vec<Vec<ChatMessage>>, PromptError> {
        let pick = knowledge.entries().iter().map(|entry| Ok(vec![self.choose_system(entry)?]));
        let word = knowledge.entries().iter().map(|entry| Ok(vec![self.system_message(&[entry])?]));
        pick.chain(word.filter(|_| wording == Wording::Generated)).collect()
    }
}

/// Instructions, what was said so far, and the question.
fn conversation(system: ChatMessage, history: &History, question: &str) -> Vec<ChatMessage> {
    let mut messages = vec![system];
    messages.extend(history.messages().cloned());
    // The question is the last of the caller's words already when the history was kept to date.
    match messages.last_mut() {
        Some(last) if last.role == Role::User => question.clone_into(&mut last.content),
        _ => messages.push(ChatMessage { role: Role::User, content: question.to_owned() }),
    }
    messages
}

/// A prompt as it is written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct PromptFile {
    /// Its file's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it came with the program.
    pub is_built_in: bool,
    /// The template, without what stands before it.
    pub text: String,
}

/// The prompts in force, and the fixed sentences.
pub fn files(config: &DialogConfig) -> Result<Vec<PromptFile>, PromptError> {
    let mut files = Vec::new();
    for (name, built_in) in [
        (ASSISTANT, include_str!("../../prompts/assistant.md")),
        (CHOOSE, include_str!("../../prompts/choose.md")),
        (TOOLS, include_str!("../../prompts/tools.md")),
    ] {
        let (path, text) = source(config, name, built_in)?;
        let (version, text) = front_matter(&text).map_err(|reason| PromptError::Invalid { path, reason })?;
        files.push(PromptFile { name: name.to_owned(), version, is_built_in: text == template_of(built_in), text });
    }
    let folder = &config.prompts_dir;
    let own = folder.join("sentences.toml");
    let is_own = !folder.as_os_str().is_empty() && own.exists();
    let text = if is_own { read(&own)? } else { include_str!("../../prompts/sentences.toml").to_owned() };
    let version = text.lines().find_map(|line| line.strip_prefix("version = ")).unwrap_or("–").trim().to_owned();
    files.push(PromptFile { name: "sentences.toml".to_owned(), version, is_built_in: !is_own, text });
    Ok(files)
}

fn template_of(built_in: &str) -> String {
    front_matter(built_in).map(|(_, template)| template).unwrap_or_default()
}

/// The template of a prompt that no call needs: the one in `dialog.prompts_dir`, or `built_in`.
pub fn template(config: &DialogConfig, name: &str, built_in: &str) -> Result<String, PromptError> {
    let (path, text) = source(config, name, built_in)?;
    match front_matter(&text) {
        Ok((_, template)) => Ok(template),
        Err(reason) => Err(PromptError::Invalid { path, reason }),
    }
}

/// A prompt's path for messages, and its text: the file in `dialog.prompts_dir`, or what is built in.
fn source(config: &DialogConfig, name: &str, built_in: &str) -> Result<(String, String), PromptError> {
    if config.prompts_dir.as_os_str().is_empty() {
        return Ok((format!("prompts/{name} (built in)"), built_in.to_owned()));
    }
    let path = config.prompts_dir.join(name);
    // A folder from before there was this prompt is as good as ever.
    if name != ASSISTANT && !path.exists() {
        return Ok((format!("prompts/{name} (built in)"), built_in.to_owned()));
    }
    Ok((path.display().to_string(), read(&path)?))
}

fn read(path: &Path) -> Result<String, PromptError> {
    std::fs::read_to_string(path).map_err(|source| PromptError::Unreadable { path: path.display().to_string(), source })
}

/// Splits a prompt file into its version and its template. All three fields must be there.
fn front_matter(text: &str) -> Result<(String, String), String> {
    let rest = text.strip_prefix("---\n").ok_or("it has no front matter between two lines of ---")?;
    let (head, body) = rest.split_once("\n---\n").ok_or("its front matter has no end")?;
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .ok_or(format!("its front matter has no {name}"))
    };
    field("inputs")?;
    field("output")?;
    Ok((field("version")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(title: &str, body: &str) -> Entry {
        Entry {
            language: None,
            audience: None,
            chore: false,
            id: title.to_lowercase(),
            title: title.to_owned(),
            keywords: Vec::new(),
            answers: Vec::new(),
            related: Vec::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn one_note_is_a_prefix_of_the_whole_prompt() {
        let prompts = Prompts::load(&DialogConfig::default()).expect("built in");
        let hours = entry("Opening hours", "We open at nine.");
        let mut history = History::default();
        history.caller("Hello");
        history.assistant_heard("Hello, how can I help?");
        let messages = prompts.chat(&[&hours], &history, "When do you open?").expect("renders");
        assert_eq!(messages[0], prompts.system_message(&[&hours]).expect("renders"));
        assert!(
            messages[0].content.contains("Opening hours: We open at nine.")
                && messages[0].content.contains("Larkfield")
        );
        let roles: Vec<_> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User]);
        assert_eq!(messages.last().map(|m| m.content.as_str()), Some("When do you open?"));
    }

    #[test]
    fn a_choice_is_asked_for_with_the_callers_words_as_data() {
        let prompts = Prompts::load(&DialogConfig::default()).expect("built in");
        let hours = entry("Opening hours", "We open at nine. It is the same on Sundays.");
        let mut history = History::default();
        history.caller("And in \"winter\"?");
        let messages = prompts.choose(&hours, &history, "Ignore \"that\"").expect("renders");
        assert_eq!(messages[0], prompts.choose_system(&hours).expect("renders"), "the beginning is the same for all");
        assert!(messages[0].content.contains("A: We open at nine.") && !messages[0].content.contains("B: It is"));
        assert_eq!(messages[1].content, "Earlier: \"And in \\\"winter\\\"?\"\nNow: \"Ignore \\\"that\\\"\"");
        let letters = Prompts::letters(14);
        assert!(letters.len() == 14 && !letters.contains(&NONE_FITS));
    }

    #[test]
    fn a_prompt_that_can_not_be_rendered_is_named_at_start_up() {
        for (text, wanted) in [
            ("Hello", "front matter"),
            ("---\nversion: 1\ninputs: x\n---\nHello", "output"),
            ("---\nversion: 1\ninputs: x\noutput: y\n---\n{{ nobody }}", "undefined"),
        ] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            std::fs::write(folder.path().join(ASSISTANT), text).expect("written");
            let config = DialogConfig { prompts_dir: folder.path().to_owned(), ..DialogConfig::default() };
            let error = Prompts::load(&config).expect_err("unusable").to_string();
            assert!(error.contains(wanted) && error.contains(ASSISTANT), "{error}");
        }
    }
}
