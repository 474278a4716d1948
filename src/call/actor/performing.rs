//! Does what the machine wants.

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Actor, NO_SOUND};
use crate::audio::dtmf;
use crate::audio::units::{Millis, SampleRate};
use crate::call::hold;
use crate::call::input::{CallAction, ItemId, Phrase, Signals, Words};
use crate::call::machine::State;
use crate::call::message::{self, Message};
use crate::call::recorder::Recorder;
use crate::dialog::brief::why;
use crate::handoff::actor::HandoffTask;
use crate::handoff::wire::{Brief, CallEnd, Line};
use crate::handoff::{HandoffId, HandoffReason};
use crate::outbound::callbacks::{self, Booking};
use crate::store::HandoffOutcome;
use crate::telephony::protocol::{Caption, Digit, MediaCommand, Speaker};
use crate::telephony::providers::KeysOut;

/// Keys that may wait to be heard; more are left out.
const MAX_KEYS: usize = 64;

impl Actor {
    pub(super) async fn perform(&mut self, actions: Vec<CallAction>) {
        for action in actions {
            match action {
                CallAction::Say { item, words, interruptible } => self.say(item, words, interruptible).await,
                CallAction::PausePlayback => {
                    let mut outputs = Vec::new();
                    self.playback.pause(Instant::now().into_std(), &mut outputs);
                    self.played(outputs).await;
                }
                CallAction::ResumePlayback => {
                    self.playback.resume();
                    self.overlap.settled();
                }
                CallAction::ClearPlayback { everything } => {
                    self.overlap.settled();
                    let mut outputs = Vec::new();
                    self.playback.clear(Instant::now().into_std(), everything, &mut outputs);
                    self.played(outputs).await;
                }
                CallAction::Answer { turn, query } => {
                    let (mind, history, findings) =
                        (self.mind.clone(), self.journal.history().clone(), self.speech.findings());
                    let cancel = self.journal.begin_answer(turn);
                    self.speech.spawn(async move {
                        tokio::select! {
                            () = cancel.cancelled() => {}
                            () = mind.answer(turn, query, history, findings) => {}
                        }
                    });
                }
                CallAction::SpeakLanguage(language) => {
                    if let Some(tongue) = self.services.tongues.get(language) {
                        info!(call.id = %self.id, language = language.as_str(), "The call goes on in another language");
                        self.tongue = tongue.clone();
                        self.mind = self.services.mind_in(language);
                    }
                }
                CallAction::RunTool { run, tool, arguments } => self.run_tool(run, &tool, arguments),
                CallAction::CancelTool(run) => self.cancel_tool(run),
                CallAction::CancelAnswer(turn) => self.journal.cancel_answer(turn),
                CallAction::RememberCaller { turn, transcript } => {
                    let line = self.journal.caller_said(turn, &transcript);
                    self.tell_desk(line).await;
                }
                CallAction::RememberAssistant { item, heard, cut } => {
                    let Some((text, turn)) = self.items.remove(&item) else { continue };
                    let now = self.at(Instant::now());
                    if !cut {
                        self.pace.asked(&text);
                        self.detector.set_patience(self.pace.patience());
                    }
                    if let Some(line) = self.journal.assistant_said(item, turn, &text, cut.then_some(heard), now) {
                        self.tell_desk(line).await;
                    }
                }
                CallAction::RememberDecision { turn, decision } => self.journal.decided(turn, *decision),
                CallAction::RequestHandoff { reason, signals } => self.request_handoff(reason, signals).await,
                CallAction::NoteTrigger { reason, signals } => {
                    if let Some(handoff) = self.handoff {
                        let at = self.at(Instant::now());
                        self.journal.triggered(handoff, reason, signals, at);
                    }
                }
                CallAction::SuspendHandoff => {
                    if let Some(handoff) = self.handoff {
                        self.services.desk.suspend(handoff).await;
                    }
                }
                CallAction::CloseHandoff(outcome) => self.close_handoff(outcome).await,
                CallAction::Transfer => self.give_away().await,
                CallAction::EndTransfer(end) => self.end_transfer(end),
                CallAction::Bridge => self.bridge().await,
                CallAction::Unbridge => self.unbridge(),
                CallAction::Party(mode) => self.set_party(mode),
                CallAction::Promote => self.promote(),
                CallAction::Hold(on) => {
                    self.held = on;
                    self.playback.set_hold(on);
                }
                CallAction::PressKeys(keys) => self.press(keys).await,
                CallAction::StartRecording => self.start_recording(),
                CallAction::StartMessage => {
                    self.playback.enqueue_sound(hold::beep());
                    let limit = Millis(self.services.settings.handoff.message_max_s.saturating_mul(1_000));
                    self.message = Some(Message::new(limit));
                }
                CallAction::EndMessage => {
                    if let Some(message) = &mut self.message {
                        message.end();
                    }
                }
                CallAction::StopMessage { keep } => {
                    if let Some(message) = self.message.take()
                        && keep
                    {
                        self.journal.keep_message(message);
                    }
                }
                CallAction::BookCallback { number } => self.book_callback(number),
                CallAction::Hangup => {
                    self.send(MediaCommand::Hangup).await;
                }
                CallAction::Finish(outcome) => {
                    self.recorder = None;
                    self.journal.finished(outcome);
                    self.ended = true;
                }
            }
        }
    }

    pub(super) async fn say(&mut self, item: ItemId, words: Words, interruptible: bool) {
        if words == Words::Fixed(Phrase::Filler) {
            self.filler = Some(item);
        }
        let (text, turn) = match words {
            Words::Fixed(phrase) => (self.tongue.phrases.text(&phrase), None),
            Words::Answer(turn, text) => (text, Some(turn)),
        };
        self.playback.enqueue(item, text.clone(), interruptible);
        self.items.insert(item, (text.clone(), turn));
        let spoken = self.tongue.speakable(&text);
        // What is in the cache starts with the next frame.
        if let Some(pcm) = self.tongue.voice.cached(&spoken) {
            self.playback.append(item, &pcm);
            self.playback.complete(item);
        } else if self.speech.say(item, spoken, self.tongue.voice.clone()).is_err() {
            Box::pin(self.unspoken(item)).await;
        }
    }

    /// Presses keys towards the caller: by the dialect's message, else by their sound, which the agent's voice waits for.
    async fn press(&mut self, keys: Vec<Digit>) {
        for key in keys {
            match self.keys_out {
                KeysOut::Message => self.send(MediaCommand::Dtmf(key)).await,
                KeysOut::Sound if self.playback.sounds() < MAX_KEYS => {
                    self.playback.enqueue_sound(dtmf::key_sound(key.get()));
                }
                KeysOut::Sound => debug!(call.id = %self.id, "More keys than can be played"),
            }
        }
    }

    pub(super) async fn tell_desk(&mut self, line: Line) {
        if self.supervisor.is_some() {
            self.services.desk.supervised_line(self.id, line.clone()).await;
        }
        if let Some(handoff) = self.handoff {
            self.services.desk.line(handoff, line).await;
        }
    }

    pub(super) async fn request_handoff(&mut self, reason: HandoffReason, signals: Signals) {
        let id = *self.handoff.get_or_insert_with(HandoffId::generate);
        self.said_ended = false;
        self.reason.get_or_insert(reason);
        self.wanted_since.get_or_insert_with(Timestamp::now);
        let task = HandoffTask {
            id,
            call: self.id,
            reason,
            summary: self.journal.summary(reason),
            brief: self.journal.brief(reason),
            known_agent: self.journal.last_agent(),
            provider: self.provider,
            language: Some(self.tongue.language),
            caller: self.journal.caller(),
            lines: self.journal.lines().to_vec(),
            waiting_since: self.wanted_since.filter(|_| self.first),
            first: std::mem::take(&mut self.first),
            continues: self.continues.take(),
            commands: self.commands.clone(),
        };
        self.services.desk.request(task).await;
        let at = self.at(Instant::now());
        self.journal.triggered(id, reason, signals, at);
    }

    /// Among the messages, whoever calls; and with those who are called back.
    fn book_callback(&mut self, number: Option<String>) {
        let Some((message, number)) = self.journal.callback(number) else { return };
        let reason = self.reason.unwrap_or(HandoffReason::CallerAsked);
        let summary = self.journal.summary(reason);
        let since = self.wanted_since.unwrap_or_else(Timestamp::now);
        self.services.callbacks.book(Booking {
            record: callbacks::record(message, self.id, self.provider, since, summary.clone()),
            number,
            summary,
            language: Some(self.tongue.language),
            brief: {
                let why = why(HandoffReason::Callback);
                Brief { why: why.to_string(), why_phrase: why.phrase(), ..self.journal.brief(reason) }
            },
            known_agent: self.journal.last_agent(),
        });
    }

    pub(super) async fn close_handoff(&mut self, outcome: HandoffOutcome) {
        let Some(handoff) = self.handoff.take() else { return };
        self.unbridge();
        self.colleague_left();
        self.agent = None;
        if outcome == HandoffOutcome::Bridged && !self.said_ended {
            let reason = match self.machine.state() {
                State::Ended => CallEnd::CallerHungUp,
                _ => CallEnd::ServerStopped,
            };
            self.services.desk.ended(handoff, reason).await;
        }
        self.services.desk.close(handoff, outcome).await;
    }

    fn unbridge(&mut self) {
        self.bridged = false;
        self.agent_sound.due = None;
        self.set_party(None);
        let side = self.agent_side.take();
        self.stop_listening(side);
    }

    pub(super) async fn bridge(&mut self) {
        // What the agent said before they were joined is not for the caller, and old by now.
        if let Some(agent) = &mut self.agent {
            while agent.from_agent.try_recv().is_ok() {
                self.agent_sound.came = true;
            }
        }
        self.bridged = true;
        self.held = false;
        self.echo.rest();
        self.playback.set_hold(false);
        if self.agent_side.is_none() {
            self.agent_side = self.listen_to(self.journal.last_agent());
        }
        // No words: tells a caller with a screen that a person is on the line now.
        self.send(MediaCommand::Caption(Caption { who: Speaker::Agent, text: String::new(), is_final: true })).await;
        if let Some(number) = self.journal.caller() {
            self.services.callbacks.spoke(number);
        }
        if let Some(handoff) = self.handoff {
            self.services.desk.bridged(handoff).await;
            if self.agent_sound.came {
                self.services.desk.sound(handoff).await;
            } else {
                self.agent_sound.due = Some(Instant::now() + NO_SOUND);
            }
        }
    }

    pub(super) fn start_recording(&mut self) {
        let now = self.at(Instant::now());
        let name = format!("{}.wav", self.id);
        match Recorder::start(self.services.settings.recordings.join(&name), now) {
            Ok(recorder) => {
                self.recorder = Some(recorder);
                self.journal.recording_started(name, now);
            }
            Err(error) => warn!(call.id = %self.id, %error, "The call can't be recorded"),
        }
    }

    /// After the call: the caller's message is written and put into words.
    pub(super) async fn finish_message(&mut self) {
        let Some(message) = self.journal.take_message() else { return };
        let name = format!("{}-message.wav", self.id);
        let path = self.services.settings.recordings.join(&name);
        let pcm = message.into_pcm();
        let written = tokio::task::spawn_blocking({
            let pcm = pcm.clone();
            move || crate::audio::wav::write(&path, SampleRate::WIDEBAND, &pcm)
        });
        match written.await {
            Ok(Ok(())) => self.journal.message_recorded(name.clone(), None),
            Ok(Err(error)) => return warn!(call.id = %self.id, %error, "A message could not be written"),
            Err(error) => return warn!(call.id = %self.id, %error, "A message could not be written"),
        }
        let Some(stt) = self.services.stt.clone() else { return };
        if let Some(text) = message::transcribe(&stt, &pcm, self.hints(), self.tongue.language).await {
            self.journal.message_recorded(name, Some(text));
        }
    }
}
