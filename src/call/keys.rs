//! Keys a caller presses, whether the provider reports them or only lets them be heard. PURE.
//!
//! A provider's word counts, always. Until it has reported a key of this call, keys are listened for too: `0` reaches a
//! person on lines that report none. A key may be heard and then reported; it was pressed once.

use std::collections::VecDeque;

use crate::audio::dtmf::DtmfDetector;
use crate::audio::units::Millis;
use crate::telephony::protocol::Digit;

/// How long after it was heard a key may be reported.
const REPORTED_WITHIN: Millis = Millis(3_000);

/// The keypad of one caller.
#[derive(Debug)]
pub struct Keypad {
    /// Nothing once the provider has shown that it reports keys.
    ears: Option<DtmfDetector>,
    /// Heard, perhaps still to be reported.
    heard: VecDeque<(Digit, Millis)>,
}

impl Keypad {
    /// `listens`: whether sound counts at all.
    pub fn new(listens: bool) -> Self {
        Self { ears: listens.then(DtmfDetector::default), heard: VecDeque::new() }
    }

    /// The caller's audio, 16 kHz. Returns a key that is pressed now.
    pub fn listen(&mut self, at: Millis, pcm: &[i16]) -> Option<Digit> {
        let key = Digit::new(self.ears.as_mut()?.push(pcm)?)?;
        self.forget(at);
        self.heard.push_back((key, at));
        Some(key)
    }

    /// The provider reports a key. False for one that was heard already.
    pub fn reported(&mut self, at: Millis, key: Digit) -> bool {
        self.ears = None;
        self.forget(at);
        let known = self.heard.iter().position(|(heard, _)| *heard == key);
        known.and_then(|index| self.heard.remove(index)).is_none()
    }

    fn forget(&mut self, at: Millis) {
        while self.heard.front().is_some_and(|(_, heard)| at.saturating_sub(*heard) > REPORTED_WITHIN) {
            self.heard.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zero(millis: usize) -> Vec<i16> {
        let wave = |hertz: f64, n: usize| (std::f64::consts::TAU * hertz * n as f64 / 16_000.0).sin();
        (0..16 * millis).map(|n| (6_000.0 * (wave(941.0, n) + wave(1_336.0, n))) as i16).collect()
    }

    fn press(keypad: &mut Keypad, at: u32) -> Vec<Digit> {
        let sound = [zero(100), vec![0; 16 * 100]].concat();
        let frames = sound.chunks(320).enumerate();
        frames.filter_map(|(n, frame)| keypad.listen(Millis(at + 20 * n as u32), frame)).collect()
    }

    #[test]
    fn a_key_that_is_heard_and_reported_is_pressed_once() {
        let key = Digit::new('0').expect("a key");
        let mut keypad = Keypad::new(true);
        assert_eq!(press(&mut keypad, 0), [key]);
        assert!(!keypad.reported(Millis(180), key));
        assert_eq!(press(&mut keypad, 400), [], "this provider reports keys");
        assert!(keypad.reported(Millis(500), key));
    }

    #[test]
    fn other_and_late_reports_are_keys_of_their_own() {
        let mut keypad = Keypad::new(true);
        press(&mut keypad, 0);
        assert!(keypad.reported(Millis(100), Digit::new('1').expect("a key")));
        assert!(keypad.reported(Millis(9_000), Digit::new('0').expect("a key")));
        assert_eq!(press(&mut Keypad::new(false), 0), []);
    }
}
