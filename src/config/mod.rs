//! Configuration: `warmline.toml`, every key with a default that works, overridable by `WARMLINE_SECTION__KEY`.
//!
//! One file per section. A section is parsed key by key, so that every problem of a file is named at once: unknown keys,
//! wrong types, values out of range. What comes out is valid. A secret key `x` may be given as `x_file`.

mod dialog;
mod engines;
mod knowledge;
mod languages;
mod outbound;
mod problems;
mod providers;
mod routing;
mod server;
mod sound;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::said::Said;
use problems::of_type;

pub use dialog::{
    DialogConfig, HandoffConfig, McpServer, RecordingConfig, ReviewConfig, ToolsConfig, Wording, is_telephone,
};
pub use engines::{
    CpuConfig, LlmConfig, LlmMode, ModelsConfig, SttConfig, SttMode, TtsConfig, TtsMode, TurnConfig, VadConfig, VadMode,
};
pub use knowledge::KnowledgeConfig;
pub use languages::{LanguageConfig, LanguagesConfig};
pub use outbound::OutboundConfig;
pub use problems::{ConfigError, Problem, Problems};
pub use providers::{
    AriMove, AsteriskConfig, AudiocodesConfig, AudiohookConfig, BandwidthConfig, DIALLED, ExotelConfig,
    FreeswitchConfig, JambonzConfig, PlivoAudio, PlivoConfig, ProvidersConfig, SignalwireCodec, SignalwireConfig,
    TelnyxCodec, TelnyxConfig, TwilioConfig, VonageConfig, rsa_key,
};
pub use routing::{QUEUE_PRIORITIES, RoutingConfig, check_queue_message};
pub use server::{BrowserConfig, DatabaseConfig, ServerConfig, TelemetryConfig};
pub use sound::{SoundConfig, Suppression};

/// A part of the configuration: its defaults are documented in its own file.
trait Section: Default + Serialize + DeserializeOwned {
    /// Name of the table in the file.
    const NAME: &'static str;
    /// Adds a problem for each value outside its range.
    fn check(&self, problems: &mut Problems);
    /// Keys that may also be given as `KEY_file`.
    const SECRETS: &'static [&'static str] = &[];
    /// Its keys are names the operator chooses.
    const OPEN: bool = false;
}

/// The whole configuration, valid.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// One section for each provider: `[twilio]` and so on.
    pub providers: ProvidersConfig,
    /// `[outbound]`
    pub outbound: OutboundConfig,
    /// `[browser]`
    pub browser: BrowserConfig,
    /// `[models]`
    pub models: ModelsConfig,
    /// `[cpu]`
    pub cpu: CpuConfig,
    /// `[sound]`
    pub sound: SoundConfig,
    /// `[vad]`
    pub vad: VadConfig,
    /// `[turn]`
    pub turn: TurnConfig,
    /// `[stt]`
    pub stt: SttConfig,
    /// One section for each language besides `stt.language`: `[languages.de]` and so on.
    pub languages: LanguagesConfig,
    /// `[llm]`
    pub llm: LlmConfig,
    /// `[tts]`
    pub tts: TtsConfig,
    /// `[dialog]`
    pub dialog: DialogConfig,
    /// `[knowledge]`
    pub knowledge: KnowledgeConfig,
    /// `[tools]`
    pub tools: ToolsConfig,
    /// `[handoff]`
    pub handoff: HandoffConfig,
    /// `[routing]`
    pub routing: RoutingConfig,
    /// `[recording]`
    pub recording: RecordingConfig,
    /// `[review]`
    pub review: ReviewConfig,
    /// The file all this was read from.
    pub file: Option<PathBuf>,
}

/// Names every section once; `$each!(field, Type)` runs for each.
macro_rules! sections {
    ($each:ident) => {
        $each!(server, ServerConfig);
        $each!(database, DatabaseConfig);
        $each!(telemetry, TelemetryConfig);
        $each!(providers.twilio, TwilioConfig);
        $each!(providers.signalwire, SignalwireConfig);
        $each!(providers.telnyx, TelnyxConfig);
        $each!(providers.plivo, PlivoConfig);
        $each!(providers.vonage, VonageConfig);
        $each!(providers.exotel, ExotelConfig);
        $each!(providers.asterisk, AsteriskConfig);
        $each!(providers.audiohook, AudiohookConfig);
        $each!(providers.jambonz, JambonzConfig);
        $each!(providers.audiocodes, AudiocodesConfig);
        $each!(providers.freeswitch, FreeswitchConfig);
        $each!(providers.bandwidth, BandwidthConfig);
        $each!(outbound, OutboundConfig);
        $each!(browser, BrowserConfig);
        $each!(models, ModelsConfig);
        $each!(cpu, CpuConfig);
        $each!(sound, SoundConfig);
        $each!(vad, VadConfig);
        $each!(turn, TurnConfig);
        $each!(stt, SttConfig);
        $each!(languages, LanguagesConfig);
        $each!(llm, LlmConfig);
        $each!(tts, TtsConfig);
        $each!(dialog, DialogConfig);
        $each!(knowledge, KnowledgeConfig);
        $each!(tools, ToolsConfig);
        $each!(handoff, HandoffConfig);
        $each!(routing, RoutingConfig);
        $each!(recording, RecordingConfig);
        $each!(review, ReviewConfig);
    };
}

impl Config {
    /// Reads `file` if given (else `warmline.toml` if it is there), then the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new("warmline.toml");
        let chosen = file.or_else(|| default.exists().then_some(default));
        let text = match chosen {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let mut config = Self::parse(&text, std::env::vars())?;
        config.file = chosen.map(Path::to_owned);
        Ok(config)
    }

    /// Parses a file's text and `WARMLINE_…` variables into a valid configuration, or names every problem.
    pub fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut file: Table = text.parse().map_err(|source| ConfigError::Syntax { source: Box::new(source) })?;
        let mut problems = Problems::default();
        merge_environment(&mut file, environment, &mut problems);
        let mut config = Self::default();
        macro_rules! read {
            ($($field:ident).+, $type:ty) => {
                config.$($field).+ = section::<$type>(&mut file, &mut problems);
            };
        }
        sections!(read);
        if !config.languages.is_empty() && config.knowledge.language.is_empty() {
            // What is written for callers in another language is not for these.
            config.knowledge.language.clone_from(&config.stt.language);
        }
        for unknown in file.keys() {
            problems.add(unknown, "", Said::new("no_section", "no such section"));
        }
        problems.finish(config)
    }

    /// Names of the sections with a secret in them.
    pub fn secrets_set(&self) -> BTreeSet<&'static str> {
        let mut set = BTreeSet::new();
        macro_rules! look {
            ($($field:ident).+, $type:ty) => {
                let table = Table::try_from(&self.$($field).+).expect("a section is a table of plain values");
                let has = |secret: &&str| table.get(*secret).and_then(Value::as_str).is_some_and(|value| !value.is_empty());
                if <$type>::SECRETS.iter().any(has) {
                    set.insert(<$type>::NAME);
                }
            };
        }
        sections!(look);
        set
    }

    /// The configuration as TOML, secrets left out.
    pub fn to_toml(&self) -> String {
        let mut root = Table::new();
        macro_rules! write {
            ($($field:ident).+, $type:ty) => {
                let mut table = Table::try_from(&self.$($field).+).expect("a section is a table of plain values");
                table.iter_mut().for_each(|(_, value)| shorten(value));
                for secret in <$type>::SECRETS {
                    if table.get(*secret).and_then(Value::as_str).is_some_and(|value| !value.is_empty()) {
                        table.insert((*secret).to_owned(), Value::String("<secret>".to_owned()));
                    }
                }
                root.insert(<$type>::NAME.to_owned(), Value::Table(table));
            };
        }
        sections!(write);
        toml::to_string_pretty(&root).expect("tables of plain values serialise")
    }
}

/// `WARMLINE_SECTION__KEY=value` becomes `section.key`, read as TOML if it is that, else as a string.
fn merge_environment(file: &mut Table, environment: impl Iterator<Item = (String, String)>, problems: &mut Problems) {
    for (name, value) in environment {
        let Some((section, key)) = name.strip_prefix("WARMLINE_").and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        let parsed = format!("v = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
        let value = parsed.unwrap_or(Value::String(value));
        match file.entry(section.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(table) => {
                table.insert(key, value);
            }
            other => problems.add(&section, &other.to_string(), Said::new("table", "must be a table")),
        }
    }
}

/// Takes one section out of the file, key by key over the defaults.
fn section<S: Section>(file: &mut Table, problems: &mut Problems) -> S {
    let defaults = Table::try_from(S::default()).expect("defaults are a table of plain values");
    let given = match file.remove(S::NAME) {
        None => Table::new(),
        Some(Value::Table(table)) => table,
        Some(other) => {
            problems.add(S::NAME, &other.to_string(), Said::new("table", "must be a table"));
            Table::new()
        }
    };
    let mut merged = defaults.clone();
    for (key, value) in given {
        let name = format!("{}.{key}", S::NAME);
        let (key, value) = match secret_file::<S>(&key, &value) {
            None => (key, value),
            Some(Ok(read)) => (key.trim_end_matches("_file").to_owned(), Value::String(read)),
            Some(Err(reason)) => {
                problems.add(&name, &value.to_string(), reason);
                continue;
            }
        };
        if !S::OPEN && !defaults.contains_key(&key) {
            let known: Vec<_> = defaults.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let said = Said::new("unknown_key", format!("unknown key; this section has {known}")).with("known", known);
            problems.add(&name, &value.to_string(), said);
            continue;
        }
        // Alone over the defaults, so that one bad key does not hide the next.
        let mut alone = defaults.clone();
        alone.insert(key.clone(), value.clone());
        match S::deserialize(Value::Table(alone)) {
            Ok(_) => {
                merged.insert(key, value);
            }
            Err(error) => problems.add(&name, &shown::<S>(&key, &value), of_type(error.message())),
        }
    }
    let section = S::deserialize(Value::Table(merged)).expect("each key was accepted over the defaults");
    section.check(problems);
    section
}

/// All fractions are `f32`: prints 0.3, not what 0.3 becomes as `f64`.
fn shorten(value: &mut Value) {
    if let Value::Float(number) = value {
        *number = (*number as f32).to_string().parse().expect("a printed number is a number");
    }
}

fn shown<S: Section>(key: &str, value: &Value) -> String {
    if S::SECRETS.contains(&key) { "<secret>".to_owned() } else { value.to_string() }
}

/// If `key` is `SECRET_file`, the secret read from that file.
fn secret_file<S: Section>(key: &str, value: &Value) -> Option<Result<String, Said>> {
    let secret = key.strip_suffix("_file")?;
    S::SECRETS.contains(&secret).then(|| {
        let path = value.as_str().ok_or_else(|| Said::new("file_path", "must be the path of a file"))?;
        std::fs::read_to_string(path).map(|text| text.trim_end().to_owned()).map_err(|error| {
            Said::new("secret_unreadable", format!("secret file can't be read: {error}")).with("error", error)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, std::iter::empty())
    }

    #[test]
    fn nothing_at_all_is_a_valid_configuration() {
        parse("").expect("defaults are valid");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let text = "[turn]\nhangover_ms = 1\nspeculate = 3\n[server]\nlisten = 7\n[colour]\nx = 1\n";
        let error = parse(text).expect_err("four problems").to_string();
        for name in ["turn.hangover_ms", "turn.speculate", "server.listen", "colour"] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [("WARMLINE_TURN__HANGOVER_MS".to_owned(), "900".to_owned())];
        let config = Config::parse("[turn]\nhangover_ms = 800\n", environment.into_iter()).expect("valid");
        assert_eq!(config.turn.hangover_ms, 900);
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "hush\n").expect("written");
        let config = parse(&format!("[twilio]\nauth_token_file = {:?}\n", file.path())).expect("valid");
        assert_eq!(config.providers.twilio.auth_token.expose(), "hush");
        assert!(!config.to_toml().contains("hush"));
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn the_sample_file_is_the_defaults() {
        let sample = include_str!("../../warmline.sample.toml");
        let parsed = parse(sample).expect("the sample is valid");
        assert_eq!(parsed.to_toml(), Config::default().to_toml());
        let keys: Table = sample.parse().expect("the sample is TOML");
        let all: Table = Config::default().to_toml().parse().expect("the defaults are TOML");
        for (name, section) in &all {
            let sampled =
                keys.get(name).and_then(Value::as_table).unwrap_or_else(|| panic!("[{name}] is not in the sample"));
            for key in section.as_table().expect("sections are tables").keys() {
                assert!(sampled.contains_key(key), "{name}.{key} is not in the sample");
            }
        }
    }
}
