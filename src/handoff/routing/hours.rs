//! When a queue is open: spans of the week in a time zone, and days that differ.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::Moment;

/// How far ahead a change is looked for. Later ones are found when that time has come.
const HORIZON_DAYS: i64 = 15;

/// From a time of day to another; one that ends at or before its beginning ends the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: Time,
    to: Time,
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
    pub fn parse(name: &str, zone: TimeZone, weekly: &[String], days: &[String]) -> Result<Self, String> {
        let mut calendar = Self { name: name.to_owned(), zone, week: Default::default(), days: Vec::new() };
        for line in weekly {
            let (which, hours) = line
                .trim()
                .split_once(' ')
                .ok_or_else(|| format!("`{line}` must be days and hours, such as `mon-fri 08:00-18:00`"))?;
            let spans = parse_spans(hours)?;
            for day in parse_days(which)? {
                calendar.week[usize::from(day.to_monday_zero_offset().unsigned_abs())].extend(&spans);
            }
        }
        for line in days {
            let (date, hours) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let date = date.parse().map_err(|_| format!("`{date}` must be a date such as 2026-12-24"))?;
            let spans = if hours.is_empty() { Vec::new() } else { parse_spans(hours)? };
            calendar.days.push((date, spans));
        }
        Ok(calendar)
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

    /// When to ask again if [`Calendar::next_open`] knows of no opening.
    pub fn ask_again(now: Moment) -> Moment {
        now + Duration::from_secs(HORIZON_DAYS as u64 * 86_400)
    }

    /// The open intervals of the days from `first` to `last`, counted from today.
    fn intervals(&self, now: Moment, first: i64, last: i64) -> impl Iterator<Item = (Moment, Moment)> {
        let now = Timestamp::from_millisecond(i64::try_from(now.ms()).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        let today = now.to_zoned(self.zone.clone()).date();
        (first..=last).filter_map(move |offset| today.checked_add(offset.days()).ok()).flat_map(move |date| {
            let special = self.days.iter().find(|(day, _)| *day == date).map(|(_, spans)| spans);
            let usual = &self.week[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())];
            special.unwrap_or(usual).iter().filter_map(move |span| self.interval(date, *span))
        })
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

fn parse_days(text: &str) -> Result<Vec<Weekday>, String> {
    let wrong = || format!("`{text}` must be days such as `mon-fri`, `sat` or `mon,wed`");
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

fn parse_spans(text: &str) -> Result<Vec<Span>, String> {
    let span = |part: &str| {
        let (from, to) = part.trim().split_once('-')?;
        Some(Span { from: time(from)?, to: time(to)? })
    };
    text.split(',')
        .map(|part| span(part).ok_or_else(|| format!("`{}` must be hours such as 08:00-18:00", part.trim())))
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

    fn calendar(weekly: &[&str], days: &[&str]) -> Result<Calendar, String> {
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
    fn what_can_not_be_read_is_refused() {
        for bad in ["mon", "mon 8-18", "monday 08:00-18:00", "mon 08:00", "mon 25:00-26:00"] {
            assert!(calendar(&[bad], &[]).is_err(), "{bad}");
        }
        for bad in ["2026-13-01", "25.12.2026", "2026-12-24 9"] {
            assert!(calendar(&[], &[bad]).is_err(), "{bad}");
        }
    }
}
