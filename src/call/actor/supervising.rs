//! A supervisor in the call: hears everybody, mixed; is heard by the agent, or by all.
//!
//! Media path. What is said meets every 20 ms; who is late is left out, and nobody waits for anybody.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::Actor;
use crate::audio::frame::AudioFrame;
use crate::audio::mix::mix_into;
use crate::audio::units::SampleRate;
use crate::handoff::actor::AgentLeg;
use crate::handoff::wire::Supervision;
use crate::telemetry::metric;

/// Frames of one voice that wait to be mixed: 100 ms. When full the oldest goes.
const WAITING: usize = 5;
/// A voice with this many frames waiting has nobody to be mixed with, and goes alone.
const ALONE: usize = 3;

/// A supervisor's place in a call.
pub(super) struct Supervisor {
    mode: Supervision,
    leg: AgentLeg,
    caller: Waiting,
    ours: Waiting,
    /// Their own voice, towards the agent and towards the caller.
    to_agent: Waiting,
    to_caller: Waiting,
}

/// Frames of one voice.
#[derive(Debug, Default)]
struct Waiting(VecDeque<Arc<[i16]>>);

impl Waiting {
    fn push(&mut self, pcm: Arc<[i16]>) {
        if self.0.len() == WAITING {
            self.0.pop_front();
        }
        self.0.push_back(pcm);
    }

    fn pop(&mut self) -> Option<Arc<[i16]>> {
        self.0.pop_front()
    }

    fn pop_alone(&mut self) -> Option<Arc<[i16]>> {
        if self.0.len() >= ALONE { self.pop() } else { None }
    }
}

/// The longer of two with the other mixed into it.
fn mixed(one: &[i16], other: &[i16]) -> Arc<[i16]> {
    let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    let mut sum = long.to_vec();
    mix_into(&mut sum, short);
    sum.into()
}

/// The supervisor's next frame; never, while there is none.
pub(super) async fn supervisor_frame(supervisor: &mut Option<Supervisor>) -> Option<AudioFrame> {
    match supervisor {
        Some(supervisor) => match supervisor.leg.from_agent.recv().await {
            Some(frame) => Some(frame),
            // The socket is gone; the desk will say so.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Actor {
    pub(super) async fn supervise(&mut self, mode: Supervision, leg: Option<AgentLeg>) {
        match (leg, &mut self.supervisor) {
            (Some(leg), place) => {
                *place = Some(Supervisor {
                    mode,
                    leg,
                    caller: Waiting::default(),
                    ours: Waiting::default(),
                    to_agent: Waiting::default(),
                    to_caller: Waiting::default(),
                });
            }
            (None, Some(supervisor)) => {
                supervisor.mode = mode;
                (supervisor.to_agent, supervisor.to_caller) = (Waiting::default(), Waiting::default());
            }
            (None, None) => return,
        }
        self.services.desk.supervising(self.id, self.journal.lines().to_vec()).await;
    }

    /// What a supervisor says.
    pub(super) fn supervisor_frame(&mut self, frame: AudioFrame) {
        let bridged = self.bridged;
        let Some(supervisor) = self.supervisor.as_mut().filter(|_| bridged) else { return };
        match supervisor.mode {
            Supervision::Listen => {}
            Supervision::Whisper => supervisor.to_agent.push(frame.pcm),
            Supervision::Barge => {
                supervisor.to_agent.push(frame.pcm.clone());
                supervisor.to_caller.push(frame.pcm);
            }
        }
    }

    /// The caller's frame as the agent hears it.
    pub(super) fn with_whisper(&mut self, frame: &AudioFrame) -> AudioFrame {
        match self.supervisor.as_mut().and_then(|supervisor| supervisor.to_agent.pop()) {
            Some(voice) => AudioFrame::new(frame.at, SampleRate::WIDEBAND, mixed(&frame.pcm, &voice)),
            None => frame.clone(),
        }
    }

    /// The agent's frame as the caller hears it.
    pub(super) fn with_barge(&mut self, frame: &AudioFrame) -> AudioFrame {
        match self.supervisor.as_mut().and_then(|supervisor| supervisor.to_caller.pop()) {
            Some(voice) => AudioFrame::new(frame.at, SampleRate::WIDEBAND, mixed(&frame.pcm, &voice)),
            None => frame.clone(),
        }
    }

    pub(super) fn supervisor_hears_caller(&mut self, pcm: &Arc<[i16]>) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.caller.push(pcm.clone());
        }
    }

    pub(super) fn supervisor_hears_us(&mut self, pcm: &Arc<[i16]>) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.ours.push(pcm.clone());
        }
    }

    /// Every 20 ms: what was said goes to the supervisor, and what they said and nobody was there to be mixed with goes
    /// alone.
    pub(super) fn supervisor_tick(&mut self, now: Instant) {
        let at = self.at(now);
        let bridged = self.bridged && !self.held;
        let Some(supervisor) = &mut self.supervisor else { return };
        let heard = match (supervisor.caller.pop(), supervisor.ours.pop()) {
            (Some(caller), Some(ours)) => Some(mixed(&caller, &ours)),
            (one, other) => one.or(other),
        };
        if let Some(pcm) = heard
            && let Err(TrySendError::Full(_)) =
                supervisor.leg.to_agent.try_send(AudioFrame::new(at, SampleRate::WIDEBAND, pcm))
        {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "to_supervisor", "reason" => "full").increment(1);
        }
        if !bridged {
            return;
        }
        let (to_agent, to_caller) = (supervisor.to_agent.pop_alone(), supervisor.to_caller.pop_alone());
        if let Some(pcm) = to_agent {
            self.forward_to_agent(AudioFrame::new(at, SampleRate::WIDEBAND, pcm));
        }
        if let Some(pcm) = to_caller {
            self.send_audio(AudioFrame::new(at, SampleRate::WIDEBAND, pcm));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_a_voice_is_late_and_alone_it_goes_by_itself() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.pop_alone(), None);
        for n in 0..8 {
            waiting.push([n; 2].into());
        }
        let first = |pcm: Option<Arc<[i16]>>| pcm.map(|pcm| pcm[0]);
        assert_eq!(waiting.0.len(), WAITING);
        assert_eq!(first(waiting.pop()), Some(3));
        assert_eq!(first(waiting.pop_alone()), Some(4));
        assert_eq!((first(waiting.pop_alone()), first(waiting.pop_alone())), (Some(5), None));
    }

    #[test]
    fn frames_of_unequal_length_are_mixed_whole() {
        assert_eq!(*mixed(&[1, 2, 3], &[10]), [11, 2, 3]);
        assert_eq!(*mixed(&[10], &[1, 2, 3]), [11, 2, 3]);
    }
}
