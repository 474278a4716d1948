//! RUNTIME: callers whose calls a crash cut off, and who may be back in a moment: their provider brings them on a new stream,
//! by itself or because it asks our webhook what comes next. Each comes back once, or is given up once.

use dashmap::DashMap;
use jiff::Timestamp;

use super::CallId;
use crate::handoff::wire::Line;
use crate::handoff::{AgentId, HandoffId, HandoffReason};
use crate::store::{CallDetail, HandoffOutcome, HandoffRecord};
use crate::telemetry::Pii;
use crate::telephony::protocol::Speaker;
use crate::telephony::providers;

/// A call that was cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct CutOff {
    /// The call of before.
    pub call: CallId,
    /// The provider's row name.
    pub provider: &'static str,
    /// Where the caller may be called.
    pub number: Option<Pii<String>>,
    /// What was said.
    pub lines: Vec<Line>,
    /// The wish for a person that was open.
    pub wish: Option<OpenWish>,
}

/// A wish for a person that a crash has left open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenWish {
    /// Its record: what the caller wants now goes on with that.
    pub handoff: HandoffId,
    /// Why.
    pub reason: HandoffReason,
    /// Since when.
    pub since: Timestamp,
    /// Who had the caller.
    pub agent: Option<AgentId>,
}

/// Those who have not come back yet.
#[derive(Debug, Default)]
pub struct Returning {
    calls: DashMap<(&'static str, String), CutOff>,
}

impl Returning {
    /// Of calls that were live when the process ended. What they tell of the caller is on record already.
    pub fn of(details: Vec<CallDetail>) -> Self {
        let all = Self::default();
        for detail in details {
            let Some(row) = providers::find(&detail.call.provider) else { continue };
            let key = (row.name, detail.call.provider_call_id.clone());
            all.calls.insert(key, cut_off(row.name, detail));
        }
        all
    }

    /// Whether this caller is awaited.
    pub fn contains(&self, provider: &'static str, provider_call_id: &str) -> bool {
        self.calls.contains_key(&(provider, provider_call_id.to_owned()))
    }

    /// The caller is back; the first to ask has them.
    pub fn take(&self, provider: &'static str, provider_call_id: &str) -> Option<CutOff> {
        self.calls.remove(&(provider, provider_call_id.to_owned())).map(|(_, call)| call)
    }

    /// Nobody comes back any more: those who did not.
    pub fn give_up(&self) -> Vec<CutOff> {
        let keys: Vec<_> = self.calls.iter().map(|entry| entry.key().clone()).collect();
        keys.iter().filter_map(|key| self.calls.remove(key)).map(|(_, call)| call).collect()
    }
}

fn cut_off(provider: &'static str, detail: CallDetail) -> CutOff {
    // Or closed together with the call, by a process that started anew and died in turn.
    let broke =
        |one: &HandoffRecord| one.outcome == HandoffOutcome::Interrupted && one.ended_at == detail.call.ended_at;
    let open = |one: &&HandoffRecord| one.ended_at.is_none() || one.outcome == HandoffOutcome::Open || broke(one);
    let wish = detail.handoffs.iter().rfind(open);
    let lines = detail.turns.iter().map(|turn| Line {
        seq: turn.seq,
        who: turn.who,
        text: turn.text.clone(),
        at_ms: turn.started_ms,
        confidence: if turn.who == Speaker::Assistant { 1.0 } else { turn.confidence },
        is_final: true,
    });
    CutOff {
        call: detail.call.id,
        provider,
        number: detail.call.from,
        lines: lines.collect(),
        wish: wish.map(|one| OpenWish {
            handoff: one.id,
            reason: one.reason,
            since: one.requested_at,
            agent: one.agent_id.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{at, call, handoff};
    use crate::store::{CallOutcome, CallRecord};

    fn live(provider_call_id: &str, wish: bool) -> CallDetail {
        let call = CallRecord {
            provider_call_id: provider_call_id.to_owned(),
            ended_at: None,
            outcome: CallOutcome::Live,
            ..call(0)
        };
        let open = HandoffRecord { ended_at: None, outcome: HandoffOutcome::Open, ..handoff(call.id, Some("ann")) };
        CallDetail {
            parties: Vec::new(),
            contacts: Vec::new(),
            handoffs: if wish { vec![open] } else { Vec::new() },
            call,
            turns: Vec::new(),
            triggers: Vec::new(),
            offers: Vec::new(),
            messages: Vec::new(),
            tools: Vec::new(),
            wrap_ups: Vec::new(),
            scores: Vec::new(),
            comments: Vec::new(),
        }
    }

    #[test]
    fn each_comes_back_once_or_is_given_up_once() {
        let details = vec![live("CA1", true), live("CA2", false), live("CA3", true)];
        let ids: Vec<CallId> = details.iter().map(|detail| detail.call.id).collect();
        let handoff = details[0].handoffs[0].id;
        let returning = Returning::of(details);
        assert!(returning.contains("twilio", "CA1") && !returning.contains("plivo", "CA1"));
        let back = returning.take("twilio", "CA1").expect("awaited");
        let agent = Some(AgentId("ann".to_owned()));
        let wish = OpenWish { handoff, reason: HandoffReason::CallerAsked, since: at(20), agent };
        assert_eq!((back.call, back.wish), (ids[0], Some(wish)));
        assert_eq!(returning.take("twilio", "CA1"), None, "once");
        let mut closed = live("CA4", true);
        (closed.call.ended_at, closed.call.outcome) = (Some(at(90)), CallOutcome::Interrupted);
        let ended = HandoffRecord {
            ended_at: Some(at(40)),
            outcome: HandoffOutcome::CallerHungUp,
            ..closed.handoffs[0].clone()
        };
        closed.handoffs.push(ended);
        (closed.handoffs[0].ended_at, closed.handoffs[0].outcome) = (Some(at(90)), HandoffOutcome::Interrupted);
        let wanted = closed.handoffs[0].id;
        let twice = Returning::of(vec![closed]).take("twilio", "CA4").expect("awaited, though it was closed");
        assert_eq!(twice.wish.map(|wish| wish.handoff), Some(wanted));
        let mut left = returning.give_up();
        left.sort_by_key(|one| one.call.0);
        assert_eq!(left.iter().map(|one| one.call).collect::<Vec<_>>(), ids[1..]);
        assert_eq!(left[0].wish, None);
        assert!(returning.give_up().is_empty() && !returning.contains("twilio", "CA2"));
    }
}
