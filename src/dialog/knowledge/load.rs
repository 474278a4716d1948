//! Reading entries: what is wrong names the file and, where there is one, the line.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::document::{self, Document, SPOKEN};
use super::{Answer, Entry};

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/knowledge");

/// Longest document, in bytes.
const DOCUMENT_BYTES: u64 = 32 * 1_024 * 1_024;
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
    /// A document can't be made entries of.
    #[error("knowledge document {file}: {reason}")]
    Document {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A page somewhere else can't be used.
    #[error("knowledge page {url}: {reason}")]
    Page {
        /// Where.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Two entries have the same name.
    #[error("two knowledge entries are named {id}")]
    Twice {
        /// It.
        id: String,
    },
    /// The folder has no entry.
    #[error("knowledge folder {} has no .md, .html or .pdf file", path.display())]
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
    language: Option<String>,
    audience: Option<String>,
}

/// What a document does not say itself: `returns.pdf.toml` beside `returns.pdf`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Aside {
    title: Option<String>,
    language: Option<String>,
    audience: Option<String>,
    keywords: Vec<String>,
}

/// What a file or a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An entry of ours, with front matter.
    Markdown,
    /// A page.
    Html,
    /// A PDF with text in it, not a scan.
    Pdf,
}

impl Format {
    /// By the ending of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        match ending.as_str() {
            "md" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    /// By a `Content-Type`.
    pub fn of_type(kind: &str) -> Option<Self> {
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "text/markdown" => Some(Self::Markdown),
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            "application/pdf" => Some(Self::Pdf),
            _ => None,
        }
    }
}

/// The entries in `bytes`, which came from `shown`. Blocking: a long PDF takes a second.
pub fn read_document(shown: &str, id: &str, format: Format, bytes: &[u8]) -> Result<Vec<Entry>, KnowledgeError> {
    document_entries(shown, id, format, bytes, Aside::default())
}

fn document_entries(
    shown: &str,
    id: &str,
    format: Format,
    bytes: &[u8],
    aside: Aside,
) -> Result<Vec<Entry>, KnowledgeError> {
    let wrong = |reason: String| KnowledgeError::Document { file: shown.to_owned(), reason };
    let mut document = match format {
        Format::Markdown => return Ok(vec![parse(shown, id, &String::from_utf8_lossy(bytes))?]),
        Format::Html => document::html(&String::from_utf8_lossy(bytes)),
        Format::Pdf => pdf(bytes).map_err(wrong)?,
    };
    document.title = aside.title.or(document.title);
    document.language = aside.language.or(document.language);
    document.audience = aside.audience.or(document.audience);
    let mut entries = document::entries(id, &document).map_err(wrong)?;
    entries.iter_mut().for_each(|entry| entry.keywords.clone_from(&aside.keywords));
    Ok(entries)
}

fn pdf(bytes: &[u8]) -> Result<Document, String> {
    // The library panics on some broken files; a file of the operator's must not end the server.
    let read = std::panic::catch_unwind(|| pdf_extract::extract_text_from_mem_by_pages(bytes));
    let pages = read.map_err(|_| "is no PDF that can be read".to_owned())?.map_err(|error| error.to_string())?;
    Ok(document::pages(&pages))
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
    let mut entries = Vec::new();
    for path in &paths {
        let shown = path.display().to_string();
        let Some(format) = Format::of_name(&shown) else { continue };
        if path.metadata().map_err(unreadable(path))?.len() > DOCUMENT_BYTES {
            let reason = format!("is longer than {DOCUMENT_BYTES} bytes");
            return Err(KnowledgeError::Document { file: shown, reason });
        }
        let bytes = std::fs::read(path).map_err(unreadable(path))?;
        entries.extend(document_entries(&shown, &stem(path), format, &bytes, aside(path)?)?);
    }
    Ok(entries)
}

/// What stands beside a document.
fn aside(path: &Path) -> Result<Aside, KnowledgeError> {
    let file = PathBuf::from(format!("{}.toml", path.display()));
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Aside::default()),
        Err(source) => return Err(KnowledgeError::Unreadable { path: file, source }),
    };
    let wrong = |error: toml::de::Error| KnowledgeError::Document {
        file: file.display().to_string(),
        reason: error.message().to_owned(),
    };
    toml::from_str(&text).map_err(wrong)
}

fn is_entry(path: &Path) -> bool {
    let named = path.file_name().and_then(|name| Format::of_name(&name.to_string_lossy()));
    named.is_some() && path.file_stem().is_some_and(|stem| stem != "README")
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
        if length > SPOKEN {
            let reason = format!("approved has {length} characters, at most {SPOKEN} can be spoken");
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
        language: matter.language.map(|language| language.trim().to_ascii_lowercase()),
        audience: matter.audience,
        chore: false,
    })
}
