//! `warmline config`: `check` names every problem at once, `show` prints what is in force.
//!
//! A configuration with problems never gets here: [`super::run`] has then ended with all of them and exit code 2.

use clap::Subcommand;

use super::{CliError, say};
use crate::config::Config;

/// Arguments of `warmline config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Exit with 0 if the configuration is valid, else name every problem and exit with 2
    Check,
    /// Print the configuration in force as TOML: defaults, file and environment; secrets are left out
    Show,
}

/// Runs `warmline config`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    match args.command {
        Command::Check => {
            crate::app::check_languages(&config)?;
            say("The configuration is valid.")
        }
        Command::Show => say(config.to_toml().trim_end()),
    }
}

#[cfg(test)]
mod tests {
    /// The sample is where people look first: each of its keys explains itself.
    #[test]
    fn every_key_of_the_sample_has_a_comment() {
        let mut previous = "";
        for line in include_str!("../../warmline.sample.toml").lines() {
            let is_key = !line.starts_with('#') && line.contains(" = ");
            assert!(!is_key || previous.starts_with("# "), "no comment above: {line}");
            previous = line;
        }
    }
}
