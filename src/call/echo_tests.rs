//! An echo is made as a loudspeaker, a room and a telephone make it: delayed, band-limited, reverberant, quieter, µ-law.

use super::*;
use crate::audio::g711;
use crate::audio::units::SampleRate;

const FRAME: usize = 320;

/// Something with the rhythm and timbre of speech: syllables of gliding harmonics and hisses, by `seed`.
fn speech(seed: u32, ms: u32, peak: f32) -> Vec<i16> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32
    };
    let total = SampleRate::WIDEBAND.samples_in(Millis(ms));
    let mut pcm = Vec::with_capacity(total);
    while pcm.len() < total {
        let span = (1_600.0 + 3_200.0 * random()) as usize;
        let (pitch, glide) = (90.0 + 120.0 * random(), -30.0 + 60.0 * random());
        let formants = [300.0 + 500.0 * random(), 900.0 + 1_400.0 * random(), 2_300.0 + 900.0 * random()];
        let (hiss, loud) = (random() < 0.25, 0.3 + 0.7 * random());
        let mut phase = 0.0;
        for n in 0..span {
            let t = n as f32 / span as f32;
            phase += (pitch + glide * t) / 16_000.0;
            let envelope = (std::f32::consts::PI * t).sin().powf(0.7) * loud;
            let sample = if hiss {
                0.3 * (2.0 * random() - 1.0)
            } else {
                let harmonic = |k: u32| {
                    let hz = k as f32 * (pitch + glide * t);
                    let gain: f32 = formants.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 120.0).powi(2))).sum();
                    gain * (std::f32::consts::TAU * k as f32 * phase).sin()
                };
                (1..24).map(harmonic).sum::<f32>() * 0.4
            };
            pcm.push((sample * envelope * peak).clamp(-32_000.0, 32_000.0) as i16);
        }
        pcm.extend(std::iter::repeat_n(0, (1_600.0 * random()) as usize));
    }
    pcm.truncate(total);
    pcm
}

struct Room {
    delay_ms: u32,
    gain: f32,
    reverb: bool,
}

/// What comes back of `pcm`.
fn echo(pcm: &[i16], room: &Room) -> Vec<i16> {
    let delay = SampleRate::WIDEBAND.samples_in(Millis(room.delay_ms));
    let taps: &[(usize, f32)] =
        if room.reverb { &[(0, 1.0), (77, 0.5), (211, -0.35), (503, 0.25), (1_009, -0.15)] } else { &[(0, 1.0)] };
    let at = |n: isize| usize::try_from(n).ok().and_then(|n| pcm.get(n)).map_or(0.0, |s| f32::from(*s));
    let (mut low, mut high, mut last) = (0.0, 0.0, 0.0);
    let mut narrow = Vec::new();
    for n in (0..pcm.len() as isize).step_by(2) {
        let dry: f32 = taps.iter().map(|(tap, gain)| gain * at(n - delay as isize - *tap as isize)).sum();
        // A small loudspeaker: nothing below 500 Hz, little above 2.5 kHz.
        high = 0.67 * (high + dry - last);
        last = dry;
        low += 0.7 * (high - low);
        narrow.push((low * room.gain).clamp(-32_000.0, 32_000.0) as i16);
    }
    let (mut coded, mut decoded) = (Vec::new(), Vec::new());
    g711::encode_ulaw(&narrow, &mut coded);
    g711::decode_ulaw(&coded, &mut decoded);
    let mut wide: Vec<i16> = decoded.iter().flat_map(|s| [*s, *s]).collect();
    wide.truncate(pcm.len());
    wide
}

fn mixed(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// The view of each frame of `heard` while `played` plays.
fn views(guard: &mut EchoGuard, begin: u32, played: &[i16], heard: &[i16]) -> Vec<EchoView> {
    let mut views = Vec::new();
    for (n, frame) in heard.chunks_exact(FRAME).enumerate() {
        let at = Millis(begin + n as u32 * 20);
        // Playback leads, as it does in a call.
        if n == 0 {
            played.chunks_exact(FRAME).take(3).zip(0..).for_each(|(pcm, k)| guard.played(at + Millis(k * 20), pcm));
        }
        if let Some(pcm) = played.chunks_exact(FRAME).nth(n + 3) {
            guard.played(at + Millis(60), pcm);
        }
        views.push(guard.heard(at, frame, &mut Vec::new()));
    }
    views
}

/// Share of frames with sound, from `skip` on, that are taken for an echo.
fn echo_share(views: &[EchoView], skip: usize) -> f32 {
    let sounds: Vec<_> = views[skip..].iter().filter(|view| view.sound).collect();
    sounds.iter().filter(|view| view.is_echo).count() as f32 / sounds.len().max(1) as f32
}

#[test]
fn our_own_voice_is_known_at_any_delay_level_and_in_a_room() {
    for (seed, delay_ms, gain, reverb) in
        [(1, 40, 0.5, false), (2, 130, 0.2, true), (3, 280, 0.1, true), (4, 500, 0.3, false), (5, 333, 0.05, true)]
    {
        let played = speech(seed, 6_000, 20_000.0);
        let heard = echo(&played, &Room { delay_ms, gain, reverb });
        let mut guard = EchoGuard::default();
        let views = views(&mut guard, 0, &played, &heard);
        let late = echo_share(&views, 100);
        assert!(late > 0.97, "after two seconds {late} of the echo of {delay_ms} ms is known");
        let delay = views.last().and_then(|view| view.delay).expect("a path").0;
        assert!(delay.abs_diff(delay_ms) <= 20, "{delay} for {delay_ms}");
    }
}

#[test]
fn a_caller_is_no_echo() {
    for seed in 0..8 {
        let (played, heard) = (speech(seed, 6_000, 20_000.0), speech(100 + seed, 6_000, 12_000.0));
        let views = views(&mut EchoGuard::default(), 0, &played, &heard);
        let share = echo_share(&views, 0);
        assert!(share < 0.03, "{share} of caller {seed} is taken for an echo");
    }
}

#[test]
fn a_caller_over_the_echo_is_heard_all_the_same() {
    for (seed, gain) in [(1, 0.05), (2, 0.1), (3, 0.2)] {
        let played = speech(seed, 8_000, 20_000.0);
        let echoed = echo(&played, &Room { delay_ms: 180, gain, reverb: true });
        let voice = speech(50 + seed, 2_000, 14_000.0);
        let caller: Vec<i16> = [vec![0; 80_000], voice].concat();
        let views = views(&mut EchoGuard::default(), 0, &played, &mixed(&echoed, &caller));
        assert!(echo_share(&views[100..250], 0) > 0.95, "before the caller speaks");
        let spoken = &views[250..350];
        let first = spoken.iter().position(|view| view.sound && !view.is_echo).expect("heard");
        assert!(first <= 20, "first heard after {} ms", first * 20);
        assert!(echo_share(spoken, first) < 0.6, "{} of the caller is taken for an echo", echo_share(spoken, first));
    }
}

#[test]
fn without_playback_nothing_is_an_echo() {
    let heard = speech(9, 3_000, 10_000.0);
    let mut guard = EchoGuard::default();
    let silent = views(&mut guard, 0, &[], &heard);
    assert!(silent.iter().all(|view| !view.is_echo && view.novelty == 1.0));
    // Nor does what was taken back come back.
    guard.played(Millis(3_000), &speech(10, 200, 20_000.0));
    guard.taken_back(Millis(3_000));
    assert!(!guard.heard(Millis(3_100), &heard[..320], &mut Vec::new()).is_echo);
}

#[test]
fn clocks_that_jump_do_no_harm() {
    let mut guard = EchoGuard::default();
    let pcm = speech(1, 20, 10_000.0);
    for at in [0, 60, u32::MAX - 100, 5, 1_000_000, 900_000, u32::MAX] {
        guard.played(Millis(at), &pcm);
        guard.heard(Millis(at), &pcm, &mut Vec::new());
        guard.taken_back(Millis(at.wrapping_add(7)));
    }
}
