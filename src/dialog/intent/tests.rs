use proptest::prelude::*;

use super::*;

const ROWS: &str = include_str!("../../../tests/fixtures/intent/person.txt");

fn rows() -> impl Iterator<Item = (bool, &'static str)> {
    ROWS.lines().filter_map(|line| match line.split_at_checked(1)? {
        ("+", text) => Some((true, text.trim())),
        ("-", text) => Some((false, text.trim())),
        _ => None,
    })
}

#[test]
fn every_row_is_told_right() {
    let (positive, negative): (Vec<_>, Vec<_>) = rows().partition(|(wanted, _)| *wanted);
    assert!(positive.len() >= 100 && negative.len() >= 60, "{} and {} rows", positive.len(), negative.len());
    let wrong: Vec<String> = rows()
        .filter_map(|(wanted, text)| {
            let got = wants_person(text);
            (got.is_some() != wanted).then(|| format!("{} {text}   → {got:?}", if wanted { '+' } else { '-' }))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows are told wrong:\n{}", wrong.len(), rows().count(), wrong.join("\n"));
}

/// Of a file of what was heard on noisy lines: how many requests are met within one turn, which is at once or by a "yes" to the
/// question that follows; of how many; those missed; and of the others, how many are asked that question if nothing answers them.
fn within_one_turn(file: &str) -> (usize, usize, Vec<&str>, usize) {
    let rows = || file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
    // As in `asks_back` of the machine.
    let offered = |row: &Vec<&str>| {
        let doubtful = row[1].parse::<f32>().is_ok_and(|sure| sure < 0.65) && !row[3].is_empty();
        doubtful && !rules_person_out(row[3]) || may_want_person(row[3])
    };
    let met = |row: &Vec<&str>| wants_person(row[3]).is_some() || offered(row);
    let asks = || rows().filter(|row| row[0] == "+");
    let missed: Vec<&str> = asks().filter(|row| !met(row)).map(|row| row[3]).collect();
    let others = rows().filter(|row| row[0] == "-" && offered(row) && wants_person(row[3]).is_none());
    (asks().count() - missed.len(), asks().count(), missed, others.count())
}

#[test]
fn requests_on_a_noisy_line_are_met_within_one_turn() {
    let (met, asks, missed, others) = within_one_turn(include_str!("../../../tests/fixtures/intent/heard.tsv"));
    println!("fitting: {met} of {asks} within one turn, {others} others asked; missed: {missed:#?}");
    assert!(met * 100 >= asks * 98, "{missed:?}");
    let (met, asks, missed, others) = within_one_turn(include_str!("../../../tests/fixtures/intent/heard_judging.tsv"));
    println!("judging: {met} of {asks} within one turn, {others} others asked; {} missed", missed.len());
    let (met, asks, missed, others) = within_one_turn(include_str!("../../../tests/fixtures/intent/heard_voices.tsv"));
    println!("voices: {met} of {asks} within one turn, {others} others asked; missed: {missed:#?}");
    assert!(met * 100 >= asks * VOICES_MET, "{missed:?}");
}
/// Percent of the requests of several voices, some hard to understand, that are met within one turn.
const VOICES_MET: usize = 97;

/// What was heard on noisy lines: told requests of all, and what was taken for one, of all that are none.
fn heard(file: &str) -> (usize, usize, usize, usize, Vec<String>) {
    let rows: Vec<Vec<&str>> =
        file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| wants_person(row[3]).is_some() != (row[0] == "+"))
        .map(|row| row.join(" | "))
        .collect();
    let asks = rows.iter().filter(|row| row[0] == "+").count();
    let missed = wrong.iter().filter(|row| row.starts_with('+')).count();
    (asks, missed, rows.len() - asks, wrong.len() - missed, wrong)
}

#[test]
fn requests_are_told_from_what_was_heard_on_a_noisy_line() {
    let (asks, missed, others, taken, wrong) = heard(include_str!("../../../tests/fixtures/intent/heard.tsv"));
    println!("fitting: {missed} of {asks} missed, {taken} of {others} taken for one: {wrong:#?}");
    // What the rules reach. Lower them when the rules get better, never raise them to pass.
    assert!(asks >= 100 && others >= 60 && missed <= 12 && taken <= 3);
    let (asks, missed, others, taken, wrong) = heard(include_str!("../../../tests/fixtures/intent/heard_judging.tsv"));
    let sure =
        |row: &&String| row.split(" | ").nth(1).is_none_or(|sure| sure.parse::<f32>().is_ok_and(|sure| sure >= 0.45));
    let unnoticed = wrong.iter().filter(|row| row.starts_with('+')).filter(sure).count();
    println!(
        "judging: {missed} of {asks} missed, {unnoticed} so surely that nobody asks again; {taken} of {others} taken"
    );
    assert!(asks >= 100 && others >= 60 && missed <= 19 && taken <= 5);
}

/// `+ text` must answer true, `- text` false.
#[track_caller]
fn check(name: &str, tell: fn(&str) -> bool, rows: &str) {
    for line in rows.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sign, text) = line.split_at(1);
        assert_eq!(tell(text.trim()), sign == "+", "{name}: {line}");
    }
}

#[test]
fn a_request_is_found_while_it_is_spoken_but_a_beginning_is_not_taken_for_one() {
    let soon = |text: &str| wants_person_so_far(text).is_some();
    for (text, wanted) in [
        ("someone", false),
        ("somebody", false),
        ("agent", false),
        ("the agent", false),
        ("can I speak to a person", true),
        ("human please", true),
        ("agent agent", true),
        ("put me through", true),
        ("I don't want an", false),
    ] {
        assert_eq!(soon(text), wanted, "{text}");
    }
}

#[test]
fn questions_about_us_are_told_from_wishes() {
    check(
        "asks_if_human",
        asks_if_human,
        "+ are you a real person?
         + Are you human?
         + is this a human
         + are you a robot
         + is this a recording
         + am I talking to a human or a machine
         + am I speaking with a real person
         + are you an AI
         + is this an automated system
         + you're a robot, aren't you
         + you're not a real person are you
         + are you real
         + so are you a computer
         + who am I speaking to
         + what are you
         + is that a bot
         + is this a real person or a recording
         - are you open on Sunday
         - is this a machine washable cover
         - is it real leather
         - is there anyone there
         - are you able to transfer me to a person
         - I want to talk to a person
         - is this in stock
         - are you sure
         - is it a two person tent
         - is the robot mower any good
         - what are your opening hours
         - are you sending someone",
    );
}

#[test]
fn listening_noises_are_told_from_answers() {
    check(
        "backchannel",
        backchannel,
        "+ mm-hm
         + uh huh
         + Uh-huh.
         + yeah
         + Yeah, yeah.
         + okay
         + ok
         + right
         + I see
         + got it
         + oh okay
         + all right
         + sure
         + mhm
         + hmm
         + yes
         + oh wow
         - no
         - stop
         - wait
         - yeah but what about Canada
         - okay stop
         - hello
         - agent
         - what about delivery",
    );
}

#[test]
fn goodbyes_are_told() {
    check(
        "says_goodbye",
        says_goodbye,
        "+ bye
         + Goodbye.
         + bye bye
         + thanks bye
         + that's all
         + That's all, thank you.
         + no that's everything thanks
         + nothing else thank you
         + have a nice day
         + okay great that's it for today
         + I'm all set
         + see you later
         + no more questions
         + that's all I needed
         - that's all wrong
         - is that all
         - before I say bye what about the lamp
         - that's it exactly but which one
         - nothing else arrived in the box and the bench is missing a leg
         - do you sell goodbye cards
         - buy
         - hello
         - how do I say bye to the newsletter",
    );
}

#[test]
fn requests_to_repeat_are_told() {
    check(
        "asks_to_repeat",
        asks_to_repeat,
        "+ pardon?
         + Sorry?
         + what?
         + say that again
         + could you repeat that please
         + can you say that again
         + I didn't catch that
         + I did not hear you
         + come again
         + what did you say
         + one more time please
         + sorry what was that
         + can you speak up
         + slower please can you speak more slowly
         - can I repeat my order
         - I want to repeat the order from last week
         - what time do you open
         - what
           about delivery"
            .replace("- what\n           about delivery", "- what about delivery")
            .as_str(),
    );
}

#[test]
fn yes_and_no_are_told() {
    for (text, answer) in [
        ("yes", Some(true)),
        ("Yes please.", Some(true)),
        ("yeah go ahead", Some(true)),
        ("sure", Some(true)),
        ("okay", Some(true)),
        ("of course", Some(true)),
        ("that would be great", Some(true)),
        ("why not", Some(true)),
        ("uh huh", Some(true)),
        ("no problem", Some(true)),
        ("no", Some(false)),
        ("No thanks.", Some(false)),
        ("nope", Some(false)),
        ("not really", Some(false)),
        ("I don't think so", Some(false)),
        ("of course not", Some(false)),
        ("no leave it", Some(false)),
        ("please don't", Some(false)),
        ("not now", Some(false)),
        ("I don't know", None),
        ("maybe", None),
        ("yes no", None),
        ("what", None),
        ("", None),
        ("my order number is four", None),
    ] {
        assert_eq!(yes_no(text), answer, "{text}");
    }
}

#[test]
fn topics_are_whole_words_in_any_form() {
    let topics = ["legal advice", "lawyer", "lawsuit", "fraud", "stolen card", "medical"].map(str::to_owned);
    for (text, topic) in [
        ("I'll call my lawyers", Some("lawyer")),
        ("I need legal advice about this", Some("legal advice")),
        ("my card was stolen", Some("stolen card")),
        ("is this a Fraud", Some("fraud")),
        ("there are frauds on my account", Some("fraud")),
        ("do you sell plants with medical use", Some("medical")),
        ("the law on returns", None),
        ("a gift card, and my bike was parked near the wall where one was stolen", None),
        ("I lost my card", None),
        ("", None),
    ] {
        assert_eq!(forbidden_topic(text, &topics), topic, "{text}");
    }
    assert_eq!(forbidden_topic("anything", &["".to_owned()]), None);
}

#[test]
fn choices_while_waiting_are_told() {
    check(
        "wants_message",
        wants_message,
        "+ I'd like to leave a message
         + can I leave a message
         + take a message please
         + message
         + voicemail please
         + leave a message
         + I'll leave a message then
         + let me leave a voice mail
         - I don't want to leave a message
         - I got a message saying it was delivered
         - your message was confusing
         - call me back",
    );
    check(
        "wants_callback",
        wants_callback,
        "+ call me back
         + can you call me back please
         + callback
         + I'd like a callback
         + give me a call back
         + ring me back later
         + could someone call me tomorrow
         + why don't you call me back
         + a call back please
         - I'll call back later
         - don't call me back
         - nobody called me back
         - I'll wait
         - please don't phone me back",
    );
    check(
        "keep_waiting",
        keep_waiting,
        "+ I'll wait
         + keep waiting
         + I'll hold
         + I will stay on the line
         + keep me on hold
         + I'd rather wait
         + wait
         + I don't mind waiting
         + hold please
         - I can't wait
         - I don't want to wait
         - I'm not going to wait any longer
         - how long do I have to wait
         - call me back",
    );
}

/// Bits of language that the rules look at, to reach deeper than random characters would.
fn phrase() -> impl Strategy<Value = String> {
    let bits = [
        "agent", "a", "not", "do", "i", "want", "to", "speak", "the", "person", "'s", ",", "is there", "put me",
        "through", "no", "robot", "when", "get", "before", "one", "4.9", "’", "ß", "🙂", "human", "help", "can",
    ];
    proptest::collection::vec(proptest::sample::select(bits.to_vec()), 0..14).prop_map(|bits| bits.join(" "))
}

fn ask_everything(text: &str) {
    let _ = (wants_person(text), wants_person_so_far(text), asks_if_human(text), backchannel(text), says_goodbye(text));
    let _ = (asks_to_repeat(text), yes_no(text), wants_message(text), wants_callback(text), keep_waiting(text));
    let _ = forbidden_topic(text, &[text.to_owned(), "stolen card".to_owned()]);
}

proptest! {
    #[test]
    fn nothing_a_recogniser_writes_can_panic_here(text in any::<String>(), bits in phrase()) {
        ask_everything(&text);
        ask_everything(&bits);
    }

    #[test]
    fn case_and_punctuation_at_the_end_change_nothing(row in 0usize..300, end in "[.!?…]{0,2}") {
        if let Some((_, text)) = rows().nth(row) {
            prop_assert_eq!(wants_person(text).is_some(), wants_person(&format!("{}{end}", text.to_uppercase())).is_some());
        }
    }

    #[test]
    fn a_request_survives_what_was_said_before_it(row in 0usize..300) {
        let said = rows().filter(|(wanted, _)| *wanted).nth(row);
        if let Some((_, text)) = said {
            prop_assert!(wants_person(&format!("Hello, my name is Jo. {text}")).is_some(), "{text}");
        }
    }
}
