//! A second opinion: a language model reads the calls that passed, and may fail one with a reason. What failed by code it is not
//! shown, so it rescues nothing; what it says that is no verdict changes nothing.

use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::play::{Played, PlayedTurn};
use super::scenario::{Scenario, Turn};
use super::score::{Metric, Verdict};
use crate::cli::{CliError, explain};
use crate::config::DialogConfig;
use crate::dialog::knowledge::Knowledge;
use crate::dialog::prompt;
use crate::engine::llm::openai::{Endpoint, OpenAiClient};
use crate::engine::llm::{ChatMessage, ChatRequest, LanguageModel, Role};
use crate::telemetry::Secret;

const PROMPT: &str = "judge.md";
/// A verdict and a sentence; a model that thinks aloud before it gets room for that.
const MOST_TOKENS: u32 = 1_000;
/// Nobody waits on a line.
const DEADLINE: Duration = Duration::from_secs(120);
/// Pieces on their way.
const PIECES: usize = 64;
/// Longest reason that is kept, in characters.
const REASON: usize = 300;

/// What the judge says of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Nothing is wrong.
    Passes,
    /// This is.
    Fails(String),
    /// Nothing that is a verdict, for this reason.
    Silent(String),
}

/// A model that judges.
pub struct Judge {
    model: Arc<dyn LanguageModel>,
    system: String,
}

#[derive(Deserialize)]
struct Said {
    verdict: String,
    #[serde(default)]
    reason: String,
}

impl Judge {
    /// The model of this name at an OpenAI-compatible server.
    pub fn remote(url: &str, model: &str, key: Secret<String>, dialog: &DialogConfig) -> Result<Self, CliError> {
        let client = OpenAiClient::remote(Endpoint { url: url.to_owned(), key }, model.to_owned())
            .map_err(|error| CliError::usage(explain(&error), "Check `--judge`."))?;
        Self::new(Arc::new(client), dialog)
    }

    /// This model.
    pub fn new(model: Arc<dyn LanguageModel>, dialog: &DialogConfig) -> Result<Self, CliError> {
        let wrong = |error: &dyn std::error::Error| CliError::usage(explain(error), "Check `dialog.prompts_dir`.");
        let template = prompt::template(dialog, PROMPT, include_str!("../../../prompts/judge.md"))
            .map_err(|error| wrong(&error))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let company = dialog.company.as_str();
        let system = environment.render_str(&template, context! { company }).map_err(|error| wrong(&error))?;
        Ok(Self { model, system })
    }

    /// Reads every call that passed, and fails those with something wrong. What was measured on the way.
    ///
    /// A judge that gave no verdict at all is an error: whoever asked for one would take its silence for consent.
    pub async fn review(
        &self,
        runs: &mut [(Scenario, Played, Verdict)],
        knowledge: &Knowledge,
    ) -> Result<Vec<Metric>, CliError> {
        let (mut asked, mut failed, mut silent) = (0, 0, Vec::new());
        for (scenario, played, verdict) in runs.iter_mut().filter(|(_, _, verdict)| verdict.problems.is_empty()) {
            asked += 1;
            match self.opinion(scenario, played, knowledge).await {
                Opinion::Passes => {}
                Opinion::Fails(reason) => {
                    failed += 1;
                    verdict.problems.push(format!("the judge: {reason}"));
                }
                Opinion::Silent(why) => silent.push(why),
            }
        }
        if let Some(why) = silent.first().filter(|_| silent.len() == asked) {
            return Err(CliError::failed(format!("the judge gave no verdict: {why}"), "Check `--judge`."));
        }
        let share = |metric, of: usize| Metric { metric, value: of as f64 / asked as f64, unit: "ratio", n: asked };
        let measured = [share("judge_fail_rate", failed), share("judge_silent_rate", silent.len())];
        Ok(if asked == 0 { Vec::new() } else { measured.to_vec() })
    }

    async fn opinion(&self, scenario: &Scenario, played: &Played, knowledge: &Knowledge) -> Opinion {
        let message = |role, content| ChatMessage { role, content };
        let call = call(scenario, played, knowledge).to_string();
        let request = ChatRequest {
            messages: vec![message(Role::System, self.system.clone()), message(Role::User, call)],
            max_tokens: MOST_TOKENS,
            temperature: 0.0,
            seed: None,
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: DEADLINE,
            next_token_deadline: DEADLINE,
        };
        let (pieces, mut read) = mpsc::channel(PIECES);
        let drain = async { while read.recv().await.is_some() {} };
        match tokio::join!(self.model.generate(request, pieces), drain).0 {
            Ok(summary) => read_verdict(&summary.text),
            Err(error) => Opinion::Silent(explain(&error)),
        }
    }
}

/// The call as the judge sees it.
fn call(scenario: &Scenario, played: &Played, knowledge: &Knowledge) -> Value {
    let turns: Vec<Value> = scenario.turns.iter().zip(&played.turns).map(|(script, turn)| seen(script, turn)).collect();
    let mut wanted: Vec<&str> = scenario.turns.iter().filter_map(|turn| turn.entry.as_deref()).collect();
    wanted.extend(played.turns.iter().flat_map(|turn| turn.found.iter().map(String::as_str)));
    wanted.sort_unstable();
    wanted.dedup();
    let notes = wanted.into_iter().filter_map(|id| knowledge.entry(id));
    let notes: Vec<Value> = notes
        .map(|entry| {
            let approved: Vec<&str> = entry.answers.iter().map(|answer| answer.approved.as_str()).collect();
            json!({ "title": entry.title, "text": entry.body, "approved": approved })
        })
        .collect();
    json!({ "turns": turns, "notes": notes })
}

fn seen(script: &Turn, turn: &PlayedTurn) -> Value {
    let said: Vec<&str> = turn.said.iter().map(|said| said.text.as_str()).collect();
    let tools: Vec<Value> =
        turn.tools.iter().map(|call| json!({ "name": call.name, "arguments": call.arguments })).collect();
    json!({
        "caller": script.say.as_ref().unwrap_or(&turn.caller),
        "heard_as": turn.caller,
        "assistant": said.join(" "),
        "tools": tools,
        "person_fetched": turn.handoff.as_ref().map(|trigger| trigger.reason),
    })
}

/// The verdict in what a model says: its last JSON object of that shape.
fn read_verdict(text: &str) -> Opinion {
    let starts = text.match_indices('{').map(|(at, _)| at).rev();
    let objects =
        starts.filter_map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter::<Said>().next()?.ok());
    for said in objects {
        match said.verdict.trim().to_ascii_lowercase().as_str() {
            "pass" => return Opinion::Passes,
            "fail" if !said.reason.trim().is_empty() => {
                return Opinion::Fails(said.reason.trim().chars().take(REASON).collect());
            }
            "fail" => return Opinion::Silent("it fails the call without a reason".to_owned()),
            _ => {}
        }
    }
    Opinion::Silent("it says something else than a verdict".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::cli::eval::play::Said as Spoken;
    use crate::cli::eval::scenario::Suite;
    use crate::cli::eval::score;
    use crate::engine::llm::{ChatSummary, LlmError};

    /// Says the same of every call, and keeps what it was shown.
    struct Fixed(&'static str, Mutex<Vec<String>>);

    #[async_trait]
    impl LanguageModel for Fixed {
        async fn generate(&self, request: ChatRequest, pieces: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
            let shown = request.messages.into_iter().map(|message| message.content).collect::<Vec<_>>().join("\n");
            self.1.lock().expect("no panic").push(shown);
            pieces.send(self.0.to_owned()).await.map_err(|_| LlmError::Cancelled)?;
            Ok(ChatSummary { text: self.0.to_owned(), ..ChatSummary::default() })
        }

        fn name(&self) -> &str {
            "fixed"
        }
    }

    /// Two calls: one that passed by code, one that did not.
    fn runs() -> Vec<(Scenario, Played, Verdict)> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("calls.yaml");
        let turn = "turns: [{ say: how much is delivery, entry: delivery, spoken: [\"4.90\"] }]";
        std::fs::write(&file, format!("kind: answerable\nscenarios:\n  - {turn}\n  - {turn}\n")).expect("written");
        let scenarios = Suite::load(&[file]).expect("valid").scenarios;
        let said = ["Standard delivery costs $4.90.", "We open at eight."];
        scenarios
            .into_iter()
            .zip(said)
            .map(|(scenario, said)| {
                let said = vec![Spoken { text: said.to_owned(), fixed: None }];
                let turn = PlayedTurn { caller: "how much is the livery".to_owned(), said, ..PlayedTurn::default() };
                let (name, kind) = (scenario.name.clone(), scenario.kind);
                let (opening, outcome, troubles) = (None, None, Vec::new());
                let played = Played { name, kind, opening, turns: vec![turn], outcome, troubles };
                let verdict = score::judge(&scenario, &played);
                (scenario, played, verdict)
            })
            .collect()
    }

    /// The problems of both calls after this was said of the first one, and what the judge was shown.
    async fn reviewed(says: &'static str) -> (Result<Vec<Metric>, CliError>, [usize; 2], Vec<String>) {
        let model = Arc::new(Fixed(says, Mutex::default()));
        let judge = Judge::new(model.clone(), &DialogConfig::default()).expect("the built-in prompt");
        let mut runs = runs();
        let knowledge = Knowledge::load(std::path::Path::new("")).expect("built in");
        let measured = judge.review(&mut runs, &knowledge).await;
        let problems = [runs[0].2.problems.len(), runs[1].2.problems.len()];
        let shown = model.1.lock().expect("no panic").clone();
        (measured, problems, shown)
    }

    #[tokio::test]
    async fn a_judge_fails_what_passed_and_rescues_nothing() {
        let (measured, problems, shown) = reviewed(r#"{"verdict":"fail","reason":"It is rude."}"#).await;
        assert_eq!((problems, measured.expect("a verdict")[0].value), ([1, 1], 1.0));
        assert_eq!(shown.len(), 1, "what failed by code is not shown");
        for part in ["Larkfield", "how much is delivery", "how much is the livery", "costs $4.90", "Express delivery"] {
            assert!(shown[0].contains(part), "{part} in {}", shown[0]);
        }
        let (measured, problems, _) = reviewed(r#"{"verdict":"pass","reason":""}"#).await;
        assert_eq!((problems, measured.expect("a verdict")[0].value), ([0, 1], 0.0));
    }

    #[tokio::test]
    async fn a_judge_without_a_verdict_is_an_error_and_changes_nothing() {
        let (measured, problems, _) = reviewed("The call went well.").await;
        assert!(measured.is_err_and(|error| error.to_string().contains("no verdict")));
        assert_eq!(problems, [0, 1]);
    }

    #[test]
    fn only_a_whole_verdict_counts() {
        let fails = |text: &str| matches!(read_verdict(text), Opinion::Fails(_));
        assert_eq!(read_verdict("```json\n{\"verdict\": \"Pass\"}\n```"), Opinion::Passes);
        assert!(fails("I think {this} is it. {\"verdict\":\"fail\",\"reason\":\"Wrong price.\"} Bye."));
        assert!(!fails("{\"verdict\":\"fail\"}"), "without a reason nobody can check it");
        assert!(!fails("{\"verdict\":\"fail\",\"reason\":"));
        // A judge that thinks aloud ends with what it means.
        assert_eq!(read_verdict("{\"verdict\":\"fail\",\"reason\":\"x\"} No: {\"verdict\":\"pass\"}"), Opinion::Passes);
        for text in ["", "{", "fail", "{\"verdict\":\"maybe\",\"reason\":\"x\"}", "{}", "ü{ö"] {
            assert!(matches!(read_verdict(text), Opinion::Silent(_)), "{text}");
        }
    }
}
