//! Tests of the turn detector: scripts of voice and silence in, one line for each event out.

use proptest::prelude::*;

use super::*;

/// A stretch of the caller's stream.
#[derive(Clone, Copy, Debug)]
enum Part {
    Voice(u32),
    Silence(u32),
    /// Frames that never come.
    Lost(u32),
    /// The transcript of the newest speculation arrives.
    Looks(Completeness),
    /// Time passes without frames.
    Advance(u32),
    /// It was an echo.
    Discard,
    Finish,
}
use Part::*;

struct Caller {
    detector: TurnDetector,
    at: Millis,
    newest: Option<SpeculationId>,
    events: Vec<TurnEvent>,
}

impl Caller {
    fn new(config: &TurnConfig) -> Self {
        let detector = TurnDetector::new(config, Probability::clamped(0.5));
        Self { detector, at: Millis::ZERO, newest: None, events: Vec::new() }
    }

    fn frames(&mut self, ms: u32, voice: f32) {
        for _ in 0..ms / 20 {
            // The sample value says when it was heard, so that a test can tell which audio an utterance holds.
            let frame = AudioFrame::new(self.at, RATE, vec![(self.at.0 / 20) as i16; 320]);
            self.detector.push(&frame, Probability::clamped(voice), &mut self.events);
            self.at = self.at + Millis::FRAME;
        }
    }

    fn play(&mut self, part: Part) {
        match part {
            Voice(ms) => self.frames(ms, 0.9),
            Silence(ms) => self.frames(ms, 0.1),
            Lost(ms) => self.at = self.at + Millis(ms),
            Looks(looks) => {
                if let Some(TurnEvent::Speculate { id, .. }) =
                    self.events.iter().rev().find(|event| matches!(event, TurnEvent::Speculate { .. }))
                {
                    self.newest = Some(*id);
                }
                if let Some(id) = self.newest {
                    self.detector.transcript_looks(id, looks, &mut self.events);
                }
            }
            Advance(ms) => {
                self.at = self.at + Millis(ms);
                self.detector.advance(self.at, &mut self.events);
            }
            Discard => self.detector.discard(&mut self.events),
            Finish => self.detector.finish(&mut self.events),
        }
    }
}

fn lines(events: &[TurnEvent]) -> Vec<String> {
    let line = |event: &TurnEvent| match event {
        TurnEvent::SpeechStarted { at } => format!("started {}", at.0),
        TurnEvent::Speculate { id, audio } => format!("speculate {} {audio:?}", id.0),
        TurnEvent::SpeechResumed { id, at } => format!("resumed {} at {}", id.0, at.0),
        TurnEvent::TurnEnded { at, audio, speculation, end } => {
            let speculation = speculation.map_or("-".to_owned(), |id| id.0.to_string());
            format!("ended {} {audio:?} {speculation} {end:?}", at.0)
        }
        TurnEvent::WordsAwaited { id } => format!("awaits {}", id.0),
        TurnEvent::Discarded => "discarded".to_owned(),
    };
    events.iter().map(line).collect()
}

#[track_caller]
fn check_with(config: &TurnConfig, script: &[Part], expected: &[&str]) -> Vec<TurnEvent> {
    let mut caller = Caller::new(config);
    script.iter().for_each(|part| caller.play(*part));
    assert_eq!(lines(&caller.events), expected);
    caller.events
}

/// Far enough from the other times that an order of events shows.
fn config() -> TurnConfig {
    TurnConfig { speculate_ms: 180, ..TurnConfig::default() }
}

#[track_caller]
fn check(script: &[Part], expected: &[&str]) -> Vec<TurnEvent> {
    check_with(&config(), script, expected)
}

#[test]
fn a_sentence_is_speculated_on_and_then_ends() {
    let events = check(
        &[Silence(1_000), Voice(600), Silence(800)],
        &[
            "started 1000",
            "speculate 0 700..1780 (voice 1000..1600)",
            "ended 2300 700..1780 (voice 1000..1600) 0 Silence",
        ],
    );
    let [_, TurnEvent::Speculate { audio, .. }, TurnEvent::TurnEnded { audio: last, .. }] = &events[..] else {
        panic!("three events");
    };
    assert!(Arc::ptr_eq(&audio.pcm, &last.pcm), "the transcript of the speculation is that of the turn");
    assert_eq!((audio.pcm[0], audio.pcm.last()), (35, Some(&88)), "300 ms before the voice, 180 ms after it");
}

#[test]
fn a_finished_sentence_is_waited_for_less() {
    check(
        &[Voice(600), Silence(300), Looks(Completeness::Finished), Silence(300)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1060 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn a_transcript_that_comes_late_ends_the_turn_at_once() {
    check(
        &[Voice(600), Silence(600), Looks(Completeness::Finished)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1200 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn an_unfinished_sentence_is_waited_for_longer() {
    check(
        &[Voice(600), Silence(300), Looks(Completeness::Unfinished), Silence(800)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1660 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn voice_after_a_speculation_voids_it_and_its_transcript() {
    check(
        &[Voice(600), Silence(300), Voice(400), Silence(100), Looks(Completeness::Finished), Silence(700)],
        &[
            "started 0",
            "speculate 0 0..780 (voice 0..600)",
            "resumed 0 at 900",
            "speculate 1 0..1480 (voice 0..1300)",
            "ended 2000 0..1480 (voice 0..1300) 1 Silence",
        ],
    );
}

#[test]
fn a_click_does_not_void_a_speculation() {
    check(
        &[Voice(600), Silence(300), Voice(40), Silence(400)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1300 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn a_voice_that_begins_at_the_last_moment_is_not_cut_off() {
    check(
        &[Voice(600), Silence(680), Voice(400), Silence(700)],
        &[
            "started 0",
            "speculate 0 0..780 (voice 0..600)",
            "resumed 0 at 1280",
            "speculate 1 0..1860 (voice 0..1680)",
            "ended 2380 0..1860 (voice 0..1680) 1 Silence",
        ],
    );
}

#[test]
fn short_pauses_are_part_of_the_utterance() {
    check(
        &[Voice(300), Silence(160), Voice(300), Silence(700)],
        &["started 0", "speculate 0 0..940 (voice 0..760)", "ended 1460 0..940 (voice 0..760) 0 Silence"],
    );
}

#[test]
fn a_sound_too_short_for_speech_is_nothing() {
    check(&[Silence(400), Voice(100), Silence(2_000)], &[]);
}

#[test]
fn a_sound_too_short_for_speech_stays_in_the_lead_in() {
    check(
        &[Silence(400), Voice(80), Silence(120), Voice(200), Finish],
        &["started 600", "ended 800 300..800 (voice 600..800) - StreamEnded"],
    );
}

#[test]
fn a_weaker_voice_goes_on_but_does_not_begin() {
    let mut caller = Caller::new(&config());
    caller.frames(400, 0.4);
    assert!(!caller.detector.caller_speaks());
    caller.frames(200, 0.6);
    caller.frames(400, 0.4);
    assert!(caller.detector.caller_speaks());
    caller.frames(700, 0.3);
    assert!(!caller.detector.caller_speaks());
    let expected = "ended 1700 100..1180 (voice 400..1000) 0 Silence";
    assert_eq!(lines(&caller.events).last().map(String::as_str), Some(expected));
}

#[test]
fn what_was_no_caller_is_dropped() {
    check(&[Voice(600), Discard, Silence(900), Voice(80), Discard], &["started 0", "discarded"]);
    let long = ["started 0", "ended 1600 0..1600 (voice 0..1600) - StreamEnded"];
    check(&[Voice(1_600), Discard, Finish], &long);
}

#[test]
fn a_transcript_on_its_way_is_waited_for() {
    let mut caller = Caller::new(&config());
    let patience = Patience { tail: Millis(900), ..Patience::new(&config()) };
    caller.detector.set_patience(patience);
    [Voice(600), Silence(1_000)].iter().for_each(|part| caller.play(*part));
    assert_eq!(lines(&caller.events)[2..], ["awaits 0"]);
    caller.play(Looks(Completeness::Unclear));
    assert!(lines(&caller.events)[3].starts_with("ended 1600"), "with the transcript there is nothing to wait for");
    [Voice(600), Silence(1_400)].iter().for_each(|part| caller.play(*part));
    assert!(
        lines(&caller.events).last().expect("ended").starts_with("ended 3280"),
        "180 ms and 900 ms after the voice"
    );
}

#[test]
fn a_number_that_is_dictated_is_waited_for_longest() {
    check(
        &[Voice(600), Silence(300), Looks(Completeness::Dictating), Silence(800), Voice(300), Finish],
        &[
            "started 0",
            "speculate 0 0..780 (voice 0..600)",
            "resumed 0 at 1700",
            "ended 2000 0..2000 (voice 0..2000) - StreamEnded",
        ],
    );
}

#[test]
fn lost_frames_are_silence_and_leave_a_hole_in_the_audio() {
    let events = check(
        &[Voice(300), Lost(100), Voice(300), Finish],
        &["started 0", "ended 700 0..700 (voice 0..700) - StreamEnded"],
    );
    let Some(TurnEvent::TurnEnded { audio, .. }) = events.last() else { panic!("ended") };
    assert_eq!((audio.pcm.len(), audio.pcm[320 * 17], audio.pcm[320 * 20]), (700 * 16, 0, 20));
}

#[test]
fn a_long_loss_ends_the_turn_when_frames_come_back() {
    check(
        &[Voice(600), Lost(60_000), Silence(20)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1300 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn a_turn_ends_without_any_frames_when_time_is_told() {
    check(
        &[Voice(600), Advance(200), Advance(2_000)],
        &["started 0", "speculate 0 0..780 (voice 0..600)", "ended 1300 0..780 (voice 0..600) 0 Silence"],
    );
}

#[test]
fn late_and_repeated_frames_are_dropped() {
    let mut caller = Caller::new(&config());
    caller.frames(600, 0.9);
    caller.at = Millis(400);
    caller.frames(200, 0.9);
    assert_eq!(caller.at, Millis(600));
    caller.play(Finish);
    assert_eq!(lines(&caller.events), ["started 0", "ended 600 0..600 (voice 0..600) - StreamEnded"]);
}

#[test]
fn a_clock_that_begins_anew_ends_the_utterance_and_is_followed() {
    let mut caller = Caller::new(&config());
    caller.at = Millis(50_000);
    caller.frames(600, 0.9);
    caller.at = Millis::ZERO;
    caller.frames(200, 0.9);
    let expected = ["started 50000", "ended 50600 50000..50600 (voice 50000..50600) - StreamEnded", "started 0"];
    assert_eq!(lines(&caller.events), expected);
}

#[test]
fn an_endless_utterance_is_cut_and_goes_on_as_the_next() {
    let config = TurnConfig { max_utterance_s: 5, ..config() };
    check_with(
        &config,
        &[Voice(6_000), Finish],
        &[
            "started 0",
            "ended 5000 0..5000 (voice 0..5000) - TooLong",
            "started 5000",
            "ended 6000 5000..6000 (voice 5000..6000) - StreamEnded",
        ],
    );
}

#[test]
fn a_nearly_endless_utterance_is_cut_at_its_next_pause() {
    let config = TurnConfig { max_utterance_s: 5, ..config() };
    check_with(
        &config,
        &[Voice(4_200), Silence(200)],
        &["started 0", "speculate 0 0..4380 (voice 0..4200)", "ended 4380 0..4380 (voice 0..4200) 0 Silence"],
    );
}

#[test]
fn the_end_of_the_stream_ends_a_turn_but_no_mere_sound() {
    check(&[Voice(80), Finish, Finish], &[]);
    check(&[Voice(200), Finish, Finish], &["started 0", "ended 200 0..200 (voice 0..200) - StreamEnded"]);
}

fn part() -> impl Strategy<Value = Part> {
    let looks = prop_oneof![Just(Completeness::Finished), Just(Completeness::Unclear), Just(Completeness::Dictating)];
    prop_oneof![
        4 => (1u32..90).prop_map(|frames| Voice(frames * 20)),
        4 => (1u32..60).prop_map(|frames| Silence(frames * 20)),
        1 => Just(Discard),
        1 => (0u32..3_000).prop_map(Lost),
        1 => (0u32..3_000).prop_map(Advance),
        1 => looks.prop_map(Looks),
    ]
}

proptest! {
    /// Turns begin and end in turn, speculations are void or used, audio and times agree, nothing is endless.
    #[test]
    fn events_are_always_consistent(parts in prop::collection::vec(part(), 1..60)) {
        let config = TurnConfig { max_utterance_s: 5, ..config() };
        let mut caller = Caller::new(&config);
        parts.iter().chain([&Finish]).for_each(|part| caller.play(*part));
        prop_assert!(!caller.detector.caller_speaks());
        let mut speaking = false;
        let mut speculation = None;
        let mut last_end = Millis::ZERO;
        for event in &caller.events {
            match event {
                TurnEvent::SpeechStarted { at } => {
                    prop_assert!(!speaking && *at >= last_end);
                    speaking = true;
                }
                TurnEvent::Speculate { id, audio } => {
                    prop_assert!(speaking && speculation.is_none());
                    speculation = Some((*id, audio.clone()));
                }
                TurnEvent::SpeechResumed { id, .. } => {
                    prop_assert!(speaking);
                    prop_assert_eq!(speculation.take().map(|(id, _)| id), Some(*id));
                }
                TurnEvent::WordsAwaited { id } => {
                    prop_assert!(speaking);
                    prop_assert_eq!(speculation.as_ref().map(|(id, _)| *id), Some(*id));
                }
                TurnEvent::Discarded => {
                    prop_assert!(speaking, "nothing to discard");
                    (speaking, speculation) = (false, None);
                }
                TurnEvent::TurnEnded { at, audio, speculation: used, .. } => {
                    prop_assert!(speaking);
                    prop_assert_eq!(speculation.as_ref().map(|(id, _)| *id), *used);
                    if let Some((_, speculated)) = speculation.take() {
                        prop_assert_eq!(&speculated, audio);
                    }
                    let end = audio.at + RATE.span_of(audio.pcm.len());
                    prop_assert!(audio.at <= audio.first_voice_at && audio.first_voice_at < audio.last_voice_at);
                    prop_assert!(audio.last_voice_at <= end && end <= audio.last_voice_at + TAIL && end <= *at);
                    prop_assert!(RATE.span_of(audio.pcm.len()) <= Millis(5_000));
                    speaking = false;
                    last_end = *at;
                }
            }
        }
        prop_assert!(!speaking && speculation.is_none());
    }
}
