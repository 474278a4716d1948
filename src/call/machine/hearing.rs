//! Words and silence of the caller: what follows from a transcript, and what a caller who says nothing is asked. PURE.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{CallMachine, SILENCE_PROMPTS, State, TAKEN_TIME, signals};
use crate::call::input::{CallAction, EngineFailed, Phrase, Signals, TurnId, Words};
use crate::dialog::intent::{Rules, forbidden_topic};
use crate::dialog::language::Language;
use crate::engine::stt::Transcript;
use crate::handoff::HandoffReason;
use crate::judgment::decision::{Inputs, Outcome, Ruled, UNSURE_TURNS};
use crate::store::CallOutcome;

/// So few unsure words over our voice are no turn.
const MUMBLE_WORDS: usize = 2;
/// Words over our voice that were heard with less certainty are taken for a listener's noise, misheard ("sure" as "Thor.",
/// "I see" as "ID."), unless one of them is a word by which people interrupt.
const SURELY_MEANT: f32 = 0.7;
const INTERRUPTS: &[&str] = &[
    "actually", "again", "agent", "bye", "but", "cancel", "enough", "excuse", "goodbye", "hang", "hello", "help",
    "hey", "hold", "how", "human", "listen", "moment", "never", "no", "nope", "not", "operator", "pardon", "person",
    "please", "question", "quiet", "repeat", "second", "sorry", "stop", "wait", "what", "when", "where", "which",
    "who", "why", "wrong",
];

/// So few words that were heard doubtfully may be all there was: a person is offered rather than to say it again.
const SCRAP_WORDS: usize = 3;
/// Words heard with less certainty, for which there is no answer, may have been anything: most of what is left of requests for
/// a person on noisy lines is below it, and a third of other words without an answer (docs/benchmarks.md).
const DOUBTFUL: f32 = 0.65;
/// How tools' sentences end that ask for more.
const ANYTHING_ELSE: &str = "anything else?";
/// The rule by which a "yes" to that offer is a request.
const ACCEPTED: &str = "accepted";

/// Another language was told, or asked for.
#[derive(Clone, Copy)]
struct Switch {
    /// What was spoken before.
    before: Language,
    /// By name.
    asked: bool,
}

impl CallMachine {
    pub(super) fn speech_dropped(&mut self, now: Instant) {
        self.speech_since = None;
        if self.outstanding.is_empty() && self.thinking.is_none() && self.decoding.is_none() {
            self.silence_since = Some(now);
        }
    }

    /// It was our own echo.
    pub(super) fn speech_discarded(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.speech_dropped(now);
        self.resume(now, actions);
    }

    pub(super) fn turn_ended(&mut self, now: Instant, turn: TurnId) {
        self.silence_since = None;
        self.speech_since = None;
        if self.listens_for_words() {
            self.decoding = Some((turn, now));
            self.asked_at = Some(now);
        }
    }

    /// States in which a caller's words decide something.
    pub(super) fn listens_for_words(&self) -> bool {
        matches!(self.state, State::Assisting | State::Waiting { .. } | State::Parked { .. } | State::AgentLost)
    }

    pub(super) fn heard(
        &mut self,
        now: Instant,
        turn: TurnId,
        result: Result<Transcript, EngineFailed>,
        interrupted: bool,
        actions: &mut Vec<CallAction>,
    ) {
        if self.decoding.is_some_and(|(decoding, _)| decoding <= turn) {
            self.decoding = None;
        }
        let transcript = match result {
            Ok(transcript) => transcript,
            Err(failure) => {
                if self.state == State::Assisting {
                    let inputs = Inputs { failed: Some(failure.engine.to_owned()), ..Inputs::default() };
                    self.decided(turn, inputs, Outcome::Person(HandoffReason::EngineFailed), actions);
                    self.drop_answer(actions);
                    self.engine_failed(now, failure, actions);
                }
                return;
            }
        };
        if transcript.text.is_empty() {
            self.heard_nothing(now, turn, actions);
            return;
        }
        let before = self.language;
        let mut foreign = self.hear_language(&transcript, actions);
        let asked = if foreign { None } else { self.asked_language(&transcript.text) };
        if let Some(language) = asked {
            foreign = self.speak(language, actions);
        }
        if foreign && matches!(self.state, State::Assisting | State::Waiting { .. }) {
            actions.push(CallAction::RememberCaller { turn, transcript: transcript.clone() });
            return self.heard_foreign(now, turn, transcript, Switch { before, asked: asked.is_some() }, actions);
        }
        // A "yes" over the end of "is that right?" is an answer; one over a question whether to change something is not.
        if self.state == State::Assisting
            && !self.is_collecting()
            && !self.person_offered
            && (self.is_speaking() || interrupted)
            && (self.rules().backchannel(&transcript.text) || self.is_mumble(&transcript))
        {
            // "mm-hm" is no turn; what it stopped goes on.
            self.drop_thinking_of(turn, actions);
            actions.push(CallAction::RememberCaller { turn, transcript });
            self.went_on(now, actions);
            return;
        }
        actions.push(CallAction::RememberCaller { turn, transcript: transcript.clone() });
        match self.state.clone() {
            State::Assisting => self.heard_words(now, turn, transcript, actions),
            State::Waiting { position, .. } => self.heard_while_waiting(now, &transcript.text, position, actions),
            State::Parked { .. } if self.rules().wants_person(&transcript.text).is_some() => {
                self.wait_again_saying(now, Phrase::ParkedTooLong, actions);
            }
            State::Confirm { number, .. } => self.heard_to_confirm(now, &transcript.text, number, actions),
            State::Callback { .. } if self.rules().wants_person(&transcript.text).is_some() => {
                self.wait_again(now, actions)
            }
            State::Ending { outcome, .. }
                if outcome != CallOutcome::Interrupted && self.rules().wants_person(&transcript.text).is_some() =>
            {
                self.reopen(actions);
                self.heard_words(now, turn, transcript, actions);
            }
            _ => {}
        }
    }

    /// The first words in another language, or a wish for one.
    fn heard_foreign(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: Transcript,
        switch: Switch,
        actions: &mut Vec<CallAction>,
    ) {
        match self.state.clone() {
            State::Assisting => {
                self.stop_speaking(actions);
                let person = self.asks_for_person(&transcript.text, switch.before);
                if let Some(request) = person {
                    self.caller_asked(now, turn, &transcript, request.rule.as_str(), actions);
                    return self.say_switched(now, actions);
                }
                self.say_switched(now, actions);
                if switch.asked {
                    self.drop_answer(actions);
                    self.prompted = true;
                    self.say(now, Phrase::Prompt, true, actions);
                } else {
                    self.heard_words(now, turn, transcript, actions);
                }
            }
            State::Waiting { position, .. } if switch.asked => self.say_place(now, position, actions),
            State::Waiting { position, .. } => self.heard_while_waiting(now, &transcript.text, position, actions),
            _ => {}
        }
    }

    /// The caller asked for a person in words.
    fn caller_asked(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: &Transcript,
        rule: &str,
        actions: &mut Vec<CallAction>,
    ) {
        self.drop_answer(actions);
        self.ruled(
            turn,
            self.inputs(transcript),
            Ruled::AsksForPerson(rule.to_owned()),
            HandoffReason::CallerAsked,
            actions,
        );
        let signals = signals([("rule", json!(rule)), ("confidence", json!(transcript.confidence()))]);
        self.hand_off(now, HandoffReason::CallerAsked, signals, Some(Phrase::Connecting), actions);
    }

    /// It stopped us, and is a word or two that may be others: not worth asking again.
    pub(super) fn is_mumble(&self, transcript: &Transcript) -> bool {
        let Transcript { text, .. } = transcript;
        let confidence = transcript.confidence();
        // The words by which people interrupt are known in English only.
        let spoken_over = self.language == Language::ENGLISH && confidence.get() < SURELY_MEANT && !interrupts(text);
        let doubtful = confidence < self.policy.min_confidence || spoken_over;
        self.paused.is_some()
            && doubtful
            && text.split_whitespace().count() <= MUMBLE_WORDS
            && self.rules().wants_person(text).is_none()
    }

    /// "No", after we asked whether there is anything else. Not when we have asked something else since.
    fn wants_no_more(&self, text: &str) -> bool {
        let asked = match self.last_answer.last() {
            Some(Words::Answer(_, said)) => said.to_lowercase().trim_end().ends_with(ANYTHING_ELSE),
            _ => false,
        };
        asked
            && self.unsure == 0
            && self.rules().yes_no(text) == Some(false)
            && text.split_whitespace().count() <= SCRAP_WORDS
    }

    pub(super) fn heard_nothing(&mut self, now: Instant, turn: TurnId, actions: &mut Vec<CallAction>) {
        self.drop_thinking_of(turn, actions);
        if self.state == State::Assisting {
            self.went_on(now, actions);
        }
    }

    pub(super) fn drop_thinking_of(&mut self, turn: TurnId, actions: &mut Vec<CallAction>) {
        if self.thinking.as_ref().is_some_and(|thinking| thinking.turn == turn) {
            self.drop_answer(actions);
        }
    }

    /// That was no turn: we go on where we were.
    fn went_on(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        self.resume(now, actions);
        if self.outstanding.is_empty() && self.thinking.is_none() {
            self.silence_since = Some(now);
        }
    }

    pub(super) fn heard_words(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: Transcript,
        actions: &mut Vec<CallAction>,
    ) {
        let text = transcript.text.as_str();
        self.silence_prompts = 0;
        let offered = std::mem::take(&mut self.person_offered);
        let had_taken_time = std::mem::take(&mut self.taking_time);
        let heard = self.inputs(&transcript);
        let rules = self.rules();
        if let Some(request) = rules.wants_person(text) {
            return self.caller_asked(now, turn, &transcript, request.rule.as_str(), actions);
        }
        if offered && self.offer_answered(now, turn, &transcript, actions) {
            return;
        }
        if let Some(topic) = forbidden_topic(text, &self.policy.forbidden_topics) {
            let signals = signals([("topic", json!(topic)), ("confidence", json!(transcript.confidence()))]);
            self.ruled(turn, heard, Ruled::Topic(topic.to_owned()), HandoffReason::ForbiddenTopic, actions);
            self.drop_answer(actions);
            return self.hand_off(now, HandoffReason::ForbiddenTopic, signals, Some(Phrase::Connecting), actions);
        }
        let (danger, anger) = (rules.is_danger(text), rules.is_angry(text));
        if danger || anger {
            let signals = signals([
                ("danger", json!(danger)),
                ("anger", json!(anger)),
                ("confidence", json!(transcript.confidence())),
            ]);
            let rule = if danger { Ruled::Danger } else { Ruled::Anger };
            self.ruled(turn, heard, rule, HandoffReason::Distress, actions);
            self.drop_answer(actions);
            return self.hand_off(now, HandoffReason::Distress, signals, Some(Phrase::Connecting), actions);
        }
        // Even if it was too short to stop us: it was words, and they have the floor.
        let was_paused = self.paused.is_some();
        self.stop_speaking(actions);
        if was_paused && self.thinking.as_ref().is_some_and(|thinking| thinking.turn != turn) {
            self.drop_answer(actions);
        }
        if self.asks_for_time(text) {
            self.drop_answer(actions);
            self.taking_time = true;
            if had_taken_time {
                self.silence_since = Some(now);
            } else {
                self.say(now, Phrase::TakeYourTime, true, actions);
            }
            return;
        }
        if rules.asks_if_human(text) {
            self.drop_answer(actions);
            self.say(now, Phrase::IsAssistant, true, actions);
            return;
        }
        if rules.asks_to_repeat(text) && !self.last_answer.is_empty() {
            self.drop_answer(actions);
            for words in self.last_answer.clone() {
                self.say_words(now, words, true, actions);
            }
            return;
        }
        if self.doing.is_some() && !rules.says_goodbye(text) {
            self.drop_answer(actions);
            return self.chore_heard(now, turn, &transcript, actions);
        }
        // A scrap of noise may read like one; nobody is hung up on for that.
        if (rules.says_goodbye(text) || self.wants_no_more(text))
            && transcript.confidence() >= self.policy.min_confidence
        {
            self.drop_answer(actions);
            self.drop_chore(actions);
            return self.end_with(now, Phrase::Goodbye, CallOutcome::EndedWithAssistant, actions);
        }
        if rules.is_unhelped(text) {
            let signals = signals([("unhelped", json!(true)), ("confidence", json!(transcript.confidence()))]);
            self.drop_answer(actions);
            self.doubted(turn, Inputs { rule: Some(Ruled::Unhelped), ..heard }, actions);
            self.unsure(now, signals, Some(Phrase::Clarify), actions);
            return;
        }
        if rules.is_opening(text) && !self.prompted {
            // No question yet: nothing to be unsure of, the first time.
            self.prompted = true;
            self.drop_answer(actions);
            self.say(now, Phrase::Prompt, true, actions);
            return;
        }
        let repeated = self.last_query.as_deref().is_some_and(|last| same_question(last, text));
        let confidence = transcript.confidence();
        let heard = Inputs { repeated, ..heard };
        if confidence < self.policy.min_confidence || repeated {
            let signals = signals([
                ("confidence", json!(confidence)),
                ("avg_logprob", json!(transcript.avg_logprob)),
                ("no_speech", json!(transcript.no_speech)),
                ("repeated_question", json!(repeated)),
            ]);
            if !repeated || self.unsure + 1 >= UNSURE_TURNS {
                self.doubted(turn, heard.clone(), actions);
            }
            // A question asked again deserves another answer; the count decides who gives it.
            let ask = (!repeated).then(|| asks_back(rules, text, heard.confidence, Phrase::Repeat));
            if self.unsure(now, signals, ask, actions) || !repeated {
                return;
            }
        }
        self.last_query = Some(text.to_owned());
        self.commit_answer(now, turn, text.to_owned(), heard, actions);
    }

    /// One more turn without a good answer. True when it was the last straw.
    pub(super) fn unsure(
        &mut self,
        now: Instant,
        signals: Signals,
        ask: Option<Phrase>,
        actions: &mut Vec<CallAction>,
    ) -> bool {
        self.unsure += 1;
        if self.unsure >= UNSURE_TURNS {
            self.drop_answer(actions);
            self.hand_off(now, HandoffReason::LowConfidence, signals, Some(Phrase::Connecting), actions);
            return true;
        }
        if let Some(phrase) = ask {
            self.drop_answer(actions);
            self.person_offered = phrase == Phrase::OfferPerson;
            self.say(now, phrase, true, actions);
        }
        false
    }

    /// The caller was asked whether they want a person. True: that was the answer. Anything that can't be made out makes the
    /// second unsure turn in a row, and leads to a person as well.
    fn offer_answered(
        &mut self,
        now: Instant,
        turn: TurnId,
        transcript: &Transcript,
        actions: &mut Vec<CallAction>,
    ) -> bool {
        let text = transcript.text.as_str();
        match self.rules().yes_no(text) {
            Some(true) => {
                self.caller_asked(now, turn, transcript, ACCEPTED, actions);
                true
            }
            Some(false) => {
                // That was no doubt about an answer.
                self.unsure = 0;
                if text.split_whitespace().count() > SCRAP_WORDS {
                    return false;
                }
                self.drop_answer(actions);
                self.say(now, Phrase::Prompt, true, actions);
                true
            }
            None if self.rules().asks_to_repeat(text) => {
                self.drop_answer(actions);
                self.person_offered = true;
                self.say(now, Phrase::OfferPerson, true, actions);
                true
            }
            None => false,
        }
    }

    pub(super) fn heard_while_waiting(
        &mut self,
        now: Instant,
        text: &str,
        position: u32,
        actions: &mut Vec<CallAction>,
    ) {
        if self.rules().wants_message(text) {
            self.take_message(now, actions);
        } else if self.rules().wants_callback(text) {
            self.call_back(now, actions);
        } else if self.rules().wants_assistant(text) {
            self.back_to_assistant(now, actions);
        } else if self.rules().wants_person(text).is_some() {
            self.say_place(now, position, actions);
        }
    }

    pub(super) fn say_place(&mut self, now: Instant, position: u32, actions: &mut Vec<CallAction>) {
        if self.outstanding.is_empty() {
            actions.push(CallAction::Hold(false));
            if let Some(wait) = self.wait.map(Phrase::wait) {
                self.say(now, wait, true, actions);
            }
            // The choices come last.
            self.say(now, Phrase::StillWaiting { position }, true, actions);
        }
    }

    /// How long the caller may say nothing.
    pub(super) fn silence_allowed(&self) -> Duration {
        self.policy.silence_prompt * if self.taking_time { TAKEN_TIME } else { 1 }
    }

    pub(super) fn prompt_silence(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        let Some(since) = self.silence_since else { return };
        if now < since + self.silence_allowed() {
            return;
        }
        if self.silence_prompts >= SILENCE_PROMPTS {
            let signals = signals([("silence_prompts", json!(self.silence_prompts))]);
            return self.hand_off(now, HandoffReason::Silence, signals, Some(Phrase::Connecting), actions);
        }
        self.silence_prompts += 1;
        self.taking_time = false;
        self.say(now, Phrase::SilencePrompt, true, actions);
    }
}

/// One of these words is one by which people interrupt, or a number.
fn interrupts(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .any(|word| INTERRUPTS.contains(&word.as_str()) || !word.is_empty() && word.chars().all(|c| c.is_ascii_digit()))
}

/// What the caller is asked where nothing can be made of the words: whether they want a person, if they may have said that, as
/// anybody may whom we did not hear well.
pub(super) fn asks_back(rules: Rules, text: &str, confidence: f32, otherwise: Phrase) -> Phrase {
    let doubtful = confidence < DOUBTFUL && !rules.rules_person_out(text);
    if doubtful || rules.may_want_person(text) { Phrase::OfferPerson } else { otherwise }
}

/// Most words of the shorter are in the other: the caller says the same again, perhaps with "I said" before it.
fn same_question(a: &str, b: &str) -> bool {
    const AGAIN: &[&str] = &["said", "asked", "told", "again", "but", "and", "now", "please", "just", "mean", "repeat"];
    let words = |text: &str| {
        let mut words: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_lowercase)
            .filter(|word| word.len() > 2 && !AGAIN.contains(&word.as_str()))
            .collect();
        words.sort();
        words.dedup();
        words
    };
    let (a, b) = (words(a), words(b));
    if a.len().min(b.len()) < 2 {
        return false;
    }
    let common = a.iter().filter(|word| b.contains(word)).count();
    common * 5 >= a.len().max(b.len()) * 4
}
