//! How evenly offers, hard calls and waiting fall on those who can do the same work, skill by skill. PURE.
//!
//! A caller belongs to each skill that the queue they waited in asks for, at whatever age, and to the empty one where it asks for
//! none. Compared are the agents who have the skill, by the plan in force, and were there within the span.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::intervals::{Continued, Span, failed, ms, time_figures, times};
use super::measures::{gini, jain};
use super::routing::Plan;
use super::routing::plan::PaidClass;
use super::wire::OfferResult;
use super::{AgentId, HandoffId, HandoffReason};
use crate::store::Period;

/// One skill's numbers. A share with nothing to divide by is missing, not zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct SkillFairness {
    /// Which; empty: of callers whose queue asks for none.
    pub skill: String,
    /// Agents who have it and were there.
    pub agents: u32,
    /// Offers made to them for such callers.
    pub offers: u32,
    /// How evenly these fell on them: 1 is evenly.
    pub offers_jain: Option<f64>,
    /// The same as a coefficient of inequality: 0 is evenly.
    pub offers_gini: Option<f64>,
    /// Conversations they had with such callers in distress.
    pub hard_calls: u32,
    /// How evenly these fell on them.
    pub hard_calls_jain: Option<f64>,
    /// Offers they declined. It has no consequence.
    pub declined: u32,
    /// Their paid waiting.
    pub paid_idle_ms: u64,
    /// Paid waiting, of their paid time.
    pub standby_ratio: Option<f64>,
}

/// The skills of `plan` within `span`, by name; the empty one first, where some queue asks for nothing. `names`: by which agents
/// stand in the plan.
pub fn by_skill(period: &Period, span: Span, plan: &Plan, names: &BTreeMap<AgentId, String>) -> Vec<SkillFairness> {
    let mut skills: Vec<Option<usize>> = plan.skills.numbers().map(Some).collect();
    skills.sort_by_key(|skill| skill.map(|number| plan.skills.name(number)));
    if plan.queues.iter().any(|queue| queue.asks.iter().all(|ask| ask.needs.skills().next().is_none())) {
        skills.insert(0, None);
    }
    skills.into_iter().map(|skill| of_skill(period, span, plan, names, skill)).collect()
}

fn of_skill(
    period: &Period,
    span: Span,
    plan: &Plan,
    names: &BTreeMap<AgentId, String>,
    skill: Option<usize>,
) -> SkillFairness {
    let has = |agent: &AgentId| {
        let traits = names.get(agent).and_then(|name| plan.agents.get(name));
        skill.is_none_or(|skill| traits.is_some_and(|traits| traits.levels.get(skill) > 0))
    };
    let asks = |queue: &&super::routing::plan::Queue| {
        let mut asked = queue.asks.iter().flat_map(|ask| ask.needs.skills());
        match skill {
            Some(skill) => asked.any(|one| one == skill),
            None => asked.next().is_none(),
        }
    };
    let queues: HashSet<&str> = plan.queues.iter().filter(asks).map(|queue| queue.name.as_str()).collect();
    let mut people = times(&period.ledger, span);
    people.retain(|agent, _| has(agent));
    let continued = Continued::of(&period.handoffs);
    let callers: HashMap<HandoffId, HandoffReason> = period
        .handoffs
        .iter()
        .filter(|one| one.continues.is_none())
        .filter(|one| continued.whole(one).queue.is_some_and(|queue| queues.contains(queue.as_str())))
        .map(|one| (one.id, one.reason))
        .collect();
    let reason = |handoff: HandoffId| callers.get(&continued.first(handoff)).copied();
    let offers: Vec<_> = period
        .offers
        .iter()
        .filter(|offer| span.holds(offer.offered_at) && people.contains_key(&offer.agent_id))
        .filter(|offer| reason(offer.handoff_id).is_some())
        .collect();
    let hard: Vec<_> = period
        .contacts
        .iter()
        .filter(|talk| span.holds(talk.began_at) && people.contains_key(&talk.agent_id) && !failed(talk))
        .filter(|talk| reason(talk.handoff_id) == Some(HandoffReason::Distress))
        .collect();
    let shares = |whose: Vec<&AgentId>| -> Vec<f64> {
        people.keys().map(|agent| whose.iter().filter(|one| *one == agent).count() as f64).collect()
    };
    let offered = shares(offers.iter().map(|offer| &offer.agent_id).collect());
    let idle =
        period.ledger.iter().filter(|entry| people.contains_key(&entry.agent_id) && entry.class == PaidClass::Standby);
    SkillFairness {
        skill: skill.map(|number| plan.skills.name(number).to_owned()).unwrap_or_default(),
        agents: people.len() as u32,
        offers: offers.len() as u32,
        offers_jain: jain(&offered),
        offers_gini: gini(&offered),
        hard_calls: hard.len() as u32,
        hard_calls_jain: jain(&shares(hard.iter().map(|talk| &talk.agent_id).collect())),
        declined: offers.iter().filter(|offer| offer.result == Some(OfferResult::Rejected)).count() as u32,
        paid_idle_ms: idle.map(|entry| ms(span.overlap(entry.began_at, entry.ended_at))).sum(),
        standby_ratio: time_figures(people.values()).standby_ratio,
    }
}

#[cfg(test)]
#[path = "fairness_tests.rs"]
mod tests;
