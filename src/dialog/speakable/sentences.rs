//! Cuts a reply into sentences while it is still being written, the first clause of it early.
//!
//! PURE. The earlier the first piece is complete the sooner the caller hears something; after that whole sentences sound
//! better. A full stop ends a sentence only if white space follows and it belongs to no abbreviation, initial, list marker
//! or ellipsis; where the next word decides, the cut waits for it.

use super::clean::clean;

/// Words a first clause needs: fewer sound chopped.
const FIRST_CLAUSE_WORDS: usize = 4;
/// A sentence longer than this, in characters, is cut at its last comma, else space: about 15 s of speech.
const LONGEST: usize = 240;

/// Never the end of a sentence.
const TITLES: [&str; 32] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "cf", "approx", "tel", "fig", "mt", "ft", "gen", "col",
    "sgt", "capt", "rev", "hon", "ext", "apt", "ste", "vol", "pp", "mon", "tue", "tues", "wed", "thu", "thurs",
];
/// The end of a sentence only if the next word begins with a capital.
const ABBREVIATIONS: [&str; 37] = [
    "etc", "inc", "ltd", "co", "corp", "a.m", "p.m", "u.s", "u.k", "jr", "sr", "ave", "blvd", "rd", "dept", "est",
    "min", "max", "no", "nos", "oz", "lb", "lbs", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
    "oct", "nov", "dec", "ph.d", "llc",
];

/// The splitter. Feed it with [`Sentences::push`], end with [`Sentences::finish`].
#[derive(Clone, Debug, Default)]
pub struct Sentences {
    pending: String,
    /// Bytes of `pending` known to hold no end.
    searched: usize,
    begun: bool,
}

/// What a place in the text turned out to be.
enum Place {
    Goes(usize),
    Unknown,
    Inside,
}

impl Sentences {
    /// For a new reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece of any size; the sentences it completed, Markdown and emoji taken out, none of them empty.
    ///
    /// The first one of a reply may be a clause. They are as written otherwise: say them with
    /// [`speakable`](super::speakable), show them as they are.
    pub fn push(&mut self, piece: &str) -> Vec<String> {
        self.pending.push_str(piece);
        self.take(false)
    }

    /// What is left when the reply is complete. The splitter is as new afterwards.
    pub fn finish(&mut self) -> Vec<String> {
        let mut done = self.take(true);
        let rest = std::mem::take(&mut self.pending);
        done.extend(spoken(&rest));
        *self = Self::default();
        done
    }

    fn take(&mut self, complete: bool) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(end) = self.next_end(complete) {
            let rest = self.pending.split_off(end);
            let sentence = std::mem::replace(&mut self.pending, rest);
            self.searched = 0;
            if let Some(sentence) = spoken(&sentence) {
                self.begun = true;
                done.push(sentence);
            }
        }
        done
    }

    fn next_end(&mut self, complete: bool) -> Option<usize> {
        let mut searched = self.searched;
        for (offset, mark) in self.pending[self.searched..].char_indices() {
            let at = self.searched + offset;
            let place = match mark {
                '\n' => Place::Goes(at + 1),
                '.' | '!' | '?' | '…' | '。' | '！' | '？' => self.stop(at, mark, complete),
                ',' | ';' | ':' | '—' | '–' | '-' if !self.begun => self.clause(at, mark),
                _ => Place::Inside,
            };
            match place {
                // However the text arrives in pieces, it is cut alike.
                Place::Goes(end) => return self.overlong().filter(|cut| *cut < end).or(Some(end)),
                Place::Unknown => {
                    self.searched = at;
                    return self.overlong();
                }
                Place::Inside => searched = at + mark.len_utf8(),
            }
        }
        self.searched = searched;
        self.overlong()
    }

    /// A sentence without any end in sight is cut where a breath fits.
    fn overlong(&mut self) -> Option<usize> {
        let (limit, _) = self.pending.char_indices().nth(LONGEST)?;
        let head = &self.pending[..limit];
        let after = |at: usize| at + head[at..].chars().next().map_or(1, char::len_utf8);
        let breath = head.rfind([',', ';', ':', '—']).filter(|at| *at > limit / 3).map(after);
        Some(breath.or_else(|| head.rfind(' ').filter(|at| *at > 0).map(after)).unwrap_or(limit))
    }

    fn stop(&self, at: usize, mark: char, complete: bool) -> Place {
        if self.pending[..at].ends_with(['.', '…']) {
            return Place::Inside; // of an ellipsis, judged at its first dot
        }
        let behind = &self.pending[at + mark.len_utf8()..];
        let closing = behind.len()
            - behind.trim_start_matches(['.', '!', '?', '…', '"', '\'', ')', ']', '*', '_', '”', '’']).len();
        let end = at + mark.len_utf8() + closing;
        let rest = &self.pending[end..];
        if matches!(mark, '。' | '！' | '？') {
            return Place::Goes(end);
        }
        match rest.chars().next() {
            None if complete => return Place::Goes(end),
            None => return Place::Unknown,
            Some(next) if !next.is_whitespace() => return Place::Inside,
            Some(_) => {}
        }
        let sentence = &self.pending[..at];
        let next = rest.trim_start().trim_start_matches(['"', '\'', '(', '[', '*', '_', '“', '‘']).chars().next();
        let if_capital_follows = || match next {
            None if complete => Place::Goes(end),
            None => Place::Unknown,
            Some(next) if next.is_uppercase() || next.is_numeric() => Place::Goes(end),
            Some(_) => Place::Inside,
        };
        let dots = self.pending[at..end].chars().filter(|c| *c == '.').count();
        if mark == '…' || dots > 1 {
            return if_capital_follows();
        }
        if mark != '.' {
            return Place::Goes(end);
        }
        let word = sentence.rsplit(|c: char| c.is_whitespace() || "(\"'*[".contains(c)).next().unwrap_or("");
        let is_whole = sentence.trim_matches(|c: char| c.is_whitespace() || "*_\"'([".contains(c)) == word;
        let lower = word.to_lowercase();
        let is_initial = word.chars().count() == 1 && word != "I" && word.chars().all(char::is_alphabetic);
        let is_marker = is_whole && word.len() <= 3 && word.chars().all(|c| c.is_ascii_digit());
        if is_marker || is_initial || TITLES.contains(&lower.as_str()) {
            return if complete && rest.trim().is_empty() { Place::Goes(end) } else { Place::Inside };
        }
        if ABBREVIATIONS.contains(&lower.as_str()) {
            // "No." is an answer unless a number follows.
            if lower == "no" && next.is_some_and(|next| !next.is_numeric()) {
                return Place::Goes(end);
            }
            if lower == "no" && next.is_some_and(char::is_numeric) {
                return Place::Inside;
            }
            return match next {
                Some(next) if next.is_numeric() => Place::Inside, // Nov. 3
                _ => if_capital_follows(),
            };
        }
        Place::Goes(end)
    }

    /// The first clause of a reply ends at a comma or dash with enough words before it and words after it.
    fn clause(&self, at: usize, mark: char) -> Place {
        let end = at + mark.len_utf8();
        let rest = &self.pending[end..];
        let words =
            self.pending[..at].split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
        if words < FIRST_CLAUSE_WORDS {
            return Place::Inside;
        }
        // A hyphen inside a word is none; a dash stands alone or is a long one.
        if mark == '-' && !self.pending[..at].ends_with([' ', '-']) {
            return Place::Inside;
        }
        let long_dash = matches!(mark, '—');
        let mut following = rest.chars();
        match following.next() {
            None => Place::Unknown,
            Some(next) if !next.is_whitespace() && !long_dash => Place::Inside,
            Some(_) => match rest.trim_start().chars().next() {
                None => Place::Unknown,
                Some(next) if next.is_numeric() => Place::Inside, // November 3, 2026
                Some('-') => Place::Inside,
                Some(_) => Place::Goes(end),
            },
        }
    }
}

/// The plain text of a sentence, if there is anything to say in it.
fn spoken(text: &str) -> Option<String> {
    let plain = clean(text).replace('\n', " ");
    plain.chars().any(char::is_alphanumeric).then_some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str, size: usize) -> Vec<String> {
        let mut sentences = Sentences::new();
        let mut done = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            done.extend(sentences.push(&piece.iter().collect::<String>()));
        }
        done.extend(sentences.finish());
        done
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for size in [1, 3, 7, 10_000] {
            assert_eq!(split(text, size), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn sentences_end_at_their_marks() {
        check("Yes. It is open! Anything else?", &["Yes.", "It is open!", "Anything else?"]);
        check("He said \"no.\" Then he left.", &["He said \"no.\"", "Then he left."]);
        check("Really?! Yes.", &["Really?!", "Yes."]);
        check("No end", &["No end"]);
        check("", &[]);
        check(" \n ... \n", &[]);
        check("So do I. Then go.", &["So do I.", "Then go."]);
    }

    #[test]
    fn stops_inside_are_passed_over() {
        check("Dr. Smith is in. Ask him.", &["Dr. Smith is in.", "Ask him."]);
        check("It costs 12.50 today. Fine.", &["It costs 12.50 today.", "Fine."]);
        check("We open at 9 a.m. tomorrow. Bye.", &["We open at 9 a.m. tomorrow.", "Bye."]);
        check("We open at 9 a.m. Please call then.", &["We open at 9 a.m.", "Please call then."]);
        check("Use tea, coffee, etc. for that.", &["Use tea, coffee, etc. for that."]);
        check("Well... maybe. Hmm... Yes.", &["Well... maybe.", "Hmm...", "Yes."]);
        check("See larkfield.example for more.", &["See larkfield.example for more."]);
        check("Ask J. Doe about it. Ok.", &["Ask J. Doe about it.", "Ok."]);
        check("It ships on Nov. 3 at noon. Ok.", &["It ships on Nov. 3 at noon.", "Ok."]);
        check("No. We are closed.", &["No.", "We are closed."]);
        check("Look at No. 5 please. Ok.", &["Look at No. 5 please.", "Ok."]);
        check("Fruits, e.g. apples, are fine.", &["Fruits, e.g. apples, are fine."]);
        check("It is version 2.3.1 now.", &["It is version 2.3.1 now."]);
        check("That is all, Mr.", &["That is all, Mr."]);
    }

    #[test]
    fn lists_are_read_item_by_item() {
        check("1. Open it. 2. Close it.", &["1. Open it.", "2. Close it."]);
        check("Steps:\n- open\n- close", &["Steps:", "open", "close"]);
    }

    #[test]
    fn the_first_clause_of_a_reply_leaves_early() {
        check("I can help you with that, and it is easy, too.", &["I can help you with that,", "and it is easy, too."]);
        check("Yes, of course, I can do that.", &["Yes, of course, I can do that."]);
        check(
            "Your order left us yesterday — it is on its way.",
            &["Your order left us yesterday —", "it is on its way."],
        );
        check(
            "Your order left us yesterday—it is on its way.",
            &["Your order left us yesterday—", "it is on its way."],
        );
        check("We are open all week; just come by.", &["We are open all week;", "just come by."]);
        check("It was a well-known and long-lived bug.", &["It was a well-known and long-lived bug."]);
        check("It will arrive on November 3, 2026, at noon.", &["It will arrive on November 3, 2026,", "at noon."]);
        check("We sold about one or 1,000 of them.", &["We sold about one or 1,000 of them."]);
        check("We are open from 9 – 5 today.", &["We are open from 9 – 5 today."]);
        let mut sentences = Sentences::new();
        assert_eq!(sentences.push("I can help you with that, "), Vec::<String>::new(), "the next word may be a number");
        assert_eq!(sentences.push("a"), ["I can help you with that,"]);
    }

    #[test]
    fn markdown_and_emoji_are_not_spoken() {
        check("**Sure!** Here you go 😀. _Bye._", &["Sure!", "Here you go .", "Bye."]);
        check("😀 🎉\n**\n", &[]);
    }

    #[test]
    fn a_text_without_end_is_cut_at_a_breath() {
        let text = "word ".repeat(200);
        let cut = split(&text, 11);
        assert!(cut.len() > 3 && cut.iter().all(|part| part.chars().count() <= LONGEST), "{cut:?}");
        assert_eq!(cut.join(" "), text.trim());
        let solid = "x".repeat(1_000);
        assert_eq!(split(&solid, 100).concat(), solid);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_sentences(
            words in prop::collection::vec(prop_oneof![
                "[a-zA-Z]{1,6}", Just("Dr.".to_owned()), Just("a.m.".to_owned()), Just("3.50".to_owned()), Just("end.".to_owned()),
                Just("what?".to_owned()), Just("so,".to_owned()), Just("—".to_owned()), Just("No.".to_owned()), Just("…".to_owned()),
                Just("\n".to_owned()), Just("1.".to_owned()),
            ], 0..30),
            size in 1usize..20,
        ) {
            let text = words.join(" ");
            prop_assert_eq!(split(&text, size), split(&text, text.len().max(1)));
        }

        #[test]
        fn nothing_is_lost_and_nothing_panics(text in any::<String>(), size in 1usize..9) {
            let _ = split(&text, size);
        }

        #[test]
        fn every_word_comes_out_once(words in prop::collection::vec("[a-z]{1,8}[.,!?;]?", 1..60), size in 1usize..9) {
            let text = words.join(" ");
            prop_assert_eq!(split(&text, size).join(" "), text);
        }
    }
}
