//! The media path: caller frames in, playback frames out every 20 ms, a bridge that copies both ways. Nothing here waits
//! but control, which follows from a frame.

use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Actor;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::call::conference::Voice;
use crate::call::handle::LEG_COMMANDS_RESERVED;
use crate::call::input::{CallInput, ItemId};
use crate::call::machine::State;
use crate::call::overlap::OverlapEvent;
use crate::call::playback::PlaybackOutput;
use crate::call::recorder::Side;
use crate::engine::vad::energy::EnergyVad;
use crate::handoff::actor::AgentLeg;
use crate::telemetry::metric;
use crate::telephony::protocol::{Caption, MediaCommand, Speaker};

/// A frame this far from where the stream's clock put the last ones begins a new clock.
const CLOCK_JUMP_MS: i64 = 500;

impl Actor {
    pub(super) async fn caller_frame(&mut self, mut frame: AudioFrame) {
        let now = Instant::now();
        frame.at = frame.at + self.line.began;
        if let Some(recorder) = &self.recorder {
            recorder.push(Side::Caller, self.at(now), frame.pcm.clone());
        }
        self.supervisor_hears_caller(&frame.pcm);
        if self.bridged && !self.held {
            if self.party.is_together() {
                self.confer(Voice::Caller, &frame);
            } else {
                let frame = self.with_whisper(&frame);
                self.forward_to_agent(frame);
            }
        }
        if let Some(digit) = self.keypad.listen(self.at(now), &frame.pcm) {
            debug!(call.id = %self.id, "A key was heard");
            self.pressed(digit).await;
        }
        let at = self.place(now, frame.at);
        if self.bridged && !self.echo.may_return(at) {
            // An announcement to both may have made it anew.
            self.echo.rest();
        }
        let echo = self.echo.heard(at, &frame.pcm);
        if let Some(without) = echo.without {
            frame.pcm = without.into();
        }
        let as_it_came = frame.pcm.clone();
        if let Some(clean) = self.cleaner.clean(&frame.pcm) {
            frame.pcm = clean.into();
        }
        let voice = self.vad.push(&frame.pcm).unwrap_or_else(|error| {
            warn!(call.id = %self.id, %error, "Voice detection failed; going on by loudness");
            metrics::counter!(metric::ENGINE_FAILURES, "engine" => "vad").increment(1);
            self.vad = EnergyVad::detector();
            Probability::clamped(0.0)
        });
        let voice = if echo.is_echo { Probability::default() } else { voice };
        self.cleaner.learn(voice);
        if let Some(message) = &mut self.message
            && message.push(&frame.pcm, voice >= self.services.settings.vad_threshold)
        {
            let speech = message.speech();
            self.step(CallInput::MessageEnded { speech }).await;
        }
        let mut judged = Vec::new();
        let open = self.may_be_interrupted(now);
        // A conversation of other people needs no look: nothing of ours is in it.
        if !self.bridged || self.echo.may_return(at) || !self.overlap.is_idle() {
            self.overlap.heard(&as_it_came, voice, echo.is_echo, open, &mut judged);
        }
        for event in judged {
            self.overlapped(event).await;
        }
        let mut noticed = Vec::new();
        if echo.found {
            self.detector.discard(&mut noticed);
        }
        self.detector.push(&frame, voice, &mut noticed);
        for event in noticed {
            self.turn_event(now, frame.at, event).await;
        }
        self.caption_so_far(now);
    }

    /// The caller hears something of ours that their voice may stop, or has just stopped.
    fn may_be_interrupted(&self, now: Instant) -> bool {
        *self.machine.state() == State::Assisting
            && self.playback.can_be_interrupted()
            && (self.playback.is_audible(now.into_std()) || self.playback.is_paused())
    }

    /// Where a frame of the caller's stream lies on the call's clock. Frames come in bursts; the least delayed one tells.
    fn place(&mut self, now: Instant, frame_at: Millis) -> Millis {
        let offset = i64::from(self.at(now).0) - i64::from(frame_at.0);
        let known = self.stream_clock.filter(|known| (offset - known).abs() < CLOCK_JUMP_MS);
        let clock = known.map_or(offset, |known| known.min(offset));
        self.stream_clock = Some(clock);
        Millis(u32::try_from(i64::from(frame_at.0) + clock).unwrap_or(0))
    }

    async fn overlapped(&mut self, event: OverlapEvent) {
        match event {
            OverlapEvent::Duck => self.playback.duck(true),
            OverlapEvent::Resume => self.playback.duck(false),
            OverlapEvent::Pause => {
                metrics::counter!(metric::BARGE_INS).increment(1);
                self.turns.interrupted = true;
                self.step(CallInput::BargeIn).await;
                if !self.playback.is_paused() {
                    self.playback.duck(false);
                }
            }
            OverlapEvent::Stop => self.step(CallInput::TookTheFloor).await,
        }
    }

    pub(super) fn forward_to_agent(&self, frame: AudioFrame) {
        if let Some(agent) = &self.agent
            && let Err(TrySendError::Full(_)) = agent.to_agent.try_send(frame)
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "to_agent", "reason" => "full").increment(1);
        }
    }

    pub(super) async fn agent_frame(&mut self, frame: &AudioFrame) {
        if !self.agent_sound.came {
            self.agent_sound.came = true;
            if self.agent_sound.due.take().is_some()
                && let Some(handoff) = self.handoff
            {
                self.services.desk.sound(handoff).await;
            }
        }
        if self.agent_frame_among_agents(frame) {
            return;
        }
        // Until they are joined, and while a tone or announcement plays, only we speak.
        if self.bridged && !self.held && !self.playback.is_active() {
            let now = Instant::now();
            self.supervisor_hears_us(&frame.pcm);
            self.agent_heard(self.agent_side, self.at(now), frame);
            let frame = self.with_barge(frame);
            if let Some(recorder) = &self.recorder {
                recorder.push(Side::Ours, self.at(now), frame.pcm.clone());
            }
            self.send_audio(frame);
        }
    }

    /// Audio leaves the slots for commands free and is dropped when the leg does not take it.
    pub(super) fn send_audio(&self, frame: AudioFrame) {
        if self.out.capacity() <= LEG_COMMANDS_RESERVED || self.out.try_send(MediaCommand::Audio(frame)).is_err() {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "caller", "reason" => "slow_socket").increment(1);
        }
    }

    pub(super) async fn tick(&mut self) {
        let now = Instant::now();
        if self.machine.poll_timeout().is_some_and(|at| at <= now.into_std()) {
            let mut actions = Vec::new();
            self.machine.handle_timeout(now.into_std(), &mut actions);
            self.perform(actions).await;
        }
        if self.agent_sound.due.is_some_and(|due| now >= due)
            && let Some(handoff) = self.handoff
        {
            self.agent_sound.due = None;
            warn!(call.id = %self.id, "No sound came from the agent");
            self.services.desk.no_sound(handoff).await;
        }
        self.supervisor_tick(now);
        self.party_tick(now).await;
        let mut outputs = Vec::new();
        self.playback.tick(now.into_std(), &mut outputs);
        self.playback.take_marks(&mut self.marks_sent, &mut outputs);
        self.played(outputs).await;
    }

    /// Carries out what playback wants and tells the machine what it noticed.
    pub(super) async fn played(&mut self, outputs: Vec<PlaybackOutput>) {
        for output in outputs {
            match output {
                PlaybackOutput::Frame { pcm, plays_at } => {
                    let at = self.at(plays_at.into());
                    if let Some(recorder) = &self.recorder {
                        recorder.push(Side::Ours, at, pcm.clone());
                    }
                    self.echo.played(at, &pcm);
                    self.supervisor_hears_us(&pcm);
                    let frame = AudioFrame::new(at, SampleRate::WIDEBAND, pcm);
                    if self.party.is_together() {
                        self.confer(Voice::Assistant, &frame);
                    }
                    self.send_audio(frame);
                }
                PlaybackOutput::Mark(mark) => self.send(MediaCommand::Mark(mark)).await,
                PlaybackOutput::Clear => {
                    self.echo.taken_back(self.at(Instant::now()));
                    self.send(MediaCommand::Clear).await;
                }
                PlaybackOutput::Started(item) => self.item_started(item).await,
                PlaybackOutput::Heard(item) => {
                    self.speech.forget(item);
                    Box::pin(self.step(CallInput::ItemHeard(item))).await;
                }
                PlaybackOutput::Cut { item, heard } => {
                    self.speech.forget(item);
                    Box::pin(self.step(CallInput::ItemCut { item, heard })).await;
                }
            }
        }
    }

    pub(super) async fn item_started(&mut self, item: ItemId) {
        let now = Instant::now();
        let Some((text, _)) = self.items.get(&item).cloned() else { return };
        self.turns.answered = true;
        // The answer is what comes after it.
        if self.filler != Some(item)
            && let Some(response) = self.response.take()
        {
            self.journal.responded(response.turn, response.timings(now));
        }
        self.journal.item_started(item, self.at(now));
        self.send(MediaCommand::Caption(Caption { who: Speaker::Assistant, text, is_final: true })).await;
    }

    /// Control: waits for the leg, which drains steadily or is dropped by its driver.
    pub(super) async fn send(&mut self, command: MediaCommand) {
        if self.out.send(command).await.is_err() {
            debug!(call.id = %self.id, "The leg is gone");
        }
    }
}

/// The agent's next frame; never, while there is no agent.
pub(super) async fn agent_frame(agent: &mut Option<AgentLeg>) -> Option<AudioFrame> {
    match agent {
        Some(leg) => match leg.from_agent.recv().await {
            Some(frame) => Some(frame),
            // The socket is gone; the desk will say so. Until then there is nothing to wait for.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
