//! `warmline transcribe`: what the recogniser of a call makes of recordings.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ears::{Ears, telephone};
use super::{CliError, explain, say, say_json};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::audio::wav;
use crate::config::Config;
use crate::engine::stt::{Detected, Transcript, Word};

/// Arguments of `warmline transcribe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Through a telephone first: 8 kHz µ-law, then voice activity and turns as in a call
    #[arg(long)]
    telephony: bool,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
    /// WAV files of any rate, 16 kHz mono at best
    #[arg(required = true, value_name = "F.wav")]
    files: Vec<PathBuf>,
}

/// What was heard in one file.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    text: String,
    /// Mean over the words; 0 when nothing was said.
    confidence: Probability,
    audio_ms: Millis,
    decode_ms: Millis,
    segments: Vec<Segment>,
}

/// One turn, or one piece of the recording.
#[derive(Debug, Serialize)]
struct Segment {
    start_ms: Millis,
    end_ms: Millis,
    text: String,
    confidence: Probability,
    avg_logprob: f32,
    no_speech: Probability,
    decode_ms: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<String>,
    /// Where `[languages]` names others than `stt.language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Detected>,
    words: Vec<Word>,
}

/// Runs `warmline transcribe`.
pub async fn run(args: Args, config: Config) -> Result<(), CliError> {
    let ears = Ears::open(&config)?;
    let mut failed = 0;
    for file in &args.files {
        match transcribe(&ears, file, args.telephony).await {
            Ok(report) if args.json => say_json(&report)?,
            Ok(report) => say(format!("{}: {}", report.file, report.text))?,
            Err(error) => {
                failed += 1;
                eprintln!("warmline: {error}");
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(CliError::failed(format!("{failed} of {} files could not be transcribed", args.files.len()), "")),
    }
}

async fn transcribe(ears: &Ears, file: &Path, telephony: bool) -> Result<Report, CliError> {
    let pcm = wav::read(file).map_err(|error| CliError::failed(explain(&error), ""))?;
    let segments: Vec<Segment> = if telephony {
        let pcm = telephone(&pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        ears.listen(&pcm).await?.into_iter().map(|turn| Segment::new(turn.audio.at, turn.transcript)).collect()
    } else {
        ears.recognise(&pcm).await?.into_iter().map(|piece| Segment::new(piece.at, piece.transcript)).collect()
    };
    Ok(Report::new(file.display().to_string(), SampleRate::WIDEBAND.span_of(pcm.len()), segments))
}

impl Segment {
    /// Times are from the start of the file, in words too.
    fn new(at: Millis, transcript: Transcript) -> Self {
        let shift = |word: Word| Word { start: word.start + at, end: word.end + at, ..word };
        Self {
            start_ms: at,
            end_ms: at + transcript.audio,
            confidence: transcript.confidence(),
            text: transcript.text,
            avg_logprob: transcript.avg_logprob,
            no_speech: transcript.no_speech,
            decode_ms: Millis::from_duration(transcript.decode),
            language: transcript.language,
            guard: transcript.guard,
            words: transcript.words.into_iter().map(shift).collect(),
        }
    }
}

impl Report {
    fn new(file: String, audio_ms: Millis, segments: Vec<Segment>) -> Self {
        let said: Vec<&Segment> = segments.iter().filter(|segment| !segment.text.is_empty()).collect();
        let words = |segment: &Segment| segment.words.len().max(1) as f32;
        let all: f32 = said.iter().map(|segment| words(segment)).sum();
        let sure: f32 = said.iter().map(|segment| segment.confidence.get() * words(segment)).sum();
        Self {
            file,
            text: said.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" "),
            confidence: Probability::clamped(if all > 0.0 { sure / all } else { 0.0 }),
            audio_ms,
            decode_ms: segments.iter().fold(Millis::ZERO, |sum, segment| sum + segment.decode_ms),
            segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::ears::tests::{fake, sound};
    use crate::engine::stt::fake::Step;

    async fn report(steps: Vec<Step>, telephony: bool) -> serde_json::Value {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("call.wav");
        wav::write(&file, SampleRate::WIDEBAND, &sound(&[800, 1_600, 600])).expect("written");
        let mut report = transcribe(&fake(steps), &file, telephony).await.expect("transcribed");
        report.file = "call.wav".to_owned();
        serde_json::to_value(report).expect("plain data")
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_one_object() {
        let step = Step::say("My kettle leaks.").after(Duration::from_millis(250));
        let report = report(vec![step], false).await;
        assert_eq!(
            (&report["text"], &report["audio_ms"], &report["decode_ms"]),
            (&"My kettle leaks.".into(), &3_000.into(), &250.into())
        );
        assert_eq!(
            (&report["segments"][0]["end_ms"], &report["segments"][0]["words"][1]["start"]),
            (&3_000.into(), &1_000.into())
        );
        assert!(report["confidence"].as_f64() > Some(0.9), "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_a_segment_for_each_turn() {
        let steps = vec![Step::say("Hello."), Step::Unsure("My kettle leaks".to_owned(), -0.8), Step::say("")];
        let report = report(steps, true).await;
        assert_eq!(report["text"], "Hello. My kettle leaks");
        let starts: Vec<_> = (0..2).map(|n| report["segments"][n]["start_ms"].as_u64().expect("a number")).collect();
        assert!(starts[0] < 60 && (2_040..2_160).contains(&starts[1]), "{starts:?}");
        let word = report["segments"][1]["words"][0]["start"].as_u64().expect("a number");
        assert_eq!(word, starts[1], "times of words are the file's");
        let confidence = report["confidence"].as_f64().expect("a number");
        assert!((0.5..0.6).contains(&confidence), "{confidence}: three doubtful words, one certain");
    }

    #[tokio::test]
    async fn a_file_that_is_no_recording_is_named() {
        let error = transcribe(&fake([]), Path::new("no/such.wav"), false).await.expect_err("no file").to_string();
        assert!(error.contains("no/such.wav"), "{error}");
    }
}
