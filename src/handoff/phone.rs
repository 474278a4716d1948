//! An agent at a telephone: what is done when an offer comes, and when they answer or do not. PURE: moments and inputs in,
//! actions out. The rules of offers are the desk's; to it this is a client like any other.
//!
//! ```text
//!  Idle ─ offered ─▶ Ringing ─ answered ─▶ Asked ─ 1 ─▶ Taken ─ joined ─▶ Talking
//!   ▲                   │ busy, a machine,    │ 2: declined                  │
//!   └───────────────────┴ no answer: missed ──┴ no key: missed ──────────────┴ either side is done
//! ```

use std::time::Duration;

use super::OfferId;
use super::routing::Moment;

/// How long a telephone may ring and its owner be asked, beyond which the offer is missed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The key that takes a call.
pub const ACCEPT: char = '1';
/// The key that declines it.
pub const DECLINE: char = '2';

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The desk holds a caller out.
    Offered(OfferId),
    /// An offer is over, and whether it is theirs now.
    OfferEnded(OfferId, bool),
    /// They have answered the telephone.
    Answered,
    /// Busy, no answer, a machine, or the provider could not call.
    Missed,
    /// They pressed a key.
    Key(char),
    /// They hung up.
    HungUp,
    /// The caller's voice flows.
    Joined,
    /// The conversation is over.
    Over,
    /// They take no calls any more.
    SignedOut,
}

/// Do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let their telephone ring, and give the offer that much time.
    Dial(OfferId),
    /// Tell what it is about, and ask for the key.
    Ask,
    /// They take it.
    Accept(OfferId),
    /// They do not.
    Reject(OfferId),
    /// They did not answer: a miss.
    Unanswered(OfferId),
    /// They end the conversation.
    End,
    /// End the call to them.
    HangUp,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No call.
    Idle,
    /// Their telephone rings.
    Ringing(OfferId, Moment),
    /// They hear what it is about.
    Asked(OfferId, Moment),
    /// They pressed the key.
    Taken(OfferId),
    /// With a caller.
    Talking,
}

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Phone {
    state: State,
}

impl Default for Phone {
    fn default() -> Self {
        Self { state: State::Idle }
    }
}

impl Phone {
    /// Where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`Phone::handle_timeout`] wants to be called.
    pub const fn poll_timeout(&self) -> Option<Moment> {
        match self.state {
            State::Ringing(_, until) | State::Asked(_, until) => Some(until),
            State::Idle | State::Taken(_) | State::Talking => None,
        }
    }

    /// The moment of [`Phone::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Action>) {
        if let State::Ringing(offer, until) | State::Asked(offer, until) = self.state
            && now >= until
        {
            out.extend([Action::HangUp, Action::Unanswered(offer)]);
            self.state = State::Idle;
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Action>) {
        let before = self.state;
        self.state = match (before, input) {
            (State::Idle, Input::Offered(offer)) => {
                out.push(Action::Dial(offer));
                State::Ringing(offer, now + PATIENCE)
            }
            (State::Ringing(offer, until), Input::Answered) => {
                out.push(Action::Ask);
                State::Asked(offer, until)
            }
            (State::Ringing(offer, _), Input::Missed) => {
                out.push(Action::Unanswered(offer));
                State::Idle
            }
            (State::Asked(offer, _), Input::Key(ACCEPT)) => {
                out.push(Action::Accept(offer));
                State::Taken(offer)
            }
            (State::Asked(offer, _), Input::Key(DECLINE)) => {
                out.extend([Action::Reject(offer), Action::HangUp]);
                State::Idle
            }
            (State::Asked(offer, _), Input::HungUp) => {
                out.push(Action::Unanswered(offer));
                State::Idle
            }
            (State::Ringing(own, _) | State::Asked(own, _) | State::Taken(own), Input::OfferEnded(offer, false))
                if own == offer =>
            {
                out.push(Action::HangUp);
                State::Idle
            }
            (State::Taken(_), Input::Joined) => State::Talking,
            (State::Taken(_) | State::Talking, Input::HungUp) => {
                out.push(Action::End);
                State::Idle
            }
            (State::Taken(_) | State::Talking, Input::Over) => {
                out.push(Action::HangUp);
                State::Idle
            }
            (State::Ringing(offer, _) | State::Asked(offer, _), Input::SignedOut) => {
                out.extend([Action::HangUp, Action::Reject(offer)]);
                State::Idle
            }
            (State::Taken(_) | State::Talking, Input::SignedOut) => {
                out.extend([Action::HangUp, Action::End]);
                State::Idle
            }
            (state, _) => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_ms(1_800_000_000_000 + second * 1_000)
    }

    fn offer(n: u128) -> OfferId {
        OfferId(uuid::Uuid::from_u128(n))
    }

    #[track_caller]
    fn plays(inputs: &[(u64, Input)], wanted: &[Action]) -> Phone {
        let (mut phone, mut out) = (Phone::default(), Vec::new());
        for (second, input) in inputs {
            phone.step(at(*second), *input, &mut out);
        }
        assert_eq!(out, wanted);
        phone
    }

    #[test]
    fn one_takes_the_call_and_either_side_ends_it() {
        let one = offer(1);
        let taken = [
            (0, Input::Offered(one)),
            (8, Input::Answered),
            (12, Input::Key('1')),
            (13, Input::OfferEnded(one, true)),
            (14, Input::Joined),
        ];
        let begun = [Action::Dial(one), Action::Ask, Action::Accept(one)];
        assert_eq!(plays(&taken, &begun).state(), State::Talking);
        plays(&[&taken[..], &[(60, Input::HungUp)]].concat(), &[&begun[..], &[Action::End]].concat());
        plays(&[&taken[..], &[(60, Input::Over)]].concat(), &[&begun[..], &[Action::HangUp]].concat());
    }

    #[test]
    fn two_declines_and_silence_is_a_miss() {
        let one = offer(1);
        let asked = [(0, Input::Offered(one)), (8, Input::Answered)];
        plays(
            &[&asked[..], &[(9, Input::Key('5')), (12, Input::Key('2'))]].concat(),
            &[Action::Dial(one), Action::Ask, Action::Reject(one), Action::HangUp],
        );
        let mut phone = plays(&asked, &[Action::Dial(one), Action::Ask]);
        let mut out = Vec::new();
        phone.handle_timeout(at(59), &mut out);
        assert!(out.is_empty());
        phone.handle_timeout(at(60), &mut out);
        assert_eq!((out, phone.state()), (vec![Action::HangUp, Action::Unanswered(one)], State::Idle));
        plays(&[(0, Input::Offered(one)), (8, Input::Missed)], &[Action::Dial(one), Action::Unanswered(one)]);
    }

    #[test]
    fn a_caller_who_leaves_is_not_theirs_to_miss() {
        let one = offer(1);
        let ended =
            [(0, Input::Offered(one)), (5, Input::OfferEnded(offer(9), false)), (6, Input::OfferEnded(one, false))];
        plays(&ended, &[Action::Dial(one), Action::HangUp]);
    }

    fn any_input() -> impl Strategy<Value = Input> {
        let offers = (1u128..4).prop_map(offer);
        prop_oneof![
            offers.clone().prop_map(Input::Offered),
            (offers, any::<bool>()).prop_map(|(offer, theirs)| Input::OfferEnded(offer, theirs)),
            Just(Input::Answered),
            Just(Input::Missed),
            prop_oneof![Just('1'), Just('2'), Just('7')].prop_map(Input::Key),
            Just(Input::HungUp),
            Just(Input::Joined),
            Just(Input::Over),
            Just(Input::SignedOut),
        ]
    }

    proptest! {
        #[test]
        fn every_offer_is_answered_once_and_no_line_is_left_open(inputs in prop::collection::vec((any_input(), 0u64..90), 1..120)) {
            let (mut phone, mut now) = (Phone::default(), 0);
            let (mut open_line, mut pending) = (false, None);
            for (input, pass) in inputs {
                now += pass;
                let mut out = Vec::new();
                phone.handle_timeout(at(now), &mut out);
                for action in &out {
                    match action {
                        Action::Unanswered(offer) => prop_assert_eq!(pending.take(), Some(*offer)),
                        Action::HangUp => open_line = false,
                        _ => prop_assert!(false, "{:?}", action),
                    }
                }
                out.clear();
                if let Input::OfferEnded(offer, false) = input && pending == Some(offer) { pending = None; }
                if matches!(input, Input::Missed | Input::HungUp) {
                    // What is over needs no hanging up.
                    let ringing = matches!(phone.state(), State::Ringing(..));
                    if ringing == (input == Input::Missed) { open_line = false; }
                }
                phone.step(at(now), input, &mut out);
                for action in out {
                    match action {
                        Action::Dial(offer) => { prop_assert!(!open_line); open_line = true; pending = Some(offer); }
                        Action::Ask | Action::End => {}
                        Action::Accept(offer) | Action::Reject(offer) | Action::Unanswered(offer) => {
                            prop_assert_eq!(pending.take(), Some(offer));
                        }
                        Action::HangUp => open_line = false,
                    }
                }
                if phone.state() == State::Idle {
                    prop_assert!(!open_line && pending.is_none());
                }
            }
        }
    }
}
