//! Recordings of people with what they say: packages of Debian, named in the developers' guide.
//!
//! `pocketsphinx-testdata`: read sentences and playing cards, 16 kHz, several speakers, some noisy.
//! `asterisk-core-sounds-en-wav` (with its texts in `asterisk-core-sounds-en`): prompts, one speaker, studio, 8 kHz.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::cli::CliError;

const SPHINX: &str = "/usr/share/pocketsphinx/test/data";
const PROMPTS: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";
const PROMPT_TEXTS: &str = "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz";
const REMEDY: &str = "Install them: apt-get install pocketsphinx-testdata asterisk-core-sounds-en-wav";
/// Prompts of fewer words are numbers, letters and names of files.
const LEAST_WORDS: usize = 3;
/// Sphinx recordings whose text stands in no file: what one hears.
const UNTRANSCRIBED: &[(&str, &str)] =
    &[("goforward.raw", "go forward ten meters"), ("something.raw", "go somewhere and do something")];

/// A recording and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// `read` or `prompts`.
    pub set: &'static str,
    /// WAV, or 16 kHz samples without a header.
    pub path: PathBuf,
    /// What is said.
    pub text: String,
}

/// All read sentences and `prompts` prompts, spread evenly over all there are.
pub fn all(prompts: usize) -> Result<Vec<Recording>, CliError> {
    let sphinx = Path::new(SPHINX);
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
    let all = prompt_lines(&read(Path::new(PROMPT_TEXTS))?);
    let step = (all.len() / prompts.max(1)).max(1);
    recordings.extend(all.into_iter().step_by(step).take(prompts));
    match recordings.iter().find(|recording| !recording.path.exists()) {
        Some(missing) => Err(CliError::usage(format!("there is no {}", missing.path.display()), REMEDY)),
        None => Ok(recordings),
    }
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
        // The one mistake in the package: read once, written twice.
        let text = said.trim().replace("a more a amiable", "a more amiable");
        Some(Recording { set: "read", path: folder.join(format!("{name}.wav")), text })
    };
    text.lines().filter_map(line).collect()
}

/// Lines such as `agent-pass: Please enter your password followed by the pound key.`, sounds and notes left out.
fn prompt_lines(text: &str) -> Vec<Recording> {
    let line = |line: &str| {
        let (name, said) = line.split_once(": ")?;
        let said = said.trim();
        let spoken = !said.contains(['[', '(', '<', '{']) && !name.contains(' ') && !name.starts_with(';');
        let long_enough = said.split_whitespace().count() >= LEAST_WORDS;
        let path = Path::new(PROMPTS).join(format!("{name}.wav"));
        (spoken && long_enough).then(|| Recording { set: "prompts", path, text: said.to_owned() })
    };
    text.lines().filter_map(line).collect()
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
                    dir/pass: Enter your password: now.\nquestion (old): Is this one?\n";
        let prompts = prompt_lines(text);
        assert_eq!(prompts.len(), 1);
        assert_eq!(prompts[0].text, "Enter your password: now.");
        assert!(prompts[0].path.ends_with("dir/pass.wav"));
    }
}
