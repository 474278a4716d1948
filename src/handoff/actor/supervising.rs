//! Supervisors at the desk: hearing a call, taking it over, ending it, changing who waits where. Every wish is checked here,
//! whatever the client shows, and what was done is written down.

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::info;

use super::{AgentOut, Desk, DeskAction, DeskInput};
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::handoff::handle::{LiveAgent, LiveCall, LiveDesk, Stage};
use crate::handoff::routing::Facts;
use crate::handoff::wire::{CallEnd, FromAgent, Line, Supervision, ToAgent};
use crate::handoff::{AgentId, HandoffId};
use crate::store::scribe::Record;
use crate::store::{AuditRecord, UserRole};
use crate::telemetry::Pii;

/// Priorities a supervisor may set.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;

/// A call going on, with the assistant or with a person.
pub(super) struct KnownCall {
    provider: &'static str,
    from: Option<Pii<String>>,
    commands: mpsc::Sender<CallCommand>,
    began: Instant,
    supervisor: Option<(AgentId, Supervision)>,
    /// Wants to take it over, as soon as it asks for a person.
    pub(super) taker: Option<AgentId>,
}

impl Desk {
    pub(super) fn call_opened(
        &mut self,
        call: CallId,
        provider: &'static str,
        from: Option<Pii<String>>,
        commands: mpsc::Sender<CallCommand>,
    ) {
        let began = Instant::now();
        // The caller may need the model.
        self.summaries.abort_all();
        self.calls.insert(call, KnownCall { provider, from, commands, began, supervisor: None, taker: None });
    }

    pub(super) fn call_over(&mut self, call: CallId) {
        if let Some((by, _)) = self.calls.remove(&call).and_then(|known| known.supervisor) {
            self.send_out(&by, AgentOut::LegClosed);
            self.tell(&by, ToAgent::SupervisingEnded { call_id: call });
        }
    }

    /// One of the messages only supervisors may send.
    pub(super) fn supervisor_says(&mut self, by: AgentId, message: FromAgent, actions: &mut Vec<DeskAction>) {
        if self.agents.get(&by).is_none_or(|client| client.role < UserRole::Supervisor) {
            return self.refuse(&by, "forbidden", "Only supervisors may do this.");
        }
        match message {
            FromAgent::Supervise { call_id, mode } => self.supervise(&by, call_id, mode),
            FromAgent::StopSupervising => self.stop_supervising(&by),
            FromAgent::TakeOver { call_id } => self.take_over(by, call_id, actions),
            FromAgent::ForceEnd { call_id } => self.force_end(&by, call_id, actions),
            FromAgent::Prioritise { call_id, priority } => {
                let Some(handoff) = self.waiting_handoff(&by, call_id) else { return };
                let priority = priority.clamp(*PRIORITIES.start(), *PRIORITIES.end());
                self.audit(&by, "prioritise", call_id, Some(priority.to_string()));
                self.step(DeskInput::Reprioritised(handoff, priority), actions);
            }
            FromAgent::Move { call_id, queue } => {
                if !self.machine.plan().queues.iter().any(|known| known.name == queue) {
                    return self.refuse(&by, "no_queue", "There is no queue of this name.");
                }
                let Some(handoff) = self.waiting_handoff(&by, call_id) else { return };
                self.audit(&by, "move", call_id, Some(queue.clone()));
                self.step(DeskInput::Moved(handoff, queue), actions);
            }
            _ => {}
        }
    }

    fn audit(&self, by: &AgentId, action: &'static str, call: CallId, detail: Option<String>) {
        info!(user.id = %by, call.id = %call, action, "A supervisor acted");
        self.scribe.put(Record::Audit(AuditRecord {
            id: uuid::Uuid::now_v7(),
            at: Timestamp::now(),
            user_id: by.clone(),
            action: action.to_owned(),
            call_id: Some(call),
            detail,
        }));
    }

    fn handoff_of(&self, call: CallId) -> Option<HandoffId> {
        self.tasks.iter().find(|(_, live)| live.task.call == call).map(|(handoff, _)| *handoff)
    }

    fn waiting_handoff(&mut self, by: &AgentId, call: CallId) -> Option<HandoffId> {
        let waiting = self.handoff_of(call).filter(|handoff| self.machine.place(*handoff).is_some());
        if waiting.is_none() {
            self.refuse(by, "not_waiting", "This caller does not wait for a person.");
        }
        waiting
    }

    /// The agent who speaks with the caller of this call.
    fn agent_of(&self, call: CallId) -> Option<AgentId> {
        let live = self.handoff_of(call).and_then(|handoff| self.tasks.get(&handoff))?;
        live.agent.clone().filter(|_| live.bridged)
    }

    fn supervise(&mut self, by: &AgentId, call: CallId, mode: Supervision) {
        let Some(known) = self.calls.get(&call) else {
            return self.refuse(by, "no_such_call", "This call is over, or there never was one.");
        };
        if self.machine.contact_of(by).is_some() {
            return self.refuse(by, "busy", "You are on a call.");
        }
        let mine = known.supervisor.as_ref().is_some_and(|(other, _)| other == by);
        if known.supervisor.is_some() && !mine {
            return self.refuse(by, "supervised", "Somebody else hears this call already.");
        }
        let agent = self.agent_of(call);
        if mode != Supervision::Listen && agent.is_none() {
            return self.refuse(by, "no_agent", "The caller speaks with no person. Take the call over instead.");
        }
        let leg = if mine {
            None
        } else {
            self.stop_supervising(by);
            let Some(leg) = self.open_leg(by) else { return };
            Some(leg)
        };
        let Some(known) = self.calls.get_mut(&call) else { return };
        if known.commands.try_send(CallCommand::Supervise { mode, leg }).is_err() {
            self.send_out(by, AgentOut::LegClosed);
            return self.refuse(by, "no_such_call", "This call does not answer.");
        }
        known.supervisor = Some((by.clone(), mode));
        self.audit(by, mode.as_str(), call, None);
        self.tell_supervised(by, call, agent, Some(mode));
    }

    fn tell_supervised(&mut self, by: &AgentId, call_id: CallId, agent: Option<AgentId>, mode: Option<Supervision>) {
        let name = self.agents.get(by).map_or_else(String::new, |client| client.name.clone());
        if let Some(agent) = agent.filter(|_| self.tells_supervised) {
            self.tell(&agent, ToAgent::Supervised { call_id, by: name, mode });
        }
    }

    /// The call has let the supervisor in.
    pub(super) fn supervising(&mut self, call: CallId, transcript: Vec<Line>) {
        if let Some((by, mode)) = self.calls.get(&call).and_then(|known| known.supervisor.clone()) {
            self.tell(&by, ToAgent::Supervising { call_id: call, mode, transcript });
        }
    }

    pub(super) fn supervised_line(&mut self, call: CallId, line: Line) {
        if let Some((by, _)) = self.calls.get(&call).and_then(|known| known.supervisor.clone()) {
            self.tell(&by, ToAgent::Transcript { call_id: call, line });
        }
    }

    /// Whatever call they hear, they hear it no more.
    pub(super) fn stop_supervising(&mut self, by: &AgentId) {
        let heard = |known: &KnownCall| known.supervisor.as_ref().is_some_and(|(other, _)| other == by);
        let Some(call) = self.calls.iter().find(|(_, known)| heard(known)).map(|(call, _)| *call) else { return };
        if let Some(known) = self.calls.get_mut(&call) {
            known.supervisor = None;
            // Its actor ends the leg by itself when it is full or gone.
            let _ = known.commands.try_send(CallCommand::StopSupervising);
        }
        self.audit(by, "stop", call, None);
        self.send_out(by, AgentOut::LegClosed);
        self.tell(by, ToAgent::SupervisingEnded { call_id: call });
        let agent = self.agent_of(call);
        self.tell_supervised(by, call, agent, None);
    }

    fn take_over(&mut self, by: AgentId, call: CallId, actions: &mut Vec<DeskAction>) {
        if !self.machine.can_take_over(&by) {
            return self.refuse(&by, "busy", "Finish your own call first.");
        }
        let handoff = self.handoff_of(call);
        if handoff.and_then(|handoff| self.tasks.get(&handoff)).is_some_and(|live| live.suspended) {
            return self.refuse(&by, "away", "The caller leaves a message, or was given to a telephone.");
        }
        let Some(known) = self.calls.get_mut(&call) else {
            return self.refuse(&by, "no_such_call", "This call is over, or there never was one.");
        };
        if handoff.is_none() {
            // The assistant has the caller: the call asks for a person, and this is the one.
            known.taker = Some(by.clone());
            let wish = CallCommand::Handoff { news: HandoffNews::TakeOver, leg: None };
            if known.commands.try_send(wish).is_err() {
                known.taker = None;
                return self.refuse(&by, "no_such_call", "This call does not answer.");
            }
        }
        self.audit(&by, "take_over", call, None);
        if let Some(handoff) = handoff {
            self.step(DeskInput::TakenOver { handoff, facts: Facts::default(), agent: by }, actions);
        }
    }

    fn force_end(&mut self, by: &AgentId, call: CallId, actions: &mut Vec<DeskAction>) {
        let Some(known) = self.calls.get(&call) else {
            return self.refuse(by, "no_such_call", "This call is over, or there never was one.");
        };
        let wish = CallCommand::Handoff { news: HandoffNews::ForceEnded, leg: None };
        if known.commands.try_send(wish).is_err() {
            return self.refuse(by, "no_such_call", "This call does not answer.");
        }
        self.audit(by, "force_end", call, None);
        if let Some(handoff) = self.handoff_of(call) {
            self.step(DeskInput::Ended(handoff, CallEnd::SupervisorEnded), actions);
        }
    }

    /// Everything that goes on now.
    pub(super) fn live(&self) -> LiveDesk {
        let now = Instant::now();
        let ms = |since: Instant| now.saturating_duration_since(since).as_millis() as u64;
        let mut calls: Vec<LiveCall> = self
            .calls
            .iter()
            .map(|(call_id, known)| {
                let handoff = self.handoff_of(*call_id);
                let live = handoff.and_then(|handoff| self.tasks.get(&handoff));
                let place = handoff.and_then(|handoff| self.machine.place(handoff));
                let agent = live.and_then(|live| live.agent.clone());
                let stage = match (live, &agent) {
                    (None, _) => Stage::Assistant,
                    (Some(live), Some(_)) if live.bridged => Stage::Agent,
                    (Some(_), Some(agent)) if self.machine.contact_of(agent) == handoff => Stage::Connecting,
                    (Some(_), Some(_)) => Stage::Offered,
                    (Some(_), None) => Stage::Waiting,
                };
                let why = handoff.and_then(|handoff| self.machine.why(now.into_std(), handoff));
                let (why, why_phrases) = why.map_or((None, Vec::new()), |why| (Some(why.text), why.phrases));
                LiveCall {
                    call_id: *call_id,
                    provider: known.provider.to_owned(),
                    from: known.from.clone(),
                    for_ms: ms(known.began),
                    stage,
                    reason: live.map(|live| live.task.reason),
                    waiting_ms: live.filter(|live| !live.bridged).map(|live| ms(live.requested)),
                    queue: place.as_ref().map(|place| place.queue.clone()),
                    position: place.as_ref().map(|place| place.position),
                    priority: place.map(|place| place.priority),
                    why,
                    why_phrases,
                    agent_id: agent,
                    supervised_by: known.supervisor.as_ref().map(|(by, _)| by.clone()),
                }
            })
            .collect();
        calls.sort_by_key(|call| call.call_id.0);
        let mut agents: Vec<LiveAgent> = self
            .agents
            .iter()
            .filter_map(|(id, client)| {
                let (state, span, next) = self.machine.agent_state(id, now.into_std())?;
                Some(LiveAgent {
                    agent_id: id.clone(),
                    name: client.name.clone(),
                    state,
                    code: self.machine.break_code(id).map(str::to_owned),
                    for_ms: span.as_millis() as u64,
                    next,
                })
            })
            .collect();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        let (waiting, longest) = self.machine.queue(now.into_std());
        let queues = self.machine.plan().queues.iter().map(|queue| queue.name.clone()).collect();
        LiveDesk { calls, agents, waiting, longest_ms: longest.as_millis() as u64, queues }
    }
}
