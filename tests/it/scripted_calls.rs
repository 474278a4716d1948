//! `warmline eval --audio`: a scripted call is spoken into the real server's socket, the reply is heard, and both are judged.
//! With engines made of tones everywhere; with the real ones where there are models.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use warmline::app::OwnEngines;
use warmline::audio::units::Millis;
use warmline::cli::eval::play::Said;
use warmline::cli::eval::scenario::{Scenario, Suite};
use warmline::cli::eval::score::judge;
use warmline::cli::eval::spoken::Stage;
use warmline::cli::eval::spoken::server::Server;
use warmline::cli::eval::spoken::studio::Studio;
use warmline::config::Config;
use warmline::engine::CancelFlag;
use warmline::engine::stt::fake::transcript;
use warmline::engine::stt::{SpeechToText, SttError, Transcript, Utterance};
use warmline::engine::tts::{TextToSpeech, TtsError};
use warmline::engine::vad::energy::EnergyVad;

use crate::support::front_desk::{
    ANSWER, ANSWER_HZ, ENTRY, QUESTION, QUESTION_HZ, SURE, VOICE_HZ, configuration, knowledge,
};
use crate::support::tones::{best_share, tone};

/// What each call opens with. Neither prompt nor notice makes the test longer.
const GREETING: &str = "Hello, this is an automated assistant. How can I help you?";
/// Silence after which a reply is over: much, because the machine is shared.
const PAUSE: Duration = Duration::from_millis(2_500);

/// A voice that says what holds a word with a tone of its own, and everything else with another.
struct Tones {
    word: &'static str,
    hertz: f32,
    others: f32,
}

impl TextToSpeech for Tones {
    fn speak(
        &self,
        text: &str,
        _: &CancelFlag,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let hertz = if text.contains(self.word) { self.hertz } else { self.others };
        let _ = sink(&tone(hertz, Millis(1_000)));
        Ok(())
    }

    fn name(&self) -> &str {
        "tones"
    }
}

/// Ears that know one tone.
struct Ears {
    hertz: f32,
    text: &'static str,
}

impl SpeechToText for Ears {
    fn transcribe(&self, utterance: &Utterance, _: usize, _: &CancelFlag) -> Result<Transcript, SttError> {
        let text = if best_share(&utterance.pcm, self.hertz) > 0.5 { self.text } else { "" };
        Ok(transcript(text, SURE, utterance.span()))
    }

    fn name(&self) -> &str {
        "tones"
    }
}

/// A configuration with one entry of knowledge and no language model.
fn config(folder: &TempDir, entry: &str, more: &str) -> Config {
    let text = format!(
        "[stt]\ndeadline_ms = 40000\n[recording]\nenabled = false\n\
         [dialog]\nknowledge_dir = {:?}\nembedding = \"\"\ngreeting = {GREETING:?}\n{more}",
        knowledge(folder, entry)
    );
    configuration(folder, &text)
}

/// Scenarios of a file.
fn scenarios(folder: &TempDir, yaml: &str) -> Vec<Scenario> {
    let file = folder.path().join("calls.yaml");
    std::fs::write(&file, yaml).expect("written");
    Suite::load(&[file]).expect("valid").scenarios
}

async fn stage_of_tones(folder: &TempDir) -> Stage {
    let config = config(folder, ENTRY, "[vad]\nengine = \"energy\"\n");
    let engines = OwnEngines {
        vad: Arc::new(EnergyVad),
        stt: Arc::new(Ears { hertz: QUESTION_HZ, text: QUESTION }),
        tts: Arc::new(Tones { word: "noon", hertz: ANSWER_HZ, others: VOICE_HZ }),
    };
    let server = Server::start(config.clone(), Some(engines), 1).await.expect("starts");
    let voice = Tones { word: "open", hertz: QUESTION_HZ, others: 440.0 };
    let studio = Studio::with(&config, Arc::new(Ears { hertz: ANSWER_HZ, text: ANSWER }), Arc::new(voice));
    Stage::new(server, studio.expect("a studio"), &config).expect("a stage").patient(PAUSE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scripted_call_is_spoken_heard_and_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenarios = scenarios(
        &folder,
        r#"
scenarios:
  - name: asks, then presses
    kind: explicit
    audio: { jitter_ms: 20 }
    turns:
      - { say: "Are you open on Sunday?", entry: entry, spoken: [noon], absent: [midnight], heard: ["open on Sunday"] }
      - { dtmf: "0", handoff: caller_pressed_zero, phrase: introduction }
      - { say: "Nobody hears this any more: it is for the person." }
  - name: wants what is not said
    kind: answerable
    agents: 0
    turns:
      - { say: "Are you open on Sunday?", entry: entry, spoken: [midnight], within_ms: 0 }
"#,
    );
    let mut stage = stage_of_tones(&folder).await;

    let played = stage.play(&scenarios[0]).await.expect("played");
    let verdict = judge(&scenarios[0], &played);
    let shown = serde_json::to_string_pretty(&played).expect("plain data, without the sound");
    assert!(verdict.problems.is_empty(), "{:?}\n{shown}", verdict.problems);
    assert_eq!((played.turns.len(), verdict.person_at), (2, Some(2)), "the third turn is not the assistant's");
    let [asked, pressed] = &played.turns[..] else { panic!("two turns") };
    assert_eq!((asked.caller.as_str(), pressed.caller.as_str()), (QUESTION, "[keys 0]"));
    assert_eq!(asked.said, [Said { text: ANSWER.to_owned(), fixed: None }]);
    assert!(asked.decision.as_ref().is_some_and(|decision| decision.outcome.is_answer()), "{shown}");
    let (heard, last) = (asked.sound.as_ref().expect("by voice"), pressed.sound.as_ref().expect("by voice"));
    assert_eq!((heard.transcribed.as_str(), last.transcribed.as_str()), (ANSWER, ""), "as the caller's ears hear it");
    assert!(best_share(&heard.caller, QUESTION_HZ) > 0.8 && best_share(&heard.reply, ANSWER_HZ) > 0.8);
    assert!(heard.response_ms.is_some() && last.response_ms.is_some());
    assert_eq!((heard.offer_ms.is_some(), last.offer_ms.is_some()), (false, true));

    // The same answer, wanted otherwise: the fact is missing, and nothing is so fast.
    let played = stage.play(&scenarios[1]).await.expect("played");
    let verdict = judge(&scenarios[1], &played);
    assert_eq!(played.turns[0].sound.as_ref().map(|sound| sound.transcribed.as_str()), Some(ANSWER));
    let named = |part: &str| verdict.problems.iter().any(|problem| problem.contains(part));
    assert!(verdict.problems.len() == 2 && named("a wrong statement") && named("0 are allowed"), "{verdict:?}");
    stage.server.stop().await;
}

/// The same with a voice, Whisper on both sides, and a room.
#[cfg(feature = "whisper")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "real models in real time: scripts/test"]
async fn a_scripted_call_of_real_speech_is_heard_on_both_sides() {
    const ROBOT: &str = r#"+++
title = "Robot"
keywords = ["robot", "meters", "metres"]
approved = "The robot needs forty five seconds to go ten meters."
also_asked = ["how long does the robot need for ten meters", "how long does the robot need for 10 meters"]
+++
The robot needs forty five seconds to go ten meters.
"#;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenarios = scenarios(
        &folder,
        "kind: answerable\naudio: { snr_db: 20 }\n\
         scenarios: [{ turns: [{ say: \"How long does the robot need for ten meters?\" }] }]\n",
    );
    let config = config(&folder, ROBOT, "");
    let server = Server::start(config.clone(), None, 1).await.expect("starts: scripts/test fetches the models");
    let studio = Studio::open(&config).await.expect("the same models once more");
    let mut stage = Stage::new(server, studio, &config).expect("a stage").patient(PAUSE);
    // Which words exactly is the models' business; that there are some of the right ones is ours. A machine that stalls tears
    // the sound of either side: then another call is placed.
    let has_one = |text: &str, words: &[&str]| words.iter().any(|word| text.to_lowercase().contains(word));
    let (mut understood, mut calls) = (false, Vec::new());
    while !understood && calls.len() < 4 {
        let played = stage.play(&scenarios[0]).await.expect("played");
        let turn = &played.turns[0];
        let sound = turn.sound.as_ref().expect("by voice");
        understood = played.troubles.is_empty()
            && has_one(&turn.caller, &["robot", "meter", "long"])
            && turn.decision.is_some()
            && has_one(&sound.transcribed, &["seconds", "meter", "robot", "sorry", "again"]);
        calls.push(format!(
            "heard: {}; said: {:?}; as the caller hears it: {}; {:?}",
            turn.caller, turn.said, sound.transcribed, played.troubles
        ));
    }
    stage.server.stop().await;
    println!("{calls:#?}");
    assert!(understood, "{calls:#?}");
}
