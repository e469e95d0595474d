//! The port of the ticket-information database (part 13): every product, kept fresh in real time.

use guichet_engine::event::{Authority, Fare, Product, Run, ServiceSpec, Unit};
use guichet_engine::ids::{HoldId, ServiceId, UnitNo};
use guichet_engine::time::Instant;

/// A place people travel from, to, or collect at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// The provider's code.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Latitude in microdegrees.
    pub latitude_e6: i32,
    /// Longitude in microdegrees.
    pub longitude_e6: i32,
    /// IANA zone.
    pub zone: String,
}

/// Prices and places of one class of a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassOffer {
    /// The class.
    pub class: u8,
    /// Price, fee and rules.
    pub fare: Fare,
    /// Free places, as far as is known.
    pub seats_left: u32,
}

/// A direct service between two places; `product.class` is 0 until a class is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// The product without class.
    pub product: Product,
    /// Its classes.
    pub classes: Vec<ClassOffer>,
    /// Stops between, as name, arrival, departure.
    pub stops: Vec<(String, Instant, Instant)>,
}

/// One seat of a seat map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatState {
    /// Its number.
    pub unit: UnitNo,
    /// Label, class and features.
    pub info: Unit,
    /// Free on the whole run.
    pub free: bool,
}

/// How fresh a provider's data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The provider's name.
    pub provider: String,
    /// Up to date as of this instant.
    pub as_of: Instant,
    /// False while out of step (gap, silence, reload): live places are then confirmed at the provider only.
    pub fresh: bool,
    /// Weeks by which an ended calendar was shifted; 0 when it is current.
    pub shifted_weeks: u32,
    /// Services known.
    pub services: u64,
    /// Sequence number of the last delta.
    pub sequence: u64,
    /// Attribution that the data's licence asks for.
    pub attribution: String,
}

/// The ticket-information database.
pub trait TicketInformation: Send + Sync {
    /// Places whose name begins with, then contains, `query`; case folded; at most `limit`.
    fn stations(&self, query: &str, limit: usize) -> Vec<Station>;
    /// One place.
    fn station(&self, id: &str) -> Option<Station>;
    /// Direct services that leave `from` for `to` on a local date `YYYY-MM-DD`, by departure.
    fn journeys(&self, from: &str, to: &str, date: &str) -> Vec<Journey>;
    /// One journey anew.
    fn journey(&self, service: ServiceId, from: &str, to: &str) -> Option<Journey>;
    /// Some journey that leaves after `after` with free places, as `(from, to, local date)`: what the site suggests to try.
    fn example(&self, after: Instant) -> Option<(String, String, String)>;
    /// The layout for the engine.
    fn spec(&self, service: ServiceId) -> Option<ServiceSpec>;
    /// The seats of a class on a run (class 0: all).
    fn seats(&self, service: ServiceId, run: Run, class: u8) -> Vec<SeatState>;
    /// Who decides about the service's places.
    fn authority(&self, service: ServiceId) -> Option<Authority>;
    /// Our inventory holds or sells a place of an allotted service, or gives it back: absolute per hold, idempotent.
    fn note_place(&self, service: ServiceId, hold: HoldId, unit: UnitNo, run: Run, taken: bool);
    /// How fresh each provider is.
    fn freshness(&self) -> Vec<Freshness>;
}
