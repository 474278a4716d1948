//! PURE. From measured signals to a probability that the answer is right. No model judges itself here: what counts is how
//! well an entry fits the caller's words, by words and by meaning, and how clearly it leads.
//!
//! The weights are those of `fitted.toml`, made by `warmline eval --fit` from scenarios with known answers, never typed in
//! by feel. [`Signals`] are stored with every turn, so a decision can be computed again with other weights.

pub mod decision;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// How well an entry, and one of its approved answers, fits a caller's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Signals {
    /// Fit by words, 0 to 1.
    pub lexical: f32,
    /// Lead by words over the best other entry; negative behind it.
    pub lexical_margin: f32,
    /// 1 when the words name this answer, -1 when they name another one, 0 when they name none.
    pub named: f32,
    /// 1 unless the caller asks for a time, place or amount and the answer's questions do not.
    pub kind_fits: f32,
    /// Share of the caller's telling words that had to be mended.
    pub mended: f32,
    /// Nearness in meaning of the entry; none without an embedding model.
    pub cosine: Option<f32>,
    /// Lead in meaning over the best other entry.
    pub cosine_margin: f32,
    /// Nearness in meaning of the answer.
    pub answer_cosine: f32,
    /// Lead of the answer over the rest of its entry.
    pub answer_margin: f32,
}

/// Signals used with an embedding model, in the order of their weights.
pub const HYBRID: [&str; 9] = [
    "lexical",
    "lexical_margin",
    "named",
    "kind_fits",
    "mended",
    "cosine",
    "cosine_margin",
    "answer_cosine",
    "answer_margin",
];
/// Signals used without one.
pub const LEXICAL: [&str; 5] = ["lexical", "lexical_margin", "named", "kind_fits", "mended"];

impl Signals {
    /// The signals a set of weights is for.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![self.lexical, self.lexical_margin, self.named, self.kind_fits, self.mended];
        if let Some(cosine) = self.cosine {
            values.extend([cosine, self.cosine_margin, self.answer_cosine, self.answer_margin]);
        }
        values
    }
}

/// A logistic model: `1 / (1 + exp(-(bias + Σ weight · signal)))`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// Added to all.
    pub bias: f32,
    /// One for each signal, in the order of [`LEXICAL`] or [`HYBRID`].
    pub weights: Vec<f32>,
}

impl Logistic {
    /// The probability; signals without a weight count nothing.
    pub fn probability(&self, values: &[f32]) -> f32 {
        let sum: f32 = self.weights.iter().zip(values).map(|(weight, value)| weight * value).sum();
        1.0 / (1.0 + (-(self.bias + sum)).exp())
    }
}

/// What was fitted for one way of searching.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// That the entry is the one that has the answer.
    pub entry: Logistic,
    /// That the approved answer, spoken as it stands, is right.
    pub answer: Logistic,
}

/// What a model's pick must reach. Chosen on `evals/fitting`: a model alone is sure of itself when it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The model's own certainty from which its pick is spoken when it is what search found too.
    pub picked: f32,
    /// The least probability search must give that sentence.
    pub agreed: f32,
    /// What a sentence of the body needs, which no question is listed for: this certainty, and this fit of the entry.
    pub alone: f32,
    /// A second entry is looked at when it fits at least this share of the best one's fit.
    pub second_note: f32,
}

/// All fitted weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgment {
    /// Made from so many cases.
    pub cases: usize,
    /// For picks of a model.
    pub thresholds: Thresholds,
    /// By words and meaning.
    pub hybrid: Fit,
    /// By words alone.
    pub lexical: Fit,
}

static FITTED: LazyLock<Judgment> = LazyLock::new(|| {
    let text = include_str!("fitted.toml");
    Judgment::parse(text).unwrap_or_else(|error| panic!("src/judgment/fitted.toml can't be read: {error}"))
});

impl Judgment {
    /// The weights that come with the program.
    pub fn fitted() -> &'static Self {
        &FITTED
    }

    const fn fit(&self, signals: &Signals) -> &Fit {
        if signals.cosine.is_some() { &self.hybrid } else { &self.lexical }
    }

    /// That the entry has the answer.
    pub fn entry(&self, signals: &Signals) -> f32 {
        self.fit(signals).entry.probability(&signals.values())
    }

    /// That the approved answer is right.
    pub fn answer(&self, signals: &Signals) -> f32 {
        self.fit(signals).answer.probability(&signals.values())
    }

    /// The same for what was found, which may have none.
    pub fn right(&self, found: &decision::Found) -> f32 {
        if found.sentence.is_some() { self.answer(&found.fit) } else { 0.0 }
    }

    /// Weights of one's own, from a file such as `warmline eval --fit` writes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let judgment: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        for (fit, names) in [(&judgment.hybrid, &HYBRID[..]), (&judgment.lexical, &LEXICAL[..])] {
            if fit.entry.weights.len() != names.len() || fit.answer.weights.len() != names.len() {
                return Err(format!("there must be {} weights, for {}", names.len(), names.join(", ")));
            }
        }
        Ok(judgment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fitted_weights_are_for_these_signals() {
        let judgment = Judgment::fitted();
        assert!(judgment.cases > 100);
        let short = toml::to_string(judgment).expect("plain data").replacen("weights = [", "weights = [1.0, ", 1);
        assert!(Judgment::parse(&short).is_err_and(|error| error.contains("lexical_margin")));
        let with = Signals { cosine: Some(0.5), ..Signals::default() };
        assert_eq!((Signals::default().values().len(), with.values().len()), (LEXICAL.len(), HYBRID.len()));
    }

    #[test]
    fn a_better_fit_is_more_probable() {
        let judgment = Judgment::fitted();
        let poor = Signals { lexical: 0.2, kind_fits: 1.0, ..Signals::default() };
        let good = Signals { lexical: 1.0, lexical_margin: 0.7, named: 1.0, ..poor };
        assert!(judgment.answer(&good) > 0.8 && judgment.answer(&poor) < 0.3);
        let near = |signals: Signals, cosine: f32| Signals {
            cosine: Some(cosine),
            cosine_margin: 0.2,
            answer_cosine: cosine,
            answer_margin: 0.1,
            ..signals
        };
        assert!(judgment.answer(&near(good, 0.95)) > 0.9 && judgment.answer(&near(poor, 0.3)) < 0.2);
    }
}
