//! Caller and agent speak with each other and the assistant writes along: both sides into words, for the agent's screen and
//! for the record, and what the knowledge base has for the caller's.
//!
//! Bounded: so many utterances at once wait for their words, each for so long; what is beyond that is left out and counted.
//! The recogniser hears callers who wait for an answer first. Nothing of this is on the bridge's way.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::Actor;
use crate::audio::frame::AudioFrame;
use crate::audio::units::Millis;
use crate::call::input::TurnId;
use crate::call::journal::Place;
use crate::call::listener::Listener;
use crate::call::speech::Finding;
use crate::call::turn::{TurnDetector, UtteranceAudio};
use crate::engine::stt::{SttError, Transcript, Utterance};
use crate::engine::vad::energy::EnergyVad;
use crate::handoff::wire::Line;
use crate::handoff::{AgentId, HandoffId};
use crate::telemetry::metric;
use crate::telephony::protocol::Speaker;

/// Utterances of a call that wait for their words at once.
const WAITING: u32 = 8;
/// How long each may wait.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long a call that is over waits for the last words.
const AFTERWARDS: Duration = Duration::from_secs(15);
/// Fewer words than these are a greeting or a "yes": nothing to look up.
const LEAST_WORDS: usize = 3;

/// The conversation that is written down.
#[derive(Debug, Default)]
pub(super) struct Talk {
    sides: Vec<Side>,
    sides_made: u32,
    /// Utterances whose words are awaited.
    waiting: u32,
    /// Whose agents read along; stays known for words that come after the end.
    handoff: Option<HandoffId>,
    /// The caller's words are being looked up, and those that came meanwhile.
    searching: bool,
    next_search: Option<String>,
}

/// An agent who is listened to.
#[derive(Debug)]
struct Side {
    number: u32,
    agent: Option<AgentId>,
    /// None: they left, and their last words are on the way.
    listener: Option<Listener>,
}

impl Actor {
    /// Whether what caller and agent say to each other is written down now.
    pub(super) fn writes_along(&self) -> bool {
        self.bridged && self.services.settings.handoff.transcribe && self.services.stt.is_some()
    }

    /// Begins to listen to an agent; the number names their side.
    pub(super) fn listen_to(&mut self, agent: Option<AgentId>) -> Option<u32> {
        self.talk.handoff = self.handoff;
        if !self.services.settings.handoff.transcribe || self.services.stt.is_none() {
            return None;
        }
        let vad = self.services.vad.open().unwrap_or_else(|error| {
            warn!(%error, "Falling back to voice detection by loudness");
            EnergyVad::detector()
        });
        let settings = &self.services.settings;
        let detector = TurnDetector::new(&settings.turn, settings.vad_threshold);
        self.talk.sides_made += 1;
        let number = self.talk.sides_made;
        let (listener, work) = Listener::new(number, detector, vad, self.speech.findings());
        self.speech.spawn(work);
        self.talk.sides.push(Side { number, agent, listener: Some(listener) });
        Some(number)
    }

    /// Media: an agent's frame, as it is sent to the caller.
    pub(super) fn agent_heard(&self, side: Option<u32>, at: Millis, frame: &AudioFrame) {
        let Some(side) = side else { return };
        let listener = self.talk.sides.iter().find(|one| one.number == side).and_then(|one| one.listener.as_ref());
        if let Some(listener) = listener {
            listener.push(at, frame);
        }
    }

    /// Listens to them no more; what they were saying still comes.
    pub(super) fn stop_listening(&mut self, side: Option<u32>) {
        if let Some(side) = self.talk.sides.iter_mut().find(|one| Some(one.number) == side) {
            side.listener = None;
        }
    }

    /// The caller has said something to the agent. In the call's time: the first voice, the last, and the first sample.
    pub(super) fn caller_talked(&mut self, turn: TurnId, audio: &UtteranceAudio, [from, to, heard_from]: [Millis; 3]) {
        debug!(call.id = %self.id, turn = turn.0, "The caller spoke to the agent");
        let place = self.journal.place(Speaker::Caller, from, to, heard_from, None);
        self.put_into_words(place, audio);
    }

    /// An agent has said something, or is no longer listened to.
    pub(super) fn agent_talked(&mut self, side: u32, audio: Option<UtteranceAudio>) {
        let Some(audio) = audio else {
            self.talk.sides.retain(|one| one.number != side);
            return;
        };
        let agent = self.talk.sides.iter().find(|one| one.number == side).and_then(|one| one.agent.clone());
        let (from, to) = (audio.first_voice_at, audio.last_voice_at);
        let place = self.journal.place(Speaker::Agent, from, to, audio.at, agent);
        self.put_into_words(place, &audio);
    }

    fn put_into_words(&mut self, place: Place, audio: &UtteranceAudio) {
        let Some(stt) = self.services.stt.clone() else { return };
        if self.talk.waiting >= WAITING {
            metrics::counter!(metric::STT_SHED, "kind" => "talk").increment(1);
            return;
        }
        self.talk.waiting += 1;
        let (hints, spoken) = (self.hints(), self.tongue.language.into());
        let utterance = Utterance { pcm: audio.pcm.clone(), at: audio.at, hints, spoken };
        self.speech.hear_talk(stt, utterance, place, Instant::now() + PATIENCE);
    }

    /// Their words, or that there are none.
    pub(super) async fn talk_heard(&mut self, place: &Place, result: Result<Transcript, SttError>) {
        self.talk.waiting = self.talk.waiting.saturating_sub(1);
        let transcript = match result {
            Ok(transcript) if !transcript.text.trim().is_empty() => transcript,
            Ok(_) => return,
            Err(error) => {
                debug!(call.id = %self.id, %error, "What was said in a conversation is not on record");
                return;
            }
        };
        let line = self.journal.said(place, &transcript);
        if !self.ended {
            self.caption(place.who, line.text.clone(), true).await;
        }
        self.tell_talk(line.clone()).await;
        if place.who == Speaker::Caller && self.bridged {
            self.look_up(line.text);
        }
    }

    /// To whoever reads along, also when the conversation is over.
    async fn tell_talk(&mut self, line: Line) {
        match (self.handoff, self.talk.handoff) {
            (None, Some(over)) => self.services.desk.line(over, line).await,
            _ => self.tell_desk(line).await,
        }
    }

    /// Looks the caller's words up for the agent: one search at a time, and then the newest words.
    fn look_up(&mut self, question: String) {
        if question.split_whitespace().count() < LEAST_WORDS {
            return;
        }
        if self.talk.searching {
            self.talk.next_search = Some(question);
            return;
        }
        self.talk.searching = true;
        let (mind, history, findings) = (self.mind.clone(), self.journal.history().clone(), self.speech.findings());
        self.speech.spawn(async move {
            let hits = mind.suggest(question.clone(), history).await;
            let _ = findings.send(Finding::Suggested(question, hits)).await; // closed: the call is over
        });
    }

    pub(super) async fn suggested(&mut self, question: String, hits: Vec<crate::handoff::wire::Suggestion>) {
        self.talk.searching = false;
        if let Some(handoff) = self.handoff.filter(|_| self.bridged) {
            self.services.desk.suggest(handoff, question, hits).await;
        }
        if let Some(next) = self.talk.next_search.take() {
            self.look_up(next);
        }
    }

    /// After the call: the last words go on record too.
    pub(super) async fn finish_talk(&mut self, findings: &mut mpsc::Receiver<Finding>) {
        self.talk.sides.iter_mut().for_each(|side| side.listener = None);
        let by = Instant::now() + AFTERWARDS;
        while self.talk.waiting > 0 || !self.talk.sides.is_empty() {
            match timeout_at(by, findings.recv()).await {
                Ok(Some(Finding::AgentSpoke(side, audio))) => self.agent_talked(side, audio),
                Ok(Some(Finding::TalkHeard(place, result))) => self.talk_heard(&place, result).await,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }
}
