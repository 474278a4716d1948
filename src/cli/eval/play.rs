//! The text leg: a caller who types. Machine, mind and desk are the real ones; ears, voice and clock are played.
//!
//! Time is simulated: a sentence takes as long as speaking it would, a silence as long as the scenario says, thinking
//! nothing. Every sentence is heard to its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::caller::{Caller, Move};
use super::garble::garble;
use super::scenario::{Fault, Kind, Part, Results, Scenario, ToolResult, Turn};
use crate::call::input::{CallAction, CallInput, EngineFailed, Evidence, HandoffNews, ItemId, Phrase, TurnId, Words};
use crate::call::machine::{CallMachine, CallPolicy, State};
use crate::call::mind::{Mind, Thought};
use crate::call::speech::Finding;
use crate::dialog::history::History;
use crate::dialog::knowledge::Knowledge;
use crate::dialog::phrases::Phrases;
use crate::engine::llm::{ChatRequest, ChatSummary, LanguageModel, LlmError};
use crate::engine::stt::Transcript;
use crate::handoff::machine::{DeskAction, DeskInput, DeskMachine};
use crate::handoff::routing::{Facts, Left, Plan};
use crate::handoff::wire::{AgentState, CallEnd};
use crate::handoff::{AgentId, HandoffId};
use crate::judgment::decision::Decision;
use crate::library::Library;
use crate::store::CallOutcome;
use crate::telephony::protocol::Digit;
use crate::tools::spec::{ToolFailed, ToolReply};

/// How sure a recogniser is of words it heard well.
const CLEAR: f32 = 0.85;
/// What each share of wrong words takes from that: at 20 % it is 0.65, as on noisy telephone recordings.
const DOUBT: f32 = 1.0;
/// Between two turns of a caller.
const PAUSE: Duration = Duration::from_secs(1);
/// Speaking, a character.
const PACE: Duration = Duration::from_millis(65);
/// Findings on their way.
const FINDINGS: usize = 64;
/// Inputs one turn may cause; more is a machine that talks to itself.
const MOST_STEPS: usize = 500;

/// What every scenario is played with.
pub struct Stage {
    /// Answers.
    pub mind: Arc<Mind>,
    /// The fixed sentences.
    pub phrases: Arc<Phrases>,
    /// How calls behave.
    pub policy: CallPolicy,
    /// How the desk behaves.
    pub desk: Arc<Plan>,
}

/// A scenario that was played.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// A person was asked for while the call was being greeted.
    pub opening: Option<Trigger>,
    /// What happened, turn by turn; shorter than the script when a person came before its end.
    pub turns: Vec<PlayedTurn>,
    /// How the call ended, if the assistant ended it; as audio: however it ended.
    pub outcome: Option<CallOutcome>,
    /// What went wrong with the call itself: nothing to be heard, say.
    pub troubles: Vec<String>,
}

/// One turn that was played.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PlayedTurn {
    /// What the caller did, as it was heard.
    pub caller: String,
    /// What was said, in order.
    pub said: Vec<Said>,
    /// Why a person was asked for, if one was.
    pub handoff: Option<Trigger>,
    /// What was decided about the caller's words, and from what.
    pub decision: Option<Decision>,
    /// What backed the answer.
    pub evidence: Option<EvidenceNote>,
    /// The three best entries for the caller's words.
    pub found: Vec<String>,
    /// What was stopped because nothing backs it.
    pub blocked: Option<String>,
    /// What was run, in order.
    pub tools: Vec<ToolCall>,
    /// Thinking, in milliseconds.
    pub thought_ms: u64,
    /// How it sounded; none: it was played as text.
    pub sound: Option<Sound>,
}

/// A tool that was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolCall {
    /// Its name.
    pub name: String,
    /// What it was given.
    pub arguments: serde_json::Value,
}

/// What is known of a turn that was played by voice.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sound {
    /// What a recogniser makes of what the caller heard. What must be said is looked for here.
    pub transcribed: String,
    /// From the caller's last word or key to the first word of the reply.
    pub response_ms: Option<u64>,
    /// From asking for a person to the first offer.
    pub offer_ms: Option<u64>,
    /// The caller's side of the turn, 16 kHz.
    #[serde(skip)]
    pub caller: Vec<i16>,
    /// What the caller heard, 16 kHz.
    #[serde(skip)]
    pub reply: Vec<i16>,
}

/// One sentence the caller heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// Its words.
    pub text: String,
    /// The name of a fixed sentence; none: a sentence of an answer.
    pub fixed: Option<&'static str>,
}

/// A request for a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// Its reason's name.
    pub reason: &'static str,
    /// The numbers that decided.
    pub signals: serde_json::Value,
}

/// [`Evidence`], to be written down.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceNote {
    answerable: bool,
    score: f32,
    margin: f32,
    entries: Vec<(String, f32)>,
    verbatim: bool,
    probability: f32,
    chosen: Option<f32>,
    fit: crate::judgment::Signals,
}

impl From<&Evidence> for EvidenceNote {
    fn from(evidence: &Evidence) -> Self {
        Self {
            answerable: evidence.answerable,
            score: evidence.score,
            margin: evidence.margin,
            entries: evidence.entries.clone(),
            verbatim: evidence.verbatim,
            probability: evidence.probability,
            chosen: evidence.chosen,
            fit: evidence.fit,
        }
    }
}

impl From<&ToolResult> for ToolReply {
    fn from(result: &ToolResult) -> Self {
        Self { status: result.status, body: result.body.clone() }
    }
}

/// Plays one scenario to its end.
pub async fn play(stage: &Stage, scenario: &Scenario) -> Played {
    let mut play = Play::new(stage, scenario);
    play.input(CallInput::Began).await;
    let opening = play.turn.handoff.take();
    let mut turns = Vec::new();
    for (number, turn) in scenario.turns.iter().enumerate() {
        if play.is_over() {
            break;
        }
        play.turn = PlayedTurn::default();
        play.now += PAUSE;
        if let Some(words) = &turn.say {
            let seed = crate::cli::eval::garble::seed(&scenario.name, number);
            let heard = if scenario.noise > 0.0 { garble(words, scenario.noise, seed) } else { words.clone() };
            let confidence = turn.confidence.unwrap_or(CLEAR - DOUBT * scenario.noise as f32);
            play.say(heard, confidence).await;
        } else if let Some(keys) = &turn.dtmf {
            play.turn.caller = format!("[keys {keys}]");
            for digit in keys.chars().filter_map(Digit::new) {
                play.input(CallInput::Dtmf(digit)).await;
            }
        } else if let Some(seconds) = turn.wait_s {
            play.turn.caller = format!("[{seconds} s of silence]");
            play.wait(Duration::from_secs(seconds.into())).await;
        }
        turns.push(std::mem::take(&mut play.turn));
    }
    let (name, kind, outcome, troubles) = (scenario.name.clone(), scenario.kind, play.outcome, Vec::new());
    Played { name, kind, opening, turns, outcome, troubles }
}

/// Plays one scenario whose caller is played by a model. The scenario gets what was said as its turns.
pub async fn play_with(stage: &Stage, scenario: &mut Scenario, part: &Part, caller: &Caller) -> Played {
    let mut play = Play::new(stage, scenario);
    play.input(CallInput::Began).await;
    let opening = play.turn.handoff.take();
    let mut heard = vec![all_said(&play.turn)];
    let (mut turns, mut script, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..part.turns {
        if play.is_over() {
            break;
        }
        let words = match caller.next(part, &heard).await {
            Ok(Move::Says(words)) => words,
            Ok(Move::HangsUp) => break,
            Err(reason) => {
                troubles.push(format!("the caller's model failed: {reason}"));
                break;
            }
        };
        play.turn = PlayedTurn::default();
        play.now += PAUSE;
        play.say(words.clone(), CLEAR).await;
        heard.extend([words.clone(), all_said(&play.turn)]);
        turns.push(std::mem::take(&mut play.turn));
        script.push(Turn { say: Some(words), ..Turn::default() });
    }
    if turns.is_empty() && troubles.is_empty() {
        // Nothing forbidden was said, but then nothing was said.
        troubles.push("the caller said nothing".to_owned());
    }
    let outcome = play.outcome;
    drop(play);
    scenario.turns = script;
    Played { name: scenario.name.clone(), kind: scenario.kind, opening, turns, outcome, troubles }
}

/// What a caller heard in a turn. Nothing is something to a model, too.
fn all_said(turn: &PlayedTurn) -> String {
    let said: Vec<&str> = turn.said.iter().map(|said| said.text.as_str()).collect();
    if said.is_empty() { "(silence)".to_owned() } else { said.join(" ") }
}

struct Play<'a> {
    stage: &'a Stage,
    faults: &'a [Fault],
    results: &'a Results,
    mind: Arc<Mind>,
    machine: CallMachine,
    desk: DeskMachine,
    handoff: Option<HandoffId>,
    now: Instant,
    turns: u32,
    history: History,
    inputs: VecDeque<CallInput>,
    /// Said and not yet heard.
    saying: VecDeque<(ItemId, String, bool)>,
    /// Heard or cut; kept for the history.
    items: HashMap<ItemId, String>,
    thinking: Option<Thinking>,
    turn: PlayedTurn,
    outcome: Option<CallOutcome>,
}

/// An answer being made; dropping it stops that.
struct Thinking {
    turn: TurnId,
    findings: mpsc::Receiver<Finding>,
    since: tokio::time::Instant,
    _task: JoinSet<()>,
}

impl<'a> Play<'a> {
    fn new(stage: &'a Stage, scenario: &'a Scenario) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let mut desk = DeskMachine::new(stage.desk.clone(), now, Timestamp::now(), 0);
        let mut ignored = Vec::new();
        for number in 0..scenario.agents {
            let agent = AgentId(format!("agent-{number}"));
            let connected = DeskInput::Connected { agent: agent.clone(), name: agent.0.clone(), session: 1 };
            desk.step(now, connected, &mut ignored);
            desk.step(now, DeskInput::StateChosen(agent, AgentState::Available, None), &mut ignored);
        }
        Self {
            stage,
            faults: &scenario.faults,
            results: &scenario.results,
            mind: faulty(&stage.mind, &scenario.faults),
            machine: CallMachine::new(now, stage.policy.clone()),
            desk,
            handoff: None,
            now,
            turns: 0,
            history: History::default(),
            inputs: VecDeque::new(),
            saying: VecDeque::new(),
            items: HashMap::new(),
            thinking: None,
            turn: PlayedTurn::default(),
            outcome: None,
        }
    }

    /// Nothing the caller says is for the assistant any more.
    fn is_over(&self) -> bool {
        matches!(self.machine.state(), State::Bridged { .. } | State::Introducing { .. } | State::Ended)
    }

    async fn say(&mut self, words: String, confidence: f32) {
        self.turns += 1;
        let turn = TurnId(self.turns);
        self.turn.found = self.mind.knowledge.current().search(&words, 3).into_iter().map(|hit| hit.entry_id).collect();
        self.turn.caller.clone_from(&words);
        self.input(CallInput::SpeechStarted).await;
        self.now += PACE * words.len() as u32;
        if self.faults.contains(&Fault::Stt) {
            self.input(CallInput::TurnEnded(turn)).await;
            let failure = EngineFailed { engine: "stt", reason: "broken by the scenario".to_owned() };
            return self.input(CallInput::Heard { turn, result: Err(failure), interrupted: false }).await;
        }
        let transcript = Transcript { text: words, avg_logprob: confidence.max(0.01).ln(), ..Transcript::default() };
        self.input(CallInput::HeardEarly { turn, transcript: transcript.clone() }).await;
        self.input(CallInput::TurnEnded(turn)).await;
        self.input(CallInput::Heard { turn, result: Ok(transcript), interrupted: false }).await;
    }

    /// Lets time pass, with all that is due in it.
    async fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        for _ in 0..MOST_STEPS {
            let Some(due) = self.machine.poll_timeout().filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            let mut actions = Vec::new();
            self.machine.handle_timeout(self.now, &mut actions);
            self.perform(actions);
            self.settle().await;
        }
        self.now = self.now.max(until);
    }

    async fn input(&mut self, input: CallInput) {
        self.inputs.push_back(input);
        self.settle().await;
    }

    /// Until nothing moves any more: inputs first, then thoughts, then what is being said is heard.
    async fn settle(&mut self) {
        for _ in 0..MOST_STEPS {
            if let Some(input) = self.inputs.pop_front() {
                let mut actions = Vec::new();
                self.machine.step(self.now, input, &mut actions);
                self.perform(actions);
            } else if let Some(thinking) = &mut self.thinking {
                match thinking.findings.recv().await {
                    Some(Finding::Thought(turn, thought)) => self.thought(turn, thought),
                    Some(_) => {}
                    None => {
                        self.turn.thought_ms += thinking.since.elapsed().as_millis() as u64;
                        self.thinking = None;
                    }
                }
            } else if let Some((item, text, _)) = self.saying.pop_front() {
                self.now += PACE * text.len() as u32;
                self.inputs.push_back(CallInput::ItemHeard(item));
            } else {
                return;
            }
        }
    }

    fn thought(&mut self, turn: TurnId, thought: Thought) {
        let input = match thought {
            Thought::Planned(evidence) => {
                self.turn.evidence = Some(EvidenceNote::from(&evidence));
                CallInput::AnswerPlanned { turn, evidence }
            }
            Thought::Sentence(text) => CallInput::AnswerSentence { turn, text },
            Thought::Done { blocked } => {
                self.turn.blocked.clone_from(&blocked);
                CallInput::AnswerDone { turn, blocked }
            }
            Thought::Chore { tool, arguments } => CallInput::ChoreFound { turn, tool, arguments },
            Thought::Failed(failure) => CallInput::AnswerFailed { turn, failure },
        };
        self.inputs.push_back(input);
    }

    fn perform(&mut self, actions: Vec<CallAction>) {
        for action in actions {
            match action {
                CallAction::Say { item, words, interruptible } => self.speak(item, words, interruptible),
                CallAction::ClearPlayback { everything } => {
                    let (cut, kept) =
                        self.saying.drain(..).partition(|(_, _, interruptible)| everything || *interruptible);
                    self.saying = kept;
                    let cut: VecDeque<(ItemId, String, bool)> = cut;
                    for (item, ..) in cut {
                        self.inputs.push_back(CallInput::ItemCut { item, heard: String::new() });
                    }
                }
                CallAction::Answer { turn, query } => self.think(turn, query),
                CallAction::CancelAnswer(turn) => {
                    self.thinking.take_if(|thinking| thinking.turn == turn);
                }
                CallAction::RememberCaller { transcript, .. } => self.history.caller(&transcript.text),
                CallAction::RememberAssistant { item, heard, cut } => {
                    let text = self.items.remove(&item).unwrap_or_default();
                    self.history.assistant_heard(if cut { &heard } else { &text });
                }
                CallAction::RememberDecision { decision, .. } => self.turn.decision = Some(*decision),
                CallAction::RequestHandoff { reason, signals } => {
                    let trigger = Trigger { reason: reason.as_str(), signals: signals.into() };
                    self.turn.handoff.get_or_insert(trigger);
                    let handoff = *self.handoff.get_or_insert_with(HandoffId::generate);
                    self.desk(DeskInput::Requested(handoff, Facts::default()));
                }
                CallAction::SuspendHandoff => {
                    if let Some(handoff) = self.handoff {
                        self.desk(DeskInput::Left(handoff, Left::ForNow));
                    }
                }
                CallAction::CloseHandoff(_) => {
                    if let Some(handoff) = self.handoff.take() {
                        self.desk(DeskInput::Ended(handoff, CallEnd::CallerHungUp));
                    }
                }
                CallAction::Finish(outcome) => self.outcome = Some(outcome),
                // No suite has a telephone outside.
                CallAction::Transfer | CallAction::EndTransfer(_) => {}
                CallAction::RunTool { run, tool, arguments } => {
                    let (name, arguments) = (tool.name.clone(), arguments.into());
                    let result = self.results.get(&name).map(ToolReply::from).ok_or_else(|| ToolFailed {
                        reason: "the scenario does not say what it gives".to_owned(),
                        perhaps_done: false,
                    });
                    self.turn.tools.push(ToolCall { name, arguments });
                    self.inputs.push_back(CallInput::ToolDone { run, result });
                }
                CallAction::CancelTool(_)
                | CallAction::PausePlayback
                | CallAction::ResumePlayback
                | CallAction::NoteTrigger { .. }
                | CallAction::Bridge
                | CallAction::Unbridge
                | CallAction::Party(_)
                | CallAction::Promote
                | CallAction::Hold(_)
                | CallAction::PressKeys(_)
                | CallAction::StartRecording
                | CallAction::StartMessage
                | CallAction::EndMessage
                | CallAction::StopMessage { .. }
                | CallAction::BookCallback { .. }
                | CallAction::SpeakLanguage(_)
                | CallAction::Hangup => {}
            }
        }
    }

    fn speak(&mut self, item: ItemId, words: Words, interruptible: bool) {
        if self.faults.contains(&Fault::Tts) {
            return self.inputs.push_back(CallInput::ItemFailed(item));
        }
        let (text, fixed) = match words {
            Words::Fixed(phrase) => (self.stage.phrases.text(&phrase), Some(name(&phrase))),
            Words::Answer(_, text) => (text, None),
        };
        self.turn.said.push(Said { text: text.clone(), fixed });
        self.items.insert(item, text.clone());
        self.saying.push_back((item, text, interruptible));
    }

    fn think(&mut self, turn: TurnId, query: String) {
        let (out, findings) = mpsc::channel(FINDINGS);
        let (mind, history) = (self.mind.clone(), self.history.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { mind.answer(turn, query, history, out).await });
        self.thinking = Some(Thinking { turn, findings, since: tokio::time::Instant::now(), _task: task });
    }

    /// Tells the desk, lets every agent accept what is offered, and tells the call.
    fn desk(&mut self, input: DeskInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut actions = Vec::new();
            self.desk.step(self.now, input, &mut actions);
            for action in actions {
                match action {
                    DeskAction::Offer { offer, agent, .. } => inputs.push_back(DeskInput::Accepted(agent, offer)),
                    DeskAction::Assign { agent, .. } => {
                        let name = "Robin".to_owned();
                        self.inputs.push_back(CallInput::Handoff(HandoffNews::Accepted { agent, name }));
                    }
                    DeskAction::Place { position, staffed, .. } => {
                        self.inputs.push_back(CallInput::Handoff(HandoffNews::Queued {
                            position,
                            staffed,
                            wait: None,
                        }));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// `mind` with what the scenario breaks broken.
fn faulty(mind: &Arc<Mind>, faults: &[Fault]) -> Arc<Mind> {
    if !faults.iter().any(|fault| [Fault::Llm, Fault::Retrieval].contains(fault)) {
        return mind.clone();
    }
    let mut broken = Mind::clone(mind);
    if faults.contains(&Fault::Llm) && broken.llm.is_some() {
        broken.llm = Some(Arc::new(Broken));
        broken.cost = None;
    }
    if faults.contains(&Fault::Retrieval) {
        let nothing = Knowledge::index(Vec::new()).expect("an index of nothing can be made");
        broken.knowledge = Library::fixed(nothing);
    }
    Arc::new(broken)
}

struct Broken;

#[async_trait]
impl LanguageModel for Broken {
    async fn generate(&self, _: ChatRequest, _: mpsc::Sender<String>) -> Result<ChatSummary, LlmError> {
        Err(LlmError::Unreachable { url: "nowhere".to_owned(), reason: "broken by the scenario".to_owned() })
    }

    fn name(&self) -> &str {
        "broken"
    }
}

/// A fixed sentence's name in `sentences.toml`.
pub fn name(phrase: &Phrase) -> &'static str {
    match phrase {
        Phrase::Greeting | Phrase::GreetingRest => "greeting",
        Phrase::Notice => "notice",
        Phrase::Repeat => "repeat",
        Phrase::Filler => "filler",
        Phrase::OfferPerson => "offer_person",
        Phrase::Clarify => "clarify",
        Phrase::Prompt => "prompt",
        Phrase::Switched => "switched",
        Phrase::SilencePrompt => "silence_prompt",
        Phrase::TakeYourTime => "take_your_time",
        Phrase::Connecting => "connecting",
        Phrase::EngineApology => "engine_apology",
        Phrase::StillWaiting { .. } => "still_waiting",
        Phrase::Wait { .. } => "wait",
        Phrase::QueueMessage { .. } => "queue_message",
        Phrase::NobodyAvailable => "nobody_available",
        Phrase::Telephoning => "telephoning",
        Phrase::Leaving => "leaving",
        Phrase::TelephoneMissed => "telephone_missed",
        Phrase::Introduction { .. } => "introduction",
        Phrase::Joining { .. } => "joining",
        Phrase::NotReached => "not_reached",
        Phrase::Parked => "parked",
        Phrase::ParkedTooLong => "parked_too_long",
        Phrase::AgentLost => "agent_lost",
        Phrase::Requeued => "requeued",
        Phrase::MessagePrompt => "message_prompt",
        Phrase::MessageSaved => "message_saved",
        Phrase::MessageEmpty => "message_empty",
        Phrase::CallbackConfirm { .. } => "callback_confirm",
        Phrase::CallbackBooked => "callback_booked",
        Phrase::BrokeOff => "broke_off",
        Phrase::CallbackGreeting => "callback_greeting",
        Phrase::CallbackNumber => "callback_number",
        Phrase::CallbackInvalid => "callback_invalid",
        Phrase::BackToAssistant => "back_to_assistant",
        Phrase::IsAssistant => "is_assistant",
        Phrase::Goodbye => "goodbye",
        Phrase::Stopping => "stopping",
    }
}
