//! What every voice must do, run over all of them; a voice that isn't installed is left out and said so.

use std::ops::ControlFlow;

use super::fake::FakeVoice;
use super::program::ProgramVoice;
use super::{TextToSpeech, TtsError};
use crate::audio::units::SampleRate;
use crate::engine::CancelFlag;

const SENTENCE: &str = "Your order was shipped yesterday and should arrive tomorrow.";

fn speak(voice: &dyn TextToSpeech, text: &str) -> Vec<Vec<i16>> {
    let mut chunks = Vec::new();
    let result = voice.speak(text, &CancelFlag::new(), &mut |chunk| {
        chunks.push(chunk.to_vec());
        ControlFlow::Continue(())
    });
    assert!(result.is_ok(), "{}: {text:?}: {result:?}", voice.name());
    chunks
}

fn check(voice: &dyn TextToSpeech) {
    let name = voice.name().to_owned();
    assert!(!name.is_empty());

    let sound = speak(voice, SENTENCE).concat();
    let seconds = SampleRate::WIDEBAND.span_of(sound.len()).0 as f32 / 1_000.0;
    assert!((1.5..8.0).contains(&seconds), "{name}: {seconds} s for {SENTENCE:?}");
    let loud = sound.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
    assert!(loud > sound.len() / 10, "{name}: hardly any sound");
    let onset = sound.iter().position(|sample| sample.unsigned_abs() > 300).expect("sound");
    assert!(onset < SampleRate::WIDEBAND.0 as usize / 10, "{name}: {onset} samples of dead air");
    let short = speak(voice, "Yes.").concat();
    assert!(!short.is_empty() && short.len() * 2 < sound.len(), "{name}: {} against {}", short.len(), sound.len());

    for nothing in ["", "   \n", "... !", "—"] {
        assert!(speak(voice, nothing).concat().is_empty(), "{name}: sound for {nothing:?}");
    }
    for odd in ["Wiesława", "東京", "a\u{0}b", "-v --help", "<b>&amp;", &"very ".repeat(120), "[x](y) $(z) `w`"] {
        assert!(speak(voice, odd).iter().all(|chunk| !chunk.is_empty()), "{name}: an empty chunk for {odd:?}");
    }

    let mut chunks = 0;
    let stopped = voice.speak(SENTENCE, &CancelFlag::new(), &mut |_| {
        chunks += 1;
        ControlFlow::Break(())
    });
    assert!(stopped.is_ok() && chunks == 1, "{name}: {chunks} chunks after the listener left: {stopped:?}");

    let cancelled = CancelFlag::new();
    cancelled.cancel();
    let result = voice.speak(SENTENCE, &cancelled, &mut |_| panic!("{name}: sound after it was cancelled"));
    assert!(matches!(result, Err(TtsError::Cancelled)), "{name}: {result:?}");

    std::thread::scope(|scope| {
        let readings: Vec<_> =
            (0..4).map(|_| scope.spawn(|| speak(voice, "At the same time.").concat().len())).collect();
        for reading in readings {
            assert!(reading.join().expect("no panic") > 0, "{name}");
        }
    });
    assert_eq!(voice.name(), name);
}

#[test]
fn the_fake_voice_conforms() {
    check(&FakeVoice::new());
}

#[test]
fn installed_programs_conform() {
    match ProgramVoice::find() {
        Ok(voice) => check(&voice),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

#[cfg(feature = "onnx")]
#[test]
fn the_piper_voice_conforms() {
    if let Some(voice) = super::piper::tests::steady_voice(2) {
        check(&voice);
    }
}
