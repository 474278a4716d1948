//! Choosing the next token from the model's scores.
//!
//! Temperature 0 takes the best token. Above 0 the scores are divided by the temperature, the smallest set of tokens that
//! holds `top_p` of the probability is kept, and one of them is drawn with a generator seeded by the request, so the same
//! request on the same build gives the same reply. Reported log-probabilities are the model's own, before any of this.

use crate::model::{Constraint, Token};

/// Tokens this much less likely than the best are never drawn; keeps sorting short on large vocabularies.
const NEGLIGIBLE: f32 = 1e-6;

/// See the module.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f32,
    top_p: f32,
    random: SplitMix64,
}

impl Sampler {
    /// `temperature` ≥ 0; `top_p` in (0, 1].
    pub fn new(temperature: f32, top_p: f32, seed: u64) -> Self {
        Self { temperature, top_p, random: SplitMix64(seed) }
    }

    /// Chooses a token the constraint allows; `None` if there is none.
    ///
    /// The unrestricted choice is tested first: asking a grammar about one token is cheap, about all of them is not, and
    /// a model that was told the format mostly keeps to it.
    pub fn choose(&mut self, logits: &[f32], constraint: Option<&mut (dyn Constraint + 'static)>) -> Option<Token> {
        let choice = self.draw(logits)?;
        let Some(constraint) = constraint else { return Some(choice) };
        if constraint.allows(choice) {
            return Some(choice);
        }
        let mut masked = logits.to_vec();
        constraint.mask(&mut masked);
        self.draw(&masked)
    }

    fn draw(&mut self, logits: &[f32]) -> Option<Token> {
        let best = best(logits)?;
        if self.temperature <= 0.0 {
            return Some(best as Token);
        }
        let max = logits[best];
        let mut weights: Vec<(usize, f32)> = logits
            .iter()
            .map(|logit| ((logit - max) / self.temperature).exp())
            .enumerate()
            .filter(|(_, weight)| *weight >= NEGLIGIBLE) // also drops NaN
            .collect();
        let mut total: f32 = weights.iter().map(|(_, weight)| weight).sum();
        if self.top_p < 1.0 {
            weights.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
            let wanted = total * self.top_p;
            let mut kept = 0;
            total = 0.0;
            while kept < weights.len() && (kept == 0 || total < wanted) {
                total += weights[kept].1;
                kept += 1;
            }
            weights.truncate(kept);
        }
        let mut point = self.random.unit() * total;
        let drawn = weights.iter().find(|(_, weight)| {
            point -= weight;
            point < 0.0
        });
        // Rounding can leave `point` a hair above the last weight.
        drawn.or(weights.last()).map(|(token, _)| *token as Token)
    }
}

/// Index of the largest score; `None` if nothing is possible.
fn best(logits: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &logit) in logits.iter().enumerate() {
        if logit > best.map_or(f32::NEG_INFINITY, |(_, logit)| logit) {
            best = Some((index, logit));
        }
    }
    best.map(|(index, _)| index)
}

/// Natural-logarithm probabilities for one position.
#[derive(Debug)]
pub struct LogProbs<'a> {
    logits: &'a [f32],
    log_total: f32,
}

impl<'a> LogProbs<'a> {
    pub fn new(logits: &'a [f32]) -> Self {
        let max = best(logits).map_or(0.0, |index| logits[index]);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - max).exp()).filter(|p| !p.is_nan()).sum();
        Self { logits, log_total: max + total.ln() as f32 }
    }

    /// Log-probability of one token; negative infinity outside the vocabulary.
    pub fn of(&self, token: Token) -> f32 {
        let logit = usize::try_from(token).ok().and_then(|index| self.logits.get(index));
        logit.map_or(f32::NEG_INFINITY, |logit| logit - self.log_total)
    }

    /// The `count` most likely tokens, best first.
    pub fn top(&self, count: usize) -> Vec<(Token, f32)> {
        let count = count.min(self.logits.len());
        if count == 0 {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..self.logits.len()).collect();
        let descending = |a: &usize, b: &usize| self.logits[*b].total_cmp(&self.logits[*a]);
        order.select_nth_unstable_by(count - 1, descending);
        order.truncate(count);
        order.sort_unstable_by(descending);
        order.into_iter().map(|index| (index as Token, self.logits[index] - self.log_total)).collect()
    }
}

/// The SplitMix64 generator (Steele, Lea, Flood 2014): tiny, seedable, good enough to draw words.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Only(Token);
    impl Constraint for Only {
        fn allows(&mut self, token: Token) -> bool {
            token == self.0
        }
        fn mask(&mut self, logits: &mut [f32]) {
            for (token, logit) in logits.iter_mut().enumerate() {
                if token as Token != self.0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        fn accept(&mut self, token: Token) -> bool {
            token == self.0
        }
    }

    #[test]
    fn zero_temperature_takes_the_best() {
        let mut sampler = Sampler::new(0.0, 1.0, 7);
        assert_eq!(sampler.choose(&[0.1, 2.0, f32::NAN, 1.9], None), Some(1));
        assert_eq!(sampler.choose(&[f32::NEG_INFINITY; 3], None), None);
        assert_eq!(sampler.choose(&[], None), None);
    }

    #[test]
    fn a_refused_choice_is_replaced_by_the_best_allowed() {
        let mut sampler = Sampler::new(0.0, 1.0, 7);
        assert_eq!(sampler.choose(&[5.0, 1.0, 0.0], Some(&mut Only(2))), Some(2));
        assert_eq!(sampler.choose(&[5.0, 1.0, 0.0], Some(&mut Only(9))), None);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let logits = [0.0, (3.0f32).ln(), f32::NEG_INFINITY];
        let draw = |seed| {
            let mut sampler = Sampler::new(1.0, 1.0, seed);
            (0..4_000).map(|_| sampler.choose(&logits, None).expect("a token is possible")).collect::<Vec<_>>()
        };
        let drawn = draw(1);
        let ones = drawn.iter().filter(|token| **token == 1).count();
        assert!((2_850..3_150).contains(&ones), "expected about 3000 of 4000, got {ones}");
        assert!(!drawn.contains(&2));
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
    }

    #[test]
    fn top_p_cuts_the_tail() {
        let logits = [(0.6f32).ln(), (0.3f32).ln(), (0.1f32).ln()];
        let mut sampler = Sampler::new(1.0, 0.85, 3);
        assert!((0..500).all(|_| sampler.choose(&logits, None) != Some(2)));
        let mut narrow = Sampler::new(1.0, 0.01, 3);
        assert!((0..100).all(|_| narrow.choose(&logits, None) == Some(0)));
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let logits = [1.0, 2.0, 3.0, -50.0];
        let probs = LogProbs::new(&logits);
        let sum: f32 = (0..4).map(|token| probs.of(token).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert_eq!(probs.top(2).iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(probs.top(99).len(), 4);
        assert_eq!(probs.of(99), f32::NEG_INFINITY);
        assert_eq!(probs.of(-1), f32::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn a_choice_is_always_possible_and_in_range(
            logits in prop::collection::vec(prop_oneof![any::<f32>(), -20f32..20.0], 0..50),
            temperature in 0f32..2.0, top_p in 0.01f32..=1.0, seed: u64,
        ) {
            if let Some(token) = Sampler::new(temperature, top_p, seed).choose(&logits, None) {
                prop_assert!(logits[token as usize] > f32::NEG_INFINITY);
            } else {
                prop_assert!(logits.iter().all(|logit| logit.is_nan() || *logit == f32::NEG_INFINITY));
            }
        }
    }
}
