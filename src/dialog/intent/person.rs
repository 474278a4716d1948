//! Does the caller want a person? Rules over words, so that the answer needs no model and never waits for one.
//!
//! A clause is searched for an anchor (`speak`, `give`, `want`, `transfer`, `is there` …) followed by words that name a
//! person; then it is asked whether the wish is negated, past or somebody else's. Mistakes are not alike: a needless
//! handoff costs a minute, an unheard request breaks the promise that a person is always reachable. In doubt it is a request.

use super::lexicon::{Named, head_at, holds, is, machine_at, named_at, not_request_at, starts};
use super::scope::{asks_identity, elsewhere, negated, wishing};
use super::{PersonRequest, Rule};
use crate::dialog::words::Clause;

/// Words around a bare head that do not change it: "yeah, um, *agent*, please".
const FILLERS: &[&str] = phrases![
    "please" "now" "hello" "hi" "hey" "um" "uh" "er" "erm" "just" "a" "an" "any" "to" "for" "okay" "ok" "yes" "yeah"
    "yep" "no" "nope" "thanks" "thank" "sorry" "again" "right" "well" "so" "oh" "god" "gods" "sake" "god's" "s" "come"
    "on" "only" "immediately" "instead" "then" "and" "or" "ah" "another" "with" "me" "help" "your" "real" "live"
    "living" "actual" "proper" "bloody" "damn" "fucking" "this" "instant" "need" "want" "i" "speak" "talk" "get"
    "today" "actually" "maybe" "perhaps" "but" "try" "let" "us" "good" "morning" "afternoon" "evening" "there" "about"
    "this" "regarding" "kindly" "quickly" "fast" "asap" "meet" "out" "shit" "jesus" "christ" "ffs" "crying" "loud"
];

const CONTACT: &[&str] = words![
    speak speek spek peak speaks talk tok tock chat converse deal communicate complain speech
];
const CONTACT_ING: &[&str] = &["speaking", "talking", "chatting", "dealing"];

/// Words that may stand between an anchor and the person it asks for.
const LINKS: &[&str] = words![
    to too two 2 with wit directly through by again now please just right straight over onto on off across up and at
    uh um maybe be back about this it into in touch contact along
];

/// Verbs that may follow `someone to …` when the someone is wanted on the line.
const HELPFUL: &[&str] = words![
    help talk speak assist answer pick take explain deal look sort fix call ring phone handle listen advise chat tell
    resolve contact solve get come
];

/// Words of a clause about something that is over.
const PAST: &[&str] = words![
    yesterday last ago earlier previously said told spoke answered promised delivered was were took came had
];

/// Looks at the anchor at one word; gives one past the last word of the request.
type Finder = fn(&[String], usize) -> Option<usize>;

/// The request in one clause, if there is one.
pub(super) fn find(clause: &Clause) -> Option<PersonRequest> {
    let request =
        |rule, from: usize, to: usize| PersonRequest { rule, phrase: clause[from..to.min(clause.len())].join(" ") };
    if bare(clause) {
        return Some(request(Rule::Bare, 0, clause.len()));
    }
    if let Some(end) = machine_refused(clause) {
        return Some(request(Rule::NoMachine, 0, end));
    }
    const RULES: &[(Rule, Finder)] = &[
        (Rule::Contact, contact),
        (Rule::Contact, named),
        (Rule::Transfer, transfer),
        (Rule::Give, give),
        (Rule::Want, want),
        (Rule::Anyone, anyone),
        (Rule::Anyone, who_helps),
        (Rule::Want, helped_by),
        (Rule::RealOne, real_one),
        (Rule::Want, blurred),
    ];
    (0..clause.len()).find_map(|i| {
        RULES.iter().find_map(|&(rule, at)| {
            at(clause, i).filter(|_| !negated(clause, i) && !elsewhere(clause, i)).map(|end| request(rule, i, end))
        })
    })
}

/// Nothing but a person's name-word and fillers: "agent", "human please", "yes a representative".
fn bare(words: &[String]) -> bool {
    let polite = words.iter().any(|word| ["please", "now"].contains(&word.as_str()));
    let (mut i, mut heads) = (0, 0);
    if words.len() == 1 && is(words, 0, &["pearson", "parson"]) || holds(words, "no need") {
        return false;
    }
    let core: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !["please", "now", "just", "okay", "ok", "yes"].contains(word))
        .collect();
    if matches!(
        core[..],
        ["zero"]
            | ["zero", "zero"]
            | ["press", "zero"]
            | ["hero"]
            | ["transfer"]
            | ["connect"]
            | ["escalate"]
            | ["operator", "zero"]
    ) {
        return true;
    }
    while i < words.len() {
        if let Some(len) = head_at(words, i) {
            heads += 1;
            i += len;
        } else if heads > 0 && is(words, i, &["not"]) && is(words, i + 1, &["a"]) && machine_at(words, i + 2).is_some()
        {
            // "A person, not a bot."
            i += 3;
        } else if FILLERS.contains(&words[i].as_str()) || (starts(words, i, "the") && polite) || is_i_said(words, i) {
            i += 1;
        } else {
            return false;
        }
    }
    heads > 0 && !starts(words, 0, "i help") && !holds(words, "help me help")
}

fn is_i_said(words: &[String], i: usize) -> bool {
    is(words, i, &["said", "asked", "repeat", "told"]) && i > 0 && is(words, i - 1, &["i"])
}

fn links(words: &[String], mut i: usize) -> usize {
    for _ in 0..4 {
        // "with you" before "your": `you` is a modifier, not a link, and a head may itself begin with a link word.
        if is(words, i, LINKS) && head_at(words, i).is_none() {
            i += 1;
        }
    }
    i
}

/// "speak to a person", "talk human", "chat with your manager"; "reach", "get hold of", "get through to".
fn contact(words: &[String], i: usize) -> Option<usize> {
    let gerund = is(words, i, CONTACT_ING);
    let reach = phrases![
        "reach" "contact" "get hold of" "get a hold of" "get ahold of" "get through to" "get in touch with"
        "get in contact with" "be connected to" "be connected with" "be transferred to" "be put through to"
        "be connected" "have a word with" "a word with"
    ]
    .iter()
    .find(|phrase| starts(words, i, phrase));
    if !gerund && reach.is_none() && !is(words, i, CONTACT) {
        return None;
    }
    let wished = wishing(&words[..i]) || (i == 0 && is(words, words.len() - 1, &["please"]));
    if gerund && (!wished || asks_identity(words, i)) {
        return None;
    }
    if reach.is_some()
        && words.iter().any(|word| words![email mail letter write post address number].contains(&word.as_str()))
    {
        return None;
    }
    let after = links(words, i + reach.map_or(1, |phrase| phrase.split(' ').count()));
    // "change the contact person" is about a record.
    if starts(words, i, "contact") && after == i + 1 && head_at(words, after).is_some() {
        return None;
    }
    if reach.is_none() && department_at(words, after) {
        return Some(after + 1);
    }
    // "is there a department I can speak to", "have you got anyone I can talk to".
    let offered = phrases!["is there" "are there" "do you have" "have you got" "not you have"]
        .iter()
        .any(|phrase| holds(&words[..i], phrase));
    if offered
        && i >= 2
        && is(words, i - 1, &["can", "could", "i", "may"])
        && is(words, i + 1, &["to", "with"])
        && (i + 2 >= words.len() || is(words, i + 2, words![about please instead regarding now]))
    {
        return Some(i + 2);
    }
    let person = named_at(words, after)?;
    (!starts(words, person.end, "s") && !not_request_at(words, person.end)).then_some(person.end)
}

/// "support", "sales": an office, when nothing follows that makes it something else.
fn department_at(words: &[String], i: usize) -> bool {
    is(words, i, words![support sales billing accounts complaints returns management reception])
        && (i + 1 >= words.len() || is(words, i + 1, words![please about now department team office instead]))
}

/// "can I speak to Sarah", "let me talk to the florist": anybody but the assistant itself and the caller's own people.
fn named(words: &[String], i: usize) -> Option<usize> {
    const NOBODY: &[&str] = words![
        you ya u it this that these those my our his their its regard regards respect myself yourself and about but if
        what how plants them
    ];
    if !is(words, i, &["speak", "talk", "chat"]) || !is(words, i + 1, &["to", "with"]) {
        return None;
    }
    let asks = i >= 2
        && ((is(words, i - 1, &["i", "we"]) && is(words, i - 2, &["can", "could", "may", "might"]))
            || (is(words, i - 1, &["me", "us"]) && is(words, i - 2, &["let"]))
            || (is(words, i - 1, &["to"]) && is(words, i - 2, words![want need like trying prefer love ask])));
    let whom = i + 2;
    let machine = (whom..words.len().min(whom + 3)).any(|at| machine_at(words, at).is_some());
    (asks && whom < words.len() && !is(words, whom, NOBODY) && !machine).then_some(whom + 1)
}

/// "transfer me", "put me through", "connect me to an agent", "hand me over", "escalate this", "switch to a human".
fn transfer(words: &[String], i: usize) -> Option<usize> {
    const MOVE: &[&str] = words![
        connect transfer switch patch hand forward direct route redirect reroute send move refer pass passing put escalate get
        take conect connected transferred transfered bring skip jump go ring
    ];
    /// Those that are about the call even without "me".
    const CALL: &[&str] = words![
        connect transfer conect switch escalate forward redirect direct route patch hand pass passing connected transferred
        transfered skip jump go get ring
    ];
    if is(words, i, &["who"]) && is(words, i + 1, words![can could do should would may might]) {
        let verb = i + 3;
        let talks = is(words, i + 2, &["i", "we"]) && is(words, verb, &["speak", "talk", "complain", "chat"]);
        return talks.then_some(verb + 1);
    }
    if !is(words, i, MOVE) {
        return None;
    }
    let verb = words[i].as_str();
    let mut at = i + 1;
    // "transfer it to another person" is about a gift card.
    if verb != "escalate" && is(words, at, &["it", "this", "that"]) && !starts(words, at, "this call") {
        return None;
    }
    let object = if is(words, at, &["me", "us"]) || (verb == "escalate" && is(words, at, &["this", "it"])) {
        at += 1;
        true
    } else if starts(words, at, "this call")
        || (is(words, at, &["my", "the"]) && is(words, at + 1, words![call issue complaint case problem matter]))
    {
        at += 2;
        true
    } else {
        false
    };
    let after = links(words, at);
    let linked = after > at;
    if let Some(person) = named_at(words, after).filter(|person| !not_request_at(words, person.end)) {
        // "connect to agent", "put me on to a person", "get me to someone": a link or an object says it is about the call.
        let ours = object || (CALL.contains(&verb) && (linked || ["connect", "transfer"].contains(&verb)));
        let line = is(words, person.end + usize::from(is(words, person.end, &["else"])), &["on", "through"]);
        if (verb == "put" && !object && line) || (ours && (verb != "get" || linked)) {
            return Some(person.end);
        }
    }
    // Without naming anybody.
    let through = is(words, at, words![through threw true thru thorough throw]);
    let ends = at >= words.len() || is(words, at, words![please now already then to through over immediately straight]);
    let done = match verb {
        "put" | "patch" | "pass" => object && (through || (verb != "put" && is(words, at, &["over", "on"]))),
        "transfer" | "connect" => object && ends,
        "transferred" | "connected" | "transfered" => ends && i >= 2 && starts(words, i - 2, "to be"),
        "hand" => object && is(words, at, &["over", "off"]),
        "ring" => object && is(words, at, &["through"]),
        "escalate" => object || at >= words.len(),
        "get" => is(words, i + 1, &["me"]) && through,
        _ => false,
    };
    let elsewhere = is(words, at, &["to", "over"])
        && is(words, at + 1, &["the", "my", "a"])
        && named_at(words, at + 1).is_none()
        && !is(words, at + 2, words![right department team appropriate correct relevant returns sales billing]);
    (done && !elsewhere).then_some(at + usize::from(through))
}

/// "give me a human", "get me your manager", "get somebody on the line", "call a human".
fn give(words: &[String], i: usize) -> Option<usize> {
    let verb = words.get(i)?.as_str();
    let (needs_me, takes_bare) = match verb {
        "give" | "show" | "send" => (true, false),
        "get" | "bring" | "find" | "fetch" | "grab" | "got" => (false, true),
        "call" | "summon" => (false, true),
        _ => return None,
    };
    let me = is(words, i + 1, &["me", "us"]);
    if needs_me && !me {
        return None;
    }
    let mut at = links(words, i + 1 + usize::from(me));
    // "get some help from a person", "get hold of somebody".
    if starts(words, at, "hold of") || starts(words, at, "a hold of") {
        at += if starts(words, at, "a") { 3 } else { 2 };
    }
    let person = named_at(words, at)?;
    if verb == "got" && !(i > 0 && is(words, i - 1, &["you"])) {
        return None;
    }
    if !(me || takes_bare) || refers_back(words, &person) || not_request_at(words, person.end) {
        return None;
    }
    // "get someone a gift card", "find someone to mow the lawn".
    let gift = !me && gift(words, person.end);
    let errand = is(words, person.end, &["to"]) && !is(words, person.end + 1, HELPFUL);
    let own_call = verb == "call" && i > 0 && is(words, i - 1, &["will", "to"]);
    (!gift && !errand && !own_call).then_some(person.end)
}

/// "I want a human", "I need to see a person", "could I have an agent", "looking for a representative", "I asked for a person".
fn want(words: &[String], i: usize) -> Option<usize> {
    const VERBS: &[&str] = words![
        want need require demand request wanted needs wants requesting requested wan expect
    ];
    let phrase =
        |list: &[&str]| list.iter().find(|phrase| starts(words, i, phrase)).map(|phrase| phrase.split(' ').count());
    let asked = phrase(phrases![
        "would like" "would love" "would prefer" "would rather have" "rather have" "prefer" "looking for" "ask for"
        "asking for" "asked for" "waiting for" "will wait for" "hoping for" "can i have" "could i have" "may i have" "can we have"
        "could we have" "might i have" "can i please have" "could i please have" "can i just have" "let me have"
        "can i see" "do you have" "have you got" "what about" "how about" "why not" "any chance of" "want to be"
        "is it possible to have" "possible to get" "would appreciate" "do not you have" "have not you got" "like"
        "press for" "button for" "button is for" "have to press for"
    ]);
    // "have an agent call me".
    if is(words, i, &["have"]) {
        return named_at(words, i + 1)
            .filter(|person| is(words, person.end, HELPFUL) && is(words, person.end + 1, &["me", "us"]))
            .map(|person| person.end);
    }
    let verb = is(words, i, VERBS).then_some(1);
    let mut at = i + verb.or(asked)?;
    let questioned = i >= 2
        && is(words, i - 2, words![do would will should does did])
        && is(words, i - 1, words![i we you they he she]);
    if questioned && verb.is_some() && !is(words, i - 1, &["you"]) {
        return None;
    }
    // "no need for", "there is no need to".
    if starts(words, i, "need") && i > 0 && is(words, i - 1, &["no"]) {
        return None;
    }
    // Plain "like" is a wish only in "I'd like", which an earlier anchor takes.
    if starts(words, i, "like") && !(i > 0 && is(words, i - 1, &["would", "d"])) {
        return None;
    }
    if is(words, at, words![just really please now only also]) {
        at += 1;
    }
    for link in phrases![
        "to have" "to hear" "to see" "to get" "to find" "to try" "help from" "to be served by" "to be helped by"
        "to hear from" "to get to" "to get hold of"
    ] {
        if starts(words, at, link) && named_at(words, at + link.split(' ').count()).is_some() {
            at += link.split(' ').count();
        }
    }
    let person = named_at(words, at)?;
    let errand = is(words, person.end, &["to"]) && !is(words, person.end + 1, HELPFUL)
        || (is(words, at - 1, &["get", "find"]) && gift(words, person.end));
    let wherever = is(words, person.end, &["at", "else"]) && starts(words, person.end + 1, "s");
    // "do you have people in Canada" asks about the company.
    let about_us = starts(words, i, "do you have") && is(words, person.end, &["in", "from", "at", "on"]);
    let home = about_us || starts(words, person.end, "at home") || starts(words, person.end, "in the house");
    (!refers_back(words, &person) && !not_request_at(words, person.end) && !errand && !wherever && !home)
        .then_some(person.end)
}

/// After "get someone": "a gift card".
fn gift(words: &[String], i: usize) -> bool {
    is(words, i, words![a an some the something for flowers else])
        && !(is(words, i, &["for"]) && is(words, i + 1, &["me", "us"]))
}

/// "the person who delivered it", "the agent I spoke with": somebody known, talked about.
fn refers_back(words: &[String], person: &Named) -> bool {
    person.definite && is(words, person.end, words![who that i we from said told])
}

/// "is there anyone I can talk to", "anybody there", "can somebody help me", "is your manager there".
fn anyone(words: &[String], i: usize) -> Option<usize> {
    const PRESENT: &[&str] = words![
        i we who that there available around here alive real working free listening please at on to else with in home
        about out now
    ];
    let isnt = usize::from(is(words, i + 1, &["not"]));
    let there = (is(words, i, &["is", "are"]) && is(words, i + 1 + isnt, &["there"])).then_some(i + 2 + isnt);
    if let Some(mut at) = there {
        if starts(words, at, "not") {
            at += 1;
        }
        if starts(words, at, "no") {
            at += 1;
        }
        let person = named_at(words, at)?;
        let fits = person.end >= words.len() || is(words, person.end, PRESENT) && whom(words, person.end);
        return (fits && !not_request_at(words, person.end)).then_some(person.end);
    }
    if is(words, i, &["is", "are"]) {
        let person = named_at(words, i + 1)?;
        let present = is(words, person.end, words![there available around here free listening])
            || starts(words, person.end, "on the line");
        return (present && !is(words, i + 1, &["you"])).then_some(person.end + 1);
    }
    let opens = i == 0 || is(words, i - 1, &["hello", "hi", "hey"]);
    if let Some(person) = named_at(words, i).filter(|_| opens) {
        if person.vague
            && is(words, person.end, words![there here home around available listening])
            && words.len() <= person.end + 3
        {
            return Some(person.end + 1);
        }
        if is(words, person.end, &["help", "answer", "please"]) && person.vague {
            return Some(person.end + 1);
        }
    }
    if is(words, i, words![can could would will may]) {
        let mut at = i + 1;
        if is(words, at, &["not", "please"]) {
            at += 1;
        }
        let person = named_at(words, at)?;
        let mut verb = person.end;
        while is(words, verb, words![please just actually there on your end]) {
            verb += 1;
        }
        // "a human help": the head has taken the verb with it.
        if starts(words, person.end - 1, "help") {
            verb = person.end - 1;
        }
        const ANSWERS: &[&str] = words![
            help call ring phone talk speak assist answer explain deal come contact handle respond advise sort
        ];
        let picks_up = starts(words, verb, "pick up")
            && (verb + 2 >= words.len()
                || is(words, verb + 2, &["please", "the", "now"])
                    && !is(words, verb + 3, &["order", "parcel", "package"]));
        let chooses = starts(words, verb, "help me choose") || starts(words, verb, "call it");
        return (picks_up || (is(words, verb, ANSWERS) && !chooses)).then_some(verb + 1);
    }
    None
}

/// After "is there anyone": "who can help" asks for help, "who delivers on Sundays" asks about Sundays.
fn whom(words: &[String], i: usize) -> bool {
    if is(words, i, &["who", "that"]) {
        return is(words, i + 1, words![can could will would is knows know might speaks i understands]);
    }
    if is(words, i, &["i", "we"]) {
        return is(words, i + 1, words![can could might may should]);
    }
    if is(words, i, &["to"]) {
        return is(words, i + 1, HELPFUL);
    }
    if is(words, i, &["at", "in", "on"]) {
        return starts(words, i, "at all")
            || starts(words, i, "on the line")
            || starts(words, i, "on the phone")
            || starts(words, i, "on this line")
            || starts(words, i, "in charge")
            || starts(words, i, "in there");
    }
    true
}

/// "help from a person", "be helped by a human".
fn helped_by(words: &[String], i: usize) -> Option<usize> {
    const HELP: &[&str] = words![
        help assistance answer answers advice support helped served assisted answered advised response reply handled
        callback call
    ];
    if !is(words, i, HELP) || !is(words, i + 1, &["from", "by"]) || !wishing(&words[..i]) {
        return None;
    }
    named_at(words, i + 2).map(|person| person.end)
}

/// "Someone who can actually help me", and nothing else.
fn who_helps(words: &[String], i: usize) -> Option<usize> {
    let who = i + head_at(words, i).filter(|_| is(words, i, &["someone", "somebody"]) && i <= 1)?;
    if !is(words, who, &["who"]) || !is(words, who + 1, &["can", "could"]) {
        return None;
    }
    let verb = who + 2 + usize::from(is(words, who + 2, &["actually", "really"]));
    let rest = words.get(verb + 2..).unwrap_or_default();
    let ends = rest.iter().all(|word| ["please", "here", "now"].contains(&word.as_str()));
    (is(words, verb, HELPFUL) && is(words, verb + 1, &["me", "us"]) && ends).then_some(verb + 2)
}

/// "a real person would be better", "just a live human being for once", "does anyone real work there".
fn real_one(words: &[String], i: usize) -> Option<usize> {
    if let Some(person) =
        named_at(words, i).filter(|person| person.vague && is(words, person.end, &["real", "human", "alive"]))
    {
        return (!asks_identity(words, i)).then_some(person.end + 1);
    }
    if is(words, i, words![human humans person representative agent operator]) && !asks_identity(words, i) {
        return wished_for(words, i);
    }
    if !is(words, i, words![real reel live living actual]) || asks_identity(words, i) {
        return None;
    }
    let person = named_at(words, i)?;
    let past = words.iter().any(|word| PAST.contains(&word.as_str()));
    let acts = words
        .get(person.end)
        .is_some_and(|next| next.ends_with("ed") || words![is has did gave left does].contains(&next.as_str()));
    (!past && !acts && !person.definite && !not_request_at(words, person.end)).then_some(person.end)
}

/// What is left of a request on a noisy line: "I want to be human", "how can I get you to human", "I ask of me an operator".
fn blurred(words: &[String], i: usize) -> Option<usize> {
    const WISHES: &[&str] = words![want get give talk speak need like beg];
    let past = words.iter().any(|word| PAST.contains(&word.as_str()));
    if is(words, i, &["human", "humans"]) && words.len() <= 12 && !past && !asks_identity(words, i) {
        let wished =
            words[..i].iter().any(|word| WISHES.contains(&word.as_str())) || is(words, i + 2, &["talk", "speak"]);
        let theirs = words.iter().any(|word| ["safe", "sound", "like", "look", "for", "hair"].contains(&word.as_str()));
        return (wished && !theirs).then_some(i + 1);
    }
    let ends = |end: usize| end >= words.len() || (end + 1 == words.len() && is(words, end, &["please", "now"]));
    // Whatever was heard before it: "take this off to a human", "give me off this machine", "have somebody come please".
    if starts(words, i, "to a human") && ends(i + 3) && !past && !asks_identity(words, i) {
        return Some(i + 3);
    }
    if starts(words, i, "give me off this") && machine_at(words, i + 4).is_some() {
        return Some(i + 5);
    }
    if is(words, i, &["have"])
        && is(words, i + 1, &["somebody", "someone"])
        && is(words, i + 2, &["come", "call", "ring"])
    {
        return (i == 0 && ends(i + 3)).then_some(i + 3);
    }
    let refused = ["not need", "not want", "not have", "not get"].iter().any(|phrase| holds(&words[..i], phrase));
    if is(words, i, &["me"]) && i > 0 && is(words, i + 1, &["a", "an"]) && !refused {
        let person = named_at(words, i + 1)?;
        return (!person.vague && ends(person.end) && !past).then_some(person.end);
    }
    None
}

/// "a human would be nice", "what are my options for a person": the word, and a wish somewhere around it.
fn wished_for(words: &[String], i: usize) -> Option<usize> {
    let len = head_at(words, i)?;
    let start =
        (0..i).rev().take_while(|&at| is(words, at, words![a an any another real live actual])).last().unwrap_or(i);
    let alone = start == 0 || is(words, start - 1, words![to with for just having maybe please and then but no not is]);
    let wish = phrases!["would be" "will do" "is better" "my options" "any way" "a way" "possible"]
        .iter()
        .any(|phrase| holds(words, phrase));
    let mine =
        words.iter().any(|word| words![gift present bought delivery delivered said told].contains(&word.as_str()));
    (alone && wish && !mine && words.len() <= 12 && !not_request_at(words, i + len)).then_some(i + len)
}

/// "I don't want to talk to a robot", "no more machines", "I hate this bot".
fn machine_refused(words: &[String]) -> Option<usize> {
    const REFUSALS: &[&str] = phrases![
        "do not want" "not want to" "hate" "refuse" "will not" "not going to" "sick of" "tired of" "fed up" "no more"
        "enough" "rather not" "do not like" "do not trust" "can not stand" "despise" "stop" "not talking to"
        "not speaking to" "not interested in" "no" "not deal" "not dealing" "can not deal" "get me off"
        "get me out of" "get off" "turn off" "done with"
    ];
    let refusal = (0..words.len()).find(|&i| REFUSALS.iter().any(|phrase| starts(words, i, phrase)))?;
    (refusal + 1..words.len().min(refusal + 11)).find_map(|at| {
        let ambiguous = machine_at(words, at)?;
        let between = &words[refusal..at];
        let any = |list: &[&str]| between.iter().any(|word| list.contains(&word.as_str()));
        // Talking is refused; or it is a voice's machine and not one that is bought, worked with or owned.
        let talk = any(words![talk talking speak speaking chat chatting answered]);
        let deal = any(words![deal dealing off with to of]) && !any(words![my work working buy order return use]);
        let bare_no = starts(words, refusal, "no") && !starts(words, refusal, "no more");
        let owned = any(words![my the work working buy order return use]);
        let short = words.len() - at <= 3 && at - refusal <= 6;
        (talk || deal || (!ambiguous && !owned && short && (!bare_no || refusal == 0))).then_some(at + 1)
    })
}
