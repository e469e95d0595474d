//! Which service runs on which day: calendar.txt and calendar_dates.txt, or either alone.

use std::collections::HashMap;

use super::archive::Archive;
use super::error::{GtfsError, GtfsErrorKind};
use super::table::{Column, Row, Table, clip};
use super::time::{parse_date, weekday_of};

const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The days of all services.
#[derive(Debug, Default)]
pub struct Calendar {
    services: Vec<ServiceDays>,
    index: HashMap<String, u32>,
}

/// The days of one service, as days since 1970-01-01.
#[derive(Clone, Debug, Default)]
struct ServiceDays {
    /// Bit 0 is Monday.
    weekdays: u8,
    /// First and last day of the pattern, both included.
    period: Option<(i32, i32)>,
    /// Sorted.
    added: Vec<i32>,
    /// Sorted.
    removed: Vec<i32>,
}

/// By how many whole weeks a calendar is moved, and what that gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Weeks added to each day of the feed; fewer than none for a calendar that has not begun.
    pub weeks: i32,
    /// The feed's first day of service.
    pub feed_first: i32,
    /// The feed's last day of service.
    pub feed_last: i32,
}

impl Shift {
    /// The day of the feed that is run on a real day.
    pub fn feed_day(&self, day: i32) -> i32 {
        day.saturating_sub(self.weeks.saturating_mul(7))
    }
    /// The real day on which a day of the feed is run.
    pub fn real_day(&self, feed_day: i32) -> i32 {
        feed_day.saturating_add(self.weeks.saturating_mul(7))
    }
}

impl Calendar {
    /// The index of a service's key.
    pub fn service(&self, id: &str) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Whether a service runs on a day: (weekday within the period or added) and not removed.
    pub fn runs_on(&self, service: u32, day: i32) -> bool {
        let Some(days) = self.services.get(service as usize) else { return false };
        if days.removed.binary_search(&day).is_ok() {
            return false;
        }
        let by_pattern = days.period.is_some_and(|(first, last)| {
            first <= day && day <= last && days.weekdays >> weekday_of(day) & 1 == 1
        });
        by_pattern || days.added.binary_search(&day).is_ok()
    }

    /// The services that run on a day.
    pub fn services_on(&self, day: i32) -> Vec<u32> {
        (0..self.services.len() as u32).filter(|&s| self.runs_on(s, day)).collect()
    }

    /// First and last day on which one of the services may run.
    fn span(&self) -> Option<(i32, i32)> {
        let mut span: Option<(i32, i32)> = None;
        for days in &self.services {
            let ends = days
                .period
                .filter(|_| days.weekdays != 0)
                .into_iter()
                .flat_map(|(first, last)| [first, last])
                .chain(days.added.iter().copied());
            for day in ends {
                let (first, last) = span.get_or_insert((day, day));
                *first = (*first).min(day);
                *last = (*last).max(day);
            }
        }
        span
    }

    /// Finds the shift for a window of days that begins today.
    ///
    /// A calendar by which something runs in the window after today stays. Another one (it has ended, ends tonight
    /// or has not begun) is moved by whole weeks, so that the most trips run in the window; `trips[service]` counts
    /// them. Today alone does not count: its last train may have left.
    pub fn shift(&self, trips: &[u32], today: i32, window_days: u16) -> Option<Shift> {
        let (first, last) = self.exact_span(trips)?;
        let mut shift = Shift { weeks: 0, feed_first: first, feed_last: last };
        let days = i32::from(window_days);
        let mut ahead = today.saturating_add(1)..=today.saturating_add(days).min(last);
        if ahead.any(|day| self.trips_on(trips, day) > 0) {
            return Some(shift);
        }
        // The day of the feed that today becomes: same weekday, the latest one before the last to begin with.
        let latest = last - 1 - (last - 1 - today).rem_euclid(7);
        let mut running = HashMap::new();
        let mut count_of =
            |day: i32| -> u64 { *running.entry(day).or_insert_with(|| self.trips_on(trips, day)) };
        let mut best = (0u64, latest);
        let mut start = latest;
        let mut tried = 0;
        while start >= first && tried < SHIFTS_TRIED_MAX {
            let window = start..=start.saturating_add(days).min(last);
            let trips: u64 = window.map(&mut count_of).sum();
            if trips > best.0 {
                best = (trips, start);
            }
            start -= 7;
            tried += 1;
        }
        let start = best.1;
        shift.weeks = today.saturating_sub(start).div_euclid(7);
        Some(shift)
    }

    fn trips_on(&self, trips: &[u32], day: i32) -> u64 {
        let counted = trips.iter().enumerate().filter(|(_, n)| **n > 0);
        counted.filter(|(s, _)| self.runs_on(*s as u32, day)).map(|(_, n)| u64::from(*n)).sum()
    }

    /// The span narrowed to days on which something really runs.
    fn exact_span(&self, trips: &[u32]) -> Option<(i32, i32)> {
        let (first, last) = self.span()?;
        let first = first.max(last.saturating_sub(SPAN_DAYS_MAX));
        let runs = |day: &i32| self.trips_on(trips, *day) > 0;
        Some(((first..=last).find(runs)?, (first..=last).rev().find(runs)?))
    }
}

/// Days of a calendar that are looked at, back from its last, at most: a century.
pub const SPAN_DAYS_MAX: i32 = 36_525;
/// Weeks that are tried as today's at most, from the feed's end backwards.
pub const SHIFTS_TRIED_MAX: u32 = 520;

/// Reads both files; one of them must be there.
///
/// # Errors
/// Both missing, or a damaged row.
pub fn read(archive: &mut Archive<'_>) -> Result<Calendar, GtfsError> {
    let mut calendar = Calendar::default();
    let weekly = archive.optional("calendar.txt")?;
    let dates = archive.optional("calendar_dates.txt")?;
    if weekly.is_none() && dates.is_none() {
        return Err(GtfsError::of("calendar.txt", GtfsErrorKind::MissingFile));
    }
    if let Some(bytes) = weekly {
        read_weekly(&bytes, &mut calendar)?;
    }
    if let Some(bytes) = dates {
        read_dates(&bytes, &mut calendar)?;
    }
    for days in &mut calendar.services {
        days.added.sort_unstable();
        days.removed.sort_unstable();
    }
    Ok(calendar)
}

fn read_weekly(bytes: &[u8], calendar: &mut Calendar) -> Result<(), GtfsError> {
    let mut table = Table::open("calendar.txt", bytes)?;
    let id = table.required("service_id")?;
    let mut flags = Vec::with_capacity(WEEKDAYS.len());
    for name in WEEKDAYS {
        flags.push(table.required(name)?);
    }
    let (first, last) = (table.required("start_date")?, table.required("end_date")?);
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        if calendar.index.contains_key(key) {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        let mut weekdays = 0;
        for (bit, column) in flags.iter().enumerate() {
            match row.need(*column)? {
                "1" => weekdays |= 1 << bit,
                "0" => {}
                other => {
                    let wanted = "0 or 1";
                    let kind = GtfsErrorKind::BadNumber { text: clip(other), wanted };
                    return Err(row.error(*column, kind));
                }
            }
        }
        let period = Some((date(&row, first)?, date(&row, last)?));
        let place = calendar.services.len() as u32;
        calendar.services.push(ServiceDays { weekdays, period, ..ServiceDays::default() });
        calendar.index.insert(key.to_owned(), place);
    }
    Ok(())
}

fn read_dates(bytes: &[u8], calendar: &mut Calendar) -> Result<(), GtfsError> {
    let mut table = Table::open("calendar_dates.txt", bytes)?;
    let (id, day) = (table.required("service_id")?, table.required("date")?);
    let exception = table.required("exception_type")?;
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        let place = calendar.index.get(key).copied().unwrap_or_else(|| {
            let place = calendar.services.len() as u32;
            calendar.services.push(ServiceDays::default());
            calendar.index.insert(key.to_owned(), place);
            place
        });
        let days = &mut calendar.services[place as usize];
        match row.need(exception)? {
            "1" => days.added.push(date(&row, day)?),
            "2" => days.removed.push(date(&row, day)?),
            other => {
                let wanted = "1 (added) or 2 (removed)";
                let kind = GtfsErrorKind::BadNumber { text: clip(other), wanted };
                return Err(row.error(exception, kind));
            }
        }
    }
    Ok(())
}

fn date(row: &Row<'_>, column: Column) -> Result<i32, GtfsError> {
    let text = row.need(column)?;
    parse_date(text).ok_or_else(|| row.error(column, GtfsErrorKind::BadDate(clip(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(days: ServiceDays) -> Calendar {
        Calendar { services: vec![days], index: HashMap::new() }
    }

    fn day(text: &str) -> i32 {
        parse_date(text).expect(text)
    }

    #[test]
    fn a_day_runs_by_pattern_or_addition_and_never_when_removed() {
        let calendar = calendar(ServiceDays {
            weekdays: 0b001_1111,
            period: Some((day("20240101"), day("20240131"))),
            added: vec![day("20240106"), day("20240203")],
            removed: vec![day("20240102")],
        });
        for (date, runs) in [
            ("20231229", false),
            ("20240101", true),
            ("20240102", false),
            ("20240106", true),
            ("20240107", false),
            ("20240131", true),
            ("20240201", false),
            ("20240203", true),
        ] {
            assert_eq!(calendar.runs_on(0, day(date)), runs, "{date}");
        }
        assert!(!calendar.runs_on(7, day("20240101")), "unknown service");
    }

    #[test]
    fn an_ended_calendar_moves_by_whole_weeks_to_where_most_trips_run() {
        let month = calendar(ServiceDays {
            weekdays: 0b111_1111,
            period: Some((day("20231203"), day("20240102"))),
            ..ServiceDays::default()
        });
        let today = day("20261123");
        let shift = month.shift(&[10], today, 30).expect("runs");
        let first = shift.real_day(shift.feed_first);
        assert!(first <= today && today - first < 7, "the whole month lies ahead");
        assert_eq!(weekday_of(shift.feed_day(today)), weekday_of(today));
        assert_eq!(shift.feed_day(shift.real_day(5)), 5);

        let current = month.shift(&[10], day("20231215"), 30).expect("runs");
        assert_eq!(current.weeks, 0, "not ended: not moved");
        let on_the_day_before_its_last = month.shift(&[10], day("20240101"), 30).expect("runs");
        assert_eq!(on_the_day_before_its_last.weeks, 0);
        let on_the_last_day = month.shift(&[10], day("20240102"), 30).expect("runs");
        assert!(on_the_last_day.weeks > 0, "tonight it is over");
        let a_day_later = month.shift(&[10], day("20240103"), 30).expect("runs");
        assert!(a_day_later.weeks > 0);
        assert_eq!(month.shift(&[0], today, 30), None, "no trips, no shift");
    }

    #[test]
    fn a_calendar_of_one_day_still_covers_its_weekday_only() {
        let once = calendar(ServiceDays { added: vec![day("20200101")], ..ServiceDays::default() });
        // 2020-01-01 was a Wednesday; on a Monday the nearest whole-week shift puts it ahead.
        let today = day("20261123");
        let shift = once.shift(&[1], today, 30).expect("runs");
        let run = shift.real_day(shift.feed_first);
        assert!((0..7).contains(&(run - today)), "runs within a week of today, not in the past");
    }

    #[test]
    fn a_calendar_moves_when_nothing_runs_in_the_window_only() {
        let daily = |first: &str, last: &str| {
            calendar(ServiceDays {
                weekdays: 0b111_1111,
                period: Some((day(first), day(last))),
                ..ServiceDays::default()
            })
        };
        // The feed; today; days on sale; whether it is moved back, left alone or moved on.
        for (first, last, today, window, moved) in [
            ("20261201", "20261231", "20261130", 30, 0),
            ("20261220", "20270220", "20261130", 30, 0),
            ("20270101", "20270331", "20261130", 30, -1),
            ("20261204", "20261231", "20261130", 3, -1),
            ("20261203", "20261231", "20261130", 3, 0),
            ("20261001", "20261201", "20261130", 30, 0),
            ("20261001", "20261130", "20261130", 30, 1),
            ("20261130", "20261130", "20261130", 30, 1),
            ("20261001", "20261129", "20261130", 30, 1),
            ("20401001", "20401003", "20261130", 30, -1),
        ] {
            let today = day(today);
            let feed = daily(first, last);
            let shift = feed.shift(&[1], today, window).expect("runs");
            assert_eq!(shift.weeks.signum(), moved, "{first} to {last}: {shift:?}");
            let mut ahead = today + 1..=today + i32::from(window).max(7);
            assert!(ahead.any(|day| feed.runs_on(0, shift.feed_day(day))), "{first} to {last}");
            assert_eq!(weekday_of(shift.feed_day(today)), weekday_of(today));
        }
    }
}
