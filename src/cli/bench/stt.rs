//! `warmline bench stt`: how well and how fast speech becomes text.
//!
//! - `wer_clean`: word error rate of the recogniser alone on the recordings as they are.
//! - `wer_telephony`, `wer_band`, …: the same as a call hears them on that line ([`Condition`]): voice activity, turns,
//!   speculation. Without an ending it is over `read` and `prompts`; `_words` are single words.
//! - `ttf_ms`: last sample with sound in the recording to the final transcript in hand, on the telephone, for recordings
//!   of at most 6 s that were heard as one turn. The recording's clock runs and a decode takes as long as it took. A
//!   speculation that stands is the final transcript.
//! - `turn_ms`: the same, but until the turn is over too, for every turn, from the end of the voice as detected;
//!   `endpointing_ms` is the end of the voice to the end of the turn, `decode_ms` the decode alone; the two overlap.
//! - `rtf`: seconds of decoding for each second of recording, on that path, void speculations included.
//! - `cancel_ms`: from giving up a decode of 2 to 6 s of sound, 10 to 80 ms after its begin, to the next one's begin.
//! - `guard_emptied`: turns with speech in them that a guard left without text, of all turns, over all conditions.
//! - `invented_words`: words heard by a call in half an hour of sounds without speech; `…_without_vad`: by the recogniser
//!   alone, given the same in pieces of 4 s; `…_music`: by a call in recorded hold music.
//! - With `--peer`: the same files in turn, `peer1.wer_…` by the same rules, and how its time compares with ours.
//!   `peer1.ttf_ms` is `ttf_ms` with its decode instead of ours: asked at the same moment, 180 ms after the voice, which by
//!   itself it would not know.

use std::path::PathBuf;
use std::time::Duration;

use super::conditions::Condition;
use super::noises::{self, Noise};
use super::normalise::normalise;
use super::peer::Peer;
use super::recordings::{self, Recording};
use super::wer::{Errors, errors};
use super::{Metric, percentile};
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::cli::ears::{Ears, telephone};
use crate::cli::{CliError, explain};
use crate::config::Config;
use crate::engine::stt::Transcript;
use crate::engine::stt::trim::find_sound;

/// Recordings whose time to the final transcript counts are at most this long.
const SHORT: Millis = Millis(6_000);
/// What the recogniser gets at once of a noise: as if a detector had taken it for speech.
const PIECE: Millis = Millis(4_000);

/// Decodes given up on the way.
const GIVEN_UP: usize = 30;

/// Arguments of `warmline bench stt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many prompts, beside all read sentences; 0: all of them
    #[arg(long, default_value_t = 0, value_name = "N")]
    prompts: usize,
    /// What the line does; may be given several times
    #[arg(long = "condition", value_enum, default_values = ["clean", "ulaw"])]
    conditions: Vec<Condition>,
    /// Leave out the sounds without speech
    #[arg(long)]
    skip_noises: bool,
    /// Leave out speech
    #[arg(long)]
    skip_speech: bool,
    /// A program that recognises the same files; may be given several times
    #[arg(long = "peer", value_name = "COMMAND")]
    peers: Vec<String>,
    /// Print each text with errors, and each invented one, to stderr
    #[arg(long)]
    show: bool,
}

/// One recording heard on one line.
struct Heard {
    set: &'static str,
    condition: Condition,
    errors: Errors,
    decode_ms: f64,
    peers: Vec<PeerHeard>,
}

struct PeerHeard {
    errors: Errors,
    decode_ms: f64,
    cpu_ms: f64,
    /// None where ours is not measured either.
    ttf_ms: Option<f64>,
}

#[derive(Default)]
struct Times {
    ttf_ms: Vec<f64>,
    turn_ms: Vec<f64>,
    endpointing_ms: Vec<f64>,
    decode_ms: Vec<f64>,
    decoded_s: f64,
    recorded_s: f64,
}

#[derive(Default)]
struct Guards {
    turns: usize,
    emptied: usize,
    retried: usize,
}

/// What is measured with, and what was measured on the way.
struct Bench {
    ears: Ears,
    peers: Vec<Peer>,
    show: bool,
    times: Times,
    guards: Guards,
    folder: tempfile::TempDir,
}

/// Measures.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let recordings = if args.skip_speech { Vec::new() } else { recordings::all(args.prompts)? };
    let ears = Ears::open(&config)?;
    // The first decode pays for pages of the model not read yet.
    let warm_up = noises::all().swap_remove(1).pcm();
    ears.recognise(&warm_up[..SampleRate::WIDEBAND.samples_in(PIECE)]).await?;
    let mut bench = Bench::new(ears, Peer::start_all(&args.peers).await?, args.show)?;
    let mut heard = Vec::new();
    for (recording, seed) in recordings.iter().zip(1..) {
        for condition in &args.conditions {
            heard.push(bench.hear(recording, *condition, seed).await?);
        }
    }
    let mut metrics = Vec::new();
    if !args.skip_speech {
        metrics.extend(args.conditions.iter().flat_map(|condition| error_rates(&heard, *condition)));
        metrics.extend(bench.times.metrics());
        metrics.extend(bench.guards.metrics());
        metrics.extend(bench.stops(&recordings).await?);
        metrics.extend(bench.peers.iter().enumerate().flat_map(|(index, _)| compared(&heard, index)));
    }
    for (index, peer) in bench.peers.iter().enumerate() {
        eprintln!("peer{} is {}", index + 1, peer.name);
    }
    if !args.skip_noises {
        metrics.extend(bench.invented(&noises::all(), &recordings::noises()).await?);
    }
    Ok(metrics)
}

impl Bench {
    fn new(ears: Ears, peers: Vec<Peer>, show: bool) -> Result<Self, CliError> {
        let folder = tempfile::tempdir().map_err(|error| CliError::failed(error.to_string(), ""))?;
        Ok(Self { ears, peers, show, times: Times::default(), guards: Guards::default(), folder })
    }

    async fn hear(&mut self, recording: &Recording, condition: Condition, seed: u32) -> Result<Heard, CliError> {
        let original = recording.pcm()?;
        let pcm = condition.apply(&original, seed).map_err(|error| CliError::failed(explain(&error), ""))?;
        let begun = self.ears.decoded();
        let (text, asked_ms) = match condition {
            Condition::Clean => {
                let pieces = self.ears.recognise(&pcm).await?;
                (joined(pieces.iter().map(|piece| &piece.transcript)), None)
            }
            _ => self.listen(&original, &pcm, condition).await?,
        };
        let decoded = self.ears.decoded() - begun;
        let mut heard = Heard {
            set: recording.set,
            condition,
            errors: errors(&recording.text, &text),
            decode_ms: decoded.as_secs_f64() * 1_000.0,
            peers: Vec::new(),
        };
        self.complain(recording, condition.name(), heard.errors, &text);
        if !self.peers.is_empty() {
            let file = self.write(&pcm)?;
            for index in 0..self.peers.len() {
                let answer = self.peers[index].transcribe(&file).await?;
                let errors = errors(&recording.text, &answer.text);
                self.complain(recording, &format!("{}, peer{}", condition.name(), index + 1), errors, &answer.text);
                let ttf_ms = asked_ms.map(|asked| asked + answer.decode_ms);
                heard.peers.push(PeerHeard { errors, decode_ms: answer.decode_ms, cpu_ms: answer.cpu_ms, ttf_ms });
            }
        }
        Ok(heard)
    }

    /// Hears `pcm` as a call does. `original`: the recording before the line spoilt it. Returns what was heard and, where the
    /// time to the final transcript counts, how long after the last sample the decode of that transcript began.
    async fn listen(
        &mut self,
        original: &[i16],
        pcm: &[i16],
        condition: Condition,
    ) -> Result<(String, Option<f64>), CliError> {
        let mut asked_ms = None;
        let begun = self.ears.decoded();
        let turns = self.ears.listen(pcm).await?;
        for turn in &turns {
            self.guards.count(&turn.transcript);
        }
        if condition == Condition::Ulaw {
            let recorded = SampleRate::WIDEBAND.span_of(pcm.len());
            self.times.decoded_s += (self.ears.decoded() - begun).as_secs_f64();
            self.times.recorded_s += f64::from(recorded.0) / 1_000.0;
            for turn in &turns {
                let since_voice = |at: Millis| f64::from(at.saturating_sub(turn.audio.last_voice_at).0);
                self.times.turn_ms.push(since_voice(turn.ready_at));
                self.times.endpointing_ms.push(since_voice(turn.ended_at));
                self.times.decode_ms.push(turn.transcript.decode.as_secs_f64() * 1_000.0);
            }
            if let ([turn], Some(sound)) = (&turns[..], find_sound(original))
                && recorded <= SHORT
            {
                let last = SampleRate::WIDEBAND.span_of(sound.bare.end);
                self.times.ttf_ms.push(f64::from(turn.heard_at.saturating_sub(last).0));
                let decode = Millis::from_duration(turn.transcript.decode);
                asked_ms = Some(f64::from(turn.heard_at.0) - f64::from(decode.0) - f64::from(last.0));
            }
        }
        Ok((joined(turns.iter().map(|turn| &turn.transcript)), asked_ms))
    }

    fn complain(&self, recording: &Recording, who: &str, errors: Errors, text: &str) {
        if self.show && errors.wrong > 0 {
            eprintln!(
                "{}, {who}, {}/{}: {text}\n    for: {}",
                recording.name(),
                errors.wrong,
                errors.of,
                recording.text
            );
        }
    }

    fn write(&self, pcm: &[i16]) -> Result<PathBuf, CliError> {
        let file = self.folder.path().join("heard.wav");
        wav::write(&file, SampleRate::WIDEBAND, pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        Ok(file)
    }

    /// How long work that nobody wants any more goes on.
    async fn stops(&self, recordings: &[Recording]) -> Result<Vec<Metric>, CliError> {
        let mut stops = Vec::new();
        for recording in recordings {
            let pcm = recording.pcm()?;
            let enough = (SampleRate::WIDEBAND.samples_in(Millis(2_000))..SampleRate::WIDEBAND.samples_in(SHORT))
                .contains(&pcm.len());
            if enough && stops.len() < GIVEN_UP {
                let after = Duration::from_millis(10 + 7 * stops.len() as u64 % 70);
                stops.push(self.ears.time_to_stop(&pcm, after).await?.as_secs_f64() * 1_000.0);
            }
        }
        let metric = |name: &str, p| Metric::new("stt", name, percentile(&stops, p), "ms", stops.len());
        Ok(vec![metric("cancel_ms_p50", 0.5), metric("cancel_ms_p95", 0.95)])
    }

    async fn invented(&self, noises: &[Noise], music: &[Noise]) -> Result<Vec<Metric>, CliError> {
        let (mut on_calls, mut alone, mut in_music, mut pieces) = (0, 0, 0, 0);
        for noise in noises {
            let pcm = noise.pcm();
            on_calls += self.invented_on_a_call(noise, &pcm).await?;
            for piece in pcm.chunks(SampleRate::WIDEBAND.samples_in(PIECE)) {
                pieces += 1;
                for heard in self.ears.recognise(piece).await? {
                    alone += self.words(noise, "alone", &heard.transcript);
                }
            }
        }
        for noise in music {
            in_music += self.invented_on_a_call(noise, &noise.pcm()).await?;
        }
        let minutes = |noises: &[Noise]| noises.iter().map(|noise| f64::from(noise.seconds)).sum::<f64>() / 60.0;
        let mut metrics = vec![
            Metric::new("stt", "noise_minutes", minutes(noises), "min", noises.len()),
            Metric::new("stt", "invented_words", f64::from(on_calls), "words", noises.len()),
            Metric::new("stt", "invented_words_without_vad", f64::from(alone), "words", pieces),
        ];
        if !music.is_empty() {
            metrics.push(Metric::new("stt", "music_minutes", minutes(music), "min", music.len()));
            metrics.push(Metric::new("stt", "invented_words_music", f64::from(in_music), "words", music.len()));
        }
        Ok(metrics)
    }

    async fn invented_on_a_call(&self, noise: &Noise, pcm: &[i16]) -> Result<u32, CliError> {
        let heard = telephone(pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        let turns = self.ears.listen(&heard).await?;
        Ok(turns.iter().map(|turn| self.words(noise, "on a call", &turn.transcript)).sum())
    }

    fn words(&self, noise: &Noise, path: &str, heard: &Transcript) -> u32 {
        let words = normalise(&heard.text).len() as u32;
        if self.show && words > 0 {
            let Transcript { text, avg_logprob, no_speech, .. } = heard;
            eprintln!(
                "{}, {path}, invented: {text} (log p {avg_logprob:.2}, no speech {:.2})",
                noise.name,
                no_speech.get()
            );
        }
        words
    }
}

fn joined<'a>(transcripts: impl Iterator<Item = &'a Transcript>) -> String {
    transcripts.map(|transcript| transcript.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Sets that make up one number, and what it is called.
const SETS: [(&str, &[&str]); 4] =
    [("", &["read", "prompts"]), ("_read", &["read"]), ("_prompts", &["prompts"]), ("_words", &["words"])];

fn error_rates(heard: &[Heard], condition: Condition) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (suffix, sets) in SETS {
        let chosen: Vec<&Heard> =
            heard.iter().filter(|heard| heard.condition == condition && sets.contains(&heard.set)).collect();
        let name = format!("wer_{}{suffix}", condition.name());
        let ours: Errors = chosen.iter().map(|heard| heard.errors).sum();
        metrics.push(Metric::new("stt", &name, ours.rate(), "ratio", chosen.len()));
        for peer in 0..chosen.first().map_or(0, |heard| heard.peers.len()) {
            let theirs: Errors = chosen.iter().map(|heard| heard.peers[peer].errors).sum();
            metrics.push(Metric::new("stt", format!("peer{}.{name}", peer + 1), theirs.rate(), "ratio", chosen.len()));
        }
    }
    metrics
}

/// A peer's times, and ours as a share of them, file by file.
fn compared(heard: &[Heard], peer: usize) -> Vec<Metric> {
    let n = heard.len();
    let of = |value: &dyn Fn(&Heard) -> f64| heard.iter().map(value).collect::<Vec<f64>>();
    let theirs = of(&|heard| heard.peers[peer].decode_ms);
    let cpu = of(&|heard| heard.peers[peer].cpu_ms);
    let ratios = of(&|heard| heard.decode_ms / heard.peers[peer].decode_ms.max(1.0));
    let cpu_share = heard.iter().map(|heard| heard.decode_ms).sum::<f64>() / cpu.iter().sum::<f64>().max(1.0);
    let name = |metric: &str| format!("peer{}.{metric}", peer + 1);
    let ttf: Vec<f64> = heard.iter().filter_map(|heard| heard.peers[peer].ttf_ms).collect();
    vec![
        Metric::new("stt", name("ttf_ms_p50"), percentile(&ttf, 0.5), "ms", ttf.len()),
        Metric::new("stt", name("ttf_ms_p95"), percentile(&ttf, 0.95), "ms", ttf.len()),
        Metric::new("stt", name("decode_ms_p50"), percentile(&theirs, 0.5), "ms", n),
        Metric::new("stt", name("decode_ms_p95"), percentile(&theirs, 0.95), "ms", n),
        Metric::new("stt", name("cpu_ms_p50"), percentile(&cpu, 0.5), "ms", n),
        Metric::new("stt", name("our_time_share_p50"), percentile(&ratios, 0.5), "ratio", n),
        Metric::new("stt", name("our_cpu_share"), cpu_share, "ratio", n),
    ]
}

impl Times {
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        let all = [
            ("ttf_ms", &self.ttf_ms),
            ("turn_ms", &self.turn_ms),
            ("endpointing_ms", &self.endpointing_ms),
            ("decode_ms", &self.decode_ms),
        ];
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

impl Guards {
    fn count(&mut self, transcript: &Transcript) {
        self.turns += 1;
        match &transcript.guard {
            Some(guard) if guard.starts_with("retried") => self.retried += 1,
            Some(_) if transcript.text.is_empty() => self.emptied += 1,
            _ => {}
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::new("stt", "guard_emptied", self.emptied as f64, "turns", self.turns),
            Metric::new("stt", "guard_retried", self.retried as f64, "turns", self.turns),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ears::tests::{fake, sound};
    use crate::engine::stt::fake::Step;

    fn recording(folder: &std::path::Path) -> Recording {
        let path = folder.join("cards.raw");
        let bytes: Vec<u8> = sound(&[1_000]).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        std::fs::write(&path, bytes).expect("written");
        Recording { set: "read", path, text: "ten of clubs".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_is_heard_on_each_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = recording(folder.path());
        let steps = ["10 of clubs.", "Ten of close"].map(|text| Step::say(text).after(Duration::from_millis(300)));
        let mut bench = Bench::new(fake(steps), Vec::new(), false).expect("a folder");
        let clean = bench.hear(&recording, Condition::Clean, 1).await.expect("heard");
        let telephony = bench.hear(&recording, Condition::Ulaw, 1).await.expect("heard");
        assert_eq!((clean.errors, telephony.errors), (Errors { wrong: 0, of: 4 }, Errors { wrong: 1, of: 4 }));
        assert_eq!((clean.decode_ms, telephony.decode_ms), (300.0, 300.0));
        let times = &bench.times;
        assert_eq!((times.decode_ms.as_slice(), times.decoded_s, times.recorded_s), (&[300.0][..], 0.3, 1.0));
        assert_eq!(times.turn_ms, [700.0], "the hangover; the speculation was ready before");
        assert!((370.0..=400.0).contains(&times.ttf_ms[0]), "{:?}: speculation and decode", times.ttf_ms);
        let metrics = error_rates(&[clean, telephony], Condition::Ulaw);
        let read = metrics.iter().find(|metric| metric.metric == "wer_telephony_read").expect("it is there");
        assert_eq!((read.value, read.n), (0.25, 1));
    }

    #[tokio::test]
    async fn a_peer_hears_the_same_and_is_judged_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = recording(folder.path());
        let script = r#"sh -c 'echo "{\"name\":\"p\"}"; while read -r f; do test -s "$f" && echo "{\"text\":\"ten of clubs\",\"decode_ms\":600,\"cpu_ms\":1200}"; done'"#;
        let peer = Peer::start(script).await.expect("started");
        let steps = [Step::say("then of clubs").after(Duration::from_millis(150))];
        let mut bench = Bench::new(fake(steps), vec![peer], false).expect("a folder");
        let heard = bench.hear(&recording, Condition::Clean, 1).await.expect("heard");
        assert_eq!((heard.errors.wrong, heard.peers[0].errors.wrong), (2, 0));
        let metrics = compared(&[heard], 0);
        let value = |name: &str| metrics.iter().find(|metric| metric.metric == name).expect("it is there").value;
        assert_eq!((value("peer1.our_time_share_p50"), value("peer1.our_cpu_share")), (0.25, 0.125));
    }

    #[tokio::test]
    async fn a_peer_is_timed_from_the_moment_we_were_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = recording(folder.path());
        let script = r#"sh -c 'echo "{\"name\":\"p\"}"; while read -r f; do echo "{\"text\":\"ten of clubs\",\"decode_ms\":900,\"cpu_ms\":900}"; done'"#;
        let peer = Peer::start(script).await.expect("started");
        let steps = [Step::say("ten of clubs").after(Duration::from_millis(300))];
        let mut bench = Bench::new(fake(steps), vec![peer], false).expect("a folder");
        let heard = bench.hear(&recording, Condition::Ulaw, 1).await.expect("heard");
        assert_eq!(heard.peers[0].ttf_ms, Some(bench.times.ttf_ms[0] + 600.0), "600 ms slower from the same moment on");
        let metrics = compared(&[heard], 0);
        let ttf = metrics.iter().find(|metric| metric.metric == "peer1.ttf_ms_p50").expect("it is there");
        assert_eq!((ttf.value, ttf.n), (bench.times.ttf_ms[0] + 600.0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn words_for_noise_are_counted() {
        let steps = (0..200).map(|_| Step::say("Thank you."));
        let bench = Bench::new(fake(steps), Vec::new(), false).expect("a folder");
        let loud = Noise::recorded("loud", sound(&[1_000, 2_000, 1_000]));
        let music = Noise::recorded("music", sound(&[1_000]));
        let metrics = bench.invented(&[loud], &[music]).await.expect("heard");
        let value = |name: &str| metrics.iter().find(|metric| metric.metric == name).expect("it is there").value;
        assert_eq!(value("invented_words"), 4.0, "two turns");
        assert_eq!(value("invented_words_without_vad"), 2.0, "one piece");
        assert_eq!(value("invented_words_music"), 2.0);
    }
}
