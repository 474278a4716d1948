//! Twilio TaskRouter as its documentation describes it.
//!
//! Tasks by priority, then age; one reservation at a time for the worker who has been Available longest; a reservation
//! that times out moves the worker to the workspace's timeout activity until they change it; one that is rejected leaves
//! the worker available, and the task is evaluated again (the documentation names no pause, so the same worker is
//! reserved again only after all other matching ones, as its order by idle time implies: a rejection begins idle time
//! anew); a workflow's first target asks for a level of 3 and ends after 30 s of the task's age, its second for any level.
//! Wrap-up keeps the worker's capacity until the task is completed. A rejected connection, a lost socket and exits are the
//! application's affair there and not played.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::World;
use super::{Dispatcher, Input, Output};
use crate::handoff::routing::Moment;

const RELAXED_AFTER: Duration = Duration::from_secs(30);
/// As all dispatchers here; TaskRouter's own default is 120 s.
const RESERVATION: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    Away,
    Available(Moment),
    Reserved { task: usize, until: Moment, offer: u64 },
    Busy,
}

/// See the module's documentation.
pub struct TaskRouter {
    levels: Vec<Vec<u8>>,
    skills: Vec<(usize, i32)>,
    workers: Vec<Worker>,
    next_away: Vec<bool>,
    /// Priority descending, then age.
    pending: BTreeSet<(i32, Moment, usize)>,
    since: Vec<Moment>,
    agent_of: Vec<Option<usize>>,
    offers: u64,
    relax: BTreeSet<(Moment, usize)>,
}

impl TaskRouter {
    /// A workspace for a world.
    pub fn new(world: &World) -> Self {
        Self {
            levels: world.agents.iter().map(|agent| agent.levels.clone()).collect(),
            skills: world.callers.iter().map(|caller| (caller.skill, caller.priority)).collect(),
            workers: vec![Worker::Away; world.agents.len()],
            next_away: vec![false; world.agents.len()],
            pending: BTreeSet::new(),
            since: vec![Moment::default(); world.callers.len()],
            agent_of: vec![None; world.callers.len()],
            offers: 0,
            relax: BTreeSet::new(),
        }
    }

    fn key(&self, task: usize) -> (i32, Moment, usize) {
        (-self.skills[task].1, self.since[task], task)
    }

    fn free(&mut self, now: Moment, agent: usize) {
        let away = std::mem::take(&mut self.next_away[agent]);
        self.workers[agent] = if away { Worker::Away } else { Worker::Available(now) };
    }

    fn route(&mut self, now: Moment, out: &mut Vec<Output>) {
        if !self.workers.iter().any(|worker| matches!(worker, Worker::Available(_))) {
            return;
        }
        for (key, task) in self.pending.clone().into_iter().map(|key| (key, key.2)) {
            let skill = self.skills[task].0;
            let least = if now.since(self.since[task]) < RELAXED_AFTER { 3 } else { 1 };
            let fits = |(agent, worker): (usize, &Worker)| match worker {
                Worker::Available(since) if self.levels[agent][skill] >= least => Some((*since, agent)),
                _ => None,
            };
            let Some((_, agent)) = self.workers.iter().enumerate().filter_map(fits).min() else { continue };
            self.offers += 1;
            self.workers[agent] = Worker::Reserved { task, until: now + RESERVATION, offer: self.offers };
            self.pending.remove(&key);
            out.push(Output::Rings { agent, caller: task, offer: self.offers });
        }
    }

    fn reserved(&self, agent: usize, named: u64) -> Option<usize> {
        match self.workers[agent] {
            Worker::Reserved { task, offer, .. } if offer == named => Some(task),
            _ => None,
        }
    }
}

impl Dispatcher for TaskRouter {
    fn name(&self) -> String {
        "taskrouter".to_owned()
    }

    fn step(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Ready(agent) => {
                self.next_away[agent] = false;
                if self.workers[agent] == Worker::Away {
                    self.free(now, agent);
                }
            }
            Input::Leaves(agent) => match self.workers[agent] {
                Worker::Available(_) => self.workers[agent] = Worker::Away,
                _ => self.next_away[agent] = true,
            },
            Input::Arrives(task) => {
                self.since[task] = now;
                self.pending.insert(self.key(task));
                self.relax.insert((now + RELAXED_AFTER, task));
            }
            Input::Abandons(task) => {
                self.pending.remove(&self.key(task));
                self.relax.remove(&(self.since[task] + RELAXED_AFTER, task));
                for agent in 0..self.workers.len() {
                    if matches!(self.workers[agent], Worker::Reserved { task: own, .. } if own == task) {
                        self.free(now, agent);
                    }
                }
            }
            Input::Accepts(agent, offer) => {
                if let Some(task) = self.reserved(agent, offer) {
                    self.workers[agent] = Worker::Busy;
                    self.agent_of[task] = Some(agent);
                    self.relax.remove(&(self.since[task] + RELAXED_AFTER, task));
                    out.push(Output::Joins { agent, caller: task });
                }
            }
            Input::Declines(agent, offer) => {
                if let Some(task) = self.reserved(agent, offer) {
                    self.free(now, agent);
                    self.pending.insert(self.key(task));
                }
            }
            Input::Done(agent) => self.free(now, agent),
            _ => {}
        }
        self.route(now, out);
    }

    fn poll_timeout(&self) -> Option<Moment> {
        let reserved = |worker: &Worker| match worker {
            Worker::Reserved { until, .. } => Some(*until),
            _ => None,
        };
        self.workers.iter().filter_map(reserved).chain(self.relax.first().map(|(at, _)| *at)).min()
    }

    fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Output>) {
        while self.relax.first().is_some_and(|(at, _)| *at <= now) {
            self.relax.pop_first();
        }
        for agent in 0..self.workers.len() {
            if let Worker::Reserved { task, until, .. } = self.workers[agent]
                && now >= until
            {
                self.next_away[agent] = false;
                self.workers[agent] = Worker::Away;
                self.pending.insert(self.key(task));
                out.push(Output::Missed(agent));
            }
        }
        self.route(now, out);
    }
}
