//! Chores in a call: asked, agreed to, run, told, and what becomes of them when something else happens.

use serde_json::json;

use super::*;

impl Call {
    /// A caller who wants something done, to the point where it was found out which tool does it.
    fn wanting(changes: bool, words: &str) -> Self {
        let mut call = Self::greeted();
        call.caller_says(words);
        let turn = TurnId(call.turns);
        call.step(CallInput::AnswerPlanned { turn, evidence: Evidence { answerable: true, ..Evidence::default() } });
        call.step(CallInput::ChoreFound { turn, tool: tool(changes), arguments: Arguments::new() });
        call
    }

    fn runs(&self) -> Vec<(RunId, Arguments)> {
        let run = |action: &CallAction| match action {
            CallAction::RunTool { run, arguments, .. } => Some((*run, arguments.clone())),
            _ => None,
        };
        self.log.iter().filter_map(run).collect()
    }

    fn cancelled(&self) -> bool {
        self.log.iter().any(|action| matches!(action, CallAction::CancelTool(_)))
    }

    fn spoke(&self, part: &str) -> bool {
        self.log.iter().any(
            |action| matches!(action, CallAction::Say { words: Words::Answer(_, text), .. } if text.contains(part)),
        )
    }

    fn done(&mut self, status: u16, body: serde_json::Value) -> Vec<CallAction> {
        let (run, _) = self.runs().last().cloned().expect("a tool runs");
        self.step(CallInput::ToolDone { run, result: Ok(ToolReply { status, body }) })
    }
}

#[test]
fn an_order_is_looked_up() {
    let mut call = Call::wanting(false, "where is my order");
    assert!(call.spoke("What is your order number?") && call.runs().is_empty());
    call.hear_all();
    call.caller_says("four four zero zero one seven");
    assert!(call.spoke("four four zero, zero one seven. Is that right?"));
    call.hear_all();
    call.caller_says("yes");
    let (_, arguments) = call.runs().last().cloned().expect("it runs");
    assert_eq!(arguments["order_number"], "440017");
    assert!(said(&call.pass(FILLER_AFTER), &Phrase::Filler), "silence sounds like a dead line");
    call.hear_all();
    assert!(call.pass(Duration::from_secs(1)).is_empty());
    call.done(200, json!({ "state": "being packed" }));
    assert!(call.spoke("Your order is being packed."));
    call.hear_all();
    assert_eq!(call.requests(), []);
    // What was said can be asked for again, and the next question is a question.
    call.caller_says("say that again please");
    call.hear_all();
    assert!(call.caller_says("when do you open").iter().any(|action| matches!(action, CallAction::Answer { .. })));
}

/// An order was looked up, and the caller was asked whether there is anything else.
fn done_and_asked() -> Call {
    let more = STATUS.replace("{{ body.state }}.", "{{ body.state }}. Is there anything else?");
    let mut call = Call::greeted();
    call.caller_says("where is my order");
    let turn = TurnId(call.turns);
    call.step(CallInput::AnswerPlanned { turn, evidence: Evidence { answerable: true, ..Evidence::default() } });
    let tool = std::sync::Arc::new(ToolSpec::parse("order_status", &more).expect("a tool"));
    call.step(CallInput::ChoreFound { turn, tool, arguments: Arguments::new() });
    for words in ["four four zero zero one seven", "yes"] {
        call.hear_all();
        call.caller_says(words);
    }
    call.done(200, json!({ "state": "being packed" }));
    assert!(call.spoke("Is there anything else?"));
    call.hear_all();
    call
}

#[test]
fn no_after_anything_else_is_a_goodbye_and_nothing_more() {
    let asked = |words: &str| {
        let mut call = done_and_asked();
        call.caller_says(words)
    };
    for words in ["no", "No, thank you."] {
        assert!(said(&asked(words), &Phrase::Goodbye), "{words}");
    }
    for words in ["no, where is the other order", "yes", "when do you open"] {
        assert!(!said(&asked(words), &Phrase::Goodbye), "{words}");
    }
    let mut call = done_and_asked();
    call.caller_mumbles("the other one", -1.2);
    call.hear_all();
    assert!(!said(&call.caller_says("no"), &Phrase::Goodbye), "we asked something else since");
}

#[test]
fn keys_are_digits_while_digits_are_awaited() {
    let mut call = Call::wanting(false, "where is my order");
    for key in "440017".chars() {
        call.step(CallInput::Dtmf(digit(key)));
    }
    assert_eq!(call.runs().len(), 1, "zero in a number is a digit");
    assert_eq!(call.requests(), []);
    let mut call = Call::wanting(false, "where is my order");
    call.step(CallInput::Dtmf(digit('0')));
    call.pass(Duration::from_secs(2));
    assert_eq!(call.requests(), [HandoffReason::CallerPressedZero], "zero alone is a person");
    let mut call = Call::wanting(false, "where is my order");
    call.step(CallInput::Dtmf(digit('4')));
    call.pass(Duration::from_secs(5));
    assert!(call.spoke("didn't get that"));
}

#[test]
fn nothing_is_changed_before_the_caller_agrees() {
    let mut call = Call::wanting(true, "cancel order 440017");
    call.hear_all();
    call.caller_says("yes");
    assert!(call.spoke("Shall I cancel order") && call.runs().is_empty());
    call.hear_all();
    call.caller_mumbles("yes", -1.2);
    assert!(call.runs().is_empty(), "a badly heard yes is none");
    call.caller_says("yes");
    assert!(call.runs().is_empty(), "nor one that was said over the question");
    call.hear_all();
    call.caller_says("yes");
    assert_eq!(call.runs().len(), 1);
    call.done(200, json!({}));
    assert!(call.spoke("is cancelled"));
}

#[test]
fn a_person_is_had_at_any_point_of_a_chore() {
    for words in ["where is my order", "where is order 440017"] {
        let mut call = Call::wanting(false, words);
        call.caller_says("just let me talk to a person");
        assert_eq!(call.requests(), [HandoffReason::CallerAsked]);
        assert!(call.runs().is_empty());
    }
    let mut call = Call::wanting(false, "where is my order");
    call.caller_says("it is the one with the lamp");
    call.caller_says("I told you, the lamp");
    assert_eq!(call.requests(), [HandoffReason::LowConfidence], "two tries");
}

#[test]
fn what_only_looks_is_cut_off_and_what_changes_is_not() {
    for (changes, cut) in [(false, true), (true, false)] {
        for leave in [CallInput::ProviderStopped(StopReason::Provider), CallInput::ServerStopping] {
            let mut call = Call::wanting(changes, "order 440017");
            call.caller_says("yes");
            if changes {
                call.hear_all();
                call.caller_says("yes");
            }
            assert_eq!(call.runs().len(), 1);
            call.step(leave);
            assert_eq!(call.cancelled(), cut);
        }
    }
}

#[test]
fn a_tool_that_fails_or_says_nothing_is_a_person() {
    let asked = || {
        let mut call = Call::wanting(false, "order 440017");
        call.caller_says("yes");
        call
    };
    let mut call = asked();
    call.done(500, serde_json::Value::Null);
    assert_eq!(call.requests(), [HandoffReason::EngineFailed]);
    let mut call = asked();
    call.pass(Duration::from_secs(40));
    assert_eq!(call.requests(), [HandoffReason::EngineFailed], "it never answers");
    assert!(call.cancelled());
    let mut call = asked();
    call.done(404, serde_json::Value::Null);
    assert!(call.spoke("can't find an order with that number. What is your order number?"));
}
