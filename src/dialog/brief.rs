//! Two lines for the person who takes over, made without any model: what the caller wants, and why they come. PURE.

use crate::handoff::HandoffReason;

/// Longest first line, in characters.
const WANT_LENGTH: usize = 160;

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
    let why = match reason {
        HandoffReason::CallerPressedZero => "Pressed 0 for a person.",
        HandoffReason::CallerAsked => "Asked for a person.",
        HandoffReason::LowConfidence => "The assistant could not help twice in a row.",
        HandoffReason::EngineFailed => "The assistant had a technical fault.",
        HandoffReason::ForbiddenTopic => "A topic that is kept for people.",
        HandoffReason::Distress => "The caller is angry or in distress.",
        HandoffReason::Silence => "The caller did not speak.",
        HandoffReason::AgentLost => "Was speaking with a colleague whose connection broke.",
    };
    let tried = match answered {
        [] => "Nothing was answered yet.".to_owned(),
        titles => format!("Told about: {}.", titles.join(", ")),
    };
    vec![want, format!("{why} {tried}")]
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
}
