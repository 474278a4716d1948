//! Sentence embeddings: a text as a direction, near for texts that mean alike.

#[cfg(feature = "onnx")]
pub mod minilm;
pub mod wordpiece;

/// Turns text into vectors. Blocking; a few milliseconds a sentence.
pub trait SentenceEmbedder: Send + Sync {
    /// A vector of length 1; always of the same dimension.
    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError>;
    /// A name for records and reports.
    fn name(&self) -> &str;
}

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model could not be loaded.
    #[error("embedding model `{path}` could not be loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What was wrong.
        reason: String,
    },
    /// The model failed.
    #[error("embedding model failed: {0}")]
    Engine(String),
}
