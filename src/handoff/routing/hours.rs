//! When a queue is open: spans of the week in a time zone, and days that differ.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;
use utoipa::ToSchema;

use super::Moment;
use crate::said::{Phrase, Said};

/// How far ahead a change is looked for. Later ones are found when that time has come.
const HORIZON_DAYS: i64 = 15;

/// From a time of day to another; one that ends at or before its beginning ends the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: Time,
    to: Time,
}

/// Where in hours as they are written something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoursPart {
    /// The time zone.
    Zone,
    /// The hours of the week.
    Weekly,
    /// The days that differ.
    Days,
}

/// One thing that is wrong with hours as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HoursProblem {
    /// Where.
    pub part: HoursPart,
    /// In which of its lines, from 0.
    pub line: usize,
    /// What.
    pub reason: String,
    /// The same for clients with words of their own.
    pub phrase: Option<Phrase>,
}

impl HoursProblem {
    fn new(part: HoursPart, line: usize, said: &Said) -> Self {
        Self { part, line, reason: said.to_string(), phrase: said.phrase() }
    }
}

/// Opening hours.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    name: String,
    zone: TimeZone,
    /// Monday first.
    week: [Vec<Span>; 7],
    /// Days that differ; without spans they are closed.
    days: Vec<(Date, Vec<Span>)>,
}

impl Calendar {
    /// `weekly`: lines such as `mon-fri 08:00-18:00` or `sat 09:00-12:00, 13:00-15:00`. `days`: `2026-12-25` is closed all
    /// day, `2026-12-24 09:00-12:00` has other hours. The error says what is wrong with one of them.
    pub fn parse(name: &str, zone: TimeZone, weekly: &[String], days: &[String]) -> Result<Self, Said> {
        let mut calendar = Self { name: name.to_owned(), zone, week: Default::default(), days: Vec::new() };
        for line in weekly {
            let (which, hours) = line
                .trim()
                .split_once(' ')
                .ok_or_else(|| wrong("hours_line", line, "must be days and hours, such as `mon-fri 08:00-18:00`"))?;
            let spans = parse_spans(hours)?;
            for day in parse_days(which)? {
                calendar.week[usize::from(day.to_monday_zero_offset().unsigned_abs())].extend(&spans);
            }
        }
        for line in days {
            let (date, hours) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let date = date.parse().map_err(|_| wrong("date", date, "must be a date such as 2026-12-24"))?;
            let spans = if hours.is_empty() { Vec::new() } else { parse_spans(hours)? };
            calendar.days.push((date, spans));
        }
        Ok(calendar)
    }

    /// The same from a zone's name, with everything that is wrong at once.
    pub fn check(name: &str, zone: &str, weekly: &[String], days: &[String]) -> Result<Self, Vec<HoursProblem>> {
        let mut problems = Vec::new();
        let mut problem = |part, line, said: Said| problems.push(HoursProblem::new(part, line, &said));
        let known = TimeZone::get(zone.trim()).unwrap_or_else(|_| {
            problem(
                HoursPart::Zone,
                0,
                wrong("no_time_zone", zone.trim(), "must be a time zone such as Europe/Berlin"),
            );
            TimeZone::UTC
        });
        if weekly.is_empty() {
            let said = Said::new("hours_missing", "must say when it is open, such as `mon-fri 08:00-18:00`");
            problem(HoursPart::Weekly, 0, said);
        }
        for (line, text) in weekly.iter().enumerate() {
            if let Err(reason) = Self::parse(name, TimeZone::UTC, std::slice::from_ref(text), &[]) {
                problem(HoursPart::Weekly, line, reason);
            }
        }
        let mut seen: Vec<Date> = Vec::new();
        for (line, text) in days.iter().enumerate() {
            match Self::parse(name, TimeZone::UTC, &[], std::slice::from_ref(text)) {
                Err(reason) => problem(HoursPart::Days, line, reason),
                Ok(one) => {
                    let date = one.days[0].0;
                    if seen.contains(&date) {
                        let said = Said::new("date_twice", format!("{date} is there twice")).with("given", date);
                        problem(HoursPart::Days, line, said);
                    }
                    seen.push(date);
                }
            }
        }
        if problems.is_empty() {
            let whole = Self::parse(name, known, weekly, days);
            return whole.map_err(|said| vec![HoursProblem::new(HoursPart::Weekly, 0, &said)]);
        }
        Err(problems)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is open.
    pub fn is_open(&self, now: Moment) -> bool {
        self.intervals(now, -1, 1).any(|(from, to)| from <= now && now < to)
    }

    /// When it opens next; `now` if it is open. `None`: not within the next two weeks.
    pub fn next_open(&self, now: Moment) -> Option<Moment> {
        self.intervals(now, -1, HORIZON_DAYS).filter(|(_, to)| *to > now).map(|(from, _)| from.max(now)).min()
    }

    /// When it closes next, if it is open. `None` as well: not within the next two weeks.
    pub fn next_close(&self, now: Moment) -> Option<Moment> {
        let mut spans: Vec<_> = self.intervals(now, -1, HORIZON_DAYS).collect();
        spans.sort_unstable();
        // Spans that meet are one: at midnight nobody goes home.
        let mut until = None;
        for (from, to) in spans.into_iter().filter(|(_, to)| *to > now) {
            match until {
                None if from <= now => until = Some(to),
                Some(end) if from <= end => until = Some(to.max(end)),
                _ => break,
            }
        }
        let far = now + Duration::from_secs((HORIZON_DAYS as u64 - 1) * 86_400);
        until.filter(|end| *end < far)
    }

    /// The day it is there at a moment.
    pub fn date(&self, now: Moment) -> Date {
        let now = Timestamp::from_millisecond(i64::try_from(now.ms()).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        now.to_zoned(self.zone.clone()).date()
    }

    /// When it is open on a day, in minutes since its beginning: `(480, 1_080)` is from 8 to 18 o'clock.
    pub fn minutes_of(&self, date: Date) -> Vec<(u16, u16)> {
        const DAY: u16 = 1_440;
        let minute = |time: Time| 60 * u16::from(time.hour().unsigned_abs()) + u16::from(time.minute().unsigned_abs());
        let night = date.yesterday().ok().into_iter().flat_map(|before| self.spans_of(before));
        let mut minutes: Vec<(u16, u16)> =
            night.filter(|span| span.to <= span.from).map(|span| (0, minute(span.to))).collect();
        minutes.extend(
            self.spans_of(date)
                .iter()
                .map(|span| (minute(span.from), if span.to <= span.from { DAY } else { minute(span.to) })),
        );
        minutes.retain(|(from, to)| from < to);
        minutes.sort_unstable();
        minutes
    }

    /// When to ask again if [`Calendar::next_open`] knows of no opening.
    pub fn ask_again(now: Moment) -> Moment {
        now + Duration::from_secs(HORIZON_DAYS as u64 * 86_400)
    }

    /// The open intervals of the days from `first` to `last`, counted from today.
    fn intervals(&self, now: Moment, first: i64, last: i64) -> impl Iterator<Item = (Moment, Moment)> {
        let today = self.date(now);
        let dates = (first..=last).filter_map(move |offset| today.checked_add(offset.days()).ok());
        dates.flat_map(move |date| self.spans_of(date).iter().filter_map(move |span| self.interval(date, *span)))
    }

    /// What is written for a day.
    fn spans_of(&self, date: Date) -> &[Span] {
        let special = self.days.iter().find(|(day, _)| *day == date).map(|(_, spans)| spans);
        special.unwrap_or(&self.week[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())])
    }

    fn interval(&self, date: Date, span: Span) -> Option<(Moment, Moment)> {
        let ends = if span.to <= span.from { date.tomorrow().ok()? } else { date };
        // A time that daylight saving skips or repeats is taken as the calendar's makers do: after the gap, first of two.
        let moment = |date: Date, time: Time| {
            let zoned = date.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
            u64::try_from(zoned.timestamp().as_millisecond()).ok().map(Moment::from_ms)
        };
        Some((moment(date, span.from)?, moment(ends, span.to)?))
    }
}

/// What was given, and what it must be.
fn wrong(word: &'static str, given: &str, must: &str) -> Said {
    Said::new(word, format!("`{given}` {must}")).with("given", given)
}

fn parse_days(text: &str) -> Result<Vec<Weekday>, Said> {
    let wrong = || wrong("days", text, "must be days such as `mon-fri`, `sat` or `mon,wed`");
    let mut days = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (weekday(from).ok_or_else(wrong)?, weekday(to).ok_or_else(wrong)?);
        days.extend(from.cycle_forward().take(7).take_while(|day| *day != to));
        days.push(to);
    }
    Ok(days)
}

fn weekday(text: &str) -> Option<Weekday> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = NAMES.iter().position(|name| text.trim().eq_ignore_ascii_case(name))?;
    Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok()
}

fn parse_spans(text: &str) -> Result<Vec<Span>, Said> {
    let span = |part: &str| {
        let (from, to) = part.trim().split_once('-')?;
        Some(Span { from: time(from)?, to: time(to)? })
    };
    text.split(',')
        .map(|part| span(part).ok_or_else(|| wrong("hours_span", part.trim(), "must be hours such as 08:00-18:00")))
        .collect()
}

/// `24:00` is midnight at the end of the day, the same as `00:00`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = if (hour, minute) == (24, 0) { 0 } else { hour };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(weekly: &[&str], days: &[&str]) -> Result<Calendar, Said> {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let zone = TimeZone::get("Europe/Berlin").expect("the zone is known");
        Calendar::parse("office", zone, &owned(weekly), &owned(days))
    }

    fn at(text: &str) -> Moment {
        let timestamp: Timestamp = text.parse().expect("a time");
        Moment::from_ms(timestamp.as_millisecond() as u64)
    }

    #[test]
    fn open_by_the_zone_of_the_calendar() {
        let office = calendar(&["mon-fri 08:00-18:00", "sat 09:00-12:00, 13:00-15:00"], &[]).expect("valid");
        for (when, open) in [
            ("2026-11-25T06:59:59Z", false), // Wednesday, 07:59:59 in Berlin
            ("2026-11-25T07:00:00Z", true),
            ("2026-11-25T16:59:59Z", true),
            ("2026-11-25T17:00:00Z", false),
            ("2026-11-28T11:30:00Z", false), // Saturday, lunch
            ("2026-11-28T12:30:00Z", true),
            ("2026-11-29T10:00:00Z", false), // Sunday
            ("2026-07-01T06:00:00Z", true),  // summer time
        ] {
            assert_eq!(office.is_open(at(when)), open, "{when}");
        }
        assert_eq!(office.next_open(at("2026-11-28T15:00:00Z")), Some(at("2026-11-30T07:00:00Z")), "over the weekend");
        assert_eq!(office.next_open(at("2026-11-25T10:00:00Z")), Some(at("2026-11-25T10:00:00Z")), "open already");
    }

    #[test]
    fn holidays_are_closed_or_have_other_hours() {
        let office = calendar(&["mon-sun 08:00-18:00"], &["2026-12-25", "2026-12-24 09:00-12:00"]).expect("valid");
        assert!(office.is_open(at("2026-12-24T10:59:00Z")));
        assert!(!office.is_open(at("2026-12-24T11:00:00Z")));
        assert!(!office.is_open(at("2026-12-25T10:00:00Z")));
        assert_eq!(office.next_open(at("2026-12-24T11:00:00Z")), Some(at("2026-12-26T07:00:00Z")));
    }

    #[test]
    fn a_span_may_end_the_next_day() {
        let night = calendar(&["fri 22:00-06:00", "sun 00:00-24:00"], &[]).expect("valid");
        assert!(night.is_open(at("2026-11-28T03:00:00Z")), "Saturday, 04:00 in Berlin");
        assert!(!night.is_open(at("2026-11-28T05:00:00Z")));
        assert!(night.is_open(at("2026-11-29T22:59:00Z")), "Sunday to its end");
        assert!(!night.is_open(at("2026-11-29T23:00:00Z")));
    }

    #[test]
    fn days_with_a_change_of_clocks_have_an_hour_less_or_more() {
        let early = calendar(&["sun 01:30-03:30"], &[]).expect("valid");
        let span = |day: &str| early.intervals(at(day), 0, 0).map(|(from, to)| to.since(from)).sum::<Duration>();
        assert_eq!(span("2026-03-29T10:00:00Z"), Duration::from_secs(3_600), "02:00 to 03:00 does not exist");
        assert_eq!(span("2026-10-25T10:00:00Z"), Duration::from_secs(3 * 3_600), "02:00 to 03:00 comes twice");
        assert_eq!(span("2026-11-01T10:00:00Z"), Duration::from_secs(2 * 3_600));
    }

    #[test]
    fn a_calendar_that_never_opens_says_so() {
        let never = calendar(&[], &[]).expect("valid");
        assert_eq!(never.next_open(at("2026-11-25T10:00:00Z")), None);
        assert!(!never.is_open(at("2026-11-25T10:00:00Z")));
    }

    #[test]
    fn spans_that_meet_close_once() {
        let office = calendar(&["mon-fri 08:00-18:00"], &[]).expect("valid");
        assert_eq!(office.next_close(at("2026-11-25T10:00:00Z")), Some(at("2026-11-25T17:00:00Z")));
        assert_eq!(office.next_close(at("2026-11-25T18:00:00Z")), None, "it is closed");
        let weekend = calendar(&["fri 22:00-24:00", "sat 00:00-24:00", "sun 00:00-06:00"], &[]).expect("valid");
        assert_eq!(weekend.next_close(at("2026-11-27T21:30:00Z")), Some(at("2026-11-29T05:00:00Z")));
        let always = calendar(&["mon-sun 00:00-24:00"], &[]).expect("valid");
        assert_eq!(always.next_close(at("2026-11-25T10:00:00Z")), None);
    }

    #[test]
    fn a_day_is_told_in_minutes_with_what_is_left_of_the_night() {
        let bar = calendar(&["fri 09:00-12:00, 22:00-02:30", "sun 00:00-24:00"], &["2026-12-04"]).expect("valid");
        let on = |date: &str| bar.minutes_of(date.parse().expect("a date"));
        assert_eq!(on("2026-11-27"), [(540, 720), (1_320, 1_440)]);
        assert_eq!(on("2026-11-28"), [(0, 150)]);
        assert_eq!(on("2026-11-29"), [(0, 1_440)]);
        assert_eq!(on("2026-12-05"), [], "the Friday before was closed");
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let days = lines(&["2026-12-25", "25.12.2026", "2026-12-25 09:00-12:00"]);
        let problems = Calendar::check("x", "Moon/Base", &lines(&["mon-fri 08:00-18:00", "sat"]), &days);
        let problems = problems.expect_err("four problems");
        let places: Vec<_> = problems.iter().map(|problem| (problem.part, problem.line)).collect();
        assert_eq!(places, [(HoursPart::Zone, 0), (HoursPart::Weekly, 1), (HoursPart::Days, 1), (HoursPart::Days, 2)]);
        assert!(problems[3].reason.contains("twice"), "{problems:?}");
        assert!(Calendar::check("x", "UTC", &[], &[]).is_err(), "when is it open?");
        assert!(Calendar::check("x", " Europe/Berlin ", &lines(&["mon 08:00-12:00"]), &[]).is_ok());
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for bad in ["mon", "mon 8-18", "monday 08:00-18:00", "mon 08:00", "mon 25:00-26:00"] {
            assert!(calendar(&[bad], &[]).is_err(), "{bad}");
        }
        for bad in ["2026-13-01", "25.12.2026", "2026-12-24 9"] {
            assert!(calendar(&[], &[bad]).is_err(), "{bad}");
        }
    }
}
