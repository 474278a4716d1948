//! RUNTIME: listens to one agent for the record: voice in, whole utterances out. The caller's side is heard by the call
//! itself; an agent is heard here, in a task of their own, so that it costs the bridge no more than handing over a frame.
//!
//! Media path in: a full pipe drops the newest frame and counts it. Control path out: the task waits for its call.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tracing::warn;

use super::completeness::Completeness;
use super::speech::Finding;
use super::turn::{TurnDetector, TurnEvent, UtteranceAudio};
use crate::alarm::Alarm;
use crate::audio::frame::AudioFrame;
use crate::audio::units::{Millis, Probability};
use crate::engine::vad::VoiceActivity;
use crate::engine::vad::energy::EnergyVad;
use crate::telemetry::metric;

/// Media: a second of voice. When full the newest frame is dropped and counted.
const WAITING: usize = 50;
/// A frame this much later than the last one leaves a gap; nearer ones are joined.
const GAP: Millis = Millis(200);
/// No frame for so long means silence: a client may send nothing while its microphone is muted.
const SILENCE: Millis = Millis(200);

/// Hands an agent's voice over. Dropping it ends the listening: what was being said is found, and then that this was all.
#[derive(Debug)]
pub struct Listener {
    frames: mpsc::Sender<AudioFrame>,
}

impl Listener {
    /// The handle, and the work, which its call owns. `side` names whose voice it is in what is found.
    pub fn new(
        side: u32,
        detector: TurnDetector,
        vad: Box<dyn VoiceActivity>,
        findings: mpsc::Sender<Finding>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (frames, inbox) = mpsc::channel(WAITING);
        let ear = Ear { side, detector, vad, clock: Clock::default(), findings };
        (Self { frames }, ear.run(inbox))
    }

    /// A frame that came at `at` in the call.
    pub fn push(&self, at: Millis, frame: &AudioFrame) {
        let frame = AudioFrame { at, ..frame.clone() };
        if let Err(TrySendError::Full(_)) = self.frames.try_send(frame) {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "listener", "reason" => "full").increment(1);
        }
    }
}

/// The time of frames that come as the network brings them: they follow each other without a seam, but for real gaps.
#[derive(Debug, Default)]
struct Clock {
    next: Option<Millis>,
}

impl Clock {
    fn place(&mut self, came: Millis, span: Millis) -> Millis {
        let next = self.next.filter(|next| came <= *next + GAP);
        let at = next.unwrap_or(came);
        self.next = Some(at + span);
        at
    }
}

struct Ear {
    side: u32,
    detector: TurnDetector,
    vad: Box<dyn VoiceActivity>,
    clock: Clock,
    findings: mpsc::Sender<Finding>,
}

impl Ear {
    async fn run(mut self, mut inbox: mpsc::Receiver<AudioFrame>) {
        let mut over = false;
        let mut silent_at = Instant::now() + SILENCE.duration();
        let mut alarm = Alarm::at(silent_at);
        while !over {
            let mut noticed = Vec::new();
            tokio::select! {
                biased;
                frame = inbox.recv() => {
                    silent_at = Instant::now() + SILENCE.duration();
                    match frame {
                        None => {
                            over = true;
                            self.detector.finish(&mut noticed);
                        }
                        Some(frame) => self.frame(frame, &mut noticed),
                    }
                }
                () = alarm.rings(silent_at) => {
                    if Instant::now() < silent_at {
                        continue;
                    }
                    silent_at = Instant::now() + SILENCE.duration();
                    if let Some(next) = &mut self.clock.next {
                        *next = *next + SILENCE;
                        self.detector.advance(*next, &mut noticed);
                    }
                }
            }
            for audio in self.utterances(noticed) {
                if self.findings.send(Finding::AgentSpoke(self.side, Some(audio))).await.is_err() {
                    return; // the call is over
                }
            }
        }
        let _ = self.findings.send(Finding::AgentSpoke(self.side, None)).await; // as above
    }

    fn frame(&mut self, mut frame: AudioFrame, noticed: &mut Vec<TurnEvent>) {
        frame.at = self.clock.place(frame.at, frame.span());
        let voice = self.vad.push(&frame.pcm).unwrap_or_else(|error| {
            warn!(%error, "Voice detection failed on an agent's side; going on by loudness");
            metrics::counter!(metric::ENGINE_FAILURES, "engine" => "vad").increment(1);
            self.vad = EnergyVad::detector();
            Probability::clamped(0.0)
        });
        self.detector.push(&frame, voice, noticed);
    }

    /// What was said, out of what the detector noticed; nobody recognises anything before a turn is over.
    fn utterances(&mut self, noticed: Vec<TurnEvent>) -> Vec<UtteranceAudio> {
        let mut spoken = Vec::new();
        let mut waiting = noticed;
        while !waiting.is_empty() {
            let mut more = Vec::new();
            for event in waiting {
                match event {
                    TurnEvent::Speculate { id, .. } => {
                        self.detector.transcript_looks(id, Completeness::Unclear, &mut more);
                    }
                    TurnEvent::TurnEnded { audio, .. } => spoken.push(audio),
                    _ => {}
                }
            }
            waiting = more;
        }
        spoken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::units::SampleRate;
    use crate::config::TurnConfig;
    use crate::engine::vad::VadFactory;
    use crate::engine::vad::fake::FakeVad;

    fn frame(value: i16) -> AudioFrame {
        AudioFrame::new(Millis::ZERO, SampleRate::WIDEBAND, vec![value; 320])
    }

    #[test]
    fn frames_join_across_jitter_and_real_gaps_stay() {
        let mut clock = Clock::default();
        let mut place = |came| clock.place(Millis(came), Millis(20)).0;
        assert_eq!([place(1_000), place(1_000), place(1_075), place(1_060)], [1_000, 1_020, 1_040, 1_060]);
        assert_eq!([place(1_400), place(1_420)], [1_400, 1_420], "a muted microphone");
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_who_speaks_is_heard_in_utterances_with_their_time() {
        let (findings, mut found) = mpsc::channel(8);
        let detector = TurnDetector::new(&TurnConfig::default(), Probability::clamped(0.5));
        let vad = FakeVad::loudness(1_000).open().expect("opens");
        let (listener, work) = Listener::new(7, detector, vad, findings);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(work);
        for n in 0..50u32 {
            listener.push(Millis(5_000 + n * 20), &frame(if n < 40 { 9_000 } else { 0 }));
            tokio::task::yield_now().await;
        }
        // Muted: no more frames come, and the utterance ends all the same.
        let Some(Finding::AgentSpoke(7, Some(audio))) = found.recv().await else { panic!("nothing was heard") };
        assert_eq!((audio.first_voice_at, audio.last_voice_at), (Millis(5_000), Millis(5_800)));
        drop(listener);
        assert!(tasks.join_next().await.is_some(), "it ends with its call's interest");
        assert!(matches!(found.recv().await, Some(Finding::AgentSpoke(7, None))), "nothing more was said");
        assert!(found.recv().await.is_none());
    }
}
