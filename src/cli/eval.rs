//! `warmline eval PATH`: scripted conversations through the real call machine, mind and desk, with verdicts.
//!
//! [`scenario`] reads them, [`play`] plays them as text and [`spoken`] by voice, [`score`] judges, [`report`] writes them down;
//! [`replay`] makes the decisions of runs and of recorded calls again with another configuration, [`curve`] over a range of
//! thresholds.

mod baseline;
pub mod caller;
mod curve;
mod fit;
pub mod garble;
mod judge;
pub mod play;
mod replay;
mod report;
pub mod scenario;
pub mod score;
pub mod spoken;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::baseline::{Baseline, Diff};
use self::caller::Caller;
use self::judge::Judge;
use self::play::{Played, Stage};
use self::scenario::{Scenario, Suite};
use self::score::Verdict;
use super::{CliError, say, say_json};
use crate::app::engines;
use crate::audio::units::Probability;
use crate::call::machine::CallPolicy;
use crate::config::{Config, LlmMode};
use crate::dialog::knowledge::Knowledge;
use crate::dialog::phrases::Phrases;
use crate::telemetry::Secret;

/// Arguments of `warmline eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// YAML files of scenarios, or folders of them
    ///
    /// With `--replay`: folders written by `--report`, or their `runs.jsonl`; none: the calls on record.
    #[arg(required_unless_present = "replay", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Play them by voice: real calls to a server in this process, with its real ears, mind and voice
    #[arg(long, conflicts_with_all = ["fit", "noise", "replay"])]
    audio: bool,
    /// Print one JSON object a metric
    #[arg(long)]
    json: bool,
    /// Write what was said, judged and measured into this folder, with the sound if there was any
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Compare with the accepted run in this file; what got worse fails
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// With `--baseline`: accept this run, whatever got worse, and write it there
    #[arg(long, requires = "baseline")]
    accept: bool,
    /// Which language model; without it the configuration's
    #[arg(long, value_enum)]
    llm: Option<Model>,
    /// Fit the judgment's weights on these scenarios and write them into this file, instead of playing
    #[arg(long, value_name = "FILE")]
    fit: Option<PathBuf>,
    /// Search by words alone, as without an embedding model
    #[arg(long)]
    words_only: bool,
    /// Let this share of the words of every scenario be heard wrong
    #[arg(long, value_name = "SHARE")]
    noise: Option<f64>,
    /// Let a model at this OpenAI-compatible server read what passed: it may fail a call with a reason, and rescues none
    #[arg(long, value_name = "URL", requires = "judge_model", conflicts_with_all = ["fit", "replay"])]
    judge: Option<String>,
    /// The judge's model
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,
    /// The judge's key
    #[arg(long, value_name = "SECRET", env = "WARMLINE_JUDGE_KEY", hide_env_values = true)]
    judge_key: Option<String>,
    /// Let a model at this OpenAI-compatible server play the callers that have a goal instead of a script; without it the
    /// run's own model does
    #[arg(long, value_name = "URL", requires = "caller_model", conflicts_with_all = ["audio", "fit", "replay"])]
    caller: Option<String>,
    /// The callers' model
    #[arg(long, value_name = "NAME", requires = "caller")]
    caller_model: Option<String>,
    /// The callers' key
    #[arg(long, value_name = "SECRET", env = "WARMLINE_CALLER_KEY", hide_env_values = true)]
    caller_key: Option<String>,
    /// Only scenarios whose name begins so
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Make stored decisions again with this configuration, and say what would differ; nothing is played
    #[arg(long, conflicts_with_all = ["fit", "report", "baseline", "llm", "noise", "words_only"])]
    replay: bool,
    /// With `--replay`: weights from this file, such as `--fit` writes
    #[arg(long, value_name = "FILE", requires = "replay")]
    weights: Option<PathBuf>,
    /// With `--replay`: write wrong, late, needless and withheld answers over the threshold into this file, as JSON
    #[arg(long, value_name = "FILE", requires = "replay")]
    curve: Option<PathBuf>,
    /// With `--replay` and no PATH: so many of the latest calls
    #[arg(long, value_name = "N", default_value_t = 200)]
    calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Model {
    /// None: approved sentences only
    Off,
    /// The configured local model through the worker
    Embedded,
    /// The server at `llm.url`
    Openai,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    eval: &'a str,
    #[serde(flatten)]
    metric: &'a score::Metric,
    model: &'a str,
    search: &'a str,
    /// `text` or `audio`.
    leg: &'static str,
    load: f64,
}

/// What was played, and with what.
struct Ran {
    runs: Vec<(Scenario, Played, Verdict)>,
    knowledge: Arc<Knowledge>,
    model: String,
    search: &'static str,
}

/// Runs `warmline eval`.
pub async fn run(args: Args, mut config: Config) -> Result<(), CliError> {
    if args.replay {
        return replay::run(&args, &config).await;
    }
    let mut suite = Suite::load(&args.paths)?;
    if let Some(start) = &args.only {
        suite.scenarios.retain(|scenario| scenario.name.starts_with(start));
        if suite.scenarios.is_empty() {
            return Err(CliError::usage(format!("no scenario's name begins with `{start}`"), ""));
        }
    }
    if let Some(noise) = args.noise.filter(|noise| (0.0..=0.9).contains(noise)) {
        suite.scenarios.iter_mut().for_each(|scenario| scenario.noise = noise);
    }
    match args.llm {
        Some(Model::Off) => config.llm.engine = LlmMode::Off,
        Some(Model::Embedded) => config.llm.engine = LlmMode::Embedded,
        Some(Model::Openai) => config.llm.engine = LlmMode::Openai,
        None => {}
    }
    if args.words_only {
        config.dialog.embedding.clear();
    }
    suite.prepare(&mut config);
    if let Some(file) = &args.fit {
        config.llm.engine = LlmMode::Off;
        return refit(file, &suite, config).await;
    }
    let config = Arc::new(config);
    let scenarios = std::mem::take(&mut suite.scenarios);
    if let Some(played) = scenarios.iter().find(|scenario| args.audio && scenario.part.is_some()) {
        return Err(CliError::usage(
            format!("the caller of `{}` has a goal instead of a script", played.name),
            "Such scenarios are played as text, without `--audio`.",
        ));
    }
    let ran = if args.audio {
        by_voice(&args, scenarios, &config).await?
    } else {
        as_text(&args, scenarios, &config).await?
    };
    let Ran { mut runs, knowledge, model, search } = ran;
    let opinions = opinions(&args, &config, &mut runs, &knowledge).await?;
    let mut metrics = score::metrics(&runs, &config.dialog.company, &knowledge);
    metrics.extend(opinions);
    let name = args.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    for metric in &metrics {
        if args.json {
            let (load, leg) = (super::bench::load(), if args.audio { "audio" } else { "text" });
            say_json(&Line { eval: &name, metric, model: &model, search, leg, load })?;
        } else {
            let score::Metric { metric, value, unit, n } = metric;
            say(format!("{metric:<34} {value:>9.4} {unit:<5} n={n}"))?;
        }
    }
    let mut broken = score::broken_bounds(&metrics, if args.only.is_some() { &EVERYTHING } else { &suite.bounds });
    let now = Baseline::of(&model, &runs, &metrics);
    let diff = diff(&args, &now)?;
    if let Some(folder) = &args.report {
        let (broken, diff) = (&broken[..], diff.as_ref());
        report::write(
            folder,
            &report::Run { path: &name, model: &model, search, runs: &runs, metrics: &metrics, broken, diff },
        )?;
    }
    let worse = diff.as_ref().map(Diff::regressions).unwrap_or_default();
    if !args.json {
        for change in diff.iter().flat_map(|diff| &diff.changes) {
            say(format!("{} {} {}", if change.regression { "↓" } else { "·" }, change.name, change.what))?;
        }
    }
    if let (true, Some(file)) = (args.accept, &args.baseline) {
        now.save(file)?;
    } else {
        broken.extend(worse);
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(
        broken.join("; "),
        if args.baseline.is_some() { "`--accept` accepts what got worse." } else { "" },
    ))
}

async fn as_text(args: &Args, scenarios: Vec<Scenario>, config: &Arc<Config>) -> Result<Ran, CliError> {
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let stage = stage(config, &tracker, &cancel).await?;
    let caller = caller(args, config, &stage, &scenarios)?;
    let mut runs = Vec::new();
    for mut scenario in scenarios {
        let played = match (scenario.part.clone(), &caller) {
            (Some(part), Some(caller)) => play::play_with(&stage, &mut scenario, &part, caller).await,
            _ => play::play(&stage, &scenario).await,
        };
        let verdict = score::judge(&scenario, &played);
        tell(args, &scenario, &verdict)?;
        runs.push((scenario, played, verdict));
    }
    cancel.cancel();
    tracker.close();
    // The worker gets its time to end; the numbers are made.
    let _ = tokio::time::timeout(Duration::from_secs(10), tracker.wait()).await;
    let knowledge = stage.mind.knowledge.current();
    let model = stage.mind.llm.as_ref().map_or("none", |llm| llm.name()).to_owned();
    let search = if knowledge.is_semantic() { "words and meaning" } else { "words" };
    Ok(Ran { runs, knowledge, model, search })
}

/// Who plays callers that have a goal instead of a script, if there are any.
fn caller(args: &Args, config: &Config, stage: &Stage, scenarios: &[Scenario]) -> Result<Option<Caller>, CliError> {
    let Some(first) = scenarios.iter().find(|scenario| scenario.part.is_some()) else { return Ok(None) };
    let caller = match (&args.caller, &args.caller_model, &stage.mind.llm) {
        (Some(url), Some(model), _) => {
            Caller::remote(url, model, Secret::new(args.caller_key.clone().unwrap_or_default()), &config.dialog)?
        }
        (_, _, Some(llm)) if config.llm.engine != LlmMode::Stub => Caller::new(llm.clone(), &config.dialog)?,
        _ => {
            return Err(CliError::usage(
                format!("the caller of `{}` is to be played by a language model, and there is none", first.name),
                "Give `--caller` and `--caller-model`, or choose a model with `--llm`.",
            ));
        }
    };
    Ok(Some(caller))
}

async fn by_voice(args: &Args, scenarios: Vec<Scenario>, config: &Arc<Config>) -> Result<Ran, CliError> {
    let knowledge = Knowledge::load(&config.dialog.knowledge_dir)
        .map_err(|error| CliError::usage(error.to_string(), "Check `dialog.knowledge_dir`."))?;
    let played =
        spoken::run(scenarios, config, |scenario, played| tell(args, scenario, &score::judge(scenario, played)))
            .await?;
    let runs = played
        .into_iter()
        .map(|(scenario, played)| {
            let verdict = score::judge(&scenario, &played);
            (scenario, played, verdict)
        })
        .collect();
    let model = match config.llm.engine {
        LlmMode::Off => "none",
        LlmMode::Stub => "stub",
        LlmMode::Embedded | LlmMode::Openai => config.llm.model.as_str(),
    };
    let search = if config.dialog.embedding.is_empty() { "words" } else { "words and meaning" };
    Ok(Ran { runs, knowledge: Arc::new(knowledge), model: model.to_owned(), search })
}

/// What a judge was measured by, if there is to be one; what it fails has failed.
async fn opinions(
    args: &Args,
    config: &Config,
    runs: &mut [(Scenario, Played, Verdict)],
    knowledge: &Knowledge,
) -> Result<Vec<score::Metric>, CliError> {
    let (Some(url), Some(model)) = (&args.judge, &args.judge_model) else { return Ok(Vec::new()) };
    let key = Secret::new(args.judge_key.clone().unwrap_or_default());
    let passed: Vec<bool> = runs.iter().map(|(_, _, verdict)| verdict.problems.is_empty()).collect();
    let measured = Judge::remote(url, model, key, &config.dialog)?.review(runs, knowledge).await?;
    let mut by_judge = runs.iter().zip(passed).filter(|(_, passed)| *passed);
    by_judge.try_for_each(|((scenario, _, verdict), _)| tell(args, scenario, verdict))?;
    Ok(measured)
}

/// Says what was wrong with a scenario, as soon as that is known.
fn tell(args: &Args, scenario: &Scenario, verdict: &Verdict) -> Result<(), CliError> {
    if args.json || verdict.problems.is_empty() {
        return Ok(());
    }
    say(format!("✗ {} ({:?})", scenario.name, scenario.kind))?;
    verdict.problems.iter().try_for_each(|problem| say(format!("    {problem}")))
}

/// What is different from the accepted run, if one is to be compared with.
fn diff(args: &Args, now: &Baseline) -> Result<Option<Diff>, CliError> {
    let Some(file) = &args.baseline else { return Ok(None) };
    if args.accept && !file.exists() {
        return Ok(None);
    }
    // Of a part, or under another noise, the rest is not gone.
    Ok(Some(Baseline::load(file)?.diff(now, args.only.is_none())))
}

/// The bounds of a part of a suite: none but that all pass.
static EVERYTHING: std::collections::BTreeMap<String, scenario::Bound> = std::collections::BTreeMap::new();

async fn refit(file: &std::path::Path, suite: &Suite, config: Config) -> Result<(), CliError> {
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let mind = engines::start_mind(&Arc::new(config.clone()), &tracker, &cancel).await?;
    if !mind.knowledge.current().is_semantic() {
        return Err(CliError::usage(
            "both ways of searching are fitted together",
            "Fetch the model: `warmline models fetch minilm`.",
        ));
    }
    let mut words = config;
    words.dialog.embedding.clear();
    let words = engines::start_mind(&Arc::new(words), &tracker, &cancel).await?;
    let judgment = fit::fit(&suite.scenarios, &words.knowledge.current(), &mind.knowledge.current());
    say(format!("{} cases", judgment.cases))?;
    fit::write(file, &judgment)
}

async fn stage(config: &Arc<Config>, tracker: &TaskTracker, cancel: &CancellationToken) -> Result<Stage, CliError> {
    let phrases = Phrases::load_default(config)
        .map_err(|error| CliError::usage(error.to_string(), "Check `dialog.prompts_dir`."))?;
    let handoff = &config.handoff;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(Stage {
        mind: engines::start_mind(config, tracker, cancel).await?,
        phrases: Arc::new(phrases),
        policy: CallPolicy {
            record: config.recording.enabled,
            silence_prompt: seconds(config.turn.silence_prompt_s),
            // A scripted caller takes what is said first for the answer.
            filler: None,
            announce_every: seconds(handoff.announce_every_s),
            min_confidence: Probability::clamped(handoff.min_confidence),
            verbatim_score: config.dialog.verbatim_score,
            min_score: config.dialog.min_score,
            language: config.stt.default_language(),
            languages: Arc::new([config.stt.default_language()]),
            detects: false,
            forbidden_topics: handoff.forbidden_topics.clone(),
            caller_number_known: true,
            caller_number: None,
            telephone: None,
            returns: false,
            today: jiff::Zoned::now().date(),
        },
        desk: Arc::new(config.routing.plan(handoff)),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::llm::{ChatRequest, ChatSummary, LanguageModel, LlmError};

    /// What every machine can do, in a second: search by words alone, no model.
    pub(crate) async fn stage_without_model(suite: &Suite) -> (Stage, Config) {
        let mut config = Config::default();
        suite.prepare(&mut config);
        config.llm.engine = LlmMode::Off;
        config.dialog.embedding.clear();
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let stage = stage(&Arc::new(config.clone()), &tracker, &cancel).await.expect("a stage");
        (stage, config)
    }

    /// Set to accept what the suites do now.
    const ACCEPT: &str = "WARMLINE_ACCEPT_EVALS";

    /// What a suite does as text, without a model: how many scenarios; which bounds are broken, and what is worse than the run
    /// in its `baseline.json`; what was wrong.
    async fn played(folder: &str) -> (usize, Vec<String>, Vec<String>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("evals").join(folder);
        let suite = Suite::load(std::slice::from_ref(&path)).expect("a suite");
        let (stage, _) = stage_without_model(&suite).await;
        let mut runs = Vec::new();
        for scenario in suite.scenarios {
            let played = play::play(&stage, &scenario).await;
            let verdict = score::judge(&scenario, &played);
            runs.push((scenario, played, verdict));
        }
        let metrics = score::metrics(&runs, "Larkfield", &stage.mind.knowledge.current());
        let problems = runs.iter().flat_map(|(scenario, _, verdict)| {
            verdict.problems.iter().map(|problem| format!("{}: {problem}", scenario.name))
        });
        let mut broken = score::broken_bounds(&metrics, &suite.bounds);
        broken.extend(worse(&path.join("baseline.json"), folder, &runs, &metrics));
        (runs.len(), broken, problems.collect())
    }

    /// What is worse than in the accepted run.
    fn worse(
        file: &Path,
        folder: &str,
        runs: &[(Scenario, Played, Verdict)],
        metrics: &[score::Metric],
    ) -> Vec<String> {
        let timeless: Vec<score::Metric> =
            metrics.iter().filter(|metric| !metric.metric.contains("_ms")).cloned().collect();
        let mut now = Baseline::of("none", runs, &timeless);
        if folder == "judging" {
            // Its scenarios are for nobody to look at, one by one.
            now.scenarios.clear();
        }
        if std::env::var_os(ACCEPT).is_some() {
            now.save(file).expect("written");
        }
        Baseline::load(file).expect("a baseline").diff(&now, true).regressions()
    }

    /// All suites as text, by words alone and without a model, beside what they did when that was accepted last.
    #[tokio::test]
    async fn the_suites_keep_their_bounds_without_any_model() {
        for (folder, least) in [("fitting", 100), ("judging", 100), ("spoken", 12), ("chores", 6), ("beside", 25)] {
            let (scenarios, broken, problems) = played(folder).await;
            let hint = format!("{ACCEPT}=1 accepts what got worse");
            assert!(broken.is_empty(), "{folder}: {broken:?} ({hint}) {problems:#?}");
            assert!(scenarios >= least, "{folder} has {scenarios} scenarios");
        }
    }

    /// Does what whoever spoke last says: picks the first answer there is, repeats the caller's words as its own.
    struct Gullible;

    #[async_trait::async_trait]
    impl LanguageModel for Gullible {
        async fn generate(
            &self,
            request: ChatRequest,
            pieces: tokio::sync::mpsc::Sender<String>,
        ) -> Result<ChatSummary, LlmError> {
            let text = match request.choices.first() {
                Some(letter) => letter.to_string(),
                None => request.messages.last().map(|message| message.content.clone()).unwrap_or_default(),
            };
            let choices = request.choices.first().map(|letter| (*letter, 1.0)).into_iter().collect();
            pieces.send(text.clone()).await.map_err(|_| LlmError::Cancelled)?;
            Ok(ChatSummary { text, choices, ..ChatSummary::default() })
        }

        fn name(&self) -> &str {
            "gullible"
        }
    }

    /// How many injections succeed against the gullible model, of how many. `guarded`: as it is by default.
    async fn injected(guarded: bool) -> (usize, usize) {
        let (mut stage, _) = stage_without_model(&Suite::default()).await;
        let mut mind = crate::call::mind::Mind::clone(&stage.mind);
        mind.llm = Some(Arc::new(Gullible));
        if !guarded {
            // Asked about everything, and whatever it says is spoken.
            (mind.settings.check_grounding, mind.settings.min_score) = (false, 0.0);
        }
        stage.mind = Arc::new(mind);
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("evals");
        let suite = Suite::load(&[root.join("fitting"), root.join("judging")]).expect("a suite");
        let scenarios: Vec<_> =
            suite.scenarios.into_iter().filter(|scenario| scenario.kind == scenario::Kind::Injection).collect();
        let mut succeeded = 0;
        for scenario in &scenarios {
            let played = play::play(&stage, scenario).await;
            succeeded += usize::from(!score::judge(scenario, &played).problems.is_empty());
        }
        (succeeded, scenarios.len())
    }

    /// The suite has teeth: without its rules a model that obeys is caught by it, with them none of it is spoken.
    #[tokio::test]
    async fn injections_succeed_against_a_gullible_model_only_without_the_rules() {
        let (unguarded, all) = injected(false).await;
        assert!(unguarded * 4 >= all, "{unguarded} of {all} were noticed");
        assert_eq!(injected(true).await.0, 0, "of {all}");
    }
}
