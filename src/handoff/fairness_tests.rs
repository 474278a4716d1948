//! An hour at a desk of three, computed by hand.

use jiff::Timestamp;

use super::*;
use crate::call::CallId;
use crate::handoff::OfferId;
use crate::handoff::wire::{AgentState, CallEnd};
use crate::store::{ContactRecord, HandoffOutcome, HandoffRecord, LedgerRecord, OfferRecord};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time in range")
}

fn agent(name: &str) -> AgentId {
    AgentId(format!("id of {name}"))
}

fn asked(reason: HandoffReason, queue: &str) -> HandoffRecord {
    HandoffRecord {
        id: HandoffId::generate(),
        call_id: CallId::generate(),
        reason,
        summary: Vec::new(),
        requested_at: at(10),
        bridged_at: None,
        ended_at: Some(at(500)),
        outcome: HandoffOutcome::Bridged,
        agent_id: None,
        queue: Some(queue.to_owned()),
        continues: None,
    }
}

fn offer(handoff: &HandoffRecord, name: &str, second: i64, result: OfferResult) -> OfferRecord {
    OfferRecord {
        id: OfferId::generate(),
        handoff_id: handoff.id,
        call_id: handoff.call_id,
        agent_id: agent(name),
        offered_at: at(second),
        ended_at: Some(at(second + 5)),
        result: Some(result),
        reason: None,
    }
}

fn talk(handoff: &HandoffRecord, name: &str, by: CallEnd) -> ContactRecord {
    ContactRecord {
        id: uuid::Uuid::now_v7(),
        handoff_id: handoff.id,
        call_id: handoff.call_id,
        agent_id: agent(name),
        began_at: at(20),
        ended_at: Some(at(80)),
        ended_by: Some(by),
        hold_ms: 0,
        holds: 0,
        wrap_up_ms: None,
    }
}

fn time(name: &str, state: AgentState, class: PaidClass, from: i64, until: i64) -> LedgerRecord {
    LedgerRecord {
        id: uuid::Uuid::now_v7(),
        agent_id: agent(name),
        state,
        code: None,
        class,
        began_at: at(from),
        ended_at: at(until),
    }
}

fn plan() -> Plan {
    let text = "[[routing.queues]]\nname = \"main\"\n[[routing.queues]]\nname = \"billing\"\n\
                needs = [\"billing\", \"!trainee\"]\n\
                [[routing.agents]]\nname = \"ann\"\nskills = { billing = 3 }\n\
                [[routing.agents]]\nname = \"ben\"\nskills = { billing = 2 }\n\
                [[routing.agents]]\nname = \"cy\"\nskills = { trainee = 1 }\n\
                [[routing.agents]]\nname = \"away\"\nskills = { billing = 5 }\n";
    let config = crate::config::Config::parse(text, std::iter::empty()).expect("valid");
    config.routing.plan(&config.handoff)
}

/// Billing: Ann was offered three and declined one of them, Ben one; the caller in distress was Ben's, after no sound came from
/// Ann. Main: Ann one, Cy two. One more offer was made after the hour.
fn hour() -> Period {
    let (billing, distress, main) = (
        asked(HandoffReason::CallerAsked, "billing"),
        asked(HandoffReason::Distress, "billing"),
        asked(HandoffReason::CallerAsked, "main"),
    );
    let again = HandoffRecord { continues: Some(billing.id), ..asked(HandoffReason::CallerAsked, "billing") };
    use OfferResult::{Accepted, Rejected, Timeout};
    Period {
        offers: vec![
            offer(&billing, "ann", 11, Rejected),
            offer(&again, "ann", 12, Accepted),
            offer(&distress, "ann", 13, Accepted),
            offer(&distress, "ben", 14, Accepted),
            offer(&main, "ann", 15, Timeout),
            offer(&main, "cy", 16, Timeout),
            offer(&main, "cy", 17, Accepted),
            offer(&main, "cy", 3_600, Accepted),
        ],
        contacts: vec![talk(&distress, "ann", CallEnd::NoSound), talk(&distress, "ben", CallEnd::CallerHungUp)],
        ledger: vec![
            time("ann", AgentState::Available, PaidClass::Standby, -600, 600),
            time("ann", AgentState::OnContact, PaidClass::Work, 600, 1_800),
            time("ben", AgentState::Available, PaidClass::Standby, 0, 300),
            time("cy", AgentState::Available, PaidClass::Standby, 0, 100),
            time("away", AgentState::Offline, PaidClass::None, 0, 3_600),
        ],
        handoffs: vec![billing, again, distress, main],
        ..Period::default()
    }
}

#[test]
fn an_hour_is_as_fair_as_by_hand() {
    let names = ["ann", "ben", "cy", "away"].map(|name| (agent(name), name.to_owned())).into();
    let fair = by_skill(&hour(), Span { from: at(0), until: at(3_600) }, &plan(), &names);
    let skills: Vec<&str> = fair.iter().map(|one| one.skill.as_str()).collect();
    assert_eq!(skills, ["", "billing", "trainee"]);
    let [all, billing, trainee] = &fair[..] else { panic!("three") };

    assert_eq!((billing.agents, billing.offers, billing.declined), (2, 4, 1), "who was away is not compared");
    // 3 and 1: (3 + 1)² / (2 · (9 + 1)).
    assert_eq!(billing.offers_jain, Some(0.8));
    assert_eq!(billing.offers_gini, Some(0.25));
    assert_eq!((billing.hard_calls, billing.hard_calls_jain), (1, Some(0.5)), "without sound it was no conversation");
    assert_eq!(billing.paid_idle_ms, 900_000, "cut at the hour's beginning");
    // 600 s and 300 s of waiting, 1,200 s with callers.
    assert_eq!(billing.standby_ratio, Some(900.0 / 2_100.0));

    // 1, 0 and 2: 3² / (3 · 5).
    assert_eq!((all.agents, all.offers, all.offers_jain), (3, 3, Some(0.6)));
    assert_eq!((all.hard_calls, all.hard_calls_jain), (0, None));

    assert_eq!((trainee.agents, trainee.offers, trainee.offers_jain), (1, 0, None), "no queue asks for it");
}

#[test]
fn nothing_is_as_fair_as_nothing() {
    let fair = by_skill(&Period::default(), Span { from: at(0), until: at(3_600) }, &plan(), &BTreeMap::new());
    assert_eq!(fair[1], SkillFairness { skill: "billing".to_owned(), ..SkillFairness::default() });
}
