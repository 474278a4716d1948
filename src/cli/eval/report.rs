//! A run written down: `report.html` to read, one file that needs nothing else but the sounds in `audio/`, where there are
//! any; `runs.jsonl` and `metrics.json` to compare and to replay.

use std::fs;
use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;
use serde_json::json;

use super::baseline::Diff;
use super::play::{Played, PlayedTurn};
use super::scenario::{Acoustics, Scenario, Turn};
use super::score::{self, Metric, Verdict};
use crate::audio::units::SampleRate;
use crate::audio::wav;
use crate::cli::{CliError, explain};

/// What there is to report.
#[derive(Serialize)]
pub struct Run<'a> {
    /// The suite.
    pub path: &'a str,
    /// The language model.
    pub model: &'a str,
    /// How the knowledge was searched.
    pub search: &'a str,
    /// Every scenario.
    #[serde(skip)]
    pub runs: &'a [(Scenario, Played, Verdict)],
    /// The numbers.
    pub metrics: &'a [Metric],
    /// The bounds that were not kept.
    pub broken: &'a [String],
    /// What is different from the accepted run.
    pub diff: Option<&'a Diff>,
}

const PAGE: &str = include_str!("report.html");

/// Writes all files of a report.
pub fn write(folder: &Path, run: &Run<'_>) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::failed(format!("the report can't be written into {}: {error}", folder.display()), "")
    };
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let lines: String = run.runs.iter().map(|one| format!("{}\n", line(one))).collect();
    fs::write(folder.join("runs.jsonl"), lines).map_err(|error| failed(&error))?;
    let metrics = serde_json::to_string_pretty(run).expect("metrics are plain data");
    fs::write(folder.join("metrics.json"), metrics).map_err(|error| failed(&error))?;
    write_sounds(folder, run.runs).map_err(|error| failed(&error))?;
    let page = page(run).map_err(|error| failed(&error))?;
    fs::write(folder.join("report.html"), page).map_err(|error| failed(&error))
}

/// Each turn's two sides, as WAV files beside the page.
fn write_sounds(folder: &Path, runs: &[(Scenario, Played, Verdict)]) -> Result<(), String> {
    let turns = || runs.iter().flat_map(|(_, played, _)| played.turns.iter().zip(1..).map(move |turn| (played, turn)));
    if turns().all(|(_, (turn, _))| turn.sound.is_none()) {
        return Ok(());
    }
    fs::create_dir_all(folder.join("audio")).map_err(|error| error.to_string())?;
    for (played, (turn, number)) in turns() {
        let Some(sound) = &turn.sound else { continue };
        for (side, pcm) in [("caller", &sound.caller), ("reply", &sound.reply)] {
            let file = folder.join(sound_file(&played.name, number, side));
            wav::write(&file, SampleRate::WIDEBAND, pcm).map_err(|error| explain(&error))?;
        }
    }
    Ok(())
}

/// Where a turn's sound is, from the page.
fn sound_file(scenario: &str, turn: usize, side: &str) -> String {
    // Anything but letters and digits is written as its number, so that no two names become one.
    let name: String = scenario
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                letter.to_string()
            } else {
                format!("_{:x}", letter as u32)
            }
        })
        .collect();
    format!("audio/{name}-{turn}-{side}.wav")
}

/// What a replay and other programs read.
fn line((scenario, played, verdict): &(Scenario, Played, Verdict)) -> serde_json::Value {
    json!({
        "name": scenario.name,
        "kind": scenario.kind,
        "person": scenario.person,
        "truths": score::truths(scenario, played),
        "opening": played.opening,
        "turns": played.turns,
        "outcome": played.outcome,
        "problems": verdict.problems,
        "answers": verdict.answers,
        "person_at": verdict.person_at,
    })
}

fn page(run: &Run<'_>) -> Result<String, minijinja::Error> {
    let mut pages = Environment::new();
    // The name's ending makes minijinja escape what callers and models say.
    pages.add_template("report.html", PAGE)?;
    let rows: Vec<serde_json::Value> = run.runs.iter().map(|one| row(one, run.diff)).collect();
    let failed = run.runs.iter().filter(|(_, _, verdict)| !verdict.problems.is_empty()).count();
    pages.get_template("report.html")?.render(context! {
        path => run.path, model => run.model, search => run.search, failed => failed,
        broken => Value::from(Serde(run.broken)), metrics => Value::from(Serde(run.metrics)),
        runs => Value::from(Serde(&rows)), diff => Value::from(Serde(run.diff)),
        regressions => run.diff.map(Diff::regressions),
    })
}

fn row((scenario, played, verdict): &(Scenario, Played, Verdict), diff: Option<&Diff>) -> serde_json::Value {
    let change = diff.and_then(|diff| diff.changes.iter().find(|change| change.name == scenario.name));
    let turns = (1..).zip(scenario.turns.iter().zip(&played.turns).zip(&verdict.answers));
    let turn = |(number, ((script, turn), answer)): (usize, ((&Turn, &PlayedTurn), &Option<score::Answer>))| {
        let mut row = turn_row(script, turn, *answer);
        if turn.sound.is_some() {
            row["caller_audio"] = json!(sound_file(&played.name, number, "caller"));
            row["reply_audio"] = json!(sound_file(&played.name, number, "reply"));
        }
        row
    };
    json!({
        "name": scenario.name,
        "kind": scenario.kind,
        "conditions": conditions(scenario, played.turns.iter().any(|turn| turn.sound.is_some())),
        "change": change.map(|change| change.what.as_str()),
        "problems": verdict.problems,
        "turns": turns.map(turn).collect::<Vec<_>>(),
    })
}

fn turn_row(script: &Turn, turn: &PlayedTurn, answer: Option<score::Answer>) -> serde_json::Value {
    let signals = turn
        .decision
        .as_ref()
        .map(|decision| serde_json::to_string_pretty(&decision.inputs).expect("signals are plain data"));
    let mut row = serde_json::to_value(turn).expect("a turn is plain data");
    row["wrote"] = json!(script.say.as_ref().unwrap_or(&turn.caller));
    row["wanted"] = json!(wanted(script));
    row["answer"] = json!(answer);
    row["signals"] = json!(signals);
    row["tools"] = turn.tools.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect();
    row
}

/// What the scenario breaks or makes hard.
fn conditions(scenario: &Scenario, by_voice: bool) -> String {
    let faults = scenario.faults.iter().map(|fault| format!("{fault:?} broken").to_lowercase());
    let garbled = !by_voice && scenario.noise > 0.0;
    let noise = garbled.then(|| format!("{:.0} % of words heard wrong", scenario.noise * 100.0));
    let agents = (scenario.agents != 1).then(|| format!("{} agents", scenario.agents));
    let line = if by_voice { line_of(&scenario.audio) } else { Vec::new() };
    faults.chain(noise).chain(agents).chain(line).collect::<Vec<_>>().join(", ")
}

fn line_of(audio: &Acoustics) -> Vec<String> {
    let voice = (!audio.voice.is_empty()).then(|| format!("voice {}", audio.voice));
    let noise = audio.snr_db.map(|snr| format!("noise {snr} dB below the voice"));
    let loss = (audio.loss > 0.0).then(|| format!("{} % of audio messages lost", audio.loss * 100.0));
    let jitter = (audio.jitter_ms > 0).then(|| format!("messages up to {} ms late", audio.jitter_ms));
    voice.into_iter().chain(noise).chain(loss).chain(jitter).collect()
}

/// What a turn's script asks for, in words.
fn wanted(script: &Turn) -> Vec<String> {
    let mut wanted = Vec::new();
    match script.entry.as_deref() {
        Some("-") => wanted.push("no statement: nothing backs one".to_owned()),
        Some(entry) => wanted.push(format!("from {entry}")),
        None => {}
    }
    wanted.extend(script.spoken.iter().map(|fact| format!("says {}", fact.replace('|', " or "))));
    wanted.extend(script.absent.iter().map(|word| format!("not: {}", word.replace('|', " or "))));
    wanted.extend(script.handoff.iter().map(|reason| format!("person: {reason}")));
    wanted.extend(script.phrase.iter().map(|phrase| format!("sentence {phrase}")));
    wanted.extend(script.tool.iter().map(|tool| match tool.arguments.is_empty() {
        true => format!("tool {}", tool.name),
        false => format!("tool {} {}", tool.name, serde_json::Value::Object(tool.arguments.clone())),
    }));
    wanted.extend(script.heard.iter().map(|fact| format!("heard {}", fact.replace('|', " or "))));
    wanted.extend(script.within_ms.map(|limit| format!("within {limit} ms")));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::baseline::Change;
    use crate::cli::eval::play::{Said, Sound};
    use crate::cli::eval::scenario::Kind;

    #[test]
    fn the_page_has_all_that_was_said_and_escapes_it() {
        let script = Turn {
            say: Some("how much is <delivery>".to_owned()),
            entry: Some("delivery".to_owned()),
            spoken: vec!["4.90|free".to_owned()],
            ..Turn::default()
        };
        let scenario = Scenario {
            name: "shop-1".to_owned(),
            kind: Kind::Answerable,
            person: Some(false),
            faults: Vec::new(),
            agents: 1,
            noise: 0.2,
            audio: Acoustics { snr_db: Some(10.0), ..Acoustics::default() },
            results: Default::default(),
            part: None,
            must: Default::default(),
            turns: vec![script],
        };
        let said = vec![Said { text: "It costs $7 & more.".to_owned(), fixed: None }];
        let turn = PlayedTurn { caller: "how much is <livery>".to_owned(), said, ..PlayedTurn::default() };
        let played = Played {
            name: "shop-1".to_owned(),
            kind: Kind::Answerable,
            opening: None,
            turns: vec![turn],
            outcome: None,
            troubles: Vec::new(),
        };
        let verdict = score::judge(&scenario, &played);
        let change = Change { name: "shop-1".to_owned(), what: "passed, and fails now".to_owned(), regression: true };
        let diff = Diff { model: "m".to_owned(), changes: vec![change], moved: Vec::new() };
        let runs = [(scenario, played, verdict)];
        let run = Run {
            path: "evals/x",
            model: "none",
            search: "words",
            runs: &runs,
            metrics: &[],
            broken: &[],
            diff: Some(&diff),
        };
        let page = page(&run).expect("renders");
        for part in [
            "how much is &lt;livery&gt;",
            "said: how much is &lt;delivery&gt;",
            "It costs $7 &amp; more.",
            "says 4.90 or free",
            "1 of 1 scenarios failed",
            "20 % of words heard wrong",
            "<b class=\"bad\">1 got worse.</b>",
            "a wrong statement",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "it needs nothing else");
        assert!(!page.contains("<audio") && !page.contains("dB"), "nothing was heard");
    }

    #[test]
    fn a_run_by_voice_can_be_listened_to() {
        let scenario = Scenario {
            name: "calls/shop 1".to_owned(),
            kind: Kind::Answerable,
            person: None,
            faults: Vec::new(),
            agents: 1,
            noise: 0.2,
            audio: Acoustics { snr_db: Some(10.0), loss: 0.02, ..Acoustics::default() },
            results: Default::default(),
            part: None,
            must: Default::default(),
            turns: vec![Turn { say: Some("how much is it".to_owned()), within_ms: Some(900), ..Turn::default() }],
        };
        let sound = Sound {
            transcribed: "It costs four <ninety>.".to_owned(),
            response_ms: Some(812),
            caller: vec![9; 320],
            reply: vec![7; 640],
            ..Sound::default()
        };
        let played = Played {
            name: scenario.name.clone(),
            kind: scenario.kind,
            opening: None,
            turns: vec![PlayedTurn { sound: Some(sound), ..PlayedTurn::default() }],
            outcome: None,
            troubles: vec!["turn 2: nothing was heard".to_owned()],
        };
        let verdict = score::judge(&scenario, &played);
        let runs = [(scenario, played, verdict)];
        let (metrics, broken): (&[Metric], &[String]) = (&[], &[]);
        let run = Run { path: "calls", model: "none", search: "words", runs: &runs, metrics, broken, diff: None };
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &run).expect("written");
        let page = fs::read_to_string(folder.path().join("report.html")).expect("a page");
        for part in [
            "It costs four &lt;ninety&gt;.",
            "812 ms",
            "noise 10 dB below the voice, 2 % of audio messages lost",
            "within 900 ms",
            "turn 2: nothing was heard",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(!page.contains("heard wrong"), "words are garbled in text alone");
        for (side, samples) in [("caller", 320), ("reply", 640)] {
            let file = format!("audio/calls_2fshop_201-1-{side}.wav");
            assert!(page.contains(&file.replace('/', "&#x2f;")) || page.contains(&file), "{file} in\n{page}");
            assert_eq!(wav::read(&folder.path().join(&file)).expect("a recording").len(), samples);
        }
    }
}
