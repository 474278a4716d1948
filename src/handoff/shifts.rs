//! Shifts: what was promised to agents, and what that means for pay and adherence. PURE.
//!
//! A block that was scheduled is paid. Whoever is told to stay at home, or sent home early, is paid standby for the rest of it,
//! as far as they are not paid for that time already. Coming late or going by themselves is their own affair.

use std::time::Duration;

use jiff::Timestamp;

use super::intervals::Span;
use super::routing::plan::PaidClass;
use super::wire::AgentState;
use crate::store::{LedgerRecord, ShiftRecord};

/// The code of time that is paid because it was promised.
pub const GUARANTEED: &str = "guaranteed";

/// What is paid besides the ledger because it was promised: entries of the same kind, computed and not written. `ledger` holds
/// all time of the shifts' agents that overlaps them; time after `now` is not due yet.
pub fn guaranteed(shifts: &[ShiftRecord], ledger: &[LedgerRecord], now: Timestamp) -> Vec<LedgerRecord> {
    let mut due = Vec::new();
    for shift in shifts {
        let Some(released) = shift.released_at else { continue };
        let mut from = released.max(shift.began_at);
        let until = shift.ended_at.min(now);
        let mut paid: Vec<(Timestamp, Timestamp)> = ledger
            .iter()
            .filter(|entry| entry.agent_id == shift.agent_id && entry.class != PaidClass::None)
            .map(|entry| (entry.began_at, entry.ended_at))
            .collect();
        paid.sort_unstable();
        for (began, ended) in paid {
            push(&mut due, shift, from, began.min(until));
            from = from.max(ended);
        }
        push(&mut due, shift, from, until);
    }
    due
}

fn push(due: &mut Vec<LedgerRecord>, shift: &ShiftRecord, from: Timestamp, until: Timestamp) {
    if from < until {
        due.push(LedgerRecord {
            id: shift.id,
            agent_id: shift.agent_id.clone(),
            state: AgentState::Offline,
            code: Some(GUARANTEED.to_owned()),
            class: PaidClass::Standby,
            began_at: from,
            ended_at: until,
        });
    }
}

/// Time of an agent's shifts within `span`, and of that the time they were there. Breaks that are paid are part of a shift.
pub fn attendance(
    shifts: &[&ShiftRecord],
    ledger: &[&LedgerRecord],
    span: Span,
    now: Timestamp,
) -> (Duration, Duration) {
    let (mut scheduled, mut there) = (Duration::ZERO, Duration::ZERO);
    for shift in shifts {
        let until = shift.released_at.map_or(shift.ended_at, |released| released.min(shift.ended_at));
        let block = Span { from: shift.began_at.max(span.from), until: until.min(span.until).min(now) };
        scheduled += block.overlap(block.from, block.until);
        for entry in ledger {
            let away = entry.state == AgentState::Offline
                || entry.state == AgentState::Break && entry.class == PaidClass::None;
            if !away {
                there += block.overlap(entry.began_at, entry.ended_at);
            }
        }
    }
    (scheduled, there)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::handoff::AgentId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time in range")
    }

    fn shift(from: i64, until: i64, released: Option<i64>) -> ShiftRecord {
        ShiftRecord {
            id: uuid::Uuid::now_v7(),
            agent_id: AgentId("ann".to_owned()),
            began_at: at(from),
            ended_at: at(until),
            scheduled_by: AgentId("boss".to_owned()),
            scheduled_at: at(-1_000),
            released_at: released.map(at),
        }
    }

    fn time(state: AgentState, class: PaidClass, from: i64, until: i64) -> LedgerRecord {
        let id = uuid::Uuid::now_v7();
        LedgerRecord {
            id,
            agent_id: AgentId("ann".to_owned()),
            state,
            code: None,
            class,
            began_at: at(from),
            ended_at: at(until),
        }
    }

    fn spans(due: &[LedgerRecord]) -> Vec<(i64, i64)> {
        due.iter()
            .map(|one| (one.began_at.as_second() - 1_800_000_000, one.ended_at.as_second() - 1_800_000_000))
            .collect()
    }

    #[test]
    fn who_is_sent_home_is_paid_for_the_rest_of_the_block() {
        let worked = [time(AgentState::OnContact, PaidClass::Work, 0, 1_000)];
        assert_eq!(spans(&guaranteed(&[shift(0, 3_600, Some(1_000))], &worked, at(9_000))), [(1_000, 3_600)]);
        assert_eq!(spans(&guaranteed(&[shift(0, 3_600, Some(-500))], &[], at(9_000))), [(0, 3_600)], "before it began");
        assert_eq!(spans(&guaranteed(&[shift(0, 3_600, Some(1_000))], &worked, at(2_000))), [(1_000, 2_000)], "so far");
        assert!(guaranteed(&[shift(0, 3_600, Some(4_000))], &[], at(9_000)).is_empty(), "afterwards it is nothing");
        assert!(guaranteed(&[shift(0, 3_600, None)], &[], at(9_000)).is_empty(), "not coming is their own affair");
    }

    #[test]
    fn nobody_is_paid_twice_for_the_same_time() {
        let stayed = [
            time(AgentState::Available, PaidClass::Standby, 1_200, 1_500),
            time(AgentState::Break, PaidClass::None, 1_500, 1_800),
            time(AgentState::OnContact, PaidClass::Work, 1_800, 5_000),
        ];
        assert_eq!(
            spans(&guaranteed(&[shift(0, 3_600, Some(1_000))], &stayed, at(9_000))),
            [(1_000, 1_200), (1_500, 1_800)]
        );
    }

    #[test]
    fn attendance_counts_paid_breaks_and_not_what_was_called_off() {
        let one = shift(0, 1_000, None);
        let other = shift(2_000, 3_000, Some(2_500));
        let ledger = [
            time(AgentState::Available, PaidClass::Standby, 100, 600),
            time(AgentState::Break, PaidClass::Work, 600, 700),
            time(AgentState::Break, PaidClass::None, 700, 900),
            time(AgentState::OnContact, PaidClass::Work, 2_000, 2_400),
        ];
        let ledger: Vec<&LedgerRecord> = ledger.iter().collect();
        let day = Span { from: at(0), until: at(86_400) };
        let (scheduled, there) = attendance(&[&one, &other], &ledger, day, at(86_400));
        assert_eq!((scheduled, there), (Duration::from_secs(1_500), Duration::from_secs(1_000)));
        let (scheduled, _) = attendance(&[&one], &ledger, day, at(400));
        assert_eq!(scheduled, Duration::from_secs(400), "what lies ahead is not missed yet");
    }

    proptest! {
        /// Whatever was worked: of a block that was called off every second is paid exactly once.
        #[test]
        fn every_second_after_the_release_is_paid_once(
            released in 0i64..3_600,
            worked in prop::collection::vec((0i64..4_000, 1i64..900), 0..8),
        ) {
            let mut from = 0;
            let ledger: Vec<LedgerRecord> = worked.iter().map(|(gap, length)| {
                let began = from + gap / 8;
                from = began + length;
                time(AgentState::Available, PaidClass::Standby, began, from)
            }).collect();
            let due = guaranteed(&[shift(0, 3_600, Some(released))], &ledger, at(9_000));
            for second in released..3_600 {
                let pays = |entry: &&LedgerRecord| entry.began_at <= at(second) && at(second) < entry.ended_at;
                let times = due.iter().filter(pays).count() + ledger.iter().filter(pays).count();
                prop_assert_eq!(times, 1, "second {}", second);
            }
        }
    }
}
