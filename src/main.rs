//! `warmline`: flags → config → telemetry → app → exit code.

use std::process::ExitCode;

use clap::Parser;
use warmline::cli::{Cli, CliError};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match warmline::cli::run(cli) {
        // Whoever read our output has seen enough, as in `warmline config show | head`.
        Ok(()) | Err(CliError::ReaderGone) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warmline: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
