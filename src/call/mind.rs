//! RUNTIME of the assistant's thinking: find what backs an answer, and speak it only if it is likely to be right.
//!
//! ```text
//! question ─▶ knowledge ─▶ probability that the nearest approved sentence is right
//!                 at least `verbatim_score` ─▶ spoken word for word, at once
//!                 less, but an entry fits   ─▶ the model picks among the entry's own sentences, or none of them
//!                                              picked with enough certainty ─▶ spoken word for word
//!                                              (`dialog.wording = "generated"`: the model words it, under the guard)
//!                 else                      ─▶ a model that can ask for tools is offered those the search has found
//!                                              it asks for one ─▶ that is begun: collected, agreed to, done
//!                 else                      ─▶ nothing: a question back, then a person
//! ```
//! The model decides before anything is spoken, and by default says nothing of its own: a small one that words its answers
//! made up every fourteenth of them (docs/benchmarks.md).

mod doing;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::input::{EngineFailed, Evidence, TurnId};
use super::speech::Finding;
use crate::config::{DialogConfig, LlmConfig, Wording};
use crate::dialog::history::History;
use crate::dialog::knowledge::{Entry, Filter, Hit, Knowledge};
use crate::dialog::language::Language;
use crate::dialog::prompt::{NONE_FITS, NOT_IN_NOTES, Prompts};
use crate::dialog::reply::GroundingGuard;
use crate::dialog::speakable::Sentences;
use crate::engine::cpu::{CpuBudget, CpuPermit, Priority};
use crate::engine::llm::{ChatMessage, ChatRequest, LanguageModel};
use crate::handoff::wire::Suggestion;
use crate::judgment::Judgment;
use crate::judgment::decision::{self, Found, Picked, Plan, Settings};
use crate::library::Library;
use crate::tools::Toolbox;
use crate::tools::spec::{Arguments, ToolSpec};

/// Entries looked at.
const HITS: usize = 4;
/// Entries suggested to an agent.
const SUGGESTED: usize = 3;
/// Pieces of a reply on their way; the model waits when sentences are not taken.
const PIECES: usize = 64;

/// A step of thinking.
#[derive(Debug)]
pub enum Thought {
    /// What backs the answer; comes first.
    Planned(Evidence),
    /// The next sentence.
    Sentence(String),
    /// The answer is something to be done; nothing follows.
    Chore {
        /// What does it.
        tool: Arc<ToolSpec>,
        /// What a model read of its arguments from the caller's words.
        arguments: Arguments,
    },
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
    /// The probability of being right from which an approved answer is spoken word for word.
    pub verbatim_score: f32,
    /// The probability of having the answer below which an entry does not fit.
    pub min_score: f32,
    /// Whose words are spoken.
    pub wording: Wording,
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
    /// Another language than the configuration's; see [`Mind::speaking`].
    pub language: Option<Language>,
}

impl MindSettings {
    /// From the configuration.
    pub fn new(dialog: &DialogConfig, llm: &LlmConfig, check_grounding: bool) -> Self {
        Self {
            verbatim_score: dialog.verbatim_score,
            min_score: dialog.min_score,
            wording: if check_grounding { dialog.wording } else { Wording::Generated },
            max_tokens: llm.max_tokens,
            first_token: Duration::from_millis(llm.first_token_ms.into()),
            next_token: Duration::from_millis(llm.next_token_ms.into()),
            company: dialog.company.clone(),
            check_grounding,
            language: None,
        }
    }

    /// The part that decides. How well words must be heard is the machine's.
    const fn decision(&self) -> Settings {
        Settings { verbatim_score: self.verbatim_score, min_score: self.min_score, min_confidence: 0.0 }
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

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Mind {
    /// What may be said.
    pub knowledge: Library,
    /// How the model is asked.
    pub prompts: Arc<Prompts>,
    /// The model, if there is one.
    pub llm: Option<Arc<dyn LanguageModel>>,
    /// Set when the model runs on our cores.
    pub cost: Option<LocalCost>,
    /// What can be done for callers.
    pub tools: Arc<Toolbox>,
    /// Scores and limits.
    pub settings: MindSettings,
}

impl Mind {
    /// The same for calls in `language`, another one than the configuration's. Only what is approved in that language is
    /// said: the guard over a model's own words reads English. A model on our own cores is not asked at all, being too small
    /// for other languages; and tools collect what they need in English.
    pub fn speaking(&self, language: Language) -> Arc<Self> {
        let mut mind = self.clone();
        mind.settings.language = Some(language);
        mind.settings.wording = Wording::Approved;
        if mind.cost.is_some() || !mind.settings.check_grounding {
            (mind.llm, mind.cost) = (None, None);
        }
        Arc::new(mind)
    }

    /// Answers `query` into `out`, tagged with `turn`. Dropping the future stops the model.
    pub async fn answer(self: Arc<Self>, turn: TurnId, query: String, history: History, out: mpsc::Sender<Finding>) {
        let out = Out { turn, out };
        // One answer is made from one version, whatever comes meanwhile.
        let knowledge = self.knowledge.current();
        let searching = {
            let (mind, knowledge, query, history) = (self.clone(), knowledge.clone(), query.clone(), history.clone());
            // Finding by meaning computes for tens of milliseconds: not on a worker that moves frames.
            tokio::task::spawn_blocking(move || mind.search(&knowledge, &query, &history))
        };
        let hits = match searching.await {
            Ok(hits) => hits,
            Err(error) => return out.fail(format!("the search failed: {error}")).await,
        };
        let evidence = self.evidence(&knowledge, &hits);
        out.send(Thought::Planned(evidence.clone())).await;
        let approved = hits.first().and_then(|hit| hit.approved.clone());
        match (approved, &self.llm) {
            (Some(text), _) if evidence.verbatim => self.speak_or_do(&hits[0].entry_id, text, &out).await,
            (_, Some(llm)) if evidence.answerable => {
                let asked = Asked { knowledge: &knowledge, query: &query, history: &history, hits: &hits };
                self.decide(&**llm, &asked, evidence, &out).await;
            }
            (_, Some(llm)) => {
                let asked = Asked { knowledge: &knowledge, query: &query, history: &history, hits: &hits };
                self.offer_tools(&**llm, &asked, evidence, &out).await;
            }
            _ => out.send(Thought::Done { blocked: None }).await,
        }
    }

    /// What the knowledge base has for words a caller says to a person, the best first: a help for whoever listens.
    pub async fn suggest(self: Arc<Self>, query: String, history: History) -> Vec<Suggestion> {
        let (mind, knowledge) = (self.clone(), self.knowledge.current());
        let searching = tokio::task::spawn_blocking(move || mind.search(&knowledge, &query, &history));
        let Ok(hits) = searching.await.inspect_err(|error| warn!(%error, "The search failed")) else {
            return Vec::new();
        };
        let fits = hits.into_iter().filter(|hit| hit.score.max(hit.approved_score) >= self.settings.min_score);
        let suggestion = |hit: Hit| Suggestion {
            entry: hit.entry_id,
            title: hit.title,
            score: hit.score.max(hit.approved_score),
            approved: hit.approved,
        };
        fits.take(SUGGESTED).map(suggestion).collect()
    }

    /// Lets the model pick what is spoken, if anything is.
    async fn decide(&self, llm: &dyn LanguageModel, asked: &Asked<'_>, mut evidence: Evidence, out: &Out) {
        let Asked { knowledge, query, history, hits } = *asked;
        // A stand-in has no judgment: its words are measured, not believed.
        if !self.settings.check_grounding {
            let notes: Vec<&Entry> = self.notes(knowledge, hits).into_iter().map(|(_, entry)| entry).collect();
            return self.generate(query, history, &notes, out).await;
        }
        let judgment = Judgment::fitted();
        let mut best: Option<(&Entry, Pick)> = None;
        for (hit, entry) in self.notes(knowledge, hits) {
            let found = found(hit);
            if !decision::is_worth_asking(&found, judgment) {
                continue;
            }
            let pick = match self.pick(llm, entry, query, history).await {
                Ok(pick) => pick,
                Err(reason) => return out.fail(reason).await,
            };
            let picked = picked(hit, pick.as_ref());
            let may = decision::may_be_spoken(&picked, &found, judgment);
            evidence.picks.push(picked);
            if let Some(pick) = pick.filter(|_| may)
                && best.as_ref().is_none_or(|(_, best)| pick.certainty > best.certainty)
            {
                best = Some((entry, pick));
            }
        }
        let Some((entry, pick)) = best else {
            return self.offer_tools(llm, asked, evidence, out).await;
        };
        evidence.chosen = Some(pick.certainty);
        evidence.verbatim = self.settings.wording == Wording::Approved;
        evidence.entries.retain(|(id, _)| *id == entry.id);
        out.send(Thought::Planned(evidence)).await;
        match self.settings.wording {
            Wording::Approved => self.speak_or_do(&entry.id, pick.text, out).await,
            Wording::Generated if self.tools.of_entry(&entry.id).is_some() => {
                self.speak_or_do(&entry.id, pick.text, out).await;
            }
            Wording::Generated => self.generate(query, history, &[entry], out).await,
        }
    }

    /// An approved sentence; of an entry that stands for a tool: the tool.
    async fn speak_or_do(&self, entry: &str, text: String, out: &Out) {
        if let Some(tool) = self.tools.of_entry(entry) {
            if self.settings.language.is_some() {
                return out.send(Thought::Done { blocked: None }).await;
            }
            return out.send(Thought::Chore { tool: tool.clone(), arguments: Arguments::new() }).await;
        }
        out.send(Thought::Sentence(text)).await;
        out.send(Thought::Done { blocked: None }).await;
    }

    /// What the model picks of an entry's sentences; none when it finds that none of them answers the question.
    async fn pick(
        &self,
        llm: &dyn LanguageModel,
        entry: &Entry,
        query: &str,
        history: &History,
    ) -> Result<Option<Pick>, String> {
        let options = entry.options();
        let messages = self.prompts.choose(entry, history, query).map_err(|error| error.to_string())?;
        let _permit = self.permit().await?;
        let letters = Prompts::letters(options.len());
        let request =
            ChatRequest { choices: letters.iter().copied().chain([NONE_FITS]).collect(), ..self.request(messages) };
        let (pieces, mut receiver) = mpsc::channel::<String>(PIECES);
        let drain = async { while receiver.recv().await.is_some() {} };
        let (result, ()) = tokio::join!(llm.generate(request, pieces), drain);
        let summary = result.map_err(|error| {
            warn!(%error, "The language model failed");
            error.to_string()
        })?;
        let picked = summary.choices.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied();
        info!(llm.total_ms = summary.total.as_millis() as u64, llm.choice = ?picked, "Picked an answer");
        Ok(picked.and_then(|(letter, certainty)| {
            let at = letters.iter().position(|one| *one == letter)?;
            Some(Pick { text: options[at].clone(), certainty, approved: at < entry.answers.len() })
        }))
    }

    fn request(&self, messages: Vec<ChatMessage>) -> ChatRequest {
        ChatRequest {
            messages,
            max_tokens: self.settings.max_tokens,
            temperature: 0.0,
            seed: None,
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: self.settings.first_token,
            next_token_deadline: self.settings.next_token,
        }
    }

    /// The cores a local model works on.
    async fn permit(&self) -> Result<Option<CpuPermit>, String> {
        let Some(cost) = &self.cost else { return Ok(None) };
        let permit = cost.budget.acquire(Priority::Reply, cost.threads, self.settings.first_token).await;
        permit.map(Some).map_err(|error| error.to_string())
    }

    /// Hits for the question; one that means little alone ("and on Sundays?") is also asked with the one before it, and the
    /// surer reading counts.
    fn search(&self, knowledge: &Knowledge, query: &str, history: &History) -> Vec<Hit> {
        let filter = &self.filter();
        let hits = knowledge.search_for(query, HITS, filter);
        if !leans_on_before(query) {
            return hits;
        }
        let words: Vec<&str> = history.caller_words().collect();
        let Some(before) = words.iter().rev().find(|words| **words != query) else { return hits };
        let both = knowledge.search_for(&format!("{before} {query}"), HITS, filter);
        let sure = |hits: &[Hit]| hits.first().map_or(0.0, |hit| hit.approved_score.max(hit.score));
        // Alone it may be near to something general: what it leans on goes first.
        if sure(&both) >= self.settings.min_score || sure(&both) > sure(&hits) { both } else { hits }
    }

    /// What callers of this language may be told. What does not say its language is in the configuration's.
    fn filter(&self) -> Filter {
        let calls = self.knowledge.filter().clone();
        match self.settings.language {
            None => calls,
            Some(language) => Filter { language: Some(language.as_str().to_owned()), marked: true, ..calls },
        }
    }

    fn evidence(&self, knowledge: &Knowledge, hits: &[Hit]) -> Evidence {
        let found: Vec<Found> = hits.iter().take(decision::NOTES).map(found).collect();
        let (has_model, judged) = (self.llm.is_some(), self.settings.check_grounding);
        let version = knowledge.version().to_owned();
        let Some(best) = hits.first() else { return Evidence { version, has_model, judged, ..Evidence::default() } };
        let plan = decision::plan(&found, &self.settings.decision(), Judgment::fitted());
        let verbatim = plan == Plan::Speak;
        let used = if verbatim { 1 } else { self.notes(knowledge, hits).len() };
        Evidence {
            answerable: plan != Plan::Nothing,
            score: best.score,
            margin: best.margin,
            entries: hits.iter().take(used).map(|hit| (hit.entry_id.clone(), hit.score)).collect(),
            verbatim,
            probability: best.approved_score,
            fit: best.signals,
            chosen: None,
            version,
            found,
            has_model,
            picks: Vec::new(),
            called: None,
            judged,
        }
    }

    /// The best entry, and the second when it fits nearly as well.
    fn notes<'a>(&self, knowledge: &'a Knowledge, hits: &'a [Hit]) -> Vec<(&'a Hit, &'a Entry)> {
        let Some(best) = hits.first() else { return Vec::new() };
        hits.iter()
            .take(2)
            .enumerate()
            .filter(|(place, hit)| *place == 0 || hit.score >= best.score * Judgment::fitted().thresholds.second_note)
            .filter_map(|(_, hit)| Some((hit, knowledge.entry(&hit.entry_id)?)))
            .collect()
    }

    async fn generate(&self, query: &str, history: &History, notes: &[&Entry], out: &Out) {
        let Some(llm) = &self.llm else { return out.send(Thought::Done { blocked: None }).await };
        let messages = match self.prompts.chat(notes, history, query) {
            Ok(messages) => messages,
            Err(error) => return out.fail(error.to_string()).await,
        };
        let mut permit = match self.permit().await {
            Ok(permit) => permit,
            Err(reason) => return out.fail(reason).await,
        };
        let guard = self.settings.check_grounding.then(|| {
            let sources = notes.iter().flat_map(|entry| [entry.title.as_str(), entry.body.as_str()]);
            let approved = notes.iter().flat_map(|entry| entry.answers.iter().map(|answer| answer.approved.as_str()));
            let said = history.caller_words().chain([query, self.settings.company.as_str()]);
            GroundingGuard::new(sources.chain(approved).chain(said))
        });
        let request = self.request(messages);
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

/// What is to be answered, and what was found for it.
struct Asked<'a> {
    knowledge: &'a Knowledge,
    query: &'a str,
    history: &'a History,
    hits: &'a [Hit],
}

/// What the model picked.
struct Pick {
    text: String,
    certainty: f32,
    /// One of the approved sentences, not of the body.
    approved: bool,
}

/// A hit, as decisions see it.
fn found(hit: &Hit) -> Found {
    Found { entry: hit.entry_id.clone(), sentence: hit.approved.clone(), fit: hit.signals }
}

/// A pick, as decisions see it; that nothing fits is one without a sentence.
fn picked(hit: &Hit, pick: Option<&Pick>) -> Picked {
    let entry = hit.entry_id.clone();
    match pick {
        Some(pick) => Picked {
            entry,
            sentence: Some(pick.text.clone()),
            certainty: pick.certainty,
            approved: pick.approved,
            agrees: hit.approved.as_ref() == Some(&pick.text),
        },
        None => Picked { entry, ..Picked::default() },
    }
}

/// Short, or about something that was named before: "how long does that take?".
fn leans_on_before(query: &str) -> bool {
    const POINTERS: &[&str] = &["that", "it", "this", "there", "those", "these", "them", "one", "then", "else"];
    const OPENERS: &[&str] = &["and", "or", "but", "what about", "how about", "also"];
    let words = crate::dialog::words::words(query);
    let said = words.join(" ");
    let opens = OPENERS.iter().any(|opener| said.starts_with(opener) && said[opener.len()..].starts_with(' '));
    (opens && words.len() <= 8)
        || words.len() <= 2
        || (words.len() <= 7 && words.iter().any(|word| POINTERS.contains(&word.as_str())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::llm::fake::FakeLlm;

    /// What is said to `query` when the model answers its questions so.
    async fn said(query: &str, verbatim_score: f32, replies: &[&str]) -> (Vec<String>, Evidence) {
        let config = Config::default();
        let mut settings = MindSettings::new(&config.dialog, &config.llm, true);
        settings.verbatim_score = verbatim_score;
        let replies = replies.iter().map(|reply| Ok((*reply).to_owned()));
        let mind = Arc::new(Mind {
            knowledge: Library::fixed(Knowledge::load(std::path::Path::new("")).expect("built in")),
            prompts: Arc::new(Prompts::load(&config.dialog).expect("built in")),
            llm: Some(Arc::new(FakeLlm::paced(Duration::ZERO, Duration::ZERO).scripted(replies))),
            cost: None,
            tools: Arc::default(),
            settings,
        });
        let (out, mut findings) = mpsc::channel(64);
        mind.answer(TurnId(1), query.to_owned(), History::default(), out).await;
        let (mut sentences, mut evidence) = (Vec::new(), Evidence::default());
        while let Some(finding) = findings.recv().await {
            match finding {
                Finding::Thought(_, Thought::Sentence(text)) => sentences.push(text),
                Finding::Thought(_, Thought::Planned(planned)) => evidence = planned,
                _ => {}
            }
        }
        (sentences, evidence)
    }

    const DELIVERY: &str = "how much is delivery";

    #[tokio::test(start_paused = true)]
    async fn a_good_fit_is_spoken_at_once() {
        let (sentences, evidence) = said(DELIVERY, 0.5, &[]).await;
        assert!(sentences.len() == 1 && sentences[0].contains("$4.90"), "{sentences:?}");
        assert!(evidence.verbatim && evidence.chosen.is_none() && evidence.probability > 0.8, "{evidence:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn below_that_the_model_must_pick_what_the_search_found() {
        for (reply, spoken) in
            [("A", true), ("{\"answer\": \"A\"}", true), ("B", false), ("N", false), ("nonsense", false)]
        {
            let (sentences, evidence) = said(DELIVERY, 1.01, &[reply, "N"]).await;
            assert_eq!(sentences.len(), usize::from(spoken), "{reply}: {sentences:?}");
            assert_eq!(evidence.chosen.is_some(), spoken, "{reply}: {evidence:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_fits_is_not_even_asked() {
        let (sentences, evidence) = said("who won the game last night", 0.8, &["A", "A"]).await;
        assert!(sentences.is_empty() && !evidence.answerable, "{sentences:?} {evidence:?}");
    }

    #[test]
    fn questions_that_lean_on_the_one_before_are_told() {
        for (query, leans) in [
            ("And on Sundays?", true),
            ("how long does that take", true),
            ("what about Alaska", true),
            ("how much is delivery to the house of my aunt in Ohio", false),
            ("do you take PayPal", false),
        ] {
            assert_eq!(leans_on_before(query), leans, "{query}");
        }
    }
}
