//! What every [`Store`] must do, whatever is under it; and sample records other tests use.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::claims::Claim;
use super::{
    AgentDay, AuditRecord, CallDetail, CallFilter, CallOutcome, CallQuery, CallRecord, CallbackRecord, CommentRecord,
    ContactRecord, EntryUse, HandoffOutcome, HandoffRecord, HoursRecord, KeyRecord, LedgerRecord, MAX_LIMIT,
    MeanRubric, MessageKind, MessageRecord, OfferRecord, OpenShiftRecord, Part, PartyRecord, QueueRecord, Rubric,
    ScoreRecord, SessionKind, SessionRecord, ShiftRecord, StandRecord, Store, StoreError, ToolOutcome, ToolRunRecord,
    TriggerRecord, TurnRecord, TurnTimings, UserRecord, UserRole, WaitRecord, WrapUpRecord,
};
use crate::call::CallId;
use crate::handoff::callback::CallbackEnd;
use crate::handoff::routing::plan::PaidClass;
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::judgment::decision::{Decision, Inputs, Outcome, Settings};
use crate::telemetry::Pii;
use crate::telephony::protocol::Speaker;

/// Runs everything against an empty store.
pub(crate) async fn run(store: &dyn Store) {
    store.ping().await.expect("usable");
    everything_comes_back(store).await;
    writing_twice_changes_nothing(store).await;
    listings_continue_and_keep_to_their_agent(store).await;
    calls_are_found_by_what_they_were(store).await;
    an_agents_day_is_counted(store).await;
    messages_are_done_once(store).await;
    orphans_are_closed(store).await;
    what_supervisors_did_is_only_added_to(store).await;
    time_is_only_added_to_and_is_its_owners(store).await;
    assistant_and_people_are_scored_alike(store).await;
    accounts_and_sessions(store).await;
    keys_are_good_until_they_end(store).await;
    hours_hold_until_they_are_forgotten(store).await;
    what_is_kept_of_queues_holds_until_it_is_forgotten(store).await;
    an_open_shift_is_taken_by_one_and_given_back(store).await;
    a_telephone_is_its_owners(store).await;
    a_period_has_what_belongs_to_it(store).await;
    callbacks_are_found_until_they_are_over(store).await;
    shifts_are_promised_and_called_off_once(store).await;
    what_agents_do_is_taken_once(store).await;
    one_of_many_takes_a_thing(store).await;
}

/// Whole microseconds: that is what databases keep.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time in range")
}

pub(crate) fn call(started: i64) -> CallRecord {
    CallRecord {
        id: CallId::generate(),
        provider: "twilio".to_owned(),
        provider_call_id: "CA1".to_owned(),
        from: Some(Pii::new("+15550001234".to_owned())),
        to: None,
        started_at: at(started),
        ended_at: Some(at(started + 60)),
        outcome: CallOutcome::EndedWithAssistant,
        recording: None,
        notice_at_ms: None,
    }
}

pub(crate) fn handoff(call: CallId, agent: Option<&str>) -> HandoffRecord {
    HandoffRecord {
        id: HandoffId::generate(),
        call_id: call,
        reason: HandoffReason::CallerAsked,
        summary: vec!["wants a refund".to_owned(), "order not found".to_owned()],
        requested_at: at(20),
        bridged_at: agent.map(|_| at(30)),
        ended_at: Some(at(50)),
        outcome: HandoffOutcome::Bridged,
        agent_id: agent.map(|id| AgentId(id.to_owned())),
        queue: Some("billing".to_owned()),
        continues: None,
    }
}

pub(crate) fn contact(handoff: &HandoffRecord, agent: &str, began: i64, ended: Option<i64>) -> ContactRecord {
    ContactRecord {
        id: Uuid::now_v7(),
        handoff_id: handoff.id,
        call_id: handoff.call_id,
        agent_id: AgentId(agent.to_owned()),
        began_at: at(began),
        ended_at: ended.map(at),
        ended_by: ended.map(|_| CallEnd::CallerHungUp),
        hold_ms: 0,
        holds: 0,
        wrap_up_ms: None,
    }
}

pub(crate) fn message(call: CallId, created: i64) -> MessageRecord {
    MessageRecord {
        id: Uuid::now_v7(),
        call_id: call,
        kind: MessageKind::Callback,
        created_at: at(created),
        number: Some(Pii::new("+15550001234".to_owned())),
        recording: Some("a-message.wav".to_owned()),
        text: Some("please call".to_owned()),
        done_by: None,
        done_at: None,
    }
}

pub(crate) fn user(name: &str, role: UserRole) -> UserRecord {
    UserRecord {
        id: AgentId(format!("id-of-{name}")),
        name: name.to_owned(),
        password_hash: crate::telemetry::Secret::new("$argon2id$…".to_owned()),
        role,
        must_change_password: true,
    }
}

/// A reviewer's score of the assistant's part, or of an agent's.
fn score(call: CallId, agent: Option<&str>, second: i64, points: [Option<u8>; 4]) -> ScoreRecord {
    let [resolved, correct, effort, tone] = points;
    ScoreRecord {
        call_id: call,
        agent_id: agent.map(|id| AgentId(id.to_owned())),
        by: AgentId("boss".to_owned()),
        at: at(second),
        points: Rubric { resolved, correct, effort, tone },
    }
}

/// A call with one of everything.
fn detail() -> CallDetail {
    let call = CallRecord {
        notice_at_ms: Some(1_200),
        to: Some(Pii::new("+1800".to_owned())),
        recording: Some("a.wav".to_owned()),
        ..call(0)
    };
    let handoff = handoff(call.id, Some("agent-1"));
    let timings =
        TurnTimings { endpointing_ms: 450, stt_ms: 0, llm_ms: 900, tts_ms: 120, response_ms: 1_470, decode_ms: 380 };
    let turn = |seq, who, timings: Option<TurnTimings>| TurnRecord {
        call_id: call.id,
        seq,
        who,
        text: "What's the “return” window?".to_owned(),
        planned: timings.map(|_| "Thirty days, and".to_owned()),
        confidence: 0.83,
        started_ms: seq * 1_000,
        ended_ms: seq * 1_000 + 700,
        timings,
        entries: vec![EntryUse { entry: "returns.md#window".to_owned(), score: 0.7, version: Some("4f2a".to_owned()) }],
        agent_id: (who == Speaker::Agent).then(|| AgentId("agent-1".to_owned())),
        decision: (who == Speaker::Caller).then(|| {
            let settings = Settings { verbatim_score: 0.8, min_score: 0.5, min_confidence: 0.45 };
            Decision::new(Inputs { confidence: 0.3, repeated: true, ..Inputs::default() }, settings, Outcome::AskBack)
        }),
        word_times: (0..if who == Speaker::Caller { 4 } else { 0 })
            .map(|word| [word * 150, word * 150 + 120])
            .collect(),
    };
    CallDetail {
        turns: vec![
            turn(0, Speaker::Caller, None),
            turn(1, Speaker::Assistant, Some(timings)),
            turn(2, Speaker::Agent, None),
        ],
        triggers: vec![TriggerRecord {
            call_id: call.id,
            handoff_id: handoff.id,
            at_ms: 20_000,
            reason: HandoffReason::LowConfidence,
            signals: json!({ "avg_logprob": -1.25, "turns": [1, 2] }),
        }],
        offers: vec![OfferRecord {
            id: OfferId::generate(),
            handoff_id: handoff.id,
            call_id: call.id,
            agent_id: AgentId("agent-1".to_owned()),
            offered_at: at(21),
            ended_at: Some(at(25)),
            result: Some(OfferResult::Accepted),
            reason: None,
        }],
        messages: vec![message(call.id, 55)],
        tools: vec![ToolRunRecord {
            id: uuid::Uuid::now_v7(),
            call_id: call.id,
            tool: "cancel_order".to_owned(),
            arguments: json!({ "order_number": "440017" }),
            changes: true,
            started_ms: 9_000,
            ended_ms: Some(9_800),
            outcome: ToolOutcome::Unknown,
            status: None,
            detail: Some("timed out".to_owned()),
        }],
        wrap_ups: vec![WrapUpRecord {
            call_id: call.id,
            agent_id: AgentId("agent-1".to_owned()),
            note: "refund sent".to_owned(),
            disposition: "resolved".to_owned(),
            at: at(58),
        }],
        parties: vec![PartyRecord {
            id: Uuid::now_v7(),
            call_id: call.id,
            agent_id: AgentId("agent-2".to_owned()),
            part: Part::Consulted,
            joined_at: at(30),
            together_at: Some(at(40)),
            left_at: None,
        }],
        comments: vec![CommentRecord {
            id: Uuid::now_v7(),
            call_id: call.id,
            author_id: AgentId("boss".to_owned()),
            at: at(60),
            at_ms: Some(2_000),
            text: "asked twice for the number".to_owned(),
        }],
        scores: vec![score(call.id, None, 61, [Some(2), Some(4), None, Some(5)])],
        contacts: Vec::new(),
        handoffs: vec![handoff],
        call,
    }
}

/// A call in which a caller told who they are, as reviewers see it.
pub(crate) fn reviewed() -> CallDetail {
    let mut detail = detail();
    let call_id = detail.call.id;
    let said = |seq, who, text: &str, from_ms, entry: Option<&str>| TurnRecord {
        call_id,
        seq,
        who,
        text: text.to_owned(),
        planned: None,
        confidence: if who == Speaker::Caller { 0.91 } else { 1.0 },
        started_ms: from_ms,
        ended_ms: from_ms + 900,
        timings: None,
        entries: entry.map(|id| EntryUse { entry: id.to_owned(), score: 0.9, version: None }).into_iter().collect(),
        agent_id: None,
        decision: None,
        word_times: Vec::new(),
    };
    detail.turns = vec![
        said(0, Speaker::Assistant, "How can I help you?", 0, None),
        said(1, Speaker::Caller, "How much is shipping?", 4_000, None),
        said(2, Speaker::Assistant, "Standard delivery is 4.90.", 6_000, Some("delivery")),
        said(3, Speaker::Caller, "My name is Kim Miller, order 4417 “express”", 9_000, None),
        said(4, Speaker::Assistant, "Shall I get a colleague, Kim?", 11_000, None),
        said(5, Speaker::Caller, "Get me a person, my mail is kim@example.org", 14_000, None),
        said(6, Speaker::Agent, "Hello Mrs. Miller", 30_000, None),
        said(7, Speaker::Caller, "Hello", 32_000, None),
    ];
    detail.triggers[0].at_ms = 15_000;
    detail.triggers[0].reason = HandoffReason::CallerAsked;
    detail.handoffs[0].summary = vec!["Caller: “order 4417”".to_owned()];
    detail.wrap_ups[0].note = "Miller wants 4417 by Friday".to_owned();
    detail
}

async fn put(store: &dyn Store, detail: &CallDetail) {
    store.put_call(&detail.call).await.expect("call");
    for turn in &detail.turns {
        store.put_turn(turn).await.expect("turn");
    }
    for trigger in &detail.triggers {
        store.put_trigger(trigger).await.expect("trigger");
    }
    for handoff in &detail.handoffs {
        store.put_handoff(handoff).await.expect("handoff");
    }
    for offer in &detail.offers {
        store.put_offer(offer).await.expect("offer");
    }
    for message in &detail.messages {
        store.put_message(message).await.expect("message");
    }
    for run in &detail.tools {
        store.put_tool_run(run).await.expect("tool run");
    }
    for wrap_up in &detail.wrap_ups {
        store.put_wrap_up(wrap_up).await.expect("wrap-up");
    }
    for party in &detail.parties {
        store.put_party(party).await.expect("party");
    }
    for comment in &detail.comments {
        store.put_comment(comment).await.expect("comment");
    }
    for score in &detail.scores {
        store.put_score(score).await.expect("score");
    }
}

#[track_caller]
fn same<T: serde::Serialize>(left: &T, right: &T) {
    let [left, right] = [left, right].map(|value| serde_json::to_value(value).expect("plain data"));
    assert_eq!(left, right);
}

async fn everything_comes_back(store: &dyn Store) {
    let detail = detail();
    put(store, &detail).await;
    same(&store.get_call(detail.call.id).await.expect("readable"), &Some(detail));
    assert!(store.get_call(CallId::generate()).await.expect("readable").is_none());
}

async fn writing_twice_changes_nothing(store: &dyn Store) {
    let mut detail = detail();
    put(store, &detail).await;
    detail.call.outcome = CallOutcome::SpokeWithAgent;
    detail.turns[1].text = "Thirty days.".to_owned();
    detail.handoffs[0].outcome = HandoffOutcome::CallerHungUp;
    detail.offers[0].reason = Some("lunch".to_owned());
    detail.messages[0].text = None;
    detail.tools[0].outcome = ToolOutcome::Done;
    detail.tools[0].status = Some(200);
    detail.wrap_ups[0].note = "refund refused".to_owned();
    detail.scores[0].points.resolved = Some(1);
    detail.parties[0].left_at = Some(at(50));
    put(store, &detail).await;
    put(store, &detail).await;
    same(&store.get_call(detail.call.id).await.expect("readable"), &Some(detail));
}

async fn listings_continue_and_keep_to_their_agent(store: &dyn Store) {
    let agent = AgentId("agent-of-listings".to_owned());
    let mut taken = Vec::new();
    let mut newest = Vec::new();
    for n in 0..5 {
        let call = call(1_000 + n);
        store.put_call(&call).await.expect("call");
        if n % 2 == 0 {
            store.put_handoff(&handoff(call.id, Some(&agent.0))).await.expect("handoff");
            taken.insert(0, call.id);
        } else {
            store.put_handoff(&handoff(call.id, Some("somebody-else"))).await.expect("handoff");
        }
        newest.insert(0, call.id);
    }
    // Accepted, then given to somebody else: still one of this agent's calls. Rejected: not.
    for (call, result) in [(newest[1], OfferResult::Accepted), (newest[3], OfferResult::Rejected)] {
        let offer = OfferRecord {
            id: OfferId::generate(),
            handoff_id: HandoffId::generate(),
            call_id: call,
            agent_id: agent.clone(),
            offered_at: at(0),
            ended_at: None,
            result: Some(result),
            reason: None,
        };
        store.put_offer(&offer).await.expect("offer");
    }
    taken.insert(1, newest[1]);

    let list = async |taken_by: Option<&AgentId>, before: Option<CallId>, limit: u32| -> Vec<CallId> {
        let query = CallQuery { taken_by: taken_by.cloned(), before, limit, filter: CallFilter::default() };
        store.list_calls(&query).await.expect("readable").into_iter().map(|call| call.id).collect()
    };
    assert_eq!(list(None, None, 5).await, newest);
    assert_eq!(list(None, Some(newest[1]), 2).await, newest[2..4]);
    assert_eq!(list(Some(&agent), None, 100).await, taken);
    assert_eq!(list(Some(&agent), Some(taken[0]), 1).await, taken[1..2]);
    assert!(list(None, None, 0).await.is_empty());
    assert!(list(None, None, u32::MAX).await.len() >= 5);
}

async fn calls_are_found_by_what_they_were(store: &dyn Store) {
    let mut calls = Vec::new();
    for (started, outcome) in [(50_000, CallOutcome::LeftMessage), (50_100, CallOutcome::LeftMessage)] {
        let call = CallRecord { outcome, ..call(started) };
        store.put_call(&call).await.expect("call");
        calls.push(call.id);
    }
    let [older, newer] = calls[..] else { unreachable!("two were made") };
    let detail = detail();
    let turn = TurnRecord { call_id: older, text: "Where is my Parcel?".to_owned(), ..detail.turns[0].clone() };
    store.put_turn(&turn).await.expect("turn");
    let trigger = TriggerRecord { call_id: newer, reason: HandoffReason::Silence, ..detail.triggers[0].clone() };
    store.put_trigger(&trigger).await.expect("trigger");

    let list = async |filter: CallFilter| -> Vec<CallId> {
        let query = CallQuery { limit: MAX_LIMIT, filter, ..CallQuery::default() };
        store.list_calls(&query).await.expect("readable").into_iter().map(|call| call.id).collect()
    };
    let any = CallFilter::default;
    assert_eq!(list(CallFilter { outcome: Some(CallOutcome::LeftMessage), ..any() }).await, [newer, older]);
    assert_eq!(list(CallFilter { reason: Some(HandoffReason::Silence), ..any() }).await, [newer]);
    assert_eq!(list(CallFilter { since: Some(at(50_100)), ..any() }).await, [newer], "the moment itself counts");
    let from_older = CallFilter { since: Some(at(50_000)), until: Some(at(50_100)), ..any() };
    assert_eq!(list(from_older).await, [older], "the end does not");
    assert_eq!(list(CallFilter { said: Some("my pARCEL".to_owned()), ..any() }).await, [older]);
    assert!(list(CallFilter { said: Some("100%".to_owned()), ..any() }).await.is_empty(), "nothing in it is a pattern");
}

async fn an_agents_day_is_counted(store: &dyn Store) {
    let call = call(60_000);
    store.put_call(&call).await.expect("call");
    let agent = AgentId("counted".to_owned());
    let results = [OfferResult::Accepted, OfferResult::Rejected, OfferResult::Timeout, OfferResult::Accepted];
    for (minute, result) in (0..).zip(results) {
        let offer = OfferRecord {
            id: OfferId::generate(),
            handoff_id: HandoffId::generate(),
            call_id: call.id,
            agent_id: agent.clone(),
            offered_at: at(60_000 + 60 * minute),
            ended_at: None,
            result: Some(result),
            reason: None,
        };
        store.put_offer(&offer).await.expect("offer");
    }
    let talked =
        HandoffRecord { bridged_at: Some(at(60_200)), ended_at: Some(at(60_290)), ..handoff(call.id, Some("counted")) };
    store.put_handoff(&talked).await.expect("handoff");
    let still_talking = HandoffRecord { ended_at: None, ..handoff(call.id, Some("counted")) };
    store.put_handoff(&still_talking).await.expect("handoff");

    let day = async |since: i64| store.agent_day(&agent, at(since)).await.expect("readable");
    let all = AgentDay { offered: 4, accepted: 2, declined: 1, missed: 1, talk_ms: 90_000 };
    assert_eq!(day(60_000).await, all);
    assert_eq!(day(60_180).await, AgentDay { offered: 1, accepted: 1, declined: 0, missed: 0, talk_ms: 90_000 });
    assert_eq!(day(70_000).await, AgentDay::default());
}

async fn messages_are_done_once(store: &dyn Store) {
    let call = call(2_000);
    store.put_call(&call).await.expect("call");
    let (older, newer) = (message(call.id, 9_000), message(call.id, 9_001));
    store.put_message(&newer).await.expect("message");
    store.put_message(&older).await.expect("message");
    let ids = |messages: Vec<MessageRecord>| messages.into_iter().map(|message| message.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_messages(true, 2).await.expect("readable")), [newer.id, older.id]);

    let [first, second] = ["first", "second"].map(|name| AgentId(name.to_owned()));
    assert!(store.finish_message(newer.id, &first, at(9_100)).await.expect("written"));
    assert!(!store.finish_message(newer.id, &second, at(9_200)).await.expect("written"), "somebody was faster");
    assert!(!store.finish_message(Uuid::now_v7(), &second, at(9_200)).await.expect("written"), "no such message");
    let done = store.get_message(newer.id).await.expect("readable").expect("there");
    assert_eq!((done.done_by, done.done_at), (Some(first), Some(at(9_100))));
    assert_eq!(ids(store.list_messages(true, 1).await.expect("readable")), [older.id]);
    assert_eq!(ids(store.list_messages(false, 1).await.expect("readable")), [newer.id]);
}

async fn orphans_are_closed(store: &dyn Store) {
    let mut orphan = detail();
    orphan.call.ended_at = None;
    orphan.call.outcome = CallOutcome::Live;
    orphan.handoffs[0] = HandoffRecord { ended_at: None, outcome: HandoffOutcome::Open, ..orphan.handoffs[0].clone() };
    orphan.offers[0] = OfferRecord { ended_at: None, result: None, ..orphan.offers[0].clone() };
    orphan.tools[0] = ToolRunRecord { outcome: ToolOutcome::Started, ..orphan.tools[0].clone() };
    put(store, &orphan).await;
    let talking = contact(&orphan.handoffs[0], "agent-1", 30, None);
    orphan.contacts = vec![talking.clone()];
    store.put_contact(&talking).await.expect("contact");
    let cut_off = async |since| store.cut_off_calls(at(since)).await.expect("readable");
    let live = cut_off(4_000).await;
    assert_eq!(live.iter().map(|detail| detail.call.id).collect::<Vec<_>>(), [orphan.call.id]);
    same(&live[0], &orphan);
    assert_eq!(store.close_orphans(at(5_000)).await.expect("written"), 1);
    assert_eq!(store.close_orphans(at(6_000)).await.expect("written"), 0);
    assert!(cut_off(5_001).await.is_empty());
    // The process that closed it may die before the caller is back.
    assert_eq!(cut_off(5_000).await.iter().map(|detail| detail.call.id).collect::<Vec<_>>(), [orphan.call.id]);
    let back = CallRecord { id: CallId::generate(), ..orphan.call.clone() };
    let back = CallRecord { ended_at: Some(at(5_500)), outcome: CallOutcome::SpokeWithAgent, ..back };
    store.put_call(&back).await.expect("call");
    assert!(cut_off(5_000).await.is_empty(), "back in another call");
    let closed = store.get_call(orphan.call.id).await.expect("readable").expect("there");
    assert_eq!((closed.call.outcome, closed.call.ended_at), (CallOutcome::Interrupted, Some(at(5_000))));
    assert_eq!(closed.handoffs[0].outcome, HandoffOutcome::Interrupted);
    assert_eq!(closed.offers[0].result, Some(OfferResult::Canceled));
    assert_eq!(closed.tools[0].outcome, ToolOutcome::Unknown, "nobody knows what became of it");
    let asked = orphan.handoffs[0].requested_at;
    let period = store.period(asked, at(10_000)).await.expect("readable");
    let closed = period.contacts.iter().find(|one| one.id == talking.id).expect("there");
    assert_eq!((closed.ended_at, closed.ended_by), (Some(at(5_000)), Some(CallEnd::ServerStopped)));
}

async fn accounts_and_sessions(store: &dyn Store) {
    let (mut alice, bob) = (user("alice", UserRole::Admin), user("bob", UserRole::Agent));
    store.add_user(&bob).await.expect("added");
    store.add_user(&alice).await.expect("added");
    let twin = UserRecord { id: AgentId("another".to_owned()), ..alice.clone() };
    assert!(matches!(store.add_user(&twin).await, Err(StoreError::Conflict { .. })));
    let names: Vec<_> = store.list_users().await.expect("readable").into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["alice", "bob"]);

    alice.must_change_password = false;
    alice.role = UserRole::Supervisor;
    store.update_user(&alice).await.expect("updated");
    let found = store.find_user("alice").await.expect("readable").expect("there");
    assert_eq!((found.role, found.must_change_password), (UserRole::Supervisor, false));
    assert_eq!(found.password_hash, alice.password_hash);
    let renamed = UserRecord { name: "bob".to_owned(), ..alice.clone() };
    assert!(matches!(store.update_user(&renamed).await, Err(StoreError::Conflict { .. })));
    assert!(store.find_user("carol").await.expect("readable").is_none());

    let session = |hash: u8, user: &UserRecord, kind, until| SessionRecord {
        token_hash: [hash; 32],
        user_id: user.id.clone(),
        kind,
        expires_at: until,
    };
    store.put_session(&session(1, &alice, SessionKind::Browser, at(100)), at(0)).await.expect("written");
    store.put_session(&session(2, &alice, SessionKind::ApiToken, at(900)), at(0)).await.expect("written");
    store.put_session(&session(3, &bob, SessionKind::Browser, at(900)), at(0)).await.expect("written");
    let whose =
        async |hash: u8, now| store.find_session(&[hash; 32], now).await.expect("readable").map(|user| user.name);
    assert_eq!(whose(1, at(99)).await.as_deref(), Some("alice"));
    assert_eq!(whose(1, at(100)).await, None, "expired");
    assert_eq!(whose(9, at(0)).await, None, "unknown");
    store.put_session(&session(4, &bob, SessionKind::Browser, at(900)), at(200)).await.expect("written");
    assert_eq!(whose(1, at(0)).await, None, "expired sessions are forgotten when another begins");

    store.delete_sessions(&bob.id, SessionKind::Browser).await.expect("written");
    assert_eq!((whose(3, at(0)).await, whose(4, at(0)).await), (None, None));
    store.delete_sessions(&alice.id, SessionKind::Browser).await.expect("written");
    assert_eq!(whose(2, at(0)).await.as_deref(), Some("alice"), "a token for programs is another kind");
    assert!(store.delete_user(&alice.id).await.expect("written"));
    assert!(!store.delete_user(&alice.id).await.expect("written"));
    assert_eq!(whose(2, at(0)).await, None, "tokens go with their account");
    store.put_session(&session(5, &bob, SessionKind::Browser, at(900)), at(0)).await.expect("written");
    store.delete_session(&[5; 32]).await.expect("written");
    assert_eq!(whose(5, at(0) - SignedDuration::from_secs(1)).await, None);
}

async fn keys_are_good_until_they_end(store: &dyn Store) {
    let mut maker = user("key-maker", UserRole::Admin);
    store.add_user(&maker).await.expect("added");
    let key = |made, expires| KeyRecord {
        id: Uuid::now_v7(),
        name: "reporting".to_owned(),
        role: UserRole::Supervisor,
        ending: "x7Q2".to_owned(),
        made_by: maker.id.clone(),
        made_at: at(made),
        expires_at: at(expires),
        last_used_at: None,
        revoked_at: None,
    };
    let (first, second) = (key(400_000, 400_900), key(400_001, 400_900));
    store.add_key(&first, &[21; 32]).await.expect("written");
    store.add_key(&second, &[22; 32]).await.expect("written");
    store.add_key(&KeyRecord { role: UserRole::Admin, ..first.clone() }, &[23; 32]).await.expect("is there already");
    assert_eq!(store.list_keys().await.expect("listed"), [second.clone(), first.clone()]);

    let used = async |hash: u8, second| store.use_key(&[hash; 32], at(second)).await.expect("readable");
    assert_eq!(used(21, 400_010).await.map(|key| key.id), Some(first.id));
    assert_eq!(used(23, 400_010).await, None, "unknown");
    assert_eq!(used(21, 400_900).await, None, "expired");
    used(21, 400_020).await.expect("good");
    let last = async |n: usize| store.list_keys().await.expect("listed")[n].last_used_at;
    assert_eq!((last(1).await, last(0).await), (Some(at(400_010)), None), "noted once a minute");
    used(21, 400_070).await.expect("good");
    assert_eq!(last(1).await, Some(at(400_070)));

    maker.role = UserRole::Agent;
    store.update_user(&maker).await.expect("updated");
    assert_eq!(used(22, 400_080).await.map(|key| key.role), Some(UserRole::Agent), "no more than its maker may");

    let ended = store.revoke_key(first.id, at(400_100)).await.expect("written").expect("there");
    assert_eq!(ended.revoked_at, Some(at(400_100)));
    let again = store.revoke_key(first.id, at(400_200)).await.expect("written").expect("there");
    assert_eq!(again.revoked_at, Some(at(400_100)), "the first time counts");
    assert_eq!(used(21, 400_110).await, None);
    assert!(store.revoke_key(Uuid::now_v7(), at(0)).await.expect("written").is_none());
    store.delete_user(&maker.id).await.expect("written");
    assert_eq!(used(22, 400_120).await, None, "keys go with their maker");
    assert!(store.list_keys().await.expect("listed").is_empty());
}

async fn hours_hold_until_they_are_forgotten(store: &dyn Store) {
    let hours = |name: &str, weekly: &str| HoursRecord {
        name: name.to_owned(),
        zone: "Europe/Berlin".to_owned(),
        weekly: vec![weekly.to_owned()],
        days: vec!["2026-12-25".to_owned(), "2026-12-24 09:00-12:00".to_owned()],
        queues: vec!["billing".to_owned()],
        set_by: AgentId("boss".to_owned()),
        set_at: at(0),
    };
    let (office, night) = (hours("office", "mon-fri 09:00-17:00"), hours("night", "mon-sun 22:00-06:00"));
    store.put_hours(&office).await.expect("written");
    store.put_hours(&night).await.expect("written");
    let later = hours("office", "mon-fri 08:00-18:00");
    store.put_hours(&later).await.expect("written");
    assert_eq!(store.list_hours().await.expect("listed"), [night.clone(), later]);
    assert!(store.delete_hours("office").await.expect("written"));
    assert!(!store.delete_hours("office").await.expect("written"));
    assert_eq!(store.list_hours().await.expect("listed"), [night]);
}

async fn what_is_kept_of_queues_holds_until_it_is_forgotten(store: &dyn Store) {
    let queue = |name: &str, priority, message: &str| QueueRecord {
        name: name.to_owned(),
        priority,
        message: message.to_owned(),
        set_by: AgentId("boss".to_owned()),
        set_at: at(0),
    };
    let (cards, billing) = (queue("cards", -5, ""), queue("billing", 10, "Invoices are late this week."));
    store.put_queue(&cards).await.expect("written");
    store.put_queue(&billing).await.expect("written");
    let later = queue("cards", 20, "Lost cards first.");
    store.put_queue(&later).await.expect("written");
    assert_eq!(store.list_queues().await.expect("listed"), [billing.clone(), later]);
    assert!(store.delete_queue("cards").await.expect("written"));
    assert!(!store.delete_queue("cards").await.expect("written"));
    assert_eq!(store.list_queues().await.expect("listed"), [billing]);
}

async fn an_open_shift_is_taken_by_one_and_given_back(store: &dyn Store) {
    let open = |from, until| OpenShiftRecord {
        id: Uuid::now_v7(),
        began_at: at(from),
        ended_at: at(until),
        offered_by: AgentId("boss".to_owned()),
        offered_at: at(0),
    };
    let (early, same, late) = (open(500_000, 503_600), open(501_000, 504_000), open(503_600, 507_200));
    for shift in [&late, &early, &same] {
        store.put_open_shift(shift).await.expect("written");
    }
    let listed = async || store.list_open_shifts(at(500_000), at(510_000)).await.expect("listed");
    assert_eq!(listed().await, [early.clone(), same.clone(), late.clone()]);
    let agent = |name: &str| AgentId(name.to_owned());
    let take = async |shift: &OpenShiftRecord, who: &str, second| {
        store.take_open_shift(shift.id, &agent(who), at(second)).await.expect("written")
    };
    assert_eq!(take(&early, "kim", 500_000).await, None, "it has begun");
    let taken = take(&early, "kim", 499_000).await.expect("free");
    assert_eq!((taken.id, &taken.agent_id, &taken.scheduled_by), (early.id, &agent("kim"), &agent("boss")));
    assert_eq!((taken.began_at, taken.ended_at, taken.scheduled_at), (at(500_000), at(503_600), at(499_000)));
    assert_eq!(take(&early, "lee", 499_001).await, None, "gone");
    assert_eq!(take(&same, "kim", 499_002).await, None, "nobody is in two places");
    assert!(take(&late, "kim", 499_003).await.is_some(), "one after the other is fine");
    assert_eq!(listed().await, std::slice::from_ref(&same));

    let give =
        async |who: &str, second| store.give_back_shift(early.id, &agent(who), at(second)).await.expect("written");
    assert_eq!(give("lee", 499_100).await, None, "not theirs");
    assert_eq!(give("kim", 500_000).await, None, "it has begun");
    let back = give("kim", 499_200).await.expect("theirs");
    assert_eq!(back, OpenShiftRecord { offered_at: at(499_200), ..early.clone() });
    assert_eq!(give("kim", 499_300).await, None, "once");
    assert_eq!(listed().await, [back, same.clone()]);
    let shifts = store.list_shifts(at(499_000), at(503_600)).await.expect("listed");
    assert!(shifts.iter().all(|shift| shift.id != early.id), "nothing is promised any more");
    assert!(store.delete_open_shift(same.id).await.expect("written"));
    assert!(!store.delete_open_shift(same.id).await.expect("written"));
}

async fn a_telephone_is_its_owners(store: &dyn Store) {
    let owner = user("at-home", UserRole::Agent);
    store.add_user(&owner).await.expect("added");
    let number = |text: &str| Pii::new(text.to_owned());
    assert_eq!(store.telephone_of(&owner.id).await.expect("readable"), None);
    for text in ["+15005550001", "204"] {
        store.put_telephone(&owner.id, Some(&number(text)), at(0)).await.expect("written");
        assert_eq!(store.telephone_of(&owner.id).await.expect("readable"), Some(number(text)));
    }
    store.put_telephone(&owner.id, None, at(1)).await.expect("written");
    assert_eq!(store.telephone_of(&owner.id).await.expect("readable"), None);
    store.put_telephone(&owner.id, Some(&number("204")), at(2)).await.expect("written");
    store.delete_user(&owner.id).await.expect("written");
    assert_eq!(store.telephone_of(&owner.id).await.expect("readable"), None, "it goes with the account");
}

async fn what_supervisors_did_is_only_added_to(store: &dyn Store) {
    let entry = |second, action: &str, call_id, detail: Option<&str>| AuditRecord {
        id: Uuid::now_v7(),
        at: at(second),
        user_id: AgentId("boss".to_owned()),
        action: action.to_owned(),
        call_id,
        detail: detail.map(str::to_owned),
    };
    let first = entry(70, "listen", Some(CallId::generate()), None);
    let second = entry(71, "prioritise", None, Some("7"));
    store.put_audit(&second).await.expect("written");
    store.put_audit(&first).await.expect("written");
    store.put_audit(&AuditRecord { action: "force_end".to_owned(), ..first.clone() }).await.expect("is there already");
    assert_eq!(store.list_audit(10).await.expect("listed"), [second.clone(), first]);
    assert_eq!(store.list_audit(1).await.expect("listed"), [second]);
}

async fn time_is_only_added_to_and_is_its_owners(store: &dyn Store) {
    let entry = |agent: &str, from, to, class, code: Option<&str>| LedgerRecord {
        id: Uuid::now_v7(),
        agent_id: AgentId(agent.to_owned()),
        state: AgentState::Break,
        code: code.map(str::to_owned),
        class,
        began_at: at(from),
        ended_at: at(to),
    };
    let first = entry("ann", 80_000, 80_010, PaidClass::Work, Some("training"));
    let second = entry("ann", 80_010, 80_030, PaidClass::None, None);
    let other = entry("ben", 80_000, 80_030, PaidClass::Standby, None);
    for entry in [&second, &first, &other] {
        store.put_ledger(entry).await.expect("written");
    }
    let changed = LedgerRecord { class: PaidClass::None, ..first.clone() };
    store.put_ledger(&changed).await.expect("is there already");
    let of = async |agent: &str, since, until| {
        store.list_ledger(&AgentId(agent.to_owned()), at(since), at(until)).await.expect("listed")
    };
    assert_eq!(of("ann", 80_000, 90_000).await, [first, second.clone()]);
    assert_eq!(of("ann", 80_001, 90_000).await, [second]);
    assert_eq!(of("ben", 80_000, 80_001).await, [other]);
    assert_eq!(of("ben", 80_001, 90_000).await, []);
}

async fn a_period_has_what_belongs_to_it(store: &dyn Store) {
    let call = call(90_000);
    store.put_call(&call).await.expect("call");
    let asked = |second| HandoffRecord { requested_at: at(second), ..handoff(call.id, Some("ann")) };
    let (before, inside, after) = (asked(90_099), asked(90_100), asked(90_200));
    let resumed = HandoffRecord { continues: Some(inside.id), ..asked(90_500) };
    let again = HandoffRecord { continues: Some(resumed.id), ..asked(90_600) };
    let others = HandoffRecord { continues: Some(after.id), ..asked(90_610) };
    for handoff in [&before, &inside, &after, &resumed, &again, &others] {
        store.put_handoff(handoff).await.expect("handoff");
    }
    let mut talk = contact(&inside, "ann", 90_300, None);
    store.put_contact(&talk).await.expect("contact");
    (talk.ended_at, talk.ended_by) = (Some(at(90_400)), Some(CallEnd::Transferred));
    (talk.hold_ms, talk.holds, talk.wrap_up_ms) = (7_000, 2, Some(11_000));
    store.put_contact(&talk).await.expect("contact");
    store.put_contact(&contact(&after, "ann", 90_210, None)).await.expect("contact");
    let talked_on = contact(&again, "ben", 90_650, Some(90_700));
    store.put_contact(&talked_on).await.expect("contact");
    let offer = |second| OfferRecord {
        id: OfferId::generate(),
        handoff_id: inside.id,
        call_id: call.id,
        agent_id: AgentId("ann".to_owned()),
        offered_at: at(second),
        ended_at: None,
        result: None,
        reason: None,
    };
    let (offered, too_late) = (offer(90_150), offer(90_200));
    for offer in [&offered, &too_late] {
        store.put_offer(offer).await.expect("offer");
    }
    let time = |from, to| LedgerRecord {
        id: Uuid::now_v7(),
        agent_id: AgentId("ann".to_owned()),
        state: AgentState::Available,
        code: None,
        class: PaidClass::Standby,
        began_at: at(from),
        ended_at: at(to),
    };
    let spans =
        [time(90_000, 90_100), time(90_050, 90_101), time(90_120, 90_140), time(90_199, 90_900), time(90_200, 91_000)];
    for span in &spans {
        store.put_ledger(span).await.expect("ledger");
    }
    let period = store.period(at(90_100), at(90_200)).await.expect("readable");
    same(&period.handoffs, &vec![inside, resumed, again]);
    assert_eq!(period.contacts, [talk, talked_on], "whole, though it was later");
    same(&period.offers, &vec![offered]);
    assert_eq!(period.ledger, spans[1..4], "what overlaps");

    let outline = store.outline(at(90_100), at(90_200)).await.expect("readable");
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
            talked_at: talks().map(|talk| talk.began_at).min(),
            has_talks: talks().next().is_some(),
        }
    };
    assert_eq!(outline.waits, period.handoffs.iter().map(wait).collect::<Vec<_>>(), "the same in outline");
    // A second, twenty and one: what of each lies within.
    assert_eq!(outline.time, [(AgentState::Available, Duration::from_secs(1 + 20 + 1))]);
    let mut unheard = contact(&outline_of_one(store, call.id).await, "cy", 92_010, Some(92_015));
    unheard.ended_by = Some(CallEnd::NoSound);
    store.put_contact(&unheard).await.expect("contact");
    let [wait] = store.outline(at(92_000), at(92_001)).await.expect("readable").waits.try_into().expect("one");
    assert_eq!((wait.talked_at, wait.has_talks), (None, true), "nobody was heard");
}

/// Another handoff, alone in its time.
async fn outline_of_one(store: &dyn Store, call: CallId) -> HandoffRecord {
    let one = HandoffRecord { requested_at: at(92_000), ..handoff(call, None) };
    store.put_handoff(&one).await.expect("handoff");
    one
}

async fn assistant_and_people_are_scored_alike(store: &dyn Store) {
    let call = call(100_000);
    store.put_call(&call).await.expect("written");
    let scores = [
        score(call.id, None, 100_000, [Some(2), Some(5), None, Some(4)]),
        score(call.id, Some("ann"), 100_001, [Some(5), None, None, Some(3)]),
        score(call.id, Some("ben"), 100_002, [Some(4), None, None, None]),
    ];
    for score in &scores {
        store.put_score(score).await.expect("written");
    }
    let means = store.mean_scores(at(100_000), at(100_002)).await.expect("counted");
    let assistant = MeanRubric { scores: 1, resolved: Some(2.0), correct: Some(5.0), effort: None, tone: Some(4.0) };
    assert_eq!(means.assistant, assistant);
    assert_eq!(
        means.people,
        MeanRubric { scores: 1, resolved: Some(5.0), correct: None, effort: None, tone: Some(3.0) },
        "the end of the time does not count"
    );
    let later = store.mean_scores(at(100_001), at(100_100)).await.expect("counted");
    assert_eq!((later.assistant, later.people.resolved), (MeanRubric::default(), Some(4.5)));
    let again = score(call.id, Some("ben"), 100_003, [Some(1), None, None, None]);
    store.put_score(&again).await.expect("written");
    let found = store.get_call(call.id).await.expect("readable").expect("there").scores;
    assert_eq!(found.len(), 3, "a second thought replaces the first");
    assert_eq!(found[2], again);
}

async fn callbacks_are_found_until_they_are_over(store: &dyn Store) {
    let call = call(95_000);
    store.put_call(&call).await.expect("call");
    let mut open = Vec::new();
    for second in [20, 10, 30] {
        let message = message(call.id, 95_000 + second);
        store.put_message(&message).await.expect("message");
        let callback = CallbackRecord {
            message_id: message.id,
            call_id: call.id,
            provider: "twilio".to_owned(),
            summary: vec!["wants a refund".to_owned()],
            wanted_since: at(95_000 + second),
            tries: 0,
            not_before: at(95_100),
            ended_at: None,
            end: None,
        };
        store.put_callback(&callback).await.expect("callback");
        open.push(callback);
    }
    let found = async || -> Vec<CallbackRecord> {
        let all = store.open_callbacks().await.expect("readable");
        assert!(all.iter().all(|(_, number)| number.reveal() == "+15550001234"));
        all.into_iter().map(|(record, _)| record).filter(|record| record.call_id == call.id).collect()
    };
    assert_eq!(found().await, [open[1].clone(), open[0].clone(), open[2].clone()], "the oldest first");
    let tried = CallbackRecord { tries: 2, not_before: at(96_000), ..open[1].clone() };
    store.put_callback(&tried).await.expect("callback");
    let over = CallbackRecord { ended_at: Some(at(97_000)), end: Some(CallbackEnd::Reached), ..open[0].clone() };
    store.put_callback(&over).await.expect("callback");
    let by = AgentId("ann".to_owned());
    assert!(store.finish_message(open[2].message_id, &by, at(97_000)).await.expect("written"));
    assert_eq!(found().await, [tried], "not what is over, and not what somebody did by hand");
}

async fn shifts_are_promised_and_called_off_once(store: &dyn Store) {
    let shift = |from, until| ShiftRecord {
        id: Uuid::now_v7(),
        agent_id: AgentId("ann".to_owned()),
        began_at: at(from),
        ended_at: at(until),
        scheduled_by: AgentId("boss".to_owned()),
        scheduled_at: at(0),
        released_at: None,
    };
    let (first, second) = (shift(200_000, 203_600), shift(203_600, 207_200));
    for shift in [&second, &first] {
        store.put_shift(shift).await.expect("written");
    }
    store.put_shift(&ShiftRecord { ended_at: at(200_001), ..first.clone() }).await.expect("is there already");
    let within = async |since, until| store.list_shifts(at(since), at(until)).await.expect("listed");
    assert_eq!(within(200_000, 210_000).await, [first.clone(), second.clone()]);
    assert_eq!(within(203_600, 203_601).await, [second]);
    let released = ShiftRecord { released_at: Some(at(201_000)), ..first.clone() };
    assert_eq!(store.release_shift(first.id, at(201_000)).await.expect("written"), Some(released.clone()));
    assert_eq!(
        store.release_shift(first.id, at(202_000)).await.expect("written"),
        Some(released),
        "the first time counts"
    );
    assert_eq!(store.release_shift(Uuid::now_v7(), at(202_000)).await.expect("written"), None);
}

async fn what_agents_do_is_taken_once(store: &dyn Store) {
    let stand = |agent: &str, seen| StandRecord {
        agent_id: AgentId(agent.to_owned()),
        state: AgentState::Break,
        code: Some("training".to_owned()),
        since: at(300_000),
        seen_at: at(seen),
    };
    for stand in [stand("ben", 300_010), stand("ann", 300_010), stand("ann", 300_040)] {
        store.put_stand(&stand).await.expect("written");
    }
    assert_eq!(store.take_stands().await.expect("taken"), [stand("ann", 300_040), stand("ben", 300_010)]);
    assert!(store.take_stands().await.expect("taken").is_empty());
}

async fn one_of_many_takes_a_thing(store: &dyn Store) {
    let (what, other) = (Uuid::from_u128(81), Uuid::from_u128(82));
    let by: Vec<Uuid> = (1..=20).map(Uuid::from_u128).collect();
    let claims = futures::future::join_all(by.iter().map(|by| store.claim(what, 0, *by))).await;
    let answers: Vec<Claim> = claims.into_iter().map(|claim| claim.expect("decided")).collect();
    let won: Vec<usize> = (0..by.len()).filter(|at| answers[*at] == Claim::Won(1)).collect();
    let [winner] = won[..] else { panic!("one winner: {answers:?}") };
    assert!(answers.iter().enumerate().all(|(at, answer)| at == winner || *answer == Claim::Lost(1)), "{answers:?}");

    assert_eq!(store.claim(what, 0, by[winner]).await.expect("decided"), Claim::Won(1), "asked again: the same answer");
    let later = Uuid::from_u128(99);
    assert_eq!(store.claim(what, 0, later).await.expect("decided"), Claim::Lost(1), "knows of nothing");
    assert_eq!(store.claim(what, 1, later).await.expect("decided"), Claim::Won(2), "knows that it was taken once");
    assert_eq!(store.claim(what, 1, by[winner]).await.expect("decided"), Claim::Lost(2));
    assert_eq!(store.claim(other, 0, later).await.expect("decided"), Claim::Won(1), "another thing");
}
