//! Grammars: what a reply must look like, checked token by token by llama.cpp.

use llama_cpp_2::json_schema_to_grammar;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use crate::model::{Constraint, ConstraintSpec, PromptError, Token};

/// A grammar and how far it has got.
pub struct Grammar {
    sampler: LlamaSampler,
    /// Native code asserts if a broken grammar is used again.
    broken: bool,
}

impl Grammar {
    pub fn compile(model: &LlamaModel, spec: &ConstraintSpec) -> Result<Self, PromptError> {
        let sampler = match spec {
            ConstraintSpec::Grammar(text) => {
                let compiled = LlamaSampler::grammar(model, text, "root");
                compiled.map_err(|error| PromptError::Grammar(error.to_string()))?
            }
            ConstraintSpec::JsonSchema(schema) => {
                let text = json_schema_to_grammar(schema).map_err(|error| PromptError::Schema(error.to_string()))?;
                let compiled = LlamaSampler::grammar(model, &text, "root");
                compiled.map_err(|error| PromptError::Schema(error.to_string()))?
            }
        };
        Ok(Self { sampler, broken: false })
    }
}

impl Constraint for Grammar {
    fn allows(&mut self, token: Token) -> bool {
        if self.broken {
            return false;
        }
        let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(LlamaToken(token), 0.0, 0.0)], false);
        self.sampler.apply(&mut one);
        one.data.first().is_some_and(|data| data.logit() > f32::NEG_INFINITY)
    }

    fn mask(&mut self, logits: &mut [f32]) {
        if self.broken {
            logits.fill(f32::NEG_INFINITY);
            return;
        }
        let all = (0..).zip(logits.iter()).map(|(token, logit)| LlamaTokenData::new(LlamaToken(token), *logit, 0.0));
        let mut all = LlamaTokenDataArray::from_iter(all, false);
        self.sampler.apply(&mut all);
        for data in &all.data {
            if let Some(logit) = usize::try_from(data.id().0).ok().and_then(|token| logits.get_mut(token)) {
                *logit = data.logit();
            }
        }
    }

    fn accept(&mut self, token: Token) -> bool {
        self.broken = self.broken || self.sampler.try_accept(LlamaToken(token)).is_err();
        !self.broken
    }
}
