//! How long a sound takes from one party to the other. Some pairs send bursts of a tone of their own; the other party knows
//! by the tone whom it hears, and by the first loud sample how long that took. PURE but for the lock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::audio::units::SampleRate;
use crate::cli::bench::handoff::ground::{CALLER_HZ, agent_hz, share, tone};

/// Pairs that are listened to.
pub(super) const PROBES: usize = 16;
/// Frames in a burst.
const BURST: u64 = 3;
/// Frames from one burst to the next; a prime, so that bursts of pairs drift past each other.
const EVERY: u64 = 53;
/// A sample that belongs to a burst.
const LOUD: u16 = 1_500;
/// Frames of quiet before a burst.
const QUIET: u32 = 5;
/// A burst that was sent longer ago is another one.
const PATIENCE: Duration = Duration::from_millis(500);
/// What parties send between bursts: a line is never quite silent.
const FAINT: f32 = 0.02;

/// The frames a party sends.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    faint: Vec<i16>,
    burst: Option<Vec<i16>>,
    phase: u64,
    sent: u64,
}

impl Voice {
    /// Without bursts.
    pub(super) fn faint() -> Self {
        let faint = tone(CALLER_HZ).into_iter().map(|sample| (f32::from(sample) * FAINT) as i16).collect();
        Self { faint, burst: None, phase: 0, sent: 0 }
    }

    /// Bursts in the tone of this pair from now on.
    pub(super) fn bursts(&mut self, pair: usize) {
        self.burst = Some(tone(agent_hz(pair)));
        self.phase = pair as u64 * 7;
    }

    /// Whether there are bursts.
    pub(super) const fn is_bursting(&self) -> bool {
        self.burst.is_some()
    }

    /// The next 20 ms, and whether a burst begins with them.
    pub(super) fn next(&mut self) -> (&[i16], bool) {
        let place = (self.sent + self.phase) % EVERY;
        self.sent += 1;
        match &self.burst {
            Some(burst) if place < BURST => (burst, place == 0),
            _ => (&self.faint, false),
        }
    }
}

/// When each pair's last bursts were sent: by callers, and by agents.
#[derive(Debug, Default)]
pub(super) struct Sent([Mutex<Option<Instant>>; PROBES]);

impl Sent {
    /// A burst leaves now.
    pub(super) fn note(&self, pair: usize, now: Instant) {
        *self.0[pair].lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Time since the burst that is heard at `now`; nothing when none was sent lately.
    pub(super) fn since(&self, pair: usize, now: Instant) -> Option<Duration> {
        let sent = (*self.0[pair].lock().unwrap_or_else(PoisonError::into_inner))?;
        now.checked_duration_since(sent).filter(|took| *took < PATIENCE)
    }
}

/// What a party makes of the frames it gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    quiet: u32,
}

impl Ear {
    /// How far into this frame a burst begins, if one does.
    pub(super) fn onset(&mut self, pcm: &[i16]) -> Option<Duration> {
        let Some(at) = pcm.iter().position(|sample| sample.unsigned_abs() >= LOUD) else {
            self.quiet += 1;
            return None;
        };
        let was_quiet = std::mem::take(&mut self.quiet) >= QUIET;
        was_quiet.then(|| Duration::from_secs_f64(at as f64 / f64::from(SampleRate::WIDEBAND.0)))
    }

    /// Whether the last frame was part of a burst.
    pub(super) const fn hears_a_burst(&self) -> bool {
        self.quiet == 0
    }

    /// Whose tone this frame is.
    pub(super) fn pair(pcm: &[i16]) -> Option<usize> {
        (0..PROBES).find(|pair| share(pcm, agent_hz(*pair)) > 0.6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_found_where_it_begins_and_known_by_its_tone() {
        let mut voice = Voice::faint();
        voice.bursts(3);
        let mut ear = Ear::default();
        let (mut begun, mut found) = (0, 0);
        for _ in 0..4 * EVERY {
            let (frame, begins) = voice.next();
            begun += u32::from(begins);
            if let Some(at) = ear.onset(frame) {
                found += 1;
                assert!(at < Duration::from_millis(1), "{at:?}");
                assert_eq!(Ear::pair(frame), Some(3));
            }
        }
        // The one it may begin in the middle of has no quiet before it.
        assert!(begun >= 3 && begun - found <= 1, "{begun} {found}");
        let late = [vec![0i16; 160], tone(agent_hz(5))[..160].to_vec()].concat();
        let mut ear = Ear { quiet: QUIET };
        let at = ear.onset(&late).expect("a burst");
        assert!(at >= Duration::from_millis(10) && at < Duration::from_millis(11), "{at:?}");
        assert_eq!(ear.onset(&late), None, "once a burst");
    }

    #[test]
    fn a_burst_of_long_ago_is_not_the_one_that_is_heard() {
        let (sent, now) = (Sent::default(), Instant::now());
        assert_eq!(sent.since(1, now), None);
        sent.note(1, now);
        assert_eq!(sent.since(1, now + Duration::from_millis(30)), Some(Duration::from_millis(30)));
        assert_eq!(sent.since(1, now + PATIENCE), None);
        assert_eq!(sent.since(2, now), None);
    }
}
