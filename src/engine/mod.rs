//! Speech and language engines behind narrow traits, each with a scripted fake, all under one CPU budget.

pub mod cpu;
pub mod llm;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod stt;
pub mod tts;
pub mod vad;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once to tell work on another thread to stop; cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// A flag nobody has set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop. It can't be taken back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
