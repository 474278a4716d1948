//! Fits the judge of [`crate::call::overlap`]: logistic regression by plain descent, small and always the same.

use crate::call::overlap::FEATURES;

/// What the judge saw while a sound lasted, and whether it was meant.
pub struct Example {
    /// At each frame.
    pub features: Vec<[f32; FEATURES]>,
    /// It was an interruption.
    pub meant: bool,
}

/// Weights and constant, such that no more than `most_false` of the sounds that are not meant ever reach one half.
pub fn fit(examples: &[Example], most_false: f32) -> [f32; FEATURES + 1] {
    let rows: Vec<(&[f32; FEATURES], bool)> =
        examples.iter().flat_map(|example| example.features.iter().map(|row| (row, example.meant))).collect();
    let (mean, spread) = scale(&rows);
    let scaled = |row: &[f32; FEATURES]| -> [f32; FEATURES] {
        std::array::from_fn(|index| (row[index] - mean[index]) / spread[index])
    };
    let data: Vec<([f32; FEATURES], f32)> =
        rows.iter().map(|(row, meant)| (scaled(row), if *meant { 1.0 } else { 0.0 })).collect();
    let meant = data.iter().filter(|(_, label)| *label > 0.5).count().max(1) as f32;
    let not_meant = (data.len() as f32 - meant).max(1.0);
    let mut weights = [0.0f32; FEATURES + 1];
    for _ in 0..1_500 {
        let mut gradient = [0.0f32; FEATURES + 1];
        for (row, label) in &data {
            let error = (sigmoid(dot(row, &weights)) - label) / if *label > 0.5 { meant } else { not_meant };
            for (gradient, value) in gradient.iter_mut().zip(row) {
                *gradient += error * value;
            }
            gradient[FEATURES] += error;
        }
        for (index, (weight, gradient)) in weights.iter_mut().zip(gradient).enumerate() {
            let decay = if index < FEATURES { 0.002 * *weight } else { 0.0 };
            *weight -= 0.8 * (gradient + decay);
        }
    }
    let mut plain = [0.0; FEATURES + 1];
    plain[FEATURES] = weights[FEATURES];
    for index in 0..FEATURES {
        plain[index] = weights[index] / spread[index];
        plain[FEATURES] -= weights[index] * mean[index] / spread[index];
    }
    // The constant is what trades speed against false stops.
    let mut highest: Vec<f32> = examples
        .iter()
        .filter(|example| !example.meant)
        .map(|example| example.features.iter().map(|row| dot(row, &plain)).fold(f32::NEG_INFINITY, f32::max))
        .collect();
    highest.sort_by(f32::total_cmp);
    let rank = (highest.len() as f32 * (1.0 - most_false)) as usize;
    if let Some(bar) = highest.get(rank.min(highest.len().saturating_sub(1))).filter(|bar| bar.is_finite()) {
        plain[FEATURES] -= bar;
    }
    plain
}

fn scale(rows: &[(&[f32; FEATURES], bool)]) -> ([f32; FEATURES], [f32; FEATURES]) {
    let count = rows.len().max(1) as f32;
    let mean: [f32; FEATURES] =
        std::array::from_fn(|index| rows.iter().map(|(row, _)| row[index]).sum::<f32>() / count);
    let spread = std::array::from_fn(|index| {
        let variance = rows.iter().map(|(row, _)| (row[index] - mean[index]).powi(2)).sum::<f32>() / count;
        variance.sqrt().max(1e-3)
    });
    (mean, spread)
}

fn dot(row: &[f32; FEATURES], weights: &[f32; FEATURES + 1]) -> f32 {
    row.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>() + weights[FEATURES]
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told_apart_is() {
        let row = |value: f32| {
            let mut row = [1.0; FEATURES];
            row[3] = value;
            row
        };
        let examples: Vec<Example> =
            (0..40).map(|n| Example { features: vec![row(n as f32 / 4.0)], meant: n >= 20 }).collect();
        let weights = fit(&examples, 0.05);
        let hits = |meant| {
            let chosen = examples.iter().filter(|example| example.meant == meant);
            chosen.filter(|example| dot(&example.features[0], &weights) >= 0.0).count()
        };
        assert!(hits(true) >= 19, "{}", hits(true));
        assert!(hits(false) <= 1, "{}", hits(false));
    }
}
