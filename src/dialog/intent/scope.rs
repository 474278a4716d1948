//! What the words before an anchor do to it: negate it, put it in the past, make it a question about us.

use super::lexicon::{holds, is, starts};

/// What makes a gerund a wish: "I'd *prefer* talking to a person".
const WISHES: &[&str] = words![
    want like need prefer rather demand insist wish love mind possible chance can could may might would let please
    must ready happier better interested comfortable how
];

/// Something before makes what follows a wish.
pub(super) fn wishing(before: &[String]) -> bool {
    before.iter().any(|word| WISHES.contains(&word.as_str()))
}

/// "am I talking to a person", "are you a real agent": a question about us, not a wish.
pub(super) fn asks_identity(words: &[String], before: usize) -> bool {
    phrases![
        "am i" "are we" "are you" "is this" "is it" "is that" "was i" "was that" "you are" "are u" "was it" "this is"
        "it is" "am not i" "do i" "you sound" "sounds like" "seem like" "sound like"
    ]
    .iter()
    .any(|phrase| (0..before).any(|i| starts(words, i, phrase) && before - i <= 6))
}

/// "I don't want an agent", "no need to transfer me", "instead of talking to a person", "before you put me through".
pub(super) fn negated(words: &[String], anchor: usize) -> bool {
    let from = anchor.saturating_sub(5);
    let window = &words[from..anchor];
    if let Some(at) = window
        .iter()
        .rposition(|word| words![before without after whenever since avoid forget].contains(&word.as_str()))
    {
        return window.len() - at <= 3 && !holds(window, "after all");
    }
    for phrase in phrases![
        "instead of" "rather than" "no need" "never mind" "other than" "used to" "last time"
    ] {
        if holds(window, phrase) {
            return true;
        }
    }
    // "when I talk to an agent they say" is no wish, "when can I talk to an agent" is.
    if let Some(at) = window.iter().rposition(|word| word == "when") {
        let at = from + at;
        if is(words, at + 1, &["i", "you", "we", "they"]) {
            return true;
        }
    }
    let Some(not) = window.iter().rposition(|word| ["not", "never", "nor"].contains(&word.as_str())) else {
        return false;
    };
    let not = from + not;
    // "can't I just", "why don't you", "aren't there", "won't you": questions that wish.
    let asks = not > 0
        && (is(words, not - 1, &["can", "could"])
            || (not > 1 && is(words, not - 2, &["why"]))
            || (is(words, not - 1, words![will would is are do])
                && not == 1
                && is(words, not + 1, &["you", "there", "i", "we"])));
    // "why not", "I don't care, just …", "I don't understand you, let me …": the negation is spent on another verb.
    let spent = words[not + 1..anchor].iter().any(|word| {
        words![
            care know understand believe mind help helping work working answer just so but give time you this that it
            hear get find enough good a wait listening why hanging leaving until unless
        ]
        .contains(&word.as_str())
    }) || (not > 0 && is(words, not - 1, &["why", "if"]));
    // "I don't think I need": the thought is negated, and with it the need.
    !(asks || spent)
}

/// The wish is past, a question of rules, or another person's: "did my wife speak to someone", "he'd connect me", "I had to talk to".
pub(super) fn elsewhere(words: &[String], anchor: usize) -> bool {
    let before = &words[..anchor];
    let near = &words[anchor.saturating_sub(4)..anchor];
    let asks_rule = phrases![
        "do i have to" "do i need to" "do we have to" "do we need to" "must i" "had to" "have had to" "should i have"
        "would i have to" "will i have to"
    ]
    .iter()
    .any(|phrase| ends_before(before, phrase))
        || (anchor >= 2 && starts(words, anchor - 2, "do i"))
        || near.iter().rev().skip(1).any(|word| ["did", "does"].contains(&word.as_str()));
    // "where do I speak", "how do I talk", "who do I": the way there is asked for.
    let way = before.iter().any(|word| words![how where who what when why].contains(&word.as_str()));
    let third = near.windows(2).any(|pair| {
        words![he she they agent who it].contains(&pair[0].as_str())
            && words![would will did said could].contains(&pair[1].as_str())
    }) || (near.iter().any(|word| ["he", "she"].contains(&word.as_str())) && !holds(near, "if"));
    let past = words
        .iter()
        .any(|word| ["yesterday", "ago", "earlier", "previously"].contains(&word.as_str()) || word == "last")
        && near
            .iter()
            .any(|word| words![tried trying had was were been did used able managed].contains(&word.as_str()));
    let begged = near.iter().any(|word| ["beg", "ask", "again"].contains(&word.as_str()));
    (asks_rule && !way && !begged) || third || past
}

/// `phrase` stands within the last words of `before`, with at most two words after it.
fn ends_before(before: &[String], phrase: &str) -> bool {
    let len = phrase.split(' ').count();
    (before.len().saturating_sub(len + 2)..before.len()).any(|i| starts(before, i, phrase))
}
