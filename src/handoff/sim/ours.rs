//! Warmline's router in the simulated centre.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::world::World;
use super::{Dispatcher, Input, Output};
use crate::handoff::routing::needs::{Levels, Needs, SkillNames};
use crate::handoff::routing::plan::{Ask, Condition, Exit, Plan, Queue, Rules, Step, Traits, Workflow};
use crate::handoff::routing::{Cause, Decision, Event, Facts, Left, Moment, Router};
use crate::handoff::wire::{AgentState, CallEnd, OfferResult};
use crate::handoff::{AgentId, HandoffId, OfferId};

/// See the module's documentation.
pub struct Ours {
    /// The router, for those who want to ask it.
    pub router: Router,
    ids: Vec<AgentId>,
    facts: Vec<Facts>,
    sessions: u64,
    session_of: Vec<u64>,
    decisions: Vec<Decision>,
    stopped: Vec<bool>,
    /// Look at all rules after every so many events; 0: never.
    pub check_every: usize,
    seen: usize,
    /// The first rule that did not hold.
    pub broken: Option<String>,
}

/// A plan for a world: a queue for each skill, whose level is relaxed after half a minute. With `exits`, callers of the
/// first queue are offered a callback after two minutes.
pub fn plan_for(world: &World, exits: bool) -> Plan {
    let seconds = Duration::from_secs;
    let mut skills = SkillNames::default();
    let kinds = world.scenario.skills.max(1);
    let mut needs = |line: String| Needs::parse(&[line], &mut skills).expect("a skill");
    let queues: Vec<Queue> = (0..kinds)
        .map(|skill| {
            let asks = vec![
                Ask { from: Duration::ZERO, needs: needs(format!("s{skill} >= 3")) },
                Ask { from: seconds(30), needs: needs(format!("s{skill}")) },
            ];
            Queue { asks, ..Queue::new(&format!("q{skill}")) }
        })
        .collect();
    let exit = [Exit::Callback, Exit::Voicemail, Exit::Assistant];
    let workflows = (0..kinds).map(|skill| Workflow {
        name: format!("w{skill}"),
        when: vec![Condition { key: "skill".to_owned(), values: vec![skill.to_string()], not: false }],
        steps: vec![Step { queue: skill, timeout: exits.then(|| seconds(120)), ..Step::default() }],
        exit: if exits { exit[skill % 3] } else { Exit::Wait },
    });
    let workflows = workflows.collect();
    let traits = |levels: &Vec<u8>| {
        let mut own = Levels::default();
        for (skill, level) in levels.iter().enumerate() {
            own.set(skill, *level);
        }
        Traits { levels: own, ..Traits::default() }
    };
    let agents: BTreeMap<_, _> =
        world.agents.iter().enumerate().map(|(n, who)| (format!("a{n:04}"), traits(&who.levels))).collect();
    let rules = Rules { connect: Some(seconds(5)), wrap_up: seconds(120), ..Rules::default() };
    Plan { queues, workflows, agents, rules, skills, ..Plan::default() }.finished()
}

impl Ours {
    /// A router for a world.
    pub fn new(world: &World, plan: Plan) -> Self {
        let facts = world.callers.iter().map(|caller| Facts {
            known: BTreeMap::from([("skill".to_owned(), caller.skill.to_string())]),
            priority: caller.priority,
            ..Facts::default()
        });
        Self {
            router: Router::new(Arc::new(plan), world.scenario.seed),
            ids: (0..world.agents.len()).map(|n| AgentId(format!("a{n:04}"))).collect(),
            facts: facts.collect(),
            sessions: 0,
            session_of: vec![0; world.agents.len()],
            decisions: Vec::new(),
            stopped: vec![false; world.agents.len()],
            check_every: 0,
            seen: 0,
            broken: None,
        }
    }

    fn agent(&self, id: &AgentId) -> usize {
        self.ids.binary_search(id).expect("only agents of this world")
    }

    fn connect(&mut self, now: Moment, agent: usize) {
        self.sessions += 1;
        self.session_of[agent] = self.sessions;
        let id = self.ids[agent].clone();
        let name = id.0.clone();
        self.router.step(now, Event::Connected { agent: id, name, session: self.sessions }, &mut self.decisions);
    }

    /// The desk's duties: what agents would see and do at once.
    fn take(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.seen += 1;
        if self.check_every > 0 && self.seen.is_multiple_of(self.check_every) && self.broken.is_none() {
            self.broken = self.router.broken_rule(now);
        }
        for decision in std::mem::take(&mut self.decisions) {
            out.extend(match decision {
                Decision::Offer { offer, handoff, agent, .. } => {
                    let (agent, caller) = (self.agent(&agent), number(handoff));
                    Some(Output::Rings { agent, caller, offer: offer.0.as_u64_pair().1 })
                }
                Decision::OfferEnded { agent, result: OfferResult::Timeout, .. } => {
                    Some(Output::Missed(self.agent(&agent)))
                }
                Decision::Assign { handoff, agent } => {
                    Some(Output::Joins { agent: self.agent(&agent), caller: number(handoff) })
                }
                Decision::Requeued(handoff) => Some(Output::Requeued(number(handoff))),
                Decision::ConnectFailed { handoff, .. } => Some(Output::Requeued(number(handoff))),
                Decision::Exit(handoff, exit) => Some(Output::Exits(number(handoff), exit)),
                _ => None,
            });
        }
    }
}

fn handoff(caller: usize) -> HandoffId {
    HandoffId(Uuid::from_u64_pair(9, caller as u64))
}

fn number(handoff: HandoffId) -> usize {
    handoff.0.as_u64_pair().1 as usize
}

impl Dispatcher for Ours {
    fn name(&self) -> String {
        "warmline".to_owned()
    }

    fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        if let Input::Leaves(agent) | Input::Accepts(agent, _) | Input::Declines(agent, _) | Input::Done(agent) = input
            && self.stopped[agent]
        {
            return; // Nothing is heard of an agent without a socket.
        }
        let id = |agent: usize| self.ids[agent].clone();
        let named = |offer: u64| OfferId(Uuid::from_u64_pair(self.router.seed(), offer));
        let event = match input {
            Input::Ready(agent) => {
                if self.stopped[agent] {
                    return; // No socket: the agent says so once it is back.
                }
                if self.session_of[agent] == 0 {
                    self.connect(now, agent);
                }
                // Also what acknowledges a miss.
                Event::StateChosen(self.ids[agent].clone(), AgentState::Available, None)
            }
            Input::Leaves(agent) => Event::StateChosen(id(agent), AgentState::Break, None),
            Input::Arrives(caller) => Event::Requested(handoff(caller), self.facts[caller].clone()),
            Input::Abandons(caller) => Event::Left(handoff(caller), Left::HungUp),
            Input::Helped(caller) => Event::Left(handoff(caller), Left::Helped),
            Input::WaitsOn(caller) => Event::Requested(handoff(caller), Facts::default()),
            Input::Accepts(agent, offer) => Event::Accepted(id(agent), named(offer)),
            Input::Declines(agent, offer) => Event::Rejected(id(agent), named(offer)),
            Input::MediaUp(caller) => Event::MediaUp(handoff(caller)),
            Input::Fails(caller, agents_fault) => {
                Event::FailedConnect(handoff(caller), if agents_fault { Cause::Agent } else { Cause::System })
            }
            Input::Ends(caller) => Event::Ended(handoff(caller), CallEnd::CallerHungUp),
            Input::Done(agent) => Event::WrapUpDone(id(agent)),
            Input::Lost(agent) => {
                self.stopped[agent] = true;
                Event::Disconnected { agent: id(agent), session: self.session_of[agent] }
            }
            Input::Back(agent) => {
                self.stopped[agent] = false;
                self.connect(now, agent);
                Event::StateChosen(self.ids[agent].clone(), AgentState::Available, None)
            }
        };
        self.router.step(now, event, &mut self.decisions);
        self.take(now, out);
    }

    fn poll_timeout(&self) -> Option<Moment> {
        self.router.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.router.handle_timeout(now, &mut self.decisions);
        self.take(now, out);
    }
}
