//! From turns to transcripts: what is recognised on speculation, what is recognised for good, and how long it took.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Actor;
use super::captions::Captions;
use crate::audio::units::Millis;
use crate::call::completeness::Completeness;
use crate::call::input::{CallInput, EngineFailed, TurnId};
use crate::call::speech::Decode;
use crate::call::turn::{SpeculationId, TurnEvent, UtteranceAudio};
use crate::engine::CancelFlag;
use crate::engine::stt::{Spoken, Transcript, Utterance};
use crate::telephony::protocol::{Caption, MediaCommand, Speaker};

/// Utterances and their transcripts.
#[derive(Default)]
pub(super) struct Turns {
    /// The one being spoken, or the last.
    pub(super) current: TurnId2,
    /// Barge-in stopped playback for it.
    pub(super) interrupted: bool,
    /// Since the last one ended the caller has heard something of us.
    pub(super) answered: bool,
    /// Its speculation.
    pub(super) early: Option<Early>,
    /// What can be read of it while it goes on.
    pub(super) captions: Captions,
}

/// `TurnId` with a default.
pub(super) type TurnId2 = u32;

pub(super) struct Early {
    pub(super) id: SpeculationId,
    /// Where the voice before it ended.
    pub(super) last_voice_at: Millis,
    pub(super) cancel: CancelFlag,
    pub(super) result: Option<Transcript>,
    /// The turn ended while this was being recognised: what comes is final.
    pub(super) is_final: bool,
}

/// Where the time of the answer to the last utterance goes.
pub(super) struct Response {
    pub(super) turn: TurnId,
    pub(super) last_voice: Instant,
    pub(super) decided: Instant,
    pub(super) heard: Option<Instant>,
    pub(super) decode: Duration,
    pub(super) clause: Option<Instant>,
}

impl Actor {
    pub(super) async fn turn_event(&mut self, now: Instant, frame_at: Millis, event: TurnEvent) {
        match event {
            TurnEvent::SpeechStarted { at } => {
                self.turns.current += 1;
                self.turns.captions.begin(now);
                self.turns.interrupted = self.playback.is_paused();
                self.pace.began(at, self.turns.answered);
                self.detector.set_patience(self.pace.patience());
                self.drop_early();
                self.step(CallInput::SpeechStarted).await;
            }
            TurnEvent::Speculate { id, audio } => {
                if !self.speculate(id, &audio) {
                    Box::pin(self.looks(id, Completeness::Unclear)).await;
                }
            }
            TurnEvent::WordsAwaited { id } => self.speech.promote(id, self.services.settings.stt_deadline),
            TurnEvent::SpeechResumed { at, .. } => {
                if let Some(early) = &self.turns.early {
                    let looks = early
                        .result
                        .as_ref()
                        .map(|transcript| self.pace.looks(&transcript.text, transcript.confidence()));
                    self.pace.paused_after(looks, at.saturating_sub(early.last_voice_at));
                    self.detector.set_patience(self.pace.patience());
                }
                self.drop_early();
                self.step(CallInput::SpokeOn(TurnId(self.turns.current))).await;
            }
            TurnEvent::Discarded => {
                self.drop_early();
                self.turns.captions.stop();
                self.step(CallInput::SpeechDiscarded).await;
            }
            TurnEvent::TurnEnded { audio, speculation, .. } => {
                let turn = TurnId(self.turns.current);
                self.pace.ended(audio.last_voice_at);
                self.turns.answered = false;
                let last_voice = now - frame_at.saturating_sub(audio.last_voice_at).duration();
                let to = self.at(last_voice);
                let from = to.saturating_sub(audio.last_voice_at.saturating_sub(audio.first_voice_at));
                let heard_from = to.saturating_sub(audio.last_voice_at.saturating_sub(audio.at));
                if self.bridged {
                    self.turns.captions.stop();
                    self.step(CallInput::TurnEnded(turn)).await;
                    // On hold nobody hears them, and nobody writes it down.
                    if self.writes_along() && !self.held {
                        self.caller_talked(turn, &audio, [from, to, heard_from]);
                    }
                    return;
                }
                self.journal.caller_spoke(turn, from, to, heard_from);
                self.response = Some(Response {
                    turn,
                    last_voice,
                    decided: now,
                    heard: None,
                    decode: Duration::ZERO,
                    clause: None,
                });
                self.turns.captions.stop();
                self.step(CallInput::TurnEnded(turn)).await;
                self.transcribe(turn, &audio, speculation).await;
            }
        }
    }

    pub(super) fn drop_early(&mut self) {
        if let Some(early) = self.turns.early.take() {
            early.cancel.cancel();
        }
    }

    pub(super) fn decode(&self, audio: &UtteranceAudio, cancel: &CancelFlag) -> Decode {
        let settings = &self.services.settings;
        Decode {
            turn: TurnId(self.turns.current),
            utterance: Utterance { pcm: audio.pcm.clone(), at: audio.at, hints: self.hints(), spoken: self.spoken() },
            deadline: settings.stt_deadline,
            cancel: cancel.clone(),
        }
    }

    /// What recognition is told to expect.
    pub(super) fn hints(&self) -> Arc<[String]> {
        let settings = &self.services.settings;
        let default = self.services.tongues.default_tongue().language;
        if self.tongue.language == default { settings.hints.clone() } else { settings.names.clone() }
    }

    /// The language of the caller's next words; perhaps another one than so far, as long as they have said little.
    fn spoken(&self) -> Spoken {
        let candidates = if self.machine.detects() { self.services.tongues.languages() } else { Arc::default() };
        Spoken { language: Some(self.tongue.language), candidates }
    }

    /// False: nobody recognises it before the turn is over.
    pub(super) fn speculate(&mut self, id: SpeculationId, audio: &UtteranceAudio) -> bool {
        self.drop_early();
        self.turns.captions.stop();
        if self.bridged {
            return false; // nobody waits for an answer
        }
        let Some(stt) = self.services.stt.clone() else { return false };
        let cancel = CancelFlag::new();
        let work = self.decode(audio, &cancel);
        let accepted = self.speech.hear_early(&stt, work, id);
        self.turns.early =
            accepted.then_some(Early { id, last_voice_at: audio.last_voice_at, cancel, result: None, is_final: false });
        accepted
    }

    pub(super) async fn transcribe(
        &mut self,
        turn: TurnId,
        audio: &UtteranceAudio,
        speculation: Option<SpeculationId>,
    ) {
        let Some(stt) = self.services.stt.clone() else {
            let failure = EngineFailed { engine: "stt", reason: "recognition is switched off".to_owned() };
            return self.heard(turn, Err(failure)).await;
        };
        match &mut self.turns.early {
            Some(early) if speculation == Some(early.id) => match early.result.take() {
                Some(transcript) => {
                    self.turns.early = None;
                    self.heard(turn, Ok(transcript)).await;
                }
                None => {
                    early.is_final = true;
                    self.speech.promote(early.id, self.services.settings.stt_deadline);
                }
            },
            _ => {
                self.drop_early();
                let work = self.decode(audio, &CancelFlag::new());
                self.speech.hear(stt, work);
            }
        }
    }

    pub(super) async fn early_transcript(&mut self, turn: TurnId, id: SpeculationId, transcript: Transcript) {
        let Some(early) = self.turns.early.as_mut().filter(|early| early.id == id) else { return };
        if early.is_final {
            self.turns.early = None;
            return self.heard(turn, Ok(transcript)).await;
        }
        let looks = self.pace.looks(&transcript.text, transcript.confidence());
        early.result = Some(transcript.clone());
        self.caption(Speaker::Caller, transcript.text.clone(), false).await;
        self.step(CallInput::HeardEarly { turn, transcript }).await;
        self.looks(id, looks).await;
    }

    /// Tells the detector what a transcript looks like, and does what follows.
    pub(super) async fn looks(&mut self, id: SpeculationId, looks: Completeness) {
        self.detector.set_patience(self.pace.patience());
        let mut noticed = Vec::new();
        self.detector.transcript_looks(id, looks, &mut noticed);
        let now = Instant::now();
        for event in noticed {
            // The detector's clock is the stream's; its newest frame came just now.
            let at = match &event {
                TurnEvent::TurnEnded { at, .. } => *at,
                _ => Millis::ZERO,
            };
            Box::pin(self.turn_event(now, at, event)).await;
        }
    }

    pub(super) async fn heard(&mut self, turn: TurnId, result: Result<Transcript, EngineFailed>) {
        let interrupted = self.turns.interrupted && turn.0 == self.turns.current;
        if let Ok(transcript) = &result {
            if let Some(response) = self.response.as_mut().filter(|response| response.turn == turn) {
                response.heard = Some(Instant::now());
                response.decode = transcript.decode;
            }
            if turn.0 == self.turns.current {
                self.turns.captions.end(transcript);
            }
            self.caption(Speaker::Caller, transcript.text.clone(), true).await;
        }
        self.step(CallInput::Heard { turn, result, interrupted }).await;
    }

    pub(super) async fn caption(&mut self, who: Speaker, text: String, is_final: bool) {
        if !text.is_empty() {
            self.send(MediaCommand::Caption(Caption { who, text, is_final })).await;
        }
    }
}

impl Response {
    pub(super) fn timings(&self, audible: Instant) -> crate::store::TurnTimings {
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_millis() as u32;
        let heard = self.heard.unwrap_or(audible).max(self.decided);
        let clause = self.clause.unwrap_or(heard).max(heard);
        crate::store::TurnTimings {
            endpointing_ms: ms(self.last_voice, self.decided),
            stt_ms: ms(self.decided, heard),
            llm_ms: ms(heard, clause),
            tts_ms: ms(clause, audible),
            response_ms: ms(self.last_voice, audible),
            decode_ms: self.decode.as_millis() as u32,
        }
    }
}
