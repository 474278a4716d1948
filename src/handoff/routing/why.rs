//! Any decision in a sentence: for supervisors, and for whoever wonders.

use std::time::Duration;

use super::Moment;
use super::event::Cause;
use super::matching::Refusal;
use super::plan::{Exit, LanguageRule};
use super::router::Router;
use super::task::{Task, TaskState};
use crate::handoff::HandoffId;
use crate::handoff::wire::AgentState;

/// What keeps agents from a caller, and how many.
type Count = (String, usize);

impl Router {
    /// Why a caller is where they are. `None`: not known (any more).
    pub fn why(&self, now: Moment, handoff: HandoffId) -> Option<String> {
        let task = self.task(*self.task_ids.get(&handoff)?);
        Some(match task.state {
            TaskState::Pending => self.why_pending(now, task),
            TaskState::Reserved => {
                let names: Vec<&str> =
                    task.offers.iter().map(|offer| self.agents[offer.agent as usize].name.as_str()).collect();
                let until = task.offers.iter().map(|offer| offer.until).min().unwrap_or(now);
                format!(
                    "Offered to {} for another {}: {}.",
                    list(&names, "and"),
                    span(until.since(now)),
                    self.because(task)
                )
            }
            TaskState::Assigned { agent, connected, .. } => {
                let with = if connected { "With" } else { "Being connected to" };
                format!("{with} {}: {}.", self.agents[agent as usize].name, self.because(task))
            }
            TaskState::AgentLost { agent, until, .. } => format!(
                "{} lost the connection and has {} to come back; then the caller goes first.",
                self.agents[agent as usize].name,
                span(until.since(now))
            ),
            TaskState::Aside(Some(exit)) => format!(
                "After {} the last step of {} was over: {}.",
                span(task.age(now)),
                self.plan.workflows[task.workflow].name,
                offered(exit)
            ),
            TaskState::Parked { by, until } => format!(
                "Parked by {} for another {}, for whoever of the queue picks up; then the caller goes first.",
                self.agents[by as usize].name,
                span(until.since(now))
            ),
            TaskState::Elsewhere { until } => format!(
                "Taken by somebody at another server, who has {} to connect; then the caller goes first.",
                span(until.since(now))
            ),
            TaskState::Aside(None) => "Not in line for the moment; the place is kept.".to_owned(),
        })
    }

    fn because(&self, task: &Task) -> String {
        let Some(reason) = task.reason else { return "not known".to_owned() };
        let agent = &self.agents[reason.agent as usize];
        let queue = &self.plan.queues[self.queue_of(task)];
        if reason.known {
            return format!("the caller knows {}", agent.name);
        }
        let of = match reason.of {
            1 => "the only one who was free and fits".to_owned(),
            of => format!("{} ({}), of {of} who were free and fit", reason.strategy.because(), span(reason.idle)),
        };
        let asked = queue.asks.get(reason.ask).map_or(String::new(), |ask| ask.needs.text(&self.plan.skills));
        let relaxed = if reason.ask > 0 { ", relaxed after the wait" } else { "" };
        let asks = if asked.is_empty() { String::new() } else { format!("; {} asks for {asked}{relaxed}", queue.name) };
        let head = match task.failed {
            _ if !task.first => "",
            Some(Cause::System) => "; first in line because a connection had failed",
            Some(Cause::Agent) => "; first in line because no sound had come from an agent",
            None => "; first in line because an agent's connection was lost",
        };
        format!("{of}{asks}{head}")
    }

    fn why_pending(&self, now: Moment, task: &Task) -> String {
        let number = self.queue_of(task);
        let (queue, line) = (&self.plan.queues[number], self.waiting.iter().filter(|one| one.queue == number));
        let position = line.take_while(|one| Some(one.key) < task.key).count() + 1;
        let head = format!("Number {position} in {} after {}", queue.name, span(task.age(now)));
        if let Some(opens) = task.opens {
            return format!("{head}: it is closed and opens in {}.", span(opens.since(now)));
        }
        // Everybody who serves the queue, by what keeps them from this caller.
        let (mut states, mut refusals): (Vec<Count>, Vec<Count>) = Default::default();
        let note =
            |list: &mut Vec<(String, usize)>, text: String| match list.iter_mut().find(|(known, _)| *known == text) {
                Some((_, count)) => *count += 1,
                None => list.push((text, 1)),
            };
        for (agent, own) in (0u32..).zip(&self.agents) {
            if own.session.is_none() || own.state == AgentState::Offline {
                continue;
            }
            let text = match self.fits(now, task, agent) {
                Ok(_) | Err(Refusal::Closed(_)) => continue,
                Err(Refusal::Busy) if own.state == AgentState::Available => "resting after a hard call".to_owned(),
                Err(Refusal::Busy) => {
                    note(&mut states, state_text(own.state).to_owned());
                    continue;
                }
                Err(Refusal::Profile) => "not serving this queue".to_owned(),
                Err(Refusal::Delay(until)) => format!("seeing callers of this queue in {}", span(until.since(now))),
                Err(Refusal::Skill) => {
                    let needs = queue.asks[queue.ask_at(task.age(now))]
                        .needs
                        .and(&self.plan.workflows[task.workflow].steps[task.step].needs);
                    let lacks = needs.lacking(&own.traits.levels, &self.plan.skills);
                    format!("without {}", lacks.unwrap_or_else(|| needs.text(&self.plan.skills)))
                }
                Err(Refusal::Language) => {
                    format!("not speaking {}", task.facts.language.as_deref().unwrap_or("the language"))
                }
                Err(Refusal::Kept(until)) => {
                    format!("passed over for {} for an agent whom the caller knows", span(until.since(now)))
                }
                Err(Refusal::Aimed(until)) => {
                    format!("passed over for {} for whom a colleague asked for", span(until.since(now)))
                }
                Err(Refusal::Excluded(until)) => {
                    format!("who did not take this caller, asked again in {}", span(until.since(now)))
                }
            };
            note(&mut refusals, text);
        }
        let part = |(text, count): &Count| format!("{count} {text}");
        let parts: Vec<String> = states.iter().chain(&refusals).map(part).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let wanted = queue.asks[queue.ask_at(task.age(now))].needs.text(&self.plan.skills);
        let mut asks = if wanted.is_empty() { "somebody".to_owned() } else { format!("somebody with {wanted}") };
        if let (LanguageRule::Required, Some(language)) = (queue.language, &task.facts.language) {
            asks = format!("{asks} who speaks {language}");
        }
        if parts.is_empty() {
            return format!("{head}: waits for {asks}, and nobody is signed in.");
        }
        format!("{head}: waits for {asks}; of those signed in, {}.", list(&parts, "and"))
    }
}

fn offered(exit: Exit) -> &'static str {
    match exit {
        Exit::Wait => "the caller waits on",
        Exit::Callback => "the caller is offered to be called back",
        Exit::Voicemail => "the caller may leave a message",
        Exit::Assistant => "the assistant takes the caller back",
    }
}

const fn state_text(state: AgentState) -> &'static str {
    match state {
        AgentState::Offline => "signed out",
        AgentState::Available => "available",
        AgentState::Reserved => "being offered another caller",
        AgentState::OnContact => "on a call",
        AgentState::WrapUp => "finishing a call",
        AgentState::Missed => "away since a missed offer",
        AgentState::Break => "on a break",
        AgentState::Error => "without sound",
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

/// `12 s`, `3 min`, `2 h 5 min`.
fn span(span: Duration) -> String {
    let seconds = (span.as_millis() + 500) / 1_000;
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
