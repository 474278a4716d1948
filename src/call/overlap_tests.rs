use super::*;
use crate::audio::units::SampleRate;

const FRAME: usize = 320;

fn rules() -> OverlapRules {
    OverlapRules::new(Probability::clamped(0.5), Millis(320))
}

/// A voice of changing vowels.
fn voice(ms: u32) -> Vec<i16> {
    let sample = |n: usize| {
        let t = n as f32 / 16_000.0;
        let vowel = (t * 6.0) as usize % 3;
        let (low, high) = [(300.0, 2_200.0), (700.0, 1_200.0), (500.0, 1_700.0)][vowel];
        let pitch = |k: f32| (std::f32::consts::TAU * 120.0 * k * t).sin();
        let near = |k: f32, f: f32| 1.0 / (1.0 + ((k * 120.0 - f) / 150.0).powi(2));
        // Between two words there is a gap.
        let loud = if t % 0.45 > 0.4 { 0.0 } else { 4_000.0 };
        let sum: f32 = (1..28).map(|k| k as f32).map(|k| pitch(k) * (near(k, low) + 0.6 * near(k, high))).sum();
        (sum * loud) as i16
    };
    (0..SampleRate::WIDEBAND.samples_in(Millis(ms))).map(sample).collect()
}

struct Line {
    overlap: Overlap,
    at: Millis,
}

impl Line {
    fn new() -> Self {
        let mut line = Self { overlap: Overlap::new(rules()), at: Millis::ZERO };
        line.hear(&vec![0; 16 * 400], 0.0, true);
        line
    }

    fn hear(&mut self, pcm: &[i16], voice: f32, open: bool) -> Vec<(u32, OverlapEvent)> {
        let begin = self.at;
        let mut all = Vec::new();
        for frame in pcm.chunks_exact(FRAME) {
            let mut events = Vec::new();
            self.overlap.heard(frame, Probability::clamped(voice), false, open, &mut events);
            self.at = self.at + Millis(20);
            all.extend(events.into_iter().map(|event| (self.at.saturating_sub(begin).0, event)));
        }
        all
    }
}

#[test]
fn a_voice_ducks_at_once_pauses_us_soon_and_stops_us_when_it_goes_on() {
    let events = Line::new().hear(&voice(2_200), 0.9, true);
    assert_eq!(events, [(20, OverlapEvent::Duck), (320, OverlapEvent::Pause), (1_920, OverlapEvent::Stop)]);
}

#[test]
fn a_voice_noticed_late_pauses_us_as_soon_as_one_noticed_at_once() {
    let events = |late: usize, sound: Vec<i16>| {
        let mut line = Line::new();
        let mut events = line.hear(&sound[..16 * late], 0.1, true);
        events
            .extend(line.hear(&sound[16 * late..], 0.9, true).into_iter().map(|(at, event)| (at + late as u32, event)));
        events.into_iter().find(|(_, event)| *event == OverlapEvent::Pause).map(|(at, _)| at)
    };
    assert_eq!(events(120, voice(1_000)), Some(320), "what was loud before belongs to it");
    assert_eq!(events(240, voice(1_000)), Some(400), "but half of it must be voice");
    let cough = [voice(200), vec![0; 16 * 120], voice(400)].concat();
    assert_eq!(events(320, cough), Some(640), "and nothing before a pause counts");
}

#[test]
fn what_paused_us_is_not_forgotten_until_it_is_settled() {
    let mut line = Line::new();
    line.hear(&voice(400), 0.9, true);
    assert!(line.hear(&vec![0; 16 * 900], 0.0, true).is_empty(), "words decide");
    line.overlap.settled();
    let again = line.hear(&voice(400), 0.9, true);
    assert_eq!(again, [(20, OverlapEvent::Duck), (320, OverlapEvent::Pause)], "we went on, and so do they");
}

#[test]
fn a_click_and_a_short_sound_only_duck() {
    let mut line = Line::new();
    let click: Vec<i16> = (0..320).map(|n| if n < 80 { [20_000, -20_000][n / 3 % 2] } else { 0 }).collect();
    let mut events = line.hear(&click, 0.1, true);
    events.extend(line.hear(&vec![0; 16 * 400], 0.0, true));
    assert!(matches!(events[..], [(_, OverlapEvent::Duck), (_, OverlapEvent::Resume)]), "{events:?}");
    let mut events = line.hear(&voice(120), 0.9, true);
    events.extend(line.hear(&vec![0; 16 * 400], 0.0, true));
    assert!(matches!(events[..], [(_, OverlapEvent::Duck), (_, OverlapEvent::Resume)]), "{events:?}");
}

#[test]
fn nothing_is_stopped_that_may_not_be() {
    let mut line = Line::new();
    assert!(line.hear(&voice(2_000), 0.9, false).is_empty());
    line.hear(&voice(60), 0.9, true);
    let events = line.hear(&voice(100), 0.9, false);
    assert_eq!(events, [(20, OverlapEvent::Resume)], "playback ended meanwhile");
}

#[test]
fn the_length_of_the_configuration_decides_how_soon() {
    let pause_after = |barge_in| {
        let mut line = Line::new();
        line.overlap = Overlap::new(OverlapRules::new(Probability::clamped(0.5), Millis(barge_in)));
        line.hear(&vec![0; 16 * 400], 0.0, true);
        let events = line.hear(&voice(3_000), 0.9, true);
        events.iter().find(|(_, event)| *event == OverlapEvent::Pause).expect("pauses").0
    };
    assert_eq!([100, 320, 1_000].map(pause_after), [100, 320, 1_000]);
}

#[test]
fn our_echo_makes_nothing_quiet() {
    let mut overlap = Line::new().overlap;
    let mut events = Vec::new();
    for frame in voice(2_000).chunks_exact(FRAME) {
        overlap.heard(frame, Probability::default(), true, true, &mut events);
    }
    assert!(events.is_empty(), "{events:?}");
}
