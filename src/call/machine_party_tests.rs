//! A colleague in the call, being parked, and being sent on: what the caller hears of it.

use super::*;
use crate::handoff::wire::ConsultMode;

fn bridged() -> Call {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.accepted();
    call.hear_all();
    call.log.clear();
    call
}

fn consulting(mode: ConsultMode) -> Call {
    let mut call = bridged();
    call.news(HandoffNews::Consult(ConsultMode::Private));
    assert!(call.held(), "the caller hears music while the colleague is asked");
    call.news(HandoffNews::ColleagueJoined { agent: AgentId("ben".to_owned()), name: "Ben".to_owned() });
    call.news(HandoffNews::Consult(mode));
    call
}

fn succeeded() -> HandoffNews {
    HandoffNews::Succeeded { agent: AgentId("ben".to_owned()), name: "Ben".to_owned() }
}

#[test]
fn who_joins_is_announced_and_takes_over_without_another_introduction() {
    let mut call = consulting(ConsultMode::Together);
    assert!(!call.held());
    assert!(call.said(&Phrase::Joining { name: "Ben".to_owned() }));
    call.hear_all();
    let actions = call.news(succeeded());
    let promoted = actions.iter().position(|action| *action == CallAction::Promote);
    let bridged = actions.iter().position(|action| *action == CallAction::Bridge);
    assert!(promoted.is_some() && promoted < bridged, "{actions:?}");
    assert!(!said(&actions, &Phrase::Introduction { name: "Ben".to_owned() }));
    assert_eq!(call.machine.state(), &State::Bridged { hold: false, party: None });
}

#[test]
fn who_was_asked_in_private_is_introduced() {
    let mut call = consulting(ConsultMode::Private);
    let actions = call.news(succeeded());
    assert!(said(&actions, &Phrase::Introduction { name: "Ben".to_owned() }));
    assert!(!actions.contains(&CallAction::Bridge));
    assert!(call.hear_all().contains(&CallAction::Bridge));
}

#[test]
fn the_caller_is_back_when_it_is_over_and_on_hold_if_they_were() {
    let mut call = consulting(ConsultMode::Private);
    call.news(HandoffNews::Hold(false));
    assert!(call.held(), "the agents are among themselves");
    let actions = call.news(HandoffNews::ConsultOver);
    assert!(actions.contains(&CallAction::Party(None)) && !call.held());
}

#[test]
fn a_parked_caller_hears_that_somebody_comes_and_is_asked_when_nobody_does() {
    let mut call = bridged();
    let actions = call.news(HandoffNews::Parked);
    assert!(actions.contains(&CallAction::Unbridge) && said(&actions, &Phrase::Parked));
    call.hear_all();
    assert!(call.held());
    assert!(said(&call.pass(Duration::from_secs(25)), &Phrase::Parked), "again after a while");
    call.hear_all();
    assert!(said(&call.news(HandoffNews::Requeued), &Phrase::ParkedTooLong));
    assert!(matches!(call.machine.state(), State::Waiting { .. }));

    let mut call = bridged();
    call.news(HandoffNews::Parked);
    let actions = call.step(CallInput::Dtmf(digit('0')));
    assert!(matches!(actions[0], CallAction::RequestHandoff { .. }), "0 is a person, here too: {actions:?}");

    let mut call = bridged();
    call.news(HandoffNews::Parked);
    call.accepted();
    assert!(call.hear_all().contains(&CallAction::Bridge), "picked up");
}

#[test]
fn a_caller_sent_outside_is_told_and_comes_back() {
    let mut call = bridged();
    call.machine.policy.returns = true;
    let actions = call.news(HandoffNews::SentOutside);
    assert!(said(&actions, &Phrase::Telephoning) && actions.contains(&CallAction::SuspendHandoff), "{actions:?}");
    assert!(call.hear_all().contains(&CallAction::Transfer));
    call.step(CallInput::Transfer(TransferNews::Missed(Missed::Busy)));
    let actions = call.step(CallInput::Transfer(TransferNews::Back));
    assert!(said(&actions, &Phrase::TelephoneMissed), "{actions:?}");
    assert!(actions.iter().any(|action| matches!(action, CallAction::RequestHandoff { .. })));
}

#[test]
fn a_caller_whom_the_colleague_does_not_take_is_told() {
    let mut call = bridged();
    call.news(HandoffNews::Transferred);
    assert!(said(&call.news(HandoffNews::AimMissed), &Phrase::NotReached));
}
