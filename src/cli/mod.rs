//! The command line: one file a subcommand. Exit codes: 0 ok, 1 the run failed, 2 wrong usage or configuration.
//!
//! Each subcommand is a file with `pub struct Args` (clap) and `pub async fn run(args: Args, config: Config) ->
//! Result<(), CliError>`, a variant of [`Command`] and an arm in `dispatch`. Results go to stdout through [`say`] (or
//! [`say_json`]), everything else to stderr.

pub mod bench;
pub mod call;
pub mod config;
pub mod conformance;
mod ears;
pub mod eval;
pub mod models;
pub mod serve;
pub mod simulate;
pub mod transcribe;
pub mod user;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::store::StoreError;
use crate::telemetry;

/// A voice front desk: local speech recognition and a local language model answer the phone, and a person is always
/// reachable.
#[derive(Debug, Parser)]
#[command(name = "warmline", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; without it `warmline.toml` in the current folder, if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take calls: media websockets, webhooks, console, API, metrics
    Serve(serve::Args),
    /// Measure this machine and print numbers
    Bench(bench::Args),
    /// Play a provider and a caller against a server, and measure its answers
    Call(Box<call::Args>),
    /// Check whether a server is a correct peer for a provider's dialect
    Conformance(Box<conformance::Args>),
    /// Check or show the configuration
    Config(config::Args),
    /// Play scripted conversations and judge what was said
    Eval(eval::Args),
    /// Fetch, list and check the models
    Models(models::Args),
    /// A small support desk at work, with stand-ins for speech: to look at the console
    Simulate(simulate::Args),
    /// Recognise the speech in WAV files
    Transcribe(transcribe::Args),
    /// Manage accounts and API tokens
    User(user::Args),
}

/// Reads the configuration, sets up logging and runs the subcommand to its end.
pub fn run(cli: Cli) -> Result<(), CliError> {
    let config = Config::load(cli.config.as_deref())?;
    telemetry::init(&config.telemetry);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("threads could not be started: {error}"), "Check `ulimit -u`."))?;
    runtime.block_on(dispatch(cli.command, config))
}

async fn dispatch(command: Command, config: Config) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(args, config).await,
        Command::Bench(args) => bench::run(args, config).await,
        Command::Call(args) => call::run(*args, config).await,
        Command::Conformance(args) => conformance::run(*args, config).await,
        Command::Config(args) => config::run(args, config).await,
        Command::Eval(args) => eval::run(args, config).await,
        Command::Models(args) => models::run(args, config).await,
        Command::Simulate(args) => simulate::run(args, config).await,
        Command::Transcribe(args) => transcribe::run(args, config).await,
        Command::User(args) => user::run(args, config).await,
    }
}

/// Why a subcommand did not do it: what went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The run or the check failed. Exit code 1.
    #[error("{what}{}", remedy_line(remedy))]
    Failed {
        /// The thing that failed, by name.
        what: String,
        /// What to do; a sentence, or empty.
        remedy: String,
    },
    /// Wrong usage, or something the operator must set up first. Exit code 2.
    #[error("{what}{}", remedy_line(remedy))]
    Usage {
        /// The thing that is wrong, by name.
        what: String,
        /// What to do; a sentence, or empty.
        remedy: String,
    },
    /// The configuration can't be used. Exit code 2.
    #[error("{source}{}", remedy_line("`warmline.sample.toml` has every key with its default and meaning."))]
    Config {
        /// All its problems.
        #[from]
        source: ConfigError,
    },
    /// Nobody reads our output any more; not a failure.
    #[error("output closed")]
    ReaderGone,
}

impl CliError {
    /// The run failed.
    pub fn failed(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), remedy: remedy.into() }
    }

    /// The operator must change something first.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), remedy: remedy.into() }
    }

    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { .. } => 1,
            Self::Usage { .. } | Self::Config { .. } => 2,
            Self::ReaderGone => 0,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let what = explain(&error);
        match error {
            StoreError::Open { .. } => Self::usage(what, "Check `database.url` and `server.data_dir`."),
            StoreError::Query(_) | StoreError::Conflict { .. } | StoreError::Corrupt { .. } => Self::failed(what, ""),
        }
    }
}

fn remedy_line(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("\n  {remedy}") }
}

/// An error and what caused it, on one line.
pub fn explain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some libraries repeat the cause in their own text.
        if !line.contains(&cause.to_string()) {
            write!(line, ": {cause}").expect("a string takes everything");
        }
        source = cause.source();
    }
    line
}

/// Writes one line of results to stdout.
pub fn say(line: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.as_ref()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::ReaderGone,
        _ => CliError::failed(format!("output can't be written: {error}"), ""),
    })
}

/// Writes one JSON object as one line to stdout.
pub fn say_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    say(serde_json::to_string(value).expect("results are plain data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn errors_name_the_thing_and_the_remedy() {
        let error = CliError::usage("model `x` is not fetched", "Run `warmline models fetch`.");
        assert_eq!(error.to_string(), "model `x` is not fetched\n  Run `warmline models fetch`.");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(CliError::failed("no answer", "").to_string(), "no answer");
    }

    #[test]
    fn causes_are_listed_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(explain(&Outer(io::Error::other("inner"))), "outer: inner");
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Repeating(#[source] io::Error);
        assert_eq!(explain(&Repeating(io::Error::other("inner"))), "outer: inner");
    }
}
