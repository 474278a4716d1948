//! What is written and how it is said, row by row; then what holds for any text.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(text, said)| speakable(text) != *said)
        .map(|(text, said)| format!("{text:?}\n  said   {:?}\n  wanted {said:?}", speakable(text)))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn numbers() {
    check(&[
        ("We have 3 left.", "We have three left."),
        ("1,250 people", "one thousand two hundred fifty people"),
        ("It is 3.14 exactly", "It is three point one four exactly"),
        ("-5 outside", "minus five outside"),
        ("0.5", "zero point five"),
        ("about 12000 items", "about twelve thousand items"),
        ("100+ items", "one hundred or more items"),
        ("10k followers", "ten thousand followers"),
        ("a 2½ hour wait", "a two and a half hour wait"),
        ("12345678901", "one two three four, five six seven eight, nine zero one"),
        ("٣ items", "three items"),
        ("Call 007", "Call zero zero seven"),
    ]);
}

#[test]
fn prices() {
    check(&[
        ("It costs $12.50.", "It costs twelve dollars and fifty cents."),
        ("€3", "three euros"),
        ("£5.99", "five pounds and ninety-nine pence"),
        ("$0.99", "ninety-nine cents"),
        ("$1", "one dollar"),
        ("$1.01", "one dollar and one cent"),
        ("$1,299.00", "one thousand two hundred ninety-nine dollars"),
        ("$2.5 million", "two point five million dollars"),
        ("$5M", "five million dollars"),
        ("$10-$20", "ten to twenty dollars"),
        ("$10–20", "ten to twenty dollars"),
        ("12 EUR", "twelve euros"),
        ("49,99 € or 49.99 PLN", "forty-nine euros and ninety-nine cents or forty-nine zlotys and ninety-nine groszy"),
        ("€1,250", "one thousand two hundred fifty euros"),
        ("$9/month", "nine dollars per month"),
        ("$4.50/kg", "four dollars and fifty cents per kilogram"),
        ("50¢", "fifty cents"),
        ("¥500", "five hundred yen"),
    ]);
}

#[test]
fn times() {
    check(&[
        ("at 10:30", "at ten thirty"),
        ("at 10:05 am", "at ten oh five A M"),
        ("9am–5pm", "nine A M to five P M"),
        ("9 a.m. to 5 p.m. daily", "nine A M to five P M daily"),
        ("We open at 9 a.m.", "We open at nine A M."),
        ("9:00-17:00", "nine o'clock to five P M"),
        ("14:30", "two thirty P M"),
        ("00:15", "twelve fifteen A M"),
        ("12pm", "twelve P M"),
        ("24/7", "twenty-four seven"),
        ("Mon-Fri, 8–6", "Monday to Friday, eight to six"),
        ("a ratio of 3:1", "a ratio of three to one"),
        ("I am here. Am I?", "I am here. Am I?"),
    ]);
}

#[test]
fn dates() {
    check(&[
        ("2026-11-23", "November twenty-third, twenty twenty-six"),
        ("Nov 3rd", "November third"),
        ("on November 3, 2026, at noon", "on November third, twenty twenty-six, at noon"),
        ("by Dec. 24.", "by December twenty-fourth."),
        ("3 March", "March third"),
        ("the 4th of July", "the July fourth"),
        ("11/23/2026", "November twenty-third, twenty twenty-six"),
        ("23/11/2026", "November twenty-third, twenty twenty-six"),
        ("23.11.2026", "November twenty-third, twenty twenty-six"),
        ("June 3-5", "June third to fifth"),
        ("in November 2026", "in November twenty twenty-six"),
        ("on 3/4", "on March fourth"),
        ("3/4 of them", "three quarters of them"),
        ("since 1998", "since nineteen ninety-eight"),
        ("in 2026", "in twenty twenty-six"),
        ("in 1848", "in eighteen forty-eight"),
        ("1848 boxes", "one thousand eight hundred forty-eight boxes"),
        ("the 1990s", "the nineteen nineties"),
        ("the '80s", "the eighties"),
        ("You may 5 times", "You may five times"),
        ("2026-11-23T10:30:00Z", "November twenty-third, twenty twenty-six, ten thirty"),
        ("Sat, Nov 7", "Saturday, November seventh"),
    ]);
}

#[test]
fn telephone_numbers_and_codes() {
    check(&[
        ("555-0199", "five five five, zero one nine nine"),
        ("(555) 010-0199", "five five five, zero one zero, zero one nine nine"),
        ("+1 555 010 0199", "plus one, five five five, zero one zero, zero one nine nine"),
        ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
        ("0800 123 456", "zero eight zero zero, one two three, four five six"),
        ("555.010.0199 ext. 12", "five five five, zero one zero, zero one nine nine extension twelve"),
        ("order LF-20418", "order L F two zero four one eight"),
        ("Order 20418 left", "Order two zero four one eight left"),
        ("Your order number is 20418.", "Your order number is two zero four one eight."),
        ("#42", "number forty-two"),
        ("ticket #204187", "ticket number two zero four, one eight seven"),
        ("B12", "B twelve"),
        ("WD-40", "W D forty"),
        ("MP3", "M P three"),
        ("A1B2C3", "A one B two C three"),
        ("iphone15", "iphone fifteen"),
        ("zip code 02134", "zip code zero two one three four"),
        ("PIN 4821", "PIN four eight two one"),
        ("No. 5", "number five"),
        ("COVID-19", "COVID nineteen"),
        ("mid-2026", "mid twenty twenty-six"),
        ("a 1-on-1 talk", "a one on one talk"),
        ("a 30-minute call, top-10", "a thirty minute call, top ten"),
        ("lf-20418", "lf two zero four one eight"),
    ]);
}

#[test]
fn shares_places_and_sizes() {
    check(&[
        ("5%", "five percent"),
        ("3.5 % off", "three point five percent off"),
        ("5-10% off", "five to ten percent off"),
        ("1st, 2nd and 23rd", "first, second and twenty-third"),
        ("1/2 cup", "one half cup"),
        ("2 1/2 cups", "two and a half cups"),
        ("10x20 cm", "ten by twenty cm"),
        ("3 × 4", "three by four"),
        ("5kg", "five kilograms"),
        ("1 kg", "one kilogram"),
        ("16 GB", "sixteen gigabytes"),
        ("100 km/h", "one hundred kilometers per hour"),
        ("a 5-km run", "a five kilometer run"),
        ("20°C", "twenty degrees Celsius"),
        ("90°", "ninety degrees"),
        ("6 ft 2 in", "six feet two in"),
        ("250 ml", "two hundred fifty milliliters"),
        ("3-5 days", "three to five days"),
        ("pages 3–5", "pages three to five"),
        ("2019–2021", "twenty nineteen to twenty twenty-one"),
        ("100 Mbps", "one hundred megabits per second"),
        ("5 m²", "five square meters"),
        ("10 kg/m", "ten kilograms per meter"),
    ]);
}

#[test]
fn words_written_short() {
    check(&[
        ("fruits, e.g. apples", "fruits, for example apples"),
        ("i.e., soon", "that is, soon"),
        ("tea, coffee, etc.", "tea, coffee, et cetera."),
        ("tea etc. We have it.", "tea et cetera. We have it."),
        ("Mr. Stone and Mrs. Stone", "Mister Stone and Missus Stone"),
        ("Dr. Stone", "Doctor Stone"),
        ("12 Main St.", "twelve Main Street."),
        ("in St. Louis", "in Saint Louis"),
        ("Acme Inc. is here", "Acme Incorporated is here"),
        ("cats vs. dogs", "cats versus dogs"),
        ("approx. 5", "approximately five"),
        ("w/o sugar", "without sugar"),
        ("Q&A", "Q and A"),
        ("salt & pepper", "salt and pepper"),
        ("and/or", "and or"),
        ("yes/no", "yes or no"),
        ("2 + 2 = 4", "two plus two equals four"),
        ("5 > 3", "five greater than three"),
        ("~5 minutes", "about five minutes"),
        ("The U.S. Army", "The U S. Army"),
    ]);
}

#[test]
fn addresses_and_versions() {
    check(&[
        ("help@larkfield.example", "help at larkfield dot example"),
        ("Write to jo.doe_9@larkfield.example.", "Write to jo dot doe underscore nine at larkfield dot example."),
        ("https://www.larkfield.example/returns", "larkfield dot example slash returns"),
        ("See larkfield.co.uk.", "See larkfield dot co dot U K."),
        ("v2.3.1", "version two point three point one"),
        ("version 2.3.1", "version two point three point one"),
        ("192.168.0.1", "one hundred ninety-two point one hundred sixty-eight point zero point one"),
    ]);
}

#[test]
fn markup_and_lines() {
    check(&[
        ("**Sure!** See [our shop](https://a.example).", "Sure! See our shop."),
        ("- one\n- two", "one. two"),
        ("Wait… what?!", "Wait... what?"),
        ("Hello 😀", "Hello"),
        ("(in short) yes", "in short, yes"),
        ("so — yes", "so, yes"),
        ("a well-known name", "a well-known name"),
        ("it's \"fine\"", "it's fine"),
        ("<b></b>", "b b"),
        ("", ""),
        ("...", ""),
    ]);
}

/// The kind of text a language model gives for a support desk.
#[test]
fn whole_replies() {
    check(&[
        (
            "Your order LF-20418 shipped on Nov 21, 2026 and should arrive in 3–5 business days.",
            "Your order L F two zero four one eight shipped on November twenty-first, twenty twenty-six and should arrive in three to five business days.",
        ),
        (
            "We're open Mon–Fri, 9:00 am – 5:30 pm, and Sat. 10–2.",
            "We're open Monday to Friday, nine A M to five thirty P M, and Saturday, ten to two.",
        ),
        (
            "Returns are free within 30 days; after that there's a $4.95 fee (incl. VAT).",
            "Returns are free within thirty days; after that there's a four dollars and ninety-five cents fee, including VAT.",
        ),
        (
            "Call us at (555) 010-0142 or e-mail help@larkfield.example.",
            "Call us at five five five, zero one zero, zero one four two or e-mail help at larkfield dot example.",
        ),
        (
            "That's 20% off, i.e. you pay $39.20.",
            "That's twenty percent off, that is you pay thirty-nine dollars and twenty cents.",
        ),
        ("1. Unplug it. 2. Wait 10 s.", "one. Unplug it. two. Wait ten seconds."),
    ]);
}

proptest! {
    #[test]
    fn any_text_becomes_words_without_digits(text in any::<String>()) {
        let said = speakable(&text);
        prop_assert!(!said.chars().any(char::is_numeric), "{said:?}");
        if text.chars().any(char::is_alphanumeric) {
            prop_assert!(said.chars().any(char::is_alphanumeric), "{said:?}");
        }
    }

    #[test]
    fn so_does_text_full_of_numbers_and_symbols(
        parts in prop::collection::vec(
            prop_oneof![
                "[0-9]{1,5}", "[-/.:,$€%+#@ x()*&]{1,2}", "[A-Za-z]{1,3}", Just("am".to_owned()), Just("Nov ".to_owned()),
                Just("St.".to_owned()), Just("http://".to_owned()), Just("kg".to_owned()), Just("½".to_owned()), Just(" ".to_owned()),
            ],
            1..12,
        )
    ) {
        let text = parts.concat();
        let said = speakable(&text);
        prop_assert!(!said.chars().any(char::is_numeric), "{text:?} → {said:?}");
        if text.chars().any(char::is_alphanumeric) {
            prop_assert!(said.chars().any(char::is_alphanumeric), "{text:?} → {said:?}");
        }
    }

    #[test]
    fn plain_words_stay_as_they_are(words in "[A-Z]?[a-z]{1,9}(,? [a-z]{1,9}){0,9}[.!?]?") {
        prop_assume!(!words.split(|c: char| !c.is_alphabetic()).any(|word| word == "vs"));
        prop_assert_eq!(speakable(&words), words);
    }

    #[test]
    fn what_is_speakable_already_stays(text in any::<String>()) {
        let once = speakable(&text);
        let plain = once.chars().all(|c| c.is_ascii_lowercase() || " ,?!".contains(c));
        if plain && !once.split(|c: char| !c.is_alphabetic()).any(|word| word == "vs") {
            prop_assert_eq!(speakable(&once), once.clone());
        }
    }
}
