//! A call as a state machine. PURE: time and events in, actions out; it never waits.
//!
//! Here are the states, the clocks, what is said and the end; the folder has what is heard, answered, a person, and the
//! alternatives to one.
//!
//! ```text
//!            ┌──────────── back to the assistant (caller's choice) ───────────┐
//!            ▼                                                                │
//!  Began ─▶ Assisting ─ asked, unsure twice, engine failed, topic, silence ─▶ Waiting ─ accepted ─▶ Introducing ─▶ Bridged
//!                                                                             │ ▲                                  │ ▲
//!                          Message ◀── 1 ──┤ └───────────── requeued ── AgentLost ◀──── lost ────────┘ │
//!             Callback, Confirm ◀─ 2 ──┘                                └──────── returned ─────────┘
//!       Bridged ─ parked ─▶ Parked ─ picked up ─▶ Introducing; too long ─▶ Waiting, first
//!       Waiting ─ nobody there, or not in time ─▶ Leaving ─ heard ─▶ Away (a telephone outside) ─ nobody took it ─▶ Waiting
//!  every state ─ hang-up, server stopping ─▶ Ending ─▶ Ended
//! ```
//!
//! Invariants, tested over random inputs in `machine_random_tests.rs`: a caller who asked for a person ends with one or with a
//! recorded alternative of their own choice; every handoff is closed exactly once; in every state something is audible or
//! a deadline is set; only one voice speaks, the assistant until [`State::Introducing`] ends and the person after it.

mod alternatives;
mod answering;
mod chores;
mod deciding;
mod hearing;
mod language;
mod party;
mod person;
mod telephone;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use self::chores::Doing;
use self::telephone::Parting;
use super::input::{
    CallAction, CallInput, EngineFailed, Evidence, ItemId, Missed, Phrase, Signals, TransferEnd, TurnId, Words,
};
use crate::audio::units::{Millis, Probability};
use crate::dialog::language::Language;
use crate::handoff::HandoffReason;
use crate::handoff::routing::estimate::Estimate;
use crate::handoff::wire::ConsultMode;
use crate::judgment::decision::Inputs;
use crate::store::{CallOutcome, HandoffOutcome};
use crate::telemetry::Pii;

/// How long an answer may take until its first sentence, and from one to the next, before the caller is put through. The engines' own deadlines are shorter.
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
/// What stopped us and then came to nothing keeps us silent for so long.
const PAUSE_PATIENCE: Duration = Duration::from_millis(1_500);
/// A caller who asked for a moment is given this many silences before the assistant asks.
const TAKEN_TIME: u32 = 4;
/// Prompts into silence before the caller is put through.
const SILENCE_PROMPTS: u32 = 2;
/// Voice a message must hold to be one.
const MESSAGE_MIN: Millis = Millis(700);

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct CallPolicy {
    /// Speak the recording notice, and record once it was heard.
    pub record: bool,
    /// Silence of the caller after which the assistant asks.
    pub silence_prompt: Duration,
    /// A caller who waits for an answer this long hears that it is being looked for: silence sounds like a dead line.
    pub filler: Option<Duration>,
    /// Between announcements to a waiting caller.
    pub announce_every: Duration,
    /// Confidence below which a transcript counts as unsure.
    pub min_confidence: Probability,
    /// What answers are decided by, for the record.
    pub verbatim_score: f32,
    /// The same.
    pub min_score: f32,
    /// What calls are in until something else is known.
    pub language: Language,
    /// All that are spoken here.
    pub languages: Arc<[Language]>,
    /// The language of the first utterance decides.
    pub detects: bool,
    /// Topics for people.
    pub forbidden_topics: Vec<String>,
    /// The caller's number is known, so that a callback needs no keying in.
    pub caller_number_known: bool,
    /// That number, which is read back before a callback is booked.
    pub caller_number: Option<Pii<String>>,
    /// The day, which completes a date the caller says.
    pub today: jiff::civil::Date,
    /// Called when no agent takes the call, if the provider can.
    pub telephone: Option<Telephone>,
    /// Whether a caller whom nobody answers at a telephone comes back.
    pub returns: bool,
}

/// A telephone outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telephone {
    /// How long a caller waits for an agent before it is called; not at all while no agent is signed in.
    pub after: Duration,
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
        /// A colleague is consulted: who hears whom.
        party: Option<ConsultMode>,
    },
    /// Set aside by an agent, for colleagues to pick up; the desk says when that has taken too long.
    Parked {
        /// When the next announcement is due.
        announce_at: Instant,
    },
    /// The agent's connection broke; the desk waits for them.
    AgentLost,
    /// The caller is told that a telephone outside is called.
    Leaving {
        /// The sentence.
        item: ItemId,
        /// Go at the latest now.
        until: Instant,
    },
    /// The caller is with the provider, who calls a person. There is no leg, or soon none.
    Away {
        /// Given up at this time.
        until: Instant,
        /// Nobody took the call, and the caller is on the way back.
        missed: Option<Missed>,
    },
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
    /// The caller is asked whether the number that was read back is right.
    Confirm {
        /// Keyed in; none: the caller's own.
        number: Option<String>,
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
    /// When the caller ended the turn that is being answered, until they were told that it takes a while.
    asked_at: Option<Instant>,
    /// An utterance whose transcript is awaited.
    decoding: Option<(TurnId, Instant)>,
    silence_since: Option<Instant>,
    /// Voice began and its end is awaited.
    speech_since: Option<Instant>,
    silence_prompts: u32,
    /// The caller was asked whether they want a person, and has said nothing since.
    person_offered: bool,
    unsure: u32,
    /// The caller was asked what it is about.
    prompted: bool,
    last_query: Option<String>,
    /// What was said to it, to be said again on request.
    last_answer: Vec<Words>,
    /// A barge-in that may turn out to be none stopped us.
    paused: Option<Instant>,
    /// The caller asked for a moment, and has said nothing since.
    taking_time: bool,
    handoff: Handoff,
    /// When the telephone is called for a caller who waits. None: not, or not again.
    telephone_at: Option<Instant>,
    /// How long the caller may have to wait, as the desk said last.
    wait: Option<Estimate>,
    /// What the caller is told of the queue; empty: nothing.
    queue_message: String,
    telephoned: bool,
    /// What a caller who is away hears of us.
    parting: Parting,
    /// The colleague who is consulted, as the caller may hear.
    colleague: Option<String>,
    /// What caller and assistant speak.
    language: Language,
    /// Utterances that may still tell it.
    detecting: u8,
    /// The chore under way.
    doing: Option<Doing>,
    /// Runs of tools so far.
    runs: u32,
}

#[derive(Clone, Debug)]
struct Outstanding {
    item: ItemId,
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
    /// What is known of the words before anything was found.
    heard: Inputs,
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
            language: policy.language,
            detecting: if policy.detects { language::DETECTED_TURNS } else { 0 },
            policy,
            state: State::Assisting,
            next_item: 0,
            outstanding: VecDeque::new(),
            notice: None,
            recording: false,
            thinking: None,
            asked_at: None,
            decoding: None,
            silence_since: Some(now),
            speech_since: None,
            silence_prompts: 0,
            person_offered: false,
            unsure: 0,
            prompted: false,
            last_query: None,
            last_answer: Vec::new(),
            paused: None,
            taking_time: false,
            handoff: Handoff::None,
            telephone_at: None,
            wait: None,
            queue_message: String::new(),
            telephoned: false,
            parting: Parting::Over,
            colleague: None,
            doing: None,
            runs: 0,
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
            CallInput::BrokeOff { wanted } => self.broke_off(now, wanted, actions),
            CallInput::CalledBack { name } => self.called_back(now, name, actions),
            CallInput::SpeechStarted => {
                self.silence_since = None;
                self.speech_since = Some(now);
            }
            CallInput::BargeIn => self.barge_in(now, actions),
            CallInput::TookTheFloor => self.took_the_floor(actions),
            CallInput::SpeechDiscarded => self.speech_discarded(now, actions),
            CallInput::TurnEnded(turn) => self.turn_ended(now, turn),
            CallInput::Heard { turn, result, interrupted } => self.heard(now, turn, result, interrupted, actions),
            CallInput::HeardEarly { turn, transcript } => self.heard_early(now, turn, &transcript, actions),
            CallInput::SpokeOn(turn) => {
                self.speech_since.get_or_insert(now);
                self.spoke_on(turn, actions);
            }
            CallInput::Dtmf(digit) => self.dtmf(now, digit, actions),
            CallInput::ItemHeard(item) => self.item_over(now, item, None, actions),
            CallInput::ItemCut { item, heard } => self.item_over(now, item, Some(heard), actions),
            CallInput::ItemFailed(item) => self.item_failed(now, item, actions),
            input @ (CallInput::AnswerPlanned { turn, .. }
            | CallInput::AnswerSentence { turn, .. }
            | CallInput::AnswerDone { turn, .. }
            | CallInput::ChoreFound { turn, .. }
            | CallInput::AnswerFailed { turn, .. }) => self.answer(now, turn, input, actions),
            CallInput::ToolDone { run, result } => self.tool_done(now, run, &result, actions),
            CallInput::Handoff(news) => self.news(now, news, actions),
            CallInput::Transfer(news) => self.transfer_news(now, news, actions),
            CallInput::LineGone => self.line_gone(actions),
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
            State::Assisting => self.silence_since.map(|since| since + self.silence_allowed()),
            State::Waiting { announce_at, .. } => {
                Some(self.telephone_at.map_or(*announce_at, |at| at.min(*announce_at)))
            }
            State::Parked { announce_at } => Some(*announce_at),
            State::Away { until, .. } => Some(self.parting.due().map_or(*until, |at| at.min(*until))),
            State::Introducing { until, .. }
            | State::Callback { until, .. }
            | State::Confirm { until, .. }
            | State::Leaving { until, .. }
            | State::Ending { until, .. } => Some(*until),
            State::Bridged { .. } | State::AgentLost | State::Message { .. } | State::Ended => None,
        };
        let item = self.outstanding.front().map(|item| item.since + ITEM_PATIENCE);
        let thinking = self.stalled_at();
        let decoding = self.decoding.map(|(_, since)| since + ANSWER_PATIENCE);
        let speech = self.speech_since.map(|since| since + SPEECH_PATIENCE);
        let paused = self.pause_ends();
        let chore = self.doing.as_ref().and_then(Doing::due);
        [by_state, item, thinking, decoding, speech, paused, chore, self.filler_at()].into_iter().flatten().min()
    }

    /// When an answer is given up: nothing of it came yet, or what came was heard and the rest does not come.
    fn stalled_at(&self) -> Option<Instant> {
        let thinking = self.thinking.as_ref().filter(|thinking| thinking.said == 0 || self.outstanding.is_empty())?;
        Some(thinking.since + ANSWER_PATIENCE)
    }

    /// When the caller is told that the answer takes a while: nothing is heard and something is awaited.
    fn filler_at(&self) -> Option<Instant> {
        let silent = self.state == State::Assisting && self.outstanding.is_empty() && self.speech_since.is_none();
        let awaited = self.decoding.is_some()
            || self.is_doing()
            || self.thinking.as_ref().is_some_and(|thinking| thinking.committed && thinking.said == 0);
        Some(self.asked_at.filter(|_| silent && awaited)? + self.policy.filler?)
    }

    /// The caller is being asked for something a tool needs.
    fn is_collecting(&self) -> bool {
        self.doing.as_ref().is_some_and(Doing::is_collecting)
    }

    /// A tool runs for the caller.
    fn is_doing(&self) -> bool {
        self.doing.as_ref().is_some_and(Doing::is_running)
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
        if self.stalled_at().is_some_and(|at| now >= at) {
            let failure = EngineFailed { engine: "llm", reason: "no answer came".to_owned() };
            return self.answer_failed(now, failure, actions);
        }
        if self.chore_due(now, actions) {
            return;
        }
        if self.speech_since.is_some_and(|since| now >= since + SPEECH_PATIENCE) {
            self.speech_dropped(now);
        }
        if self.filler_at().is_some_and(|at| now >= at) {
            self.asked_at = None;
            // Too short to be cut, and what cut it would cost the answer.
            self.say(now, Phrase::Filler, false, actions);
            return;
        }
        if self.pause_ends().is_some_and(|at| now >= at) {
            self.resume(now, actions);
        }
        match self.state.clone() {
            State::Assisting => self.prompt_silence(now, actions),
            State::Waiting { .. } if self.telephone_at.is_some_and(|at| now >= at) => self.leave(now, actions),
            State::Leaving { until, .. } if now >= until => self.go(now, actions),
            State::Away { .. } if self.parting.due().is_some_and(|at| now >= at) => self.not_gone_yet(now, actions),
            State::Away { until, missed } if now >= until => self.stayed_away(now, missed, actions),
            State::Waiting { announce_at, position, told_nobody } if now >= announce_at => {
                self.state = State::Waiting { announce_at: now + self.policy.announce_every, position, told_nobody };
                let quiet = self.outstanding.is_empty();
                if quiet && told_nobody {
                    actions.push(CallAction::Hold(false));
                    self.say(now, Phrase::NobodyAvailable, true, actions);
                } else {
                    self.say_place(now, position, actions);
                }
                if quiet {
                    self.say_queue_message(now, actions);
                }
            }
            State::Parked { announce_at } if now >= announce_at => self.still_parked(now, actions),
            State::Introducing { until, .. } if now >= until => self.bridge(actions),
            State::Callback { until, .. } | State::Confirm { until, .. } if now >= until => {
                self.wait_again(now, actions);
            }
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
        self.outstanding.push_back(Outstanding { item, interruptible, since: now });
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

    /// The caller is back after a fault of ours, and goes on where the line broke.
    fn broke_off(&mut self, now: Instant, wanted: Option<HandoffReason>, actions: &mut Vec<CallAction>) {
        match wanted {
            Some(reason) => {
                self.hand_off(now, reason, signals([("broke_off", json!(true))]), Some(Phrase::BrokeOff), actions);
                self.say(now, Phrase::Requeued, true, actions);
            }
            None => {
                self.say(now, Phrase::BrokeOff, false, actions);
                self.greet(now, actions);
            }
        }
    }

    /// The caller's voice stops ours, what must be heard excepted; their words decide whether it stays stopped.
    fn barge_in(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if self.state == State::Assisting && self.paused.is_none() && self.can_be_interrupted() {
            self.paused = Some(now);
            actions.push(CallAction::PausePlayback);
        }
    }

    fn can_be_interrupted(&self) -> bool {
        self.outstanding.iter().any(|item| item.interruptible)
    }

    /// It was meant: what was not heard will not be.
    fn stop_speaking(&mut self, actions: &mut Vec<CallAction>) {
        if self.paused.is_some() || self.can_be_interrupted() {
            self.clear(false, actions);
        }
    }

    /// Whatever the words will be: they have the floor, and what was being said or thought is void.
    fn took_the_floor(&mut self, actions: &mut Vec<CallAction>) {
        if self.paused.is_some() {
            self.stop_speaking(actions);
            self.drop_answer(actions);
        }
    }

    /// It was nothing: what was stopped goes on.
    fn resume(&mut self, now: Instant, actions: &mut Vec<CallAction>) {
        if self.paused.take().is_some() {
            // Being heard takes its time from here on.
            if let Some(front) = self.outstanding.front_mut() {
                front.since = now;
            }
            actions.push(CallAction::ResumePlayback);
        }
    }

    /// A pause that no words explain ends by itself.
    fn pause_ends(&self) -> Option<Instant> {
        let awaited = self.speech_since.is_some() || self.decoding.is_some();
        self.paused.filter(|_| !awaited).map(|since| since + PAUSE_PATIENCE)
    }

    fn clear(&mut self, everything: bool, actions: &mut Vec<CallAction>) {
        self.paused = None;
        actions.push(CallAction::ClearPlayback { everything });
    }

    fn drop_answer(&mut self, actions: &mut Vec<CallAction>) {
        if let Some(thinking) = self.thinking.take() {
            actions.push(CallAction::CancelAnswer(thinking.turn));
        }
    }

    fn item_over(&mut self, now: Instant, item: ItemId, cut: Option<String>, actions: &mut Vec<CallAction>) {
        let Some(at) = self.outstanding.iter().position(|outstanding| outstanding.item == item) else { return };
        self.outstanding.remove(at);
        // The clock of the next one starts when this one ends.
        if let Some(front) = self.outstanding.front_mut() {
            front.since = now;
        }
        match cut {
            None => actions.push(CallAction::RememberAssistant { item, heard: String::new(), cut: false }),
            Some(heard) => {
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
        if let State::Leaving { item: farewell, .. } = self.state
            && farewell == item
        {
            return self.go(now, actions);
        }
        if !self.outstanding.is_empty() {
            return;
        }
        if let Some(thinking) = &mut self.thinking {
            // From here on the caller waits for the rest.
            thinking.since = now;
        }
        match &self.state {
            State::Assisting if self.thinking.is_none() && self.decoding.is_none() && !self.is_doing() => {
                self.silence_since = Some(now);
            }
            State::Waiting { .. } | State::AgentLost | State::Parked { .. } => actions.push(CallAction::Hold(true)),
            State::Away { .. } if self.parting == Parting::Told => actions.push(CallAction::Hold(true)),
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
        if matches!(self.state, State::Away { .. }) {
            // Nobody is there to hear it, and whoever comes back finds no server.
            self.state = State::Ending { until: now, outcome: CallOutcome::Interrupted };
            actions.push(CallAction::EndTransfer(TransferEnd::Abandoned));
            return self.finish(actions, false);
        }
        if matches!(self.state, State::Bridged { .. }) {
            actions.push(CallAction::Unbridge);
        }
        if matches!(self.state, State::Message { recording: true }) {
            actions.push(CallAction::StopMessage { keep: true });
        }
        self.drop_answer(actions);
        self.drop_chore(actions);
        actions.push(CallAction::Hold(false));
        self.clear(true, actions);
        self.end_with(now, Phrase::Stopping, CallOutcome::Interrupted, actions);
    }

    /// The leg is gone or about to be: close what is open, once.
    fn finish(&mut self, actions: &mut Vec<CallAction>, caller_left: bool) {
        self.drop_answer(actions);
        self.drop_chore(actions);
        let state = std::mem::replace(&mut self.state, State::Ended);
        if let State::Away { missed, .. } = state {
            let end = missed.map_or(TransferEnd::Abandoned, TransferEnd::Missed);
            actions.push(CallAction::EndTransfer(end));
        }
        if matches!(state, State::Message { recording: true }) {
            // A message with voice in it has been kept by MessageEnded, which comes before the end of the leg.
            actions.push(CallAction::StopMessage { keep: false });
        }
        let outcome = match (&state, self.handoff) {
            (State::Ending { outcome, .. }, _) => *outcome,
            (_, Handoff::Bridged | Handoff::Closed(HandoffOutcome::Bridged)) => CallOutcome::SpokeWithAgent,
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

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
