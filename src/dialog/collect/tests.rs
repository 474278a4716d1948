use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 11, 25);

fn number(least: usize, most: usize, checksum: Checksum) -> Kind {
    Kind::Digits { length: (least, most), checksum, ask: "Which number?".to_owned() }
}

fn order() -> Kind {
    number(4, 8, Checksum::None)
}

#[track_caller]
fn heard(kind: &Kind, text: &str, value: &str) {
    let expected = (!value.is_empty()).then(|| value.to_owned());
    assert_eq!(kind.parse(text, TODAY), expected, "{text}");
}

#[test]
fn digits_are_heard_as_callers_say_them() {
    for (text, value) in [
        ("four four one seven", "4417"),
        ("Four, four, one, seven.", "4417"),
        ("it's 4417", "4417"),
        ("44 17", "4417"),
        ("44-17", "4417"),
        ("4,417", "4417"),
        ("forty four seventeen", "4417"),
        ("double four one seven", "4417"),
        ("triple four one", "4441"),
        ("oh four oh one", ""),
        ("zero four oh one", "0401"),
        ("four oh oh seven", "4007"),
        ("four thousand four hundred seventeen", "4417"),
        ("four thousand four hundred and seventeen", "4417"),
        ("twenty thousand four hundred eighteen", "20418"),
        ("four four uh one seven", "4417"),
        ("four to four four", "4244"),
        ("my order number is 4 4 1 7 thank you", "4417"),
        ("4411, no, 4417", "4417"),
        ("four four one", ""),
        ("one two three four five six seven eight nine", ""),
        ("I don't know", ""),
        ("", ""),
    ] {
        heard(&order(), text, value);
    }
}

#[test]
fn a_number_proves_itself() {
    let card = number(16, 16, Checksum::Luhn);
    heard(&card, "4111 1111 1111 1111", "4111111111111111");
    heard(&card, "4111 1111 1111 1112", "");
    let goods = number(13, 13, Checksum::Gs1);
    heard(&goods, "4006381333931", "4006381333931");
    heard(&goods, "4006381333932", "");
}

#[test]
fn amounts_are_heard() {
    let amount = Kind::Amount { ask: "How much?".to_owned() };
    for (text, value) in [
        ("$49.90", "49.90"),
        ("49.90", "49.90"),
        ("forty nine dollars and ninety cents", "49.90"),
        ("forty nine dollars ninety", "49.90"),
        ("forty nine ninety dollars", "90.00"),
        ("forty nine point nine oh", "49.90"),
        ("a hundred dollars", ""),
        ("one hundred and five dollars", "105.00"),
        ("two thousand three hundred dollars", "2300.00"),
        ("1,250 dollars", "1250.00"),
        ("ninety cents", "0.90"),
        ("twelve", "12.00"),
        ("nothing", ""),
    ] {
        heard(&amount, text, value);
    }
}

#[test]
fn days_are_heard() {
    let day = Kind::Date { ask: "Which day?".to_owned() };
    for (text, value) in [
        ("December third", "2026-12-03"),
        ("the 3rd of December", "2026-12-03"),
        ("December the twenty first", "2026-12-21"),
        ("on the third of March 2025", "2025-03-03"),
        ("January fifth", "2027-01-05"),
        ("November 20", "2026-11-20"),
        ("march 3rd twenty twenty seven", "2027-03-03"),
        ("12/24/2026", "2026-12-24"),
        ("2026-12-24", "2026-12-24"),
        ("today", "2026-11-25"),
        ("yesterday", "2026-11-24"),
        ("the day after tomorrow", "2026-11-27"),
        ("last Monday", "2026-11-23"),
        ("next Friday", "2026-11-27"),
        ("on Wednesday", "2026-11-25"),
        ("February thirtieth", ""),
        ("some day", ""),
    ] {
        heard(&day, text, value);
    }
}

#[test]
fn addresses_are_heard() {
    let email = Kind::Email { ask: "Which address?".to_owned() };
    for (text, value) in [
        ("jo@example.com", "jo@example.com"),
        ("It's Jo.Smith@example.com.", "jo.smith@example.com"),
        ("jo dot smith at example dot com", "jo.smith@example.com"),
        ("my email is j o at example dot co dot uk", "jo@example.co.uk"),
        ("J-O at example.com", "jo@example.com"),
        ("jo underscore smith seven at example dot com please", "jo_smith7@example.com"),
        ("jo at example", ""),
        ("at example dot com", ""),
        ("I am at home", ""),
    ] {
        heard(&email, text, value);
    }
}

/// What becomes of `value`, read back, when the caller says `text`.
#[track_caller]
fn corrects(kind: &Kind, value: &str, text: &str, better: Option<&str>) {
    assert_eq!(correct::corrected(kind, value, text, TODAY).as_deref(), better, "{value}: {text}");
}

#[test]
fn what_was_read_back_is_put_right() {
    for (value, text, better) in [
        ("4417", "no, eight, not seven", Some("4418")),
        ("4417", "not seven, eight", Some("4418")),
        ("4417", "no, not seven but eight", Some("4418")),
        ("41147", "no, seven, not eleven", Some("4747")),
        ("4417", "no, 4 4 1 8", Some("4418")),
        ("4417", "the last digit is nine", Some("4419")),
        ("4417", "no the second one is five", Some("4517")),
        ("4417", "no, five, not four", None),
        ("4417", "no", None),
        ("4417", "yes", None),
        ("4417", "4417", None),
        ("4417", "nine, not eight", None),
    ] {
        corrects(&order(), value, text, better);
    }
    let day = Kind::Date { ask: String::new() };
    corrects(&day, "2026-12-11", "no, the seventh, not the eleventh", Some("2026-12-07"));
    corrects(&day, "2026-12-11", "no, December twelfth", Some("2026-12-12"));
    corrects(&day, "2026-12-11", "yes", None);
    let amount = Kind::Amount { ask: String::new() };
    corrects(&amount, "11.90", "no, seven, not eleven", Some("7.90"));
    corrects(&amount, "11.90", "no, twelve dollars", Some("12.00"));
    corrects(&amount, "11.90", "yes that's the one", None);
    let email = Kind::Email { ask: String::new() };
    corrects(&email, "jo@example.com", "no, joe at example dot com", Some("joe@example.com"));
}

#[test]
fn a_value_is_read_back_agreed_to_and_done() {
    let (mut collecting, next) = Collecting::begin(order(), "hello", TODAY);
    assert_eq!(next, Next::Say("Which number?".to_owned()));
    assert_eq!(collecting.heard("4417", TODAY), Next::Say("That is four four one seven. Is that right?".to_owned()));
    assert_eq!(
        collecting.heard("no, eight, not seven", TODAY),
        Next::Say("That is four four one eight. Is that right?".to_owned())
    );
    assert_eq!(collecting.heard("yes", TODAY), Next::Done("4418".to_owned()));
}

#[test]
fn two_tries_then_a_person_and_ways_out() {
    let begin = || Collecting::begin(order(), "", TODAY).0;
    let mut collecting = begin();
    assert!(matches!(collecting.heard("what do you mean", TODAY), Next::Say(_)));
    assert_eq!(collecting.heard("the green one", TODAY), Next::GiveUp);
    let mut collecting = begin();
    collecting.heard("4417", TODAY);
    assert!(matches!(collecting.heard("no", TODAY), Next::Say(_)), "asked again");
    collecting.heard("4418", TODAY);
    assert_eq!(collecting.heard("no", TODAY), Next::GiveUp);
    assert_eq!(begin().heard("I don't have it with me", TODAY), Next::GiveUp);
    assert_eq!(begin().heard("oh never mind", TODAY), Next::Dropped);
}

proptest! {
    #[test]
    fn nothing_a_caller_says_panics_and_values_are_valid(
        first in "[ -~]{0,60}",
        words in prop::collection::vec(prop::sample::select(vec![
            "not", "no", "four", "double", "hundred", "thousand", "at", "dot", "example", "of", "march", "third", "4417",
            "dollars", "and", "point", "oh", "last", "digit", "is", "but", "twenty", "@", "-", "999999999", "€",
        ]), 0..12),
    ) {
        for text in [first, words.join(" ")] {
            for kind in [order(), number(6, 6, Checksum::Luhn), Kind::Amount { ask: String::new() },
                Kind::Date { ask: String::new() }, Kind::Email { ask: String::new() }]
            {
                let (mut collecting, _) = Collecting::begin(kind.clone(), &text, TODAY);
                for _ in 0..3 {
                    if let Next::Done(value) = collecting.heard(&text, TODAY) {
                        prop_assert!(kind.accepts(&value), "{value}");
                    }
                }
                for value in ["4417", "11.90", "2026-12-11", "jo@example.com"] {
                    if let Some(better) = correct::corrected(&kind, value, &text, TODAY) {
                        prop_assert!(kind.accepts(&better));
                    }
                }
            }
        }
    }
}

/// Keys one after the other, as the caller presses them.
fn pressed(kind: Kind, keys: &str) -> Next {
    let (mut collecting, _) = Collecting::begin(kind, "", TODAY);
    let mut next = Next::Wait;
    for key in keys.chars() {
        next = collecting.key(key);
    }
    next
}

#[test]
fn amounts_and_days_are_keyed_in_and_read_back() {
    let amount = || Kind::Amount { ask: "How much?".to_owned() };
    let day = || Kind::Date { ask: "Which day?".to_owned() };
    let says = |next: Next, part: &str| matches!(&next, Next::Say(text) if text.contains(part));
    assert!(says(pressed(amount(), "49*90#"), "That is $49.90."));
    assert!(says(pressed(amount(), "49#"), "That is $49.00."));
    assert!(says(pressed(amount(), "49*9#"), "That is $49.90."));
    assert!(says(pressed(amount(), "49*901#"), "I didn't get that"));
    assert!(says(pressed(day(), "1125#"), "November 25, 2026"));
    assert!(says(pressed(day(), "01032027#"), "January 3, 2027"));
    assert!(says(pressed(day(), "1325#"), "I didn't get that"));
    assert_eq!(pressed(amount(), "0#"), Next::Zero, "the key for a person");
    assert_eq!(pressed(Kind::Name { ask: "Your name?".to_owned() }, "1"), Next::Wait);
}

#[test]
fn a_name_is_read_back_and_put_right() {
    let kind = Kind::Name { ask: "What is your name?".to_owned() };
    let (mut collecting, first) = Collecting::begin(kind, "where is my parcel to the moon and back please", TODAY);
    assert_eq!(first, Next::Say("What is your name?".to_owned()));
    let says = |next: Next, part: &str| assert!(matches!(&next, Next::Say(text) if text.contains(part)), "{next:?}");
    says(collecting.heard("Dana Whitlok", TODAY), "That is Dana Whitlok, spelled W H I T L O K. Is that right?");
    says(collecting.heard("no, with a C K, not a K", TODAY), "W H I T L O C K");
    says(collecting.heard("no, it's spelled W H I T E L O C K", TODAY), "That is Dana Whitelock");
    assert_eq!(collecting.heard("yes", TODAY), Next::Done("Dana Whitelock".to_owned()));
}
