//! Agents and each other at the desk: consulting a colleague, giving callers on, parking them. Every wish is checked here,
//! whatever the client shows; the rules are in [`crate::handoff::consults`].

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

use super::{AgentOut, Desk, DeskAction, DeskInput};
use crate::call::CallId;
use crate::call::handle::CallCommand;
use crate::call::input::HandoffNews;
use crate::handoff::consults::{Consult, ConsultEnd, News, NotNow};
use crate::handoff::routing::Target;
use crate::handoff::wire::{
    AgentState, CallEnd, Colleague, ConsultMode, ConsultState, FromAgent, Offer, ParkedCaller, ToAgent,
};
use crate::handoff::{AgentId, HandoffId};
use crate::store::scribe::Record;
use crate::store::{Part, PartyRecord};
use crate::telephony::providers::{self, TransferBy};

/// A caller whom an agent set aside.
pub(super) struct Parked {
    by: String,
    since: Instant,
    until: Instant,
}

impl Desk {
    /// One of the messages about other people. True: it was one.
    pub(super) fn colleague_says(
        &mut self,
        agent: &AgentId,
        message: &FromAgent,
        actions: &mut Vec<DeskAction>,
    ) -> bool {
        match message {
            FromAgent::Colleagues => self.list_colleagues(agent),
            FromAgent::Consult { agent_id, queue } => self.consult(agent, agent_id.clone(), queue.clone(), actions),
            FromAgent::ConsultMode { mode } => self.set_consult_mode(agent, *mode),
            FromAgent::Complete => self.complete(agent, actions),
            FromAgent::CancelConsult => match self.machine.consults().asked_by(agent).map(|one| one.of) {
                Some(of) => self.end_consult(of, ConsultEnd::Canceled, actions),
                None => self.not_now(agent, NotNow::NotConsulting),
            },
            FromAgent::Park => self.park(agent, actions),
            FromAgent::PickUp { call_id } => self.pick_up(agent, *call_id, actions),
            FromAgent::End | FromAgent::Hold { .. } | FromAgent::Dtmf { .. } | FromAgent::HandBack => {
                return self.in_consult(agent, message, actions);
            }
            _ => return false,
        }
        true
    }

    /// What means something else while a colleague is consulted. True: it was done, or refused.
    fn in_consult(&mut self, agent: &AgentId, message: &FromAgent, actions: &mut Vec<DeskAction>) -> bool {
        if let Some(consult) = self.machine.consults().joined_by(agent).cloned() {
            match message {
                FromAgent::End => self.end_consult(consult.of, ConsultEnd::Left, actions),
                _ => self.refuse(agent, "not_yours", "The caller is your colleague's. You can leave."),
            }
            return true;
        }
        let Some(consult) = self.machine.consults().asked_by(agent).cloned() else { return false };
        match message {
            // Whoever leaves a conversation of three leaves the others together.
            FromAgent::End if consult.mode == ConsultMode::Together => self.complete(agent, actions),
            FromAgent::Dtmf { .. } if consult.mode != ConsultMode::Private => return false,
            _ => self.not_now(agent, NotNow::Consulting),
        }
        true
    }

    pub(super) fn not_now(&mut self, agent: &AgentId, why: NotNow) {
        let (code, message) = match why {
            NotNow::NoCall => ("no_call", "You are on no call."),
            NotNow::Consulting => ("consulting", "Finish the consultation first: complete it, or give it up."),
            NotNow::NotConsulting => ("not_consulting", "No colleague is with you."),
            NotNow::Unavailable => ("unavailable", "This colleague can't be asked now."),
        };
        self.refuse(agent, code, message);
    }

    fn list_colleagues(&mut self, agent: &AgentId) {
        let now = Instant::now().into_std();
        let mut colleagues: Vec<Colleague> = self
            .agents
            .iter()
            .filter(|(id, _)| *id != agent)
            .filter_map(|(id, client)| {
                let (state, ..) = self.machine.agent_state(id, now)?;
                let (name, free) = (client.name.clone(), self.machine.is_free(id));
                (state != AgentState::Offline).then(|| Colleague { agent_id: id.clone(), name, state, free })
            })
            .collect();
        colleagues.sort_by(|a, b| a.name.cmp(&b.name));
        self.tell(agent, ToAgent::Colleagues { colleagues });
    }

    // --- consulting -----------------------------------------------------------------------------------------------

    fn consult(
        &mut self,
        agent: &AgentId,
        colleague: Option<AgentId>,
        queue: Option<String>,
        actions: &mut Vec<DeskAction>,
    ) {
        let known = |queue: &String| self.machine.plan().queues.iter().any(|one| one.name == *queue);
        let target = match (colleague, queue) {
            (Some(colleague), None) => Target::Agent(colleague),
            (None, Some(queue)) if known(&queue) => Target::Queue(queue),
            (None, Some(_)) => return self.refuse(agent, "no_queue", "There is no queue of this name."),
            _ => return self.refuse(agent, "no_target", "Name a colleague or a queue."),
        };
        let of = self.machine.contact_of(agent).filter(|of| self.tasks.get(of).is_some_and(|live| live.bridged));
        let Some(of) = of else { return self.not_now(agent, NotNow::NoCall) };
        let id = HandoffId::generate();
        self.beside.insert(id, of);
        if let Err(why) = self.machine.ask(Instant::now().into_std(), agent, target, id, actions) {
            self.beside.remove(&id);
            return self.not_now(agent, why);
        }
        info!(agent.id = %agent, "An agent asks a colleague");
        self.tell_call(of, HandoffNews::Consult(ConsultMode::Private), None);
        if let Some(consult) = self.machine.consults().about(of).cloned() {
            self.tell_consult(&consult, ConsultState::Asking);
        }
    }

    fn set_consult_mode(&mut self, agent: &AgentId, mode: ConsultMode) {
        match self.machine.set_mode(agent, mode) {
            Ok(consult) => {
                self.tell_call(consult.of, HandoffNews::Consult(mode), None);
                if let (ConsultMode::Together, Some(with)) = (mode, &consult.with) {
                    self.party_together(with, consult.id);
                }
                let state = if consult.with.is_some() { ConsultState::Here } else { ConsultState::Asking };
                self.tell_consult(&consult, state);
            }
            Err(why) => self.not_now(agent, why),
        }
    }

    fn complete(&mut self, agent: &AgentId, actions: &mut Vec<DeskAction>) {
        if let Err(why) = self.machine.complete(Instant::now().into_std(), agent, actions) {
            self.not_now(agent, why);
        }
    }

    fn end_consult(&mut self, of: HandoffId, end: ConsultEnd, actions: &mut Vec<DeskAction>) {
        self.machine.end_consult(Instant::now().into_std(), of, end, actions);
    }

    /// Tells both agents how far a consultation is.
    fn tell_consult(&mut self, consult: &Consult, state: ConsultState) {
        let Some(call_id) = self.tasks.get(&consult.of).map(|live| live.task.call) else { return };
        let name = |agent: &AgentId| self.agents.get(agent).map(|client| client.name.clone());
        let with = consult.with.as_ref().and_then(name);
        let message = ToAgent::Consult { call_id, state, mode: consult.mode, with };
        for agent in [Some(&consult.by), consult.with.as_ref()].into_iter().flatten() {
            self.tell(agent, message.clone());
        }
    }

    /// What became of consultations, after the router's decisions were carried out.
    pub(super) fn consult_news(&mut self) {
        for news in self.machine.consult_news() {
            match news {
                News::Here(consult) => self.colleague_here(&consult),
                News::Over(consult, end) => {
                    self.tell_call(consult.of, HandoffNews::ConsultOver, None);
                    let state = match end {
                        ConsultEnd::NotTaken => ConsultState::NotTaken,
                        ConsultEnd::Canceled | ConsultEnd::Left => ConsultState::Over,
                    };
                    self.tell_consult(&Consult { with: None, ..consult.clone() }, state);
                    self.beside.remove(&consult.id);
                }
                News::Succeeded(consult) => drop(self.beside.remove(&consult.id)),
            }
        }
    }

    fn colleague_here(&mut self, consult: &Consult) {
        let Some(with) = &consult.with else { return };
        self.stop_supervising(with);
        let name = self.agents.get(with).map_or_else(String::new, |client| client.name.clone());
        let consulted_by = self.agents.get(&consult.by).map_or_else(String::new, |client| client.name.clone());
        let Some(leg) = self.open_leg(with) else { return };
        let Some(live) = self.tasks.get(&consult.of) else { return };
        let call = live.task.call;
        let joined = CallCommand::Colleague { agent: with.clone(), name, consult: consult.id, leg };
        // Closed or full: the call ends, or does not answer; its end is on the way.
        let _ = live.task.commands.try_send(joined);
        let message = ToAgent::Connected {
            call_id: call,
            handoff_id: consult.id,
            resumed: false,
            brief: live.task.brief.clone(),
            transcript: live.task.lines.clone(),
            consulted_by: Some(consulted_by),
        };
        self.tell(with, message);
        self.party_joined(with, consult.id, call, Part::Consulted);
        self.tell_consult(consult, ConsultState::Here);
    }

    /// What a colleague is offered: the caller of whoever asks.
    pub(super) fn consult_offer(&self, handoff: HandoffId, offer: Offer) -> Offer {
        let by = self.machine.consults().about(handoff).map(|consult| consult.by.clone());
        let name = by.and_then(|by| self.agents.get(&by)).map_or_else(String::new, |client| client.name.clone());
        Offer { consulted_by: Some(name), ..offer }
    }

    /// The colleague has the caller from now on.
    pub(super) fn succeeded(&mut self, handoff: HandoffId, consult: HandoffId, agent: AgentId) {
        let name = self.agents.get(&agent).map_or_else(String::new, |client| client.name.clone());
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.agent, live.bridged) = (Some(agent.clone()), false);
            let call = live.task.call;
            info!(call.id = %call, agent.id = %agent, "A colleague has the caller now");
            self.party_left(&agent, consult);
            self.party_joined(&agent, handoff, call, Part::Agent);
        }
        self.tell_call(handoff, HandoffNews::Succeeded { agent, name }, None);
    }

    /// The colleague is out of it, and has nothing to finish.
    pub(super) fn released(&mut self, consult: HandoffId, agent: &AgentId) {
        self.party_left(agent, consult);
        self.send_out(agent, AgentOut::LegClosed);
        let of = self.beside.get(&consult).copied();
        if let Some(call_id) = of.and_then(|of| self.tasks.get(&of)).map(|live| live.task.call) {
            let (reason, transcript) = (CallEnd::ConsultOver, Vec::new());
            self.tell(agent, ToAgent::CallEnded { call_id, reason, wrap_up_ms: 0, transcript, draft: None });
        }
    }

    // --- giving callers on ----------------------------------------------------------------------------------------

    /// The agent gives the caller to a queue, a colleague or a telephone outside.
    pub(super) fn transfer(
        &mut self,
        agent: &AgentId,
        target: (Option<String>, Option<AgentId>, Option<String>),
        actions: &mut Vec<DeskAction>,
    ) {
        let Some(handoff) = self.own_caller(agent) else { return };
        match target {
            (Some(queue), None, None) => {
                if !self.machine.plan().queues.iter().any(|known| known.name == queue) {
                    return self.refuse(agent, "no_queue", "There is no queue of this name.");
                }
                self.given_away(handoff);
                self.tell_call(handoff, HandoffNews::Transferred, None);
                self.step(DeskInput::Transferred(handoff, queue), actions);
            }
            (None, Some(to), None) => {
                if to == *agent || !self.machine.is_free(&to) {
                    return self.not_now(agent, NotNow::Unavailable);
                }
                self.given_away(handoff);
                self.tell_call(handoff, HandoffNews::Transferred, None);
                self.step(DeskInput::GivenTo(handoff, to), actions);
            }
            (None, None, Some(name)) => self.send_outside(agent, handoff, &name, actions),
            _ => self.refuse(agent, "no_target", "Name a queue, a colleague or a telephone outside, and one of them."),
        }
    }

    /// The caller this agent has and may give on.
    fn own_caller(&mut self, agent: &AgentId) -> Option<HandoffId> {
        let busy = self.machine.consults().asked_by(agent).or(self.machine.consults().joined_by(agent)).is_some();
        let own = self.machine.contact_of(agent).filter(|handoff| self.tasks.contains_key(handoff));
        match own {
            _ if busy => self.not_now(agent, NotNow::Consulting),
            None => self.not_now(agent, NotNow::NoCall),
            own => return own,
        }
        None
    }

    fn given_away(&mut self, handoff: HandoffId) {
        if let Some(live) = self.tasks.get_mut(&handoff) {
            (live.agent, live.bridged) = (None, false);
            live.requested = Instant::now();
        }
    }

    fn send_outside(&mut self, agent: &AgentId, handoff: HandoffId, name: &str, actions: &mut Vec<DeskAction>) {
        let Some(number) = self.outside.get(name).cloned() else {
            return self.refuse(agent, "no_telephone", "There is no telephone of this name.");
        };
        let Some(live) = self.tasks.get_mut(&handoff) else { return };
        let can = providers::find(live.task.provider).is_some_and(|row| row.transfer != TransferBy::Nothing);
        if !can {
            return self.refuse(agent, "cannot_transfer", "This caller's provider can't give calls to telephones.");
        }
        if live.task.commands.try_send(CallCommand::SendOutside(number)).is_err() {
            return self.refuse(agent, "no_such_call", "This call does not answer.");
        }
        live.suspended = true;
        self.given_away(handoff);
        self.step(DeskInput::SentAway(handoff), actions);
    }

    // --- parking --------------------------------------------------------------------------------------------------

    fn park(&mut self, agent: &AgentId, actions: &mut Vec<DeskAction>) {
        let Some(handoff) = self.own_caller(agent) else { return };
        let by = self.agents.get(agent).map_or_else(String::new, |client| client.name.clone());
        let now = Instant::now();
        self.given_away(handoff);
        self.tell_call(handoff, HandoffNews::Parked, None);
        self.parked.insert(handoff, Parked { by, since: now, until: now + self.park_limit });
        let until = self.machine.moment_after(now.into_std(), self.park_limit);
        self.step(DeskInput::Parked(handoff, until), actions);
        self.parked_changed = true;
    }

    fn pick_up(&mut self, agent: &AgentId, call: CallId, actions: &mut Vec<DeskAction>) {
        let handoff = self.tasks.iter().find(|(_, live)| live.task.call == call).map(|(handoff, _)| *handoff);
        let Some(handoff) = handoff.filter(|handoff| self.parked.contains_key(handoff)) else {
            return self.refuse(agent, "not_parked", "This caller is not parked any more.");
        };
        if !self.machine.may_pick_up(agent, handoff) {
            return self.refuse(agent, "busy", "You can't pick up this caller now.");
        }
        self.step(DeskInput::PickedUp { handoff, agent: agent.clone() }, actions);
    }

    /// Whoever was parked is not any more.
    pub(super) fn unparked(&mut self, handoff: HandoffId) {
        self.parked_changed |= self.parked.remove(&handoff).is_some();
    }

    /// Tells every agent whom they may pick up, when that has changed.
    pub(super) fn tell_parked(&mut self) {
        if !std::mem::take(&mut self.parked_changed) {
            return;
        }
        let agents: Vec<AgentId> = self.agents.keys().cloned().collect();
        for agent in agents {
            let callers = self.parked_for(&agent);
            self.tell(&agent, ToAgent::Parked { callers });
        }
    }

    pub(super) fn parked_for(&self, agent: &AgentId) -> Vec<ParkedCaller> {
        let ms = |span: Duration| span.as_millis() as u64;
        let now = Instant::now();
        let mut callers: Vec<ParkedCaller> = self
            .parked
            .iter()
            .filter(|(handoff, _)| self.machine.serves_queue_of(agent, **handoff))
            .filter_map(|(handoff, parked)| {
                let live = self.tasks.get(handoff)?;
                Some(ParkedCaller {
                    call_id: live.task.call,
                    by: parked.by.clone(),
                    parked_ms: ms(now.saturating_duration_since(parked.since)),
                    left_ms: ms(parked.until.saturating_duration_since(now)),
                    summary: live.task.summary.clone(),
                })
            })
            .collect();
        callers.sort_by_key(|caller| std::cmp::Reverse(caller.parked_ms));
        callers
    }

    // --- who was in it --------------------------------------------------------------------------------------------

    pub(super) fn party_joined(&mut self, agent: &AgentId, handoff: HandoffId, call: CallId, part: Part) {
        let record = PartyRecord {
            id: Uuid::now_v7(),
            call_id: call,
            agent_id: agent.clone(),
            part,
            joined_at: Timestamp::now(),
            together_at: None,
            left_at: None,
        };
        let key = (agent.clone(), handoff);
        if !self.parties.contains_key(&key) {
            self.scribe.put(Record::Party(record.clone()));
            self.parties.insert(key, record);
        }
    }

    fn party_together(&mut self, agent: &AgentId, consult: HandoffId) {
        if let Some(record) = self.parties.get_mut(&(agent.clone(), consult)) {
            record.together_at.get_or_insert_with(Timestamp::now);
            self.scribe.put(Record::Party(record.clone()));
        }
    }

    pub(super) fn party_left(&mut self, agent: &AgentId, handoff: HandoffId) {
        if let Some(mut record) = self.parties.remove(&(agent.clone(), handoff)) {
            record.left_at = Some(Timestamp::now());
            self.scribe.put(Record::Party(record));
        }
    }

    /// The handoff is over: nobody is in it any more.
    pub(super) fn parties_left(&mut self, handoff: HandoffId) {
        let agents: Vec<AgentId> =
            self.parties.keys().filter(|(_, of)| *of == handoff).map(|(agent, _)| agent.clone()).collect();
        for agent in agents {
            self.party_left(&agent, handoff);
        }
    }
}
