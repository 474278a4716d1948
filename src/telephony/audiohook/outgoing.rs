//! Audio on its way to the client: few, large messages, and never more of them than it takes.
//!
//! The client counts messages, not bytes, and answers too many with an error 429. So audio is collected: 240 ms before
//! playback begins, which leaves 40 ms for the network's moods, and 200 ms from then on.

use std::time::{Duration, Instant};

use crate::audio::units::Millis;
use crate::telephony::packer::MAX_QUEUED;
use crate::telephony::protocol::ProtocolError;

/// Bytes of a millisecond of µ-law.
const BYTES_PER_MS: usize = 8;
/// A message while something is played: 200 ms.
const MESSAGE: usize = 200 * BYTES_PER_MS;
/// The first message after silence.
pub const FIRST_MESSAGE: Millis = Millis(240);
const FIRST: usize = FIRST_MESSAGE.0 as usize * BYTES_PER_MS;
/// Audio that fills no message is sent when nothing followed for so long.
const IDLE: Duration = Duration::from_millis(60);
/// One message in so much time…
const INTERVAL: Duration = Duration::from_millis(200);
/// …after so many at once. The client is believed to take 25.
const BURST: u32 = 20;

/// What waits to be sent and what was sent.
#[derive(Debug)]
pub struct Outgoing {
    pending: Vec<u8>,
    flush_at: Option<Instant>,
    played_until: Option<Instant>,
    limit: Limit,
    opened: Instant,
}

impl Outgoing {
    /// Nothing was sent yet.
    pub const fn new(now: Instant) -> Self {
        Self { pending: Vec::new(), flush_at: None, played_until: None, limit: Limit { full_at: now }, opened: now }
    }

    /// When this began.
    pub const fn opened(&self) -> Instant {
        self.opened
    }

    /// Takes coded audio. Too much for the client's queue is refused.
    pub fn push(&mut self, now: Instant, coded: &[u8]) -> Result<(), ProtocolError> {
        let queued = self.played_at(now).saturating_duration_since(now);
        if queued > MAX_QUEUED {
            return Err(ProtocolError::Overrun { queued: Millis::from_duration(queued) });
        }
        self.pending.extend_from_slice(coded);
        self.flush_at = Some(now + IDLE);
        Ok(())
    }

    /// The message that is due, and whether it begins after silence.
    pub fn due(&mut self, now: Instant) -> Option<(Vec<u8>, bool)> {
        let begins = self.played_until.is_none_or(|until| until <= now);
        let wanted = if begins { FIRST } else { MESSAGE };
        let idle = self.flush_at.is_some_and(|at| at <= now) && !self.pending.is_empty();
        if (self.pending.len() < wanted && !idle) || !self.limit.take(now) {
            return None;
        }
        self.played_until = Some(self.played_at(now));
        self.flush_at = None;
        Some((std::mem::take(&mut self.pending), begins))
    }

    /// When [`Outgoing::due`] should be asked again.
    pub fn next_at(&self) -> Option<Instant> {
        let free_at = self.limit.free_at();
        let flush_at = self.flush_at?;
        Some(if self.pending.len() >= FIRST { free_at } else { flush_at.max(free_at) })
    }

    /// When all that is here will have been played.
    pub fn played_at(&self, now: Instant) -> Instant {
        let pending = Duration::from_millis((self.pending.len() / BYTES_PER_MS) as u64);
        self.played_until.map_or(now, |until| until.max(now)) + pending
    }

    /// The client has thrown away its queue; what waits here belongs to it.
    pub fn clear(&mut self) {
        self.pending.clear();
        (self.flush_at, self.played_until) = (None, None);
    }

    /// The client takes nothing until then.
    pub fn hold(&mut self, until: Instant) {
        self.limit.hold(until);
    }
}

/// A bucket of [`BURST`] messages that fills by one each [`INTERVAL`].
#[derive(Debug)]
struct Limit {
    /// When the bucket is full again.
    full_at: Instant,
}

impl Limit {
    fn take(&mut self, now: Instant) -> bool {
        let free = self.free_at() <= now;
        if free {
            self.full_at = self.full_at.max(now) + INTERVAL;
        }
        free
    }

    fn free_at(&self) -> Instant {
        self.full_at.checked_sub((BURST - 1) * INTERVAL).unwrap_or(self.full_at)
    }

    fn hold(&mut self, until: Instant) {
        self.full_at = self.full_at.max(until + (BURST - 1) * INTERVAL);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for time that then only moves by the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Plays `spans` of speech (frames of 20 ms in real time) with pauses of that many milliseconds; when messages left.
    fn play(start: Instant, spans: &[(u32, u32)]) -> Vec<(Duration, usize)> {
        let (mut outgoing, mut now, mut sent) = (Outgoing::new(start), start, Vec::new());
        let mut take = |outgoing: &mut Outgoing, now: Instant| {
            while let Some((message, _)) = outgoing.due(now) {
                sent.push((now - start, message.len()));
            }
        };
        for &(frames, pause) in spans {
            for frame in 0..frames + pause {
                if frame < frames && outgoing.push(now, &[0; 160]).is_err() {
                    continue;
                }
                take(&mut outgoing, now);
                let next = now + 20 * MS;
                while let Some(at) = outgoing.next_at().filter(|at| *at <= next) {
                    take(&mut outgoing, at.max(now));
                    assert_ne!(outgoing.next_at(), Some(at), "a deadline that was handled stays");
                }
                now = next;
            }
        }
        take(&mut outgoing, now + 60 * MS);
        sent
    }

    #[test]
    fn speech_leaves_in_few_large_messages() {
        let sent = play(Instant::now(), &[(50, 10)]);
        let expected = [(220, 1_920), (420, 1_600), (620, 1_600), (820, 1_600), (1_040, 1_280)];
        assert_eq!(sent, expected.map(|(at, size)| (at * MS, size)));
    }

    proptest! {
        #[test]
        fn the_client_is_never_sent_more_than_it_takes(spans in proptest::collection::vec((1u32..40, 1u32..30), 1..120)) {
            let sent = play(Instant::now(), &spans);
            for (n, (at, _)) in sent.iter().enumerate() {
                for (m, (earlier, _)) in sent[..n].iter().enumerate() {
                    let allowed = BURST as u128 + (*at - *earlier).as_millis() / 200;
                    prop_assert!((n - m) as u128 <= allowed, "{} messages in {:?}", n - m + 1, *at - *earlier);
                }
            }
            let frames: u32 = spans.iter().map(|(frames, _)| frames).sum();
            prop_assert_eq!(sent.iter().map(|(_, size)| size).sum::<usize>(), 160 * frames as usize, "nothing is lost");
        }
    }

    #[test]
    fn a_client_that_complains_is_left_alone_for_a_while() {
        let (start, mut outgoing) = (Instant::now(), Outgoing::new(Instant::now()));
        outgoing.push(start, &[0; 1_920]).expect("room");
        outgoing.hold(start + 1_000 * MS);
        assert_eq!((outgoing.due(start), outgoing.next_at()), (None, Some(start + 1_000 * MS)));
        assert!(outgoing.due(start + 1_000 * MS).is_some_and(|(message, begins)| message.len() == 1_920 && begins));
        assert_eq!(outgoing.next_at(), None);
        for _ in 0..8 {
            outgoing.push(start + 1_000 * MS, &[0; 1_920]).expect("room");
        }
        assert!(outgoing.push(start + 1_000 * MS, &[0; 160]).is_err(), "2 s and no more");
        outgoing.clear();
        assert_eq!((outgoing.next_at(), outgoing.played_at(start)), (None, start));
    }
}
