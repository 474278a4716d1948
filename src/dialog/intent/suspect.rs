//! What may have been a request for a person, heard badly: a word that sounds like one for a person, a wish to speak or to be
//! put through with the rest of it lost, a "please" with hardly anything around it.
//!
//! It decides nothing by itself. Where the caller would be asked back anyway, because the words were heard doubtfully or
//! nothing fits them, it makes the question "would you like to speak with a person?", and a "yes" is enough.

use super::lexicon::{head_at, is, machine_at, not_request_at};
use super::scope::{asks_identity, negated};
use super::{asks_if_human, small};
use crate::dialog::words::{Clause, clauses, near};

/// Longer than this, words are about something, and what they are about was heard.
const MOST_WORDS: usize = 18;
/// A clause in which a single verb may be all that is left of a request.
const SHORT_CLAUSE: usize = 6;
/// With a "please", so few words ask for something that nobody would have to look up.
const PLEA: usize = 4;

/// Words for a person to talk to that are told by their sound.
const HEADS: &[&str] = words![human agent person operator representative manager supervisor adviser colleague];
/// Speaking, in every form: on a help line the one who is to be spoken with is a person.
const SPEAK: &[&str] = words![speak speaking talk talking talks chat chatting conversation];
/// Moving a call. On their own they are about this one.
const MOVE: &[&str] = words![
    connect connected connecting transfer transferred escalate redirect patch reach through operator line desk
    service help
];
/// Whose person it is, if not ours.
const THEIRS: &[&str] =
    words![my his her their our delivery post insurance estate travel per in each every two three four];

/// Whether words that no answer fits may have asked for a person.
pub fn may_want_person(text: &str) -> bool {
    let clauses = clauses(text);
    let count: usize = clauses.iter().map(Vec::len).sum();
    if count == 0 || count > MOST_WORDS || small::says_goodbye(text) || rules_person_out(text) {
        return false;
    }
    let plea = count <= PLEA && clauses.iter().flatten().any(|word| word == "please");
    plea || clauses.iter().any(|clause| names_somebody(clause) || speaks(clause) || moves(clause))
}

/// Whether the words say that no person is wanted, or ask about us: then they did not ask for one, however badly the rest was
/// heard.
pub fn rules_person_out(text: &str) -> bool {
    asks_if_human(text) || clauses(text).iter().any(refuses)
}

/// "I don't want an agent", "without a person", "please don't transfer me": that is no request, however the rest was heard.
fn refuses(clause: &Clause) -> bool {
    let named = |i: usize| sounds_like_person(clause, i) && negated(clause, i);
    let moved = |i: usize| (is(clause, i, SPEAK) || is(clause, i, MOVE)) && negated_wish(clause, i);
    (0..clause.len()).any(|i| named(i) || moved(i))
}

fn names_somebody(clause: &Clause) -> bool {
    (0..clause.len()).any(|i| {
        let theirs = (i.saturating_sub(2)..i).any(|at| is(clause, at, THEIRS));
        let end = i + head_at(clause, i).unwrap_or(1);
        sounds_like_person(clause, i) && !theirs && !not_request_at(clause, end) && !asks_identity(clause, i)
    })
}

fn speaks(clause: &Clause) -> bool {
    (0..clause.len()).any(|i| is(clause, i, SPEAK) && !negated_wish(clause, i))
}

fn moves(clause: &Clause) -> bool {
    clause.len() <= SHORT_CLAUSE
        && (0..clause.len())
            .any(|i| (is(clause, i, MOVE) || machine_at(clause, i).is_some()) && !negated_wish(clause, i))
}

/// "I don't need to speak to anybody" wants nobody; "I don't want to talk to a machine" wants somebody.
fn negated_wish(clause: &Clause, i: usize) -> bool {
    negated(clause, i) && !(0..clause.len()).any(|at| machine_at(clause, at).is_some())
}

/// A word for a person at `i`, by its letters or by its sound, or at the end of another: "the reagent".
fn sounds_like_person(clause: &Clause, i: usize) -> bool {
    if head_at(clause, i).is_some() {
        // "people" and "someone" say little by themselves; with few words around them they do.
        let vague =
            is(clause, i, words![people peoples team teams staff boss reception anyone anybody someone somebody]);
        return !vague || clause.len() <= SHORT_CLAUSE;
    }
    let sound = sound(&clause[i]);
    if HEADS.iter().any(|head| clause[i].ends_with(head)) {
        return true;
    }
    HEADS.iter().any(|head| {
        let wanted = self::sound(head);
        wanted == sound || wanted.len() >= 6 && near(&wanted, &sound, 1)
    })
}

/// The consonants as they sound, so that what a noisy line does to vowels and voicing makes no difference.
fn sound(word: &str) -> String {
    let letters: Vec<char> = word.chars().filter(char::is_ascii_lowercase).collect();
    let mut sound = String::new();
    let mut before = None;
    for (i, letter) in letters.iter().enumerate() {
        let soft = matches!(letters.get(i + 1), Some('e' | 'i' | 'y'));
        let heard = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' if i == 0 => Some('A'),
            'h' | 'y' if i == 0 => Some('H'),
            'b' | 'p' => Some('P'),
            'f' | 'v' => Some('F'),
            'd' | 't' => Some('T'),
            'g' | 'j' if soft || *letter == 'j' => Some('J'),
            'c' if soft => Some('S'),
            'c' | 'g' | 'k' | 'q' | 'x' => Some('K'),
            's' | 'z' => Some('S'),
            'm' | 'n' => Some('N'),
            'l' => Some('L'),
            'r' => Some('R'),
            _ => None,
        };
        // A letter written twice is heard once; with a vowel between it is heard twice.
        sound.extend(heard.filter(|heard| before != Some(*heard)));
        before = heard;
    }
    sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_sound_alike_are_alike() {
        for (heard, meant) in [
            ("hooman", "human"),
            ("yuman", "human"),
            ("ajent", "agent"),
            ("pearson", "person"),
            ("oparater", "operator"),
            ("manajer", "manager"),
        ] {
            assert_eq!(sound(heard), sound(meant), "{heard}");
        }
        assert_ne!(sound("team"), sound("human"));
        assert_ne!(sound("urgent"), sound("agent"));
        assert_eq!(sound(""), "");
    }

    #[test]
    fn a_refusal_rules_a_person_out() {
        for (text, out) in [
            ("Without a person, just the opening hour.", true),
            ("I don't want an agent.", true),
            ("Are you a human?", true),
            ("That's it.", false),
            ("May I have the food for my marbling?", false),
            ("", false),
        ] {
            assert_eq!(rules_person_out(text), out, "{text}");
        }
    }

    #[test]
    fn what_is_left_of_a_request_is_suspected_and_refusals_and_questions_are_not() {
        for (text, wanted) in [
            ("I'm Sir Agent.", true),
            ("Evan, you got a real person.", true),
            ("Catch me, please.", true),
            ("Okay, connect.", true),
            ("I refuse to talk to a body.", true),
            ("Why is there no human-iting talk to you?", true),
            ("the pearson please", true),
            ("I want those to ask the reagent.", true),
            ("I don't want an agent, just tell me the price.", false),
            ("No need to speak to anybody.", false),
            ("Without a person please.", false),
            ("Please don't transfer.", false),
            ("Is this a human?", false),
            ("Am I talking to a real person?", false),
            ("My insurance agent told me so.", false),
            ("Is the plant safe for people and pets in the house?", false),
            ("Where is my parcel?", false),
            ("What are your opening hours on Sunday?", false),
            ("A two person tent.", false),
            ("Thanks, goodbye.", false),
            ("", false),
        ] {
            assert_eq!(may_want_person(text), wanted, "{text}");
        }
    }
}
