//! Random calls against what must hold for every call.

use proptest::prelude::*;

use super::*;
use crate::handoff::wire::ConsultMode;

fn random_input(kind: u8, turn: u32, item: Option<ItemId>) -> CallInput {
    let turn = TurnId(turn);
    let text =
        |text| CallInput::Heard { turn, result: Ok(transcript(text, -0.1)), interrupted: kind.is_multiple_of(2) };
    let failure = EngineFailed { engine: "llm", reason: String::new() };
    match kind {
        0 => CallInput::SpeechStarted,
        1 => CallInput::BargeIn,
        2 => CallInput::TurnEnded(turn),
        3 => text("when do you open"),
        4 => text("let me talk to a person please"),
        5 => text(""),
        6 => text("leave a message"),
        7 => text("call me back please"),
        8..=11 => CallInput::Dtmf(digit(['0', '1', '2', '*'][usize::from(kind - 8)])),
        12..=15 => item.map_or(CallInput::SpeechStarted, CallInput::ItemHeard),
        16 => item.map_or(CallInput::SpeechStarted, |item| CallInput::ItemCut { item, heard: "we".to_owned() }),
        17 => item.map_or(CallInput::SpeechStarted, CallInput::ItemFailed),
        18 => CallInput::AnswerSentence { turn, text: "At nine.".to_owned() },
        19 => CallInput::AnswerDone { turn, blocked: None },
        20 => CallInput::AnswerFailed { turn, failure },
        21 => CallInput::Handoff(HandoffNews::Queued {
            position: 1,
            staffed: u32::from(turn.0.is_multiple_of(2)),
            wait: None,
        }),
        22 => CallInput::Handoff(HandoffNews::Accepted { agent: AgentId("ann".to_owned()), name: "Ann".to_owned() }),
        23 => CallInput::Handoff(HandoffNews::AgentLost),
        24 => CallInput::Handoff(HandoffNews::AgentReturned),
        25 => CallInput::Handoff(HandoffNews::Requeued),
        26 => CallInput::Handoff(HandoffNews::Ended),
        27 => CallInput::MessageEnded { speech: Millis(turn.0 * 100) },
        28 => CallInput::HeardEarly { turn, transcript: transcript("where is my order", -0.1) },
        29 => CallInput::SpokeOn(turn),
        30 => CallInput::Dtmf(digit('#')),
        31 => text("goodbye"),
        32 => CallInput::SpeechDiscarded,
        33 => text("one moment"),
        34 => CallInput::Transfer(TransferNews::Back),
        35 => CallInput::Transfer(TransferNews::Missed(Missed::Busy)),
        36 => CallInput::Transfer(TransferNews::Taken),
        37 => CallInput::Transfer(TransferNews::CallerLeft),
        59 => CallInput::LineGone,
        38 => CallInput::ChoreFound { turn, tool: tool(turn.0.is_multiple_of(2)), arguments: Arguments::new() },
        39 => text("440017"),
        40 => text("yes"),
        41 => text("no"),
        42 => CallInput::ToolDone {
            run: RunId(turn.0 % 4),
            result: Ok(ToolReply { status: 200, body: serde_json::json!({ "state": "packed" }) }),
        },
        43 => CallInput::ToolDone {
            run: RunId(turn.0 % 4),
            result: Err(ToolFailed { reason: String::new(), perhaps_done: true }),
        },
        44 => CallInput::TookTheFloor,
        45 => CallInput::HeardEarly { turn, transcript: transcript("mm-hm", -0.1) },
        46 => CallInput::Handoff(HandoffNews::TakeOver),
        47 => CallInput::Handoff(HandoffNews::HandedBack),
        48 => CallInput::Handoff(HandoffNews::Transferred),
        49 => CallInput::Handoff(HandoffNews::ForceEnded),
        50 => CallInput::Handoff(HandoffNews::Parked),
        51 => CallInput::Handoff(HandoffNews::SentOutside),
        52 => CallInput::Handoff(HandoffNews::AimMissed),
        53 => CallInput::Handoff(HandoffNews::ConsultOver),
        54 => CallInput::Handoff(HandoffNews::Succeeded { agent: AgentId("ben".to_owned()), name: "Ben".to_owned() }),
        55 => {
            let (agent, name) = (AgentId("ben".to_owned()), String::new());
            CallInput::Handoff(HandoffNews::ColleagueJoined { agent, name })
        }
        56..=58 => {
            let modes = [ConsultMode::Private, ConsultMode::Caller, ConsultMode::Together];
            CallInput::Handoff(HandoffNews::Consult(modes[usize::from(kind - 56)]))
        }
        _ => CallInput::ServerStopping,
    }
}

/// What is over once it is over: the caller's wish for a person, by its own kinds of end.
#[derive(Default)]
struct Ledger {
    open: u32,
    closed: u32,
    finished: Option<CallOutcome>,
    bridged: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn whoever_asks_for_a_person_gets_one_or_chooses_otherwise(
        script in prop::collection::vec((0u8..61, 1u32..12, 0u64..9_000), 1..80),
        telephone in prop::option::of((0u64..60, any::<bool>())),
    ) {
        let returns = telephone.is_some_and(|(_, returns)| returns);
        let telephone = telephone.map(|(after, _)| Telephone { after: Duration::from_secs(after) });
        let mut call = Call::with(CallPolicy { telephone, returns, ..policy() });
        let mut ledger = Ledger::default();
        let mut seen = 0;
        for (kind, turn, wait) in script {
            let item = call.machine.outstanding.front().map(|item| item.item);
            call.step(random_input(kind, turn, item));
            call.pass(Duration::from_millis(wait));
            if let State::Bridged { party: Some(ConsultMode::Private), .. } = call.machine.state {
                prop_assert!(call.held(), "a caller whose agent speaks with a colleague hears music");
            }
            let ended = call.machine.state == State::Ended;
            prop_assert!(ended || call.machine.poll_timeout().is_some() || audible(&call.machine), "silence without end: {:?}", call.machine);
            let news = call.log[seen..].to_vec();
            seen = call.log.len();
            account(&news, &mut ledger)?;
        }
        if call.machine.state != State::Ended {
            call.step(CallInput::ProviderStopped(StopReason::Provider));
            let news = call.log[seen..].to_vec();
            account(&news, &mut ledger)?;
        }
        prop_assert!(ledger.finished.is_some(), "a call finishes");
        prop_assert_eq!(ledger.open, 0, "a handoff was left open");
        prop_assert!(call.machine.poll_timeout().is_none());
        prop_assert!(call.step(CallInput::Dtmf(digit('0'))).is_empty(), "nothing follows the end");
    }
}

fn audible(machine: &CallMachine) -> bool {
    // A person has the line, or the recorder does; both report when they are done.
    matches!(machine.state, State::Bridged { .. } | State::AgentLost | State::Message { recording: true })
}

fn account(actions: &[CallAction], ledger: &mut Ledger) -> Result<(), TestCaseError> {
    for action in actions {
        prop_assert!(ledger.finished.is_none(), "{action:?} after the end");
        match action {
            // The same wish again after a break is the same handoff.
            CallAction::RequestHandoff { .. } => ledger.open = 1,
            CallAction::CloseHandoff(outcome) => {
                prop_assert_eq!(ledger.open, 1, "closed without being open");
                prop_assert!(*outcome != HandoffOutcome::Open);
                ledger.open = 0;
                ledger.closed += 1;
            }
            CallAction::Bridge => {
                prop_assert_eq!(ledger.open, 1, "bridged without a handoff");
                ledger.bridged = true;
            }
            CallAction::Say { words: Words::Answer(..), .. } => {
                prop_assert_eq!(ledger.open, 0, "the assistant answers while a person is awaited");
            }
            CallAction::Finish(outcome) => {
                prop_assert!(*outcome != CallOutcome::Live);
                ledger.finished = Some(*outcome);
            }
            _ => {}
        }
    }
    Ok(())
}
