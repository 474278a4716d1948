//! `warmline eval --replay`: decisions that were stored with all their inputs, made again with another configuration.
//!
//! Cases come from runs of scenarios (`--report DIR`), which know what was right, or from the calls on record, which don't.
//! Nothing is played, no model is asked; what can't be told without one is said to be unknown.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::score::Truth;
use super::{Args, curve};
use crate::cli::{CliError, say, say_json};
use crate::config::Config;
use crate::dialog::intent::forbidden_topic;
use crate::judgment::Judgment;
use crate::judgment::decision::{Decision, Outcome, Replay, Ruled, Settings, told};
use crate::store::sqlite::SqliteStore;
use crate::store::{CallQuery, MAX_LIMIT, Store};
use crate::telephony::protocol::Speaker;

/// One turn of a case.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The caller's words.
    pub words: String,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What is known of the question.
    pub truth: Option<Truth>,
    /// A person came in this turn for something no words decide: a key, silence, a failed voice.
    pub person_anyway: bool,
}

/// A call, or a scenario that was played.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Whether a person must come, where that is known.
    pub person: Option<bool>,
    /// In order.
    pub steps: Vec<Step>,
}

/// What decides in a replay.
pub struct Configuration<'a> {
    /// The thresholds.
    pub settings: Settings,
    /// The weights.
    pub judgment: &'a Judgment,
    /// Topics for people.
    pub topics: &'a [String],
}

impl Case {
    /// The outcome of each turn under another configuration; shorter than the case when a person would have come earlier.
    pub fn replay(&self, with: &Configuration<'_>) -> Vec<Option<Outcome>> {
        let mut replay = Replay::default();
        let mut outcomes = Vec::new();
        for step in &self.steps {
            let outcome = match &step.decision {
                Some(decision) => {
                    let decision = with_topics(decision, &step.words, with.topics);
                    match replay.next(&decision, &with.settings, with.judgment) {
                        Some(outcome) => Some(outcome),
                        None => break,
                    }
                }
                None => None,
            };
            outcomes.push(outcome);
        }
        outcomes
    }
}

/// The decision with the topics of another configuration read in the words.
fn with_topics(decision: &Decision, words: &str, topics: &[String]) -> Decision {
    let mut decision = decision.clone();
    if matches!(decision.inputs.rule, None | Some(Ruled::Topic(_))) && !words.is_empty() {
        decision.inputs.rule = forbidden_topic(words, topics).map(|topic| Ruled::Topic(topic.to_owned()));
    }
    decision
}

/// Something that would be otherwise.
#[derive(Debug, Serialize)]
struct Difference<'a> {
    case: &'a str,
    turn: usize,
    words: &'a str,
    was: Outcome,
    /// None: the call would not have come so far with the assistant.
    now: Option<Outcome>,
    told_was: &'a str,
    told_now: String,
}

/// Runs a replay.
pub async fn run(args: &Args, config: &Config) -> Result<(), CliError> {
    let own = args.weights.as_deref().map(weights).transpose()?;
    let with = Configuration {
        settings: Settings {
            verbatim_score: config.dialog.verbatim_score,
            min_score: config.dialog.min_score,
            min_confidence: config.handoff.min_confidence,
        },
        judgment: own.as_ref().unwrap_or_else(|| Judgment::fitted()),
        topics: &config.handoff.forbidden_topics,
    };
    let mut cases = match args.paths.is_empty() {
        true => calls(config, args.calls).await?,
        false => {
            let read: Result<Vec<_>, _> = args.paths.iter().map(|path| runs(path)).collect();
            read?.into_iter().flatten().collect()
        }
    };
    if let Some(start) = &args.only {
        cases.retain(|case| case.name.starts_with(start));
    }
    if let Some(file) = &args.curve {
        curve::write(file, &cases, &with)?;
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut decisions, mut same, mut unknown) = (0, 0, 0);
    for case in &cases {
        let outcomes = case.replay(&with);
        for (at, step) in case.steps.iter().enumerate() {
            let Some(decision) = &step.decision else { continue };
            decisions += 1;
            let now = outcomes.get(at).copied().flatten();
            if now == Some(decision.outcome) {
                same += 1;
                continue;
            }
            unknown += usize::from(now == Some(Outcome::Unknown));
            let told_now = match now {
                Some(outcome) => {
                    let decision = with_topics(decision, &step.words, with.topics);
                    told(&decision.inputs, &with.settings, with.judgment, outcome)
                }
                None => "A person would have come before this.".to_owned(),
            };
            *kinds
                .entry(format!("{} → {}", decision.outcome.told(), now.map_or("not reached", Outcome::told)))
                .or_default() += 1;
            show(
                args.json,
                &Difference {
                    case: &case.name,
                    turn: at + 1,
                    words: &step.words,
                    was: decision.outcome,
                    now,
                    told_was: &decision.told,
                    told_now,
                },
            )?;
        }
    }
    if args.json {
        let differ = decisions - same;
        return say_json(&json!({
            "replay": "summary", "cases": cases.len(), "decisions": decisions, "same": same, "differ": differ, "unknown": unknown,
        }));
    }
    say(format!("{} calls, {decisions} decisions: {same} the same, {} differ", cases.len(), decisions - same))?;
    for (kind, count) in kinds {
        say(format!("{count:>6}  {kind}"))?;
    }
    Ok(())
}

fn show(as_json: bool, difference: &Difference<'_>) -> Result<(), CliError> {
    if as_json {
        return say_json(difference);
    }
    let Difference { case, turn, words, told_was, told_now, .. } = difference;
    say(format!("{case}, turn {turn}: {words:?}\n    was: {told_was}\n    now: {told_now}"))
}

fn weights(file: &Path) -> Result<Judgment, CliError> {
    let wrong =
        |reason: String| CliError::usage(format!("{}: {reason}", file.display()), "`--fit` writes such a file.");
    Judgment::parse(&std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?).map_err(wrong)
}

#[derive(Deserialize)]
struct RawRun {
    name: String,
    person: Option<bool>,
    turns: Vec<RawTurn>,
    truths: Vec<Option<Truth>>,
}

#[derive(Deserialize)]
struct RawTurn {
    caller: String,
    decision: Option<Decision>,
    handoff: Option<serde_json::Value>,
}

/// The scenarios of a run that `--report` wrote.
fn runs(path: &Path) -> Result<Vec<Case>, CliError> {
    let file = if path.is_dir() { path.join("runs.jsonl") } else { path.to_owned() };
    let remedy = "`--replay` reads what `--report` of this version wrote.";
    let text = std::fs::read_to_string(&file)
        .map_err(|error| CliError::usage(format!("{} can't be read: {error}", file.display()), remedy))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let raw: RawRun = serde_json::from_str(line)
                .map_err(|error| CliError::usage(format!("{} line {}: {error}", file.display(), number + 1), remedy))?;
            let truths = raw.truths.into_iter().chain(std::iter::repeat(None));
            let steps = raw.turns.into_iter().zip(truths).map(|(turn, truth)| {
                let decided = turn.decision.as_ref().is_some_and(|one| matches!(one.outcome, Outcome::Person(_)));
                Step {
                    words: turn.caller,
                    person_anyway: turn.handoff.is_some() && !decided,
                    decision: turn.decision,
                    truth,
                }
            });
            Ok(Case { name: raw.name, person: raw.person, steps: steps.collect() })
        })
        .collect()
}

/// The latest calls on record that have decisions.
async fn calls(config: &Config, most: usize) -> Result<Vec<Case>, CliError> {
    let store = SqliteStore::open(&config.database.url, &config.server.data_dir).await?;
    let cases = recorded(&store, most).await;
    store.close().await;
    cases
}

async fn recorded(store: &dyn Store, most: usize) -> Result<Vec<Case>, CliError> {
    let mut cases = Vec::new();
    let mut before = None;
    while cases.len() < most {
        let page = store.list_calls(&CallQuery { before, limit: MAX_LIMIT, ..CallQuery::default() }).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for call in &page {
            let Some(detail) = store.get_call(call.id).await? else { continue };
            let turns = detail.turns.into_iter().filter(|turn| turn.who == Speaker::Caller && turn.decision.is_some());
            let steps: Vec<Step> =
                turns.map(|turn| Step { words: turn.text, decision: turn.decision, ..Step::default() }).collect();
            if !steps.is_empty() && cases.len() < most {
                cases.push(Case { name: call.id.to_string(), person: None, steps });
            }
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::scenario::Suite;
    use crate::cli::eval::{play, score, tests::stage_without_model};
    use crate::judgment::decision::Inputs;
    use crate::store::conformance as sample;
    use crate::store::{CallRecord, TurnRecord};

    /// What calls do and what a replay computes is the same, on every scenario there is.
    #[tokio::test]
    async fn a_replay_with_the_same_configuration_decides_the_same() {
        let (stage, config) = stage_without_model(&Suite::default()).await;
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("evals");
        let suite = Suite::load(&[root.join("fitting"), root.join("judging")]).expect("a suite");
        let with = Configuration {
            settings: Settings {
                verbatim_score: config.dialog.verbatim_score,
                min_score: config.dialog.min_score,
                min_confidence: config.handoff.min_confidence,
            },
            judgment: Judgment::fitted(),
            topics: &config.handoff.forbidden_topics,
        };
        let mut decisions = 0;
        for scenario in &suite.scenarios {
            let played = play::play(&stage, scenario).await;
            let truths = score::truths(scenario, &played);
            let steps = played.turns.into_iter().zip(truths).map(|(turn, truth)| {
                let decided = turn.decision.as_ref().is_some_and(|one| matches!(one.outcome, Outcome::Person(_)));
                let person_anyway = turn.handoff.is_some() && !decided;
                Step { words: turn.caller, decision: turn.decision, truth, person_anyway }
            });
            let case = Case { name: scenario.name.clone(), person: scenario.person, steps: steps.collect() };
            let recorded: Vec<_> =
                case.steps.iter().map(|step| step.decision.as_ref().map(|one| one.outcome)).collect();
            assert_eq!(case.replay(&with), recorded, "{}", case.name);
            decisions += recorded.iter().flatten().count();
        }
        assert!(decisions > 300, "{decisions} decisions");
    }

    #[tokio::test]
    async fn recorded_calls_are_read_with_their_decisions() {
        let store = SqliteStore::in_memory().await.expect("a database");
        let call: CallRecord = sample::call(0);
        store.put_call(&call).await.expect("written");
        let settings = Settings { verbatim_score: 0.8, min_score: 0.5, min_confidence: 0.45 };
        let inputs = Inputs { confidence: 0.3, judged: true, ..Inputs::default() };
        let turn = |seq, who, decision| TurnRecord {
            call_id: call.id,
            seq,
            who,
            text: "mumble".to_owned(),
            planned: None,
            confidence: 0.3,
            started_ms: 0,
            ended_ms: 1,
            timings: None,
            entries: Vec::new(),
            agent_id: None,
            decision,
            word_times: Vec::new(),
        };
        let decision = Decision::new(inputs, settings, Outcome::AskBack);
        store.put_turn(&turn(0, Speaker::Caller, Some(decision))).await.expect("written");
        store.put_turn(&turn(1, Speaker::Assistant, None)).await.expect("written");
        let cases = recorded(&store, 10).await.expect("read");
        assert_eq!((cases.len(), cases[0].steps.len()), (1, 1));
        let replay = |min_confidence| {
            let settings = Settings { min_confidence, ..settings };
            cases[0].replay(&Configuration { settings, judgment: Judgment::fitted(), topics: &[] })
        };
        assert_eq!(replay(0.45), [Some(Outcome::AskBack)]);
        assert_eq!(replay(0.2), [Some(Outcome::Unknown)], "what would have been found is not on record");
        let topics = ["mumble".to_owned()];
        let with = Configuration { settings, judgment: Judgment::fitted(), topics: &topics };
        assert!(matches!(cases[0].replay(&with)[..], [Some(Outcome::Person(_))]));
    }
}
