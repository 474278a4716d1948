use proptest::prelude::*;

use super::*;
use crate::call::input::{HandoffNews, Missed, Phrase, RunId, TransferEnd, TransferNews};
use crate::engine::stt::Transcript;
use crate::handoff::AgentId;
use crate::telephony::protocol::{Digit, StopReason};
use crate::tools::spec::tests::{CANCEL, STATUS};
use crate::tools::spec::{Arguments, ToolFailed, ToolReply, ToolSpec};

struct Call {
    machine: CallMachine,
    now: Instant,
    turns: u32,
    log: Vec<CallAction>,
}

const FILLER_AFTER: Duration = Duration::from_millis(2_500);

fn policy() -> CallPolicy {
    CallPolicy {
        record: true,
        silence_prompt: Duration::from_secs(8),
        filler: Some(FILLER_AFTER),
        announce_every: Duration::from_secs(25),
        min_confidence: Probability::clamped(0.45),
        forbidden_topics: vec!["lawsuit".to_owned()],
        caller_number_known: true,
        telephone: None,
        today: jiff::civil::date(2026, 11, 25),
    }
}

fn transcript(text: &str, logprob: f32) -> Transcript {
    Transcript { text: text.to_owned(), avg_logprob: logprob, ..Transcript::default() }
}

fn digit(key: char) -> Digit {
    Digit::new(key).expect("a key")
}

impl Call {
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    fn with(policy: CallPolicy) -> Self {
        let now = Instant::now();
        let mut call = Self { machine: CallMachine::new(now, policy), now, turns: 0, log: Vec::new() };
        call.step(CallInput::Began);
        call
    }

    /// A call whose greeting has been heard.
    fn greeted() -> Self {
        let mut call = Self::with(policy());
        call.hear_all();
        call.log.clear();
        call
    }

    fn step(&mut self, input: CallInput) -> Vec<CallAction> {
        let mut actions = Vec::new();
        self.machine.step(self.now, input, &mut actions);
        self.log.extend(actions.clone());
        actions
    }

    fn pass(&mut self, span: Duration) -> Vec<CallAction> {
        let end = self.now + span;
        let mut all = Vec::new();
        let mut rounds = 0;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            // Several deadlines may fall together; each fires once.
            rounds = if at <= self.now { rounds + 1 } else { 0 };
            assert!(rounds < 12, "a deadline that fired is gone: {:?}", self.machine);
            self.now = self.now.max(at);
            let mut actions = Vec::new();
            self.machine.handle_timeout(self.now, &mut actions);
            self.log.extend(actions.clone());
            all.extend(actions);
        }
        self.now = end;
        all
    }

    /// The caller hears everything that was said.
    fn hear_all(&mut self) -> Vec<CallAction> {
        let mut all = Vec::new();
        while let Some(item) = self.machine.outstanding.front().map(|item| item.item) {
            all.extend(self.step(CallInput::ItemHeard(item)));
        }
        all
    }

    fn caller_says(&mut self, text: &str) -> Vec<CallAction> {
        self.caller_mumbles(text, -0.1)
    }

    fn caller_mumbles(&mut self, text: &str, logprob: f32) -> Vec<CallAction> {
        self.turns += 1;
        let turn = TurnId(self.turns);
        self.step(CallInput::SpeechStarted);
        self.step(CallInput::TurnEnded(turn));
        self.step(CallInput::Heard { turn, result: Ok(transcript(text, logprob)), interrupted: false })
    }

    fn answered(&mut self, text: &str) -> Vec<CallAction> {
        let turn = TurnId(self.turns);
        self.step(CallInput::AnswerPlanned { turn, evidence: Evidence { answerable: true, ..Evidence::default() } });
        self.step(CallInput::AnswerSentence { turn, text: text.to_owned() });
        self.step(CallInput::AnswerDone { turn, blocked: None })
    }

    fn unanswered(&mut self) -> Vec<CallAction> {
        let turn = TurnId(self.turns);
        self.step(CallInput::AnswerDone { turn, blocked: None })
    }

    fn news(&mut self, news: HandoffNews) -> Vec<CallAction> {
        self.step(CallInput::Handoff(news))
    }

    fn accepted(&mut self) -> Vec<CallAction> {
        self.news(HandoffNews::Accepted { agent: AgentId("ann".to_owned()), name: "Ann".to_owned() })
    }

    fn requests(&self) -> Vec<HandoffReason> {
        let reason = |action: &CallAction| match action {
            CallAction::RequestHandoff { reason, .. } => Some(*reason),
            _ => None,
        };
        self.log.iter().filter_map(reason).collect()
    }

    fn said(&self, phrase: &Phrase) -> bool {
        said(&self.log, phrase)
    }
}

fn said(actions: &[CallAction], phrase: &Phrase) -> bool {
    actions.iter().any(|a| matches!(a, CallAction::Say { words: Words::Fixed(own), .. } if own == phrase))
}

#[test]
fn recording_begins_when_the_notice_was_heard_and_not_before() {
    let mut call = Call::with(policy());
    assert!(said(&call.log, &Phrase::Notice));
    call.step(CallInput::ItemHeard(ItemId(0)));
    assert!(!call.log.contains(&CallAction::StartRecording));
    call.step(CallInput::ItemHeard(ItemId(1)));
    assert!(call.log.contains(&CallAction::StartRecording));
}

#[test]
fn a_question_is_answered_and_the_floor_given_back() {
    let mut call = Call::greeted();
    let actions = call.caller_says("when do you open on Sunday");
    assert!(actions.iter().any(|a| matches!(a, CallAction::Answer { .. })));
    call.answered("We open at ten.");
    call.hear_all();
    assert_eq!(call.machine.state(), &State::Assisting);
    assert!(said(&call.pass(Duration::from_secs(8)), &Phrase::SilencePrompt));
}

#[test]
fn an_early_answer_is_spoken_only_once_the_turn_is_over_and_unchanged() {
    let mut call = Call::greeted();
    let turn = TurnId(1);
    call.turns = 1;
    call.step(CallInput::SpeechStarted);
    let early = call.step(CallInput::HeardEarly { turn, transcript: transcript("when do you open", -0.1) });
    assert!(early.iter().any(|a| matches!(a, CallAction::Answer { .. })));
    assert!(call.step(CallInput::AnswerSentence { turn, text: "At nine.".to_owned() }).is_empty());
    call.step(CallInput::TurnEnded(turn));
    let actions =
        call.step(CallInput::Heard { turn, result: Ok(transcript("when do you open", -0.1)), interrupted: false });
    assert!(actions.iter().any(|a| matches!(a, CallAction::Say { words: Words::Answer(..), .. })));

    let mut call = Call::greeted();
    call.step(CallInput::HeardEarly { turn, transcript: transcript("when do you open", -0.1) });
    assert_eq!(call.step(CallInput::SpokeOn(turn)), [CallAction::CancelAnswer(turn)]);
}

#[test]
fn zero_reaches_a_person_from_anywhere() {
    for prepare in [
        (|_| {}) as fn(&mut Call),
        |call| drop(call.caller_says("where is my order")),
        |call| {
            call.caller_says("where is my order");
            call.answered("It is on its way.");
        },
    ] {
        let mut call = Call::greeted();
        prepare(&mut call);
        let actions = call.step(CallInput::Dtmf(digit('0')));
        assert!(
            actions
                .iter()
                .any(|a| matches!(a, CallAction::RequestHandoff { reason: HandoffReason::CallerPressedZero, .. })),
            "{actions:?}"
        );
        assert!(said(&actions, &Phrase::Connecting));
    }
    let mut unheard = Call::with(policy());
    let actions = unheard.step(CallInput::Dtmf(digit('0')));
    assert!(matches!(actions[0], CallAction::RequestHandoff { .. }), "even during the greeting: {actions:?}");
}

#[test]
fn asking_in_words_reaches_a_person_even_over_playback() {
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    call.answered("Delivery takes two to four working days and costs four pounds ninety.");
    call.caller_says("agent please");
    assert_eq!(call.requests(), [HandoffReason::CallerAsked]);
}

#[test]
fn two_unsure_turns_in_a_row_are_enough_and_one_is_not() {
    let mut call = Call::greeted();
    call.caller_mumbles("bla flo", -2.0);
    assert!(call.said(&Phrase::Repeat));
    call.caller_says("when do you open");
    call.answered("At nine.");
    call.caller_mumbles("bla flo", -2.0);
    assert!(call.requests().is_empty());
    call.caller_says("do you sell tractors in mauve");
    call.unanswered();
    assert_eq!(call.requests(), [HandoffReason::LowConfidence]);
}

#[test]
fn the_same_question_twice_without_help_reaches_a_person() {
    let mut call = Call::greeted();
    for _ in 0..3 {
        call.caller_says("why is my parcel still not here");
        call.answered("Delivery takes two to four days.");
        call.hear_all();
    }
    assert_eq!(call.requests(), [HandoffReason::LowConfidence]);
}

#[test]
fn a_failing_engine_is_owned_up_to() {
    for engine in ["stt", "llm"] {
        let mut call = Call::greeted();
        let failure = EngineFailed { engine, reason: "gone".to_owned() };
        if engine == "stt" {
            call.step(CallInput::TurnEnded(TurnId(1)));
            call.step(CallInput::Heard { turn: TurnId(1), result: Err(failure), interrupted: false });
        } else {
            call.caller_says("when do you open");
            call.step(CallInput::AnswerFailed { turn: TurnId(1), failure });
        }
        assert!(call.said(&Phrase::EngineApology), "{engine}");
        assert_eq!(call.requests(), [HandoffReason::EngineFailed]);
    }
    let mut mute = Call::greeted();
    mute.caller_says("when do you open");
    mute.answered("At nine.");
    let item = mute.machine.outstanding[0].item;
    mute.step(CallInput::ItemFailed(item));
    assert_eq!(mute.requests(), [HandoffReason::EngineFailed]);
}

#[test]
fn engines_that_never_answer_are_engines_that_failed() {
    let mut call = Call::greeted();
    call.caller_says("when do you open");
    call.pass(Duration::from_secs(21));
    assert_eq!(call.requests(), [HandoffReason::EngineFailed]);
    let mut deaf = Call::greeted();
    deaf.step(CallInput::TurnEnded(TurnId(1)));
    deaf.pass(Duration::from_secs(21));
    assert_eq!(deaf.requests(), [HandoffReason::EngineFailed]);
}

#[test]
fn a_slow_answer_is_announced_once_and_still_comes() {
    let mut call = Call::greeted();
    call.caller_says("do you sell olive trees");
    assert!(!said(&call.pass(Duration::from_millis(2_400)), &Phrase::Filler), "not while a pause is normal");
    assert!(said(&call.pass(Duration::from_millis(200)), &Phrase::Filler));
    call.hear_all();
    assert!(!said(&call.pass(Duration::from_secs(5)), &Phrase::Filler), "once a question");
    call.answered("Yes, in spring.");
    assert!(call.log.iter().any(|action| matches!(action, CallAction::Say { words: Words::Answer(..), .. })));
    assert_eq!(call.requests(), []);
    call.hear_all();
    // A transcript that does not come is waited for in the same way, and words over the filler take nothing away.
    call.step(CallInput::SpeechStarted);
    call.turns += 1;
    call.step(CallInput::TurnEnded(TurnId(call.turns)));
    assert!(said(&call.pass(FILLER_AFTER), &Phrase::Filler));
    assert!(call.step(CallInput::BargeIn).is_empty());
}

#[test]
fn a_noise_that_stopped_us_is_followed_by_what_was_cut() {
    for (noise, logprob) in [("", -0.1), ("mm-hm", -0.1), ("I have.", -1.5)] {
        let mut call = Call::greeted();
        call.caller_says("what about delivery");
        call.answered("Delivery takes two days.");
        assert_eq!(call.step(CallInput::BargeIn), [CallAction::PausePlayback]);
        assert!(call.step(CallInput::BargeIn).is_empty(), "once");
        let turn = TurnId(9);
        call.step(CallInput::SpeechStarted);
        call.step(CallInput::TurnEnded(turn));
        let actions = call.step(CallInput::Heard { turn, result: Ok(transcript(noise, logprob)), interrupted: true });
        assert_eq!(actions.last(), Some(&CallAction::ResumePlayback));
        assert!(!actions.iter().any(|a| matches!(a, CallAction::Say { .. } | CallAction::ClearPlayback { .. })));
    }
}

#[test]
fn a_noise_is_not_waited_for_longer_than_to_know_it_for_one() {
    for noise in ["", "Okay."] {
        let mut call = Call::greeted();
        call.caller_says("what about delivery");
        call.answered("Delivery takes two days.");
        call.step(CallInput::SpeechStarted);
        call.step(CallInput::BargeIn);
        let turn = TurnId(9);
        let early = CallInput::HeardEarly { turn, transcript: transcript(noise, -0.1) };
        assert_eq!(call.step(early), [CallAction::ResumePlayback]);
        // They go on: we stop again, and now there are words.
        call.step(CallInput::SpokeOn(turn));
        assert_eq!(call.step(CallInput::BargeIn), [CallAction::PausePlayback]);
        let early = CallInput::HeardEarly { turn, transcript: transcript("Okay, and to Ireland?", -0.1) };
        assert_eq!(call.step(early)[0], CallAction::ClearPlayback { everything: false });
    }
}

#[test]
fn who_speaks_on_and_on_has_the_floor_whatever_the_words() {
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    let turn = TurnId(call.turns);
    call.step(CallInput::AnswerSentence { turn, text: "Delivery takes two days.".to_owned() });
    assert!(call.step(CallInput::TookTheFloor).is_empty(), "nothing was stopped");
    call.step(CallInput::SpeechStarted);
    call.step(CallInput::BargeIn);
    let actions = call.step(CallInput::TookTheFloor);
    assert_eq!(actions, [CallAction::ClearPlayback { everything: false }, CallAction::CancelAnswer(turn)]);
    assert!(call.step(CallInput::TookTheFloor).is_empty(), "once");
}

#[test]
fn words_that_stopped_us_have_the_floor() {
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    let turn = TurnId(call.turns);
    call.step(CallInput::AnswerSentence { turn, text: "Delivery takes two days.".to_owned() });
    call.step(CallInput::SpeechStarted);
    call.step(CallInput::BargeIn);
    // The first words are enough: the old answer is void, the new one is prepared.
    let next = TurnId(turn.0 + 1);
    let actions = call.step(CallInput::HeardEarly { turn: next, transcript: transcript("and to Ireland", -0.1) });
    let [
        CallAction::ClearPlayback { everything: false },
        CallAction::CancelAnswer(cancelled),
        CallAction::Answer { query, .. },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!((*cancelled, query.as_str()), (turn, "and to Ireland"), "not joined to the question that was answered");
    // Without early words the final ones do the same.
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    call.answered("Delivery takes two days.");
    call.step(CallInput::BargeIn);
    assert!(call.caller_says("and to Ireland").contains(&CallAction::ClearPlayback { everything: false }));
}

#[test]
fn a_pause_that_nothing_explains_ends() {
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    call.answered("Delivery takes two days.");
    call.step(CallInput::BargeIn);
    assert_eq!(call.pass(PAUSE_PATIENCE), [CallAction::ResumePlayback]);
    call.step(CallInput::SpeechStarted);
    call.step(CallInput::BargeIn);
    assert!(call.pass(PAUSE_PATIENCE * 3).is_empty(), "the caller is still speaking");
    assert_eq!(call.step(CallInput::SpeechDiscarded), [CallAction::ResumePlayback], "or it was our echo");
}

#[test]
fn a_caller_who_asks_for_a_moment_gets_it() {
    let mut call = Call::greeted();
    assert!(said(&call.caller_says("Hold on, let me find it."), &Phrase::TakeYourTime));
    call.hear_all();
    assert!(call.pass(Duration::from_secs(31)).is_empty(), "four times as long");
    assert!(!said(&call.caller_says("One moment."), &Phrase::TakeYourTime), "once is enough");
    assert!(said(&call.pass(Duration::from_secs(32)), &Phrase::SilencePrompt));
    call.hear_all();
    assert!(said(&call.pass(Duration::from_secs(8)), &Phrase::SilencePrompt), "then as always");
    call.hear_all();
    call.pass(Duration::from_secs(8));
    assert_eq!(call.requests(), [HandoffReason::Silence]);
}

#[test]
fn a_backchannel_stops_nothing() {
    let mut call = Call::greeted();
    call.caller_says("what about delivery");
    call.answered("Delivery takes two days.");
    let actions = call.caller_says("mm-hm");
    assert!(!actions.iter().any(|a| matches!(a, CallAction::ClearPlayback { .. } | CallAction::Answer { .. })));
}

#[test]
fn silence_is_asked_about_twice_and_then_a_person_comes() {
    let mut call = Call::greeted();
    for _ in 0..2 {
        assert!(said(&call.pass(Duration::from_secs(8)), &Phrase::SilencePrompt));
        call.hear_all();
    }
    call.pass(Duration::from_secs(8));
    assert_eq!(call.requests(), [HandoffReason::Silence]);
}

#[test]
fn a_forbidden_topic_goes_to_a_person() {
    let mut call = Call::greeted();
    call.caller_says("I will file a lawsuit against you");
    assert_eq!(call.requests(), [HandoffReason::ForbiddenTopic]);
}

#[test]
fn waiting_is_honest_and_never_silent() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    assert!(call.hear_all().contains(&CallAction::Hold(true)));
    call.news(HandoffNews::Queued { position: 2, staffed: 1 });
    assert!(said(&call.pass(Duration::from_secs(25)), &Phrase::StillWaiting { position: 2 }));
    call.hear_all();
    call.news(HandoffNews::Queued { position: 1, staffed: 0 });
    assert!(call.said(&Phrase::NobodyAvailable));
    assert!(call.hear_all().contains(&CallAction::Hold(true)));
}

#[test]
fn an_accepted_call_is_introduced_bridged_and_ended() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    let actions = call.accepted();
    assert!(said(&actions, &Phrase::Introduction { name: "Ann".to_owned() }));
    assert!(!actions.contains(&CallAction::Bridge));
    assert!(call.hear_all().contains(&CallAction::Bridge));
    assert_eq!(call.machine.state(), &State::Bridged { hold: false });
    call.news(HandoffNews::Hold(true));
    assert_eq!(call.machine.state(), &State::Bridged { hold: true });
    call.news(HandoffNews::Ended);
    let actions = call.hear_all();
    assert!(actions.contains(&CallAction::CloseHandoff(HandoffOutcome::Bridged)));
    assert_eq!(actions.last(), Some(&CallAction::Finish(CallOutcome::SpokeWithAgent)));
}

#[test]
fn a_person_takes_a_call_of_the_assistant_and_gives_it_back() {
    let mut call = Call::greeted();
    call.news(HandoffNews::TakeOver);
    assert_eq!(call.requests(), [HandoffReason::TakenOver]);
    let actions = call.accepted();
    assert!(said(&actions, &Phrase::Introduction { name: "Ann".to_owned() }));
    call.hear_all();
    let actions = call.news(HandoffNews::HandedBack);
    assert!(actions.contains(&CallAction::Unbridge));
    assert!(actions.contains(&CallAction::CloseHandoff(HandoffOutcome::Bridged)));
    assert!(said(&actions, &Phrase::BackToAssistant));
    assert_eq!(call.machine.state(), &State::Assisting);
    let actions = call.step(CallInput::ProviderStopped(StopReason::Provider));
    assert_eq!(actions.last(), Some(&CallAction::Finish(CallOutcome::SpokeWithAgent)));
}

#[test]
fn another_person_takes_over_or_the_call_is_ended_for_all() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.accepted();
    call.hear_all();
    let actions = call.accepted();
    assert_eq!(actions.first(), Some(&CallAction::Unbridge), "one voice at a time");
    assert!(call.hear_all().contains(&CallAction::Bridge));
    let actions = call.news(HandoffNews::Transferred);
    assert!(actions.contains(&CallAction::Unbridge) && matches!(call.machine.state(), State::Waiting { .. }));
    let actions = call.news(HandoffNews::ForceEnded);
    assert!(said(&actions, &Phrase::Goodbye));
    assert_eq!(call.hear_all().last(), Some(&CallAction::Finish(CallOutcome::Interrupted)));
}

#[test]
fn a_mute_assistant_does_not_keep_caller_and_agent_apart() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.accepted();
    assert!(call.pass(Duration::from_secs(6)).contains(&CallAction::Bridge));
}

#[test]
fn a_lost_agent_is_explained_and_may_return() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.accepted();
    call.hear_all();
    let actions = call.news(HandoffNews::AgentLost);
    assert!(actions.contains(&CallAction::Unbridge) && said(&actions, &Phrase::AgentLost));
    assert!(call.hear_all().contains(&CallAction::Hold(true)));
    assert!(call.news(HandoffNews::AgentReturned).contains(&CallAction::Bridge));
    call.news(HandoffNews::AgentLost);
    let actions = call.news(HandoffNews::Requeued);
    assert!(said(&actions, &Phrase::Requeued));
    assert!(matches!(call.machine.state(), State::Waiting { position: 1, .. }));
}

#[test]
fn a_message_is_kept_only_if_somebody_spoke() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.step(CallInput::Dtmf(digit('1')));
    assert!(call.hear_all().contains(&CallAction::StartMessage));
    let actions = call.step(CallInput::MessageEnded { speech: Millis(100) });
    assert!(actions.contains(&CallAction::StopMessage { keep: false }), "and the caller still wants a person");
    assert!(matches!(call.machine.state(), State::Waiting { .. }));
    call.step(CallInput::Dtmf(digit('1')));
    call.hear_all();
    let actions = call.step(CallInput::MessageEnded { speech: Millis(5_000) });
    assert!(actions.contains(&CallAction::CloseHandoff(HandoffOutcome::LeftMessage)));
    assert_eq!(call.hear_all().last(), Some(&CallAction::Finish(CallOutcome::LeftMessage)));
}

#[test]
fn a_callback_without_a_known_number_is_keyed_in() {
    let mut call = Call::with(CallPolicy { caller_number_known: false, ..policy() });
    call.hear_all();
    call.step(CallInput::Dtmf(digit('0')));
    call.step(CallInput::Dtmf(digit('2')));
    for key in "12#".chars() {
        call.step(CallInput::Dtmf(digit(key)));
    }
    assert!(call.said(&Phrase::CallbackInvalid));
    for key in "0201234567#".chars() {
        call.step(CallInput::Dtmf(digit(key)));
    }
    assert!(call.log.contains(&CallAction::BookCallback { number: Some("0201234567".to_owned()) }));
    assert_eq!(call.hear_all().last(), Some(&CallAction::Finish(CallOutcome::CallbackBooked)));
}

#[test]
fn a_second_thought_during_goodbye_is_heard() {
    let mut call = Call::greeted();
    call.caller_says("thanks, goodbye");
    assert!(call.said(&Phrase::Goodbye));
    call.step(CallInput::Dtmf(digit('0')));
    assert_eq!(call.requests(), [HandoffReason::CallerPressedZero]);
}

fn tool(changes: bool) -> std::sync::Arc<ToolSpec> {
    let text = if changes { CANCEL } else { STATUS };
    std::sync::Arc::new(ToolSpec::parse(if changes { "cancel_order" } else { "order_status" }, text).expect("a tool"))
}

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
        21 => CallInput::Handoff(HandoffNews::Queued { position: 1, staffed: u32::from(turn.0.is_multiple_of(2)) }),
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
        script in prop::collection::vec((0u8..51, 1u32..12, 0u64..9_000), 1..80),
        telephone in prop::option::of((0u64..60, any::<bool>())),
    ) {
        let telephone = telephone.map(|(after, returns)| Telephone { after: Duration::from_secs(after), returns });
        let mut call = Call::with(CallPolicy { telephone, ..policy() });
        let mut ledger = Ledger::default();
        let mut seen = 0;
        for (kind, turn, wait) in script {
            let item = call.machine.outstanding.front().map(|item| item.item);
            call.step(random_input(kind, turn, item));
            call.pass(Duration::from_millis(wait));
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

fn with_telephone(returns: bool) -> Call {
    let telephone = Some(Telephone { after: Duration::from_secs(40), returns });
    let mut call = Call::with(CallPolicy { telephone, ..policy() });
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

#[path = "machine_chores_tests.rs"]
mod chores;
