//! Fitting the judgment's weights: from scenarios whose answers are known to logistic models, by plain gradient descent.
//!
//! Each opening question of a scenario is one case: the signals of the first hit, whether its entry is the right one, and
//! whether its approved answer has all wanted facts. Both ways of searching are fitted, each on its own signals.

use std::path::Path;

use super::scenario::Scenario;
use super::score::has_facts;
use crate::cli::CliError;
use crate::dialog::knowledge::{Hit, Knowledge};
use crate::judgment::{Fit, Judgment, Logistic, Signals};

/// Steps of the descent; it has long come to rest by then.
const STEPS: usize = 20_000;
const RATE: f64 = 0.5;
/// Pull of every weight towards zero, for each case.
const RIDGE: f64 = 0.002;

/// One question whose answer is known.
struct Case {
    signals: Signals,
    entry: bool,
    answer: bool,
}

/// Fits both ways of searching on the questions of `scenarios`.
pub fn fit(scenarios: &[Scenario], words_only: &Knowledge, both: &Knowledge) -> Judgment {
    let (lexical, hybrid) = (cases(scenarios, words_only), cases(scenarios, both));
    // The thresholds for picks come from runs with a model, which this is none of: they stay.
    let thresholds = Judgment::fitted().thresholds;
    Judgment { cases: hybrid.len(), thresholds, hybrid: fit_one(&hybrid), lexical: fit_one(&lexical) }
}

/// Writes the weights as `src/judgment/fitted.toml` has them.
pub fn write(file: &Path, judgment: &Judgment) -> Result<(), CliError> {
    let text = toml::to_string(judgment).expect("weights are plain data");
    let head = "# Made by `warmline eval --fit` from the fitting scenarios. The order of weights is that of src/judgment/mod.rs.\n";
    std::fs::write(file, format!("{head}{text}"))
        .map_err(|error| CliError::failed(format!("{} can't be written: {error}", file.display()), ""))
}

fn cases(scenarios: &[Scenario], knowledge: &Knowledge) -> Vec<Case> {
    let opening = scenarios.iter().filter(|scenario| scenario.faults.is_empty()).flat_map(|scenario| {
        // Later turns of unanswerable scenarios stand alone as well.
        let all = if scenario.turns.iter().all(super::scenario::Turn::is_unanswerable) { usize::MAX } else { 1 };
        scenario.turns.iter().take(all)
    });
    opening
        .filter(|turn| turn.is_answerable() || turn.is_unanswerable())
        .filter_map(|turn| {
            let hit = knowledge.search(turn.say.as_deref()?, 1).into_iter().next()?;
            let entry = turn.is_answerable() && turn.entry.as_deref() == Some(&hit.entry_id);
            let answer = hit.approved.as_ref().is_some_and(|said| turn.is_answerable() && has_facts(turn, said));
            Some(Case { signals: hit.signals, entry, answer })
        })
        .collect()
}

fn fit_one(cases: &[Case]) -> Fit {
    let values: Vec<Vec<f32>> = cases.iter().map(|case| case.signals.values()).collect();
    let fit = |label: fn(&Case) -> bool| {
        let labels: Vec<f64> = cases.iter().map(|case| f64::from(u8::from(label(case)))).collect();
        descend(&values, &labels)
    };
    Fit { entry: fit(|case| case.entry), answer: fit(|case| case.answer) }
}

/// Logistic regression on standardised signals, given back for the signals as they are.
fn descend(values: &[Vec<f32>], labels: &[f64]) -> Logistic {
    let n = values.len().max(1) as f64;
    let width = values.first().map_or(0, Vec::len);
    let column = |at: usize| values.iter().map(move |row| f64::from(row[at]));
    let means: Vec<f64> = (0..width).map(|at| column(at).sum::<f64>() / n).collect();
    let spreads: Vec<f64> = (0..width)
        .map(|at| (column(at).map(|value| (value - means[at]).powi(2)).sum::<f64>() / n).sqrt().max(1e-3))
        .collect();
    let rows: Vec<Vec<f64>> = values
        .iter()
        .map(|row| row.iter().enumerate().map(|(at, value)| (f64::from(*value) - means[at]) / spreads[at]).collect())
        .collect();
    let (mut bias, mut weights) = (0.0, vec![0.0; width]);
    for _ in 0..STEPS {
        let (mut bias_slope, mut slopes) = (0.0, vec![0.0; width]);
        for (row, label) in rows.iter().zip(labels) {
            let sum: f64 = bias + row.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>();
            let error = 1.0 / (1.0 + (-sum).exp()) - label;
            bias_slope += error;
            slopes.iter_mut().zip(row).for_each(|(slope, value)| *slope += error * value);
        }
        bias -= RATE * bias_slope / n;
        for (weight, slope) in weights.iter_mut().zip(&slopes) {
            *weight -= RATE * (slope / n + RIDGE * *weight);
        }
    }
    let raw: Vec<f64> = weights.iter().zip(&spreads).map(|(weight, spread)| weight / spread).collect();
    let shift: f64 = raw.iter().zip(&means).map(|(weight, mean)| weight * mean).sum();
    let round = |value: f64| ((value * 1_000.0).round() / 1_000.0) as f32;
    Logistic { bias: round(bias - shift), weights: raw.into_iter().map(round).collect() }
}

/// Mean distance between stated and actual probability, over ten bins weighted by their cases.
pub fn calibration_error(cases: &[(f32, bool)]) -> f64 {
    let mut bins = [(0.0f64, 0usize, 0usize); 10];
    for (probability, right) in cases {
        let bin = &mut bins[((probability * 10.0) as usize).min(9)];
        bin.0 += f64::from(*probability);
        bin.1 += usize::from(*right);
        bin.2 += 1;
    }
    let all = cases.len().max(1) as f64;
    bins.iter().map(|(stated, right, _)| (stated - *right as f64).abs() / all).sum()
}

/// The first hit's probability and whether its approved answer has the wanted facts.
pub fn stated(turn: &super::scenario::Turn, hit: &Hit) -> (f32, bool) {
    let right = hit.approved.as_ref().is_some_and(|said| turn.is_answerable() && has_facts(turn, said));
    (hit.approved_score, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_gets_weight_and_what_does_not_gets_none() {
        let values: Vec<Vec<f32>> = (0..200u8).map(|n| vec![f32::from(n) / 200.0, f32::from(n % 7)]).collect();
        let labels: Vec<f64> = (0..200u8).map(|n| f64::from(u8::from(n > 120))).collect();
        let fitted = descend(&values, &labels);
        assert!(fitted.weights[0] > 10.0 && fitted.weights[1].abs() < 0.5, "{fitted:?}");
        assert!(fitted.probability(&[0.9, 3.0]) > 0.9 && fitted.probability(&[0.3, 3.0]) < 0.1);
    }

    #[test]
    fn calibration_is_the_distance_between_stated_and_true() {
        assert!(calibration_error(&[(1.0, true), (0.0, false)]) < 1e-9);
        assert!((calibration_error(&[(0.95, false), (0.95, true)]) - 0.45).abs() < 1e-6);
        assert!(calibration_error(&[]) < 1e-9);
    }
}
