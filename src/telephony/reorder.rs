//! Frames back in order, and what is missing between them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::protocol::ProtocolError;
use crate::audio::units::{Millis, SampleRate};

/// Frames kept back while an earlier one is missing…
const REORDER_FRAMES: usize = 3;
/// …and for how long. One websocket keeps its order: this is for gateways that fan out and in.
const REORDER_WAIT: Duration = Duration::from_millis(60);
/// So many frames in a row from before what was expected mean that the provider's counter began anew.
const RESTART_AFTER: u8 = 5;

/// Puts frames back in order by their number, waiting a moment for one that is late.
#[derive(Debug)]
pub struct Reorder<T> {
    /// Number of the next frame, once the first has come.
    next: Option<u64>,
    /// In order, with the number of messages lost before each.
    ready: VecDeque<(T, u32)>,
    held: BTreeMap<u64, T>,
    give_up_at: Option<Instant>,
    late: u8,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: None, ready: VecDeque::new(), held: BTreeMap::new(), give_up_at: None, late: 0 }
    }
}

impl<T> Reorder<T> {
    /// Takes a frame. One that comes after its place was given up is an error, as is one that comes twice.
    pub fn push(&mut self, now: Instant, number: Option<u64>, frame: T) -> Result<(), ProtocolError> {
        let Some(number) = number else {
            self.ready.push_back((frame, 0));
            return Ok(());
        };
        let next = *self.next.get_or_insert(number);
        if number < next {
            self.late += 1;
            if self.late < RESTART_AFTER {
                return Err(ProtocolError::Order { event: "media" });
            }
            self.give_up();
            self.next = Some(number);
        }
        self.late = 0;
        if self.held.insert(number, frame).is_some() {
            return Err(ProtocolError::Order { event: "media" });
        }
        self.take_held();
        if self.held.len() > REORDER_FRAMES {
            self.give_up();
        }
        self.give_up_at = (!self.held.is_empty()).then(|| self.give_up_at.unwrap_or(now + REORDER_WAIT));
        Ok(())
    }

    /// When [`Reorder::give_up`] is due, if frames are held.
    pub const fn give_up_at(&self) -> Option<Instant> {
        self.give_up_at
    }

    /// Waits no longer for what is missing.
    pub fn give_up(&mut self) {
        while let Some((number, frame)) = self.held.pop_first() {
            let lost = number.saturating_sub(self.next.unwrap_or(number));
            self.ready.push_back((frame, u32::try_from(lost).unwrap_or(u32::MAX)));
            self.next = Some(number.saturating_add(1));
        }
        self.give_up_at = None;
    }

    /// The next frame in order, and how many messages were lost before it.
    pub fn pop(&mut self) -> Option<(T, u32)> {
        self.ready.pop_front()
    }

    /// Moves what follows without a gap to `ready`.
    fn take_held(&mut self) {
        while let Some(frame) = self.next.and_then(|next| self.held.remove(&next)) {
            self.ready.push_back((frame, 0));
            self.next = self.next.map(|next| next.saturating_add(1));
        }
    }
}

/// Where frames lie in their stream, and what is missing between two.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Where the next frame should lie, once the first has come. In samples of `rate`, so that nothing drifts.
    expected: Option<u64>,
}

impl Timeline {
    /// Places a frame of `samples`: where it begins, and how many 20 ms frames are missing before it.
    ///
    /// `at` is the provider's word for it, which knows best; without it, each of the `lost` messages is taken for 20 ms.
    pub fn place(&mut self, rate: SampleRate, at: Option<Millis>, lost: u32, samples: usize) -> (Millis, u32) {
        let millis = |samples: u64| Millis(u32::try_from(samples * 1_000 / u64::from(rate.0)).unwrap_or(u32::MAX));
        let in_samples = |at: Millis| u64::from(at.0) * u64::from(rate.0) / 1_000;
        let expected = self.expected.unwrap_or_else(|| in_samples(at.unwrap_or_default()));
        let begin = match at {
            // A clock in milliseconds is no finer than that: what fits the expectation is where it was expected.
            Some(at) if at == millis(expected) => expected,
            Some(at) => in_samples(at),
            None => expected.saturating_add(in_samples(Millis(lost.saturating_mul(Millis::FRAME.0)))),
        };
        self.expected = Some(begin.saturating_add(samples as u64));
        let missing = millis(begin).saturating_sub(millis(expected)).0 / Millis::FRAME.0;
        (millis(begin), missing)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use super::*;

    fn taken(reorder: &mut Reorder<u64>) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| reorder.pop()).collect()
    }

    #[test]
    fn a_late_frame_is_waited_for_and_a_lost_one_given_up() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        for number in [7, 9] {
            reorder.push(now, Some(number), number).expect("new");
        }
        assert_eq!(taken(&mut reorder), [(7, 0)]);
        assert_eq!(reorder.give_up_at(), Some(now + REORDER_WAIT));
        reorder.push(now, Some(8), 8).expect("late, not too late");
        assert_eq!((taken(&mut reorder), reorder.give_up_at()), (vec![(8, 0), (9, 0)], None));
        for number in [12, 13, 14, 15] {
            reorder.push(now, Some(number), number).expect("new");
        }
        assert_eq!(taken(&mut reorder), [(12, 2), (13, 0), (14, 0), (15, 0)]);
        assert!(reorder.push(now, Some(11), 11).is_err(), "its place was given up");
    }

    #[test]
    fn a_counter_that_begins_anew_is_believed_after_a_while() {
        let (mut reorder, now) = (Reorder::default(), Instant::now());
        reorder.push(now, Some(500), 500).expect("the first");
        for number in 1..5 {
            assert!(reorder.push(now, Some(number), number).is_err());
        }
        reorder.push(now, Some(5), 5).expect("the provider insists");
        assert_eq!(taken(&mut reorder), [(500, 0), (5, 0)]);
    }

    #[test]
    fn places_follow_the_providers_clock_or_else_the_samples() {
        let (mut timeline, rate) = (Timeline::default(), SampleRate::NARROWBAND);
        assert_eq!(timeline.place(rate, Some(Millis(40)), 0, 160), (Millis(40), 0));
        assert_eq!(timeline.place(rate, None, 0, 160), (Millis(60), 0));
        assert_eq!(timeline.place(rate, Some(Millis(140)), 0, 160), (Millis(140), 3));
        assert_eq!(timeline.place(rate, None, 2, 160), (Millis(200), 2));
        assert_eq!(timeline.place(rate, Some(Millis(100)), 0, 160), (Millis(100), 0), "a clock that went back");
        let mut odd = Timeline::default();
        let last = (0..1_000).map(|_| odd.place(SampleRate(22_050), None, 0, 441).0).last();
        assert_eq!(last, Some(Millis(19_980)), "nothing drifts where a frame is no whole milliseconds");
    }
}
