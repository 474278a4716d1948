//! Callers given to a person's telephone: taken, not taken, back, and gone.

use super::*;

fn with_telephone(returns: bool) -> Call {
    let telephone = Some(Telephone { after: Duration::from_secs(40) });
    let mut call = Call::with(CallPolicy { telephone, returns, ..policy() });
    call.hear_all();
    call.log.clear();
    call
}

fn transfer_news(call: &mut Call, news: TransferNews) -> Vec<CallAction> {
    call.step(CallInput::Transfer(news))
}

#[test]
fn the_telephone_is_called_when_nobody_is_there_and_after_a_while_when_somebody_is() {
    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    let actions = call.news(HandoffNews::Queued { position: 1, staffed: 0 });
    assert!(said(&actions, &Phrase::Telephoning) && actions.contains(&CallAction::SuspendHandoff), "{actions:?}");
    assert!(!call.log.contains(&CallAction::Transfer), "not before the caller knows");
    assert!(call.hear_all().contains(&CallAction::Transfer));

    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.hear_all();
    call.news(HandoffNews::Queued { position: 1, staffed: 1 });
    assert!(!said(&call.pass(Duration::from_secs(24)), &Phrase::Telephoning));
    assert!(said(&call.pass(Duration::from_secs(25)), &Phrase::Telephoning));
    // A voice that fails keeps nobody from a person.
    assert!(call.pass(Duration::from_secs(20)).contains(&CallAction::Transfer));
}

#[test]
fn a_person_who_takes_the_call_ends_ours() {
    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.news(HandoffNews::Queued { position: 1, staffed: 0 });
    call.hear_all();
    let actions = transfer_news(&mut call, TransferNews::Taken);
    assert_eq!(
        actions,
        [
            CallAction::EndTransfer(TransferEnd::Taken),
            CallAction::CloseHandoff(HandoffOutcome::Transferred),
            CallAction::Finish(CallOutcome::Transferred)
        ]
    );
}

#[test]
fn a_caller_nobody_took_is_back_told_so_and_waits_for_agents() {
    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.news(HandoffNews::Queued { position: 1, staffed: 0 });
    call.hear_all();
    transfer_news(&mut call, TransferNews::Missed(Missed::Busy));
    let actions = transfer_news(&mut call, TransferNews::Back);
    assert!(said(&actions, &Phrase::TelephoneMissed), "{actions:?}");
    assert!(actions.contains(&CallAction::EndTransfer(TransferEnd::Missed(Missed::Busy))));
    assert!(actions.iter().any(|action| matches!(action, CallAction::RequestHandoff { .. })));
    assert!(call.news(HandoffNews::Queued { position: 1, staffed: 0 }).is_empty(), "once a call, and once said");
    call.hear_all();
    call.step(CallInput::Dtmf(digit('1')));
    assert!(matches!(call.machine.state(), State::Message { .. }));
}

#[test]
fn a_caller_who_does_not_come_back_has_hung_up_and_without_news_is_the_providers() {
    for (news, outcome, handoff) in [
        (Some(TransferNews::Missed(Missed::NoAnswer)), CallOutcome::AbandonedInQueue, HandoffOutcome::CallerHungUp),
        (Some(TransferNews::CallerLeft), CallOutcome::AbandonedInQueue, HandoffOutcome::CallerHungUp),
        (None, CallOutcome::Transferred, HandoffOutcome::Transferred),
    ] {
        let mut call = with_telephone(true);
        call.step(CallInput::Dtmf(digit('0')));
        call.news(HandoffNews::Queued { position: 1, staffed: 0 });
        call.hear_all();
        if let Some(news) = news {
            transfer_news(&mut call, news);
        }
        call.pass(Duration::from_secs(120));
        assert_eq!(call.log.last(), Some(&CallAction::Finish(outcome)));
        assert!(call.log.contains(&CallAction::CloseHandoff(handoff)));
    }
    let mut call = with_telephone(false);
    call.step(CallInput::Dtmf(digit('0')));
    call.news(HandoffNews::Queued { position: 1, staffed: 0 });
    assert!(call.said(&Phrase::Leaving));
    let actions = call.hear_all();
    let at = |wanted: &CallAction| actions.iter().position(|action| action == wanted);
    assert!(at(&CallAction::Transfer) < at(&CallAction::Finish(CallOutcome::Transferred)), "{actions:?}");
}
