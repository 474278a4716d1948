//! A call as a state machine. PURE: time and events in, actions out; it never waits.
//!
//! ```text
//!            ┌──────────── back to the assistant (caller's choice) ───────────┐
//!            ▼                                                                │
//!  Began ─▶ Assisting ─ asked, unsure twice, engine failed, topic, silence ─▶ Waiting ─ accepted ─▶ Introducing ─▶ Bridged
//!                                                                             │ ▲                                  │ ▲
//!                          Message ◀── 1 ──┤ └───────────── requeued ── AgentLost ◀──── lost ────────┘ │
//!                          Callback ◀─ 2 ──┘                                └──────── returned ─────────┘
//!  every state ─ hang-up, server stopping ─▶ Ending ─▶ Ended
//! ```
//!
//! Invariants, tested over random inputs in `machine_tests.rs`: a caller who asked for a person ends with one or with a
//! recorded alternative of their own choice; every handoff is closed exactly once; in every state something is audible or
//! a deadline is set; only one voice speaks, the assistant until [`State::Introducing`] ends and the person after it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;

use super::input::{
    CallAction, CallInput, EngineFailed, Evidence, HandoffNews, ItemId, Phrase, Signals, TurnId, Words,
};
use crate::audio::units::{Millis, Probability};
use crate::dialog::intent;
use crate::engine::stt::Transcript;
use crate::handoff::HandoffReason;
use crate::store::{CallOutcome, HandoffOutcome};
use crate::telephony::protocol::Digit;

/// How long an answer may take until its first sentence before the caller is put through. The engines' own deadlines are shorter.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// How long a spoken item may take to be heard before it is given up.
const ITEM_PATIENCE: Duration = Duration::from_secs(45);
/// How long the introduction may take before caller and agent are joined anyway.
const INTRODUCTION_PATIENCE: Duration = Duration::from_secs(6);
/// How long the last words may take before the leg is closed anyway.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(8);
/// How long a caller may take to key in a number.
const NUMBER_PATIENCE: Duration = Duration::from_secs(30);
/// How long voice may go on before its end is no longer awaited; the turn detector cuts far earlier.
const SPEECH_PATIENCE: Duration = Duration::from_secs(60);
/// Prompts into silence before the caller is put through.
const SILENCE_PROMPTS: u32 = 2;
/// Unsure turns in a row before the caller is put through.
const UNSURE_TURNS: u32 = 2;
/// Voice a message must hold to be one.
const MESSAGE_MIN: Millis = Millis(700);

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct CallPolicy {
    /// Speak the recording notice, and record once it was heard.
    pub record: bool,
    /// Silence of the caller after which the assistant asks.
    pub silence_prompt: Duration,
    /// Between announcements to a waiting caller.
    pub announce_every: Duration,
    /// Confidence below which a transcript counts as unsure.
    pub min_confidence: Probability,
    /// Topics for people.
    pub forbidden_topics: Vec<String>,
    /// The caller's number is known, so that a callback needs no keying in.
    pub caller_number_known: bool,
}

/// Where a call is. Drawn in the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// With the assistant.
    Assisting,
    /// Asked for a person, in the queue or offered.
    Waiting {
        /// When the next announcement is due.
        announce_at: Instant,
        /// The last known place.
        position: u32,
        /// The caller was told that nobody is there.
        told_nobody: bool,
    },
    /// A person accepted; the assistant says who it is.
    Introducing {
        /// The introduction.
        item: ItemId,
        /// Join at the latest now.
        until: Instant,
    },
    /// Caller and agent hear each other, unless on hold.
    Bridged {
        /// The caller hears hold.
        hold: bool,
    },
    /// The agent's connection broke; the desk waits for them.
    AgentLost,
    /// The caller leaves a message.
    Message {
        /// The beep has sounded.
        recording: bool,
    },
    /// The caller keys in a number.
    Callback {
        /// Keys so far.
        digits: String,
        /// Patience.
        until: Instant,
    },
    /// Last words, then hang-up.
    Ending {
        /// Hang up at the latest now.
        until: Instant,
        /// What it ends as.
        outcome: CallOutcome,
    },
    /// Over.
    Ended,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct CallMachine {
    policy: CallPolicy,
    state: State,
    next_item: u64,
    /// Said and not yet heard, oldest first.
    outstanding: VecDeque<Outstanding>,
    /// The notice is on its way or was heard.
    notice: Option<ItemId>,
    recording: bool,
    /// The answer being made.
    thinking: Option<Thinking>,
    /// An utterance whose transcript is awaited.
    decoding: Option<(TurnId, Instant)>,
    silence_since: Option<Instant>,
    /// Voice began and its end is awaited.
    speech_since: Option<Instant>,
    silence_prompts: u32,
    unsure: u32,
    last_query: Option<String>,
    /// What was said to it, to be said again on request.
    last_answer: Vec<Words>,
    /// Cut by a barge-in that may turn out to be none.
    interrupted: Vec<(Words, String)>,
    handoff: Handoff,
}

#[derive(Clone, Debug)]
struct Outstanding {
    item: ItemId,
    words: Words,
    interruptible: bool,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Thinking {
    turn: TurnId,
    query: String,
    since: Instant,
    /// The utterance has ended: sentences may be spoken.
    committed: bool,
    /// The caller asked the same before.
    repeated: bool,
    /// Sentences made before that.
    early: Vec<CallInput>,
    said: u32,
    evidence: Option<Evidence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handoff {
    None,
    Open,
    /// Open, and a person has spoken with the caller.
    Bridged,
    Closed(HandoffOutcome),
}

impl CallMachine {
    /// A call that has not begun.
    pub fn new(now: Instant, policy: CallPolicy) -> Self {
        Self {
            policy,
            state: State::Assisting,
            next_item: 0,
            outstanding: VecDeque::new(),
            notice: None,
            recording: false,
            thinking: None,
            decoding: None,
            silence_since: Some(now),
            speech_since: None,
            silence_prompts: 0,
            unsure: 0,
            last_query: None,
            last_answer: Vec::new(),
            interrupted: Vec::new(),
            handoff: Handoff::None,
        }
    }

    /// Where the call is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// True while the caller hears the assistant or soon will.
    pub fn is_speaking(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Instant, input: CallInput, actions: &mut Vec<CallAction>) {
        if self.state == State::Ended {
            return;
        }
        match input {
            CallInput::Began => self.greet(now, actions),
            CallInput::SpeechStarted => {
                self.silence_since = None;
                self.speech_since = Some(now);
            }
            CallInput::BargeIn => self.barge_in(actions),
            CallInput::TurnEnded(turn) => self.turn_ended(now, turn),
            CallInput::Heard { turn, result, interrupted } => self.heard(now, turn, result, interrupted, actions),
            CallInput::HeardEarly { turn, transcript } => self.heard_early(now, turn, &transcript, actions),
            CallInput::SpokeOn(turn) => self.spoke_on(turn, actions),
            CallInput::Dtmf(digit) => self.dtmf(now, digit, actions),
            CallInput::ItemHeard(item) => self.item_over(now, item, None, actions),
            CallInput::ItemCut { item, heard } => self.item_over(now, item, Some(heard), actions),
            CallInput::ItemFailed(item) => self.item_failed(now, item, actions),
            input @ (CallInput::AnswerPlanned { turn, .. }
            | CallInput::AnswerSentence { turn, .. }
            | CallInput::AnswerDone { turn, .. }
            | CallInput::AnswerFailed { turn, .. }) => self.answer(now, turn, input, actions),
            CallInput::Handoff(news) => self.news(now, news, actions),
            CallInput::MessageEnded { speech } => self.message_ended(now, speech, actions),
            CallInput::ProviderStopped(_) => self.finish(actions, true),
            CallInput::ServerStopping => self.server_stopping(now, actions),
        }
    }

    /// When [`CallMachine::handle_timeout`] wants to be called. Set in every state but the last.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state == State::Ended {
            return None;
        }
        let by_state = match &self.state {
            State::Assisting => self.silence_since.map(|since| since + self.policy.silence_prompt),
            State::Waiting { announce_at, .. } => Some(*announce_at),
            State::Introducing { until, .. } | State::Callback { until, .. } | State::Ending { until, .. } => {
                Some(*until)
            }
            State::Bridged { .. } | State::AgentLost | State::Message { .. } | State::Ended => None,
        };
        let item = self.outstanding.front().map(|item| item.since + ITEM_PATIENCE);
        let thinking = self.thinking.as_ref().filter(|t| t.said == 0).map(|t| t.since + ANSWER_PATIENCE);
        let decoding = self.decoding.map(|(_, since)| since + ANSWER_PATIENCE);
        let speech = self.speech_since.map(|since| since + SPEECH_PATIENCE);
        [by_state, item, thinking, decoding, speech].into_iter().flatten().min()
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if let Some(front) = self.outstanding.front()
            && now >= front.since + ITEM_PATIENCE
        {
            let item = front.item;
            return self.item_failed(now, item, actions);
        }
        if let Some((turn, since)) = self.decoding
            && now >= since + ANSWER_PATIENCE
        {
            let failure = EngineFailed { engine: "stt", reason: "no transcript came".to_owned() };
            return self.heard(now, turn, Err(failure), false, actions);
        }
        if let Some(thinking) = &self.thinking
            && thinking.said == 0
            && now >= thinking.since + ANSWER_PATIENCE
        {
            let failure = EngineFailed { engine: "llm", reason: "no answer came".to_owned() };
            return self.answer_failed(now, failure, actions);
        }
        if self.speech_since.is_some_and(|since| now >= since + SPEECH_PATIENCE) {
            self.speech_dropped(now);
        }
        match self.state.clone() {
            State::Assisting => self.prompt_silence(now, actions),
            State::Waiting { announce_at, position, told_nobody } if now >= announce_at => {
                self.state = State::Waiting { announce_at: now + self.policy.announce_every, position, told_nobody };
                if self.outstanding.is_empty() {
                    let phrase = if told_nobody { Phrase::NobodyAvailable } else { Phrase::StillWaiting { position } };
                    actions.push(CallAction::Hold(false));
                    self.say(now, phrase, true, actions);
                }
            }
            State::Introducing { until, .. } if now >= until => self.bridge(actions),
            State::Callback { until, .. } if now >= until => self.wait_again(now, actions),
            State::Ending { until, .. } if now >= until => {
                actions.push(CallAction::Hangup);
                self.finish(actions, false);
            }
            _ => {}
        }
    }

    // --- speaking -----------------------------------------------------------------------------------------------

    fn say_words(&mut self, now: Instant, words: Words, interruptible: bool, actions: &mut Vec<CallAction>) -> ItemId {
        let item = ItemId(self.next_item);
        self.next_item += 1;
        self.silence_since = None;
        self.outstanding.push_back(Outstanding { item, words: words.clone(), interruptible, since: now });
        actions.push(CallAction::Say { item, words, interruptible });
        item
    }

    fn say(&mut self, now: Instant, phrase: Phrase, interruptible: bool, actions: &mut Vec<CallAction>) -> ItemId {
        self.say_words(now, Words::Fixed(phrase), interruptible, actions)
    }

    fn greet(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        // Who is speaking and that it is recorded must be heard: barge-in stops only the rest.
        self.say(now, Phrase::Greeting, false, actions);
        if self.policy.record {
            self.notice = Some(self.say(now, Phrase::Notice, false, actions));
        }
        self.say(now, Phrase::GreetingRest, true, actions);
    }

    /// The caller's words stop ours, those excepted that must be heard.
    fn barge_in(&mut self, actions: &mut Vec<CallAction>) {
        if self.state != State::Assisting || !self.outstanding.iter().any(|item| item.interruptible) {
            return;
        }
        self.interrupted.clear();
        actions.push(CallAction::ClearPlayback { everything: false });
        self.drop_answer(actions);
    }

    fn drop_answer(&mut self, actions: &mut Vec<CallAction>) {
        if let Some(thinking) = self.thinking.take() {
            actions.push(CallAction::CancelAnswer(thinking.turn));
        }
    }

    fn item_over(&mut self, now: Instant, item: ItemId, cut: Option<String>, actions: &mut Vec<CallAction>) {
        let Some(at) = self.outstanding.iter().position(|outstanding| outstanding.item == item) else { return };
        let over = self.outstanding.remove(at).expect("the position was just found");
        // The clock of the next one starts when this one ends.
        if let Some(front) = self.outstanding.front_mut() {
            front.since = now;
        }
        match cut {
            None => actions.push(CallAction::RememberAssistant { item, heard: String::new(), cut: false }),
            Some(heard) => {
                self.interrupted.push((over.words, heard.clone()));
                actions.push(CallAction::RememberAssistant { item, heard, cut: true });
                if self.notice == Some(item) {
                    self.notice = None;
                }
                self.spoken_out(now, item, actions);
                return;
            }
        }
        if self.notice == Some(item) && !self.recording {
            self.recording = true;
            actions.push(CallAction::StartRecording);
        }
        self.spoken_out(now, item, actions);
    }

    fn item_failed(&mut self, now: Instant, item: ItemId, actions: &mut Vec<CallAction>) {
        let Some(at) = self.outstanding.iter().position(|outstanding| outstanding.item == item) else { return };
        self.outstanding.remove(at);
        if let Some(front) = self.outstanding.front_mut() {
            front.since = now;
        }
        if self.state == State::Assisting {
            // Without a voice there is nothing more to say: a person is.
            self.drop_answer(actions);
            let signals = signals([("engine", json!("tts"))]);
            self.hand_off(now, HandoffReason::EngineFailed, signals, None, actions);
        }
        self.spoken_out(now, item, actions);
    }

    /// What follows once nothing is left to say.
    fn spoken_out(&mut self, now: Instant, item: ItemId, actions: &mut Vec<CallAction>) {
        if let State::Introducing { item: introduction, .. } = self.state
            && introduction == item
        {
            return self.bridge(actions);
        }
        if !self.outstanding.is_empty() {
            return;
        }
        match &self.state {
            State::Assisting if self.thinking.is_none() && self.decoding.is_none() => self.silence_since = Some(now),
            State::Waiting { .. } | State::AgentLost => actions.push(CallAction::Hold(true)),
            State::Message { recording: false } => {
                self.state = State::Message { recording: true };
                actions.push(CallAction::StartMessage);
            }
            State::Ending { .. } => {
                actions.push(CallAction::Hangup);
                self.finish(actions, false);
            }
            _ => {}
        }
    }

    // --- hearing ------------------------------------------------------------------------------------------------

    fn speech_dropped(&mut self, now: Instant) {
        self.speech_since = None;
        if self.outstanding.is_empty() && self.thinking.is_none() && self.decoding.is_none() {
            self.silence_since = Some(now);
        }
    }

    fn turn_ended(&mut self, now: Instant, turn: TurnId) {
        self.silence_since = None;
        self.speech_since = None;
        if self.listens_for_words() {
            self.decoding = Some((turn, now));
        }
    }

    /// States in which a caller's words decide something.
    fn listens_for_words(&self) -> bool {
        matches!(self.state, State::Assisting | State::Waiting { .. } | State::AgentLost)
    }

    fn heard(
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
                    self.drop_answer(actions);
                    self.engine_failed(now, failure, actions);
                }
                return;
            }
        };
        if transcript.text.is_empty() {
            self.heard_nothing(now, turn, interrupted, actions);
            return;
        }
        if intent::backchannel(&transcript.text)
            && self.state == State::Assisting
            && (self.is_speaking() || interrupted)
        {
            // "mm-hm" is no turn; what it stopped goes on.
            self.drop_thinking_of(turn, actions);
            actions.push(CallAction::RememberCaller { turn, transcript });
            self.resume_interrupted(now, interrupted, actions);
            return;
        }
        actions.push(CallAction::RememberCaller { turn, transcript: transcript.clone() });
        match self.state.clone() {
            State::Assisting => self.heard_words(now, turn, transcript, actions),
            State::Waiting { position, .. } => self.heard_while_waiting(now, &transcript.text, position, actions),
            State::Callback { .. } if intent::wants_person(&transcript.text).is_some() => self.wait_again(now, actions),
            State::Ending { outcome, .. }
                if outcome != CallOutcome::Interrupted && intent::wants_person(&transcript.text).is_some() =>
            {
                self.reopen(actions);
                self.heard_words(now, turn, transcript, actions);
            }
            _ => {}
        }
    }

    fn heard_nothing(&mut self, now: Instant, turn: TurnId, interrupted: bool, actions: &mut Vec<CallAction>) {
        self.drop_thinking_of(turn, actions);
        if self.state == State::Assisting {
            self.resume_interrupted(now, interrupted, actions);
            if self.outstanding.is_empty() && self.thinking.is_none() {
                self.silence_since = Some(now);
            }
        }
    }

    fn drop_thinking_of(&mut self, turn: TurnId, actions: &mut Vec<CallAction>) {
        if self.thinking.as_ref().is_some_and(|thinking| thinking.turn == turn) {
            self.drop_answer(actions);
        }
    }

    /// A noise stopped us: say again what was not heard.
    fn resume_interrupted(&mut self, now: Instant, interrupted: bool, actions: &mut Vec<CallAction>) {
        let cut = std::mem::take(&mut self.interrupted);
        if interrupted {
            for (words, _) in cut {
                self.say_words(now, words, true, actions);
            }
        }
        if self.outstanding.is_empty() && self.thinking.is_none() {
            self.silence_since = Some(now);
        }
    }

    fn heard_words(&mut self, now: Instant, turn: TurnId, transcript: Transcript, actions: &mut Vec<CallAction>) {
        let text = transcript.text.as_str();
        self.silence_prompts = 0;
        self.interrupted.clear();
        if let Some(request) = intent::wants_person(text) {
            self.drop_answer(actions);
            let signals =
                signals([("rule", json!(request.rule.as_str())), ("confidence", json!(transcript.confidence()))]);
            return self.hand_off(now, HandoffReason::CallerAsked, signals, Some(Phrase::Connecting), actions);
        }
        if let Some(topic) = intent::forbidden_topic(text, &self.policy.forbidden_topics) {
            let signals = signals([("topic", json!(topic)), ("confidence", json!(transcript.confidence()))]);
            self.drop_answer(actions);
            return self.hand_off(now, HandoffReason::ForbiddenTopic, signals, Some(Phrase::Connecting), actions);
        }
        if self.outstanding.iter().any(|item| item.interruptible) {
            // Too short to barge in by its length, but it was words: they have the floor.
            actions.push(CallAction::ClearPlayback { everything: false });
        }
        if intent::asks_if_human(text) {
            self.drop_answer(actions);
            self.say(now, Phrase::IsAssistant, true, actions);
            return;
        }
        if intent::asks_to_repeat(text) && !self.last_answer.is_empty() {
            self.drop_answer(actions);
            for words in self.last_answer.clone() {
                self.say_words(now, words, true, actions);
            }
            return;
        }
        if intent::says_goodbye(text) {
            self.drop_answer(actions);
            return self.end_with(now, Phrase::Goodbye, CallOutcome::EndedWithAssistant, actions);
        }
        let repeated = self.last_query.as_deref().is_some_and(|last| same_question(last, text));
        let confidence = transcript.confidence();
        if confidence < self.policy.min_confidence || repeated {
            let signals = signals([
                ("confidence", json!(confidence)),
                ("avg_logprob", json!(transcript.avg_logprob)),
                ("no_speech", json!(transcript.no_speech)),
                ("repeated_question", json!(repeated)),
            ]);
            // A question asked again deserves another answer; the count decides who gives it.
            if self.unsure(now, signals, (!repeated).then_some(Phrase::Repeat), actions) || !repeated {
                return;
            }
        }
        self.last_query = Some(text.to_owned());
        self.commit_answer(now, turn, text.to_owned(), repeated, actions);
    }

    /// One more turn without a good answer. True when it was the last straw.
    fn unsure(&mut self, now: Instant, signals: Signals, ask: Option<Phrase>, actions: &mut Vec<CallAction>) -> bool {
        self.unsure += 1;
        if self.unsure >= UNSURE_TURNS {
            self.drop_answer(actions);
            self.hand_off(now, HandoffReason::LowConfidence, signals, Some(Phrase::Connecting), actions);
            return true;
        }
        if let Some(phrase) = ask {
            self.drop_answer(actions);
            self.say(now, phrase, true, actions);
        }
        false
    }

    fn heard_while_waiting(&mut self, now: Instant, text: &str, position: u32, actions: &mut Vec<CallAction>) {
        if intent::wants_message(text) {
            self.take_message(now, actions);
        } else if intent::wants_callback(text) {
            self.call_back(now, actions);
        } else if intent::wants_assistant(text) {
            self.back_to_assistant(now, actions);
        } else if intent::wants_person(text).is_some() {
            self.say_place(now, position, actions);
        }
    }

    fn say_place(&mut self, now: Instant, position: u32, actions: &mut Vec<CallAction>) {
        if self.outstanding.is_empty() {
            actions.push(CallAction::Hold(false));
            self.say(now, Phrase::StillWaiting { position }, true, actions);
        }
    }

    fn prompt_silence(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        let Some(since) = self.silence_since else { return };
        if now < since + self.policy.silence_prompt {
            return;
        }
        if self.silence_prompts >= SILENCE_PROMPTS {
            let signals = signals([("silence_prompts", json!(self.silence_prompts))]);
            return self.hand_off(now, HandoffReason::Silence, signals, Some(Phrase::Connecting), actions);
        }
        self.silence_prompts += 1;
        self.say(now, Phrase::SilencePrompt, true, actions);
    }

    // --- answering ----------------------------------------------------------------------------------------------

    /// The utterance may be over: begin to think, say nothing yet.
    fn heard_early(&mut self, now: Instant, turn: TurnId, transcript: &Transcript, actions: &mut Vec<CallAction>) {
        let text = transcript.text.as_str();
        if self.state != State::Assisting || text.is_empty() {
            return;
        }
        if let Some(request) = intent::wants_person_so_far(text) {
            // No need to wait for the end of the turn: nothing the caller may add takes this back.
            let signals =
                signals([("rule", json!(request.rule.as_str())), ("confidence", json!(transcript.confidence()))]);
            self.drop_answer(actions);
            return self.hand_off(now, HandoffReason::CallerAsked, signals, Some(Phrase::Connecting), actions);
        }
        if transcript.confidence() < self.policy.min_confidence {
            return;
        }
        let decided_by_rule = intent::wants_person(text).is_some()
            || intent::backchannel(text)
            || intent::asks_if_human(text)
            || intent::asks_to_repeat(text)
            || intent::says_goodbye(text)
            || intent::forbidden_topic(text, &self.policy.forbidden_topics).is_some();
        if !decided_by_rule && self.thinking.is_none() {
            self.think(now, turn, text.to_owned(), false, actions);
        }
    }

    fn spoke_on(&mut self, turn: TurnId, actions: &mut Vec<CallAction>) {
        if self.thinking.as_ref().is_some_and(|thinking| thinking.turn == turn && !thinking.committed) {
            self.drop_answer(actions);
        }
    }

    fn think(&mut self, now: Instant, turn: TurnId, query: String, committed: bool, actions: &mut Vec<CallAction>) {
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
        });
    }

    /// The utterance is over: speak what was prepared for these very words, or begin.
    fn commit_answer(
        &mut self,
        now: Instant,
        turn: TurnId,
        query: String,
        repeated: bool,
        actions: &mut Vec<CallAction>,
    ) {
        match self.thinking.as_mut() {
            Some(thinking) if thinking.turn == turn && thinking.query == query => {
                thinking.committed = true;
                thinking.repeated = repeated;
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
                }
            }
        }
    }

    fn answer(&mut self, now: Instant, turn: TurnId, input: CallInput, actions: &mut Vec<CallAction>) {
        let Some(thinking) = self.thinking.as_mut().filter(|thinking| thinking.turn == turn) else { return };
        if !thinking.committed {
            thinking.early.push(input);
            return;
        }
        match input {
            CallInput::AnswerPlanned { evidence, .. } => thinking.evidence = Some(evidence),
            CallInput::AnswerSentence { text, .. } => {
                thinking.said += 1;
                if thinking.said == 1 {
                    self.last_answer.clear();
                }
                self.last_answer.push(Words::Answer(turn, text.clone()));
                self.say_words(now, Words::Answer(turn, text), true, actions);
            }
            CallInput::AnswerDone { blocked, .. } => self.answer_done(now, blocked, actions),
            CallInput::AnswerFailed { failure, .. } => self.answer_failed(now, failure, actions),
            _ => {}
        }
    }

    fn answer_done(&mut self, now: Instant, blocked: Option<String>, actions: &mut Vec<CallAction>) {
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
        let signals = signals([
            ("retrieval_score", json!(evidence.score)),
            ("retrieval_margin", json!(evidence.margin)),
            ("answerable", json!(evidence.answerable)),
            ("ungrounded", json!(blocked)),
        ]);
        self.unsure(now, signals, Some(Phrase::Clarify), actions);
    }

    fn answer_failed(&mut self, now: Instant, failure: EngineFailed, actions: &mut Vec<CallAction>) {
        self.drop_answer(actions);
        self.engine_failed(now, failure, actions);
    }

    fn engine_failed(&mut self, now: Instant, failure: EngineFailed, actions: &mut Vec<CallAction>) {
        let signals = signals([("engine", json!(failure.engine)), ("error", json!(failure.reason))]);
        self.hand_off(now, HandoffReason::EngineFailed, signals, Some(Phrase::EngineApology), actions);
    }

    // --- a person -----------------------------------------------------------------------------------------------

    fn hand_off(
        &mut self,
        now: Instant,
        reason: HandoffReason,
        signals: Signals,
        words: Option<Phrase>,
        actions: &mut Vec<CallAction>,
    ) {
        debug_assert_eq!(self.state, State::Assisting, "only the assistant hands off");
        // The request goes first: nothing below may delay it.
        actions.push(CallAction::RequestHandoff { reason, signals });
        self.handoff = Handoff::Open;
        self.unsure = 0;
        self.decoding = None;
        self.interrupted.clear();
        self.silence_since = None;
        if self.outstanding.iter().any(|item| item.interruptible) {
            actions.push(CallAction::ClearPlayback { everything: false });
        }
        self.state = State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
        match words {
            Some(phrase) => {
                self.say(now, phrase, false, actions);
            }
            None => actions.push(CallAction::Hold(true)),
        }
    }

    fn dtmf(&mut self, now: Instant, digit: Digit, actions: &mut Vec<CallAction>) {
        self.silence_since = None;
        match (self.state.clone(), digit.get()) {
            (State::Assisting, '0') => {
                self.drop_answer(actions);
                let signals = signals([("digit", json!("0"))]);
                self.hand_off(now, HandoffReason::CallerPressedZero, signals, Some(Phrase::Connecting), actions);
            }
            (State::Assisting, _) if self.outstanding.is_empty() && self.thinking.is_none() => {
                self.silence_since = Some(now);
            }
            (State::Ending { outcome, .. }, '0') if outcome != CallOutcome::Interrupted => {
                self.reopen(actions);
                let signals = signals([("digit", json!("0"))]);
                self.hand_off(now, HandoffReason::CallerPressedZero, signals, Some(Phrase::Connecting), actions);
            }
            (State::Waiting { .. }, '1') => self.take_message(now, actions),
            (State::Waiting { .. }, '2') => self.call_back(now, actions),
            (State::Waiting { .. }, '*') => self.back_to_assistant(now, actions),
            (State::Waiting { position, .. }, '0') => {
                actions.push(CallAction::NoteTrigger {
                    reason: HandoffReason::CallerPressedZero,
                    signals: signals([("digit", json!("0"))]),
                });
                self.say_place(now, position, actions);
            }
            (State::Message { recording: true }, '#') => {
                // Answered with MessageEnded, which knows how much voice there was.
                actions.push(CallAction::EndMessage);
            }
            (State::Message { .. } | State::Callback { .. }, '0') if !self.is_keying_number() => {
                self.wait_again(now, actions);
            }
            (State::Callback { digits, until }, key) => self.keyed(now, digits, until, key, actions),
            _ => {}
        }
    }

    /// The caller changed their mind during the last words.
    fn reopen(&mut self, actions: &mut Vec<CallAction>) {
        if self.handoff == Handoff::Bridged {
            self.close_handoff(HandoffOutcome::Bridged, actions);
        }
        actions.push(CallAction::ClearPlayback { everything: true });
        self.state = State::Assisting;
    }

    fn is_keying_number(&self) -> bool {
        matches!(&self.state, State::Callback { .. })
    }

    fn news(&mut self, now: Instant, news: HandoffNews, actions: &mut Vec<CallAction>) {
        match (self.state.clone(), news) {
            (State::Waiting { announce_at, told_nobody, .. }, HandoffNews::Queued { position, staffed }) => {
                let tell = staffed == 0 && !told_nobody;
                self.state = State::Waiting { announce_at, position, told_nobody: staffed == 0 };
                if tell {
                    actions.push(CallAction::Hold(false));
                    self.say(now, Phrase::NobodyAvailable, true, actions);
                }
            }
            (State::Waiting { .. }, HandoffNews::Accepted { name, .. }) => {
                actions.push(CallAction::Hold(false));
                actions.push(CallAction::ClearPlayback { everything: true });
                if self.policy.record && !self.recording {
                    // The notice was cut or not reached yet; nothing is recorded until it was heard.
                    self.notice = Some(self.say(now, Phrase::Notice, false, actions));
                }
                let item = self.say(now, Phrase::Introduction { name }, false, actions);
                self.state = State::Introducing { item, until: now + INTRODUCTION_PATIENCE };
            }
            (State::Introducing { .. } | State::Bridged { .. }, HandoffNews::AgentLost) => {
                actions.push(CallAction::Unbridge);
                actions.push(CallAction::ClearPlayback { everything: true });
                self.state = State::AgentLost;
                self.say(now, Phrase::AgentLost, false, actions);
            }
            (State::AgentLost, HandoffNews::AgentReturned) => {
                actions.push(CallAction::Hold(false));
                actions.push(CallAction::ClearPlayback { everything: true });
                self.bridge(actions);
            }
            (State::AgentLost | State::Introducing { .. } | State::Bridged { .. }, HandoffNews::Requeued) => {
                actions.push(CallAction::Unbridge);
                self.state =
                    State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
                actions.push(CallAction::Hold(false));
                self.say(now, Phrase::Requeued, true, actions);
            }
            (State::Bridged { .. }, HandoffNews::Hold(on)) => {
                self.state = State::Bridged { hold: on };
                actions.push(CallAction::Hold(on));
            }
            (State::Bridged { .. }, HandoffNews::Key(digit)) => actions.push(CallAction::PlayTone(digit)),
            (State::Introducing { .. }, HandoffNews::Ended) => self.wait_again_saying(now, Phrase::Requeued, actions),
            (State::Bridged { .. } | State::AgentLost, HandoffNews::Ended) => {
                actions.push(CallAction::Unbridge);
                actions.push(CallAction::Hold(false));
                self.handoff = Handoff::Bridged;
                self.end_with(now, Phrase::Goodbye, CallOutcome::SpokeWithAgent, actions);
            }
            _ => {}
        }
    }

    fn bridge(&mut self, actions: &mut Vec<CallAction>) {
        self.handoff = Handoff::Bridged;
        self.state = State::Bridged { hold: false };
        actions.push(CallAction::Bridge);
    }

    fn back_to_assistant(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        self.close_handoff(HandoffOutcome::BackToAssistant, actions);
        actions.push(CallAction::Hold(false));
        actions.push(CallAction::ClearPlayback { everything: true });
        self.state = State::Assisting;
        self.say(now, Phrase::BackToAssistant, true, actions);
    }

    // --- alternatives -------------------------------------------------------------------------------------------

    fn take_message(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        actions.push(CallAction::Hold(false));
        actions.push(CallAction::ClearPlayback { everything: true });
        self.state = State::Message { recording: false };
        self.say(now, Phrase::MessagePrompt, false, actions);
    }

    fn message_ended(&mut self, now: Instant, speech: Millis, actions: &mut Vec<CallAction>) {
        if self.state != (State::Message { recording: true }) {
            return;
        }
        if speech < MESSAGE_MIN {
            actions.push(CallAction::StopMessage { keep: false });
            return self.wait_again_saying(now, Phrase::MessageEmpty, actions);
        }
        actions.push(CallAction::StopMessage { keep: true });
        self.close_handoff(HandoffOutcome::LeftMessage, actions);
        self.end_with(now, Phrase::MessageSaved, CallOutcome::LeftMessage, actions);
    }

    fn call_back(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::SuspendHandoff);
        actions.push(CallAction::Hold(false));
        actions.push(CallAction::ClearPlayback { everything: true });
        if self.policy.caller_number_known {
            return self.booked(now, None, actions);
        }
        self.state = State::Callback { digits: String::new(), until: now + NUMBER_PATIENCE };
        self.say(now, Phrase::CallbackNumber, true, actions);
    }

    fn keyed(&mut self, now: Instant, mut digits: String, until: Instant, key: char, actions: &mut Vec<CallAction>) {
        match key {
            '#' if (5..=15).contains(&digits.len()) => self.booked(now, Some(digits), actions),
            '#' => {
                self.state = State::Callback { digits: String::new(), until: now + NUMBER_PATIENCE };
                self.say(now, Phrase::CallbackInvalid, true, actions);
            }
            '*' => self.wait_again(now, actions),
            key => {
                if digits.len() < 16 {
                    digits.push(key);
                }
                self.state = State::Callback { digits, until: until.max(now + NUMBER_PATIENCE / 2) };
            }
        }
    }

    fn booked(&mut self, now: Instant, number: Option<String>, actions: &mut Vec<CallAction>) {
        actions.push(CallAction::BookCallback { number });
        self.close_handoff(HandoffOutcome::CallbackBooked, actions);
        self.end_with(now, Phrase::CallbackBooked, CallOutcome::CallbackBooked, actions);
    }

    /// The alternative came to nothing: the caller still wants a person.
    fn wait_again(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if matches!(self.state, State::Message { .. }) {
            actions.push(CallAction::StopMessage { keep: false });
        }
        self.wait_again_saying(now, Phrase::Connecting, actions);
    }

    fn wait_again_saying(&mut self, now: Instant, phrase: Phrase, actions: &mut Vec<CallAction>) {
        self.state = State::Waiting { announce_at: now + self.policy.announce_every, position: 1, told_nobody: false };
        actions.push(CallAction::RequestHandoff {
            reason: HandoffReason::CallerAsked,
            signals: signals([("again", json!(true))]),
        });
        actions.push(CallAction::ClearPlayback { everything: true });
        self.say(now, phrase, false, actions);
    }

    // --- the end ------------------------------------------------------------------------------------------------

    fn close_handoff(&mut self, outcome: HandoffOutcome, actions: &mut Vec<CallAction>) {
        if matches!(self.handoff, Handoff::Open | Handoff::Bridged) {
            self.handoff = Handoff::Closed(outcome);
            actions.push(CallAction::CloseHandoff(outcome));
        }
    }

    fn end_with(&mut self, now: Instant, phrase: Phrase, outcome: CallOutcome, actions: &mut Vec<CallAction>) {
        self.state = State::Ending { until: now + GOODBYE_PATIENCE, outcome };
        self.say(now, phrase, false, actions);
    }

    fn server_stopping(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if matches!(self.state, State::Ending { .. }) {
            return;
        }
        if matches!(self.state, State::Bridged { .. }) {
            actions.push(CallAction::Unbridge);
        }
        if matches!(self.state, State::Message { recording: true }) {
            actions.push(CallAction::StopMessage { keep: true });
        }
        self.drop_answer(actions);
        actions.push(CallAction::Hold(false));
        actions.push(CallAction::ClearPlayback { everything: true });
        self.end_with(now, Phrase::Stopping, CallOutcome::Interrupted, actions);
    }

    /// The leg is gone or about to be: close what is open, once.
    fn finish(&mut self, actions: &mut Vec<CallAction>, caller_left: bool) {
        self.drop_answer(actions);
        let state = std::mem::replace(&mut self.state, State::Ended);
        if matches!(state, State::Message { recording: true }) {
            // A message with voice in it has been kept by MessageEnded, which comes before the end of the leg.
            actions.push(CallAction::StopMessage { keep: false });
        }
        let outcome = match (&state, self.handoff) {
            (State::Ending { outcome, .. }, _) => *outcome,
            (_, Handoff::Bridged) => CallOutcome::SpokeWithAgent,
            (_, Handoff::Open) => CallOutcome::AbandonedInQueue,
            _ => CallOutcome::EndedWithAssistant,
        };
        let handoff = match (&state, self.handoff) {
            (_, Handoff::Bridged) => HandoffOutcome::Bridged,
            (State::Ending { .. }, _) if !caller_left => HandoffOutcome::Interrupted,
            _ => HandoffOutcome::CallerHungUp,
        };
        self.close_handoff(handoff, actions);
        actions.push(CallAction::Finish(outcome));
    }
}

fn signals<const N: usize>(pairs: [(&str, serde_json::Value); N]) -> Signals {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Most words of the shorter are in the other: the caller says the same again.
fn same_question(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        let mut words: Vec<String> =
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2).map(str::to_lowercase).collect();
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

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
