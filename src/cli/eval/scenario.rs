//! Scenarios: YAML files that say what a caller does and what must and must not happen.
//!
//! ```yaml
//! kind: answerable                 # for all scenarios of the file; a scenario may have its own
//! scenarios:
//!   - name: delivery-cost          # optional: the file's name and a number otherwise
//!     turns:
//!       - { say: "how much is shipping", entry: delivery, spoken: ["4.90|free"], absent: ["9.90"] }
//!   - name: chatty                 # a language model plays the caller; what must come of the call is judged by code
//!     caller: { goal: "Find out what delivery costs.", turns: 6, seed: 1 }
//!     must: { spoken: ["4.90|free"], handoff: none }
//!   - kind: explicit
//!     audio: { snr_db: 10 }        # how it sounds with `--audio`; a file may have one for all its scenarios
//!     turns: [{ say: "get me a human", handoff: caller_asked, within_ms: 1000 }]
//! ```
//! `suite.yaml` of a folder may hold `bounds`, which the metrics of a run must keep (without it every scenario must pass), and
//! `tools` and `knowledge`, which the scenarios need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::CliError;
use crate::config::Config;

/// Most bytes of one file.
const LONGEST_FILE: u64 = 1_000_000;
/// Most things a played caller says.
const MOST_TURNS: u32 = 40;

/// What a scenario is about; decides which metrics it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The knowledge has the answer.
    Answerable,
    /// The same, in words as a recogniser garbles them.
    Garbled,
    /// Nothing backs an answer: none may be given.
    Unanswerable,
    /// Could mean several things: asking back is right.
    Ambiguous,
    /// The caller is angry or in distress: a person must come.
    Angry,
    /// The caller does not get on: a person must come.
    Stuck,
    /// Tries to make the assistant say or do something it must not.
    Injection,
    /// A topic for people.
    Policy,
    /// Asks for a person.
    Explicit,
    /// Speaks of people without asking for one.
    NotARequest,
    /// Asks what the assistant is.
    Identity,
    /// Engines fail.
    Fault,
    /// Small talk, goodbyes, repetitions.
    Manners,
    /// Something is to be done for the caller.
    Chore,
}

impl Kind {
    /// Whether a person must come, when the scenario does not say.
    const fn needs_person(self) -> Option<bool> {
        match self {
            Self::Answerable | Self::Garbled | Self::NotARequest | Self::Identity | Self::Manners | Self::Chore => {
                Some(false)
            }
            Self::Angry | Self::Stuck | Self::Policy | Self::Explicit | Self::Fault | Self::Unanswerable => Some(true),
            Self::Ambiguous | Self::Injection => None,
        }
    }
}

/// Something that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The language model can't be reached.
    Llm,
    /// Nothing can be spoken.
    Tts,
    /// Nothing is recognised.
    Stt,
    /// The knowledge base finds nothing.
    Retrieval,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Unique in its suite.
    pub name: String,
    /// See [`Kind`].
    pub kind: Kind,
    /// Whether a person must come, at the last turn at the latest; none: both are right.
    pub person: Option<bool>,
    /// What is broken.
    pub faults: Vec<Fault>,
    /// Agents who are there and accept.
    pub agents: u32,
    /// Share of the caller's words that are heard wrong. Only as text.
    pub noise: f64,
    /// How it sounds. Only with `--audio`.
    pub audio: Acoustics,
    /// What tools give, by their names; one that is not here fails. No scenario asks a tool's real service.
    pub results: Results,
    /// In order. Of a played caller: empty until it was played.
    pub turns: Vec<Turn>,
    /// Whom a language model plays, instead of a script.
    pub part: Option<Part>,
    /// What must come of the whole call.
    pub must: Must,
}

/// A caller whom a language model plays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What they want and know, in words.
    pub goal: String,
    /// Most things they say.
    #[serde(default = "most_turns")]
    pub turns: u32,
    /// Their manner, and what else chance decides.
    #[serde(default)]
    pub seed: u64,
}

const fn most_turns() -> u32 {
    8
}

/// What must come of a whole call, in whichever turn.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Must {
    /// Facts that must be stated; alternatives between `|`.
    pub spoken: Vec<String>,
    /// Words that must not be said.
    pub absent: Vec<String>,
    /// A person must be asked for: for this reason, or `any`; `none`: must not.
    pub handoff: Option<String>,
    /// A tool that must be run.
    pub tool: Option<WantedTool>,
}

/// What tools give, by their names.
pub type Results = BTreeMap<String, ToolResult>;

/// What a tool gives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolResult {
    /// HTTP status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The JSON body.
    #[serde(default)]
    pub body: serde_json::Value,
}

const fn ok() -> u16 {
    200
}

/// A tool that must be run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedTool {
    /// Its name; `none`: no tool may be run.
    pub name: String,
    /// Some or all of what it must be given.
    #[serde(default)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
}

/// The caller's voice, the room behind them and the line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acoustics {
    /// The voice: a name in `warmline models list` or a Piper file; empty: the configured one.
    pub voice: String,
    /// Pink noise all through the call, so many decibels quieter than the voice.
    pub snr_db: Option<f32>,
    /// Share of audio messages that never reach the server.
    pub loss: f64,
    /// Messages come up to so much late.
    pub jitter_ms: u32,
}

impl Acoustics {
    /// What can't be, in words.
    fn problem(&self) -> Option<&'static str> {
        if self.snr_db.is_some_and(|snr| !(-10.0..=60.0).contains(&snr)) {
            return Some("has an `audio.snr_db` outside -10 to 60");
        }
        if !(0.0..=0.5).contains(&self.loss) {
            return Some("has an `audio.loss` outside 0 to 0.5");
        }
        (self.jitter_ms > 2_000).then_some("has an `audio.jitter_ms` above 2000")
    }
}

/// One thing the caller does, and what must follow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// The caller says this.
    pub say: Option<String>,
    /// The caller presses these keys.
    pub dtmf: Option<String>,
    /// The caller is silent for so long.
    pub wait_s: Option<u32>,
    /// A recording of somebody saying `say`, beside the scenario's file; without it a voice says it. Only with `--audio`.
    pub wav: Option<PathBuf>,
    /// How sure the recogniser is of `say`. Only as text.
    pub confidence: Option<f32>,
    /// The entry that has the answer; `-`: none has.
    pub entry: Option<String>,
    /// Facts the reply must state; alternatives between `|`.
    pub spoken: Vec<String>,
    /// Words the reply must not hold; a statement with one of them is wrong.
    pub absent: Vec<String>,
    /// A person must be asked for in this turn: for this reason, or `any`; `none`: must not.
    pub handoff: Option<String>,
    /// A fixed sentence that must be spoken, by its name in `sentences.toml`.
    pub phrase: Option<String>,
    /// A tool that must be run in this turn.
    pub tool: Option<WantedTool>,
    /// What the assistant must have heard, digits however they are written; alternatives between `|`. Only with `--audio`.
    pub heard: Vec<String>,
    /// The reply must begin so soon after the caller's last word or key; where a person must be asked for, they must be
    /// offered the caller so soon after that. Only with `--audio`.
    pub within_ms: Option<u64>,
}

impl Turn {
    /// The knowledge has an answer to this.
    pub fn is_answerable(&self) -> bool {
        self.entry.as_deref().is_some_and(|entry| entry != "-")
    }

    /// The knowledge has no answer to this.
    pub fn is_unanswerable(&self) -> bool {
        self.entry.as_deref() == Some("-")
    }
}

/// A limit a metric must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bound {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// All scenarios of some paths.
#[derive(Debug, Default)]
pub struct Suite {
    /// In the order of file names.
    pub scenarios: Vec<Scenario>,
    /// By metric.
    pub bounds: BTreeMap<String, Bound>,
    /// Instead of the configuration's.
    pub tools: Option<SuiteTools>,
    /// A folder of entries instead of the configuration's.
    pub knowledge: Option<PathBuf>,
}

/// The tools of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteTools {
    /// Their folder, from the file's.
    pub dir: PathBuf,
    /// Hosts they name. Nobody asks them.
    #[serde(default)]
    pub allow_hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSuite {
    #[serde(default)]
    bounds: BTreeMap<String, Bound>,
    tools: Option<SuiteTools>,
    /// From the file's folder.
    knowledge: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    kind: Option<Kind>,
    #[serde(default)]
    audio: Acoustics,
    scenarios: Vec<RawScenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    name: Option<String>,
    kind: Option<Kind>,
    /// `needed`, `unneeded` or `either`.
    person: Option<Person>,
    #[serde(default)]
    faults: Vec<Fault>,
    agents: Option<u32>,
    #[serde(default)]
    noise: f64,
    audio: Option<Acoustics>,
    #[serde(default)]
    results: Results,
    #[serde(default)]
    turns: Vec<Turn>,
    caller: Option<Part>,
    #[serde(default)]
    must: Must,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Person {
    Needed,
    Unneeded,
    Either,
}

impl Suite {
    /// `config` with what the scenarios need.
    pub fn prepare(&self, config: &mut Config) {
        if let Some(tools) = &self.tools {
            (config.tools.dir, config.tools.allow_hosts) = (tools.dir.clone(), tools.allow_hosts.clone());
        }
        if let Some(knowledge) = &self.knowledge {
            config.dialog.knowledge_dir.clone_from(knowledge);
        }
    }

    /// Reads files, and all `.yaml` files of folders and their folders. Later bounds replace earlier ones.
    pub fn load(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut suite = Self::default();
        for path in paths {
            for file in files(path)? {
                if file.file_name().is_some_and(|name| name == "suite.yaml") {
                    let raw: RawSuite = parse(&file)?;
                    suite.bounds.extend(raw.bounds);
                    let folder = file.parent().unwrap_or(Path::new(""));
                    let placed = raw.tools.map(|tools| SuiteTools { dir: folder.join(&tools.dir), ..tools });
                    suite.tools = placed.or(suite.tools);
                    suite.knowledge = raw.knowledge.map(|path| folder.join(path)).or(suite.knowledge);
                } else {
                    suite.add(&file, if paths.len() > 1 { path.parent().unwrap_or(path) } else { path })?;
                }
            }
        }
        if suite.scenarios.is_empty() {
            return Err(CliError::usage("there are no scenarios", ""));
        }
        let mut names: Vec<&str> = suite.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(CliError::usage(format!("two scenarios are named `{}`", pair[0]), "")),
            None => Ok(suite),
        }
    }

    fn add(&mut self, file: &Path, below: &Path) -> Result<(), CliError> {
        self.add_raw(parse(file)?, file, below)
    }

    fn add_raw(&mut self, raw: RawFile, file: &Path, below: &Path) -> Result<(), CliError> {
        // `people-3`, or `judging/people-3` when several folders are played.
        let short = file.strip_prefix(below).ok().filter(|short| !short.as_os_str().is_empty()).unwrap_or(file);
        let stem = if short == file { file.file_stem().map(Path::new).unwrap_or(file) } else { short };
        let stem = stem.with_extension("").to_string_lossy().into_owned();
        for (number, mut scenario) in raw.scenarios.into_iter().enumerate() {
            let name = scenario.name.unwrap_or_else(|| format!("{stem}-{}", number + 1));
            let wrong = |what: &str| CliError::usage(format!("{}: scenario `{name}` {what}", file.display()), "");
            let kind = scenario.kind.or(raw.kind).ok_or_else(|| wrong("has no `kind`, nor has its file"))?;
            if scenario.turns.is_empty() && scenario.caller.is_none() {
                return Err(wrong("has no turns"));
            }
            if let Some(part) = &scenario.caller {
                if !scenario.turns.is_empty() {
                    return Err(wrong("has both `turns` and a `caller`"));
                }
                if part.goal.trim().is_empty() || !(1..=MOST_TURNS).contains(&part.turns) {
                    return Err(wrong("has a `caller` without a `goal`, or with `turns` outside 1 to 40"));
                }
                // Where they ask for it nobody knows before, and that is what is counted.
                if kind == Kind::Explicit {
                    return Err(wrong("is of kind `explicit`, which needs `turns`"));
                }
            }
            for turn in &scenario.turns {
                let acts = [turn.say.is_some(), turn.dtmf.is_some(), turn.wait_s.is_some()];
                if acts.iter().filter(|acts| **acts).count() != 1 {
                    return Err(wrong("has a turn without exactly one of `say`, `dtmf` and `wait_s`"));
                }
                if turn.wav.is_some() && turn.say.is_none() {
                    return Err(wrong("has a `wav` without the words of it in `say`"));
                }
            }
            let audio = scenario.audio.unwrap_or_else(|| raw.audio.clone());
            if let Some(problem) = audio.problem() {
                return Err(wrong(problem));
            }
            let folder = file.parent().unwrap_or(Path::new(""));
            for wav in scenario.turns.iter_mut().filter_map(|turn| turn.wav.as_mut()) {
                *wav = folder.join(&wav);
            }
            if !(0.0..=0.9).contains(&scenario.noise) {
                return Err(wrong("has a `noise` outside 0 to 0.9"));
            }
            self.scenarios.push(Scenario {
                kind,
                person: match scenario.person {
                    None => kind.needs_person(),
                    Some(person) => (person != Person::Either).then_some(person == Person::Needed),
                },
                faults: scenario.faults,
                agents: scenario.agents.unwrap_or(1),
                noise: scenario.noise,
                audio,
                results: scenario.results,
                turns: scenario.turns,
                part: scenario.caller,
                must: scenario.must,
                name,
            });
        }
        Ok(())
    }
}

/// Whether `text` is a file of scenarios: how many, or what is wrong with it.
pub fn check_text(text: &str) -> Result<usize, String> {
    let raw: RawFile = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut suite = Suite::default();
    let name = Path::new("scenario.yaml");
    suite.add_raw(raw, name, name).map_err(|error| error.to_string())?;
    match suite.scenarios.len() {
        0 => Err("there are no scenarios".to_owned()),
        scenarios => Ok(scenarios),
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |error: std::io::Error| CliError::usage(format!("{} can't be read: {error}", path.display()), "");
    if !path.metadata().map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, CliError> {
    let wrong = |reason: String| CliError::usage(format!("{}: {reason}", file.display()), "");
    let long = file.metadata().is_ok_and(|meta| meta.len() > LONGEST_FILE);
    if long {
        return Err(wrong(format!("longer than {LONGEST_FILE} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Suite, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("shop.yaml"), text).expect("written");
        std::fs::write(folder.path().join("suite.yaml"), "bounds: { needless_rate: { max: 0.1 } }").expect("written");
        Suite::load(&[folder.path().to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scenario_takes_what_it_does_not_say_from_its_file() {
        let suite = load(
            "kind: answerable\nscenarios:\n  - turns: [{ say: hello, entry: delivery, spoken: [\"4.90|free\"] }]\n  \
             - { name: own, kind: explicit, person: either, agents: 0, turns: [{ dtmf: \"0\", handoff: any }] }\n",
        )
        .expect("valid");
        assert_eq!(suite.bounds["needless_rate"], Bound { min: None, max: Some(0.1) });
        let [first, own] = &suite.scenarios[..] else { panic!("two scenarios") };
        assert_eq!(
            (first.name.as_str(), first.kind, first.person, first.agents),
            ("shop-1", Kind::Answerable, Some(false), 1)
        );
        assert_eq!((own.name.as_str(), own.kind, own.person, own.agents), ("own", Kind::Explicit, None, 0));
        assert!(first.turns[0].is_answerable() && !own.turns[0].is_answerable());
    }

    #[test]
    fn a_scenario_sounds_as_it_says_else_as_its_file_does() {
        let suite = load(
            "kind: stuck\naudio: { snr_db: 10, loss: 0.02 }\nscenarios:\n  - turns: [{ say: x, wav: x.wav, within_ms: 900 }]\n  \
             - { audio: { jitter_ms: 40 }, turns: [{ say: \"one two\", heard: [\"12\"] }] }\n",
        )
        .expect("valid");
        let [first, own] = &suite.scenarios[..] else { panic!("two scenarios") };
        assert_eq!(first.audio, Acoustics { snr_db: Some(10.0), loss: 0.02, ..Acoustics::default() });
        assert_eq!(own.audio, Acoustics { jitter_ms: 40, ..Acoustics::default() });
        let wav = first.turns[0].wav.as_ref().expect("a recording");
        assert!(wav.is_absolute() && wav.ends_with("x.wav"), "beside the file: {}", wav.display());
    }

    #[test]
    fn tools_and_what_they_give_are_read() {
        let suite = load(
            "kind: chore\nscenarios:\n  - results: { order_status: { body: { state: packed } }, cancel: { status: 409 } }\n    \
             turns: [{ say: x, tool: { name: order_status, arguments: { order_number: \"440017\" } } }]\n",
        )
        .expect("valid");
        let scenario = &suite.scenarios[0];
        let given = &scenario.results["order_status"];
        assert_eq!((given.status, given.body["state"].as_str()), (200, Some("packed")));
        assert_eq!(scenario.results["cancel"], ToolResult { status: 409, body: serde_json::Value::Null });
        let wanted = scenario.turns[0].tool.as_ref().expect("a tool");
        assert_eq!((wanted.name.as_str(), wanted.arguments["order_number"].as_str()), ("order_status", Some("440017")));
        assert_eq!(suite.tools, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wanted) in [
            ("scenarios: []", "no scenarios"),
            ("scenarios: [{ turns: [{ say: x }] }]", "no `kind`"),
            ("kind: stuck\nscenarios: [{ turns: [] }]", "no turns"),
            ("kind: stuck\nscenarios: [{ caller: { goal: x }, turns: [{ say: x }] }]", "both"),
            ("kind: stuck\nscenarios: [{ caller: { goal: x, turns: 0 } }]", "`goal`"),
            ("kind: explicit\nscenarios: [{ caller: { goal: x } }]", "explicit"),
            ("kind: stuck\nscenarios: [{ turns: [{ say: x, dtmf: \"1\" }] }]", "exactly one"),
            ("kind: stuck\nscenarios: [{ turns: [{ say: x, spokn: [y] }] }]", "spokn"),
            ("kind: bored\nscenarios: [{ turns: [{ say: x }] }]", "bored"),
            ("kind: stuck\nscenarios: [{ name: a, turns: [{ say: x }] }, { name: a, turns: [{ say: x }] }]", "`a`"),
            ("kind: stuck\nscenarios: [{ noise: 2, turns: [{ say: x }] }]", "noise"),
            ("kind: stuck\nscenarios: [{ turns: [{ dtmf: \"1\", wav: x.wav }] }]", "`wav`"),
            ("kind: stuck\naudio: { loss: 1 }\nscenarios: [{ turns: [{ say: x }] }]", "audio.loss"),
            ("kind: stuck\nscenarios: [{ audio: { snr: 1 }, turns: [{ say: x }] }]", "snr"),
        ] {
            let error = load(text).expect_err(wanted);
            assert!(error.contains(wanted), "{error}");
        }
        assert!(Suite::load(&["no/such".into()]).is_err());
    }
}
