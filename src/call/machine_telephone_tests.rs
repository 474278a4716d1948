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
    let actions = call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
    assert!(said(&actions, &Phrase::Telephoning) && actions.contains(&CallAction::SuspendHandoff), "{actions:?}");
    assert!(!call.log.contains(&CallAction::Transfer), "not before the caller knows");
    assert!(call.hear_all().contains(&CallAction::Transfer));

    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.hear_all();
    call.news(HandoffNews::Queued { position: 1, staffed: 1, wait: None });
    assert!(!said(&call.pass(Duration::from_secs(24)), &Phrase::Telephoning));
    assert!(said(&call.pass(Duration::from_secs(25)), &Phrase::Telephoning));
    // A voice that fails keeps nobody from a person.
    assert!(call.pass(Duration::from_secs(20)).contains(&CallAction::Transfer));
}

#[test]
fn a_person_who_takes_the_call_ends_ours() {
    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
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
    call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
    call.hear_all();
    transfer_news(&mut call, TransferNews::Missed(Missed::Busy));
    let actions = transfer_news(&mut call, TransferNews::Back);
    assert!(said(&actions, &Phrase::TelephoneMissed), "{actions:?}");
    assert!(actions.contains(&CallAction::EndTransfer(TransferEnd::Missed(Missed::Busy))));
    assert!(actions.iter().any(|action| matches!(action, CallAction::RequestHandoff { .. })));
    assert!(
        call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None }).is_empty(),
        "once a call, and once said"
    );
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
        call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
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
    call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
    assert!(call.said(&Phrase::Leaving));
    let actions = call.hear_all();
    let at = |wanted: &CallAction| actions.iter().position(|action| action == wanted);
    assert!(at(&CallAction::Transfer) < at(&CallAction::Finish(CallOutcome::Transferred)), "{actions:?}");
}

/// A caller without agents who has just been given to the provider.
fn given_away() -> Call {
    let mut call = with_telephone(true);
    call.step(CallInput::Dtmf(digit('0')));
    call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
    assert!(call.hear_all().contains(&CallAction::Transfer));
    call
}

#[test]
fn a_caller_the_provider_is_slow_to_take_is_told_and_hears_music_until_the_line_is_gone() {
    let mut call = given_away();
    assert!(call.pass(Duration::from_secs(1)).is_empty(), "most providers take a caller within a moment");
    assert!(said(&call.pass(Duration::from_secs(1)), &Phrase::Filler));
    call.hear_all();
    assert!(call.held(), "then music");
    assert!(call.pass(Duration::from_secs(20)).is_empty(), "told once");
    assert_eq!(call.step(CallInput::LineGone), [CallAction::Hold(false)]);
    assert!(call.step(CallInput::LineGone).is_empty(), "once");
    assert!(!call.held() && call.pass(Duration::from_secs(30)).is_empty(), "the provider has them");
    assert!(matches!(call.machine.state(), State::Away { .. }), "and may bring them back");
}

#[test]
fn a_line_that_is_gone_at_once_says_nothing_and_one_that_goes_meanwhile_falls_silent() {
    let mut call = given_away();
    assert!(call.step(CallInput::LineGone).is_empty());
    assert!(!said(&call.pass(Duration::from_secs(30)), &Phrase::Filler));

    let mut call = given_away();
    call.pass(Duration::from_secs(2));
    let actions = call.step(CallInput::LineGone);
    assert!(actions.contains(&CallAction::ClearPlayback { everything: true }), "{actions:?}");
    let item = call.machine.outstanding.front().expect("being said").item;
    call.step(CallInput::ItemCut { item, heard: "One".to_owned() });
    assert!(!call.held() && !call.machine.is_speaking());
}

#[test]
fn a_caller_who_is_back_while_the_line_of_before_is_open_hears_what_became_of_it() {
    let mut call = given_away();
    call.pass(Duration::from_secs(2));
    transfer_news(&mut call, TransferNews::Missed(Missed::NoAnswer));
    let actions = transfer_news(&mut call, TransferNews::Back);
    let at = |wanted: &CallAction| actions.iter().position(|action| action == wanted);
    let missed = actions.iter().position(|action| said(std::slice::from_ref(action), &Phrase::TelephoneMissed));
    let cleared = at(&CallAction::ClearPlayback { everything: true });
    assert!(cleared.is_some() && cleared < missed, "{actions:?}");
    call.hear_all();
    assert!(call.held(), "and waits");
}
