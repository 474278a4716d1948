//! PURE. A chore for a caller: what its tool needs is collected, the caller agrees where something is changed, the tool runs,
//! and its result is said.
//!
//! ```text
//! Collecting ─ all there ─▶ Confirming ─ "yes" ─▶ Running ─ result ─▶ said
//!     ▲  │ two tries           │ "no"                │  failed, or no sentence for it
//!     │  ▼                     ▼                     ▼
//!     │ a person            dropped               a person
//!     └──────── "again" (no such order) ─────────────┘
//! ```
//! Tools that change nothing skip `Confirming`.

use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;

use super::collect::{Collecting, Next, wants_out};
use super::intent::yes_no;
use crate::tools::spec::{Arguments, ToolFailed, ToolReply, ToolSpec};

/// Answers to the question whether to do it that were neither yes nor no.
const UNCLEAR: u32 = 2;
/// Times what was collected turned out to be wrong before a person takes over.
const WRONG: u32 = 2;
const LEFT_ALONE: &str = "All right, I'll leave it as it is. What else can I do for you?";

/// What the call does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Say this and listen.
    Say(String),
    /// Run the tool.
    Run(Arguments),
    /// Say this; the chore is over.
    Over(String),
    /// Say this if it is something; then a person, for this reason.
    Person {
        /// What the caller hears first.
        text: Option<String>,
        /// For records.
        why: &'static str,
    },
    /// Nothing yet.
    Wait,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Collecting { at: usize, collecting: Collecting },
    Confirming { unclear: u32 },
    Running,
    Over,
}

/// A chore under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Chore {
    tool: Arc<ToolSpec>,
    /// What a model read, not yet read back.
    told: Arguments,
    arguments: Arguments,
    stage: Stage,
    wrong: u32,
    today: Date,
}

impl Chore {
    /// Begins with what a model read from the caller's words, if one did, and with these words. Arguments of a model count
    /// as heard: they are read back.
    pub fn begin(tool: Arc<ToolSpec>, arguments: &Arguments, said: &str, today: Date) -> (Self, Step) {
        let (told, none) = (arguments.clone(), Arguments::new());
        let mut chore = Self { tool, told, arguments: none, stage: Stage::Over, wrong: 0, today };
        let step = chore.collect(0, said);
        (chore, step)
    }

    /// The tool.
    pub fn tool(&self) -> &Arc<ToolSpec> {
        &self.tool
    }

    /// The caller is being asked for something.
    pub fn is_collecting(&self) -> bool {
        matches!(self.stage, Stage::Collecting { .. })
    }

    /// The tool runs and its result is awaited.
    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Keys are being pressed.
    pub fn is_keying(&self) -> bool {
        matches!(&self.stage, Stage::Collecting { collecting, .. } if collecting.is_keying())
    }

    /// Keys mean digits now, not a choice.
    pub fn takes_keys(&self) -> bool {
        matches!(&self.stage, Stage::Collecting { at, .. } if self.tool.collect[*at].1.takes_keys())
    }

    fn collect(&mut self, at: usize, said: &str) -> Step {
        let Some((name, kind)) = self.tool.collect.get(at) else { return self.collected() };
        let told = self.told.remove(name).and_then(|value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let (collecting, next) = Collecting::begin(kind.clone(), told.as_deref().unwrap_or(said), self.today);
        self.stage = Stage::Collecting { at, collecting };
        self.follow(next)
    }

    fn collected(&mut self) -> Step {
        if !self.tool.changes {
            self.stage = Stage::Running;
            return Step::Run(self.arguments.clone());
        }
        match self.tool.confirmation(&self.arguments) {
            Ok(question) => {
                self.stage = Stage::Confirming { unclear: 0 };
                Step::Say(question)
            }
            Err(_) => self.person("no_confirmation"),
        }
    }

    fn follow(&mut self, next: Next) -> Step {
        match (next, &self.stage) {
            (Next::Say(text), _) => Step::Say(text),
            (Next::Wait, _) => Step::Wait,
            (Next::Dropped, _) => self.over(LEFT_ALONE),
            (Next::GiveUp, _) => self.person("not_collected"),
            (Next::Zero, _) => self.person("pressed_zero"),
            (Next::Done(value), Stage::Collecting { at, .. }) => {
                let at = *at;
                self.arguments.insert(self.tool.collect[at].0.clone(), Value::String(value));
                self.collect(at + 1, "")
            }
            (Next::Done(_), _) => Step::Wait,
        }
    }

    /// What the caller said; `sure`: it was heard well.
    pub fn heard(&mut self, text: &str, sure: bool) -> Step {
        match &mut self.stage {
            Stage::Collecting { collecting, .. } => {
                let next = collecting.heard(text, self.today);
                self.follow(next)
            }
            // A badly heard "yes" changes nothing.
            Stage::Confirming { unclear } => match yes_no(text).filter(|_| sure) {
                Some(true) => {
                    self.stage = Stage::Running;
                    Step::Run(self.arguments.clone())
                }
                Some(false) => self.over(LEFT_ALONE),
                None if wants_out(text) => self.over(LEFT_ALONE),
                None => {
                    *unclear += 1;
                    if *unclear >= UNCLEAR {
                        return self.person("not_confirmed");
                    }
                    let question = self.tool.confirmation(&self.arguments).unwrap_or_default();
                    Step::Say(format!("Please say yes or no. {question}"))
                }
            },
            Stage::Running if wants_out(text) && !self.tool.changes => self.over(LEFT_ALONE),
            Stage::Running | Stage::Over => Step::Wait,
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: char) -> Step {
        let Stage::Collecting { collecting, .. } = &mut self.stage else { return Step::Wait };
        let next = collecting.key(key);
        self.follow(next)
    }

    /// No more keys come.
    pub fn keys_over(&mut self) -> Step {
        let Stage::Collecting { collecting, .. } = &mut self.stage else { return Step::Wait };
        let next = collecting.keys_over();
        self.follow(next)
    }

    /// The tool is done.
    pub fn finished(&mut self, result: &Result<ToolReply, ToolFailed>) -> Step {
        if self.stage != Stage::Running {
            return Step::Wait;
        }
        let Ok(reply) = result else { return self.person("tool_failed") };
        let Some((row, text)) = self.tool.saying(&self.arguments, reply) else { return self.person("no_sentence") };
        if row.person {
            self.stage = Stage::Over;
            return Step::Person { text: Some(text), why: "tool_says_so" };
        }
        if !row.again {
            return self.over(&text);
        }
        self.wrong += 1;
        if self.wrong >= WRONG {
            self.stage = Stage::Over;
            return Step::Person { text: Some(text), why: "wrong_twice" };
        }
        self.arguments.clear();
        match self.collect(0, "") {
            Step::Say(question) => Step::Say(format!("{text} {question}")),
            // Nothing to collect: asking again would not help.
            _ => self.over(&text),
        }
    }

    fn over(&mut self, text: &str) -> Step {
        self.stage = Stage::Over;
        Step::Over(text.to_owned())
    }

    fn person(&mut self, why: &'static str) -> Step {
        self.stage = Stage::Over;
        Step::Person { text: None, why }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::*;
    use crate::tools::spec::tests::{CANCEL, STATUS};

    fn begin(text: &str, said: &str) -> (Chore, Step) {
        let tool = Arc::new(ToolSpec::parse("tool", text).expect("a tool"));
        Chore::begin(tool, &Arguments::new(), said, date(2026, 11, 25))
    }

    fn number(value: &str) -> Arguments {
        Arguments::from_iter([("order_number".to_owned(), json!(value))])
    }

    fn reply(status: u16, body: Value) -> Result<ToolReply, ToolFailed> {
        Ok(ToolReply { status, body })
    }

    fn says(step: &Step, part: &str) -> bool {
        matches!(step, Step::Say(text) if text.contains(part))
    }

    #[test]
    fn a_look_up_needs_no_leave() {
        let (mut chore, step) = begin(STATUS, "where is my order");
        assert!(says(&step, "order number"));
        assert!(says(&chore.heard("it's four four double oh one seven", true), "four four zero, zero one seven"));
        assert_eq!(chore.heard("yes", true), Step::Run(number("440017")));
        assert!(chore.is_running());
        let step = chore.finished(&reply(200, json!({ "state": "being packed" })));
        assert_eq!(step, Step::Over("Your order is being packed.".to_owned()));
    }

    #[test]
    fn a_number_said_with_the_question_is_not_asked_for() {
        let (mut chore, step) = begin(STATUS, "where is order 440017");
        assert!(says(&step, "four four zero"));
        assert!(says(&chore.heard("no, eight, not seven", true), "zero one eight"));
        assert_eq!(chore.heard("that's right", true), Step::Run(number("440018")));
    }

    #[test]
    fn what_a_model_read_is_read_back_and_counts_once() {
        let tool = Arc::new(ToolSpec::parse("tool", STATUS).expect("a tool"));
        let begin = |read: Arguments| Chore::begin(tool.clone(), &read, "what became of my parcel", date(2026, 11, 25));
        let (mut chore, step) = begin(number("440017"));
        assert!(says(&step, "four four zero, zero one seven"), "{step:?}");
        assert_eq!(chore.heard("yes", true), Step::Run(number("440017")));
        // There is no such order: asked anew, not for the same number again.
        assert!(says(&chore.finished(&reply(404, Value::Null)), "order number"));
        let (_, step) = begin(Arguments::from_iter([("order_number".to_owned(), json!(440_017))]));
        assert!(says(&step, "four four zero, zero one seven"), "{step:?}");
        let (_, step) = begin(Arguments::from_iter([("order_number".to_owned(), json!(["x"]))]));
        assert!(says(&step, "order number"), "{step:?}");
    }

    #[test]
    fn keys_are_taken_as_they_are() {
        let (mut chore, _) = begin(STATUS, "where is my order");
        assert!(chore.takes_keys());
        for key in "44001".chars() {
            assert_eq!(chore.key(key), Step::Wait);
        }
        assert_eq!(chore.key('7'), Step::Run(number("440017")));
        let (mut chore, _) = begin(STATUS, "where is my order");
        assert_eq!(chore.key('0'), Step::Wait);
        assert!(
            matches!(chore.keys_over(), Step::Person { why: "pressed_zero", .. }),
            "zero alone is the key for a person"
        );
    }

    #[test]
    fn nothing_is_changed_without_a_clear_yes() {
        let ready = || {
            let (mut chore, _) = begin(CANCEL, "cancel order 440017");
            assert!(says(&chore.heard("yes", true), "Shall I cancel order four four zero"));
            chore
        };
        let mut chore = ready();
        assert!(says(&chore.heard("yes", false), "yes or no"), "badly heard");
        assert!(matches!(chore.heard("well it depends", true), Step::Person { .. }));
        assert!(matches!(ready().heard("no, don't", true), Step::Over(_)));
        assert!(matches!(ready().heard("never mind", true), Step::Over(_)));
        let mut chore = ready();
        assert_eq!(chore.heard("yes please", true), Step::Run(number("440017")));
        assert_eq!(chore.heard("never mind", true), Step::Wait, "what is begun is not unsaid");
        assert!(matches!(chore.finished(&reply(409, Value::Null)), Step::Person { text: Some(_), .. }));
    }

    #[test]
    fn two_tries_then_a_person() {
        let (mut chore, _) = begin(STATUS, "where is my order");
        assert!(says(&chore.heard("um it is on the letter", true), "didn't get that"));
        assert!(matches!(chore.heard("the green one", true), Step::Person { why: "not_collected", .. }));
        let (mut chore, _) = begin(STATUS, "where is order 440017");
        chore.heard("yes", true);
        assert!(says(&chore.finished(&reply(404, Value::Null)), "can't find"));
        chore.heard("440018", true);
        assert_eq!(chore.heard("yes", true), Step::Run(number("440018")));
        assert!(matches!(chore.finished(&reply(404, Value::Null)), Step::Person { why: "wrong_twice", .. }));
        let (mut chore, _) = begin(STATUS, "where is order 440017");
        chore.heard("yes", true);
        let failed = ToolFailed { reason: "timed out".to_owned(), perhaps_done: false };
        assert!(matches!(chore.finished(&Err(failed)), Step::Person { why: "tool_failed", .. }));
    }

    #[test]
    fn whatever_is_said_and_pressed_ends_somewhere() {
        for seed in 0..2_000u64 {
            let (mut chore, _) = begin(if seed % 2 == 0 { STATUS } else { CANCEL }, "my order");
            let words =
                ["yes", "no", "440017", "not seven, eight", "never mind", "", "what", "12", "the last digit is 3"];
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            for _ in 0..40 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let step = match random % 14 {
                    0 => chore.key('0'),
                    1 => chore.key('#'),
                    2 => chore.keys_over(),
                    3 => chore.finished(&reply(404, Value::Null)),
                    4 => chore.key('7'),
                    n => chore.heard(words[n as usize - 5], random % 3 > 0),
                };
                if let Step::Run(arguments) = step {
                    let value = arguments["order_number"].as_str().expect("a text");
                    assert!(value.len() == 6 && value.bytes().all(|byte| byte.is_ascii_digit()));
                }
            }
        }
    }
}
