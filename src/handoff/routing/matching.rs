//! Who may take whom, and who is asked. Looks only at pairs that may have changed.

use std::time::Duration;

use super::Moment;
use super::event::Decision;
use super::plan::{LanguageRule, ProfileEntry};
use super::router::Router;
use super::strategy::{Candidate, mix};
use super::task::{Pending, Reason, Task, TaskState};
use crate::handoff::wire::AgentState;

/// Why an agent is not asked about a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not free; see the state.
    Busy,
    /// The queue is not in the agent's profile.
    Profile,
    /// The agent's profile sees only older callers of this queue.
    Delay(Moment),
    /// Lacks a skill.
    Skill,
    /// Does not speak the language.
    Language,
    /// The caller is kept for somebody they know.
    Kept(Moment),
    /// The queue is closed.
    Closed(Moment),
    /// Somebody else is meant.
    Aimed(Moment),
    /// Declined or missed this caller a moment ago.
    Excluded(Moment),
}

impl Router {
    /// Matches until nothing changes any more, then tells places.
    pub(super) fn settle(&mut self, now: Moment, out: &mut Vec<Decision>) {
        self.count_staff();
        loop {
            self.match_changed(now, out);
            self.changed_agents.clear();
            let changed = std::mem::take(&mut self.changed_tasks);
            for slot in changed {
                if self.task(slot).state == TaskState::Pending && self.is_skipped(slot) {
                    self.next_step(now, slot, out);
                }
            }
            if self.changed_tasks.is_empty() {
                break;
            }
        }
        self.tell_places(out);
    }

    fn match_changed(&mut self, now: Moment, out: &mut Vec<Decision>) {
        if self.free.is_empty() {
            return;
        }
        let newly_free: Vec<u32> = self.changed_agents.intersection(&self.free).copied().collect();
        let pending = |slot: u32| self.task(slot).state == TaskState::Pending;
        let order: Vec<u32> = if newly_free.is_empty() {
            let mut order: Vec<u32> = self.changed_tasks.iter().copied().filter(|slot| pending(*slot)).collect();
            order.sort_unstable_by_key(|slot| self.task(*slot).key);
            order
        } else {
            self.waiting.iter().map(|one| one.slot).filter(|slot| pending(*slot)).collect()
        };
        // An agent takes from the queue their profile names first, however long others wait.
        for level in self.priorities.clone() {
            for slot in &order {
                if self.free.is_empty() {
                    return;
                }
                if self.task(*slot).state == TaskState::Pending {
                    let among = if self.changed_tasks.contains(slot) { None } else { Some(newly_free.as_slice()) };
                    self.ask_round(now, *slot, level, among, out);
                }
            }
        }
    }

    /// Offers a pending task to as many agents of a profile's level as the queue says. `among`: only these may be new to it.
    fn ask_round(&mut self, now: Moment, slot: u32, level: u8, among: Option<&[u32]>, out: &mut Vec<Decision>) {
        let mut fit: Vec<u32> = Vec::new();
        let mut declined = false;
        let task = self.task(slot);
        let mut look = |agent: u32| match self.fits(now, task, agent) {
            Ok(entry) if entry.priority == level => fit.push(agent),
            Err(Refusal::Excluded(_)) => declined = true,
            _ => {}
        };
        match among {
            None => self.free.iter().for_each(|agent| look(*agent)),
            Some(some) => some.iter().filter(|agent| self.free.contains(agent)).for_each(|agent| look(*agent)),
        }
        if fit.is_empty() && declined {
            fit = self.second_round(now, slot, level);
        }
        if fit.is_empty() {
            return;
        }
        let (task, queue) = (self.task(slot), self.queue_of(self.task(slot)));
        let policy = &self.plan.queues[queue];
        let ask = policy.ask_at(task.age(now));
        let step = &self.plan.workflows[task.workflow].steps[task.step];
        let last = self.queues[queue].last.map(|agent| self.agents[agent as usize].place);
        let draw = mix(self.seed ^ self.offers_made.wrapping_mul(0x5851_f42d_4c95_7f2d));
        fit.sort_by_cached_key(|agent| {
            let own = &self.agents[*agent as usize];
            let levels = &own.traits.levels;
            let candidate = Candidate {
                place: own.place,
                idle_from: now - own.idle.shows(now),
                last_call: own.last_call,
                answered: own.answered,
                proficiency: policy.asks[ask].needs.proficiency(levels) + step.needs.proficiency(levels),
                foreign: policy.language == LanguageRule::Preferred && !own.speaks(task.facts.language.as_deref()),
            };
            policy.strategy.rank(&candidate, last, draw)
        });
        let first = &self.agents[fit[0] as usize];
        let reason = Reason {
            strategy: policy.strategy,
            agent: fit[0],
            idle: first.idle.shows(now),
            of: fit.len(),
            ask,
            known: task.kept_until.is_some_and(|until| now < until)
                && task.facts.known_agent.as_ref() == Some(&first.id),
        };
        fit.truncate(policy.ring());
        self.queues[queue].last = fit.last().copied();
        let task = self.task_mut(slot);
        task.reason = Some(reason);
        task.enter(TaskState::Reserved);
        let version = task.version;
        for agent in fit {
            self.make_offer(now, slot, agent, version, out);
        }
        self.touch_task(now, slot);
    }

    /// Once everybody who is free and fits has been asked, all of them may be asked again. One alone is left in peace until
    /// the exclusion is over.
    fn second_round(&mut self, now: Moment, slot: u32, level: u8) -> Vec<u32> {
        let task = self.task(slot);
        let mut fit = Vec::new();
        let mut asked = 0;
        for agent in &self.free {
            match self.fits_but_for_exclusion(now, task, *agent) {
                Ok(_) if !task.excluded.contains_key(agent) => return Vec::new(),
                Ok(entry) => {
                    asked += 1;
                    if entry.priority == level {
                        fit.push(*agent);
                    }
                }
                Err(_) => {}
            }
        }
        if asked < 2 {
            return Vec::new();
        }
        self.task_mut(slot).excluded.clear();
        fit
    }

    /// Whether a free agent may be asked about a task now.
    pub(super) fn fits(&self, now: Moment, task: &Task, agent: u32) -> Result<ProfileEntry, Refusal> {
        let entry = self.fits_but_for_exclusion(now, task, agent)?;
        match task.excluded.get(&agent) {
            Some(until) if *until > now => Err(Refusal::Excluded(*until)),
            _ => Ok(entry),
        }
    }

    fn fits_but_for_exclusion(&self, now: Moment, task: &Task, number: u32) -> Result<ProfileEntry, Refusal> {
        let agent = &self.agents[number as usize];
        if !self.free.contains(&number) {
            return Err(Refusal::Busy);
        }
        if let Some(aim) = task.aim {
            if aim.not == Some(number) || aim.agent.is_some_and(|meant| meant != number) {
                return Err(Refusal::Aimed(aim.until));
            }
            if aim.agent.is_some() {
                // Whom a colleague asks by name needs neither queue nor skill for it.
                return Ok(ProfileEntry {
                    priority: self.priorities.first().copied().unwrap_or(1),
                    delay: Duration::ZERO,
                });
            }
        }
        let step = &self.plan.workflows[task.workflow].steps[task.step];
        let queue = &self.plan.queues[step.queue];
        let age = task.age(now);
        let entry = self.plan.entry(&agent.traits, step.queue).ok_or(Refusal::Profile)?;
        if let Some(opens) = task.opens {
            return Err(Refusal::Closed(opens));
        }
        if age < entry.delay {
            return Err(Refusal::Delay(task.queued_at + entry.delay));
        }
        if !(queue.asks_hold(age, &agent.traits.levels) && step.needs.hold(&agent.traits.levels)) {
            return Err(Refusal::Skill);
        }
        if queue.language == LanguageRule::Required && !agent.speaks(task.facts.language.as_deref()) {
            return Err(Refusal::Language);
        }
        if let Some(until) = task.kept_until.filter(|until| now < *until)
            && let Some(known) = &task.facts.known_agent
            && *known != agent.id
            && self.agent(known).is_some_and(|known| known.is_staffed())
        {
            return Err(Refusal::Kept(until));
        }
        Ok(entry)
    }

    // --- places ---------------------------------------------------------------------------------------------------

    fn count_staff(&mut self) {
        if !std::mem::take(&mut self.staffing_changed) {
            return;
        }
        self.places_changed = true;
        for queue in 0..self.queues.len() {
            let serves =
                |agent: &&super::agent::Agent| agent.is_staffed() && self.plan.entry(&agent.traits, queue).is_some();
            let staffed = self.agents.iter().filter(serves).count() as u32;
            let before = std::mem::replace(&mut self.queues[queue].staffed, staffed);
            if before > 0 && staffed == 0 {
                // The last one left: steps may now be passed over.
                let here = self.waiting.iter().filter(|one| one.queue == queue).map(|one| one.slot);
                self.changed_tasks.extend(here);
            }
        }
    }

    fn tell_places(&mut self, out: &mut Vec<Decision>) {
        if !std::mem::take(&mut self.places_changed) {
            return;
        }
        let mut positions = vec![0u32; self.queues.len()];
        for one in &mut self.waiting {
            positions[one.queue] += 1;
            let task = self.tasks[one.slot as usize].as_ref().expect("slots in use hold a task");
            let staffed = if task.opens.is_some() { 0 } else { self.queues[one.queue].staffed };
            let place = (positions[one.queue], staffed);
            if one.told != Some(place) {
                one.told = Some(place);
                let (position, staffed) = place;
                out.push(Decision::Place { handoff: task.handoff, position, staffed });
            }
        }
    }

    /// Names the first rule that does not hold; for tests, which call it after every step. It looks at every pair.
    pub fn broken_rule(&self, now: Moment) -> Option<String> {
        let rule = |holds: bool, text: String| if holds { None } else { Some(text) };
        let offers = |number: u32| -> Vec<(&Task, &Pending)> {
            let tasks = self.tasks.iter().flatten();
            tasks
                .flat_map(|task| task.offers.iter().map(move |offer| (task, offer)))
                .filter(|(_, o)| o.agent == number)
                .collect()
        };
        for (number, agent) in (0u32..).zip(&self.agents) {
            let (offers, name) = (offers(number), &agent.id);
            let talking = self.tasks.iter().flatten().filter(|task| match task.state {
                TaskState::Assigned { agent, .. } | TaskState::AgentLost { agent, .. } => agent == number,
                _ => false,
            });
            let talking: Vec<_> = talking.map(|task| task.handoff).collect();
            let mut known = agent.contacts.clone();
            known.sort_unstable();
            let mut all = talking.clone();
            all.sort_unstable();
            let broken = rule(offers.len() <= 1, format!("{name} has {} offers", offers.len()))
                .or_else(|| rule(offers.len() == usize::from(agent.offer.is_some()), format!("{name}: offer unknown")))
                .or_else(|| rule(known == all, format!("{name} knows of {known:?} and talks with {all:?}")))
                .or_else(|| rule(all.len() <= agent.traits.capacity.max(1), format!("{name} has too many callers")))
                .or_else(|| {
                    let reserved = agent.state == AgentState::Reserved;
                    rule(!reserved || all.is_empty(), format!("{name} is reserved and on a call"))
                        .or_else(|| rule(!reserved || offers.len() == 1, format!("{name} is reserved for nobody")))
                })
                .or_else(|| {
                    let talks = agent.state == AgentState::OnContact;
                    rule(talks != all.is_empty(), format!("{name} is {:?} with {} callers", agent.state, all.len()))
                })
                .or_else(|| rule(agent.is_free() == self.free.contains(&number), format!("{name}: free unknown")));
            if broken.is_some() {
                return broken;
            }
        }
        for (slot, task) in (0u32..).zip(&self.tasks) {
            let Some(task) = task else { continue };
            let id = task.handoff;
            let in_line = self.waiting.iter().filter(|one| one.slot == slot).count();
            let broken =
                rule(in_line == usize::from(task.is_waiting()), format!("{id:?} stands in line {in_line} times"))
                    .or_else(|| {
                        let reserved = task.state == TaskState::Reserved;
                        rule(reserved != task.offers.is_empty(), format!("{id:?} has the wrong number of offers"))
                    })
                    .or_else(|| {
                        let late = task.alarm.is_some_and(|alarm| alarm < now);
                        rule(!late, format!("the alarm of {id:?} was not heard"))
                    });
            if broken.is_some() {
                return broken;
            }
            if task.state == TaskState::Pending {
                let waits_for_nothing = self.free.iter().find(|agent| self.fits(now, task, **agent).is_ok());
                if let Some(agent) = waits_for_nothing {
                    return Some(format!("{id:?} waits while {} is free", self.agents[*agent as usize].id));
                }
            }
        }
        let sorted = self.waiting.windows(2).all(|pair| pair[0].key < pair[1].key);
        rule(sorted, "the line is out of order".to_owned())
    }
}
