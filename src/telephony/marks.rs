//! Which marks are still on their way: the part every dialect with marks has in common.

use std::collections::VecDeque;

use super::protocol::MarkId;

/// More marks than this are never on their way at once: a call keeps seconds of audio queued, not hours.
const MAX_OUTSTANDING: usize = 256;

/// Marks sent and not yet returned, in playing order.
///
/// A clear ends a generation: what was outstanding is discarded at that moment, whether or not the provider returns it
/// later, and a mark that comes back afterwards is known to be stale because it is outstanding no more. Mark ids are
/// never reused, so no generation number has to travel.
#[derive(Debug, Default)]
pub struct Marks {
    outstanding: VecDeque<MarkId>,
}

impl Marks {
    /// A mark goes out. Returns one given up because far too many are outstanding.
    pub fn sent(&mut self, mark: MarkId) -> Option<MarkId> {
        self.outstanding.push_back(mark);
        (self.outstanding.len() > MAX_OUTSTANDING).then(|| self.outstanding.pop_front()).flatten()
    }

    /// A mark came back. Returns what was played: it, and any before it whose return was lost; nothing if it is stale.
    pub fn returned(&mut self, mark: MarkId) -> impl Iterator<Item = MarkId> + '_ {
        let played = self.outstanding.iter().position(|&other| other == mark).map_or(0, |at| at + 1);
        self.outstanding.drain(..played)
    }

    /// The provider's queue is flushed. Returns what was not heard to its end.
    pub fn cleared(&mut self) -> impl Iterator<Item = MarkId> + '_ {
        self.outstanding.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(marks: impl IntoIterator<Item = u64>) -> Marks {
        let mut all = Marks::default();
        for mark in marks {
            assert_eq!(all.sent(MarkId(mark)), None);
        }
        all
    }

    #[test]
    fn a_returned_mark_is_played_once_and_vouches_for_those_before_it() {
        let mut marks = with([1, 2, 3]);
        assert!(marks.returned(MarkId(2)).eq([MarkId(1), MarkId(2)]));
        assert!(marks.returned(MarkId(2)).eq([]));
        assert!(marks.returned(MarkId(3)).eq([MarkId(3)]));
    }

    #[test]
    fn marks_from_before_a_clear_are_discarded_once_and_stale_afterwards() {
        let mut marks = with([1, 2]);
        assert!(marks.cleared().eq([MarkId(1), MarkId(2)]));
        assert_eq!(marks.sent(MarkId(3)), None);
        assert!(marks.returned(MarkId(1)).eq([]), "returned because it was flushed, not because it was heard");
        assert!(marks.returned(MarkId(3)).eq([MarkId(3)]));
    }

    #[test]
    fn a_provider_that_never_returns_marks_costs_no_memory() {
        let mut marks = with(0..MAX_OUTSTANDING as u64);
        assert_eq!(marks.sent(MarkId(1_000)), Some(MarkId(0)));
    }
}
