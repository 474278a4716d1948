//! What no sentence may do, whatever the facts: promise, act, deny a person, pass for one, speak of itself as a model.

use super::{Blocked, BlockedKind};
use crate::dialog::words::{clauses, holds_phrase, starts_phrase, words};

const SLIPS: &[&str] = phrases![
    "language model" "as an ai" "as a ai" "ai model" "ai language" "computer program" "i was trained" "my training"
    "training data" "knowledge cutoff" "openai" "chatgpt" "qwen" "alibaba" "anthropic" "system prompt"
    "my instructions" "the notes" "these notes" "my notes" "notes say" "provided text" "given information"
    "provided information" "the context" "as a virtual" "i can not browse" "real time information" "user asks"
    "the user"
];

const PROMISES: &[&str] = phrases![
    "i promise" "we promise" "i guarantee" "i can guarantee" "you have my word" "i assure" "i can assure"
    "rest assured" "without fail" "i swear" "one hundred percent sure"
];

/// Beginnings of something the assistant would do itself.
const ACTING: &[&str] = phrases![
    "i will" "i shall" "i can" "i could" "let me" "i am going to" "i would be happy to" "i am happy to"
    "i would be glad to" "i am able to" "i am now" "allow me to" "i would"
];

/// What it may do: talk, and get a person.
const MAY: &[&str] = words![
    connect transfer put hand pass help explain tell repeat answer try say be not only also just happily gladly assist
    stay like need recommend suggest add mention understand hear see imagine confirm advise say rephrase clarify have
];

/// Things it says it has done.
const DONE: &[&str] = words![
    sent made put done got found begun started cancelled canceled checked changed updated processed refunded booked
    ordered placed noted forwarded reset confirmed arranged scheduled added removed submitted informed contacted
    escalated issued initiated looked reviewed received registered applied created opened
];

/// States of the caller's own affairs, which nobody here has looked up.
const AFFAIRS: &[&str] = words![
    order refund parcel package payment account return delivery card replacement
];
const STATES: &[&str] = words![
    shipped sent cancelled canceled delivered refunded processed confirmed dispatched paid received lost delayed
    issued approved locked reset placed changed updated
];

const PERSON: &[&str] = words![
    person human agent representative colleague operator someone somebody anyone supervisor manager people agents
    humans advisor
];

/// `sources`: words of what backs the reply, as [`words`] gives them.
pub(super) fn check(sentence: &str, sources: &str) -> Result<(), Blocked> {
    let blocked = |kind, what: &str| Err(Blocked { kind, what: what.to_owned() });
    // A small multilingual model sometimes goes on in another script.
    if let Some(strange) = sentence.chars().find(|c| c.is_alphabetic() && !is_latin(*c)) {
        return blocked(BlockedKind::Slip, &strange.to_string());
    }
    let said = words(sentence);
    let approved = |phrase: &str| sources.contains(phrase);
    if let Some(phrase) = SLIPS.iter().find(|phrase| holds_phrase(&said, phrase) && !approved(phrase)) {
        return blocked(BlockedKind::Slip, phrase);
    }
    if let Some(phrase) = passes_for_person(&said) {
        return blocked(BlockedKind::Slip, &phrase);
    }
    if let Some(phrase) = clauses(sentence).iter().find_map(|clause| refuses_person(clause)) {
        return blocked(BlockedKind::RefusesPerson, &phrase);
    }
    if let Some(phrase) = PROMISES.iter().find(|phrase| holds_phrase(&said, phrase) && !approved(phrase)) {
        return blocked(BlockedKind::Promise, phrase);
    }
    for i in 0..said.len() {
        let Some(phrase) = act(&said, i).or_else(|| state(&said, i)) else { continue };
        if !approved(&phrase) {
            return blocked(BlockedKind::Promise, &phrase);
        }
    }
    Ok(())
}

/// "I'm sorry, I don't have that information."
pub(super) fn admits_ignorance(said: &[String]) -> bool {
    const ADMISSIONS: &[&str] = phrases![
        "i do not have that" "i do not have any" "i do not have information" "i do not have the" "i do not have this"
        "i do not have details" "i do not have specific" "i do not know" "i am not sure" "i can not answer"
        "i can not help with" "i can not provide" "i am not able to" "i am unable to" "not in notes" "no information"
        "i do not have access" "can not find" "could not find" "not have that information"
    ];
    ADMISSIONS.iter().any(|phrase| holds_phrase(said, phrase))
}

fn is_latin(c: char) -> bool {
    // Latin with its extensions; letters like ² or ª do not matter.
    c < '\u{250}' || ('\u{1e00}'..'\u{1f00}').contains(&c)
}

/// "I'll cancel it", "let me check that", "I've sent you a mail".
fn act(said: &[String], i: usize) -> Option<String> {
    let whole = |len: usize| said[i..(i + len).min(said.len())].join(" ");
    if let Some(opening) = ACTING.iter().find(|opening| starts_phrase(said, i, opening)) {
        let len = opening.split(' ').count();
        let mut at = i + len;
        while said.get(at).is_some_and(|word| {
            words![
                also just gladly happily certainly then now be happy to glad
            ]
            .contains(&word.as_str())
        }) {
            at += 1;
        }
        let verb = said.get(at)?.as_str();
        // "I'll get you a person", "I can find someone for you".
        let fetches = words![get find call bring look ask check].contains(&verb)
            && said[at..said.len().min(at + 7)].iter().any(|word| PERSON.contains(&word.as_str()));
        return (!MAY.contains(&verb) && !fetches).then(|| whole(at - i + 1));
    }
    let has = phrases![
        "i have" "i just" "i already" "we have just" "i am cancelling" "i am sending" "i am processing"
        "i am checking" "i am looking"
    ];
    if let Some(opening) = has.iter().find(|opening| starts_phrase(said, i, opening)) {
        let len = opening.split(' ').count();
        if opening.ends_with("ing") {
            return Some(whole(len));
        }
        let mut at = i + len;
        while said.get(at).is_some_and(|word| words![just already now also successfully].contains(&word.as_str())) {
            at += 1;
        }
        return said.get(at).is_some_and(|word| DONE.contains(&word.as_str())).then(|| whole(at - i + 1));
    }
    None
}

/// "your order has been shipped": said of this caller's order, which nobody has looked up.
fn state(said: &[String], i: usize) -> Option<String> {
    if said[i] != "your" || !said.get(i + 1).is_some_and(|word| AFFAIRS.contains(&word.as_str())) {
        return None;
    }
    // "when your order has been shipped", "if your payment was refunded" claim nothing.
    let conditional =
        i > 0 && words![when if once after until as before whether unless that].contains(&said[i - 1].as_str());
    if conditional {
        return None;
    }
    let at = i + 2;
    if starts_phrase(said, at, "is on its way") {
        return Some(said[i..at + 4].join(" "));
    }
    let passive = phrases![
        "has been" "has already been" "was" "is being" "has just been" "has" "is now" "is already"
    ]
    .iter()
    .filter(|phrase| starts_phrase(said, at, phrase))
    .map(|phrase| phrase.split(' ').count())
    .find(|len| said.get(at + len).is_some_and(|word| STATES.contains(&word.as_str())))?;
    Some(said[i..=at + passive].join(" "))
}

fn passes_for_person(said: &[String]) -> Option<String> {
    const CLAIMS: &[&str] = phrases![
        "i am a human" "i am a real" "i am human" "i am a person" "i am not a robot" "i am not a machine"
        "i am not a bot" "i am not an automated" "my name is" "speaking with a human" "i am not an ai"
    ];
    CLAIMS.iter().find(|claim| holds_phrase(said, claim)).map(|claim| (*claim).to_owned())
}

/// "I can't transfer you", "there is no person available", "agents are busy".
fn refuses_person(said: &[String]) -> Option<String> {
    let is_person = |word: &String| PERSON.contains(&word.as_str());
    for i in 0..said.len() {
        let rest = &said[i..said.len().min(i + 8)];
        let unable = phrases![
            "can not" "unable to" "not able to" "not possible to" "do not have the ability to" "not allowed to"
            "no way to" "will not" "not in a position to" "not authorized to"
        ]
        .iter()
        .find(|phrase| starts_phrase(said, i, phrase));
        if let Some(phrase) = unable {
            let after = &said[i + phrase.split(' ').count()..];
            let verb = after.iter().position(|word| word != "directly" && word != "currently" && word != "personally");
            let moves = verb.is_some_and(|at| {
                ["connect", "transfer", "forward", "redirect"].contains(&after[at].as_str())
                    || (words![put pass hand get let provide offer speak talk reach].contains(&after[at].as_str())
                        && (after.iter().take(at + 6).any(is_person) || starts_phrase(after, at, "put you through")))
            });
            if moves {
                return Some(rest.join(" "));
            }
        }
        let none = phrases!["there is no" "there are no" "no" "we have no" "not any"]
            .iter()
            .find(|phrase| starts_phrase(said, i, phrase));
        if let Some(phrase) = none {
            let at = i + phrase.split(' ').count();
            let named = (at..said.len().min(at + 3)).find(|&at| is_person(&said[at]) && said[at] != "someone");
            if named.is_some_and(|at| {
                at + 1 >= said.len()
                    || words![
                        available here to who on is are at you
                    ]
                    .contains(&said[at + 1].as_str())
            }) {
                return Some(rest.join(" "));
            }
        }
        if is_person(&said[i])
            && (starts_phrase(said, i + 1, "is not available")
                || starts_phrase(said, i + 1, "are not available")
                || starts_phrase(said, i + 1, "are busy")
                || starts_phrase(said, i + 1, "are all busy")
                || starts_phrase(said, i + 1, "are unavailable")
                || starts_phrase(said, i + 1, "is unavailable")
                || starts_phrase(said, i + 1, "is not possible"))
        {
            return Some(rest.join(" "));
        }
    }
    None
}
