//! Pages of the knowledge base that are somewhere else: fetched from allowed hosts only, with a limit on time and bytes, and
//! kept on disk, so that a start without their server has them as they were.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use reqwest::header::{CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::KnowledgeConfig;
use crate::dialog::knowledge::{Entry, Format, KnowledgeError, read_document};
use crate::tools::address::is_public;
use crate::tools::http::guarded;

/// For one page, from asking to its last byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// A page as it was fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fetched {
    url: String,
    format: Format,
    etag: Option<String>,
    modified: Option<String>,
    /// Base64.
    body: String,
}

/// All pages of a configuration.
pub struct Pages {
    client: Client,
    urls: Vec<Url>,
    max_bytes: usize,
    folder: PathBuf,
    copies: Mutex<Vec<Fetched>>,
}

impl Pages {
    /// Checks that each page is on an allowed host, and takes up what was fetched before.
    pub fn new(config: &KnowledgeConfig, data_dir: &Path) -> Result<Self, KnowledgeError> {
        let refused = |url: &str, reason: String| KnowledgeError::Page { url: url.to_owned(), reason };
        let mut urls = Vec::new();
        for text in &config.urls {
            let url = Url::parse(text).map_err(|error| refused(text, error.to_string()))?;
            let host = url.host_str().unwrap_or_default();
            if !config.allow_hosts.iter().any(|allowed| allowed == host) {
                return Err(refused(text, format!("`{host}` is not in `knowledge.allow_hosts`")));
            }
            let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
            if !config.allow_private && literal.is_some_and(|address| !is_public(address)) {
                return Err(refused(
                    text,
                    format!("`{host}` is a private address, and `knowledge.allow_private` is off"),
                ));
            }
            urls.push(url);
        }
        let client = guarded(config.allow_private).map_err(|error| refused("all", error.to_string()))?;
        let pages = Self {
            client,
            urls,
            max_bytes: config.max_bytes,
            folder: data_dir.join("knowledge"),
            copies: Mutex::default(),
        };
        let kept: Vec<Fetched> = pages.urls.iter().filter_map(|url| pages.kept(url)).collect();
        *pages.copies() = kept;
        Ok(pages)
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    fn copies(&self) -> std::sync::MutexGuard<'_, Vec<Fetched>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries of all pages there are.
    pub fn entries(&self) -> Result<Vec<Entry>, KnowledgeError> {
        let mut entries = Vec::new();
        for copy in self.copies().iter() {
            let wrong = |reason: String| KnowledgeError::Page { url: copy.url.clone(), reason };
            let bytes = STANDARD.decode(&copy.body).map_err(|error| wrong(error.to_string()))?;
            let read = read_document(&copy.url, &name_of(&copy.url), copy.format, &bytes);
            entries.extend(read.map_err(|error| wrong(error.to_string()))?);
        }
        Ok(entries)
    }

    /// Asks for every page; whether one changed, and what is wrong. One that can't be had, or can't be read, stays as it was.
    pub async fn refresh(&self) -> (bool, Option<String>) {
        let mut changed = false;
        let mut problems = Vec::new();
        for url in &self.urls {
            match self.fetch(url).await {
                Ok(Some(copy)) => {
                    self.keep(copy);
                    changed = true;
                }
                Ok(None) => {}
                Err(reason) => problems.push(format!("{url}: {reason}")),
            }
        }
        (changed, (!problems.is_empty()).then(|| problems.join("; ")))
    }

    /// The page, if it is not what we have.
    async fn fetch(&self, url: &Url) -> Result<Option<Fetched>, String> {
        let known = self.copies().iter().find(|copy| copy.url == url.as_str()).cloned();
        let mut request = self.client.get(url.clone()).timeout(PATIENCE);
        if let Some(etag) = known.as_ref().and_then(|copy| copy.etag.as_ref()) {
            request = request.header(IF_NONE_MATCH, etag);
        } else if let Some(modified) = known.as_ref().and_then(|copy| copy.modified.as_ref()) {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let response = request.send().await.map_err(|error| crate::cli::explain(&error.without_url()))?;
        if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(format!("its server answered {}", response.status().as_u16()));
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, modified) = (header(ETAG), header(LAST_MODIFIED));
        let kind = header(CONTENT_TYPE).unwrap_or_default();
        // Some servers don't say what they send.
        let unsaid =
            kind.is_empty() || ["application/octet-stream", "text/plain"].iter().any(|any| kind.starts_with(any));
        let format = Format::of_type(&kind)
            .or_else(|| Format::of_name(url.path()).filter(|_| unsaid))
            .ok_or_else(|| format!("`{kind}` is neither HTML nor PDF nor Markdown"))?;
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| crate::cli::explain(&error.without_url()))?;
            if bytes.len() + chunk.len() > self.max_bytes {
                return Err(format!("is longer than {} bytes", self.max_bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = STANDARD.encode(&bytes);
        if known.is_some_and(|known| known.body == body) {
            return Ok(None);
        }
        // What can't be read must not replace what can.
        let (shown, id) = (url.to_string(), name_of(url.as_str()));
        let read = tokio::task::spawn_blocking(move || read_document(&shown, &id, format, &bytes).map(drop));
        read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(Some(Fetched { url: url.to_string(), format, etag, modified, body }))
    }

    fn file(&self, url: &str) -> PathBuf {
        let digest = Sha256::digest(url.as_bytes());
        let name: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.json"))
    }

    fn kept(&self, url: &Url) -> Option<Fetched> {
        let copy: Fetched = serde_json::from_slice(&std::fs::read(self.file(url.as_str())).ok()?).ok()?;
        (copy.url == url.as_str()).then_some(copy)
    }

    fn keep(&self, copy: Fetched) {
        let file = self.file(&copy.url);
        let text = serde_json::to_vec(&copy).expect("plain data");
        if let Err(error) = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(&file, text)) {
            tracing::warn!(%error, "A page of the knowledge base can't be kept; a start without its server will miss it");
        }
        let mut copies = self.copies();
        copies.retain(|known| known.url != copy.url);
        copies.push(copy);
        // In the order of the configuration, so that a refetch changes no version.
        copies.sort_by_key(|copy| self.urls.iter().position(|url| url.as_str() == copy.url));
    }
}

/// What a page's entries are called: host and path in words.
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let words = rest.split(|c: char| !c.is_alphanumeric() && c != '.').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::IntoResponse;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// A page whose version is the counter; 500 when it is 500.
    async fn page(State(version): State<Arc<AtomicU16>>, headers: HeaderMap) -> axum::response::Response {
        let version = version.load(Ordering::SeqCst);
        let etag = format!("\"{version}\"");
        match version {
            500 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            7 => ([("content-type", "text/html")], "<p> </p>").into_response(),
            9 => ([("content-type", "image/png")], "x").into_response(),
            _ if headers.get(IF_NONE_MATCH).is_some_and(|have| have == &etag) => {
                StatusCode::NOT_MODIFIED.into_response()
            }
            _ => {
                let body =
                    format!("<h2>What is new?</h2><p>Number {version} is new.</p>{}", " ".repeat(version.into()));
                ([("content-type", "text/html; charset=utf-8".to_owned()), ("etag", etag)], body).into_response()
            }
        }
    }

    fn config(port: u16, private: bool, hosts: &[&str]) -> KnowledgeConfig {
        KnowledgeConfig {
            urls: vec![format!("http://127.0.0.1:{port}/faq.html?x=1")],
            allow_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            allow_private: private,
            max_bytes: 1_024,
            ..KnowledgeConfig::default()
        }
    }

    #[tokio::test]
    async fn a_page_is_fetched_kept_and_asked_for_again() {
        let version = Arc::new(AtomicU16::new(1));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let app = Router::new().route("/faq.html", get(page)).with_state(version.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await });
        let data = tempfile::tempdir().expect("a folder");
        let config = config(port, true, &["127.0.0.1"]);
        let pages = Pages::new(&config, data.path()).expect("pages");
        assert!(pages.entries().expect("none").is_empty());
        assert_eq!(pages.refresh().await, (true, None));
        let entries = pages.entries().expect("entries");
        assert_eq!(entries[0].answers[0].approved, "Number 1 is new.");
        assert_eq!(entries[0].id, "127.0.0.1-".to_owned() + &port.to_string() + "-faq.html#what-is-new");
        assert_eq!(pages.refresh().await, (false, None), "not modified");
        version.store(2, Ordering::SeqCst);
        assert_eq!(pages.refresh().await, (true, None));
        for broken in [500, 7, 9, 2_000] {
            version.store(broken, Ordering::SeqCst);
            let problem = pages.refresh().await.1.expect("broken");
            assert!(problem.contains("/faq.html"), "{problem}");
            assert_eq!(pages.entries().expect("entries")[0].answers[0].approved, "Number 2 is new.");
        }
        server.abort_all();
        let restarted = Pages::new(&config, data.path()).expect("pages");
        assert_eq!(restarted.entries().expect("kept")[0].answers[0].approved, "Number 2 is new.");
        assert!(restarted.refresh().await.1.is_some());
    }

    #[test]
    fn only_allowed_hosts_are_asked_and_private_ones_only_when_told() {
        let data = tempfile::tempdir().expect("a folder");
        for (config, part) in
            [(config(1, true, &["example.com"]), "allow_hosts"), (config(1, false, &["127.0.0.1"]), "allow_private")]
        {
            let error = Pages::new(&config, data.path()).err().expect("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
