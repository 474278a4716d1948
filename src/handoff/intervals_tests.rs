//! A quarter of an hour computed by hand, and what holds for any records.

use proptest::prelude::*;

use super::*;
use crate::call::CallId;
use crate::handoff::OfferId;
use crate::handoff::routing::plan::PaidClass;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time in range")
}

fn limits(now: i64) -> Limits {
    Limits { service_level: Duration::from_secs(20), now: at(now) }
}

const QUARTER: i64 = 900;

fn span(from: i64, until: i64) -> Span {
    Span { from: at(from), until: at(until) }
}

fn asked(second: i64, ended: Option<i64>, outcome: HandoffOutcome, queue: &str) -> HandoffRecord {
    HandoffRecord {
        id: HandoffId::generate(),
        call_id: CallId::generate(),
        reason: HandoffReason::CallerAsked,
        summary: Vec::new(),
        requested_at: at(second),
        bridged_at: None,
        ended_at: ended.map(at),
        outcome,
        agent_id: None,
        queue: Some(queue.to_owned()),
        continues: None,
    }
}

/// The same caller again, after the line broke.
fn came_back(before: &HandoffRecord, second: i64, ended: Option<i64>, outcome: HandoffOutcome) -> HandoffRecord {
    HandoffRecord { continues: Some(before.id), ..asked(second, ended, outcome, "main") }
}

fn talk(handoff: &HandoffRecord, agent: &str, began: i64, ended: i64, by: CallEnd) -> ContactRecord {
    ContactRecord {
        id: uuid::Uuid::now_v7(),
        handoff_id: handoff.id,
        call_id: handoff.call_id,
        agent_id: AgentId(agent.to_owned()),
        began_at: at(began),
        ended_at: Some(at(ended)),
        ended_by: Some(by),
        hold_ms: 0,
        holds: 0,
        wrap_up_ms: Some(30_000),
    }
}

fn offer(handoff: &HandoffRecord, agent: &str, second: i64, result: Option<OfferResult>) -> OfferRecord {
    OfferRecord {
        id: OfferId::generate(),
        handoff_id: handoff.id,
        call_id: handoff.call_id,
        agent_id: AgentId(agent.to_owned()),
        offered_at: at(second),
        ended_at: result.map(|_| at(second + 5)),
        result,
        reason: None,
    }
}

fn time(agent: &str, state: AgentState, from: i64, until: i64) -> LedgerRecord {
    LedgerRecord {
        id: uuid::Uuid::now_v7(),
        agent_id: AgentId(agent.to_owned()),
        state,
        code: None,
        class: PaidClass::Standby,
        began_at: at(from),
        ended_at: at(until),
    }
}

/// Seven callers: three answered after 10, 15 and 45 s, one of them after a silent microphone and one given on; one left after
/// 3 s and one after 40 s; one booked a callback; one was lost to a restart.
fn quarter() -> Period {
    use HandoffOutcome::*;
    let quick = asked(0, Some(130), Bridged, "billing");
    let given_on = asked(100, Some(400), Bridged, "billing");
    let silent = HandoffRecord { reason: HandoffReason::Distress, ..asked(200, Some(400), Bridged, "main") };
    let short = asked(300, Some(303), CallerHungUp, "main");
    let left = asked(400, Some(440), CallerHungUp, "main");
    let callback = asked(500, Some(560), CallbackBooked, "main");
    let lost = asked(600, Some(650), Interrupted, "billing");
    let contacts = vec![
        ContactRecord { hold_ms: 20_000, holds: 1, ..talk(&quick, "ann", 10, 130, CallEnd::CallerHungUp) },
        talk(&given_on, "ann", 115, 215, CallEnd::Transferred),
        talk(&given_on, "ben", 240, 400, CallEnd::AgentEnded),
        ContactRecord { wrap_up_ms: None, ..talk(&silent, "cy", 230, 235, CallEnd::NoSound) },
        talk(&silent, "ben", 245, 400, CallEnd::CallerHungUp),
    ];
    let accepted = Some(OfferResult::Accepted);
    let offers = vec![
        offer(&quick, "ann", 2, accepted),
        offer(&given_on, "ann", 104, accepted),
        offer(&given_on, "ben", 220, accepted),
        offer(&silent, "cy", 201, accepted),
        offer(&silent, "ann", 236, Some(OfferResult::Timeout)),
        offer(&silent, "ben", 238, accepted),
        offer(&left, "ben", 402, Some(OfferResult::Canceled)),
        offer(&left, "cy", 402, Some(OfferResult::Rejected)),
        offer(&lost, "ben", 640, None),
    ];
    let ledger = vec![
        time("ann", AgentState::Available, -100, 100), // 100 s of it in the quarter
        time("ann", AgentState::OnContact, 100, 400),
        time("ann", AgentState::WrapUp, 400, 500),
        time("ann", AgentState::Reserved, 500, 520),
        time("ann", AgentState::Missed, 520, 600),
        time("ben", AgentState::Available, 0, 100),
        time("ben", AgentState::OnContact, 100, 700),
        time("ben", AgentState::Break, 700, 1_000), // 200 s
        time("cy", AgentState::Offline, 0, 900),
    ];
    Period {
        handoffs: vec![quick, given_on, silent, short, left, callback, lost],
        contacts,
        offers,
        ledger,
        shifts: Vec::new(),
    }
}

fn near(got: Option<f64>, want: f64) {
    let got = got.expect("there is something to divide by");
    assert!((got - want).abs() < 1e-9, "{got} is not {want}");
}

#[test]
fn a_quarter_of_an_hour_by_hand() {
    let figures = figures(&quarter(), span(0, QUARTER), &limits(QUARTER), None);
    let Figures {
        queued, waiting, handled, abandoned, short_abandoned, callbacks, helped_otherwise, interrupted, ..
    } = figures;
    assert_eq!((queued, waiting, handled, abandoned), (7, 0, 3, 2));
    assert_eq!((short_abandoned, callbacks, helped_otherwise, interrupted), (1, 1, 0, 1));
    // 10 and 15 s are in time; 45 s is not. Seven less the one who left after 3 s.
    near(figures.service_level, 2.0 / 6.0);
    near(figures.service_level_asterisk, 2.0 / 3.0);
    near(figures.service_level_asterisk_2, 3.0 / 5.0);
    near(figures.abandonment_rate, 2.0 / 7.0);
    // (10 + 15 + 45) / 3
    assert_eq!((figures.asa_ms, figures.wait_p50_ms, figures.wait_p90_ms), (Some(23_333), Some(15_000), Some(45_000)));
    assert_eq!(figures.longest_wait_ms, Some(60_000), "the callback's");
    // Talk 100 + 260 + 155, hold 20, wrap-up 30 + 60 + 30: 655 s for three.
    assert_eq!(figures.aht_ms, Some(218_333));
    assert_eq!((figures.talk_ms, figures.hold_ms, figures.wrap_up_ms), (Some(171_666), Some(6_666), Some(40_000)));
    near(figures.holds, 1.0 / 3.0);
    near(figures.transfer_rate, 1.0 / 3.0);
    // Six asked themselves; one of them was lost. Two of the six spoke with a person.
    near(figures.human_request_honoured, 5.0 / 6.0);
    assert_eq!((figures.time_to_human_p50_ms, figures.time_to_human_p90_ms), (Some(10_000), Some(15_000)));
    near(figures.ended_otherwise, 4.0 / 6.0);

    let offers = figures.offers;
    assert_eq!((offers.offered, offers.accepted, offers.rejected, offers.timed_out), (8, 5, 1, 1));
    near(offers.answer_rate, 5.0 / 8.0);
    near(offers.rona_rate, 1.0 / 8.0);
    near(offers.failed_connect_rate, 1.0 / 5.0);

    let time = figures.time.expect("of all queues");
    assert_eq!((time.agents, time.available_ms, time.offered_ms), (2, 200_000, 20_000));
    assert_eq!((time.on_contact_ms, time.wrap_up_ms, time.out_ms, time.away_ms), (900_000, 100_000, 80_000, 200_000));
    near(time.occupancy, 1_000.0 / 1_200.0);
    near(time.utilisation, 1_220.0 / 1_500.0);
    near(time.standby_ratio, 300.0 / 1_300.0);
    // Ann was offered three, Ben four; Cy was not signed in. The hard call was Ben's.
    near(figures.offers_jain, 49.0 / 50.0);
    near(figures.hard_calls_jain, 0.5);
}

/// Four callers and seven records. One was waiting when the server was started anew (asked at 0, back at 30, answered at 45);
/// one was speaking with Ann then (asked at 10, answered at 20, back at 30, with Ann again from 40 to 100); one hung up while
/// waiting and called again (asked at 50, left at 60, back at 80, left for good at 110); one was answered after 5 s.
fn after_a_restart() -> Period {
    use HandoffOutcome::*;
    let waiting = asked(0, Some(30), Interrupted, "main");
    let waited_on = came_back(&waiting, 30, Some(145), Bridged);
    let speaking = asked(10, Some(30), Interrupted, "main");
    let spoke_on = came_back(&speaking, 30, Some(100), Bridged);
    let hung_up = asked(50, Some(60), CallerHungUp, "main");
    let again = came_back(&hung_up, 80, Some(110), CallerHungUp);
    let other = asked(60, Some(95), Bridged, "main");
    let contacts = vec![
        ContactRecord { wrap_up_ms: None, ..talk(&speaking, "ann", 20, 30, CallEnd::ServerStopped) },
        talk(&spoke_on, "ann", 40, 100, CallEnd::AgentEnded),
        talk(&waited_on, "ben", 45, 145, CallEnd::CallerHungUp),
        talk(&other, "cy", 65, 95, CallEnd::CallerHungUp),
    ];
    let offers = vec![
        offer(&waiting, "ben", 25, Some(OfferResult::Canceled)),
        offer(&waited_on, "ben", 42, Some(OfferResult::Accepted)),
    ];
    let handoffs = vec![waiting, waited_on, speaking, spoke_on, hung_up, again, other];
    Period { handoffs, contacts, offers, ..Period::default() }
}

#[test]
fn whoever_comes_back_is_one_caller() {
    let figures = figures(&after_a_restart(), span(0, QUARTER), &limits(QUARTER), None);
    assert_eq!((figures.queued, figures.handled, figures.abandoned, figures.interrupted), (4, 3, 1, 0));
    // 45, 10 and 5 s; who called again had waited for 60 s when they left.
    assert_eq!((figures.asa_ms, figures.wait_p50_ms, figures.wait_p90_ms), (Some(20_000), Some(10_000), Some(45_000)));
    assert_eq!((figures.longest_wait_ms, figures.short_abandoned), (Some(60_000), 0));
    near(figures.service_level, 2.0 / 4.0);
    near(figures.abandonment_rate, 1.0 / 4.0);
    // Talk 10 + 60, 100 and 30; wrap-up 30 each: 290 s for three.
    assert_eq!((figures.talk_ms, figures.aht_ms), (Some(66_666), Some(96_666)));
    near(figures.human_request_honoured, 1.0);
    assert_eq!((figures.time_to_human_p50_ms, figures.time_to_human_p90_ms), (Some(10_000), Some(45_000)));
}

#[test]
fn whoever_comes_back_belongs_to_the_span_of_the_first_wish() {
    let period = after_a_restart();
    let of = |from, until| figures(&period, span(from, until), &limits(QUARTER), None);
    let (early, late) = (of(0, 30), of(30, QUARTER));
    assert_eq!((early.queued, early.handled, late.queued, late.handled, late.abandoned), (2, 2, 2, 1, 1));
    assert_eq!(early.asa_ms, Some(27_500), "45 and 10 s");
    let queue = figures(&period, span(0, QUARTER), &limits(QUARTER), Some("main"));
    assert_eq!((queue.queued, queue.offers.offered), (4, 2), "offers of both records are the queue's");
}

#[test]
fn a_conversation_that_a_restart_broke_is_one() {
    let agents = by_agent(&after_a_restart(), span(0, QUARTER), &limits(QUARTER));
    let of = |name: &str| &agents[&AgentId(name.to_owned())];
    // Ann: 10 + 60 + 30 s.
    assert_eq!((of("ann").handled, of("ann").aht_ms), (1, Some(100_000)));
    assert_eq!((of("ben").handled, of("ben").aht_ms), (1, Some(130_000)));
}

#[test]
fn records_that_name_each_other_in_a_circle_end_nowhere() {
    let mut one = asked(0, Some(10), HandoffOutcome::Interrupted, "main");
    let mut other = came_back(&one, 20, Some(30), HandoffOutcome::Bridged);
    one.continues = Some(other.id);
    other.continues = Some(one.id);
    let contacts = vec![talk(&one, "ann", 5, 10, CallEnd::CallerHungUp)];
    let period = Period { handoffs: vec![one, other], contacts, ..Period::default() };
    assert_eq!(figures(&period, span(0, QUARTER), &limits(QUARTER), None).queued, 0);
    assert!(by_agent(&period, span(0, QUARTER), &limits(QUARTER)).len() <= 1);
}

#[test]
fn a_queue_has_its_own_callers_and_nobodys_time() {
    let billing = figures(&quarter(), span(0, QUARTER), &limits(QUARTER), Some("billing"));
    assert_eq!((billing.queued, billing.handled, billing.interrupted, billing.time), (3, 2, 1, None));
    assert_eq!(billing.offers.offered, 3);
    near(billing.service_level, 2.0 / 3.0);
    assert_eq!(figures(&quarter(), span(0, QUARTER), &limits(QUARTER), Some("nowhere")).queued, 0);
}

#[test]
fn each_agent_has_their_own() {
    let agents = by_agent(&quarter(), span(0, QUARTER), &limits(QUARTER));
    let of = |name: &str| &agents[&AgentId(name.to_owned())];
    // Ann: 120 + 30 and 100 + 30. Ben: 160 + 30 and 155 + 30.
    assert_eq!((of("ann").handled, of("ann").aht_ms), (2, Some(140_000)));
    assert_eq!((of("ben").handled, of("ben").aht_ms), (2, Some(187_500)));
    assert_eq!((of("cy").handled, of("cy").aht_ms, of("cy").offers.offered), (0, None, 2));
    near(of("cy").offers.failed_connect_rate, 1.0);
    near(of("ann").offers.rona_rate, 1.0 / 3.0);
    near(of("ann").time.occupancy, 400.0 / 500.0);
    assert_eq!(of("cy").time.occupancy, None);
}

#[test]
fn adherence_is_of_the_time_that_was_scheduled() {
    let shift = crate::store::ShiftRecord {
        id: uuid::Uuid::now_v7(),
        agent_id: AgentId("ann".to_owned()),
        began_at: at(300),
        ended_at: at(1_500),
        scheduled_by: AgentId("boss".to_owned()),
        scheduled_at: at(0),
        released_at: None,
    };
    let period = Period { shifts: vec![shift], ..quarter() };
    // From 300 to 900 of the quarter Ann was there until 600.
    near(by_agent(&period, span(0, QUARTER), &limits(QUARTER))[&AgentId("ann".to_owned())].adherence, 0.5);
}

#[test]
fn nothing_is_not_zero() {
    let nothing = figures(&Period::default(), span(0, QUARTER), &limits(QUARTER), None);
    assert_eq!((nothing.queued, nothing.service_level, nothing.asa_ms, nothing.aht_ms), (0, None, None, None));
    assert_eq!(nothing.offers.answer_rate, None);
    assert_eq!((nothing.offers_jain, nothing.human_request_honoured), (None, None));
}

#[test]
fn records_of_an_earlier_version_count_by_the_handoff_alone() {
    let old =
        HandoffRecord { bridged_at: Some(at(12)), queue: None, ..asked(0, Some(72), HandoffOutcome::Bridged, "") };
    let period = Period { handoffs: vec![old], ..Period::default() };
    let figures = figures(&period, span(0, QUARTER), &limits(QUARTER), None);
    assert_eq!((figures.handled, figures.asa_ms, figures.talk_ms), (1, Some(12_000), Some(60_000)));
}

#[test]
fn who_still_waits_has_waited_until_now() {
    let period = Period { handoffs: vec![asked(100, None, HandoffOutcome::Open, "main")], ..Period::default() };
    let figures = figures(&period, span(0, QUARTER), &limits(160), None);
    assert_eq!((figures.waiting, figures.longest_wait_ms, figures.abandoned), (1, Some(60_000), 0));
    near(figures.service_level, 0.0);
    assert_eq!(figures.ended_otherwise, None, "it has not ended");
}

prop_compose! {
    fn any_handoff()(second in 0i64..3_600, length in 0i64..600, kind in 0usize..7, open in any::<bool>()) -> HandoffRecord {
        use HandoffOutcome::*;
        let outcome = [Bridged, Transferred, CallbackBooked, LeftMessage, BackToAssistant, CallerHungUp, Interrupted][kind];
        let (ended, outcome) = if open { (None, Open) } else { (Some(second + length), outcome) };
        let bridged_at = (outcome == Bridged).then(|| at(second + length / 2));
        HandoffRecord { bridged_at, ..asked(second, ended, outcome, "main") }
    }
}

proptest! {
    #[test]
    fn every_caller_is_counted_once_and_pieces_add_up(
        handoffs in prop::collection::vec(any_handoff(), 0..40),
        spans in prop::collection::vec((0usize..8, -600i64..4_000, 0i64..900), 0..40),
        length in 60i64..1_000,
    ) {
        use AgentState::*;
        let states = [Available, Reserved, OnContact, WrapUp, Missed, Error, Break, Offline];
        let ledger = spans.iter().map(|(state, from, length)| time("ann", states[*state], *from, from + length)).collect();
        let period = Period { handoffs, ledger, ..Period::default() };
        let whole = span(0, 3_600);
        let all = figures(&period, whole, &limits(5_000), None);
        let ends = all.waiting + all.handled + all.abandoned + all.callbacks + all.helped_otherwise + all.interrupted;
        prop_assert_eq!(all.queued, ends);
        prop_assert_eq!(all.queued as usize, period.handoffs.len());
        for share in [all.service_level, all.abandonment_rate, all.human_request_honoured, all.ended_otherwise].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&share), "{}", share);
        }
        let pieces = whole.pieces(SignedDuration::from_secs(length));
        prop_assert_eq!(pieces.first().map(|piece| piece.from), Some(whole.from));
        prop_assert_eq!(pieces.last().map(|piece| piece.until), Some(whole.until));
        let parts: Vec<Figures> = pieces.iter().map(|piece| figures(&period, *piece, &limits(5_000), None)).collect();
        prop_assert_eq!(parts.iter().map(|part| part.queued).sum::<u32>(), all.queued);
        prop_assert_eq!(parts.iter().map(|part| part.handled).sum::<u32>(), all.handled);
        let available = |figures: &Figures| figures.time.map_or(0, |time| time.available_ms + time.on_contact_ms);
        prop_assert_eq!(parts.iter().map(available).sum::<u64>(), available(&all));
    }
}

/// The outline of a period, as a store makes it.
fn outline(period: &Period, span: Span) -> Outline {
    let wait = |one: &HandoffRecord| {
        let talks = || period.contacts.iter().filter(|talk| talk.handoff_id == one.id);
        WaitRecord {
            id: one.id,
            continues: one.continues,
            reason: one.reason,
            requested_at: one.requested_at,
            bridged_at: one.bridged_at,
            ended_at: one.ended_at,
            outcome: one.outcome,
            talked_at: talks().filter(|talk| !failed(talk)).map(|talk| talk.began_at).min(),
            has_talks: talks().next().is_some(),
        }
    };
    let time = period.ledger.iter().map(|entry| (entry.state, span.overlap(entry.began_at, entry.ended_at)));
    Outline { waits: period.handoffs.iter().map(wait).collect(), time: time.collect() }
}

fn gauges_of(figures: &Figures) -> Gauges {
    Gauges {
        service_level: figures.service_level,
        abandonment_rate: figures.abandonment_rate,
        occupancy: figures.time.and_then(|time| time.occupancy),
    }
}

#[test]
fn gauges_are_the_figures_of_those_periods() {
    let whole = span(0, QUARTER);
    for period in [quarter(), after_a_restart(), Period::default()] {
        let figures = figures(&period, whole, &limits(QUARTER), None);
        assert_eq!(gauges(&outline(&period, whole), &[], whole, &limits(QUARTER)), gauges_of(&figures));
    }
    let told = gauges(&outline(&quarter(), whole), &[], whole, &limits(QUARTER));
    near(told.service_level, 2.0 / 6.0);
    near(told.abandonment_rate, 2.0 / 7.0);
    near(told.occupancy, 1_000.0 / 1_200.0);
}

proptest! {
    #[test]
    fn gauges_are_the_figures_of_any_period(
        mut handoffs in prop::collection::vec(any_handoff(), 1..40),
        talks in prop::collection::vec((0usize..40, 0i64..600, 0i64..300, any::<bool>()), 0..30),
        resumed in prop::collection::vec(any::<bool>(), 40),
        callbacks in prop::collection::vec(any::<bool>(), 40),
        spans in prop::collection::vec((0usize..8, -600i64..4_000, 0i64..900), 0..40),
        open in 0usize..3,
    ) {
        use AgentState::*;
        let states = [Available, Reserved, OnContact, WrapUp, Missed, Error, Break, Offline];
        handoffs.sort_by_key(|one| (one.requested_at, one.id));
        for index in 1..handoffs.len() {
            if resumed[index] {
                handoffs[index].continues = Some(handoffs[index - 1].id);
            } else if callbacks[index] {
                handoffs[index].reason = HandoffReason::Callback;
            }
        }
        let contacts = talks.iter().map(|(of, after, length, heard)| {
            let of = &handoffs[of % handoffs.len()];
            let from = of.requested_at.duration_since(at(0)).as_secs() + after;
            talk(of, "ann", from, from + length, if *heard { CallEnd::AgentEnded } else { CallEnd::NoSound })
        }).collect();
        let ledger: Vec<_> =
            spans.iter().map(|(state, from, length)| time("ann", states[*state], *from, from + length)).collect();
        let (open, closed) = ledger.split_at(open.min(ledger.len()));
        let whole = span(0, 3_600);
        let all = Period { handoffs, contacts, ledger: ledger.clone(), ..Period::default() };
        let stored = Period { ledger: closed.to_vec(), ..all.clone() };
        let limits = limits(5_000);
        let wanted = gauges_of(&figures(&all, whole, &limits, None));
        prop_assert_eq!(gauges(&outline(&stored, whole), open, whole, &limits), wanted);
    }
}
