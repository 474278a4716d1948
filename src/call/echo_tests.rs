//! An echo is made as a loudspeaker, a room and a telephone make it: delayed, band-limited, reverberant, quieter, µ-law.

use super::*;
use crate::audio::g711;

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
    let mut heard = Vec::new();
    for n in 0..pcm.len() as isize {
        let dry: f32 = taps.iter().map(|(tap, gain)| gain * at(n - delay as isize - *tap as isize)).sum();
        // A small loudspeaker: nothing below 450 Hz, little above 3 kHz.
        high = 0.84 * (high + dry - last);
        last = dry;
        low += 0.65 * (high - low);
        heard.push((low * room.gain).clamp(-32_000.0, 32_000.0) as i16);
    }
    let (mut coded, mut decoded) = (Vec::new(), Vec::new());
    g711::encode_ulaw(&heard, &mut coded);
    g711::decode_ulaw(&coded, &mut decoded);
    decoded
}

fn mixed(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// What is left of each frame of `heard` while `played` plays, and what was said of it.
fn removed(remover: &mut EchoRemover, begin: u32, played: &[i16], heard: &[i16]) -> Vec<(Vec<i16>, EchoView)> {
    let mut all = Vec::new();
    for (n, frame) in heard.chunks_exact(FRAME).enumerate() {
        let at = Millis(begin + n as u32 * 20);
        // Playback leads, as it does in a call.
        if n == 0 {
            played.chunks_exact(FRAME).take(3).zip(0..).for_each(|(pcm, k)| remover.played(at + Millis(k * 20), pcm));
        }
        if let Some(pcm) = played.chunks_exact(FRAME).nth(n + 3) {
            remover.played(at + Millis(60), pcm);
        }
        let mut view = remover.heard(at, frame);
        all.push((view.without.take().unwrap_or(frame.to_vec()), view));
    }
    all
}

fn level(frames: &[(Vec<i16>, EchoView)]) -> f32 {
    level_dbfs(&frames.iter().flat_map(|(pcm, _)| pcm.iter().copied()).collect::<Vec<_>>())
}

const ROOMS: [(u32, u32, f32, bool); 5] =
    [(1, 40, 0.5, false), (2, 130, 0.2, true), (3, 280, 0.1, true), (4, 500, 0.3, false), (5, 333, 0.05, true)];

#[test]
fn our_own_voice_is_taken_out_at_any_delay_level_and_in_a_room() {
    for (seed, delay_ms, gain, reverb) in ROOMS {
        let played = speech(seed, 8_000, 20_000.0);
        let heard = echo(&played, &Room { delay_ms, gain, reverb });
        let mut remover = EchoRemover::default();
        let all = removed(&mut remover, 0, &played, &heard);
        assert_eq!(remover.line, Line::Echoing, "{delay_ms} ms, {gain}");
        let (was, is) = (level_dbfs(&heard[250 * FRAME..]), level(&all[250..]));
        assert!(is < was - 20.0, "{delay_ms} ms, {gain}: {was} dB became {is} dB");
        assert!(all[250..].iter().all(|(_, view)| !view.is_echo), "nothing of it is left to be told apart");
    }
}

#[test]
fn an_echo_that_is_found_is_told_once_for_all_that_came_before() {
    for (seed, delay_ms, gain, reverb) in ROOMS {
        let played = speech(seed, 4_000, 20_000.0);
        // No gap: one sound from its beginning on.
        let heard = echo(&played, &Room { delay_ms, gain, reverb });
        let all = removed(&mut EchoRemover::default(), 0, &played, &heard);
        let found = all.iter().position(|(_, view)| view.found).expect("found");
        assert!(found < 150, "{delay_ms} ms, {gain}: found after {} ms", found * 20);
        let echoes = all[found..200].iter().filter(|(_, view)| view.is_echo).count();
        let left = level(&all[found..200]);
        assert!(echoes > 0 || left < -50.0, "{delay_ms} ms, {gain}: {echoes} frames of an echo, {left} dB");
    }
}

#[test]
fn a_caller_is_no_echo_and_stays_whole() {
    for seed in 0..4 {
        let (played, heard) = (speech(seed, 6_000, 20_000.0), speech(100 + seed, 6_000, 12_000.0));
        // Before they speak the line is silent, and known to have no echo.
        let heard = [vec![0; 16 * 2_500], heard].concat();
        let played = [played.clone(), played].concat();
        let mut remover = EchoRemover::default();
        let all = removed(&mut remover, 0, &played, &heard);
        assert_eq!(remover.line, Line::Clear, "caller {seed}");
        assert!(all.iter().all(|(_, view)| *view == EchoView::default()), "caller {seed}");
        let left: Vec<i16> = all.into_iter().flat_map(|(pcm, _)| pcm).collect();
        assert!(left[..] == heard[..left.len()], "caller {seed}");
    }
}

#[test]
fn a_loudspeaker_that_is_switched_on_later_is_found_too() {
    let played = speech(7, 14_000, 20_000.0);
    let room = Room { delay_ms: 180, gain: 0.2, reverb: true };
    let heard: Vec<i16> = [vec![0; 16 * 5_000], echo(&played, &room)[16 * 5_000..].to_vec()].concat();
    let mut remover = EchoRemover::default();
    removed(&mut remover, 0, &played[..16 * 5_000], &heard[..16 * 5_000]);
    assert!(remover.line == Line::Clear && remover.canceller.is_none(), "nothing is kept for a silent caller");
    let mut remover = EchoRemover::default();
    let all = removed(&mut remover, 0, &played, &heard);
    remover.rest();
    assert!(remover.line == Line::Echoing && remover.canceller.is_some(), "what is known of an echo is kept");
    assert!(level(&all[600..]) < level_dbfs(&heard[600 * FRAME..]) - 20.0);
}

#[test]
fn samples_of_any_kind_do_no_harm() {
    let (mut remover, voice) = (EchoRemover::default(), speech(3, 4_000, 32_000.0));
    let kinds: [fn(usize) -> i16; 6] = [
        |_| 0,
        |_| i16::MAX,
        |_| i16::MIN,
        |n| if n.is_multiple_of(2) { i16::MAX } else { i16::MIN },
        |n| (n.wrapping_mul(2_654_435_761) >> 16) as i16,
        |n| if n.is_multiple_of(97) { i16::MIN } else { 0 },
    ];
    for n in 0..900usize {
        let at = Millis(n as u32 * 20);
        let ours: Vec<i16> = match n / 150 % 2 {
            0 => voice[n % 150 * FRAME..][..FRAME].to_vec(),
            _ => (n * FRAME..(n + 1) * FRAME).map(kinds[n / 7 % 6]).collect(),
        };
        remover.played(at, &ours);
        let came: Vec<i16> = (n * FRAME..(n + 1) * FRAME).map(kinds[n / 11 % 6]).collect();
        let left = remover.heard(at, &came).without;
        assert!(left.is_none_or(|left| left.len() == FRAME));
    }
}

#[test]
fn a_caller_who_speaks_from_the_first_moment_on_stays_whole() {
    for seed in 0..4 {
        let (played, heard) = (speech(seed, 6_000, 20_000.0), speech(100 + seed, 6_000, 12_000.0));
        let all = removed(&mut EchoRemover::default(), 0, &played, &heard);
        let echoes = all.iter().filter(|(_, view)| view.is_echo).count();
        assert!(echoes < all.len() / 5, "{echoes} of {} frames of caller {seed} are taken for an echo", all.len());
        let left: Vec<i16> = all.into_iter().flat_map(|(pcm, _)| pcm).collect();
        assert!(left[..] == heard[..left.len()], "caller {seed}");
    }
}

#[test]
fn a_caller_over_the_echo_is_heard_and_the_echo_is_not() {
    for (seed, gain) in [(1, 0.05), (2, 0.1), (3, 0.2)] {
        let played = speech(seed, 8_000, 20_000.0);
        let echoed = echo(&played, &Room { delay_ms: 180, gain, reverb: true });
        let voice = speech(50 + seed, 2_000, 14_000.0);
        let caller: Vec<i16> = [vec![0; 80_000], voice.clone()].concat();
        let all = removed(&mut EchoRemover::default(), 0, &played, &mixed(&echoed, &caller));
        assert!(level(&all[220..248]) < -50.0, "before the caller speaks: {}", level(&all[220..248]));
        let (alone, heard) = (level_dbfs(&voice), level(&all[250..350]));
        assert!((alone - heard).abs() < 4.0, "a voice of {alone} dB comes through at {heard} dB");
    }
}

#[test]
fn without_playback_nothing_is_an_echo() {
    let heard = speech(9, 3_000, 10_000.0);
    let mut remover = EchoRemover::default();
    let all = removed(&mut remover, 0, &[], &heard);
    assert!(all.iter().zip(heard.chunks_exact(FRAME)).all(|((left, view), came)| left == came && !view.is_echo));
    // Nor does what was taken back come back.
    remover.played(Millis(3_000), &speech(10, 200, 20_000.0));
    remover.taken_back(Millis(3_000));
    assert_eq!(remover.heard(Millis(3_900), &heard[..FRAME]), EchoView::default());
}

#[test]
fn clocks_that_jump_do_no_harm() {
    let mut remover = EchoRemover::default();
    let pcm = speech(1, 20, 10_000.0);
    for at in [0, 60, u32::MAX - 100, 5, 1_000_000, 900_000, u32::MAX] {
        remover.played(Millis(at), &pcm);
        remover.heard(Millis(at), &pcm);
        remover.taken_back(Millis(at.wrapping_add(7)));
        assert!(remover.played.samples.len() <= KEPT + FRAME);
    }
}

#[test]
fn frames_of_any_length_are_taken() {
    let mut remover = EchoRemover::default();
    let played = speech(1, 3_000, 20_000.0);
    for (n, at) in [0usize, 1, 159, 160, 161, 800, 1_600, 3_200].into_iter().zip((0..).step_by(200)) {
        remover.played(Millis(at), &played[..FRAME * 10]);
        let left = remover.heard(Millis(at), &played[..n]).without;
        assert!(left.is_none_or(|left| left.len() == n));
    }
}
