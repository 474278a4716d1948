//! Prompts are files: front matter says version, inputs and output contract, the rest is a template. Rendered strictly: a
//! variable that is not there is an error at start-up, not a hole in a prompt.
//!
//! Messages go from stable to new, so that a model evaluates only what changed: instructions and the best entry's notes
//! first (byte-identical for every call that asks about it), then the conversation, then the question.

use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::history::History;
use super::knowledge::{Entry, Knowledge};
use crate::config::DialogConfig;
use crate::engine::llm::{ChatMessage, Role};

const ASSISTANT: &str = "assistant.md";
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
        let built_in = include_str!("../../prompts/assistant.md");
        let (path, text) = if config.prompts_dir.as_os_str().is_empty() {
            (format!("prompts/{ASSISTANT} (built in)"), built_in.to_owned())
        } else {
            let path = config.prompts_dir.join(ASSISTANT);
            (path.display().to_string(), read(&path)?)
        };
        let invalid = |reason: String| PromptError::Invalid { path: path.clone(), reason };
        let (version, template) = front_matter(&text).map_err(invalid)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(ASSISTANT, template)
            .map_err(|error| PromptError::Invalid { path: path.clone(), reason: error.to_string() })?;
        let prompts = Self { environment, company: config.company.clone(), version };
        prompts.system(&[]).map_err(|error| PromptError::Invalid { path, reason: error.to_string() })?;
        Ok(prompts)
    }

    fn system(&self, notes: &[&Entry]) -> Result<String, minijinja::Error> {
        let note = |entry: &&Entry| Value::from_pairs([("title", entry.title.as_str()), ("body", entry.body.trim())]);
        let notes: Vec<Value> = notes.iter().map(note).collect();
        self.environment.get_template(ASSISTANT)?.render(context! { company => self.company.as_str(), notes => notes })
    }

    /// The prompt for `question`, backed by `notes`, best first.
    pub fn chat(&self, notes: &[&Entry], history: &History, question: &str) -> Result<Vec<ChatMessage>, PromptError> {
        let system = self.system_message(notes)?;
        let mut messages = vec![system];
        messages.extend(history.messages().cloned());
        // The question is the last of the caller's words already when the history was kept to date.
        match messages.last_mut() {
            Some(last) if last.role == Role::User => question.clone_into(&mut last.content),
            _ => messages.push(ChatMessage { role: Role::User, content: question.to_owned() }),
        }
        Ok(messages)
    }

    fn system_message(&self, notes: &[&Entry]) -> Result<ChatMessage, PromptError> {
        let content = self
            .system(notes)
            .map_err(|error| PromptError::Invalid { path: ASSISTANT.to_owned(), reason: error.to_string() })?;
        Ok(ChatMessage { role: Role::System, content })
    }

    /// The beginnings of all prompts there can be with one note, to be evaluated before they are needed.
    pub fn prefixes(&self, knowledge: &Knowledge) -> Result<Vec<Vec<ChatMessage>>, PromptError> {
        knowledge.entries().iter().map(|entry| Ok(vec![self.system_message(&[entry])?])).collect()
    }
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
