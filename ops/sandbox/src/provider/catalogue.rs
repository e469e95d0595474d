//! What the provider sells: the trips of a timetable with places, prices and seats.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::tz::TimeZone;

use super::layouts::Layout;
use super::tariff::{Ride, Tariff, decimals_of};
use crate::gtfs::fares::{FareIndex, Fares, Way};
use crate::gtfs::geo::distance_m;
use crate::gtfs::model::{Route, StopTime};
use crate::gtfs::time::date_of;
use crate::gtfs::time::{base_of, number_of, parse_date};
use crate::gtfs::{Calendar, Feed, Shift};

/// Legs of a trip at most; a longer one is not sold.
pub const LEGS_MAX: usize = 128;
/// Bytes of a trip's key at most; a longer one is not sold.
pub const TRIP_KEY_BYTES_MAX: usize = 150;
/// Prices kept at most, over all patterns and classes.
pub const PRICES_MAX: usize = 20_000_000;

/// Everything on sale.
pub struct Catalogue {
    /// The zone all services run in.
    pub zone: TimeZone,
    /// Its IANA name.
    pub zone_name: String,
    /// Who runs the services.
    pub operator: String,
    /// Who has to be named for the data.
    pub attribution: String,
    /// ISO 4217 letters.
    pub currency: String,
    /// The version of the prices.
    pub tariff_version: u32,
    /// What a refund before departure keeps back, in basis points.
    pub refund_fee_bp: u16,
    /// Places that trips call at.
    pub places: Vec<Place>,
    /// Layouts.
    pub layouts: Vec<Layout>,
    /// Runs of places with their prices.
    pub patterns: Vec<Pattern>,
    /// Trips.
    pub trips: Vec<CatalogueTrip>,
    /// By how many weeks the calendar is moved.
    pub shift: Shift,
    /// Things tolerated, to be shown.
    pub warnings: Vec<String>,
    trip_index: HashMap<String, u32>,
    calendar: Calendar,
    live_percent: u8,
}

/// A place that trips call at.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its key.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Latitude in microdegrees.
    pub latitude_e6: i32,
    /// Longitude in microdegrees.
    pub longitude_e6: i32,
    /// A zone of its own for display.
    pub zone: Option<String>,
}

/// A run of places that many trips share, with what each way on it costs.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The places, as indexes.
    pub places: Vec<u32>,
    /// Where people may board.
    pub board: Vec<bool>,
    /// Where people may alight.
    pub alight: Vec<bool>,
    /// By class: the price in minor units from each place to each later one, row by row; -1 not sold.
    pub prices: BTreeMap<u8, Vec<i64>>,
}

/// One trip of the timetable.
#[derive(Clone, Debug)]
pub struct CatalogueTrip {
    /// Its key.
    pub id: String,
    /// What people call it.
    pub number: String,
    /// Where it goes.
    pub name: String,
    /// train, coach, ship, plane, tourism.
    pub kind: &'static str,
    /// Its pattern.
    pub pattern: u32,
    /// Its layout.
    pub layout: u32,
    /// Arrival and departure at each place, in seconds from the base of the day.
    pub times: Vec<(i64, i64)>,
    service: u32,
}

/// Who gives a service's places out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The distributor; the provider is told.
    Allotted,
    /// The provider.
    Live,
}

/// One trip on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceRef {
    /// The trip.
    pub trip: u32,
    /// The real day, in days since 1970-01-01.
    pub day: i32,
}

impl CatalogueTrip {
    /// How many midnights pass before its last place where one may board.
    pub fn nights(&self) -> u16 {
        let boarded = self.times.len().saturating_sub(1);
        let latest = self.times.iter().take(boarded).map(|(_, departure)| *departure).max();
        u16::try_from(latest.unwrap_or(0).div_euclid(86_400)).unwrap_or(0)
    }
}

impl Pattern {
    /// Where a way's price stands in the list.
    pub fn price_index(&self, from: usize, to: usize) -> Option<usize> {
        let count = self.places.len();
        if from >= to || to >= count {
            return None;
        }
        // The rows before `from` have count-1, count-2 … entries.
        Some(from * (2 * count - from - 1) / 2 + (to - from - 1))
    }
    /// The price of a way in a class.
    pub fn price(&self, class: u8, from: usize, to: usize) -> Option<i64> {
        let index = self.price_index(from, to)?;
        self.prices.get(&class)?.get(index).copied().filter(|&price| price >= 0)
    }
}

/// Why nothing can be put on sale.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// No trip of the feed runs on any day.
    #[error("no trip of the feed runs on any day")]
    NothingRuns,
    /// The feed's zone is not known.
    #[error("`{0}` is not a known time zone")]
    Zone(String),
    /// More prices than are kept.
    #[error("the feed needs more than {PRICES_MAX} prices")]
    TooManyPrices,
}

/// What a catalogue is made from besides the feed.
pub struct Terms {
    /// The distance tariff.
    pub tariff: Tariff,
    /// Coaches and seats.
    pub layouts: Vec<Layout>,
    /// Name of the operator; the publisher of the feed when `None`.
    pub operator: Option<String>,
    /// Share of live services in percent.
    pub live_percent: u8,
    /// The first day on sale.
    pub today: i32,
    /// Days on sale.
    pub horizon_days: u16,
    /// A shift that was chosen earlier, kept while it still covers today.
    pub earlier_weeks: Option<i32>,
}

impl Catalogue {
    /// Puts a feed on sale.
    ///
    /// # Errors
    /// Nothing runs, or there are too many prices.
    pub fn build(feed: Feed, terms: Terms) -> Result<Self, CatalogueError> {
        let zone =
            TimeZone::get(&feed.zone).map_err(|_| CatalogueError::Zone(feed.zone.clone()))?;
        let shift = choose_shift(&feed, &terms)?;
        let (currency, fares_used) = choose_currency(&feed.fares, &terms.tariff.currency);
        let operator = terms.operator.clone().unwrap_or_else(|| operator_of(&feed));
        let mut catalogue = Self {
            zone,
            zone_name: feed.zone.clone(),
            operator,
            attribution: feed.publisher.clone(),
            currency,
            tariff_version: terms.tariff.version,
            refund_fee_bp: terms.tariff.refund_fee_bp,
            places: Vec::new(),
            layouts: terms.layouts.clone(),
            patterns: Vec::new(),
            trips: Vec::new(),
            shift,
            warnings: feed.warnings.clone(),
            trip_index: HashMap::new(),
            calendar: Calendar::default(),
            live_percent: terms.live_percent.min(100),
        };
        catalogue.warnings.extend(moved(&shift));
        catalogue.warnings.extend(other_currencies(&feed.fares, &catalogue.currency));
        let fares = fares_used.then(|| FareIndex::new(&feed.fares));
        Builder::new(fares).add_trips(&mut catalogue, &feed, &terms)?;
        if fares_used && catalogue.patterns.iter().all(|pattern| pattern.prices.is_empty()) {
            let what = "no fare of the feed holds for any ride: the distance tariff is used";
            catalogue.warnings.push(what.to_owned());
            catalogue.currency.clone_from(&terms.tariff.currency);
            catalogue.forget_trips();
            Builder::new(None).add_trips(&mut catalogue, &feed, &terms)?;
        }
        catalogue.calendar = feed.calendar;
        if catalogue.trips.is_empty() {
            return Err(CatalogueError::NothingRuns);
        }
        Ok(catalogue)
    }

    fn forget_trips(&mut self) {
        self.places.clear();
        self.patterns.clear();
        self.trips.clear();
        self.trip_index.clear();
    }

    /// Days before the first on sale whose services may still be boarded: they leave after midnight.
    pub fn nights(&self) -> u16 {
        self.trips.iter().map(CatalogueTrip::nights).max().unwrap_or(0)
    }

    /// Whether a service may still be boarded on a day, or runs later.
    pub fn is_ahead(&self, service: ServiceRef, first_day: i32) -> bool {
        let nights = self.trip(service).map_or(0, CatalogueTrip::nights);
        service.day >= first_day.saturating_sub(i32::from(nights))
    }

    /// Whether a trip runs on a real day.
    pub fn runs_on(&self, trip: &CatalogueTrip, day: i32) -> bool {
        self.calendar.runs_on(trip.service, self.shift.feed_day(day))
    }

    /// The services of the calendar that run on each of the days from `first`.
    pub fn running(&self, first: i32, days: u16) -> Vec<HashSet<u32>> {
        (0..i32::from(days))
            .map(|n| {
                let day = self.shift.feed_day(first.saturating_add(n));
                self.calendar.services_on(day).into_iter().collect()
            })
            .collect()
    }

    /// Whether a trip is among the services of one day.
    pub fn is_among(&self, trip: &CatalogueTrip, services: &HashSet<u32>) -> bool {
        services.contains(&trip.service)
    }

    /// The key of a service: its trip and date, `trip/YYYYMMDD`.
    pub fn key(&self, service: ServiceRef) -> String {
        let id = self.trips.get(service.trip as usize).map_or("", |t| t.id.as_str());
        format!("{id}/{}", number_of(service.day))
    }

    /// Finds a service by its key; it must run on that date.
    pub fn find(&self, key: &str) -> Option<ServiceRef> {
        let (id, date) = key.rsplit_once('/')?;
        let day = parse_date(date)?;
        let trip = *self.trip_index.get(id)?;
        let runs = self.runs_on(self.trips.get(trip as usize)?, day);
        runs.then_some(ServiceRef { trip, day })
    }

    /// The trip of a service.
    pub fn trip(&self, service: ServiceRef) -> Option<&CatalogueTrip> {
        self.trips.get(service.trip as usize)
    }

    /// The layout of a service.
    pub fn layout(&self, service: ServiceRef) -> Option<&Layout> {
        self.layouts.get(self.trip(service)?.layout as usize)
    }

    /// The pattern of a service.
    pub fn pattern(&self, service: ServiceRef) -> Option<&Pattern> {
        self.patterns.get(self.trip(service)?.pattern as usize)
    }

    /// When a service leaves a place, in UTC seconds.
    pub fn departs_s(&self, service: ServiceRef, stop: usize) -> Option<i64> {
        let (_, departure) = *self.trip(service)?.times.get(stop)?;
        Some(base_of(service.day, &self.zone) + departure)
    }

    /// Who gives the places of a service out: a stable hash of its key.
    pub fn mode(&self, service: ServiceRef) -> Mode {
        let id = self.trips.get(service.trip as usize).map_or("", |t| t.id.as_str());
        mode_of(id, number_of(service.day), self.live_percent)
    }
}

/// FNV-1a over the key with a final mix, so that neighbours fall apart.
fn mode_of(trip: &str, date: u32, live_percent: u8) -> Mode {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in trip.bytes().chain([b'/']).chain(date.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    if hash % 100 < u64::from(live_percent) { Mode::Live } else { Mode::Allotted }
}

fn operator_of(feed: &Feed) -> String {
    // The agency with the most lines.
    let mut lines = vec![0usize; feed.agencies.len()];
    for route in &feed.routes {
        if let Some(count) = lines.get_mut(route.agency as usize) {
            *count += 1;
        }
    }
    let most = lines.iter().enumerate().max_by_key(|(i, n)| (**n, usize::MAX - i));
    most.and_then(|(i, _)| feed.agencies.get(i)).map_or_else(String::new, |a| a.name.clone())
}

/// The currency on sale, and whether the feed's fares are in it: those of its first fare, when it is one in use.
fn choose_currency(fares: &Fares, otherwise: &str) -> (String, bool) {
    let known = fares.fares.iter().find(|fare| decimals_of(&fare.currency).is_some());
    match known {
        Some(fare) => (fare.currency.clone(), true),
        None => (otherwise.to_owned(), false),
    }
}

/// A word about fares that are not looked at.
fn other_currencies(fares: &Fares, on_sale: &str) -> Option<String> {
    let mut others = fares.fares.iter().filter(|fare| fare.currency != on_sale).peekable();
    let example = others.peek()?.currency.clone();
    let count = others.count();
    Some(format!("{count} fares are not used: all is sold in {on_sale}, not in {example}"))
}

/// What a moved calendar is told with.
fn moved(shift: &Shift) -> Option<String> {
    let way = match shift.weeks {
        0 => return None,
        1.. => "later",
        _ => "earlier",
    };
    let (first, last) = (date_of(shift.feed_first), date_of(shift.feed_last));
    let weeks = shift.weeks.unsigned_abs();
    Some(format!(
        "by the calendar ({first} to {last}) nothing runs in the days on sale: it is moved {weeks} weeks {way}"
    ))
}

fn choose_shift(feed: &Feed, terms: &Terms) -> Result<Shift, CatalogueError> {
    let mut trips = vec![0u32; feed.calendar.len()];
    for trip in feed.trips.iter().filter(|t| t.unsellable.is_none()) {
        if let Some(count) = trips.get_mut(trip.service as usize) {
            *count += 1;
        }
    }
    let shift = feed
        .calendar
        .shift(&trips, terms.today, terms.horizon_days)
        .ok_or(CatalogueError::NothingRuns)?;
    if let Some(weeks) = terms.earlier_weeks {
        let earlier = Shift { weeks, ..shift };
        let (first, last) = (earlier.real_day(shift.feed_first), earlier.real_day(shift.feed_last));
        // What was sold under the earlier shift stays what it was, while a week of it is left.
        if shift.weeks != 0 && first <= terms.today && terms.today.saturating_add(7) <= last {
            return Ok(earlier);
        }
    }
    Ok(shift)
}

/// The kind of provider for a GTFS route type, the extended ones included.
pub fn kind_of(route_type: u32) -> &'static str {
    match route_type {
        3 | 11 | 200..=299 | 700..=799 | 800..=899 | 1500..=1599 => "coach",
        4 | 1000..=1099 | 1200..=1299 => "ship",
        1100..=1199 => "plane",
        6 | 1300..=1399 => "tourism",
        _ => "train",
    }
}

/// What makes two trips share a pattern.
#[derive(PartialEq, Eq, Hash)]
struct PatternKey {
    stops: Vec<u32>,
    calls: Vec<(bool, bool)>,
    /// Only where fares depend on the line.
    route: Option<u32>,
    kind: &'static str,
    layout: u32,
}

struct Builder<'a> {
    /// The feed's own fares; without them the distance tariff holds.
    fares: Option<FareIndex<'a>>,
    places: HashMap<u32, u32>,
    patterns: HashMap<PatternKey, u32>,
    prices: usize,
    skipped: BTreeMap<&'static str, u32>,
}

impl<'a> Builder<'a> {
    fn new(fares: Option<FareIndex<'a>>) -> Self {
        Self {
            fares,
            places: HashMap::new(),
            patterns: HashMap::new(),
            prices: 0,
            skipped: BTreeMap::new(),
        }
    }

    fn add_trips(
        mut self,
        catalogue: &mut Catalogue,
        feed: &Feed,
        terms: &Terms,
    ) -> Result<(), CatalogueError> {
        for trip in feed.trips.iter().filter(|t| t.unsellable.is_none()) {
            let calls = feed.calls(trip);
            let Some(route) = feed.routes.get(trip.route as usize) else { continue };
            let kind = kind_of(route.route_type);
            let number = [&trip.short_name, &route.short_name, &route.long_name]
                .into_iter()
                .find(|name| !name.is_empty())
                .cloned()
                .unwrap_or_default();
            let chosen = super::layouts::choose(&catalogue.layouts, kind, &route.short_name)
                .or_else(|| super::layouts::choose(&catalogue.layouts, "train", ""));
            let Some(layout) = chosen else {
                *self.skipped.entry("no layout fits").or_default() += 1;
                continue;
            };
            if calls.len() > LEGS_MAX + 1 || trip.id.len() > TRIP_KEY_BYTES_MAX {
                *self.skipped.entry("too many stops, or too long a key").or_default() += 1;
                continue;
            }
            if catalogue.trip_index.contains_key(&trip.id) {
                *self.skipped.entry("the same departure is there twice").or_default() += 1;
                continue;
            }
            let pattern =
                self.pattern(catalogue, feed, terms, (trip.route, route), calls, layout)?;
            let offset = i64::from(trip.offset_s);
            let time = |s: u32| i64::from(s) + offset;
            let last = calls.last().map_or(0, |c| feed.place_of(c.stop));
            let name = if trip.headsign.is_empty() {
                feed.stops.get(last as usize).map_or_else(String::new, |s| s.name.clone())
            } else {
                trip.headsign.clone()
            };
            catalogue.trip_index.insert(trip.id.clone(), catalogue.trips.len() as u32);
            catalogue.trips.push(CatalogueTrip {
                id: trip.id.clone(),
                number,
                name,
                kind,
                pattern,
                layout,
                times: calls.iter().map(|c| (time(c.arrival_s), time(c.departure_s))).collect(),
                service: trip.service,
            });
        }
        for (why, count) in self.skipped {
            catalogue.warnings.push(format!("{count} trips are not sold: {why}"));
        }
        Ok(())
    }

    fn place(&mut self, catalogue: &mut Catalogue, feed: &Feed, stop: u32) -> u32 {
        let known = feed.place_of(stop);
        *self.places.entry(known).or_insert_with(|| {
            let stop = &feed.stops[known as usize];
            catalogue.places.push(Place {
                id: stop.id.clone(),
                name: stop.name.clone(),
                latitude_e6: stop.latitude_e6,
                longitude_e6: stop.longitude_e6,
                zone: stop.zone.clone().filter(|zone| *zone != feed.zone),
            });
            catalogue.places.len() as u32 - 1
        })
    }

    fn pattern(
        &mut self,
        catalogue: &mut Catalogue,
        feed: &Feed,
        terms: &Terms,
        (route_index, route): (u32, &Route),
        calls: &[StopTime],
        layout: u32,
    ) -> Result<u32, CatalogueError> {
        let kind = kind_of(route.route_type);
        let key = PatternKey {
            stops: calls.iter().map(|c| c.stop).collect(),
            calls: calls.iter().map(|c| (c.board, c.alight)).collect(),
            route: self.fares.is_some().then_some(route_index),
            kind,
            layout,
        };
        if let Some(&known) = self.patterns.get(&key) {
            return Ok(known);
        }
        let places = calls.iter().map(|c| self.place(catalogue, feed, c.stop)).collect();
        let prices = price_all(catalogue, feed, (&terms.tariff, &self.fares), route, calls, layout);
        self.prices += prices.values().map(Vec::len).sum::<usize>();
        if self.prices > PRICES_MAX {
            return Err(CatalogueError::TooManyPrices);
        }
        let index = catalogue.patterns.len() as u32;
        catalogue.patterns.push(Pattern {
            places,
            board: calls.iter().map(|c| c.board).collect(),
            alight: calls.iter().map(|c| c.alight).collect(),
            prices,
        });
        self.patterns.insert(key, index);
        Ok(index)
    }
}

/// The prices of all ways of a pattern by class: the feed's own, else by distance along the stops.
fn price_all(
    catalogue: &Catalogue,
    feed: &Feed,
    (tariff, fares): (&Tariff, &Option<FareIndex<'_>>),
    route: &Route,
    calls: &[StopTime],
    layout: u32,
) -> BTreeMap<u8, Vec<i64>> {
    let point = |c: &StopTime| {
        let stop = &feed.stops[c.stop as usize];
        (stop.latitude_e6, stop.longitude_e6)
    };
    let legs: Vec<i64> =
        calls.windows(2).map(|p| i64::from(distance_m(point(&p[0]), point(&p[1])))).collect();
    let zone = |c: &StopTime| feed.stops[c.stop as usize].fare_zone.as_str();
    let classes = catalogue.layouts[layout as usize].classes();
    let lowest = classes.last().copied().unwrap_or(2);
    let kind = kind_of(route.route_type);
    let mut prices = BTreeMap::new();
    for &class in &classes {
        let mut list = Vec::with_capacity(calls.len() * calls.len().saturating_sub(1) / 2);
        for from in 0..calls.len() {
            let mut way_m = 0;
            for to in from + 1..calls.len() {
                way_m += legs[to - 1];
                let price = match fares {
                    None => tariff.price_minor(kind, class, way_m),
                    Some(fares) => {
                        let zones: Vec<&str> = calls[from..=to].iter().map(zone).collect();
                        let (begin, end) = (zone(&calls[from]), zone(&calls[to]));
                        let ride = Ride {
                            way: Way { route: &route.id, from: begin, to: end, zones: &zones },
                            currency: &catalogue.currency,
                            lowest,
                            only_class: classes.len() == 1,
                        };
                        tariff.feed_price_minor(fares, &ride, class)
                    }
                };
                list.push(price.unwrap_or(-1));
            }
        }
        if list.iter().any(|&price| price >= 0) {
            prices.insert(class, list);
        }
    }
    prices
}

#[cfg(test)]
mod tests;
