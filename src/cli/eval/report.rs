//! A run written down: `report.html` to read, one file that needs nothing else; `runs.jsonl` and `metrics.json` to compare
//! and to replay.

use std::fs;
use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;
use serde_json::json;

use super::baseline::Diff;
use super::play::{Played, PlayedTurn};
use super::scenario::{Scenario, Turn};
use super::score::{self, Metric, Verdict};
use crate::cli::CliError;

/// What there is to report.
#[derive(Serialize)]
pub struct Run<'a> {
    /// The suite.
    pub path: &'a str,
    /// The language model.
    pub model: &'a str,
    /// How the knowledge was searched.
    pub search: &'a str,
    /// Every scenario.
    #[serde(skip)]
    pub runs: &'a [(Scenario, Played, Verdict)],
    /// The numbers.
    pub metrics: &'a [Metric],
    /// The bounds that were not kept.
    pub broken: &'a [String],
    /// What is different from the accepted run.
    pub diff: Option<&'a Diff>,
}

const PAGE: &str = include_str!("report.html");

/// Writes all files of a report.
pub fn write(folder: &Path, run: &Run<'_>) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::failed(format!("the report can't be written into {}: {error}", folder.display()), "")
    };
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let lines: String = run.runs.iter().map(|one| format!("{}\n", line(one))).collect();
    fs::write(folder.join("runs.jsonl"), lines).map_err(|error| failed(&error))?;
    let metrics = serde_json::to_string_pretty(run).expect("metrics are plain data");
    fs::write(folder.join("metrics.json"), metrics).map_err(|error| failed(&error))?;
    let page = page(run).map_err(|error| failed(&error))?;
    fs::write(folder.join("report.html"), page).map_err(|error| failed(&error))
}

/// What a replay and other programs read.
fn line((scenario, played, verdict): &(Scenario, Played, Verdict)) -> serde_json::Value {
    json!({
        "name": scenario.name,
        "kind": scenario.kind,
        "person": scenario.person,
        "truths": score::truths(scenario, played),
        "opening": played.opening,
        "turns": played.turns,
        "outcome": played.outcome,
        "problems": verdict.problems,
        "answers": verdict.answers,
        "person_at": verdict.person_at,
    })
}

fn page(run: &Run<'_>) -> Result<String, minijinja::Error> {
    let mut pages = Environment::new();
    // The name's ending makes minijinja escape what callers and models say.
    pages.add_template("report.html", PAGE)?;
    let rows: Vec<serde_json::Value> = run.runs.iter().map(|one| row(one, run.diff)).collect();
    let failed = run.runs.iter().filter(|(_, _, verdict)| !verdict.problems.is_empty()).count();
    pages.get_template("report.html")?.render(context! {
        path => run.path, model => run.model, search => run.search, failed => failed,
        broken => Value::from(Serde(run.broken)), metrics => Value::from(Serde(run.metrics)),
        runs => Value::from(Serde(&rows)), diff => Value::from(Serde(run.diff)),
        regressions => run.diff.map(Diff::regressions),
    })
}

fn row((scenario, played, verdict): &(Scenario, Played, Verdict), diff: Option<&Diff>) -> serde_json::Value {
    let change = diff.and_then(|diff| diff.changes.iter().find(|change| change.name == scenario.name));
    let turns = scenario.turns.iter().zip(&played.turns).zip(&verdict.answers);
    json!({
        "name": scenario.name,
        "kind": scenario.kind,
        "conditions": conditions(scenario),
        "change": change.map(|change| change.what.as_str()),
        "problems": verdict.problems,
        "turns": turns.map(|((script, turn), answer)| turn_row(script, turn, *answer)).collect::<Vec<_>>(),
    })
}

fn turn_row(script: &Turn, turn: &PlayedTurn, answer: Option<score::Answer>) -> serde_json::Value {
    let signals = turn
        .decision
        .as_ref()
        .map(|decision| serde_json::to_string_pretty(&decision.inputs).expect("signals are plain data"));
    let mut row = serde_json::to_value(turn).expect("a turn is plain data");
    row["wrote"] = json!(script.say.as_ref().unwrap_or(&turn.caller));
    row["wanted"] = json!(wanted(script));
    row["answer"] = json!(answer);
    row["signals"] = json!(signals);
    row
}

/// What the scenario breaks or makes hard.
fn conditions(scenario: &Scenario) -> String {
    let faults = scenario.faults.iter().map(|fault| format!("{fault:?} broken").to_lowercase());
    let noise = (scenario.noise > 0.0).then(|| format!("{:.0} % of words heard wrong", scenario.noise * 100.0));
    let agents = (scenario.agents != 1).then(|| format!("{} agents", scenario.agents));
    faults.chain(noise).chain(agents).collect::<Vec<_>>().join(", ")
}

/// What a turn's script asks for, in words.
fn wanted(script: &Turn) -> Vec<String> {
    let mut wanted = Vec::new();
    match script.entry.as_deref() {
        Some("-") => wanted.push("no statement: nothing backs one".to_owned()),
        Some(entry) => wanted.push(format!("from {entry}")),
        None => {}
    }
    wanted.extend(script.spoken.iter().map(|fact| format!("says {}", fact.replace('|', " or "))));
    wanted.extend(script.absent.iter().map(|word| format!("not: {}", word.replace('|', " or "))));
    wanted.extend(script.handoff.iter().map(|reason| format!("person: {reason}")));
    wanted.extend(script.phrase.iter().map(|phrase| format!("sentence {phrase}")));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::baseline::Change;
    use crate::cli::eval::play::Said;
    use crate::cli::eval::scenario::Kind;

    #[test]
    fn the_page_has_all_that_was_said_and_escapes_it() {
        let script = Turn {
            say: Some("how much is <delivery>".to_owned()),
            entry: Some("delivery".to_owned()),
            spoken: vec!["4.90|free".to_owned()],
            ..Turn::default()
        };
        let scenario = Scenario {
            name: "shop-1".to_owned(),
            kind: Kind::Answerable,
            person: Some(false),
            faults: Vec::new(),
            agents: 1,
            noise: 0.2,
            turns: vec![script],
        };
        let said = vec![Said { text: "It costs $7 & more.".to_owned(), fixed: None }];
        let turn = PlayedTurn { caller: "how much is <livery>".to_owned(), said, ..PlayedTurn::default() };
        let played = Played {
            name: "shop-1".to_owned(),
            kind: Kind::Answerable,
            opening: None,
            turns: vec![turn],
            outcome: None,
        };
        let verdict = score::judge(&scenario, &played);
        let change = Change { name: "shop-1".to_owned(), what: "passed, and fails now".to_owned(), regression: true };
        let diff = Diff { model: "m".to_owned(), changes: vec![change], moved: Vec::new() };
        let runs = [(scenario, played, verdict)];
        let run = Run {
            path: "evals/x",
            model: "none",
            search: "words",
            runs: &runs,
            metrics: &[],
            broken: &[],
            diff: Some(&diff),
        };
        let page = page(&run).expect("renders");
        for part in [
            "how much is &lt;livery&gt;",
            "said: how much is &lt;delivery&gt;",
            "It costs $7 &amp; more.",
            "says 4.90 or free",
            "1 of 1 scenarios failed",
            "20 % of words heard wrong",
            "<b class=\"bad\">1 got worse.</b>",
            "a wrong statement",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "it needs nothing else");
    }
}
