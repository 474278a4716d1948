//! What every recogniser must do, tried on all of them.

use std::sync::Arc;

use super::fake::{FakeStt, Step};
use super::{SpeechToText, SttError, Transcript, Utterance};
use crate::audio::units::{Millis, Probability};
use crate::engine::CancelFlag;

pub fn utterance(pcm: impl Into<Arc<[i16]>>) -> Utterance {
    Utterance {
        pcm: pcm.into(),
        at: Millis(5_000),
        hints: Arc::from([]),
        spoken: crate::engine::stt::Spoken::default(),
    }
}

fn hear(stt: &dyn SpeechToText, pcm: impl Into<Arc<[i16]>>) -> Transcript {
    stt.transcribe(&utterance(pcm), 1, &CancelFlag::new()).expect("it transcribes")
}

/// The contract of [`SpeechToText`]. `speech` is something this recogniser hears more than one word in, each time.
fn conforms(stt: &dyn SpeechToText, speech: &[i16]) {
    assert!(!stt.name().is_empty());
    for silence in [0, 33, 16_000] {
        let transcript = hear(stt, vec![0; silence]);
        assert_eq!((transcript.text.as_str(), transcript.words.len()), ("", 0));
        assert_eq!(transcript.confidence(), Probability::clamped(0.0));
    }
    for _ in 0..2 {
        let heard = hear(stt, speech);
        assert_eq!(heard.audio, utterance(speech).span());
        assert!(heard.words.len() > 1 && heard.confidence().get() > 0.3, "{heard:?}");
        let joined = heard.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(joined, heard.text);
        assert!(heard.words.iter().all(|word| word.start <= word.end && word.end <= heard.audio), "{heard:?}");
        assert!(heard.words.is_sorted_by_key(|word| word.start), "{heard:?}");
        assert_eq!(heard.text, heard.text.trim());
    }
    let cancelled = CancelFlag::new();
    cancelled.cancel();
    assert!(matches!(stt.transcribe(&utterance(speech), 2, &cancelled), Err(SttError::Cancelled)));
}

#[test]
fn the_fake_conforms() {
    conforms(&FakeStt::saying(["My kettle leaks.", "It still does."]), &[900; 24_000]);
}

#[test]
fn the_fake_follows_its_script() {
    let fake = FakeStt::new([Step::Unsure("My, um".to_owned(), -0.9), Step::Fail("no disk".to_owned())]);
    let unsure = hear(&fake, [900; 16_000]);
    assert_eq!(unsure.confidence(), Probability::clamped((-0.9f32).exp()));
    let failed = fake.transcribe(&utterance([900; 16_000]), 1, &CancelFlag::new());
    assert!(matches!(failed, Err(SttError::Engine(reason)) if reason == "no disk"));
    assert_eq!(hear(&fake, [900; 8_000]).text, "", "the script is over");
    assert_eq!(fake.heard(), [Millis(1_000), Millis(1_000), Millis(500)]);
}

#[cfg(feature = "whisper")]
mod real {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::*;
    use crate::audio::wav;
    use crate::engine::stt::whisper::Whisper;

    fn whisper() -> Whisper {
        let home = std::env::var_os("HOME").expect("a home folder");
        let model = PathBuf::from(home).join(".cache/warmline/models/whisper-base.ggml.bin");
        Whisper::load(&model, "en", 1).expect("the model is fetched")
    }

    fn recording(name: &str) -> Vec<i16> {
        let folder = Path::new("/usr/share/pocketsphinx/test/data");
        wav::read(&folder.join(name)).expect("pocketsphinx-testdata is installed")
    }

    #[test]
    #[ignore = "needs the model whisper-base (`warmline models fetch`) and pocketsphinx-testdata"]
    fn whisper_conforms() {
        let whisper = whisper();
        assert_eq!(whisper.name(), "whisper-base");
        conforms(&whisper, &recording("librivox/sense_and_sensibility_01_austen_64kb-0880.wav"));
    }

    #[test]
    #[ignore = "needs the model whisper-base (`warmline models fetch`) and pocketsphinx-testdata"]
    fn whisper_hears_the_words_where_they_are() {
        let speech = recording("librivox/sense_and_sensibility_01_austen_64kb-0930.wav");
        let late: Vec<i16> = [vec![0; 32_000], speech, vec![0; 16_000]].concat();
        let heard = hear(&whisper(), late);
        assert_eq!(heard.text, "He might even have been made amiable himself.");
        let (first, last) = (&heard.words[0], &heard.words[7]);
        assert!((1_900..2_700).contains(&first.start.0), "{first:?}");
        assert!((4_300..5_500).contains(&last.end.0), "{last:?}");
    }

    #[test]
    #[ignore = "needs the model whisper-base (`warmline models fetch`)"]
    fn whisper_hears_nothing_in_noise_and_tones() {
        use crate::engine::vad::conformance::{noise, tone};
        let whisper = whisper();
        for pcm in [noise(-45.0, 1_500), noise(-20.0, 2_500), tone(440.0, -20.0, 2_000), tone(1_477.0, -12.0, 700)] {
            let heard = hear(&whisper, pcm);
            assert_eq!((heard.text.as_str(), heard.words.len()), ("", 0), "{heard:?}");
        }
    }

    #[test]
    #[ignore = "needs the model whisper-base (`warmline models fetch`) and pocketsphinx-testdata"]
    fn a_cancelled_decode_stops_and_its_state_is_used_again() {
        let (whisper, cancel) = (whisper(), CancelFlag::new());
        let long: Vec<i16> = recording("librivox/sense_and_sensibility_01_austen_64kb-0870.wav").repeat(3);
        std::thread::scope(|scope| {
            let decode = scope.spawn(|| whisper.transcribe(&utterance(long), 1, &cancel));
            std::thread::sleep(Duration::from_millis(80));
            cancel.cancel();
            assert!(matches!(decode.join().expect("no panic"), Err(SttError::Cancelled)));
        });
        // The state it was cancelled in serves the next.
        assert!(!hear(&whisper, recording("librivox/sense_and_sensibility_01_austen_64kb-0880.wav")).text.is_empty());
    }

    #[test]
    #[ignore = "needs the model whisper-base (`warmline models fetch`) and pocketsphinx-testdata"]
    fn hints_bias_the_words_and_any_number_of_them_is_taken() {
        let whisper = whisper();
        let speech = utterance(recording("cards/005.wav"));
        let suits = ["clubs", "spades", "hearts", "diamonds"].map(str::to_owned);
        let many: Vec<String> = suits.into_iter().chain((0..500).map(|n| format!("word {n}\0"))).collect();
        let hinted = Utterance { hints: many[..4].into(), ..speech.clone() };
        let flooded = Utterance { hints: many.into(), ..speech.clone() };
        let hear =
            |utterance: &Utterance| whisper.transcribe(utterance, 2, &CancelFlag::new()).expect("transcribed").text;
        assert!(!hear(&speech).contains("of clubs"), "{}", hear(&speech));
        assert!(hear(&hinted).contains("four of clubs"), "{}", hear(&hinted));
        assert!(hear(&flooded).contains("of spades"), "{}", hear(&flooded));
    }

    #[test]
    fn what_can_not_be_loaded_is_named() {
        let missing = Whisper::load(Path::new("no/such/model.bin"), "en", 1).err().expect("no such file").to_string();
        assert_eq!(missing, "speech model `no/such/model.bin` could not be loaded: no such file");
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let language = Whisper::load(file.path(), "xx", 1).err().expect("no such language").to_string();
        assert!(language.contains("no language `xx`"), "{language}");
        let empty = Whisper::load(file.path(), "en", 1).err().expect("no model").to_string();
        assert!(empty.contains(&file.path().display().to_string()), "{empty}");
    }
}
