//! Does this text come from the sound? Checks against what Whisper makes up: loops, endless text, phrases from subtitles on
//! noise, the hints it was given. PURE.
//!
//! A finding is a reason to decode again with more context, and to throw the text away if it stands. The limits come from
//! 149 recordings of speech (half of them single words) and 46 of noise, tones and clicks, by Whisper base.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::audio::units::{Millis, Probability};

/// Text that compresses better than this repeats itself; speech stays below 2.
const MAX_COMPRESSION: f32 = 2.4;
/// Probability of no speech that short words said clearly reach now and then (0.64 at most) and noise nearly always
/// exceeds (0.53 at least): a sign that needs a second one.
const MAYBE_NO_SPEECH: f32 = 0.5;
/// From this on words said clearly are sure (-0.3 at least), and what is not is invented.
const NO_SPEECH: f32 = 0.57;
/// Mean log-probability that is the second sign then.
const INVENTED_THEN: f32 = -0.55;
/// Probability of no speech that is a second sign for the name of a sound, and the mean log-probability that is one.
const SOUND_NAMED: (f32, f32) = (0.25, -0.9);
/// The same for speech that is hardly loud enough to be any.
const MAYBE_NO_SPEECH_IF_FAINT: f32 = 0.25;
/// Louder than this is not faint; speech on a bad line is at -45.
const FAINT_DBFS: f32 = -48.0;
/// Mean log-probability that is the second sign: text invented for noise is below, speech above -1.1 whenever the
/// probability of no speech is high.
const INVENTED: f32 = -1.15;
/// Letters a second that hurried speech reaches, and what is said twice with a breath between does not.
const LETTERS_TWICE: f32 = 13.0;
/// Letters a second of a phrase that fills its sound when said once.
const LETTERS_ONCE: std::ops::RangeInclusive<f32> = 7.0..=22.0;
/// A shorter phrase is said over and over by callers, too.
const PHRASE: (usize, usize) = (2, 8);
/// Kept around a sound.
const MARGINS_S: f32 = 0.2;
/// Mean log-probability of a text nobody should act on, whatever made it.
const HOPELESS: f32 = -1.5;

/// What Whisper learnt from subtitles and says to noise and silence. Callers say some of these too: only with evidence.
const SUBTITLES: &[&str] = &[
    "thank you",
    "thanks",
    "thank you very much",
    "thank you so much",
    "thanks for watching",
    "thank you for watching",
    "thanks for watching and see you next time",
    "please subscribe",
    "like and subscribe",
    "see you next time",
    "see you in the next video",
    "see you",
    "subtitles by",
    "subtitles by the amara org community",
    "transcribed by",
    "the end",
    "to be continued",
    "bye",
    "bye bye",
    "goodbye",
    "you",
    "so",
    "okay",
    "ok",
    "oh",
    "ah",
    "uh",
    "um",
    "mm",
    "hmm",
    "hm",
    "yeah",
    "yes",
    "no",
    "i",
    "the",
    "and",
    "a",
    "i'm sorry",
    "sorry",
    "music",
    "silence",
    "applause",
    "beep",
    "phone ringing",
    "foreign",
    "wow",
    "shh",
    "psst",
    "whoosh",
    "woo",
    "hello",
    "hey",
    "hi",
    "what",
    "right",
];

/// Names of sounds, which Whisper writes for the sound itself.
const SOUNDS: &[&str] = &[
    "beep", "bip", "boop", "ring", "buzz", "click", "clack", "ding", "dong", "bang", "boom", "pop", "tick", "tock",
    "knock", "thud", "whirr", "arr", "woof", "meow", "ha",
];

/// One decode, as the guards see it.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// What was recognised.
    pub text: &'a str,
    /// Mean natural logarithm of the probabilities of its tokens.
    pub avg_logprob: f32,
    /// Probability that there is no speech.
    pub no_speech: Probability,
    /// Length of the sound.
    pub sound: Millis,
    /// Loudness of its loud parts.
    pub dbfs: f32,
    /// The decoder was stopped by its token budget.
    pub out_of_budget: bool,
    /// What the decoder was told to expect.
    pub hints: &'a [String],
}

/// Why a text is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It says the same again and again.
    Loop,
    /// It says the same twice, in the time of once.
    Doubled,
    /// Nobody speaks that fast.
    TooLong,
    /// The recogniser itself doubts that there is speech, or does not know at all what it is.
    NoSpeech,
    /// A sound written out ("Grrr"), or named and doubted ("Beep").
    Sound,
    /// A phrase of subtitles, and a sign that there is little to hear.
    Subtitle,
    /// Nothing but the hints.
    HintEcho,
}

impl Finding {
    /// Label for records and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Doubled => "doubled",
            Self::TooLong => "too_long",
            Self::NoSpeech => "no_speech",
            Self::Sound => "sound",
            Self::Subtitle => "subtitle",
            Self::HintEcho => "hint_echo",
        }
    }
}

impl Candidate<'_> {
    /// True unless the recogniser itself heard no speech: more context finds no words in noise, and takes long not to.
    pub fn another_decode_may_help(&self) -> bool {
        self.no_speech.get() <= MAYBE_NO_SPEECH
    }
}

/// The first reason not to believe `candidate`, if there is one.
pub fn inspect(candidate: &Candidate<'_>) -> Option<Finding> {
    let words = words(candidate.text);
    if words.is_empty() {
        return None;
    }
    let seconds = candidate.sound.0 as f32 / 1_000.0;
    if doubled(&words, seconds) {
        return Some(Finding::Doubled);
    }
    if loops(&words) || compression_ratio(candidate.text) > MAX_COMPRESSION {
        return Some(Finding::Loop);
    }
    // Hurried English is 4.5 words and 25 characters a second; a single word may be longer than the sound suggests.
    let too_many_words = words.len() as f32 > 3.0 + 6.0 * seconds;
    let too_many_letters = candidate.text.chars().count() as f32 > 16.0 + 32.0 * seconds;
    if candidate.out_of_budget || too_many_words || too_many_letters {
        return Some(Finding::TooLong);
    }
    let no_speech = candidate.no_speech.get();
    if candidate.avg_logprob < HOPELESS || (no_speech > MAYBE_NO_SPEECH && candidate.avg_logprob < INVENTED) {
        return Some(Finding::NoSpeech);
    }
    if no_speech > NO_SPEECH && candidate.avg_logprob < INVENTED_THEN {
        return Some(Finding::NoSpeech);
    }
    let doubted = no_speech > SOUND_NAMED.0 || candidate.avg_logprob < SOUND_NAMED.1;
    if words.iter().all(|word| written_sound(word) || (doubted && SOUNDS.contains(&word.as_str()))) {
        return Some(Finding::Sound);
    }
    let faint = candidate.dbfs < FAINT_DBFS && no_speech > MAYBE_NO_SPEECH_IF_FAINT;
    if (no_speech > MAYBE_NO_SPEECH || faint) && SUBTITLES.contains(&words.join(" ").as_str()) {
        return Some(Finding::Subtitle);
    }
    let of_hints = echoes(&words, candidate.hints);
    (of_hints >= 2 || (of_hints == 1 && no_speech > MAYBE_NO_SPEECH)).then_some(Finding::HintEcho)
}

/// How many words of `text` were said, when the recogniser wrote one phrase over and over (the last time perhaps not to its
/// end) and the phrase, said once, fills the sound. Words here are those between spaces.
pub fn said_once(text: &str, sound: Millis) -> Option<usize> {
    let said: Vec<String> = text.split_whitespace().map(|word| words(word).concat()).collect();
    let length = (PHRASE.0..=said.len() / 2).find(|length| said.iter().zip(&said[*length..]).all(|(a, b)| a == b))?;
    let letters = said[..length].iter().map(|word| word.chars().count()).sum::<usize>();
    let seconds = (sound.0 as f32 / 1_000.0 - MARGINS_S).max(0.1);
    (letters >= PHRASE.1 && LETTERS_ONCE.contains(&(letters as f32 / seconds))).then_some(length)
}

/// Length of `text` over its length compressed with zlib, as Whisper's authors define it; 0 for no text.
pub fn compression_ratio(text: &str) -> f32 {
    if text.is_empty() {
        return 0.0;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("writing to memory succeeds");
    text.len() as f32 / encoder.finish().expect("writing to memory succeeds").len() as f32
}

/// Takes out what describes a sound and is not speech: `[BLANK_AUDIO]`, `(music)`, `*sighs*`, `♪`.
pub fn without_descriptions(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut closing = None;
    for c in text.chars() {
        match (closing, c) {
            (Some(wanted), _) if c == wanted => closing = None,
            (Some(_), _) | (None, '♪' | '♫') => {}
            (None, '[') => closing = Some(']'),
            (None, '(') => closing = Some(')'),
            (None, '*') => closing = Some('*'),
            (None, _) => kept.push(c),
        }
    }
    let kept = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if kept.chars().any(char::is_alphanumeric) { kept } else { String::new() }
}

/// Lower case, without punctuation.
fn words(text: &str) -> Vec<String> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    text.split(|c: char| c.is_whitespace() || c == '-').map(bare).filter(|word| !word.is_empty()).collect()
}

/// A phrase said over and over. Callers repeat a word ("no, no, no") and dictate equal digits, but not like this.
fn loops(words: &[String]) -> bool {
    (1..=words.len() / 3).any(|length| {
        let most = match length {
            1 => 6,
            2 => 4,
            _ => 3,
        };
        let number = |phrase: &[String]| phrase.iter().all(|word| word.chars().all(|c| c.is_ascii_digit()));
        (0..words.len().saturating_sub(length * most - 1)).any(|start| {
            let phrase = &words[start..start + length];
            !number(phrase) && words[start..].chunks_exact(length).take_while(|chunk| chunk == &phrase).count() >= most
        })
    })
}

/// The same words twice, faster than anyone says a thing twice: callers repeat themselves in a second breath. `seconds`
/// includes the margins around the sound.
fn doubled(words: &[String], seconds: f32) -> bool {
    let (first, second) = words.split_at(words.len() / 2);
    let letters = words.iter().map(|word| word.chars().count()).sum::<usize>() as f32;
    words.len() >= 2 && first == second && letters > LETTERS_TWICE * (seconds - MARGINS_S).max(0.1)
}

/// No word has a letter three times in a row; addresses have.
fn written_sound(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    letters.windows(3).any(|run| run[0] == run[1] && run[1] == run[2] && run[0].is_alphabetic() && run[0] != 'w')
}

/// How many hints the text is made of, if of nothing else. A caller who says two names says something about them; one may
/// be an answer.
fn echoes(said: &[String], hints: &[String]) -> usize {
    let hints: Vec<Vec<String>> = hints.iter().map(|hint| words(hint)).collect();
    let mut rest = said;
    let mut count = 0;
    while !rest.is_empty() {
        let Some(hint) = hints.iter().find(|hint| !hint.is_empty() && rest.starts_with(hint)) else { return 0 };
        rest = &rest[hint.len()..];
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str) -> Candidate<'_> {
        Candidate {
            text,
            avg_logprob: -0.2,
            no_speech: Probability::clamped(0.05),
            sound: Millis(3_000),
            dbfs: -25.0,
            out_of_budget: false,
            hints: &[],
        }
    }

    #[test]
    fn plain_speech_passes() {
        for text in [
            "",
            "I would like to return a kettle, please.",
            "Thank you.",
            "No, no, no.",
            "No, no, no, no, no!",
            "My number is 0 0 0 0 0 0 0 7.",
            "It's L-A-R-K-F-I-E-L-D.",
            "I want a refund. I want a refund.",
            "Yes, yes, hello? Hello?",
        ] {
            assert_eq!(inspect(&candidate(text)), None, "{text:?}");
        }
    }

    #[test]
    fn a_phrase_written_over_and_over_that_fills_its_sound_once_was_said_once() {
        let order = "Where's my order? Where's my order? Where's my order? Where's";
        assert_eq!(said_once(order, Millis(1_135)), Some(3));
        assert_eq!(said_once("When will I get it? When will I get it?", Millis(1_400)), Some(5));
        for (text, sound) in [
            (order, 3_000),                                     // time enough to say it again
            (order, 500),                                       // nobody is that quick
            ("No, no, no, no, no, no, no.", 1_000),             // callers do
            ("Where's my order? And where's my order?", 1_135), // not the same
            ("one two one two one two", 900),                   // dictated
            ("", 1_000),
        ] {
            assert_eq!(said_once(text, Millis(sound)), None, "{text:?} in {sound} ms");
        }
    }

    #[test]
    fn loops_are_found() {
        for text in [
            "no no no no no no no",
            "and then and then and then and then",
            "I want to return it. I want to return it. I want to return it.",
            "So he said, I don't know, I don't know, I don't know, what",
        ] {
            let long = Candidate { sound: Millis(20_000), ..candidate(text) };
            assert_eq!(inspect(&long), Some(Finding::Loop), "{text:?}");
        }
        let twice = candidate("Ten of clubs. Ten of clubs.");
        assert_eq!(inspect(&Candidate { sound: Millis(1_100), ..twice.clone() }), Some(Finding::Doubled));
        assert_eq!(inspect(&Candidate { sound: Millis(2_200), ..twice }), None);
        let twice = candidate("Call forwarding. Call forwarding.");
        assert_eq!(inspect(&Candidate { sound: Millis(1_500), ..twice.clone() }), Some(Finding::Doubled));
        assert_eq!(inspect(&Candidate { sound: Millis(2_800), ..twice }), None);
        let twice = candidate("No, no!");
        assert_eq!(inspect(&Candidate { sound: Millis(700), ..twice }), None);
        let song = "la di da la di do la di da la do di la di do da la di la do da di la ".repeat(4);
        let long = Candidate { sound: Millis(20_000), ..candidate(&song) };
        assert_eq!(inspect(&long), Some(Finding::Loop));
    }

    #[test]
    fn nobody_speaks_that_fast() {
        let text = "I would like to return the kettle that I bought from you last week because it leaks";
        assert_eq!(inspect(&candidate(text)), None);
        assert_eq!(inspect(&Candidate { sound: Millis(900), ..candidate(text) }), Some(Finding::TooLong));
        assert_eq!(inspect(&Candidate { out_of_budget: true, ..candidate("Yes.") }), Some(Finding::TooLong));
        assert_eq!(inspect(&Candidate { sound: Millis(300), ..candidate("Unfortunately.") }), None);
    }

    #[test]
    fn phrases_of_subtitles_need_a_sign() {
        let thanks = candidate("Thank you.");
        let no_speech = Probability::clamped(0.6);
        assert_eq!(inspect(&Candidate { no_speech, ..thanks.clone() }), Some(Finding::Subtitle));
        assert_eq!(inspect(&Candidate { avg_logprob: -0.9, ..thanks.clone() }), None, "a mumbled thank you");
        assert_eq!(inspect(&Candidate { dbfs: -55.0, ..thanks.clone() }), None, "a quiet one");
        let no_speech = Probability::clamped(0.3);
        assert_eq!(inspect(&Candidate { dbfs: -55.0, no_speech, ..thanks }), Some(Finding::Subtitle));
        assert_eq!(inspect(&Candidate { dbfs: -55.0, no_speech, ..candidate("My kettle leaks.") }), None);
    }

    #[test]
    fn it_takes_two_signs_to_disbelieve_other_words() {
        let no_speech = Probability::clamped(0.55);
        let text = candidate("Thousand.");
        assert_eq!(inspect(&Candidate { no_speech, avg_logprob: -0.65, ..text.clone() }), None);
        let surer = Probability::clamped(0.64);
        assert_eq!(inspect(&Candidate { no_speech: surer, avg_logprob: -0.26, ..text.clone() }), None);
        assert_eq!(
            inspect(&Candidate { no_speech: surer, avg_logprob: -0.65, ..text.clone() }),
            Some(Finding::NoSpeech)
        );
        assert_eq!(inspect(&Candidate { avg_logprob: -1.35, ..text.clone() }), None);
        let both = Candidate { no_speech, avg_logprob: -1.3, ..text.clone() };
        assert_eq!((inspect(&both), both.another_decode_may_help()), (Some(Finding::NoSpeech), false));
        let hopeless = Candidate { avg_logprob: -1.6, ..text };
        assert_eq!((inspect(&hopeless), hopeless.another_decode_may_help()), (Some(Finding::NoSpeech), true));
    }

    #[test]
    fn sounds_are_no_words() {
        assert_eq!(inspect(&candidate("Grrrr.")), Some(Finding::Sound));
        assert_eq!(inspect(&candidate("Aaah! Mmm.")), Some(Finding::Sound));
        assert_eq!(inspect(&candidate("www.larkfield.example")), None);
        assert_eq!(inspect(&candidate("It went beep, beep.")), None);
        assert_eq!(inspect(&candidate("Beep.")), None, "the answer to: what did it say?");
        let no_speech = Probability::clamped(0.4);
        assert_eq!(inspect(&Candidate { no_speech, ..candidate("Beep, beep.") }), Some(Finding::Sound));
    }

    #[test]
    fn hints_alone_are_an_echo() {
        let hints = ["Larkfield".to_owned(), "Hob Kettle".to_owned()];
        let said = |text| inspect(&Candidate { hints: &hints, ..candidate(text) });
        assert_eq!(said("Larkfield, hob kettle."), Some(Finding::HintEcho));
        assert_eq!(said("Larkfield, Larkfield."), Some(Finding::HintEcho));
        assert_eq!(said("Larkfield."), None, "the answer to: which company?");
        let no_speech = Probability::clamped(0.6);
        let cough = Candidate { hints: &hints, no_speech, ..candidate("Larkfield.") };
        assert_eq!(inspect(&cough), Some(Finding::HintEcho));
        assert_eq!(said("The Larkfield hob kettle."), None);
    }

    #[test]
    fn descriptions_of_sounds_are_no_speech() {
        assert_eq!(without_descriptions("[BLANK_AUDIO]"), "");
        assert_eq!(without_descriptions(" (music) ♪♪ "), "");
        assert_eq!(without_descriptions("Hello? [beep]  I'm (coughs) here."), "Hello? I'm here.");
        assert_eq!(without_descriptions("*sighs*"), "");
        assert_eq!(without_descriptions(" . "), "");
        assert_eq!(without_descriptions("Unclosed [bracket"), "Unclosed");
    }

    #[test]
    fn text_that_repeats_itself_compresses_well() {
        assert_eq!(compression_ratio(""), 0.0);
        assert!(compression_ratio("I would like to return the kettle that I bought last week, please.") < 1.2);
        assert!(compression_ratio(&"thank you. ".repeat(30)) > 8.0);
    }
}
