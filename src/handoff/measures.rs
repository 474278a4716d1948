//! The numbers of a contact centre, each by its formula. PURE: functions over records.
//!
//! A ratio with nothing to divide by is `None`, not zero: nobody waited is not the same as everybody waited too long.

use std::collections::BTreeMap;
use std::time::Duration;

/// One caller who wanted a person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskTimes {
    /// From the wish to the answer, or to the end of waiting.
    pub wait: Duration,
    /// How the waiting ended.
    pub end: WaitEnd,
    /// Talking, without hold.
    pub talk: Duration,
    /// On hold.
    pub hold: Duration,
    /// The agent's work afterwards.
    pub wrap_up: Duration,
}

/// How waiting ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitEnd {
    /// Still waiting.
    #[default]
    Waiting,
    /// An agent answered.
    Answered,
    /// The caller hung up.
    Abandoned,
    /// A callback was booked: neither answered nor abandoned.
    Callback,
    /// Helped otherwise: a message, the assistant.
    Helped,
    /// The server stopped: neither answered nor the caller's own doing.
    Interrupted,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came into a queue.
    pub queued: u32,
    /// Answered.
    pub handled: u32,
    /// Left while queued; not for a callback.
    pub abandoned: u32,
    /// Of these, sooner than the limit.
    pub short_abandoned: u32,
}

/// Counts tasks; an abandonment before `short` is a short one.
pub fn counts(tasks: &[TaskTimes], short: Duration) -> Counts {
    let count = |wanted: &dyn Fn(&TaskTimes) -> bool| tasks.iter().filter(|task| wanted(task)).count() as u32;
    Counts {
        queued: tasks.len() as u32,
        handled: count(&|task| task.end == WaitEnd::Answered),
        abandoned: count(&|task| task.end == WaitEnd::Abandoned),
        short_abandoned: count(&|task| task.end == WaitEnd::Abandoned && task.wait < short),
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn within(tasks: &[TaskTimes], end: WaitEnd, limit: Duration) -> f64 {
    tasks.iter().filter(|task| task.end == end && task.wait <= limit).count() as f64
}

/// Service level: answered within `limit`, of those queued without short abandonments.
pub fn service_level(tasks: &[TaskTimes], limit: Duration, short: Duration) -> Option<f64> {
    let Counts { queued, short_abandoned, .. } = counts(tasks, short);
    ratio(within(tasks, WaitEnd::Answered, limit), f64::from(queued - short_abandoned))
}

/// Asterisk's first service level: answered within `limit`, of those answered.
pub fn service_level_asterisk(tasks: &[TaskTimes], limit: Duration) -> Option<f64> {
    ratio(within(tasks, WaitEnd::Answered, limit), f64::from(counts(tasks, Duration::ZERO).handled))
}

/// Asterisk's second: answered or abandoned within `limit`, of those answered or abandoned.
pub fn service_level_asterisk_2(tasks: &[TaskTimes], limit: Duration) -> Option<f64> {
    let Counts { handled, abandoned, .. } = counts(tasks, Duration::ZERO);
    let soon = within(tasks, WaitEnd::Answered, limit) + within(tasks, WaitEnd::Abandoned, limit);
    ratio(soon, f64::from(handled + abandoned))
}

/// Waits of those answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// Average speed of answer.
    pub asa: Duration,
    /// Half waited no longer.
    pub p50: Duration,
    /// Nine of ten waited no longer.
    pub p90: Duration,
    /// The longest.
    pub longest: Duration,
}

/// Average speed of answer with its spread.
pub fn waits(tasks: &[TaskTimes]) -> Option<Waits> {
    let mut all: Vec<Duration> =
        tasks.iter().filter(|task| task.end == WaitEnd::Answered).map(|task| task.wait).collect();
    all.sort_unstable();
    let sum: Duration = all.iter().sum();
    let n = u32::try_from(all.len()).ok().filter(|n| *n > 0)?;
    Some(Waits { asa: sum / n, p50: percentile(&all, 0.5)?, p90: percentile(&all, 0.9)?, longest: *all.last()? })
}

/// The value that a share `p` of sorted values does not exceed.
pub fn percentile(sorted: &[Duration], p: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * p).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Abandoned, of those queued.
pub fn abandonment_rate(tasks: &[TaskTimes]) -> Option<f64> {
    let Counts { queued, abandoned, .. } = counts(tasks, Duration::ZERO);
    ratio(abandoned.into(), queued.into())
}

/// Average handling time: talk, hold and wrap-up of those handled.
pub fn handling_time(tasks: &[TaskTimes]) -> Option<Duration> {
    let handled = tasks.iter().filter(|task| task.end == WaitEnd::Answered);
    let sum: Duration = handled.map(|task| task.talk + task.hold + task.wrap_up).sum();
    sum.checked_div(counts(tasks, Duration::ZERO).handled)
}

/// An agent's time by state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentTimes {
    /// Idle in Available.
    pub available: Duration,
    /// Being offered a caller: neither idle nor busy.
    pub offered: Duration,
    /// With a caller, hold included.
    pub on_contact: Duration,
    /// Finishing a call.
    pub wrap_up: Duration,
    /// Missed or in a fault of the system.
    pub out: Duration,
    /// On a break.
    pub away: Duration,
    /// Planned to work.
    pub scheduled: Duration,
    /// Of that, in the planned state.
    pub as_scheduled: Duration,
}

impl AgentTimes {
    /// Signed in.
    pub fn signed_in(&self) -> Duration {
        self.available + self.offered + self.on_contact + self.wrap_up + self.out + self.away
    }

    /// On contact with wrap-up, of that and idle time. 75 to 85 % is healthy; above 90 % people burn out.
    pub fn occupancy(&self) -> Option<f64> {
        let busy = (self.on_contact + self.wrap_up).as_secs_f64();
        ratio(busy, busy + self.available.as_secs_f64())
    }

    /// Productive (all but breaks and being out), of the time signed in.
    pub fn utilisation(&self) -> Option<f64> {
        let productive = self.available + self.offered + self.on_contact + self.wrap_up;
        ratio(productive.as_secs_f64(), self.signed_in().as_secs_f64())
    }

    /// In the planned state, of the planned time.
    pub fn adherence(&self) -> Option<f64> {
        ratio(self.as_scheduled.as_secs_f64(), self.scheduled.as_secs_f64())
    }

    /// Paid waiting, of the paid time.
    pub fn standby_ratio(&self) -> Option<f64> {
        let standby = (self.available + self.offered + self.out).as_secs_f64();
        ratio(standby, standby + (self.on_contact + self.wrap_up).as_secs_f64())
    }
}

/// An agent's offers by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferCounts {
    /// Taken.
    pub accepted: u32,
    /// Declined.
    pub rejected: u32,
    /// Not answered in time.
    pub timed_out: u32,
    /// Taken back by the server.
    pub rescinded: u32,
    /// The caller left.
    pub canceled: u32,
    /// Of those accepted, no connection came about through our fault.
    pub failed_by_system: u32,
    /// Of those accepted, no connection came about through the agent's fault.
    pub failed_by_agent: u32,
}

impl OfferCounts {
    /// All.
    pub fn offered(&self) -> u32 {
        self.accepted + self.rejected + self.timed_out + self.rescinded + self.canceled
    }

    /// Accepted, of all.
    pub fn answer_rate(&self) -> Option<f64> {
        ratio(self.accepted.into(), self.offered().into())
    }

    /// Not answered in time, of all. A caller who left while it rang is not the agent's miss.
    pub fn rona_rate(&self) -> Option<f64> {
        ratio(self.timed_out.into(), self.offered().into())
    }

    /// Declined, of all. It has no consequence.
    pub fn reject_rate(&self) -> Option<f64> {
        ratio(self.rejected.into(), self.offered().into())
    }

    /// No connection through our fault, and through the agent's, of those accepted.
    pub fn failed_connect_rates(&self) -> Option<(f64, f64)> {
        let rate = |failed: u32| ratio(failed.into(), self.accepted.into());
        Some((rate(self.failed_by_system)?, rate(self.failed_by_agent)?))
    }
}

/// First contact resolution: of contacts that were handled, those after which the same customer did not come with the same
/// intent within `window` (seven days by custom). `contacts`: customer, intent, time since some origin.
pub fn first_contact_resolution(contacts: &[(&str, &str, Duration)], window: Duration) -> Option<f64> {
    let mut by_case: BTreeMap<(&str, &str), Vec<Duration>> = BTreeMap::new();
    for (customer, intent, at) in contacts {
        by_case.entry((customer, intent)).or_default().push(*at);
    }
    let repeated = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.windows(2).filter(|pair| pair[1] - pair[0] <= window).count()
    };
    let repeats: usize = by_case.values_mut().map(repeated).sum();
    ratio((contacts.len() - repeats) as f64, contacts.len() as f64)
}

/// One caller's call with the assistant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssistantCall {
    /// A person spoke with the caller.
    pub reached_a_person: bool,
    /// Came again within the window.
    pub came_again: bool,
    /// Said afterwards that it was fine.
    pub satisfied: bool,
    /// From the wish for a person to being joined with one; `None`: no wish, or another end.
    pub time_to_human: Option<Duration>,
    /// Wanted a person.
    pub wanted_a_person: bool,
    /// Got one, or an alternative of their own choice, or hung up.
    pub wish_honoured: bool,
}

/// Ended by the assistant without a person, of all; and of those, resolved: nobody came again, everybody was satisfied.
/// The first is never to be shown without the second.
pub fn containment(calls: &[AssistantCall]) -> Option<(f64, f64)> {
    let contained = calls.iter().filter(|call| !call.reached_a_person);
    let resolved = contained.clone().filter(|call| !call.came_again && call.satisfied).count();
    Some((ratio(contained.count() as f64, calls.len() as f64)?, ratio(resolved as f64, calls.len() as f64)?))
}

/// Wishes for a person that were honoured, of all wishes.
pub fn human_request_honoured(calls: &[AssistantCall]) -> Option<f64> {
    let wished = calls.iter().filter(|call| call.wanted_a_person);
    ratio(wished.clone().filter(|call| call.wish_honoured).count() as f64, wished.count() as f64)
}

/// From wish to person: 50th and 90th percentile, and the share of wishes that ended otherwise.
pub fn time_to_human(calls: &[AssistantCall]) -> Option<(Duration, Duration, f64)> {
    let wished = calls.iter().filter(|call| call.wanted_a_person);
    let mut times: Vec<Duration> = wished.clone().filter_map(|call| call.time_to_human).collect();
    times.sort_unstable();
    let otherwise = ratio((wished.clone().count() - times.len()) as f64, wished.count() as f64)?;
    Some((percentile(&times, 0.5)?, percentile(&times, 0.9)?, otherwise))
}

/// Jain's index of fairness: 1 when all have the same, `1/n` when one has everything.
pub fn jain(values: &[f64]) -> Option<f64> {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    ratio(sum * sum, squares * values.len() as f64)
}

/// Gini's coefficient: 0 when all have the same, towards 1 when one has everything.
pub fn gini(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, sum) = (sorted.len() as f64, sorted.iter().sum::<f64>());
    let weighted: f64 = (1u32..).zip(&sorted).map(|(rank, x)| f64::from(rank) * x).sum();
    ratio(2.0 * weighted - (n + 1.0) * sum, n * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn task(end: WaitEnd, wait: u64, talk: u64, hold: u64, wrap_up: u64) -> TaskTimes {
        TaskTimes { wait: s(wait), end, talk: s(talk), hold: s(hold), wrap_up: s(wrap_up) }
    }

    /// Ten callers: six answered after 5, 10, 20, 21, 40 and 90 s; three hung up after 3, 15 and 60 s; one booked a callback.
    fn ten() -> Vec<TaskTimes> {
        use WaitEnd::*;
        vec![
            task(Answered, 5, 100, 0, 30),
            task(Answered, 10, 200, 20, 30),
            task(Answered, 20, 60, 0, 10),
            task(Answered, 21, 300, 60, 60),
            task(Answered, 40, 120, 0, 30),
            task(Answered, 90, 150, 0, 30),
            task(Abandoned, 3, 0, 0, 0),
            task(Abandoned, 15, 0, 0, 0),
            task(Abandoned, 60, 0, 0, 0),
            task(Callback, 45, 0, 0, 0),
        ]
    }

    fn near(got: Option<f64>, want: f64) {
        let got = got.expect("there is something to divide by");
        assert!((got - want).abs() < 1e-9, "{got} is not {want}");
    }

    #[test]
    fn callers() {
        let tasks = ten();
        let wanted = Counts { queued: 10, handled: 6, abandoned: 3, short_abandoned: 1 };
        assert_eq!(counts(&tasks, s(5)), wanted);
        near(service_level(&tasks, s(20), s(5)), 3.0 / 9.0); // 5, 10, 20 of all but the one who left after 3 s
        near(service_level_asterisk(&tasks, s(20)), 3.0 / 6.0);
        near(service_level_asterisk_2(&tasks, s(20)), 5.0 / 9.0); // with the two who left within 20 s
        near(abandonment_rate(&tasks), 0.3);
        let waits = waits(&tasks).expect("some were answered");
        assert_eq!((waits.asa, waits.p50, waits.p90, waits.longest), (s(31), s(20), s(90), s(90))); // 186 / 6
        // Talk 930, hold 80, wrap-up 190: 1,200 s for six.
        assert_eq!(handling_time(&tasks), Some(s(200)));
        assert_eq!((service_level(&[], s(20), s(5)), handling_time(&[])), (None, None));
    }

    #[test]
    fn agents() {
        let day = AgentTimes {
            available: s(3_600),
            offered: s(200),
            on_contact: s(10_000),
            wrap_up: s(4_400),
            out: s(300),
            away: s(1_500),
            scheduled: s(21_600),
            as_scheduled: s(19_440),
        };
        near(day.occupancy(), 14_400.0 / 18_000.0); // being offered a caller is neither
        assert_eq!(day.signed_in(), s(20_000));
        near(day.utilisation(), 18_200.0 / 20_000.0);
        near(day.adherence(), 0.9);
        near(day.standby_ratio(), 4_100.0 / 18_500.0);
        assert_eq!(AgentTimes::default().occupancy(), None);
    }

    #[test]
    fn offers() {
        let offers = OfferCounts {
            accepted: 80,
            rejected: 6,
            timed_out: 4,
            rescinded: 7,
            canceled: 3,
            failed_by_system: 2,
            failed_by_agent: 1,
        };
        assert_eq!(offers.offered(), 100);
        near(offers.answer_rate(), 0.8);
        near(offers.rona_rate(), 0.04);
        near(offers.reject_rate(), 0.06);
        assert_eq!(offers.failed_connect_rates(), Some((2.0 / 80.0, 1.0 / 80.0)));
    }

    #[test]
    fn repeats() {
        let day = |days: u64| s(days * 86_400);
        // Ann comes on days 0 and 3 about her bill, and again on day 20; on day 3 also about a parcel. Ben comes once.
        let contacts = [
            ("ann", "bill", day(0)),
            ("ann", "bill", day(3)),
            ("ann", "parcel", day(3)),
            ("ann", "bill", day(20)),
            ("ben", "bill", day(1)),
        ];
        near(first_contact_resolution(&contacts, day(7)), 4.0 / 5.0);
        assert_eq!(first_contact_resolution(&[], day(7)), None);
    }

    #[test]
    fn the_assistant() {
        let contained = AssistantCall { satisfied: true, wish_honoured: true, ..AssistantCall::default() };
        let wanted = |seconds| AssistantCall {
            reached_a_person: true,
            wanted_a_person: true,
            wish_honoured: true,
            time_to_human: Some(s(seconds)),
            ..AssistantCall::default()
        };
        let left = AssistantCall { wanted_a_person: true, wish_honoured: true, ..AssistantCall::default() };
        let calls = [
            contained,
            AssistantCall { came_again: true, ..contained },
            AssistantCall { satisfied: false, ..contained },
            wanted(30),
            wanted(10),
            wanted(90),
            left,
            AssistantCall { wish_honoured: false, ..left },
        ];
        assert_eq!(containment(&calls), Some((5.0 / 8.0, 1.0 / 8.0)));
        near(human_request_honoured(&calls), 4.0 / 5.0);
        assert_eq!(time_to_human(&calls), Some((s(30), s(90), 2.0 / 5.0)));
    }

    #[test]
    fn fairness() {
        near(jain(&[4.0, 4.0, 4.0, 4.0]), 1.0);
        near(jain(&[8.0, 0.0, 0.0, 0.0]), 0.25);
        near(jain(&[1.0, 2.0, 3.0]), 36.0 / 42.0);
        near(gini(&[4.0, 4.0, 4.0, 4.0]), 0.0);
        near(gini(&[0.0, 0.0, 0.0, 8.0]), 0.75);
        near(gini(&[3.0, 1.0, 2.0]), 2.0 / 9.0);
        assert_eq!((jain(&[]), gini(&[0.0])), (None, None));
    }
}
