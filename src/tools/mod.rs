//! Doing things for callers: tools declared in files ([`spec`]), run behind one trait, over HTTP ([`http`]) or by MCP servers
//! ([`mcp`]).
//!
//! Which tool is wanted is decided as approved sentences are: each is an entry of the knowledge base, found by how callers
//! ask for it ([`entry`]). What it needs is collected and agreed to in [`crate::dialog::chore`]. Nothing here talks to a
//! caller, and nothing a tool gives back is read as an instruction.

pub mod address;
pub mod http;
pub mod mcp;
pub mod spec;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jsonschema::Validator;
use serde_json::Value;

use crate::config::ToolsConfig;
use crate::dialog::knowledge::{Answer, Entry};
use crate::engine::llm::ToolOffer;
use http::HttpTools;
use mcp::{McpTools, Runners};
use spec::{Arguments, SpecError, ToolFailed, ToolReply, ToolSpec};

/// Before a tool's name in the ids of entries.
const PREFIX: &str = "tool:";

/// What runs tools.
#[async_trait]
pub trait ToolRunner: Send + Sync {
    /// Runs `tool`. Dropping the future stops waiting for it, which is no proof that it was not carried out.
    async fn run(&self, tool: &ToolSpec, arguments: &Arguments) -> Result<ToolReply, ToolFailed>;
}

/// Why the tools can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// A file or the folder can't be read.
    #[error("tools {} can't be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a tool.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A tool may not or can't do what it says.
    #[error("tool {name}: {reason}")]
    Refused {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// All tools of one configuration. The default has none.
#[derive(Default)]
pub struct Toolbox {
    tools: HashMap<String, (Arc<ToolSpec>, Validator)>,
    runner: Option<Box<dyn ToolRunner>>,
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Toolbox({} tools)", self.tools.len())
    }
}

impl Toolbox {
    /// Those of `tools.dir`; none when it is empty.
    pub fn load(config: &ToolsConfig) -> Result<Self, ToolsError> {
        let specs = if config.dir.as_os_str().is_empty() { Vec::new() } else { read(&config.dir)? };
        let (http, mcp) = (HttpTools::new(&specs, config)?, McpTools::new(&specs, config)?);
        Self::new(specs, Box::new(Runners { http, mcp }))
    }

    /// `specs`, run by `runner`.
    pub fn new(specs: Vec<ToolSpec>, runner: Box<dyn ToolRunner>) -> Result<Self, ToolsError> {
        let mut tools = HashMap::new();
        for spec in specs {
            let validator = jsonschema::validator_for(&spec.parameters).map_err(|error| ToolsError::Refused {
                name: spec.name.clone(),
                reason: format!("`parameters` is no JSON Schema: {error}"),
            })?;
            tools.insert(spec.name.clone(), (Arc::new(spec), validator));
        }
        Ok(Self { tools, runner: Some(runner) })
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<&Arc<ToolSpec>> {
        self.tools.get(name).map(|(spec, _)| spec)
    }

    /// The tool an entry of the knowledge base stands for.
    pub fn of_entry(&self, id: &str) -> Option<&Arc<ToolSpec>> {
        self.get(id.strip_prefix(PREFIX)?)
    }

    /// All tools, by name.
    pub fn specs(&self) -> Vec<&Arc<ToolSpec>> {
        let mut specs: Vec<_> = self.tools.values().map(|(spec, _)| spec).collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// Entries by which the tools are found.
    pub fn entries(&self) -> Vec<Entry> {
        self.specs().into_iter().map(|spec| entry(spec)).collect()
    }

    /// What a model is told of the tools that these entries stand for. Nothing is required of it: what the caller has not said
    /// they are asked for.
    pub fn offers<'a>(&self, entries: impl Iterator<Item = &'a str>) -> Vec<ToolOffer> {
        entries.filter_map(|id| self.of_entry(id)).map(|spec| offer(spec)).collect()
    }

    /// Runs a tool, its arguments checked against its schema first.
    pub async fn run(&self, name: &str, arguments: &Arguments) -> Result<ToolReply, ToolFailed> {
        let nothing_done = |reason: String| ToolFailed { reason, perhaps_done: false };
        let (spec, validator) = self.tools.get(name).ok_or_else(|| nothing_done("there is no such tool".to_owned()))?;
        if let Err(error) = validator.validate(&Value::Object(arguments.clone())) {
            // The value stays out of logs: it is the caller's.
            return Err(nothing_done(format!("the arguments break the schema at `{}`", error.schema_path())));
        }
        match &self.runner {
            Some(runner) => runner.run(spec, arguments).await,
            None => Err(nothing_done("there is nothing to run it".to_owned())),
        }
    }
}

fn offer(spec: &ToolSpec) -> ToolOffer {
    let asked = spec.asked.iter().map(|question| format!("{question:?}")).collect::<Vec<_>>().join(", ");
    let mut parameters = spec.parameters.clone();
    if let Some(schema) = parameters.as_object_mut() {
        schema.remove("required");
    }
    ToolOffer {
        name: spec.name.clone(),
        description: format!("{}. {} Asked for as: {asked}", spec.title, spec.description),
        parameters,
    }
}

/// A tool as an entry: its one approved sentence says what it does, and is what a model picks it by.
pub fn entry(spec: &ToolSpec) -> Entry {
    Entry {
        id: format!("{PREFIX}{}", spec.name),
        title: spec.title.clone(),
        keywords: spec.keywords.clone(),
        answers: vec![Answer { approved: spec.description.clone(), also_asked: spec.asked.clone() }],
        related: Vec::new(),
        body: spec.description.clone(),
        language: None,
        audience: None,
        chore: true,
    }
}

fn read(folder: &Path) -> Result<Vec<ToolSpec>, ToolsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ToolsError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = file.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(ToolSpec::parse(&name, &text)?)
        })
        .collect()
}
