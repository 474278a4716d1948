//! `warmline models`: fetches, lists and checks what Warmline runs on.

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use super::{CliError, explain, say, say_json};
use crate::config::Config;
use crate::models::fetch::{FetchError, Options, Progress, fetch};
use crate::models::{FileState, Manifest, Model, ModelKind, folder, glance, inspect};

/// Arguments of `warmline models`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get what is missing, by checksum; without names the models of the default configuration
    Fetch(Fetch),
    /// Name each model with size, licence and whether it is there
    List {
        /// One JSON object a model
        #[arg(long)]
        json: bool,
    },
    /// Read the files again and compare their checksums; without names the default models and all others that are there
    Verify {
        /// Models to check
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Fetch {
    /// Models to fetch
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fetch every model there is
    #[arg(long, conflicts_with_all = ["names", "set"])]
    all: bool,
    /// Fetch the models of a set: `default`, or `test` with what the tests need
    #[arg(long, value_parser = ["default", "test"], conflicts_with = "names")]
    set: Option<String>,
    /// Fetch even what is there
    #[arg(long)]
    force: bool,
}

/// Runs `warmline models`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let folder = folder(&config.models).map_err(|error| CliError::usage(explain(&error), ""))?;
    match args.command {
        Command::Fetch(args) => {
            let chosen = args.chosen()?;
            let mirror = config.models.mirror;
            let runtime = tokio::runtime::Handle::current();
            let work = move || {
                let options = Options { force: args.force, mirror, ..Options::default() };
                fetch(&folder, &chosen, &options, &Progress::visible(), &runtime)
            };
            let fetched = tokio::task::spawn_blocking(work).await.expect("fetching does not panic");
            report(fetched)
        }
        Command::List { json } => list(&folder, json),
        Command::Verify { names } => {
            let work = move || verify(&folder, &names);
            tokio::task::spawn_blocking(work).await.expect("checking does not panic")
        }
    }
}

impl Fetch {
    fn chosen(&self) -> Result<Vec<&'static Model>, CliError> {
        if !self.names.is_empty() {
            return named(&self.names);
        }
        let manifest = Manifest::embedded();
        Ok(match &self.set {
            _ if self.all => manifest.models.iter().collect(),
            Some(set) => manifest.set(set).collect(),
            None => manifest.set("default").collect(),
        })
    }
}

fn named(names: &[String]) -> Result<Vec<&'static Model>, CliError> {
    let manifest = Manifest::embedded();
    let find = |name: &String| {
        manifest.find(name).ok_or_else(|| {
            let known: Vec<_> = manifest.models.iter().map(|model| model.name.as_str()).collect();
            CliError::usage(format!("no model is called `{name}`"), format!("There are {}.", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn report(fetched: Result<usize, FetchError>) -> Result<(), CliError> {
    match fetched {
        Ok(0) => say("Nothing to fetch: it is all there."),
        Ok(files) => say(format!("Fetched {files} file(s).")),
        Err(error @ FetchError::Sources { .. }) => Err(CliError::failed(
            explain(&error),
            "What arrived whole is kept: the same command goes on from there. With no way out to the internet, put the \
             files on a server of your own and set models.mirror.",
        )),
        Err(error @ FetchError::Space { .. }) => {
            Err(CliError::failed(explain(&error), "Free some space, or set models.dir to a folder on another disk."))
        }
        Err(error @ (FetchError::Folder { .. } | FetchError::NotForThisMachine { .. })) => {
            Err(CliError::failed(explain(&error), ""))
        }
    }
}

/// One line of `warmline models list --json`.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    kind: ModelKind,
    version: &'a str,
    licence: &'a str,
    remark: &'a str,
    sets: &'a [String],
    bytes: u64,
    state: &'static str,
    files: Vec<ListedFile<'a>>,
}

#[derive(Serialize)]
struct ListedFile<'a> {
    path: String,
    bytes: u64,
    sha256: &'a crate::models::Sha256,
}

fn list(folder: &Path, json: bool) -> Result<(), CliError> {
    for model in &Manifest::embedded().models {
        let files = model.files().map(|file| ListedFile {
            path: folder.join(&file.name).display().to_string(),
            bytes: file.size,
            sha256: &file.sha256,
        });
        let row = Listed {
            name: &model.name,
            kind: model.kind,
            version: &model.version,
            licence: &model.licence,
            remark: &model.remark,
            sets: &model.sets,
            bytes: model.size(),
            state: state(folder, model),
            files: files.collect(),
        };
        if json {
            say_json(&row)?;
        } else {
            let megabytes = row.bytes.div_ceil(1_000_000);
            let sets = row.sets.join(",");
            say(format!(
                "{:<20} {:<8} {:>5} MB  {:<11} {:<13} {}",
                row.name, row.state, megabytes, row.licence, sets, row.version
            ))?;
        }
    }
    Ok(())
}

/// What a glance says: sizes, not checksums.
fn state(folder: &Path, model: &Model) -> &'static str {
    let mut states = model.files().map(|file| glance(folder, file)).peekable();
    if states.peek().is_none() {
        return "unavailable";
    }
    let (mut whole, mut missing) = (true, true);
    for state in states {
        whole &= state == FileState::Whole;
        missing &= state == FileState::Missing;
    }
    match (whole, missing) {
        (true, _) => "fetched",
        (_, true) => "missing",
        _ => "broken",
    }
}

fn verify(folder: &Path, names: &[String]) -> Result<(), CliError> {
    let chosen = if names.is_empty() {
        let expected = |model: &&Model| {
            model.sets.iter().any(|set| set == "default")
                || model.files().any(|file| glance(folder, file) != FileState::Missing)
        };
        Manifest::embedded().models.iter().filter(expected).collect()
    } else {
        named(names)?
    };
    let progress = Progress::visible();
    progress.set_total(chosen.iter().map(|model| model.size()).sum());
    let mut broken = Vec::new();
    for model in chosen {
        for file in model.files() {
            let path = folder.join(&file.name);
            progress.doing(path.display().to_string());
            let before = progress.get();
            let mut read = 0;
            let state = inspect(folder, file, |bytes| {
                read += bytes;
                progress.set(before + read);
            });
            progress.set(before + file.size);
            let problem = match state {
                Ok(FileState::Whole) => {
                    say(format!("{}: whole", path.display()))?;
                    continue;
                }
                Ok(FileState::Missing) => "missing".to_owned(),
                Ok(FileState::WrongSize(got)) => format!("has {got} bytes instead of {}", file.size),
                Ok(FileState::WrongDigest(got)) => format!("has SHA-256 {got} instead of {}", file.sha256),
                Err(error) => format!("can't be read: {error}"),
            };
            broken.push((model.name.as_str(), format!("{}: {problem}", path.display())));
        }
    }
    progress.finish();
    if broken.is_empty() {
        return Ok(());
    }
    let mut names: Vec<_> = broken.iter().map(|(name, _)| *name).collect();
    names.dedup();
    let lines: Vec<_> = broken.iter().map(|(_, line)| line.as_str()).collect();
    let remedy = format!("Run `warmline models fetch --force {}`.", names.join(" "));
    Err(CliError::failed(lines.join("\n"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_names_the_broken_file_and_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["silero-vad".to_owned()];
        let error = verify(folder.path(), &names).expect_err("missing").to_string();
        assert!(error.contains("silero-vad.onnx: missing"), "{error}");

        let size = Manifest::embedded().find("silero-vad").expect("in the manifest").size();
        let zeros = std::fs::File::create(folder.path().join("silero-vad.onnx")).expect("made");
        zeros.set_len(size).expect("sized");
        let error = verify(folder.path(), &names).expect_err("zeros");
        assert_eq!(error.exit_code(), 1);
        let error = error.to_string();
        assert!(error.contains("silero-vad.onnx: has SHA-256"), "{error}");
        assert!(error.contains("models fetch --force silero-vad"), "{error}");
    }

    #[test]
    fn unknown_names_are_wrong_usage() {
        let error = named(&["whisper-huge".to_owned()]).expect_err("no such model");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("whisper-base"), "{error}");
    }
}
