//! `warmline conformance`: is the server at a URL a correct peer for a provider's dialect? Any server, not only ours.
//!
//! The provider's side is that of `warmline call`. [`scenario`] plays it, well-behaved and otherwise, and says of each
//! rule whether it was kept; [`rules`] are the rules. Here: the command line and the printing.
//!
//! `docs/conformance.md` says what each rule means and why it matters.

pub mod rules;
pub mod scenario;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::rules::{Finding, Verdict};
use self::scenario::Subject;
use super::call::dialect::secret_of;
use super::call::player::Dial;
use super::call::{check_variant, provider_name, span};
use super::{CliError, explain, say, say_json};
use crate::audio::wav;
use crate::config::Config;
use crate::telemetry::Secret;

/// Arguments of `warmline conformance`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server: http://HOST:PORT for one with Warmline's paths and webhooks, ws://HOST:PORT/PATH for the media socket
    /// of any other
    #[arg(value_name = "URL", value_parser = any_url)]
    url: String,
    /// Whose dialect to speak
    #[arg(long, value_name = "NAME", value_parser = provider_name)]
    provider: String,
    /// Which form of the dialect, where it has several: asterisk json, plain, plain-20.16; freeswitch stream, stream-json, fork
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// A question to ask, for servers that do not answer a mere tone
    #[arg(long, value_name = "F.wav")]
    audio: Option<PathBuf>,
    /// How long the server may take until it is heard, and to answer; on a slow machine all else may take longer with it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    patience: Duration,
    /// One JSON object a rule
    #[arg(long)]
    json: bool,
    /// Use this stream token; without it Warmline's webhooks are asked
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// What the provider proves itself with, USER:PASSWORD where it is Basic authentication; without it what the
    /// configuration holds for this provider
    #[arg(long, value_name = "SECRET", env = "WARMLINE_CALL_AUTH_TOKEN", hide_env_values = true)]
    auth_token: Option<String>,
    /// The `server.public_url` the server at URL is configured with; without it that of the configuration
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    rule: &'static str,
    kept: usize,
    broken: usize,
    skipped: usize,
}

/// Runs `warmline conformance`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    check_variant(&args.provider, args.variant.as_deref())?;
    let question = match &args.audio {
        Some(path) => wav::read(path).map_err(|error| CliError::usage(explain(&error), ""))?,
        None => scenario::tone(),
    };
    let public_url = args.public_url.clone().or(Some(config.server.public_url.clone()).filter(|url| !url.is_empty()));
    let socket = args.url.starts_with("ws").then(|| args.url.clone());
    let dial = Dial {
        auth_token: args.auth_token.clone().map_or_else(|| secret_of(&args.provider, &config.providers), Secret::new),
        token: args.token.clone().map(Secret::new),
        public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        socket,
        variant: args.variant.clone(),
        patience: args.patience,
        ..Dial::new(args.url.as_str(), args.provider.as_str())
    };
    let findings = scenario::play(&Subject { dial, question }).await;
    for finding in &findings {
        if args.json { say_json(finding)? } else { say(line_of(finding))? }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.verdict == wanted).count();
    let (kept, broken, skipped) = (count(Verdict::Kept), count(Verdict::Broken), count(Verdict::Skipped));
    if args.json {
        say_json(&Summary { rule: "summary", kept, broken, skipped })?;
    } else {
        say(format!("{kept} kept, {broken} broken, {skipped} skipped"))?;
    }
    if broken > 0 {
        let remedy = "docs/conformance.md says what each rule means.";
        return Err(CliError::failed(format!("{broken} of {} rules are broken", kept + broken), remedy));
    }
    Ok(())
}

fn line_of(finding: &Finding) -> String {
    let verdict = match finding.verdict {
        Verdict::Kept => "kept",
        Verdict::Broken => "BROKEN",
        Verdict::Skipped => "skipped",
    };
    let reason = if finding.reason.is_empty() { String::new() } else { format!("  {}", finding.reason) };
    format!("{verdict:<8}{:<26}{}{reason}", finding.rule.name(), finding.rule.sentence())
}

fn any_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") || !url.has_host() {
        return Err("must begin with http://, https://, ws:// or wss://".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_and_sockets_are_taken() {
        assert_eq!(any_url("http://127.0.0.1:8080/").as_deref(), Ok("http://127.0.0.1:8080"));
        assert_eq!(any_url("wss://a.example/x?y=1").as_deref(), Ok("wss://a.example/x?y=1"));
        assert!(any_url("a.example").is_err() && any_url("ftp://a.example").is_err());
    }
}
