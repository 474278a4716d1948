//! The models Warmline runs on: what they are, where they come from, whether they are whole.
//!
//! [`locate`] is what engines ask: it turns a name of the manifest, or the path of a file of the operator's own, into a
//! path, or says what to do. `warmline models fetch` fills the folder: a file appears in it by one rename, after its
//! SHA-256 was right, so a file that is there with the right size is taken for whole; `warmline models verify` reads it
//! again. Nothing here loads a model.

pub mod convert;
mod ct2;
pub mod fetch;
mod manifest;
mod mel;
mod whole;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use manifest::{
    Manifest, Model, ModelFile, ModelKind, Part, PypiSource, Sha256, Source, Tags, Transform, UrlSource,
};

pub use whole::{FileState, glance, inspect};

use crate::config::ModelsConfig;

/// Why a model can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither configuration nor environment say where models are kept.
    #[error("no folder for models: set models.dir, or HOME")]
    NoFolder,
    /// Not a name of the manifest, and not a path.
    #[error("no model is called `{name}`; there are {}; a file of your own is given as a path", known.join(", "))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// What there is of that kind.
        known: Vec<&'static str>,
    },
    /// A model for something else.
    #[error("`{name}` is a {is}, not a {wanted}")]
    WrongKind {
        /// What was asked for.
        name: String,
        /// What it is.
        is: ModelKind,
        /// What it has to be.
        wanted: ModelKind,
    },
    /// Of the manifest, but not on this machine yet.
    #[error("model {name} is not fetched; run `warmline models fetch {name}`")]
    NotFetched {
        /// Which.
        name: String,
    },
    /// A file of the wrong size lies in its place.
    #[error("{} has {got} bytes instead of {expected}; run `warmline models fetch --force {name}`", path.display())]
    Broken {
        /// Which model.
        name: String,
        /// Which file.
        path: PathBuf,
        /// Its size.
        got: u64,
        /// The size it should have.
        expected: u64,
    },
    /// The manifest has no file of it for this kind of machine.
    #[error("model {name} does not exist for {platform}")]
    NotForThisMachine {
        /// Which.
        name: String,
        /// What this machine is.
        platform: String,
    },
    /// The operator's own file can't be read.
    #[error("model file {} can't be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operator's own file is something else.
    #[error("{} is not {expected}", path.display())]
    NotAModel {
        /// Which.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
}

/// The models folder: `models.dir`, else `warmline/models` in the user's cache folder. It need not exist yet.
pub fn folder(config: &ModelsConfig) -> Result<PathBuf, ModelError> {
    folder_from(config, |name| std::env::var_os(name))
}

fn folder_from(config: &ModelsConfig, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, ModelError> {
    if !config.dir.as_os_str().is_empty() {
        return Ok(config.dir.clone());
    }
    // The XDG rules: a relative path in the variable is ignored.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    Ok(cache.ok_or(ModelError::NoFolder)?.join("warmline/models"))
}

/// Where the model `name_or_path` lies.
///
/// A name of the manifest gives its first file in the models folder; the others (a voice's `.json`, a tokenizer) lie
/// beside it. Anything else is the path of a file of the operator's own. Reads a few bytes at most.
///
/// # Errors
/// Each says what is missing and the command that gets it.
pub fn locate(config: &ModelsConfig, name_or_path: &str, kind: ModelKind) -> Result<PathBuf, ModelError> {
    match Manifest::embedded().find(name_or_path) {
        Some(model) if model.kind != kind => {
            Err(ModelError::WrongKind { name: model.name.clone(), is: model.kind, wanted: kind })
        }
        Some(model) => locate_fetched(&folder(config)?, model),
        None => locate_own(name_or_path, kind),
    }
}

fn locate_fetched(folder: &Path, model: &Model) -> Result<PathBuf, ModelError> {
    let mut main = None;
    for file in model.files() {
        let path = folder.join(&file.name);
        match std::fs::metadata(&path) {
            Err(_) => return Err(ModelError::NotFetched { name: model.name.clone() }),
            Ok(found) if found.len() != file.size => {
                let name = model.name.clone();
                return Err(ModelError::Broken { name, path, got: found.len(), expected: file.size });
            }
            Ok(_) => main = main.or(Some(path)),
        }
    }
    main.ok_or_else(|| ModelError::NotForThisMachine { name: model.name.clone(), platform: manifest::this_platform() })
}

fn locate_own(given: &str, kind: ModelKind) -> Result<PathBuf, ModelError> {
    let path = PathBuf::from(given);
    let looks_like_a_path = path.components().count() > 1 || path.extension().is_some() || path.exists();
    if !looks_like_a_path {
        let of_kind = Manifest::embedded().models.iter().filter(|model| model.kind == kind);
        return Err(ModelError::UnknownName {
            name: given.to_owned(),
            known: of_kind.map(|model| model.name.as_str()).collect(),
        });
    }
    let start = first_bytes(&path).map_err(|source| ModelError::Unreadable { path: path.clone(), source })?;
    let expected = match kind {
        ModelKind::Stt if start != GGML_MAGIC => "a Whisper model in ggml form",
        ModelKind::Llm if start != GGUF_MAGIC => "a language model in gguf form",
        ModelKind::Voice if !beside(&path, ".json").is_file() => "a Piper voice with its .json beside it",
        _ => return Ok(path),
    };
    Err(ModelError::NotAModel { path, expected })
}

const GGML_MAGIC: [u8; 4] = 0x6767_6d6c_u32.to_le_bytes();
const GGUF_MAGIC: [u8; 4] = *b"GGUF";

/// The first four bytes of a file, zeros if it is shorter.
fn first_bytes(path: &Path) -> std::io::Result<[u8; 4]> {
    use std::io::Read;
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(4).read_to_end(&mut start)?;
    start.resize(4, 0);
    Ok(start.try_into().expect("resized to four"))
}

/// `path` with `suffix` appended to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> ModelsConfig {
        ModelsConfig { dir: dir.to_owned(), ..ModelsConfig::default() }
    }

    #[test]
    fn the_folder_follows_the_configuration_then_the_environment() {
        let none = ModelsConfig::default();
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/me"));
        let cache = |name: &str| Some(OsString::from(if name == "HOME" { "/home/me" } else { "/cache" }));
        let relative = |name: &str| Some(OsString::from(if name == "HOME" { "/home/me" } else { "cache" }));
        let from =
            |config: &ModelsConfig, variable: &dyn Fn(&str) -> Option<OsString>| folder_from(config, variable).ok();
        assert_eq!(from(&none, &home), Some("/home/me/.cache/warmline/models".into()));
        assert_eq!(from(&none, &cache), Some("/cache/warmline/models".into()));
        assert_eq!(from(&none, &relative), Some("/home/me/.cache/warmline/models".into()));
        assert_eq!(from(&config(Path::new("/m")), &cache), Some("/m".into()));
        assert_eq!(from(&none, &|_| None), None);
    }

    #[test]
    fn a_missing_model_names_the_command_that_gets_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = locate(&config(dir.path()), "whisper-base", ModelKind::Stt).expect_err("not there");
        assert_eq!(error.to_string(), "model whisper-base is not fetched; run `warmline models fetch whisper-base`");
    }

    #[test]
    fn a_fetched_model_is_found_with_what_lies_beside_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let model = Manifest::embedded().find("piper-joe").expect("in the manifest");
        let files: Vec<_> = model.files().collect();
        let make = |file: &ModelFile, size| {
            let made = std::fs::File::create(dir.path().join(&file.name)).expect("made");
            made.set_len(size).expect("sized");
        };
        make(files[0], files[0].size);
        let error = locate(&config(dir.path()), "piper-joe", ModelKind::Voice).expect_err("the .json is missing");
        assert!(matches!(error, ModelError::NotFetched { .. }), "{error}");
        make(files[1], files[1].size);
        let found = locate(&config(dir.path()), "piper-joe", ModelKind::Voice).expect("all there");
        assert_eq!(found, dir.path().join("piper-joe.onnx"));
        make(files[0], 7);
        let error = locate(&config(dir.path()), "piper-joe", ModelKind::Voice).expect_err("cut short");
        assert!(error.to_string().contains("has 7 bytes instead of"), "{error}");
    }

    #[test]
    fn a_name_of_another_kind_or_no_name_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = locate(&config(dir.path()), "piper-joe", ModelKind::Stt).expect_err("a voice");
        assert_eq!(error.to_string(), "`piper-joe` is a voice, not a speech recognition model");
        let error = locate(&config(dir.path()), "whisper-huge", ModelKind::Stt).expect_err("no such model");
        assert!(error.to_string().contains("there are whisper-base, whisper-tiny.en"), "{error}");
    }

    #[test]
    fn a_file_of_ones_own_is_taken_by_its_first_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = config(Path::new("/nowhere"));
        let own = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path.to_str().expect("plain").to_owned()
        };
        let ggml = own("mine.bin", b"lmgg rest");
        let gguf = own("mine.gguf", b"GGUF rest");
        let short = own("short.bin", b"lm");
        assert_eq!(locate(&config, &ggml, ModelKind::Stt).expect("ggml"), Path::new(&ggml));
        assert_eq!(locate(&config, &gguf, ModelKind::Llm).expect("gguf"), Path::new(&gguf));
        for (path, kind) in [(&gguf, ModelKind::Stt), (&ggml, ModelKind::Llm), (&short, ModelKind::Stt)] {
            assert!(matches!(locate(&config, path, kind), Err(ModelError::NotAModel { .. })), "{path}");
        }
        assert!(matches!(locate(&config, "/no/such.onnx", ModelKind::Vad), Err(ModelError::Unreadable { .. })));
        let voice = own("voice.onnx", b"x");
        assert!(matches!(locate(&config, &voice, ModelKind::Voice), Err(ModelError::NotAModel { .. })));
        own("voice.onnx.json", b"{}");
        locate(&config, &voice, ModelKind::Voice).expect("with its json");
    }
}
