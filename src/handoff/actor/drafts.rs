//! What is filled in for an agent at wrap-up: rules make it at once; the language model may make a better one, while no caller
//! needs the model.

use std::sync::Arc;

use futures::future::BoxFuture;
use tracing::debug;

use super::{Desk, LiveTask};
use crate::call::CallId;
use crate::dialog::minutes;
use crate::handoff::wire::{CallEnd, DraftedBy, Line, ToAgent, WrapUpDraft};
use crate::handoff::{AgentId, HandoffId};

/// Lines a summary is made from.
const LINES: usize = 60;
/// Summaries under way at once; those of further calls are the rules'.
const AT_ONCE: usize = 2;

/// Puts a conversation into a few sentences, if it can.
pub trait NoteWriter: Send + Sync {
    /// None: it can't, or what came out of it is not backed by what was said.
    fn summarise(self: Arc<Self>, lines: Vec<Line>) -> BoxFuture<'static, Option<String>>;
}

/// A summary that has been made, or not.
pub(super) struct Summary {
    agent: AgentId,
    handoff: HandoffId,
    text: Option<String>,
}

impl Desk {
    /// What rules make of a conversation that has just ended.
    pub(super) fn draft(&self, live: &LiveTask, end: CallEnd) -> Option<WrapUpDraft> {
        live.record.bridged_at?;
        Some(minutes::draft(&live.task.lines, &live.task.brief, end, &self.dispositions))
    }

    /// Has the model make a better one.
    pub(super) fn summarise(&mut self, agent: &AgentId, handoff: HandoffId) {
        let Some(finished) = self.finished.get(agent).filter(|finished| finished.draft.is_some()) else { return };
        let (Some(writer), true) = (self.writer.clone(), self.model_is_idle()) else { return };
        if self.summaries.len() >= AT_ONCE {
            return;
        }
        let from = finished.lines.len().saturating_sub(LINES);
        let (lines, agent) = (finished.lines[from..].to_vec(), agent.clone());
        self.summaries.spawn(async move { Summary { agent, handoff, text: writer.summarise(lines).await } });
    }

    /// No call is with the assistant.
    fn model_is_idle(&self) -> bool {
        let with_person = |call: &CallId| self.tasks.values().any(|live| live.task.call == *call && live.bridged);
        self.calls.keys().filter(|call| !self.finished.values().any(|one| one.call == **call)).all(with_person)
    }

    pub(super) fn summarised(&mut self, Summary { agent, handoff, text }: Summary) {
        let Some(finished) = self.finished.get_mut(&agent).filter(|finished| finished.handoff == handoff) else {
            return;
        };
        let (Some(summary), Some(draft)) = (text, finished.draft.as_mut()) else {
            debug!(agent.id = %agent, "The model has made no summary");
            return;
        };
        (draft.summary, draft.by) = (summary, DraftedBy::Model);
        let message = ToAgent::Draft { call_id: finished.call, draft: draft.clone() };
        self.tell(&agent, message);
    }
}
