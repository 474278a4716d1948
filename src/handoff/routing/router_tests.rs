//! Rules one by one, on small desks.

#[path = "auto_answer_tests.rs"]
mod auto_answer;

use super::super::plan::PaidClass;
use super::*;
use crate::config::Config;

struct Desk {
    router: Router,
    now: Moment,
    sessions: u64,
}

fn plan(text: &str) -> Arc<Plan> {
    let config = Config::parse(text, std::iter::empty()).expect("a valid plan");
    Arc::new(config.routing.plan(&config.handoff))
}

fn agent(name: &str) -> AgentId {
    AgentId(name.to_owned())
}

fn handoff(n: u64) -> HandoffId {
    HandoffId(Uuid::from_u64_pair(7, n))
}

fn facts(known: &[(&str, &str)]) -> Facts {
    let known = known.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Facts { known, ..Facts::default() }
}

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

impl Desk {
    fn new(text: &str) -> Self {
        // Wednesday, 25 November 2026, 10:00 in Berlin.
        Self { router: Router::new(plan(text), 1), now: Moment::from_ms(1_795_597_200_000), sessions: 0 }
    }

    fn step(&mut self, event: Event) -> Vec<Decision> {
        let mut out = Vec::new();
        self.router.step(self.now, event, &mut out);
        self.check();
        out
    }

    fn check(&self) {
        assert_eq!(self.router.broken_rule(self.now), None);
    }

    /// Lets time pass, firing every alarm at its moment.
    fn pass(&mut self, s: u64) -> Vec<Decision> {
        let end = self.now + seconds(s);
        let mut out = Vec::new();
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let before = out.len();
            self.router.handle_timeout(self.now, &mut out);
            self.check();
            let answered = out[before..].iter().filter_map(|one| match one {
                Decision::AnsweredByItself(agent, offer) => Some(Event::Accepted(agent.clone(), *offer)),
                _ => None,
            });
            for accepted in answered.collect::<Vec<_>>() {
                out.extend(self.step(accepted));
            }
        }
        self.now = end;
        out
    }

    /// Signs agents in, a second apart, so that the first has been idle longest.
    fn staff(&mut self, names: &[&str]) {
        for name in names {
            self.sessions += 1;
            self.step(Event::Connected { agent: agent(name), name: (*name).to_owned(), session: self.sessions });
            self.choose(name, AgentState::Available);
            self.pass(1);
        }
    }

    fn choose(&mut self, name: &str, state: AgentState) -> Vec<Decision> {
        self.step(Event::StateChosen(agent(name), state, None))
    }

    fn caller(&mut self, n: u64, known: &[(&str, &str)]) -> Vec<Decision> {
        self.step(Event::Requested(handoff(n), facts(known)))
    }

    fn accept(&mut self, name: &str) -> Vec<Decision> {
        let (_, offer) = self.router.offer_of(&agent(name)).expect("an offer is pending");
        self.step(Event::Accepted(agent(name), offer))
    }

    fn reject(&mut self, name: &str) -> Vec<Decision> {
        let (_, offer) = self.router.offer_of(&agent(name)).expect("an offer is pending");
        self.step(Event::Rejected(agent(name), offer))
    }

    /// Accepts, talks, finishes.
    fn serve(&mut self, name: &str, n: u64, talk: u64) {
        self.accept(name);
        self.pass(talk);
        self.step(Event::Ended(handoff(n), CallEnd::CallerHungUp));
        self.step(Event::WrapUpDone(agent(name)));
    }

    /// Who is asked about a caller.
    fn asked(&self, n: u64) -> Vec<String> {
        let Some(slot) = self.router.slot(handoff(n)) else { return Vec::new() };
        let offers = self.router.task(slot).offers.iter();
        let mut names: Vec<_> = offers.map(|offer| self.router.agents[offer.agent as usize].id.0.clone()).collect();
        names.sort();
        names
    }

    fn state(&self, name: &str) -> AgentState {
        self.router.agent_state(&agent(name), self.now).expect("known").0
    }

    fn why(&self, n: u64) -> String {
        self.router.why(self.now, handoff(n)).expect("known").text
    }
}

const SKILLS: &str = r#"
    [[routing.queues]]
    name = "billing"
    needs = ["billing >= 3"]
    relax = [{ after_s = 30, needs = ["billing"] }]
    [[routing.agents]]
    name = "ann"
    skills = { billing = 2 }
    [[routing.agents]]
    name = "ben"
    skills = { billing = 4 }
    [[routing.agents]]
    name = "cid"
"#;

#[test]
fn skills_decide_and_are_relaxed_with_time() {
    let mut desk = Desk::new(SKILLS);
    desk.staff(&["ann", "cid", "ben"]);
    desk.caller(1, &[]);
    assert_eq!(desk.asked(1), ["ben"], "the only one who is good enough, though idle shortest");
    desk.accept("ben");
    desk.caller(2, &[]);
    assert!(desk.asked(2).is_empty());
    assert_eq!(
        desk.why(2),
        "Number 1 in billing after 0 s: waits for somebody with billing of 3 or more; of those signed in, \
         1 on a call and 2 without billing of 3 or more."
    );
    // The same for clients with words of their own: what is asked as the configuration has it, and numbers by name.
    let phrases = desk.router.why(desk.now, handoff(2)).expect("known").phrases;
    let said: Vec<String> = phrases.iter().map(|phrase| format!("{} {:?}", phrase.reason, phrase.values)).collect();
    assert_eq!(
        said,
        [
            r#"number {"after_s": "0", "position": "1", "queue": "billing"}"#,
            r#"waits_needs {"needs": "billing >= 3"}"#,
            r#"agent_on_contact {"n": "1"}"#,
            r#"without {"n": "2", "needs": "billing >= 3"}"#,
        ]
    );
    desk.pass(29);
    assert!(desk.asked(2).is_empty());
    desk.pass(1);
    assert_eq!(desk.asked(2), ["ann"], "after 30 s a little is enough");
    let why = desk.why(2);
    assert!(why.starts_with("Offered to ann for another 20 s: the only one who was free and fits"), "{why}");
    assert!(why.contains("billing asks for billing, relaxed after the wait"), "{why}");
}

#[test]
fn the_idle_clock_stands_while_away_and_only_an_answered_call_sets_it_back() {
    let mut desk = Desk::new("");
    desk.staff(&["ann", "ben"]);
    desk.pass(60);
    desk.choose("ann", AgentState::Break);
    desk.pass(100);
    desk.choose("ann", AgentState::Available);
    assert_eq!(desk.router.idle(&agent("ann"), desk.now), Some(seconds(62)), "a break is not idle time");
    desk.caller(1, &[]);
    assert_eq!(desk.asked(1), ["ben"], "161 s idle");
    desk.reject("ben");
    assert_eq!(desk.asked(1), ["ann"]);
    desk.serve("ann", 1, 30);
    desk.caller(2, &[]);
    assert_eq!(desk.asked(2), ["ben"], "a decline did not set the clock back, the call did");
    assert!(desk.router.idle(&agent("ann"), desk.now) == Some(Duration::ZERO));
}

#[test]
fn whoever_declined_is_asked_again_after_all_others_or_after_a_while() {
    let mut desk = Desk::new("");
    desk.staff(&["ann", "ben", "cid"]);
    desk.caller(1, &[]);
    for name in ["ann", "ben", "cid", "ann"] {
        assert_eq!(desk.asked(1), [name], "in turn, and then all over again");
        desk.reject(name);
    }
    for name in ["ben", "cid"] {
        desk.choose(name, AgentState::Break);
    }
    assert!(desk.asked(1).is_empty(), "ann alone is left in peace for a while");
    assert!(desk.why(1).contains("1 who did not take this caller, asked again in 30 s"), "{}", desk.why(1));
    desk.pass(30);
    assert_eq!(desk.asked(1), ["ann"]);
}

#[test]
fn offers_to_several_have_one_winner_and_no_losers() {
    let mut desk = Desk::new("[[routing.queues]]\nname = \"all\"\nstrategy = \"ring_all\"\n");
    desk.staff(&["ann", "ben", "cid"]);
    desk.caller(1, &[]);
    assert_eq!(desk.asked(1), ["ann", "ben", "cid"]);
    let late = desk.router.offer_of(&agent("cid")).expect("pending").1;
    desk.reject("ann");
    assert_eq!(desk.asked(1), ["ben", "cid"], "the others still ring");
    let decisions = desk.accept("ben");
    let rescinded = |d: &&Decision| matches!(d, Decision::OfferEnded { result: OfferResult::Rescinded, .. });
    assert_eq!(decisions.iter().filter(rescinded).count(), 1);
    assert_eq!((desk.state("ben"), desk.state("cid")), (AgentState::OnContact, AgentState::Available));
    assert_eq!(desk.step(Event::Accepted(agent("cid"), late)), [Decision::OfferGone(agent("cid"), late)]);
    desk.caller(2, &[]);
    desk.pass(20);
    assert_eq!((desk.state("ann"), desk.state("cid")), (AgentState::Missed, AgentState::Missed), "nobody answered");
    assert!(desk.asked(2).is_empty());
    desk.step(Event::Acknowledged(agent("cid")));
    assert!(desk.asked(2).is_empty(), "30 s have not passed, and nobody else is there");
    desk.pass(30);
    assert_eq!(desk.asked(2), ["cid"]);
}

const STEPS: &str = r#"
    [[routing.queues]]
    name = "main"
    [[routing.queues]]
    name = "billing"
    needs = ["billing"]
    [[routing.agents]]
    name = "ann"
    skills = { billing = 1 }
    [[routing.workflows]]
    name = "billing"
    when = ["intent = billing"]
    exit = "callback"
    steps = [{ queue = "billing", timeout_s = 40, priority = 5 }, { queue = "main", timeout_s = 60 }]
"#;

#[test]
fn steps_end_by_the_callers_age_and_the_last_leads_to_the_exit() {
    let mut desk = Desk::new(STEPS);
    desk.staff(&["ben"]);
    desk.caller(1, &[("intent", "billing")]);
    assert!(desk.asked(1).is_empty());
    assert!(desk.why(1).starts_with("Number 1 in billing"), "{}", desk.why(1));
    desk.choose("ben", AgentState::Break);
    desk.pass(40);
    assert!(desk.why(1).starts_with("Number 1 in main after 40 s"), "{}", desk.why(1));
    desk.choose("ben", AgentState::Available);
    desk.reject("ben");
    desk.choose("ben", AgentState::Break);
    let decisions = desk.pass(59);
    assert!(!decisions.iter().any(|d| matches!(d, Decision::Exit(..))));
    assert_eq!(desk.pass(1), [Decision::Exit(handoff(1), Exit::Callback)], "40 s and 60 s of the whole age");
    assert!(desk.why(1).ends_with("the caller is offered to be called back."), "{}", desk.why(1));
    // The caller would rather wait: in the old place, without an end.
    desk.caller(2, &[]);
    desk.caller(1, &[]);
    desk.pass(3_600);
    desk.choose("ben", AgentState::Available);
    assert_eq!(desk.asked(1), ["ben"], "the old place is before the second caller");
}

use super::super::plan::Exit;

#[test]
fn a_step_is_passed_over_only_when_nobody_can_take_the_caller_at_once() {
    let text = r#"
        [[routing.queues]]
        name = "main"
        [[routing.queues]]
        name = "night"
        [[routing.profiles]]
        name = "day"
        queues = [{ queue = "main" }]
        [[routing.agents]]
        name = "ann"
        profile = "day"
        [[routing.workflows]]
        name = "all"
        exit = "voicemail"
        steps = [{ queue = "main", skip_if = ["none_available"] }, { queue = "night", skip_if = ["unstaffed"] }]
    "#;
    let mut desk = Desk::new(text);
    desk.staff(&["ann"]);
    desk.caller(1, &[]);
    assert_eq!(desk.asked(1), ["ann"]);
    assert!(desk.caller(2, &[]).contains(&Decision::Exit(handoff(2), Exit::Voicemail)), "nobody serves the night");
    desk.staff(&["ben"]);
    desk.serve("ann", 1, 5);
    desk.choose("ann", AgentState::Break);
    desk.caller(3, &[]);
    assert_eq!(desk.asked(3), ["ben"], "serves every queue");
    desk.accept("ben");
    desk.caller(4, &[]);
    assert!(desk.why(4).starts_with("Number 1 in night"), "{}", desk.why(4));
    desk.choose("ben", AgentState::Offline);
    assert_eq!(desk.router.queue(desk.now).0, 0, "the last one will leave: the caller is told so at once");
}

#[test]
fn a_profile_names_the_queue_to_take_from_first_and_how_old_callers_must_be() {
    let text = r#"
        [[routing.queues]]
        name = "main"
        [[routing.queues]]
        name = "sales"
        [[routing.workflows]]
        name = "sales"
        when = ["intent = sales"]
        steps = [{ queue = "sales" }]
        [[routing.profiles]]
        name = "seller"
        queues = [{ queue = "sales", priority = 1 }, { queue = "main", priority = 2, delay_s = 30 }]
        [[routing.agents]]
        name = "ann"
        profile = "seller"
    "#;
    let mut desk = Desk::new(text);
    desk.staff(&["ann"]);
    desk.caller(1, &[]);
    assert!(desk.asked(1).is_empty());
    assert!(desk.why(1).contains("1 seeing callers of this queue in 30 s"), "{}", desk.why(1));
    desk.pass(30);
    assert_eq!(desk.asked(1), ["ann"]);
    desk.accept("ann");
    desk.caller(2, &[]);
    desk.pass(40);
    desk.caller(3, &[("intent", "sales")]);
    desk.step(Event::Ended(handoff(1), CallEnd::AgentEnded));
    desk.step(Event::WrapUpDone(agent("ann")));
    assert_eq!(desk.asked(3), ["ann"], "sales first, though the other has waited longer");
}

#[test]
fn a_known_agent_is_waited_for_while_they_are_there() {
    let mut desk = Desk::new("[routing]\nknown_agent_s = 20\n");
    desk.staff(&["ann", "ben"]);
    desk.caller(1, &[]);
    desk.accept("ann");
    let known = Facts { known_agent: Some(agent("ann")), ..Facts::default() };
    desk.step(Event::Requested(handoff(2), known.clone()));
    assert!(desk.asked(2).is_empty());
    assert!(desk.why(2).contains("1 passed over for 20 s for an agent whom the caller knows"), "{}", desk.why(2));
    desk.step(Event::Ended(handoff(1), CallEnd::AgentEnded));
    desk.step(Event::WrapUpDone(agent("ann")));
    assert_eq!(desk.asked(2), ["ann"], "though ben has been idle longer");
    assert!(desk.why(2).ends_with("the caller knows ann."), "{}", desk.why(2));
    desk.accept("ann");
    desk.step(Event::Requested(handoff(3), known.clone()));
    desk.pass(20);
    assert_eq!(desk.asked(3), ["ben"], "not for ever");
    desk.reject("ben");
    desk.pass(30);
    desk.accept("ben");
    desk.staff(&["cid"]);
    desk.step(Event::Requested(handoff(4), known));
    assert!(desk.asked(4).is_empty());
    desk.choose("ann", AgentState::Break);
    assert_eq!(desk.asked(4), ["cid"], "ann will be on a break: no reason to wait");
}

#[test]
fn languages_are_required_or_preferred() {
    let text = |rule: &str| {
        format!(
            "[[routing.queues]]\nname = \"q\"\nlanguage = \"{rule}\"\n[[routing.agents]]\nname = \"ann\"\n\
             languages = [\"en\"]\n[[routing.agents]]\nname = \"ben\"\nlanguages = [\"en\", \"de\"]\n"
        )
    };
    let german = Facts { language: Some("de".to_owned()), ..Facts::default() };
    for (rule, second) in [("required", None), ("preferred", Some("ann")), ("ignored", Some("ben"))] {
        let mut desk = Desk::new(&text(rule));
        desk.staff(&["ann", "ben"]);
        desk.step(Event::Requested(handoff(1), german.clone()));
        desk.step(Event::Requested(handoff(2), german.clone()));
        let first = if rule == "ignored" { "ann" } else { "ben" };
        assert_eq!(desk.asked(1), [first], "{rule}");
        assert_eq!(desk.asked(2), second.into_iter().collect::<Vec<_>>(), "{rule}");
    }
}

#[test]
fn a_closed_queue_is_passed_over_and_the_last_one_opens_again() {
    let text = r#"
        [[routing.calendars]]
        name = "office"
        zone = "Europe/Berlin"
        weekly = ["mon-fri 08:00-18:00"]
        [[routing.queues]]
        name = "office"
        hours = "office"
    "#;
    let mut desk = Desk::new(text);
    desk.pass(9 * 3_600); // 19:00
    desk.staff(&["ann"]);
    let told = desk.caller(1, &[]);
    assert!(told.contains(&Decision::Place { handoff: handoff(1), position: 1, staffed: 0 }), "nobody to be expected");
    assert!(desk.why(1).ends_with("it is closed and opens in 13 h 0 min."), "{}", desk.why(1));
    desk.pass(13 * 3_600 - 2);
    assert!(desk.asked(1).is_empty());
    desk.pass(1);
    assert_eq!(desk.asked(1), ["ann"]);
    desk.accept("ann");
    desk.pass(10 * 3_600 - 60); // one minute before closing
    desk.caller(2, &[]);
    desk.pass(600);
    desk.step(Event::Ended(handoff(1), CallEnd::AgentEnded));
    desk.step(Event::WrapUpDone(agent("ann")));
    assert_eq!(desk.asked(2), ["ann"], "who came in time is served");
}

#[test]
fn who_hangs_up_and_calls_again_in_time_regains_the_place() {
    let mut desk = Desk::new("");
    let caller = |who: &str| Facts { caller: Some(Pii::new(who.to_owned())), ..Facts::default() };
    desk.step(Event::Requested(handoff(1), caller("eva")));
    desk.pass(10);
    desk.step(Event::Requested(handoff(2), caller("fay")));
    desk.step(Event::Left(handoff(1), Left::HungUp));
    desk.pass(59);
    let told = desk.step(Event::Requested(handoff(3), caller("eva")));
    assert!(told.contains(&Decision::Place { handoff: handoff(3), position: 1, staffed: 0 }), "{told:?}");
    desk.step(Event::Left(handoff(2), Left::HungUp));
    desk.pass(60);
    desk.step(Event::Requested(handoff(4), caller("gil")));
    let told = desk.step(Event::Requested(handoff(5), caller("fay")));
    assert!(told.contains(&Decision::Place { handoff: handoff(5), position: 3, staffed: 0 }), "too late: {told:?}");
}

#[test]
fn a_failed_connection_puts_the_caller_first_and_costs_the_agent_nothing() {
    let mut desk = Desk::new("");
    desk.staff(&["ann", "ben"]);
    desk.pass(50);
    desk.caller(1, &[]);
    desk.accept("ann");
    desk.pass(5);
    let idle_before = seconds(52);
    let decisions = desk.step(Event::FailedConnect(handoff(1), Cause::System));
    let failed = Decision::ConnectFailed { handoff: handoff(1), agent: agent("ann"), cause: Cause::System };
    assert!(decisions.contains(&failed));
    assert_eq!(desk.state("ann"), AgentState::Available);
    assert_eq!(desk.router.idle(&agent("ann"), desk.now), Some(idle_before), "as if nothing had been");
    assert_eq!(desk.asked(1), ["ben"]);
    assert!(desk.why(1).contains("first in line because a connection had failed"), "{}", desk.why(1));
    desk.accept("ben");
    desk.step(Event::FailedConnect(handoff(1), Cause::Agent));
    assert_eq!(desk.state("ben"), AgentState::Error, "no sound: not asked until acknowledged");
    assert!(desk.asked(1).is_empty(), "ann is left in peace for 30 s");
    desk.step(Event::Acknowledged(agent("ben")));
    assert_eq!(desk.asked(1).len(), 1, "both have been asked: another round");
    let who = desk.asked(1)[0].clone();
    desk.accept(&who);
    desk.step(Event::MediaUp(handoff(1)));
    assert!(desk.step(Event::FailedConnect(handoff(1), Cause::System)).is_empty(), "they hear each other already");
}

#[test]
fn an_offer_that_needs_longer_gets_it_and_one_that_can_not_be_made_is_over_at_once() {
    let mut desk = Desk::new("");
    desk.staff(&["ann"]);
    desk.caller(1, &[]);
    let (_, offer) = desk.router.offer_of(&agent("ann")).expect("an offer is pending");
    desk.step(Event::Extended(agent("ann"), offer, Duration::from_secs(60)));
    desk.pass(59);
    assert_eq!(desk.state("ann"), AgentState::Reserved);
    desk.pass(1);
    assert_eq!(desk.state("ann"), AgentState::Missed);
    desk.step(Event::Acknowledged(agent("ann")));
    desk.pass(30);
    let (_, offer) = desk.router.offer_of(&agent("ann")).expect("an offer is pending");
    desk.step(Event::Unanswered(agent("ben"), offer));
    assert_eq!(desk.state("ann"), AgentState::Reserved, "it is not theirs");
    desk.step(Event::Unanswered(agent("ann"), offer));
    assert_eq!(desk.state("ann"), AgentState::Missed);
}

#[test]
fn a_distressing_call_is_followed_by_a_paid_rest() {
    let mut desk = Desk::new("[routing]\ncool_down_s = 300\n");
    desk.staff(&["ann"]);
    desk.caller(1, &[]);
    desk.accept("ann");
    desk.step(Event::Distressing(handoff(1)));
    desk.step(Event::Ended(handoff(1), CallEnd::CallerHungUp));
    desk.step(Event::WrapUpDone(agent("ann")));
    desk.caller(2, &[]);
    assert_eq!(desk.state("ann"), AgentState::Available);
    assert!(desk.why(2).contains("1 resting after a hard call"), "{}", desk.why(2));
    desk.pass(299);
    assert!(desk.asked(2).is_empty());
    desk.pass(1);
    assert_eq!(desk.asked(2), ["ann"]);
}

#[test]
fn wrap_up_is_extended_once_and_the_chosen_state_follows() {
    let mut desk = Desk::new("[routing]\nbreak_codes = { training = \"work\" }\n");
    desk.staff(&["ann"]);
    desk.caller(1, &[]);
    desk.accept("ann");
    desk.step(Event::Ended(handoff(1), CallEnd::CallerHungUp));
    desk.step(Event::WrapUpExtended(agent("ann")));
    desk.step(Event::WrapUpExtended(agent("ann")));
    desk.step(Event::StateChosen(agent("ann"), AgentState::Break, Some("training".to_owned())));
    desk.caller(2, &[]);
    desk.pass(119);
    assert_eq!(desk.state("ann"), AgentState::WrapUp);
    desk.pass(1);
    assert_eq!(desk.state("ann"), AgentState::Break, "though a caller waits");
    assert_eq!(desk.router.break_code(&agent("ann")), Some("training"));
    assert_eq!(desk.router.plan().break_codes["training"], PaidClass::Work);
    assert!(desk.asked(2).is_empty());
}

#[test]
fn a_supervisor_may_change_priority_and_queue() {
    let mut desk = Desk::new(STEPS);
    desk.caller(1, &[]);
    desk.caller(2, &[]);
    desk.step(Event::Reprioritised(handoff(2), 9));
    assert!(desk.why(2).starts_with("Number 1 in main"), "{}", desk.why(2));
    desk.step(Event::Moved(handoff(2), "billing".to_owned()));
    assert!(desk.why(2).starts_with("Number 1 in billing"), "{}", desk.why(2));
    desk.pass(3_600);
    assert!(desk.why(2).starts_with("Number 1 in billing"), "for as long as it takes: {}", desk.why(2));
}

#[test]
fn an_agent_may_have_several_callers_where_that_is_allowed() {
    let mut with_two = Plan::clone(&plan(""));
    let two = super::super::plan::Traits { capacity: 2, ..Default::default() };
    with_two.agents.insert("ann".to_owned(), two);
    with_two.agents.insert("sup".to_owned(), super::super::plan::Traits { capacity: 0, ..Default::default() });
    let mut desk = Desk::new("");
    desk.router = Router::new(Arc::new(with_two), 1);
    desk.staff(&["sup", "ann"]);
    desk.caller(1, &[]);
    desk.accept("ann");
    desk.caller(2, &[]);
    desk.accept("ann");
    desk.caller(3, &[]);
    assert!(desk.asked(3).is_empty(), "two are enough, and the other takes none");
    let ended = desk.step(Event::Ended(handoff(1), CallEnd::CallerHungUp));
    assert!(ended.contains(&Decision::WrapUp {
        agent: agent("ann"),
        handoff: handoff(1),
        reason: CallEnd::CallerHungUp,
        until: desk.now
    }));
    assert_eq!((desk.state("ann"), desk.asked(3)), (AgentState::OnContact, vec!["ann".to_owned()]));
    desk.reject("ann");
    desk.step(Event::Ended(handoff(2), CallEnd::CallerHungUp));
    assert_eq!(desk.state("ann"), AgentState::WrapUp);
}

#[test]
fn a_new_plan_keeps_places_and_takes_effect_at_once() {
    let mut desk = Desk::new(SKILLS);
    desk.staff(&["ann", "cid"]);
    desk.caller(1, &[]);
    desk.pass(5);
    desk.caller(2, &[]);
    assert!(desk.asked(1).is_empty());
    let mut out = Vec::new();
    let easier = SKILLS.replace("name = \"cid\"", "name = \"cid\"\nskills = { billing = 5 }");
    desk.router.reload(desk.now, plan(&easier), &mut out);
    desk.check();
    assert_eq!((desk.asked(1), desk.asked(2)), (vec!["cid".to_owned()], Vec::new()), "the older caller first");
    let mut out = Vec::new();
    desk.router.reload(desk.now, plan(""), &mut out);
    desk.check();
    assert_eq!(desk.asked(2), ["ann"], "the queue is gone: the one for everybody takes them");
    assert!(desk.why(1).starts_with("Offered to cid"), "offers go on");
    desk.accept("cid");
    assert_eq!(desk.state("cid"), AgentState::OnContact);
}

#[test]
fn the_wait_is_estimated_from_what_calls_took() {
    let mut desk = Desk::new("");
    desk.caller(1, &[]);
    assert_eq!(desk.router.estimate(handoff(1)), None, "nobody is there");
    desk.staff(&["ann"]);
    desk.caller(9, &[]);
    assert_eq!(desk.router.estimate(handoff(9)), None, "nobody was served yet, and callers are told no guess");
    desk.step(Event::Left(handoff(9), Left::Helped));
    desk.serve("ann", 1, 90);
    desk.caller(2, &[]);
    desk.accept("ann");
    for n in 3..5 {
        desk.caller(n, &[]);
    }
    let estimate = desk.router.estimate(handoff(4)).expect("somebody serves");
    // Two of 90 s each by one agent: a gamma variable of shape 2.
    assert!(estimate.p50 > seconds(145) && estimate.p50 < seconds(156), "{estimate:?}");
    assert!(estimate.p90 > seconds(340) && estimate.p90 < seconds(360), "{estimate:?}");
}

#[test]
fn while_a_caller_does_something_else_the_place_is_kept() {
    let mut desk = Desk::new("");
    desk.caller(1, &[]);
    desk.caller(2, &[]);
    desk.step(Event::Left(handoff(1), Left::ForNow));
    desk.staff(&["ann"]);
    assert_eq!(desk.asked(2), ["ann"]);
    let told = desk.caller(1, &[]);
    assert!(told.contains(&Decision::Place { handoff: handoff(1), position: 1, staffed: 1 }));
    assert_eq!(desk.why(2).split(" for").next(), Some("Offered to ann"), "the offer stands");
    desk.step(Event::Left(handoff(1), Left::ForNow));
    desk.step(Event::Left(handoff(1), Left::Helped));
    assert_eq!(desk.router.why(desk.now, handoff(1)), None);
}

#[test]
fn whoever_hangs_up_and_calls_again_soon_has_the_place_and_is_the_same_caller() {
    let mut desk = Desk::new("[routing]\nresume_abandoned_s = 60\n");
    let known = Facts { caller: Some(Pii::new("+15005550006".to_owned())), ..Facts::default() };
    desk.step(Event::Requested(handoff(1), known.clone()));
    desk.pass(10);
    desk.caller(2, &[]);
    desk.step(Event::Left(handoff(1), Left::HungUp));
    desk.pass(30);
    let told = desk.step(Event::Requested(handoff(3), known.clone()));
    assert!(told.contains(&Decision::Place { handoff: handoff(3), position: 1, staffed: 0 }), "{told:?}");
    assert_eq!((desk.router.resumes(handoff(3)), desk.router.resumes(handoff(2))), (Some(handoff(1)), None));
    desk.step(Event::Left(handoff(3), Left::HungUp));
    desk.pass(61);
    desk.step(Event::Requested(handoff(4), known));
    assert_eq!(desk.router.resumes(handoff(4)), None, "too late");
}
