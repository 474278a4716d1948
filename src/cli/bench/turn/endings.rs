//! The end of turns: ours by several settings, and peers', on the same sounds by the same rules.
//!
//! A turn that ended more than a moment before the voice did was cut off. What waits longer cuts off less, so that two can
//! only be compared where they wait equally long, or where they cut off equally often. For each peer:
//! - `peer1.…_ours_at_its_p50|mean`: how often we cut off, by the most patient of our settings that is no slower than it.
//! - `peer1.…added_delay_ms_p50|mean_ours_at_its_rate`: our delay by the quickest setting that cuts off no more than it.
//!
//! Neither is there when no setting is that quick, or that careful. Delays have a median and a mean, because a model that
//! decides is quick where it is sure and then waits for long: half the callers don't tell of the other half.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::sounds::{self, Dice, Spliced};
use super::{Args, rate};
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::cli::bench::peer::Peer;
use crate::cli::bench::{Metric, percentile};
use crate::cli::ears::{Ears, Turn, telephone};
use crate::cli::{CliError, explain};
use crate::config::{Config, TurnConfig};

/// What a number is dictated after.
const NUMBER_ASKED: &str = "What is your order number?";
/// A turn may end this long before the voice does: where exactly a voice ends is a matter of taste.
const MOMENT: Millis = Millis(50);
/// A line without voice before and after each sound.
const BEFORE: Millis = Millis(500);
const AFTER: Millis = Millis(2_500);

/// Silence that ends a turn: `turn.hangover_ms` and `turn.finished_hangover_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hangover {
    hangover: u32,
    finished: u32,
}

impl FromStr for Hangover {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse().ok().filter(|ms| (100..=5_000).contains(ms));
        let both = text.split_once('/').and_then(|(hangover, finished)| Some((number(hangover)?, number(finished)?)));
        let (hangover, finished) = both.ok_or("must be two times of 100 to 5000 ms, such as 900/600")?;
        Ok(Self { hangover, finished })
    }
}

/// A caller's sound as the telephone brings it.
struct Said {
    name: String,
    pause: Millis,
    pcm: Vec<i16>,
    /// Where the voice really ends.
    end: Millis,
}

/// Sounds that make up one number.
pub struct Set {
    /// What metrics begin with; sentences have nothing.
    prefix: &'static str,
    /// What the caller was asked before.
    question: &'static str,
    said: Vec<Said>,
    /// Whether it is told for each pause.
    by_pause: bool,
}

impl Set {
    fn rate_name(&self) -> String {
        if self.prefix.is_empty() { "false_cutoff_rate".to_owned() } else { format!("{}cutoff_rate", self.prefix) }
    }
}

/// Sentences with one pause.
pub fn sentences(args: &Args) -> Result<Set, CliError> {
    let mut dice = Dice::new(args.seed);
    let mut sentences = sounds::sentences(&mut dice, args.prompts)?;
    sentences.sort_by_key(|sentence| sentence.pause);
    Ok(Set { prefix: "", question: "", said: heard(args, &mut dice, &sentences)?, by_pause: true })
}

/// Numbers that were asked for, and the same when they were not.
pub fn numbers(args: &Args) -> Result<[Set; 2], CliError> {
    let mut dice = Dice::new(args.seed);
    let numbers = sounds::numbers(&mut dice, args.numbers)?;
    let mut set = |prefix, question| -> Result<Set, CliError> {
        Ok(Set { prefix, question, said: heard(args, &mut dice, &numbers)?, by_pause: false })
    };
    Ok([set("digits_", NUMBER_ASKED)?, set("digits_unasked_", "")?])
}

fn heard(args: &Args, dice: &mut Dice, all: &[Spliced]) -> Result<Vec<Said>, CliError> {
    let chosen = all.iter().filter(|spliced| args.half.has(spliced.tuning));
    let on_the_line = |spliced: &Spliced| -> Result<Said, CliError> {
        let mut pcm = sounds::noise(dice, BEFORE);
        pcm.extend_from_slice(&spliced.pcm);
        let end = SampleRate::WIDEBAND.span_of(pcm.len());
        pcm.extend(sounds::noise(dice, AFTER));
        let pcm = telephone(&pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        Ok(Said { name: spliced.name.clone(), pause: spliced.pause, pcm, end })
    };
    chosen.map(on_the_line).collect()
}

/// What somebody made of one set.
#[derive(Default)]
struct Judged {
    /// Each sound's pause, and whether it was cut off.
    cut: Vec<(Millis, bool)>,
    /// From the true end to the end of the turn.
    delays: Vec<f64>,
    /// Sounds after whose end no turn ended.
    unended: usize,
}

impl Judged {
    /// `ends`: when turns ended.
    fn add(&mut self, said: &Said, ends: &[Millis]) -> bool {
        let early = |end: &Millis| *end + MOMENT < said.end;
        let cut = ends.iter().any(early);
        self.cut.push((said.pause, cut));
        match ends.last().filter(|last| !early(last)) {
            Some(last) => self.delays.push(f64::from(last.saturating_sub(said.end).0)),
            None => self.unended += 1,
        }
        cut
    }

    fn count(&self) -> usize {
        self.cut.iter().filter(|(_, cut)| *cut).count()
    }

    fn rate(&self) -> f64 {
        self.count() as f64 / self.cut.len().max(1) as f64
    }

    fn delay(&self, by: By) -> f64 {
        match by {
            By::P50 => percentile(&self.delays, 0.5),
            By::P95 => percentile(&self.delays, 0.95),
            By::Mean => self.delays.iter().sum::<f64>() / self.delays.len().max(1) as f64,
        }
    }

    fn metrics(&self, who: &str, set: &Set) -> Vec<Metric> {
        let mut metrics = Vec::new();
        if set.by_pause {
            for pause in self.cut.iter().map(|(pause, _)| *pause).collect::<BTreeSet<_>>() {
                let chosen: Vec<bool> = self.cut.iter().filter(|(of, _)| *of == pause).map(|(_, cut)| *cut).collect();
                let cut = chosen.iter().filter(|cut| **cut).count();
                metrics.push(rate(&format!("{who}{}_{}", set.rate_name(), pause.0), cut, chosen.len()));
            }
        }
        metrics.push(rate(&format!("{who}{}", set.rate_name()), self.count(), self.cut.len()));
        for by in [By::P50, By::P95, By::Mean] {
            let name = format!("{who}{}added_delay_ms_{}", set.prefix, by.name());
            metrics.push(Metric::new("turn", name, self.delay(by), "ms", self.delays.len()));
        }
        let name = format!("{who}{}unended", set.prefix);
        metrics.push(Metric::new("turn", name, self.unended as f64, "turns", self.cut.len()));
        metrics
    }
}

/// Which delay of many.
#[derive(Clone, Copy)]
enum By {
    P50,
    P95,
    Mean,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Mean => "mean",
        }
    }
}

/// Judges all sets: by us as configured, by us with other hangovers, and by each peer.
pub async fn judge(args: &Args, config: &Config, ears: Ears, sets: &[Set]) -> Result<Vec<Metric>, CliError> {
    let ears = ears.remembering();
    let configured = Hangover { hangover: config.turn.hangover_ms, finished: config.turn.finished_hangover_ms };
    let others = args.hangovers.iter().copied().filter(|hangover| *hangover != configured);
    let named = others.map(|other| (format!("at_{}_{}.", other.hangover, other.finished), other));
    let (mut metrics, mut ours) = (Vec::new(), Vec::new());
    for (who, Hangover { hangover, finished }) in std::iter::once((String::new(), configured)).chain(named) {
        let turn = TurnConfig { hangover_ms: hangover, finished_hangover_ms: finished, ..config.turn.clone() };
        let ears = ears.by_rules(turn);
        let mut judged = Vec::new();
        for set in sets {
            judged.push(by_us(args, &who, &ears, set).await?);
        }
        metrics.extend(sets.iter().zip(&judged).flat_map(|(set, judged)| judged.metrics(&who, set)));
        ours.push(judged);
    }
    for (mut peer, n) in Peer::start_all(&args.peers).await?.into_iter().zip(1..) {
        let who = format!("peer{n}.");
        eprintln!("peer{n} is {}", peer.name);
        let mut thinking = Vec::new();
        for (at, set) in sets.iter().enumerate() {
            let judged = by_peer(args, &who, &mut peer, set, &mut thinking).await?;
            metrics.extend(judged.metrics(&who, set));
            let ours: Vec<&Judged> = ours.iter().map(|judged| &judged[at]).collect();
            metrics.extend(compared(&who, set, &ours, &judged));
        }
        for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
            let name = format!("{who}model_ms_{name}");
            metrics.push(Metric::new("turn", name, percentile(&thinking, share), "ms", thinking.len()));
        }
    }
    Ok(metrics)
}

async fn by_us(args: &Args, who: &str, ears: &Ears, set: &Set) -> Result<Judged, CliError> {
    let mut judged = Judged::default();
    for said in &set.said {
        let turns = ears.listen_after(set.question, &said.pcm).await?;
        let ends: Vec<Millis> = turns.iter().map(|turn| turn.ended_at).collect();
        if judged.add(said, &ends) && args.show {
            eprint!("{who}{} cut off after {}: {} as", set.prefix, said.pause, said.name);
            for Turn { transcript, .. } in &turns {
                eprint!(" {:?} {:.2}", transcript.text, transcript.confidence().get());
            }
            eprintln!();
        }
    }
    Ok(judged)
}

async fn by_peer(
    args: &Args,
    who: &str,
    peer: &mut Peer,
    set: &Set,
    thinking: &mut Vec<f64>,
) -> Result<Judged, CliError> {
    let folder = tempfile::tempdir().map_err(|error| CliError::failed(error.to_string(), ""))?;
    let file = folder.path().join("said.wav");
    let mut judged = Judged::default();
    for said in &set.said {
        wav::write(&file, SampleRate::WIDEBAND, &said.pcm).map_err(|error| CliError::failed(explain(&error), ""))?;
        let turns = peer.turns(&file).await?;
        let ends: Vec<Millis> = turns.ends_ms.iter().copied().map(Millis).collect();
        if judged.add(said, &ends) && args.show {
            eprintln!("{who} cut off after {}: {} at {ends:?} of {}", said.pause, said.name, said.end);
        }
        thinking.extend(turns.model_ms);
    }
    Ok(judged)
}

/// Our settings beside a peer, where both wait equally long and where both cut off equally often.
fn compared(who: &str, set: &Set, ours: &[&Judged], peer: &Judged) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for by in [By::P50, By::Mean] {
        let no_slower = ours.iter().filter(|ours| ours.delay(by) <= peer.delay(by));
        if let Some(ours) = no_slower.max_by(|a, b| a.delay(by).total_cmp(&b.delay(by))) {
            let name = format!("{who}{}_ours_at_its_{}", set.rate_name(), by.name());
            metrics.push(rate(&name, ours.count(), ours.cut.len()));
        }
        let as_careful = ours.iter().filter(|ours| ours.rate() <= peer.rate());
        if let Some(ours) = as_careful.min_by(|a, b| a.delay(by).total_cmp(&b.delay(by))) {
            let name = format!("{who}{}added_delay_ms_{}_ours_at_its_rate", set.prefix, by.name());
            metrics.push(Metric::new("turn", name, ours.delay(by), "ms", ours.delays.len()));
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(end: u32) -> Said {
        Said { name: "order number".to_owned(), pause: Millis(500), pcm: Vec::new(), end: Millis(end) }
    }

    fn set() -> Set {
        Set { prefix: "", question: "", said: Vec::new(), by_pause: true }
    }

    /// One sound of 3 s for each list of ends.
    fn judged(all: &[&[u32]]) -> Judged {
        let mut judged = Judged::default();
        for ends in all {
            judged.add(&said(3_000), &ends.iter().copied().map(Millis).collect::<Vec<_>>());
        }
        judged
    }

    fn value(metrics: &[Metric], name: &str) -> Option<f64> {
        metrics.iter().find(|metric| metric.metric == name).map(|metric| metric.value)
    }

    #[test]
    fn a_turn_that_ends_before_the_voice_is_cut_off_and_one_that_never_ends_has_no_delay() {
        // Right, cut off and then right, a matter of taste, cut off for good, never noticed.
        let judged = judged(&[&[3_600], &[1_500, 3_400], &[2_960], &[1_500], &[]]);
        let metrics = judged.metrics("peer1.", &set());
        assert_eq!(value(&metrics, "peer1.false_cutoff_rate"), Some(0.4));
        assert_eq!(value(&metrics, "peer1.false_cutoff_rate_500"), Some(0.4));
        assert_eq!(value(&metrics, "peer1.unended"), Some(2.0));
        assert_eq!(value(&metrics, "peer1.added_delay_ms_p50"), Some(400.0));
        assert_eq!(value(&metrics, "peer1.added_delay_ms_mean"), Some(333.333));
    }

    #[test]
    fn settings_are_compared_where_they_wait_as_long_or_cut_off_as_often() {
        let quick = judged(&[&[1_500, 3_400], &[1_500, 3_400], &[3_400], &[3_400]]);
        let patient = judged(&[&[1_500, 3_900], &[3_900], &[3_900], &[3_900]]);
        let slow = judged(&[&[4_800], &[4_800], &[4_800], &[4_800]]);
        let peer = judged(&[&[1_500, 3_300], &[3_300], &[3_300], &[6_300]]);
        let metrics = compared("peer1.", &set(), &[&quick, &patient, &slow], &peer);
        // Its median is quicker than any of ours; its mean is 1050 ms, which only the slow one exceeds.
        assert_eq!(value(&metrics, "peer1.false_cutoff_rate_ours_at_its_p50"), None);
        assert_eq!(value(&metrics, "peer1.false_cutoff_rate_ours_at_its_mean"), Some(0.25));
        assert_eq!(value(&metrics, "peer1.added_delay_ms_p50_ours_at_its_rate"), Some(900.0));
        assert_eq!(value(&metrics, "peer1.added_delay_ms_mean_ours_at_its_rate"), Some(900.0));
    }

    #[tokio::test]
    async fn a_peer_hears_each_sound_and_is_judged() {
        let script = r#"sh -c 'echo "{\"name\":\"p\"}"; while read -r f; do test -s "$f" && echo "{\"ends_ms\":[900,3200],\"model_ms\":[60]}"; done'"#;
        let mut peer = Peer::start(script).await.expect("started");
        let of = |end| Said { pcm: vec![0; 320], ..said(end) };
        let set = Set { prefix: "digits_", question: "", said: vec![of(3_000), of(900)], by_pause: false };
        let args = Args::for_tests();
        let mut thinking = Vec::new();
        let judged = by_peer(&args, "peer1.", &mut peer, &set, &mut thinking).await.expect("answered");
        let metrics = judged.metrics("", &set);
        assert_eq!((value(&metrics, "digits_cutoff_rate"), thinking.len()), (Some(0.5), 2));
        assert_eq!(judged.delays, [200.0, 2_300.0]);
    }

    #[test]
    fn hangovers_are_two_times_in_reach() {
        assert_eq!("900/600".parse(), Ok(Hangover { hangover: 900, finished: 600 }));
        for wrong in ["900", "900/50", "9000/600", "a/b", ""] {
            assert!(wrong.parse::<Hangover>().is_err(), "{wrong}");
        }
    }
}
