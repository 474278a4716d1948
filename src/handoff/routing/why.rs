//! Any decision in a sentence: for supervisors, and for whoever wonders.

use std::time::Duration;

use super::Moment;
use super::event::Cause;
use super::matching::Refusal;
use super::plan::{Exit, LanguageRule, Queue};
use super::router::Router;
use super::task::{Task, TaskState};
use crate::handoff::HandoffId;
use crate::handoff::wire::AgentState;
use crate::said::{Phrase, Said};

/// What keeps agents from a caller, and how many.
type Count = (Said, usize);

/// Why a caller is where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In an English sentence.
    pub text: String,
    /// Its parts, for clients with words of their own: the first says where the caller is, the others why; what has a
    /// value `n` counts agents whom something keeps from the caller.
    pub phrases: Vec<Phrase>,
}

impl Why {
    fn of(head: &Said, parts: &[Said]) -> Self {
        let phrases = std::iter::once(head).chain(parts).filter_map(Said::phrase).collect();
        let parts: Vec<&str> = parts.iter().map(Said::message).collect();
        let text = if parts.is_empty() { format!("{head}.") } else { format!("{head}: {}.", parts.join("; ")) };
        Self { text, phrases }
    }
}

impl Router {
    /// Why a caller is where they are. `None`: not known (any more).
    pub fn why(&self, now: Moment, handoff: HandoffId) -> Option<Why> {
        let task = self.task(*self.task_ids.get(&handoff)?);
        let name = |agent: u32| self.agents[agent as usize].name.as_str();
        Some(match task.state {
            TaskState::Pending => self.why_pending(now, task),
            TaskState::Reserved => {
                let names: Vec<&str> = task.offers.iter().map(|offer| name(offer.agent)).collect();
                let left = task.offers.iter().map(|offer| offer.until).min().unwrap_or(now).since(now);
                let text = format!("Offered to {} for another {}", list(&names, "and"), span(left));
                let head = Said::new("offered", text).with("agents", names.join(", ")).with("left_s", seconds(left));
                Why::of(&head, &self.because(task))
            }
            TaskState::Assigned { agent, connected, .. } => {
                let (word, with) = if connected { ("with", "With") } else { ("connecting", "Being connected to") };
                let head = Said::new(word, format!("{with} {}", name(agent))).with("agent", name(agent));
                Why::of(&head, &self.because(task))
            }
            TaskState::AgentLost { agent, until, .. } => {
                let (name, left) = (name(agent), until.since(now));
                let text = format!(
                    "{name} lost the connection and has {} to come back; then the caller goes first",
                    span(left)
                );
                Why::of(&Said::new("connection_lost", text).with("agent", name).with("left_s", seconds(left)), &[])
            }
            TaskState::Aside(Some(exit)) => {
                let (age, workflow) = (task.age(now), &self.plan.workflows[task.workflow].name);
                let text = format!("After {} the last step of {workflow} was over", span(age));
                let head = Said::new("steps_over", text).with("after_s", seconds(age)).with("workflow", workflow);
                Why::of(&head, &[offered(exit)])
            }
            TaskState::Parked { by, until } => {
                let (name, left) = (name(by), until.since(now));
                let text = format!(
                    "Parked by {name} for another {}, for whoever of the queue picks up; then the caller goes first",
                    span(left)
                );
                Why::of(&Said::new("parked", text).with("agent", name).with("left_s", seconds(left)), &[])
            }
            TaskState::Elsewhere { until } => {
                let left = until.since(now);
                let text = format!(
                    "Taken by somebody at another server, who has {} to connect; then the caller goes first",
                    span(left)
                );
                Why::of(&Said::new("taken_elsewhere", text).with("left_s", seconds(left)), &[])
            }
            TaskState::Aside(None) => {
                Why::of(&Said::new("aside", "Not in line for the moment; the place is kept"), &[])
            }
        })
    }

    /// Why this agent was chosen, and why the caller was first.
    fn because(&self, task: &Task) -> Vec<Said> {
        let Some(reason) = task.reason else { return vec![Said::new("not_known", "not known")] };
        let agent = &self.agents[reason.agent as usize];
        let queue = &self.plan.queues[self.queue_of(task)];
        if reason.known {
            return vec![Said::new("knows", format!("the caller knows {}", agent.name)).with("agent", &agent.name)];
        }
        let mut parts = vec![match reason.of {
            1 => Said::new("only_one", "the only one who was free and fits"),
            of => {
                let (word, because) = reason.strategy.because();
                let text = format!("{because} ({}), of {of} who were free and fit", span(reason.idle));
                Said::new(word, text).with("idle_s", seconds(reason.idle)).with("of", of)
            }
        }];
        if let Some(ask) = queue.asks.get(reason.ask).filter(|ask| !ask.needs.is_empty()) {
            let (word, relaxed) =
                if reason.ask > 0 { ("asks_relaxed", ", relaxed after the wait") } else { ("asks", "") };
            let text = format!("{} asks for {}{relaxed}", queue.name, ask.needs.text(&self.plan.skills));
            let said = Said::new(word, text).with("queue", &queue.name);
            parts.push(said.with("needs", ask.needs.written(&self.plan.skills)));
        }
        if task.first {
            parts.push(match task.failed {
                Some(Cause::System) => {
                    Said::new("first_connection_failed", "first in line because a connection had failed")
                }
                Some(Cause::Agent) => {
                    Said::new("first_no_sound", "first in line because no sound had come from an agent")
                }
                None => Said::new("first_agent_lost", "first in line because an agent's connection was lost"),
            });
        }
        parts
    }

    fn why_pending(&self, now: Moment, task: &Task) -> Why {
        let number = self.queue_of(task);
        let (queue, line) = (&self.plan.queues[number], self.waiting.iter().filter(|one| one.queue == number));
        let position = line.take_while(|one| Some(one.key) < task.key).count() + 1;
        let age = task.age(now);
        let head = Said::new("number", format!("Number {position} in {} after {}", queue.name, span(age)))
            .with("position", position)
            .with("queue", &queue.name)
            .with("after_s", seconds(age));
        if let Some(opens) = task.opens {
            let left = opens.since(now);
            let text = format!("it is closed and opens in {}", span(left));
            return Why::of(&head, &[Said::new("closed", text).with("opens_s", seconds(left))]);
        }
        let waits = self.waits_for(now, task, queue);
        let counts = self.kept_from(now, task, queue);
        if counts.is_empty() {
            let text = format!("{waits}, and nobody is signed in");
            let mut why = Why::of(&head, &[Said::plain(text)]);
            why.phrases.extend([waits, Said::new("nobody_signed_in", "")].iter().filter_map(Said::phrase));
            return why;
        }
        let parts: Vec<String> = counts.iter().map(|(said, count)| format!("{count} {said}")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut why = Why::of(&head, &[Said::plain(format!("{waits}; of those signed in, {}", list(&parts, "and")))]);
        why.phrases.extend(waits.phrase());
        why.phrases.extend(counts.into_iter().filter_map(|(said, count)| said.with("n", count).phrase()));
        why
    }

    /// Whom a caller waits for.
    fn waits_for(&self, now: Moment, task: &Task, queue: &Queue) -> Said {
        let needs = &queue.asks[queue.ask_at(task.age(now))].needs;
        let language = task.facts.language.as_ref().filter(|_| queue.language == LanguageRule::Required);
        let mut text = "waits for somebody".to_owned();
        if !needs.is_empty() {
            text = format!("{text} with {}", needs.text(&self.plan.skills));
        }
        if let Some(language) = language {
            text = format!("{text} who speaks {language}");
        }
        let word = match (needs.is_empty(), language) {
            (true, None) => "waits",
            (false, None) => "waits_needs",
            (true, Some(_)) => "waits_language",
            (false, Some(_)) => "waits_needs_language",
        };
        let mut said = Said::new(word, text);
        if !needs.is_empty() {
            said = said.with("needs", needs.written(&self.plan.skills));
        }
        if let Some(language) = language { said.with("language", language) } else { said }
    }

    /// Everybody who serves the queue, by what keeps them from this caller; who is busy stands first.
    fn kept_from(&self, now: Moment, task: &Task, queue: &Queue) -> Vec<Count> {
        let (mut states, mut refusals): (Vec<Count>, Vec<Count>) = Default::default();
        let note = |list: &mut Vec<Count>, said: Said| match list.iter_mut().find(|(known, _)| *known == said) {
            Some((_, count)) => *count += 1,
            None => list.push((said, 1)),
        };
        for (agent, own) in (0u32..).zip(&self.agents) {
            if own.session.is_none() || own.state == AgentState::Offline {
                continue;
            }
            match self.fits(now, task, agent) {
                Ok(_) | Err(Refusal::Closed(_)) => {}
                Err(Refusal::Busy) if own.state != AgentState::Available => note(&mut states, busy(own.state)),
                Err(Refusal::Skill) => {
                    let needs = queue.asks[queue.ask_at(task.age(now))]
                        .needs
                        .and(&self.plan.workflows[task.workflow].steps[task.step].needs);
                    let missed = Some(needs.missed(&own.traits.levels)).filter(|missed| !missed.is_empty());
                    let lacks = missed.as_ref().unwrap_or(&needs);
                    let text = format!("without {}", lacks.text(&self.plan.skills));
                    note(&mut refusals, Said::new("without", text).with("needs", lacks.written(&self.plan.skills)));
                }
                Err(refusal) => note(&mut refusals, refused(now, refusal, task.facts.language.as_deref())),
            }
        }
        states.append(&mut refusals);
        states
    }
}

/// What keeps an agent from a caller who is free otherwise.
fn refused(now: Moment, refusal: Refusal, language: Option<&str>) -> Said {
    let until = |word, until: Moment, before: &str, after: &str| {
        let left = until.since(now);
        Said::new(word, format!("{before} {}{after}", span(left))).with("left_s", seconds(left))
    };
    match refusal {
        Refusal::Profile => Said::new("not_serving", "not serving this queue"),
        Refusal::Delay(later) => until("seeing_later", later, "seeing callers of this queue in", ""),
        Refusal::Language => match language {
            Some(language) => Said::new("not_speaking", format!("not speaking {language}")).with("language", language),
            None => Said::new("not_speaking_it", "not speaking the language"),
        },
        Refusal::Kept(later) => {
            until("kept_for_known", later, "passed over for", " for an agent whom the caller knows")
        }
        Refusal::Aimed(later) => until("kept_for_asked", later, "passed over for", " for whom a colleague asked for"),
        Refusal::Excluded(later) => until("did_not_take", later, "who did not take this caller, asked again in", ""),
        // Skills are told by which are missing, and whoever serves a closed queue is not counted.
        Refusal::Busy | Refusal::Skill | Refusal::Closed(_) => Said::new("resting", "resting after a hard call"),
    }
}

fn offered(exit: Exit) -> Said {
    match exit {
        Exit::Wait => Said::new("exit_wait", "the caller waits on"),
        Exit::Callback => Said::new("exit_callback", "the caller is offered to be called back"),
        Exit::Voicemail => Said::new("exit_voicemail", "the caller may leave a message"),
        Exit::Assistant => Said::new("exit_assistant", "the assistant takes the caller back"),
    }
}

fn busy(state: AgentState) -> Said {
    match state {
        AgentState::Offline => Said::new("agent_offline", "signed out"),
        AgentState::Available => Said::new("agent_available", "available"),
        AgentState::Reserved => Said::new("agent_reserved", "being offered another caller"),
        AgentState::OnContact => Said::new("agent_on_contact", "on a call"),
        AgentState::WrapUp => Said::new("agent_wrap_up", "finishing a call"),
        AgentState::Missed => Said::new("agent_missed", "away since a missed offer"),
        AgentState::Break => Said::new("agent_break", "on a break"),
        AgentState::Error => Said::new("agent_error", "without sound"),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(parts: &[&str], last: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

/// To the nearest.
const fn seconds(span: Duration) -> u128 {
    (span.as_millis() + 500) / 1_000
}

/// `12 s`, `3 min`, `2 h 5 min`.
fn span(span: Duration) -> String {
    let seconds = seconds(span);
    match seconds {
        0..100 => format!("{seconds} s"),
        100..3_600 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {} min", (seconds + 30) / 3_600, (seconds + 30) % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_lists_are_said_as_people_do() {
        let said = |s: u64| span(Duration::from_secs(s));
        assert_eq!(
            [said(0), said(99), said(100), said(3_599), said(7_500)],
            ["0 s", "99 s", "2 min", "60 min", "2 h 5 min"]
        );
        assert_eq!(
            [list(&["a"], "and"), list(&["a", "b"], "and"), list(&["a", "b", "c"], "or")],
            ["a", "a and b", "a, b or c"]
        );
    }
}
