//! The GTFS reader against another one, the crate `gtfs-structures`, on the three feeds of the
//! repository: the same stops, trips, stop times and days of service.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use guichet_sandbox::gtfs::time::parse_date;

/// File, and what a third count (of the plain CSV, by a script) found: stops, routes, trips, stop times, days of service over all trips.
const FEEDS: [(&str, [usize; 5]); 3] = [
    ("ops/sandbox/data/provider/default.gtfs.zip", [1629, 129, 5617, 63_956, 31_863]),
    ("tests/fixtures/gtfs/flixbus-de-2014.gtfs.zip", [113, 53, 1075, 4746, 73_620]),
    ("tests/fixtures/gtfs/miyako-muroran-ferry-2018.gtfs.zip", [2, 1, 2, 4, 748]),
];

#[test]
fn both_readers_see_the_same() {
    for (file, counts) in FEEDS {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        let ours = guichet_sandbox::gtfs::read_file(&path).expect(file);
        let mut raw = gtfs_structures::RawGtfs::from_path(&path).expect(file);
        let mut stops = raw.stops.expect(file);
        // The other reader refuses a feed that calls at a stop it does not have; ours leaves the trip out.
        let missing = (file == FEEDS[1].0).then(|| gtfs_structures::Stop {
            id: "73".to_owned(),
            ..gtfs_structures::Stop::default()
        });
        let unsold = 2 * usize::from(missing.is_some());
        let known = stops.len();
        stops.extend(missing);
        raw.stops = Ok(stops);
        let theirs = gtfs_structures::Gtfs::try_from(raw).expect(file);
        assert_eq!(ours.stops.len(), known, "{file}: stops");
        assert_eq!(ours.routes.len(), theirs.routes.len(), "{file}: routes");
        assert_eq!(ours.trips.len(), theirs.trips.len(), "{file}: trips");
        let first = theirs.calendar.values().map(|c| c.start_date).min().expect("a calendar");
        let first_day = parse_date(&first.to_string().replace('-', "")).expect("a date");
        let mut days_of: HashMap<u32, BTreeSet<i32>> = HashMap::new();
        let mut run = 0;
        for trip in &ours.trips {
            let other = &theirs.trips[&trip.id];
            let calls: Vec<_> = ours
                .calls(trip)
                .iter()
                .map(|c| (ours.stops[c.stop as usize].id.clone(), c.arrival_s, c.departure_s))
                .collect();
            let other_calls: Vec<_> = other
                .stop_times
                .iter()
                .filter_map(|c| Some((c.stop.id.clone(), c.arrival_time?, c.departure_time?)))
                .collect();
            if trip.unsellable.is_none() {
                assert_eq!(calls, other_calls, "{file}: trip {}", trip.id);
            }
            let days = days_of.entry(trip.service).or_insert_with(|| {
                (first_day..first_day + 1000)
                    .filter(|day| ours.calendar.runs_on(trip.service, *day))
                    .collect()
            });
            let other_days: BTreeSet<i32> = theirs
                .trip_days(&other.service_id, first)
                .into_iter()
                .map(|offset| first_day + i32::from(offset))
                .collect();
            assert_eq!(*days, other_days, "{file}: days of trip {}", trip.id);
            run += days.len();
        }
        // Each of the two trips lacks one call.
        let times = ours.stop_times.len() + unsold;
        let seen = [ours.stops.len(), ours.routes.len(), ours.trips.len(), times, run];
        assert_eq!(seen, counts, "{file}");
        assert_eq!(ours.trips.iter().filter(|t| t.unsellable.is_some()).count(), unsold, "{file}");
        assert_eq!(ours.warnings.is_empty(), unsold == 0, "{file}: {:?}", ours.warnings);
    }
}
