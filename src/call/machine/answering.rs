//! An answer in the making: prepared while the caller may still go on, spoken once the turn is theirs no more. PURE.

use std::time::Instant;

use serde_json::json;

use super::deciding::searched;
use super::hearing::asks_back;
use super::{CallMachine, State, Thinking, signals};
use crate::call::input::{CallAction, CallInput, EngineFailed, Phrase, TurnId, Words};
use crate::dialog::intent::{Rules, forbidden_topic};
use crate::engine::stt::Transcript;
use crate::handoff::HandoffReason;
use crate::judgment::decision::{Inputs, Outcome, Ruled};

impl CallMachine {
    /// The utterance may be over: begin to think, say nothing yet.
    pub(super) fn heard_early(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: &Transcript,
        actions: &mut Vec<CallAction>,
    ) {
        let text = transcript.text.as_str();
        if self.state != State::Assisting {
            return;
        }
        let foreign = self.foreign(transcript);
        let rules = foreign.map_or_else(|| self.rules(), Rules::of);
        if text.is_empty() || rules.backchannel(text) && !self.is_collecting() {
            // No need to keep them waiting; should they go on, we stop again.
            return self.resume(now, actions);
        }
        if let Some(request) = rules.wants_person_so_far(text) {
            // No need to wait for the end of the turn: nothing the caller may add takes this back.
            let rule = Ruled::AsksForPerson(request.rule.as_str().to_owned());
            self.ruled(turn, self.inputs(transcript), rule, HandoffReason::CallerAsked, actions);
            let signals =
                signals([("rule", json!(request.rule.as_str())), ("confidence", json!(transcript.confidence()))]);
            self.drop_answer(actions);
            let switched = foreign.is_some_and(|language| self.speak(language, actions));
            self.hand_off(now, HandoffReason::CallerAsked, signals, Some(Phrase::Connecting), actions);
            if switched {
                self.say_switched(now, actions);
            }
            return;
        }
        if foreign.is_some() || self.asked_language(text).is_some() {
            // Everything else waits for the whole utterance.
            return;
        }
        if transcript.confidence() < self.policy.min_confidence || self.is_mumble(transcript) {
            return;
        }
        // These are words: what was stopped for them stays stopped, and what was being thought is void.
        self.took_the_floor(actions);
        let decided_by_rule = self.doing.is_some()
            || (self.person_offered && rules.yes_no(text).is_some())
            || rules.wants_person(text).is_some()
            || rules.asks_if_human(text)
            || rules.asks_to_repeat(text)
            || rules.says_goodbye(text)
            || self.asks_for_time(text)
            || forbidden_topic(text, &self.policy.forbidden_topics).is_some()
            || rules.is_danger(text)
            || rules.is_angry(text)
            || rules.is_unhelped(text)
            || (rules.is_opening(text) && !self.prompted);
        if !decided_by_rule && self.thinking.is_none() {
            self.think(now, turn, text.to_owned(), false, actions);
        }
    }

    pub(super) fn spoke_on(&mut self, turn: TurnId, actions: &mut Vec<CallAction>) {
        if self.thinking.as_ref().is_some_and(|thinking| thinking.turn == turn && !thinking.committed) {
            self.drop_answer(actions);
        }
    }

    pub(super) fn think(
        &mut self,
        now: Instant,
        turn: TurnId,
        query: String,
        committed: bool,
        actions: &mut Vec<CallAction>,
    ) {
        self.silence_since = None;
        actions.push(CallAction::Answer { turn, query: query.clone() });
        self.thinking = Some(Thinking {
            turn,
            query,
            since: now,
            committed,
            repeated: false,
            early: Vec::new(),
            said: 0,
            evidence: None,
            heard: Inputs::default(),
        });
    }

    /// The utterance is over: speak what was prepared for these very words, or begin.
    pub(super) fn commit_answer(
        &mut self,
        now: Instant,
        turn: TurnId,
        query: String,
        heard: Inputs,
        actions: &mut Vec<CallAction>,
    ) {
        let repeated = heard.repeated;
        match self.thinking.as_mut() {
            Some(thinking) if thinking.turn == turn && thinking.query == query => {
                thinking.committed = true;
                thinking.repeated = repeated;
                thinking.heard = heard;
                thinking.since = now;
                for input in std::mem::take(&mut thinking.early) {
                    self.answer(now, turn, input, actions);
                }
            }
            _ => {
                // Words added before the first ones were answered belong to the same question.
                let query = match &self.thinking {
                    Some(open) if open.committed && open.said == 0 => format!("{} {query}", open.query),
                    _ => query,
                };
                self.drop_answer(actions);
                self.think(now, turn, query, true, actions);
                if let Some(thinking) = self.thinking.as_mut() {
                    thinking.repeated = repeated;
                    thinking.heard = heard;
                }
            }
        }
    }

    pub(super) fn answer(&mut self, now: Instant, turn: TurnId, input: CallInput, actions: &mut Vec<CallAction>) {
        let Some(thinking) = self.thinking.as_mut().filter(|thinking| thinking.turn == turn) else { return };
        if !thinking.committed {
            thinking.early.push(input);
            return;
        }
        match input {
            CallInput::AnswerPlanned { evidence, .. } => thinking.evidence = Some(evidence),
            CallInput::AnswerSentence { text, .. } => {
                thinking.said += 1;
                thinking.since = now;
                if thinking.said == 1 {
                    // On record now: a caller who interrupts has heard it all the same.
                    self.answered(turn, actions);
                    self.last_answer.clear();
                }
                self.last_answer.push(Words::Answer(turn, text.clone()));
                self.say_words(now, Words::Answer(turn, text), true, actions);
            }
            CallInput::ChoreFound { tool, arguments, .. } => {
                let said = std::mem::take(&mut thinking.query);
                self.answered(turn, actions);
                self.thinking = None;
                self.begin_chore(now, turn, tool, &arguments, &said, actions);
            }
            CallInput::AnswerDone { blocked, .. } => self.answer_done(now, blocked, actions),
            CallInput::AnswerFailed { failure, .. } => self.answer_failed(now, failure, actions),
            _ => {}
        }
    }

    pub(super) fn answer_done(&mut self, now: Instant, blocked: Option<String>, actions: &mut Vec<CallAction>) {
        let Some(thinking) = self.thinking.take() else { return };
        if thinking.said > 0 && blocked.is_none() {
            if !thinking.repeated {
                // An answered question ends the doubt, unless it is the very one asked before.
                self.unsure = 0;
            }
            if self.outstanding.is_empty() {
                self.silence_since = Some(now);
            }
            return;
        }
        let evidence = thinking.evidence.unwrap_or_default();
        let ask = asks_back(self.rules(), &thinking.query, thinking.heard.confidence, Phrase::Clarify);
        self.doubted(thinking.turn, searched(thinking.heard, &evidence, blocked.is_some()), actions);
        let signals = signals([
            ("retrieval_score", json!(evidence.score)),
            ("retrieval_margin", json!(evidence.margin)),
            ("answerable", json!(evidence.answerable)),
            ("probability", json!(evidence.probability)),
            ("chosen", json!(evidence.chosen)),
            ("ungrounded", json!(blocked)),
        ]);
        self.unsure(now, signals, Some(ask), actions);
    }

    pub(super) fn answer_failed(&mut self, now: Instant, failure: EngineFailed, actions: &mut Vec<CallAction>) {
        if let Some(thinking) = &self.thinking {
            let evidence = thinking.evidence.clone().unwrap_or_default();
            let failed = Some(failure.engine.to_owned());
            let inputs = Inputs { failed, ..searched(thinking.heard.clone(), &evidence, false) };
            self.decided(thinking.turn, inputs, Outcome::Person(HandoffReason::EngineFailed), actions);
        }
        self.drop_answer(actions);
        self.engine_failed(now, failure, actions);
    }

    pub(super) fn engine_failed(&mut self, now: Instant, failure: EngineFailed, actions: &mut Vec<CallAction>) {
        let signals = signals([("engine", json!(failure.engine)), ("error", json!(failure.reason))]);
        self.hand_off(now, HandoffReason::EngineFailed, signals, Some(Phrase::EngineApology), actions);
    }
}
