use proptest::prelude::*;

use super::*;

const DELIVERY: &str = "Standard delivery costs $4.90, takes 3 to 5 working days and is free for orders over $50. Express delivery costs \
    $9.90 and comes the next working day for orders placed before 2 pm. We deliver to Canada. Write to help@larkfield.example or call \
    503-555-0142. The guarantee is 12 months, 10% off, returns within 30 days, open from 8 in the morning to 8 pm on Sunday. \
    Your code has 16 digits. We replace the plant once or refund you.";

fn guard() -> GroundingGuard {
    GroundingGuard::new([
        DELIVERY,
        "hi my name is Alex and my order number is 4 4 1 7 2 9 I paid twenty dollars",
        "Larkfield",
    ])
}

#[track_caller]
fn speaks(sentence: &str) {
    assert_eq!(guard().check(sentence), Ok(()), "{sentence}");
}

#[track_caller]
fn blocks(kind: BlockedKind, sentence: &str) {
    match guard().check(sentence) {
        Ok(()) => panic!("spoken: {sentence}"),
        Err(blocked) => assert_eq!(blocked.kind, kind, "{sentence}: {blocked}"),
    }
}

#[test]
fn numbers_are_the_same_however_they_are_written() {
    for sentence in [
        "It costs $4.90.",
        "It costs 4 dollars 90.",
        "It costs four dollars and ninety cents.",
        "It costs four dollars ninety.",
        "It costs four ninety.",
        "Orders over fifty dollars are free.",
        "Orders over 50 are free.",
        "It takes three to five working days.",
        "It takes 3-5 business days.",
        "It takes 3 or 5 days.",
        "You have thirty days.",
        "That is a 30-day return window.",
        "The guarantee is one year.",
        "The guarantee lasts twelve months.",
        "You get 10 percent off.",
        "You get ten percent off.",
        "You get 10% off.",
        "Order before 2 p.m. to get it the next day.",
        "Order before 14:00.",
        "Order by two in the afternoon.",
        "We open at 8 am.",
        "We open at eight o'clock.",
        "We open at 8:00.",
        "We close at 8 in the evening.",
        "You paid $20.",
        "The code has sixteen digits.",
        "That is one of our plants.",
    ] {
        speaks(sentence);
    }
}

#[test]
fn numbers_nobody_gave_are_blocked() {
    for sentence in [
        "It costs $5.90.",
        "It costs $490.",
        "It costs five dollars.",
        "It costs nine fifty.",
        "It takes 7 days.",
        "It takes two weeks.",
        "You have 30 minutes.",
        "You have thirty hours.",
        "The guarantee is 12 weeks.",
        "The guarantee is two years.",
        "You get 15% off.",
        "You get $10 off.",
        "You get twenty percent off.",
        "Order before 3 pm.",
        "Order before 2 am.",
        "We close at 9.",
        "We are open 24/7.",
        "We open at noon.",
        "It weighs a hundred pounds.",
        "There are four dozen in stock.",
        "Orders over a thousand dollars are free.",
        "You have six options.",
    ] {
        blocks(BlockedKind::Number, sentence);
    }
}

#[test]
fn contacts_must_be_known() {
    for sentence in [
        "Write to help@larkfield.example.",
        "Write to help at larkfield dot example.",
        "Call 503-555-0142.",
        "Call (503) 555 0142.",
        "Call five oh three, five five five, oh one four two.",
        "Your order number is 441729.",
        "See larkfield.example.",
    ] {
        speaks(sentence);
    }
    for sentence in [
        "Write to info@larkfield.example.",
        "Write to help@larkfield.com.",
        "Write to support at larkfield dot com.",
        "Call 1-800-555-0199.",
        "Call 503-555-0143.",
        "Call eight hundred, five five five, oh one nine nine.",
        "Go to www.larkfield.com/returns.",
        "See https://shop.example/track.",
    ] {
        let kind = guard().check(sentence).expect_err(sentence).kind;
        // "eight hundred" is a number before the rest is a phone number.
        assert!(matches!(kind, BlockedKind::Contact | BlockedKind::Number), "{sentence}");
    }
}

#[test]
fn names_must_be_known() {
    for sentence in [
        "We deliver to Canada.",
        "Larkfield delivers on Sunday.",
        "Thank you, Alex.",
        "Yes, I'm sure. It is free.",
        "Express delivery is faster.",
        "OK, I see.",
        "Standard Delivery is cheap.",
    ] {
        speaks(sentence);
    }
    for sentence in [
        "We deliver to Ireland.",
        "Ireland is not covered.",
        "we ship by fedex.",
        "Thank you, Mr. Smith.",
        "John Smith will help.",
        "DHL brings it.",
        "You can pay with Klarna.",
        "It comes on Tuesday.",
        "Our shop is in Springfield.",
        "Ask for the Deluxe model.",
    ] {
        blocks(BlockedKind::Name, sentence);
    }
}

#[test]
fn promises_and_acts_are_blocked() {
    for sentence in [
        "I promise it will come.",
        "Rest assured, it comes.",
        "I'll cancel your order.",
        "I will send you a label.",
        "I can check your order for you.",
        "Let me look that up.",
        "Let me check the status.",
        "I have cancelled your order.",
        "I've just sent you an email.",
        "I'm going to refund you.",
        "Your order has been shipped.",
        "Your refund was processed.",
        "Your parcel is on its way.",
        "I would be happy to process that.",
    ] {
        blocks(BlockedKind::Promise, sentence);
    }
    for sentence in [
        "I'll get you a person.",
        "I can put you through to a colleague.",
        "I can help with that.",
        "Let me explain.",
        "I'm happy to help.",
        "We replace the plant once or refund you.",
        "You get an email when your order has been shipped.",
        "I'm sorry, I don't know that.",
        "Would you like me to find a person for you?",
        "I will connect you to an agent.",
    ] {
        speaks(sentence);
    }
}

#[test]
fn a_person_is_never_denied() {
    for sentence in [
        "I can't transfer you.",
        "I'm unable to connect you with a human.",
        "I am not able to put you through.",
        "There is no person available.",
        "There are no agents here.",
        "Our agents are busy.",
        "A human is not available.",
        "I cannot let you speak to a person.",
        "Sorry, I can't get you a human.",
    ] {
        blocks(BlockedKind::RefusesPerson, sentence);
    }
    for sentence in
        ["I can't tell you that, but a person can.", "No, the person who signs keeps the label.", "I can't say."]
    {
        speaks(sentence);
    }
}

#[test]
fn it_does_not_speak_of_models_or_pass_for_a_person() {
    for sentence in [
        "As an AI language model, I can't know.",
        "I'm just a computer program.",
        "According to the notes, it is free.",
        "I'm a human.",
        "I am not a robot.",
        "My name is Alex.",
        "我们送货到加拿大。",
        "Доставка бесплатна.",
        "I was trained by somebody.",
    ] {
        blocks(BlockedKind::Slip, sentence);
    }
    speaks("I'm an automated assistant.");
    speaks("A café is next door.");
}

#[test]
fn every_approved_answer_passes_its_own_entry() {
    let knowledge = crate::dialog::knowledge::Knowledge::load(std::path::Path::new("")).expect("built in");
    for entry in knowledge.entries() {
        let guard = GroundingGuard::new([entry.title.as_str(), entry.body.as_str(), "Larkfield"]);
        for answer in &entry.answers {
            for sentence in sentences(&answer.approved) {
                assert_eq!(guard.check(&sentence), Ok(()), "{}: {sentence}", entry.id);
            }
            let spoken = crate::dialog::speakable::speakable(&answer.approved);
            assert_eq!(guard.check(&spoken), Ok(()), "{}: {spoken}", entry.id);
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics(source in any::<String>(), sentence in any::<String>()) {
        let _ = GroundingGuard::new([source.as_str()]).check(&sentence);
    }

    #[test]
    fn numbers_and_units_in_any_order_do_not_panic(
        bits in proptest::collection::vec(proptest::sample::select(vec![
            "$4.90", "4", "dollars", "ninety", "cents", "and", "to", "five", "hundred", "a", "thousand", "days", "8:30", "pm", "in the", "evening",
            "%", "12am", "3rd", "24/7", "-", "zero", "oh", "one", "99999999999999999999", "1.2.3", "@", "x@y.com", "dot", "at", "noon", "your order was",
        ]), 0..20),
    ) {
        let text = bits.join(" ");
        let _ = guard().check(&text);
        // What is in the sources may be said.
        let own = GroundingGuard::new([text.as_str()]);
        if let Err(blocked) = own.check(&text) {
            prop_assert!(!matches!(blocked.kind, BlockedKind::Number | BlockedKind::Contact), "{text}: {blocked}");
        }
    }

    #[test]
    fn a_price_is_found_again_in_words(dollars in 1u64..200, cents in 10u64..100) {
        let guard = GroundingGuard::new([format!("It costs ${dollars}.{cents:02} today.").as_str()]);
        let spoken = crate::dialog::speakable::speakable(&format!("It costs ${dollars}.{cents:02}."));
        prop_assert_eq!(guard.check(&spoken), Ok(()), "{}", spoken);
        let other = format!("It costs ${}.{cents:02}.", dollars + 1);
        prop_assert!(guard.check(&other).is_err());
    }
}

fn sentences(text: &str) -> Vec<String> {
    let mut splitter = crate::dialog::speakable::Sentences::new();
    let mut out = splitter.push(text);
    out.extend(splitter.finish());
    out
}
