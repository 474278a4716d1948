//! The smaller questions: is that a listener's noise, a goodbye, a yes; shall we repeat, call back, take a message, wait.

use super::lexicon::{head_at, holds, is, machine_at, starts};
use crate::dialog::words::{Clause, clauses, stems, words};

/// The caller asks what they are talking to: "are you a real person?", "is this a recording".
pub fn asks_if_human(text: &str) -> bool {
    let clauses = clauses(text);
    // "…, aren't you?", "…, right?"
    let tag = clauses.iter().skip(1).any(|clause| {
        ["are not you", "are you", "is not it", "is it", "right", "correct", "yes"]
            .iter()
            .any(|tag| clause.join(" ") == *tag)
    });
    clauses.iter().any(|clause| identity_question(clause, tag))
}

fn identity_question(words: &Clause, tag: bool) -> bool {
    const OPENINGS: &[&str] = phrases![
        "are you" "are u" "is this" "is it" "is that" "you are" "am i talking" "am i speaking" "am i chatting"
        "are we speaking" "do i talk to" "do i speak to" "do i speak with" "was that" "this is" "is there"
        "have i got" "so you" "did i get"
    ];
    if phrases![
        "who am i talking to" "who am i speaking to" "who am i speaking with" "who is this" "what are you"
        "who are you" "what s your name" "what is your name"
    ]
    .iter()
    .any(|whole| holds(words, whole) && words.len() <= whole.split(' ').count() + 3)
    {
        return true;
    }
    let Some(start) = (0..words.len().min(4)).find(|&i| OPENINGS.iter().any(|opening| starts(words, i, opening)))
    else {
        return false;
    };
    // "you are a robot" asks only with a tag, "is there a person" only about what is behind the voice.
    let claims = ["you are", "so you", "this is"].iter().any(|opening| starts(words, start, opening));
    let there = starts(words, start, "is there");
    (start + 2..words.len().min(start + 10)).any(|i| {
        let end = if let Some(len) = head_at(words, i) {
            i + len
        } else if machine_at(words, i).is_some() {
            i + 1
        } else if is(words, i, words![real human alive automated computerised computerized artificial]) {
            if is(words, i, &["real"]) && !(starts(words, start, "are you") || is(words, start, &["you"])) {
                return false;
            }
            i + 1
        } else {
            return false;
        };
        let vague = words[i].starts_with("some") || words[i].starts_with("any");
        let closes = end >= words.len()
            || is(
                words,
                end,
                words![
                    or that i talking speaking then answering system voice here line please right are is am behind
                    intelligence being and to on at not now really assistant message
                ],
            )
            || head_at(words, end).is_some()
            || machine_at(words, end).is_some();
        let tagged = !claims || tag || words.len() > end || holds(words, "not");
        // "are you able to transfer me to a person" is no question about us.
        let plain = words[start + 2..i].iter().enumerate().all(|(at, word)| {
            const BETWEEN: &[&str] = words![
                a an the really actually even just talking speaking to with some any kind of sort like or not only in fact i
                customer service live real you actual chatting being on now honestly
            ];
            BETWEEN.contains(&word.as_str()) || machine_at(words, start + 2 + at).is_some() || head_at(words, start + 2 + at).is_some()
        });
        closes && plain && !vague && tagged && (!there || is(words, end, &["behind"]))
    })
}

/// A listener's noise: "mm-hm", "yeah", "okay". Over playback it is no reason to stop. Silence is none either.
pub fn backchannel(text: &str) -> bool {
    const NOISES: &[&str] = words![
        mm mmm mhm mmhm mmhmm mhmm hm hmm hmmm um uh huh uhhuh aha ah oh yeah yea yep yup yes ya okay ok okey right
        sure alright all good great fine cool nice perfect wow really got it i see understood well so m h k true
        exactly indeed kay
    ];
    // Words that are noise only in company: "I see", "got it", "all right".
    const NEVER_ALONE: &[&str] = words![i it all so got see m h];
    let said = words(text);
    !said.is_empty()
        && said.len() <= 5
        && said.iter().all(|word| NOISES.contains(&word.as_str()))
        && !said.iter().all(|word| NEVER_ALONE.contains(&word.as_str()) && !["see", "got"].contains(&word.as_str()))
        && said != ["huh"]
}

/// The caller is done: "bye", "that's all, thanks", "nothing else".
pub fn says_goodbye(text: &str) -> bool {
    let clauses = clauses(text);
    let count: usize = clauses.iter().map(Vec::len).sum();
    if count == 0 || count > 16 {
        return false;
    }
    clauses.iter().any(|clause| {
        let last = |phrase: &str| {
            let len = phrase.split(' ').count();
            clause.len() >= len && (clause.len() - len..=clause.len() - len).any(|i| starts(clause, i, phrase))
        };
        let trimmed: Clause = {
            let mut trimmed = clause.clone();
            while is(
                &trimmed,
                trimmed.len().wrapping_sub(1),
                words![then thanks thank you now please cheers for today so much very],
            ) && trimmed.len() > 1
            {
                trimmed.pop();
            }
            trimmed
        };
        let ends = |phrase: &str| {
            let len = phrase.split(' ').count();
            last(phrase) || (trimmed.len() >= len && starts(&trimmed, trimmed.len() - len, phrase))
        };
        let negated = is(clause, 0, words![before do how what why if when is]) || holds(clause, "not say");
        !negated
            && (phrases![
                "bye" "goodbye" "bye bye" "good bye" "that s all" "that is all" "that s it" "that is it"
                "that will be all" "that would be all" "that s everything" "that is everything" "nothing else"
                "nothing more" "no more questions" "have a nice day" "have a good day" "have a good one"
                "have a great day" "see you" "see you later" "talk to you later" "i am done" "we are done" "all done"
                "i am good" "i am all set" "all set" "good night" "ciao" "ta ta" "cheerio" "all i needed"
                "all i wanted to know" "no further questions" "hang up" "i will let you go" "take care" "farewell"
            ]
            .iter()
            .any(|phrase| ends(phrase)))
    })
}

/// The caller did not hear: "pardon?", "say that again", "sorry, what?".
pub fn asks_to_repeat(text: &str) -> bool {
    let clauses = clauses(text);
    let all: Vec<String> = clauses.iter().flatten().cloned().collect();
    if all.is_empty() || all.len() > 14 {
        return false;
    }
    const WHOLE: &[&str] = phrases![
        "what" "sorry" "pardon" "pardon me" "sorry what" "what sorry" "huh" "again" "again please" "excuse me"
        "come again" "i beg your pardon" "beg your pardon" "what was that" "sorry what was that" "one more time"
        "one more time please" "repeat" "repeat please" "please repeat" "what s that" "say what" "eh" "sorry again"
        "once more" "once more please" "i am sorry what" "hm sorry" "what did you say"
    ];
    let joined = all.join(" ");
    if WHOLE.contains(&joined.as_str()) {
        return true;
    }
    const INSIDE: &[&str] = phrases![
        "say that again" "say it again" "say again" "repeat that" "repeat it" "repeat please" "repeat what you"
        "repeat yourself" "what did you say" "what did you just say" "did not catch" "did not hear" "did not get that"
        "did not understand that" "could not hear" "can not hear you" "can not understand you" "missed that"
        "speak up" "speak slower" "speak more slowly" "slow down" "tell me again" "tell me that again"
        "what was that again" "you repeat" "go over that again" "one more time" "you say that" "what you said"
        "louder" "did not quite" "run that by me again" "was that again" "come again please"
    ];
    let about_goods = ["order", "reorder"]
        .iter()
        .any(|word| joined.contains(&format!("my {word}")) || joined.contains(&format!("the {word}")));
    !about_goods && INSIDE.iter().any(|phrase| holds(&all, phrase))
}

/// Yes, no, or neither of them.
pub fn yes_no(text: &str) -> Option<bool> {
    const YES: &[&str] = words![
        yes yeah yea yep yup yah sure okay ok absolutely definitely certainly correct right alright affirmative
        indeed exactly aye fine perfect great
    ];
    const YES_PHRASES: &[&str] = phrases![
        "of course" "go ahead" "please do" "do it" "do that" "that s right" "that is right" "that would be great"
        "that would be good" "that would be nice" "that s fine" "that s correct" "sounds good" "why not" "i would"
        "i do" "i am" "it is" "go on" "all right" "by all means" "that works" "let s do that" "you can" "uh huh"
        "mm hm" "mhm" "if you could" "would be lovely"
    ];
    const NO: &[&str] = words![no nope nah na negative never neither wrong incorrect];
    const NO_PHRASES: &[&str] = phrases![
        "not really" "not now" "not yet" "not today" "do not" "not at all" "i would not" "i would rather not"
        "that s wrong" "that is not" "it is not" "of course not" "certainly not" "definitely not" "absolutely not"
        "not necessary" "no need" "leave it" "forget it" "never mind" "do not think so" "not right" "not correct"
        "i am not" "uh uh" "not quite" "not sure i want"
    ];
    let said = words(text);
    if said.is_empty() || said.len() > 16 {
        return None;
    }
    if phrases!["do not know" "no idea" "not sure" "do not understand" "maybe" "can not hear"]
        .iter()
        .any(|phrase| holds(&said, phrase))
    {
        return None;
    }
    if ["no problem", "no worries", "do not mind", "would not mind"].iter().any(|phrase| holds(&said, phrase)) {
        return Some(true);
    }
    if said == ["please"] {
        return Some(true);
    }
    let no_phrase = NO_PHRASES.iter().any(|phrase| holds(&said, phrase));
    let yes_phrase = YES_PHRASES.iter().any(|phrase| holds(&said, phrase));
    // The first word that says either decides, unless a phrase says more.
    let first = said.iter().take(4).find_map(|word| {
        if NO.contains(&word.as_str()) { Some(false) } else { (YES.contains(&word.as_str())).then_some(true) }
    });
    let both = said.iter().any(|word| ["yes", "yeah", "yep"].contains(&word.as_str()))
        && said.iter().any(|word| ["no", "nope"].contains(&word.as_str()));
    match (first, no_phrase, yes_phrase) {
        _ if both => None,
        (Some(true), true, _) => None,
        (Some(answer), ..) => Some(answer),
        (None, true, _) => Some(false),
        (None, false, true) if said.len() <= 6 => Some(true),
        _ => None,
    }
}

/// The first of `topics` that `text` is about: its words, in any of their forms, close together and whole.
pub fn forbidden_topic<'a>(text: &str, topics: &'a [String]) -> Option<&'a str> {
    let said = stems(text);
    topics.iter().map(String::as_str).find(|topic| {
        let wanted = stems(topic);
        if wanted.is_empty() {
            return false;
        }
        if wanted.len() == 1 {
            return said.contains(&wanted[0]);
        }
        // "my card was stolen" is "stolen card": all its words within a few words, in any order.
        let reach = wanted.len() + 3;
        (0..said.len()).any(|i| {
            let window = &said[i..said.len().min(i + reach)];
            wanted.contains(&said[i]) && wanted.iter().all(|stem| window.contains(stem))
        })
    })
}

/// The caller wants to leave a message.
pub fn wants_message(text: &str) -> bool {
    clauses(text).iter().any(|clause| {
        if refuses(clause, &["message", "voicemail", "voice", "msg"]) {
            return false;
        }
        let said = |phrases: &[&str]| phrases.iter().any(|phrase| holds(clause, phrase));
        let only: Vec<&str> = clause.iter().map(String::as_str).filter(|word| !POLITE.contains(word)).collect();
        matches!(
            only[..],
            ["message"]
                | ["voicemail"]
                | ["voice", "mail"]
                | ["voice", "message"]
                | ["option", "message"]
                | ["the", "first"]
        ) || (said(phrases!["leave" "take" "record" "leaving" "pass on" "give them"])
            && said(phrases!["message" "messages" "massage" "voicemail" "voice mail" "a word for them"])
            && !said(&["did you take", "leave a message with", "left"]))
    })
}

/// The caller wants to be called back.
pub fn wants_callback(text: &str) -> bool {
    clauses(text).iter().any(|clause| {
        if refuses(clause, words![call callback ring phone back]) {
            return false;
        }
        let said = |phrases: &[&str]| phrases.iter().any(|phrase| holds(clause, phrase));
        let only: Vec<&str> = clause.iter().map(String::as_str).filter(|word| !POLITE.contains(word)).collect();
        matches!(only[..], ["callback"] | ["call", "back"] | ["call", "me"] | ["ring", "me"] | ["return", "call"])
            || said(phrases![
                "call me back" "ring me back" "phone me back" "call me later" "ring me later" "call me when"
                "ring me when" "phone me when" "call back please" "get back to me" "return my call" "give me a call"
                "give me a ring" "call me tomorrow" "call me this" "call us back" "called back" "phoned back"
                "rung back" "a callback" "a call back" "the callback" "the call back" "phone me later"
                "call me instead" "cal me back" "call my number" "call me on" "call me at" "someone call me"
                "somebody call me" "calls me back" "calling me back"
            ]) && !said(phrases![
                "did not call" "nobody called" "never called" "you called me" "called me back yesterday"
            ])
    })
}

/// A waiting caller would rather go on with the assistant: "never mind, I'll ask the assistant", "back to the robot".
pub fn wants_assistant(text: &str) -> bool {
    clauses(text).iter().any(|clause| {
        let said = |phrases: &[&str]| phrases.iter().any(|phrase| holds(clause, phrase));
        let machine = said(phrases!["assistant" "robot" "bot" "machine" "computer" "ai"]);
        !refuses(clause, words![assistant robot bot machine computer ai])
            && (said(phrases!["never mind" "nevermind" "forget the agent" "go back to the menu"])
                || machine && said(phrases!["back to" "go back" "return to" "talk to" "speak to" "ask" "instead"]))
    })
}

/// The caller wants to stay in the queue: "I'll wait", "keep me on hold".
pub fn keep_waiting(text: &str) -> bool {
    clauses(text).iter().any(|clause| {
        if refuses(clause, words![wait waiting hold holding stay])
            || holds(clause, "how long")
            || holds(clause, "have to wait")
            || holds(clause, "sick of")
            || holds(clause, "tired of")
        {
            return false;
        }
        let said = |phrases: &[&str]| phrases.iter().any(|phrase| holds(clause, phrase));
        let only: Vec<&str> = clause.iter().map(String::as_str).filter(|word| !POLITE.contains(word)).collect();
        matches!(
            only[..],
            ["wait"] | ["hold"] | ["waiting"] | ["holding"] | ["keep", "waiting"] | ["keep", "holding"] | ["stay"]
        ) || said(phrases![
            "will wait" "will hold" "will stay" "keep waiting" "keep holding" "stay on the line" "stay on hold"
            "on hold" "stay in the queue" "stay in line" "rather wait" "rather hold" "can wait" "can hold"
            "happy to wait" "happy to hold" "want to wait" "like to wait" "prefer to wait" "going to wait"
            "hold the line" "keep my place" "continue waiting" "continue to wait" "just wait" "just hold"
            "do not mind waiting" "stay here"
        ])
    })
}

const POLITE: &[&str] = words![
    please yes yeah okay ok um uh just a the i would like want to thanks thank you then can could let me well no leave
    will s
];

/// The clause says no to one of `things`: "I don't want to leave a message", "I can't wait".
fn refuses(clause: &Clause, things: &[&str]) -> bool {
    let Some(at) = clause.iter().position(|word| things.contains(&word.as_str())) else {
        return false;
    };
    let before = &clause[..at];
    let negator = before.iter().rposition(|word| ["not", "never", "without", "instead"].contains(&word.as_str()));
    // "why don't you call me", "can't you call me back", "I don't mind waiting": wishes in the form of a negation.
    negator.is_some_and(|not| {
        let wish = before[not..].iter().any(|word| ["mind", "you", "care"].contains(&word.as_str()));
        !wish && at - not <= 6
    })
}
