//! What a call's machine is told and what it wants done. PURE.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::audio::units::Millis;
use crate::dialog::language::Language;
use crate::engine::stt::Transcript;
use crate::handoff::routing::estimate::Estimate;
use crate::handoff::wire::ConsultMode;
use crate::handoff::{AgentId, HandoffReason};
pub use crate::judgment::Signals as FitSignals;
use crate::judgment::decision::{Decision, Found, Picked};
use crate::store::{CallOutcome, HandoffOutcome};
use crate::telemetry::Pii;
use crate::telephony::protocol::{Digit, StopReason};
use crate::tools::spec::{Arguments, ToolFailed, ToolReply, ToolSpec};

/// One caller utterance within a call; counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TurnId(pub u32);

/// One thing said to the caller within a call; counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub u64);

/// One run of a tool within a call; counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u32);

/// Measured signals by name, stored with every trigger.
pub type Signals = Map<String, Value>;

/// Something happened. Past tense.
#[derive(Clone, Debug, PartialEq)]
pub enum CallInput {
    /// The caller's leg is open.
    Began,
    /// The same, of somebody we have called back; with the agent who waits for them, if one does.
    CalledBack {
        /// The name the caller may hear.
        name: Option<String>,
    },
    /// The same, of a caller whom a restart of ours cut off.
    BrokeOff {
        /// Why they wanted a person, if they did.
        wanted: Option<HandoffReason>,
    },
    /// The caller makes voice.
    SpeechStarted,
    /// The caller speaks over playback; whether they mean it their words will tell, or that they go on.
    BargeIn,
    /// The caller has spoken over playback for so long that it is no "mm-hm".
    TookTheFloor,
    /// What had begun was no caller after all.
    SpeechDiscarded,
    /// An utterance is over; its transcript will come as [`CallInput::Heard`].
    TurnEnded(TurnId),
    /// What the utterance said.
    Heard {
        /// Which utterance.
        turn: TurnId,
        /// The transcript, or that recognition failed.
        result: Result<Transcript, EngineFailed>,
        /// Barge-in stopped playback for this utterance.
        interrupted: bool,
    },
    /// A speculative transcript of an utterance that has not ended yet.
    HeardEarly {
        /// Which utterance.
        turn: TurnId,
        /// What it says so far.
        transcript: Transcript,
    },
    /// The caller spoke on: what was heard early is not the whole.
    SpokeOn(TurnId),
    /// A key was pressed.
    Dtmf(Digit),
    /// The caller heard an item to its end.
    ItemHeard(ItemId),
    /// An item was cut; this much of it was heard.
    ItemCut {
        /// Which.
        item: ItemId,
        /// The words that were heard.
        heard: String,
    },
    /// An item could not be spoken.
    ItemFailed(ItemId),
    /// How well an answer is backed, before its first sentence.
    AnswerPlanned {
        /// For which turn.
        turn: TurnId,
        /// What was found.
        evidence: Evidence,
    },
    /// The next sentence of an answer.
    AnswerSentence {
        /// For which turn.
        turn: TurnId,
        /// Ready to be spoken.
        text: String,
    },
    /// No more sentences.
    AnswerDone {
        /// For which turn.
        turn: TurnId,
        /// What the answer had said that nothing backs, if it was stopped for that.
        blocked: Option<String>,
    },
    /// There is no answer because an engine failed.
    AnswerFailed {
        /// For which turn.
        turn: TurnId,
        /// What failed.
        failure: EngineFailed,
    },
    /// The answer is something to be done: a tool, and what a model read of its arguments from the caller's words.
    ChoreFound {
        /// For which turn.
        turn: TurnId,
        /// What does it.
        tool: Arc<ToolSpec>,
        /// Heard, so far as it was.
        arguments: Arguments,
    },
    /// A tool is done.
    ToolDone {
        /// Which run.
        run: RunId,
        /// What it gave.
        result: Result<ToolReply, ToolFailed>,
    },
    /// News of the handoff.
    Handoff(HandoffNews),
    /// News of a caller who was given to a telephone.
    Transfer(TransferNews),
    /// Recording of the caller's message ended by itself: silence or its longest length.
    MessageEnded {
        /// Voice in it.
        speech: Millis,
    },
    /// The leg of a caller whom we gave away is gone: the provider has them.
    LineGone,
    /// The leg is gone.
    ProviderStopped(StopReason),
    /// The server stops now; say so and end.
    ServerStopping,
}

/// How well an answer is backed by the knowledge base.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Whether there will be an answer at all.
    pub answerable: bool,
    /// Retrieval score of the best entry.
    pub score: f32,
    /// Lead over the next.
    pub margin: f32,
    /// The entries and their scores.
    pub entries: Vec<(String, f32)>,
    /// The answer is an entry's own approved sentence.
    pub verbatim: bool,
    /// The probability that it is right, as far as it was known when this was measured.
    pub probability: f32,
    /// What that was made from.
    pub fit: FitSignals,
    /// How sure the language model was that the sentence answers the question, where it was asked.
    pub chosen: Option<f32>,
    /// The version of the knowledge base that was searched.
    pub version: String,
    /// What was looked at, best first.
    pub found: Vec<Found>,
    /// A language model was there to be asked.
    pub has_model: bool,
    /// What it picked, spoken or not.
    pub picks: Vec<Picked>,
    /// The tool it asked for, where none of the sentences was the answer.
    pub called: Option<String>,
    /// False where a stand-in answers, whose words nobody judges.
    pub judged: bool,
}

/// An engine that did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFailed {
    /// `stt`, `llm` or `tts`.
    pub engine: &'static str,
    /// What it said.
    pub reason: String,
}

/// What the desk tells a call about its handoff.
#[derive(Clone, Debug, PartialEq)]
pub enum HandoffNews {
    /// The caller's place, and how many people are signed in to take calls.
    Queued {
        /// 1 is next.
        position: u32,
        /// Agents signed in and not on break.
        staffed: u32,
        /// How long it may take, where that is known.
        wait: Option<Estimate>,
    },
    /// What callers of this queue are told from now on while they wait; empty: nothing of its own.
    QueueMessage(String),
    /// A person took the call.
    Accepted {
        /// Who.
        agent: AgentId,
        /// The name the caller may hear.
        name: String,
    },
    /// The person's connection broke.
    AgentLost,
    /// The person is back.
    AgentReturned,
    /// The person did not come back; the caller is first in the queue again.
    Requeued,
    /// The person put the caller on hold, or took them back.
    Hold(bool),
    /// The person pressed keys, one after the other.
    Keys(Vec<Digit>),
    /// The person ended the call.
    Ended,
    /// The person gave the caller back to the assistant.
    HandedBack,
    /// The person gave the caller to other people, who are being asked.
    Transferred,
    /// Who was meant to take the caller does not; others are being asked.
    AimMissed,
    /// The person sends the caller to a telephone outside.
    SentOutside,
    /// The person set the caller aside, for colleagues to pick up.
    Parked,
    /// A colleague is consulted: who hears whom from now on.
    Consult(ConsultMode),
    /// The colleague is there.
    ColleagueJoined {
        /// Who.
        agent: AgentId,
        /// The name the caller may hear.
        name: String,
    },
    /// No colleague is consulted any more: the caller is back with the person.
    ConsultOver,
    /// The colleague has the caller from now on.
    Succeeded {
        /// Who.
        agent: AgentId,
        /// The name the caller may hear.
        name: String,
    },
    /// A supervisor wants to speak with the caller; the desk says who it is with `Accepted`.
    TakeOver,
    /// A supervisor ended the call.
    ForceEnded,
}

/// How the try to reach a person at a telephone ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEnd {
    /// The person took the call.
    Taken,
    /// Nobody did.
    Missed(Missed),
    /// The caller hung up meanwhile, or the server stopped.
    Abandoned,
    /// The provider said nothing more about it.
    Unknown,
}

/// What became of a caller who was given to a telephone outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferNews {
    /// The person has taken the call.
    Taken,
    /// Nobody took it. The provider brings the caller back.
    Missed(Missed),
    /// The caller hung up meanwhile.
    CallerLeft,
    /// The caller is back on a new stream.
    Back,
}

/// Why nobody took a call outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The line was busy.
    Busy,
    /// Nobody answered, or did not press the key in time.
    NoAnswer,
    /// Whoever answered did not want it.
    Declined,
    /// A machine answered.
    Voicemail,
    /// The provider could not call.
    Failed,
}

impl Missed {
    /// The word used on record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::Voicemail => "voicemail",
            Self::Failed => "failed",
        }
    }
}

/// Do this. Imperative.
#[derive(Clone, Debug, PartialEq)]
pub enum CallAction {
    /// Speak to the caller after what is already queued.
    Say {
        /// Its name in later inputs.
        item: ItemId,
        /// What.
        words: Words,
        /// False: barge-in does not stop it.
        interruptible: bool,
    },
    /// Stop speaking now, at the provider too, and keep what was not heard.
    PausePlayback,
    /// Go on speaking where the pause came.
    ResumePlayback,
    /// Stop speaking now, at the provider too, and drop what was not heard.
    ClearPlayback {
        /// Also items that may not be interrupted by the caller's voice.
        everything: bool,
    },
    /// Find and speak an answer.
    Answer {
        /// For this turn.
        turn: TurnId,
        /// What the caller said.
        query: String,
    },
    /// Run a tool; [`CallInput::ToolDone`] follows.
    RunTool {
        /// Its name in later inputs.
        run: RunId,
        /// Which.
        tool: Arc<ToolSpec>,
        /// With what.
        arguments: Arguments,
    },
    /// Nobody waits for this run any more.
    CancelTool(RunId),
    /// Drop the answer of this turn, if one is being made.
    CancelAnswer(TurnId),
    /// Hear, answer and speak in this language from now on.
    SpeakLanguage(Language),
    /// Note what the caller said.
    RememberCaller {
        /// The turn.
        turn: TurnId,
        /// What was heard.
        transcript: Transcript,
    },
    /// Note what the caller heard of an item, whole or cut.
    RememberAssistant {
        /// The item.
        item: ItemId,
        /// The words heard.
        heard: String,
        /// True when it was cut.
        cut: bool,
    },
    /// Note what was decided about the caller's words, and from what. A later one for the same turn replaces it.
    RememberDecision {
        /// The turn.
        turn: TurnId,
        /// With all its inputs.
        decision: Box<Decision>,
    },
    /// Ask the desk for a person.
    RequestHandoff {
        /// Why.
        reason: HandoffReason,
        /// The numbers that decided it.
        signals: Signals,
    },
    /// Note another trigger of the running handoff.
    NoteTrigger {
        /// Why.
        reason: HandoffReason,
        /// The numbers.
        signals: Signals,
    },
    /// Take the caller out of the queue; the handoff's end follows.
    SuspendHandoff,
    /// The handoff is over.
    CloseHandoff(HandoffOutcome),
    /// Give the caller to the configured telephone. The leg ends.
    Transfer,
    /// The person at the telephone is no longer awaited.
    EndTransfer(TransferEnd),
    /// Connect caller and agent.
    Bridge,
    /// Disconnect caller and agent.
    Unbridge,
    /// Who hears whom, with a colleague; none: there is no colleague.
    Party(Option<ConsultMode>),
    /// The colleague takes the agent's place.
    Promote,
    /// Hold music on or off.
    Hold(bool),
    /// Press keys towards the caller, one after the other.
    PressKeys(Vec<Digit>),
    /// Recording may begin.
    StartRecording,
    /// Record the caller's message, after a beep.
    StartMessage,
    /// Say how much voice the message has, by [`CallInput::MessageEnded`].
    EndMessage,
    /// Stop recording it. Kept when `keep`, thrown away otherwise.
    StopMessage {
        /// Whether it is a message.
        keep: bool,
    },
    /// Store a wish to be called back, at this number or the caller's own.
    BookCallback {
        /// Keyed in by the caller.
        number: Option<String>,
    },
    /// End the caller's leg.
    Hangup,
    /// The call is over, with this outcome. Comes once and last.
    Finish(CallOutcome),
}

/// What to say: a fixed sentence by name, or free text.
#[derive(Clone, Debug, PartialEq)]
pub enum Words {
    /// A fixed sentence.
    Fixed(Phrase),
    /// A sentence of an answer to this turn.
    Answer(TurnId, String),
}

/// The fixed sentences, by what they are for. Their texts are in `prompts/sentences.toml` and the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phrase {
    /// The greeting's first sentence: says it is an automated assistant.
    Greeting,
    /// The recording notice.
    Notice,
    /// The rest of the greeting.
    GreetingRest,
    /// Nothing was understood; say it again.
    Repeat,
    /// The answer takes a while: the line is not dead.
    Filler,
    /// The same, where it may have been a request for a person: a "yes" is one.
    OfferPerson,
    /// Nothing in the notes fits; the one clarifying question.
    Clarify,
    /// What is it about? To a greeting, or a question that was only announced.
    Prompt,
    /// The caller's language is spoken from here on: who speaks, once more, so that they can understand it.
    Switched,
    /// Are you still there?
    SilencePrompt,
    /// The caller asked for a moment.
    TakeYourTime,
    /// A person is being found.
    Connecting,
    /// Recognition, model or voice failed; a person is being found.
    EngineApology,
    /// Still looking for a person, with the caller's place and the choices.
    StillWaiting {
        /// 1 is next.
        position: u32,
    },
    /// How long the wait may be, in minutes begun: half of all callers wait no longer than the first, nine of ten less than the second.
    Wait {
        /// The first.
        about: u32,
        /// The second.
        most: u32,
    },
    /// What whoever runs the queue tells its callers.
    QueueMessage {
        /// In their words.
        text: String,
    },
    /// No person is there now, with the choices.
    NobodyAvailable,
    /// A person is being called outside; the caller will be back if nobody takes the call.
    Telephoning,
    /// The caller is given away now.
    Leaving,
    /// Nobody took the call outside, with the choices.
    TelephoneMissed,
    /// You are speaking with this person now.
    Introduction {
        /// Their name.
        name: String,
    },
    /// This person joins the conversation.
    Joining {
        /// Their name.
        name: String,
    },
    /// Who was meant can't take the call; somebody else is being found.
    NotReached,
    /// A colleague of the person will be with the caller in a moment.
    Parked,
    /// Nobody came; the caller is first in the queue, with the choices.
    ParkedTooLong,
    /// The person's connection broke.
    AgentLost,
    /// The caller is first in the queue again.
    Requeued,
    /// Speak after the tone.
    MessagePrompt,
    /// The message is kept.
    MessageSaved,
    /// Nothing was recorded.
    MessageEmpty,
    /// Somebody will call back at this number; is that right?
    CallbackConfirm {
        /// To be read back.
        number: Pii<String>,
    },
    /// Somebody will call back.
    CallbackBooked,
    /// The line broke through our fault.
    BrokeOff,
    /// We call back, as was asked for.
    CallbackGreeting,
    /// Key in your number, then the hash key.
    CallbackNumber,
    /// That is no number.
    CallbackInvalid,
    /// Back with the assistant.
    BackToAssistant,
    /// Yes, an automated assistant.
    IsAssistant,
    /// Goodbye.
    Goodbye,
    /// The server is stopping.
    Stopping,
}

impl Phrase {
    /// The words for an estimate.
    pub fn wait(estimate: Estimate) -> Self {
        let minutes = |span: Duration| u32::try_from(span.as_secs().div_ceil(60)).unwrap_or(u32::MAX).max(1);
        Self::Wait { about: minutes(estimate.p50), most: minutes(estimate.p90) }
    }
}
