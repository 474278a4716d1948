//! The entries as directions of meaning: every listed question, approved sentence and sentence of a body has a vector, and
//! a caller's words are near those that mean the same in other words.
//!
//! Vectors are kept as 16-bit integers: a quarter of a percent of precision for half the memory and time. All of them are
//! compared: 50,000 take about 5 ms on one core, and nothing is missed.

use super::Entry;
use crate::engine::embed::{EmbedError, SentenceEmbedder};

/// What 1.0 becomes. Its square, which no product of two vectors exceeds, fits 32 bits.
const ONE: f32 = 16_384.0;
/// A sentence that was written to be spoken is a little further from a question than another question is.
const ANSWER_WEIGHT: f32 = 0.95;
const BODY_WEIGHT: f32 = 0.92;
const TITLE_WEIGHT: f32 = 0.9;

/// Vectors of all phrases.
pub(super) struct Semantic {
    embedder: std::sync::Arc<dyn SentenceEmbedder>,
    dimension: usize,
    vectors: Vec<i16>,
    phrases: Vec<Phrase>,
    entries: usize,
}

#[derive(Clone, Copy)]
struct Phrase {
    entry: u32,
    /// The approved answer it stands for, if it stands for one.
    answer: Option<u16>,
    weight: f32,
}

/// How near one entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Nearness {
    /// The nearest phrase of the entry.
    pub entry: f32,
    /// The answer whose phrases are nearest.
    pub answer: Option<usize>,
    /// The nearest phrase of that answer.
    pub best: f32,
    /// The nearest phrase of the entry that is not of that answer.
    pub second: f32,
}

impl Semantic {
    /// Embeds everything. Blocking: a few milliseconds a phrase.
    pub fn new(entries: &[Entry], embedder: std::sync::Arc<dyn SentenceEmbedder>) -> Result<Self, EmbedError> {
        let mut semantic =
            Self { dimension: 0, vectors: Vec::new(), phrases: Vec::new(), entries: entries.len(), embedder };
        for (number, entry) in entries.iter().enumerate() {
            let entry_number = number as u32;
            for (answer, approved) in entry.answers.iter().enumerate() {
                let answer = Some(answer as u16);
                for question in &approved.also_asked {
                    semantic.add(question, Phrase { entry: entry_number, answer, weight: 1.0 })?;
                }
                semantic.add(&approved.approved, Phrase { entry: entry_number, answer, weight: ANSWER_WEIGHT })?;
            }
            for question in &entry.related {
                semantic.add(question, Phrase { entry: entry_number, answer: None, weight: 1.0 })?;
            }
            for sentence in sentences(&entry.body) {
                semantic.add(sentence, Phrase { entry: entry_number, answer: None, weight: BODY_WEIGHT })?;
            }
            semantic.add(&entry.title, Phrase { entry: entry_number, answer: None, weight: TITLE_WEIGHT })?;
        }
        Ok(semantic)
    }

    /// What made the vectors.
    pub fn embedder(&self) -> std::sync::Arc<dyn SentenceEmbedder> {
        self.embedder.clone()
    }

    fn add(&mut self, text: &str, phrase: Phrase) -> Result<(), EmbedError> {
        let vector = self.vector(text)?;
        self.dimension = vector.len();
        self.vectors.extend(vector);
        self.phrases.push(phrase);
        Ok(())
    }

    fn vector(&self, text: &str) -> Result<Vec<i16>, EmbedError> {
        let vector = self.embedder.embed(text)?;
        if self.dimension > 0 && vector.len() != self.dimension {
            return Err(EmbedError::Engine("vectors of different dimensions".to_owned()));
        }
        Ok(vector.into_iter().map(|value| (value.clamp(-1.0, 1.0) * ONE) as i16).collect())
    }

    /// How near each entry is to the nearest of `texts`.
    pub fn nearness(&self, texts: &[&str]) -> Result<Vec<Nearness>, EmbedError> {
        let mut out = vec![Nearness::default(); self.entries];
        // Nearest of the other phrases, kept by answer until all are seen; phrases of an answer lie together.
        let mut by_answer: Vec<(u32, Option<u16>, f32)> = Vec::new();
        let queries = texts.iter().map(|text| self.vector(text)).collect::<Result<Vec<_>, _>>()?;
        for (phrase, vector) in self.phrases.iter().zip(self.vectors.chunks_exact(self.dimension.max(1))) {
            let cosine = queries.iter().map(|query| dot(query, vector)).max().unwrap_or(0) as f32 / (ONE * ONE);
            let near = cosine * phrase.weight;
            match by_answer.last_mut() {
                Some((entry, answer, best)) if (*entry, *answer) == (phrase.entry, phrase.answer) => {
                    *best = best.max(near)
                }
                _ => by_answer.push((phrase.entry, phrase.answer, near)),
            }
        }
        for (entry, answer, near) in &by_answer {
            let of = &mut out[*entry as usize];
            of.entry = of.entry.max(*near);
            if answer.is_some() && (of.answer.is_none() || *near > of.best) {
                of.second = of.second.max(of.best);
                (of.answer, of.best) = (answer.map(usize::from), *near);
            } else {
                of.second = of.second.max(*near);
            }
        }
        Ok(out)
    }
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// The sentences of a body.
pub(super) fn sentences(body: &str) -> impl Iterator<Item = &str> {
    let mut rest = body.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .match_indices(['.', '!', '?', ';'])
            .map(|(at, mark)| at + mark.len())
            .find(|end| rest[*end..].starts_with(char::is_whitespace))
            .unwrap_or(rest.len());
        let sentence = rest[..end].trim();
        rest = rest[end..].trim_start();
        Some(sentence)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Letters as directions: enough to tell texts apart.
    pub struct Letters;

    impl SentenceEmbedder for Letters {
        fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
            let mut vector = vec![0.01f32; 26];
            for letter in text.bytes().filter(u8::is_ascii_lowercase) {
                vector[usize::from(letter - b'a')] += 1.0;
            }
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            Ok(vector.into_iter().map(|value| value / length).collect())
        }

        fn name(&self) -> &str {
            "letters"
        }
    }

    #[test]
    fn sentences_keep_their_numbers() {
        let body = "It costs $4.90. Orders over $50\nare free; gifts too.";
        assert_eq!(
            sentences(body).collect::<Vec<_>>(),
            ["It costs $4.90.", "Orders over $50\nare free;", "gifts too."]
        );
    }

    #[test]
    fn the_nearest_answer_and_the_next_are_told() {
        let knowledge = super::super::Knowledge::load(std::path::Path::new("")).expect("built in");
        let semantic = Semantic::new(knowledge.entries(), std::sync::Arc::new(Letters)).expect("letters never fail");
        let hours = knowledge.entries().iter().position(|entry| entry.id == "opening-hours").expect("it is built in");
        let near = semantic.nearness(&["are you open on Thanksgiving"]).expect("letters never fail")[hours];
        assert_eq!(near.answer, Some(1));
        assert!(near.best > 0.999 && near.best >= near.entry && near.second < near.best, "{near:?}");
    }
}
