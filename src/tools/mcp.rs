//! RUNTIME of tools that MCP servers have: as processes of this machine (stdio) or over streamable HTTP.
//!
//! A server is named in the configuration, with the tools of it that may be used; what it offers besides is not seen. Its
//! answers are data like those over HTTP: `status` is 200, or 500 where the server says that the tool failed, and `body` is
//! its structured content, or its first text, as JSON if it is that.
//!
//! A connection is made when it is first needed and kept; one that broke is made anew for the next run, never within one:
//! what may have arrived is not sent twice unless that does no harm.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Url};
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{Peer, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::info;

use super::ToolsError;
use super::http::{check_host, guarded, secrets};
use super::spec::{Arguments, McpSpec, ToolFailed, ToolReply, ToolSpec};
use crate::cli::explain;
use crate::config::{McpServer, ToolsConfig};

/// To start a server and shake hands with it. Tests have no need to hurry, and the machine may be busy with others.
const CONNECT: Duration = Duration::from_secs(if cfg!(test) { 120 } else { 10 });
/// Variables of our environment a server's process gets besides those it is given by name.
const PASSED: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR"];

type Connection = RunningService<RoleClient, ()>;

/// See the module's documentation.
pub struct McpTools {
    client: Client,
    servers: HashMap<String, Server>,
}

struct Server {
    config: McpServer,
    headers: HeaderMap,
    /// The one in use; held only while it is looked up or made.
    connection: Mutex<Option<Connection>>,
}

impl McpTools {
    /// Checks that each of `specs` asks a server of the configuration for a tool it may be asked for.
    pub fn new(specs: &[ToolSpec], config: &ToolsConfig) -> Result<Self, ToolsError> {
        let mut servers = HashMap::new();
        for (name, server) in &config.mcp {
            let refused = |reason: String| ToolsError::Refused { name: format!("mcp.{name}"), reason };
            if !server.url.is_empty() {
                let url = Url::parse(&server.url).map_err(|error| refused(format!("its URL is none: {error}")))?;
                check_host(&url, config).map_err(refused)?;
            }
            let headers = secrets(&server.secret_headers).map_err(refused)?;
            servers.insert(name.clone(), Server { config: server.clone(), headers, connection: Mutex::default() });
        }
        for spec in specs {
            let Some(mcp) = spec.mcp() else { continue };
            let refused = |reason: String| ToolsError::Refused { name: spec.name.clone(), reason };
            let server =
                servers.get(&mcp.server).ok_or_else(|| refused(format!("there is no `[tools.mcp.{}]`", mcp.server)))?;
            if !server.config.tools.contains(&mcp.tool) {
                return Err(refused(format!("`{}` is not in `tools.mcp.{}.tools`", mcp.tool, mcp.server)));
            }
        }
        let client = guarded(config.allow_private)
            .map_err(|error| ToolsError::Refused { name: "all".to_owned(), reason: error.to_string() })?;
        Ok(Self { client, servers })
    }

    /// Runs a tool of a server.
    pub async fn run(&self, tool: &ToolSpec, mcp: &McpSpec, arguments: &Arguments) -> Result<ToolReply, ToolFailed> {
        let mut left = mcp.retries;
        let mut perhaps_done = false;
        loop {
            match self.attempt(mcp, arguments).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => {
                    perhaps_done |= failure.sent && tool.changes;
                    if left == 0 {
                        return Err(ToolFailed { reason: failure.reason, perhaps_done });
                    }
                }
            }
            left -= 1;
        }
    }

    async fn attempt(&self, mcp: &McpSpec, arguments: &Arguments) -> Result<ToolReply, Failure> {
        let never = |reason: String| Failure { reason, sent: false };
        let server = self.servers.get(&mcp.server).ok_or_else(|| never("there is no such server".to_owned()))?;
        let peer = server.peer(&self.client).await.map_err(never)?;
        let params = CallToolRequestParams::new(mcp.tool.clone()).with_arguments(arguments.clone());
        let patience = Duration::from_millis(mcp.timeout_ms.into());
        let sent = |reason: String| Failure { reason, sent: true };
        match timeout(patience, peer.call_tool(params)).await {
            Ok(Ok(result)) => reply(result, mcp.max_bytes).map_err(sent),
            // The server knows the tool and refused the call, or knows no such tool: nothing was done.
            Ok(Err(ServiceError::McpError(error))) => Err(never(format!("the server refused: {}", error.message))),
            Ok(Err(error)) => {
                server.connection.lock().await.take();
                Err(sent(error.to_string()))
            }
            Err(_) => Err(sent(format!("no answer within {patience:?}"))),
        }
    }
}

struct Failure {
    reason: String,
    /// It may have arrived.
    sent: bool,
}

impl Server {
    /// Whom to ask; connects first where that is needed.
    async fn peer(&self, client: &Client) -> Result<Peer<RoleClient>, String> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| !open.is_closed() && !open.is_transport_closed()) {
            return Ok(open.peer().clone());
        }
        let made = timeout(CONNECT, self.connect(client));
        let made = made.await.map_err(|_| format!("the server did not answer within {CONNECT:?}"))??;
        info!("Connected to an MCP server");
        Ok(connection.insert(made).peer().clone())
    }

    async fn connect(&self, client: &Client) -> Result<Connection, String> {
        if let Some((program, arguments)) = self.config.command.split_first() {
            let mut command = tokio::process::Command::new(program);
            // Our own secrets are not for it.
            command.args(arguments).env_clear();
            let passed = PASSED.iter().copied().chain(self.config.env.iter().map(String::as_str));
            command.envs(passed.filter_map(|name| Some((name, std::env::var_os(name)?))));
            let (transport, _) =
                TokioChildProcess::builder(command).stderr(Stdio::null()).spawn().map_err(|error| explain(&error))?;
            return ().serve(transport).await.map_err(|error| explain(&error));
        }
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let headers: HashMap<HeaderName, _> = headers.collect();
        let config = StreamableHttpClientTransportConfig::with_uri(self.config.url.clone()).custom_headers(headers);
        let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
        ().serve(transport).await.map_err(|error| explain(&error))
    }
}

/// A result as the sentences of `say` read it.
fn reply(result: CallToolResult, max_bytes: usize) -> Result<ToolReply, String> {
    let status = if result.is_error == Some(true) { 500 } else { 200 };
    let text = || result.content.iter().find_map(|block| block.as_text()).map(|text| text.text.clone());
    let body = match &result.structured_content {
        Some(structured) => structured.clone(),
        None => {
            text().map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or_else(|_| json!({ "text": text })))
        }
    };
    if body.to_string().len() > max_bytes {
        return Err(format!("its answer is longer than {max_bytes} bytes"));
    }
    Ok(ToolReply { status, body })
}

/// Runs each tool by what it is.
pub struct Runners {
    /// Over HTTP.
    pub http: super::http::HttpTools,
    /// Of MCP servers.
    pub mcp: McpTools,
}

#[async_trait::async_trait]
impl super::ToolRunner for Runners {
    async fn run(&self, tool: &ToolSpec, arguments: &Arguments) -> Result<ToolReply, ToolFailed> {
        match tool.mcp() {
            Some(mcp) => self.mcp.run(tool, mcp, arguments).await,
            None => self.http.run(tool, arguments).await,
        }
    }
}

#[cfg(test)]
#[path = "mcp_tests.rs"]
mod tests;
