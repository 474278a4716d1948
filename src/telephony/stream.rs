//! What an open stream of audio has in common, whatever its dialect: codecs, order, place in time, marks, packing.
//!
//! ```text
//! bytes ─▶ Reorder ─▶ Decoder ─▶ Timeline ─▶ Audio, Gap
//! frames ─▶ Encoder ─▶ Packer ─▶ messages          marks ─▶ Marks ─▶ MarkPlayed, MarkDiscarded
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use super::json::Text;
use super::marks::Marks;
use super::packer::{Packer, Shape};
use super::protocol::{MarkId, MediaEvent, Output, ProtocolError};
use super::reorder::{Reorder, Timeline};
use crate::audio::byte_order::{ByteOrder, OrderGuess};
use crate::audio::codec::{Codec, Decoder, Encoder, Format};
use crate::audio::frame::AudioFrame;
use crate::audio::units::Millis;

/// The audio of one open stream. What goes in and comes out is up to the dialect.
#[derive(Debug)]
pub struct Stream {
    /// The provider's name for it.
    pub id: String,
    heard: Format,
    played: Format,
    decoder: Decoder,
    encoder: Encoder,
    reorder: Reorder<(Option<Millis>, Vec<u8>)>,
    timeline: Timeline,
    packer: Packer,
    marks: Marks,
    /// Which way round linear samples are, while only the audio can tell.
    order: Option<OrderGuess>,
}

impl Stream {
    /// A stream whose audio comes as `heard` and goes as `played`, in messages of that shape.
    pub fn new(id: String, heard: Format, played: Format, shape: Shape) -> Result<Self, ProtocolError> {
        Ok(Self {
            id,
            heard,
            played,
            decoder: heard.decoder()?,
            encoder: played.encoder()?,
            reorder: Reorder::default(),
            timeline: Timeline::default(),
            packer: Packer::new(played, shape),
            marks: Marks::default(),
            order: None,
        })
    }

    /// An id in a message may be left out, but not be another stream's.
    pub fn check_id(&self, event: &'static str, field: &'static str, id: Option<&Text>) -> Result<(), ProtocolError> {
        if id.is_none_or(|id| id.0 == self.id) { Ok(()) } else { Err(ProtocolError::Field { event, field }) }
    }

    /// Lets the audio tell which way round linear samples are, in both directions; until it does, they are as given.
    pub fn guess_byte_order(&mut self) {
        let first = match self.heard.codec {
            Codec::L16Be => ByteOrder::Big,
            Codec::L16Le => ByteOrder::Little,
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus => return,
        };
        self.order = Some(OrderGuess::new(first, self.heard.rate));
    }

    fn listen_for_order(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some(order) = &mut self.order else { return Ok(()) };
        let codec = if order.listen(bytes) == ByteOrder::Big { Codec::L16Be } else { Codec::L16Le };
        if codec != self.heard.codec {
            self.heard.codec = codec;
            self.decoder = self.heard.decoder()?;
            if matches!(self.played.codec, Codec::L16Be | Codec::L16Le) {
                self.played.codec = codec;
                self.encoder = self.played.encoder()?;
            }
        }
        Ok(())
    }

    /// Caller audio: with its number if messages are counted, and its place if the provider tells.
    pub fn receive(
        &mut self,
        now: Instant,
        number: Option<u64>,
        at: Option<Millis>,
        bytes: Vec<u8>,
        outputs: &mut VecDeque<Output>,
    ) -> Result<(), ProtocolError> {
        self.reorder.push(now, number, (at, bytes))?;
        self.release(outputs)
    }

    /// Waits no longer for a message that is missing: when its time has come, and at the end.
    pub fn give_up(&mut self, outputs: &mut VecDeque<Output>) {
        self.reorder.give_up();
        // Nobody asks any more what was wrong with a message held for so long.
        let _ = self.release(outputs);
    }

    /// When [`Stream::give_up`] is due.
    pub const fn give_up_at(&self) -> Option<Instant> {
        self.reorder.give_up_at()
    }

    /// Hands out what is in order, with gaps where audio is missing. The first message that can't be decoded is the
    /// error; those after it are handed out all the same.
    fn release(&mut self, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        let mut result = Ok(());
        while let Some(((at, bytes), lost)) = self.reorder.pop() {
            let mut pcm = Vec::with_capacity(2 * bytes.len());
            let decoded = self
                .listen_for_order(&bytes)
                .and_then(|()| self.decoder.decode(&bytes, &mut pcm).map_err(ProtocolError::from));
            if decoded.is_err() {
                result = result.and(decoded);
                continue;
            }
            if pcm.is_empty() {
                continue;
            }
            let (at, missing) = self.timeline.place(self.heard.rate, at, lost, pcm.len());
            if missing > 0 {
                outputs.push_back(Output::Event(MediaEvent::Gap(missing)));
            }
            outputs.push_back(Output::Event(MediaEvent::Audio(AudioFrame::new(at, self.heard.rate, pcm))));
        }
        result
    }

    /// Audio for the caller: the messages that are full now, coded.
    pub fn play(&mut self, now: Instant, frame: &AudioFrame) -> Result<Vec<Vec<u8>>, ProtocolError> {
        if frame.rate != self.played.rate {
            return Err(ProtocolError::Unsupported { format: format!("{} Hz", frame.rate.0) });
        }
        let mut coded = Vec::with_capacity(2 * frame.pcm.len());
        self.encoder.encode(&frame.pcm, &mut coded)?;
        self.packer.push(now, &coded)
    }

    /// The audio that fills no message, padded: before a mark, and when [`Stream::flush_at`] has come.
    pub fn flush(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(frame) = self.played.codec.frame_bytes(self.played.rate) {
            let samples = self.packer.missing() * self.played.rate.samples_in(Millis::FRAME) / frame;
            let mut silence = Vec::new();
            if self.encoder.encode(&vec![0; samples], &mut silence).is_ok() {
                self.packer.fill(&silence);
            }
        }
        self.packer.flush(now)
    }

    /// When [`Stream::flush`] is due.
    pub const fn flush_at(&self) -> Option<Instant> {
        self.packer.idle_at()
    }

    /// When all that was sent will have been played, by the clock: for dialects without marks.
    pub fn played_at(&self, now: Instant) -> Instant {
        self.packer.played_at(now)
    }

    /// A mark goes out.
    pub fn mark_sent(&mut self, mark: MarkId, outputs: &mut VecDeque<Output>) {
        let given_up = self.marks.sent(mark);
        outputs.extend(given_up.map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
    }

    /// A mark came back.
    pub fn mark_returned(&mut self, mark: MarkId, outputs: &mut VecDeque<Output>) {
        outputs.extend(self.marks.returned(mark).map(|mark| Output::Event(MediaEvent::MarkPlayed(mark))));
    }

    /// A mark came back by its name: ours are numbers, others are none of ours.
    pub fn mark_named(&mut self, name: &str, outputs: &mut VecDeque<Output>) -> Result<(), ProtocolError> {
        let id = name.parse().map_err(|_| ProtocolError::Field { event: "mark", field: "name" })?;
        self.mark_returned(MarkId(id), outputs);
        Ok(())
    }

    /// The provider's queue is thrown away, with every mark in it, whether the provider returns them or not.
    pub fn cleared(&mut self, outputs: &mut VecDeque<Output>) {
        self.packer.clear();
        outputs.extend(self.marks.cleared().map(|mark| Output::Event(MediaEvent::MarkDiscarded(mark))));
    }
}
