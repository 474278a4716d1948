//! The last resort: the `flite` or `espeak-ng` program, if one is installed. No model, no streaming, a poor voice. In other
//! languages `pico2wave` (SVOX Pico), which Whisper understands as well as people, or else `espeak-ng`, which it hardly does.
//!
//! A process for each text: words go in by its standard input, so they are in no process list; sound comes back in a
//! temporary file, because flite can write to nothing else. It is killed when it takes too long or nobody listens.

use std::ffi::OsStr;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::shape::{Shaper, gain_for};
use super::{TextToSpeech, TtsError};
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::engine::CancelFlag;

/// Longest a reading may take. Both programs need some tens of milliseconds for a sentence.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
const PAUSE: Millis = Millis(150);
/// The voice nobody has chosen.
const AMERICAN: &str = "en-us";
/// Sound handed over at a time.
const CHUNK: Millis = Millis(400);

/// A speech program.
#[derive(Debug)]
pub struct ProgramVoice {
    program: PathBuf,
    dialect: Dialect,
    /// What the program calls the voice.
    voice: String,
    /// The program's, and the voice's where it is not the usual one.
    name: String,
    time_limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Flite,
    Espeak,
    Pico,
}

impl Dialect {
    /// Those that speak English, the better one first.
    const ENGLISH: [Self; 2] = [Self::Flite, Self::Espeak];

    const fn program(self) -> &'static str {
        match self {
            Self::Flite => "flite",
            Self::Espeak => "espeak-ng",
            Self::Pico => "pico2wave",
        }
    }

    fn on(self, path: &OsStr) -> Option<PathBuf> {
        std::env::split_paths(path).map(|dir| dir.join(self.program())).find(|file| file.is_file())
    }

    /// Arguments that read standard input aloud into a file. Of flite's voices `rms` was understood best by a recogniser.
    fn arguments(self, voice: &str, file: &Path) -> Vec<std::ffi::OsString> {
        let words: &[&str] = match self {
            Self::Flite => &["-voice", "rms", "-f", "-", "-o"],
            Self::Espeak => &["--stdin", "-v", voice, "-s", "150", "-w"],
            Self::Pico => &["-l", voice, "-w"],
        };
        words.iter().map(Into::into).chain([file.into()]).collect()
    }
}

impl ProgramVoice {
    /// The better one of those on the search path.
    pub fn find() -> Result<Self, TtsError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found =
            Dialect::ENGLISH.into_iter().find_map(|dialect| Some(Self::of(dialect.on(&path)?, dialect, AMERICAN)));
        found.ok_or_else(|| TtsError::Load {
            path: "flite or espeak-ng".to_owned(),
            reason: "neither program is installed; `apt install flite` gives the better one".to_owned(),
        })
    }

    /// Speaking another language: with `voice`, which is espeak-ng's name for one, such as `de+f2`. Where it is a language alone,
    /// such as `de`, by Pico if that is installed and speaks it.
    pub fn speaking(voice: &str) -> Result<Self, TtsError> {
        Self::speaking_from(&std::env::var_os("PATH").unwrap_or_default(), voice)
    }

    fn speaking_from(path: &OsStr, voice: &str) -> Result<Self, TtsError> {
        let pico = pico_voice(voice).and_then(|voice| Some(Self::of(Dialect::Pico.on(path)?, Dialect::Pico, voice)));
        let espeak = || Some(Self::of(Dialect::Espeak.on(path)?, Dialect::Espeak, voice));
        pico.or_else(espeak).ok_or_else(|| TtsError::Load {
            path: "pico2wave or espeak-ng".to_owned(),
            reason: "neither program is installed; `apt install espeak-ng` gets the second".to_owned(),
        })
    }

    fn of(program: PathBuf, dialect: Dialect, voice: &str) -> Self {
        let name = match dialect {
            Dialect::Espeak | Dialect::Pico if voice != AMERICAN => format!("{}-{voice}", dialect.program()),
            _ => dialect.program().to_owned(),
        };
        Self { program, dialect, voice: voice.to_owned(), name, time_limit: TIME_LIMIT }
    }

    fn run(&self, text: &str, cancel: &CancelFlag, file: &Path) -> Result<(), TtsError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            TtsError::Engine(format!("`{}` {what}: {error}", self.program.display()))
        };
        let child = Command::new(&self.program)
            .args(self.dialect.arguments(&self.voice, file))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed("could not be started", &error))?;
        let mut child = KilledOnDrop(child);
        if let Some(mut input) = child.0.stdin.take() {
            // A program that ends without reading is told apart by its exit status below.
            let _ = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
        }
        for _ in 0..self.time_limit.as_millis() / POLL.as_millis() {
            if cancel.is_cancelled() {
                return Err(TtsError::Cancelled);
            }
            match child.0.try_wait().map_err(|error| failed("was lost", &error))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(failed("failed", &status)),
                None => std::thread::sleep(POLL),
            }
        }
        Err(failed("was killed", &format_args!("still running after {:?}", self.time_limit)))
    }
}

impl TextToSpeech for ProgramVoice {
    fn speak(
        &self,
        text: &str,
        cancel: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        if cancel.is_cancelled() {
            return Err(TtsError::Cancelled);
        }
        if !text.chars().any(char::is_alphanumeric) {
            return Ok(());
        }
        let engine = |error: &dyn std::error::Error| TtsError::Engine(format!("`{}`: {error}", self.program.display()));
        let file = tempfile::Builder::new().suffix(".wav").tempfile().map_err(|error| engine(&error))?;
        self.run(text, cancel, file.path())?;
        let pcm = wav::read(file.path()).map_err(|error| engine(&error))?;
        let samples: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        let mut shaper = Shaper::new(SampleRate::WIDEBAND, gain_for(&samples)).map_err(|error| engine(&error))?;
        let mut out = Vec::with_capacity(pcm.len());
        shaper.push(&samples, &mut out);
        shaper.finish(PAUSE, &mut out);
        for chunk in out.chunks(SampleRate::WIDEBAND.samples_in(CHUNK)) {
            if cancel.is_cancelled() {
                return Err(TtsError::Cancelled);
            }
            if sink(chunk).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Pico's voice of a language.
fn pico_voice(language: &str) -> Option<&'static str> {
    Some(match language {
        "de" => "de-DE",
        "es" => "es-ES",
        "fr" => "fr-FR",
        "it" => "it-IT",
        _ => return None,
    })
}

/// A process that doesn't outlive whoever started it.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::write_program;

    /// A program that runs `script` in place of flite; `$6` is the file it should write.
    fn program(dir: &tempfile::TempDir, script: &str, time_limit: Duration) -> ProgramVoice {
        let program = dir.path().join("flite");
        write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        ProgramVoice { time_limit, ..ProgramVoice::of(program, Dialect::Flite, AMERICAN) }
    }

    fn speak(voice: &ProgramVoice, cancel: &CancelFlag) -> Result<usize, TtsError> {
        let mut samples = 0;
        voice.speak("hello", cancel, &mut |chunk| {
            samples += chunk.len();
            ControlFlow::Continue(())
        })?;
        Ok(samples)
    }

    #[test]
    fn a_program_that_fails_or_gives_no_sound_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let check = |script: &str, says: &str| {
            let error = speak(&program(&dir, script, TIME_LIMIT), &CancelFlag::new()).expect_err(says).to_string();
            assert!(error.contains("flite") && error.contains(says), "{error}");
        };
        check("exit 3", "exit status: 3");
        check("cat > /dev/null; exit 0", "is no readable WAV file");
        let missing = ProgramVoice::of("/no/such/flite".into(), Dialect::Flite, AMERICAN);
        let error = speak(&missing, &CancelFlag::new()).expect_err("no program").to_string();
        assert!(error.contains("could not be started"), "{error}");
    }

    #[test]
    fn another_language_is_read_by_the_better_program_there_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let (both, one) = (dir.path().join("both"), dir.path().join("one"));
        for folder in [&both, &one] {
            std::fs::create_dir(folder).expect("made");
            write_program(&folder.join("espeak-ng"), "#!/bin/sh\nexit 1\n");
        }
        // What it was asked for, and what it was given, in place of sound.
        write_program(&both.join("pico2wave"), "#!/bin/sh\n[ \"$1 $2 $3\" = '-l de-DE -w' ] && exit 7\n");
        let name = |path: &Path, voice: &str| ProgramVoice::speaking_from(path.as_os_str(), voice).expect("found").name;
        assert_eq!(name(&both, "de"), "pico2wave-de-DE");
        assert_eq!(
            (name(&both, "de+f2"), name(&both, "nl")),
            ("espeak-ng-de+f2".to_owned(), "espeak-ng-nl".to_owned())
        );
        assert_eq!(name(&one, "de"), "espeak-ng-de");
        assert!(ProgramVoice::speaking_from(dir.path().as_os_str(), "de").is_err());
        let german = ProgramVoice::speaking_from(both.as_os_str(), "de").expect("found");
        let error = speak(&german, &CancelFlag::new()).expect_err("it gives none").to_string();
        assert!(error.contains("exit status: 7"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = "echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600";
        // On a busy machine it may be killed before it has said who it is.
        for patience in [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(60)] {
            let voice = program(&dir, script, patience);
            let error = speak(&voice, &CancelFlag::new()).expect_err("it never ends").to_string();
            assert!(error.contains("still running"), "{error}");
            let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
            if pid.ends_with('\n') {
                assert!(!Path::new("/proc").join(pid.trim()).exists(), "process {pid} is still there");
                return;
            }
        }
        panic!("it never began");
    }

    #[test]
    fn nobody_listening_kills_the_program() {
        let dir = tempfile::tempdir().expect("a folder");
        let voice = program(&dir, "exec sleep 600", TIME_LIMIT);
        let cancel = CancelFlag::new();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| speak(&voice, &cancel));
            std::thread::sleep(Duration::from_millis(50));
            cancel.cancel();
            let result = reading.join().expect("no panic");
            assert!(matches!(result, Err(TtsError::Cancelled)), "{result:?}");
        });
    }
}
