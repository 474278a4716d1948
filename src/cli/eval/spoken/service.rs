//! What tools ask while a scenario is played: a service on the loopback that gives what the scenario says, whatever is asked of
//! it. The tools' files are copied with its address in place of theirs; what else stands in them is in force.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use toml::{Table, Value};

use super::super::scenario::Results;
use crate::cli::CliError;
use crate::config::ToolsConfig;

/// Where it listens.
const HOST: &str = "127.0.0.1";

/// See the module's documentation. Dropping it stops it.
pub struct Service {
    results: Arc<Mutex<Results>>,
    /// The tools' files as they are for it; none: there are no tools.
    files: Option<TempDir>,
    _server: JoinSet<()>,
}

impl Service {
    /// For these tools.
    pub async fn open(tools: &ToolsConfig) -> Result<Self, CliError> {
        let (results, mut server) = (Arc::<Mutex<Results>>::default(), JoinSet::new());
        if tools.dir.as_os_str().is_empty() {
            return Ok(Self { results, files: None, _server: server });
        }
        let failed = |what: &str, error: std::io::Error| CliError::failed(format!("{what}: {error}"), "");
        let listener = TcpListener::bind((HOST, 0)).await.map_err(|error| failed("no free port", error))?;
        let port = listener.local_addr().map_err(|error| failed("no free port", error))?.port();
        let files = copied(&tools.dir, port)?;
        let routes = Router::new().fallback(give).with_state(results.clone());
        server.spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "The stand-in for tools stopped listening");
            }
        });
        Ok(Self { results, files: Some(files), _server: server })
    }

    /// The configuration that asks it and nobody else.
    pub fn tools(&self) -> ToolsConfig {
        let Some(files) = &self.files else { return ToolsConfig::default() };
        let (dir, allow_hosts) = (files.path().to_owned(), vec![HOST.to_owned()]);
        ToolsConfig { dir, allow_hosts, allow_private: true, ..ToolsConfig::default() }
    }

    /// From here on this is what tools give.
    pub fn give(&self, results: &Results) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).clone_from(results);
    }
}

/// The first part of the path names the tool.
async fn give(State(results): State<Arc<Mutex<Results>>>, request: Request) -> Response {
    let tool = request.uri().path().split('/').nth(1).unwrap_or_default();
    let results = results.lock().unwrap_or_else(PoisonError::into_inner);
    match results.get(tool) {
        Some(result) => {
            let status = StatusCode::from_u16(result.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(result.body.clone())).into_response()
        }
        // As a service that is down.
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The files of `folder`, asking `port` of this machine.
fn copied(folder: &Path, port: u16) -> Result<TempDir, CliError> {
    let unusable = |path: &Path, why: &dyn std::fmt::Display| {
        CliError::usage(format!("tools {} can't be used: {why}", path.display()), "Check `[tools]`.")
    };
    let copy = tempfile::tempdir().map_err(|error| CliError::failed(format!("no temporary folder: {error}"), ""))?;
    for entry in folder.read_dir().map_err(|error| unusable(folder, &error))? {
        let path = entry.map_err(|error| unusable(folder, &error))?.path();
        let (Some(file), Some(name)) = (path.file_name(), path.file_stem()) else { continue };
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
        let tool: Table = text.parse().map_err(|error: toml::de::Error| unusable(&path, &error.message()))?;
        let moved = moved(tool, &name.to_string_lossy(), port).to_string();
        std::fs::write(copy.path().join(file), moved).map_err(|error| unusable(&path, &error))?;
    }
    Ok(copy)
}

/// `tool` asking here: the same path behind the tool's name, no secrets; a tool of an MCP server is asked by a request.
fn moved(mut tool: Table, name: &str, port: u16) -> Table {
    let base = format!("http://{HOST}:{port}/{name}");
    if let Some(Value::Table(http)) = tool.get_mut("http") {
        let url = http.get("url").and_then(Value::as_str).unwrap_or_default();
        let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = behind.find('/').map_or("", |at| &behind[at..]);
        let url = format!("{base}{path}");
        http.insert("url".to_owned(), url.into());
        http.remove("secret_headers");
    } else if let Some(Value::Table(mcp)) = tool.remove("mcp") {
        let kept = mcp.into_iter().filter(|(key, _)| key != "server" && key != "tool");
        let asked = [("method".to_owned(), "POST".into()), ("url".to_owned(), base.into())];
        tool.insert("http".to_owned(), Value::Table(kept.chain(asked).collect()));
    }
    tool
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::cli::eval::scenario::ToolResult;
    use crate::tools::Toolbox;

    #[tokio::test]
    async fn tools_are_given_what_the_scenario_says_and_ask_nobody_else() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tools");
        let service = Service::open(&ToolsConfig { dir, ..ToolsConfig::default() }).await.expect("the examples");
        let tools = Toolbox::load(&service.tools()).expect("the same tools, elsewhere");
        assert_eq!(tools.specs().len(), 2);
        let arguments = json!({ "order_number": "440017" }).as_object().cloned().expect("an object");
        let body = json!({ "state": "shipped", "due": "2026-12-01" });
        service.give(&Results::from([("order_status".to_owned(), ToolResult { status: 200, body: body.clone() })]));
        let reply = tools.run("order_status", &arguments).await.expect("given");
        assert_eq!((reply.status, reply.body), (200, body));
        let reply = tools.run("cancel_order", &arguments).await.expect("an answer");
        assert_eq!(reply.status, 503, "the scenario does not say what it gives");
    }

    #[tokio::test]
    async fn without_tools_there_is_nothing() {
        let service = Service::open(&ToolsConfig::default()).await.expect("nothing");
        assert_eq!(service.tools().dir, PathBuf::new());
        let missing = ToolsConfig { dir: "no/such/folder".into(), ..ToolsConfig::default() };
        assert!(Service::open(&missing).await.is_err_and(|error| error.to_string().contains("no/such/folder")));
    }

    #[test]
    fn a_tool_of_an_mcp_server_is_asked_by_a_request() {
        let text = "title = \"x\"\n[mcp]\nserver = \"orders\"\ntool = \"status\"\ntimeout_ms = 900\n";
        let tool = moved(text.parse().expect("TOML"), "status", 99);
        let http = tool["http"].as_table().expect("a request");
        assert_eq!((http["url"].as_str(), http["method"].as_str()), (Some("http://127.0.0.1:99/status"), Some("POST")));
        assert_eq!((http["timeout_ms"].as_integer(), tool.contains_key("mcp")), (Some(900), false));
    }
}
