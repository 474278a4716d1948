//! What a threshold costs on either side: decisions of a run made again with every threshold from 0 to 1.
//!
//! A call is **late** when it needs a person and one came more than a turn after the first question that had no right answer
//! (or the first word that called for one), or never; **needless** when it needs none and one came. An answer is **wrong**
//! when it was spoken and misses, **withheld** when the sentence at hand was right and the caller was asked back. **Regret**
//! is the share of calls with any of these.

use std::path::Path;

use serde::Serialize;

use super::replay::{Case, Configuration, Step};
use crate::cli::CliError;
use crate::judgment::decision::{Outcome, Settings};

/// Steps from 0 to 1.
const POINTS: u32 = 50;
/// Turns a person may take to come after the first sign without being late: being asked back once.
const PATIENCE: usize = 1;

/// A share of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Share {
    value: f64,
    n: usize,
}

/// One threshold.
#[derive(Debug, Serialize)]
struct Point {
    threshold: f32,
    wrong: Share,
    withheld: Share,
    late: Share,
    needless: Share,
    regret: Share,
    /// Turns that could not be decided from the record; they count for nothing.
    unknown: usize,
}

#[derive(Debug, Serialize)]
struct Curve {
    /// `dialog.verbatim_score` of the configuration.
    configured: f32,
    cases: usize,
    points: Vec<Point>,
}

/// What became of one call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    /// Of each spoken answer: it was wrong.
    wrong: Vec<bool>,
    /// Of each question with the right sentence at hand: it was not spoken.
    withheld: Vec<bool>,
    late: Option<bool>,
    needless: Option<bool>,
    unknown: usize,
}

impl Fate {
    fn regretted(&self) -> bool {
        let any = |flags: &[bool]| flags.contains(&true);
        any(&self.wrong) || any(&self.withheld) || self.late == Some(true) || self.needless == Some(true)
    }
}

/// Writes the curve of `cases`.
pub fn write(file: &Path, cases: &[Case], with: &Configuration<'_>) -> Result<(), CliError> {
    let cases: Vec<&Case> = cases.iter().filter(|case| case.person.is_some()).collect();
    if cases.is_empty() {
        return Err(CliError::usage(
            "a curve needs cases of which it is known what was right",
            "Give a folder that `--report` wrote.",
        ));
    }
    let points = (0..=POINTS).map(|step| point(&cases, with, step as f32 / POINTS as f32)).collect();
    let curve = Curve { configured: with.settings.verbatim_score, cases: cases.len(), points };
    let text = serde_json::to_string_pretty(&curve).expect("plain data");
    std::fs::write(file, text + "\n")
        .map_err(|error| CliError::failed(format!("{} can't be written: {error}", file.display()), ""))
}

fn point(cases: &[&Case], with: &Configuration<'_>, threshold: f32) -> Point {
    let settings = Settings { verbatim_score: threshold, ..with.settings };
    let with = Configuration { settings, judgment: with.judgment, topics: with.topics };
    let fates: Vec<Fate> = cases.iter().map(|case| fate(case, &case.replay(&with))).collect();
    Point {
        threshold,
        wrong: share(fates.iter().flat_map(|fate| fate.wrong.iter().copied())),
        withheld: share(fates.iter().flat_map(|fate| fate.withheld.iter().copied())),
        late: share(fates.iter().filter_map(|fate| fate.late)),
        needless: share(fates.iter().filter_map(|fate| fate.needless)),
        regret: share(fates.iter().map(Fate::regretted)),
        unknown: fates.iter().map(|fate| fate.unknown).sum(),
    }
}

fn share(flags: impl Iterator<Item = bool>) -> Share {
    let (mut yes, mut n) = (0, 0);
    for flag in flags {
        yes += usize::from(flag);
        n += 1;
    }
    Share { value: if n == 0 { 0.0 } else { yes as f64 / n as f64 }, n }
}

fn fate(case: &Case, outcomes: &[Option<Outcome>]) -> Fate {
    let mut fate = Fate::default();
    let mut person_at = None;
    for (at, (step, outcome)) in case.steps.iter().zip(outcomes).enumerate() {
        if step.person_anyway || matches!(outcome, Some(Outcome::Person(_))) {
            person_at.get_or_insert(at);
        }
        let (Some(truth), Some(outcome)) = (&step.truth, outcome) else { continue };
        let at_hand = truth.answerable && truth.found;
        match outcome {
            Outcome::Unknown => fate.unknown += 1,
            Outcome::Answer => fate.wrong.push(!truth.found),
            Outcome::AnswerPicked => fate.wrong.push(!truth.picked.contains(&true)),
            Outcome::AskBack | Outcome::Person(_) => fate.wrong.push(false),
        }
        if at_hand && *outcome != Outcome::Unknown {
            fate.withheld.push(!outcome.is_answer());
        }
    }
    match case.person {
        Some(true) => {
            let sign = case.steps.iter().position(is_sign).unwrap_or(0);
            fate.late = Some(person_at.is_none_or(|person| person > sign + PATIENCE));
        }
        Some(false) => fate.needless = Some(person_at.is_some()),
        None => {}
    }
    fate
}

/// From here on the assistant had nothing good to say.
fn is_sign(step: &Step) -> bool {
    !step.truth.as_ref().is_some_and(|truth| truth.answerable && truth.found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::score::Truth;
    use crate::handoff::HandoffReason;

    fn case(person: bool, truths: &[Option<(bool, bool)>]) -> Case {
        let steps = truths.iter().map(|truth| Step {
            truth: truth.map(|(answerable, found)| Truth { answerable, found, picked: Vec::new() }),
            ..Step::default()
        });
        Case { name: "x".to_owned(), person: Some(person), steps: steps.collect() }
    }

    #[test]
    fn every_way_to_regret_is_counted() {
        const PERSON: Outcome = Outcome::Person(HandoffReason::LowConfidence);
        let (good, none) = (Some((true, true)), Some((false, false)));
        for (case, outcomes, wanted) in [
            (case(false, &[good]), &[Outcome::Answer][..], (false, false, None, Some(false))),
            (case(false, &[good]), &[Outcome::AskBack], (false, true, None, Some(false))),
            (case(false, &[good]), &[PERSON], (false, true, None, Some(true))),
            (case(true, &[none, none]), &[Outcome::AskBack, PERSON], (false, false, Some(false), None)),
            (
                case(true, &[none, none, none]),
                &[Outcome::Answer, Outcome::AskBack, PERSON],
                (true, false, Some(true), None),
            ),
            (case(true, &[none]), &[Outcome::Answer], (true, false, Some(true), None)),
            (case(true, &[good, None]), &[Outcome::Answer, PERSON], (false, false, Some(false), None)),
        ] {
            let outcomes: Vec<_> = outcomes.iter().copied().map(Some).collect();
            let fate = fate(&case, &outcomes);
            let any = |flags: &[bool]| flags.contains(&true);
            let got = (any(&fate.wrong), any(&fate.withheld), fate.late, fate.needless);
            assert_eq!(got, wanted, "{outcomes:?}");
            assert_eq!(fate.regretted(), wanted.0 || wanted.1 || wanted.2 == Some(true) || wanted.3 == Some(true));
        }
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!(share(std::iter::empty()), Share::default());
        assert_eq!(share([true, false].into_iter()), Share { value: 0.5, n: 2 });
    }
}
