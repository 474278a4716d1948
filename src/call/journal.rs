//! What a call leaves behind: its record, turns, triggers, transcript lines, the assistant's memory of it.
//!
//! Owned by the call's actor; writes through the [`Scribe`], which never makes the call wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::CallId;
use super::input::{Evidence, ItemId, Missed, Signals, TransferEnd, TurnId};
use super::message::Message;
use crate::audio::units::Millis;
use crate::dialog::brief::{at_length, brief};
use crate::dialog::cards;
use crate::dialog::history::History;
use crate::engine::stt::Transcript;
use crate::handoff::wire::{Brief, Line, OfferResult};
use crate::handoff::{AgentId, HandoffId, HandoffReason, OfferId};
use crate::judgment::decision::Decision;
use crate::said::Said;
use crate::store::scribe::{Record, Scribe};
use crate::store::{
    CallOutcome, CallRecord, EntryUse, MessageKind, MessageRecord, OfferRecord, ToolOutcome, ToolRunRecord,
    TriggerRecord, TurnRecord, TurnTimings,
};
use crate::telemetry::{Pii, metric};
use crate::telephony::protocol::{Speaker, StreamStart};

/// Lines kept for an agent who takes over; older ones are in the database.
const LINES_KEPT: usize = 200;

/// Turns whose decision may still come: the one being answered and those it is added to.
const UNDECIDED: usize = 4;

/// Stands for a telephone outside where records name an agent.
pub const TELEPHONE: &str = "telephone";

/// Where something that was said belongs, until its words are known.
#[derive(Clone, Debug)]
pub struct Place {
    seq: u32,
    /// Who spoke.
    pub who: Speaker,
    from: Millis,
    to: Millis,
    /// Of the first sample that recognition is given; somewhat before `from`.
    heard_from: Millis,
    agent: Option<AgentId>,
}

/// See the module's documentation.
pub struct Journal {
    scribe: Scribe,
    call: CallRecord,
    history: History,
    lines: Vec<Line>,
    next_seq: u32,
    /// When each utterance was spoken, until its words are known.
    spoken: BTreeMap<TurnId, (Millis, Millis, Millis)>,
    /// When each item began to be heard.
    started: HashMap<ItemId, Millis>,
    evidence: BTreeMap<TurnId, Evidence>,
    /// The last turns of the caller, whose decisions may still come.
    undecided: VecDeque<(TurnId, TurnRecord)>,
    /// Decisions whose turn is not on record yet: a request for a person is carried out before the utterance ends.
    early: Option<(TurnId, Decision)>,
    timings: BTreeMap<TurnId, TurnTimings>,
    answers: HashMap<TurnId, CancellationToken>,
    /// The reply whose sentences are being heard: they make one turn.
    reply: Option<(TurnId, TurnRecord)>,
    /// The turn timings belong to when a fixed sentence was the answer.
    fixed_timings: Option<TurnTimings>,
    /// Tools that ran or run.
    tools: Vec<ToolRunRecord>,
    message: Option<Message>,
    message_id: Uuid,
    /// The telephone that is being tried.
    telephone: Option<OfferRecord>,
    last_agent: Option<AgentId>,
}

impl Journal {
    /// Begins the record.
    pub fn open(id: CallId, provider: &'static str, start: &StreamStart, scribe: Scribe) -> Self {
        let call = CallRecord {
            id,
            provider: provider.to_owned(),
            provider_call_id: start.provider_call_id.clone(),
            from: start.from.clone(),
            to: start.to.clone(),
            started_at: Timestamp::now(),
            ended_at: None,
            outcome: CallOutcome::Live,
            recording: None,
            notice_at_ms: None,
        };
        scribe.put(Record::Call(call.clone()));
        Self {
            scribe,
            call,
            history: History::default(),
            lines: Vec::new(),
            next_seq: 0,
            spoken: BTreeMap::new(),
            started: HashMap::new(),
            evidence: BTreeMap::new(),
            undecided: VecDeque::new(),
            early: None,
            timings: BTreeMap::new(),
            answers: HashMap::new(),
            reply: None,
            fixed_timings: None,
            tools: Vec::new(),
            message: None,
            message_id: Uuid::now_v7(),
            telephone: None,
            last_agent: None,
        }
    }

    /// What the language model may know of the call.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The caller's number.
    pub fn caller(&self) -> Option<Pii<String>> {
        self.call.from.clone()
    }

    /// The transcript for a person who takes over.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Two lines for a person who takes over.
    pub fn summary(&self, reason: HandoffReason) -> Vec<String> {
        let caller: Vec<&str> =
            self.lines.iter().filter(|line| line.who == Speaker::Caller).map(|line| line.text.as_str()).collect();
        let mut brief = brief(&caller, reason, &self.answered());
        brief.extend(self.changes().map(|change| change.to_string()));
        brief
    }

    /// The same at length.
    pub fn brief(&self, reason: HandoffReason) -> Brief {
        let said = self.lines.iter().filter(|line| line.who == Speaker::Caller && line.is_final);
        let caller: Vec<(&str, f32)> = said.map(|line| (line.text.as_str(), line.confidence)).collect();
        let mut brief = at_length(&caller, reason, &self.answered());
        for change in self.changes() {
            brief.add_tried(&change);
        }
        brief
    }

    /// The person who spoke with the caller last.
    pub fn last_agent(&self) -> Option<AgentId> {
        self.last_agent.clone()
    }

    /// What tools changed in this call.
    fn changes(&self) -> impl Iterator<Item = Said> {
        self.tools.iter().filter(|run| run.changes).map(|run| {
            let text = format!("{}: {}.", run.tool, run.outcome.told());
            let word = match run.outcome {
                ToolOutcome::Started => "tool_started",
                ToolOutcome::Done => "tool_done",
                ToolOutcome::Failed => "tool_failed",
                ToolOutcome::Unknown => "tool_unknown",
                ToolOutcome::Cancelled => "tool_cancelled",
            };
            Said::new(word, text).with("tool", &run.tool)
        })
    }

    /// Titles of the entries answered from, each once.
    fn answered(&self) -> Vec<&str> {
        let mut answered: Vec<&str> = Vec::new();
        for evidence in self.evidence.values().filter(|evidence| evidence.answerable) {
            if let Some((entry, _)) = evidence.entries.first()
                && !answered.contains(&entry.as_str())
            {
                answered.push(entry);
            }
        }
        answered
    }

    fn seq(&mut self) -> u32 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    fn line(&mut self, seq: u32, who: Speaker, text: &str, at: Millis, confidence: f32) -> Line {
        let line = Line { seq, who, text: text.to_owned(), at_ms: at.0, confidence, is_final: true };
        match self.lines.iter_mut().rev().find(|known| known.seq == seq) {
            Some(known) => known.clone_from(&line),
            None => {
                // Words of somebody who spoke before others may be known after theirs.
                let at = self.lines.partition_point(|known| known.seq < seq);
                self.lines.insert(at, line.clone());
            }
        }
        if self.lines.len() > LINES_KEPT {
            self.lines.remove(0);
        }
        line
    }

    // --- what was said ------------------------------------------------------------------------------------------

    /// An utterance was spoken; its words follow. `heard_from` is when what recognition is given begins.
    pub fn caller_spoke(&mut self, turn: TurnId, from: Millis, to: Millis, heard_from: Millis) {
        self.spoken.insert(turn, (from, to, heard_from));
    }

    /// The words of an utterance.
    pub fn caller_said(&mut self, turn: TurnId, transcript: &Transcript) -> Line {
        let (started, ended, heard_from) = self.spoken.remove(&turn).unwrap_or_default();
        let place = self.place(Speaker::Caller, started, ended, heard_from, None);
        let decision = self.early.take_if(|(early, _)| *early == turn).map(|(_, decision)| decision);
        let (record, line) = self.write(&place, transcript, decision);
        self.undecided.push_back((turn, record));
        if self.undecided.len() > UNDECIDED {
            self.undecided.pop_front();
        }
        line
    }

    /// Somebody has spoken, and their words will follow: their place among the others.
    pub fn place(
        &mut self,
        who: Speaker,
        from: Millis,
        to: Millis,
        heard_from: Millis,
        agent: Option<AgentId>,
    ) -> Place {
        self.reply = None;
        Place { seq: self.seq(), who, from, to, heard_from, agent }
    }

    /// The words of somebody who is no assistant.
    pub fn said(&mut self, place: &Place, transcript: &Transcript) -> Line {
        self.write(place, transcript, None).1
    }

    fn write(&mut self, place: &Place, transcript: &Transcript, decision: Option<Decision>) -> (TurnRecord, Line) {
        let text = cards::masked(&transcript.text).into_owned();
        match place.who {
            Speaker::Caller => self.history.caller(&text),
            // To the caller, agent and assistant are one side.
            Speaker::Agent | Speaker::Assistant => self.history.assistant_heard(&text),
        }
        let confidence = transcript.confidence().get();
        let record = TurnRecord {
            call_id: self.call.id,
            seq: place.seq,
            who: place.who,
            text: text.clone(),
            planned: None,
            confidence,
            started_ms: place.from.0,
            ended_ms: place.to.0,
            timings: None,
            entries: Vec::new(),
            agent_id: place.agent.clone(),
            decision,
            word_times: word_times(place, transcript, &text),
        };
        self.scribe.put(Record::Turn(record.clone()));
        let line = self.line(place.seq, place.who, &text, place.from, confidence);
        (record, line)
    }

    /// What was decided about the words of a turn; replaces what was before.
    pub fn decided(&mut self, turn: TurnId, decision: Decision) {
        match self.undecided.iter_mut().find(|(known, _)| *known == turn) {
            Some((_, record)) => {
                record.decision = Some(decision);
                self.scribe.put(Record::Turn(record.clone()));
            }
            None => self.early = Some((turn, decision)),
        }
    }

    /// An answer to this turn is being made; cancelled by the token.
    pub fn begin_answer(&mut self, turn: TurnId) -> CancellationToken {
        self.answers.entry(turn).or_default().clone()
    }

    /// The answer to this turn is no longer wanted.
    pub fn cancel_answer(&mut self, turn: TurnId) {
        if let Some(cancel) = self.answers.remove(&turn) {
            cancel.cancel();
        }
    }

    /// What backs the answer to this turn.
    pub fn planned(&mut self, turn: TurnId, evidence: &Evidence) {
        self.evidence.insert(turn, evidence.clone());
    }

    /// The first sound after this turn left, for an answer or a fixed sentence.
    pub fn responded(&mut self, turn: TurnId, timings: TurnTimings) {
        let seconds = |ms: u32| f64::from(ms) / 1_000.0;
        metrics::histogram!(metric::RESPONSE_SECONDS).record(seconds(timings.response_ms));
        for (stage, ms) in [
            ("endpointing", timings.endpointing_ms),
            ("stt", timings.stt_ms),
            ("llm", timings.llm_ms),
            ("tts", timings.tts_ms),
        ] {
            metrics::histogram!(metric::STAGE_SECONDS, "stage" => stage).record(seconds(ms));
        }
        tracing::info!(
            call.id = %self.call.id,
            turn = turn.0,
            response_ms = timings.response_ms,
            endpointing_ms = timings.endpointing_ms,
            stt_ms = timings.stt_ms,
            llm_ms = timings.llm_ms,
            tts_ms = timings.tts_ms,
            "Answered turn {}",
            turn.0
        );
        self.timings.insert(turn, timings);
        self.fixed_timings = Some(timings);
    }

    /// An item began to be heard.
    pub fn item_started(&mut self, item: ItemId, at: Millis) {
        self.started.insert(item, at);
    }

    /// An item is over. `cut`: the words that were heard, when not all were. Nothing heard leaves no line.
    pub fn assistant_said(
        &mut self,
        item: ItemId,
        turn: Option<TurnId>,
        text: &str,
        cut: Option<String>,
        now: Millis,
    ) -> Option<Line> {
        let was_cut = cut.is_some();
        let heard = cut.unwrap_or_else(|| text.to_owned());
        let started = self.started.remove(&item).unwrap_or(now);
        self.history.assistant_heard(&heard);
        if heard.is_empty() {
            return None;
        }
        let open = self.reply.take().filter(|(open, _)| Some(*open) == turn);
        let mut record = match open {
            Some((_, record)) => record,
            None => {
                let seq = self.seq();
                let evidence = turn.and_then(|turn| self.evidence.get(&turn));
                let entries = evidence.map_or_else(Vec::new, |evidence| {
                    evidence
                        .entries
                        .iter()
                        .map(|(entry, score)| EntryUse {
                            entry: entry.clone(),
                            score: *score,
                            version: Some(evidence.version.clone()).filter(|version| !version.is_empty()),
                        })
                        .collect()
                });
                let timings = match turn {
                    Some(turn) => self.timings.remove(&turn),
                    None => self.fixed_timings,
                };
                self.fixed_timings = None;
                TurnRecord {
                    call_id: self.call.id,
                    seq,
                    who: Speaker::Assistant,
                    text: String::new(),
                    planned: None,
                    confidence: 1.0,
                    started_ms: started.0,
                    ended_ms: now.0,
                    timings,
                    entries,
                    agent_id: None,
                    decision: None,
                    word_times: Vec::new(),
                }
            }
        };
        let planned = format!("{} {text}", record.planned.as_deref().unwrap_or(&record.text)).trim().to_owned();
        record.text = format!("{} {heard}", record.text).trim().to_owned();
        record.planned = (was_cut || record.planned.is_some()).then_some(planned);
        record.ended_ms = now.0;
        self.scribe.put(Record::Turn(record.clone()));
        let line = self.line(record.seq, Speaker::Assistant, &record.text.clone(), Millis(record.started_ms), 1.0);
        self.reply = turn.map(|turn| (turn, record));
        Some(line)
    }

    /// A tool's run, as it is now.
    pub fn tool(&mut self, record: &ToolRunRecord) {
        match self.tools.iter_mut().find(|known| known.id == record.id) {
            Some(known) => known.clone_from(record),
            None => self.tools.push(record.clone()),
        }
        self.scribe.put(Record::Tool(record.clone()));
    }

    /// A line for the person who has the call, which nobody said.
    pub fn note(&mut self, who: Speaker, text: &str, at: Millis) -> Line {
        let seq = self.seq();
        self.line(seq, who, text, at, 1.0)
    }

    // --- people -------------------------------------------------------------------------------------------------

    /// A rule decided for a person.
    pub fn triggered(&mut self, handoff: HandoffId, reason: HandoffReason, signals: Signals, at: Millis) {
        self.scribe.put(Record::Trigger(TriggerRecord {
            call_id: self.call.id,
            handoff_id: handoff,
            at_ms: at.0,
            reason,
            signals: serde_json::Value::Object(signals),
        }));
    }

    /// The call goes on from one that was cut off: this was said in it.
    pub fn go_on(&mut self, lines: Vec<Line>) {
        self.next_seq = lines.last().map_or(0, |line| line.seq + 1);
        self.lines = lines;
    }

    /// Who spoke with the caller in the call that was cut off.
    pub fn spoke_before(&mut self, agent: AgentId) {
        self.last_agent = Some(agent);
    }

    /// A person took the call.
    pub fn agent_joined(&mut self, agent: AgentId) {
        tracing::info!(call.id = %self.call.id, agent.id = %agent, "An agent took the call");
        self.last_agent = Some(agent);
    }

    /// A telephone outside is called: an offer to nobody at a console.
    pub fn telephoned(&mut self, handoff: HandoffId) {
        let offer = OfferRecord {
            id: OfferId::generate(),
            handoff_id: handoff,
            call_id: self.call.id,
            agent_id: AgentId(TELEPHONE.to_owned()),
            offered_at: Timestamp::now(),
            ended_at: None,
            result: None,
            reason: None,
        };
        self.scribe.put(Record::Offer(offer.clone()));
        self.telephone = Some(offer);
    }

    /// What came of it.
    pub fn telephone_ended(&mut self, end: TransferEnd) {
        let Some(mut offer) = self.telephone.take() else { return };
        let (result, reason) = match end {
            TransferEnd::Taken => (OfferResult::Accepted, None),
            TransferEnd::Missed(Missed::Declined) => (OfferResult::Rejected, Some(Missed::Declined.as_str())),
            TransferEnd::Missed(missed) => (OfferResult::Timeout, Some(missed.as_str())),
            TransferEnd::Abandoned => (OfferResult::Canceled, None),
            TransferEnd::Unknown => (OfferResult::Rescinded, Some("given to the provider, nothing more is known")),
        };
        offer.ended_at = Some(Timestamp::now());
        (offer.result, offer.reason) = (Some(result), reason.map(str::to_owned));
        self.scribe.put(Record::Offer(offer));
    }

    // --- what was left ------------------------------------------------------------------------------------------

    /// A recording runs since `at`.
    pub fn recording_started(&mut self, file: String, at: Millis) {
        self.call.recording = Some(file);
        self.call.notice_at_ms = Some(at.0);
        self.scribe.put(Record::Call(self.call.clone()));
    }

    /// The caller left a message.
    pub fn keep_message(&mut self, message: Message) {
        self.message = Some(message);
    }

    /// The message, to be written.
    pub fn take_message(&mut self) -> Option<Message> {
        self.message.take()
    }

    /// The caller wants to be called back. The message that stands for it, and the number.
    pub fn callback(&mut self, number: Option<String>) -> Option<(Uuid, Pii<String>)> {
        let number = number.map(Pii::new).or_else(|| self.call.from.clone());
        self.put_message(MessageKind::Callback, number.clone(), None, None);
        number.map(|number| (self.message_id, number))
    }

    /// The message is on disk, with or without words.
    pub fn message_recorded(&mut self, file: String, text: Option<String>) {
        self.put_message(MessageKind::Voicemail, self.call.from.clone(), Some(file), text);
    }

    fn put_message(
        &self,
        kind: MessageKind,
        number: Option<Pii<String>>,
        recording: Option<String>,
        text: Option<String>,
    ) {
        self.scribe.put(Record::Message(MessageRecord {
            id: self.message_id,
            call_id: self.call.id,
            kind,
            created_at: Timestamp::now(),
            number,
            recording,
            text,
            done_by: None,
            done_at: None,
        }));
    }

    /// The call is over.
    pub fn finished(&mut self, outcome: CallOutcome) {
        self.call.outcome = outcome;
        self.call.ended_at = Some(Timestamp::now());
        self.scribe.put(Record::Call(self.call.clone()));
    }
}

/// When each word of `text` was said, in milliseconds of the call. Nothing where the text is not what was recognised, word by
/// word, as where a card's number was taken out.
fn word_times(place: &Place, transcript: &Transcript, text: &str) -> Vec<[u32; 2]> {
    let words = &transcript.words;
    if text != transcript.text || !text.split_whitespace().eq(words.iter().map(|word| word.text.as_str())) {
        return Vec::new();
    }
    let at = |offset: Millis| place.heard_from.0.saturating_add(offset.0);
    words.iter().map(|word| [at(word.start), at(word.end)]).collect()
}
