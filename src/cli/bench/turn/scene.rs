//! One caller over our playback, in the recording's time: the call's own playback, echo guard, voice detector and judge.
//!
//! What we play is what the caller hears, so a caller on a loudspeaker sends it back; that echo is made from the very
//! frames that were sent, ducked ones included.

use std::time::{Duration, Instant};

use super::sounds::{Dice, noise};
use crate::audio::g711;
use crate::audio::units::{Millis, SampleRate};
use crate::call::input::ItemId;
use crate::call::overlap::{FEATURES, Overlap, OverlapEvent, OverlapRules};
use crate::call::playback::{Playback, PlaybackOutput};
use crate::engine::vad::{VadError, VadFactory};

const FRAME: usize = SampleRate::WIDEBAND.samples_in(Millis::FRAME);

/// A loudspeaker, a room and a line.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// From our sending to its coming back.
    pub delay: Millis,
    /// How loud it comes back.
    pub gain: f32,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// When the caller heard us grow quiet, since the onset.
    pub ducked: Option<Millis>,
    /// When we stopped, since the onset.
    pub stopped: Option<Millis>,
    /// What the judge saw at each frame of the sound.
    pub features: Vec<[f32; FEATURES]>,
    /// Processor time of detector and judge.
    pub spent: Duration,
    /// Time of the recording.
    pub lasted: Millis,
}

/// Everything that stays the same from scene to scene.
pub struct Stage<'a> {
    /// Opens voice detectors.
    pub vad: &'a dyn VadFactory,
    /// How the judge decides.
    pub rules: OverlapRules,
    /// What we say, over and over.
    pub ours: &'a [i16],
}

impl Stage<'_> {
    /// Plays one scene: after `quiet` the caller makes this sound.
    pub fn play(&self, dice: &mut Dice, quiet: Millis, sound: &[i16], room: Option<Room>) -> Result<Seen, VadError> {
        let start = tokio::time::Instant::now().into_std();
        let onset = SampleRate::WIDEBAND.samples_in(quiet) + dice.between(0, FRAME as u32) as usize;
        let total = onset + sound.len() + SampleRate::WIDEBAND.samples_in(Millis(600));
        let mut caller = noise(dice, SampleRate::WIDEBAND.span_of(total) + Millis(40));
        for (sample, add) in caller[onset..].iter_mut().zip(sound) {
            *sample = sample.saturating_add(*add);
        }
        let mut vad = self.vad.open()?;
        let mut overlap = Overlap::new(self.rules);
        let mut playback = Playback::default();
        playback.enqueue(ItemId(1), "words ".repeat(400), true);
        let begin = dice.between(0, (self.ours.len() / 2) as u32) as usize;
        let ours: Vec<i16> = self.ours.iter().cycle().skip(begin).take(total + 32_000).copied().collect();
        playback.append(ItemId(1), &ours);
        let mut line = Line { heard: vec![0; total + 32_000], band: (0.0, 0.0, 0.0) };
        let (mut seen, mut duck_due) = (Seen::default(), false);
        let since_onset = |at: usize| SampleRate::WIDEBAND.span_of(at.saturating_sub(onset));
        for (n, frame) in caller.chunks_exact(FRAME).enumerate().take(total / FRAME) {
            let at = |sample: usize| start + SampleRate::WIDEBAND.span_of(sample).duration();
            let (sent_at, now) = (n * FRAME, (n + 1) * FRAME);
            let mut outputs = Vec::new();
            playback.tick(at(sent_at), &mut outputs);
            for output in outputs {
                if let PlaybackOutput::Frame { pcm, plays_at } = output {
                    let place = self.place(start, plays_at);
                    line.heard[place..place + FRAME].copy_from_slice(&pcm);
                    let begun = tokio::time::Instant::now();
                    overlap.played(SampleRate::WIDEBAND.span_of(place), &pcm);
                    seen.spent += begun.elapsed();
                    if std::mem::take(&mut duck_due) && place >= onset {
                        // In the middle of its first, fading frame.
                        seen.ducked.get_or_insert(since_onset(place + FRAME / 2));
                    }
                }
            }
            let mut pcm = frame.to_vec();
            line.mix_echo(&mut pcm, sent_at, room);
            let open = room.is_none() || SampleRate::WIDEBAND.span_of(sent_at) + Millis(500) >= quiet;
            let begun = tokio::time::Instant::now();
            let voice = vad.push(&pcm)?;
            let mut events = Vec::new();
            overlap.heard(SampleRate::WIDEBAND.span_of(sent_at), &pcm, voice, open, &mut events);
            seen.spent += begun.elapsed();
            if now > onset {
                seen.features.extend(overlap.features());
            }
            for event in events {
                match event {
                    OverlapEvent::Duck => {
                        playback.duck(true);
                        duck_due = true;
                    }
                    OverlapEvent::Resume => playback.duck(false),
                    OverlapEvent::Stop => {
                        seen.stopped = Some(since_onset(now));
                        seen.lasted = SampleRate::WIDEBAND.span_of(now);
                        return Ok(seen);
                    }
                }
            }
        }
        seen.lasted = SampleRate::WIDEBAND.span_of(total);
        Ok(seen)
    }

    fn place(&self, start: Instant, plays_at: Instant) -> usize {
        SampleRate::WIDEBAND.samples_in(Millis::from_duration(plays_at - start))
    }
}

/// What the caller's loudspeaker plays, and how it sounds through room, microphone and line.
struct Line {
    heard: Vec<i16>,
    band: (f32, f32, f32),
}

impl Line {
    /// Adds the echo of what was heard before `at`, and codes the sum as µ-law.
    fn mix_echo(&mut self, pcm: &mut [i16], at: usize, room: Option<Room>) {
        if let Some(room) = room {
            let delay = SampleRate::WIDEBAND.samples_in(room.delay);
            for (n, sample) in pcm.iter_mut().enumerate() {
                let tap = |later: usize| {
                    let place = (at + n).checked_sub(delay + later);
                    place.map_or(0.0, |place| f32::from(self.heard[place]))
                };
                let dry = tap(0) + 0.5 * tap(173) - 0.35 * tap(431) + 0.2 * tap(977) - 0.12 * tap(1_901);
                // A small loudspeaker: nothing below 450 Hz, little above 3 kHz.
                let (last, high, low) = self.band;
                let high = 0.84 * (high + dry - last);
                let low = low + 0.65 * (high - low);
                self.band = (dry, high, low);
                *sample = sample.saturating_add((low * room.gain) as i16);
            }
        }
        let mut coded = Vec::with_capacity(pcm.len());
        g711::encode_ulaw(pcm, &mut coded);
        let mut decoded = Vec::with_capacity(pcm.len());
        g711::decode_ulaw(&coded, &mut decoded);
        pcm.copy_from_slice(&decoded);
    }
}
