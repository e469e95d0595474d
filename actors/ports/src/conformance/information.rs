use std::collections::BTreeSet;

use guichet_engine::event::{Authority, Run};
use guichet_engine::ids::{Attempt, HoldId, LineNo, OrderId, ServiceId, Slot};
use guichet_engine::time::Instant;

use crate::ticket_information::{Journey, TicketInformation};

/// What every ticket-information database does, by a way and a local date on which services run.
///
/// # Panics
/// Where the contract is broken.
pub fn ticket_information(info: &dyn TicketInformation, from: &str, to: &str, date: &str) {
    what_nobody_knows_is_not_there(info, from, to, date);
    stations_are_found_by_name(info, from);
    let journeys = info.journeys(from, to, date);
    assert!(!journeys.is_empty(), "services run");
    let departures: Vec<Instant> = journeys.iter().map(|j| j.product.departs).collect();
    assert!(departures.is_sorted(), "by departure: {departures:?}");
    let services: BTreeSet<ServiceId> = journeys.iter().map(|j| j.product.service).collect();
    assert_eq!(services.len(), journeys.len(), "each service once");
    for journey in &journeys {
        a_journey_is_one_of_a_service_s(info, journey, from, to);
    }
    for journey in journeys.iter().filter(|j| j.product.authority == Authority::Allotted) {
        our_own_places_are_counted_once(info, journey);
    }
    let example = info.example(Instant(0)).expect("something runs");
    assert!(!info.journeys(&example.0, &example.1, &example.2).is_empty(), "{example:?}");
    let freshness = info.freshness();
    assert!(!freshness.is_empty() && freshness.iter().all(|f| !f.provider.is_empty()));
}

fn unknown() -> ServiceId {
    ServiceId::new(Slot::new(0xfff), u64::MAX)
}

fn hold(attempt: u16) -> HoldId {
    let order = OrderId::new(Slot::new(0xfff), u64::MAX);
    HoldId { order, line: LineNo(0), attempt: Attempt(attempt) }
}

fn what_nobody_knows_is_not_there(info: &dyn TicketInformation, from: &str, to: &str, date: &str) {
    for (from, to, date) in [
        (from, from, date),
        (from, "no such place", date),
        ("no such place", to, date),
        ("", "", date),
        (from, to, ""),
        (from, to, "2026-02-30"),
        (from, to, "tomorrow"),
        (from, to, "0001-01-01"),
    ] {
        assert_eq!(info.journeys(from, to, date), [], "{from} {to} {date}");
    }
    assert_eq!(info.station("no such place"), None);
    assert_eq!(info.journey(unknown(), from, to), None);
    assert_eq!(info.spec(unknown()), None);
    assert_eq!(info.authority(unknown()), None);
    assert_eq!(info.seats(unknown(), Run { from: 0, to: 1 }, 0), []);
    info.note_place(
        unknown(),
        hold(1),
        guichet_engine::ids::UnitNo(0),
        Run { from: 0, to: 1 },
        true,
    );
    info.note_place(
        unknown(),
        hold(1),
        guichet_engine::ids::UnitNo(0),
        Run { from: 0, to: 1 },
        false,
    );
}

fn stations_are_found_by_name(info: &dyn TicketInformation, id: &str) {
    let station = info.station(id).expect("it is known");
    assert_eq!(station.id, id);
    assert!(!station.name.is_empty() && !station.zone.is_empty());
    for query in [station.name.clone(), station.name.to_lowercase(), station.name.to_uppercase()] {
        let found = info.stations(&query, 50);
        assert!(found.contains(&station), "{query}: {found:?}");
    }
    for limit in [0, 1, 2] {
        assert!(info.stations("", limit).len() <= limit, "at most {limit}");
    }
}

fn a_journey_is_one_of_a_service_s(
    info: &dyn TicketInformation,
    journey: &Journey,
    from: &str,
    to: &str,
) {
    let product = &journey.product;
    assert_eq!((product.from_place.as_str(), product.to_place.as_str()), (from, to));
    assert!(product.departs < product.arrives && product.class == 0);
    assert_eq!(info.journey(product.service, from, to).as_ref(), Some(journey), "one anew");
    assert_eq!(info.authority(product.service), Some(product.authority));
    let spec = info.spec(product.service).expect("a service has a layout");
    assert_eq!((spec.provider, &spec.key), (product.provider, &product.service_key));
    assert!(product.run.from < product.run.to && product.run.to <= spec.slots);
    let all = info.seats(product.service, product.run, 0);
    assert!(all.iter().map(|seat| &seat.info).eq(&spec.units), "the layout's places in its order");
    assert!(all.iter().enumerate().all(|(n, seat)| usize::from(seat.unit.0) == n));
    let classes: BTreeSet<u8> = journey.classes.iter().map(|offer| offer.class).collect();
    assert_eq!(classes.len(), journey.classes.len(), "each class once");
    assert!(!classes.is_empty() && !classes.contains(&0));
    for offer in &journey.classes {
        let seats = info.seats(product.service, product.run, offer.class);
        let of_all: Vec<_> = all.iter().filter(|s| s.info.class == offer.class).cloned().collect();
        assert_eq!(seats, of_all, "class {}", offer.class);
        let free = seats.iter().filter(|seat| seat.free).count();
        let left = usize::try_from(offer.seats_left).expect("few");
        assert!(left <= free, "class {}: {left} offered of {free}", offer.class);
        assert_eq!(offer.fare.price.currency(), offer.fare.fee.currency());
    }
}

fn our_own_places_are_counted_once(info: &dyn TicketInformation, journey: &Journey) {
    let (service, run) = (journey.product.service, journey.product.run);
    let free = || {
        let seats = info.seats(service, run, 0).into_iter();
        seats.filter(|seat| seat.free).map(|seat| seat.unit).collect::<Vec<_>>()
    };
    let before = free();
    let Some(unit) = before.first().copied() else { return };
    let without: Vec<_> = before[1..].to_vec();
    for _ in 0..2 {
        info.note_place(service, hold(1), unit, run, true);
        assert_eq!(free(), without, "taken, however often it is said");
    }
    // What another hold gives back is not this one's.
    info.note_place(service, hold(2), unit, run, false);
    assert_eq!(free(), without, "given back by one that never had it");
    for _ in 0..2 {
        info.note_place(service, hold(1), unit, run, false);
        assert_eq!(free(), before, "given back, however often it is said");
    }
}
