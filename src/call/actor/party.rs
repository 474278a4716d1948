//! A colleague in the call: who hears whom while they are consulted, and all three together.
//!
//! Media path. In twos a frame goes on as it comes; together they meet every 20 ms ([`crate::call::conference`]). What agents
//! say among themselves is neither recorded nor written down.

use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tracing::warn;

use super::{Actor, AgentSound, NO_SOUND};
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, SampleRate};
use crate::call::conference::{Conference, Mixed, Voice};
use crate::call::hold::HoldMusic;
use crate::call::recorder::Side;
use crate::handoff::actor::AgentLeg;
use crate::handoff::wire::ConsultMode;
use crate::handoff::{AgentId, HandoffId};
use crate::telemetry::metric;

/// A colleague's place in a call.
pub(super) struct Colleague {
    agent: AgentId,
    /// The consultation, as the desk knows it.
    consult: HandoffId,
    leg: AgentLeg,
    sound: AgentSound,
    /// Where their voice is put into words, while the caller hears them.
    side: Option<u32>,
}

/// Who hears whom.
#[derive(Debug, Default)]
pub(super) struct Party {
    mode: Option<ConsultMode>,
    conference: Conference,
    music: HoldMusic,
}

impl Party {
    pub(super) fn is_together(&self) -> bool {
        self.mode == Some(ConsultMode::Together)
    }

    /// The agents speak among themselves.
    fn is_private(&self) -> bool {
        self.mode == Some(ConsultMode::Private)
    }
}

/// The colleague's next frame; never, while there is none.
pub(super) async fn colleague_frame(colleague: &mut Option<Colleague>) -> Option<AudioFrame> {
    match colleague {
        Some(colleague) => match colleague.leg.from_agent.recv().await {
            Some(frame) => Some(frame),
            // The socket is gone; the desk will say so.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Actor {
    pub(super) fn colleague_joined(&mut self, agent: AgentId, consult: HandoffId, leg: AgentLeg) {
        let sound = AgentSound { came: false, due: Some(Instant::now() + NO_SOUND) };
        self.colleague = Some(Colleague { agent, consult, leg, sound, side: None });
        self.listen_to_colleague();
    }

    pub(super) fn colleague_left(&mut self) {
        if let Some(colleague) = self.colleague.take() {
            self.stop_listening(colleague.side);
        }
        self.party = Party::default();
    }

    pub(super) fn set_party(&mut self, mode: Option<ConsultMode>) {
        self.party = Party { mode, ..Party::default() };
        self.listen_to_colleague();
    }

    /// What the caller hears is written down, and nothing else.
    fn listen_to_colleague(&mut self) {
        let together = self.party.is_together();
        let Some(colleague) = &self.colleague else { return };
        let (agent, side) = (colleague.agent.clone(), colleague.side);
        let side = match (together, side) {
            (true, None) => self.listen_to(Some(agent)),
            (true, side) => side,
            (false, side) => {
                self.stop_listening(side);
                None
            }
        };
        if let Some(colleague) = &mut self.colleague {
            colleague.side = side;
        }
    }

    /// The colleague takes the agent's place.
    pub(super) fn promote(&mut self) {
        let Some(colleague) = self.colleague.take() else { return };
        let side = self.agent_side.take();
        self.stop_listening(side);
        self.journal.agent_joined(colleague.agent);
        self.agent = Some(colleague.leg);
        self.agent_sound = AgentSound { due: None, ..colleague.sound };
        self.agent_side = colleague.side;
        self.party = Party::default();
    }

    /// Where a frame of the agent goes while a colleague is there. False: to the caller, as without one.
    pub(super) fn agent_frame_among_agents(&mut self, frame: &AudioFrame) -> bool {
        if !self.bridged {
            return false;
        }
        if self.party.is_private() {
            self.forward_to_colleague(frame.clone());
            return true;
        }
        if !self.party.is_together() {
            return false;
        }
        self.agent_heard(self.agent_side, self.at(Instant::now()), frame);
        self.confer(Voice::First, frame);
        true
    }

    pub(super) async fn colleague_says(&mut self, frame: AudioFrame) {
        let now = self.at(Instant::now());
        let Some(colleague) = &mut self.colleague else { return };
        let (first, side, consult) = (!colleague.sound.came, colleague.side, colleague.consult);
        (colleague.sound.came, colleague.sound.due) = (true, None);
        if first {
            self.services.desk.sound(consult).await;
        }
        if !self.bridged {
            return;
        }
        if self.party.is_private() {
            self.forward_to_agent(frame);
        } else if self.party.is_together() {
            self.agent_heard(side, now, &frame);
            self.confer(Voice::Second, &frame);
        }
    }

    /// Takes a voice into the conference. What the assistant says meanwhile, all hear.
    pub(super) fn confer(&mut self, voice: Voice, frame: &AudioFrame) {
        if !self.party.conference.push(voice, frame.pcm.clone()) {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "conference", "reason" => "full").increment(1);
        }
    }

    fn forward_to_colleague(&self, frame: AudioFrame) {
        if let Some(colleague) = &self.colleague
            && let Err(TrySendError::Full(_)) = colleague.leg.to_agent.try_send(frame)
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "to_colleague", "reason" => "full").increment(1);
        }
    }

    /// Every 20 ms.
    pub(super) async fn party_tick(&mut self, now: Instant) {
        let at = self.at(now);
        let silent =
            self.colleague.as_mut().and_then(|one| one.sound.due.take_if(|due| now >= *due).map(|_| one.consult));
        if let Some(consult) = silent {
            warn!(call.id = %self.id, "No sound came from a colleague");
            self.services.desk.no_sound(consult).await;
        }
        if !self.bridged || self.colleague.is_none() {
            return;
        }
        match self.party.mode {
            Some(ConsultMode::Caller) => {
                // The colleague waits, and hears that the line is not dead.
                let mut pcm = Vec::new();
                self.party.music.fill(SampleRate::WIDEBAND.samples_in(Millis::FRAME), &mut pcm);
                self.forward_to_colleague(AudioFrame::new(at, SampleRate::WIDEBAND, pcm));
            }
            Some(ConsultMode::Together) => {
                let mixed = self.party.conference.tick();
                self.conference_heard(at, mixed);
            }
            Some(ConsultMode::Private) | None => {}
        }
    }

    fn conference_heard(&mut self, at: Millis, Mixed { to_caller, to_first, to_second }: Mixed) {
        let frame = |pcm| AudioFrame::new(at, SampleRate::WIDEBAND, pcm);
        if let Some(pcm) = to_first {
            let with_whisper = self.with_whisper(&frame(pcm));
            self.forward_to_agent(with_whisper);
        }
        if let Some(pcm) = to_second {
            self.forward_to_colleague(frame(pcm));
        }
        // While the assistant announces somebody, the caller hears it from playback.
        if let Some(pcm) = to_caller.filter(|_| !self.held && !self.playback.is_active()) {
            self.supervisor_hears_us(&pcm);
            let with_barge = self.with_barge(&frame(pcm));
            if let Some(recorder) = &self.recorder {
                recorder.push(Side::Ours, at, with_barge.pcm.clone());
            }
            self.send_audio(with_barge);
        }
    }
}
