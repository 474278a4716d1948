//! One CPU budget for speech-to-text, language model and voice on a small machine (see `engine/mod.rs`).
