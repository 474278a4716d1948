//! Three people in one conversation: each hears the others and never themselves. PURE.
//!
//! Media path. What is said meets every 20 ms; who is late is left out, and nobody waits for anybody. Two loud voices at once
//! would clip: a limiter turns the sum down for as long as that lasts, in a straight line within a frame, so that nothing
//! cracks.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::units::{Millis, SampleRate};

/// Frames of one voice that wait to be mixed: 100 ms. When full the oldest goes.
const WAITING: usize = 5;
/// Samples in a tick.
const FRAME: usize = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
/// No sum is louder: 1 dB below full scale, so that a codec behind it has room.
const CEILING: f32 = 29_204.0;
/// How much of the way back to full gain is made in a frame: about 200 ms in all.
const RELEASE: f32 = 0.1;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The caller.
    Caller,
    /// The agent who has the caller.
    First,
    /// The colleague.
    Second,
    /// Announcements, which all hear.
    Assistant,
}

const VOICES: usize = 4;

/// What each hears of 20 ms. None: nobody said anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixed {
    /// The caller.
    pub to_caller: Option<Arc<[i16]>>,
    /// The agent who has the caller.
    pub to_first: Option<Arc<[i16]>>,
    /// The colleague.
    pub to_second: Option<Arc<[i16]>>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Conference {
    waiting: [VecDeque<Arc<[i16]>>; VOICES],
    /// Of the caller's, the first's and the second's sum.
    limiters: [Limiter; 3],
}

impl Conference {
    /// Takes a frame; false when an older one had to go for it.
    pub fn push(&mut self, voice: Voice, pcm: Arc<[i16]>) -> bool {
        let waiting = &mut self.waiting[voice as usize];
        let has_room = waiting.len() < WAITING;
        if !has_room {
            waiting.pop_front();
        }
        waiting.push_back(pcm);
        has_room
    }

    /// Every 20 ms.
    pub fn tick(&mut self) -> Mixed {
        let frames: [Option<Arc<[i16]>>; VOICES] = std::array::from_fn(|voice| self.waiting[voice].pop_front());
        let mut sum_for = |listener: Voice| {
            let others: Vec<&[i16]> = frames
                .iter()
                .enumerate()
                .filter(|(voice, _)| *voice != listener as usize)
                .filter_map(|(_, frame)| frame.as_deref())
                .collect();
            (!others.is_empty()).then(|| self.limiters[listener as usize].sum(&others))
        };
        Mixed { to_caller: sum_for(Voice::Caller), to_first: sum_for(Voice::First), to_second: sum_for(Voice::Second) }
    }
}

/// Keeps a sum below [`CEILING`].
#[derive(Clone, Copy, Debug)]
struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    fn sum(&mut self, voices: &[&[i16]]) -> Arc<[i16]> {
        let length = voices.iter().map(|voice| voice.len()).max().unwrap_or(FRAME);
        let mut sum = vec![0i32; length];
        for voice in voices {
            sum.iter_mut().zip(*voice).for_each(|(sum, sample)| *sum += i32::from(*sample));
        }
        let peak = sum.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0) as f32;
        let room = if peak > CEILING { CEILING / peak } else { 1.0 };
        // Down at once, back slowly; within the frame in a straight line from where the last one ended.
        let end = if room < self.gain { room } else { (self.gain + RELEASE * (1.0 - self.gain)).min(room) };
        let (start, step) = (self.gain, (end - self.gain) / length.max(1) as f32);
        self.gain = if end > 0.999 { 1.0 } else { end };
        let scaled = sum.iter().enumerate().map(|(n, sample)| {
            let gain = start + step * (n + 1) as f32;
            (*sample as f32 * gain).clamp(-CEILING, CEILING) as i16
        });
        scaled.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    fn tone(hertz: f32, loudness: f32, frames: usize) -> Vec<Arc<[i16]>> {
        let pcm: Vec<i16> =
            (0..frames * FRAME).map(|n| (loudness * (TAU * hertz * n as f32 / 16_000.0).sin()) as i16).collect();
        pcm.chunks(FRAME).map(Arc::from).collect()
    }

    fn share(pcm: &[i16], hertz: f32) -> f32 {
        let coefficient = 2.0 * (TAU * hertz / 16_000.0).cos();
        let (mut a, mut b, mut energy) = (0.0f32, 0.0f32, 1.0f32);
        for sample in pcm {
            let x = f32::from(*sample);
            (a, b) = (x + coefficient * a - b, a);
            energy += x * x;
        }
        2.0 * (a * a + b * b - coefficient * a * b) / (energy * pcm.len() as f32)
    }

    #[test]
    fn each_hears_the_others_and_not_themselves() {
        let voices = [(Voice::Caller, 1_000.0), (Voice::First, 440.0), (Voice::Second, 1_500.0)];
        let sounds: Vec<_> = voices.iter().map(|(voice, hertz)| (*voice, tone(*hertz, 6_000.0, 50))).collect();
        let mut conference = Conference::default();
        let mut heard = [Vec::new(), Vec::new(), Vec::new()];
        for n in 0..50 {
            for (voice, sound) in &sounds {
                assert!(conference.push(*voice, sound[n].clone()));
            }
            let Mixed { to_caller, to_first, to_second } = conference.tick();
            for (own, frame) in heard.iter_mut().zip([to_caller, to_first, to_second]) {
                own.extend_from_slice(&frame.expect("somebody speaks"));
            }
        }
        for (listener, heard) in heard.iter().enumerate() {
            for (speaker, (_, hertz)) in voices.iter().enumerate() {
                let share = share(heard, *hertz);
                if listener == speaker {
                    assert!(share < 0.01, "{listener} hears themselves: {share}")
                } else {
                    assert!(share > 0.45, "{listener} hears {speaker}: {share}")
                }
            }
        }
    }

    #[test]
    fn loud_voices_are_turned_down_without_a_crack_and_up_again() {
        let (one, other) = (tone(300.0, 30_000.0, 20), tone(310.0, 30_000.0, 20));
        let mut conference = Conference::default();
        let mut heard = Vec::new();
        for (one, other) in one.into_iter().zip(other) {
            conference.push(Voice::First, one);
            conference.push(Voice::Second, other);
            heard.extend_from_slice(&conference.tick().to_caller.expect("both speak"));
        }
        let peak = heard.iter().map(|sample| sample.unsigned_abs()).max().expect("samples");
        assert!((25_000..=29_204).contains(&peak), "peak {peak}");
        // From the second frame on the gain has settled; a sine of this sum changes by less than this from sample to sample.
        let step = heard[FRAME..].windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().expect("samples");
        assert!(step < 5_000, "largest step {step}");
        let quiet = tone(300.0, 1_000.0, 60);
        let last = quiet.into_iter().map(|frame| {
            conference.push(Voice::First, frame);
            conference.tick().to_caller.expect("one speaks")
        });
        let peak = last.last().expect("frames").iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak.is_some_and(|peak| peak > 980), "as loud as before: {peak:?}");
    }

    #[test]
    fn who_is_late_is_left_out_and_the_oldest_goes_first() {
        let mut conference = Conference::default();
        assert_eq!(conference.tick(), Mixed::default());
        for n in 0..7i16 {
            assert_eq!(conference.push(Voice::Caller, vec![n; FRAME].into()), n < 5);
        }
        let mixed = conference.tick();
        assert_eq!(mixed.to_first.map(|pcm| pcm[0]), Some(2));
        assert_eq!(mixed.to_caller, None, "nobody else spoke");
    }

    proptest! {
        #[test]
        fn no_sum_is_beyond_the_ceiling(frames in prop::collection::vec((0usize..4, any::<i16>(), any::<i16>()), 1..60)) {
            let voices = [Voice::Caller, Voice::First, Voice::Second, Voice::Assistant];
            let mut conference = Conference::default();
            for (voice, even, odd) in frames {
                let pcm: Vec<i16> = (0..FRAME).map(|n| if n % 2 == 0 { even } else { odd }).collect();
                conference.push(voices[voice], pcm.into());
                let mixed = conference.tick();
                for frame in [mixed.to_caller, mixed.to_first, mixed.to_second].into_iter().flatten() {
                    prop_assert!(frame.iter().all(|sample| f32::from(*sample).abs() <= CEILING));
                }
            }
        }
    }
}
