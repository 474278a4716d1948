//! From a call's record to the turns of a scenario: what happened in the time of a turn belongs to it.

use super::super::play::{PlayedTurn, Said, Sound, ToolCall, Trigger, name};
use crate::call::input::Phrase;
use crate::cli::CliError;
use crate::cli::call::line::millis;
use crate::config::Config;
use crate::dialog::phrases::Phrases;
use crate::store::{CallDetail, TriggerRecord, TurnRecord};
use crate::telephony::protocol::Speaker;

/// A turn may be noted so much before it began: the clocks of line and call are set by different messages. Between a
/// reply's end and the next turn lie more than twice as many.
const SLACK_MS: i64 = 400;

/// Where on the line a turn lies, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When the caller began to do something.
    pub begin: usize,
    /// When what followed was over.
    pub end: usize,
    /// From the caller's last word or key to the first word of the reply.
    pub response_ms: Option<u64>,
}

/// The fixed sentences by their words.
#[derive(Debug)]
pub struct Fixed(Vec<(&'static str, String)>);

impl Fixed {
    /// Those of a configuration. `people`: who may be introduced.
    pub fn load(config: &Config, people: &[String]) -> Result<Self, CliError> {
        let phrases = Phrases::load_default(config)
            .map_err(|error| CliError::usage(error.to_string(), "Check `dialog.prompts_dir`."))?;
        let introductions = people.iter().map(|person| Phrase::Introduction { name: person.clone() });
        let all = phrases.prepared().into_iter().chain(introductions);
        Ok(Self(all.map(|phrase| (name(&phrase), phrases.text(&phrase))).collect()))
    }

    fn name(&self, text: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, known)| known == text).map(|(name, _)| *name)
    }
}

/// What happened in each turn, without its sound; and whether a person was asked for before the first one.
///
/// `opened_at`: when the line was opened, in milliseconds since 1970. A turn's [`Sound`] holds the time to the first offer.
pub fn turns(detail: &CallDetail, opened_at: i64, spans: &[Span], fixed: &Fixed) -> (Option<Trigger>, Vec<PlayedTurn>) {
    let began = detail.call.started_at.as_millisecond() - opened_at;
    let begins: Vec<i64> = spans.iter().map(|span| millis(span.begin) as i64 - began - SLACK_MS).collect();
    let turn_of = |at_ms: u32| begins.iter().rposition(|begin| *begin <= i64::from(at_ms));
    let mut turns = vec![PlayedTurn::default(); spans.len()];
    let mut opening = None;
    for record in &detail.turns {
        if let Some(turn) = turn_of(record.started_ms) {
            add(&mut turns[turn], record, fixed);
        }
    }
    for run in &detail.tools {
        if let Some(turn) = turn_of(run.started_ms) {
            turns[turn].tools.push(ToolCall { name: run.tool.clone(), arguments: run.arguments.clone() });
        }
    }
    for record in &detail.triggers {
        let trigger = Trigger { reason: record.reason.as_str(), signals: record.signals.clone() };
        match turn_of(record.at_ms) {
            None => {
                opening.get_or_insert(trigger);
            }
            Some(turn) if turns[turn].handoff.is_none() => {
                turns[turn].handoff = Some(trigger);
                turns[turn].sound = Some(Sound { offer_ms: offer_ms(detail, record), ..Sound::default() });
            }
            Some(_) => {}
        }
    }
    (opening, turns)
}

fn add(turn: &mut PlayedTurn, record: &TurnRecord, fixed: &Fixed) {
    match record.who {
        Speaker::Caller => {
            turn.caller = format!("{} {}", turn.caller, record.text).trim().to_owned();
            if let Some(decision) = &record.decision {
                let found = decision.inputs.found.iter().flatten();
                turn.found = found.map(|found| found.entry.clone()).collect();
                turn.decision = Some(decision.clone());
            }
        }
        Speaker::Assistant => {
            // What was cut off is known by what it was meant to be.
            let whole = record.planned.as_ref().unwrap_or(&record.text);
            turn.said.push(Said { text: record.text.clone(), fixed: fixed.name(whole) });
        }
        Speaker::Agent => {}
    }
}

/// From asking for a person to the first offer that followed.
fn offer_ms(detail: &CallDetail, trigger: &TriggerRecord) -> Option<u64> {
    let handoff = detail.handoffs.iter().find(|handoff| handoff.id == trigger.handoff_id)?;
    let offers = detail.offers.iter().filter(|offer| offer.handoff_id == handoff.id);
    let first = offers.map(|offer| offer.offered_at).min()?;
    u64::try_from(first.as_millisecond() - handoff.requested_at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OPENED_AT: i64 = 1_700_000_000_000;

    fn at(ms: i64) -> String {
        jiff::Timestamp::from_millisecond(OPENED_AT + ms).expect("a time").to_string()
    }

    fn said(seq: u32, who: &str, text: &str, started_ms: u32) -> serde_json::Value {
        json!({
            "call_id": CALL, "seq": seq, "who": who, "text": text, "planned": null, "confidence": 0.9,
            "started_ms": started_ms, "ended_ms": started_ms + 900, "timings": null, "entries": [], "agent_id": null,
            "decision": null,
        })
    }

    const CALL: &str = "0197c1d3-ff02-7d11-8a3b-5b1c7e0d4c55";
    const HANDOFF: &str = "0197c1d4-1f0a-7c53-b0a4-9a1f4d8f2a10";
    const OFFER: &str = "0197c1d4-1f0a-7c53-b0a4-9a1f4d8f2a11";

    /// A call whose record begins 120 ms after the line was opened.
    fn detail() -> CallDetail {
        serde_json::from_value(json!({
            "call": {
                "id": CALL, "provider": "twilio", "provider_call_id": "CA1", "from": null, "to": null,
                "started_at": at(120), "ended_at": at(30_000), "outcome": "spoke_with_agent", "recording": null,
                "notice_at_ms": null,
            },
            "turns": [
                said(0, "assistant", "Hello.", 100),
                said(1, "caller", "Are you open?", 4_900),
                said(2, "assistant", "From eight to eight.", 6_800),
                said(3, "caller", "A person please", 9_950),
                said(4, "assistant", "CONNECTING", 11_600),
                said(5, "agent", "Good morning.", 15_000),
            ],
            "triggers": [
                { "call_id": CALL, "handoff_id": HANDOFF, "at_ms": 11_500, "reason": "caller_asked", "signals": {} },
                { "call_id": CALL, "handoff_id": HANDOFF, "at_ms": 12_500, "reason": "low_confidence", "signals": {} },
            ],
            "handoffs": [{
                "id": HANDOFF, "call_id": CALL, "reason": "caller_asked", "summary": [], "requested_at": at(11_620),
                "bridged_at": at(14_000), "ended_at": at(30_000), "outcome": "bridged", "agent_id": "agent1",
            }],
            "offers": [{
                "id": OFFER, "handoff_id": HANDOFF, "call_id": CALL, "agent_id": "agent1", "offered_at": at(11_640),
                "ended_at": at(11_700), "result": "accepted", "reason": null,
            }],
            "messages": [], "tools": [{
                "id": OFFER, "call_id": CALL, "tool": "order_status", "arguments": { "order_number": "440017" },
                "changes": false, "started_ms": 6_000, "ended_ms": 6_100, "outcome": "done", "status": 200, "detail": null,
            }], "wrap_ups": [], "comments": [], "scores": [], "parties": [], "contacts": [],
        }))
        .expect("a record")
    }

    fn spans() -> [Span; 2] {
        // 5 s and 10 s after the line was opened.
        [(80_000, 160_000), (160_000, 240_000)].map(|(begin, end)| Span { begin, end, response_ms: Some(700) })
    }

    #[test]
    fn everything_belongs_to_the_turn_in_whose_time_it_was() {
        let phrases = Phrases::load(&Config::default().dialog, &Config::default().recording).expect("built in");
        let mut detail = detail();
        detail.turns[4].text = phrases.text(&Phrase::Connecting);
        let fixed = Fixed::load(&Config::default(), &["agent1".to_owned()]).expect("built in");
        let (opening, turns) = turns(&detail, OPENED_AT, &spans(), &fixed);
        assert_eq!(opening, None);
        let [first, second] = &turns[..] else { panic!("two turns") };
        assert_eq!((first.caller.as_str(), second.caller.as_str()), ("Are you open?", "A person please"));
        assert_eq!(first.said, [Said { text: "From eight to eight.".to_owned(), fixed: None }]);
        assert_eq!(second.said[0].fixed, Some("connecting"));
        assert_eq!((first.tools.len(), second.tools.len()), (1, 0));
        assert_eq!(first.tools[0].arguments["order_number"], "440017");
        assert_eq!(second.said.len(), 1, "the person is not the assistant");
        assert_eq!(second.handoff.as_ref().map(|trigger| trigger.reason), Some("caller_asked"), "the first one");
        assert_eq!(
            (first.handoff.is_some(), second.sound.as_ref().and_then(|sound| sound.offer_ms)),
            (false, Some(20))
        );
    }

    #[test]
    fn a_request_before_the_first_turn_is_the_greetings() {
        let (opening, turns) = turns(&detail(), OPENED_AT, &[], &Fixed(Vec::new()));
        assert_eq!((opening.map(|trigger| trigger.reason), turns.len()), (Some("caller_asked"), 0));
    }

    #[test]
    fn a_sentence_that_was_cut_off_is_known_by_what_it_was_to_be() {
        let fixed = Fixed(vec![("prompt", "Yes, I'm listening.".to_owned())]);
        let mut detail = detail();
        detail.turns[2].text = "Yes,".to_owned();
        detail.turns[2].planned = Some("Yes, I'm listening.".to_owned());
        let (_, turns) = turns(&detail, OPENED_AT, &spans(), &fixed);
        assert_eq!(turns[0].said, [Said { text: "Yes,".to_owned(), fixed: Some("prompt") }]);
    }
}
