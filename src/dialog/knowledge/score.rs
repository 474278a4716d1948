//! A score from 0 to 1 that means the same for every question.
//!
//! BM25's numbers grow with the length of the question and say little alone: 7.2 may be a perfect match or a chance word.
//! Here each content word of the question has a weight: the fewer entries have it the heavier, [`KEYWORD`] times that if
//! it is in a title or a keyword, [`UNKNOWN`] if no entry has it. Then, for one entry,
//!
//! - **coverage** is the part of the question's weight the entry accounts for: whole for a word of its title or keywords,
//!   [`LISTED`] or more for one of its listed questions, [`BODY`] for one it has elsewhere, [`FUZZY`] of that for a
//!   word heard with a wrong letter, nothing for the others;
//! - **likeness** is the best overlap with one of its listed questions: weight in both over weight in either.
//!
//! The score is `coverage · (BASE + (1 - BASE) · likeness)`. A listed question asked word for word gets 1; whatever the
//! entry does not account for takes away. Scores depend on the entries, through the weights, but not on the length of
//! the question. The constants were chosen on the `tune` rows of `tests/fixtures/knowledge/questions.tsv`.

use std::collections::{HashMap, HashSet};

use super::mend::Mender;
use super::{Entry, Token, is_stop_word, spoken, tokens};
use crate::dialog::words::words;

/// What full coverage is worth when no listed question is alike.
const BASE: f32 = 0.7;
const LISTED: f32 = 0.75;
const BODY: f32 = 0.5;
const FUZZY: f32 = 0.85;
const KEYWORD: f32 = 2.0;
const UNKNOWN: f32 = 0.8;
/// How much an entry counts that has a word only in its body, when weights are made.
const BODY_COUNT: f32 = 0.5;
/// Likeness from which a listed question is taken to be the one asked.
const ALIKE: f32 = 0.55;
/// By how much it must be nearer than the questions of the entry's other answers.
const NEARER: f32 = 0.05;

/// Word weights and the words of each entry.
pub(super) struct Scorer {
    /// Known stems with their rarity and their weight in coverage.
    weights: HashMap<String, Weight>,
    mender: Mender,
    entries: Vec<Words>,
}

#[derive(Clone, Copy)]
struct Weight {
    /// 1 for a word of one entry, less for a more common one. For likeness, where keywords tell answers not apart.
    rarity: f32,
    /// The same, more for keywords. For coverage.
    weight: f32,
}

const STRANGE: Weight = Weight { rarity: UNKNOWN, weight: UNKNOWN };

struct Words {
    /// In title and keywords.
    title: HashSet<String>,
    /// In listed questions.
    listed: HashSet<String>,
    /// In approved sentences and body.
    body: HashSet<String>,
    /// Each listed question with the answer it belongs to.
    questions: Vec<(Vec<String>, Option<usize>)>,
}

/// A question's words, garbled ones replaced by what they were meant to be.
pub(super) struct Question {
    words: Vec<Asked>,
    /// The text with its garbled words mended, if there were any.
    pub mended: Option<String>,
}

struct Asked {
    stem: String,
    weight: Weight,
    /// 1, or [`FUZZY`] for a word that was mended.
    trust: f32,
    known: bool,
}

impl Question {
    /// Share of the weight that was mended.
    pub fn mended_share(&self) -> f32 {
        let all: f32 = self.words.iter().map(|word| word.weight.weight).sum();
        let mended = self.words.iter().filter(|word| word.trust < 1.0).map(|word| word.weight.weight).sum::<f32>();
        if all > 0.0 { mended / all } else { 0.0 }
    }

    /// Stems that some entry has.
    pub fn known_stems(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter(|word| word.known).map(|word| word.stem.as_str())
    }
}

impl Scorer {
    pub fn new(entries: &[Entry]) -> Self {
        let mut mender = Mender::default();
        let entries: Vec<Words> = entries.iter().map(|entry| Words::new(entry, &mut mender)).collect();
        let mut counts: HashMap<&String, f32> = HashMap::new();
        for entry in &entries {
            for word in entry.all() {
                let front = entry.title.contains(word) || entry.listed.contains(word);
                *counts.entry(word).or_default() += if front { 1.0 } else { BODY_COUNT };
            }
        }
        let all = entries.len() as f32;
        // BM25's inverse document frequency, 1 for a word of one entry.
        let rarity = |count: f32| (1.0 + (all - count + 0.5) / (count + 0.5)).ln();
        let keywords: HashSet<&String> = entries.iter().flat_map(|entry| &entry.title).collect();
        let weights = counts
            .into_iter()
            .map(|(word, count)| {
                let keyword = keywords.contains(word);
                let rarity = rarity(count.max(1.0)) / rarity(1.0);
                (word.clone(), Weight { rarity, weight: if keyword { KEYWORD * rarity } else { rarity } })
            })
            .collect();
        Self { weights, mender, entries }
    }

    pub fn question(&self, query: &str) -> Question {
        let said = words(&spoken(query));
        let mended = self.mender.mend(&said, is_stop_word);
        let words = tokens(&mended.text)
            .into_iter()
            .map(|Token { word, stem }| match self.weights.get(&stem) {
                Some(&weight) => {
                    let trust = if mended.put_in.contains(&word) { FUZZY } else { 1.0 };
                    Asked { stem, weight, trust, known: true }
                }
                None => Asked { stem, weight: STRANGE, trust: 1.0, known: false },
            })
            .collect();
        Question { words, mended: (!mended.put_in.is_empty()).then_some(mended.text) }
    }

    /// Whether an answer of entry `number` answers the kind of question that was asked.
    pub fn kind_fits(&self, question: &Question, number: usize, answer: Option<usize>) -> bool {
        self.entries[number].answers_kind(question, answer)
    }

    /// Score of entry `number`, and which of its answers was asked for, if that is clear.
    pub fn score(&self, question: &Question, number: usize) -> (f32, Option<usize>) {
        let entry = &self.entries[number];
        let total: f32 = question.words.iter().map(|word| word.weight.weight).sum();
        if total <= 0.0 {
            return (0.0, None);
        }
        // Best likeness of each answer's questions; those without an answer stand together under `None`.
        let mut alike: Vec<(Option<usize>, f32)> = Vec::new();
        for (words, answer) in &entry.questions {
            let likeness = self.likeness(question, words);
            match alike.iter_mut().find(|(of, _)| of == answer) {
                Some((_, best)) => *best = best.max(likeness),
                None => alike.push((*answer, likeness)),
            }
        }
        alike.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (answer, likeness) = alike.first().copied().unwrap_or((None, 0.0));
        let second = alike.get(1).map_or(0.0, |(_, likeness)| *likeness);
        let clear = likeness >= ALIKE && likeness - second >= NEARER && entry.answers_kind(question, answer);
        let covered: f32 = question
            .words
            .iter()
            .map(|word| {
                let part = if entry.title.contains(&word.stem) {
                    1.0
                } else if entry.listed.contains(&word.stem) {
                    LISTED + (1.0 - LISTED) * likeness
                } else if entry.body.contains(&word.stem) {
                    BODY
                } else {
                    0.0
                };
                part * word.trust * word.weight.weight
            })
            .sum();
        let score = covered / total * (BASE + (1.0 - BASE) * likeness);
        (score, answer.filter(|_| clear))
    }

    fn likeness(&self, question: &Question, listed: &[String]) -> f32 {
        let rarity = |word: &String| self.weights.get(word).unwrap_or(&STRANGE).rarity;
        let (mut both, mut either) = (0.0, 0.0);
        for word in &question.words {
            either += word.weight.rarity;
            if listed.contains(&word.stem) {
                both += word.weight.rarity * word.trust;
            }
        }
        for word in listed {
            if !question.words.iter().any(|asked| asked.stem == *word) {
                either += rarity(word);
            }
        }
        if either > 0.0 { both / either } else { 0.0 }
    }
}

/// Kinds of questions by the words that ask: for a time, a place, a price, a number.
const KINDS: &[&[&str]] =
    &[&["when", "howlong", "howsoon", "howfast", "howlat"], &["where"], &["howmuch"], &["howmani"]];

impl Words {
    /// False when the question asks for a time, say, and no listed question of `answer` does.
    fn answers_kind(&self, question: &Question, answer: Option<usize>) -> bool {
        KINDS.iter().filter(|kind| question.words.iter().any(|word| kind.contains(&word.stem.as_str()))).all(|kind| {
            self.questions
                .iter()
                .filter(|(_, of)| *of == answer)
                .any(|(words, _)| words.iter().any(|word| kind.contains(&word.as_str())))
        })
    }

    /// Every word once.
    fn all(&self) -> HashSet<&String> {
        self.title.iter().chain(&self.listed).chain(&self.body).collect()
    }

    fn new(entry: &Entry, mender: &mut Mender) -> Self {
        for keyword in entry.keywords.iter().chain([&entry.title]) {
            mender.learn_compound(&words(keyword));
        }
        let mut stems = |text: &str| -> Vec<String> {
            tokens(text)
                .into_iter()
                .map(|token| {
                    mender.learn(&token.word);
                    token.stem
                })
                .collect()
        };
        let mut questions: Vec<(Vec<String>, Option<usize>)> = Vec::new();
        for (number, answer) in entry.answers.iter().enumerate() {
            questions.extend(answer.also_asked.iter().map(|phrase| (stems(phrase), Some(number))));
        }
        questions.extend(entry.related.iter().map(|phrase| (stems(phrase), None)));
        let title = stems(&format!("{} {}", entry.title, entry.keywords.join(" "))).into_iter().collect();
        let listed = questions.iter().flat_map(|(words, _)| words.iter().cloned()).collect();
        let approved = entry.answers.iter().map(|answer| answer.approved.as_str()).collect::<Vec<_>>().join(" ");
        let body = stems(&format!("{approved} {}", entry.body)).into_iter().collect();
        Self { title, listed, body, questions }
    }
}
