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
        verbatim_score: 0.8,
        min_score: 0.5,
        language: crate::dialog::language::Language::ENGLISH,
        languages: std::sync::Arc::new([crate::dialog::language::Language::ENGLISH]),
        detects: false,
        forbidden_topics: vec!["lawsuit".to_owned()],
        caller_number_known: true,
        caller_number: None,
        telephone: None,
        returns: false,
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
    fn with(policy: CallPolicy) -> Self {
        Self::beginning(CallInput::Began, policy)
    }

    #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
    fn beginning(input: CallInput, policy: CallPolicy) -> Self {
        let now = Instant::now();
        let mut call = Self { machine: CallMachine::new(now, policy), now, turns: 0, log: Vec::new() };
        call.step(input);
        call
    }

    /// The caller hears music.
    fn held(&self) -> bool {
        let last = self.log.iter().rev().find(|action| matches!(action, CallAction::Hold(_)));
        last == Some(&CallAction::Hold(true))
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
    call.caller_mumbles("bla flo my order flubber", -2.0);
    assert!(call.said(&Phrase::OfferPerson));
    call.caller_says("when do you open");
    call.answered("At nine.");
    call.caller_mumbles("bla flo", -2.0);
    assert!(call.requests().is_empty());
    call.caller_says("do you sell tractors in mauve");
    call.unanswered();
    assert_eq!(call.requests(), [HandoffReason::LowConfidence]);
}

/// Asked whether they want a person: the words may have said so.
fn offered(words: &str, logprob: f32) -> Call {
    let mut call = Call::greeted();
    call.caller_mumbles(words, logprob);
    if logprob > -1.0 {
        call.unanswered();
    }
    assert!(call.said(&Phrase::OfferPerson), "{words}");
    call.log.clear();
    call
}

#[test]
fn a_request_that_was_heard_badly_is_met_within_one_question() {
    for (words, logprob) in
        [("I'm Sir Agent", -1.6), ("that's it", -1.8), ("I can't be your well-good-a-person healthy", -0.3)]
    {
        for answer in ["yes", "yes please", "sure", "I said agent"] {
            let mut call = offered(words, logprob);
            call.caller_says(answer);
            assert_eq!(call.requests(), [HandoffReason::CallerAsked], "{words}: {answer}");
            assert!(call.said(&Phrase::Connecting));
        }
        // Over the end of the question, too, and whatever else can't be made out.
        let mut call = offered(words, logprob);
        let turn = TurnId(9);
        call.step(CallInput::Heard { turn, result: Ok(transcript("yeah", -0.1)), interrupted: true });
        assert_eq!(call.requests(), [HandoffReason::CallerAsked]);
        let mut call = offered(words, logprob);
        call.caller_mumbles("bla flo", -2.0);
        assert_eq!(call.requests(), [HandoffReason::LowConfidence]);
    }
}

#[test]
fn whoever_declines_a_person_goes_on_and_whoever_asks_something_is_answered() {
    let mut call = offered("I'm Sir Agent", -1.6);
    call.caller_says("no");
    assert!(call.said(&Phrase::Prompt) && call.requests().is_empty());
    // No longer one unsure turn away from a person they do not want.
    call.caller_says("do you sell tractors in mauve");
    call.unanswered();
    assert!(call.requests().is_empty());

    let mut call = offered("I'm Sir Agent", -1.6);
    call.caller_says("no, when do you open on Sunday");
    assert!(call.log.iter().any(|action| matches!(action, CallAction::Answer { .. })), "{:?}", call.log);
    call.answered("At ten.");
    assert!(call.requests().is_empty());

    let mut call = offered("I'm Sir Agent", -1.6);
    call.caller_says("what was that again");
    assert!(call.said(&Phrase::OfferPerson) && call.requests().is_empty());
}

#[test]
fn words_that_refuse_a_person_or_ask_about_us_do_not_bring_one_up() {
    let mut call = Call::greeted();
    call.caller_mumbles("I don't want an agent, bla flo", -2.0);
    assert!(call.said(&Phrase::Repeat));
    for words in ["I don't want an agent, just the price of a mauve tractor", "do you sell tractors in mauve"] {
        let mut call = Call::greeted();
        call.caller_says(words);
        call.unanswered();
        assert!(call.said(&Phrase::Clarify) && !call.said(&Phrase::OfferPerson), "{words}");
    }
    let mut call = Call::greeted();
    call.caller_says("is this a human");
    assert!(call.said(&Phrase::IsAssistant) && call.requests().is_empty());
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
    for (noise, logprob) in [("", -0.1), ("mm-hm", -0.1), ("I have.", -1.5), ("Thor.", -0.5)] {
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
fn a_word_by_which_people_interrupt_stops_us_even_in_doubt_and_so_does_any_sure_one() {
    for (words, logprob) in
        [("Wait.", -0.5), ("No, wait!", -0.6), ("5, 5.", -0.5), ("Returns.", -0.2), ("Is it free?", -0.5)]
    {
        let mut call = Call::greeted();
        call.caller_says("what about delivery");
        call.answered("Delivery takes two days.");
        call.step(CallInput::BargeIn);
        let turn = TurnId(9);
        call.step(CallInput::SpeechStarted);
        call.step(CallInput::TurnEnded(turn));
        let actions = call.step(CallInput::Heard { turn, result: Ok(transcript(words, logprob)), interrupted: true });
        assert!(actions.iter().any(|a| matches!(a, CallAction::ClearPlayback { .. })), "{words}: {actions:?}");
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
fn the_wait_is_told_where_it_is_known_and_the_choices_come_last() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.hear_all();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let wait = Some(Estimate { p50: minutes(3), p90: minutes(7) });
    call.news(HandoffNews::Queued { position: 2, staffed: 1, wait });
    let actions = call.pass(Duration::from_secs(25));
    let place = |phrase: &Phrase| {
        let says = |action: &CallAction| said(std::slice::from_ref(action), phrase);
        actions.iter().position(says).unwrap_or_else(|| panic!("{phrase:?} in {actions:?}"))
    };
    assert!(place(&Phrase::Wait { about: 3, most: 7 }) < place(&Phrase::StillWaiting { position: 2 }));
    call.hear_all();
    call.news(HandoffNews::Queued { position: 1, staffed: 1, wait: None });
    let actions = call.pass(Duration::from_secs(25));
    assert!(said(&actions, &Phrase::StillWaiting { position: 1 }), "{actions:?}");
    assert!(!actions.iter().any(|action| format!("{action:?}").contains("Wait {")), "nobody knows: {actions:?}");
}

#[test]
fn waiting_is_honest_and_never_silent() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    assert!(call.hear_all().contains(&CallAction::Hold(true)));
    call.news(HandoffNews::Queued { position: 2, staffed: 1, wait: None });
    assert!(said(&call.pass(Duration::from_secs(25)), &Phrase::StillWaiting { position: 2 }));
    call.hear_all();
    call.news(HandoffNews::Queued { position: 1, staffed: 0, wait: None });
    assert!(call.said(&Phrase::NobodyAvailable));
    assert!(call.hear_all().contains(&CallAction::Hold(true)));
}

#[test]
fn what_the_queue_has_to_say_is_heard_at_once_and_with_each_announcement() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    call.hear_all();
    let message = |text: &str| Phrase::QueueMessage { text: text.to_owned() };
    let (late, gone) = (message("Parcels are late today."), message("Parcels are on their way again."));
    assert!(said(&call.news(HandoffNews::QueueMessage("Parcels are late today.".to_owned())), &late));
    assert!(call.hear_all().contains(&CallAction::Hold(true)), "music goes on");
    let announced = call.pass(Duration::from_secs(25));
    assert!(said(&announced, &late) && said(&announced, &Phrase::StillWaiting { position: 1 }));
    call.hear_all();
    assert!(said(&call.news(HandoffNews::QueueMessage("Parcels are on their way again.".to_owned())), &gone));
    call.hear_all();
    assert!(call.news(HandoffNews::QueueMessage(String::new())).is_empty(), "nothing more to say");
    assert!(!said(&call.pass(Duration::from_secs(25)), &gone));
    call.hear_all();
    call.news(HandoffNews::QueueMessage("Parcels are late today.".to_owned()));
    assert!(!said(&call.accepted(), &late), "a person is never waited for");
}

#[test]
fn an_accepted_call_is_introduced_bridged_and_ended() {
    let mut call = Call::greeted();
    call.step(CallInput::Dtmf(digit('0')));
    let actions = call.accepted();
    assert!(said(&actions, &Phrase::Introduction { name: "Ann".to_owned() }));
    assert!(!actions.contains(&CallAction::Bridge));
    assert!(call.hear_all().contains(&CallAction::Bridge));
    assert_eq!(call.machine.state(), &State::Bridged { hold: false, party: None });
    call.news(HandoffNews::Hold(true));
    assert_eq!(call.machine.state(), &State::Bridged { hold: true, party: None });
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
    assert!(call.said(&Phrase::CallbackConfirm { number: "0201234567".to_owned().into() }), "it is read back");
    call.step(CallInput::Dtmf(digit('1')));
    assert!(call.log.contains(&CallAction::BookCallback { number: Some("0201234567".to_owned()) }));
    assert_eq!(call.hear_all().last(), Some(&CallAction::Finish(CallOutcome::CallbackBooked)));
}

#[test]
fn a_known_number_is_read_back_and_may_be_another() {
    let own: crate::telemetry::Pii<String> = "+15005550123".to_owned().into();
    let confirm = Phrase::CallbackConfirm { number: own.clone() };
    let asked = || {
        let mut call = Call::with(CallPolicy { caller_number: Some(own.clone()), ..policy() });
        call.hear_all();
        call.step(CallInput::Dtmf(digit('0')));
        call.step(CallInput::Dtmf(digit('2')));
        assert!(call.said(&confirm));
        assert!(!call.log.iter().any(|action| matches!(action, CallAction::BookCallback { .. })), "not before the yes");
        call
    };
    let mut call = asked();
    call.step(CallInput::Dtmf(digit('1')));
    assert!(call.log.contains(&CallAction::BookCallback { number: None }));
    let mut call = asked();
    call.step(CallInput::Dtmf(digit('2')));
    assert!(call.said(&Phrase::CallbackNumber));
    for key in "0201234567#1".chars() {
        call.step(CallInput::Dtmf(digit(key)));
    }
    assert!(call.log.contains(&CallAction::BookCallback { number: Some("0201234567".to_owned()) }));
    let mut call = asked();
    call.step(CallInput::Dtmf(digit('*')));
    assert!(matches!(call.machine.state(), State::Waiting { .. }), "waits again");
    let mut call = asked();
    call.news(HandoffNews::Accepted { agent: AgentId("ann".to_owned()), name: "Ann".to_owned() });
    assert!(matches!(call.machine.state(), State::Introducing { .. }), "a person is better than a callback");
}

#[test]
fn who_was_called_back_hears_why_and_is_joined() {
    let mut call = Call::beginning(CallInput::CalledBack { name: Some("Ann".to_owned()) }, policy());
    assert!(call.said(&Phrase::CallbackGreeting) && call.said(&Phrase::Notice));
    assert!(call.said(&Phrase::Introduction { name: "Ann".to_owned() }));
    assert!(call.hear_all().contains(&CallAction::Bridge));
    let actions = call.step(CallInput::ProviderStopped(StopReason::Hangup));
    assert!(actions.contains(&CallAction::CloseHandoff(HandoffOutcome::Bridged)), "closed once: {actions:?}");
}

#[test]
fn who_was_cut_off_goes_on_where_the_line_broke() {
    let call = Call::beginning(CallInput::BrokeOff { wanted: Some(HandoffReason::CallerAsked) }, policy());
    assert!(call.said(&Phrase::BrokeOff) && call.said(&Phrase::Requeued));
    assert_eq!(call.requests(), [HandoffReason::CallerAsked]);
    let call = Call::beginning(CallInput::BrokeOff { wanted: None }, policy());
    assert!(call.said(&Phrase::BrokeOff) && call.said(&Phrase::GreetingRest));
    assert!(call.requests().is_empty());
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

#[path = "machine_chores_tests.rs"]
mod chores;
#[path = "machine_language_tests.rs"]
mod language;
#[path = "machine_party_tests.rs"]
mod party;
#[path = "machine_random_tests.rs"]
mod random;
#[path = "machine_telephone_tests.rs"]
mod telephone;
