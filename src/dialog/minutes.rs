//! What is filled in for an agent after a call: what it was about, and how it ended, made without any model. PURE.
//!
//! A draft is a help for whoever writes the note, never the note itself: the agent reads, changes and sends it.

use crate::handoff::wire::{Brief, CallEnd, DraftedBy, Line, WrapUpDraft};
use crate::telephony::protocol::Speaker;

/// Longest sentence that is quoted, in characters.
const QUOTE: usize = 160;
/// Words the end of a conversation is looked for in: its last lines.
const LAST_LINES: usize = 8;

/// Words that say how a conversation ended, by disposition. The first that is configured and fits is suggested.
const SIGNS: &[(&str, &[&str])] = &[
    ("wrong_number", &["wrong number", "wrong department", "who am i speaking", "didn't mean to call"]),
    (
        "follow_up",
        &[
            "call you back",
            "call back",
            "get back to you",
            "let you know",
            "send you",
            "email you",
            "look into",
            "check with",
            "as soon as",
            "tomorrow",
            "next week",
        ],
    ),
    (
        "resolved",
        &["that's all", "that is all", "that helps", "perfect", "great", "wonderful", "thank you", "thanks", "solved"],
    ),
];

/// The draft for the agent whose conversation is `lines`, oldest first. `dispositions`: those there are.
pub fn draft(lines: &[Line], brief: &Brief, end: CallEnd, dispositions: &[String]) -> WrapUpDraft {
    WrapUpDraft {
        summary: summary(lines, brief, end),
        disposition: disposition(lines, end, dispositions),
        by: DraftedBy::Template,
    }
}

/// How it ended, as far as words tell.
fn disposition(lines: &[Line], end: CallEnd, known: &[String]) -> Option<String> {
    let is_known = |word: &str| known.iter().any(|one| one == word);
    if matches!(end, CallEnd::Transferred | CallEnd::HandedBack | CallEnd::Parked) {
        return is_known("follow_up").then(|| "follow_up".to_owned());
    }
    let said: Vec<String> = spoken(lines).rev().take(LAST_LINES).map(|line| line.text.to_lowercase()).collect();
    let has = |signs: &[&str]| said.iter().any(|text| signs.iter().any(|sign| text.contains(sign)));
    let fits = |(word, signs): &&(&str, &[&str])| is_known(word) && has(signs);
    SIGNS.iter().find(fits).map(|(word, _)| (*word).to_owned())
}

fn summary(lines: &[Line], brief: &Brief, end: CallEnd) -> String {
    let asked = longest(lines, Speaker::Caller).or(brief.words.as_deref());
    let mut sentences = vec![match asked {
        Some(text) => format!("The caller: “{}”", shorten(text)),
        None => "The caller did not say what it was about.".to_owned(),
    }];
    sentences.extend(longest(lines, Speaker::Agent).map(|text| format!("Told: “{}”", shorten(text))));
    if !brief.facts.is_empty() {
        let facts: Vec<&str> = brief.facts.iter().map(|fact| fact.fact.as_str()).collect();
        sentences.push(format!("Numbers given: {}.", facts.join(", ")));
    }
    sentences.extend(ending(end).map(str::to_owned));
    sentences.join("\n")
}

/// Both sides of the conversation with people.
fn spoken(lines: &[Line]) -> impl DoubleEndedIterator<Item = &Line> {
    lines.iter().filter(|line| line.is_final && line.who != Speaker::Assistant)
}

/// The one of the speaker's lines that says most.
fn longest(lines: &[Line], who: Speaker) -> Option<&str> {
    let own = spoken(lines).filter(|line| line.who == who).map(|line| line.text.trim());
    own.max_by_key(|text| text.chars().count().min(QUOTE)).filter(|text| !text.is_empty())
}

const fn ending(end: CallEnd) -> Option<&'static str> {
    match end {
        CallEnd::HandedBack => Some("Given back to the assistant."),
        CallEnd::Transferred => Some("Given to somebody else."),
        CallEnd::Parked => Some("Parked for a colleague."),
        CallEnd::TakenOver => Some("A supervisor took over."),
        CallEnd::SupervisorEnded => Some("A supervisor ended the call."),
        CallEnd::AgentLost => Some("The connection broke; the caller went to somebody else."),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= QUOTE {
        return text.to_owned();
    }
    let cut: String = text.chars().take(QUOTE).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::wire::Fact;
    use crate::said::Said;

    fn line(who: Speaker, text: &str) -> Line {
        Line { seq: 0, who, text: text.to_owned(), at_ms: 0, confidence: 0.9, is_final: true }
    }

    fn words() -> Vec<String> {
        ["resolved", "follow_up", "wrong_number", "other"].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_draft_quotes_both_sides_and_says_how_it_ended() {
        let lines = [
            line(Speaker::Assistant, "Hello, this is the automated assistant, how can I help you today?"),
            line(Speaker::Caller, "my parcel did not come, the number is 45 17 23"),
            line(Speaker::Agent, "it is at the depot, I will call you back tomorrow"),
            line(Speaker::Caller, "thank you"),
        ];
        let facts = vec![Fact::new("45 17 23".to_owned(), &Said::plain("said by the caller".to_owned()))];
        let draft = draft(&lines, &Brief { facts, ..Brief::default() }, CallEnd::CallerHungUp, &words());
        assert_eq!(
            draft.summary,
            "The caller: “my parcel did not come, the number is 45 17 23”\n\
             Told: “it is at the depot, I will call you back tomorrow”\nNumbers given: 45 17 23."
        );
        assert_eq!(draft.disposition.as_deref(), Some("follow_up"), "a promise outweighs thanks");
        assert_eq!(draft.by, DraftedBy::Template);
    }

    #[test]
    fn only_words_the_operator_knows_are_suggested() {
        let lines = [line(Speaker::Caller, "great, thanks, that's all")];
        let suggests = |known: &[String]| disposition(&lines, CallEnd::CallerHungUp, known);
        assert_eq!(suggests(&words()).as_deref(), Some("resolved"));
        assert_eq!(suggests(&["sold".to_owned()]), None);
        assert_eq!(disposition(&[], CallEnd::CallerHungUp, &words()), None, "silence says nothing");
        assert_eq!(disposition(&lines, CallEnd::Transferred, &words()).as_deref(), Some("follow_up"));
    }

    #[test]
    fn a_silent_or_endless_call_still_has_a_summary() {
        let empty = summary(&[], &Brief::default(), CallEnd::AgentEnded);
        assert_eq!(empty, "The caller did not say what it was about.");
        let long = summary(&[line(Speaker::Caller, &"é".repeat(5_000))], &Brief::default(), CallEnd::AgentEnded);
        assert!(long.chars().count() < 200);
    }
}
