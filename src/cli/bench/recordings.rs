//! Recordings of people with what they say, and of music: packages of Debian.
//!
//! - `pocketsphinx-testdata`: read sentences, playing cards, digits, 16 kHz, several speakers, some noisy: set `read`.
//! - `asterisk-core-sounds-en-wav` (texts in `asterisk-core-sounds-en`): prompts of three words and more, one speaker,
//!   studio, 8 kHz: set `prompts`. The shorter ones (digits, months, single words) are the set `words`.
//! - `asterisk-moh-opsound-wav`: hold music. Optional.
//!
//! They are looked for where packages put them, and below `warmline/recordings` in the user's cache folder, where
//! `scripts/fetch-recordings` unpacks them without installing anything (a system may leave out `/usr/share/doc`, where the
//! texts are).

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::noises::Noise;
use crate::audio::wav;
use crate::cli::{CliError, explain};

const SPHINX: &str = "usr/share/pocketsphinx/test/data";
const PROMPTS: &str = "usr/share/asterisk/sounds/en_US_f_Allison";
const PROMPT_TEXTS: &str = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz";
const MUSIC: &str = "usr/share/asterisk/moh";
const REMEDY: &str = "Get them with scripts/fetch-recordings.";
/// Prompts of fewer words are a set of their own.
const LEAST_WORDS: usize = 3;
/// Sphinx recordings whose text stands in no file: what one hears.
const UNTRANSCRIBED: &[(&str, &str)] = &[
    ("goforward.raw", "go forward ten meters"),
    ("something.raw", "go somewhere and do something"),
    ("numbers.raw", "thirty three four six nine two"),
    ("tidigits/dhd.2934z.raw", "two nine three four zero"),
];
/// Slips of the pen in the packages' texts: what is written, what is said.
const SLIPS: &[(&str, &str)] = &[
    ("a more a amiable", "a more amiable"),
    ("umute", "unmute"),
    ("represenatives", "representatives"),
    ("Un-indentified or witheld", "Unidentified or withheld"),
    ("followed by # or just #", "followed by pound or just pound"),
];
/// Prompts whose text says something else than the recording, by ear, or nothing that could be written one way.
const UNUSABLE: &[&str] = &[];

/// A recording and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// `read`, `prompts` or `words`.
    pub set: &'static str,
    /// WAV, or 16 kHz samples without a header.
    pub path: PathBuf,
    /// What is said.
    pub text: String,
}

impl Recording {
    /// The samples, 16 kHz mono.
    pub fn pcm(&self) -> Result<Vec<i16>, CliError> {
        if self.path.extension().is_some_and(|extension| extension == "raw") {
            let bytes = std::fs::read(&self.path)
                .map_err(|error| CliError::failed(format!("{}: {error}", self.path.display()), ""))?;
            return Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect());
        }
        wav::read(&self.path).map_err(|error| CliError::failed(explain(&error), ""))
    }

    /// Its file's name without folder and ending.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// All read sentences and `prompts` prompts, spread evenly over all there are; 0 for all of them.
pub fn all(prompts: usize) -> Result<Vec<Recording>, CliError> {
    let sphinx = find(SPHINX);
    let mut recordings = Vec::new();
    for (folder, name) in [("librivox", "transcription"), ("cards", "cards.transcription")] {
        let folder = sphinx.join(folder);
        recordings.extend(sphinx_lines(&folder, &read(&folder.join(name))?));
    }
    recordings.extend(UNTRANSCRIBED.iter().map(|(name, text)| Recording {
        set: "read",
        path: sphinx.join(name),
        text: (*text).to_owned(),
    }));
    let mut all = prompt_lines(&find(PROMPTS), &read(&find(PROMPT_TEXTS))?);
    let listed = all.len();
    all.retain(|prompt| prompt.path.exists());
    // A few are in the list and not in the package.
    if all.len() * 10 < listed * 9 {
        return Err(CliError::usage(format!("recordings are missing in {}", find(PROMPTS).display()), REMEDY));
    }
    let step = all.len().checked_div(prompts).unwrap_or(1).max(1);
    let limit = if prompts == 0 { usize::MAX } else { prompts };
    recordings.extend(all.into_iter().step_by(step).take(limit));
    match recordings.iter().find(|recording| !recording.path.exists()) {
        Some(missing) => Err(CliError::usage(format!("there is no {}", missing.path.display()), REMEDY)),
        None => Ok(recordings),
    }
}

/// Recorded hold music, and monkeys; none of it where the packages are missing.
pub fn noises() -> Vec<Noise> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(find(MUSIC))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    files.sort();
    files.extend(
        ["tt-monkeys", "beep", "beeperr", "ascending-2tone"].map(|name| find(PROMPTS).join(format!("{name}.wav"))),
    );
    files.iter().filter_map(|file| Some(Noise::recorded(file.file_stem()?.to_str()?, wav::read(file).ok()?))).collect()
}

/// Where `path` lies: installed, else in the cache folder.
pub(super) fn find(path: &str) -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let fetched = cache.unwrap_or_default().join("warmline/recordings").join(path);
    let installed = Path::new("/").join(path);
    if installed.exists() || !fetched.exists() { installed } else { fetched }
}

fn read(path: &Path) -> Result<String, CliError> {
    let missing = |error: std::io::Error| CliError::usage(format!("{} can't be read: {error}", path.display()), REMEDY);
    let bytes = std::fs::read(path).map_err(missing)?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(&bytes[..]).read_to_string(&mut text).map_err(missing)?;
    } else {
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    Ok(text)
}

/// Lines such as `<s> ten of clubs </s> (001)`.
fn sphinx_lines(folder: &Path, text: &str) -> Vec<Recording> {
    let line = |line: &str| {
        let (said, name) = line.trim().strip_suffix(')')?.rsplit_once('(')?;
        let said = said.replace("<s>", "").replace("</s>", "");
        Some(Recording { set: "read", path: folder.join(format!("{name}.wav")), text: as_said(said.trim()) })
    };
    text.lines().filter_map(line).collect()
}

/// Lines such as `agent-pass: Please enter your password followed by the pound key.`, sounds, letters and notes left out.
fn prompt_lines(folder: &Path, text: &str) -> Vec<Recording> {
    let line = |line: &str| {
        let (name, said) = line.split_once(": ")?;
        let said = said.trim();
        let spoken = !said.contains(['[', '(', '<', '{']) && !name.contains(' ') && !name.starts_with(';');
        // Single letters and names of protocols have no one spelling.
        let word = !name.starts_with("letters/") && !name.starts_with("spy-");
        let set = if said.split_whitespace().count() >= LEAST_WORDS { "prompts" } else { "words" };
        let path = folder.join(format!("{name}.wav"));
        (spoken && word && !UNUSABLE.contains(&name)).then(|| Recording { set, path, text: as_said(said) })
    };
    text.lines().filter_map(line).collect()
}

fn as_said(text: &str) -> String {
    SLIPS.iter().fold(text.to_owned(), |text, (written, said)| text.replace(written, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_packages_are_understood() {
        let text = "<s> ten of clubs  </s> (001)\n<s> a more a amiable woman </s> (x_64kb-0920)\nnonsense\n";
        let read = sphinx_lines(Path::new("cards"), text);
        let found: Vec<_> = read.iter().map(|r| (r.path.to_str().expect("plain"), r.text.as_str())).collect();
        assert_eq!(found, [("cards/001.wav", "ten of clubs"), ("cards/x_64kb-0920.wav", "a more amiable woman")]);

        let text = "; Core sounds\n\nactivated: Activated.\nbeep: [this is a simple beep tone]\n\
                    dir/pass: Enter your password: now.\nquestion (old): Is this one?\n\
                    letters/a: a\n";
        let found = prompt_lines(Path::new("sounds"), text);
        let found: Vec<_> = found.iter().map(|r| (r.set, r.path.to_str().expect("plain"), r.text.as_str())).collect();
        let expected = [
            ("words", "sounds/activated.wav", "Activated."),
            ("prompts", "sounds/dir/pass.wav", "Enter your password: now."),
        ];
        assert_eq!(found, expected);
    }
}
