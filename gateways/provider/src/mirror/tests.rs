//! The mirror on snapshots made of text.

use guichet_engine::event::{Authority, Run};
use guichet_engine::ids::{Attempt, HoldId, LineNo, OrderId, ProviderId, Slot, UnitNo};
use guichet_engine::time::Instant;
use guichet_ports::ticket_information::TicketInformation;
use proptest::prelude::*;
use serde_json::json;

use super::timetable::{Loader, SnapshotError, service_id};
use super::{Changes, Mirror, Taking};

const PROVIDER: ProviderId = ProviderId(7);
/// 2099-03-28T22:00:00Z: noon minus 12 hours of 2099-03-29, when clocks in Berlin go forward.
const BASE: i64 = 4_078_418_400;

/// A live train on a date, an allotted one on the next; a to b to c, one seat first, two second class.
fn lines(epoch: &str, sequence: u64) -> Vec<String> {
    let mut lines = vec![
        json!({ "t": "head", "format": 1, "epoch": epoch, "sequence": sequence, "operator": "Bahn",
            "attribution": "Bahn, CC BY 4.0", "zone": "Europe/Berlin", "currency": "EUR",
            "shiftedWeeks": 3, "tariffVersion": 5, "refundFeeBp": 1000, "heartbeatMs": 5000 }),
        json!({ "t": "place", "i": 0, "id": "a", "name": "Aachen", "lat": 50_000_000, "lon": 8 }),
        json!({ "t": "place", "i": 1, "id": "b", "name": "Bonn", "lat": 51_000_000, "lon": 8 }),
        json!({ "t": "place", "i": 2, "id": "c", "name": "Celle", "lat": 52_000_000, "lon": 8,
            "zone": "Europe/Paris" }),
        json!({ "t": "layout", "i": 0, "name": "x", "coaches": [
            { "label": "1", "class": 1, "seats": [["01A", "w"]] },
            { "label": "2", "class": 2, "seats": [["01A", "wh"], ["01C", "a"]] } ] }),
        json!({ "t": "pattern", "i": 0, "places": [0, 1, 2], "board": "111", "alight": "111",
            "prices": { "1": [100, 200, -1], "2": [50, 90, 60] } }),
        json!({ "t": "trip", "id": "t", "number": "IC 1", "name": "Celle", "kind": "train",
            "pattern": 0, "layout": 0, "times": [36000, 36000, 39600, 39900, 93600, 93600],
            "days": [[20_990_329, BASE, 1], [20_990_330, BASE + 86_400, 0]] }),
        json!({ "t": "taken", "service": "t/20990329", "runs": [[1, 0, 1]] }),
    ];
    lines.push(json!({ "t": "end", "lines": lines.len() + 1 }));
    lines.into_iter().map(|l| l.to_string()).collect()
}

fn load(lines: &[String]) -> Result<super::Snapshot, SnapshotError> {
    let mut loader = Loader::new(PROVIDER);
    for line in lines {
        loader.take(line.as_bytes())?;
    }
    loader.finish()
}

fn mirror() -> Mirror {
    let mirror = Mirror::new(PROVIDER, String::new(), 30);
    mirror.install(load(&lines("e", 100)).expect("snapshot"));
    mirror
}

fn changes(value: serde_json::Value) -> Changes {
    serde_json::from_value(value).expect("changes")
}

fn unit_delta(number: u64, unit: u16, taken: &[(u16, u16)]) -> serde_json::Value {
    json!({ "first": number, "last": number, "prev": number - 1, "changes": [
        { "service": "t/20990329", "unit": unit, "taken": taken, "owner": null } ] })
}

fn left(mirror: &Mirror, date: &str, from: &str, to: &str) -> Vec<(u8, u32)> {
    let journeys = mirror.journeys(from, to, date);
    journeys.iter().flat_map(|j| j.classes.iter().map(|c| (c.class, c.seats_left))).collect()
}

fn hold(attempt: u16) -> HoldId {
    HoldId { order: OrderId::new(Slot::new(1), 2), line: LineNo(0), attempt: Attempt(attempt) }
}

#[test]
fn it_knows_tickets_as_every_database_does() {
    for date in ["2099-03-29", "2099-03-30"] {
        guichet_ports::conformance::ticket_information(&mirror(), "a", "c", date);
    }
}

#[test]
fn a_journey_has_prices_places_and_times() {
    let mirror = mirror();
    let journeys = mirror.journeys("a", "c", "2099-03-29");
    assert_eq!(journeys.len(), 1);
    let journey = &journeys[0];
    assert_eq!(journey.product.service_key, "t/20990329");
    assert_eq!(journey.product.service, service_id(PROVIDER, "t/20990329"));
    assert_eq!(journey.product.run, Run { from: 0, to: 2 });
    assert_eq!(journey.product.departs, Instant((BASE + 36_000) * 1_000_000));
    assert_eq!(journey.product.arrives, Instant((BASE + 93_600) * 1_000_000), "the next day");
    assert_eq!(journey.stops.len(), 1);
    assert_eq!(journey.stops[0].0, "Bonn");
    let offers: Vec<(u8, i64, i64, u32)> = journey
        .classes
        .iter()
        .map(|c| (c.class, c.fare.price.minor(), c.fare.fee.minor(), c.seats_left))
        .collect();
    assert_eq!(offers, [(1, 200, 30, 1), (2, 90, 30, 1)]);
    assert_eq!(mirror.journey(journey.product.service, "a", "c").as_ref(), Some(journey));
    assert_eq!(left(&mirror, "2099-03-29", "b", "c"), [(2, 2)], "first class is not sold there");
    for (from, to, date) in [
        ("c", "a", "2099-03-29"),
        ("a", "x", "2099-03-29"),
        ("a", "a", "2099-03-29"),
        ("a", "c", "2099-03-31"),
        ("a", "c", "2099-02-30"),
        ("a", "c", ""),
    ] {
        assert!(mirror.journeys(from, to, date).is_empty(), "{from} {to} {date}");
    }
    assert_eq!(
        mirror.example(Instant(0)),
        Some(("a".to_owned(), "c".to_owned(), "2099-03-29".to_owned()))
    );
    assert_eq!(mirror.station("c").map(|s| s.zone).as_deref(), Some("Europe/Paris"));
    assert_eq!(mirror.stations("bon", 5)[0].id, "b");
    let fresh = &mirror.freshness()[0];
    assert!(fresh.fresh);
    assert_eq!((fresh.provider.as_str(), fresh.shifted_weeks, fresh.services), ("Bahn", 3, 2));
    assert_eq!((fresh.sequence, fresh.attribution.as_str()), (100, "Bahn, CC BY 4.0"));
}

#[test]
fn a_spec_and_a_seat_map_are_of_the_layout() {
    let mirror = mirror();
    let live = service_id(PROVIDER, "t/20990329");
    let spec = mirror.spec(live).expect("spec");
    assert_eq!((spec.slots, spec.units.len()), (2, 3));
    assert_eq!(spec.ends, Instant((BASE + 93_600) * 1_000_000));
    assert!(spec.units[1].window && spec.units[1].wheelchair && !spec.units[1].aisle);
    let free = |run: Run, class| -> Vec<(u16, bool)> {
        mirror.seats(live, run, class).iter().map(|s| (s.unit.0, s.free)).collect()
    };
    assert_eq!(free(Run { from: 0, to: 2 }, 2), [(1, false), (2, true)]);
    assert_eq!(free(Run { from: 1, to: 2 }, 0), [(0, true), (1, true), (2, true)]);
    assert_eq!(mirror.authority(live), Some(Authority::Live));
    let unknown = service_id(PROVIDER, "t/20990401");
    assert!(
        mirror.spec(unknown).is_none()
            && mirror.seats(unknown, Run { from: 0, to: 1 }, 0).is_empty()
    );
    assert_eq!(mirror.authority(unknown), None);
}

#[test]
fn deltas_change_live_services_and_gaps_make_stale() {
    let mirror = mirror();
    let date = "2099-03-29";
    let take = |epoch: &str, sequence: u64, deltas: serde_json::Value| {
        mirror.take(&changes(json!({ "epoch": epoch, "sequence": sequence, "deltas": deltas })))
    };
    // T1, T2, T3, T5 and T7 of the stream conventions.
    assert_eq!(take("e", 100, json!([unit_delta(100, 2, &[(0, 2)])])), Taking::InStep);
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)], "an old one is ignored");
    let spans = json!({ "first": 98, "last": 101, "prev": 97, "changes": [
        { "service": "t/20990329", "unit": 2, "taken": [[0, 2]], "owner": "o/0/1" } ] });
    assert_eq!(take("e", 101, json!([spans])), Taking::InStep);
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 0)]);
    let freed = json!([unit_delta(102, 1, &[])]);
    assert_eq!(take("e", 102, freed.clone()), Taking::InStep);
    assert_eq!(take("e", 102, freed), Taking::InStep, "again is harmless");
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)]);
    let unknown = json!({ "first": 103, "last": 103, "prev": 102, "changes": [
        { "service": "nobody/20990329", "unit": 9, "taken": [], "owner": null } ] });
    assert_eq!(take("e", 104, json!([unknown])), Taking::More, "one more is announced");
    assert_eq!(take("e", 104, json!([unit_delta(104, 0, &[(0, 1)])])), Taking::InStep);
    assert_eq!(mirror.position(), Some(("e".to_owned(), 104)));
    // T4: a gap. What is there is still shown, but not as fresh.
    assert_eq!(take("e", 106, json!([unit_delta(106, 0, &[])])), Taking::Gap);
    assert_eq!(mirror.position(), None);
    assert!(!mirror.freshness()[0].fresh);
    // T6: a new life.
    mirror.install(load(&lines("f", 0)).expect("snapshot"));
    assert!(mirror.freshness()[0].fresh);
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)]);
    assert_eq!(take("g", 0, json!([])), Taking::Gap);
}

#[test]
fn a_lost_tail_is_noticed_by_the_heartbeat() {
    let mirror = mirror();
    let beat = |sequence| changes(json!({ "epoch": "e", "sequence": sequence, "deltas": [] }));
    assert_eq!(mirror.take(&beat(100)), Taking::InStep);
    assert_eq!(mirror.take(&beat(101)), Taking::Gap);
    let mirror = self::mirror();
    let old = json!({ "epoch": "e", "sequence": 101, "deltas": [unit_delta(99, 0, &[])] });
    assert_eq!(mirror.take(&changes(old)), Taking::Gap, "nothing new: asking again would not end");
}

#[test]
fn allotted_places_are_counted_by_our_own_inventory_alone() {
    let mirror = mirror();
    let date = "2099-03-30";
    let allotted = service_id(PROVIDER, "t/20990330");
    let run = Run { from: 0, to: 1 };
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 2)]);
    mirror.note_place(allotted, hold(1), UnitNo(1), run, true);
    mirror.note_place(allotted, hold(1), UnitNo(1), run, true);
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)]);
    assert_eq!(left(&mirror, date, "b", "c"), [(2, 2)], "not on that leg");
    // The provider repeats what we told it: not counted twice, whoever it names.
    let told = json!({ "first": 101, "last": 101, "prev": 100, "changes": [
        { "service": "t/20990330", "unit": 2, "taken": [[0, 2]], "owner": hold(1).to_string() } ] });
    mirror.take(&changes(json!({ "epoch": "e", "sequence": 101, "deltas": [told] })));
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)]);
    mirror.install(load(&lines("f", 0)).expect("snapshot"));
    assert_eq!(left(&mirror, date, "a", "c"), [(1, 1), (2, 1)], "outlives a snapshot");
    mirror.note_place(allotted, hold(2), UnitNo(1), Run { from: 1, to: 2 }, true);
    mirror.note_place(allotted, hold(1), UnitNo(1), run, false);
    mirror.note_place(allotted, hold(1), UnitNo(1), run, false);
    assert_eq!(left(&mirror, date, "a", "b"), [(1, 1), (2, 2)]);
    assert_eq!(left(&mirror, date, "b", "c"), [(2, 1)]);
}

#[test]
fn a_cancelled_service_is_not_offered() {
    let mirror = mirror();
    let delta = json!({ "first": 101, "last": 101, "prev": 100, "changes": [
        { "service": "t/20990329", "cancelled": true } ] });
    mirror.take(&changes(json!({ "epoch": "e", "sequence": 101, "deltas": [delta] })));
    assert!(mirror.journeys("a", "c", "2099-03-29").is_empty());
    assert!(mirror.journey(service_id(PROVIDER, "t/20990329"), "a", "c").is_none());
    assert_eq!(mirror.journeys("a", "c", "2099-03-30").len(), 1);
}

#[test]
fn an_empty_mirror_answers_with_nothing_and_is_stale() {
    let mirror = Mirror::new(PROVIDER, "Bahn".to_owned(), 0);
    assert!(
        mirror.stations("a", 5).is_empty() && mirror.journeys("a", "c", "2099-03-29").is_empty()
    );
    assert!(!mirror.freshness()[0].fresh);
    assert_eq!(mirror.position(), None);
    let beat = changes(json!({ "epoch": "e", "sequence": 0, "deltas": [] }));
    assert_eq!(mirror.take(&beat), Taking::Gap);
}

#[test]
fn damaged_snapshots_are_refused_with_their_line() {
    let good = lines("e", 1);
    let rows: &[(usize, &str, &str, u64, &str)] = &[
        (0, "\"format\":1", "\"format\":2", 1, "format 2"),
        (0, "EUR", "XXX", 1, "currency"),
        (0, "Europe/Berlin", "Europe/Bern!", 1, "zone"),
        (0, "\"refundFeeBp\":1000", "\"refundFeeBp\":10001", 1, "keep back"),
        (2, "\"i\":1", "\"i\":2", 3, "follow"),
        (2, "\"id\":\"b\"", "\"id\":\"a\"", 3, "twice"),
        (4, "\"class\":1", "\"class\":0", 5, "class 0"),
        (5, "[0,1,2]", "[0,1,3]", 6, "place"),
        (5, "\"111\"", "\"11\"", 6, "flags"),
        (5, "[50,90,60]", "[50,90]", 6, "prices"),
        (5, "[50,90,60]", "[50,90,6000000000]", 6, "price"),
        (6, "\"pattern\":0", "\"pattern\":1", 7, "pattern"),
        (6, "\"layout\":0", "\"layout\":9", 7, "layout"),
        (6, "[36000,", "[", 7, "times"),
        (6, "20990330", "20990329", 7, "twice"),
        (6, "20990330", "2099033", 7, "date"),
        (6, "\"train\"", "\"sledge\"", 7, "sledge"),
        (8, "\"lines\":9", "\"lines\":8", 9, "counts 8"),
    ];
    for (index, from, to, line, what) in rows {
        let mut lines = good.clone();
        assert!(lines[*index].contains(from), "{from} in {}", lines[*index]);
        lines[*index] = lines[*index].replace(from, to);
        let error = load(&lines).expect_err(what);
        assert_eq!(error.line, *line, "{error}");
        assert!(error.what.contains(what), "{error}");
    }
    assert!(load(&good[..8]).expect_err("cut off").what.contains("cut off"));
    assert!(load(&good[1..]).is_err(), "no head");
    let doubled = [&good[..1], &good[..]].concat();
    assert!(load(&doubled).expect_err("two heads").what.contains("second head"));
    let more = [&good[..], &good[7..8]].concat();
    assert!(load(&more).is_err(), "after the end");
}

#[test]
fn trips_too_large_for_the_engine_are_left_out() {
    for (stops, left_out) in [(129usize, 0), (130, 1), (1, 1)] {
        let mut lines = lines("e", 1);
        let places = vec![0; stops];
        let flags = "1".repeat(stops);
        let prices = vec![1; stops * (stops - 1) / 2];
        lines[5] = json!({ "t": "pattern", "i": 0, "places": places, "board": flags,
            "alight": flags, "prices": { "2": prices } })
        .to_string();
        lines[6] = json!({ "t": "trip", "id": "t", "number": "", "name": "", "kind": "coach",
            "pattern": 0, "layout": 0, "times": vec![0; stops * 2], "days": [[20_990_329, 0, 1]] })
        .to_string();
        let snapshot = load(&lines).expect("snapshot");
        assert_eq!(snapshot.timetable.left_out, left_out, "{stops}");
    }
}

#[test]
fn ids_are_the_same_in_every_life() {
    let id = service_id(ProviderId(1), "1257450/20261123");
    assert_eq!(id, service_id(ProviderId(1), "1257450/20261123"));
    assert_ne!(id, service_id(ProviderId(2), "1257450/20261123"));
    // Frozen: orders refer to it for ever.
    assert_eq!(id.to_string(), "s-287-59a2308cd06730a3");
}

proptest! {
    #[test]
    fn any_line_is_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut loader = Loader::new(PROVIDER);
        let _ = loader.take(&bytes);
        let _ = loader.finish();
    }

    #[test]
    fn a_flipped_byte_or_a_cut_never_panics(line in 0usize..9, at in 0usize..400, bit in 0u8..7, cut: bool) {
        let mut lines: Vec<Vec<u8>> = lines("e", 1).into_iter().map(String::into_bytes).collect();
        let target = &mut lines[line];
        let at = at % target.len();
        if cut { target.truncate(at) } else { target[at] ^= 1 << bit }
        let mut loader = Loader::new(PROVIDER);
        let taken = lines.iter().try_for_each(|line| loader.take(line));
        if taken.is_ok() && let Ok(snapshot) = loader.finish() {
            let mirror = Mirror::new(PROVIDER, String::new(), 0);
            mirror.install(snapshot);
            let _ = mirror.journeys("a", "c", "2099-03-29");
            let _ = mirror.example(Instant(0));
            for date in ["20990329", "20990330"] {
                let id = service_id(PROVIDER, &format!("t/{date}"));
                let _ = (mirror.spec(id), mirror.seats(id, Run { from: 0, to: 2 }, 0));
            }
        }
    }

    #[test]
    fn any_changes_are_taken(first in 0u64..200, last in 0u64..200, prev in 0u64..200, from: u16, to: u16) {
        let mirror = mirror();
        let delta = json!({ "first": first, "last": last, "prev": prev, "changes": [
            { "service": "t/20990329", "unit": 65535, "taken": [[from, to]], "owner": null } ] });
        let _ = mirror.take(&changes(json!({ "epoch": "e", "sequence": last, "deltas": [delta] })));
        let _ = mirror.journeys("a", "c", "2099-03-29");
    }
}
