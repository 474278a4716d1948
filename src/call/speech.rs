//! RUNTIME: one call's voice and ears at work beside its actor, reporting back through one bounded channel.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::input::{EngineFailed, ItemId, RunId, TurnId};
use super::journal::Place;
use super::mind::Thought;
use super::turn::{SpeculationId, UtteranceAudio};
use crate::engine::CancelFlag;
use crate::engine::cpu::Priority;
use crate::engine::stt::scheduler::{JobKind, SttScheduler, SttTicket};
use crate::engine::stt::{SttError, Transcript, Utterance};
use crate::engine::tts::TtsError;
use crate::engine::tts::voice::Voice;
use crate::handoff::wire::Suggestion;
use crate::telemetry::metric;
use crate::tools::spec::{ToolFailed, ToolReply};

/// Control: results of a call's own work. A worker waits when its call is behind.
pub const FINDINGS: usize = 128;
/// Sentences waiting for the voice.
const WAITING_SENTENCES: usize = 64;
/// Between tries to have words of a conversation recognised while the recogniser is busy.
const TALK_AGAIN: Duration = Duration::from_secs(1);
/// Chunks of one sentence on their way; the voice is faster than speech and waits here.
const VOICE_CHUNKS: usize = 8;

/// What a call's own work found out.
#[derive(Debug)]
pub enum Finding {
    /// A transcript of a speculation.
    Early(TurnId, SpeculationId, Result<Transcript, SttError>),
    /// A transcript of an utterance that goes on, by number.
    Partial(TurnId, u32, Result<Transcript, SttError>),
    /// The transcript of a whole utterance.
    Final(TurnId, Result<Transcript, SttError>),
    /// More sound of an item.
    Sound(ItemId, Arc<[i16]>),
    /// All sound of an item is there.
    Spoken(ItemId),
    /// An item can't be spoken.
    Unspoken(ItemId, TtsError),
    /// A tool is done.
    Tool(RunId, Result<ToolReply, ToolFailed>),
    /// The assistant thinks.
    Thought(TurnId, Thought),
    /// An agent, by the number of their side, has said this; none: they are no longer listened to.
    AgentSpoke(u32, Option<UtteranceAudio>),
    /// Words of a conversation between caller and agent.
    TalkHeard(Place, Result<Transcript, SttError>),
    /// What the knowledge base has for the caller's words.
    Suggested(String, Vec<Suggestion>),
}

/// Work of one call. Dropping it stops all of it.
#[derive(Debug)]
pub struct Speech {
    findings: mpsc::Sender<Finding>,
    sentences: mpsc::Sender<Sentence>,
    /// Sentences that may still be cancelled.
    speaking: HashMap<ItemId, CancelFlag>,
    /// The last speculation, to make it more urgent.
    early: Option<(SpeculationId, SttTicket)>,
    tasks: JoinSet<()>,
}

struct Sentence {
    item: ItemId,
    text: String,
    cancel: CancelFlag,
    voice: Voice,
}

impl Speech {
    /// Starts the voice's task. Findings come out of the receiver.
    pub fn start() -> (Self, mpsc::Receiver<Finding>) {
        let (findings, receiver) = mpsc::channel(FINDINGS);
        let (sentences, inbox) = mpsc::channel(WAITING_SENTENCES);
        let mut tasks = JoinSet::new();
        tasks.spawn(speak_all(inbox, findings.clone()));
        (Self { findings, sentences, speaking: HashMap::new(), early: None, tasks }, receiver)
    }

    /// Speaks `text` by `voice`, after what was asked for before.
    pub fn say(&mut self, item: ItemId, text: String, voice: Voice) -> Result<(), TtsError> {
        let cancel = CancelFlag::new();
        self.speaking.insert(item, cancel.clone());
        self.sentences.try_send(Sentence { item, text, cancel, voice }).map_err(|_| TtsError::Overloaded)
    }

    /// This item is no longer wanted, or is done.
    pub fn forget(&mut self, item: ItemId) {
        if let Some(cancel) = self.speaking.remove(&item) {
            cancel.cancel();
        }
    }

    /// Recognises the audio of a speculation.
    ///
    /// False under load, when it is left out: the utterance has to be heard when the turn is over.
    pub fn hear_early(&mut self, stt: &SttScheduler, work: Decode, id: SpeculationId) -> bool {
        let Decode { turn, utterance, deadline, cancel } = work;
        let Ok(job) = stt.submit(utterance, JobKind::Speculative, deadline, &cancel) else { return false };
        self.early = Some((id, job.ticket()));
        let findings = self.findings.clone();
        self.spawn(async move {
            let result = job.outcome().await;
            // A closed channel means that the call is over.
            let _ = findings.send(Finding::Early(turn, id, result)).await;
        });
        true
    }

    /// Recognises what there is of an utterance that goes on, if there is a core to spare.
    pub fn hear_partial(&mut self, stt: &SttScheduler, work: Decode, number: u32) -> bool {
        let Decode { turn, utterance, deadline, cancel } = work;
        let Ok(job) = stt.submit(utterance, JobKind::Partial, deadline, &cancel) else { return false };
        let findings = self.findings.clone();
        self.spawn(async move {
            let result = job.outcome().await;
            let _ = findings.send(Finding::Partial(turn, number, result)).await;
        });
        true
    }

    /// The turn is over and the caller waits for this speculation: it goes before all others.
    pub fn promote(&mut self, id: SpeculationId, deadline: Duration) {
        if let Some((_, ticket)) = self.early.take_if(|(early, _)| *early == id) {
            ticket.promote(deadline);
        }
    }

    /// Recognises a whole utterance.
    pub fn hear(&mut self, stt: Arc<SttScheduler>, work: Decode) {
        let findings = self.findings.clone();
        let turn = work.turn;
        self.spawn(async move {
            let result = work.run(&stt, JobKind::Final).await;
            let _ = findings.send(Finding::Final(turn, result)).await;
        });
    }

    /// Recognises what people say to each other. Nobody waits for it: while callers of the assistant need the time it is tried
    /// again, until `until`.
    pub fn hear_talk(&mut self, stt: Arc<SttScheduler>, utterance: Utterance, place: Place, until: Instant) {
        let findings = self.findings.clone();
        self.spawn(async move {
            let result = loop {
                let left = until.saturating_duration_since(Instant::now());
                match stt.transcribe(utterance.clone(), JobKind::Talk, left, &CancelFlag::new()).await {
                    Err(SttError::Shed(_) | SttError::Overloaded(_)) if left > TALK_AGAIN => sleep(TALK_AGAIN).await,
                    result => break result,
                }
            };
            let _ = findings.send(Finding::TalkHeard(place, result)).await;
        });
    }

    /// Runs any other work of this call.
    pub fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        // Finished tasks are taken out, so that a long call does not collect them.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(work);
    }

    /// Where work sends what it finds.
    pub fn findings(&self) -> mpsc::Sender<Finding> {
        self.findings.clone()
    }
}

/// One utterance to be recognised.
#[derive(Debug)]
pub struct Decode {
    /// Whose transcript it will be.
    pub turn: TurnId,
    /// The audio.
    pub utterance: Utterance,
    /// No later than this.
    pub deadline: Duration,
    /// Set when nobody wants it any more.
    pub cancel: CancelFlag,
}

impl Decode {
    async fn run(self, stt: &SttScheduler, kind: JobKind) -> Result<Transcript, SttError> {
        stt.transcribe(self.utterance, kind, self.deadline, &self.cancel).await
    }
}

/// One after the other, so that sentences never overtake each other.
async fn speak_all(mut inbox: mpsc::Receiver<Sentence>, findings: mpsc::Sender<Finding>) {
    while let Some(Sentence { item, text, cancel, voice }) = inbox.recv().await {
        if cancel.is_cancelled() {
            continue;
        }
        let (chunks, mut sound) = mpsc::channel(VOICE_CHUNKS);
        let speaking = voice.speak(text, Priority::FirstAudio, cancel.clone(), chunks);
        let forwarding = async {
            while let Some(chunk) = sound.recv().await {
                if findings.send(Finding::Sound(item, chunk)).await.is_err() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        let (result, flow) = tokio::join!(speaking, forwarding);
        if flow.is_break() {
            return;
        }
        let finding = match result {
            Err(TtsError::Cancelled) => continue,
            Ok(_) => Finding::Spoken(item),
            Err(error) => Finding::Unspoken(item, error),
        };
        if findings.send(finding).await.is_err() {
            return;
        }
    }
}

/// What the machine is told of a failed recognition.
pub fn stt_failed(error: &SttError) -> EngineFailed {
    metrics::counter!(metric::ENGINE_FAILURES, "engine" => "stt").increment(1);
    EngineFailed { engine: "stt", reason: error.to_string() }
}
