//! The last accepted run, and what is different now.
//!
//! A **regression** is a scenario that passed and fails now, an answer that is wrong now and was not, a person who was
//! needed and no longer comes, or a rate that is worse by more than [`SLACK`]. Times, shares of words heard wrong and how often
//! a judge objected are shown and judged by nobody.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::play::Played;
use super::scenario::Scenario;
use super::score::{Answer, Metric, Verdict};
use crate::cli::CliError;

/// A rate may be worse by this much.
const SLACK: f64 = 0.01;
/// Less of these is better; of all other rates more is.
const LESS_IS_BETTER: &[&str] = &["wrong_spoken_rate", "needless_rate", "explicit_ask_false_rate", "calibration_error"];

/// How one scenario went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Nothing was wrong with it.
    pub passed: bool,
    /// Of each turn that was played.
    pub answers: Vec<Option<Answer>>,
    /// In which turn a person came.
    pub person_at: Option<usize>,
}

/// One number of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// Of how many cases.
    pub n: usize,
}

/// A run that somebody accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The language model it was made with.
    pub model: String,
    /// By name.
    pub metrics: BTreeMap<String, Number>,
    /// By name.
    pub scenarios: BTreeMap<String, Standing>,
}

/// A scenario that went differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// What is different, in words.
    pub what: String,
    /// It is worse.
    pub regression: bool,
}

/// A number that is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Its name.
    pub metric: String,
    /// Then.
    pub was: f64,
    /// Now.
    pub now: f64,
    /// It is worse.
    pub regression: bool,
}

/// What is different.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// The model of the accepted run.
    pub model: String,
    /// Worse ones first.
    pub changes: Vec<Change>,
    /// Numbers, by name.
    pub moved: Vec<Moved>,
}

impl Baseline {
    /// A run as a baseline.
    pub fn of(model: &str, runs: &[(Scenario, Played, Verdict)], metrics: &[Metric]) -> Self {
        let standing = |verdict: &Verdict| Standing {
            passed: verdict.problems.is_empty(),
            answers: verdict.answers.clone(),
            person_at: verdict.person_at,
        };
        Self {
            model: model.to_owned(),
            metrics: metrics
                .iter()
                .map(|metric| (metric.metric.to_owned(), Number { value: metric.value, n: metric.n }))
                .collect(),
            scenarios: runs.iter().map(|(scenario, _, verdict)| (scenario.name.clone(), standing(verdict))).collect(),
        }
    }

    /// Reads an accepted run.
    pub fn load(file: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            CliError::usage(format!("{} can't be read: {error}", file.display()), "`--accept` writes a first one.")
        })?;
        serde_json::from_str(&text)
            .map_err(|error| CliError::usage(format!("{} is no baseline: {error}", file.display()), ""))
    }

    /// Accepts this run.
    pub fn save(&self, file: &Path) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        std::fs::write(file, text + "\n")
            .map_err(|error| CliError::failed(format!("{} can't be written: {error}", file.display()), ""))
    }

    /// What is different in `now`. `whole`: what is missing there is gone, not merely left out.
    pub fn diff(&self, now: &Self, whole: bool) -> Diff {
        let mut changes: Vec<Change> =
            now.scenarios.iter().filter_map(|(name, standing)| self.change(name, standing)).collect();
        if whole {
            let gone = self.scenarios.keys().filter(|name| !now.scenarios.contains_key(*name));
            changes.extend(gone.map(|name| Change {
                name: name.clone(),
                what: "is no longer played".to_owned(),
                regression: false,
            }));
        }
        changes.sort_by_key(|change| !change.regression);
        let moved = now.metrics.iter().filter_map(|(name, number)| {
            let was = self.metrics.get(name)?;
            let by = number.value - was.value;
            let worse = if LESS_IS_BETTER.contains(&name.as_str()) { by } else { -by };
            let is_rate =
                !["_p50", "_p95", "_wer"].iter().any(|end| name.ends_with(end)) && !name.starts_with("judge_");
            (by.abs() > 1e-9).then(|| Moved {
                metric: name.clone(),
                was: was.value,
                now: number.value,
                // Of a part of the suite the rates are others.
                regression: whole && is_rate && worse > SLACK,
            })
        });
        Diff { model: self.model.clone(), changes, moved: moved.collect() }
    }

    fn change(&self, name: &str, now: &Standing) -> Option<Change> {
        let change = |what: String, regression| Some(Change { name: name.to_owned(), what, regression });
        let Some(was) = self.scenarios.get(name) else {
            return change(format!("is new and {}", if now.passed { "passes" } else { "fails" }), false);
        };
        if was == now {
            return None;
        }
        let wrong = |standing: &Standing, at: usize| standing.answers.get(at) == Some(&Some(Answer::Wrong));
        let newly_wrong = (0..now.answers.len()).find(|at| wrong(now, *at) && !wrong(was, *at));
        match (was.passed, now.passed) {
            (true, false) => change("passed, and fails now".to_owned(), true),
            (false, true) => change("failed, and passes now".to_owned(), false),
            _ if newly_wrong.is_some() => {
                change(format!("turn {} is answered wrongly now", newly_wrong.unwrap_or(0) + 1), true)
            }
            (false, false) if was.person_at.is_some() && now.person_at.is_none() => {
                change("a person came, and none comes now".to_owned(), true)
            }
            _ => change("goes differently, no better and no worse".to_owned(), false),
        }
    }
}

impl Diff {
    /// Each regression in words.
    pub fn regressions(&self) -> Vec<String> {
        let changes = self.changes.iter().filter(|change| change.regression);
        let moved = self.moved.iter().filter(|moved| moved.regression);
        changes
            .map(|change| format!("{} {}", change.name, change.what))
            .chain(moved.map(|moved| format!("{} was {:.4} and is {:.4}", moved.metric, moved.was, moved.now)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(passed: bool, answer: Answer, person_at: Option<usize>) -> Standing {
        Standing { passed, answers: vec![Some(answer)], person_at }
    }

    fn run(standing: Standing, wrong: f64) -> Baseline {
        Baseline {
            model: "m".to_owned(),
            metrics: [("wrong_spoken_rate", wrong), ("answer_ms_p50", wrong * 9.0)]
                .map(|(name, value)| (name.to_owned(), Number { value, n: 100 }))
                .into(),
            scenarios: [("shop-1".to_owned(), standing)].into(),
        }
    }

    #[test]
    fn what_is_worse_is_a_regression_and_what_is_better_is_none() {
        let good = standing(true, Answer::Right, None);
        let silent = standing(false, Answer::Silent, None);
        let wrong = standing(false, Answer::Wrong, None);
        for (was, now, regressions, changes) in [
            (good.clone(), good.clone(), 0, 0),
            (good.clone(), silent.clone(), 1, 1),
            (silent.clone(), good.clone(), 0, 1),
            (silent.clone(), wrong.clone(), 1, 1),
            (wrong.clone(), silent.clone(), 0, 1),
            (standing(false, Answer::Silent, Some(2)), silent.clone(), 1, 1),
        ] {
            let diff = run(was.clone(), 0.01).diff(&run(now.clone(), 0.01), true);
            assert_eq!((diff.regressions().len(), diff.changes.len()), (regressions, changes), "{was:?} {now:?}");
        }
    }

    #[test]
    fn rates_may_move_a_little_and_times_as_they_like() {
        let good = standing(true, Answer::Right, None);
        let diff = |was, now, whole| run(good.clone(), was).diff(&run(good.clone(), now), whole);
        assert!(diff(0.01, 0.015, true).regressions().is_empty());
        assert_eq!(diff(0.01, 0.03, true).regressions(), ["wrong_spoken_rate was 0.0100 and is 0.0300"]);
        assert!(diff(0.03, 0.01, true).regressions().is_empty(), "fewer wrong ones are no regression");
        assert!(diff(0.01, 0.03, false).regressions().is_empty(), "of a part of the suite the rates are others");
    }

    #[test]
    fn new_and_gone_scenarios_are_named_and_files_come_back() {
        let base = run(standing(true, Answer::Right, None), 0.0);
        let other = Baseline {
            scenarios: [("shop-2".to_owned(), standing(false, Answer::Silent, None))].into(),
            ..base.clone()
        };
        let diff = base.diff(&other, true);
        assert!(diff.regressions().is_empty());
        assert_eq!(diff.changes.len(), 2);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("base.json");
        assert!(Baseline::load(&file).is_err_and(|error| error.to_string().contains("--accept")));
        base.save(&file).expect("written");
        assert_eq!(Baseline::load(&file).expect("read"), base);
    }
}
