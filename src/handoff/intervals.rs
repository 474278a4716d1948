//! The numbers of spans of time, made of records by the formulas of [`super::measures`]. PURE.
//!
//! A caller belongs to the span in which they asked for a person, whenever they were answered; an offer to the one in which
//! it was made; agents' time is cut at the span's ends. So the counts of spans add up to those of the whole.
//!
//! A caller whose line broke, by a restart of ours or because they hung up while waiting, and who came back has more than one
//! record, each naming the one it goes on with. They count as one: asked when the first was, ended as the last did, and
//! everything between is theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::measures::{self, AgentTimes, AssistantCall, OfferCounts, TaskTimes, WaitEnd, gini, jain, waits};
use super::wire::{AgentState, CallEnd, OfferResult};
use super::{AgentId, HandoffId, HandoffReason, shifts};
use crate::store::{
    ContactRecord, HandoffOutcome, HandoffRecord, LedgerRecord, OfferRecord, Outline, Period, WaitRecord,
};

/// Whoever leaves sooner had not begun to wait.
pub const SHORT: Duration = Duration::from_secs(5);

/// A span of time: from a moment until before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub from: Timestamp,
    /// Until, this moment excluded.
    pub until: Timestamp,
}

impl Span {
    /// Whether a moment lies in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        at >= self.from && at < self.until
    }

    /// Cut into pieces of this length; the last one may be shorter.
    pub fn pieces(self, length: SignedDuration) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut from = self.from;
        while from < self.until && length > SignedDuration::ZERO {
            let until = from.checked_add(length).unwrap_or(self.until).min(self.until);
            pieces.push(Self { from, until });
            from = until;
        }
        pieces
    }

    /// What two have in common.
    pub(super) fn overlap(&self, from: Timestamp, until: Timestamp) -> Duration {
        between(self.from.max(from), self.until.min(until))
    }
}

/// What is counted how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Answered within this is answered in time.
    pub service_level: Duration,
    /// What is not over yet is measured up to now.
    pub now: Timestamp,
}

/// The numbers of a span. A share with nothing to divide by is missing, not zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Figures {
    /// Callers who asked for a person.
    pub queued: u32,
    /// Of these: still waiting.
    pub waiting: u32,
    /// Of these: answered by a person.
    pub handled: u32,
    /// Of these: left while queued; not for a callback.
    pub abandoned: u32,
    /// Of those: within five seconds, and left out of the service level.
    pub short_abandoned: u32,
    /// Of these: booked a callback.
    pub callbacks: u32,
    /// Of these: left a message, went back to the assistant, or were given to a telephone.
    pub helped_otherwise: u32,
    /// Of these: lost because the server stopped. They count against the service level.
    pub interrupted: u32,
    /// The limit of the service level, in seconds.
    pub service_level_s: u64,
    /// Answered within the limit, of those queued without short abandonments.
    pub service_level: Option<f64>,
    /// Asterisk's first: answered within the limit, of those answered.
    pub service_level_asterisk: Option<f64>,
    /// Asterisk's second: answered or abandoned within the limit, of those answered or abandoned.
    pub service_level_asterisk_2: Option<f64>,
    /// Abandoned, of those queued.
    pub abandonment_rate: Option<f64>,
    /// Average speed of answer.
    pub asa_ms: Option<u64>,
    /// Half of those answered waited no longer.
    pub wait_p50_ms: Option<u64>,
    /// Nine of ten of those answered waited no longer.
    pub wait_p90_ms: Option<u64>,
    /// The longest wait of anybody, answered or not.
    pub longest_wait_ms: Option<u64>,
    /// Average handling time: talk, hold and wrap-up.
    pub aht_ms: Option<u64>,
    /// Average talk of those handled, hold excluded.
    pub talk_ms: Option<u64>,
    /// Average hold of those handled.
    pub hold_ms: Option<u64>,
    /// Average wrap-up of those handled.
    pub wrap_up_ms: Option<u64>,
    /// Times on hold, of each one handled.
    pub holds: Option<f64>,
    /// Conversations that ended by giving the caller to other people, of those handled.
    pub transfer_rate: Option<f64>,
    /// Of those who asked for a person by key or word, how many spoke with one, chose another way, or hung up by themselves.
    pub human_request_honoured: Option<f64>,
    /// From that wish to the person: half waited no longer.
    pub time_to_human_p50_ms: Option<u64>,
    /// Nine of ten waited no longer.
    pub time_to_human_p90_ms: Option<u64>,
    /// The share of such wishes that ended otherwise.
    pub ended_otherwise: Option<f64>,
    /// Offers, by how they ended.
    pub offers: OfferFigures,
    /// Agents' time. Missing for a single queue: an agent's time is not one queue's.
    pub time: Option<TimeFigures>,
    /// How evenly offers fell on those who were there: 1 is evenly.
    pub offers_jain: Option<f64>,
    /// The same as a coefficient of inequality: 0 is evenly.
    pub offers_gini: Option<f64>,
    /// How evenly distressing calls fell on them.
    pub hard_calls_jain: Option<f64>,
}

/// Offers by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct OfferFigures {
    /// All that are over.
    pub offered: u32,
    /// Taken.
    pub accepted: u32,
    /// Declined. It has no consequence.
    pub rejected: u32,
    /// Not answered in time.
    pub timed_out: u32,
    /// Taken back by the server.
    pub rescinded: u32,
    /// The caller left.
    pub canceled: u32,
    /// Taken, of all.
    pub answer_rate: Option<f64>,
    /// Not answered in time, of all.
    pub rona_rate: Option<f64>,
    /// Declined, of all.
    pub reject_rate: Option<f64>,
    /// No sound came from the agent, of those taken.
    pub failed_connect_rate: Option<f64>,
}

/// Time by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TimeFigures {
    /// Agents who were signed in.
    pub agents: u32,
    /// Idle in Available.
    pub available_ms: u64,
    /// Being offered a caller.
    pub offered_ms: u64,
    /// With a caller.
    pub on_contact_ms: u64,
    /// Finishing a call.
    pub wrap_up_ms: u64,
    /// Missed an offer, or a fault.
    pub out_ms: u64,
    /// On breaks.
    pub away_ms: u64,
    /// On contact with wrap-up, of that and idle time. 0.75 to 0.85 is healthy; above 0.9 people burn out.
    pub occupancy: Option<f64>,
    /// All but breaks and being out, of the time signed in.
    pub utilisation: Option<f64>,
    /// Paid waiting, of the paid time.
    pub standby_ratio: Option<f64>,
}

/// One agent's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AgentFigures {
    /// Conversations that began with callers of the span.
    pub handled: u32,
    /// Average talk, hold and wrap-up of those.
    pub aht_ms: Option<u64>,
    /// Offers.
    pub offers: OfferFigures,
    /// Time.
    pub time: TimeFigures,
    /// There, of the time of their shifts.
    pub adherence: Option<f64>,
}

fn between(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or_default()
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The numbers of `span`; with `queue`, of the callers who waited in it and the offers made for them.
pub fn figures(period: &Period, span: Span, limits: &Limits, queue: Option<&str>) -> Figures {
    let in_queue = |handoff: &HandoffRecord| queue.is_none() || handoff.queue.as_deref() == queue;
    // A callback is the second half of a wish that is counted already.
    let own = |handoff: &&HandoffRecord| handoff.reason != HandoffReason::Callback && handoff.continues.is_none();
    let continued = Continued::of(&period.handoffs);
    let firsts = period.handoffs.iter().filter(|one| span.holds(one.requested_at)).filter(own);
    let callers: Vec<HandoffRecord> = firsts.map(|one| continued.whole(one)).filter(in_queue).collect();
    let contacts = by_wish(&period.contacts, &continued);
    let talks = |handoff: HandoffId| contacts.get(&handoff).map_or(&[] as &[&ContactRecord], Vec::as_slice);
    let tasks: Vec<TaskTimes> = callers.iter().map(|one| task(one, talks(one.id), limits.now)).collect();
    let counts = measures::counts(&tasks, SHORT);
    let count = |end: WaitEnd| tasks.iter().filter(|task| task.end == end).count() as u32;
    let waited = waits(&tasks);
    let of_handled = |sum: Duration| sum.checked_div(counts.handled).map(ms);
    let handled = || tasks.iter().filter(|task| task.end == WaitEnd::Answered);
    let good = || callers.iter().flat_map(|one| talks(one.id)).filter(|talk| !failed(talk));
    let each = |n: u32| (counts.handled > 0).then(|| f64::from(n) / f64::from(counts.handled));
    let wishes: Vec<AssistantCall> = callers.iter().zip(&tasks).map(|(one, task)| wish(one, task)).collect();
    let to_human = measures::time_to_human(&wishes);
    let ids: HashSet<HandoffId> = callers.iter().map(|one| one.id).collect();
    let offers: Vec<&OfferRecord> = period
        .offers
        .iter()
        .filter(|offer| {
            span.holds(offer.offered_at) && (queue.is_none() || ids.contains(&continued.first(offer.handoff_id)))
        })
        .collect();
    let people = times(&period.ledger, span);
    let level = limits.service_level;
    let shares = |counted: BTreeMap<&AgentId, u32>| -> Vec<f64> {
        people.keys().map(|agent| f64::from(counted.get(*agent).copied().unwrap_or(0))).collect()
    };
    let mut offered: BTreeMap<&AgentId, u32> = BTreeMap::new();
    for offer in &offers {
        *offered.entry(&offer.agent_id).or_default() += 1;
    }
    let mut hard: BTreeMap<&AgentId, u32> = BTreeMap::new();
    for caller in callers.iter().filter(|one| one.reason == HandoffReason::Distress) {
        for talk in talks(caller.id) {
            *hard.entry(&talk.agent_id).or_default() += 1;
        }
    }
    let (offered, hard) = (shares(offered), shares(hard));
    Figures {
        queued: counts.queued,
        waiting: count(WaitEnd::Waiting),
        handled: counts.handled,
        abandoned: counts.abandoned,
        short_abandoned: counts.short_abandoned,
        callbacks: count(WaitEnd::Callback),
        helped_otherwise: count(WaitEnd::Helped),
        interrupted: count(WaitEnd::Interrupted),
        service_level_s: level.as_secs(),
        service_level: measures::service_level(&tasks, level, SHORT),
        service_level_asterisk: measures::service_level_asterisk(&tasks, level),
        service_level_asterisk_2: measures::service_level_asterisk_2(&tasks, level),
        abandonment_rate: measures::abandonment_rate(&tasks),
        asa_ms: waited.map(|waits| ms(waits.asa)),
        wait_p50_ms: waited.map(|waits| ms(waits.p50)),
        wait_p90_ms: waited.map(|waits| ms(waits.p90)),
        longest_wait_ms: tasks.iter().map(|task| ms(task.wait)).max(),
        aht_ms: measures::handling_time(&tasks).map(ms),
        talk_ms: of_handled(handled().map(|task| task.talk).sum()),
        hold_ms: of_handled(handled().map(|task| task.hold).sum()),
        wrap_up_ms: of_handled(handled().map(|task| task.wrap_up).sum()),
        holds: each(good().map(|talk| talk.holds).sum()),
        transfer_rate: each(good().filter(|talk| talk.ended_by == Some(CallEnd::Transferred)).count() as u32),
        human_request_honoured: measures::human_request_honoured(&wishes),
        time_to_human_p50_ms: to_human.map(|(p50, ..)| ms(p50)),
        time_to_human_p90_ms: to_human.map(|(_, p90, _)| ms(p90)),
        ended_otherwise: to_human.map(|(.., otherwise)| otherwise),
        offers: offer_figures(&offers, count_failed(&callers, &contacts)),
        time: queue.is_none().then(|| time_figures(people.values())),
        offers_jain: jain(&offered),
        offers_gini: gini(&offered),
        hard_calls_jain: jain(&hard),
    }
}

/// What `/metrics` tells of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// As [`Figures::service_level`].
    pub service_level: Option<f64>,
    /// As [`Figures::abandonment_rate`].
    pub abandonment_rate: Option<f64>,
    /// As [`TimeFigures::occupancy`].
    pub occupancy: Option<f64>,
}

/// The same numbers as [`figures`] has them, of the outline of a period. `open`: states people are in, which are in no ledger yet.
pub fn gauges(outline: &Outline, open: &[LedgerRecord], span: Span, limits: &Limits) -> Gauges {
    let later: HashMap<HandoffId, &WaitRecord> =
        outline.waits.iter().filter_map(|one| one.continues.map(|before| (before, one))).collect();
    let own = |one: &&WaitRecord| one.reason != HandoffReason::Callback && one.continues.is_none();
    let firsts = outline.waits.iter().filter(|one| span.holds(one.requested_at)).filter(own);
    let tasks: Vec<TaskTimes> = firsts.map(|one| waited(&whole_wait(one, &later), limits.now)).collect();
    let mut people = times(open, span).into_values().fold(AgentTimes::default(), |sum, one| AgentTimes {
        available: sum.available + one.available,
        on_contact: sum.on_contact + one.on_contact,
        wrap_up: sum.wrap_up + one.wrap_up,
        ..sum
    });
    for (state, spent) in &outline.time {
        match state {
            AgentState::Available => people.available += *spent,
            AgentState::OnContact => people.on_contact += *spent,
            AgentState::WrapUp => people.wrap_up += *spent,
            // Neither idle nor busy.
            AgentState::Reserved | AgentState::Missed | AgentState::Error | AgentState::Break | AgentState::Offline => {
            }
        }
    }
    Gauges {
        service_level: measures::service_level(&tasks, limits.service_level, SHORT),
        abandonment_rate: measures::abandonment_rate(&tasks),
        occupancy: people.occupancy(),
    }
}

/// A wish from its beginning to its end, as [`Continued::whole`] has it.
fn whole_wait(first: &WaitRecord, later: &HashMap<HandoffId, &WaitRecord>) -> WaitRecord {
    let mut whole = *first;
    let mut id = first.id;
    for _ in 0..later.len() {
        let Some(next) = later.get(&id) else { break };
        id = next.id;
        (whole.outcome, whole.ended_at) = (next.outcome, next.ended_at);
        whole.bridged_at = whole.bridged_at.or(next.bridged_at);
        whole.talked_at = [whole.talked_at, next.talked_at].into_iter().flatten().min();
        whole.has_talks |= next.has_talks;
    }
    whole
}

fn waited(wait: &WaitRecord, now: Timestamp) -> TaskTimes {
    let answered = wait.talked_at.or(wait.bridged_at.filter(|_| !wait.has_talks));
    let until = answered.or(wait.ended_at).unwrap_or(now);
    TaskTimes { wait: between(wait.requested_at, until), end: wait_end(answered, wait.outcome), ..TaskTimes::default() }
}

/// The numbers of each agent who was there, or was offered something, in `span`.
pub fn by_agent(period: &Period, span: Span, limits: &Limits) -> BTreeMap<AgentId, AgentFigures> {
    let mut agents: BTreeMap<AgentId, AgentFigures> = BTreeMap::new();
    for (agent, times) in times(&period.ledger, span) {
        agents.entry(agent.clone()).or_default().time = time_figures(std::iter::once(&times));
    }
    let mut offers: BTreeMap<&AgentId, Vec<&OfferRecord>> = BTreeMap::new();
    for offer in period.offers.iter().filter(|offer| span.holds(offer.offered_at)) {
        offers.entry(&offer.agent_id).or_default().push(offer);
    }
    let continued = Continued::of(&period.handoffs);
    let asked: HashMap<HandoffId, Timestamp> =
        period.handoffs.iter().map(|handoff| (handoff.id, handoff.requested_at)).collect();
    let asked_at = |talk: &ContactRecord| asked.get(&continued.first(talk.handoff_id));
    let theirs = |talk: &&ContactRecord| asked_at(talk).is_some_and(|at| span.holds(*at));
    let mut talks: BTreeMap<&AgentId, Vec<&ContactRecord>> = BTreeMap::new();
    for talk in period.contacts.iter().filter(theirs) {
        talks.entry(&talk.agent_id).or_default().push(talk);
    }
    let shifts: BTreeSet<&AgentId> = period.shifts.iter().map(|shift| &shift.agent_id).collect();
    for agent in shifts {
        let theirs: Vec<_> = period.shifts.iter().filter(|shift| shift.agent_id == *agent).collect();
        let spent: Vec<_> = period.ledger.iter().filter(|entry| entry.agent_id == *agent).collect();
        let (scheduled, as_scheduled) = shifts::attendance(&theirs, &spent, span, limits.now);
        let adherence = AgentTimes { scheduled, as_scheduled, ..AgentTimes::default() }.adherence();
        agents.entry(agent.clone()).or_default().adherence = adherence;
    }
    for (agent, offers) in &offers {
        let broken = talks.get(agent).map_or(0, |talks| talks.iter().filter(|talk| failed(talk)).count() as u32);
        agents.entry((*agent).clone()).or_default().offers = offer_figures(offers, broken);
    }
    for (agent, talks) in talks {
        let good: Vec<_> = talks.into_iter().filter(|talk| !failed(talk)).collect();
        let spent: Duration = good.iter().map(|talk| length(talk, limits.now) + wrap_up(talk)).sum();
        // Whoever had the same caller again after a restart had one conversation.
        let goes_on = |talk: &&&ContactRecord| {
            let again = |other: &&ContactRecord| {
                other.began_at > talk.began_at && continued.first(other.handoff_id) == continued.first(talk.handoff_id)
            };
            talk.ended_by == Some(CallEnd::ServerStopped) && good.iter().any(again)
        };
        let figures = agents.entry(agent.clone()).or_default();
        figures.handled = (good.len() - good.iter().filter(goes_on).count()) as u32;
        figures.aht_ms = spent.checked_div(figures.handled).map(ms);
    }
    agents
}

/// Wishes that went on in other records.
pub(super) struct Continued<'a> {
    /// By the record they go on with.
    later: HashMap<HandoffId, &'a HandoffRecord>,
    /// By their own id, what they go on with.
    before: HashMap<HandoffId, HandoffId>,
}

impl<'a> Continued<'a> {
    pub fn of(handoffs: &'a [HandoffRecord]) -> Self {
        let with = |one: &'a HandoffRecord| one.continues.map(|before| (before, one));
        let later: HashMap<_, _> = handoffs.iter().filter_map(with).collect();
        let before = later.iter().map(|(before, one)| (one.id, *before)).collect();
        Self { later, before }
    }

    /// The record in which a wish began. Bounded: records that name each other in a circle are of nobody's making.
    pub fn first(&self, of: HandoffId) -> HandoffId {
        (0..self.before.len())
            .try_fold(of, |id, _| self.before.get(&id).copied().ok_or(id))
            .unwrap_or_else(|first| first)
    }

    /// A wish from its beginning to its end.
    pub fn whole(&self, first: &HandoffRecord) -> HandoffRecord {
        let mut whole = first.clone();
        let mut id = first.id;
        for _ in 0..self.later.len() {
            let Some(later) = self.later.get(&id) else { break };
            id = later.id;
            (whole.outcome, whole.ended_at) = (later.outcome, later.ended_at);
            whole.bridged_at = whole.bridged_at.or(later.bridged_at);
            whole.agent_id = later.agent_id.clone().or(whole.agent_id);
            whole.queue = later.queue.clone().or(whole.queue);
        }
        whole
    }
}

fn by_wish<'a>(contacts: &'a [ContactRecord], continued: &Continued<'_>) -> HashMap<HandoffId, Vec<&'a ContactRecord>> {
    let mut all: HashMap<HandoffId, Vec<&ContactRecord>> = HashMap::new();
    for contact in contacts {
        all.entry(continued.first(contact.handoff_id)).or_default().push(contact);
    }
    all
}

/// No sound came: it was none.
pub(super) fn failed(talk: &ContactRecord) -> bool {
    talk.ended_by == Some(CallEnd::NoSound)
}

fn count_failed(callers: &[HandoffRecord], contacts: &HashMap<HandoffId, Vec<&ContactRecord>>) -> u32 {
    callers.iter().filter_map(|one| contacts.get(&one.id)).flatten().filter(|talk| failed(talk)).count() as u32
}

fn length(talk: &ContactRecord, now: Timestamp) -> Duration {
    between(talk.began_at, talk.ended_at.unwrap_or(now))
}

fn wrap_up(talk: &ContactRecord) -> Duration {
    Duration::from_millis(talk.wrap_up_ms.unwrap_or(0))
}

/// One caller's times.
fn task(handoff: &HandoffRecord, talks: &[&ContactRecord], now: Timestamp) -> TaskTimes {
    let good = || talks.iter().filter(|talk| !failed(talk));
    // Of records without conversations: those of an earlier version, or one that ended before the write.
    let answered = good().map(|talk| talk.began_at).min().or(handoff.bridged_at.filter(|_| talks.is_empty()));
    let until = answered.or(handoff.ended_at).unwrap_or(now);
    let end = wait_end(answered, handoff.outcome);
    let hold: Duration = good().map(|talk| Duration::from_millis(talk.hold_ms)).sum();
    let whole: Duration = match answered {
        Some(at) if talks.is_empty() => between(at, handoff.ended_at.unwrap_or(now)),
        _ => good().map(|talk| length(talk, now)).sum(),
    };
    TaskTimes {
        wait: between(handoff.requested_at, until),
        end,
        talk: whole.saturating_sub(hold),
        hold,
        wrap_up: good().map(|talk| wrap_up(talk)).sum(),
    }
}

fn wait_end(answered: Option<Timestamp>, outcome: HandoffOutcome) -> WaitEnd {
    match (answered, outcome) {
        (Some(_), _) => WaitEnd::Answered,
        (None, HandoffOutcome::Open | HandoffOutcome::Bridged) => WaitEnd::Waiting,
        (None, HandoffOutcome::CallerHungUp) => WaitEnd::Abandoned,
        (None, HandoffOutcome::CallbackBooked) => WaitEnd::Callback,
        (None, HandoffOutcome::Interrupted) => WaitEnd::Interrupted,
        (
            None,
            HandoffOutcome::LeftMessage
            | HandoffOutcome::BackToAssistant
            | HandoffOutcome::Transferred
            | HandoffOutcome::NotReached,
        ) => WaitEnd::Helped,
    }
}

/// A caller's own wish for a person; those of the assistant are none.
fn wish(handoff: &HandoffRecord, task: &TaskTimes) -> AssistantCall {
    let own = matches!(handoff.reason, HandoffReason::CallerPressedZero | HandoffReason::CallerAsked);
    AssistantCall {
        reached_a_person: task.end == WaitEnd::Answered,
        wanted_a_person: own && task.end != WaitEnd::Waiting,
        wish_honoured: task.end != WaitEnd::Interrupted,
        time_to_human: (task.end == WaitEnd::Answered).then_some(task.wait),
        ..AssistantCall::default()
    }
}

fn offer_figures(offers: &[&OfferRecord], broken: u32) -> OfferFigures {
    let count = |wanted: OfferResult| offers.iter().filter(|offer| offer.result == Some(wanted)).count() as u32;
    let counts = OfferCounts {
        accepted: count(OfferResult::Accepted),
        rejected: count(OfferResult::Rejected),
        timed_out: count(OfferResult::Timeout),
        rescinded: count(OfferResult::Rescinded),
        canceled: count(OfferResult::Canceled),
        failed_by_system: 0,
        failed_by_agent: broken,
    };
    OfferFigures {
        offered: counts.offered(),
        accepted: counts.accepted,
        rejected: counts.rejected,
        timed_out: counts.timed_out,
        rescinded: counts.rescinded,
        canceled: counts.canceled,
        answer_rate: counts.answer_rate(),
        rona_rate: counts.rona_rate(),
        reject_rate: counts.reject_rate(),
        failed_connect_rate: counts.failed_connect_rates().map(|(_, by_agent)| by_agent),
    }
}

/// Each agent's time within the span.
pub(super) fn times(ledger: &[LedgerRecord], span: Span) -> BTreeMap<&AgentId, AgentTimes> {
    let mut all: BTreeMap<&AgentId, AgentTimes> = BTreeMap::new();
    for entry in ledger {
        let length = span.overlap(entry.began_at, entry.ended_at);
        if length.is_zero() || entry.state == AgentState::Offline {
            continue;
        }
        let times = all.entry(&entry.agent_id).or_default();
        let part = match entry.state {
            AgentState::Available => &mut times.available,
            AgentState::Reserved => &mut times.offered,
            AgentState::OnContact => &mut times.on_contact,
            AgentState::WrapUp => &mut times.wrap_up,
            AgentState::Missed | AgentState::Error => &mut times.out,
            AgentState::Break | AgentState::Offline => &mut times.away,
        };
        *part += length;
    }
    all
}

pub(super) fn time_figures<'a>(people: impl Iterator<Item = &'a AgentTimes>) -> TimeFigures {
    let (mut all, mut agents) = (AgentTimes::default(), 0);
    for one in people {
        agents += 1;
        all.available += one.available;
        all.offered += one.offered;
        all.on_contact += one.on_contact;
        all.wrap_up += one.wrap_up;
        all.out += one.out;
        all.away += one.away;
    }
    TimeFigures {
        agents,
        available_ms: ms(all.available),
        offered_ms: ms(all.offered),
        on_contact_ms: ms(all.on_contact),
        wrap_up_ms: ms(all.wrap_up),
        out_ms: ms(all.out),
        away_ms: ms(all.away),
        occupancy: all.occupancy(),
        utilisation: all.utilisation(),
        standby_ratio: all.standby_ratio(),
    }
}

#[cfg(test)]
#[path = "intervals_tests.rs"]
mod tests;
