//! RUNTIME of the assistant's thinking: find what backs an answer, speak it word for word or let the model say it, and
//! stop at the first sentence that nothing backs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::input::{EngineFailed, Evidence, TurnId};
use super::speech::Finding;
use crate::config::{DialogConfig, LlmConfig};
use crate::dialog::history::History;
use crate::dialog::knowledge::{Entry, Hit, Knowledge};
use crate::dialog::prompt::{NOT_IN_NOTES, Prompts};
use crate::dialog::reply::GroundingGuard;
use crate::dialog::speakable::Sentences;
use crate::engine::cpu::{CpuBudget, Priority};
use crate::engine::llm::{ChatRequest, LanguageModel};

/// Entries looked at.
const HITS: usize = 4;
/// A second entry goes into the prompt when its score is at least this share of the best one's.
const SECOND_NOTE: f32 = 0.85;
/// Pieces of a reply on their way; the model waits when sentences are not taken.
const PIECES: usize = 64;

/// A step of thinking.
#[derive(Debug)]
pub enum Thought {
    /// What backs the answer; comes first.
    Planned(Evidence),
    /// The next sentence.
    Sentence(String),
    /// No more.
    Done {
        /// What was stopped because nothing backs it.
        blocked: Option<String>,
    },
    /// An engine failed.
    Failed(EngineFailed),
}

/// Scores and limits.
#[derive(Clone, Debug)]
pub struct MindSettings {
    /// From here on an approved answer is spoken word for word.
    pub verbatim_score: f32,
    /// Below this nothing fits.
    pub min_score: f32,
    /// Longest reply.
    pub max_tokens: u32,
    /// Until the first token.
    pub first_token: Duration,
    /// Between tokens.
    pub next_token: Duration,
    /// What the company is called: a name that needs no other backing.
    pub company: String,
    /// The stub's words are no statements about the company.
    pub check_grounding: bool,
}

impl MindSettings {
    /// From the configuration.
    pub fn new(dialog: &DialogConfig, llm: &LlmConfig, check_grounding: bool) -> Self {
        Self {
            verbatim_score: dialog.verbatim_score,
            min_score: dialog.min_score,
            max_tokens: llm.max_tokens,
            first_token: Duration::from_millis(llm.first_token_ms.into()),
            next_token: Duration::from_millis(llm.next_token_ms.into()),
            company: dialog.company.clone(),
            check_grounding,
        }
    }
}

/// Permits a local model takes while it works: all until the first sentence is out, one for the rest.
#[derive(Clone, Debug)]
pub struct LocalCost {
    /// The budget shared with recognition and voice.
    pub budget: CpuBudget,
    /// Threads of the model.
    pub threads: usize,
}

/// See the module's documentation.
pub struct Mind {
    /// What may be said.
    pub knowledge: Knowledge,
    /// How the model is asked.
    pub prompts: Prompts,
    /// The model, if there is one.
    pub llm: Option<Arc<dyn LanguageModel>>,
    /// Set when the model runs on our cores.
    pub cost: Option<LocalCost>,
    /// Scores and limits.
    pub settings: MindSettings,
}

impl Mind {
    /// Answers `query` into `out`, tagged with `turn`. Dropping the future stops the model.
    pub async fn answer(self: Arc<Self>, turn: TurnId, query: String, history: History, out: mpsc::Sender<Finding>) {
        let out = Out { turn, out };
        let hits = self.search(&query, &history);
        let evidence = self.evidence(&hits);
        let answerable = evidence.answerable;
        let verbatim = evidence.verbatim;
        out.send(Thought::Planned(evidence)).await;
        let approved = hits.first().and_then(|hit| hit.approved.clone());
        match approved {
            _ if !answerable => out.send(Thought::Done { blocked: None }).await,
            Some(text) if verbatim => {
                out.send(Thought::Sentence(text)).await;
                out.send(Thought::Done { blocked: None }).await;
            }
            _ => self.generate(&query, &history, &hits, &out).await,
        }
    }

    /// Hits for the question; a question that means nothing alone ("and on Sundays?") is asked with the one before it.
    fn search(&self, query: &str, history: &History) -> Vec<Hit> {
        let hits = self.knowledge.search(query, HITS);
        let fits = |hits: &[Hit]| hits.first().is_some_and(|hit| hit.score >= self.settings.min_score);
        if fits(&hits) || query.split_whitespace().count() > 6 {
            return hits;
        }
        let words: Vec<&str> = history.caller_words().collect();
        let Some(before) = words.iter().rev().find(|words| **words != query) else { return hits };
        let both = self.knowledge.search(&format!("{before} {query}"), HITS);
        if fits(&both) { both } else { hits }
    }

    fn evidence(&self, hits: &[Hit]) -> Evidence {
        let best = hits.first();
        let score = best.map_or(0.0, |hit| hit.score);
        let answerable = score >= self.settings.min_score;
        let verbatim = best.is_some_and(|hit| hit.approved.is_some()) && score >= self.settings.verbatim_score;
        let used = if verbatim { 1 } else { self.notes(hits).len() };
        Evidence {
            answerable,
            score,
            margin: best.map_or(0.0, |hit| hit.margin),
            entries: hits.iter().take(used).map(|hit| (hit.entry_id.clone(), hit.score)).collect(),
            verbatim: answerable && verbatim,
        }
    }

    /// The best entry, and the second when it fits nearly as well.
    fn notes(&self, hits: &[Hit]) -> Vec<&Entry> {
        let Some(best) = hits.first() else { return Vec::new() };
        hits.iter()
            .take(2)
            .filter(|hit| hit.score >= best.score * SECOND_NOTE && hit.score >= self.settings.min_score)
            .filter_map(|hit| self.knowledge.entry(&hit.entry_id))
            .collect()
    }

    async fn generate(&self, query: &str, history: &History, hits: &[Hit], out: &Out) {
        let Some(llm) = &self.llm else { return out.send(Thought::Done { blocked: None }).await };
        let notes = self.notes(hits);
        let messages = match self.prompts.chat(&notes, history, query) {
            Ok(messages) => messages,
            Err(error) => return out.fail(error.to_string()).await,
        };
        let mut permit = match &self.cost {
            Some(cost) => match cost.budget.acquire(Priority::Reply, cost.threads, self.settings.first_token).await {
                Ok(permit) => Some(permit),
                Err(error) => return out.fail(error.to_string()).await,
            },
            None => None,
        };
        let guard = self.settings.check_grounding.then(|| {
            let sources = notes.iter().flat_map(|entry| [entry.title.as_str(), entry.body.as_str()]);
            let approved = notes.iter().flat_map(|entry| entry.answers.iter().map(|answer| answer.approved.as_str()));
            let said = history.caller_words().chain([query, self.settings.company.as_str()]);
            GroundingGuard::new(sources.chain(approved).chain(said))
        });
        let request = ChatRequest {
            messages,
            max_tokens: self.settings.max_tokens,
            temperature: 0.0,
            first_token_deadline: self.settings.first_token,
            next_token_deadline: self.settings.next_token,
        };
        let (pieces, mut receiver) = mpsc::channel::<String>(PIECES);
        // Owns the receiver: when it ends early that closes, and the model stops.
        let speaking = async move {
            let mut sentences = Sentences::new();
            while let Some(piece) = receiver.recv().await {
                for sentence in sentences.push(&piece) {
                    if let Some(end) = self.say(&guard, sentence, out).await {
                        return end;
                    }
                    // The voice needs a core now, and the rest of the reply has time.
                    if let Some(permit) = &mut permit
                        && permit.permits() > 1
                    {
                        permit.release(permit.permits() - 1);
                    }
                }
            }
            for sentence in sentences.finish() {
                if let Some(end) = self.say(&guard, sentence, out).await {
                    return end;
                }
            }
            End::Complete
        };
        let (result, end) = tokio::join!(llm.generate(request, pieces), speaking);
        match (end, result) {
            (End::Blocked(what), _) => out.send(Thought::Done { blocked: Some(what) }).await,
            (End::NotInNotes, _) => out.send(Thought::Done { blocked: None }).await,
            (End::Complete, Ok(summary)) => {
                info!(
                    llm.first_token_ms = summary.first_token.as_millis() as u64,
                    llm.total_ms = summary.total.as_millis() as u64,
                    llm.avg_logprob = summary.avg_logprob,
                    "Generated a reply"
                );
                out.send(Thought::Done { blocked: None }).await;
            }
            (End::Complete, Err(error)) => {
                warn!(%error, "The language model failed");
                out.fail(error.to_string()).await;
            }
        }
    }

    /// Speaks one sentence if something backs it; else says how the reply ends.
    async fn say(&self, guard: &Option<GroundingGuard>, sentence: String, out: &Out) -> Option<End> {
        if sentence.to_lowercase().contains(NOT_IN_NOTES) {
            return Some(End::NotInNotes);
        }
        if let Some(guard) = guard
            && let Err(blocked) = guard.check(&sentence)
        {
            info!(reason = blocked.kind(), "A sentence that nothing backs was not spoken");
            return Some(End::Blocked(blocked.to_string()));
        }
        out.send(Thought::Sentence(sentence)).await;
        None
    }
}

enum End {
    Complete,
    NotInNotes,
    Blocked(String),
}

struct Out {
    turn: TurnId,
    out: mpsc::Sender<Finding>,
}

impl Out {
    async fn send(&self, thought: Thought) {
        // A closed channel means that the call is over; the future is dropped with it.
        let _ = self.out.send(Finding::Thought(self.turn, thought)).await;
    }

    async fn fail(&self, reason: String) {
        self.send(Thought::Failed(EngineFailed { engine: "llm", reason })).await;
    }
}
