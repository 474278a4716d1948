//! Each way a callback goes, and what holds whatever happens.

use proptest::prelude::*;

use super::*;

fn at(second: u64) -> Moment {
    Moment::from_ms(1_800_000_000_000 + second * 1_000)
}

fn rules(first: First) -> Rules {
    Rules { first, attempts: 2, pause: Duration::from_secs(600), expires: Duration::from_secs(7_200), hours: None }
}

fn booked(first: First) -> Callback {
    let mut callback = Callback::new(rules(first), at(0), 0, at(0));
    let mut out = Vec::new();
    callback.handle_timeout(at(0), &mut out);
    assert_eq!(out, [Action::Enter]);
    callback
}

#[track_caller]
fn after(callback: &mut Callback, second: u64, input: Input, wanted: &[Action]) {
    let mut out = Vec::new();
    callback.step(at(second), input, &mut out);
    assert_eq!(out, wanted, "{input:?}");
}

#[test]
fn agent_first_rings_when_somebody_is_reserved() {
    let mut callback = booked(First::Agent);
    after(&mut callback, 5, Input::Place { position: 1, staffed: 3 }, &[]);
    after(&mut callback, 9, Input::Accepted, &[Action::Dial]);
    after(&mut callback, 20, Input::Answered, &[Action::Join, Action::Finish(CallbackEnd::Reached)]);
    after(&mut callback, 21, Input::NotReached, &[]);
    assert_eq!((callback.poll_timeout(), callback.tries()), (None, 1));
}

#[test]
fn caller_first_rings_when_it_is_next_and_somebody_is_there() {
    let mut callback = booked(First::Caller);
    after(&mut callback, 5, Input::Place { position: 2, staffed: 3 }, &[]);
    after(&mut callback, 6, Input::Place { position: 1, staffed: 0 }, &[]);
    after(&mut callback, 7, Input::Place { position: 1, staffed: 1 }, &[Action::Dial]);
    after(&mut callback, 8, Input::Place { position: 1, staffed: 1 }, &[]);
    after(&mut callback, 20, Input::Answered, &[Action::Join, Action::Finish(CallbackEnd::Reached)]);
}

#[test]
fn who_is_not_reached_is_tried_again_later_and_not_for_ever() {
    let mut callback = booked(First::Agent);
    after(&mut callback, 9, Input::Accepted, &[Action::Dial]);
    after(&mut callback, 30, Input::NotReached, &[Action::ReleaseAgent]);
    assert_eq!((callback.state(), callback.poll_timeout()), (State::Resting(at(630)), Some(at(630))));
    let mut out = Vec::new();
    callback.handle_timeout(at(630), &mut out);
    assert_eq!(out, [Action::Enter], "in line again, as old as it is");
    after(&mut callback, 640, Input::Accepted, &[Action::Dial]);
    out.clear();
    callback.handle_timeout(at(640) + RING_PATIENCE, &mut out);
    let end = Action::Finish(CallbackEnd::NotReached);
    assert_eq!(out, [Action::HangUp, Action::ReleaseAgent, end], "the provider said nothing more");
}

#[test]
fn an_agent_who_is_lost_while_it_rings_costs_nobody_the_call() {
    let mut callback = booked(First::Agent);
    after(&mut callback, 9, Input::Accepted, &[Action::Dial]);
    after(&mut callback, 12, Input::Requeued, &[]);
    after(&mut callback, 14, Input::Answered, &[Action::Join, Action::Finish(CallbackEnd::Reached)]);
    let mut callback = booked(First::Agent);
    after(&mut callback, 9, Input::Accepted, &[Action::Dial]);
    after(&mut callback, 12, Input::AgentLeft, &[Action::HangUp, Action::Enter]);
}

#[test]
fn it_expires_and_can_be_called_off() {
    let mut callback = booked(First::Agent);
    let mut out = Vec::new();
    callback.handle_timeout(at(7_200), &mut out);
    assert_eq!(out, [Action::Leave, Action::Finish(CallbackEnd::Expired)]);
    let mut callback = booked(First::Caller);
    after(&mut callback, 3, Input::CalledAgain, &[Action::Leave, Action::Finish(CallbackEnd::CalledAgain)]);
    let mut callback = booked(First::Agent);
    after(&mut callback, 3, Input::Accepted, &[Action::Dial]);
    let done = Action::Finish(CallbackEnd::DoneByHand);
    after(&mut callback, 4, Input::DoneByHand, &[Action::HangUp, Action::ReleaseAgent, done]);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (1u32..4, 0u32..3).prop_map(|(position, staffed)| Input::Place { position, staffed }),
        Just(Input::Accepted),
        Just(Input::Requeued),
        Just(Input::AgentLeft),
        Just(Input::Answered),
        Just(Input::NotReached),
        Just(Input::NotReached),
        Just(Input::CalledAgain),
        Just(Input::DoneByHand),
    ]
}

proptest! {
    /// Plays the desk and the provider as they are: an agent accepts only what stands in line, a line is left only once.
    #[test]
    fn it_ends_once_rings_once_at_a_time_and_lets_every_agent_go(
        first in prop_oneof![Just(First::Agent), Just(First::Caller)],
        attempts in 1u32..4,
        pause in 0u64..2_000,
        inputs in prop::collection::vec((any_input(), 0u64..400), 1..200),
    ) {
        let rules = Rules { attempts, pause: Duration::from_secs(pause), ..rules(first) };
        let mut callback = Callback::new(rules, at(0), 0, at(0));
        let (mut now, mut dials, mut ends) = (0u64, 0u32, 0u32);
        let (mut in_line, mut agent, mut ringing) = (false, false, false);
        let mut play = |callback: &Callback, out: &[Action], in_line: &mut bool, agent: &mut bool, ringing: &mut bool| {
            for action in out {
                match action {
                    Action::Enter => { prop_assert!(!*in_line && !*agent); *in_line = true; }
                    Action::Leave => { prop_assert!(*in_line); *in_line = false; }
                    Action::ReleaseAgent => { prop_assert!(*agent); *agent = false; }
                    Action::Dial => { prop_assert!(!*ringing); *ringing = true; dials += 1; }
                    Action::HangUp => { prop_assert!(*ringing); *ringing = false; }
                    Action::Join => { prop_assert!(*ringing && (*agent || *in_line)); (*ringing, *in_line, *agent) = (false, false, false); }
                    Action::Finish(_) => ends += 1,
                }
            }
            prop_assert!(dials <= attempts && ends <= 1);
            prop_assert_eq!(ends == 1, matches!(callback.state(), State::Over(_)));
            prop_assert_eq!(callback.poll_timeout().is_none(), ends == 1, "never forgotten");
            if ends == 1 {
                prop_assert!(!*in_line && !*agent && !*ringing, "nothing is left behind");
            }
            Ok(())
        };
        for (input, pass) in inputs {
            let mut out = Vec::new();
            now += pass;
            while let Some(due) = callback.poll_timeout().filter(|due| *due <= at(now)) {
                callback.handle_timeout(due, &mut out);
                play(&callback, &out, &mut in_line, &mut agent, &mut ringing)?;
                out.clear();
            }
            // Only what can happen.
            match input {
                Input::Accepted if !in_line => continue,
                Input::Requeued | Input::AgentLeft if !agent => continue,
                Input::Answered | Input::NotReached if !ringing => continue,
                Input::Place { .. } if !in_line => continue,
                _ => {}
            }
            match input {
                Input::Accepted => (in_line, agent) = (false, true),
                Input::Requeued => (in_line, agent) = (true, false),
                Input::AgentLeft => agent = false,
                Input::NotReached => ringing = false,
                _ => {}
            }
            callback.step(at(now), input, &mut out);
            play(&callback, &out, &mut in_line, &mut agent, &mut ringing)?;
        }
        // However it went, time alone ends it.
        for _ in 0..20 {
            let Some(due) = callback.poll_timeout() else { break };
            let mut out = Vec::new();
            callback.handle_timeout(due, &mut out);
            play(&callback, &out, &mut in_line, &mut agent, &mut ringing)?;
        }
        prop_assert!(matches!(callback.state(), State::Over(_)));
    }
}

#[test]
fn other_hours_hold_from_the_next_look_on() {
    let calendar = |hours: &str| {
        let weekly = [format!("mon-sun {hours}")];
        crate::handoff::routing::hours::Calendar::check("x", "UTC", &weekly, &[]).expect("valid")
    };
    // 1,800,000,000 is a Friday, 08:00 UTC.
    let rules =
        Rules { hours: Some(calendar("09:00-18:00")), expires: Duration::from_secs(86_400), ..rules(First::Agent) };
    let mut callback = Callback::new(rules, at(0), 0, at(0));
    let mut out = Vec::new();
    callback.handle_timeout(at(0), &mut out);
    assert_eq!((callback.state(), out.len()), (State::Resting(at(3_600)), 0));
    callback.keep_hours(Some(calendar("10:00-18:00")));
    callback.handle_timeout(at(3_600), &mut out);
    assert_eq!((callback.state(), out.len()), (State::Resting(at(7_200)), 0), "an hour later now");
    callback.keep_hours(None);
    callback.handle_timeout(at(7_200), &mut out);
    assert_eq!(out, [Action::Enter]);
}
