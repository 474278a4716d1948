//! What the operator decided, valid and ready to be asked thousands of times a second. Made of configuration by
//! `config::routing`; swapped whole while calls wait.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hours::Calendar;
use super::needs::{Levels, Needs, SkillNames};
use super::strategy::Strategy;
use super::task::Facts;
use crate::said::Said;

/// Everything. [`Plan::default`]: one queue, everybody may take everything, longest idle first.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// At least one; the first is where callers go whom no workflow wants.
    pub queues: Vec<Queue>,
    /// The first whose conditions fit takes the caller.
    pub workflows: Vec<Workflow>,
    /// Which queues an agent serves, in which order, and after what delay.
    pub profiles: Vec<Profile>,
    /// By sign-in name. Who is not listed has no skills, speaks every language and serves all queues.
    pub agents: BTreeMap<String, Traits>,
    /// Breaks with a name of their own, and how they are paid.
    pub break_codes: BTreeMap<String, PaidClass>,
    /// Times that hold everywhere.
    pub rules: Rules,
    /// Numbers of the skills.
    pub skills: SkillNames,
}

/// Times that hold everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long an agent who declined is not asked again about the same caller.
    pub reoffer_after: Duration,
    /// How long an agent has to come back to a call.
    pub resume: Duration,
    /// How long wrap-up lasts at most.
    pub wrap_up: Duration,
    /// By how much an agent may extend it, once.
    pub wrap_up_extension: Duration,
    /// How long an idle agent's state is kept after the socket was lost.
    pub presence_grace: Duration,
    /// How long the connection may take after accepting; `None`: the driver watches it.
    pub connect: Option<Duration>,
    /// How long an agent gets no call after a distressing one.
    pub cool_down: Duration,
    /// How long a caller is kept for the agent they know, if that agent is signed in.
    pub known_agent: Duration,
    /// How long a caller who hung up while waiting keeps the place.
    pub resume_abandoned: Duration,
    /// How much longer waiting weighs as much as one more of priority; zero: priority always wins.
    pub priority_step: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            reoffer_after: seconds(30),
            resume: seconds(15),
            wrap_up: seconds(60),
            wrap_up_extension: seconds(60),
            presence_grace: seconds(30),
            connect: None,
            cool_down: Duration::ZERO,
            known_agent: Duration::ZERO,
            resume_abandoned: Duration::ZERO,
            priority_step: Duration::ZERO,
        }
    }
}

/// Callers who wait for the same people.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Which of several free agents.
    pub strategy: Strategy,
    /// What is asked of agents, by the caller's age: the last one reached counts. At least one, the first from age zero.
    pub asks: Vec<Ask>,
    /// Whether whoever fitted an earlier ask still fits a later one.
    pub cumulative: bool,
    /// Whether agents must speak the caller's language.
    pub language: LanguageRule,
    /// When callers may enter; `None`: always.
    pub hours: Option<Calendar>,
    /// How long an agent has to answer an offer.
    pub offer_timeout: Duration,
    /// After how long an offer is answered by itself, for agents who agreed to that; `None`: never.
    pub auto_answer: Option<Duration>,
    /// How many agents are offered the same caller at once.
    pub parallel: usize,
    /// Priority of its callers.
    pub priority: i32,
    /// Within which time callers should be answered.
    pub service_level: Duration,
    /// What its callers are told while they wait; empty: nothing of its own.
    pub message: String,
}

/// What is asked from some age on.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// From this age of the caller.
    pub from: Duration,
    /// What.
    pub needs: Needs,
}

/// Whether agents must speak the caller's language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LanguageRule {
    /// It does not matter.
    #[default]
    Ignored,
    /// Those who speak it go first.
    Preferred,
    /// Only those who speak it.
    Required,
}

/// A caller's way through the queues.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its name.
    pub name: String,
    /// All must fit.
    pub when: Vec<Condition>,
    /// In this order. At least one.
    pub steps: Vec<Step>,
    /// After the last step.
    pub exit: Exit,
}

/// Waiting in one queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Number of the queue.
    pub queue: usize,
    /// Asked in addition to what the queue asks.
    pub needs: Needs,
    /// Instead of the queue's priority.
    pub priority: Option<i32>,
    /// How much of the caller's age belongs to this step; ends of steps add up. `None`: it does not end.
    pub timeout: Option<Duration>,
    /// Passed over when nobody can take the caller at once and one of these holds.
    pub skip_if: Vec<SkipIf>,
}

/// Reasons to go on to the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipIf {
    /// Nobody in the queue is Available.
    NoneAvailable,
    /// Nobody in the queue takes calls at all.
    Unstaffed,
    /// So many wait in it already.
    Waiting(u32),
    /// The wait is expected to be longer.
    Estimate(Duration),
}

/// What happens after the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Exit {
    /// The caller stays in the last step.
    #[default]
    Wait,
    /// The caller is offered to be called back.
    Callback,
    /// The caller may leave a message.
    Voicemail,
    /// The assistant takes the caller back.
    Assistant,
}

/// Something known about a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub key: String,
    /// The values that fit.
    pub values: Vec<String>,
    /// Fits those that are none of them.
    pub not: bool,
}

/// Which queues an agent serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// By number of the queue; a queue that is missing is not served.
    pub entries: BTreeMap<usize, ProfileEntry>,
}

/// How an agent serves a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileEntry {
    /// Callers of a lower number first; 1 to 99.
    pub priority: u8,
    /// Only callers of this age.
    pub delay: Duration,
}

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    /// Levels of skills.
    pub levels: Levels,
    /// `None`: any.
    pub languages: Option<Vec<String>>,
    /// Number of the profile; `None`: all queues alike.
    pub profile: Option<usize>,
    /// Callers at the same time.
    pub capacity: usize,
}

impl Default for Traits {
    fn default() -> Self {
        Self { levels: Levels::default(), languages: None, profile: None, capacity: 1 }
    }
}

/// How time is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaidClass {
    /// Not at all.
    None,
    /// Waiting for calls.
    Standby,
    /// With a caller, or finishing up.
    Work,
}

impl PaidClass {
    /// The word used in records and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Standby => "standby",
            Self::Work => "work",
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            queues: vec![Queue::new("main")],
            workflows: Vec::new(),
            profiles: Vec::new(),
            agents: BTreeMap::new(),
            break_codes: BTreeMap::new(),
            rules: Rules::default(),
            skills: SkillNames::default(),
        }
        .finished()
    }
}

impl Queue {
    /// One that asks nothing.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            strategy: Strategy::LongestIdle,
            asks: vec![Ask { from: Duration::ZERO, needs: Needs::default() }],
            cumulative: true,
            language: LanguageRule::Ignored,
            hours: None,
            offer_timeout: Duration::from_secs(20),
            auto_answer: None,
            parallel: 1,
            priority: 0,
            service_level: Duration::from_secs(20),
            message: String::new(),
        }
    }

    /// The number of the ask that counts at this age.
    pub fn ask_at(&self, age: Duration) -> usize {
        self.asks.iter().rposition(|ask| ask.from <= age).unwrap_or(0)
    }

    /// Whether an agent has what is asked at this age.
    pub fn asks_hold(&self, age: Duration, levels: &Levels) -> bool {
        let now = self.ask_at(age);
        let first = if self.cumulative { 0 } else { now };
        self.asks[first..=now].iter().any(|ask| ask.needs.hold(levels))
    }

    /// How many agents are asked at once.
    pub fn ring(&self) -> usize {
        if self.strategy == Strategy::RingAll { usize::MAX } else { self.parallel }
    }
}

impl Plan {
    /// Appends the workflow of those whom no other wants: the first queue, for as long as it takes.
    #[must_use]
    pub fn finished(mut self) -> Self {
        let step = Step::default();
        self.workflows.push(Workflow {
            name: self.queues[0].name.clone(),
            when: Vec::new(),
            steps: vec![step],
            exit: Exit::Wait,
        });
        self
    }

    /// A calendar takes the place of the one of its name, and is kept by `queues` besides.
    pub fn keep_hours(&mut self, calendar: &Calendar, queues: &[String]) {
        for queue in &mut self.queues {
            let has_it = queue.hours.as_ref().is_some_and(|hours| hours.name() == calendar.name());
            if has_it || queues.contains(&queue.name) {
                queue.hours = Some(calendar.clone());
            }
        }
    }

    /// Priority and message take the place of a queue's own.
    pub fn keep_queue(&mut self, name: &str, priority: i32, message: &str) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == name) {
            (queue.priority, queue.message) = (priority, message.to_owned());
        }
    }

    /// The number of the workflow for a caller.
    pub fn workflow_for(&self, facts: &Facts) -> usize {
        let fits = |workflow: &Workflow| workflow.when.iter().all(|condition| condition.fits(facts));
        self.workflows.iter().position(fits).unwrap_or(self.workflows.len() - 1)
    }

    /// What is known of an agent.
    pub fn traits(&self, name: &str) -> Traits {
        self.agents.get(name).cloned().unwrap_or_default()
    }

    /// How an agent serves a queue; `None`: not.
    pub fn entry(&self, traits: &Traits, queue: usize) -> Option<ProfileEntry> {
        const ALIKE: ProfileEntry = ProfileEntry { priority: 1, delay: Duration::ZERO };
        match traits.profile {
            None => Some(ALIKE),
            Some(profile) => self.profiles.get(profile)?.entries.get(&queue).copied(),
        }
    }

    /// The priorities there are in profiles, most urgent first.
    pub fn profile_priorities(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.profiles.iter().flat_map(|p| p.entries.values().map(|e| e.priority)).collect();
        all.push(1);
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Condition {
    /// Reads `intent = billing`, `intent = billing | invoices` or `language != en`.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let wrong = || {
            let said =
                format!("`{text}` must be a condition such as `intent = billing | invoices` or `language != en`");
            Said::new("condition", said).with("given", text)
        };
        let (key, values, not) = match (text.split_once("!="), text.split_once('=')) {
            (Some((key, values)), _) => (key, values, true),
            (None, Some((key, values))) => (key, values, false),
            (None, None) => return Err(wrong()),
        };
        let values: Vec<String> = values.split('|').map(|value| value.trim().to_owned()).collect();
        if key.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { key: key.trim().to_owned(), values, not })
    }

    /// Whether it holds for a caller. Nothing known is none of the values.
    pub fn fits(&self, facts: &Facts) -> bool {
        let known = facts.get(&self.key);
        self.values.iter().any(|value| known.is_some_and(|known| known.eq_ignore_ascii_case(value))) != self.not
    }
}

impl SkipIf {
    /// Reads `none_available`, `unstaffed`, `waiting >= 20` or `estimate_s >= 300`.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let number = |value: &str| value.trim().parse::<u32>().ok().filter(|value| *value > 0);
        match (text.trim(), text.split_once(">=")) {
            ("none_available", _) => Some(Self::NoneAvailable),
            ("unstaffed", _) => Some(Self::Unstaffed),
            (_, Some((key, value))) => match key.trim() {
                "waiting" => number(value).map(Self::Waiting),
                "estimate_s" => number(value).map(|seconds| Self::Estimate(Duration::from_secs(seconds.into()))),
                _ => None,
            },
            _ => None,
        }
        .ok_or_else(|| {
            let said = format!("`{text}` must be none_available, unstaffed, `waiting >= N` or `estimate_s >= N`");
            Said::new("skip_if", said).with("given", text)
        })
    }
}

impl Exit {
    /// The word used in the configuration and in sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Callback => "callback",
            Self::Voicemail => "voicemail",
            Self::Assistant => "assistant",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_are_relaxed_with_age() {
        let mut skills = SkillNames::default();
        let mut needs = |line: &str| Needs::parse(&[line.to_owned()], &mut skills).expect("valid");
        let ask = |from, needs| Ask { from: Duration::from_secs(from), needs };
        let asks = vec![ask(0, needs("billing >= 4")), ask(30, needs("invoices")), ask(60, Needs::default())];
        let mut queue = Queue { asks, ..Queue::new("billing") };
        let (mut expert, mut other) = (Levels::default(), Levels::default());
        expert.set(skills.number("billing"), 5);
        other.set(skills.number("invoices"), 1);
        let holds = |queue: &Queue, age, levels| queue.asks_hold(Duration::from_secs(age), levels);
        assert!(holds(&queue, 0, &expert) && !holds(&queue, 29, &other));
        assert!(holds(&queue, 30, &expert) && holds(&queue, 30, &other));
        queue.cumulative = false;
        assert!(!holds(&queue, 30, &expert) && holds(&queue, 30, &other), "the later ask replaces the earlier");
        assert!(holds(&queue, 60, &Levels::default()));
    }

    #[test]
    fn the_first_workflow_that_fits_takes_the_caller_and_else_the_last() {
        let mut plan = Plan::default();
        let workflow = |name: &str, when: &str| Workflow {
            name: name.to_owned(),
            when: vec![Condition::parse(when).expect("valid")],
            steps: vec![Step::default()],
            exit: Exit::Wait,
        };
        plan.workflows.insert(0, workflow("billing", "intent = billing | invoices"));
        plan.workflows.insert(1, workflow("foreign", "language != en"));
        let chosen = |intent: &str, language: Option<&str>| {
            let known = BTreeMap::from([("intent".to_owned(), intent.to_owned())]);
            let facts = Facts { known, language: language.map(str::to_owned), ..Facts::default() };
            plan.workflows[plan.workflow_for(&facts)].name.clone()
        };
        assert_eq!(chosen("Invoices", Some("de")), "billing");
        assert_eq!(chosen("parcels", Some("de")), "foreign");
        assert_eq!(chosen("parcels", None), "foreign", "not known to be English");
        assert_eq!(chosen("parcels", Some("en")), "main");
    }

    #[test]
    fn conditions_and_reasons_that_make_no_sense_are_refused() {
        for bad in ["intent", "= x", "intent =", "intent = a |"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
        for bad in ["busy", "waiting", "waiting >= 0", "waiting >= x", "estimate >= 3"] {
            assert!(SkipIf::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(SkipIf::parse("estimate_s >= 90"), Ok(SkipIf::Estimate(Duration::from_secs(90))));
    }
}
