//! `[dialog]`, `[handoff]`, `[recording]`, `[review]`: what is said, when a person takes over, what is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::handoff::callback::First;
use crate::said::Said;
use crate::tools::spec::SecretRef;

/// Whose words an answer is spoken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wording {
    /// The entry's own sentences; a model only picks the one that answers.
    Approved,
    /// The model's, from the entry it picked a sentence of, under the guard.
    Generated,
}

/// What the assistant says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialogConfig {
    /// The company the assistant answers for.
    pub company: String,
    /// First words of every call. `{company}` is replaced.
    pub greeting: String,
    /// Folder of prompt files; empty: those built in.
    pub prompts_dir: PathBuf,
    /// Folder of knowledge entries (Markdown, HTML, PDF); empty: the demo company's, built in.
    pub knowledge_dir: PathBuf,
    /// The embedding model's name in `warmline models list`, or its ONNX file; empty: entries are found by words alone.
    pub embedding: String,
    /// `approved` or `generated`: whose words an answer is spoken in.
    pub wording: Wording,
    /// Probability of being right from which an approved answer is spoken at once, without a model.
    pub verbatim_score: f32,
    /// Probability of having the answer below which no entry fits.
    pub min_score: f32,
}

impl Default for DialogConfig {
    fn default() -> Self {
        Self {
            company: "Larkfield".to_owned(),
            greeting: "Hello, this is the automated assistant of {company}. Press zero at any time to reach a person. How can I help you?".to_owned(),
            prompts_dir: PathBuf::new(),
            knowledge_dir: PathBuf::new(),
            embedding: "minilm".to_owned(),
            wording: Wording::Approved,
            verbatim_score: 0.8,
            min_score: 0.5,
        }
    }
}

impl Section for DialogConfig {
    const NAME: &'static str = "dialog";
    fn check(&self, problems: &mut Problems) {
        problems.range("dialog.verbatim_score", self.verbatim_score, 0.0..=1.01);
        problems.range("dialog.min_score", self.min_score, 0.0..=1.0);
        if self.greeting.trim().is_empty() {
            problems.add("dialog.greeting", "\"\"", Said::new("not_empty", "must not be empty: silence is a bug"));
        }
    }
}

/// What may be done for callers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolsConfig {
    /// Folder of tools (TOML, one file each); empty: none.
    pub dir: PathBuf,
    /// Hosts that tools may ask, without port.
    pub allow_hosts: Vec<String>,
    /// Tools may also ask private addresses, of this machine and its network.
    pub allow_private: bool,
    /// MCP servers by name.
    pub mcp: BTreeMap<String, McpServer>,
}

/// An MCP server, as a process of this machine or over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpServer {
    /// The program and its arguments; it speaks over standard input and output.
    pub command: Vec<String>,
    /// Variables of our environment it gets, besides `PATH`, `HOME`, `LANG` and `TMPDIR`.
    pub env: Vec<String>,
    /// Its address, for streamable HTTP, on a host of `allow_hosts`.
    pub url: String,
    /// Headers whose values are in the environment or in files.
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// Tools of it that may be used; what it has besides is not seen.
    pub tools: Vec<String>,
}

impl Section for ToolsConfig {
    const NAME: &'static str = "tools";
    fn check(&self, problems: &mut Problems) {
        if let Some(host) = self.allow_hosts.iter().find(|host| host.contains(['/', '*']) || host.trim().is_empty()) {
            problems.add(
                "tools.allow_hosts",
                host,
                Said::new("hosts", "must be names of hosts, without scheme, path or `*`"),
            );
        }
        for (name, server) in &self.mcp {
            if server.command.is_empty() == server.url.is_empty() {
                problems.add(
                    &format!("tools.mcp.{name}"),
                    "",
                    Said::new("command_or_url", "needs one of `command` and `url`"),
                );
            }
            if server.tools.is_empty() {
                problems.add(
                    &format!("tools.mcp.{name}.tools"),
                    "[]",
                    Said::new("names_tools", "must name the tools that may be used"),
                );
            }
        }
    }
}

/// Giving calls to people.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoffConfig {
    /// Seconds an agent has to answer an offer.
    pub offer_timeout_s: u32,
    /// Seconds until an agent who declined is asked again about the same caller.
    pub reoffer_after_s: u32,
    /// Seconds an agent has to come back after losing the connection in a call.
    pub resume_s: u32,
    /// Seconds for wrap-up.
    pub wrap_up_s: u32,
    /// Seconds between announcements to a waiting caller.
    pub announce_every_s: u32,
    /// Words or phrases whose topic goes to a person at once.
    pub forbidden_topics: Vec<String>,
    /// Confidence below which a turn counts as unsure.
    pub min_confidence: f32,
    /// Longest voice message, in seconds.
    pub message_max_s: u32,
    /// What an agent may choose at wrap-up.
    pub dispositions: Vec<String>,
    /// A telephone that is called when no agent takes the call: a number such as `+15005550123`, a `sip:` address, or what
    /// the provider calls it. Empty: none.
    pub telephone: String,
    /// Seconds a caller waits for an agent before the telephone is called. It is called at once while no agent is signed in.
    pub telephone_after_s: u32,
    /// Whether agents are told that a supervisor listens to their call.
    pub tell_supervised: bool,
    /// Whether conversations between callers and agents are transcribed, both sides.
    pub transcribe: bool,
    /// Telephones outside that agents may give callers to, by the name agents see.
    pub outside: BTreeMap<String, String>,
    /// Seconds a parked caller waits to be picked up before going first in line.
    pub park_limit_s: u32,
    /// Telephones of agents who take calls there, by sign-in name: numbers such as `+15005550123`.
    pub telephones: BTreeMap<String, String>,
    /// What telephones that agents choose for themselves begin with, such as `+4930` or `2` for extensions; empty: they may not
    /// choose any. Calls to them cost what your provider asks.
    pub telephone_prefixes: Vec<String>,
    /// Who is on the line first when somebody is called back: `agent` or `caller`.
    pub callback_first: First,
    /// How often somebody who is not reached is called; 0: agents dial by themselves.
    pub callback_attempts: u32,
    /// Seconds between tries.
    pub callback_pause_s: u32,
    /// Seconds after which nobody is called back any more; the wish stays among the messages.
    pub callback_expires_s: u32,
    /// Seconds a caller whom a restart cut off may take to come back, before they are called back instead.
    pub restart_patience_s: u32,
    /// The calendar of `[routing]` in whose hours people are called back; empty: always.
    pub callback_hours: String,
}

impl Default for HandoffConfig {
    fn default() -> Self {
        Self {
            offer_timeout_s: 20,
            reoffer_after_s: 30,
            resume_s: 15,
            wrap_up_s: 60,
            announce_every_s: 25,
            forbidden_topics: ["legal advice", "lawyer", "lawsuit", "fraud", "stolen card", "medical"]
                .map(str::to_owned)
                .to_vec(),
            min_confidence: 0.45,
            message_max_s: 120,
            dispositions: ["resolved", "follow_up", "wrong_number", "other"].map(str::to_owned).to_vec(),
            telephone: String::new(),
            telephone_after_s: 40,
            tell_supervised: true,
            transcribe: true,
            outside: BTreeMap::new(),
            park_limit_s: 120,
            telephones: BTreeMap::new(),
            telephone_prefixes: Vec::new(),
            callback_first: First::Agent,
            callback_attempts: 3,
            callback_pause_s: 900,
            callback_expires_s: 86_400,
            restart_patience_s: 90,
            callback_hours: String::new(),
        }
    }
}

impl Section for HandoffConfig {
    const NAME: &'static str = "handoff";
    fn check(&self, problems: &mut Problems) {
        problems.range("handoff.offer_timeout_s", self.offer_timeout_s, 2..=300);
        problems.range("handoff.reoffer_after_s", self.reoffer_after_s, 1..=3_600);
        problems.range("handoff.resume_s", self.resume_s, 1..=120);
        problems.range("handoff.wrap_up_s", self.wrap_up_s, 1..=3_600);
        problems.range("handoff.announce_every_s", self.announce_every_s, 5..=600);
        problems.range("handoff.min_confidence", self.min_confidence, 0.0..=1.0);
        problems.range("handoff.message_max_s", self.message_max_s, 5..=600);
        problems.range("handoff.restart_patience_s", self.restart_patience_s, 5..=600);
        problems.range("handoff.callback_attempts", self.callback_attempts, 0..=20);
        problems.range("handoff.callback_pause_s", self.callback_pause_s, 30..=86_400);
        problems.range("handoff.callback_expires_s", self.callback_expires_s, 300..=1_209_600);
        problems.range("handoff.telephone_after_s", self.telephone_after_s, 0..=3_600);
        problems.range("handoff.park_limit_s", self.park_limit_s, 10..=3_600);
        let dialable = |c: char| c.is_ascii_alphanumeric() || "+*#@.:/_-".contains(c);
        let can_be_called = |number: &str| number.len() <= 128 && number.chars().all(dialable);
        if !can_be_called(&self.telephone) {
            problems.add(
                "handoff.telephone",
                &self.telephone,
                Said::new("telephone_or_address", "must be a number or an address, without spaces"),
            );
        }
        for (name, number) in &self.outside {
            if number.is_empty() || !can_be_called(number) {
                let key = format!("handoff.outside.{name}");
                problems.add(
                    &key,
                    number,
                    Said::new("telephone_or_address", "must be a number or an address, without spaces"),
                );
            }
        }
        for prefix in &self.telephone_prefixes {
            if prefix.is_empty() || !is_telephone(prefix) {
                problems.add(
                    "handoff.telephone_prefixes",
                    prefix,
                    Said::new("telephone_beginning", "must be the beginning of a number, without spaces"),
                );
            }
        }
        for (name, number) in &self.telephones {
            if !is_telephone(number) {
                problems.add(
                    &format!("handoff.telephones.{name}"),
                    number,
                    Said::new("telephone", "must be a number, without spaces"),
                );
            }
        }
        if self.dispositions.is_empty() {
            problems.add("handoff.dispositions", "[]", Said::new("at_least_one", "must name at least one"));
        }
    }
}

/// Digits, perhaps after a plus: what can be dialled, and nothing else.
pub fn is_telephone(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    number.len() <= 32 && digits.chars().all(|c| c.is_ascii_digit())
}

/// Looking at calls afterwards.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewConfig {
    /// Folder where scenarios made from calls are kept for `warmline eval`; empty: they can only be downloaded.
    pub scenarios_dir: PathBuf,
}

impl Section for ReviewConfig {
    const NAME: &'static str = "review";
    fn check(&self, _: &mut Problems) {}
}

/// Recording of calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingConfig {
    /// Whether calls are recorded, after the notice was spoken.
    pub enabled: bool,
    /// The notice, spoken right after the greeting's first words. Recording begins once it was heard.
    pub notice: String,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { enabled: true, notice: "This call is recorded.".to_owned() }
    }
}

impl Section for RecordingConfig {
    const NAME: &'static str = "recording";
    fn check(&self, problems: &mut Problems) {
        if self.enabled && self.notice.trim().is_empty() {
            problems.add(
                "recording.notice",
                "\"\"",
                Said::new("notice_empty", "must not be empty while recording is enabled"),
            );
        }
    }
}
