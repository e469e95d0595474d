//! What is put on sale, and for how much.

use super::*;
use crate::gtfs::fares::{Fare, Rule};
use crate::gtfs::time::parse_date;
use crate::provider::{layouts, sample, snapshot, tariff};

#[test]
fn prices_stand_row_by_row() {
    let pattern = Pattern {
        places: vec![0, 1, 2, 3],
        board: vec![true; 4],
        alight: vec![true; 4],
        prices: BTreeMap::from([(2, vec![1, 2, 3, 12, 13, -1])]),
    };
    for (from, to, price) in [
        (0, 1, Some(1)),
        (0, 3, Some(3)),
        (1, 2, Some(12)),
        (1, 3, Some(13)),
        (2, 3, None),
        (3, 3, None),
        (2, 1, None),
        (0, 4, None),
    ] {
        assert_eq!(pattern.price(2, from, to), price, "{from} to {to}");
    }
    assert_eq!(pattern.price(1, 0, 1), None);
}

#[test]
fn half_of_the_services_are_live_and_stay_so() {
    let live = |percent| {
        (0..10_000).filter(|n| mode_of(&format!("{n}"), 20_261_123, percent) == Mode::Live).count()
    };
    assert!((4_800..5_200).contains(&live(50)), "{}", live(50));
    assert_eq!((live(0), live(100)), (0, 10_000));
    assert_eq!(mode_of("1257450", 20_261_123, 50), mode_of("1257450", 20_261_123, 50));
}

#[test]
fn every_route_type_is_of_a_kind() {
    for (types, kind) in [
        (&[0, 1, 2, 5, 7, 12, 100, 109, 400, 900, 1400, 1700][..], "train"),
        (&[3, 11, 200, 702, 800, 1501], "coach"),
        (&[4, 1000, 1200], "ship"),
        (&[1100], "plane"),
        (&[6, 1300], "tourism"),
    ] {
        for route_type in types {
            assert_eq!(kind_of(*route_type), kind, "{route_type}");
        }
    }
}

fn on_sale(feed: Feed, today: &str) -> Catalogue {
    let terms = Terms {
        tariff: tariff::parse(tariff::DEFAULT_TARIFF).expect("tariff"),
        layouts: layouts::parse(sample::LAYOUT).expect("layouts"),
        operator: None,
        live_percent: 50,
        today: parse_date(today).expect("date"),
        horizon_days: 3,
        earlier_weeks: None,
    };
    Catalogue::build(feed, terms).expect("catalogue")
}

fn fare(id: &str, price: &str, currency: &str, rules: &[[&str; 2]]) -> Fare {
    Fare {
        id: id.to_owned(),
        price: price.to_owned(),
        currency: currency.to_owned(),
        rules: rules
            .iter()
            .map(|[origin, destination]| Rule {
                origin: (*origin).to_owned(),
                destination: (*destination).to_owned(),
                ..Rule::default()
            })
            .collect(),
    }
}

#[test]
fn prices_are_the_feed_s_own_or_by_distance_but_never_mixed() {
    let by_distance = on_sale(sample::feed(), "20260302").patterns[0].prices.clone();
    let none = "no fare of the feed holds for any ride: the distance tariff is used";
    for (fares, currency, first, word) in [
        (vec![], "EUR", None, ""),
        (vec![fare("f", "15", "JPY", &[])], "JPY", Some(15), ""),
        (vec![fare("f", "1.5", "KWD", &[])], "KWD", Some(1500), ""),
        (vec![fare("f", "0", "EUR", &[])], "EUR", None, none),
        (vec![fare("f", "15", "JPY", &[["x", "y"]])], "EUR", None, none),
        (vec![fare("f", "15", "HRK", &[])], "EUR", None, "1 fares are not used"),
        (
            vec![fare("g", "9", "HRK", &[]), fare("f", "15", "JPY", &[])],
            "JPY",
            Some(15),
            "1 fares are not used: all is sold in JPY, not in HRK",
        ),
    ] {
        let shown = format!("{fares:?}");
        let mut feed = sample::feed();
        feed.fares.fares = fares;
        let catalogue = on_sale(feed, "20260302");
        let pattern = &catalogue.patterns[0];
        assert_eq!(catalogue.currency, currency, "{shown}");
        match first {
            Some(price) => assert_eq!(pattern.price(2, 0, 1), Some(price), "{shown}"),
            None => assert_eq!(pattern.prices, by_distance, "{shown}"),
        }
        let said = catalogue.warnings.join("; ");
        assert!(said.contains(word) && (said.is_empty() == word.is_empty()), "{shown}: {said}");
    }
}

#[test]
fn a_fare_for_each_pair_of_zones_is_found_at_once() {
    let mut feed = sample::feed();
    let zones: Vec<String> = (0..200).map(|n| format!("z{n}")).collect();
    for (stop, zone) in feed.stops.iter_mut().zip(&zones) {
        stop.fare_zone.clone_from(zone);
    }
    for (from, origin) in zones.iter().enumerate() {
        for (to, destination) in zones.iter().enumerate() {
            let price = (from * 200 + to + 1).to_string();
            let rules = [[origin.as_str(), destination.as_str()]];
            feed.fares.fares.push(fare(&format!("{origin}-{destination}"), &price, "JPY", &rules));
        }
    }
    let begun = std::time::Instant::now();
    let catalogue = on_sale(feed, "20260302");
    let pattern = &catalogue.patterns[0];
    for (from, to) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        let price = i64::try_from(from * 200 + to + 1).ok();
        assert_eq!(pattern.price(2, from, to), price, "{from} to {to}");
    }
    assert!(begun.elapsed().as_secs() < 10, "{:?} for 40,000 fares", begun.elapsed());
}

#[test]
fn a_service_that_leaves_after_midnight_stays_on_sale_on_the_next_day() {
    let mut feed = sample::feed();
    let dates = |feed: Feed| {
        let catalogue = on_sale(feed, "20260302");
        let (text, _) = snapshot::body(&catalogue, parse_date("20260302").expect("date"), 3);
        let trip = text.lines().find(|line| line.contains("\"t\":\"trip\"")).expect("a trip");
        let line: serde_json::Value = serde_json::from_str(trip).expect("json");
        let days = line["days"].as_array().expect("days").iter();
        (catalogue.nights(), days.map(|day| day[0].as_u64().expect("a date")).collect::<Vec<_>>())
    };
    let plain = [20_260_302, 20_260_303, 20_260_304];
    assert_eq!(dates(sample::feed()), (0, plain.to_vec()));
    let later = |feed: &mut Feed, seconds: u32| {
        for call in &mut feed.stop_times {
            call.arrival_s += seconds;
            call.departure_s += seconds;
        }
    };
    later(&mut feed, 12 * 3600);
    let night = [20_260_301, 20_260_302, 20_260_303, 20_260_304];
    assert_eq!(dates(feed), (1, night.to_vec()), "c is left at 24:05");
    let mut feed = sample::feed();
    later(&mut feed, 11 * 3600);
    assert_eq!(dates(feed), (0, plain.to_vec()), "only the arrival is after midnight");
}
