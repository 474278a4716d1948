//! `warmline call`: plays a provider and a caller against any server, says what happens when, and measures.
//!
//! [`player`] is the caller, for tests and `warmline bench` too; [`mod@line`] is what is said and heard as numbers;
//! [`dialect`] is how providers speak. Here: the command line, the script of a call, the printing.

pub mod dialect;
pub mod event;
pub mod line;
pub mod network;
mod phone;
pub mod player;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use tokio::join;
use tokio_tungstenite::tungstenite;

use self::dialect::{secret_of, variants};
use self::network::Conditions;
use self::player::{CallPlayer, Captured, Dial, Event, Remote, TimedEvent, Watcher};
use super::{CliError, explain, say, say_json};
use crate::audio::units::SampleRate;
use crate::audio::wav::{self, StereoWriter, WavError};
use crate::config::Config;
use crate::telemetry::Secret;
use crate::telephony::protocol::Digit;
use crate::telephony::providers::{PROVIDERS, find};

/// Between the keys of one `--dtmf`.
const KEY_GAP: Duration = Duration::from_millis(150);

/// Arguments of `warmline call`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server, such as http://127.0.0.1:8080
    #[arg(value_name = "URL", value_parser = base_url)]
    url: String,
    /// Whose dialect to speak
    #[arg(long, value_name = "NAME", value_parser = provider_name)]
    provider: String,
    /// Recordings to say, one after another, each when the reply to the one before was heard; `F.wav@3s`: at that time
    #[arg(long, value_name = "F.wav[@TIME]", num_args = 1..)]
    audio: Vec<Timed<PathBuf>>,
    /// Keys to press after the recordings, or at a time: `0@12s`
    #[arg(long, value_name = "KEYS[@TIME]")]
    dtmf: Vec<Timed<Keys>>,
    /// Say the next recording over the reply, so long after its first word
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = span)]
    interrupt: Option<Duration>,
    /// Begin to speak without waiting for the greeting
    #[arg(long)]
    no_greeting: bool,
    /// Silence after which a reply is taken to be over
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span)]
    pause: Duration,
    /// How long to wait for a reply
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    patience: Duration,
    /// Stay on the line for so long after everything else
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    stay: Duration,
    /// Write what the caller heard
    #[arg(long, value_name = "F.wav")]
    save: Option<PathBuf>,
    /// Write both sides: left what the caller said, right what they heard
    #[arg(long, value_name = "F.wav")]
    save_stereo: Option<PathBuf>,
    /// Lose so many of a hundred audio messages
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    loss: f64,
    /// Let messages come up to so much late, in their order
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    jitter: Duration,
    /// One JSON object an event
    #[arg(long)]
    json: bool,
    /// Use this stream token instead of asking the webhook for one
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// What the provider proves itself with, USER:PASSWORD where it is Basic authentication; without it what the configuration holds for this provider
    #[arg(long, value_name = "SECRET", env = "WARMLINE_CALL_AUTH_TOKEN", hide_env_values = true)]
    auth_token: Option<String>,
    /// The `server.public_url` the server at URL is configured with; without it that of the configuration
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Which form of the dialect, where it has several: asterisk json, plain, plain-20.16; freeswitch stream, stream-json, fork
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+15005550006")]
    from: String,
    /// The number that is called
    #[arg(long, value_name = "NUMBER", default_value = "+15005550001")]
    to: String,
}

/// Why a call did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody here speaks that dialect.
    #[error("provider `{name}` is not known here")]
    Provider {
        /// Which.
        name: String,
    },
    /// A request got no answer.
    #[error("`{url}` can't be asked")]
    Http {
        /// Which address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server does not take our signature.
    #[error("`{url}` refuses the signature")]
    Signature {
        /// Which address.
        url: String,
    },
    /// An answer nobody expects.
    #[error("`{url}` answers {status}: {said}")]
    Status {
        /// Which address.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its body.
        said: String,
    },
    /// The answer is no TwiML.
    #[error("the webhook's answer is no TwiML")]
    Twiml {
        /// What is wrong with it.
        #[source]
        source: quick_xml::Error,
    },
    /// The answer is not the JSON it should be.
    #[error("`{url}` answers with something else than a call")]
    Answer {
        /// Which address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Audio we can't play or make.
    #[error("{format} is not spoken here")]
    Format {
        /// Codec and rate.
        format: String,
    },
    /// The server does not take the call.
    #[error("the call was not taken: {said}")]
    Refused {
        /// What the caller is told.
        said: String,
    },
    /// The websocket does not open.
    #[error("`{url}` can't be connected")]
    Socket {
        /// Which address.
        url: String,
        /// Why.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// The websocket opens in a way the provider does not accept.
    #[error("`{url}` answers the handshake in a way the provider does not accept: {why}")]
    Handshake {
        /// Which address.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The call ended before we were done.
    #[error("the call is over, ended by {by}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Over {
        /// `caller`, `server` or `lost`.
        by: &'static str,
        /// What the server said about it.
        reason: String,
    },
    /// Silence.
    #[error("nothing was heard within {} s", patience.as_secs_f32())]
    NoReply {
        /// How long we listened.
        patience: Duration,
    },
    /// Something did not happen in time.
    #[error("waited {} s for {what}", after.as_secs_f32())]
    Timeout {
        /// For what.
        what: &'static str,
        /// How long.
        after: Duration,
    },
}

impl CallError {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Http { .. } | Self::Socket { .. } => "Is `warmline serve` running there?",
            Self::Signature { .. } => {
                "Give what the server is configured with for this provider with --auth-token, and its `server.public_url` with \
                 --public-url."
            }
            Self::Refused { .. }
            | Self::Provider { .. }
            | Self::Status { .. }
            | Self::Twiml { .. }
            | Self::Answer { .. }
            | Self::Format { .. }
            | Self::Handshake { .. }
            | Self::Over { .. }
            | Self::NoReply { .. }
            | Self::Timeout { .. } => "",
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        Self::failed(explain(&error), error.remedy())
    }
}

/// The last line: how the call went.
#[derive(Debug, Serialize)]
struct Summary {
    event: &'static str,
    duration_ms: u64,
    turns: usize,
    response_ms: Vec<u64>,
    ended_by: &'static str,
    reason: String,
}

/// Runs `warmline call`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let recordings = load(&args.audio)?;
    check_variant(&args.provider, args.variant.as_deref())?;
    let public_url = args.public_url.clone().or(Some(config.server.public_url.clone()).filter(|url| !url.is_empty()));
    let dial = Dial {
        from: args.from.clone(),
        to: args.to.clone(),
        auth_token: args.auth_token.clone().map_or_else(|| secret_of(&args.provider, &config.providers), Secret::new),
        token: args.token.clone().map(Secret::new),
        conditions: Conditions { loss: args.loss / 100.0, jitter: args.jitter },
        public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        variant: args.variant.clone(),
        ..Dial::new(args.url.as_str(), args.provider.as_str())
    };
    let player = CallPlayer::connect(&dial).await?;
    let mut watcher = player.watcher();
    let (printed, (outcome, events, captured)) =
        join!(print(&mut watcher, args.json), converse(player, &args, recordings));
    printed?;
    save(&args, &captured)?;
    summarise(&events, args.json)?;
    outcome.map_err(CliError::from)
}

/// A recording in memory: its name and 16 kHz mono.
type Recording = (String, Vec<i16>);

fn load(audio: &[Timed<PathBuf>]) -> Result<Vec<(Option<Duration>, Recording)>, CliError> {
    let one = |timed: &Timed<PathBuf>| {
        let pcm = wav::read(&timed.what).map_err(|error: WavError| CliError::usage(explain(&error), ""))?;
        let name = timed.what.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((timed.at, (name, pcm)))
    };
    audio.iter().map(one).collect()
}

/// The whole call: the script, beside it what happens at fixed times, then the end.
async fn converse(
    mut player: CallPlayer,
    args: &Args,
    recordings: Vec<(Option<Duration>, Recording)>,
) -> (Result<(), CallError>, Vec<TimedEvent>, Captured) {
    let (timed, in_turn): (Vec<_>, Vec<_>) = recordings.into_iter().partition(|(at, _)| at.is_some());
    let in_turn: Vec<Recording> = in_turn.into_iter().map(|(_, recording)| recording).collect();
    let timed = timed.into_iter().filter_map(|(at, recording)| at.map(|at| (at, Action::Say(recording))));
    let keys = args.dtmf.iter().filter_map(|keys| keys.at.map(|at| (at, Action::Press(keys.what.clone()))));
    let mut actions: Vec<_> = timed.chain(keys).collect();
    actions.sort_by_key(|(at, _)| *at);
    let remote = player.remote();
    let (outcome, ()) = join!(speak(&mut player, args, &in_turn), act(remote, actions));
    let outcome = match outcome {
        Ok(()) => stay(&mut player, args.stay).await,
        failed => failed,
    };
    let (events, captured) = player.hangup().await;
    (outcome, events, captured)
}

/// Greeting, recordings and their replies, keys.
async fn speak(player: &mut CallPlayer, args: &Args, recordings: &[Recording]) -> Result<(), CallError> {
    if !args.no_greeting {
        player.wait_reply_end(args.pause, args.patience).await?;
    }
    for (n, (name, pcm)) in recordings.iter().enumerate() {
        player.play(name, pcm).await?;
        match args.interrupt {
            Some(after) if n + 1 < recordings.len() => {
                player.wait_reply_start(args.patience).await?;
                player.wait(after).await?;
            }
            _ => drop(player.wait_reply_end(args.pause, args.patience).await?),
        }
    }
    let keys = args.dtmf.iter().filter(|keys| keys.at.is_none()).flat_map(|keys| &keys.what.0);
    for (n, digit) in keys.enumerate() {
        // Not after the last: a key may well end the call.
        if n > 0 {
            player.wait(KEY_GAP).await?;
        }
        player.dtmf(*digit).await?;
    }
    Ok(())
}

/// A server that ends the call while we only listen has done nothing wrong.
async fn stay(player: &mut CallPlayer, span: Duration) -> Result<(), CallError> {
    match player.wait(span).await {
        Err(CallError::Over { by: "server", .. }) => Ok(()),
        result => result,
    }
}

#[derive(Debug)]
enum Action {
    Say(Recording),
    Press(Keys),
}

/// What happens at fixed times, until the call is over.
async fn act(remote: Remote, actions: Vec<(Duration, Action)>) {
    for (at, action) in actions {
        remote.wait_until(at).await;
        let heard = match action {
            Action::Say((name, pcm)) => remote.say(&name, pcm).await,
            Action::Press(keys) => {
                let mut heard = true;
                for (n, digit) in keys.0.into_iter().enumerate() {
                    remote.wait_until(at + KEY_GAP * n as u32).await;
                    heard = remote.dtmf(digit).await;
                }
                heard
            }
        };
        if !heard {
            return;
        }
    }
}

async fn print(watcher: &mut Watcher, json: bool) -> Result<(), CliError> {
    while let Some(events) = watcher.next().await {
        for timed in events {
            if json { say_json(&timed)? } else { say(line_of(&timed))? }
        }
    }
    Ok(())
}

/// An event for people: time, then what happened.
fn line_of(timed: &TimedEvent) -> String {
    let what = match &timed.event {
        Event::Connected => "connected".to_owned(),
        Event::Started => "call open".to_owned(),
        Event::FirstAudio => "first audio".to_owned(),
        Event::CallerStarted { name } => format!("caller begins    {name}"),
        Event::CallerEnded { name } => format!("caller's last word of {name}"),
        Event::Dtmf { digit } => format!("key {digit}"),
        Event::ReplyStarted => "reply begins".to_owned(),
        Event::ReplyEnded => "reply ended".to_owned(),
        Event::Responded { name, response_ms } => format!("response_ms {response_ms} after {name}"),
        Event::MarkReturned { name, cleared: false } => format!("mark {name} played"),
        Event::MarkReturned { name, cleared: true } => format!("mark {name} flushed"),
        Event::Cleared => "playback cleared".to_owned(),
        Event::KeysHeard { keys } => format!("keys {keys} from the server"),
        Event::Caption { who, text, is_final } => {
            format!("{}: {text}{}", who.as_str(), if *is_final { "" } else { " …" })
        }
        Event::Misunderstood { what } => format!("the server sent an unusable {what}"),
        Event::Ended { by, code, reason } => {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            format!("ended by {by}{code} {reason}").trim_end().to_owned()
        }
    };
    format!("{:>9.3} s  {what}", timed.at_ms as f64 / 1_000.0)
}

fn save(args: &Args, captured: &Captured) -> Result<(), CliError> {
    let failed = |error: WavError| CliError::failed(explain(&error), "");
    if let Some(path) = &args.save {
        wav::write(path, SampleRate::WIDEBAND, &captured.reply).map_err(failed)?;
    }
    if let Some(path) = &args.save_stereo {
        save_stereo(path, captured).map_err(failed)?;
    }
    Ok(())
}

fn save_stereo(path: &Path, captured: &Captured) -> Result<(), WavError> {
    let mut writer = StereoWriter::create(path, SampleRate::WIDEBAND)?;
    writer.write(&captured.caller, &captured.reply)?;
    writer.finish().map(drop)
}

fn summarise(events: &[TimedEvent], json: bool) -> Result<(), CliError> {
    let response_ms: Vec<u64> = events
        .iter()
        .filter_map(|timed| match &timed.event {
            Event::Responded { name, response_ms } if name != "greeting" => Some(*response_ms),
            _ => None,
        })
        .collect();
    let (ended_by, reason) = events
        .iter()
        .find_map(|timed| match &timed.event {
            Event::Ended { by, reason, .. } => Some((*by, reason.clone())),
            _ => None,
        })
        .unwrap_or(("lost", String::new()));
    let duration_ms = events.last().map_or(0, |timed| timed.at_ms);
    let turns = response_ms.len();
    if json {
        return say_json(&Summary { event: "summary", duration_ms, turns, response_ms, ended_by, reason });
    }
    let times = response_ms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let seconds = duration_ms as f64 / 1_000.0;
    say(format!(
        "{seconds:.1} s, {turns} turns answered{}",
        if turns > 0 { format!(" after {times} ms") } else { times }
    ))
}

/// Something with an optional time: `x` or `x@3s`.
#[derive(Clone, Debug, PartialEq)]
struct Timed<T> {
    what: T,
    at: Option<Duration>,
}

impl<T: FromStr> FromStr for Timed<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // A file may have an @ in its name: only what follows the last one and is a time counts.
        let split = text.rsplit_once('@').and_then(|(what, at)| span(at).ok().map(|at| (what, at)));
        let (what, at) = split.map_or((text, None), |(what, at)| (what, Some(at)));
        Ok(Self { what: what.parse().map_err(|error: T::Err| error.to_string())?, at })
    }
}

/// Keys to press, one after another.
#[derive(Clone, Debug, PartialEq)]
struct Keys(Vec<Digit>);

impl FromStr for Keys {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let key = |key| Digit::new(key).ok_or_else(|| format!("`{key}` is no key; keys are 0-9, *, #, A-D"));
        let keys = text.chars().map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err("no key".to_owned()) } else { Ok(Self(keys)) }
    }
}

/// `12s`, `1.5s` or `800ms`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit).filter(|s| (0.0..=86_400.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("`{text}` is no time such as 12s, 1.5s or 800ms"))
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| format!("`{text}` is no number from 0 to 100"))
}

fn base_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("must begin with http:// or https://".to_owned())
    }
}

pub(super) fn check_variant(provider: &str, variant: Option<&str>) -> Result<(), CliError> {
    let known = variants(provider);
    match variant {
        Some(variant) if !known.contains(&variant) => {
            let remedy =
                if known.is_empty() { "It has none.".to_owned() } else { format!("One of {}.", known.join(", ")) };
            Err(CliError::usage(format!("provider `{provider}` has no variant `{variant}`"), remedy))
        }
        _ => Ok(()),
    }
}

pub(super) fn provider_name(text: &str) -> Result<String, String> {
    let names = || PROVIDERS.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
    find(text).map(|spec| spec.name.to_owned()).ok_or_else(|| format!("must be one of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_an_at() {
        let file: Timed<PathBuf> = "a@b.wav@3s".parse().expect("a file and a time");
        assert_eq!((file.what, file.at), (PathBuf::from("a@b.wav"), Some(Duration::from_secs(3))));
        let file: Timed<PathBuf> = "a@b.wav".parse().expect("a file");
        assert_eq!((file.what, file.at), (PathBuf::from("a@b.wav"), None));
        let keys: Timed<Keys> = "12#@800ms".parse().expect("keys and a time");
        assert_eq!((keys.what.0.len(), keys.at), (3, Some(Duration::from_millis(800))));
        assert!("0x@1s".parse::<Timed<Keys>>().is_err() && "@1s".parse::<Timed<Keys>>().is_err());
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1_500)));
        assert!(span("soon").is_err() && span("-1s").is_err() && span("1e9s").is_err());
    }

    #[test]
    fn addresses_and_names_are_checked() {
        assert_eq!(base_url("http://127.0.0.1:8080/").as_deref(), Ok("http://127.0.0.1:8080"));
        assert!(base_url("127.0.0.1:8080").is_err() && base_url("ws://a.example").is_err());
        assert!(provider_name("fax").is_err_and(|error| error.starts_with("must be one of twilio, ")));
    }
}
