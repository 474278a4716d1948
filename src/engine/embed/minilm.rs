//! all-MiniLM-L6-v2 through ONNX Runtime.
//!
//! The model's signature: in `input_ids`, `attention_mask`, `token_type_ids`, each i64 [1, n]; out `last_hidden_state`
//! f32 [1, n, 384]. A sentence's vector is the mean over its tokens, brought to length 1. Source: the model's card.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;

use super::wordpiece::WordPiece;
use super::{EmbedError, SentenceEmbedder};
use crate::engine::onnx::Runtime;

const DIMENSION: usize = 384;

/// The loaded model. One sentence at a time, on the caller's thread and one core.
#[derive(Debug)]
pub struct MiniLm {
    session: Mutex<Session>,
    pieces: WordPiece,
}

impl MiniLm {
    /// Loads `model` with the `tokenizer.json` beside it, and tries it once.
    pub fn load(runtime: &Runtime, model: &Path) -> Result<Self, EmbedError> {
        let fail = |reason: String| EmbedError::Load { path: model.display().to_string(), reason };
        let tokenizer = std::fs::read_to_string(model.with_file_name("tokenizer.json"))
            .map_err(|error| fail(format!("its tokenizer.json can't be read: {error}")))?;
        let session = runtime.session(model, 1).map_err(|error| fail(error.to_string()))?;
        let loaded = Self { session: Mutex::new(session), pieces: WordPiece::parse(&tokenizer)? };
        // Another network in the file shows here and not in the first call.
        loaded.embed("hello").map_err(|error| fail(error.to_string()))?;
        Ok(loaded)
    }

    fn run(&self, ids: &[i64]) -> Result<Vec<f32>, String> {
        let (mask, kinds) = (vec![1i64; ids.len()], vec![0i64; ids.len()]);
        let tensor = |values| TensorRef::from_array_view(([1, ids.len()], values)).map_err(|error| error.to_string());
        let inputs = ort::inputs![
            "input_ids" => tensor(ids)?,
            "attention_mask" => tensor(&mask[..])?,
            "token_type_ids" => tensor(&kinds[..])?,
        ];
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(|error| error.to_string())?;
        let (_, states) = outputs[0].try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
        if states.len() != ids.len() * DIMENSION {
            return Err(format!("{} numbers for {} tokens, expected {DIMENSION} each", states.len(), ids.len()));
        }
        let mut mean = vec![0.0; DIMENSION];
        for state in states.chunks_exact(DIMENSION) {
            mean.iter_mut().zip(state).for_each(|(sum, value)| *sum += value);
        }
        let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Err("the vector has no direction".to_owned());
        }
        mean.iter_mut().for_each(|value| *value /= length);
        Ok(mean)
    }
}

impl SentenceEmbedder for MiniLm {
    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.run(&self.pieces.tokens(text)).map_err(EmbedError::Engine)
    }

    fn name(&self) -> &str {
        "minilm"
    }
}
