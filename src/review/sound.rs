//! What of a recording may be passed on: turns of which every word is known and none is personal. All else is silence.
//!
//! The records say when a turn was spoken, not when each of its words was: a turn with a detail is silent as a whole, with a
//! margin, on both sides, since each side hears a little of the other. A number that is told in pieces is known by its
//! neighbours. What no turn accounts for is silent too, and so is what recognition was unsure of: nobody knows what is in it.

use std::ops::Range;

use super::mask::{Mask, Style, counts_digits};
use super::transcript::everything_said;
use crate::dialog::cards::MASK;
use crate::store::{CallDetail, TurnRecord};
use crate::telephony::protocol::Speaker;

/// Recognition that is less sure may have missed a number.
const SURE: f32 = 0.5;
/// Around a turn that is silent: beginnings and ends are known to a tenth of a second or so.
const MARGIN_MS: u32 = 400;
/// Around a turn that is heard: its first and last sounds.
const EDGE_MS: u32 = 200;
/// Digits told with a longer pause between them are two numbers.
const PIECES_MS: u32 = 10_000;

/// The spans of a call that may be heard, in milliseconds of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audible {
    caller: Vec<Range<u32>>,
    ours: Vec<Range<u32>>,
}

impl Audible {
    /// Of a call that is over.
    pub fn of(detail: &CallDetail) -> Self {
        let turns = &detail.turns;
        let personal = personal(detail);
        let silent: Vec<Range<u32>> = turns.iter().zip(&personal).filter(|(_, hides)| **hides).map(margin).collect();
        let heard = |caller: bool| {
            let known = turns
                .iter()
                .zip(&personal)
                .filter(|(turn, hides)| !**hides && (turn.who == Speaker::Caller) == caller && is_known(turn));
            let spans = known.map(|(turn, _)| turn.started_ms.saturating_sub(EDGE_MS)..turn.ended_ms + EDGE_MS);
            without(joined(spans.collect()), &silent)
        };
        Self { caller: heard(true), ours: heard(false) }
    }

    /// Whether both ends of a span lie where this side may be heard.
    pub fn allows(&self, caller: bool, span: Range<u32>) -> bool {
        let spans = if caller { &self.caller } else { &self.ours };
        let after = spans.partition_point(|known| known.end < span.end);
        spans.get(after).is_some_and(|known| known.start <= span.start)
    }
}

fn margin((turn, _): (&TurnRecord, &bool)) -> Range<u32> {
    turn.started_ms.saturating_sub(MARGIN_MS)..turn.ended_ms + MARGIN_MS
}

fn is_known(turn: &TurnRecord) -> bool {
    // What the assistant says was written before it was spoken.
    !turn.text.trim().is_empty() && (turn.who == Speaker::Assistant || turn.confidence >= SURE)
}

/// By turn: whether there is a detail in it.
fn personal(detail: &CallDetail) -> Vec<bool> {
    let mask = Mask::new(Style::Placeholder, everything_said(detail));
    let turns = &detail.turns;
    // Of a card's number the records have kept no more than that there was one.
    let hides = |text: &str| text.contains(MASK) || mask.finds(text);
    let mut personal: Vec<bool> = turns.iter().map(|turn| hides(&turn.text)).collect();
    let has_digits: Vec<bool> = turns.iter().map(|turn| counts_digits(&turn.text) > 0).collect();
    for at in 0..turns.len() {
        let next = (at + 1..turns.len()).find(|next| turns[*next].who == turns[at].who);
        let Some(next) = next.filter(|_| turns[at].who != Speaker::Assistant) else { continue };
        let pause = turns[next].started_ms.saturating_sub(turns[at].ended_ms);
        if has_digits[at] && has_digits[next] && pause <= PIECES_MS {
            (personal[at], personal[next]) = (true, true);
        }
    }
    personal
}

/// In order, without overlaps.
fn joined(mut spans: Vec<Range<u32>>) -> Vec<Range<u32>> {
    spans.sort_by_key(|span| span.start);
    let mut joined: Vec<Range<u32>> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is left of `spans`, both in order.
fn without(spans: Vec<Range<u32>>, taken: &[Range<u32>]) -> Vec<Range<u32>> {
    let taken = joined(taken.to_vec());
    let mut left = Vec::with_capacity(spans.len());
    for span in spans {
        let mut from = span.start;
        for gone in taken.iter().filter(|gone| gone.end > span.start && gone.start < span.end) {
            if gone.start > from {
                left.push(from..gone.start);
            }
            from = from.max(gone.end);
        }
        if from < span.end {
            left.push(from..span.end);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::conformance::reviewed;

    fn call(turns: &[(Speaker, &str, f32, Range<u32>)]) -> CallDetail {
        let mut detail = reviewed();
        let pattern = detail.turns[0].clone();
        let turn = |(seq, (who, text, confidence, span)): (u32, &(Speaker, &str, f32, Range<u32>))| TurnRecord {
            seq,
            who: *who,
            text: (*text).to_owned(),
            confidence: *confidence,
            started_ms: span.start,
            ended_ms: span.end,
            ..pattern.clone()
        };
        detail.turns = (0..).zip(turns).map(turn).collect();
        detail.wrap_ups.clear();
        detail
    }

    /// Beginnings and ends of what may be heard of the caller and of our side.
    fn heard(audible: &Audible) -> [Vec<(u32, u32)>; 2] {
        [&audible.caller, &audible.ours].map(|spans| spans.iter().map(|span| (span.start, span.end)).collect())
    }

    #[test]
    fn a_turn_with_a_detail_is_silent_on_both_sides() {
        let audible = Audible::of(&call(&[
            (Speaker::Assistant, "What is the number of your card?", 1.0, 1_000..3_000),
            (Speaker::Caller, "It is 4417 1234 5678 9113.", 0.9, 4_000..9_000),
            (Speaker::Assistant, "Thank you.", 1.0, 9_200..10_000),
            (Speaker::Caller, "Is that all?", 0.9, 11_000..12_000),
        ]));
        let [caller, ours] = heard(&audible);
        assert_eq!(ours, [(800, 3_200), (9_400, 10_200)], "the margin takes the beginning of the thanks");
        assert_eq!(caller, [(10_800, 12_200)]);
        assert!(audible.allows(true, 11_000..11_020) && !audible.allows(true, 5_000..5_020));
        assert!(!audible.allows(true, 12_190..12_210) && !audible.allows(false, 11_000..11_020));
    }

    #[test]
    fn what_nobody_wrote_down_or_was_sure_of_is_silent() {
        let audible = Audible::of(&call(&[
            (Speaker::Caller, "Hello there", 0.9, 1_000..2_000),
            (Speaker::Caller, "the number is um", 0.3, 20_000..22_000),
            (Speaker::Caller, " ", 0.9, 30_000..31_000),
            (Speaker::Agent, "Good morning", 0.8, 40_000..41_000),
        ]));
        assert_eq!(heard(&audible), [vec![(800, 2_200)], vec![(39_800, 41_200)]]);
    }

    #[test]
    fn a_card_number_that_was_never_written_down_is_silent_too() {
        let kept = crate::dialog::cards::masked("it is 4111 1111 1111 1111").into_owned();
        let audible = Audible::of(&call(&[
            (Speaker::Caller, &kept, 0.9, 1_000..6_000),
            (Speaker::Agent, "Thank you", 0.9, 7_000..8_000),
        ]));
        assert_eq!(heard(&audible), [vec![], vec![(6_800, 8_200)]]);
    }

    #[test]
    fn a_number_told_in_pieces_is_one() {
        let audible = Audible::of(&call(&[
            (Speaker::Caller, "forty five", 0.9, 1_000..2_000),
            (Speaker::Assistant, "Go on.", 1.0, 2_500..3_000),
            (Speaker::Caller, "seventeen", 0.9, 5_000..6_000),
            (Speaker::Caller, "I have two questions", 0.9, 40_000..41_000),
        ]));
        assert_eq!(heard(&audible), [vec![(39_800, 41_200)], vec![(2_400, 3_200)]]);
    }

    #[test]
    fn a_name_is_silent_wherever_it_is_said() {
        let audible = Audible::of(&reviewed());
        // "How can I help you?", "How much is shipping?", "Standard delivery is 4.90.", "Hello".
        assert_eq!(heard(&audible), [vec![(3_800, 5_100), (31_800, 33_100)], vec![(0, 1_100), (5_800, 7_100)]]);
    }

    proptest! {
        /// Whatever is said when: nothing of a turn with a detail is heard on either side.
        #[test]
        fn no_detail_is_ever_heard(
            turns in proptest::collection::vec((0u32..60_000, 100u32..8_000, any::<bool>(), any::<bool>()), 1..20),
        ) {
            let said: Vec<_> = turns.iter().map(|(start, length, caller, personal)| {
                let who = if *caller { Speaker::Caller } else { Speaker::Agent };
                (who, if *personal { "it is 4417" } else { "good morning" }, 0.9, *start..start + length)
            }).collect();
            let audible = Audible::of(&call(&said));
            for (_, text, _, span) in said {
                for at in (span.start..span.end).step_by(50) {
                    if text.contains("4417") {
                        prop_assert!(!audible.allows(true, at..at + 20) && !audible.allows(false, at..at + 20));
                    }
                }
            }
        }
    }
}
