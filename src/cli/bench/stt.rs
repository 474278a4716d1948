//! `warmline bench stt`: how well and how fast speech becomes text.
//!
//! - `wer_clean`: word error rate of the recognisers alone on the recordings as they are.
//! - `wer_telephony`: the same as a call hears them: 8 kHz µ-law, voice activity, turns, speculation.
//! - `ttf_ms`: end of the caller's voice to the final transcript in hand, hangover included, on that path, for each turn;
//!   the recording's clock runs, a decode takes as long as it took. `endpointing_ms` is the end of the voice to the end of
//!   the turn, `decode_ms` the decode alone; the two overlap.
//! - `rtf`: seconds of decoding for each second of recording, on that path, void speculations included.
//! - `invented_words`: words heard on that path in noises without speech; `…_without_vad`: by the recogniser alone.
//!
//! How text is compared says [`super::wer`].

use std::path::Path;

use super::recordings::{self, Recording};
use super::wer::{Errors, errors, normalise};
use super::{Metric, noises, percentile};
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::cli::ears::{Ears, telephone};
use crate::cli::{CliError, explain};
use crate::config::Config;

/// Arguments of `warmline bench stt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many prompts, beside all read sentences
    #[arg(long, default_value_t = 60, value_name = "N")]
    prompts: usize,
    /// Print each text with errors, and each invented one, to stderr
    #[arg(long)]
    show: bool,
}

/// One recording heard both ways.
struct Heard {
    set: &'static str,
    clean: Errors,
    telephony: Errors,
}

#[derive(Default)]
struct Times {
    ttf_ms: Vec<f64>,
    endpointing_ms: Vec<f64>,
    decode_ms: Vec<f64>,
    decoded_s: f64,
    recorded_s: f64,
}

/// Measures.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let recordings = recordings::all(args.prompts)?;
    let ears = Ears::open(&config)?;
    // The first decode pays for pages of the model not read yet.
    ears.recognise(&noises::all()[1].pcm).await?;
    let (mut heard, mut times) = (Vec::new(), Times::default());
    for recording in &recordings {
        heard.push(hear(&ears, recording, &mut times, args.show).await?);
    }
    let mut metrics = error_rates(&heard);
    metrics.extend(times.metrics());
    metrics.extend(invented(&ears, args.show).await?);
    Ok(metrics)
}

async fn hear(ears: &Ears, recording: &Recording, times: &mut Times, show: bool) -> Result<Heard, CliError> {
    let pcm = read(&recording.path)?;
    let pieces = ears.recognise(&pcm).await?;
    let clean = pieces.iter().map(|piece| piece.transcript.text.as_str()).collect::<Vec<_>>().join(" ");
    let begun = ears.decoded();
    let turns = ears.listen(&telephone(&pcm).map_err(|error| CliError::failed(explain(&error), ""))?).await?;
    times.decoded_s += (ears.decoded() - begun).as_secs_f64();
    times.recorded_s += f64::from(SampleRate::WIDEBAND.span_of(pcm.len()).0) / 1_000.0;
    for turn in &turns {
        let since_voice = |at: Millis| f64::from(at.saturating_sub(turn.audio.last_voice_at).0);
        times.ttf_ms.push(since_voice(turn.ready_at));
        times.endpointing_ms.push(since_voice(turn.ended_at));
        times.decode_ms.push(turn.transcript.decode.as_secs_f64() * 1_000.0);
    }
    let telephony = turns.iter().map(|turn| turn.transcript.text.as_str()).collect::<Vec<_>>().join(" ");
    let heard = Heard {
        set: recording.set,
        clean: errors(&recording.text, &clean),
        telephony: errors(&recording.text, &telephony),
    };
    for (path, errors, text) in [("clean", heard.clean, &clean), ("telephony", heard.telephony, &telephony)] {
        if show && errors.wrong > 0 {
            let name = recording.path.file_stem().unwrap_or_default().to_string_lossy();
            eprintln!("{name}, {path}, {}/{}: {text}\n    for: {}", errors.wrong, errors.of, recording.text);
        }
    }
    Ok(heard)
}

/// A WAV file, or samples of 16 kHz without a header.
fn read(path: &Path) -> Result<Vec<i16>, CliError> {
    if path.extension().is_some_and(|extension| extension == "raw") {
        let bytes =
            std::fs::read(path).map_err(|error| CliError::failed(format!("{}: {error}", path.display()), ""))?;
        return Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect());
    }
    wav::read(path).map_err(|error| CliError::failed(explain(&error), ""))
}

/// Over all recordings, then for each set.
fn error_rates(heard: &[Heard]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (suffix, set) in [("", None), ("_read", Some("read")), ("_prompts", Some("prompts"))] {
        let chosen: Vec<&Heard> = heard.iter().filter(|heard| set.is_none_or(|set| heard.set == set)).collect();
        let clean: Errors = chosen.iter().map(|heard| heard.clean).sum();
        let telephony: Errors = chosen.iter().map(|heard| heard.telephony).sum();
        metrics.push(Metric::new("stt", format!("wer_clean{suffix}"), clean.rate(), "ratio", chosen.len()));
        metrics.push(Metric::new("stt", format!("wer_telephony{suffix}"), telephony.rate(), "ratio", chosen.len()));
    }
    metrics
}

impl Times {
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        let all = [("ttf_ms", &self.ttf_ms), ("endpointing_ms", &self.endpointing_ms), ("decode_ms", &self.decode_ms)];
        for (name, values) in all {
            for (suffix, p) in [("p50", 0.5), ("p95", 0.95)] {
                metrics.push(Metric::new("stt", format!("{name}_{suffix}"), percentile(values, p), "ms", values.len()));
            }
        }
        let rtf = self.decoded_s / self.recorded_s.max(f64::EPSILON);
        metrics.push(Metric::new("stt", "rtf", rtf, "ratio", self.decode_ms.len()));
        metrics
    }
}

async fn invented(ears: &Ears, show: bool) -> Result<Vec<Metric>, CliError> {
    let noises = noises::all();
    let (mut on_calls, mut alone) = (0, 0);
    for noise in &noises {
        let heard = telephone(&noise.pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        let turns = ears.listen(&heard).await?.into_iter().map(|turn| ("on a call", turn.transcript.text));
        let pieces = ears.recognise(&noise.pcm).await?.into_iter().map(|piece| ("alone", piece.transcript.text));
        for (path, text) in turns.chain(pieces) {
            let words = normalise(&text).len();
            *if path == "alone" { &mut alone } else { &mut on_calls } += words;
            if show && words > 0 {
                eprintln!("{}, {path}, invented: {text}", noise.name);
            }
        }
    }
    Ok(vec![
        Metric::new("stt", "invented_words", on_calls as f64, "words", noises.len()),
        Metric::new("stt", "invented_words_without_vad", alone as f64, "words", noises.len()),
    ])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::ears::tests::{fake, sound};
    use crate::engine::stt::fake::Step;

    #[tokio::test(start_paused = true)]
    async fn a_recording_is_heard_both_ways() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cards.raw");
        let bytes: Vec<u8> = sound(&[1_000]).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        std::fs::write(&path, bytes).expect("written");
        let recording = Recording { set: "read", path, text: "ten of clubs".to_owned() };
        let steps = ["10 of clubs.", "Ten of close"].map(|text| Step::say(text).after(Duration::from_millis(200)));
        let (ears, mut times) = (fake(steps), Times::default());
        let heard = hear(&ears, &recording, &mut times, false).await.expect("heard");
        assert_eq!((heard.clean, heard.telephony), (Errors { wrong: 0, of: 3 }, Errors { wrong: 1, of: 3 }));
        assert_eq!((times.decode_ms.as_slice(), times.decoded_s, times.recorded_s), (&[200.0][..], 0.2, 1.0));
        assert_eq!(times.ttf_ms, [700.0], "the hangover; the speculation was ready before");
        let metrics = error_rates(&[heard]);
        let telephony = metrics.iter().find(|metric| metric.metric == "wer_telephony_read").expect("it is there");
        assert_eq!((telephony.value, telephony.n), (0.333, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn words_for_noise_are_counted() {
        let steps = (0..200).map(|_| Step::say("Thank you."));
        let metrics = invented(&fake(steps), false).await.expect("heard");
        let silent = 1.0;
        assert_eq!(metrics[1].value, 2.0 * (metrics[1].n as f64 - silent));
    }
}
