//! How the caller is: in danger, beside themselves, not getting on. Rules only; a person is the answer to each.

use super::lexicon::holds;
use crate::dialog::words::{clauses, stems, words};

/// Words of danger to life: at once a person, whatever else was said.
const DANGER: &[&str] = phrases![
    "kill myself" "killing myself" "end my life" "ending my life" "take my own life" "taking my own life"
    "want to die" "wants to die" "better off dead" "do not want to live" "not want to live" "hurt myself"
    "hurting myself" "harm myself" "harming myself" "cut myself on purpose" "overdose" "suicide" "suicidal"
    "can not breathe" "can not breath" "not breathing" "heart attack" "call an ambulance" "need an ambulance"
    "call 911" "unconscious" "passed out" "bleeding badly" "house is on fire" "caught fire" "on fire"
    "smell gas" "electric shock" "poisoned" "poisoning" "allergic reaction" "emergency room" "medical emergency"
    "this is an emergency" "it s an emergency" "it is an emergency" "i have an emergency" "been poisoned"
];
/// What must not be swallowed.
const SWALLOWED: &[&str] = words![swallow drink drank drunk eat ate eaten inhal breath];
const TOXIC: &[&str] = words![
    spray poison pesticid fertil herbicid insecticid weed killer bleach chemic paint cleaner pellet bait detergent glue
    antifreez solvent battery batteri
];
/// The caller or somebody of theirs did it, not a question about a product.
const WHO: &[&str] = words![i my he she child kid son daughter baby girl boy dog cat husband wife mother father we];

/// Somebody's life or health may be at stake.
pub fn is_danger(text: &str) -> bool {
    let said = words(text);
    if DANGER.iter().any(|phrase| holds(&said, phrase)) {
        return true;
    }
    let stemmed = stems(text);
    let has = |list: &[&str]| stemmed.iter().any(|stem| list.iter().any(|word| stem.starts_with(word)));
    let swallowed = said.iter().chain(&stemmed).any(|word| SWALLOWED.contains(&word.as_str()));
    swallowed && has(TOXIC) && said.iter().any(|word| WHO.contains(&word.as_str()))
}

/// Swearing at us, being at the end of one's patience.
const ANGER: &[&str] = phrases![
    "ridiculous" "outrageous" "unacceptable" "disgrace" "disgraceful" "disgusting" "furious" "fed up" "sick of"
    "sick and tired" "had enough" "have had enough" "had it with" "what a joke" "this is a joke" "are you kidding"
    "kidding me" "you must be joking" "worst company" "worst service" "worst experience" "terrible service"
    "awful service" "horrible service" "lousy service" "useless" "stop wasting my time" "wasting my time"
    "waste of time" "nobody cares" "no one cares" "you do not care" "so angry" "very angry" "really angry"
    "i am angry" "i am livid" "livid" "i am so mad" "pissed off" "shut up" "stupid thing" "stupid machine"
    "stupid robot" "stupid bot" "stupid computer" "stupid system" "idiot" "idiots" "morons" "incompetent" "scam"
    "scammers" "rip off" "ripped off" "thieves" "crooks" "liars" "shame on you" "never again" "go to hell" "screw you"
    "fuck you" "fuck off" "fucking" "bullshit" "bloody hell" "damn thing" "third damn" "goddamn" "piece of crap"
    "piece of junk" "make a complaint" "to complain" "file a complaint" "formal complaint" "official complaint"
    "i will sue" "get nowhere" "getting nowhere" "going in circles" "this is insane" "this is madness" "this is absurd"
    "ignored by you" "being ignored" "i am losing my patience" "lost my patience" "out of patience"
];
/// What is scolded without scolding us.
const GOODS: &[&str] = phrases![
    "useless without" "is it useless" "ridiculously" "rip off strip" "never again need" "on fire pit" "scam email"
];

/// The caller is beside themselves: nothing an assistant says will help.
pub fn is_angry(text: &str) -> bool {
    let said = words(text);
    let again = ["third time", "fourth time", "fifth time", "tenth time", "hundredth time", "third damn time"];
    let over_again = again.iter().any(|phrase| holds(&said, phrase))
        && said
            .iter()
            .any(|word| ["calling", "call", "called", "asking", "asked", "tell", "telling"].contains(&word.as_str()));
    (over_again || ANGER.iter().any(|phrase| holds(&said, phrase))) && !GOODS.iter().any(|phrase| holds(&said, phrase))
}

/// "That's not what I asked", "you don't understand me": the answer before did not help.
pub fn is_unhelped(text: &str) -> bool {
    const WHOLE: &[&str] = phrases![
        "not what i asked" "not what i ask" "not what i am asking" "not what i meant" "not what i mean" "not what i said"
        "not what i wanted" "not what i want" "not my question" "not answering my question" "not answer my question"
        "did not answer my question" "does not answer my question" "you do not understand" "do not understand me"
        "you did not understand" "you misunderstood" "you are not listening" "are you listening" "are you even listening"
        "you do not get it" "do not get it" "does not help" "did not help" "not helping" "not helpful" "no help"
        "still not right" "that s not it" "that is not it" "that s wrong" "that is wrong" "no that s not right"
        "wrong answer" "not the right answer" "i already told you" "i already said" "i just told you" "i just said that"
        "i said that already" "you already said that" "you said that already" "you keep saying" "stop repeating"
        "same answer" "that makes no sense" "makes no sense" "can not explain it any better" "not working for me"
        "no not that" "the other one"
    ];
    // Somebody else's "that's wrong" comes with more words about it.
    clauses(text).iter().any(|clause| clause.len() <= 12 && WHOLE.iter().any(|phrase| holds(clause, phrase)))
        && words(text).len() <= 18
}

/// Only a greeting, or the announcement of a question that has not been asked yet: "hello?", "I have a problem",
/// "it's about my order".
pub fn is_opening(text: &str) -> bool {
    const FILLERS: &[&str] = words![
        hello hi hey good morning afternoon evening day there yes yeah yep um uh so well ok okay please sorry excuse me
        sir madam anybody is this larkfield are you on the line can hear thanks thank
    ];
    const OPENINGS: &[&str] = phrases![
        "i have a question" "i have got a question" "i have a problem" "i have got a problem" "i have an issue"
        "i have a quick question" "i need some help" "i need help" "i need your help" "can you help me" "could you help me"
        "i would like some help" "i would like to ask something" "can i ask you something" "can i ask something"
        "i am calling about something" "something is wrong" "i want to ask something" "i have a request"
        "there is a problem" "there s a problem" "i have a little problem" "help me please" "i need information"
    ];
    let said = words(text);
    if said.is_empty() || said.len() > 14 {
        return false;
    }
    let rest: Vec<&str> = said.iter().map(String::as_str).filter(|word| !FILLERS.contains(word)).collect();
    if rest.is_empty() {
        return said
            .iter()
            .any(|word| ["hello", "hi", "hey", "morning", "afternoon", "evening"].contains(&word.as_str()));
    }
    let joined = said.join(" ");
    let opening = OPENINGS.iter().filter(|phrase| joined.contains(*phrase)).map(|phrase| phrase.len()).max();
    // Hardly anything but that: "I have a question about gift cards" asks about gift cards.
    opening.is_some_and(|length| {
        let extra = joined.len() - length;
        extra <= 12
            || said.iter().filter(|word| !FILLERS.contains(&word.as_str())).count() <= 6
                && !joined.contains("about")
                && !joined.contains(" with ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tell: fn(&str) -> bool, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(tell(text), "should be told: {text}");
        }
        for text in no {
            assert!(!tell(text), "should not be told: {text}");
        }
    }

    #[test]
    fn danger_is_told_from_questions_about_goods() {
        check(
            is_danger,
            &[
                "I want to kill myself",
                "I don't want to live any more",
                "my son drank some of the weed killer",
                "I swallowed plant spray",
                "the dog ate your slug pellets",
                "this is an emergency",
                "there was an electric shock and he's unconscious",
            ],
            &[
                "is the weed killer safe for dogs",
                "my plant died",
                "do you sell rat poison",
                "what do roses drink",
                "the plants my cat eats",
                "how do I kill weeds",
            ],
        );
    }

    #[test]
    fn anger_is_told_from_problems() {
        check(
            is_angry,
            &[
                "this is ridiculous",
                "I'm sick of waiting",
                "You people are useless",
                "this is the third time I'm calling",
                "what a joke",
                "I want to make a complaint",
            ],
            &[
                "my chair is broken",
                "this is the third time I buy from you",
                "that's a shame",
                "I'm afraid I lost it",
                "the drill is useless without a charger",
                "I'd like to return it",
            ],
        );
    }

    #[test]
    fn answers_that_did_not_help_are_told() {
        check(
            is_unhelped,
            &["That's not what I asked.", "no that doesn't help me", "you don't understand me", "No, that's not it."],
            &["does the warranty help", "I don't understand the label", "what time do you open", "the wrong item came"],
        );
    }

    #[test]
    fn openings_are_told_from_questions() {
        check(
            is_opening,
            &["Hello?", "hi good morning", "I have a problem.", "I need some help.", "Hi, I have a question"],
            &[
                "hello how much is delivery",
                "I have a question about gift cards",
                "",
                "yes",
                "I have a problem with my mower",
            ],
        );
    }
}
