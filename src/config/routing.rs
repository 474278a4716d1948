//! `[routing]`: queues, workflows, opening hours, profiles and skills. `docs/routing.md` explains them.
//!
//! The lists of tables are read row by row and key by key, so that every problem in them is named at once, too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::problems::of_type;
use super::{HandoffConfig, Problems, Section};
use crate::handoff::routing::hours::Calendar;
use crate::handoff::routing::needs::{self, Levels, MAX_LEVEL, Needs, SkillNames};
use crate::handoff::routing::plan::{
    Ask, Condition, Exit, LanguageRule, PaidClass, Plan, Profile, ProfileEntry, Queue, Rules, SkipIf, Step, Traits,
    Workflow,
};
use crate::handoff::routing::strategy::Strategy;
use crate::said::Said;

/// Priorities a queue may have.
pub const QUEUE_PRIORITIES: RangeInclusive<i32> = -100..=100;
/// Longest message of a queue, in characters: some twenty seconds of speech.
pub const LONGEST_MESSAGE: usize = 300;

/// Whether callers who wait may be told this; the error says why not.
pub fn check_queue_message(message: &str) -> Result<(), Said> {
    if message.chars().count() > LONGEST_MESSAGE {
        return Err(Said::new("longer_than", "must have at most 300 characters").with("most", LONGEST_MESSAGE));
    }
    if message.chars().any(char::is_control) {
        return Err(Said::new("one_line", "must be one line"));
    }
    Ok(())
}

/// Who gets which caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingConfig {
    /// Seconds of waiting that weigh as much as one more of priority; 0: priority always wins.
    pub priority_step_s: u32,
    /// Seconds a caller is kept for the agent they spoke with before, if that agent is signed in; 0: not.
    pub known_agent_s: u32,
    /// Seconds within which somebody who hung up while waiting and calls again regains the place; 0: not.
    pub resume_abandoned_s: u32,
    /// Seconds without calls after a distressing one, paid.
    pub cool_down_s: u32,
    /// Seconds by which an agent may extend wrap-up, once.
    pub wrap_up_extension_s: u32,
    /// Queues. Empty: one that everybody serves. The first takes whom no workflow wants.
    pub queues: Vec<Table>,
    /// Ways through the queues; the first that fits takes the caller.
    pub workflows: Vec<Table>,
    /// Opening hours that queues name.
    pub calendars: Vec<Table>,
    /// Which queues agents serve.
    pub profiles: Vec<Table>,
    /// Skills and languages of agents, by sign-in name.
    pub agents: Vec<Table>,
    /// Breaks with a name, and how they are paid: `none`, `standby` or `work`.
    pub break_codes: BTreeMap<String, String>,
}

/// A calendar as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenHours {
    /// Its name.
    pub name: String,
    /// Name of its time zone.
    pub zone: String,
    /// Lines such as `mon-fri 08:00-18:00`.
    pub weekly: Vec<String>,
    /// Lines such as `2026-12-24 09:00-12:00`.
    pub days: Vec<String>,
}

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            priority_step_s: 0,
            known_agent_s: 0,
            resume_abandoned_s: 60,
            cool_down_s: 0,
            wrap_up_extension_s: 60,
            queues: Vec::new(),
            workflows: Vec::new(),
            calendars: Vec::new(),
            profiles: Vec::new(),
            agents: Vec::new(),
            break_codes: BTreeMap::new(),
        }
    }
}

impl Section for RoutingConfig {
    const NAME: &'static str = "routing";
    fn check(&self, problems: &mut Problems) {
        problems.range("routing.priority_step_s", self.priority_step_s, 0..=86_400);
        problems.range("routing.known_agent_s", self.known_agent_s, 0..=3_600);
        problems.range("routing.resume_abandoned_s", self.resume_abandoned_s, 0..=3_600);
        problems.range("routing.cool_down_s", self.cool_down_s, 0..=3_600);
        problems.range("routing.wrap_up_extension_s", self.wrap_up_extension_s, 0..=3_600);
        self.build(&HandoffConfig::default(), problems);
    }
}

impl RoutingConfig {
    /// The plan. What is left out of a queue comes from `[handoff]`.
    pub fn plan(&self, handoff: &HandoffConfig) -> Plan {
        // The section was checked when it was read; a second look finds nothing.
        self.build(handoff, &mut Problems::default())
    }

    fn build(&self, handoff: &HandoffConfig, problems: &mut Problems) -> Plan {
        let mut skills = SkillNames::default();
        let noted = RefCell::new(std::mem::take(problems));
        let calendars = self.calendars(&noted);
        let queues = self.queues(handoff, &calendars, &mut skills, &noted);
        let workflows = self.workflows(&queues, &mut skills, &noted);
        let profiles = self.profiles(&queues, &noted);
        let agents = self.agents(&profiles, &mut skills, &noted);
        *problems = noted.into_inner();
        let mut break_codes = BTreeMap::new();
        for (name, class) in &self.break_codes {
            let class = match class.as_str() {
                "none" => PaidClass::None,
                "standby" => PaidClass::Standby,
                "work" => PaidClass::Work,
                _ => {
                    problems.add(
                        &format!("routing.break_codes.{name}"),
                        class,
                        Said::new("one_of", "must be none, standby or work").with("allowed", "none, standby, work"),
                    );
                    continue;
                }
            };
            break_codes.insert(name.clone(), class);
        }
        let rules = Rules {
            reoffer_after: seconds(handoff.reoffer_after_s),
            resume: seconds(handoff.resume_s),
            wrap_up: seconds(handoff.wrap_up_s),
            wrap_up_extension: seconds(self.wrap_up_extension_s),
            cool_down: seconds(self.cool_down_s),
            known_agent: seconds(self.known_agent_s),
            resume_abandoned: seconds(self.resume_abandoned_s),
            priority_step: seconds(self.priority_step_s),
            ..Rules::default()
        };
        Plan { queues, workflows, profiles, agents, break_codes, rules, skills }.finished()
    }

    /// The calendars as they are written: name, zone, hours of the week, days that differ.
    pub fn written_hours(&self) -> Vec<WrittenHours> {
        let ignored = RefCell::new(Problems::default());
        let read = |mut row: Row<'_>| WrittenHours {
            name: row.name(),
            zone: row.take("zone", "UTC".to_owned()),
            weekly: row.take("weekly", Vec::new()),
            days: row.take("days", Vec::new()),
        };
        rows("routing.calendars", &self.calendars, &ignored).map(read).collect()
    }

    /// The calendar of this name.
    pub fn calendar(&self, name: &str) -> Option<Calendar> {
        let ignored = RefCell::new(Problems::default());
        self.calendars(&ignored).into_iter().find(|calendar| calendar.name() == name)
    }

    fn calendars(&self, problems: &RefCell<Problems>) -> Vec<Calendar> {
        let mut calendars = Vec::new();
        for mut row in rows("routing.calendars", &self.calendars, problems) {
            let name = row.name();
            let zone: String = row.take("zone", "UTC".to_owned());
            let (weekly, days): (Vec<String>, Vec<String>) =
                (row.take("weekly", Vec::new()), row.take("days", Vec::new()));
            let zone = TimeZone::get(&zone).unwrap_or_else(|_| {
                row.problem("zone", &zone, Said::new("time_zone", "must be a time zone such as Europe/Berlin"));
                TimeZone::UTC
            });
            if weekly.is_empty() {
                row.problem(
                    "weekly",
                    "[]",
                    Said::new("hours_missing", "must say when it is open, such as `mon-fri 08:00-18:00`"),
                );
            }
            match Calendar::parse(&name, zone, &weekly, &days) {
                Ok(calendar) => calendars.push(calendar),
                Err(reason) => row.problem("weekly", "", reason),
            }
            row.finish();
        }
        calendars
    }

    fn queues(
        &self,
        handoff: &HandoffConfig,
        calendars: &[Calendar],
        skills: &mut SkillNames,
        problems: &RefCell<Problems>,
    ) -> Vec<Queue> {
        let mut queues: Vec<Queue> = Vec::new();
        for mut row in rows("routing.queues", &self.queues, problems) {
            let mut queue = Queue::new(&row.name());
            if queues.iter().any(|known| known.name == queue.name) {
                row.problem("name", &queue.name, Said::new("name_taken", "is the name of another queue already"));
            }
            let strategy: String = row.take("strategy", "longest_idle".to_owned());
            queue.strategy = Strategy::by_name(&strategy).unwrap_or_else(|| {
                row.problem("strategy", &strategy, one_of(Strategy::NAMES));
                Strategy::LongestIdle
            });
            queue.asks[0].needs = row.needs(skills);
            for mut relaxed in row.rows("relax") {
                let from = seconds(relaxed.number("after_s", 30, 1..=86_400));
                if queue.asks.last().is_some_and(|ask| ask.from >= from) {
                    relaxed.problem(
                        "after_s",
                        &from.as_secs().to_string(),
                        Said::new("later", "must be later than the one before"),
                    );
                }
                queue.asks.push(Ask { from, needs: relaxed.needs(skills) });
                relaxed.finish();
            }
            queue.cumulative = row.take("cumulative", true);
            let language: String = row.take("language", "ignored".to_owned());
            queue.language = match language.as_str() {
                "ignored" => LanguageRule::Ignored,
                "preferred" => LanguageRule::Preferred,
                "required" => LanguageRule::Required,
                _ => {
                    row.problem(
                        "language",
                        &language,
                        Said::new("one_of", "must be ignored, preferred or required")
                            .with("allowed", "ignored, preferred, required"),
                    );
                    LanguageRule::Ignored
                }
            };
            let hours: String = row.take("hours", String::new());
            queue.hours = calendars.iter().find(|calendar| calendar.name() == hours).cloned();
            if queue.hours.is_none() && !hours.is_empty() {
                row.problem(
                    "hours",
                    &hours,
                    Said::new("no_such", "is no calendar of routing.calendars").with("name", "routing.calendars"),
                );
            }
            queue.offer_timeout = seconds(row.number("offer_timeout_s", handoff.offer_timeout_s, 2..=300));
            let auto_answer: u32 = row.number("auto_answer_s", 0, 0..=60);
            queue.auto_answer = (auto_answer > 0).then(|| seconds(auto_answer));
            if queue.auto_answer.is_some_and(|after| after >= queue.offer_timeout) {
                row.problem(
                    "auto_answer_s",
                    &auto_answer.to_string(),
                    Said::new("shorter", "must be shorter than offer_timeout_s").with("name", "offer_timeout_s"),
                );
            }
            queue.parallel = row.number("parallel", 1, 1..=20) as usize;
            queue.priority = row.number("priority", 0, QUEUE_PRIORITIES);
            queue.message = row.take("message", String::new());
            if let Err(reason) = check_queue_message(&queue.message) {
                row.problem("message", "", reason);
            }
            queue.service_level = seconds(row.number("service_level_s", 20, 1..=3_600));
            row.finish();
            queues.push(queue);
        }
        if queues.is_empty() {
            let offer_timeout = seconds(handoff.offer_timeout_s);
            queues.push(Queue { offer_timeout, ..Queue::new("main") });
        }
        queues
    }

    fn workflows(&self, queues: &[Queue], skills: &mut SkillNames, problems: &RefCell<Problems>) -> Vec<Workflow> {
        let mut workflows = Vec::new();
        for mut row in rows("routing.workflows", &self.workflows, problems) {
            let name = row.name();
            let when = row.lines("when", Condition::parse);
            let exit: String = row.take("exit", "wait".to_owned());
            let exit = match exit.as_str() {
                "wait" => Exit::Wait,
                "callback" => Exit::Callback,
                "voicemail" => Exit::Voicemail,
                "assistant" => Exit::Assistant,
                _ => {
                    row.problem(
                        "exit",
                        &exit,
                        Said::new("one_of", "must be wait, callback, voicemail or assistant")
                            .with("allowed", "wait, callback, voicemail, assistant"),
                    );
                    Exit::Wait
                }
            };
            let mut steps = Vec::new();
            for mut step in row.rows("steps") {
                let timeout: u32 = step.number("timeout_s", 0, 0..=86_400);
                steps.push(Step {
                    queue: step.queue(queues),
                    needs: step.needs(skills),
                    priority: step.optional("priority", -100..=100),
                    timeout: (timeout > 0).then(|| seconds(timeout)),
                    skip_if: step.lines("skip_if", SkipIf::parse),
                });
                step.finish();
            }
            if steps.is_empty() {
                row.problem("steps", "[]", Said::new("at_least_one", "must have at least one"));
                steps.push(Step::default());
            }
            if exit != Exit::Wait && steps.last().is_some_and(|step| step.timeout.is_none() && step.skip_if.is_empty())
            {
                row.problem(
                    "exit",
                    exit.as_str(),
                    Said::new("never_reached", "is never reached: the last step has neither timeout_s nor skip_if"),
                );
            }
            row.finish();
            workflows.push(Workflow { name, when, steps, exit });
        }
        workflows
    }

    fn profiles(&self, queues: &[Queue], problems: &RefCell<Problems>) -> Vec<Profile> {
        let mut profiles = Vec::new();
        for mut row in rows("routing.profiles", &self.profiles, problems) {
            let name = row.name();
            let mut entries = BTreeMap::new();
            for mut served in row.rows("queues") {
                let entry = ProfileEntry {
                    priority: served.number("priority", 1, 1..=99),
                    delay: seconds(served.number("delay_s", 0, 0..=86_400)),
                };
                entries.insert(served.queue(queues), entry);
                served.finish();
            }
            row.finish();
            profiles.push(Profile { name, entries });
        }
        profiles
    }

    fn agents(
        &self,
        profiles: &[Profile],
        skills: &mut SkillNames,
        problems: &RefCell<Problems>,
    ) -> BTreeMap<String, Traits> {
        let mut agents = BTreeMap::new();
        for mut row in rows("routing.agents", &self.agents, problems) {
            let name: String = row.take("name", String::new());
            if name.is_empty() {
                row.problem("name", "\"\"", Said::new("sign_in_name", "must be a sign-in name"));
            }
            let mut levels = Levels::default();
            let own: BTreeMap<String, u8> = row.take("skills", BTreeMap::new());
            for (skill, level) in own {
                if !needs::is_name(&skill) || !(1..=MAX_LEVEL).contains(&level) {
                    let reason = format!("must be a skill's name and a level from 1 to {MAX_LEVEL}");
                    let said = Said::new("skill_level", reason).with("most", MAX_LEVEL);
                    row.problem(&format!("skills.{skill}"), &level.to_string(), said);
                    continue;
                }
                levels.set(skills.number(&skill), level);
            }
            let languages: Vec<String> = row.take("languages", Vec::new());
            let profile: String = row.take("profile", String::new());
            let number = profiles.iter().position(|known| known.name == profile);
            if number.is_none() && !profile.is_empty() {
                row.problem(
                    "profile",
                    &profile,
                    Said::new("no_such", "is no profile of routing.profiles").with("name", "routing.profiles"),
                );
            }
            let takes_calls: bool = row.take("takes_calls", true);
            row.finish();
            let languages = (!languages.is_empty()).then_some(languages);
            agents.insert(name, Traits { levels, languages, profile: number, capacity: usize::from(takes_calls) });
        }
        agents
    }
}

fn one_of(allowed: &str) -> Said {
    Said::new("one_of", format!("must be one of {allowed}")).with("allowed", allowed)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// The tables of a list, each to be read as a [`Row`].
fn rows<'a>(path: &'a str, list: &'a [Table], problems: &'a RefCell<Problems>) -> impl Iterator<Item = Row<'a>> {
    (1..).zip(list).map(move |(n, table)| {
        let named = table.get("name").and_then(Value::as_str);
        let path = named.map_or_else(|| format!("{path}[{n}]"), |name| format!("{path}.{name}"));
        Row { path, left: table.clone(), known: Vec::new(), problems }
    })
}

/// One table of a list: gives its values and notes what is wrong with them.
struct Row<'a> {
    path: String,
    left: Table,
    known: Vec<&'static str>,
    problems: &'a RefCell<Problems>,
}

impl<'a> Row<'a> {
    fn problem(&self, key: &str, value: &str, reason: Said) {
        self.problems.borrow_mut().add(&format!("{}.{key}", self.path), value, reason);
    }

    fn take<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> T {
        self.known.push(key);
        let Some(value) = self.left.remove(key) else { return default };
        T::deserialize(value.clone()).unwrap_or_else(|error: toml::de::Error| {
            self.problem(key, &value.to_string(), of_type(error.message()));
            default
        })
    }

    fn name(&mut self) -> String {
        let name: String = self.take("name", String::new());
        if name.trim().is_empty() {
            self.problem("name", "\"\"", Said::new("not_empty", "must not be empty"));
        }
        name
    }

    fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: DeserializeOwned + PartialOrd + fmt::Display + Copy,
    {
        let value = self.take(key, default);
        self.problems.borrow_mut().range(&format!("{}.{key}", self.path), value, range);
        value
    }

    fn optional(&mut self, key: &'static str, range: RangeInclusive<i32>) -> Option<i32> {
        let value: Option<i32> = self.take(key, None);
        if let Some(value) = value {
            self.problems.borrow_mut().range(&format!("{}.{key}", self.path), value, range);
        }
        value
    }

    /// A list of lines, each read by `parse`.
    fn lines<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Said>) -> Vec<T> {
        let lines: Vec<String> = self.take(key, Vec::new());
        let mut read = Vec::new();
        for line in lines {
            match parse(&line) {
                Ok(value) => read.push(value),
                Err(reason) => self.problem(key, "", reason),
            }
        }
        read
    }

    fn needs(&mut self, skills: &mut SkillNames) -> Needs {
        let lines: Vec<String> = self.take("needs", Vec::new());
        Needs::parse(&lines, skills).unwrap_or_else(|reason| {
            self.problem("needs", "", reason);
            Needs::default()
        })
    }

    fn queue(&mut self, queues: &[Queue]) -> usize {
        let name: String = self.take("queue", queues[0].name.clone());
        queues.iter().position(|queue| queue.name == name).unwrap_or_else(|| {
            self.problem(
                "queue",
                &name,
                Said::new("no_such", "is no queue of routing.queues").with("name", "routing.queues"),
            );
            0
        })
    }

    fn rows(&mut self, key: &'static str) -> Vec<Row<'a>> {
        let tables: Vec<Table> = self.take(key, Vec::new());
        let path = format!("{}.{key}", self.path);
        let row = |(n, left)| Row { path: format!("{path}[{n}]"), left, known: Vec::new(), problems: self.problems };
        (1..).zip(tables).map(row).collect()
    }

    /// Whatever is left is not known.
    fn finish(self) {
        for (key, value) in &self.left {
            let known = self.known.join(", ");
            let said = Said::new("unknown_key", format!("unknown key; there are {known}")).with("known", known);
            self.problem(key, &value.to_string(), said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const OFFICE: &str = r#"
        [handoff]
        offer_timeout_s = 15
        [routing]
        priority_step_s = 120
        break_codes = { training = "work" }
        [[routing.calendars]]
        name = "office"
        zone = "Europe/Berlin"
        weekly = ["mon-fri 08:00-18:00"]
        days = ["2026-12-25"]
        [[routing.queues]]
        name = "billing"
        needs = ["billing >= 3"]
        relax = [{ after_s = 30, needs = ["billing"] }, { after_s = 90 }]
        language = "required"
        hours = "office"
        strategy = "fewest_calls"
        [[routing.queues]]
        name = "everybody"
        parallel = 3
        offer_timeout_s = 10
        auto_answer_s = 3
        [[routing.workflows]]
        name = "billing"
        when = ["intent = billing | invoice"]
        exit = "callback"
        steps = [
            { queue = "billing", timeout_s = 60, priority = 5 },
            { queue = "everybody", timeout_s = 240, skip_if = ["unstaffed", "waiting >= 20"] },
        ]
        [[routing.profiles]]
        name = "second line"
        queues = [{ queue = "billing" }, { queue = "everybody", priority = 2, delay_s = 45 }]
        [[routing.agents]]
        name = "dana"
        skills = { billing = 4 }
        languages = ["en", "de"]
        profile = "second line"
    "#;

    #[test]
    fn a_whole_office_is_read() {
        let config = Config::parse(OFFICE, std::iter::empty()).expect("valid");
        let plan = config.routing.plan(&config.handoff);
        let (billing, everybody) = (&plan.queues[0], &plan.queues[1]);
        assert_eq!(billing.asks.iter().map(|ask| ask.from.as_secs()).collect::<Vec<_>>(), [0, 30, 90]);
        assert_eq!((billing.strategy, billing.language), (Strategy::FewestCalls, LanguageRule::Required));
        assert!(billing.hours.is_some() && everybody.hours.is_none());
        assert_eq!((billing.offer_timeout, everybody.offer_timeout), (seconds(15), seconds(10)));
        assert_eq!((everybody.parallel, everybody.ring()), (3, 3));
        assert_eq!((billing.auto_answer, everybody.auto_answer), (None, Some(seconds(3))));
        let workflow = &plan.workflows[0];
        assert_eq!((workflow.steps.len(), workflow.exit, workflow.steps[0].priority), (2, Exit::Callback, Some(5)));
        assert_eq!(workflow.steps[1].skip_if, [SkipIf::Unstaffed, SkipIf::Waiting(20)]);
        let dana = plan.traits("dana");
        assert!(billing.asks_hold(Duration::ZERO, &dana.levels) && !billing.asks_hold(seconds(30), &Levels::default()));
        assert_eq!(plan.entry(&dana, 1), Some(ProfileEntry { priority: 2, delay: seconds(45) }));
        assert_eq!(plan.break_codes["training"], PaidClass::Work);
        assert_eq!(plan.rules.priority_step, seconds(120));
        assert_eq!(plan.workflows.last().map(|last| last.name.as_str()), Some("billing"), "whom no workflow wants");
        let again = Config::parse(&config.to_toml(), std::iter::empty()).expect("what is printed can be read");
        assert_eq!(again.routing.plan(&again.handoff), plan);
    }

    #[test]
    fn without_queues_there_is_one_for_everybody() {
        let config = Config::default();
        let plan = config.routing.plan(&config.handoff);
        let rules = Rules { resume_abandoned: seconds(60), ..Rules::default() };
        assert_eq!(plan, Plan { rules, ..Plan::default() });
    }

    #[test]
    fn every_problem_of_every_row_is_named_at_once() {
        let text = r#"
            [routing]
            priority_step_s = 100000
            break_codes = { lunch = "free" }
            [[routing.calendars]]
            name = "moon"
            zone = "Moon/Base"
            weekly = ["monday"]
            [[routing.queues]]
            name = "a"
            strategy = "fastest"
            parallel = 0
            needs = ["x >= 9"]
            auto_answer_s = 20
            colour = "red"
            relax = [{ after_s = 30 }, { after_s = 20, need = [] }]
            hours = "office"
            [[routing.queues]]
            name = "a"
            language = 7
            [[routing.workflows]]
            name = "w"
            when = ["intent"]
            steps = [{ queue = "b", skip_if = ["later"] }]
            exit = "nowhere"
            [[routing.workflows]]
            name = "v"
            exit = "voicemail"
            [[routing.profiles]]
            name = "p"
            queues = [{ queue = "c", priority = 0 }]
            [[routing.agents]]
            skills = { x = 6 }
            profile = "q"
        "#;
        let error = Config::parse(text, std::iter::empty()).expect_err("many problems").to_string();
        for wanted in [
            "routing.priority_step_s = 100000: must be from 0 to 86400",
            "routing.break_codes.lunch",
            "routing.calendars.moon.zone",
            "routing.calendars.moon.weekly",
            "routing.queues.a.strategy = fastest: must be one of longest_idle",
            "routing.queues.a.parallel",
            "routing.queues.a.auto_answer_s = 20: must be shorter than offer_timeout_s",
            "routing.queues.a.needs: `x >= 9`: a level is from 1 to 5",
            "routing.queues.a.colour = \"red\": unknown key",
            "routing.queues.a.relax[2].after_s",
            "routing.queues.a.relax[2].need = []",
            "routing.queues.a.hours",
            "routing.queues.a.name",
            "routing.queues.a.language",
            "routing.workflows.w.when",
            "routing.workflows.w.steps[1].queue",
            "routing.workflows.w.steps[1].skip_if",
            "routing.workflows.w.exit",
            "routing.workflows.v.steps",
            "routing.workflows.v.exit",
            "routing.profiles.p.queues[1].priority",
            "routing.profiles.p.queues[1].queue",
            "routing.agents[1].name",
            "routing.agents[1].skills.x = 6",
            "routing.agents[1].profile",
        ] {
            assert!(error.contains(wanted), "{wanted} is missing in: {error}");
        }
    }
}
