//! Callers at the desk: their wish for a person from its beginning to its end, what is said meanwhile, and what their calls are
//! told.

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info};

use super::{AgentLeg, Desk, DeskAction, DeskInput, Finished, HandoffTask, LiveTask};
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::handoff::handle::AgentOut;
use crate::handoff::routing::{Facts, Left, Moment};
use crate::handoff::wire::{CallEnd, Line, ToAgent};
use crate::handoff::{AgentId, HandoffId, HandoffReason};
use crate::store::scribe::Record;
use crate::store::{HandoffOutcome, HandoffRecord, Part};
use crate::telemetry::metric;
use crate::telephony::protocol::Digit;

/// Lines of a transcript kept for whoever is offered the call.
const LINES_KEPT: usize = 200;

impl Desk {
    pub(super) fn request(&mut self, task: HandoffTask, actions: &mut Vec<DeskAction>) {
        let id = task.id;
        let known = self.tasks.remove(&id);
        if known.is_none() && task.continues.is_none() {
            metrics::counter!(metric::HANDOFFS, "reason" => task.reason.as_str()).increment(1);
        }
        info!(handoff.id = %id.0, reason = task.reason.as_str(), "A caller wants a person");
        let taken = known.as_ref().map_or(0, |known| known.taken);
        let record = match known {
            Some(known) => known.record,
            None => HandoffRecord {
                id,
                call_id: task.call,
                reason: task.reason,
                summary: task.summary.clone(),
                requested_at: Timestamp::now(),
                bridged_at: None,
                ended_at: None,
                outcome: HandoffOutcome::Open,
                agent_id: None,
                queue: None,
                continues: task.continues,
            },
        };
        self.scribe.put(Record::Handoff(record.clone()));
        let known = [("reason", task.reason.as_str()), ("provider", task.provider)];
        let facts = Facts {
            known: known.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            language: Some(self.language_of(&task)),
            caller: task.caller.clone(),
            known_agent: task.known_agent.clone(),
            waiting_since: task
                .waiting_since
                .and_then(|since| u64::try_from(since.as_millisecond()).ok())
                .map(Moment::from_ms),
            first: task.first,
            ..Facts::default()
        };
        let call = task.call;
        self.tasks.insert(
            id,
            LiveTask {
                task,
                record,
                requested: Instant::now(),
                agent: None,
                bridged: false,
                suspended: false,
                told: String::new(),
                taken,
            },
        );
        let taker = self.calls.get_mut(&call).and_then(|known| known.taker.take());
        match taker.filter(|agent| self.machine.can_take_over(agent)) {
            Some(agent) => self.step(DeskInput::TakenOver { handoff: id, facts, agent }, actions),
            None => self.step(DeskInput::Requested(id, facts), actions),
        }
        self.note_resumed(id);
        self.note_queue(id);
    }

    /// What a caller speaks.
    pub(super) fn language_of(&self, task: &HandoffTask) -> String {
        task.language.map_or_else(|| self.language.clone(), String::from)
    }

    /// Whoever hung up while waiting and calls again soon has the old place, and is the same caller in the numbers.
    fn note_resumed(&mut self, handoff: HandoffId) {
        let (Some(before), Some(live)) = (self.machine.resumes(handoff), self.tasks.get_mut(&handoff)) else { return };
        if live.record.continues.is_none() {
            live.record.continues = Some(before);
            self.scribe.put(Record::Handoff(live.record.clone()));
        }
    }

    /// Who was called back has answered. What was said in the call before has been offered with it.
    pub(super) fn rewire(&mut self, handoff: HandoffId, call: CallId, commands: mpsc::Sender<CallCommand>) {
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.task.call, live.task.commands, live.record.call_id) = (call, commands, call);
            live.task.lines.clear();
            self.scribe.put(Record::Handoff(live.record.clone()));
        }
    }

    /// In which queue the caller waits, for the records.
    pub(super) fn note_queue(&mut self, handoff: HandoffId) {
        let Some(place) = self.machine.place(handoff) else { return };
        if let Some(live) = self.tasks.get_mut(&handoff)
            && live.record.queue.as_deref() != Some(place.queue.as_str())
        {
            live.record.queue = Some(place.queue);
            self.scribe.put(Record::Handoff(live.record.clone()));
        }
    }

    /// The caller hears what whoever runs the queue has to say, once it is another message than the one they heard.
    pub(super) fn tell_queue_message(&mut self, handoff: HandoffId) {
        let Some(message) = self.machine.queue_message(handoff) else { return };
        let Some(live) = self.tasks.get_mut(&handoff).filter(|live| live.told != message) else { return };
        live.told.clone_from(&message);
        self.tell_call(handoff, HandoffNews::QueueMessage(message), None);
    }

    pub(super) fn close(&mut self, handoff: HandoffId, outcome: HandoffOutcome, actions: &mut Vec<DeskAction>) {
        let how = if outcome == HandoffOutcome::CallerHungUp { Left::HungUp } else { Left::Helped };
        self.step(DeskInput::Left(handoff, how), actions);
        // The actions need the task once more: whom to tell that it ended.
        self.perform(std::mem::take(actions));
        self.unparked(handoff);
        self.parties_left(handoff);
        if let Some(mut live) = self.tasks.remove(&handoff) {
            live.record.outcome = if live.record.bridged_at.is_some() { HandoffOutcome::Bridged } else { outcome };
            live.record.ended_at = Some(Timestamp::now());
            metrics::counter!(metric::HANDOFF_OUTCOMES, "outcome" => format!("{:?}", live.record.outcome)).increment(1);
            self.scribe.put(Record::Handoff(live.record));
        }
    }

    pub(super) fn bridged(&mut self, handoff: HandoffId) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return };
        let resumed = live.bridged;
        live.bridged = true;
        if live.record.bridged_at.is_none() {
            let now = Timestamp::now();
            live.record.bridged_at = Some(now);
            let waited = now.duration_since(live.record.requested_at).as_secs_f64();
            metrics::histogram!(metric::WAIT_SECONDS).record(waited.max(0.0));
        }
        live.record.agent_id.clone_from(&live.agent);
        self.scribe.put(Record::Handoff(live.record.clone()));
        let message = ToAgent::Connected {
            call_id: live.task.call,
            handoff_id: handoff,
            resumed,
            brief: live.task.brief.clone(),
            transcript: live.task.lines.clone(),
            consulted_by: None,
        };
        let (call, reason) = (live.task.call, live.task.reason);
        if let Some(agent) = live.agent.clone() {
            self.contact_began(&agent, handoff, call);
            self.party_joined(&agent, handoff, call, Part::Agent);
            self.tell(&agent, message);
        }
        if reason == HandoffReason::Distress {
            // A rest follows; the router says when.
            let mut actions = Vec::new();
            self.step(DeskInput::Distressing(handoff), &mut actions);
            self.perform(actions);
        }
    }

    /// Wrap-up begins; or the agent's page was loaded anew and knows nothing of it.
    pub(super) fn wrap_up(&mut self, agent: AgentId, handoff: HandoffId, reason: CallEnd, until: Instant) {
        let wrap_up_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let again = self.finished.get(&agent).filter(|finished| finished.handoff == handoff);
        if let Some(Finished { call: call_id, lines, draft, .. }) = again {
            let (transcript, draft) = (lines.clone(), draft.clone());
            let message = ToAgent::CallEnded { call_id: *call_id, reason, wrap_up_ms, transcript, draft };
            self.tell(&agent, message);
            return;
        }
        self.party_left(&agent, handoff);
        self.send_out(&agent, AgentOut::LegClosed);
        self.contact_ended(handoff, reason);
        if let Some(live) = self.tasks.get(self.beside.get(&handoff).unwrap_or(&handoff)) {
            let (call_id, lines, draft) = (live.task.call, live.task.lines.clone(), self.draft(live, reason));
            let finished = Finished { handoff, call: call_id, lines, draft: draft.clone() };
            self.finished.insert(agent.clone(), finished);
            self.tell(&agent, ToAgent::CallEnded { call_id, reason, wrap_up_ms, transcript: Vec::new(), draft });
            self.summarise(&agent, handoff);
        }
    }

    pub(super) fn requeued(&mut self, handoff: HandoffId) {
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.agent, live.bridged) = (None, false);
            live.requested = Instant::now();
        }
        self.tell_call(handoff, HandoffNews::Requeued, None);
    }

    pub(super) fn line(&mut self, handoff: HandoffId, line: Line) {
        let Some(live) = self.tasks.get_mut(&handoff) else { return self.late_line(handoff, line) };
        keep_line(&mut live.task.lines, &line);
        let call_id = live.task.call;
        let colleague = self.machine.consults().about(handoff).and_then(|consult| consult.with.clone());
        for agent in [live.agent.clone(), colleague].into_iter().flatten() {
            self.tell(&agent, ToAgent::Transcript { call_id, line: line.clone() });
        }
    }

    /// Words that were known only after the end: for those who are writing their note.
    pub(super) fn late_line(&mut self, handoff: HandoffId, line: Line) {
        let writing: Vec<AgentId> =
            self.finished.iter().filter(|(_, one)| one.handoff == handoff).map(|(agent, _)| agent.clone()).collect();
        for agent in writing {
            let Some(finished) = self.finished.get_mut(&agent) else { continue };
            keep_line(&mut finished.lines, &line);
            let message = ToAgent::Transcript { call_id: finished.call, line: line.clone() };
            self.tell(&agent, message);
        }
    }

    pub(super) fn caller_key(&mut self, handoff: HandoffId, key: Digit) {
        let Some(live) = self.tasks.get(&handoff) else { return };
        let call_id = live.task.call;
        if let Some(agent) = live.agent.clone() {
            self.tell(&agent, ToAgent::Dtmf { call_id, digit: key.get().to_string() });
        }
    }

    pub(super) fn tell_call(&self, handoff: HandoffId, news: HandoffNews, leg: Option<AgentLeg>) {
        let Some(live) = self.tasks.get(&handoff) else { return };
        if let Err(error) = live.task.commands.try_send(CallCommand::Handoff { news, leg }) {
            // Closed: the call has just ended and its close is on the way. Full: its actor is stuck.
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                error!(call.id = %live.task.call, "A call does not take its handoff news");
            }
        }
    }
}

/// In its place, or instead of what it was before.
fn keep_line(lines: &mut Vec<Line>, line: &Line) {
    match lines.iter_mut().rev().find(|known| known.seq == line.seq) {
        Some(known) => known.clone_from(line),
        None => {
            let at = lines.partition_point(|known| known.seq < line.seq);
            lines.insert(at, line.clone());
        }
    }
    if lines.len() > LINES_KEPT {
        lines.remove(0);
    }
}
