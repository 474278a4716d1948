//! `warmline bench turn`: who has the floor, measured in the recordings' time and so faster than real time.
//!
//! Over playback, with line noise, µ-law and levels that differ by 12 dB (see [`sounds`]):
//! - `duck_ms_p95`: onset of an interruption to the moment the caller hears us grow quiet, playback's lead included.
//! - `barge_in_stop_ms_p50|p95`: onset to our clear. `_people`: recordings only; `_echo`: while our echo comes back.
//! - `barge_in_missed_rate`: interruptions of at least 700 ms that never stopped us.
//! - `backchannel_false_stop_rate`, `cough_…`, `click_…`, `echo_…`: sounds nobody meant that stopped us. A stop counts even
//!   though the call would take it back once the words are known.
//!
//! At the end of turns, with Whisper's words when the program has Whisper, else by silence alone:
//! - `false_cutoff_rate`: sentences with one spliced pause of 300–900 ms whose turn ended in that pause, and
//!   `added_delay_ms_p50|p95`: end of the voice to the end of the turn at the true end.
//! - `digits_cutoff_rate`: numbers in groups, 300–900 ms apart, whose turn ended before the last group.
//!
//! `decision_ms`: processor time of detector and judge for 100 ms of audio.
//!
//! The material is cut in halves: what was fitted (`--fit`) on one is judged on the other.

mod fit;
mod scene;
mod sounds;

use clap::ValueEnum;
use tokio::sync::mpsc;

use self::fit::Example;
use self::scene::{Room, Seen, Stage};
use self::sounds::{Dice, Sound, Spliced};
use super::{Metric, percentile};
use crate::app::engines::{load_vad, load_voice};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::call::overlap::OverlapRules;
use crate::cli::ears::{Ears, telephone};
use crate::cli::{CliError, explain, say};
use crate::config::{Config, SttMode};
use crate::dialog::speakable::speakable;
use crate::engine::CancelFlag;
use crate::engine::cpu::{CpuBudget, Priority};

/// What we say while the caller makes sounds.
const OURS: &str = "Delivery takes two to four working days. You can follow your parcel with the link in the e-mail we \
    sent you. If it does not arrive by then, please call us again, and we will find out where it is. Returns are free \
    within thirty days, and the refund is on your account within a week.";
/// With an echo, we speak for this long before anything may stop us: greeting and notice, which nothing stops.
const BEFORE: Millis = Millis(4_000);
/// A shorter sound may end before it could stop us.
const LONG_ENOUGH: Millis = Millis(700);
/// Interruptions are heard up to here.
const LONGEST: Millis = Millis(2_500);
/// What is not meant may stop us this often when weights are fitted.
const FALSE_STOPS: f32 = 0.04;

/// Arguments of `warmline bench turn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which half of the material
    #[arg(long, value_enum, default_value = "report")]
    half: Half,
    /// What is random is so by this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many prompts are used beside all read sentences
    #[arg(long, default_value_t = 160, value_name = "N")]
    prompts: usize,
    /// How many numbers are dictated
    #[arg(long, default_value_t = 100, value_name = "N")]
    numbers: usize,
    /// Measure only what happens over playback
    #[arg(long)]
    overlap_only: bool,
    /// Print weights for the judge, fitted on the tuning half, instead of measuring
    #[arg(long)]
    fit: bool,
    /// Print each sound that went wrong to stderr
    #[arg(long)]
    show: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Half {
    /// The one rules are fitted on
    Tuning,
    /// The other one
    Report,
    /// Both
    All,
}

impl Half {
    fn has(self, tuning: bool) -> bool {
        self == Self::All || (self == Self::Tuning) == tuning
    }
}

/// Runs the benchmark.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let mut dice = Dice::new(args.seed);
    let ours = telephone(&speak(&config).await?).map_err(|error| CliError::failed(explain(&error), ""))?;
    let vad = load_vad(&config)?;
    let threshold = Probability::clamped(config.vad.threshold);
    let rules = OverlapRules::new(threshold, Millis(config.turn.barge_in_ms));
    let mut stage = Stage { vad: vad.as_ref(), rules, ours: &ours };
    let sounds = sounds::all(&mut dice, args.prompts)?;
    if args.fit {
        stage.rules = OverlapRules { latest: Millis(u32::MAX), sure: 2.0, ..rules };
        print_weights(&stage, &mut dice, &sounds)?;
        return Ok(Vec::new());
    }
    let mut metrics = over_playback(&args, &stage, &mut dice, &sounds)?;
    if !args.overlap_only {
        metrics.extend(at_the_end(&args, &config, &mut dice).await?);
    }
    Ok(metrics)
}

async fn speak(config: &Config) -> Result<Vec<i16>, CliError> {
    let voice = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || load_voice(&config, &CpuBudget::from_config(&config.cpu)))
            .await
            .map_err(|error| CliError::failed(format!("the voice could not be loaded: {error}"), ""))??
    };
    let (chunks, mut sound) = mpsc::channel(1_024);
    let failed = |error| CliError::failed(format!("the voice can't speak: {error}"), "");
    voice.speak(speakable(OURS), Priority::Background, CancelFlag::new(), chunks).await.map_err(failed)?;
    let mut pcm = Vec::new();
    while let Some(chunk) = sound.recv().await {
        pcm.extend_from_slice(&chunk);
    }
    Ok(pcm)
}

fn heard(sound: &Sound) -> Result<Vec<i16>, CliError> {
    let most = SampleRate::WIDEBAND.samples_in(LONGEST).min(sound.pcm.len());
    telephone(&sound.pcm[..most]).map_err(|error| CliError::failed(explain(&error), ""))
}

fn is_meant(sound: &Sound) -> bool {
    matches!(sound.kind, "people" | "voices")
}

fn room(dice: &mut Dice) -> Room {
    // From a loud desk telephone to a soft speaker, nearby or over two mobile networks.
    Room { delay: Millis(dice.between(60, 500)), gain: 10f32.powf((-26.0 + 16.0 * dice.unit()) / 20.0) }
}

fn print_weights(stage: &Stage<'_>, dice: &mut Dice, sounds: &[Sound]) -> Result<(), CliError> {
    let mut examples = Vec::new();
    for sound in sounds.iter().filter(|sound| sound.tuning) {
        for _ in 0..if is_meant(sound) { 1 } else { 2 } {
            let mut features = play(stage, dice, sound, None)?.features;
            let meant = is_meant(sound);
            // What is later than this is decided by its length alone.
            features.retain(|row| row[0] <= 6.0);
            if !features.is_empty() {
                examples.push(Example { features, meant });
            }
        }
    }
    let weights = fit::fit(&examples, FALSE_STOPS);
    say(format!("// {} sounds\n{weights:.3?}", examples.len()))
}

fn play(stage: &Stage<'_>, dice: &mut Dice, sound: &Sound, room: Option<Room>) -> Result<Seen, CliError> {
    let quiet = if room.is_some() { BEFORE } else { Millis(600) };
    let pcm = heard(sound)?;
    stage.play(dice, quiet, &pcm, room).map_err(|error| CliError::failed(explain(&error), ""))
}

fn over_playback(args: &Args, stage: &Stage<'_>, dice: &mut Dice, sounds: &[Sound]) -> Result<Vec<Metric>, CliError> {
    let ms = |at: Option<Millis>| at.map(|at| f64::from(at.0));
    let (mut ducks, mut stops, mut people, mut with_echo) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut meant, mut missed, mut spent, mut lasted) = (0, 0, 0.0, 0.0);
    let mut false_stops: Vec<(&str, usize, usize)> =
        ["backchannel", "cough", "click", "echo"].map(|kind| (kind, 0, 0)).into();
    for sound in sounds.iter().filter(|sound| args.half.has(sound.tuning)) {
        let seen = play(stage, dice, sound, None)?;
        spent += seen.spent.as_secs_f64() * 1_000.0;
        lasted += f64::from(seen.lasted.0);
        if is_meant(sound) {
            ducks.extend(ms(seen.ducked));
            stops.extend(ms(seen.stopped));
            if sound.kind == "people" {
                people.extend(ms(seen.stopped));
                let room = room(dice);
                with_echo.extend(ms(play(stage, dice, sound, Some(room))?.stopped));
            }
            let long = SampleRate::WIDEBAND.span_of(sound.pcm.len()) >= LONG_ENOUGH;
            meant += usize::from(long);
            missed += usize::from(long && seen.stopped.is_none());
            if args.show && seen.stopped.is_none_or(|at| at > Millis(400)) {
                eprintln!("late {:?}: {}", seen.stopped, sound.name);
            }
            continue;
        }
        for (_, count, of) in false_stops.iter_mut().filter(|(kind, ..)| *kind == sound.kind) {
            *count += usize::from(seen.stopped.is_some());
            *of += 1;
        }
        if args.show && seen.stopped.is_some() {
            eprintln!("false {:?}: {}", seen.stopped, sound.name);
        }
    }
    // Nothing but our own voice comes back.
    for _ in 0..40 {
        let room = room(dice);
        let silent = vec![0; SampleRate::WIDEBAND.samples_in(Millis(6_000))];
        let seen =
            stage.play(dice, BEFORE, &silent, Some(room)).map_err(|error| CliError::failed(explain(&error), ""))?;
        if args.show && seen.stopped.is_some() {
            eprintln!("false {:?}: echo {room:?}", seen.stopped);
        }
        let (_, count, of) = &mut false_stops[3];
        *count += usize::from(seen.stopped.is_some());
        *of += 1;
    }
    let mut metrics = vec![Metric::new("turn", "duck_ms_p95", percentile(&ducks, 0.95), "ms", ducks.len())];
    metrics.push(Metric::new("turn", "duck_ms_p50", percentile(&ducks, 0.5), "ms", ducks.len()));
    for (suffix, values) in [("", &stops), ("_people", &people), ("_echo", &with_echo)] {
        for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
            let name = format!("barge_in_stop_ms_{name}{suffix}");
            metrics.push(Metric::new("turn", name, percentile(values, share), "ms", values.len()));
        }
    }
    metrics.push(rate("barge_in_missed_rate", missed, meant));
    for (kind, count, of) in false_stops {
        metrics.push(rate(&format!("{kind}_false_stop_rate"), count, of));
    }
    let frames = (lasted / 100.0) as usize;
    metrics.push(Metric::new("turn", "decision_ms", spent / (lasted / 100.0).max(1.0), "ms", frames));
    Ok(metrics)
}

fn rate(name: &str, count: usize, of: usize) -> Metric {
    Metric::new("turn", name, count as f64 / of.max(1) as f64, "ratio", of)
}

async fn at_the_end(args: &Args, config: &Config, dice: &mut Dice) -> Result<Vec<Metric>, CliError> {
    let words = cfg!(feature = "whisper") && config.stt.engine == SttMode::Whisper;
    let ears = if words { Ears::open(config)? } else { Ears::deaf(config)? };
    let mut metrics = Vec::new();
    let sentences = sounds::sentences(dice, args.prompts)?;
    let (cut, of, delays) = cut_offs(args, &ears, dice, &sentences).await?;
    metrics.push(rate("false_cutoff_rate", cut, of));
    for (name, share) in [("added_delay_ms_p50", 0.5), ("added_delay_ms_p95", 0.95)] {
        metrics.push(Metric::new("turn", name, percentile(&delays, share), "ms", delays.len()));
    }
    for pause in [300, 500, 700, 900] {
        let chosen: Vec<&Spliced> = sentences.iter().filter(|sentence| sentence.pause.0 == pause).collect();
        let (cut, of, _) = cut_offs(args, &ears, dice, chosen).await?;
        metrics.push(rate(&format!("false_cutoff_rate_{pause}"), cut, of));
    }
    let numbers = sounds::numbers(dice, args.numbers)?;
    let (cut, of, delays) = cut_offs(args, &ears, dice, &numbers).await?;
    metrics.push(rate("digits_cutoff_rate", cut, of));
    metrics.push(Metric::new("turn", "digits_added_delay_ms_p50", percentile(&delays, 0.5), "ms", delays.len()));
    metrics.push(Metric::new("turn", "words_known", f64::from(u8::from(words)), "yes/no", 1));
    Ok(metrics)
}

/// How many were cut off, of how many, and the delay at the true end of all of them.
async fn cut_offs<'a>(
    args: &Args,
    ears: &Ears,
    dice: &mut Dice,
    all: impl IntoIterator<Item = &'a Spliced>,
) -> Result<(usize, usize, Vec<f64>), CliError> {
    let (mut cut, mut of, mut delays) = (0, 0, Vec::new());
    for spliced in all.into_iter().filter(|spliced| args.half.has(spliced.tuning)) {
        let mut pcm = sounds::noise(dice, Millis(500));
        pcm.extend_from_slice(&spliced.pcm);
        let end = SampleRate::WIDEBAND.span_of(pcm.len());
        pcm.extend(sounds::noise(dice, Millis(2_500)));
        let pcm = telephone(&pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        let turns = ears.listen(&pcm).await?;
        of += 1;
        // A turn that ended more than a moment before the voice did was ended too early.
        let early = turns.iter().any(|turn| turn.ended_at + Millis(50) < end);
        cut += usize::from(early);
        if args.show && early {
            let heard: Vec<&str> = turns.iter().map(|turn| turn.transcript.text.as_str()).collect();
            eprintln!("cut off after {}: {} as {heard:?}", spliced.pause, spliced.name);
        }
        delays.extend(turns.last().map(|turn| f64::from(turn.ended_at.saturating_sub(end).0)));
    }
    Ok((cut, of, delays))
}
