//! Questions to the mirror.

use std::collections::HashMap;

use guichet_engine::event::{Authority, Fare, Product, Run, ServiceSpec};
use guichet_engine::ids::{HoldId, ServiceId, UnitNo};
use guichet_engine::money::Money;
use guichet_engine::time::Instant;
use guichet_ports::ticket_information::{
    ClassOffer, Freshness, Journey, SeatState, Station, TicketInformation,
};
use jiff::Timestamp;
use jiff::civil::Date;

use super::timetable::{Day, Layout, Pattern, Spot, Timetable, Trip, bits, service_id};
use super::{BEATS_MISSED_MAX, Mirror, State};

/// Journeys answered at most.
pub const JOURNEYS_MAX: usize = 500;
/// Services looked at for an example at most.
const EXAMPLES_MAX: usize = 20_000;

/// A service with all it refers to.
#[derive(Clone, Copy)]
struct Found<'a> {
    id: ServiceId,
    trip: &'a Trip,
    day: Day,
    pattern: &'a Pattern,
    layout: &'a Layout,
}

impl Found<'_> {
    fn departs_s(&self, stop: usize) -> Option<i64> {
        self.trip.times.get(stop).map(|(_, departure)| self.day.base_s + i64::from(*departure))
    }
    fn arrives_s(&self, stop: usize) -> Option<i64> {
        self.trip.times.get(stop).map(|(arrival, _)| self.day.base_s + i64::from(*arrival))
    }
    fn key(&self) -> String {
        format!("{}/{}", self.trip.id, self.day.date)
    }
}

fn instant(seconds: i64) -> Instant {
    Instant(seconds.saturating_mul(1_000_000))
}

impl Timetable {
    fn found(&self, id: ServiceId) -> Option<Found<'_>> {
        self.found_at(id, *self.services.get(&id)?)
    }

    fn found_at(&self, id: ServiceId, spot: Spot) -> Option<Found<'_>> {
        let trip = self.trips.get(spot.trip as usize)?;
        Some(Found {
            id,
            trip,
            day: *trip.days.get(spot.day as usize)?,
            pattern: self.patterns.get(trip.pattern as usize)?,
            layout: self.layouts.get(trip.layout as usize)?,
        })
    }

    fn station(&self, place: u32) -> Option<Station> {
        let place = self.places.get(place as usize)?;
        Some(Station {
            id: place.id.clone(),
            name: place.name.clone(),
            latitude_e6: place.latitude_e6,
            longitude_e6: place.longitude_e6,
            zone: place.zone.clone().unwrap_or_else(|| self.head.zone.clone()),
        })
    }

    /// UTC seconds from the beginning of a local date to that of the next.
    fn bounds_s(&self, date: Date) -> Option<(i64, i64)> {
        let begin = |date: Date| {
            let midnight = date.at(0, 0, 0, 0);
            self.zone.to_ambiguous_timestamp(midnight).compatible().ok().map(|t| t.as_second())
        };
        Some((begin(date)?, begin(date.tomorrow().ok()?)?))
    }

    /// Ways of a pattern from one place to another, each as short as it can be.
    fn ways(&self, from: u32, to: u32) -> Vec<(u32, u16, u16)> {
        let Some(calls) = self.calls.get(from as usize) else { return Vec::new() };
        let mut ways = Vec::new();
        for (n, (pattern, start)) in calls.iter().enumerate() {
            let Some(found) = self.patterns.get(*pattern as usize) else { continue };
            let begin = usize::from(*start) + 1;
            let after = found.places.get(begin..).unwrap_or(&[]);
            let Some(end) = after.iter().position(|place| *place == to) else { continue };
            let end = begin + end;
            // A loop passes the place again before it arrives: board there.
            let later =
                calls.get(n + 1).is_some_and(|(p, s)| p == pattern && usize::from(*s) < end);
            if found.board.get(begin - 1) == Some(&true)
                && found.alight.get(end) == Some(&true)
                && !later
            {
                ways.push((*pattern, *start, end as u16));
            }
        }
        ways
    }
}

impl State {
    /// Which slots of each unit are not free, as bits.
    fn taken(&self, found: &Found<'_>) -> HashMap<u16, u128> {
        match found.day.authority {
            Authority::Live => self.live.get(&found.id).cloned().unwrap_or_default(),
            Authority::Allotted => {
                let mut taken = HashMap::new();
                for (unit, run) in self.given.get(&found.id).into_iter().flat_map(HashMap::values) {
                    *taken.entry(unit.0).or_default() |= bits(run.from, run.to);
                }
                taken
            }
        }
    }

    /// Free units of each class on a run.
    fn left(&self, found: &Found<'_>, run: Run) -> Vec<(u8, u32)> {
        let mask = bits(run.from, run.to);
        let mut left = found.layout.classes.clone();
        for (unit, taken) in self.taken(found) {
            if taken & mask == 0 {
                continue;
            }
            let class = found.layout.units.get(usize::from(unit)).map(|u| u.class);
            if let Some((_, count)) = left.iter_mut().find(|(c, _)| Some(*c) == class) {
                *count = count.saturating_sub(1);
            }
        }
        left
    }
}

impl Mirror {
    fn journey_of(
        &self,
        state: &State,
        timetable: &Timetable,
        found: &Found<'_>,
        run: Run,
    ) -> Option<Journey> {
        let (from, to) = (usize::from(run.from), usize::from(run.to));
        let place = |stop: usize| {
            let index = *found.pattern.places.get(stop)?;
            timetable.places.get(index as usize)
        };
        let (begin, end) = (place(from)?, place(to)?);
        let left = state.left(found, run);
        let mut classes = Vec::new();
        for &(class, seats_left) in &left {
            let Some(price) = found.pattern.price_minor(class, from, to) else { continue };
            let fare = Fare {
                price: Money::new(price, timetable.currency).ok()?,
                fee: Money::new(self.fee_minor, timetable.currency).ok()?,
                tariff: timetable.tariff,
                refund_fee_bp: timetable.head.refund_fee_bp,
            };
            classes.push(ClassOffer { class, fare, seats_left });
        }
        if classes.is_empty() {
            return None;
        }
        let stops = (from + 1..to)
            .filter_map(|stop| {
                let (arrival, departure) = (found.arrives_s(stop)?, found.departs_s(stop)?);
                Some((place(stop)?.name.clone(), instant(arrival), instant(departure)))
            })
            .collect();
        let product = Product {
            provider: self.provider,
            kind: found.trip.kind,
            service: found.id,
            service_key: found.key(),
            service_name: found.trip.number.to_string(),
            authority: found.day.authority,
            run,
            from_place: begin.id.clone(),
            from_name: begin.name.clone(),
            to_place: end.id.clone(),
            to_name: end.name.clone(),
            departs: instant(found.departs_s(from)?),
            arrives: instant(found.arrives_s(to)?),
            zone: timetable.head.zone.clone(),
            class: 0,
        };
        Some(Journey { product, classes, stops })
    }

    fn journeys_between(
        &self,
        state: &State,
        timetable: &Timetable,
        (from, to): (u32, u32),
        (begin_s, end_s): (i64, i64),
    ) -> Vec<Journey> {
        let now_s = Timestamp::now().as_second();
        let mut found: Vec<(i64, Found<'_>, Run)> = Vec::new();
        for (pattern, start, stop) in timetable.ways(from, to) {
            let run = Run { from: start, to: stop };
            for &trip in timetable.trips_of.get(pattern as usize).into_iter().flatten() {
                let Some(days) = timetable.trips.get(trip as usize).map(|t| &t.days) else {
                    continue;
                };
                for day in 0..days.len() as u32 {
                    let spot = Spot { trip, day };
                    // The id costs a hash: only for the days that leave within the date.
                    let nobody = ServiceId::new(guichet_engine::ids::Slot::new(0), 0);
                    let Some(service) = timetable.found_at(nobody, spot) else { continue };
                    let Some(departs_s) = service.departs_s(usize::from(start)) else { continue };
                    if (begin_s..end_s).contains(&departs_s) && departs_s > now_s {
                        let id = service_id(self.provider, &service.key());
                        found.push((departs_s, Found { id, ..service }, run));
                    }
                }
            }
        }
        found.retain(|(_, service, _)| !state.cancelled.contains(&service.id));
        found.sort_by_key(|(departs_s, service, run)| {
            (*departs_s, service.arrives_s(usize::from(run.to)), service.id)
        });
        found.dedup_by_key(|(_, service, _)| service.id);
        found
            .iter()
            .filter_map(|(_, service, run)| self.journey_of(state, timetable, service, *run))
            .take(JOURNEYS_MAX)
            .collect()
    }
}

impl TicketInformation for Mirror {
    fn stations(&self, query: &str, limit: usize) -> Vec<Station> {
        let state = self.read();
        let Some(timetable) = &state.timetable else { return Vec::new() };
        let found = timetable.stations.find(query, limit);
        found.into_iter().filter_map(|place| timetable.station(place)).collect()
    }

    fn station(&self, id: &str) -> Option<Station> {
        let state = self.read();
        let timetable = state.timetable.as_ref()?;
        timetable.station(*timetable.place_index.get(id)?)
    }

    fn journeys(&self, from: &str, to: &str, date: &str) -> Vec<Journey> {
        let state = self.read();
        let Some(timetable) = &state.timetable else { return Vec::new() };
        let place = |id: &str| timetable.place_index.get(id).copied();
        let (Some(from), Some(to)) = (place(from), place(to)) else { return Vec::new() };
        let Some(bounds) = date.parse().ok().and_then(|date| timetable.bounds_s(date)) else {
            return Vec::new();
        };
        self.journeys_between(&state, timetable, (from, to), bounds)
    }

    fn journey(&self, service: ServiceId, from: &str, to: &str) -> Option<Journey> {
        let state = self.read();
        let timetable = state.timetable.as_ref()?;
        if state.cancelled.contains(&service) {
            return None;
        }
        let found = timetable.found(service)?;
        let (from, to) = (*timetable.place_index.get(from)?, *timetable.place_index.get(to)?);
        let ways = timetable.ways(from, to);
        let (_, start, stop) = ways.into_iter().find(|(p, ..)| *p == found.trip.pattern)?;
        self.journey_of(&state, timetable, &found, Run { from: start, to: stop })
    }

    fn example(&self, after: Instant) -> Option<(String, String, String)> {
        let state = self.read();
        let timetable = state.timetable.as_ref()?;
        let now = after.max(Instant(Timestamp::now().as_microsecond()));
        let mut best: Option<(Instant, &Found<'_>, Run)> = None;
        let services: Vec<Found<'_>> = timetable
            .services
            .iter()
            .filter(|(id, _)| !state.cancelled.contains(id))
            .filter_map(|(id, spot)| timetable.found_at(*id, *spot))
            .filter(|found| found.departs_s(0).is_some_and(|s| instant(s) > now))
            .take(EXAMPLES_MAX)
            .collect();
        for found in &services {
            let last = found.pattern.places.len().saturating_sub(1);
            let run = Run { from: 0, to: u16::try_from(last).ok()? };
            let open = found.pattern.board.first() == Some(&true)
                && found.pattern.alight.last() == Some(&true);
            let departs = instant(found.departs_s(0)?);
            let sooner = best.is_none_or(|(at, other, _)| (departs, found.id) < (at, other.id));
            if open && sooner && state.left(found, run).iter().any(|(_, left)| *left > 0) {
                best = Some((departs, found, run));
            }
        }
        let (_, found, run) = best?;
        let journey = self.journey_of(&state, timetable, found, run)?;
        let departs = Timestamp::from_microsecond(journey.product.departs.0).ok()?;
        let date = timetable.zone.to_datetime(departs).date().to_string();
        Some((journey.product.from_place, journey.product.to_place, date))
    }

    fn spec(&self, service: ServiceId) -> Option<ServiceSpec> {
        let state = self.read();
        let found = state.timetable.as_ref()?.found(service)?;
        let slots = found.pattern.places.len().saturating_sub(1);
        Some(ServiceSpec {
            provider: self.provider,
            key: found.key(),
            slots: u16::try_from(slots).ok()?,
            units: found.layout.units.clone(),
            ends: instant(found.arrives_s(slots)?),
        })
    }

    fn seats(&self, service: ServiceId, run: Run, class: u8) -> Vec<SeatState> {
        let state = self.read();
        let Some(found) = state.timetable.as_ref().and_then(|t| t.found(service)) else {
            return Vec::new();
        };
        let taken = state.taken(&found);
        let mask = bits(run.from, run.to);
        found
            .layout
            .units
            .iter()
            .zip(0u16..)
            .filter(|(unit, _)| class == 0 || unit.class == class)
            .map(|(unit, number)| SeatState {
                unit: UnitNo(number),
                info: unit.clone(),
                free: taken.get(&number).is_none_or(|bits| bits & mask == 0),
            })
            .collect()
    }

    fn authority(&self, service: ServiceId) -> Option<Authority> {
        let state = self.read();
        state.timetable.as_ref()?.found(service).map(|found| found.day.authority)
    }

    fn note_place(&self, service: ServiceId, hold: HoldId, unit: UnitNo, run: Run, taken: bool) {
        self.note(service, hold, (unit, run), taken);
    }

    fn freshness(&self) -> Vec<Freshness> {
        let state = self.read();
        let Some(timetable) = &state.timetable else {
            return vec![Freshness {
                provider: self.name.clone(),
                as_of: Instant(0),
                fresh: false,
                shifted_weeks: 0,
                services: 0,
                sequence: 0,
                attribution: String::new(),
            }];
        };
        let silence_us = Timestamp::now().as_microsecond().saturating_sub(state.heard_us);
        let beat_us = i64::try_from(timetable.head.heartbeat_ms).unwrap_or(i64::MAX / 10_000);
        let most_us = beat_us.max(1000).saturating_mul(1000).saturating_mul(BEATS_MISSED_MAX);
        let name = if self.name.is_empty() { &timetable.head.operator } else { &self.name };
        vec![Freshness {
            provider: name.clone(),
            as_of: Instant(state.heard_us),
            fresh: state.in_step && silence_us <= most_us,
            shifted_weeks: timetable.head.shifted_weeks,
            services: timetable.services.len() as u64,
            sequence: state.follower.as_ref().map_or(0, crate::Follower::sequence),
            attribution: timetable.head.attribution.clone(),
        }]
    }
}
