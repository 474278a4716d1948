//! A call as a text to pass on: what was said and why it went as it did, without personal details.

use std::fmt::Write as _;

use super::mask::{Mask, Style};
use crate::store::{CallDetail, TurnRecord};
use crate::telephony::protocol::Speaker;

/// The text. Numbers of caller and company, arguments of tools and the agents' accounts are left out altogether.
pub fn redacted(detail: &CallDetail) -> String {
    let mask = Mask::new(Style::Placeholder, everything_said(detail));
    let mut text = String::new();
    let call = &detail.call;
    // Writing to a String can't fail.
    let _ = writeln!(text, "Call {}\nBegan {}\nOutcome: {}", call.id, call.started_at, word(call.outcome));
    let _ = writeln!(text, "Numbers, names and addresses are masked as far as they were recognised.\n");
    for turn in &detail.turns {
        let _ = writeln!(text, "{} {}: {}", clock(turn.started_ms), speaker(turn), mask.text(&turn.text));
    }
    section(&mut text, "Why a person", &detail.triggers, |trigger| {
        format!("{} {}", clock(trigger.at_ms), trigger.reason.as_str().replace('_', " "))
    });
    section(&mut text, "Handed over", &detail.handoffs, |handoff| {
        format!("{}: {}", word(handoff.outcome), mask.text(&handoff.summary.join(" ")))
    });
    section(&mut text, "Done for the caller", &detail.tools, |run| {
        format!("{} {}: {}", clock(run.started_ms), run.tool.replace('_', " "), run.outcome.told())
    });
    section(&mut text, "Notes", &detail.wrap_ups, |note| format!("{}: {}", note.disposition, mask.text(&note.note)));
    section(&mut text, "Comments", &detail.comments, |comment| mask.text(&comment.text));
    text
}

/// What names may be said in.
pub(super) fn everything_said(detail: &CallDetail) -> impl Iterator<Item = &str> {
    let turns = detail.turns.iter().map(|turn| turn.text.as_str());
    turns.chain(detail.wrap_ups.iter().map(|note| note.note.as_str()))
}

fn section<T>(text: &mut String, title: &str, items: &[T], line: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for item in items {
        let _ = writeln!(text, "- {}", line(item));
    }
}

fn speaker(turn: &TurnRecord) -> &'static str {
    match turn.who {
        Speaker::Caller => "Caller",
        Speaker::Assistant => "Assistant",
        Speaker::Agent => "Agent",
    }
}

fn clock(ms: u32) -> String {
    let seconds = ms / 1_000;
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// The snake_case word of a plain enum, as people read it.
fn word<T: serde::Serialize>(value: T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::reviewed;

    #[test]
    fn nothing_personal_is_in_it() {
        let text = redacted(&reviewed());
        for secret in ["Miller", "555", "4417", "440017", "@"] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
        insta::assert_snapshot!(text.lines().skip(2).collect::<Vec<_>>().join("\n"), @r#"
        Outcome: ended with assistant
        Numbers, names and addresses are masked as far as they were recognised.

        00:00 Assistant: How can I help you?
        00:04 Caller: How much is shipping?
        00:06 Assistant: Standard delivery is 4.90.
        00:09 Caller: My name is [name], order [number] “express”
        00:11 Assistant: Shall I get a colleague, [name]?
        00:14 Caller: Get me a person, my mail is [e-mail]
        00:30 Agent: Hello Mrs. [name]
        00:32 Caller: Hello

        Why a person
        - 00:15 caller asked

        Handed over
        - bridged: Caller: “order [number]”

        Done for the caller
        - 00:09 cancel order: may or may not have been done, please check

        Notes
        - resolved: [name] wants [number] by Friday

        Comments
        - asked twice for the number
        "#);
    }
}
