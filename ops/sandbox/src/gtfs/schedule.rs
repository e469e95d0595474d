//! trips.txt, stop_times.txt and frequencies.txt.

use std::collections::{HashMap, HashSet};

use super::archive::Archive;
use super::error::{GtfsError, GtfsErrorKind};
use super::model::{Feed, StopTime, Trip};
use super::table::{Column, Row, Table, clip};
use super::time::parse_time;

/// Departures that frequencies.txt may unfold to at most.
pub const DEPARTURES_MAX: u32 = 2_000_000;

/// Warnings about single lines at most.
pub const WARNINGS_MAX: usize = 100;

const TOO_SHORT: &str = "fewer than two stops";
const FLEXIBLE: &str = "stops on demand, without fixed places or times";
const BACKWARDS: &str = "its times go back";
const DANGLING: &str = "it calls at a stop that is not in stops.txt";
const UNTIMED: &str = "no time at its first or last stop";

/// Reads the trips with their stop times, sorted, and unfolds frequencies.
///
/// # Errors
/// What is wrong, and where.
pub fn read(archive: &mut Archive<'_>, feed: &mut Feed) -> Result<(), GtfsError> {
    let index = read_trips(&archive.required("trips.txt")?, feed)?;
    let raw = read_stop_times(&archive.required("stop_times.txt")?, feed, &index)?;
    settle(feed, raw)?;
    if let Some(bytes) = archive.optional("frequencies.txt")? {
        unfold(&bytes, feed, &index)?;
    }
    let mut reasons: HashMap<&str, (u32, String)> = HashMap::new();
    for trip in &feed.trips {
        if let Some(reason) = trip.unsellable {
            reasons.entry(reason).or_insert((0, trip.id.clone())).0 += 1;
        }
    }
    for (reason, (count, example)) in reasons {
        feed.warnings.push(format!("{count} trips are not sold: {reason} (trip `{example}`)"));
    }
    if feed.trips.iter().all(|t| t.unsellable.is_some()) {
        return Err(GtfsError::of(
            "trips.txt",
            GtfsErrorKind::NothingRuns(feed.warnings.join("; ")),
        ));
    }
    Ok(())
}

fn read_trips(bytes: &[u8], feed: &mut Feed) -> Result<HashMap<String, u32>, GtfsError> {
    let routes: HashMap<&str, u32> =
        feed.routes.iter().enumerate().map(|(i, r)| (r.id.as_str(), i as u32)).collect();
    let mut table = Table::open("trips.txt", bytes)?;
    let (id, route) = (table.required("trip_id")?, table.required("route_id")?);
    let service = table.required("service_id")?;
    let (short, headsign) = (table.optional("trip_short_name"), table.optional("trip_headsign"));
    let mut index = HashMap::new();
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        if index.insert(key.to_owned(), feed.trips.len() as u32).is_some() {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        let line = row.need(route)?;
        let route_index = *routes.get(line).ok_or_else(|| {
            let kind = GtfsErrorKind::UnknownReference { id: clip(line), file: "routes.txt" };
            row.error(route, kind)
        })?;
        let days = row.need(service)?;
        let service_index = feed.calendar.service(days).ok_or_else(|| {
            let kind = GtfsErrorKind::UnknownReference { id: clip(days), file: "calendar.txt" };
            row.error(service, kind)
        })?;
        feed.trips.push(Trip {
            id: key.to_owned(),
            route: route_index,
            service: service_index,
            short_name: row.text(short)?.to_owned(),
            headsign: row.text(headsign)?.to_owned(),
            stops: 0..0,
            offset_s: 0,
            unsellable: None,
        });
    }
    Ok(index)
}

/// A stop time as it stands in the file.
struct Raw {
    trip: u32,
    line: u32,
    stop: u32,
    sequence: u32,
    arrival_s: Option<u32>,
    departure_s: Option<u32>,
    board: bool,
    alight: bool,
}

fn read_stop_times(
    bytes: &[u8],
    feed: &mut Feed,
    trips: &HashMap<String, u32>,
) -> Result<Vec<Raw>, GtfsError> {
    let stops: HashMap<&str, u32> =
        feed.stops.iter().enumerate().map(|(i, s)| (s.id.as_str(), i as u32)).collect();
    let mut table = Table::open("stop_times.txt", bytes)?;
    let (id, sequence) = (table.required("trip_id")?, table.required("stop_sequence")?);
    let stop = table.required("stop_id")?;
    let (arrival, departure) = (table.optional("arrival_time"), table.optional("departure_time"));
    let (pickup, drop_off) = (table.optional("pickup_type"), table.optional("drop_off_type"));
    let windows = table.optional("start_pickup_drop_off_window");
    let areas = [table.optional("location_id"), table.optional("location_group_id")];
    let mut raw = Vec::new();
    let mut flexible = Vec::new();
    let mut dangling = Vec::new();
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        let trip = *trips.get(key).ok_or_else(|| {
            let kind = GtfsErrorKind::UnknownReference { id: clip(key), file: "trips.txt" };
            row.error(id, kind)
        })?;
        let on_demand = !row.text(windows)?.is_empty()
            || !row.text(areas[0])?.is_empty()
            || !row.text(areas[1])?.is_empty();
        if on_demand {
            flexible.push(trip);
            continue;
        }
        let place = row.need(stop)?;
        let Some(&stop_index) = stops.get(place) else {
            // Published feeds have a few of these; the rest of the feed is none the worse.
            let kind = GtfsErrorKind::UnknownReference { id: clip(place), file: "stops.txt" };
            dangling.push((trip, row.error(stop, kind).to_string()));
            continue;
        };
        row.need(sequence)?;
        raw.push(Raw {
            trip,
            line: u32::try_from(row.line()).unwrap_or(u32::MAX),
            stop: stop_index,
            sequence: row.number(sequence)?.unwrap_or(0),
            arrival_s: time(&row, arrival)?,
            departure_s: time(&row, departure)?,
            board: row.number(pickup)?.unwrap_or(0) == 0,
            alight: row.number(drop_off)?.unwrap_or(0) == 0,
        });
    }
    for trip in flexible {
        feed.trips[trip as usize].unsellable = Some(FLEXIBLE);
    }
    for (trip, what) in dangling {
        let trip = &mut feed.trips[trip as usize];
        if trip.unsellable.is_none() && feed.warnings.len() < WARNINGS_MAX {
            feed.warnings.push(what);
        }
        trip.unsellable = trip.unsellable.or(Some(DANGLING));
    }
    Ok(raw)
}

fn time(row: &Row<'_>, column: Column) -> Result<Option<u32>, GtfsError> {
    let text = row.text(column)?;
    if text.is_empty() {
        return Ok(None);
    }
    match parse_time(text) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(row.error(column, GtfsErrorKind::BadTime(clip(text)))),
    }
}

/// Sorts the stop times by trip and sequence, fills in missing times, and hands them to the trips.
fn settle(feed: &mut Feed, mut raw: Vec<Raw>) -> Result<(), GtfsError> {
    raw.sort_by_key(|r| (r.trip, r.sequence));
    if let Some(pair) =
        raw.windows(2).find(|p| (p[0].trip, p[0].sequence) == (p[1].trip, p[1].sequence))
    {
        let key = format!("{} {}", feed.trips[pair[1].trip as usize].id, pair[1].sequence);
        let line = u64::from(pair[0].line.max(pair[1].line));
        let kind = GtfsErrorKind::DuplicateKey(clip(&key));
        return Err(GtfsError::at("stop_times.txt", line, "stop_sequence", kind));
    }
    feed.stop_times.reserve_exact(raw.len());
    let mut rest = raw.as_slice();
    while let Some(head) = rest.first() {
        let count = rest.iter().take_while(|r| r.trip == head.trip).count();
        let (calls, after) = rest.split_at(count);
        let first = feed.stop_times.len() as u32;
        let problem = fill_in(calls, &mut feed.stop_times);
        let trip = &mut feed.trips[head.trip as usize];
        trip.stops = first..feed.stop_times.len() as u32;
        trip.unsellable = trip.unsellable.or(problem);
        rest = after;
    }
    for trip in &mut feed.trips {
        if trip.stops.len() < 2 {
            trip.unsellable = trip.unsellable.or(Some(TOO_SHORT));
        }
    }
    Ok(())
}

/// Adds one trip's calls; times between two timed stops are spread evenly.
fn fill_in(calls: &[Raw], out: &mut Vec<StopTime>) -> Option<&'static str> {
    let timed = |r: &Raw| r.arrival_s.or(r.departure_s).is_some();
    let (Some(head), Some(tail)) = (calls.first(), calls.last()) else { return Some(TOO_SHORT) };
    let mut problem = (!timed(head) || !timed(tail)).then_some(UNTIMED);
    let start = out.len();
    let mut before = 0u32;
    for (i, call) in calls.iter().enumerate() {
        let (arrival_s, departure_s) = match (call.arrival_s, call.departure_s) {
            (Some(arrival), Some(departure)) => (arrival, departure),
            (Some(either), None) | (None, Some(either)) => (either, either),
            (None, None) => {
                let steps = calls[i..].iter().position(timed).unwrap_or(0);
                let next = calls.get(i + steps).and_then(|r| r.arrival_s.or(r.departure_s));
                let gap = next.unwrap_or(before).saturating_sub(before);
                let at = before + gap / (steps as u32 + 1);
                (at, at)
            }
        };
        if arrival_s < before && i > 0 || departure_s < arrival_s {
            problem = problem.or(Some(BACKWARDS));
        }
        before = departure_s;
        let (stop, sequence, board, alight) = (call.stop, call.sequence, call.board, call.alight);
        out.push(StopTime { stop, sequence, arrival_s, departure_s, board, alight });
    }
    debug_assert_eq!(out.len() - start, calls.len());
    problem
}

/// Replaces each trip that runs by frequency with one trip per departure.
fn unfold(bytes: &[u8], feed: &mut Feed, index: &HashMap<String, u32>) -> Result<(), GtfsError> {
    let mut table = Table::open("frequencies.txt", bytes)?;
    let id = table.required("trip_id")?;
    let (start, end) = (table.required("start_time")?, table.required("end_time")?);
    let headway = table.required("headway_secs")?;
    let mut departures = 0u32;
    let mut replaced = HashSet::new();
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        let &place = index.get(key).ok_or_else(|| {
            let kind = GtfsErrorKind::UnknownReference { id: clip(key), file: "trips.txt" };
            row.error(id, kind)
        })?;
        row.need(start)?;
        row.need(end)?;
        row.need(headway)?;
        let (first, last) = (time(&row, start)?.unwrap_or(0), time(&row, end)?.unwrap_or(0));
        let every = row.number(headway)?.unwrap_or(0);
        if every == 0 {
            let kind = GtfsErrorKind::BadNumber { text: "0".to_owned(), wanted: "above 0" };
            return Err(row.error(headway, kind));
        }
        let template = feed.trips[place as usize].clone();
        replaced.insert(place);
        let Some(own_start) = feed.calls(&template).first().map(|call| call.departure_s) else {
            continue;
        };
        let mut at = first;
        while at < last {
            departures += 1;
            if departures > DEPARTURES_MAX {
                let kind = GtfsErrorKind::TooManyDepartures { most: DEPARTURES_MAX };
                return Err(row.error(headway, kind));
            }
            let mut trip = template.clone();
            trip.id = format!("{}@{:02}{:02}{:02}", template.id, at / 3600, at / 60 % 60, at % 60);
            trip.offset_s = at as i32 - own_start as i32;
            feed.trips.push(trip);
            at = at.saturating_add(every);
        }
    }
    let mut place = 0u32;
    feed.trips.retain(|_| {
        place += 1;
        !replaced.contains(&(place - 1))
    });
    Ok(())
}
