//! Calls in other languages than the configuration's, as the machine plays them.

use super::*;
use crate::engine::stt::Detected;

/// English is expected; German, Spanish and French are spoken too.
fn spoken_here() -> CallPolicy {
    let languages = Arc::new([Language::ENGLISH, Language::GERMAN, Language::SPANISH, Language::FRENCH]);
    CallPolicy { languages, detects: true, ..policy() }
}

fn call() -> Call {
    let mut call = Call::with(spoken_here());
    call.hear_all();
    call.log.clear();
    call
}

/// What Whisper makes of `text` when it is asked which language it is in.
fn heard(text: &str, language: Language, sure: bool) -> Transcript {
    let probability = Probability::clamped(if sure { 0.97 } else { 0.6 });
    Transcript { language: Some(Detected { language, probability, sure }), ..transcript(text, -0.1) }
}

impl Call {
    fn says_in(&mut self, text: &str, language: Language, sure: bool) -> Vec<CallAction> {
        self.turns += 1;
        let turn = TurnId(self.turns);
        self.step(CallInput::SpeechStarted);
        self.step(CallInput::TurnEnded(turn));
        self.step(CallInput::Heard { turn, result: Ok(heard(text, language, sure)), interrupted: false })
    }

    fn spoken(&self) -> Vec<Language> {
        let language = |action: &CallAction| match action {
            CallAction::SpeakLanguage(language) => Some(*language),
            _ => None,
        };
        self.log.iter().filter_map(language).collect()
    }

    /// Where it stands among what was done.
    fn place(&self, wanted: impl Fn(&CallAction) -> bool) -> usize {
        self.log.iter().position(wanted).expect("it was done")
    }
}

const REQUESTS: [(Language, &str); 3] = [
    (Language::GERMAN, "Ich möchte mit einem Mitarbeiter sprechen."),
    (Language::SPANISH, "Quiero hablar con una persona."),
    (Language::FRENCH, "Je voudrais parler à un conseiller."),
];

#[test]
fn a_request_for_a_person_is_met_in_the_same_turn_and_language() {
    for (language, request) in REQUESTS {
        let mut call = call();
        call.says_in(request, language, true);
        assert_eq!(call.requests(), [HandoffReason::CallerAsked], "{request}");
        assert_eq!((call.spoken(), call.machine.language()), (vec![language], language));
        // The desk is asked by who speaks that language already, and so is the caller told.
        let switch = call.place(|action| matches!(action, CallAction::SpeakLanguage(_)));
        assert!(switch < call.place(|action| matches!(action, CallAction::RequestHandoff { .. })), "{request}");
        assert!(call.said(&Phrase::Connecting) && call.said(&Phrase::Notice), "{request}");
        assert!(!call.machine.detects());
        call.hear_all();
        call.accepted();
        assert!(call.said(&Phrase::Introduction { name: "Ann".to_owned() }));
    }
}

#[test]
fn a_request_is_met_before_the_utterance_ends() {
    for (language, request) in REQUESTS {
        let mut call = call();
        call.step(CallInput::SpeechStarted);
        call.step(CallInput::HeardEarly { turn: TurnId(1), transcript: heard(request, language, true) });
        assert_eq!((call.requests().len(), call.spoken()), (1, vec![language]), "{request}");
    }
}

#[test]
fn a_whole_call_goes_on_in_the_callers_language() {
    let mut call = call();
    call.says_in("Wann haben Sie am Sonntag geöffnet?", Language::GERMAN, true);
    assert_eq!(call.spoken(), [Language::GERMAN]);
    // Who speaks and that it is recorded is said again: the first time was in English.
    assert!(call.said(&Phrase::Switched) && call.said(&Phrase::Notice));
    assert!(call.log.iter().any(|action| matches!(action, CallAction::Answer { .. })));
    call.answered("Sonntags haben wir ab zwölf geöffnet.");
    call.hear_all();
    call.log.clear();

    call.caller_says("Wie bitte?");
    assert!(call.log.iter().any(|action| matches!(action, CallAction::Say { words: Words::Answer(..), .. })));
    call.hear_all();
    call.caller_says("Sind Sie ein Mensch?");
    assert!(call.said(&Phrase::IsAssistant) && call.requests().is_empty());
    call.hear_all();
    call.caller_says("Ich will keinen Mitarbeiter, nur die Öffnungszeiten.");
    assert!(call.requests().is_empty());
    call.unanswered();
    call.hear_all();
    call.log.clear();
    call.caller_says("Dann geben Sie mir einen Menschen");
    assert_eq!(call.requests(), [HandoffReason::CallerAsked]);
    assert!(call.spoken().is_empty(), "once is enough");
    call.hear_all();
    call.caller_says("Rufen Sie mich bitte zurück");
    assert!(matches!(call.machine.state(), State::Ending { outcome: CallOutcome::CallbackBooked, .. }));
}

#[test]
fn a_failed_engine_is_told_of_and_danger_heard_in_the_callers_language() {
    let mut call = call();
    call.says_in("¿A qué hora abren?", Language::SPANISH, true);
    let failure = EngineFailed { engine: "llm", reason: "gone".to_owned() };
    call.step(CallInput::AnswerFailed { turn: TurnId(1), failure });
    assert!(call.said(&Phrase::EngineApology));
    assert_eq!((call.requests(), call.machine.language()), (vec![HandoffReason::EngineFailed], Language::SPANISH));

    let mut call = self::call();
    call.says_in("Mon fils a bu du désherbant", Language::FRENCH, true);
    assert_eq!((call.requests(), call.spoken()), (vec![HandoffReason::Distress], vec![Language::FRENCH]));
}

#[test]
fn a_doubtful_first_utterance_leaves_it_to_the_second_and_no_further() {
    let mut call = call();
    call.says_in("hallo", Language::GERMAN, false);
    assert!(call.spoken().is_empty() && call.machine.detects());
    call.says_in("Ich habe ein Problem mit der Lieferung.", Language::GERMAN, true);
    assert_eq!(call.spoken(), [Language::GERMAN]);

    let mut call = self::call();
    for _ in 0..2 {
        call.says_in("where is my parcel", Language::SPANISH, false);
        call.unanswered();
    }
    assert!(call.spoken().is_empty() && !call.machine.detects());

    let mut call = self::call();
    call.says_in("where is my parcel", Language::ENGLISH, true);
    assert!(!call.machine.detects(), "an English caller is not listened to for other languages any more");
    assert!(!call.said(&Phrase::Switched));
}

#[test]
fn a_language_can_be_asked_for_by_name() {
    let mut call = call();
    call.says_in("Auf Deutsch, bitte.", Language::ENGLISH, false);
    assert_eq!(call.spoken(), [Language::GERMAN]);
    assert!(call.said(&Phrase::Switched) && call.said(&Phrase::Prompt) && call.requests().is_empty());
    call.hear_all();
    call.caller_says("English please");
    assert_eq!(call.machine.language(), Language::ENGLISH);
    call.hear_all();
    call.caller_says("Can I talk to somebody who speaks French?");
    assert_eq!((call.requests(), call.machine.language()), (vec![HandoffReason::CallerAsked], Language::FRENCH));
}

#[test]
fn a_language_nobody_configured_changes_nothing() {
    let mut call = Call::greeted();
    call.says_in("Ich möchte mit einem Mitarbeiter sprechen.", Language::GERMAN, true);
    call.caller_says("English please");
    assert!(call.spoken().is_empty() && call.machine.language() == Language::ENGLISH);
}
