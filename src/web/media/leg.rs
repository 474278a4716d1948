//! The call's end of a socket: the channels to its actor, and the way between the provider's rate and ours.

use std::sync::Arc;

use metrics::counter;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::timeout;

use super::departing::Departure;
use super::{EVENT_PATIENCE, now};
use crate::audio::frame::AudioFrame;
use crate::audio::framer::Framer;
use crate::audio::resample::{ResampleError, Resampler};
use crate::audio::units::{Millis, SampleRate};
use crate::call::handle::CallHandle;
use crate::telemetry::metric;
use crate::telephony::protocol::{MediaCommand, MediaEvent, Transfer};
use crate::web::gate::Gate;
use crate::web::live::LiveStream;
use crate::web::moving::{Departing, Mover};
use crate::web::webhooks::outcomes::StreamOutcome;

/// The call's end of the channels.
pub(super) struct Leg {
    pub(super) provider_call_id: String,
    pub(super) handle: CallHandle,
    pub(super) frames: mpsc::Sender<AudioFrame>,
    pub(super) events: mpsc::Sender<MediaEvent>,
    pub(super) commands: mpsc::Receiver<MediaCommand>,
    pub(super) inbound: Inbound,
    /// From 16 kHz to the provider's rate.
    pub(super) outbound: Resampler,
    pub(super) rate: SampleRate,
    /// Our number, if it is known.
    pub(super) number: String,
    /// The provider's account, if the stream brought it along.
    pub(super) account: String,
    pub(super) outcome: Option<StreamOutcome>,
    /// The provider's API was asked to move the caller.
    pub(super) departed: bool,
    /// Lets webhooks find the call.
    pub(super) _live: LiveStream,
}

impl Leg {
    /// The provider's API is asked to move the caller.
    pub(super) fn depart(
        &mut self,
        gate: &Gate,
        mover: Arc<dyn Mover>,
        provider: &'static str,
        transfer: Transfer,
    ) -> Departure {
        // Before the provider knows of it: it may ask sooner than it answers.
        gate.outcomes.record(now(), &self.provider_call_id, StreamOutcome::Transfer(transfer.clone()));
        self.departed = true;
        let (call_id, number, account) = (self.provider_call_id.clone(), self.number.clone(), self.account.clone());
        Departure::new(mover, Departing { provider, call_id, number, account, transfer })
    }

    /// Caller audio, on its way to the call: never waits.
    pub(super) fn heard(&mut self, frame: AudioFrame) {
        let frames = &self.frames;
        self.inbound.push(&frame, |frame| match frames.try_send(frame) {
            // A closed channel is a call that ends: its commands say the rest.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                counter!(metric::FRAMES_DROPPED, "leg" => "caller", "reason" => "full").increment(1);
            }
        });
    }

    /// The call's audio at the provider's rate.
    pub(super) fn convert(&mut self, frame: AudioFrame) -> AudioFrame {
        if frame.rate == self.rate {
            return frame;
        }
        let mut pcm = Vec::with_capacity(self.rate.samples_in(frame.span()) + 1);
        self.outbound.push(&frame.pcm, &mut pcm);
        AudioFrame::new(frame.at, self.rate, pcm)
    }

    /// Hands an event to the call, waiting a bounded time for room. False when the call does not take it.
    pub(super) async fn tell(&mut self, event: MediaEvent) -> bool {
        if let MediaEvent::Gap(frames) = event {
            counter!(metric::FRAMES_DROPPED, "leg" => "caller", "reason" => "gap").increment(frames.into());
            // Frames carry their place, so the gap shows there as well: not worth waiting for.
            return !matches!(self.events.try_send(event), Err(TrySendError::Closed(_)));
        }
        match self.events.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => true, // the call ends, and its commands are about to say so
            Err(TrySendError::Full(event)) => {
                matches!(timeout(EVENT_PATIENCE, self.events.send(event)).await, Ok(Ok(())))
            }
        }
    }
}

/// From the provider's audio to 16 kHz frames of 20 ms.
pub(super) struct Inbound {
    resampler: Resampler,
    framer: Framer,
    converted: Vec<i16>,
}

impl Inbound {
    pub(super) fn new(rate: SampleRate) -> Result<Self, ResampleError> {
        let resampler = Resampler::new(rate, SampleRate::WIDEBAND)?;
        Ok(Self { resampler, framer: Framer::new(SampleRate::WIDEBAND), converted: Vec::new() })
    }

    pub(super) fn push(&mut self, frame: &AudioFrame, mut take: impl FnMut(AudioFrame)) {
        // A provider's clock jitters by milliseconds; a frame's worth or more is a gap.
        if frame.at >= self.framer.end() + Millis::FRAME {
            self.framer.skip_to(frame.at);
        }
        self.converted.clear();
        self.resampler.push(&frame.pcm, &mut self.converted);
        self.framer.push(&self.converted);
        while let Some(frame) = self.framer.pop() {
            take(frame);
        }
    }
}
