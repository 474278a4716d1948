//! PURE. One decision about a caller's words: everything it was made from, what it was, and a sentence about it for people.
//!
//! ```text
//! words ─▶ rules (a person asked for, topic, danger, anger)            ─▶ a person, at once
//!      ─▶ not understood, asked again, "that's no help"                ─▶ one more unsure turn ─┐
//!      ─▶ found: the approved sentence is probably right               ─▶ answer                │ two in a row ─▶ a person
//!             less: the model picked one that search found too         ─▶ answer                │ else ─▶ ask back
//!             nothing fits                                             ─▶ one more unsure turn ─┘
//! ```
//! [`decide`] is what calls follow and what `warmline eval --replay` computes again with other [`Settings`]; a test plays
//! the suites and compares the two.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Judgment, Signals, Thresholds};
use crate::handoff::HandoffReason;
use crate::said::{Phrase, Said};

/// Unsure turns in a row before the caller is put through.
pub const UNSURE_TURNS: u32 = 2;
/// Entries of a search that are looked at.
pub const NOTES: usize = 2;

/// What a fixed rule read in the caller's words. The words themselves are in the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruled {
    /// A person is wanted; which phrasing said so.
    AsksForPerson(String),
    /// A topic the operator keeps for people.
    Topic(String),
    /// Somebody may be in danger.
    Danger,
    /// The caller is angry.
    Anger,
    /// The caller says that this did not help.
    Unhelped,
}

/// An entry that was found for the words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Its id.
    pub entry: String,
    /// The approved sentence nearest to the words, if one is near.
    pub sentence: Option<String>,
    /// The measured fit.
    pub fit: Signals,
}

/// What a language model picked of an entry's sentences, spoken or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Picked {
    /// The entry.
    pub entry: String,
    /// The sentence; none: it found that none of them answers the words.
    pub sentence: Option<String>,
    /// How sure the model was.
    pub certainty: f32,
    /// It is an approved sentence, not one of the body.
    pub approved: bool,
    /// Search had found the same sentence.
    pub agrees: bool,
}

/// All that one decision was made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inputs {
    /// How well the words were heard, 0 to 1.
    pub confidence: f32,
    /// Mean log-probability of the recogniser's tokens.
    pub avg_logprob: f32,
    /// The recogniser's probability that nobody spoke.
    pub no_speech: f32,
    /// Length of the text over its compressed length; above 2.4 it repeats itself.
    pub compression_ratio: f32,
    /// What a rule read in them.
    pub rule: Option<Ruled>,
    /// The same was asked before.
    pub repeated: bool,
    /// Unsure turns in a row before this one.
    pub unsure_before: u32,
    /// What search found, best first; none: it was not asked.
    pub found: Option<Vec<Found>>,
    /// The version of the knowledge base that was searched.
    #[serde(default)]
    pub knowledge: String,
    /// A language model was there to be asked.
    pub has_model: bool,
    /// What it picked.
    pub picks: Vec<Picked>,
    /// The tool it asked for, where none of the sentences was the answer.
    #[serde(default)]
    pub called: Option<String>,
    /// A sentence was stopped because nothing backs it.
    pub blocked: bool,
    /// The engine that failed.
    pub failed: Option<String>,
    /// False where a stand-in answered, whose words nobody judges.
    pub judged: bool,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An approved sentence that search found.
    Answer,
    /// A sentence that the model picked, or a tool it asked for.
    AnswerPicked,
    /// The caller was asked back.
    AskBack,
    /// A person, for this reason.
    Person(HandoffReason),
    /// Only in a replay: what would be needed to tell was not recorded.
    Unknown,
}

impl Outcome {
    /// The caller hears an answer.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Answer | Self::AnswerPicked)
    }

    /// In a few words.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Answer => "answered with the approved sentence",
            Self::AnswerPicked => "answered with the sentence the model picked",
            Self::AskBack => "asked back",
            Self::Person(_) => "put through to a person",
            Self::Unknown => "can't be told from the record",
        }
    }
}

/// The operator's part of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// `dialog.verbatim_score`
    pub verbatim_score: f32,
    /// `dialog.min_score`
    pub min_score: f32,
    /// `handoff.min_confidence`
    pub min_confidence: f32,
}

/// A decision as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// What it was made from.
    pub inputs: Inputs,
    /// With which settings.
    pub settings: Settings,
    /// What it was.
    pub outcome: Outcome,
    /// The same as a sentence.
    pub told: String,
    /// The same for clients with words of their own; older records have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<Phrase>,
}

/// What is done with what search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Speak the first one's sentence.
    Speak,
    /// Let the model pick.
    Pick,
    /// Nothing fits.
    Nothing,
}

/// The first step: is the best entry good enough, alone or for a model to pick from?
pub fn plan(found: &[Found], settings: &Settings, judgment: &Judgment) -> Plan {
    let Some(best) = found.first() else { return Plan::Nothing };
    let right = judgment.right(best);
    if best.sentence.is_some() && right >= settings.verbatim_score {
        return Plan::Speak;
    }
    let fits = judgment.entry(&best.fit) >= settings.min_score || right >= judgment.thresholds.agreed;
    if fits { Plan::Pick } else { Plan::Nothing }
}

/// The entries a model picks from: the best, and the next when it fits nearly as well.
pub fn notes<'a>(found: &'a [Found], judgment: &'a Judgment) -> impl Iterator<Item = &'a Found> {
    let best = found.first().map_or(0.0, |best| judgment.entry(&best.fit));
    let near = move |found: &Found| judgment.entry(&found.fit) >= best * judgment.thresholds.second_note;
    found.iter().take(NOTES).enumerate().filter(move |(at, one)| *at == 0 || near(one)).map(|(_, one)| one)
}

/// Whether the model is asked about this entry at all. Of a part of a document, which has no approved sentence, only a
/// sentence of its body can be picked.
pub fn is_worth_asking(found: &Found, judgment: &Judgment) -> bool {
    match found.sentence {
        Some(_) => judgment.right(found) >= judgment.thresholds.agreed,
        None => judgment.entry(&found.fit) >= judgment.thresholds.alone,
    }
}

/// Two that see differently must agree on an approved sentence; one that only the model found needs to be surer.
pub fn may_be_spoken(picked: &Picked, found: &Found, judgment: &Judgment) -> bool {
    let Thresholds { agreed, picked: sure, alone, .. } = judgment.thresholds;
    match picked.approved {
        true => picked.agrees && picked.certainty >= sure && judgment.right(found) >= agreed,
        false => picked.certainty >= alone && judgment.entry(&found.fit) >= alone,
    }
}

/// What follows from the inputs, and the unsure turns in a row after it.
pub fn decide(inputs: &Inputs, settings: &Settings, judgment: &Judgment) -> (Outcome, u32) {
    let person = |reason| (Outcome::Person(reason), 0);
    let mut unsure = inputs.unsure_before;
    let mut doubt = |what| {
        unsure += 1;
        if unsure >= UNSURE_TURNS { (Outcome::Person(HandoffReason::LowConfidence), 0) } else { (what, unsure) }
    };
    match &inputs.rule {
        Some(Ruled::AsksForPerson(_)) => return person(HandoffReason::CallerAsked),
        Some(Ruled::Topic(_)) => return person(HandoffReason::ForbiddenTopic),
        Some(Ruled::Danger | Ruled::Anger) => return person(HandoffReason::Distress),
        Some(Ruled::Unhelped) => return doubt(Outcome::AskBack),
        None => {}
    }
    let heard = inputs.confidence >= settings.min_confidence;
    if inputs.failed.as_deref() == Some("stt") {
        return person(HandoffReason::EngineFailed);
    }
    if !heard || inputs.repeated {
        let (outcome, after) = doubt(Outcome::AskBack);
        // A question asked again deserves another answer; the count decides who gives it.
        if outcome != Outcome::AskBack || !inputs.repeated {
            return (outcome, after);
        }
    }
    if inputs.failed.is_some() {
        return person(HandoffReason::EngineFailed);
    }
    match answer(inputs, settings, judgment) {
        Some(answered) if answered.is_answer() => (answered, if inputs.repeated { unsure } else { 0 }),
        Some(unknown) => (unknown, unsure),
        None => {
            unsure += 1;
            if unsure >= UNSURE_TURNS { person(HandoffReason::LowConfidence) } else { (Outcome::AskBack, unsure) }
        }
    }
}

/// How the words are answered; none: not.
fn answer(inputs: &Inputs, settings: &Settings, judgment: &Judgment) -> Option<Outcome> {
    let Some(found) = &inputs.found else { return Some(Outcome::Unknown) };
    if inputs.blocked {
        return None;
    }
    let by_tool = inputs.called.is_some().then_some(Outcome::AnswerPicked);
    match plan(found, settings, judgment) {
        Plan::Speak => Some(Outcome::Answer),
        Plan::Nothing => by_tool,
        Plan::Pick if !inputs.has_model => None,
        Plan::Pick => {
            let asked: Vec<&Found> = notes(found, judgment).filter(|one| is_worth_asking(one, judgment)).collect();
            let pick_of = |one: &Found| inputs.picks.iter().find(|picked| picked.entry == one.entry);
            if asked.iter().any(|one| pick_of(one).is_some_and(|picked| may_be_spoken(picked, one, judgment))) {
                return Some(Outcome::AnswerPicked);
            }
            // Nobody asked the model then, so nobody knows what it would have said.
            if asked.iter().any(|one| pick_of(one).is_none()) { Some(Outcome::Unknown) } else { by_tool }
        }
    }
}

impl Decision {
    /// Puts a decision on record, as the call took it.
    pub fn new(inputs: Inputs, settings: Settings, outcome: Outcome) -> Self {
        let sentences = sentences(&inputs, &settings, Judgment::fitted(), outcome);
        let phrases = sentences.iter().filter_map(Said::phrase).collect();
        Self { inputs, settings, outcome, told: joined(&sentences), phrases }
    }
}

/// A decision as a sentence that whoever supervises calls understands.
pub fn told(inputs: &Inputs, settings: &Settings, judgment: &Judgment, outcome: Outcome) -> String {
    joined(&sentences(inputs, settings, judgment, outcome))
}

fn joined(sentences: &[Said]) -> String {
    sentences.iter().map(Said::message).collect::<Vec<_>>().join(" ")
}

/// What was decided, then why.
fn sentences(inputs: &Inputs, settings: &Settings, judgment: &Judgment, outcome: Outcome) -> Vec<Said> {
    let mut told = vec![match outcome {
        Outcome::Person(reason) => person(inputs, reason),
        Outcome::Answer | Outcome::AnswerPicked => Said::new("answered", "Answered."),
        Outcome::AskBack => Said::new("asked_back", "Asked back."),
        Outcome::Unknown => Said::new("not_measured", "Can't be told: what decides it was not measured then."),
    }];
    if matches!(inputs.rule, None | Some(Ruled::Unhelped)) {
        explain(&mut told, inputs, settings, judgment, outcome);
    }
    told
}

fn person(inputs: &Inputs, reason: HandoffReason) -> Said {
    match (&inputs.rule, reason) {
        (Some(Ruled::AsksForPerson(_)), _) => {
            Said::new("through_asked", "Put through at once: the caller asked for a person.")
        }
        (Some(Ruled::Topic(topic)), _) => {
            Said::new("through_topic", format!("Put through at once: \"{topic}\" is a topic for people."))
                .with("topic", topic)
        }
        (Some(Ruled::Danger), _) => Said::new("through_danger", "Put through at once: somebody may be in danger."),
        (Some(Ruled::Anger), _) => Said::new("through_anger", "Put through at once: the caller is angry."),
        (_, HandoffReason::EngineFailed) => match inputs.failed.as_deref() {
            Some(engine) => {
                Said::new("through_failed", format!("Put through: {engine} failed.")).with("engine", engine)
            }
            None => Said::new("through_some_failed", "Put through: an engine failed."),
        },
        _ => Said::new("through_unsure", format!("Put through: turn {UNSURE_TURNS} in a row without a good answer."))
            .with("turns", UNSURE_TURNS),
    }
}

fn explain(told: &mut Vec<Said>, inputs: &Inputs, settings: &Settings, judgment: &Judgment, outcome: Outcome) {
    let percent = |share: f32| (share * 100.0).round() as i32;
    if inputs.rule == Some(Ruled::Unhelped) {
        told.push(Said::new("did_not_help", "The caller said that this did not help."));
    }
    if inputs.repeated {
        told.push(Said::new("asked_before", "The same was asked before."));
    }
    if inputs.failed.is_none() && inputs.confidence < settings.min_confidence {
        let (heard, needed) = (percent(inputs.confidence), percent(settings.min_confidence));
        let text = format!("The words were heard with {heard} % certainty, {needed} % are needed.");
        told.push(Said::new("heard_badly", text).with("heard", heard).with("needed", needed));
    }
    let Some(found) = &inputs.found else { return };
    let Some(best) = found.first() else {
        return told.push(Said::new("nothing_found", "Nothing was found for the words."));
    };
    let entry = &best.entry;
    told.push(if best.sentence.is_some() {
        let (right, needed) = (percent(judgment.right(best)), percent(settings.verbatim_score));
        let text = format!("The best sentence of \"{entry}\" is right with {right} %, {needed} % are needed.");
        Said::new("best_sentence", text).with("entry", entry).with("right", right).with("needed", needed)
    } else {
        let (fits, needed) = (percent(judgment.entry(&best.fit)), percent(settings.min_score));
        let text = format!("The nearest entry, \"{entry}\", fits with {fits} %, {needed} % are needed.");
        Said::new("nearest_entry", text).with("entry", entry).with("fits", fits).with("needed", needed)
    });
    if outcome != Outcome::Answer {
        told.extend(inputs.picks.iter().filter(|picked| picked.sentence.is_some()).map(|picked| {
            let (sure, needed) = (percent(picked.certainty), percent(judgment.thresholds.picked));
            let (word, which) = if picked.agrees { ("picked_same", "the same") } else { ("picked_other", "another") };
            let entry = &picked.entry;
            let text = format!(
                "The model picked {which} sentence of \"{entry}\" with {sure} %, {needed} % and agreement are needed."
            );
            Said::new(word, text).with("entry", entry).with("sure", sure).with("needed", needed)
        }));
        if inputs.picks.iter().any(|picked| picked.sentence.is_none()) {
            told.push(Said::new("picked_none", "The model found no sentence that fits."));
        }
        if let Some(tool) = &inputs.called {
            let text = format!("The model asked for the tool \"{tool}\".");
            told.push(Said::new("wanted_tool", text).with("tool", tool));
        }
    }
    if inputs.blocked {
        told.push(Said::new("stopped", "A sentence that nothing backs was stopped."));
    }
}

/// Recorded decisions of one call, made again one after the other.
///
/// What was counted in between and is not in the record (an errand that was done, a caller who came back from a person)
/// shows as a count that differs from what the decision before left; it is taken over.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    unsure: u32,
    /// What the recorded count was after the last decision.
    recorded: u32,
    over: bool,
}

impl Replay {
    /// The next decision; none once a person would have come in a decision before.
    pub fn next(&mut self, recorded: &Decision, settings: &Settings, judgment: &Judgment) -> Option<Outcome> {
        if self.over {
            return None;
        }
        if recorded.inputs.unsure_before != self.recorded {
            self.unsure = recorded.inputs.unsure_before;
        }
        self.recorded = match decide(&recorded.inputs, &recorded.settings, Judgment::fitted()) {
            (outcome, after) if outcome == recorded.outcome => after,
            // It was decided by weights of another time, or by a stand-in.
            _ if recorded.outcome.is_answer() => 0,
            (_, after) => after,
        };
        let inputs = Inputs { unsure_before: self.unsure, ..recorded.inputs.clone() };
        let (outcome, after) = if inputs.judged || !recorded.outcome.is_answer() {
            decide(&inputs, settings, judgment)
        } else {
            (recorded.outcome, 0)
        };
        self.unsure = after;
        // A caller who came back from a person then would have come back here too.
        self.over = matches!(outcome, Outcome::Person(_)) && !matches!(recorded.outcome, Outcome::Person(_));
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { verbatim_score: 0.8, min_score: 0.5, min_confidence: 0.45 };

    fn fit(lexical: f32) -> Signals {
        Signals { lexical, lexical_margin: lexical * 0.7, named: 1.0, kind_fits: 1.0, ..Signals::default() }
    }

    fn asked(lexical: f32) -> Inputs {
        let sentence = Some("It is $4.90.".to_owned());
        let found = Found { entry: "delivery".to_owned(), sentence, fit: fit(lexical) };
        Inputs { confidence: 0.9, found: Some(vec![found]), judged: true, ..Inputs::default() }
    }

    fn outcome(inputs: &Inputs) -> Outcome {
        decide(inputs, &SETTINGS, Judgment::fitted()).0
    }

    #[test]
    fn a_row_for_each_way_to_decide() {
        let rule = |rule| Inputs { rule: Some(rule), ..asked(1.0) };
        let pick = |certainty, agrees| {
            let sentence = Some("It is $4.90.".to_owned());
            let picked = Picked { entry: "delivery".to_owned(), sentence, certainty, approved: true, agrees };
            Inputs { has_model: true, picks: vec![picked], ..asked(0.9) }
        };
        // Right enough to ask a model, not enough to be spoken alone.
        let strict = Settings { verbatim_score: 1.01, ..SETTINGS };
        let person = |reason| Outcome::Person(reason);
        for (inputs, settings, wanted) in [
            (rule(Ruled::AsksForPerson("bare".to_owned())), SETTINGS, person(HandoffReason::CallerAsked)),
            (rule(Ruled::Topic("fraud".to_owned())), SETTINGS, person(HandoffReason::ForbiddenTopic)),
            (rule(Ruled::Danger), SETTINGS, person(HandoffReason::Distress)),
            (rule(Ruled::Unhelped), SETTINGS, Outcome::AskBack),
            (Inputs { unsure_before: 1, ..rule(Ruled::Unhelped) }, SETTINGS, person(HandoffReason::LowConfidence)),
            (asked(1.0), SETTINGS, Outcome::Answer),
            (asked(0.1), SETTINGS, Outcome::AskBack),
            (Inputs { unsure_before: 1, ..asked(0.1) }, SETTINGS, person(HandoffReason::LowConfidence)),
            (Inputs { confidence: 0.2, ..asked(1.0) }, SETTINGS, Outcome::AskBack),
            (Inputs { repeated: true, ..asked(1.0) }, SETTINGS, Outcome::Answer),
            (Inputs { repeated: true, unsure_before: 1, ..asked(1.0) }, SETTINGS, person(HandoffReason::LowConfidence)),
            (Inputs { failed: Some("llm".to_owned()), ..asked(0.9) }, SETTINGS, person(HandoffReason::EngineFailed)),
            (Inputs { found: None, ..asked(1.0) }, SETTINGS, Outcome::Unknown),
            (asked(0.9), strict, Outcome::AskBack),
            (pick(0.9, true), strict, Outcome::AnswerPicked),
            (pick(0.9, false), strict, Outcome::AskBack),
            (pick(0.3, true), strict, Outcome::AskBack),
            (Inputs { picks: Vec::new(), ..pick(0.9, true) }, strict, Outcome::Unknown),
            (Inputs { blocked: true, ..pick(0.9, true) }, strict, Outcome::AskBack),
            (Inputs { called: Some("order_status".to_owned()), ..pick(0.3, true) }, strict, Outcome::AnswerPicked),
            (Inputs { called: Some("order_status".to_owned()), ..asked(0.1) }, SETTINGS, Outcome::AnswerPicked),
        ] {
            assert_eq!(decide(&inputs, &settings, Judgment::fitted()).0, wanted, "{inputs:?}");
        }
        assert_eq!(outcome(&asked(1.0)), Outcome::Answer);
    }

    #[test]
    fn the_sentence_says_what_decided() {
        let told = |inputs: &Inputs| told(inputs, &SETTINGS, Judgment::fitted(), outcome(inputs));
        for (inputs, parts) in [
            (asked(1.0), &["Answered.", "\"delivery\"", "80 % are needed"][..]),
            (Inputs { confidence: 0.2, ..asked(1.0) }, &["Asked back.", "20 % certainty, 45 % are needed"]),
            (
                Inputs { rule: Some(Ruled::AsksForPerson("bare".to_owned())), ..asked(1.0) },
                &["the caller asked for a person"],
            ),
            (Inputs { unsure_before: 1, ..asked(0.1) }, &["turn 2 in a row", "\"delivery\""]),
        ] {
            let sentence = told(&inputs);
            assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
        }
    }

    #[test]
    fn a_replay_counts_for_itself() {
        let record = |inputs: Inputs| {
            let outcome = outcome(&inputs);
            Decision::new(inputs, SETTINGS, outcome)
        };
        // Answered, then two that were not: a person came in the third turn.
        let call = [
            record(asked(1.0)),
            record(asked(0.1)),
            record(Inputs { unsure_before: 1, ..asked(0.1) }),
            record(asked(1.0)),
        ];
        let replay = |settings: &Settings| {
            let mut replay = Replay::default();
            call.iter().map_while(|one| replay.next(one, settings, Judgment::fitted())).collect::<Vec<_>>()
        };
        let person = Outcome::Person(HandoffReason::LowConfidence);
        assert_eq!(replay(&SETTINGS), [Outcome::Answer, Outcome::AskBack, person, Outcome::Answer]);
        // Were nothing ever sure enough, they would have come one turn earlier.
        assert_eq!(replay(&Settings { verbatim_score: 1.01, ..SETTINGS }), [Outcome::AskBack, person]);
    }
}
