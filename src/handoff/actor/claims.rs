//! One winner, also where several servers share the records: whoever accepts an offer claims the caller there first.
//!
//! Control path. Records that do not answer in time cost the caller nothing: this desk decides alone then, as it would
//! without them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::{Desk, DeskAction, DeskInput};
use crate::handoff::{AgentId, HandoffId, OfferId};
use crate::store::claims::{Claim, Claims};
use crate::telemetry::metric;

/// An agent has pressed the button and the caller waits: longer than this nobody is asked.
const PATIENCE: Duration = Duration::from_millis(100);

/// Callers who are being claimed.
pub(super) struct Claiming {
    claims: Option<Arc<dyn Claims>>,
    asked: JoinSet<Answer>,
    /// Who accepted the same caller meanwhile. They are heard when it is known whose the caller is.
    others: HashMap<HandoffId, Vec<(AgentId, OfferId)>>,
}

/// What came of a claim.
pub(super) struct Answer {
    handoff: HandoffId,
    agent: AgentId,
    offer: OfferId,
    /// None: nobody could be asked.
    claim: Option<Claim>,
}

impl Claiming {
    pub fn new(claims: Option<Arc<dyn Claims>>) -> Self {
        Self { claims, asked: JoinSet::new(), others: HashMap::new() }
    }

    /// The next answer; `None` while nothing is asked.
    pub async fn next(&mut self) -> Option<Answer> {
        // A claim neither panics nor is given up.
        self.asked.join_next().await?.ok()
    }
}

impl Desk {
    /// An agent takes an offer, or it answers itself.
    pub(super) fn accept(&mut self, agent: AgentId, offer: OfferId, actions: &mut Vec<DeskAction>) {
        let theirs = self.offers.get(&offer).filter(|record| record.agent_id == agent);
        let handoff = theirs.map(|record| record.handoff_id);
        // A consultation is nobody else's business, and what is unknown is refused by the machine.
        let live = handoff.and_then(|handoff| self.tasks.get(&handoff));
        let (Some(claims), Some(live)) = (self.claiming.claims.clone(), live) else {
            return self.step(DeskInput::Accepted(agent, offer), actions);
        };
        let (handoff, taken) = (live.record.id, live.taken);
        if let Some(others) = self.claiming.others.get_mut(&handoff) {
            others.push((agent, offer));
            return;
        }
        self.claiming.others.insert(handoff, Vec::new());
        // Whoever accepts in the last moment has accepted.
        self.step(DeskInput::Extended(agent.clone(), offer, PATIENCE * 2), actions);
        self.claiming.asked.spawn(async move {
            let claim = match tokio::time::timeout(PATIENCE, claims.claim(handoff.0, taken, offer.0)).await {
                Ok(Ok(claim)) => Some(claim),
                Ok(Err(error)) => {
                    warn!(%error, handoff.id = %handoff.0, "A caller can't be claimed; this server decides alone");
                    None
                }
                Err(_) => {
                    // In a rush of callers there may be many; the counter has them.
                    debug!(handoff.id = %handoff.0, "A claim takes too long; this server decides alone");
                    None
                }
            };
            Answer { handoff, agent, offer, claim }
        });
    }

    /// It is known whose the caller is.
    pub(super) fn claimed(&mut self, answer: Answer, actions: &mut Vec<DeskAction>) {
        let Answer { handoff, agent, offer, claim } = answer;
        let word = match claim {
            Some(Claim::Won(_)) => "won",
            Some(Claim::Lost(_)) => "lost",
            None => "alone",
        };
        metrics::counter!(metric::CLAIMS, "result" => word).increment(1);
        if let (Some(Claim::Won(taken) | Claim::Lost(taken)), Some(live)) = (claim, self.tasks.get_mut(&handoff)) {
            live.taken = taken;
        }
        let others = self.claiming.others.remove(&handoff).unwrap_or_default();
        if matches!(claim, Some(Claim::Lost(_))) {
            info!(handoff.id = %handoff.0, "Somebody at another server was faster");
            self.step(DeskInput::TakenElsewhere(handoff), actions);
        } else {
            self.step(DeskInput::Accepted(agent, offer), actions);
        }
        // What has ended by now is not asked about again: its offer is gone with these actions.
        self.perform(std::mem::take(actions));
        for (agent, offer) in others {
            self.accept(agent, offer, actions);
        }
    }
}
