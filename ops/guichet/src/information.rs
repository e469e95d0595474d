//! The ticket-information databases of all providers as one.

use std::sync::Arc;

use guichet_engine::event::{Authority, Run, ServiceSpec};
use guichet_engine::ids::{HoldId, ServiceId, UnitNo};
use guichet_engine::time::Instant;
use guichet_ports::ticket_information::{
    Freshness, Journey, SeatState, Station, TicketInformation,
};

/// Every provider's mirror.
pub struct AllProviders(Vec<Arc<dyn TicketInformation>>);

impl AllProviders {
    /// Asks each of `mirrors`.
    pub fn new(mirrors: Vec<Arc<dyn TicketInformation>>) -> Self {
        Self(mirrors)
    }
}

impl TicketInformation for AllProviders {
    fn stations(&self, query: &str, limit: usize) -> Vec<Station> {
        let mut found: Vec<Station> =
            self.0.iter().flat_map(|m| m.stations(query, limit)).collect();
        found.truncate(limit);
        found
    }
    fn station(&self, id: &str) -> Option<Station> {
        self.0.iter().find_map(|m| m.station(id))
    }
    fn journeys(&self, from: &str, to: &str, date: &str) -> Vec<Journey> {
        let mut found: Vec<Journey> =
            self.0.iter().flat_map(|m| m.journeys(from, to, date)).collect();
        found.sort_by_key(|j| j.product.departs);
        found
    }
    fn journey(&self, service: ServiceId, from: &str, to: &str) -> Option<Journey> {
        self.0.iter().find_map(|m| m.journey(service, from, to))
    }
    fn example(&self, after: Instant) -> Option<(String, String, String)> {
        self.0.iter().find_map(|m| m.example(after))
    }
    fn spec(&self, service: ServiceId) -> Option<ServiceSpec> {
        self.0.iter().find_map(|m| m.spec(service))
    }
    fn seats(&self, service: ServiceId, run: Run, class: u8) -> Vec<SeatState> {
        self.0
            .iter()
            .map(|m| m.seats(service, run, class))
            .find(|s| !s.is_empty())
            .unwrap_or_default()
    }
    fn authority(&self, service: ServiceId) -> Option<Authority> {
        self.0.iter().find_map(|m| m.authority(service))
    }
    fn note_place(&self, service: ServiceId, hold: HoldId, unit: UnitNo, run: Run, taken: bool) {
        for mirror in &self.0 {
            mirror.note_place(service, hold, unit, run, taken);
        }
    }
    fn freshness(&self) -> Vec<Freshness> {
        self.0.iter().flat_map(|m| m.freshness()).collect()
    }
}
