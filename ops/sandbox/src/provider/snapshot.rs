//! The full snapshot as lines of JSON: each place, layout, pattern and trip once, dates as lists.

use std::fmt::Write;

use serde_json::json;

use super::catalogue::{Catalogue, Mode, ServiceRef};
use crate::gtfs::time::{base_of, date_of, number_of};

/// The version of the snapshot's format.
pub const FORMAT: u32 = 1;

/// What a snapshot says about itself before anything else.
pub struct Head<'a> {
    /// The stream's life; a new one replaces everything.
    pub epoch: &'a str,
    /// The last delta that the snapshot contains.
    pub sequence: u64,
    /// First day on sale.
    pub first_day: i32,
    /// Days on sale.
    pub days: u16,
    /// How often an idle stream says its sequence number, in milliseconds.
    pub heartbeat_ms: u64,
}

/// The first line.
pub fn head(catalogue: &Catalogue, head: &Head<'_>) -> String {
    let last = catalogue.shift.real_day(catalogue.shift.feed_last);
    let horizon = head.first_day.saturating_add(i32::from(head.days)).saturating_sub(1);
    let line = json!({
        "t": "head",
        "format": FORMAT,
        "epoch": head.epoch,
        "sequence": head.sequence,
        "operator": catalogue.operator,
        "attribution": catalogue.attribution,
        "zone": catalogue.zone_name,
        "currency": catalogue.currency,
        "shiftedWeeks": catalogue.shift.weeks.unsigned_abs(),
        "feedValidFrom": date_of(catalogue.shift.feed_first).to_string(),
        "feedValidTo": date_of(catalogue.shift.feed_last).to_string(),
        "validFrom": date_of(head.first_day).to_string(),
        "validTo": date_of(horizon.min(last)).to_string(),
        "tariffVersion": catalogue.tariff_version,
        "refundFeeBp": catalogue.refund_fee_bp,
        "heartbeatMs": head.heartbeat_ms,
    });
    format!("{line}\n")
}

/// All lines that do not change while the stream lives.
pub fn body(catalogue: &Catalogue, first_day: i32, days: u16) -> (String, u64) {
    let mut out = String::new();
    let mut lines = 0;
    let mut put = |line: serde_json::Value| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{line}");
        lines += 1;
    };
    for (i, place) in catalogue.places.iter().enumerate() {
        let mut line = json!({
            "t": "place", "i": i, "id": place.id, "name": place.name,
            "lat": place.latitude_e6, "lon": place.longitude_e6,
        });
        if let (Some(zone), Some(object)) = (&place.zone, line.as_object_mut()) {
            object.insert("zone".to_owned(), json!(zone));
        }
        put(line);
    }
    for (i, layout) in catalogue.layouts.iter().enumerate() {
        put(json!({ "t": "layout", "i": i, "name": layout.name, "coaches": layout.coaches }));
    }
    for (i, pattern) in catalogue.patterns.iter().enumerate() {
        put(json!({
            "t": "pattern", "i": i, "places": pattern.places,
            "board": flags(&pattern.board), "alight": flags(&pattern.alight),
            "prices": pattern.prices,
        }));
    }
    let nights = catalogue.nights();
    let begin = first_day.saturating_sub(i32::from(nights));
    let running = catalogue.running(begin, days.saturating_add(nights));
    let bases: Vec<i64> = (0..running.len())
        .map(|n| base_of(begin.saturating_add(n as i32), &catalogue.zone))
        .collect();
    for (i, trip) in catalogue.trips.iter().enumerate() {
        let mut dates = Vec::new();
        for (n, services) in running.iter().enumerate() {
            let day = begin.saturating_add(n as i32);
            let service = ServiceRef { trip: i as u32, day };
            if !catalogue.is_among(trip, services) || !catalogue.is_ahead(service, first_day) {
                continue;
            }
            let live = catalogue.mode(service) == Mode::Live;
            dates.push(json!([number_of(day), bases[n], u8::from(live)]));
        }
        if dates.is_empty() {
            continue;
        }
        let times: Vec<i64> = trip.times.iter().flat_map(|(a, d)| [*a, *d]).collect();
        put(json!({
            "t": "trip", "id": trip.id, "number": trip.number, "name": trip.name,
            "kind": trip.kind, "pattern": trip.pattern, "layout": trip.layout,
            "times": times, "days": dates,
        }));
    }
    (out, lines)
}

fn flags(list: &[bool]) -> String {
    list.iter().map(|&yes| if yes { '1' } else { '0' }).collect()
}

/// Which seats of a service are taken: unit and runs of legs.
pub fn taken(service: &str, units: &[(u16, Vec<(u16, u16)>)]) -> String {
    let runs: Vec<[u16; 3]> = units
        .iter()
        .flat_map(|(unit, runs)| runs.iter().map(move |(from, to)| [*unit, *from, *to]))
        .collect();
    format!("{}\n", json!({ "t": "taken", "service": service, "runs": runs }))
}

/// A service that does not run.
pub fn cancelled(service: &str) -> String {
    format!("{}\n", json!({ "t": "cancelled", "service": service }))
}

/// The last line; without it the snapshot is not whole.
pub fn end(lines: u64) -> String {
    format!("{}\n", json!({ "t": "end", "lines": lines }))
}
