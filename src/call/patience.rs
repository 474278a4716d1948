//! How long a caller's silence is waited for. PURE.
//!
//! Policy gives the base. What was asked for moves it (a number is dictated in groups, a "yes" is not), and so does the
//! caller's own pace, within bounds: who makes long pauses is given longer ones, who makes none is answered sooner.

use super::completeness::{Completeness, completeness};
use crate::audio::units::{Millis, Probability};
use crate::config::TurnConfig;

/// An unfinished sentence is waited for this much longer than the hangover: (times, by).
const UNFINISHED: (u32, u32) = (3, 2);
/// A number or name in groups, by as much: pauses of a second are common in it.
const DICTATING: (u32, u32) = (17, 10);
/// After a question for a number, a name or an address, even what looks whole is waited for this much: (times, by).
const ASKED_TO_DICTATE: (u32, u32) = (17, 10);
/// After a question that yes or no answers, a finished one is: (times, by).
const ASKED_YES_NO: (u32, u32) = (7, 10);
/// The caller's own pauses move the hangover by no more than this, down and up.
const FASTER: Millis = Millis(150);
const SLOWER: Millis = Millis(500);
/// What is waited for beyond the pauses a caller makes.
const BEYOND_PAUSES: Millis = Millis(250);
/// How far one pause moves what is known of them, in milliseconds: nine tenths up, one tenth down, so that the value
/// settles where nine of ten pauses are shorter.
const PAUSE_STEP: f32 = 80.0;
/// A transcript that takes longer than this is not waited for to decide whether a turn is over.
const TAIL: Millis = Millis(1_500);
/// Words heard with less confidence are no evidence that somebody has finished.
const UNDERSTOOD: f32 = 0.5;
/// A caller who goes on this soon after the turn was taken for ended had not finished.
const CUT_OFF: Millis = Millis(900);

/// Silence that ends an utterance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// When its words tell nothing.
    pub hangover: Millis,
    /// When they look finished.
    pub finished: Millis,
    /// When they look unfinished.
    pub unfinished: Millis,
    /// When something is being dictated.
    pub dictating: Millis,
    /// From the speculation on, the end is not decided before its transcript is there or this is over.
    pub tail: Millis,
}

impl Patience {
    /// What the configuration asks for.
    pub fn new(config: &TurnConfig) -> Self {
        let hangover = Millis(config.hangover_ms);
        Self {
            hangover,
            finished: Millis(config.finished_hangover_ms.min(config.hangover_ms)),
            unfinished: times(hangover, UNFINISHED),
            dictating: times(hangover, DICTATING),
            tail: Millis::ZERO,
        }
    }

    /// After words that look like this.
    pub const fn after(&self, looks: Completeness) -> Millis {
        match looks {
            Completeness::Finished => self.finished,
            Completeness::Unclear => self.hangover,
            Completeness::Unfinished => self.unfinished,
            Completeness::Dictating => self.dictating,
        }
    }
}

const fn times(span: Millis, (times, by): (u32, u32)) -> Millis {
    Millis(span.0.saturating_mul(times) / by)
}

/// What the last thing said to the caller asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Nothing particular.
    #[default]
    Open,
    /// Yes or no.
    YesNo,
    /// Something that is dictated: a number, a name to be spelt, an address.
    Dictated,
}

impl Slot {
    /// What `question` asks for. English; other languages are open.
    pub fn of(question: &str) -> Self {
        // Only a question of the last sentence is the one that is answered.
        let last = question.split_inclusive(['.', '!', '?']).rfind(|part| part.chars().any(char::is_alphanumeric));
        let last = last.unwrap_or_default();
        let said = words(last);
        let has = |wanted: &[&str]| said.iter().any(|word| wanted.contains(&word.as_str()));
        let asks = last.contains('?') || has(&["please", "tell", "give", "say", "read", "spell"]);
        if !asks {
            return Self::Open;
        }
        let number = has(&["number", "code", "digits", "postcode", "zip", "iban", "pin", "reference"]);
        let address = has(&["email", "mail", "address", "spell", "spelling", "surname"]);
        let first = said.first().map_or("", String::as_str);
        if (number || address) && has(&["your", "the", "spell", "spelling", "it"]) {
            return Self::Dictated;
        }
        let yes_no = [
            "is", "are", "do", "does", "did", "was", "were", "have", "has", "can", "could", "would", "shall", "should",
        ];
        if last.contains('?') && (yes_no.contains(&first) || has(&["right", "correct"])) {
            return Self::YesNo;
        }
        Self::Open
    }
}

/// The caller asks for time: "one moment", "hold on", "let me check".
pub fn asks_for_time(text: &str) -> bool {
    const ASKS: &[&str] = &[
        "one moment",
        "a moment",
        "just a moment",
        "one second",
        "a second",
        "just a second",
        "one sec",
        "just a sec",
        "a sec",
        "one minute",
        "a minute",
        "just a minute",
        "hold on",
        "hang on",
        "wait a",
        "wait please",
        "let me check",
        "let me look",
        "let me see",
        "let me find",
        "let me get",
        "let me think",
        "give me a",
        "bear with me",
        "i need to look",
        "i have to look",
        "im looking for it",
        "just wait",
        "wait wait",
    ];
    // What says more than that is a question of its own.
    const MOST_WORDS: usize = 9;
    let said = words(text);
    let line = format!(" {} ", said.join(" "));
    said.len() <= MOST_WORDS
        && !text.contains('?')
        && (ASKS.iter().any(|ask| line.contains(&format!(" {ask} "))) || said == ["wait"])
}

/// In lower case, without punctuation.
fn words(text: &str) -> Vec<String> {
    let bare = text.to_lowercase().replace(['\'', '’'], "");
    bare.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What was learnt of one caller, and of the recogniser meanwhile.
#[derive(Clone, Debug)]
pub struct Pace {
    base: Patience,
    /// Nine of ten of the caller's pauses are shorter, milliseconds.
    pauses: f32,
    slot: Slot,
    ended_at: Option<Millis>,
}

impl Pace {
    /// Nothing is known yet: the configured patience.
    pub fn new(config: &TurnConfig) -> Self {
        let base = Patience { tail: TAIL, ..Patience::new(config) };
        let pauses = base.hangover.saturating_sub(BEYOND_PAUSES).0 as f32;
        Self { base, pauses, slot: Slot::Open, ended_at: None }
    }

    /// The caller paused within an utterance after words that looked like this, and went on.
    pub fn paused_after(&mut self, looks: Option<Completeness>, pause: Millis) {
        // The gaps between groups of digits say nothing of how fast somebody speaks.
        if looks != Some(Completeness::Dictating) {
            self.paused(pause);
        }
    }

    fn paused(&mut self, pause: Millis) {
        quantile(&mut self.pauses, pause.0 as f32, PAUSE_STEP);
        let (least, most) = self.bounds();
        self.pauses = self.pauses.clamp(least, most);
    }

    /// A turn whose last voice was at `last_voice` was taken for ended.
    pub fn ended(&mut self, last_voice: Millis) {
        self.ended_at = Some(last_voice);
    }

    /// The caller began to speak at `at`. Soon after a turn's end, and with nothing heard from us in between
    /// (`answered`), that turn had been cut off.
    pub fn began(&mut self, at: Millis, answered: bool) {
        let Some(last_voice) = self.ended_at.take() else { return };
        let pause = at.saturating_sub(last_voice);
        if !answered && pause <= self.patience().hangover + CUT_OFF {
            // One is enough to give more time.
            self.paused(pause);
            self.paused(pause);
        }
    }

    /// The caller heard this last.
    pub fn asked(&mut self, question: &str) {
        self.slot = Slot::of(question);
    }

    /// What these words of the caller look like, after what was asked. Words that were hardly understood finish nothing, and
    /// where none was there is nothing to answer: more may follow.
    pub fn looks(&self, text: &str, confidence: Probability) -> Completeness {
        if text.is_empty() {
            return Completeness::Dictating;
        }
        match completeness(text, self.slot == Slot::Dictated) {
            Completeness::Finished if confidence.get() < UNDERSTOOD => Completeness::Unclear,
            looks => looks,
        }
    }

    /// What follows from all of that.
    pub fn patience(&self) -> Patience {
        let Patience { hangover, finished, tail, .. } = self.base;
        let learnt = Millis(self.pauses as u32) + BEYOND_PAUSES;
        let later = learnt.saturating_sub(hangover);
        let (hangover, finished) = match self.slot {
            Slot::Open => (learnt, finished + Millis(later.0 / 2)),
            Slot::YesNo => (learnt, times(finished, ASKED_YES_NO)),
            Slot::Dictated => (times(learnt, ASKED_TO_DICTATE), learnt),
        };
        Patience {
            hangover,
            finished: finished.min(hangover),
            unfinished: times(learnt, UNFINISHED).max(hangover),
            dictating: times(learnt, DICTATING).max(hangover),
            tail,
        }
    }

    fn bounds(&self) -> (f32, f32) {
        let base = self.base.hangover;
        let pauses = |hangover: Millis| hangover.saturating_sub(BEYOND_PAUSES).0 as f32;
        (pauses(base.saturating_sub(FASTER)), pauses(base + SLOWER))
    }
}

/// Moves `value` a step towards where nine of ten samples are smaller.
fn quantile(value: &mut f32, sample: f32, step: f32) {
    *value = (*value + if sample > *value { 0.9 * step } else { -0.1 * step }).max(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(&TurnConfig::default())
    }

    #[test]
    fn at_first_it_is_what_was_configured() {
        let config = TurnConfig::default();
        let patience = Patience { tail: TAIL, ..Patience::new(&config) };
        assert_eq!(pace().patience(), patience);
        assert!(patience.finished < patience.hangover && patience.hangover < patience.unfinished);
        assert!(patience.unfinished < patience.dictating);
    }

    #[test]
    fn a_caller_who_pauses_long_is_given_time_and_one_who_does_not_is_answered_sooner() {
        let base = pace().patience().hangover;
        let mut slow = pace();
        (0..3).for_each(|_| slow.paused(Millis(650)));
        assert!(slow.patience().hangover >= base + Millis(200), "{:?}", slow.patience());
        (0..100).for_each(|_| slow.paused(Millis(5_000)));
        assert_eq!(slow.patience().hangover, base + SLOWER, "but not for ever");
        let mut fast = pace();
        (0..5).for_each(|_| fast.paused(Millis(200)));
        assert!(fast.patience().hangover < base);
        (0..200).for_each(|_| fast.paused(Millis(200)));
        assert_eq!(fast.patience().hangover, base.saturating_sub(FASTER));
    }

    #[test]
    fn a_turn_that_was_cut_off_teaches_at_once() {
        let base = pace().patience().hangover;
        let mut cut = pace();
        cut.ended(Millis(10_000));
        cut.began(Millis(10_900), false);
        assert!(cut.patience().hangover >= base + Millis(140), "{:?}", cut.patience());
        let mut dictates = pace();
        (0..5).for_each(|_| dictates.paused_after(Some(Completeness::Dictating), Millis(900)));
        assert_eq!(dictates.patience().hangover, base);
        dictates.paused_after(None, Millis(900));
        assert!(dictates.patience().hangover > base);
        for (at, answered) in [(Millis(10_900), true), (Millis(14_000), false)] {
            let mut answered_first = pace();
            answered_first.ended(Millis(10_000));
            answered_first.began(at, answered);
            assert_eq!(answered_first.patience().hangover, base);
        }
    }

    #[test]
    fn what_was_asked_for_decides_how_long() {
        let cases = [
            ("How can I help?", Slot::Open),
            ("We are open until six. Is there anything else I can do?", Slot::YesNo),
            ("Is that right?", Slot::YesNo),
            ("Do you have a receipt?", Slot::YesNo),
            ("What is your order number?", Slot::Dictated),
            ("Could you give me your email address, please?", Slot::Dictated),
            ("Please spell your name.", Slot::Dictated),
            ("Your order number is in the e-mail we sent.", Slot::Open),
            ("What is your order number? It is in the e-mail.", Slot::Open),
            ("", Slot::Open),
        ];
        for (text, slot) in cases {
            assert_eq!(Slot::of(text), slot, "{text}");
        }
        let mut pace = pace();
        let open = pace.patience();
        pace.asked("What is your order number?");
        let dictated = pace.patience();
        let sure = Probability::clamped(0.9);
        assert_eq!(pace.looks("Four.", sure), Completeness::Dictating);
        assert!(dictated.hangover.0 > 1_100 && dictated.finished >= open.hangover, "{dictated:?}");
        pace.asked("Is that right?");
        assert!(pace.patience().finished < open.finished);
        assert_eq!(pace.looks("Four.", sure), Completeness::Finished);
        assert_eq!(pace.looks("For.", Probability::clamped(0.3)), Completeness::Unfinished);
        assert_eq!(pace.looks("", Probability::default()), Completeness::Dictating);
        assert_eq!(pace.looks("Fore.", Probability::clamped(0.3)), Completeness::Unclear, "hardly understood");
    }

    #[test]
    fn asking_for_time_is_understood_and_questions_are_not_taken_for_it() {
        for text in
            ["One moment, please.", "Hold on.", "Hang on a sec", "Just a second.", "Wait.", "Okay, let me check."]
        {
            assert!(asks_for_time(text), "{text}");
        }
        for text in [
            "Can you hold on to my parcel?",
            "How long do I have to wait?",
            "I was on hold for an hour and nobody let me know what happened with the order",
            "yes",
            "",
        ] {
            assert!(!asks_for_time(text), "{text}");
        }
    }
}
