//! Runs tools for the caller, and leaves a record of every run, whatever becomes of the call.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::Actor;
use crate::call::input::RunId;
use crate::call::speech::Finding;
use crate::store::{ToolOutcome, ToolRunRecord};
use crate::telephony::protocol::Speaker;
use crate::tools::spec::{Arguments, ToolFailed, ToolReply, ToolSpec};

/// After the call: for what changes something and was not done yet. A tool's own limits are shorter.
const AFTERWARDS: Duration = Duration::from_secs(90);

/// A tool that runs.
pub(super) struct Running {
    record: ToolRunRecord,
    cancel: CancellationToken,
}

impl Actor {
    pub(super) fn run_tool(&mut self, run: RunId, tool: &ToolSpec, arguments: Arguments) {
        let cancel = CancellationToken::new();
        let record = ToolRunRecord {
            id: Uuid::now_v7(),
            call_id: self.id,
            tool: tool.name.clone(),
            arguments: serde_json::Value::Object(arguments.clone()),
            changes: tool.changes,
            started_ms: self.at(Instant::now()).0,
            ended_ms: None,
            outcome: ToolOutcome::Started,
            status: None,
            detail: None,
        };
        info!(call.id = %self.id, tool = tool.name, "A tool runs");
        // Recorded before it is sent: a crash leaves "started", which is told as unknown.
        self.journal.tool(&record);
        self.tools.insert(run, Running { record, cancel: cancel.clone() });
        let (toolbox, findings, name) = (self.services.mind.tools.clone(), self.speech.findings(), tool.name.clone());
        self.speech.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                result = toolbox.run(&name, &arguments) => drop(findings.send(Finding::Tool(run, result)).await),
            }
        });
    }

    /// Nobody waits for it any more. What changes something goes on to its end all the same.
    pub(super) fn cancel_tool(&mut self, run: RunId) {
        if self.tools.get(&run).is_none_or(|running| running.record.changes) {
            return;
        }
        if let Some(Running { record, cancel }) = self.tools.remove(&run) {
            cancel.cancel();
            let record = self.ended(record, ToolOutcome::Cancelled);
            self.journal.tool(&record);
        }
    }

    fn ended(&self, mut record: ToolRunRecord, outcome: ToolOutcome) -> ToolRunRecord {
        record.ended_ms = Some(self.at(Instant::now()).0);
        record.outcome = outcome;
        record
    }

    /// A run is over: it is recorded, and whoever has the caller by now is told.
    pub(super) async fn tool_ended(&mut self, run: RunId, result: &Result<ToolReply, ToolFailed>) {
        let Some(Running { record, .. }) = self.tools.remove(&run) else { return };
        let outcome = match result {
            Ok(reply) if reply.status < 400 => ToolOutcome::Done,
            Ok(_) => ToolOutcome::Failed,
            Err(failed) if failed.perhaps_done => ToolOutcome::Unknown,
            Err(_) => ToolOutcome::Failed,
        };
        let mut record = self.ended(record, outcome);
        match result {
            Ok(reply) => record.status = Some(reply.status),
            Err(failed) => {
                warn!(call.id = %self.id, tool = record.tool, reason = failed.reason, "A tool failed");
                record.detail = Some(failed.reason.clone());
            }
        }
        self.journal.tool(&record);
        if record.changes && self.handoff.is_some() {
            let text = format!("[{}: {}]", record.tool, outcome.told());
            let line = self.journal.note(Speaker::Assistant, &text, self.at(Instant::now()));
            self.tell_desk(line).await;
        }
    }

    /// After the call: waits for what changes something, so that its end is on record.
    pub(super) async fn finish_tools(&mut self, findings: &mut mpsc::Receiver<Finding>) {
        let by = Instant::now() + AFTERWARDS;
        while self.tools.values().any(|running| running.record.changes) {
            match timeout_at(by, findings.recv()).await {
                Ok(Some(Finding::Tool(run, result))) => self.tool_ended(run, &result).await,
                Ok(Some(Finding::AgentSpoke(side, audio))) => self.agent_talked(side, audio),
                Ok(Some(Finding::TalkHeard(place, result))) => self.talk_heard(&place, result).await,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        for Running { record, .. } in std::mem::take(&mut self.tools).into_values() {
            let outcome = if record.changes { ToolOutcome::Unknown } else { ToolOutcome::Cancelled };
            let record = self.ended(record, outcome);
            self.journal.tool(&record);
        }
    }
}
