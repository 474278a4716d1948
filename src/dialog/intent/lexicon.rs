//! Which words name a person, a machine, a wish; with the ways recognition gets them wrong.

use crate::dialog::words::near;
pub(super) use crate::dialog::words::{holds_phrase as holds, starts_phrase as starts};

/// Heads of "a person to talk to", each with how many letters may be wrong.
const PERSON: &[(&str, usize)] = &[
    ("human", 1),
    ("humans", 1),
    ("person", 1),
    ("persons", 1),
    ("people", 1),
    ("agent", 1),
    ("representative", 2),
    ("rep", 0),
    ("reps", 0),
    ("operator", 1),
    ("supervisor", 2),
    ("manager", 1),
    ("management", 1),
    ("adviser", 1),
    ("advisor", 1),
    ("associate", 0),
    ("receptionist", 2),
    ("reception", 0),
    ("somebody", 1),
    ("someone", 1),
    ("anybody", 1),
    ("anyone", 1),
    ("specialist", 1),
    ("consultant", 1),
    ("attendant", 1),
    ("employee", 1),
    ("colleague", 1),
    ("switchboard", 1),
    ("headquarters", 0),
    ("staff", 0),
    ("boss", 0),
    ("team", 0),
    ("teams", 0),
];

/// Forms a spell check can't reach, as heard on real lines.
const MISHEARD: &[&str] = words![
    hooman hyooman hewman personne yuman sumone sumbody representant represent reprasentative aygent ajent agentt
    oparater opperater operater supavisor supervisa
];

/// English words one letter from a head that mean something else.
const NOT_PERSON: &[&str] = words![
    manage managed manages advised advises specialise specialised specialize humane urgent gent agency agenda
    attendance receptions persona personal peoples
];

/// Heads of two or three words.
const PERSON_PHRASES: &[&[&str]] = &[
    &["some", "one"],
    &["some", "body"],
    &["any", "one"],
    &["any", "body"],
    &["a", "gent"],
    &["age", "ent"],
    &["age", "and"],
    &["a", "gen"],
    &["super", "visor"],
    &["represent", "ative"],
    &["opera", "tor"],
    &["member", "of", "staff"],
    &["member", "of", "your", "staff"],
    &["member", "of", "the", "team"],
    &["member", "of", "your", "team"],
    &["staff", "member"],
    &["team", "member"],
    &["team", "leader"],
    &["call", "handler"],
    &["shop", "assistant"],
    &["sales", "assistant"],
    &["human", "being"],
    &["human", "beings"],
    &["human", "voice"],
    &["human", "help"],
    &["human", "assistance"],
    &["human", "support"],
    &["human", "contact"],
    &["human", "intervention"],
    &["person", "in", "charge"],
    &["customer", "service"],
    &["customer", "services"],
    &["customer", "support"],
    &["customer", "care"],
    &["customer", "relations"],
    &["custom", "service"],
    &["live", "support"],
    &["live", "help"],
    &["live", "assistance"],
    &["help", "desk"],
    &["service", "desk"],
    &["front", "desk"],
    &["support", "team"],
    &["service", "team"],
    &["sales", "team"],
    &["returns", "team"],
    &["support", "department"],
    &["support", "staff"],
    &["head", "office"],
    &["tech", "support"],
    &["technical", "support"],
    &["complaints", "department"],
    &["complaint", "department"],
    &["returns", "department"],
    &["billing", "department"],
    &["sales", "department"],
    &["service", "department"],
    &["accounts", "department"],
];

/// What may stand between an article and the head: "a *real live* person", "your *customer service* manager".
const MODIFIERS: &[&str] = words![
    a an and the any some one your you youre another of kind sort real reel live life living actual actually proper
    different other qualified senior nice friendly trained competent helpful available next first bloody damn damned
    goddamn fucking freaking frigging flipping stupid physical breathing normal genuine flesh blood human customer
    service services sales support technical billing store shop returns call phone desk centre center duty shift floor
    general complaints account garden gardening plant company local english speaking single bit more decent
    intelligent sane right
];

const MACHINES: &[&str] = words![
    robot robots bot bots chatbot chatbots ai machine machines computer computers recording recordings voicebot
    automation automated software program programme algorithm siri alexa
];

/// Machines that may be a garden's as well: only "talk to" makes them ours.
const AMBIGUOUS_MACHINES: &[&str] =
    words![machine machines computer computers software program programme automation recording];

/// What a machine word is followed by when it is goods.
const GOODS: &[&str] = words![
    mower mowers lawnmower lawn lawnmowers vacuum vacuums cleaner washable wash desk table chair battery blade blades
    watering sprinkler kit
];

/// What a person word is followed by when no person is meant: "a two person *tent*", "agent *fee*".
const NOT_REQUEST: &[&str] = phrases![
    "tent" "table" "size" "sized" "hammock" "swing" "sofa" "bench" "limit" "limits" "discount" "discounts" "fee"
    "fees" "price" "prices" "hair" "error" "id" "number" "code" "orange" "set" "hours" "rating" "s" "policy" "special"
    "cushion" "bed" "household" "team's" "email" "address"
];

/// A span of words that names a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// One past its last word.
    pub end: usize,
    /// Begins with `the` or `that`: perhaps somebody known, not anybody.
    pub definite: bool,
    /// The head is `someone`, `anybody` …: needs more around it to be a request.
    pub vague: bool,
}

/// Words of the head at `i`, if one is there.
pub(super) fn head_at(words: &[String], i: usize) -> Option<usize> {
    let rest = words.get(i..)?;
    let phrase = PERSON_PHRASES
        .iter()
        .filter(|phrase| rest.len() >= phrase.len() && phrase.iter().zip(rest).all(|(a, b)| *a == b.as_str()))
        .map(|phrase| phrase.len())
        .max();
    if phrase.is_some() {
        return phrase;
    }
    let word = rest.first()?;
    // "costumer servis" and its like.
    if rest.len() > 1 && near(word, "customer", 2) && (rest[1].starts_with("serv") || rest[1].starts_with("suppor")) {
        return Some(2);
    }
    // "in person", "per person" are not people to talk to.
    if word.starts_with("person") && i > 0 && words![in per first third two four].contains(&words[i - 1].as_str()) {
        return None;
    }
    is_head(word).then_some(1)
}

fn is_head(word: &str) -> bool {
    if NOT_PERSON.contains(&word) {
        return false;
    }
    MISHEARD.contains(&word) || PERSON.iter().any(|&(head, limit)| near(word, head, limit))
}

/// A noun phrase naming a person that begins at `i`: modifiers, then a head. `my agent` is not ours to fetch.
pub(super) fn named_at(words: &[String], i: usize) -> Option<Named> {
    let mut at = i;
    let definite = words.get(i).is_some_and(|word| ["the", "that", "this"].contains(&word.as_str()));
    if words.get(i).is_some_and(|word| ["that", "this"].contains(&word.as_str())) {
        at += 1;
    }
    for _ in 0..7 {
        if let Some(len) = head_at(words, at) {
            let mut end = at + len;
            // "human agent", "agent representative": heads in a row are one.
            while let Some(len) = head_at(words, end) {
                end += len;
            }
            let vague =
                ["some", "any"].iter().any(|start| words[at].starts_with(start)) || words[at].starts_with("sum");
            return Some(Named { end, definite, vague });
        }
        if !words.get(at).is_some_and(|word| MODIFIERS.contains(&word.as_str())) {
            return None;
        }
        at += 1;
    }
    None
}

/// True when the word at `i` makes the person before it something else.
pub(super) fn not_request_at(words: &[String], i: usize) -> bool {
    words.get(i).is_some_and(|word| NOT_REQUEST.contains(&word.as_str()))
}

/// A machine's name at `i` that is not goods; the flag says that only "talk to" makes it ours.
pub(super) fn machine_at(words: &[String], i: usize) -> Option<bool> {
    let word = words.get(i)?.as_str();
    let goods = words.get(i + 1).is_some_and(|next| GOODS.contains(&next.as_str()));
    (MACHINES.contains(&word) && !goods).then(|| AMBIGUOUS_MACHINES.contains(&word))
}

/// True for any of `options`.
pub(super) fn is(words: &[String], i: usize, options: &[&str]) -> bool {
    words.get(i).is_some_and(|word| options.contains(&word.as_str()))
}
