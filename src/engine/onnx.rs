//! ONNX Runtime, loaded from a file at run time: one library and one environment for the whole process.
//!
//! ```text
//! runtime(path) ─▶ &'static Runtime ── session(model, threads) ─▶ ort::session::Session   (`run` takes `&mut`: pool them)
//! ```
//! The library allows one environment in a process, and it has to outlive every session; so it lives in a static.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;

/// The loaded library. There is one in a process.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads ONNX Runtime (`libonnxruntime.so`, 1.24 or newer) from `path`, once.
///
/// The first path that loads stays: a later call with another path gets the library already there, and a warning is
/// logged. A failed load leaves nothing behind, so another path may be tried.
pub fn runtime(path: &Path) -> Result<&'static Runtime, OnnxError> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = RUNTIME.get() {
        if loaded.path != path {
            tracing::warn!(loaded = %loaded.path.display(), asked = %path.display(), "ONNX Runtime is already loaded from another file");
        }
        return Ok(loaded);
    }
    let loaded = load(path)?;
    Ok(RUNTIME.get_or_init(|| loaded))
}

fn load(path: &Path) -> Result<Runtime, OnnxError> {
    let fail = |reason: String| OnnxError::Runtime { path: path.to_owned(), reason };
    // A bare file name would be looked up in the system's library folders: a typo must not load something else.
    if !path.is_file() {
        return Err(fail("no such file".to_owned()));
    }
    let absolute = std::path::absolute(path).map_err(|error| fail(error.to_string()))?;
    let environment = ort::init_from(&absolute)
        .map_err(|error| fail(error.to_string()))?
        .with_name("warmline")
        .with_telemetry(false)
        .build()
        .map_err(|error| fail(error.to_string()))?;
    environment.set_log_level(LogLevel::Error);
    Ok(Runtime { environment, path: path.to_owned() })
}

/// Where a model comes from.
#[derive(Clone, Copy)]
pub enum ModelSource<'a> {
    /// An ONNX file.
    File(&'a Path),
    /// The bytes of one; they may be dropped once the session exists.
    Bytes(&'a [u8]),
}

impl<'a> From<&'a Path> for ModelSource<'a> {
    fn from(path: &'a Path) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a PathBuf> for ModelSource<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a [u8]> for ModelSource<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl Runtime {
    /// Opens `model` on the CPU with `threads` threads for each run, which sleep rather than spin when idle.
    ///
    /// Memory is not planned ahead by input shape: our shapes differ with every sentence, and each plan would be kept.
    pub fn session<'a>(&self, model: impl Into<ModelSource<'a>>, threads: usize) -> Result<Session, OnnxError> {
        let model = model.into();
        let fail = |reason: String| OnnxError::Model {
            model: match model {
                ModelSource::File(path) => path.display().to_string(),
                ModelSource::Bytes(bytes) => format!("{} bytes in memory", bytes.len()),
            },
            reason,
        };
        // Every step of the builder has an error type of its own, which carries the builder: only its words matter.
        let mut builder = Session::builder(&self.environment)
            .map_err(|error| fail(error.to_string()))?
            .with_intra_threads(threads.max(1))
            .map_err(|error| fail(error.to_string()))?
            .with_inter_threads(1)
            .map_err(|error| fail(error.to_string()))?
            .with_intra_op_spinning(false)
            .map_err(|error| fail(error.to_string()))?
            .with_memory_pattern(false)
            .map_err(|error| fail(error.to_string()))?;
        match model {
            ModelSource::File(path) => builder.commit_from_file(path),
            ModelSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
        .map_err(|error| fail(error.to_string()))
    }

    /// The file the library came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why there is no runtime or no session.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The library could not be loaded.
    #[error("ONNX Runtime `{path}` could not be loaded: {reason}")]
    Runtime {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// A model could not be opened.
    #[error("ONNX model `{model}` could not be opened: {reason}")]
    Model {
        /// The file, or how many bytes.
        model: String,
        /// What the library said.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let error = load(Path::new("no/such/libonnxruntime.so")).expect_err("there is no such file");
        assert_eq!(error.to_string(), "ONNX Runtime `no/such/libonnxruntime.so` could not be loaded: no such file");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = load(file.path()).expect_err("an empty file is no library");
        assert!(error.to_string().contains("could not be loaded"), "{error}");
    }
}
