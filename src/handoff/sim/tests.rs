//! Invariants over many seeds, and what the models of others are known for.

use super::asterisk::{AppQueue, AppQueueStrategy};
use super::ours::{Ours, plan_for};
use super::report::report;
use super::taskrouter::TaskRouter;
use super::world::Scenario;
use super::*;
use crate::handoff::routing::strategy::mix;

/// Small centres with everything going wrong.
fn small(seed: u64) -> Scenario {
    let pick = |n: u64, of: u64| (mix(seed ^ n << 32) % of) as usize;
    Scenario {
        agents: 1 + pick(1, 9),
        callers: 20 + pick(2, 30),
        waiting_at_first: pick(3, 12),
        load: [0.5, 0.9, 1.5][pick(4, 3)],
        skills: pick(5, 4),
        talk: Duration::from_secs(60),
        wrap_up: Duration::from_secs(20),
        patience: Duration::from_secs([60, 600][pick(6, 2)]),
        unwilling_percent: [3, 25][pick(7, 2)],
        faults: true,
        seed,
    }
}

fn large(seed: u64) -> Scenario {
    Scenario {
        agents: 200,
        callers: 2_600,
        waiting_at_first: 1_000,
        load: 1.1,
        skills: 6,
        talk: Duration::from_secs(240),
        wrap_up: Duration::from_secs(30),
        patience: Duration::from_secs(900),
        unwilling_percent: 3,
        faults: true,
        seed,
    }
}

fn equal_agents(seed: u64) -> Scenario {
    Scenario { agents: 50, callers: 3_000, waiting_at_first: 0, load: 0.85, skills: 0, faults: false, ..large(seed) }
}

#[track_caller]
fn check(scenario: Scenario, check_every: usize, what: &str) -> Outcome {
    let world = scenario.world();
    let mut plan = plan_for(&world, scenario.seed % 2 == 1);
    if scenario.seed % 3 == 1 {
        plan.rules.priority_step = Duration::from_secs(60);
    }
    for (number, queue) in plan.queues.iter_mut().enumerate() {
        queue.parallel = 1 + (scenario.seed as usize + number) % 3;
    }
    let mut ours = Ours::new(&world, plan);
    ours.check_every = check_every;
    let outcome = play(&world, &mut ours);
    let seed = scenario.seed;
    assert_eq!(ours.broken, None, "{what}, seed {seed}");
    assert_eq!(outcome.fault, None, "{what}, seed {seed}");
    for (caller, story) in outcome.stories.iter().enumerate() {
        assert_eq!(story.ends.len(), 1, "{what}, seed {seed}, caller {caller}: {story:?}");
    }
    outcome
}

#[test]
fn no_rule_is_broken_in_thousands_of_small_centres() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..3_000 {
        for story in check(small(seed), 1, "small").stories {
            *ends.entry(format!("{:?}", story.ends[0].1)).or_insert(0u32) += 1;
        }
    }
    // Every kind of end was there, so that each was looked at.
    assert_eq!(ends.len(), 5, "{ends:?}");
    assert!(ends.values().all(|n| *n > 500), "{ends:?}");
}

#[test]
fn no_rule_is_broken_in_a_large_one() {
    let outcome = check(large(1), 400, "large");
    assert!(outcome.events > 10_000 && outcome.most_waiting > 1_000, "{} {}", outcome.events, outcome.most_waiting);
}

#[test]
fn equal_agents_get_equal_work() {
    for seed in 0..3 {
        let world = equal_agents(seed).world();
        let ours = report(&play(&world, &mut Ours::new(&world, plan_for(&world, false))));
        assert!(ours.jain >= 0.95 && ours.jain_offers >= 0.95, "{ours:?}");
        let rr = report(&play(&world, &mut AppQueue::new(&world, AppQueueStrategy::RrMemory)));
        assert!(rr.jain > 0.8, "{rr:?}");
        let twilio = report(&play(&world, &mut TaskRouter::new(&world)));
        assert!(twilio.jain > 0.9, "{twilio:?}");
    }
}

#[test]
fn with_ageing_nobody_starves() {
    let scenario = Scenario {
        agents: 10,
        callers: 600,
        waiting_at_first: 0,
        load: 1.3,
        skills: 0,
        unwilling_percent: 0,
        faults: false,
        ..large(7)
    };
    let mut world = scenario.world();
    for (number, caller) in world.callers.iter_mut().enumerate() {
        caller.priority = i32::from(number % 2 == 0) * 5;
        caller.patience = Duration::from_secs(30 * 86_400);
    }
    let longest = |step: u64| {
        let mut plan = plan_for(&world, false);
        plan.rules.priority_step = Duration::from_secs(step);
        let outcome = play(&world, &mut Ours::new(&world, plan));
        let longest = |parity: usize| {
            let waits = outcome.stories.iter().skip(parity).step_by(2);
            waits.map(|story| story.answered.expect("everybody is patient").since(story.arrived)).max().expect("many")
        };
        (longest(0), longest(1))
    };
    let (urgent, others) = longest(0);
    assert!(others > urgent * 4, "without ageing they wait for all urgent ones: {urgent:?} {others:?}");
    let (urgent, others) = longest(60);
    // Five priorities are worth five minutes, and a call may be longer than that.
    assert!(others < urgent + Duration::from_secs(5 * 60 + 60), "{urgent:?} {others:?}");
}

#[test]
fn the_models_do_what_their_originals_are_known_for() {
    // A silent phone: with leastrecent it is rung again and again, with rrmemory the next one is.
    let scenario =
        Scenario { agents: 3, callers: 1, waiting_at_first: 1, unwilling_percent: 50, faults: false, ..large(3) };
    let (mut again, mut tries) = (0, 0);
    for seed in 0..200 {
        let world = Scenario { seed, skills: 0, ..scenario }.world();
        let outcome = play(&world, &mut AppQueue::new(&world, AppQueueStrategy::LeastRecent));
        again += outcome.offers.iter().filter(|n| **n > 1).count();
        tries += outcome.offers.iter().sum::<u32>();
        assert_eq!(outcome.fault, None);
    }
    assert!(again > 20 && tries > 300, "{again} {tries}");
    // A caller looks once a second: the answer is never quicker than the ringing, and later by up to a second.
    let world = Scenario { unwilling_percent: 0, agents: 1, skills: 0, ..scenario }.world();
    let wait = |dispatcher: &mut dyn Dispatcher| {
        let outcome = play(&world, dispatcher);
        outcome.stories[0].answered.expect("answered").since(outcome.stories[0].arrived)
    };
    let (ours, theirs) = (
        wait(&mut Ours::new(&world, plan_for(&world, false))),
        wait(&mut AppQueue::new(&world, AppQueueStrategy::RrMemory)),
    );
    assert!(theirs >= ours && theirs <= ours + Duration::from_secs(1), "{ours:?} {theirs:?}");
}
