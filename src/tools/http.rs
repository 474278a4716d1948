//! RUNTIME of tools over HTTP: to allowed hosts only, never to a private address unless the operator says so, with a limit
//! on time and bytes, and sent twice only where that does no harm.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::time::sleep;
use tracing::debug;

use super::address::is_public;
use super::spec::{Arguments, HttpSpec, Method, SecretRef, ToolFailed, ToolReply, ToolSpec};
use super::{ToolRunner, ToolsError};
use crate::config::ToolsConfig;
use crate::engine::llm::openai::install_crypto;

const CONNECT: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module's documentation.
pub struct HttpTools {
    client: Client,
    /// Headers of each tool, secrets included.
    headers: HashMap<String, HeaderMap>,
}

impl HttpTools {
    /// Checks that each of `specs` asks a host that `config` allows, and reads its secrets.
    pub fn new(specs: &[ToolSpec], config: &ToolsConfig) -> Result<Self, ToolsError> {
        let mut headers = HashMap::new();
        for spec in specs {
            let Some(http) = spec.http() else { continue };
            let refused = |reason: String| ToolsError::Refused { name: spec.name.clone(), reason };
            check_host(&url(http, &Arguments::new()).map_err(refused)?, config).map_err(refused)?;
            headers.insert(spec.name.clone(), headers_of(http).map_err(refused)?);
        }
        let client = guarded(config.allow_private)
            .map_err(|error| ToolsError::Refused { name: "all".to_owned(), reason: error.to_string() })?;
        Ok(Self { client, headers })
    }

    async fn attempt(&self, tool: &ToolSpec, arguments: &Arguments) -> Result<ToolReply, Failure> {
        let never_sent = |reason: String| Failure { reason, sent: false };
        let http = tool.http().ok_or_else(|| never_sent("it is no HTTP request".to_owned()))?;
        let mut url = url(http, arguments).map_err(never_sent)?;
        let rest = arguments.iter().filter(|(name, _)| !http.url.contains(&format!("{{{name}}}")));
        let method = match http.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let has_body = !matches!(http.method, Method::Get | Method::Delete);
        if !has_body {
            for (name, value) in rest.clone() {
                url.query_pairs_mut().append_pair(name, &text(value));
            }
        }
        let mut request = self
            .client
            .request(method, url)
            .timeout(Duration::from_millis(http.timeout_ms.into()))
            .headers(self.headers.get(&tool.name).cloned().unwrap_or_default());
        if has_body {
            request = request.json(&rest.map(|(name, value)| (name.clone(), value.clone())).collect::<Arguments>());
        }
        let response = request.send().await.map_err(|error| Failure {
            // A URL may hold what the caller said.
            sent: !error.is_connect(),
            reason: chain(&error.without_url()),
        })?;
        let sent = |reason: String| Failure { reason, sent: true };
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| sent(chain(&error.without_url())))?;
            if bytes.len() + chunk.len() > http.max_bytes {
                return Err(sent(format!("its answer is longer than {} bytes", http.max_bytes)));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            // An error page is not read; the status says enough.
            Err(_) if bytes.is_empty() || status >= 300 => Value::Null,
            Err(error) => return Err(sent(format!("its answer is no JSON: {error}"))),
        };
        Ok(ToolReply { status, body })
    }
}

/// Whether tools may ask the host of `url`; of a name the address is checked when it is looked up.
pub(super) fn check_host(url: &Url, config: &ToolsConfig) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    if !config.allow_hosts.iter().any(|allowed| allowed == host) {
        return Err(format!("`{host}` is not in `tools.allow_hosts`"));
    }
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if !config.allow_private && literal.is_some_and(|address| !is_public(address)) {
        return Err(format!("`{host}` is a private address, and `tools.allow_private` is off"));
    }
    Ok(())
}

/// A client that follows no redirect, and reaches private addresses only when told.
pub fn guarded(private: bool) -> Result<Client, reqwest::Error> {
    install_crypto();
    Client::builder()
        .connect_timeout(CONNECT)
        .redirect(Policy::none())
        // A proxy would look names up where we can't see the address.
        .no_proxy()
        .dns_resolver(Arc::new(Names { private }))
        .build()
}

/// An attempt without an answer.
struct Failure {
    reason: String,
    /// It may have arrived.
    sent: bool,
}

#[async_trait]
impl ToolRunner for HttpTools {
    async fn run(&self, tool: &ToolSpec, arguments: &Arguments) -> Result<ToolReply, ToolFailed> {
        let (mut left, mut perhaps_done) = (tool.retries(), false);
        loop {
            let outcome = self.attempt(tool, arguments).await;
            let busy = matches!(&outcome, Ok(reply) if [502, 503, 504].contains(&reply.status));
            match outcome {
                Ok(reply) if !busy || left == 0 => return Ok(reply),
                Err(failure) if left == 0 => {
                    perhaps_done |= failure.sent && tool.changes;
                    return Err(ToolFailed { reason: failure.reason, perhaps_done });
                }
                outcome => {
                    if let Err(failure) = outcome {
                        perhaps_done |= failure.sent && tool.changes;
                        debug!(tool = tool.name, reason = failure.reason, "A tool is asked again");
                    }
                }
            }
            left -= 1;
            sleep(PAUSE).await;
        }
    }
}

/// The URL with its arguments in it; without arguments it still has its host.
fn url(http: &HttpSpec, arguments: &Arguments) -> Result<Url, String> {
    let mut url = http.url.clone();
    for (name, value) in arguments {
        let value = text(value);
        // A path of "." or ".." would be another one.
        let safe: String = if value.chars().all(|c| c == '.') {
            value.replace('.', "%2E")
        } else {
            form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
        };
        url = url.replace(&format!("{{{name}}}"), &safe);
    }
    Url::parse(&url).map_err(|error| format!("its URL is none: {error}"))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn headers_of(http: &HttpSpec) -> Result<HeaderMap, String> {
    let mut headers = secrets(&http.secret_headers)?;
    let name = |name: &str| HeaderName::try_from(name).map_err(|error| format!("header `{name}`: {error}"));
    for (header, value) in &http.headers {
        let value = HeaderValue::try_from(value).map_err(|error| format!("header `{header}`: {error}"))?;
        headers.insert(name(header)?, value);
    }
    Ok(headers)
}

/// Headers whose values are somewhere else.
pub(super) fn secrets(secret_headers: &BTreeMap<String, SecretRef>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let name = |name: &str| HeaderName::try_from(name).map_err(|error| format!("header `{name}`: {error}"));
    for (header, secret) in secret_headers {
        let value = secret_of(secret).map_err(|reason| format!("the secret of header `{header}`: {reason}"))?;
        let mut value = HeaderValue::try_from(format!("{}{value}", secret.prefix))
            .map_err(|_| format!("the secret of header `{header}` can't be sent in a header"))?;
        value.set_sensitive(true);
        headers.insert(name(header)?, value);
    }
    Ok(headers)
}

fn secret_of(secret: &SecretRef) -> Result<String, String> {
    if let Some(file) = &secret.file {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
        return Ok(text.trim().to_owned());
    }
    let variable = secret.env.as_deref().unwrap_or_default();
    std::env::var(variable).map_err(|_| format!("the environment has no `{variable}`"))
}

/// Looks names up and keeps the addresses that may be reached, so that a name can't lead inside.
struct Names {
    private: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads to private addresses only".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
