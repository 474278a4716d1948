//! llama.cpp behind the traits of [`crate::model`]. The only module with `unsafe`, and all of that in `context`.
//!
//! The safe library (`llama-cpp-2`) loads the model, tokenizes and compiles grammars. Its context offers neither thread
//! counts nor interruption once it runs, and both matter here, so `context` uses the raw interface.

mod context;
mod frontend;
mod grammar;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::model::{LlamaChatTemplate, LlamaModel};
use llama_cpp_2::{LlamaCppError, LlamaModelLoadError, LogOptions};
use tracing::warn;

use crate::model::Frontend;
pub use context::Context;

/// What to load, and how large.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    pub path: PathBuf,
    /// Cells of the key-value cache.
    pub context: u32,
    /// Most tokens of one evaluation.
    pub batch: u32,
    /// Most sequences.
    pub prefixes: u32,
    pub threads: u32,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("llama.cpp does not start")]
    Backend(#[source] LlamaCppError),
    #[error("{path} cannot be loaded as a model")]
    Model {
        path: PathBuf,
        #[source]
        source: LlamaModelLoadError,
    },
    #[error("{path} is a recurrent model: its state cannot be shared between prefixes")]
    Recurrent { path: PathBuf },
    #[error("a context of {0} tokens cannot be made, probably for lack of memory")]
    Context(u32),
}

/// A loaded model; immutable.
pub(crate) struct Model {
    id: String,
    template: LlamaChatTemplate,
    limit: usize,
    pub(crate) model: LlamaModel,
    /// Must outlive the model.
    _backend: LlamaBackend,
}

/// Loads the model and makes its context; gives up when the flag is raised.
pub fn load(settings: &LoadSettings, give_up: Arc<AtomicBool>) -> Result<(Arc<dyn Frontend>, Context), LoadError> {
    llama_cpp_2::send_logs_to_tracing(LogOptions::default());
    let path = &settings.path;
    let backend = LlamaBackend::init().map_err(LoadError::Backend)?;
    let params = LlamaModelParams::default()
        .with_n_gpu_layers(0)
        .with_progress_callback(move |_| !give_up.load(Ordering::Relaxed));
    let loaded = LlamaModel::load_from_file(&backend, path, &params);
    let model = loaded.map_err(|source| LoadError::Model { path: path.clone(), source })?;
    if model.is_recurrent() || model.is_hybrid() {
        return Err(LoadError::Recurrent { path: path.clone() });
    }
    let template = model.chat_template(None).unwrap_or_else(|error| {
        warn!(%error, "The model brings no chat template, ChatML is assumed");
        LlamaChatTemplate::new("chatml").expect("the name has no NUL")
    });
    let id = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let limit = settings.context.min(model.n_ctx_train()) as usize;
    let model = Arc::new(Model { id, template, limit, model, _backend: backend });
    let context = Context::new(Arc::clone(&model), settings)?;
    Ok((model, context))
}
