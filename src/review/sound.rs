//! What of a recording may be passed on: turns of which every word is known and none is personal. All else is silence.
//!
//! Where recognition was sure and told when each word was said, only the words of a detail are silent, with the words beside
//! them and a margin: those times are good to a few tenths of a second, and a neighbour may be half of a number. Elsewhere a
//! turn with a detail is silent as a whole. Silence is on both sides, since each side hears a little of the other. A number
//! that is told in pieces is known by its neighbours. What no turn accounts for is silent too, and so is what recognition was
//! unsure of: nobody knows what is in it.

use std::ops::Range;

use super::mask::{MAX_TEXT, Mask, Style, counts_digits};
use super::transcript::everything_said;
use crate::dialog::cards::MASK;
use crate::store::{CallDetail, TurnRecord};
use crate::telephony::protocol::Speaker;

/// Recognition that is less sure may have missed a number.
const SURE: f32 = 0.5;
/// Recognition that is less sure may have taken a digit beside a number for something else.
const SURE_OF_WORDS: f32 = 0.8;
/// Around what is silent: beginnings and ends are known to a tenth of a second or so.
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
        let hidden = hidden(detail);
        let silent: Vec<Range<u32>> = turns.iter().zip(&hidden).flat_map(|(turn, hidden)| hidden.spans(turn)).collect();
        let heard = |caller: bool| {
            let known = turns.iter().zip(&hidden).filter(|(turn, hidden)| {
                **hidden != Hidden::Whole && (turn.who == Speaker::Caller) == caller && is_known(turn)
            });
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

/// What of a turn is not for others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hidden {
    Nothing,
    /// These spans, in milliseconds of the call.
    Words(Vec<Range<u32>>),
    Whole,
}

impl Hidden {
    fn spans(&self, turn: &TurnRecord) -> Vec<Range<u32>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Words(spans) => spans.clone(),
            Self::Whole => {
                let from = turn.started_ms.saturating_sub(MARGIN_MS);
                std::iter::once(from..turn.ended_ms.saturating_add(MARGIN_MS)).collect()
            }
        }
    }
}

fn is_known(turn: &TurnRecord) -> bool {
    // What the assistant says was written before it was spoken.
    !turn.text.trim().is_empty() && (turn.who == Speaker::Assistant || turn.confidence >= SURE)
}

/// By turn: what of it is not for others.
fn hidden(detail: &CallDetail) -> Vec<Hidden> {
    let mask = Mask::new(Style::Placeholder, everything_said(detail));
    let turns = &detail.turns;
    let mut hidden: Vec<Hidden> = turns.iter().map(|turn| hides(&mask, turn)).collect();
    let has_digits: Vec<bool> = turns.iter().map(|turn| counts_digits(&turn.text) > 0).collect();
    for at in 0..turns.len() {
        let next = (at + 1..turns.len()).find(|next| turns[*next].who == turns[at].who);
        let Some(next) = next.filter(|_| turns[at].who != Speaker::Assistant) else { continue };
        let pause = turns[next].started_ms.saturating_sub(turns[at].ended_ms);
        if has_digits[at] && has_digits[next] && pause <= PIECES_MS {
            (hidden[at], hidden[next]) = (Hidden::Whole, Hidden::Whole);
        }
    }
    hidden
}

fn hides(mask: &Mask, turn: &TurnRecord) -> Hidden {
    // Of a card's number the records have kept no more than that there was one.
    if turn.text.contains(MASK) {
        return Hidden::Whole;
    }
    let places = mask.places(&turn.text);
    if places.is_empty() {
        return Hidden::Nothing;
    }
    words_at(turn, &places).map_or(Hidden::Whole, Hidden::Words)
}

/// When the words at these places were said, and those beside them; nothing where that is not known well enough.
fn words_at(turn: &TurnRecord, places: &[Range<usize>]) -> Option<Vec<Range<u32>>> {
    let begin = turn.text.as_ptr() as usize;
    let words: Vec<Range<usize>> = turn
        .text
        .split_whitespace()
        .map(|word| word.as_ptr() as usize - begin..word.as_ptr() as usize - begin + word.len())
        .collect();
    let times = &turn.word_times;
    let in_order = times.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1]) && times.iter().all(|[from, to]| from <= to);
    if turn.confidence < SURE_OF_WORDS || words.len() != times.len() || !in_order || turn.text.len() > MAX_TEXT {
        return None;
    }
    places
        .iter()
        .map(|place| {
            let first = words.iter().position(|word| word.end > place.start)?;
            let last = words.iter().rposition(|word| word.start < place.end)?;
            let from = times[first.saturating_sub(1)][0].min(times[first][0].saturating_sub(MARGIN_MS));
            let to = times[(last + 1).min(times.len() - 1)][1].max(times[last][1].saturating_add(MARGIN_MS));
            (first <= last).then_some(from..to)
        })
        .collect()
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
            word_times: Vec::new(),
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

    /// A caller's turn with evenly spoken words.
    fn timed(text: &str, confidence: f32, span: Range<u32>) -> CallDetail {
        let mut detail = call(&[(Speaker::Caller, text, confidence, span.clone())]);
        let count = u32::try_from(text.split_whitespace().count()).expect("few words");
        let at = |word: u32| span.start + (span.end - span.start) * word / count;
        detail.turns[0].word_times = (0..count).map(|word| [at(word), at(word + 1)]).collect();
        detail
    }

    #[test]
    fn where_words_have_times_only_those_of_a_detail_and_their_neighbours_are_silent() {
        // A word a second: "is" to "and" are silent, being the number and what stands beside it.
        let text = "Hello my order is 441723 and it is late";
        let audible = Audible::of(&timed(text, 0.9, 0..9_000));
        assert_eq!(heard(&audible), [vec![(0, 3_000), (6_000, 9_200)], vec![]]);
        // At the end of a turn the margin goes beyond it.
        let audible = Audible::of(&timed("Hello there my order is 441723", 0.9, 1_000..7_000));
        assert_eq!(heard(&audible), [vec![(800, 5_000)], vec![]]);
    }

    #[test]
    fn a_turn_with_a_detail_is_silent_as_a_whole_where_word_times_can_not_be_relied_on() {
        let text = "Hello my order is 441723 and it is late";
        let nothing: [Vec<(u32, u32)>; 2] = [vec![], vec![]];
        let unsure = timed(text, 0.7, 0..9_000);
        assert_eq!(heard(&Audible::of(&unsure)), nothing, "recognition was not sure");
        let mut missing = timed(text, 0.9, 0..9_000);
        missing.turns[0].word_times.pop();
        assert_eq!(heard(&Audible::of(&missing)), nothing, "a word without a time");
        let mut confused = timed(text, 0.9, 0..9_000);
        confused.turns[0].word_times.swap(2, 6);
        assert_eq!(heard(&Audible::of(&confused)), nothing, "times that go back");
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
