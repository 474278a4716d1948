//! Doing a chore for the caller: its questions, its keys, its tool, its end. PURE; the conversation itself is in
//! [`crate::dialog::chore`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{CallMachine, State, signals};
use crate::call::input::{CallAction, Phrase, RunId, TurnId, Words};
use crate::dialog::chore::{Chore, Step};
use crate::engine::stt::Transcript;
use crate::handoff::HandoffReason;
use crate::tools::spec::{Arguments, ToolFailed, ToolReply, ToolSpec};

/// Without another key for this long, no more come.
const KEY_PAUSE: Duration = Duration::from_secs(4);
/// The same after a `0` alone, the key for a person.
const ZERO_PAUSE: Duration = Duration::from_millis(1_500);
/// What a tool may take beyond its own limits.
const TOOL_GRACE: Duration = Duration::from_secs(3);

/// A chore under way.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    chore: Chore,
    turn: TurnId,
    /// The tool's run, and when it is given up.
    run: Option<(RunId, Instant)>,
    /// When no more keys are awaited.
    keys_until: Option<Instant>,
}

impl Doing {
    pub(super) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    pub(super) fn is_collecting(&self) -> bool {
        self.chore.is_collecting()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.run.map(|(_, until)| until).into_iter().chain(self.keys_until).min()
    }
}

impl CallMachine {
    pub(super) fn begin_chore(
        &mut self,
        now: Instant,
        turn: TurnId,
        tool: Arc<ToolSpec>,
        arguments: &Arguments,
        said: &str,
        actions: &mut Vec<CallAction>,
    ) {
        let (chore, step) = Chore::begin(tool, arguments, said, self.policy.today);
        self.doing = Some(Doing { chore, turn, run: None, keys_until: None });
        self.chore_step(now, step, actions);
    }

    pub(super) fn chore_heard(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: &Transcript,
        actions: &mut Vec<CallAction>,
    ) {
        let Some(doing) = &mut self.doing else { return };
        doing.turn = turn;
        doing.keys_until = None;
        let sure = transcript.confidence() >= self.policy.min_confidence;
        let step = doing.chore.heard(&transcript.text, sure);
        self.chore_step(now, step, actions);
    }

    /// True when the key was meant for the chore.
    pub(super) fn chore_key(&mut self, now: Instant, key: char, actions: &mut Vec<CallAction>) -> bool {
        let assisting = self.state == State::Assisting;
        let Some(doing) = self.doing.as_mut().filter(|doing| assisting && doing.chore.takes_keys()) else {
            return false;
        };
        let first = !doing.chore.is_keying();
        let step = doing.chore.key(key);
        doing.keys_until =
            doing.chore.is_keying().then(|| now + if first && key == '0' { ZERO_PAUSE } else { KEY_PAUSE });
        self.stop_speaking(actions);
        self.chore_step(now, step, actions);
        true
    }

    /// A deadline of the chore passed. True when there was one.
    pub(super) fn chore_due(&mut self, now: Instant, actions: &mut Vec<CallAction>) -> bool {
        let Some(doing) = self.doing.as_mut().filter(|doing| doing.due().is_some_and(|due| now >= due)) else {
            return false;
        };
        if doing.keys_until.is_some_and(|until| now >= until) {
            doing.keys_until = None;
            let step = doing.chore.keys_over();
            self.chore_step(now, step, actions);
        } else if let Some((run, _)) = doing.run {
            let failed = ToolFailed { reason: "no result came".to_owned(), perhaps_done: doing.chore.tool().changes };
            actions.push(CallAction::CancelTool(run));
            self.tool_done(now, run, &Err(failed), actions);
        }
        true
    }

    pub(super) fn tool_done(
        &mut self,
        now: Instant,
        run: RunId,
        result: &Result<ToolReply, ToolFailed>,
        actions: &mut Vec<CallAction>,
    ) {
        let Some(doing) = self.doing.as_mut().filter(|doing| doing.run.is_some_and(|(known, _)| known == run)) else {
            return;
        };
        doing.run = None;
        let step = doing.chore.finished(result);
        self.chore_step(now, step, actions);
    }

    /// The chore is over whatever it was at. What changes something is not cut off: its end is recorded.
    pub(super) fn drop_chore(&mut self, actions: &mut Vec<CallAction>) {
        if let Some(Doing { chore, run: Some((run, _)), .. }) = self.doing.take()
            && !chore.tool().changes
        {
            actions.push(CallAction::CancelTool(run));
        }
    }

    fn chore_step(&mut self, now: Instant, step: Step, actions: &mut Vec<CallAction>) {
        let Some(doing) = &mut self.doing else { return };
        let turn = doing.turn;
        match step {
            Step::Say(text) => self.say_of_chore(now, turn, text, actions),
            Step::Run(arguments) => {
                self.runs += 1;
                let (run, tool) = (RunId(self.runs), doing.chore.tool().clone());
                let attempt = Duration::from_millis(u64::from(tool.timeout_ms()) + 300);
                doing.run = Some((run, now + attempt * (tool.retries() + 1) + TOOL_GRACE));
                doing.keys_until = None;
                self.silence_since = None;
                self.asked_at = Some(now);
                actions.push(CallAction::RunTool { run, tool, arguments });
            }
            Step::Over(text) => {
                self.drop_chore(actions);
                self.unsure = 0;
                self.say_of_chore(now, turn, text, actions);
            }
            Step::Person { text, why } => {
                let tool = doing.chore.tool().name.clone();
                self.doing = None;
                if let Some(text) = text {
                    self.say_words(now, Words::Answer(turn, text), false, actions);
                }
                let (reason, phrase) = match why {
                    "tool_failed" | "no_sentence" => (HandoffReason::EngineFailed, Phrase::EngineApology),
                    "pressed_zero" => (HandoffReason::CallerPressedZero, Phrase::Connecting),
                    _ => (HandoffReason::LowConfidence, Phrase::Connecting),
                };
                let signals = signals([("tool", json!(tool)), ("chore", json!(why))]);
                self.hand_off(now, reason, signals, Some(phrase), actions);
            }
            Step::Wait if doing.is_running() => self.asked_at = Some(now),
            Step::Wait => {
                if self.outstanding.is_empty() {
                    self.silence_since = Some(now);
                }
            }
        }
    }

    fn say_of_chore(&mut self, now: Instant, turn: TurnId, text: String, actions: &mut Vec<CallAction>) {
        let words = Words::Answer(turn, text);
        self.last_answer = vec![words.clone()];
        self.say_words(now, words, true, actions);
    }
}
