//! Is what we say understood, and how soon does it begin? Measured on the real voice; nothing runs if it isn't fetched.
//!
//! ```text
//! text ─▶ speakable ─▶ Piper ─▶ 8 kHz µ-law and back ─▶ Whisper ─▶ words, against the words meant
//! cargo test --release --features whisper --lib engine::tts::measure -- --ignored --nocapture --test-threads 1
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::piper::tests::fetched_voice;
use super::voice::{Voice, VoiceOptions};
use crate::dialog::speakable::speakable;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, Priority};

/// What a support desk says: numbers, prices, times, names, codes.
const SENTENCES: [&str; 20] = [
    "Your order was shipped yesterday and should arrive tomorrow.",
    "The refund of $42 will reach your account within 3 to 5 business days.",
    "We are open Monday to Friday from 9am to 5pm.",
    "Could you please tell me the order number or your name?",
    "I am sorry, but I do not have that information.",
    "Let me connect you with a colleague who can help you with this.",
    "Your appointment is on November 23rd at 10 o'clock.",
    "The warranty covers parts and labor for 2 years from the date of purchase.",
    "You can return any item within 30 days if it is unused.",
    "Please press zero at any time to reach a person.",
    "The blue kettle is out of stock until next Thursday.",
    "Delivery to Ireland costs €12 and takes about a week.",
    "To reset the router, hold the small button for 10 seconds.",
    "Your invoice number is 20418 and the total is $199.",
    "Thank you for calling Larkfield, how can I help you today?",
    "There are two people ahead of you in the queue.",
    "I have sent the confirmation to your email address.",
    "The discount is 15% for orders above $100.",
    "Is there anything else I can do for you?",
    "A technician will visit you between 8 and 12 in the morning.",
];

fn words(text: &str) -> Vec<String> {
    let said = speakable(text).to_lowercase().replace('-', " ");
    said.split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Fewest words to insert, drop or replace to make `heard` of `meant`.
fn word_errors(meant: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in meant.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[heard.len()]
}

#[test]
fn word_errors_are_counted_as_edits() {
    let split = |text: &str| words(text);
    assert_eq!(word_errors(&split("a b c d"), &split("a x c")), 2);
    assert_eq!(word_errors(&split("one two"), &split("1, 2!")), 0);
    assert_eq!(word_errors(&[], &split("a b")), 2);
    assert_eq!(word_errors(&split("a b"), &[]), 2);
}

#[cfg(feature = "whisper")]
mod heard {
    use std::ops::ControlFlow;

    use super::super::TextToSpeech;
    use super::super::piper::tests::steady_voice;
    use super::super::program::ProgramVoice;
    use super::*;
    use crate::audio::g711::{decode_ulaw, encode_ulaw};
    use crate::audio::resample::resample_all;
    use crate::audio::units::{Millis, SampleRate};
    use crate::config::{ModelsConfig, SttConfig};
    use crate::engine::stt::whisper::Whisper;
    use crate::engine::stt::{SpeechToText, Utterance};
    use crate::models::{self, ModelKind};

    fn recogniser() -> Option<Whisper> {
        let config = SttConfig::default();
        match models::locate(&ModelsConfig::default(), &config.model, ModelKind::Stt) {
            Ok(path) => Some(Whisper::load(&path, &config.language, 1).expect("a recogniser")),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    /// What a recogniser makes of `pcm`, 16 kHz, after it went over the telephone.
    fn over_the_telephone(recogniser: &Whisper, pcm: &[i16]) -> String {
        let (wide, narrow) = (SampleRate::WIDEBAND, SampleRate::NARROWBAND);
        let mut coded = Vec::new();
        encode_ulaw(&resample_all(pcm, wide, narrow).expect("known rates"), &mut coded);
        let mut decoded = Vec::new();
        decode_ulaw(&coded, &mut decoded);
        let pcm = resample_all(&decoded, narrow, wide).expect("known rates");
        let utterance = Utterance {
            pcm: pcm.into(),
            at: Millis::ZERO,
            hints: Arc::new([]),
            spoken: crate::engine::stt::Spoken::default(),
        };
        recogniser.transcribe(&utterance, 1, &CancelFlag::new()).expect("a transcript").text
    }

    fn say(voice: &dyn TextToSpeech, text: &str) -> Vec<i16> {
        let mut pcm = Vec::new();
        let result = voice.speak(&speakable(text), &CancelFlag::new(), &mut |chunk| {
            pcm.extend_from_slice(chunk);
            ControlFlow::Continue(())
        });
        result.expect("speech");
        pcm
    }

    fn round_trip(voice: &dyn TextToSpeech, recogniser: &Whisper, sentences: &[&str]) -> (usize, usize, usize) {
        let (mut errors, mut total, mut exact) = (0, 0, 0);
        for sentence in sentences {
            let text = over_the_telephone(recogniser, &say(voice, sentence));
            let (meant, heard) = (words(sentence), words(&text));
            let wrong = word_errors(&meant, &heard);
            if wrong > 0 {
                eprintln!("meant {sentence:?}\nheard {text:?}");
            }
            (errors, total, exact) = (errors + wrong, total + meant.len(), exact + usize::from(wrong == 0));
        }
        (errors, total, exact)
    }

    #[test]
    fn what_is_said_is_understood_over_the_telephone() {
        let (Some(voice), Some(recogniser)) = (steady_voice(1), recogniser()) else { return };
        let (errors, total, _) = round_trip(&voice, &recogniser, &SENTENCES[..5]);
        assert!(errors * 7 < total, "{errors} of {total} words were not understood");
    }

    #[test]
    #[ignore = "a measurement of a minute; prints its numbers"]
    fn word_error_rate() {
        let (Some(voice), Some(recogniser)) = (fetched_voice(1), recogniser()) else { return };
        let mut voices: Vec<Box<dyn TextToSpeech>> = vec![Box::new(voice)];
        voices.extend(ProgramVoice::find().ok().map(|voice| Box::new(voice) as _));
        for voice in voices {
            let (errors, total, exact) = round_trip(&*voice, &recogniser, &SENTENCES);
            let rate = 100.0 * errors as f64 / total as f64;
            eprintln!(
                "{}: {rate:.1} % of {total} words wrong, {exact} of {} sentences exact",
                voice.name(),
                SENTENCES.len()
            );
        }
    }
}

/// Several callers at once, each saying every sentence back to back. First-audio times and synthesis time over sound.
async fn callers(voice: &Voice, count: usize) -> (Vec<Duration>, f64) {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..count {
        let voice = voice.clone();
        tasks.spawn(async move {
            let (mut firsts, mut sound) = (Vec::new(), Duration::ZERO);
            for (nth, sentence) in SENTENCES.iter().enumerate() {
                // A text of its own for each caller: nothing comes from the cache.
                let text = speakable(&format!("{sentence} {caller} {nth}"));
                let (out, mut heard) = mpsc::channel(4);
                let speaking = voice.speak(text, Priority::FirstAudio, CancelFlag::new(), out);
                let listening = async { while heard.recv().await.is_some() {} };
                let clip = tokio::join!(speaking, listening).0.expect("speech");
                firsts.push(clip.first_audio);
                sound += clip.span.duration();
            }
            (firsts, sound)
        });
    }
    let (mut firsts, mut sound) = (Vec::new(), Duration::ZERO);
    while let Some(done) = tasks.join_next().await {
        let (some, span) = done.expect("no panic");
        firsts.extend(some);
        sound += span;
    }
    firsts.sort();
    (firsts, begun.elapsed().as_secs_f64() / sound.as_secs_f64())
}

#[tokio::test]
#[ignore = "a measurement of a minute; prints its numbers"]
async fn first_audio_and_pace() {
    let begun = Instant::now();
    let Some(engine) = fetched_voice(2) else { return };
    eprintln!("loaded and warmed in {:?}", begun.elapsed());
    let engine = Arc::new(engine);
    let options = VoiceOptions { workers: 2, cache_bytes: 0, patience: Duration::from_secs(60) };
    for count in [1, 2, 4, 8] {
        let voice = Voice::new(engine.clone(), CpuBudget::new(2), options.clone());
        let (firsts, pace) = callers(&voice, count).await;
        let at = |percent: usize| firsts[(firsts.len() - 1) * percent / 100].as_millis();
        eprintln!(
            "{count} at once: first audio p50 {} ms, p95 {} ms; {pace:.3} s of time for 1 s of sound; n={}",
            at(50),
            at(95),
            firsts.len()
        );
    }
}
