//! What came of it, in the contact centre's numbers.

use std::time::Duration;

use super::{End, Outcome};
use crate::handoff::measures::{self, TaskTimes, WaitEnd};
use crate::handoff::routing::Moment;

/// Answered within this is good service.
pub const SERVICE_LEVEL: Duration = Duration::from_secs(20);
/// Who leaves sooner is not counted against it.
pub const SHORT_ABANDON: Duration = Duration::from_secs(5);

/// One run in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Answered within [`SERVICE_LEVEL`], of those queued without short abandonments.
    pub service_level: f64,
    /// Average speed of answer.
    pub asa: Duration,
    /// 90th percentile of the wait of those answered.
    pub wait_p90: Duration,
    /// Hung up while waiting, of all.
    pub abandoned: f64,
    /// Jain's index of calls answered.
    pub jain: f64,
    /// Jain's index of offers.
    pub jain_offers: f64,
    /// Callers.
    pub callers: usize,
}

/// The records of a run.
pub fn tasks(outcome: &Outcome) -> Vec<TaskTimes> {
    let task = |story: &super::Story| {
        let (left, end): (Moment, WaitEnd) = match (story.answered, story.ends.first()) {
            (Some(answered), _) => (answered, WaitEnd::Answered),
            (None, Some((at, End::HungUp))) => (*at, WaitEnd::Abandoned),
            (None, Some((at, _))) => (*at, WaitEnd::Helped),
            (None, None) => (story.arrived, WaitEnd::Waiting),
        };
        TaskTimes { wait: left.since(story.arrived), end, ..TaskTimes::default() }
    };
    outcome.stories.iter().map(task).collect()
}

/// The numbers of a run.
pub fn report(outcome: &Outcome) -> Report {
    let tasks = tasks(outcome);
    let waits = measures::waits(&tasks);
    let index =
        |counts: &[u32]| measures::jain(&counts.iter().map(|n| f64::from(*n)).collect::<Vec<_>>()).unwrap_or(0.0);
    Report {
        service_level: measures::service_level(&tasks, SERVICE_LEVEL, SHORT_ABANDON).unwrap_or(0.0),
        asa: waits.map_or(Duration::ZERO, |waits| waits.asa),
        wait_p90: waits.map_or(Duration::ZERO, |waits| waits.p90),
        abandoned: measures::abandonment_rate(&tasks).unwrap_or(0.0),
        jain: index(&outcome.answered),
        jain_offers: index(&outcome.offers),
        callers: outcome.stories.len(),
    }
}
