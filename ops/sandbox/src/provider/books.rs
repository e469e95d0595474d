//! The provider's own books: who has which seat on which legs. Time and catalogue are given; nothing is sent here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::catalogue::{Catalogue, Mode, ServiceRef};
use super::config::HOLD_S_MAX;
use super::layouts::Place;
use super::refusal::Refusal;
use super::stream::Stream;
use super::tariff::decimals_of;
use super::wire::{
    Booking, BookingRequest, Change, Fulfillment, Needs, OfferStatus, Price, RefundOffer, State,
};

/// Characters of an idempotency key at most.
pub const KEY_CHARS_MAX: usize = 128;
/// Idempotency keys kept at most: bookings of all states, and tombstones.
pub const KEYS_MAX: usize = 5_000_000;
/// How long after departure a refund is still given, in seconds: for tickets that never came out.
pub const REFUND_GRACE_S: i64 = 3600;
/// How long a refund offer can be accepted, in seconds.
pub const OFFER_S: i64 = 900;

/// What an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// A booking.
    Booking(String),
    /// Released before any hold came: a late hold is refused.
    Tombstone,
}

/// A place that another customer has.
#[derive(Clone, Copy, Debug)]
pub struct OtherPlace {
    service: ServiceRef,
    unit: u16,
    mask: u128,
}

/// Taken units with their runs of legs, the end excluded.
pub type TakenUnits = Vec<(u16, Vec<(u16, u16)>)>;

/// What has to be kept across a restart.
#[derive(Clone, Debug)]
pub enum Record {
    /// A booking as it is now.
    Booking(Box<Booking>),
    /// A tombstone.
    Tombstone(String),
}

/// The books.
pub struct Books {
    bookings: BTreeMap<String, Booking>,
    keys: HashMap<String, Key>,
    taken: HashMap<ServiceRef, BTreeMap<u16, u128>>,
    cancelled: BTreeSet<ServiceRef>,
    others: Vec<OtherPlace>,
    /// Bookings that end at their time limit.
    limits: BTreeSet<(Timestamp, String)>,
    /// The stream of changes.
    pub stream: Stream,
    prefix: String,
    next: u64,
    prebook_s: u32,
    keys_max: usize,
    unsaved: Vec<Record>,
}

/// The legs from one stop to another, as bits.
pub fn mask_of(from: u16, to: u16) -> u128 {
    let below = |n: u16| if n >= 128 { u128::MAX } else { (1u128 << n) - 1 };
    below(to) & !below(from)
}

/// Bits as runs of legs, the end excluded.
pub fn runs_of(mask: u128) -> Vec<(u16, u16)> {
    let mut runs = Vec::new();
    let mut leg = 0u16;
    while leg < 128 {
        if mask >> leg & 1 == 0 {
            leg += 1;
            continue;
        }
        let from = leg;
        while leg < 128 && mask >> leg & 1 == 1 {
            leg += 1;
        }
        runs.push((from, leg));
    }
    runs
}

impl Books {
    /// Empty books; `prefix` makes booking ids unlike those of other lives.
    pub fn new(epoch: String, prefix: String, prebook_s: u32) -> Self {
        Self {
            bookings: BTreeMap::new(),
            keys: HashMap::new(),
            taken: HashMap::new(),
            cancelled: BTreeSet::new(),
            others: Vec::new(),
            limits: BTreeSet::new(),
            stream: Stream::new(epoch),
            prefix,
            next: 1,
            prebook_s,
            keys_max: KEYS_MAX,
            unsaved: Vec::new(),
        }
    }

    /// Takes in what an earlier life kept; the last record of a booking holds.
    pub fn restore(&mut self, catalogue: &Catalogue, records: Vec<Record>) {
        for record in records {
            match record {
                Record::Tombstone(key) => {
                    self.keys.insert(key, Key::Tombstone);
                }
                Record::Booking(booking) => {
                    self.keys.insert(booking.hold.clone(), Key::Booking(booking.id.clone()));
                    self.bookings.insert(booking.id.clone(), *booking);
                }
            }
        }
        for booking in self.bookings.values() {
            if booking.state == State::Prebooked {
                self.limits.insert((booking.confirmation_time_limit, booking.id.clone()));
            }
            if matches!(booking.state, State::Prebooked | State::Fulfilled)
                && let Some(service) = catalogue.find(&booking.request.service)
            {
                let mask = mask_of(booking.request.from, booking.request.to);
                *self.taken.entry(service).or_default().entry(booking.unit).or_default() |= mask;
            }
        }
    }

    /// What has to be kept since this was last asked.
    pub fn unsaved(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.unsaved)
    }

    /// All bookings.
    pub fn bookings(&self) -> impl Iterator<Item = &Booking> {
        self.bookings.values()
    }

    /// Places that other customers have.
    pub fn others(&self) -> usize {
        self.others.len()
    }

    /// Taken seats of all services for which `wanted` holds.
    pub fn taken(&self, wanted: impl Fn(ServiceRef) -> bool) -> Vec<(ServiceRef, TakenUnits)> {
        let mut list: Vec<_> = self
            .taken
            .iter()
            .filter(|(service, _)| wanted(**service))
            .map(|(service, units)| {
                let units: Vec<_> = units
                    .iter()
                    .filter(|(_, mask)| **mask != 0)
                    .map(|(unit, mask)| (*unit, runs_of(*mask)))
                    .collect();
                (*service, units)
            })
            .filter(|(_, units)| !units.is_empty())
            .collect();
        list.sort_unstable_by_key(|(service, _)| *service);
        list
    }

    /// Services that do not run.
    pub fn cancelled(&self) -> impl Iterator<Item = ServiceRef> {
        self.cancelled.iter().copied()
    }

    /// Holds a place. The answer of an earlier equal request is given again (`false`).
    ///
    /// # Errors
    /// Why it is refused.
    pub fn hold(
        &mut self,
        catalogue: &Catalogue,
        now: Timestamp,
        key: &str,
        request: &BookingRequest,
    ) -> Result<(Booking, bool), Refusal> {
        self.expire(catalogue, now);
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX {
            return Err(Refusal::BadKey);
        }
        match self.keys.get(key) {
            Some(Key::Tombstone) => return Err(Refusal::HoldReleased),
            Some(Key::Booking(id)) => return self.again(id, request),
            None if self.keys.len() >= self.keys_max => return Err(Refusal::Unavailable),
            None => {}
        }
        let service = catalogue.find(&request.service).ok_or(Refusal::UnknownService)?;
        let price = self.check(catalogue, now, service, request)?;
        let mode = catalogue.mode(service);
        let unit = match (request.unit, mode) {
            (Some(unit), _) => self.given(catalogue, service, request, unit)?,
            (None, Mode::Allotted) => return Err(Refusal::UnitRequired),
            (None, Mode::Live) => self.choose(catalogue, service, request)?,
        };
        let layout = catalogue.layout(service).ok_or(Refusal::UnknownService)?;
        let place = layout.unit(unit).ok_or(Refusal::UnknownUnit)?;
        let id = format!("{}{:06}", self.prefix, self.next);
        self.next += 1;
        let booking = Booking {
            id: id.clone(),
            hold: key.to_owned(),
            state: State::Prebooked,
            request: request.clone(),
            mode: mode_name(mode).to_owned(),
            unit,
            coach: place.coach.label.clone(),
            seat: place.seat.0.clone(),
            price: self.price(catalogue, price),
            created_on: now,
            confirmation_time_limit: self.limit(now, request.hold_until),
            fulfillment: None,
            refund_offer: None,
        };
        self.set(service, unit, mask_of(request.from, request.to), true, Some(key), catalogue);
        self.limits.insert((booking.confirmation_time_limit, id.clone()));
        self.keys.insert(key.to_owned(), Key::Booking(id));
        self.keep(booking.clone());
        Ok((booking, true))
    }

    fn again(&self, id: &str, request: &BookingRequest) -> Result<(Booking, bool), Refusal> {
        let booking = self.bookings.get(id).ok_or(Refusal::UnknownBooking)?;
        let asked = |r: &BookingRequest| BookingRequest { hold_until: None, ..r.clone() };
        if asked(&booking.request) != asked(request) {
            return Err(Refusal::KeyReused);
        }
        match booking.state {
            State::Prebooked | State::Fulfilled => Ok((booking.clone(), false)),
            State::Released | State::Refunded => Err(Refusal::HoldReleased),
            State::Cancelled => Err(Refusal::ServiceCancelled),
        }
    }

    /// The price, when the request makes sense.
    fn check(
        &self,
        catalogue: &Catalogue,
        now: Timestamp,
        service: ServiceRef,
        request: &BookingRequest,
    ) -> Result<i64, Refusal> {
        if self.cancelled.contains(&service) {
            return Err(Refusal::ServiceCancelled);
        }
        let pattern = catalogue.pattern(service).ok_or(Refusal::UnknownService)?;
        let (from, to) = (usize::from(request.from), usize::from(request.to));
        let boards = pattern.board.get(from).copied().unwrap_or(false);
        let alights = pattern.alight.get(to).copied().unwrap_or(false);
        if from >= to || !boards || !alights {
            return Err(Refusal::BadRun);
        }
        let price = pattern.price(request.service_class, from, to).ok_or(Refusal::UnknownClass)?;
        let departs = catalogue.departs_s(service, from).unwrap_or(i64::MIN);
        if departs <= now.as_second() {
            return Err(Refusal::Departed);
        }
        Ok(price)
    }

    fn given(
        &self,
        catalogue: &Catalogue,
        service: ServiceRef,
        request: &BookingRequest,
        unit: u16,
    ) -> Result<u16, Refusal> {
        let layout = catalogue.layout(service).ok_or(Refusal::UnknownService)?;
        let place = layout.unit(unit).ok_or(Refusal::UnknownUnit)?;
        if place.coach.class != request.service_class {
            return Err(Refusal::UnknownUnit);
        }
        let mask = mask_of(request.from, request.to);
        if self.is_free(service, unit, mask) {
            return Ok(unit);
        }
        let holder = self.bookings.values().find(|b| {
            b.request.service == request.service
                && b.unit == unit
                && matches!(b.state, State::Prebooked | State::Fulfilled)
                && mask_of(b.request.from, b.request.to) & mask != 0
        });
        // A hold may yet go away; a sale will not.
        let passing = holder.is_some_and(|b| b.state == State::Prebooked);
        Err(Refusal::SeatTaken { passing })
    }

    fn choose(
        &self,
        catalogue: &Catalogue,
        service: ServiceRef,
        request: &BookingRequest,
    ) -> Result<u16, Refusal> {
        let layout = catalogue.layout(service).ok_or(Refusal::UnknownService)?;
        let mask = mask_of(request.from, request.to);
        let best = layout
            .units()
            .zip(0u16..)
            .filter(|(place, _)| place.coach.class == request.service_class)
            .filter(|(place, _)| !request.needs.wheelchair || place.seat.1.contains('h'))
            .filter(|(_, unit)| self.is_free(service, *unit, mask))
            .min_by_key(|(place, unit)| (dislike(place, request.needs), *unit));
        best.map(|(_, unit)| unit).ok_or(Refusal::SoldOut)
    }

    fn is_free(&self, service: ServiceRef, unit: u16, mask: u128) -> bool {
        let taken = self.taken.get(&service).and_then(|units| units.get(&unit));
        taken.is_none_or(|taken| taken & mask == 0)
    }

    fn limit(&self, now: Timestamp, wanted: Option<Timestamp>) -> Timestamp {
        let add = |s: u32| now.checked_add(SignedDuration::from_secs(i64::from(s))).unwrap_or(now);
        match wanted {
            Some(until) => until.clamp(now, add(HOLD_S_MAX)),
            None => add(self.prebook_s),
        }
    }

    fn price(&self, catalogue: &Catalogue, amount: i64) -> Price {
        let scale = decimals_of(&catalogue.currency).unwrap_or(2);
        Price { amount, scale, currency: catalogue.currency.clone() }
    }

    /// Finds a booking by its id, or by the hold it was made for.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, id: Option<&str>, hold: Option<&str>) -> Result<&Booking, Refusal> {
        let by_hold = || match self.keys.get(hold?)? {
            Key::Booking(id) => Some(id.as_str()),
            Key::Tombstone => None,
        };
        let id = id.or_else(by_hold).ok_or(Refusal::UnknownBooking)?;
        self.bookings.get(id).ok_or(Refusal::UnknownBooking)
    }

    /// Confirms a held place; repeated, the same answer.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn confirm(
        &mut self,
        catalogue: &Catalogue,
        now: Timestamp,
        id: &str,
    ) -> Result<Booking, Refusal> {
        self.expire(catalogue, now);
        let mut booking = self.find(Some(id), None)?.clone();
        match booking.state {
            State::Fulfilled => return Ok(booking),
            State::Refunded => return Err(Refusal::WrongState(booking.state)),
            State::Cancelled => return Err(Refusal::ServiceCancelled),
            State::Released => {
                // The distributor decides about an allotted place: an expired hold comes back while
                // the place is free. A live place was promised until the limit and no longer.
                let service = catalogue.find(&booking.request.service);
                let mask = mask_of(booking.request.from, booking.request.to);
                let expired = booking.confirmation_time_limit <= now;
                let again = service.filter(|s| {
                    expired
                        && catalogue.mode(*s) == Mode::Allotted
                        && self.is_free(*s, booking.unit, mask)
                });
                let Some(service) = again else {
                    return Err(if expired { Refusal::Expired } else { Refusal::HoldReleased });
                };
                let owner = booking.hold.clone();
                self.set(service, booking.unit, mask, true, Some(&owner), catalogue);
            }
            State::Prebooked => {}
        }
        self.limits.remove(&(booking.confirmation_time_limit, booking.id.clone()));
        booking.state = State::Fulfilled;
        booking.fulfillment =
            Some(Fulfillment { id: format!("F-{}", booking.id), status: State::Fulfilled });
        self.keep(booking.clone());
        Ok(booking)
    }

    /// Gives a held place back; without a booking it leaves a tombstone against a late hold.
    ///
    /// # Errors
    /// The place is sold: it has to be refunded.
    pub fn release(
        &mut self,
        catalogue: &Catalogue,
        now: Timestamp,
        id: Option<&str>,
        hold: Option<&str>,
    ) -> Result<Option<Booking>, Refusal> {
        self.expire(catalogue, now);
        let found = self.find(id, hold).cloned();
        let booking = match (found, hold) {
            (Ok(booking), _) => booking,
            (Err(_), Some(key)) => {
                if key.is_empty() || key.chars().count() > KEY_CHARS_MAX {
                    return Err(Refusal::BadKey);
                }
                if self.keys.len() >= self.keys_max && !self.keys.contains_key(key) {
                    return Err(Refusal::Unavailable);
                }
                if self.keys.insert(key.to_owned(), Key::Tombstone).is_none() {
                    self.unsaved.push(Record::Tombstone(key.to_owned()));
                }
                return Ok(None);
            }
            (Err(refusal), None) => return Err(refusal),
        };
        match booking.state {
            State::Released | State::Refunded | State::Cancelled => Ok(Some(booking)),
            State::Fulfilled => Err(Refusal::WrongState(State::Fulfilled)),
            State::Prebooked => {
                let id = booking.id.clone();
                self.free(catalogue, &id, State::Released);
                self.find(Some(&id), None).cloned().map(Some)
            }
        }
    }

    /// Says what a refund would give; an open offer is given again.
    ///
    /// # Errors
    /// There is nothing to refund.
    pub fn offer_refund(
        &mut self,
        catalogue: &Catalogue,
        now: Timestamp,
        id: &str,
    ) -> Result<RefundOffer, Refusal> {
        let mut booking = self.find(Some(id), None)?.clone();
        if let Some(offer) = &booking.refund_offer
            && (offer.status == OfferStatus::Confirmed || offer.valid_until > now)
        {
            return Ok(offer.clone());
        }
        let cancelled = match booking.state {
            State::Fulfilled => false,
            State::Cancelled if booking.fulfillment.is_some() => true,
            state @ (State::Prebooked | State::Released | State::Refunded | State::Cancelled) => {
                return Err(Refusal::WrongState(state));
            }
        };
        let service = catalogue.find(&booking.request.service);
        let departs = service
            .and_then(|s| catalogue.departs_s(s, usize::from(booking.request.from)))
            .unwrap_or(i64::MAX - REFUND_GRACE_S);
        if now.as_second() > departs + REFUND_GRACE_S && !cancelled {
            return Err(Refusal::NotRefundable);
        }
        let paid = booking.price.amount;
        let fee_bp = if cancelled { 0 } else { i64::from(catalogue.refund_fee_bp) };
        let fee = paid.saturating_mul(fee_bp) / 10_000;
        let money = |amount| Price { amount, ..booking.price.clone() };
        let offer = RefundOffer {
            id: format!("R-{}-{}", booking.id, now.as_microsecond()),
            status: OfferStatus::Proposed,
            refund_fee: money(fee),
            refundable_amount: money(paid - fee),
            created_on: now,
            valid_until: now.checked_add(SignedDuration::from_secs(OFFER_S)).unwrap_or(now),
        };
        booking.refund_offer = Some(offer.clone());
        self.keep(booking);
        Ok(offer)
    }

    /// Accepts a refund offer; repeated, the same answer.
    ///
    /// # Errors
    /// The offer is unknown or too old.
    pub fn accept_refund(
        &mut self,
        catalogue: &Catalogue,
        now: Timestamp,
        id: &str,
        offer_id: &str,
    ) -> Result<Booking, Refusal> {
        let mut booking = self.find(Some(id), None)?.clone();
        let Some(offer) = booking.refund_offer.as_mut().filter(|o| o.id == offer_id) else {
            return Err(Refusal::UnknownOffer);
        };
        if offer.status == OfferStatus::Confirmed {
            return Ok(booking);
        }
        if offer.valid_until <= now {
            return Err(Refusal::UnknownOffer);
        }
        offer.status = OfferStatus::Confirmed;
        self.bookings.insert(booking.id.clone(), booking);
        self.free(catalogue, id, State::Refunded);
        self.find(Some(id), None).cloned()
    }

    /// Ends the holds whose time is over.
    pub fn expire(&mut self, catalogue: &Catalogue, now: Timestamp) {
        while let Some((_, id)) = self.limits.first().filter(|(limit, _)| *limit <= now).cloned() {
            self.free(catalogue, &id, State::Released);
        }
    }

    /// A service does not run: nothing can be held, and what was sold can be refunded whole.
    ///
    /// # Errors
    /// There is no such service.
    pub fn cancel_service(&mut self, catalogue: &Catalogue, key: &str) -> Result<(), Refusal> {
        let service = catalogue.find(key).ok_or(Refusal::UnknownService)?;
        if !self.cancelled.insert(service) {
            return Ok(());
        }
        let hit: Vec<String> = self
            .bookings
            .values()
            .filter(|b| b.request.service == key)
            .filter(|b| matches!(b.state, State::Prebooked | State::Fulfilled))
            .map(|b| b.id.clone())
            .collect();
        for id in hit {
            self.free(catalogue, &id, State::Cancelled);
        }
        self.stream.push(vec![Change::Cancelled { service: key.to_owned(), cancelled: true }]);
        Ok(())
    }

    /// Another customer takes a place, when it is free.
    pub fn other_takes(
        &mut self,
        catalogue: &Catalogue,
        service: ServiceRef,
        unit: u16,
        (from, to): (u16, u16),
    ) -> bool {
        let mask = mask_of(from, to);
        let free = self.is_free(service, unit, mask) && !self.cancelled.contains(&service);
        if free {
            self.others.push(OtherPlace { service, unit, mask });
            self.set(service, unit, mask, true, None, catalogue);
        }
        free
    }

    /// Another customer gives a place back, the one at `index` of those taken.
    pub fn other_frees(&mut self, catalogue: &Catalogue, index: usize) {
        if index < self.others.len() {
            let OtherPlace { service, unit, mask } = self.others.swap_remove(index);
            self.set(service, unit, mask, false, None, catalogue);
        }
    }

    /// Proves from the bookings alone that no seat is sold twice.
    ///
    /// # Errors
    /// The two bookings that overlap, or the seat whose record differs.
    pub fn audit(&self) -> Result<(), String> {
        let mut seen: HashMap<(&str, u16), Vec<(u128, &str)>> = HashMap::new();
        for booking in self.bookings.values() {
            if !matches!(booking.state, State::Prebooked | State::Fulfilled) {
                continue;
            }
            let mask = mask_of(booking.request.from, booking.request.to);
            let list = seen.entry((booking.request.service.as_str(), booking.unit)).or_default();
            if let Some((_, other)) = list.iter().find(|(taken, _)| taken & mask != 0) {
                return Err(format!("bookings {other} and {} overlap", booking.id));
            }
            list.push((mask, &booking.id));
        }
        Ok(())
    }

    fn free(&mut self, catalogue: &Catalogue, id: &str, state: State) {
        let Some(mut booking) = self.bookings.get(id).cloned() else { return };
        let held = matches!(booking.state, State::Prebooked | State::Fulfilled);
        self.limits.remove(&(booking.confirmation_time_limit, booking.id.clone()));
        booking.state = state;
        if let Some(fulfillment) = &mut booking.fulfillment {
            fulfillment.status = state;
        }
        if held && let Some(service) = catalogue.find(&booking.request.service) {
            let mask = mask_of(booking.request.from, booking.request.to);
            self.set(service, booking.unit, mask, false, Some(&booking.hold), catalogue);
        }
        self.keep(booking);
    }

    fn set(
        &mut self,
        service: ServiceRef,
        unit: u16,
        mask: u128,
        taken: bool,
        owner: Option<&str>,
        catalogue: &Catalogue,
    ) {
        let units = self.taken.entry(service).or_default();
        let bits = units.entry(unit).or_default();
        if taken {
            *bits |= mask;
        } else {
            *bits &= !mask;
        }
        let left = *bits;
        if left == 0 {
            units.remove(&unit);
        }
        self.stream.push(vec![Change::Unit {
            service: catalogue.key(service),
            unit,
            taken: runs_of(left),
            owner: owner.map(str::to_owned),
        }]);
    }

    fn keep(&mut self, booking: Booking) {
        self.unsaved.push(Record::Booking(Box::new(booking.clone())));
        self.bookings.insert(booking.id.clone(), booking);
    }
}

/// How a mode is written.
pub const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Allotted => "ALLOTTED",
        Mode::Live => "LIVE",
    }
}

/// How little a seat suits, 0 is best; seats for wheelchairs are given to others last.
fn dislike(place: &Place<'_>, needs: Needs) -> u8 {
    let has = |letter| place.seat.1.contains(letter);
    let misses = |wanted: bool, there: bool| u8::from(wanted && !there);
    let spare = u8::from(has('h') && !needs.wheelchair) * 4;
    spare + misses(needs.window, has('w')) + misses(needs.aisle, has('a'))
}

#[cfg(test)]
mod tests;
