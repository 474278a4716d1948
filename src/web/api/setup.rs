//! What an operator needs to connect a telephone number: the providers with their instructions for this very server,
//! and whether the address providers reach us by leads here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use include_dir::{Dir, include_dir};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error as SocketError;
use utoipa::ToSchema;

use super::status;
use crate::engine::llm::openai::install_crypto;
use crate::said::Said;
use crate::store::CallQuery;
use crate::telephony::providers::{PROVIDERS, ProviderSpec};
use crate::web::auth::{Admin, Require};
use crate::web::error::{ApiError, Body, Problem};
use crate::web::router::AppState;

static PAGES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/docs/providers");

/// What the pages call the server.
const EXAMPLE: &str = "voice.example.com";
/// How long one look at the public address may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Most of an answer that is read.
const LONGEST_ANSWER: usize = 20_000;

/// How far the server is set up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Setup {
    /// `server.public_url` of the configuration; empty: none.
    public_url: String,
    /// The address in force.
    base_url: String,
    /// Whether a page may call.
    browser_calls: bool,
    /// Whether anybody has ever called.
    had_calls: bool,
    /// All providers, in the order of the documentation.
    providers: Vec<Provider>,
}

/// One telephony provider.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Provider {
    /// Its section of the configuration.
    name: String,
    /// What it is called.
    title: String,
    /// Its credentials are in the configuration.
    is_configured: bool,
    /// Where its websocket connects.
    media_url: String,
    /// The request that announces a call, if there is one.
    webhook_url: Option<String>,
    /// How to connect it, in Markdown, with this server's addresses.
    instructions: String,
}

/// How far this server is set up, and how to connect each provider to it.
#[utoipa::path(
    get, path = "/api/v1/setup", tag = "setup", operation_id = "setup",
    responses((status = 200, description = "The state", body = Setup), (status = 403, description = "Not an administrator", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn setup(State(state): State<Arc<AppState>>, _: Require<Admin>) -> Result<Json<Setup>, ApiError> {
    let config = &state.config;
    let calls = state.store.list_calls(&CallQuery { limit: 1, ..CallQuery::default() }).await?;
    let sections = config.secrets_set();
    let base = config.server.base_url();
    let provider = |spec: &ProviderSpec| Provider {
        name: spec.name.to_owned(),
        title: spec.title.to_owned(),
        is_configured: sections.contains(spec.name),
        media_url: format!("{}{}", config.server.websocket_url(), spec.path),
        webhook_url: spec.webhook.map(|path| format!("{base}{path}")),
        instructions: instructions(spec.name, &base),
    };
    Ok(Json(Setup {
        public_url: config.server.public_url.clone(),
        browser_calls: config.browser.enabled,
        had_calls: !calls.is_empty(),
        providers: PROVIDERS.iter().filter(|spec| spec.name != "browser").map(provider).collect(),
        base_url: base,
    }))
}

/// An address to look at.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Address {
    /// Such as `https://voice.example.com`.
    url: String,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// It is an `https://` address with a host.
    Address,
    /// Something answers there.
    Answers,
    /// That is this server.
    Itself,
    /// Websockets get through.
    Websockets,
    /// It is the address in the configuration.
    Configured,
}

/// One thing looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Finding {
    /// What.
    step: Step,
    /// Whether it is as it must be.
    ok: bool,
    /// What was seen, when it is not.
    detail: Option<String>,
    /// Stable word for what was seen, where there is one, such as `redirected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the detail speaks of, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, String>,
}

impl Finding {
    fn of(step: Step, result: Result<(), Said>) -> Self {
        match result {
            Ok(()) => Self { step, ok: true, detail: None, reason: None, values: BTreeMap::new() },
            Err(said) => Self {
                step,
                ok: false,
                detail: Some(said.message().to_owned()),
                reason: said.reason().map(str::to_owned),
                values: said.values().clone(),
            },
        }
    }
}

/// Look, from this server, whether an address leads back to it, as providers will. Stops at the first thing that is wrong.
#[utoipa::path(
    post, path = "/api/v1/setup/check", tag = "setup", operation_id = "check_address",
    request_body = Address,
    responses((status = 200, description = "What was found", body = Vec<Finding>), (status = 403, description = "Not an administrator", body = Problem)),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("admin"))),
)]
pub(super) async fn check(
    State(state): State<Arc<AppState>>,
    _: Require<Admin>,
    Body(Address { url }): Body<Address>,
) -> Json<Vec<Finding>> {
    let mut findings = Vec::new();
    let url = match parse(&url) {
        Ok(url) => url,
        Err(said) => return Json(vec![Finding::of(Step::Address, Err(said))]),
    };
    let mut note = |step, result: Result<(), Said>| {
        let ok = result.is_ok();
        findings.push(Finding::of(step, result));
        ok
    };
    note(Step::Address, Ok(()));
    match status_of(&url).await {
        Err(said) => {
            note(Step::Answers, Err(said));
            return Json(findings);
        }
        Ok(instance) => {
            note(Step::Answers, Ok(()));
            let is_us = instance.as_deref() == Some(status::instance());
            let seen = match instance {
                Some(_) => Said::new("another_server", "another Warmline server answers there"),
                None => Said::new("something_else", "something else answers there"),
            };
            if !note(Step::Itself, if is_us { Ok(()) } else { Err(seen) }) {
                return Json(findings);
            }
        }
    }
    note(Step::Websockets, websockets(&url).await);
    let configured = state.config.server.base_url();
    let given = url.as_str().trim_end_matches('/');
    let same = if given == configured { Ok(()) } else { Err(Said::plain(configured)) };
    note(Step::Configured, same);
    Json(findings)
}

/// Plain `http` only on this machine, to try it.
fn parse(url: &str) -> Result<Url, Said> {
    let url =
        Url::parse(url.trim()).map_err(|error| Said::new("no_address", format!("this is no address: {error}")))?;
    let Some(host) = url.host_str() else { return Err(Said::new("no_host", "the host is missing")) };
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local => Ok(()),
        "http" => Err(Said::new("no_https", "providers want https://")),
        other => {
            let said = format!("it must begin with https://, not {other}://");
            Err(Said::new("other_scheme", said).with("scheme", other))
        }
    }?;
    if !url.username().is_empty() || url.query().is_some() || url.fragment().is_some() {
        return Err(Said::new("too_much", "it must be scheme, host and perhaps a path"));
    }
    Ok(url)
}

/// The instance that answers at `url`; none when something else does.
async fn status_of(url: &Url) -> Result<Option<String>, Said> {
    install_crypto();
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|error| Said::plain(error.to_string()))?;
    let address = format!("{}/api/v1/status", url.as_str().trim_end_matches('/'));
    let mut answer = client.get(address).send().await.map_err(|error| why(&error))?;
    if answer.status().is_redirection() {
        let said = "it leads somewhere else (a redirect), which providers don't follow";
        return Err(Said::new("redirected", said));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| why(&error))? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST_ANSWER {
            return Ok(None);
        }
    }
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(status["instance"].as_str().map(str::to_owned))
}

/// The innermost reason says most: "connection refused", "certificate has expired".
fn why(error: &(dyn std::error::Error + 'static)) -> Said {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    Said::new("not_reached", inner.to_string()).with("error", inner)
}

/// Whether an upgrade gets through to the browser's row, which lets any page's socket in and then waits for its token.
async fn websockets(url: &Url) -> Result<(), Said> {
    let address = format!("{}/media/browser", url.as_str().trim_end_matches('/').replacen("http", "ws", 1));
    match timeout(PATIENCE, connect_async(address)).await {
        Err(_) => Err(Said::new("too_slow", "no answer in time")),
        Ok(Ok((mut socket, _))) => {
            // A goodbye that does not arrive changes nothing about the finding.
            let _ = timeout(PATIENCE, socket.close(None)).await;
            Ok(())
        }
        Ok(Err(SocketError::Http(answer))) => {
            let status = answer.status();
            let said =
                format!("the upgrade was answered with {status}: a proxy in between must let websockets through");
            Err(Said::new("no_upgrade", said).with("status", status))
        }
        Ok(Err(error)) => Err(why(&error)),
    }
}

/// The part of the provider's page that says how to connect, with `base` for the example's address.
fn instructions(provider: &str, base: &str) -> String {
    let page = PAGES.get_file(format!("{provider}.md")).and_then(|file| file.contents_utf8()).unwrap_or_default();
    let mut kept = String::new();
    let mut connecting = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            connecting = heading.starts_with("Connect");
        }
        if connecting {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    let (http, ws) = if base.starts_with("https") { ("https", "wss") } else { ("http", "ws") };
    kept.replace(&format!("https://{EXAMPLE}"), &format!("{http}://{host}"))
        .replace(&format!("wss://{EXAMPLE}"), &format!("{ws}://{host}"))
        .replace(EXAMPLE, host)
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_instructions_for_this_server() {
        for spec in PROVIDERS.iter().filter(|spec| spec.name != "browser") {
            let text = instructions(spec.name, "https://desk.test");
            assert!(text.contains("desk.test") && text.contains(&format!("[{}]", spec.name)), "{}: {text}", spec.name);
            assert!(!text.contains(EXAMPLE), "{}", spec.name);
        }
        assert!(
            instructions("twilio", "http://127.0.0.1:8080").contains("http://127.0.0.1:8080/voice/twilio/incoming")
        );
    }

    #[test]
    fn an_address_is_https_or_of_this_machine() {
        for good in
            ["https://voice.example.org", "https://example.org/desk", "http://127.0.0.1:8080", "http://localhost"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("voice.example.org", "no address"),
            ("http://voice.example.org", "want https"),
            ("ftp://voice.example.org", "not ftp"),
            ("https://me@voice.example.org", "scheme, host"),
            ("https://voice.example.org/?a=b", "scheme, host"),
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(error.message().contains(reason) && error.reason().is_some(), "{bad}: {error}");
        }
    }
}
