//! From 20 ms frames to messages of the size a provider wants, and how much of it waits there to be played.
//!
//! ```text
//! frames ─▶ [rest of a message] ─▶ whole messages ─▶ provider's queue ─▶ caller
//!                 │ mark, or nothing more for a while              └ known by its length and the clock
//!                 └──▶ padded with silence
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::protocol::{MarkId, ProtocolError};
use crate::audio::codec::Format;
use crate::audio::units::Millis;

/// More than this is never queued at a provider: a clear, a mark and the caller's patience lose their meaning.
pub const MAX_QUEUED: Duration = Duration::from_secs(2);
/// Audio that fills no message is sent, padded, when nothing followed for so long.
const IDLE: Duration = Duration::from_millis(60);

/// What messages of audio look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Audio collected before a message is sent.
    pub message: Millis,
    /// A message has at least so many bytes…
    pub least: usize,
    /// …and a multiple of these.
    pub multiple: usize,
}

impl Shape {
    /// Each frame is a message of its own; the last may be shorter.
    pub const FRAMES: Self = Self { message: Millis::FRAME, least: 1, multiple: 1 };

    /// Each frame is a message of its own, and none is shorter.
    pub fn whole_frames(format: Format) -> Self {
        let frame = format.codec.frame_bytes(format.rate).unwrap_or(1);
        Self { message: Millis::FRAME, least: frame, multiple: frame }
    }
}

/// Collects coded audio into messages and keeps account of what is still to be played.
#[derive(Debug)]
pub struct Packer {
    format: Format,
    size: usize,
    shape: Shape,
    rest: Vec<u8>,
    idle_at: Option<Instant>,
    played_until: Option<Instant>,
}

impl Packer {
    /// For audio of `format`, which has frames of a fixed size.
    pub fn new(format: Format, shape: Shape) -> Self {
        let frame = format.codec.frame_bytes(format.rate).unwrap_or(1);
        let wanted = (frame * shape.message.0.div_ceil(Millis::FRAME.0) as usize).max(shape.least).max(1);
        let size = wanted.next_multiple_of(shape.multiple.max(1));
        Self { format, size, shape, rest: Vec::new(), idle_at: None, played_until: None }
    }

    /// Takes coded audio and returns the messages that are full. Too much for the provider's queue is refused whole.
    pub fn push(&mut self, now: Instant, audio: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let queued = self.queued(now);
        if queued > MAX_QUEUED {
            return Err(ProtocolError::Overrun { queued: Millis::from_duration(queued) });
        }
        self.rest.extend_from_slice(audio);
        self.idle_at = Some(now + IDLE);
        let mut messages = Vec::new();
        while self.rest.len() >= self.size {
            let rest = self.rest.split_off(self.size);
            messages.push(std::mem::replace(&mut self.rest, rest));
            self.note_sent(now, self.size);
        }
        if self.rest.is_empty() {
            self.idle_at = None;
        }
        Ok(messages)
    }

    /// How many bytes the next [`Packer::flush`] would pad.
    pub fn missing(&self) -> usize {
        if self.rest.is_empty() { 0 } else { self.flushed_size() - self.rest.len() }
    }

    /// Pads with these bytes, for codecs whose silence depends on what came before.
    pub fn fill(&mut self, coded_silence: &[u8]) {
        self.rest.extend_from_slice(coded_silence);
    }

    fn flushed_size(&self) -> usize {
        self.rest.len().max(self.shape.least).next_multiple_of(self.shape.multiple.max(1))
    }

    /// What fills no message, padded with silence: before a mark, and when nothing follows.
    pub fn flush(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.idle_at = None;
        if self.rest.is_empty() {
            return None;
        }
        let size = self.flushed_size();
        let mut message = std::mem::take(&mut self.rest);
        message.resize(size, self.format.codec.silence());
        self.note_sent(now, size);
        Some(message)
    }

    /// The provider's queue was thrown away, and what waits here belongs to it.
    pub fn clear(&mut self) {
        self.rest.clear();
        (self.idle_at, self.played_until) = (None, None);
    }

    /// When [`Packer::flush`] is due.
    pub const fn idle_at(&self) -> Option<Instant> {
        self.idle_at
    }

    /// How much audio waits at the provider, by the clock.
    pub fn queued(&self, now: Instant) -> Duration {
        self.played_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// When all that was sent will have been played.
    pub fn played_at(&self, now: Instant) -> Instant {
        self.played_until.map_or(now, |until| until.max(now))
    }

    fn note_sent(&mut self, now: Instant, bytes: usize) {
        let frame = self.format.codec.frame_bytes(self.format.rate).unwrap_or(1);
        let span = Duration::from_micros(bytes as u64 * 20_000 / frame as u64);
        self.played_until = Some(self.played_at(now) + span);
    }
}

/// Marks for providers that return none: played when the clock says that all before them was.
#[derive(Debug, Default)]
pub struct ClockedMarks {
    waiting: VecDeque<(Instant, MarkId)>,
}

impl ClockedMarks {
    /// A mark behind audio that is played at `at`.
    pub fn sent(&mut self, at: Instant, mark: MarkId) {
        self.waiting.push_back((at, mark));
    }

    /// When the next mark is reached.
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// The marks reached by `now`.
    pub fn reached(&mut self, now: Instant) -> impl Iterator<Item = MarkId> + '_ {
        let count = self.waiting.iter().take_while(|(at, _)| *at <= now).count();
        self.waiting.drain(..count).map(|(_, mark)| mark)
    }

    /// All that was not reached: the queue was cleared.
    pub fn cleared(&mut self) -> impl Iterator<Item = MarkId> + '_ {
        self.waiting.drain(..).map(|(_, mark)| mark)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::audio::codec::Codec;
    use crate::audio::units::SampleRate;

    const L16_8K: Format = Format { codec: Codec::L16Le, rate: SampleRate::NARROWBAND };
    const LARGE: Shape = Shape { message: Millis(100), least: 3_200, multiple: 320 };

    proptest! {
        #[test]
        fn any_chunking_keeps_every_byte_and_the_shape(cuts in vec(1usize..900, 1..60)) {
            let now = Instant::now();
            let mut packer = Packer::new(L16_8K, LARGE);
            let (mut sent, mut got, mut at) = (Vec::<u8>::new(), Vec::new(), now);
            for (n, cut) in cuts.iter().enumerate() {
                at += Duration::from_millis(60);
                let audio = vec![n as u8 | 1; *cut];
                sent.extend(&audio);
                for message in packer.push(at, &audio).expect("paced") {
                    prop_assert_eq!(message.len(), 3_200);
                    got.extend(message);
                }
            }
            if let Some(last) = packer.flush(at) {
                prop_assert!(last.len() >= 3_200 && last.len() % 320 == 0);
                got.extend(last);
            }
            prop_assert_eq!(&got[..sent.len()], &sent[..]);
            prop_assert!(got[sent.len()..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn the_rest_is_sent_when_nothing_follows() {
        let (mut packer, now) =
            (Packer::new(Format::PCMU_8K, Shape { message: Millis(200), least: 1, multiple: 160 }), Instant::now());
        assert!(packer.push(now, &[1; 170]).expect("room").is_empty());
        assert_eq!(packer.idle_at(), Some(now + IDLE));
        let rest = packer.flush(now + IDLE).expect("something waits");
        assert_eq!((rest.len(), rest[169], rest[170]), (320, 1, 0xff), "padded with silence to whole frames");
        assert_eq!((packer.idle_at(), packer.flush(now)), (None, None));
    }

    #[test]
    fn the_providers_queue_is_known_and_bounded() {
        let (mut packer, now) = (Packer::new(Format::PCMU_8K, Shape::FRAMES), Instant::now());
        let frames = (0..).take_while(|_| packer.push(now, &[0; 160]).is_ok()).count();
        assert_eq!(frames, 101, "2 s and the frame that goes beyond");
        assert_eq!(packer.queued(now), Duration::from_millis(2_020));
        assert_eq!(packer.queued(now + Duration::from_secs(1)), Duration::from_millis(1_020));
        packer.clear();
        assert_eq!((packer.queued(now), packer.played_at(now)), (Duration::ZERO, now));
        assert!(packer.push(now, &[0; 160]).is_ok());
    }

    #[test]
    fn marks_by_the_clock_are_reached_in_time_or_discarded() {
        let (mut marks, now) = (ClockedMarks::default(), Instant::now());
        let at = |ms| now + Duration::from_millis(ms);
        for (ms, mark) in [(20, 1), (20, 2), (60, 3)] {
            marks.sent(at(ms), MarkId(mark));
        }
        assert_eq!(marks.next_at(), Some(at(20)));
        assert!(marks.reached(at(19)).eq([]));
        assert!(marks.reached(at(20)).eq([MarkId(1), MarkId(2)]));
        assert!(marks.cleared().eq([MarkId(3)]) && marks.next_at().is_none());
    }
}
