use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rmcp::model::{CallToolResponse, ContentBlock, ErrorData, ServerCapabilities, ServerConfig};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData as McpError, ServerHandler};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::tools::Toolbox;
use crate::tools::http::HttpTools;

/// What the server does is in the order's number: 000404 is unknown, 000500 fails, 000999 takes for ever.
#[derive(Clone, Default)]
struct Orders {
    asked: Arc<AtomicU32>,
}

impl ServerHandler for Orders {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let number = request.arguments.unwrap_or_default()["order_number"].as_str().unwrap_or_default().to_owned();
        match number.as_str() {
            "000404" => Err(McpError::invalid_params("no such order", None)),
            "000500" => Ok(CallToolResult::error(vec![ContentBlock::text("the warehouse is closed")]).into()),
            "000777" => Ok(CallToolResult::success(vec![ContentBlock::text("x".repeat(2_000))]).into()),
            "000999" => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(CallToolResult::success(Vec::new()).into())
            }
            _ => Ok(CallToolResult::success(vec![ContentBlock::text(r#"{"state":"packed"}"#)]).into()),
        }
    }
}

const TOOL: &str = r#"
title = "Order status"
description = "I can look up where your order is."
asked = ["where is my order"]
[parameters]
type = "object"
required = ["order_number"]
[parameters.properties.order_number]
type = "string"
[collect.order_number]
kind = "digits"
length = [6, 6]
ask = "What is your order number?"
[mcp]
server = "orders"
tool = "order_status"
timeout_ms = 20000
max_bytes = 1000
[[say]]
when = "status == 200"
text = "Your order is {{ body.state }}."
[[say]]
text = "I can't see that: {{ body.text }}."
"#;

fn server(url: &str, tools: &[&str]) -> ToolsConfig {
    let server = McpServer {
        url: url.to_owned(),
        tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
        ..McpServer::default()
    };
    ToolsConfig {
        allow_hosts: vec!["127.0.0.1".to_owned()],
        allow_private: true,
        mcp: BTreeMap::from([("orders".to_owned(), server)]),
        ..ToolsConfig::default()
    }
}

/// The tool `order`, and `hasty`, which is the same without patience.
fn toolbox(config: &ToolsConfig, text: &str) -> Result<Toolbox, ToolsError> {
    let hasty = text.replace("timeout_ms = 20000", "timeout_ms = 500");
    let specs =
        [("order", text), ("hasty", hasty.as_str())].map(|(name, text)| ToolSpec::parse(name, text).expect("a tool"));
    let specs = specs.to_vec();
    let (http, mcp) = (HttpTools::new(&specs, config)?, McpTools::new(&specs, config)?);
    Toolbox::new(specs, Box::new(Runners { http, mcp }))
}

fn number(number: &str) -> Arguments {
    Arguments::from_iter([("order_number".to_owned(), json!(number))])
}

/// A real MCP server on the loopback.
async fn serve(orders: Orders) -> (u16, JoinSet<()>) {
    let service: StreamableHttpService<Orders, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(orders.clone()), Default::default(), Default::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let app = axum::Router::new().nest_service("/mcp", service);
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, app).await.expect("serves") });
    (port, task)
}

#[tokio::test]
async fn a_tool_of_a_server_is_run_and_its_answer_is_data() {
    let orders = Orders::default();
    let (port, mut server_task) = serve(orders.clone()).await;
    let tools = toolbox(&server(&format!("http://127.0.0.1:{port}/mcp"), &["order_status"]), TOOL).expect("tools");
    let spec = tools.get("order").expect("there").clone();
    let said = |reply: &ToolReply| spec.saying(&number("1"), reply).map(|(_, text)| text);

    let reply = tools.run("order", &number("482913")).await.expect("a reply");
    assert_eq!((reply.status, said(&reply).as_deref()), (200, Some("Your order is packed.")));
    let reply = tools.run("order", &number("000500")).await.expect("a reply");
    assert_eq!((reply.status, said(&reply).as_deref()), (500, Some("I can't see that: the warehouse is closed.")));
    let failed = tools.run("order", &number("000404")).await.expect_err("refused");
    assert!(failed.reason.contains("no such order") && !failed.perhaps_done, "{failed:?}");
    let failed = tools.run("order", &number("000777")).await.expect_err("too long");
    assert!(failed.reason.contains("longer than 1000"), "{failed:?}");
    let failed = tools.run("hasty", &number("000999")).await.expect_err("too slow");
    assert!(failed.reason.contains("500ms") && !failed.perhaps_done, "it changes nothing: {failed:?}");
    let all = async {
        while orders.asked.load(Ordering::SeqCst) < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("what nobody waited for arrives all the same");
    assert_eq!(orders.asked.load(Ordering::SeqCst), 5, "each was asked once");

    // What changes something may have been done when no answer comes.
    let changes = TOOL.replace("[parameters]", "changes = true\nconfirm = \"Shall I?\"\n[parameters]");
    let config = server(&format!("http://127.0.0.1:{port}/mcp"), &["order_status"]);
    let tools = toolbox(&config, &changes).expect("tools");
    assert!(tools.run("hasty", &number("000999")).await.expect_err("too slow").perhaps_done);

    // A server that is gone was never asked.
    server_task.abort_all();
    while server_task.join_next().await.is_some() {}
    let tools = toolbox(&config, &changes).expect("tools");
    let failed = tools.run("order", &number("482913")).await.expect_err("nobody there");
    assert!(!failed.perhaps_done, "{failed:?}");
}

#[test]
fn only_named_tools_of_known_servers_on_allowed_hosts_are_asked() {
    let refused = |config: &ToolsConfig, text: &str| toolbox(config, text).expect_err("refused").to_string();
    let good = server("http://127.0.0.1:1/mcp", &["order_status"]);
    assert!(toolbox(&good, TOOL).is_ok());
    assert!(refused(&server("http://127.0.0.1:1/mcp", &["other"]), TOOL).contains("tools.mcp.orders.tools"));
    assert!(refused(&ToolsConfig { mcp: BTreeMap::new(), ..good.clone() }, TOOL).contains("[tools.mcp.orders]"));
    assert!(refused(&ToolsConfig { allow_hosts: Vec::new(), ..good.clone() }, TOOL).contains("allow_hosts"));
    assert!(refused(&ToolsConfig { allow_private: false, ..good }, TOOL).contains("allow_private"));
    let repeated = TOOL.replace("changes", "x").replace("timeout_ms = 20000", "timeout_ms = 20000\nretries = 2");
    let changing = repeated.replace("[parameters]\n", "changes = true\nconfirm = \"Shall I?\"\n[parameters]\n");
    assert!(ToolSpec::parse("order", &repeated).is_ok(), "it changes nothing");
    assert!(ToolSpec::parse("order", &changing).is_err_and(|error| error.to_string().contains("idempotent")));
}

/// The MCP project's own server in Python, as a process and over HTTP: `tests/official/mcp_server.py`.
#[tokio::test]
#[ignore = "needs the MCP library of Python, which scripts/test installs"]
async fn a_server_made_with_the_reference_library_is_understood() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/official/mcp_server.py");
    let command = ["python3", script].map(str::to_owned).to_vec();
    let stdio = McpServer {
        command,
        env: vec!["PYTHONPATH".to_owned()],
        tools: vec!["order_status".to_owned()],
        ..McpServer::default()
    };
    let config = ToolsConfig { mcp: BTreeMap::from([("orders".to_owned(), stdio)]), ..ToolsConfig::default() };
    let tools = toolbox(&config, TOOL).expect("tools");
    for _ in 0..2 {
        let reply = tools.run("order", &number("482913")).await.expect("a reply");
        assert_eq!((reply.status, reply.body["state"].as_str()), (200, Some("packed")));
    }
    assert_eq!(tools.run("order", &number("000500")).await.expect("a reply").status, 500);
}
