//! Where no sentence answers: a model that can ask for tools is offered those that the search has found.
//!
//! What it asks for is only begun here. What it lacks is collected, what it changes is agreed to, as of any other tool
//! ([`crate::dialog::chore`]).

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Asked, Mind, Out, PIECES, Thought};
use crate::call::input::Evidence;
use crate::dialog::reply::GroundingGuard;
use crate::engine::llm::{ChatRequest, LanguageModel};
use crate::tools::spec::{Arguments, ToolSpec};

impl Mind {
    /// None of the sentences is the answer: perhaps something is to be done. With what was picked, for the record.
    pub(super) async fn offer_tools(
        &self,
        llm: &dyn LanguageModel,
        asked: &Asked<'_>,
        mut evidence: Evidence,
        out: &Out,
    ) {
        let called = if self.settings.check_grounding && self.settings.language.is_none() {
            self.called(llm, asked).await
        } else {
            None
        };
        evidence.called = called.as_ref().map(|(tool, _)| tool.name.clone());
        out.send(Thought::Planned(evidence)).await;
        match called {
            Some((tool, arguments)) => out.send(Thought::Chore { tool, arguments }).await,
            None => out.send(Thought::Done { blocked: None }).await,
        }
    }

    /// The tool the model asks for, with those of its arguments that the caller has said. It is offered what the search has
    /// found too: a model alone takes a tool for many a question it does not answer.
    async fn called(&self, llm: &dyn LanguageModel, asked: &Asked<'_>) -> Option<(Arc<ToolSpec>, Arguments)> {
        let Asked { query, history, hits, .. } = *asked;
        let tools = self.tools.offers(hits.iter().map(|hit| hit.entry_id.as_str()));
        if tools.is_empty() || !llm.takes_tools() {
            return None;
        }
        // What can't be asked here is no worse than before: the caller is asked back, and the next time a person comes.
        let failed = |error: &dyn std::fmt::Display| warn!(%error, "The language model was not asked about tools");
        let messages = self.prompts.tools(history, query).inspect_err(|error| failed(error)).ok()?;
        let request = ChatRequest { tools, ..self.request(messages) };
        let (pieces, mut receiver) = mpsc::channel::<String>(PIECES);
        let drain = async { while receiver.recv().await.is_some() {} };
        let (result, ()) = tokio::join!(llm.generate(request, pieces), drain);
        let summary = result.inspect_err(|error| failed(error)).ok()?;
        let offered = |name: &str| {
            hits.iter().filter_map(|hit| self.tools.of_entry(&hit.entry_id)).find(|tool| tool.name == name)
        };
        let (tool, call) = summary.tool_calls.into_iter().find_map(|call| Some((offered(&call.name)?, call)))?;
        info!(llm.total_ms = summary.total.as_millis() as u64, tool = tool.name, "The model asked for a tool");
        let said = GroundingGuard::new(history.caller_words().chain([query]));
        let arguments = call.arguments.into_iter().filter(|(_, value)| was_said(&said, value)).collect();
        Some((tool.clone(), arguments))
    }
}

/// Whether the caller has said a model's argument: what they have not, they are asked for.
fn was_said(said: &GroundingGuard, value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => said.check(text).is_ok(),
        serde_json::Value::Number(number) => said.check(&number.to_string()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_caller_said_counts_as_an_argument() {
        let said = GroundingGuard::new(["it was order four four zero zero one seven", "or 120034, for Ms. Robin Hale"]);
        for (value, wanted) in [
            (json!("120034"), true),
            (json!(120_034), true),
            (json!("999999"), false),
            (json!(999_999), false),
            (json!(null), false),
            (json!(["120034"]), false),
        ] {
            assert_eq!(was_said(&said, &value), wanted, "{value}");
        }
    }
}
