//! `[server]`, `[database]`, `[telemetry]`, `[browser]`: the edges.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Problems, Section};
use crate::said::Said;

/// Where the server listens and how much it takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Loopback unless you put TLS in front.
    pub listen: SocketAddr,
    /// The URL providers reach this server by, such as `https://voice.example.com`; empty: `http://` and `listen`.
    pub public_url: String,
    /// Database, recordings and generated files.
    pub data_dir: PathBuf,
    /// Calls at once; one more hears that all lines are busy.
    pub max_calls: usize,
    /// New calls a minute from one number or address.
    pub calls_per_minute_per_caller: u32,
    /// Seconds live calls may go on after SIGTERM.
    pub drain_grace_s: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            data_dir: PathBuf::from("data"),
            max_calls: 8,
            calls_per_minute_per_caller: 10,
            drain_grace_s: 120,
        }
    }
}

impl ServerConfig {
    /// The base URL without a trailing slash.
    pub fn base_url(&self) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.listen),
            url => url.to_owned(),
        }
    }

    /// The base URL for websockets without a trailing slash.
    pub fn websocket_url(&self) -> String {
        self.base_url().replacen("http", "ws", 1)
    }
}

impl Section for ServerConfig {
    const NAME: &'static str = "server";
    fn check(&self, problems: &mut Problems) {
        if !(self.public_url.is_empty()
            || self.public_url.starts_with("https://")
            || self.public_url.starts_with("http://"))
        {
            problems.add(
                "server.public_url",
                &self.public_url,
                Said::new("https", "must start with https:// (or http:// for tests)"),
            );
        }
        problems.range("server.max_calls", self.max_calls, 1..=10_000);
        problems.range("server.calls_per_minute_per_caller", self.calls_per_minute_per_caller, 1..=100_000);
        problems.range("server.drain_grace_s", self.drain_grace_s, 0..=3_600);
    }
}

/// Where records are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:FILE`, relative to `server.data_dir`.
    pub url: String,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite:warmline.db".to_owned() }
    }
}

impl Section for DatabaseConfig {
    const NAME: &'static str = "database";
    fn check(&self, problems: &mut Problems) {
        if !self.url.starts_with("sqlite:") {
            problems.add("database.url", &self.url, Said::new("sqlite_file", "must be sqlite:FILE"));
        }
    }
}

/// Logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,warmline::call=debug`.
    pub log: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info,whisper_rs=warn".to_owned(), json: false }
    }
}

impl Section for TelemetryConfig {
    const NAME: &'static str = "telemetry";
    fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            problems.add(
                "telemetry.log",
                &self.log,
                Said::new("log_filter", format!("is no log filter: {error}")).with("error", error),
            );
        }
    }
}

/// Calls from the landing page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserConfig {
    /// Whether the landing page has a call button.
    pub enabled: bool,
    /// Web sites that may show the call button, by their origins, such as `https://www.example.com`.
    pub widget_origins: Vec<String>,
}

impl Default for BrowserConfig {
    fn default() -> Self {
        Self { enabled: true, widget_origins: Vec::new() }
    }
}

impl Section for BrowserConfig {
    const NAME: &'static str = "browser";
    fn check(&self, problems: &mut Problems) {
        for origin in &self.widget_origins {
            if !is_origin(origin) {
                let reason =
                    Said::new("origin", "must be https:// and a host, without a path (http:// on this machine only)");
                problems.add("browser.widget_origins", origin, reason);
            }
        }
    }
}

/// As browsers write it in `Origin`. It ends up in a header, so nothing else may stand in it.
fn is_origin(origin: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(origin) else { return false };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_secure = url.scheme() == "https" || url.scheme() == "http" && is_local;
    // A star is a host to the library, and everybody to a browser.
    is_secure && !origin.contains('*') && url.origin().ascii_serialization() == origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for good in ["https://www.example.com", "https://example.com:8443", "http://127.0.0.1:9000", "http://localhost"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "www.example.com",
            "https://www.example.com/",
            "https://www.example.com/shop",
            "http://www.example.com",
            "https://*.example.com",
            "https://a.example.com https://b.example.com",
            "https://a.example.com; script-src *",
            "HTTPS://www.example.com",
            "null",
            "",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
