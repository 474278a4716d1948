//! Cuts a stream of samples into 20 ms frames, however it arrives.

use std::collections::VecDeque;

use super::frame::AudioFrame;
use super::units::{Millis, SampleRate};

/// Collects samples of one rate and hands them out as 20 ms frames with their place in the stream.
///
/// Push, then pop until `None`: less than one frame stays behind, so a framer holds 20 ms at most between pushes.
#[derive(Debug)]
pub struct Framer {
    rate: SampleRate,
    pending: VecDeque<i16>,
    /// Position of the first pending sample, in samples, so that rates whose frames are no whole milliseconds don't drift.
    position: u64,
}

impl Framer {
    /// A framer for `rate`, which must be at least 50 Hz, so that a frame holds a sample. Its stream begins at zero.
    pub fn new(rate: SampleRate) -> Self {
        assert!(rate.samples_in(Millis::FRAME) > 0, "a frame at {} Hz holds no sample", rate.0);
        Self { rate, pending: VecDeque::new(), position: 0 }
    }

    /// Adds samples, mono, at the framer's rate.
    pub fn push(&mut self, pcm: &[i16]) {
        self.pending.extend(pcm);
    }

    /// The next whole frame, if there is one.
    pub fn pop(&mut self) -> Option<AudioFrame> {
        let size = self.rate.samples_in(Millis::FRAME);
        (self.pending.len() >= size).then(|| {
            let frame = AudioFrame::new(self.at(), self.rate, self.pending.drain(..size).collect::<Vec<_>>());
            self.position += size as u64;
            frame
        })
    }

    /// What is left, filled up with silence to a whole frame; `None` when nothing is.
    pub fn flush(&mut self) -> Option<AudioFrame> {
        if self.pending.is_empty() {
            return None;
        }
        let size = self.rate.samples_in(Millis::FRAME);
        let missing = (size - self.pending.len() % size) % size;
        self.pending.extend(std::iter::repeat_n(0, missing));
        self.pop()
    }

    /// Moves the stream on to `at`, so that a gap is visible in the frames that follow. Never backwards.
    pub fn skip_to(&mut self, at: Millis) {
        let target = u64::from(at.0) * u64::from(self.rate.0) / 1_000;
        self.position = self.position.max(target.saturating_sub(self.pending.len() as u64));
    }

    /// Where the next frame begins.
    pub fn at(&self) -> Millis {
        Millis(u32::try_from(self.position * 1_000 / u64::from(self.rate.0)).unwrap_or(u32::MAX))
    }

    /// Where the next pushed sample lies.
    pub fn end(&self) -> Millis {
        self.at() + self.rate.span_of(self.pending.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn frame_all(pcm: &[i16], cuts: &[usize]) -> Vec<AudioFrame> {
        let mut framer = Framer::new(SampleRate::NARROWBAND);
        let mut frames = Vec::new();
        let (mut rest, mut cuts) = (pcm, cuts.iter().cycle());
        while !rest.is_empty() {
            let cut = (*cuts.next().expect("cycles over at least one cut")).min(rest.len());
            framer.push(&rest[..cut]);
            rest = &rest[cut..];
            frames.extend(std::iter::from_fn(|| framer.pop()));
        }
        frames.extend(framer.flush());
        frames
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(
            pcm in vec(any::<i16>(), 0..4_000),
            cuts in vec(1usize..400, 1..40),
        ) {
            let frames = frame_all(&pcm, &cuts);
            prop_assert_eq!(&frames, &frame_all(&pcm, &[160]));
            let joined: Vec<i16> = frames.iter().flat_map(|frame| frame.pcm.iter().copied()).collect();
            prop_assert_eq!(&joined[..pcm.len()], &pcm[..]);
            prop_assert!(joined[pcm.len()..].iter().all(|&sample| sample == 0) && joined.len() - pcm.len() < 160);
            prop_assert!(frames.iter().enumerate().all(|(n, frame)| frame.at == Millis(20 * n as u32)));
        }
    }

    #[test]
    fn a_gap_moves_the_frames_after_it() {
        let mut framer = Framer::new(SampleRate::NARROWBAND);
        framer.push(&[1; 160]);
        assert_eq!(framer.pop().expect("a whole frame").at, Millis(0));
        framer.skip_to(Millis(100));
        framer.skip_to(Millis(60));
        framer.push(&[2; 160]);
        assert_eq!(framer.pop().expect("a whole frame").at, Millis(100));
        assert_eq!(framer.end(), Millis(120));
    }

    #[test]
    fn positions_do_not_drift_at_rates_without_whole_frames() {
        let mut framer = Framer::new(SampleRate(11_025));
        framer.push(&vec![0; 11_025 * 60]);
        let frames: Vec<_> = std::iter::from_fn(|| framer.pop()).collect();
        let last = frames.last().expect("a minute holds frames");
        assert_eq!(last.at, Millis(((frames.len() - 1) * 220 * 1_000 / 11_025) as u32));
    }
}
