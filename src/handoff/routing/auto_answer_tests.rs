//! Offers that are answered by themselves: where the queue allows it and the agent has agreed, and nowhere else.

use super::*;
use crate::handoff::routing::Target;

const AFTER_THREE: &str = "[[routing.queues]]\nname = \"main\"\nauto_answer_s = 3\n";

impl Desk {
    fn agrees(&mut self, name: &str, on: bool) {
        self.step(Event::AutoAnswer(agent(name), on));
    }
}

fn answers(decisions: &[Decision]) -> Option<Moment> {
    decisions.iter().find_map(|one| match one {
        Decision::Offer { answers, .. } => Some(*answers),
        _ => None,
    })?
}

#[test]
fn an_offer_is_answered_by_itself_where_queue_and_agent_agree() {
    let mut desk = Desk::new(AFTER_THREE);
    desk.staff(&["ann"]);
    desk.agrees("ann", true);
    let offered = desk.caller(1, &[]);
    assert_eq!(answers(&offered), Some(desk.now + seconds(3)));
    assert!(desk.pass(2).is_empty(), "time to decline it");
    let out = desk.pass(1);
    let (first, joined) = (&out[0], Decision::Assign { handoff: handoff(1), agent: agent("ann") });
    assert!(matches!(first, Decision::AnsweredByItself(who, _) if *who == agent("ann")), "{out:?}");
    assert!(out.contains(&joined), "{out:?}");
    assert_eq!(desk.state("ann"), AgentState::OnContact);
    assert!(!desk.pass(60).iter().any(|one| matches!(one, Decision::OfferEnded { .. })), "the offer is over once");
}

#[test]
fn it_takes_both() {
    for (text, agreed) in [("", true), (AFTER_THREE, false)] {
        let mut desk = Desk::new(text);
        desk.staff(&["ann"]);
        desk.agrees("ann", agreed);
        assert_eq!(answers(&desk.caller(1, &[])), None);
        desk.pass(21);
        assert_eq!(desk.state("ann"), AgentState::Missed);
    }
}

#[test]
fn it_can_be_declined_and_taken_back_while_it_rings() {
    let mut desk = Desk::new(AFTER_THREE);
    desk.staff(&["ann"]);
    desk.agrees("ann", true);
    desk.caller(1, &[]);
    desk.pass(2);
    desk.reject("ann");
    assert!(desk.pass(5).is_empty(), "declined is declined");
    desk.pass(26);
    assert_eq!(desk.asked(1), ["ann"], "asked again, half a minute later");
    desk.agrees("ann", false);
    assert!(!desk.pass(10).iter().any(|one| matches!(one, Decision::Assign { .. })), "no longer agreed");
    desk.accept("ann");
    assert_eq!(desk.state("ann"), AgentState::OnContact);
}

#[test]
fn whoever_is_there_anew_has_not_agreed() {
    let mut desk = Desk::new(AFTER_THREE);
    desk.staff(&["ann"]);
    desk.agrees("ann", true);
    desk.step(Event::Connected { agent: agent("ann"), name: "ann".to_owned(), session: 9 });
    assert_eq!(answers(&desk.caller(1, &[])), None);
}

#[test]
fn of_two_who_are_asked_the_one_who_agreed_has_the_caller() {
    let mut desk = Desk::new(&format!("{AFTER_THREE}parallel = 2\n"));
    desk.staff(&["ann", "ben"]);
    desk.agrees("ben", true);
    desk.caller(1, &[]);
    assert_eq!(desk.asked(1), ["ann", "ben"]);
    let out = desk.pass(3);
    let rescinded = |one: &Decision| matches!(one, Decision::OfferEnded { agent: who, result: OfferResult::Rescinded, .. } if *who == agent("ann"));
    assert!(out.iter().any(rescinded), "{out:?}");
    assert_eq!((desk.state("ann"), desk.state("ben")), (AgentState::Available, AgentState::OnContact));
}

#[test]
fn an_offer_nobody_may_see_rings_on() {
    let mut desk = Desk::new(AFTER_THREE);
    desk.staff(&["ann"]);
    desk.agrees("ann", true);
    desk.caller(1, &[]);
    let (_, offer) = desk.router.offer_of(&agent("ann")).expect("an offer is pending");
    desk.step(Event::NotByItself(agent("ann"), offer));
    assert!(desk.pass(10).is_empty());
    assert_eq!(desk.asked(1), ["ann"]);
}

#[test]
fn a_colleagues_question_is_not_answered_by_itself() {
    let mut desk = Desk::new(AFTER_THREE);
    desk.staff(&["ann", "ben"]);
    desk.caller(1, &[]);
    desk.accept("ann");
    desk.agrees("ben", true);
    let (target, until) = (Target::Agent(agent("ben")), desk.now + seconds(45));
    let out = desk.step(Event::Consulted { consult: handoff(2), target, by: agent("ann"), until });
    let asked = out.iter().find(|one| matches!(one, Decision::Offer { .. }));
    assert!(matches!(asked, Some(Decision::Offer { answers: None, .. })), "{out:?}");
}
