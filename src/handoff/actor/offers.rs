//! Offers at the desk: made, over, taken back from those who cannot see them, and calls that no sound came of.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::{AgentLeg, AgentOut, Desk, DeskAction, DeskInput};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::call::hold;
use crate::handoff::wire::{CallEnd, Offer, OfferResult, ToAgent};
use crate::handoff::{AgentId, HandoffId, OfferId};
use crate::store::OfferRecord;
use crate::store::scribe::Record;
use crate::telemetry::metric;

/// On record with offers that were answered by themselves.
const BY_ITSELF: &str = "auto_answer";
/// Longer than between two pings: who has said nothing for so long since an offer was made has not seen it.
const DEAD_LINE: Duration = Duration::from_secs(15);

fn in_ms(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
}

impl Desk {
    pub(super) fn offer(
        &mut self,
        offer: OfferId,
        handoff: HandoffId,
        agent: AgentId,
        until: Instant,
        answers: Option<Instant>,
    ) {
        let about = self.beside.get(&handoff).copied();
        let usual = self.machine.usual_length(handoff).filter(|_| about.is_none());
        let Some(live) = self.tasks.get_mut(&about.unwrap_or(handoff)) else { return };
        let waiting = live.requested.elapsed();
        if about.is_none() {
            live.agent = Some(agent.clone());
            metrics::histogram!(metric::OFFER_SECONDS).record(waiting.as_secs_f64());
        }
        let message = Offer {
            offer_id: offer,
            handoff_id: handoff,
            call_id: live.task.call,
            reason: live.task.reason,
            summary: live.task.summary.clone(),
            brief: live.task.brief.clone(),
            transcript: live.task.lines.clone(),
            waiting_ms: waiting.as_millis() as u64,
            expires_in_ms: in_ms(until),
            answers_in_ms: answers.map(in_ms),
            provider: live.task.provider.to_owned(),
            language: Some(live.task.language.map_or_else(|| self.language.clone(), String::from)),
            expected_ms: usual.map(|usual| u64::try_from(usual.as_millis()).unwrap_or(u64::MAX)),
            consulted_by: None,
        };
        let record = OfferRecord {
            id: offer,
            handoff_id: handoff,
            call_id: live.task.call,
            agent_id: agent.clone(),
            offered_at: Timestamp::now(),
            ended_at: None,
            result: None,
            reason: None,
        };
        self.scribe.put(Record::Offer(record.clone()));
        self.offers.insert(offer, record);
        let message = if about.is_some() { self.consult_offer(handoff, message) } else { message };
        self.made.insert(offer, Instant::now());
        self.answers.extend(answers.map(|at| (offer, at)));
        self.tell(&agent, ToAgent::Offer(Box::new(message)));
    }

    pub(super) fn offer_ended(&mut self, offer: OfferId, handoff: HandoffId, agent: AgentId, result: OfferResult) {
        metrics::counter!(metric::OFFERS, "result" => result.as_str()).increment(1);
        self.made.remove(&offer);
        self.answers.remove(&offer);
        if let Some(mut record) = self.offers.remove(&offer) {
            record.ended_at = Some(Timestamp::now());
            record.result = Some(result);
            self.scribe.put(Record::Offer(record));
        }
        if let Some(live) = self.tasks.get_mut(&handoff)
            && result != OfferResult::Accepted
        {
            live.agent = None;
        }
        if result != OfferResult::Accepted {
            self.beeps.remove(&agent);
        }
        self.tell(&agent, ToAgent::OfferEnded { offer_id: offer, result });
    }

    /// An offer is about to be answered by itself, and its client has said nothing since it was made: nobody knows whether
    /// anybody is there to speak. It rings on.
    pub(super) fn unheard_are_not_answered_for(&mut self, actions: &mut Vec<DeskAction>) {
        let now = Instant::now();
        let due: Vec<OfferId> = self.answers.iter().filter(|(_, at)| **at <= now).map(|(offer, _)| *offer).collect();
        for offer in due {
            self.answers.remove(&offer);
            let (Some(record), Some(made)) = (self.offers.get(&offer), self.made.get(&offer)) else { continue };
            let agent = record.agent_id.clone();
            if self.agents.get(&agent).is_none_or(|client| client.heard <= *made) {
                warn!(agent.id = %agent, "An offer is not answered by itself: nothing was heard from the agent's client");
                self.step(DeskInput::NotByItself(agent, offer), actions);
            }
        }
    }

    /// Queue and agent agreed: the caller is theirs, as if they had pressed the button.
    pub(super) fn answered_by_itself(&mut self, agent: &AgentId, offer: OfferId) {
        if let Some(record) = self.offers.get_mut(&offer) {
            record.reason = Some(BY_ITSELF.to_owned());
        }
        self.beeps.insert(agent.clone());
    }

    /// Whose offer was answered by itself hears that somebody comes, before anybody does: the assistant announces them first.
    pub(super) fn beep_first(&mut self, agent: &AgentId, leg: Option<&AgentLeg>) {
        let Some(leg) = leg.filter(|_| self.beeps.remove(agent)) else { return };
        let samples = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
        for pcm in hold::beep().chunks(samples) {
            let mut pcm = pcm.to_vec();
            pcm.resize(samples, 0);
            let frame = AudioFrame::new(Millis::ZERO, SampleRate::WIDEBAND, pcm);
            if leg.to_agent.try_send(frame).is_err() {
                break; // The socket is gone already.
            }
        }
    }

    /// An offer runs out and its client has said nothing at all since it was made, though it should have pinged: the line
    /// was dead. That is no miss of the agent's, who never saw the offer.
    pub(super) fn lost_unnoticed(&mut self, actions: &mut Vec<DeskAction>) {
        let now = Instant::now();
        let dead: Vec<(AgentId, u64)> = self
            .made
            .iter()
            .filter(|(_, made)| now.saturating_duration_since(**made) >= DEAD_LINE)
            .filter_map(|(offer, made)| {
                let agent = &self.offers.get(offer)?.agent_id;
                let client = self.agents.get(agent).filter(|client| client.heard < *made)?;
                Some((agent.clone(), client.session))
            })
            .collect();
        for (agent, session) in dead {
            warn!(agent.id = %agent, "An agent's line is dead; the offer is taken back");
            // Dropping the sender ends the socket's task.
            self.agents.remove(&agent);
            self.stop_supervising(&agent);
            self.step(DeskInput::Disconnected { agent, session }, actions);
        }
    }

    /// The agent's client shows a call that is somebody else's from now on.
    pub(super) fn connect_failed(&mut self, handoff: HandoffId, agent: &AgentId) {
        self.send_out(agent, AgentOut::LegClosed);
        self.contact_over(handoff, CallEnd::NoSound);
        if let Some(call_id) = self.tasks.get(self.beside.get(&handoff).unwrap_or(&handoff)).map(|live| live.task.call)
        {
            let reason = CallEnd::NoSound;
            let transcript = Vec::new();
            self.tell(agent, ToAgent::CallEnded { call_id, reason, wrap_up_ms: 0, transcript, draft: None });
        }
    }
}
