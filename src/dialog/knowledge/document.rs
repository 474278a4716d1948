//! PURE. Documents that were not written for us, as entries: an HTML page or the text of a PDF is cut at its headings, and
//! each part becomes an entry.
//!
//! - A heading that is a question ("How long is the warranty?") is one callers ask, and the first sentences below it are
//!   spoken word for word, up to [`SPOKEN`] characters. Whoever puts the document into the knowledge base approves them.
//! - Below any other heading nothing is approved: without a model the part is found and shown to people, with one it may
//!   pick a sentence of it.
//! - `<html lang>` is the entry's language, `<meta name="audience">` its audience.
//!
//! Navigation, scripts, forms and footers are left out, and so are lines a PDF repeats on every page.

use std::collections::HashMap;

use html5gum::{Token, Tokenizer};

use super::semantic::sentences;
use super::{Answer, Entry};

/// Longest text spoken word for word, in characters: about twenty seconds.
pub(super) const SPOKEN: usize = 300;
/// Longest body of an entry, in characters.
const BODY: usize = 2_000;
/// Most entries of one document.
const MOST_ENTRIES: usize = 500;
/// Longest heading, in characters: what is longer is text.
const HEADING: usize = 120;
/// A line that stands on so many pages belongs to the paper, not to the text.
const REPEATED: usize = 3;

/// A document, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// What it calls itself.
    pub title: Option<String>,
    /// Its language, two letters.
    pub language: Option<String>,
    /// Whom it is for.
    pub audience: Option<String>,
    /// Its parts, in order.
    pub sections: Vec<Section>,
}

/// A heading and what stands below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The heading; empty before the first one.
    pub heading: String,
    /// In order, white space made plain.
    pub paragraphs: Vec<String>,
}

/// Nothing in these is text for a caller.
const SKIPPED: &[&str] =
    &["script", "style", "noscript", "template", "nav", "footer", "aside", "form", "svg", "select", "button", "iframe"];
const HEADINGS: &[&str] = &["h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt"];
/// Where these begin or end, a paragraph does.
const BLOCKS: &[&str] = &[
    "p",
    "li",
    "div",
    "br",
    "tr",
    "dd",
    "dl",
    "ul",
    "ol",
    "table",
    "section",
    "article",
    "main",
    "header",
    "blockquote",
    "details",
    "figure",
    "figcaption",
    "hr",
    "body",
    "caption",
    "pre",
    "address",
];

/// Takes an HTML page apart. Whatever it is given, it gives back what it could read.
pub fn html(page: &str) -> Document {
    let mut reader = PageReader::default();
    for token in Tokenizer::new(page) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let attribute = |name: &str| {
                    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).trim().to_owned())
                };
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                match name.as_str() {
                    "html" => reader.document.language = attribute("lang").and_then(|lang| two_letters(&lang)),
                    "meta" if attribute("name").is_some_and(|name| name.eq_ignore_ascii_case("audience")) => {
                        reader.document.audience = attribute("content").filter(|value| !value.is_empty());
                    }
                    _ => reader.open(&name, tag.self_closing),
                }
            }
            Token::EndTag(tag) => reader.close(&String::from_utf8_lossy(&tag.name)),
            Token::String(text) => reader.text(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    reader.finish()
}

/// `en` of `en-US`.
pub(super) fn two_letters(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    (primary.len() == 2 && primary.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(primary)
}

#[derive(Default)]
struct PageReader {
    document: Document,
    section: Section,
    /// Text since the last block began.
    current: String,
    /// The element whose inside is left out, and how deep in it we are.
    skipped: Option<(String, u32)>,
    /// The heading element we are in.
    heading: Option<String>,
    in_title: bool,
}

impl PageReader {
    fn open(&mut self, name: &str, self_closing: bool) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += u32::from(skipped == name && !self_closing);
            return;
        }
        if SKIPPED.contains(&name) {
            self.skipped = (!self_closing).then(|| (name.to_owned(), 1));
        } else if name == "title" {
            self.in_title = true;
        } else if HEADINGS.contains(&name) {
            self.paragraph();
            self.heading = Some(name.to_owned());
        } else if BLOCKS.contains(&name) && self.heading.is_none() {
            self.paragraph();
        } else if ["td", "th"].contains(&name) && !self.current.trim().is_empty() {
            self.current.push_str(", ");
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= u32::from(skipped == name);
            if *depth == 0 {
                self.skipped = None;
            }
            return;
        }
        if name == "title" {
            let title = plain(&std::mem::take(&mut self.current));
            self.document.title = Some(title).filter(|title| !title.is_empty());
            self.in_title = false;
        } else if self.heading.as_deref() == Some(name) {
            self.heading = None;
            let heading = plain(&std::mem::take(&mut self.current));
            self.begin(heading);
        } else if BLOCKS.contains(&name) && self.heading.is_none() {
            self.paragraph();
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_none() {
            self.current.push_str(text);
        }
    }

    fn paragraph(&mut self) {
        if self.in_title {
            return;
        }
        let text = plain(&std::mem::take(&mut self.current));
        if !text.is_empty() {
            self.section.paragraphs.push(text);
        }
    }

    fn begin(&mut self, heading: String) {
        let done = std::mem::replace(&mut self.section, Section { heading, paragraphs: Vec::new() });
        self.document.sections.push(done);
    }

    fn finish(mut self) -> Document {
        self.paragraph();
        self.begin(String::new());
        self.document.sections.retain(|section| !section.paragraphs.is_empty());
        self.document
    }
}

/// Takes the text of a PDF apart, page by page: blank lines part blocks, a short line that ends like no sentence is a
/// heading, and so is a short question.
pub fn pages(pages: &[String]) -> Document {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for line in pages.iter().flat_map(|page| page.lines()).map(str::trim) {
        *seen.entry(line).or_default() += 1;
    }
    let belongs_to_paper =
        |line: &str| line.chars().all(|c| c.is_ascii_digit()) || (pages.len() >= REPEATED && seen[line] >= REPEATED);
    let mut document = Document::default();
    let mut section = Section::default();
    for page in pages {
        for block in page.split("\n\n") {
            let lines = block.lines().map(str::trim).filter(|line| !line.is_empty() && !belongs_to_paper(line));
            let mut lines = lines.peekable();
            let Some(first) = lines.peek().copied() else { continue };
            if is_heading(first) {
                lines.next();
                let next = Section { heading: plain(first), paragraphs: Vec::new() };
                document.keep(std::mem::replace(&mut section, next));
            }
            let text = join_lines(lines);
            if !text.is_empty() {
                section.paragraphs.push(text);
            }
        }
    }
    document.keep(section);
    document
}

impl Document {
    /// Adds a part of a PDF. A line with nothing below it was no heading: the first is the title, others are text.
    fn keep(&mut self, section: Section) {
        if self.title.is_none() && !section.heading.is_empty() {
            self.title = Some(section.heading.clone());
        }
        match self.sections.last_mut() {
            _ if !section.paragraphs.is_empty() => self.sections.push(section),
            Some(last) if !section.heading.is_empty() => last.paragraphs.push(section.heading),
            _ => {}
        }
    }
}

fn is_heading(line: &str) -> bool {
    let begins = line.chars().next().is_some_and(|c| c.is_uppercase() || c.is_ascii_digit());
    let ends_like_a_sentence = line.ends_with(['.', ',', ';', ':', '!', '-']);
    begins && !ends_like_a_sentence && line.chars().count() <= HEADING / 2 && line.chars().any(char::is_alphabetic)
}

/// Lines of one paragraph; a word that was parted at the end of a line is whole again.
fn join_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines {
        let parted = text.ends_with('-') && line.starts_with(char::is_lowercase);
        if parted {
            text.pop();
        } else if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    plain(&text)
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The document's entries; `id` is that of the file.
pub fn entries(id: &str, document: &Document) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for section in &document.sections {
        let heading = section.heading.trim();
        let too_long = heading.chars().count() > HEADING;
        let title = match heading {
            "" => document.title.as_deref().unwrap_or(id),
            _ if too_long => document.title.as_deref().unwrap_or(id),
            heading => heading,
        };
        let is_question = !too_long && heading.ends_with('?');
        let approved = if is_question { opening(&section.paragraphs[0]) } else { String::new() };
        let answers = if approved.is_empty() {
            Vec::new()
        } else {
            vec![Answer { approved, also_asked: vec![heading.to_owned()] }]
        };
        for (number, body) in bodies(&section.paragraphs).into_iter().enumerate() {
            entries.push(Entry {
                id: unique(&entries, &format!("{id}#{}", slug(title))),
                title: title.to_owned(),
                keywords: Vec::new(),
                // They belong to the beginning.
                answers: if number == 0 { answers.clone() } else { Vec::new() },
                related: Vec::new(),
                body,
                language: document.language.clone(),
                audience: document.audience.clone(),
                chore: false,
            });
        }
        if entries.len() > MOST_ENTRIES {
            return Err(format!("has more than {MOST_ENTRIES} parts"));
        }
    }
    if entries.is_empty() { Err("has no text that could be read".to_owned()) } else { Ok(entries) }
}

/// Whole sentences from the beginning, as many as may be spoken at once; none when not even the first fits.
fn opening(paragraph: &str) -> String {
    let mut said = String::new();
    for sentence in sentences(paragraph) {
        if said.chars().count() + sentence.chars().count() + 1 > SPOKEN {
            break;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(sentence);
    }
    ended(&said)
}

/// Paragraphs put together to bodies that fit a prompt, cut between sentences.
fn bodies(paragraphs: &[String]) -> Vec<String> {
    let mut bodies = vec![String::new()];
    for paragraph in paragraphs {
        for sentence in sentences(&ended(paragraph)) {
            // A sentence longer than any body is cut.
            let sentence: String = sentence.chars().take(BODY).collect();
            let last = bodies.last_mut().expect("there is always one");
            if !last.is_empty() && last.chars().count() + 1 + sentence.chars().count() > BODY {
                bodies.push(sentence);
                continue;
            }
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&sentence);
        }
    }
    bodies.retain(|body| !body.is_empty());
    bodies
}

/// With a full stop where there is no end: an item of a list and the next are two sentences.
fn ended(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(8).map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

fn unique(entries: &[Entry], id: &str) -> String {
    let taken = |id: &str| entries.iter().any(|entry| entry.id == id);
    if !taken(id) {
        return id.to_owned();
    }
    (2..).map(|number| format!("{id}-{number}")).find(|id| !taken(id)).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html><html lang="en-GB"><head><title>Help &amp; answers</title>
        <meta name=audience content=agents><style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
        <body><nav><a href=/>Home</a></nav><h1>Garden furniture</h1><p>We make it ourselves.
        <h2>How long is the <em>warranty</em>?</h2><p>It is 24&nbsp;months. It covers faults of material, not rust.</p>
        <ul><li>Tables</li><li>Chairs</li></ul>
        <details><summary>Can I return a bench?</summary>Yes, within 30 days.</details>
        <h2>Prices</h2><table><tr><th>Bench<td>$120</tr><tr><th>Table<td>$90</tr></table>
        <footer>Imprint</footer></body>"#;

    #[test]
    fn a_page_is_cut_at_its_headings() {
        let document = html(PAGE);
        assert_eq!(document.title.as_deref(), Some("Help & answers"));
        assert_eq!((document.language.as_deref(), document.audience.as_deref()), (Some("en"), Some("agents")));
        let sections: Vec<(&str, Vec<&str>)> = document
            .sections
            .iter()
            .map(|section| (section.heading.as_str(), section.paragraphs.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            sections,
            [
                ("Garden furniture", vec!["We make it ourselves."]),
                (
                    "How long is the warranty?",
                    vec!["It is 24 months. It covers faults of material, not rust.", "Tables", "Chairs"]
                ),
                ("Can I return a bench?", vec!["Yes, within 30 days."]),
                ("Prices", vec!["Bench, $120", "Table, $90"]),
            ]
        );
    }

    #[test]
    fn questions_are_asked_and_what_follows_is_spoken() {
        let entries = entries("help", &html(PAGE)).expect("entries");
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(
            ids,
            ["help#garden-furniture", "help#how-long-is-the-warranty", "help#can-i-return-a-bench", "help#prices"]
        );
        let warranty = &entries[1];
        assert_eq!(warranty.answers[0].also_asked, ["How long is the warranty?"]);
        assert_eq!(warranty.answers[0].approved, "It is 24 months. It covers faults of material, not rust.");
        assert_eq!(warranty.body, "It is 24 months. It covers faults of material, not rust. Tables. Chairs.");
        assert!(entries[0].answers.is_empty() && entries[3].answers.is_empty(), "nobody approved those");
        assert_eq!(entries[3].body, "Bench, $120. Table, $90.");
    }

    #[test]
    fn long_parts_become_several_and_none_is_lost() {
        let sentence = "Every bench is tested by two people who sit on it. ";
        let page = format!("<h2>Tests</h2><p>{}</p><h2>Tests</h2><p>Again.</p>", sentence.repeat(100));
        let entries = entries("t", &html(&page)).expect("entries");
        assert!(entries.len() > 3 && entries.iter().all(|entry| entry.body.chars().count() <= BODY));
        assert_eq!(entries.iter().map(|entry| entry.body.matches("tested").count()).sum::<usize>(), 100);
        let mut ids: Vec<&String> = entries.iter().map(|entry| &entry.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), entries.len(), "ids differ");
        assert!(super::entries("t", &html("<p> </p>")).is_err());
    }

    #[test]
    fn pages_of_a_pdf_are_cut_at_lines_that_stand_alone() {
        let page = |text: &str, number: u32| format!("Larkfield Garden\n\n{text}\n\n{number}\n");
        let pages = [
            page("Returns\n\nYou may send plants back within thir-\nty days. Keep the pot.", 1),
            page("What if it arrives broken?\nWe send another one. Call us first.", 2),
            page("It must reach us within two days", 3),
        ];
        let document = super::pages(&pages);
        assert_eq!(document.title.as_deref(), Some("Returns"));
        assert_eq!(document.sections[0].paragraphs, ["You may send plants back within thirty days. Keep the pot."]);
        assert_eq!(document.sections[1].heading, "What if it arrives broken?");
        assert_eq!(document.sections[1].paragraphs[1], "It must reach us within two days", "nothing is lost");
        let entries = super::entries("returns", &document).expect("entries");
        assert_eq!(entries[1].answers[0].approved, "We send another one. Call us first.");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_page_holds_is_read(page in "[<>/a-z0-9 \"=&;?.!-]{0,400}") {
            if let Ok(entries) = entries("x", &html(&page)) {
                proptest::prop_assert!(entries.iter().all(|entry| !entry.body.is_empty() && !entry.title.is_empty()));
            }
            let _ = pages(&[page]);
        }
    }
}
