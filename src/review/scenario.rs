//! A call as a scenario of `evals/`: the caller says the same again, and what should follow is written down.
//!
//! What did follow is filled in, since a call that went well is played again to keep it so; whoever reviews one that
//! did not corrects the expectation. The caller's words are kept but for personal details, which are made up anew.

use std::fmt::Write as _;

use super::mask::{Mask, Style};
use super::transcript::everything_said;
use crate::handoff::HandoffReason;
use crate::store::{CallDetail, TriggerRecord, TurnRecord};
use crate::telephony::protocol::Speaker;

/// Most turns of a scenario; what comes after is left out.
const TURNS: usize = 40;

/// The YAML of a file with this one scenario; none when the caller did nothing before a person took over.
pub fn scenario(detail: &CallDetail) -> Option<String> {
    let mask = Mask::new(Style::StandIn, everything_said(detail));
    let triggers = own(&detail.triggers);
    let kind = kind(&triggers);
    let turns = turns(detail, &triggers, &mask);
    if turns.is_empty() {
        return None;
    }
    let id = detail.call.id.to_string();
    let short = &id[id.len().saturating_sub(8)..];
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "# From a call of {}. Say what should follow, then keep it beside the others.",
        detail.call.started_at.strftime("%Y-%m-%d")
    );
    let _ = writeln!(text, "kind: {kind}\nscenarios:\n  - name: call-{short}");
    let needed = if triggers.is_empty() { "unneeded" } else { "needed" };
    let _ = writeln!(text, "    person: {needed}\n    turns:");
    for turn in turns {
        let _ = writeln!(text, "      - {{ {turn} }}");
    }
    Some(text)
}

/// What the assistant or the caller began; what a person did to the call is no part of a scenario.
fn own(triggers: &[TriggerRecord]) -> Vec<&TriggerRecord> {
    let others = [HandoffReason::AgentLost, HandoffReason::TakenOver];
    triggers.iter().filter(|trigger| !others.contains(&trigger.reason)).collect()
}

fn kind(triggers: &[&TriggerRecord]) -> &'static str {
    match triggers.first().map(|trigger| trigger.reason) {
        None => "answerable",
        Some(HandoffReason::CallerPressedZero | HandoffReason::CallerAsked) => "explicit",
        Some(HandoffReason::ForbiddenTopic) => "policy",
        Some(HandoffReason::Distress) => "angry",
        Some(HandoffReason::EngineFailed) => "fault",
        Some(_) => "stuck",
    }
}

/// What the caller did, in order, until a person spoke.
fn turns(detail: &CallDetail, triggers: &[&TriggerRecord], mask: &Mask) -> Vec<String> {
    let until = detail.turns.iter().find(|turn| turn.who == Speaker::Agent).map_or(u32::MAX, |turn| turn.started_ms);
    let said: Vec<&TurnRecord> = detail
        .turns
        .iter()
        .filter(|turn| turn.who == Speaker::Caller && turn.started_ms < until && !turn.text.trim().is_empty())
        .collect();
    let mut turns: Vec<(u32, String)> = Vec::new();
    for (number, turn) in said.iter().enumerate() {
        let next = said.get(number + 1).map_or(until, |next| next.started_ms);
        let mut parts = vec![format!("say: {}", quoted(&mask.text(&turn.text)))];
        if turn.confidence < 0.995 {
            parts.push(format!("confidence: {:.2}", turn.confidence.clamp(0.0, 1.0)));
        }
        if let Some(entry) = backing(detail, turn.ended_ms, next) {
            parts.push(format!("entry: {}", quoted(entry)));
        }
        let wanted = triggers.iter().find(|trigger| {
            trigger.reason != HandoffReason::CallerPressedZero && (turn.started_ms..next).contains(&trigger.at_ms)
        });
        if let Some(trigger) = wanted {
            parts.push(format!("handoff: {}", trigger.reason.as_str()));
        }
        turns.push((turn.started_ms, parts.join(", ")));
    }
    let pressed = triggers.iter().filter(|trigger| trigger.reason == HandoffReason::CallerPressedZero);
    turns.extend(pressed.map(|trigger| (trigger.at_ms, "dtmf: \"0\", handoff: caller_pressed_zero".to_owned())));
    turns.sort_by_key(|(at, _)| *at);
    turns.into_iter().take(TURNS).map(|(_, turn)| turn).collect()
}

/// The entry that backed the answer between these moments.
fn backing(detail: &CallDetail, from: u32, to: u32) -> Option<&str> {
    let answers =
        detail.turns.iter().filter(|turn| turn.who == Speaker::Assistant && (from..to).contains(&turn.started_ms));
    let used = answers.flat_map(|answer| &answer.entries).next()?;
    Some(used.entry.as_str())
}

/// In double quotes, as JSON and YAML both read it, on one line.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eval::scenario::check_text;
    use crate::store::conformance::reviewed;

    #[test]
    fn a_call_becomes_a_scenario_that_can_be_played() {
        let text = scenario(&reviewed()).expect("the caller spoke");
        let body = text.lines().filter(|line| !line.contains("name: call-")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(body, @r#"
        # From a call of 2027-01-15. Say what should follow, then keep it beside the others.
        kind: explicit
        scenarios:
            person: needed
            turns:
              - { say: "How much is shipping?", confidence: 0.91, entry: "delivery" }
              - { say: "My name is Robin, order 1234 “express”", confidence: 0.91 }
              - { say: "Get me a person, my mail is someone@example.com", confidence: 0.91, handoff: caller_asked }
        "#);
        assert_eq!(check_text(&text), Ok(1));
    }

    #[test]
    fn a_caller_who_did_nothing_makes_none() {
        let silent = CallDetail { turns: Vec::new(), triggers: Vec::new(), ..reviewed() };
        assert_eq!(scenario(&silent), None);
    }
}
