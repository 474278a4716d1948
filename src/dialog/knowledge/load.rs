//! Reading entries: what is wrong names the file and, where there is one, the line.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::{Answer, Entry};

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/knowledge");

/// Longest approved answer, in characters: about twenty seconds of speech.
const APPROVED_LENGTH: usize = 300;
/// Longest body, in characters: it goes into a prompt.
const BODY_LENGTH: usize = 2_000;

/// Why the knowledge base can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// A file or the folder can't be read.
    #[error("knowledge {} can't be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not an entry.
    #[error("knowledge entry {file} line {line}: {reason}")]
    Invalid {
        /// Which file.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The folder has no entry.
    #[error("knowledge folder {} has no .md file", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The index could not be made.
    #[error("knowledge could not be indexed: {reason}")]
    Index {
        /// What the search library said.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    #[serde(default)]
    keywords: Vec<String>,
    approved: String,
    also_asked: Vec<String>,
    #[serde(default)]
    related: Vec<String>,
    #[serde(default)]
    answers: Vec<MoreAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreAnswer {
    approved: String,
    also_asked: Vec<String>,
}

/// The demo company's entries.
pub(super) fn built_in() -> Result<Vec<Entry>, KnowledgeError> {
    let mut files: Vec<_> = BUILT_IN.files().filter(|file| is_entry(file.path())).collect();
    files.sort_by_key(|file| file.path());
    files
        .into_iter()
        .map(|file| {
            let shown = format!("knowledge/{} (built in)", file.path().display());
            parse(&shown, &stem(file.path()), file.contents_utf8().unwrap_or_default())
        })
        .collect()
}

/// The entries of a folder, not of its sub-folders.
pub(super) fn folder(folder: &Path) -> Result<Vec<Entry>, KnowledgeError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| KnowledgeError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = file.map_err(unreadable(folder))?.path();
        if is_entry(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(KnowledgeError::Empty { path: folder.to_owned() });
    }
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
            parse(&path.display().to_string(), &stem(path), &text)
        })
        .collect()
}

fn is_entry(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md") && path.file_stem().is_some_and(|stem| stem != "README")
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The text of the entry `id` in `folder`, or of the demo company's when that is empty; none when there is no such file.
pub fn source(folder: &Path, id: &str) -> std::io::Result<Option<String>> {
    let name = format!("{id}.md");
    if folder.as_os_str().is_empty() {
        return Ok(BUILT_IN.get_file(&name).and_then(|file| file.contents_utf8()).map(str::to_owned));
    }
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One file's text as an entry.
pub fn parse(file: &str, id: &str, text: &str) -> Result<Entry, KnowledgeError> {
    let invalid = |line: usize, reason: String| KnowledgeError::Invalid { file: file.to_owned(), line, reason };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    if lines.next().map(str::trim_end) != Some("+++") {
        return Err(invalid(1, "must begin with a line of +++".to_owned()));
    }
    let mut front = String::new();
    let mut closed = false;
    for line in lines.by_ref() {
        if line.trim_end() == "+++" {
            closed = true;
            break;
        }
        front.push_str(line);
    }
    if !closed {
        return Err(invalid(1, "has no second line of +++".to_owned()));
    }
    let body = lines.collect::<String>().trim().to_owned();
    // Front matter begins on the file's second line.
    let line_of = |at: usize| 2 + front[..at.min(front.len())].matches('\n').count();
    let matter: FrontMatter = toml::from_str(&front).map_err(|error| {
        invalid(error.span().map_or(2, |span| line_of(span.start)), error.message().trim().to_owned())
    })?;
    let line_with =
        |key: &str, nth: usize| front.match_indices(&format!("{key} =")).nth(nth).map_or(2, |(at, _)| line_of(at));
    if matter.title.trim().is_empty() {
        return Err(invalid(line_with("title", 0), "title is empty".to_owned()));
    }
    let mut answers = vec![Answer { approved: matter.approved, also_asked: matter.also_asked }];
    answers
        .extend(matter.answers.into_iter().map(|more| Answer { approved: more.approved, also_asked: more.also_asked }));
    for (nth, answer) in answers.iter().enumerate() {
        if answer.approved.trim().is_empty() {
            return Err(invalid(line_with("approved", nth), "approved is empty".to_owned()));
        }
        let length = answer.approved.chars().count();
        if length > APPROVED_LENGTH {
            let reason = format!("approved has {length} characters, at most {APPROVED_LENGTH} can be spoken");
            return Err(invalid(line_with("approved", nth), reason));
        }
        if !answer.also_asked.iter().any(|phrase| !phrase.trim().is_empty()) {
            return Err(invalid(line_with("also_asked", nth), "also_asked needs at least one question".to_owned()));
        }
    }
    let after_front = line_of(front.len()) + 1;
    if body.is_empty() {
        return Err(invalid(after_front, "has no body".to_owned()));
    }
    if body.chars().count() > BODY_LENGTH {
        let reason = format!("the body has {} characters, at most {BODY_LENGTH} fit a prompt", body.chars().count());
        return Err(invalid(after_front, reason));
    }
    Ok(Entry {
        id: id.to_owned(),
        title: matter.title.trim().to_owned(),
        keywords: matter.keywords,
        answers,
        related: matter.related,
        body: body.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}
