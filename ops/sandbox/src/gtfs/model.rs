//! A feed in memory.

use std::ops::Range;

use super::calendar::Calendar;
use super::fares::Fares;

/// A whole feed.
#[derive(Debug, Default)]
pub struct Feed {
    /// Who runs the services.
    pub agencies: Vec<Agency>,
    /// IANA name of the zone all times are in.
    pub zone: String,
    /// Who publishes the feed, from feed_info.txt; the agencies' names when missing.
    pub publisher: String,
    /// Stops, stations, entrances.
    pub stops: Vec<Stop>,
    /// Lines.
    pub routes: Vec<Route>,
    /// Trips, in the file's order; frequencies are unfolded.
    pub trips: Vec<Trip>,
    /// All stop times, by trip and sequence.
    pub stop_times: Vec<StopTime>,
    /// Which service runs on which day.
    pub calendar: Calendar,
    /// GTFS fares V1.
    pub fares: Fares,
    /// Things tolerated, to be shown.
    pub warnings: Vec<String>,
}

/// One agency.
#[derive(Clone, Debug)]
pub struct Agency {
    /// Its key; may be empty when it is the only one.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A stop, platform, station or entrance.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Its key.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Latitude in microdegrees.
    pub latitude_e6: i32,
    /// Longitude in microdegrees.
    pub longitude_e6: i32,
    /// 0 stop, 1 station, 2 entrance, 3 node, 4 boarding area.
    pub location_type: u32,
    /// The station it belongs to, as an index.
    pub parent: Option<u32>,
    /// Its fare zone; may be empty.
    pub fare_zone: String,
    /// A zone of its own for display.
    pub zone: Option<String>,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its key.
    pub id: String,
    /// Its agency, as an index.
    pub agency: u32,
    /// What people call it.
    pub short_name: String,
    /// Its long name.
    pub long_name: String,
    /// The kind: 0 to 12, or an extended one of 100 and more.
    pub route_type: u32,
}

/// A trip.
#[derive(Clone, Debug)]
pub struct Trip {
    /// Its key; unfolded frequencies have `@HHMMSS` appended.
    pub id: String,
    /// Its line, as an index.
    pub route: u32,
    /// When it runs, as an index into the calendar.
    pub service: u32,
    /// Its number.
    pub short_name: String,
    /// Where it says it goes.
    pub headsign: String,
    /// Its stop times.
    pub stops: Range<u32>,
    /// Added to each of its stop times, in seconds (frequencies).
    pub offset_s: i32,
    /// Why it cannot be sold, when it cannot.
    pub unsellable: Option<&'static str>,
}

/// One call of a trip at a stop; seconds count from noon minus 12 hours of the service day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopTime {
    /// The stop, as an index.
    pub stop: u32,
    /// Its position; rises, with gaps.
    pub sequence: u32,
    /// Arrival.
    pub arrival_s: u32,
    /// Departure.
    pub departure_s: u32,
    /// People may board without arranging it first.
    pub board: bool,
    /// People may alight without arranging it first.
    pub alight: bool,
}

impl Feed {
    /// The calls of a trip.
    pub fn calls(&self, trip: &Trip) -> &[StopTime] {
        self.stop_times.get(trip.stops.start as usize..trip.stops.end as usize).unwrap_or(&[])
    }

    /// The place people know: the station of a stop, or the stop itself.
    pub fn place_of(&self, stop: u32) -> u32 {
        let mut place = stop;
        // A boarding area belongs to a platform, which belongs to a station: two steps at most.
        for _ in 0..2 {
            match self.stops.get(place as usize).and_then(|s| s.parent) {
                Some(parent) => place = parent,
                None => break,
            }
        }
        place
    }

    /// Trips that run on a day and can be sold.
    pub fn trips_on(&self, day: i32) -> impl Iterator<Item = &Trip> {
        self.trips
            .iter()
            .filter(move |t| t.unsellable.is_none() && self.calendar.runs_on(t.service, day))
    }
}
