//! Two lines for the person who takes over, made without any model: what the caller wants, and why they come. PURE.

use crate::handoff::HandoffReason;
use crate::handoff::wire::{Brief, Fact};
use crate::said::Said;

/// Longest first line, in characters.
const WANT_LENGTH: usize = 160;
/// Most facts of a brief.
const FACTS: usize = 8;

/// What the caller wants in their own words, and why the assistant hands over.
///
/// `caller`: the caller's utterances, oldest first. `answered`: titles of the entries the assistant answered from.
pub fn brief(caller: &[&str], reason: HandoffReason, answered: &[&str]) -> Vec<String> {
    // The longest of the last utterances says most; "agent!" and "yes" say little.
    let want = caller.iter().rev().take(4).max_by_key(|text| text.len().min(WANT_LENGTH));
    let want = match want {
        Some(text) if !text.trim().is_empty() => format!("Caller: “{}”", shorten(text.trim())),
        _ => "The caller has not said yet what it is about.".to_owned(),
    };
    let why = why(reason);
    let tried = match answered {
        [] => "Nothing was answered yet.".to_owned(),
        titles => format!("Told about: {}.", titles.join(", ")),
    };
    vec![want, format!("{why} {tried}")]
}

/// Why a caller is given to a person.
pub fn why(reason: HandoffReason) -> Said {
    match reason {
        HandoffReason::CallerPressedZero => Said::new("brief_pressed_zero", "Pressed 0 for a person."),
        HandoffReason::CallerAsked => Said::new("brief_asked", "Asked for a person."),
        HandoffReason::LowConfidence => Said::new("brief_unsure", "The assistant could not help twice in a row."),
        HandoffReason::EngineFailed => Said::new("brief_failed", "The assistant had a technical fault."),
        HandoffReason::ForbiddenTopic => Said::new("brief_topic", "A topic that is kept for people."),
        HandoffReason::Distress => Said::new("brief_distress", "The caller is angry or in distress."),
        HandoffReason::Silence => Said::new("brief_silent", "The caller did not speak."),
        HandoffReason::AgentLost => {
            Said::new("brief_agent_lost", "Was speaking with a colleague whose connection broke.")
        }
        HandoffReason::TakenOver => Said::new("brief_taken_over", "A supervisor stepped in."),
        HandoffReason::Callback => Said::new("brief_callback", "Asked to be called back."),
    }
}

/// What to begin with.
fn next_step(reason: HandoffReason, knows_why: bool) -> Said {
    match reason {
        HandoffReason::CallerPressedZero | HandoffReason::CallerAsked if knows_why => {
            Said::new("begin_question", "Begin with their question, and leave out what they were told already.")
        }
        HandoffReason::CallerPressedZero | HandoffReason::CallerAsked => {
            Said::new("begin_ask", "Ask what it is about.")
        }
        HandoffReason::LowConfidence => {
            Said::new("begin_again", "Let them say it again in their own words, and repeat numbers and names.")
        }
        HandoffReason::EngineFailed => Said::new("begin_apology", "Apologise for the fault, and ask what it is about."),
        HandoffReason::ForbiddenTopic => {
            Said::new("begin_topic", "Answer it yourself: the assistant says nothing about this topic.")
        }
        HandoffReason::Distress => {
            Said::new("begin_listening", "Let them speak first. If somebody is in danger, that comes before all else.")
        }
        HandoffReason::Silence => Said::new("begin_greeting", "Greet them, and find out whether they hear you."),
        HandoffReason::AgentLost => {
            Said::new("begin_broke_off", "Say that the line broke off; they need not explain it again.")
        }
        HandoffReason::TakenOver => Said::new("begin_stepped_in", "Say that you have stepped in, and why."),
        HandoffReason::Callback => {
            Said::new("begin_callback", "Say who you are, and that they asked to be called back.")
        }
    }
}

/// What whoever takes the call should know.
///
/// `caller`: what the caller said, oldest first, and how surely it was heard. `answered`: the entries the assistant answered
/// from. Numbers are given with how well they were heard, since nobody has confirmed them.
pub fn at_length(caller: &[(&str, f32)], reason: HandoffReason, answered: &[&str]) -> Brief {
    let said = caller.iter().rev().take(4).max_by_key(|(text, _)| text.len().min(WANT_LENGTH));
    let words = said.map(|(text, _)| shorten(text.trim())).filter(|text| !text.is_empty());
    let mut facts: Vec<Fact> = Vec::new();
    for (text, confidence) in caller.iter().rev() {
        for number in numbers(text) {
            if facts.len() < FACTS && facts.iter().all(|known| known.fact != number) {
                let percent = (confidence.clamp(0.0, 1.0) * 100.0).round();
                let source = Said::new("fact_heard", format!("said by the caller, heard at {percent} %"));
                facts.push(Fact::new(number, &source.with("percent", percent)));
            }
        }
    }
    facts.reverse();
    let next_step = next_step(reason, words.is_some());
    let mut brief = Brief { words, facts, ..Brief::because(&why(reason)) };
    (brief.next_step, brief.next_step_phrase) = (next_step.to_string(), next_step.phrase());
    for entry in answered {
        brief.add_tried(&Said::new("tried_entry", format!("Answered from {entry}.")).with("entry", entry));
    }
    if reason == HandoffReason::LowConfidence {
        brief.add_tried(&Said::new("tried_again", "Asked again."));
    }
    brief
}

/// Numbers of three digits and more, with what joins them: `45 17 23`, `+1 500 555-0006`, `AB-1234`.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut number = String::new();
    let mut close = |number: &mut String| {
        if number.chars().filter(char::is_ascii_digit).count() >= 3 {
            found.push(number.trim_end_matches(['-', '/', '.', ',']).trim().chars().take(40).collect());
        }
        number.clear();
    };
    for word in text.split_whitespace() {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if digits * 2 < word.chars().count() {
            close(&mut number);
            continue;
        }
        if !number.is_empty() {
            number.push(' ');
        }
        number.push_str(word.trim_end_matches(['.', ',', '?', '!']));
        if word.ends_with(['.', ',', '?', '!']) {
            close(&mut number);
        }
    }
    close(&mut number);
    found
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= WANT_LENGTH {
        return text.to_owned();
    }
    let cut: String = text.chars().take(WANT_LENGTH).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brief_tells_wish_reason_and_what_was_tried() {
        let lines = brief(
            &["where is my parcel it should have come on Monday", "agent"],
            HandoffReason::CallerAsked,
            &["Delivery times"],
        );
        assert_eq!(lines[0], "Caller: “where is my parcel it should have come on Monday”");
        assert_eq!(lines[1], "Asked for a person. Told about: Delivery times.");
    }

    #[test]
    fn a_silent_or_endless_caller_still_makes_two_lines() {
        assert_eq!(brief(&[], HandoffReason::CallerPressedZero, &[]).len(), 2);
        assert!(brief(&[&"é".repeat(5_000)], HandoffReason::Silence, &[])[0].chars().count() < 180);
    }

    #[test]
    fn numbers_come_with_how_well_they_were_heard() {
        let caller = [
            ("my order is 45 17 23, from Monday", 0.62),
            ("it is 2 days late", 0.9),
            ("call me at +1 500 555-0006.", 0.914),
            ("the order again is 45 17 23", 0.8),
        ];
        let brief = at_length(&caller, HandoffReason::CallerAsked, &["delivery.md#times"]);
        let facts: Vec<_> = brief.facts.iter().map(|fact| (fact.fact.as_str(), fact.source.as_str())).collect();
        assert_eq!(
            facts,
            [
                ("+1 500 555-0006", "said by the caller, heard at 91 %"),
                ("45 17 23", "said by the caller, heard at 80 %"),
            ],
            "the last hearing counts"
        );
        assert_eq!(brief.words.as_deref(), Some("my order is 45 17 23, from Monday"));
        assert_eq!(brief.tried, ["Answered from delivery.md#times."]);
        assert!(brief.next_step.starts_with("Begin with their question"));
    }

    #[test]
    fn a_brief_is_made_of_nothing_and_of_anything() {
        let brief = at_length(&[], HandoffReason::CallerPressedZero, &[]);
        assert_eq!((brief.words, brief.facts.len(), brief.next_step.as_str()), (None, 0, "Ask what it is about."));
        let long = "9".repeat(5_000);
        assert_eq!(at_length(&[(long.as_str(), 2.0)], HandoffReason::Silence, &[]).facts[0].fact.len(), 40);
        for text in ["", "…", "1 2 3 4", "٣٤٥", "a1b2c3", "12,", "- - -"] {
            let _ = at_length(&[(text, f32::NAN)], HandoffReason::Distress, &[]);
        }
    }
}
