//! What a snapshot says: places, layouts, patterns and trips, each once, and services as dates of trips.

use std::borrow::Cow;
use std::collections::HashMap;

use guichet_engine::event::{Authority, ProviderKind, Seat, Unit};
use guichet_engine::ids::{ProviderId, ServiceId, Slot, Version};
use guichet_engine::limits::{SERVICE_SLOTS_MAX, SERVICE_UNITS_MAX, TEXT_BYTES_MAX};
use guichet_engine::money::Currency;
use jiff::tz::TimeZone;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::stations::StationIndex;
use crate::map::clip;

/// The format of snapshots that is understood.
pub const FORMAT: u32 = 1;
/// Bytes of one line of a snapshot at most.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// Lines of a snapshot at most.
pub const LINES_MAX: u64 = 20_000_000;
/// Services of a snapshot at most.
pub const SERVICES_MAX: usize = 20_000_000;

/// Why a snapshot is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the snapshot: {what}")]
pub struct SnapshotError {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// The first line.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    format: u32,
    /// The stream's life.
    pub epoch: String,
    /// The last change that is in the snapshot.
    pub sequence: u64,
    /// Who runs the services.
    pub operator: String,
    /// Who has to be named for the data.
    pub attribution: String,
    /// IANA name of the zone.
    pub zone: String,
    currency: String,
    /// Weeks by which an ended calendar was moved.
    pub shifted_weeks: u32,
    tariff_version: u32,
    /// What a refund before departure keeps back, in basis points.
    pub refund_fee_bp: u16,
    /// How often an idle stream says its number, in milliseconds.
    pub heartbeat_ms: u64,
}

/// What kind of line it is; the rest is read by its own type.
#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
}

#[derive(Deserialize)]
struct TakenLine {
    service: String,
    runs: Vec<(u16, u16, u16)>,
}

#[derive(Deserialize)]
struct CancelledLine {
    service: String,
}

#[derive(Deserialize)]
struct EndLine {
    lines: u64,
}

#[derive(Deserialize)]
struct PlaceLine {
    i: u32,
    id: String,
    name: String,
    lat: i32,
    lon: i32,
    #[serde(default)]
    zone: Option<String>,
}

#[derive(Deserialize)]
struct LayoutLine {
    i: u32,
    coaches: Vec<CoachLine>,
}

#[derive(Deserialize)]
struct CoachLine {
    label: String,
    class: u8,
    seats: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct PatternLine {
    i: u32,
    places: Vec<u32>,
    board: String,
    alight: String,
    prices: HashMap<u8, Vec<i64>>,
}

#[derive(Deserialize)]
struct TripLine {
    id: String,
    number: String,
    kind: String,
    pattern: u32,
    layout: u32,
    times: Vec<i64>,
    days: Vec<(u32, i64, u8)>,
}

/// A place.
#[derive(Debug)]
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

/// A layout.
#[derive(Debug, Default)]
pub struct Layout {
    /// Its units in the order of their numbers.
    pub units: Vec<Unit>,
    /// The classes with how many units each, best first.
    pub classes: Vec<(u8, u32)>,
}

/// A run of places with its prices.
#[derive(Debug, Default)]
pub struct Pattern {
    /// The places, as indexes.
    pub places: Box<[u32]>,
    /// Where people may board.
    pub board: Box<[bool]>,
    /// Where people may alight.
    pub alight: Box<[bool]>,
    /// By class, best first: prices in minor units from each place to each later one; -1 not sold.
    pub prices: Vec<(u8, Box<[i32]>)>,
}

/// A trip with the days it runs on.
#[derive(Debug)]
pub struct Trip {
    /// The provider's key.
    pub id: Box<str>,
    /// What people call it.
    pub number: Box<str>,
    /// The kind.
    pub kind: ProviderKind,
    /// Its pattern.
    pub pattern: u32,
    /// Its layout.
    pub layout: u32,
    /// Arrival and departure at each place, in seconds from the day's base.
    pub times: Box<[(i32, i32)]>,
    /// Its days.
    pub days: Box<[Day]>,
}

/// One day of a trip: a service.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// The date as YYYYMMDD.
    pub date: u32,
    /// What its times count from, in UTC seconds.
    pub base_s: i64,
    /// Who decides about its places.
    pub authority: Authority,
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The trip.
    pub trip: u32,
    /// Which of its days.
    pub day: u32,
}

/// A whole snapshot but for what is taken.
#[derive(Debug)]
pub struct Timetable {
    /// The first line.
    pub head: Head,
    /// The currency.
    pub currency: Currency,
    /// The version of the prices.
    pub tariff: Version,
    /// The zone.
    pub zone: TimeZone,
    /// Places.
    pub places: Vec<Place>,
    /// Layouts.
    pub layouts: Vec<Layout>,
    /// Patterns.
    pub patterns: Vec<Pattern>,
    /// Trips.
    pub trips: Vec<Trip>,
    /// Where each service stands.
    pub services: HashMap<ServiceId, Spot>,
    /// Place by its key.
    pub place_index: HashMap<String, u32>,
    /// Patterns that call at a place, with the position.
    pub calls: Vec<Vec<(u32, u16)>>,
    /// Trips of a pattern.
    pub trips_of: Vec<Vec<u32>>,
    /// Finds places by name.
    pub stations: StationIndex,
    /// Trips left out because the engine could not hold them.
    pub left_out: u64,
}

/// What is taken, by unit, as bits of slots.
pub type Taken = HashMap<u16, u128>;

/// A snapshot taken in.
#[derive(Debug)]
pub struct Snapshot {
    /// What is on sale.
    pub timetable: Timetable,
    /// What is taken on live services.
    pub taken: HashMap<ServiceId, Taken>,
    /// Services that do not run.
    pub cancelled: Vec<ServiceId>,
}

/// The engine's id of a service: a hash of provider and key, the same in every life.
#[must_use]
pub fn service_id(provider: ProviderId, key: &str) -> ServiceId {
    let mut hash = Sha256::new();
    hash.update(provider.0.to_be_bytes());
    hash.update(key.as_bytes());
    let digest = hash.finalize();
    let mut bytes = [0u8; 10];
    bytes.copy_from_slice(&digest[..10]);
    let [high, low, unique @ ..] = bytes;
    ServiceId::new(Slot::new(u16::from_be_bytes([high, low])), u64::from_be_bytes(unique))
}

/// The slots of a run as bits.
#[must_use]
pub fn bits(from: u16, to: u16) -> u128 {
    let below = |n: u16| if n >= 128 { u128::MAX } else { (1u128 << n) - 1 };
    below(to) & !below(from)
}

impl Pattern {
    /// The price of a way in a class.
    #[must_use]
    pub fn price_minor(&self, class: u8, from: usize, to: usize) -> Option<i64> {
        let (_, prices) = self.prices.iter().find(|(c, _)| *c == class)?;
        let count = self.places.len();
        if from >= to || to >= count {
            return None;
        }
        // The rows before `from` have count-1, count-2 … entries.
        let index = from * (2 * count - from - 1) / 2 + (to - from - 1);
        prices.get(index).copied().filter(|&p| p >= 0).map(i64::from)
    }
}

/// Takes a snapshot in line by line.
pub struct Loader {
    provider: ProviderId,
    line: u64,
    head: Option<(Head, Currency, TimeZone)>,
    places: Vec<Place>,
    place_index: HashMap<String, u32>,
    layouts: Vec<Layout>,
    patterns: Vec<Pattern>,
    trips: Vec<Trip>,
    services: HashMap<ServiceId, Spot>,
    taken: HashMap<ServiceId, Taken>,
    cancelled: Vec<ServiceId>,
    left_out: u64,
    ended: bool,
}

impl Loader {
    /// Begins a snapshot.
    #[must_use]
    pub fn new(provider: ProviderId) -> Self {
        Self {
            provider,
            line: 0,
            head: None,
            places: Vec::new(),
            place_index: HashMap::new(),
            layouts: Vec::new(),
            patterns: Vec::new(),
            trips: Vec::new(),
            services: HashMap::new(),
            taken: HashMap::new(),
            cancelled: Vec::new(),
            left_out: 0,
            ended: false,
        }
    }

    /// Takes one line in.
    ///
    /// # Errors
    /// What is wrong with it; the snapshot is then of no use.
    pub fn take(&mut self, line: &[u8]) -> Result<(), SnapshotError> {
        self.line += 1;
        self.take_line(line).map_err(|what| SnapshotError { line: self.line, what })
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), String> {
        if self.line > LINES_MAX || line.len() > LINE_BYTES_MAX || self.ended {
            return Err("more than a snapshot may hold".to_owned());
        }
        let tag: Tag<'_> = parse(line)?;
        if self.head.is_none() && tag.t != "head" {
            return Err("the first line is not the head".to_owned());
        }
        match tag.t.as_ref() {
            "head" if self.head.is_some() => Err("a second head".to_owned()),
            "head" => self.take_head(parse(line)?),
            "place" => self.take_place(parse(line)?),
            "layout" => self.take_layout(parse(line)?),
            "pattern" => self.take_pattern(parse(line)?),
            "trip" => self.take_trip(parse(line)?),
            "taken" => {
                let TakenLine { service, runs } = parse(line)?;
                let taken = self.taken.entry(service_id(self.provider, &service)).or_default();
                for (unit, from, to) in runs {
                    *taken.entry(unit).or_default() |= bits(from, to);
                }
                Ok(())
            }
            "cancelled" => {
                let CancelledLine { service } = parse(line)?;
                self.cancelled.push(service_id(self.provider, &service));
                Ok(())
            }
            "end" => {
                let EndLine { lines } = parse(line)?;
                self.ended = lines == self.line;
                if self.ended { Ok(()) } else { Err(format!("the end counts {lines} lines")) }
            }
            // A neighbour of a later version may say more.
            _ => Ok(()),
        }
    }

    fn take_head(&mut self, head: Head) -> Result<(), String> {
        if head.format != FORMAT {
            return Err(format!("format {} is not understood, {FORMAT} is", head.format));
        }
        let currency = Currency::from_alpha(&head.currency)
            .ok_or_else(|| format!("the currency `{}` is not known", clip(&head.currency)))?;
        let zone = TimeZone::get(&head.zone)
            .map_err(|_| format!("the zone `{}` is not known", clip(&head.zone)))?;
        if head.refund_fee_bp > 10_000 {
            return Err("a refund would keep back more than the price".to_owned());
        }
        self.head = Some((head, currency, zone));
        Ok(())
    }

    fn take_place(&mut self, line: PlaceLine) -> Result<(), String> {
        next_of(&self.places, line.i)?;
        let id = fits(line.id)?;
        if self.place_index.insert(id.clone(), line.i).is_some() {
            return Err(format!("the place `{id}` is there twice"));
        }
        let name = clip(&line.name);
        let (latitude_e6, longitude_e6, zone) = (line.lat, line.lon, line.zone);
        self.places.push(Place { id, name, latitude_e6, longitude_e6, zone });
        Ok(())
    }

    fn take_layout(&mut self, line: LayoutLine) -> Result<(), String> {
        next_of(&self.layouts, line.i)?;
        let mut layout = Layout::default();
        for coach in line.coaches {
            if coach.class == 0 {
                return Err("class 0 means all classes".to_owned());
            }
            for (label, features) in &coach.seats {
                layout.units.push(Unit {
                    seat: Seat { coach: clip(&coach.label), seat: clip(label) },
                    class: coach.class,
                    window: features.contains('w'),
                    aisle: features.contains('a'),
                    wheelchair: features.contains('h'),
                });
            }
            let seats = u32::try_from(coach.seats.len()).unwrap_or(u32::MAX);
            match layout.classes.iter_mut().find(|(class, _)| *class == coach.class) {
                Some((_, count)) => *count = count.saturating_add(seats),
                None => layout.classes.push((coach.class, seats)),
            }
        }
        layout.classes.sort_unstable();
        self.layouts.push(layout);
        Ok(())
    }

    fn take_pattern(&mut self, line: PatternLine) -> Result<(), String> {
        next_of(&self.patterns, line.i)?;
        let count = line.places.len();
        if line.places.iter().any(|&p| p as usize >= self.places.len()) {
            return Err("a place that is not there".to_owned());
        }
        let flags = |text: &str| -> Result<Box<[bool]>, String> {
            let right = text.len() == count && text.bytes().all(|b| b == b'0' || b == b'1');
            if right {
                Ok(text.bytes().map(|b| b == b'1').collect())
            } else {
                Err("flags do not fit".to_owned())
            }
        };
        let (board, alight) = (flags(&line.board)?, flags(&line.alight)?);
        let mut prices = Vec::with_capacity(line.prices.len());
        for (class, list) in line.prices {
            if list.len() != count * count.saturating_sub(1) / 2 {
                return Err("prices do not fit the places".to_owned());
            }
            let list: Result<Box<[i32]>, _> = list.into_iter().map(i32::try_from).collect();
            prices.push((class, list.map_err(|_| "a price is too large".to_owned())?));
        }
        prices.sort_unstable_by_key(|(class, _)| *class);
        self.patterns.push(Pattern { places: line.places.into(), board, alight, prices });
        Ok(())
    }

    fn take_trip(&mut self, line: TripLine) -> Result<(), String> {
        let pattern =
            self.patterns.get(line.pattern as usize).ok_or("a pattern that is not there")?;
        let layout = self.layouts.get(line.layout as usize).ok_or("a layout that is not there")?;
        if line.times.len() != pattern.places.len() * 2 {
            return Err("times do not fit the places".to_owned());
        }
        let number = i32::try_from;
        let times: Result<Box<[(i32, i32)]>, _> =
            line.times.chunks_exact(2).map(|t| Ok((number(t[0])?, number(t[1])?))).collect();
        let times =
            times.map_err(|_: std::num::TryFromIntError| "a time is too large".to_owned())?;
        // The key of a service is the trip's, a slash and eight digits.
        let too_long = line.id.len() + 9 > TEXT_BYTES_MAX;
        let legs = pattern.places.len().saturating_sub(1);
        let fits = (1..=SERVICE_SLOTS_MAX.min(128)).contains(&legs);
        if too_long || !fits || layout.units.len() > SERVICE_UNITS_MAX {
            self.left_out += 1;
            return Ok(());
        }
        if self.services.len() + line.days.len() > SERVICES_MAX {
            return Err("more services than are kept".to_owned());
        }
        let trip = u32::try_from(self.trips.len()).map_err(|_| "too many trips")?;
        let mut days = Vec::with_capacity(line.days.len());
        for (date, base_s, live) in line.days {
            if !(10_000_101..=99_991_231).contains(&date) || base_s.unsigned_abs() > 1 << 40 {
                return Err("a date out of range".to_owned());
            }
            let id = service_id(self.provider, &format!("{}/{date}", line.id));
            let spot = Spot { trip, day: u32::try_from(days.len()).unwrap_or(u32::MAX) };
            if self.services.insert(id, spot).is_some() {
                return Err(format!("the service `{}/{date}` is there twice", clip(&line.id)));
            }
            let authority = if live == 0 { Authority::Allotted } else { Authority::Live };
            days.push(Day { date, base_s, authority });
        }
        self.trips.push(Trip {
            id: line.id.into(),
            number: clip(&line.number).into(),
            kind: kind_of(&line.kind)?,
            pattern: line.pattern,
            layout: line.layout,
            times,
            days: days.into(),
        });
        Ok(())
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(self) -> Result<Snapshot, SnapshotError> {
        let line = self.line;
        let not_whole = || SnapshotError { line, what: "the snapshot is cut off".to_owned() };
        let (head, currency, zone) = self.head.filter(|_| self.ended).ok_or_else(not_whole)?;
        let mut calls = vec![Vec::new(); self.places.len()];
        for (pattern, n) in self.patterns.iter().zip(0u32..) {
            for (place, position) in pattern.places.iter().zip(0u16..) {
                calls[*place as usize].push((n, position));
            }
        }
        let mut trips_of = vec![Vec::new(); self.patterns.len()];
        let mut weights = vec![0u64; self.places.len()];
        for (trip, n) in self.trips.iter().zip(0u32..) {
            trips_of[trip.pattern as usize].push(n);
            for place in &self.patterns[trip.pattern as usize].places {
                weights[*place as usize] += trip.days.len() as u64;
            }
        }
        let stations = StationIndex::build(&self.places, &weights);
        let timetable = Timetable {
            currency,
            tariff: Version(head.tariff_version),
            zone,
            places: self.places,
            layouts: self.layouts,
            patterns: self.patterns,
            trips: self.trips,
            services: self.services,
            place_index: self.place_index,
            calls,
            trips_of,
            stations,
            left_out: self.left_out,
            head,
        };
        Ok(Snapshot { timetable, taken: self.taken, cancelled: self.cancelled })
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|e| e.to_string())
}

fn next_of<T>(list: &[T], index: u32) -> Result<(), String> {
    if list.len() == index as usize {
        Ok(())
    } else {
        Err("numbers do not follow each other".to_owned())
    }
}

fn fits(text: String) -> Result<String, String> {
    if text.len() <= TEXT_BYTES_MAX && !text.is_empty() {
        Ok(text)
    } else {
        Err("a key of no or too many bytes".to_owned())
    }
}

fn kind_of(word: &str) -> Result<ProviderKind, String> {
    Ok(match word {
        "train" => ProviderKind::Train,
        "plane" => ProviderKind::Plane,
        "coach" => ProviderKind::Coach,
        "ship" => ProviderKind::Ship,
        "entertainment" => ProviderKind::Entertainment,
        "tourism" => ProviderKind::Tourism,
        "hotel" => ProviderKind::Hotel,
        "catering" => ProviderKind::Catering,
        other => return Err(format!("the kind `{}` is not known", clip(other))),
    })
}
