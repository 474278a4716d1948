//! `[knowledge]`: where entries come from besides `dialog.knowledge_dir`, whom they are for, and how changes are taken up.

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::said::Said;

/// Sources and filters of the knowledge base.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeConfig {
    /// Pages (HTML, PDF, Markdown) whose parts become entries too.
    pub urls: Vec<String>,
    /// Hosts those may be on, without port.
    pub allow_hosts: Vec<String>,
    /// Pages may also be at private addresses, of this machine and its network.
    pub allow_private: bool,
    /// Longest page, in bytes.
    pub max_bytes: usize,
    /// Seconds until pages are asked for again.
    pub fetch_s: u32,
    /// Seconds until the folder is looked at again; what changed is taken up. 0: never.
    pub reload_s: u32,
    /// Two letters: entries in another language are left out. Empty: none are.
    pub language: String,
    /// Whom calls are answered for: entries for somebody else, such as `agents`, are never spoken.
    pub audience: String,
}

impl Default for KnowledgeConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            allow_hosts: Vec::new(),
            allow_private: false,
            max_bytes: 4 * 1_024 * 1_024,
            fetch_s: 900,
            reload_s: 5,
            language: String::new(),
            audience: "callers".to_owned(),
        }
    }
}

impl Section for KnowledgeConfig {
    const NAME: &'static str = "knowledge";
    fn check(&self, problems: &mut Problems) {
        if let Some(url) = self.urls.iter().find(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            problems.add("knowledge.urls", url, Said::new("addresses", "must be http(s) addresses"));
        }
        if let Some(host) = self.allow_hosts.iter().find(|host| host.contains(['/', '*']) || host.trim().is_empty()) {
            problems.add(
                "knowledge.allow_hosts",
                host,
                Said::new("hosts", "must be names of hosts, without scheme, path or `*`"),
            );
        }
        problems.range("knowledge.max_bytes", self.max_bytes, 1_024..=64 * 1_024 * 1_024);
        problems.range("knowledge.fetch_s", self.fetch_s, 10..=604_800);
        problems.range("knowledge.reload_s", self.reload_s, 0..=3_600);
        if !self.language.is_empty() && self.language.len() != 2 {
            problems.add(
                "knowledge.language",
                &self.language,
                Said::new("two_letters_or_empty", "must be two letters such as en, or empty"),
            );
        }
    }
}
