//! What the company has approved to be said: Markdown entries, and the search that finds the one a caller asks about.
//!
//! An entry is a file: TOML front matter between two `+++` lines, then its body, a few sentences of plain text.
//!
//! ```text
//! +++
//! title = "Warranty"
//! # language = "en", audience = "agents"           # for whom: left out of calls in another language, or for others
//! keywords = ["warranty", "repair"]                # words that mean this entry
//! approved = "Furniture has a warranty of 24 months."   # spoken word for word when a question fits well
//! also_asked = ["how long is the warranty"]        # questions `approved` answers
//! related = ["is my shed insured"]                 # questions only the body answers (optional)
//!
//! [[answers]]                                      # more approved sentences for other questions (optional)
//! approved = "It does not cover rust."
//! also_asked = ["is rust covered"]
//! +++
//! Furniture has a warranty of 24 months. It covers faults of material, not rust.
//! ```
//!
//! Besides, HTML pages and PDFs are cut into entries at their headings ([`document`]).
//!
//! tantivy (BM25 over stems, in memory) and, once [`Knowledge::attach`] was given a model, nearness in meaning
//! ([`semantic`]) find candidates; [`mend`] puts garbled words right first; [`score`] makes fits by words comparable, and
//! [`crate::judgment`] turns all of it into probabilities.

mod claim;
mod document;
mod load;
mod mend;
mod score;
mod semantic;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
};
use tantivy::{Index, IndexReader, TantivyDocument, Term};

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use load::{Format, KnowledgeError, parse, read_document, source};
use score::Scorer;
use semantic::{Nearness, Semantic};

use super::words::{stems, words};
use crate::config::KnowledgeConfig;
use crate::engine::embed::{EmbedError, SentenceEmbedder};
use crate::judgment::{Judgment, Signals};

/// One file of the knowledge base, or one part of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// File name without `.md`: its id in records. A document's parts have their heading behind a `#`.
    pub id: String,
    /// What it is about, for people and prompts.
    pub title: String,
    /// Words that mean this entry.
    pub keywords: Vec<String>,
    /// The approved sentences, the main one first; a document's parts may have none.
    pub answers: Vec<Answer>,
    /// Questions that only the body answers.
    pub related: Vec<String>,
    /// A few sentences with all the facts, for the language model.
    pub body: String,
    /// Its language, two letters; none: any.
    pub language: Option<String>,
    /// Whom it is for, a word of the operator's; none: everybody.
    pub audience: Option<String>,
    /// It stands for something that is done for the caller, not for something that is said.
    #[serde(skip_serializing_if = "is_false")]
    pub chore: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// For whom and in which language is searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Entries in another language are left out.
    pub language: Option<String>,
    /// Entries for somebody else are left out.
    pub audience: Option<String>,
    /// Entries that do not say their language are left out.
    pub marked: bool,
}

impl Filter {
    /// The filter of calls.
    pub fn of(config: &KnowledgeConfig) -> Self {
        let set = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self { language: set(&config.language), audience: set(&config.audience), marked: false }
    }

    /// Whether an entry is let through. What an entry or the filter leaves open does not matter.
    pub fn allows(&self, entry: &Entry) -> bool {
        let fits = |wanted: &Option<String>, is: &Option<String>| match (wanted, is) {
            (Some(wanted), Some(is)) => wanted.eq_ignore_ascii_case(is),
            _ => true,
        };
        let is_marked = !self.marked || entry.language.is_some();
        is_marked && fits(&self.language, &entry.language) && fits(&self.audience, &entry.audience)
    }
}

impl Entry {
    /// What may be spoken as it stands: the approved sentences, then sentences of the body that say something more and can
    /// stand alone.
    pub fn options(&self) -> Vec<String> {
        let mut options: Vec<String> = self.answers.iter().map(|answer| answer.approved.clone()).collect();
        let approved: HashSet<String> = options.iter().flat_map(|text| stems(text)).collect();
        for sentence in semantic::sentences(&self.body) {
            let plain = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
            let first = plain.split([' ', ',']).next().unwrap_or_default().to_lowercase();
            let stems = stems(&plain);
            let known = stems.iter().filter(|stem| approved.contains(*stem)).count();
            // "It also holds when …" says little without the sentence before it.
            let leans =
                LEANING.contains(&first.as_str()) || !plain.starts_with(char::is_uppercase) || !plain.ends_with('.');
            if options.len() < MOST_OPTIONS && !leans && known * 10 < stems.len() * 8 {
                options.push(plain);
            }
        }
        options.truncate(MOST_OPTIONS);
        options
    }
}

/// Sentences of one entry the model may pick from.
const MOST_OPTIONS: usize = 12;
/// Words at the beginning of sentences that need the one before.
const LEANING: &[&str] = &[
    "it", "they", "them", "this", "that", "these", "those", "after", "then", "so", "but", "and", "also", "only",
    "later",
];

/// Approved words and the questions they answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// One or two sentences, spoken word for word.
    pub approved: String,
    /// How callers ask for them.
    pub also_asked: Vec<String>,
}

/// An entry that fits a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// [`Entry::id`].
    pub entry_id: String,
    /// [`Entry::title`].
    pub title: String,
    /// The probability that this entry has the answer.
    pub score: f32,
    /// Lead over the next entry, whether or not that one is among the hits.
    pub margin: f32,
    /// The approved sentence nearest to the question, if one is.
    pub approved: Option<String>,
    /// The probability that [`Hit::approved`], spoken as it stands, is right.
    pub approved_score: f32,
    /// What both were made from.
    pub signals: Signals,
}

/// The entries and their index. Cheap to search: well under a millisecond by words, some more with an embedding model.
pub struct Knowledge {
    entries: Vec<Entry>,
    version: String,
    by_id: HashMap<String, usize>,
    scorer: Scorer,
    reader: IndexReader,
    fields: Fields,
    semantic: OnceLock<Semantic>,
}

impl std::fmt::Debug for Knowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Knowledge({} entries)", self.entries.len())
    }
}

#[derive(Clone, Copy)]
struct Fields {
    number: Field,
    asked: Field,
    title: Field,
    body: Field,
}

/// How much a match counts in the order of candidates.
const ASKED_BOOST: f32 = 2.5;
const TITLE_BOOST: f32 = 2.0;
/// Lead over the next entry without which words alone name no approved sentence.
const MIN_MARGIN: f32 = 0.08;
/// How much of an entry's place among the others is nearness in meaning; the rest is fit by words.
const MEANING: f32 = 0.6;
/// Candidates that are scored closely.
const CANDIDATES: usize = 12;
/// Memory of the index writer, the least tantivy takes.
const WRITER_BYTES: usize = 15_000_000;

impl Knowledge {
    /// The entries in `folder`, or the demo company's built-in ones when it is empty.
    pub fn load(folder: &Path) -> Result<Self, KnowledgeError> {
        Self::load_with(folder, Vec::new())
    }

    /// The same with `more` entries besides.
    pub fn load_with(folder: &Path, more: Vec<Entry>) -> Result<Self, KnowledgeError> {
        let mut entries = if folder.as_os_str().is_empty() { load::built_in()? } else { load::folder(folder)? };
        entries.extend(more);
        let mut ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(KnowledgeError::Twice { id: pair[0].to_owned() });
        }
        Self::index(entries)
    }

    /// An index of `entries`, whose ids must differ.
    pub fn index(entries: Vec<Entry>) -> Result<Self, KnowledgeError> {
        let mut builder = Schema::builder();
        let text = || {
            TextOptions::default().set_indexing_options(
                TextFieldIndexing::default().set_tokenizer("spoken").set_index_option(IndexRecordOption::WithFreqs),
            )
        };
        let fields = Fields {
            number: builder.add_u64_field("number", STORED),
            asked: builder.add_text_field("asked", text()),
            title: builder.add_text_field("title", text()),
            body: builder.add_text_field("body", text()),
        };
        let index = Index::create_in_ram(builder.build());
        index.tokenizers().register("spoken", analyzer(true));
        let failed = |error: tantivy::TantivyError| KnowledgeError::Index { reason: error.to_string() };
        let mut writer = index.writer_with_num_threads(1, WRITER_BYTES).map_err(failed)?;
        for (number, entry) in entries.iter().enumerate() {
            let mut document = TantivyDocument::default();
            document.add_u64(fields.number, number as u64);
            document.add_text(fields.title, spoken(&format!("{} {}", entry.title, entry.keywords.join(" "))));
            for phrase in entry.answers.iter().flat_map(|answer| &answer.also_asked).chain(&entry.related) {
                document.add_text(fields.asked, spoken(phrase));
            }
            for answer in &entry.answers {
                document.add_text(fields.body, spoken(&answer.approved));
            }
            document.add_text(fields.body, spoken(&entry.body));
            writer.add_document(document).map_err(failed)?;
        }
        writer.commit().map_err(failed)?;
        let reader = index.reader().map_err(failed)?;
        let by_id = entries.iter().enumerate().map(|(number, entry)| (entry.id.clone(), number)).collect();
        let scorer = Scorer::new(&entries);
        let version = version_of(&entries);
        Ok(Self { entries, version, by_id, scorer, reader, fields, semantic: OnceLock::new() })
    }

    /// Names the content: the same entries have the same version everywhere.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// These entries with `entry` among them, new or in place of the one with its id. Blocking: what was found by meaning
    /// is embedded anew.
    pub fn trial(&self, entry: Entry) -> Result<Self, KnowledgeError> {
        let mut entries = self.entries.clone();
        match entries.iter_mut().find(|known| known.id == entry.id) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
        let trial = Self::index(entries)?;
        if let Some(semantic) = self.semantic.get() {
            let attached = trial.attach(semantic.embedder());
            attached.map_err(|error| KnowledgeError::Index { reason: error.to_string() })?;
        }
        Ok(trial)
    }

    /// All entries, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a hit.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id).map(|&number| &self.entries[number])
    }

    /// From now on entries are also found by meaning. Blocking: a few milliseconds for each phrase of each entry.
    pub fn attach(&self, embedder: Arc<dyn SentenceEmbedder>) -> Result<(), EmbedError> {
        let semantic = Semantic::new(&self.entries, embedder)?;
        // Whoever came first has the same vectors.
        let _ = self.semantic.set(semantic);
        Ok(())
    }

    /// True once entries are found by meaning too.
    pub fn is_semantic(&self) -> bool {
        self.semantic.get().is_some()
    }

    /// The at most `limit` entries that fit `query` best, best first. By words alone: none that share no word with it.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        self.search_for(query, limit, &Filter::default())
    }

    /// The same among the entries that `filter` lets through.
    pub fn search_for(&self, query: &str, limit: usize, filter: &Filter) -> Vec<Hit> {
        let question = self.scorer.question(query);
        let near = self.nearness(query, question.mended.as_deref());
        let mut found: Vec<Found> = self
            .candidates(&question, near.as_deref(), filter)
            .into_iter()
            .map(|number| {
                let (lexical, named) = self.scorer.score(&question, number);
                Found { number, lexical, named, near: near.as_ref().map(|near| near[number]) }
            })
            .filter(|found| found.lexical > 0.0 || found.near.is_some())
            .collect();
        // Stable: entries alike in rank stay in BM25's order.
        found.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
        let no_rival = self.claimed(&question, &mut found);
        let hit = |place| self.hit(&question, &found, place, no_rival.filter(|_| place == 0));
        (0..found.len().min(limit)).map(hit).collect()
    }

    /// `besides`: the place of one that is no rival.
    fn hit(&self, question: &score::Question, all: &[Found], place: usize, besides: Option<usize>) -> Hit {
        let found = &all[place];
        let entry = &self.entries[found.number];
        // Before the first there is none, so the first leads over the second; every other is behind the first.
        let best_other = |value: fn(&Found) -> f32| {
            let others = all.iter().enumerate().filter(|(at, _)| *at != place && Some(*at) != besides);
            others.map(|(_, other)| value(other)).fold(0.0, f32::max)
        };
        // By words alone an answer is named only when its entry clearly leads.
        let leads = found.near.is_some() || found.rank() - best_other(Found::rank) >= MIN_MARGIN;
        let answer = found.near.and_then(|near| near.answer).or(found.named.filter(|_| leads));
        let near = found.near.unwrap_or_default();
        let signals = Signals {
            lexical: found.lexical,
            lexical_margin: found.lexical - best_other(|found| found.lexical),
            named: match (found.named, answer) {
                (None, _) => 0.0,
                (named, answer) if named == answer => 1.0,
                _ => -1.0,
            },
            kind_fits: f32::from(u8::from(self.scorer.kind_fits(question, found.number, answer))),
            mended: question.mended_share(),
            cosine: found.near.map(|near| near.entry),
            cosine_margin: near.entry - best_other(|found| found.near.unwrap_or_default().entry),
            answer_cosine: near.best,
            answer_margin: near.best - near.second,
        };
        let judgment = Judgment::fitted();
        Hit {
            entry_id: entry.id.clone(),
            title: entry.title.clone(),
            score: judgment.entry(&signals),
            margin: found.rank() - best_other(Found::rank),
            approved: answer.map(|answer| entry.answers[answer].approved.clone()),
            approved_score: if answer.is_some() { judgment.answer(&signals) } else { 0.0 },
            signals,
        }
    }

    /// How near each entry is in meaning; none without a model, or when it fails.
    fn nearness(&self, query: &str, mended: Option<&str>) -> Option<Vec<Nearness>> {
        if !query.chars().any(char::is_alphanumeric) {
            return None;
        }
        let texts: Vec<&str> = [Some(query), mended].into_iter().flatten().collect();
        self.semantic
            .get()?
            .nearness(&texts)
            .inspect_err(|error| tracing::warn!(%error, "Searching by words alone"))
            .ok()
    }

    /// Numbers of entries in BM25's order, then those nearest in meaning.
    fn candidates(&self, question: &score::Question, near: Option<&[Nearness]>, filter: &Filter) -> Vec<usize> {
        let allowed = |number: &usize| filter.allows(&self.entries[*number]);
        // What is left out may not take the place of what is not.
        let left_out = self.entries.iter().filter(|entry| !filter.allows(entry)).count();
        let mut numbers = self.by_words(question, CANDIDATES + left_out);
        numbers.retain(allowed);
        numbers.truncate(CANDIDATES);
        let Some(near) = near else { return numbers };
        let mut order: Vec<usize> = (0..near.len()).filter(allowed).collect();
        let by_nearness = |a: &usize, b: &usize| near[*b].entry.total_cmp(&near[*a].entry);
        if order.len() > CANDIDATES {
            order.select_nth_unstable_by(CANDIDATES, by_nearness);
            order.truncate(CANDIDATES);
        }
        order.sort_by(by_nearness);
        order.retain(|number| !numbers.contains(number));
        numbers.extend(order);
        numbers
    }

    fn by_words(&self, question: &score::Question, limit: usize) -> Vec<usize> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for stem in question.known_stems() {
            for (field, boost) in
                [(self.fields.asked, ASKED_BOOST), (self.fields.title, TITLE_BOOST), (self.fields.body, 1.0)]
            {
                let term = TermQuery::new(Term::from_field_text(field, stem), IndexRecordOption::WithFreqs);
                clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(term), boost))));
            }
        }
        if clauses.is_empty() {
            return Vec::new();
        }
        let searcher = self.reader.searcher();
        let found = searcher
            .search(&BooleanQuery::new(clauses), &TopDocs::with_limit(limit).order_by_score())
            .expect("an index in memory can be read");
        found
            .into_iter()
            .filter_map(|(_, address)| {
                let document: TantivyDocument = searcher.doc(address).expect("a document just found is there");
                document.get_first(self.fields.number).and_then(|number| number.as_u64())
            })
            .map(|number| number as usize)
            .collect()
    }
}

/// The first letters of a digest of all there is.
fn version_of(entries: &[Entry]) -> String {
    let text = serde_json::to_vec(entries).expect("entries are plain data");
    Sha256::digest(&text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A candidate.
struct Found {
    number: usize,
    lexical: f32,
    /// The answer the words name.
    named: Option<usize>,
    near: Option<Nearness>,
}

impl Found {
    fn rank(&self) -> f32 {
        match self.near {
            Some(near) => MEANING * near.entry + (1.0 - MEANING) * self.lexical,
            None => self.lexical,
        }
    }
}

static STOPS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

/// Words that are never mended: those that say nothing, and those that ask.
fn is_stop_word(word: &str) -> bool {
    STOPS.contains(word) || ["how", "when", "where", "why"].contains(&word)
}

/// Words of speech that say nothing about a topic.
const STOP_WORDS: &str = "a an and are as at be been being but by for from if in into is it its no not of on or such that \
    the their then there these they this to was were will with i you your yours me my mine we us our he she him her his \
    do does did done doing can could would should shall may might must have has had having am want wants wanted need needs \
    like please hi hello hey okay ok yes yeah um uh er well just so also very really actually quick quickly thing things something \
    anything stuff know tell say said wondering wonder ask asking question questions help let lets s d t m re ve ll ask \
    what which who whom whose about because good morning afternoon evening thanks thank sorry maybe possible able \
    go going gonna gets some any all another one ones here now today still already yet again too only even more most \
    got get getting give given gave take took taking make made way ways see look looking try trying find hope kind guess mean \
    calling call called guys anyway sure oh ah hmm ago last week weeks month months year years buy purchase purchased \
    two three four five six seven eight nine ten eleven twelve twenty thirty half couple many ours";

/// Forms a stemmer does not join, and spellings of the other side of the ocean.
const SAME: &[(&str, &str)] = &[
    ("sent", "send"),
    ("bought", "buy"),
    ("came", "come"),
    ("broke", "break"),
    ("broken", "break"),
    ("dead", "die"),
    ("died", "die"),
    ("dying", "die"),
    ("dies", "die"),
    ("paid", "pay"),
    ("lost", "lose"),
    ("left", "leave"),
    ("forgot", "forget"),
    ("forgotten", "forget"),
    ("wrote", "write"),
    ("written", "write"),
    ("kept", "keep"),
    ("held", "hold"),
    ("sold", "sell"),
    ("found", "find"),
    ("stole", "steal"),
    ("stolen", "steal"),
    ("chose", "choose"),
    ("froze", "freeze"),
    ("frozen", "freeze"),
    ("grew", "grow"),
    ("went", "go"),
    ("brought", "bring"),
    ("spent", "spend"),
    ("colour", "color"),
    ("colours", "color"),
    ("cheque", "check"),
    ("cheques", "check"),
    ("canceled", "cancel"),
    ("canceling", "cancel"),
    ("cancelled", "cancel"),
    ("cancelling", "cancel"),
    ("centre", "center"),
    ("grey", "gray"),
    ("catalogue", "catalog"),
];

/// Turns text into the words that are indexed: contractions written out, `how long` and its like as one word.
fn spoken(text: &str) -> String {
    let mut out = String::new();
    let all = words(text);
    let mut i = 0;
    while i < all.len() {
        if !out.is_empty() {
            out.push(' ');
        }
        let same = SAME.iter().find(|(from, _)| *from == all[i]);
        out.push_str(same.map_or(all[i].as_str(), |(_, to)| to));
        // "how long" asks for a time, "how much" for a price: neither `how` nor `long` says so.
        if all[i] == "how"
            && all
                .get(i + 1)
                .is_some_and(|next| ["long", "much", "many", "fast", "soon", "late"].contains(&next.as_str()))
        {
            out.push_str(&all[i + 1]);
            i += 1;
        }
        i += 1;
    }
    out
}

/// The index's analyzer; without stems it gives the words as they were said.
fn analyzer(stemmed: bool) -> TextAnalyzer {
    let words = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(40))
        .filter(LowerCaser)
        .filter(StopWordFilter::remove(STOP_WORDS.split_whitespace().map(str::to_owned)))
        .dynamic();
    if stemmed { words.filter_dynamic(Stemmer::new(Language::English)).build() } else { words.build() }
}

/// A content word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    /// As said.
    word: String,
    /// As the index has it.
    stem: String,
}

/// The content words of `text` in order, those with the same stem once.
fn tokens(text: &str) -> Vec<Token> {
    let text = spoken(text);
    let list = |stemmed: bool| {
        let mut analyzer = analyzer(stemmed);
        let mut stream = analyzer.token_stream(&text);
        let mut out = Vec::new();
        while let Some(token) = stream.next() {
            out.push(token.text.clone());
        }
        out
    };
    let mut out: Vec<Token> = Vec::new();
    // Stemming drops no word, so the two lists run in step.
    for (word, stem) in list(false).into_iter().zip(list(true)) {
        if !out.iter().any(|token| token.stem == stem) {
            out.push(Token { word, stem });
        }
    }
    out
}
