//! Verdicts by code, and the metrics of a run.
//!
//! A turn the knowledge has an answer to is **right** when the reply states all wanted facts and no unwanted word,
//! **silent** when no statement was made (a question back, a person, an honest "I don't know"), **wrong** otherwise. A turn
//! nothing backs is **wrong** when any statement was made. So a true but useless sentence counts as wrong: it is what a
//! caller would call an answer that misses the point.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::play::{Played, PlayedTurn, ToolCall};
use super::scenario::{Bound, Kind, Must, Scenario, Turn};
use crate::cli::bench::normalise::{normalise as with_digits, with_whole_numbers as normalise};
use crate::cli::bench::wer::{Errors, errors};
use crate::dialog::knowledge::Knowledge;
use crate::dialog::reply::{GroundingGuard, admits_ignorance};

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// All wanted facts, nothing unwanted.
    Right,
    /// A statement that misses them, or that nothing backs.
    Wrong,
    /// No statement.
    Silent,
}

/// A scenario's verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What was not as it must be; empty: passed.
    pub problems: Vec<String>,
    /// For each turn that was played and asks something.
    pub answers: Vec<Option<Answer>>,
    /// A person was asked for, in this turn (from 1; 0 is the greeting).
    pub person_at: Option<usize>,
}

/// One number of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
    /// `ratio`, `turns` or `ms`.
    pub unit: &'static str,
    /// Of how many cases.
    pub n: usize,
}

/// Judges one scenario.
pub fn judge(scenario: &Scenario, played: &Played) -> Verdict {
    let mut problems = played.troubles.clone();
    let mut answers = Vec::new();
    for (number, turn) in played.turns.iter().enumerate() {
        let script = &scenario.turns[number];
        let answer = answer(script, turn);
        let mut problem = |what: String| problems.push(format!("turn {}: {what}", number + 1));
        check_words(script, turn, answer, &mut problem);
        check_sound(script, turn, &mut problem);
        check_tool(script, turn, &mut problem);
        check_handoff(script, turn, &mut problem);
        answers.push(answer);
    }
    check_whole(&scenario.must, played, &mut problems);
    let in_turn = played.turns.iter().position(|turn| turn.handoff.is_some()).map(|turn| turn + 1);
    let person_at = if played.opening.is_some() { Some(0) } else { in_turn };
    match (scenario.person, person_at) {
        (Some(true), None) => problems.push("no person came".to_owned()),
        (Some(false), Some(turn)) => problems.push(format!("a person came in turn {turn}, needlessly")),
        _ => {}
    }
    if played.turns.len() < scenario.turns.len() && person_at.is_none() {
        problems.push("the call ended before its script".to_owned());
    }
    Verdict { problems, answers, person_at }
}

fn check_handoff(script: &Turn, turn: &PlayedTurn, problem: &mut impl FnMut(String)) {
    let Some(wanted) = &script.handoff else { return };
    let got = turn.handoff.as_ref().map(|trigger| trigger.reason);
    match (wanted.as_str(), got) {
        ("none", None) | ("any", Some(_)) => {}
        (wanted, Some(reason)) if wanted == reason => {}
        (wanted, got) => problem(format!("hand-over {wanted} wanted, got {}", got.unwrap_or("none"))),
    }
}

/// What must come of the call, in whichever turn: judged as if all had been one.
fn check_whole(must: &Must, played: &Played, problems: &mut Vec<String>) {
    let Must { spoken, absent, handoff, tool } = must.clone();
    let script = Turn { spoken, absent, handoff, tool, ..Turn::default() };
    let mut whole = PlayedTurn { handoff: played.opening.clone(), ..PlayedTurn::default() };
    for turn in &played.turns {
        whole.said.extend(turn.said.iter().cloned());
        whole.tools.extend(turn.tools.iter().cloned());
        whole.handoff = whole.handoff.or_else(|| turn.handoff.clone());
    }
    let mut problem = |what: String| problems.push(format!("in the whole call: {what}"));
    check_words(&script, &whole, None, &mut problem);
    check_tool(&script, &whole, &mut problem);
    check_handoff(&script, &whole, &mut problem);
}

fn check_words(script: &Turn, turn: &PlayedTurn, answer: Option<Answer>, problem: &mut impl FnMut(String)) {
    match answer {
        Some(Answer::Wrong) => problem(format!("a wrong statement: {}", statement(turn))),
        Some(Answer::Silent) if script.is_answerable() => problem("no answer".to_owned()),
        Some(_) => {}
        None => {
            let heard = heard(turn);
            if let Some(fact) = script.spoken.iter().find(|fact| !states(&heard, fact)) {
                problem(format!("`{fact}` was not said"));
            }
            if let Some(word) = script.absent.iter().find(|word| states(&heard, word)) {
                problem(format!("`{word}` was said"));
            }
        }
    }
    if let Some(phrase) = &script.phrase
        && !turn.said.iter().any(|said| said.fixed == Some(phrase))
    {
        problem(format!("the sentence {phrase} was not said"));
    }
}

/// The tool that was to be run, with the arguments that were named.
fn check_tool(script: &Turn, turn: &PlayedTurn, problem: &mut impl FnMut(String)) {
    let Some(wanted) = &script.tool else { return };
    let ran =
        || turn.tools.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect::<Vec<_>>().join(", ");
    if wanted.name == "none" {
        if !turn.tools.is_empty() {
            problem(format!("no tool was wanted, {} ran", ran()));
        }
        return;
    }
    let fits = |call: &ToolCall| {
        call.name == wanted.name && wanted.arguments.iter().all(|(name, value)| call.arguments.get(name) == Some(value))
    };
    if !turn.tools.iter().any(fits) {
        let arguments = serde_json::Value::Object(wanted.arguments.clone());
        let ran = if turn.tools.is_empty() { "none".to_owned() } else { ran() };
        problem(format!("tool {} {arguments} wanted, {ran} ran", wanted.name));
    }
}

/// What can only be judged of a turn that was played by voice.
fn check_sound(script: &Turn, turn: &PlayedTurn, problem: &mut impl FnMut(String)) {
    let Some(sound) = &turn.sound else { return };
    if let Some(fact) = script.heard.iter().find(|fact| !hears(&turn.caller, fact)) {
        problem(format!("`{fact}` was not heard, but: {}", turn.caller));
    }
    if let Some(limit) = script.within_ms {
        let (what, took) = match script.handoff.as_deref() {
            Some(reason) if reason != "none" => ("offer", sound.offer_ms),
            _ => ("reply", sound.response_ms),
        };
        match took {
            Some(took) if took <= limit => {}
            Some(took) => problem(format!("the {what} came after {took} ms, {limit} are allowed")),
            None => problem(format!("no {what} came, within {limit} ms or at all")),
        }
    }
}

/// The assistant's own statements, without fixed sentences and without "I don't know". Whether one was made is on record;
/// by voice it is what the caller could make of it.
fn statement(turn: &PlayedTurn) -> String {
    let said = turn.said.iter().filter(|said| said.fixed.is_none() && !admits_ignorance(&said.text));
    let said = said.map(|said| said.text.as_str()).collect::<Vec<_>>().join(" ");
    match &turn.sound {
        Some(sound) if !said.is_empty() => sound.transcribed.clone(),
        _ => said,
    }
}

/// All that the caller heard.
fn heard(turn: &PlayedTurn) -> String {
    turn.sound.as_ref().map_or_else(|| recorded(turn), |sound| sound.transcribed.clone())
}

/// All that was said, by the record.
fn recorded(turn: &PlayedTurn) -> String {
    turn.said.iter().map(|said| said.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// One of the alternatives of `fact` stands in what was heard, digit by digit where it has numbers.
fn hears(text: &str, fact: &str) -> bool {
    let text = format!(" {} ", with_digits(text).join(" "));
    fact.split('|').any(|one| text.contains(&format!(" {} ", with_digits(one).join(" "))))
}

/// `statement` has all wanted facts and no unwanted word.
pub fn has_facts(script: &Turn, statement: &str) -> bool {
    !script.spoken.is_empty()
        && script.spoken.iter().all(|fact| states(statement, fact))
        && !script.absent.iter().any(|word| states(statement, word))
}

fn answer(script: &Turn, turn: &PlayedTurn) -> Option<Answer> {
    if !script.is_answerable() && !script.is_unanswerable() {
        return None;
    }
    let statement = statement(turn);
    if statement.is_empty() {
        return Some(Answer::Silent);
    }
    // Facts wanted of an unanswerable turn are statements that are allowed: "we sell plants and furniture".
    Some(if has_facts(script, &statement) { Answer::Right } else { Answer::Wrong })
}

/// What is known of a turn's question, whatever was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The knowledge has the answer.
    pub answerable: bool,
    /// The sentence that search found would be right.
    pub found: bool,
    /// The same for each pick of the model.
    pub picked: Vec<bool>,
}

/// For each turn that was played and asks something.
pub fn truths(scenario: &Scenario, played: &Played) -> Vec<Option<Truth>> {
    let turns = scenario.turns.iter().zip(&played.turns);
    turns
        .map(|(script, turn)| {
            if !script.is_answerable() && !script.is_unanswerable() {
                return None;
            }
            let right = |said: &Option<String>| said.as_ref().is_some_and(|said| has_facts(script, said));
            let inputs = turn.decision.as_ref().map(|decision| &decision.inputs);
            let found = inputs.and_then(|inputs| inputs.found.as_ref()?.first());
            Some(Truth {
                answerable: script.is_answerable(),
                found: found.is_some_and(|found| right(&found.sentence)),
                picked: inputs.map_or_else(Vec::new, |inputs| {
                    inputs.picks.iter().map(|picked| right(&picked.sentence)).collect()
                }),
            })
        })
        .collect()
}

/// One of the alternatives of `fact` stands in `text`, numbers and punctuation made alike.
pub fn states(text: &str, fact: &str) -> bool {
    let text = format!(" {} ", normalise(text).join(" "));
    fact.split('|').any(|one| text.contains(&format!(" {} ", normalise(one).join(" "))))
}

/// A statement is grounded when every sentence has its numbers and names from the entry that was named, or the caller.
fn is_grounded(script: &Turn, turn: &PlayedTurn, company: &str, knowledge: &Knowledge) -> bool {
    let Some(entry) = script.entry.as_deref().and_then(|id| knowledge.entry(id)) else { return false };
    let approved = entry.answers.iter().map(|answer| answer.approved.as_str());
    let sources = [entry.title.as_str(), entry.body.as_str(), turn.caller.as_str(), company];
    let guard = GroundingGuard::new(sources.into_iter().chain(approved));
    turn.said.iter().filter(|said| said.fixed.is_none()).all(|said| guard.check(&said.text).is_ok())
}

/// All metrics of a run; those nothing was measured for are left out.
pub fn metrics(suite: &[(Scenario, Played, Verdict)], company: &str, knowledge: &Knowledge) -> Vec<Metric> {
    let mut counts: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    let mut count = |metric: &'static str, yes: bool| {
        let (yeses, all) = counts.entry(metric).or_default();
        *yeses += usize::from(yes);
        *all += 1;
    };
    let mut stated = Vec::new();
    let mut turns_to_person = Vec::new();
    let mut thought = Vec::new();
    let mut sounds = Sounds::default();
    for (scenario, played, verdict) in suite {
        count("pass_rate", verdict.problems.is_empty());
        match scenario.person {
            Some(true) => count("escalation_recall", verdict.person_at.is_some()),
            Some(false) => count("needless_rate", verdict.person_at.is_some()),
            None => {}
        }
        if scenario.kind == Kind::Explicit {
            count("explicit_ask_recall", explicit(scenario, played));
        }
        if scenario.kind == Kind::NotARequest {
            count("explicit_ask_false_rate", asked(played));
        }
        if scenario.kind == Kind::Stuck
            && let Some(turn) = verdict.person_at
        {
            turns_to_person.push(turn as f64);
        }
        for (number, turn) in played.turns.iter().enumerate() {
            let script = &scenario.turns[number];
            sounds.add(script, turn);
            if script.tool.is_some() {
                let mut is_right = true;
                check_tool(script, turn, &mut |_| is_right = false);
                count("tool_right_rate", is_right);
            }
            let is_text = turn.sound.is_none();
            let asks = script.is_answerable() || script.is_unanswerable();
            if number == 0 && asks && is_text && scenario.faults.is_empty() {
                let hit = knowledge.search(&turn.caller, 1);
                stated.push(hit.first().map_or((0.0, false), |hit| super::fit::stated(script, hit)));
            }
            // On record are the entries that were looked at, not all that were found.
            if let Some(entry) = script.entry.as_deref().filter(|_| script.is_answerable() && is_text) {
                let found = turn.found.iter().any(|found| found == entry);
                count("retrieval_recall_at_3", found);
                if scenario.kind == Kind::Garbled || scenario.noise > 0.0 {
                    count("retrieval_recall_at_3_garbled", found);
                }
            }
            let Some(answer) = verdict.answers[number] else { continue };
            count("wrong_spoken_rate", answer == Answer::Wrong);
            if script.is_answerable() {
                count("right_rate", answer == Answer::Right);
            }
            if answer != Answer::Silent {
                count("grounded_rate", is_grounded(script, turn, company, knowledge));
                thought.extend(is_text.then_some(turn.thought_ms as f64));
            }
        }
    }
    let mut metrics: Vec<Metric> = counts
        .into_iter()
        .map(|(metric, (yes, n))| Metric { metric, value: yes as f64 / n as f64, unit: "ratio", n })
        .collect();
    if !stated.is_empty() {
        let value = super::fit::calibration_error(&stated);
        metrics.push(Metric { metric: "calibration_error", value, unit: "ratio", n: stated.len() });
    }
    for (metric, unit, values) in [("turns_to_person_p50", "turns", turns_to_person), ("answer_ms_p50", "ms", thought)]
    {
        if !values.is_empty() {
            let value = crate::cli::bench::percentile(&values, 0.5);
            metrics.push(Metric { metric, value, unit, n: values.len() });
        }
    }
    metrics.extend(sounds.metrics());
    metrics
}

/// What turns that were played by voice are measured by.
#[derive(Default)]
struct Sounds {
    response_ms: Vec<f64>,
    offer_ms: Vec<f64>,
    /// The caller's words, as the assistant heard them.
    heard: Vec<Errors>,
    /// The assistant's words, as the caller could hear them.
    spoken: Vec<Errors>,
}

impl Sounds {
    fn add(&mut self, script: &Turn, turn: &PlayedTurn) {
        let Some(sound) = &turn.sound else { return };
        self.response_ms.extend(sound.response_ms.map(|ms| ms as f64));
        self.offer_ms.extend(sound.offer_ms.map(|ms| ms as f64));
        self.heard.extend(script.say.as_ref().map(|words| errors(words, &turn.caller)));
        let said = recorded(turn);
        self.spoken.extend((!said.is_empty()).then(|| errors(&said, &sound.transcribed)));
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for (metric, values, share) in [
            ("response_ms_p50", &self.response_ms, 0.5),
            ("response_ms_p95", &self.response_ms, 0.95),
            ("offer_ms_p95", &self.offer_ms, 0.95),
        ] {
            let value = crate::cli::bench::percentile(values, share);
            metrics.extend((!values.is_empty()).then_some(Metric { metric, value, unit: "ms", n: values.len() }));
        }
        for (metric, all) in [("heard_wer", &self.heard), ("spoken_wer", &self.spoken)] {
            let value = all.iter().copied().sum::<Errors>().rate();
            metrics.extend((!all.is_empty()).then_some(Metric { metric, value, unit: "ratio", n: all.len() }));
        }
        metrics
    }
}

/// The person came in the very turn in which they were asked for.
fn explicit(scenario: &Scenario, played: &Played) -> bool {
    let wanted = scenario.turns.iter().position(|turn| turn.handoff.is_some()).unwrap_or(0);
    played.turns.get(wanted).is_some_and(|turn| turn.handoff.is_some())
}

fn asked(played: &Played) -> bool {
    let reasons = played.turns.iter().filter_map(|turn| turn.handoff.as_ref());
    reasons.into_iter().any(|trigger| trigger.reason == "caller_asked")
}

/// The bounds a run did not keep. A bound on something that was not measured is not kept.
pub fn broken_bounds(metrics: &[Metric], bounds: &BTreeMap<String, Bound>) -> Vec<String> {
    let every = BTreeMap::from([("pass_rate".to_owned(), Bound { min: Some(1.0), max: None })]);
    let bounds = if bounds.is_empty() { &every } else { bounds };
    bounds
        .iter()
        .filter_map(|(name, bound)| {
            let Some(metric) = metrics.iter().find(|metric| metric.metric == name) else {
                return Some(format!("{name} has a bound, but nothing was measured for it"));
            };
            let low = bound.min.filter(|min| metric.value < *min);
            let high = bound.max.filter(|max| metric.value > *max);
            let wanted = low.map(|min| format!("at least {min}")).or(high.map(|max| format!("at most {max}")))?;
            Some(format!("{name} is {:.4}, {wanted} is allowed (n={})", metric.value, metric.n))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::play::{Said, Sound, Trigger};
    use crate::cli::eval::scenario::{Acoustics, WantedTool};

    fn said(texts: &[&str]) -> PlayedTurn {
        let said = texts.iter().map(|text| Said { text: (*text).to_owned(), fixed: None }).collect();
        PlayedTurn { caller: "how much is it".to_owned(), said, ..PlayedTurn::default() }
    }

    fn asks(entry: &str, spoken: &[&str], absent: &[&str]) -> Turn {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Turn {
            say: Some("x".to_owned()),
            entry: Some(entry.to_owned()),
            spoken: list(spoken),
            absent: list(absent),
            ..Turn::default()
        }
    }

    #[test]
    fn facts_are_found_however_they_are_written() {
        for (text, fact, there) in [
            ("It costs $4.90.", "4.90", true),
            ("Within 30 days of delivery", "thirty days", true),
            ("From 8 a.m. to 8 p.m.", "8 am", true),
            ("It takes 30 days", "3", false),
            ("It never expires", "expire|never expires", true),
            ("cardboard", "card", false),
        ] {
            assert_eq!(states(text, fact), there, "{text}: {fact}");
        }
    }

    #[test]
    fn a_statement_without_the_fact_is_wrong_and_none_is_silent() {
        let script = asks("delivery", &["4.90"], &["9.90"]);
        assert_eq!(answer(&script, &said(&["It costs $4.90."])), Some(Answer::Right));
        assert_eq!(answer(&script, &said(&["It costs $4.90 or $9.90."])), Some(Answer::Wrong));
        assert_eq!(answer(&script, &said(&["We open at 8."])), Some(Answer::Wrong));
        assert_eq!(answer(&script, &said(&[])), Some(Answer::Silent));
        assert_eq!(answer(&script, &said(&["I'm sorry, I don't have that information."])), Some(Answer::Silent));
        let script = asks("-", &[], &[]);
        assert_eq!(answer(&script, &said(&["We open at 8."])), Some(Answer::Wrong));
        assert_eq!(answer(&script, &said(&[])), Some(Answer::Silent));
        assert_eq!(answer(&Turn::default(), &said(&["We open at 8."])), None);
    }

    fn sounds(texts: &[&str], transcribed: &str) -> PlayedTurn {
        let sound = Sound { transcribed: transcribed.to_owned(), response_ms: Some(800), ..Sound::default() };
        PlayedTurn { sound: Some(sound), ..said(texts) }
    }

    #[test]
    fn by_voice_it_counts_what_the_caller_could_hear() {
        let script = asks("delivery", &["4.90"], &["9.90"]);
        assert_eq!(answer(&script, &sounds(&["It costs $4.90."], "It costs four ninety.")), Some(Answer::Wrong));
        assert_eq!(answer(&script, &sounds(&["It costs $4.90."], "It costs $4.90.")), Some(Answer::Right));
        assert_eq!(answer(&script, &sounds(&["It costs $4.90."], "")), Some(Answer::Silent), "nobody heard it");
        // What is made of hold music is no statement.
        assert_eq!(answer(&script, &sounds(&[], "It costs $4.90.")), Some(Answer::Silent));
    }

    #[test]
    fn what_was_heard_and_how_soon_is_judged_by_voice_alone() {
        let problems = |script: &Turn, turn: &PlayedTurn| {
            let mut problems = Vec::new();
            check_sound(script, turn, &mut |problem| problems.push(problem));
            problems
        };
        let number = Turn { heard: vec!["451723".to_owned()], ..Turn::default() };
        let mut turn = sounds(&[], "");
        turn.caller = "My number is 45 17 23, please.".to_owned();
        assert_eq!(problems(&number, &turn).len(), 0);
        turn.caller = "My number is 45 17 28, please.".to_owned();
        assert!(problems(&number, &turn)[0].contains("was not heard"));
        assert_eq!(problems(&number, &said(&[])).len(), 0, "as text everything is heard");

        let soon = Turn { within_ms: Some(700), ..Turn::default() };
        assert_eq!(problems(&soon, &turn), ["the reply came after 800 ms, 700 are allowed"]);
        let offered = Turn { within_ms: Some(700), handoff: Some("any".to_owned()), ..Turn::default() };
        assert!(problems(&offered, &turn)[0].contains("no offer came"));
        turn.sound.as_mut().expect("by voice").offer_ms = Some(700);
        assert_eq!(problems(&offered, &turn).len(), 0);
    }

    #[test]
    fn a_tool_must_be_run_with_what_was_named() {
        let wants = |name: &str, number: &str| {
            let arguments = serde_json::json!({ "order_number": number });
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            Turn { tool: Some(WantedTool { name: name.to_owned(), arguments }), ..Turn::default() }
        };
        let arguments = serde_json::json!({ "order_number": "440017", "language": "en" });
        let ran = PlayedTurn {
            tools: vec![ToolCall { name: "order_status".to_owned(), arguments }],
            ..PlayedTurn::default()
        };
        let problems = |script: &Turn, turn: &PlayedTurn| {
            let mut problems = Vec::new();
            check_tool(script, turn, &mut |problem| problems.push(problem));
            problems.join("; ")
        };
        assert_eq!(problems(&wants("order_status", "440017"), &ran), "");
        assert_eq!(problems(&Turn::default(), &ran), "");
        assert!(problems(&wants("order_status", "440018"), &ran).contains("440018"));
        assert!(problems(&wants("cancel_order", "440017"), &ran).contains("order_status"));
        assert!(problems(&wants("order_status", "440017"), &PlayedTurn::default()).contains("none ran"));
        assert!(problems(&wants("none", ""), &ran).contains("no tool was wanted"));
        assert_eq!(problems(&wants("none", ""), &PlayedTurn::default()), "");
    }

    #[test]
    fn turns_by_voice_are_measured() {
        let mut sounds_of = Sounds::default();
        let script = Turn { say: Some("how much is it".to_owned()), ..Turn::default() };
        sounds_of.add(&script, &sounds(&["It costs $4.90."], "It costs $4.80."));
        sounds_of.add(&script, &said(&["It costs $4.90."]));
        let found = |name: &str| sounds_of.metrics().into_iter().find(|metric| metric.metric == name);
        assert_eq!(found("response_ms_p95").map(|metric| (metric.value, metric.n)), Some((800.0, 1)));
        assert_eq!(found("heard_wer").map(|metric| metric.value), Some(0.0));
        assert!(found("spoken_wer").is_some_and(|metric| metric.value > 0.0 && metric.n == 1));
        assert_eq!(found("offer_ms_p95"), None);
    }

    #[test]
    fn a_run_is_counted() {
        let knowledge = Knowledge::load(std::path::Path::new("")).expect("built in");
        let scenario = |kind, person, turn: Turn| Scenario {
            name: "x".to_owned(),
            kind,
            person,
            faults: Vec::new(),
            agents: 1,
            noise: 0.0,
            audio: Acoustics::default(),
            results: Default::default(),
            part: None,
            must: Default::default(),
            turns: vec![turn],
        };
        let played = |kind, turn| Played {
            name: "x".to_owned(),
            kind,
            opening: None,
            turns: vec![turn],
            outcome: None,
            troubles: Vec::new(),
        };
        let trigger = Trigger { reason: "low_confidence", signals: serde_json::Value::Null };
        let mut handed = said(&[]);
        handed.handoff = Some(trigger);
        let mut found = said(&["It costs $4.90."]);
        found.found = vec!["delivery".to_owned()];
        let runs: Vec<_> = [
            (scenario(Kind::Answerable, Some(false), asks("delivery", &["4.90"], &[])), found),
            (scenario(Kind::Answerable, Some(false), asks("delivery", &["4.90"], &[])), handed.clone()),
            (scenario(Kind::Unanswerable, Some(true), asks("-", &[], &[])), said(&["It costs $7."])),
            (scenario(Kind::Stuck, Some(true), Turn { say: Some("no".to_owned()), ..Turn::default() }), handed),
        ]
        .into_iter()
        .map(|(scenario, turn)| {
            let played = played(scenario.kind, turn);
            let verdict = judge(&scenario, &played);
            (scenario, played, verdict)
        })
        .collect();
        let metrics = metrics(&runs, "Larkfield", &knowledge);
        let value =
            |name: &str| metrics.iter().find(|metric| metric.metric == name).map(|metric| (metric.value, metric.n));
        assert_eq!(value("wrong_spoken_rate"), Some((1.0 / 3.0, 3)));
        assert_eq!(value("right_rate"), Some((0.5, 2)));
        assert_eq!(value("grounded_rate"), Some((0.5, 2)));
        assert_eq!(value("needless_rate"), Some((0.5, 2)));
        assert_eq!(value("escalation_recall"), Some((0.5, 2)));
        assert_eq!(value("retrieval_recall_at_3"), Some((0.5, 2)));
        assert_eq!(value("turns_to_person_p50"), Some((1.0, 1)));
        assert_eq!(value("pass_rate"), Some((0.5, 4)));
        assert_eq!(value("explicit_ask_recall"), None);
        let bounds = BTreeMap::from([
            ("needless_rate".to_owned(), Bound { min: None, max: Some(0.1) }),
            ("right_rate".to_owned(), Bound { min: Some(0.5), max: None }),
            ("explicit_ask_recall".to_owned(), Bound { min: Some(1.0), max: None }),
        ]);
        assert_eq!(broken_bounds(&metrics, &bounds).len(), 2);
        assert_eq!(broken_bounds(&metrics, &BTreeMap::new()).len(), 1, "without bounds all must pass");
    }
}
