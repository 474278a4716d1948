//! `warmline bench turn`: who has the floor, measured in the recordings' time.
//!
//! Over playback, with line noise, µ-law and levels that differ by 12 dB (see [`sounds`]):
//! - `duck_ms_p50|p95`: onset of an interruption to the moment the caller hears us grow quiet, playback's lead included.
//! - `barge_in_stop_ms_p50|p95`: onset to silence at the caller's ear, the line's own delay aside. At this moment it can
//!   still be taken back. `_people`: recordings only; `_echo`: while our echo comes back.
//! - `barge_in_final_ms_p50|p95`: onset to the moment when what we were saying is dropped and can't go on any more.
//! - `barge_in_missed_rate`: interruptions of at least 700 ms after which we went on.
//! - `backchannel_false_stop_rate`, `cough_…`, `click_…`: sounds nobody meant that ended what we were saying; `echo_…`: our
//!   own voice that did. `backchannel_paused_rate` and `backchannel_gap_ms_p50|p95`: how many of those made us silent for a
//!   moment, and for how long.
//!
//! At the end of turns ([`endings`]), with Whisper's words when the program has Whisper, else by silence alone:
//! - `false_cutoff_rate`: sentences with one spliced pause of 300–900 ms whose turn ended in that pause, and
//!   `added_delay_ms_p50|p95|mean`: end of the voice to the end of the turn at the true end; `unended`: those without one.
//! - `digits_cutoff_rate`: numbers in groups, 300–900 ms apart, whose turn ended before the last group, after a question for
//!   a number; `digits_unasked_…`: after none.
//! - `at_900_600.…`: the same with another `--hangover`. `peer1.…`: the same by a `--peer`, and what our settings make of
//!   its delay and of its cut-offs.
//!
//! `decision_ms`: processor time of detectors and judge for 100 ms of audio.
//!
//! The material is cut in halves: what was chosen on one is judged on the other.

mod endings;
mod scene;
mod sounds;

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::mpsc;

use self::endings::Hangover;
use self::scene::{Room, Seen, Stage};
use self::sounds::{Dice, Sound};
use super::{Metric, percentile};
use crate::app::engines::{load_vad, load_voice};
use crate::audio::units::{Millis, Probability, SampleRate};
use crate::call::machine::CallPolicy;
use crate::cli::ears::{Ears, telephone};
use crate::cli::{CliError, explain};
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
    /// Measure only this part; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Judge the end of turns with these too, `turn.hangover_ms`/`turn.finished_hangover_ms`; may be given several times
    #[arg(long = "hangover", value_name = "MS/MS")]
    hangovers: Vec<Hangover>,
    /// A program that says when turns end in the same sounds; may be given several times
    #[arg(long = "peer", value_name = "COMMAND")]
    peers: Vec<String>,
    /// Take each decode to have lasted so long, for a machine that is busy with other things
    #[arg(long, value_name = "MS")]
    decode_ms: Option<u64>,
    /// Print each sound that went wrong to stderr
    #[arg(long)]
    show: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Sounds over playback
    Overlap,
    /// Nothing but our own voice coming back, which is a part of these sounds
    Echo,
    /// Sentences with a pause
    Sentences,
    /// Dictated numbers
    Numbers,
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

#[cfg(test)]
impl Args {
    /// What the command line has without options.
    fn for_tests() -> Self {
        Self {
            half: Half::Report,
            seed: 1,
            prompts: 0,
            numbers: 0,
            only: Vec::new(),
            hangovers: Vec::new(),
            peers: Vec::new(),
            decode_ms: None,
            show: false,
        }
    }
}

impl Half {
    fn has(self, tuning: bool) -> bool {
        self == Self::All || (self == Self::Tuning) == tuning
    }
}

/// Runs the benchmark.
pub async fn run(args: Args, config: Config) -> Result<Vec<Metric>, CliError> {
    let words = cfg!(feature = "whisper") && config.stt.engine == SttMode::Whisper;
    let ears = if words { Ears::open(&config)? } else { Ears::deaf(&config)? };
    let ears = ears.paced(args.decode_ms.map(Duration::from_millis));
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut metrics = Vec::new();
    if wanted(Part::Overlap) || wanted(Part::Echo) {
        metrics.extend(over_playback(&args, &config, &ears, wanted(Part::Overlap)).await?);
    }
    let mut sets = Vec::new();
    if wanted(Part::Sentences) {
        sets.push(endings::sentences(&args)?);
    }
    if wanted(Part::Numbers) {
        sets.extend(endings::numbers(&args)?);
    }
    metrics.extend(endings::judge(&args, &config, ears, &sets).await?);
    metrics.push(Metric::new("turn", "words_known", f64::from(u8::from(words)), "yes/no", 1));
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

async fn play(stage: &Stage<'_>, dice: &mut Dice, sound: &Sound, room: Option<Room>) -> Result<Seen, CliError> {
    let quiet = if room.is_some() { BEFORE } else { Millis(600) };
    stage.play(dice, quiet, &heard(sound)?, room).await
}

/// How often one kind of sound that nobody meant ended what we were saying.
#[derive(Clone, Debug, Default)]
struct NotMeant {
    of: usize,
    ended: usize,
    /// Silences that came to nothing.
    gaps: Vec<f64>,
}

impl NotMeant {
    fn add(&mut self, seen: &Seen) {
        self.of += 1;
        self.ended += usize::from(seen.ended());
        if seen.silent.is_some() && !seen.ended() {
            self.gaps.push(f64::from(seen.gap.0));
        }
    }

    fn metrics(&self, kind: &str) -> Vec<Metric> {
        let gap = |share| percentile(&self.gaps, share);
        let mut metrics = vec![
            rate(&format!("{kind}_false_stop_rate"), self.ended, self.of),
            rate(&format!("{kind}_paused_rate"), self.gaps.len(), self.of),
        ];
        if !self.gaps.is_empty() {
            let name = |share: &str| format!("{kind}_gap_ms_{share}");
            metrics.push(Metric::new("turn", name("p50"), gap(0.5), "ms", self.gaps.len()));
            metrics.push(Metric::new("turn", name("p95"), gap(0.95), "ms", self.gaps.len()));
        }
        metrics
    }
}

async fn over_playback(args: &Args, config: &Config, ears: &Ears, callers: bool) -> Result<Vec<Metric>, CliError> {
    let mut dice = Dice::new(args.seed);
    let ours = telephone(&speak(config).await?).map_err(|error| CliError::failed(explain(&error), ""))?;
    let policy = CallPolicy {
        record: false,
        silence_prompt: Duration::from_secs(60),
        filler: None,
        announce_every: Duration::from_secs(60),
        min_confidence: Probability::clamped(config.handoff.min_confidence),
        verbatim_score: config.dialog.verbatim_score,
        min_score: config.dialog.min_score,
        language: crate::dialog::language::Language::ENGLISH,
        languages: std::sync::Arc::new([crate::dialog::language::Language::ENGLISH]),
        detects: false,
        forbidden_topics: Vec::new(),
        caller_number_known: true,
        caller_number: None,
        telephone: None,
        returns: false,
        today: jiff::civil::date(2026, 1, 1),
    };
    let vad = load_vad(config)?;
    let threshold = Probability::clamped(config.vad.threshold);
    let stage = Stage {
        vad: vad.as_ref(),
        ears,
        threshold,
        turn: &config.turn,
        sound: &config.sound,
        policy: &policy,
        ours: &ours,
    };
    let ms = |at: Option<Millis>| at.map(|at| f64::from(at.0));
    let (mut ducks, mut stops, mut finals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut people, mut with_echo) = (Vec::new(), Vec::new());
    let (mut meant, mut missed, mut spent, mut lasted) = (0, 0, 0.0, 0.0);
    let mut not_meant = ["backchannel", "cough", "click", "echo"].map(|kind| (kind, NotMeant::default()));
    let sounds = if callers { sounds::all(&mut dice, args.prompts)? } else { Vec::new() };
    for sound in sounds.iter().filter(|sound| args.half.has(sound.tuning)) {
        let seen = play(&stage, &mut dice, sound, None).await?;
        let length = SampleRate::WIDEBAND.span_of(sound.pcm.len());
        spent += seen.spent.as_secs_f64() * 1_000.0;
        lasted += f64::from(seen.lasted.0);
        if args.show {
            eprintln!("{} {length}: {} {:?}", sound.kind, sound.name, Line(&seen));
        }
        if !is_meant(sound) {
            for (_, counts) in not_meant.iter_mut().filter(|(kind, _)| *kind == sound.kind) {
                counts.add(&seen);
            }
            continue;
        }
        ducks.extend(ms(seen.ducked));
        stops.extend(ms(seen.silent));
        finals.extend(ms(seen.dropped));
        if sound.kind == "people" {
            people.extend(ms(seen.silent));
            let room = room(&mut dice);
            with_echo.extend(ms(play(&stage, &mut dice, sound, Some(room)).await?.silent));
        }
        meant += usize::from(length >= LONG_ENOUGH);
        missed += usize::from(length >= LONG_ENOUGH && !seen.ended());
    }
    // Nothing but our own voice comes back.
    for _ in 0..40 {
        let room = room(&mut dice);
        let silent = vec![0; SampleRate::WIDEBAND.samples_in(Millis(6_000))];
        let seen = stage.play(&mut dice, BEFORE, &silent, Some(room)).await?;
        if args.show {
            eprintln!("echo {room:?} {:?}", Line(&seen));
        }
        not_meant[3].1.add(&seen);
    }
    let mut metrics = Vec::new();
    let all = [
        ("duck_ms", "", &ducks),
        ("barge_in_stop_ms", "", &stops),
        ("barge_in_stop_ms", "_people", &people),
        ("barge_in_stop_ms", "_echo", &with_echo),
        ("barge_in_final_ms", "", &finals),
    ];
    for (what, suffix, values) in all {
        for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
            let name = format!("{what}_{name}{suffix}");
            metrics.push(Metric::new("turn", name, percentile(values, share), "ms", values.len()));
        }
    }
    metrics.push(rate("barge_in_missed_rate", missed, meant));
    for (kind, counts) in not_meant {
        metrics.extend(counts.metrics(kind));
    }
    let frames = (lasted / 100.0) as usize;
    metrics.push(Metric::new("turn", "decision_ms", spent / (lasted / 100.0).max(1.0), "ms", frames));
    Ok(metrics)
}

/// What happened in a scene, short.
struct Line<'a>(&'a Seen);

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |at: Option<Millis>| at.map_or("-".to_owned(), |at| at.0.to_string());
        let Seen { ducked, silent, dropped, gap, stuck, words, .. } = self.0;
        write!(f, "duck {} silent {} dropped {} ", ms(*ducked), ms(*silent), ms(*dropped))?;
        write!(f, "gap {} stuck {stuck}", gap.0)?;
        words.iter().try_for_each(|(text, confidence)| write!(f, " {text:?} {:.2}", confidence.get()))
    }
}

fn rate(name: &str, count: usize, of: usize) -> Metric {
    Metric::new("turn", name, count as f64 / of.max(1) as f64, "ratio", of)
}
