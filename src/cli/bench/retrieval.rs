//! `warmline bench retrieval`: how long a question takes among many entries.
//!
//! The entries are made up, and so are their vectors: computing thirty thousand real ones would measure something else.
//! The questions, their vectors and the search are real.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::Instant;

use super::{Metric, percentile};
use crate::app::engines::load_embedder;
use crate::cli::CliError;
use crate::config::Config;
use crate::dialog::knowledge::{Answer, Entry, Knowledge};
use crate::engine::embed::{EmbedError, SentenceEmbedder};

/// Arguments of `warmline bench retrieval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Entries to search in
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
    /// Questions asked
    #[arg(long, default_value_t = 500)]
    questions: usize,
}

const DIMENSION: usize = 384;

/// Made-up vectors until the index is there, the model's from then on.
struct Half {
    model: Arc<dyn SentenceEmbedder>,
    asking: AtomicBool,
    made: AtomicU64,
}

impl SentenceEmbedder for Half {
    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        if self.asking.load(Ordering::Relaxed) {
            return self.model.embed(text);
        }
        let mut state = self.made.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut vector: Vec<f32> = (0..DIMENSION)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
            })
            .collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
        Ok(vector)
    }

    fn name(&self) -> &str {
        "half"
    }
}

/// Runs `warmline bench retrieval`.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let model = load_embedder(&config)?;
    let half = Arc::new(Half { model, asking: AtomicBool::new(false), made: AtomicU64::new(1) });
    let failed = |error: String| CliError::failed(error, "");
    let known = Knowledge::load(&config.dialog.knowledge_dir).map_err(|error| failed(error.to_string()))?;
    let knowledge =
        Knowledge::index(entries(known.entries(), args.entries)).map_err(|error| failed(error.to_string()))?;
    knowledge.attach(half.clone()).map_err(|error| failed(error.to_string()))?;
    half.asking.store(true, Ordering::Relaxed);
    let questions: Vec<&String> =
        known.entries().iter().flat_map(|entry| &entry.answers).flat_map(|answer| &answer.also_asked).collect();
    let mut times = Vec::new();
    for question in questions.iter().cycle().take(args.questions) {
        let began = Instant::now();
        let hits = knowledge.search(question, 3);
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        if hits.is_empty() {
            return Err(CliError::failed(format!("nothing was found for `{question}`"), ""));
        }
    }
    Ok([("query_ms_p50", 0.5), ("query_ms_p95", 0.95)]
        .map(|(name, share)| Metric::new("retrieval", name, percentile(&times, share), "ms", times.len()))
        .to_vec())
}

/// `count` entries in the words of `known`, each with a word of its own.
fn entries(known: &[Entry], count: usize) -> Vec<Entry> {
    (0..count)
        .map(|number| {
            let like = &known[number % known.len()];
            let own = format!("product{number}");
            let answer = |answer: &Answer| Answer {
                approved: format!("{own}: {}", answer.approved),
                also_asked: answer.also_asked.iter().take(2).map(|question| format!("{question} {own}")).collect(),
            };
            Entry {
                language: None,
                audience: None,
                chore: false,
                id: format!("entry-{number}"),
                title: format!("{} {own}", like.title),
                keywords: vec![own.clone()],
                answers: like.answers.iter().take(1).map(answer).collect(),
                related: Vec::new(),
                body: format!("{own} is one of many."),
            }
        })
        .collect()
}
